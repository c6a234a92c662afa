//! The table of errors: code, HTTP status, name, hint.
//!
//! Every failure a person can meet has one row in [`Code`]. The row fixes the status and a default
//! hint; the place that fails adds the message, which names the thing and the value. What Auth0 said
//! is passed on unchanged ([`Error::upstream`]).

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $status:literal, $name:expr, $hint:literal;)*) => {
        /// One row of the error table. The `errorCode` of an answer is [`Code::as_str`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $variant,)* }

        impl Code {
            /// Every row, in the order of the table: for the documentation and its test.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)*];

            /// The machine-readable code, stable across versions.
            pub fn as_str(self) -> &'static str { match self { $(Code::$variant => $code,)* } }

            /// The HTTP status of an answer with this code.
            pub fn status(self) -> u16 { match self { $(Code::$variant => $status,)* } }

            /// The value of `error` where the extension's login defines one (docs/auth0/login.md#callback,
            /// docs/auth0/login.md#bearer-tokens-and-error-answers); otherwise the status' reason phrase is used.
            pub fn name(self) -> Option<&'static str> { match self { $(Code::$variant => $name,)* } }

            /// What the reader can do about it, unless the place that failed knows better.
            pub fn hint(self) -> Option<&'static str> {
                match self { $(Code::$variant => { let hint: &str = $hint; if hint.is_empty() { None } else { Some($hint) } })* }
            }
        }
    };
}

codes! {
    /// A setting is missing, unknown or wrong; the start is refused.
    InvalidSettings = "invalid_settings", 500, None, "Correct the settings named above and start again; `validate-config` checks them without starting.";
    /// The command line was used wrongly.
    InvalidArgument = "invalid_argument", 400, None, "See --help.";

    /// A login callback failed one of its checks (docs/auth0/login.md#callback).
    LoginValidation = "login_failed", 400, Some("ValidationError"), "Open the login page again and sign in once more.";
    /// A required token is missing from the login callback (docs/auth0/login.md#callback, step 4).
    LoginArgument = "login_argument_missing", 400, Some("ArgumentError"), "Open the login page again and sign in once more.";
    /// A token of the login callback is not valid for this server (docs/auth0/login.md#callback, steps 6 to 11).
    LoginUnauthorized = "login_unauthorized", 401, Some("UnauthorizedError"), "Open the login page again and sign in once more.";
    /// The keys or the token endpoint of the login tenant could not be reached.
    LoginUnavailable = "login_unavailable", 502, None, "Check that the login domain is right and can be reached from this server, then sign in again.";
    /// The person signed in, but is not among those whom the settings let in.
    NotAnAdmin = "not_an_admin", 403, Some("ForbiddenError"), "Ask whoever runs this server to add you to ADMIN_EMAILS, ADMIN_SUBJECTS or ADMIN_ROLES.";
    /// The session, or the access token of a sign-in, lacks a permission.
    InsufficientScope = "insufficient_scope", 403, Some("ForbiddenError"), "Sign in again and accept every permission that is asked for, or ask a person who has it.";
    /// No usable session has the id.
    SessionNotFound = "inexistent_session", 404, None, "GET /api/sessions lists the sessions there are.";
    /// No session token was sent (docs/auth0/login.md#bearer-tokens-and-error-answers).
    CredentialsRequired = "credentials_required", 401, Some("credentials_required"), "Sign in at /login.";
    /// The Authorization header is not `Bearer <token>` (docs/auth0/login.md#bearer-tokens-and-error-answers).
    CredentialsBadFormat = "credentials_bad_format", 401, Some("credentials_bad_format"), "Send the header as `Authorization: Bearer <token>`.";
    /// The Authorization header uses another scheme (docs/auth0/login.md#bearer-tokens-and-error-answers).
    CredentialsBadScheme = "credentials_bad_scheme", 401, Some("credentials_bad_scheme"), "Send the header as `Authorization: Bearer <token>`.";
    /// The session token is expired, forged or meant for somebody else
    /// (docs/auth0/login.md#bearer-tokens-and-error-answers).
    InvalidToken = "invalid_token", 401, Some("invalid_token"), "Sign in again at /login.";
    /// A request that changes something was sent by a page of another site.
    CrossSite = "cross_site_request", 403, Some("ForbiddenError"), "Use the pages of this server, or call the API from a program instead of from another site's page.";
    /// A lifecycle hook was called without its token or with a wrong one (docs/auth0/extension.md#lifecycle-hooks).
    HookToken = "hook_token", 401, Some("HookTokenError"), "";
    /// A download link is unknown, used for another job, or older than 60 seconds.
    InvalidTicket = "invalid_ticket", 401, None, "Read the job again to get a fresh link; a link is good for 60 seconds.";

    /// A request body is not what the route expects.
    InvalidBody = "invalid_body", 400, None, "";
    /// A query parameter is not what the route expects.
    InvalidQuery = "invalid_query_string", 400, None, "";
    /// There is nothing at this address.
    NotFound = "not_found", 404, None, "";
    /// The route exists, the method does not.
    MethodNotAllowed = "method_not_allowed", 405, None, "";
    /// No job of this tenant has the id.
    JobNotFound = "inexistent_job", 404, None, "The history lists every job that is still known.";
    /// No preset of this tenant has the name.
    PresetNotFound = "inexistent_preset", 404, None, "GET /api/presets lists those that are saved.";
    /// A preset has more bytes than a preset may have.
    PresetTooLarge = "preset_too_large", 413, None, "Use fewer or shorter columns, then save the preset again.";
    /// A tenant has as many presets as it may have.
    PresetQuota = "preset_quota", 409, None, "Delete presets that are no longer needed.";
    /// The job is in a state in which the request makes no sense.
    JobState = "job_state", 409, None, "";
    /// The artifact of a job was removed at the end of its lifetime.
    ArtifactGone = "artifact_expired", 410, None, "Run the job again; ARTIFACT_TTL sets how long files are kept.";
    /// An upload is larger than allowed.
    PayloadTooLarge = "payload_too_large", 413, None, "Split the file, or raise UPLOAD_LIMIT.";

    /// A person has too much going at once.
    TooManyRequests = "too_many_requests", 429, None, "Wait until one of them is over, or end one, and try again.";
    /// A request body arrives too slowly.
    RequestTimeout = "request_timeout", 408, None, "Send it again over a faster connection.";
    /// A request body is compressed.
    UnsupportedContentEncoding = "unsupported_content_encoding", 415, None, "Send the body without compression. A file inside a form may be gzip.";
    /// Too many requests without a session are being received.
    Busy = "server_busy", 503, None, "Try again in a few seconds.";
    /// The server is about to stop.
    Stopping = "server_stopping", 503, None, "Try again in a few seconds.";
    /// The server cannot do its work now.
    NotReady = "not_ready", 503, None, "";

    /// The multipart body has no `users` file.
    UsersFileMissing = "users_file_missing", 400, None, "Send the file as the multipart part `users`.";
    /// The `users` file has no content.
    UsersFileEmpty = "users_file_empty", 400, None, "Choose a file that holds a JSON array of users, one user per line, or CSV with a header.";
    /// The `users` file is in no format that can be read.
    UsersFileFormat = "users_file_format", 400, None, "Send a JSON array of users, NDJSON (one user per line), or CSV with a header.";
    /// The header of a CSV file cannot be understood.
    UsersFileColumns = "users_file_columns", 400, None, "Name the columns as Auth0 names the attributes: email, given_name, app_metadata.plan.";
    /// A mapping of an import is wrong.
    InvalidMapping = "invalid_mapping", 400, None, "Write EXPR=attribute, for example 'user[\"Full name\"]=name'.";
    /// Users cannot be imported into this connection.
    ConnectionUnusable = "connection_unusable", 400, None, "Choose a database connection that is enabled for at least one application.";
    /// The connection does not exist.
    ConnectionNotFound = "inexistent_connection", 404, None, "Check the connection's name or id; the list of connections is under Authentication > Database.";

    /// A column or sort expression cannot be parsed.
    InvalidExpression = "invalid_expression", 400, None, "";
    /// The expression is more than a path, where only paths can be computed.
    UnsupportedExpression = "unsupported_expression", 400, None, "Use a path such as user.app_metadata.name, or alternatives joined by || or ??.";
    /// A search query cannot be carried out.
    InvalidSearch = "invalid_search", 400, None, "";
    /// A file of users could not be read.
    InvalidUsersFile = "invalid_users_file", 400, None, "";
    /// A row could not be computed and the job was told to stop at the first such row.
    RowFault = "row_fault", 422, None, "Export with --on-error empty to leave such cells empty and count them.";

    /// A file is no transform that this server can run.
    InvalidTransform = "invalid_transform", 400, None, "";
    /// There is no transform of that name.
    TransformNotFound = "inexistent_transform", 404, None, "GET /api/transforms and `transform list` show every transform there is.";
    /// A transform of that name is there already.
    TransformExists = "transform_exists", 409, None, "Rename the function, or remove the other transform first.";
    /// Uploads of transforms are switched off.
    UploadsOff = "transform_uploads_off", 403, Some("ForbiddenError"), "The operator of this server can put the file into TRANSFORMS_DIR, or set TRANSFORM_UPLOADS to true.";
    /// The version of a transform that is in use cannot be removed while there are others.
    TransformActive = "transform_active", 409, None, "Make another version the active one first, or delete all versions.";
    /// No more transforms can be uploaded.
    TooManyTransforms = "too_many_transforms", 409, None, "Delete versions that no preset and no job needs any more.";
    /// What building transforms needs is not installed.
    ToolchainMissing = "toolchain_missing", 500, None, "";

    /// Auth0 refused a request; status, message and errorCode are Auth0's own.
    Auth0Refused = "auth0_refused", 502, None, "";
    /// Auth0 did not answer.
    Auth0Unreachable = "auth0_unreachable", 502, None, "Check AUTH0_DOMAIN, the network and https://status.auth0.com.";
    /// A request that creates something was sent, but its answer did not arrive; it may have been carried out.
    Auth0AnswerLost = "auth0_answer_lost", 502, None, "It may have been carried out all the same; look at what is there before you try again.";
    /// Auth0 does not accept the client credentials, or the tokens it issued for them.
    Auth0Credentials = "auth0_credentials", 502, None, "Check AUTH0_CLIENT_ID and AUTH0_CLIENT_SECRET, and that this application is authorized for the Auth0 Management API.";
    /// The download link of an export inside Auth0 is older than 60 seconds (docs/auth0/jobs.md#download-links).
    Auth0LinkExpired = "auth0_link_expired", 502, None, "Read the job again to get a fresh link.";
    /// Auth0 answered with something that is not what its API promises.
    Auth0Answer = "auth0_answer", 502, None, "";
    /// The Management API token a job or request used has ended.
    Auth0TokenEnded = "auth0_token_ended", 401, None, "Sign in again; the job goes on by itself then.";
    /// An export inside Auth0 is gone (docs/auth0/jobs.md#job-status: after 24 hours), or its file is not the one that
    /// was begun.
    Auth0ExportLost = "auth0_export_lost", 502, None, "Start the export again.";
    /// A job failed inside Auth0.
    Auth0JobFailed = "auth0_job_failed", 502, None, "";

    /// DATA_DIR is in use by another process.
    DataDirLocked = "data_dir_locked", 503, None, "Stop the other server or command that uses this DATA_DIR, or choose another one.";
    /// Others can change what DATA_DIR holds, or have done so.
    UnsafeDataDir = "data_dir_unsafe", 500, None, "Give DATA_DIR to the user that runs this server, with mode 0700.";
    /// The disk is full.
    DiskFull = "disk_full", 507, None, "Free space in DATA_DIR; nothing was lost.";
    /// A file or the database could not be read or written.
    Storage = "storage", 500, None, "Check that DATA_DIR exists, is writable and has space.";
    /// The server stopped while the job ran.
    Interrupted = "interrupted", 500, None, "Start the job again.";
    /// A person canceled the job.
    Canceled = "canceled", 409, None, "";
    /// A bug.
    Internal = "internal_error", 500, Some("InternalServerError"), "Please report this with the request id from the log.";
}

/// What Auth0 itself said, kept word for word so that its users can look it up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Upstream {
    /// HTTP status of Auth0's answer.
    pub status_code: u16,
    /// Auth0's `error`, for example `Bad Request`.
    pub error: String,
    /// Auth0's `message`.
    pub message: String,
    /// Auth0's `errorCode`, often absent (docs/auth0/management-api.md#error-answers).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error_code: Option<String>,
}

/// An error a person can act on.
#[derive(Clone, Debug)]
pub struct Error {
    /// The row of the table.
    pub code: Code,
    /// Names the thing and the value that is wrong. Never holds a secret or personal data.
    pub message: String,
    /// What to do; the table's hint unless the place that failed knows better.
    pub hint: Option<Cow<'static, str>>,
    /// Auth0's own words, where the error comes from there. Boxed: rare and large.
    pub upstream: Option<Box<Upstream>>,
}

/// The result every room returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The JSON shape of an error answer (docs/decisions/0013-http-errors.md), also kept with a failed job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorBody {
    /// HTTP status.
    pub status_code: u16,
    /// Reason phrase, or the name that the extension's login defines.
    pub error: String,
    /// What happened, to which thing and value.
    pub message: String,
    /// Stable code; Auth0's own where Auth0 refused.
    pub error_code: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hint: Option<String>,
}

impl Error {
    /// An error of the table with its message and the table's hint.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: code.hint().map(Cow::Borrowed), upstream: None }
    }

    /// Replaces the hint by one that fits better.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// An answer of Auth0 that refused the request.
    pub fn refused(upstream: Upstream) -> Self {
        Self {
            code: Code::Auth0Refused,
            message: upstream.message.clone(),
            hint: None,
            upstream: Some(Box::new(upstream)),
        }
    }

    /// HTTP status: Auth0's own when Auth0 refused a request, else the table's.
    pub fn status(&self) -> u16 {
        self.upstream.as_ref().map_or(self.code.status(), |upstream| upstream.status_code)
    }

    /// Exit status of the command line (docs/decisions/0017-exit-status.md): 2 for wrong use or bad input, else 3.
    pub fn exit_status(&self) -> u8 {
        let wrong_use = match (&self.upstream, self.code) {
            // What was asked for is wrong, not the right to ask nor the moment.
            (Some(upstream), _) => matches!(upstream.status_code, 400 | 404 | 409 | 413 | 414),
            (None, Code::InvalidSettings) => true,
            // A bad row is not yet bad input: whoever asked for it let the job fail there.
            (None, Code::Canceled | Code::Auth0TokenEnded | Code::RowFault) => false,
            (None, code) => (400..500).contains(&code.status()),
        };
        if wrong_use { 2 } else { 3 }
    }

    /// The JSON shape of this error.
    pub fn body(&self) -> ErrorBody {
        let status = self.status();
        let (error, code) = match &self.upstream {
            Some(upstream) => {
                (upstream.error.clone(), upstream.error_code.clone().unwrap_or_else(|| self.code.as_str().to_owned()))
            }
            None => (self.code.name().unwrap_or_else(|| reason(status)).to_owned(), self.code.as_str().to_owned()),
        };
        ErrorBody {
            status_code: status,
            error,
            message: self.message.clone(),
            error_code: code,
            hint: self.hint.as_ref().map(ToString::to_string),
        }
    }
}

/// The reason phrase of a status, as Auth0 and browsers spell it.
fn reason(status: u16) -> &'static str {
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

impl std::error::Error for Error {}

impl From<std::io::Error> for Error {
    /// An error of ours that passed through a reader or writer is taken out again.
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        let error = match error.downcast::<Self>() {
            Ok(own) => return own,
            Err(error) => error,
        };
        // A quota that is used up is a full disk to whoever it is for.
        let full = matches!(error.kind(), StorageFull | QuotaExceeded);
        let code = if full { Code::DiskFull } else { Code::Storage };
        Self::new(code, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_statuses_are_errors() {
        let mut seen = std::collections::HashSet::new();
        for code in Code::ALL {
            assert!(seen.insert(code.as_str()), "{} stands twice", code.as_str());
            assert!((400..600).contains(&code.status()), "{}", code.as_str());
        }
    }

    #[test]
    fn what_auth0_said_is_passed_on() {
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
}
