//! Column expressions.

use uie_expression::{Expression, Formula, Kind, split_column};
use uie_json::{ProjectionMask, parse_row};

use crate::fixture::{USERS, assert_displayable, split_at_nul};

/// Input: `EXPR=Name`, NUL, a user.
///
/// Invariants: splitting returns parts of the text; parsing never panics, also for JavaScript, and errors point into
/// the text; a path has the same value for the whole user as for one of which only the projected attributes were
/// parsed.
pub fn expression(data: &[u8]) {
    let [text, user] = split_at_nul(data);
    let Ok(text) = std::str::from_utf8(text) else { return };
    let (expression, name) = split_column(text);
    assert!(text.trim_start().starts_with(expression));
    match name {
        Some(name) => {
            assert!(text.trim_end().ends_with(name));
            assert!(text.len() > expression.len() + name.len(), "the `=` is in neither part");
        }
        None => assert_eq!(expression, text.trim()),
    }
    check_expression(expression, user);
    if name.is_some() {
        check_expression(text, user);
    }
}

fn check_expression(text: &str, user: &[u8]) {
    let expression = match Expression::parse(text) {
        Ok(expression) => expression,
        Err(error) => return assert_displayable(&error),
    };
    assert_eq!(expression.source(), text.trim());
    let path = match (expression.kind(), expression.path()) {
        (Kind::Path, Ok(path)) => path,
        (Kind::Transform | Kind::JavaScript, Err(error)) => {
            assert_displayable(&error);
            return assert_displayable(&Formula::new(&expression, None).expect_err("there is no sandbox"));
        }
        (kind, path) => panic!("kind {kind:?}, but path {path:?}"),
    };
    let formula = Formula::new(&expression, None).expect("a path needs no sandbox");
    assert_eq!(formula.as_path(), Some(path));
    let again = Expression::parse(&path.to_string()).expect("a path is printed as a path");
    assert_eq!(again.path().ok(), Some(path), "{text:?} was printed as another path");
    let wanted = ProjectionMask::new([path]);
    let whole = Expression::parse("user").expect("an expression");
    let whole = ProjectionMask::new([whole.path().expect("a path")]);
    for user in std::iter::once(user).chain(USERS.iter().map(|user| user.as_bytes())) {
        let Ok(complete) = parse_row(user, &whole) else { continue };
        let pruned = parse_row(user, &wanted).expect("a projection of a valid user");
        let (mut actual, mut expected) = (Vec::new(), Vec::new());
        path.evaluate(&pruned).write_json(&mut actual);
        path.evaluate(&complete).write_json(&mut expected);
        assert_eq!(actual, expected, "{text:?} has another value for the projected user");
        serde_json::from_slice::<serde::de::IgnoredAny>(&actual).expect("a cell is JSON");
    }
}
