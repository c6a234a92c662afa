//! JavaScript expressions as a transform: QuickJS, compiled to WASM, without imports.
//!
//! An expression is compiled once; each row calls it with its own `user`. All rows share one realm,
//! whose built-in objects are frozen (`realm.js`), so that a row cannot pass state to the next.

use std::cell::{Cell, RefCell};

use rquickjs::context::EvalOptions;
use rquickjs::function::This;
use rquickjs::{CatchResultExt, CaughtError, Coerced, Context, Ctx, Function, Persistent, Runtime, Value as JsValue};

wit_bindgen::generate!({ world: "transform", path: "../../transforms-sdk/wit" });

/// The manifest, which the host reads without running the component.
#[used]
#[unsafe(link_section = "user-import-export:manifest")]
static MANIFEST: [u8; include_bytes!("../manifest.json").len()] = *include_bytes!("../manifest.json");

/// The script that prepares the realm.
const REALM: &str = include_str!("realm.js");

/// The file name of expressions in stack traces.
const FILE: &str = "expression";

/// Maximum stack size; a deeper recursion is a `RangeError`. The host allows four times as much.
const STACK: usize = 256 * 1024;

struct Transform;

export!(Transform);

thread_local! {
    /// A guest has one thread, and usually one expression.
    static ENGINE: RefCell<Option<Engine>> = const { RefCell::new(None) };
    /// Microseconds since 1970-01-01.
    static NOW: Cell<f64> = const { Cell::new(0.0) };
    static RANDOM: Cell<u64> = const { Cell::new(0) };
}

/// QuickJS calls this function for the time; it is defined here, so that the component does not import it.
#[unsafe(no_mangle)]
extern "C" fn __rquickjs_host_now_us() -> f64 {
    NOW.get()
}

impl Guest for Transform {
    fn apply(literals: Vec<Option<Value>>, rows: Vec<Vec<Value>>) -> Vec<Result<Value, Fault>> {
        let mut literals = literals.into_iter();
        let code = literals.next().flatten();
        let now = literals.nth(1).flatten();
        let (Some(Value::Text(code)), now @ (None | Some(Value::Nothing | Value::Number(_)))) = (code, now) else {
            let message = "the code must be a literal text, and the time a literal number".to_owned();
            return rows.iter().map(|_| Err(Fault { message: message.clone() })).collect();
        };
        let now = if let Some(Value::Number(milliseconds)) = now { milliseconds } else { 0.0 };
        ENGINE.with_borrow_mut(|kept| {
            if kept.as_ref().is_none_or(|engine| engine.code != code || engine.now.to_bits() != now.to_bits()) {
                *kept = None;
                match Engine::new(code, now) {
                    Ok(engine) => *kept = Some(engine),
                    Err(message) => return rows.iter().map(|_| Err(Fault { message: message.clone() })).collect(),
                }
            }
            match kept {
                Some(engine) => engine.rows(&rows),
                None => Vec::new(),
            }
        })
    }
}

/// A compiled expression in its realm.
struct Engine {
    code: String,
    now: f64,
    /// Whether the expression may use random numbers, which cost a hash per row.
    random: bool,
    // Dropped in this order: values before the context they live in.
    expression: Persistent<Function<'static>>,
    well_formed: Persistent<Function<'static>>,
    context: Context,
}

impl Engine {
    fn new(code: String, now: f64) -> Result<Self, String> {
        NOW.set(now * 1000.0);
        let out_of_memory = |_| "the engine has too little memory to start".to_owned();
        let runtime = Runtime::new().map_err(out_of_memory)?;
        runtime.set_max_stack_size(STACK);
        let context = Context::full(&runtime).map_err(out_of_memory)?;
        let (expression, well_formed) = context.with(|ctx| {
            let well_formed = prepare(&ctx).catch(&ctx).map_err(|error| describe(error, &code))?;
            // On a separate line, so that a comment at its end does not extend further.
            let mut options = EvalOptions::default();
            options.strict = false;
            options.filename = Some(FILE.to_owned());
            let expression = ctx
                .eval_with_options::<Function<'_>, _>(format!("(user) => (\n{code}\n)"), options)
                .catch(&ctx)
                .map_err(|error| format!("cannot be compiled: {}", describe(error, &code)))?;
            Ok::<_, String>((Persistent::save(&ctx, expression), Persistent::save(&ctx, well_formed)))
        })?;
        Ok(Self { random: code.contains("random"), code, now, expression, well_formed, context })
    }

    fn rows(&self, rows: &[Vec<Value>]) -> Vec<Result<Value, Fault>> {
        self.context.with(|ctx| {
            let (Ok(expression), Ok(well_formed)) =
                (self.expression.clone().restore(&ctx), self.well_formed.clone().restore(&ctx))
            else {
                let message = "the engine lost its expression".to_owned();
                return rows.iter().map(|_| Err(Fault { message: message.clone() })).collect();
            };
            rows.iter()
                .map(|row| {
                    let user = match row.as_slice() {
                        [Value::Json(user) | Value::Text(user), ..] => user.as_str(),
                        [] | [Value::Nothing, ..] => "undefined",
                        _ => return Err(Fault { message: "the user must be an object".to_owned() }),
                    };
                    RANDOM.set(if self.random { seed(user) } else { seed("") });
                    let result = self
                        .row(&ctx, &expression, &well_formed, user)
                        .catch(&ctx)
                        .map_err(|error| Fault { message: describe(error, &self.code) });
                    // Run the pending promise jobs of the row now; their results are ignored.
                    while ctx.execute_pending_job() {}
                    result
                })
                .collect()
        })
    }

    fn row<'js>(
        &self,
        ctx: &Ctx<'js>,
        expression: &Function<'js>,
        well_formed: &Function<'js>,
        user: &str,
    ) -> rquickjs::Result<Value> {
        let user =
            if user == "undefined" { JsValue::new_undefined(ctx.clone()) } else { ctx.json_parse(user.as_bytes())? };
        let result: JsValue<'js> = expression.call((user,))?;
        value(ctx, result, well_formed)
    }
}

/// Freezes the realm. Returns the function that replaces lone surrogates.
fn prepare<'js>(ctx: &Ctx<'js>) -> rquickjs::Result<Function<'js>> {
    let prepare: Function<'js> = ctx.eval(REALM)?;
    let random = Function::new(ctx.clone(), random)?.with_name("random")?;
    prepare.call((random,))
}

/// Converts a value to a cell, as `JSON.stringify` converts a member of an object, but texts are not quoted.
/// A big integer becomes its digits, because JSON has none.
fn value<'js>(ctx: &Ctx<'js>, value: JsValue<'js>, well_formed: &Function<'js>) -> rquickjs::Result<Value> {
    if let Some(text) = value.as_string() {
        return Ok(Value::Text(text_of(text, well_formed)?));
    }
    if let Some(boolean) = value.as_bool() {
        return Ok(Value::Boolean(boolean));
    }
    if let Some(number) = value.as_number() {
        return Ok(if number.is_finite() { Value::Number(number) } else { Value::Nothing });
    }
    if value.is_big_int() {
        return Ok(Value::Text(value.get::<Coerced<String>>()?.0));
    }
    if value.is_undefined() || value.is_null() {
        return Ok(Value::Nothing);
    }
    let Some(json) = ctx.json_stringify(value)? else { return Ok(Value::Nothing) };
    let json = json.to_string()?;
    match json.as_bytes().first() {
        Some(b'{' | b'[') => Ok(Value::Json(whole_characters(json))),
        // A date, a boxed string, or the result of `toJSON`.
        _ => {
            let plain: JsValue<'js> = ctx.json_parse(json)?;
            self::value(ctx, plain, well_formed)
        }
    }
}

fn text_of<'js>(text: &rquickjs::String<'js>, well_formed: &Function<'js>) -> rquickjs::Result<String> {
    match text.to_string() {
        Err(rquickjs::Error::Utf8(_)) => {
            well_formed.call::<_, rquickjs::String<'js>>((This(text.clone()),))?.to_string()
        }
        other => other,
    }
}

/// JSON writes a lone surrogate as an escape, which few parsers accept: it becomes U+FFFD, as in
/// every text that leaves the engine.
fn whole_characters(json: String) -> String {
    if !json.contains("\\ud") {
        return json;
    }
    let mut whole = String::with_capacity(json.len());
    let mut rest = json.as_str();
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        whole.push_str(before);
        // `JSON.stringify` escapes only lone surrogates, and copies complete pairs.
        let (escape, after) = if escape.starts_with("\\ud") {
            ("\u{fffd}", escape.get(6..))
        } else {
            (escape.get(..2).unwrap_or(escape), escape.get(2..))
        };
        whole.push_str(escape);
        rest = after.unwrap_or_default();
    }
    whole.push_str(rest);
    whole
}

/// Describes a thrown value, with the position in the expression if it is known.
fn describe(error: CaughtError<'_>, code: &str) -> String {
    let (message, stack) = match &error {
        CaughtError::Exception(exception) => {
            let name = exception.get::<_, Coerced<String>>("name").map_or_else(|_| "Error".to_owned(), |name| name.0);
            let message = exception.message().unwrap_or_default();
            let text = if message.is_empty() { name } else { format!("{name}: {message}") };
            (text, exception.stack())
        }
        CaughtError::Value(value) => {
            let text = value.get::<Coerced<String>>().map_or_else(|_| "a value".to_owned(), |text| text.0);
            (format!("threw {text}"), None)
        }
        CaughtError::Error(error) => (error.to_string(), None),
    };
    let lines = code.lines().count();
    match stack.as_deref().and_then(place) {
        // The engine reports the start of a statement if it does not know the position.
        Some((line, column)) if line > lines || (lines <= 1 && column <= 1) => message,
        Some((line, column)) if lines > 1 => format!("{message} (at line {line}, character {column})"),
        Some((_, column)) => format!("{message} (at character {column})"),
        None => message,
    }
}

/// Returns the first position of the expression in a stack trace, counted from 1.
fn place(stack: &str) -> Option<(usize, usize)> {
    let (_, rest) = stack.split_once("expression:")?;
    let mut numbers = rest.split(|character: char| !character.is_ascii_digit());
    let line: usize = numbers.next()?.parse().ok()?;
    let column: usize = numbers.next()?.parse().ok()?;
    // The first line is not part of the expression.
    (line > 1).then(|| (line - 1, column))
}

/// Random numbers that are the same in every run: each row has its own sequence, seeded with the content of
/// the row.
fn random() -> f64 {
    // SplitMix64.
    let state = RANDOM.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    RANDOM.set(state);
    let mut mixed = state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    (mixed >> 11) as f64 / (1_u64 << 53) as f64
}

/// FNV-1a.
fn seed(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests;
