//! Encodes rows as CSV, JSON and NDJSON (docs/decisions/0018-csv-cells.md).

use super::format::Format;
use uie_core::message::{Message, message};
use uie_expression::{Cells, Formula, Kind};
use uie_json::simd;
use uie_json::{
    Cell, Json, ProjectionMask, RowParseError, RowView, check_row, minify, parse_row, parse_row_with_text,
    write_json_text, write_number,
};

/// A column: its name and its formula.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub name: String,
    pub formula: Formula,
    /// Index among the computed formulas. `None` for a path.
    computed_index: Option<usize>,
    /// The encoded member name: `"name":`.
    json_name: Vec<u8>,
}

impl Column {
    pub fn new(name: &str, formula: Formula) -> Self {
        let mut json_name = Vec::new();
        write_json_text(name, &mut json_name);
        json_name.push(b':');
        Self { name: name.to_owned(), formula, computed_index: None, json_name }
    }

    /// Returns the fault of its cell in this row. `None` if the cell was computed or the column is a path.
    pub fn fault(&self, computed: ComputedRow<'_>) -> Option<Message> {
        let cells = self.computed_index.and_then(|index| computed.cells.get(index))?;
        let fault = cells.get(computed.row)?.err()?;
        Some(message!("{transform}: {reason}", transform = fault.transform, reason = fault.message))
    }

    /// Returns its cell of a user; [`Cell::Nothing`] after a fault.
    pub fn cell<'a>(&'a self, user: &'a Json<'a>, computed: ComputedRow<'a>) -> Cell<'a> {
        computed.formula_cell(&self.formula, self.computed_index, user)
    }
}

/// The computed cells of one row.
#[derive(Clone, Copy, Debug)]
pub(super) struct ComputedRow<'a> {
    /// The cells of all rows, for each formula that is not a path.
    pub cells: &'a [Cells],
    /// Index of the row.
    pub row: usize,
}

impl<'a> ComputedRow<'a> {
    /// A row without computed cells, if all formulas are paths.
    pub const NONE: Self = Self { cells: &[], row: 0 };

    /// Returns the cell of a formula; `index` is its index among the computed formulas. [`Cell::Nothing`] after a
    /// fault.
    pub fn formula_cell(self, formula: &'a Formula, index: Option<usize>, user: &'a Json<'a>) -> Cell<'a> {
        if let Some(path) = formula.as_path() {
            return path.evaluate(user);
        }
        index.map_or(Cell::Nothing, |index| self.cell(index))
    }

    /// Returns the cell of the computed formula with this index; [`Cell::Nothing`] after a fault.
    pub fn cell(self, index: usize) -> Cell<'a> {
        match self.cells.get(index).and_then(|cells| cells.get(self.row)) {
            Some(Ok(cell)) => cell,
            Some(Err(_)) | None => Cell::Nothing,
        }
    }
}

/// Returns the cells of a row, however the row was read.
pub(super) trait CellSource {
    /// Returns the cell of a column; `index` is the column's index.
    fn cell<'s>(&'s self, index: usize, column: &'s Column) -> Cell<'s>;
}

/// The cells of a user that was read as a tree.
#[derive(Clone, Copy, Debug)]
pub(super) struct TreeCells<'a> {
    pub user: &'a Json<'a>,
    pub computed: ComputedRow<'a>,
}

impl CellSource for TreeCells<'_> {
    fn cell<'s>(&'s self, _index: usize, column: &'s Column) -> Cell<'s> {
        column.cell(self.user, self.computed)
    }
}

/// The cells of a user that was read by a projection. All columns are paths, and they are the first paths of the
/// projection.
impl CellSource for RowView<'_, '_> {
    #[inline]
    fn cell<'s>(&'s self, index: usize, _column: &'s Column) -> Cell<'s> {
        RowView::cell(*self, index)
    }
}

/// The cells of a user that was read by a projection, where some columns are computed.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProjectedCells<'s, 'a> {
    pub user: RowView<'s, 'a>,
    pub computed: ComputedRow<'s>,
}

impl CellSource for ProjectedCells<'_, '_> {
    #[inline]
    fn cell<'s>(&'s self, index: usize, column: &'s Column) -> Cell<'s> {
        match column.computed_index {
            Some(computed) => self.computed.cell(computed),
            None => self.user.cell(index),
        }
    }
}

/// The JSON text of a user, for whole users.
#[derive(Clone, Copy, Debug)]
pub(super) struct UserText<'a> {
    pub text: &'a str,
    /// Whether there may be whitespace between its tokens.
    pub has_whitespace: bool,
}

/// The content of a row.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    /// The user as it was read.
    Whole,
    /// Named columns; absent values are `null` in JSON.
    Columns(Vec<Column>),
    /// Importable attributes; absent values are omitted.
    Import(Vec<Column>),
}

impl Shape {
    /// Numbers the computed columns and returns their number.
    pub fn number_computed(&mut self) -> usize {
        let mut next = 0;
        if let Self::Columns(columns) | Self::Import(columns) = self {
            for column in columns.iter_mut().filter(|column| column.formula.kind() != Kind::Path) {
                column.computed_index = Some(next);
                next += 1;
            }
        }
        next
    }

    /// Returns the columns; empty for whole users.
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
    /// Do not guard cells that spreadsheets would interpret as formulas.
    pub raw: bool,
}

/// Encodes rows in a format.
///
/// Every CSV and NDJSON row ends with a line end. Every JSON row starts with `,` and a line end; the writer drops the
/// comma of the first row.
#[derive(Clone, Debug)]
pub(super) struct Encoder {
    pub format: Format,
    pub shape: Shape,
    pub csv: Csv,
}

/// The error of a row without an e-mail address, which an import needs. Contains no data of the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MissingEmail;

impl Encoder {
    /// Writes the part of the file before the first row.
    pub fn write_start(&self, out: &mut Vec<u8>) {
        match self.format {
            Format::Csv => {
                if self.csv.bom {
                    out.extend_from_slice("\u{feff}".as_bytes());
                }
                let columns = self.shape.columns();
                for (index, column) in columns.iter().enumerate() {
                    if index > 0 {
                        out.push(self.csv.delimiter);
                    }
                    self.csv.write_text(&column.name, out);
                }
                out.push(b'\n');
            }
            Format::Json => out.push(b'['),
            Format::Ndjson => {}
        }
    }

    /// Writes the part of the file after the last row.
    pub fn write_end(&self, rows: u64, out: &mut Vec<u8>) {
        match self.format {
            Format::Json if rows == 0 => out.extend_from_slice(b"]\n"),
            Format::Json => out.extend_from_slice(b"\n]\n"),
            Format::Csv | Format::Ndjson => {}
        }
    }

    /// Returns the number of bytes that the writer must drop from the start of the first row.
    pub fn first_row_prefix(&self) -> usize {
        usize::from(self.format == Format::Json)
    }

    /// Reads the attributes of a row that are needed, and its text for whole users. If whole users are written and
    /// `values` is false, only checks the row and returns `null`.
    pub fn read<'a>(
        &self,
        row: &'a [u8],
        wanted: &ProjectionMask,
        values: bool,
    ) -> Result<(&'a str, Json<'a>), RowParseError> {
        match self.shape {
            Shape::Whole if values => parse_row_with_text(row, wanted),
            Shape::Whole => Ok((check_row(row)?, Json::Null)),
            Shape::Columns(_) | Shape::Import(_) => Ok(("", parse_row(row, wanted)?)),
        }
    }

    /// Writes one row; `text` is the user as it was read, for whole users. Fails if a row of the preset `import` has no
    /// e-mail address.
    pub fn write_row(
        &self,
        text: UserText<'_>,
        cells: &impl CellSource,
        out: &mut Vec<u8>,
    ) -> Result<(), MissingEmail> {
        if self.format == Format::Json {
            out.extend_from_slice(b",\n");
        }
        match (&self.shape, self.format) {
            (Shape::Columns(columns), Format::Csv) => self.csv.write_row(columns, cells, out),
            (Shape::Columns(columns), _) => {
                out.push(b'{');
                for (index, column) in columns.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    out.extend_from_slice(&column.json_name);
                    cells.cell(index, column).write_json(out);
                }
                out.push(b'}');
            }
            (Shape::Import(columns), _) => write_import_row(columns, cells, out)?,
            (Shape::Whole, _) if text.has_whitespace => minify(text.text.as_bytes(), out),
            (Shape::Whole, _) => out.extend_from_slice(text.text.as_bytes()),
        }
        if self.format != Format::Json {
            out.push(b'\n');
        }
        Ok(())
    }
}

fn write_import_row(columns: &[Column], cells: &impl CellSource, out: &mut Vec<u8>) -> Result<(), MissingEmail> {
    out.push(b'{');
    let mut first = true;
    for (index, column) in columns.iter().enumerate() {
        let cell = match (column.name.as_str(), cells.cell(index, column)) {
            ("email", Cell::Text(text)) if !text.is_empty() => Cell::Text(text),
            ("email", _) => return Err(MissingEmail),
            // Auth0 adds the prefix `auth0|` to any value (docs/auth0/import-schema.md#attributes).
            ("user_id", Cell::Text(text)) => match text.strip_prefix("auth0|") {
                Some(bare) => Cell::Text(bare.to_owned().into()),
                None => Cell::Text(text),
            },
            (_, cell) => cell,
        };
        // An import refuses empty strings (docs/auth0/import-schema.md#attributes: minLength 1).
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
    fn write_row(self, columns: &[Column], cells: &impl CellSource, out: &mut Vec<u8>) {
        let start = out.len();
        for (index, column) in columns.iter().enumerate() {
            if index > 0 {
                out.push(self.delimiter);
            }
            match cells.cell(index, column) {
                Cell::Nothing => {}
                Cell::Boolean(boolean) => self.write_quoted(if boolean { b"true" } else { b"false" }, out),
                Cell::Number(number) => self.write_number(number, out),
                Cell::Text(text) => self.write_text(&text, out),
                Cell::Json(json) => {
                    let mut text = Vec::new();
                    json.write(&mut text);
                    self.write_quoted(&text, out);
                }
            }
        }
        // A CSV reader would skip an empty line.
        if out.len() == start {
            out.extend_from_slice(b"\"\"");
        }
    }

    /// Writes a number, in quotes only if it contains the delimiter.
    fn write_number(self, number: f64, out: &mut Vec<u8>) {
        let start = out.len();
        write_number(number, out);
        if out.get(start..).is_some_and(|written| written.contains(&self.delimiter)) {
            let written = out.split_off(start);
            self.write_quoted(&written, out);
        }
    }

    /// Writes text. Guards it with `'` if spreadsheets would interpret it as a formula.
    fn write_text(self, text: &str, out: &mut Vec<u8>) {
        let formula = matches!(text.as_bytes().first(), Some(b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r'));
        if formula && !self.raw {
            let mut guarded = Vec::with_capacity(text.len() + 1);
            guarded.push(b'\'');
            guarded.extend_from_slice(text.as_bytes());
            self.write_quoted(&guarded, out);
        } else {
            self.write_quoted(text.as_bytes(), out);
        }
    }

    /// Writes text, in quotes if RFC 4180 requires them.
    fn write_quoted(self, text: &[u8], out: &mut Vec<u8>) {
        if !simd::contains_any(text, [b'"', b'\n', b'\r', self.delimiter]) {
            out.extend_from_slice(text);
            return;
        }
        out.push(b'"');
        let mut written = 0;
        for at in memchr::memchr_iter(b'"', text) {
            // To double the quote, write it here and again at the start of the next part.
            out.extend_from_slice(text.get(written..=at).unwrap_or_default());
            written = at;
        }
        out.extend_from_slice(text.get(written..).unwrap_or_default());
        out.push(b'"');
    }
}
