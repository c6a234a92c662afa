//! `/jobs/*` and the download links of exports (docs/auth0/jobs.md#imports, docs/auth0/jobs.md#download-links).

use actix_multipart::Multipart;
use actix_web::body::SizedStream;
use actix_web::http::{StatusCode, header};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt};
use serde_json::{Map, Value, json};

use super::authorize;
use super::query::Query;
use crate::clock::millis;
use crate::connections::{has_id_format, is_id};
use crate::export::{self, CSV_FIELDS, Field, Format, Plan};
use crate::faults::FaultKind;
use crate::jobs::{Errors, Export, ForcedOutcome, Import};
use crate::record::RecordedBody;
use crate::reply::{ApiError, ApiResult, json_body, ok};
use crate::state::{ActiveFaults, State, TENANT};

/// Maximum size of an import request, in bytes.
const MAX_IMPORT_BYTES: u64 = 512_000;
/// Maximum size of other JSON bodies, in bytes.
const MAX_BODY_BYTES: usize = 1024 * 1024;

fn hits(request: &HttpRequest) -> ActiveFaults {
    request.extensions().get::<ActiveFaults>().cloned().unwrap_or_default()
}

fn too_large() -> ApiError {
    ApiError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        None,
        format!("Payload content length greater than maximum allowed: {MAX_IMPORT_BYTES}"),
    )
}

fn malformed() -> ApiError {
    ApiError::body("Payload validation error: 'Invalid multipart payload format'.")
}

/// The parts of an import request.
#[derive(Default)]
struct Parts {
    texts: Map<String, Value>,
    users: Option<Bytes>,
}

async fn parts(request: &HttpRequest, payload: web::Payload) -> Result<Parts, ApiError> {
    let multipart = request
        .headers()
        .get("content-type")
        .and_then(|value| value.to_str().ok())
        .is_some_and(|kind| kind.to_ascii_lowercase().starts_with("multipart/form-data"));
    if !multipart {
        return Err(malformed());
    }
    // The content length counts, multipart overhead included; without one, the bytes that arrive.
    let mut body = BytesMut::new();
    let mut payload = payload;
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| malformed())?;
        if (body.len() + chunk.len()) as u64 > MAX_IMPORT_BYTES {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    let stream = futures_util::stream::iter([Ok::<_, actix_web::error::PayloadError>(body.freeze())]);
    let mut form = Multipart::new(request.headers(), stream);
    let mut parts = Parts::default();
    while let Some(mut part) = form.try_next().await.map_err(|_| malformed())? {
        let name = part.name().unwrap_or_default().to_owned();
        let mut content = BytesMut::new();
        while let Some(chunk) = part.try_next().await.map_err(|_| malformed())? {
            content.extend_from_slice(&chunk);
        }
        if name == "users" {
            parts.users = Some(content.freeze());
        } else {
            parts.texts.insert(name, String::from_utf8_lossy(&content).into_owned().into());
        }
    }
    Ok(parts)
}

pub(super) async fn import(request: HttpRequest, state: web::Data<State>, payload: web::Payload) -> ApiResult {
    authorize(&request, &state, &["create:users"])?;
    let length = request.headers().get("content-length").and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > MAX_IMPORT_BYTES) {
        return Err(too_large());
    }
    let parts = parts(&request, payload).await?;
    let mut record = parts.texts.clone();
    record.insert("users".into(), parts.users.as_ref().map_or(Value::Null, |users| users.len().into()));
    request.extensions_mut().insert(RecordedBody(record.into()));

    let users = parts.users.ok_or_else(|| ApiError::body("Must provide 'users' file as multipart part."))?;
    if users.is_empty() {
        return Err(ApiError::body("Users file must not be empty."));
    }
    let hits = hits(&request);
    let contains = |text: &str| String::from_utf8_lossy(&users).contains(text);
    if hits.kinds().any(|kind| *kind == FaultKind::RefuseConnection) {
        return Err(ApiError::bad_request("inexistent_connection", "The connection does not exist."));
    }
    if hits.kinds().any(|kind| matches!(kind, FaultKind::RefuseUsers { containing } if contains(containing))) {
        return Err(ApiError::body("Users file could not be processed."));
    }
    let fails = hits.kinds().any(|kind| matches!(kind, FaultKind::FailUsers { containing } if contains(containing)));
    let forced = if fails { ForcedOutcome::Fails } else { hits.forced_outcome() };
    let text = |name: &str| parts.texts.get(name).and_then(Value::as_str);
    let id = text("connection_id").ok_or_else(|| ApiError::body("Must provide 'connection_id' as multipart part."))?;
    let boolean = |name: &str, default: bool| match text(name) {
        None | Some("") => Ok(default),
        Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(_) => Err(ApiError::body(format!(
            "Payload validation error: 'Expected type boolean but found type string' on property {name}"
        ))),
    };
    let upsert = boolean("upsert", false)?;
    let mail = boolean("send_completion_email", true)?;
    let connection = existing_connection(&state, id)?;
    if connection.strategy != "auth0" {
        return Err(ApiError::bad_request("operation_not_supported", "Connection must be a database connection"));
    }
    if !connection.enabled {
        return Err(ApiError::bad_request("connection_is_disabled", "Connection must be enabled."));
    }
    if connection.is_custom() && !connection.import_mode() {
        return Err(ApiError::bad_request(
            "operation_not_supported",
            "Custom Database Connections without import mode are not allowed.",
        ));
    }
    let import = Import {
        file: users,
        upsert,
        external_id: text("external_id").map(str::to_owned),
        connection: connection.clone(),
    };
    let duration = millis(state.settings.import_duration);
    let now = state.clock.now();
    match state.jobs.import(import, mail, duration, forced, now) {
        Ok(job) => Ok(json_body(&mut HttpResponse::Accepted(), &job)),
        Err(active) => Err(active_imports(active)),
    }
}

/// The 429 for too many active imports, which is not a rate limit (docs/auth0/jobs.md#two-jobs-at-once).
pub(crate) fn active_imports(active: usize) -> ApiError {
    ApiError::new(
        StatusCode::TOO_MANY_REQUESTS,
        None,
        format!(
            "There are {active} active import users jobs, please wait until some of them are finished and try again"
        ),
    )
}

fn existing_connection<'a>(state: &'a State, id: &str) -> Result<&'a crate::connections::Connection, ApiError> {
    if !is_id(id) {
        return Err(ApiError::body(
            "Payload validation error: 'String does not match pattern ^con_[A-Za-z0-9]{16}$' on property connection_id",
        ));
    }
    state.connection(id).ok_or_else(|| ApiError::bad_request("inexistent_connection", "The connection does not exist."))
}

pub(super) async fn export(request: HttpRequest, state: web::Data<State>, payload: web::Payload) -> ApiResult {
    authorize(&request, &state, &["read:users"])?;
    let body = payload
        .to_bytes_limited(MAX_BODY_BYTES)
        .await
        .ok()
        .and_then(Result::ok)
        .ok_or_else(|| ApiError::body("Payload validation error: 'Invalid payload'."))?;
    let body: Value = if body.is_empty() {
        json!({})
    } else {
        serde_json::from_slice(&body).map_err(|_| ApiError::body("Invalid request payload JSON format"))?
    };
    request.extensions_mut().insert(RecordedBody(body.clone()));
    let Value::Object(members) = &body else {
        return Err(payload_error("Expected type object", "body"));
    };
    if let Some(unknown) =
        members.keys().find(|name| !matches!(name.as_str(), "connection_id" | "format" | "limit" | "fields"))
    {
        return Err(ApiError::body(format!(
            "Payload validation error: 'Additional properties not allowed: {unknown}'."
        )));
    }
    let connection = match members.get("connection_id") {
        None => None,
        Some(Value::String(id)) => Some(existing_connection(&state, id)?.clone()),
        Some(_) => return Err(payload_error("Expected type string", "connection_id")),
    };
    // Auth0 does not document the default format.
    let format = match members.get("format").map(Value::as_str) {
        None | Some(Some("json")) => Format::Json,
        Some(Some("csv")) => Format::Csv,
        Some(_) => return Err(payload_error("No enum match", "format")),
    };
    let limit = match members.get("limit") {
        None => None,
        Some(limit) => match limit.as_u64() {
            Some(limit) if limit >= 1 => Some(limit),
            _ => return Err(payload_error("Expected an integer of at least 1", "limit")),
        },
    };
    let fields = match members.get("fields") {
        None => export::default_fields(),
        Some(Value::Array(fields)) => export_fields(fields, format)?,
        Some(_) => return Err(payload_error("Expected type array", "fields")),
    };
    let echo: Map<String, Value> = members
        .iter()
        .filter(|(name, _)| *name != "connection_id")
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let plan = Plan {
        format,
        fields,
        connection: connection.as_ref().map(|connection| connection.name.clone()),
        limit,
        until: 0,
    };
    let export = Export { plan, echo: echo.into(), connection };
    let duration = millis(state.settings.export_duration);
    let job = state.jobs.export(export, duration, hits(&request).forced_outcome(), state.clock.now());
    Ok(ok(&job))
}

fn export_fields(fields: &[Value], format: Format) -> Result<Vec<Field>, ApiError> {
    if format == Format::Csv && fields.len() > CSV_FIELDS {
        return Err(payload_error(&format!("Array is too long ({}), maximum {CSV_FIELDS}", fields.len()), "fields"));
    }
    let mut read = Vec::with_capacity(fields.len());
    for (at, field) in fields.iter().enumerate() {
        let path = format!("fields[{at}]");
        let members = field.as_object().ok_or_else(|| payload_error("Expected type object", &path))?;
        if let Some(unknown) = members.keys().find(|name| !matches!(name.as_str(), "name" | "export_as")) {
            return Err(payload_error(&format!("Additional properties not allowed: {unknown}"), &path));
        }
        let text = |name: &str| match members.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.chars().count() <= 100 => Ok(Some(text.as_str())),
            Some(_) => Err(payload_error("Expected a string of at most 100 characters", &format!("{path}.{name}"))),
        };
        let name = text("name")?.ok_or_else(|| payload_error("Missing required property: name", &path))?;
        if format == Format::Csv && matches!(name, "app_metadata" | "user_metadata") {
            return Err(payload_error(
                &format!("{name} cannot be exported as a whole to CSV, name its members"),
                &path,
            ));
        }
        read.push(Field::new(name, text("export_as")?));
    }
    Ok(read)
}

fn payload_error(reason: &str, property: &str) -> ApiError {
    ApiError::body(format!("Payload validation error: '{reason}' on property {property}"))
}

fn job_id(id: &str) -> Result<&str, ApiError> {
    if has_id_format(id, "job_") {
        Ok(id)
    } else {
        Err(ApiError::bad_request(
            "invalid_uri",
            "Path validation error: 'String does not match pattern ^job_[A-Za-z0-9]{16}$' on property id",
        ))
    }
}

fn unknown_job() -> ApiError {
    ApiError::not_found("inexistent_job", "Job not found")
}

pub(super) async fn get(request: HttpRequest, state: web::Data<State>, id: web::Path<String>) -> ApiResult {
    authorize(&request, &state, &["create:users", "read:users"])?;
    let id = job_id(&id)?;
    let now = state.clock.now();
    let hits = hits(&request);
    if hits.has(&FaultKind::ForgetJob) {
        state.jobs.forget(id, now);
    }
    let (mut job, mut file) = state.jobs.get(id, now).ok_or_else(unknown_job)?;
    for kind in hits.kinds() {
        if let FaultKind::JobStatus { status } = kind {
            job["status"] = status.as_str().into();
            file = None;
        }
    }
    if let Some(format) = file {
        let path = format!("/exports/{id}/{TENANT}.{}.gz", format.extension());
        let expires = (now + millis(state.settings.link_lifetime)) / 1000;
        let signature = sign(&state.link_key, &path, expires);
        job["location"] =
            format!("{}{path}?Expires={expires}&Key-Pair-Id=SIMULATED&Signature={signature}", state.origin(&request))
                .into();
    }
    Ok(ok(&job))
}

pub(super) async fn errors(request: HttpRequest, state: web::Data<State>, id: web::Path<String>) -> ApiResult {
    authorize(&request, &state, &["create:users", "read:users"])?;
    let id = job_id(&id)?;
    let body = match state.jobs.errors(id, state.clock.now()).ok_or_else(unknown_job)? {
        Errors::None => return Ok(HttpResponse::NoContent().finish()),
        Errors::Users(users) => Value::Array(users),
        Errors::Job(job) => job,
    };
    // Recorded without a charset (docs/auth0/management-api.md#requests).
    Ok(HttpResponse::Ok().content_type("application/json").body(body.to_string()))
}

fn sign(key: &str, path: &str, expires: i64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    URL_SAFE_NO_PAD.encode(hmac::sign(&key, format!("{path}?{expires}").as_bytes()))
}

/// The file of an export: a signed link, no Authorization header.
pub(crate) async fn download(
    request: HttpRequest,
    state: web::Data<State>,
    path: web::Path<(String, String)>,
) -> HttpResponse {
    let denied = || {
        HttpResponse::Forbidden().content_type("text/xml").body(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>AccessDenied</Code><Message>Access denied</Message></Error>",
        )
    };
    let query = Query::of(&request);
    let Some(expires) = query.get("Expires").and_then(|expires| expires.parse::<i64>().ok()) else {
        return denied();
    };
    let expected = sign(&state.link_key, request.path(), expires);
    let now = state.clock.now();
    if query.get("Signature") != Some(expected.as_str())
        || expires * 1000 <= now
        || hits(&request).has(&FaultKind::ExpiredLink)
    {
        return denied();
    }
    let Some(file) = state.jobs.file(&path.0, now) else { return denied() };
    let tag = format!("\"{}\"", path.0);
    let ignored = hits(&request).has(&FaultKind::IgnoreRange);
    let part = if ignored { Part::Whole } else { part(&request, &tag, file.length) };
    let (range, mut response) = match part {
        Part::Whole => (0..file.length, HttpResponse::Ok()),
        Part::Range(range) => {
            let mut response = HttpResponse::PartialContent();
            let shown = format!("bytes {}-{}/{}", range.start, range.end - 1, file.length);
            response.insert_header((header::CONTENT_RANGE, shown));
            (range, response)
        }
        Part::None => {
            return HttpResponse::RangeNotSatisfiable()
                .insert_header((header::CONTENT_RANGE, format!("bytes */{}", file.length)))
                .finish();
        }
    };
    if !ignored {
        response.insert_header((header::ACCEPT_RANGES, "bytes")).insert_header((header::ETAG, tag));
    }
    let length = range.end - range.start;
    let mut pieces = export::stream(file, range);
    let body = async_stream::stream! {
        while let Some(piece) = pieces.recv().await {
            yield Ok::<Bytes, actix_web::Error>(piece);
        }
    };
    response.content_type("application/octet-stream").body(SizedStream::new(length, Box::pin(body)))
}

/// The requested part of a file.
enum Part {
    Whole,
    Range(std::ops::Range<u64>),
    /// A range that is not satisfiable.
    None,
}

/// Parses a range with a first byte and no end (RFC 9110, section 14). For anything else the whole file is sent, as the
/// RFC allows.
fn part(request: &HttpRequest, tag: &str, length: u64) -> Part {
    let header = |name: header::HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
    let Some((first, last)) =
        header(header::RANGE).and_then(|range| range.strip_prefix("bytes=")).and_then(|range| range.split_once('-'))
    else {
        return Part::Whole;
    };
    if header(header::IF_RANGE).is_some_and(|known| known != tag) {
        return Part::Whole;
    }
    let last = if last.is_empty() { Ok(u64::MAX) } else { last.parse::<u64>() };
    match (first.parse::<u64>(), last) {
        (Ok(first), Ok(last)) if first >= length || last < first => Part::None,
        (Ok(first), Ok(last)) => Part::Range(first..last.saturating_add(1).min(length)),
        _ => Part::Whole,
    }
}
