//! Imports into a simulated tenant, with everything that can go wrong on the way.

use std::fmt::Write as _;
use std::io::Read as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use simulated_tenant::{Control, Fault, FaultKind, Tenant, TenantSettings};
use tempfile::TempDir;
use user_import_export::auth0::{Backoff, JobSummary, ManagementClient};
use user_import_export::config::{ClientCredentials, TenantHost};
use user_import_export::error::{Code, Result};
use user_import_export::import::{self, ImportRequest, ImportSpec, Pace, RowFault};
use user_import_export::progress::Progress;
use user_import_export::store::{JobKind, NewJob, Store};

const POST: &str = "/jobs/users-imports";

/// A tenant, a store, and a client that does not wait for long.
struct World {
    tenant: Tenant,
    control: Control,
    store: Store,
    client: ManagementClient,
    _data: TempDir,
}

fn pace() -> Pace {
    Pace {
        first_poll: Duration::from_millis(10),
        longest_poll: Duration::from_millis(20),
        busy: Duration::from_millis(10),
        resend: Duration::from_millis(5),
        cancel_grace: Duration::from_millis(10),
        ..Pace::default()
    }
}

impl World {
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

    /// A job whose file was uploaded.
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
        import::run_at(id, &spec, &files, self.client.clone(), &self.store, progress, pace()).await
    }

    /// Runs a new job to its end.
    async fn import(&self, content: &str, request: &ImportRequest) -> Result<JobSummary> {
        self.job("job", content).await;
        self.run("job", request, Arc::default()).await
    }

    fn faults(&self, id: &str) -> Vec<RowFault> {
        import::faults(&self.store.job_files(id)).expect("faults").map(|fault| fault.expect("a fault")).collect()
    }

    /// Waits until something is true of the tenant, whose server has a thread of its own.
    async fn until(&self, what: impl Fn(&Control) -> bool) {
        let end = Instant::now() + Duration::from_mins(5);
        while !what(&self.control) {
            assert!(Instant::now() < end, "what is waited for does not happen");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    fn holds_all(&self, users: u64) -> bool {
        (0..users).all(|index| self.control.users_by_email(&email(index)).len() == 1)
    }
}

fn email(index: u64) -> String {
    format!("user{index}@example.com")
}

/// Users one a line; with `size` bytes of metadata each.
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
async fn good_rows_are_imported_and_every_bad_row_is_reported_with_its_line() {
    let world = World::new().await;
    let before =
        (480..490).fold(String::new(), |text, index| text + &json!({ "email": email(index) }).to_string() + "\n");
    world.job("before", &before).await;
    world.run("before", &world.request(), Arc::default()).await.expect("the first import");
    let mut rows: Vec<String> = users(500, 10).lines().map(str::to_owned).collect();
    for row in &mut rows[490..500] {
        *row = row.replace('@', " at ");
    }
    rows.rotate_left(250);
    let progress = Arc::<Progress>::default();
    world.job("job", &rows.join("\n\n")).await;
    let outcome = world.run("job", &world.request(), Arc::clone(&progress)).await.expect("the import");
    assert_eq!(outcome, summary(500, 480, 0, 20));
    assert_eq!((progress.processed(), progress.total()), (500, Some(500)));
    let mut lines: Vec<u64> = world.faults("job").iter().map(|fault| fault.line).collect();
    lines.sort_unstable();
    let expected: Vec<u64> = (230..250).map(|row| row * 2 + 1).collect();
    assert_eq!(lines, expected);
    assert!(world.holds_all(490));
    assert_eq!(world.control.job_counts().completion_emails, 0);
    assert_eq!(world.control.violations(), Vec::<String>::new());
    let mut report = Vec::new();
    import::write_report(&world.store.job_files("job"), None, &mut report).expect("the report");
    let report: Vec<Value> = serde_json::from_slice(&report).expect("JSON");
    assert_eq!(report.len(), 20);
    assert_eq!(report[0]["errors"][0]["code"], "DUPLICATED_USER");
    assert_eq!(report[0]["user"]["email"], email(480));
}

#[tokio::test]
async fn with_upsert_users_that_exist_are_changed() {
    let world = World::new().await;
    world.import(&users(5, 1), &world.request()).await.expect("the first import");
    world.job("again", &users(8, 2)).await;
    let request = ImportRequest { upsert: true, ..world.request() };
    let outcome = world.run("again", &request, Arc::default()).await.expect("the second import");
    assert_eq!(outcome, summary(8, 3, 5, 0));
    assert_eq!(world.control.user_by_email(&email(0)).expect("the user")["user_metadata"]["text"], "xx");
}

#[tokio::test]
async fn a_dry_run_sends_nothing() {
    let world = World::new().await;
    let request = ImportRequest { dry_run: true, ..world.request() };
    let content = users(3, 1) + "{}\n";
    assert_eq!(world.import(&content, &request).await.expect("the check"), summary(4, 0, 0, 1));
    assert_eq!(world.faults("job").len(), 1);
    assert!(world.control.requests().is_empty());
}

#[tokio::test]
async fn nothing_is_sent_of_a_file_that_breaks_off() {
    let world = World::new().await;
    let content = format!("[{}", users(3000, 1000).lines().collect::<Vec<_>>().join(","));
    let error = world.import(&content, &world.request()).await.expect_err("the array is not closed");
    assert_eq!(error.code, Code::UsersFileFormat);
    assert!(world.control.requests().is_empty());
}

#[tokio::test]
async fn three_imports_at_once_never_have_more_than_two_jobs_in_the_tenant() {
    let world = World::new().await;
    for number in 0..3 {
        let content = users(8, 200_000).replace("@example.com", &format!("@{number}.example.com"));
        world.job(&format!("job{number}"), &content).await;
    }
    let request = world.request();
    let progress = Arc::<Progress>::default();
    let (one, two, three) = tokio::join!(
        world.run("job0", &request, Arc::clone(&progress)),
        world.run("job1", &request, Arc::clone(&progress)),
        world.run("job2", &request, Arc::clone(&progress))
    );
    for outcome in [one, two, three] {
        assert_eq!(outcome.expect("the import"), summary(8, 8, 0, 0));
    }
    let counts = world.control.job_counts();
    assert_eq!((counts.imports, counts.refused_imports), (12, 0));
    assert!(counts.most_active_imports <= 2);
}

#[tokio::test]
async fn imports_of_other_people_are_waited_for() {
    let world = World::new().await;
    world.control.add(Fault::new(POST, FaultKind::ActiveImports).times(3));
    assert_eq!(world.import(&users(3, 1), &world.request()).await.expect("the import"), summary(3, 3, 0, 0));
    assert!(world.faults("job").is_empty());
}

#[tokio::test]
async fn a_lost_answer_makes_no_row_take_effect_twice_and_no_row_a_false_fault() {
    for kind in [FaultKind::DropAfter, FaultKind::DropBefore, FaultKind::ServerError, FaultKind::Truncate { bytes: 20 }]
    {
        let world = World::new().await;
        let existing = json!({ "email": email(2) }).to_string();
        world.job("before", &existing).await;
        world.run("before", &world.request(), Arc::default()).await.expect("the first import");
        world.control.add(Fault::new(POST, kind.clone()).once());
        let outcome = world.import(&users(9, 120_000), &world.request()).await.expect("the import");
        assert_eq!(outcome, summary(9, 8, 0, 1), "{kind:?}");
        let rows: Vec<u64> = world.faults("job").iter().map(|fault| fault.row).collect();
        assert_eq!(rows, [3], "only the user that was there before: {kind:?}");
        assert!(world.holds_all(9));
    }
}

#[tokio::test]
async fn a_tenant_that_loses_every_answer_ends_the_import_and_a_later_run_goes_on() {
    let world = World::new().await;
    world.control.add(Fault::new(POST, FaultKind::DropAfter));
    let error = world.import(&users(3, 1), &world.request()).await.expect_err("no answer ever arrives");
    assert_eq!(error.code, Code::Auth0AnswerLost);
    world.control.clear();
    let outcome = world.run("job", &world.request(), Arc::default()).await.expect("the import");
    assert_eq!(outcome, summary(3, 3, 0, 0));
}

#[tokio::test]
async fn an_import_that_was_cut_off_anywhere_goes_on_where_it_was() {
    for imports in 0..4 {
        let world = World::new().await;
        world.job("job", &users(9, 200_000)).await;
        let request = world.request();
        tokio::select! {
            outcome = world.run("job", &request, Arc::default()) => panic!("ended before it was cut off: {outcome:?}"),
            () = world.until(|control| control.job_counts().imports >= imports) => {}
        }
        let progress = Arc::<Progress>::default();
        let outcome = world.run("job", &request, Arc::clone(&progress)).await.expect("the rest of the import");
        assert_eq!(outcome, summary(9, 9, 0, 0), "cut off after {imports} imports");
        assert_eq!(world.faults("job"), [], "cut off after {imports} imports");
        assert_eq!(progress.processed(), 9);
        assert!(world.holds_all(9));
        let requests = world.control.requests().len();
        assert_eq!(world.run("job", &request, Arc::clone(&progress)).await.expect("nothing is left"), outcome);
        assert_eq!(world.control.requests().len(), requests, "what is done is not done again");
    }
}

#[tokio::test]
async fn a_result_that_auth0_has_forgotten_is_settled_by_sending_again() {
    let world = World::new().await;
    world.job("job", &users(4, 1)).await;
    let request = world.request();
    tokio::select! {
        outcome = world.run("job", &request, Arc::default()) => panic!("ended before it was cut off: {outcome:?}"),
        () = world.until(|control| control.job_counts().imports == 1) => {}
    }
    world.control.advance(Duration::from_hours(25));
    let outcome = world.run("job", &request, Arc::default()).await.expect("the import");
    assert_eq!(outcome, summary(4, 4, 0, 0));
    assert!(world.holds_all(4));
}

#[tokio::test]
async fn when_every_job_fails_inside_auth0_all_rows_are_faults_with_the_reason() {
    let world = World::new().await;
    world.control.add(Fault::new(POST, FaultKind::FailJob));
    let outcome = world.import(&users(200, 1), &world.request()).await.expect("the import");
    assert_eq!(outcome, summary(200, 0, 0, 200));
    let faults = world.faults("job");
    assert_eq!(faults.len(), 200);
    assert!(faults.iter().all(|fault| fault.code == "auth0_job_failed" && !fault.message.is_empty()));
    assert!(world.control.job_counts().imports < 120, "not every row is tried alone when nothing goes through");
}

#[tokio::test]
async fn a_chunk_that_is_refused_whole_is_halved_until_the_guilty_row_stands_alone() {
    for kind in [FaultKind::RefuseUsers { containing: email(77) }, FaultKind::FailUsers { containing: email(77) }] {
        let world = World::new().await;
        world.control.add(Fault::new(POST, kind.clone()));
        let outcome = world.import(&users(200, 10), &world.request()).await.expect("the import");
        assert_eq!(outcome, summary(200, 199, 0, 1), "{kind:?}");
        let faults = world.faults("job");
        assert_eq!(faults.iter().map(|fault| (fault.line, fault.row)).collect::<Vec<_>>(), [(78, 78)]);
        assert!((0..200).all(|index| world.control.users_by_email(&email(index)).len() == usize::from(index != 77)));
        assert_eq!(world.control.violations(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn an_import_that_is_cut_off_while_it_halves_a_chunk_goes_on_with_the_halves() {
    let world = World::new().await;
    world.control.add(Fault::new(POST, FaultKind::FailUsers { containing: email(5) }));
    let request = world.request();
    world.job("job", &users(64, 10)).await;
    for _ in 0..40 {
        let run = world.run("job", &request, Arc::default());
        if let Ok(outcome) = tokio::time::timeout(Duration::from_millis(150), run).await {
            assert_eq!(outcome.expect("the import"), summary(64, 63, 0, 1));
            break;
        }
    }
    let faults = world.faults("job");
    assert_eq!(faults.iter().map(|fault| fault.line).collect::<Vec<_>>(), [6]);
    assert!((0..64).all(|index| world.control.users_by_email(&email(index)).len() == usize::from(index != 5)));
}

#[tokio::test]
async fn a_job_that_failed_once_is_made_good_by_its_halves() {
    let world = World::new().await;
    world.control.add(Fault::new(POST, FaultKind::FailJob).once());
    let outcome = world.import(&users(6, 200_000), &world.request()).await.expect("the import");
    assert_eq!(outcome, summary(6, 6, 0, 0));
    assert_eq!(world.faults("job"), []);
}

/// auth0-user-import-export-extension, issue 32: update users that exist.
#[tokio::test]
async fn issue_32_upsert_changes_users_that_exist_and_without_it_they_are_refused() {
    let world = World::new().await;
    world.import("email,app_metadata.plan\na@example.com,free\n", &world.request()).await.expect("the first import");
    world.job("refused", "email,app_metadata.plan\na@example.com,pro\n").await;
    let outcome = world.run("refused", &world.request(), Arc::default()).await.expect("the second import");
    assert_eq!(outcome, summary(1, 0, 0, 1));
    let faults = world.faults("refused");
    assert_eq!((faults[0].code.as_str(), faults[0].line), ("DUPLICATED_USER", 2));
    world.job("upsert", "email,app_metadata.plan\na@example.com,pro\n").await;
    let request = ImportRequest { upsert: true, ..world.request() };
    assert_eq!(world.run("upsert", &request, Arc::default()).await.expect("the third import"), summary(1, 0, 1, 0));
    assert_eq!(world.control.user_by_email("a@example.com").expect("the user")["app_metadata"]["plan"], "pro");
}

#[tokio::test]
async fn what_auth0_refuses_is_found_among_the_rows_although_it_hides_secrets_and_shows_other_letters() {
    let world = World::new().await;
    world.import("[{\"email\":\"a@example.com\"}]", &world.request()).await.expect("the first import");
    let hash = |value: &str| json!({ "algorithm": "md5", "hash": { "value": value, "encoding": "hex" } });
    let [first, second] = ["5f4dcc3b5aa765d61d8327deb882cf99", "098f6bcd4621d373cade4e832627b4f6"];
    let good = json!({ "email": "b@example.com", "custom_password_hash": hash(first) }).to_string();
    let refused = json!({ "email": "A@Example.com", "custom_password_hash": hash(second) }).to_string();
    world.job("second", &format!("{good}\n{refused}\n")).await;
    let outcome = world.run("second", &world.request(), Arc::default()).await.expect("the second import");
    assert_eq!(outcome, summary(2, 1, 0, 1));
    let faults = world.faults("second");
    assert_eq!((faults[0].code.as_str(), faults[0].line), ("DUPLICATED_USER", 2));
    assert!(!serde_json::to_string(&faults).expect("JSON").contains(second), "secrets are hidden");
    // What is sent again has them.
    let files = world.store.job_files("second");
    let mut failed = Vec::new();
    let format = import::original_format(&files).expect("a format");
    import::write_report(&files, Some(format), &mut failed).expect("the failed rows");
    assert_eq!(String::from_utf8(failed).expect("text"), format!("{refused}\n"));
}

#[tokio::test]
async fn several_files_are_one_import_and_hashes_among_them_go_along() {
    let world = World::new().await;
    world.job("job", "").await;
    let files = world.store.job_files("job");
    std::fs::remove_file(files.path("upload")).expect("the empty upload");
    let upload = files.below("upload");
    upload.create_directory().expect("a directory");
    let hash = "$2b$10$nFguVi9LsCAcvTZFKQlRKeLVydo8ETv483lkNsSFI/Wl1Rz1Ypo1K";
    let id = "0123456789abcdef01234567";
    let write = |name: &str, content: String| upload.write(name, content.as_bytes(), false).expect("a file");
    write("000001-users.csv", format!("user_id,email\nauth0|{id},a@example.com\n"));
    write("000002-more.json", "[{\"email\":\"b@example.com\"},{\"email\":\"nobody\"}]".to_owned());
    write("000003-hashes.ndjson", json!({ "_id": { "$oid": id }, "passwordHash": hash }).to_string());
    let outcome = world.run("job", &world.request(), Arc::default()).await.expect("the import");
    assert_eq!(outcome, summary(3, 2, 0, 1));
    let details = import::details(&files).expect("details");
    assert_eq!(details.hashes.map(|hashes| (hashes.read, hashes.joined)), Some((1, 1)));
    let formats: Vec<_> = details.inputs.iter().map(|input| input.format.as_str()).collect();
    assert_eq!(formats, ["password-hashes", "csv", "json"]);
    assert_eq!(details.reasons.len(), 1);
    let faults = world.faults("job");
    assert_eq!((faults[0].file.as_deref(), faults[0].row), (Some("more.json"), 3));
    let sent = files.below("chunks").read("000001.json").expect("the chunk");
    assert!(String::from_utf8(sent).expect("text").contains(hash));
    let mut failed = Vec::new();
    import::write_report(&files, Some(import::original_format(&files).expect("a format")), &mut failed)
        .expect("the failed rows");
    assert_eq!(String::from_utf8(failed).expect("text"), "{\"email\":\"nobody\"}\n");
}

#[tokio::test]
async fn a_connection_that_takes_no_imports_ends_the_job_with_auth0s_reason() {
    let world = World::new().await;
    let request = ImportRequest { connection_id: "con_0000000000000000".into(), ..world.request() };
    let error = world.import(&users(3, 1), &request).await.expect_err("there is no such connection");
    assert!(error.upstream.is_some(), "{error:?}");
    assert_eq!(world.faults("job"), [], "no row is to blame");
    let outcome = world.run("job", &world.request(), Arc::default()).await.expect("another connection takes them");
    assert_eq!(outcome, summary(3, 3, 0, 0));
}

#[tokio::test]
async fn an_import_whose_sign_in_ended_goes_on_with_the_next_one() {
    let world = World::new().await;
    world.job("job", &users(3, 1)).await;
    let host = TenantHost::parse(&world.tenant.url()).expect("a loopback host");
    let ended = ManagementClient::with_token(&host, "token".to_owned().into(), jiff::Timestamp::UNIX_EPOCH)
        .expect("a client with a token that has ended");
    let (request, files) = (world.request(), world.store.job_files("job"));
    let spec = ImportSpec::new(&request).expect("no mapping");
    let error = import::run("job", &spec, &files, ended, &world.store, Arc::default()).await;
    assert_eq!(error.expect_err("nobody is signed in").code, Code::Auth0TokenEnded);
    let outcome = world.run("job", &request, Arc::default()).await.expect("the import");
    assert_eq!(outcome, summary(3, 3, 0, 0));
}

#[tokio::test]
async fn a_canceled_import_sends_no_further_chunk_and_can_be_resumed() {
    let world = World::new().await;
    world.control.add(Fault::new(POST, FaultKind::HangJob).times(2));
    world.job("job", &users(9, 200_000)).await;
    let request = world.request();
    let progress = Arc::<Progress>::default();
    let (outcome, ()) = tokio::join!(world.run("job", &request, Arc::clone(&progress)), async {
        world.until(|control| control.job_counts().imports == 2).await;
        progress.cancel();
    });
    assert_eq!(outcome.expect_err("it was canceled").code, Code::Canceled);
    assert_eq!(world.control.job_counts().imports, 2);
    let known = import::outcome("job", &world.store).await.expect("the outcome so far");
    assert_eq!(known, summary(9, 0, 0, 0));
    // The two hanging jobs are timed out by Auth0 after two hours, and the rest goes through.
    world.control.advance(Duration::from_hours(3));
    let outcome = world.run("job", &request, Arc::default()).await.expect("the rest of the import");
    assert_eq!(outcome.total, outcome.inserted + outcome.failed);
    assert!(outcome.inserted >= 5, "{outcome:?}");
}

#[tokio::test]
async fn a_dry_run_that_looks_users_up_says_what_would_become_of_them_few_by_address_and_many_by_one_export() {
    for (count, exports) in [(20, 0), (300, 1)] {
        for upsert in [false, true] {
            let world = World::new().await;
            world.job("before", &users(7, 1)).await;
            world.run("before", &world.request(), Arc::default()).await.expect("the first import");
            let request = ImportRequest { dry_run: true, look_up: true, upsert, ..world.request() };
            let content = format!("{{}}\n{}", users(count, 1).replace("user3@example.com", "USER3@Example.com"));
            assert_eq!(world.import(&content, &request).await.expect("the check"), summary(count + 1, 0, 0, 1));
            let details = import::details(&world.store.job_files("job")).expect("details");
            let found = details.look_up.expect("it was looked up");
            let expected = if upsert { (count - 7, 7, 0) } else { (count - 7, 0, 7) };
            assert_eq!((found.inserted, found.updated, found.refused), expected);
            assert_eq!(world.control.job_counts().exports, exports, "{count} rows");
            let lines: Vec<u64> = world
                .faults("job")
                .iter()
                .filter(|fault| fault.code == "USER_EXISTS")
                .map(|fault| fault.line)
                .collect();
            assert_eq!(lines, (2..9).collect::<Vec<_>>());
            let requests = world.control.requests().len();
            world.run("job", &request, Arc::default()).await.expect("nothing is left to do");
            assert_eq!(world.control.requests().len(), requests, "what was looked up is not looked up again");
            assert_eq!(world.control.job_counts().imports, 1, "nothing was sent");
            assert_eq!(world.control.violations(), Vec::<String>::new());
        }
    }
}

#[tokio::test]
async fn looking_up_survives_a_link_that_ends_and_a_download_that_breaks_off() {
    for kind in [FaultKind::ExpiredLink, FaultKind::Truncate { bytes: 30 }, FaultKind::DropBefore] {
        let world = World::new().await;
        world.job("before", &users(250, 1)).await;
        world.run("before", &world.request(), Arc::default()).await.expect("the first import");
        world.control.add(Fault::new("/exports/", kind.clone()).once());
        let request = ImportRequest { dry_run: true, look_up: true, ..world.request() };
        world.import(&users(260, 1), &request).await.expect("the check");
        let found = import::details(&world.store.job_files("job")).expect("details").look_up.expect("looked up");
        assert_eq!((found.inserted, found.refused), (10, 250), "{kind:?}");
    }
}

#[tokio::test]
async fn a_back_up_before_an_upsert_gives_metadata_back_when_it_is_imported() {
    for count in [4, 250] {
        let world = World::new().await;
        world.job("before", &users(count - 1, 5)).await;
        world.run("before", &world.request(), Arc::default()).await.expect("the first import");
        let of = |index| world.control.user_by_email(&email(index)).expect("a user");
        let before: Vec<Value> = (0..count - 1).map(of).collect();

        let changes = (0..count).fold(String::new(), |mut text, index| {
            let user = json!({
                "email": email(index), "name": "Changed", "user_metadata": { "new": 1 }, "app_metadata": { "new": 2 },
            });
            writeln!(text, "{user}").expect("writing to a string");
            text
        });
        let request = ImportRequest { upsert: true, backup: true, ..world.request() };
        assert_eq!(world.import(&changes, &request).await.expect("the import"), summary(count, 1, count - 1, 0));
        let files = world.store.job_files("job");
        assert_eq!(import::details(&files).expect("details").backup.map(|backup| backup.users), Some(count - 1));
        assert_eq!(of(0)["user_metadata"], json!({ "new": 1 }));

        let mut backup = String::new();
        let file = import::backup_file(&files).expect("a file that can be read");
        file.expect("a back-up").read_to_string(&mut backup).expect("text");
        let on_disk = std::fs::read(files.path("backup.json")).expect("the file");
        assert!(backup.contains("@example.com") && !on_disk.windows(12).any(|part| part == b"@example.com"));
        world.job("back", &backup).await;
        let request = ImportRequest { upsert: true, ..world.request() };
        let outcome = world.run("back", &request, Arc::default()).await.expect("the back-up is imported");
        assert_eq!(outcome, summary(count - 1, 0, count - 1, 0));
        for (index, before) in (0..).zip(before) {
            let after = of(index);
            for name in ["name", "nickname", "picture", "user_metadata", "email_verified", "user_id"] {
                assert_eq!(after[name], before[name], "{name}");
            }
            assert_eq!(after["app_metadata"], json!({}), "what was added is gone");
        }
    }
}

#[tokio::test]
async fn a_machine_whose_clock_is_wrong_settles_lost_answers_all_the_same() {
    for behind in [false, true] {
        let world = World::new().await;
        let hours = Duration::from_hours(5);
        if behind {
            world.control.set_back(hours);
        } else {
            world.control.advance(hours);
        }
        world.job("before", &json!({ "email": email(2) }).to_string()).await;
        world.run("before", &world.request(), Arc::default()).await.expect("the first import");
        // Answers tell the time in whole seconds.
        tokio::time::sleep(Duration::from_millis(2100)).await;
        world.control.add(Fault::new(POST, FaultKind::DropAfter).once());
        let outcome = world.import(&users(5, 1), &world.request()).await.expect("the import");
        assert_eq!(outcome, summary(5, 4, 0, 1), "the tenant's clock is behind: {behind}");
        assert_eq!(world.faults("job").iter().map(|fault| fault.row).collect::<Vec<_>>(), [3]);
    }
}

#[tokio::test]
async fn with_upsert_a_lost_answer_is_told_where_the_counts_may_be_off() {
    let world = World::new().await;
    world.control.add(Fault::new(POST, FaultKind::DropAfter).once());
    let request = ImportRequest { upsert: true, ..world.request() };
    assert_eq!(world.import(&users(3, 1), &request).await.expect("the import"), summary(3, 0, 3, 0));
    let faults = world.faults("job");
    assert_eq!(faults.iter().map(|fault| fault.code.as_str()).collect::<Vec<_>>(), ["COUNTED_AS_UPDATED"]);
    assert!(faults[0].message.contains("rows 1 to 3"), "{}", faults[0].message);
}

#[tokio::test]
async fn a_connection_that_disappears_in_the_middle_ends_the_job_and_what_was_sent_counts() {
    let world = World::new().await;
    world.control.add(Fault::new(POST, FaultKind::RefuseConnection).after(1));
    let error = world.import(&users(9, 120_000), &world.request()).await.expect_err("the connection is gone");
    assert!(error.message.contains("connection"), "{}", error.message);
    assert_eq!(world.faults("job"), [], "no row is to blame");
    let known = import::outcome("job", &world.store).await.expect("the outcome so far");
    assert_eq!((known.total, known.failed), (9, 0));
    world.control.clear();
    let outcome = world.run("job", &world.request(), Arc::default()).await.expect("it is there again");
    assert_eq!(outcome, summary(9, 9, 0, 0));
}

#[tokio::test]
async fn what_was_checked_is_sent_although_the_file_changes_meanwhile() {
    let world = World::new().await;
    world.job("job", &users(9, 120_000)).await;
    let request = world.request();
    tokio::select! {
        outcome = world.run("job", &request, Arc::default()) => panic!("ended before the file changed: {outcome:?}"),
        () = world.until(|control| control.job_counts().imports >= 1) => {}
    }
    let changed = b"{\"email\":\"other@example.com\"}\n";
    world.store.job_files("job").write("upload", changed, false).expect("changed");
    let outcome = world.run("job", &request, Arc::default()).await.expect("the rest of the import");
    assert_eq!(outcome, summary(9, 9, 0, 0));
    assert!(world.holds_all(9) && world.control.users_by_email("other@example.com").is_empty());
}

#[tokio::test]
async fn two_people_who_import_the_same_users_at_once_insert_each_of_them_once() {
    let world = World::new().await;
    let content = users(12, 60_000);
    world.job("one", &content).await;
    world.job("two", &content).await;
    let request = world.request();
    let (one, two) =
        tokio::join!(world.run("one", &request, Arc::default()), world.run("two", &request, Arc::default()));
    let (one, two) = (one.expect("the first"), two.expect("the second"));
    assert_eq!(one.inserted + two.inserted, 12);
    assert_eq!(one.failed + two.failed, 12, "the others are told that the users exist");
    assert!(world.holds_all(12));
    let told = world.faults("one").len() + world.faults("two").len();
    assert_eq!(told, 12);
}
