//! Which source the files of an import are of, and the conversion of their rows.

use std::io::{Cursor, Read};

use serde_json::{Map, Value};

use super::hashes;
use super::input_file::InputFile;
use super::read::{HeaderPolicy, RawRow, RowReader};
use super::row::{BufferedRow, Content};
use super::row_fault::RowFault;
use uie_core::error::{Code, Error, Result};
use uie_core::message::{Message, message};
use uie_sources::{Layout, LossKind, Sample, Source};

/// The word that turns the detection of sources off.
const NO_SOURCE: &str = "none";

/// Bytes of a file by which its source is recognized.
const BEGINNING_BYTES: u64 = 1 << 20;

/// Rows by which the source of a file is recognized.
const SAMPLED_ROWS: usize = 100;

/// Maximum number of attributes without a target whose names are kept.
const MAX_UNKNOWN: usize = 100;

/// How the source of a file is decided.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum SourceChoice {
    /// By its content.
    #[default]
    Detect,
    /// Every file has the attributes of Auth0.
    Off,
    /// By the user.
    Of(&'static Source),
}

impl SourceChoice {
    /// Parses `--source`. Fails for a name that is no source.
    pub(super) fn parse(name: Option<&str>) -> Result<Self> {
        match name {
            None | Some("") => Ok(Self::Detect),
            Some(NO_SOURCE) => Ok(Self::Off),
            Some(name) => uie_sources::find(name).map(Self::Of).ok_or_else(|| {
                let names: Vec<&str> = uie_sources::ALL.iter().map(|source| source.name).collect();
                Error::new(Code::InvalidBody, message!("There is no source {name:?}."))
                    .with_hint(message!(
                        "The sources are {names}; {none} turns their detection off.",
                        names = names.join(", "),
                        none = NO_SOURCE
                    ))
                    .with_field("source")
            }),
        }
    }

    /// Returns whether the user chose the source of this name.
    pub(super) fn is(self, name: &str) -> bool {
        matches!(self, Self::Of(source) if source.name == name)
    }

    /// Returns the source of a file that starts with `beginning`, read in the encoding of `headers`.
    pub(super) fn decide(self, beginning: &[u8], headers: &HeaderPolicy) -> FileSource {
        let Some(sample) = (!matches!(self, Self::Off)).then(|| sample(beginning, headers)).flatten() else {
            return FileSource { source: if let Self::Of(source) = self { Some(source) } else { None }, names: None };
        };
        let source = match self {
            Self::Off => None,
            Self::Of(source) => Some(source),
            Self::Detect if hashes::is_export(&sample.rows) => uie_sources::find(hashes::SOURCE),
            Self::Detect => uie_sources::detect(&sample),
        };
        let names = source.and_then(|source| source.column_names(&sample));
        FileSource { source, names }
    }
}

/// The source of a file.
#[derive(Clone, Debug, Default)]
pub(super) struct FileSource {
    /// `None` if the attributes are those of Auth0.
    pub(super) source: Option<&'static Source>,
    /// The names of its columns, if it is CSV without a header.
    names: Option<Vec<String>>,
}

impl FileSource {
    /// Returns how the header of the file is read. Columns of a source are converted later; those of other files, and of
    /// Auth0 itself, are attributes by their names.
    pub(super) fn headers(&self, policy: &HeaderPolicy) -> HeaderPolicy {
        let as_text = self.source.is_some_and(|source| !source.is_auth0);
        HeaderPolicy { as_text, names: self.names.clone(), ..policy.clone() }
    }
}

/// Reads the beginning of a file. Also returns the complete file.
pub(super) fn read_beginning(mut content: Box<dyn Read + Send>) -> Result<(Vec<u8>, Box<dyn Read + Send>)> {
    let mut beginning = Vec::new();
    content.by_ref().take(BEGINNING_BYTES).read_to_end(&mut beginning)?;
    let content = Box::new(Cursor::new(beginning.clone()).chain(content));
    Ok((beginning, content))
}

/// Opens a file of users. Returns its reader and its source.
pub(super) fn open_users(
    content: Box<dyn Read + Send>,
    headers: &HeaderPolicy,
    choice: SourceChoice,
) -> Result<(RowReader, Option<&'static Source>)> {
    let (beginning, content) = read_beginning(content)?;
    let file = choice.decide(&beginning, headers);
    let reader = RowReader::open(content, &file.headers(headers))?;
    Ok((reader, file.source))
}

/// Returns the first rows of a file; `None` if there is no row.
pub(super) fn sample(beginning: &[u8], headers: &HeaderPolicy) -> Option<Sample> {
    let policy =
        HeaderPolicy { lenient: true, accept_any_header: true, encoding: headers.encoding, ..HeaderPolicy::default() };
    let mut reader = RowReader::open(Box::new(Cursor::new(beginning.to_vec())), &policy).ok()?;
    let columns: Option<Vec<String>> =
        reader.columns().map(|columns| columns.iter().map(|column| column.name.clone()).collect());
    let mut sample = Sample {
        layout: match reader.format().format.as_str() {
            "csv" => Layout::Csv,
            "ldif" => Layout::Ldif,
            _ => Layout::Rows,
        },
        names: columns.clone().unwrap_or_default(),
        rows: Vec::new(),
    };
    let mut row = RawRow::default();
    while sample.rows.len() < SAMPLED_ROWS && matches!(reader.next(&mut row), Ok(true)) {
        let members = match &columns {
            Some(columns) => {
                let cells = reader.cells(&row).into_iter().map(Value::from);
                columns.iter().cloned().zip(cells).collect::<Map<_, _>>()
            }
            // The last row of the beginning may be incomplete.
            None => match reader.parse(&row) {
                Ok(Ok(Value::Object(members))) => members,
                Ok(_) => continue,
                Err(_) => break,
            },
        };
        if columns.is_none() {
            for name in members.keys() {
                if !sample.names.contains(name) {
                    sample.names.push(name.clone());
                }
            }
        }
        sample.rows.push(members);
    }
    (!sample.names.is_empty()).then_some(sample)
}

/// Returns how the source of files of users is decided, when exports of password hashes are separated from them.
pub(super) fn choice_of_users(choice: SourceChoice, has_hashes: bool) -> SourceChoice {
    if has_hashes && choice.is(hashes::SOURCE) { SourceChoice::Detect } else { choice }
}

/// Returns whether a file among several is an export of password hashes.
pub(super) fn is_hash_export(choice: SourceChoice, file: &mut InputFile<'_>) -> Result<bool> {
    let is_certain = match choice {
        SourceChoice::Off => return Ok(false),
        SourceChoice::Of(source) if source.name == hashes::SOURCE => false,
        SourceChoice::Of(source) if !source.is_auth0 => return Ok(false),
        SourceChoice::Of(_) | SourceChoice::Detect => true,
    };
    if !file.reopenable {
        return Ok(false);
    }
    let (beginning, _) = read_beginning((file.open)()?)?;
    let rows = sample(&beginning, &HeaderPolicy::default()).map(|sample| sample.rows).unwrap_or_default();
    Ok(!rows.is_empty() && if is_certain { hashes::is_export(&rows) } else { hashes::has_entries(&rows) })
}

/// Converts the rows of one file, and counts what is lost.
pub(super) struct Converter {
    source: &'static Source,
    /// Attributes of the source that the user excludes.
    dropped: Vec<String>,
    remarks: SourceRemarks,
}

impl Converter {
    /// Returns the converter for a source; `None` if its rows need no conversion.
    pub(super) fn new(source: Option<&'static Source>, dropped: &[String]) -> Option<Self> {
        let source = source.filter(|source| !source.is_auth0)?;
        Some(Self { source, dropped: dropped.to_vec(), remarks: SourceRemarks::default() })
    }

    /// Converts a row that is an object; its text stays that of the source.
    pub(super) fn apply(&mut self, row: &mut BufferedRow) {
        let Content::User(Value::Object(members)) = &mut row.content else { return };
        let mut members = std::mem::take(members);
        members.retain(|name, _| !self.dropped.contains(name));
        let converted = self.source.convert(members);
        for loss in &converted.losses {
            self.remarks.count_loss(loss.kind, row.raw.line);
        }
        for name in converted.unknown {
            self.remarks.record_unknown(name, row.raw.line);
        }
        row.content = Content::User(Value::Object(converted.user));
    }

    /// Returns what was lost.
    pub(super) fn into_remarks(self) -> SourceRemarks {
        self.remarks
    }
}

/// What the conversion of rows could not take, counted.
#[derive(Debug, Default)]
pub(super) struct SourceRemarks {
    losses: Vec<(&'static LossKind, u64, u64)>,
    unknown: Vec<(String, u64)>,
}

impl SourceRemarks {
    fn count_loss(&mut self, kind: &'static LossKind, line: u64) {
        match self.losses.iter_mut().find(|(known, ..)| known.code == kind.code) {
            Some((_, count, _)) => *count += 1,
            None => self.losses.push((kind, 1, line)),
        }
    }

    fn record_unknown(&mut self, name: String, line: u64) {
        if self.unknown.len() < MAX_UNKNOWN && !self.unknown.iter().any(|(known, _)| *known == name) {
            self.unknown.push((name, line));
        }
    }

    /// Returns a warning for each kind of loss, and one for all attributes that are not imported.
    pub(super) fn into_faults(self, file: Option<&str>) -> Vec<RowFault> {
        let warning = |code: &str, line: u64, message: Message, hint: Message| RowFault {
            hint: Some(hint),
            ..RowFault::file_warning(code, line, message, file)
        };
        let mut faults: Vec<RowFault> = self
            .losses
            .iter()
            .map(|(kind, users, line)| warning(kind.code, *line, (kind.message)(*users), (kind.hint)()))
            .collect();
        if let Some((first, line)) = self.unknown.first() {
            let names: Vec<&str> = self.unknown.iter().map(|(name, _)| name.as_str()).collect();
            faults.push(warning(
                "ATTRIBUTE_LEFT_OUT",
                *line,
                message!("These attributes of the source are not imported: {names}.", names = names.join(", ")),
                message!(
                    "Map those that you need, for example --map '{expression}=user_metadata.name'.",
                    expression = uie_records::member("user", first)
                ),
            ));
        }
        faults
    }
}
