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
fn an_error_of_an_inner_call_is_the_error_of_the_row() {
    let formula = formula("title_case(format_date(user.last_login, '%Y'))").unwrap();
    let users = [
        json!({"last_login": "2024-05-06T07:08:09Z"}),
        json!({"last_login": "never"}),
        json!({"last_login": "2023-01-01T00:00:00Z"}),
    ];
    let results = compute_all(&formula, &users);
    assert_eq!((&results[0], &results[2]), (&Ok(json!("2024")), &Ok(json!("2023"))));
    assert!(results[1].as_ref().unwrap_err().starts_with("format_date@1.0.0: "), "{results:?}");
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
        Node::Literal(Literal::Nothing) => "null".into(),
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
