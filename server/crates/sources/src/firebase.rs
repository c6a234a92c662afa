//! Firebase Authentication: `firebase auth:export` as JSON and as CSV without a header.
//!
//! Sources: "auth:import and auth:export" in the documentation of the Firebase CLI, and `src/accountExporter.ts` of
//! firebase-tools. Its hashes are always those of Firebase's modified scrypt, whose result is encrypted with a key of
//! the project (github.com/firebase/scrypt); the exporter leaves out the others.

use serde_json::{Map, Value};

use crate::converted::{Converted, LossKind};
use crate::field::{Convert, Field, field, skip, text};
use crate::hash::FIREBASE_SCRYPT;
use crate::row;
use crate::source::{SOURCE, Source};
use uie_core::message::message;

pub(crate) static FIREBASE: Source = Source {
    name: "firebase",
    title: "Firebase Authentication",
    signatures: &[
        &["localId", "emailVerified", "providerUserInfo"],
        &["localId", "emailVerified", "passwordHash", "salt"],
        &["localId", "emailVerified", "lastSignedInAt", "createdAt"],
        &["localId", "email", "lastSignedInAt", "createdAt"],
        &["localId", "lastSignedInAt", "createdAt", "phoneNumber"],
        &["localId", "customAttributes"],
    ],
    fields: FIELDS,
    member: Some("users"),
    header: Some(column_names),
    finish: Some(add_providers),
    ..SOURCE
};

const FIELDS: &[Field] = &[
    text("localId", "user_id"),
    text("email", "email"),
    field("emailVerified", "email_verified", Convert::Boolean),
    text("displayName", "name"),
    text("photoUrl", "picture"),
    field("phoneNumber", "phone_number", Convert::Phone),
    field("disabled", "blocked", Convert::Boolean),
    // Custom claims: only the server sets them, and applications check them.
    field("customAttributes", "app_metadata", Convert::Merge),
    skip("passwordHash"),
    skip("salt"),
    skip("createdAt"),
    skip("lastSignedInAt"),
    skip("lastLoginAt"),
    skip("providerUserInfo"),
    skip("mfaInfo"),
    skip("validSince"),
    skip("version"),
    skip("passwordUpdatedAt"),
    skip("lastRefreshAt"),
    skip("tenantId"),
    skip("provider.*"),
];

/// The first columns of the CSV file.
const FIRST: &[&str] = &["localId", "email", "emailVerified", "passwordHash", "salt", "displayName", "photoUrl"];

/// The providers whose four columns follow.
const PROVIDERS: &[&str] = &["google.com", "facebook.com", "twitter.com", "github.com"];

/// The columns from the time of creation to the end.
const LAST: &[&str] = &["createdAt", "lastLoginAt", "phoneNumber", "disabled", "customAttributes"];

/// Users who sign in with another provider only, and have no password.
static OTHER_PROVIDER: LossKind = LossKind {
    code: "OTHER_PROVIDER",
    message: |users| {
        message!(
            "Users who signed in with another provider (Google, Facebook, and so on) and have no password: {users}."
        )
    },
    hint: || {
        message!("They become users of the database connection. Link their accounts, or let them reset a password.")
    },
};

/// Names the columns of a CSV file by the cells of its first row: the position of the two times after the columns of the
/// providers differs between versions. `None` if it is no row of Firebase.
fn column_names(cells: &[String]) -> Option<Vec<String>> {
    let cell = |at: usize| cells.get(at).map_or("", |cell| cell.trim());
    let is_millis =
        |at: usize| (12..=14).contains(&cell(at).len()) && cell(at).bytes().all(|byte| byte.is_ascii_digit());
    let fits = !cell(0).is_empty()
        && (cell(1).is_empty() || cell(1).contains('@'))
        && matches!(cell(2), "true" | "false")
        && [3, 4].iter().all(|at| cell(*at).is_empty() || crate::bits::base64(cell(*at)).is_some());
    let created =
        (FIRST.len()..cells.len()).find(|at| is_millis(*at) && (is_millis(at + 1) || cell(at + 1).is_empty()))?;
    if !fits || created < 20 {
        return None;
    }
    let mut names: Vec<String> = FIRST.iter().map(|name| (*name).to_owned()).collect();
    for provider in PROVIDERS {
        names.extend(["rawId", "email", "displayName", "photoUrl"].map(|name| format!("provider.{provider}.{name}")));
    }
    names.resize(created, String::from("provider.other"));
    names.extend(LAST.iter().map(|name| (*name).to_owned()));
    // Every row ends with a comma.
    names.truncate(cells.len());
    let mut at = 0;
    names.resize_with(cells.len(), || {
        at += 1;
        format!("provider.rest{at}")
    });
    Some(names)
}

/// Records why the user has no password.
fn add_providers(user: &Map<String, Value>, converted: &mut Converted) {
    let has_provider = row::array(user, "providerUserInfo").is_some_and(|items| {
        items
            .iter()
            .any(|item| item.get("providerId").and_then(Value::as_str).is_some_and(|id| PROVIDERS.contains(&id)))
    }) || PROVIDERS.iter().any(|name| row::text(user, &format!("provider.{name}.rawId")).is_some());
    if row::text(user, "passwordHash").is_some() {
        converted.lose(&FIREBASE_SCRYPT, "password_hash");
    } else if has_provider {
        converted.lose(&OTHER_PROVIDER, "password_hash");
    }
}
