//! Who may come in: login flows, token checks, sessions, hook tokens (contract, sections 1.4 and 2;
//! design, section 5).

use jiff::Timestamp;
use secrecy::SecretString;

use crate::config::Settings;
use crate::error::Result;

/// A signed-in person, as the session token says.
#[derive(Clone, Debug)]
pub struct Session {
    /// `sub` of the id_token.
    pub subject: String,
    /// E-mail, for display.
    pub email: Option<String>,
    /// When the session ends.
    pub expires_at: Timestamp,
    /// Names this session without revealing its token: download tickets are bound to it.
    pub id: String,
    /// The admin's own Management API token (`LOGIN=extension`), decrypted; none with `LOGIN=tenant`.
    pub access_token: Option<SecretString>,
}

/// Checks everything that asks to come in.
#[derive(Debug)]
pub struct Access {}

impl Access {
    /// Access as the settings say; `base_url` has no trailing slash.
    pub fn new(settings: &Settings, base_url: &str) -> Result<Self> {
        let _ = (settings, base_url);
        todo!()
    }

    /// Checks the `Authorization` header of an API request (contract, 2.7).
    pub fn session(&self, authorization: Option<&str>) -> Result<Session> {
        let _ = authorization;
        todo!()
    }

    /// Checks the `Authorization` header of a lifecycle hook (contract, 1.4); `path` is the hook's
    /// path below the base URL, for example `/.extensions/on-uninstall`.
    pub fn hook(&self, authorization: Option<&str>, path: &str) -> Result<()> {
        let _ = (authorization, path);
        todo!()
    }
}
