//! A validated export: all expressions are parsed and all options are in range.

use std::num::NonZeroUsize;
use std::path::{Path as FilePath, PathBuf};

use super::encode::{Column, Csv, Encoder, Shape};
use super::format::Format;
use super::request::{ExportRequest, FieldRequest, OnError, Preset};
use uie_core::error::{Code, Error, Result};
use uie_core::message::{Message, message};
use uie_core::user::{ATTRIBUTES, DEFAULT_COLUMNS};
use uie_expression::{Expression, Formula, Kind, ResolvedRequest, SandboxCount, TransformContext, formula_projection};
use uie_json::{Path, Projection, ProjectionMask, parse_row};
use uie_query::{Filter, Query, Remark};

/// How lines are read. The result is the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reading {
    /// By a structural index of many lines, which is built in one pass. Lines that cannot be indexed are scanned.
    #[default]
    Index,
    /// Byte by byte, line by line.
    Scan,
}

/// A validated export: all expressions are parsed and all options are in range.
#[derive(Clone, Debug)]
pub struct ExportSpec {
    request: ResolvedRequest<ExportRequest>,
    pub(super) encoder: Encoder,
    pub(super) sort: Option<Sort>,
    /// The attributes that columns, sort and filter read.
    pub(super) wanted: ProjectionMask,
    /// The paths of columns and sort, the arguments of computed formulas, and the user's id, in this order. `None` if
    /// some of them cannot be read by a projection.
    pub(super) projection: Option<Projection>,
    /// The attributes that the filter reads.
    pub(super) filter_mask: ProjectionMask,
    pub(super) limit: Option<u64>,
    pub(super) gzip: bool,
    pub(super) on_error: OnError,
    pub(super) connection: Option<String>,
    pub(super) query: Option<Query>,
    /// The filter that this program evaluates. `None` if there is no query or Auth0 evaluates it.
    pub(super) filter: Option<Filter>,
    /// Memory of the sort in bytes, before it spills to files.
    pub(super) sort_memory: usize,
    pub(super) spill_directory: PathBuf,
    pub(super) threads: usize,
    pub(super) reading: Reading,
    /// Remarks of the plan about versions of transforms.
    pub(super) version_remarks: Vec<Message>,
}

/// The order of rows.
#[derive(Clone, Debug)]
pub(super) struct Sort {
    pub formula: Formula,
    /// Index among the computed formulas. `None` for a path.
    pub computed_index: Option<usize>,
    pub descending: bool,
}

impl ExportSpec {
    /// Validates a request whose expressions are all paths. `sort_memory` is in bytes.
    ///
    /// Fails if an expression, the delimiter, a limit or a combination of options is invalid.
    pub fn new(request: &ExportRequest, sort_memory: u64) -> Result<Self> {
        Self::check(request, sort_memory, |_| Ok(None))
    }

    /// Like [`ExportSpec::new`], for expressions that may also be calls of transforms or JavaScript. Compiles the
    /// transforms, which takes a second or two if they are not in the cache.
    pub fn with_tools(request: &ExportRequest, sort_memory: u64, tools: &TransformContext) -> Result<Self> {
        Self::check(request, sort_memory, |_| Ok(Some(tools.clone())))
    }

    /// Like [`ExportSpec::with_tools`], but opens the tools only if an expression needs them.
    pub fn with_tools_if_needed(
        request: &ExportRequest,
        sort_memory: u64,
        open_tools: impl FnOnce() -> Result<TransformContext>,
    ) -> Result<Self> {
        Self::check(request, sort_memory, |expressions| {
            if expressions.all().all(|expression| expression.kind() == Kind::Path) {
                Ok(None)
            } else {
                open_tools().map(Some)
            }
        })
    }

    /// Checks the expressions of a request and nothing else: settings that are saved may be incomplete.
    pub fn resolve(request: &ExportRequest, tools: &TransformContext) -> Result<ResolvedRequest<ExportRequest>> {
        let tools = tools.with_pins(&request.transforms);
        Ok(Expressions::parse(request)?.formulas(request, Some(&tools))?.resolve(request))
    }

    fn check(
        request: &ExportRequest,
        sort_memory: u64,
        tools: impl FnOnce(&Expressions) -> Result<Option<TransformContext>>,
    ) -> Result<Self> {
        let csv = check_options(request)?;
        let expressions = Expressions::parse(request)?;
        expressions.check_sandboxes()?;
        let tools = tools(&expressions)?.map(|tools| tools.with_pins(&request.transforms));
        let version_remarks = match &tools {
            Some(tools) if !request.transforms.is_empty() => tools.version_remarks(expressions.all()),
            _ => Vec::new(),
        };
        let formulas = expressions.formulas(request, tools.as_ref())?;
        let columns = formulas.columns(request)?;
        let mut shape = match request.preset {
            Some(Preset::Import) => Shape::Import(import_columns(&columns)?),
            None if !columns.is_empty() && request.format == Format::Csv => Shape::Columns(columns),
            None if !columns.is_empty() => Shape::Columns(keep_last_of_each_name(columns)),
            None if request.format == Format::Csv => Shape::Columns(default_columns()?),
            None => Shape::Whole,
        };
        let resolved = formulas.resolve(request);
        let sort = match (&request.sort, formulas.sort) {
            (Some(sort), Some(formula)) => {
                let computed_index = (formula.kind() != Kind::Path).then_some(shape.number_computed());
                Some(Sort { formula, computed_index, descending: sort.descending })
            }
            _ => None,
        };
        let computes =
            shape.number_computed() > 0 || sort.as_ref().is_some_and(|sort: &Sort| sort.computed_index.is_some());
        let formulas = shape.columns().iter().map(|column| &column.formula);
        let paths = formulas.chain(sort.as_ref().map(|sort| &sort.formula)).flat_map(Formula::paths);
        // Messages of faults contain the user's id.
        let user_id = Path::attribute("user_id");
        let wanted = ProjectionMask::new(paths.chain(computes.then_some(&user_id)));
        let formulas = shape.columns().iter().map(|column| &column.formula);
        let projection = formula_projection(formulas.chain(sort.as_ref().map(|sort| &sort.formula)), &user_id);
        let sort_memory = usize::try_from(sort_memory).unwrap_or(usize::MAX);
        if sort_memory < MIN_SORT_MEMORY {
            return Err(Error::new(
                Code::InvalidArgument,
                message!(
                    "{bytes} bytes are too little memory to sort with; {min} are needed.",
                    bytes = sort_memory,
                    min = MIN_SORT_MEMORY
                ),
            ));
        }
        let non_empty =
            |text: &Option<String>| text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        Ok(Self {
            request: resolved,
            encoder: Encoder { format: request.format, shape, csv },
            sort,
            wanted,
            projection,
            filter_mask: ProjectionMask::default(),
            limit: request.limit,
            gzip: request.gzip,
            on_error: request.on_error,
            connection: non_empty(&request.connection_id),
            query: non_empty(&request.query)
                .map(|query| Query::parse(&query))
                .transpose()
                .map_err(|error| error.with_field("query"))?,
            filter: None,
            sort_memory,
            spill_directory: std::env::temp_dir(),
            threads: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
            reading: Reading::default(),
            version_remarks,
        })
    }

    /// Returns the request in the forms in which it is stored and shown.
    pub fn request(&self) -> &ResolvedRequest<ExportRequest> {
        &self.request
    }

    /// Returns the id or name of the connection; `None` for all connections.
    pub fn connection(&self) -> Option<&str> {
        self.connection.as_deref()
    }

    /// Sets the number of threads, at least one. The default is the number of processors.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// Sets how lines are read.
    #[must_use]
    pub fn with_reading(mut self, reading: Reading) -> Self {
        self.reading = reading;
        self
    }

    /// Sets the directory for the temporary files of the sort. The default is the system's directory for temporary
    /// files.
    #[must_use]
    pub fn with_spill_directory(mut self, directory: &FilePath) -> Self {
        directory.clone_into(&mut self.spill_directory);
        self
    }

    /// Returns remarks about the query that its author may not expect, such as the precedence of AND and OR.
    pub fn remarks(&self) -> &[Remark] {
        self.query.as_ref().map_or(&[], Query::remarks)
    }

    /// Returns remarks about the expressions of columns and sort, such as attributes that no user has. Users of files
    /// (`of_file`) may have attributes that Auth0 does not have.
    pub fn expression_remarks(&self, of_file: bool) -> Vec<Message> {
        let remarks = self.formulas().flat_map(Formula::remarks);
        let mut messages = Vec::new();
        for remark in remarks.filter(|remark| remark.in_files || !of_file) {
            if !messages.contains(&remark.message) {
                messages.push(remark.message.clone());
            }
        }
        messages
    }

    fn query_filter(&self) -> Result<Option<Filter>> {
        let filter = self.query.as_ref().map(Query::filter).transpose();
        filter.map_err(|error| error.with_field("query"))
    }

    /// Returns the same export with its query evaluated by this program. Fails if only Auth0 can evaluate the query.
    pub(super) fn with_local_filter(&self) -> Result<Self> {
        Ok(self.clone().with_filter(self.query_filter()?))
    }

    /// Returns the same export of a file: this program evaluates query and connection. Fails if it cannot evaluate the
    /// query, or if the connection is given by its id.
    pub(super) fn for_file(&self) -> Result<Self> {
        let Some(connection) = &self.connection else { return self.with_local_filter() };
        if is_connection_id(connection) {
            return Err(Error::new(
                Code::InvalidArgument,
                message!("The connection {connection} is given by its id, but users in a file carry its name."),
            )
            .with_hint(message!("Give the connection's name, as in identities[0].connection.")));
        }
        let connection = Filter::connection(connection);
        let filter = match self.query_filter()? {
            Some(filter) => filter.and(connection),
            None => connection,
        };
        Ok(self.clone().with_filter(Some(filter)))
    }

    /// Whether a user matches the filter. True if there is no filter, false if the text is not a user.
    pub(super) fn matches_filter(&self, user: &[u8]) -> bool {
        let matches = |filter: &Filter| parse_row(user, &self.wanted).is_ok_and(|user| filter.matches(&user));
        self.filter.as_ref().is_none_or(matches)
    }

    fn with_filter(mut self, filter: Option<Filter>) -> Self {
        if let Some(filter) = &filter {
            self.filter_mask = filter.extend_mask(ProjectionMask::default());
            self.wanted = filter.extend_mask(self.wanted);
        }
        self.filter = filter;
        self
    }

    /// Returns the formulas of columns and sort. Those that are not paths are in the order of `ComputedRow::cells`.
    pub(super) fn formulas(&self) -> impl Iterator<Item = &Formula> {
        let columns = self.encoder.shape.columns().iter().map(|column| &column.formula);
        columns.chain(self.sort.as_ref().map(|sort| &sort.formula))
    }

    /// Returns the names of computed formulas in messages, in the order of `ComputedRow::cells`.
    pub(super) fn computed_names(&self) -> Vec<Message> {
        let columns = self.encoder.shape.columns().iter().filter(|column| column.formula.kind() != Kind::Path);
        let sort = self.sort.as_ref().filter(|sort| sort.computed_index.is_some());
        columns
            .map(|column| message!("column {name:?}", name = column.name))
            .chain(sort.map(|_| message!("the sort expression")))
            .collect()
    }

    /// Whether every valid user becomes a row.
    pub(super) fn writes_every_user(&self) -> bool {
        self.filter.is_none() && !matches!(self.encoder.shape, Shape::Import(_))
    }

    /// Whether sort or filter need a user's values, even if whole users are written as they were read.
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

/// Maximum number of columns of an export.
const MAX_COLUMNS: usize = 1000;

/// Minimum memory of the sort, in bytes. With less, each temporary file would have a few rows only.
const MIN_SORT_MEMORY: usize = 1 << 20;

/// Checks the options that do not depend on expressions, and returns those of CSV.
fn check_options(request: &ExportRequest) -> Result<Csv> {
    if request.limit == Some(0) {
        return Err(Error::new(
            Code::InvalidBody,
            message!("The limit is 0; expected 1 or more, or none for all users."),
        )
        .with_field("limit"));
    }
    let delimiter = request
        .delimiter
        .as_deref()
        .map_or(Ok(b','), parse_delimiter)
        .map_err(|error| error.with_field("delimiter"))?;
    let csv = Csv { delimiter, bom: request.bom, raw: request.raw_cells };
    if request.format != Format::Csv {
        for (given, name) in
            [(request.delimiter.is_some(), "delimiter"), (request.bom, "bom"), (request.raw_cells, "raw_cells")]
        {
            if given {
                return Err(Error::new(
                    Code::InvalidBody,
                    message!("`{name}` is for CSV only; the format is {format}.", format = request.format.extension()),
                )
                .with_field(name));
            }
        }
    }
    let fields = request.fields.as_deref().unwrap_or_default();
    if fields.len() > MAX_COLUMNS {
        return Err(Error::new(
            Code::InvalidBody,
            message!("{count} columns are too many; {max} are allowed.", count = fields.len(), max = MAX_COLUMNS),
        )
        .with_field("fields"));
    }
    if request.preset == Some(Preset::Import) && request.format != Format::Json {
        return Err(Error::new(
            Code::InvalidBody,
            message!(
                "The preset `import` makes a JSON array, since that is what Auth0 imports; the format is {format}.",
                format = request.format.extension()
            ),
        )
        .with_field("format"));
    }
    Ok(csv)
}

/// Parses the delimiter. Fails unless it is one ASCII character that is not a quote, a line end or NUL.
fn parse_delimiter(text: &str) -> Result<u8> {
    let byte = match text.as_bytes() {
        _ if text == "\\t" || text.eq_ignore_ascii_case("tab") => Some(b'\t'),
        [byte] => Some(*byte),
        _ => None,
    };
    byte.filter(|byte| byte.is_ascii() && !matches!(byte, b'"' | b'\r' | b'\n' | 0)).ok_or_else(|| {
        Error::new(
            Code::InvalidBody,
            message!("The delimiter is {text:?}; expected one ASCII character, but no quote and no line end."),
        )
        .with_hint(message!("Usual ones are , ; | and \\t (tab)."))
    })
}

/// The parsed expressions of a request.
struct Expressions {
    /// One for each field.
    fields: Vec<Expression>,
    sort: Option<Expression>,
}

impl Expressions {
    fn parse(request: &ExportRequest) -> Result<Self> {
        let fields = request.fields.iter().flatten().enumerate();
        let fields = fields.map(|(index, field)| Expression::parse(&field.name).map_err(in_field(index, field)));
        let sort = request.sort.as_ref().map(|sort| Expression::parse(&sort.by).map_err(in_sort));
        Ok(Self { fields: fields.collect::<Result<_>>()?, sort: sort.transpose()? })
    }

    fn all(&self) -> impl Iterator<Item = &Expression> {
        self.fields.iter().chain(&self.sort)
    }

    /// Fails if computing all of them takes too many sandboxes.
    fn check_sandboxes(&self) -> Result<()> {
        let mut sandboxes = SandboxCount::default();
        let mut add = |expression| {
            sandboxes.add(expression, Code::InvalidBody).map_err(|error| {
                error.with_hint(message!("Use paths where a column only picks an attribute, or export in two parts."))
            })
        };
        for (index, expression) in self.fields.iter().enumerate() {
            add(expression).map_err(|error| error.with_field(format!("fields[{index}].name")))?;
        }
        self.sort.as_ref().map_or(Ok(()), |sort| add(sort).map_err(|error| error.with_field("sort.by")))
    }

    /// Checks the expressions. All but paths need `tools`.
    fn formulas(&self, request: &ExportRequest, tools: Option<&TransformContext>) -> Result<Formulas> {
        let fields = self.fields.iter().zip(request.fields.iter().flatten()).enumerate();
        let fields =
            fields.map(|(index, (expression, field))| Formula::new(expression, tools).map_err(in_field(index, field)));
        let sort = self.sort.as_ref().map(|expression| Formula::new(expression, tools).map_err(in_sort));
        Ok(Formulas { fields: fields.collect::<Result<_>>()?, sort: sort.transpose()? })
    }
}

/// The checked expressions of a request.
struct Formulas {
    /// One for each field.
    fields: Vec<Formula>,
    sort: Option<Formula>,
}

impl Formulas {
    fn resolve(&self, request: &ExportRequest) -> ResolvedRequest<ExportRequest> {
        ResolvedRequest::new(request, self.fields.iter().chain(&self.sort).map(Some))
    }

    /// Returns the columns of the fields.
    fn columns(&self, request: &ExportRequest) -> Result<Vec<Column>> {
        let fields = self.fields.iter().zip(request.fields.iter().flatten()).enumerate();
        let columns = fields.map(|(index, (formula, field))| {
            let name = field.export_as.as_deref().unwrap_or(formula.masked_source());
            if name.is_empty() {
                let shown = formula.masked_source();
                return Err(Error::new(Code::InvalidExpression, message!("The column `{shown}` has an empty name."))
                    .with_hint(message!("Leave the name out to name the column by its expression."))
                    .with_field("export_as")
                    .with_field(format!("fields[{index}]")));
            }
            Ok(Column::new(name, formula.clone()))
        });
        columns.collect()
    }
}

/// Returns a function that names the field of a request in the error of its expression.
fn in_field(index: usize, field: &FieldRequest) -> impl Fn(Error) -> Error {
    move |error| {
        let name = field.export_as.as_deref().unwrap_or(&field.name);
        prefix_message(&message!("Column {name:?}"), error).with_field("name").with_field(format!("fields[{index}]"))
    }
}

/// Names the order of rows in the error of its expression.
fn in_sort(error: Error) -> Error {
    prefix_message(&message!("The sort expression"), error).with_field("sort.by")
}

fn default_columns() -> Result<Vec<Column>> {
    DEFAULT_COLUMNS.iter().map(|(path, name)| path_column(path, name)).collect()
}

/// Returns the column of a path that is not from a request.
fn path_column(path: &str, name: &str) -> Result<Column> {
    Ok(Column::new(name, Formula::new(&Expression::parse(path)?, None)?))
}

/// Removes duplicate names, as JavaScript does for members of an object: the last column of each name is kept, at the
/// position of the first.
fn keep_last_of_each_name(columns: Vec<Column>) -> Vec<Column> {
    let mut members: Vec<Column> = Vec::with_capacity(columns.len());
    for column in columns {
        match members.iter_mut().find(|member| member.name == column.name) {
            Some(member) => *member = column,
            None => members.push(column),
        }
    }
    members
}

fn import_columns(own: &[Column]) -> Result<Vec<Column>> {
    let importable = |name: &str| ATTRIBUTES.iter().any(|attribute| attribute.importable && attribute.name == name);
    if let Some((index, column)) = own.iter().enumerate().find(|(_, column)| !importable(&column.name)) {
        let nearest = uie_core::user::nearest_importable(&column.name);
        let error = Error::new(
            Code::InvalidBody,
            message!(
                "Column {name:?} cannot be imported: Auth0 knows no such attribute in an import file.",
                name = column.name
            ),
        )
        .with_field(format!("fields[{index}].export_as"));
        return Err(match nearest {
            Some(nearest) => error.with_hint(message!("Did you mean {nearest}?")),
            None => error,
        });
    }
    let attributes = ATTRIBUTES.iter().filter(|attribute| attribute.importable).map(|attribute| attribute.name);
    attributes
        .map(|name| match own.iter().rfind(|column| column.name == name) {
            Some(column) => Ok(column.clone()),
            None => path_column(name, name),
        })
        .collect()
}

/// Adds the name of an expression to the message of an error.
fn prefix_message(subject: &Message, mut error: Error) -> Error {
    error.message = message!("{subject}: {reason}", reason = error.message);
    error
}
