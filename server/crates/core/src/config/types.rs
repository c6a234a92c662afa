//! Types of settings, and what settings are read for.

use secrecy::SecretString;

/// A client of an Auth0 tenant.
#[derive(Clone, Debug)]
pub struct ClientCredentials {
    /// The client id.
    pub id: String,
    /// The client secret.
    pub secret: SecretString,
}

impl ClientCredentials {
    /// Returns credentials if both parts are set.
    pub(super) fn from_parts(id: Option<String>, secret: Option<SecretString>) -> Option<Self> {
        Some(Self { id: id?, secret: secret? })
    }
}

/// How admins sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// Login at the root tenant, as in the extensions gallery (docs/auth0/login.md).
    Extension,
    /// Authorization code with PKCE at the own tenant.
    Tenant,
}

impl Login {
    /// Returns the value of the setting.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Extension => "extension",
            Self::Tenant => "tenant",
        }
    }
}

/// Who may sign in with `LOGIN=tenant`. If all lists are empty, no user may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admins {
    /// E-mail addresses in lower case. An address must be verified and from `connection`.
    pub emails: Vec<String>,
    /// `sub` values.
    pub subjects: Vec<String>,
    /// Roles, looked up in `roles_claim`.
    pub roles: Vec<String>,
    /// The id_token claim that lists roles.
    pub roles_claim: Option<String>,
    /// The connection whose e-mail addresses are accepted.
    pub connection: Option<String>,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Readable text.
    Text,
    /// One JSON object per line.
    Json,
}

/// What the settings are for, which decides which of them are required.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// `serve` and `validate-config`.
    Serve,
    /// `export` and `import` against a tenant.
    Tenant,
    /// A command without a tenant, such as `export --from` or `import --dry-run`.
    Local,
}

/// A transform that may have a named secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretUser {
    /// The shipped transform of this name.
    Shipped(String),
    /// The transform whose file has this SHA-256, in lower-case hexadecimal digits.
    Sha256(String),
}
