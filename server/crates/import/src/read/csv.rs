//! CSV: maps columns to attributes.

use super::error::{format_error, read_error};
use crate::schema::{self, Target, is_email};
use crate::suggest;
use uie_core::error::{Code, Error, Result};
use uie_core::message::{Message, message};
use uie_core::user;
use uie_records::{CsvReader, ReadError, Record, Step, TextEncoding, TextInput, format_path, member, parse_path};

/// How a file is read: its encoding, and which column names of a CSV file are accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HeaderPolicy {
    /// Names that a mapping reads; they need not be attributes.
    pub(crate) mapped: Vec<String>,
    /// Columns that the user excludes.
    pub(crate) dropped: Vec<String>,
    /// A mapping provides the e-mail address, so no column must.
    pub(crate) email_is_mapped: bool,
    /// Accept any name: the file was checked before, or the mapping reads the whole row.
    pub(crate) accept_any: bool,
    /// Never fail because of the header: only the names and cells are needed.
    pub(crate) lenient: bool,
    /// Every column is text under its own name, which is an attribute of a source.
    pub(crate) as_text: bool,
    /// Names of the columns of a file without a header; `None` if its first record is the header.
    pub(crate) names: Option<Vec<String>>,
    /// The encoding of the file; detected if `None`.
    pub(crate) encoding: Option<TextEncoding>,
}

/// The meaning of a column name.
#[derive(Clone, Debug, PartialEq)]
enum ColumnKind {
    Attribute(Vec<Step>, Target),
    /// Read by a mapping, under this name.
    Source(String),
    /// An attribute of a source, as text.
    Text(String),
    /// Not imported; with its attribute, if it is one that Auth0 sets itself.
    Ignored(Option<&'static str>),
    /// Without a name.
    Unnamed,
    Unknown,
}

fn classify_header(header: &str, headers: &HeaderPolicy) -> ColumnKind {
    let header = header.trim();
    let header = header.strip_prefix('\'').unwrap_or(header);
    if header.is_empty() {
        return ColumnKind::Unnamed;
    }
    if headers.dropped.iter().any(|name| name == header) {
        return ColumnKind::Ignored(None);
    }
    if headers.as_text {
        return ColumnKind::Text(header.to_owned());
    }
    // An export uses the expression as the name of a column, unless the user chose another one.
    let classify =
        |text: &str| parse_path(text.strip_prefix("user.").unwrap_or(text)).map(|steps| classify_path(&steps));
    match classify(header) {
        Some(ColumnKind::Unknown) | None => {}
        Some(known) => return known,
    }
    if headers.accept_any || headers.mapped.iter().any(|name| name == header) {
        return ColumnKind::Source(header.to_owned());
    }
    let title = user::DEFAULT_COLUMNS.iter().find(|(_, title)| title.eq_ignore_ascii_case(header));
    let path = title.map_or_else(|| header.to_ascii_lowercase().replace(' ', "_"), |(path, _)| (*path).to_owned());
    classify(&path).unwrap_or(ColumnKind::Unknown)
}

fn classify_path(steps: &[Step]) -> ColumnKind {
    let Some(Step::Member(root)) = steps.first() else { return ColumnKind::Unknown };
    match (schema::target(steps), user::find(root)) {
        (Some(target), _) => ColumnKind::Attribute(steps.to_vec(), target),
        (None, Some(attribute)) if !attribute.importable => ColumnKind::Ignored(Some(attribute.name)),
        _ => ColumnKind::Unknown,
    }
}

/// A column of the header, and its attribute without a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// Path of its attribute; `None` if it has none.
    pub(crate) attribute: Option<String>,
    /// Its attribute, if it is one that Auth0 sets itself.
    pub(crate) read_only: Option<&'static str>,
}

impl Column {
    fn new(name: &str) -> Self {
        let (attribute, read_only) = match classify_header(name, &HeaderPolicy::default()) {
            ColumnKind::Attribute(steps, _) => (Some(format_path(&steps)), None),
            ColumnKind::Ignored(attribute) => (None, attribute),
            ColumnKind::Source(_) | ColumnKind::Text(_) | ColumnKind::Unnamed | ColumnKind::Unknown => (None, None),
        };
        Self { name: name.to_owned(), attribute, read_only }
    }
}

/// A column that is ignored because Auth0 sets its attribute itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IgnoredColumn {
    pub(crate) header: String,
    pub(crate) attribute: &'static str,
}

/// Reads the records of one file as users.
pub(super) struct Csv {
    pub(super) records: CsvReader,
    /// The columns of the header; a single `email` for a list of addresses without a header.
    pub(super) names: Vec<Column>,
    pub(super) ignored_columns: Vec<IgnoredColumn>,
}

impl Csv {
    /// Detects the dialect and reads the header. Fails if the header is not acceptable.
    pub(super) fn open(input: TextInput, headers: &HeaderPolicy) -> Result<Self> {
        let is_known = |name: &str| {
            let kind = classify_header(name, &HeaderPolicy::default());
            matches!(kind, ColumnKind::Attribute(..) | ColumnKind::Ignored(_))
        };
        let mut records = CsvReader::open(input, &is_known).map_err(read_error)?;
        if headers.names.is_none() && records.single_first_cell().is_some_and(is_email) {
            // A list of addresses without a header (docs/auth0/original-extension.md#requests-of-users).
            let email = vec![Step::Member("email".to_owned())];
            records
                .assign(0, email, Target::Text)
                .map_err(|_| columns_error(message!("The users file has no column.")))?;
            return Ok(Self { records, names: vec![Column::new("email")], ignored_columns: Vec::new() });
        }
        let names = match &headers.names {
            Some(names) => {
                records.set_columns(names.len());
                names.clone()
            }
            None => records.read_header().map_err(header_error)?,
        };
        let columns = names.iter().map(|name| Column::new(name)).collect();
        let mut csv = Self { records, names: columns, ignored_columns: Vec::new() };
        if !headers.lenient {
            let identifying = csv.assign_columns(&names, headers)?;
            csv.records.detect_guards(identifying);
        }
        Ok(csv)
    }

    /// Returns the cells of a row.
    pub(super) fn texts(&self, row: &Record) -> Vec<String> {
        self.records.texts(row.cells)
    }

    /// Assigns the columns to attributes; returns the column that identifies users. Fails if a name is not acceptable.
    fn assign_columns(&mut self, names: &[String], headers: &HeaderPolicy) -> Result<usize> {
        let mut unknown = Vec::new();
        for (column, name) in names.iter().enumerate() {
            let (steps, target) = match classify_header(name, headers) {
                ColumnKind::Attribute(steps, target) => (steps, target),
                ColumnKind::Source(name) => (vec![Step::Member(name)], Target::Free),
                ColumnKind::Text(name) => (vec![Step::Member(name)], Target::Text),
                ColumnKind::Ignored(attribute) => {
                    let ignored = attribute.map(|attribute| IgnoredColumn { header: name.clone(), attribute });
                    self.ignored_columns.extend(ignored);
                    continue;
                }
                ColumnKind::Unnamed => {
                    self.records.set_unnamed(column);
                    continue;
                }
                ColumnKind::Unknown => {
                    unknown.push(name.as_str());
                    continue;
                }
            };
            match self.records.assign(column, steps, target) {
                Ok(()) => {}
                Err(Some(other)) => {
                    let (one, two) = (other + 1, column + 1);
                    let first = names.get(other).map_or("", String::as_str);
                    return Err(columns_error(message!(
                        "Columns {one} ({first:?}) and {two} ({name:?}) of the users file mean the same attribute."
                    ))
                    .with_hint(message!("Rename or remove one of them.")));
                }
                Err(None) => {
                    return Err(columns_error(message!(
                        "Column {number} ({name:?}) of the users file conflicts with the columns before it.",
                        number = column + 1
                    ))
                    .with_hint(message!("Elements of an array are counted from 0.")));
                }
            }
        }
        if !unknown.is_empty() && !headers.accept_any {
            return Err(unknown_columns(&unknown));
        }
        match self.records.column_of("email") {
            Some(column) => Ok(column),
            None if headers.email_is_mapped || headers.accept_any || headers.as_text => {
                Ok(self.records.column_of("user_id").unwrap_or(usize::MAX))
            }
            None => Err(columns_error(message!("No column of the users file is named email, which every user needs."))
                .with_hint(message!(
                    "The first line of a CSV file names the attributes: email,given_name,app_metadata.plan and so on."
                ))),
        }
    }
}

fn header_error(error: ReadError) -> Error {
    match error {
        ReadError::HeaderTooLong => format_error(message!("The header of the users file is too long.")),
        ReadError::HeaderEncoding(column) => format_error(message!("The name of column {column} is not UTF-8.")),
        error => read_error(error),
    }
}

fn columns_error(message: Message) -> Error {
    Error::new(Code::UsersFileColumns, message)
}

fn unknown_columns(names: &[&str]) -> Error {
    const SHOWN: usize = 10;
    let describe = |name: &&str| {
        let shown: String = name.chars().take(60).collect();
        match suggest::nearest_attribute(name) {
            Some(nearest) => message!("{shown:?} (did you mean {nearest}?)"),
            None => Message::verbatim(format!("{shown:?}")),
        }
    };
    let mut columns = names.iter().take(SHOWN).map(describe);
    let first = columns.next().unwrap_or_else(|| Message::verbatim(""));
    let mut text = columns.fold(first, |list, column| message!("{list}, {column}"));
    if let Some(more @ 1..) = names.len().checked_sub(SHOWN) {
        text = message!("{text} and {more} more");
    }
    let message = if let [_] = names {
        message!("The users file, read as CSV, has a column that is not an attribute of an import: {text}.")
    } else {
        message!("The users file, read as CSV, has columns that are not attributes of an import: {text}.")
    };
    let example = names.first().map_or("", |name| name);
    let key = member("user", example);
    let target = suggest::suggest_attribute(example);
    columns_error(message).with_hint(message!(
        "Rename a column to the attribute it holds, map it (--map '{key}={target}'), or leave it out (--map \
         'null={example}')."
    ))
}
