//! Reads the rows of a users file: JSON, CSV or LDIF, each optionally compressed with gzip. The format is detected from
//! the content.
//!
//! Holds one row in memory at a time. JSON rows keep their bytes; rows of CSV and LDIF are converted to JSON. A
//! malformed row of NDJSON, CSV or LDIF is an error of that row only, since the next row starts on the next line. In a JSON array
//! the start of the next element would be uncertain, so reading fails with line and column.

mod cell_watch;
mod csv;
mod error;

use std::io::Read;

use memchr::memchr;
use serde_json::Value;

use self::csv::Csv;
pub(super) use self::csv::{Column, HeaderPolicy, IgnoredColumn};
pub(super) use self::error::damaged_gzip;
use self::error::{empty_error, format_error, read_error};
use super::input_file::InputFormat;
use super::row_fault::{RowFault, RowLocation, Severity};
use uie_core::error::Result;
use uie_core::message::{Message, message};
use uie_records::{
    FileFormat, FormatWatch, Layout, LdifReader, MAX_IMPORTED_ROW_BYTES, MAX_NESTING, Position, ReadOptions,
    RowProblem, SkippedLine, TextInput, describe_mistake,
};
pub(super) use uie_records::{PeekedRow, Record as RawRow};

/// Why a row cannot be read or mapped; the rows after it can still be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RowError {
    pub(super) code: &'static str,
    pub(super) message: Message,
    pub(super) hint: Message,
    /// The affected attribute; `None` for the whole row.
    pub(super) attribute: Option<String>,
}

impl RowError {
    pub(super) fn new(code: &'static str, message: Message, hint: Message) -> Self {
        Self { code, message, hint, attribute: None }
    }

    /// Converts to the reported form, with the location of the row.
    pub(super) fn into_fault(self, location: &RowLocation) -> RowFault {
        RowFault {
            line: location.line,
            row: location.row,
            attribute: self.attribute,
            code: self.code.to_owned(),
            message: self.message,
            hint: Some(self.hint),
            value: None,
            severity: Severity::Error,
            file: location.file_name(),
        }
    }
}

impl From<RowProblem> for RowError {
    fn from(problem: RowProblem) -> Self {
        match problem {
            RowProblem::TooLong(_) => row_too_large(),
            RowProblem::OpenQuote => Self::new(
                "OPEN_QUOTE",
                message!("The file ends inside a quoted cell of this row."),
                message!("Close the quotes; a quote inside a quoted cell is written twice."),
            ),
            RowProblem::Ragged { cells, columns } => Self::new(
                "RAGGED_ROW",
                if cells == 1 {
                    message!("The row has 1 cell; the header has {columns}.")
                } else {
                    message!("The row has {cells} cells; the header has {columns}.")
                },
                message!("Put cells that hold the delimiter or a line break into quotes."),
            ),
            RowProblem::Encoding => Self::new(
                "ENCODING",
                message!("The row contains bytes that are not UTF-8, but the text before it is UTF-8."),
                message!("Save the file as UTF-8."),
            ),
            RowProblem::UnnamedColumn(column) => Self::new(
                "UNNAMED_COLUMN",
                message!("The row has a value in column {column}, which has no name."),
                message!("Name the column in the header, or empty the cell."),
            ),
            RowProblem::LdifLine(line) => Self::new(
                "INVALID_LDIF",
                message!("Line {line} of this entry is not an attribute: name, colon, value."),
                message!(
                    "Continue a long value on the next line after a space, and separate entries by an empty line."
                ),
            ),
            RowProblem::LdifBase64(line) => Self::new(
                "INVALID_LDIF",
                message!("The value in line {line} of this entry is not Base64."),
                message!("A value after two colons (::) is Base64; after one colon it is text."),
            ),
            RowProblem::LdifUrl(line) => Self::new(
                "INVALID_LDIF",
                message!("The value in line {line} of this entry is in another file, which is not read."),
                message!("Export the entries with the values in the file, or remove the line."),
            ),
            RowProblem::LdifChange(kind) => Self::new(
                "INVALID_LDIF",
                message!("The entry is a change of kind `{kind}`, not a user."),
                message!("Export the entries of the directory instead of a log of changes."),
            ),
        }
    }
}

/// Reads the rows of one file.
pub(super) struct RowReader {
    rows: LayoutReader,
    any: bool,
}

enum LayoutReader {
    Json(Box<uie_records::RowReader>),
    Csv(Box<Csv>),
    Ldif(Box<LdifReader>),
}

impl RowReader {
    /// Detects the format from the first bytes. Fails if the file is empty, is neither JSON nor text, or has a CSV
    /// header that `headers` does not accept.
    pub(super) fn open(input: Box<dyn Read + Send>, headers: &HeaderPolicy) -> Result<Self> {
        let options = ReadOptions { encoding: headers.encoding, ..ReadOptions::default() };
        let mut input = TextInput::open(input, &options).map_err(read_error)?;
        let rows = match input.detect_layout().map_err(read_error)? {
            Layout::Csv => LayoutReader::Csv(Box::new(Csv::open(input, headers)?)),
            Layout::Ldif => LayoutReader::Ldif(Box::new(LdifReader::new(input))),
            layout => LayoutReader::Json(Box::new(uie_records::RowReader::new(input, layout))),
        };
        Ok(Self { rows, any: false })
    }

    fn csv(&self) -> Option<&Csv> {
        match &self.rows {
            LayoutReader::Csv(csv) => Some(csv),
            LayoutReader::Json(_) | LayoutReader::Ldif(_) => None,
        }
    }

    /// Returns a value that knows encoding and compression while the file is read.
    pub(super) fn watch(&self) -> FormatWatch {
        match &self.rows {
            LayoutReader::Csv(csv) => csv.records.input().watch(),
            LayoutReader::Json(rows) => rows.input().watch(),
            LayoutReader::Ldif(rows) => rows.input().watch(),
        }
    }

    /// Returns the detected format; the encoding is certain at the end of the file only.
    pub(super) fn format(&self) -> InputFormat {
        let FileFormat { encoding, is_guessed, undecodable, gzip } = self.watch().format();
        let format = match &self.rows {
            LayoutReader::Csv(_) => "csv",
            LayoutReader::Ldif(_) => "ldif",
            LayoutReader::Json(rows) if rows.layout() == Layout::Lines => "ndjson",
            LayoutReader::Json(_) => "json",
        };
        InputFormat {
            file: None,
            format: format.to_owned(),
            encoding: encoding.to_owned(),
            encoding_guessed: is_guessed,
            undecodable,
            delimiter: self.csv().map(|csv| char::from(csv.records.dialect().delimiter).to_string()),
            gzip,
            source: None,
        }
    }

    /// Returns the text of the header of a CSV file; `None` for JSON.
    pub(super) fn header(&self) -> Option<&[u8]> {
        self.csv().map(|csv| csv.records.header())
    }

    /// Returns whether the file has been read completely.
    pub(super) fn is_exhausted(&mut self) -> bool {
        match &mut self.rows {
            LayoutReader::Csv(csv) => csv.records.is_exhausted(),
            LayoutReader::Json(rows) => rows.is_exhausted(),
            LayoutReader::Ldif(rows) => rows.is_exhausted(),
        }
    }

    /// Returns the columns of a CSV file and the attribute of each without a mapping; `None` for JSON.
    pub(super) fn columns(&self) -> Option<&[Column]> {
        self.csv().map(|csv| csv.names.as_slice())
    }

    /// Returns the cells of the last row of a CSV file; empty for JSON.
    pub(super) fn cells(&self, row: &RawRow) -> Vec<String> {
        self.csv().map_or_else(Vec::new, |csv| csv.texts(row))
    }

    /// Returns the CSV columns that cannot be imported, and the line of the header.
    pub(super) fn ignored_columns(&self) -> (&[IgnoredColumn], u64) {
        self.csv().map_or((&[], 0), |csv| (&csv.ignored_columns, csv.records.header_line()))
    }

    /// Removes and returns the lines of a CSV file that were skipped so far.
    pub(super) fn take_skipped(&mut self) -> Vec<SkippedLine> {
        match &mut self.rows {
            LayoutReader::Csv(csv) => csv.records.take_skipped(),
            LayoutReader::Json(_) | LayoutReader::Ldif(_) => Vec::new(),
        }
    }

    /// Returns the warnings about columns that are known at the end of a CSV file; empty for JSON.
    pub(super) fn column_warnings(&self, file: Option<&str>) -> Vec<RowFault> {
        self.csv().map_or_else(Vec::new, |csv| csv.watch.warnings(csv.records.header_line(), file))
    }

    /// Reads the next row into `row`, reusing its buffers; `false` at the end of the file.
    pub(super) fn next(&mut self, row: &mut RawRow) -> Result<bool> {
        let found = match &mut self.rows {
            LayoutReader::Csv(csv) => csv.next(row),
            LayoutReader::Json(rows) => rows.next(row),
            LayoutReader::Ldif(rows) => rows.next(row),
        };
        let found = found.map_err(read_error)?;
        self.any |= found;
        if self.any { Ok(found) } else { Err(empty_error(message!("The users file contains no users."))) }
    }

    /// Returns the next row in the read buffer, without copying it. `None` if it must be read with
    /// [`next`](Self::next): for CSV and LDIF, for the first row, and if a line is not completely in the buffer.
    pub(super) fn peek(&mut self) -> Result<Option<PeekedRow<'_>>> {
        match &mut self.rows {
            LayoutReader::Csv(_) | LayoutReader::Ldif(_) => Ok(None),
            LayoutReader::Json(rows) => rows.peek().map_err(read_error),
        }
    }

    /// Consumes the peeked row, whose JSON is `length` bytes long, and white space up to the end of its line.
    pub(super) fn advance(&mut self, length: usize) -> Result<()> {
        match &mut self.rows {
            LayoutReader::Csv(_) | LayoutReader::Ldif(_) => Ok(()),
            LayoutReader::Json(rows) => rows.advance(length).map_err(read_error),
        }
    }

    fn is_bracketed(&self) -> bool {
        matches!(&self.rows, LayoutReader::Json(rows) if rows.layout().is_bracketed())
    }

    fn is_lines(&self) -> bool {
        matches!(&self.rows, LayoutReader::Json(rows) if rows.layout() == Layout::Lines)
    }

    /// Parses the row that was read last. The inner error concerns this row only; the outer one ends the file.
    pub(super) fn parse(&self, row: &RawRow) -> Result<Result<Value, RowError>> {
        if let Some(problem) = &row.problem {
            return Ok(Err(problem.clone().into()));
        }
        let parsed = serde_json::from_slice::<Value>(&row.bytes);
        let error = match parsed {
            Ok(value) if !row.truncated => return Ok(Ok(value)),
            Ok(_) => return Ok(Err(row_too_large())),
            Err(error) => error,
        };
        let row_error = if row.truncated && (error.is_eof() || self.is_lines()) {
            row_too_large()
        } else if nesting(&row.bytes) > MAX_NESTING {
            RowError::new(
                "NESTING",
                message!("The row nests objects or arrays more than {max} levels deep.", max = MAX_NESTING),
                message!("Flatten the metadata of this user."),
            )
        } else {
            let (Position { line, column }, reason) = locate_error(&error, row);
            // After these errors the start of the next array element is still certain.
            let contained = reason.starts_with("number out of range") || reason.contains("surrogate");
            let mistake = describe_mistake(&row.bytes, error_offset(&error, &row.bytes));
            let (reason, hint) = match (reason.as_str(), mistake) {
                (_, Some((mistake, hint))) => (mistake, Some(hint)),
                ("invalid unicode code point", None) => (message!("the text is not UTF-8"), None),
                (reason, None) => (Message::verbatim(reason), None),
            };
            if self.is_bracketed() && !contained {
                let error = format_error(message!(
                    "The users file is not valid JSON at line {line}, column {column}, in user {user}, which starts at \
                     line {start}: {reason}.",
                    user = row.number,
                    start = row.line
                ));
                return Err(match hint {
                    Some(hint) => error.with_hint(hint),
                    None => error,
                });
            }
            let separate = message!("Correct the JSON of this row; write each user on a separate line.");
            RowError::new(
                "INVALID_JSON",
                message!("The row is not valid JSON at line {line}, column {column}: {reason}."),
                hint.unwrap_or(separate),
            )
        };
        Ok(Err(row_error))
    }
}

fn row_too_large() -> RowError {
    RowError::new(
        "ROW_TOO_LARGE",
        message!("The row is larger than {max} bytes.", max = MAX_IMPORTED_ROW_BYTES),
        message!("Auth0 accepts at most 500,000 bytes at a time: shorten the metadata of this user."),
    )
}

/// Returns the position of a parser error in the file, and its reason without the position.
fn locate_error(error: &serde_json::Error, row: &RawRow) -> (Position, String) {
    let mut position = Position { line: row.line, column: row.column };
    let mut rest = row.bytes.as_slice();
    for _ in 1..error.line() {
        let Some(at) = memchr(b'\n', rest) else { break };
        rest = &rest[at + 1..];
        position = Position { line: position.line + 1, column: 1 };
    }
    let before = rest.get(..error.column().saturating_sub(1)).unwrap_or(rest);
    position.advance(before);
    let text = error.to_string();
    let reason = text.split(" at line ").next().unwrap_or(&text).to_owned();
    (position, reason)
}

/// Returns the offset of the byte that a parser error is about.
fn error_offset(error: &serde_json::Error, text: &[u8]) -> usize {
    let lines = text.split_inclusive(|byte| *byte == b'\n').take(error.line().saturating_sub(1));
    lines.map(<[u8]>::len).sum::<usize>() + error.column().saturating_sub(1)
}

/// Returns the maximum nesting of brackets outside strings.
fn nesting(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in bytes {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'{' | b'[') => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use proptest::prelude::*;
    use serde_json::json;
    use uie_core::error::{Code, Error};

    use super::*;
    use crate::tests::ShortReader;
    use uie_records::trim_invisible;

    fn format_of(content: &[u8]) -> InputFormat {
        let mut reader = RowReader::open(Box::new(Cursor::new(content.to_vec())), &HeaderPolicy::default()).unwrap();
        let mut raw = RawRow::default();
        while reader.next(&mut raw).unwrap() {}
        reader.format()
    }

    /// Returns line and user of each row of a CSV file, or the code of its error.
    fn users(content: impl Into<Vec<u8>>) -> Vec<(u64, Result<Value, &'static str>)> {
        let rows = rows_of(content, 7).unwrap_or_else(|error| panic!("{error}"));
        rows.into_iter().map(|(_, line, value)| (line, value.map_err(|row_error| row_error.code))).collect()
    }

    fn values(content: impl Into<Vec<u8>>) -> Vec<Value> {
        users(content).into_iter().map(|(_, value)| value.unwrap()).collect()
    }

    #[test]
    fn headers_with_dots_and_brackets_become_nested_objects_with_types() {
        let content = "email,email_verified,app_metadata.plan,app_metadata.seats,user_metadata[\"favourite colour\"],mfa_factors[0].phone.value,user_metadata.tags,app_metadata.empty.deep\n\
            ada@example.com,TRUE,pro,5,\"dark, red\",+12125550001,\"[\"\"a\"\",1]\",\n\
            bob@example.com,,,,,,,\n";
        let content =
            content.replace("user_metadata[\"favourite colour\"]", "\"user_metadata[\"\"favourite colour\"\"]\"");
        assert_eq!(
            values(content),
            [
                json!({
                    "email": "ada@example.com", "email_verified": true,
                    "app_metadata": { "plan": "pro", "seats": 5 },
                    "user_metadata": { "favourite colour": "dark, red", "tags": ["a", 1] },
                    "mfa_factors": [{ "phone": { "value": "+12125550001" } }],
                }),
                json!({ "email": "bob@example.com" }),
            ]
        );
    }

    #[test]
    fn delimiters_and_quotes_are_detected() {
        for (content, delimiter) in [
            ("email,name\na@b.c,\"x; y\"\n", ","),
            ("email;name\na@b.c;x, y\nb@b.c;x, z\n", ";"),
            ("email\tname\na@b.c\tx, y\n", "\t"),
            ("email|name\na@b.c|x, y\n", "|"),
            ("sep=;\nemail;name\na@b.c;x, y\n", ";"),
            ("'email';'name'\n'a@b.c';'x; y'\n", ";"),
            ("email\na@b.c\n", ","),
        ] {
            let format = format_of(content.as_bytes());
            assert_eq!((format.format.as_str(), format.delimiter.as_deref()), ("csv", Some(delimiter)), "{content}");
            let user = values(content).remove(0);
            assert_eq!(user["email"], "a@b.c", "{content}");
            assert!(user["name"].is_null() || user["name"].as_str().unwrap().starts_with('x'), "{user}");
        }
    }

    #[test]
    fn csv_rows_have_physical_lines_and_ragged_rows_are_errors() {
        let content = "\u{FEFF}\r\nemail,name\r\n\r\na@b.c,\"two\r\nlines\"\r\nb@b.c\r\n,\r\nc@b.c,x,y\r\nd@b.c,\"it\"\"s\"\r\n\"open,";
        let lines: Vec<_> = users(content).into_iter().map(|(line, value)| (line, value.err())).collect();
        assert_eq!(
            lines,
            [(4, None), (6, Some("RAGGED_ROW")), (8, Some("RAGGED_ROW")), (9, None), (10, Some("OPEN_QUOTE"))]
        );
        let old = users("email,name\ra@b.c,x\rb@b.c,y\r");
        assert_eq!(old.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn csv_in_other_encodings_is_read_and_its_encoding_reported() {
        let text = "email;name\na@b.c;José €\n";
        let utf16: Vec<u8> = [0xFF, 0xFE].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect();
        let windows_1252 = b"email;name\na@b.c;Jos\xE9 \x80\n".to_vec();
        for (content, encoding) in [
            (text.as_bytes().to_vec(), "UTF-8"),
            (utf16, "UTF-16LE"),
            (windows_1252.clone(), "windows-1252"),
            (gzip(&windows_1252), "windows-1252"),
        ] {
            assert_eq!(format_of(&content).encoding, encoding);
            assert_eq!(values(content)[0]["name"], "José €");
        }
    }

    #[test]
    fn json_in_other_encodings_is_read() {
        for content in ["[{\"name\":\"高橋 花子\"}]", "{\"name\":\"高橋 花子\"}\n", "{\n\"name\":\"高橋 花子\"\n}\n"]
        {
            let (shift_jis, _, _) = encoding_rs::SHIFT_JIS.encode(content);
            let format = format_of(&shift_jis);
            assert_eq!((format.encoding.as_str(), format.encoding_guessed), ("Shift_JIS", true));
            assert_eq!(values(shift_jis.into_owned())[0]["name"], "高橋 花子");
        }
    }

    #[test]
    fn users_in_an_object_one_after_the_other_and_of_a_directory_are_read() {
        for (content, format, line) in [
            ("{\"users\": [\n{\n  \"email\": \"a@b.c\"\n}]}", "json", 2),
            ("{\n  \"email\": \"a@b.c\"\n}\n{\n  \"email\": \"b@b.c\"\n}\n", "json", 1),
            ("{\"email\":\"a@b.c\"},\n{\"email\":\"b@b.c\"},\n", "json", 1),
            ("[\n{\"email\":\"a@b.c\"},\n]", "json", 2),
            ("version: 1\n\ndn: a\nemail: a@b.c\n", "ldif", 3),
        ] {
            assert_eq!(format_of(content.as_bytes()).format, format);
            let (number, value) = users(content).remove(0);
            assert_eq!((number, &value.unwrap()["email"]), (line, &json!("a@b.c")), "{content}");
        }
    }

    #[test]
    fn apostrophes_of_auth0s_own_csv_are_removed() {
        let content = "user_id,email,name,email_verified,created_at,app_metadata.n\n\
            \"'auth0|1\",\"'ada@example.com\",\"''t Hart \"\"x\"\"\",True,2024-01-01T00:00:00.000Z,\"'42\"\n\
            \"'auth0|2\",\"'bob@example.com\",,False,2024-01-01T00:00:00.000Z,42\n";
        assert_eq!(
            values(content),
            [
                json!({ "user_id": "auth0|1", "email": "ada@example.com", "name": "'t Hart \"x\"", "email_verified": true, "app_metadata": { "n": "42" } }),
                json!({ "user_id": "auth0|2", "email": "bob@example.com", "email_verified": false, "app_metadata": { "n": 42 } }),
            ]
        );
    }

    #[test]
    fn a_list_of_addresses_needs_no_header() {
        let rows = users("a@b.c\n\nb@b.c\n");
        assert_eq!(rows, [(1, Ok(json!({ "email": "a@b.c" }))), (3, Ok(json!({ "email": "b@b.c" })))]);
    }

    #[test]
    fn a_file_without_a_header_is_read_with_given_names() {
        let names = ["user_id", "email", "email_verified"].map(str::to_owned).to_vec();
        let headers = HeaderPolicy { names: Some(names), ..HeaderPolicy::default() };
        let content = Cursor::new(b"L1,ada@example.com,true\nL2,bob@example.com,false\nL3\n".to_vec());
        let mut reader = RowReader::open(Box::new(content), &headers).unwrap();
        assert_eq!(reader.columns().unwrap().len(), 3);
        let mut raw = RawRow::default();
        let mut rows = Vec::new();
        while reader.next(&mut raw).unwrap() {
            rows.push((raw.line, reader.parse(&raw).unwrap().map_err(|row_error| row_error.code)));
        }
        let user = |id: &str, email: &str, verified: bool| json!({ "user_id": id, "email": email, "email_verified": verified });
        assert_eq!(
            rows,
            [
                (1, Ok(user("L1", "ada@example.com", true))),
                (2, Ok(user("L2", "bob@example.com", false))),
                (3, Err("RAGGED_ROW"))
            ]
        );
    }

    #[test]
    fn an_unknown_header_fails_with_a_suggestion() {
        for (header, part) in [
            ("email,Emial", "did you mean email?"),
            ("email,shoe size", "\"shoe size\""),
            ("email,name,Email", "Columns 1 (\"email\") and 3 (\"Email\")"),
            ("email,app_metadata,app_metadata.plan", "Columns 2"),
            ("given_name,family_name", "No column of the users file is named email"),
            ("email,custom_password_hash.salty", "custom_password_hash.salty"),
        ] {
            let error = failure(format!("{header}\n"));
            assert_eq!(error.code, Code::UsersFileColumns, "{header}");
            assert!(error.message.contains(part), "{}", error.message);
        }
        assert_eq!(failure("email,name\n").code, Code::UsersFileEmpty);
    }

    type Rows = Vec<(u64, u64, Result<Value, RowError>)>;

    fn rows_of(content: impl Into<Vec<u8>>, step: usize) -> Result<Rows, Error> {
        let mut reader =
            RowReader::open(Box::new(ShortReader(Cursor::new(content.into()), step)), &HeaderPolicy::default())?;
        let mut rows = Vec::new();
        let mut raw = RawRow::default();
        while reader.next(&mut raw)? {
            rows.push((raw.number, raw.line, reader.parse(&raw)?));
        }
        Ok(rows)
    }

    fn rows(content: &str) -> Rows {
        rows_of(content, 7).unwrap_or_else(|error| panic!("{error}"))
    }

    fn failure(content: impl Into<Vec<u8>>) -> Error {
        rows_of(content, 7).expect_err("the file is not a list of users")
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn ndjson_rows_have_physical_lines() {
        let rows = rows("\u{FEFF}\r\n{\"a\":1}\r\n\n  \t\n {\"a\":\"x\\ny\"} \r\n{\"a\":3}");
        let locations: Vec<_> = rows.iter().map(|(number, line, _)| (*number, *line)).collect();
        assert_eq!(locations, [(1, 2), (2, 5), (3, 6)]);
        assert_eq!(rows[1].2.as_ref().unwrap()["a"], "x\ny");
    }

    #[test]
    fn array_elements_have_the_line_of_their_start() {
        let rows =
            rows("[\n  {\"a\": \"]},{\\\"\"},\n  {\n    \"a\": [1, {\"b\": 2}]\n  }, {\"a\": 3}\n, 4, \"five\"]\n");
        let locations: Vec<_> = rows.iter().map(|(number, line, _)| (*number, *line)).collect();
        assert_eq!(locations, [(1, 2), (2, 3), (3, 5), (4, 6), (5, 6)]);
        assert_eq!(rows[0].2.as_ref().unwrap()["a"], "]},{\"");
        assert_eq!(rows[4].2.as_ref().unwrap(), "five");
    }

    #[test]
    fn gzip_is_detected_by_content_for_all_formats_and_several_members() {
        let mut content = gzip(b"\xEF\xBB\xBF{\"a\":1}\n");
        content.extend(gzip(b"{\"a\":2}\n"));
        assert_eq!(rows_of(content, 5).unwrap().len(), 2);
        assert_eq!(rows_of(gzip(b"[{\"a\":1}]"), 5).unwrap().len(), 1);
        let mut cut = gzip(b"[{\"a\":1}]");
        cut.truncate(cut.len() - 6);
        let error = failure(cut);
        assert_eq!((error.code, error.message.contains("gzip")), (Code::UsersFileFormat, true));
    }

    #[test]
    fn a_malformed_line_is_an_error_of_that_row_only() {
        for (broken, part) in [
            ("{\"a\": }", "line 1, column 7: expected value"),
            ("{\"a\":1} {\"b\":2}", "trailing characters"),
            ("{\"a\":", "EOF"),
            ("{\"é\": x}", "line 1, column 7"),
        ] {
            let rows = rows(&format!("{broken}\n{{\"a\":2}}\n"));
            let row_error = rows[0].2.as_ref().expect_err(broken);
            assert_eq!(row_error.code, "INVALID_JSON");
            assert!(row_error.message.contains(part), "{}", row_error.message);
            assert!(rows[1].2.is_ok());
        }
        let rows =
            rows_of([b"{\"a\":\"\xFF\"}\n{\"a\":2,\"b\":\"".as_slice(), "éé\"}".as_bytes()].concat(), 3).unwrap();
        assert!(rows[0].2.as_ref().unwrap_err().message.contains("not UTF-8"));
    }

    #[test]
    fn a_malformed_array_fails_with_line_and_column() {
        for (content, part) in [
            ("[\n{\"a\":1},\n{\"a\" 2}]", "line 3, column 6"),
            ("[{\"a\":1} {\"a\":2}]", "line 1, column 10: expected `,` or `]`"),
            ("[{\"a\":1},,]", "line 1, column 10: expected a user"),
            ("[[{\"a\":1}],[{\"a\":2}]]", "an array of arrays"),
            ("{\"users\":[{\"a\":1}],", "before the closing brace"),
            (
                "{\n\"a\": 1\n}\n{\n'a': 2\n}\n",
                "line 5, column 1, in user 2, which starts at line 4: a text is in single quotes",
            ),
            ("[{“email”: “a@b.c”}]", "the quotes are typographic (“) instead of straight"),
            ("[,{\"a\":1}]", "line 1, column 2: expected a user"),
            ("[{\"a\":1},\n\n", "ends at line 3, column 1"),
            ("[{\"a\":1},{\"a\":\"", "in user 2"),
            ("[{\"a\":1}]\n[", "goes on after the end of its array, at line 2, column 1"),
            ("[\n  {\"é\": \"ü\", 5}]", "line 2, column 14"),
        ] {
            let error = failure(content);
            assert_eq!(error.code, Code::UsersFileFormat, "{content}");
            assert!(error.message.contains(part), "{content}: {}", error.message);
        }
    }

    #[test]
    fn a_file_without_users_is_refused_as_empty() {
        for content in ["", " \r\n\n", "\u{FEFF}", "[]", "[ \n ]", "\u{FEFF}[ ]"] {
            assert_eq!(failure(content).code, Code::UsersFileEmpty, "{content:?}");
        }
        assert_eq!(failure(gzip(b"")).code, Code::UsersFileEmpty);
    }

    #[test]
    fn other_file_formats_are_refused_by_name() {
        for (content, found) in [
            (b"<html>".to_vec(), "HTML or XML"),
            (b"PK\x03\x04".to_vec(), "ZIP archive"),
            (vec![0, 1, 2, 3], "binary data"),
            (b"\n\n]".to_vec(), "line 3"),
            (
                b"{\"a\": [{\"x\": 1}], \"b\": [{\"x\": 1}]}".to_vec(),
                "none of its lists is known to be the users: a, b",
            ),
        ] {
            let error = failure(content);
            assert_eq!(error.code, Code::UsersFileFormat);
            assert!(error.message.contains(found), "{}", error.message);
        }
        assert_eq!(failure(b"42".to_vec()).code, Code::UsersFileColumns);
    }

    #[test]
    fn json_in_utf_16_is_decoded() {
        for (mark, swap) in [([0xFF, 0xFE], false), ([0xFE, 0xFF], true)] {
            let units = "[{\"a\": \"é\"}]".encode_utf16();
            let text: Vec<u8> =
                units.flat_map(|unit| if swap { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect();
            let rows = rows_of([mark.to_vec(), text].concat(), 3).unwrap();
            assert_eq!(rows[0].2.as_ref().unwrap()["a"], "é");
        }
    }

    #[test]
    fn too_deep_a_row_is_an_error_of_that_row_in_both_layouts() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
        for content in [format!("{deep}\n{{\"a\":1}}\n"), format!("[{deep},{{\"a\":1}}]")] {
            let rows = rows(&content);
            assert_eq!(rows[0].2.as_ref().unwrap_err().code, "NESTING");
            assert!(rows[1].2.is_ok());
        }
    }

    #[test]
    fn too_large_a_row_is_an_error_of_that_row_and_is_truncated() {
        let large = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_IMPORTED_ROW_BYTES));
        for content in [format!("{large}\n{{\"a\":1}}\n"), format!("[{large},{{\"a\":1}}]")] {
            let mut reader =
                RowReader::open(Box::new(Cursor::new(content.into_bytes())), &HeaderPolicy::default()).unwrap();
            let mut raw = RawRow::default();
            assert!(reader.next(&mut raw).unwrap());
            assert_eq!(raw.bytes.len(), MAX_IMPORTED_ROW_BYTES);
            assert_eq!(reader.parse(&raw).unwrap().unwrap_err().code, "ROW_TOO_LARGE");
            assert!(reader.next(&mut raw).unwrap());
            assert!(reader.parse(&raw).unwrap().is_ok());
        }
        let unclosed = format!("[{{\"a\":\"x\ny{}", "x".repeat(MAX_IMPORTED_ROW_BYTES));
        assert!(failure(unclosed).message.contains("line 1"), "the error is at the control character");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(content in prop::collection::vec(any::<u8>(), 0..300), step in 1_usize..20) {
            let _ = rows_of(content, step);
        }

        #[test]
        fn csv_like_text_does_not_panic(content in "(sep=;\n)?email[,;\t|'\"\n\r a@.é=-]{0,60}", step in 1_usize..20) {
            let _ = rows_of(content, step);
        }

        #[test]
        fn cells_are_read_as_written(
            cells in prop::collection::vec(("[a-z]{1,5}@b\\.c", "[ -~é\n\r]{0,12}"), 1..9),
            delimiter in prop::sample::select(vec![b',', b';', b'\t', b'|']),
            step in 1_usize..40,
        ) {
            let mut writer = ::csv::WriterBuilder::new().delimiter(delimiter).from_writer(Vec::new());
            writer.write_record(["email", "user_id", "nickname"]).unwrap();
            for (email, nickname) in &cells {
                // Texts with an apostrophe guard are tested with the type inference.
                prop_assume!(!nickname.starts_with('\''));
                writer.write_record([email.as_str(), "1", nickname]).unwrap();
            }
            let read: Vec<Value> = rows_of(writer.into_inner().unwrap(), step).unwrap().into_iter().map(|(_, _, value)| value.unwrap()).collect();
            let expected: Vec<Value> = cells
                .iter()
                // White space around names is removed.
                .map(|(email, nickname)| (email, trim_invisible(nickname)))
                .map(|(email, nickname)| if nickname.is_empty() { json!({ "email": email, "user_id": "1" }) } else { json!({ "email": email, "user_id": "1", "nickname": nickname }) })
                .collect();
            prop_assert_eq!(read, expected);
        }

        #[test]
        fn json_like_text_does_not_panic(content in "[\\[{]{0,2}[\\[\\]{}\",:\\\\ \n\ra0é-]{0,60}", step in 1_usize..20) {
            let _ = rows_of(content, step);
        }

        #[test]
        fn both_json_layouts_are_read_as_written(values in prop::collection::vec(value(), 1..12), step in 1_usize..40, pretty in any::<bool>()) {
            let lines = values.iter().map(json).collect::<Vec<_>>().join("\r\n");
            let array = if pretty { serde_json::to_string_pretty(&values).unwrap() } else { json(&values) };
            for content in [lines.into_bytes(), gzip(array.as_bytes()), array.into_bytes()] {
                let read: Vec<Value> = rows_of(content, step).unwrap().into_iter().map(|(_, _, value)| value.unwrap()).collect();
                prop_assert_eq!(&read, &values);
            }
        }
    }

    fn json(value: &impl serde::Serialize) -> String {
        serde_json::to_string(value).unwrap()
    }

    /// Objects only, since NDJSON starts with an object.
    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(|number| if number.is_finite() { Value::from(number) } else { Value::Null }),
            ".*".prop_map(Value::from),
            "[\\[\\]{}\",:\\\\\u{0}-\u{1f}]{0,9}".prop_map(Value::from),
        ];
        let any = leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(".{0,4}", inner, 0..4).prop_map(|members| members.into_iter().collect()),
            ]
        });
        prop::collection::btree_map(".{0,4}", any, 0..4).prop_map(|members| members.into_iter().collect())
    }
}
