//! The command line (design, section 3): what it prints, and its exit statuses.

use std::path::Path;
use std::process::{Command, Output};

use end_to_end::command;
use serde_json::Value;
use tempfile::TempDir;

use crate::people::good_users;

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
fn validate_config_names_every_wrong_setting_and_hides_secrets() {
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
fn validate_config_accepts_settings_that_are_complete() {
    let directory = TempDir::new().unwrap();
    let settings = [("AUTH0_DOMAIN", "acme.eu.auth0.com"), ("EXTENSION_SECRET", "0123456789abcdef0123456789abcdef")];
    let output = run(directory.path(), &["validate-config"], &settings);
    assert_eq!(status(&output), 0, "{}", errors(&output));
}

#[test]
fn a_dry_run_needs_no_tenant_and_tells_faults_by_its_exit_status() {
    let directory = TempDir::new().unwrap();
    let write = |name: &str, rows: &[Value]| {
        let text = rows.iter().map(|row| format!("{row}\n")).collect::<String>();
        std::fs::write(directory.path().join(name), text).unwrap();
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

    let missing = run(directory.path(), &["import", "nowhere.json", "--dry-run"], &[]);
    assert_eq!(status(&missing), 2, "{}", errors(&missing));
    let unknown = run(directory.path(), &["import", "good.ndjson", "--dry-run", "--no-such-option"], &[]);
    assert_eq!(status(&unknown), 2);
}
