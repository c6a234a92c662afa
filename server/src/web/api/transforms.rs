//! `/api/transforms`: lists, uploads, activates and removes transforms.

use actix_web::web::{Data, Json, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse, http::header::CONTENT_LENGTH};
use futures_util::StreamExt;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::extractors::JsonBody;
use crate::web::app::App;
use crate::web::authorization::{Authorized, ReadUsers};
use crate::web::error_response::ApiError;
use crate::web::localized::Localized;
use uie_core::blocking::run_blocking;
use uie_core::error::{Code, Error, ErrorBody, Result};
use uie_core::language::Language;
use uie_core::message::{Localize, Message, message};
use uie_sandbox::{Catalog, LARGEST_FILE, Origin, Problem, Sandbox, StopSignal, Transform};
use uie_store::TransformUpload;

/// Maximum number of failed examples in an error message.
const MAX_LISTED_EXAMPLES: usize = 5;

/// The available transforms.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TransformList {
    /// The transforms, sorted by name.
    transforms: Vec<TransformView>,
    /// Ignored files, with the reason.
    problems: Vec<Problem>,
    /// The limits of each transform.
    limits: LimitsView,
    /// Whether transforms can be uploaded, and uploaded transforms are used.
    uploads: bool,
}

impl Localize for TransformList {
    fn localize(&mut self, language: Language) {
        self.problems.localize(language);
    }
}

/// A transform that columns may call.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TransformView {
    /// The name in expressions.
    name: String,
    /// Its version.
    version: String,
    /// Version of the WIT contract that it implements.
    contract: String,
    /// What it does, in one sentence.
    summary: String,
    /// Its documentation, Markdown.
    documentation: String,
    /// Its parameters, in order.
    parameters: Vec<ParameterView>,
    /// Type of its result: boolean, number, text, json, user or any.
    output: String,
    /// Example calls and their results.
    examples: Vec<ExampleView>,
    /// SHA-256 of its file, in hexadecimal.
    sha256: String,
    /// Size of its file in bytes.
    size: u64,
    /// Its origin.
    origin: Origin,
    /// All stored versions of an uploaded transform, oldest first. Saved settings and jobs keep the version that was
    /// active when they were saved or started.
    versions: Vec<VersionView>,
}

/// A version of an uploaded transform.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct VersionView {
    /// Its version.
    version: String,
    /// SHA-256 of its file, in hexadecimal.
    sha256: String,
    /// Size of its file in bytes.
    size: u64,
    /// Whether new expressions call this version.
    active: bool,
    /// E-mail address of the admin who uploaded it, if known.
    uploaded_by: Option<String>,
    /// When it was uploaded, if known.
    #[schema(value_type = Option<String>, format = DateTime)]
    uploaded_at: Option<Timestamp>,
}

/// The version to activate.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ActiveVersion {
    /// SHA-256 of its file, in hexadecimal.
    sha256: String,
}

/// The version to remove.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RemovedVersion {
    /// SHA-256 of its file; absent for all versions.
    sha256: Option<String>,
}

/// A parameter of a transform.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ParameterView {
    /// Its name.
    name: String,
    /// Its type: boolean, number, text, json, user or any.
    #[serde(rename = "type")]
    kind: String,
    /// Whether it accepts missing values.
    optional: bool,
    /// Whether it must be given as `secret("NAME")`; its value is never shown.
    secret: bool,
    /// Its description.
    description: String,
}

/// An example call and its result.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ExampleView {
    /// The call as an expression whose arguments are literals.
    call: String,
    /// Its result, as in a JSON file.
    gives: serde_json::Value,
}

/// Limits of a transform.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LimitsView {
    /// Memory in bytes.
    memory: u64,
    /// Execution time per row in milliseconds.
    time_ms: u64,
    /// Size of one result in bytes.
    result: u64,
    /// Stack size in bytes.
    stack: u64,
    /// Size of a file in bytes.
    file: u64,
}

impl TransformView {
    fn new(transform: &Transform, catalog: &Catalog, uploads: &[TransformUpload]) -> Self {
        let manifest = transform.shown_manifest();
        let find_upload = |sha256: &str| uploads.iter().find(|upload| upload.sha256 == sha256);
        let mut versions: Vec<VersionView> = Vec::new();
        if transform.origin() == Origin::Upload {
            versions.extend(catalog.versions(&manifest.name).map(|version| VersionView {
                version: version.manifest().version.clone(),
                sha256: version.sha256().to_owned(),
                size: version.size(),
                active: version.sha256() == transform.sha256(),
                uploaded_by: find_upload(version.sha256()).and_then(|upload| upload.author.clone()),
                uploaded_at: find_upload(version.sha256()).map(|upload| upload.uploaded_at),
            }));
            versions.sort_by_key(|version| version.uploaded_at);
        }
        let parameters = manifest.parameters.into_iter().map(|parameter| ParameterView {
            name: parameter.name,
            kind: parameter.kind.as_str().to_owned(),
            optional: parameter.optional,
            secret: parameter.secret,
            description: parameter.description,
        });
        let examples = manifest.examples.into_iter();
        Self {
            name: manifest.name,
            version: manifest.version,
            contract: manifest.contract,
            summary: manifest.summary,
            documentation: manifest.documentation,
            parameters: parameters.collect(),
            output: manifest.output.as_str().to_owned(),
            examples: examples.map(|example| ExampleView { call: example.call, gives: example.gives }).collect(),
            sha256: transform.sha256().to_owned(),
            size: transform.size(),
            origin: transform.origin(),
            versions,
        }
    }
}

impl From<uie_sandbox::Limits> for LimitsView {
    fn from(limits: uie_sandbox::Limits) -> Self {
        Self {
            memory: limits.memory,
            time_ms: u64::try_from(limits.time.as_millis()).unwrap_or(u64::MAX),
            result: limits.result,
            stack: limits.stack,
            file: LARGEST_FILE,
        }
    }
}

/// Returns all transforms: the shipped ones, those in `TRANSFORMS_DIR`, and uploads.
#[utoipa::path(get, path = "/api/transforms", tag = "transforms",
    responses((status = 200, body = TransformList), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub(super) async fn list(
    _session: Authorized<ReadUsers>,
    app: Data<App>,
) -> Result<Localized<TransformList>, ApiError> {
    let sandbox = app.jobs.sandbox().clone();
    let catalog = run_blocking(move || Ok(sandbox.catalog())).await?;
    let uploads = app.store.transform_uploads().await?;
    // Do not reveal the server's directories.
    let problems = catalog.problems().iter().map(|problem| Problem {
        file: std::path::Path::new(&problem.file)
            .file_name()
            .map_or_else(|| problem.file.clone(), |name| name.to_string_lossy().into_owned()),
        ..problem.clone()
    });
    Ok(Localized(TransformList {
        transforms: catalog.transforms().map(|transform| TransformView::new(transform, &catalog, &uploads)).collect(),
        problems: problems.collect(),
        limits: app.jobs.sandbox().limits().into(),
        uploads: app.jobs.sandbox().takes_uploads(),
    }))
}

/// Uploads a transform: a `.wasm` file as the body. It is validated and its examples are run before it is stored. If a
/// transform with this name was uploaded before, the upload becomes its new active version; earlier versions stay
/// available to saved settings and jobs that use them. The validation is canceled when the connection is closed.
#[utoipa::path(post, path = "/api/transforms", tag = "transforms",
    request_body(content = Vec<u8>, content_type = "application/wasm"),
    responses((status = 201, body = TransformView), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
              (status = 403, body = ErrorBody), (status = 409, body = ErrorBody), (status = 413, body = ErrorBody),
              (status = 429, body = ErrorBody)))]
pub(super) async fn upload(
    Authorized { session, .. }: Authorized<ReadUsers>,
    app: Data<App>,
    request: HttpRequest,
    body: Payload,
) -> Result<HttpResponse, ApiError> {
    app.jobs.sandbox().require_uploads()?;
    let principal = session.principal();
    let _quota_guard = app.jobs.acquire_upload_slot(&principal)?;
    let content_length =
        request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if content_length.is_some_and(|length| length > LARGEST_FILE) {
        return Err(too_large().into());
    }
    let bytes = read_body(body).await?;
    let sandbox = app.jobs.sandbox().clone();
    let (transform, catalog) = app
        .jobs
        .compute(&principal, move |stop| {
            let transform = check_and_store(&sandbox, bytes, stop)?;
            Ok((transform, sandbox.catalog()))
        })
        .await?;
    let upload = TransformUpload {
        sha256: transform.sha256().to_owned(),
        name: transform.manifest().name.clone(),
        author: session.email.clone(),
        uploaded_at: Timestamp::now(),
    };
    app.store.put_transform_upload(&upload).await?;
    let uploads = app.store.transform_uploads().await?;
    tracing::info!(
        transform = transform.label(),
        sha256 = transform.sha256(),
        session = session.id,
        "a transform was uploaded"
    );
    Ok(HttpResponse::Created().json(TransformView::new(&transform, &catalog, &uploads)))
}

/// Activates an uploaded version of a transform, which new expressions then call.
#[utoipa::path(put, path = "/api/transforms/{name}/active", tag = "transforms", params(("name" = String, Path)),
    request_body = ActiveVersion,
    responses((status = 200, body = TransformView), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
              (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn activate(
    Authorized { session, .. }: Authorized<ReadUsers>,
    app: Data<App>,
    name: Path<String>,
    JsonBody(version): JsonBody<ActiveVersion>,
) -> Result<Json<TransformView>, ApiError> {
    let sandbox = app.jobs.sandbox().clone();
    let (transform, catalog) = run_blocking(move || {
        let transform = sandbox.activate(&name, &version.sha256)?;
        Ok((transform, sandbox.catalog()))
    })
    .await?;
    tracing::info!(
        transform = transform.label(),
        sha256 = transform.sha256(),
        session = session.id,
        "a version of a transform was activated"
    );
    let uploads = app.store.transform_uploads().await?;
    Ok(Json(TransformView::new(&transform, &catalog, &uploads)))
}

/// Removes an uploaded transform with all its versions, or with `sha256` one version of it. Running jobs can still use
/// it; saved settings that need it cannot be used any more.
#[utoipa::path(delete, path = "/api/transforms/{name}", tag = "transforms",
    params(("name" = String, Path), ("sha256" = Option<String>, Query)),
    responses((status = 204), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
              (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(super) async fn remove(
    Authorized { session, .. }: Authorized<ReadUsers>,
    app: Data<App>,
    name: Path<String>,
    version: Query<RemovedVersion>,
) -> Result<HttpResponse, ApiError> {
    let sandbox = app.jobs.sandbox().clone();
    let name = name.into_inner();
    let (removed_name, sha256) = (name.clone(), version.into_inner().sha256);
    for sha256 in run_blocking(move || sandbox.remove(&removed_name, sha256.as_deref())).await? {
        app.store.delete_transform_upload(&sha256).await?;
        tracing::info!(transform = name, sha256, session = session.id, "a version of a transform was removed");
    }
    Ok(HttpResponse::NoContent().finish())
}

/// Reads the body. Fails with [`Code::PayloadTooLarge`] if it is larger than [`LARGEST_FILE`].
async fn read_body(mut body: Payload) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(more) = body.next().await {
        let more =
            more.map_err(|error| Error::new(Code::InvalidBody, message!("The body could not be read: {error}")))?;
        if (bytes.len() + more.len()) as u64 > LARGEST_FILE {
            return Err(too_large());
        }
        bytes.extend_from_slice(&more);
    }
    Ok(bytes)
}

fn too_large() -> Error {
    let limit = bytesize::ByteSize(LARGEST_FILE);
    Error::new(Code::PayloadTooLarge, message!("The file is larger than the {limit} allowed for a transform."))
        .with_hint(message!("Build it with optimization and without debug information, as `transform build` does."))
}

/// Validates a file, runs its examples, and stores it.
fn check_and_store(sandbox: &Sandbox, bytes: Vec<u8>, stop: &StopSignal) -> Result<Transform> {
    let transform = Transform::from_upload(bytes)?;
    let failed: Vec<Message> = sandbox
        .check_examples(&transform, stop)?
        .into_iter()
        .filter_map(|checked| {
            let failure = checked.failure?;
            Some(message!("{call} {failure}", call = checked.call))
        })
        .collect();
    let more = failed.len().saturating_sub(MAX_LISTED_EXAMPLES);
    let listed = failed.into_iter().take(MAX_LISTED_EXAMPLES);
    if let Some(examples) = listed.reduce(|examples, next| message!("{examples}; {next}")) {
        let label = transform.label();
        let message = if more == 0 {
            message!("The examples of {label} fail on this server: {examples}.")
        } else {
            message!("The examples of {label} fail on this server: {examples}; and {more} more.")
        };
        return Err(Error::new(Code::InvalidTransform, message)
            .with_hint(message!("Run `transform test` to see the same on the author's machine.")));
    }
    sandbox.keep(&transform)?;
    Ok(transform)
}
