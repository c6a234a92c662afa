//! The limits of rows.

/// Maximum nesting of objects and arrays in a row: the limit of `serde_json`, which transforms and the check of an
/// import use, and of every other JSON reader of this program.
pub const MAX_NESTING: usize = uie_json::MAX_DEPTH;

/// Maximum size of a row of an import, in bytes of the file. Auth0 accepts at most 500,000 bytes per request
/// (docs/auth0/import-schema.md); the difference allows for indentation.
pub const MAX_IMPORTED_ROW_BYTES: usize = 4 << 20;

/// Maximum size of a row of an export, in bytes. Larger than [`MAX_IMPORTED_ROW_BYTES`], because a row of an export is
/// not sent to Auth0: it may be a user of 1 MB (docs/auth0/README.md#constants) with every character escaped, or a row
/// of another system, of which only some columns are exported.
pub const MAX_EXPORTED_ROW_BYTES: usize = 64 << 20;
