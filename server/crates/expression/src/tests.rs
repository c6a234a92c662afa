mod computed;

use proptest::prelude::*;
use serde_json::{Value as JsonValue, json};

use uie_json::{Key, Literal, Node, Path, ProjectionMask, parse_row};

use super::*;

/// Computes a path for a user, who is read with the mask of that path only.
fn compute(expression: &str, user: &JsonValue) -> JsonValue {
    compute_text(expression, &user.to_string())
}

fn compute_text(expression: &str, user: &str) -> JsonValue {
    let expression = Expression::parse(expression).unwrap();
    let path = expression.path().unwrap();
    let user = parse_row(user.as_bytes(), &ProjectionMask::new([path])).unwrap();
    let value: transforms_sdk::Value = path.evaluate(&user).into();
    value.into()
}

fn kind(expression: &str) -> Kind {
    Expression::parse(expression).unwrap_or_else(|error| panic!("{expression}: {error}")).kind()
}

#[test]
fn paths_return_attributes() {
    let user = json!({
        "name": "Ada",
        "app_metadata": {"name": "Countess", "a b": {"c": [1, 2, {"d": false}]}, "2fa": 7, "größe": "m", "class": "x"},
        "identities": [{"connection": "db", "isSocial": false}],
        "user": "inner",
    });
    for (expression, expected) in [
        ("user.app_metadata.name", json!("Countess")),
        ("app_metadata.name", json!("Countess")),
        (" user . app_metadata\n.name ", json!("Countess")),
        ("user?.app_metadata?.name", json!("Countess")),
        ("user /* who */ .name // what", json!("Ada")),
        ("identities[0].connection", json!("db")),
        ("user.identities?.[0].isSocial", json!(false)),
        ("user['identities'][\"0\"].connection", json!("db")),
        ("identities[1].connection", JsonValue::Null),
        ("identities[0x0].connection", json!("db")),
        ("identities.length", json!(1)),
        ("user.app_metadata[\"a b\"]['c'][2].d", json!(false)),
        ("app_metadata['2fa']", json!(7)),
        ("app_metadata.größe", json!("m")),
        ("app_metadata['gr\\u00f6\\xdfe']", json!("m")),
        ("app_metadata.class", json!("x")),
        ("(user.app_metadata).name", json!("Countess")),
        ("user.user", json!("inner")),
        ("user.nowhere.at.all[3].length", JsonValue::Null),
        ("name.length", json!(3)),
        ("name[1]", json!("d")),
        ("name[3]", JsonValue::Null),
        ("name[0][0][0]", json!("A")),
        ("user", user.clone()),
        ("identities", json!([{"connection": "db", "isSocial": false}])),
    ] {
        assert_eq!(compute(expression, &user), expected, "{expression}");
    }
}

#[test]
fn alternatives_have_the_meaning_of_javascript() {
    let user = json!({
        "empty": "", "zero": 0, "minus": -0.0, "no": false, "nil": null, "list": [], "object": {}, "text": "0", "n": 0.5,
    });
    for (expression, expected) in [
        ("empty || 'x'", json!("x")),
        ("zero || 'x'", json!("x")),
        ("minus || 'x'", json!("x")),
        ("no || 'x'", json!("x")),
        ("nil || 'x'", json!("x")),
        ("nowhere || 'x'", json!("x")),
        ("list || 'x'", json!([])),
        ("object || 'x'", json!({})),
        ("text || 'x'", json!("0")),
        ("n || 'x'", json!(0.5)),
        ("empty ?? 'x'", json!("")),
        ("zero ?? 'x'", json!(0)),
        ("no ?? 'x'", json!(false)),
        ("nil ?? 'x'", json!("x")),
        ("nowhere ?? nil ?? zero ?? 1", json!(0)),
        ("nowhere || nil || zero", json!(0)),
        ("(nowhere ?? empty) || 'x'", json!("x")),
        ("nowhere ?? (empty || 'x')", json!("x")),
        ("undefined ?? -1.5e1", json!(-15)),
        ("null || true", json!(true)),
        ("'\\u{1F600}' || 1", json!("😀")),
        ("nil ?? 1_000", json!(1000)),
    ] {
        assert_eq!(compute(expression, &user), expected, "{expression}");
    }
}

#[test]
fn strings_are_indexed_by_utf_16_unit() {
    let user = json!({"name": "a😀é"});
    assert_eq!(compute("name.length", &user), json!(4));
    assert_eq!(compute("name[3]", &user), json!("é"));
    assert_eq!(compute("name[1]", &user), json!("\u{fffd}"));
    assert_eq!(compute("name[4]", &user), JsonValue::Null);
}

#[test]
fn inherited_methods_are_truthy_and_empty_as_cells() {
    let user = json!({"name": "Ada", "list": [], "n": 5, "meta": {"link": "here", "map": {"x": 1}}});
    assert_eq!(compute("meta.link", &user), json!("here"));
    assert_eq!(compute("meta.map.x", &user), json!(1));
    assert_eq!(compute("meta.trim || 'x'", &user), json!("x"));
    assert_eq!(compute("name.link || 'x'", &user), JsonValue::Null);
    assert_eq!(compute("list.map ?? 'x'", &user), JsonValue::Null);
    assert_eq!(compute("name.link.length", &user), json!(1));
    assert_eq!(compute("name.trimLeft.name", &user), json!("trimStart"));
    assert_eq!(compute("n.toFixed.name", &user), json!("toFixed"));
    assert_eq!(compute("n.trim ?? 'x'", &user), json!("x"));
}

#[test]
fn paths_with_names_that_every_value_inherits_are_javascript() {
    for expression in ["user.constructor", "name.toString", "user.a.__proto__", "user['valueOf']", "hasOwnProperty"] {
        assert_eq!(kind(expression), Kind::JavaScript, "{expression}");
    }
}

#[test]
fn json_is_read_like_in_javascript() {
    let text = r#"{"m":{"b":1,"10":"ten","a":2,"2":"two","b":3,"01":0,"n":698e-3,"big":12345678901234567890,"i":1e2}}"#;
    let expression = Expression::parse("m").unwrap();
    let path = expression.path().unwrap();
    let user = parse_row(text.as_bytes(), &ProjectionMask::new([path])).unwrap();
    let mut out = Vec::new();
    path.evaluate(&user).write_json(&mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        r#"{"2":"two","10":"ten","b":3,"a":2,"01":0,"n":0.698,"big":12345678901234567000,"i":100}"#
    );
    assert_eq!(compute_text("a", r#"{"a":1,"\u0061":2}"#), json!(2), "the last of two equal names wins");
    assert_eq!(compute_text("a.length", r#"{"a":"\ud83d"}"#), json!(1), "an unpaired surrogate is one unit");
}

#[test]
fn objects_with_many_members_keep_the_last_value_of_a_name() {
    let members: Vec<String> = (0..100).chain(0..50).map(|n| format!("\"k{}\":{}", n, n * 2)).collect();
    let text = format!("{{\"m\":{{{},\"k7\":\"last\"}}}}", members.join(","));
    let read = compute_text("m", &text);
    assert_eq!(read.as_object().unwrap().len(), 100);
    assert_eq!(read["k7"], json!("last"));
    assert_eq!(read["k99"], json!(198));
}

#[test]
fn a_mask_lists_the_root_attributes_of_its_paths() {
    let parsed: Vec<Expression> =
        ["user.a.b || c[0]", "a.d ?? 'x'", "name.length"].iter().map(|e| Expression::parse(e).unwrap()).collect();
    let mask = ProjectionMask::new(parsed.iter().map(|expression| expression.path().unwrap()));
    assert_eq!(mask.attributes(), Some(vec!["a", "c", "name"]));
    let whole = Expression::parse("user").unwrap();
    assert_eq!(ProjectionMask::new([whole.path().unwrap()]).attributes(), None);
}

#[test]
fn expressions_are_classified() {
    for expression in ["a", "user.a || 'x'", "a ?? (b || c)", "user?.[0]", "'x'", "0x10", "null", "-1", "+1"] {
        assert_eq!(kind(expression), Kind::Path, "{expression}");
    }
    for expression in [
        "mask_email(user.email)",
        "a(b(c), 'x', 1)",
        "format_date(user.last_login, \"%Y-%m-%d\")",
        "f(a || b,)",
        "f()",
        "f([])",
        "f({})",
        "f([a, 'b', -1, null], {\"c\": [g(user.d)], e: {}, 1: true,},)",
    ] {
        assert_eq!(kind(expression), Kind::Transform, "{expression}");
    }
    for expression in [
        "String(user.a)",
        "isNaN(a)",
        "user.name.toUpperCase()",
        "a + b",
        "a && b",
        "a ? b : c",
        "`${user.name}`",
        "!a",
        "typeof a",
        "a in b",
        "x => x",
        "/a=b/.test(user.name)",
        "user[a]",
        "(a || b).c",
        "'abc'.length",
        "[a, b]",
        "({a: 1})",
        "this",
        "NaN",
        "a, b",
        "mask(a) || b",
        "1n",
        "'\\ud83d'",
        "us\\u0065r",
        "a`x`",
        "a || b && c",
        "a?.(b)",
        "new Date(user.created_at)",
        "f([a + 1])",
        "f([...a])",
        "f([,])",
        "f([1].length)",
        "f({a})",
        "f({[a]: 1})",
        "f({a() {}})",
    ] {
        assert_eq!(kind(expression), Kind::JavaScript, "{expression}");
    }
}

#[test]
fn errors_show_the_place() {
    let report = |expression: &str| {
        let error = Expression::parse(expression).and_then(|parsed| parsed.path().cloned()).unwrap_err();
        format!("[{}] {error}", error.code.as_str())
    };
    let all: Vec<String> = [
        "",
        "user.",
        "user.a ||",
        "user.a || || b",
        "a ?? b || c",
        "user.a = 'x'",
        "user..a",
        "user.favourite colour",
        "user[]",
        "(user.a",
        "user.a]",
        "user['a",
        "user.a OR user.b",
        "user.2fa",
        "user.größe.toUpperCase()",
        "mask_email(user.email)",
        "user.a |",
        "user.a,\n  user.b.trim()",
    ]
    .iter()
    .map(|expression| report(expression))
    .collect();
    insta::assert_snapshot!(all.join("\n\n"));
}

/// The reference implementation: evaluates a path by the rules of JavaScript on `serde_json` values.
///
/// Returns `None` for `undefined` and `null`. The result is not JSON, since a literal may be infinite.
fn reference(node: &Node, user: &JsonValue) -> Option<transforms_sdk::Value> {
    use transforms_sdk::Value;
    let truthy = |value: &Value| match value {
        Value::Nothing => false,
        Value::Boolean(boolean) => *boolean,
        Value::Number(number) => *number != 0.0,
        Value::Text(text) => !text.is_empty(),
        Value::Json(_) => true,
    };
    match node {
        Node::Access(keys) => keys
            .iter()
            .try_fold(user.clone(), |value, key| match &value {
                JsonValue::Object(members) => members.get(&key.name).cloned(),
                JsonValue::Array(items) if key.name == "length" => Some(json!(items.len())),
                JsonValue::Array(items) => items.get(key.name.parse::<usize>().ok()?).cloned(),
                JsonValue::String(text) if key.name == "length" => Some(json!(text.encode_utf16().count())),
                JsonValue::String(text) => {
                    let units: Vec<u16> = text.encode_utf16().collect();
                    let unit = units.get(key.name.parse::<usize>().ok()?)?;
                    Some(json!(String::from_utf16_lossy(&[*unit])))
                }
                _ => None,
            })
            .filter(|value| !value.is_null())
            .map(Value::from),
        Node::Literal(Literal::Nothing | Literal::Null) => None,
        Node::Literal(Literal::Boolean(boolean)) => Some(Value::Boolean(*boolean)),
        Node::Literal(Literal::Number(number)) => Some(Value::Number(*number)),
        Node::Literal(Literal::Text(text)) => Some(Value::Text(text.clone())),
        Node::Or(nodes) => {
            let values: Vec<_> = nodes.iter().map(|node| reference(node, user)).collect();
            let found = values.iter().find(|value| value.as_ref().is_some_and(truthy));
            found.or(values.last()).cloned().flatten()
        }
        Node::Nullish(nodes) => nodes.iter().find_map(|node| reference(node, user)),
    }
}

/// Converts a result to the value of a cell. JSON has no infinity, so such a cell is empty.
fn cell(value: Option<transforms_sdk::Value>) -> transforms_sdk::Value {
    match value {
        Some(transforms_sdk::Value::Number(number)) if number.is_infinite() => transforms_sdk::Value::Nothing,
        value => value.unwrap_or_default(),
    }
}

#[test]
fn an_infinite_literal_is_truthy_and_empty_as_a_cell() {
    let user = json!({"a": 1});
    for number in [f64::INFINITY, f64::NEG_INFINITY] {
        let alternatives = vec![Node::Literal(Literal::Number(number)), Node::Access(vec![Key::new("a")])];
        for node in [Node::Or(alternatives.clone()), Node::Nullish(alternatives)] {
            assert_eq!(reference(&node, &user), Some(transforms_sdk::Value::Number(number)));
            let row = parse_row(b"{\"a\":1}", &ProjectionMask::new([&Path(node.clone())])).unwrap();
            let value: transforms_sdk::Value = Path(node).evaluate(&row).into();
            assert_eq!(value, transforms_sdk::Value::Nothing);
        }
    }
}

const NAMES: [&str; 9] = ["a", "b", "c", "0", "1", "length", "a b", "é", "2fa"];

fn any_json() -> impl Strategy<Value = JsonValue> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|boolean| json!(boolean)),
        prop_oneof![Just(0.0), -1e6..1e6_f64].prop_map(|number| transforms_sdk::Value::Number(number).into()),
        "[a-c😀é\"\\\\\n]{0,4}".prop_map(|text| json!(text)),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(JsonValue::Array),
            prop::collection::btree_map(prop::sample::select(&NAMES[..]), inner, 0..5)
                .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

fn any_user() -> impl Strategy<Value = JsonValue> {
    prop::collection::btree_map(prop::sample::select(&NAMES[..]), any_json(), 0..6)
        .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn any_node() -> impl Strategy<Value = Node> {
    let leaf = prop_oneof![
        4 => prop::collection::vec(prop::sample::select(&NAMES[..]).prop_map(Key::new), 0..5).prop_map(Node::Access),
        1 => prop_oneof![
            Just(Literal::Nothing),
            Just(Literal::Null),
            any::<bool>().prop_map(Literal::Boolean),
            prop::num::f64::ANY.prop_filter("a number can be written", |number| !number.is_nan()).prop_map(Literal::Number),
            "\\PC{0,5}".prop_map(Literal::Text),
        ]
        .prop_map(Node::Literal),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Node::Or),
            prop::collection::vec(inner, 2..4).prop_map(Node::Nullish),
        ]
    })
}

proptest! {
    #[test]
    fn parsing_any_text_does_not_panic(text in "\\PC*") {
        let _ = Expression::parse(&text);
    }

    #[test]
    fn parsing_any_tokens_does_not_panic(
        tokens in prop::collection::vec(prop::sample::select(vec![
            "user", "a", ".", "?.", "[", "]", "(", ")", "||", "??", "'x'", "0", "-", "/", "`", "${", "}", "{", "=", "\\", "\"",
            "//", "/*", "*/", "\n", "é", "😀", ",", "=>", "?", ":", "u{", "1e", "0x", "_", "f(", "f([", "f({\"a\":", "]", "-1",
        ]), 0..24),
    ) {
        let text = tokens.concat();
        if let Ok(parsed) = Expression::parse(&text)
            && let Err(error) = parsed.path()
        {
            prop_assert!(error.message.contains("^"));
        }
    }

    #[test]
    fn a_displayed_path_parses_to_the_same_path(node in any_node()) {
        let path = Path(node);
        let read = Expression::parse(&path.to_string()).unwrap();
        prop_assert_eq!(read.path().unwrap(), &path);
    }

    #[test]
    fn paths_evaluate_like_the_reference_implementation(node in any_node(), user in any_user()) {
        let path = Path(node);
        let text = user.to_string();
        let row = parse_row(text.as_bytes(), &ProjectionMask::new([&path])).unwrap();
        let value: transforms_sdk::Value = path.evaluate(&row).into();
        let expected = cell(reference(&path.0, &user));
        prop_assert_eq!(value, expected);
    }
}
