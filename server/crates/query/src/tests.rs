use proptest::prelude::*;
use serde_json::{Value as JsonValue, json};

use super::*;
use uie_core::error::Code;
use uie_json::{Json, ProjectionMask, parse_row};

/// Returns whether a user matches a query, and asserts that it does not matter what else is read of the user.
fn matches(query: &str, user: &JsonValue) -> bool {
    let query = Query::parse(query).unwrap_or_else(|error| panic!("{error}"));
    let filter = query.filter().unwrap_or_else(|error| panic!("{error}"));
    let text = user.to_string();
    let read_user = |mask: &ProjectionMask| -> bool {
        let user: Json<'_> = parse_row(text.as_bytes(), mask).unwrap();
        filter.matches(&user)
    };
    let matched = read_user(&filter.extend_mask(ProjectionMask::default()));
    // Reading more of the user must not change the result.
    let path = |text: &str| uie_expression::Expression::parse(text).unwrap().path().unwrap().clone();
    for other in ["identities[0].connection", "identities[1].provider", "user", "app_metadata"] {
        assert_eq!(
            read_user(&filter.extend_mask(ProjectionMask::new([&path(other)]))),
            matched,
            "{query} with {other}"
        );
    }
    matched
}

fn users() -> Vec<JsonValue> {
    vec![
        json!({
            "user_id": "auth0|ada", "email": "ada@example.com", "email_verified": true, "username": "Ada",
            "name": "Ada Lovelace", "given_name": "Ada", "family_name": "Lovelace", "nickname": "ADA",
            "logins_count": 10, "last_login": "2025-12-31T23:59:59.999Z", "last_ip": "10.1.2.3",
            "created_at": "2017-12-01T00:00:00.000Z", "updated_at": "2018-01-15T12:00:00.000Z", "blocked": false,
            "picture": "https://example.com/ada.png", "phone_number": "+491234", "multifactor": ["guardian"],
            "identities": [
                {"connection": "db", "provider": "auth0", "user_id": "ada", "isSocial": false},
                {"connection": "google-oauth2", "provider": "google-oauth2", "isSocial": true,
                    "profileData": {"email": "ada@gmail.com", "email_verified": true}}],
            "app_metadata": {"plan": "pro", "roles": ["admin", "editor"], "score": 1.5, "beta": true, "since": "2019-05-01",
                "a b": {"c:d": "x"}, "dotted.name": "y", "matrix": [[{"v": 1}], {"v": [2, 3]}]},
            "user_metadata": {"addresses": [{"city": "Paris"}, {"city": "New York"}], "colour": "Grün", "size": "10"},
        }),
        json!({
            "user_id": "google-oauth2|2", "email": "BOB@Sub.Example.com", "name": "john richard", "nickname": "bob",
            "created_at": "2018-01-01T00:00:00.000Z", "logins_count": 0, "email_verified": false,
            "identities": [{"connection": "google-oauth2", "provider": "google-oauth2", "isSocial": true}],
            "app_metadata": {"empty": [], "nothing": null, "none": {}, "deep": {"er": [null, {}]}, "plan": "", "score": -3},
            "user_metadata": {"size": 10},
        }),
        json!({"user_id": "email|3", "name": "back\\slash \"quoted\" *star* (x) a/b?", "app_metadata": {"plan": "AND"}}),
    ]
}

/// Returns the indexes of the users that match a query.
fn matching_users(query: &str) -> Vec<usize> {
    users().iter().enumerate().filter(|(_, user)| matches(query, user)).map(|(at, _)| at).collect()
}

#[test]
fn documented_examples_match_the_documented_users() {
    for (query, expected) in [
        // Values are not tokenized.
        ("name:richard", &[][..]),
        (r#"name:"john richard""#, &[1]),
        (r"name:John\ Richard", &[1]),
        ("user_id:auth0", &[]),
        ("user_id:auth0*", &[0]),
        (r#"user_id:"auth0|ada""#, &[0]),
        ("user_id:auth0|ada", &[0]),
        ("name:*richard*", &[1]),
        // Case.
        ("email:ADA@example.com", &[0]),
        ("given_name:ada AND family_name:LOVELACE", &[0]),
        ("nickname:ada", &[0]),
        ("username:ada", &[]),
        ("username:Ada", &[0]),
        ("app_metadata.plan:PRO", &[]),
        ("Nickname:ada", &[]),
        // Fields.
        (r#"email.domain:"example.com""#, &[0]),
        ("email.domain:sub.example.com", &[1]),
        (r#"identities.connection:"google-oauth2""#, &[0, 1]),
        ("identities.provider:auth0 AND identities.isSocial:true", &[0]),
        (r#"identities.profileData.email:"ada@gmail.com""#, &[0]),
        ("identities.profileData.email_verified:true", &[0]),
        (r#"phone_number:"+491234""#, &[0]),
        (r#"user_metadata.addresses.city:"Paris""#, &[0]),
        (r#"user_metadata.addresses.city:"New York""#, &[0]),
        ("app_metadata.roles:editor", &[0]),
        ("app_metadata.score:1.5", &[0]),
        ("app_metadata.score:1.50", &[0]),
        ("app_metadata.beta:true", &[0]),
        ("user_metadata.size:10", &[0, 1]),
        ("app_metadata.matrix.v:3", &[0]),
        (r"app_metadata.a\ b.c\:d:x", &[0]),
        (r#"app_metadata."a b"."c:d":x"#, &[0]),
        (r#"app_metadata."dotted.name":y"#, &[0]),
        (r"app_metadata.dotted\.name:y", &[0]),
        ("app_metadata.dotted.name:y", &[]),
        ("multifactor:guardian", &[0]),
        // Existence.
        ("_exists_:user_metadata.size", &[0, 1]),
        ("_exists_:app_metadata.plan", &[0, 1, 2]),
        ("_exists_:app_metadata.empty", &[]),
        ("_exists_:app_metadata.nothing OR _exists_:app_metadata.none OR _exists_:app_metadata.deep", &[]),
        ("_exists_:blocked", &[0]),
        ("_exists_:email.domain", &[0, 1]),
        (r#"_exists_:"app_metadata.a b""#, &[0]),
        (r#"_exists_:app_metadata."a b""#, &[0]),
        ("NOT _exists_:logins_count OR logins_count:0", &[1, 2]),
        ("NOT _exists_:email_verified OR email_verified:false", &[1, 2]),
        ("email:*", &[0, 1]),
        ("app_metadata.score:[* TO *]", &[0, 1]),
        // Ranges.
        ("logins_count:[* TO 10}", &[1]),
        ("logins_count:[10 TO 100}", &[0]),
        ("logins_count:{0 TO 10]", &[0]),
        ("last_login:[2025-12-01 TO 2025-12-31]", &[0]),
        ("last_login:[2025-12-01 TO 2025-12-31}", &[]),
        ("updated_at:{2018-01-15 TO *]", &[]),
        ("updated_at:{2018-01-14 TO *]", &[0]),
        ("created_at:[* TO 2017-12]", &[0]),
        ("created_at:[* TO 2018}", &[0]),
        ("created_at:2018-01", &[1]),
        (r#"created_at:"2017-12-01T00:00:00.000Z""#, &[0]),
        ("created_at:[2017-12-01T00:00 TO 2017-12-01T00:00]", &[0]),
        ("name:[ada TO b}", &[0]),
        ("name:[A TO J]", &[0, 2]),
        (r#"name:["ada a" TO "ada z"]"#, &[0]),
        // Operators.
        (r#"app_metadata.roles:("owner" OR "editor")"#, &[0]),
        ("app_metadata.roles:(admin AND NOT editor)", &[]),
        ("username:Ada nickname:bob", &[0, 1]),
        ("username:Ada && nickname:bob || logins_count:0", &[1]),
        ("_exists_:email -nickname:bob", &[0]),
        ("_exists_:email NOT nickname:bob", &[0]),
        ("!_exists_:email", &[2]),
        ("+_exists_:email +logins_count:0", &[1]),
        ("+_exists_:email username:Ada", &[0, 1]),
        ("user_id:absent OR username:Ada AND nickname:ada", &[0]),
        ("(username:Ada OR user_id:*2) AND logins_count:0", &[1]),
        ("NOT username:Ada AND _exists_:email", &[1]),
        ("nickname:(ada (bob absent))", &[0, 1]),
        ("nickname:(absent username:Ada)", &[0]),
        // Escapes.
        (r#"name:"back\\slash \"quoted\" *star* (x) a/b?""#, &[2]),
        (r"name:back\\slash\ \u0022quoted\u0022\ \*star\*\ \(x\)\ a\/b\?", &[2]),
        ("app_metadata.plan:\"AND\"", &[2]),
        (r"app_metadata.plan:\AND", &[2]),
        ("app_metadata.plan:\"\"", &[1]),
        ("email:ada@example.com\u{3000}", &[0]),
    ] {
        assert_eq!(matching_users(query), expected, "{query}");
    }
}

#[test]
fn some_queries_that_auth0_refuses_are_evaluated_here() {
    for (query, expected, why) in [
        ("app_metadata.score:[1 TO 2]", &[0][..], "ranges on metadata"),
        ("app_metadata.score:[-5 TO *]", &[0, 1], "ranges on metadata"),
        ("app_metadata.since:[2019 TO 2019-05]", &[0], "ranges on metadata"),
        ("app_metadata.since:{2019-05-01 TO *]", &[], "ranges on metadata"),
        ("app_metadata.roles:[b TO f]", &[0], "ranges on metadata"),
        ("user_metadata.colour:Gr?n", &[0], "wildcards on metadata"),
        ("user_metadata.addresses.city:P*s", &[0], "wildcards on metadata"),
        ("nickname:?da", &[0], "the wildcard ?"),
        ("email:*om", &[0, 1], "at least three characters"),
        ("nickname:*a*", &[0], "at least three characters"),
        ("picture:*ada*", &[0], "cannot search `picture`"),
        ("NOT _exists_:picture", &[1, 2], "cannot search `picture`"),
        (r#"app_metadata."a b"."c:d":x"#, &[0], "quoted field names"),
        (r"app_metadata.dotted\.name:y", &[0], "a dot"),
    ] {
        let why_not = Query::parse(query).unwrap().unsupported_by_auth0();
        assert!(why_not.as_ref().is_some_and(|text| text.contains(why)), "{query}: {why_not:?}");
        assert_eq!(matching_users(query), expected, "{query}");
    }
    let long = format!("name:{}", "a".repeat(7000));
    assert!(Query::parse(&long).unwrap().unsupported_by_auth0().unwrap().contains("too long"));
    for query in ["email:t*", "name:*usa", "logins_count:[1 TO 2]", "_exists_:app_metadata.x", "name:a*b", "ada"] {
        assert_eq!(Query::parse(query).unwrap().unsupported_by_auth0(), None, "{query}");
    }
}

#[test]
fn errors_show_the_offset_and_what_was_expected() {
    let shown: Vec<String> = [
        "",
        "name:",
        "(name:ada",
        "name:ada)",
        "name:ada AND",
        "OR name:ada",
        "name:ada OR OR email:x",
        "name:ada AND OR email:x",
        "name:()",
        "NOT -name:x",
        "name:\"ada",
        "name:ada\\",
        "name:\\u00g0",
        "name:a:b",
        "name:“ada”",
        "name:ada\u{a0}b",
        "a:1||b:2",
        "name:wow!",
        "name!=ada",
        "logins_count:-5",
        "logins_count:>=10",
        "logins_count:<10",
        "last_login:>2024-01-31",
        "last_login:<=\"2024-01-31T10:00\"",
        "logins_count:>",
        "logins_count:[1, 2]",
        "logins_count:[1 TO 2",
        "logins_count:[1 TO 2)",
        "logins_count:[1* TO 2]",
        "[1 TO 2]",
        "name:ada~",
        "\"ada lovelace\"~2",
        "name:ada^2",
        "name:/ada/",
        "name.raw:ada",
        "app..plan:x",
        "user_metadata.*:x",
        "*:*",
        "_exists_:user_metadata.*",
        "_exists_:",
        "_exists_:(a OR b)",
    ]
    .into_iter()
    .map(|query| Query::parse(query).expect_err(query).to_string())
    .collect();
    insta::assert_snapshot!(shown.join("\n\n"));
}

#[test]
fn a_diagnostic_has_the_span_of_the_wrong_part() {
    for (query, part) in
        [("name:ada OR OR email:x", "OR"), ("name:(ada", "("), ("user_metadata.*:x", "user_metadata.*"), ("name:", "")]
    {
        let diagnostic = parse::parse(query).err().unwrap();
        assert_eq!(&query[diagnostic.span.unwrap()], part, "{query}");
    }
    let query = "email:x AND logins_count:many";
    let diagnostic = Filter::new(&parse::parse(query).ok().unwrap().root).unwrap_err();
    assert_eq!(&query[diagnostic.span.unwrap()], "many");
}

#[test]
fn queries_without_an_exact_local_meaning_are_refused() {
    let shown: Vec<String> = [
        "ada",
        "name:Ada Lovelace",
        "\"ada lovelace\" AND email:x",
        "organization_id:org_1",
        "logins_count:many",
        "logins_count:1*",
        "logins_count:[a TO 5]",
        "blocked:yes",
        "identities.isSocial:[a TO b]",
        "created_at:soon",
        "created_at:2017-*",
        "created_at:2017-02-30",
        "created_at:[* TO 2024-02-30]",
        "email=ada@example.com",
        "email.domain=example.com AND name:a",
        "logins_count>=10",
        "last_ip:[10.0.0.0 TO 10.255.255.255]",
        "app_metadata:x",
        "identities:db",
        "name:a NOT name:b OR name:c",
        "name:a -name:b AND name:c",
        "+name:a OR name:b",
        "name:a OR +name:b AND name:c",
    ]
    .into_iter()
    .map(|query| Query::parse(query).unwrap_or_else(|error| panic!("{error}")).filter().expect_err(query).to_string())
    .collect();
    insta::assert_snapshot!(shown.join("\n\n"));
}

fn shown_remarks(query: &str) -> String {
    let remarks = check(query).unwrap().remarks;
    remarks.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n  ")
}

#[test]
fn operators_in_lower_case_and_negated_mistakes_are_reported_as_widening() {
    let widens = |query: &str| check(query).unwrap().remarks.iter().map(|remark| remark.widens).collect::<Vec<_>>();
    for query in ["name:ada and email:b*", "name:ada or email:b*", "not name:ada"] {
        assert_eq!(widens(query), [true], "{query}");
    }
    assert_eq!(widens("emial:x"), [false]);
    assert_eq!(widens("NOT emial:x"), [true], "every user matches");
    assert_eq!(widens("NOT (NOT emial:x)"), [false]);
    assert_eq!(widens("NOT created_at:2024-02-30"), [true], "every user matches");
    assert_eq!(widens("created_at:2024-02-30"), [false]);
    assert_eq!(widens("name:a AND name:b OR name:c"), [false]);
    assert_eq!(widens("name:\"and\""), Vec::<bool>::new());
}

#[test]
fn remarks_explain_how_a_query_was_read() {
    let shown: Vec<String> = [
        "name:a AND name:b OR name:c",
        "name:a name:b AND name:c",
        "name:a OR name:b NOT name:c",
        "email:x AND (name:a OR name:b AND name:c)",
        "+name:a name:b",
        "name:a and name:b",
        "emial:x OR emial:y",
        "user.email:x",
        "identities.conection:x",
        "email=ada@example.com",
        "NOT created_at:2024-02-30",
        "created_at:{2023-02-29 TO *]",
        "created_at:[2024-13-01 TO *] OR last_login:soon",
        "created_at:[2024-12 TO 2024-12-31T23:59:59Z] OR user_metadata.born:x",
        "(name:a AND name:b) OR name:c",
        "NOT _exists_:logins_count OR logins_count:0",
        "name:a -name:b",
    ]
    .into_iter()
    .map(|query| format!("{query}\n  {}", shown_remarks(query)))
    .collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn dates_relative_to_now_are_refused_with_the_query_to_write() {
    for query in [
        "last_login:[now-90d TO *]",
        "last_login:{* TO now-1M/M]",
        "created_at:yesterday",
        "name:a AND NOT updated_at:[2020 TO NOW-12h}",
        "created_at:(2020 OR today)",
    ] {
        assert!(shown_remarks(query).starts_with("Auth0 documents no dates relative to now; today"), "{query}");
        let error = Query::parse(query).unwrap().filter().expect_err(query);
        assert!(error.message.contains("has no dates relative to now"), "{error}");
        let hint = error.hint.expect(query).to_string();
        let meant = hint.strip_prefix("Write ").and_then(|hint| hint.split_once("; ")).expect(&hint).0;
        let meant = Query::parse(meant).unwrap_or_else(|error| panic!("{error}"));
        assert!(meant.filter().is_ok() && meant.remarks().is_empty(), "{hint}");
    }
    let error = Query::parse("last_login:<now-90d").unwrap_err();
    let hint = error.hint.unwrap().to_string();
    let meant = hint.split(", here ").nth(1).and_then(|hint| hint.strip_suffix('.')).expect(&hint);
    assert!(Query::parse(meant).unwrap().filter().is_ok(), "{hint}");
    // In metadata such a text is a text.
    assert!(Query::parse("user_metadata.state:now").unwrap().filter().is_ok());
}

#[test]
fn a_check_reports_where_a_query_can_be_evaluated() {
    assert_eq!(check("email:a*").unwrap(), Checked { remarks: Vec::new(), only_here: None, only_auth0: None });
    assert!(check("user_metadata.x:a*").unwrap().only_here.is_some());
    assert!(check("ada").unwrap().only_auth0.unwrap().contains("names no field"));
    assert_eq!(check("name:(").unwrap_err().code, Code::InvalidSearch);
}

#[test]
fn deep_nesting_is_refused() {
    for text in ["(", "-(", "name:(", "NOT "] {
        assert!(Query::parse(&text.repeat(30_000)).is_err());
    }
    let error = Query::parse(&format!("{}a:1", "a.".repeat(30_000))).unwrap_err();
    assert!(error.message.contains("30001 parts"), "{}", error.message);
    let deep = format!("{}name:a{}", "(".repeat(100), ")".repeat(100));
    assert!(matches(&deep, &json!({"name": "a"})));
}

#[test]
fn every_example_of_the_manual_can_be_evaluated() {
    let manual = include_str!("../../../../docs/query.md");
    let table = manual.lines().skip_while(|line| *line != "| query | finds |").skip(2);
    let examples: Vec<&str> =
        table.take_while(|line| line.starts_with('|')).filter_map(|line| line.split('`').nth(1)).collect();
    assert!(examples.len() > 10, "the table was not found");
    for example in examples {
        let query = Query::parse(example).unwrap_or_else(|error| panic!("{error}"));
        query.filter().unwrap_or_else(|error| panic!("{error}"));
        assert!(query.remarks().is_empty(), "{:?}", query.remarks());
        assert_eq!(query.unsupported_by_auth0().is_some(), example.starts_with("app_metadata.seats"), "{example}");
    }
}

fn field() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("name".to_owned()),
        Just("username".to_owned()),
        Just("app_metadata.x".to_owned()),
        Just(r"user_metadata.a\ b\.c".to_owned()),
        Just("email.domain".to_owned()),
        Just("_id_".to_owned()),
        Just(r"\AND".to_owned()),
    ]
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9]{1,4}",
        "[ab*?]{1,5}",
        "(\\\\[ -~&&[^u]]){1,3}",
        "\\PC{0,5}".prop_map(|text| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))),
        Just("\\u0041*".to_owned()),
    ]
}

fn end() -> impl Strategy<Value = String> {
    prop_oneof![Just("*".to_owned()), "[a-z0-9:.-]{1,6}", "\"[ -~&&[^\"\\\\]]{0,4}\"", Just("\"*\"".to_owned())]
}

fn query() -> impl Strategy<Value = String> {
    let term = prop_oneof![
        (field(), value()).prop_map(|(field, value)| format!("{field}:{value}")),
        field().prop_map(|field| format!("_exists_:{field}")),
        (field(), end(), end(), any::<bool>(), any::<bool>()).prop_map(|(field, low, high, open, close)| {
            let (open, close) = (if open { '[' } else { '{' }, if close { ']' } else { '}' });
            format!("{field}:{open}{low} TO {high}{close}")
        }),
        (field(), value(), value()).prop_map(|(field, a, b)| format!("{field}:({a} OR -{b})")),
        value(),
    ];
    term.prop_recursive(4, 24, 4, |inner| {
        let join = prop::sample::select(vec![" ", " AND ", " OR ", " NOT ", " -", " +", " && ", "||  "]);
        let clause = (inner, prop::sample::select(vec!["", "", "NOT ", "-", "+", "!"]), any::<bool>());
        prop::collection::vec((join, clause), 1..5).prop_map(|clauses| {
            let mut text = String::new();
            for (at, (join, (term, prefix, grouped))) in clauses.into_iter().enumerate() {
                if at > 0 {
                    text.push_str(join);
                }
                text.extend(if grouped { [prefix, "(", &term, ")"] } else { [prefix, &term, "", ""] });
            }
            text
        })
    })
}

proptest! {
    #[test]
    fn parsing_and_evaluating_any_text_does_not_panic(text in r#"[ a-z:()\[\]{}*?~^"\\+\-!&|ORANDTO0-9._é\u{a0}]{0,40}|\PC{0,40}"#) {
        if let Ok(query) = Query::parse(&text) {
            query.unsupported_by_auth0();
            if let Ok(filter) = query.filter() {
                for user in users() {
                    filter.matches(&parse_row(user.to_string().as_bytes(), &filter.extend_mask(ProjectionMask::default())).unwrap());
                }
            }
        }
    }

    #[test]
    fn a_displayed_query_parses_to_the_same_query(text in query()) {
        let Ok(query) = Query::parse(&text) else { return Ok(()) };
        let printed = query.to_string();
        let again = Query::parse(&printed);
        prop_assert!(again.is_ok(), "{} as {}: {}", text, printed, again.unwrap_err());
        let again = again.unwrap();
        prop_assert_eq!(&again.root, &query.root, "{} as {}", text, printed);
        prop_assert_eq!(&again.ambiguity, &None, "{}", printed);
    }

    #[test]
    fn any_quoted_or_escaped_value_matches(value in "\\PC{1,30}") {
        let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
        let user = json!({"username": value, "app_metadata": {"x": value}, "name": value});
        let escaped: String = value.chars().flat_map(|c| if c == 'u' { vec![c] } else { vec!['\\', c] }).collect();
        for query in [
            format!("app_metadata.x:\"{quoted}\""),
            format!("name:\"{}\"", quoted.to_ascii_uppercase()),
            format!("username:{escaped} AND name:{escaped} AND name:{escaped}*"),
        ] {
            prop_assert!(matches(&query, &user), "{}", query);
        }
    }

    #[test]
    fn wildcards_match_like_the_regular_expression(pattern in "[ab?*]{0,7}", text in "[ab]{0,9}") {
        prop_assume!(!pattern.is_empty());
        let expression: String = pattern.chars().map(|c| match c { '?' => ".".to_owned(), '*' => ".*".to_owned(), c => c.to_string() }).collect();
        let expected = matches_regex(&expression, &text);
        prop_assert_eq!(matches(&format!("username:{pattern}"), &json!({"username": text})), expected, "{} {}", pattern, text);
    }
}

/// Matches a pattern of `.`, `.*` and letters: the reference implementation.
fn matches_regex(pattern: &str, text: &str) -> bool {
    match (pattern.strip_prefix(".*"), pattern.chars().next()) {
        (Some(rest), _) => (0..=text.len()).any(|at| matches_regex(rest, &text[at..])),
        (None, None) => text.is_empty(),
        (None, Some(expected)) => {
            text.chars().next().is_some_and(|found| expected == '.' || expected == found)
                && matches_regex(&pattern[1..], &text[1..])
        }
    }
}
