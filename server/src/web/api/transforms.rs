//! `/api/transforms`: which transforms there are; upload and removal of an admin's own.

use actix_web::web::{Data, Json, Path, Payload, Query, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, http::header::CONTENT_LENGTH};
use futures_util::StreamExt;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::{ApiError, App, Authorized, ReadUsers};
use super::only;
use crate::error::{Code, Error, ErrorBody, Result};
use crate::sandbox::{self, Catalog, LARGEST_FILE, Origin, Problem, Sandbox, Stop, Transform};
use crate::store::TransformUpload;

/// Examples that an error names; a file may have many that do not hold.
const MOST_NAMED: usize = 5;

pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .service(only("/transforms", "GET, HEAD, POST").get(list).head(list).post(upload))
        .service(only("/transforms/{name}", "DELETE").delete(remove))
        .service(only("/transforms/{name}/active", "PUT").put(activate));
}

/// The transforms there are.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TransformList {
    /// In the order of their names.
    transforms: Vec<TransformView>,
    /// Files that were left out, and why.
    problems: Vec<Problem>,
    /// What each of them may take.
    limits: LimitsView,
    /// Whether transforms can be uploaded here, and uploaded ones are used.
    uploads: bool,
}

/// A transform that columns may call.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TransformView {
    /// What expressions call it by.
    name: String,
    /// Its own version.
    version: String,
    /// Version of the contract it was built against.
    contract: String,
    /// What it does, in one sentence.
    summary: String,
    /// Its documentation, Markdown.
    documentation: String,
    /// Its parameters, in order.
    parameters: Vec<ParameterView>,
    /// What it gives: boolean, number, text, json, user or any.
    output: String,
    /// Calls and what they give.
    examples: Vec<ExampleView>,
    /// SHA-256 of its file, in hexadecimal.
    sha256: String,
    /// Size of its file, bytes.
    size: u64,
    /// Where it comes from.
    origin: Origin,
    /// Of an upload all versions that are kept, oldest first. Saved settings and jobs keep the version that was
    /// active when they were saved or started.
    versions: Vec<VersionView>,
}

/// A version of an uploaded transform.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct VersionView {
    /// What it says of itself.
    version: String,
    /// SHA-256 of its file, in hexadecimal.
    sha256: String,
    /// Size of its file, bytes.
    size: u64,
    /// Whether new expressions call this version.
    active: bool,
    /// Who uploaded it, where that is known.
    uploaded_by: Option<String>,
    /// When it was uploaded, where that is known.
    #[schema(value_type = Option<String>, format = DateTime)]
    uploaded_at: Option<Timestamp>,
}

/// Which version is to be the active one.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ActiveVersion {
    /// SHA-256 of its file, in hexadecimal.
    sha256: String,
}

/// Which version is to be removed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RemovedVersion {
    /// SHA-256 of its file; none for all versions.
    sha256: Option<String>,
}

/// A parameter of a transform.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ParameterView {
    /// Its name.
    name: String,
    /// What it takes: boolean, number, text, json, user or any.
    #[serde(rename = "type")]
    kind: String,
    /// Whether it takes nothing too.
    optional: bool,
    /// Whether it is given as `secret("NAME")` and never shown.
    secret: bool,
    /// What it means.
    description: String,
}

/// A call and what it gives.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ExampleView {
    /// The call as an expression whose arguments are literals.
    call: String,
    /// What it gives, as a cell of a JSON file.
    gives: serde_json::Value,
}

/// What a transform may take.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LimitsView {
    /// Memory, bytes.
    memory: u64,
    /// Time one row may compute, milliseconds.
    time_ms: u64,
    /// Size of one result, bytes.
    result: u64,
    /// Stack, bytes.
    stack: u64,
    /// Size of a file, bytes.
    file: u64,
}

impl TransformView {
    fn new(transform: &Transform, catalog: &Catalog, uploads: &[TransformUpload]) -> Self {
        let manifest = transform.shown_manifest();
        let known = |sha256: &str| uploads.iter().find(|upload| upload.sha256 == sha256);
        let mut versions: Vec<VersionView> = Vec::new();
        if transform.origin() == Origin::Upload {
            versions.extend(catalog.versions(&manifest.name).map(|version| VersionView {
                version: version.manifest().version.clone(),
                sha256: version.sha256().to_owned(),
                size: version.size(),
                active: version.sha256() == transform.sha256(),
                uploaded_by: known(version.sha256()).and_then(|upload| upload.author.clone()),
                uploaded_at: known(version.sha256()).map(|upload| upload.uploaded_at),
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

impl From<sandbox::Limits> for LimitsView {
    fn from(limits: sandbox::Limits) -> Self {
        Self {
            memory: limits.memory,
            time_ms: u64::try_from(limits.time.as_millis()).unwrap_or(u64::MAX),
            result: limits.result,
            stack: limits.stack,
            file: LARGEST_FILE,
        }
    }
}

/// All transforms: those shipped, files in `TRANSFORMS_DIR`, and uploads.
#[utoipa::path(get, path = "/api/transforms", tag = "transforms",
    responses((status = 200, body = TransformList), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)),
    security(("session" = ["read:users"])))]
pub(super) async fn list(_session: Authorized<ReadUsers>, app: Data<App>) -> Result<Json<TransformList>, ApiError> {
    let sandbox = app.jobs.sandbox().clone();
    let catalog = blocking(move || Ok(sandbox.catalog())).await?;
    let uploads = app.store.transform_uploads().await?;
    // Where files lie on the server is nobody's business here.
    let problems = catalog.problems().iter().map(|problem| Problem {
        file: std::path::Path::new(&problem.file)
            .file_name()
            .map_or_else(|| problem.file.clone(), |name| name.to_string_lossy().into_owned()),
        ..problem.clone()
    });
    Ok(Json(TransformList {
        transforms: catalog.transforms().map(|transform| TransformView::new(transform, &catalog, &uploads)).collect(),
        problems: problems.collect(),
        limits: app.jobs.sandbox().limits().into(),
        uploads: app.jobs.sandbox().takes_uploads(),
    }))
}

/// Takes in a transform: a `.wasm` file as the body. It is checked and its own examples are run before it
/// is kept. An upload of a name that was uploaded before is a new version, and the active one; earlier versions stay,
/// and saved settings and jobs keep theirs. The check ends with the connection.
#[utoipa::path(post, path = "/api/transforms", tag = "transforms",
    request_body(content = Vec<u8>, content_type = "application/wasm"),
    responses((status = 201, body = TransformView), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
              (status = 403, body = ErrorBody), (status = 409, body = ErrorBody), (status = 413, body = ErrorBody),
              (status = 429, body = ErrorBody)),
    security(("session" = ["read:users"])))]
pub(super) async fn upload(
    Authorized { session, .. }: Authorized<ReadUsers>,
    app: Data<App>,
    request: HttpRequest,
    body: Payload,
) -> Result<HttpResponse, ApiError> {
    app.jobs.sandbox().require_uploads()?;
    let _place = app.jobs.place_to_upload(&session)?;
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > LARGEST_FILE) {
        return Err(too_large().into());
    }
    let bytes = receive(body).await?;
    let sandbox = app.jobs.sandbox().clone();
    let (transform, catalog) = app
        .jobs
        .compute(&session, move |stop| {
            let transform = take_in(&sandbox, bytes, stop)?;
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

/// Makes another uploaded version of a transform the one that new expressions call.
#[utoipa::path(put, path = "/api/transforms/{name}/active", tag = "transforms", params(("name" = String, Path)),
    request_body = ActiveVersion,
    responses((status = 200, body = TransformView), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
              (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)),
    security(("session" = ["read:users"])))]
pub(super) async fn activate(
    Authorized { session, .. }: Authorized<ReadUsers>,
    app: Data<App>,
    name: Path<String>,
    wanted: Json<ActiveVersion>,
) -> Result<Json<TransformView>, ApiError> {
    let sandbox = app.jobs.sandbox().clone();
    let (transform, catalog) = blocking(move || {
        let transform = sandbox.activate(&name, &wanted.sha256)?;
        Ok((transform, sandbox.catalog()))
    })
    .await?;
    tracing::info!(
        transform = transform.label(),
        sha256 = transform.sha256(),
        session = session.id,
        "a version of a transform was made the active one"
    );
    let uploads = app.store.transform_uploads().await?;
    Ok(Json(TransformView::new(&transform, &catalog, &uploads)))
}

/// Removes an uploaded transform with all its versions, or with `sha256` one version of it. Running jobs keep it to
/// their end; saved settings that use it cannot be used any more.
#[utoipa::path(delete, path = "/api/transforms/{name}", tag = "transforms",
    params(("name" = String, Path), ("sha256" = Option<String>, Query)),
    responses((status = 204), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
              (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)),
    security(("session" = ["read:users"])))]
pub(super) async fn remove(
    Authorized { session, .. }: Authorized<ReadUsers>,
    app: Data<App>,
    name: Path<String>,
    version: Query<RemovedVersion>,
) -> Result<HttpResponse, ApiError> {
    let sandbox = app.jobs.sandbox().clone();
    let name = name.into_inner();
    let (wanted, sha256) = (name.clone(), version.into_inner().sha256);
    for sha256 in blocking(move || sandbox.remove(&wanted, sha256.as_deref())).await? {
        app.store.delete_transform_upload(&sha256).await?;
        tracing::info!(transform = name, sha256, session = session.id, "a version of a transform was removed");
    }
    Ok(HttpResponse::NoContent().finish())
}

/// The body, as far as it is allowed.
async fn receive(mut body: Payload) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(more) = body.next().await {
        let more =
            more.map_err(|error| Error::new(Code::InvalidBody, format!("The body could not be read: {error}")))?;
        if (bytes.len() + more.len()) as u64 > LARGEST_FILE {
            return Err(too_large());
        }
        bytes.extend_from_slice(&more);
    }
    Ok(bytes)
}

fn too_large() -> Error {
    let limit = bytesize::ByteSize(LARGEST_FILE);
    Error::new(Code::PayloadTooLarge, format!("The file is larger than the {limit} allowed for a transform."))
        .with_hint("Build it with optimisation and without debug information, as `transform build` does.")
}

/// Checks a file, runs its examples, and keeps it.
fn take_in(sandbox: &Sandbox, bytes: Vec<u8>, stop: &Stop) -> Result<Transform> {
    let transform = Transform::from_bytes("The file", bytes, Origin::Upload)?;
    let wrong: Vec<_> = sandbox
        .check_examples(&transform, stop)?
        .into_iter()
        .filter_map(|checked| Some(format!("{} {}", checked.call, checked.wrong?)))
        .collect();
    if !wrong.is_empty() {
        let more = match wrong.len().saturating_sub(MOST_NAMED) {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        let named: Vec<_> = wrong.into_iter().take(MOST_NAMED).collect();
        return Err(Error::new(
            Code::InvalidTransform,
            format!("The examples of {} do not hold here: {}{more}.", transform.label(), named.join("; ")),
        )
        .with_hint("`transform test` shows the same on the author's machine."));
    }
    sandbox.keep(&transform)?;
    Ok(transform)
}

/// Compiling and running computes: not on the threads that answer requests.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    actix_web::web::block(work)
        .await
        .unwrap_or_else(|error| Err(Error::new(Code::Internal, format!("A computation broke off: {error}"))))
}
