//! A server with a simulated tenant and an admin who is signed in: the HTTP API as a program uses it.

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

use crate::{PATIENCE, Program, free_port, sign_in};

/// `EXTENSION_SECRET` of the servers here.
pub const SECRET: &str = "4be19c7702d85fa3c6f0718d2e9a53b4";

/// The person who is signed in: an administrator of the simulated tenant.
pub fn admin() -> Person {
    people().swap_remove(0)
}

/// The claims of a session token.
fn claims(token: &str) -> Value {
    let claims = token.split('.').nth(1).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).expect("base64")).expect("claims")
}

/// A server (`LOGIN=tenant`), its tenant, which runs in this process, and a session.
#[derive(Debug)]
pub struct TestServer {
    /// The server's process.
    pub program: Program,
    /// The tenant.
    pub tenant: Arc<Tenant>,
    /// The token of the admin's session; empty without one.
    pub session: String,
    data: PathBuf,
    client: reqwest::Client,
}

impl TestServer {
    /// Starts a tenant and a server for it, and signs in. `prepare` may change the command after its settings are made.
    pub async fn start(tenant: TenantSettings, prepare: impl FnOnce(&mut Command)) -> Self {
        Self::start_without_session(tenant, prepare).await.signed_in().await
    }

    /// Starts a tenant and a server for it, and does not sign in.
    pub async fn start_without_session(tenant: TenantSettings, prepare: impl FnOnce(&mut Command)) -> Self {
        let tenant = Arc::new(Tenant::start(tenant).await.expect("the simulated tenant starts"));
        Self::open(tenant, None, free_port(), prepare).await
    }

    /// Starts a server on `port` that a proxy serves at `public`, with these settings, and signs in there.
    pub async fn behind(public: &str, port: u16, settings: &[(&str, &str)]) -> Self {
        let tenant = Tenant::start(TenantSettings { users: 20, ..TenantSettings::default() }).await;
        let tenant = Arc::new(tenant.expect("the simulated tenant starts"));
        let server = Self::open(tenant, None, port, |command| {
            command.env("PUBLIC_WT_URL", public).envs(settings.iter().copied());
        })
        .await;
        Self { session: sign_in(public, &admin()).await, ..server }
    }

    /// Starts a server for a tenant that is there already, with its state in `data`, and signs in.
    pub async fn serve(tenant: &Arc<Tenant>, data: &Path, prepare: impl FnOnce(&mut Command)) -> Self {
        Self::open(Arc::clone(tenant), Some(data), free_port(), prepare).await.signed_in().await
    }

    /// Starts a server whose `AUTH0_DOMAIN` is `domain`, where no sign-in is possible, with a session that
    /// was opened while the setting named `tenant`, and was then changed to name `domain`.
    pub async fn serve_domain(tenant: &Arc<Tenant>, data: &Path, domain: &str) -> Self {
        let before = Self::serve(tenant, data, |_| {}).await;
        let host = domain.strip_prefix("https://").unwrap_or(domain);
        let mut database = before.database().await;
        sqlx::query("UPDATE sessions SET tenant = ?").bind(host).execute(&mut database).await.expect("an update");
        database.close().await.expect("it closes");
        let mut claims = claims(&before.session);
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

    /// Where the server keeps its data unless `prepare` told it otherwise.
    pub fn data(&self) -> &Path {
        &self.data
    }

    async fn database(&self) -> SqliteConnection {
        let url = format!("sqlite://{}", self.data().join("state.sqlite").display());
        SqliteConnection::connect(&url).await.expect("the database opens")
    }

    /// Panics unless SQLite itself finds nothing wrong with the database, of a server that was killed for
    /// instance.
    pub async fn assert_intact(&self) {
        let mut connection = self.database().await;
        let said: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check").fetch_all(&mut connection).await.unwrap();
        assert_eq!(said, ["ok"]);
        let said: Vec<i64> =
            sqlx::query_scalar("SELECT 1 FROM pragma_foreign_key_check").fetch_all(&mut connection).await.unwrap();
        assert!(said.is_empty());
        connection.close().await.unwrap();
    }

    /// A request that carries the session; `path` starts with a slash.
    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method = method.parse().expect("a method");
        self.client.request(method, format!("{}{path}", self.program.address())).bearer_auth(&self.session)
    }

    /// A GET without a session.
    pub fn anonymous(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.program.address()))
    }

    /// GET of a route: status and body.
    pub async fn get(&self, path: &str) -> (u16, Value) {
        answer(self.request("GET", path)).await
    }

    /// POST of a JSON body: status and body.
    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        answer(self.request("POST", path).json(body)).await
    }

    /// Asks for an export: status and answer.
    pub async fn ask_export(&self, request: &Value) -> (u16, Value) {
        self.post("/api/jobs/export", request).await
    }

    /// Starts an export and gives its id.
    pub async fn export(&self, request: &Value) -> String {
        let (status, job) = self.ask_export(request).await;
        assert_eq!(status, 200, "{job}");
        id(&job).to_owned()
    }

    /// Asks for an import of this file: status and answer.
    pub async fn ask_import(&self, connection: &str, users: impl Into<Vec<u8>>) -> (u16, Value) {
        let file = Part::bytes(users.into()).file_name("users.json");
        let form = Form::new().text("connection_id", connection.to_owned()).part("users", file);
        answer(self.request("POST", "/api/jobs/import").multipart(form)).await
    }

    /// A job as it is now.
    pub async fn job(&self, id: &str) -> Value {
        let (status, job) = self.get(&format!("/api/jobs/{id}")).await;
        assert_eq!(status, 200, "{job}");
        job
    }

    /// Waits until a job is as asked; fails once the job has not changed for [`PATIENCE`].
    pub async fn until(&self, id: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let mut last = (Value::Null, Instant::now());
        loop {
            let job = self.job(id).await;
            if holds(&job) {
                return job;
            }
            assert!(last.1.elapsed() < PATIENCE, "nothing changes: {job}\n{}", self.program.log());
            if job != last.0 {
                last = (job, Instant::now());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until a job is over.
    pub async fn until_over(&self, id: &str) -> Value {
        self.until(id, |job| !matches!(job["status"].as_str(), Some("pending" | "processing"))).await
    }

    /// The answer to the download of a completed export, as a browser asks for it.
    pub async fn download(&self, job: &Value) -> Response {
        let location = job["location"].as_str().unwrap_or_else(|| panic!("no link: {job}"));
        let reply = self.client.get(location).send().await.expect("the server answers");
        assert_eq!(reply.status(), 200);
        reply
    }

    /// The file of a completed export.
    pub async fn file(&self, job: &Value) -> Vec<u8> {
        self.download(job).await.bytes().await.expect("a whole download").to_vec()
    }
}

/// Sends a request: status and JSON of the answer; its text where it is no JSON.
pub async fn answer(request: RequestBuilder) -> (u16, Value) {
    let reply = request.send().await.expect("the server answers");
    let status = reply.status().as_u16();
    let text = reply.text().await.expect("a body");
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// The id of a job.
pub fn id(job: &Value) -> &str {
    job["id"].as_str().unwrap_or_else(|| panic!("no job: {job}"))
}
