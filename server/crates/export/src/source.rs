//! A tenant's users as a stream of bytes: pages of a search, or the file of an export job.
//!
//! The network side runs on the async runtime and sends bytes through a bounded channel; the pipeline reads them on its
//! own threads. An interrupted download resumes where it stopped, with a new link. If the server can only send the file
//! from its start, the bytes that were already delivered are compared and skipped.

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

use super::input::InputFile;
use super::pipeline;
use super::plan::{PAGE, Plan, SEARCH_CAP, Source, UserCount};
use super::spec::ExportSpec;
use super::summary::ExportSummary;
use uie_auth0::{ExportJobRequest, JobStatus, ManagementClient, PartialDownload, UserSearch, may_have_happened};
use uie_core::error::{Code, Error, Result};
use uie_core::message::message;
use uie_core::progress::Progress;
use uie_records::GzipInput;
use uie_store::Store;

/// How often and how long a running job is polled.
#[derive(Clone, Copy, Debug)]
pub(super) struct PollPolicy {
    /// The first wait. Each wait is 1.5 times the previous one.
    pub initial: Duration,
    /// The longest wait.
    pub max: Duration,
    /// When to give up. Auth0 stops an export job after 8 hours (docs/auth0/README.md#constants).
    pub timeout: Duration,
}

impl Default for PollPolicy {
    fn default() -> Self {
        Self { initial: Duration::from_secs(1), max: Duration::from_secs(5), timeout: Duration::from_hours(9) }
    }
}

impl PollPolicy {
    /// Returns the wait after `wait`.
    fn next_wait(&self, wait: Duration) -> Duration {
        (wait * 3 / 2).min(self.max)
    }
}

/// Capacity of the channel to the pipeline, in chunks.
const CHANNEL_CAPACITY: usize = 8;

/// Maximum number of consecutive downloads without progress.
const MAX_STALLED_DOWNLOADS: u32 = 5;

/// Maximum number of export jobs created for one export. A job or the response to its creation may be lost.
const MAX_JOBS: u32 = 3;

/// The next bytes, `None` at the end, or the error that ended the stream.
type Chunk = Result<Option<Bytes>>;

/// Stores the id of the export job inside Auth0, so that a restarted server reuses the job instead of creating another.
#[derive(Clone, Debug)]
pub struct ExportCheckpoint {
    store: Store,
    job: String,
}

/// The stored job. Its file can only be used for an export with the same request.
#[derive(Serialize, Deserialize)]
struct CreatedJob {
    id: String,
    request: Value,
}

impl ExportCheckpoint {
    /// Returns the checkpoint of a job of this server.
    pub fn new(store: Store, job: &str) -> Self {
        Self { store, job: job.to_owned() }
    }

    /// Returns the id of the export job that was created for the same request. `None` if no such job is stored.
    async fn load(&self, request: &ExportJobRequest) -> Result<Option<String>> {
        let Some(text) = self.store.ordered_export(&self.job).await? else { return Ok(None) };
        // An invalid entry was written by another version: ignore it.
        let created = serde_json::from_str::<CreatedJob>(&text).ok();
        Ok(created
            .filter(|created| to_json(request).is_ok_and(|wanted| wanted == created.request))
            .map(|created| created.id))
    }

    /// Stores the id of an export job.
    async fn save(&self, id: &str, request: &ExportJobRequest) -> Result<()> {
        let created = CreatedJob { id: id.to_owned(), request: to_json(request)? };
        self.store.set_ordered_export(&self.job, Some(&to_json(&created)?.to_string())).await
    }

    /// Removes the stored id.
    async fn clear(&self) -> Result<()> {
        self.store.set_ordered_export(&self.job, None).await
    }
}

fn to_json(value: &impl Serialize) -> Result<Value> {
    serde_json::to_value(value).map_err(Error::internal)
}

/// Exports a tenant's users.
///
/// Fails with [`Code::Auth0ExportLost`] if the file of the export job is damaged, incomplete or gone; the checkpoint is
/// cleared then, so that another attempt creates another job.
pub(super) async fn run(
    spec: Arc<ExportSpec>,
    client: ManagementClient,
    output: Box<dyn std::io::Write + Send>,
    progress: Arc<Progress>,
    checkpoint: Option<ExportCheckpoint>,
    poll: PollPolicy,
) -> Result<ExportSummary> {
    let client = client.for_job(Arc::clone(&progress));
    let plan = Box::pin(progress.or_canceled(spec.plan(&client))).await?;
    if let Some(rows) = plan.rows() {
        progress.set_total(rows);
    }
    let mut feed = Feed { client, progress: Arc::clone(&progress), poll, plan, checkpoint, job: None, link: None };
    Box::pin(feed.prepare()).await?;
    progress.start_clock();
    let sorts = spec.sort.is_some();
    let spec = if feed.plan.filters_here() { Arc::new(spec.with_local_filter()?) } else { spec };
    let origin = pipeline::Origin::Tenant { counted: feed.plan.counted() };
    let (stream_requests, mut requested_streams) = channel::<Sender<Chunk>>(1);
    let users = Box::new(UserReader::new(stream_requests));
    let pipeline = tokio::task::spawn_blocking({
        let progress = Arc::clone(&progress);
        move || pipeline::run(&spec, vec![InputFile::of_tenant(users)], origin, output, &progress)
    });
    let feeding = async {
        while let Some(to) = requested_streams.recv().await {
            let end = match Box::pin(feed.send_all(&to)).await {
                Ok(()) => Ok(None),
                Err(StopReason::Failed(error)) => Err(error),
                Err(StopReason::ReceiverClosed) => continue,
            };
            if sorts && end.is_ok() {
                feed.progress.set_details(Some(message!("Sorting and writing the users.")));
            }
            // Fails if the pipeline stopped reading.
            let _ = to.send(end).await;
        }
    };
    let working = async {
        let (result, ()) = tokio::join!(pipeline, feeding);
        result.map_err(|error| Error::new(Code::Internal, message!("The export crashed (internal error): {error}")))?
    };
    let outcome = progress.or_abandon(working).await;
    // Downloading the same file again does not help, so the next attempt must create another job.
    if outcome.as_ref().is_err_and(|error| error.code == Code::Auth0ExportLost)
        && let Some(checkpoint) = &feed.checkpoint
    {
        checkpoint.clear().await?;
    }
    outcome
}

/// Why sending stopped before the end.
enum StopReason {
    Failed(Error),
    /// The pipeline needs no more bytes.
    ReceiverClosed,
}

impl From<Error> for StopReason {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// The network side: creates the export job or searches, and sends the users' bytes.
struct Feed {
    client: ManagementClient,
    progress: Arc<Progress>,
    poll: PollPolicy,
    plan: Plan,
    checkpoint: Option<ExportCheckpoint>,
    /// The id of the export job, once it exists.
    job: Option<String>,
    /// The link to its file from the last poll, until it is used.
    link: Option<String>,
}

/// The attributes of a user that paging needs.
#[derive(Deserialize)]
struct UserKey {
    user_id: Option<String>,
    created_at: Option<Timestamp>,
}

/// A half-open span of time in milliseconds since 1970. `None` is an open end.
#[derive(Clone, Copy, Debug)]
struct Span {
    from: Option<i64>,
    to: Option<i64>,
}

/// The part of a job's file that was sent to the pipeline.
struct Delivered {
    received: PartialDownload,
    checksum: Crc,
    length: Option<u64>,
}

impl Feed {
    /// Waits for a completed export job, if the plan has one. If the tenant refuses the job or it fails, changes the
    /// plan to a search.
    async fn prepare(&mut self) -> Result<()> {
        let Source::Job(request) = self.plan.source.clone() else { return Ok(()) };
        let error = match Box::pin(self.complete_job(&request)).await {
            Ok(()) => return Ok(()),
            Err(error) if needs_search_instead(&error) => error,
            Err(error) => return Err(error),
        };
        tracing::warn!(reason = %error.message, "the export job is not available; using Auth0's search instead");
        self.progress.set_details(None);
        self.plan = self.plan.clone().without_job();
        Ok(())
    }

    /// Creates an export job, or reuses that of the checkpoint, and waits until it is completed. Creates another job if
    /// it is lost, [`MAX_JOBS`] at most.
    async fn complete_job(&mut self, request: &ExportJobRequest) -> Result<()> {
        if let Some(checkpoint) = &self.checkpoint {
            self.job = checkpoint.load(request).await?;
        }
        let mut created = 0;
        loop {
            if self.job.is_none() {
                created += 1;
                let id = Box::pin(self.create_job(request, created)).await?;
                if let Some(checkpoint) = &self.checkpoint {
                    checkpoint.save(&id, request).await?;
                }
                self.job = Some(id);
            }
            let error = match Box::pin(self.wait_until_completed()).await {
                Ok(link) => {
                    self.link = Some(link);
                    return Ok(());
                }
                Err(error) => error,
            };
            if matches!(error.code, Code::Auth0ExportLost | Code::Auth0JobFailed) {
                self.job = None;
                if let Some(checkpoint) = &self.checkpoint {
                    checkpoint.clear().await?;
                }
            }
            if error.code != Code::Auth0ExportLost || created >= MAX_JOBS {
                return Err(error);
            }
            tracing::info!(reason = %error.message, "creating another export job");
        }
    }

    /// Creates the export job. If the response is lost, the job may exist; creating it again is harmless, because it
    /// only reads users. `created` is the number of jobs, including this one.
    async fn create_job(&self, request: &ExportJobRequest, created: u32) -> Result<String> {
        let mut failures = created;
        let mut wait = self.poll.initial;
        let started = tokio::time::Instant::now();
        loop {
            let error = match self.progress.or_canceled(Box::pin(self.client.create_export_job(request))).await {
                Ok(job) => return Ok(job.id),
                Err(error) => error,
            };
            // It is not documented whether Auth0 limits concurrent exports
            // (docs/auth0/open-questions.md#concurrent-exports).
            let busy = error.upstream.as_ref().is_some_and(|upstream| upstream.status_code == 429);
            let retry = if busy {
                started.elapsed() < self.poll.timeout
            } else {
                failures += 1;
                may_have_happened(&error) && failures <= MAX_JOBS
            };
            if !retry {
                return Err(error);
            }
            self.progress
                .set_warning(message!("Auth0 has not started the export yet: {reason}", reason = error.message));
            self.pause(wait).await?;
            self.progress.set_details(None);
            wait = self.poll.next_wait(wait);
        }
    }

    /// Waits. Fails if the job is canceled.
    async fn pause(&self, wait: Duration) -> Result<()> {
        let sleep = async {
            tokio::time::sleep(wait).await;
            Ok(())
        };
        self.progress.or_canceled(sleep).await
    }

    /// Sends all users from the start.
    async fn send_all(&mut self, to: &Sender<Chunk>) -> Result<(), StopReason> {
        match &self.plan.source {
            Source::Job(_) => self.send_job(to).await,
            Source::SplitSearch => self.send_spans(to).await,
            Source::Search => {
                let mut seen = HashSet::new();
                self.send_span(Span { from: None, to: None }, &mut seen, to).await.map(drop)
            }
            Source::File => Err(Error::new(Code::Internal, message!("A file is not read through the tenant.")).into()),
        }
    }

    /// Sends the file of the job, with as many downloads as needed.
    async fn send_job(&mut self, to: &Sender<Chunk>) -> Result<(), StopReason> {
        let mut delivered = Delivered { received: PartialDownload::default(), checksum: Crc::new(), length: None };
        let (mut stalled, mut wait) = (0, self.poll.initial);
        loop {
            let before = delivered.received.bytes;
            let error = match Box::pin(self.download(&mut delivered, to)).await {
                Ok(()) => return Ok(()),
                Err(StopReason::Failed(error))
                    if matches!(error.code, Code::Auth0Unreachable | Code::Auth0LinkExpired) =>
                {
                    error
                }
                Err(reason) => return Err(reason),
            };
            if delivered.received.bytes > before {
                (stalled, wait) = (0, self.poll.initial);
            }
            stalled += 1;
            if stalled >= MAX_STALLED_DOWNLOADS {
                return Err(error.into());
            }
            tracing::info!(
                reason = %error.message,
                at = delivered.received.bytes,
                "resuming the download with a new link"
            );
            self.progress.set_warning(message!("The download was interrupted and will resume."));
            self.pause(wait).await?;
            self.progress.set_details(None);
            wait = self.poll.next_wait(wait);
        }
    }

    /// Downloads the rest of the file. Fails with [`Code::Auth0ExportLost`] if the file has changed.
    async fn download(&mut self, delivered: &mut Delivered, to: &Sender<Chunk>) -> Result<(), StopReason> {
        let location = match self.link.take() {
            Some(link) => link,
            None => self.wait_until_completed().await?,
        };
        let rest = self.client.download_rest(&location, &delivered.received);
        let mut download = self.progress.or_canceled(Box::pin(rest)).await?;
        let other_length =
            delivered.length.is_some() && download.length.is_some() && download.length != delivered.length;
        if other_length || download.from > delivered.received.bytes {
            return Err(file_changed().into());
        }
        delivered.received.tag = delivered.received.tag.take().or(download.tag);
        delivered.length = delivered.length.or(download.length);
        // Bytes that the server sends again must be equal to those that were delivered before.
        let (mut at, mut repeated_checksum) = (download.from, Crc::new());
        loop {
            let next = self.progress.or_canceled(async { download.bytes.next().await.transpose() }).await?;
            let Some(mut bytes) = next else { break };
            let known = delivered.received.bytes.saturating_sub(at).min(bytes.len() as u64);
            at += bytes.len() as u64;
            let repeated = bytes.split_to(usize::try_from(known).unwrap_or(usize::MAX));
            if !repeated.is_empty() {
                repeated_checksum.update(&repeated);
                if at >= delivered.received.bytes && repeated_checksum.sum() != delivered.checksum.sum() {
                    return Err(file_changed().into());
                }
            }
            if bytes.is_empty() {
                continue;
            }
            delivered.checksum.update(&bytes);
            delivered.received.bytes += bytes.len() as u64;
            if let Some(length) = delivered.length {
                self.progress.set_bytes_read(delivered.received.bytes, length);
            }
            self.deliver(bytes, to).await?;
        }
        if delivered.received.bytes == 0 && self.plan.expected != UserCount::Exactly(0) {
            let message = message!("The export's file is empty, but the search found users.");
            return Err(Error::new(Code::Auth0ExportLost, message).into());
        }
        let wanted = delivered.length.unwrap_or(0).max(delivered.received.bytes);
        if at < wanted {
            let message = message!("The download of the export ended after {at} of {wanted} bytes.");
            return Err(Error::new(Code::Auth0Unreachable, message).into());
        }
        Ok(())
    }

    /// Waits until the job is completed, and returns a new link to its file. A link is valid for 60 seconds, so the job
    /// is read again before every download (docs/auth0/jobs.md#download-links).
    async fn wait_until_completed(&mut self) -> Result<String> {
        let Some(id) = self.job.clone() else {
            return Err(Error::new(Code::Internal, message!("The export job was never created.")));
        };
        let started = tokio::time::Instant::now();
        let mut wait = self.poll.initial;
        loop {
            let job = self
                .progress
                .or_canceled(Box::pin(self.client.job(&id)))
                .await
                .map_err(|error| job_error(&id, error))?;
            match &job.status {
                JobStatus::Completed => {
                    self.progress.set_details(None);
                    return job.location.ok_or_else(|| {
                        Error::new(
                            Code::Auth0ExportLost,
                            message!("Export job {id} is completed, but has no link to its file."),
                        )
                    });
                }
                JobStatus::Failed => {
                    let details = job.status_details.as_deref().map(|details| details.trim_end_matches('.'));
                    let message = if let Some(details) = details {
                        message!("Export job {id} failed inside Auth0: {details}.")
                    } else {
                        message!("Export job {id} failed inside Auth0: Auth0 gives no reason.")
                    };
                    return Err(Error::new(Code::Auth0JobFailed, message));
                }
                JobStatus::Expired => {
                    return Err(Error::new(Code::Auth0ExportLost, message!("Export job {id} expired inside Auth0.")));
                }
                JobStatus::Pending | JobStatus::Processing | JobStatus::Other(_) => {}
            }
            if started.elapsed() > self.poll.timeout {
                let hours = self.poll.timeout.as_secs() / 3600;
                return Err(Error::new(
                    Code::Auth0JobFailed,
                    message!("Export job {id} has not ended after {hours} hours."),
                ));
            }
            // Auth0 reports 99 percent and no time left until the file is written, which may take minutes.
            let details = match job.percentage_done {
                Some(percent) if percent < 99.0 => message!("Auth0 is preparing the export ({percent:.0} %)."),
                Some(_) | None => message!("Auth0 is preparing the export."),
            };
            self.progress.set_details(Some(details));
            self.pause(wait).await?;
            wait = self.poll.next_wait(wait);
        }
    }

    /// Searches span by span, earliest first. Splits a span that has too many users.
    async fn send_spans(&mut self, to: &Sender<Chunk>) -> Result<(), StopReason> {
        let Some((earliest, latest)) = self.creation_range().await? else { return Ok(()) };
        let mut spans = vec![Span { from: None, to: None }];
        // A user who is found in two adjacent spans is sent once.
        let (mut before, mut seen) = (HashSet::new(), HashSet::new());
        while let Some(span) = spans.pop() {
            let (low, high) = (span.from.unwrap_or(earliest), span.to.unwrap_or(latest + 1));
            seen.extend(before.drain());
            let too_many = match self.count_users(span).await {
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
                    message!(
                        "More than {limit} matching users were created at {time}; Auth0's search does not return more, \
                         and spans cannot be shorter.",
                        limit = SEARCH_CAP - 1,
                        time = format_time(low)
                    ),
                )
                .with_hint(message!("Narrow the query, or export without one, so that an export job can be used."))
                .into());
            }
            let middle = low + (high - low) / 2;
            spans.push(Span { from: Some(middle), to: span.to });
            spans.push(Span { from: span.from, to: Some(middle) });
        }
        Ok(())
    }

    /// Returns when the first and the last matching user were created, in milliseconds. `None` if no user matches.
    async fn creation_range(&self) -> Result<Option<(i64, i64)>> {
        let range = async {
            let Some(earliest) = self.creation_bound(false).await? else { return Ok(None) };
            Ok(self.creation_bound(true).await?.map(|latest| (earliest, latest)))
        };
        match range.await {
            // The first and the last span have open ends, so the range need not be exact.
            Err(error) if is_too_slow(&error) => Ok(Some(WIDEST_RANGE)),
            range => range,
        }
    }

    /// Returns when the first or the last matching user was created, in milliseconds. `None` if no user matches.
    async fn creation_bound(&self, last: bool) -> Result<Option<i64>> {
        let search = UserSearch {
            q: self.plan.query.clone(),
            sort: Some(("created_at".to_owned(), last)),
            page: 0,
            per_page: 1,
            fields: vec!["user_id".to_owned(), "created_at".to_owned()],
        };
        let page = self.progress.or_canceled(Box::pin(self.client.users(&search))).await?;
        page.users.first().map(|user| creation_time(&parse_user_key(user)?)).transpose()
    }

    /// Returns the number of users in a span.
    async fn count_users(&self, span: Span) -> Result<u64> {
        let search = UserSearch {
            q: self.span_query(span),
            sort: None,
            page: 0,
            per_page: 1,
            fields: vec!["user_id".to_owned()],
        };
        Ok(self.progress.or_canceled(Box::pin(self.client.users(&search))).await?.total)
    }

    /// Sends the users of a span that has fewer than 1000, and returns their ids. Users in `seen` were sent before and
    /// are skipped.
    async fn send_span(
        &mut self,
        span: Span,
        seen: &mut HashSet<String>,
        to: &Sender<Chunk>,
    ) -> Result<HashSet<String>, StopReason> {
        let mut sent = HashSet::new();
        let fields = self.plan.search_fields(&["user_id", "created_at"]);
        let mut from = span.from;
        'span: loop {
            let mut newest = None;
            for page in 0..(SEARCH_CAP as u32 / PAGE) {
                let search = UserSearch {
                    q: self.span_query(Span { from, to: span.to }),
                    // New users are last, so they do not shift the pages.
                    sort: Some(("created_at".to_owned(), false)),
                    page,
                    per_page: PAGE,
                    fields: fields.clone(),
                };
                let answer = self.progress.or_canceled(Box::pin(self.client.users(&search))).await?;
                let mut lines = Vec::new();
                for user in &answer.users {
                    let key = parse_user_key(user)?;
                    newest = key.created_at.map(Timestamp::as_millisecond).or(newest);
                    if let Some(id) = key.user_id
                        && (seen.contains(&id) || !sent.insert(id))
                    {
                        continue;
                    }
                    // JSON has line ends between tokens only, where a space is equivalent.
                    lines
                        .extend(user.get().bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
                    lines.push(b'\n');
                }
                if !lines.is_empty() {
                    self.deliver(Bytes::from(lines), to).await?;
                }
                if answer.users.len() < PAGE as usize {
                    let received = u64::from(page) * u64::from(PAGE) + answer.users.len() as u64;
                    if answer.total.saturating_sub(received) > 10.max(answer.total / 10) {
                        let message = message!(
                            "A page of the search has {users} users, but {missing} more were counted.",
                            users = answer.users.len(),
                            missing = answer.total - received
                        );
                        return Err(Error::new(Code::Auth0ExportLost, message).into());
                    }
                    break 'span;
                }
            }
            // All ten pages were full, because users were added. Continue the search at the newest user.
            match newest {
                Some(newest) if from.is_none_or(|from| newest > from) => from = Some(newest),
                _ => break,
            }
        }
        Ok(sent)
    }

    /// Sends bytes to the pipeline. Fails if the job is canceled or the pipeline needs no more.
    async fn deliver(&self, bytes: Bytes, to: &Sender<Chunk>) -> Result<(), StopReason> {
        self.progress.check()?;
        to.send(Ok(Some(bytes))).await.map_err(|_| StopReason::ReceiverClosed)
    }

    /// Returns the query for the users of a span.
    fn span_query(&self, span: Span) -> String {
        let query = &self.plan.query;
        if span.from.is_none() && span.to.is_none() {
            return query.clone();
        }
        let from = span.from.map_or_else(|| "*".to_owned(), format_time);
        let range = match span.to {
            Some(to) => format!("created_at:[{from} TO {}}}", format_time(to)),
            None => format!("created_at:[{from} TO *]"),
        };
        if query.is_empty() { range } else { format!("({query}) AND {range}") }
    }
}

/// Parses the attributes that paging needs. Fails if they have other types than documented.
fn parse_user_key(user: &serde_json::value::RawValue) -> Result<UserKey> {
    serde_json::from_str(user.get()).map_err(|error| {
        // Report the position only: the message of the error could quote the user.
        let message =
            message!("Auth0's search gave a user that cannot be read, at byte {byte}.", byte = error.column());
        Error::new(Code::Auth0Answer, message)
    })
}

/// Returns when a user was created, in milliseconds. Fails if the user has no `created_at`.
fn creation_time(user: &UserKey) -> Result<i64> {
    user.created_at
        .map(Timestamp::as_millisecond)
        .ok_or_else(|| Error::new(Code::Auth0Answer, message!("Auth0's search gave a user without created_at.")))
}

/// Formats a time for a query.
fn format_time(milliseconds: i64) -> String {
    Timestamp::from_millisecond(milliseconds).map_or_else(|_| "*".to_owned(), |time| format!("{time:.3}"))
}

/// Converts the error of reading a job: a missing job becomes [`Code::Auth0ExportLost`].
fn job_error(id: &str, error: Error) -> Error {
    if error.upstream.as_ref().is_some_and(|upstream| upstream.status_code == 404) {
        return Error::new(
            Code::Auth0ExportLost,
            message!("Export job {id} no longer exists; Auth0 keeps jobs for 24 hours."),
        );
    }
    error
}

fn file_changed() -> Error {
    Error::new(Code::Auth0ExportLost, message!("The export's file changed while it was downloaded."))
}

/// Whether a search must be used instead of an export job: the tenant refuses jobs, the job failed, or it is unknown
/// whether it was created.
fn needs_search_instead(error: &Error) -> bool {
    let refused = error.upstream.as_ref().is_some_and(|upstream| matches!(upstream.status_code, 400 | 403 | 404 | 405));
    refused || may_have_happened(error) || matches!(error.code, Code::Auth0JobFailed | Code::Auth0ExportLost)
}

/// Whether a search exceeded the limit of two seconds (docs/auth0/management-api.md#users). A search for a shorter span
/// may succeed.
fn is_too_slow(error: &Error) -> bool {
    error
        .upstream
        .as_ref()
        .is_some_and(|upstream| upstream.status_code == 503 && upstream.message.contains("exceeded the timeout"))
}

/// A range that contains the creation time of every user (2010 to 2100), in milliseconds since 1970.
const WIDEST_RANGE: (i64, i64) = (1_262_304_000_000, 4_102_444_800_000);

/// The reading side: the decompressed bytes of all users. If the file is truncated, although its download seemed
/// complete, the stream is requested again from its start.
struct UserReader {
    /// Requests a stream: the network side sends the file from its start to the sender.
    stream_requests: Sender<Sender<Chunk>>,
    current: Option<GzipInput>,
    /// Number of bytes that were returned, and their checksum.
    returned: u64,
    checksum: Crc,
    /// Number of consecutive streams without progress.
    stalled: u32,
}

impl UserReader {
    fn new(stream_requests: Sender<Sender<Chunk>>) -> Self {
        Self { stream_requests, current: None, returned: 0, checksum: Crc::new(), stalled: 0 }
    }

    /// Requests a stream and skips the bytes that were already returned. Fails if they are not the same.
    fn open(&mut self) -> std::io::Result<GzipInput> {
        let (sender, receiver) = channel(CHANNEL_CAPACITY);
        self.stream_requests.blocking_send(sender).map_err(|_| interrupted())?;
        let mut reader = GzipInput::new(Box::new(ChannelReader { receiver, chunk: Bytes::new(), ended: false }))?;
        let mut repeated_checksum = Crc::new();
        let mut buffer = vec![0; 64 * 1024];
        let mut left = self.returned;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let read = reader.read(buffer.get_mut(..most).unwrap_or_default())?;
            if read == 0 {
                break;
            }
            repeated_checksum.update(buffer.get(..read).unwrap_or_default());
            left -= read as u64;
        }
        if left > 0 || repeated_checksum.sum() != self.checksum.sum() {
            return Err(std::io::Error::other(file_changed()));
        }
        Ok(reader)
    }

    /// Reads from the current stream, or from a new one after an error.
    fn read_stream(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let mut reader = match self.current.take() {
            Some(reader) => reader,
            None => self.open()?,
        };
        let read = reader.read(buffer)?;
        self.current = Some(reader);
        Ok(read)
    }
}

impl Read for UserReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            match self.read_stream(buffer) {
                Ok(read) => {
                    self.returned += read as u64;
                    self.checksum.update(buffer.get(..read).unwrap_or_default());
                    self.stalled = 0;
                    return Ok(read);
                }
                Err(error)
                    if error.kind() == std::io::ErrorKind::UnexpectedEof
                        && self.stalled + 1 < MAX_STALLED_DOWNLOADS =>
                {
                    self.stalled += 1;
                }
                // The errors of flate2 for an invalid header or checksum.
                Err(error)
                    if matches!(error.kind(), std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidData) =>
                {
                    let message = message!("The export's compressed file is damaged: {error}.");
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
    Error::new(Code::Interrupted, message!("The export was stopped."))
}

/// Reads the bytes of one stream from the channel.
struct ChannelReader {
    receiver: Receiver<Chunk>,
    chunk: Bytes,
    ended: bool,
}

impl Read for ChannelReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.chunk.is_empty() && !self.ended {
            match self.receiver.blocking_recv() {
                Some(Ok(Some(bytes))) => self.chunk = bytes,
                Some(Ok(None)) => self.ended = true,
                Some(Err(error)) => return Err(std::io::Error::other(error)),
                None => return Err(interrupted()),
            }
        }
        let length = buffer.len().min(self.chunk.len());
        let taken = self.chunk.split_to(length);
        if let Some(buffer) = buffer.get_mut(..length) {
            buffer.copy_from_slice(&taken);
        }
        Ok(length)
    }
}
