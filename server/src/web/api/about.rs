//! `GET /api/about`: what this server is, its limits, and what the session may do.

use actix_web::web::{Data, Json, ServiceConfig};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::{AnySession, ApiError, App, Authorized};
use super::{JSON_LIMIT, read_only};
use crate::error::ErrorBody;
use crate::jobs;

pub(super) fn configure(config: &mut ServiceConfig) {
    config.service(read_only("/about", read));
}

/// What this server is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct About {
    /// Version of the server.
    version: &'static str,
    /// `single`: one process serves all requests.
    mode: &'static str,
    /// Name of the machine.
    replica: String,
    /// How people sign in: `extension` or `tenant`.
    login: &'static str,
    /// The tenant whose users are exported and imported.
    tenant: String,
    /// What the settings allow.
    limits: AboutLimits,
    /// What the session may do: scopes of the Management API.
    permissions: Vec<&'static str>,
    /// The session of this request.
    session: AboutSession,
}

/// Limits of the server.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AboutLimits {
    /// Largest upload, bytes (`UPLOAD_LIMIT`).
    upload_bytes: u64,
    /// Largest JSON body, bytes.
    json_bytes: u64,
    /// How long files of jobs are kept, seconds (`ARTIFACT_TTL`).
    artifact_ttl_seconds: u64,
    /// How long the history is kept, seconds (`HISTORY_TTL`).
    history_ttl_seconds: u64,
    /// Memory of one transform, bytes (`SANDBOX_MEMORY`).
    sandbox_memory_bytes: u64,
    /// Time that a transform may compute for one row, milliseconds (`SANDBOX_TIMEOUT`).
    sandbox_timeout_ms: u64,
    /// Jobs of one person that are not over.
    jobs: usize,
    /// Uploads of one person at the same time.
    uploads: usize,
    /// Reports, back-ups and exported files that one person reads at the same time.
    reads: usize,
}

/// The session of the request.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AboutSession {
    /// Names the session; it is not its token.
    id: String,
    /// When it ends at the latest.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// A session that is unused for this long ends (`SESSION_IDLE_TIMEOUT`).
    idle_timeout_seconds: u64,
}

/// Version, limits and the permissions of the session.
#[utoipa::path(get, path = "/api/about", tag = "operation",
    responses((status = 200, body = About), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)),
    security(("session" = [])))]
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
            jobs: jobs::limits::JOBS.most(),
            uploads: jobs::limits::UPLOADS.most(),
            reads: jobs::limits::READS.most(),
        },
        permissions: session.permissions.names(),
        session: AboutSession {
            id: session.id,
            expires_at: session.expires_at,
            idle_timeout_seconds: settings.session_idle_timeout.as_secs(),
        },
    }))
}

/// The name of this machine; `unknown` where the system does not tell.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").or_else(|_| std::env::var("HOSTNAME"));
    let name = name.map(|name| name.trim().to_owned()).unwrap_or_default();
    if name.is_empty() { "unknown".to_owned() } else { name }
}
