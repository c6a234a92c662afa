//! `/api/jobs`: start, watch, cancel, resume and retry exports and imports; reports and downloads.

use std::io::Write as _;

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::http::header::{CACHE_CONTROL, ContentDisposition, DispositionParam, DispositionType, EntityTag};
use actix_web::web::{Data, Path, Payload, Query};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use futures_util::TryStreamExt;
use serde::Deserialize;
use utoipa::ToSchema;

use super::extractors::JsonBody;
use super::file_response::{CHUNK_SIZE, file_response, stream_chunks};
use crate::web::app::App;
use crate::web::authorization::{Authorized, PublicAccess, ReadUsers, ReadUsersAndConnections};
use crate::web::error_response::ApiError;
use crate::web::language::accepted_language;
use crate::web::localized::Localized;
use crate::web::route_limits::{INSPECT_LIMIT, MAX_FILES, MAX_OTHER_PARTS, MAX_TEXT_PART_BYTES};
use crate::web::slow_requests::is_too_slow;
use uie_core::blocking::run_blocking;
use uie_core::error::{Code, Error, ErrorBody, Result};
use uie_core::message::message;
use uie_export::ExportRequest;
use uie_expression::Pins;
use uie_import::{ImportRequest, Inspection, MapRule, ReportFormat, TextEncoding};
use uie_jobs::{JobRequest, JobView, NewDirectory, UPLOAD};
use uie_store::FileWriter;

/// Maximum total size in bytes of the unknown parts of a form, which are ignored, as Auth0 does.
const MAX_UNKNOWN_BYTES: usize = 64 << 10;

/// Starts an export.
#[utoipa::path(post, path = "/api/jobs/export", tag = "jobs", request_body = ExportRequest,
    responses((status = 200, body = JobView), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
              (status = 429, body = ErrorBody)))]
pub(super) async fn start_export(
    Authorized { session, .. }: Authorized<ReadUsersAndConnections>,
    app: Data<App>,
    JsonBody(request): JsonBody<ExportRequest>,
) -> Result<Localized<JobView>, ApiError> {
    Ok(Localized(app.jobs.submit(&session.principal(), JobRequest::Export(request)).await?))
}

/// The parts of an import's form.
#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "describes the multipart body in the OpenAPI document")]
pub(super) struct ImportForm {
    /// Id of the database connection.
    connection_id: String,
    /// The file: a JSON array of users, NDJSON or CSV, also compressed with gzip. Several parts with this name are one
    /// import; one of them may be Auth0's export of password hashes.
    #[schema(value_type = String, format = Binary)]
    users: Vec<u8>,
    /// Update existing users, matched by e-mail address; their metadata is replaced.
    #[schema(default = false)]
    upsert: Option<bool>,
    /// Send an e-mail to the tenant's owners at the end.
    #[schema(default = false)]
    send_completion_email: Option<bool>,
    /// Text that Auth0 repeats in its jobs.
    external_id: Option<String>,
    /// Only check the file; send nothing to Auth0.
    #[schema(default = false)]
    dry_run: Option<bool>,
    /// Omit attributes that Auth0 sets itself (`created_at`, `identities`, `last_login`, …), so that an export of
    /// complete users can be imported.
    #[schema(default = false)]
    drop_read_only: Option<bool>,
    /// Omit attributes without content (`null`, `""`, `{}`, `[]`), and members of metadata that are `null` or `""`.
    #[schema(default = false)]
    drop_empty: Option<bool>,
    /// Omit columns and attributes that Auth0 does not know, with a warning for each name.
    #[schema(default = false)]
    drop_unknown: Option<bool>,
    /// A text such as `NULL`: cells and strings that are exactly this text are absent. The part may be repeated.
    null: Option<Vec<String>>,
    /// Import only the rows that match this search query, in Auth0's syntax. It sees the row after the mapping.
    query: Option<String>,
    /// The system whose export the files are, such as `cognito`; `none` if their attributes are those of Auth0. Without
    /// it, each file is recognized by its content. `POST /api/import/inspect` lists the sources.
    source: Option<String>,
    /// The encoding of the files, such as `Shift_JIS` or `windows-1251`; detected if absent. A byte order mark has
    /// precedence.
    encoding: Option<String>,
    /// With `dry_run`: look up in the tenant which users exist, and report in `summary.look_up` what would happen to
    /// the rows. Few users are looked up by e-mail address, many with one export of the connection.
    #[schema(default = false)]
    look_up: Option<bool>,
    /// With `upsert`: before the import, store a backup of the existing users, which can be imported again with upsert.
    /// `GET /api/jobs/{id}/backup` returns it.
    #[schema(default = false)]
    backup: Option<bool>,
    /// Attributes computed from a row, as JSON: `{"name": "user[\"Full name\"]"}`. Each expression is a path, a
    /// transform call, or JavaScript. The expression `null` omits a column or attribute.
    map: Option<String>,
    /// Pinned versions of transforms: a JSON object with the SHA-256 of the file for each name. Other transforms are
    /// used in their active version.
    transforms: Option<String>,
}

/// Starts an import, or with `dry_run` only checks the file. Also needs `create:users`, except for a dry run.
#[utoipa::path(post, path = "/api/jobs/import", tag = "jobs",
    request_body(content = ImportForm, content_type = "multipart/form-data"),
    responses((status = 200, body = JobView), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
              (status = 413, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub(super) async fn start_import(
    Authorized { session, .. }: Authorized<ReadUsersAndConnections>,
    app: Data<App>,
    form: Multipart,
) -> Result<Localized<JobView>, ApiError> {
    let principal = session.principal();
    let upload = app.jobs.receive(&principal)?;
    let request = read_form(form, &upload, app.settings.upload_limit).await?;
    Ok(Localized(app.jobs.submit(&principal, JobRequest::Import(request, upload)).await?))
}

/// The parts of the form of an inspection.
#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "describes the multipart body in the OpenAPI document")]
pub(super) struct InspectForm {
    /// The file, or its first 4 MiB.
    #[schema(value_type = String, format = Binary)]
    users: Vec<u8>,
    /// Whether the part `users` is only the beginning of the file.
    #[schema(default = false)]
    partial: Option<bool>,
    /// As for an import.
    map: Option<String>,
    /// As for an import.
    source: Option<String>,
    /// Pinned versions of transforms: a JSON object with the SHA-256 of the file for each name. Other transforms are
    /// used in their active version.
    transforms: Option<String>,
    /// As for an import.
    #[schema(default = false)]
    drop_read_only: Option<bool>,
    /// As for an import.
    #[schema(default = false)]
    keep_id_prefix: Option<bool>,
    /// As for an import.
    #[schema(default = false)]
    drop_empty: Option<bool>,
    /// As for an import.
    #[schema(default = false)]
    drop_unknown: Option<bool>,
    /// As for an import.
    null: Option<Vec<String>>,
    /// As for an import.
    query: Option<String>,
    encoding: Option<String>,
    /// As for an import: adds warnings about what an upsert does not change and what it replaces.
    #[schema(default = false)]
    upsert: Option<bool>,
}

/// Inspects a file, or its beginning, before an import: format, columns with suggested attributes, first rows, and
/// their errors with the given mapping. Nothing is stored, and no request is sent to the tenant.
#[utoipa::path(post, path = "/api/import/inspect", tag = "jobs",
    request_body(content = InspectForm, content_type = "multipart/form-data"),
    responses((status = 200, body = Inspection), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
              (status = 413, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub(super) async fn inspect(
    Authorized { session, .. }: Authorized<ReadUsers>,
    app: Data<App>,
    mut form: Multipart,
) -> Result<Localized<Inspection>, ApiError> {
    let principal = session.principal();
    let _quota_guard = app.jobs.acquire_preview_slot(&principal)?;
    let mut request = ImportRequest::default();
    let (mut sample, mut partial) = (None, false);
    let mut others = OtherParts::default();
    while let Some(field) = form.try_next().await.map_err(form_error)? {
        let name = field.name().unwrap_or_default().to_owned();
        others.count()?;
        match name.as_str() {
            "users" if sample.is_none() => {
                let (bytes, cut) = read_sample(field).await?;
                sample = Some(bytes);
                partial |= cut;
            }
            "partial" => partial |= read_boolean(field, &name).await?,
            "drop_read_only" => request.drop_read_only = read_boolean(field, &name).await?,
            "drop_empty" => request.drop_empty = read_boolean(field, &name).await?,
            "drop_unknown" => request.drop_unknown = read_boolean(field, &name).await?,
            "null" => request.null.extend(Some(read_text(field, &name).await?).filter(|text| !text.is_empty())),
            "query" => request.query = read_text(field, &name).await?,
            "keep_id_prefix" => request.keep_id_prefix = read_boolean(field, &name).await?,
            "encoding" => request.encoding = read_encoding(field, &name).await?,
            "upsert" => request.upsert = read_boolean(field, &name).await?,
            "map" => request.map = read_map(field, &name).await?,
            "source" => request.source = Some(read_text(field, &name).await?).filter(|name| !name.is_empty()),
            "transforms" => request.transforms = read_pins(field, &name).await?,
            _ => others.discard(field).await?,
        }
    }
    let sample = sample.ok_or_else(users_file_missing)?;
    Ok(Localized(app.jobs.inspect(&principal, &request, sample, partial).await?))
}

fn users_file_missing() -> Error {
    Error::new(Code::UsersFileMissing, message!("Must provide 'users' file as multipart part.")).with_field("users")
}

/// Returns the first bytes of a file, and whether there are more.
async fn read_sample(mut field: Field) -> Result<(Vec<u8>, bool)> {
    let (mut bytes, mut received) = (Vec::new(), 0);
    while let Some(more) = field.try_next().await.map_err(form_error)? {
        received += more.len();
        if received > INSPECT_LIMIT {
            let limit = bytesize::ByteSize(INSPECT_LIMIT as u64);
            return Err(Error::new(Code::PayloadTooLarge, message!("The part users is larger than {limit}."))
                .with_field("users")
                .with_hint(message!("Send only the first 4 MiB of the file, and the part partial=true.")));
        }
        let remaining = uie_import::INSPECTED_BYTES - bytes.len();
        bytes.extend_from_slice(more.get(..remaining).unwrap_or(&more));
    }
    let cut = received > bytes.len();
    Ok((bytes, cut))
}

/// Reads the name of an encoding; `None` if it is empty.
async fn read_encoding(field: Field, name: &str) -> Result<Option<TextEncoding>> {
    let encoding = read_text(field, name).await?;
    if encoding.is_empty() {
        return Ok(None);
    }
    TextEncoding::parse(&encoding, Code::InvalidBody).map(Some).map_err(|error| error.with_field(name))
}

/// Reads a mapping.
async fn read_map(field: Field, name: &str) -> Result<Vec<MapRule>> {
    let map = read_text(field, name).await?;
    if map.is_empty() { Ok(Vec::new()) } else { MapRule::parse_json(&map) }
}

/// Reads pinned versions of transforms from a JSON object.
async fn read_pins(field: Field, name: &str) -> Result<Pins> {
    let pins = read_text(field, name).await?;
    if pins.is_empty() {
        return Ok(Pins::default());
    }
    serde_json::from_str(&pins).map_err(|error| {
        Error::new(
            Code::InvalidBody,
            message!("The part `{name}` is not a JSON object of names and SHA-256 digests: {error}"),
        )
        .with_field(name)
    })
}

/// Reads the form of an import, and streams its files to the upload.
async fn read_form(mut form: Multipart, upload: &NewDirectory, limit: u64) -> Result<ImportRequest> {
    let mut request = ImportRequest::default();
    let mut files = UploadedFiles::default();
    let mut others = OtherParts::default();
    while let Some(field) = form.try_next().await.map_err(form_error)? {
        let name = field.name().unwrap_or_default().to_owned();
        if name != "users" {
            others.count()?;
        }
        match name.as_str() {
            "users" => files.save(field, upload, limit).await?,
            "connection_id" => request.connection_id = read_text(field, &name).await?,
            "external_id" => request.external_id = Some(read_text(field, &name).await?).filter(|text| !text.is_empty()),
            "upsert" => request.upsert = read_boolean(field, &name).await?,
            "send_completion_email" => request.send_completion_email = read_boolean(field, &name).await?,
            "keep_id_prefix" => request.keep_id_prefix = read_boolean(field, &name).await?,
            "drop_read_only" => request.drop_read_only = read_boolean(field, &name).await?,
            "drop_empty" => request.drop_empty = read_boolean(field, &name).await?,
            "drop_unknown" => request.drop_unknown = read_boolean(field, &name).await?,
            "null" => request.null.extend(Some(read_text(field, &name).await?).filter(|text| !text.is_empty())),
            "query" => request.query = read_text(field, &name).await?,
            "source" => request.source = Some(read_text(field, &name).await?).filter(|name| !name.is_empty()),
            "dry_run" => request.dry_run = read_boolean(field, &name).await?,
            "look_up" => request.look_up = read_boolean(field, &name).await?,
            "backup" => request.backup = read_boolean(field, &name).await?,
            "encoding" => request.encoding = read_encoding(field, &name).await?,
            "map" => request.map = read_map(field, &name).await?,
            "transforms" => request.transforms = read_pins(field, &name).await?,
            _ => others.discard(field).await?,
        }
    }
    if files.names.is_empty() {
        return Err(users_file_missing());
    }
    if files.size == 0 {
        return Err(Error::new(Code::UsersFileEmpty, message!("Users file must not be empty.")).with_field("users"));
    }
    Ok(request)
}

/// The files of a form.
#[derive(Default)]
struct UploadedFiles {
    names: Vec<String>,
    size: u64,
}

impl UploadedFiles {
    /// Streams a file to disk. The first file is the upload; with the second one the upload becomes a directory of
    /// files, numbered in their order.
    async fn save(&mut self, field: Field, upload: &NewDirectory, limit: u64) -> Result<(), Error> {
        if self.names.len() >= MAX_FILES {
            let message = message!("An import takes at most {limit} files.", limit = MAX_FILES);
            return Err(Error::new(Code::InvalidBody, message).with_field("users"));
        }
        let name = field.content_disposition().and_then(ContentDisposition::get_filename).unwrap_or("users");
        let name: String =
            name.chars().map(|c| if c.is_alphanumeric() || "._- ".contains(c) { c } else { '_' }).take(60).collect();
        let files = upload.files();
        let several = files.subdirectory(UPLOAD);
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
        self.size += write_file(field, file, limit.saturating_sub(self.size), limit).await?;
        self.names.push(name);
        Ok(())
    }
}

/// Streams a file to disk and returns its size. Fails with [`Code::PayloadTooLarge`] when it exceeds `left` bytes.
async fn write_file(mut field: Field, mut file: FileWriter, left: u64, limit: u64) -> Result<u64> {
    let mut size = 0_u64;
    let mut chunk = Vec::with_capacity(CHUNK_SIZE);
    while let Some(bytes) = field.try_next().await.map_err(form_error)? {
        size += bytes.len() as u64;
        if size > left {
            let limit = bytesize::ByteSize(limit);
            return Err(Error::new(
                Code::PayloadTooLarge,
                message!("The users file is larger than the {limit} allowed here."),
            )
            .with_field("users"));
        }
        chunk.extend_from_slice(&bytes);
        if chunk.len() >= CHUNK_SIZE {
            (file, chunk) = run_blocking(move || {
                file.write_all(&chunk)?;
                chunk.clear();
                Ok((file, chunk))
            })
            .await?;
        }
    }
    run_blocking(move || {
        file.write_all(&chunk)?;
        Ok(file.finish(true)?)
    })
    .await?;
    Ok(size)
}

/// Reads a text part.
async fn read_text(mut field: Field, name: &str) -> Result<String> {
    let mut bytes = Vec::new();
    while let Some(more) = field.try_next().await.map_err(form_error)? {
        if bytes.len() + more.len() > MAX_TEXT_PART_BYTES {
            let message = message!("The part {name} is longer than {limit} bytes.", limit = MAX_TEXT_PART_BYTES);
            return Err(Error::new(Code::InvalidBody, message).with_field(name));
        }
        bytes.extend_from_slice(&more);
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| Error::new(Code::InvalidBody, message!("The part {name} is not UTF-8 text.")).with_field(name))?;
    Ok(text.trim().to_owned())
}

/// Reads a boolean part, which is sent as text (docs/auth0/original-extension.md#requests-of-users, issue 32).
async fn read_boolean(field: Field, name: &str) -> Result<bool> {
    match read_text(field, name).await?.as_str() {
        "true" | "1" | "on" => Ok(true),
        "false" | "0" | "off" | "" => Ok(false),
        other => {
            let message = message!("The part {name} is {value:?}: expected true or false.", value = other);
            Err(Error::new(Code::InvalidBody, message).with_field(name))
        }
    }
}

/// Limits the parts of a form that are not files.
#[derive(Default)]
struct OtherParts {
    parts: usize,
    /// Total size of the unknown parts in bytes.
    unknown: usize,
}

impl OtherParts {
    /// Counts a part. Fails if there are too many.
    fn count(&mut self) -> Result<()> {
        self.parts += 1;
        if self.parts > MAX_OTHER_PARTS {
            let message = message!("The form has more than {limit} parts.", limit = MAX_OTHER_PARTS);
            return Err(Error::new(Code::InvalidBody, message)
                .with_hint(message!("Send each setting once, and users as files.")));
        }
        Ok(())
    }

    /// Reads and discards an unknown part. Fails if the total size of such parts is too large.
    async fn discard(&mut self, mut field: Field) -> Result<()> {
        while let Some(bytes) = field.try_next().await.map_err(form_error)? {
            self.unknown += bytes.len();
            if self.unknown > MAX_UNKNOWN_BYTES {
                let name: String = field.name().unwrap_or_default().chars().take(60).collect();
                return Err(Error::new(
                    Code::PayloadTooLarge,
                    message!(
                        "The form has unknown parts of more than {limit} bytes, the last one is {name:?}.",
                        limit = MAX_UNKNOWN_BYTES
                    ),
                )
                .with_hint(message!("Send files as parts named users, and no other large parts.")));
            }
        }
        Ok(())
    }
}

// Called as a function by `map_err`.
#[allow(clippy::needless_pass_by_value)]
fn form_error(error: MultipartError) -> Error {
    if matches!(&error, MultipartError::Payload(error) if is_too_slow(error)) {
        return Error::new(Code::RequestTimeout, message!("The upload arrives too slowly."));
    }
    Error::new(Code::InvalidBody, message!("The form could not be read: {error}"))
        .with_hint(message!("Send multipart/form-data with the parts connection_id and users."))
}

/// Returns a job and its progress, for a completed export with a download link that is valid for 60 seconds.
#[utoipa::path(get, path = "/api/jobs/{id}", tag = "jobs", params(("id" = String, Path)),
    responses((status = 200, body = JobView), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn read(
    Authorized { session, .. }: Authorized<ReadUsers>,
    app: Data<App>,
    id: Path<String>,
) -> Result<Localized<JobView>, ApiError> {
    Ok(Localized(app.jobs.job(&session.principal(), &id).await?))
}

/// Cancels a job.
#[utoipa::path(post, path = "/api/jobs/{id}/cancel", tag = "jobs", params(("id" = String, Path)),
    responses((status = 200, body = JobView), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
              (status = 409, body = ErrorBody)))]
pub(super) async fn cancel(
    Authorized { session, .. }: Authorized<ReadUsers>,
    app: Data<App>,
    id: Path<String>,
) -> Result<Localized<JobView>, ApiError> {
    Ok(Localized(app.jobs.cancel(&session.principal(), &id).await?))
}

/// Resumes a failed or canceled job. Also needs `create:users` for an import, except for a dry run.
#[utoipa::path(post, path = "/api/jobs/{id}/resume", tag = "jobs", params(("id" = String, Path)),
    responses((status = 200, body = JobView), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
              (status = 409, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub(super) async fn resume(
    Authorized { session, .. }: Authorized<ReadUsersAndConnections>,
    app: Data<App>,
    id: Path<String>,
) -> Result<Localized<JobView>, ApiError> {
    Ok(Localized(app.jobs.resume(&session.principal(), &id).await?))
}

/// Imports the failed rows of a completed import again, as a new job with the same settings: without a body the
/// original rows, otherwise the rows of the multipart part `users`. Also needs `create:users`, except for a dry run.
#[utoipa::path(post, path = "/api/jobs/{id}/retry", tag = "jobs", params(("id" = String, Path)),
    request_body(content = Option<RetryForm>, content_type = "multipart/form-data"),
    responses((status = 200, body = JobView), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
              (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 413, body = ErrorBody),
              (status = 429, body = ErrorBody)))]
pub(super) async fn retry(
    Authorized { session, .. }: Authorized<ReadUsersAndConnections>,
    app: Data<App>,
    id: Path<String>,
    http: HttpRequest,
    body: Payload,
) -> Result<Localized<JobView>, ApiError> {
    let principal = session.principal();
    let is_form = http.content_type().eq_ignore_ascii_case("multipart/form-data");
    let corrected = if is_form {
        let upload = app.jobs.receive(&principal)?;
        // The settings in the form are ignored: those of the first import apply.
        read_form(Multipart::new(http.headers(), body), &upload, app.settings.upload_limit).await?;
        Some(upload)
    } else {
        None
    };
    let request = JobRequest::Retry { original: id.into_inner(), corrected };
    Ok(Localized(app.jobs.submit(&principal, request).await?))
}

/// The form of a retry.
#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "describes the multipart body in the OpenAPI document")]
pub(super) struct RetryForm {
    /// The corrected rows.
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
    /// The format of the imported file.
    Original,
}

/// Returns the failed rows of an import with their errors, or with `format` only the rows, as a file that can be
/// imported again.
#[utoipa::path(get, path = "/api/jobs/{id}/report", tag = "jobs",
    params(("id" = String, Path), ("format" = Option<String>, Query, description = "json, ndjson, csv, or original: the format of the imported file")),
    responses((status = 200, body = Vec<Object>), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
                 (status = 404, body = ErrorBody),
              (status = 409, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub(super) async fn report(
    Authorized { session, .. }: Authorized<ReadUsers>,
    app: Data<App>,
    id: Path<String>,
    query: Query<ReportQuery>,
    http: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let quota_guard = app.jobs.acquire_read_slot(&session.principal())?;
    let files = app.jobs.report_files(&id).await?;
    let (requested, language) = (query.format, accepted_language(&http));
    let (format, report) = run_blocking(move || {
        let format = match requested {
            None => None,
            Some(FileFormat::Json) => Some(ReportFormat::Json),
            Some(FileFormat::Ndjson) => Some(ReportFormat::Ndjson),
            Some(FileFormat::Csv) => Some(ReportFormat::Csv),
            Some(FileFormat::Original) => Some(uie_import::original_format(&files)?),
        };
        Ok((format, uie_import::Report::open(&files, format, language)?))
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
    Ok(reply.streaming(stream_chunks(report, quota_guard, |report| {
        let mut chunk = Vec::new();
        while chunk.len() < CHUNK_SIZE && report.write_next(&mut chunk)? {}
        Ok(chunk)
    })))
}

/// Returns the backup of an import with `upsert` and `backup`: a JSON array of the users as they were before the
/// import, which can be imported again with upsert.
#[utoipa::path(get, path = "/api/jobs/{id}/backup", tag = "jobs", params(("id" = String, Path)),
    responses((status = 200, body = Vec<Object>), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
                 (status = 404, body = ErrorBody),
              (status = 409, body = ErrorBody), (status = 410, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub(super) async fn backup(
    Authorized { session, .. }: Authorized<ReadUsers>,
    app: Data<App>,
    id: Path<String>,
    http: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let quota_guard = app.jobs.acquire_read_slot(&session.principal())?;
    let files = app.jobs.report_files(&id).await?;
    let file = run_blocking(move || uie_import::backup_file(&files)).await?.ok_or_else(|| {
        Error::new(Code::JobState, message!("Job {id} has no backup yet, or was started without one."))
    })?;
    // A backup does not change.
    let tag = EntityTag::new_strong(format!("{id}-backup"));
    Ok(file_response(&http, file, quota_guard, &tag, |reply| {
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

/// Returns the file of a completed export. Needs no `Authorization` header but a ticket, which is part of the job's
/// `location`.
#[utoipa::path(get, path = "/api/jobs/{id}/download", tag = "jobs",
    params(("id" = String, Path), ("ticket" = String, Query)),
    responses((status = 200, description = "the file"), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
                 (status = 404, body = ErrorBody),
              (status = 410, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub(super) async fn download(
    _access: PublicAccess,
    app: Data<App>,
    id: Path<String>,
    query: Query<DownloadQuery>,
    http: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let artifact = app.jobs.artifact(&id, &query.ticket).await?;
    // A ticket is valid only as long as its session, which may have been revoked.
    if !app.access.is_live(&artifact.session).await? {
        return Err(Error::new(Code::InvalidTicket, message!("The session of this download link has ended.")).into());
    }
    let media_type = if artifact.request.gzip { "application/gzip" } else { artifact.request.format.media_type() };
    let tag = EntityTag::new_strong(artifact.version);
    let name = artifact.download_name;
    Ok(file_response(&http, artifact.file, artifact.quota_guard, &tag, |reply| {
        reply
            .content_type(media_type)
            .insert_header(attachment(name))
            .insert_header((CACHE_CONTROL, "no-store, private"));
    })?)
}

fn attachment(name: String) -> ContentDisposition {
    ContentDisposition { disposition: DispositionType::Attachment, parameters: vec![DispositionParam::Filename(name)] }
}
