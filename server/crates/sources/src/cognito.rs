//! Amazon Cognito user pools: the API's users with a list of attributes, and the CSV template of its imports.
//!
//! Sources: the data types `UserType` and `AttributeType` of the Cognito user pools API; "Importing users into user
//! pools from a CSV file" and "Working with user attributes" in the Amazon Cognito developer guide. Cognito exports no
//! password hashes and no TOTP secrets.

use serde_json::{Map, Value};

use crate::converted::Converted;
use crate::field::{Convert, Field, field, skip, text};
use crate::row;
use crate::source::{SOURCE, Source};

pub(crate) static COGNITO: Source = Source {
    name: "cognito",
    title: "Amazon Cognito",
    signatures: &[
        &["Username", "Attributes", "UserStatus"],
        &["Username", "Attributes", "UserCreateDate"],
        &["Username", "UserAttributes", "UserStatus"],
        &["cognito:username", "cognito:mfa_enabled"],
        &["cognito:username", "email_verified", "phone_number_verified"],
    ],
    fields: FIELDS,
    member: Some("Users"),
    prepare: Some(expand_attributes),
    finish: Some(add_names),
    ..SOURCE
};

const FIELDS: &[Field] = &[
    text("sub", "user_id"),
    text("email", "email"),
    field("email_verified", "email_verified", Convert::Boolean),
    field("phone_number", "phone_number", Convert::Phone),
    field("phone_number_verified", "phone_verified", Convert::Boolean),
    text("name", "name"),
    text("given_name", "given_name"),
    text("family_name", "family_name"),
    text("nickname", "nickname"),
    text("picture", "picture"),
    text("middle_name", "user_metadata.middle_name"),
    text("preferred_username", "user_metadata.preferred_username"),
    text("profile", "user_metadata.profile"),
    text("website", "user_metadata.website"),
    text("gender", "user_metadata.gender"),
    text("birthdate", "user_metadata.birthdate"),
    text("zoneinfo", "user_metadata.zoneinfo"),
    text("locale", "user_metadata.locale"),
    field("address", "user_metadata.address", Convert::Value),
    // Only applications with the right to write an attribute change it, so users must not be able to in Auth0.
    field("custom:*", "app_metadata", Convert::Text),
    field("dev:custom:*", "app_metadata", Convert::Text),
    field("Enabled", "blocked", Convert::Not),
    skip("Username"),
    skip("cognito:username"),
    skip("cognito:mfa_enabled"),
    skip("cognito:user_status"),
    skip("identities"),
    skip("updated_at"),
    skip("UserStatus"),
    skip("UserCreateDate"),
    skip("UserLastModifiedDate"),
    skip("MFAOptions"),
    skip("UserMFASettingList"),
    skip("PreferredMfaSetting"),
];

/// Turns the list of attributes, `[{"Name": "email", "Value": "…"}]`, into members.
fn expand_attributes(user: &mut Map<String, Value>) {
    row::expand_list(user, "Attributes", "Name", "Value");
    row::expand_list(user, "UserAttributes", "Name", "Value");
}

/// Takes the user name: as the address if it is one, as the id if the file has no `sub` (a CSV template), and otherwise
/// as metadata.
fn add_names(user: &Map<String, Value>, converted: &mut Converted) {
    let Some(name) = row::text(user, "Username").or_else(|| row::text(user, "cognito:username")) else { return };
    if name.contains('@') {
        // A pool whose users sign in with their address may lack the attribute.
        converted.set("email", name.into());
    } else if converted.text("user_id").is_none() {
        converted.set("user_id", name.into());
    } else if converted.text("user_id") != Some(name.as_str()) && !name.starts_with('+') {
        // `username` is accepted by connections with user names only.
        converted.set("user_metadata.cognito_username", name.into());
    }
}
