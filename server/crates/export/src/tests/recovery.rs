//! Tests of errors between Auth0 and the complete file, and of canceling and resuming exports.

use std::sync::mpsc;
use std::time::Duration;

use simulated_tenant::{Fault, FaultKind, Tenant};

use super::super::source::{self, ExportCheckpoint};
use super::tenant::{FAST_POLLING, check, ndjson, rows, searched, tenant, try_run};
use super::*;
use uie_auth0::{ManagementClient, Timeouts};
use uie_store::{JobKind, NewJob, Store};

/// Returns the number of requests to the tenant with this method and path.
fn count_requests(tenant: &Tenant, method: &str, path: &str) -> usize {
    let requests = tenant.control().requests();
    requests.iter().filter(|request| request.method == method && request.path.contains(path)).count()
}

/// Returns the `Range` header of each download.
fn ranges(tenant: &Tenant) -> Vec<Option<String>> {
    let requests = tenant.control().requests().into_iter();
    requests.filter(|request| request.path.contains("/exports/")).map(|request| request.range).collect()
}

#[tokio::test]
async fn an_interrupted_download_resumes_where_it_stopped() {
    let (tenant, client) = tenant(3000).await;
    for (number, bytes) in (0..).zip([5_000, 40_000, 0, 1]) {
        tenant.control().add(Fault::new("/exports/", FaultKind::Truncate { bytes }).after(number).once());
    }
    check(&rows(&ndjson(), &client).await, 3000, |_| true);
    assert!(tenant.control().faults().is_empty());
    let ranges = ranges(&tenant);
    assert!(ranges[0].is_none() && ranges[1..].iter().all(Option::is_some), "{ranges:?}");
    assert_eq!(count_requests(&tenant, "POST", "/jobs/users-exports"), 1);
}

#[tokio::test]
async fn no_row_is_repeated_if_the_server_ignores_ranges() {
    let (tenant, client) = tenant(3000).await;
    tenant.control().add(Fault::new("/exports/", FaultKind::IgnoreRange));
    for (number, bytes) in (0..).zip([50_000, 5_000, 0, 51_000]) {
        tenant.control().add(Fault::new("/exports/", FaultKind::Truncate { bytes }).after(number).once());
    }
    check(&rows(&ndjson(), &client).await, 3000, |_| true);
    assert_eq!(ranges(&tenant).len(), 5);
}

#[tokio::test]
async fn a_truncated_file_is_read_again() {
    let (tenant, client) = tenant(3000).await;
    for (number, bytes) in (0..).zip([20_000, 50_000, 3, 40_000]) {
        tenant.control().add(Fault::new("/exports/", FaultKind::Shorten { bytes }).after(number).once());
    }
    check(&rows(&ndjson(), &client).await, 3000, |_| true);
    assert!(tenant.control().faults().is_empty());
}

#[tokio::test]
async fn a_stalled_download_resumes() {
    let (tenant, client) = tenant(2000).await;
    let client = client.with_timeouts(Timeouts { idle: Duration::from_millis(300), ..Timeouts::default() });
    tenant.control().add(Fault::new("/exports/", FaultKind::Stall { bytes: 30_000 }).once());
    check(&rows(&ndjson(), &client).await, 2000, |_| true);
    assert!(ranges(&tenant).len() > 1);
}

#[tokio::test]
async fn a_download_without_progress_fails_with_the_reason() {
    let (tenant, client) = tenant(3000).await;
    tenant.control().add(Fault::new("/exports/", FaultKind::IgnoreRange));
    tenant.control().add(Fault::new("/exports/", FaultKind::Truncate { bytes: 20_000 }));
    let error = try_run(&ndjson(), &client).await.unwrap_err();
    assert!(matches!(error.code, Code::Auth0Unreachable), "{error}");
    assert!(error.message.contains("20000 bytes"), "{error}");
}

#[tokio::test]
async fn links_that_expire_are_renewed() {
    let (tenant, client) = tenant(2000).await;
    tenant.control().add(Fault::new("/exports/", FaultKind::ExpiredLink).times(2));
    tenant.control().add(Fault::new("/exports/", FaultKind::Truncate { bytes: 10_000 }).after(2).once());
    tenant.control().add(Fault::new("/exports/", FaultKind::ExpiredLink).after(3).times(2));
    check(&rows(&ndjson(), &client).await, 2000, |_| true);
    assert!(tenant.control().faults().is_empty());
}

#[tokio::test]
async fn transient_errors_in_any_phase_are_retried() {
    let (tenant, client) = tenant(1500).await;
    let control = tenant.control();
    let limit = FaultKind::RateLimit { reset_after: 0, retry_after: true };
    for kind in [limit, FaultKind::ServerError, FaultKind::Unavailable, FaultKind::DropBefore, FaultKind::DropAfter] {
        for (method, path) in
            [("GET", "/users"), ("POST", "/jobs/users-exports"), ("GET", "/jobs/job_"), ("GET", "/exports/")]
        {
            control.add(Fault::new(path, kind.clone()).method(method).times(2));
        }
        check(&rows(&ndjson(), &client).await, 1500, |_| true);
        assert_eq!(control.faults(), [], "{kind:?}");
        let spans = ExportRequest { limit: None, ..searched() };
        for after in [0, 3, 9] {
            control.add(Fault::new("/users", kind.clone()).after(after).times(2));
        }
        check(&rows(&spans, &client).await, 1500, |_| true);
        assert_eq!(control.faults(), [], "{kind:?}");
    }
}

#[tokio::test]
async fn tokens_that_expire_during_an_export_are_renewed() {
    let (tenant, client) = tenant(1500).await;
    for path in ["/users", "/jobs/users-exports", "/jobs/job_", "/exports/"] {
        tenant.control().add(Fault::new(path, FaultKind::ExpireTokens).once());
    }
    tenant.control().add(Fault::new("/exports/", FaultKind::Truncate { bytes: 5000 }).once());
    check(&rows(&ndjson(), &client).await, 1500, |_| true);
    assert!(tenant.control().faults().is_empty());
}

#[tokio::test]
async fn a_lost_export_job_is_created_again() {
    let expired = FaultKind::JobStatus { status: "expired".into() };
    for kind in [expired, FaultKind::ForgetJob] {
        let (tenant, client) = tenant(1500).await;
        tenant.control().add(Fault::new("/jobs/job_", kind).once());
        check(&rows(&ndjson(), &client).await, 1500, |_| true);
        assert_eq!(count_requests(&tenant, "POST", "/jobs/users-exports"), 2);
    }
}

#[tokio::test]
async fn a_search_replaces_jobs_that_are_lost_repeatedly() {
    let (tenant, client) = tenant(1500).await;
    tenant.control().add(Fault::new("/jobs/job_", FaultKind::ForgetJob));
    check(&rows(&ndjson(), &client).await, 1500, |_| true);
}

#[tokio::test]
async fn a_file_that_is_lost_during_the_download_fails_the_export() {
    let (tenant, client) = tenant(3000).await;
    tenant.control().add(Fault::new("/exports/", FaultKind::Truncate { bytes: 20_000 }).once());
    tenant.control().add(Fault::new("/exports/", FaultKind::ExpiredLink).after(1));
    let control = tenant.control();
    let watch = tokio::spawn(async move {
        while !control.requests().iter().any(|request| request.path.contains("/exports/") && request.status == 403) {
            tokio::task::yield_now().await;
        }
        control.add(Fault::new("/jobs/job_", FaultKind::ForgetJob));
    });
    let error = try_run(&ndjson(), &client).await.unwrap_err();
    watch.await.unwrap();
    assert_eq!(error.code, Code::Auth0ExportLost, "{error}");
    assert!(error.message.contains("24 hours"), "{error}");
}

#[tokio::test]
async fn an_unknown_job_status_is_polled_further() {
    let (tenant, client) = tenant(1500).await;
    tenant.control().add(Fault::new("/jobs/job_", FaultKind::JobStatus { status: "paused".into() }).times(5));
    check(&rows(&ndjson(), &client).await, 1500, |_| true);
    assert!(tenant.control().faults().is_empty());
}

#[tokio::test]
async fn a_tenant_that_allows_no_export_jobs_is_searched() {
    let (tenant, client) = tenant(2500).await;
    tenant.control().add(Fault::new("/jobs/users-exports", FaultKind::Forbidden));
    let found = rows(&ndjson(), &client).await;
    check(&found, 2500, |_| true);
    assert_eq!(found.len() as u64, tenant.control().user_count());
    assert_eq!(count_requests(&tenant, "POST", "/jobs/users-exports"), 1, "a refusal is not repeated");
}

#[tokio::test]
async fn a_search_replaces_jobs_that_cannot_be_created() {
    let (tenant, client) = tenant(1500).await;
    tenant.control().add(Fault::new("/jobs/users-exports", FaultKind::ServerError));
    check(&rows(&ndjson(), &client).await, 1500, |_| true);
    assert!((2..=4).contains(&count_requests(&tenant, "POST", "/jobs/users-exports")));
}

#[tokio::test]
async fn searches_that_take_too_long_are_split_further() {
    let (tenant, client) = tenant(2500).await;
    // The plan's count succeeds. The searches for the first and the last user and the first counts are too slow.
    tenant.control().add(Fault::new("/users", FaultKind::SlowQuery).after(1).times(12));
    let found = rows(&searched(), &client).await;
    check(&found, 2500, |_| true);
    assert_eq!(found.len() as u64, tenant.control().user_count());
    assert!(tenant.control().faults().is_empty());
}

#[tokio::test]
async fn users_added_during_split_searches_do_not_cause_duplicates() {
    let (tenant, client) = tenant(2500).await;
    let control = tenant.control();
    let adding = tokio::spawn({
        let control = control.clone();
        async move {
            for number in 0..200 {
                let user = json!({
                    "user_id": format!("auth0|late{number}"), "email": format!("late{number}@example.com"),
                    "created_at": format!("20{:02}-05-05T05:05:05.005Z", 10 + number % 15),
                    "identities": [{"connection": "Username-Password-Authentication", "provider": "auth0",
                        "isSocial": false, "user_id": format!("late{number}")}],
                });
                control.put_user(&user).unwrap();
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    });
    let found = rows(&searched(), &client).await;
    check(&found, 2500, |_| true);
    adding.await.unwrap();
}

// Cancellation.

/// Runs an export whose tenant has this fault until `phase` is true, then cancels it. The export must end, although the
/// fault would block it without limit.
async fn cancel_during(
    fault: Fault,
    request: ExportRequest,
    output: Box<dyn Write + Send>,
    phase: impl Fn(&Tenant, &Progress) -> bool,
) {
    let (tenant, client) = tenant(3000).await;
    tenant.control().add(fault);
    let progress = Arc::new(Progress::default());
    let spec = Arc::new(ExportSpec::new(&request, MEMORY).unwrap());
    let running = tokio::spawn(source::run(spec, client, output, Arc::clone(&progress), None, FAST_POLLING));
    while !phase(&tenant, &progress) {
        assert!(!running.is_finished(), "the export is over before it could be canceled");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    progress.cancel();
    let error = running.await.unwrap().unwrap_err();
    assert_eq!(error.code, Code::Canceled, "{error}");
}

/// An output that blocks until the test ends.
struct BlockedOutput(mpsc::Receiver<()>, Arc<std::sync::atomic::AtomicBool>);

impl Write for BlockedOutput {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.1.store(true, std::sync::atomic::Ordering::Release);
        // Returns when the test drops the sender.
        let _ = self.0.recv();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn an_export_is_canceled_while_it_is_planned() {
    let fault = Fault::new("/users", FaultKind::Delay { millis: 3_600_000 });
    let asked = |tenant: &Tenant, _: &Progress| count_requests(tenant, "POST", "/oauth/token") > 0;
    cancel_during(fault, ndjson(), Box::new(Output::default()), asked).await;
}

#[tokio::test]
async fn an_export_is_canceled_while_auth0_refuses_to_begin() {
    let fault = Fault::new("/jobs/users-exports", FaultKind::RateLimit { reset_after: 300, retry_after: true });
    let waits =
        |_: &Tenant, progress: &Progress| progress.details().is_some_and(|details| details.contains("rate limit"));
    cancel_during(fault, ndjson(), Box::new(Output::default()), waits).await;
}

#[tokio::test]
async fn an_export_is_canceled_while_it_waits_for_its_job() {
    let fault = Fault::new("/jobs/users-exports", FaultKind::HangJob);
    let waits =
        |_: &Tenant, progress: &Progress| progress.details().is_some_and(|details| details.contains("is preparing"));
    cancel_during(fault, ndjson(), Box::new(Output::default()), waits).await;
}

#[tokio::test]
async fn an_export_is_canceled_while_it_downloads() {
    let fault = Fault::new("/exports/", FaultKind::Stall { bytes: 60_000 });
    let downloads = |tenant: &Tenant, _: &Progress| count_requests(tenant, "GET", "/exports/") > 0;
    cancel_during(fault, ndjson(), Box::new(Output::default()), downloads).await;
}

#[tokio::test]
async fn an_export_is_canceled_while_it_searches() {
    let fault = Fault::new("/users", FaultKind::Delay { millis: 3_600_000 }).after(6);
    let searches = |tenant: &Tenant, _: &Progress| count_requests(tenant, "GET", "/users") >= 6;
    cancel_during(fault, searched(), Box::new(Output::default()), searches).await;
}

#[tokio::test]
async fn an_export_is_canceled_while_it_writes_and_while_it_merges() {
    let sorted = ExportRequest { sort: Some(SortRequest { by: "email".into(), descending: true }), ..ndjson() };
    for request in [ndjson(), sorted] {
        let (_held, until) = mpsc::channel();
        let writes = Arc::new(std::sync::atomic::AtomicBool::default());
        let output = Box::new(BlockedOutput(until, Arc::clone(&writes)));
        let nothing = Fault::new("/nowhere", FaultKind::ServerError);
        let writing = move |_: &Tenant, _: &Progress| writes.load(std::sync::atomic::Ordering::Acquire);
        cancel_during(nothing, request, output, writing).await;
    }
}

// Resuming after a restart.

/// Creates a store with a job, and the checkpoint of the job.
async fn create_checkpoint() -> (tempfile::TempDir, Store, ExportCheckpoint) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    let job = NewJob {
        id: "job_1".into(),
        tenant: "acme".into(),
        kind: JobKind::Export,
        owner: "auth0|ada".into(),
        author: None,
        connection: None,
        request: json!({"format": "ndjson"}),
    };
    store.insert_job(&job).await.unwrap();
    let checkpoint = ExportCheckpoint::new(store.clone(), "job_1");
    (directory, store, checkpoint)
}

/// Runs an export until it polls its job inside Auth0, and aborts it like a killed process.
async fn interrupt(request: &ExportRequest, client: &ManagementClient, checkpoint: &ExportCheckpoint, tenant: &Tenant) {
    let progress = Arc::new(Progress::default());
    let spec = Arc::new(ExportSpec::new(request, MEMORY).unwrap());
    let output = Box::new(Output::default());
    let before = count_requests(tenant, "GET", "/jobs/job_");
    let running =
        tokio::spawn(source::run(spec, client.clone(), output, progress, Some(checkpoint.clone()), FAST_POLLING));
    while count_requests(tenant, "GET", "/jobs/job_") == before {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
}

/// Runs an export again with its checkpoint.
async fn resume(request: &ExportRequest, client: &ManagementClient, checkpoint: &ExportCheckpoint) -> Vec<JsonValue> {
    let spec = Arc::new(ExportSpec::new(request, MEMORY).unwrap());
    let output = Output::default();
    let progress = Arc::default();
    source::run(spec, client.clone(), Box::new(output.clone()), progress, Some(checkpoint.clone()), FAST_POLLING)
        .await
        .unwrap();
    output.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_restarted_export_reuses_its_job_inside_auth0() {
    let (tenant, client) = tenant(1500).await;
    let (_directory, _store, checkpoint) = create_checkpoint().await;
    tenant.control().add(Fault::new("/jobs/job_", FaultKind::JobStatus { status: "processing".into() }).times(3));
    interrupt(&ndjson(), &client, &checkpoint, &tenant).await;
    check(&resume(&ndjson(), &client, &checkpoint).await, 1500, |_| true);
    assert_eq!(count_requests(&tenant, "POST", "/jobs/users-exports"), 1);
}

#[tokio::test]
async fn a_job_that_is_gone_or_has_another_request_is_not_reused() {
    let (tenant, client) = tenant(1500).await;
    let (_directory, store, checkpoint) = create_checkpoint().await;
    tenant.control().add(Fault::new("/jobs/job_", FaultKind::JobStatus { status: "processing".into() }).times(3));
    interrupt(&request(Format::Ndjson, &[("email", "email")]), &client, &checkpoint, &tenant).await;
    tenant.control().clear();
    check(&resume(&ndjson(), &client, &checkpoint).await, 1500, |_| true);
    assert_eq!(count_requests(&tenant, "POST", "/jobs/users-exports"), 2, "its file has other attributes");
    // A day later.
    tenant.control().advance(Duration::from_hours(25));
    check(&resume(&ndjson(), &client, &checkpoint).await, 1500, |_| true);
    assert_eq!(count_requests(&tenant, "POST", "/jobs/users-exports"), 3);
    store.set_ordered_export("job_1", Some("nonsense")).await.unwrap();
    check(&resume(&ndjson(), &client, &checkpoint).await, 1500, |_| true);
}

// Progress.

#[tokio::test]
async fn the_progress_of_an_export_without_user_count_is_the_share_of_the_file() {
    let (tenant, client) = tenant(3000).await;
    tenant.control().add(Fault::new("/exports/", FaultKind::Stall { bytes: 70_000 }));
    let progress = Arc::new(Progress::default());
    let spec = Arc::new(ExportSpec::new(&ndjson(), MEMORY).unwrap());
    let running =
        tokio::spawn(source::run(spec, client, Box::new(Output::default()), Arc::clone(&progress), None, FAST_POLLING));
    let share = loop {
        match progress.share() {
            Some(share) if share > 0.0 => break share,
            _ => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    assert!(share < 1.0 && progress.total().is_none() && progress.clock_started_at().is_some(), "{share}");
    progress.cancel();
    running.await.unwrap().unwrap_err();
}
