//! Reads JSON records: the only JSON grammar of the program that is written by hand.
//!
//! - Values and paths: [`Json`], [`Cell`], [`Path`].
//! - Fast readers: `structural_index` finds the structural bytes of a block of text, `cursor` walks over them,
//!   `tokenizer` reads text without an index; both are a `token_source`. [`Projection`] reads the values of paths
//!   straight into cells, [`ProjectionMask`] builds the part of a tree that paths need.
//! - [`visit_object`] validates an object and passes its members to a visitor, without building values.
//! - `row_parser` reads what the fast readers leave to `serde_json`: rare or invalid rows.
//!
//! Every fast reader either gives the result of `serde_json` or gives none; property tests and fuzz targets compare them.

mod bloom_filter;
mod cursor;
mod minify;
mod object_builder;
mod path;
mod projection;
mod projection_mask;
mod row_parser;
pub mod simd;
mod structural_index;
mod token_source;
mod tokenizer;
mod value;
mod visitor;

pub use cursor::Cursor;
pub use minify::minify;
pub use path::{INHERITED_BY_ALL, Key, Literal, Node, Path, is_name_part, is_name_start};
pub use projection::{Projection, RowBuffer, RowSpan, RowView};
pub use projection_mask::ProjectionMask;
pub use row_parser::{FastAndSlow, RowParseError, check_row, parse_row, parse_row_both_ways, parse_row_with_text};
pub use structural_index::StructuralIndex;
pub use token_source::MAX_DEPTH;
pub use value::{Cell, Json, write_json_text, write_number};

#[cfg(test)]
mod test_json;
#[cfg(test)]
mod test_paths;
pub use visitor::{Mark, MemberVisitor, RawString, ValueScanner, VisitedObject, visit_object};
