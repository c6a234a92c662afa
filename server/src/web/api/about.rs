//! `GET /api/about`: version and limits of the server, and the permissions of the session.

use actix_web::web::{Data, Json};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::web::app::App;
use crate::web::authorization::{AnySession, Authorized};
use crate::web::error_response::ApiError;
use crate::web::route_limits::JSON_LIMIT;
use uie_core::error::ErrorBody;

/// The server and the session of the request.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct About {
    /// Version of the server.
    version: &'static str,
    /// `single`: one process serves all requests.
    mode: &'static str,
    /// Host name of the machine.
    replica: String,
    /// How admins sign in: `extension` or `tenant`.
    login: &'static str,
    /// The tenant whose users are exported and imported.
    tenant: String,
    /// Limits from the settings.
    limits: AboutLimits,
    /// What the session may do: scopes of the Management API.
    permissions: Vec<&'static str>,
    /// The session of this request.
    session: AboutSession,
}

/// Limits of the server.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AboutLimits {
    /// Maximum size of an upload in bytes (`UPLOAD_LIMIT`).
    upload_bytes: u64,
    /// Maximum size of a JSON body in bytes.
    json_bytes: u64,
    /// How long files of jobs are kept, seconds (`ARTIFACT_TTL`).
    artifact_ttl_seconds: u64,
    /// How long the history is kept, seconds (`HISTORY_TTL`).
    history_ttl_seconds: u64,
    /// Memory of one transform in bytes (`SANDBOX_MEMORY`).
    sandbox_memory_bytes: u64,
    /// Execution time of a transform per row in milliseconds (`SANDBOX_TIMEOUT`).
    sandbox_timeout_ms: u64,
    /// Maximum number of unfinished jobs of one admin.
    jobs: usize,
    /// Maximum number of concurrent uploads of one admin.
    uploads: usize,
    /// Maximum number of concurrent downloads (reports, backups and exported files) of one admin.
    reads: usize,
}

/// The session of the request.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AboutSession {
    /// Id of the session, which is not its token.
    id: String,
    /// When the session expires at the latest.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// Idle time in seconds after which the session ends (`SESSION_IDLE_TIMEOUT`).
    idle_timeout_seconds: u64,
}

/// Returns the server's version and limits, and the permissions of the session.
#[utoipa::path(get, path = "/api/about", tag = "operation",
    responses((status = 200, body = About), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub(super) async fn read(
    Authorized { session, .. }: Authorized<AnySession>,
    app: Data<App>,
) -> Result<Json<About>, ApiError> {
    let settings = &app.settings;
    Ok(Json(About {
        version: env!("CARGO_PKG_VERSION"),
        mode: "single",
        replica: host_name(),
        login: settings.login.as_str(),
        tenant: settings.tenant()?.host().to_owned(),
        limits: AboutLimits {
            upload_bytes: settings.upload_limit,
            json_bytes: JSON_LIMIT as u64,
            artifact_ttl_seconds: settings.artifact_ttl.as_secs(),
            history_ttl_seconds: settings.history_ttl.as_secs(),
            sandbox_memory_bytes: settings.sandbox_memory,
            sandbox_timeout_ms: u64::try_from(settings.sandbox_timeout.as_millis()).unwrap_or(u64::MAX),
            jobs: uie_jobs::quota::JOBS.max(),
            uploads: uie_jobs::quota::UPLOADS.max(),
            reads: uie_jobs::quota::READS.max(),
        },
        permissions: session.permissions.names(),
        session: AboutSession {
            id: session.id,
            expires_at: session.expires_at,
            idle_timeout_seconds: settings.session_idle_timeout.as_secs(),
        },
    }))
}

/// Returns the host name of this machine, or `unknown`.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").or_else(|_| std::env::var("HOSTNAME"));
    let name = name.map(|name| name.trim().to_owned()).unwrap_or_default();
    if name.is_empty() { "unknown".to_owned() } else { name }
}
