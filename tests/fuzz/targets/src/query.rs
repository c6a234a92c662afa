//! Search queries in Auth0's syntax.

use std::sync::LazyLock;

use uie_expression::Expression;
use uie_json::{ProjectionMask, parse_row};
use uie_query::{Filter, Query};

use crate::fixture::{USERS, assert_displayable, split_at_nul};

static WHOLE: LazyLock<ProjectionMask> = LazyLock::new(|| {
    let user = Expression::parse("user").expect("an expression");
    ProjectionMask::new([user.path().expect("a path")])
});

/// Input: a query, NUL, a user.
///
/// Invariants: parsing never panics, and errors point into the query; a parsed query is printed as a query with the
/// same meaning; the filter has the same result for a user of which only the needed attributes were parsed, and the
/// opposite result behind NOT.
pub fn query(data: &[u8]) {
    let [text, user] = split_at_nul(data);
    let Ok(text) = std::str::from_utf8(text) else { return };
    let parsed = match Query::parse(text) {
        Ok(parsed) => parsed,
        Err(error) => {
            assert!(uie_query::check(text).is_err(), "the check accepts an invalid query");
            return assert_displayable(&error);
        }
    };
    let checked = uie_query::check(text).expect("a valid query");
    assert_eq!(checked.remarks, parsed.remarks());
    assert_eq!(checked.only_here, parsed.unsupported_by_auth0());
    let read_as = parsed.to_string();
    let again = Query::parse(&read_as);
    let filter = match parsed.filter() {
        Ok(filter) => filter,
        Err(error) => {
            assert_eq!(checked.only_auth0.as_ref(), Some(&error.message));
            return assert_displayable(&error);
        }
    };
    // The printed query may be longer than the input, by parentheses and escapes.
    match again {
        Ok(again) => {
            assert_eq!(again.to_string(), read_as, "printed differently the second time");
            assert_eq!(again.filter().ok().as_ref(), Some(&filter), "{text:?} was printed as {read_as:?}");
        }
        Err(error) => assert!(error.message.contains("too long"), "{text:?} was printed as {read_as:?}: {error}"),
    }
    let not = Query::parse(&format!("NOT ({text})")).ok().and_then(|not| not.filter().ok());
    check_filter(&filter, not.as_ref(), user);
    for user in USERS {
        check_filter(&filter, not.as_ref(), user.as_bytes());
    }
}

fn check_filter(filter: &Filter, not: Option<&Filter>, user: &[u8]) {
    let Ok(whole) = parse_row(user, &WHOLE) else { return };
    let pruned = parse_row(user, &filter.extend_mask(ProjectionMask::default())).expect("a projection of a valid user");
    let found = filter.matches(&whole);
    assert_eq!(filter.matches(&pruned), found, "another result for the projected user");
    if let Some(not) = not {
        assert_ne!(not.matches(&whole), found, "NOT does not invert the result");
    }
}
