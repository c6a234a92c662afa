//! A server with a simulated tenant and an admin who is signed in: the HTTP API without a browser.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use simulated_tenant::{Tenant, TenantSettings};

use crate::{Program, free_port};

const SECRET: &str = "a secret of more than thirty-two bytes";
const ADMIN: &str = "auth0|ada";

/// A server (`LOGIN=tenant`), its tenant, which runs in this process, and a session.
#[derive(Debug)]
pub struct Desk {
    /// The server's process.
    pub program: Program,
    /// The tenant.
    pub tenant: Tenant,
    data: PathBuf,
    session: String,
    http: reqwest::Client,
}

/// A session as the login makes it, good for a day.
fn session(base: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_secs();
    let claims = json!({
        "sub": ADMIN, "email": "ada@example.com", "iss": base, "aud": "urn:user-import-export-extension",
        "iat": now, "exp": now + 86_400, "jti": "the session of these tests",
    });
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).expect("a token")
}

impl Desk {
    /// Starts both. `prepare` may change the command after its settings are made.
    pub async fn start(tenant: TenantSettings, prepare: impl FnOnce(&mut Command)) -> Self {
        let tenant = Tenant::start(tenant).await.expect("the simulated tenant starts");
        let port = free_port();
        let base = format!("http://127.0.0.1:{port}");
        let program = Program::start(&base, |command| {
            command.arg("serve").env("PORT", port.to_string()).env("EXTENSION_SECRET", SECRET);
            command.env("AUTH0_DOMAIN", tenant.url()).env("AUTH0_RTA", tenant.url());
            command.env("AUTH0_CLIENT_ID", tenant.client_id()).env("AUTH0_CLIENT_SECRET", tenant.client_secret());
            command.env("LOGIN", "tenant").env("ADMIN_SUBJECTS", ADMIN);
            prepare(command);
        })
        .await;
        let data = program.directory().join("data");
        let http = reqwest::Client::builder().no_proxy().build().expect("an HTTP client");
        Self { program, tenant, data, session: session(&base), http }
    }

    /// Where the server keeps its data unless it was told otherwise.
    pub fn data(&self) -> &PathBuf {
        &self.data
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> (u16, Value) {
        let reply = request.bearer_auth(&self.session).send().await.expect("the server answers");
        let status = reply.status().as_u16();
        (status, reply.json().await.unwrap_or_default())
    }

    /// GET of a route, which starts with a slash: status and body.
    pub async fn get(&self, path: &str) -> (u16, Value) {
        self.answer(self.http.get(format!("{}{path}", self.program.address()))).await
    }

    /// POST of a JSON body: status and body.
    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.answer(self.http.post(format!("{}{path}", self.program.address())).json(body)).await
    }

    /// Starts an export and gives its id.
    pub async fn export(&self, request: &Value) -> String {
        let (status, job) = self.post("/api/jobs/export", request).await;
        assert_eq!(status, 200, "{job}");
        job["id"].as_str().expect("an id").to_owned()
    }

    /// A job as it is now.
    pub async fn job(&self, id: &str) -> Value {
        let (status, job) = self.get(&format!("/api/jobs/{id}")).await;
        assert_eq!(status, 200, "{job}");
        job
    }

    /// Waits until a job is over.
    pub async fn until_over(&self, id: &str) -> Value {
        loop {
            let job = self.job(id).await;
            if !matches!(job["status"].as_str(), Some("pending" | "processing")) {
                return job;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The answer to the download of a completed export, as a browser asks for it.
    pub async fn download(&self, job: &Value) -> reqwest::Response {
        let location = job["location"].as_str().unwrap_or_else(|| panic!("no link: {job}"));
        let reply = self.http.get(location).send().await.expect("the server answers");
        assert_eq!(reply.status(), 200);
        reply
    }
}
