//! The people who can sign in, in addition to the generated users: an admin, an editor with a role, attackers, and an
//! ordinary user, for tests of access control.

use serde::Serialize;
use serde_json::{Value, json};

use crate::connections::{DATABASE, PARTNERS};

/// The namespaced claim under which the tenant's Action adds a person's roles to the id token.
pub const ROLES_CLAIM: &str = "https://user-import-export.example/roles";
/// The admin's e-mail address, which the attackers also use.
pub const ADMIN_EMAIL: &str = "admin@acme.example";
/// The e-mail address of the editor, whose id token carries [`EDITOR_ROLE`].
pub const EDITOR_EMAIL: &str = "editor@acme.example";
/// The editor's role.
pub const EDITOR_ROLE: &str = "Editor - Users";
/// The e-mail address of an ordinary end user.
pub const USER_EMAIL: &str = "user@acme.example";

/// A user who can sign in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Person {
    /// `provider|id`: the `sub` of their tokens.
    pub user_id: String,
    /// E-mail address.
    pub email: String,
    /// Whether the address was verified.
    pub email_verified: bool,
    /// Full name.
    pub name: String,
    /// Name of the connection they sign in with.
    pub connection: String,
    /// Roles an Action adds to the id token.
    pub roles: Vec<String>,
}

impl Person {
    fn new(user_id: &str, email: &str, email_verified: bool, name: &str, connection: &str) -> Self {
        Person {
            user_id: user_id.to_owned(),
            email: email.to_owned(),
            email_verified,
            name: name.to_owned(),
            connection: connection.to_owned(),
            roles: Vec::new(),
        }
    }

    /// Returns the person as a user of the directory.
    pub(crate) fn profile(&self, created_at: &str) -> Value {
        let (provider, id) = self.user_id.split_once('|').unwrap_or(("auth0", &self.user_id));
        let nickname = self.email.split('@').next().unwrap_or_default();
        json!({
            "created_at": created_at,
            "email": self.email,
            "email_verified": self.email_verified,
            "identities": [{
                "connection": self.connection,
                "user_id": id,
                "provider": provider,
                "isSocial": provider == "google-oauth2",
            }],
            "name": self.name,
            "nickname": nickname,
            "picture": "https://cdn.auth0.com/avatars/aa.png",
            "updated_at": created_at,
            "user_id": self.user_id,
        })
    }
}

/// Returns the people of every tenant: the admin; the editor; an attacker who registered the admin's
/// address in another database without verifying it; an attacker with the admin's address, verified,
/// in a social connection; an ordinary end user.
pub fn people() -> Vec<Person> {
    vec![
        Person::new("auth0|5f7c8ec7c33c6c004bbafe82", ADMIN_EMAIL, true, "Ada Admin", DATABASE),
        Person {
            roles: vec![EDITOR_ROLE.to_owned()],
            ..Person::new("auth0|5f7c8ec7c33c6c004bbafe83", EDITOR_EMAIL, true, "Edda Editor", DATABASE)
        },
        Person::new("auth0|5f7c8ec7c33c6c004bbafe84", ADMIN_EMAIL, false, "Mallory Unverified", PARTNERS),
        Person::new("google-oauth2|107999999999999999999", ADMIN_EMAIL, true, "Mallory Elsewhere", "google-oauth2"),
        Person::new("auth0|5f7c8ec7c33c6c004bbafe85", USER_EMAIL, true, "Ulla User", DATABASE),
    ]
}
