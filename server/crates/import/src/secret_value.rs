//! Recognizes values that are hashes, tokens or keys by their form, whatever their attribute is called.

/// Lengths of common hashes in hexadecimal: MD5, SHA-1, SHA-224, SHA-256, SHA-384, SHA-512.
const HEX_LENGTHS: &[usize] = &[32, 40, 56, 64, 96, 128];

/// Beginnings of hashes of frameworks, before the first `$`: `pbkdf2_sha256$36000$…`.
const FRAMEWORK_HASHES: &[&str] =
    &["pbkdf2", "bcrypt", "argon2", "scrypt", "sha1", "sha256", "sha512", "md5", "unsalted_", "crypt", "shadigest"];

/// Returns whether a text is a password hash, a token or a private key by its form.
pub(super) fn is_secret_value(text: &str) -> bool {
    let text = text.trim();
    let one_word = text.len() >= 8 && !text.contains(char::is_whitespace);
    (one_word
        && (is_modular_crypt(text)
            || is_framework_hash(text)
            || is_ldap_hash(text)
            || is_mysql_hash(text)
            || is_salted_hex(text)
            || is_aspnet_hash(text)
            || is_web_token(text)))
        || text.starts_with("otpauth://")
        || (text.starts_with("-----BEGIN ") && text.contains("PRIVATE KEY"))
}

/// Returns whether a text is a hash in hexadecimal. Ids have the same form, so ask only for attributes that are not
/// known.
pub(super) fn is_hex_hash(text: &str) -> bool {
    let digits = text.trim();
    let digits = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("\\x")).unwrap_or(digits);
    HEX_LENGTHS.contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `$2b$10$…`, `$argon2id$…`, `$P$B…`, `$6$…`.
fn is_modular_crypt(text: &str) -> bool {
    text.strip_prefix('$').and_then(|rest| rest.split_once('$')).is_some_and(|(id, rest)| {
        (1..=40).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_/,=".contains(&byte))
            && rest.len() >= 16
    })
}

/// `pbkdf2_sha256$36000$salt$hash` of Django, `scrypt:32768:8:1$salt$hash` of Werkzeug.
fn is_framework_hash(text: &str) -> bool {
    text.split_once('$').is_some_and(|(head, rest)| {
        FRAMEWORK_HASHES.iter().any(|start| head.starts_with(start)) && rest.len() >= 8 && head.len() <= 40
    })
}

/// `{SSHA}…`.
fn is_ldap_hash(text: &str) -> bool {
    text.strip_prefix('{').and_then(|rest| rest.split_once('}')).is_some_and(|(scheme, rest)| {
        (2..=20).contains(&scheme.len())
            && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte))
            && rest.len() >= 8
    })
}

/// `*` and 40 hexadecimal digits.
fn is_mysql_hash(text: &str) -> bool {
    text.strip_prefix('*').is_some_and(|digits| digits.len() == 40 && is_hex_hash(digits))
}

/// `5f4dcc3b…:salt` of Joomla and other shops.
fn is_salted_hex(text: &str) -> bool {
    text.split_once(':').is_some_and(|(hash, salt)| is_hex_hash(hash) && !salt.is_empty() && salt.len() <= 64)
}

/// ASP.NET Identity: version 3 has 84 characters after `AQAAAA`, version 2 has 68 after `A`.
fn is_aspnet_hash(text: &str) -> bool {
    let is_base64 = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
    is_base64 && ((text.len() == 84 && text.starts_with("AQAAAA")) || (text.len() == 68 && text.starts_with('A')))
}

/// A JSON Web Token.
fn is_web_token(text: &str) -> bool {
    text.starts_with("eyJ") && text.split('.').count() >= 3 && text.len() >= 40
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_tokens_and_keys_are_recognized_by_their_form() {
        for value in [
            "$2b$10$nFguVi9LsCAcvTZFKQlRKeLVydo8ETv483lkNsSFI/Wl1Rz1Ypo1K",
            "$2y$12$nFguVi9LsCAcvTZFKQlRKeLVydo8ETv483lkNsSFI/Wl1Rz1Ypo1K",
            "$argon2id$v=19$m=65536,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2g",
            "$P$B55D6LjfHDkINU5wF.v2BuuzO0/XPk/",
            "$S$DbcD1234567890123456789012345678901234567890",
            "$6$rounds=5000$saltsalt$hashhashhash",
            "pbkdf2_sha256$36000$5LjfzfBwQAVI$KvyIC/h2/RDu+5KyELLhyBD9jZbyImxzipSrIJ4P9Ig=",
            "scrypt:32768:8:1$salt$0123456789abcdef",
            "sha1$a1976$a36cc8cbf81742a8fb52e221aaeab48ed7f58ab4",
            "{SSHA}aGFzaGhhc2hzYWx0",
            "{CRYPT}$6$saltsalt$hash",
            "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19",
            "5f4dcc3b5aa765d61d8327deb882cf99:Zk3s",
            "AQAAAAEAACcQAAAAEJQ1tIjiWBrmpxAF3yoDPgEUPqJhuJtvsZFhdQTqsKeyAqOwsYyZlkbDN3eHDZ8MGg==",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
            "otpauth://totp/Example:c?secret=JBSWY3DPEHPK3PXP&issuer=Example",
        ] {
            assert!(is_secret_value(value), "{value}");
        }
        for value in ["5ebe2294ecd0e0f08eab7690d2a6ee69", "0x2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19"] {
            assert!(is_hex_hash(value) && !is_secret_value(value), "{value}");
        }
    }

    #[test]
    fn other_texts_are_shown() {
        for value in [
            "",
            "$",
            "$5",
            "$5 off $10 and more text",
            "US$100$200",
            "Ada Lovelace",
            "ada@example.com",
            "{name}",
            "{a} text",
            "*bold*",
            "4d94501d1f78ac091dbc9b4d",
            "https://example.com/a?b=$c$d",
            "2024-01-01",
            "A",
            "eyJ.a.b",
            "2c1a7a4e-8a5e-4a8e-9d53-0d6e0e6a6e0f",
        ] {
            assert!(!is_secret_value(value) && !is_hex_hash(value), "{value}");
        }
    }
}
