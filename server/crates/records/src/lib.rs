//! Reads files of records: JSON, CSV or LDIF, each optionally compressed with gzip, in any encoding of the WHATWG
//! Encoding Standard. Shared by imports and exports.
//!
//! - [`TextInput`] decompresses, decodes and detects the [`Layout`].
//! - [`RowReader`] returns one JSON row at a time, for rows that are checked one by one; [`ChunkReader`] returns chunks
//!   of many rows, for rows that are processed in parallel.
//! - [`CsvReader`] splits CSV into cells, [`LdifReader`] LDIF into attributes. Both convert every record to JSON, so
//!   that all later steps handle JSON only.
//!
//! All of them read streams and hold one row, or one chunk of rows, in memory. Errors are typed ([`ReadError`],
//! [`RowProblem`]): imports and exports report the same problem with different codes.

mod array;
mod cells;
mod chunk_reader;
mod csv_header;
mod csv_reader;
mod encoding;
mod encoding_detection;
mod encoding_example;
mod error;
mod gzip;
mod input;
mod json_mistakes;
mod json_shape;
mod layout;
mod ldif;
mod limits;
mod path;
mod position;
mod read_options;
mod row_reader;
#[cfg(test)]
mod tests;
mod text_encoding;

pub use array::{ArrayState, Expected};
pub use cells::{BOOLEAN_WORDS, Target, guard, is_invisible, parse_boolean_word, trim_invisible, write_cell};
pub use chunk_reader::{Chunk, ChunkReader, ColumnAssignment, Peeked, Row, Rows};
pub use csv_header::{SkippedKind, SkippedLine};
pub use csv_reader::{CsvReader, Dialect};
pub use encoding_example::{EncodingExample, find_example};
pub use error::{ReadError, RowProblem, describe_parse_error};
pub use gzip::{GzipInput, LimitedGzDecoder};
pub use input::{FileFormat, FormatWatch, TextInput};
pub use json_mistakes::describe_mistake;
pub use layout::Layout;
pub use ldif::LdifReader;
pub use limits::{MAX_EXPORTED_ROW_BYTES, MAX_IMPORTED_ROW_BYTES, MAX_NESTING};
pub use path::{MAX_ELEMENTS, Step, format_path, member, parse_path};
pub use position::Position;
pub use read_options::ReadOptions;
pub use row_reader::{PeekedRow, Record, RowReader};
pub use text_encoding::TextEncoding;
