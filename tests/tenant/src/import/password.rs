//! Password hashes in an import file (docs/auth0/import-schema.md#custom-password-hashes).

use serde_json::Value;

use super::Fault;
use super::check::{object, pattern, text, wrong_type};

const PLAIN: &[&str] = &["md4", "md5", "sha1", "sha256", "sha512"];
const HMAC_DIGESTS: &[&str] = &["md4", "md5", "ripemd160", "sha1", "sha224", "sha256", "sha384", "sha512", "whirlpool"];
const ENCODINGS: &[&str] = &["base64", "hex", "utf8"];
const PASSWORD_ENCODINGS: &[&str] = &["ascii", "utf8", "utf16le", "ucs2", "latin1", "binary"];

/// `password_hash`: bcrypt with ten rounds.
pub(super) fn simple(value: &Value, faults: &mut Vec<Fault>) {
    if let Some(hash) = text(value, "password_hash", None, faults)
        && !is_bcrypt(hash, &["$2a$10$", "$2b$10$"])
    {
        faults.push(pattern("^\\$2[ab]\\$10\\$[./A-Za-z0-9]{53}$", "password_hash"));
    }
}

fn is_bcrypt(hash: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| {
        hash.strip_prefix(prefix).is_some_and(|rest| {
            rest.len() == 53 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"./".contains(&byte))
        })
    })
}

/// `custom_password_hash`.
pub(super) fn custom(value: &Value, faults: &mut Vec<Fault>) {
    const PATH: &str = "custom_password_hash";
    let members = ["algorithm", "hash", "salt", "password", "keylen", "cost", "blockSize", "parallelization"];
    let Some(custom) = object(value, PATH, &members, faults) else { return };
    for required in ["algorithm", "hash"] {
        if !custom.contains_key(required) {
            faults.push(missing(PATH, required));
        }
    }
    let algorithm = custom.get("algorithm").and_then(Value::as_str).unwrap_or_default();
    let others = ["argon2", "bcrypt", "hmac", "ldap", "pbkdf2", "scrypt"];
    if let Some(given) = custom.get("algorithm")
        && !others.contains(&algorithm)
        && !PLAIN.contains(&algorithm)
    {
        faults.push(no_match("custom_password_hash.algorithm", given));
        return;
    }
    hash(custom.get("hash"), algorithm, faults);
    if let Some(salt) = custom.get("salt") {
        if matches!(algorithm, "argon2" | "ldap" | "pbkdf2") {
            faults.push(Fault::at(
                "NOT_PASSED",
                "custom_password_hash.salt",
                format!("Error in custom_password_hash property - salt is not allowed with {algorithm}"),
            ));
        }
        if let Some(salt) = object(salt, "custom_password_hash.salt", &["value", "encoding", "position"], faults) {
            value_member(salt.get("value"), "custom_password_hash.salt", faults);
            one_of(salt.get("encoding"), "custom_password_hash.salt.encoding", ENCODINGS, faults);
            one_of(salt.get("position"), "custom_password_hash.salt.position", &["prefix", "suffix"], faults);
        }
    }
    if let Some(password) = custom.get("password")
        && let Some(password) = object(password, "custom_password_hash.password", &["encoding"], faults)
    {
        one_of(password.get("encoding"), "custom_password_hash.password.encoding", PASSWORD_ENCODINGS, faults);
    }
    scrypt(custom, algorithm, faults);
}

fn hash(value: Option<&Value>, algorithm: &str, faults: &mut Vec<Fault>) {
    const PATH: &str = "custom_password_hash.hash";
    let Some(value) = value else { return };
    let Some(hash) = object(value, PATH, &["value", "encoding", "digest", "key"], faults) else { return };
    let text = value_member(hash.get("value"), PATH, faults);
    let encoding = hash.get("encoding");
    let path = "custom_password_hash.hash.encoding";
    match algorithm {
        "argon2" | "bcrypt" => one_of(encoding, path, &["utf8"], faults),
        "ldap" | "pbkdf2" => {
            if encoding.is_none() {
                faults.push(missing(PATH, "encoding"));
            }
            one_of(encoding, path, &["utf8"], faults);
        }
        _ => {
            if encoding.is_none() {
                faults.push(missing(PATH, "encoding"));
            }
            one_of(encoding, path, &["base64", "hex"], faults);
        }
    }
    if algorithm == "hmac" {
        match hash.get("digest") {
            None => faults.push(missing(PATH, "digest")),
            digest => one_of(digest, "custom_password_hash.hash.digest", HMAC_DIGESTS, faults),
        }
        match hash.get("key") {
            None => faults.push(missing(PATH, "key")),
            Some(key) => {
                let path = "custom_password_hash.hash.key";
                if let Some(key) = object(key, path, &["value", "encoding"], faults) {
                    value_member(key.get("value"), path, faults);
                    one_of(key.get("encoding"), "custom_password_hash.hash.key.encoding", ENCODINGS, faults);
                }
            }
        }
    }
    let Some(text) = text else { return };
    let encoded = match encoding.and_then(Value::as_str) {
        Some("hex") => text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit()),
        Some("base64") => text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/-_=".contains(&byte)),
        _ => true,
    };
    let shaped = match algorithm {
        "argon2" => text.starts_with("$argon2"),
        "bcrypt" => ["$2a$", "$2b$", "$2y$"].iter().any(|prefix| text.starts_with(prefix)) && text.len() == 60,
        "ldap" => ldap(text),
        "pbkdf2" => text.starts_with("$pbkdf2-") && text.matches('$').count() == 4,
        _ => true,
    };
    if !encoded || !shaped {
        let message = format!("Error in {PATH} property - The value is not a valid {algorithm} hash in its encoding");
        faults.push(Fault::at("FORMAT", "custom_password_hash.hash.value", message));
    }
}

/// Returns whether a text is an RFC 2307 hash, without `crypt`.
fn ldap(text: &str) -> bool {
    text.strip_prefix('{').and_then(|rest| rest.split_once('}')).is_some_and(|(scheme, _)| {
        let scheme = scheme.to_ascii_lowercase();
        matches!(scheme.as_str(), "md5" | "smd5") || scheme.starts_with("sha") || scheme.starts_with("ssha")
    })
}

fn scrypt(custom: &serde_json::Map<String, Value>, algorithm: &str, faults: &mut Vec<Fault>) {
    let numbers = ["keylen", "cost", "blockSize", "parallelization"];
    if algorithm == "scrypt" && !custom.contains_key("keylen") {
        faults.push(missing("custom_password_hash", "keylen"));
    }
    for name in numbers {
        let Some(value) = custom.get(name) else { continue };
        let path = format!("custom_password_hash.{name}");
        if algorithm != "scrypt" {
            faults.push(Fault::at(
                "NOT_PASSED",
                path,
                format!("Error in custom_password_hash property - {name} is for scrypt only"),
            ));
            continue;
        }
        let Some(number) = value.as_u64() else {
            faults.push(wrong_type("integer", &path, value));
            continue;
        };
        if number == 0 || (name == "cost" && (number < 2 || !number.is_power_of_two())) {
            faults.push(Fault::at(
                "MINIMUM",
                path.as_str(),
                format!("Error in {path} property - {number} is not allowed"),
            ));
        }
    }
}

fn value_member<'a>(value: Option<&'a Value>, path: &str, faults: &mut Vec<Fault>) -> Option<&'a str> {
    match value {
        None => {
            faults.push(missing(path, "value"));
            None
        }
        Some(value) => text(value, &format!("{path}.value"), None, faults),
    }
}

fn missing(path: &str, name: &str) -> Fault {
    Fault::at("OBJECT_REQUIRED", path, format!("Error in {path} property - Missing required property: {name}"))
}

fn no_match(path: &str, value: &Value) -> Fault {
    let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Fault::at("ENUM_MISMATCH", path, format!("Error in {path} property - No enum match for: {shown}"))
}

fn one_of(value: Option<&Value>, path: &str, allowed: &[&str], faults: &mut Vec<Fault>) {
    if let Some(value) = value
        && value.as_str().is_none_or(|text| !allowed.contains(&text))
    {
        faults.push(no_match(path, value));
    }
}
