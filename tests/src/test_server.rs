//! A server with a simulated tenant and a signed-in admin, for tests of the HTTP API.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, Header};
use reqwest::multipart::{Form, Part};
use reqwest::{RequestBuilder, Response};
use serde_json::Value;
use simulated_tenant::people::{Person, people};
use simulated_tenant::{Tenant, TenantSettings};
use sqlx::{Connection, SqliteConnection};

use crate::{Program, TIMEOUT, free_port, sign_in};

/// The `EXTENSION_SECRET` of these servers.
pub const SECRET: &str = "4be19c7702d85fa3c6f0718d2e9a53b4";

/// Returns the user who is signed in: an administrator of the simulated tenant.
pub fn admin() -> Person {
    people().swap_remove(0)
}

/// Decodes the claims of a session token without verifying it.
fn decode_claims(token: &str) -> Value {
    let claims = token.split('.').nth(1).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).expect("base64")).expect("claims")
}

/// A server with `LOGIN=tenant`, its tenant, which runs in this process, and a session.
#[derive(Debug)]
pub struct TestServer {
    /// The server's process.
    pub program: Program,
    /// The tenant.
    pub tenant: Arc<Tenant>,
    /// The session token of the admin; empty if the admin is not signed in.
    pub session: String,
    data: PathBuf,
    client: reqwest::Client,
}

impl TestServer {
    /// Starts a tenant and a server for it, and signs in. `prepare` may change the server's settings.
    pub async fn start(tenant: TenantSettings, prepare: impl FnOnce(&mut Command)) -> Self {
        Self::start_signed_out(tenant, prepare).await.signed_in().await
    }

    /// Starts a tenant and a server for it without signing in.
    pub async fn start_signed_out(tenant: TenantSettings, prepare: impl FnOnce(&mut Command)) -> Self {
        let tenant = Arc::new(Tenant::start(tenant).await.expect("the simulated tenant starts"));
        Self::open(tenant, None, free_port(), prepare).await
    }

    /// Starts a server on `port` behind a proxy at the URL `public`, with these settings, and signs in through it.
    pub async fn start_behind_proxy(public: &str, port: u16, settings: &[(&str, &str)]) -> Self {
        let tenant = Tenant::start(TenantSettings { users: 20, ..TenantSettings::default() }).await;
        let tenant = Arc::new(tenant.expect("the simulated tenant starts"));
        let server = Self::open(tenant, None, port, |command| {
            command.env("PUBLIC_WT_URL", public).envs(settings.iter().copied());
        })
        .await;
        Self { session: sign_in(public, &admin()).await, ..server }
    }

    /// Starts a server for a running tenant, with the data directory `data`, and signs in.
    pub async fn start_for_tenant(tenant: &Arc<Tenant>, data: &Path, prepare: impl FnOnce(&mut Command)) -> Self {
        Self::open(Arc::clone(tenant), Some(data), free_port(), prepare).await.signed_in().await
    }

    /// Starts a server whose `AUTH0_DOMAIN` is `domain`, where no sign-in is possible. To get a session anyway, this
    /// signs in at `tenant` first, and then rewrites the stored session and its token to `domain`.
    pub async fn start_for_domain(tenant: &Arc<Tenant>, data: &Path, domain: &str) -> Self {
        let before = Self::start_for_tenant(tenant, data, |_| {}).await;
        let host = domain.strip_prefix("https://").unwrap_or(domain);
        let mut database = before.database().await;
        sqlx::query("UPDATE sessions SET tenant = ?").bind(host).execute(&mut database).await.expect("an update");
        database.close().await.expect("the database closes");
        let mut claims = decode_claims(&before.session);
        drop(before);
        let server = Self::open(Arc::clone(tenant), Some(data), free_port(), |command| {
            command.env("AUTH0_DOMAIN", domain).env_remove("SSL_CERT_FILE");
        })
        .await;
        claims["tenant"] = host.into();
        claims["iss"] = server.program.address().into();
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        let session = jsonwebtoken::encode(&Header::default(), &claims, &key).expect("a token");
        Self { session, ..server }
    }

    async fn open(tenant: Arc<Tenant>, data: Option<&Path>, port: u16, prepare: impl FnOnce(&mut Command)) -> Self {
        let address = format!("http://127.0.0.1:{port}");
        let program = Program::start(&address, |command| {
            command.arg("serve").env("PORT", port.to_string()).env("EXTENSION_SECRET", SECRET);
            command.env("AUTH0_DOMAIN", tenant.url()).env("AUTH0_RTA", tenant.url());
            command.env("AUTH0_CLIENT_ID", tenant.client_id()).env("AUTH0_CLIENT_SECRET", tenant.client_secret());
            command.env("LOGIN_CLIENT_ID", tenant.login_client_id());
            command.env("LOGIN_CLIENT_SECRET", tenant.login_client_secret());
            command.env("LOGIN", "tenant").env("ADMIN_SUBJECTS", admin().user_id);
            if let Some(data) = data {
                command.env("DATA_DIR", data);
            }
            prepare(command);
        })
        .await;
        let data = data.map_or_else(|| program.directory().join("data"), Path::to_owned);
        let client = reqwest::Client::builder().no_proxy().build().expect("an HTTP client");
        Self { session: String::new(), program, tenant, data, client }
    }

    async fn signed_in(self) -> Self {
        Self { session: sign_in(self.program.address(), &admin()).await, ..self }
    }

    /// Returns the data directory, unless `prepare` changed it.
    pub fn data(&self) -> &Path {
        &self.data
    }

    async fn database(&self) -> SqliteConnection {
        let url = format!("sqlite://{}", self.data().join("state.sqlite").display());
        SqliteConnection::connect(&url).await.expect("the database opens")
    }

    /// Asserts that the database passes SQLite's integrity checks, after the server was killed for instance.
    pub async fn assert_database_intact(&self) {
        let mut connection = self.database().await;
        let result: Vec<String> =
            sqlx::query_scalar("PRAGMA integrity_check").fetch_all(&mut connection).await.unwrap();
        assert_eq!(result, ["ok"]);
        let violations: Vec<i64> =
            sqlx::query_scalar("SELECT 1 FROM pragma_foreign_key_check").fetch_all(&mut connection).await.unwrap();
        assert!(violations.is_empty());
        connection.close().await.unwrap();
    }

    /// Returns a request with the session token; `path` starts with a slash.
    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method = method.parse().expect("a method");
        self.client.request(method, format!("{}{path}", self.program.address())).bearer_auth(&self.session)
    }

    /// Returns a GET request without a session.
    pub fn anonymous(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.program.address()))
    }

    /// Sends a GET request. Returns status and body.
    pub async fn get(&self, path: &str) -> (u16, Value) {
        send(self.request("GET", path)).await
    }

    /// Sends a POST request with a JSON body. Returns status and body.
    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        send(self.request("POST", path).json(body)).await
    }

    /// Requests an export. Returns status and body.
    pub async fn request_export(&self, request: &Value) -> (u16, Value) {
        self.post("/api/jobs/export", request).await
    }

    /// Starts an export and returns the job's id.
    pub async fn start_export(&self, request: &Value) -> String {
        let (status, job) = self.request_export(request).await;
        assert_eq!(status, 200, "{job}");
        job_id(&job).to_owned()
    }

    /// Requests an import of this file. Returns status and body.
    pub async fn request_import(&self, connection: &str, users: impl Into<Vec<u8>>) -> (u16, Value) {
        let file = Part::bytes(users.into()).file_name("users.json");
        let form = Form::new().text("connection_id", connection.to_owned()).part("users", file);
        send(self.request("POST", "/api/jobs/import").multipart(form)).await
    }

    /// Returns a job in its current state.
    pub async fn job(&self, id: &str) -> Value {
        let (status, job) = self.get(&format!("/api/jobs/{id}")).await;
        assert_eq!(status, 200, "{job}");
        job
    }

    /// Waits until a job satisfies a condition, and returns it.
    ///
    /// # Panics
    /// If the job does not change for [`TIMEOUT`].
    pub async fn wait_for_job(&self, id: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let mut last = (Value::Null, Instant::now());
        loop {
            let job = self.job(id).await;
            if condition(&job) {
                return job;
            }
            assert!(last.1.elapsed() < TIMEOUT, "the job does not change: {job}\n{}", self.program.log());
            if job != last.0 {
                last = (job, Instant::now());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until a job is completed, failed or canceled, and returns it.
    pub async fn wait_until_finished(&self, id: &str) -> Value {
        self.wait_for_job(id, |job| !matches!(job["status"].as_str(), Some("pending" | "processing"))).await
    }

    /// Downloads the file of a completed export, without the session as a browser does. Returns the response.
    pub async fn download(&self, job: &Value) -> Response {
        let location = job["location"].as_str().unwrap_or_else(|| panic!("no link: {job}"));
        let reply = self.client.get(location).send().await.expect("the server answers");
        assert_eq!(reply.status(), 200);
        reply
    }

    /// Returns the content of the file of a completed export.
    pub async fn download_bytes(&self, job: &Value) -> Vec<u8> {
        self.download(job).await.bytes().await.expect("a whole download").to_vec()
    }
}

/// Sends a request. Returns the status and the body as JSON, or as a JSON string if it is not JSON.
pub async fn send(request: RequestBuilder) -> (u16, Value) {
    let reply = request.send().await.expect("the server answers");
    let status = reply.status().as_u16();
    let text = reply.text().await.expect("a body");
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// Returns the id of a job.
pub fn job_id(job: &Value) -> &str {
    job["id"].as_str().unwrap_or_else(|| panic!("not a job: {job}"))
}
