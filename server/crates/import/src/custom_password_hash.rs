//! Rules for `custom_password_hash` that the schema cannot express
//! (docs/auth0/import-schema.md#custom-password-hashes).

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};

use super::schema::{Finding, is_bcrypt_body};
use uie_core::message::{Message, message};

/// Requirements of a hash algorithm (docs/auth0/import-schema.md#custom-password-hashes). The schema checks the types
/// of members.
struct Algorithm {
    name: &'static str,
    /// Allowed encodings of the hash. If `utf8` is the only one, the encoding may be omitted.
    encodings: &'static [&'static str],
    /// Whether a separate salt is allowed.
    salt: bool,
    /// The required form of a hash in `utf8`; `None` if any is allowed.
    form: Option<HashForm>,
}

/// A predicate, and the message about a value at a path that does not satisfy it.
type HashForm = (fn(&str) -> bool, fn(&str) -> Message);

const BINARY: &[&str] = &["hex", "base64"];
const TEXT: &[&str] = &["utf8"];

const ALGORITHMS: &[Algorithm] = &[
    Algorithm {
        name: "argon2",
        encodings: TEXT,
        salt: false,
        form: Some((is_argon2, |path| {
            message!("{path} is not a PHC string such as $argon2id$v=19$m=65536,t=2,p=1$<salt>$<hash>.")
        })),
    },
    Algorithm {
        name: "bcrypt",
        encodings: TEXT,
        salt: true,
        form: Some((is_bcrypt, |path| message!("{path} is not a bcrypt hash such as $2b$12$<salt and hash>."))),
    },
    Algorithm { name: "hmac", encodings: BINARY, salt: true, form: None },
    Algorithm {
        name: "ldap",
        encodings: TEXT,
        salt: false,
        form: Some((is_ldap, |path| {
            message!("{path} is not an RFC 2307 hash such as {{SSHA}}<Base64>, of scheme md5, smd5, sha* or ssha*.")
        })),
    },
    Algorithm { name: "md4", encodings: BINARY, salt: true, form: None },
    Algorithm { name: "md5", encodings: BINARY, salt: true, form: None },
    Algorithm { name: "sha1", encodings: BINARY, salt: true, form: None },
    Algorithm { name: "sha256", encodings: BINARY, salt: true, form: None },
    Algorithm { name: "sha512", encodings: BINARY, salt: true, form: None },
    Algorithm {
        name: "pbkdf2",
        encodings: TEXT,
        salt: false,
        form: Some((is_pbkdf2, |path| {
            message!("{path} is not a PHC string such as $pbkdf2-sha512$i=100000,l=64$<salt>$<hash>.")
        })),
    },
    Algorithm { name: "scrypt", encodings: BINARY, salt: true, form: None },
];

/// Reports members of `custom_password_hash` that do not fit its algorithm.
pub(super) fn check_custom_hash(custom: &Map<String, Value>, findings: &mut Vec<Finding>) {
    let Some(name) = custom.get("algorithm").and_then(Value::as_str) else { return };
    let Some(algorithm) = ALGORITHMS.iter().find(|algorithm| algorithm.name == name) else { return };
    if let Some(Value::Object(hash)) = custom.get("hash") {
        check_hash(algorithm, hash, findings);
    }
    if let Some(Value::Object(salt)) = custom.get("salt") {
        if algorithm.salt {
            check_encoded(salt, "custom_password_hash.salt", findings);
        } else {
            findings.push(
                Finding::new(
                    "custom_password_hash.salt",
                    "NOT_PASSED",
                    message!("A salt is not allowed with the algorithm {name}."),
                )
                .with_hint(message!("Its hash.value holds the salt already.")),
            );
        }
    }
    let scrypt = ["keylen", "cost", "blockSize", "parallelization"];
    if name == "scrypt" {
        if !custom.contains_key("keylen") {
            let path = "custom_password_hash.keylen";
            findings.push(Finding::new(path, "OBJECT_REQUIRED", message!("{path} is missing; scrypt needs it.")));
        }
        for member in scrypt {
            let Some(number) = custom.get(member).and_then(Value::as_f64) else { continue };
            let path = format!("custom_password_hash.{member}");
            if number <= 0.0 {
                findings.push(Finding::new(&path, "MINIMUM", message!("{path} must be greater than 0.")));
            } else if member == "cost" && !is_power_of_two_above_one(number) {
                findings.push(
                    Finding::new(&path, "NOT_PASSED", message!("{path} must be a power of two greater than 1."))
                        .with_hint(message!("Auth0 takes 16384 when it is left out.")),
                );
            }
        }
    } else {
        for member in scrypt.iter().filter(|member| custom.contains_key(**member)) {
            let path = format!("custom_password_hash.{member}");
            findings.push(
                Finding::new(&path, "NOT_PASSED", message!("{path} is not allowed with the algorithm {name}."))
                    .with_hint(message!("It belongs to scrypt only.")),
            );
        }
    }
}

fn check_hash(algorithm: &Algorithm, hash: &Map<String, Value>, findings: &mut Vec<Finding>) {
    let name = algorithm.name;
    let encoding = match hash.get("encoding") {
        Some(Value::String(encoding)) => Some(encoding.as_str()),
        Some(_) => return,
        None => None,
    };
    let path = "custom_password_hash.hash.encoding";
    let expected = || match algorithm.encodings {
        [only] => Message::verbatim(*only),
        [first, second] => message!("{first} or {second}"),
        several => Message::verbatim(several.join(", ")),
    };
    match encoding {
        Some(encoding) if !algorithm.encodings.contains(&encoding) => findings.push(Finding::new(
            path,
            "ENUM_MISMATCH",
            message!("{path} must be {expected} with the algorithm {name}.", expected = expected()),
        )),
        None if algorithm.encodings != TEXT => {
            findings.push(Finding::new(
                path,
                "OBJECT_REQUIRED",
                message!("{path} is missing; {name} needs {expected}.", expected = expected()),
            ));
        }
        _ => {
            check_encoded(hash, "custom_password_hash.hash", findings);
            if let (Some((fits, message)), Some(value)) = (&algorithm.form, hash.get("value").and_then(Value::as_str))
                && !fits(value)
            {
                let path = "custom_password_hash.hash.value";
                findings.push(Finding::new(path, "PATTERN", message(path)));
            }
        }
    }
    let keyed = [("digest", hash.contains_key("digest")), ("key", hash.contains_key("key"))];
    for (member, there) in keyed {
        let path = format!("custom_password_hash.hash.{member}");
        if name == "hmac" && !there {
            findings.push(Finding::new(&path, "OBJECT_REQUIRED", message!("{path} is missing; hmac needs it.")));
        } else if name != "hmac" && there {
            findings.push(
                Finding::new(&path, "NOT_PASSED", message!("{path} is not allowed with the algorithm {name}."))
                    .with_hint(message!("It belongs to hmac only.")),
            );
        }
    }
    if let Some(Value::Object(key)) = hash.get("key") {
        check_encoded(key, "custom_password_hash.hash.key", findings);
    }
}

/// Reports a member `value` that does not match its sibling `encoding`.
fn check_encoded(holder: &Map<String, Value>, path: &str, findings: &mut Vec<Finding>) {
    let Some(value) = holder.get("value").and_then(Value::as_str) else { return };
    let encoding = holder.get("encoding").and_then(Value::as_str).unwrap_or("utf8");
    let fits = match encoding {
        "hex" => !value.is_empty() && value.len() % 2 == 0 && value.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "base64" => !value.is_empty() && is_base64(value),
        _ => !value.is_empty(),
    };
    if !fits {
        let path = format!("{path}.value");
        let message = if value.is_empty() {
            message!("{path} is empty.")
        } else {
            message!("{path} is not written in {encoding}.")
        };
        findings.push(Finding::new(&path, "FORMAT", message));
    }
}

/// Warns if the length of a hash differs from the output length of its algorithm: it can never match a password. Only
/// a warning, because Auth0 accepts such a hash.
pub(super) fn check_hash_length(custom: &Map<String, Value>, warnings: &mut Vec<Finding>) {
    let Some(Value::Object(hash)) = custom.get("hash") else { return };
    let text = |name: &str| hash.get(name).and_then(Value::as_str);
    let digest = match custom.get("algorithm").and_then(Value::as_str) {
        Some("hmac") => text("digest"),
        other => other,
    };
    let expected = match digest {
        Some("scrypt") => custom.get("keylen").and_then(Value::as_u64),
        Some("md4" | "md5") => Some(16),
        Some("ripemd160" | "sha1") => Some(20),
        Some("sha224") => Some(28),
        Some("sha256") => Some(32),
        Some("sha384") => Some(48),
        Some("sha512" | "whirlpool") => Some(64),
        _ => None,
    };
    let length = text("value").map(|value| match text("encoding") {
        Some("hex") => value.len() / 2,
        _ => value.trim_end_matches('=').len() * 3 / 4,
    });
    if let (Some(expected), Some(length)) = (expected, length)
        && length as u64 != expected
    {
        let path = "custom_password_hash.hash.value";
        warnings.push(
            Finding::new(
                path,
                "HASH_LENGTH",
                message!("{path} has {length} bytes; its algorithm produces {expected}."),
            )
            .with_hint(message!(
                "The user cannot sign in with such a hash. Check the algorithm, the encoding, and the value."
            )),
        );
    }
}

/// Base64 of either alphabet, padded or not (docs/auth0/import-schema.md#custom-password-hashes).
fn is_base64(text: &str) -> bool {
    const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    const STANDARD: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::STANDARD, LENIENT);
    const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::URL_SAFE, LENIENT);
    STANDARD.decode(text).is_ok() || URL_SAFE.decode(text).is_ok()
}

fn is_power_of_two_above_one(number: f64) -> bool {
    number > 1.0 && number < 2_f64.powi(63) && number.fract() == 0.0 && (number as u64).is_power_of_two()
}

fn is_bcrypt(text: &str) -> bool {
    let Some(rest) = ["$2a$", "$2b$", "$2y$"].iter().find_map(|prefix| text.strip_prefix(prefix)) else {
        return false;
    };
    rest.split_once('$').is_some_and(|(rounds, body)| {
        rounds.len() == 2 && rounds.bytes().all(|digit| digit.is_ascii_digit()) && is_bcrypt_body(body)
    })
}

/// `$argon2{i,d,id}$[v=…$]m=…,t=…,p=…$salt$hash` (the PHC string format).
fn is_argon2(text: &str) -> bool {
    let mut parts = text.split('$');
    let is_variant = parts.next() == Some("") && matches!(parts.next(), Some("argon2i" | "argon2d" | "argon2id"));
    let parts: Vec<&str> = parts.collect();
    let rest = match parts.as_slice() {
        [version, rest @ ..] if version.strip_prefix("v=").is_some_and(is_number) => rest,
        rest => rest,
    };
    is_variant
        && matches!(rest, [settings, salt, hash] if has_settings(settings, &["m", "t", "p"], true) && is_phc_base64(salt) && is_phc_base64(hash))
}

/// `$pbkdf2-<digest>$i=…,l=…$salt$hash`; iterations and length may be omitted.
fn is_pbkdf2(text: &str) -> bool {
    let parts: Vec<&str> = text.split('$').collect();
    match parts.as_slice() {
        ["", name, settings, salt, hash] => {
            is_pbkdf2_name(name)
                && has_settings(settings, &["i", "l"], false)
                && is_phc_base64(salt)
                && is_phc_base64(hash)
        }
        ["", name, salt, hash] => is_pbkdf2_name(name) && is_phc_base64(salt) && is_phc_base64(hash),
        _ => false,
    }
}

fn is_pbkdf2_name(name: &str) -> bool {
    name.strip_prefix("pbkdf2-").is_some_and(|digest| {
        !digest.is_empty() && digest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'/')
    })
}

/// Returns whether `text` is a comma-separated list of `name=number`, each name from `names` and at most once; with
/// `all` every name must be present.
fn has_settings(text: &str, names: &[&str], all: bool) -> bool {
    let mut seen = Vec::new();
    for setting in text.split(',') {
        match setting.split_once('=') {
            Some((name, number)) if names.contains(&name) && !seen.contains(&name) && is_number(number) => {
                seen.push(name);
            }
            _ => return false,
        }
    }
    !all || seen.len() == names.len()
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit())
}

/// B64 of the PHC string format: Base64 without padding.
fn is_phc_base64(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'.'))
}

/// `{SCHEME}Base64` (RFC 2307, section 5.3, without crypt).
fn is_ldap(text: &str) -> bool {
    text.strip_prefix('{').and_then(|rest| rest.split_once('}')).is_some_and(|(scheme, hash)| {
        let scheme = scheme.to_ascii_lowercase();
        let known =
            matches!(scheme.as_str(), "md5" | "smd5") || scheme.starts_with("sha") || scheme.starts_with("ssha");
        known && !hash.is_empty() && is_base64(hash)
    })
}
