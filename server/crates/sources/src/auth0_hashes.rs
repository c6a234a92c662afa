//! Auth0's export of password hashes, without another file of users (docs/auth0/jobs.md#password-hash-files).

use serde_json::{Map, Value};

use crate::converted::Converted;
use crate::field::{Convert, Field, field, skip, text};
use crate::row;
use crate::source::{SOURCE, Source};

/// Recognized by `uie-import`, which also joins it to files of users.
pub(crate) static AUTH0_HASHES: Source = Source {
    name: "auth0-hashes",
    title: "Auth0 password hashes",
    fields: FIELDS,
    finish: Some(add_identifiers),
    ..SOURCE
};

const FIELDS: &[Field] = &[
    text("alt_id", "user_id"),
    text("_id.$oid", "user_id"),
    text("_ID.$oid", "user_id"),
    text("email", "email"),
    field("email_verified", "email_verified", Convert::Boolean),
    text("username", "username"),
    field("phone_number", "phone_number", Convert::Phone),
    field("phone_verified", "phone_verified", Convert::Boolean),
    field("passwordHash", "password_hash", Convert::Hash),
    skip("password_set_date"),
    skip("tenant"),
    skip("connection"),
    skip("identifiers"),
    skip("_tmp_is_unique"),
];

/// Takes addresses, numbers and names that are in the list of identifiers only.
fn add_identifiers(row: &Map<String, Value>, user: &mut Converted) {
    for item in row::array(row, "identifiers").unwrap_or_default() {
        let Value::Object(item) = item else { continue };
        let (Some(kind), Some(value)) = (row::text(&item, "type"), row::text(&item, "value")) else { continue };
        let verified = row::boolean(&item, "verified");
        let (name, verified_name) = match kind.as_str() {
            "email" => ("email", "email_verified"),
            "phone" | "phone_number" => ("phone_number", "phone_verified"),
            "username" => ("username", ""),
            _ => continue,
        };
        let is_same = user.text(name).is_none_or(|known| known == value);
        user.set(name, value.into());
        if let (true, false, Some(verified)) = (is_same, verified_name.is_empty(), verified) {
            user.set(verified_name, verified.into());
        }
    }
}
