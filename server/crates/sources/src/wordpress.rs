//! WordPress: the table `wp_users`, and `wp user list` of WP-CLI.
//!
//! Sources: `wp-admin/includes/schema.php`, `wp_hash_password` and `wp_check_password` in `wp-includes/pluggable.php`,
//! and the announcement "WordPress 6.8 will use bcrypt for password hashing".

use serde_json::{Map, Value};

use crate::bits::hex;
use crate::converted::{Converted, LossKind};
use crate::field::{Field, password_lost, skip, text};
use crate::hash::{self, Hash};
use crate::row;
use crate::source::{SOURCE, Source};
use crate::table_export::{remove_nulls, set_user_name};
use uie_core::message::message;

pub(crate) static WORDPRESS: Source = Source {
    name: "wordpress",
    title: "WordPress",
    signatures: &[
        &["user_login", "user_pass"],
        &["user_login", "user_email", "user_registered"],
        &["user_login", "user_email", "display_name"],
        &["user_login", "user_email", "roles"],
    ],
    fields: FIELDS,
    prepare: Some(remove_nulls),
    finish: Some(finish),
    ..SOURCE
};

const FIELDS: &[Field] = &[
    text("ID", "user_id"),
    text("id", "user_id"),
    text("user_email", "email"),
    text("display_name", "name"),
    // Columns of `wp_usermeta` that tools add.
    text("first_name", "given_name"),
    text("last_name", "family_name"),
    text("nickname", "nickname"),
    text("locale", "user_metadata.locale"),
    text("user_url", "user_metadata.website"),
    text("url", "user_metadata.website"),
    text("description", "user_metadata.description"),
    skip("user_registered"),
    skip("user_login"),
    skip("user_pass"),
    skip("user_nicename"),
    skip("user_activation_key"),
    skip("user_status"),
    skip("session_tokens"),
    skip("spam"),
    skip("deleted"),
    skip("roles"),
];

/// Hashes of WordPress 6.8 and later.
static WORDPRESS_BCRYPT: LossKind = LossKind {
    code: "WORDPRESS_BCRYPT",
    message: |users| {
        message!(
            "Auth0 cannot check hashes of WordPress 6.8 ($wp$), bcrypt of an HMAC of the password; users: {users}."
        )
    },
    hint: password_lost,
};

fn finish(user: &Map<String, Value>, converted: &mut Converted) {
    set_user_name(row::text(user, "user_login"), converted);
    if let Some(text) = row::text(user, "user_pass") {
        converted.set_password(password(&text));
    }
    if let Some(time) = row::text(user, "user_registered") {
        // WordPress stores times in UTC, without saying so.
        let time = crate::time::parse(&format!("{}Z", time.replacen(' ', "T", 1)));
        converted.set("app_metadata.registered_at", time.map_or(Value::Null, |time| time.to_string().into()));
    }
    if let Some(roles) = row::text(user, "roles") {
        let roles: Vec<&str> = roles.split(',').map(str::trim).filter(|role| !role.is_empty()).collect();
        converted.set("app_metadata.roles", roles.into());
    }
    // Networks of sites mark accounts so.
    if ["spam", "deleted"].iter().any(|name| row::boolean(user, name) == Some(true)) {
        converted.set("blocked", true.into());
    }
}

/// Returns the hash of `user_pass`.
fn password(text: &str) -> Hash {
    if text.starts_with("$wp") {
        return Err(&WORDPRESS_BCRYPT);
    }
    // MD5, from before WordPress 2.5.
    match hex(text) {
        Some(bytes) => hash::digest("md5", &bytes, None),
        None => hash::self_describing(text),
    }
}
