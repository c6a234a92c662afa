//! The transform `ldap_hash`.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use transforms_sdk::prelude::*;
use transforms_sdk::serde_json::{Map, Value as Json, json};

/// Reads Base64 with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The schemes of RFC 2307 that Auth0 takes: name, bytes of the digest, whether a salt follows it.
const DIGESTS: &[(&str, usize, bool)] = &[
    ("MD5", 16, false),
    ("SMD5", 16, true),
    ("SHA", 20, false),
    ("SSHA", 20, true),
    ("SHA256", 32, false),
    ("SSHA256", 32, true),
    ("SHA384", 48, false),
    ("SSHA384", 48, true),
    ("SHA512", 64, false),
    ("SSHA512", 64, true),
];

/// Rounds, salt and hash of 389 Directory Server's `PBKDF2_SHA256` in one blob, in bytes.
const BLOB: (usize, usize, usize) = (4, 64, 256);

/// Schemes that directories use and Auth0 cannot verify, and why.
const REFUSED: &[(&str, &str)] = &[
    ("CRYPT", "Auth0 cannot verify hashes of crypt"),
    ("CLEARTEXT", "it is a plain password; only hashes can be imported"),
    ("CLEAR", "it is a plain password; only hashes can be imported"),
    ("SASL", "it is verified by another service and holds no hash"),
    ("KERBEROS", "it is verified by another service and holds no hash"),
    ("LANMAN", "Auth0 cannot verify it"),
    (
        "NTHASH",
        "Auth0 verifies it with the algorithm md4 and the password encoding utf16le, not as a hash of a directory",
    ),
];

/// Converts a password of a directory (`userPassword`) to Auth0's `custom_password_hash`.
///
/// It reads `{SSHA}`, `{SHA}`, `{SMD5}`, `{MD5}`, `{SSHA256}`, `{SSHA384}`, `{SSHA512}` and the same without salt,
/// `{PBKDF2}`, `{PBKDF2-SHA256}`, `{PBKDF2-SHA512}` and `{PBKDF2_SHA256}`, `{BCRYPT}`, `{ARGON2}`, and `{CRYPT}` with a
/// bcrypt hash. A value that is Base64 as a whole, as LDIF has it after `::`, is decoded first. Other hashes of
/// `{CRYPT}`, other schemes and plain passwords are refused, in words that do not contain the value. An empty text gives
/// nothing, and so does nothing.
#[transform(
    example(r#"ldap_hash("{SSHA}d3K2K9dPEN4K3aExS3VaYWmE25OLEv4B")"# => {
        "algorithm": "ldap", "hash": {"value": "{SSHA}d3K2K9dPEN4K3aExS3VaYWmE25OLEv4B", "encoding": "utf8"}
    }),
    example(r#"ldap_hash("{PBKDF2-SHA256}10000$AAECAwQFBgcICQoLDA0ODw$OImOyGKQvA8WMIN8WwuclUZFDykpCY/RxWOLBTOe8fg")"# => {
        "algorithm": "pbkdf2", "hash": {"value": "$pbkdf2-sha256$i=10000,l=32$AAECAwQFBgcICQoLDA0ODw$OImOyGKQvA8WMIN8WwuclUZFDykpCY/RxWOLBTOe8fg", "encoding": "utf8"}
    }),
)]
pub fn ldap_hash(
    /// The value of `userPassword`.
    text: Option<&str>,
) -> Result<Option<Map<String, Json>>, Fault> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    let text = decoded(text);
    let Some((scheme, value)) = text.strip_prefix('{').and_then(|rest| rest.split_once('}')) else {
        return Err(
            "`text` has no scheme such as {SSHA} in front, so it is probably a plain password; only hashes can be imported"
                .into(),
        );
    };
    let scheme = scheme.to_ascii_uppercase();
    if let Some((name, length, salted)) = DIGESTS.iter().find(|(name, ..)| *name == scheme) {
        return digest(name, *length, *salted, value).map(Some);
    }
    let custom = match scheme.as_str() {
        "PBKDF2" | "PBKDF2-SHA1" => pbkdf2("sha1", value)?,
        "PBKDF2-SHA256" => pbkdf2("sha256", value)?,
        "PBKDF2-SHA512" => pbkdf2("sha512", value)?,
        "PBKDF2_SHA256" => pbkdf2_blob(value)?,
        // The crypt of some systems has bcrypt, too.
        "BCRYPT" | "CRYPT" if is_bcrypt(value) => of_text("bcrypt", value),
        "ARGON2" if is_argon2(value) => of_text("argon2", value),
        "BCRYPT" => return Err("`text` is no {BCRYPT} hash; {BCRYPT}$2b$<cost>$<salt and hash> is expected".into()),
        "ARGON2" => {
            return Err(
                "`text` is no {ARGON2} hash; {ARGON2}$argon2id$v=19$m=…,t=…,p=…$<salt>$<hash> is expected".into()
            );
        }
        _ => {
            return Err(match REFUSED.iter().find(|(name, _)| *name == scheme) {
                Some((name, reason)) => fault!("`text` has the scheme {{{name}}}: {reason}"),
                // An unknown scheme may be a part of a password.
                None => "`text` has a scheme that Auth0 cannot verify; such as {SSHA} is expected".into(),
            });
        }
    };
    Ok(Some(custom))
}

/// The value, decoded if it is the Base64 of one with a scheme.
fn decoded(text: &str) -> Cow<'_, str> {
    if text.starts_with('{') {
        return text.into();
    }
    let inner = BASE64.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    match inner {
        Some(inner) if inner.starts_with('{') => inner.into(),
        _ => text.into(),
    }
}

/// The object of an algorithm whose hash is one text, salt included.
fn of_text(algorithm: &str, value: &str) -> Map<String, Json> {
    let members = [("algorithm", json!(algorithm)), ("hash", json!({"value": value, "encoding": "utf8"}))];
    members.into_iter().map(|(name, member)| (name.to_owned(), member)).collect()
}

/// A digest in Base64, with the salt behind it.
fn digest(scheme: &str, length: usize, salted: bool, value: &str) -> Result<Map<String, Json>, Fault> {
    let bytes = BASE64
        .decode(value)
        .map_err(|_| fault!("the hash behind {{{scheme}}} in `text` is not Base64; a part may be missing"))?;
    let fits = if salted { bytes.len() > length } else { bytes.len() == length };
    if !fits {
        let expected = if salted { format!("{length} and the salt") } else { length.to_string() };
        return Err(fault!(
            "the hash behind {{{scheme}}} in `text` has {} bytes; {expected} are expected",
            bytes.len()
        ));
    }
    Ok(of_text("ldap", &format!("{{{scheme}}}{}", STANDARD.encode(bytes))))
}

/// `<rounds>$<salt>$<hash>`, in Base64 without padding; some write `.` instead of `+`.
fn pbkdf2(digest: &str, value: &str) -> Result<Map<String, Json>, Fault> {
    let malformed = || Fault::from("`text` is no {PBKDF2} hash; {PBKDF2-SHA256}<rounds>$<salt>$<hash> is expected");
    let parts: Vec<&str> = value.split('$').collect();
    let [rounds, salt, hash] = parts.as_slice() else { return Err(malformed()) };
    let rounds = rounds.parse::<u32>().ok().filter(|rounds| *rounds > 0).ok_or_else(malformed)?;
    let decode =
        |text: &str| BASE64.decode(text.replace('.', "+")).ok().filter(|bytes| !bytes.is_empty()).ok_or_else(malformed);
    Ok(phc(digest, rounds, &decode(salt)?, &decode(hash)?))
}

/// 389 Directory Server's blob: rounds (most significant byte first), salt and hash.
fn pbkdf2_blob(value: &str) -> Result<Map<String, Json>, Fault> {
    let (_, salt_length, hash_length) = BLOB;
    let malformed = || Fault::from("`text` is no {PBKDF2_SHA256} hash: Base64 of 324 bytes is expected");
    let bytes = BASE64.decode(value).map_err(|_| malformed())?;
    let (rounds, rest) = bytes.split_first_chunk::<4>().ok_or_else(malformed)?;
    let rounds = u32::from_be_bytes(*rounds);
    match rest.split_at_checked(salt_length) {
        Some((salt, hash)) if hash.len() == hash_length && rounds > 0 => Ok(phc("sha256", rounds, salt, hash)),
        _ => Err(malformed()),
    }
}

fn phc(digest: &str, rounds: u32, salt: &[u8], hash: &[u8]) -> Map<String, Json> {
    let value = format!(
        "$pbkdf2-{digest}$i={rounds},l={length}${salt}${hash}",
        length = hash.len(),
        salt = STANDARD_NO_PAD.encode(salt),
        hash = STANDARD_NO_PAD.encode(hash),
    );
    of_text("pbkdf2", &value)
}

/// `$2b$<cost>$<salt and hash>`.
fn is_bcrypt(text: &str) -> bool {
    let Some(rest) = ["$2a$", "$2b$", "$2y$"].iter().find_map(|prefix| text.strip_prefix(prefix)) else {
        return false;
    };
    rest.split_once('$').is_some_and(|(cost, body)| {
        let is_cost = cost.len() == 2 && cost.bytes().all(|byte| byte.is_ascii_digit());
        let is_body = body.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/'));
        is_cost && is_body && body.len() == 53
    })
}

/// `$argon2{i,d,id}$[v=…$]m=…,t=…,p=…$<salt>$<hash>`.
fn is_argon2(text: &str) -> bool {
    let mut parts = text.split('$');
    let is_variant = parts.next() == Some("") && matches!(parts.next(), Some("argon2i" | "argon2d" | "argon2id"));
    let parts: Vec<&str> = parts.collect();
    let rest = match parts.as_slice() {
        [version, rest @ ..] if version.starts_with("v=") => rest,
        rest => rest,
    };
    let is_base64 = |part: &str| !part.is_empty() && STANDARD_NO_PAD.decode(part).is_ok();
    let are_costs = |costs: &str| {
        let mut costs = costs.split(',');
        let mut is_cost = |name: &str| {
            let value = costs.next().and_then(|cost| cost.strip_prefix(name));
            value.is_some_and(|value| value.parse::<u32>().is_ok_and(|value| value > 0))
        };
        is_cost("m=") && is_cost("t=") && is_cost("p=") && costs.next().is_none()
    };
    is_variant && matches!(rest, [costs, salt, hash] if are_costs(costs) && is_base64(salt) && is_base64(hash))
}

#[cfg(test)]
mod tests;
