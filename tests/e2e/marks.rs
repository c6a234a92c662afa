//! Nothing personal and no secret stands where it does not belong: marked values go through a whole run,
//! and are then looked for in logs, metrics, error texts and addresses.

use std::sync::{Arc, Mutex, PoisonError};

use end_to_end::Desk;
use end_to_end::desk::{SECRET, answer, id};
use serde_json::{Value, json};
use simulated_tenant::{CLIENT_SECRET, Client, Fault, FaultKind, Tenant, TenantSettings};
use tempfile::TempDir;

/// Stands in every personal value.
const MARK: &str = "zmarkedz";

#[tokio::test]
async fn a_whole_run_leaves_no_marked_value_in_logs_metrics_errors_and_addresses() {
    let tenant =
        Arc::new(Tenant::start(TenantSettings { users: 50, ..TenantSettings::default() }).await.expect("a tenant"));
    let control = tenant.control();
    let data = TempDir::new().expect("a directory");
    let desk = Desk::serve(&tenant, data.path(), |start| {
        start.env("LOG", "user_import_export=trace,info").env("LOG_FORMAT", "json");
        start.env("METRICS_TOKEN", "zmarkedz-metrics-token").env("SECRET_SALT", "zmarkedz-secret-for-transforms");
    })
    .await;
    let errors = Mutex::new(Vec::new());
    let failed = |what: &str, (status, body): (u16, Value)| {
        assert!(status >= 400, "{what}: {body}");
        errors.lock().unwrap_or_else(PoisonError::into_inner).push(body.to_string());
    };

    // Users with marked values, good and bad, some of whom the tenant refuses.
    let connection = tenant.database_connection_id();
    let users: Vec<String> = (0..40)
        .map(|number| {
            let email =
                if number % 5 == 0 { format!("{MARK}-{number}") } else { format!("{MARK}-{number}@example.com") };
            let user = json!({
                "email": email, "user_id": format!("{MARK}-{number}"), "family_name": MARK,
                "password_hash": "$2b$10$nFguVi9LsCAcvTZFKQlRKeLVydo8ETv483lkNsSFI/Wl1Rz1Ypo1K",
                "app_metadata": {"note": MARK},
            });
            format!("{user}\n")
        })
        .collect();
    let users = users.concat();
    control.add(Fault::new("/jobs/users-imports", FaultKind::DropAfter).method("POST").once());
    control.add(Fault::new("/jobs/users-imports", FaultKind::ServerError).method("POST").once());
    let (_, job) = desk.ask_import(&connection, users.clone()).await;
    let job = desk.until_over(id(&job)).await;
    assert_eq!(job["status"], "completed", "{job}");
    let (_, again) = desk.ask_import(&connection, users).await;
    desk.until_over(id(&again)).await;

    // Exports: by a search for somebody, computed with a secret, with faults of cells, and one that fails.
    let query = format!("email:{MARK}-1@example.com");
    for request in [
        json!({"format": "csv", "query": query}),
        json!({"format": "json", "fields": [
            {"name": "pseudonymize(user.email, secret(\"SALT\"))", "export_as": "a"},
            {"name": "pseudonymize(user.email, \"zmarkedz-literal-secret\")", "export_as": "b"},
            {"name": "(() => { throw new Error(user.email) })()", "export_as": "c"},
        ]}),
    ] {
        let (status, job) = desk.ask_export(&request).await;
        assert_eq!(status, 200, "{job}");
        let job = desk.until_over(id(&job)).await;
        assert_eq!(job["status"], "completed", "{job}");
        desk.download(&job).await;
    }
    let failing = json!({"format": "csv", "on_error": "fail", "fields": [{"name": "user.email.at(1n)"}]});
    let (_, job) = desk.ask_export(&failing).await;
    let failed_job = desk.until_over(id(&job)).await;
    assert_eq!(failed_job["status"], "failed", "{failed_job}");

    // Requests that are refused.
    let send = async |request: reqwest::RequestBuilder| answer(request).await;
    failed("no job", send(desk.request("GET", "/api/jobs/job_0000000000000000")).await);
    failed("no session", send(desk.anonymous("/api/history").bearer_auth(format!("{MARK}.{MARK}.{MARK}"))).await);
    failed("no ticket", send(desk.anonymous(&format!("/api/jobs/{}/download?ticket={MARK}", id(&job)))).await);
    failed("no token", send(desk.anonymous("/metrics").bearer_auth(format!("{MARK}-guess"))).await);
    failed("no hook", send(desk.request("DELETE", "/.extensions/on-uninstall").bearer_auth(MARK)).await);
    failed("no code", send(desk.anonymous(&format!("/login/callback?code={MARK}&state={MARK}"))).await);
    control.add(Fault::new("/api/v2/users", FaultKind::Forbidden).once());
    failed("refused by Auth0", send(desk.request("GET", &format!("/api/users?q=email:{MARK}@example.com"))).await);

    let metrics = desk.anonymous("/metrics").bearer_auth("zmarkedz-metrics-token").send().await.expect("an answer");
    assert_eq!(metrics.status(), 200);
    let metrics = metrics.text().await.expect("text");
    let log = desk.program.log();
    for event in ["Auth0 answered", "sent again", "completed", "ended", "download", "a login was refused"] {
        assert!(log.contains(event), "{event} is not in the log, so there is too little to look through:\n{log}");
    }
    // Searches are addresses of Auth0's own API and hold what people search for; secrets are in none.
    let requests = control.requests().into_iter().filter(|request| request.client != Client::Control);
    let addresses: Vec<String> = requests.map(|request| format!("{}?{}\n", request.path, request.query)).collect();
    let addresses = addresses.concat();

    let secrets = [
        SECRET,
        CLIENT_SECRET,
        &desk.session,
        "zmarkedz-metrics-token",
        "zmarkedz-secret-for-transforms",
        "zmarkedz-literal-secret",
        "$2b$10$",
        // A token; the word alone stands in hints.
        "Bearer ey",
        "access_token",
    ];
    let places = [("the log", &log), ("the metrics", &metrics), ("addresses", &addresses)];
    for (place, text) in
        places.iter().copied().chain(errors.lock().expect("errors").iter().map(|text| ("an error", text)))
    {
        for secret in secrets {
            assert!(!text.contains(secret), "{place} holds {secret}:\n{text}");
        }
    }
    for (place, text) in [("the log", &log), ("the metrics", &metrics)] {
        for line in text.lines() {
            assert!(!line.contains(MARK), "{place} holds a marked value: {line}");
            assert!(
                !line.contains("@example.com") && !line.contains("@acme.example"),
                "{place} holds an address: {line}"
            );
        }
    }
}
