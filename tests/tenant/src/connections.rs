//! The connections of the tenant: databases of every kind, social, enterprise and passwordless ones.

use serde_json::{Map, Value, json};

/// The default database of every tenant.
pub const DATABASE: &str = "Username-Password-Authentication";
/// A second database.
pub const PARTNERS: &str = "Partners";
/// A database whose users have usernames.
pub const USERNAMES: &str = "Usernames";
/// A custom database with import mode: users can be imported.
pub const CUSTOM_IMPORT: &str = "Legacy-Import";
/// A custom database without import mode: users cannot be imported.
pub const CUSTOM_REMOTE: &str = "Legacy-Remote";
/// A database that is not enabled for any client.
pub const DISABLED: &str = "Disabled-Database";

/// A connection.
#[derive(Clone, Debug)]
pub struct Connection {
    /// `con_` and 16 letters or digits.
    pub id: String,
    /// Unique name.
    pub name: String,
    /// `auth0` for databases.
    pub strategy: String,
    /// Strategy-specific options.
    pub options: Value,
    /// Whether it is enabled for the tenant's applications.
    pub enabled: bool,
}

impl Connection {
    fn new(name: &str, strategy: &str, options: Value) -> Self {
        Connection { id: id(name), name: name.to_owned(), strategy: strategy.to_owned(), options, enabled: true }
    }

    /// Returns the connection as the Management API shows it, restricted to `fields` (docs/auth0/management-api.md#connections).
    pub(crate) fn to_json(&self, fields: Option<&[&str]>, include: bool) -> Value {
        let all = json!({
            "id": self.id,
            "options": self.options,
            "strategy": self.strategy,
            "name": self.name,
            "display_name": self.name,
            "is_domain_connection": false,
            "show_as_button": self.strategy != "auth0",
            "realms": [self.name],
            "authentication": {"active": true},
            "connected_accounts": {"active": false},
        });
        let Some(fields) = fields else { return all };
        let Value::Object(all) = all else { return Value::Null };
        // `is_domain_connection` is always included (recorded,
        // docs/auth0/management-api.md#connections).
        all.into_iter()
            .filter(|(name, _)| name == "is_domain_connection" || fields.contains(&name.as_str()) == include)
            .collect::<Map<_, _>>()
            .into()
    }

    /// Returns whether it is a custom database.
    pub(crate) fn is_custom(&self) -> bool {
        self.options["enabledDatabaseCustomization"] == true
    }

    /// Returns whether Auth0 stores the users of a custom database.
    pub(crate) fn import_mode(&self) -> bool {
        self.options["import_mode"] == true
    }

    /// Returns the minimum and maximum length of usernames, if the connection uses usernames.
    pub(crate) fn username_length(&self) -> Option<(u64, u64)> {
        if self.options["requires_username"] != true {
            return None;
        }
        let length = &self.options["validation"]["username"];
        Some((length["min"].as_u64().unwrap_or(1), length["max"].as_u64().unwrap_or(15)))
    }
}

/// Returns all connections: the named ones and `extra` more, with several strategies.
pub(crate) fn all(extra: usize) -> Vec<Connection> {
    let database = |name: &str| {
        Connection::new(
            name,
            "auth0",
            json!({
                "mfa": {"active": true, "return_enroll_settings": true},
                "import_mode": false,
                "passwordPolicy": "good",
                "requires_username": false,
                "brute_force_protection": true,
                "enabledDatabaseCustomization": false,
            }),
        )
    };
    let with = |mut connection: Connection, more: Value| {
        if let (Value::Object(options), Value::Object(more)) = (&mut connection.options, more) {
            options.extend(more);
        }
        connection
    };
    // Options of custom databases contain scripts and secrets, which a client must not expose.
    let custom = json!({
        "enabledDatabaseCustomization": true,
        "customScripts": {"login": "function login(email, password, callback) { callback(null); }"},
        "configuration": {"DATABASE_PASSWORD": "2.0$encrypted"},
    });
    let mut connections = vec![
        database(DATABASE),
        database(PARTNERS),
        with(
            database(USERNAMES),
            json!({"requires_username": true, "validation": {"username": {"min": 1, "max": 15}}}),
        ),
        with(with(database(CUSTOM_IMPORT), custom.clone()), json!({"import_mode": true})),
        with(database(CUSTOM_REMOTE), custom),
        Connection { enabled: false, ..database(DISABLED) },
        Connection::new(
            "google-oauth2",
            "google-oauth2",
            json!({"email": true, "profile": true, "scope": ["email", "profile"]}),
        ),
        Connection::new("facebook", "facebook", json!({"email": true, "public_profile": true})),
        Connection::new("github", "github", json!({"email": true, "profile": true})),
        Connection::new("windowslive", "windowslive", json!({"signin": true, "graph_user": true})),
        Connection::new(
            "acme-saml",
            "samlp",
            json!({"signInEndpoint": "https://idp.acme-corp.com/saml", "signatureAlgorithm": "rsa-sha256"}),
        ),
        Connection::new(
            "acme-azure",
            "waad",
            json!({"tenant_domain": "acme-corp.com", "waad_protocol": "openid-connect"}),
        ),
        Connection::new("acme-okta", "okta", json!({"domain": "acme-corp.okta.com", "type": "back_channel"})),
        Connection::new(
            "email",
            "email",
            json!({"name": "email", "disable_signup": false, "brute_force_protection": true}),
        ),
        Connection::new("sms", "sms", json!({"name": "sms", "provider": "sms_gateway", "disable_signup": false})),
    ];
    for number in 0..extra {
        let name = format!("extra-{number:04}");
        connections.push(match number % 3 {
            0 => database(&name),
            1 => {
                Connection::new(&name, "oidc", json!({"type": "back_channel", "issuer": "https://idp.acme-corp.com/"}))
            }
            _ => Connection::new(&name, "samlp", json!({"signInEndpoint": "https://idp.acme-corp.com/saml"})),
        });
    }
    connections
}

/// Returns the id of a connection. It is the same in every tenant, so that tests and saved settings can use it.
fn id(name: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut hash: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    for byte in name.bytes() {
        hash = (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013B);
    }
    let mut id = String::from("con_");
    for _ in 0..16 {
        id.push(ALPHABET.get((hash % 62) as usize).copied().map_or('A', char::from));
        hash /= 62;
    }
    id
}

/// Returns whether a text has the format of a connection id: `^con_[A-Za-z0-9]{16}$`.
pub(crate) fn is_id(text: &str) -> bool {
    has_id_format(text, "con_")
}

/// Returns whether a text is `prefix` and 16 letters or digits.
pub(crate) fn has_id_format(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix)
        .is_some_and(|rest| rest.len() == 16 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_unique_and_well_formed() {
        let connections = all(2000);
        let ids: HashSet<_> = connections.iter().map(|connection| connection.id.clone()).collect();
        assert_eq!(ids.len(), connections.len());
        assert!(ids.iter().all(|id| is_id(id)));
    }

    #[test]
    fn fields_select_members_but_is_domain_connection_is_always_included() {
        let connection = &all(0)[0];
        let shown = connection.to_json(Some(&["id"]), true);
        assert_eq!(shown.as_object().unwrap().keys().collect::<Vec<_>>(), ["id", "is_domain_connection"]);
        let hidden = connection.to_json(Some(&["options"]), false);
        assert!(hidden.get("options").is_none() && hidden.get("name").is_some());
    }
}
