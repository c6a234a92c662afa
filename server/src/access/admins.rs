//! Who may enter with `LOGIN=tenant`. The tenant's end users sign in there too, so nobody enters unless the settings
//! name them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::token::Claims;
use crate::config::Admins;

/// What admitted a person. Kept with the session, and checked against the current settings at each request.
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
        /// The roles that it listed.
        roles: Vec<String>,
    },
    /// `ADMIN_EMAILS`.
    Email {
        /// The connection in which the profile confirmed the address.
        connection: String,
    },
}

/// Whether the settings still admit a person, by what admitted them when they signed in.
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

/// What the claims of a checked id_token say about entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A subject or role admits the person.
    Enters(Admission),
    /// The e-mail address would, if the user's profile confirms address and connection.
    AskProfile {
        /// The connection that the profile must name.
        connection: String,
    },
    /// Nothing lets the person in.
    StaysOut,
}

/// Judges by the claims alone.
pub(super) fn judge(admins: &Admins, claims: &Claims) -> Verdict {
    if claims.text("sub").is_some_and(|subject| admins.subjects.iter().any(|admin| admin == subject)) {
        return Verdict::Enters(Admission::Subject);
    }
    if let Some(admission) = by_role(admins, claims) {
        return Verdict::Enters(admission);
    }
    let verified = claims.0.get("email_verified") == Some(&Value::Bool(true));
    let listed = claims.text("email").is_some_and(|email| is_listed(admins, email));
    match &admins.connection {
        Some(connection) if verified && listed => Verdict::AskProfile { connection: connection.clone() },
        _ => Verdict::StaysOut,
    }
}

/// Whether the profile of the person who signed in confirms a listed e-mail address: verified there
/// too, and of the named connection. The id_token does not name the connection, and in another one
/// anybody may register anybody's address.
pub(super) fn profile_confirms(admins: &Admins, subject: &str, profile: &Value) -> bool {
    let text = |name: &str| profile.get(name).and_then(Value::as_str);
    // The first identity is the one the profile, and so its e-mail, comes from; the others are linked.
    let primary = profile.get("identities").and_then(|identities| identities.get(0));
    let connection = primary.and_then(|identity| identity.get("connection")).and_then(Value::as_str);
    text("user_id") == Some(subject)
        && profile.get("email_verified") == Some(&Value::Bool(true))
        && profile.get("blocked") != Some(&Value::Bool(true))
        && text("email").is_some_and(|email| is_listed(admins, email))
        && connection.is_some()
        && connection == admins.connection.as_deref()
}

/// The settings hold addresses in lower case. Only ASCII is folded here: folding more would make
/// addresses equal that different people can own (the Kelvin sign is no `k`).
fn is_listed(admins: &Admins, email: &str) -> bool {
    admins.emails.iter().any(|admin| admin.eq_ignore_ascii_case(email))
}

fn by_role(admins: &Admins, claims: &Claims) -> Option<Admission> {
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
    fn without_settings_nobody_enters() {
        let everything = claims(json!({"sub": "a", "email": "a@b.c", "email_verified": true, "roles": ["admin"]}));
        assert_eq!(judge(&Admins::default(), &everything), Verdict::StaysOut);
    }

    #[test]
    fn a_listed_subject_enters_and_a_similar_one_does_not() {
        let admins = Admins { subjects: vec!["auth0|kim".into()], ..Admins::default() };
        assert_eq!(judge(&admins, &claims(json!({"sub": "auth0|kim"}))), Verdict::Enters(Admission::Subject));
        for sub in ["auth0|Kim", "auth0|kim2", "google-oauth2|kim", ""] {
            assert_eq!(judge(&admins, &claims(json!({"sub": sub}))), Verdict::StaysOut, "{sub}");
        }
    }

    #[test]
    fn a_listed_role_enters_only_by_its_claim() {
        let admins = Admins {
            roles: vec!["admin".into()],
            roles_claim: Some("https://acme.example/roles".into()),
            ..Admins::default()
        };
        for (claim, enters) in [
            (json!({"https://acme.example/roles": ["user", "admin"]}), true),
            (json!({"https://acme.example/roles": "admin"}), true),
            (json!({"https://acme.example/roles": "administrator"}), false),
            (json!({"https://acme.example/roles": {"admin": true}}), false),
            (json!({"roles": ["admin"]}), false),
        ] {
            let verdict = judge(&admins, &claims(claim.clone()));
            assert_eq!(matches!(verdict, Verdict::Enters(Admission::Role { .. })), enters, "{claim}");
            assert_eq!(verdict == Verdict::StaysOut, !enters, "{claim}");
        }
    }

    #[test]
    fn an_email_counts_only_when_verified() {
        let with =
            |verified: Value| claims(json!({"sub": "x", "email": "Kim@Example.com", "email_verified": verified}));
        assert_eq!(judge(&emails(), &with(json!(true))), Verdict::AskProfile { connection: "staff".into() });
        for not_true in [json!(false), json!("true"), json!(1), Value::Null] {
            assert_eq!(judge(&emails(), &with(not_true)), Verdict::StaysOut);
        }
        let missing = claims(json!({"sub": "x", "email": "kim@example.com"}));
        assert_eq!(judge(&emails(), &missing), Verdict::StaysOut);
    }

    #[test]
    fn an_admission_holds_only_while_the_settings_still_say_so() {
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
    fn letters_that_only_look_or_fold_alike_are_other_letters() {
        let kelvin = claims(json!({"sub": "x", "email": "\u{212a}im@example.com", "email_verified": true}));
        assert_eq!(judge(&emails(), &kelvin), Verdict::StaysOut);
    }

    #[test]
    fn a_profile_confirms_only_its_own_verified_address_of_the_named_connection() {
        assert!(profile_confirms(&emails(), "auth0|kim", &profile()));
        assert!(!profile_confirms(&emails(), "auth0|other", &profile()));
        for (name, value) in [
            ("email_verified", json!(false)),
            ("email", json!("mallory@example.com")),
            ("blocked", json!(true)),
            ("identities", json!([])),
            ("identities", json!([{"connection": "customers"}])),
            // Linked to the right connection is not from the right connection.
            ("identities", json!([{"connection": "customers"}, {"connection": "staff"}])),
        ] {
            let mut other = profile();
            other[name] = value;
            assert!(!profile_confirms(&emails(), "auth0|kim", &other), "{other}");
        }
        let nowhere = Admins { connection: None, ..emails() };
        assert!(!profile_confirms(&nowhere, "auth0|kim", &json!({"user_id": "auth0|kim", "email_verified": true})));
    }
}
