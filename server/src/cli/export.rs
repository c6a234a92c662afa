//! `export`: writes the users of a tenant or of a file as CSV, JSON or NDJSON.

use std::fs::File;
use std::io::{ErrorKind, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytesize::ByteSize;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use tempfile::NamedTempFile;

use super::confirm::{Answer, confirm_wide_query};
use super::encoding::parse_encoding;
use super::run_with_progress::{Verbosity, run_with_progress};
use uie_auth0::ManagementClient;
use uie_core::config::{Purpose, Settings};
use uie_core::error::{Code, Error, Result};
use uie_core::message::message;
use uie_core::progress::Progress;
use uie_core::user::DEFAULT_COLUMNS;
use uie_export::{
    ExportRequest, ExportSpec, ExportSummary, FieldRequest, Format, InputFile, OnError, Preset, ReadOptions, Reading,
    SortRequest, TextEncoding,
};
use uie_expression::{Pins, TransformContext, split_column};
use uie_sandbox::Sandbox;

/// Arguments of `export`.
#[derive(Args, Debug)]
pub struct ExportArgs {
    /// Read users from this file instead of the tenant: JSON, NDJSON, CSV or LDIF, optionally compressed with gzip;
    /// `-` is standard input. Can be repeated: the files are read in this order
    #[arg(long, value_name = "FILE")]
    from: Vec<PathBuf>,
    /// Encoding of the files that --from reads, such as Shift_JIS or windows-1251; detected if absent. The output is
    /// always UTF-8
    #[arg(long, value_name = "NAME", requires = "from", value_parser = parse_encoding)]
    encoding: Option<TextEncoding>,
    /// Only users of this connection; with --from its name, not its id
    #[arg(long, value_name = "NAME|ID")]
    connection: Option<String>,
    /// Only users that match this query, in the syntax of Auth0's user search (Lucene), see docs/query.md. --explain
    /// shows which part Auth0 evaluates and which part is evaluated locally
    #[arg(long, value_name = "LUCENE", allow_hyphen_values = true)]
    query: Option<String>,
    /// Maximum number of users; with --sort, the first of the sorted users
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// A column: an expression such as `user.app_metadata.name || user.name`, and its name after the last =. Can be
    /// repeated. Without columns, JSON and NDJSON contain complete users, CSV the default columns
    #[arg(long = "column", value_name = "EXPR=Name", allow_hyphen_values = true)]
    columns: Vec<String>,
    /// Put the eleven default columns before the given ones
    #[arg(long)]
    defaults: bool,
    /// `import`: a JSON array that can be imported into another tenant; users without an e-mail address are omitted
    /// and counted
    #[arg(long, value_enum, value_name = "PRESET", conflicts_with = "defaults")]
    preset: Option<PresetArg>,
    /// Sort by this expression: numbers, then false, true, then strings by code point, then arrays and
    /// objects; missing values last
    #[arg(long, value_name = "EXPR", allow_hyphen_values = true)]
    sort: Option<String>,
    /// Sort in descending order; missing values stay last
    #[arg(long, requires = "sort")]
    descending: bool,
    /// Memory for sorting; larger sorts use temporary files
    #[arg(long, value_name = "SIZE", default_value = "64MiB")]
    sort_memory: ByteSize,
    /// Format of the output. Default: the extension of --output (.csv, .json, .ndjson or .jsonl, optionally followed
    /// by .gz), or JSON with --preset, or CSV
    #[arg(long, value_enum)]
    format: Option<FormatArg>,
    /// CSV: the character between cells; \t or tab is a tab [default: ,]
    #[arg(long, value_name = "CHAR")]
    delimiter: Option<String>,
    /// CSV: start with a byte order mark, which old spreadsheet programs need to detect UTF-8
    #[arg(long)]
    bom: bool,
    /// CSV: do not put ' before text that spreadsheet programs would interpret as a formula
    #[arg(long)]
    raw_cells: bool,
    /// Compress the output; also when --output ends in .gz
    #[arg(long)]
    gzip: bool,
    /// What to do with users that cannot be read and cells that cannot be computed
    #[arg(long, value_enum, default_value = "empty")]
    on_error: OnErrorArg,
    /// Number of threads; default: one per processor
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// How lines are parsed; the output is the same
    #[arg(long, value_enum, default_value = "index", hide_short_help = true)]
    reader: ReaderArg,
    /// Do not ask when remarks say that the query probably finds more users than meant. Without a terminal they are only
    /// printed
    #[arg(long)]
    yes: bool,
    /// Show the plan without exporting
    #[arg(long)]
    explain: bool,
    /// Write to this file, which is created when it is complete; `-` is standard output [default: -]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatArg {
    Csv,
    Json,
    Ndjson,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PresetArg {
    Import,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ReaderArg {
    /// With an index of many lines at a time: the fastest way
    Index,
    /// Byte by byte, to check for an error in the other way
    Scan,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OnErrorArg {
    /// Omit the user or leave the cell empty, and count them
    Empty,
    /// Stop with an error
    Fail,
}

/// Runs `export`; `config` is the file of `--config`.
pub fn run(args: &ExportArgs, config: Option<&Path>) -> Result<ExitCode> {
    let request = request(args);
    let mut spec = spec(args, &request, config)?.with_reading(match args.reader {
        ReaderArg::Index => Reading::Index,
        ReaderArg::Scan => Reading::Scan,
    });
    if let Some(threads) = args.threads {
        spec = spec.with_threads(usize::from(threads));
    }
    if !args.explain {
        for remark in spec.remarks() {
            eprintln!("remark: {remark}");
        }
        for remark in spec.expression_remarks(!args.from.is_empty()) {
            eprintln!("remark: {remark}");
        }
        if spec.remarks().iter().any(|remark| remark.widens) {
            let reads_input = args.from.iter().any(|from| is_standard_input(from));
            confirm_wide_query(Answer::of(args.yes, reads_input))?;
        }
    }
    let output = args.output.as_deref().filter(|path| *path != Path::new("-"));
    let summary =
        if args.from.is_empty() { from_tenant(args, spec, config, output)? } else { from_files(args, &spec, output)? };
    let Some(summary) = summary else { return Ok(ExitCode::SUCCESS) };
    Ok(print_errors(&summary))
}

/// Validates the request. Only columns with transforms or JavaScript need the settings (sandbox and secrets).
fn spec(args: &ExportArgs, request: &ExportRequest, config: Option<&Path>) -> Result<ExportSpec> {
    ExportSpec::with_tools_if_needed(request, args.sort_memory.as_u64(), || {
        let purpose = if args.from.is_empty() { Purpose::Tenant } else { Purpose::Local };
        let settings = Settings::load(purpose, config)?;
        Ok(TransformContext::new(&Sandbox::open(&settings)?, &settings.secrets))
    })
}

/// Builds the request, as in the HTTP API, from the arguments.
fn request(args: &ExportArgs) -> ExportRequest {
    let mut fields = Vec::new();
    if args.defaults {
        fields.extend(
            DEFAULT_COLUMNS
                .iter()
                .map(|(name, title)| FieldRequest { name: (*name).to_owned(), export_as: Some((*title).to_owned()) }),
        );
    }
    for column in &args.columns {
        let (expression, name) = split_column(column);
        fields.push(FieldRequest { name: expression.to_owned(), export_as: name.map(str::to_owned) });
    }
    let name = args.output.as_deref().and_then(Path::file_name).unwrap_or_default().to_string_lossy().to_lowercase();
    let (name, named_gzip) = name.strip_suffix(".gz").map_or((name.as_str(), false), |name| (name, true));
    let named_format = match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("csv") => Some(Format::Csv),
        Some("json") => Some(Format::Json),
        Some("ndjson" | "jsonl") => Some(Format::Ndjson),
        _ => None,
    };
    let given_format = args.format.map(|format| match format {
        FormatArg::Csv => Format::Csv,
        FormatArg::Json => Format::Json,
        FormatArg::Ndjson => Format::Ndjson,
    });
    let default_format = if args.preset.is_some() { Format::Json } else { Format::Csv };
    ExportRequest {
        format: given_format.or(named_format).unwrap_or(default_format),
        connection_id: args.connection.clone(),
        fields: (!fields.is_empty()).then_some(fields),
        preset: args.preset.map(|PresetArg::Import| Preset::Import),
        query: args.query.clone(),
        sort: args.sort.clone().map(|by| SortRequest { by, descending: args.descending }),
        limit: args.limit,
        delimiter: args.delimiter.clone(),
        bom: args.bom,
        raw_cells: args.raw_cells,
        gzip: args.gzip || named_gzip,
        on_error: match args.on_error {
            OnErrorArg::Empty => OnError::Empty,
            OnErrorArg::Fail => OnError::Fail,
        },
        transforms: Pins::default(),
    }
}

/// Exports the users of files. Returns `None` with `--explain`, or if the reader of standard output closed it.
fn from_files(args: &ExportArgs, spec: &ExportSpec, output: Option<&Path>) -> Result<Option<ExportSummary>> {
    if args.explain {
        return explain(&spec.plan_file()?);
    }
    if args.from.iter().filter(|from| is_standard_input(from)).count() > 1 {
        return Err(Error::new(
            Code::InvalidArgument,
            message!("--from - is given twice, but standard input can be read once."),
        ));
    }
    let read = Arc::new(AtomicU64::new(0));
    let sizes: Vec<Option<u64>> = args.from.iter().map(|from| file_size(from)).collect::<Result<_>>()?;
    let size: Option<u64> = sizes.into_iter().sum();
    let several = args.from.len() > 1;
    let options = ReadOptions { encoding: args.encoding, ..ReadOptions::default() };
    let files = args.from.iter().map(|from| {
        let name = several.then(|| from.display().to_string());
        let (from, read) = (from.clone(), Arc::clone(&read));
        let open = Box::new(move || {
            let input: Box<dyn Read + Send> =
                if is_standard_input(&from) { Box::new(std::io::stdin()) } else { Box::new(open_file(&from)?) };
            Ok(Box::new(CountingReader { input, read }) as Box<dyn Read + Send>)
        });
        InputFile { name, open, options: options.clone() }
    });
    let files: Vec<InputFile> = files.collect();
    let progress = Arc::new(Progress::default());
    let bar = ProgressDisplay::start(&progress, size.map(|size| (size, read)));
    let target = Output::open(output)?;
    let writer = target.writer()?;
    let runtime = runtime()?;
    let result = runtime.block_on(async {
        let (spec, working) = (spec.clone(), Arc::clone(&progress));
        let work = tokio::task::spawn_blocking(move || uie_export::run_files(&spec, files, writer, &working));
        let work = async { work.await.map_err(Error::internal)? };
        run_with_progress(&progress, progress.or_abandon(work), Verbosity::Warnings, || {}).await
    });
    // Do not wait for a thread that is blocked on reading input or writing output; it ends with the process.
    runtime.shutdown_background();
    bar.finish();
    target.finish(result)
}

fn is_standard_input(from: &Path) -> bool {
    from == Path::new("-")
}

fn open_file(from: &Path) -> Result<File> {
    File::open(from).map_err(|error| unreadable(from, &error))
}

fn unreadable(from: &Path, error: &std::io::Error) -> Error {
    Error::new(Code::InvalidUsersFile, message!("--from {}: {error}", from.display()))
}

/// Returns the size of a file; `None` for standard input and other streams. Fails if the file cannot be read.
fn file_size(from: &Path) -> Result<Option<u64>> {
    if is_standard_input(from) {
        return Ok(None);
    }
    let metadata = std::fs::metadata(from).map_err(|error| unreadable(from, &error))?;
    if metadata.is_dir() {
        return Err(Error::new(Code::InvalidUsersFile, message!("--from {} is a directory.", from.display())));
    }
    if metadata.is_file() {
        // Report a file without permission before anything is read or written.
        open_file(from)?;
    }
    Ok(metadata.is_file().then_some(metadata.len()))
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?)
}

fn from_tenant(
    args: &ExportArgs,
    spec: ExportSpec,
    config: Option<&Path>,
    output: Option<&Path>,
) -> Result<Option<ExportSummary>> {
    let settings = Settings::load(Purpose::Tenant, config)?;
    let host = settings.tenant()?;
    let client = settings.client.as_ref().ok_or_else(|| {
        Error::new(
            Code::InvalidSettings,
            message!("AUTH0_CLIENT_ID and AUTH0_CLIENT_SECRET are needed to read the tenant."),
        )
    })?;
    let client = ManagementClient::with_client_credentials(host, client)?;
    let runtime = runtime()?;
    if args.explain {
        return explain(&runtime.block_on(spec.plan(&client))?);
    }
    let progress = Arc::new(Progress::default());
    let bar = ProgressDisplay::start(&progress, None);
    let target = Output::open(output)?;
    let writer = target.writer()?;
    let export = uie_export::run(Arc::new(spec), client, writer, Arc::clone(&progress), None);
    let result = runtime.block_on(run_with_progress(&progress, export, Verbosity::Warnings, || {}));
    runtime.shutdown_background();
    bar.finish();
    target.finish(result)
}

/// Prints the plan of the export.
fn explain(plan: &uie_export::Plan) -> Result<Option<ExportSummary>> {
    write!(std::io::stdout(), "{plan}")?;
    Ok(None)
}

/// Prints warnings and row errors to standard error. Returns 1 if there are any.
fn print_errors(summary: &ExportSummary) -> ExitCode {
    for warning in &summary.warnings {
        eprintln!("warning: {warning}");
    }
    if summary.faults == 0 {
        return ExitCode::SUCCESS;
    }
    for fault in &summary.first_faults {
        eprintln!("{fault}");
    }
    let left = summary.faults.saturating_sub(summary.first_faults.len() as u64);
    if left > 0 {
        eprintln!("… and {left} more");
    }
    let (rows, cells) = (summary.rows, summary.cells);
    let users = summary.faults.saturating_sub(cells);
    let counted = |count: u64, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    let mut lost = Vec::new();
    if users > 0 {
        lost.push(format!("{} could not be exported", counted(users, "user")));
    }
    if cells > 0 {
        lost.push(format!(
            "{} could not be computed and {} empty",
            counted(cells, "cell"),
            if cells == 1 { "is" } else { "are" }
        ));
    }
    eprintln!("{}; {rows} {} written.", lost.join(", "), if rows == 1 { "was" } else { "were" });
    ExitCode::from(1)
}

/// The destination of the export.
enum Output {
    /// Standard output, and whether its reader has closed it.
    Standard(Arc<AtomicBool>),
    /// An existing device or named pipe, which must not be replaced by a file.
    Device(File),
    /// A temporary file in the same directory, which is renamed when it is complete.
    File(NamedTempFile, PathBuf),
}

impl Output {
    fn open(output: Option<&Path>) -> Result<Self> {
        let Some(path) = output else { return Ok(Self::Standard(Arc::default())) };
        let unwritable = |error: std::io::Error| {
            let mut error = Error::from(error);
            error.message = message!("--output {}: {}", path.display(), error.message);
            error.with_hint(message!("Check that its directory exists, is writable and has space."))
        };
        if path.is_dir() {
            return Err(Error::new(Code::InvalidArgument, message!("--output {} is a directory.", path.display())));
        }
        if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            return Ok(Self::Device(File::options().write(true).open(path).map_err(unwritable)?));
        }
        // Replace the target of a symbolic link, not the link.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        builder.prefix(".export-").suffix(".partial");
        let file = builder.tempfile_in(directory).map_err(unwritable)?;
        Ok(Self::File(file, path))
    }

    fn writer(&self) -> Result<Box<dyn Write + Send>> {
        Ok(match self {
            Self::Standard(closed) => Box::new(StandardOutput { closed: Arc::clone(closed) }),
            Self::Device(file) => Box::new(file.try_clone()?),
            Self::File(file, _) => Box::new(file.reopen()?),
        })
    }

    /// Renames a complete file to its final name; deletes an incomplete one. Returns `None` if the reader of standard
    /// output closed it.
    fn finish(self, result: Result<ExportSummary>) -> Result<Option<ExportSummary>> {
        let result = result.map_err(|error| match error.code {
            // The usual hint names DATA_DIR, which is not used here.
            Code::DiskFull => error.with_hint(message!(
                "Free space for the output and, for a sort, for temporary files (TMPDIR), or choose other directories."
            )),
            _ => error,
        });
        match self {
            Self::Standard(closed) if closed.load(Ordering::Acquire) => Ok(None),
            Self::Standard(_) | Self::Device(_) => result.map(Some),
            Self::File(file, path) => {
                let summary = result?;
                file.as_file().sync_all()?;
                file.persist(&path).map_err(|failure| {
                    let mut error = Error::from(failure.error);
                    error.message = message!("--output {}: {}", path.display(), error.message);
                    error
                })?;
                Ok(Some(summary))
            }
        }
    }
}

/// Standard output that records when its reader has closed it, as with `| head`.
struct StandardOutput {
    closed: Arc<AtomicBool>,
}

impl StandardOutput {
    fn record_closed<T>(&self, result: std::io::Result<T>) -> std::io::Result<T> {
        if result.as_ref().is_err_and(|error| error.kind() == ErrorKind::BrokenPipe) {
            self.closed.store(true, Ordering::Release);
        }
        result
    }
}

impl Write for StandardOutput {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.record_closed(std::io::stdout().write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.record_closed(std::io::stdout().flush())
    }
}

/// Counts the bytes read from a file, for the progress bar.
struct CountingReader {
    input: Box<dyn Read + Send>,
    read: Arc<AtomicU64>,
}

impl Read for CountingReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// A progress bar with rate and remaining time on standard error, if that is a terminal.
struct ProgressDisplay {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl ProgressDisplay {
    /// Starts the bar. `file` is the size of the input file and the number of bytes read, because the number of users
    /// in a file is not known.
    fn start(progress: &Arc<Progress>, file: Option<(u64, Arc<AtomicU64>)>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        if !std::io::stderr().is_terminal() {
            return Self { stop, thread: None };
        }
        let (progress, stopped) = (Arc::clone(progress), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let bar = ProgressBar::no_length();
            while !stopped.load(Ordering::Acquire) {
                draw(&bar, &progress, file.as_ref());
                std::thread::park_timeout(Duration::from_millis(200));
            }
            bar.finish_and_clear();
        });
        Self { stop, thread: Some(thread) }
    }

    fn finish(self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread {
            thread.thread().unpark();
            // Ignore a panic while drawing the bar.
            let _ = thread.join();
        }
    }
}

/// Length of a bar that shows a fraction.
const FRACTION_STEPS: u64 = 1000;

fn draw(bar: &ProgressBar, progress: &Progress, file: Option<&(u64, Arc<AtomicU64>)>) {
    let users = progress.processed();
    let share = progress.share().filter(|_| progress.total().is_none());
    let style = match (file, progress.total()) {
        (Some((size, read)), _) => {
            bar.set_length(*size);
            bar.set_position(read.load(Ordering::Relaxed));
            "{bar:30} {percent:>3} %  {msg}  {bytes_per_sec}  {eta} left"
        }
        (None, Some(total)) => {
            bar.set_length(total);
            bar.set_position(users);
            "{bar:30} {percent:>3} %  {msg}  {per_sec}  {eta} left"
        }
        (None, None) if share.is_some() => {
            bar.set_length(FRACTION_STEPS);
            bar.set_position((share.unwrap_or_default() * FRACTION_STEPS as f64) as u64);
            "{bar:30} {percent:>3} %  {msg}  {eta} left"
        }
        (None, None) => {
            bar.set_position(users);
            "{spinner} {msg}  {per_sec}"
        }
    };
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    let details = progress.details().map(|details| format!("  {details}")).unwrap_or_default();
    bar.set_message(format!("{users} users{details}"));
    bar.tick();
}
