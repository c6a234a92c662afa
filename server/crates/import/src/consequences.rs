//! Counts what an import does that its user may not expect, so that it can be said before anything is sent: attributes
//! that an upsert never changes, metadata that it replaces, and users of other providers who would become database
//! users (docs/import.md#existing-users, docs/import.md#users-of-other-providers).

use std::collections::BTreeMap;

use serde_json::Value;

use super::row_fault::{RowFault, RowLocation, Severity};
use super::row_identity::ID_PREFIX;
use uie_core::message::{Message, message};

/// Codes of warnings about the whole import.
const CODES: &[&str] = &["UPSERT_UNCHANGED", "UPSERT_PASSWORD", "UPSERT_REPLACES", "OTHER_PROVIDER"];

/// Providers of users who are in no database connection, as ids and identities name them
/// (docs/auth0/user-profile.md#attributes).
const PROVIDERS: &[&str] = &[
    "ad",
    "adfs",
    "amazon",
    "apple",
    "aol",
    "baidu",
    "bitbucket",
    "box",
    "custom",
    "daccount",
    "dropbox",
    "dwolla",
    "email",
    "evernote",
    "evernote-sandbox",
    "exact",
    "facebook",
    "fitbit",
    "flickr",
    "github",
    "google-apps",
    "google-oauth2",
    "guardian",
    "instagram",
    "ip",
    "line",
    "linkedin",
    "miicard",
    "oauth1",
    "oauth2",
    "office365",
    "oidc",
    "okta",
    "paypal",
    "paypal-sandbox",
    "pingfederate",
    "planningcenter",
    "renren",
    "salesforce",
    "salesforce-community",
    "salesforce-sandbox",
    "samlp",
    "sharepoint",
    "shopify",
    "sms",
    "soundcloud",
    "thecity",
    "thirtysevensignals",
    "twitter",
    "untappd",
    "vkontakte",
    "waad",
    "weibo",
    "windowslive",
    "wordpress",
    "yahoo",
    "yammer",
    "yandex",
];

/// Attributes that are counted in an import with upsert.
pub(super) const COUNTED: [(&str, Effect); 10] = [
    ("blocked", Effect::Unchanged),
    ("username", Effect::Unchanged),
    ("phone_number", Effect::Unchanged),
    ("phone_verified", Effect::Unchanged),
    ("user_id", Effect::Unchanged),
    ("password_hash", Effect::Unchanged),
    ("custom_password_hash", Effect::UntilSignIn),
    ("mfa_factors", Effect::Unchanged),
    ("app_metadata", Effect::Replaced),
    ("user_metadata", Effect::Replaced),
];

/// What an upsert does with an attribute of users who exist (docs/auth0/import-schema.md#attributes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Unchanged,
    UntilSignIn,
    Replaced,
}

/// The attributes of a row that are counted: bit `n` is set if the row has attribute `n` of [`COUNTED`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CountedAttributes(u16);

impl CountedAttributes {
    /// Returns the attributes of which a row has those that are true, in the order of [`COUNTED`].
    pub(super) fn new(has: [bool; COUNTED.len()]) -> Self {
        Self(has.iter().rev().fold(0, |bits, has| bits << 1 | u16::from(*has)))
    }

    /// Returns the attributes with these names.
    pub(super) fn of<'n>(names: impl Iterator<Item = &'n str>) -> Self {
        let bit = |name: &str| COUNTED.iter().position(|(known, _)| *known == name);
        Self(names.filter_map(bit).fold(0, |bits, at| bits | 1 << at))
    }
}

/// The provider of a user who is in no database connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct OtherProvider {
    name: &'static str,
    /// Whether the id names it; otherwise the first identity does.
    by_id: bool,
}

impl OtherProvider {
    /// Returns the provider of a user of Auth0; `None` for users of databases, and if the provider is not known.
    pub(super) fn of(user_id: Option<&str>, identities: Option<&Value>) -> Option<Self> {
        let known = |name: &str| PROVIDERS.iter().find(|known| **known == name).copied();
        let id = user_id.unwrap_or_default();
        if id.starts_with(ID_PREFIX) {
            return None;
        }
        if let Some(name) = id.split_once('|').and_then(|(prefix, _)| known(prefix)) {
            return Some(Self { name, by_id: true });
        }
        let provider = identities?.get(0)?.get("provider")?.as_str()?;
        known(provider).map(|name| Self { name, by_id: false })
    }

    /// As [`OtherProvider::of`] for a parsed row.
    pub(super) fn of_row(row: &Value) -> Option<Self> {
        Self::of(row.get("user_id").and_then(Value::as_str), row.get("identities"))
    }
}

/// Rows that something applies to.
#[derive(Clone, Debug, Default)]
struct Count {
    rows: u64,
    first: RowLocation,
}

impl Count {
    fn add(&mut self, location: &RowLocation) {
        if self.rows == 0 {
            self.first = location.clone();
        }
        self.rows += 1;
    }
}

/// Counts the rows of an import that would be sent.
#[derive(Debug)]
pub(super) struct Consequences {
    upsert: bool,
    attributes: [Count; COUNTED.len()],
    providers: BTreeMap<OtherProvider, Count>,
}

impl Consequences {
    /// Creates counts of an import.
    pub(super) fn new(upsert: bool) -> Self {
        Self { upsert, attributes: Default::default(), providers: BTreeMap::new() }
    }

    /// Counts a row; `attributes` is only called with upsert.
    pub(super) fn add(
        &mut self,
        location: &RowLocation,
        attributes: impl FnOnce() -> CountedAttributes,
        provider: Option<OtherProvider>,
    ) {
        if self.upsert {
            let CountedAttributes(mut bits) = attributes();
            while let Some(count) = self.attributes.get_mut(bits.trailing_zeros() as usize) {
                count.add(location);
                bits &= bits - 1;
            }
        }
        if let Some(provider) = provider {
            self.providers.entry(provider).or_default().add(location);
        }
    }

    /// Returns one warning for each consequence.
    pub(super) fn warnings(&self) -> Vec<RowFault> {
        let counted = COUNTED.iter().zip(&self.attributes).filter(|(_, count)| count.rows > 0);
        let attributes = counted.map(|((name, effect), count)| upsert_warning(name, *effect, count));
        attributes.chain(self.provider_warning()).collect()
    }

    fn provider_warning(&self) -> Option<RowFault> {
        let rows: u64 = self.providers.values().map(|count| count.rows).sum();
        let first = self.providers.values().map(|count| &count.first).min_by_key(|first| first.row)?;
        let mut names: Vec<&str> = self.providers.keys().map(|provider| provider.name).collect();
        names.dedup();
        let query: Vec<String> = self
            .providers
            .keys()
            .map(
                |OtherProvider { name, by_id }| {
                    if *by_id { format!("NOT user_id:{name}|*") } else { format!("NOT identities.provider:{name}") }
                },
            )
            .collect();
        let names = names.join(", ");
        let message = if rows == 1 {
            message!(
                "1 user is of another provider ({names}) and would become a database user, who cannot sign in with \
                 that provider."
            )
        } else {
            message!(
                "{rows} users are of other providers ({names}) and would become database users, who cannot sign in \
                 with these providers."
            )
        };
        let hint = message!("Leave them out with --query '{query}'.", query = query.join(" AND "));
        let attribute = if self.providers.keys().any(|provider| provider.by_id) { "user_id" } else { "identities" };
        Some(warning("OTHER_PROVIDER", attribute, first, message, hint))
    }
}

fn upsert_warning(name: &'static str, effect: Effect, count: &Count) -> RowFault {
    let rows = count.rows;
    let (code, message, hint) = match effect {
        Effect::Unchanged => (
            "UPSERT_UNCHANGED",
            if rows == 1 {
                message!("An upsert never changes {name} of users who exist; 1 row has it.")
            } else {
                message!("An upsert never changes {name} of users who exist; {rows} rows have it.")
            },
            match name {
                "blocked" => message!("Users who exist stay as they are; block or unblock them in the tenant."),
                "password_hash" => message!("Users who exist keep their password."),
                _ => message!("It is used for new users only."),
            },
        ),
        Effect::UntilSignIn => (
            "UPSERT_PASSWORD",
            if rows == 1 {
                message!(
                    "An upsert changes {name} only of users who have not signed in with an imported one; 1 row has it."
                )
            } else {
                message!(
                    "An upsert changes {name} only of users who have not signed in with an imported one; {rows} rows \
                     have it."
                )
            },
            message!("Other users who exist keep their password."),
        ),
        Effect::Replaced => (
            "UPSERT_REPLACES",
            if rows == 1 {
                message!("An upsert replaces {name} of users who exist and does not merge it; 1 row has it.")
            } else {
                message!("An upsert replaces {name} of users who exist and does not merge it; {rows} rows have it.")
            },
            message!("Keys that the file does not have are lost; a backup (--backup FILE) keeps the old values."),
        ),
    };
    warning(code, name, &count.first, message, hint)
}

/// A warning about the whole import, with the line of the first row that it applies to.
fn warning(code: &str, attribute: &str, first: &RowLocation, message: Message, hint: Message) -> RowFault {
    RowFault {
        attribute: Some(attribute.to_owned()),
        hint: Some(hint),
        ..RowFault::file_warning(code, first.line, message, first.file.as_deref())
    }
}

impl RowFault {
    /// Returns whether this is a warning about what the whole import does, which should be shown before users are sent.
    pub fn is_consequence(&self) -> bool {
        self.row == 0 && self.severity == Severity::Warning && CODES.contains(&self.code.as_str())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uie_core::user;

    use super::*;

    #[test]
    fn every_attribute_that_an_upsert_does_not_change_is_counted() {
        for attribute in user::ATTRIBUTES.iter().filter(|attribute| attribute.importable && attribute.name != "email") {
            let effect = COUNTED.iter().find(|(name, _)| *name == attribute.name).map(|(_, effect)| *effect);
            assert_eq!(effect == Some(Effect::Unchanged), !attribute.upsertable, "{}", attribute.name);
        }
    }

    #[test]
    fn attributes_are_counted_alike_by_name_and_by_position() {
        for at in 0..COUNTED.len() {
            let mut has = [false; COUNTED.len()];
            has[at] = true;
            has[3] = true;
            let names = COUNTED.iter().enumerate().filter(|(index, _)| has[*index]).map(|(_, (name, _))| *name);
            assert_eq!(CountedAttributes::new(has), CountedAttributes::of(names));
        }
    }

    #[test]
    fn providers_are_found_by_id_and_by_identity() {
        for (row, expected) in [
            (json!({ "user_id": "google-oauth2|1" }), Some(("google-oauth2", true))),
            (json!({ "user_id": "auth0|1", "identities": [{ "provider": "samlp" }] }), None),
            (json!({ "user_id": "legacy|1" }), None),
            (json!({ "user_id": "1", "identities": [{ "provider": "samlp" }] }), Some(("samlp", false))),
            (json!({ "identities": [{ "provider": "auth0" }, { "provider": "samlp" }] }), None),
            (json!({ "identities": [] }), None),
            (json!({}), None),
        ] {
            let found = OtherProvider::of_row(&row).map(|provider| (provider.name, provider.by_id));
            assert_eq!(found, expected, "{row}");
        }
    }
}
