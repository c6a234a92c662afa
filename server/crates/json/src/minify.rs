//! Removes white space between JSON tokens.

use memchr::memchr2;

/// Appends valid JSON to `output` without the white space between its tokens. Everything else is unchanged, so numbers
/// keep every digit.
pub fn minify(json: &[u8], output: &mut Vec<u8>) {
    let mut rest = json;
    while let Some((first, after)) = rest.split_first() {
        let length = match first {
            b' ' | b'\t' | b'\r' | b'\n' => {
                rest = after;
                continue;
            }
            b'"' => string_length(rest),
            _ => rest.iter().position(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b'"')).unwrap_or(rest.len()),
        };
        let (token, after) = rest.split_at(length.min(rest.len()));
        output.extend_from_slice(token);
        rest = after;
    }
}

/// Returns the length of the JSON string at the start, including its quotes.
fn string_length(bytes: &[u8]) -> usize {
    let mut at = 1;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found;
        if bytes.get(at) == Some(&b'"') {
            return at + 1;
        }
        at += 2;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::test_json::any_json;

    proptest! {
        #[test]
        fn minified_json_is_the_compact_form(value in any_json(&["a", "b \"", "\\"])) {
            let mut output = Vec::new();
            minify(serde_json::to_string_pretty(&value).unwrap().as_bytes(), &mut output);
            prop_assert_eq!(String::from_utf8(output).unwrap(), Value::to_string(&value));
        }
    }
}
