//! Access control: login flows, token checks, sessions, permissions, hook tokens, back-channel logout
//! (docs/auth0/extension.md#lifecycle-hooks, docs/auth0/login.md;
//! docs/decisions/0012-session-token-of-the-extension.md).

mod access;
mod admins;
mod backchannel_logout;
mod extension_login;
mod jwt;
mod lifecycle_hooks;
mod login;
mod login_token;
mod replay_cache;
mod secrets;
mod session;
mod tenant_login;

pub use access::Access;
pub use admins::Admission;
pub use extension_login::ExtensionCallback;
pub use login::{CookieKind, LoginCookie, LoginDone, LoginStart, SCOPES};
pub use session::{SESSION_AUDIENCE, STORAGE_KEY, Session, SessionInfo, SignIn};
pub use tenant_login::TenantCallback;
pub use uie_core::permissions::{Permission, Permissions};
