//! Okta: users of the Users API, with hashes in the form of its imports, and the CSV template.
//!
//! Sources: `User`, `UserProfile` and `PasswordCredentialHash` of the Okta Users API; "Import users from a CSV file" in
//! Okta's help. Okta exports no hashes itself; a file made for an import into Okta may have them.

use serde_json::{Map, Value};

use crate::bits::base64;
use crate::converted::Converted;
use crate::field::{Field, UNKNOWN_HASH, skip, text};
use crate::hash::{self, Hash, SaltPosition};
use crate::source::{SOURCE, Source};
use crate::{phone, row};

pub(crate) static OKTA: Source = Source {
    name: "okta",
    title: "Okta",
    signatures: &[
        &["profile.login", "profile.email", "status", "credentials"],
        &["profile.login", "profile.email", "credentials"],
        &["profile.login", "profile.firstName", "profile.email"],
        &["login", "firstName", "lastName", "honorificPrefix", "honorificSuffix"],
        &["login", "firstName", "lastName", "email", "secondEmail", "mobilePhone"],
    ],
    fields: FIELDS,
    prepare: Some(flatten_profile),
    finish: Some(finish),
    ..SOURCE
};

const FIELDS: &[Field] = &[
    text("id", "user_id"),
    text("email", "email"),
    text("firstName", "given_name"),
    text("lastName", "family_name"),
    text("displayName", "name"),
    text("nickName", "nickname"),
    text("middleName", "user_metadata.middle_name"),
    text("honorificPrefix", "user_metadata.honorific_prefix"),
    text("honorificSuffix", "user_metadata.honorific_suffix"),
    text("title", "user_metadata.title"),
    text("profileUrl", "user_metadata.profile_url"),
    text("secondEmail", "user_metadata.second_email"),
    text("primaryPhone", "user_metadata.primary_phone"),
    text("streetAddress", "user_metadata.street_address"),
    text("city", "user_metadata.city"),
    text("state", "user_metadata.state"),
    text("zipCode", "user_metadata.zip_code"),
    text("countryCode", "user_metadata.country_code"),
    text("postalAddress", "user_metadata.postal_address"),
    text("preferredLanguage", "user_metadata.preferred_language"),
    text("locale", "user_metadata.locale"),
    text("timezone", "user_metadata.timezone"),
    // The company decides about these.
    text("userType", "app_metadata.user_type"),
    text("employeeNumber", "app_metadata.employee_number"),
    text("costCenter", "app_metadata.cost_center"),
    text("organization", "app_metadata.organization"),
    text("division", "app_metadata.division"),
    text("department", "app_metadata.department"),
    text("managerId", "app_metadata.manager_id"),
    text("manager", "app_metadata.manager"),
    skip("mobilePhone"),
    skip("login"),
    skip("status"),
    skip("profile"),
    skip("credentials"),
    skip("created"),
    skip("activated"),
    skip("statusChanged"),
    skip("lastLogin"),
    skip("lastUpdated"),
    skip("passwordChanged"),
    skip("transitioningToStatus"),
    skip("realmId"),
    skip("type"),
    skip("_links"),
    skip("_embedded"),
];

/// Moves the members of the profile to the row. A flattened file has columns such as `profile.login`.
fn flatten_profile(user: &mut Map<String, Value>) {
    if let Some(Value::Object(profile)) = user.remove("profile") {
        for (name, value) in profile {
            user.entry(name).or_insert(value);
        }
    }
    let flattened: Vec<String> = user.keys().filter(|name| name.starts_with("profile.")).cloned().collect();
    for name in flattened {
        if let (Some(short), Some(value)) = (name.strip_prefix("profile."), user.remove(&name)) {
            user.entry(short).or_insert(value);
        }
    }
}

fn finish(user: &Map<String, Value>, converted: &mut Converted) {
    if let Some(login) = row::text(user, "login") {
        if login.contains('@') {
            converted.set("email", login.clone().into());
        }
        if converted.text("email").is_none_or(|email| !email.eq_ignore_ascii_case(&login)) {
            converted.set("user_metadata.login", login.into());
        }
    }
    if let Some(mobile) = row::text(user, "mobilePhone") {
        // Okta accepts any text, so a number in another form is kept as metadata.
        match phone::e164(&mobile) {
            Some(number) => converted.set("phone_number", number.into()),
            None => converted.set("user_metadata.mobile_phone", mobile.into()),
        }
    }
    let email = converted.text("email").map(str::to_lowercase);
    for item in row::find(user, "credentials.emails").and_then(Value::as_array).into_iter().flatten() {
        let Value::Object(item) = item else { continue };
        if row::text(item, "value").map(|value| value.to_lowercase()) == email {
            let is_verified = row::text(item, "status").is_some_and(|status| status.eq_ignore_ascii_case("verified"));
            converted.set("email_verified", is_verified.into());
        }
    }
    match row::text(user, "status").unwrap_or_default().to_ascii_uppercase().as_str() {
        "SUSPENDED" | "DEPROVISIONED" => converted.set("blocked", true.into()),
        "ACTIVE" => converted.set("blocked", false.into()),
        _ => {}
    }
    if let Some(Value::Object(password)) = row::find(user, "credentials.password") {
        if let Some(Value::Object(hash)) = password.get("hash") {
            let hash = password_hash(hash);
            converted.set_password(hash);
        } else if password.get("value").is_some_and(row::has_content) {
            converted.set_password(Err(&crate::field::PLAIN_PASSWORD));
        }
    }
}

/// Returns a hash in the form of an import into Okta.
fn password_hash(hash: &Map<String, Value>) -> Hash {
    let Some(value) = row::text(hash, "value") else { return Err(&UNKNOWN_HASH) };
    let salt = row::text(hash, "salt");
    let algorithm = row::text(hash, "algorithm").unwrap_or_default().to_ascii_uppercase();
    if algorithm == "BCRYPT" {
        let (Some(salt), Some(rounds)) = (salt, row::number(hash, "workFactor")) else { return Err(&UNKNOWN_HASH) };
        let text = format!("$2a${rounds:02}${salt}{value}");
        return if hash::is_bcrypt(&text) { Ok(hash::bcrypt(&text)) } else { Err(&UNKNOWN_HASH) };
    }
    let Some(bytes) = base64(&value) else { return Err(&UNKNOWN_HASH) };
    let salt = match salt {
        Some(salt) => Some(base64(&salt).ok_or(&UNKNOWN_HASH)?),
        None => None,
    };
    let digest = match algorithm.as_str() {
        "MD5" => "md5",
        "SHA-1" => "sha1",
        "SHA-256" => "sha256",
        "SHA-512" => "sha512",
        "PBKDF2" => {
            let digest = match row::text(hash, "digestAlgorithm").unwrap_or_default().as_str() {
                "SHA256_HMAC" => "sha256",
                "SHA512_HMAC" => "sha512",
                _ => return Err(&UNKNOWN_HASH),
            };
            let iterations = row::number(hash, "iterationCount").unwrap_or(0);
            return hash::pbkdf2(digest, iterations, &salt.unwrap_or_default(), &bytes);
        }
        _ => return Err(&UNKNOWN_HASH),
    };
    let position = match row::text(hash, "saltOrder").unwrap_or_default().to_ascii_uppercase().as_str() {
        "PREFIX" => SaltPosition::Prefix,
        "POSTFIX" => SaltPosition::Suffix,
        _ if salt.is_some() => return Err(&UNKNOWN_HASH),
        _ => SaltPosition::Prefix,
    };
    hash::digest(digest, &bytes, salt.as_deref().map(|salt| (salt, position)))
}
