//! Tests of exports with computed columns.

use std::path::Path as FilePath;

use super::*;
use uie_core::config::{Purpose, Settings};
use uie_expression::TransformContext;
use uie_sandbox::Sandbox;

pub(super) fn tools() -> TransformContext {
    let data_dir = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("../../../target/tmp");
    std::fs::create_dir_all(&data_dir).unwrap();
    let variables = [("DATA_DIR".to_owned(), data_dir.display().to_string())];
    let settings = Settings::parse(Purpose::Local, variables, None).unwrap();
    TransformContext::new(&Sandbox::open(&settings).unwrap(), &settings.secrets)
}

fn computed(request: &ExportRequest, input: impl Into<Vec<u8>>) -> Result<(String, ExportSummary)> {
    let spec = ExportSpec::with_tools(request, MEMORY, &tools())?.with_threads(3);
    let output = Output::default();
    let input = std::io::Cursor::new(input.into());
    let summary = run_file(&spec, Box::new(input), Box::new(output.clone()), &Progress::default())?;
    Ok((output.text(), summary))
}

#[test]
fn cells_are_computed_and_their_faults_are_counted() {
    let columns = [
        ("user_id", "Id"),
        ("split_part(user.email, '@', 2)", "Domain"),
        ("user.email.length + 1", "Length"),
        ("user.app_metadata && [user.app_metadata.plan]", "Plan"),
    ];
    let (text, summary) = computed(&request(Format::Csv, &columns), USERS).unwrap();
    let faults: Vec<String> = summary.first_faults.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(format!("{text}\n{}", faults.join("\n")));
    assert_eq!((summary.rows, summary.faults, summary.cells), (3, 1, 1));
    let (json, _) = computed(&request(Format::Json, &columns), USERS).unwrap();
    insta::assert_snapshot!(json);
}

#[test]
fn a_faulty_cell_stops_the_job_with_on_error_fail() {
    let strict = ExportRequest { on_error: OnError::Fail, ..request(Format::Csv, &[("user.email.trim()", "E")]) };
    let error = computed(&strict, USERS).unwrap_err();
    assert_eq!(error.code, Code::RowFault);
    insta::assert_snapshot!(error);
}

#[test]
fn rows_keep_their_order_and_a_limit_applies() {
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
fn rows_can_be_sorted_by_a_computed_value() {
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
fn the_plan_shows_the_kind_of_each_column_and_hides_secrets() {
    let columns =
        [("email", "E-mail"), ("pseudonymize(user.email, 'very secret')", "Who"), ("user.name.trim()", "Name")];
    let mut export = request(Format::Csv, &columns);
    export
        .fields
        .as_mut()
        .unwrap()
        .push(FieldRequest { name: "pseudonymize(name, 'very secret')".into(), export_as: None });
    let spec = ExportSpec::with_tools(&export, MEMORY, &tools()).unwrap();
    insta::assert_snapshot!(spec.plan_file().unwrap().to_string());
    assert!(!format!("{spec:?}").contains("very secret"));
}

#[test]
fn the_plan_has_remarks_on_attributes_that_no_user_has_and_on_locales() {
    let columns = [
        ("user.email", "E-mail"),
        ("user.emial", "Misspelled"),
        ("user.emailVerified", "Spelled otherwise"),
        ("user.roles", "Roles"),
        ("join([user.roles, user.blocked_for], ',')", "Roles and blocks"),
        ("user.shoe_size", "Of a file"),
        ("new Date(user.last_login).toLocaleString('de-DE', {timeZone: 'Europe/Berlin'})", "Login"),
    ];
    let sort = Some(SortRequest { by: "user.creatd_at".to_owned(), descending: false });
    let spec = ExportSpec::with_tools(&ExportRequest { sort, ..request(Format::Csv, &columns) }, MEMORY, &tools());
    let spec = spec.unwrap();
    let plan = spec.plan_file().unwrap();
    insta::assert_snapshot!(plan.remarks.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    assert_eq!(plan.remarks, spec.expression_remarks(true));
    // A file may have attributes of its own, a tenant has none that Auth0 does not document.
    let of_tenant = spec.expression_remarks(false);
    let more: Vec<_> =
        of_tenant.iter().filter(|remark| !plan.remarks.contains(remark)).map(ToString::to_string).collect();
    assert_eq!(more, ["Auth0 documents no attribute `shoe_size` of a user."]);
    let usual = ExportSpec::new(&request(Format::Csv, &[("user.email", "E-mail")]), MEMORY).unwrap();
    assert!(usual.expression_remarks(false).is_empty());
    assert!(ExportSpec::new(&request(Format::Csv, &[]), MEMORY).unwrap().expression_remarks(false).is_empty());
}

#[test]
fn expressions_other_than_paths_need_the_sandbox() {
    let asked = request(Format::Csv, &[("user.name.trim()", "Name")]);
    assert_eq!(ExportSpec::new(&asked, MEMORY).unwrap_err().code, Code::UnsupportedExpression);
    assert!(ExportSpec::with_tools_if_needed(&asked, MEMORY, || Ok(tools())).is_ok());
    let paths = request(Format::Csv, &[("user.name", "Name")]);
    assert!(ExportSpec::with_tools_if_needed(&paths, MEMORY, || panic!("paths need no sandbox")).is_ok());
}

#[test]
fn a_spec_has_its_request_without_secrets_and_with_the_versions_of_transforms_that_it_calls() {
    let key = "pseudonymize(email, 'very secret')";
    let columns = [(" email ", "E-mail"), (key, "Who"), ("user.name.trim()", "Name"), (key, "Who")];
    let asked = ExportRequest {
        sort: Some(SortRequest { by: key.to_owned(), descending: true }),
        transforms: [("pseudonymize", "5ec0"), ("mask_email", "0f0f")].map(|(k, v)| (k.into(), v.into())).into(),
        // Of the two columns with the same name, only the last one is written.
        ..request(Format::Json, &columns)
    };
    let spec = ExportSpec::with_tools(&asked, MEMORY, &tools()).unwrap();
    let pins = asked.transforms.iter().filter(|(name, _)| *name == "pseudonymize");
    let pinned = ExportRequest { transforms: pins.map(|(k, v)| (k.clone(), v.clone())).collect(), ..asked.clone() };
    assert_eq!(spec.request().pinned(), &pinned);
    let mut masked = pinned.clone();
    let hidden = "pseudonymize(email, ***)";
    masked.sort.as_mut().unwrap().by = hidden.to_owned();
    for index in [1, 3] {
        masked.fields.as_mut().unwrap()[index].name = hidden.to_owned();
    }
    assert_eq!(spec.request().masked(), Some(&masked));
    assert_eq!(spec.request().shown(), &masked);
    let without = ExportSpec::new(&request(Format::Json, &columns[..1]), MEMORY).unwrap();
    assert_eq!(without.request().masked(), None);
    let resolved = ExportSpec::resolve(&ExportRequest { limit: Some(0), ..asked }, &tools()).unwrap();
    assert_eq!(
        resolved.masked(),
        Some(&ExportRequest { limit: Some(0), ..masked }),
        "saved settings may be incomplete"
    );
}

/// Exports with both ways of reading a chunk: by a projection, with a tree for unusual rows, and with trees only.
/// Checks that the results are equal.
fn export_with_both_readers(request: &ExportRequest, input: &str) -> (String, ExportSummary) {
    let results = [true, false].map(|projected| {
        let mut spec = ExportSpec::with_tools(request, MEMORY, &tools()).unwrap().with_threads(1);
        assert!(spec.projection.is_some(), "these formulas can be read by a projection");
        if !projected {
            spec.projection = None;
        }
        let output = Output::default();
        let source = Box::new(std::io::Cursor::new(input.as_bytes().to_vec()));
        let summary = run_file(&spec, source, Box::new(output.clone()), &Progress::default()).unwrap();
        (output.text(), summary)
    });
    let [by_projection, by_trees] = results;
    assert_eq!(by_projection, by_trees);
    by_projection
}

#[test]
fn projections_and_trees_have_the_same_rows() {
    let odd = [
        // A usual row, then rows that a projection cannot read: an unpaired surrogate, a duplicate object, a string
        // instead of an array, invalid JSON.
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
                let (text, summary) = export_with_both_readers(&asked, &input);
                assert!(text.contains("kept") && summary.rows > 500 && summary.faults > 0, "{summary:?}");
            }
        }
    }
    // Whole users, sorted by a computed value.
    let sort = Some(SortRequest { by: "mask_email(user.email)".to_owned(), descending: false });
    export_with_both_readers(&ExportRequest { sort, ..request(Format::Ndjson, &[]) }, &input);
}
