//! Tests of the import without a tenant: check, chunks, report.

mod consequences;
mod formats;
mod hash_checks;
mod secrets;

use std::fmt::Write as _;
use std::fs;
use std::io::{Cursor, Read};
use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use uie_core::error::{Code, Result};
use uie_core::language::Language;
use uie_core::message::Message;
use uie_core::progress::Progress;
use uie_store::Files;

fn checked(request: &ImportRequest, content: &str, chunks: Option<&Path>) -> (CheckSummary, Vec<RowFault>) {
    checked_from(request, Box::new(Cursor::new(content.as_bytes().to_vec())), chunks)
}

fn checked_from(
    request: &ImportRequest,
    input: Box<dyn Read + Send>,
    chunks: Option<&Path>,
) -> (CheckSummary, Vec<RowFault>) {
    let mut faults = Vec::new();
    let progress = Progress::default();
    let summary = check(
        &paths(request),
        input,
        chunks,
        &mut |fault| {
            faults.push(fault.clone());
            Ok(())
        },
        &progress,
    )
    .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((progress.processed(), progress.total()), (summary.rows(), Some(summary.rows())));
    (summary, faults)
}

/// Settings whose mapping uses paths only.
fn paths(request: &ImportRequest) -> ImportSpec {
    ImportSpec::new(request).unwrap_or_else(|error| panic!("{error}"))
}

fn faults_of(row: &Value) -> Vec<RowFault> {
    checked(&ImportRequest::default(), &row.to_string(), None).1
}

/// Code and path of every error and warning of a row.
fn codes_and_paths(row: &Value) -> Vec<(String, String)> {
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
fn rows_are_counted_and_errors_reported_with_their_lines() {
    let content = "{\"email\":\"ada@example.com\"}\n\n{\"email\":42}\nnonsense\n{\"email\":\"bob@example.com\",\"user_id\":\"sms|1\"}\n";
    let (summary, faults) = checked(&ImportRequest::default(), content, None);
    assert_eq!((summary.total, summary.good, summary.failed, summary.warnings, summary.chunks), (4, 2, 2, 2, 0));
    let locations: Vec<_> = faults.iter().map(|fault| (fault.line, fault.row, fault.code.as_str())).collect();
    assert_eq!(
        locations,
        [(3, 2, "INVALID_TYPE"), (4, 3, "INVALID_JSON"), (5, 4, "ID_PREFIX"), (5, 0, "OTHER_PROVIDER")]
    );
    assert_eq!(faults[0].value, Some(json!(42)));
    assert_eq!(faults[2].severity, Severity::Warning);
}

#[test]
fn a_malformed_array_stops_the_check() {
    let mut ignore = |_: &RowFault| Ok(());
    let input = Box::new(Cursor::new(b"[{\"email\":\"ada@example.com\"}, oops]".to_vec()));
    let error = check(&paths(&ImportRequest::default()), input, None, &mut ignore, &Progress::default()).unwrap_err();
    assert_eq!(error.code, Code::UsersFileFormat);
}

#[test]
fn a_canceled_check_stops() {
    let progress = Progress::default();
    progress.cancel();
    let input = Box::new(Cursor::new(b"[{\"email\":\"ada@example.com\"}]".to_vec()));
    let error = check(&paths(&ImportRequest::default()), input, None, &mut |_| Ok(()), &progress).unwrap_err();
    assert_eq!(error.code, Code::Canceled);
}

#[test]
fn two_kinds_of_password_hash_exclude_each_other() {
    let row = with(&json!({
        "password_hash": "$2b$10$nFguVi9LsCAcvTZFKQlRKeLVydo8ETv483lkNsSFI/Wl1Rz1Ypo1K",
        "custom_password_hash": { "algorithm": "md5", "hash": { "value": "67A1E09BB1F83F5007DC119C14D663AA", "encoding": "hex" } },
    }));
    assert_eq!(codes_and_paths(&row), [("NOT_PASSED".into(), "custom_password_hash".into())]);
}

#[test]
fn valid_custom_hashes_are_accepted() {
    for hash in [
        json!({ "algorithm": "argon2", "hash": { "value": "$argon2id$v=19$m=65536,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2g" } }),
        json!({ "algorithm": "argon2", "hash": { "value": "$argon2i$m=4096,t=3,p=1$c2FsdHNhbHQ$aGFzaA", "encoding": "utf8" } }),
        json!({ "algorithm": "bcrypt", "hash": { "value": "$2y$12$nFguVi9LsCAcvTZFKQlRKeLVydo8ETv483lkNsSFI/Wl1Rz1Ypo1K" }, "salt": { "value": "s" } }),
        json!({ "algorithm": "hmac", "hash": { "value": "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=", "encoding": "base64", "digest": "sha256", "key": { "value": "6b6579", "encoding": "hex" } } }),
        json!({ "algorithm": "ldap", "hash": { "value": "{SSHA}W6ph5Mm5Pz8GgiULbPgzG37mj9hzYWx0" } }),
        json!({ "algorithm": "md5", "hash": { "value": "67A1E09BB1F83F5007DC119C14D663AA", "encoding": "hex" }, "salt": { "value": "salt", "position": "prefix" } }),
        json!({ "algorithm": "sha512", "hash": { "value": "_-8A".repeat(21) + "_-", "encoding": "base64" } }),
        json!({ "algorithm": "pbkdf2", "hash": { "value": "$pbkdf2-sha512$i=100000,l=4$c2FsdA$aGFzaA" } }),
        json!({ "algorithm": "pbkdf2", "hash": { "value": format!("$pbkdf2-RSA-SHA1-2$c2FsdA${}", "A".repeat(86)), "encoding": "utf8" } }),
        json!({ "algorithm": "scrypt", "keylen": 2, "cost": 1024, "hash": { "value": "ab12", "encoding": "hex" }, "salt": { "value": "s" } }),
    ] {
        assert_eq!(codes_and_paths(&custom(&hash)), [], "{hash}");
    }
}

#[test]
fn invalid_custom_hashes_are_refused() {
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
        assert_eq!(codes_and_paths(&custom(&hash)), [(code.to_owned(), path)], "{hash}");
    }
}

#[test]
fn a_hash_with_an_impossible_length_causes_a_warning() {
    for hash in [
        json!({ "algorithm": "sha256", "hash": { "value": "67A1E09BB1F83F5007DC119C14D663AA", "encoding": "hex" } }),
        json!({ "algorithm": "scrypt", "keylen": 64, "hash": { "value": "ab12", "encoding": "hex" } }),
        json!({ "algorithm": "hmac", "hash": { "value": "q83v", "encoding": "base64", "digest": "sha1", "key": { "value": "k" } } }),
    ] {
        let faults = faults_of(&custom(&hash));
        let seen: Vec<_> = faults.iter().map(|fault| (fault.code.as_str(), fault.severity)).collect();
        assert_eq!(seen, [("HASH_LENGTH", Severity::Warning)], "{hash}");
    }
}

#[test]
fn forbidden_keys_are_refused_in_app_metadata_and_allowed_in_user_metadata() {
    for key in [
        "__tenant",
        "_id",
        "blocked",
        "clientID",
        "created_at",
        "email_verified",
        "email",
        "globalClientID",
        "global_client_id",
        "identities",
        "lastIP",
        "lastLogin",
        "loginsCount",
        "metadata",
        "multifactor_last_modified",
        "multifactor",
        "updated_at",
        "user_id",
    ] {
        let row = with(&json!({ "app_metadata": { key: 1 }, "user_metadata": { key: 1 } }));
        assert_eq!(codes_and_paths(&row), [("NOT_PASSED".to_owned(), format!("app_metadata.{key}"))]);
    }
}

#[test]
fn mfa_factors_are_limited_to_ten_with_one_kind_each() {
    let phone = json!({ "phone": { "value": "+12125550001" } });
    for (factors, expected) in [
        (json!([phone, { "totp": { "secret": "ABC234" } }, { "email": { "value": "a@b.c" } }]), None),
        (json!([]), Some(("ARRAY_LENGTH_SHORT", "mfa_factors"))),
        (json!(vec![phone.clone(); 11]), Some(("ARRAY_LENGTH_LONG", "mfa_factors"))),
        (json!([{}]), Some(("NOT_PASSED", "mfa_factors[0]"))),
        (json!([{ "totp": { "secret": "ABC2=" } }]), Some(("PATTERN", "mfa_factors[0].totp.secret"))),
        (json!([{ "phone": { "value": "2125550001" } }]), Some(("PATTERN", "mfa_factors[0].phone.value"))),
        (json!([{ "email": { "value": "invalid" } }]), Some(("FORMAT", "mfa_factors[0].email.value"))),
        (json!([{ "push": {} }]), Some(("FORBIDDEN_ATTRIBUTE", "mfa_factors[0].push"))),
    ] {
        let expected: Vec<_> = expected.into_iter().map(|(code, path)| (code.to_owned(), path.to_owned())).collect();
        assert_eq!(codes_and_paths(&with(&json!({ "mfa_factors": factors }))), expected);
    }
}

#[test]
fn forbidden_metadata_keys_are_reported() {
    let row = with(
        &json!({ "app_metadata": { "email": 1, "ok": [{ "a.b": 1 }] }, "user_metadata": { "$x": 1, "email": 2 } }),
    );
    assert_eq!(
        codes_and_paths(&row),
        [
            ("NOT_PASSED".into(), "app_metadata.email".into()),
            ("METADATA_KEY".into(), "app_metadata.ok[0][\"a.b\"]".to_owned()),
            ("METADATA_KEY".into(), "user_metadata.$x".into()),
        ]
    );
}

#[test]
fn users_are_refused_exactly_if_larger_than_a_chunk() {
    let sized = |bytes: usize| {
        let empty = with(&json!({ "user_metadata": { "a": "" } })).to_string().len();
        with(&json!({ "user_metadata": { "a": "x".repeat(bytes - empty) } }))
    };
    assert_eq!(codes_and_paths(&sized(499_998)), []);
    assert_eq!(codes_and_paths(&sized(499_999)), [("ROW_TOO_LARGE".into(), String::new())]);
}

#[test]
fn duplicate_identifiers_in_one_import_are_refused() {
    let content = [
        json!({ "email": "ada@example.com", "user_id": "auth0|1", "username": "Ada", "phone_number": "+1" }),
        json!({ "email": "ADA@example.com" }),
        json!({ "email": "b@example.com", "user_id": "1" }),
        json!({ "email": "c@example.com", "username": "ada" }),
        json!({ "email": "d@example.com", "phone_number": "+1" }),
        json!({ "email": "invalid" }),
        json!({ "email": "e@example.com", "name": "" }),
        // The previous row is invalid and not sent, so this one is no duplicate.
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
fn ids_with_and_without_prefix_are_duplicates_unless_the_prefix_is_kept() {
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
fn rows_are_written_to_chunks_with_their_original_text() {
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
fn chunks_of_an_earlier_run_are_removed() {
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
                let email = if *good { format!("u{index}@example.com") } else { "invalid".into() };
                json!({ "email": email, "user_metadata": { "a": "é".repeat(size / 2) } })
            })
            .collect();
        let directory = tempfile::tempdir().unwrap();
        let (summary, _) = checked(&ImportRequest::default(), &serde_json::to_string_pretty(&rows).unwrap(), Some(directory.path()));
        let good: Vec<Value> = rows.into_iter().filter(|row| row["email"] != "invalid").collect();
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

/// Creates a job's directory with the errors of the check and those that Auth0 reported for chunk 1.
fn job_directory(content: &str, reported: &[RowFault]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("upload"), content).unwrap();
    let mut file = super::faults::FaultFile::for_check(&Files::plaintext(directory.path())).unwrap();
    for fault in checked(&ImportRequest::default(), content, None).1 {
        file.push(&fault).unwrap();
    }
    file.finish().unwrap();
    let mut file = super::faults::FaultFile::for_chunk(&Files::plaintext(directory.path()), 1).unwrap();
    for fault in reported {
        file.push(fault).unwrap();
    }
    file.finish().unwrap();
    directory
}

fn report(directory: &Path, format: Option<ReportFormat>) -> String {
    let mut output = Vec::new();
    write_report(&Files::plaintext(directory), format, &mut output).unwrap();
    String::from_utf8(output).unwrap()
}

fn reported(row: u64, line: u64) -> RowFault {
    RowFault {
        line,
        row,
        attribute: None,
        code: "DUPLICATED_USER".into(),
        message: Message::verbatim("The user already exist and upsert parameter is false"),
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
fn the_report_is_in_the_requested_language() {
    let directory = job_directory(MIXED, &[reported(1, 1)]);
    let mut report =
        Report::open(&Files::plaintext(directory.path()), None, Language::of_tag("de").expect("German")).unwrap();
    let mut output = Vec::new();
    while report.write_next(&mut output).unwrap() {}
    let report: Vec<Value> = serde_json::from_slice(&output).unwrap();
    let first = |row: usize| report[row]["errors"][0]["message"].as_str().unwrap_or_default();
    assert_eq!(first(0), "The user already exist and upsert parameter is false", "Auth0's text is not translated");
    assert!(first(1).starts_with("Die Zeile ist in Zeile 3, Spalte 2, kein gültiges JSON"), "{}", first(1));
    assert_eq!(first(2), "name ist leer.");
    assert_eq!(report[2]["errors"][0]["hint"], "Lassen Sie das Attribut weg, wenn es keinen Wert hat.");
}

#[test]
fn failed_rows_are_written_in_every_format() {
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
fn reported_users_that_match_no_row_are_last_in_the_report() {
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
fn faults_of_the_check_are_read_before_those_of_auth0() {
    let directory = job_directory(MIXED, &[reported(1, 1)]);
    let codes: Vec<String> =
        faults(&Files::plaintext(directory.path())).unwrap().map(|fault| fault.unwrap().code).collect();
    assert_eq!(codes, ["INVALID_JSON", "MIN_LENGTH", "METADATA_KEY", "ID_PREFIX", "OTHER_PROVIDER", "DUPLICATED_USER"]);
}

#[tokio::test]
async fn an_upload_that_the_check_cannot_read_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("upload");
    for (content, code) in [
        ("", Some(Code::UsersFileEmpty)),
        ("email\n", Some(Code::UsersFileEmpty)),
        ("shoe size\n42\n", Some(Code::UsersFileColumns)),
        ("[{]", Some(Code::UsersFileFormat)),
        ("[{}]", None),
        ("{}\nnonsense\n", None),
    ] {
        fs::write(&path, content).unwrap();
        assert_eq!(
            validate_upload(&Files::plaintext(directory.path()), &paths(&ImportRequest::default()))
                .await
                .err()
                .map(|error| error.code),
            code,
            "{content:?}"
        );
    }
}

fn users_of(chunks: &Path) -> Vec<Value> {
    chunks_in(chunks).iter().flat_map(|chunk| serde_json::from_slice::<Vec<Value>>(chunk).unwrap()).collect()
}

/// Returns the users that an import of this content would send, and its errors and warnings.
fn sent(request: &ImportRequest, content: &str) -> (Vec<Value>, Vec<RowFault>) {
    let directory = tempfile::tempdir().unwrap();
    let (_, faults) = checked(request, content, Some(directory.path()));
    (users_of(directory.path()), faults)
}

fn mapped(rules: &[&str]) -> ImportRequest {
    ImportRequest { map: rules.iter().map(|rule| MapRule::parse(rule).unwrap()).collect(), ..ImportRequest::default() }
}

/// auth0-user-import-export-extension, issue 12: import from CSV.
#[test]
fn issue_12_csv_with_dotted_headers_is_imported() {
    let (users, faults) = sent(&ImportRequest::default(), "email,username,app_metadata.age\nada@example.com,ada,36\n");
    assert_eq!(faults, []);
    assert_eq!(users, [json!({ "email": "ada@example.com", "username": "ada", "app_metadata": { "age": 36 } })]);
}

/// Issue 45: exports have one JSON value per line but the file name extension `.json`.
#[test]
fn issue_45_exports_with_one_user_per_line_are_imported() {
    let content = "{\"email\":\"ada@example.com\"}\n{\"email\":\"bob@example.com\"}\n";
    assert_eq!(sent(&ImportRequest::default(), content).0.len(), 2);
}

/// Issue 62: Auth0 reported `Forbidden attribute in appUser:` without a name if both kinds of hash were present.
#[test]
fn issue_62_forbidden_attributes_are_named_before_anything_is_sent() {
    let row = with(&json!({
        "password_hash": "$2b$10$nFguVi9LsCAcvTZFKQlRKeLVydo8ETv483lkNsSFI/Wl1Rz1Ypo1K",
        "custom_password_hash": { "algorithm": "bcrypt", "hash": { "value": "$2b$10$nFguVi9LsCAcvTZFKQlRKeLVydo8ETv483lkNsSFI/Wl1Rz1Ypo1K" } },
        "last_login": "2024-01-01T00:00:00.000Z",
    }));
    let faults = faults_of(&row);
    let named: Vec<_> = faults.iter().map(|fault| (fault.code.as_str(), fault.attribute.as_deref())).collect();
    assert_eq!(named, [("FORBIDDEN_ATTRIBUTE", Some("last_login")), ("NOT_PASSED", Some("custom_password_hash"))]);
    assert!(faults[1].message.contains("password_hash or custom_password_hash, not both"));
}

/// Issue 79: an export with the default titles could not be imported.
#[test]
fn issue_79_exports_with_default_titles_are_imported() {
    let header: Vec<&str> = uie_core::user::DEFAULT_COLUMNS.iter().map(|(_, title)| *title).collect();
    let content = format!(
        "{}\nauth0|1,Ada,Lovelace,ada,Ada Lovelace,ada@example.com,true,https://example.com/a.png,Users,2024-01-01T00:00:00.000Z,2024-01-01T00:00:00.000Z\n",
        header.join(",")
    );
    let (users, faults) = sent(&ImportRequest::default(), &content);
    assert_eq!(
        users,
        [json!({
            "user_id": "1", "given_name": "Ada", "family_name": "Lovelace", "nickname": "ada", "name": "Ada Lovelace",
            "email": "ada@example.com", "email_verified": true, "picture": "https://example.com/a.png",
        })]
    );
    let ignored: Vec<_> =
        faults.iter().map(|fault| (fault.code.as_str(), fault.severity, fault.attribute.as_deref())).collect();
    let warning = |attribute| ("COLUMN_LEFT_OUT", Severity::Warning, Some(attribute));
    assert_eq!(ignored, [warning("identities"), warning("created_at"), warning("updated_at")]);
}

#[test]
fn a_mapping_converts_csv_of_another_system() {
    let content = "Mail,Full name,Active,Age,Notes\nada@example.com,Ada Lovelace,no,36,\"a, b\"\nbob@example.com,,,,\n";
    let request = mapped(&[
        "Mail=email",
        "user[\"Full name\"] || user.Mail=name",
        "Age=app_metadata.age",
        "Active=email_verified",
        "null=Notes",
    ]);
    let (users, faults) = sent(&request, content);
    assert_eq!(faults, []);
    assert_eq!(
        users,
        [
            json!({ "email": "ada@example.com", "name": "Ada Lovelace", "app_metadata": { "age": 36 }, "email_verified": false }),
            json!({ "email": "bob@example.com", "name": "bob@example.com" }),
        ]
    );
}

#[test]
fn a_mapping_converts_json_of_another_system_and_the_result_is_checked() {
    let content = "{\"mail\":\"ada@example.com\",\"id\":7,\"profile\":{\"first\":\"Ada\"},\"app_metadata\":{\"a\":1},\"extra\":true}\n{\"mail\":\"invalid\",\"id\":8}\n";
    let request = mapped(&[
        "user.mail=email",
        "id=user_id",
        "profile.first=given_name",
        "profile=app_metadata.profile",
        "null=extra",
    ]);
    let (users, faults) = sent(&request, content);
    assert_eq!(
        users,
        [
            json!({ "app_metadata": { "a": 1, "profile": { "first": "Ada" } }, "email": "ada@example.com", "user_id": "7", "given_name": "Ada" })
        ]
    );
    assert_eq!(faults.iter().map(|fault| (fault.line, fault.code.as_str())).collect::<Vec<_>>(), [(2, "FORMAT")]);
}

fn tools() -> uie_expression::TransformContext {
    let data_dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../target/tmp");
    fs::create_dir_all(&data_dir).unwrap();
    let variables = [("DATA_DIR".to_owned(), data_dir.display().to_string())];
    let settings = uie_core::config::Settings::parse(uie_core::config::Purpose::Local, variables, None).unwrap();
    uie_expression::TransformContext::new(&uie_sandbox::Sandbox::open(&settings).unwrap(), &settings.secrets)
}

#[test]
fn transforms_and_javascript_run_in_batches_and_their_errors_name_row_and_attribute() {
    let rules = [
        "user.Mail.trim().toLowerCase()=email",
        "title_case(user.Who)=name",
        "[user.First, user.Last].filter(Boolean).join(' ') || null=nickname",
        "{ plan: user.Plan, since: Number(user.Since) }=app_metadata",
        "user.Plan ?? 'none'=user_metadata.plan",
    ];
    let spec = ImportSpec::with_tools(&mapped(&rules), &tools()).unwrap();
    let mut content = String::from("Mail,Who,First,Last,Plan,Since\n");
    for row in 0..600 {
        // A missing value is allowed as argument of a transform, but has no method `trim`.
        let mail = if row == 300 { String::new() } else { format!(" ADA{row}@Example.com ") };
        let _ = writeln!(content, "{mail},ada LOVELACE {row},Ada,,pro,2024");
    }
    let directory = tempfile::tempdir().unwrap();
    let mut faults = Vec::new();
    let summary = check(
        &spec,
        Box::new(Cursor::new(content.into_bytes())),
        Some(directory.path()),
        &mut |fault| {
            faults.push(fault.clone());
            Ok(())
        },
        &Progress::default(),
    )
    .unwrap();
    assert_eq!((summary.total, summary.good, summary.failed), (600, 599, 1), "{faults:?}");
    let [fault] = faults.as_slice() else { panic!("{faults:?}") };
    assert_eq!((fault.line, fault.row, fault.code.as_str()), (302, 301, "MAPPING"));
    assert_eq!(fault.attribute.as_deref(), Some("email"));
    assert!(fault.message.contains("javascript@"), "{}", fault.message);
    let users = users_of(directory.path());
    assert_eq!(
        users[599 - 1],
        json!({
            "email": "ada599@example.com", "name": "Ada Lovelace 599", "nickname": "Ada",
            "app_metadata": { "plan": "pro", "since": 2024 }, "user_metadata": { "plan": "pro" },
        })
    );
}

/// The transforms for password hashes give what the check of a custom hash accepts, for every algorithm.
#[test]
fn hashes_of_other_systems_become_custom_password_hashes() {
    let bcrypt = "$2b$10$nFguVi9LsCAcvTZFKQlRKeLVydo8ETv483lkNsSFI/Wl1Rz1Ypo1K";
    let argon2 = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$RdescudvJCsgt3ub+b4dWRWJTmaaJObG";
    let scrypt = "scrypt$16384$seasalt$8$5$ECMIUp+LMxMSK8xB/IVyba+KYGTI7FTnet025q/1f/vBAVnnP3hdYqJuRi+mJn6ji6ze3Fbb7JEFPKGpuEf5vw==";
    let aspnet = "AQAAAAEAACcQAAAAEAABAgMEBQYHCAkKCwwNDg84iY7IYpC8DxYwg3xbC5yVRkUPKSkJj9HFY4sFM57x+A==";
    let django = "pbkdf2_sha256$36000$5LjfzfBwQAVI$KvyIC/h2/RDu+5KyELLhyBD9jZbyImxzipSrIJ4P9Ig=";
    let rows = [
        ("aspnet_hash", aspnet.to_owned(), "pbkdf2"),
        ("django_hash", django.to_owned(), "pbkdf2"),
        ("django_hash", format!("bcrypt${bcrypt}"), "bcrypt"),
        ("django_hash", format!("argon2{argon2}"), "argon2"),
        ("django_hash", scrypt.to_owned(), "scrypt"),
        ("django_hash", "sha1$salt$59b3e8d637cf97edbe2384cf59cb7453dfe30789".to_owned(), "sha1"),
        ("django_hash", "md5$$5f4dcc3b5aa765d61d8327deb882cf99".to_owned(), "md5"),
        ("ldap_hash", "{SSHA}d3K2K9dPEN4K3aExS3VaYWmE25OLEv4B".to_owned(), "ldap"),
        ("ldap_hash", "{SHA384}OLBgp1GsljhM2TJ+sbHjaiH9txEUvgdDTAzHv2P24donTt6/529l+9Ua0vFImLlb".to_owned(), "ldap"),
        ("ldap_hash", format!("{{BCRYPT}}{bcrypt}"), "bcrypt"),
        ("ldap_hash", format!("{{ARGON2}}{argon2}"), "argon2"),
        ("ldap_hash", "{PBKDF2-SHA256}10$AAECAwQFBgc$KvyIC/h2/RDu.5KyELLhyBD9jZbyImxzipSrIJ4P9Ig".to_owned(), "pbkdf2"),
    ];
    for (transform, hash, algorithm) in rows {
        let rules = [format!("{transform}(user.pw)=custom_password_hash"), "user.mail=email".to_owned()];
        let request = mapped(&rules.each_ref().map(String::as_str));
        let spec = ImportSpec::with_tools(&request, &tools()).unwrap();
        let content = format!("mail,pw\nada@example.com,{hash:?}\nbob@example.com,\n");
        let directory = tempfile::tempdir().unwrap();
        let mut faults = Vec::new();
        let mut collect = |fault: &RowFault| {
            faults.push(fault.clone());
            Ok(())
        };
        let input = Box::new(Cursor::new(content.into_bytes()));
        check(&spec, input, Some(directory.path()), &mut collect, &Progress::default()).unwrap();
        assert_eq!(faults, [], "{hash}");
        let users = users_of(directory.path());
        assert_eq!(users[0]["custom_password_hash"]["algorithm"], algorithm, "{hash}");
        assert_eq!(users[1], json!({"email": "bob@example.com"}), "an empty cell is no hash");
    }
}

#[test]
fn an_expression_over_the_whole_row_consumes_all_other_attributes() {
    let spec = ImportSpec::with_tools(
        &mapped(&["Object.keys(user).length=app_metadata.members", "user.mail=email"]),
        &tools(),
    )
    .unwrap();
    let directory = tempfile::tempdir().unwrap();
    let rows = "{\"mail\":\"a@b.c\",\"x\":1,\"name\":\"A\"}\n";
    let input = Box::new(Cursor::new(rows.as_bytes().to_vec()));
    let summary = check(&spec, input, Some(directory.path()), &mut |_| Ok(()), &Progress::default()).unwrap();
    assert_eq!(summary.good, 1);
    assert_eq!(
        users_of(directory.path()),
        [json!({ "name": "A", "app_metadata": { "members": 3 }, "email": "a@b.c" })]
    );
}

#[test]
fn a_mapping_that_does_not_compile_is_refused_before_the_file_is_read() {
    for (rule, part) in
        [("mask_emial(user.mail)=email", "mask_email"), ("user.mail.=email", "^"), ("nope + 1=name", "nope")]
    {
        let error = ImportSpec::with_tools(&mapped(&[rule]), &tools()).unwrap_err();
        assert_eq!(error.code, Code::InvalidExpression, "{rule}");
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn a_spec_has_its_request_without_secrets() {
    let asked = mapped(&["null=unknown", "pseudonymize(user.mail, 'very secret')=nickname", "user.mail=email"]);
    let spec = ImportSpec::with_tools_if_needed(&asked, || Ok(tools())).unwrap();
    assert_eq!(spec.request(), &asked);
    let masked = mapped(&["null=unknown", "pseudonymize(user.mail, ***)=nickname", "user.mail=email"]);
    assert_eq!(spec.resolved_request().masked(), Some(&masked));
    assert!(!format!("{spec:?}").contains("very secret"));
    let paths = mapped(&["null=unknown", "user.mail=email"]);
    let spec = ImportSpec::with_tools_if_needed(&paths, || panic!("paths need no sandbox")).unwrap();
    assert_eq!(spec.resolved_request().masked(), None);
}

#[test]
fn a_malformed_array_is_reported_after_the_rows_before_it() {
    let spec = ImportSpec::with_tools(&mapped(&["user.mail.trim()=email"]), &tools()).unwrap();
    let mut faults = 0;
    let input = Box::new(Cursor::new(b"[{\"mail\":1},{\"mail\":\"a@b.c\"},{\"mail\" 2}]".to_vec()));
    let mut count = |_: &RowFault| {
        faults += 1;
        Ok(())
    };
    let error = check(&spec, input, None, &mut count, &Progress::default()).unwrap_err();
    assert_eq!((error.code, faults), (Code::UsersFileFormat, 1));
}

#[test]
fn contradictory_settings_are_refused() {
    let dry = ImportRequest { dry_run: true, connection_id: "con_0".into(), ..ImportRequest::default() };
    for request in [
        ImportRequest { look_up: true, dry_run: false, ..dry.clone() },
        ImportRequest { look_up: true, connection_id: String::new(), ..dry.clone() },
        ImportRequest { backup: true, upsert: true, ..dry.clone() },
        ImportRequest { backup: true, ..ImportRequest::default() },
    ] {
        assert_eq!(ImportSpec::new(&request).unwrap_err().code, Code::InvalidBody, "{request:?}");
    }
    assert!(ImportSpec::new(&ImportRequest { look_up: true, ..dry }).is_ok());
}

/// Returns NDJSON of rows, which may already have a line end.
fn lines(rows: &[String]) -> String {
    let mut text = rows.iter().map(|row| row.trim_end()).collect::<Vec<_>>().join("\n");
    text.push('\n');
    text
}

/// Returns at most `.1` bytes per read, like a pipe.
pub(crate) struct ShortReader(pub(crate) Cursor<Vec<u8>>, pub(crate) usize);

impl Read for ShortReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let most = self.1.min(buffer.len());
        self.0.read(buffer.get_mut(..most).unwrap_or_default())
    }
}

#[test]
fn the_fast_check_and_the_full_check_have_the_same_result() {
    let rows: Vec<String> = (0..2000).map(|index| simulated_tenant::generate::import_user(index, 3)).collect();
    let pretty = |row: &String| serde_json::to_string_pretty(&serde_json::from_str::<Value>(row).unwrap()).unwrap();
    let array = format!("[{}]", rows.join(","));
    let spread = format!("[\n  {}\n]\n", rows.iter().map(pretty).collect::<Vec<_>>().join("\n  ,\n"));
    // With a rule, even one without effect, every row is parsed.
    let built_by = mapped(&["user.no_such_attribute=app_metadata.no_such_attribute"]);
    for content in [lines(&rows), lines(&rows).replace('\n', " \r\n\n"), array, spread] {
        let (one, other, third) =
            (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let built = checked(&built_by, &content, Some(other.path()));
        assert!(built.0.failed > 100 && built.0.warnings > 50, "{:?}", built.0);
        let fast_checked = checked(&ImportRequest::default(), &content, Some(one.path()));
        assert!(fast_checked == built, "{:?} {:?}", fast_checked.0, built.0);
        assert!(chunks_in(one.path()) == chunks_in(other.path()));
        let short_reads = Box::new(ShortReader(Cursor::new(content.into_bytes()), 4099));
        assert!(checked_from(&ImportRequest::default(), short_reads, Some(third.path())) == built);
        assert!(chunks_in(third.path()) == chunks_in(other.path()));
    }
}

#[test]
fn read_only_attributes_are_dropped_alike_by_the_fast_check_and_by_the_full_check() {
    let rows: Vec<String> = (0..2000).map(|index| simulated_tenant::generate::export_user(index, 3)).collect();
    let array = format!("[{}]", rows.join(","));
    let fast = ImportRequest { drop_read_only: true, ..ImportRequest::default() };
    // With a rule, even one without effect, every row is parsed.
    let built_by =
        ImportRequest { drop_read_only: true, ..mapped(&["user.no_such_attribute=app_metadata.no_such_attribute"]) };
    let users = |directory: &Path| users_of(directory);
    for content in [lines(&rows), lines(&rows).replace(',', " , "), array] {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let built = checked(&built_by, &content, Some(other.path()));
        let fast_checked = checked(&fast, &content, Some(one.path()));
        assert!(built.0.good > 1000 && built.0.failed > 100, "{:?}", built.0);
        assert_eq!(fast_checked.0, built.0);
        assert!(fast_checked.1 == built.1);
        assert!(users(one.path()) == users(other.path()));
    }
}

/// Checks `row` as a line between valid rows; returns line and code of each error. Asserts that the other rows are
/// valid.
fn between_valid_rows(row: &[u8]) -> Vec<(u64, String)> {
    let valid = |name: &str| format!("{{\"email\":\"{name}@example.com\"}}\n").into_bytes();
    // The text is UTF-8, whatever the row is.
    let first = "{\"email\":\"a@example.com\",\"name\":\"ÀÉÎÕÜßñ\"}\n".as_bytes().to_vec();
    let content = [first, row.to_vec(), b"\n".to_vec(), valid("b"), valid("c")].concat();
    let (summary, faults) = checked_from(&ImportRequest::default(), Box::new(Cursor::new(content)), None);
    assert_eq!((summary.total, summary.good), (4, 4 - u64::from(!faults.is_empty())), "{faults:?}");
    faults.into_iter().map(|fault| (fault.line, fault.code)).collect()
}

#[test]
fn a_guessed_encoding_is_a_warning_with_an_example_and_no_secret() {
    let (bytes, _, _) = encoding_rs::WINDOWS_1251
        .encode("email,password_hash,name,nickname\na@b.c,,,\nb@b.c,пароль,Иван Петров,Ваня\nc@b.c,,Мария,\n");
    let map = vec![MapRule::parse("null=password_hash").unwrap()];
    let request = ImportRequest { map, ..ImportRequest::default() };
    let (_, faults) = checked_from(&request, Box::new(Cursor::new(bytes.to_vec())), None);
    let [warning] = faults.as_slice() else { panic!("{faults:?}") };
    assert_eq!((warning.code.as_str(), warning.line, warning.severity), ("ENCODING_GUESSED", 3, Severity::Warning));
    assert!(warning.message.contains("read as windows-1251"), "{}", warning.message);
    assert!(warning.message.contains("name in line 3 contains \"Иван\""), "{}", warning.message);
    // Also without the mapping, with which the hash is in the row.
    let (_, faults) = checked_from(&ImportRequest::default(), Box::new(Cursor::new(bytes.to_vec())), None);
    assert!(faults.iter().all(|fault| !fault.message.contains("пароль")), "{faults:?}");

    let encoding = Some(TextEncoding::parse("cp1251", Code::InvalidArgument).unwrap());
    let (summary, faults) =
        checked_from(&ImportRequest { encoding, ..request }, Box::new(Cursor::new(bytes.to_vec())), None);
    assert_eq!((summary.good, faults), (3, Vec::new()));
}

#[test]
fn bytes_that_are_no_characters_are_a_warning_with_the_first_line() {
    let encoding = Some(TextEncoding::parse("Shift_JIS", Code::InvalidArgument).unwrap());
    let request = ImportRequest { encoding, ..ImportRequest::default() };
    let content = b"email,name\na@b.c,\x82\xa0\nb@b.c,x\xfd\nc@b.c,\xfe\n".to_vec();
    let (summary, faults) = checked_from(&request, Box::new(Cursor::new(content)), None);
    let [warning] = faults.as_slice() else { panic!("{faults:?}") };
    assert_eq!((warning.code.as_str(), warning.line, summary.inputs[0].undecodable), ("UNDECODABLE", 3, 2));
}

#[test]
fn skipped_lines_of_csv_are_warnings() {
    let content = "version:v1.0,,\nMail [email] Required,First name [given_name],Name [name]\na@b.c,A,A B\n";
    let (summary, faults) = checked_from(&ImportRequest::default(), Box::new(Cursor::new(content)), None);
    assert_eq!(summary.good, 1, "{faults:?}");
    let [warning] = faults.as_slice() else { panic!("{faults:?}") };
    assert_eq!((warning.code.as_str(), warning.line), ("LINE_SKIPPED", 1));
}

#[test]
fn malformed_rows_do_not_affect_the_rows_around_them() {
    let deep = |levels: usize| {
        format!("{{\"email\":\"x@b.c\",\"user_metadata\":{{\"a\":{}{}}}}}", "[".repeat(levels), "]".repeat(levels))
    };
    let in_metadata = |value: &[u8]| [b"{\"email\":\"x@b.c\",\"user_metadata\":{\"a\":", value, b"}}"].concat();
    for (what, row) in [
        ("a NUL byte between tokens", b"{\"email\":\"x@b.c\"\0}".to_vec()),
        ("a NUL byte in a string", in_metadata(b"\"\0\"")),
        ("half a pair", in_metadata(b"\"\\ud800\"")),
        ("the other half", in_metadata(b"\"\\udc00\"")),
        ("two first halves", in_metadata(b"\"\\ud800\\ud800\"")),
        ("half a pair as a key", in_metadata(b"{\"\\ud800\":1}")),
        ("bytes that are no UTF-8", in_metadata(b"\"\xff\"")),
        ("an overlong form", in_metadata(b"\"\xc0\xaf\"")),
        ("half a pair as bytes", in_metadata(b"\"\xed\xa0\x80\"")),
        ("a number that is no JSON", in_metadata(b"01")),
        ("not a number", in_metadata(b"NaN")),
        ("a number beyond all bounds", in_metadata(b"1e999")),
        ("an unknown escape", in_metadata(b"\"\\x41\"")),
        ("a comma too many", in_metadata(b"[1,]")),
        ("a string that does not end", in_metadata(b"\"")),
        ("an object that does not end", in_metadata(b"{")),
        ("a line end in a string", b"{\"email\":\"x@b.c\",\"name\":\"\r\"}".to_vec()),
        ("deep nesting", deep(1000).into_bytes()),
        ("very deep nesting", deep(1_000_000).into_bytes()),
        ("brackets without an end", "[".repeat(3_000_000).into_bytes()),
    ] {
        let errors = between_valid_rows(&row);
        let is_nested = ["deep nesting", "very deep nesting", "brackets without an end"].contains(&what);
        assert_eq!(errors, [(2, if is_nested { "NESTING" } else { "INVALID_JSON" }.to_owned())], "{what}");
    }
    for row in [
        in_metadata(b"\"\\ud83d\\ude00 \\u0000\""),
        in_metadata(b"1e308"),
        deep(90).into_bytes(),
        in_metadata(b"1").iter().chain(b" \t\r").copied().collect(),
    ] {
        assert_eq!(between_valid_rows(&row), [], "{}", String::from_utf8_lossy(&row));
    }
}

#[test]
fn a_truncated_or_damaged_gzip_file_ends_the_check() {
    let rows: Vec<String> = (0..400).map(|index| simulated_tenant::generate::import_user(index, 9)).collect();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, lines(&rows).as_bytes()).unwrap();
    let whole = encoder.finish().unwrap();
    let failure = |content: Vec<u8>| {
        let input = Box::new(Cursor::new(content));
        check(&paths(&ImportRequest::default()), input, None, &mut |_| Ok(()), &Progress::default()).unwrap_err()
    };
    for cut in [11, whole.len() / 2, whole.len() - 9, whole.len() - 1] {
        let error = failure(whole[..cut].to_vec());
        assert_eq!((error.code, error.message.contains("gzip")), (Code::UsersFileFormat, true), "{cut}: {error}");
    }
    let mut changed = whole.clone();
    // Change the checksum at the end.
    let at = changed.len() - 6;
    changed[at] ^= 1;
    assert_eq!(failure(changed).code, Code::UsersFileFormat);
}

#[test]
fn schema_verdicts_equal_those_of_a_general_validator() {
    let oracle = super::schema::tests::documented();
    let rows: Vec<String> = (0..3000).map(|index| simulated_tenant::generate::import_user(index, 5)).collect();
    let text = lines(&rows);
    let mut verdicts = Vec::new();
    schema_verdicts(Box::new(Cursor::new(text.into_bytes())), &mut |_, accepted| verdicts.push(accepted)).unwrap();
    let expected: Vec<bool> = rows.iter().map(|row| oracle.is_valid(&serde_json::from_str(row).unwrap())).collect();
    assert_eq!(verdicts, expected);
}

#[test]
fn a_mapping_without_a_value_keeps_the_attribute_and_null_removes_it() {
    let content = "{\"email\":\"ada@example.com\",\"name\":\"Ada\",\"nickname\":\"a\"}\n";
    let (users, _) = sent(&mapped(&["user.mail=email", "user.full=name", "null=nickname"]), content);
    assert_eq!(users, [json!({ "email": "ada@example.com", "name": "Ada" })]);
}

#[test]
fn an_export_of_complete_users_is_imported_without_read_only_attributes() {
    let exported: Vec<Value> = (0..200)
        .map(|index| serde_json::from_str(&simulated_tenant::generate::export_user(index, 7)).unwrap())
        .collect();
    let content = exported.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
    let request = ImportRequest { drop_read_only: true, ..mapped(&["null=locale"]) };
    let (_, faults) = checked(&request, &content, None);
    assert_eq!(faults.iter().filter(|fault| fault.code == "FORBIDDEN_ATTRIBUTE").count(), 0);
    let (summary, faults) = checked(&mapped(&["null=locale"]), &content, None);
    assert_eq!(summary.good, 0);
    assert!(faults.iter().any(|fault| fault.attribute.as_deref() == Some("identities")));
}

#[test]
fn an_invalid_mapping_is_refused_before_the_file_is_read() {
    for (rules, code, part) in [
        (&["user.mail=emial"][..], Code::InvalidMapping, "emial"),
        (&["a=name", "b=name"][..], Code::InvalidMapping, "name"),
        (&["a=app_metadata", "b=app_metadata.plan"][..], Code::InvalidMapping, "app_metadata"),
        (&["user.name.toUpperCase()=name"][..], Code::UnsupportedExpression, "JavaScript"),
        (&["user.=name"][..], Code::InvalidExpression, "^"),
    ] {
        let rules = rules.iter().map(|rule| MapRule::parse(rule).unwrap()).collect::<Vec<_>>();
        let error = ImportSpec::new(&ImportRequest { map: rules.clone(), ..ImportRequest::default() }).err().unwrap();
        assert_eq!(error.code, code, "{rules:?}");
        assert!(error.message.contains(part), "{}", error.message);
    }
    assert_eq!(MapRule::parse("name").unwrap_err().code, Code::InvalidMapping);
}

#[test]
fn a_mapping_is_parsed_from_three_forms_of_json() {
    let rule = MapRule { expression: "user[\"a=b\"]".into(), attribute: "name".into() };
    for json in [
        r#"{"name": "user[\"a=b\"]"}"#,
        r#"["user[\"a=b\"]=name"]"#,
        r#"[{"expression": "user[\"a=b\"]", "attribute": "name"}]"#,
    ] {
        assert_eq!(MapRule::parse_json(json).unwrap(), std::slice::from_ref(&rule), "{json}");
    }
    for json in ["", "1", "{\"name\":1}", "[\"name\"]", "[{}]"] {
        assert_eq!(MapRule::parse_json(json).unwrap_err().code, Code::InvalidMapping, "{json}");
    }
}

const HASH_10: &str = "$2b$10$nFguVi9LsCAcvTZFKQlRKeLVydo8ETv483lkNsSFI/Wl1Rz1Ypo1K";
const HASH_12: &str = "$2b$12$nFguVi9LsCAcvTZFKQlRKeLVydo8ETv483lkNsSFI/Wl1Rz1Ypo1K";

fn several(contents: &[&str], chunks: Option<&Path>) -> Result<(CheckSummary, Vec<RowFault>)> {
    let mut faults = Vec::new();
    let inputs = contents
        .iter()
        .enumerate()
        .map(|(index, content)| {
            let content = content.as_bytes().to_vec();
            let open = move || Ok(Box::new(Cursor::new(content.clone())) as Box<dyn Read + Send>);
            InputFile { name: Some(format!("file{index}")), open: Box::new(open), reopenable: true }
        })
        .collect();
    let mut keep = |fault: &RowFault| {
        faults.push(fault.clone());
        Ok(())
    };
    let summary =
        check_files(&paths(&ImportRequest::default()), inputs, chunks, None, &mut keep, &Progress::default())?;
    Ok((summary, faults))
}

#[test]
fn an_export_of_password_hashes_is_joined_to_the_users_by_id() {
    let id = |number: u8| format!("{number:024x}");
    let users = format!(
        "[{{\"user_id\":\"auth0|{}\",\"email\":\"a@b.c\"}}, {{\"email\":\"b@b.c\", \"user_id\" : \"{}\" }} ,\n{{\"user_id\":\"auth0|{}\",\"email\":\"c@b.c\"}}]",
        id(1),
        id(2),
        id(3)
    );
    let line = |number, hash| {
        json!({ "_id": { "$oid": id(number) }, "email": "x", "passwordHash": hash, "tenant": "t", "_tmp_is_unique": true }).to_string()
    };
    let hashes = [line(2, HASH_12), line(1, HASH_10), line(9, HASH_10)].join("\n");
    let directory = tempfile::tempdir().unwrap();
    for order in [[users.as_str(), &hashes], [&hashes, &users]] {
        let (summary, faults) = several(&order, Some(directory.path())).unwrap();
        let warnings: Vec<_> = faults.iter().map(|fault| (fault.code.as_str(), fault.line)).collect();
        assert_eq!(warnings, [("NO_HASH", 2), ("HASH_WITHOUT_USER", 3)]);
        let counts = JoinedHashes { read: 3, joined: 2, without_user: 1, users_without_hash: 1 };
        assert_eq!((summary.total, summary.hashes), (3, Some(counts)));
        let sent = users_of(directory.path());
        assert_eq!(sent[0], json!({ "user_id": id(1), "email": "a@b.c", "password_hash": HASH_10 }));
        assert_eq!(sent[1]["custom_password_hash"]["hash"]["value"], HASH_12);
        assert_eq!(sent[2].get("password_hash"), None);
    }
}

#[test]
fn failed_csv_rows_are_written_unchanged_under_their_header() {
    let content = "email;Full name;app_metadata.plan\n\"ada@example.com\";x;\"pro;\nplus\"\ninvalid;y;z\nshort\nbob@example.com;;\n";
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("upload"), content).unwrap();
    let mut file = super::faults::FaultFile::for_check(&Files::plaintext(directory.path())).unwrap();
    for fault in checked(&mapped(&["user[\"Full name\"]=name"]), content, None).1 {
        file.push(&fault).unwrap();
    }
    file.push(&reported(1, 2)).unwrap();
    file.finish().unwrap();
    assert_eq!(original_format(&Files::plaintext(directory.path())).unwrap(), ReportFormat::Csv);
    assert_eq!(
        report(directory.path(), Some(ReportFormat::Csv)),
        "email;Full name;app_metadata.plan\n\"ada@example.com\";x;\"pro;\nplus\"\ninvalid;y;z\nshort\n"
    );
    let again = tempfile::tempdir().unwrap();
    keep_failed_rows(&Files::plaintext(directory.path()), &Files::plaintext(again.path())).unwrap();
    let retried = fs::read_to_string(again.path().join("upload")).unwrap();
    let (summary, faults) = checked(&mapped(&["user[\"Full name\"]=name"]), &retried, None);
    assert_eq!((summary.total, summary.good), (3, 1));
    assert_eq!(faults.iter().map(|fault| fault.line).collect::<Vec<_>>(), [4, 5]);
}

#[test]
fn json_rows_written_as_csv_are_imported_as_the_same_users() {
    let user = with(&json!({
        "name": "=1+1", "phone_number": "+12125550001", "email_verified": false,
        "user_metadata": { "zip": "10115", "n": 10115, "yes": "true", "list": [1, "a"], "deep": { "a b": "'5" }, "quote": "'=x" },
    }));
    let directory = job_directory(&format!("{user}\n"), &[reported(1, 1)]);
    let csv = report(directory.path(), Some(ReportFormat::Csv));
    assert_eq!(sent(&ImportRequest::default(), &csv).0, [user], "{csv}");
}

#[test]
fn a_check_reports_the_format_of_the_file() {
    let (summary, _) = checked(&ImportRequest::default(), "email;name\na@b.c;x\n", None);
    let format = &summary.inputs[0];
    assert_eq!((format.format.as_str(), format.encoding.as_str()), ("csv", "UTF-8"));
    assert_eq!((format.delimiter.as_deref(), format.gzip), (Some(";"), false));
}
