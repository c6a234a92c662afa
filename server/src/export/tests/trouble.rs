//! What can go wrong between Auth0 and a complete file, and how exports are stopped and taken up again.

use std::sync::mpsc;
use std::time::Duration;

use simulated_tenant::{Fault, FaultKind, Tenant};

use super::super::source::{self, Note};
use super::tenant::{PACE, check, ndjson, rows, searched, tenant, try_run};
use super::*;
use crate::auth0::Timeouts;
use crate::store::{JobKind, NewJob, Store};

/// How often the tenant was asked for this.
fn asked(tenant: &Tenant, method: &str, path: &str) -> usize {
    let requests = tenant.control().requests();
    requests.iter().filter(|request| request.method == method && request.path.contains(path)).count()
}

/// Where downloads began.
fn ranges(tenant: &Tenant) -> Vec<Option<String>> {
    let requests = tenant.control().requests().into_iter();
    requests.filter(|request| request.path.contains("/exports/")).map(|request| request.range).collect()
}

#[tokio::test]
async fn a_download_that_breaks_goes_on_where_it_stopped() {
    let (tenant, client) = tenant(3000).await;
    for (number, bytes) in (0..).zip([5_000, 40_000, 0, 1]) {
        tenant.control().add(Fault::new("/exports/", FaultKind::Truncate { bytes }).after(number).once());
    }
    check(&rows(&ndjson(), &client).await, 3000, |_| true);
    assert!(tenant.control().faults().is_empty());
    let ranges = ranges(&tenant);
    assert!(ranges[0].is_none() && ranges[1..].iter().all(Option::is_some), "{ranges:?}");
    assert_eq!(asked(&tenant, "POST", "/jobs/users-exports"), 1);
}

#[tokio::test]
async fn where_the_server_sends_everything_again_no_row_is_doubled() {
    let (tenant, client) = tenant(3000).await;
    tenant.control().add(Fault::new("/exports/", FaultKind::IgnoreRange));
    for (number, bytes) in (0..).zip([50_000, 5_000, 0, 51_000]) {
        tenant.control().add(Fault::new("/exports/", FaultKind::Truncate { bytes }).after(number).once());
    }
    check(&rows(&ndjson(), &client).await, 3000, |_| true);
    assert_eq!(ranges(&tenant).len(), 5);
}

#[tokio::test]
async fn a_file_that_ends_in_the_middle_as_if_it_were_complete_is_read_again() {
    let (tenant, client) = tenant(3000).await;
    for (number, bytes) in (0..).zip([20_000, 50_000, 3, 40_000]) {
        tenant.control().add(Fault::new("/exports/", FaultKind::Shorten { bytes }).after(number).once());
    }
    check(&rows(&ndjson(), &client).await, 3000, |_| true);
    assert!(tenant.control().faults().is_empty());
}

#[tokio::test]
async fn a_download_that_falls_silent_goes_on() {
    let (tenant, client) = tenant(2000).await;
    let client = client.with_timeouts(Timeouts { idle: Duration::from_millis(300), ..Timeouts::default() });
    tenant.control().add(Fault::new("/exports/", FaultKind::Stall { bytes: 30_000 }).once());
    check(&rows(&ndjson(), &client).await, 2000, |_| true);
    assert!(ranges(&tenant).len() > 1);
}

#[tokio::test]
async fn a_download_that_never_gets_on_ends_with_the_reason() {
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
async fn trouble_in_any_phase_passes() {
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
async fn tokens_that_end_meanwhile_are_renewed() {
    let (tenant, client) = tenant(1500).await;
    for path in ["/users", "/jobs/users-exports", "/jobs/job_", "/exports/"] {
        tenant.control().add(Fault::new(path, FaultKind::ExpireTokens).once());
    }
    tenant.control().add(Fault::new("/exports/", FaultKind::Truncate { bytes: 5000 }).once());
    check(&rows(&ndjson(), &client).await, 1500, |_| true);
    assert!(tenant.control().faults().is_empty());
}

#[tokio::test]
async fn an_export_job_that_is_lost_is_ordered_again() {
    let expired = FaultKind::JobStatus { status: "expired".into() };
    for kind in [expired, FaultKind::ForgetJob] {
        let (tenant, client) = tenant(1500).await;
        tenant.control().add(Fault::new("/jobs/job_", kind).once());
        check(&rows(&ndjson(), &client).await, 1500, |_| true);
        assert_eq!(asked(&tenant, "POST", "/jobs/users-exports"), 2);
    }
}

#[tokio::test]
async fn where_export_jobs_are_always_lost_the_search_takes_over() {
    let (tenant, client) = tenant(1500).await;
    tenant.control().add(Fault::new("/jobs/job_", FaultKind::ForgetJob));
    check(&rows(&ndjson(), &client).await, 1500, |_| true);
}

#[tokio::test]
async fn a_file_that_is_lost_on_the_way_ends_the_export_with_the_reason() {
    let (tenant, client) = tenant(3000).await;
    tenant.control().add(Fault::new("/exports/", FaultKind::Truncate { bytes: 20_000 }).once());
    tenant.control().add(Fault::new("/exports/", FaultKind::ExpiredLink).after(1));
    let lost = tenant.control();
    let watch = tokio::spawn(async move {
        while !lost.requests().iter().any(|request| request.path.contains("/exports/") && request.status == 403) {
            tokio::task::yield_now().await;
        }
        lost.add(Fault::new("/jobs/job_", FaultKind::ForgetJob));
    });
    let error = try_run(&ndjson(), &client).await.unwrap_err();
    watch.await.unwrap();
    assert_eq!(error.code, Code::Auth0ExportLost, "{error}");
    assert!(error.message.contains("24 hours"), "{error}");
}

#[tokio::test]
async fn a_status_that_nobody_knows_is_waited_for() {
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
    assert_eq!(asked(&tenant, "POST", "/jobs/users-exports"), 1, "a refusal is not repeated");
}

#[tokio::test]
async fn orders_that_fail_again_and_again_lead_to_the_search() {
    let (tenant, client) = tenant(1500).await;
    tenant.control().add(Fault::new("/jobs/users-exports", FaultKind::ServerError));
    check(&rows(&ndjson(), &client).await, 1500, |_| true);
    assert!((2..=4).contains(&asked(&tenant, "POST", "/jobs/users-exports")));
}

#[tokio::test]
async fn searches_that_take_too_long_are_split_further() {
    let (tenant, client) = tenant(2500).await;
    // The plan's count passes; then neither the first nor the last user, nor the first counts are found.
    tenant.control().add(Fault::new("/users", FaultKind::SlowQuery).after(1).times(12));
    let found = rows(&searched(), &client).await;
    check(&found, 2500, |_| true);
    assert_eq!(found.len() as u64, tenant.control().user_count());
    assert!(tenant.control().faults().is_empty());
}

#[tokio::test]
async fn users_that_are_added_while_spans_are_read_double_nobody() {
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

/// Runs an export whose tenant has this fault, until `phase` holds; then cancels it. It must end although
/// nothing else would ever end it.
async fn canceled(
    fault: Fault,
    request: ExportRequest,
    output: Box<dyn Write + Send>,
    phase: impl Fn(&Tenant, &Progress) -> bool,
) {
    let (tenant, client) = tenant(3000).await;
    tenant.control().add(fault);
    let progress = Arc::new(Progress::default());
    let spec = Arc::new(ExportSpec::new(&request, MEMORY).unwrap());
    let running = tokio::spawn(source::run(spec, client, output, Arc::clone(&progress), None, PACE));
    while !phase(&tenant, &progress) {
        assert!(!running.is_finished(), "the export is over before it could be canceled");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    progress.cancel();
    let error = running.await.unwrap().unwrap_err();
    // What the output said first may be the reason too, where the cancellation let it go on.
    assert_eq!(error.code, Code::Canceled, "{error}");
}

/// Whoever reads the output does not come.
struct Blocked(mpsc::Receiver<()>, Arc<std::sync::atomic::AtomicBool>);

impl Write for Blocked {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.1.store(true, std::sync::atomic::Ordering::Release);
        // Until the other end goes away with the test.
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
    let asked = |tenant: &Tenant, _: &Progress| asked(tenant, "POST", "/oauth/token") > 0;
    canceled(fault, ndjson(), Box::new(Output::default()), asked).await;
}

#[tokio::test]
async fn an_export_is_canceled_while_auth0_refuses_to_begin() {
    let fault = Fault::new("/jobs/users-exports", FaultKind::RateLimit { reset_after: 300, retry_after: true });
    let waits =
        |_: &Tenant, progress: &Progress| progress.details().is_some_and(|details| details.contains("rate limit"));
    canceled(fault, ndjson(), Box::new(Output::default()), waits).await;
}

#[tokio::test]
async fn an_export_is_canceled_while_it_waits_for_its_job() {
    let fault = Fault::new("/jobs/users-exports", FaultKind::HangJob);
    let waits =
        |_: &Tenant, progress: &Progress| progress.details().is_some_and(|details| details.contains("prepares"));
    canceled(fault, ndjson(), Box::new(Output::default()), waits).await;
}

#[tokio::test]
async fn an_export_is_canceled_while_it_downloads() {
    let fault = Fault::new("/exports/", FaultKind::Stall { bytes: 60_000 });
    let downloads = |tenant: &Tenant, _: &Progress| asked(tenant, "GET", "/exports/") > 0;
    canceled(fault, ndjson(), Box::new(Output::default()), downloads).await;
}

#[tokio::test]
async fn an_export_is_canceled_while_it_searches() {
    let fault = Fault::new("/users", FaultKind::Delay { millis: 3_600_000 }).after(6);
    let searches = |tenant: &Tenant, _: &Progress| asked(tenant, "GET", "/users") >= 6;
    canceled(fault, searched(), Box::new(Output::default()), searches).await;
}

#[tokio::test]
async fn an_export_is_canceled_while_it_writes_and_while_it_merges() {
    let sorted = ExportRequest { sort: Some(SortRequest { by: "email".into(), descending: true }), ..ndjson() };
    for request in [ndjson(), sorted] {
        let (_held, until) = mpsc::channel();
        let writes = Arc::new(std::sync::atomic::AtomicBool::default());
        let output = Box::new(Blocked(until, Arc::clone(&writes)));
        let nothing = Fault::new("/nowhere", FaultKind::ServerError);
        let writing = move |_: &Tenant, _: &Progress| writes.load(std::sync::atomic::Ordering::Acquire);
        canceled(nothing, request, output, writing).await;
    }
}

// Going on after a restart.

/// A store with a job of ours, and the note beside it.
async fn noted() -> (tempfile::TempDir, Store, Note) {
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
    let note = Note::new(store.clone(), "job_1");
    (directory, store, note)
}

/// Runs an export until its job inside Auth0 was seen, and stops it the way a killed process does.
async fn interrupted(request: &ExportRequest, client: &ManagementClient, note: &Note, tenant: &Tenant) {
    let progress = Arc::new(Progress::default());
    let spec = Arc::new(ExportSpec::new(request, MEMORY).unwrap());
    let output = Box::new(Output::default());
    let before = asked(tenant, "GET", "/jobs/job_");
    let running = tokio::spawn(source::run(spec, client.clone(), output, progress, Some(note.clone()), PACE));
    while asked(tenant, "GET", "/jobs/job_") == before {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
}

async fn taken_up(request: &ExportRequest, client: &ManagementClient, note: &Note) -> Vec<JsonValue> {
    let spec = Arc::new(ExportSpec::new(request, MEMORY).unwrap());
    let output = Output::default();
    let progress = Arc::default();
    source::run(spec, client.clone(), Box::new(output.clone()), progress, Some(note.clone()), PACE).await.unwrap();
    output.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn an_export_that_starts_again_goes_on_with_its_job_inside_auth0() {
    let (tenant, client) = tenant(1500).await;
    let (_directory, _store, note) = noted().await;
    tenant.control().add(Fault::new("/jobs/job_", FaultKind::JobStatus { status: "processing".into() }).times(3));
    interrupted(&ndjson(), &client, &note, &tenant).await;
    check(&taken_up(&ndjson(), &client, &note).await, 1500, |_| true);
    assert_eq!(asked(&tenant, "POST", "/jobs/users-exports"), 1);
}

#[tokio::test]
async fn a_job_that_is_gone_or_was_for_something_else_is_ordered_anew() {
    let (tenant, client) = tenant(1500).await;
    let (_directory, store, note) = noted().await;
    tenant.control().add(Fault::new("/jobs/job_", FaultKind::JobStatus { status: "processing".into() }).times(3));
    interrupted(&request(Format::Ndjson, &[("email", "email")]), &client, &note, &tenant).await;
    tenant.control().clear();
    check(&taken_up(&ndjson(), &client, &note).await, 1500, |_| true);
    assert_eq!(asked(&tenant, "POST", "/jobs/users-exports"), 2, "its file has other attributes");
    // A day later.
    tenant.control().advance(Duration::from_hours(25));
    check(&taken_up(&ndjson(), &client, &note).await, 1500, |_| true);
    assert_eq!(asked(&tenant, "POST", "/jobs/users-exports"), 3);
    store.set_ordered_export("job_1", Some("nonsense")).await.unwrap();
    check(&taken_up(&ndjson(), &client, &note).await, 1500, |_| true);
}

// Progress.

#[tokio::test]
async fn the_share_of_a_file_tells_how_far_an_export_is_whose_users_nobody_counted() {
    let (tenant, client) = tenant(3000).await;
    tenant.control().add(Fault::new("/exports/", FaultKind::Stall { bytes: 70_000 }));
    let progress = Arc::new(Progress::default());
    let spec = Arc::new(ExportSpec::new(&ndjson(), MEMORY).unwrap());
    let running =
        tokio::spawn(source::run(spec, client, Box::new(Output::default()), Arc::clone(&progress), None, PACE));
    let share = loop {
        match progress.share() {
            Some(share) if share > 0.0 => break share,
            _ => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    assert!(share < 1.0 && progress.total().is_none() && progress.working_since().is_some(), "{share}");
    progress.cancel();
    running.await.unwrap().unwrap_err();
}
