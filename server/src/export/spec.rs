//! A checked export: every expression parsed, every option within its range.

use std::num::NonZeroUsize;
use std::path::{Path as FilePath, PathBuf};

use super::encode::{Column, Csv, Encoder, Shape};
use super::{ExportRequest, FieldRequest, Format, OnError, Preset, Reading};
use crate::error::{Code, Error, Result};
use crate::expression::{Expression, Formula, Kind, Layout, Path, SandboxCount, Tools, Wanted, layout, read};
use crate::query::{Filter, Query};
use crate::user::{ATTRIBUTES, DEFAULT_COLUMNS};

/// A checked export: every expression parsed, every option within its range.
#[derive(Clone, Debug)]
pub struct ExportSpec {
    pub(super) encoder: Encoder,
    pub(super) sort: Option<Sort>,
    /// What columns and sort read.
    pub(super) wanted: Wanted,
    /// The same, where it can be read straight into slots: columns first, then the sort, what those of them
    /// that are computed read, and the user's id.
    pub(super) layout: Option<Layout>,
    /// What the filter looks at.
    pub(super) looked_at: Wanted,
    pub(super) limit: Option<u64>,
    pub(super) gzip: bool,
    pub(super) on_error: OnError,
    pub(super) connection: Option<String>,
    pub(super) query: Option<Query>,
    /// Which users become rows, where that is decided here; `wanted` holds what it looks at.
    pub(super) filter: Option<Filter>,
    /// Bytes the sort may use before it spills.
    pub(super) sort_memory: usize,
    pub(super) spill_directory: PathBuf,
    pub(super) threads: usize,
    pub(super) reading: Reading,
    /// What the reader of the plan should know of the versions of transforms.
    pub(super) version_remarks: Vec<String>,
}

/// The order of rows.
#[derive(Clone, Debug)]
pub(super) struct Sort {
    pub formula: Formula,
    /// Which of the computed formulas it is; none for a path.
    pub computed: Option<usize>,
    pub descending: bool,
}

/// The expressions of a request that can be read; the others are refused where they are checked.
fn expressions(request: &ExportRequest) -> Vec<Expression> {
    let fields = request.fields.iter().flatten().map(|field| &field.name);
    fields.chain(request.sort.iter().map(|sort| &sort.by)).filter_map(|source| Expression::parse(source).ok()).collect()
}

impl ExportSpec {
    /// Checks a request whose expressions are all paths: expressions, delimiter, limits. `sort_memory` is in
    /// bytes.
    pub fn new(request: &ExportRequest, sort_memory: u64) -> Result<Self> {
        Self::check(request, sort_memory, None)
    }

    /// As [`ExportSpec::new`], where expressions may call transforms and be JavaScript too. That compiles
    /// them, which takes a second or two the first time ever.
    pub fn with_tools(request: &ExportRequest, sort_memory: u64, tools: &Tools) -> Result<Self> {
        Self::check(request, sort_memory, Some(tools))
    }

    fn check(request: &ExportRequest, sort_memory: u64, tools: Option<&Tools>) -> Result<Self> {
        if request.limit == Some(0) {
            return Err(Error::new(Code::InvalidBody, "The limit is 0; expected 1 or more, or none for all users."));
        }
        let delimiter = request.delimiter.as_deref().map_or(Ok(b','), delimiter)?;
        let csv = Csv { delimiter, bom: request.bom, raw: request.raw_cells };
        if request.format != Format::Csv {
            for (given, name) in
                [(request.delimiter.is_some(), "delimiter"), (request.bom, "bom"), (request.raw_cells, "raw_cells")]
            {
                if given {
                    return Err(Error::new(
                        Code::InvalidBody,
                        format!("`{name}` is for CSV only; the format is {}.", request.format.extension()),
                    ));
                }
            }
        }
        let fields = request.fields.as_deref().unwrap_or_default();
        if fields.len() > MOST_COLUMNS {
            return Err(Error::new(
                Code::InvalidBody,
                format!("{} columns are too many; {MOST_COLUMNS} are allowed.", fields.len()),
            ));
        }
        let tools = tools.map(|tools| tools.pinned(&request.transforms));
        let version_remarks = match &tools {
            Some(tools) if !request.transforms.is_empty() => tools.remarks(&expressions(request)),
            _ => Vec::new(),
        };
        let mut formulas = Formulas { tools: tools.as_ref(), sandboxes: SandboxCount::default() };
        let mut shape = match request.preset {
            Some(Preset::Import) if request.format != Format::Json => {
                return Err(Error::new(
                    Code::InvalidBody,
                    format!(
                        "The preset `import` makes a JSON array, since that is what Auth0 imports; the format is {}.",
                        request.format.extension()
                    ),
                ));
            }
            Some(Preset::Import) => Shape::Import(import_columns(fields, &mut formulas)?),
            None if !fields.is_empty() && request.format == Format::Csv => Shape::Columns(formulas.columns(fields)?),
            None if !fields.is_empty() => Shape::Columns(members(formulas.columns(fields)?)),
            None if request.format == Format::Csv => Shape::Columns(default_columns(&mut formulas)?),
            None => Shape::Whole,
        };
        let sort = match &request.sort {
            Some(sort) => {
                let formula = formulas.formula(&sort.by, &|| "The sort expression".to_owned())?;
                let computed = (formula.kind() != Kind::Path).then_some(shape.number_computed());
                Some(Sort { formula, computed, descending: sort.descending })
            }
            None => None,
        };
        let computes = shape.number_computed() > 0 || sort.as_ref().is_some_and(|sort: &Sort| sort.computed.is_some());
        let formulas = shape.columns().iter().map(|column| &column.formula);
        let paths = formulas.chain(sort.as_ref().map(|sort| &sort.formula)).flat_map(Formula::paths);
        // A fault names the user.
        let user_id = Path::attribute("user_id");
        let wanted = Wanted::new(paths.chain(computes.then_some(&user_id)));
        let formulas = shape.columns().iter().map(|column| &column.formula);
        let layout = layout(formulas.chain(sort.as_ref().map(|sort| &sort.formula)), &user_id);
        let sort_memory = usize::try_from(sort_memory).unwrap_or(usize::MAX);
        if sort_memory < LEAST_SORT_MEMORY {
            return Err(Error::new(
                Code::InvalidArgument,
                format!("{sort_memory} bytes are too little memory to sort with; {LEAST_SORT_MEMORY} are needed."),
            ));
        }
        let some =
            |text: &Option<String>| text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        Ok(Self {
            encoder: Encoder { format: request.format, shape, csv },
            sort,
            wanted,
            layout,
            looked_at: Wanted::default(),
            limit: request.limit,
            gzip: request.gzip,
            on_error: request.on_error,
            connection: some(&request.connection_id),
            query: some(&request.query).map(|query| Query::parse(&query)).transpose()?,
            filter: None,
            sort_memory,
            spill_directory: std::env::temp_dir(),
            threads: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
            reading: Reading::default(),
            version_remarks,
        })
    }

    /// The same export on so many threads; at least one. As many as the machine has unless set.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// The same export, reading lines this way.
    #[must_use]
    pub fn with_reading(mut self, reading: Reading) -> Self {
        self.reading = reading;
        self
    }

    /// The same export, spilling its sort to files in this directory; the system's directory for
    /// temporary files unless set.
    #[must_use]
    pub fn with_spill_directory(mut self, directory: &FilePath) -> Self {
        directory.clone_into(&mut self.spill_directory);
        self
    }

    /// What the query's writer may not expect, such as how AND and OR without parentheses were read.
    pub fn remarks(&self) -> &[String] {
        self.query.as_ref().map_or(&[], Query::remarks)
    }

    /// The same export with its query evaluated here. The error says why that cannot be done.
    pub(super) fn filtered(&self) -> Result<Self> {
        let filter = self.query.as_ref().map(Query::filter).transpose()?;
        Ok(self.clone().with_filter(filter))
    }

    /// The same export of a file, where query and connection are both up to us.
    pub(super) fn for_file(&self) -> Result<Self> {
        let Some(connection) = &self.connection else { return self.filtered() };
        if is_connection_id(connection) {
            return Err(Error::new(
                Code::InvalidArgument,
                format!("The connection {connection} is given by its id, but users in a file carry its name."),
            )
            .with_hint("Give the connection's name; it stands in identities[0].connection."));
        }
        let connection = Filter::connection(connection);
        let filter = match self.query.as_ref().map(Query::filter).transpose()? {
            Some(filter) => filter.and(connection),
            None => connection,
        };
        Ok(self.clone().with_filter(Some(filter)))
    }

    /// Whether the filter, if there is one, finds the user in this text.
    pub(super) fn finds(&self, user: &[u8]) -> bool {
        let matches = |filter: &Filter| read(user, &self.wanted).is_ok_and(|user| filter.matches(&user));
        self.filter.as_ref().is_none_or(matches)
    }

    fn with_filter(mut self, filter: Option<Filter>) -> Self {
        if let Some(filter) = &filter {
            self.looked_at = filter.wanted(Wanted::default());
            self.wanted = filter.wanted(self.wanted);
        }
        self.filter = filter;
        self
    }

    /// What is computed, columns first: in the order of `Given::computed` once paths are left out.
    pub(super) fn formulas(&self) -> impl Iterator<Item = &Formula> {
        let columns = self.encoder.shape.columns().iter().map(|column| &column.formula);
        columns.chain(self.sort.as_ref().map(|sort| &sort.formula))
    }

    /// What the formulas that are no paths are called in a fault, in the order of `Given::computed`.
    pub(super) fn computed_names(&self) -> Vec<String> {
        let columns = self.encoder.shape.columns().iter().filter(|column| column.formula.kind() != Kind::Path);
        let sort = self.sort.as_ref().filter(|sort| sort.computed.is_some());
        columns
            .map(|column| format!("column {:?}", column.name))
            .chain(sort.map(|_| "the sort expression".to_owned()))
            .collect()
    }

    /// Whether every user that can be read becomes a row.
    pub(super) fn writes_every_user(&self) -> bool {
        self.filter.is_none() && !matches!(self.encoder.shape, Shape::Import(_))
    }

    /// Whether a user's values are looked at even where whole users are written as they were read.
    pub(super) fn needs_values(&self) -> bool {
        self.sort.is_some() || self.filter.is_some()
    }

    /// Whether whole users are written.
    pub(super) fn writes_whole_users(&self) -> bool {
        matches!(self.encoder.shape, Shape::Whole)
    }
}

/// Whether a text is a connection id (docs/auth0/README.md#constants).
fn is_connection_id(text: &str) -> bool {
    text.strip_prefix("con_").is_some_and(|id| id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// So many columns one export may have. A spreadsheet takes more, a person hardly.
const MOST_COLUMNS: usize = 1000;

/// Below this a spill file per handful of rows would be written.
const LEAST_SORT_MEMORY: usize = 1 << 20;

/// One ASCII character that cannot be mistaken for a quote or the end of a row.
fn delimiter(text: &str) -> Result<u8> {
    let byte = match text.as_bytes() {
        _ if text == "\\t" || text.eq_ignore_ascii_case("tab") => Some(b'\t'),
        [byte] => Some(*byte),
        _ => None,
    };
    byte.filter(|byte| byte.is_ascii() && !matches!(byte, b'"' | b'\r' | b'\n' | 0)).ok_or_else(|| {
        Error::new(
            Code::InvalidBody,
            format!("The delimiter is {text:?}; expected one ASCII character, but no quote and no line end."),
        )
        .with_hint("Usual ones are , ; | and \\t (tab).")
    })
}

fn default_columns(formulas: &mut Formulas<'_>) -> Result<Vec<Column>> {
    DEFAULT_COLUMNS.iter().map(|(expression, name)| formulas.column(expression, Some(name))).collect()
}

/// Reads the expressions of a request and makes formulas of them, as long as they are not too many.
struct Formulas<'t> {
    tools: Option<&'t Tools>,
    sandboxes: SandboxCount,
}

impl Formulas<'_> {
    /// `what` says in an error which of the expressions it is about.
    fn formula(&mut self, expression: &str, what: &dyn Fn() -> String) -> Result<Formula> {
        let named = |error| within(&what(), error);
        let expression = Expression::parse(expression).map_err(named)?;
        self.sandboxes.add(&expression, Code::InvalidBody).map_err(|error| {
            error.with_hint("Use paths where a column only picks an attribute, or export in two parts.")
        })?;
        Formula::new(&expression, self.tools).map_err(named)
    }

    fn column(&mut self, expression: &str, name: Option<&str>) -> Result<Column> {
        let formula = self.formula(expression, &|| format!("Column {:?}", name.unwrap_or(expression)))?;
        let name = name.unwrap_or(formula.shown());
        if name.is_empty() {
            let shown = formula.shown();
            return Err(Error::new(Code::InvalidExpression, format!("The column `{shown}` has an empty name."))
                .with_hint("Leave the name out to name the column by its expression."));
        }
        let name = name.to_owned();
        Ok(Column::new(&name, formula))
    }

    fn columns(&mut self, fields: &[FieldRequest]) -> Result<Vec<Column>> {
        fields.iter().map(|field| self.column(&field.name, field.export_as.as_deref())).collect()
    }
}

/// Columns as members of an object: of those with one name the last, at the place of the first, as
/// JavaScript has it.
fn members(columns: Vec<Column>) -> Vec<Column> {
    let mut members: Vec<Column> = Vec::with_capacity(columns.len());
    for column in columns {
        match members.iter_mut().find(|member| member.name == column.name) {
            Some(member) => *member = column,
            None => members.push(column),
        }
    }
    members
}

fn import_columns(fields: &[FieldRequest], formulas: &mut Formulas<'_>) -> Result<Vec<Column>> {
    let own = formulas.columns(fields)?;
    let importable = |name: &str| ATTRIBUTES.iter().any(|attribute| attribute.importable && attribute.name == name);
    if let Some(column) = own.iter().find(|column| !importable(&column.name)) {
        let nearest = crate::user::nearest_importable(&column.name);
        let error = Error::new(
            Code::InvalidBody,
            format!("Column {:?} cannot be imported: Auth0 knows no such attribute in an import file.", column.name),
        );
        return Err(match nearest {
            Some(nearest) => error.with_hint(format!("Did you mean {nearest}?")),
            None => error,
        });
    }
    let attributes = ATTRIBUTES.iter().filter(|attribute| attribute.importable).map(|attribute| attribute.name);
    attributes
        .map(|name| match own.iter().rfind(|column| column.name == name) {
            Some(column) => Ok(column.clone()),
            None => formulas.column(name, None),
        })
        .collect()
}

/// Says which of several expressions an error is about.
fn within(what: &str, mut error: Error) -> Error {
    error.message = format!("{what}: {}", error.message);
    error
}
