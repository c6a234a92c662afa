//! Auth0's search syntax.

use std::sync::LazyLock;

use user_import_export::expression::{Expression, Wanted, read};
use user_import_export::query::{self, Filter, Query};

use crate::fixture::{USERS, parts, shown};

static WHOLE: LazyLock<Wanted> = LazyLock::new(|| {
    let user = Expression::parse("user").expect("an expression");
    Wanted::new([user.path().expect("a path")])
});

/// A query and, after a NUL, a user.
///
/// Reading a query never panics, and its error shows a place within it. How a query was read is shown as a
/// query that means the same. The filter decides the same for a user of whom only what it wants was read,
/// and the opposite when it stands behind NOT.
pub fn query(data: &[u8]) {
    let [text, user] = parts(data);
    let Ok(text) = std::str::from_utf8(text) else { return };
    let parsed = match Query::parse(text) {
        Ok(parsed) => parsed,
        Err(error) => {
            assert!(query::check(text).is_err(), "the check takes what cannot be read");
            return shown(&error);
        }
    };
    let checked = query::check(text).expect("what can be read");
    assert_eq!(checked.remarks, parsed.remarks());
    assert_eq!(checked.only_here, parsed.beyond_auth0());
    let read_as = parsed.to_string();
    let again = Query::parse(&read_as);
    let filter = match parsed.filter() {
        Ok(filter) => filter,
        Err(error) => {
            assert_eq!(checked.only_auth0.as_deref(), Some(error.message.as_str()));
            return shown(&error);
        }
    };
    // What is shown may be longer than what was written, by parentheses and escapes.
    match again {
        Ok(again) => {
            assert_eq!(again.to_string(), read_as, "shown another way the second time");
            assert_eq!(again.filter().ok().as_ref(), Some(&filter), "{text:?} was shown as {read_as:?}");
        }
        Err(error) => assert!(error.message.contains("too long"), "{text:?} was shown as {read_as:?}: {error}"),
    }
    let not = Query::parse(&format!("NOT ({text})")).ok().and_then(|not| not.filter().ok());
    decides(&filter, not.as_ref(), user);
    for user in USERS {
        decides(&filter, not.as_ref(), user.as_bytes());
    }
}

fn decides(filter: &Filter, not: Option<&Filter>, user: &[u8]) {
    let Ok(whole) = read(user, &WHOLE) else { return };
    let pruned = read(user, &filter.wanted(Wanted::default())).expect("what can be read whole");
    let found = filter.matches(&whole);
    assert_eq!(filter.matches(&pruned), found, "decided otherwise for what the filter wants of the user");
    if let Some(not) = not {
        assert_ne!(not.matches(&whole), found, "NOT does not turn the result round");
    }
}
