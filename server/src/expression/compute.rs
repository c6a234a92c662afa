//! Formulas: expressions checked against the transforms there are, and computed over batches of users.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use secrecy::{ExposeSecret, SecretString};
use transforms_sdk::Value;
use transforms_sdk::manifest::{Parameter, Type};

use super::call::{Argument, Call, Input, SECRET};
use super::javascript::Script;
use super::json::{Cell, Json};
use super::path::{Literal, Node, Path};
use super::read::Wanted;
use super::slots::{Layout, Slotted};
use super::{Expression, Form, Kind, SandboxCount, Stop};
use crate::error::{Code, Error, Result};
use crate::printable;
use crate::sandbox::{Answer, Answers, Catalog, Origin, RowFault, Rows, Runner, Sandbox, Transform};
use crate::user::ATTRIBUTES;

/// The transform that runs JavaScript.
const ENGINE: &str = "javascript";

/// How an engine's message begins when it cannot even compile the code.
const NOT_COMPILED: &str = "cannot be compiled: ";

/// What stands for a secret wherever an expression is shown.
const HIDDEN: &str = "***";

/// Which version of each transform a request uses: the SHA-256 of its file, by its name.
pub type Pins = BTreeMap<String, String>;

/// What formulas that are no paths need: a sandbox with its transforms as they are now, named secrets, and
/// the time that JavaScript sees. One for each job, so that all of its rows see the same.
#[derive(Clone)]
pub struct Tools {
    sandbox: Sandbox,
    catalog: Arc<Catalog>,
    secrets: BTreeMap<String, SecretString>,
    pins: Pins,
    /// Milliseconds since 1970.
    now: f64,
}

impl fmt::Debug for Tools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tools").field("sandbox", &self.sandbox).field("now", &self.now).finish_non_exhaustive()
    }
}

impl Tools {
    /// The transforms of this sandbox as they are now, and the settings' `SECRET_<NAME>`.
    pub fn new(sandbox: &Sandbox, secrets: &BTreeMap<String, SecretString>) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as f64;
        let (catalog, pins) = (sandbox.catalog(), Pins::default());
        Self { sandbox: sandbox.clone(), catalog, secrets: secrets.clone(), pins, now }
    }

    /// The same for a request that uses these versions of transforms.
    #[must_use]
    pub fn pinned(&self, pins: &Pins) -> Self {
        Self { pins: pins.clone(), ..self.clone() }
    }

    /// The pins of a request with these expressions: those it has already, and for other transforms that they call
    /// the versions of now. Transforms that are part of this program need none: nothing else takes their names.
    /// Fails where an expression cannot be read.
    pub fn pins<'a>(&self, expressions: impl IntoIterator<Item = &'a str>) -> Result<Pins> {
        let mut pins = Pins::default();
        for source in expressions {
            for name in Expression::parse(source)?.transforms() {
                let now = self.catalog.get(name).filter(|transform| transform.origin() != Origin::Shipped);
                let pin = self.pins.get(name).cloned().or_else(|| Some(now?.sha256().to_owned()));
                if let Some(pin) = pin {
                    pins.insert(name.to_owned(), pin);
                }
            }
        }
        Ok(pins)
    }

    /// What the reader of a plan should know of the versions that these expressions use.
    pub fn remarks<'a>(&self, expressions: impl IntoIterator<Item = &'a Expression>) -> Vec<String> {
        let names: BTreeSet<&str> = expressions.into_iter().flat_map(Expression::transforms).collect();
        names
            .into_iter()
            .filter_map(|name| {
                let (pin, now) = (self.pins.get(name)?, self.catalog.get(name)?);
                let used = self.transform(name).ok()??;
                if now.sha256() == pin {
                    None
                } else if used.sha256() == pin {
                    Some(format!(
                        "The version of `{name}` that was saved is used ({}, SHA-256 {}…); a newer one is there ({}, \
                         SHA-256 {}…).",
                        used.manifest().version,
                        start(used.sha256()),
                        now.manifest().version,
                        start(now.sha256())
                    ))
                } else {
                    Some(format!("`{name}` has changed since this was saved: its file was replaced on the server."))
                }
            })
            .collect()
    }

    /// The transform with a name: the pinned version, or the active one. `None` where no transform has the name, and
    /// what is wrong where the pinned version is gone and another upload has its name.
    fn transform(&self, name: &str) -> std::result::Result<Option<&Arc<Transform>>, String> {
        let now = self.catalog.get(name);
        let Some(pin) = self.pins.get(name) else { return Ok(now) };
        match self.catalog.version(name, pin) {
            Some(version) => Ok(Some(version)),
            // The operator's files change in place, and this program with its release.
            None if now.is_none_or(|now| now.origin() != Origin::Upload) => Ok(now),
            None => {
                Err(format!("the version of `{name}` that was saved is not there any more (SHA-256 {}…)", start(pin)))
            }
        }
    }

    /// The same with another time: milliseconds since 1970, what `Date.now()` gives.
    #[must_use]
    pub fn at(mut self, now: f64) -> Self {
        self.now = now;
        self
    }
}

/// The beginning of a digest, enough to tell versions apart.
fn start(sha256: &str) -> Cow<'_, str> {
    printable::line(sha256.get(..12).unwrap_or(sha256))
}

/// An expression that was checked whole and can be computed.
#[derive(Clone, Debug)]
pub struct Formula {
    kind: Kind,
    shown: String,
    program: Program,
}

#[derive(Clone, Debug)]
enum Program {
    Path(Path),
    Computed(Arc<Step>),
}

/// A call of a transform.
struct Step {
    /// What runners of all threads are made from.
    first: Mutex<Runner>,
    /// The arguments that rows bring.
    inputs: Vec<Given>,
    label: String,
}

/// An argument that differs from row to row.
enum Given {
    Path(Path),
    Step(Arc<Step>),
    /// What JavaScript reads of a user, as the text of JSON.
    Needed(Wanted, Vec<Path>),
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the literals: some are secrets.
        write!(f, "Step({})", self.label)
    }
}

impl Formula {
    /// Checks an expression: every name, every argument. What is no path needs `tools`.
    pub fn new(expression: &Expression, tools: Option<&Tools>) -> Result<Self> {
        SandboxCount::default().add(expression, Code::InvalidExpression)?;
        let source = expression.source();
        let kind = expression.kind();
        let tools = || {
            tools.ok_or_else(|| {
                expression.path().err().unwrap_or_else(|| Error::new(Code::Internal, "There is no sandbox here."))
            })
        };
        let (program, hidden) = match &expression.form {
            Form::Path(path) => (Program::Path(path.clone()), Vec::new()),
            Form::Transform(call) => {
                let mut check = Check { source, tools: tools()?, hidden: Vec::new() };
                let step = check.call(call)?;
                (Program::Computed(Arc::new(step)), check.hidden)
            }
            Form::JavaScript(script) => {
                let check = Check { source, tools: tools()?, hidden: Vec::new() };
                (Program::Computed(Arc::new(check.script(script)?)), Vec::new())
            }
        };
        Ok(Self { kind, shown: masked(source, hidden), program })
    }

    /// A path, which needs no check.
    pub fn path(path: Path) -> Self {
        Self { kind: Kind::Path, shown: path.to_string(), program: Program::Path(path) }
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The expression as it may be shown: secrets are `***`.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// The path, where it is one.
    pub fn as_path(&self) -> Option<&Path> {
        match &self.program {
            Program::Path(path) => Some(path),
            Program::Computed(_) => None,
        }
    }

    /// What it reads of a user.
    pub fn paths(&self) -> Vec<&Path> {
        match &self.program {
            Program::Path(path) => vec![path],
            Program::Computed(step) => step.paths(),
        }
    }
}

impl Step {
    /// Whether the text of a user is among what it reads.
    fn reads_text(&self) -> bool {
        self.inputs.iter().any(|input| match input {
            Given::Path(_) => false,
            Given::Step(step) => step.reads_text(),
            Given::Needed(..) => true,
        })
    }

    fn paths(&self) -> Vec<&Path> {
        self.inputs
            .iter()
            .flat_map(|input| match input {
                Given::Path(path) => vec![path],
                Given::Step(step) => step.paths(),
                Given::Needed(_, paths) => paths.iter().collect(),
            })
            .collect()
    }
}

/// The text with `***` in place of the given ranges.
fn masked(source: &str, hidden: Vec<(usize, usize)>) -> String {
    let mut shown = String::new();
    let mut written = 0;
    for (start, end) in hidden {
        shown.push_str(source.get(written..start).unwrap_or_default());
        shown.push_str(HIDDEN);
        written = end;
    }
    shown.push_str(source.get(written..).unwrap_or_default());
    shown
}

struct Check<'a> {
    source: &'a str,
    tools: &'a Tools,
    /// Places of secret literals, in order.
    hidden: Vec<(usize, usize)>,
}

impl Check<'_> {
    fn wrong<T>(&self, at: usize, message: impl Into<String>, hint: impl Into<String>) -> Result<T> {
        Err(Stop::invalid(at, message, hint).explain(self.source))
    }

    fn call(&mut self, call: &Call) -> Result<Step> {
        let name = call.name.as_str();
        if name == SECRET {
            return self.wrong(
                call.at,
                "`secret(…)` stands where only a secret parameter takes it",
                "a transform's secret parameter takes it: pseudonymize(user.email, secret(\"KEY\"))",
            );
        }
        let tools = self.tools;
        let transform = match tools.transform(name) {
            Ok(transform) => transform,
            Err(gone) => {
                return self.wrong(call.at, gone, "save the settings again to use the version that is there now");
            }
        };
        let Some(transform) = transform else {
            return self.wrong(call.at, format!("there is no transform `{name}`"), self.nearest(name));
        };
        let manifest = transform.manifest();
        let signature = signature(name, &manifest.parameters);
        let wanted = manifest.parameters.len();
        if let Some(more) = call.arguments.get(wanted) {
            let takes = match wanted {
                0 => "no arguments".to_owned(),
                1 => "one argument".to_owned(),
                wanted => format!("{wanted} arguments"),
            };
            return self.wrong(more.at, format!("`{name}` takes {takes}"), format!("it is {signature}"));
        }
        let missing = manifest.parameters.iter().skip(call.arguments.len()).find(|parameter| !parameter.optional);
        if let Some(missing) = missing {
            return self.wrong(
                call.at,
                format!("`{name}` needs another argument, `{}`", missing.name),
                format!("it is {signature}"),
            );
        }
        let mut literals = Vec::new();
        let mut inputs = Vec::new();
        for (argument, parameter) in call.arguments.iter().zip(&manifest.parameters) {
            match self.argument(argument, parameter, transform, &signature)? {
                Checked::Literal(value) => literals.push(Some(value)),
                Checked::Row(input) => {
                    literals.push(None);
                    inputs.push(input);
                }
            }
        }
        let label = format!("{}@{}", manifest.name, manifest.version);
        let first = Mutex::new(self.tools.sandbox.start(transform, &literals)?);
        Ok(Step { first, inputs, label })
    }

    fn argument(
        &mut self,
        argument: &Argument,
        parameter: &Parameter,
        transform: &Transform,
        signature: &str,
    ) -> Result<Checked> {
        let name = &parameter.name;
        match &argument.input {
            Input::Call(call) if call.name == SECRET => {
                if !parameter.secret {
                    return self.wrong(
                        argument.at,
                        format!("`{name}` is no secret parameter, so that its value may be shown"),
                        format!("it is {signature}; use a path or a literal"),
                    );
                }
                self.secret(call, transform).map(|text| Checked::Literal(Value::Text(text)))
            }
            Input::Call(call) => {
                if parameter.secret {
                    return self.secret_wanted(argument, name);
                }
                let step = self.call(call)?;
                if let Ok(Some(transform)) = self.tools.transform(&call.name) {
                    let output = transform.manifest().output;
                    if !fits(parameter.kind, output) {
                        return self.wrong(
                            argument.at,
                            format!("`{name}` takes {}, and `{}` gives {}", a(parameter.kind), call.name, a(output)),
                            format!("it is {signature}"),
                        );
                    }
                }
                Ok(Checked::Row(Given::Step(Arc::new(step))))
            }
            Input::Path(Path(Node::Literal(literal))) => {
                let (value, given) = match literal {
                    Literal::Nothing => (Value::Nothing, None),
                    Literal::Boolean(boolean) => (Value::Boolean(*boolean), Some(Type::Boolean)),
                    Literal::Number(number) => (Value::Number(*number), Some(Type::Number)),
                    Literal::Text(text) => (Value::Text(text.clone()), Some(Type::Text)),
                };
                if parameter.secret {
                    self.hidden.push((argument.at, argument.end));
                }
                match given {
                    None if !parameter.optional => self.wrong(
                        argument.at,
                        format!("`{name}` needs a value"),
                        format!("it is {signature}; expected {}", a(parameter.kind)),
                    ),
                    Some(given) if !fits(parameter.kind, given) => {
                        // Where it is a secret, the caret would show it.
                        let message = format!("`{name}` takes {}, and this is {}", a(parameter.kind), a(given));
                        let hint = format!("it is {signature}");
                        if parameter.secret {
                            return Err(Error::new(Code::InvalidExpression, format!("In the expression {message}."))
                                .with_hint(hint));
                        }
                        self.wrong(argument.at, message, hint)
                    }
                    _ => Ok(Checked::Literal(value)),
                }
            }
            Input::Path(_) if parameter.secret => self.secret_wanted(argument, name),
            Input::Path(path) => {
                let whole = matches!(&path.0, Node::Access(keys) if keys.is_empty());
                if parameter.kind == Type::User && !whole {
                    return self.wrong(
                        argument.at,
                        format!("`{name}` takes a whole user"),
                        format!("it is {signature}; write user"),
                    );
                }
                if whole && !matches!(parameter.kind, Type::User | Type::Json | Type::Any) {
                    return self.wrong(
                        argument.at,
                        format!("`{name}` takes {}, and this is a whole user", a(parameter.kind)),
                        format!("it is {signature}; expected an attribute such as user.email"),
                    );
                }
                Ok(Checked::Row(Given::Path(path.clone())))
            }
        }
    }

    fn secret_wanted<T>(&self, argument: &Argument, name: &str) -> Result<T> {
        self.wrong(
            argument.at,
            format!("`{name}` is a secret, the same for every user"),
            "expected secret(\"NAME\") for the setting SECRET_NAME, or a text in quotes",
        )
    }

    /// The value of a named secret, for a transform that may have it.
    fn secret(&self, call: &Call, transform: &Transform) -> Result<String> {
        let [Argument { input: Input::Path(Path(Node::Literal(Literal::Text(name)))), .. }] = call.arguments.as_slice()
        else {
            return self.wrong(
                call.at,
                "`secret(…)` takes one name in quotes",
                "expected secret(\"NAME\") for the setting SECRET_NAME",
            );
        };
        if !self.tools.sandbox.may_have_secret(transform, name) {
            let (label, sha256) = (&transform.manifest().name, transform.sha256());
            return self.wrong(
                call.at,
                format!("the transform `{label}` may not have the secret {name:?} (SHA-256 {sha256})"),
                format!("the operator of this server allows it with TRANSFORM_SECRETS={name}=sha256:{sha256}"),
            );
        }
        if let Some(secret) = self.tools.secrets.get(name) {
            return Ok(secret.expose_secret().to_owned());
        }
        let hint = match nearest(name, self.tools.secrets.keys().map(String::as_str)) {
            Some(near) => format!("set SECRET_{name}, or did you mean {near}?"),
            None => format!("set SECRET_{name}"),
        };
        self.wrong(call.at, format!("there is no secret {name:?}"), hint)
    }

    fn nearest(&self, name: &str) -> String {
        if let Some(near) = nearest(name, self.tools.catalog.names()) {
            return format!("did you mean {near}?");
        }
        let names: Vec<&str> = self.tools.catalog.names().filter(|name| *name != ENGINE).collect();
        if names.is_empty() {
            "no transforms are installed".to_owned()
        } else {
            format!("there are {}", names.join(", "))
        }
    }

    fn script(&self, script: &Script) -> Result<Step> {
        let tools = self.tools;
        if let Some(unknown) = &script.unknown {
            let name = unknown.name.as_str();
            if tools.catalog.get(name).is_some() || name == SECRET {
                return self.wrong(
                    unknown.at,
                    format!("the transform `{name}` cannot be mixed into JavaScript"),
                    "call transforms by themselves, with paths, literals and other calls as arguments",
                );
            }
            let hint = if unknown.called {
                match nearest(name, tools.catalog.names()) {
                    Some(near) => format!("did you mean the transform {near}?"),
                    None => "expected a function of ECMAScript or a method such as user.name.trim()".to_owned(),
                }
            } else if ATTRIBUTES.iter().any(|attribute| attribute.name == name) {
                format!("did you mean user.{name}?")
            } else {
                format!("JavaScript has `user`: did you mean user.{name}?")
            };
            return self.wrong(unknown.at, format!("`{name}` is not defined"), hint);
        }
        let Some(engine) = tools.catalog.get(ENGINE) else {
            return Err(Error::new(Code::UnsupportedExpression, "This server has no JavaScript engine."));
        };
        let run = |code: String| -> Result<Runner> {
            let literals = vec![Some(Value::Text(code)), None, Some(Value::Number(tools.now))];
            tools.sandbox.start(engine, &literals)
        };
        // What the engine cannot compile is found now, and without running any of it.
        let trial = run(format!("true || (\n{}\n)", self.source))?.apply(&[vec![Value::Nothing]]);
        if let Some(Err(fault)) = trial.first() {
            let reason = fault.message.strip_prefix(NOT_COMPILED).unwrap_or(&fault.message);
            return self.wrong(0, format!("the engine refuses it: {reason}"), "expected ECMAScript 2025");
        }
        let needs: Vec<Path> = script.needs.iter().map(|keys| Path(Node::Access(keys.clone()))).collect();
        let needed = Wanted::of_steps(script.needs.iter().map(Vec::as_slice));
        let manifest = engine.manifest();
        Ok(Step {
            first: Mutex::new(run(self.source.to_owned())?),
            inputs: vec![Given::Needed(needed, needs)],
            label: format!("{}@{}", manifest.name, manifest.version),
        })
    }
}

enum Checked {
    Literal(Value),
    Row(Given),
}

/// `name(first: text, second?: number)`.
fn signature(name: &str, parameters: &[Parameter]) -> String {
    let parameters: Vec<String> = parameters
        .iter()
        .map(|parameter| {
            let optional = if parameter.optional { "?" } else { "" };
            let secret = if parameter.secret { "secret " } else { "" };
            format!("{}{optional}: {secret}{}", parameter.name, word(parameter.kind))
        })
        .collect();
    format!("{name}({})", parameters.join(", "))
}

fn word(kind: Type) -> &'static str {
    match kind {
        Type::Boolean => "boolean",
        Type::Number => "number",
        Type::Text => "text",
        Type::Json => "JSON",
        Type::User => "user",
        Type::Any => "any value",
    }
}

/// The type in a sentence.
fn a(kind: Type) -> &'static str {
    match kind {
        Type::Boolean => "true or false",
        Type::Number => "a number",
        Type::Text => "text",
        Type::Json => "an object or an array",
        Type::User => "a whole user",
        Type::Any => "any value",
    }
}

fn fits(wanted: Type, given: Type) -> bool {
    wanted == given || wanted == Type::Any || given == Type::Any
}

fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    names
        .filter(|known| *known != ENGINE)
        .map(|known| (strsim::damerau_levenshtein(&name.to_lowercase(), &known.to_lowercase()), known))
        .filter(|(distance, known)| *distance <= known.len().max(name.len()) / 3)
        .min()
        .map(|(_, known)| known.to_owned())
}

/// A layout for formulas, each by its place: that of a path, or nothing where it is computed. Behind them
/// what is computed reads, as an [`Evaluator`] of the same formulas asks for it, and at last `more`, where
/// anything is. None where users must be read as trees.
pub fn layout<'a>(formulas: impl IntoIterator<Item = &'a Formula>, more: &'a Path) -> Option<Layout> {
    const NOTHING: &Path = &Path(Node::Literal(Literal::Nothing));
    let (mut paths, mut inputs, mut computes) = (Vec::new(), Vec::new(), false);
    for formula in formulas {
        match &formula.program {
            Program::Path(path) => paths.push(path),
            Program::Computed(step) => {
                if step.reads_text() {
                    return None;
                }
                computes = true;
                paths.push(NOTHING);
                inputs.extend(step.paths());
            }
        }
    }
    if computes {
        paths.append(&mut inputs);
        paths.push(more);
    }
    Layout::new(paths)
}

/// What formulas read of a user.
#[derive(Clone, Copy, Debug)]
pub enum Attributes<'u, 'a> {
    /// Read as a tree.
    Tree(&'u Json<'a>),
    /// Read into the slots of the [`layout`] of the same formulas.
    Slots(Slotted<'u, 'a>),
}

/// What was computed of a formula: a value for each user, or why there is none.
#[derive(Debug)]
pub struct Cells {
    answers: Answers,
    /// Objects and arrays, and of which user each is, in order.
    trees: Vec<(usize, Json<'static>)>,
}

impl Cells {
    fn new(answers: Answers) -> Self {
        let trees = answers.iter().enumerate().filter_map(|(user, answer)| match answer {
            Ok(Answer::Json(json)) => Some((user, Json::from(json.clone()))),
            _ => None,
        });
        Self { trees: trees.collect(), answers }
    }

    /// The value for a user; the fault is `transform@version: why` and may hold personal data. Nothing beyond
    /// the last user.
    #[inline]
    pub fn get(&self, user: usize) -> Option<std::result::Result<Cell<'_>, &RowFault>> {
        Some(Ok(match self.answers.get(user)? {
            Ok(Answer::Nothing) => Cell::Nothing,
            Ok(Answer::Boolean(boolean)) => Cell::Boolean(boolean),
            Ok(Answer::Number(number)) => Cell::Number(number),
            Ok(Answer::Text(text)) => Cell::Text(Cow::Borrowed(text)),
            Ok(Answer::Json(_)) => {
                let place = self.trees.binary_search_by_key(&user, |(user, _)| *user).ok()?;
                Cell::from(&self.trees.get(place)?.1)
            }
            Err(fault) => return Some(Err(fault)),
        }))
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = std::result::Result<Cell<'_>, &RowFault>> {
        (0..self.answers.len()).filter_map(|user| self.get(user))
    }

    /// The users without a value, and why.
    pub fn faults(&self) -> impl Iterator<Item = (usize, &RowFault)> {
        self.answers.iter().enumerate().filter_map(|(user, answer)| Some((user, answer.err()?)))
    }
}

/// Computes formulas. Belongs to one thread.
#[derive(Debug, Default)]
pub struct Evaluator(Vec<Live>);

/// A step with its runner on this thread.
struct Live {
    step: Arc<Step>,
    runner: Runner,
    /// Those of its inputs that are steps, in order.
    inner: Vec<Live>,
    /// Of its inputs that are paths, in order, the numbers in the layout.
    places: Vec<usize>,
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.step.fmt(f)
    }
}

impl Evaluator {
    /// Gets ready to compute those of the formulas that are no paths.
    pub fn new<'a>(formulas: impl IntoIterator<Item = &'a Formula>) -> Self {
        let formulas: Vec<&Formula> = formulas.into_iter().collect();
        // As `layout` numbers them.
        let mut place = formulas.len();
        let computed = formulas.iter().filter_map(|formula| match &formula.program {
            Program::Path(_) => None,
            Program::Computed(step) => Some(Live::new(step, &mut place)),
        });
        Self(computed.collect())
    }

    /// Whether there is nothing to compute: all formulas are paths.
    pub fn is_idle(&self) -> bool {
        self.0.is_empty()
    }

    /// Computes the formulas that are no paths, in their order: of each, the cells of all users.
    pub fn compute(&mut self, users: &[Attributes<'_, '_>]) -> Vec<Cells> {
        self.0.iter_mut().map(|live| Cells::new(live.compute(users))).collect()
    }
}

impl Live {
    fn new(step: &Arc<Step>, place: &mut usize) -> Self {
        let (mut inner, mut places) = (Vec::new(), Vec::new());
        // In the order of `Step::paths`.
        for input in &step.inputs {
            match input {
                Given::Path(_) => {
                    places.push(*place);
                    *place += 1;
                }
                Given::Step(step) => inner.push(Self::new(step, place)),
                Given::Needed(_, paths) => *place += paths.len(),
            }
        }
        let runner = step.first.lock().unwrap_or_else(PoisonError::into_inner).another();
        Self { step: Arc::clone(step), runner, inner, places }
    }

    fn compute(&mut self, users: &[Attributes<'_, '_>]) -> Answers {
        let step = Arc::clone(&self.step);
        let inner: Vec<Answers> = self.inner.iter_mut().map(|live| live.compute(users)).collect();
        let mut rows = Rows::with_capacity(users.len(), step.inputs.len());
        // A row whose inner call has a fault is not handed over: the fault is its own.
        let mut faults: Vec<(usize, RowFault)> = Vec::new();
        for (at, user) in users.iter().enumerate() {
            let mut inner = inner.iter().map(|answers| answers.get(at));
            let mut places = self.places.iter();
            let mut fault = None;
            for input in &step.inputs {
                match (input, *user) {
                    (Given::Path(path), Attributes::Tree(user)) => push(path.evaluate(user), &mut rows),
                    (Given::Path(_), Attributes::Slots(user)) => {
                        push(places.next().map_or(Cell::Nothing, |place| user.cell(*place)), &mut rows);
                    }
                    // The text is put together from texts only.
                    (Given::Needed(wanted, _), Attributes::Tree(user)) => {
                        rows.push_made_text(|text| wanted.write(user, text));
                    }
                    // Those who have such inputs have no layout.
                    (Given::Needed(..), Attributes::Slots(_)) => rows.push_nothing(),
                    (Given::Step(_), _) => match inner.next().flatten() {
                        Some(Ok(answer)) => rows.push_answer(answer),
                        Some(Err(why)) => fault = fault.or(Some(why)),
                        None => rows.push_nothing(),
                    },
                }
            }
            if let Some(why) = fault {
                rows.drop_row();
                faults.push((at, why.clone()));
            } else {
                rows.end_row();
            }
        }
        self.runner.run(&rows).with_faults(faults)
    }
}

/// Hands over what a path gives, as a transform takes it.
fn push(cell: Cell<'_>, rows: &mut Rows) {
    match cell {
        Cell::Nothing => rows.push_nothing(),
        Cell::Boolean(boolean) => rows.push_boolean(boolean),
        // JSON has no other numbers; neither have the values of transforms.
        Cell::Number(number) if !number.is_finite() => rows.push_nothing(),
        Cell::Number(number) => rows.push_number(number),
        Cell::Text(text) => rows.push_text(&text),
        Cell::Json(json) => rows.push_json(|made| json.write(made)),
    }
}
