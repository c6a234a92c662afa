//! The transform `mask_email`.

use transforms_sdk::prelude::*;

/// Stars are written in blocks, which is faster than one by one.
const STARS: &str = "****************";

/// Hides the local part of an e-mail address: its first character stays, the others become stars.
///
/// A local part of one character is hidden whole. The domain stays as it is. Nothing gives nothing; text without an `@` between a local part and a domain is
/// refused, so that no unmasked value slips through.
#[transform(
    example(r#"mask_email("ada@example.com")"# => "a**@example.com"),
    example("mask_email(null)" => null),
)]
pub fn mask_email(
    /// The address.
    email: Option<&str>,
) -> Result<Option<String>, Fault> {
    let Some(email) = email else { return Ok(None) };
    let (local, domain) = email
        .rsplit_once('@')
        .filter(|(local, domain)| !local.is_empty() && !domain.is_empty())
        .ok_or("`email` is no e-mail address: text such as ada@example.com is expected")?;
    let mut characters = local.chars();
    let first = characters.next();
    let mut hidden = characters.count();
    let mut masked = String::with_capacity(email.len() + 1);
    match first {
        Some(first) if hidden > 0 => masked.push(first),
        _ => masked.push('*'),
    }
    while hidden > 0 {
        let stars = hidden.min(STARS.len());
        masked.push_str(&STARS[..stars]);
        hidden -= stars;
    }
    masked.push('@');
    masked.push_str(domain);
    Ok(Some(masked))
}
