//! Hints for attributes that hold passwords, hashes and other secrets. None of them contains a value.

use serde_json::Value;

use super::bcrypt::{bcrypt_rounds, is_import_bcrypt, starts_like_bcrypt};
use super::secret_value::{is_hex_hash, is_secret_value};
use uie_core::message::{Message, message};
use uie_core::secret_name::{is_password_name, is_secret_name};
use uie_records::member;

/// Returns the hint for an attribute or column whose name means a secret and that is not one of an import; `None` for
/// other names. `value` is its value in a row; `None` if only the header is known.
pub(super) fn unknown_secret(name: &str, value: Option<&Value>) -> Option<Message> {
    let path = member("user", name);
    let text = value.and_then(Value::as_str).unwrap_or_default();
    if is_import_bcrypt(text) {
        return Some(message!("It holds a bcrypt hash with 10 rounds: --map '{path}=password_hash'."));
    }
    if bcrypt_rounds(text).is_some() {
        return Some(message!(
            "It holds a bcrypt hash, which custom_password_hash takes: {mapping}.",
            mapping = bcrypt_mapping(&path)
        ));
    }
    let digits = text.trim();
    let algorithm = match digits.len() {
        32 => Some("md5"),
        40 => Some("sha1"),
        64 => Some("sha256"),
        128 => Some("sha512"),
        _ => None,
    };
    if let Some(algorithm) = algorithm.filter(|_| is_secret_name(name) && is_hex_hash(digits)) {
        return Some(message!(
            "It has the length of {algorithm} in hexadecimal. If it is such a hash of the password, without a salt: --map \
             '{path} && ({{algorithm:\"{algorithm}\",hash:{{value:{path},encoding:\"hex\"}}}})=custom_password_hash'."
        ));
    }
    if is_password_name(name) && value.is_some() && !is_secret_value(text) {
        return Some(message!(
            "Passwords are imported as hashes only: hash them, for example with bcrypt and 10 rounds, and write the \
             hash to password_hash; or leave them out (--map 'null={name}'), and users set a new one. See \
             docs/import.md#passwords."
        ));
    }
    if is_secret_name(name) {
        return Some(message!(
            "Passwords are imported as hashes only. If {name} holds hashes, map it to password_hash (bcrypt with 10 \
             rounds) or custom_password_hash; otherwise leave it out (--map 'null={name}'). Secrets do not belong into \
             metadata. See docs/import.md#passwords."
        ));
    }
    None
}

/// Returns the hint for a `password_hash` that is not bcrypt with 10 rounds.
pub(super) fn password_hash(text: &str) -> Message {
    if bcrypt_rounds(text).is_some() {
        return message!(
            "Other rounds and $2y$ belong into custom_password_hash: {mapping} --map 'null=password_hash'.",
            mapping = bcrypt_mapping("user.password_hash")
        );
    }
    if starts_like_bcrypt(text) {
        return message!(
            "A bcrypt hash has 60 characters, this one has {length}; perhaps it was cut off by a column of a database.",
            length = text.chars().count()
        );
    }
    if text.starts_with("$argon2") {
        return message!("Write it as custom_password_hash with the algorithm argon2.");
    }
    if text.starts_with("$P$") || text.starts_with("$H$") || text.starts_with("$S$") {
        return message!("Auth0 takes no hashes of phpass and Drupal; leave it out, and the user sets a new password.");
    }
    if !text.contains(['$', '{', ':']) && text.len() < 24 {
        return message!(
            "Passwords are imported as hashes only. If this is a password, hash it with bcrypt and 10 rounds first."
        );
    }
    message!("Write hashes of another form as custom_password_hash; its algorithm bcrypt takes any rounds.")
}

/// Returns the options that map bcrypt hashes of any rounds at a path of the row.
fn bcrypt_mapping(path: &str) -> Message {
    Message::verbatim(format!(
        "--map '{path} && ({{algorithm:\"bcrypt\",hash:{{value:{path},encoding:\"utf8\"}}}})=custom_password_hash'"
    ))
}

/// Returns the hint for a secret of a second factor that is not Base32 without padding; `path` is where it is.
pub(super) fn totp_secret(text: &str, path: &str) -> Message {
    let source = format!("user.{}?", path.replace('[', "?.[").replace("].totp.secret", "]?.totp?.secret"));
    if text.trim_start().to_ascii_lowercase().starts_with("otpauth:") {
        return message!(
            "It is an otpauth URI; only its parameter secret belongs here: --map \
             '{source}.match(/[?&]secret=([^&]+)/i)?.[1]?.replace(/[\\s=-]/g,\"\").toUpperCase()={path}'."
        );
    }
    let letters: String = text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '=' | '-')).collect();
    let is_base32 = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'2'..=b'7'));
    if letters.is_empty() || !is_base32(&letters) {
        return if !letters.is_empty() && letters.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            message!("It looks like hexadecimal: write the same bytes in Base32 (A to Z and 2 to 7, without =).")
        } else {
            message!("Use the letters A to Z and the digits 2 to 7, without = at the end.")
        };
    }
    let mapping = message!("--map '{source}.replace(/[\\s=-]/g,\"\").toUpperCase()={path}'");
    let has = |found: fn(char) -> bool| text.contains(found);
    if has(char::is_whitespace) || has(|c| c == '-') {
        message!("It is Base32 in groups; remove blanks and dashes and use capital letters: {mapping}.")
    } else if has(|c| c.is_ascii_lowercase()) {
        message!("It is Base32 in small letters; use capital letters: {mapping}.")
    } else {
        message!("It is Base32 with padding; remove = at the end: {mapping}.")
    }
}
