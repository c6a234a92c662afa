//! Secrets that stand as literals in the expressions of a job: encrypted at rest, masked wherever the settings of a job
//! are shown.

use secrecy::ExposeSecret;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Code, Error, Result};
use crate::export::ExportRequest;
use crate::expression::{Expression, Formula, Pins, Tools};
use crate::import::ImportRequest;
use crate::store::Store;

/// The member of a stored request that holds the request with its secrets, sealed; the rest is masked.
const SEALED: &str = "sealed";

/// What such requests are sealed for.
const PURPOSE: &str = "request of a job";

/// What a job was asked for.
pub trait Request: Clone + PartialEq + Serialize + DeserializeOwned + Send + 'static {
    /// Every expression in it.
    fn expressions(&mut self) -> Vec<&mut String>;

    /// Which versions of transforms it uses.
    fn pins(&mut self) -> &mut Pins;
}

impl Request for ExportRequest {
    fn expressions(&mut self) -> Vec<&mut String> {
        let fields = self.fields.iter_mut().flatten().map(|field| &mut field.name);
        fields.chain(self.sort.iter_mut().map(|sort| &mut sort.by)).collect()
    }

    fn pins(&mut self) -> &mut Pins {
        &mut self.transforms
    }
}

impl Request for ImportRequest {
    fn expressions(&mut self) -> Vec<&mut String> {
        self.map.iter_mut().map(|rule| &mut rule.expression).collect()
    }

    fn pins(&mut self) -> &mut Pins {
        &mut self.transforms
    }
}

/// The request with every secret literal as `***`; none where it holds no secrets. Fails where an expression
/// cannot be read.
pub(crate) fn masked<R: Request>(request: &R, tools: &Tools) -> Result<Option<R>> {
    let mut masked = request.clone();
    let tools = &tools.pinned(masked.pins());
    for source in masked.expressions() {
        let expression = Expression::parse(source)?;
        let formula = Formula::new(&expression, Some(tools))?;
        if formula.shown() != expression.source() {
            formula.shown().clone_into(source);
        }
    }
    Ok((masked != *request).then_some(masked))
}

/// The request with the versions of all transforms that it uses, so that a later upload changes nothing for it.
/// Versions that it names already stay. Fails where an expression cannot be read.
pub(crate) fn pinned<R: Request>(request: &R, tools: &Tools) -> Result<R> {
    let mut pinned = request.clone();
    let sources: Vec<String> = pinned.expressions().into_iter().map(|source| source.clone()).collect();
    let pins = tools.pinned(pinned.pins()).pins(sources.iter().map(String::as_str))?;
    *pinned.pins() = pins;
    Ok(pinned)
}

/// What is stored of a request with this masked form.
pub(crate) fn seal<R: Request>(store: &Store, id: &str, request: &R, masked: Option<&R>) -> Result<Value> {
    let json =
        |request: &R| serde_json::to_value(request).map_err(|error| Error::new(Code::Internal, error.to_string()));
    let Some(masked) = masked else { return json(request) };
    let mut stored = json(masked)?;
    if let Value::Object(members) = &mut stored {
        let sealed = store.sealer(PURPOSE)?.seal(id, &json(request)?.to_string())?;
        members.insert(SEALED.to_owned(), sealed.into());
    }
    Ok(stored)
}

/// The request to run: with its secrets.
pub(crate) fn open<R: Request>(store: &Store, id: &str, stored: &Value) -> Result<R> {
    let Some(sealed) = stored.get(SEALED).and_then(Value::as_str) else { return parse(id, stored.clone()) };
    let opened = store.sealer(PURPOSE)?.open(id, sealed).ok_or_else(|| {
        Error::new(Code::Storage, format!("The secrets of job {id} cannot be read."))
            .with_hint("They were encrypted with another key; start the job again and enter them anew.")
    })?;
    let request = serde_json::from_str(opened.expose_secret()).unwrap_or_default();
    parse(id, request)
}

/// What may be shown of a stored request.
pub(super) fn shown(stored: &Value) -> Value {
    let mut shown = stored.clone();
    if let Value::Object(members) = &mut shown {
        members.shift_remove(SEALED);
    }
    shown
}

/// The request of an export without its secrets, for what does not depend on them.
pub(super) fn without_secrets(id: &str, stored: &Value) -> Result<ExportRequest> {
    parse(id, shown(stored))
}

fn parse<R: Request>(id: &str, request: Value) -> Result<R> {
    serde_json::from_value(request)
        .map_err(|error| Error::new(Code::Storage, format!("The request of job {id} cannot be read: {error}")))
}
