//! Every way of reading a user.

use serde_json::Value;
use user_import_export::expression::{
    Cell, Expression, Index, Json, Layout, Path, Scanned, Unreadable, Walker, Wanted, check_whole, read, read_both_ways,
};

use crate::fixture::parts;

/// A row and, after a NUL, expressions, one a line.
///
/// What the quick way reads, the thorough one reads too, and the same; what is read into slots is what a tree
/// gives. What a general parser takes as an
/// object is read and means the same; what it refuses is refused, but for what it alone cannot hold.
pub fn readers(data: &[u8]) {
    let [row, expressions] = parts(data);
    let expressions = std::str::from_utf8(expressions).unwrap_or_default().lines().take(4);
    let expressions: Vec<_> = ["a", "b[1].c", "c.d || c.e", "user_metadata.x ?? identities[0]"]
        .into_iter()
        .chain(expressions)
        .filter_map(|text| Expression::parse(text).ok())
        .collect();
    let some = Wanted::new(expressions.iter().filter_map(|expression| expression.path().ok()));
    let fields = [vec!["c".to_owned(), "e".to_owned()], vec!["identities".to_owned(), "connection".to_owned()]];
    let and_fields = some.clone().and_fields(fields.iter().map(Vec::as_slice));
    let user = Expression::parse("user").expect("an expression");
    let whole = Wanted::new([user.path().expect("a path")]);
    for wanted in [&Wanted::default(), &some, &and_fields, &whole] {
        agree(row, wanted);
    }
    let paths: Vec<Path> = expressions.iter().filter_map(|expression| expression.path().ok()).cloned().collect();
    slots_agree(row, &paths);
    let read_whole = read(row, &whole);
    match (check_whole(row), &read_whole) {
        // Whoever passes a number on does not need its value.
        (Ok(_), Err(Unreadable::NumberTooLarge(_))) => {}
        (checked, read) => assert_eq!(checked.map(str::as_bytes), read.as_ref().map(|_| row).map_err(Clone::clone)),
    }
    means_the_same(row, &read_whole);
}

/// What a row gives, whether it is a text of its own or a line among others.
fn slots_agree(row: &[u8], paths: &[Path]) {
    let (Ok(row), Some(layout)) = (std::str::from_utf8(row), Layout::new(paths)) else { return };
    let same = |text: &str, scanned: Option<Scanned>, cells: &dyn Fn(usize, &Cell<'_>) -> bool| {
        let Some(scanned) = scanned else { return };
        let user = text.get(scanned.start..scanned.end).expect("an object within the text");
        let user = read(user.as_bytes(), &Wanted::new(paths)).expect("what slots take, a tree takes");
        for (number, path) in paths.iter().enumerate() {
            assert!(cells(number, &path.evaluate(&user)), "{path} differs");
        }
    };
    let mut slots = layout.room();
    let scanned = layout.read_whole(row, &mut slots);
    same(row, scanned, &|number, cell| layout.last(&slots).cell(number) == *cell);
    // What the row before left over must not show.
    let lines = format!("{{\"a\":[1],\"c\":{{\"d\":7}}}}\n{row}\n{{}}");
    let mut slots = layout.room();
    let first = layout.read_line(&lines, 0, &mut slots).expect("a usual user");
    let scanned = layout.read_line(&lines, first.row_end + 1, &mut slots);
    same(&lines, scanned, &|number, cell| layout.last(&slots).cell(number) == *cell);
    for text in [row, &lines] {
        walked_agree(text, &layout, paths);
    }
}

/// Every line of an indexed text gives what it gives from byte to byte.
fn walked_agree(text: &str, layout: &Layout, paths: &[Path]) {
    let mut index = Index::default();
    let Some(mut walker) = Walker::new(text, &mut index) else { return };
    let wanted = Wanted::new(paths);
    let (mut walked, mut scanned) = (layout.room(), layout.room());
    let mut at = 0;
    while at < text.len() {
        assert_eq!(wanted.walk_line(&mut walker.here(), at), wanted.read_line(text, at), "trees differ");
        let row = layout.walk_line(&mut walker, at, &mut walked);
        assert_eq!(row, layout.read_line(text, at, &mut scanned), "rows differ");
        for path in (0..paths.len()).filter(|_| row.is_some()) {
            assert_eq!(layout.last(&walked).cell(path), layout.last(&scanned).cell(path), "cells differ");
        }
        at += text.get(at..).and_then(|rest| rest.find('\n')).unwrap_or(text.len()) + 1;
    }
}

fn agree(row: &[u8], wanted: &Wanted) {
    if let Ok((Some(quick), thorough)) = read_both_ways(row, wanted) {
        assert_eq!(Ok(quick), thorough, "the two ways differ");
    }
}

/// Compares with `serde_json`, which knows neither half surrogate pairs nor numbers beyond 64-bit floating
/// point, and stops at 127 levels.
fn means_the_same(row: &[u8], read: &Result<Json<'_>, Unreadable>) {
    let general = serde_json::from_slice::<Value>(row);
    match (general, read) {
        (Ok(expected @ Value::Object(_)), Ok(json)) => {
            let mut written = Vec::new();
            json.write(&mut written);
            let again: Value = serde_json::from_slice(&written).expect("what is written is JSON");
            assert_eq!(as_floats(again), as_floats(expected), "read as something else");
        }
        (Ok(Value::Object(_)), Err(why)) => panic!("refused: {why}"),
        (Ok(_), Ok(_)) => panic!("taken for an object"),
        (Err(error), Ok(_)) => {
            let why = error.to_string();
            let alone =
                ["surrogate", "number out of range", "recursion limit", "lone leading", "unexpected end of hex"];
            assert!(alone.iter().any(|reason| why.contains(reason)), "taken, though {why}");
        }
        (_, Err(_)) => {}
    }
}

/// Every number as JavaScript has it.
fn as_floats(value: Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().map_or(Value::Null, |number| Value::from(number + 0.0)),
        Value::Array(items) => items.into_iter().map(as_floats).collect(),
        Value::Object(members) => members.into_iter().map(|(name, value)| (name, as_floats(value))).collect(),
        other => other,
    }
}
