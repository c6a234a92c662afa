//! A server in a process of its own, with a simulated tenant and a signed-in admin.

use std::path::{Path, PathBuf};
use std::process::Command;

use jsonwebtoken::Algorithm;
use reqwest::RequestBuilder;
use serde_json::Value;
use simulated_tenant::{Tenant, TenantSettings};
use sqlx::{Connection, SqliteConnection};

use crate::builder::TestKit;
pub use crate::harness::job_id;
use crate::harness::{Backend, Harness};
use crate::program::{Program, read};
use crate::reply::Reply;
pub use crate::tenant::admin;
pub use crate::tokens::SECRET;
use crate::tokens::{decode_claims, sign_token};

/// A server with `LOGIN=tenant`, its tenant, which runs in this process, and a session.
pub type TestServer = Harness<Program>;

impl TestServer {
    /// Starts a tenant and a server for it, and signs in. `prepare` may change the server's settings.
    pub async fn start(tenant: TenantSettings, prepare: impl FnOnce(&mut Command)) -> Self {
        TestKit::new(tenant).prepare(prepare).process().await
    }

    /// Starts a tenant and a server for it without signing in.
    pub async fn start_signed_out(tenant: TenantSettings, prepare: impl FnOnce(&mut Command)) -> Self {
        TestKit::new(tenant).prepare(prepare).signed_out().process().await
    }

    /// Starts a server for a running tenant, with the data directory `data`, and signs in.
    pub async fn start_for_tenant(tenant: &Tenant, data: &Path, prepare: impl FnOnce(&mut Command)) -> Self {
        TestKit::for_tenant(tenant).data(data).prepare(prepare).process().await
    }

    /// Starts a server whose `AUTH0_DOMAIN` is `domain`, where no sign-in is possible. To get a session anyway, this
    /// signs in at `tenant` first, and then rewrites the stored session and its token to `domain`.
    pub async fn start_for_domain(tenant: &Tenant, data: &Path, domain: &str) -> Self {
        let before = Self::start_for_tenant(tenant, data, |_| {}).await;
        let host = domain.strip_prefix("https://").unwrap_or(domain);
        let mut database = before.database().await;
        sqlx::query("UPDATE sessions SET tenant = ?").bind(host).execute(&mut database).await.expect("an update");
        database.close().await.expect("the database closes");
        let mut claims = decode_claims(&before.session);
        drop(before);
        let kit = TestKit::for_tenant(tenant).data(data).signed_out().setting("AUTH0_DOMAIN", domain);
        let prepare = |command: &mut Command| {
            command.env_remove("SSL_CERT_FILE");
        };
        let server = kit.prepare(prepare).process().await;
        claims["tenant"] = host.into();
        claims["iss"] = server.program.address().into();
        server.with_session(sign_token(&claims, Algorithm::HS256, SECRET))
    }

    /// Returns the data directory.
    pub fn data(&self) -> PathBuf {
        self.program.data()
    }

    async fn database(&self) -> SqliteConnection {
        let url = format!("sqlite://{}", self.data().join("state.sqlite").display());
        SqliteConnection::connect(&url).await.expect("the database opens")
    }

    /// Opens a transaction that reads the database. Until it is dropped, every change needs more space on the disk,
    /// because the server cannot reuse its write-ahead log.
    pub async fn keep_write_ahead_log(&self) -> impl Sized + use<> {
        let mut connection = self.database().await;
        sqlx::query("BEGIN").execute(&mut connection).await.expect("a transaction");
        let jobs: i64 = sqlx::query_scalar("SELECT count(*) FROM jobs").fetch_one(&mut connection).await.expect("jobs");
        (connection, jobs)
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
        let url = format!("{}{path}", self.program.base_url());
        self.program.client.request(method, url).bearer_auth(&self.session)
    }

    /// Returns a GET request without a session.
    pub fn anonymous(&self, path: &str) -> RequestBuilder {
        self.program.client.get(format!("{}{path}", self.program.base_url()))
    }

    /// Returns the content of the file of a completed export, which may be compressed.
    pub async fn download_bytes(&self, job: &Value) -> Vec<u8> {
        let reply = self.anonymous(&self.download_path(job)).send().await.expect("the server answers");
        assert_eq!(reply.status(), 200);
        reply.bytes().await.expect("a whole download").to_vec()
    }
}

/// Sends a request and reads the whole response.
pub async fn send(request: RequestBuilder) -> Reply {
    read(request).await
}
