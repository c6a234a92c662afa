//! Secret literals in the expressions of a job: encrypted in the database, and masked where the settings of a job are
//! returned.

use secrecy::ExposeSecret;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use uie_core::error::{Code, Error, Result};
use uie_core::message::message;
use uie_export::ExportRequest;
use uie_expression::{ExpressionRequest, ResolvedRequest};
use uie_store::Store;

/// Member of a stored request that holds the encrypted request with its secrets. The other members are masked.
const ENCRYPTED_MEMBER: &str = "sealed";

/// Encryption purpose of these requests.
const PURPOSE: &str = "request of a job";

/// Returns the form of a request in the database: unchanged without secrets, else the masked request with the encrypted
/// one in an additional member.
pub(super) fn seal<R: ExpressionRequest + Serialize>(
    store: &Store,
    id: &str,
    request: &ResolvedRequest<R>,
) -> Result<Value> {
    let json = |request: &R| serde_json::to_value(request).map_err(Error::internal);
    let Some(masked) = request.masked() else { return json(request.pinned()) };
    let mut stored = json(masked)?;
    if let Value::Object(members) = &mut stored {
        let sealed = store.encryptor(PURPOSE)?.seal(id, &json(request.pinned())?.to_string())?;
        members.insert(ENCRYPTED_MEMBER.to_owned(), sealed.into());
    }
    Ok(stored)
}

/// Returns a stored request with its secrets. Fails if they cannot be decrypted.
pub(super) fn open<R: DeserializeOwned>(store: &Store, id: &str, stored: &Value) -> Result<R> {
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

fn parse<R: DeserializeOwned>(id: &str, request: Value) -> Result<R> {
    serde_json::from_value(request)
        .map_err(|error| Error::new(Code::Storage, message!("The request of job {id} cannot be read: {error}")))
}
