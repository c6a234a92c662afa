//! Secret literals in the expressions of a job: encrypted in the database, and masked where the settings of a job are
//! returned.

use secrecy::ExposeSecret;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use uie_core::error::{Code, Error, Result};
use uie_core::message::message;
use uie_export::ExportRequest;
use uie_expression::{Expression, Formula, Pins, TransformContext};
use uie_import::ImportRequest;
use uie_store::Store;

/// Member of a stored request that holds the encrypted request with its secrets. The other members are masked.
const ENCRYPTED_MEMBER: &str = "sealed";

/// Encryption purpose of these requests.
const PURPOSE: &str = "request of a job";

/// The request of a job.
pub trait Request: Clone + PartialEq + Serialize + DeserializeOwned + Send + 'static {
    /// Returns every expression in the request.
    fn expressions(&mut self) -> Vec<&mut String>;

    /// Returns the versions of transforms that the request uses.
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

/// Returns the request with every secret literal replaced by `***`; `None` if it holds no secrets. Fails if an
/// expression is not valid.
pub fn masked<R: Request>(request: &R, context: &TransformContext) -> Result<Option<R>> {
    let mut masked = request.clone();
    let context = &context.with_pins(masked.pins());
    for source in masked.expressions() {
        let expression = Expression::parse(source)?;
        let formula = Formula::new(&expression, Some(context))?;
        if formula.masked_source() != expression.source() {
            formula.masked_source().clone_into(source);
        }
    }
    Ok((masked != *request).then_some(masked))
}

/// Returns the request with the versions of all transforms that it uses, so that later uploads do not change its
/// result. Keeps versions that it already names. Fails if an expression is not valid.
pub fn pinned<R: Request>(request: &R, context: &TransformContext) -> Result<R> {
    let mut pinned = request.clone();
    let sources: Vec<String> = pinned.expressions().into_iter().map(|source| source.clone()).collect();
    let pins = context.with_pins(pinned.pins()).resolve_pins(sources.iter().map(String::as_str))?;
    *pinned.pins() = pins;
    Ok(pinned)
}

/// Returns the form of a request in the database: unchanged without secrets (no `masked`), else the masked request
/// with the encrypted one in an additional member.
pub fn seal<R: Request>(store: &Store, id: &str, request: &R, masked: Option<&R>) -> Result<Value> {
    let json = |request: &R| serde_json::to_value(request).map_err(Error::internal);
    let Some(masked) = masked else { return json(request) };
    let mut stored = json(masked)?;
    if let Value::Object(members) = &mut stored {
        let sealed = store.encryptor(PURPOSE)?.seal(id, &json(request)?.to_string())?;
        members.insert(ENCRYPTED_MEMBER.to_owned(), sealed.into());
    }
    Ok(stored)
}

/// Returns a stored request with its secrets. Fails if they cannot be decrypted.
pub fn open<R: Request>(store: &Store, id: &str, stored: &Value) -> Result<R> {
    let Some(sealed) = stored.get(ENCRYPTED_MEMBER).and_then(Value::as_str) else { return parse(id, stored.clone()) };
    let opened = store.encryptor(PURPOSE)?.open(id, sealed).ok_or_else(|| {
        Error::new(Code::Storage, message!("The secrets of job {id} cannot be read."))
            .with_hint(message!("They were encrypted with another key. Enter them again and start a new job."))
    })?;
    let request = serde_json::from_str(opened.expose_secret()).unwrap_or_default();
    parse(id, request)
}

/// Returns a stored request without its secrets.
pub(super) fn shown(stored: &Value) -> Value {
    let mut shown = stored.clone();
    if let Value::Object(members) = &mut shown {
        members.shift_remove(ENCRYPTED_MEMBER);
    }
    shown
}

/// Returns the request of an export with secrets masked, for uses that do not need them.
pub(super) fn without_secrets(id: &str, stored: &Value) -> Result<ExportRequest> {
    parse(id, shown(stored))
}

fn parse<R: Request>(id: &str, request: Value) -> Result<R> {
    serde_json::from_value(request)
        .map_err(|error| Error::new(Code::Storage, message!("The request of job {id} cannot be read: {error}")))
}
