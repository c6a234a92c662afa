//! Rows as CSV, JSON and NDJSON (docs/decisions/0018-csv-cells.md).

use super::Format;
use crate::expression::{
    Cell, Cells, Formula, Json, Kind, Slotted, Unreadable, Wanted, check_whole, read, read_with_text, write_json_text,
    write_number,
};
use crate::lanes;

/// A column: its name and what it computes.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub name: String,
    pub formula: Formula,
    /// Which of the computed formulas it is; none for a path.
    computed: Option<usize>,
    /// `"name":`, ready to be written.
    json_name: Vec<u8>,
}

impl Column {
    pub fn new(name: &str, formula: Formula) -> Self {
        let mut json_name = Vec::new();
        write_json_text(name, &mut json_name);
        json_name.push(b':');
        Self { name: name.to_owned(), formula, computed: None, json_name }
    }

    /// Why it has no value in this row, if it should have.
    pub fn fault(&self, given: Given<'_>) -> Option<String> {
        let cells = self.computed.and_then(|computed| given.computed.get(computed));
        cells.and_then(|cells| cells.get(given.row)?.err()).map(ToString::to_string)
    }

    pub fn cell<'a>(&'a self, user: &'a Json<'a>, given: Given<'a>) -> Cell<'a> {
        given.cell(&self.formula, self.computed, user)
    }
}

/// What was computed for one row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given<'a> {
    /// The cells of all rows, for each formula that is no path.
    pub computed: &'a [Cells],
    pub row: usize,
}

impl<'a> Given<'a> {
    /// For formulas that are all paths.
    pub const NOTHING: Self = Self { computed: &[], row: 0 };

    /// The cell of a formula, the `computed`th of those that are no paths; nothing after a fault.
    pub fn cell(self, formula: &'a Formula, computed: Option<usize>, user: &'a Json<'a>) -> Cell<'a> {
        if let Some(path) = formula.as_path() {
            return path.evaluate(user);
        }
        computed.map_or(Cell::Nothing, |computed| self.computed(computed))
    }

    /// The cell of the `computed`th formula that is no path; nothing after a fault.
    pub fn computed(self, computed: usize) -> Cell<'a> {
        match self.computed.get(computed).and_then(|cells| cells.get(self.row)) {
            Some(Ok(cell)) => cell,
            Some(Err(_)) | None => Cell::Nothing,
        }
    }
}

/// Where the cells of a row come from.
pub(super) trait Values {
    /// The cell of a column, the `place`th.
    fn cell<'s>(&'s self, place: usize, column: &'s Column) -> Cell<'s>;
}

/// Cells of a user that was read as a tree.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tree<'a> {
    pub user: &'a Json<'a>,
    pub given: Given<'a>,
}

impl Values for Tree<'_> {
    fn cell<'s>(&'s self, _place: usize, column: &'s Column) -> Cell<'s> {
        column.cell(self.user, self.given)
    }
}

/// Of a user that was read into slots; the first paths of the layout are those of the columns, which are all
/// paths.
impl Values for Slotted<'_, '_> {
    #[inline]
    fn cell<'s>(&'s self, place: usize, _column: &'s Column) -> Cell<'s> {
        Slotted::cell(*self, place)
    }
}

/// Cells of a user that was read into slots, where some are computed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Computed<'s, 'a> {
    pub user: Slotted<'s, 'a>,
    pub given: Given<'s>,
}

impl Values for Computed<'_, '_> {
    #[inline]
    fn cell<'s>(&'s self, place: usize, column: &'s Column) -> Cell<'s> {
        match column.computed {
            Some(computed) => self.given.computed(computed),
            None => self.user.cell(place),
        }
    }
}

/// The text of a user that is written whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'a> {
    pub text: &'a str,
    /// Whether there are blanks between its tokens, or nobody looked.
    pub blanks: bool,
}

/// What a row holds.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    /// The user as it was read.
    Whole,
    /// Named columns; nothing is `null`.
    Columns(Vec<Column>),
    /// Importable attributes; nothing is left out.
    Import(Vec<Column>),
}

impl Shape {
    /// Numbers the columns that are computed; gives how many there are.
    pub fn number_computed(&mut self) -> usize {
        let mut next = 0;
        if let Self::Columns(columns) | Self::Import(columns) = self {
            for column in columns.iter_mut().filter(|column| column.formula.kind() != Kind::Path) {
                column.computed = Some(next);
                next += 1;
            }
        }
        next
    }

    pub fn columns(&self) -> &[Column] {
        match self {
            Self::Whole => &[],
            Self::Columns(columns) | Self::Import(columns) => columns,
        }
    }
}

/// The dialect of CSV.
#[derive(Clone, Copy, Debug)]
pub(super) struct Csv {
    pub delimiter: u8,
    pub bom: bool,
    /// Cells that spreadsheets would take for formulas stay as they are.
    pub raw: bool,
}

/// Turns rows into the bytes of a format.
///
/// Every CSV and NDJSON row ends with a line end; every JSON row starts with `,` and a line end, and the
/// writer drops the comma of the first.
#[derive(Clone, Debug)]
pub(super) struct Encoder {
    pub format: Format,
    pub shape: Shape,
    pub csv: Csv,
}

/// Why a row cannot be written. Holds nothing of the row itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoEmail;

impl Encoder {
    /// What stands before the first row.
    pub fn start(&self, out: &mut Vec<u8>) {
        match self.format {
            Format::Csv => {
                if self.csv.bom {
                    out.extend_from_slice("\u{feff}".as_bytes());
                }
                let columns = self.shape.columns();
                for (at, column) in columns.iter().enumerate() {
                    if at > 0 {
                        out.push(self.csv.delimiter);
                    }
                    self.csv.text(&column.name, out);
                }
                out.push(b'\n');
            }
            Format::Json => out.push(b'['),
            Format::Ndjson => {}
        }
    }

    /// What stands after the last row.
    pub fn end(&self, rows: u64, out: &mut Vec<u8>) {
        match self.format {
            Format::Json if rows == 0 => out.extend_from_slice(b"]\n"),
            Format::Json => out.extend_from_slice(b"\n]\n"),
            Format::Csv | Format::Ndjson => {}
        }
    }

    /// How many bytes at the start of the first row are not to be written.
    pub fn first_row_skips(&self) -> usize {
        usize::from(self.format == Format::Json)
    }

    /// Reads what is needed of a row; nothing when whole users are written and nobody looks at `values`.
    pub fn read<'a>(&self, row: &'a [u8], wanted: &Wanted, values: bool) -> Result<(&'a str, Json<'a>), Unreadable> {
        match self.shape {
            Shape::Whole if values => read_with_text(row, wanted),
            Shape::Whole => Ok((check_whole(row)?, Json::Null)),
            Shape::Columns(_) | Shape::Import(_) => Ok(("", read(row, wanted)?)),
        }
    }

    /// Writes one row; `text` is the user as it was read, for whole users.
    pub fn row(&self, text: Text<'_>, values: &impl Values, out: &mut Vec<u8>) -> Result<(), NoEmail> {
        if self.format == Format::Json {
            out.extend_from_slice(b",\n");
        }
        match (&self.shape, self.format) {
            (Shape::Columns(columns), Format::Csv) => self.csv.row(columns, values, out),
            (Shape::Columns(columns), _) => {
                out.push(b'{');
                for (at, column) in columns.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    out.extend_from_slice(&column.json_name);
                    values.cell(at, column).write_json(out);
                }
                out.push(b'}');
            }
            (Shape::Import(columns), _) => import_row(columns, values, out)?,
            (Shape::Whole, _) if text.blanks => compact(text.text, out),
            (Shape::Whole, _) => out.extend_from_slice(text.text.as_bytes()),
        }
        if self.format != Format::Json {
            out.push(b'\n');
        }
        Ok(())
    }
}

fn import_row(columns: &[Column], values: &impl Values, out: &mut Vec<u8>) -> Result<(), NoEmail> {
    out.push(b'{');
    let mut first = true;
    for (at, column) in columns.iter().enumerate() {
        let cell = match (column.name.as_str(), values.cell(at, column)) {
            ("email", Cell::Text(text)) if !text.is_empty() => Cell::Text(text),
            ("email", _) => return Err(NoEmail),
            // Auth0 puts `auth0|` before whatever it finds (docs/auth0/import-schema.md#attributes).
            ("user_id", Cell::Text(text)) => match text.strip_prefix("auth0|") {
                Some(bare) => Cell::Text(bare.to_owned().into()),
                None => Cell::Text(text),
            },
            (_, cell) => cell,
        };
        // An import refuses empty texts (docs/auth0/import-schema.md#attributes: minLength 1).
        if matches!(&cell, Cell::Nothing) || matches!(&cell, Cell::Text(text) if text.is_empty()) {
            continue;
        }
        if !first {
            out.push(b',');
        }
        first = false;
        out.extend_from_slice(&column.json_name);
        cell.write_json(out);
    }
    out.push(b'}');
    Ok(())
}

impl Csv {
    fn row(self, columns: &[Column], values: &impl Values, out: &mut Vec<u8>) {
        let start = out.len();
        for (at, column) in columns.iter().enumerate() {
            if at > 0 {
                out.push(self.delimiter);
            }
            match values.cell(at, column) {
                Cell::Nothing => {}
                Cell::Boolean(boolean) => self.quoted(if boolean { b"true" } else { b"false" }, out),
                Cell::Number(number) => self.number(number, out),
                Cell::Text(text) => self.text(&text, out),
                Cell::Json(json) => {
                    let mut text = Vec::new();
                    json.write(&mut text);
                    self.quoted(&text, out);
                }
            }
        }
        // A row that is empty to the last byte would be taken for no row at all.
        if out.len() == start {
            out.extend_from_slice(b"\"\"");
        }
    }

    /// A number, quoted only where the delimiter is one of its characters.
    fn number(self, number: f64, out: &mut Vec<u8>) {
        let start = out.len();
        write_number(number, out);
        if out.get(start..).is_some_and(|written| written.contains(&self.delimiter)) {
            let written = out.split_off(start);
            self.quoted(&written, out);
        }
    }

    fn text(self, text: &str, out: &mut Vec<u8>) {
        let formula = matches!(text.as_bytes().first(), Some(b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r'));
        if formula && !self.raw {
            let mut guarded = Vec::with_capacity(text.len() + 1);
            guarded.push(b'\'');
            guarded.extend_from_slice(text.as_bytes());
            self.quoted(&guarded, out);
        } else {
            self.quoted(text.as_bytes(), out);
        }
    }

    /// Text in quotes where RFC 4180 asks for them.
    fn quoted(self, text: &[u8], out: &mut Vec<u8>) {
        if !lanes::has_any(text, [b'"', b'\n', b'\r', self.delimiter]) {
            out.extend_from_slice(text);
            return;
        }
        out.push(b'"');
        let mut written = 0;
        for at in memchr::memchr_iter(b'"', text) {
            // The quote itself is written now and, to double it, once more with what follows.
            out.extend_from_slice(text.get(written..=at).unwrap_or_default());
            written = at;
        }
        out.extend_from_slice(text.get(written..).unwrap_or_default());
        out.push(b'"');
    }
}

/// Valid JSON without the blanks between its tokens; everything else stays as it was read.
fn compact(text: &str, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        match first {
            b' ' | b'\t' | b'\r' | b'\n' => rest = after,
            b'"' => {
                let length = text_length(rest);
                let (string, after) = rest.split_at(length.min(rest.len()));
                out.extend_from_slice(string);
                rest = after;
            }
            _ => {
                let length = rest
                    .iter()
                    .position(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b'"'))
                    .unwrap_or(rest.len());
                let (tokens, after) = rest.split_at(length);
                out.extend_from_slice(tokens);
                rest = after;
            }
        }
    }
}

/// The length of the JSON string at the start, quotes included.
fn text_length(bytes: &[u8]) -> usize {
    let mut at = 1;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += found;
        if bytes.get(at) == Some(&b'"') {
            return at + 1;
        }
        at += 2;
    }
    bytes.len()
}
