//! The settings of an import.

use serde::{Deserialize, Serialize};

use super::map_rule::MapRule;
use uie_expression::{ExpressionRequest, Pins};
use uie_records::TextEncoding;

/// Settings of one import, stored with its job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportRequest {
    /// The connection's id; empty for a dry run without a tenant.
    pub connection_id: String,
    /// Update existing users, matched by e-mail; their metadata is replaced.
    #[serde(default)]
    pub upsert: bool,
    /// E-mail the tenant's owners after every chunk.
    #[serde(default)]
    pub send_completion_email: bool,
    /// Text that Auth0 stores with its jobs and returns.
    #[serde(default)]
    pub external_id: Option<String>,
    /// Keep the prefix `auth0|` of a `user_id`.
    #[serde(default)]
    pub keep_id_prefix: bool,
    /// Only check the file; send nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// Attributes computed from the contents of a row.
    #[serde(default)]
    pub map: Vec<MapRule>,
    /// Drop attributes that Auth0 sets itself (`created_at`, `identities`, `last_login`, …), so that an export of
    /// complete users can be imported.
    #[serde(default)]
    pub drop_read_only: bool,
    /// Drop attributes without content (`null`, `""`, `{}`, `[]`), and members of metadata that are `null` or `""`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub drop_empty: bool,
    /// Drop columns and attributes that Auth0 does not know, with a warning for each name.
    #[serde(default, skip_serializing_if = "is_false")]
    pub drop_unknown: bool,
    /// Cells and strings that mean an absent value, such as `NULL` and `\N`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub null: Vec<String>,
    /// Import only the rows that match this search query, in Auth0's syntax; empty for all rows.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub query: String,
    /// The system whose export the files are, or `none`; without it, each file is recognized by its content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The encoding of the files, except those that start with a byte order mark; detected if `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<TextEncoding>,
    /// With `dry_run`: look up which users exist and count the rows that would be inserted, updated or refused.
    #[serde(default)]
    pub look_up: bool,
    /// With `upsert`: back up the existing users before anything is sent.
    #[serde(default)]
    pub backup: bool,
    /// Pinned versions of transforms: name to SHA-256 of the file. Transforms that are not listed use the current file.
    #[serde(default, skip_serializing_if = "Pins::is_empty")]
    pub transforms: Pins,
}

/// Leaves options that are not set out of stored settings.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde requires")]
fn is_false(value: &bool) -> bool {
    !value
}

impl ExpressionRequest for ImportRequest {
    fn expressions(&mut self) -> Vec<&mut String> {
        self.map.iter_mut().map(|rule| &mut rule.expression).collect()
    }

    fn pins(&mut self) -> &mut Pins {
        &mut self.transforms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_earlier_versions_are_read_and_all_options_are_stored() {
        let old = r#"{"connection_id":"con_1","upsert":true,"map":[{"expression":"user.Mail","attribute":"email"}]}"#;
        let request: ImportRequest = serde_json::from_str(old).unwrap();
        assert!(!request.drop_empty && !request.drop_unknown && request.null.is_empty() && request.query.is_empty());
        let stored = serde_json::to_string(&request).unwrap();
        assert!(!stored.contains("drop_empty") && !stored.contains("query"), "{stored}");
        let request = ImportRequest {
            drop_empty: true,
            drop_unknown: true,
            null: vec!["NULL".to_owned(), "\\N".to_owned()],
            query: "email_verified:true".to_owned(),
            ..request
        };
        let stored = serde_json::to_string(&request).unwrap();
        assert_eq!(serde_json::from_str::<ImportRequest>(&stored).unwrap(), request);
    }
}
