//! `export`: users of a tenant or of a file, as CSV, JSON or NDJSON.

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

use super::follow::{self, Silence};
use crate::auth0::ManagementClient;
use crate::config::{Purpose, Settings};
use crate::error::{Code, Error, Result};
use crate::export::{
    self, ExportRequest, ExportSpec, ExportSummary, FieldRequest, Format, OnError, Preset, Reading, SortRequest,
};
use crate::expression::{Pins, Tools, split_column};
use crate::progress::Progress;
use crate::sandbox::Sandbox;
use crate::user::DEFAULT_COLUMNS;

/// Arguments of `export`.
#[derive(Args, Debug)]
pub struct ExportArgs {
    /// Read users from this file instead of the tenant: a JSON array or one user a line, plain or gzip,
    /// found by content; `-` is standard input
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Only users of this connection; with --from its name
    #[arg(long, value_name = "NAME|ID")]
    connection: Option<String>,
    /// Only users that match this query, in the syntax of Auth0's user search (Lucene); docs/query.md
    /// says what can be searched. --explain says what Auth0 filters and what is filtered here
    #[arg(long, value_name = "LUCENE", allow_hyphen_values = true)]
    query: Option<String>,
    /// At most so many users; with --sort, the first so many of the sorted ones
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// A column: an expression such as `user.app_metadata.name || user.name`, and after the last = its
    /// name. May be given many times. Without any, JSON and NDJSON carry whole users, CSV the default
    /// columns
    #[arg(long = "column", value_name = "EXPR=Name", allow_hyphen_values = true)]
    columns: Vec<String>,
    /// Put the eleven default columns before the given ones
    #[arg(long)]
    defaults: bool,
    /// `import`: a JSON array that can be imported into another tenant as it is; users without an e-mail
    /// address are left out and counted
    #[arg(long, value_enum, value_name = "PRESET", conflicts_with = "defaults")]
    preset: Option<PresetArg>,
    /// Sort by this expression: numbers, then false, true, then strings by code point, then arrays and
    /// objects; missing values last
    #[arg(long, value_name = "EXPR", allow_hyphen_values = true)]
    sort: Option<String>,
    /// Largest first; missing values stay last
    #[arg(long, requires = "sort")]
    descending: bool,
    /// Memory for sorting; what does not fit is sorted in temporary files
    #[arg(long, value_name = "SIZE", default_value = "64MiB")]
    sort_memory: ByteSize,
    /// Format of the output; by default what the extension of --output says (.csv, .json, .ndjson or
    /// .jsonl, each also with .gz), JSON with --preset, else CSV
    #[arg(long, value_enum)]
    format: Option<FormatArg>,
    /// CSV: the character between cells; \t or tab is a tab [default: ,]
    #[arg(long, value_name = "CHAR")]
    delimiter: Option<String>,
    /// CSV: start with a byte-order mark, which old spreadsheets need to see UTF-8
    #[arg(long)]
    bom: bool,
    /// CSV: do not put ' before text that spreadsheets would take for a formula
    #[arg(long)]
    raw_cells: bool,
    /// Compress the output; also when --output ends in .gz
    #[arg(long)]
    gzip: bool,
    /// What becomes of users and cells that cannot be read or computed
    #[arg(long, value_enum, default_value = "empty")]
    on_error: OnErrorArg,
    /// Threads to compute with; by default one per processor
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// How lines are read; what comes out is the same
    #[arg(long, value_enum, default_value = "index", hide_short_help = true)]
    reader: ReaderArg,
    /// Show what would be done, and do nothing
    #[arg(long)]
    explain: bool,
    /// Write to this file, which appears once it is complete; `-` is standard output [default: -]
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
    /// By an index of many lines at once: the quickest way
    Index,
    /// From byte to byte, in case the other way is suspected
    Scan,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OnErrorArg {
    /// Leave them out or empty, and count them
    Empty,
    /// Stop
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
    }
    let output = args.output.as_deref().filter(|path| *path != Path::new("-"));
    let Some(summary) = (match &args.from {
        Some(from) => from_file(args, &spec, from, output)?,
        None => from_tenant(args, spec, config, output)?,
    }) else {
        return Ok(ExitCode::SUCCESS);
    };
    Ok(report(&summary))
}

/// The request, checked. Columns that are all paths need no settings; others need the sandbox and secrets.
fn spec(args: &ExportArgs, request: &ExportRequest, config: Option<&Path>) -> Result<ExportSpec> {
    let sort_memory = args.sort_memory.as_u64();
    match ExportSpec::new(request, sort_memory) {
        Err(error) if error.code == Code::UnsupportedExpression => {
            let purpose = if args.from.is_some() { Purpose::Local } else { Purpose::Tenant };
            let settings = Settings::load(purpose, config)?;
            let tools = Tools::new(&Sandbox::open(&settings)?, &settings.secrets);
            ExportSpec::with_tools(request, sort_memory, &tools)
        }
        checked => checked,
    }
}

/// The same request the HTTP API takes.
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
    let usual_format = if args.preset.is_some() { Format::Json } else { Format::Csv };
    ExportRequest {
        format: given_format.or(named_format).unwrap_or(usual_format),
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

/// Exports a file; nothing with `--explain`, or when nobody reads the output any more.
fn from_file(
    args: &ExportArgs,
    spec: &ExportSpec,
    from: &Path,
    output: Option<&Path>,
) -> Result<Option<ExportSummary>> {
    if args.explain {
        return explain(&spec.plan_file()?);
    }
    let (input, size): (Box<dyn Read + Send>, Option<u64>) = if from == Path::new("-") {
        (Box::new(std::io::stdin()), None)
    } else {
        let unreadable =
            |error: std::io::Error| Error::new(Code::InvalidUsersFile, format!("--from {}: {error}", from.display()));
        let file = File::open(from).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if metadata.is_dir() {
            return Err(Error::new(Code::InvalidUsersFile, format!("--from {} is a directory.", from.display())));
        }
        (Box::new(file), metadata.is_file().then_some(metadata.len()))
    };
    let read = Arc::new(AtomicU64::new(0));
    let input = Box::new(Counted { input, read: Arc::clone(&read) });
    let progress = Arc::new(Progress::default());
    let bar = Bar::start(&progress, size.map(|size| (size, read)));
    let target = Target::new(output)?;
    let writer = target.writer()?;
    let runtime = runtime()?;
    let result = runtime.block_on(async {
        let (spec, working) = (spec.clone(), Arc::clone(&progress));
        let work = tokio::task::spawn_blocking(move || export::run_file(&spec, input, writer, &working));
        let work = async { work.await.map_err(|error| Error::new(Code::Internal, error.to_string()))? };
        follow::to_its_end(&progress, progress.or_left_behind(work), Silence::ButTrouble, || {}).await
    });
    // A thread that waits for input, or for whoever reads the output, ends with the process.
    runtime.shutdown_background();
    bar.finish();
    target.finish(result)
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
        Error::new(Code::InvalidSettings, "AUTH0_CLIENT_ID and AUTH0_CLIENT_SECRET are needed to read the tenant.")
    })?;
    let client = ManagementClient::with_client_credentials(host, client)?;
    let runtime = runtime()?;
    if args.explain {
        return explain(&runtime.block_on(spec.plan(&client))?);
    }
    let progress = Arc::new(Progress::default());
    let bar = Bar::start(&progress, None);
    let target = Target::new(output)?;
    let writer = target.writer()?;
    let export = export::run(Arc::new(spec), client, writer, Arc::clone(&progress), None);
    let result = runtime.block_on(follow::to_its_end(&progress, export, Silence::ButTrouble, || {}));
    runtime.shutdown_background();
    bar.finish();
    target.finish(result)
}

fn explain(plan: &export::Plan) -> Result<Option<ExportSummary>> {
    write!(std::io::stdout(), "{plan}")?;
    Ok(None)
}

/// Says on standard error what could not be read; nothing when all could.
fn report(summary: &ExportSummary) -> ExitCode {
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

/// Where the output goes.
enum Target {
    /// Standard output, and whether whoever read it went away.
    Standard(Arc<AtomicBool>),
    /// A device or named pipe that is there already, which a file must never take the place of.
    Device(File),
    /// A file under another name beside its place, until it is complete.
    File(NamedTempFile, PathBuf),
}

impl Target {
    fn new(output: Option<&Path>) -> Result<Self> {
        let Some(path) = output else { return Ok(Self::Standard(Arc::default())) };
        let unwritable = |error: std::io::Error| {
            let mut error = Error::from(error);
            error.message = format!("--output {}: {}", path.display(), error.message);
            error.with_hint("Check that its directory exists, is writable and has space.")
        };
        if path.is_dir() {
            return Err(Error::new(Code::InvalidArgument, format!("--output {} is a directory.", path.display())));
        }
        if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            return Ok(Self::Device(File::options().write(true).open(path).map_err(unwritable)?));
        }
        // A link stays one; what it leads to is replaced.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        builder.prefix(".export-").suffix(".partial");
        let file = builder.tempfile_in(directory).map_err(unwritable)?;
        Ok(Self::File(file, path))
    }

    fn writer(&self) -> Result<Box<dyn Write + Send>> {
        Ok(match self {
            Self::Standard(closed) => Box::new(Standard { closed: Arc::clone(closed) }),
            Self::Device(file) => Box::new(file.try_clone()?),
            Self::File(file, _) => Box::new(file.reopen()?),
        })
    }

    /// Puts a complete file in its place; removes an incomplete one.
    fn finish(self, result: Result<ExportSummary>) -> Result<Option<ExportSummary>> {
        let result = result.map_err(|error| match error.code {
            // There is no DATA_DIR here.
            Code::DiskFull => error.with_hint(
                "Free space where the output goes and, for a sort, where temporary files go (TMPDIR); or choose others.",
            ),
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
                    error.message = format!("--output {}: {}", path.display(), error.message);
                    error
                })?;
                Ok(Some(summary))
            }
        }
    }
}

/// Standard output that remembers when nobody reads it any more, as with `| head`.
struct Standard {
    closed: Arc<AtomicBool>,
}

impl Standard {
    fn noting<T>(&self, result: std::io::Result<T>) -> std::io::Result<T> {
        if result.as_ref().is_err_and(|error| error.kind() == ErrorKind::BrokenPipe) {
            self.closed.store(true, Ordering::Release);
        }
        result
    }
}

impl Write for Standard {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.noting(std::io::stdout().write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.noting(std::io::stdout().flush())
    }
}

/// Counts what was read of a file, for its bar.
struct Counted {
    input: Box<dyn Read + Send>,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// A bar with rate and time left on standard error, when that is a terminal.
struct Bar {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Bar {
    /// `file` is the size of the file that is read, and how much of it was read: the best measure there
    /// is of a file whose users nobody has counted.
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
            // A bar that failed to draw is no reason to fail.
            let _ = thread.join();
        }
    }
}

/// Steps of a bar that shows a share.
const SHARES: u64 = 1000;

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
            bar.set_length(SHARES);
            bar.set_position((share.unwrap_or_default() * SHARES as f64) as u64);
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
