//! Rules for `custom_password_hash` that the schema cannot express
//! (docs/auth0/import-schema.md#custom-password-hashes).

use serde_json::{Map, Value};

use super::bcrypt::{bcrypt_rounds, starts_like_bcrypt};
use super::hash_encoding::{decode_hex, is_base64, phc_parts, phc_settings};
use super::schema::Finding;
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
                let mut finding = Finding::new(path, "PATTERN", message(path));
                finding.hint = form_hint(*fits, value);
                findings.push(finding);
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
        "hex" => decode_hex(value).is_some(),
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
        let mut finding = Finding::new(&path, "FORMAT", message);
        finding.hint = encoding_hint(value, encoding);
        findings.push(finding);
    }
}

fn is_power_of_two_above_one(number: f64) -> bool {
    number > 1.0 && number < 2_f64.powi(63) && number.fract() == 0.0 && (number as u64).is_power_of_two()
}

fn is_bcrypt(text: &str) -> bool {
    bcrypt_rounds(text).is_some()
}

/// `$argon2{i,d,id}$[v=…$]m=…,t=…,p=…$salt$hash` (the PHC string format).
fn is_argon2(text: &str) -> bool {
    phc_parts(text).is_some_and(|phc| {
        matches!(phc.name, "argon2i" | "argon2d" | "argon2id")
            && phc_settings(phc.settings).is_some_and(|settings| {
                settings.len() == 3
                    && ["m", "t", "p"].iter().all(|name| settings.iter().any(|(known, _)| known == name))
            })
            && is_phc_base64(phc.salt)
            && is_phc_base64(phc.hash)
    })
}

/// `$pbkdf2-<digest>$i=…,l=…$salt$hash`; iterations and length may be omitted.
fn is_pbkdf2(text: &str) -> bool {
    phc_parts(text).is_some_and(|phc| {
        phc.version.is_none()
            && is_pbkdf2_name(phc.name)
            && phc_settings(phc.settings)
                .is_some_and(|settings| settings.iter().all(|(name, _)| matches!(*name, "i" | "l")))
            && is_phc_base64(phc.salt)
            && is_phc_base64(phc.hash)
    })
}

fn is_pbkdf2_name(name: &str) -> bool {
    name.strip_prefix("pbkdf2-").is_some_and(|digest| {
        !digest.is_empty() && digest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'/')
    })
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

/// Returns what is wrong with a hash that does not have the form of its algorithm, if that can be seen.
fn form_hint(fits: fn(&str) -> bool, value: &str) -> Option<Message> {
    let unpadded = value.split('$').map(|part| part.trim_end_matches('=')).collect::<Vec<_>>().join("$");
    if unpadded != value && fits(&unpadded) {
        return Some(message!("Base64 in a PHC string has no padding: remove = at the end of salt and hash."));
    }
    if fits(value.trim()) {
        return Some(message!("Remove the blanks around it."));
    }
    if value.starts_with("pbkdf2_") || value.starts_with("argon2$") || value.starts_with("bcrypt$") {
        return Some(message!("It is a hash as Django writes it; the transform django_hash converts it."));
    }
    if let ["", name, rounds, _, _] = value.split('$').collect::<Vec<_>>().as_slice()
        && name.starts_with("pbkdf2")
        && rounds.bytes().all(|digit| digit.is_ascii_digit())
    {
        return Some(message!("Write the rounds as i={rounds}, and the length of the hash as l=."));
    }
    if value.to_ascii_lowercase().starts_with("{crypt}") {
        return Some(message!(
            "Auth0 takes no {{CRYPT}}. If $2a$, $2b$ or $2y$ follows, write that part with the algorithm bcrypt."
        ));
    }
    if starts_like_bcrypt(value) {
        return Some(message!(
            "A bcrypt hash has 60 characters, this one has {length}; perhaps it was cut off by a column of a database.",
            length = value.chars().count()
        ));
    }
    None
}

/// Returns what is wrong with a text that is not in its encoding, if that can be seen.
fn encoding_hint(value: &str, encoding: &str) -> Option<Message> {
    if encoding != "hex" {
        return None;
    }
    let digits = value.strip_prefix("0x").or_else(|| value.strip_prefix("\\x"));
    if digits.is_some_and(|digits| decode_hex(digits).is_some()) {
        return Some(message!("Remove {prefix} in front of the digits.", prefix = value.get(..2).unwrap_or_default()));
    }
    is_base64(value).then(|| message!("It is perhaps Base64: then set its encoding to base64."))
}
