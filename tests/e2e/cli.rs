//! The command line (docs/decisions/0017-exit-status.md): what it prints, and its exit statuses.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};

use end_to_end::command;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use simulated_tenant::generate::export_user;
use simulated_tenant::{Tenant, TenantSettings};
use tempfile::TempDir;

use crate::actions::{good_users, ndjson};

/// Runs the binary in a directory with arguments and settings.
fn run(directory: &Path, arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    let mut command: Command = command(directory);
    command.args(arguments).envs(settings.iter().copied()).output().expect("the binary runs")
}

fn status(output: &Output) -> i32 {
    output.status.code().expect("an exit status")
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn validate_config_names_every_invalid_setting_and_hides_secrets() {
    let directory = TempDir::new().unwrap();
    let settings = [
        ("AUTH0_DOMAIN", "https://acme.eu.auth0.com/path"),
        ("EXTENSION_SECRET", "tooshort"),
        ("PORT", "seventy"),
        ("AUTH0_CLIENT_IDD", "abc"),
    ];
    let output = run(directory.path(), &["validate-config"], &settings);
    assert_eq!(status(&output), 2);
    let errors = errors(&output);
    for part in
        ["AUTH0_DOMAIN", "https://acme.eu.auth0.com/path", "EXTENSION_SECRET", "PORT", "seventy", "AUTH0_CLIENT_IDD"]
    {
        assert!(errors.contains(part), "{part} is not named: {errors}");
    }
    assert!(!errors.contains("tooshort"), "a secret is shown: {errors}");
}

#[test]
fn validate_config_accepts_complete_settings() {
    let directory = TempDir::new().unwrap();
    let settings = [("AUTH0_DOMAIN", "acme.eu.auth0.com"), ("EXTENSION_SECRET", "8d3f1c6b5a2e4970b16d8e0f7c93a254")];
    let output = run(directory.path(), &["validate-config"], &settings);
    assert_eq!(status(&output), 0, "{}", errors(&output));
    let text = String::from_utf8_lossy(&output.stdout);
    let (summary, list) = text.split_once("settings:\n").expect("a list of settings");
    assert!(summary.starts_with("The settings are valid.\n  tenant      https://acme.eu.auth0.com\n"), "{summary}");
    let rows: Vec<Vec<&str>> = list.lines().map(|line| line.split_whitespace().collect()).collect();
    for row in [
        ["AUTH0_DOMAIN", "acme.eu.auth0.com", "environment"],
        ["EXTENSION_SECRET", "(set)", "environment"],
        ["ARTIFACT_TTL", "7d", "default"],
    ] {
        assert!(rows.iter().any(|other| *other == row), "{row:?} is not in {text}");
    }
    assert!(!text.contains("8d3f1c6b"), "a secret is shown: {text}");
}

#[test]
fn a_dry_run_needs_no_tenant_and_reports_row_errors_in_its_exit_status() {
    let directory = TempDir::new().unwrap();
    let write = |name: &str, rows: &[Value]| {
        std::fs::write(directory.path().join(name), ndjson(rows)).unwrap();
    };
    let mut rows = good_users(40);
    write("good.ndjson", &rows);
    let good = run(directory.path(), &["import", "good.ndjson", "--dry-run"], &[]);
    assert_eq!(status(&good), 0, "{}", errors(&good));

    rows.insert(10, serde_json::json!({ "name": "without an address" }));
    write("bad.ndjson", &rows);
    let arguments = ["import", "bad.ndjson", "--dry-run", "--report", "faults.ndjson"];
    let bad = run(directory.path(), &arguments, &[]);
    assert_eq!(status(&bad), 1, "{}", errors(&bad));
    let report = std::fs::read_to_string(directory.path().join("faults.ndjson")).unwrap();
    let faults = report.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let faults: Vec<Value> = faults.filter(|fault| fault["severity"] == "error").collect();
    assert_eq!(faults.len(), 1);
    assert_eq!((faults[0]["line"].as_u64(), faults[0]["row"].as_u64()), (Some(11), Some(11)));

    let missing = run(directory.path(), &["import", "missing.json", "--dry-run"], &[]);
    assert_eq!(status(&missing), 2, "{}", errors(&missing));
    let unknown = run(directory.path(), &["import", "good.ndjson", "--dry-run", "--no-such-option"], &[]);
    assert_eq!(status(&unknown), 2);
}

/// Starts a tenant and returns it with the settings for the command line.
async fn tenant(users: u64) -> (Tenant, [(&'static str, String); 3]) {
    let tenant = Tenant::start(TenantSettings { users, ..TenantSettings::default() }).await.expect("a tenant");
    let settings = [
        ("AUTH0_DOMAIN", tenant.url()),
        ("AUTH0_CLIENT_ID", tenant.client_id().to_owned()),
        ("AUTH0_CLIENT_SECRET", tenant.client_secret().to_owned()),
    ];
    (tenant, settings)
}

fn pairs<'a>(settings: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    settings.iter().map(|(key, value)| (*key, value.as_str())).collect()
}

#[test]
fn export_from_a_compressed_file_computes_every_column() {
    let directory = TempDir::new().unwrap();
    let users: Vec<Value> = (0..300).map(|index| serde_json::from_str(&export_user(index, 7)).unwrap()).collect();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    for user in &users {
        writeln!(gzip, "{user}").unwrap();
    }
    std::fs::write(directory.path().join("users.ndjson.gz"), gzip.finish().unwrap()).unwrap();

    let arguments = ["export", "--from", "users.ndjson.gz", "--defaults", "--format", "csv", "--output", "out.csv"];
    let column = ["--column", "user.app_metadata.name || user.name=Display"];
    let output = run(directory.path(), &[&arguments[..], &column[..]].concat(), &[]);
    assert_eq!(status(&output), 0, "{}", errors(&output));

    let mut reader = csv::Reader::from_path(directory.path().join("out.csv")).unwrap();
    assert_eq!(reader.headers().unwrap().iter().next_back(), Some("Display"));
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), users.len());
    for (row, user) in rows.iter().zip(&users) {
        assert_eq!(row.get(0), user["user_id"].as_str());
        let non_empty = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let last = non_empty(&user["app_metadata"]["name"]).or_else(|| user["name"].as_str().map(str::to_owned));
        let last = last.unwrap_or_default();
        // Cells that a spreadsheet would run as a formula are escaped (docs/decisions/0018-csv-cells.md).
        let is_formula = last.starts_with(['=', '+', '-', '@', '\t', '\r']);
        assert_eq!(row[11], if is_formula { format!("'{last}") } else { last }, "{user}");
    }
}

#[tokio::test]
async fn export_reads_every_user_of_a_tenant() {
    let directory = TempDir::new().unwrap();
    let (tenant, settings) = tenant(1500).await;
    let output = run(directory.path(), &["export", "--format", "ndjson"], &pairs(&settings));
    assert_eq!(status(&output), 0, "{}", errors(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let ids: BTreeSet<String> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["user_id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), text.lines().count(), "a user is exported twice");
    assert_eq!(ids.len() as u64, tenant.control().user_count());
    assert_eq!(tenant.control().violations(), Vec::<String>::new());
}

#[tokio::test]
async fn an_invalid_export_fails_with_the_reason() {
    let directory = TempDir::new().unwrap();
    let (_tenant, settings) = tenant(1).await;
    let unknown = run(directory.path(), &["export", "--connection", "Nowhere"], &pairs(&settings));
    assert_eq!(status(&unknown), 2, "{}", errors(&unknown));
    assert!(errors(&unknown).contains("Nowhere"), "{}", errors(&unknown));

    let expression = run(directory.path(), &["export", "--column", "user.(name=Name"], &pairs(&settings));
    assert_eq!(status(&expression), 2, "{}", errors(&expression));
    assert!(errors(&expression).contains('^'), "the position is not marked: {}", errors(&expression));

    let mut wrong = pairs(&settings);
    wrong[2].1 = "another secret";
    let refused = run(directory.path(), &["export"], &wrong);
    assert_eq!(status(&refused), 3, "{}", errors(&refused));
    assert!(!errors(&refused).contains("another secret"));
}

#[tokio::test]
async fn an_import_creates_users_and_reports_failed_rows_in_its_exit_status() {
    let directory = TempDir::new().unwrap();
    let (tenant, settings) = tenant(5).await;
    let before = tenant.control().user_count();
    let rows = good_users(60);
    let text = serde_json::to_string(&rows).unwrap();
    std::fs::write(directory.path().join("users.json"), text).unwrap();
    let arguments = ["import", "users.json", "--connection", "Username-Password-Authentication"];

    let first = run(directory.path(), &arguments, &pairs(&settings));
    assert_eq!(status(&first), 0, "{}", errors(&first));
    assert_eq!(tenant.control().user_count(), before + 60);
    for row in &rows {
        let email = row["email"].as_str().unwrap();
        assert!(tenant.control().user_by_email(email).is_some(), "{email} was not imported");
    }

    // A second import fails for every row, because the users exist.
    let report = [&arguments[..], &["--report", "faults.ndjson"]].concat();
    let second = run(directory.path(), &report, &pairs(&settings));
    assert_eq!(status(&second), 1, "{}", errors(&second));
    assert_eq!(tenant.control().user_count(), before + 60);
    let faults = std::fs::read_to_string(directory.path().join("faults.ndjson")).unwrap();
    let failed = faults.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    assert_eq!(failed.filter(|fault| fault["severity"] == "error").count(), 60);

    let unknown = run(directory.path(), &["import", "users.json", "--connection", "Nowhere"], &pairs(&settings));
    assert_eq!(status(&unknown), 2, "{}", errors(&unknown));
    assert_eq!(tenant.control().violations(), Vec::<String>::new());
}

#[test]
fn files_in_other_encodings_and_shapes_are_read() {
    let directory = TempDir::new().unwrap();
    let write = |name: &str, content: &[u8]| std::fs::write(directory.path().join(name), content).unwrap();
    write(
        "sjis.csv",
        b"email,name\nada@example.com,\x8d\x82\x8b\xb4 \x89\xd4\x8e\x71\nbob@example.com,\x95\x5c\x8e\xa6\n",
    );
    write("users.json", b"{\"start\": 0, \"users\": [{\"email\": \"ada@example.com\"}], \"total\": 1}\n");
    write("pretty.json", b"{\n  \"email\": \"ada@example.com\"\n}\n{\n  \"email\": \"bob@example.com\"\n}\n");
    write("people.ldif", b"version: 1\n\ndn: uid=ada\nemail: ada@example.com\n");
    write("nested.json", b"[[{\"email\":\"ada@example.com\"}]]");
    write("bare.csv", b"L1,ada@example.com,aGFzaA==,c2FsdA==\n");

    let guessed = run(directory.path(), &["import", "sjis.csv", "--chunks", "parts"], &[]);
    assert_eq!(status(&guessed), 0, "{}", errors(&guessed));
    let text = String::from_utf8_lossy(&guessed.stdout) + String::from_utf8_lossy(&guessed.stderr);
    assert!(text.contains("read as Shift_JIS. Compare: name in line 2 contains \"高橋\""), "{text}");
    let sent = std::fs::read_to_string(directory.path().join("parts/000001.json")).unwrap();
    assert!(sent.contains("高橋 花子") && sent.contains("表示"), "{sent}");
    let named = run(directory.path(), &["import", "sjis.csv", "--dry-run", "--encoding", "cp932"], &[]);
    assert!(String::from_utf8_lossy(&named.stdout).contains("0 warnings"), "{}", errors(&named));
    let unknown = run(directory.path(), &["import", "sjis.csv", "--dry-run", "--encoding", "shift"], &[]);
    assert_eq!((status(&unknown), errors(&unknown).contains("Shift_JIS")), (2, true), "{}", errors(&unknown));

    for file in ["sjis.csv", "users.json", "pretty.json"] {
        let output = run(directory.path(), &["export", "--from", file, "--column", "email", "--format", "csv"], &[]);
        assert_eq!(status(&output), 0, "{file}: {}", errors(&output));
        assert!(String::from_utf8_lossy(&output.stdout).starts_with("email\nada@example.com\n"), "{file}");
    }
    for file in ["users.json", "pretty.json"] {
        let output = run(directory.path(), &["import", file, "--dry-run"], &[]);
        assert_eq!(status(&output), 0, "{file}: {}", errors(&output));
    }
    let people = ["import", "people.ldif", "--dry-run", "--map", "null=dn"];
    assert_eq!(status(&run(directory.path(), &people, &[])), 0);

    let nested = run(directory.path(), &["import", "nested.json", "--dry-run"], &[]);
    assert_eq!((status(&nested), errors(&nested).contains("jq -s 'add'")), (2, true), "{}", errors(&nested));
    let bare = run(directory.path(), &["import", "bare.csv", "--dry-run"], &[]);
    assert_eq!((status(&bare), errors(&bare).contains("looks like a user")), (2, true), "{}", errors(&bare));
    assert!(!errors(&bare).contains("aGFzaA"), "{}", errors(&bare));
}

#[tokio::test]
async fn a_file_that_cannot_be_read_leaves_no_job() {
    let directory = TempDir::new().unwrap();
    let (tenant, settings) = tenant(1).await;
    std::fs::write(directory.path().join("users.json"), "[{\"email\":\"a@b.c\"}, {\"email\"").unwrap();
    let arguments = ["import", "users.json", "--connection", "Username-Password-Authentication"];
    let refused = run(directory.path(), &arguments, &pairs(&settings));
    assert_eq!(status(&refused), 2, "{}", errors(&refused));
    assert!(!errors(&refused).contains("--resume"), "there is nothing to resume: {}", errors(&refused));
    let jobs = std::fs::read_dir(directory.path().join("data/jobs")).unwrap();
    assert_eq!(jobs.count(), 0, "the files of a job that was never created are removed");
    assert_eq!(tenant.control().violations(), Vec::<String>::new());
}

#[tokio::test]
async fn failed_rows_of_a_csv_file_are_written_corrected_and_imported_again() {
    let directory = TempDir::new().unwrap();
    let (tenant, settings) = tenant(1).await;
    // The format of Excel in western Europe.
    std::fs::write(
        directory.path().join("staff.csv"),
        b"Mail;Vorname\r\nada@example.com;Ren\xE9e\r\nno-address;Bob\r\n",
    )
    .unwrap();
    let arguments = [
        "import",
        "staff.csv",
        "--connection",
        "Username-Password-Authentication",
        "--map",
        "Mail=email",
        "--map",
        "Vorname=given_name",
        "--failed",
        "failed.csv",
    ];
    let first = run(directory.path(), &arguments, &pairs(&settings));
    assert_eq!(status(&first), 1, "{}", errors(&first));
    let text = String::from_utf8_lossy(&first.stdout).into_owned();
    assert!(text.contains("read as CSV separated by semicolons, in windows-1252."), "{text}");
    assert_eq!(tenant.control().user_by_email("ada@example.com").unwrap()["given_name"], "Ren\u{e9}e");
    let failed = std::fs::read_to_string(directory.path().join("failed.csv")).unwrap();
    assert_eq!(failed, "Mail;Vorname\nno-address;Bob\n");

    std::fs::write(directory.path().join("failed.csv"), failed.replace("no-address", "bob@example.com")).unwrap();
    let job = errors(&first).lines().find_map(|line| line.strip_prefix("Import ").map(str::to_owned)).unwrap();
    let again = run(directory.path(), &["import", "failed.csv", "--retry", &job], &pairs(&settings));
    assert_eq!(status(&again), 0, "{}", errors(&again));
    assert_eq!(tenant.control().user_by_email("bob@example.com").unwrap()["given_name"], "Bob");
    assert_eq!(tenant.control().violations(), Vec::<String>::new());
}

#[tokio::test]
async fn a_dry_run_can_look_up_users_and_an_upsert_can_back_them_up() {
    let directory = TempDir::new().unwrap();
    let (tenant, settings) = tenant(1).await;
    let rows = good_users(6);
    std::fs::write(directory.path().join("few.json"), serde_json::to_string(&rows[..4]).unwrap()).unwrap();
    std::fs::write(directory.path().join("users.json"), serde_json::to_string(&rows).unwrap()).unwrap();
    let with = |arguments: &[&str]| {
        let all = [&["import", "--connection", "Username-Password-Authentication"], arguments].concat();
        run(directory.path(), &all, &pairs(&settings))
    };
    assert_eq!(status(&with(&["few.json"])), 0);
    let looked = with(&["users.json", "--dry-run", "--look-up"]);
    assert_eq!(status(&looked), 0, "{}", errors(&looked));
    let text = String::from_utf8_lossy(&looked.stdout).into_owned();
    assert!(text.contains("2 to insert, 0 to update, 4 to reject"), "{text}");
    assert!(errors(&looked).contains("one by one by their e-mail addresses"), "{}", errors(&looked));

    let upsert = with(&["users.json", "--upsert", "--backup", "before.json"]);
    assert_eq!(status(&upsert), 0, "{}", errors(&upsert));
    let backup = std::fs::read_to_string(directory.path().join("before.json")).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Value>>(&backup).unwrap().len(), 4);
    let back = with(&["before.json", "--upsert"]);
    assert_eq!(status(&back), 0, "{}", errors(&back));
    assert_eq!(status(&with(&["users.json", "--look-up"])), 2, "a look-up is part of a dry run");
    assert_eq!(tenant.control().violations(), Vec::<String>::new());
}

#[tokio::test]
async fn what_an_upsert_does_is_said_on_standard_error_and_no_secret_is_printed() {
    let directory = TempDir::new().unwrap();
    let (_tenant, settings) = tenant(0).await;
    let users = r#"{"email":"ada@example.com","blocked":true,"user_metadata":{"a":1}}
{"email":"bob@example.com","user_id":"google-oauth2|7"}
{"email":"eve@example.com","pwd":"5ebe2294ecd0e0f08eab7690d2a6ee69","Passwort":"S3cret!pass"}
"#;
    std::fs::write(directory.path().join("users.ndjson"), users).unwrap();
    for arguments in [
        ["import", "users.ndjson", "--upsert", "--dry-run", "--report", "report.ndjson"].as_slice(),
        &["import", "users.ndjson", "--upsert", "--connection", "Username-Password-Authentication"],
    ] {
        let output = run(directory.path(), arguments, &pairs(&settings));
        assert_eq!(status(&output), 1, "{}", errors(&output));
        let text = errors(&output);
        for part in [
            "An upsert never changes blocked of users who exist; 1 row has it.",
            "An upsert replaces user_metadata of users who exist and does not merge it; 1 row has it.",
            "1 user is of another provider (google-oauth2)",
            "--query 'NOT user_id:google-oauth2|*'",
        ] {
            assert_eq!(text.matches(part).count(), 1, "{part}: {text}");
        }
        let printed = String::from_utf8_lossy(&output.stdout).into_owned() + &text;
        assert!(printed.contains("Passwords are imported as hashes only"), "{printed}");
        let report = std::fs::read_to_string(directory.path().join("report.ndjson")).unwrap();
        for secret in ["5ebe2294ecd0e0f08eab7690d2a6ee69", "S3cret!pass"] {
            assert!(!printed.contains(secret) && !report.contains(secret), "{printed} {report}");
        }
    }
}

#[tokio::test]
async fn users_exported_with_the_import_preset_are_identical_after_an_import() {
    let directory = TempDir::new().unwrap();
    let (from, source) = tenant(400).await;
    let (to, target) = tenant(0).await;
    let connection = "Username-Password-Authentication";
    let arguments = ["export", "--preset", "import", "--connection", connection, "--output", "users.json"];
    let exported = run(directory.path(), &arguments, &pairs(&source));
    let text = std::fs::read_to_string(directory.path().join("users.json")).unwrap();
    let users: Vec<Value> = serde_json::from_str(&text).unwrap();
    // Users without an e-mail address cannot be imported; they are counted.
    assert_eq!(status(&exported), 1, "{}", errors(&exported));
    assert!(users.len() > 150, "about half of the users are in the database: {}", users.len());

    // The target has the same users who can sign in, so importing those fails.
    let id = |user: &Value| format!("auth0|{}", user["user_id"].as_str().unwrap());
    let exists = |user: &Value| to.control().user(&id(user)).is_some();
    let expected: BTreeSet<u64> = (1..).zip(&users).filter(|(_, user)| exists(user)).map(|(row, _)| row).collect();

    let arguments = ["import", "users.json", "--connection", connection, "--report", "faults.ndjson"];
    let imported = run(directory.path(), &arguments, &pairs(&target));
    let faults = std::fs::read_to_string(directory.path().join("faults.ndjson")).unwrap();
    let failed: BTreeSet<u64> = faults
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|fault| fault["severity"] == "error")
        .map(|fault| fault["row"].as_u64().unwrap())
        .collect();
    assert_eq!(failed, expected, "{faults}");
    assert_eq!(status(&imported), 1, "{}", errors(&imported));
    for user in &users {
        let id = id(user);
        let before = from.control().user(&id).unwrap_or_else(|| panic!("{id} does not exist"));
        let after = to.control().user(&id).unwrap_or_else(|| panic!("{id} was not imported"));
        for name in ["user_id", "email", "email_verified", "phone_number", "phone_verified", "username", "blocked"] {
            assert_eq!(after.get(name), before.get(name), "{name} of {id}");
        }
        for name in ["app_metadata", "user_metadata", "given_name", "family_name"] {
            let non_empty = |user: &Value| user.get(name).filter(|value| !value.is_null() && *value != "").cloned();
            assert_eq!(non_empty(&after), non_empty(&before), "{name} of {id}");
        }
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_full_disk_fails_an_import_before_anything_is_sent() {
    let directory = TempDir::new().unwrap();
    let (tenant, settings) = tenant(1).await;
    let before = tenant.control().user_count();
    let users = ndjson(&good_users(30_000));
    std::fs::write(directory.path().join("users.ndjson"), users).unwrap();
    // Limit files to 256 KiB, which has the same effect as a full disk.
    let limited = |arguments: &str| {
        let binary = end_to_end::binary().display().to_string();
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("trap '' XFSZ; ulimit -f 512; exec {binary} {arguments}")]);
        shell.current_dir(directory.path()).env("DATA_DIR", directory.path().join("data"));
        shell.envs(pairs(&settings)).output().expect("a shell")
    };
    let output = limited("import users.ndjson --connection Username-Password-Authentication");
    assert_eq!(status(&output), 3, "{}", errors(&output));
    assert!(
        errors(&output).contains("disk_full") || errors(&output).to_lowercase().contains("space"),
        "{}",
        errors(&output)
    );
    assert_eq!(tenant.control().user_count(), before);
    let output = limited("import users.ndjson --dry-run --chunks parts");
    assert_eq!(status(&output), 3, "{}", errors(&output));
}
