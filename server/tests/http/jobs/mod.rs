//! Tests of exports, imports and history against a simulated tenant, including the requests to it.

mod concurrent_state_changes;
mod damaged_exports;
mod encryption_at_rest;
mod exports;
mod imports;
mod injection;
mod input_files;
mod job_tokens;
mod limits;
mod original_client;
mod presets;
mod retention;

use std::time::{Duration, Instant};

use actix_web::test::TestRequest;
use serde_json::{Value, json};
use simulated_tenant::{Tenant, TenantSettings};
use tempfile::TempDir;

use crate::test_server::{Reply, Server, TIMEOUT};

const BASE: &str = "https://tools.example/ext";
const DATABASE: &str = "Username-Password-Authentication";

/// A part of a form: its name, the name of its file, its content.
type Part<'a> = (&'a str, Option<&'a str>, &'a str);

/// A simulated tenant, an application for it, and the session of an admin.
struct Harness {
    tenant: Tenant,
    server: Server,
    settings: Vec<(String, String)>,
    session: String,
}

/// Starts a tenant with fast jobs.
async fn tenant(users: u64) -> Tenant {
    let settings = TenantSettings {
        users,
        import_duration: Duration::from_millis(20),
        export_duration: Duration::from_millis(20),
        ..TenantSettings::default()
    };
    Tenant::start(settings).await.expect("a tenant")
}

impl Harness {
    /// Starts an application with `LOGIN=tenant` for a tenant with `users` users.
    async fn new(users: u64) -> Self {
        Self::with(users, &[]).await
    }

    async fn with(users: u64, settings: &[(&str, &str)]) -> Self {
        let tenant = tenant(users).await;
        let url = tenant.url();
        let own = [
            ("AUTH0_DOMAIN", url.as_str()),
            ("LOGIN", "tenant"),
            ("ADMIN_SUBJECTS", "auth0|ada,auth0|bob,auth0|grace"),
            ("AUTH0_CLIENT_ID", tenant.client_id()),
            ("AUTH0_CLIENT_SECRET", tenant.client_secret()),
        ];
        let all: Vec<(&str, &str)> = own.iter().chain(settings).copied().collect();
        Self::start(tenant.clone(), &all, None).await
    }

    /// Starts an application with these settings. `access_token` is the admin's token with `LOGIN=extension`.
    async fn start(tenant: Tenant, settings: &[(&str, &str)], access_token: Option<&str>) -> Self {
        let server = Server::new(BASE, settings).await;
        let session = server.sign_in("auth0|ada", access_token).await;
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { tenant, server, settings, session }
    }

    /// Restarts the application.
    async fn restart(self) -> Self {
        self.restart_with(&[]).await
    }

    /// Restarts the application with changed settings.
    async fn restart_with(self, changes: &[(&str, &str)]) -> Self {
        let Self { tenant, server, mut settings, session } = self;
        settings.extend(changes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let directory: TempDir = server.stop().await;
        let pairs: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let server = Server::within(directory, BASE, &pairs).await;
        server.app.jobs.recover().await.expect("jobs are taken up");
        Self { tenant, server, settings, session }
    }

    async fn call(&self, request: TestRequest) -> Reply {
        self.server.call(request.insert_header(("authorization", format!("Bearer {}", self.session)))).await
    }

    async fn get(&self, path: &str) -> Reply {
        self.call(TestRequest::get().uri(&format!("/ext{path}"))).await
    }

    async fn post(&self, path: &str) -> Reply {
        self.call(TestRequest::post().uri(&format!("/ext{path}"))).await
    }

    /// Starts an export.
    async fn export(&self, request: &Value) -> Reply {
        self.call(TestRequest::post().uri("/ext/api/jobs/export").set_json(request)).await
    }

    /// Starts an import of a file into a connection, with further parts.
    async fn import(&self, connection_id: &str, users: &str, parts: &[(&str, &str)]) -> Reply {
        let mut fields = vec![("connection_id", connection_id)];
        fields.extend(parts);
        self.upload(&fields, Some(users)).await
    }

    async fn upload(&self, fields: &[(&str, &str)], users: Option<&str>) -> Reply {
        let fields = fields.iter().map(|(name, value)| (*name, None, *value));
        let parts: Vec<Part<'_>> = fields.chain(users.map(|users| ("users", Some("users.json"), users))).collect();
        self.form("/api/jobs/import", &parts).await
    }

    /// Sends a form.
    async fn form(&self, path: &str, parts: &[Part<'_>]) -> Reply {
        self.call(Self::form_of(path, parts)).await
    }

    /// A form to be sent.
    fn form_of(path: &str, parts: &[Part<'_>]) -> TestRequest {
        const BOUNDARY: &str = "----boundary-of-the-tests";
        let mut body = String::new();
        for (name, file, content) in parts {
            let file = file.map_or(String::new(), |file| format!("; filename=\"{file}\""));
            for piece in ["--", BOUNDARY, "\r\nContent-Disposition: form-data; name=\"", name, "\"", &file] {
                body.push_str(piece);
            }
            body.extend(["\r\n\r\n", content, "\r\n"]);
        }
        body.extend(["--", BOUNDARY, "--\r\n"]);
        TestRequest::post()
            .uri(&format!("/ext{path}"))
            .insert_header(("content-type", format!("multipart/form-data; boundary={BOUNDARY}")))
            .set_payload(body)
    }

    fn database(&self) -> String {
        self.tenant.database_connection_id()
    }

    /// Polls a job until it meets a condition.
    async fn poll_until(&self, id: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + TIMEOUT;
        loop {
            let reply = self.get(&format!("/api/jobs/{id}")).await;
            assert_eq!(reply.status, 200, "{}", reply.body);
            let job = reply.json();
            if holds(&job) {
                return job;
            }
            assert!(
                !matches!(job["status"].as_str(), Some("completed" | "failed" | "canceled" | "expired")),
                "over before it held: {job}"
            );
            assert!(Instant::now() < end, "it does not hold: {job}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn poll_until_over(&self, id: &str) -> Value {
        self.poll_until(id, |job| !matches!(job["status"].as_str(), Some("pending" | "processing"))).await
    }

    /// Waits for the end of the job that was started with this reply.
    async fn wait_for_end(&self, reply: &Reply) -> Value {
        assert_eq!(reply.status, 200, "{}", reply.body);
        let job = reply.json();
        self.poll_until_over(id(&job)).await
    }

    /// Downloads the file at a job's `location` without an `Authorization` header, like a browser.
    async fn download(&self, job: &Value) -> Reply {
        let location = job["location"].as_str().unwrap_or_else(|| panic!("no link: {job}"));
        let path = location.strip_prefix("https://tools.example").expect("a link below the base URL");
        self.server.get(path).await
    }

    /// Returns how often the tenant received this request.
    fn request_count(&self, method: &str, path: &str) -> usize {
        let requests = self.tenant.control().requests();
        requests.iter().filter(|request| request.method == method && request.path.contains(path)).count()
    }
}

fn id(job: &Value) -> &str {
    job["id"].as_str().expect("an id")
}

/// Returns valid users.
fn valid_users(count: u32) -> Vec<Value> {
    (0..count)
        .map(|number| json!({"email": format!("new-{number}@example.com"), "app_metadata": {"number": number}}))
        .collect()
}
