//! The transform `django_hash`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use transforms_sdk::prelude::*;
use transforms_sdk::serde_json::{Map, Value as Json, json};

/// Reads Base64 with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Characters of salt and hash in a bcrypt hash.
const BCRYPT_BODY: usize = 53;

/// Converts a password of Django (`auth_user.password`) to Auth0's `custom_password_hash`.
///
/// It reads `pbkdf2_sha256`, `pbkdf2_sha1`, `argon2`, `bcrypt`, `scrypt`, and the old `sha1`, `md5` and unsalted `md5`.
/// Django's salts are text: in a PHC string they are the Base64 of that text. A password that is marked as unusable
/// (`!…`) and an empty one give nothing, and so does nothing. `bcrypt_sha256` and `crypt` are refused, because Auth0
/// cannot verify them. Faults do not contain the hash.
#[transform(
    example(r#"django_hash("pbkdf2_sha256$36000$5LjfzfBwQAVI$KvyIC/h2/RDu+5KyELLhyBD9jZbyImxzipSrIJ4P9Ig=")"#
        => {"algorithm": "pbkdf2", "hash": {
            "value": "$pbkdf2-sha256$i=36000,l=32$NUxqZnpmQndRQVZJ$KvyIC/h2/RDu+5KyELLhyBD9jZbyImxzipSrIJ4P9Ig",
            "encoding": "utf8"
        }}),
    example(r#"django_hash("!mafzMhEywOfhrFMvFJ16")"# => null),
)]
pub fn django_hash(
    /// The text of the column `password`.
    text: Option<&str>,
) -> Result<Option<Map<String, Json>>, Fault> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty() && !text.starts_with('!')) else {
        return Ok(None);
    };
    let custom = match text.split_once('$') {
        Some(("pbkdf2_sha1", rest)) => pbkdf2("sha1", 20, rest)?,
        Some(("pbkdf2_sha256", rest)) => pbkdf2("sha256", 32, rest)?,
        Some(("pbkdf2_sha512", rest)) => pbkdf2("sha512", 64, rest)?,
        Some(("argon2", rest)) => argon2(rest)?,
        Some(("bcrypt", rest)) => bcrypt(rest)?,
        Some(("scrypt", rest)) => scrypt(rest)?,
        Some(("sha1", rest)) => digest("sha1", 40, rest)?,
        Some(("md5", rest)) => digest("md5", 32, rest)?,
        Some(("bcrypt_sha256", _)) => {
            return Err(
                "`text` is a bcrypt_sha256 hash; Auth0 cannot verify it, because Django hashes the password with SHA-256 \
                 before bcrypt"
                    .into(),
            );
        }
        Some(("crypt", _)) => {
            return Err("`text` is a hash of crypt, which Auth0 cannot verify".into());
        }
        None if is_hex(text, 32) => digest("md5", 32, &format!("${text}"))?,
        _ => {
            return Err(
                "`text` is no password of Django; such as pbkdf2_sha256$<rounds>$<salt>$<hash> is expected".into()
            );
        }
    };
    Ok(Some(custom))
}

/// An object of these members.
fn object(members: impl IntoIterator<Item = (&'static str, Json)>) -> Map<String, Json> {
    members.into_iter().map(|(name, member)| (name.to_owned(), member)).collect()
}

/// The object of an algorithm whose hash is one text, salt included.
fn of_text(algorithm: &str, value: &str) -> Map<String, Json> {
    object([("algorithm", json!(algorithm)), ("hash", json!({"value": value, "encoding": "utf8"}))])
}

/// The fault of a text that does not have the form of its algorithm.
fn malformed(algorithm: &str, form: &str) -> Fault {
    fault!("`text` is no {algorithm} hash of Django; {algorithm}${form} is expected")
}

/// Whether a text is a whole number of 1 or more, as Django writes it.
fn is_count(text: &str) -> bool {
    text.parse::<u32>().is_ok_and(|count| count > 0) && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `<rounds>$<salt>$<Base64 of the hash>`; the salt is text.
fn pbkdf2(digest: &str, length: usize, rest: &str) -> Result<Map<String, Json>, Fault> {
    let algorithm = format!("pbkdf2_{digest}");
    let malformed = || malformed(&algorithm, "<rounds>$<salt>$<hash>");
    let mut parts = rest.splitn(3, '$');
    let (Some(rounds), Some(salt), Some(hash)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(malformed());
    };
    if !is_count(rounds) || salt.is_empty() {
        return Err(malformed());
    }
    let hash = BASE64.decode(hash).map_err(|_| malformed())?;
    if hash.len() != length {
        return Err(fault!(
            "the hash in `text` has {} bytes; {algorithm} has {length}, so a part may be missing",
            hash.len()
        ));
    }
    let value = format!(
        "$pbkdf2-{digest}$i={rounds},l={length}${salt}${hash}",
        salt = STANDARD_NO_PAD.encode(salt),
        hash = STANDARD_NO_PAD.encode(hash),
    );
    Ok(of_text("pbkdf2", &value))
}

/// The PHC string of Argon2 without its first `$`.
fn argon2(rest: &str) -> Result<Map<String, Json>, Fault> {
    let malformed = || malformed("argon2", "argon2id$v=19$m=…,t=…,p=…$<salt>$<hash>");
    let (variant, settings) = rest.split_once('$').ok_or_else(malformed)?;
    let settings = settings.strip_prefix("v=").map_or(Some(settings), |version| {
        version.split_once('$').filter(|(version, _)| is_count(version)).map(|(_, settings)| settings)
    });
    let parts: Vec<&str> = settings.ok_or_else(malformed)?.split('$').collect();
    let [costs, salt, hash] = parts.as_slice() else { return Err(malformed()) };
    let mut names = ["m=", "t=", "p="].into_iter();
    let are_costs =
        costs.split(',').all(|cost| names.next().is_some_and(|name| cost.strip_prefix(name).is_some_and(is_count)))
            && names.next().is_none();
    let is_base64 = |part: &str| !part.is_empty() && STANDARD_NO_PAD.decode(part).is_ok();
    if !matches!(variant, "argon2i" | "argon2d" | "argon2id") || !are_costs || !is_base64(salt) || !is_base64(hash) {
        return Err(malformed());
    }
    Ok(of_text("argon2", &format!("${rest}")))
}

/// `$2b$<cost>$<salt and hash>`.
fn bcrypt(rest: &str) -> Result<Map<String, Json>, Fault> {
    let is_form = || {
        let rest = ["$2a$", "$2b$", "$2y$"].iter().find_map(|prefix| rest.strip_prefix(prefix))?;
        let (cost, body) = rest.split_once('$')?;
        let is_body = body.len() == BCRYPT_BODY
            && body.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/'));
        (is_count(cost) && cost.len() == 2 && is_body).then_some(())
    };
    match is_form() {
        Some(()) => Ok(of_text("bcrypt", rest)),
        None => Err(malformed("bcrypt", "$2b$<cost>$<salt and hash>")),
    }
}

/// `<cost>$<salt>$<block size>$<parallelism>$<Base64 of the hash>`; the salt is text.
fn scrypt(rest: &str) -> Result<Map<String, Json>, Fault> {
    let malformed = || malformed("scrypt", "<cost>$<salt>$<block size>$<parallelism>$<hash>");
    let parts: Vec<&str> = rest.split('$').collect();
    let [cost, salt, block_size, parallelism, hash] = parts.as_slice() else { return Err(malformed()) };
    let count = |text: &str| is_count(text).then(|| text.parse::<u32>().ok()).flatten().ok_or_else(malformed);
    let bytes = BASE64.decode(hash).map_err(|_| malformed())?;
    let cost = count(cost)?;
    if salt.is_empty() || bytes.is_empty() || !cost.is_power_of_two() || cost == 1 {
        return Err(malformed());
    }
    Ok(object([
        ("algorithm", json!("scrypt")),
        ("hash", json!({"value": hash, "encoding": "base64"})),
        ("salt", json!({"value": salt, "encoding": "utf8"})),
        ("keylen", json!(bytes.len())),
        ("cost", json!(cost)),
        ("blockSize", json!(count(block_size)?)),
        ("parallelization", json!(count(parallelism)?)),
    ]))
}

/// `<salt>$<hexadecimal hash>`: the digest of salt and password. The salt is text, and empty without one.
fn digest(algorithm: &'static str, length: usize, rest: &str) -> Result<Map<String, Json>, Fault> {
    let (salt, hash) = rest
        .rsplit_once('$')
        .filter(|(_, hash)| is_hex(hash, length))
        .ok_or_else(|| malformed(algorithm, "<salt>$<hexadecimal hash>"))?;
    let mut custom = object([("algorithm", json!(algorithm)), ("hash", json!({"value": hash, "encoding": "hex"}))]);
    if !salt.is_empty() {
        custom.insert("salt".into(), json!({"value": salt, "encoding": "utf8", "position": "prefix"}));
    }
    Ok(custom)
}

#[cfg(test)]
mod tests;
