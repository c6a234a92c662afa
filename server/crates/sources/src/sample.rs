//! The beginning of a file, by which its source is recognized.

use serde_json::{Map, Value};

/// How the rows of a file are laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A JSON array, NDJSON, or JSON values in sequence.
    Rows,
    /// An object that holds the rows in the member of this name.
    Wrapped(String),
    /// CSV. The names are the cells of the first record, which may be a row.
    Csv,
    /// LDIF.
    Ldif,
}

/// The beginning of a file.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The layout.
    pub layout: Layout,
    /// The columns of CSV, or the names of the members of the first rows.
    pub names: Vec<String>,
    /// The first rows.
    pub rows: Vec<Map<String, Value>>,
}

impl Sample {
    /// Returns whether the rows have this member or column, or one of the first rows has a value at this path
    /// (`profile.login`).
    pub fn has(&self, path: &str) -> bool {
        self.names.iter().any(|name| name == path)
            || (path.contains('.') && self.rows.iter().any(|row| crate::row::find(row, path).is_some()))
    }

    /// Returns the first values of a member.
    pub fn values<'s>(&'s self, path: &'s str) -> impl Iterator<Item = &'s Value> {
        self.rows.iter().filter_map(move |row| crate::row::find(row, path))
    }
}
