//! Transform calls and JavaScript, in the real sandbox with the shipped transforms.

use std::io::Write;
use std::path::Path as FilePath;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::*;
use uie_core::config::{Purpose, Settings};
use uie_core::error::Result;
use uie_json::Cell;
use uie_sandbox::Sandbox;

/// Returns a context with this sandbox timeout. The data directory is below the build directory, so that compiled
/// transforms are reused by the next run.
fn context_with(timeout: &str) -> TransformContext {
    let data_dir = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("../../../target/tmp");
    std::fs::create_dir_all(&data_dir).unwrap();
    let data_dir = data_dir.display().to_string();
    let variables =
        [("DATA_DIR", data_dir.as_str()), ("SANDBOX_TIMEOUT", timeout), ("SECRET_KEY", "from the settings")];
    let variables = variables.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let settings = Settings::parse(Purpose::Local, variables, None).unwrap();
    TransformContext::new(&Sandbox::open(&settings).unwrap(), &settings.secrets).with_time(1_700_000_000_000.0)
}

/// A context with a short timeout, for expressions that exceed it.
fn context() -> &'static TransformContext {
    static CONTEXT: OnceLock<TransformContext> = OnceLock::new();
    CONTEXT.get_or_init(|| context_with("300ms"))
}

/// A context with a long timeout, for expressions that exceed another limit: slow memory allocation must not turn that
/// into a timeout.
fn patient_context() -> &'static TransformContext {
    static CONTEXT: OnceLock<TransformContext> = OnceLock::new();
    CONTEXT.get_or_init(|| context_with("30s"))
}

fn formula(source: &str) -> Result<Formula> {
    Formula::new(&Expression::parse(source)?, Some(context()))
}

/// Computes a formula that is not a path.
fn compute_all(formula: &Formula, users: &[JsonValue]) -> Vec<std::result::Result<JsonValue, String>> {
    let texts: Vec<String> = users.iter().map(ToString::to_string).collect();
    let mask = ProjectionMask::new(formula.paths());
    let users: Vec<_> = texts.iter().map(|text| parse_row(text.as_bytes(), &mask).unwrap()).collect();
    let mut evaluator = Evaluator::new([formula]);
    assert!(!evaluator.is_idle());
    let cells = evaluator.compute(&users.iter().map(RowValues::Tree).collect::<Vec<_>>()).remove(0);
    let value = |cell: Cell<'_>| transforms_sdk::Value::from(cell).into();
    cells.iter().map(|cell| cell.map(value).map_err(ToString::to_string)).collect()
}

fn value_of(source: &str, user: &JsonValue) -> std::result::Result<JsonValue, String> {
    let formula = formula(source).unwrap_or_else(|error| panic!("{source}: {error}"));
    compute_all(&formula, std::slice::from_ref(user)).remove(0)
}

fn ada() -> JsonValue {
    json!({
        "user_id": "auth0|1", "email": "ada@example.com", "name": "Ada", "logins_count": 3, "blocked": false,
        "last_login": "2024-05-06T07:08:09.000Z", "app_metadata": {"plan": "pro", "tags": ["a", "b"]},
        "identities": [{"provider": "auth0", "user_id": "1"}, {"provider": "github", "user_id": "2"}],
    })
}

#[test]
fn javascript_gets_only_the_attributes_that_it_reads() {
    for (expression, expected) in [
        ("user.email && user.email.split('@')[1]", "user.email"),
        ("user.identities.map(i => i.provider).join('|')", "user.identities"),
        (
            "user.app_metadata.name + user.app_metadata['full name']",
            "user.app_metadata.name user.app_metadata[\"full name\"]",
        ),
        ("user?.app_metadata?.a?.b.trim()", "user.app_metadata.a.b"),
        ("user.identities[0].provider.length + 1", "user.identities[0].provider.length"),
        ("(user.app_metadata).tags?.includes('x')", "user.app_metadata.tags"),
        ("(user.identities.map)(String)", "user.identities"),
        ("user.app_metadata[user.name]", "user.app_metadata user.name"),
        ("Object.keys(user).length", "user"),
        ("user[user.name]", "user"),
        ("user.toString()", "user"),
        ("JSON.stringify(user)", "user"),
        ("(u => u.name)(user)", "user"),
        ("(({ name }) => name)(user)", "user"),
        ("'name' in user", "user"),
        ("({ ...user.app_metadata })", "user.app_metadata"),
        ("user.identities.map(user => user.provider) + user.name", "user.identities user.name"),
        ("(() => { user.app_metadata.x = 1; return user.app_metadata.y })()", "user.app_metadata user.app_metadata.y"),
        ("(() => { delete user.name; return user.email })()", "user"),
        ("`${user.name}` + user.email", "user.name user.email"),
        ("new user.name()", "user"),
        ("user.name`x`", "user"),
        ("6 * 7", ""),
        ("user.name + Math.random()", "user.name user.user_id"),
    ] {
        let formula = formula(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
        let mut needs: Vec<String> = formula.paths().iter().map(ToString::to_string).collect();
        let mut expected: Vec<&str> = expected.split_inclusive(' ').collect();
        if expression.contains("full name") {
            expected = vec!["user.app_metadata.name", "user.app_metadata[\"full name\"]"];
        }
        needs.sort_unstable();
        let mut expected: Vec<&str> = expected.into_iter().map(str::trim).collect();
        expected.sort_unstable();
        assert_eq!(needs, expected, "{expression}");
    }
}

#[test]
fn javascript_is_computed() {
    let user = ada();
    for (expression, expected) in [
        ("user.email && user.email.split('@')[1]", json!("example.com")),
        ("user.identities.map(i => i.provider).join('|')", json!("auth0|github")),
        ("user.name.toUpperCase() // shouted", json!("ADA")),
        ("user.logins_count > 2 ? 'often' : 'rarely'", json!("often")),
        ("({ name: user.name, none: undefined })", json!({"name": "Ada"})),
        ("!user.blocked", json!(true)),
        ("user.app_metadata.tags.length + user.identities.length", json!(4)),
        ("Object.keys(user).length", json!(8)),
        ("Math.round((Date.now() - new Date(user.last_login)) / 864e5)", json!(-173)),
        ("new Date(user.last_login).getHours()", json!(7)),
        ("user.nowhere + undefined", JsonValue::Null),
        ("{ a: 1 }", json!({"a": 1})),
        ("function () { return 1 }()", json!(1)),
    ] {
        assert_eq!(value_of(expression, &user).as_ref(), Ok(&expected), "{expression}");
    }
}

#[test]
fn transforms_are_called_and_nested() {
    let user = ada();
    let mask = value_of("mask_email(user.email)", &user).unwrap();
    assert_eq!(mask, value_of("mask_email(\"ada@example.com\")", &user).unwrap());
    assert_eq!(value_of("split_part(user.email, '@', 2)", &user), Ok(json!("example.com")));
    assert_eq!(value_of("title_case(split_part(email || name, \"@\", 2))", &user), Ok(json!("Example.com")));
    assert_eq!(value_of("join(app_metadata.tags, '+')", &user), Ok(json!("a+b")));
    let named = value_of("pseudonymize(user.email, secret(\"KEY\"))", &user).unwrap();
    assert_eq!(named, value_of("pseudonymize(user.email, 'from the settings')", &user).unwrap());
    assert_ne!(named, value_of("pseudonymize(user.email, 'another key of the same kind')", &user).unwrap());
}

#[test]
fn arrays_and_objects_are_arguments() {
    let user = ada();
    for (expression, expected) in [
        (r#"join(["a", "b"], "-")"#, json!("a-b")),
        (r#"join(["a", -1, +2, 0.5, 1e21, true, null, undefined, 'b',], "|")"#, json!("a|-1|2|0.5|1e+21|true|b")),
        (r#"join([], "-")"#, json!("")),
        (r#"join([user.name, user.email], " ")"#, json!("Ada ada@example.com")),
        (r#"join([user.name, user.nowhere || "none", 7], " ")"#, json!("Ada none 7")),
        (r#"join([title_case(split_part(email, "@", 1)), user.name], "/")"#, json!("Ada/Ada")),
        (r#"join([user.nowhere, user.logins_count], ",")"#, json!("3")),
        (r#"lookup(user.app_metadata.plan, {"p": "Plain", "pro": "Pro"})"#, json!("Pro")),
        (r#"lookup(app_metadata.plan, {pro: "Pro", 'f': "Free", 1: "one"})"#, json!("Pro")),
        (r#"lookup(logins_count, {1: "one", 3: "three"}, "many")"#, json!("three")),
        (r#"lookup("x", {}, ["a", {"b": [1, {}]}])"#, json!(["a", {"b": [1, {}]}])),
        (r#"lookup("n", {"n": user.name, "tags": user.app_metadata.tags})"#, json!("Ada")),
        (r#"lookup("tags", {"n": user.name, "tags": user.app_metadata.tags})"#, json!(["a", "b"])),
        (
            r#"redact_keys({"a": 1, "b": {"a": [], "c": user.blocked}, "10": 1, "2": user.none}, "a")"#,
            json!({"2": null, "10": 1, "b": {"c": false}}),
        ),
        (
            r#"redact_keys({"__proto__": 1, "a": 1, "a": [user.name], "\u0061b": "\n\"ü😀"}, "x")"#,
            json!({"__proto__": 1, "a": ["Ada"], "ab": "\n\"ü😀"}),
        ),
        (
            r#"redact_keys([{"a": [[[user]]]}], "identities, app_metadata, last_login, user_id, name, email")"#,
            json!([{"a": [[[{"logins_count": 3, "blocked": false}]]]}]),
        ),
    ] {
        let formula = formula(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
        assert_eq!(formula.kind(), Kind::Transform, "{expression}");
        // An expression over no attribute is computed as well.
        assert_eq!(value_of(expression, &user).as_ref(), Ok(&expected), "{expression}");
    }
    let formula = formula(r#"join([user.name, title_case(user.email), [user.app_metadata.plan]], "-")"#).unwrap();
    let paths: Vec<String> = formula.paths().iter().map(ToString::to_string).collect();
    assert_eq!(paths, ["user.name", "user.email", "user.app_metadata.plan"]);
}

#[test]
fn an_error_of_a_call_inside_an_array_is_the_error_of_the_row() {
    let formula = formula("join([name, format_date(user.last_login, '%Y')], ' ')").unwrap();
    let users = [json!({"name": "Ada", "last_login": "2024-05-06T07:08:09Z"}), json!({"last_login": "never"})];
    let results = compute_all(&formula, &users);
    assert_eq!(results[0], Ok(json!("Ada 2024")));
    assert!(results[1].as_ref().unwrap_err().starts_with("format_date@"), "{results:?}");
}

/// A value as a literal of an expression, with the liberties of JavaScript in its form.
fn as_literal(value: &JsonValue, depth: usize) -> String {
    let blank = if depth.is_multiple_of(2) { "" } else { " " };
    match value {
        JsonValue::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| as_literal(item, depth + 1)).collect();
            format!(
                "[{blank}{}{}]",
                items.join(&format!(",{blank}")),
                if depth == 1 && !items.is_empty() { "," } else { "" }
            )
        }
        JsonValue::Object(members) => {
            let member = |(name, value): (&String, &JsonValue)| {
                format!("{}{blank}:{}", JsonValue::from(name.as_str()), as_literal(value, depth + 1))
            };
            format!("{{{}{blank}}}", members.iter().map(member).collect::<Vec<_>>().join(","))
        }
        leaf => leaf.to_string(),
    }
}

#[test]
fn a_literal_arrives_like_the_same_value_from_a_path() {
    let by_path = formula("lookup('x', {}, user.v)").unwrap();
    for value in sample(any_json(), 150) {
        let literal = as_literal(&value, 0);
        let user = json!({"v": value, "w": value});
        let expected = compute_all(&by_path, std::slice::from_ref(&user));
        // Once as a constant, once with a gap for a value of the user.
        for source in [
            format!("lookup('x', {{}}, {literal})"),
            format!("lookup('v', {{'v': {literal}, 'w': user.w}})"),
            format!("lookup('w', {{'v': {literal}, 'w': user.w}})"),
        ] {
            let results = compute_all(
                &formula(&source).unwrap_or_else(|error| panic!("{source}: {error}")),
                std::slice::from_ref(&user),
            );
            assert_eq!(results, expected, "{source}");
            assert_eq!(results[0].as_ref().map(ToString::to_string), expected[0].as_ref().map(ToString::to_string));
        }
    }
}

#[test]
fn a_projection_gives_the_values_inside_arrays_in_their_order() {
    let sources =
        ["join([user.a, title_case(user.b), user.c || user.d], ' ')", "user.c", "lookup(user.a, {\"x\": user.d})"];
    let formulas: Vec<Formula> = sources.iter().map(|source| formula(source).unwrap()).collect();
    let extra = Path::attribute("user_id");
    let projection = formula_projection(&formulas, &extra).expect("no JavaScript");
    let users = [r#"{"a":"x","b":"b","c":"","d":"d"}"#, r#"{"a":1,"b":null,"c":"c"}"#, r#"{"d":[1],"a":"x"}"#];
    let mut buffer = projection.new_buffer_for(users.len());
    let mut keep = |user: &'static str| {
        projection.parse_whole(user, &mut buffer).unwrap();
        projection.keep_row(&mut buffer)
    };
    let rows = users.map(&mut keep);
    let views = rows.map(|row| RowValues::View(projection.kept_row(row, &buffer)));
    let by_projection = Evaluator::new(&formulas).compute(&views);
    let mask = ProjectionMask::new(formulas.iter().flat_map(Formula::paths));
    let trees: Vec<_> = users.iter().map(|user| parse_row(user.as_bytes(), &mask).unwrap()).collect();
    let by_tree = Evaluator::new(&formulas).compute(&trees.iter().map(RowValues::Tree).collect::<Vec<_>>());
    for (left, right) in by_projection.iter().zip(&by_tree) {
        let values = |cells: &Cells| cells.iter().map(|cell| format!("{cell:?}")).collect::<Vec<_>>();
        assert_eq!(values(left), values(right));
    }
    assert_eq!(by_tree.len(), 2);
}

#[test]
fn literals_that_every_row_would_refuse_are_found_before_the_job() {
    let error = |source: &str| match formula(source) {
        Ok(_) => panic!("{source} is accepted"),
        Err(error) => error.message.to_string(),
    };
    let zone = error("format_date(user.last_login, '%d.%m.%Y %H:%M', 'Europe/Berln')");
    assert!(zone.contains("did you mean Europe/Berlin?"), "{zone}");
    assert!(error("lookup(user.name, ['a'])").contains("`table` is an array; an object is expected"));
    assert!(error("split_part(user.name, '', 1)").contains("`separator` is empty"));
    assert!(error("title_case(format_date(user.last_login, '%Y', 'Nowhere/City'))").contains("Nowhere/City"));
    // A value of the user is a matter of the row, and a secret is not tried.
    for accepted in [
        "format_date(user.last_login, '%Y', user.user_metadata.zone)",
        "format_date(user.last_login, '%Y', 'Europe/Berlin')",
        "pseudonymize(user.email, 'short')",
        "lookup(user.name, user.app_metadata)",
    ] {
        assert!(formula(accepted).is_ok(), "{accepted}");
    }
}

#[test]
fn dates_are_written_in_the_time_of_a_zone() {
    for (moment, expected) in
        [("2026-11-20T10:00:00.000Z", "20.11.2026 11:00"), ("2026-07-20T10:00:00.000Z", "20.07.2026 12:00")]
    {
        let user = json!({"last_login": moment});
        let source = "format_date(user.last_login, \"%d.%m.%Y %H:%M\", \"Europe/Berlin\")";
        assert_eq!(value_of(source, &user), Ok(json!(expected)));
    }
}

#[test]
fn examples_of_the_documentation_give_the_cells_beside_them() {
    let document = include_str!("../../../../../docs/expressions.md");
    let (_, section) = document.split_once("\n## Transforms\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let (_, json) = section.split_once("```json\n").unwrap();
    let user: JsonValue = serde_json::from_str(json.split_once("```").unwrap().0).unwrap();
    let mut computed = 0;
    for row in section.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix("` |")) {
        let Some((call, cell)) = row.split_once("` | `") else { continue };
        let value = value_of(call, &user).unwrap_or_else(|fault| panic!("{call}: {fault}"));
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        assert_eq!(text, cell, "{call}");
        computed += 1;
    }
    assert_eq!(computed, 15);
}

#[test]
fn remarks_name_what_probably_gives_other_cells_than_expected() {
    let remarks = |source: &str| -> Vec<String> {
        let formula = formula(source).unwrap_or_else(|error| panic!("{source}: {error}"));
        let remark =
            |remark: &ExpressionRemark| format!("{}{}", if remark.in_files { "" } else { "tenant: " }, remark.message);
        formula.remarks().iter().map(remark).collect()
    };
    let all: Vec<String> = [
        "user.emial",
        "emailVerified",
        "user.Email",
        "user.nickname || user.nick_name",
        "user.shoe_size",
        "user.password_hash",
        "user.roles",
        "user.organizations[0].name",
        "user.guardian_authenticators",
        "user.blocked_for",
        "mask_email(user.emial)",
        "join([user.roles, user.name], ',')",
        "user.emial.split('@')[1]",
        "new Date(user.last_login).toLocaleString(\"de-DE\",{timeZone:\"Europe/Berlin\"})",
        "new Date(user.created_at)?.toLocaleDateString('de')",
        "user.logins_count.toLocaleString('de', { 'timeZone': user.zoneinfo })",
        "user.name.toLocaleUpperCase('tr') + user.name.localeCompare(user.email, 'sv')",
    ]
    .iter()
    .map(|source| format!("{source}\n  {}", remarks(source).join("\n  ")))
    .collect();
    insta::assert_snapshot!(all.join("\n"));
    for silent in [
        "user",
        "user.email",
        "user.app_metadata.roles",
        "user.user_metadata.shoe_size",
        "user?.identities?.[0]?.connection",
        "user.multifactor[0]",
        "'text'",
        "user.name.toLocaleUpperCase() + new Date(user.last_login).toLocaleString()",
        "user.name.localeCompare(user.email)",
        "user.identities.map(i => i.roles)",
    ] {
        assert_eq!(remarks(silent), Vec::<String>::new(), "{silent}");
    }
}

#[test]
fn an_error_of_an_inner_call_is_the_error_of_the_row() {
    let formula = formula("title_case(format_date(user.last_login, '%Y'))").unwrap();
    let users = [
        json!({"last_login": "2024-05-06T07:08:09Z"}),
        json!({"last_login": "never"}),
        json!({"last_login": "2023-01-01T00:00:00Z"}),
    ];
    let results = compute_all(&formula, &users);
    assert_eq!((&results[0], &results[2]), (&Ok(json!("2024")), &Ok(json!("2023"))));
    assert!(results[1].as_ref().unwrap_err().starts_with("format_date@1.1.0: "), "{results:?}");
}

#[test]
fn secrets_are_masked() {
    let hidden = formula("pseudonymize(user.email, 'a literal') ").unwrap();
    assert_eq!(hidden.masked_source(), "pseudonymize(user.email, ***)");
    let nested = formula("title_case( pseudonymize(name || 'ü', \"a literal\" ) )").unwrap();
    assert_eq!(nested.masked_source(), "title_case( pseudonymize(name || 'ü', *** ) )");
    assert_eq!(
        formula("pseudonymize(email, secret('KEY'))").unwrap().masked_source(),
        "pseudonymize(email, secret('KEY'))"
    );
    for formula in [hidden, nested] {
        assert!(!format!("{formula:?}").contains("literal"));
    }
}

#[test]
fn invalid_expressions_are_found_before_the_job() {
    let all: Vec<String> = [
        "mask_emial(user.email)",
        "nothing_like_it(user.email)",
        "mask_email()",
        "mask_email(user.email, 1, 2, 3, 4)",
        "split_part(user.email, 5, 1)",
        "split_part(user.email, '@', 'two')",
        "mask_email(user)",
        "mask_email(secret('KEY'))",
        "pseudonymize(user.email, user.name)",
        "pseudonymize(user.email, 5)",
        "pseudonymize(user.email, secret('KEI'))",
        "pseudonymize(user.email, secret())",
        "secret('KEY')",
        "mask_email(user.email).trim()",
        "mask_email(user.email) || user.name",
        "mask_email([user.email])",
        "mask_email({\"a\": 1})",
        "join([user.email, mask_emial(user.email)], '-')",
        "join([secret('KEY')], '-')",
        "pseudonymize(user.email, ['a', 'literal'])",
        "pseudonymize(user.email, ['a', user.literal])",
        "join([user.email.trim()], '-')",
        "join([1, 2, '-')",
        "join([1 2], '-')",
        "join([...user.list], '-')",
        "lookup(user.plan, {name})",
        "lookup(user.plan, {a: 1, b})",
        "lookup(user.plan, ['p'])",
        "format_date(user.last_login, '%Y', 'Europe/Berln')",
        "Intl.DateTimeFormat('de').format(user.last_login)",
        "email.trim()",
        "a + user.b",
        "toUpper(user.name)",
        "user.name.trim() + arguments[0]",
        "user.name.trim(",
        "user.name.trim())",
        "user.a ? user.b",
        "user.a; user.b",
        "(x => x.y = 1)(user), x = 2",
        "user.n++ + 1",
        "import('x')",
        "user.a &&",
        "user.a +* 2",
        "return user.a",
        "let x = 1",
        "'abc' + \"",
        "user.name.replace(/(/, '')",
        "user.größe.trim() + + %",
    ]
    .iter()
    .map(|expression| match formula(expression) {
        Ok(formula) => format!("{expression}: {:?} is accepted", formula.kind()),
        Err(error) => format!("[{}] {error}", error.code.as_str()),
    })
    .collect();
    insta::assert_snapshot!(all.join("\n\n"));
}

#[test]
fn long_expressions_are_refused_and_deep_ones_do_not_overflow_the_stack() {
    let long = |text: &str, times: usize| text.repeat(times);
    assert!(formula(&format!("'{}'.length", long("x", 1 << 20))).is_err());
    for path in ["user".to_owned() + &long("[0]", 20_000), "user".to_owned() + &long(".a", 128)] {
        for expression in [path.clone(), format!("join({path}, ',')"), format!("name || {path}")] {
            let error = formula(&expression).expect_err("too long");
            assert!(error.message.contains("more than 127 steps"), "{error}");
        }
        // JavaScript may have a path of any length; recursion over it must not overflow the stack.
        let formula = formula(&format!("1 && {path}")).expect("JavaScript");
        let fault = compute_all(&formula, &[json!({"a": 1})]).remove(0).expect_err("the value is undefined");
        assert!(fault.contains("TypeError"), "{fault}");
    }
    for hostile in [
        long("!", 60_000) + "user.a",
        long("(", 30_000) + "user.a+1" + &long(")", 30_000),
        long("[", 60_000),
        long("a=>", 20_000) + "1",
        long("- ", 30_000) + "1n",
        long("`${", 20_000),
        long("1?", 15_000) + "1" + &long(":1", 15_000),
        long("new ", 15_000) + "Date",
        "1+".to_owned() + &long("2**", 20_000) + "2",
        "user.a".to_owned() + &long(".b()", 15_000),
        long("typeof ", 9_000) + "1",
    ] {
        // It may be refused, but must not overflow the stack.
        let _ = Expression::parse(&hostile);
    }
}

#[test]
fn a_hostile_row_does_not_affect_other_rows() {
    const TIME: &str = "time limit";
    for (expression, expected) in [
        ("user.bad ? (() => { while (true) {} })() : 'good'", TIME),
        ("user.bad ? /^(a+)+$/.test('a'.repeat(40) + '!') : 'good'", TIME),
        ("user.bad ? (() => { const all = []; for (;;) all.push('x'.repeat(1e5) + all.length) })() : 'good'", "memory"),
        ("user.bad ? 'x'.repeat(1e9) : 'good'", ""),
        ("user.bad ? (function f() { return f() })() : 'good'", "RangeError: Maximum call stack size exceeded"),
        ("user.bad ? user.nowhere.x : 'good'", "TypeError: cannot read property 'x' of undefined"),
        ("user.bad ? (() => { throw 'by hand' })() : 'good'", "threw by hand"),
        ("user.bad ? eval('1') : 'good'", "EvalError: a text cannot become code here"),
        ("user.bad ? Function('return 1')() : 'good'", "EvalError: a text cannot become code here"),
        (
            "user.bad ? (() => { Array.prototype.map = null; String.prototype.trim = null; throw 1 })() : ' good '.trim()",
            "threw 1",
        ),
        ("user.bad ? 'x'.repeat(3e6) : 'good'", "1.0 MiB"),
        ("user.bad ? JSON.parse('['.repeat(50000)) : 'good'", ""),
        ("user.bad ? (() => { let a = []; for (let i = 0; i < 1e5; i++) a = [a]; return a })() : 'good'", ""),
    ] {
        let context = if expected == TIME { context() } else { patient_context() };
        let formula = Expression::parse(expression).and_then(|expression| Formula::new(&expression, Some(context)));
        let formula = formula.unwrap_or_else(|error| panic!("{expression}: {error}"));
        let users: Vec<_> = (0..5).map(|row| json!({"bad": row == 2})).collect();
        let results = compute_all(&formula, &users);
        for (row, result) in results.iter().enumerate() {
            if row == 2 {
                let fault = result.as_ref().expect_err(expression);
                assert!(fault.starts_with("javascript@1.0.0: ") && fault.contains(expected), "{expression}: {fault}");
            } else {
                assert_eq!(result, &Ok(json!("good")), "{expression}, row {row}");
            }
        }
    }
}

/// Returns the path as JavaScript, with `?.` for every access.
fn as_javascript(node: &Node) -> String {
    let joined = |nodes: &[Node], operator: &str| {
        nodes.iter().map(|node| format!("({})", as_javascript(node))).collect::<Vec<_>>().join(operator)
    };
    match node {
        Node::Access(keys) => {
            let keys = keys.iter().map(|key| format!("?.[{}]", JsonValue::from(key.name.as_str())));
            format!("user{}", keys.collect::<String>())
        }
        Node::Literal(Literal::Nothing | Literal::Null) => "null".into(),
        Node::Literal(_) => Path(node.clone()).to_string(),
        Node::Or(nodes) => joined(nodes, " || "),
        Node::Nullish(nodes) => joined(nodes, " ?? "),
    }
}

/// Returns `count` values of a strategy, the same in every run.
fn sample<T: std::fmt::Debug>(strategy: impl Strategy<Value = T>, count: usize) -> Vec<T> {
    let mut runner = TestRunner::deterministic();
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

#[test]
fn paths_evaluate_like_the_javascript_engine() {
    let users = sample(any_user(), 60);
    for node in sample(any_node(), 60) {
        // The arrow function makes it JavaScript, so that the engine computes it.
        let code = format!("(() => {})()", as_javascript(&node));
        let formula = formula(&code).unwrap_or_else(|error| panic!("{code}: {error}"));
        assert_eq!(formula.kind(), Kind::JavaScript);
        let path = Path(node);
        let mask = ProjectionMask::new([&path]);
        for (user, result) in users.iter().zip(compute_all(&formula, &users)) {
            let text = user.to_string();
            let row = parse_row(text.as_bytes(), &mask).unwrap();
            let native = JsonValue::from(transforms_sdk::Value::from(path.evaluate(&row)));
            assert_eq!(result.as_ref(), Ok(&native), "{code} of {text}");
        }
    }
}

/// Generated JavaScript expressions, from common to unusual ones.
fn any_script() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "user.name",
        "user.email",
        "user.n",
        "user.m",
        "user.list",
        "user.words",
        "user.meta",
        "user.meta.deep",
        "user.flag",
        "user.none",
        "user.nowhere",
        "user.when",
        "user",
        "'x'",
        "'a-b-c'",
        "''",
        "0",
        "1",
        "-1.5",
        "2",
        "10",
        "1e21",
        "NaN",
        "null",
        "undefined",
        "true",
        "false",
        "[]",
        "({})",
        "[1, 2, 3]",
        "/[aeiou]/g",
        "'äöü ß'",
        "3n",
        "Infinity",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(4, 24, 3, |inner| {
        let methods = prop::sample::select(vec![
            "toUpperCase()", "toLowerCase()", "trim()", "split('')", "split('@')[1]", "split(/[ -]/)", "slice(1)", "slice(-2)",
            "slice(0, 2)", "at(-1)", "charAt(1)", "charCodeAt(0)", "padStart(8, '*')", "padEnd(5)", "repeat(2)", "includes('a')",
            "indexOf('a')", "startsWith('a')", "replace(/a/g, 'A')", "replace('a', x => x + x)", "replaceAll('a', '$&$&')",
            "match(/(.)(.)/)", "search(/b/)", "normalize('NFD')", "length", "toString()", "join('|')", "map(x => x)",
            "map(String)", "map((x, i) => i)", "filter(Boolean)", "reverse()", "sort()", "sort((a, b) => a - b)", "concat(1, [2])",
            "flat()", "flatMap(x => [x, x])", "some(x => x)", "every(x => x)", "find(x => x > 1)", "findIndex(x => x == 2)",
            "reduce((a, b) => a + b)", "reduce((a, b) => a + b, '')", "reduce((a, x) => ({ ...a, [x]: 1 }), {})", "keys", "entries()",
            "toFixed(2)", "toPrecision(3)", "toString(2)", "toExponential(2)", "valueOf()", "hasOwnProperty('a')", "constructor.name",
            "toSorted()", "toSpliced(0, 1)", "with(0, 9)", "lastIndexOf('a')", "codePointAt(0)", "isWellFormed()", "findLast(x => x)",
        ]);
        let calls = prop::sample::select(vec![
            "String", "Number", "Boolean", "parseInt", "parseFloat", "isNaN", "isFinite", "encodeURIComponent", "encodeURI", "escape",
            "JSON.stringify", "Object.keys", "Object.values", "Object.entries", "Array.isArray", "Array.from", "Math.round", "Math.floor",
            "Math.abs", "Math.max", "Math.trunc", "Math.sign", "Number.isInteger", "Object.fromEntries", "new Date", "new Set", "typeof ",
            "!", "-", "+", "~", "void ", "BigInt", "decodeURIComponent", "Object.getOwnPropertyNames", "(x => [...x])",
            "(([a, b = 2]) => [b, a])", "(({ a, ...rest }) => rest)", "Symbol", "(x => { try { return x.y.z } catch (e) { return e.name } })",
            "(x => { let n = 0; for (const y of x) n += y; return n })", "(x => { const out = []; for (const k in x) out.push(k); return out })",
            "(function () { return arguments.length })", "structured", "JSON.parse", "new Date(0).setUTCFullYear", "Object.freeze",
        ].into_iter().filter(|call| *call != "structured").collect::<Vec<_>>());
        let operators = prop::sample::select(vec![
            "+", "-", "*", "/", "%", "**", "==", "===", "!=", "!==", "<", "<=", ">", ">=", "&&", "||", "&", "|", "^", "<<", ">>", ">>>",
            "in", "instanceof", ",",
        ]);
        prop_oneof![
            3 => (inner.clone(), methods).prop_map(|(of, method)| format!("({of}).{method}")),
            1 => (inner.clone(), inner.clone()).prop_map(|(of, key)| format!("({of})?.[{key}]")),
            3 => (calls, inner.clone()).prop_map(|(call, argument)| format!("{call}({argument})")),
            3 => (inner.clone(), operators, inner.clone()).prop_map(|(left, operator, right)| format!("(({left}) {operator} ({right}))")),
            1 => (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("(({left}) ?? ({right}))")),
            1 => (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("(({a}) ? ({b}) : ({c}))")),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("`${{{a}}}/${{{b}}}`")),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("[({a}), ({b})]")),
            1 => (inner.clone(), inner).prop_map(|(a, b)| format!("({{ a: ({a}), b: ({b}) }})")),
        ]
    })
}

fn some_users() -> Vec<JsonValue> {
    vec![
        json!({"name": "Ada Lovelace", "email": "ada@example.com", "n": 3, "m": 0.1, "list": [3, 1, 10, 2], "words": ["b", "a", "ä"],
            "meta": {"a": 1, "deep": {"x": [1, {"y": null}]}, "10": "t", "2": "u"}, "flag": true, "none": null, "when": "2024-02-29T12:34:56.789Z"}),
        json!({"name": "", "email": "Zoë👩‍🚀@bücher.example", "n": -7.25, "m": 1e300, "list": [], "words": ["aXa", "", "😀"],
            "meta": {"constructor": "own", "toString": 5, "deep": []}, "flag": false, "none": null, "when": "2024-02-30"}),
        json!({"name": "a a-a", "email": null, "n": 4_294_967_296.0, "m": -0.0, "list": [[1, [2]], null, "1", false], "words": [],
            "meta": {"length": 2, "0": "p", "__proto__": {"q": 1}}, "when": 0}),
        json!({"name": 5, "email": ["not", "text"], "n": "12px", "list": "abc", "words": {"a": 2}, "meta": "str", "flag": "no"}),
        json!({}),
    ]
}

/// Users with the attributes that the generated expressions read, of every type.
fn any_scripted_user() -> impl Strategy<Value = JsonValue> {
    const READ: &[&str] = &["name", "email", "n", "m", "list", "words", "meta", "flag", "none", "when"];
    prop::collection::btree_map(prop::sample::select(READ), any_json(), 0..10)
        .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

#[test]
fn javascript_evaluates_like_in_node() {
    const PROGRAM: &str = r"
        const { scripts, users } = JSON.parse(require('fs').readFileSync(0, 'utf8'));
        const whole = text => text.replace(/\\(?:ud[89a-f][0-9a-f]{2}|.)/g, e => e.startsWith('\\ud') ? '\ufffd' : e);
        const cell = value => {
            if (typeof value === 'bigint') return String(value);
            const json = JSON.stringify({ value });
            return JSON.parse(whole(json)).value ?? null;
        };
        console.log(JSON.stringify(scripts.map(script => {
            const compute = new Function('user', 'return (\n' + script + '\n)');
            return users.map(user => {
                try { return { value: cell(compute(structuredClone(user))) } } catch (error) { return { error: String(error) } }
            });
        })));";
    let node = Command::new("node")
        .args(["-e", PROGRAM])
        .env("TZ", "UTC")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut node) = node else {
        eprintln!("skipped: node is not installed");
        return;
    };
    // Other tests compare paths. Source texts of functions and the current time differ between engines.
    let is_excluded = |script: &str| script.contains("setUTCFullYear()") || script.contains("new Date())");
    let mut scripts: Vec<String> =
        sample(any_script(), 1500).into_iter().filter(|script| !is_excluded(script)).collect();
    scripts.retain(|script| Expression::parse(script).is_ok_and(|expression| expression.kind() == Kind::JavaScript));
    scripts.truncate(400);
    let mut users = some_users();
    users.extend(sample(any_scripted_user(), 25));
    let input = json!({"scripts": scripts, "users": users}).to_string();
    node.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = node.wait_with_output().unwrap();
    assert!(output.status.success());
    let expected: Vec<Vec<JsonValue>> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(expected.len(), scripts.len());
    let mut wrong = Vec::new();
    for (script, expected) in scripts.iter().zip(expected) {
        let results = match formula(script) {
            Ok(formula) => compute_all(&formula, &users),
            Err(error) => {
                wrong.push(format!("{script}: {error}"));
                continue;
            }
        };
        for ((user, result), expected) in users.iter().zip(results).zip(expected) {
            let same = match (&result, expected.get("value")) {
                (Ok(value), Some(expected)) => value == expected || same_number(value, expected),
                (Err(_), None) => true,
                _ => false,
            };
            if !same {
                wrong.push(format!("{script} of {user}: {result:?}, node has {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), scripts.len() * users.len(), wrong.join("\n"));
}

/// Compares JSON values; 5 and 5.0 are the same number in JavaScript.
fn same_number(one: &JsonValue, other: &JsonValue) -> bool {
    match (one, other) {
        (JsonValue::Number(one), JsonValue::Number(other)) => one.as_f64() == other.as_f64(),
        (JsonValue::Array(one), JsonValue::Array(other)) => {
            one.len() == other.len()
                && one.iter().zip(other).all(|(one, other)| one == other || same_number(one, other))
        }
        (JsonValue::Object(one), JsonValue::Object(other)) => {
            one.len() == other.len()
                && one.iter().zip(other).all(|((key, one), (other_key, other))| {
                    key == other_key && (one == other || same_number(one, other))
                })
        }
        _ => false,
    }
}
