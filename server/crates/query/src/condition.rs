//! The conditions of a filter: a query with every value converted to the types that it is compared with.

use super::dates::Period;
use super::node::PatternToken;

/// A compiled node of a query.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Condition {
    Any(Vec<Condition>),
    All(Vec<Condition>),
    Not(Box<Condition>),
    Field(FieldPath, Predicate),
}

/// The location of values in a user.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FieldPath {
    /// The member names from the user to the values.
    pub path: Vec<String>,
    /// Whether only the part after the last `@` counts.
    pub domain: bool,
}

/// The predicate that at least one of the values must fulfill.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Predicate {
    Exists,
    Is(Value),
    Like { tokens: Vec<PatternToken>, ignore_case: bool },
    Range { low: RangeEnd, high: RangeEnd, ignore_case: bool, dates: DateComparison },
}

/// A value of a query, converted to every type that it may have.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Value {
    /// In lower case if `ignore_case`.
    pub text: String,
    pub ignore_case: bool,
    pub number: Option<f64>,
    /// The period of a possibly partial date, for attributes that hold dates.
    pub period: Option<Period>,
}

/// How strings that may be dates are compared with a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DateComparison {
    /// As strings.
    Never,
    /// As a date if the value is a date, else as a string.
    Maybe,
    /// As dates; other strings are not in the range.
    Always,
}

/// An end of a range.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum RangeEnd {
    Open,
    Inclusive(Value),
    Exclusive(Value),
}
