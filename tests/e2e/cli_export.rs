//! The `export` command: input formats and options.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Output, Stdio};

use end_to_end::{command, poll};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use simulated_tenant::generate::export_user;
use tempfile::TempDir;

const USERS: u64 = 500;

/// A directory with the same users in every file format.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let users: Vec<String> = (0..USERS).map(|index| export_user(index, 3)).collect();
        let lines = users.join("\n");
        let array = format!("[{}\n]", users.join(",\n"));
        let files = Self(directory);
        files.write("users.ndjson", lines.as_bytes());
        files.write("users.json", array.as_bytes());
        // The format is detected by the content, not by the file name.
        files.write("lines", &gzip(lines.as_bytes()));
        files.write("array.txt", &gzip(array.as_bytes()));
        files.write("marked.ndjson", format!("\u{feff}{}\r\n", users.join("\r\n")).as_bytes());
        let utf16: Vec<u8> = format!("\u{feff}{array}").encode_utf16().flat_map(u16::to_le_bytes).collect();
        files.write("utf16.json", &utf16);
        files
    }

    fn write(&self, name: &str, content: &[u8]) {
        std::fs::write(self.path().join(name), content).unwrap();
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        command(self.path()).arg("export").args(arguments).output().expect("the binary runs")
    }

    /// Runs an export that must succeed without output on standard error. Returns standard output.
    fn export(&self, arguments: &[&str]) -> Vec<u8> {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), said.as_ref()), (Some(0), ""), "{arguments:?}");
        output.stdout
    }

    fn text(&self, arguments: &[&str]) -> String {
        String::from_utf8(self.export(arguments)).unwrap()
    }

    /// Runs an export and returns its exit status and standard error.
    fn run_failing(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.run(arguments);
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut plain).unwrap();
    plain
}

#[test]
fn every_file_format_and_standard_input_give_the_same_output() {
    let files = Files::new();
    let options = ["--column", "user_id", "--column", "user.app_metadata.name || user.name=Name"];
    let expected = files.export(&[&["--from", "users.ndjson"][..], &options].concat());
    assert_eq!(csv::Reader::from_reader(&expected[..]).records().count() as u64, USERS);
    for name in ["users.json", "lines", "array.txt", "marked.ndjson", "utf16.json"] {
        assert!(files.export(&[&["--from", name][..], &options].concat()) == expected, "{name}");
        let mut child = command(files.path())
            .args(["export", "--from", "-"])
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        let content = std::fs::read(files.path().join(name)).unwrap();
        let writing = std::thread::spawn(move || input.write_all(&content).unwrap());
        let output = child.wait_with_output().unwrap();
        writing.join().unwrap();
        assert!(output.status.success() && output.stdout == expected && output.stderr.is_empty(), "{name} as input");
    }
}

#[test]
fn several_files_are_exported_in_order() {
    let files = Files::new();
    let columns = ["--column", "user_id", "--column", "email"];
    let one = files.text(&[&["--from", "users.ndjson"][..], &columns].concat());
    // A CSV file with the names of attributes, written by this program, has the same cells.
    files.write("users.csv", one.as_bytes());
    let several = ["--from", "array.txt", "--from", "users.csv", "--from", "users.ndjson"];
    let rows = one.split_once('\n').unwrap().1;
    assert!(files.text(&[&several[..], &columns].concat()) == format!("{one}{rows}{rows}"));

    files.write("faulty.csv", b"user_id,email\n1\n2,b@b.c\n");
    let faulty = files.run(&["--from", "lines", "--from", "faulty.csv", "--column", "user_id"]);
    let said = String::from_utf8_lossy(&faulty.stderr);
    assert!(said.contains("faulty.csv, line 2: the row has 1 cell; the header has 2"), "{said}");
}

#[test]
fn columns_take_json_literals_and_unexpected_ones_get_a_remark() {
    let files = Files::new();
    files.write(
        "ada.ndjson",
        br#"{"email":"ada@example.com","given_name":"Ada","plan":"p","last_login":"2026-11-20T10:00:00.000Z"}"#,
    );
    let from = ["--from", "ada.ndjson"];
    let columns = [
        ["--column", r#"lookup(user.plan, {"p": "a=b", "f": "}="})=Plan"#],
        ["--column", r#"join([user.given_name, title_case("LOVELACE")], "=")=Name"#],
        ["--column", r#"format_date(user.last_login, "%d.%m.%Y %H:%M", "Europe/Berlin")=Login"#],
    ];
    let text = files.text(&[&from[..], columns.as_flattened()].concat());
    assert_eq!(text, "Plan,Name,Login\na=b,Ada=Lovelace,20.11.2026 11:00\n");

    let columns = ["--column", "user.emial", "--column", "user.roles", "--column", "plan", "--column"];
    let login = [r#"new Date(user.last_login).toLocaleString("de-DE", {timeZone: "Europe/Berlin"})=Login"#];
    let arguments = [&from[..], &columns, &login].concat();
    let output = files.run(&arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let remarks: Vec<&str> = said.lines().collect();
    assert_eq!((output.status.code(), remarks.len()), (Some(0), 3), "{said}");
    for (remark, part) in
        remarks.iter().zip(["Did you mean user.email?", "`roles` is not part of", "use format_date(user."])
    {
        assert!(remark.starts_with("remark: ") && remark.contains(part), "{said}");
    }
    let plan = String::from_utf8(files.run(&[&arguments[..], &["--explain"]].concat()).stdout).unwrap();
    assert_eq!(plan.matches("Remark").count(), 3, "{plan}");
}

#[test]
fn output_options_are_applied() {
    let files = Files::new();
    let from = |options: &[&str]| files.export(&[&["--from", "users.ndjson"][..], options].concat());
    let plain = from(&["--column", "user_id=Id", "--column", "email"]);
    let text = String::from_utf8(plain.clone()).unwrap();
    assert!(text.starts_with("Id,email\n"), "{}", &text[..50]);

    let limited = from(&["--column", "user_id=Id", "--column", "email", "--limit", "7"]);
    assert!(plain.starts_with(&limited) && limited.ends_with(b"\n"));
    assert_eq!(String::from_utf8(limited).unwrap().lines().count(), 8);
    assert!(gunzip(&from(&["--column", "user_id=Id", "--column", "email", "--gzip"])) == plain);
    let marked = from(&["--column", "user_id=Id", "--column", "email", "--bom"]);
    assert!(marked.strip_prefix("\u{feff}".as_bytes()) == Some(plain.as_slice()));
    for delimiter in [";", "|", "\\t", "tab"] {
        let separated = from(&["--column", "user_id=Id", "--column", "email_verified", "--delimiter", delimiter]);
        let wanted = if matches!(delimiter, "\\t" | "tab") { b'\t' } else { delimiter.as_bytes()[0] };
        let mut reader = csv::ReaderBuilder::new().delimiter(wanted).from_reader(separated.as_slice());
        assert_eq!(reader.headers().unwrap(), vec!["Id", "email_verified"]);
        assert_eq!(reader.records().filter(|row| row.as_ref().unwrap().len() == 2).count() as u64, USERS);
    }
    for threads in ["1", "5"] {
        assert!(from(&["--column", "user_id=Id", "--column", "email", "--threads", threads]) == plain, "{threads}");
    }

    let whole = String::from_utf8(from(&["--format", "ndjson"])).unwrap();
    for (index, line) in whole.lines().enumerate() {
        let wanted: Value = serde_json::from_str(&export_user(index as u64, 3)).unwrap();
        assert_eq!(serde_json::from_str::<Value>(line).unwrap(), wanted);
    }
    let array: Vec<Value> = serde_json::from_slice(&from(&["--format", "json"])).unwrap();
    assert_eq!(array.len() as u64, USERS);

    // The extension of the output sets format and compression.
    assert!(
        files
            .export(&["--from", "lines", "--column", "user_id=Id", "--column", "email", "--output", "out.csv.gz"])
            .is_empty()
    );
    assert!(gunzip(&std::fs::read(files.path().join("out.csv.gz")).unwrap()) == plain);
}

#[test]
fn formulas_are_escaped_unless_raw_cells_is_set() {
    let files = Files::new();
    files.write("formula.json", br#"[{"user_id":"1","name":"=1+1"},{"user_id":"2","name":"plain"}]"#);
    let options = ["--from", "formula.json", "--column", "name"];
    assert_eq!(files.text(&options), "name\n'=1+1\nplain\n");
    assert_eq!(files.text(&[&options[..], &["--raw-cells"]].concat()), "name\n=1+1\nplain\n");
}

#[test]
fn sorting_on_disk_and_in_memory_gives_the_same_output() {
    let directory = TempDir::new().unwrap();
    let mut users = String::new();
    for index in 0..4000 {
        writeln!(users, "{}", export_user(index, 5)).unwrap();
    }
    std::fs::write(directory.path().join("many.ndjson"), users).unwrap();
    let sorted = |options: &[&str]| {
        let usual = ["export", "--from", "many.ndjson", "--format", "ndjson", "--sort", "user.family_name"];
        let output = command(directory.path()).args(usual).args(options).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let whole = sorted(&[]);
    assert!(whole.len() > 4 << 20, "larger than the minimum of --sort-memory");
    assert!(sorted(&["--sort-memory", "1MiB"]) == whole);
    assert!(sorted(&["--sort-memory", "1MiB", "--threads", "3"]) == whole);
    let descending = sorted(&["--descending", "--sort-memory", "1MiB"]);
    let names = |bytes: &[u8]| -> Vec<String> {
        let lines = std::str::from_utf8(bytes).unwrap().lines();
        lines
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter_map(|user| user["family_name"].as_str().map(str::to_owned))
            .collect()
    };
    assert!(names(&whole).is_sorted() && names(&descending).is_sorted_by(|a, b| a >= b));
    assert_eq!(names(&whole).len(), names(&descending).len());
}

#[test]
fn the_import_preset_gives_an_importable_file() {
    let files = Files::new();
    let query = "_exists_:email";
    let exported = files.export(&["--from", "users.ndjson", "--preset", "import", "--query", query]);
    files.write("again.json", &exported);
    let users: Vec<Value> = serde_json::from_slice(&exported).unwrap();
    assert!(!users.is_empty());
    assert!(users.iter().all(|user| user.get("created_at").is_none() && user["email"].is_string()));
    assert!(users.iter().all(|user| user["user_id"].as_str().is_none_or(|id| !id.starts_with("auth0|"))));
    let output = command(files.path()).args(["import", "again.json", "--dry-run"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn explain_shows_the_plan_and_writes_nothing() {
    let files = Files::new();
    let plan = files.text(&[
        "--from",
        "users.ndjson",
        "--query",
        "logins_count:[5 TO *]",
        "--sort",
        "email",
        "--limit",
        "9",
        "--explain",
        "--output",
        "never.csv",
    ]);
    for expected in [
        "Source:     the file, read once from its start to its end",
        "Filter:     logins_count:[5 TO *] (here)",
        "Sort:       by email, ascending (here)",
        "Limit:      9 users (here)",
    ] {
        assert!(plan.lines().any(|line| line == expected), "{expected}: {plan}");
    }
    assert!(!files.path().join("never.csv").exists());
}

#[test]
fn queries_filter_files_and_invalid_ones_show_the_position() {
    let files = Files::new();
    let verified = files.text(&["--from", "lines", "--query", "email_verified:true", "--column", "email_verified"]);
    assert!(verified.lines().count() > 50 && verified.lines().skip(1).all(|line| line == "true"));
    for (query, expected) in [
        ("email:(ada OR", "Add the missing )"),
        ("logins_count:[1 TO", "expected"),
        ("name:ada~", "~"),
        ("ada", "field"),
        ("logins_count:>=5", "[x TO *]"),
    ] {
        let (status, said) = files.run_failing(&["--from", "lines", "--query", query]);
        assert_eq!(status, 2, "{query}: {said}");
        assert!(said.contains('^') && said.contains(expected), "{query}: {said}");
    }
}

#[test]
fn exit_statuses_distinguish_success_row_errors_wrong_usage_and_failure() {
    let files = Files::new();
    files.write("faulty.ndjson", b"{\"user_id\":\"1\"}\nnonsense\n{\"user_id\":\"2\"}\n");
    files.write("cut.gz", &gzip(export_user(1, 1).repeat(500).as_bytes())[..2000]);

    let faulty = files.run(&["--from", "faulty.ndjson", "--column", "user_id"]);
    assert_eq!(faulty.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&faulty.stdout), "user_id\n1\n2\n");
    let said = String::from_utf8_lossy(&faulty.stderr);
    assert!(said.contains("line 2") && said.contains("1 user could not be exported; 2 were written."), "{said}");

    let (status, said) = files.run_failing(&["--from", "faulty.ndjson", "--column", "user_id", "--on-error", "fail"]);
    assert!(status == 3 && said.contains("line 2"), "{status} {said}");
    let arguments = ["--from", "faulty.ndjson", "--on-error", "fail", "--format", "json", "--output", "never.json"];
    assert_eq!(files.run_failing(&arguments).0, 3);
    assert!(!files.path().join("never.json").exists(), "an incomplete file was left");

    for wrong in [
        &["--from", "missing.json"][..],
        &["--from", "."],
        &["--from", "cut.gz"],
        &["--from", "lines", "--from", "missing.json"],
        &["--from", "-", "--from", "-"],
        &["--from", "lines", "--limit", "0"],
        &["--from", "lines", "--delimiter", "ab"],
        &["--from", "lines", "--format", "json", "--bom"],
        &["--from", "lines", "--descending"],
        &["--from", "lines", "--threads", "0"],
        &["--from", "lines", "--sort-memory", "1KiB", "--sort", "email"],
        &["--from", "lines", "--column", "user.=x"],
        &["--from", "lines", "--preset", "import", "--format", "csv"],
        &["--from", "lines", "--no-such-option"],
        &["--from", "lines", "--output", "."],
    ] {
        let (status, said) = files.run_failing(wrong);
        assert!(status == 2 && !said.is_empty(), "{wrong:?}: {status} {said}");
    }
    assert_eq!(files.run_failing(&["--from", "lines", "--output", "no/such/directory.csv"]).0, 3);
}

#[test]
fn an_existing_pipe_or_link_is_written_to_and_not_replaced() {
    use std::os::unix::fs::{FileTypeExt, symlink};
    let files = Files::new();
    let options = ["--from", "users.ndjson", "--column", "user_id"];
    let expected = files.export(&options);

    let pipe = files.path().join("pipe");
    let created = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs");
    assert!(created.success());
    let reading = std::thread::spawn({
        let pipe = pipe.clone();
        move || std::fs::read(pipe).unwrap()
    });
    assert_eq!(files.export(&[&options[..], &["--output", "pipe"]].concat()), b"");
    assert!(reading.join().unwrap() == expected);
    assert!(pipe.symlink_metadata().unwrap().file_type().is_fifo());

    std::fs::create_dir(files.path().join("target")).unwrap();
    files.write("target/users.csv", b"old");
    symlink("target/users.csv", files.path().join("link.csv")).unwrap();
    files.export(&[&options[..], &["--output", "link.csv"]].concat());
    assert!(files.path().join("link.csv").is_symlink());
    assert!(std::fs::read(files.path().join("target/users.csv")).unwrap() == expected);
}

#[test]
fn a_closed_standard_output_is_not_an_error() {
    let directory = TempDir::new().unwrap();
    let mut users = String::new();
    for index in 0..5000 {
        writeln!(users, "{}", export_user(index, 5)).unwrap();
    }
    std::fs::write(directory.path().join("many.ndjson"), users).unwrap();
    let mut child = command(directory.path())
        .args(["export", "--from", "many.ndjson", "--format", "ndjson"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut start = [0; 100];
    child.stdout.take().unwrap().read_exact(&mut start).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

/// Starts an export that waits for its standard input, and interrupts it.
async fn interrupted_export(directory: &Path) -> Child {
    let mut child = command(directory)
        .args(["export", "--from", "-", "--output", "out.csv"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A signal before the program catches it would end the process.
    let status = format!("/proc/{}/status", child.id());
    poll(async || {
        let status = std::fs::read_to_string(&status).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        let caught = u64::from_str_radix(caught.trim(), 16).unwrap();
        // Bit 0 is signal 1.
        if caught & (1 << (Signal::INT.as_raw() - 1)) == 0 { Err("the signal is not caught") } else { Ok(()) }
    })
    .await;
    interrupt(&child);
    let mut line = String::new();
    BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "Canceling …\n");
    child
}

fn interrupt(child: &Child) {
    kill_process(Pid::from_child(child), Signal::INT).unwrap();
}

#[tokio::test]
async fn an_interrupted_export_ends_at_the_next_user_and_leaves_no_file() {
    let files = Files::new();
    let mut child = interrupted_export(files.path()).await;
    let mut input = child.stdin.take().unwrap();
    writeln!(input, "{}", export_user(1, 3)).unwrap();
    drop(input);
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(3), "{status}");
    assert!(!files.path().join("out.csv").exists());
}

#[tokio::test]
async fn a_second_interrupt_ends_a_waiting_export_at_once_and_leaves_no_file() {
    let files = Files::new();
    let mut child = interrupted_export(files.path()).await;
    // The program misses a signal that arrives while it handles the one before.
    let status = poll(async || {
        interrupt(&child);
        child.try_wait().unwrap().ok_or("the export does not end")
    })
    .await;
    assert_eq!(status.code(), Some(130), "{status}");
    assert!(!files.path().join("out.csv").exists());
}
