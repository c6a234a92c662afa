//! Formulas: expressions that are checked against the installed transforms and computed over batches of users.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value as JsonValue;
use transforms_sdk::Value;
use transforms_sdk::manifest::{Parameter, Type};

use super::call::{Argument, Call, Input, JsonPiece, SECRET};
use super::expression::{Expression, Kind};
use super::javascript::Script;
use super::parse_error::invalid_expression;
use super::parser::Form;
use super::remark::{self, ExpressionRemark};
use super::sandbox_count::SandboxCount;
use uie_core::diagnostic::Diagnostic;
use uie_core::error::{Code, Error, Result};
use uie_core::message::{Message, message};
use uie_core::printable;
use uie_core::user::ATTRIBUTES;
use uie_json::ProjectionMask;
use uie_json::{Cell, Json};
use uie_json::{Literal, Node, Path};
use uie_json::{Projection, RowView};
use uie_sandbox::{Catalog, FaultKind, Origin, ResultBatch, RowFault, Rows, Runner, Sandbox, Transform, ValueRef};

/// The transform that runs JavaScript.
const JAVASCRIPT_ENGINE: &str = "javascript";

/// How a message of the engine starts if it cannot compile the code.
const COMPILE_ERROR_PREFIX: &str = "cannot be compiled: ";

/// Replaces a secret wherever an expression is shown.
const MASK: &str = "***";

/// The pinned version of each transform of a request: the SHA-256 of its file, by name.
pub type Pins = BTreeMap<String, String>;

/// What transform calls and JavaScript need: a sandbox with the current transforms, named secrets and the time that
/// JavaScript sees. One per job, so that all rows of the job see the same.
#[derive(Clone)]
pub struct TransformContext {
    sandbox: Sandbox,
    catalog: Arc<Catalog>,
    secrets: BTreeMap<String, SecretString>,
    pins: Pins,
    /// The result of `Date.now()`, in milliseconds since 1970.
    now: f64,
}

impl fmt::Debug for TransformContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransformContext")
            .field("sandbox", &self.sandbox)
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

impl TransformContext {
    /// Returns a context with the current transforms of `sandbox`, the settings `SECRET_<NAME>` and the current time.
    pub fn new(sandbox: &Sandbox, secrets: &BTreeMap<String, SecretString>) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as f64;
        let (catalog, pins) = (sandbox.catalog(), Pins::default());
        Self { sandbox: sandbox.clone(), catalog, secrets: secrets.clone(), pins, now }
    }

    /// Returns the context of a request that pins these versions of transforms.
    #[must_use]
    pub fn with_pins(&self, pins: &Pins) -> Self {
        Self { pins: pins.clone(), ..self.clone() }
    }

    /// Returns the versions of the transforms that an expression calls: the pinned ones, and the current versions of
    /// the others.
    ///
    /// Shipped transforms are not pinned, since no other transform can have their names.
    fn pins_of(&self, expression: &Expression) -> Pins {
        let pin = |name: &str| {
            let now = self.catalog.get(name).filter(|transform| transform.origin() != Origin::Shipped);
            self.pins.get(name).cloned().or_else(|| Some(now?.sha256().to_owned()))
        };
        let names = expression.transforms().into_iter();
        names.filter_map(|name| Some((name.to_owned(), pin(name)?))).collect()
    }

    /// Returns remarks for the plan: which pinned versions of transforms are outdated or have been replaced.
    pub fn version_remarks<'a>(&self, expressions: impl IntoIterator<Item = &'a Expression>) -> Vec<Message> {
        let names: BTreeSet<&str> = expressions.into_iter().flat_map(Expression::transforms).collect();
        names
            .into_iter()
            .filter_map(|name| {
                let (pin, now) = (self.pins.get(name)?, self.catalog.get(name)?);
                let used = self.transform(name).ok()??;
                if now.sha256() == pin {
                    None
                } else if used.sha256() == pin {
                    Some(message!(
                        "The saved version of `{name}` is used ({used}, SHA-256 {used_sha256}…); a newer one is \
                         installed ({installed}, SHA-256 {installed_sha256}…).",
                        used = used.manifest().version,
                        used_sha256 = short_digest(used.sha256()),
                        installed = now.manifest().version,
                        installed_sha256 = short_digest(now.sha256())
                    ))
                } else {
                    Some(message!("`{name}` has changed since this was saved: its file was replaced on the server."))
                }
            })
            .collect()
    }

    /// Returns the transform `name`: the pinned version, or the active one. `None` if no transform has the name.
    ///
    /// Fails with a message if the pinned version was deleted and another upload has its name.
    fn transform(&self, name: &str) -> std::result::Result<Option<&Arc<Transform>>, Message> {
        let now = self.catalog.get(name);
        let Some(pin) = self.pins.get(name) else { return Ok(now) };
        match self.catalog.version(name, pin) {
            Some(version) => Ok(Some(version)),
            // The operator replaces files in place, and shipped transforms change with the release: not an error.
            None if now.is_none_or(|now| now.origin() != Origin::Upload) => Ok(now),
            None => Err(message!(
                "the saved version of `{name}` was deleted (SHA-256 {sha256}…)",
                sha256 = short_digest(pin)
            )),
        }
    }

    /// Returns the context with another result of `Date.now()`, in milliseconds since 1970.
    #[must_use]
    pub fn with_time(mut self, now: f64) -> Self {
        self.now = now;
        self
    }
}

/// Returns the first 12 characters of a digest, enough to distinguish versions.
fn short_digest(sha256: &str) -> Cow<'_, str> {
    printable::line(sha256.get(..12).unwrap_or(sha256))
}

/// A completely checked expression, ready to be computed.
#[derive(Clone, Debug)]
pub struct Formula {
    kind: Kind,
    remarks: Vec<ExpressionRemark>,
    masked_source: String,
    pins: Pins,
    computation: Computation,
}

/// How a formula is computed.
#[derive(Clone, Debug)]
enum Computation {
    Path(Path),
    Computed(Arc<PreparedCall>),
}

/// A checked call of a transform, with its literal arguments bound.
struct PreparedCall {
    /// The runner that every thread clones its own from.
    template: Mutex<Runner>,
    /// The arguments that differ from row to row.
    inputs: Vec<ArgSource>,
    label: String,
    /// The source of JavaScript that is run within [`marking_null`].
    wrapped: Option<String>,
}

/// Where an argument that differs from row to row comes from.
enum ArgSource {
    Path(Path),
    Call(Arc<PreparedCall>),
    /// The attributes of a user that JavaScript reads, as JSON text.
    UserJson(ProjectionMask, Vec<Path>),
    /// An array or an object with values of the user inside.
    Json(Vec<JsonPart>),
}

/// A part of the JSON text of an argument.
enum JsonPart {
    Text(String),
    /// A path or a call.
    Value(ArgSource),
}

impl ArgSource {
    /// Returns the sources of its values, in order: itself, or those inside of its JSON.
    fn values(&self) -> impl Iterator<Item = &Self> {
        let (itself, parts) = match self {
            Self::Json(parts) => (None, parts.as_slice()),
            source => (Some(source), [].as_slice()),
        };
        itself.into_iter().chain(parts.iter().filter_map(|part| match part {
            JsonPart::Text(_) => None,
            JsonPart::Value(source) => Some(source),
        }))
    }
}

impl fmt::Debug for PreparedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Omits the literals: some are secrets.
        write!(f, "PreparedCall({})", self.label)
    }
}

impl Formula {
    /// Checks every name and every argument of an expression. All but paths need a `context`.
    pub fn new(expression: &Expression, context: Option<&TransformContext>) -> Result<Self> {
        Self::build(expression, context, false)
    }

    /// Like [`Formula::new`], but where JavaScript gives `null`, the result is one that [`is_marked_null`] recognizes.
    pub fn with_marked_null(expression: &Expression, context: Option<&TransformContext>) -> Result<Self> {
        Self::build(expression, context, true)
    }

    fn build(expression: &Expression, context: Option<&TransformContext>, marks_null: bool) -> Result<Self> {
        SandboxCount::default().add(expression, Code::InvalidExpression)?;
        let source = expression.source();
        let kind = expression.kind();
        let pins = context.map(|context| context.pins_of(expression)).unwrap_or_default();
        let context = || {
            context.ok_or_else(|| {
                expression.path().err().unwrap_or_else(|| {
                    Error::new(Code::Internal, message!("Internal error: a formula needs a transform context."))
                })
            })
        };
        let (computation, hidden) = match &expression.form {
            Form::Path(path) => (Computation::Path(path.clone()), Vec::new()),
            Form::Transform(call) => {
                let mut checker = Checker { source, context: context()?, hidden: Vec::new(), marks_null };
                let prepared = checker.call(call)?;
                (Computation::Computed(Arc::new(prepared)), checker.hidden)
            }
            Form::JavaScript(script) => {
                let checker = Checker { source, context: context()?, hidden: Vec::new(), marks_null };
                (Computation::Computed(Arc::new(checker.script(script)?)), Vec::new())
            }
        };
        let remarks = remark::remarks(expression);
        Ok(Self { kind, remarks, masked_source: mask_ranges(source, hidden), pins, computation })
    }

    /// Returns the formula of a path, which needs no check.
    pub fn path(path: Path) -> Self {
        let masked_source = path.to_string();
        let computation = Computation::Path(path);
        Self { kind: Kind::Path, remarks: Vec::new(), masked_source, pins: Pins::new(), computation }
    }

    /// Returns remarks for the author of the expression.
    pub fn remarks(&self) -> &[ExpressionRemark] {
        &self.remarks
    }

    /// Returns the kind of the expression.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the expression with secrets replaced by `***`.
    pub fn masked_source(&self) -> &str {
        &self.masked_source
    }

    /// Returns the versions of the transforms that it calls.
    pub(super) fn pins(&self) -> &Pins {
        &self.pins
    }

    /// Returns the path; `None` if the formula is a call or JavaScript.
    pub fn as_path(&self) -> Option<&Path> {
        match &self.computation {
            Computation::Path(path) => Some(path),
            Computation::Computed(_) => None,
        }
    }

    /// Returns why a row has no result, with the position in the expression as it was written.
    pub fn reason(&self, fault: &RowFault) -> Message {
        let wrapped = match &self.computation {
            Computation::Path(_) => None,
            Computation::Computed(call) => call.wrapped.as_deref(),
        };
        let message = wrapped.and_then(|source| unmarked_position(&fault.message.to_string(), source));
        message.map_or_else(|| fault.message.clone(), Message::verbatim)
    }

    /// Returns the paths that it reads of a user.
    pub fn paths(&self) -> Vec<&Path> {
        match &self.computation {
            Computation::Path(path) => vec![path],
            Computation::Computed(call) => call.paths(),
        }
    }
}

impl PreparedCall {
    /// Returns whether it or an inner call reads a user as JSON text.
    fn reads_text(&self) -> bool {
        self.values().any(|input| match input {
            ArgSource::Path(_) | ArgSource::Json(_) => false,
            ArgSource::Call(call) => call.reads_text(),
            ArgSource::UserJson(..) => true,
        })
    }

    fn paths(&self) -> Vec<&Path> {
        self.values()
            .flat_map(|input| match input {
                ArgSource::Path(path) => vec![path],
                ArgSource::Call(call) => call.paths(),
                ArgSource::UserJson(_, paths) => paths.iter().collect(),
                ArgSource::Json(_) => Vec::new(),
            })
            .collect()
    }

    /// Returns the sources of all values, in order, also of those inside of JSON.
    fn values(&self) -> impl Iterator<Item = &ArgSource> {
        self.inputs.iter().flat_map(ArgSource::values)
    }
}

/// Replaces the byte ranges `hidden` of `source` by `***`.
fn mask_ranges(source: &str, hidden: Vec<(usize, usize)>) -> String {
    let mut masked_source = String::new();
    let mut written = 0;
    for (start, end) in hidden {
        masked_source.push_str(source.get(written..start).unwrap_or_default());
        masked_source.push_str(MASK);
        written = end;
    }
    masked_source.push_str(source.get(written..).unwrap_or_default());
    masked_source
}

/// Checks one expression against a context.
struct Checker<'a> {
    source: &'a str,
    context: &'a TransformContext,
    /// The byte ranges of secret literals, in order.
    hidden: Vec<(usize, usize)>,
    /// Whether JavaScript marks `null`.
    marks_null: bool,
}

/// The name of the only member of the object that JavaScript gives instead of `null`, if it marks it.
const NULL_MARK: &str = "\0null";

/// Returns whether the result of a formula [with marked null](Formula::with_marked_null) is `null`.
pub fn is_marked_null(cell: &Cell<'_>) -> bool {
    matches!(cell, Cell::Json(Json::Object(members)) if matches!(members.as_slice(), [(name, _)] if name == NULL_MARK))
}

/// Returns JavaScript that gives the value of `source`, or an object with [`NULL_MARK`] if that is `null`. `source`
/// starts on the second line.
fn marking_null(source: &str) -> String {
    format!("((value) => value === null ? {{\"\\0null\": true}} : value)((\n{source}\n))")
}

/// Returns the message of an exception of [`marking_null`] with the position in the expression itself.
fn unmarked_position(message: &str, source: &str) -> Option<String> {
    let (text, place) = message.strip_suffix(')')?.rsplit_once(" (at line ")?;
    let (line, character) = place.split_once(", character ")?;
    let (line, character): (usize, usize) = (line.parse().ok()?, character.parse().ok()?);
    let lines = source.lines().count();
    Some(match line.checked_sub(1) {
        // As the engine reports it for an expression that is not wrapped.
        Some(line) if line > lines || (lines <= 1 && character <= 1) => text.to_owned(),
        Some(line @ 1..) if lines > 1 => format!("{text} (at line {line}, character {character})"),
        Some(1) => format!("{text} (at character {character})"),
        _ => text.to_owned(),
    })
}

impl Checker<'_> {
    fn fail<T>(&self, diagnostic: &Diagnostic) -> Result<T> {
        Err(invalid_expression(diagnostic, self.source))
    }

    fn call(&mut self, call: &Call) -> Result<PreparedCall> {
        let name = call.name.as_str();
        if name == SECRET {
            let message = message!("`secret(…)` can only be the argument of a secret parameter");
            let hint = message!("pass it to a secret parameter: pseudonymize(user.email, secret(\"KEY\"))");
            return self.fail(&Diagnostic::in_span(call.name_span(), message).with_hint(hint));
        }
        let context = self.context;
        let transform = match context.transform(name) {
            Ok(transform) => transform,
            Err(message) => {
                let hint = message!("save the settings again to use the current version");
                return self.fail(&Diagnostic::in_span(call.name_span(), message).with_hint(hint));
            }
        };
        let Some(transform) = transform else {
            let diagnostic = Diagnostic::in_span(call.name_span(), message!("there is no transform `{name}`"));
            return self.fail(&diagnostic.with_hint(self.suggest_transform(name)));
        };
        let manifest = transform.manifest();
        let signature = signature(name, &manifest.parameters);
        let expected = manifest.parameters.len();
        if let Some(more) = call.arguments.get(expected) {
            let message = match expected {
                0 => message!("`{name}` takes no arguments"),
                1 => message!("`{name}` takes one argument"),
                count => message!("`{name}` takes {count} arguments"),
            };
            return self.fail(&Diagnostic::in_span(more.span(), message).with_expected(signature_hint(&signature)));
        }
        let missing = manifest.parameters.iter().skip(call.arguments.len()).find(|parameter| !parameter.optional);
        if let Some(missing) = missing {
            let message = message!("`{name}` needs another argument, `{parameter}`", parameter = missing.name);
            return self
                .fail(&Diagnostic::in_span(call.name_span(), message).with_expected(signature_hint(&signature)));
        }
        let mut literals = Vec::new();
        let mut inputs = Vec::new();
        for (argument, parameter) in call.arguments.iter().zip(&manifest.parameters) {
            match self.argument(argument, parameter, transform, &signature)? {
                CheckedArgument::Literal(value) => literals.push(Some(value)),
                CheckedArgument::Row(input) => {
                    literals.push(None);
                    inputs.push(input);
                }
            }
        }
        let label = format!("{}@{}", manifest.name, manifest.version);
        let mut runner = self.context.sandbox.start(transform, &literals)?;
        if let Some(reason) = refused_literals(&mut runner, transform, &literals) {
            let message = message!("`{name}` refuses its arguments: {reason}");
            if self.hidden.is_empty() {
                let diagnostic = Diagnostic::in_span(call.name_span(), message);
                return self.fail(&diagnostic.with_expected(signature_hint(&signature)));
            }
            // The source snippet would show a secret.
            let message = message!("In the expression {message}.");
            return Err(Error::new(Code::InvalidExpression, message).with_hint(signature_hint(&signature)));
        }
        Ok(PreparedCall { template: Mutex::new(runner), inputs, label, wrapped: None })
    }

    fn argument(
        &mut self,
        argument: &Argument,
        parameter: &Parameter,
        transform: &Transform,
        signature: &str,
    ) -> Result<CheckedArgument> {
        let name = &parameter.name;
        match &argument.input {
            Input::Call(call) if call.name == SECRET => {
                if !parameter.secret {
                    let message = message!("`{name}` is not a secret parameter, so its value could be shown");
                    let diagnostic =
                        Diagnostic::in_span(argument.span(), message).with_expected(signature_hint(signature));
                    return self.fail(&diagnostic.with_hint(message!("use a path or a literal")));
                }
                self.resolve_secret(call, transform).map(|text| CheckedArgument::Literal(Value::Text(text)))
            }
            Input::Call(call) => {
                if parameter.secret {
                    return self.fail_needs_secret(argument, name);
                }
                let prepared = self.call(call)?;
                if let Ok(Some(transform)) = self.context.transform(&call.name) {
                    let output = transform.manifest().output;
                    if !accepts(parameter.kind, output) {
                        let message = message!(
                            "`{name}` takes {expected}, and `{call}` gives {actual}",
                            expected = with_article(parameter.kind),
                            call = call.name,
                            actual = with_article(output)
                        );
                        let diagnostic = Diagnostic::in_span(argument.span(), message);
                        return self.fail(&diagnostic.with_expected(signature_hint(signature)));
                    }
                }
                Ok(CheckedArgument::Row(ArgSource::Call(Arc::new(prepared))))
            }
            Input::Path(Path(Node::Literal(literal))) => {
                let (value, given) = match literal {
                    Literal::Nothing | Literal::Null => (Value::Nothing, None),
                    Literal::Boolean(boolean) => (Value::Boolean(*boolean), Some(Type::Boolean)),
                    Literal::Number(number) => (Value::Number(*number), Some(Type::Number)),
                    Literal::Text(text) => (Value::Text(text.clone()), Some(Type::Text)),
                };
                if parameter.secret {
                    self.hidden.push((argument.at, argument.end));
                }
                match given {
                    None if !parameter.optional => {
                        let diagnostic = Diagnostic::in_span(argument.span(), message!("`{name}` needs a value"))
                            .with_expected(signature_hint(signature));
                        let hint = message!("expected {expected}", expected = with_article(parameter.kind));
                        self.fail(&diagnostic.with_hint(hint))
                    }
                    Some(given) if !accepts(parameter.kind, given) => {
                        // The source snippet would show a secret, so the error must not contain it.
                        let message = message!(
                            "`{name}` takes {expected}, and this is {actual}",
                            expected = with_article(parameter.kind),
                            actual = with_article(given)
                        );
                        if parameter.secret {
                            let message = message!("In the expression {message}.");
                            return Err(
                                Error::new(Code::InvalidExpression, message).with_hint(signature_hint(signature))
                            );
                        }
                        let diagnostic = Diagnostic::in_span(argument.span(), message);
                        self.fail(&diagnostic.with_expected(signature_hint(signature)))
                    }
                    _ => Ok(CheckedArgument::Literal(value)),
                }
            }
            Input::Path(_) if parameter.secret => self.fail_needs_secret(argument, name),
            Input::Path(path) => {
                let whole = matches!(&path.0, Node::Access(keys) if keys.is_empty());
                if parameter.kind == Type::User && !whole {
                    let diagnostic = Diagnostic::in_span(argument.span(), message!("`{name}` takes a whole user"))
                        .with_expected(signature_hint(signature));
                    return self.fail(&diagnostic.with_hint(message!("write user")));
                }
                if whole && !matches!(parameter.kind, Type::User | Type::Json | Type::Any) {
                    let message = message!(
                        "`{name}` takes {expected}, and this is a whole user",
                        expected = with_article(parameter.kind)
                    );
                    let diagnostic =
                        Diagnostic::in_span(argument.span(), message).with_expected(signature_hint(signature));
                    return self.fail(&diagnostic.with_hint(message!("expected an attribute such as user.email")));
                }
                Ok(CheckedArgument::Row(ArgSource::Path(path.clone())))
            }
            Input::Json(pieces) => self.json(argument, pieces, parameter, signature),
        }
    }

    /// Checks an array or an object.
    fn json(
        &mut self,
        argument: &Argument,
        pieces: &[JsonPiece],
        parameter: &Parameter,
        signature: &str,
    ) -> Result<CheckedArgument> {
        if parameter.secret || !accepts(parameter.kind, Type::Json) {
            let message = message!(
                "`{name}` takes {expected}, and this is {actual}",
                name = parameter.name,
                expected = with_article(parameter.kind),
                actual = with_article(Type::Json)
            );
            if parameter.secret {
                // The source snippet would show a secret.
                let message = message!("In the expression {message}.");
                return Err(Error::new(Code::InvalidExpression, message).with_hint(signature_hint(signature)));
            }
            let diagnostic = Diagnostic::in_span(argument.span(), message);
            return self.fail(&diagnostic.with_expected(signature_hint(signature)));
        }
        if let [JsonPiece::Text(text)] = pieces {
            let json: JsonValue = serde_json::from_str(text).map_err(Error::internal)?;
            return Ok(CheckedArgument::Literal(Value::Json(json)));
        }
        let parts = pieces.iter().map(|piece| match piece {
            JsonPiece::Text(text) => Ok(JsonPart::Text(text.clone())),
            JsonPiece::Value(Argument { input: Input::Call(call), .. }) => {
                Ok(JsonPart::Value(ArgSource::Call(Arc::new(self.call(call)?))))
            }
            JsonPiece::Value(Argument { input: Input::Path(path), .. }) => {
                Ok(JsonPart::Value(ArgSource::Path(path.clone())))
            }
            JsonPiece::Value(Argument { input: Input::Json(_), .. }) => {
                Err(Error::new(Code::Internal, message!("Internal error: JSON inside JSON is not one text.")))
            }
        });
        Ok(CheckedArgument::Row(ArgSource::Json(parts.collect::<Result<_>>()?)))
    }

    fn fail_needs_secret<T>(&self, argument: &Argument, name: &str) -> Result<T> {
        let message = message!("`{name}` is a secret, the same for every user");
        let expected = message!("expected secret(\"NAME\") for the setting SECRET_NAME, or a text in quotes");
        self.fail(&Diagnostic::in_span(argument.span(), message).with_expected(expected))
    }

    /// Returns the value of a named secret. Fails if it does not exist or `transform` may not have it.
    fn resolve_secret(&self, call: &Call, transform: &Transform) -> Result<String> {
        let [Argument { input: Input::Path(Path(Node::Literal(Literal::Text(name)))), .. }] = call.arguments.as_slice()
        else {
            let message = message!("`secret(…)` takes one name in quotes");
            let expected = message!("expected secret(\"NAME\") for the setting SECRET_NAME");
            return self.fail(&Diagnostic::in_span(call.name_span(), message).with_expected(expected));
        };
        if !self.context.sandbox.may_have_secret(transform, name) {
            let (label, sha256) = (&transform.manifest().name, transform.sha256());
            let message = message!("the transform `{label}` may not have the secret {name:?} (SHA-256 {sha256})");
            let hint = message!("the operator of this server allows it with TRANSFORM_SECRETS={name}=sha256:{sha256}");
            return self.fail(&Diagnostic::in_span(call.name_span(), message).with_hint(hint));
        }
        if let Some(secret) = self.context.secrets.get(name) {
            return Ok(secret.expose_secret().to_owned());
        }
        let hint = if let Some(near) = nearest(name, self.context.secrets.keys().map(String::as_str)) {
            message!("set SECRET_{name}, or did you mean {near}?")
        } else {
            message!("set SECRET_{name}")
        };
        let message = message!("there is no secret {name:?}");
        self.fail(&Diagnostic::in_span(call.name_span(), message).with_hint(hint))
    }

    fn suggest_transform(&self, name: &str) -> Message {
        if let Some(near) = nearest(name, self.context.catalog.names()) {
            return message!("did you mean {near}?");
        }
        let names: Vec<&str> = self.context.catalog.names().filter(|name| *name != JAVASCRIPT_ENGINE).collect();
        if names.is_empty() {
            message!("no transforms are installed")
        } else {
            message!("there are {names}", names = names.join(", "))
        }
    }

    fn script(&self, script: &Script) -> Result<PreparedCall> {
        let context = self.context;
        if let Some(unknown) = &script.unknown {
            let name = unknown.name.as_str();
            let span = unknown.at..unknown.at + name.len();
            if context.catalog.get(name).is_some() || name == SECRET {
                let message = message!("the transform `{name}` cannot be mixed into JavaScript");
                let hint = message!(
                    "call transforms by themselves, with paths, literals, other calls, and arrays and objects of them as \
                     arguments"
                );
                return self.fail(&Diagnostic::in_span(span, message).with_hint(hint));
            }
            let diagnostic = Diagnostic::in_span(span, message!("`{name}` is not defined"));
            let diagnostic = if name == "Intl" {
                diagnostic.with_hint(message!(
                    "the engine has no locales and time zones; dates: {call}",
                    call = remark::format_date_call(None, None)
                ))
            } else if unknown.called {
                match nearest(name, context.catalog.names()) {
                    Some(near) => diagnostic.with_hint(message!("did you mean the transform {near}?")),
                    None => diagnostic.with_expected(message!(
                        "expected a function of ECMAScript or a method such as user.name.trim()"
                    )),
                }
            } else if ATTRIBUTES.iter().any(|attribute| attribute.name == name) {
                diagnostic.with_hint(message!("did you mean user.{name}?"))
            } else {
                diagnostic.with_hint(message!("JavaScript has `user`: did you mean user.{name}?"))
            };
            return self.fail(&diagnostic);
        }
        let Some(engine) = context.catalog.get(JAVASCRIPT_ENGINE) else {
            return Err(Error::new(Code::UnsupportedExpression, message!("This server has no JavaScript engine.")));
        };
        let run = |code: String| -> Result<Runner> {
            let literals = vec![Some(Value::Text(code)), None, Some(Value::Number(context.now))];
            context.sandbox.start(engine, &literals)
        };
        // Compiles the code now, without running it, so that errors are found before the job.
        let trial = run(format!("true || (\n{}\n)", self.source))?.apply(&[vec![Value::Nothing]]);
        if let Some(Err(fault)) = trial.first() {
            let reason = match fault.message.to_string().strip_prefix(COMPILE_ERROR_PREFIX) {
                Some(reason) => Message::verbatim(reason),
                None => fault.message.clone(),
            };
            let diagnostic = Diagnostic::in_span(0..self.source.len(), message!("the engine refuses it: {reason}"));
            return self.fail(&diagnostic.with_expected(message!("expected ECMAScript 2025")));
        }
        let needs: Vec<Path> = script.needs.iter().map(|keys| Path(Node::Access(keys.clone()))).collect();
        let needed = ProjectionMask::from_accesses(script.needs.iter().map(Vec::as_slice));
        let manifest = engine.manifest();
        let code = if self.marks_null { marking_null(self.source) } else { self.source.to_owned() };
        Ok(PreparedCall {
            template: Mutex::new(run(code)?),
            inputs: vec![ArgSource::UserJson(needed, needs)],
            label: format!("{}@{}", manifest.name, manifest.version),
            wrapped: self.marks_null.then(|| self.source.to_owned()),
        })
    }
}

/// Returns why a transform refuses its literal arguments whatever the row has; `None` if it does not.
///
/// It runs once with nothing for all arguments that differ from row to row. A shipped transform that takes nothing for
/// them gives nothing then, or has a fault about a literal. Other transforms may have a fault for nothing. Secrets are
/// not tried: their faults are shown with a row, not with the expression.
fn refused_literals(runner: &mut Runner, transform: &Transform, literals: &[Option<Value>]) -> Option<Message> {
    let mut arguments = literals.iter().zip(&transform.manifest().parameters);
    let is_tried = transform.origin() == Origin::Shipped
        && literals.iter().any(Option::is_some)
        && arguments.all(|(literal, parameter)| match literal {
            Some(_) => !parameter.secret,
            None => parameter.optional,
        });
    let row = literals.iter().filter(|literal| literal.is_none()).map(|_| Value::Nothing).collect();
    let fault = is_tried.then(|| runner.apply(&[row]).into_iter().next()?.err())?;
    fault.filter(|fault| fault.kind == FaultKind::Refused).map(|fault| fault.message)
}

/// An argument of a call: fixed, or different for each row.
enum CheckedArgument {
    Literal(Value),
    Row(ArgSource),
}

/// Returns the signature of a transform, such as `name(first: text, second?: number)`.
fn signature(name: &str, parameters: &[Parameter]) -> String {
    let parameters: Vec<String> = parameters
        .iter()
        .map(|parameter| {
            let optional = if parameter.optional { "?" } else { "" };
            let secret = if parameter.secret { "secret " } else { "" };
            format!("{}{optional}: {secret}{}", parameter.name, type_name(parameter.kind))
        })
        .collect();
    format!("{name}({})", parameters.join(", "))
}

fn type_name(kind: Type) -> &'static str {
    match kind {
        Type::Boolean => "boolean",
        Type::Number => "number",
        Type::Text => "text",
        Type::Json => "JSON",
        Type::User => "user",
        Type::Any => "any value",
    }
}

/// Returns the hint with the signature of a transform.
fn signature_hint(signature: &str) -> Message {
    message!("it is {signature}")
}

/// Returns the type for a sentence, such as `a number`.
fn with_article(kind: Type) -> Message {
    match kind {
        Type::Boolean => message!("true or false"),
        Type::Number => message!("a number"),
        Type::Text => message!("text"),
        Type::Json => message!("an object or an array"),
        Type::User => message!("a whole user"),
        Type::Any => message!("any value"),
    }
}

fn accepts(expected: Type, given: Type) -> bool {
    expected == given || expected == Type::Any || given == Type::Any
}

fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    names
        .filter(|known| *known != JAVASCRIPT_ENGINE)
        .map(|known| (strsim::damerau_levenshtein(&name.to_lowercase(), &known.to_lowercase()), known))
        .filter(|(distance, known)| *distance <= known.len().max(name.len()) / 3)
        .min()
        .map(|(_, known)| known.to_owned())
}

/// Returns the projection for formulas; `None` if users must be read as trees.
///
/// Its paths are, in this order: one per formula (the path, or a placeholder for a computed formula); if any formula is
/// computed, also the inputs of the calls, as an [`Evaluator`] of the same formulas numbers them, and `extra`.
pub fn formula_projection<'a>(formulas: impl IntoIterator<Item = &'a Formula>, extra: &'a Path) -> Option<Projection> {
    const NOTHING: &Path = &Path(Node::Literal(Literal::Nothing));
    let (mut paths, mut inputs, mut computes) = (Vec::new(), Vec::new(), false);
    for formula in formulas {
        match &formula.computation {
            Computation::Path(path) => paths.push(path),
            Computation::Computed(call) => {
                if call.reads_text() {
                    return None;
                }
                computes = true;
                paths.push(NOTHING);
                inputs.extend(call.paths());
            }
        }
    }
    if computes {
        paths.append(&mut inputs);
        paths.push(extra);
    }
    Projection::new(paths)
}

/// The values that formulas read of a user.
#[derive(Clone, Copy, Debug)]
pub enum RowValues<'u, 'a> {
    /// A tree of JSON values.
    Tree(&'u Json<'a>),
    /// A row of the [`formula_projection`] of the same formulas.
    View(RowView<'u, 'a>),
}

/// The results of a formula: a value or an error for each user.
#[derive(Debug)]
pub struct Cells {
    answers: ResultBatch,
    /// Results that are objects or arrays, each with the index of its user, in order.
    trees: Vec<(usize, Json<'static>)>,
}

impl Cells {
    fn new(answers: ResultBatch) -> Self {
        let trees = answers.iter().enumerate().filter_map(|(user, answer)| match answer {
            Ok(ValueRef::Json(json)) => Some((user, Json::from(json.clone()))),
            _ => None,
        });
        Self { trees: trees.collect(), answers }
    }

    /// Returns the value for a user; `None` beyond the last user.
    ///
    /// An error has the form `transform@version: reason` and may contain personal data.
    #[inline]
    pub fn get(&self, user: usize) -> Option<std::result::Result<Cell<'_>, &RowFault>> {
        Some(Ok(match self.answers.get(user)? {
            Ok(ValueRef::Nothing) => Cell::Nothing,
            Ok(ValueRef::Boolean(boolean)) => Cell::Boolean(boolean),
            Ok(ValueRef::Number(number)) => Cell::Number(number),
            Ok(ValueRef::Text(text)) => Cell::Text(Cow::Borrowed(text)),
            Ok(ValueRef::Json(_)) => {
                let position = self.trees.binary_search_by_key(&user, |(user, _)| *user).ok()?;
                Cell::from(&self.trees.get(position)?.1)
            }
            Err(fault) => return Some(Err(fault)),
        }))
    }

    /// Returns the results of all users, in order.
    pub fn iter(&self) -> impl Iterator<Item = std::result::Result<Cell<'_>, &RowFault>> {
        (0..self.answers.len()).filter_map(|user| self.get(user))
    }

    /// Returns the indexes of the users that failed, with their errors.
    pub fn faults(&self) -> impl Iterator<Item = (usize, &RowFault)> {
        self.answers.iter().enumerate().filter_map(|(user, answer)| Some((user, answer.err()?)))
    }
}

/// Computes formulas on one thread.
#[derive(Debug, Default)]
pub struct Evaluator(Vec<Instance>);

/// A call with its runner for this thread.
struct Instance {
    call: Arc<PreparedCall>,
    runner: Runner,
    /// The calls among the inputs and inside of their JSON, in order.
    inner: Vec<Instance>,
    /// The indexes in the projection of the paths among the inputs and inside of their JSON, in order.
    path_indexes: Vec<usize>,
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.call.fmt(f)
    }
}

impl Evaluator {
    /// Prepares the formulas that are not paths.
    pub fn new<'a>(formulas: impl IntoIterator<Item = &'a Formula>) -> Self {
        let formulas: Vec<&Formula> = formulas.into_iter().collect();
        // The order of `formula_projection`.
        let mut next_index = formulas.len();
        let computed = formulas.iter().filter_map(|formula| match &formula.computation {
            Computation::Path(_) => None,
            Computation::Computed(call) => Some(Instance::new(call, &mut next_index)),
        });
        Self(computed.collect())
    }

    /// Returns whether there is nothing to compute: all formulas are paths.
    pub fn is_idle(&self) -> bool {
        self.0.is_empty()
    }

    /// Computes the formulas that are not paths; returns the results of each, in their order.
    pub fn compute(&mut self, users: &[RowValues<'_, '_>]) -> Vec<Cells> {
        self.0.iter_mut().map(|instance| Cells::new(instance.compute(users))).collect()
    }
}

impl Instance {
    fn new(call: &Arc<PreparedCall>, next_index: &mut usize) -> Self {
        let (mut inner, mut path_indexes) = (Vec::new(), Vec::new());
        // The order of `PreparedCall::paths`.
        for input in call.values() {
            match input {
                ArgSource::Path(_) => {
                    path_indexes.push(*next_index);
                    *next_index += 1;
                }
                ArgSource::Call(call) => inner.push(Self::new(call, next_index)),
                ArgSource::UserJson(_, paths) => *next_index += paths.len(),
                ArgSource::Json(_) => {}
            }
        }
        let runner = call.template.lock().unwrap_or_else(PoisonError::into_inner).clone_for_thread();
        Self { call: Arc::clone(call), runner, inner, path_indexes }
    }

    fn compute(&mut self, users: &[RowValues<'_, '_>]) -> ResultBatch {
        let call = Arc::clone(&self.call);
        let inner: Vec<ResultBatch> = self.inner.iter_mut().map(|instance| instance.compute(users)).collect();
        let mut rows = Rows::with_capacity(users.len(), call.inputs.len());
        // A row whose inner call failed is not passed to the transform: it has the error of the inner call.
        let mut faults: Vec<(usize, RowFault)> = Vec::new();
        for (at, user) in users.iter().enumerate() {
            let mut inner = inner.iter().map(|answers| answers.get(at));
            let mut path_indexes = self.path_indexes.iter();
            let mut fault = None;
            for input in &call.inputs {
                match (input, *user) {
                    (ArgSource::Path(path), RowValues::Tree(user)) => push_cell(path.evaluate(user), &mut rows),
                    (ArgSource::Path(_), RowValues::View(user)) => {
                        push_cell(path_indexes.next().map_or(Cell::Nothing, |index| user.cell(*index)), &mut rows);
                    }
                    // JSON written from a tree is valid UTF-8.
                    (ArgSource::UserJson(mask, _), RowValues::Tree(user)) => {
                        rows.push_text_with(|text| mask.write_json(user, text));
                    }
                    // Unreachable: formulas with such inputs have no projection.
                    (ArgSource::UserJson(..), RowValues::View(_)) => rows.push_nothing(),
                    (ArgSource::Call(_), _) => match inner.next().flatten() {
                        Some(Ok(answer)) => rows.push_ref(answer),
                        Some(Err(why)) => fault = fault.or(Some(why)),
                        None => rows.push_nothing(),
                    },
                    (ArgSource::Json(parts), user) => rows.push_json(|text| {
                        for part in parts {
                            match (part, user) {
                                (JsonPart::Text(part), _) => text.extend_from_slice(part.as_bytes()),
                                (JsonPart::Value(ArgSource::Path(path)), RowValues::Tree(user)) => {
                                    path.evaluate(user).write_json(text);
                                }
                                (JsonPart::Value(ArgSource::Path(_)), RowValues::View(user)) => path_indexes
                                    .next()
                                    .map_or(Cell::Nothing, |index| user.cell(*index))
                                    .write_json(text),
                                (JsonPart::Value(_), _) => match inner.next().flatten() {
                                    Some(Ok(answer)) => write_json(answer, text),
                                    Some(Err(why)) => fault = fault.or(Some(why)),
                                    None => text.extend_from_slice(b"null"),
                                },
                            }
                        }
                    }),
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

/// Appends the result of a transform to JSON text.
fn write_json(value: ValueRef<'_>, text: &mut Vec<u8>) {
    match value {
        ValueRef::Nothing => Cell::Nothing.write_json(text),
        ValueRef::Boolean(boolean) => Cell::Boolean(boolean).write_json(text),
        ValueRef::Number(number) => Cell::Number(number).write_json(text),
        ValueRef::Text(value) => Cell::Text(Cow::Borrowed(value)).write_json(text),
        // Writing into memory cannot fail: keys are texts and numbers finite.
        ValueRef::Json(json) => drop(serde_json::to_writer(text, json)),
    }
}

/// Appends the value of a path as an argument of a transform.
fn push_cell(cell: Cell<'_>, rows: &mut Rows) {
    match cell {
        Cell::Nothing => rows.push_nothing(),
        Cell::Boolean(boolean) => rows.push_boolean(boolean),
        // Neither JSON nor the values of transforms can represent these numbers.
        Cell::Number(number) if !number.is_finite() => rows.push_nothing(),
        Cell::Number(number) => rows.push_number(number),
        Cell::Text(text) => rows.push_text(&text),
        Cell::Json(json) => rows.push_json(|made| json.write(made)),
    }
}
