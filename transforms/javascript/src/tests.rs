//! Native tests (`cargo test` in `transforms/`); the WASM build is tested by the server.

use super::*;

fn run(code: &str, users: &[&str]) -> Vec<Result<Value, String>> {
    let rows = users.iter().map(|user| vec![Value::Json((*user).to_owned())]).collect();
    let literals = vec![Some(Value::Text(code.to_owned())), None, Some(Value::Number(1_700_000_000_000.0))];
    Transform::apply(literals, rows).into_iter().map(|result| result.map_err(|fault| fault.message)).collect()
}

fn one(code: &str) -> Result<Value, String> {
    run(code, &[r#"{"name":"Ada","n":5,"list":[3,1,2],"none":null}"#]).remove(0)
}

/// In one word, so that tables are short.
fn shown(result: Result<Value, String>) -> String {
    match result {
        Ok(Value::Nothing) => "nothing".to_owned(),
        Ok(Value::Boolean(boolean)) => boolean.to_string(),
        Ok(Value::Number(number)) => number.to_string(),
        Ok(Value::Text(text)) => format!("{text:?}"),
        Ok(Value::Json(json)) => json,
        Err(message) => format!("! {message}"),
    }
}

#[test]
fn results_are_what_json_makes_of_a_member() {
    for (code, expected) in [
        ("user.name.toUpperCase() // why", "\"ADA\""),
        ("user.n * 2", "10"),
        ("user.n > 3", "true"),
        ("user.none", "nothing"),
        ("user.nowhere", "nothing"),
        ("NaN", "nothing"),
        ("-1 / 0", "nothing"),
        ("() => 1", "nothing"),
        ("Symbol('x')", "nothing"),
        ("12345678901234567890n", "\"12345678901234567890\""),
        ("({a: 1n})", "! TypeError: BigInt are forbidden in JSON.stringify"),
        ("new Date(0)", "\"1970-01-01T00:00:00.000Z\""),
        ("new Date(NaN)", "nothing"),
        ("new String('x')", "\"x\""),
        ("new Number(4)", "4"),
        ("user.list.sort()", "[1,2,3]"),
        ("({a: undefined, b: [undefined, () => 1], c: 'ü'})", "{\"b\":[null,null],\"c\":\"ü\"}"),
        ("({toJSON() { return undefined }})", "nothing"),
        ("new Map([[1, 2]])", "{}"),
        ("'\\ud83d'", "\"\u{fffd}\""),
        ("'\\ud83d\\ude00'", "\"😀\""),
        ("['\\ud83d', '\\\\ud83d', '\"😀']", "[\"\u{fffd}\",\"\\\\ud83d\",\"\\\"😀\"]"),
        ("`${user.name}!`", "\"Ada!\""),
        ("Promise.resolve(1)", "{}"),
        ("010 + (typeof this)", "\"8object\""),
        ("user?.a?.b ?? 'x'", "\"x\""),
        ("new Date(2020, 0, 1).toISOString()", "\"2020-01-01T00:00:00.000Z\""),
        ("[3, 20].toSorted().join()", "\"20,3\""),
        ("Object.groupBy([1, 2, 3], x => x % 2 ? 'odd' : 'even')", "{\"odd\":[1,3],\"even\":[2]}"),
    ] {
        assert_eq!(shown(one(code)), expected, "{code}");
    }
}

#[test]
fn a_fault_says_what_and_where() {
    let all: Vec<String> = [
        "user.nowhere.split('@')[1]",
        "user.name.trim().nothing()",
        "user.list.map(x => x.y.z)",
        "1 +\n  user.nowhere.x",
        "(() => { throw 'by hand' })()",
        "(() => { throw new RangeError('too far') })()",
        "JSON.parse('{')",
        "(function f() { return f() })()",
        "null.x",
        "user.",
    ]
    .iter()
    .map(|code| shown(one(code)))
    .collect();
    assert_eq!(
        all,
        [
            "! TypeError: cannot read property 'split' of undefined",
            "! TypeError: not a function (at character 18)",
            "! TypeError: cannot read property 'z' of undefined (at character 20)",
            "! TypeError: cannot read property 'x' of undefined (at line 2, character 3)",
            "! threw by hand",
            "! RangeError: too far (at character 20)",
            "! SyntaxError: Expected property name or '}' in JSON at position 1 (line 1 column 2) (at character 6)",
            "! RangeError: Maximum call stack size exceeded (at character 24)",
            "! TypeError: cannot read property 'x' of null",
            "! cannot be compiled: SyntaxError: expecting field name",
        ]
    );
}

#[test]
fn no_row_leaves_anything_for_the_next() {
    const LOOK: &str = "[typeof leaked, [].leaked, ({}).leaked, Math.max(1, 2), 'x'.trim(), [1].map(x => x), \
        Object.keys(globalThis).length, typeof user, (0).toFixed(), JSON.stringify([1]), String(/x/.exec('x')), \
        [...new Set([1])], Error('x').stack === undefined, Array.from([1]), Reflect.ownKeys(Function.prototype).length, \
        Object.getPrototypeOf(function* () {}).leaked, Symbol.leaked, (async () => {}).leaked, Number.prototype.leaked]";
    const TAMPER: &[&str] = &[
        "globalThis.leaked = 1",
        "this.leaked = 1",
        "(function () { leaked = 1 })()",
        "(function () { return this })().leaked = 1",
        "Array.prototype.leaked = 1",
        "Array.prototype.map = () => 'tampered'",
        "Object.prototype.leaked = 1",
        "Object.prototype.__proto__ = { leaked: 1 }",
        "({}).__proto__.leaked = 1",
        "Object.setPrototypeOf(Array.prototype, { leaked: 1 })",
        "Object.defineProperty(Object.prototype, 'leaked', { value: 1 })",
        "Reflect.set(Object.prototype, 'leaked', 1)",
        "Math.max = () => 'tampered'",
        "JSON.stringify = () => 'tampered'",
        "delete String.prototype.trim",
        "String.prototype.trim = () => 'tampered'",
        "Number.prototype.leaked = 1",
        "RegExp.prototype.exec = () => 'tampered'",
        "Set.prototype[Symbol.iterator] = function* () { yield 'tampered' }",
        "[][Symbol.iterator]().__proto__.next = () => ({ done: true })",
        "Object.getPrototypeOf(function* () {}).leaked = 1",
        "Object.getPrototypeOf(async () => {}).leaked = 1",
        "Symbol.leaked = 1",
        "Error.prepareStackTrace = () => undefined",
        "Error.stackTraceLimit = 0",
        "Object.defineProperty(Error, 'stackTraceLimit', { value: 0 })",
        "Object.defineProperty(globalThis, 'user', { value: 1 })",
        "Object.freeze(user).name = 1",
        "(() => { try { (0, eval)('var leaked = 1; let user2 = 1') } catch {} })()",
        "(() => { try { Function('leaked = 1')() } catch {} })()",
        "(() => { try { (function* () {}).constructor('leaked = 1')().next() } catch {} })()",
        "Promise.resolve().then(() => { Array.prototype.leaked = 1; globalThis.leaked = 1 })",
        "(f => f.leaked = 1)(Function.prototype)",
        "Object.assign(Object.prototype, { leaked: 1 })",
        "Array.prototype.push.call(Array.prototype, 'tampered')",
        "Object.preventExtensions(Function.prototype)",
        "Date.prototype.toJSON = () => 'tampered'",
    ];
    let fresh = shown(one(LOOK));
    assert!(!fresh.starts_with('!'), "{fresh}");
    for tamper in TAMPER {
        let code = format!("user.look ? {LOOK} : ({tamper})");
        let results = run(&code, &["{}", "{\"look\":true}"]);
        assert_eq!(results.len(), 2);
        let [_, look] = <[_; 2]>::try_from(results).unwrap();
        assert_eq!(shown(look), fresh, "{tamper}");
    }
}

#[test]
fn everything_reachable_is_frozen() {
    let code = r"(() => {
        const seen = new Set(), waiting = [], open = [];
        const reach = (value, path) => {
            if (Object(value) === value && !seen.has(value)) { seen.add(value); waiting.push([value, path]); }
        };
        reach(globalThis, 'globalThis');
        for (const f of [function () {}, function* () {}, async function () {}, async function* () {}])
            reach(Object.getPrototypeOf(f), String(f));
        for (const v of [[].values(), ''.matchAll(/x/g), new Map().keys(), new Set().keys(), ''[Symbol.iterator](),
            [].values().map(x => x), Iterator.from({ next() {} }), Object.getPrototypeOf((function* () {})()),
            Object.getPrototypeOf((async function* () {})())])
            reach(Object.getPrototypeOf(v), String(v));
        while (waiting.length) {
            const [value, path] = waiting.pop();
            if (!Object.isFrozen(value)) open.push(path);
            reach(Object.getPrototypeOf(value), path + '.__proto__');
            for (const key of Reflect.ownKeys(value)) {
                const descriptor = Object.getOwnPropertyDescriptor(value, key);
                for (const part of ['value', 'get', 'set']) reach(descriptor[part], path + '.' + String(key));
            }
        }
        return seen.size > 500 ? open.join() : 'few: ' + seen.size;
    })()";
    assert_eq!(shown(one(code)), "\"\"");
}

#[test]
fn own_properties_may_have_the_names_of_inherited_ones() {
    for (code, expected) in [
        (
            "(o => { o.toString = 1; o.constructor = 2; o.valueOf = 3; return o })({})",
            "{\"toString\":1,\"constructor\":2,\"valueOf\":3}",
        ),
        ("['constructor', 'x'].reduce((o, k) => { o[k] = 1; return o }, {})", "{\"constructor\":1,\"x\":1}"),
        ("(e => { e.name = 'N'; e.message = 'm'; return String(e) })(new Error('x'))", "\"N: m\""),
        ("new (class extends Error { constructor() { super('x'); this.name = 'Own' } }) + ''", "\"Own: x\""),
        ("Object.assign({}, { hasOwnProperty: 1 })", "{\"hasOwnProperty\":1}"),
        ("(d => { d.toString = () => 'mine'; return `${d}` })(new Date(0))", "\"mine\""),
    ] {
        assert_eq!(shown(one(code)), expected, "{code}");
    }
}

#[test]
fn text_never_becomes_code() {
    for code in [
        "eval('1')",
        "(0, eval)('1')",
        "Function('return 1')()",
        "new Function('return 1')()",
        "(() => 1).constructor('return 1')()",
        "(function* () {}).constructor('yield 1')",
        "(async () => 1).constructor('return 1')",
        "(async function* () {}).constructor('yield 1')",
        "Object.getPrototypeOf((function* () {}).constructor)('return 1')",
        "Reflect.construct(Function, ['return 1'])",
    ] {
        let result = shown(one(code));
        assert!(result.starts_with("! EvalError: a text cannot become code here"), "{code}: {result}");
    }
    assert_eq!(shown(one("eval(5) + (Function instanceof Function)")), "6");
    assert_eq!(
        shown(one(
            "typeof std + typeof os + typeof console + typeof performance + typeof navigator + typeof queueMicrotask"
        )),
        format!("{:?}", "undefined".repeat(6))
    );
}

#[test]
fn random_numbers_are_the_same_in_every_run_and_others_for_every_user() {
    let users = ["{\"a\":1}", "{\"a\":2}", "{\"a\":1}"];
    let all: Vec<String> = run("Math.random() + ' ' + Math.random()", &users).into_iter().map(shown).collect();
    assert_eq!(all[0], all[2]);
    assert_ne!(all[0], all[1]);
    let mean = run("Array.from({length: 10000}, Math.random).reduce((a, b) => a + b) / 10000", &["{}"]).remove(0);
    assert!(matches!(mean, Ok(Value::Number(mean)) if (mean - 0.5).abs() < 0.02), "{}", shown(mean));
}
