//! The compact JSON of a row, as it is sent, and its maximum size.

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use uie_core::error::{Code, Error, Result};
use uie_core::message::message;
use uie_json::minify;

/// Maximum size of a chunk, in bytes. Auth0 refuses requests above 512,000 bytes; the difference is for the other
/// parts of the request (docs/auth0/open-questions.md#upload-limit).
pub const MAX_CHUNK_BYTES: usize = 500_000;

/// Maximum size of a row: a chunk with one row, minus the brackets of the array.
pub(super) const MAX_ROW_IN_CHUNK: usize = MAX_CHUNK_BYTES - 2;

/// Appends the row as compact JSON: its exact text without white space between tokens, so numbers keep
/// every digit. With `user_id`, replaces the id.
pub(super) fn compact(row: &[u8], user_id: Option<&str>, output: &mut Vec<u8>) -> Result<()> {
    let Some(user_id) = user_id else {
        minify(row, output);
        return Ok(());
    };
    let members: Members<'_> = serde_json::from_slice(row)
        .map_err(|error| Error::new(Code::Internal, message!("A checked row is not valid JSON: {error}")))?;
    for (index, (name, value)) in members.0.iter().enumerate() {
        output.push(if index == 0 { b'{' } else { b',' });
        output.extend_from_slice(Value::from(name.as_str()).to_string().as_bytes());
        output.push(b':');
        if name == "user_id" {
            output.extend_from_slice(Value::from(user_id).to_string().as_bytes());
        } else {
            minify(value.get().as_bytes(), output);
        }
    }
    output.push(b'}');
    Ok(())
}

/// The members of an object in order, with the unparsed text of their values.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}
