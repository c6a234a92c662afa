//! Validates every request of the client, and every response of the simulated tenant, against the OpenAPI description
//! of the Management API.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use futures_util::{FutureExt as _, TryStreamExt as _};
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use simulated_tenant::openapi::{validate_request, validate_response};
use simulated_tenant::{TenantSettings, connections};

use super::scripted_tenant::{RecordedRequest, Reply, Tenant, quick};
use crate::{
    ExportField, ExportJobRequest, ImportJobRequest, Job, JobErrors, JobFormat, JobStatus, ManagementClient, UserSearch,
};
use uie_core::config::ClientCredentials;

/// A request and its response.
#[derive(Debug)]
struct Exchange {
    request: RecordedRequest,
    status: u16,
    answer: Option<Value>,
}

/// Starts a proxy between the client and the simulated tenant that records all requests and responses.
async fn start_recording_proxy(tenant: &simulated_tenant::Tenant) -> (Tenant, Arc<Mutex<Vec<Exchange>>>) {
    let recorded: Arc<Mutex<Vec<Exchange>>> = Arc::default();
    let (exchanges, origin) = (recorded.clone(), tenant.url());
    let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().expect("an HTTP client");
    let proxy = Tenant::with_async_script(move |request| {
        let (exchanges, origin, http) = (exchanges.clone(), origin.clone(), http.clone());
        async move { Some(forward(request, &origin, &http, &exchanges).await) }.boxed()
    })
    .await;
    (proxy, recorded)
}

async fn forward(
    received: RecordedRequest,
    origin: &str,
    http: &reqwest::Client,
    exchanges: &Mutex<Vec<Exchange>>,
) -> Reply {
    let (method, path) = received.line.split_once(' ').expect("a request line");
    let question_mark = if received.query.is_empty() { "" } else { "?" };
    let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
    let mut request = http.request(method, format!("{origin}{path}{question_mark}{}", received.query));
    for name in ["authorization", "content-type", "user-agent"] {
        if let Some(value) = received.headers.get(name) {
            request = request.header(name, value);
        }
    }
    // The audience of a token is the simulated tenant, not the proxy.
    let own = format!("http://{}", received.headers["host"]);
    let body = if path == "/oauth/token" { received.body.replace(&own, origin) } else { received.body.clone() };
    let response = request.body(body).send().await.expect("the simulated tenant answers");
    let status = response.status().as_u16();
    let headers = ["content-type", "retry-after", "x-ratelimit-reset"]
        .into_iter()
        .filter_map(|name| Some((name, response.headers().get(name)?.to_str().ok()?.to_owned())))
        .collect();
    let body = response.bytes().await.expect("a whole answer").to_vec();
    if path.starts_with("/api/v2/") {
        let answer = (!body.is_empty()).then(|| serde_json::from_slice(&body).expect("JSON"));
        exchanges.lock().expect("lock").push(Exchange { request: received, status, answer });
    }
    Reply::Answer(status, headers, body)
}

/// Parses a multipart body to an object; `true` and `false` become booleans.
fn parse_multipart(boundary: &str, body: &str) -> Value {
    let mut parts = Map::new();
    for part in body.split(&format!("--{boundary}")) {
        let Some((head, value)) = part.split_once("\r\n\r\n") else { continue };
        let name = head.split("name=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a name");
        let value = value.strip_suffix("\r\n").expect("the end of a part");
        parts.insert(
            name.to_owned(),
            match value {
                "true" | "false" => json!(value == "true"),
                text => json!(text),
            },
        );
    }
    Value::Object(parts)
}

fn parse_body(request: &RecordedRequest) -> Option<Value> {
    match request.headers.get("content-type")?.split_once("boundary=") {
        Some((_, boundary)) => Some(parse_multipart(boundary, &request.body)),
        None => Some(serde_json::from_str(&request.body).expect("JSON")),
    }
}

async fn wait_for_end(client: &ManagementClient, job: &Job) -> Job {
    loop {
        let job = client.job(&job.id).await.expect("a job");
        match job.status {
            JobStatus::Pending | JobStatus::Processing => tokio::task::yield_now().await,
            _ => return job,
        }
    }
}

fn import(connection_id: &str, users: &Value) -> ImportJobRequest {
    ImportJobRequest {
        connection_id: connection_id.to_owned(),
        users: users.to_string().into(),
        upsert: false,
        external_id: Some("described".into()),
        send_completion_email: false,
    }
}

#[tokio::test]
async fn requests_and_responses_match_the_openapi_description() {
    let settings = TenantSettings { users: 300, extra_connections: 1005, ..TenantSettings::default() };
    let tenant = simulated_tenant::Tenant::start(settings).await.expect("a tenant");
    let (proxy, exchanges) = start_recording_proxy(&tenant).await;
    let credentials =
        ClientCredentials { id: tenant.client_id().to_owned(), secret: SecretString::from(tenant.client_secret()) };
    let client = quick(&ManagementClient::with_client_credentials(&proxy.host, &credentials).expect("a client"));

    // Connections: pages by number, then by checkpoint; by name and by id; their applications.
    let all = client.connections(None).await.expect("connections");
    assert!(all.len() > 1005, "{}", all.len());
    let databases = client.connections(Some("auth0")).await.expect("databases");
    assert!(databases.iter().all(|connection| connection.strategy == "auth0"));
    let unusable = |name: &str| databases.iter().find(|one| one.name == name).and_then(|one| one.unusable.as_ref());
    assert!(unusable(connections::CUSTOM_REMOTE).is_some() && unusable(connections::CUSTOM_IMPORT).is_none());
    let database = client.connection(connections::DATABASE).await.expect("by name");
    assert_eq!(client.connection(&database.id).await.expect("by id"), database);
    assert_eq!(client.importable(&database).await.expect("applications"), None);
    let disabled = client.connection(connections::DISABLED).await.expect("by name");
    assert!(client.importable(&disabled).await.expect("no applications").is_some());
    client.connection("con_0000000000000000").await.expect_err("neither id nor name");

    // Users: a search with all parameters, one user by id and by address, and refused requests.
    let search = UserSearch {
        q: format!("identities.connection:\"{}\"", connections::DATABASE),
        sort: Some(("created_at".into(), true)),
        page: 1,
        per_page: 50,
        fields: vec!["user_id".into(), "email".into()],
    };
    let page = client.users(&search).await.expect("a page");
    assert_eq!((page.start, page.users.len()), (50, 50));
    let user: Value = serde_json::from_str(page.users[0].get()).expect("a user");
    let found = client.user(user["user_id"].as_str().expect("an id")).await.expect("a user");
    let email = found["email"].as_str().expect("an address");
    assert_eq!(client.users_by_email(email).await.expect("users")[0]["user_id"], user["user_id"]);
    assert_eq!(client.user("auth0|unknown").await.expect_err("no such user").status(), 404);
    let beyond = UserSearch { page: 10, per_page: 100, ..UserSearch::default() };
    assert_eq!(client.users(&beyond).await.expect_err("beyond the thousandth user").status(), 400);

    // An import with an invalid row, one without, and refused imports.
    let rows = json!([{"email": "new@described.example"}, {"email": "no address"}]);
    let mixed = client.create_import_job(&import(&database.id, &rows)).await.expect("a job");
    let summary = wait_for_end(&client, &mixed).await.summary.expect("counts");
    assert_eq!((summary.inserted, summary.failed, summary.total), (1, 1, 2));
    assert!(matches!(client.job_errors(&mixed.id).await.expect("errors"), JobErrors::Users(users) if users.len() == 1));
    let clean = import(&database.id, &json!([{"email": "clean@described.example"}]));
    let clean = client.create_import_job(&clean).await.expect("a job");
    wait_for_end(&client, &clean).await;
    assert!(matches!(client.job_errors(&clean.id).await.expect("204"), JobErrors::None));
    let error = client.create_import_job(&import(&disabled.id, &rows)).await.expect_err("disabled");
    assert_eq!(error.body().error_code, "connection_is_disabled");
    assert_eq!(client.job("job_0000000000000000").await.expect_err("no job").status(), 404);

    // An export, whole and by connection; its file.
    let export = ExportJobRequest {
        connection_id: Some(database.id.clone()),
        format: JobFormat::Json,
        limit: Some(20),
        fields: vec![
            ExportField { name: "user_id".into(), export_as: None },
            ExportField { name: "email".into(), export_as: Some("E-mail".into()) },
        ],
    };
    let job = client.create_export_job(&export).await.expect("a job");
    let location = wait_for_end(&client, &job).await.location.expect("a link");
    let file: Vec<_> =
        client.download(&location).await.expect("a file").bytes.try_collect().await.expect("a whole file");
    assert_eq!(file.concat()[..2], [0x1f, 0x8b], "gzip");
    client.create_export_job(&ExportJobRequest { connection_id: None, limit: None, ..export }).await.expect("a job");

    let mut covered = BTreeSet::new();
    for Exchange { request, status, answer } in exchanges.lock().expect("lock").iter() {
        let (method, path) = request.line.split_once(' ').expect("a request line");
        let sent = parse_body(request);
        if let Err(problems) = validate_request(method, path, &request.query, sent.as_ref()) {
            panic!("{} ?{}: {problems:?}", request.line, request.query);
        }
        if let Err(mut problems) = validate_response(method, path, *status, answer.as_ref()) {
            // The last page of a listing by checkpoint, which has no `next`, is also a page by number
            // without totals: the description's `oneOf` overlaps there.
            problems.retain(|problem| {
                !problem.ends_with("valid under more than one of the schemas listed in the 'oneOf' keyword")
            });
            assert!(problems.is_empty(), "{} ?{} answers {status}: {problems:?}", request.line, request.query);
        }
        let generic: Vec<_> = path
            .trim_start_matches("/api/v2/")
            .split('/')
            .map(|part| if ["con_", "job_", "auth0"].iter().any(|id| part.starts_with(id)) { "{id}" } else { part })
            .collect();
        covered.insert(format!("{method} {} {status}", generic.join("/")));
    }
    let expected = [
        "GET connections 200",
        "GET connections/{id} 200",
        "GET connections/{id} 404",
        "GET connections/{id}/clients 200",
        "GET jobs/{id} 200",
        "GET jobs/{id} 404",
        "GET jobs/{id}/errors 200",
        "GET jobs/{id}/errors 204",
        "GET users 200",
        "GET users 400",
        "GET users-by-email 200",
        "GET users/{id} 200",
        "GET users/{id} 404",
        "POST jobs/users-exports 200",
        "POST jobs/users-imports 202",
        "POST jobs/users-imports 400",
    ];
    assert_eq!(covered.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    tenant.stop().await;
}
