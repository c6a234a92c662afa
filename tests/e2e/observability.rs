//! Logs, metrics, error messages and URLs of a run: they hold no personal data and no secret, and they record every
//! failure, job and count.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use end_to_end::test_server::{SECRET, admin, job_id, send};
use end_to_end::{Reply, TestServer, poll, renamed_transform, sign_in, start_tenant};
use serde_json::{Value, json};
use simulated_tenant::people::Person;
use simulated_tenant::{CLIENT_SECRET, Client, Fault, FaultKind, TenantSettings};
use tempfile::TempDir;

/// Part of every personal value in these tests; it must not appear in any output.
const MARKER: &str = "zmarkedz";

/// The samples of `/metrics`, by name and labels.
struct Metrics(HashMap<String, f64>);

impl Metrics {
    fn parse(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a name and a value");
            let name = name.strip_prefix("user_import_export_").expect("our own");
            (name.to_owned(), value.parse().expect("a number"))
        });
        Self(samples.collect())
    }

    /// Returns the value of a sample, or zero if it is absent.
    fn get(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or_default()
    }
}

/// Parses a log in JSON.
fn parse_log(log: &str) -> Vec<Value> {
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    log.lines().map(parse).collect()
}

/// Returns the request span of a log line, or `null`.
fn request_span(line: &Value) -> &Value {
    let spans = line["spans"].as_array().map(Vec::as_slice).unwrap_or_default();
    spans.iter().find(|span| span["name"] == "request").unwrap_or(&Value::Null)
}

#[tokio::test]
async fn personal_data_and_secrets_do_not_appear_in_logs_metrics_errors_or_urls() {
    let tenant = start_tenant(TenantSettings { users: 50, ..TenantSettings::default() }).await;
    let control = tenant.control();
    let data = TempDir::new().expect("a directory");
    let subject = format!("auth0|{MARKER}");
    let mut server = TestServer::start_for_tenant(&tenant, data.path(), |start| {
        start.env("LOG", "user_import_export=trace,info").env("LOG_FORMAT", "json");
        start.env("ADMIN_SUBJECTS", format!("{subject},{}", admin().user_id));
        start.env("METRICS_TOKEN", "zmarkedz-metrics-token").env("SECRET_SALT", "zmarkedz-secret-for-transforms");
    })
    .await;
    let email = format!("{MARKER}@example.com");
    let connection = admin().connection;
    let user = json!({
        "user_id": subject, "email": email, "email_verified": true,
        "identities": [{"connection": connection, "provider": "auth0", "user_id": MARKER, "isSocial": false}],
    });
    control.put_user(&user).expect("a user of the tenant");
    let person = Person { user_id: subject.clone(), email, connection, name: MARKER.to_owned(), ..admin() };
    server.session = sign_in(server.program.address(), &person).await;
    // The metrics count Management API requests only; a sign-in sends none.
    control.forget_requests();
    let server = server;
    let errors = Mutex::new(Vec::new());
    let failed = |what: &str, reply: Reply| {
        let (status, body) = reply.into_parts();
        assert!(status >= 400, "{what}: {body}");
        assert!(!body.to_string().contains(MARKER), "{what} repeats personal data of the request: {body}");
        errors.lock().unwrap_or_else(PoisonError::into_inner).push(body.to_string());
    };
    let mut jobs = Vec::new();

    // Valid and invalid users with marked values; the tenant rejects some of them.
    let users: Vec<String> = (0..40)
        .map(|number| {
            let email =
                if number % 5 == 0 { format!("{MARKER}-{number}") } else { format!("{MARKER}-{number}@example.com") };
            let user = json!({
                "email": email, "user_id": format!("{MARKER}-{number}"), "family_name": MARKER,
                "password_hash": "$2b$10$nFguVi9LsCAcvTZFKQlRKeLVydo8ETv483lkNsSFI/Wl1Rz1Ypo1K",
                "app_metadata": {"note": MARKER},
            });
            format!("{user}\n")
        })
        .collect();
    let users = users.concat();
    control.add(Fault::new("/jobs/users-imports", FaultKind::DropAfter).method("POST").once());
    control.add(Fault::new("/jobs/users-imports", FaultKind::ServerError).method("POST").after(1).once());
    let job = server.import(&users, &[]).await;
    assert_eq!(job["status"], "completed", "{job}");
    jobs.push(job);
    jobs.push(server.import(&users, &[]).await);

    // Exports: by a search for one user, computed with a secret, with row errors, and one that fails.
    let query = format!("email:{MARKER}-1@example.com");
    control.add(Fault::new("/jobs/users-exports", FaultKind::RateLimit { reset_after: 1, retry_after: true }).once());
    for request in [
        json!({"format": "csv", "query": query}),
        json!({"format": "json", "fields": [
            {"name": "pseudonymize(user.email, secret(\"SALT\"))", "export_as": "a"},
            {"name": "pseudonymize(user.email, \"zmarkedz-literal-secret\")", "export_as": "b"},
            {"name": "(() => { throw new Error(user.email) })()", "export_as": "c"},
            {"name": "(() => { while (user.email === \"admin@acme.example\") {} })()", "export_as": "d"},
        ]}),
    ] {
        let job = server.export(&request).await;
        assert_eq!(job["status"], "completed", "{job}");
        assert_eq!(server.download(&job).await.status, 200);
        jobs.push(job);
    }
    let failing = json!({"format": "csv", "on_error": "fail", "fields": [{"name": "user.email.at(1n)"}]});
    let job = server.export(&failing).await;
    assert_eq!(job["status"], "failed", "{job}");
    failed("a failed job", Reply { status: 400, headers: Vec::new(), body: job["error"].to_string() });

    // Names that users choose, and their transforms.
    let preset = format!("/api/presets/{MARKER}-preset");
    server.put(&preset, &json!({"format": "csv", "query": query})).await.accepted();
    assert_eq!(server.get(&preset).await.status, 200);
    assert_eq!(server.delete(&preset).await.status, 204);
    let (status, missing) = server.get(&preset).await.into_parts();
    assert!(status == 404 && missing["message"].as_str().is_some_and(|text| text.contains(MARKER)), "{missing}");
    let component = renamed_transform("title_case", "title_loud");
    let upload = server.request("POST", "/api/transforms").header("content-type", "application/wasm").body(component);
    let (status, said) = send(upload).await.into_parts();
    assert_eq!(status, 201, "{said}");
    assert_eq!(server.delete("/api/transforms/title_loud").await.status, 204);
    assert_eq!(server.get(&format!("/{MARKER}/missing")).await.status, 404);

    // Requests that are refused.
    failed("no job", server.get("/api/jobs/job_0000000000000000").await);
    failed(
        "no session",
        send(server.anonymous("/api/history").bearer_auth(format!("{MARKER}.{MARKER}.{MARKER}"))).await,
    );
    failed("no ticket", send(server.anonymous(&format!("/api/jobs/{}/download?ticket={MARKER}", job_id(&job)))).await);
    failed("no token", send(server.anonymous("/metrics").bearer_auth(format!("{MARKER}-guess"))).await);
    failed("no hook", send(server.request("DELETE", "/.extensions/on-uninstall").bearer_auth(MARKER)).await);
    failed("no code", send(server.anonymous(&format!("/login/callback?code={MARKER}&state={MARKER}"))).await);
    control.add(Fault::new("/api/v2/users", FaultKind::Forbidden).once());
    failed("refused by Auth0", server.get(&format!("/api/users?q=email:{MARKER}@example.com")).await);

    // Two exports run, and one is queued.
    control.add(Fault::new("/jobs/users-exports", FaultKind::HangJob).method("POST").times(2));
    let mut under_way = Vec::new();
    for _ in 0..3 {
        under_way.push(server.start_export(&json!({"format": "ndjson"})).await);
    }
    let read = async || {
        let reply = server.anonymous("/metrics").bearer_auth("zmarkedz-metrics-token").send().await.expect("an answer");
        assert_eq!(reply.status(), 200);
        reply.text().await.expect("text")
    };
    let busy = poll(async || {
        let metrics = Metrics::parse(&read().await);
        if metrics.get("queued_jobs") > 0.0 { Ok(metrics) } else { Err("no job is queued") }
    })
    .await;
    assert_eq!((busy.get("queued_jobs"), busy.get("running_jobs")), (1.0, 3.0));
    for job in under_way.iter().rev() {
        assert_eq!(server.cancel(job).await.status, 200);
        assert_eq!(server.wait_until_finished(job).await["status"], "canceled");
    }

    let metrics = read().await;
    let counted = Metrics::parse(&metrics);
    let sum = |kind: &str, count: &dyn Fn(&Value) -> u64| -> f64 {
        jobs.iter().filter(|job| job["type"].as_str().is_some_and(|name| name.contains(kind))).map(count).sum::<u64>()
            as f64
    };
    let summary = |name: &'static str| move |job: &Value| job["summary"][name].as_u64().unwrap_or_default();
    for (name, value) in [
        ("queued_jobs", 0.0),
        ("running_jobs", 0.0),
        ("jobs{status=\"completed\",type=\"import\"}", 2.0),
        ("jobs{status=\"completed\",type=\"export\"}", 2.0),
        ("jobs{status=\"failed\",type=\"export\"}", 1.0),
        ("jobs{status=\"canceled\",type=\"export\"}", 3.0),
        ("rows_total{type=\"import\"}", sum("import", &|job| job["processed"].as_u64().unwrap_or_default())),
        ("rows_total{type=\"export\"}", sum("export", &summary("rows"))),
        ("faults_total{type=\"import\"}", sum("import", &summary("failed"))),
        ("faults_total{type=\"export\"}", sum("export", &summary("faults"))),
        ("auth0_rate_limit_waits_total", 1.0),
        ("http_requests_total{method=\"PUT\",route=\"/api/presets/{name}\",status=\"200\"}", 1.0),
    ] {
        assert_eq!(counted.get(name).to_bits(), value.to_bits(), "{name} is {}, not {value}", counted.get(name));
    }
    for name in [
        "rows_total{type=\"import\"}",
        "rows_total{type=\"export\"}",
        "faults_total{type=\"import\"}",
        "faults_total{type=\"export\"}",
        "auth0_rate_limit_wait_seconds_total",
        "sandbox_seconds_total",
        "sandbox_traps_total",
    ] {
        assert!(counted.get(name) > 0.0, "{name} stays at zero\n{metrics}");
    }
    let answered = |status: u16| {
        let requests = control.requests();
        let of_server = requests.iter().filter(|request| request.client != Client::Control);
        of_server.filter(|request| request.status == status).count() as f64
    };
    for (label, status) in [("200", 200), ("403", 403), ("429", 429), ("500", 500), ("none", 0)] {
        let name = format!("auth0_requests_total{{status=\"{label}\"}}");
        assert!(answered(status) > 0.0, "no answer {status} came from the tenant");
        assert_eq!(counted.get(&name).to_bits(), answered(status).to_bits(), "{name}\n{metrics}");
    }
    let log = server.program.log();
    for event in [
        "Auth0 answered",
        "before the next attempt",
        "completed",
        "ended",
        "download",
        "a login was refused",
        "a transform was uploaded",
        "a transform was removed",
        "a request was refused",
    ] {
        assert!(log.contains(event), "{event} is not in the log, so the log is incomplete:\n{log}");
    }
    // URLs of the Management API hold search queries, which may contain personal data, but no URL holds a secret.
    let requests = control.requests().into_iter().filter(|request| request.client != Client::Control);
    let addresses: Vec<String> = requests.map(|request| format!("{}?{}\n", request.path, request.query)).collect();
    let addresses = addresses.concat();

    let secrets = [
        SECRET,
        CLIENT_SECRET,
        &server.session,
        "zmarkedz-metrics-token",
        "zmarkedz-secret-for-transforms",
        "zmarkedz-literal-secret",
        "$2b$10$",
        // A token; the word alone is part of error messages.
        "Bearer ey",
        "access_token",
    ];
    let outputs = [("the log", &log), ("the metrics", &metrics), ("addresses", &addresses)];
    for (place, text) in
        outputs.iter().copied().chain(errors.lock().expect("errors").iter().map(|text| ("an error", text)))
    {
        for secret in secrets {
            assert!(!text.contains(secret), "{place} holds {secret}:\n{text}");
        }
    }
    for (place, text) in [("the log", &log), ("the metrics", &metrics)] {
        for line in text.lines() {
            assert!(!line.contains(MARKER), "{place} holds a marked value: {line}");
            assert!(
                !line.contains("@example.com") && !line.contains("@acme.example"),
                "{place} holds an e-mail address: {line}"
            );
        }
    }
}

#[tokio::test]
async fn failed_and_refused_requests_and_jobs_are_logged_with_their_ids() {
    let settings = TenantSettings { users: 20, ..TenantSettings::default() };
    let server = TestServer::start(settings, |start| {
        start.env("LOG_FORMAT", "json");
    })
    .await;
    let send = async |request: reqwest::RequestBuilder| {
        let reply = request.send().await.expect("an answer");
        let name = reply.headers().get("x-request-id").map(|name| name.to_str().expect("text").to_owned());
        let status = reply.status().as_u16();
        (status, name.expect("every answer has an id"), reply.text().await.expect("a body"))
    };
    let export = || server.request("POST", "/api/jobs/export").json(&json!({"format": "csv"}));

    // Every log line of a job has the id of the request that started it.
    let (status, asked, job) = send(export()).await;
    assert_eq!(status, 200, "{job}");
    let job: Value = serde_json::from_str(&job).expect("a job");
    let job = server.wait_until_finished(job_id(&job)).await;
    let log = parse_log(&server.program.log());
    let of_job = |line: &&Value| {
        let spans = line["spans"].as_array().map(Vec::as_slice).unwrap_or_default();
        spans.iter().any(|span| span["name"] == "job" && span["id"] == job["id"])
    };
    let of_job: Vec<&Value> = log.iter().filter(of_job).collect();
    assert!(of_job.iter().any(|line| line["fields"]["message"] == "completed"), "{log:#?}");
    for line in of_job {
        assert_eq!(request_span(line)["request_id"], asked.as_str(), "{line}");
    }

    // A modified artifact.
    let file = server.data().join("jobs").join(job_id(&job)).join("users.csv");
    let mut bytes = std::fs::read(&file).expect("the artifact");
    bytes[100] ^= 1;
    std::fs::write(&file, bytes).expect("the artifact");
    let link =
        job["location"].as_str().expect("a link").strip_prefix(server.program.address()).expect("a link of ours");
    let (_, tampered, _) = send(server.anonymous(link)).await;

    let (_, anonymous, _) = send(server.anonymous("/api/history")).await;
    let (_, cross_site, _) = send(export().header("sec-fetch-site", "cross-site")).await;
    let page = server.anonymous("/login/callback?code=x").header("accept", "text/html");
    let (status, _, body) = send(page).await;
    assert!(status == 400 && body.contains("<html"), "{status}: {body}");
    server.tenant.control().add(Fault::new("/jobs/users-exports", FaultKind::HangJob).method("POST"));
    let limited = loop {
        let (status, name, _) = send(export()).await;
        if status != 200 {
            break name;
        }
    };
    server.tenant.control().add(Fault::new("/api/v2/connections", FaultKind::Forbidden).once());
    let (_, refused, _) = send(server.request("GET", "/api/connections")).await;

    let log = parse_log(&server.program.log());
    for (name, level, status, code, method, route) in [
        (tampered, "ERROR", 500, "storage", "GET", "/api/jobs/{id}/download"),
        (anonymous, "INFO", 401, "credentials_required", "GET", "/api/history"),
        (cross_site, "INFO", 403, "cross_site_request", "POST", "/api/jobs/export"),
        (limited, "INFO", 429, "too_many_requests", "POST", "/api/jobs/export"),
        (refused, "INFO", 403, "auth0_refused", "GET", "/api/connections"),
    ] {
        let found: Vec<&Value> = log
            .iter()
            .filter(|line| request_span(line)["request_id"] == name.as_str() && !line["fields"]["status"].is_null())
            .collect();
        let [line] = found[..] else { panic!("{code}: {found:#?}\n{log:#?}") };
        assert_eq!((&line["level"], &line["fields"]["status"]), (&json!(level), &json!(status)), "{line}");
        assert_eq!(line["fields"]["code"], code, "{line}");
        let request = request_span(line);
        assert_eq!((&request["method"], &request["route"]), (&json!(method), &json!(route)), "{line}");
    }
}

#[tokio::test]
async fn auth0_messages_and_requests_cannot_forge_log_lines() {
    const FORGED: &str =
        "no.\r\n2026-01-01T00:00:00Z ERROR zforgedz\u{1b}[2K\u{1b}]0;zforgedz\u{7}\u{2028}{\"level\":\"ERROR\"}";
    for format in ["text", "json"] {
        let settings = TenantSettings { users: 5, ..TenantSettings::default() };
        let server = TestServer::start(settings, |start| {
            start.env("LOG_FORMAT", format).env("LOG", "user_import_export=trace,info");
        })
        .await;
        let fault =
            |path: &str| Fault::new(path, FaultKind::Refuse { message: FORGED.to_owned() }).method("POST").once();
        // As a field of a log line: the reason why the export job was not created.
        server.tenant.control().add(fault("/jobs/users-exports"));
        let job = server.wait_until_finished(&server.start_export(&json!({"format": "csv"})).await).await;
        assert_eq!(job["status"], "completed", "{job}");
        // In the message of a log line: the reason why a login failed.
        let browser = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build();
        let browser = browser.expect("an HTTP client");
        let begun = browser.get(format!("{}/login", server.program.address())).send().await.expect("an answer");
        let header = |name: &str| begun.headers()[name].to_str().expect("text").to_owned();
        let place = reqwest::Url::parse(&header("location")).expect("an address");
        let (_, state) = place.query_pairs().find(|(name, _)| name == "state").expect("a state");
        let cookie = header("set-cookie").split(';').next().expect("a cookie").to_owned();
        server.tenant.control().add(fault("/oauth/token"));
        let back = server.anonymous("/login/callback").query(&[("code", "x"), ("state", state.as_ref())]);
        let (status, said) = send(back.header("cookie", cookie)).await.into_parts();
        assert_eq!((status, &said["errorCode"]), (502, &json!("login_unavailable")), "{said}");
        // In the URL and headers of a request.
        let encoded = "/api/presets/%0d%0a2026%20ERROR%20zrequestz%1b%5b2K";
        send(server.request("GET", encoded).header("user-agent", "zrequestz")).await;
        send(server.request("DELETE", &encoded.replace("presets", "transforms"))).await;

        let log = server.program.log();
        assert!(log.matches("zforgedz").count() >= 4 && !log.contains("zrequestz"), "{log}");
        assert!(log.contains("a login failed") && log.contains("the export job is not available"), "{log}");
        assert!(!log.contains(|c: char| c.is_control() && c != '\n'), "{log:?}");
        if format == "json" {
            parse_log(&log);
            continue;
        }
        for line in log.lines() {
            let (time, rest) = line.split_once(' ').unwrap_or_default();
            let level = rest.split_whitespace().next();
            assert!(time.len() > 20 && time.ends_with('Z'), "{line}");
            assert!(matches!(level, Some("TRACE" | "DEBUG" | "INFO" | "WARN" | "ERROR")), "{line}");
        }
    }
}
