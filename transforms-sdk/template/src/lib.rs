//! The transform `{{name}}`.

use transforms_sdk::prelude::*;

/// The part of an e-mail address after the `@`, in small letters.
///
/// The first paragraph is the summary shown in lists; all of it is the documentation. Nothing (no e-mail)
/// gives nothing (an empty cell).
#[transform(
    example(r#"{{name}}("ada@Example.com")"# => "example.com"),
    example("{{name}}(null)" => null),
)]
pub fn {{name}}(
    /// The e-mail address.
    email: Option<&str>,
) -> Result<Option<String>, Fault> {
    let Some(email) = email else { return Ok(None) };
    let (_, domain) = email
        .rsplit_once('@')
        .ok_or("`email` has no @; an e-mail address is expected")?;
    Ok(Some(domain.to_lowercase()))
}
