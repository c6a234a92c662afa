//! CSV: maps columns to attributes.

use super::cell_watch::CellWatch;
use super::error::{format_error, read_error};
use crate::proposals::{self, UnknownColumn};
use crate::schema::{self, Target, is_email};
use crate::shell::quoted;
use crate::{redact, secret_hints, suggest};
use uie_core::error::{Code, Error, Result};
use uie_core::message::{Message, message};
use uie_core::user;
use uie_records::{CsvReader, ReadError, Record, Step, TextEncoding, TextInput, format_path, member, parse_path};

/// How a file is read: its encoding, which column names are accepted, and what is read of the columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HeaderPolicy {
    /// Root names that a mapping reads; they need not be attributes.
    pub(crate) mapped: Vec<String>,
    /// Root names that the query reads.
    pub(crate) queried: Vec<String>,
    /// The mapping reads the whole row.
    pub(crate) reads_all: bool,
    /// Columns that the user excludes.
    pub(crate) dropped: Vec<String>,
    /// Leave out columns that are not attributes.
    pub(crate) drop_unknown: bool,
    /// Texts of cells that have no value.
    pub(crate) null_texts: Vec<String>,
    /// Attributes that a mapping computes, which no column must have.
    pub(crate) computed: Vec<String>,
    /// Accept any name as an attribute: the file was checked before.
    pub(crate) accept_any: bool,
    /// Never fail because of the header: only the names and cells are needed.
    pub(crate) lenient: bool,
    /// Accept a first line that looks like a user instead of a header: only to recognize the source of the file.
    pub(crate) accept_any_header: bool,
    /// Every column is text under its own name, which is an attribute of a source.
    pub(crate) as_text: bool,
    /// Names of the columns of a file without a header; `None` if its first record is the header.
    pub(crate) names: Option<Vec<String>>,
    /// The encoding of the file; detected if `None`.
    pub(crate) encoding: Option<TextEncoding>,
}

impl HeaderPolicy {
    /// Returns whether an expression reads a root name of the row.
    fn is_mapped(&self, name: &str) -> bool {
        self.reads_all || self.mapped.iter().any(|mapped| mapped == name)
    }

    /// Returns whether a mapping computes an attribute.
    fn computes(&self, attribute: &str) -> bool {
        self.computed.iter().any(|computed| computed == attribute)
    }

    /// Returns whether an expression or the query reads a root name of the row.
    fn is_read(&self, name: &str) -> bool {
        self.is_mapped(name) || self.queried.iter().any(|queried| queried == name)
    }
}

/// The meaning of a column name.
#[derive(Clone, Debug, PartialEq)]
enum ColumnKind {
    Attribute(Vec<Step>, Target),
    /// Read under this name.
    Source(String),
    /// An attribute of a source, as text.
    Text(String),
    /// One of the attributes that Auth0 sets itself.
    ReadOnly(Vec<Step>, &'static str),
    /// Without a name.
    Unnamed,
    Unknown,
}

/// Returns the name of a column without the apostrophe of Auth0's exports.
fn plain_header(header: &str) -> &str {
    let header = header.trim();
    header.strip_prefix('\'').unwrap_or(header)
}

fn classify_header(header: &str, headers: &HeaderPolicy) -> ColumnKind {
    let header = plain_header(header);
    if header.is_empty() {
        return ColumnKind::Unnamed;
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
    if headers.accept_any || headers.is_mapped(header) {
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
        (None, Some(attribute)) if !attribute.importable => ColumnKind::ReadOnly(steps.to_vec(), attribute.name),
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
            ColumnKind::ReadOnly(_, attribute) => (None, Some(attribute)),
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

/// A column that expressions read, with its path in the row that they see.
struct ReadColumn {
    column: usize,
    steps: Vec<Step>,
    target: Target,
    /// Whether the row that is imported has it under another path, or not at all.
    is_original_only: bool,
}

/// Reads the records of one file as users.
pub(super) struct Csv {
    pub(super) records: CsvReader,
    /// The columns of the header; a single `email` for a list of addresses without a header.
    pub(super) names: Vec<Column>,
    pub(super) ignored_columns: Vec<IgnoredColumn>,
    /// Cells that are probably not what their author meant.
    pub(super) watch: CellWatch,
}

impl Csv {
    /// Detects the dialect and reads the header. Fails if the header is not acceptable.
    pub(super) fn open(input: TextInput, headers: &HeaderPolicy) -> Result<Self> {
        let is_known = |name: &str| {
            let kind = classify_header(name, &HeaderPolicy::default());
            matches!(kind, ColumnKind::Attribute(..) | ColumnKind::ReadOnly(..))
        };
        let mut records = CsvReader::open(input, &is_known).map_err(read_error)?;
        if headers.names.is_none() && records.single_first_cell().is_some_and(is_email) {
            // A list of addresses without a header (docs/auth0/original-extension.md#requests-of-users).
            let email = vec![Step::Member("email".to_owned())];
            records
                .assign(0, email, Target::Text)
                .map_err(|_| columns_error(message!("The users file has no column.")))?;
            return Ok(Self {
                records,
                names: vec![Column::new("email")],
                ignored_columns: Vec::new(),
                watch: CellWatch::default(),
            });
        }
        if headers.accept_any_header {
            records.accept_any_header();
        }
        let names = if let Some(names) = &headers.names {
            records.set_columns(names.len());
            names.clone()
        } else {
            records.read_header().map_err(header_error)?
        };
        let columns = names.iter().map(|name| Column::new(name)).collect();
        let watch = CellWatch::new(&headers.null_texts);
        let mut csv = Self { records, names: columns, ignored_columns: Vec::new(), watch };
        csv.records.set_null_texts(headers.null_texts.clone());
        if !headers.lenient {
            let identifying = csv.assign_columns(&names, headers)?;
            csv.records.detect_guards(identifying);
        }
        Ok(csv)
    }

    /// Reads the next row; `false` at the end of the file.
    pub(super) fn next(&mut self, row: &mut Record) -> std::result::Result<bool, ReadError> {
        let found = self.records.next(row)?;
        if found && row.problem.is_none() {
            self.watch.observe(&self.records, row.line);
        }
        Ok(found)
    }

    /// Returns the cells of a row.
    pub(super) fn texts(&self, row: &Record) -> Vec<String> {
        self.records.texts(row.cells)
    }

    /// Assigns the columns to attributes; returns the column that identifies users. Fails if a name is not acceptable.
    fn assign_columns(&mut self, names: &[String], headers: &HeaderPolicy) -> Result<usize> {
        let mut unknown = Vec::new();
        let mut read = Vec::new();
        for (column, name) in names.iter().enumerate() {
            let header = plain_header(name);
            let is_dropped = headers.dropped.iter().any(|dropped| dropped == header);
            let mut read_as = |steps: Vec<Step>, target, is_original_only| {
                if matches!(steps.first(), Some(Step::Member(root)) if headers.is_read(root)) {
                    read.push(ReadColumn { column, steps, target, is_original_only });
                }
            };
            match classify_header(name, headers) {
                ColumnKind::Attribute(steps, target) => {
                    read_as(steps.clone(), target, is_dropped);
                    if !is_dropped {
                        self.watch.add(column, header, Some(&steps));
                        self.assign(column, names, steps, target)?;
                    }
                }
                ColumnKind::Source(name) => {
                    let steps = vec![Step::Member(name)];
                    if headers.accept_any {
                        self.assign(column, names, steps, Target::Free)?;
                    } else {
                        self.watch.add(column, header, None);
                        read_as(steps, Target::Free, true);
                    }
                }
                // The conversion of the source, and expressions, read them.
                ColumnKind::Text(name) => self.assign(column, names, vec![Step::Member(name)], Target::Text)?,
                ColumnKind::ReadOnly(steps, attribute) => {
                    read_as(steps, Target::Free, true);
                    if !is_dropped {
                        self.ignored_columns.push(IgnoredColumn { header: name.clone(), attribute });
                    }
                }
                ColumnKind::Unnamed => self.records.set_unnamed(column),
                ColumnKind::Unknown => {
                    read_as(vec![Step::Member(header.to_owned())], Target::Free, true);
                    if headers.drop_unknown && !is_dropped {
                        self.watch.add_left_out(column, header);
                    }
                    if !headers.drop_unknown && !is_dropped {
                        unknown.push(column);
                    }
                }
            }
        }
        if !unknown.is_empty() {
            return Err(self.unknown_columns(&unknown, names, &headers.computed));
        }
        if read.iter().any(|column| column.is_original_only) {
            for ReadColumn { column, steps, target, .. } in &read {
                let is_free = self.records.assign_original(*column, steps, *target);
                let first = read.iter().find(|other| other.steps == *steps).map_or(*column, |other| other.column);
                if !is_free && first != *column {
                    return Err(same_attribute(first, *column, names));
                }
            }
        }
        match self.records.column_of("email") {
            Some(column) => Ok(column),
            None if headers.computes("email") || headers.reads_all || headers.accept_any || headers.as_text => {
                Ok(self.records.column_of("user_id").unwrap_or(usize::MAX))
            }
            None => Err(columns_error(message!("No column of the users file is named email, which every user needs."))
                .with_hint(email_hint(names))),
        }
    }

    /// Assigns a column to an attribute. Fails if an earlier column has it.
    fn assign(&mut self, column: usize, names: &[String], steps: Vec<Step>, target: Target) -> Result<()> {
        match self.records.assign(column, steps, target) {
            Ok(()) => Ok(()),
            Err(Some(other)) => Err(same_attribute(other, column, names)),
            Err(None) => Err(columns_error(message!(
                "Column {number} ({name:?}) of the users file conflicts with the columns before it.",
                number = column + 1,
                name = names.get(column).map_or("", String::as_str)
            ))
            .with_hint(message!("Elements of an array are counted from 0."))),
        }
    }

    /// Returns the error for columns that are not attributes, with a proposal for each. `computed` are the attributes
    /// that the mapping computes already.
    fn unknown_columns(&self, columns: &[usize], names: &[String], computed: &[String]) -> Error {
        let unknown: Vec<UnknownColumn<'_>> = columns
            .iter()
            .filter_map(|column| {
                let cells = self.records.sampled_cells(*column);
                let samples = cells.filter_map(|cell| std::str::from_utf8(cell).ok()).map(str::trim);
                let samples = samples.filter(|cell| !cell.is_empty()).collect();
                Some(UnknownColumn { name: plain_header(names.get(*column)?), samples })
            })
            .collect();
        let own = self.names.iter().filter_map(|column| column.attribute.clone());
        let taken = own.chain(computed.iter().cloned()).collect();
        let proposals = proposals::propose(&unknown, taken);
        let described = unknown.iter().zip(&proposals).map(|(column, proposal)| {
            let shown: String = redact::shown_name(column.name).chars().take(60).collect();
            let nearest = suggest::nearest_attribute(column.name)
                .filter(|nearest| *nearest != "password_hash" || proposal.attribute.as_deref() == Some(*nearest));
            match nearest {
                Some(nearest) => message!("{shown:?} (did you mean {nearest}?)"),
                None => Message::verbatim(format!("{shown:?}")),
            }
        });
        let text = described.reduce(|list, column| message!("{list}, {column}"));
        let text = text.unwrap_or_else(|| Message::verbatim(""));
        let message = if let [_] = columns {
            message!("The users file, read as CSV, has a column that is not an attribute of an import: {text}.")
        } else {
            message!("The users file, read as CSV, has columns that are not attributes of an import: {text}.")
        };
        let hint = proposals::hint(&proposals);
        let mut secrets = unknown.iter().zip(&proposals).filter(|(_, proposal)| proposal.attribute.is_none());
        let about_secret =
            secrets.find_map(|(column, _)| secret_hints::unknown_secret(redact::shown_name(column.name), None));
        columns_error(message).with_hint(match about_secret {
            Some(about_secret) => message!("{hint}\n{about_secret}"),
            None => hint,
        })
    }
}

fn header_error(error: ReadError) -> Error {
    match error {
        ReadError::HeaderTooLong => format_error(message!("The header of the users file is too long.")),
        ReadError::HeaderEncoding(column) => format_error(message!("The name of column {column} is not UTF-8.")),
        error => read_error(error),
    }
}

/// Returns how a file without the column `email` can be imported.
fn email_hint(names: &[String]) -> Message {
    let probable =
        names.iter().map(|name| plain_header(name)).find(|name| suggest::nearest_attribute(name) == Some("email"));
    match probable {
        Some(name) => {
            let rule = quoted(&format!("{key}=email", key = member("user", name)));
            message!("If the column {name:?} has the addresses, add --map {rule}.")
        }
        None => {
            message!("The first line of a CSV file names the attributes: email,given_name,app_metadata.plan and so on.")
        }
    }
}

fn columns_error(message: Message) -> Error {
    Error::new(Code::UsersFileColumns, message)
}

fn same_attribute(one: usize, two: usize, names: &[String]) -> Error {
    let name = |column: usize| names.get(column).map_or("", String::as_str);
    columns_error(message!(
        "Columns {one} ({first:?}) and {two} ({name:?}) of the users file mean the same attribute.",
        one = one + 1,
        first = name(one),
        two = two + 1,
        name = name(two)
    ))
    .with_hint(message!("Rename or remove one of them."))
}
