//! Supabase: the table `auth.users` as CSV or JSON, and the users of the Auth Admin API.
//!
//! Sources: `internal/models/user.go` and the migrations of supabase/auth; "Export users" in the documentation of
//! Supabase. Hashes are bcrypt, since 2024 also argon2 or Firebase's scrypt of imported users.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::converted::{Converted, LossKind};
use crate::field::{Convert, Field, field, skip, text};
use crate::source::{SOURCE, Source};
use crate::{hash, phone, row, time};
use uie_core::message::message;

pub(crate) static SUPABASE: Source = Source {
    name: "supabase",
    title: "Supabase",
    signatures: &[
        &["encrypted_password", "raw_app_meta_data", "raw_user_meta_data"],
        &["encrypted_password", "email_confirmed_at", "instance_id", "aud"],
        &["raw_app_meta_data", "raw_user_meta_data", "email"],
        // The Admin API.
        &["id", "aud", "app_metadata", "user_metadata", "email_confirmed_at"],
    ],
    fields: FIELDS,
    member: Some("users"),
    prepare: Some(parse_metadata),
    finish: Some(finish),
    ..SOURCE
};

const FIELDS: &[Field] = &[
    text("id", "user_id"),
    text("email", "email"),
    field("email_confirmed_at", "email_verified", Convert::Present),
    field("phone_confirmed_at", "phone_verified", Convert::Present),
    field("raw_user_meta_data", "user_metadata", Convert::Merge),
    field("raw_app_meta_data", "app_metadata", Convert::Merge),
    field("user_metadata", "user_metadata", Convert::Merge),
    field("app_metadata", "app_metadata", Convert::Merge),
    text("raw_user_meta_data.full_name", "name"),
    text("raw_user_meta_data.avatar_url", "picture"),
    text("user_metadata.full_name", "name"),
    text("user_metadata.avatar_url", "picture"),
    skip("phone"),
    skip("encrypted_password"),
    skip("banned_until"),
    skip("deleted_at"),
    skip("confirmed_at"),
    skip("instance_id"),
    skip("aud"),
    skip("role"),
    skip("identities"),
    skip("factors"),
    skip("invited_at"),
    skip("confirmation_*"),
    skip("recovery_*"),
    skip("email_change*"),
    skip("phone_change*"),
    skip("new_email"),
    skip("new_phone"),
    skip("reauthentication_*"),
    skip("last_sign_in_at"),
    skip("is_super_admin"),
    skip("is_sso_user"),
    skip("is_anonymous"),
    skip("created_at"),
    skip("updated_at"),
    skip("action_link"),
];

/// Users whose ban ends later, which Auth0 has no attribute for.
static BANNED_FOR_A_TIME: LossKind = LossKind {
    code: "BANNED_FOR_A_TIME",
    message: |users| message!("Users who are banned until a date; users: {users}."),
    hint: || message!("They are imported as blocked, without an end. Unblock them when their ban ends."),
};

/// Parses the metadata, which is text in CSV.
fn parse_metadata(user: &mut Map<String, Value>) {
    for name in ["raw_user_meta_data", "raw_app_meta_data", "user_metadata", "app_metadata"] {
        if let Some(value) = user.get_mut(name) {
            *value = row::parsed(value);
        }
    }
}

fn finish(user: &Map<String, Value>, converted: &mut Converted) {
    if let Some(hash) = row::text(user, "encrypted_password") {
        converted.set_password(hash::self_describing(&hash));
    }
    if let Some(number) = row::text(user, "phone") {
        // Supabase stores E.164 without the plus sign.
        let number = if number.starts_with('+') { number } else { format!("+{number}") };
        match phone::e164(&number) {
            Some(number) => converted.set("phone_number", number.into()),
            None => converted.lose(&crate::field::PHONE_FORMAT, "phone_number"),
        }
    }
    let banned = row::text(user, "banned_until").and_then(|until| time::parse(&until));
    if banned.is_some_and(|until| until > Timestamp::now()) {
        converted.set("blocked", true.into());
        converted.lose(&BANNED_FOR_A_TIME, "blocked");
    }
}
