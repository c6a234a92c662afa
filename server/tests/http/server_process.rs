//! Starts the real binary as a server for a simulated tenant, with signed-in admins, for tests that need a separate
//! process. Also used by the benchmark of hostile transforms.

use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::RequestBuilder;
use serde_json::{Value, json};
use simulated_tenant::people::people;
use simulated_tenant::{Tenant, TenantSettings, sign_in};
use tempfile::TempDir;

/// Time limit for one step on a busy machine.
const TIMEOUT: Duration = Duration::from_mins(5);

const SECRET: &str = "4be19c7702d85fa3c6f0718d2e9a53b4";

/// A running server, which is stopped when dropped.
pub struct ServerProcess {
    child: Child,
    url: String,
    /// Session tokens, one for each account of the tenant.
    sessions: Vec<String>,
    client: reqwest::Client,
    _tenant: Tenant,
    _directory: TempDir,
}

impl ServerProcess {
    /// Starts a server for a tenant with `users` users and waits until it answers.
    pub async fn start(users: u64, settings: &[(&str, &str)]) -> Self {
        let tenant = TenantSettings { users, export_duration: Duration::from_millis(20), ..TenantSettings::default() };
        let tenant = Tenant::start(tenant).await.expect("a tenant");
        let directory = tempfile::tempdir().expect("a directory");
        let port = free_port();
        let url = format!("http://127.0.0.1:{port}");
        let child = Command::new(env!("CARGO_BIN_EXE_user-import-export"))
            .arg("serve")
            .env_clear()
            .env("PORT", port.to_string())
            .env("DATA_DIR", directory.path())
            .env("AUTH0_DOMAIN", tenant.url())
            .env("AUTH0_CLIENT_ID", tenant.client_id())
            .env("AUTH0_CLIENT_SECRET", tenant.client_secret())
            .env("LOGIN", "tenant")
            .env("LOGIN_CLIENT_ID", tenant.login_client_id())
            .env("LOGIN_CLIENT_SECRET", tenant.login_client_secret())
            .env("ADMIN_SUBJECTS", people().into_iter().map(|person| person.user_id).collect::<Vec<_>>().join(","))
            .env("EXTENSION_SECRET", SECRET)
            .env("LOG", "error")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let client = reqwest::Client::new();
        let mut process = Self { child, url, sessions: Vec::new(), client, _tenant: tenant, _directory: directory };
        let end = Instant::now() + TIMEOUT;
        while !process.is_healthy().await {
            assert!(Instant::now() < end, "{} is not healthy", process.url);
            if let Some(status) = process.child.try_wait().expect("the state of a child") {
                panic!("the server ended with {status} while it started");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for person in people() {
            process.sessions.push(sign_in(&process.url, &person).await.expect("a session"));
        }
        process
    }

    /// Returns whether `/healthz` reports that the server is healthy.
    pub async fn is_healthy(&self) -> bool {
        let reply = self.client.get(format!("{}/healthz", self.url)).send().await;
        reply.is_ok_and(|reply| reply.status().is_success())
    }

    /// Returns a request with the first account's session.
    pub fn post(&self, path: &str) -> RequestBuilder {
        self.post_of(0, path)
    }

    /// Returns a request with the session of an account.
    pub fn post_of(&self, person: usize, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.url)).bearer_auth(&self.sessions[person])
    }

    /// Returns the JSON response of a path.
    pub async fn get(&self, path: &str) -> Value {
        let reply = self.client.get(format!("{}{path}", self.url)).bearer_auth(&self.sessions[0]).send().await;
        reply.expect("an answer").json().await.expect("JSON")
    }

    /// Returns the resident memory of the process in bytes; `None` if the system does not report it.
    pub fn memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        let kibibytes: u64 = line.split_ascii_whitespace().nth(1)?.parse().ok()?;
        Some(kibibytes << 10)
    }
}

/// Returns a port without a listener.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // Both fail only if the process has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Expressions that never end or exhaust a resource, each in a different way.
pub const HOSTILE: &[&str] = &[
    "(() => { while (true) {} })()",
    "(() => { const all = []; for (;;) all.push('x'.repeat(1e5) + all.length) })()",
    "/^(a+)+$/.test('a'.repeat(40) + '!')",
    "(function deeper(n) { return 1 + deeper(n + 1) })(0)",
    "'x'.repeat(3e6)",
    "(() => { Array.prototype.map = null; throw user.email })()",
    "compatibility(\"loop\")",
    "compatibility(\"memory\")",
    "compatibility(\"panic\")",
];

/// Returns the request of a preview or an export in which all columns are hostile.
pub fn hostile_columns() -> Value {
    let fields = HOSTILE.iter().enumerate().map(|(at, name)| json!({"name": name, "export_as": format!("c{at}")}));
    json!({"format": "csv", "fields": fields.collect::<Vec<_>>()})
}

/// Returns a `TRANSFORMS_DIR` with a transform that fails in as many ways.
pub fn hostile_transforms() -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let transform = concat!(env!("CARGO_MANIFEST_DIR"), "/../transforms-sdk/compatibility/v1.wasm");
    std::fs::copy(transform, directory.path().join("compatibility.wasm")).expect("copied");
    directory
}
