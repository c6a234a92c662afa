//! What exports of database tables have in common.

use serde_json::{Map, Value};

use crate::converted::{Converted, LossKind};
use uie_core::message::message;

/// Secrets of authenticators that the application encrypts with a key of its own.
pub(crate) static ENCRYPTED_TOTP: LossKind = LossKind {
    code: "ENCRYPTED_TOTP",
    message: |users| message!("Secrets of authenticator apps that the application has encrypted; users: {users}."),
    hint: || {
        message!(
            "They are imported without this second factor and must enroll again. To keep it, let the application \
             decrypt the secrets, and map them to mfa_factors."
        )
    },
};

/// Users whom the application has locked, in an attribute that does not say for how long.
pub(crate) static LOCKED: LossKind = LossKind {
    code: "LOCKED",
    message: |users| message!("Users whom the application has locked, perhaps for a time only; users: {users}."),
    hint: || message!("They are imported as blocked, without an end. Unblock those whose lock has ended."),
};

/// Removes values that mean NULL: `\N` and `NULL` (but not from names of people), and MySQL's date of zeros.
pub(crate) fn remove_nulls(row: &mut Map<String, Value>) {
    row.retain(|name, value| match value {
        Value::String(text) => match text.trim() {
            "NULL" => name.to_ascii_lowercase().contains("name"),
            text => text != "\\N" && !text.starts_with("0000-00-00"),
        },
        _ => true,
    });
}

/// Takes a name by which a user signs in: as the address if it is one and there is no other, otherwise as metadata,
/// because only connections with user names accept `username`.
pub(crate) fn set_user_name(name: Option<String>, user: &mut Converted) {
    let Some(name) = name else { return };
    if name.contains('@') {
        user.set("email", name.clone().into());
    }
    if user.text("email").is_none_or(|email| !email.eq_ignore_ascii_case(&name)) {
        user.set("user_metadata.username", name.into());
    }
}

/// Takes a phone number and whether it was confirmed; the latter has no meaning without the number.
pub(crate) fn set_phone(number: Option<String>, is_verified: Option<bool>, user: &mut Converted) {
    let Some(number) = number else { return };
    match crate::phone::e164(&number) {
        Some(number) => {
            user.set("phone_number", number.into());
            user.set("phone_verified", is_verified.map_or(Value::Null, Value::Bool));
        }
        None => user.lose(&crate::field::PHONE_FORMAT, "phone_number"),
    }
}
