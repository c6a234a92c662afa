//! The pipeline without a tenant: check, chunks, report.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::error::Code;

fn checked(request: &ImportRequest, content: &str, chunks: Option<&Path>) -> (CheckSummary, Vec<RowFault>) {
    let mut faults = Vec::new();
    let input = Box::new(Cursor::new(content.as_bytes().to_vec()));
    let progress = Progress::default();
    let summary = check(
        request,
        input,
        chunks,
        &mut |fault| {
            faults.push(fault.clone());
            Ok(())
        },
        &progress,
    )
    .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((progress.processed(), progress.total()), (summary.total, Some(summary.total)));
    (summary, faults)
}

fn faults_of(row: &Value) -> Vec<RowFault> {
    checked(&ImportRequest::default(), &row.to_string(), None).1
}

/// Code and path of every fault of a row.
fn found(row: &Value) -> Vec<(String, String)> {
    faults_of(row).into_iter().map(|fault| (fault.code, fault.attribute.unwrap_or_default())).collect()
}

fn chunks_in(directory: &Path) -> Vec<Vec<u8>> {
    let mut names: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    names.iter().map(|path| fs::read(path).unwrap()).collect()
}

fn with(attributes: &Value) -> Value {
    let mut user = json!({ "email": "ada@example.com" });
    for (name, value) in attributes.as_object().unwrap() {
        user[name] = value.clone();
    }
    user
}

fn custom(hash: &Value) -> Value {
    with(&json!({ "custom_password_hash": hash }))
}

#[test]
fn good_and_bad_rows_are_counted_and_the_bad_ones_named_with_their_lines() {
    let content = "{\"email\":\"ada@example.com\"}\n\n{\"email\":42}\nnonsense\n{\"email\":\"bob@example.com\",\"user_id\":\"sms|1\"}\n";
    let (summary, faults) = checked(&ImportRequest::default(), content, None);
    assert_eq!(summary, CheckSummary { total: 4, good: 2, failed: 2, warnings: 1, chunks: 0 });
    let places: Vec<_> = faults.iter().map(|fault| (fault.line, fault.row, fault.code.as_str())).collect();
    assert_eq!(places, [(3, 2, "INVALID_TYPE"), (4, 3, "INVALID_JSON"), (5, 4, "ID_PREFIX")]);
    assert_eq!(faults[0].value, Some(json!(42)));
    assert_eq!(faults[2].severity, Severity::Warning);
}

#[test]
fn a_broken_array_stops_the_check() {
    let mut ignore = |_: &RowFault| Ok(());
    let input = Box::new(Cursor::new(b"[{\"email\":\"ada@example.com\"}, oops]".to_vec()));
    let error = check(&ImportRequest::default(), input, None, &mut ignore, &Progress::default()).unwrap_err();
    assert_eq!(error.code, Code::UsersFileFormat);
}

#[test]
fn a_canceled_check_stops() {
    let progress = Progress::default();
    progress.cancel();
    let input = Box::new(Cursor::new(b"[{\"email\":\"ada@example.com\"}]".to_vec()));
    let error = check(&ImportRequest::default(), input, None, &mut |_| Ok(()), &progress).unwrap_err();
    assert_eq!(error.code, Code::Canceled);
}

#[test]
fn two_kinds_of_password_hash_exclude_each_other() {
    let row = with(&json!({
        "password_hash": "$2b$10$nFguVi9LsCAcvTZFKQlRKeLVydo8ETv483lkNsSFI/Wl1Rz1Ypo1K",
        "custom_password_hash": { "algorithm": "md5", "hash": { "value": "67A1E09BB1F83F5007DC119C14D663AA", "encoding": "hex" } },
    }));
    assert_eq!(found(&row), [("NOT_PASSED".into(), "custom_password_hash".into())]);
}

#[test]
fn hashes_that_each_algorithm_accepts() {
    for hash in [
        json!({ "algorithm": "argon2", "hash": { "value": "$argon2id$v=19$m=65536,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2g" } }),
        json!({ "algorithm": "argon2", "hash": { "value": "$argon2i$m=4096,t=3,p=1$c2FsdA$aGFzaA", "encoding": "utf8" } }),
        json!({ "algorithm": "bcrypt", "hash": { "value": "$2y$12$nFguVi9LsCAcvTZFKQlRKeLVydo8ETv483lkNsSFI/Wl1Rz1Ypo1K" }, "salt": { "value": "s" } }),
        json!({ "algorithm": "hmac", "hash": { "value": "aGFzaA==", "encoding": "base64", "digest": "sha256", "key": { "value": "6b6579", "encoding": "hex" } } }),
        json!({ "algorithm": "ldap", "hash": { "value": "{SSHA}aGFzaGhhc2hzYWx0" } }),
        json!({ "algorithm": "md5", "hash": { "value": "67A1E09BB1F83F5007DC119C14D663AA", "encoding": "hex" }, "salt": { "value": "salt", "position": "prefix" } }),
        json!({ "algorithm": "sha512", "hash": { "value": "_-8", "encoding": "base64" } }),
        json!({ "algorithm": "pbkdf2", "hash": { "value": "$pbkdf2-sha512$i=100000,l=64$c2FsdA$aGFzaA" } }),
        json!({ "algorithm": "pbkdf2", "hash": { "value": "$pbkdf2-RSA-SHA1-2$c2FsdA$aGFzaA", "encoding": "utf8" } }),
        json!({ "algorithm": "scrypt", "keylen": 64, "cost": 1024, "hash": { "value": "ab12", "encoding": "hex" }, "salt": { "value": "s" } }),
    ] {
        assert_eq!(found(&custom(&hash)), [], "{hash}");
    }
}

#[test]
fn hashes_that_an_algorithm_refuses() {
    let at = |path: &str| format!("custom_password_hash.{path}");
    for (hash, code, path) in [
        (
            json!({ "algorithm": "argon2", "hash": { "value": "$argon2id$v=19$m=65536,t=2$c2FsdA$aGFzaA" } }),
            "PATTERN",
            at("hash.value"),
        ),
        (
            json!({ "algorithm": "argon2", "hash": { "value": "$argon2id$v=19$m=65536,t=2,p=1$c2FsdA$aGFzaA" }, "salt": { "value": "s" } }),
            "NOT_PASSED",
            at("salt"),
        ),
        (
            json!({ "algorithm": "bcrypt", "hash": { "value": "$2x$12$nFguVi9LsCAcvTZFKQlRKeLVydo8ETv483lkNsSFI/Wl1Rz1Ypo1K" } }),
            "PATTERN",
            at("hash.value"),
        ),
        (
            json!({ "algorithm": "bcrypt", "hash": { "value": "ab", "encoding": "hex" } }),
            "ENUM_MISMATCH",
            at("hash.encoding"),
        ),
        (
            json!({ "algorithm": "hmac", "hash": { "value": "ab", "encoding": "hex", "digest": "sha1" } }),
            "OBJECT_REQUIRED",
            at("hash.key"),
        ),
        (
            json!({ "algorithm": "hmac", "hash": { "value": "ab", "encoding": "hex", "key": { "value": "k" } } }),
            "OBJECT_REQUIRED",
            at("hash.digest"),
        ),
        (json!({ "algorithm": "ldap", "hash": { "value": "{CRYPT}abc" } }), "PATTERN", at("hash.value")),
        (
            json!({ "algorithm": "ldap", "hash": { "value": "{SHA}aGFzaA==" }, "salt": { "value": "s" } }),
            "NOT_PASSED",
            at("salt"),
        ),
        (json!({ "algorithm": "md5", "hash": { "value": "abc", "encoding": "hex" } }), "FORMAT", at("hash.value")),
        (json!({ "algorithm": "md5", "hash": { "value": "ab" } }), "OBJECT_REQUIRED", at("hash.encoding")),
        (
            json!({ "algorithm": "sha1", "hash": { "value": "ab", "encoding": "utf8" } }),
            "ENUM_MISMATCH",
            at("hash.encoding"),
        ),
        (
            json!({ "algorithm": "sha1", "hash": { "value": "ab", "encoding": "hex", "digest": "sha1" } }),
            "NOT_PASSED",
            at("hash.digest"),
        ),
        (json!({ "algorithm": "sha256", "hash": { "value": "*", "encoding": "base64" } }), "FORMAT", at("hash.value")),
        (
            json!({ "algorithm": "sha256", "keylen": 3, "hash": { "value": "ab", "encoding": "hex" } }),
            "NOT_PASSED",
            at("keylen"),
        ),
        (
            json!({ "algorithm": "pbkdf2", "hash": { "value": "$pbkdf2-$i=1,l=1$c2FsdA$aGFzaA" } }),
            "PATTERN",
            at("hash.value"),
        ),
        (
            json!({ "algorithm": "scrypt", "hash": { "value": "ab", "encoding": "hex" } }),
            "OBJECT_REQUIRED",
            at("keylen"),
        ),
        (
            json!({ "algorithm": "scrypt", "keylen": 0, "hash": { "value": "ab", "encoding": "hex" } }),
            "MINIMUM",
            at("keylen"),
        ),
        (
            json!({ "algorithm": "scrypt", "keylen": 1, "cost": 3, "hash": { "value": "ab", "encoding": "hex" } }),
            "NOT_PASSED",
            at("cost"),
        ),
    ] {
        assert_eq!(found(&custom(&hash)), [(code.to_owned(), path)], "{hash}");
    }
}

#[test]
fn metadata_keys_that_auth0_refuses_are_named() {
    let row = with(
        &json!({ "app_metadata": { "email": 1, "ok": [{ "a.b": 1 }] }, "user_metadata": { "$x": 1, "email": 2 } }),
    );
    assert_eq!(
        found(&row),
        [
            ("NOT_PASSED".into(), "app_metadata.email".into()),
            ("METADATA_KEY".into(), "app_metadata.ok[0][\"a.b\"]".to_owned()),
            ("METADATA_KEY".into(), "user_metadata.$x".into()),
        ]
    );
}

#[test]
fn a_user_larger_than_a_chunk_is_refused_and_one_that_just_fits_is_not() {
    let sized = |bytes: usize| {
        let empty = with(&json!({ "user_metadata": { "a": "" } })).to_string().len();
        with(&json!({ "user_metadata": { "a": "x".repeat(bytes - empty) } }))
    };
    assert_eq!(found(&sized(499_998)), []);
    assert_eq!(found(&sized(499_999)), [("ROW_TOO_LARGE".into(), String::new())]);
}

#[test]
fn the_same_identity_twice_in_one_import_is_refused() {
    let content = [
        json!({ "email": "ada@example.com", "user_id": "auth0|1", "username": "Ada", "phone_number": "+1" }),
        json!({ "email": "ADA@example.com" }),
        json!({ "email": "b@example.com", "user_id": "1" }),
        json!({ "email": "c@example.com", "username": "ada" }),
        json!({ "email": "d@example.com", "phone_number": "+1" }),
        json!({ "email": "nobody" }),
        json!({ "email": "e@example.com", "name": "" }),
        // The row before it is not sent, so that this one may be.
        json!({ "email": "e@example.com" }),
    ]
    .map(|row| row.to_string())
    .join("\n");
    let (summary, faults) = checked(&ImportRequest::default(), &content, None);
    let duplicates: Vec<_> = faults
        .iter()
        .filter(|fault| fault.code == "DUPLICATED_USER")
        .map(|fault| (fault.row, fault.attribute.as_deref().unwrap_or_default()))
        .collect();
    assert_eq!(duplicates, [(2, "email"), (3, "user_id"), (4, "username"), (5, "phone_number")]);
    assert!(faults.iter().any(|fault| fault.message == "A user with this email was already provided in row 1."));
    assert_eq!(summary.good, 2);
}

#[test]
fn with_the_prefix_kept_ids_differ_that_are_the_same_without_it() {
    let content =
        "{\"email\":\"a@example.com\",\"user_id\":\"auth0|1\"}\n{\"email\":\"b@example.com\",\"user_id\":\"1\"}";
    let keep = ImportRequest { keep_id_prefix: true, ..ImportRequest::default() };
    assert_eq!(checked(&keep, content, None).0.good, 2);
    assert_eq!(checked(&ImportRequest::default(), content, None).0.good, 1);
}

#[test]
fn secrets_are_hidden_in_faults() {
    let secret = "hunter2-hunter2";
    for row in [
        with(&json!({ "password_hash": secret })),
        with(&json!({ "password": secret })),
        with(&json!({ "custom_password_hash": secret })),
        custom(&json!({ "algorithm": "md5", "hash": { "value": secret, "encoding": "hex" } })),
        custom(&json!({ "algorithm": "md5", "hash": secret })),
        custom(&json!({ "algorithm": "argon2", "hash": { "value": secret }, "salt": { "value": secret } })),
        with(&json!({ "mfa_factors": [{ "totp": { "secret": secret } }] })),
        with(&json!({ "mfa_factors": [{ "totp": secret }, secret] })),
        with(&json!({ "identities": [{ "access_token": secret }] })),
    ] {
        let faults = faults_of(&row);
        assert!(!faults.is_empty(), "{row}");
        assert!(!format!("{faults:?}").contains(secret), "{faults:?}");
    }
}

#[test]
fn rows_reach_their_chunk_as_they_were_written() {
    let directory = tempfile::tempdir().unwrap();
    let row = r#"{ "email" : "ada@example.com",  "user_id": "auth0|1|2" , "app_metadata": {"n": [12345678901234567890123, 698e-3, 1.0 ], "s": " \" \u00e9 \\"} }"#;
    checked(&ImportRequest::default(), &format!("[{row}]"), Some(directory.path()));
    let expected = r#"[{"email":"ada@example.com","user_id":"1|2","app_metadata":{"n":[12345678901234567890123,698e-3,1.0],"s":" \" \u00e9 \\"}}]"#;
    assert_eq!(String::from_utf8(chunks_in(directory.path()).concat()).unwrap(), expected);
    let keep = ImportRequest { keep_id_prefix: true, ..ImportRequest::default() };
    checked(&keep, &format!("[{row}]"), Some(directory.path()));
    assert!(String::from_utf8(chunks_in(directory.path()).concat()).unwrap().contains(r#""auth0|1|2""#));
}

#[test]
fn chunks_of_an_earlier_run_do_not_mix_with_those_of_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let metadata = json!({ "a": "x".repeat(200_000) });
    let row = |index| json!({ "email": format!("u{index}@example.com"), "user_metadata": metadata }).to_string();
    let rows = |count: usize| (0..count).map(row).collect::<Vec<_>>().join("\n");
    assert_eq!(checked(&ImportRequest::default(), &rows(7), Some(directory.path())).0.chunks, 4);
    assert_eq!(checked(&ImportRequest::default(), &rows(3), Some(directory.path())).0.chunks, 2);
    assert_eq!(chunks_in(directory.path()).len(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn chunks_hold_exactly_the_good_rows_and_are_as_full_as_possible(
        sizes in prop::collection::vec((1_usize..180_000, any::<bool>()), 1..24),
    ) {
        let rows: Vec<Value> = sizes
            .iter()
            .enumerate()
            .map(|(index, (size, good))| {
                let email = if *good { format!("u{index}@example.com") } else { "nobody".into() };
                json!({ "email": email, "user_metadata": { "a": "é".repeat(size / 2) } })
            })
            .collect();
        let directory = tempfile::tempdir().unwrap();
        let (summary, _) = checked(&ImportRequest::default(), &serde_json::to_string_pretty(&rows).unwrap(), Some(directory.path()));
        let good: Vec<Value> = rows.into_iter().filter(|row| row["email"] != "nobody").collect();
        let chunks = chunks_in(directory.path());
        let sent: Vec<Vec<Value>> = chunks.iter().map(|chunk| serde_json::from_slice(chunk).unwrap()).collect();
        prop_assert!(chunks.iter().all(|chunk| chunk.len() <= MAX_CHUNK_BYTES));
        for (chunk, next) in chunks.iter().zip(sent.iter().skip(1)) {
            prop_assert!(chunk.len() + 1 + next[0].to_string().len() > MAX_CHUNK_BYTES);
        }
        prop_assert_eq!(summary.chunks, chunks.len() as u64);
        prop_assert_eq!(summary.good, good.len() as u64);
        prop_assert_eq!(sent.concat(), good);
    }
}

/// A job's directory as a check and Auth0's answers leave it.
fn job_directory(content: &str, reported: &[RowFault]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("upload"), content).unwrap();
    let mut file = super::faults::FaultFile::of_check(directory.path()).unwrap();
    for fault in checked(&ImportRequest::default(), content, None).1 {
        file.push(&fault).unwrap();
    }
    file.finish().unwrap();
    let mut file = super::faults::FaultFile::of_chunk(directory.path(), 1).unwrap();
    for fault in reported {
        file.push(fault).unwrap();
    }
    file.finish().unwrap();
    directory
}

fn report(directory: &Path, format: Option<ReportFormat>) -> String {
    let mut output = Vec::new();
    write_report(directory, format, &mut output).unwrap();
    String::from_utf8(output).unwrap()
}

fn reported(row: u64, line: u64) -> RowFault {
    RowFault {
        line,
        row,
        attribute: None,
        code: "DUPLICATED_USER".into(),
        message: "The user already exist and upsert parameter is false".into(),
        hint: None,
        value: None,
        severity: Severity::Error,
        file: None,
    }
}

const MIXED: &str = "{\"email\":\"ada@example.com\",\"password_hash\":\"$2b$10$nFguVi9LsCAcvTZFKQlRKeLVydo8ETv483lkNsSFI/Wl1Rz1Ypo1K\", \"app_metadata\":{\"plan\":\"pro\",\"tags\":[1, 2]}}\n{\"email\":\"bob@example.com\"}\nnonsense\n{\"email\":\"cid@example.com\",\"name\":\"\",\"nickname\":\"=1+1\",\"app_metadata\":{\"plan\":null,\"a.b\":{}}}\n{\"email\":\"dan@example.com\",\"user_id\":\"sms|1\"}\n";

#[test]
fn the_report_has_the_shape_of_the_original_and_hides_secrets() {
    let directory = job_directory(MIXED, &[reported(1, 1)]);
    let report: Vec<Value> = serde_json::from_str(&report(directory.path(), None)).unwrap();
    assert_eq!(report.len(), 3, "rows with mere warnings are not in it");
    assert_eq!((&report[0]["line"], &report[0]["user"]["password_hash"]), (&json!(1), &json!("*****")));
    assert_eq!(report[0]["user"]["app_metadata"]["plan"], "pro");
    assert_eq!(report[0]["errors"][0]["code"], "DUPLICATED_USER");
    assert_eq!((&report[1]["line"], &report[1]["user"]), (&json!(3), &json!({})));
    let codes: Vec<_> = report[2]["errors"].as_array().unwrap().iter().map(|error| error["code"].clone()).collect();
    assert_eq!(codes, ["MIN_LENGTH", "METADATA_KEY"]);
}

#[test]
fn failed_rows_come_back_as_they_were_in_every_format() {
    let directory = job_directory(MIXED, &[reported(1, 1)]);
    let ndjson = report(directory.path(), Some(ReportFormat::Ndjson));
    let lines: Vec<&str> = ndjson.lines().collect();
    assert!(lines[0].contains("$2b$10$") && lines[1] == "nonsense" && lines.len() == 3);
    let array: Vec<Value> = serde_json::from_str(&report(directory.path(), Some(ReportFormat::Json))).unwrap();
    let emails: Vec<_> = array.iter().map(|row| row["email"].clone()).collect();
    assert_eq!(emails, ["ada@example.com", "cid@example.com"]);
    let csv = report(directory.path(), Some(ReportFormat::Csv));
    assert_eq!(
        csv,
        "email,password_hash,app_metadata.plan,app_metadata.tags,name,nickname,\"app_metadata[\"\"a.b\"\"]\"\n\
         ada@example.com,$2b$10$nFguVi9LsCAcvTZFKQlRKeLVydo8ETv483lkNsSFI/Wl1Rz1Ypo1K,pro,\"[1,2]\",,,\n\
         cid@example.com,,,,,'=1+1,{}\n"
    );
}

#[test]
fn users_that_are_in_no_row_stand_at_the_end_of_the_report() {
    let stray = RowFault { value: Some(json!({ "email": "zoe@example.com" })), ..reported(0, 0) };
    let directory = job_directory(MIXED, &[stray]);
    let report: Vec<Value> = serde_json::from_str(&report(directory.path(), None)).unwrap();
    let last = report.last().unwrap();
    assert_eq!((&last["line"], &last["user"]["email"]), (&json!(0), &json!("zoe@example.com")));
}

#[test]
fn a_job_without_faults_has_an_empty_report() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(report(directory.path(), None), "[]\n");
    assert_eq!(report(directory.path(), Some(ReportFormat::Json)), "[]\n");
    assert_eq!(report(directory.path(), Some(ReportFormat::Ndjson)), "");
    assert_eq!(report(directory.path(), Some(ReportFormat::Csv)), "");
}

#[test]
fn faults_are_read_back_with_the_checks_first() {
    let directory = job_directory(MIXED, &[reported(1, 1)]);
    let codes: Vec<String> = faults(directory.path()).unwrap().map(|fault| fault.unwrap().code).collect();
    assert_eq!(codes, ["INVALID_JSON", "MIN_LENGTH", "METADATA_KEY", "ID_PREFIX", "DUPLICATED_USER"]);
}

#[tokio::test]
async fn a_probe_refuses_what_the_check_would_stop_at() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("upload");
    for (content, code) in [
        ("", Some(Code::UsersFileEmpty)),
        ("email\n", Some(Code::UsersFileFormat)),
        ("[{]", Some(Code::UsersFileFormat)),
        ("[{}]", None),
        ("{}\nnonsense\n", None),
    ] {
        fs::write(&path, content).unwrap();
        assert_eq!(probe(&path).await.err().map(|error| error.code), code, "{content:?}");
    }
}
