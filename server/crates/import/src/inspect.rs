//! Inspects the beginning of a file before an import: its format, its columns with examples, a suggested attribute for
//! each column, and the result of the check with a given mapping.

use std::collections::{HashMap, HashSet};
use std::io::{Cursor, Read};

use flate2::read::MultiGzDecoder;
use serde::Serialize;
use serde_json::{Map, Value};

use super::bcrypt::is_import_bcrypt;
use super::check::Checker;
use super::check_run::{ignored_columns, skipped_line};
use super::consequences::Consequences;
use super::encoding_notes::EncodingNotes;
use super::input_file::InputFormat;
use super::read::{HeaderPolicy, RawRow, RowReader, damaged_gzip};
use super::redact;
use super::row::{Checked as RowChecked, Failed, Row};
use super::row_fault::{RowFault, Severity};
use super::rows::Rows;
use super::secret_value::{is_hex_hash, is_secret_value};
use super::source_choice::FileSource;
use super::spec::ImportSpec;
use super::suggest;
use super::summary::{Reason, ReasonCounter};
use uie_core::error::{ErrorBody, Result};
use uie_core::language::Language;
use uie_core::message::Localize;
use uie_core::secret_name::is_secret_name;
use uie_core::user;
use uie_query::Remark;
use uie_records::member;
use uie_sources::{Source, SourceName};

/// Number of bytes of a file that are inspected, compressed or not.
pub const INSPECTED_BYTES: usize = 4 << 20;

/// Maximum number of rows that are inspected.
const INSPECTED_ROWS: u64 = 1000;

/// Maximum number of rows and users that are shown.
const SHOWN_ROWS: usize = 10;

/// Maximum number of example values of a column.
const MAX_EXAMPLES: usize = 3;

/// Maximum number of row errors that are shown.
const SHOWN_FAULTS: usize = 20;

/// Maximum number of root attributes of JSON that are listed as columns.
const MAX_COLUMNS: usize = 500;

/// A column of CSV, or a root attribute of JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct InspectedColumn {
    /// Its name in the file; empty for a column without one.
    pub name: String,
    /// The expression that reads it in a mapping.
    pub expression: String,
    /// The attribute that it becomes without a mapping: a path such as `app_metadata.plan`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attribute: Option<String>,
    /// The suggested attribute if the name is not one: the most similar attribute, or else a key in metadata. Absent
    /// for secrets, unless `password_hash` takes them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proposal: Option<String>,
    /// Its attribute, if it is one that Auth0 sets itself. Such columns of CSV are skipped; those of JSON must be
    /// dropped with `drop_read_only`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_only: Option<String>,
    /// Number of rows with a value.
    pub filled: u64,
    /// The first distinct values, shortened, with secrets hidden.
    pub examples: Vec<String>,
}

/// A row of the file.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct InspectedRow {
    /// Physical line where it starts, from 1.
    pub line: u64,
    /// A value for each column, null if absent; secrets are hidden.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Value>))]
    pub values: Vec<Value>,
}

/// Result of the check of the inspected rows with the given mapping.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Checked {
    /// Rows without errors.
    pub good: u64,
    /// Rows with errors.
    pub failed: u64,
    /// Rows that the query does not match; absent if there are no such rows.
    #[serde(skip_serializing_if = "is_zero")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub left_out: u64,
    /// Number of warnings.
    pub warnings: u64,
    /// Errors and warnings by reason, errors and frequent ones first.
    pub reasons: Vec<Reason>,
    /// The first row errors and warnings.
    pub faults: Vec<RowFault>,
    /// The first users as they would be sent, with secrets hidden.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Object>))]
    pub users: Vec<Value>,
}

/// Result of inspecting the beginning of a file.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Inspection {
    /// Format, encoding, delimiter, compression.
    pub input: InputFormat,
    /// Number of inspected rows.
    pub rows: u64,
    /// Whether the file has no further rows.
    pub complete: bool,
    /// The source whose export the file is, chosen or detected; absent if its attributes are those of Auth0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceName>,
    /// All sources that can be chosen.
    pub sources: Vec<SourceName>,
    /// The columns, in the order of the file.
    pub columns: Vec<InspectedColumn>,
    /// The first rows.
    pub sample: Vec<InspectedRow>,
    /// The suggested mapping in the form of `map`: `{"email": "user.Mail"}`. If several columns suggest the same
    /// attribute, the first one gets it.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub proposed_map: Map<String, Value>,
    /// Why the file cannot be imported with the given mapping; absent if it can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<ErrorBody>,
    /// Result of the check of these rows; absent if `problem` prevents the check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checked: Option<Checked>,
    /// Remarks on the query that its author may not expect; absent if there is no remark.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub remarks: Vec<Remark>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde requires")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Localize for Inspection {
    fn localize(&mut self, language: Language) {
        self.problem.localize(language);
        self.remarks.localize(language);
        if let Some(checked) = &mut self.checked {
            checked.reasons.localize(language);
            checked.faults.localize(language);
        }
    }
}

/// Inspects a file that starts with `sample`; `partial` means that the file is longer. Blocking.
///
/// Fails if the file is empty or has an unknown format.
pub fn inspect(spec: &ImportSpec, sample: Vec<u8>, partial: bool) -> Result<Inspection> {
    let sample = Sample::new(sample, partial)?;
    let source = spec.source().decide(&sample.bytes, &spec.headers());
    let mut inspection = inspect_rows(spec, &sample, &source)?;
    inspection.remarks = spec.remarks().to_vec();
    if inspection.problem.is_none() {
        match sample.check(spec, &source) {
            Ok(checked) => inspection.checked = Some(checked),
            Err(error) => inspection.problem = Some(error.body()),
        }
    }
    Ok(inspection)
}

/// The decompressed beginning of a file.
struct Sample {
    bytes: Vec<u8>,
    gzip: bool,
    partial: bool,
}

impl Sample {
    fn new(mut bytes: Vec<u8>, mut partial: bool) -> Result<Self> {
        let gzip = bytes.starts_with(&[0x1F, 0x8B]);
        if gzip {
            let mut text = Vec::new();
            let mut decoder = MultiGzDecoder::new(Cursor::new(bytes)).take(INSPECTED_BYTES as u64 + 1);
            if decoder.read_to_end(&mut text).is_err() && !partial {
                return Err(damaged_gzip());
            }
            bytes = text;
        }
        if bytes.len() > INSPECTED_BYTES {
            bytes.truncate(INSPECTED_BYTES);
            partial = true;
        }
        if partial {
            // A partial character at the end would make the text look like another encoding.
            for _ in 0..4 {
                if bytes.last().is_some_and(|byte| !byte.is_ascii()) {
                    bytes.pop();
                }
            }
        }
        Ok(Self { bytes, gzip, partial })
    }

    fn open(&self, headers: &HeaderPolicy) -> Result<RowReader> {
        RowReader::open(Box::new(Cursor::new(self.bytes.clone())), headers)
    }

    /// Checks the rows, except the last one if it may be truncated.
    fn check(&self, spec: &ImportSpec, file: &FileSource) -> Result<Checked> {
        let reader = self.open(&file.headers(&spec.headers()))?;
        let mut checker = Checker::new(spec.request().keep_id_prefix, &std::env::temp_dir());
        let mut checked = Checked::default();
        let mut reasons = ReasonCounter::default();
        let mut record = |fault: RowFault, checked: &mut Checked| {
            checked.warnings += u64::from(fault.severity == Severity::Warning);
            reasons.push(&fault);
            if checked.faults.len() < SHOWN_FAULTS {
                checked.faults.push(fault);
            }
        };
        for warning in ignored_columns(&reader, None) {
            record(warning, &mut checked);
        }
        let watch = reader.watch();
        let mut consequences = Consequences::new(spec.request().upsert);
        let mut rows = Rows::new(reader, spec.mapping(), true).of_source(file.source, spec.mapping());
        let mut notes = EncodingNotes::new(None);
        for _ in 0..INSPECTED_ROWS {
            match rows.next() {
                Ok(true) => {}
                Ok(false) => break,
                Err(_) if self.partial && rows.is_exhausted() => break,
                Err(error) => return Err(error),
            }
            if self.partial && rows.is_exhausted() {
                break;
            }
            let format = watch.format();
            if notes.wants_rows(format) {
                notes
                    .observe(rows.raw().line, &rows.raw().bytes, format)
                    .into_iter()
                    .for_each(|warning| record(warning, &mut checked));
            }
            if rows.is_left_out() {
                checked.left_out += 1;
                continue;
            }
            let row = match rows.take() {
                Ok(row) => {
                    if checked.users.len() < SHOWN_ROWS {
                        let user = row.state.sent_user(spec.request().keep_id_prefix);
                        checked.users.push(redact::redact_user(user));
                    }
                    checker.check(row)?
                }
                Err(row) => RowChecked::Failed(row),
            };
            let faults = match row {
                RowChecked::Valid(row) => {
                    checked.good += 1;
                    consequences.add(&row.location, || row.counted_attributes(), row.other_provider());
                    row.state.warnings
                }
                RowChecked::Failed(Row { state: Failed(faults), .. }) => {
                    checked.failed += 1;
                    faults
                }
            };
            for fault in faults {
                record(fault, &mut checked);
            }
        }
        for warning in notes.finish(watch.format()) {
            record(warning, &mut checked);
        }
        for line in rows.take_skipped() {
            record(skipped_line(&line, None), &mut checked);
        }
        for warning in rows.take_warnings(checker.take_unknown_names()) {
            record(warning, &mut checked);
        }
        for warning in consequences.warnings() {
            record(warning, &mut checked);
        }
        for warning in rows.into_remarks().into_faults(None) {
            record(warning, &mut checked);
        }
        checked.reasons = reasons.finish();
        Ok(checked)
    }
}

/// Returns columns and first rows of the file, without a check.
fn inspect_rows(spec: &ImportSpec, sample: &Sample, file: &FileSource) -> Result<Inspection> {
    let encoding = spec.request().encoding;
    let policy = HeaderPolicy { lenient: true, encoding, ..HeaderPolicy::default() };
    let mut reader = sample.open(&file.headers(&policy))?;
    let source = file.source;
    let mut columns = Columns::default();
    if let Some(names) = reader.columns() {
        for column in names {
            columns.push(csv_column(column.name.as_str(), column.attribute.as_deref(), column.read_only));
        }
    }
    let csv = reader.columns().is_some();
    let mut rows = 0;
    let mut shown_rows: Vec<(u64, Vec<(usize, Value)>)> = Vec::new();
    let mut problem = None;
    let mut complete = false;
    let mut raw = RawRow::default();
    while rows < INSPECTED_ROWS {
        let more = match reader.next(&mut raw) {
            Ok(more) => more,
            // An empty file has no columns to show.
            Err(error) if rows == 0 && columns.all.is_empty() => return Err(error),
            Err(_) if sample.partial && reader.is_exhausted() => break,
            Err(error) => {
                problem = Some(error.body());
                break;
            }
        };
        if !more {
            complete = !sample.partial;
            break;
        }
        if sample.partial && reader.is_exhausted() {
            break;
        }
        rows += 1;
        let mut values = Vec::new();
        if csv {
            for (at, text) in reader.cells(&raw).into_iter().enumerate() {
                if !text.trim().is_empty() {
                    values.extend(columns.record_value(at, Value::from(text)));
                }
            }
        } else {
            match reader.parse(&raw) {
                Ok(Ok(Value::Object(members))) => {
                    for (name, value) in members {
                        let at = columns.index_of(&name);
                        values.extend(at.and_then(|at| columns.record_value(at, value)));
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    problem = Some(error.body());
                    break;
                }
            }
        }
        if shown_rows.len() < SHOWN_ROWS {
            shown_rows.push((raw.line, values));
        }
    }
    columns.withdraw_proposals();
    columns.hide_names();
    let count = columns.all.len();
    let sample_rows = shown_rows.into_iter().map(|(line, values)| {
        let mut row = vec![Value::Null; count];
        for (at, value) in values {
            if let Some(cell) = row.get_mut(at) {
                *cell = value;
            }
        }
        InspectedRow { line, values: row }
    });
    let input =
        InputFormat { gzip: sample.gzip, source: source.map(|source| source.name.to_owned()), ..reader.format() };
    if let Some(source) = source.filter(|source| !source.is_auth0) {
        columns.apply_source(source);
    }
    Ok(Inspection {
        input,
        source: source.map(Source::as_name),
        sources: uie_sources::ALL.iter().map(|source| source.as_name()).collect(),
        rows,
        complete,
        sample: sample_rows.collect(),
        proposed_map: columns.proposed_map(),
        columns: columns.all,
        problem,
        checked: None,
        remarks: Vec::new(),
    })
}

fn csv_column(name: &str, attribute: Option<&str>, read_only: Option<&str>) -> InspectedColumn {
    let name = name.strip_prefix('\'').unwrap_or(name);
    let needs_proposal = attribute.is_none() && read_only.is_none() && !name.is_empty();
    let proposal = needs_proposal.then(|| suggest::suggest_attribute(name)).filter(|path| may_propose(name, path));
    InspectedColumn {
        name: name.to_owned(),
        expression: match attribute {
            Some(path) => format!("user.{path}"),
            None => member("user", name),
        },
        attribute: attribute.map(str::to_owned),
        proposal,
        read_only: read_only.map(str::to_owned),
        filled: 0,
        examples: Vec::new(),
    }
}

/// Returns whether a column may be proposed for an attribute: secrets do not belong into metadata, where applications
/// can read them.
fn may_propose(name: &str, path: &str) -> bool {
    !is_secret_name(name) || matches!(path, "password_hash" | "custom_password_hash")
}

/// The columns found so far.
#[derive(Default)]
struct Columns {
    all: Vec<InspectedColumn>,
    by_name: HashMap<String, usize>,
    /// Columns with values that are hashes or tokens by their form.
    with_secrets: HashSet<usize>,
    /// Columns with values that `password_hash` accepts.
    with_bcrypt: HashSet<usize>,
}

impl Columns {
    fn push(&mut self, column: InspectedColumn) {
        self.by_name.entry(column.name.clone()).or_insert(self.all.len());
        self.all.push(column);
    }

    /// Returns the index of a root attribute of JSON, adding it if absent; `None` if there are too many.
    fn index_of(&mut self, name: &str) -> Option<usize> {
        if let Some(at) = self.by_name.get(name) {
            return Some(*at);
        }
        if self.all.len() >= MAX_COLUMNS {
            return None;
        }
        let known = user::find(name);
        let attribute = known.filter(|attribute| attribute.importable).map(|attribute| attribute.name);
        let read_only = known.filter(|attribute| !attribute.importable).map(|attribute| attribute.name);
        self.push(InspectedColumn { name: name.to_owned(), ..csv_column(name, attribute, read_only) });
        Some(self.all.len() - 1)
    }

    /// Counts a value and returns it in the form that may be shown; `None` for null.
    fn record_value(&mut self, at: usize, value: Value) -> Option<(usize, Value)> {
        let column = self.all.get_mut(at)?;
        if value.is_null() {
            return None;
        }
        column.filled += 1;
        if let Value::String(text) = &value {
            if is_import_bcrypt(text) {
                self.with_bcrypt.insert(at);
            }
            if is_secret_value(text) || is_hex_hash(text) {
                self.with_secrets.insert(at);
            }
        }
        let name = column.attribute.as_deref().unwrap_or(&column.name).to_owned();
        let path = member("", &name);
        let mut holder = Map::new();
        holder.insert(name, value);
        let value = redact::redacted_value(&Value::Object(holder), &path)?;
        let text = match &value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let text: String =
            if text.chars().count() > 80 { text.chars().take(79).chain(['…']).collect() } else { text };
        if column.examples.len() < MAX_EXAMPLES && !column.examples.contains(&text) {
            column.examples.push(text);
        }
        Some((at, value))
    }

    /// Sets the attribute of each column by the table of a source.
    fn apply_source(&mut self, source: &Source) {
        for column in &mut self.all {
            let target = source.target(&column.name);
            column.expression = member("user", &column.name);
            column.read_only = None;
            match target {
                Some(target) => {
                    column.attribute = Some(target).filter(|target| !target.is_empty());
                    column.proposal = None;
                }
                None if column.attribute.is_none() => {
                    let proposal = suggest::suggest_attribute(&column.name);
                    column.proposal = Some(proposal).filter(|path| may_propose(&column.name, path));
                }
                None => {}
            }
        }
    }

    /// Hides names that are secrets by their form, as in files without a header.
    fn hide_names(&mut self) {
        for column in &mut self.all {
            let shown = redact::shown_name(&column.name);
            if shown != column.name {
                let shown = shown.to_owned();
                *column = InspectedColumn { name: shown.clone(), expression: shown, proposal: None, ..column.clone() };
            }
        }
    }

    /// Withdraws the proposals that do not fit the values: hashes are proposed for no other attribute than
    /// `password_hash`, and for that one only if it accepts some of them.
    fn withdraw_proposals(&mut self) {
        for (at, column) in self.all.iter_mut().enumerate() {
            let fits = match column.proposal.as_deref() {
                Some("password_hash") => column.filled == 0 || self.with_bcrypt.contains(&at),
                Some(_) => !self.with_secrets.contains(&at),
                None => true,
            };
            if !fits {
                column.proposal = None;
            }
        }
    }

    fn proposed_map(&self) -> Map<String, Value> {
        let taken: Vec<&str> = self.all.iter().filter_map(|column| column.attribute.as_deref()).collect();
        let mut map = Map::new();
        for column in &self.all {
            let Some(proposal) = column.proposal.as_deref().filter(|proposal| !taken.contains(proposal)) else {
                continue;
            };
            if !map.contains_key(proposal) {
                map.insert(proposal.to_owned(), column.expression.clone().into());
            }
        }
        map
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use serde_json::json;

    use super::super::map_rule::MapRule;
    use super::super::request::ImportRequest;
    use super::*;
    use uie_core::error::Code;

    fn inspected(content: &[u8], partial: bool, map: &[&str]) -> Inspection {
        let map = map.iter().map(|rule| MapRule::parse(rule).unwrap()).collect();
        let spec = ImportSpec::new(&ImportRequest { map, ..ImportRequest::default() }).unwrap();
        inspect(&spec, content.to_vec(), partial).unwrap_or_else(|error| panic!("{error}"))
    }

    const STAFF: &str =
        "Mail;Given Name;Shoe size;Created At;Passwort hash\nada@example.com;Ada;38;2024;x\nbob@example.com;;;;\n";

    #[test]
    fn unknown_columns_have_suggestions_and_examples() {
        let found = inspected(STAFF.as_bytes(), false, &[]);
        assert_eq!(
            (found.input.format.as_str(), found.input.delimiter.as_deref(), found.rows, found.complete),
            ("csv", Some(";"), 2, true)
        );
        let column = |at: usize| &found.columns[at];
        assert_eq!((column(0).proposal.as_deref(), column(0).expression.as_str()), (Some("email"), "user.Mail"));
        assert_eq!(column(0).examples, ["ada@example.com", "bob@example.com"]);
        assert_eq!((column(1).attribute.as_deref(), column(1).filled), (Some("given_name"), 1));
        assert_eq!(column(2).proposal.as_deref(), Some("user_metadata.shoe_size"));
        assert_eq!(column(2).expression, "user[\"Shoe size\"]");
        assert_eq!(column(3).read_only.as_deref(), Some("created_at"));
        assert_eq!(column(4).examples, ["*****"], "secrets are hidden");
        assert_eq!(found.sample[1].values[..3], [json!("bob@example.com"), json!(null), json!(null)]);
        assert_eq!(found.problem.as_ref().map(|problem| problem.error_code.as_str()), Some("users_file_columns"));
        assert_eq!(found.proposed_map["email"], "user.Mail");
    }

    #[test]
    fn rows_are_checked_and_shown_with_the_proposed_mapping() {
        let first = inspected(STAFF.as_bytes(), false, &[]);
        let map: Vec<String> = first
            .proposed_map
            .iter()
            .map(|(attribute, expression)| format!("{}={attribute}", expression.as_str().unwrap()))
            .collect();
        let mut map: Vec<&str> =
            map.iter().map(String::as_str).filter(|rule| !rule.ends_with("=password_hash")).collect();
        map.push("null=Passwort hash");
        let found = inspected(STAFF.as_bytes(), false, &map);
        assert_eq!(found.problem.as_ref().map(|problem| &problem.message), None);
        let checked = found.checked.unwrap();
        assert_eq!((checked.good, checked.failed), (2, 0), "{:?}", checked.faults);
        assert_eq!(
            checked.users[0],
            json!({ "given_name": "Ada", "email": "ada@example.com", "user_metadata": { "shoe_size": 38 } })
        );
    }

    #[test]
    fn root_attributes_of_json_are_columns() {
        let found = inspected(
            br#"[{"email":"a@b.c","identities":[1]},{"E-mail":"x","email":"b@b.c","app_metadata":{"a":1}}]"#,
            false,
            &[],
        );
        let names: Vec<&str> = found.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["email", "identities", "E-mail", "app_metadata"]);
        assert_eq!(found.columns[1].read_only.as_deref(), Some("identities"));
        assert_eq!(found.columns[2].proposal.as_deref(), Some("email"));
        assert!(found.proposed_map.is_empty(), "another column is the attribute");
        assert_eq!(found.columns[3].examples, ["{\"a\":1}"]);
        let checked = found.checked.unwrap();
        assert_eq!((checked.good, checked.failed), (0, 2));
    }

    #[test]
    fn a_truncated_last_row_is_not_reported() {
        let rows: String = (0..100).fold(String::new(), |text, row| format!("{text}{{\"email\":\"é{row}@b.c\"}},\n"));
        let array = format!("[{rows}");
        let lines = rows.replace("},", "}");
        let csv = format!("email,name\n{}", "a@b.c,\"x\ny\"\n".repeat(50));
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
        gzip.write_all(lines.as_bytes()).unwrap();
        let gzip = gzip.finish().unwrap();
        for content in [array.as_bytes(), lines.as_bytes(), csv.as_bytes(), &gzip] {
            for cut in [5, 12, 13, 14, 17] {
                let found = inspected(&content[..content.len() - cut], true, &[]);
                assert!(found.problem.is_none(), "{:?}", found.problem);
                assert!(found.rows >= 40 && !found.complete, "{}", found.rows);
                let checked = found.checked.unwrap();
                assert!(
                    checked.reasons.iter().all(|reason| ["FORMAT", "DUPLICATED_USER"].contains(&reason.code.as_str()))
                );
            }
        }
    }

    #[test]
    fn a_malformed_array_is_a_problem_and_an_unknown_format_an_error() {
        let found = inspected(b"[{\"email\":\"a@b.c\"},{\"email\" 1},{\"email\":\"b@b.c\"}]", true, &[]);
        assert_eq!(found.problem.map(|problem| problem.error_code), Some("users_file_format".into()));
        let spec = ImportSpec::new(&ImportRequest::default()).unwrap();
        for (content, code) in [(&b"PK\x03\x04"[..], Code::UsersFileFormat), (b" ", Code::UsersFileEmpty)] {
            assert_eq!(inspect(&spec, content.to_vec(), false).unwrap_err().code, code);
        }
    }
}
