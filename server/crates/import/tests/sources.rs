//! Imports of exports of other systems (`server/crates/sources/cases`): the users that are sent, and what is reported.
//!
//! Beside each export `name.csv` is `name.expected.json` with the users, the codes of the warnings, and the errors of
//! rows. Unless `detected` is false there, the source is recognized from the content.

use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use uie_core::progress::Progress;
use uie_import::{CheckSummary, ImportRequest, ImportSpec, InputFile, MapRule, RowFault, Severity, check_files};

fn cases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sources/cases");
    let mut cases = Vec::new();
    for source in std::fs::read_dir(root).unwrap() {
        for file in std::fs::read_dir(source.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            if !path.to_string_lossy().ends_with(".expected.json") {
                cases.push(path);
            }
        }
    }
    cases.sort();
    cases
}

/// The users that are sent, the source that was recognized, and all errors and warnings.
struct Outcome {
    users: Vec<Value>,
    source: Option<String>,
    faults: Vec<RowFault>,
}

fn import(path: &Path, source: Option<&str>) -> Outcome {
    let content = std::fs::read(path).unwrap();
    let (summary, users, faults) = import_files(&[&content], source, &[]);
    Outcome { users, source: summary.inputs[0].source.clone(), faults }
}

/// Checks files as one import. Returns the users that would be sent, and all errors and warnings.
fn import_files(contents: &[&[u8]], source: Option<&str>, map: &[&str]) -> (CheckSummary, Vec<Value>, Vec<RowFault>) {
    let map = map.iter().map(|rule| MapRule::parse(rule).unwrap()).collect();
    let request = ImportRequest { source: source.map(str::to_owned), map, ..ImportRequest::default() };
    let spec = ImportSpec::new(&request).unwrap();
    let chunks = tempfile::tempdir().unwrap();
    let several = contents.len() > 1;
    let input = |(number, content): (usize, &&[u8])| {
        let content = content.to_vec();
        let open = move || Ok(Box::new(Cursor::new(content.clone())) as Box<dyn Read + Send>);
        InputFile { name: several.then(|| format!("file{number}")), open: Box::new(open), reopenable: true }
    };
    let inputs = contents.iter().enumerate().map(input).collect();
    let mut faults = Vec::new();
    let mut keep = |fault: &RowFault| {
        faults.push(fault.clone());
        Ok(())
    };
    let summary = check_files(&spec, inputs, Some(chunks.path()), None, &mut keep, &Progress::default())
        .unwrap_or_else(|error| panic!("{error}"));
    let mut users = Vec::new();
    for chunk in 1..=summary.chunks {
        let text = std::fs::read(chunks.path().join(format!("{chunk:06}.json"))).unwrap();
        users.extend(serde_json::from_slice::<Vec<Value>>(&text).unwrap());
    }
    (summary, users, faults)
}

fn lines(rows: &[Value]) -> Vec<u8> {
    rows.iter().fold(String::new(), |text, row| format!("{text}{row}\n")).into_bytes()
}

const HASH: &str = "$2b$10$nFguVi9LsCAcvTZFKQlRKeLVydo8ETv483lkNsSFI/Wl1Rz1Ypo1K";

/// A line of Auth0's export of password hashes.
fn hash_line(id: &str, more: &Value) -> Value {
    let mut line =
        json!({ "_id": { "$oid": id }, "email": "x@example.com", "tenant": "example", "connection": "Staff" });
    for (name, value) in more.as_object().unwrap() {
        line[name] = value.clone();
    }
    line
}

#[test]
fn every_example_becomes_the_expected_users() {
    let cases = cases();
    assert!(cases.len() > 10, "{cases:?}");
    for path in cases {
        let name = path.display();
        let expected = std::fs::read(path.with_extension("expected.json")).unwrap();
        let expected: Value = serde_json::from_slice(&expected).unwrap();
        let source = path.parent().unwrap().file_name().unwrap().to_str().unwrap();
        let is_detected = expected["detected"] != json!(false);
        let outcome = import(&path, (!is_detected).then_some(source));
        assert_eq!(outcome.source.as_deref(), Some(source), "{name}");
        let users = expected["users"].as_array().unwrap();
        for (number, (sent, expected)) in outcome.users.iter().zip(users).enumerate() {
            assert_eq!(sent, expected, "{name}, user {number}");
        }
        assert_eq!(outcome.users.len(), users.len(), "{name}");
        let with = |severity: Severity| outcome.faults.iter().filter(move |fault| fault.severity == severity);
        let mut warnings: Vec<_> = with(Severity::Warning).map(|fault| fault.code.as_str()).collect();
        warnings.sort_unstable();
        assert_eq!(json!(warnings), expected["warnings"], "{name}");
        let errors: Vec<_> =
            with(Severity::Error).map(|fault| json!({ "line": fault.line, "code": fault.code })).collect();
        assert_eq!(json!(errors), *expected.get("errors").unwrap_or(&json!([])), "{name}");
    }
}

#[test]
fn no_warning_contains_a_hash_or_a_secret() {
    for path in cases() {
        let outcome = import(&path, path.parent().unwrap().file_name().unwrap().to_str());
        let mut secrets: Vec<String> = Vec::new();
        for user in &outcome.users {
            for pointer in ["/password_hash", "/custom_password_hash/hash/value", "/custom_password_hash/salt/value"] {
                secrets.extend(user.pointer(pointer).and_then(Value::as_str).map(str::to_owned));
            }
            for factor in user["mfa_factors"].as_array().into_iter().flatten() {
                secrets.extend(factor["totp"]["secret"].as_str().map(str::to_owned));
            }
        }
        secrets.extend(["correct horse".to_owned(), "MDEyMzQ1Njc4OQ==".to_owned()]);
        for fault in &outcome.faults {
            let text = serde_json::to_string(fault).unwrap();
            assert!(secrets.iter().all(|secret| !text.contains(secret.as_str())), "{}: {text}", path.display());
        }
    }
}

#[test]
fn a_file_keeps_its_attributes_if_sources_are_turned_off() {
    let path = cases().into_iter().find(|path| path.ends_with("keycloak/users.json")).unwrap();
    let outcome = import(&path, Some("none"));
    assert_eq!((outcome.users.len(), outcome.source), (0, None));
    assert!(outcome.faults.iter().any(|fault| fault.attribute.as_deref() == Some("emailVerified")));
}

#[test]
fn unknown_sources_are_refused_with_the_list_of_all() {
    let request = ImportRequest { source: Some("cognitoo".to_owned()), ..ImportRequest::default() };
    let error = ImportSpec::new(&request).err().unwrap();
    assert!(error.hint.unwrap().contains("cognito, "), "{}", error.message);
}

#[test]
fn expressions_read_the_attributes_of_the_source_and_override_the_conversion() {
    let csv =
        b"cognito:username,email,email_verified,phone_number_verified,cognito:mfa_enabled,custom:tier,given_name\n\
        ada,ada@example.com,TRUE,FALSE,FALSE,gold,Ada\n";
    let map = ["user[\"cognito:username\"]=username", "user[\"custom:tier\"]=app_metadata.plan", "null=custom:tier"];
    let (_, users, _) = import_files(&[csv], None, &map);
    assert_eq!(
        users,
        [json!({
            "email": "ada@example.com", "email_verified": true, "phone_verified": false, "given_name": "Ada",
            "user_id": "ada", "username": "ada", "app_metadata": { "plan": "gold" },
        })]
    );
    let (_, users, _) =
        import_files(&[csv], None, &["user.given_name=nickname", "null=phone_verified", "null=app_metadata"]);
    assert_eq!(
        users,
        [json!({
            "email": "ada@example.com", "email_verified": true, "given_name": "Ada", "user_id": "ada", "nickname": "Ada",
        })]
    );
}

#[test]
fn hashes_are_joined_by_the_id_that_auth0_uses() {
    let users = lines(&[
        json!({ "user_id": "auth0|euclid", "email": "euclid@example.com", "email_verified": true }),
        json!({ "user_id": "auth0|5dea9f9c82dd7c0e76e4ec94", "email": "plain@example.com" }),
    ]);
    let hashes = lines(&[
        hash_line("5dea9f9c82dd7c0e76e4ec93", &json!({ "passwordHash": HASH, "alt_id": "euclid" })),
        hash_line("5dea9f9c82dd7c0e76e4ec94", &json!({ "passwordHash": HASH })),
    ]);
    let (summary, users, faults) = import_files(&[&users, &hashes], None, &[]);
    let counts = summary.hashes.unwrap();
    assert_eq!((counts.read, counts.joined, counts.without_user, counts.users_without_hash), (2, 2, 0, 0));
    assert!(users.iter().all(|user| user["password_hash"] == HASH), "{users:?}");
    assert_eq!(faults, []);
}

#[test]
fn an_export_that_begins_without_a_hash_is_recognized() {
    let users = lines(&[
        json!({ "user_id": "auth0|5dea9f9c82dd7c0e76e4ec94", "email": "plain@example.com" }),
        json!({ "user_id": "auth0|5dea9f9c82dd7c0e76e4ec01", "email": "nopass@example.com" }),
    ]);
    let identifiers = json!([{ "type": "email", "value": "plain@example.com", "verified": false }]);
    let hashes = lines(&[
        hash_line("5dea9f9c82dd7c0e76e4ec01", &json!({ "_tmp_is_unique": true })),
        hash_line("5dea9f9c82dd7c0e76e4ec94", &json!({ "passwordHash": HASH, "identifiers": identifiers })),
        hash_line("5dea9f9c82dd7c0e76e4ec95", &json!({ "passwordHash": HASH })),
    ]);
    for files in [[&users, &hashes], [&hashes, &users]] {
        let (summary, users, faults) = import_files(&[files[0], files[1]], None, &[]);
        assert_eq!((summary.total, users[0]["password_hash"].as_str()), (2, Some(HASH)));
        let seen: Vec<_> = faults.iter().map(|fault| (fault.code.as_str(), fault.line, fault.severity)).collect();
        assert_eq!(seen, [("NO_HASH", 2, Severity::Warning), ("HASH_WITHOUT_USER", 3, Severity::Warning)]);
        let counts = summary.hashes.unwrap();
        assert_eq!((counts.joined, counts.without_user, counts.users_without_hash), (1, 1, 1));
    }
}

#[test]
fn a_hash_of_another_connection_is_not_joined() {
    let user = |id: &str, connection: &str| {
        let identities = json!([{ "connection": connection, "user_id": id, "provider": "auth0", "isSocial": false }]);
        json!({ "user_id": format!("auth0|{id}"), "email": format!("{id}@example.com"), "identities": identities })
    };
    let users = lines(&[user("one", "Staff"), user("two", "Other")]);
    let hashes = lines(&[
        hash_line("5dea9f9c82dd7c0e76e4ec93", &json!({ "passwordHash": HASH, "alt_id": "one" })),
        hash_line("5dea9f9c82dd7c0e76e4ec94", &json!({ "passwordHash": HASH, "alt_id": "two" })),
    ]);
    let (_, users, faults) = import_files(&[&users, &hashes], Some("auth0"), &[]);
    assert_eq!(users[0], json!({ "user_id": "one", "email": "one@example.com", "password_hash": HASH }));
    assert_eq!(users[1], json!({ "user_id": "two", "email": "two@example.com" }));
    let codes: Vec<_> = faults.iter().map(|fault| fault.code.as_str()).collect();
    assert_eq!(codes, ["NO_HASH", "HASH_WITHOUT_USER"]);
}

#[test]
fn a_dump_of_another_database_is_a_file_of_users() {
    let dump = lines(&[json!({
        "_id": { "$oid": "4d94501d1f78ac091dbc9b4d" }, "email": "ada@example.com", "name": "Ada", "handle": "ada",
        "passwordHash": "5ebe2294ecd0e0f08eab7690d2a6ee69", "lastActivity": { "$date": "2023-12-01T10:00:00Z" },
    })]);
    let more = lines(&[json!({ "email": "bob@example.com" })]);
    let map = [
        "user._id[\"$oid\"]=user_id",
        "null=passwordHash",
        "null=handle",
        "user.lastActivity[\"$date\"]=user_metadata.seen",
    ];
    let (summary, users, _) = import_files(&[&dump, &more], None, &map);
    assert_eq!((summary.hashes, users.len()), (None, 2));
    assert_eq!(users[0]["user_id"], "4d94501d1f78ac091dbc9b4d");
    assert_eq!(summary.inputs[0].source, None);
}

#[test]
fn the_user_decides_whether_a_file_is_an_export_of_hashes() {
    let users = lines(&[json!({ "user_id": "auth0|4d94501d1f78ac091dbc9b4d", "email": "ada@example.com" })]);
    // Has a member that exports do not have, and no tenant.
    let ambiguous =
        lines(&[json!({ "_id": { "$oid": "4d94501d1f78ac091dbc9b4d" }, "name": "Ada", "passwordHash": HASH })]);
    let (summary, sent, _) = import_files(&[&users, &ambiguous], Some("auth0-hashes"), &[]);
    assert_eq!((summary.hashes.unwrap().joined, sent[0]["password_hash"].as_str()), (1, Some(HASH)));
    let certain = lines(&[hash_line("4d94501d1f78ac091dbc9b4d", &json!({ "passwordHash": HASH }))]);
    let (summary, sent, _) = import_files(&[&users, &certain], Some("none"), &[]);
    assert_eq!((summary.hashes, summary.failed, sent.len()), (None, 1, 1));
}

#[test]
fn very_many_hashes_without_a_user_are_counted_and_the_first_are_listed() {
    let users = lines(&[json!({ "user_id": "auth0|none", "email": "ada@example.com" })]);
    let hashes: Vec<Value> =
        (0..1500).map(|number| hash_line(&format!("{number:024x}"), &json!({ "passwordHash": HASH }))).collect();
    let (summary, _, faults) = import_files(&[&users, &lines(&hashes)], None, &[]);
    assert_eq!(summary.hashes.unwrap().without_user, 1500);
    let listed = faults.iter().filter(|fault| fault.code == "HASH_WITHOUT_USER").count();
    assert_eq!(listed, 1001);
    assert!(faults.iter().any(|fault| fault.message.to_string().contains("500")));
}
