//! The types of parameters of a transform.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value as Json};

use crate::manifest::Type;
use crate::{Fault, User, Value};

/// A type that a parameter of a transform may have.
///
/// | type | manifest | accepts |
/// |---|---|---|
/// | `&str`, `String` | text | text |
/// | `f64`, `f32` | number | a number |
/// | `i8` … `i64`, `u8` … `u64`, `usize` | number | a whole number in the type's range |
/// | `bool` | boolean | `true` or `false` |
/// | `Vec<T>` | json | an array whose items are `T` |
/// | `BTreeMap<String, T>`, `HashMap<String, T>` | json | an object whose values are `T` |
/// | `&serde_json::Map<String, serde_json::Value>` | json | an object, without copying it |
/// | `&serde_json::Value` | json | an object or an array, without copying it |
/// | `serde_json::Value`, [`Value`] | any | anything, nothing included |
/// | [`User`] | user | a whole user |
/// | `Option<T>` | as `T` | what `T` accepts, and nothing |
///
/// Nothing means absent, `null` or `undefined`; it is also the value of an argument that is omitted at the end
/// of a call. Any other value is a fault that names the parameter, and the function is not called.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a parameter of a transform",
    label = "not a type that comes from an expression",
    note = "take `&str`, `String`, `bool`, a number type, `Vec<T>`, `BTreeMap<String, T>`, `serde_json::Value`, `User`, `Value` for any, or `Option` of one of them"
)]
pub trait Argument<'a>: Sized {
    /// The type in the manifest.
    const TYPE: Type;
    /// Whether nothing is accepted.
    const OPTIONAL: bool = false;

    /// Converts the argument to this type.
    fn from_given(given: Given<'a>) -> Result<Self, Mismatch>;
}

/// A value that is passed in: the argument itself, or an item or member of it.
#[derive(Clone, Copy, Debug)]
pub enum Given<'a> {
    /// Absent, `null` or `undefined`.
    Nothing,
    /// `true` or `false`.
    Boolean(bool),
    /// A number.
    Number(f64),
    /// Text.
    Text(&'a str),
    /// An object or an array.
    Json(&'a Json),
}

impl<'a> From<&'a Value> for Given<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Nothing => Self::Nothing,
            Value::Boolean(boolean) => Self::Boolean(*boolean),
            Value::Number(number) => Self::Number(*number),
            Value::Text(text) => Self::Text(text),
            Value::Json(json) => Self::from(json),
        }
    }
}

impl<'a> From<&'a Json> for Given<'a> {
    fn from(json: &'a Json) -> Self {
        match json {
            Json::Null => Self::Nothing,
            Json::Bool(boolean) => Self::Boolean(*boolean),
            Json::Number(number) => number.as_f64().map_or(Self::Nothing, Self::Number),
            Json::String(text) => Self::Text(text),
            json @ (Json::Array(_) | Json::Object(_)) => Self::Json(json),
        }
    }
}

impl From<Given<'_>> for Value {
    fn from(given: Given<'_>) -> Self {
        match given {
            Given::Nothing => Self::Nothing,
            Given::Boolean(boolean) => Self::Boolean(boolean),
            Given::Number(number) => Self::Number(number),
            Given::Text(text) => Self::Text(text.to_owned()),
            Given::Json(json) => Self::Json(json.clone()),
        }
    }
}

impl Given<'_> {
    /// Returns a description of its kind.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Boolean(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "text",
            Self::Json(Json::Array(_)) => "an array",
            Self::Json(_) => "an object",
        }
    }
}

/// The error for a value that a parameter does not accept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    place: String,
    found: &'static str,
    value: Option<String>,
    expected: String,
}

impl Mismatch {
    /// Returns an error for the value `given` where `expected` (such as "an e-mail address") is accepted.
    pub fn new(given: Given<'_>, expected: impl Into<String>) -> Self {
        Self { place: String::new(), found: given.kind(), value: None, expected: expected.into() }
    }

    /// Adds where the value is inside of the argument: "item 3", "`plan`".
    #[must_use]
    pub fn within(mut self, place: &str) -> Self {
        self.place.push_str(place);
        self.place.push_str(" of ");
        self
    }

    /// Converts it to a fault that names the parameter. The value of a secret is not shown.
    pub fn fault(self, parameter: &str, secret: bool) -> Fault {
        let Self { place, found, value, expected } = self;
        let found = value.filter(|_| !secret).unwrap_or_else(|| found.to_owned());
        Fault::from(format!("{place}`{parameter}` is {found}; {expected} is expected"))
    }
}

/// The arguments of one call: literals, which are the same for every row, and the row's own values.
#[derive(Clone, Copy, Debug)]
pub struct Arguments<'a> {
    literals: &'a [Option<Value>],
    row: Row<'a>,
}

/// The values of a row, as the host passed them.
#[derive(Clone, Copy, Debug)]
enum Row<'a> {
    Values(&'a [Value]),
    Given(&'a [Given<'a>]),
}

impl<'a> Arguments<'a> {
    /// Returns the arguments of a call in the form of the contract (`wit/transform.wit`).
    pub fn new(literals: &'a [Option<Value>], row: &'a [Value]) -> Self {
        Self { literals, row: Row::Values(row) }
    }

    /// Returns the arguments of a call from borrowed values.
    pub(crate) fn given(literals: &'a [Option<Value>], row: &'a [Given<'a>]) -> Self {
        Self { literals, row: Row::Given(row) }
    }

    /// Returns the number of arguments.
    pub fn count(self) -> usize {
        self.literals.len()
    }

    /// Returns the argument at `index`; nothing after the last.
    pub fn value(&self, index: usize) -> Given<'a> {
        let value = match self.literals.get(index) {
            Some(Some(literal)) => Some(Given::from(literal)),
            Some(None) => {
                let place = self.literals.iter().take(index).filter(|literal| literal.is_none()).count();
                match self.row {
                    Row::Values(values) => values.get(place).map(Given::from),
                    Row::Given(values) => values.get(place).copied(),
                }
            }
            None => None,
        };
        value.unwrap_or(Given::Nothing)
    }

    /// Converts the argument at `index` to the type of the parameter.
    pub fn get<T: Argument<'a>>(&self, index: usize, parameter: &str, secret: bool) -> Result<T, Fault> {
        T::from_given(self.value(index)).map_err(|mismatch| mismatch.fault(parameter, secret))
    }
}

impl<'a> Argument<'a> for &'a str {
    const TYPE: Type = Type::Text;

    fn from_given(given: Given<'a>) -> Result<Self, Mismatch> {
        match given {
            Given::Text(text) => Ok(text),
            other => Err(Mismatch::new(other, "text")),
        }
    }
}

impl<'a> Argument<'a> for String {
    const TYPE: Type = Type::Text;

    fn from_given(given: Given<'a>) -> Result<Self, Mismatch> {
        <&str>::from_given(given).map(str::to_owned)
    }
}

impl<'a> Argument<'a> for bool {
    const TYPE: Type = Type::Boolean;

    fn from_given(given: Given<'a>) -> Result<Self, Mismatch> {
        match given {
            Given::Boolean(boolean) => Ok(boolean),
            other => Err(Mismatch::new(other, "`true` or `false`")),
        }
    }
}

impl<'a> Argument<'a> for f64 {
    const TYPE: Type = Type::Number;

    fn from_given(given: Given<'a>) -> Result<Self, Mismatch> {
        match given {
            Given::Number(number) => Ok(number),
            other => Err(Mismatch::new(other, "a number")),
        }
    }
}

impl<'a> Argument<'a> for f32 {
    const TYPE: Type = Type::Number;

    #[allow(clippy::cast_possible_truncation)] // the nearest number of the type
    fn from_given(given: Given<'a>) -> Result<Self, Mismatch> {
        f64::from_given(given).map(|number| number as Self)
    }
}

macro_rules! whole_numbers {
    ($($integer:ty),*) => {$(
        impl<'a> Argument<'a> for $integer {
            const TYPE: Type = Type::Number;

            fn from_given(given: Given<'a>) -> Result<Self, Mismatch> {
                let mismatch = || {
                    Mismatch::new(given, format!("a whole number from {} to {}", Self::MIN, Self::MAX))
                };
                let Given::Number(number) = given else { return Err(mismatch()) };
                // Through i128, which represents every value of the types exactly; a cast saturates, and
                // converting back detects that.
                #[allow(clippy::cast_possible_truncation)]
                let whole = number as i128;
                #[allow(clippy::cast_precision_loss, clippy::float_cmp)]
                let exact = number.fract() == 0.0 && whole as f64 == number;
                exact
                    .then(|| Self::try_from(whole).ok())
                    .flatten()
                    .ok_or_else(|| Mismatch { value: Some(format!("{number:?}")), ..mismatch() })
            }
        }
    )*};
}

whole_numbers!(i8, i16, i32, i64, u8, u16, u32, u64, usize);

impl<'a, T: Argument<'a>> Argument<'a> for Option<T> {
    const TYPE: Type = T::TYPE;
    const OPTIONAL: bool = true;

    fn from_given(given: Given<'a>) -> Result<Self, Mismatch> {
        match given {
            Given::Nothing => Ok(None),
            given => T::from_given(given).map(Some),
        }
    }
}

impl<'a> Argument<'a> for Value {
    const TYPE: Type = Type::Any;
    const OPTIONAL: bool = true;

    fn from_given(given: Given<'a>) -> Result<Self, Mismatch> {
        Ok(given.into())
    }
}

impl<'a> Argument<'a> for Json {
    const TYPE: Type = Type::Any;
    const OPTIONAL: bool = true;

    fn from_given(given: Given<'a>) -> Result<Self, Mismatch> {
        Ok(Value::from(given).into())
    }
}

impl<'a> Argument<'a> for &'a Json {
    const TYPE: Type = Type::Json;

    fn from_given(given: Given<'a>) -> Result<Self, Mismatch> {
        match given {
            Given::Json(json) => Ok(json),
            other => Err(Mismatch::new(other, "an object or an array")),
        }
    }
}

impl<'a> Argument<'a> for &'a Map<String, Json> {
    const TYPE: Type = Type::Json;

    fn from_given(given: Given<'a>) -> Result<Self, Mismatch> {
        match given {
            Given::Json(Json::Object(members)) => Ok(members),
            other => Err(Mismatch::new(other, "an object")),
        }
    }
}

impl<'a, T: Argument<'a>> Argument<'a> for Vec<T> {
    const TYPE: Type = Type::Json;

    fn from_given(given: Given<'a>) -> Result<Self, Mismatch> {
        let Given::Json(Json::Array(items)) = given else { return Err(Mismatch::new(given, "an array")) };
        items
            .iter()
            .zip(1..)
            .map(|(item, number)| {
                T::from_given(item.into()).map_err(|mismatch| mismatch.within(&format!("item {number}")))
            })
            .collect()
    }
}

fn members<'a, T: Argument<'a>, M: FromIterator<(String, T)>>(given: Given<'a>) -> Result<M, Mismatch> {
    <&Map<String, Json>>::from_given(given)?
        .iter()
        .map(|(key, value)| {
            let value = T::from_given(value.into()).map_err(|mismatch| mismatch.within(&format!("`{key}`")))?;
            Ok((key.clone(), value))
        })
        .collect()
}

impl<'a, T: Argument<'a>> Argument<'a> for BTreeMap<String, T> {
    const TYPE: Type = Type::Json;

    fn from_given(given: Given<'a>) -> Result<Self, Mismatch> {
        members(given)
    }
}

impl<'a, T: Argument<'a>, S: std::hash::BuildHasher + Default> Argument<'a> for HashMap<String, T, S> {
    const TYPE: Type = Type::Json;

    fn from_given(given: Given<'a>) -> Result<Self, Mismatch> {
        members(given)
    }
}

impl<'a> Argument<'a> for User<'a> {
    const TYPE: Type = Type::User;

    fn from_given(given: Given<'a>) -> Result<Self, Mismatch> {
        match given {
            Given::Json(Json::Object(attributes)) => Ok(Self::from(attributes)),
            other => Err(Mismatch::new(other, "a user")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Converts `json` as an argument for the parameter `x` of type `T`.
    fn given<T: for<'a> Argument<'a>>(json: Json) -> Result<T, String> {
        Arguments::new(&[None], &[json.into()]).get(0, "x", false).map_err(|fault| fault.to_string())
    }

    #[test]
    fn what_does_not_fit_names_the_parameter_and_what_was_expected() {
        assert_eq!(given::<String>(json!(5)).unwrap_err(), "`x` is a number; text is expected");
        assert_eq!(given::<String>(json!(null)).unwrap_err(), "`x` is nothing; text is expected");
        assert_eq!(given::<bool>(json!("yes")).unwrap_err(), "`x` is text; `true` or `false` is expected");
        assert_eq!(given::<u8>(json!(1.5)).unwrap_err(), "`x` is 1.5; a whole number from 0 to 255 is expected");
        assert_eq!(given::<u8>(json!([1])).unwrap_err(), "`x` is an array; a whole number from 0 to 255 is expected");
        assert_eq!(given::<Vec<String>>(json!({})).unwrap_err(), "`x` is an object; an array is expected");
    }

    #[test]
    fn the_place_inside_of_an_argument_is_named() {
        assert_eq!(
            given::<Vec<Vec<String>>>(json!([["a"], ["b", true]])).unwrap_err(),
            "item 2 of item 2 of `x` is a boolean; text is expected"
        );
        assert_eq!(
            given::<BTreeMap<String, f64>>(json!({"a": 1, "b": "2"})).unwrap_err(),
            "`b` of `x` is text; a number is expected"
        );
    }

    #[test]
    fn whole_numbers_are_taken_up_to_the_ends_of_their_type_and_no_further() {
        assert_eq!(given::<i8>(json!(-128)), Ok(-128));
        assert!(given::<i8>(json!(128)).is_err());
        assert!(given::<u32>(json!(-1)).is_err());
        assert_eq!(given::<i64>(json!(1_u64 << 53)), Ok(1 << 53));
        assert!(given::<i64>(json!(9_223_372_036_854_775_807_i64)).is_err(), "2^63 is the number it is in JavaScript");
        assert!(given::<u64>(json!(1e300)).is_err());
    }

    #[test]
    fn an_option_takes_nothing_and_what_its_type_takes() {
        assert_eq!(given::<Option<String>>(json!(null)), Ok(None));
        assert_eq!(given::<Option<String>>(json!("a")), Ok(Some("a".into())));
        assert_eq!(given::<Option<String>>(json!(5)).unwrap_err(), "`x` is a number; text is expected");
        assert_eq!(given::<Vec<Option<bool>>>(json!([null, true])), Ok(vec![None, Some(true)]));
    }

    #[test]
    fn the_value_of_a_secret_is_not_shown() {
        let fault = Arguments::new(&[Some(Value::Number(1.5))], &[]).get::<u8>(0, "key", true).unwrap_err();
        assert_eq!(fault.message(), "`key` is a number; a whole number from 0 to 255 is expected");
    }

    #[test]
    fn literals_and_the_values_of_a_row_come_together_in_the_order_of_the_call() {
        let literals = [None, Some(Value::from("literal")), None];
        let row = [Value::from("first"), Value::from("second")];
        let arguments = Arguments::new(&literals, &row);
        let texts: Vec<Option<&str>> = (0..4).map(|index| arguments.get(index, "x", false).unwrap()).collect();
        assert_eq!(texts, [Some("first"), Some("literal"), Some("second"), None]);
    }
}
