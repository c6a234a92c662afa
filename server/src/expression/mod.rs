//! What a column says: parse -> path | transform call | JavaScript (design, section 6).

/// What an expression is, as the UI and `/api/preview` name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Alternatives of paths and literals, computed natively.
    Path,
    /// A call of a compiled transform.
    Transform,
    /// Everything else that parses as one expression.
    JavaScript,
}
