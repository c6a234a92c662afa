//! `/api/presets`: saved settings of exports and imports, shared by all admins of the tenant.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Path};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::extractors::deserialize_body;
use crate::web::app::App;
use crate::web::authorization::{Authorized, ReadUsers};
use crate::web::error_response::ApiError;
use uie_core::error::{Code, Error, ErrorBody, Result};
use uie_core::message::message;
use uie_export::ExportRequest;
use uie_expression::Pins;
use uie_import::{ImportRequest, MapRule};
use uie_store::{JobKind, Preset, PresetEntry};

/// Maximum number of characters of a preset's name.
const MAX_NAME_LENGTH: usize = 100;

/// An entry of the list of presets.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PresetView {
    /// Its name.
    name: String,
    /// Whether it is for exports or imports.
    #[serde(rename = "type")]
    kind: JobKind,
    /// When it was last saved.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// The list of presets.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PresetList {
    /// The presets, sorted by name.
    presets: Vec<PresetView>,
}

fn tenant(app: &App) -> Result<&str> {
    Ok(app.settings.tenant()?.host())
}

/// Returns all presets of the tenant.
#[utoipa::path(get, path = "/api/presets", tag = "presets",
    responses((status = 200, body = PresetList), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub(super) async fn list(_session: Authorized<ReadUsers>, app: Data<App>) -> Result<Json<PresetList>, ApiError> {
    let presets = app.store.preset_entries(tenant(&app)?).await?;
    let view = |preset: PresetEntry| PresetView { name: preset.name, kind: preset.kind, updated_at: preset.updated_at };
    Ok(Json(PresetList { presets: presets.into_iter().map(view).collect() }))
}

/// Returns the settings of a preset as they were saved.
#[utoipa::path(get, path = "/api/presets/{name}", tag = "presets", params(("name" = String, Path)),
    responses((status = 200, body = Object), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn read(
    _session: Authorized<ReadUsers>,
    app: Data<App>,
    name: Path<String>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(app.store.preset(tenant(&app)?, &name).await?.settings))
}

/// Saves the settings of an export (`POST /api/jobs/export`), or with `"type": "import"` those of an import.
#[utoipa::path(put, path = "/api/presets/{name}", tag = "presets", params(("name" = String, Path)),
    request_body = Object,
    responses((status = 200, body = Object), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
              (status = 409, body = ErrorBody), (status = 413, body = ErrorBody)))]
pub(super) async fn write(
    _session: Authorized<ReadUsers>,
    app: Data<App>,
    name: Path<String>,
    settings: Json<Map<String, Value>>,
) -> Result<Json<Value>, ApiError> {
    let (name, settings) = (validate_name(&name)?, settings.into_inner());
    let (kind, settings) = validate_settings(&app, settings).await?;
    let tenant = tenant(&app)?;
    let preset = Preset { name, kind, settings, updated_at: Timestamp::now() };
    app.store.put_preset(tenant, &preset).await?;
    Ok(Json(preset.settings))
}

/// Deletes a preset.
#[utoipa::path(delete, path = "/api/presets/{name}", tag = "presets", params(("name" = String, Path)),
    responses((status = 204), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn remove(
    _session: Authorized<ReadUsers>,
    app: Data<App>,
    name: Path<String>,
) -> Result<HttpResponse, ApiError> {
    app.store.delete_preset(tenant(&app)?, &name).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn validate_name(name: &str) -> Result<String> {
    let name = name.trim();
    let length = name.chars().count();
    if length == 0 || length > MAX_NAME_LENGTH || name.chars().any(char::is_control) {
        return Err(Error::new(
            Code::InvalidBody,
            message!(
                "The name of a preset must have 1 to {limit} characters in one line; {name:?} has {length}.",
                limit = MAX_NAME_LENGTH
            ),
        ));
    }
    Ok(name.to_owned())
}

/// Settings of an import in a preset: the parts of its form, each optional.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "the types are the check; the settings are stored as they were sent")]
struct ImportSettings {
    #[serde(rename = "type")]
    kind: JobKind,
    connection_id: Option<String>,
    upsert: Option<bool>,
    send_completion_email: Option<bool>,
    external_id: Option<String>,
    keep_id_prefix: Option<bool>,
    drop_read_only: Option<bool>,
    drop_empty: Option<bool>,
    drop_unknown: Option<bool>,
    null: Option<Vec<String>>,
    query: Option<String>,
    dry_run: Option<bool>,
    look_up: Option<bool>,
    backup: Option<bool>,
    /// As in the form: JSON, or a string that contains JSON.
    map: Option<Value>,
    /// SHA-256 of the file of each pinned transform, by name.
    transforms: Option<Pins>,
}

/// Checks the settings of an import, masks secrets in its mapping, and pins the versions of its transforms.
async fn validate_import_settings(app: &App, mut settings: Map<String, Value>) -> Result<Map<String, Value>> {
    let parsed: ImportSettings = deserialize_body(Value::Object(settings.clone()))?;
    let Some(map) = parsed.map.filter(|map| !map.is_null() && *map != "") else { return Ok(settings) };
    let text = map.as_str().map_or_else(|| map.to_string(), str::to_owned);
    let request = ImportRequest {
        map: MapRule::parse_json(&text)?,
        transforms: parsed.transforms.unwrap_or_default(),
        ..ImportRequest::default()
    };
    let spec = app.jobs.import_spec(&request).await?;
    let request = spec.resolved_request();
    pin_transforms(&mut settings, &request.pinned().transforms);
    if let Some(masked) = request.masked() {
        let rules = masked.map.iter().map(|rule| (rule.attribute.clone(), Value::from(rule.expression.as_str())));
        let rules = Value::Object(rules.collect());
        let rules = if map.is_string() { Value::from(rules.to_string()) } else { rules };
        settings.insert("map".to_owned(), rules);
    }
    Ok(settings)
}

/// Replaces the versions of transforms in settings.
fn pin_transforms(settings: &mut Map<String, Value>, pins: &Pins) {
    settings.shift_remove("transforms");
    if !pins.is_empty() {
        settings.insert("transforms".to_owned(), json!(pins));
    }
}

/// Checks the settings of an export or an import. Returns which of the two they are for, and the settings with
/// secrets masked.
async fn validate_settings(app: &App, settings: Map<String, Value>) -> Result<(JobKind, Value)> {
    match settings.get("type").and_then(Value::as_str) {
        Some("import") => Ok((JobKind::Import, Value::Object(validate_import_settings(app, settings).await?))),
        None | Some("export") => {
            let mut request = settings.clone();
            let kind = request.remove("type");
            let request: ExportRequest = deserialize_body(Value::Object(request))?;
            let request = app.jobs.resolve_export(request).await?;
            let mut settings = settings;
            pin_transforms(&mut settings, &request.pinned().transforms);
            let Some(masked) = request.masked() else {
                return Ok((JobKind::Export, Value::Object(settings)));
            };
            let mut masked = serde_json::to_value(masked).map_err(Error::internal)?;
            if let (Some(kind), Value::Object(members)) = (kind, &mut masked) {
                members.insert("type".to_owned(), kind);
            }
            Ok((JobKind::Export, masked))
        }
        Some(other) => {
            let message = message!("The type is {kind:?}; expected `export` or `import`.", kind = other);
            Err(Error::new(Code::InvalidBody, message))
        }
    }
}
