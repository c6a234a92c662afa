//! Laravel: its table `users`.
//!
//! Sources: `database/migrations/0001_01_01_000000_create_users_table.php` of laravel/laravel, "Hashing" in the
//! documentation of Laravel, and the migration of laravel/fortify for second factors, which encrypts their secrets.

use serde_json::{Map, Value};

use crate::converted::Converted;
use crate::field::{Convert, Field, field, skip, text};
use crate::row;
use crate::source::{SOURCE, Source};
use crate::table_export::{ENCRYPTED_TOTP, remove_nulls, set_phone, set_user_name};

pub(crate) static LARAVEL: Source = Source {
    name: "laravel",
    title: "Laravel",
    signatures: &[
        &["email_verified_at", "remember_token"],
        &["email_verified_at", "password", "created_at", "updated_at"],
        &["email_verified_at", "two_factor_secret", "two_factor_recovery_codes"],
    ],
    fields: FIELDS,
    prepare: Some(remove_nulls),
    finish: Some(finish),
    ..SOURCE
};

const FIELDS: &[Field] = &[
    text("id", "user_id"),
    text("email", "email"),
    field("email_verified_at", "email_verified", Convert::Present),
    field("password", "password_hash", Convert::Hash),
    // Soft deletion keeps the row.
    field("deleted_at", "blocked", Convert::Present),
    text("name", "name"),
    text("first_name", "given_name"),
    text("last_name", "family_name"),
    text("nickname", "nickname"),
    text("locale", "user_metadata.locale"),
    text("timezone", "user_metadata.timezone"),
    skip("username"),
    skip("phone"),
    skip("phone_verified_at"),
    skip("two_factor_*"),
    skip("remember_token"),
    skip("api_token"),
    // The path of a file of the application.
    skip("profile_photo_path"),
    skip("current_team_id"),
    skip("created_at"),
    skip("updated_at"),
];

fn finish(user: &Map<String, Value>, converted: &mut Converted) {
    set_user_name(row::text(user, "username"), converted);
    let is_verified = row::text(user, "phone_verified_at").map(|_| true);
    set_phone(row::text(user, "phone"), is_verified, converted);
    if row::text(user, "two_factor_secret").is_some() {
        converted.lose(&ENCRYPTED_TOTP, "mfa_factors");
    }
}
