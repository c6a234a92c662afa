//! Clerk: the CSV of the dashboard, which has hashes and TOTP secrets, and the users of the Backend API.
//!
//! Sources: "Export your users from Clerk"; the columns of `samples/clerk.csv` in clerk/migration-tool; the formats of
//! `password_hasher` in the reference of `CreateUser` of the Backend API.

use serde_json::{Map, Value};

use crate::bits::{base64, hex};
use crate::converted::{Converted, LossKind};
use crate::field::{Convert, Field, UNKNOWN_HASH, field, password_lost, skip, text};
use crate::hash::{self, FIREBASE_SCRYPT, Hash, PHPASS};
use crate::source::{SOURCE, Source};
use crate::{phone, row};
use uie_core::message::message;

pub(crate) static CLERK: Source = Source {
    name: "clerk",
    title: "Clerk",
    signatures: &[
        &["primary_email_address", "verified_email_addresses", "unverified_email_addresses", "password_hasher"],
        &["primary_email_address", "verified_email_addresses", "totp_secret"],
        &["email_addresses", "primary_email_address_id", "public_metadata", "unsafe_metadata"],
        &["email_addresses", "primary_email_address_id", "password_enabled"],
    ],
    fields: FIELDS,
    member: Some("data"),
    finish: Some(finish),
    ..SOURCE
};

const FIELDS: &[Field] = &[
    text("id", "user_id"),
    text("first_name", "given_name"),
    text("last_name", "family_name"),
    text("image_url", "picture"),
    field("totp_secret", "mfa_factors", Convert::TotpSecret),
    field("banned", "blocked", Convert::Boolean),
    field("public_metadata", "app_metadata", Convert::Merge),
    field("private_metadata", "app_metadata", Convert::Merge),
    // Users can change it themselves.
    field("unsafe_metadata", "user_metadata", Convert::Merge),
    text("external_id", "app_metadata.external_id"),
    text("username", "user_metadata.username"),
    skip("primary_email_address"),
    skip("primary_phone_number"),
    skip("verified_email_addresses"),
    skip("unverified_email_addresses"),
    skip("verified_phone_numbers"),
    skip("unverified_phone_numbers"),
    skip("email_addresses"),
    skip("phone_numbers"),
    skip("primary_email_address_id"),
    skip("primary_phone_number_id"),
    skip("primary_web3_wallet_id"),
    skip("web3_wallets"),
    skip("external_accounts"),
    skip("saml_accounts"),
    skip("enterprise_accounts"),
    skip("passkeys"),
    skip("organization_memberships"),
    skip("password_digest"),
    skip("password_hasher"),
    skip("object"),
    skip("profile_image_url"),
    skip("has_image"),
    skip("locked"),
    skip("lockout_expires_in_seconds"),
    skip("verification_attempts_remaining"),
    skip("mfa_*"),
    skip("password_*"),
    skip("totp_*"),
    skip("backup_code_enabled"),
    skip("two_factor_enabled"),
    skip("delete_self_enabled"),
    skip("create_organization*"),
    skip("legal_accepted_at"),
    skip("last_sign_in_at"),
    skip("last_active_at"),
    skip("created_at"),
    skip("updated_at"),
];

/// Hashes that Clerk can check and Auth0 cannot.
static CLERK_HASHER: LossKind = LossKind {
    code: "CLERK_HASHER",
    message: |users| message!("Password hashes whose password_hasher Auth0 has no equivalent of; users: {users}."),
    hint: password_lost,
};

fn finish(user: &Map<String, Value>, converted: &mut Converted) {
    add_email(user, converted);
    add_phone(user, converted);
    if let Some(digest) = row::text(user, "password_digest") {
        let hasher = row::text(user, "password_hasher").unwrap_or_default();
        converted.set_password(password(&digest, &hasher));
    }
}

/// Returns the parts of a list in a cell.
fn list(user: &Map<String, Value>, name: &str) -> Vec<String> {
    let text = row::text(user, name).unwrap_or_default();
    let parts = text.split([',', ';', '|', ' ', '\n']).map(str::trim).filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}

/// Returns the primary one of a list of the API, and whether it is verified.
fn primary(user: &Map<String, Value>, items: &str, id: &str, value: &str) -> Option<(String, bool)> {
    let items = row::array(user, items)?;
    let id = row::text(user, id);
    let is_primary = |item: &&Value| id.is_some() && item.get("id").and_then(Value::as_str) == id.as_deref();
    let Value::Object(item) = items.iter().find(is_primary).or_else(|| items.first())? else { return None };
    let status = row::text(item, "verification.status");
    Some((row::text(item, value)?, status.is_some_and(|status| status == "verified")))
}

fn add_email(user: &Map<String, Value>, converted: &mut Converted) {
    let (verified, unverified) = (list(user, "verified_email_addresses"), list(user, "unverified_email_addresses"));
    let address = row::text(user, "primary_email_address");
    let address = address.or_else(|| verified.first().cloned()).or_else(|| unverified.first().cloned());
    let (address, is_verified) = match address {
        Some(address) => {
            let is_verified = verified.iter().any(|other| other.eq_ignore_ascii_case(&address));
            (address, is_verified)
        }
        None => match primary(user, "email_addresses", "primary_email_address_id", "email_address") {
            Some(primary) => primary,
            None => return,
        },
    };
    converted.set("email", address.into());
    converted.set("email_verified", is_verified.into());
}

fn add_phone(user: &Map<String, Value>, converted: &mut Converted) {
    let (verified, unverified) =
        (list_of_numbers(user, "verified_phone_numbers"), list_of_numbers(user, "unverified_phone_numbers"));
    let number = row::text(user, "primary_phone_number").and_then(|text| phone::e164(&text));
    let number = number.or_else(|| verified.first().cloned()).or_else(|| unverified.first().cloned());
    let (number, is_verified) = match number {
        Some(number) => {
            let is_verified = verified.contains(&number);
            (number, is_verified)
        }
        None => match primary(user, "phone_numbers", "primary_phone_number_id", "phone_number") {
            Some((number, is_verified)) => match phone::e164(&number) {
                Some(number) => (number, is_verified),
                None => return converted.lose(&crate::field::PHONE_FORMAT, "phone_number"),
            },
            None => return,
        },
    };
    converted.set("phone_number", number.into());
    converted.set("phone_verified", is_verified.into());
}

fn list_of_numbers(user: &Map<String, Value>, name: &str) -> Vec<String> {
    let text = row::text(user, name).unwrap_or_default();
    text.split([',', ';', '|', '\n']).filter_map(phone::e164).collect()
}

/// Returns the hash of a digest by the name of its hasher.
fn password(digest: &str, hasher: &str) -> Hash {
    let parts: Vec<&str> = digest.split('$').collect();
    let iterations = |text: &str| text.parse().unwrap_or(0);
    match (hasher, parts.as_slice()) {
        ("" | "bcrypt" | "argon2i" | "argon2id" | "argon2d" | "ldap_ssha", _) => hash::self_describing(digest),
        ("md5" | "sha256", [value]) => {
            hex(value).map_or(Err(&UNKNOWN_HASH), |bytes| hash::digest(hasher, &bytes, None))
        }
        ("pbkdf2_sha256", ["pbkdf2_sha256", count, salt, value]) => match (base64(salt), base64(value)) {
            (Some(salt), Some(value)) => hash::pbkdf2("sha256", iterations(count), &salt, &value),
            _ => Err(&UNKNOWN_HASH),
        },
        ("pbkdf2_sha256_django", ["pbkdf2_sha256", count, salt, value]) => {
            let bytes = base64(value).ok_or(&UNKNOWN_HASH)?;
            hash::pbkdf2("sha256", iterations(count), salt.as_bytes(), &bytes)
        }
        ("pbkdf2_sha1", ["pbkdf2_sha1", count, salt, value, ..]) => {
            let bytes = hex(value).ok_or(&UNKNOWN_HASH)?;
            hash::pbkdf2("sha1", iterations(count), salt.as_bytes(), &bytes)
        }
        ("pbkdf2_sha512", ["pbkdf2_sha512", count, salt, value]) => {
            let bytes = hex(value).ok_or(&UNKNOWN_HASH)?;
            hash::pbkdf2("sha512", iterations(count), salt.as_bytes(), &bytes)
        }
        ("scrypt_werkzeug", [method, salt, value]) => {
            let settings: Vec<u64> = method.split(':').skip(1).filter_map(|number| number.parse().ok()).collect();
            let ([cost, block_size, parallelization], Some(bytes)) = (settings.as_slice(), hex(value)) else {
                return Err(&UNKNOWN_HASH);
            };
            hash::scrypt(*cost, *block_size, *parallelization, salt.as_bytes(), &bytes)
        }
        ("phpass" | "md5_phpass", _) => Err(&PHPASS),
        ("scrypt_firebase", _) => Err(&FIREBASE_SCRYPT),
        _ => Err(&CLERK_HASHER),
    }
}
