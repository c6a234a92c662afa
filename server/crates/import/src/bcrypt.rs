//! Hashes of bcrypt: their form, and their number of rounds.

/// Beginnings of the hashes that Auth0 accepts in `custom_password_hash`
/// (docs/auth0/import-schema.md#custom-password-hashes).
const PREFIXES: &[&str] = &["$2a$", "$2b$", "$2y$"];

/// The numbers of rounds, as powers of two, that bcrypt has.
pub(super) const ROUNDS: std::ops::RangeInclusive<u8> = 4..=31;

/// Returns whether a text is bcrypt as `password_hash` accepts it.
pub(super) fn is_import_bcrypt(text: &str) -> bool {
    ["$2a$10$", "$2b$10$"].iter().any(|prefix| text.strip_prefix(prefix).is_some_and(is_bcrypt_body))
}

/// Returns the rounds of a bcrypt hash as `custom_password_hash` accepts it; `None` for other texts.
pub(super) fn bcrypt_rounds(text: &str) -> Option<u8> {
    let rest = PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix))?;
    let (rounds, body) = rest.split_once('$')?;
    let is_number = rounds.len() == 2 && rounds.bytes().all(|digit| digit.is_ascii_digit());
    if is_number && is_bcrypt_body(body) { rounds.parse().ok() } else { None }
}

/// Returns whether a text starts like a bcrypt hash, whatever its length is.
pub(super) fn starts_like_bcrypt(text: &str) -> bool {
    PREFIXES.iter().any(|prefix| text.starts_with(prefix))
}

/// Returns whether a text is salt and hash of bcrypt: 53 characters of its own Base64 alphabet.
pub(super) fn is_bcrypt_body(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() | matches!(byte, b'.' | b'/');
    // No early return, so that the compiler vectorizes the loop.
    text.len() == 53 && text.bytes().fold(true, |all, byte| all & is_letter(byte))
}
