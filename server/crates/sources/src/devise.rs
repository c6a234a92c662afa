//! Devise, the authentication of Ruby on Rails: its table of users.
//!
//! Sources: `lib/generators/active_record/devise_generator.rb` and `lib/devise/encryptor.rb` of heartcombo/devise, and
//! devise-two-factor. Hashes are bcrypt; the pepper that an application may add to passwords is not in the table.

use serde_json::{Map, Value};

use crate::converted::Converted;
use crate::field::{Convert, Field, field, skip, text};
use crate::row;
use crate::source::{SOURCE, Source};
use crate::table_export::{ENCRYPTED_TOTP, LOCKED, remove_nulls, set_user_name};

pub(crate) static DEVISE: Source = Source {
    name: "devise",
    title: "Devise (Ruby on Rails)",
    signatures: &[
        &["encrypted_password", "reset_password_token"],
        &["encrypted_password", "remember_created_at"],
        &["encrypted_password", "confirmed_at"],
        &["encrypted_password", "sign_in_count"],
        &["encrypted_password", "unlock_token"],
        &["encrypted_password", "otp_required_for_login"],
    ],
    fields: FIELDS,
    prepare: Some(remove_nulls),
    finish: Some(finish),
    ..SOURCE
};

const FIELDS: &[Field] = &[
    text("id", "user_id"),
    text("email", "email"),
    field("encrypted_password", "password_hash", Convert::Hash),
    field("confirmed_at", "email_verified", Convert::Present),
    // Deleted by libraries such as paranoia and discard, which keep the row.
    field("deleted_at", "blocked", Convert::Present),
    field("discarded_at", "blocked", Convert::Present),
    text("first_name", "given_name"),
    text("last_name", "family_name"),
    text("name", "name"),
    text("full_name", "name"),
    text("nickname", "nickname"),
    text("locale", "user_metadata.locale"),
    text("time_zone", "user_metadata.timezone"),
    skip("username"),
    skip("login"),
    skip("locked_at"),
    skip("otp_*"),
    skip("encrypted_otp_*"),
    skip("consumed_timestep"),
    skip("reset_password_*"),
    skip("remember_*"),
    skip("sign_in_count"),
    skip("current_sign_in_*"),
    skip("last_sign_in_*"),
    skip("confirmation_*"),
    skip("unconfirmed_email"),
    skip("failed_attempts"),
    skip("unlock_token"),
    skip("authentication_token"),
    skip("invitation_*"),
    skip("created_at"),
    skip("updated_at"),
];

fn finish(user: &Map<String, Value>, converted: &mut Converted) {
    set_user_name(row::text(user, "username").or_else(|| row::text(user, "login")), converted);
    if row::text(user, "locked_at").is_some() {
        converted.set("blocked", true.into());
        converted.lose(&LOCKED, "blocked");
    }
    if row::boolean(user, "otp_required_for_login") == Some(false) {
        return;
    }
    match user.get("otp_secret") {
        Some(Value::String(secret)) if secret.trim_start().starts_with('{') => {
            // Active Record encrypts attributes as an object of JSON.
            converted.lose(&ENCRYPTED_TOTP, "mfa_factors");
        }
        Some(Value::String(secret)) if !secret.trim().is_empty() => converted.set_totp(secret),
        Some(Value::Object(_)) => converted.lose(&ENCRYPTED_TOTP, "mfa_factors"),
        _ if row::text(user, "encrypted_otp_secret").is_some() => converted.lose(&ENCRYPTED_TOTP, "mfa_factors"),
        _ => {}
    }
}
