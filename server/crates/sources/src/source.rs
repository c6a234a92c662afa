//! A source: how its files are recognized, and how its rows are converted.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::converted::{Converted, metadata_key};
use crate::field::{Convert, Field};
use crate::row::has_content;
use crate::sample::{Layout, Sample};
use uie_core::user;

/// Names the columns of a file by the cells of its first record; `None` if the record is not of the source.
pub type HeaderFn = fn(&[String]) -> Option<Vec<String>>;

/// Adds to a converted user what the table cannot say; gets the prepared row.
pub type FinishFn = fn(&Map<String, Value>, &mut Converted);

/// A system whose exports can be imported.
#[derive(Debug)]
pub struct Source {
    /// Its name in `--source`.
    pub name: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// Lists of names (members, columns or paths) that only files of this source have together. One list that is
    /// complete is enough to recognize a file.
    pub signatures: &'static [&'static [&'static str]],
    /// The table.
    pub fields: &'static [Field],
    /// Name of the member that holds the users, if an export is one object.
    pub member: Option<&'static str>,
    /// Returns the names of the columns for the cells of a first record without a header; `None` if the record is
    /// not of this source.
    pub header: Option<HeaderFn>,
    /// Returns the name in the table for a name in a file, if files write it in several ways; `None` if it is the same.
    pub rename: Option<fn(&str) -> Option<String>>,
    /// Rearranges a row before the table is applied.
    pub prepare: Option<fn(&mut Map<String, Value>)>,
    /// Adds what the table cannot say. Gets the prepared row.
    pub finish: Option<FinishFn>,
    /// The rows have Auth0's attributes already; nothing is converted.
    pub is_auth0: bool,
}

/// Defaults for the tables of sources.
pub(crate) const SOURCE: Source = Source {
    name: "",
    title: "",
    signatures: &[],
    fields: &[],
    member: None,
    header: None,
    rename: None,
    prepare: None,
    finish: None,
    is_auth0: false,
};

/// A source in a list to choose from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SourceName {
    /// Its name in `--source`.
    pub name: &'static str,
    /// Its name for people.
    pub title: &'static str,
}

impl Source {
    /// Returns its names.
    pub fn as_name(&self) -> SourceName {
        SourceName { name: self.name, title: self.title }
    }

    /// Returns how certain a file is of this source: the number of distinctive names that it has; 0 if it is not.
    pub fn score(&self, sample: &Sample) -> usize {
        if let Some(names) = self.column_names(sample) {
            return names.len();
        }
        let renamed: Vec<String> = sample.names.iter().filter_map(|name| self.rename?(name)).collect();
        let has = |name: &str| sample.has(name) || renamed.iter().any(|known| known == name);
        let complete = self.signatures.iter().filter(|names| names.iter().all(|name| has(name)));
        complete.map(|names| names.len()).max().unwrap_or(0)
    }

    /// Returns the names of the columns of a CSV file without a header; `None` for other files.
    pub fn column_names(&self, sample: &Sample) -> Option<Vec<String>> {
        if sample.layout == Layout::Csv { self.header?(&sample.names) } else { None }
    }

    /// Converts a row. Attributes that the table does not know stay if Auth0 has one of that name, and are listed
    /// otherwise.
    pub fn convert(&self, mut row: Map<String, Value>) -> Converted {
        let mut converted = Converted::default();
        if self.is_auth0 {
            converted.user = row;
            return converted;
        }
        if let Some(rename) = self.rename {
            row = renamed(row, rename);
        }
        if let Some(prepare) = self.prepare {
            prepare(&mut row);
        }
        for field in self.fields {
            field.apply(&row, &mut converted);
        }
        if let Some(finish) = self.finish {
            finish(&row, &mut converted);
        }
        for (name, value) in row {
            if !has_content(&value) || self.knows(&name) {
                continue;
            }
            if user::find(&name).is_some_and(|attribute| attribute.importable) {
                converted.user.entry(name).or_insert(value);
            } else {
                converted.unknown.push(name);
            }
        }
        converted
    }

    /// Returns the attribute that a root member or column becomes, empty if there is not exactly one; `None` if the table does
    /// not know it.
    pub fn target(&self, name: &str) -> Option<String> {
        let renamed = self.rename.and_then(|rename| rename(name));
        let name = renamed.as_deref().unwrap_or(name);
        match self.fields.iter().find(|field| field.reads(name)) {
            Some(Field { convert: Convert::Skip, .. }) => Some(String::new()),
            Some(Field { from, to, .. }) => {
                Some(match from.strip_suffix('*').and_then(|prefix| name.strip_prefix(prefix)) {
                    Some(rest) => format!("{to}.{}", metadata_key(rest)),
                    None => (*to).to_owned(),
                })
            }
            None => self.knows(name).then(String::new),
        }
    }

    /// Returns whether the table reads a root member, or a member of it.
    fn knows(&self, name: &str) -> bool {
        self.fields.iter().any(|field| {
            field.reads(name)
                || field.from.strip_prefix(name).is_some_and(|rest| rest.starts_with('.') && !name.is_empty())
        })
    }
}

/// Returns a row with the names of the table. Of two members that get the same name, the first with a value stays.
fn renamed(row: Map<String, Value>, rename: fn(&str) -> Option<String>) -> Map<String, Value> {
    let mut members = Map::new();
    for (name, value) in row {
        let name = rename(&name).unwrap_or(name);
        if !members.get(&name).is_some_and(has_content) {
            members.insert(name, value);
        }
    }
    members
}
