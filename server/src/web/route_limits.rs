//! The maximum body sizes of routes.

use actix_web::http::Method;

use uie_core::config::Settings;

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

/// The maximum body size of a route, stated where the route is registered.
#[derive(Clone, Copy, Debug)]
pub(super) enum BodyLimit {
    /// A JSON body of at most this many bytes, which the extractor `Json` checks.
    Json(usize),
    /// A body of at most this many bytes, which the handler checks.
    File(u64),
    /// A form that is read completely before the handler is called.
    LoginForm,
    /// A form with the files of an import, which have at most `UPLOAD_LIMIT` bytes together.
    ImportForm,
    /// A form with a file to inspect.
    InspectForm,
}

impl BodyLimit {
    /// Returns the maximum number of bytes that are read.
    fn bytes(self, settings: &Settings) -> u64 {
        match self {
            Self::Json(limit) => limit as u64 + EXCESS,
            Self::File(limit) => limit + EXCESS,
            Self::LoginForm => LOGIN_FORM_LIMIT as u64,
            Self::ImportForm => settings.upload_limit.saturating_add(FORM_OVERHEAD),
            Self::InspectForm => INSPECT_LIMIT as u64 + FORM_OVERHEAD,
        }
    }
}

/// The routes of an application that have a body limit of their own.
pub(super) struct BodyLimits(Vec<(Method, &'static str, u64)>);

impl BodyLimits {
    /// Collects the limits of `routes`, which are given as method, path pattern and limit.
    pub(super) fn new(
        routes: impl IntoIterator<Item = (Method, &'static str, BodyLimit)>,
        settings: &Settings,
    ) -> Self {
        let bytes = |(method, pattern, limit): (_, _, BodyLimit)| (method, pattern, limit.bytes(settings));
        Self(routes.into_iter().map(bytes).collect())
    }

    /// Returns the maximum body size of a route in bytes; `None` if it has no limit of its own.
    pub(super) fn get(&self, method: &Method, pattern: &str) -> Option<u64> {
        self.0.iter().find(|route| route.0 == method && route.1 == pattern).map(|route| route.2)
    }
}
