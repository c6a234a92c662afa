//! `import`: checks files of users, and sends the valid rows to Auth0.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::encoding::parse_encoding;
use super::logging::start_logging;
use super::run_with_progress::{Verbosity, run_with_progress};
use uie_auth0::{JobSummary, ManagementClient};
use uie_core::config::{Purpose, Settings};
use uie_core::error::{Code, Error, Result};
use uie_core::message::message;
use uie_core::principal::Principal;
use uie_core::progress::Progress;
use uie_expression::TransformContext;
use uie_import::{
    ImportRequest, ImportSpec, InputFile, InputFormat, JoinedHashes, LookUpBy, LookedUp, MapRule, PollPolicy,
    PreparedImport, Reason, ReasonCounter, RowFault, Severity, TextEncoding,
};
use uie_jobs::{NewDirectory, PreparedJob};
use uie_sandbox::Sandbox;
use uie_store::{Files, JobKind, JobState, Store};

/// Faults that are printed; `--report` writes all of them.
const SHOWN_FAULTS: usize = 10;

/// Help of `--map`.
const MAP_HELP: &str = "Compute an attribute from a row with a path, a transform call, or JavaScript: \
                        'user[\"Full name\"]=name', 'user.Mail.toLowerCase()=email'; null=NAME omits a column or \
                        attribute";

/// Arguments of `import`.
#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// Files of users, imported in this order: JSON, NDJSON, CSV or LDIF, optionally compressed with gzip; - is
    /// standard input. One of them may be Auth0's export of password hashes
    #[arg(value_name = "FILE", required_unless_present_any = ["resume", "retry"])]
    files: Vec<PathBuf>,
    /// Database connection for the users
    #[arg(long, value_name = "NAME|ID", required_unless_present_any = ["dry_run", "chunks", "resume", "retry"])]
    connection: Option<String>,
    /// Update existing users, matched by e-mail address; their metadata is replaced
    #[arg(long)]
    upsert: bool,
    /// Let Auth0 send an e-mail to the tenant's owners after every chunk of the import
    #[arg(long)]
    send_completion_email: bool,
    /// Keep the prefix auth0| of user_id; Auth0 then adds it a second time
    #[arg(long)]
    keep_id_prefix: bool,
    #[arg(long, value_name = "EXPR=attribute", help = MAP_HELP, allow_hyphen_values = true)]
    map: Vec<String>,
    /// Omit attributes that Auth0 sets itself, such as dates and identities, so that an export of complete users can be
    /// imported
    #[arg(long)]
    drop_read_only: bool,
    /// Omit attributes without content (null, "", {} and []), and members of metadata that are null or ""
    #[arg(long)]
    drop_empty: bool,
    /// Omit columns and attributes that Auth0 does not know, with a warning for each name
    #[arg(long)]
    drop_unknown: bool,
    /// Treat cells and strings that are exactly this text as absent, such as NULL or \N; may be repeated
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    null: Vec<String>,
    /// Import only the rows that match this search query, in Auth0's syntax; it is evaluated after the mapping
    #[arg(long, value_name = "LUCENE", allow_hyphen_values = true)]
    query: Option<String>,
    /// The system whose export the files are, such as cognito, firebase or keycloak; recognized from the content unless
    /// given. none reads every file as users of Auth0
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Encoding of the files, such as Shift_JIS or windows-1251; detected if absent
    #[arg(long, value_name = "NAME", value_parser = parse_encoding)]
    encoding: Option<TextEncoding>,
    /// Only check the files, without a tenant
    #[arg(long)]
    dry_run: bool,
    /// With --dry-run: look up in the tenant which users exist, and report how many rows would be inserted, updated and
    /// rejected
    #[arg(long, requires = "dry_run", requires = "connection")]
    look_up: bool,
    /// With --upsert: before the import, write the existing users to this file; importing it with --upsert restores
    /// their metadata
    #[arg(long, value_name = "FILE", requires = "upsert", conflicts_with_all = ["dry_run", "chunks"])]
    backup: Option<PathBuf>,
    /// Write the valid rows as JSON arrays of at most 500,000 bytes to this directory instead of sending them; chunks
    /// of an earlier run are replaced
    #[arg(long, value_name = "DIR")]
    chunks: Option<PathBuf>,
    /// Write all row errors as NDJSON; - is standard output
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Write the failed rows to this file, in the format of the input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dry_run", "chunks"])]
    failed: Option<PathBuf>,
    /// Resume an import that was interrupted, canceled or failed
    #[arg(long, value_name = "JOB", conflicts_with_all = [
        "files", "connection", "upsert", "send_completion_email", "keep_id_prefix", "dry_run", "chunks", "map",
        "drop_read_only", "drop_empty", "drop_unknown", "null", "query", "encoding", "source", "backup", "look_up",
        "retry",
    ])]
    resume: Option<String>,
    /// Import the failed rows of an earlier import again, with its settings: without files the original rows, otherwise
    /// the corrected rows in the files
    #[arg(long, value_name = "JOB", conflicts_with_all = [
        "connection", "upsert", "send_completion_email", "keep_id_prefix", "dry_run", "chunks", "map",
        "drop_read_only", "drop_empty", "drop_unknown", "null", "query", "encoding", "source", "backup", "look_up",
    ])]
    retry: Option<String>,
}

/// Runs `import`; `config` is the file named by `--config`.
pub(super) fn run(args: &ImportArgs, config: Option<&Path>) -> Result<ExitCode> {
    if args.files.iter().filter(|path| is_stdin(path)).count() > 1 {
        return Err(Error::new(Code::InvalidArgument, message!("Standard input (-) can be read only once.")));
    }
    let local = args.dry_run || args.chunks.is_some();
    let purpose = if local && !args.look_up { Purpose::Local } else { Purpose::Tenant };
    let settings = Settings::load(purpose, config)?;
    start_logging(&settings.log, settings.log_format)?;
    let failed = if local {
        check(args, &settings)?
    } else {
        let runtime = tokio::runtime::Runtime::new()?;
        runtime.block_on(send(args, &Arc::new(settings)))?
    };
    Ok(ExitCode::from(u8::from(failed > 0)))
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Returns the name of a file for messages.
fn file_name(path: &Path) -> String {
    if is_stdin(path) { "standard input".to_owned() } else { path.display().to_string() }
}

fn open(path: &Path) -> Result<Box<dyn Read + Send>> {
    if is_stdin(path) {
        return Ok(Box::new(io::stdin()));
    }
    let file = File::open(path)
        .map_err(|error| Error::new(Code::InvalidUsersFile, message!("{}: {error}", path.display())))?;
    Ok(Box::new(file))
}

/// Checks the files. Returns the number of rows with errors.
fn check(args: &ImportArgs, settings: &Settings) -> Result<u64> {
    let mut request = ImportRequest { dry_run: args.dry_run, look_up: args.look_up, ..request(args)? };
    let tenant =
        args.look_up.then(|| Ok::<_, Error>((tokio::runtime::Runtime::new()?, client(settings)?))).transpose()?;
    if let Some((runtime, client)) = &tenant {
        let connection = client.connection(args.connection.as_deref().unwrap_or_default());
        request.connection_id = runtime.block_on(connection)?.id;
    }
    // Temporary files with the identities of the rows, for the lookup.
    let temporary = args.look_up.then(tempfile::tempdir).transpose()?;
    let identities = temporary.as_ref().map(|directory| Files::ephemeral(directory.path())).transpose()?;
    let spec = ImportSpec::with_tools_if_needed(&request, || tools(settings))?;
    print_remarks(&spec);
    let bar = byte_bar(&args.files);
    let several = args.files.len() > 1;
    let inputs = args
        .files
        .iter()
        .map(|path| {
            let (bar, path, name) = (bar.clone(), path.clone(), several.then(|| file_name(path)));
            let reopenable = !is_stdin(&path);
            let open = move || Ok(Box::new(bar.wrap_read(open(&path)?)) as Box<dyn Read + Send>);
            InputFile { name, open: Box::new(open), reopenable }
        })
        .collect();
    let mut report = Report::create(args.report.as_deref())?;
    let mut reasons = ReasonCounter::default();
    let mut keep = |fault: &RowFault| {
        if fault.is_consequence() {
            bar.suspend(|| eprint!("{}", format_error(fault)));
        }
        reasons.push(fault);
        report.push(fault)
    };
    let progress = Progress::default();
    let checked =
        uie_import::check_files(&spec, inputs, args.chunks.as_deref(), identities.as_ref(), &mut keep, &progress);
    bar.finish_and_clear();
    let summary = checked?;
    let looked_up = match (&tenant, &identities) {
        (Some((runtime, client)), Some(files)) => {
            eprintln!("{}", LookUpBy::for_rows(summary.good).description(summary.good));
            let progress = Arc::new(Progress::default());
            let lookup = uie_import::find_existing_users(&spec, files, client, &progress, PollPolicy::default());
            let existing_users = runtime.block_on(lookup)?;
            for fault in uie_import::faults(files)? {
                keep(&fault?)?;
            }
            existing_users.look_up
        }
        _ => None,
    };
    let mut text = format!(
        "{}: {} can be imported, {} cannot; {}.\n",
        with_count(summary.total, "row"),
        summary.good,
        summary.failed,
        with_count(summary.warnings, "warning")
    );
    text.push_str(&describe_left_out(summary.left_out));
    if let Some(LookedUp { inserted, updated, refused, .. }) = looked_up {
        let _ = writeln!(
            text,
            "Against the current users of the tenant: {inserted} to insert, {updated} to update, {refused} to reject."
        );
    }
    text.push_str(&describe_inputs(&summary.inputs, summary.hashes));
    text.push_str(&describe_reasons(&reasons.finish()));
    if let Some(directory) = &args.chunks {
        let _ = writeln!(text, "Wrote {} to {}.", with_count(summary.chunks, "chunk"), directory.display());
    }
    report.finish(&text)?;
    Ok(summary.failed)
}

/// Runs or resumes an import. Returns the number of rows that were not imported.
async fn send(args: &ImportArgs, settings: &Arc<Settings>) -> Result<u64> {
    let tenant = settings.tenant()?;
    let client = client(settings)?;
    let principal = Principal::application(settings.client.as_ref().map_or("", |client| client.id.as_str()));
    let mut report = Report::create(args.report.as_deref())?;
    let prepare = |request| {
        let settings = Arc::clone(settings);
        PreparedImport::new(&principal, request, move || tools(&settings), || Ok(client.clone()))
    };
    let (store, id, spec) = if let Some(id) = &args.resume {
        let store = Store::open_with(settings).await?;
        let request = load_resumable_request(&store, tenant.host(), id).await?;
        let spec = ImportSpec::with_tools_if_needed(&request, || tools(settings))?;
        (store, id.clone(), spec)
    } else {
        // A new import is checked as far as possible before DATA_DIR is opened.
        let (store, import) = if let Some(failed) = &args.retry {
            let store = Store::open_with(settings).await?;
            let request = uie_jobs::retryable_request(&store, &store.job(tenant.host(), failed).await?)?;
            (store, prepare(request).await?)
        } else {
            let connection = client.connection(args.connection.as_deref().unwrap_or_default()).await?;
            let backup = args.backup.is_some();
            let import = prepare(ImportRequest { connection_id: connection.id, backup, ..request(args)? }).await?;
            (Store::open_with(settings).await?, import)
        };
        let directory = NewDirectory::create(&store)?;
        let directory = match &args.retry {
            Some(failed) if args.files.is_empty() => directory.with_failed_rows_of(&store.job_files(failed))?,
            _ => {
                copy_files(&args.files, directory.files())?;
                directory
            }
        };
        let spec = import.spec.clone();
        print_remarks(&spec);
        let id = PreparedJob::import(import, directory).await?.store(&store, tenant.host(), &principal).await?;
        (store, id, spec)
    };
    let files = store.job_files(&id);
    eprintln!("Import {id}");
    let result = Box::pin(run_job(&store, &id, &spec, &files, client)).await;
    if let Some(path) = &args.backup
        && copy_backup(&files, path)?
    {
        eprintln!("Wrote the backup of the existing users to {}.", path.display());
    }
    for fault in uie_import::faults(&files)? {
        report.push(&fault?)?;
    }
    match result {
        Ok(summary) => {
            let mut text = format!(
                "{}: {} inserted, {} updated, {} failed.\n",
                with_count(summary.total, "row"),
                summary.inserted,
                summary.updated,
                summary.failed
            );
            let details = uie_import::details(&files)?;
            text.push_str(&describe_left_out(details.left_out.unwrap_or_default()));
            text.push_str(&describe_inputs(&details.inputs, details.hashes));
            text.push_str(&describe_reasons(&details.reasons));
            if let Some(path) = &args.failed {
                write_failed(&files, path)?;
                if summary.failed > 0 {
                    let _ = writeln!(text, "Wrote the failed rows to {}.", path.display());
                }
            }
            if summary.failed > 0 {
                let _ = writeln!(text, "Correct the failed rows, then run `import --retry {id} FILE`.");
            }
            report.finish(&text)?;
            Ok(summary.failed)
        }
        Err(error) => {
            let partial = uie_import::outcome(&id, &store).await?;
            if partial.inserted + partial.updated > 0 {
                eprintln!(
                    "Before the interruption: {} inserted, {} updated, {} failed.",
                    partial.inserted, partial.updated, partial.failed
                );
            }
            Err(match error.hint {
                Some(_) => error,
                None => error.with_hint(message!("Run `import --resume {id}` to continue this import.")),
            })
        }
    }
}

/// Builds the part of the request that a check and an import have in common.
fn request(args: &ImportArgs) -> Result<ImportRequest> {
    Ok(ImportRequest {
        upsert: args.upsert,
        send_completion_email: args.send_completion_email,
        keep_id_prefix: args.keep_id_prefix,
        map: map_rules(args)?,
        drop_read_only: args.drop_read_only,
        drop_empty: args.drop_empty,
        drop_unknown: args.drop_unknown,
        null: args.null.clone(),
        query: args.query.clone().unwrap_or_default(),
        source: args.source.clone(),
        encoding: args.encoding,
        ..ImportRequest::default()
    })
}

/// Prints remarks on the query to standard error.
fn print_remarks(spec: &ImportSpec) {
    for remark in spec.remarks() {
        eprintln!("remark: {remark}");
    }
}

/// Describes the rows that the query does not match.
fn describe_left_out(count: u64) -> String {
    match count {
        0 => String::new(),
        1 => "1 other row does not match the query and is left out.\n".to_owned(),
        count => format!("{count} other rows do not match the query and are left out.\n"),
    }
}

fn client(settings: &Settings) -> Result<ManagementClient> {
    let credentials = settings.client.as_ref().ok_or_else(|| {
        Error::new(Code::InvalidSettings, message!("AUTH0_CLIENT_ID and AUTH0_CLIENT_SECRET are not set."))
    })?;
    ManagementClient::with_client_credentials(settings.tenant()?, credentials)
}

/// Copies the backup of a job, decrypted, to the file of `--backup`. Returns false if there is no backup.
fn copy_backup(files: &Files, path: &Path) -> Result<bool> {
    let Some(mut from) = uie_import::backup_file(files)? else { return Ok(false) };
    let mut copy = || {
        if is_stdin(path) {
            io::copy(&mut from, &mut io::stdout())
        } else {
            io::copy(&mut from, &mut File::create(path)?)
        }
    };
    let named = |error: io::Error| Error::new(Code::Storage, message!("--backup {}: {error}", path.display()));
    copy().map_err(named).map(|_| true)
}

/// Returns the request of a job that can be resumed. The lock on DATA_DIR ensures that no other process runs the job.
async fn load_resumable_request(store: &Store, tenant: &str, id: &str) -> Result<ImportRequest> {
    let job = store.job(tenant, id).await?;
    if job.kind != JobKind::Import {
        return Err(Error::new(Code::JobState, message!("Job {id} is an export; `import --resume` needs an import.")));
    }
    if job.state == JobState::Completed {
        return Err(Error::new(
            Code::JobState,
            message!("Job {id} is completed; only failed or canceled jobs can be resumed."),
        ));
    }
    uie_jobs::import_request(store, &job)
}

/// Opens the sandbox, which only mappings with transforms or JavaScript need.
fn tools(settings: &Settings) -> Result<TransformContext> {
    Ok(TransformContext::new(&Sandbox::open(settings)?, &settings.secrets))
}

/// Copies the files into the job's directory, so that it can be resumed without them.
fn copy_files(paths: &[PathBuf], files: &Files) -> Result<()> {
    let copy = |from: &Path, files: &Files, name: &str| -> Result<()> {
        let mut to = files.create(name)?;
        io::copy(&mut open(from)?, &mut to)?;
        Ok(to.finish(true)?)
    };
    let several = files.subdirectory(uie_jobs::UPLOAD);
    match paths {
        [path] => copy(path, files, uie_jobs::UPLOAD),
        paths => several.create_directory().map_err(Error::from).and_then(|()| {
            paths.iter().enumerate().try_for_each(|(index, file)| {
                let name = if is_stdin(file) {
                    "standard input".into()
                } else {
                    file.file_name().unwrap_or_default().to_string_lossy()
                };
                copy(file, &several, &format!("{:06}-{name}", index + 1))
            })
        }),
    }
}

fn map_rules(args: &ImportArgs) -> Result<Vec<MapRule>> {
    args.map.iter().map(|text| MapRule::parse(text)).collect()
}

fn write_failed(files: &Files, path: &Path) -> Result<()> {
    let named = |error: io::Error| Error::new(Code::Storage, message!("{}: {error}", path.display()));
    let format = uie_import::original_format(files)?;
    if is_stdin(path) {
        return uie_import::write_report(files, Some(format), &mut io::stdout().lock());
    }
    let mut output = BufWriter::new(File::create(path).map_err(named)?);
    uie_import::write_report(files, Some(format), &mut output)?;
    output.flush().map_err(named)
}

/// Describes the detected format of CSV files and of files in other encodings than UTF-8, and the joined password
/// hashes.
fn describe_inputs(inputs: &[InputFormat], hashes: Option<JoinedHashes>) -> String {
    let mut text = String::new();
    for input in inputs {
        let Some(source) = input.source.as_deref().and_then(uie_sources::find) else { continue };
        let name = input.file.as_deref().unwrap_or("The file");
        let _ = writeln!(text, "{name} was read as an export of {} (--source {}).", source.title, source.name);
    }
    for input in
        inputs.iter().filter(|input| input.format == "csv" || input.format == "ldif" || input.encoding != "UTF-8")
    {
        let name = input.file.as_deref().unwrap_or("The file");
        let delimiter = match input.delimiter.as_deref() {
            Some(",") => " separated by commas".to_owned(),
            Some(";") => " separated by semicolons".to_owned(),
            Some("\t") => " separated by tabs".to_owned(),
            Some(delimiter) => format!(" separated by {delimiter}"),
            None => String::new(),
        };
        let _ = writeln!(text, "{name} was read as {}{delimiter}, in {}.", input.format.to_uppercase(), input.encoding);
    }
    if let Some(hashes) = hashes {
        let JoinedHashes { read, joined, without_user, users_without_hash } = hashes;
        let _ = writeln!(text, "{joined} of {read} password hashes were joined to their users.");
        if without_user > 0 {
            let _ = writeln!(text, "{} no user in the import.", with_verb(without_user, "hash has", "hashes have"));
        }
        if users_without_hash > 0 {
            let users = with_verb(users_without_hash, "user has", "users have");
            let _ = writeln!(text, "{users} no password hash: they must reset their password.");
        }
    }
    text
}

/// Describes the ten most frequent errors that occur more than once, and proposes rules for unknown attributes.
fn describe_reasons(reasons: &[Reason]) -> String {
    let mut text = String::new();
    for reason in reasons.iter().filter(|reason| reason.severity == Severity::Error && reason.count > 1).take(10) {
        let attribute = reason.attribute.as_deref().map_or(String::new(), |attribute| format!(" {attribute}"));
        let _ = writeln!(text, "{:>8} × {}{attribute}", reason.count, reason.code);
    }
    if let Some(hint) = uie_import::unknown_attributes_hint(reasons) {
        let _ = writeln!(text, "{hint}");
    }
    text
}

/// Runs the job, shows its progress, and stores its result. Ctrl-C cancels it.
async fn run_job(
    store: &Store,
    id: &str,
    spec: &ImportSpec,
    files: &Files,
    client: ManagementClient,
) -> Result<JobSummary> {
    let begun = store.begin_job(id).await? || (store.reopen_job(id).await? && store.begin_job(id).await?);
    if !begun {
        return Err(Error::new(
            Code::JobState,
            message!("Job {id} has ended; only failed or canceled jobs can be resumed."),
        ));
    }
    let progress = Arc::new(Progress::default());
    let bar = ProgressBar::new_spinner();
    let work = async {
        uie_import::check_job(id, spec, files, store, &progress).await?;
        print_file_warnings(files)?;
        uie_import::run(id, spec, files, client, store, Arc::clone(&progress)).await
    };
    let running = run_with_progress(&progress, work, Verbosity::Details, || draw(&bar, &progress));
    let result = Box::pin(running).await;
    draw(&bar, &progress);
    bar.finish_and_clear();
    store.set_job_progress(id, progress.processed(), progress.total()).await?;
    match &result {
        Ok(summary) => {
            let summary = uie_import::summary(*summary, files)?;
            store.finish_job(id, JobState::Completed, Some(&summary), None, None).await?;
        }
        Err(error) => {
            let state = if error.code == Code::Canceled { JobState::Canceled } else { JobState::Failed };
            store.finish_job(id, state, None, Some(&error.body()), None).await?;
        }
    }
    result
}

/// Prints the warnings that concern files and not single rows, before anything is sent: what cannot be imported, such as
/// hashes that Auth0 cannot check.
fn print_file_warnings(files: &Files) -> Result<()> {
    let mut shown = 0;
    for fault in uie_import::faults(files)? {
        let fault = fault?;
        if fault.row == 0 && fault.severity == Severity::Warning && shown < SHOWN_FAULTS {
            eprint!("{}", format_error(&fault));
            shown += 1;
        }
    }
    Ok(())
}

/// Creates a progress bar over the bytes of files, or a spinner if one of them is standard input. Hidden unless
/// standard error is a terminal.
fn byte_bar(files: &[PathBuf]) -> ProgressBar {
    let sizes: Option<u64> = files
        .iter()
        .map(|path| std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file).map(|file| file.len()))
        .sum();
    match sizes {
        Some(bytes) => {
            ProgressBar::new(bytes).with_style(style("{bar:40} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left"))
        }
        None => ProgressBar::new_spinner().with_style(style("{spinner} {bytes}  {bytes_per_sec}")),
    }
}

fn draw(bar: &ProgressBar, progress: &Progress) {
    if let Some(total) = progress.total()
        && bar.length() != Some(total)
    {
        bar.set_length(total);
        bar.set_style(style("{bar:40} {human_pos}/{human_len} rows  {per_sec}  {eta} left  {msg}"));
    }
    bar.set_position(progress.processed());
    bar.set_message(progress.details().map(|details| details.to_string()).unwrap_or_default());
    bar.tick();
}

/// Parses a template. Templates are constants, which a test checks; an invalid one becomes the default bar.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Writes every fault to `--report`, and remembers the first ones to print them.
struct Report {
    output: Option<(String, Box<dyn Write>)>,
    /// Whether the report goes to standard output, so that the summary must not.
    on_stdout: bool,
    first: Vec<String>,
    count: usize,
}

impl Report {
    /// Creates the report. Called before the import starts, so that a path that cannot be written fails early.
    fn create(path: Option<&Path>) -> Result<Self> {
        let on_stdout = path.is_some_and(is_stdin);
        let output = match path {
            None => None,
            Some(_) if on_stdout => Some(("standard output".to_owned(), Box::new(io::stdout()) as Box<dyn Write>)),
            Some(path) => {
                let file = File::create(path).map_err(|error| {
                    Error::new(Code::InvalidArgument, message!("--report {}: {error}", path.display()))
                })?;
                Some((path.display().to_string(), Box::new(file) as Box<dyn Write>))
            }
        };
        let output = output.map(|(name, output)| (name, Box::new(BufWriter::new(output)) as Box<dyn Write>));
        Ok(Self { output, on_stdout, first: Vec::new(), count: 0 })
    }

    /// Writes a fault. Warnings about the whole import are printed when they are found, not with the first faults.
    fn push(&mut self, fault: &RowFault) -> Result<()> {
        if !fault.is_consequence() {
            self.count += 1;
            if self.first.len() < SHOWN_FAULTS {
                self.first.push(format_error(fault));
            }
        }
        if let Some((name, output)) = &mut self.output {
            let written = serde_json::to_writer(&mut *output, fault)
                .map_err(io::Error::from)
                .and_then(|()| output.write_all(b"\n"));
            written.map_err(|error| Error::new(Code::Storage, message!("{name}: {error}")))?;
        }
        Ok(())
    }

    /// Prints the summary and the first faults.
    fn finish(mut self, summary: &str) -> Result<()> {
        if let Some((name, output)) = &mut self.output {
            output.flush().map_err(|error| Error::new(Code::Storage, message!("{name}: {error}")))?;
        }
        let mut text = summary.to_owned();
        for fault in &self.first {
            text.push_str(fault);
        }
        let more = self.count - self.first.len();
        if more > 0 {
            let all = if self.output.is_some() { "" } else { "; --report FILE writes all of them" };
            let _ = writeln!(text, "… and {more} more{all}.");
        }
        let written = if self.on_stdout {
            io::stderr().write_all(text.as_bytes())
        } else {
            io::stdout().write_all(text.as_bytes())
        };
        Ok(written?)
    }
}

/// Formats a count with a noun: `1 row`, `2 rows`.
fn with_count(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Formats a count with a noun and its verb: `1 user has`, `2 users have`.
fn with_verb(count: u64, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}

/// A fault as a line of text, with its hint on a second one.
fn format_error(fault: &RowFault) -> String {
    let mut text = String::new();
    if let Some(file) = &fault.file {
        let _ = write!(text, "{file}: ");
    }
    if fault.line > 0 {
        let _ = write!(text, "line {}: ", fault.line);
    }
    if fault.severity == Severity::Warning {
        text.push_str("warning: ");
    }
    let _ = write!(text, "{} [{}]", fault.message, fault.code);
    // Objects and arrays are too long for the message.
    if let Some(value) = fault.value.as_ref().filter(|value| !value.is_object() && !value.is_array()) {
        let _ = write!(text, " {value}");
    }
    text.push('\n');
    if let Some(hint) = &fault.hint {
        let _ = writeln!(text, "  hint: {hint}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: ImportArgs,
    }

    fn parse(line: &str) -> std::result::Result<ImportArgs, clap::Error> {
        use clap::Parser;
        Line::try_parse_from(std::iter::once("import").chain(line.split_whitespace())).map(|line| line.args)
    }

    #[test]
    fn sending_needs_a_connection_and_a_dry_run_does_not() {
        assert!(parse("users.json").is_err());
        assert!(parse("users.json --connection Users").is_ok());
        assert!(parse("users.json --dry-run").is_ok());
        assert!(parse("users.json --chunks parts").is_ok());
        assert!(parse("--dry-run").is_err());
    }

    #[test]
    fn resume_needs_no_files_and_accepts_no_settings() {
        assert!(parse("--resume job_0123456789abcdef --report faults.ndjson").is_ok());
        assert!(parse("users.json --resume job_0123456789abcdef").is_err());
        assert!(parse("--resume job_0123456789abcdef --upsert").is_err());
    }

    #[test]
    fn retry_accepts_files_but_no_settings() {
        assert!(parse("--retry job_0123456789abcdef").is_ok());
        assert!(parse("corrected.csv --retry job_0123456789abcdef --failed still-failed.csv").is_ok());
        assert!(parse("--retry job_0123456789abcdef --upsert").is_err());
        assert!(parse("--retry job_0123456789abcdef --resume job_0123456789abcdef").is_err());
    }

    #[test]
    fn a_mapping_of_the_command_line_is_used_in_a_dry_run() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("staff.csv");
        std::fs::write(&file, "Mail;Age\nada@example.com;36\n").unwrap();
        let line = format!("{} --dry-run --map Mail=email --map Age=app_metadata.age", file.display());
        let settings = Settings::load(Purpose::Local, None).unwrap();
        assert_eq!(check(&parse(&line).unwrap(), &settings).unwrap(), 0);
        let line = format!("{} --dry-run --map Mail", file.display());
        assert_eq!(check(&parse(&line).unwrap(), &settings).unwrap_err().code, Code::InvalidMapping);
    }

    #[test]
    fn progress_templates_are_valid() {
        for template in [
            "{bar:40} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left",
            "{spinner} {bytes}  {bytes_per_sec}",
            "{bar:40} {human_pos}/{human_len} rows  {per_sec}  {eta} left  {msg}",
        ] {
            ProgressStyle::with_template(template).expect(template);
        }
    }

    #[test]
    fn several_files_are_checked_as_one_import_and_faults_name_their_file() {
        let directory = tempfile::tempdir().unwrap();
        let (first, second) = (directory.path().join("first.json"), directory.path().join("second.ndjson"));
        std::fs::write(&first, r#"[{"email":"ada@example.com"}]"#).unwrap();
        std::fs::write(&second, "{\"email\":\"bob@example.com\"}\n\n{\"email\":\"ADA@example.com\"}\n").unwrap();
        let report = directory.path().join("faults.ndjson");
        let line = format!("{} {} --dry-run --report {}", first.display(), second.display(), report.display());
        let settings = Settings::load(Purpose::Local, None).unwrap();
        assert_eq!(check(&parse(&line).unwrap(), &settings).unwrap(), 1);
        let fault: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
        assert_eq!((&fault["line"], &fault["row"]), (&3.into(), &3.into()));
        assert_eq!(fault["code"], "DUPLICATED_USER");
        assert_eq!(fault["file"], second.display().to_string());
    }
}
