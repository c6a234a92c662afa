//! `/api/jobs`: start, watch, cancel, resume and retry exports and imports; reports and downloads.

use std::io::Write as _;

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::http::header::{CACHE_CONTROL, ContentDisposition, DispositionParam, DispositionType, EntityTag};
use actix_web::web::{Data, Json, Path, Payload, Query, ServiceConfig};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use futures_util::TryStreamExt;
use serde::Deserialize;
use utoipa::ToSchema;

use super::super::pace::too_slow;
use super::super::{ApiError, App, Authorized, ReadUsers, ReadUsersAndConnections};
use super::download::{answer, pieces};
use super::{only, read_only};
use crate::error::{Code, Error, ErrorBody, Result};
use crate::export::ExportRequest;
use crate::expression::Pins;
use crate::import::{self, ImportRequest, Inspection, MapRule, ReportFormat};
use crate::jobs::{JobView, UPLOAD, Upload, permit_import};
use crate::store::FileWriter;

pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .service(only("/jobs/export", "POST").post(start_export))
        .service(only("/jobs/import", "POST").post(start_import))
        .service(only("/import/inspect", "POST").post(inspect))
        .service(read_only("/jobs/{id}", read))
        .service(only("/jobs/{id}/cancel", "POST").post(cancel))
        .service(only("/jobs/{id}/resume", "POST").post(resume))
        .service(only("/jobs/{id}/retry", "POST").post(retry))
        .service(only("/jobs/{id}/report", "GET").get(report))
        .service(only("/jobs/{id}/backup", "GET").get(backup))
        .service(read_only("/jobs/{id}/download", download));
}

/// Longest text part of an import's form, bytes.
const TEXT_PART: usize = 64 << 10;

/// The most files of one import.
const MOST_FILES: usize = 1000;

/// The most parts of a form that are no files.
const MOST_PARTS: usize = 100;

/// Parts of a form that are not known here, bytes of all together. They are ignored, as Auth0 does.
const UNKNOWN_PARTS: usize = 64 << 10;

/// What a form takes beside the contents of its files: the heads of all parts and the other parts, bytes.
pub(super) const FORM_OVERHEAD: u64 = (MOST_FILES as u64 * 4096) + (MOST_PARTS * TEXT_PART) as u64;

/// Starts an export.
#[utoipa::path(post, path = "/api/jobs/export", tag = "jobs", request_body = ExportRequest,
    responses((status = 200, body = JobView), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
              (status = 429, body = ErrorBody)),
    security(("session" = ["read:users", "read:connections"])))]
pub(super) async fn start_export(
    Authorized { session, .. }: Authorized<ReadUsersAndConnections>,
    app: Data<App>,
    request: Json<ExportRequest>,
) -> Result<Json<JobView>, ApiError> {
    Ok(Json(app.jobs.start_export(&session, &request).await?))
}

/// The parts of an import's form.
#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "describes the multipart body in the OpenAPI document")]
pub(super) struct ImportForm {
    /// Id of the database connection.
    connection_id: String,
    /// The file: a JSON array of users, one user a line, or CSV; gzip of each. Several parts of this name
    /// are one import; Auth0's export of password hashes may be among them.
    #[schema(value_type = String, format = Binary)]
    users: Vec<u8>,
    /// Update users that exist, matched by e-mail; their metadata is replaced.
    #[schema(default = false)]
    upsert: Option<bool>,
    /// E-mail the tenant's owners when done.
    #[schema(default = false)]
    send_completion_email: Option<bool>,
    /// Text echoed in Auth0's jobs.
    external_id: Option<String>,
    /// Check only, send nothing.
    #[schema(default = false)]
    dry_run: Option<bool>,
    /// Leave out what Auth0 sets itself (`created_at`, `identities`, `last_login`, …), so that an export of
    /// whole users comes back in.
    #[schema(default = false)]
    drop_read_only: Option<bool>,
    /// With `dry_run`: ask the tenant which users exist, and say in `summary.look_up` what would become of the
    /// rows. Few users are asked for by their addresses, many by one export of the connection.
    #[schema(default = false)]
    look_up: Option<bool>,
    /// With `upsert`: before anything is sent keep a back-up of the users that exist, which can be imported again
    /// with upsert. `GET /api/jobs/{id}/backup` gives it.
    #[schema(default = false)]
    backup: Option<bool>,
    /// Attributes computed from what a row holds, as JSON: `{"name": "user[\"Full name\"]"}`; each expression
    /// is a path, a call of a transform, or JavaScript. The expression `null` leaves a column or attribute out.
    map: Option<String>,
    /// Versions of transforms: a JSON object with the SHA-256 of the file for each name. Others are used as they are
    /// now.
    transforms: Option<String>,
}

/// Starts an import, or with `dry_run` only checks the file. Needs `create:users` too, except for a dry run.
#[utoipa::path(post, path = "/api/jobs/import", tag = "jobs",
    request_body(content = ImportForm, content_type = "multipart/form-data"),
    responses((status = 200, body = JobView), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
              (status = 413, body = ErrorBody), (status = 429, body = ErrorBody)),
    security(("session" = ["read:users", "read:connections"])))]
pub(super) async fn start_import(
    Authorized { session, .. }: Authorized<ReadUsersAndConnections>,
    app: Data<App>,
    form: Multipart,
) -> Result<Json<JobView>, ApiError> {
    let upload = app.jobs.receive(&session)?;
    let mut request = read_form(form, &upload, app.settings.upload_limit).await?;
    permit_import(&session, request.dry_run)?;
    if request.connection_id.is_empty() && !request.dry_run {
        return Err(Error::new(Code::InvalidBody, "Must provide 'connection_id' as multipart part.")
            .with_hint("Send the id of a database connection; GET /api/connections lists them.")
            .into());
    }
    import::probe(upload.files(), &app.jobs.import_spec(&request).await?).await?;
    let mut name = None;
    if !request.connection_id.is_empty() {
        let client = app.jobs.clients().for_session(&session)?;
        let connection = client.importable_connection(&request.connection_id).await?;
        request.connection_id = connection.id;
        name = Some(connection.name);
    }
    Ok(Json(app.jobs.start_import(&session, &request, name, upload).await?))
}

/// The parts of a form that has a file looked into.
#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "describes the multipart body in the OpenAPI document")]
pub(super) struct InspectForm {
    /// The file, or its first 4 MiB.
    #[schema(value_type = String, format = Binary)]
    users: Vec<u8>,
    /// The part `users` is only the beginning of the file.
    #[schema(default = false)]
    partial: Option<bool>,
    /// As of an import.
    map: Option<String>,
    /// Versions of transforms: a JSON object with the SHA-256 of the file for each name. Others are used as they are
    /// now.
    transforms: Option<String>,
    /// As of an import.
    #[schema(default = false)]
    drop_read_only: Option<bool>,
    /// As of an import.
    #[schema(default = false)]
    keep_id_prefix: Option<bool>,
}

/// Most that is received of a file to be looked into, bytes; what is behind the first 4 MiB is ignored.
pub(super) const INSPECT_LIMIT: usize = 16 << 20;

/// Looks into a file, or its beginning, before it is imported: format, columns with what they probably mean,
/// first rows, and what the check says of them with the given mapping. Nothing is kept, and the tenant is not
/// asked.
#[utoipa::path(post, path = "/api/import/inspect", tag = "jobs",
    request_body(content = InspectForm, content_type = "multipart/form-data"),
    responses((status = 200, body = Inspection), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
              (status = 413, body = ErrorBody), (status = 429, body = ErrorBody)),
    security(("session" = ["read:users"])))]
pub(super) async fn inspect(
    Authorized { session, .. }: Authorized<ReadUsers>,
    app: Data<App>,
    mut form: Multipart,
) -> Result<Json<Inspection>, ApiError> {
    let _place = app.jobs.place_to_inspect(&session)?;
    let mut request = ImportRequest::default();
    let (mut sample, mut partial) = (None, false);
    let mut others = OtherParts::default();
    while let Some(field) = form.try_next().await.map_err(broken_form)? {
        let name = field.name().unwrap_or_default().to_owned();
        others.count()?;
        match name.as_str() {
            "users" if sample.is_none() => {
                let (bytes, cut) = beginning(field).await?;
                sample = Some(bytes);
                partial |= cut;
            }
            "partial" => partial |= boolean(field, &name).await?,
            "drop_read_only" => request.drop_read_only = boolean(field, &name).await?,
            "keep_id_prefix" => request.keep_id_prefix = boolean(field, &name).await?,
            "map" => request.map = map(field, &name).await?,
            "transforms" => request.transforms = pins(field, &name).await?,
            _ => others.discard(field).await?,
        }
    }
    let sample =
        sample.ok_or_else(|| Error::new(Code::UsersFileMissing, "Must provide 'users' file as multipart part."))?;
    Ok(Json(app.jobs.inspect(&session, &request, sample, partial).await?))
}

/// The first bytes of a file, and whether there are more.
async fn beginning(mut field: Field) -> Result<(Vec<u8>, bool)> {
    let (mut bytes, mut received) = (Vec::new(), 0);
    while let Some(more) = field.try_next().await.map_err(broken_form)? {
        received += more.len();
        if received > INSPECT_LIMIT {
            let limit = bytesize::ByteSize(INSPECT_LIMIT as u64);
            return Err(Error::new(Code::PayloadTooLarge, format!("The part users is larger than {limit}."))
                .with_hint("Send only the first 4 MiB of the file, and the part partial=true."));
        }
        let room = import::INSPECTED_BYTES - bytes.len();
        bytes.extend_from_slice(more.get(..room).unwrap_or(&more));
    }
    let cut = received > bytes.len();
    Ok((bytes, cut))
}

async fn map(field: Field, name: &str) -> Result<Vec<MapRule>> {
    let map = text(field, name).await?;
    if map.is_empty() { Ok(Vec::new()) } else { MapRule::parse_json(&map) }
}

/// Versions of transforms, as a JSON object.
async fn pins(field: Field, name: &str) -> Result<Pins> {
    let pins = text(field, name).await?;
    if pins.is_empty() {
        return Ok(Pins::default());
    }
    serde_json::from_str(&pins).map_err(|error| {
        Error::new(Code::InvalidBody, format!("The part `{name}` is no object of names and SHA-256 digests: {error}"))
    })
}

async fn read_form(mut form: Multipart, upload: &Upload, limit: u64) -> Result<ImportRequest> {
    let mut request = ImportRequest::default();
    let mut received = Received::default();
    let mut others = OtherParts::default();
    while let Some(field) = form.try_next().await.map_err(broken_form)? {
        let name = field.name().unwrap_or_default().to_owned();
        if name != "users" {
            others.count()?;
        }
        match name.as_str() {
            "users" => received.save(field, upload, limit).await?,
            "connection_id" => request.connection_id = text(field, &name).await?,
            "external_id" => request.external_id = Some(text(field, &name).await?).filter(|text| !text.is_empty()),
            "upsert" => request.upsert = boolean(field, &name).await?,
            "send_completion_email" => request.send_completion_email = boolean(field, &name).await?,
            "keep_id_prefix" => request.keep_id_prefix = boolean(field, &name).await?,
            "drop_read_only" => request.drop_read_only = boolean(field, &name).await?,
            "dry_run" => request.dry_run = boolean(field, &name).await?,
            "look_up" => request.look_up = boolean(field, &name).await?,
            "backup" => request.backup = boolean(field, &name).await?,
            "map" => request.map = map(field, &name).await?,
            "transforms" => request.transforms = pins(field, &name).await?,
            _ => others.discard(field).await?,
        }
    }
    if received.names.is_empty() {
        return Err(Error::new(Code::UsersFileMissing, "Must provide 'users' file as multipart part."));
    }
    if received.size == 0 {
        return Err(Error::new(Code::UsersFileEmpty, "Users file must not be empty."));
    }
    Ok(request)
}

/// The files of a form.
#[derive(Default)]
struct Received {
    names: Vec<String>,
    size: u64,
}

impl Received {
    /// Streams a file to disk. The first one is the upload; with the second the upload becomes a directory
    /// of files, numbered in their order.
    async fn save(&mut self, field: Field, upload: &Upload, limit: u64) -> Result<(), Error> {
        if self.names.len() >= MOST_FILES {
            return Err(Error::new(Code::InvalidBody, format!("An import takes at most {MOST_FILES} files.")));
        }
        let name = field.content_disposition().and_then(ContentDisposition::get_filename).unwrap_or("users");
        let name: String =
            name.chars().map(|c| if c.is_alphanumeric() || "._- ".contains(c) { c } else { '_' }).take(60).collect();
        let files = upload.files();
        let several = files.below(UPLOAD);
        if let [first] = self.names.as_slice() {
            let (path, moving) = (files.path(UPLOAD), files.path("first"));
            tokio::fs::rename(&path, &moving).await?;
            several.create_directory()?;
            tokio::fs::rename(&moving, several.path(&format!("{:06}-{first}", 1))).await?;
        }
        let file = if self.names.is_empty() {
            files.create(UPLOAD)?
        } else {
            several.create(&format!("{:06}-{name}", self.names.len() + 1))?
        };
        self.size += save(field, file, limit.saturating_sub(self.size), limit).await?;
        self.names.push(name);
        Ok(())
    }
}

/// Streams the file to disk; its size is checked as it arrives.
async fn save(mut field: Field, mut file: FileWriter, left: u64, limit: u64) -> Result<u64> {
    let mut size = 0_u64;
    let mut piece = Vec::with_capacity(PIECE);
    while let Some(bytes) = field.try_next().await.map_err(broken_form)? {
        size += bytes.len() as u64;
        if size > left {
            let limit = bytesize::ByteSize(limit);
            return Err(Error::new(
                Code::PayloadTooLarge,
                format!("The users file is larger than the {limit} allowed here."),
            ));
        }
        piece.extend_from_slice(&bytes);
        if piece.len() >= PIECE {
            (file, piece) = blocking(move || {
                file.write_all(&piece)?;
                piece.clear();
                Ok((file, piece))
            })
            .await?;
        }
    }
    blocking(move || {
        file.write_all(&piece)?;
        Ok(file.finish(true)?)
    })
    .await?;
    Ok(size)
}

/// Bytes of an upload or download that are encrypted or decrypted at once.
pub(super) const PIECE: usize = 256 << 10;

/// Runs work on files and ciphers away from the threads that answer requests.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::new(Code::Internal, error.to_string()))?
}

async fn text(mut field: Field, name: &str) -> Result<String> {
    let mut bytes = Vec::new();
    while let Some(more) = field.try_next().await.map_err(broken_form)? {
        if bytes.len() + more.len() > TEXT_PART {
            return Err(Error::new(Code::InvalidBody, format!("The part {name} is longer than {TEXT_PART} bytes.")));
        }
        bytes.extend_from_slice(&more);
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| Error::new(Code::InvalidBody, format!("The part {name} is not UTF-8 text.")))?;
    Ok(text.trim().to_owned())
}

/// Multipart booleans arrive as text (docs/auth0/original-extension.md#requests-of-users, issue 32).
async fn boolean(field: Field, name: &str) -> Result<bool> {
    match text(field, name).await?.as_str() {
        "true" | "1" | "on" => Ok(true),
        "false" | "0" | "off" | "" => Ok(false),
        other => Err(Error::new(Code::InvalidBody, format!("The part {name} is {other:?}: expected true or false."))),
    }
}

/// Bounds the parts of a form that are no files.
#[derive(Default)]
struct OtherParts {
    parts: usize,
    /// Bytes of unknown parts.
    unknown: usize,
}

impl OtherParts {
    /// Counts a part; an error when there are too many.
    fn count(&mut self) -> Result<()> {
        self.parts += 1;
        if self.parts > MOST_PARTS {
            return Err(Error::new(Code::InvalidBody, format!("The form has more than {MOST_PARTS} parts."))
                .with_hint("Send each setting once, and users as files."));
        }
        Ok(())
    }

    /// Reads an unknown part without keeping it; an error when such parts are too large together.
    async fn discard(&mut self, mut field: Field) -> Result<()> {
        while let Some(bytes) = field.try_next().await.map_err(broken_form)? {
            self.unknown += bytes.len();
            if self.unknown > UNKNOWN_PARTS {
                let name: String = field.name().unwrap_or_default().chars().take(60).collect();
                return Err(Error::new(
                    Code::PayloadTooLarge,
                    format!("The form has unknown parts of more than {UNKNOWN_PARTS} bytes, the last one is {name:?}."),
                )
                .with_hint("Send files as parts named users, and no other large parts."));
            }
        }
        Ok(())
    }
}

// Called as a function by `map_err`.
#[allow(clippy::needless_pass_by_value)]
fn broken_form(error: MultipartError) -> Error {
    if matches!(&error, MultipartError::Payload(error) if too_slow(error)) {
        return Error::new(Code::RequestTimeout, "The upload arrives too slowly.");
    }
    Error::new(Code::InvalidBody, format!("The form could not be read: {error}"))
        .with_hint("Send multipart/form-data with the parts connection_id and users.")
}

/// A job and its progress; of a completed export with a link that is good for 60 seconds.
#[utoipa::path(get, path = "/api/jobs/{id}", tag = "jobs", params(("id" = String, Path)),
    responses((status = 200, body = JobView), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)),
    security(("session" = ["read:users"])))]
pub(super) async fn read(
    Authorized { session, .. }: Authorized<ReadUsers>,
    app: Data<App>,
    id: Path<String>,
) -> Result<Json<JobView>, ApiError> {
    Ok(Json(app.jobs.job(&session, &id).await?))
}

/// Asks a job to stop.
#[utoipa::path(post, path = "/api/jobs/{id}/cancel", tag = "jobs", params(("id" = String, Path)),
    responses((status = 200, body = JobView), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
              (status = 409, body = ErrorBody)),
    security(("session" = ["read:users"])))]
pub(super) async fn cancel(
    Authorized { session, .. }: Authorized<ReadUsers>,
    app: Data<App>,
    id: Path<String>,
) -> Result<Json<JobView>, ApiError> {
    Ok(Json(app.jobs.cancel(&session, &id).await?))
}

/// Goes on with a job that failed or was canceled. Needs `create:users` too for an import, except for a dry run.
#[utoipa::path(post, path = "/api/jobs/{id}/resume", tag = "jobs", params(("id" = String, Path)),
    responses((status = 200, body = JobView), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
              (status = 409, body = ErrorBody), (status = 429, body = ErrorBody)),
    security(("session" = ["read:users", "read:connections"])))]
pub(super) async fn resume(
    Authorized { session, .. }: Authorized<ReadUsersAndConnections>,
    app: Data<App>,
    id: Path<String>,
) -> Result<Json<JobView>, ApiError> {
    Ok(Json(app.jobs.resume(&session, &id).await?))
}

/// Imports the failed rows of a completed import again, as a new job with its settings: without a body as
/// they were, or the rows of the multipart part `users`. Needs `create:users` too, except for a dry run.
#[utoipa::path(post, path = "/api/jobs/{id}/retry", tag = "jobs", params(("id" = String, Path)),
    request_body(content = Option<RetryForm>, content_type = "multipart/form-data"),
    responses((status = 200, body = JobView), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
              (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 413, body = ErrorBody),
              (status = 429, body = ErrorBody)),
    security(("session" = ["read:users", "read:connections"])))]
pub(super) async fn retry(
    Authorized { session, .. }: Authorized<ReadUsersAndConnections>,
    app: Data<App>,
    id: Path<String>,
    http: HttpRequest,
    body: Payload,
) -> Result<Json<JobView>, ApiError> {
    let is_form = http.content_type().eq_ignore_ascii_case("multipart/form-data");
    let mended = if is_form {
        let upload = app.jobs.receive(&session)?;
        // Its settings are those of the first import.
        read_form(Multipart::new(http.headers(), body), &upload, app.settings.upload_limit).await?;
        Some(upload)
    } else {
        None
    };
    Ok(Json(app.jobs.retry(&session, &id, mended).await?))
}

/// The form of a retry.
#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "describes the multipart body in the OpenAPI document")]
pub(super) struct RetryForm {
    /// The mended rows.
    #[schema(value_type = String, format = Binary)]
    users: Vec<u8>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ReportQuery {
    format: Option<FileFormat>,
}

/// Format of a file with failed rows.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum FileFormat {
    Json,
    Ndjson,
    Csv,
    /// That of the file that was imported.
    Original,
}

/// The rows an import refused and why; with `format` the same rows as a file that can be imported
/// again.
#[utoipa::path(get, path = "/api/jobs/{id}/report", tag = "jobs",
    params(("id" = String, Path), ("format" = Option<String>, Query, description = "json, ndjson, csv, or original: that of the imported file")),
    responses((status = 200, body = Vec<Object>), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
                 (status = 404, body = ErrorBody),
              (status = 409, body = ErrorBody), (status = 429, body = ErrorBody)),
    security(("session" = ["read:users"])))]
pub(super) async fn report(
    Authorized { session, .. }: Authorized<ReadUsers>,
    app: Data<App>,
    id: Path<String>,
    query: Query<ReportQuery>,
) -> Result<HttpResponse, ApiError> {
    let place = app.jobs.place_to_read(&session)?;
    let files = app.jobs.report_files(&id).await?;
    let wanted = query.format;
    let (format, report) = blocking(move || {
        let format = match wanted {
            None => None,
            Some(FileFormat::Json) => Some(ReportFormat::Json),
            Some(FileFormat::Ndjson) => Some(ReportFormat::Ndjson),
            Some(FileFormat::Csv) => Some(ReportFormat::Csv),
            Some(FileFormat::Original) => Some(import::original_format(&files)?),
        };
        Ok((format, import::Report::open(&files, format)?))
    })
    .await?;
    let mut reply = HttpResponse::Ok();
    reply.insert_header((CACHE_CONTROL, "no-store"));
    match format {
        None => reply.content_type("application/json"),
        Some(format) => {
            let name = format!("failed-{id}.{}", format.extension());
            reply.content_type(format.media_type()).insert_header(attachment(name))
        }
    };
    Ok(reply.streaming(pieces(report, place, |report| {
        let mut piece = Vec::new();
        while piece.len() < PIECE && report.write_next(&mut piece)? {}
        Ok(piece)
    })))
}

/// The users that an import with `upsert` and `backup` found in the tenant before it changed them: a JSON array
/// that can be imported again with upsert.
#[utoipa::path(get, path = "/api/jobs/{id}/backup", tag = "jobs", params(("id" = String, Path)),
    responses((status = 200, body = Vec<Object>), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
                 (status = 404, body = ErrorBody),
              (status = 409, body = ErrorBody), (status = 410, body = ErrorBody), (status = 429, body = ErrorBody)),
    security(("session" = ["read:users"])))]
pub(super) async fn backup(
    Authorized { session, .. }: Authorized<ReadUsers>,
    app: Data<App>,
    id: Path<String>,
    http: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let place = app.jobs.place_to_read(&session)?;
    let files = app.jobs.report_files(&id).await?;
    let file = blocking(move || import::backup_file(&files))
        .await?
        .ok_or_else(|| Error::new(Code::JobState, format!("Job {id} has no back-up, or none yet.")))?;
    // A back-up that is there is never made again.
    let tag = EntityTag::new_strong(format!("{id}-backup"));
    Ok(answer(&http, file, place, &tag, |reply| {
        reply
            .content_type("application/json")
            .insert_header(attachment(format!("backup-{id}.json")))
            .insert_header((CACHE_CONTROL, "no-store, private"));
    })?)
}

#[derive(Debug, Deserialize)]
pub(super) struct DownloadQuery {
    #[serde(default)]
    ticket: String,
}

/// The finished file of an export. Needs no header but a ticket, which `location` of the job holds.
#[utoipa::path(get, path = "/api/jobs/{id}/download", tag = "jobs",
    params(("id" = String, Path), ("ticket" = String, Query)),
    responses((status = 200, description = "the file"), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
                 (status = 404, body = ErrorBody),
              (status = 410, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub(super) async fn download(
    app: Data<App>,
    id: Path<String>,
    query: Query<DownloadQuery>,
    http: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let artifact = app.jobs.artifact(&id, &query.ticket).await?;
    // A ticket ends with its session, also when that is revoked.
    if !app.access.is_live(&artifact.session).await? {
        return Err(Error::new(Code::InvalidTicket, "The session of this download link has ended.").into());
    }
    let media_type = if artifact.request.gzip { "application/gzip" } else { artifact.request.format.media_type() };
    let tag = EntityTag::new_strong(artifact.version);
    let name = artifact.download_name;
    Ok(answer(&http, artifact.file, artifact.place, &tag, |reply| {
        reply
            .content_type(media_type)
            .insert_header(attachment(name))
            .insert_header((CACHE_CONTROL, "no-store, private"));
    })?)
}

fn attachment(name: String) -> ContentDisposition {
    ContentDisposition { disposition: DispositionType::Attachment, parameters: vec![DispositionParam::Filename(name)] }
}
