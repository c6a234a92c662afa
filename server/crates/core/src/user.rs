//! The table of root attributes of an Auth0 user, and how each can be used (docs/auth0/user-profile.md#attributes).

/// The JSON type of a root attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer,
    /// An ISO 8601 date in UTC.
    Date,
    /// A JSON object (metadata).
    Object,
    /// A JSON array.
    Array,
}

/// A root attribute of a user, and how it can be used.
#[derive(Clone, Copy, Debug)]
pub struct Attribute {
    /// Its name as Auth0 spells it.
    pub name: &'static str,
    /// Its JSON type.
    pub kind: Kind,
    /// Whether it can be used in a search query.
    pub searchable: bool,
    /// Whether an import file may contain it.
    pub importable: bool,
    /// Whether an import with `upsert` changes it.
    pub upsertable: bool,
    /// Whether it can be exported.
    pub exportable: bool,
}

const fn attribute(name: &'static str, kind: Kind, flags: &[u8]) -> Attribute {
    let (mut s, mut i, mut p, mut e, mut at) = (false, false, false, false, 0);
    while at < flags.len() {
        match flags[at] {
            b'S' => s = true,
            b'I' => i = true,
            b'P' => p = true,
            _ => e = true,
        }
        at += 1;
    }
    Attribute { name, kind, searchable: s, importable: i, upsertable: p, exportable: e }
}

/// Every root attribute that Auth0 documents. S: searchable, I: importable, P: upsertable, E: exportable. Only the
/// import schema has the last three (docs/auth0/import-schema.md).
pub const ATTRIBUTES: &[Attribute] = &[
    attribute("user_id", Kind::Text, b"SIE"),
    attribute("email", Kind::Text, b"SIE"),
    attribute("email_verified", Kind::Boolean, b"SIPE"),
    attribute("username", Kind::Text, b"SIE"),
    attribute("phone_number", Kind::Text, b"SIE"),
    attribute("phone_verified", Kind::Boolean, b"SIE"),
    attribute("name", Kind::Text, b"SIPE"),
    attribute("given_name", Kind::Text, b"SIPE"),
    attribute("family_name", Kind::Text, b"SIPE"),
    attribute("nickname", Kind::Text, b"SIPE"),
    attribute("picture", Kind::Text, b"IPE"),
    attribute("blocked", Kind::Boolean, b"SIE"),
    attribute("app_metadata", Kind::Object, b"SIPE"),
    attribute("user_metadata", Kind::Object, b"SIPE"),
    attribute("created_at", Kind::Date, b"SE"),
    attribute("updated_at", Kind::Date, b"SE"),
    attribute("last_login", Kind::Date, b"SE"),
    attribute("last_ip", Kind::Text, b"SE"),
    attribute("logins_count", Kind::Integer, b"SE"),
    attribute("last_password_reset", Kind::Date, b"E"),
    attribute("multifactor", Kind::Array, b"E"),
    attribute("multifactor_last_modified", Kind::Date, b"E"),
    attribute("identities", Kind::Array, b"SE"),
    attribute("password_hash", Kind::Text, b"I"),
    attribute("custom_password_hash", Kind::Object, b"IP"),
    attribute("mfa_factors", Kind::Array, b"I"),
];

/// Returns the documented attribute of this name; `None` for other names.
pub fn find(name: &str) -> Option<&'static Attribute> {
    ATTRIBUTES.iter().find(|attribute| attribute.name == name)
}

/// The eleven default columns of an export as (expression, column name)
/// (docs/auth0/original-extension.md#client-behaviour).
pub const DEFAULT_COLUMNS: [(&str, &str); 11] = [
    ("user_id", "Id"),
    ("given_name", "Given Name"),
    ("family_name", "Family Name"),
    ("nickname", "Nickname"),
    ("name", "Name"),
    ("email", "Email"),
    ("email_verified", "Email Verified"),
    ("picture", "Picture"),
    ("identities[0].connection", "Connection"),
    ("created_at", "Created At"),
    ("updated_at", "Updated At"),
];

/// Returns the importable attribute whose name is most similar to an unknown one; `None` if none is similar enough to
/// be a typo.
pub fn nearest_importable(name: &str) -> Option<&'static str> {
    nearest(name, |attribute| attribute.importable)
}

/// As [`nearest_importable`] for exportable attributes.
pub fn nearest_exportable(name: &str) -> Option<&'static str> {
    nearest(name, |attribute| attribute.exportable)
}

fn nearest(name: &str, eligible: impl Fn(&Attribute) -> bool) -> Option<&'static str> {
    let wanted = name.to_ascii_lowercase().replace([' ', '-'], "_");
    let length = wanted.chars().count();
    let max_distance = |candidate: &str| candidate.len().div_ceil(4);
    ATTRIBUTES
        .iter()
        .filter(|attribute| eligible(attribute))
        // The distance is at least the difference of the lengths. Most names are excluded by this; the exact distance
        // is slow, and rows with an unknown attribute may be many.
        .filter(|attribute| attribute.name.len().abs_diff(length) <= max_distance(attribute.name))
        .map(|attribute| (strsim::damerau_levenshtein(&wanted, attribute.name), attribute.name))
        .filter(|(distance, candidate)| *distance <= max_distance(candidate))
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attribute_names_are_unique() {
        let mut names: Vec<_> = ATTRIBUTES.iter().map(|attribute| attribute.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ATTRIBUTES.len());
    }

    #[test]
    fn title_case_headers_of_the_original_export_match_attributes() {
        assert_eq!(nearest_importable("Given Name"), Some("given_name"));
        assert_eq!(nearest_importable("Email"), Some("email"));
        assert_eq!(nearest_importable("shoe size"), None);
    }
}
