//! Password hashes as Auth0 takes them (docs/auth0/import-schema.md#custom-password-hashes).

use serde_json::{Value, json};

use crate::bits::{b64, to_hex};
use crate::converted::LossKind;
pub(crate) use crate::losses::{CRYPT, DRUPAL_SHA512, FIREBASE_SCRYPT, PHPASS};
use crate::losses::{PLAIN_PASSWORD, UNKNOWN_HASH};

/// The hash of a password, or why Auth0 cannot take it.
pub(crate) type Hash = Result<Value, &'static LossKind>;

/// Where the salt is, relative to the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SaltPosition {
    Prefix,
    Suffix,
}

/// Returns the hash of a text that names its own algorithm: bcrypt, argon2, PBKDF2 as a PHC string, or LDAP's
/// `{SCHEME}`.
pub(crate) fn self_describing(text: &str) -> Hash {
    let text = text.trim();
    if is_bcrypt(text) {
        Ok(bcrypt(text))
    } else if ["$argon2i$", "$argon2d$", "$argon2id$"].iter().any(|prefix| text.starts_with(prefix)) {
        Ok(plain("argon2", text))
    } else if text.starts_with("$pbkdf2-") && text.contains("i=") {
        Ok(plain("pbkdf2", text))
    } else if text.starts_with('{') {
        ldap(text)
    } else if text.starts_with("$P$") || text.starts_with("$H$") {
        Err(&PHPASS)
    } else if text.starts_with("$fbscrypt$") {
        Err(&FIREBASE_SCRYPT)
    } else if text.starts_with("$S$") || text.starts_with("U$") {
        Err(&DRUPAL_SHA512)
    } else if ["$1$", "$5$", "$6$", "$7$", "$y$", "$gy$", "$apr1$", "$sha1$", "_"]
        .iter()
        .any(|name| text.starts_with(name))
    {
        Err(&CRYPT)
    } else {
        Err(&UNKNOWN_HASH)
    }
}

/// Returns whether a text is a complete bcrypt hash.
pub(crate) fn is_bcrypt(text: &str) -> bool {
    let rest = ["$2a$", "$2b$", "$2y$"].iter().find_map(|prefix| text.strip_prefix(prefix));
    rest.and_then(|rest| rest.split_once('$')).is_some_and(|(rounds, body)| {
        rounds.len() == 2
            && rounds.bytes().all(|byte| byte.is_ascii_digit())
            && body.len() == 53
            && body.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/'))
    })
}

/// Returns a bcrypt hash: as text for `password_hash`, which takes 10 rounds of `$2a$` and `$2b$`, otherwise as an object
/// for `custom_password_hash`.
pub(crate) fn bcrypt(text: &str) -> Value {
    if text.starts_with("$2a$10$") || text.starts_with("$2b$10$") { text.into() } else { plain("bcrypt", text) }
}

/// Returns a hash whose text says everything.
pub(crate) fn plain(algorithm: &str, text: &str) -> Value {
    json!({ "algorithm": algorithm, "hash": { "value": text, "encoding": "utf8" } })
}

/// Returns a hash of LDAP (`{SSHA}…`, RFC 2307); `{CRYPT}` with bcrypt is one of bcrypt.
pub(crate) fn ldap(text: &str) -> Hash {
    let Some((scheme, rest)) = text.strip_prefix('{').and_then(|rest| rest.split_once('}')) else {
        return Err(&UNKNOWN_HASH);
    };
    match scheme.to_ascii_lowercase().as_str() {
        "crypt" | "bcrypt" | "blf-crypt" if is_bcrypt(rest) => Ok(bcrypt(rest)),
        "crypt" => Err(&CRYPT),
        "argon2" if rest.starts_with("$argon2") => Ok(plain("argon2", rest)),
        "cleartext" | "clear" | "plain" => Err(&PLAIN_PASSWORD),
        "md5" | "smd5" | "sha" | "ssha" | "sha1" | "ssha1" | "sha224" | "ssha224" | "sha256" | "ssha256" | "sha384"
        | "ssha384" | "sha512" | "ssha512"
            if crate::bits::base64(rest).is_some() =>
        {
            Ok(plain("ldap", text))
        }
        _ => Err(&UNKNOWN_HASH),
    }
}

/// Returns a PBKDF2 hash. `digest` as Auth0 names it: `sha1`, `sha256`, `sha512`.
pub(crate) fn pbkdf2(digest: &str, iterations: u64, salt: &[u8], hash: &[u8]) -> Hash {
    if salt.is_empty() || hash.is_empty() || iterations == 0 {
        return Err(&UNKNOWN_HASH);
    }
    let (length, salt, hash) = (hash.len(), b64(salt), b64(hash));
    Ok(plain("pbkdf2", &format!("$pbkdf2-{digest}$i={iterations},l={length}${salt}${hash}")))
}

/// Parameters of argon2.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Argon2<'a> {
    /// `i`, `d` or `id`.
    pub(crate) variant: &'a str,
    pub(crate) version: u64,
    /// KiB.
    pub(crate) memory: u64,
    pub(crate) iterations: u64,
    pub(crate) parallelism: u64,
}

/// Returns an argon2 hash.
pub(crate) fn argon2(parameters: Argon2<'_>, salt: &[u8], hash: &[u8]) -> Hash {
    let Argon2 { variant, version, memory, iterations, parallelism } = parameters;
    if !matches!(variant, "i" | "d" | "id") || salt.is_empty() || hash.is_empty() {
        return Err(&UNKNOWN_HASH);
    }
    let (salt, hash) = (b64(salt), b64(hash));
    let text = format!("$argon2{variant}$v={version}$m={memory},t={iterations},p={parallelism}${salt}${hash}");
    Ok(plain("argon2", &text))
}

/// Returns a hash of one round of a digest (`md5`, `sha1`, `sha256`, `sha512`) of password and salt.
pub(crate) fn digest(algorithm: &str, hash: &[u8], salt: Option<(&[u8], SaltPosition)>) -> Hash {
    let expected = match algorithm {
        "md4" | "md5" => 16,
        "sha1" => 20,
        "sha256" => 32,
        "sha512" => 64,
        _ => return Err(&UNKNOWN_HASH),
    };
    if hash.len() != expected {
        return Err(&UNKNOWN_HASH);
    }
    let mut value = json!({ "algorithm": algorithm, "hash": { "value": to_hex(hash), "encoding": "hex" } });
    if let Some((salt, position)) = salt.filter(|(salt, _)| !salt.is_empty()) {
        value["salt"] = json!({
            "value": to_hex(salt),
            "encoding": "hex",
            "position": if position == SaltPosition::Prefix { "prefix" } else { "suffix" },
        });
    }
    Ok(value)
}

/// Returns a hash of scrypt as RFC 7914 defines it.
pub(crate) fn scrypt(cost: u64, block_size: u64, parallelization: u64, salt: &[u8], hash: &[u8]) -> Hash {
    if salt.is_empty() || hash.is_empty() || cost < 2 || !cost.is_power_of_two() {
        return Err(&UNKNOWN_HASH);
    }
    Ok(json!({
        "algorithm": "scrypt",
        "hash": { "value": to_hex(hash), "encoding": "hex" },
        "salt": { "value": to_hex(salt), "encoding": "hex" },
        "keylen": hash.len(),
        "cost": cost,
        "blockSize": block_size,
        "parallelization": parallelization,
    }))
}
