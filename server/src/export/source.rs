//! A tenant's users as a stream of bytes: pages of a search, or the file of an export job.
//!
//! The network side runs on the async runtime and sends what arrives through a bounded channel; the
//! pipeline reads it on its own threads. A download that breaks goes on where it broke off, with a fresh
//! link; where the server can only send the file from its start, what was passed on before is skipped,
//! after making sure that it is the same.

use std::collections::HashSet;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flate2::Crc;
use futures_util::StreamExt;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::input::Inflated;
use super::plan::{Expected, PAGE, Plan, SEARCH_CAP, Source};
use super::{ExportSpec, ExportSummary, pipeline};
use crate::auth0::{ExportJobRequest, JobStatus, ManagementClient, Received, UserSearch, may_have_happened};
use crate::error::{Code, Error, Result};
use crate::progress::Progress;
use crate::store::Store;

/// How often a running job is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// The first wait; each is half as long again as the one before.
    pub first: Duration,
    /// No wait is longer.
    pub longest: Duration,
    /// Auth0 lets an export job run for 8 hours (docs/auth0/README.md#constants); then we stop looking.
    pub patience: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { first: Duration::from_secs(1), longest: Duration::from_secs(5), patience: Duration::from_hours(9) }
    }
}

impl Pace {
    fn next(&self, wait: Duration) -> Duration {
        (wait * 3 / 2).min(self.longest)
    }
}

/// So many pieces may wait for the pipeline.
const PIECES: usize = 8;

/// A download that brings nothing new is tried so often.
const ATTEMPTS: u32 = 5;

/// So many export jobs are ordered for one export: one may be lost, and its answer too.
const ORDERS: u32 = 3;

/// A part of the bytes, or their complete end, or why there are no more.
type Piece = Result<Option<Bytes>>;

/// Where the export job inside Auth0 is noted, so that a server that starts again goes on with it instead
/// of ordering another one.
#[derive(Clone, Debug)]
pub struct Note {
    store: Store,
    job: String,
}

/// What is noted: another export than the one that was ordered cannot use its file.
#[derive(Serialize, Deserialize)]
struct Ordered {
    id: String,
    request: Value,
}

impl Note {
    /// A note beside this job of ours.
    pub fn new(store: Store, job: &str) -> Self {
        Self { store, job: job.to_owned() }
    }

    /// The job that was ordered for the same request, if one was.
    async fn read(&self, request: &ExportJobRequest) -> Result<Option<String>> {
        let Some(text) = self.store.ordered_export(&self.job).await? else { return Ok(None) };
        // What cannot be read was never written by this version.
        let ordered = serde_json::from_str::<Ordered>(&text).ok();
        Ok(ordered.filter(|ordered| json(request).is_ok_and(|wanted| wanted == ordered.request)).map(|it| it.id))
    }

    async fn write(&self, id: &str, request: &ExportJobRequest) -> Result<()> {
        let ordered = Ordered { id: id.to_owned(), request: json(request)? };
        self.store.set_ordered_export(&self.job, Some(&json(&ordered)?.to_string())).await
    }

    async fn clear(&self) -> Result<()> {
        self.store.set_ordered_export(&self.job, None).await
    }
}

fn json(value: &impl Serialize) -> Result<Value> {
    serde_json::to_value(value).map_err(|error| Error::new(Code::Internal, error.to_string()))
}

/// Exports a tenant's users, looking at jobs at the given pace.
pub(super) async fn run(
    spec: Arc<ExportSpec>,
    client: ManagementClient,
    output: Box<dyn std::io::Write + Send>,
    progress: Arc<Progress>,
    note: Option<Note>,
    pace: Pace,
) -> Result<ExportSummary> {
    let client = client.for_job(Arc::clone(&progress));
    let plan = Box::pin(progress.or_canceled(spec.plan(&client))).await?;
    if let Some(rows) = plan.rows() {
        progress.set_total(rows);
    }
    let mut feed = Feed { client, progress: Arc::clone(&progress), pace, plan, note, job: None, link: None };
    Box::pin(feed.start()).await?;
    progress.start_clock();
    let sorts = spec.sort.is_some();
    let spec = if feed.plan.filters_here() { Arc::new(spec.filtered()?) } else { spec };
    let origin = pipeline::Origin::Tenant { counted: feed.plan.counted() };
    let (ask, mut asked) = channel::<Sender<Piece>>(1);
    let rows = Box::new(Rows::new(ask));
    let pipeline = tokio::task::spawn_blocking({
        let progress = Arc::clone(&progress);
        move || pipeline::run(&spec, rows, origin, output, &progress)
    });
    let feeding = async {
        while let Some(to) = asked.recv().await {
            let end = match Box::pin(feed.send(&to)).await {
                Ok(()) => Ok(None),
                Err(Halt::Failed(error)) => Err(error),
                Err(Halt::Unwanted) => continue,
            };
            if sorts && end.is_ok() {
                feed.progress.set_details(Some("Sorting and writing the users.".to_owned()));
            }
            // Whoever does not listen any more does not want to know.
            let _ = to.send(end).await;
        }
    };
    let working = async {
        let (result, ()) = tokio::join!(pipeline, feeding);
        result.map_err(|error| Error::new(Code::Internal, format!("The export ended in a bug: {error}")))?
    };
    let outcome = progress.or_left_behind(working).await;
    // The file is damaged wherever it is downloaded again, so the next attempt orders another one.
    if outcome.as_ref().is_err_and(|error| error.code == Code::Auth0ExportLost)
        && let Some(note) = &feed.note
    {
        note.clear().await?;
    }
    outcome
}

/// Why sending ended early.
enum Halt {
    Failed(Error),
    /// The pipeline has what it wants.
    Unwanted,
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// The network side.
struct Feed {
    client: ManagementClient,
    progress: Arc<Progress>,
    pace: Pace,
    plan: Plan,
    note: Option<Note>,
    /// The id of the export job, once it exists.
    job: Option<String>,
    /// The link to its file that came with its completion, until it is used.
    link: Option<String>,
}

/// What paging needs to know of a user.
#[derive(Deserialize)]
struct Known {
    user_id: Option<String>,
    created_at: Option<Timestamp>,
}

/// A half-open span of time in milliseconds since 1970; an end that is missing is open.
#[derive(Clone, Copy, Debug)]
struct Span {
    from: Option<i64>,
    to: Option<i64>,
}

/// How much of a job's file was passed on.
struct Passed {
    received: Received,
    sum: Crc,
    length: Option<u64>,
}

impl Feed {
    /// Makes sure that there is a completed export job, where there is to be one. Where the tenant refuses
    /// it or it fails, the search is used instead.
    async fn start(&mut self) -> Result<()> {
        let Source::Job(request) = self.plan.source.clone() else { return Ok(()) };
        let error = match Box::pin(self.order(&request)).await {
            Ok(()) => return Ok(()),
            Err(error) if is_without_job(&error) => error,
            Err(error) => return Err(error),
        };
        tracing::warn!(reason = error.message, "there is no export job; Auth0's search is used instead");
        self.progress.set_details(None);
        self.plan = self.plan.clone().without_job();
        Ok(())
    }

    /// Orders an export job, or goes on with the one that was ordered before, and waits for its end.
    async fn order(&mut self, request: &ExportJobRequest) -> Result<()> {
        if let Some(note) = &self.note {
            self.job = note.read(request).await?;
        }
        let mut orders = 0;
        loop {
            if self.job.is_none() {
                orders += 1;
                let id = Box::pin(self.create(request, orders)).await?;
                if let Some(note) = &self.note {
                    note.write(&id, request).await?;
                }
                self.job = Some(id);
            }
            let error = match Box::pin(self.completed()).await {
                Ok(link) => {
                    self.link = Some(link);
                    return Ok(());
                }
                Err(error) => error,
            };
            if matches!(error.code, Code::Auth0ExportLost | Code::Auth0JobFailed) {
                self.job = None;
                if let Some(note) = &self.note {
                    note.clear().await?;
                }
            }
            if error.code != Code::Auth0ExportLost || orders >= ORDERS {
                return Err(error);
            }
            tracing::info!(reason = error.message, "ordering another export job");
        }
    }

    /// Creates the export job. One whose answer was lost may exist all the same; a second one reads users
    /// once more and changes nothing.
    async fn create(&self, request: &ExportJobRequest, orders: u32) -> Result<String> {
        let mut failures = orders;
        let mut wait = self.pace.first;
        let started = tokio::time::Instant::now();
        loop {
            let error = match self.progress.or_canceled(Box::pin(self.client.create_export_job(request))).await {
                Ok(job) => return Ok(job.id),
                Err(error) => error,
            };
            // Whether Auth0 limits exports that run at once is not documented
            // (docs/auth0/open-questions.md#concurrent-exports).
            let busy = error.upstream.as_ref().is_some_and(|said| said.status_code == 429);
            let again = if busy {
                started.elapsed() < self.pace.patience
            } else {
                failures += 1;
                may_have_happened(&error) && failures <= ORDERS
            };
            if !again {
                return Err(error);
            }
            self.progress.set_trouble(format!("Auth0 does not begin the export yet: {}", error.message));
            self.pause(wait).await?;
            self.progress.set_details(None);
            wait = self.pace.next(wait);
        }
    }

    async fn pause(&self, wait: Duration) -> Result<()> {
        let sleep = async {
            tokio::time::sleep(wait).await;
            Ok(())
        };
        self.progress.or_canceled(sleep).await
    }

    /// Sends everything from the start.
    async fn send(&mut self, to: &Sender<Piece>) -> Result<(), Halt> {
        match &self.plan.source {
            Source::Job(_) => self.send_job(to).await,
            Source::SplitSearch => self.send_spans(to).await,
            Source::Search => {
                let mut seen = HashSet::new();
                self.send_span(Span { from: None, to: None }, &mut seen, to).await.map(drop)
            }
            Source::File => Err(Error::new(Code::Internal, "A file is not read through the tenant.").into()),
        }
    }

    /// Sends the file of the job, across as many downloads as it takes.
    async fn send_job(&mut self, to: &Sender<Piece>) -> Result<(), Halt> {
        let mut passed = Passed { received: Received::default(), sum: Crc::new(), length: None };
        let (mut fruitless, mut wait) = (0, self.pace.first);
        loop {
            let before = passed.received.bytes;
            let error = match Box::pin(self.download(&mut passed, to)).await {
                Ok(()) => return Ok(()),
                Err(Halt::Failed(error)) if matches!(error.code, Code::Auth0Unreachable | Code::Auth0LinkExpired) => {
                    error
                }
                Err(halt) => return Err(halt),
            };
            if passed.received.bytes > before {
                (fruitless, wait) = (0, self.pace.first);
            }
            fruitless += 1;
            if fruitless >= ATTEMPTS {
                return Err(error.into());
            }
            tracing::info!(
                reason = error.message,
                at = passed.received.bytes,
                "the download goes on with a fresh link"
            );
            self.progress.set_trouble("The download broke off; it goes on in a moment.".to_owned());
            self.pause(wait).await?;
            self.progress.set_details(None);
            wait = self.pace.next(wait);
        }
    }

    /// Downloads what is missing.
    async fn download(&mut self, passed: &mut Passed, to: &Sender<Piece>) -> Result<(), Halt> {
        let location = match self.link.take() {
            Some(link) => link,
            None => self.completed().await?,
        };
        let rest = self.client.download_rest(&location, &passed.received);
        let mut download = self.progress.or_canceled(Box::pin(rest)).await?;
        let other_length = passed.length.is_some() && download.length.is_some() && download.length != passed.length;
        if other_length || download.from > passed.received.bytes {
            return Err(another_file().into());
        }
        passed.received.tag = passed.received.tag.take().or(download.tag);
        passed.length = passed.length.or(download.length);
        // What the server sends once more must be what was passed on before.
        let (mut at, mut again) = (download.from, Crc::new());
        loop {
            let next = self.progress.or_canceled(async { download.bytes.next().await.transpose() }).await?;
            let Some(mut bytes) = next else { break };
            let known = passed.received.bytes.saturating_sub(at).min(bytes.len() as u64);
            at += bytes.len() as u64;
            let repeated = bytes.split_to(usize::try_from(known).unwrap_or(usize::MAX));
            if !repeated.is_empty() {
                again.update(&repeated);
                if at >= passed.received.bytes && again.sum() != passed.sum.sum() {
                    return Err(another_file().into());
                }
            }
            if bytes.is_empty() {
                continue;
            }
            passed.sum.update(&bytes);
            passed.received.bytes += bytes.len() as u64;
            if let Some(length) = passed.length {
                self.progress.set_read(passed.received.bytes, length);
            }
            self.pass(bytes, to).await?;
        }
        if passed.received.bytes == 0 && self.plan.expected != Expected::Exactly(0) {
            return Err(
                Error::new(Code::Auth0ExportLost, "The export's file is empty, but the search found users.").into()
            );
        }
        let wanted = passed.length.unwrap_or(0).max(passed.received.bytes);
        if at < wanted {
            let message = format!("The download of the export ended after {at} of {wanted} bytes.");
            return Err(Error::new(Code::Auth0Unreachable, message).into());
        }
        Ok(())
    }

    /// Waits until the job is completed, and gives a fresh link to its file. A link lives for 60 seconds, so that the
    /// job is read again before every download (docs/auth0/jobs.md#download-links).
    async fn completed(&mut self) -> Result<String> {
        let Some(id) = self.job.clone() else {
            return Err(Error::new(Code::Internal, "The export job was never created."));
        };
        let started = tokio::time::Instant::now();
        let mut wait = self.pace.first;
        loop {
            let job =
                self.progress.or_canceled(Box::pin(self.client.job(&id))).await.map_err(|error| gone(&id, error))?;
            match &job.status {
                JobStatus::Completed => {
                    self.progress.set_details(None);
                    return job.location.ok_or_else(|| {
                        Error::new(
                            Code::Auth0ExportLost,
                            format!("Export job {id} is completed, but has no link to its file."),
                        )
                    });
                }
                JobStatus::Failed => {
                    let details = job.status_details.as_deref().unwrap_or("Auth0 gives no reason");
                    let details = details.trim_end_matches('.');
                    return Err(Error::new(
                        Code::Auth0JobFailed,
                        format!("Export job {id} failed inside Auth0: {details}."),
                    ));
                }
                JobStatus::Expired => {
                    return Err(Error::new(Code::Auth0ExportLost, format!("Export job {id} expired inside Auth0.")));
                }
                JobStatus::Pending | JobStatus::Processing | JobStatus::Other(_) => {}
            }
            if started.elapsed() > self.pace.patience {
                return Err(Error::new(
                    Code::Auth0JobFailed,
                    format!("Export job {id} has not ended after {} hours.", self.pace.patience.as_secs() / 3600),
                ));
            }
            let done = match (job.percentage_done, job.time_left_seconds) {
                (Some(percent), Some(left)) => format!(" ({percent:.0} %, {left:.0} s left)"),
                (Some(percent), None) => format!(" ({percent:.0} %)"),
                (None, _) => String::new(),
            };
            self.progress.set_details(Some(format!("Auth0 prepares the export{done}.")));
            self.pause(wait).await?;
            wait = self.pace.next(wait);
        }
    }

    /// Searches span by span, splitting each that holds too many users, earliest first.
    async fn send_spans(&mut self, to: &Sender<Piece>) -> Result<(), Halt> {
        let Some((earliest, latest)) = self.edges().await? else { return Ok(()) };
        let mut spans = vec![Span { from: None, to: None }];
        // A user who is found in two spans next to each other is sent once.
        let (mut before, mut seen) = (HashSet::new(), HashSet::new());
        while let Some(span) = spans.pop() {
            let (low, high) = (span.from.unwrap_or(earliest), span.to.unwrap_or(latest + 1));
            seen.extend(before.drain());
            let too_many = match self.count(span).await {
                Ok(users) => users >= SEARCH_CAP,
                Err(error) if is_too_slow(&error) && high - low > 1 => true,
                Err(error) => return Err(error.into()),
            };
            if !too_many {
                before = self.send_span(span, &mut seen, to).await?;
                seen.clear();
                continue;
            }
            if high - low <= 1 {
                return Err(Error::new(
                    Code::InvalidSearch,
                    format!(
                        "More than {} matching users were created at {}; Auth0's search does not give more, and no \
                         shorter span can be asked for.",
                        SEARCH_CAP - 1,
                        stamp(low)
                    ),
                )
                .with_hint("Narrow the query, or export without one, so that an export job can be used.")
                .into());
            }
            let middle = low + (high - low) / 2;
            spans.push(Span { from: Some(middle), to: span.to });
            spans.push(Span { from: span.from, to: Some(middle) });
        }
        Ok(())
    }

    /// When the first and the last matching user were created, in milliseconds; none where nobody matches.
    async fn edges(&self) -> Result<Option<(i64, i64)>> {
        let edges = async {
            let Some(earliest) = self.edge(false).await? else { return Ok(None) };
            Ok(self.edge(true).await?.map(|latest| (earliest, latest)))
        };
        match edges.await {
            // The first and the last span are open, so that these need not be exact.
            Err(error) if is_too_slow(&error) => Ok(Some(EVERYBODY)),
            edges => edges,
        }
    }

    /// When the first or the last matching user was created, in milliseconds.
    async fn edge(&self, last: bool) -> Result<Option<i64>> {
        let search = UserSearch {
            q: self.plan.query.clone(),
            sort: Some(("created_at".to_owned(), last)),
            page: 0,
            per_page: 1,
            fields: vec!["user_id".to_owned(), "created_at".to_owned()],
        };
        let page = self.progress.or_canceled(Box::pin(self.client.users(&search))).await?;
        page.users.first().map(|user| created(&known(user)?)).transpose()
    }

    async fn count(&self, span: Span) -> Result<u64> {
        let search =
            UserSearch { q: self.query(span), sort: None, page: 0, per_page: 1, fields: vec!["user_id".to_owned()] };
        Ok(self.progress.or_canceled(Box::pin(self.client.users(&search))).await?.total)
    }

    /// Sends the users of a span that holds fewer than 1000, and gives their ids. `seen` were sent
    /// before.
    async fn send_span(
        &mut self,
        span: Span,
        seen: &mut HashSet<String>,
        to: &Sender<Piece>,
    ) -> Result<HashSet<String>, Halt> {
        let mut sent = HashSet::new();
        let fields = self.plan.search_fields(&["user_id", "created_at"]);
        let mut from = span.from;
        'span: loop {
            let mut newest = None;
            for page in 0..(SEARCH_CAP as u32 / PAGE) {
                let search = UserSearch {
                    q: self.query(Span { from, to: span.to }),
                    // New users come last, so that they do not move the pages.
                    sort: Some(("created_at".to_owned(), false)),
                    page,
                    per_page: PAGE,
                    fields: fields.clone(),
                };
                let answer = self.progress.or_canceled(Box::pin(self.client.users(&search))).await?;
                let mut lines = Vec::new();
                for user in &answer.users {
                    let known = known(user)?;
                    newest = known.created_at.map(Timestamp::as_millisecond).or(newest);
                    if let Some(id) = known.user_id
                        && (seen.contains(&id) || !sent.insert(id))
                    {
                        continue;
                    }
                    // Line ends in JSON stand between tokens only, where a blank means the same.
                    lines
                        .extend(user.get().bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
                    lines.push(b'\n');
                }
                if !lines.is_empty() {
                    self.pass(Bytes::from(lines), to).await?;
                }
                if answer.users.len() < PAGE as usize {
                    let received = u64::from(page) * u64::from(PAGE) + answer.users.len() as u64;
                    if answer.total.saturating_sub(received) > 10.max(answer.total / 10) {
                        let message = format!(
                            "A page of the search has {} users, but {} more were counted.",
                            answer.users.len(),
                            answer.total - received
                        );
                        return Err(Error::new(Code::Auth0ExportLost, message).into());
                    }
                    break 'span;
                }
            }
            // All ten pages were full: users were added meanwhile. The rest is found from the newest on.
            match newest {
                Some(newest) if from.is_none_or(|from| newest > from) => from = Some(newest),
                _ => break,
            }
        }
        Ok(sent)
    }

    async fn pass(&self, bytes: Bytes, to: &Sender<Piece>) -> Result<(), Halt> {
        self.progress.check()?;
        to.send(Ok(Some(bytes))).await.map_err(|_| Halt::Unwanted)
    }

    /// The query, narrowed to a span.
    fn query(&self, span: Span) -> String {
        let query = &self.plan.query;
        if span.from.is_none() && span.to.is_none() {
            return query.clone();
        }
        let from = span.from.map_or_else(|| "*".to_owned(), stamp);
        let range = match span.to {
            Some(to) => format!("created_at:[{from} TO {}}}", stamp(to)),
            None => format!("created_at:[{from} TO *]"),
        };
        if query.is_empty() { range } else { format!("({query}) AND {range}") }
    }
}

fn known(user: &serde_json::value::RawValue) -> Result<Known> {
    serde_json::from_str(user.get()).map_err(|error| {
        // Only the place: the message could quote the user.
        let message = format!("Auth0's search gave a user that cannot be read, at byte {}.", error.column());
        Error::new(Code::Auth0Answer, message)
    })
}

fn created(user: &Known) -> Result<i64> {
    user.created_at
        .map(Timestamp::as_millisecond)
        .ok_or_else(|| Error::new(Code::Auth0Answer, "Auth0's search gave a user without created_at."))
}

fn stamp(milliseconds: i64) -> String {
    Timestamp::from_millisecond(milliseconds).map_or_else(|_| "*".to_owned(), |time| format!("{time:.3}"))
}

/// A job that vanished says so; other errors stay as they are.
fn gone(id: &str, error: Error) -> Error {
    if error.upstream.as_ref().is_some_and(|said| said.status_code == 404) {
        return Error::new(
            Code::Auth0ExportLost,
            format!("Export job {id} no longer exists; Auth0 keeps jobs for 24 hours."),
        );
    }
    error
}

fn another_file() -> Error {
    Error::new(Code::Auth0ExportLost, "The export's file changed while it was downloaded.")
}

/// Whether an export must do without a job: the tenant refuses it, jobs fail there, or orders get no
/// answer that says anything.
fn is_without_job(error: &Error) -> bool {
    let refused = error.upstream.as_ref().is_some_and(|said| matches!(said.status_code, 400 | 403 | 404 | 405));
    refused || may_have_happened(error) || matches!(error.code, Code::Auth0JobFailed | Code::Auth0ExportLost)
}

/// Whether a search took longer than the two seconds it may (docs/auth0/management-api.md#users): one for a shorter
/// span may not.
fn is_too_slow(error: &Error) -> bool {
    error.upstream.as_ref().is_some_and(|said| said.status_code == 503 && said.message.contains("exceeded the timeout"))
}

/// From before Auth0's first user until long after the last, in milliseconds since 1970.
const EVERYBODY: (i64, i64) = (1_262_304_000_000, 4_102_444_800_000);

/// The reading side: the bytes of all users, inflated. A file that ends in the middle, although its
/// download seemed complete, is asked for again from its start.
struct Rows {
    ask: Sender<Sender<Piece>>,
    current: Option<Inflated>,
    /// What was given out, and its checksum.
    given: u64,
    sum: Crc,
    /// Files in a row that brought nothing new.
    fruitless: u32,
}

impl Rows {
    fn new(ask: Sender<Sender<Piece>>) -> Self {
        Self { ask, current: None, given: 0, sum: Crc::new(), fruitless: 0 }
    }

    /// Asks for the bytes from their start, and skips what was given out before.
    fn open(&mut self) -> std::io::Result<Inflated> {
        let (sender, receiver) = channel(PIECES);
        self.ask.blocking_send(sender).map_err(|_| interrupted())?;
        let mut inflated = Inflated::new(Box::new(Pieces { receiver, piece: Bytes::new(), ended: false }))?;
        let mut again = Crc::new();
        let mut buffer = vec![0; 64 * 1024];
        let mut left = self.given;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let read = inflated.read(buffer.get_mut(..most).unwrap_or_default())?;
            if read == 0 {
                break;
            }
            again.update(buffer.get(..read).unwrap_or_default());
            left -= read as u64;
        }
        if left > 0 || again.sum() != self.sum.sum() {
            return Err(std::io::Error::other(another_file()));
        }
        Ok(inflated)
    }

    fn next(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let mut inflated = match self.current.take() {
            Some(inflated) => inflated,
            None => self.open()?,
        };
        let read = inflated.read(buffer)?;
        self.current = Some(inflated);
        Ok(read)
    }
}

impl Read for Rows {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            match self.next(buffer) {
                Ok(read) => {
                    self.given += read as u64;
                    self.sum.update(buffer.get(..read).unwrap_or_default());
                    self.fruitless = 0;
                    return Ok(read);
                }
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof && self.fruitless + 1 < ATTEMPTS => {
                    self.fruitless += 1;
                }
                // What flate2 says of a broken header or checksum.
                Err(error)
                    if matches!(error.kind(), std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidData) =>
                {
                    let message = format!("The export's compressed file is damaged: {error}.");
                    return Err(std::io::Error::other(Error::new(Code::Auth0ExportLost, message)));
                }
                Err(error) => return Err(error),
            }
        }
    }
}

fn interrupted() -> std::io::Error {
    std::io::Error::other(stopped())
}

fn stopped() -> Error {
    Error::new(Code::Interrupted, "The export was stopped.")
}

/// The bytes of one download as they come through the channel.
struct Pieces {
    receiver: Receiver<Piece>,
    piece: Bytes,
    ended: bool,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.piece.is_empty() && !self.ended {
            match self.receiver.blocking_recv() {
                Some(Ok(Some(bytes))) => self.piece = bytes,
                Some(Ok(None)) => self.ended = true,
                Some(Err(error)) => return Err(std::io::Error::other(error)),
                None => return Err(interrupted()),
            }
        }
        let length = buffer.len().min(self.piece.len());
        let taken = self.piece.split_to(length);
        if let Some(buffer) = buffer.get_mut(..length) {
            buffer.copy_from_slice(&taken);
        }
        Ok(length)
    }
}
