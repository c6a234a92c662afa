//! The table of errors: code, HTTP status, name, hint.
//!
//! Every failure that a user can see has one row in [`Code`]. The row defines the status and a default hint; the
//! failing code adds the message, which names the thing and the value. An error of Auth0 is returned unchanged
//! ([`Error::upstream`]).

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::language::Language;
use crate::message::{Localize, Message, message};

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $status:literal, $name:expr, $hint:literal;)*) => {
        /// One row of the error table. The `errorCode` of a response is [`Code::as_str`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $variant,)* }

        impl Code {
            /// Every row, in the order of the table. Used to generate docs/errors.md.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)*];

            /// Returns the machine-readable code, which is stable across versions.
            pub fn as_str(self) -> &'static str { match self { $(Code::$variant => $code,)* } }

            /// Returns the HTTP status of a response with this code.
            pub fn status(self) -> u16 { match self { $(Code::$variant => $status,)* } }

            /// Returns the value of `error` if the login of the original extension defines one
            /// (docs/auth0/login.md#callback, docs/auth0/login.md#bearer-tokens-and-error-answers); `None` for the
            /// reason phrase of the status.
            pub fn name(self) -> Option<&'static str> { match self { $(Code::$variant => $name,)* } }

            /// Returns the default hint what to do; `None` without a hint.
            pub fn hint(self) -> Option<&'static str> {
                match self { $(Code::$variant => { let hint: &str = $hint; if hint.is_empty() { None } else { Some($hint) } })* }
            }
        }
    };
}

codes! {
    /// A setting is missing, unknown or invalid; the start is refused.
    InvalidSettings = "invalid_settings", 500, None, "Correct the settings named above and start again; `validate-config` checks them without starting.";
    /// An argument of the command line is not valid.
    InvalidArgument = "invalid_argument", 400, None, "See --help.";

    /// A login callback failed one of its checks (docs/auth0/login.md#callback).
    LoginValidation = "login_failed", 400, Some("ValidationError"), "Open the login page again and sign in once more.";
    /// A required token is missing from the login callback (docs/auth0/login.md#callback, step 4).
    LoginArgument = "login_argument_missing", 400, Some("ArgumentError"), "Open the login page again and sign in once more.";
    /// A token of the login callback is not valid for this server (docs/auth0/login.md#callback, steps 6 to 11).
    LoginUnauthorized = "login_unauthorized", 401, Some("UnauthorizedError"), "Open the login page again and sign in once more.";
    /// The keys or the token endpoint of the login tenant could not be reached.
    LoginUnavailable = "login_unavailable", 502, None, "Check that the login domain is right and can be reached from this server, then sign in again.";
    /// The user signed in but is not an admin according to the settings.
    NotAnAdmin = "not_an_admin", 403, Some("ForbiddenError"), "Ask the operator of this server to add you to ADMIN_EMAILS, ADMIN_SUBJECTS or ADMIN_ROLES.";
    /// The session, or the access token of a sign-in, lacks a permission.
    InsufficientScope = "insufficient_scope", 403, Some("ForbiddenError"), "Sign in again and accept every requested permission, or ask a user who has it.";
    /// No usable session has the id.
    SessionNotFound = "inexistent_session", 404, None, "GET /api/sessions lists the existing sessions.";
    /// No session token was sent (docs/auth0/login.md#bearer-tokens-and-error-answers).
    CredentialsRequired = "credentials_required", 401, Some("credentials_required"), "Sign in at /login.";
    /// The Authorization header is not `Bearer <token>` (docs/auth0/login.md#bearer-tokens-and-error-answers).
    CredentialsBadFormat = "credentials_bad_format", 401, Some("credentials_bad_format"), "Send the header as `Authorization: Bearer <token>`.";
    /// The Authorization header uses another scheme (docs/auth0/login.md#bearer-tokens-and-error-answers).
    CredentialsBadScheme = "credentials_bad_scheme", 401, Some("credentials_bad_scheme"), "Send the header as `Authorization: Bearer <token>`.";
    /// The session token is expired, forged or issued for another audience
    /// (docs/auth0/login.md#bearer-tokens-and-error-answers).
    InvalidToken = "invalid_token", 401, Some("invalid_token"), "Sign in again at /login.";
    /// A request that changes something was sent by a page of another site.
    CrossSite = "cross_site_request", 403, Some("ForbiddenError"), "Use the pages of this server, or call the API from a program instead of from another site's page.";
    /// A lifecycle hook was called without its token or with an invalid one (docs/auth0/extension.md#lifecycle-hooks).
    HookToken = "hook_token", 401, Some("HookTokenError"), "";
    /// A download link is unknown, used for another job, or older than 60 seconds.
    InvalidTicket = "invalid_ticket", 401, None, "Read the job again to get a new link; a link is valid for 60 seconds.";

    /// A request body does not have the format that the route expects.
    InvalidBody = "invalid_body", 400, None, "";
    /// A query parameter does not have the format that the route expects.
    InvalidQuery = "invalid_query_string", 400, None, "";
    /// There is no route at this path.
    NotFound = "not_found", 404, None, "";
    /// The route exists, but not for this method.
    MethodNotAllowed = "method_not_allowed", 405, None, "";
    /// No job of this tenant has the id.
    JobNotFound = "inexistent_job", 404, None, "The history lists the existing jobs.";
    /// No preset of this tenant has the name.
    PresetNotFound = "inexistent_preset", 404, None, "GET /api/presets lists the saved presets.";
    /// A preset exceeds the size limit.
    PresetTooLarge = "preset_too_large", 413, None, "Use fewer or shorter columns, then save the preset again.";
    /// The tenant has the maximum number of presets.
    PresetQuota = "preset_quota", 409, None, "Delete presets that are no longer needed.";
    /// The state of the job does not allow the request.
    JobState = "job_state", 409, None, "";
    /// The artifact of a job has expired and was removed.
    ArtifactGone = "artifact_expired", 410, None, "Run the job again; ARTIFACT_TTL sets how long files are kept.";
    /// An upload is larger than allowed.
    PayloadTooLarge = "payload_too_large", 413, None, "Split the file, or raise UPLOAD_LIMIT.";

    /// The user exceeds a limit of concurrent requests or jobs.
    TooManyRequests = "too_many_requests", 429, None, "Wait until one of them has finished, or cancel one, and try again.";
    /// A request body arrives too slowly.
    RequestTimeout = "request_timeout", 408, None, "Send it again over a faster connection.";
    /// A request body is compressed.
    UnsupportedContentEncoding = "unsupported_content_encoding", 415, None, "Send the body without compression. A file inside a form may be gzip.";
    /// Too many requests without a session are being received.
    Busy = "server_busy", 503, None, "Try again in a few seconds.";
    /// The server is about to stop.
    Stopping = "server_stopping", 503, None, "Try again in a few seconds.";
    /// The server is not ready.
    NotReady = "not_ready", 503, None, "";

    /// The multipart body has no `users` file.
    UsersFileMissing = "users_file_missing", 400, None, "Send the file as the multipart part `users`.";
    /// The `users` file has no content.
    UsersFileEmpty = "users_file_empty", 400, None, "Choose a file that holds a JSON array of users, one user per line, or CSV with a header.";
    /// The format of the `users` file is not supported.
    UsersFileFormat = "users_file_format", 400, None, "Send a JSON array of users, NDJSON (one user per line), or CSV with a header.";
    /// The header of a CSV file is not valid.
    UsersFileColumns = "users_file_columns", 400, None, "Name the columns as Auth0 names the attributes: email, given_name, app_metadata.plan.";
    /// A mapping of an import is not valid.
    InvalidMapping = "invalid_mapping", 400, None, "Write EXPR=attribute, for example 'user[\"Full name\"]=name'.";
    /// Users cannot be imported into this connection.
    ConnectionUnusable = "connection_unusable", 400, None, "Choose a database connection that is enabled for at least one application.";
    /// The connection does not exist.
    ConnectionNotFound = "inexistent_connection", 404, None, "Check the connection's name or id; the list of connections is under Authentication > Database.";

    /// A column or sort expression cannot be parsed.
    InvalidExpression = "invalid_expression", 400, None, "";
    /// The expression is not a path, in a context that supports only paths.
    UnsupportedExpression = "unsupported_expression", 400, None, "Use a path such as user.app_metadata.name, or alternatives joined by || or ??.";
    /// A search query is not valid.
    InvalidSearch = "invalid_search", 400, None, "";
    /// A file of users could not be read.
    InvalidUsersFile = "invalid_users_file", 400, None, "";
    /// A row could not be computed, and the job stops at the first row error.
    RowFault = "row_fault", 422, None, "Export with --on-error empty to leave such cells empty and count them.";

    /// A file is not a transform that this server can run.
    InvalidTransform = "invalid_transform", 400, None, "";
    /// There is no transform with this name.
    TransformNotFound = "inexistent_transform", 404, None, "GET /api/transforms and `transform list` list all transforms.";
    /// There is already a transform with this name.
    TransformExists = "transform_exists", 409, None, "Rename the function, or remove the other transform first.";
    /// Uploads of transforms are switched off.
    UploadsOff = "transform_uploads_off", 403, Some("ForbiddenError"), "The operator of this server can put the file into TRANSFORMS_DIR, or set TRANSFORM_UPLOADS to true.";
    /// The active version of a transform cannot be removed while there are other versions.
    TransformActive = "transform_active", 409, None, "Make another version the active one first, or delete all versions.";
    /// The limit of uploaded transforms is reached.
    TooManyTransforms = "too_many_transforms", 409, None, "Delete versions that no preset and no job needs any more.";
    /// The toolchain for building transforms is not installed.
    ToolchainMissing = "toolchain_missing", 500, None, "";

    /// Auth0 refused a request; status, message and errorCode are those of Auth0.
    Auth0Refused = "auth0_refused", 502, None, "";
    /// Auth0 did not answer.
    Auth0Unreachable = "auth0_unreachable", 502, None, "Check AUTH0_DOMAIN, the network and https://status.auth0.com.";
    /// The response to a request that creates something was lost; the request may have been executed.
    Auth0AnswerLost = "auth0_answer_lost", 502, None, "The request may have been executed; check the result before you try again.";
    /// Auth0 does not accept the client credentials, or the tokens it issued for them.
    Auth0Credentials = "auth0_credentials", 502, None, "Check AUTH0_CLIENT_ID and AUTH0_CLIENT_SECRET, and that this application is authorized for the Auth0 Management API.";
    /// The download link of an export inside Auth0 is older than 60 seconds (docs/auth0/jobs.md#download-links).
    Auth0LinkExpired = "auth0_link_expired", 502, None, "Read the job again to get a fresh link.";
    /// The response of Auth0 does not conform to the documentation of its API.
    Auth0Answer = "auth0_answer", 502, None, "";
    /// The Management API token of a job or request has expired.
    Auth0TokenEnded = "auth0_token_ended", 401, None, "Sign in again; the job then continues automatically.";
    /// An export job inside Auth0 does not exist any more (docs/auth0/jobs.md#job-status: after 24 hours), or its file
    /// has changed during the download.
    Auth0ExportLost = "auth0_export_lost", 502, None, "Start the export again.";
    /// A job failed inside Auth0.
    Auth0JobFailed = "auth0_job_failed", 502, None, "";

    /// DATA_DIR is in use by another process.
    DataDirLocked = "data_dir_locked", 503, None, "Stop the other server or command that uses this DATA_DIR, or choose another one.";
    /// Other users can change the content of DATA_DIR, or own parts of it.
    UnsafeDataDir = "data_dir_unsafe", 500, None, "Give DATA_DIR to the user that runs this server, with mode 0700.";
    /// The disk is full.
    DiskFull = "disk_full", 507, None, "Free space in DATA_DIR; no data was lost.";
    /// A file or the database could not be read or written.
    Storage = "storage", 500, None, "Check that DATA_DIR exists, is writable and has space.";
    /// The server stopped while the job ran.
    Interrupted = "interrupted", 500, None, "Start the job again.";
    /// A user canceled the job.
    Canceled = "canceled", 409, None, "";
    /// A bug.
    Internal = "internal_error", 500, Some("InternalServerError"), "Please report this with the request id from the log.";
}

/// An error of Auth0, unchanged so that users can look it up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Upstream {
    /// HTTP status of Auth0's response.
    pub status_code: u16,
    /// Auth0's `error`, for example `Bad Request`.
    pub error: String,
    /// Auth0's `message`.
    pub message: String,
    /// Auth0's `errorCode`; often absent (docs/auth0/management-api.md#error-answers).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error_code: Option<String>,
}

/// An error with a code, a message and a hint for the user.
#[derive(Clone, Debug)]
pub struct Error {
    /// The row of the table.
    pub code: Code,
    /// Names the thing and the value that is wrong. Never holds a secret or personal data.
    pub message: Message,
    /// What to do: the hint of the table or a more specific one.
    pub hint: Option<Message>,
    /// The field of the request that is wrong, with the index in a list: `fields[2].name`.
    pub field: Option<Box<str>>,
    /// The error of Auth0, if it comes from there. Boxed because it is rare and large.
    pub upstream: Option<Box<Upstream>>,
    /// The error that caused this one, for the log. Shared because errors are cloned.
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// The result type of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The JSON body of an error response (docs/decisions/0013-http-errors.md), also stored with a failed job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ErrorBody {
    /// HTTP status.
    pub status_code: u16,
    /// Reason phrase, or the name that the login of the original extension defines.
    pub error: String,
    /// What happened, with the thing and its value.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub message: Message,
    /// Stable code; the code of Auth0 if Auth0 refused the request.
    pub error_code: String,
    /// What to do about it.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hint: Option<Message>,
    /// The field of the request that is wrong, with the index in a list: `fields[2].name`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub field: Option<String>,
}

impl Error {
    /// Creates an error with the hint of the table.
    pub fn new(code: Code, message: impl Into<Message>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: code.hint().map(Message::from_table),
            field: None,
            upstream: None,
            source: None,
        }
    }

    /// Creates an error with the message of the error that caused it.
    pub fn caused_by<E: std::error::Error + Send + Sync + 'static>(code: Code, source: E) -> Self {
        let message = Message::verbatim(source.to_string());
        Self { source: Some(Arc::new(source)), ..Self::new(code, message) }
    }

    /// Creates an error for what only a bug can cause, such as a panic of a task.
    pub fn internal<E: std::error::Error + Send + Sync + 'static>(source: E) -> Self {
        Self::caused_by(Code::Internal, source)
    }

    /// Puts what was being done before the message, for example the path of a file.
    #[must_use]
    pub fn with_context(self, context: impl Into<Message>) -> Self {
        let (context, message) = (context.into(), self.message);
        Self { message: message!("{context}: {message}"), ..self }
    }

    /// Replaces the code and keeps the rest.
    #[must_use]
    pub fn with_code(self, code: Code) -> Self {
        Self { code, ..self }
    }

    /// Names the field of the request that is wrong; a field that is named already is below it.
    /// `with_field("sort")` on an error of `by` gives `sort.by`.
    #[must_use]
    pub fn with_field(mut self, field: impl Into<String>) -> Self {
        let mut field = field.into();
        if let Some(inner) = &self.field {
            field = format!("{field}.{inner}");
        }
        self.field = Some(field.into());
        self
    }

    /// Replaces the hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<Message>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Creates an error from an error response of Auth0.
    pub fn refused(upstream: Upstream) -> Self {
        Self {
            code: Code::Auth0Refused,
            message: Message::verbatim(upstream.message.as_str()),
            hint: None,
            field: None,
            upstream: Some(Box::new(upstream)),
            source: None,
        }
    }

    /// Returns the HTTP status: that of Auth0 if Auth0 refused a request, else that of the table.
    pub fn status(&self) -> u16 {
        self.upstream.as_ref().map_or(self.code.status(), |upstream| upstream.status_code)
    }

    /// Returns the exit status of the command line (docs/decisions/0017-exit-status.md): 2 for invalid arguments or
    /// input, else 3.
    pub fn exit_status(&self) -> u8 {
        let is_invalid_input = match (&self.upstream, self.code) {
            // Statuses that mean that the request is invalid, and not a missing permission or a temporary failure.
            (Some(upstream), _) => matches!(upstream.status_code, 400 | 404 | 409 | 413 | 414),
            (None, Code::InvalidSettings) => true,
            // A row error is not invalid input: with `--on-error` the user chose to stop at it.
            (None, Code::Canceled | Code::Auth0TokenEnded | Code::RowFault) => false,
            (None, code) => (400..500).contains(&code.status()),
        };
        if is_invalid_input { 2 } else { 3 }
    }

    /// Returns the JSON body of this error.
    pub fn body(&self) -> ErrorBody {
        let status = self.status();
        let (error, code) = if let Some(upstream) = &self.upstream {
            (upstream.error.clone(), upstream.error_code.clone().unwrap_or_else(|| self.code.as_str().to_owned()))
        } else {
            let error = self.code.name().unwrap_or_else(|| reason_phrase(status));
            (error.to_owned(), self.code.as_str().to_owned())
        };
        ErrorBody {
            status_code: status,
            error,
            message: self.message.clone(),
            error_code: code,
            hint: self.hint.clone(),
            field: self.field.as_deref().map(str::to_owned),
        }
    }
}

impl ErrorBody {
    /// Returns the JSON document to store with a failed job. It keeps the templates of its texts.
    pub fn to_stored(&self) -> serde_json::Value {
        let mut stored = serde_json::to_value(self).unwrap_or_default();
        if let Some(members) = stored.as_object_mut() {
            members.insert("message".to_owned(), self.message.to_stored());
            if let Some(hint) = &self.hint {
                members.insert("hint".to_owned(), hint.to_stored());
            }
        }
        stored
    }
}

impl Localize for ErrorBody {
    fn localize(&mut self, language: Language) {
        self.message.localize(language);
        self.hint.localize(language);
    }
}

/// Returns the reason phrase of a status.
fn reason_phrase(status: u16) -> &'static str {
    http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Error")
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl From<std::io::Error> for Error {
    /// Converts an I/O error. An [`Error`] that was wrapped to pass through a reader or writer is unwrapped.
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        let error = match error.downcast::<Self>() {
            Ok(own) => return own,
            Err(error) => error,
        };
        // Treat an exceeded disk quota like a full disk.
        let full = matches!(error.kind(), StorageFull | QuotaExceeded);
        let code = if full { Code::DiskFull } else { Code::Storage };
        Self::caused_by(code, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_statuses_are_errors() {
        let mut seen = std::collections::HashSet::new();
        for code in Code::ALL {
            assert!(seen.insert(code.as_str()), "{} is not unique", code.as_str());
            assert!((400..600).contains(&code.status()), "{}", code.as_str());
        }
    }

    #[test]
    fn the_error_of_auth0_is_returned_unchanged() {
        let error = Error::refused(Upstream {
            status_code: 400,
            error: "Bad Request".into(),
            message: "Connection must be enabled.".into(),
            error_code: Some("connection_is_disabled".into()),
        });
        let body = error.body();
        assert_eq!((body.status_code, body.error_code.as_str()), (400, "connection_is_disabled"));
        assert_eq!(body.message, "Connection must be enabled.");
    }

    #[test]
    fn a_field_is_named_from_the_outside_in() {
        let error =
            Error::new(Code::InvalidBody, message!("The name is empty.")).with_field("name").with_field("fields[2]");
        assert_eq!(error.body().field.as_deref(), Some("fields[2].name"));
        let json = serde_json::to_value(Error::new(Code::NotFound, Message::verbatim("")).body()).unwrap();
        assert!(json.get("field").is_none(), "{json}");
    }

    #[test]
    fn the_cause_is_kept() {
        use std::error::Error as _;
        let error = Error::from(std::io::Error::from(std::io::ErrorKind::StorageFull));
        assert_eq!(error.code, Code::DiskFull);
        assert!(error.source().is_some_and(<dyn std::error::Error>::is::<std::io::Error>));
        // An error that passed through a reader is the same as before.
        let error = Error::from(std::io::Error::other(Error::new(Code::RowFault, message!("row 1"))));
        assert_eq!((error.code, error.source().is_none()), (Code::RowFault, true));
    }
}
