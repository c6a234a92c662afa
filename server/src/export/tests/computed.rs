//! Columns that compute, through the whole pipeline.

use std::path::Path as FilePath;

use super::*;
use crate::config::{Purpose, Settings};
use crate::expression::Tools;
use crate::sandbox::Sandbox;

pub(super) fn tools() -> Tools {
    let data_dir = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("../target/tmp");
    std::fs::create_dir_all(&data_dir).unwrap();
    let variables = [("DATA_DIR".to_owned(), data_dir.display().to_string())];
    let settings = Settings::parse(Purpose::Local, variables, None).unwrap();
    Tools::new(&Sandbox::open(&settings).unwrap(), &settings.secrets)
}

fn computed(request: &ExportRequest, input: impl Into<Vec<u8>>) -> Result<(String, ExportSummary)> {
    let spec = ExportSpec::with_tools(request, MEMORY, &tools())?.with_threads(3);
    let output = Output::default();
    let input = std::io::Cursor::new(input.into());
    let summary = run_file(&spec, Box::new(input), Box::new(output.clone()), &Progress::default())?;
    Ok((output.text(), summary))
}

#[test]
fn cells_are_computed_and_those_that_cannot_be_are_counted() {
    let columns = [
        ("user_id", "Id"),
        ("split_part(user.email, '@', 2)", "Domain"),
        ("user.email.length + 1", "Length"),
        ("user.app_metadata && [user.app_metadata.plan]", "Plan"),
    ];
    let (text, summary) = computed(&request(Format::Csv, &columns), USERS).unwrap();
    insta::assert_snapshot!(format!("{text}\n{}", summary.first_faults.join("\n")));
    assert_eq!((summary.rows, summary.faults, summary.cells), (3, 1, 1));
    let (json, _) = computed(&request(Format::Json, &columns), USERS).unwrap();
    insta::assert_snapshot!(json);
}

#[test]
fn a_cell_that_cannot_be_computed_stops_a_job_that_was_told_so() {
    let strict = ExportRequest { on_error: OnError::Fail, ..request(Format::Csv, &[("user.email.trim()", "E")]) };
    let error = computed(&strict, USERS).unwrap_err();
    assert_eq!(error.code, Code::RowFault);
    insta::assert_snapshot!(error);
}

#[test]
fn rows_keep_their_order_and_their_number_is_limited() {
    let users: String =
        (0..20_000).fold(String::new(), |text, n| text + &format!("{{\"user_id\":\"u{n}\",\"n\":{n}}}\n"));
    let columns = [("user.n * 2", "Double"), ("n", "N")];
    let (text, summary) = computed(&request(Format::Csv, &columns), users.as_str()).unwrap();
    let expected: String = (0..20_000).fold(String::new(), |text, n| text + &format!("{},{n}\n", n * 2));
    assert_eq!(text, format!("Double,N\n{expected}"));
    assert_eq!((summary.rows, summary.faults), (20_000, 0));
    let limited = ExportRequest { limit: Some(3), ..request(Format::Csv, &[("user.n.x.y + 1", "X"), ("n", "N")]) };
    let (text, summary) = computed(&limited, users.as_str()).unwrap();
    assert_eq!(text, "X,N\n,0\n,1\n,2\n");
    assert_eq!((summary.rows, summary.faults, summary.cells), (3, 3, 3));
}

#[test]
fn rows_are_sorted_by_what_is_computed() {
    let users: String =
        (0..100).fold(String::new(), |text, n| text + &format!("{{\"name\":\"{}\",\"n\":{n}}}\n", n % 7));
    let by = "user.n % 10 === 9 ? undefined : -(user.n % 10)".to_owned();
    let sorted = ExportRequest {
        sort: Some(SortRequest { by, descending: false }),
        ..request(Format::Csv, &[("n", "N"), ("user.name + '!'", "Name")])
    };
    let (text, _) = computed(&sorted, users).unwrap();
    let numbers: Vec<u32> =
        text.lines().skip(1).map(|line| line.split(',').next().unwrap().parse::<u32>().unwrap() % 10).collect();
    let expected: Vec<u32> = [8, 7, 6, 5, 4, 3, 2, 1, 0, 9].into_iter().flat_map(|n| [n; 10]).collect();
    assert_eq!(numbers, expected);
}

#[test]
fn the_plan_says_what_each_column_is_and_hides_secrets() {
    let columns =
        [("email", "E-mail"), ("pseudonymize(user.email, 'very secret')", "Who"), ("user.name.trim()", "Name")];
    let mut asked = request(Format::Csv, &columns);
    asked
        .fields
        .as_mut()
        .unwrap()
        .push(FieldRequest { name: "pseudonymize(name, 'very secret')".into(), export_as: None });
    let spec = ExportSpec::with_tools(&asked, MEMORY, &tools()).unwrap();
    insta::assert_snapshot!(spec.plan_file().unwrap().to_string());
    assert!(!format!("{spec:?}").contains("very secret"));
}

#[test]
fn what_is_no_path_needs_the_sandbox() {
    let asked = request(Format::Csv, &[("user.name.trim()", "Name")]);
    assert_eq!(ExportSpec::new(&asked, MEMORY).unwrap_err().code, Code::UnsupportedExpression);
}

/// One of the ways a chunk is read: into slots, where unusual rows among the others are trees, or all of it as
/// trees.
fn either_way(request: &ExportRequest, input: &str) -> (String, ExportSummary) {
    let ways = [true, false].map(|slots| {
        let mut spec = ExportSpec::with_tools(request, MEMORY, &tools()).unwrap().with_threads(1);
        assert!(spec.layout.is_some(), "what these formulas read can be read into slots");
        if !slots {
            spec.layout = None;
        }
        let output = Output::default();
        let source = Box::new(std::io::Cursor::new(input.as_bytes().to_vec()));
        let summary = run_file(&spec, source, Box::new(output.clone()), &Progress::default()).unwrap();
        (output.text(), summary)
    });
    let [by_slots, by_trees] = ways;
    assert_eq!(by_slots, by_trees);
    by_slots
}

#[test]
fn rows_are_the_same_whichever_way_they_are_read() {
    let odd = [
        // As usual, then what no slots take: half a surrogate pair, an object that stands twice, a text with an
        // item, no JSON at all.
        r#"{"user_id":"u","email":"ada@example.com","name":"ada l","tags":["x","y"],"n":3,"m":{"k":"v"}}"#,
        r#"{"user_id":"half","email":"\ud800@example.com","name":"x\ud800y"}"#,
        r#"{"user_id":"twice","m":{"k":"lost"},"m":{"k":"kept"},"email":"b@example.com"}"#,
        r#"{"user_id":"text","tags":"not an array","email":null}"#,
        r#"{"user_id":"bad","email":"no address"}"#,
        "this is not JSON",
        "",
        r#"{"email":"without an id"}"#,
        "[1]",
    ];
    let input = odd.join("\n").repeat(300);
    let columns = [
        ("mask_email(user.email)", "Masked"),
        ("user_id", "Id"),
        ("title_case(split_part(user.name, ' ', 1))", "First"),
        ("join(user.tags, '+')", "Tags"),
        ("user.tags[0]", "Tag"),
        ("redact_keys(user.m, 'x')", "M"),
        ("m.k", "K"),
    ];
    for format in [Format::Csv, Format::Json, Format::Ndjson] {
        for sort in [None, Some("mask_email(user.email)"), Some("user_id")] {
            let sort = sort.map(|by| SortRequest { by: by.to_owned(), descending: true });
            for query in [None, Some("user_id:twice OR user_id:half OR user_id:u".to_owned())] {
                let asked = ExportRequest { sort: sort.clone(), query, ..request(format, &columns) };
                let (text, summary) = either_way(&asked, &input);
                assert!(text.contains("kept") && summary.rows > 500 && summary.faults > 0, "{summary:?}");
            }
        }
    }
    // Whole users, in the order of what is computed.
    let sort = Some(SortRequest { by: "mask_email(user.email)".to_owned(), descending: false });
    either_way(&ExportRequest { sort, ..request(Format::Ndjson, &[]) }, &input);
}
