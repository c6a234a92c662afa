//! The file of an export job: gzip of NDJSON or of Auth0's CSV dialect (docs/auth0/jobs.md#export-files), written once
//! when the job ends.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Map, Value};
use tokio::sync::mpsc;

use crate::directory::{Directory, Handle};

/// Maximum number of fields of a CSV export.
pub(crate) const CSV_FIELDS: usize = 30;

/// Fields of an export without a field list. Auth0 does not publish its set; this is the normalized profile.
const DEFAULT_FIELDS: &[(&str, Option<&str>)] = &[
    ("user_id", None),
    ("email", None),
    ("email_verified", None),
    ("name", None),
    ("given_name", None),
    ("family_name", None),
    ("nickname", None),
    ("picture", None),
    ("identities[0].connection", Some("connection")),
    ("created_at", None),
    ("updated_at", None),
];

/// Attributes that Auth0 writes as dates; CSV does not escape them.
const DATES: &[&str] = &["created_at", "updated_at", "last_login", "last_password_reset", "multifactor_last_modified"];

/// The format of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Csv,
}

impl Format {
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Format::Json => "json",
            Format::Csv => "csv",
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Member(String),
    Item(usize),
}

/// A field: the path of its value and its name in the file.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    path: Vec<Step>,
    title: String,
    date: bool,
}

impl Field {
    /// Parses a path such as `identities[0].connection`. An invalid path has no value, because Auth0 accepts any name.
    pub(crate) fn new(name: &str, title: Option<&str>) -> Self {
        let mut path = Vec::new();
        for part in name.split('.') {
            let mut rest = part;
            if let Some(open) = part.find('[') {
                let (member, indexes) = part.split_at(open);
                path.push(Step::Member(member.to_owned()));
                rest = indexes;
                while let Some((index, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
                    path.push(index.parse().map_or_else(|_| Step::Member(index.to_owned()), Step::Item));
                    rest = after;
                }
            }
            if !rest.is_empty() {
                path.push(Step::Member(rest.to_owned()));
            }
        }
        if path.is_empty() {
            path.push(Step::Member(name.to_owned()));
        }
        Field { path, title: title.unwrap_or(name).to_owned(), date: DATES.contains(&name) }
    }

    fn value<'a>(&self, user: &'a Value) -> Option<&'a Value> {
        self.path
            .iter()
            .try_fold(user, |value, step| match step {
                Step::Member(name) => value.get(name),
                Step::Item(index) => value.get(index),
            })
            .filter(|value| !value.is_null())
    }
}

/// Returns the fields of an export without a field list.
pub(crate) fn default_fields() -> Vec<Field> {
    DEFAULT_FIELDS.iter().map(|(name, title)| Field::new(name, *title)).collect()
}

/// All parameters of the file's content.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) format: Format,
    pub(crate) fields: Vec<Field>,
    /// Only users of this connection.
    pub(crate) connection: Option<String>,
    pub(crate) limit: Option<u64>,
    /// Users added after the job ended are not in the file.
    pub(crate) until: Handle,
}

/// The file of a completed job: an unnamed temporary file, deleted with the job.
#[derive(Debug)]
pub(crate) struct ExportFile {
    file: File,
    pub(crate) length: u64,
}

/// The size of a block that is read and sent, in bytes.
const BLOCK: usize = 64 * 1024;

/// Writes the file of a job.
pub(crate) fn write_file(plan: &Plan, directory: &Directory) -> io::Result<ExportFile> {
    let file = tempfile::tempfile()?;
    let output = BufWriter::with_capacity(BLOCK, file.try_clone()?);
    write(plan, directory, GzEncoder::new(output, Compression::fast()))?;
    let length = file.metadata()?.len();
    Ok(ExportFile { file, length })
}

/// Reads a range of the file in a separate thread. The channel blocks the thread while the client is slow, and ends it
/// when the client disconnects.
pub(crate) fn stream(file: Arc<ExportFile>, range: Range<u64>) -> mpsc::Receiver<Bytes> {
    let (sender, receiver) = mpsc::channel(4);
    tokio::task::spawn_blocking(move || {
        let mut at = range.start;
        while at < range.end {
            let mut piece = vec![0; usize::try_from(range.end - at).unwrap_or(BLOCK).min(BLOCK)];
            if let Err(error) = file.file.read_exact_at(&mut piece, at) {
                tracing::error!(%error, "the file of an export cannot be read");
                return;
            }
            at += piece.len() as u64;
            if sender.blocking_send(Bytes::from(piece)).is_err() {
                return;
            }
        }
    });
    receiver
}

fn write<W: Write>(plan: &Plan, directory: &Directory, mut out: GzEncoder<W>) -> io::Result<()> {
    if plan.format == Format::Csv {
        let titles: Vec<String> = plan.fields.iter().map(|field| title(&field.title)).collect();
        writeln!(out, "{}", titles.join(","))?;
    }
    let users = (0..plan.until)
        .filter(|handle| plan.connection.as_deref().is_none_or(|name| directory.in_connection(*handle, name)))
        .take(plan.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX));
    for handle in users {
        let Some(user) = directory.get(handle) else { continue };
        let user = without_idp_tokens(user);
        match plan.format {
            Format::Json => {
                let line: Map<String, Value> = plan
                    .fields
                    .iter()
                    .filter_map(|field| Some((field.title.clone(), field.value(&user)?.clone())))
                    .collect();
                serde_json::to_writer(&mut out, &line)?;
                out.write_all(b"\n")?;
            }
            Format::Csv => {
                let cells: Vec<String> = plan.fields.iter().map(|field| cell(field.value(&user), field.date)).collect();
                writeln!(out, "{}", cells.join(","))?;
            }
        }
    }
    out.finish()?.flush()
}

/// Removes the tokens of identity providers, which only clients with a special scope may read.
pub(crate) fn without_idp_tokens(mut user: Value) -> Value {
    for identity in user.get_mut("identities").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(identity) = identity.as_object_mut() {
            identity
                .retain(|name, _| !matches!(name.as_str(), "access_token" | "access_token_secret" | "refresh_token"));
        }
    }
    user
}

fn title(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

/// Formats a cell: strings have a leading `'` and quotation marks, other values are unchanged. Objects and arrays are
/// empty, because every leaf must be named.
fn cell(value: Option<&Value>, date: bool) -> String {
    match value {
        Some(Value::String(text)) if date => text.clone(),
        Some(Value::String(text)) => format!("\"'{}\"", text.replace('"', "\"\"")),
        Some(Value::Bool(_) | Value::Number(_)) => value.map(Value::to_string).unwrap_or_default(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_reach_into_objects_and_arrays() {
        let user = json!({"identities": [{"connection": "db"}], "app_metadata": {"a": {"b": 1}}, "multifactor": ["guardian"], "x": null});
        let value = |name: &str| Field::new(name, None).value(&user).cloned();
        assert_eq!(value("identities[0].connection"), Some("db".into()));
        assert_eq!(value("app_metadata.a.b"), Some(1.into()));
        assert_eq!(value("multifactor[0]"), Some("guardian".into()));
        for absent in ["identities[1].connection", "x", "unknown", "", "..", "[0]", "a[", "multifactor[x]"] {
            assert_eq!(value(absent), None, "{absent}");
        }
    }

    #[test]
    fn cells_follow_the_dialect() {
        assert_eq!(cell(Some(&json!("a\"b")), false), "\"'a\"\"b\"");
        assert_eq!(cell(Some(&json!("2020-01-01T00:00:00.000Z")), true), "2020-01-01T00:00:00.000Z");
        assert_eq!(cell(Some(&json!(true)), false), "true");
        assert_eq!(cell(Some(&json!(10)), false), "10");
        assert_eq!(cell(Some(&json!({"a": 1})), false), "");
        assert_eq!(cell(None, false), "");
    }
}
