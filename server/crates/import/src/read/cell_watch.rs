//! Finds CSV cells that are probably not what their author meant: texts that look like an absent value, and what a
//! spreadsheet has made of numbers and dates. Each column has at most one warning of a kind, with the number of cells
//! and the first line.

use serde_json::Value;

use crate::redact;
use crate::row_fault::RowFault;
use crate::shell::quoted;
use crate::spreadsheet::{day_number, is_error_value, is_scientific};
use uie_core::message::{Message, message};
use uie_records::{CsvReader, Step, format_path, member, trim_invisible};

/// Texts that databases and spreadsheets write where there is no value.
const NULL_LIKE: &[&str] = &[
    "NULL",
    "null",
    "<null>",
    "<NULL>",
    "(null)",
    "(NULL)",
    "[NULL]",
    "\\N",
    "N/A",
    "n/a",
    "#N/A",
    "#NV",
    "None",
    "nil",
    "NaN",
    "undefined",
];

/// Parts of the names of columns that hold dates.
const DATE_WORDS: &[&str] = &[
    "date",
    "birth",
    "dob",
    "since",
    "datum",
    "geburt",
    "seit",
    "naissance",
    "depuis",
    "fecha",
    "nacimiento",
    "data_",
    "nascita",
    "nascimento",
    "geboorte",
    "urodzenia",
    "expir",
];

/// Maximum number of different texts that a warning names.
const MAX_TEXTS: usize = 5;

/// What a cell probably is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Suspicion {
    NullText,
    /// A number in scientific notation, whose last digits are lost.
    Scientific,
    /// An error value, or a column that was too narrow.
    ErrorValue,
    /// The day number of a date.
    DayNumber,
}

/// Cells of one kind in a column.
#[derive(Clone, Debug, Default)]
struct Tally {
    count: u64,
    line: u64,
    /// The first different texts.
    texts: Vec<String>,
}

impl Tally {
    fn count(&mut self, text: &str, line: u64) {
        if self.count == 0 {
            self.line = line;
        }
        self.count += 1;
        if self.texts.len() < MAX_TEXTS && !self.texts.iter().any(|known| known == text) {
            self.texts.push(text.to_owned());
        }
    }
}

#[derive(Debug)]
struct WatchedColumn {
    column: usize,
    header: String,
    /// Path of its attribute, or its name.
    path: String,
    holds_dates: bool,
    is_secret: bool,
    found: Vec<(Suspicion, Tally)>,
}

/// A column that is left out because its name is unknown.
#[derive(Debug)]
struct LeftOutColumn {
    column: usize,
    header: String,
    filled: u64,
}

/// The columns of a file and what was found in their cells.
#[derive(Debug, Default)]
pub(super) struct CellWatch {
    columns: Vec<WatchedColumn>,
    left_out: Vec<LeftOutColumn>,
    /// Texts of cells that are known to be absent.
    null_texts: Vec<String>,
}

impl CellWatch {
    /// Watches no column yet. Cells with exactly one of `null_texts` are known to be absent.
    pub(super) fn new(null_texts: &[String]) -> Self {
        Self { null_texts: null_texts.to_vec(), ..Self::default() }
    }

    /// Watches a column that is imported, or that an expression reads.
    pub(super) fn add(&mut self, column: usize, header: &str, steps: Option<&[Step]>) {
        let path = steps.map_or_else(|| member("", header), format_path);
        let name = header.to_lowercase().replace([' ', '-'], "_");
        let is_text = !matches!(path.as_str(), "given_name" | "family_name" | "name" | "nickname");
        self.columns.push(WatchedColumn {
            column,
            header: header.to_owned(),
            holds_dates: is_text && DATE_WORDS.iter().any(|word| name.contains(word)),
            is_secret: redact::is_secret(&path) || redact::is_secret(header),
            path,
            found: Vec::new(),
        });
    }

    /// Counts the cells of a column that is left out.
    pub(super) fn add_left_out(&mut self, column: usize, header: &str) {
        self.left_out.push(LeftOutColumn { column, header: header.to_owned(), filled: 0 });
    }

    /// Examines the cells of the record that was read last.
    pub(super) fn observe(&mut self, records: &CsvReader, line: u64) {
        for watched in &mut self.columns {
            let cell = records.cell(watched.column);
            let Some(suspicion) = suspect(cell, watched.holds_dates) else { continue };
            let text = String::from_utf8_lossy(cell);
            if self.null_texts.iter().any(|null| *null == text) {
                continue;
            }
            let at = watched.found.iter().position(|(known, _)| *known == suspicion).unwrap_or_else(|| {
                watched.found.push((suspicion, Tally::default()));
                watched.found.len() - 1
            });
            if let Some((_, tally)) = watched.found.get_mut(at) {
                tally.count(text.trim(), line);
            }
        }
        for column in &mut self.left_out {
            column.filled += u64::from(!records.cell(column.column).trim_ascii().is_empty());
        }
    }

    /// Returns the warnings, in the order of the columns. `header_line` is the line of the header.
    pub(super) fn warnings(&self, header_line: u64, file: Option<&str>) -> Vec<RowFault> {
        let mut warnings = Vec::new();
        let mut warn = |path: String, code: &str, line, message, hint, value: Option<Value>| {
            let warning = RowFault::file_warning(code, line, message, file);
            warnings.push(RowFault { attribute: Some(path), hint, value, ..warning });
        };
        for LeftOutColumn { header, filled, .. } in &self.left_out {
            let message = if *filled == 1 {
                message!(
                    "The column {header:?} is left out: it is not an attribute of an import; one row has a value in it."
                )
            } else {
                message!(
                    "The column {header:?} is left out: it is not an attribute of an import; {filled} rows have a value in \
                     it."
                )
            };
            warn(member("", header), "COLUMN_LEFT_OUT", header_line, message, None, None);
        }
        for watched in &self.columns {
            for (suspicion, tally) in &watched.found {
                let (code, message, hint) = describe(*suspicion, &watched.header, tally);
                let value = tally.texts.first().filter(|_| !watched.is_secret);
                warn(
                    watched.path.clone(),
                    code,
                    tally.line,
                    message,
                    Some(hint),
                    value.map(|text| text.as_str().into()),
                );
            }
        }
        warnings
    }
}

/// Returns what a cell probably is; `None` for the usual cell.
fn suspect(cell: &[u8], holds_dates: bool) -> Option<Suspicion> {
    const MAX_LENGTH: usize = 40;
    let first = *cell.first()?;
    // Most cells are excluded by their first character.
    let is_number = first.is_ascii_digit() || matches!(first, b'+' | b'-');
    if cell.len() > MAX_LENGTH
        || !(is_number || matches!(first, b'#' | b'(' | b'<' | b'[' | b'\\' | b'N' | b'n' | b'u'))
    {
        return None;
    }
    if is_number && !holds_dates && !cell.contains(&b'E') {
        return None;
    }
    let text = trim_invisible(std::str::from_utf8(cell).ok()?);
    if is_number {
        return if is_scientific(text) {
            Some(Suspicion::Scientific)
        } else {
            (holds_dates && day_number(text).is_some()).then_some(Suspicion::DayNumber)
        };
    }
    if NULL_LIKE.contains(&text) {
        return Some(Suspicion::NullText);
    }
    is_error_value(text).then_some(Suspicion::ErrorValue)
}

fn describe(suspicion: Suspicion, header: &str, tally: &Tally) -> (&'static str, Message, Message) {
    let Tally { count, texts, .. } = tally;
    let text = texts.first().map_or("", String::as_str);
    let as_text = || {
        message!(
            "Format the column as text in the spreadsheet, enter or import the original values again, and save the \
             file."
        )
    };
    match suspicion {
        Suspicion::NullText => {
            let options: Vec<String> = texts.iter().map(|text| format!("--null {}", quoted(text))).collect();
            (
                "NULL_TEXT",
                message!(
                    "The column {header:?} has cells such as {text:?} ({count} in all), which look like an absent value and \
                     would be imported as text."
                ),
                message!("To import such cells as absent, add {options}.", options = options.join(" ")),
            )
        }
        Suspicion::Scientific => (
            "SPREADSHEET_NUMBER",
            message!(
                "The column {header:?} has numbers such as {text} ({count} in all): a spreadsheet has shortened them, and \
                 their last digits are lost."
            ),
            as_text(),
        ),
        Suspicion::ErrorValue if text.starts_with("##") => (
            "SPREADSHEET_ERROR",
            message!(
                "The column {header:?} has cells such as {text} ({count} in all): it was too narrow in the spreadsheet."
            ),
            message!("Widen the column in the spreadsheet and save the file again."),
        ),
        Suspicion::ErrorValue => (
            "SPREADSHEET_ERROR",
            message!("The column {header:?} has cells such as {text} ({count} in all), the error value of a formula."),
            message!("Format the column as text in the spreadsheet, or correct the formula, and save the file again."),
        ),
        Suspicion::DayNumber => {
            let date = day_number(text).map(|date| date.to_string()).unwrap_or_default();
            (
                "SPREADSHEET_DATE",
                message!(
                    "The column {header:?} has numbers such as {text} ({count} in all): a spreadsheet has saved dates as day \
                     numbers; this one is {date}."
                ),
                message!("Format the column as a date such as 2024-12-31 in the spreadsheet, and save the file again."),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_that_a_spreadsheet_or_database_wrote_are_recognized() {
        for (cell, holds_dates, expected) in [
            ("NULL", false, Some(Suspicion::NullText)),
            ("\\N", false, Some(Suspicion::NullText)),
            ("#N/A", false, Some(Suspicion::NullText)),
            ("Null", false, None),
            ("Nora", false, None),
            ("4.91711E+11", false, Some(Suspicion::Scientific)),
            ("4,91711E+11", false, Some(Suspicion::Scientific)),
            ("1E+15", false, Some(Suspicion::Scientific)),
            ("1E5", false, None),
            ("+4915112345678", false, None),
            ("#NAME?", false, Some(Suspicion::ErrorValue)),
            ("#BEZUG!", false, Some(Suspicion::ErrorValue)),
            ("########", false, Some(Suspicion::ErrorValue)),
            ("#1", false, None),
            ("45291", true, Some(Suspicion::DayNumber)),
            ("45291", false, None),
            ("1990", true, None),
            ("2023-12-31", true, None),
        ] {
            assert_eq!(suspect(cell.as_bytes(), holds_dates), expected, "{cell}");
        }
    }
}
