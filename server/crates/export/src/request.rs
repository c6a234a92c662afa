//! The request for an export, not yet validated.

use serde::{Deserialize, Serialize};

use super::format::Format;
use uie_expression::{ExpressionRequest, Pins};

/// The body of `POST /api/jobs/export`. The command line creates it too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ExportRequest {
    /// Output format.
    pub format: Format,
    /// Only users of this connection.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub connection_id: Option<String>,
    /// Columns; without them whole users are exported, or the default columns in CSV.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fields: Option<Vec<FieldRequest>>,
    /// A predefined set of columns; `fields` change or extend it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub preset: Option<Preset>,
    /// Only users that match this Lucene query.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub query: Option<String>,
    /// Order of rows.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sort: Option<SortRequest>,
    /// Maximum number of users.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub limit: Option<u64>,
    /// CSV: one ASCII character between cells.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub delimiter: Option<String>,
    /// CSV: start with a byte-order mark.
    #[serde(default)]
    pub bom: bool,
    /// CSV: do not guard cells that spreadsheets would interpret as formulas.
    #[serde(default)]
    pub raw_cells: bool,
    /// Compress the file.
    #[serde(default)]
    pub gzip: bool,
    /// What to do with a row if one of its cells cannot be computed.
    #[serde(default)]
    pub on_error: OnError,
    /// Versions of transforms: the SHA-256 of the file, by name. Transforms that are not listed use their active
    /// version.
    #[serde(default, skip_serializing_if = "Pins::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = std::collections::BTreeMap<String, String>))]
    pub transforms: Pins,
}

impl ExpressionRequest for ExportRequest {
    fn expressions(&mut self) -> Vec<&mut String> {
        let fields = self.fields.iter_mut().flatten().map(|field| &mut field.name);
        fields.chain(self.sort.iter_mut().map(|sort| &mut sort.by)).collect()
    }

    fn pins(&mut self) -> &mut Pins {
        &mut self.transforms
    }
}

/// A predefined set of columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// A JSON array that can be imported into another tenant without changes: only importable attributes under their
    /// own names, without the prefix `auth0|` in `user_id`. Users without an e-mail address are omitted and counted.
    /// Columns of the request replace attributes of the same name, or are added.
    Import,
}

/// A column of a request; `name` is an expression.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct FieldRequest {
    /// The expression.
    pub name: String,
    /// The column's name; the expression itself when absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub export_as: Option<String>,
}

/// The order of rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SortRequest {
    /// The expression to sort by.
    pub by: String,
    /// Largest first. Missing values are last in both orders.
    #[serde(default)]
    pub descending: bool,
}

/// What to do with a row if one of its cells cannot be computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// Leave the cell empty and count it.
    #[default]
    Empty,
    /// Stop the job.
    Fail,
}
