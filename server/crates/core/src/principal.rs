//! The user on whose behalf the server acts.

use jiff::Timestamp;
use secrecy::SecretString;

use crate::permissions::Permissions;

/// A user who has signed in, as far as the work for this user depends on it. The code that creates it has verified the
/// sign-in. The command line acts for the application itself.
#[derive(Clone, Debug)]
pub struct Principal {
    /// `sub` of the id_token.
    pub subject: String,
    /// E-mail address, for display; `None` if it is not known.
    pub email: Option<String>,
    /// What the user may do.
    pub permissions: Permissions,
    /// The user's own Management API token (`LOGIN=extension`), decrypted; `None` with `LOGIN=tenant`.
    pub access_token: Option<SecretString>,
    /// When the sign-in and the access token expire.
    pub expires_at: Timestamp,
    /// Id of the session of the sign-in, to which download tokens are bound.
    pub session: String,
}

impl Principal {
    /// Returns the application itself, for which the command line acts. Auth0 limits what it may do by the scopes of
    /// its client credentials.
    pub fn application(client_id: &str) -> Self {
        Self {
            // The `sub` of a token that client credentials get.
            subject: format!("{client_id}@clients"),
            email: None,
            permissions: Permissions::all(),
            access_token: None,
            expires_at: Timestamp::MAX,
            session: String::new(),
        }
    }
}
