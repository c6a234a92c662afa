//! Verifies passwords as Auth0 does, with implementations that the crate does not use.

use std::num::NonZeroU32;

use argon2::password_hash::{PasswordHash, PasswordVerifier};
use aws_lc_rs::{digest, pbkdf2};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde_json::{Map, Value};

/// Returns whether Auth0 would accept a password, by the documentation of `custom_password_hash`
/// (docs/auth0/import-schema.md#custom-password-hashes).
pub fn accepts(user: &Map<String, Value>, password: &[u8]) -> bool {
    if let Some(hash) = user.get("password_hash") {
        return bcrypt::verify(password, hash.as_str().expect("text")).expect("a bcrypt hash");
    }
    let custom = &user["custom_password_hash"];
    let text = custom["hash"]["value"].as_str().expect("text");
    let algorithm = custom["algorithm"].as_str().expect("text");
    match algorithm {
        "bcrypt" => bcrypt::verify(password, text).expect("a bcrypt hash"),
        "argon2" => {
            let hash = PasswordHash::new(text).expect("a PHC string");
            argon2::Argon2::default().verify_password(password, &hash).is_ok()
        }
        "pbkdf2" => accepts_pbkdf2(text, password),
        "ldap" => accepts_ldap(text, password),
        digest => accepts_digest(custom, digest, text, password),
    }
}

/// Verifies `$pbkdf2-<digest>$i=…,l=…$salt$hash`. Base64 is decoded strictly: without padding, and without bits beyond
/// the last byte.
fn accepts_pbkdf2(text: &str, password: &[u8]) -> bool {
    let parts: Vec<&str> = text.split('$').collect();
    let ["", name, settings, salt, hash] = parts.as_slice() else { panic!("{text} has other parts") };
    let algorithm = match *name {
        "pbkdf2-sha1" => pbkdf2::PBKDF2_HMAC_SHA1,
        "pbkdf2-sha256" => pbkdf2::PBKDF2_HMAC_SHA256,
        "pbkdf2-sha512" => pbkdf2::PBKDF2_HMAC_SHA512,
        other => panic!("{other} is no algorithm"),
    };
    let (iterations, length) = settings.split_once(',').expect("two settings");
    let iterations: NonZeroU32 = iterations.strip_prefix("i=").expect("iterations").parse().expect("a number");
    let length: usize = length.strip_prefix("l=").expect("a length").parse().expect("a number");
    let salt = STANDARD_NO_PAD.decode(salt).expect("strict Base64");
    let hash = STANDARD_NO_PAD.decode(hash).expect("strict Base64");
    assert_eq!(hash.len(), length);
    pbkdf2::verify(algorithm, iterations, &salt, password, &hash).is_ok()
}

fn accepts_digest(custom: &Value, name: &str, text: &str, password: &[u8]) -> bool {
    let algorithm = match name {
        "sha1" => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        "sha256" => &digest::SHA256,
        "sha512" => &digest::SHA512,
        other => panic!("{other} is no digest"),
    };
    assert_eq!(custom["hash"]["encoding"], "hex");
    let mut content = password.to_vec();
    if let Some(salt) = custom.get("salt") {
        assert_eq!(salt["encoding"], "hex");
        let salt = unhex(salt["value"].as_str().expect("text"));
        let at = if salt.is_empty() || custom["salt"]["position"] == "prefix" { 0 } else { content.len() };
        content.splice(at..at, salt);
    }
    digest::digest(algorithm, &content).as_ref() == unhex(text)
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}

/// Verifies `{SSHA512}…` and the like: Base64 of the digest of password and salt, and the salt.
fn accepts_ldap(text: &str, password: &[u8]) -> bool {
    let (scheme, value) = text.strip_prefix('{').and_then(|rest| rest.split_once('}')).expect("a scheme");
    let algorithm = match scheme {
        "SHA" | "SSHA" => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        "SHA256" | "SSHA256" => &digest::SHA256,
        "SHA512" | "SSHA512" => &digest::SHA512,
        other => panic!("{other} is no scheme"),
    };
    let value = STANDARD.decode(value).expect("Base64");
    let (hash, salt) = value.split_at(algorithm.output_len());
    digest::digest(algorithm, &[password, salt].concat()).as_ref() == hash
}

/// Returns a hash of PBKDF2.
pub fn derive(algorithm: pbkdf2::Algorithm, rounds: u32, salt: &[u8], password: &[u8], length: usize) -> Vec<u8> {
    let mut hash = vec![0; length];
    pbkdf2::derive(algorithm, NonZeroU32::new(rounds).expect("rounds"), salt, password, &mut hash);
    hash
}
