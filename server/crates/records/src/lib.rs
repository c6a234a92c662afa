//! Reads files of records: a JSON array, NDJSON or CSV, each optionally compressed with gzip, in UTF-8, UTF-16 or
//! Windows-1252. Shared by imports and exports.
//!
//! - [`TextInput`] decompresses, decodes and detects the [`Layout`].
//! - [`RowReader`] returns one JSON row at a time, for rows that are checked one by one; [`ChunkReader`] returns chunks
//!   of many rows, for rows that are processed in parallel.
//! - [`CsvReader`] splits CSV into cells and converts every record to JSON, so that all later steps handle JSON only.
//!
//! All of them read streams and hold one row, or one chunk of rows, in memory. Errors are typed ([`ReadError`],
//! [`RowProblem`]): imports and exports report the same problem with different codes.

mod array;
mod cells;
mod chunk_reader;
mod csv_reader;
mod encoding;
mod error;
mod gzip;
mod input;
mod limits;
mod path;
mod position;
mod row_reader;

pub use array::{ArrayState, Expected};
pub use cells::{Target, guard, write_cell};
pub use chunk_reader::{Chunk, ChunkReader, ColumnAssignment, Peeked, Row, Rows};
pub use csv_reader::{CsvReader, Dialect};
pub use error::{ReadError, RowProblem, describe_parse_error};
pub use gzip::{GzipInput, LimitedGzDecoder};
pub use input::{FileFormat, Layout, TextInput};
pub use limits::{MAX_EXPORTED_ROW_BYTES, MAX_IMPORTED_ROW_BYTES, MAX_NESTING};
pub use path::{MAX_ELEMENTS, Step, format_path, member, parse_path};
pub use position::Position;
pub use row_reader::{PeekedRow, Record, RowReader};
