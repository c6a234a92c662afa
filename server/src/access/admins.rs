//! Who may enter with `LOGIN=tenant`. The tenant's end users sign in there too, so nobody enters unless the settings
//! name them.

use serde_json::Value;

use super::token::Claims;
use crate::config::Admins;

/// What the claims of a checked id_token say about entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A subject or role lets the person in.
    Enters,
    /// The e-mail address would, if the user's profile confirms address and connection.
    AskProfile,
    /// Nothing lets the person in.
    StaysOut,
}

/// Judges by the claims alone.
pub(super) fn judge(admins: &Admins, claims: &Claims) -> Verdict {
    let subject = claims.text("sub").is_some_and(|subject| admins.subjects.iter().any(|admin| admin == subject));
    if subject || has_role(admins, claims) {
        return Verdict::Enters;
    }
    let verified = claims.0.get("email_verified") == Some(&Value::Bool(true));
    let listed = claims.text("email").is_some_and(|email| is_listed(admins, email));
    if verified && listed && admins.connection.is_some() { Verdict::AskProfile } else { Verdict::StaysOut }
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

fn has_role(admins: &Admins, claims: &Claims) -> bool {
    let Some(claim) = admins.roles_claim.as_deref().and_then(|name| claims.0.get(name)) else { return false };
    let wanted = |role: &str| admins.roles.iter().any(|admin| admin == role);
    match claim {
        Value::String(role) => wanted(role),
        Value::Array(roles) => roles.iter().filter_map(Value::as_str).any(wanted),
        _ => false,
    }
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
        assert_eq!(judge(&admins, &claims(json!({"sub": "auth0|kim"}))), Verdict::Enters);
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
        for (claim, verdict) in [
            (json!({"https://acme.example/roles": ["user", "admin"]}), Verdict::Enters),
            (json!({"https://acme.example/roles": "admin"}), Verdict::Enters),
            (json!({"https://acme.example/roles": "administrator"}), Verdict::StaysOut),
            (json!({"https://acme.example/roles": {"admin": true}}), Verdict::StaysOut),
            (json!({"roles": ["admin"]}), Verdict::StaysOut),
        ] {
            assert_eq!(judge(&admins, &claims(claim.clone())), verdict, "{claim}");
        }
    }

    #[test]
    fn an_email_counts_only_when_verified() {
        let with =
            |verified: Value| claims(json!({"sub": "x", "email": "Kim@Example.com", "email_verified": verified}));
        assert_eq!(judge(&emails(), &with(json!(true))), Verdict::AskProfile);
        for not_true in [json!(false), json!("true"), json!(1), Value::Null] {
            assert_eq!(judge(&emails(), &with(not_true)), Verdict::StaysOut);
        }
        let missing = claims(json!({"sub": "x", "email": "kim@example.com"}));
        assert_eq!(judge(&emails(), &missing), Verdict::StaysOut);
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
