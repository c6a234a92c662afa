//! Drupal: the table `users_field_data` of version 8 and later, and `users` of version 7.
//!
//! Sources: `core/modules/user` (the entity `User`) and `user_schema` of Drupal, `PhpPassword` and the module "Password
//! compatibility" (`phpass`): hashes are bcrypt since 10.1, repeated SHA-512 (`$S$`) before.

use serde_json::{Map, Value};

use crate::bits::hex;
use crate::converted::Converted;
use crate::field::{Convert, Field, field, skip, text};
use crate::hash::{self, Hash};
use crate::row;
use crate::source::{SOURCE, Source};
use crate::table_export::{remove_nulls, set_user_name};

pub(crate) static DRUPAL: Source = Source {
    name: "drupal",
    title: "Drupal",
    signatures: &[
        &["uid", "pass", "mail", "init"],
        &["uid", "pass", "mail", "preferred_langcode"],
        &["uid", "name", "mail", "preferred_langcode"],
        &["uid", "name", "pass", "mail", "status"],
        &["uid", "name", "pass", "mail", "signature_format"],
    ],
    fields: FIELDS,
    prepare: Some(remove_nulls),
    finish: Some(finish),
    ..SOURCE
};

const FIELDS: &[Field] = &[
    text("uid", "user_id"),
    text("mail", "email"),
    text("name", "name"),
    field("status", "blocked", Convert::Not),
    text("timezone", "user_metadata.timezone"),
    text("preferred_langcode", "user_metadata.locale"),
    text("language", "user_metadata.locale"),
    field("created", "app_metadata.registered_at", Convert::Time),
    skip("pass"),
    skip("init"),
    skip("uuid"),
    skip("langcode"),
    skip("preferred_admin_langcode"),
    skip("default_langcode"),
    skip("changed"),
    skip("access"),
    skip("login"),
    skip("theme"),
    skip("signature"),
    skip("signature_format"),
    skip("picture"),
    skip("data"),
];

fn finish(user: &Map<String, Value>, converted: &mut Converted) {
    set_user_name(row::text(user, "name"), converted);
    if let Some(text) = row::text(user, "pass") {
        converted.set_password(password(&text));
    }
}

/// Returns the hash of `pass`.
fn password(text: &str) -> Hash {
    // MD5 of Drupal 6.
    match hex(text) {
        Some(bytes) => hash::digest("md5", &bytes, None),
        None => hash::self_describing(text),
    }
}
