//! Decides who is an admin with `LOGIN=tenant`. The tenant's end users sign in at the same place, so access is denied
//! unless the settings name the user.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::jwt::Claims;
use uie_core::config::Admins;

/// Why a user was admitted. Stored with the session and checked against the current settings at each request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "lowercase")]
pub enum Admission {
    /// The permissions of the access token (`LOGIN=extension`).
    Token,
    /// `ADMIN_SUBJECTS`.
    Subject,
    /// `ADMIN_ROLES`.
    Role {
        /// The claim that listed the roles.
        claim: String,
        /// The listed roles.
        roles: Vec<String>,
    },
    /// `ADMIN_EMAILS`.
    Email {
        /// The connection of the profile that confirmed the address.
        connection: String,
    },
}

/// Returns whether the current settings still admit a user who was admitted at sign-in for this reason.
pub(super) fn still_admitted(admins: &Admins, admission: &Admission, subject: &str, email: Option<&str>) -> bool {
    match admission {
        Admission::Token => false,
        Admission::Subject => admins.subjects.iter().any(|admin| admin == subject),
        Admission::Role { claim, roles } => {
            admins.roles_claim.as_deref() == Some(claim) && roles.iter().any(|role| admins.roles.contains(role))
        }
        Admission::Email { connection } => {
            admins.connection.as_deref() == Some(connection) && email.is_some_and(|email| is_listed(admins, email))
        }
    }
}

/// The authorization decision for the claims of a verified id_token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// A subject or role admits the user.
    Admit(Admission),
    /// The e-mail address admits the user if their profile confirms address and connection.
    CheckProfile {
        /// The connection that the profile must name.
        connection: String,
    },
    /// No setting admits the user.
    Deny,
}

/// Decides from the claims, without the user's profile.
pub(super) fn authorize(admins: &Admins, claims: &Claims) -> Decision {
    if claims.text("sub").is_some_and(|subject| admins.subjects.iter().any(|admin| admin == subject)) {
        return Decision::Admit(Admission::Subject);
    }
    if let Some(admission) = admit_by_role(admins, claims) {
        return Decision::Admit(admission);
    }
    let verified = claims.0.get("email_verified") == Some(&Value::Bool(true));
    let listed = claims.text("email").is_some_and(|email| is_listed(admins, email));
    match &admins.connection {
        Some(connection) if verified && listed => Decision::CheckProfile { connection: connection.clone() },
        _ => Decision::Deny,
    }
}

/// Returns whether the profile of the user confirms a listed e-mail address: it is verified there too, and of the
/// connection in the settings. The id_token does not name the connection, and in another connection users may be able
/// to register other users' addresses.
pub(super) fn profile_confirms(admins: &Admins, subject: &str, profile: &Value) -> bool {
    let text = |name: &str| profile.get(name).and_then(Value::as_str);
    // The profile and its e-mail address come from the first identity; the others are linked.
    let primary = profile.get("identities").and_then(|identities| identities.get(0));
    let connection = primary.and_then(|identity| identity.get("connection")).and_then(Value::as_str);
    text("user_id") == Some(subject)
        && profile.get("email_verified") == Some(&Value::Bool(true))
        && profile.get("blocked") != Some(&Value::Bool(true))
        && text("email").is_some_and(|email| is_listed(admins, email))
        && connection.is_some()
        && connection == admins.connection.as_deref()
}

/// Compares ASCII case-insensitively. Unicode case folding would make addresses equal that different people can own:
/// the Kelvin sign folds to `k`.
fn is_listed(admins: &Admins, email: &str) -> bool {
    admins.emails.iter().any(|admin| admin.eq_ignore_ascii_case(email))
}

fn admit_by_role(admins: &Admins, claims: &Claims) -> Option<Admission> {
    let claim = admins.roles_claim.as_deref()?;
    let roles: Vec<String> = match claims.0.get(claim)? {
        Value::String(role) => vec![role.clone()],
        Value::Array(roles) => roles.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => return None,
    };
    let admitted = roles.iter().any(|role| admins.roles.contains(role));
    admitted.then(|| Admission::Role { claim: claim.to_owned(), roles })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(value: Value) -> Claims {
        let Value::Object(map) = value else { panic!("claims are an object") };
        Claims(map)
    }

    fn emails() -> Admins {
        Admins { emails: vec!["kim@example.com".into()], connection: Some("staff".into()), ..Admins::default() }
    }

    fn profile() -> Value {
        json!({
            "user_id": "auth0|kim", "email": "kim@example.com", "email_verified": true,
            "identities": [{"connection": "staff", "provider": "auth0", "user_id": "kim"}],
        })
    }

    #[test]
    fn without_settings_access_is_denied() {
        let everything = claims(json!({"sub": "a", "email": "a@b.c", "email_verified": true, "roles": ["admin"]}));
        assert_eq!(authorize(&Admins::default(), &everything), Decision::Deny);
    }

    #[test]
    fn a_listed_subject_is_admitted_and_a_similar_one_is_not() {
        let admins = Admins { subjects: vec!["auth0|kim".into()], ..Admins::default() };
        assert_eq!(authorize(&admins, &claims(json!({"sub": "auth0|kim"}))), Decision::Admit(Admission::Subject));
        for sub in ["auth0|Kim", "auth0|kim2", "google-oauth2|kim", ""] {
            assert_eq!(authorize(&admins, &claims(json!({"sub": sub}))), Decision::Deny, "{sub}");
        }
    }

    #[test]
    fn a_listed_role_is_admitted_only_in_its_claim() {
        let admins = Admins {
            roles: vec!["admin".into()],
            roles_claim: Some("https://acme.example/roles".into()),
            ..Admins::default()
        };
        for (claim, admitted) in [
            (json!({"https://acme.example/roles": ["user", "admin"]}), true),
            (json!({"https://acme.example/roles": "admin"}), true),
            (json!({"https://acme.example/roles": "administrator"}), false),
            (json!({"https://acme.example/roles": {"admin": true}}), false),
            (json!({"roles": ["admin"]}), false),
        ] {
            let decision = authorize(&admins, &claims(claim.clone()));
            assert_eq!(matches!(decision, Decision::Admit(Admission::Role { .. })), admitted, "{claim}");
            assert_eq!(decision == Decision::Deny, !admitted, "{claim}");
        }
    }

    #[test]
    fn an_email_address_is_accepted_only_if_verified() {
        let with =
            |verified: Value| claims(json!({"sub": "x", "email": "Kim@Example.com", "email_verified": verified}));
        assert_eq!(authorize(&emails(), &with(json!(true))), Decision::CheckProfile { connection: "staff".into() });
        for not_true in [json!(false), json!("true"), json!(1), Value::Null] {
            assert_eq!(authorize(&emails(), &with(not_true)), Decision::Deny);
        }
        let missing = claims(json!({"sub": "x", "email": "kim@example.com"}));
        assert_eq!(authorize(&emails(), &missing), Decision::Deny);
    }

    #[test]
    fn an_admission_ends_when_the_settings_change() {
        let subjects = Admins { subjects: vec!["auth0|kim".into()], ..Admins::default() };
        let claim = Some("https://acme.example/roles".to_owned());
        let roles = Admins { roles: vec!["admin".into()], roles_claim: claim.clone(), ..Admins::default() };
        let role = |roles: &[&str]| Admission::Role {
            claim: claim.clone().unwrap(),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        };
        let email = |connection: &str| Admission::Email { connection: connection.into() };
        for (admins, admission, holds) in [
            (&subjects, Admission::Subject, true),
            (&roles, Admission::Subject, false),
            (&roles, role(&["user", "admin"]), true),
            (&roles, role(&["user"]), false),
            (&subjects, role(&["admin"]), false),
            (&Admins { roles_claim: Some("other".into()), ..roles.clone() }, role(&["admin"]), false),
            (&emails(), email("staff"), true),
            (&emails(), email("customers"), false),
            (&Admins { emails: vec!["other@example.com".into()], ..emails() }, email("staff"), false),
            (&subjects, Admission::Token, false),
        ] {
            let still = still_admitted(admins, &admission, "auth0|kim", Some("kim@example.com"));
            assert_eq!(still, holds, "{admission:?} {admins:?}");
        }
    }

    #[test]
    fn letters_that_fold_to_ascii_are_not_equal_to_ascii() {
        let kelvin = claims(json!({"sub": "x", "email": "\u{212a}im@example.com", "email_verified": true}));
        assert_eq!(authorize(&emails(), &kelvin), Decision::Deny);
    }

    #[test]
    fn a_profile_confirms_only_its_verified_address_of_the_configured_connection() {
        assert!(profile_confirms(&emails(), "auth0|kim", &profile()));
        assert!(!profile_confirms(&emails(), "auth0|other", &profile()));
        for (name, value) in [
            ("email_verified", json!(false)),
            ("email", json!("mallory@example.com")),
            ("blocked", json!(true)),
            ("identities", json!([])),
            ("identities", json!([{"connection": "customers"}])),
            // Only linked to the configured connection.
            ("identities", json!([{"connection": "customers"}, {"connection": "staff"}])),
        ] {
            let mut other = profile();
            other[name] = value;
            assert!(!profile_confirms(&emails(), "auth0|kim", &other), "{other}");
        }
        let no_connection = Admins { connection: None, ..emails() };
        assert!(!profile_confirms(
            &no_connection,
            "auth0|kim",
            &json!({"user_id": "auth0|kim", "email_verified": true})
        ));
    }
}
