//! Django: the table `auth_user` as CSV, and `dumpdata auth.user` as JSON.
//!
//! Sources: `django/contrib/auth/models.py` and `hashers.py`, "Password management in Django". The salt of a hash is
//! text whose bytes are the salt; PHC strings have it as Base64.

use serde_json::{Map, Value};

use crate::bits::{base64, hex};
use crate::converted::{Converted, LossKind};
use crate::field::{Convert, Field, UNKNOWN_HASH, field, password_lost, skip, text};
use crate::hash::{self, CRYPT, Hash, SaltPosition};
use crate::row;
use crate::source::{SOURCE, Source};
use crate::table_export::{remove_nulls, set_user_name};
use uie_core::message::message;

pub(crate) static DJANGO: Source = Source {
    name: "django",
    title: "Django",
    signatures: &[
        &["password", "is_superuser", "is_staff", "is_active"],
        &["is_superuser", "is_staff", "date_joined"],
        &["model", "pk", "fields.password"],
        &["model", "pk", "fields.is_superuser"],
        &["model", "pk", "fields.date_joined"],
    ],
    fields: FIELDS,
    prepare: Some(flatten),
    finish: Some(finish),
    ..SOURCE
};

const FIELDS: &[Field] = &[
    text("id", "user_id"),
    text("email", "email"),
    text("first_name", "given_name"),
    text("last_name", "family_name"),
    field("is_active", "blocked", Convert::Not),
    field("is_staff", "app_metadata.is_staff", Convert::Boolean),
    field("is_superuser", "app_metadata.is_superuser", Convert::Boolean),
    field("date_joined", "app_metadata.registered_at", Convert::Time),
    skip("password"),
    skip("username"),
    skip("last_login"),
    // Numbers of rows in other tables.
    skip("groups"),
    skip("user_permissions"),
    skip("model"),
    skip("pk"),
    skip("fields"),
];

/// Hashes of the hasher `bcrypt_sha256`.
static BCRYPT_SHA256: LossKind = LossKind {
    code: "BCRYPT_SHA256",
    message: |users| {
        message!("Auth0 cannot check bcrypt of a SHA-256 digest (Django's bcrypt_sha256); users: {users}.")
    },
    hint: password_lost,
};

/// Moves the members of `fields` of `dumpdata` to the row.
fn flatten(user: &mut Map<String, Value>) {
    if let Some(Value::Object(fields)) = user.remove("fields") {
        if let Some(id) = user.remove("pk") {
            user.insert("id".to_owned(), id);
        }
        user.extend(fields);
    }
    remove_nulls(user);
}

fn finish(user: &Map<String, Value>, converted: &mut Converted) {
    set_user_name(row::text(user, "username"), converted);
    // "!" marks users without a password.
    if let Some(text) = row::text(user, "password").filter(|text| !text.starts_with('!')) {
        converted.set_password(password(&text));
    }
}

/// Returns the hash of `password`: `algorithm$parameters$…`.
fn password(text: &str) -> Hash {
    let Some((algorithm, rest)) = text.split_once('$') else {
        // The hasher `unsalted_md5`.
        return match hex(text) {
            Some(bytes) => hash::digest("md5", &bytes, None),
            None => Err(&UNKNOWN_HASH),
        };
    };
    let parts: Vec<&str> = rest.split('$').collect();
    match (algorithm, parts.as_slice()) {
        ("pbkdf2_sha256", [rounds, salt, hash]) => pbkdf2("sha256", rounds, salt, hash),
        ("pbkdf2_sha1", [rounds, salt, hash]) => pbkdf2("sha1", rounds, salt, hash),
        ("argon2", _) => hash::self_describing(&format!("${rest}")),
        ("bcrypt_sha256", _) => Err(&BCRYPT_SHA256),
        ("bcrypt", _) if hash::is_bcrypt(rest) => Ok(hash::bcrypt(rest)),
        ("scrypt", [cost, salt, block_size, parallelization, hash]) => {
            let number = |text: &str| text.parse().map_err(|_| &UNKNOWN_HASH);
            let hash = base64(hash).ok_or(&UNKNOWN_HASH)?;
            hash::scrypt(number(cost)?, number(block_size)?, number(parallelization)?, salt.as_bytes(), &hash)
        }
        ("md5" | "sha1", [salt, hash]) => {
            let hash = hex(hash).ok_or(&UNKNOWN_HASH)?;
            hash::digest(algorithm, &hash, Some((salt.as_bytes(), SaltPosition::Prefix)))
        }
        ("crypt", _) => Err(&CRYPT),
        // Hashes that another system has written.
        ("", _) => hash::self_describing(text),
        _ => Err(&UNKNOWN_HASH),
    }
}

fn pbkdf2(digest: &str, rounds: &str, salt: &str, hash: &str) -> Hash {
    let rounds = rounds.parse().map_err(|_| &UNKNOWN_HASH)?;
    hash::pbkdf2(digest, rounds, salt.as_bytes(), &base64(hash).ok_or(&UNKNOWN_HASH)?)
}
