//! Imports into a simulated tenant, with injected failures.

use std::fmt::Write as _;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use simulated_tenant::{Control, Fault, FaultKind, Tenant, TenantSettings};
use tempfile::TempDir;
use uie_auth0::{Backoff, JobSummary, ManagementClient};
use uie_core::config::{ClientCredentials, TenantHost};
use uie_core::error::{Code, Result};
use uie_core::progress::Progress;
use uie_import::{ImportRequest, ImportSpec, PollPolicy, RowFault};
use uie_store::{JobKind, NewJob, Store};

const POST: &str = "/jobs/users-imports";

/// A simulated tenant, a store, and a client with short delays.
struct ImportHarness {
    tenant: Tenant,
    control: Control,
    store: Store,
    client: ManagementClient,
    _data: TempDir,
}

fn poll_policy() -> PollPolicy {
    PollPolicy {
        first_poll: Duration::from_millis(10),
        longest_poll: Duration::from_millis(20),
        busy: Duration::from_millis(10),
        resend: Duration::from_millis(5),
        cancel_grace: Duration::from_millis(10),
        ..PollPolicy::default()
    }
}

impl ImportHarness {
    async fn new() -> Self {
        Self::with(TenantSettings { users: 0, import_duration: Duration::from_millis(50), ..TenantSettings::default() })
            .await
    }

    async fn with(settings: TenantSettings) -> Self {
        let tenant = Tenant::start(settings).await.expect("the tenant starts");
        let data = tempfile::tempdir().expect("a directory");
        let store = Store::open(data.path()).await.expect("the store opens");
        let host = TenantHost::parse(&tenant.url()).expect("a loopback host");
        let credentials = ClientCredentials { id: tenant.client_id().into(), secret: tenant.client_secret().into() };
        let client = ManagementClient::with_client_credentials(&host, &credentials)
            .expect("a client")
            .with_backoff(Backoff { first: Duration::from_millis(5), longest: Duration::from_millis(20) });
        Self { control: tenant.control(), tenant, store, client, _data: data }
    }

    fn request(&self) -> ImportRequest {
        ImportRequest { connection_id: self.tenant.database_connection_id(), ..ImportRequest::default() }
    }

    /// Creates a job with an uploaded file.
    async fn job(&self, id: &str, content: &str) {
        let files = self.store.create_job_files(id).expect("a directory");
        files.write("upload", content.as_bytes(), false).expect("the upload");
        let new = NewJob {
            id: id.into(),
            tenant: "tenant".into(),
            kind: JobKind::Import,
            owner: "owner".into(),
            author: None,
            connection: None,
            request: json!({}),
        };
        self.store.insert_job(&new).await.expect("a job");
    }

    async fn run(&self, id: &str, request: &ImportRequest, progress: Arc<Progress>) -> Result<JobSummary> {
        let files = self.store.job_files(id);
        let spec = ImportSpec::new(request).expect("a mapping of paths");
        uie_import::run_with_policy(id, &spec, &files, self.client.clone(), &self.store, progress, poll_policy()).await
    }

    /// Creates and runs a job.
    async fn import(&self, content: &str, request: &ImportRequest) -> Result<JobSummary> {
        self.job("job", content).await;
        self.run("job", request, Arc::default()).await
    }

    fn faults(&self, id: &str) -> Vec<RowFault> {
        uie_import::faults(&self.store.job_files(id)).expect("faults").map(|fault| fault.expect("a fault")).collect()
    }

    /// Waits until `condition` is true of the tenant, which runs in a separate thread.
    async fn until(&self, condition: impl Fn(&Control) -> bool) {
        let is_met = async || condition(&self.control).then_some(()).ok_or("the condition is not met");
        test_kit::poll(is_met).await;
    }

    fn holds_all(&self, users: u64) -> bool {
        (0..users).all(|index| self.control.users_by_email(&email(index)).len() == 1)
    }
}

fn email(index: u64) -> String {
    format!("user{index}@example.com")
}

/// Returns `count` users as NDJSON, with `size` bytes of metadata each.
fn users(count: u64, size: usize) -> String {
    (0..count).fold(String::new(), |mut text, index| {
        let user = json!({ "email": email(index), "user_metadata": { "text": "x".repeat(size) } });
        writeln!(text, "{user}").expect("writing to a string");
        text
    })
}

fn summary(total: u64, inserted: u64, updated: u64, failed: u64) -> JobSummary {
    JobSummary { failed, updated, inserted, total }
}

#[tokio::test]
async fn valid_rows_are_imported_and_errors_are_reported_with_their_lines() {
    let harness = ImportHarness::new().await;
    let before =
        (480..490).fold(String::new(), |text, index| text + &json!({ "email": email(index) }).to_string() + "\n");
    harness.job("before", &before).await;
    harness.run("before", &harness.request(), Arc::default()).await.expect("the first import");
    let mut rows: Vec<String> = users(500, 10).lines().map(str::to_owned).collect();
    for row in &mut rows[490..500] {
        *row = row.replace('@', " at ");
    }
    rows.rotate_left(250);
    let progress = Arc::<Progress>::default();
    harness.job("job", &rows.join("\n\n")).await;
    let outcome = harness.run("job", &harness.request(), Arc::clone(&progress)).await.expect("the import");
    assert_eq!(outcome, summary(500, 480, 0, 20));
    assert_eq!((progress.processed(), progress.total()), (500, Some(500)));
    let mut lines: Vec<u64> = harness.faults("job").iter().map(|fault| fault.line).collect();
    lines.sort_unstable();
    let expected: Vec<u64> = (230..250).map(|row| row * 2 + 1).collect();
    assert_eq!(lines, expected);
    assert!(harness.holds_all(490));
    assert_eq!(harness.control.job_counts().completion_emails, 0);
    assert_eq!(harness.control.violations(), Vec::<String>::new());
    let mut report = Vec::new();
    uie_import::write_report(&harness.store.job_files("job"), None, &mut report).expect("the report");
    let report: Vec<Value> = serde_json::from_slice(&report).expect("JSON");
    assert_eq!(report.len(), 20);
    assert_eq!(report[0]["errors"][0]["code"], "DUPLICATED_USER");
    // Auth0's own text names a parameter of its API.
    assert_eq!(report[0]["errors"][0]["message"], "A user with these identifiers already exists in the connection.");
    assert_eq!(report[0]["user"]["email"], email(480));
}

#[tokio::test]
async fn with_upsert_existing_users_are_updated() {
    let harness = ImportHarness::new().await;
    harness.import(&users(5, 1), &harness.request()).await.expect("the first import");
    harness.job("again", &users(8, 2)).await;
    let request = ImportRequest { upsert: true, ..harness.request() };
    let outcome = harness.run("again", &request, Arc::default()).await.expect("the second import");
    assert_eq!(outcome, summary(8, 3, 5, 0));
    assert_eq!(harness.control.user_by_email(&email(0)).expect("the user")["user_metadata"]["text"], "xx");
}

#[tokio::test]
async fn a_dry_run_sends_nothing() {
    let harness = ImportHarness::new().await;
    let request = ImportRequest { dry_run: true, ..harness.request() };
    let content = users(3, 1) + "{}\n";
    assert_eq!(harness.import(&content, &request).await.expect("the check"), summary(4, 0, 0, 1));
    assert_eq!(harness.faults("job").len(), 1);
    assert!(harness.control.requests().is_empty());
}

#[tokio::test]
async fn nothing_is_sent_of_a_truncated_file() {
    let harness = ImportHarness::new().await;
    let content = format!("[{}", users(3000, 1000).lines().collect::<Vec<_>>().join(","));
    let error = harness.import(&content, &harness.request()).await.expect_err("the array is not closed");
    assert_eq!(error.code, Code::UsersFileFormat);
    assert!(harness.control.requests().is_empty());
}

#[tokio::test]
async fn concurrent_imports_run_at_most_two_jobs_in_the_tenant() {
    let harness = ImportHarness::new().await;
    for number in 0..3 {
        let content = users(8, 200_000).replace("@example.com", &format!("@{number}.example.com"));
        harness.job(&format!("job{number}"), &content).await;
    }
    let request = harness.request();
    let progress = Arc::<Progress>::default();
    let (one, two, three) = tokio::join!(
        harness.run("job0", &request, Arc::clone(&progress)),
        harness.run("job1", &request, Arc::clone(&progress)),
        harness.run("job2", &request, Arc::clone(&progress))
    );
    for outcome in [one, two, three] {
        assert_eq!(outcome.expect("the import"), summary(8, 8, 0, 0));
    }
    let counts = harness.control.job_counts();
    assert_eq!((counts.imports, counts.refused_imports), (12, 0));
    assert!(counts.most_active_imports <= 2);
}

#[tokio::test]
async fn an_import_waits_for_other_imports_in_the_tenant() {
    let harness = ImportHarness::new().await;
    harness.control.add(Fault::new(POST, FaultKind::ActiveImports).times(3));
    assert_eq!(harness.import(&users(3, 1), &harness.request()).await.expect("the import"), summary(3, 3, 0, 0));
    assert!(harness.faults("job").is_empty());
}

#[tokio::test]
async fn a_lost_response_neither_repeats_rows_nor_reports_false_errors() {
    for kind in [FaultKind::DropAfter, FaultKind::DropBefore, FaultKind::ServerError, FaultKind::Truncate { bytes: 20 }]
    {
        let harness = ImportHarness::new().await;
        let existing = json!({ "email": email(2) }).to_string();
        harness.job("before", &existing).await;
        harness.run("before", &harness.request(), Arc::default()).await.expect("the first import");
        harness.control.add(Fault::new(POST, kind.clone()).once());
        let outcome = harness.import(&users(9, 120_000), &harness.request()).await.expect("the import");
        assert_eq!(outcome, summary(9, 8, 0, 1), "{kind:?}");
        let rows: Vec<u64> = harness.faults("job").iter().map(|fault| fault.row).collect();
        assert_eq!(rows, [3], "only the user that was there before: {kind:?}");
        assert!(harness.holds_all(9));
    }
}

#[tokio::test]
async fn an_import_without_any_response_fails_and_can_be_continued() {
    let harness = ImportHarness::new().await;
    harness.control.add(Fault::new(POST, FaultKind::DropAfter));
    let error = harness.import(&users(3, 1), &harness.request()).await.expect_err("no answer ever arrives");
    assert_eq!(error.code, Code::Auth0AnswerLost);
    harness.control.clear();
    let outcome = harness.run("job", &harness.request(), Arc::default()).await.expect("the import");
    assert_eq!(outcome, summary(3, 3, 0, 0));
}

#[tokio::test]
async fn an_interrupted_import_continues_where_it_stopped() {
    for imports in 0..4 {
        let harness = ImportHarness::new().await;
        harness.job("job", &users(9, 200_000)).await;
        let request = harness.request();
        tokio::select! {
            outcome = harness.run("job", &request, Arc::default()) => panic!("ended before the interruption: {outcome:?}"),
            () = harness.until(|control| control.job_counts().imports >= imports) => {}
        }
        let progress = Arc::<Progress>::default();
        let outcome = harness.run("job", &request, Arc::clone(&progress)).await.expect("the rest of the import");
        assert_eq!(outcome, summary(9, 9, 0, 0), "interrupted after {imports} imports");
        assert_eq!(harness.faults("job"), [], "interrupted after {imports} imports");
        assert_eq!(progress.processed(), 9);
        assert!(harness.holds_all(9));
        let requests = harness.control.requests().len();
        assert_eq!(
            harness.run("job", &request, Arc::clone(&progress)).await.expect("nothing is left to send"),
            outcome
        );
        assert_eq!(harness.control.requests().len(), requests, "a finished import sends no requests");
    }
}

#[tokio::test]
async fn a_chunk_whose_result_auth0_deleted_is_sent_again() {
    let harness = ImportHarness::new().await;
    harness.job("job", &users(4, 1)).await;
    let request = harness.request();
    tokio::select! {
        outcome = harness.run("job", &request, Arc::default()) => panic!("ended before the interruption: {outcome:?}"),
        () = harness.until(|control| control.job_counts().imports == 1) => {}
    }
    harness.control.advance(Duration::from_hours(25));
    let outcome = harness.run("job", &request, Arc::default()).await.expect("the import");
    assert_eq!(outcome, summary(4, 4, 0, 0));
    assert!(harness.holds_all(4));
}

#[tokio::test]
async fn if_every_auth0_job_fails_all_rows_are_reported_with_the_reason() {
    let harness = ImportHarness::new().await;
    harness.control.add(Fault::new(POST, FaultKind::FailJob));
    let outcome = harness.import(&users(200, 1), &harness.request()).await.expect("the import");
    assert_eq!(outcome, summary(200, 0, 0, 200));
    let faults = harness.faults("job");
    assert_eq!(faults.len(), 200);
    assert!(faults.iter().all(|fault| fault.code == "auth0_job_failed" && !fault.message.to_string().is_empty()));
    assert!(harness.control.job_counts().imports < 120, "chunks are not split further if none is accepted");
}

#[tokio::test]
async fn a_refused_chunk_is_split_until_the_failing_row_is_isolated() {
    for kind in [FaultKind::RefuseUsers { containing: email(77) }, FaultKind::FailUsers { containing: email(77) }] {
        let harness = ImportHarness::new().await;
        harness.control.add(Fault::new(POST, kind.clone()));
        let outcome = harness.import(&users(200, 10), &harness.request()).await.expect("the import");
        assert_eq!(outcome, summary(200, 199, 0, 1), "{kind:?}");
        let faults = harness.faults("job");
        assert_eq!(faults.iter().map(|fault| (fault.line, fault.row)).collect::<Vec<_>>(), [(78, 78)]);
        assert!((0..200).all(|index| harness.control.users_by_email(&email(index)).len() == usize::from(index != 77)));
        assert_eq!(harness.control.violations(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn an_import_interrupted_while_splitting_continues_with_the_halves() {
    let harness = ImportHarness::new().await;
    harness.control.add(Fault::new(POST, FaultKind::FailUsers { containing: email(5) }));
    let request = harness.request();
    harness.job("job", &users(64, 10)).await;
    for _ in 0..40 {
        let run = harness.run("job", &request, Arc::default());
        if let Ok(outcome) = tokio::time::timeout(Duration::from_millis(150), run).await {
            assert_eq!(outcome.expect("the import"), summary(64, 63, 0, 1));
            break;
        }
    }
    let faults = harness.faults("job");
    assert_eq!(faults.iter().map(|fault| fault.line).collect::<Vec<_>>(), [6]);
    assert!((0..64).all(|index| harness.control.users_by_email(&email(index)).len() == usize::from(index != 5)));
}

#[tokio::test]
async fn the_rows_of_a_job_that_failed_once_are_imported_by_its_halves() {
    let harness = ImportHarness::new().await;
    harness.control.add(Fault::new(POST, FaultKind::FailJob).once());
    let outcome = harness.import(&users(6, 200_000), &harness.request()).await.expect("the import");
    assert_eq!(outcome, summary(6, 6, 0, 0));
    assert_eq!(harness.faults("job"), []);
}

/// auth0-user-import-export-extension, issue 32: update existing users.
#[tokio::test]
async fn issue_32_existing_users_are_updated_with_upsert_and_refused_without() {
    let harness = ImportHarness::new().await;
    harness
        .import("email,app_metadata.plan\na@example.com,free\n", &harness.request())
        .await
        .expect("the first import");
    harness.job("refused", "email,app_metadata.plan\na@example.com,pro\n").await;
    let outcome = harness.run("refused", &harness.request(), Arc::default()).await.expect("the second import");
    assert_eq!(outcome, summary(1, 0, 0, 1));
    let faults = harness.faults("refused");
    assert_eq!((faults[0].code.as_str(), faults[0].line), ("DUPLICATED_USER", 2));
    harness.job("upsert", "email,app_metadata.plan\na@example.com,pro\n").await;
    let request = ImportRequest { upsert: true, ..harness.request() };
    assert_eq!(harness.run("upsert", &request, Arc::default()).await.expect("the third import"), summary(1, 0, 1, 0));
    assert_eq!(harness.control.user_by_email("a@example.com").expect("the user")["app_metadata"]["plan"], "pro");
}

#[tokio::test]
async fn refused_users_are_matched_to_rows_despite_hidden_secrets_and_letter_case() {
    let harness = ImportHarness::new().await;
    harness.import("[{\"email\":\"a@example.com\"}]", &harness.request()).await.expect("the first import");
    let hash = |value: &str| json!({ "algorithm": "md5", "hash": { "value": value, "encoding": "hex" } });
    let [first, second] = ["5f4dcc3b5aa765d61d8327deb882cf99", "098f6bcd4621d373cade4e832627b4f6"];
    let good = json!({ "email": "b@example.com", "custom_password_hash": hash(first) }).to_string();
    let refused = json!({ "email": "A@Example.com", "custom_password_hash": hash(second) }).to_string();
    harness.job("second", &format!("{good}\n{refused}\n")).await;
    let outcome = harness.run("second", &harness.request(), Arc::default()).await.expect("the second import");
    assert_eq!(outcome, summary(2, 1, 0, 1));
    let faults = harness.faults("second");
    assert_eq!((faults[0].code.as_str(), faults[0].line), ("DUPLICATED_USER", 2));
    assert!(!serde_json::to_string(&faults).expect("JSON").contains(second), "secrets are hidden");
    // The file for the next import contains them.
    let files = harness.store.job_files("second");
    let mut failed = Vec::new();
    let format = uie_import::original_format(&files).expect("a format");
    uie_import::write_report(&files, Some(format), &mut failed).expect("the failed rows");
    assert_eq!(String::from_utf8(failed).expect("text"), format!("{refused}\n"));
}

#[tokio::test]
async fn several_files_are_one_import_and_password_hashes_are_joined() {
    let harness = ImportHarness::new().await;
    harness.job("job", "").await;
    let files = harness.store.job_files("job");
    std::fs::remove_file(files.path("upload")).expect("the empty upload");
    let upload = files.subdirectory("upload");
    upload.create_directory().expect("a directory");
    let hash = "$2b$10$nFguVi9LsCAcvTZFKQlRKeLVydo8ETv483lkNsSFI/Wl1Rz1Ypo1K";
    let id = "0123456789abcdef01234567";
    let write = |name: &str, content: String| upload.write(name, content.as_bytes(), false).expect("a file");
    write("000001-users.csv", format!("user_id,email\nauth0|{id},a@example.com\n"));
    write("000002-more.json", "[{\"email\":\"b@example.com\"},{\"email\":\"invalid\"}]".to_owned());
    write("000003-hashes.ndjson", json!({ "_id": { "$oid": id }, "passwordHash": hash }).to_string());
    let outcome = harness.run("job", &harness.request(), Arc::default()).await.expect("the import");
    assert_eq!(outcome, summary(3, 2, 0, 1));
    let details = uie_import::details(&files).expect("details");
    assert_eq!(details.hashes.map(|hashes| (hashes.read, hashes.joined)), Some((1, 1)));
    let formats: Vec<_> = details.inputs.iter().map(|input| input.format.as_str()).collect();
    assert_eq!(formats, ["password-hashes", "csv", "json"]);
    let reasons: Vec<_> = details.reasons.iter().map(|reason| (reason.code.as_str(), reason.count)).collect();
    assert_eq!(reasons, [("FORMAT", 1), ("NO_HASH", 1)]);
    let mut faults = harness.faults("job");
    assert_eq!((faults[0].code.as_str(), faults[0].row), ("NO_HASH", 2));
    faults.remove(0);
    assert_eq!((faults[0].file.as_deref(), faults[0].row), (Some("more.json"), 3));
    let sent = files.subdirectory("chunks").read("000001.json").expect("the chunk");
    assert!(String::from_utf8(sent).expect("text").contains(hash));
    let mut failed = Vec::new();
    uie_import::write_report(&files, Some(uie_import::original_format(&files).expect("a format")), &mut failed)
        .expect("the failed rows");
    assert_eq!(String::from_utf8(failed).expect("text"), "{\"email\":\"invalid\"}\n");
}

#[tokio::test]
async fn an_unknown_connection_fails_the_job_with_auth0s_reason() {
    let harness = ImportHarness::new().await;
    let request = ImportRequest { connection_id: "con_0000000000000000".into(), ..harness.request() };
    let error = harness.import(&users(3, 1), &request).await.expect_err("there is no such connection");
    assert!(error.upstream.is_some(), "{error:?}");
    assert_eq!(harness.faults("job"), [], "no row is reported");
    let outcome =
        harness.run("job", &harness.request(), Arc::default()).await.expect("the import into another connection");
    assert_eq!(outcome, summary(3, 3, 0, 0));
}

#[tokio::test]
async fn an_import_with_an_expired_token_continues_with_a_new_one() {
    let harness = ImportHarness::new().await;
    harness.job("job", &users(3, 1)).await;
    let host = TenantHost::parse(&harness.tenant.url()).expect("a loopback host");
    let ended = ManagementClient::with_token(&host, "token".to_owned().into(), jiff::Timestamp::UNIX_EPOCH)
        .expect("a client with an expired token");
    let (request, files) = (harness.request(), harness.store.job_files("job"));
    let spec = ImportSpec::new(&request).expect("no mapping");
    let error = uie_import::run("job", &spec, &files, ended, &harness.store, Arc::default()).await;
    assert_eq!(error.expect_err("the token has expired").code, Code::Auth0TokenEnded);
    let outcome = harness.run("job", &request, Arc::default()).await.expect("the import");
    assert_eq!(outcome, summary(3, 3, 0, 0));
}

#[tokio::test]
async fn a_canceled_import_sends_no_further_chunk_and_can_be_resumed() {
    let harness = ImportHarness::new().await;
    harness.control.add(Fault::new(POST, FaultKind::HangJob).times(2));
    harness.job("job", &users(9, 200_000)).await;
    let request = harness.request();
    let progress = Arc::<Progress>::default();
    let (outcome, ()) = tokio::join!(harness.run("job", &request, Arc::clone(&progress)), async {
        harness.until(|control| control.job_counts().imports == 2).await;
        progress.cancel();
    });
    assert_eq!(outcome.expect_err("it was canceled").code, Code::Canceled);
    assert_eq!(harness.control.job_counts().imports, 2);
    let known = uie_import::outcome("job", &harness.store).await.expect("the outcome so far");
    assert_eq!(known, summary(9, 0, 0, 0));
    // Auth0 ends the two hanging jobs after two hours; the other chunks are accepted.
    harness.control.advance(Duration::from_hours(3));
    let outcome = harness.run("job", &request, Arc::default()).await.expect("the rest of the import");
    assert_eq!(outcome.total, outcome.inserted + outcome.failed);
    assert!(outcome.inserted >= 5, "{outcome:?}");
}

#[tokio::test]
async fn a_dry_run_predicts_the_result_by_looking_up_few_users_by_email_and_many_by_export() {
    for (count, exports) in [(20, 0), (300, 1)] {
        for upsert in [false, true] {
            let harness = ImportHarness::new().await;
            harness.job("before", &users(7, 1)).await;
            harness.run("before", &harness.request(), Arc::default()).await.expect("the first import");
            let request = ImportRequest { dry_run: true, look_up: true, upsert, ..harness.request() };
            let content = format!("{{}}\n{}", users(count, 1).replace("user3@example.com", "USER3@Example.com"));
            assert_eq!(harness.import(&content, &request).await.expect("the check"), summary(count + 1, 0, 0, 1));
            let details = uie_import::details(&harness.store.job_files("job")).expect("details");
            let found = details.look_up.expect("it was looked up");
            let expected = if upsert { (count - 7, 7, 0) } else { (count - 7, 0, 7) };
            assert_eq!((found.inserted, found.updated, found.refused), expected);
            assert_eq!(harness.control.job_counts().exports, exports, "{count} rows");
            let lines: Vec<u64> = harness
                .faults("job")
                .iter()
                .filter(|fault| fault.code == "USER_EXISTS")
                .map(|fault| fault.line)
                .collect();
            assert_eq!(lines, (2..9).collect::<Vec<_>>());
            let requests = harness.control.requests().len();
            harness.run("job", &request, Arc::default()).await.expect("the stored result");
            assert_eq!(harness.control.requests().len(), requests, "a stored result is not looked up again");
            assert_eq!(harness.control.job_counts().imports, 1, "nothing was sent");
            assert_eq!(harness.control.violations(), Vec::<String>::new());
        }
    }
}

#[tokio::test]
async fn a_lookup_survives_expired_links_and_interrupted_downloads() {
    for kind in [FaultKind::ExpiredLink, FaultKind::Truncate { bytes: 30 }, FaultKind::DropBefore] {
        let harness = ImportHarness::new().await;
        harness.job("before", &users(250, 1)).await;
        harness.run("before", &harness.request(), Arc::default()).await.expect("the first import");
        harness.control.add(Fault::new("/exports/", kind.clone()).once());
        let request = ImportRequest { dry_run: true, look_up: true, ..harness.request() };
        harness.import(&users(260, 1), &request).await.expect("the check");
        let found = uie_import::details(&harness.store.job_files("job")).expect("details").look_up.expect("looked up");
        assert_eq!((found.inserted, found.refused), (10, 250), "{kind:?}");
    }
}

#[tokio::test]
async fn importing_the_back_up_of_an_upsert_restores_metadata() {
    for count in [4, 250] {
        let harness = ImportHarness::new().await;
        harness.job("before", &users(count - 1, 5)).await;
        harness.run("before", &harness.request(), Arc::default()).await.expect("the first import");
        let of = |index| harness.control.user_by_email(&email(index)).expect("a user");
        let before: Vec<Value> = (0..count - 1).map(of).collect();

        let changes = (0..count).fold(String::new(), |mut text, index| {
            let user = json!({
                "email": email(index), "name": "Changed", "user_metadata": { "new": 1 }, "app_metadata": { "new": 2 },
            });
            writeln!(text, "{user}").expect("writing to a string");
            text
        });
        let request = ImportRequest { upsert: true, backup: true, ..harness.request() };
        assert_eq!(harness.import(&changes, &request).await.expect("the import"), summary(count, 1, count - 1, 0));
        let files = harness.store.job_files("job");
        assert_eq!(uie_import::details(&files).expect("details").backup.map(|backup| backup.users), Some(count - 1));
        assert_eq!(of(0)["user_metadata"], json!({ "new": 1 }));

        let mut backup = String::new();
        let file = uie_import::backup_file(&files).expect("a file that can be read");
        file.expect("a back-up").read_to_string(&mut backup).expect("text");
        let on_disk = std::fs::read(files.path("backup.json")).expect("the file");
        assert!(backup.contains("@example.com") && !on_disk.windows(12).any(|part| part == b"@example.com"));
        harness.job("back", &backup).await;
        let request = ImportRequest { upsert: true, ..harness.request() };
        let outcome = harness.run("back", &request, Arc::default()).await.expect("the back-up is imported");
        assert_eq!(outcome, summary(count - 1, 0, count - 1, 0));
        for (index, before) in (0..).zip(before) {
            let after = of(index);
            for name in ["name", "nickname", "picture", "user_metadata", "email_verified", "user_id"] {
                assert_eq!(after[name], before[name], "{name}");
            }
            assert_eq!(after["app_metadata"], json!({}), "added metadata is removed");
        }
    }
}

#[tokio::test]
async fn lost_responses_are_resolved_despite_clock_skew() {
    for behind in [false, true] {
        let harness = ImportHarness::new().await;
        let hours = Duration::from_hours(5);
        if behind {
            harness.control.set_back(hours);
        } else {
            harness.control.advance(hours);
        }
        // Created three seconds ago by the tenant's clock: the `Date` header has a resolution of one second.
        let created_at = jiff::Timestamp::from_millisecond(harness.control.now() - 3000).expect("a time").to_string();
        let identity = json!({
            "connection": simulated_tenant::connections::DATABASE, "provider": "auth0", "isSocial": false, "user_id": "2",
        });
        let user = json!({
            "user_id": "auth0|2", "email": email(2), "created_at": created_at, "updated_at": created_at,
            "identities": [identity],
        });
        harness.control.put_user(&user).expect("a user");
        harness.control.add(Fault::new(POST, FaultKind::DropAfter).once());
        let outcome = harness.import(&users(5, 1), &harness.request()).await.expect("the import");
        assert_eq!(outcome, summary(5, 4, 0, 1), "the tenant's clock is behind: {behind}");
        assert_eq!(harness.faults("job").iter().map(|fault| fault.row).collect::<Vec<_>>(), [3]);
    }
}

#[tokio::test]
async fn with_upsert_a_lost_response_causes_a_warning_about_the_counts() {
    let harness = ImportHarness::new().await;
    harness.control.add(Fault::new(POST, FaultKind::DropAfter).once());
    let request = ImportRequest { upsert: true, ..harness.request() };
    assert_eq!(harness.import(&users(3, 1), &request).await.expect("the import"), summary(3, 0, 3, 0));
    let mut faults = harness.faults("job");
    faults.retain(|fault| !fault.is_consequence());
    assert_eq!(faults.iter().map(|fault| fault.code.as_str()).collect::<Vec<_>>(), ["COUNTED_AS_UPDATED"]);
    assert!(faults[0].message.contains("rows 1 to 3"), "{}", faults[0].message);
}

#[tokio::test]
async fn a_deleted_connection_fails_the_job_and_keeps_the_counts() {
    let harness = ImportHarness::new().await;
    harness.control.add(Fault::new(POST, FaultKind::RefuseConnection).after(1));
    let error = harness.import(&users(9, 120_000), &harness.request()).await.expect_err("the connection was deleted");
    assert!(error.message.contains("connection"), "{}", error.message);
    assert_eq!(harness.faults("job"), [], "no row is reported");
    let known = uie_import::outcome("job", &harness.store).await.expect("the outcome so far");
    assert_eq!((known.total, known.failed), (9, 0));
    harness.control.clear();
    let outcome = harness.run("job", &harness.request(), Arc::default()).await.expect("the connection exists again");
    assert_eq!(outcome, summary(9, 9, 0, 0));
}

#[tokio::test]
async fn the_checked_rows_are_sent_even_if_the_file_changes() {
    let harness = ImportHarness::new().await;
    harness.job("job", &users(9, 120_000)).await;
    let request = harness.request();
    tokio::select! {
        outcome = harness.run("job", &request, Arc::default()) => panic!("ended before the file changed: {outcome:?}"),
        () = harness.until(|control| control.job_counts().imports >= 1) => {}
    }
    let changed = b"{\"email\":\"other@example.com\"}\n";
    harness.store.job_files("job").write("upload", changed, false).expect("changed");
    let outcome = harness.run("job", &request, Arc::default()).await.expect("the rest of the import");
    assert_eq!(outcome, summary(9, 9, 0, 0));
    assert!(harness.holds_all(9) && harness.control.users_by_email("other@example.com").is_empty());
}

#[tokio::test]
async fn concurrent_imports_of_the_same_users_insert_each_user_once() {
    let harness = ImportHarness::new().await;
    let content = users(12, 60_000);
    harness.job("one", &content).await;
    harness.job("two", &content).await;
    let request = harness.request();
    let (one, two) =
        tokio::join!(harness.run("one", &request, Arc::default()), harness.run("two", &request, Arc::default()));
    let (one, two) = (one.expect("the first"), two.expect("the second"));
    assert_eq!(one.inserted + two.inserted, 12);
    assert_eq!(one.failed + two.failed, 12, "the other rows are refused because the users exist");
    assert!(harness.holds_all(12));
    let reported = harness.faults("one").len() + harness.faults("two").len();
    assert_eq!(reported, 12);
}
