//! All parsers of a user row, compared with each other and with `serde_json`.

use serde_json::Value;
use uie_expression::Expression;
use uie_json::{
    Cell, Cursor, Json, MemberVisitor, Path, Projection, ProjectionMask, RawString, RowParseError, RowSpan,
    StructuralIndex, ValueScanner, check_row, parse_row, parse_row_both_ways, visit_object,
};

use crate::fixture::split_at_nul;

/// Input: a row, NUL, expressions, one per line.
///
/// Invariants: if the fast parser accepts a row, the slow parser returns the same; row buffers have the same cells as a
/// parsed tree; objects that `serde_json` accepts have the same meaning; rows that it rejects are rejected, except for
/// its own limits; what the visitor of members accepts, `serde_json` accepts.
pub fn readers(data: &[u8]) {
    let [row, expressions] = split_at_nul(data);
    let expressions = std::str::from_utf8(expressions).unwrap_or_default().lines().take(4);
    let expressions: Vec<_> = ["a", "b[1].c", "c.d || c.e", "user_metadata.x ?? identities[0]"]
        .into_iter()
        .chain(expressions)
        .filter_map(|text| Expression::parse(text).ok())
        .collect();
    let some = ProjectionMask::new(expressions.iter().filter_map(|expression| expression.path().ok()));
    let fields = [vec!["c".to_owned(), "e".to_owned()], vec!["identities".to_owned(), "connection".to_owned()]];
    let and_fields = some.clone().with_fields(fields.iter().map(Vec::as_slice));
    let user = Expression::parse("user").expect("an expression");
    let whole = ProjectionMask::new([user.path().expect("a path")]);
    for wanted in [&ProjectionMask::default(), &some, &and_fields, &whole] {
        assert_parsers_agree(row, wanted);
    }
    let paths: Vec<Path> = expressions.iter().filter_map(|expression| expression.path().ok()).cloned().collect();
    assert_buffers_agree(row, &paths);
    let read_whole = parse_row(row, &whole);
    match (check_row(row), &read_whole) {
        // `check_row` does not convert numbers, so it accepts those that are too large.
        (Ok(_), Err(RowParseError::NumberTooLarge(_))) => {}
        (checked, read) => assert_eq!(checked.map(str::as_bytes), read.as_ref().map(|_| row).map_err(Clone::clone)),
    }
    compare_with_serde(row, &read_whole);
    if std::str::from_utf8(row).is_ok() && visit_object(row, true, &mut SkipMembers).is_some() {
        serde_json::from_slice::<Value>(row).expect("what is visited is JSON");
    }
}

/// Visits an object and skips all values.
struct SkipMembers;

impl MemberVisitor for SkipMembers {
    fn visit_member(&mut self, _: RawString<'_>, value: &mut ValueScanner<'_>) -> Option<()> {
        value.skip()
    }
}

/// Asserts that row buffers have the same cells as a tree, for a row that is the whole text or one of several lines.
fn assert_buffers_agree(row: &[u8], paths: &[Path]) {
    let (Ok(row), Some(layout)) = (std::str::from_utf8(row), Projection::new(paths)) else { return };
    let same = |text: &str, scanned: Option<RowSpan>, cells: &dyn Fn(usize, &Cell<'_>) -> bool| {
        let Some(scanned) = scanned else { return };
        let user = text.get(scanned.start..scanned.end).expect("an object within the text");
        let user = parse_row(user.as_bytes(), &ProjectionMask::new(paths)).expect("the tree parser accepts the row");
        for (number, path) in paths.iter().enumerate() {
            assert!(cells(number, &path.evaluate(&user)), "{path} differs");
        }
    };
    let mut slots = layout.new_buffer();
    let scanned = layout.parse_whole(row, &mut slots);
    same(row, scanned, &|number, cell| layout.last_row(&slots).cell(number) == *cell);
    // Cells of the previous row must not remain in the buffer.
    let lines = format!("{{\"a\":[1],\"c\":{{\"d\":7}}}}\n{row}\n{{}}");
    let mut slots = layout.new_buffer();
    let first = layout.parse_line(&lines, 0, &mut slots).expect("a valid user");
    let scanned = layout.parse_line(&lines, first.row_end + 1, &mut slots);
    same(&lines, scanned, &|number, cell| layout.last_row(&slots).cell(number) == *cell);
    for text in [row, &lines] {
        assert_index_agrees(text, &layout, paths);
    }
}

/// Asserts that parsing with the structural index and byte by byte agree on every line.
fn assert_index_agrees(text: &str, layout: &Projection, paths: &[Path]) {
    let mut index = StructuralIndex::default();
    let Some(mut walker) = Cursor::new(text, &mut index) else { return };
    let wanted = ProjectionMask::new(paths);
    let (mut walked, mut scanned) = (layout.new_buffer(), layout.new_buffer());
    let mut at = 0;
    while at < text.len() {
        assert_eq!(wanted.parse_indexed_line(&mut walker.fork(), at), wanted.parse_line(text, at), "trees differ");
        let row = layout.parse_indexed_line(&mut walker, at, &mut walked);
        assert_eq!(row, layout.parse_line(text, at, &mut scanned), "rows differ");
        for path in (0..paths.len()).filter(|_| row.is_some()) {
            assert_eq!(layout.last_row(&walked).cell(path), layout.last_row(&scanned).cell(path), "cells differ");
        }
        at += text.get(at..).and_then(|rest| rest.find('\n')).unwrap_or(text.len()) + 1;
    }
}

/// Asserts that the fast and the slow parser agree.
fn assert_parsers_agree(row: &[u8], wanted: &ProjectionMask) {
    if let Ok((Some(quick), thorough)) = parse_row_both_ways(row, wanted) {
        assert_eq!(Ok(quick), thorough, "the parsers differ");
    }
}

/// Compares with `serde_json`, which rejects lone surrogates, numbers beyond 64-bit floating point, and more than 127
/// levels.
fn compare_with_serde(row: &[u8], read: &Result<Json<'_>, RowParseError>) {
    let general = serde_json::from_slice::<Value>(row);
    match (general, read) {
        (Ok(expected @ Value::Object(_)), Ok(json)) => {
            let mut written = Vec::new();
            json.write(&mut written);
            let again: Value = serde_json::from_slice(&written).expect("what is written is JSON");
            assert_eq!(as_floats(again), as_floats(expected), "another value");
        }
        (Ok(Value::Object(_)), Err(why)) => panic!("rejected: {why:?}"),
        (Ok(_), Ok(_)) => panic!("accepted, but it is not an object"),
        (Err(error), Ok(_)) => {
            let why = error.to_string();
            let serde_limits =
                ["surrogate", "number out of range", "recursion limit", "lone leading", "unexpected end of hex"];
            assert!(serde_limits.iter().any(|reason| why.contains(reason)), "accepted, but {why}");
        }
        (_, Err(_)) => {}
    }
}

/// Converts every number to a 64-bit floating point number, as in JavaScript.
fn as_floats(value: Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().map_or(Value::Null, |number| Value::from(number + 0.0)),
        Value::Array(items) => items.into_iter().map(as_floats).collect(),
        Value::Object(members) => members.into_iter().map(|(name, value)| (name, as_floats(value))).collect(),
        other => other,
    }
}
