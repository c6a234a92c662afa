//! The transform `split_part`.

use transforms_sdk::prelude::*;

/// Splits a text at a separator and gives one of the parts, counted from 1, or from the end with -1, -2, …
///
/// A text that does not contain the separator has one part, itself. A part that is not there is nothing, and
/// so is a part of nothing.
#[transform(
    example(r#"split_part("ada@example.com", "@", 2)"# => "example.com"),
    example(r#"split_part("auth0|5f1c", "|", -1)"# => "5f1c"),
    example(r#"split_part("Ada", " ", 2)"# => null),
)]
pub fn split_part<'a>(
    /// The text.
    text: Option<&'a str>,
    /// Where it is split; not empty.
    separator: &str,
    /// Which part: 1 is the first, -1 the last.
    index: i32,
) -> Result<Option<&'a str>, Fault> {
    if separator.is_empty() {
        return Err("`separator` is empty; the text that divides the parts is expected".into());
    }
    // A count of parts never comes near the ends of the type.
    let steps = usize::try_from(index.unsigned_abs()).map_err(Fault::new)?;
    let Some(skipped) = steps.checked_sub(1) else {
        return Err("`index` is 0; parts are counted from 1, or from -1 for the last".into());
    };
    let Some(text) = text else { return Ok(None) };
    Ok(if index > 0 { text.split(separator).nth(skipped) } else { text.rsplit(separator).nth(skipped) })
}
