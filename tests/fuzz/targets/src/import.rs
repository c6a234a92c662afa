//! The check of an import: format detection, parsing, mapping, joining password hashes, and validation.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Read, Write};
use std::path::Path;

use arbitrary::Unstructured;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use uie_core::error::Result;
use uie_core::progress::Progress;
use uie_import::{
    CheckSummary, ImportRequest, ImportSpec, InputFile, MAX_CHUNK_BYTES, MapRule, RowFault, Severity, check,
    check_files, fits_schema,
};

use crate::fixture::{ChunkedReader, assert_displayable, temp_root};

const MAPPINGS: [&[&str]; 6] = [
    &[],
    &["user['Full name']=name"],
    &["'x'=app_metadata.source", "null=created_at", "email || user.mail=email"],
    &["user=user_metadata.all"],
    &["given_name ?? name=user_metadata.list[0]", "identities[0].connection=app_metadata['from']"],
    &["null=password_hash", "plan=app_metadata.plan", "logins_count=user_metadata.n"],
];

/// Input: six bytes of options, then one or two files. The options are: flags (keep id prefixes, drop read-only
/// attributes, write chunks, drop empty and unknown attributes, absent texts, a query); the mapping; bytes per read, 0
/// for no limit; the encoding of the first file (1 and 2 are UTF-16, 3 is Windows-1252, 4 is gzip, others do not change
/// it); and the offset of the second file, 0 for none, in two bytes.
///
/// Invariants: every row is either valid or has an error; chunks hold the valid rows, each of them fits the schema, and
/// no chunk is too large; the size of the reads makes no difference.
pub fn import_files(data: &[u8]) {
    let Some((&[switches, mapping, step, encoding, low, high], content)) = data.split_first_chunk() else { return };
    let (first, second) = match usize::from(u16::from_le_bytes([low, high])) {
        0 => (content, None),
        at => content.split_at_checked(at).map_or((content, None), |(first, second)| (first, Some(second))),
    };
    let first = encoded(encoding, first);
    let request = ImportRequest {
        keep_id_prefix: switches & 1 != 0,
        drop_read_only: switches & 2 != 0,
        drop_empty: switches & 8 != 0,
        drop_unknown: switches & 16 != 0,
        null: if switches & 32 != 0 { vec!["NULL".to_owned(), "x".to_owned()] } else { Vec::new() },
        query: if switches & 64 != 0 { "_exists_:name OR email:a*".to_owned() } else { String::new() },
        map: MAPPINGS[usize::from(mapping) % MAPPINGS.len()]
            .iter()
            .map(|text| MapRule::parse(text).expect("a mapping"))
            .collect(),
        ..ImportRequest::default()
    };
    let files: Vec<&[u8]> = std::iter::once(first.as_slice()).chain(second).collect();
    let chunks = (switches & 4 != 0).then(|| tempfile::tempdir_in(temp_root()).expect("a directory"));
    let directory = chunks.as_ref().map(tempfile::TempDir::path);
    let (summary, faults) = match run(&request, &files, step, directory) {
        Ok(done) => done,
        Err(error) => {
            assert!(run(&request, &files, 0, None).is_err(), "the result depends on the size of the reads: {error}");
            return assert_displayable(&error);
        }
    };
    assert_consistent(&summary, &faults);
    if step > 0 {
        let (again, twice) = run(&request, &files, 0, None).expect("as before");
        assert_eq!(CheckSummary { chunks: summary.chunks, ..again }, summary);
        assert_eq!(twice, faults, "the result depends on the size of the reads");
    }
    if let Some(directory) = directory {
        let mut rows = 0;
        for number in 1..=summary.chunks {
            let path = directory.join(format!("{number:06}.json"));
            let bytes = std::fs::read(path).expect("as many chunks as the summary says");
            assert!(bytes.len() <= MAX_CHUNK_BYTES);
            let users: Vec<Value> = serde_json::from_slice(&bytes).expect("a JSON array");
            assert!(!users.is_empty() && users.iter().all(fits_schema), "a chunk holds a row that breaks the schema");
            rows += users.len() as u64;
        }
        assert_eq!(rows, summary.good);
    }
}

fn encoded(encoding: u8, bytes: &[u8]) -> Vec<u8> {
    let text = || String::from_utf8_lossy(bytes);
    match encoding {
        1 => [0xff, 0xfe].into_iter().chain(text().encode_utf16().flat_map(u16::to_le_bytes)).collect(),
        2 => [0xfe, 0xff].into_iter().chain(text().encode_utf16().flat_map(u16::to_be_bytes)).collect(),
        // Only the characters that Latin-1 has.
        3 => text().chars().map(|letter| u8::try_from(u32::from(letter)).unwrap_or(b'?')).collect(),
        4 => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(bytes).expect("memory");
            encoder.finish().expect("memory")
        }
        _ => bytes.to_vec(),
    }
}

fn run(
    request: &ImportRequest,
    files: &[&[u8]],
    step: u8,
    chunks: Option<&Path>,
) -> Result<(CheckSummary, Vec<RowFault>)> {
    let inputs = files.iter().enumerate().map(|(number, bytes)| InputFile {
        name: (files.len() > 1).then(|| format!("file {number}")),
        open: Box::new(move || Ok(Box::new(ChunkedReader::new(bytes, step.into())) as Box<dyn Read + Send>)),
        reopenable: true,
    });
    let mut faults = Vec::new();
    let mut keep = |fault: &RowFault| {
        faults.push(fault.clone());
        Ok(())
    };
    let spec = ImportSpec::new(request)?;
    let summary = check_files(&spec, inputs.collect(), chunks, None, &mut keep, &Progress::default())?;
    Ok((summary, faults))
}

/// Asserts that every row is valid or failed, and that errors and summary agree.
fn assert_consistent(summary: &CheckSummary, faults: &[RowFault]) {
    assert_eq!(summary.total, summary.good + summary.failed);
    let of = |severity: Severity| faults.iter().filter(move |fault| fault.severity == severity);
    let failed: BTreeSet<u64> = of(Severity::Error).map(|fault| fault.row).collect();
    assert_eq!(failed.len() as u64, summary.failed, "rows with errors and failed rows");
    assert!(failed.iter().all(|row| (1..=summary.rows()).contains(row)));
    assert_eq!(of(Severity::Warning).count() as u64, summary.warnings);
    let mut lines: BTreeMap<(Option<&str>, u64), u64> = BTreeMap::new();
    for fault in faults {
        assert!(!fault.code.is_empty() && !fault.message.to_string().is_empty());
        assert!(serde_json::to_string(fault).is_ok());
        if fault.row > 0 {
            assert!(fault.line > 0);
            let line = *lines.entry((fault.file.as_deref(), fault.row)).or_insert(fault.line);
            assert_eq!(line, fault.line, "a row has one line number");
        }
    }
    assert!(
        lines
            .iter()
            .zip(lines.iter().skip(1))
            .all(|(((file, _), line), ((next, _), later))| file != next || line <= later),
        "line numbers ascend"
    );
}

/// Input: rows as JSON lines, or, if the first byte does not start JSON, bytes from which rows are generated.
///
/// Invariants: the schema check agrees with the `jsonschema` crate and the documented schema, and a row that breaks the
/// schema has an error.
pub fn import_rows(data: &[u8]) {
    let rows: Vec<Value> = if matches!(data.first(), Some(b'{' | b'[' | b'"')) {
        let lines = data.split(|byte| *byte == b'\n');
        lines.filter_map(|line| serde_json::from_slice(line).ok()).take(64).collect()
    } else {
        let mut input = Unstructured::new(data.get(1..).unwrap_or_default());
        let mut rows = Vec::new();
        while rows.len() < 16 && !input.is_empty() {
            let Ok(row) = generate_row(&mut input) else { break };
            rows.push(row);
        }
        rows
    };
    if rows.is_empty() {
        return;
    }
    let text = rows.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
    let mut faults: Vec<RowFault> = Vec::new();
    let input = Box::new(Cursor::new(text.into_bytes()));
    let spec = ImportSpec::new(&ImportRequest::default()).expect("an empty mapping is valid");
    let checked = check(
        &spec,
        input,
        None,
        &mut |fault| {
            faults.push(fault.clone());
            Ok(())
        },
        &Progress::default(),
    );
    let known = checked.as_ref().is_ok_and(|summary| summary.total == rows.len() as u64);
    if let Ok(summary) = &checked {
        assert_consistent(summary, &faults);
    }
    let failed: BTreeSet<u64> =
        faults.iter().filter(|fault| fault.severity == Severity::Error).map(|fault| fault.row).collect();
    for (number, row) in (1..).zip(&rows) {
        let fits = fits_schema(row);
        // A-labels (`xn--`) are not decoded by the product, because DNS has no invalid ones.
        if !row.to_string().to_lowercase().contains("xn--") {
            assert_eq!(
                fits,
                REFERENCE_VALIDATOR.with(|validator| validator.is_valid(row)),
                "the reference validator disagrees: {row}"
            );
        }
        assert!(fits || !known || failed.contains(&number), "accepted, but it breaks the schema: {row}");
    }
}

thread_local! {
    static REFERENCE_VALIDATOR: jsonschema::Validator = {
        let schema = include_str!("../../../../server/crates/import/src/documented-schema.json");
        jsonschema::options()
            .should_validate_formats(true)
            .with_email_options(jsonschema::EmailOptions::default().without_display_text())
            .build(&serde_json::from_str(schema).expect("the schema is JSON"))
            .expect("the schema is valid")
    };
}

const MEMBERS: [&str; 44] = [
    "email",
    "email_verified",
    "phone_number",
    "phone_verified",
    "user_id",
    "username",
    "given_name",
    "family_name",
    "name",
    "nickname",
    "picture",
    "blocked",
    "password_hash",
    "custom_password_hash",
    "app_metadata",
    "user_metadata",
    "mfa_factors",
    "algorithm",
    "hash",
    "salt",
    "password",
    "value",
    "encoding",
    "digest",
    "key",
    "position",
    "keylen",
    "cost",
    "blockSize",
    "parallelization",
    "totp",
    "secret",
    "phone",
    "created_at",
    "identities",
    "length",
    "iterations",
    "roles",
    "a.b",
    "$x",
    "",
    "Email",
    "E-Mail",
    "last_ip",
];

const TEXTS: [&str; 28] = [
    "ada@example.com",
    "\"\"@a",
    "\"a b\"@example.com",
    "a@[127.0.0.1]",
    "a@[IPv6:::1]",
    "a@b..c",
    "@",
    "+15551234567",
    "+1234567890123456",
    "$2b$10$nOUIs5kJ7naTuTFkBy1veuK0kSxUFXfuaOKdOKf9xYT0KKIGSJwFa",
    "$2a$12$nOUIs5kJ7naTuTFkBy1veuK0kSxUFXfuaOKdOKf9xYT0KKIGSJwFa",
    "auth0|1",
    "auth0|",
    "GEZDGNBVGY3TQOJQ",
    "GEZDGNBVGY3TQOJQ=",
    "argon2",
    "bcrypt",
    "hmac",
    "ldap",
    "md5",
    "pbkdf2",
    "scrypt",
    "base64",
    "hex",
    "utf8",
    "sha256",
    "prefix",
    "https://example.com/a.png",
];

/// Generates a row that is nearly valid; random bytes rarely are.
fn generate_row(input: &mut Unstructured<'_>) -> arbitrary::Result<Value> {
    let mut row = generate_object(input, 4)?;
    if input.ratio(7, 8)? {
        row["email"] = json!("ada@example.com");
    }
    Ok(row)
}

fn generate_object(input: &mut Unstructured<'_>, depth: u8) -> arbitrary::Result<Value> {
    let mut object = json!({});
    for _ in 0..input.int_in_range(0..=5)? {
        let name = *input.choose(&MEMBERS)?;
        object[name] = generate_value(input, depth)?;
    }
    Ok(object)
}

fn generate_value(input: &mut Unstructured<'_>, depth: u8) -> arbitrary::Result<Value> {
    Ok(match input.int_in_range(0..=11)? {
        0 => Value::Null,
        1 => json!(input.arbitrary::<bool>()?),
        2 => json!(input.arbitrary::<i32>()?),
        3 => json!(input.arbitrary::<f32>()?),
        4 | 5 => json!(input.choose(&TEXTS)?),
        6 => json!(input.arbitrary::<&str>()?),
        7 => json!(input.choose(&["x", "é", "1", "A"])?.repeat(input.int_in_range(0..=400)?)),
        8 if depth > 0 => {
            let mut items = Vec::new();
            for _ in 0..input.int_in_range(0..=3)? {
                items.push(generate_value(input, depth - 1)?);
            }
            Value::Array(items)
        }
        _ if depth > 0 => generate_object(input, depth - 1)?,
        _ => json!({}),
    })
}
