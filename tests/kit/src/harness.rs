//! What a test does with a server: the same verbs for an application in this process and for a process.

use std::time::{Duration, Instant};

use serde_json::Value;
use simulated_tenant::Tenant;

use crate::reply::Reply;
use crate::request::{Part, Request};
use crate::waiting::TIMEOUT;

/// Pause between two looks at a job.
const PAUSE: Duration = Duration::from_millis(20);

/// A server that answers requests.
pub trait Backend {
    /// Returns the base URL without a trailing slash.
    fn base_url(&self) -> &str;

    /// Sends a request and reads the whole response. Redirects are not followed.
    fn send(&self, request: Request) -> impl Future<Output = Reply>;
}

/// A simulated tenant, a server for it, and the session of an admin.
#[derive(Debug)]
pub struct Harness<B> {
    /// The tenant, which runs in this process.
    pub tenant: Tenant,
    /// The server: an [`Application`](crate::Application) in this process, or a [`Program`](crate::Program).
    pub program: B,
    /// The session token; empty if no admin is signed in.
    pub session: String,
    /// The settings that the server was started with, without those that `prepare` changed.
    pub settings: Vec<(String, String)>,
}

impl<B: Backend> Harness<B> {
    /// Continues with another session.
    #[must_use]
    pub fn with_session(self, session: String) -> Self {
        Self { session, ..self }
    }

    /// Sends a request with the session.
    pub async fn send(&self, request: Request) -> Reply {
        self.program.send(request.bearer(&self.session)).await
    }

    /// Sends a GET request with the session.
    pub async fn get(&self, path: &str) -> Reply {
        self.send(Request::get(path)).await
    }

    /// Sends a POST request with the session and a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(Request::post(path).json(body)).await
    }

    /// Sends a PUT request with the session and a JSON body.
    pub async fn put(&self, path: &str, body: &Value) -> Reply {
        self.send(Request::put(path).json(body)).await
    }

    /// Sends a DELETE request with the session.
    pub async fn delete(&self, path: &str) -> Reply {
        self.send(Request::delete(path)).await
    }

    /// Sends a form with the session.
    pub async fn form(&self, path: &str, parts: &[Part<'_>]) -> Reply {
        self.send(Request::post(path).form(parts)).await
    }

    /// Requests a preview.
    pub async fn preview(&self, request: &Value) -> Reply {
        self.post("/api/preview", request).await
    }

    /// Requests an export.
    pub async fn request_export(&self, request: &Value) -> Reply {
        self.post("/api/jobs/export", request).await
    }

    /// Starts an export and returns the job's id.
    pub async fn start_export(&self, request: &Value) -> String {
        self.request_export(request).await.job_id()
    }

    /// Runs an export and returns the finished job.
    pub async fn export(&self, request: &Value) -> Value {
        self.wait_until_finished(&self.start_export(request).await).await
    }

    /// Requests an import of `users` with these other fields of the form; without a part `users` if it is `None`.
    pub async fn upload(&self, fields: &[(&str, &str)], users: Option<&str>) -> Reply {
        let fields = fields.iter().map(|(name, value)| (*name, None, *value));
        let parts: Vec<Part<'_>> = fields.chain(users.map(|users| ("users", Some("users.json"), users))).collect();
        self.form("/api/jobs/import", &parts).await
    }

    /// Requests an import into the tenant's database connection, with these other fields of the form.
    pub async fn request_import(&self, users: &str, fields: &[(&str, &str)]) -> Reply {
        let connection = self.tenant.database_connection_id();
        self.upload(&[&[("connection_id", connection.as_str())], fields].concat(), Some(users)).await
    }

    /// Starts an import into the tenant's database connection and returns the job's id.
    pub async fn start_import(&self, users: &str, fields: &[(&str, &str)]) -> String {
        self.request_import(users, fields).await.job_id()
    }

    /// Runs an import into the tenant's database connection and returns the finished job.
    pub async fn import(&self, users: &str, fields: &[(&str, &str)]) -> Value {
        self.wait_until_finished(&self.start_import(users, fields).await).await
    }

    /// Returns a job in its current state.
    pub async fn job(&self, id: &str) -> Value {
        self.get(&format!("/api/jobs/{id}")).await.accepted()
    }

    /// Returns the jobs of the history, oldest first.
    pub async fn history(&self) -> Value {
        self.get("/api/history").await.accepted()["jobs"].take()
    }

    /// Requests that a job is canceled.
    pub async fn cancel(&self, id: &str) -> Reply {
        self.send(Request::post(&format!("/api/jobs/{id}/cancel"))).await
    }

    /// Requests that a failed or canceled job continues.
    pub async fn resume(&self, id: &str) -> Reply {
        self.send(Request::post(&format!("/api/jobs/{id}/resume"))).await
    }

    /// Requests an import of the failed rows of another one.
    pub async fn retry(&self, id: &str) -> Reply {
        self.send(Request::post(&format!("/api/jobs/{id}/retry"))).await
    }

    /// Waits until a job satisfies a condition, and returns it.
    ///
    /// # Panics
    /// If the job ends before that, or does not change for [`TIMEOUT`].
    pub async fn wait_for_job(&self, id: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let mut last = (Value::Null, Instant::now());
        loop {
            let job = self.job(id).await;
            if condition(&job) {
                return job;
            }
            assert!(!is_finished(&job), "the job ended before it satisfied the condition: {job}");
            assert!(last.1.elapsed() < TIMEOUT, "the job does not change: {job}");
            if job != last.0 {
                last = (job, Instant::now());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits until a job is completed, failed or canceled, and returns it.
    pub async fn wait_until_finished(&self, id: &str) -> Value {
        self.wait_for_job(id, is_finished).await
    }

    /// Requests the file at a job's `location` without the session, like a browser.
    pub async fn download(&self, job: &Value) -> Reply {
        self.program.send(Request::get(&self.download_path(job))).await
    }

    /// Returns the path of a job's `location` below the base URL, with its ticket.
    pub fn download_path(&self, job: &Value) -> String {
        let location = job["location"].as_str().unwrap_or_else(|| panic!("no link: {job}"));
        let path = location.strip_prefix(self.program.base_url());
        path.unwrap_or_else(|| panic!("not below the base URL: {location}")).to_owned()
    }

    /// Returns how often the tenant received this request; `path` is a part of its path.
    pub fn request_count(&self, method: &str, path: &str) -> usize {
        let requests = self.tenant.control().requests();
        requests.iter().filter(|request| request.method == method && request.path.contains(path)).count()
    }
}

fn is_finished(job: &Value) -> bool {
    !matches!(job["status"].as_str(), Some("pending" | "processing"))
}

/// Returns the id of a job.
pub fn job_id(job: &Value) -> &str {
    job["id"].as_str().unwrap_or_else(|| panic!("not a job: {job}"))
}
