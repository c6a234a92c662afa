//! Keycloak: the users of a realm export, with their credentials.
//!
//! Sources: "Importing and exporting realms" in the Keycloak server guide; `UserRepresentation`,
//! `CredentialRepresentation`, `PasswordCredentialData`, `PasswordSecretData`, `OTPCredentialData` (`secretEncoding`),
//! and the hash providers `Pbkdf2*` and `Argon2*` of keycloak/keycloak.

use serde_json::{Map, Value};

use crate::bits::{base32, base64};
use crate::converted::{Converted, LossKind};
use crate::field::{Convert, Field, UNKNOWN_HASH, field, skip, text};
use crate::hash::{self, Argon2, Hash};
use crate::row;
use crate::source::{SOURCE, Source};
use uie_core::message::message;

pub(crate) static KEYCLOAK: Source = Source {
    name: "keycloak",
    title: "Keycloak",
    signatures: &[
        &["username", "enabled", "emailVerified", "credentials"],
        &["username", "enabled", "totp", "emailVerified"],
        &["username", "createdTimestamp", "emailVerified", "requiredActions"],
        &["username", "createdTimestamp", "disableableCredentialTypes"],
    ],
    fields: FIELDS,
    member: Some("users"),
    finish: Some(finish),
    ..SOURCE
};

const FIELDS: &[Field] = &[
    text("id", "user_id"),
    text("email", "email"),
    field("emailVerified", "email_verified", Convert::Boolean),
    text("firstName", "given_name"),
    text("lastName", "family_name"),
    field("enabled", "blocked", Convert::Not),
    // `username` is accepted by connections with user names only.
    skip("username"),
    skip("attributes"),
    skip("credentials"),
    field("realmRoles", "app_metadata.roles", Convert::Value),
    field("clientRoles", "app_metadata.client_roles", Convert::Value),
    field("groups", "app_metadata.groups", Convert::Value),
    skip("createdTimestamp"),
    skip("totp"),
    skip("disableableCredentialTypes"),
    skip("requiredActions"),
    skip("notBefore"),
    skip("access"),
    skip("origin"),
    skip("self"),
    skip("federationLink"),
    skip("serviceAccountClientId"),
    skip("federatedIdentities"),
    skip("clientConsents"),
    skip("socialLinks"),
    skip("userProfileMetadata"),
    skip("applicationRoles"),
];

/// OTP credentials other than Auth0's.
static OTP_SETTINGS: LossKind = LossKind {
    code: "OTP_SETTINGS",
    message: |users| {
        message!("One-time passwords other than TOTP with SHA-1, 6 digits and 30 seconds; users: {users}.")
    },
    hint: || message!("They are imported without this second factor and must enroll again."),
};

/// Passkeys and security keys, which are bound to the address of the old sign-in page.
static PASSKEYS: LossKind = LossKind {
    code: "PASSKEYS",
    message: |users| message!("Passkeys and security keys cannot be imported; users: {users}."),
    hint: || message!("They are imported without them and must enroll again."),
};

fn finish(user: &Map<String, Value>, converted: &mut Converted) {
    if let Some(name) = row::text(user, "username") {
        if name.contains('@') {
            converted.set("email", name.to_lowercase().into());
        }
        if converted.text("email").is_none_or(|email| !email.eq_ignore_ascii_case(&name)) {
            converted.set("user_metadata.username", name.into());
        }
    }
    for (name, value) in row::object(user, "attributes").unwrap_or_default() {
        add_attribute(&name, value, converted);
    }
    for credential in row::array(user, "credentials").unwrap_or_default() {
        let Value::Object(credential) = credential else { continue };
        match row::text(&credential, "type").as_deref() {
            Some("password") => {
                let hash = password(&credential);
                converted.set_password(hash);
            }
            Some("otp" | "totp" | "hotp") => match totp(&credential) {
                Some(secret) => converted.set_totp(&secret),
                None => converted.lose(&OTP_SETTINGS, "mfa_factors"),
            },
            Some("webauthn" | "webauthn-passwordless") => converted.lose(&PASSKEYS, "mfa_factors"),
            _ => {}
        }
    }
}

/// Takes an attribute, which is a list of texts: those with a meaning in Keycloak's own mappers as attributes, all
/// others as metadata.
fn add_attribute(name: &str, value: Value, converted: &mut Converted) {
    let value = match value {
        Value::Array(mut items) if items.len() == 1 => items.remove(0),
        value => value,
    };
    if !row::has_content(&value) {
        return;
    }
    let text = row::text_of(&value);
    match (name, text) {
        ("picture", Some(text)) => converted.set("picture", text.into()),
        ("nickname", Some(text)) => converted.set("nickname", text.into()),
        ("phoneNumber" | "phone_number", Some(text)) => match crate::phone::e164(&text) {
            Some(number) => converted.set("phone_number", number.into()),
            None => converted.lose(&crate::field::PHONE_FORMAT, "phone_number"),
        },
        ("phoneNumberVerified" | "phone_number_verified", Some(_)) => {
            converted.set("phone_verified", row::boolean_of(&value).map_or(Value::Null, Value::Bool));
        }
        _ => converted.set(&format!("user_metadata.{name}"), value),
    }
}

/// Returns the hash of a password credential.
fn password(credential: &Map<String, Value>) -> Hash {
    if credential.get("value").is_some_and(Value::is_string) {
        // Files for an import into Keycloak may have it.
        return Err(&crate::field::PLAIN_PASSWORD);
    }
    let (Some(secret), Some(data)) = (row::object(credential, "secretData"), row::object(credential, "credentialData"))
    else {
        return legacy_password(credential);
    };
    let bytes = |name: &str| row::text(&secret, name).and_then(|text| base64(&text));
    let (Some(value), Some(salt)) = (bytes("value"), bytes("salt")) else { return Err(&UNKNOWN_HASH) };
    let algorithm = row::text(&data, "algorithm").unwrap_or_default();
    let iterations = row::number(&data, "hashIterations").unwrap_or(0);
    let more = row::object(&data, "additionalParameters").unwrap_or_default();
    let parameter = |name: &str| match more.get(name) {
        Some(Value::Array(items)) => items.first().and_then(row::text_of),
        Some(value) => row::text_of(value),
        None => None,
    };
    match algorithm.as_str() {
        "argon2" => {
            let number = |name: &str| parameter(name).and_then(|text| text.parse().ok());
            let version = match parameter("version").as_deref() {
                Some("1.0" | "10") => 16,
                _ => 19,
            };
            let variant = parameter("type").unwrap_or_else(|| "id".to_owned());
            let (Some(memory), Some(parallelism)) = (number("memory"), number("parallelism")) else {
                return Err(&UNKNOWN_HASH);
            };
            hash::argon2(Argon2 { variant: &variant, version, memory, iterations, parallelism }, &salt, &value)
        }
        algorithm => pbkdf2(algorithm, iterations, &salt, &value),
    }
}

/// Returns the hash of a credential of Keycloak before version 8, whose members are in the credential itself.
fn legacy_password(credential: &Map<String, Value>) -> Hash {
    let bytes = |name: &str| row::text(credential, name).and_then(|text| base64(&text));
    let (Some(value), Some(salt)) = (bytes("hashedSaltedValue"), bytes("salt")) else { return Err(&UNKNOWN_HASH) };
    let algorithm = row::text(credential, "algorithm").unwrap_or_default();
    pbkdf2(&algorithm, row::number(credential, "hashIterations").unwrap_or(0), &salt, &value)
}

fn pbkdf2(algorithm: &str, iterations: u64, salt: &[u8], value: &[u8]) -> Hash {
    let digest = match algorithm {
        "pbkdf2" => "sha1",
        "pbkdf2-sha256" => "sha256",
        "pbkdf2-sha512" => "sha512",
        _ => return Err(&UNKNOWN_HASH),
    };
    hash::pbkdf2(digest, iterations, salt, value)
}

/// Returns the secret of an authenticator app in Base32; `None` if its settings are not those of Auth0.
fn totp(credential: &Map<String, Value>) -> Option<String> {
    let data = row::object(credential, "credentialData")?;
    let secret = row::text(&row::object(credential, "secretData")?, "value")?;
    let is = |name: &str, expected: &[&str]| {
        row::text(&data, name).is_none_or(|value| expected.iter().any(|known| known.eq_ignore_ascii_case(&value)))
    };
    let fits = is("subType", &["totp"])
        && is("digits", &["6"])
        && is("period", &["30"])
        && is("algorithm", &["HmacSHA1", "SHA1"]);
    if !fits {
        return None;
    }
    match row::text(&data, "secretEncoding") {
        // The characters of the secret are the bytes of the key.
        None => Some(base32(secret.as_bytes())),
        Some(encoding) if encoding.eq_ignore_ascii_case("base32") => Some(secret),
        Some(_) => None,
    }
}
