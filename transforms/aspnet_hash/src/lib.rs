//! The transform `aspnet_hash`.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use transforms_sdk::prelude::*;
use transforms_sdk::serde_json::{Map, Value as Json, json};

/// Rounds, and bytes of salt and hash in the format of ASP.NET Identity 1 and 2, which does not state them.
const V2: (u32, usize, usize) = (1000, 16, 32);

/// The shortest salt that ASP.NET Core Identity accepts, in bytes.
const SHORTEST_SALT: usize = 16;

/// The lengths of hashes, in bytes. ASP.NET Core Identity writes 32; other lengths that programs choose are those of
/// digests. Nothing else shows that a hash was cut off.
const HASH_LENGTHS: &[usize] = &[16, 20, 32, 48, 64];

/// Converts a password hash of ASP.NET Identity (`AspNetUsers.PasswordHash`) to Auth0's `custom_password_hash`.
///
/// Both formats are read: that of ASP.NET Identity 1 and 2 (PBKDF2 with HMAC-SHA-1, 1000 rounds) and that of
/// ASP.NET Core Identity (PBKDF2 with HMAC-SHA-1, SHA-256 or SHA-512 and any number of rounds). An empty text, such
/// as that of users who sign in elsewhere, gives nothing, and so does nothing. Faults do not contain the hash.
#[transform(
    example(r#"aspnet_hash("AQAAAAEAACcQAAAAEAABAgMEBQYHCAkKCwwNDg84iY7IYpC8DxYwg3xbC5yVRkUPKSkJj9HFY4sFM57x+A==")"#
        => {"algorithm": "pbkdf2", "hash": {
            "value": "$pbkdf2-sha256$i=10000,l=32$AAECAwQFBgcICQoLDA0ODw$OImOyGKQvA8WMIN8WwuclUZFDykpCY/RxWOLBTOe8fg",
            "encoding": "utf8"
        }}),
)]
pub fn aspnet_hash(
    /// The Base64 text of the column `PasswordHash`.
    text: Option<&str>,
) -> Result<Option<Map<String, Json>>, Fault> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    let bytes = STANDARD
        .decode(text)
        .map_err(|_| Fault::from("`text` is not Base64, so it is no password hash of ASP.NET Identity"))?;
    let (digest, rounds, salt, hash) = match bytes.split_first() {
        Some((0, rest)) => read_v2(rest)?,
        Some((1, rest)) => read_v3(rest)?,
        _ => {
            return Err(
                "`text` is no password hash of ASP.NET Identity: its first byte is neither 0 (version 2) nor 1 \
                 (version 3)"
                    .into(),
            );
        }
    };
    let value = format!(
        "$pbkdf2-{digest}$i={rounds},l={length}${salt}${hash}",
        length = hash.len(),
        salt = STANDARD_NO_PAD.encode(salt),
        hash = STANDARD_NO_PAD.encode(hash),
    );
    let custom = [("algorithm", json!("pbkdf2")), ("hash", json!({"value": value, "encoding": "utf8"}))];
    Ok(Some(custom.into_iter().map(|(name, member)| (name.to_owned(), member)).collect()))
}

/// Digest, rounds, salt and hash.
type Parts<'a> = (&'static str, u32, &'a [u8], &'a [u8]);

/// The format of ASP.NET Identity 1 and 2: salt and hash of fixed length.
fn read_v2(rest: &[u8]) -> Result<Parts<'_>, Fault> {
    let (rounds, salt_length, hash_length) = V2;
    match rest.split_at_checked(salt_length) {
        Some((salt, hash)) if hash.len() == hash_length => Ok(("sha1", rounds, salt, hash)),
        _ => Err(fault!(
            "`text` has {} bytes; {} are expected of version 2 of ASP.NET Identity",
            rest.len() + 1,
            1 + salt_length + hash_length
        )),
    }
}

/// The format of ASP.NET Core Identity: function, rounds and length of the salt as numbers of four bytes, most
/// significant byte first, then the salt, and the hash until the end.
fn read_v3(rest: &[u8]) -> Result<Parts<'_>, Fault> {
    let cut = || Fault::from("`text` is cut off: it ends before the hash does");
    let mut rest = rest;
    let mut number = || {
        let (bytes, after) = rest.split_first_chunk::<4>()?;
        rest = after;
        Some(u32::from_be_bytes(*bytes))
    };
    let (function, rounds, salt_length) =
        (number().ok_or_else(cut)?, number().ok_or_else(cut)?, number().ok_or_else(cut)?);
    let digest = match function {
        0 => "sha1",
        1 => "sha256",
        2 => "sha512",
        _ => {
            return Err(fault!(
                "`text` names the function {function} for PBKDF2; 0 (SHA-1), 1 (SHA-256) or 2 (SHA-512) is expected"
            ));
        }
    };
    if rounds == 0 {
        return Err("`text` has 0 rounds of PBKDF2; 1 or more are expected".into());
    }
    let salt_length = usize::try_from(salt_length).map_err(Fault::new)?;
    let (salt, hash) = rest.split_at_checked(salt_length).ok_or_else(cut)?;
    if salt.len() < SHORTEST_SALT {
        return Err(fault!("the salt in `text` has {} bytes; {SHORTEST_SALT} or more are expected", salt.len()));
    }
    if !HASH_LENGTHS.contains(&hash.len()) {
        return Err(fault!("the hash in `text` has {} bytes; 32 are expected, so a part may be missing", hash.len()));
    }
    Ok((digest, rounds, salt, hash))
}

#[cfg(test)]
mod tests;
