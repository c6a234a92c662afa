//! Tests of the two readers of JSON rows, with `serde_json` as the oracle.

use std::io::{self, Cursor, Read};

use proptest::prelude::*;
use serde_json::{Deserializer, Value, json};

use crate::{Chunk, ChunkReader, CsvReader, Layout, ReadError, ReadOptions, Record, RowReader, SkippedKind, TextInput};

/// Returns at most `step` bytes at a time.
struct Slow(Cursor<Vec<u8>>, usize);

impl Read for Slow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let step = self.1.min(buffer.len());
        self.0.read(&mut buffer[..step])
    }
}

fn source(text: &str, step: usize) -> Box<dyn Read + Send> {
    Box::new(Slow(Cursor::new(text.as_bytes().to_vec()), step))
}

/// Line and value of a row.
type Rows = Vec<(u64, Value)>;

fn read_rows(text: &str, step: usize) -> Result<(Layout, Rows), ReadError> {
    let mut input = TextInput::open(source(text, step), &ReadOptions::default())?;
    let layout = input.detect_layout()?;
    let mut reader = RowReader::new(input, layout);
    let mut record = Record::default();
    let mut rows = Vec::new();
    while reader.next(&mut record)? {
        rows.push((record.line, serde_json::from_slice(&record.bytes).unwrap()));
    }
    Ok((layout, rows))
}

fn read_chunks(text: &str, step: usize) -> Result<(Layout, Rows), ReadError> {
    let mut reader = ChunkReader::open(source(text, step), None, &ReadOptions::default())?;
    let mut chunk = Chunk::default();
    let mut rows = Vec::new();
    while reader.next_chunk(&mut chunk)? {
        rows.extend(chunk.rows().map(|(line, row)| (line, serde_json::from_slice(row.unwrap()).unwrap())));
    }
    Ok((reader.layout(), rows))
}

/// Returns the values of a text of JSON values one after the other, with the lines where they start.
fn oracle(text: &str) -> Rows {
    let mut stream = Deserializer::from_str(text).into_iter::<Value>();
    let mut rows = Vec::new();
    loop {
        let rest = &text[stream.byte_offset()..];
        let start = stream.byte_offset() + rest.len() - rest.trim_start().len();
        let Some(value) = stream.next() else { return rows };
        rows.push((1 + text[..start].matches('\n').count() as u64, value.unwrap()));
    }
}

/// Objects with awkward texts.
fn objects() -> impl Strategy<Value = Vec<Value>> {
    let text = "[\\[\\]{}\",:\\\\a é\n]{0,9}";
    let value = (text, text, any::<bool>()).prop_map(|(one, two, nested)| {
        if nested { json!({ "a": [one, { "b": two }], "c": {} }) } else { json!({ "a": one, "b": two }) }
    });
    prop::collection::vec(value, 1..8)
}

fn write(value: &Value, pretty: bool) -> String {
    if pretty { serde_json::to_string_pretty(value).unwrap() } else { value.to_string() }
}

proptest! {
    #[test]
    fn values_one_after_the_other_are_read_as_by_serde_json(
        values in objects(),
        separator in prop::sample::select(vec!["\n", "\r\n\r\n", "  \n"]),
        step in 1_usize..40,
    ) {
        let text: String = values.iter().map(|value| write(value, true) + separator).collect();
        let expected = (Layout::Sequence, oracle(&text));
        prop_assert_eq!(&read_rows(&text, step).unwrap(), &expected);
        prop_assert_eq!(&read_chunks(&text, step).unwrap(), &expected);
    }

    #[test]
    fn commas_between_values_are_skipped(
        values in objects(),
        pretty in any::<bool>(),
        last in any::<bool>(),
        step in 1_usize..40,
    ) {
        // One value alone, without a comma, is a line.
        prop_assume!(pretty || last || values.len() > 1);
        let texts: Vec<String> = values.iter().map(|value| write(value, pretty)).collect();
        let text = texts.join(" ,\n") + if last { ",\n" } else { "\n" };
        let expected = (Layout::Sequence, oracle(&(texts.join("  \n") + "\n")));
        prop_assert_eq!(&read_rows(&text, step).unwrap(), &expected);
        prop_assert_eq!(&read_chunks(&text, step).unwrap(), &expected);
    }

    #[test]
    fn the_users_in_an_object_are_read_as_by_serde_json(
        values in objects(),
        before in "[\\[\\]{}\",:\\\\ é\n]{0,20}",
        pretty in any::<bool>(),
        step in 1_usize..40,
    ) {
        // Names are sorted in the text.
        let object = json!({
            "a": before, "b": [1, [before], { "x": before }], "c": null, "realm": -1.5, "start": 0, "users": values,
            "v": [{ "users": [{ "x": 1 }] }], "w": before, "z": true,
        });
        let text = write(&object, pretty);
        for (found, name) in [(read_rows(&text, step), "rows"), (read_chunks(&text, step), "chunks")] {
            let (layout, rows) = found.unwrap();
            prop_assert_eq!(layout, Layout::Member);
            let read: Vec<&Value> = rows.iter().map(|(_, value)| value).collect();
            prop_assert_eq!(read, values.iter().collect::<Vec<_>>(), "{}", name);
            for (line, value) in &rows {
                let at = text.lines().nth(*line as usize - 1).unwrap();
                prop_assert!(at.contains('{'), "{name}: line {line} of {value} is {at}");
            }
        }
    }

    #[test]
    fn a_comma_may_follow_the_last_element(values in objects(), pretty in any::<bool>(), step in 1_usize..40) {
        let text = write(&json!(values), pretty);
        let with_comma = format!("{},\n]", text.trim_end_matches(']').trim_end());
        let expected = read_rows(&text, step).unwrap();
        prop_assert_eq!(&read_rows(&with_comma, step).unwrap(), &expected);
        prop_assert_eq!(&read_chunks(&with_comma, step).unwrap(), &expected);
    }

    #[test]
    fn both_readers_find_the_same_in_arbitrary_text(
        text in "[\\[{]{0,2}(\"users\":)?[\\[\\]{}\",:\\\\ \n\ra0é-]{0,60}",
        step in 1_usize..20,
    ) {
        let rows = |found: Result<(Layout, Rows), ReadError>| found.map(|(_, rows)| rows).ok();
        let input = TextInput::open(source(&text, step), &ReadOptions::default());
        let layout = input.and_then(|mut input| input.detect_layout());
        // The values are not validated here, and lines may be blank.
        if let Ok(layout) = layout
            && layout.is_bracketed()
            && oracle_accepts(&text)
        {
            prop_assert_eq!(rows(read_rows(&text, step)), rows(read_chunks(&text, step)));
        }
    }
}

/// Returns whether a text is a sequence of JSON values.
fn oracle_accepts(text: &str) -> bool {
    Deserializer::from_str(text).into_iter::<Value>().all(|value| value.is_ok())
}

#[test]
fn a_large_object_is_read_to_its_list_and_to_its_end() {
    let noise: Vec<Value> = (0..20_000).map(|number| json!({ "clientId": number, "description": "x\"}]" })).collect();
    let users: Vec<Value> = (0..20_000).map(|number| json!({ "username": format!("user{number}") })).collect();
    let text = json!({ "clients": noise, "realm": "r", "users": users, "vault": noise }).to_string();
    for found in [read_rows(&text, 70_000), read_chunks(&text, 70_000)] {
        let (layout, rows) = found.unwrap();
        assert_eq!(layout, Layout::Member);
        assert_eq!(rows.iter().map(|(_, value)| value).collect::<Vec<_>>(), users.iter().collect::<Vec<_>>());
    }
    let without = json!({ "clients": noise, "realm": "r" }).to_string();
    for error in [read_rows(&without, 70_000).unwrap_err(), read_chunks(&without, 70_000).unwrap_err()] {
        assert!(matches!(&error, ReadError::NoUserList { lists, .. } if *lists == ["clients"]), "{error:?}");
    }
}

#[test]
fn an_incomplete_object_and_nested_arrays_are_errors() {
    for text in
        ["{\"users\":[{}],", "{\"users\":[{}", "{\"users\":[{}]} 5", "[[{}],[{}]]", "[\n [", "{\"users\":[{}]}{}"]
    {
        assert!(read_rows(text, 3).is_err(), "{text}");
        assert!(read_chunks(text, 3).is_err(), "{text}");
    }
}

/// The names of the columns, the first cells of the rows with their lines, and the skipped lines.
type Table = (Vec<String>, Vec<(u64, String)>, Vec<(u64, SkippedKind)>);

fn read_csv(text: &str) -> Table {
    let input = TextInput::open(source(text, 7), &ReadOptions::default()).unwrap();
    let mut reader = CsvReader::open(input, &|name| ["email", "name"].contains(&name)).unwrap();
    let names = reader.read_header().unwrap();
    let mut record = Record::default();
    let mut rows = Vec::new();
    while reader.next(&mut record).unwrap() {
        rows.push((record.line, reader.texts(1).remove(0)));
    }
    let skipped = reader.take_skipped().into_iter().map(|skipped| (skipped.line, skipped.kind)).collect();
    (names, rows, skipped)
}

#[test]
fn lines_above_the_header_of_csv_are_skipped() {
    for (text, names, row, skipped) in [
        (
            "#TYPE A.B\r\n\"email\",\"name\"\r\n\"a\",\"b\"\r\n",
            ["email", "name"],
            (3, "a"),
            vec![(1, SkippedKind::PowerShellType)],
        ),
        (
            "version:v1.0,\nMail [email] Required,Name [name]\na,b\n",
            ["email", "name"],
            (3, "a"),
            vec![(1, SkippedKind::Version)],
        ),
        ("Staff of 2024\n\nemail,name\na,b\n", ["email", "name"], (4, "a"), vec![(1, SkippedKind::Title)]),
        (
            "Staff;;\n;;\nemail;name\na;b\n",
            ["email", "name"],
            (4, "a"),
            vec![(1, SkippedKind::Title), (2, SkippedKind::Title)],
        ),
        (
            ",\n,\nemail,name\na,b\n",
            ["email", "name"],
            (4, "a"),
            vec![(1, SkippedKind::Blank), (2, SkippedKind::Blank)],
        ),
        ("email,name\n\u{FEFF}email,name\na,b\n", ["email", "name"], (3, "a"), vec![(2, SkippedKind::RepeatedHeader)]),
    ] {
        let found = read_csv(text);
        assert_eq!(found.0[..2], names, "{text:?}");
        assert_eq!(found.1, [(row.0, row.1.to_owned())], "{text:?}");
        assert_eq!(found.2, skipped, "{text:?}");
    }
}

#[test]
fn a_user_in_place_of_the_header_is_an_error_without_its_values() {
    let text = "L1,ada@example.com,true,aGFzaA==\nL2,bob@example.com,false,aGFzaA==\n";
    let input = TextInput::open(source(text, 7), &ReadOptions::default()).unwrap();
    let mut reader = CsvReader::open(input, &|_| false).unwrap();
    let error = reader.read_header().unwrap_err();
    assert!(matches!(error, ReadError::MissingHeader { line: 1, columns: 4 }), "{error:?}");
}

#[test]
fn utf16_without_a_mark_is_recognized() {
    for (text, layout) in [("[{\"a\": \"é高\"}]", Layout::Array), ("email,name\na,高橋\n", Layout::Csv)] {
        for big in [false, true] {
            let units = text.encode_utf16();
            let bytes: Vec<u8> =
                units.flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect();
            let mut input = TextInput::open(Box::new(Slow(Cursor::new(bytes), 5)), &ReadOptions::default()).unwrap();
            assert_eq!(input.detect_layout().unwrap(), layout);
            let format = input.format();
            assert_eq!((format.encoding, format.is_guessed), (if big { "UTF-16BE" } else { "UTF-16LE" }, false));
        }
    }
}
