//! What a column says.

use user_import_export::expression::{Expression, Formula, Kind, Wanted, read, split_column};

use crate::fixture::{USERS, parts, shown};

/// `EXPR=Name` and, after a NUL, a user.
///
/// Splitting gives parts of the text. Reading an expression never panics, JavaScript included, and its
/// error shows a place within it. A path gives the same for a user of whom only what it wants was read as
/// for the whole user.
pub fn expression(data: &[u8]) {
    let [text, user] = parts(data);
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
    look_at(expression, user);
    if name.is_some() {
        look_at(text, user);
    }
}

fn look_at(text: &str, user: &[u8]) {
    let expression = match Expression::parse(text) {
        Ok(expression) => expression,
        Err(error) => return shown(&error),
    };
    assert_eq!(expression.source(), text.trim());
    let path = match (expression.kind(), expression.path()) {
        (Kind::Path, Ok(path)) => path,
        (Kind::Transform | Kind::JavaScript, Err(error)) => {
            shown(&error);
            return shown(&Formula::new(&expression, None).expect_err("nothing to run it with"));
        }
        (kind, path) => panic!("{kind:?}, and the path is {path:?}"),
    };
    let formula = Formula::new(&expression, None).expect("a path needs no tools");
    assert_eq!(formula.as_path(), Some(path));
    let again = Expression::parse(&path.to_string()).expect("a path is shown as one");
    assert_eq!(again.path().ok(), Some(path), "{text:?} was shown as another path");
    let wanted = Wanted::new([path]);
    let whole = Expression::parse("user").expect("an expression");
    let whole = Wanted::new([whole.path().expect("a path")]);
    for user in std::iter::once(user).chain(USERS.iter().map(|user| user.as_bytes())) {
        let Ok(everything) = read(user, &whole) else { continue };
        let pruned = read(user, &wanted).expect("what can be read whole");
        let (mut given, mut expected) = (Vec::new(), Vec::new());
        path.evaluate(&pruned).write_json(&mut given);
        path.evaluate(&everything).write_json(&mut expected);
        assert_eq!(given, expected, "{text:?} gives something else when only what it wants was read");
        serde_json::from_slice::<serde::de::IgnoredAny>(&given).expect("a cell is JSON");
    }
}
