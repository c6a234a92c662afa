//! Warnings about hashes of passwords that Auth0 accepts although they can match no password: lengths, digests, salts
//! and parameters (docs/auth0/import-schema.md#custom-password-hashes).

use serde_json::{Map, Value};

use super::bcrypt::{ROUNDS, bcrypt_rounds};
use super::hash_encoding::{PhcParts, decode_base64, decode_hex, phc_parts, phc_settings};
use super::schema::Finding;
use uie_core::message::{Message, message};
use uie_core::similar::nearest_name;

/// Path of the hash in messages.
const HASH: &str = "custom_password_hash.hash.value";

/// The digests that Auth0 documents for PBKDF2.
const PBKDF2_DIGESTS: &[&str] = &[
    "RSA-MD4",
    "RSA-MD5",
    "RSA-MDC2",
    "RSA-RIPEMD160",
    "RSA-SHA1",
    "RSA-SHA1-2",
    "RSA-SHA224",
    "RSA-SHA256",
    "RSA-SHA384",
    "RSA-SHA512",
    "md4",
    "md4WithRSAEncryption",
    "md5",
    "md5WithRSAEncryption",
    "mdc2",
    "mdc2WithRSA",
    "ripemd",
    "ripemd160",
    "ripemd160WithRSA",
    "rmd160",
    "sha1",
    "sha1WithRSAEncryption",
    "sha224",
    "sha224WithRSAEncryption",
    "sha256",
    "sha256WithRSAEncryption",
    "sha384",
    "sha384WithRSAEncryption",
    "sha512",
    "sha512WithRSAEncryption",
    "ssl3-md5",
    "ssl3-sha1",
    "whirlpool",
];

/// Output lengths of digests, in bytes.
const DIGEST_LENGTHS: &[(&str, usize)] = &[
    ("md4", 16),
    ("md5", 16),
    ("ripemd160", 20),
    ("sha1", 20),
    ("sha224", 28),
    ("sha256", 32),
    ("sha384", 48),
    ("sha512", 64),
    ("whirlpool", 64),
];

/// Length of a PBKDF2 hash without the setting `l`, in bytes.
const DEFAULT_PBKDF2_LENGTH: u64 = 64;

/// bcrypt reads this many bytes of salt and password together.
const BCRYPT_INPUT: usize = 72;

/// Minimum lengths of salt and hash of Argon2, in bytes (RFC 9106, section 3.1).
const MIN_ARGON2_SALT: usize = 8;
const MIN_ARGON2_HASH: usize = 4;

/// Warns about a hash with which no user can sign in. Only for hashes without errors, and only warnings, because Auth0
/// accepts them.
pub(super) fn check_hash_value(custom: &Map<String, Value>, warnings: &mut Vec<Finding>) {
    let Some(Value::Object(hash)) = custom.get("hash") else { return };
    let Some(value) = hash.get("value").and_then(Value::as_str) else { return };
    let text = |name: &str| hash.get(name).and_then(Value::as_str);
    match custom.get("algorithm").and_then(Value::as_str) {
        Some("argon2") => check_argon2(value, warnings),
        Some("bcrypt") => check_bcrypt(value, custom, warnings),
        Some("ldap") => check_ldap(value, warnings),
        Some("pbkdf2") => check_pbkdf2(value, warnings),
        Some("scrypt") => {
            check_scrypt(custom, warnings);
            let length = custom.get("keylen").and_then(Value::as_u64).and_then(|length| length.try_into().ok());
            check_length(value, text("encoding"), length, warnings);
        }
        Some("hmac") => check_length(value, text("encoding"), digest_length(text("digest")), warnings),
        digest => check_length(value, text("encoding"), digest_length(digest), warnings),
    }
}

fn digest_length(name: Option<&str>) -> Option<usize> {
    DIGEST_LENGTHS.iter().find(|(known, _)| Some(*known) == name).map(|(_, length)| *length)
}

fn wrong_length(length: usize, expected: usize) -> Message {
    message!("{path} has {length} bytes instead of {expected}, so the user cannot sign in with it.", path = HASH)
}

/// Warns if the decoded length of a hash differs from the output length of its algorithm.
fn check_length(value: &str, encoding: Option<&str>, expected: Option<usize>, warnings: &mut Vec<Finding>) {
    let decode = if encoding == Some("hex") { decode_hex } else { decode_base64 };
    let (Some(expected), Some(bytes)) = (expected, decode(value)) else { return };
    let length = bytes.len();
    if length == expected {
        return;
    }
    let is_hex_text =
        std::str::from_utf8(&bytes).ok().and_then(decode_hex).is_some_and(|inner| inner.len() == expected);
    let others: Vec<&str> =
        DIGEST_LENGTHS.iter().filter(|(_, other)| *other == length).map(|(name, _)| *name).collect();
    let hint = if encoding != Some("hex") && decode_hex(value).is_some_and(|bytes| bytes.len() == expected) {
        message!("It is hexadecimal, declared as Base64: set hash.encoding to hex.")
    } else if is_hex_text && encoding == Some("hex") {
        message!("It is the hexadecimal form of a hexadecimal text: decode it once.")
    } else if is_hex_text {
        message!("It is the Base64 of a hexadecimal text: decode the Base64, and set hash.encoding to hex.")
    } else if others.is_empty() {
        message!("Check the algorithm, the encoding, and whether the value is complete.")
    } else {
        message!("This is the length of {algorithms}: check the algorithm.", algorithms = others.join(", "))
    };
    warnings.push(Finding::new(HASH, "HASH_LENGTH", wrong_length(length, expected)).with_hint(hint));
}

fn check_bcrypt(value: &str, custom: &Map<String, Value>, warnings: &mut Vec<Finding>) {
    if let Some(rounds) = bcrypt_rounds(value)
        && !ROUNDS.contains(&rounds)
    {
        warnings.push(
            Finding::new(
                HASH,
                "HASH_PARAMETERS",
                message!("{path} has {rounds} rounds, so the user cannot sign in with it.", path = HASH),
            )
            .with_hint(message!(
                "bcrypt has {min} to {max} rounds.",
                min = ROUNDS.start(),
                max = ROUNDS.end()
            )),
        );
    }
    if let Some(Value::Object(salt)) = custom.get("salt")
        && let Some(length) = decoded_length(salt)
        && length >= BCRYPT_INPUT
    {
        let path = "custom_password_hash.salt.value";
        let (hint, message) = if salt.get("position").and_then(Value::as_str) == Some("suffix") {
            (message!("Check the value of the salt."), message!("{path} has {length} bytes."))
        } else {
            (
                message!("bcrypt reads {limit} bytes of salt and password together.", limit = BCRYPT_INPUT),
                message!("{path} has {length} bytes, so any password would match."),
            )
        };
        warnings.push(Finding::new(path, "HASH_SALT", message).with_hint(hint));
    }
}

/// Returns the number of bytes of a salt or key.
fn decoded_length(holder: &Map<String, Value>) -> Option<usize> {
    let value = holder.get("value")?.as_str()?;
    match holder.get("encoding").and_then(Value::as_str) {
        Some("hex") => decode_hex(value).map(|bytes| bytes.len()),
        Some("base64") => decode_base64(value).map(|bytes| bytes.len()),
        _ => Some(value.len()),
    }
}

/// Warns about parameters that scrypt cannot have (RFC 7914, section 2).
fn check_scrypt(custom: &Map<String, Value>, warnings: &mut Vec<Finding>) {
    let number = |name: &str, default: u64| custom.get(name).map_or(Some(default), Value::as_u64);
    let (Some(cost), Some(block), Some(parallel)) =
        (number("cost", 16384), number("blockSize", 8), number("parallelization", 1))
    else {
        return;
    };
    let cost_is_too_high = block < 4 && cost >= 1 << (16 * block).min(63);
    if cost_is_too_high || block.saturating_mul(parallel) >= 1 << 30 {
        let path = if cost_is_too_high { "custom_password_hash.cost" } else { "custom_password_hash.parallelization" };
        warnings.push(
            Finding::new(
                path,
                "HASH_PARAMETERS",
                message!("{path} is too high for this block size, so the user cannot sign in with the hash."),
            )
            .with_hint(message!("Use the parameters with which the hash was made.")),
        );
    }
}

fn check_pbkdf2(value: &str, warnings: &mut Vec<Finding>) {
    let Some(phc) = phc_parts(value) else { return };
    let Some(settings) = phc_settings(phc.settings) else { return };
    let digest = phc.name.strip_prefix("pbkdf2-").unwrap_or(phc.name);
    if !PBKDF2_DIGESTS.iter().any(|known| known.eq_ignore_ascii_case(digest)) {
        warnings.push(
            Finding::new(
                HASH,
                "HASH_DIGEST",
                message!(
                    "{path} names the digest {digest}, which Auth0 does not know, so the user cannot sign in with it.",
                    path = HASH
                ),
            )
            .with_hint(nearest_digest(digest)),
        );
    }
    let setting = |name: &str| settings.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
    if setting("i").is_some_and(|rounds| !is_between(rounds, 1, u64::from(u32::MAX))) {
        warnings.push(out_of_range("i", message!("PBKDF2 has at least 1 iteration.")));
    }
    let Some(length) = check_phc_texts(&phc, warnings) else { return };
    match setting("l") {
        Some(declared) if declared.parse() != Ok(length as u64) => warnings.push(
            Finding::new(
                HASH,
                "HASH_LENGTH",
                message!(
                    "{path} has {length} bytes, but l says {declared}, so the user cannot sign in with it.",
                    path = HASH
                ),
            )
            .with_hint(message!("Write l={length} if the hash is complete.")),
        ),
        None if length as u64 != DEFAULT_PBKDF2_LENGTH => warnings.push(
            Finding::new(HASH, "HASH_LENGTH", wrong_length(length, DEFAULT_PBKDF2_LENGTH as usize))
                .with_hint(message!("Auth0 takes l=64 when it is left out: write l={length}.")),
        ),
        _ => {}
    }
}

fn nearest_digest(digest: &str) -> Message {
    let digest = digest.to_ascii_lowercase().replace(['-', '_', '/'], "");
    match nearest_name(&digest, PBKDF2_DIGESTS.iter().copied()) {
        Some(nearest) => message!("Did you mean {nearest}?"),
        None => message!("For example sha1, sha256 and sha512 are known."),
    }
}

fn check_argon2(value: &str, warnings: &mut Vec<Finding>) {
    let Some(phc) = phc_parts(value) else { return };
    let Some(settings) = phc_settings(phc.settings) else { return };
    let setting = |name: &str| settings.iter().find(|(known, _)| *known == name).map_or("", |(_, number)| *number);
    if phc.version.is_some_and(|version| !matches!(version, "16" | "19")) {
        warnings.push(out_of_range("v", message!("Argon2 has the versions 16 and 19.")));
    }
    let lanes = setting("p").parse::<u64>().unwrap_or(u64::MAX);
    if !is_between(setting("p"), 1, (1 << 24) - 1) {
        warnings.push(out_of_range("p", message!("Argon2 has 1 to 16777215 lanes.")));
    } else if !is_between(setting("m"), 8 * lanes, u64::from(u32::MAX)) {
        warnings.push(out_of_range("m", message!("Argon2 needs at least 8 KiB of memory for each lane (p).")));
    }
    if !is_between(setting("t"), 1, u64::from(u32::MAX)) {
        warnings.push(out_of_range("t", message!("Argon2 has at least 1 pass.")));
    }
    let Some(length) = check_phc_texts(&phc, warnings) else { return };
    if length < MIN_ARGON2_HASH {
        warnings.push(
            Finding::new(
                HASH,
                "HASH_LENGTH",
                message!("{path} has {length} bytes, so the user cannot sign in with it.", path = HASH),
            )
            .with_hint(message!("Argon2 produces at least {min} bytes.", min = MIN_ARGON2_HASH)),
        );
    }
    if let Some(salt) = decode_b64(phc.salt)
        && salt < MIN_ARGON2_SALT
    {
        warnings.push(
            Finding::new(
                HASH,
                "HASH_SALT",
                message!(
                    "The salt in {path} has {length} bytes, so the user cannot sign in with it.",
                    path = HASH,
                    length = salt
                ),
            )
            .with_hint(message!("Argon2 needs a salt of at least {min} bytes.", min = MIN_ARGON2_SALT)),
        );
    }
}

fn is_between(number: &str, min: u64, max: u64) -> bool {
    number.parse::<u64>().is_ok_and(|number| (min..=max).contains(&number))
}

fn out_of_range(setting: &str, hint: Message) -> Finding {
    Finding::new(
        HASH,
        "HASH_PARAMETERS",
        message!("The setting {setting} in {path} is out of range, so the user cannot sign in with it.", path = HASH),
    )
    .with_hint(hint)
}

/// Returns the number of bytes of Base64 without padding, as a PHC string has it; `None` for other text.
fn decode_b64(text: &str) -> Option<usize> {
    if text.contains(['.', '-', '_', '=']) { None } else { decode_base64(text).map(|bytes| bytes.len()) }
}

/// Warns about salt and hash of a PHC string that are not Base64; returns the number of bytes of the hash.
fn check_phc_texts(phc: &PhcParts<'_>, warnings: &mut Vec<Finding>) -> Option<usize> {
    for (text, is_salt) in [(phc.salt, true), (phc.hash, false)] {
        let message = match (decode_b64(text), is_salt) {
            (Some(_), _) => continue,
            (None, true) => {
                message!("The salt in {path} is not Base64, so the user cannot sign in with it.", path = HASH)
            }
            (None, false) => {
                message!("The hash in {path} is not Base64, so the user cannot sign in with it.", path = HASH)
            }
        };
        let hint = if text.contains('.') {
            message!("Base64 has no dots; passlib writes . for +.")
        } else {
            message!(
                "It has {length} characters, which Base64 never has; perhaps it is not encoded, or cut off.",
                length = text.len()
            )
        };
        warnings.push(Finding::new(HASH, if is_salt { "HASH_SALT" } else { "HASH_LENGTH" }, message).with_hint(hint));
    }
    decode_b64(phc.hash)
}

fn check_ldap(value: &str, warnings: &mut Vec<Finding>) {
    let Some((scheme, encoded)) = value.strip_prefix('{').and_then(|rest| rest.split_once('}')) else { return };
    let lower = scheme.to_ascii_lowercase();
    let salted = lower.starts_with("ss") || lower == "smd5";
    let digest = match (salted, lower.as_str()) {
        (true, _) => lower.get(1..).unwrap_or_default(),
        (false, digest) => digest,
    };
    let expected = digest_length(Some(if digest == "sha" { "sha1" } else { digest }));
    let Some(expected) = expected.filter(|_| digest != "md4") else {
        warnings.push(
            Finding::new(
                HASH,
                "HASH_DIGEST",
                message!(
                    "{path} has the scheme {scheme}, which is not known, so the user cannot sign in with it.",
                    path = HASH
                ),
            )
            .with_hint(message!("Known are MD5, SMD5, SHA, SSHA, SHA256, SSHA256, SHA384, SSHA384, SHA512, SSHA512.")),
        );
        return;
    };
    let Some(bytes) = decode_base64(encoded) else { return };
    let length = bytes.len();
    let fits = if salted { length > expected } else { length == expected };
    if fits && !(salted && decode_hex(encoded).is_some_and(|bytes| bytes.len() == expected)) {
        return;
    }
    let message = match (salted, length == expected) {
        (true, true) => message!("{path} has no salt, so the user cannot sign in with it.", path = HASH),
        _ => wrong_length(length, expected),
    };
    let hint = if decode_hex(encoded).is_some_and(|bytes| bytes.len() == expected) {
        message!("It is hexadecimal; write the same bytes in Base64.")
    } else if salted {
        message!("In {scheme} the salt follows the {expected} bytes of the digest.")
    } else if length > expected {
        message!("A digest that is followed by a salt has the scheme S{scheme}.")
    } else {
        message!("Check the scheme, and whether the value is complete.")
    };
    warnings.push(Finding::new(HASH, "HASH_LENGTH", message).with_hint(hint));
}
