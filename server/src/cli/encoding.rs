//! The argument `--encoding`.

use uie_core::error::Code;
use uie_import::TextEncoding;

/// Parses the name of an encoding. Fails with a text that lists similar names.
pub(super) fn parse_encoding(name: &str) -> Result<TextEncoding, String> {
    TextEncoding::parse(name, Code::InvalidArgument).map_err(|error| match error.hint {
        Some(hint) => format!("{} {hint}", error.message),
        None => error.message.to_string(),
    })
}
