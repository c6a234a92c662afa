//! Microsoft Entra ID (Azure Active Directory): the list of users that the portal exports, the templates of its bulk
//! operations, users of Microsoft Graph, and the list of the Microsoft 365 admin center.
//!
//! Sources: "Bulk create users", "Download a list of users" and the resource type `user` in the documentation of
//! Microsoft Entra and Microsoft Graph. Entra exports no password hashes.

use serde_json::{Map, Value};

use crate::converted::Converted;
use crate::field::{Convert, Field, field, skip, text};
use crate::row;
use crate::source::{SOURCE, Source};

pub(crate) static ENTRA: Source = Source {
    name: "entra",
    title: "Microsoft Entra ID",
    signatures: &[
        &["userPrincipalName", "displayName", "surname"],
        &["userPrincipalName", "displayName", "accountEnabled"],
        &["userPrincipalName", "displayName", "userType"],
        &["userPrincipalName", "displayName", BLOCK],
        &["userPrincipalName", "displayName", "usageLocation"],
    ],
    fields: FIELDS,
    member: Some("value"),
    rename: Some(rename),
    prepare: Some(separate_template_columns),
    finish: Some(finish),
    ..SOURCE
};

/// The column of a template that says whether a user may not sign in. Its bracket says `accountEnabled`, which is the
/// opposite.
const BLOCK: &str = "Block sign in";

const FIELDS: &[Field] = &[
    text("id", "user_id"),
    text("mail", "email"),
    text("displayName", "name"),
    text("givenName", "given_name"),
    text("surname", "family_name"),
    field("accountEnabled", "blocked", Convert::Not),
    field("passwordProfile.password", "password_hash", Convert::PlainPassword),
    field("mobilePhone", "phone_number", Convert::Phone),
    text("preferredLanguage", "user_metadata.locale"),
    text("city", "user_metadata.city"),
    text("state", "user_metadata.state"),
    text("country", "user_metadata.country"),
    text("postalCode", "user_metadata.postal_code"),
    text("streetAddress", "user_metadata.street"),
    // The company decides about these.
    text("usageLocation", "app_metadata.usage_location"),
    text("jobTitle", "app_metadata.title"),
    text("department", "app_metadata.department"),
    text("companyName", "app_metadata.organization"),
    text("officeLocation", "app_metadata.office"),
    text("employeeId", "app_metadata.employee_number"),
    text("employeeType", "app_metadata.employee_type"),
    text("userType", "app_metadata.user_type"),
    text("manager", "app_metadata.manager"),
    text("telephoneNumber", "app_metadata.office_phone"),
    field("businessPhones", "app_metadata.office_phones", Convert::Value),
    skip("userPrincipalName"),
    skip("otherMails"),
    skip(BLOCK),
    skip("passwordProfile"),
    skip("version"),
    skip("@odata*"),
    skip("ageGroup"),
    skip("consentProvidedForMinor"),
    skip("legalAgeGroupClassification"),
    skip("creationType"),
    skip("directorySynced"),
    skip("invitationState"),
    skip("externalUserState*"),
    skip("identityIssuer"),
    skip("identities"),
    skip("createdDateTime"),
    skip("authentication*"),
    skip("onPremises*"),
    skip("mailNickname"),
    skip("proxyAddresses"),
    skip("imAddresses"),
    skip("assigned*"),
    skip("provisionedPlans"),
    skip("licenseAssignmentStates"),
    skip("lastPasswordChangeDateTime"),
    skip("passwordPolicies"),
    skip("securityIdentifier"),
    skip("signInSessionsValidFromDateTime"),
    skip("refreshTokensValidFromDateTime"),
    skip("deletedDateTime"),
];

/// Names in other forms: older exports, and the columns of the Microsoft 365 admin center.
const SYNONYMS: &[(&str, &str)] = &[
    ("objectId", "id"),
    ("Object Id", "id"),
    ("mobile", "mobilePhone"),
    ("alternateEmailAddress", "otherMails"),
    ("physicalDeliveryOfficeName", "officeLocation"),
    ("User principal name", "userPrincipalName"),
    ("Display name", "displayName"),
    ("First name", "givenName"),
    ("Last name", "surname"),
    ("Block credential", BLOCK),
    ("Mobile Phone", "mobilePhone"),
    ("Phone number", "telephoneNumber"),
    ("Title", "jobTitle"),
    ("Office", "officeLocation"),
    ("Country/Region", "country"),
    ("Postal code", "postalCode"),
    ("Street address", "streetAddress"),
    ("Usage location", "usageLocation"),
    ("Preferred language", "preferredLanguage"),
    ("Proxy addresses", "proxyAddresses"),
    ("Licenses", "assignedLicenses"),
    ("License assignment details", "licenseAssignmentStates"),
    ("Last password change time stamp", "lastPasswordChangeDateTime"),
    ("Password never expires", "passwordPolicies"),
    ("Strong password required", "passwordPolicies"),
    ("Oath token metadata", "authenticationOathToken"),
    ("Soft deletion time stamp", "deletedDateTime"),
    ("When created", "createdDateTime"),
    ("DirSyncEnabled", "onPremisesSyncEnabled"),
    ("Last dirsync time", "onPremisesLastSyncDateTime"),
];

/// Returns the name in the table: that in the brackets of a template's column (`First name [givenName] Required`), and
/// in the case of Microsoft Graph.
fn rename(name: &str) -> Option<String> {
    let bracket = name.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map(|(inner, _)| inner.trim());
    match bracket {
        Some("accountEnabled") => return Some(BLOCK.to_owned()),
        Some("passwordProfile") => return Some("passwordProfile.password".to_owned()),
        _ => {}
    }
    let name = bracket.unwrap_or(name);
    let synonym = SYNONYMS.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, name)| *name);
    let known = || FIELDS.iter().map(|field| field.from).find(|known| known.eq_ignore_ascii_case(name));
    synonym.or_else(known).or(bracket).map(str::to_owned)
}

/// Separates columns of a template from the attributes of the same name, if the reader has reduced them to the names in
/// their brackets: a template says yes or no to blocking, an export true or false to being enabled; and it has the
/// initial password as text.
fn separate_template_columns(user: &mut Map<String, Value>) {
    let is_boolean = |text: &str| ["true", "false"].iter().any(|word| word.eq_ignore_ascii_case(text.trim()));
    if user.get("accountEnabled").and_then(Value::as_str).is_some_and(|text| !is_boolean(text))
        && let Some(word) = user.remove("accountEnabled")
    {
        user.insert(BLOCK.to_owned(), word);
    }
    if user.get("passwordProfile").is_some_and(Value::is_string)
        && let Some(password) = user.remove("passwordProfile")
    {
        user.insert("passwordProfile.password".to_owned(), password);
    }
}

fn finish(user: &Map<String, Value>, converted: &mut Converted) {
    let name = row::text(user, "userPrincipalName");
    // The name of a guest is not an address, but made of it: `ada_example.com#EXT#@tenant.onmicrosoft.com`.
    let is_guest = name.as_deref().is_some_and(|name| name.contains("#EXT#"));
    let others = match user.get("otherMails").map(row::parsed) {
        Some(Value::Array(items)) => items.first().and_then(row::text_of),
        Some(value) => row::text_of(&value),
        None => None,
    };
    if let Some(address) = if is_guest { others } else { name.clone() } {
        converted.set("email", address.into());
    }
    if let Some(name) = name
        && converted.text("email").is_none_or(|email| !email.eq_ignore_ascii_case(&name))
    {
        converted.set("app_metadata.user_principal_name", name.into());
    }
    if let Some(word) = row::text(user, BLOCK) {
        // The portal writes the column, and people its words, in their language.
        let is_blocked = ["yes", "true", "1", "ja", "oui", "si", "sí", "sim"].contains(&word.to_lowercase().as_str());
        converted.set("blocked", is_blocked.into());
    }
}
