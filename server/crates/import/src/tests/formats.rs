//! The settings of an import mean the same for every format: mapping, absent texts, left out attributes and query.

use std::io::{Cursor, Write as _};

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use uie_records::parse_path;

use super::{checked, mapped, sent, tools, users_of};
use crate::attribute_path;
use crate::{CheckSummary, ImportRequest, ImportSpec, MapRule, RowFault, Severity, check};
use uie_core::error::Error;
use uie_core::progress::Progress;

/// Columns of the generated rows. Their values are texts, except for the boolean ones.
const COLUMNS: &[&str] = &[
    "email",
    "given_name",
    "nickname",
    "email_verified",
    "user_metadata.city",
    "app_metadata.plan.name",
    "created_at",
    "Mail",
    "Shoe size",
    "pw",
];

/// Rules of which no two have the same target.
const RULES: &[&str] = &[
    "user.Mail || user.email=email",
    "user.given_name || null=given_name",
    "user[\"Shoe size\"] ?? user.nickname=nickname",
    "user.nickname || undefined=name",
    "user.created_at=user_metadata.since",
    "user.pw || null=app_metadata.pw",
    "user.user_metadata.city ?? null=app_metadata.city",
    "user.app_metadata.plan.name=user_metadata.plan",
    "user.email_verified=phone_verified",
    "null=pw",
    "null=Mail",
    "null=user_metadata.city",
    "null=Shoe size",
];

const QUERIES: &[&str] =
    &["", "_exists_:given_name", "nickname:ja OR user_metadata.city:x", "NOT created_at:2024", "pw:x"];

/// The texts of a row, one for each column; `None` is absent.
type Row = Vec<Option<String>>;

fn row() -> impl Strategy<Value = Row> {
    let text = prop_oneof![
        4 => Just(None),
        4 => prop::sample::select(vec!["x", "ja", "NULL", "\\N", "Ada, \"A\"", "2024-05-01", "é"]).prop_map(|text| Some(text.to_owned())),
        1 => "[a-z]{1,8} [a-z]{1,3}".prop_map(Some),
    ];
    let address = prop_oneof![Just(None), "[a-z]{6}@example\\.com".prop_map(Some), Just(Some("NULL".to_owned())),];
    let flag = prop::sample::select(vec![None, Some("true".to_owned()), Some("false".to_owned())]);
    (address.clone(), prop::collection::vec(text, COLUMNS.len()), flag, address).prop_map(
        |(email, mut row, flag, mail)| {
            row[0] = email;
            row[3] = flag;
            row[7] = mail;
            row
        },
    )
}

/// Returns the row as a member of a JSON file.
fn to_json(row: &Row) -> Value {
    let mut user = Value::Object(Map::new());
    for (column, text) in COLUMNS.iter().zip(row) {
        let Some(text) = text else { continue };
        let steps = if *column == "Shoe size" { None } else { parse_path(column) };
        let steps = steps.unwrap_or_else(|| vec![uie_records::Step::Member((*column).to_owned())]);
        let value = if *column == "email_verified" { json!(text == "true") } else { json!(text) };
        assert!(attribute_path::set(&mut user, &steps, Some(value)));
    }
    user
}

/// Returns the rows in all formats that are read.
fn in_every_format(rows: &[Row]) -> Vec<Vec<u8>> {
    let users: Vec<Value> = rows.iter().map(to_json).collect();
    let lines = users.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
    let array = serde_json::to_string_pretty(&users).unwrap();
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(COLUMNS).unwrap();
    for row in rows {
        csv.write_record(row.iter().map(|cell| cell.as_deref().unwrap_or_default())).unwrap();
    }
    let mut formats = vec![lines.into_bytes(), array.into_bytes(), csv.into_inner().unwrap()];
    for plain in formats.clone() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&plain).unwrap();
        formats.push(gzip.finish().unwrap());
    }
    formats
}

/// The users that are sent, the lines of failed rows as row numbers, and the number of rows that are left out.
type Outcome = (Vec<Value>, Vec<(u64, String)>, u64);

fn outcome(request: &ImportRequest, content: Vec<u8>) -> Result<Outcome, Error> {
    let spec = ImportSpec::new(request)?;
    let directory = tempfile::tempdir().unwrap();
    let (summary, faults) = check_with(&spec, content, directory.path())?;
    let failed = faults.into_iter().filter(|fault| fault.severity == Severity::Error);
    let failed = failed.map(|fault| (fault.row, format!("{} {:?}", fault.code, fault.attribute))).collect();
    let users = if summary.chunks == 0 { Vec::new() } else { users_of(directory.path()) };
    Ok((users, failed, summary.left_out))
}

fn check_with(
    spec: &ImportSpec,
    content: Vec<u8>,
    chunks: &std::path::Path,
) -> Result<(CheckSummary, Vec<RowFault>), Error> {
    let mut faults = Vec::new();
    let mut keep = |fault: &RowFault| {
        faults.push(fault.clone());
        Ok(())
    };
    let summary = check(spec, Box::new(Cursor::new(content)), Some(chunks), &mut keep, &Progress::default())?;
    Ok((summary, faults))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_same_rows_give_the_same_users_in_every_format(
        first in row(),
        rows in prop::collection::vec(row(), 0..6),
        rules in prop::sample::subsequence(RULES.to_vec(), 0..RULES.len()),
        query in prop::sample::select(QUERIES.to_vec()),
        null in prop::sample::subsequence(vec!["NULL", "\\N", "x"], 0..3),
        drop_empty in any::<bool>(),
    ) {
        // Every CSV row needs a cell, since empty rows are skipped.
        let mut rows: Vec<Row> = std::iter::once(first).chain(rows).collect();
        for (number, row) in rows.iter_mut().enumerate() {
            row[9].get_or_insert_with(|| format!("row {number}"));
        }
        let request = ImportRequest {
            drop_read_only: true,
            drop_unknown: true,
            drop_empty,
            null: null.into_iter().map(str::to_owned).collect(),
            query: query.to_owned(),
            ..mapped(&rules)
        };
        let mut formats = in_every_format(&rows).into_iter();
        let expected = outcome(&request, formats.next().unwrap()).unwrap();
        for content in formats {
            let found = outcome(&request, content).unwrap();
            prop_assert_eq!(&found, &expected, "{:?} {:?}", rules, query);
        }
    }

    #[test]
    fn attributes_are_removed_alike_by_the_fast_check_and_by_the_full_check(
        places in prop::collection::vec((0_usize..6, 0_usize..8, 0_usize..8), 1..5),
        drop_empty in any::<bool>(),
        drop_unknown in any::<bool>(),
        null in any::<bool>(),
        pretty in any::<bool>(),
    ) {
        let names = ["given_name", "shoe size", "nickname", "created_at", "user_metadata", "mfa_factors", "pl\u{e4}n", "app_metadata"];
        let values = [json!(null), json!(""), json!({}), json!([]), json!("NULL"), json!({ "a": null, "b": { "c": "" } }), json!({ "a": "NULL" }), json!("x")];
        let rows: Vec<Value> = (0..4).map(|number| {
            let mut user = json!({ "email": format!("user{number}@example.com"), "name": "N" });
            for (row, name, value) in &places {
                if *row == number {
                    user[names[*name]] = values[*value].clone();
                }
            }
            user
        }).collect();
        let content = if pretty { serde_json::to_string_pretty(&rows).unwrap() } else { json!(rows).to_string() };
        let fast = ImportRequest {
            drop_empty,
            drop_unknown,
            null: if null { vec!["NULL".to_owned()] } else { Vec::new() },
            ..ImportRequest::default()
        };
        // With a rule, even one without effect, every row is parsed.
        let full = ImportRequest { map: mapped(&["user.no_such_attribute=app_metadata.no_such_attribute"]).map, ..fast.clone() };
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (mut fast, mut full) = (checked(&fast, &content, Some(one.path())), checked(&full, &content, Some(other.path())));
        for faults in [&mut fast.1, &mut full.1] {
            faults.sort_by_key(|fault| (fault.row, fault.attribute.clone(), fault.code.clone()));
        }
        prop_assert_eq!(&fast.1, &full.1);
        prop_assert_eq!(fast.0, full.0);
        prop_assert_eq!(users_of(one.path()), users_of(other.path()));
    }
}

#[test]
fn a_column_that_is_left_out_is_read_by_expressions_in_every_format() {
    let rules = [
        "({ algorithm: \"md5\", hash: { value: user.pw, encoding: \"hex\" } })=custom_password_hash",
        "user['Given Name'].toUpperCase()=given_name",
        "Object.keys(user).length=app_metadata.columns",
        "null=pw",
        "null=Given Name",
    ];
    let spec = ImportSpec::with_tools(&mapped(&rules), &tools()).unwrap();
    let json = json!([{ "email": "ada@example.com", "Given Name": "Ada", "pw": "67a1e09bb1f83f5007dc119c14d663aa", "created_at": "2024" }]);
    let csv = "email,Given Name,pw,created_at\nada@example.com,Ada,67a1e09bb1f83f5007dc119c14d663aa,2024\n";
    for content in [json.to_string(), csv.to_owned()] {
        let directory = tempfile::tempdir().unwrap();
        let (summary, faults) = check_with(&spec, content.into_bytes(), directory.path()).unwrap();
        assert_eq!(summary.good, 1, "{faults:?}");
        let hash =
            json!({ "algorithm": "md5", "hash": { "value": "67a1e09bb1f83f5007dc119c14d663aa", "encoding": "hex" } });
        assert_eq!(
            users_of(directory.path()),
            [json!({
                "email": "ada@example.com", "given_name": "ADA", "custom_password_hash": hash, "app_metadata": { "columns": 4 },
            })]
        );
    }
}

#[test]
fn null_removes_an_attribute_and_undefined_keeps_it() {
    let rules = [
        "user.given_name === 'x' ? null : undefined=given_name",
        "user.family_name || null=family_name",
        "user.nickname || undefined=nickname",
        "user.missing=name",
        "user.void=username",
        "user.tags.filter(Boolean)[5] ?? null=user_metadata.tag",
    ];
    let spec = ImportSpec::with_tools(&mapped(&rules), &tools()).unwrap();
    let rows = [
        json!({ "email": "a@b.c", "given_name": "x", "family_name": "", "nickname": "", "name": "A", "void": null, "username": "u", "tags": [], "user_metadata": { "tag": 1, "n": 1 } }),
        json!({ "email": "b@b.c", "given_name": "y", "family_name": "F", "nickname": "n", "name": "B", "void": "v", "tags": [], "user_metadata": { "tag": 1 } }),
        json!({ "email": "c@b.c", "given_name": "x" }),
    ];
    let directory = tempfile::tempdir().unwrap();
    let content = rows.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
    let (summary, faults) = check_with(&spec, content.into_bytes(), directory.path()).unwrap();
    let faults: Vec<_> =
        faults.iter().map(|fault| (fault.row, fault.code.as_str(), fault.attribute.as_deref())).collect();
    assert_eq!(faults, [(1, "MIN_LENGTH", Some("nickname")), (3, "MAPPING", Some("user_metadata.tag"))]);
    assert_eq!(summary.good, 1);
    assert_eq!(
        users_of(directory.path()),
        [
            json!({ "email": "b@b.c", "given_name": "y", "family_name": "F", "nickname": "n", "name": "B", "username": "v" })
        ]
    );
}

#[test]
fn the_position_of_an_exception_is_that_in_the_expression() {
    let spec = ImportSpec::with_tools(&mapped(&["[1].map(x => x.foo.bar)=user_metadata.tags"]), &tools()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (_, faults) = check_with(&spec, b"{\"email\":\"a@b.c\"}\n".to_vec(), directory.path()).unwrap();
    assert!(faults[0].message.contains("(at character 14)"), "{}", faults[0].message);
}

#[test]
fn rows_that_the_query_does_not_match_are_left_out_and_not_checked() {
    let csv = "Mail,blocked,last_login,Shoe size\na@b.c,false,2024-02-01T00:00:00.000Z,40\nnonsense,true,,41\nb@b.c,,2021-01-01T00:00:00.000Z,42\n";
    let request = ImportRequest { drop_unknown: true, ..mapped(&["user.Mail=email"]) };
    for (query, users, failed, left_out) in [
        ("email:a@b.c", vec!["a@b.c"], 0, 2),
        ("NOT blocked:true", vec!["a@b.c", "b@b.c"], 0, 1),
        ("last_login:[2023 TO *]", vec!["a@b.c"], 0, 2),
        ("\"Shoe size\":42", vec!["b@b.c"], 0, 2),
        ("blocked:true", vec![], 1, 2),
        ("", vec!["a@b.c", "b@b.c"], 1, 0),
    ] {
        let request = ImportRequest { query: query.to_owned(), ..request.clone() };
        let (summary, _) = checked(&request, csv, None);
        assert_eq!((summary.total, summary.failed, summary.left_out), (3 - left_out, failed, left_out), "{query}");
        if !users.is_empty() {
            let emails: Vec<String> =
                sent(&request, csv).0.iter().map(|user| user["email"].as_str().unwrap().to_owned()).collect();
            assert_eq!(emails, users, "{query}");
        }
    }
    let error = ImportSpec::new(&ImportRequest { query: "email:(".to_owned(), ..request.clone() }).unwrap_err();
    assert_eq!(error.field.as_deref(), Some("query"));
    let spec = ImportSpec::new(&ImportRequest { query: "emial:x".to_owned(), ..request }).unwrap();
    assert!(!spec.remarks().is_empty());
}

#[test]
fn texts_that_look_absent_are_warned_about_once_per_column_or_left_out() {
    let csv = "email,given_name,family_name,user_metadata.city\nada@example.com,Ada,NULL,NULL\nbob@example.com,\\N,Example,\\N\n";
    let (summary, faults) = checked(&ImportRequest::default(), csv, None);
    assert_eq!((summary.good, summary.warnings), (2, 3));
    let found: Vec<_> =
        faults.iter().map(|fault| (fault.attribute.as_deref().unwrap(), fault.line, fault.code.as_str())).collect();
    assert_eq!(
        found,
        [("given_name", 3, "NULL_TEXT"), ("family_name", 2, "NULL_TEXT"), ("user_metadata.city", 2, "NULL_TEXT")]
    );
    assert!(faults[2].hint.as_ref().unwrap().contains("--null 'NULL' --null '\\N'"), "{:?}", faults[2].hint);
    let request = ImportRequest { null: vec!["NULL".to_owned(), "\\N".to_owned()], ..ImportRequest::default() };
    let (users, faults) = sent(&request, csv);
    assert_eq!(faults, []);
    let expected = [
        json!({ "email": "ada@example.com", "given_name": "Ada" }),
        json!({ "email": "bob@example.com", "family_name": "Example" }),
    ];
    assert_eq!(users, expected);
    let lines = "{\"email\":\"ada@example.com\",\"given_name\":\"Ada\",\"family_name\":\"NULL\",\"user_metadata\":{\"city\":\"NULL\"}}\n\
                 {\"email\":\"bob@example.com\",\"given_name\":\"\\\\N\",\"family_name\":\"Example\",\"user_metadata\":{\"city\":\"\\\\N\"}}\n";
    let users = sent(&request, lines).0;
    assert_eq!(users, expected);
}

#[test]
fn what_a_spreadsheet_has_damaged_is_named() {
    let csv = "email,phone_number,user_id,nickname,user_metadata.birthdate\n\
               a@b.c,4.91711E+11,1.23457E+15,#NAME?,33123\nb@b.c,+4917112345,12,#####,33124\n";
    let (summary, faults) = checked(&ImportRequest::default(), csv, None);
    assert_eq!(summary.good, 1);
    let warnings: Vec<_> = faults
        .iter()
        .filter(|fault| fault.row == 0)
        .map(|fault| (fault.attribute.as_deref().unwrap(), fault.code.as_str()))
        .collect();
    assert_eq!(
        warnings,
        [
            ("phone_number", "SPREADSHEET_NUMBER"),
            ("user_id", "SPREADSHEET_NUMBER"),
            ("nickname", "SPREADSHEET_ERROR"),
            ("user_metadata.birthdate", "SPREADSHEET_DATE"),
        ]
    );
    let error = faults.iter().find(|fault| fault.code == "PATTERN").unwrap();
    assert!(error.hint.as_ref().unwrap().contains("spreadsheet"), "{:?}", error.hint);
}

#[test]
fn white_space_around_addresses_and_names_is_removed_from_csv_and_named_in_json() {
    let csv = "email,given_name,email_verified\n\"ada@example.com \",Ada, true \n\" bob@example.com\",Bob,falsch\n\
               cy\u{a0}\u{200b}@example.com,Cy,no\n\u{feff}dee@example.com\u{a0},\u{a0}Dee ,nein\n";
    let (users, faults) = sent(&ImportRequest::default(), csv);
    assert_eq!(users[0], json!({ "email": "ada@example.com", "given_name": "Ada", "email_verified": true }));
    assert_eq!(users[1], json!({ "email": "bob@example.com", "given_name": "Bob", "email_verified": false }));
    assert_eq!(users[2], json!({ "email": "dee@example.com", "given_name": "Dee", "email_verified": false }));
    assert!(faults[0].message.contains("U+00A0"), "{}", faults[0].message);
    let rule = "user.email.replace(/[\\s\\xAD\\u200B-\\u200F\\u2060\\uFEFF]/g, \"\")=email";
    assert!(faults[0].hint.as_ref().unwrap().contains(rule), "{:?}", faults[0].hint);
    let (_, faults) = checked(&ImportRequest::default(), "{\"email\":\"ada@example.com\u{200b}\"}\n", None);
    assert!(faults[0].message.contains("zero-width space"), "{}", faults[0].message);
    assert!(faults[0].hint.as_ref().unwrap().contains("--map 'user.email.trim()=email'"));
    let spec = ImportSpec::with_tools(&mapped(&["user.email.trim()=email"]), &tools()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let content = "{\"email\":\"ada@example.com\u{200b}\"}\n".as_bytes().to_vec();
    check_with(&spec, content, directory.path()).unwrap();
    assert_eq!(users_of(directory.path()), [json!({ "email": "ada@example.com" })], "the hint is right");
}

#[test]
fn unknown_columns_have_a_proposal_each_and_the_proposals_are_right() {
    let csv = "cognito:username,name,email,email_verified,gender,phone_number,phone_number_verified,custom:tier,password\n\
               ada,Ada,ada@example.com,TRUE,f,+12125550001,TRUE,gold,secret words\n";
    let input = || Box::new(Cursor::new(csv.as_bytes().to_vec()));
    // The file is an export of Cognito, which would be converted.
    let plain = ImportRequest { source: Some("none".to_owned()), ..ImportRequest::default() };
    let spec = ImportSpec::new(&plain).unwrap();
    let error = check(&spec, input(), None, &mut |_| Ok(()), &Progress::default()).unwrap_err();
    assert!(error.message.contains("\"phone_number_verified\" (did you mean phone_verified?)"), "{}", error.message);
    let hint = error.hint.unwrap().to_string();
    assert!(!hint.contains("secret words"));
    let rules: Vec<&str> = hint
        .lines()
        .filter_map(|line| line.trim().trim_end_matches('\\').trim().strip_prefix("--map '")?.strip_suffix('\''))
        .collect();
    assert_eq!(rules.len(), 5, "{hint}");
    let map = rules.iter().map(|rule| MapRule::parse(rule).unwrap()).collect();
    let (users, _) = sent(&ImportRequest { map, ..plain.clone() }, csv);
    assert_eq!(
        users,
        [json!({
            "email": "ada@example.com", "name": "Ada", "email_verified": true, "phone_number": "+12125550001",
            "username": "ada", "phone_verified": true, "user_metadata": { "gender": "f", "custom_tier": "gold" },
        })]
    );
    let other = "Mail;E-Mail;Name2\na@b.c;b@b.c;x\n";
    let spec = ImportSpec::new(&mapped(&["user.Mail=email"])).unwrap();
    let content = Box::new(Cursor::new(other.as_bytes().to_vec()));
    let error = check(&spec, content, None, &mut |_| Ok(()), &Progress::default()).unwrap_err();
    assert!(error.hint.unwrap().contains("'user[\"E-Mail\"]=user_metadata.e_mail'"), "email is mapped already");
    let (users, faults) = sent(&ImportRequest { drop_unknown: true, ..plain }, csv);
    assert_eq!(
        users,
        [json!({ "email": "ada@example.com", "name": "Ada", "email_verified": true, "phone_number": "+12125550001" })]
    );
    let left_out: Vec<_> = faults.iter().filter(|fault| fault.code == "COLUMN_LEFT_OUT").collect();
    assert_eq!(left_out.len(), 5);
    assert!(
        left_out[0].message.contains("1 rows") || left_out[0].message.contains("one row"),
        "{}",
        left_out[0].message
    );
}
