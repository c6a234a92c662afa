//! What a caller knows about a file before it is read.

use super::text_encoding::TextEncoding;

/// How a file is read, as far as its content does not show it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// Names of the columns of a CSV file without a header; `None` if its first record is the header.
    pub column_names: Option<Vec<String>>,
    /// The encoding, unless the file starts with a byte order mark; detected if `None`.
    pub encoding: Option<TextEncoding>,
}
