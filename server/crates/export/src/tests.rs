//! Tests of exports of files.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use serde_json::{Value as JsonValue, json};

use super::*;
use uie_core::error::{Code, Result};
use uie_core::progress::Progress;
use uie_expression::Pins;

mod filter;
mod hostile;
mod recovery;
mod tenant;

/// An output that can be read afterward.
#[derive(Clone, Default)]
pub(super) struct Output(Arc<Mutex<Vec<u8>>>);

impl Output {
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.bytes()).expect("the output is UTF-8")
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub(super) fn request(format: Format, columns: &[(&str, &str)]) -> ExportRequest {
    let fields: Vec<FieldRequest> = columns
        .iter()
        .map(|(name, title)| FieldRequest { name: (*name).to_owned(), export_as: Some((*title).to_owned()) })
        .collect();
    ExportRequest {
        format,
        connection_id: None,
        fields: (!fields.is_empty()).then_some(fields),
        preset: None,
        query: None,
        sort: None,
        limit: None,
        delimiter: None,
        bom: false,
        raw_cells: false,
        gzip: false,
        on_error: OnError::Empty,
        transforms: Pins::default(),
    }
}

fn lines(rows: impl IntoIterator<Item = String>) -> String {
    rows.into_iter().map(|row| row + "\n").collect()
}

const MEMORY: u64 = 1 << 20;

fn try_export(request: &ExportRequest, input: impl Into<Vec<u8>>) -> Result<(String, ExportSummary)> {
    let spec = ExportSpec::new(request, MEMORY)?.with_threads(3);
    let input = input.into();
    let read = |reading| {
        let spec = spec.clone().with_reading(reading);
        let output = Output::default();
        let input = std::io::Cursor::new(input.clone());
        let summary = run_file(&spec, Box::new(input), Box::new(output.clone()), &Progress::default())?;
        Ok((output.text(), summary))
    };
    // Both ways of reading lines must have the same result.
    let (indexed, scanned) = (read(Reading::Index), read(Reading::Scan));
    assert_eq!(format!("{indexed:?}"), format!("{scanned:?}"));
    indexed
}

fn export(request: &ExportRequest, input: impl Into<Vec<u8>>) -> (String, ExportSummary) {
    try_export(request, input).expect("the export succeeds")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

const USERS: &str = r#"{"user_id":"auth0|1","email":"ada@example.com","name":"=1+1","blocked":false,"logins_count":0,"app_metadata":{"plan":"pro","n":-5,"list":[1,"a,b"]}}
{"user_id":"auth0|2","name":"say \"hi\",\nnow","logins_count":-7,"app_metadata":{"plan":null}}
{"user_id":"google-oauth2|3","email":"","name":"","picture":"@x","identities":[{"connection":"google"}]}
"#;

const COLUMNS: &[(&str, &str)] = &[
    ("user_id", "Id"),
    ("name", "The \"Name\""),
    ("blocked", "Blocked"),
    ("logins_count", "Logins"),
    ("app_metadata.list", "List"),
    ("app_metadata.plan || 'none'", "Plan"),
    ("picture", "=Picture"),
];

#[test]
fn csv_follows_rfc_4180_and_guards_formulas() {
    insta::assert_snapshot!(export(&request(Format::Csv, COLUMNS), USERS).0);
}

#[test]
fn csv_options_change_the_dialect() {
    let request = ExportRequest {
        delimiter: Some("\\t".into()),
        bom: true,
        raw_cells: true,
        ..request(Format::Csv, &COLUMNS[..3])
    };
    insta::assert_snapshot!(format!("{:?}", export(&request, USERS).0));
}

#[test]
fn every_kind_of_cell_is_quoted_if_it_contains_the_delimiter() {
    let request = ExportRequest {
        delimiter: Some("e".into()),
        ..request(Format::Csv, &[("a", "a"), ("b", "b"), ("c", "c"), ("d", "d")])
    };
    let (text, _) = export(&request, r#"{"a":true,"b":1e30,"c":"even","d":{"e":null}}"#);
    assert_eq!(text, "aebeced\n\"true\"e\"1e+30\"e\"even\"e\"{\"\"e\"\":null}\"\n");
}

#[test]
fn json_is_one_array_with_one_user_per_line() {
    let (text, _) = export(&request(Format::Json, COLUMNS), USERS);
    let parsed: Vec<JsonValue> = serde_json::from_str(&text).unwrap();
    assert_eq!(parsed.len(), 3);
    insta::assert_snapshot!(text);
}

#[test]
fn ndjson_has_one_user_per_line() {
    insta::assert_snapshot!(export(&request(Format::Ndjson, COLUMNS), USERS).0);
}

#[test]
fn without_columns_json_has_whole_users_unchanged() {
    let input = "[ { \"b\" : 1.50 , \"a b\" : \" x \\\" \\ud83d \" , \"c\":[ 1 , {} ] } ,\n\n{ } ]";
    let expected = "{\"b\":1.50,\"a b\":\" x \\\" \\ud83d \",\"c\":[1,{}]}";
    assert_eq!(export(&request(Format::Ndjson, &[]), input).0, format!("{expected}\n{{}}\n"));
    assert_eq!(export(&request(Format::Json, &[]), input).0, format!("[\n{expected},\n{{}}\n]\n"));
}

#[test]
fn without_columns_csv_has_the_eleven_default_columns() {
    let (text, _) = export(&request(Format::Csv, &[]), USERS);
    let header =
        "Id,Given Name,Family Name,Nickname,Name,Email,Email Verified,Picture,Connection,Created At,Updated At";
    assert_eq!(text.lines().next(), Some(header));
    assert!(text.ends_with("google-oauth2|3,,,,,,,'@x,google,,\n"), "{text}");
}

#[test]
fn json_keeps_the_last_column_of_a_name_and_csv_keeps_all() {
    let columns = [("a", "x"), ("b", "y"), ("c", "x")];
    let input = "{\"a\":1,\"b\":2,\"c\":3}";
    assert_eq!(export(&request(Format::Ndjson, &columns), input).0, "{\"x\":3,\"y\":2}\n");
    assert_eq!(export(&request(Format::Csv, &columns), input).0, "x,y,x\n1,2,3\n");
}

#[test]
fn an_export_without_users_is_a_valid_file() {
    for input in ["", " \n\r\n", "[]", "\u{feff}[ ]\n"] {
        assert_eq!(export(&request(Format::Csv, &COLUMNS[..2]), input).0, "Id,\"The \"\"Name\"\"\"\n");
        assert_eq!(export(&request(Format::Json, COLUMNS), input).0, "[]\n");
        assert_eq!(export(&request(Format::Ndjson, COLUMNS), input).0, "");
    }
}

#[test]
fn a_row_of_empty_cells_is_a_row() {
    assert_eq!(export(&request(Format::Csv, &[("a", "A")]), "{}\n{\"a\":1}").0, "A\n\"\"\n1\n");
    assert_eq!(export(&request(Format::Csv, &[("a", "A"), ("b", "B")]), "{}").0, "A,B\n,\n");
}

#[test]
fn every_input_format_has_the_same_rows() {
    let rows = USERS.lines().collect::<Vec<_>>();
    let (expected, _) = export(&request(Format::Csv, COLUMNS), USERS);
    let array = format!("[{}]", rows.join(","));
    let pretty = serde_json::to_string_pretty(&serde_json::from_str::<JsonValue>(&array).unwrap()).unwrap();
    let members = [gzip(rows[0].as_bytes()), gzip(b"\n"), gzip(rows[1..].join("\r\n").as_bytes())].concat();
    for (name, input) in [
        ("array", array.clone().into_bytes()),
        ("pretty array", pretty.into_bytes()),
        ("gzip", gzip(USERS.as_bytes())),
        ("gzip of an array", gzip(array.as_bytes())),
        ("several gzip members", members),
        ("byte-order mark", format!("\u{feff}{USERS}").into_bytes()),
        ("byte-order mark and array", format!("\u{feff} \n{array}\n").into_bytes()),
        ("CR LF and blank lines", format!("\r\n{}\r\n \r\n", rows.join("\r\n\r\n")).into_bytes()),
        ("no line end at the end", USERS.trim_end().as_bytes().to_vec()),
    ] {
        let (text, summary) = export(&request(Format::Csv, COLUMNS), input);
        assert_eq!((text.as_str(), summary.faults), (expected.as_str(), 0), "{name}");
    }
}

#[test]
fn csv_has_the_same_rows_as_the_users_that_it_was_written_from() {
    // The default columns, metadata, and a column of another system.
    let columns = &[
        ("user_id", "Id"),
        ("email", "email"),
        ("email_verified", "Email Verified"),
        ("identities[0].connection", "Connection"),
        ("logins_count", "logins_count"),
        ("app_metadata.plan", "app_metadata.plan"),
        ("user_metadata", "user_metadata"),
        ("user['Shoe size']", "Shoe size"),
    ];
    let users = [
        json!({
            "user_id": "auth0|1", "email": "josé@example.com", "email_verified": true, "logins_count": 0,
            "identities": [{"connection": "Users"}], "app_metadata": {"plan": "a;\"b\"\nc"},
            "user_metadata": {"x": [1, "y"]}, "Shoe size": "0042",
        }),
        json!({"user_id": "auth0|2", "email_verified": false, "app_metadata": {"plan": 5}}),
        json!({"user_id": "auth0|3", "email": "b@example.com", "app_metadata": {"plan": "=1"}}),
    ];
    let rows = lines(users.iter().map(JsonValue::to_string));
    for format in [Format::Csv, Format::Ndjson] {
        let (expected, _) = export(&request(format, columns), rows.as_str());
        for delimiter in [",", ";"] {
            let written = ExportRequest { delimiter: Some(delimiter.to_owned()), ..request(Format::Csv, columns) };
            let (csv, _) = export(&written, rows.as_str());
            let utf16 = |text: &str| {
                let units = std::iter::once(0xfeff).chain(text.encode_utf16());
                units.flat_map(u16::to_le_bytes).collect::<Vec<u8>>()
            };
            let windows_1252 =
                csv.replace('é', "\u{1}").bytes().map(|byte| if byte == 1 { 0xe9 } else { byte }).collect();
            for (name, input) in [
                ("UTF-8", csv.clone().into_bytes()),
                ("gzip", gzip(csv.as_bytes())),
                ("UTF-16", utf16(&csv)),
                ("Windows-1252", windows_1252),
            ] {
                let (text, summary) = export(&request(format, columns), input);
                assert_eq!((text.as_str(), summary.faults), (expected.as_str(), 0), "{name} {delimiter}");
            }
        }
    }
    let array = format!("[{}]", users.map(|user| user.to_string()).join(","));
    let utf16: Vec<u8> = [0xfe, 0xff].into_iter().chain(array.encode_utf16().flat_map(u16::to_be_bytes)).collect();
    let expected = export(&request(Format::Csv, columns), array);
    assert_eq!(export(&request(Format::Csv, columns), utf16), expected, "JSON in UTF-16");
}

#[test]
fn faults_of_csv_have_the_line_of_the_record() {
    let csv = "email,name,\na@b.c,\"two\nlines\",\nb@b.c\nc@b.c,c,x\nd@b.c,d,\n\"e";
    let (text, summary) = export(&request(Format::Csv, &[("email", "E"), ("name", "N")]), csv);
    assert_eq!(text, "E,N\na@b.c,\"two\nlines\"\nd@b.c,d\n");
    assert_eq!(
        summary.first_faults,
        [
            "line 4: the row has 1 cell; the header has 3",
            "line 5: the row has a value in column 3, which has no name",
            "line 7: the file ends inside a quoted cell of the row",
        ]
    );
    let (text, _) = export(&request(Format::Csv, &[("email", "E")]), "a@b.c\nb@b.c\n");
    assert_eq!(text, "E\na@b.c\nb@b.c\n", "a list of addresses has no header");
    let (text, summary) = export(&request(Format::Csv, &[("a", "A")]), "nonsense\n{\"a\":1}\n");
    assert_eq!((text.as_str(), summary.faults), ("A\n1\n", 1), "a damaged first line does not make a file CSV");
}

#[test]
fn files_of_other_shapes_and_encodings_are_exported() {
    let columns = [("email", "email"), ("name", "name")];
    let expected = "email,name\na@b.c,高橋\nb@b.c,表示 能\n";
    let shift_jis = b"email,name\na@b.c,\x8d\x82\x8b\xb4\nb@b.c,\x95\x5c\x8e\xa6 \x94\x5c\n";
    let users = "{\"email\":\"a@b.c\",\"name\":\"高橋\"},\n{\"email\":\"b@b.c\",\"name\":\"表示 能\"}";
    for (input, guessed) in [
        (shift_jis.to_vec(), true),
        (format!("{{\"start\":0,\"users\":[{users}],\"total\":2}}").into_bytes(), false),
        (users.replace(':', ":\n").into_bytes(), false),
        (format!("[{users},\n]").into_bytes(), false),
        ("dn: a\nemail: a@b.c\nname:: 6auY5qmL\n\ndn: b\nemail: b@b.c\nname: 表示\n  能\n".into(), false),
    ] {
        let (text, summary) = export(&request(Format::Csv, &columns), input);
        assert_eq!((text.as_str(), summary.faults), (expected, 0));
        assert_eq!(summary.warnings.len(), usize::from(guessed), "{:?}", summary.warnings);
        if guessed {
            let warning = summary.warnings[0].to_string();
            assert!(
                warning.contains("read as Shift_JIS") && warning.contains("name in line 2 contains \"高橋\""),
                "{warning}"
            );
        }
    }
}

fn input_file(name: &str, content: &str) -> InputFile {
    let content = content.to_owned().into_bytes();
    InputFile {
        name: Some(name.to_owned()),
        open: Box::new(move || Ok(Box::new(std::io::Cursor::new(content)))),
        options: ReadOptions::default(),
    }
}

#[test]
fn several_files_are_exported_in_order_and_faults_name_the_file() {
    let files = || {
        vec![
            input_file("a.ndjson", "{\"email\":\"a@b.c\"}\nnonsense\n"),
            input_file("empty", ""),
            input_file("b.json", "[{\"email\":\"b@b.c\"}]"),
            input_file("c.csv", "email,name\nc@b.c,C\nd@b.c\n"),
        ]
    };
    let run = |request: &ExportRequest, files: Vec<InputFile>| {
        let spec = ExportSpec::new(request, MEMORY).unwrap().with_threads(2);
        let output = Output::default();
        run_files(&spec, files, Box::new(output.clone()), &Progress::default()).map(|summary| (output.text(), summary))
    };
    let columns = request(Format::Csv, &[("email", "E")]);
    let (text, summary) = run(&columns, files()).unwrap();
    assert_eq!(text, "E\na@b.c\nb@b.c\nc@b.c\n");
    assert_eq!(
        summary.first_faults,
        [
            "a.ndjson, line 2: not valid JSON at byte 2 of the row",
            "c.csv, line 3: the row has 1 cell; the header has 2"
        ]
    );
    let limited = ExportRequest { limit: Some(2), ..columns.clone() };
    assert_eq!(run(&limited, files()).unwrap().0, "E\na@b.c\nb@b.c\n");
    let damaged = vec![input_file("good", "{}"), input_file("bad", "[{},,{}]")];
    let error = run(&columns, damaged).unwrap_err();
    assert_eq!(error.code, Code::InvalidUsersFile);
    assert!(error.message.to_string().starts_with("bad: Line 1: found `,`"), "{}", error.message);
}

#[test]
fn gzip_output_decompresses_to_the_same_rows() {
    let plain = export(&request(Format::Csv, COLUMNS), USERS).0;
    let spec = ExportSpec::new(&ExportRequest { gzip: true, ..request(Format::Csv, COLUMNS) }, MEMORY).unwrap();
    let output = Output::default();
    run_file(&spec, Box::new(USERS.as_bytes()), Box::new(output.clone()), &Progress::default()).unwrap();
    let mut inflated = String::new();
    flate2::read::GzDecoder::new(output.bytes().as_slice()).read_to_string(&mut inflated).unwrap();
    assert_eq!(inflated, plain);
}

#[test]
fn unreadable_rows_are_counted_with_their_line_and_other_rows_are_exported() {
    let lines = "{\"a\":1}\n\nnonsense\n{\"a\":2}\n[3]\n{\"a\":\n{\"a\":3}\n";
    let (text, summary) = export(&request(Format::Csv, &[("a", "A")]), lines);
    assert_eq!(text, "A\n1\n2\n3\n");
    assert_eq!(
        summary.first_faults,
        [
            "line 3: not valid JSON at byte 2 of the row",
            "line 5: not a JSON object",
            "line 6: not valid JSON at byte 6 of the row"
        ]
    );
    assert_eq!((summary.rows, summary.faults), (3, 3));
    let array = "[\n{\"a\":1}, 5,\n\"x\", null ,{\"a\":x}\n,[1,2],\n{\"a\":\n2}]";
    let (text, summary) = export(&request(Format::Csv, &[("a", "A")]), array);
    assert_eq!(text, "A\n1\n2\n");
    assert_eq!(summary.faults, 5);
    assert!(summary.first_faults[3].to_string().starts_with("line 3: not valid JSON"), "{:?}", summary.first_faults);
    assert_eq!(summary.first_faults[4], "line 4: not a JSON object");
}

#[test]
fn faults_never_quote_the_row() {
    let rows = "{\"email\":\"secret@example.com\" \"x\"}\n{\"a\":secret}\n\"secret\"\nsecret\n";
    let (_, summary) = export(&request(Format::Csv, &[("email", "E")]), rows);
    assert_eq!(summary.faults, 4);
    assert!(!summary.first_faults.iter().any(|fault| fault.contains("secret")), "{:?}", summary.first_faults);
}

#[test]
fn on_error_fail_stops_at_the_first_bad_row() {
    let request = ExportRequest { on_error: OnError::Fail, ..request(Format::Csv, COLUMNS) };
    let error = try_export(&request, "{}\nx\n").unwrap_err();
    assert_eq!(error.code, Code::RowFault);
    assert!(error.message.contains("line 2"), "{}", error.message);
    let first = ExportRequest { limit: Some(1), ..request };
    assert_eq!(export(&first, "{}\nx\n").1.rows, 1, "rows beyond the limit are not read");
}

#[test]
fn damaged_input_fails_the_export() {
    let whole = gzip(&USERS.repeat(100).into_bytes());
    let mut damaged = whole.clone();
    let last = damaged.len() - 6;
    damaged[last] ^= 0xff;
    for (input, expected) in [
        (whole[..whole.len() - 20].to_vec(), "ends in the middle"),
        (whole[..5].to_vec(), "ends in the middle"),
        (damaged, "damaged"),
        ([gzip(b"{}\n"), b"this is not gzip".to_vec()].concat(), "damaged"),
        (b"[{},{}".to_vec(), "should end with `]`"),
        (b"[{},".to_vec(), "should end with `]`"),
        (b"[".to_vec(), "should end with `]`"),
        (b"[{},\n{\"a\":".to_vec(), "the user that starts in line 2"),
        (b"[{} {}]".to_vec(), "found `{`, expected `,` or `]`"),
        (b"[{},,{}]".to_vec(), "a user after the comma"),
        (b"[[{}],[{}]]".to_vec(), "an array of arrays"),
        (b"{\"users\":[{},{}".to_vec(), "should end with `]`"),
        (b"{\"users\":[{},{}],".to_vec(), "before the closing brace"),
        (b"{\"users\":[{}]} {}".to_vec(), "expected nothing"),
        (b"{\"a\":[{\"x\":1}],\"b\":[{\"x\":1}]}".to_vec(), "none of its lists is known to be the users: a, b"),
        (b"L1,ada@example.com,aGFzaA==\n".to_vec(), "looks like a user, not like a header"),
        (b"[,]".to_vec(), "found `,`, expected a user"),
        (b"[{\"a\":{]}}]".to_vec(), "found `}`, expected `,` or `]`"),
        (b"[{}]\n{}".to_vec(), "Line 2: found `{`, expected nothing"),
        (b"PK\x03\x04".to_vec(), "a ZIP archive or a spreadsheet, neither JSON nor CSV"),
        (b"<html>".to_vec(), "HTML or XML, neither JSON nor CSV"),
        (b"email,name,Email\n".to_vec(), "Columns 1 and 3 of the file mean the same attribute"),
    ] {
        let error = try_export(&request(Format::Csv, COLUMNS), input).unwrap_err();
        assert_eq!(error.code, Code::InvalidUsersFile, "{}", error.message);
        assert!(error.message.contains(expected), "{} should contain {expected}", error.message);
    }
}

#[test]
fn a_limit_stops_reading() {
    /// Fails if it is read much further than the limit.
    struct Trap(usize);
    impl Read for Trap {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0 += 1;
            if self.0 > 1_000_000 {
                return Err(std::io::Error::other("read too far"));
            }
            buffer[0] = b"{\"a\":1}\n"[(self.0 - 1) % 8];
            Ok(1)
        }
    }
    let limited = ExportRequest { limit: Some(3), ..request(Format::Json, &[("a", "A")]) };
    let spec = ExportSpec::new(&limited, MEMORY).unwrap().with_threads(1);
    let (output, progress) = (Output::default(), Progress::default());
    let summary = run_file(&spec, Box::new(Trap(0)), Box::new(output.clone()), &progress).unwrap();
    assert_eq!(output.text(), "[\n{\"A\":1},\n{\"A\":1},\n{\"A\":1}\n]\n");
    assert_eq!((summary.rows, progress.processed()), (3, 3));
}

#[test]
fn a_canceled_export_stops() {
    let progress = Progress::default();
    progress.cancel();
    let spec = ExportSpec::new(&request(Format::Csv, COLUMNS), MEMORY).unwrap();
    let error = run_file(&spec, Box::new(USERS.as_bytes()), Box::new(Output::default()), &progress).unwrap_err();
    assert_eq!(error.code, Code::Canceled);
}

#[test]
fn an_output_that_fails_ends_the_export() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let spec = ExportSpec::new(&request(Format::Csv, COLUMNS), MEMORY).unwrap();
    let error = run_file(&spec, Box::new(USERS.as_bytes()), Box::new(Full), &Progress::default()).unwrap_err();
    assert_eq!(error.code, Code::DiskFull);
}

#[test]
fn a_row_that_is_too_long_is_a_fault_and_the_next_row_is_read() {
    // `{"a":1}`, a line of 70 MiB, `{"a":2}`, without storing them.
    let long = std::io::repeat(b'x').take(70 << 20);
    let input = (&b"{\"a\":1}\n"[..]).chain(long).chain(&b"\n{\"a\":2}\n"[..]);
    let spec = ExportSpec::new(&request(Format::Csv, &[("a", "A")]), MEMORY).unwrap();
    let output = Output::default();
    let summary = run_file(&spec, Box::new(input), Box::new(output.clone()), &Progress::default()).unwrap();
    assert_eq!(output.text(), "A\n1\n2\n");
    assert_eq!(summary.first_faults, ["line 2: longer than 64 MiB"]);
}

fn sorted(by: &str, descending: bool, values: &[&str]) -> Vec<String> {
    let rows = lines(values.iter().enumerate().map(|(at, value)| format!("{{\"k\":{value},\"at\":{at}}}")));
    let rows = rows.replace("\"k\":,", "");
    let request = ExportRequest {
        sort: Some(SortRequest { by: by.to_owned(), descending }),
        ..request(Format::Ndjson, &[("k", "k"), ("at", "at")])
    };
    let (text, _) = export(&request, rows);
    text.lines().map(|line| serde_json::from_str::<JsonValue>(line).unwrap()["k"].to_string()).collect()
}

#[test]
fn rows_are_sorted_by_type_and_value_with_missing_ones_last() {
    let values = [
        "\"b\"", "", "10", "true", "\"a\"", "[1]", "-5", "null", "9.5", "\"é\"", "false", "{}", "\"B\"", "-0.5", "\"\"",
    ];
    let ascending = [
        "-5", "-0.5", "9.5", "10", "false", "true", "\"\"", "\"B\"", "\"a\"", "\"b\"", "\"é\"", "[1]", "{}", "null",
        "null",
    ];
    assert_eq!(sorted("k", false, &values), ascending);
    let mut descending: Vec<&str> = ascending.iter().rev().copied().collect();
    descending.rotate_left(2);
    assert_eq!(sorted("k", true, &values), descending);
}

#[test]
fn equal_rows_keep_their_order_in_both_directions() {
    for descending in [false, true] {
        let rows = lines((0..100).map(|at| format!("{{\"k\":{},\"at\":{at}}}", at % 3)));
        let request = ExportRequest {
            sort: Some(SortRequest { by: "k".to_owned(), descending }),
            ..request(Format::Ndjson, &[("at", "at")])
        };
        let mut expected: Vec<i32> = (0..100).collect();
        expected.sort_by_key(|at| if descending { -(at % 3) } else { at % 3 });
        let expected = lines(expected.iter().map(|at| format!("{{\"at\":{at}}}")));
        assert_eq!(export(&request, rows).0, expected);
    }
}

#[test]
fn a_sort_with_files_has_the_same_result_as_in_memory() {
    let rows: Vec<(u64, String)> = (0..60_000_u64)
        .map(|at| {
            let key = at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48;
            (key, format!("{{\"k\":{key},\"at\":{at},\"fill\":\"{}\"}}", "x".repeat((at % 90) as usize)))
        })
        .collect();
    let input = rows.iter().map(|(_, row)| row.as_str()).collect::<Vec<_>>().join("\n");
    for descending in [false, true] {
        let mut expected = rows.clone();
        expected.sort_by_key(|(key, _)| if descending { u64::MAX - key } else { *key });
        let expected = lines(expected.into_iter().map(|(_, row)| row));
        let request = ExportRequest {
            sort: Some(SortRequest { by: "k".to_owned(), descending }),
            ..request(Format::Ndjson, &[])
        };
        let (text, _) = export(&request, input.as_str());
        assert!(text == expected, "the order differs");
        let limited = ExportRequest { limit: Some(10), ..request };
        assert_eq!(export(&limited, input.as_str()).0, expected.split_inclusive('\n').take(10).collect::<String>());
    }
}

#[test]
fn a_sort_can_merge_its_files_several_times() {
    let directory = tempfile::tempdir().unwrap();
    let mut sorter = sort::Sorter::new(false, 300 * 1024, directory.path().to_owned());
    let row = "y".repeat(10_000);
    let count = 3_000_u32;
    for at in 0..count {
        sorter.push(&[1, (at % 7) as u8], format!("{at} {row}").as_bytes()).unwrap();
    }
    let mut numbers = Vec::new();
    sorter
        .finish(|row| {
            let text = std::str::from_utf8(row).unwrap();
            numbers.push(text.split(' ').next().unwrap().parse::<u32>().unwrap());
            Ok(true)
        })
        .unwrap();
    let mut expected: Vec<u32> = (0..count).collect();
    expected.sort_by_key(|at| at % 7);
    assert_eq!(numbers, expected);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "no files are left");
}

#[test]
fn the_import_preset_writes_importable_users() {
    let request = ExportRequest { preset: Some(Preset::Import), ..request(Format::Json, &[]) };
    let input = r#"{"user_id":"auth0|a1","email":"a@example.com","created_at":"2024-01-01T00:00:00.000Z","name":null,"nickname":"","app_metadata":{"x":1},"identities":[],"blocked":false}
{"user_id":"sms|b2","phone_number":"+1555"}
{"email":"c@example.com","user_id":"auth0|auth0|c3","logins_count":3}
"#;
    let (text, summary) = export(&request, input);
    assert_eq!(
        serde_json::from_str::<JsonValue>(&text).unwrap(),
        json!([
            {"user_id": "a1", "email": "a@example.com", "blocked": false, "app_metadata": {"x": 1}},
            {"user_id": "auth0|c3", "email": "c@example.com"},
        ])
    );
    assert_eq!((summary.rows, summary.faults), (2, 1));
    let first = summary.first_faults[0].to_string();
    assert!(first.starts_with("line 2: the user has no e-mail"), "{first}");
}

#[test]
fn the_import_preset_accepts_columns_with_importable_names() {
    let shaped = ExportRequest {
        preset: Some(Preset::Import),
        ..request(Format::Json, &[("user_metadata.display || name", "name")])
    };
    let input = r#"{"email":"a@x.com","name":"old","user_metadata":{"display":"new"}}"#;
    let text = export(&shaped, input).0;
    assert_eq!(serde_json::from_str::<JsonValue>(&text).unwrap()[0]["name"], json!("new"));
    let wrong = ExportRequest { preset: Some(Preset::Import), ..request(Format::Json, &[("name", "Given Name")]) };
    let error = ExportSpec::new(&wrong, MEMORY).unwrap_err();
    assert!(error.to_string().contains("given_name"), "{error}");
    let csv = ExportRequest { preset: Some(Preset::Import), ..request(Format::Csv, &[]) };
    assert_eq!(ExportSpec::new(&csv, MEMORY).unwrap_err().code, Code::InvalidBody);
}

#[test]
fn invalid_requests_are_refused_with_the_column_and_the_position() {
    let message = |request: ExportRequest| ExportSpec::new(&request, MEMORY).unwrap_err().to_string();
    let text = message(request(Format::Csv, &[("user_id", "Id"), ("user.name.trim()", "Name")]));
    assert!(text.contains("Column \"Name\"") && text.contains("\n                ^"), "{text}");
    let sort = Some(SortRequest { by: "a ||".to_owned(), descending: false });
    assert!(message(ExportRequest { sort, ..request(Format::Csv, &[]) }).starts_with("The sort expression: "));
    for delimiter in ["", ",,", "\"", "\n", "é", "\0"] {
        let delimiter = Some(delimiter.to_owned());
        let text = message(ExportRequest { delimiter, ..request(Format::Csv, &[]) });
        assert!(text.starts_with("The delimiter is"), "{text}");
    }
    assert!(message(ExportRequest { limit: Some(0), ..request(Format::Csv, &[]) }).contains("limit is 0"));
    assert!(message(ExportRequest { bom: true, ..request(Format::Json, &[]) }).contains("`bom` is for CSV only"));
    assert!(message(request(Format::Csv, &[("name", "")])).contains("empty name"));
    assert!(ExportSpec::new(&request(Format::Csv, &[]), 10).is_err());
}

#[test]
fn request_members_keep_their_names() {
    let request: ExportRequest = serde_json::from_value(json!({
        "format": "csv", "connection_id": "con_0000000000000001", "fields": [{"name": "email", "export_as": "E"}],
        "query": "a:1", "sort": {"by": "email", "descending": true}, "limit": 5, "delimiter": ";", "bom": true,
        "raw_cells": true, "gzip": true, "on_error": "fail", "preset": "import"
    }))
    .unwrap();
    assert_eq!(request.preset, Some(Preset::Import));
    assert_eq!(request.on_error, OnError::Fail);
}

/// Returns one row of CSV, encoded by a simple reference implementation.
fn naive_csv(cells: &[JsonValue]) -> String {
    let cells: Vec<String> = cells
        .iter()
        .map(|cell| {
            let text = match cell {
                JsonValue::Null => String::new(),
                JsonValue::String(text) if text.starts_with(['=', '+', '-', '@', '\t', '\r']) => format!("'{text}"),
                JsonValue::String(text) => text.clone(),
                other => other.to_string(),
            };
            if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
        })
        .collect();
    let row = cells.join(",");
    if row.is_empty() { "\"\"\n".to_owned() } else { row + "\n" }
}

fn any_cell() -> impl Strategy<Value = JsonValue> {
    prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|boolean| json!(boolean)),
        any::<i32>().prop_map(|number| json!(number)),
        "[=+@,;\"\r\n\t a-c😀é\\\\-]{0,6}".prop_map(|text| json!(text)),
        prop::collection::vec("[a\",]{0,3}", 0..3).prop_map(|items| json!(items)),
        prop::collection::btree_map("[a-c\"]{1,2}", any::<bool>(), 0..3).prop_map(|members| json!(members)),
    ]
}

proptest! {
    // Each case has several chunks.
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn an_array_has_the_same_rows_as_lines(
        rows in prop::collection::vec((any_cell(), 0_usize..40_000, any::<bool>()), 0..30),
        separator in prop::sample::select(vec![",", ",\n", " , ", "\r\n,\n\n"]),
        filtered in any::<bool>(),
    ) {
        let users: Vec<JsonValue> = rows
            .iter()
            .map(|(cell, length, nested)| {
                let long = "é\\\"{".repeat(*length / 5);
                json!({"a": cell, "x": if *nested { json!([{"y": long}, []]) } else { json!(long) }})
            })
            .collect();
        let array = users.iter().map(JsonValue::to_string).collect::<Vec<_>>().join(separator);
        let pretty = users.iter().map(|user| serde_json::to_string_pretty(user).unwrap()).collect::<Vec<_>>().join(separator);
        let query = filtered.then(|| "_exists_:a".to_owned());
        let request = ExportRequest { query, ..request(Format::Csv, &[("a", "a"), ("x.length", "l"), ("x[0].y", "y")]) };
        let expected = export(&request, lines(users.iter().map(JsonValue::to_string)));
        prop_assert_eq!(&export(&request, format!("[{array}]")), &expected);
        prop_assert_eq!(&export(&request, format!("\n[ {pretty}\n]\n")), &expected);
    }
}

proptest! {
    #[test]
    fn every_cell_matches_the_reference_implementation(rows in prop::collection::vec((any_cell(), any_cell()), 0..20), array in any::<bool>()) {
        let users: Vec<String> = rows.iter().map(|(a, b)| json!({"a": a, "x": [b], "b": b}).to_string()).collect();
        let input = if array { format!("[{}]", users.join(", ")) } else { users.join("\n") };
        let columns = [("a", "a"), ("b", "b")];
        let expected: String =
            rows.iter().map(|(a, b)| naive_csv(&[a.clone(), b.clone()])).collect();
        let (csv, summary) = export(&request(Format::Csv, &columns), input.as_str());
        prop_assert_eq!(csv, format!("a,b\n{expected}"));
        prop_assert_eq!(summary.rows, rows.len() as u64);
        let (text, _) = export(&request(Format::Json, &columns), input.as_str());
        let expected: Vec<JsonValue> = rows.iter().map(|(a, b)| json!({"a": a, "b": b})).collect();
        prop_assert_eq!(serde_json::from_str::<Vec<JsonValue>>(&text).unwrap(), expected);
    }

    #[test]
    fn the_reader_does_not_panic_on_any_input(bytes in "[\\[\\]{},:\"\\\\a1 \n\u{feff}]{0,40}", compressed in any::<bool>()) {
        let input = if compressed { gzip(bytes.as_bytes()) } else { bytes.into_bytes() };
        let _ = try_export(&request(Format::Csv, COLUMNS), input);
    }

    #[test]
    fn chunks_contain_complete_rows(
        lengths in prop::collection::vec(0_usize..60_000, 1..30),
        array in any::<bool>(),
        reads in 1_usize..50_000,
    ) {
        /// Returns a few bytes per read.
        struct Slow(std::io::Cursor<Vec<u8>>, usize);
        impl Read for Slow {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                let length = buffer.len().min(self.1);
                self.0.read(&mut buffer[..length])
            }
        }
        let users: Vec<String> = lengths.iter().map(|length| format!("{{\"a\":\"{}\"}}", "z".repeat(*length))).collect();
        let input = if array { format!("[{}]", users.join(",\n")) } else { users.join("\n") };
        let spec = ExportSpec::new(&request(Format::Ndjson, &[]), MEMORY).unwrap().with_threads(2);
        let output = Output::default();
        let slow = Slow(std::io::Cursor::new(input.into_bytes()), reads);
        run_file(&spec, Box::new(slow), Box::new(output.clone()), &Progress::default()).unwrap();
        prop_assert_eq!(output.text(), lines(users));
    }
}

mod computed;
