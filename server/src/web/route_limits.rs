//! The maximum body size of each route.

use actix_web::http::Method;

use uie_core::config::Settings;
use uie_sandbox::LARGEST_FILE;
use uie_store::PRESET_LIMIT;

/// Maximum size in bytes of a JSON body: enough for hundreds of columns with long expressions.
pub(super) const JSON_LIMIT: usize = 1 << 20;

/// Maximum number of files of one import.
pub(super) const MAX_FILES: usize = 1000;

/// Maximum number of parts of a form that are not files.
pub(super) const MAX_OTHER_PARTS: usize = 100;

/// Maximum size in bytes of a text part of a form.
pub(super) const MAX_TEXT_PART_BYTES: usize = 64 << 10;

/// Maximum size in bytes of a form without the contents of its files: the headers of all parts and the other parts.
const FORM_OVERHEAD: u64 = (MAX_FILES as u64 * 4096) + (MAX_OTHER_PARTS * MAX_TEXT_PART_BYTES) as u64;

/// Maximum size in bytes of a file to inspect. Bytes after the first 4 MiB are ignored.
pub(super) const INSPECT_LIMIT: usize = 16 << 20;

/// Maximum size in bytes of the form of a login callback: two tokens of an admin with many scopes and roles. The form
/// of a back-channel logout, with one token, has the same limit.
pub(super) const LOGIN_FORM_LIMIT: usize = 64 << 10;

/// Maximum number of bytes that are read beyond the limit of an extractor or handler, so that it can report a body that
/// is too large.
const EXCESS: u64 = 64 << 10;

/// Returns the maximum body size of an operation in bytes; `None` if it has no limit of its own.
pub(super) fn body_limit(method: &Method, pattern: &str, settings: &Settings) -> Option<u64> {
    match (method.as_str(), pattern) {
        ("POST", "/api/jobs/export" | "/api/preview") => Some(JSON_LIMIT as u64 + EXCESS),
        ("PUT", "/api/presets/{name}") => Some(PRESET_LIMIT as u64 + EXCESS),
        ("POST", "/api/jobs/import" | "/api/jobs/{id}/retry") => {
            Some(settings.upload_limit.saturating_add(FORM_OVERHEAD))
        }
        ("POST", "/api/import/inspect") => Some(INSPECT_LIMIT as u64 + FORM_OVERHEAD),
        ("POST", "/api/transforms") => Some(LARGEST_FILE + EXCESS),
        ("POST", "/login/callback") => Some(LOGIN_FORM_LIMIT as u64),
        _ => None,
    }
}
