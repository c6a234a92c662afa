//! The HTTP API as a program uses it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use reqwest::multipart::{Form, Part};
use reqwest::{RequestBuilder, Response};
use serde_json::Value;
use simulated_tenant::Tenant;

use crate::installation::{Program, free_port};
use crate::session;

/// `EXTENSION_SECRET` of the servers here.
pub const SECRET: &str = "a secret of more than thirty-two bytes";

/// Who is signed in.
pub const SUBJECT: &str = "auth0|ada";

/// A server for a tenant, with an admin who is signed in.
#[derive(Debug)]
pub struct Desk {
    /// The process.
    pub program: Program,
    /// The token of the admin's session.
    pub session: String,
    client: reqwest::Client,
}

impl Desk {
    /// Starts `serve` for this tenant with its state in `data`; jobs use client credentials. `prepare` may
    /// change how it is started.
    pub async fn start(tenant: &Tenant, data: &Path, prepare: impl FnOnce(&mut Command)) -> Self {
        let port = free_port();
        let address = format!("http://127.0.0.1:{port}");
        let program = Program::start(&address, |command| {
            command.arg("serve").env("PORT", port.to_string()).env("DATA_DIR", data).env("LOGIN", "tenant");
            command.env("AUTH0_DOMAIN", tenant.url()).env("ADMIN_SUBJECTS", SUBJECT);
            command.env("AUTH0_CLIENT_ID", tenant.client_id()).env("AUTH0_CLIENT_SECRET", tenant.client_secret());
            command.env("EXTENSION_SECRET", SECRET);
            prepare(command);
        })
        .await;
        let session = session(&address, SECRET, SUBJECT);
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { program, session, client }
    }

    /// A request that carries the session.
    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method = method.parse().expect("a method");
        self.client.request(method, format!("{}{path}", self.program.address())).bearer_auth(&self.session)
    }

    /// A request without a session.
    pub fn anonymous(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.program.address()))
    }

    /// What a path holds.
    pub async fn get(&self, path: &str) -> Value {
        json(self.request("GET", path).send().await.expect("an answer")).await.1
    }

    /// Starts an export: status and answer.
    pub async fn export(&self, request: &Value) -> (u16, Value) {
        json(self.request("POST", "/api/jobs/export").json(request).send().await.expect("an answer")).await
    }

    /// Starts an import of this file: status and answer.
    pub async fn import(&self, connection: &str, users: impl Into<Vec<u8>>) -> (u16, Value) {
        let file = Part::bytes(users.into()).file_name("users.json");
        let form = Form::new().text("connection_id", connection.to_owned()).part("users", file);
        json(self.request("POST", "/api/jobs/import").multipart(form).send().await.expect("an answer")).await
    }

    /// Waits until a job is as asked.
    pub async fn until(&self, id: &str, holds: impl Fn(&Value) -> bool) -> Value {
        loop {
            let job = self.get(&format!("/api/jobs/{id}")).await;
            if holds(&job) {
                return job;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until a job is over.
    pub async fn until_over(&self, id: &str) -> Value {
        self.until(id, |job| !matches!(job["status"].as_str(), Some("pending" | "processing"))).await
    }

    /// Downloads the file of a completed export.
    pub async fn download(&self, job: &Value) -> Vec<u8> {
        let location = job["location"].as_str().unwrap_or_else(|| panic!("no link: {job}"));
        let reply = self.client.get(location).send().await.expect("an answer");
        assert!(reply.status().is_success(), "{}", reply.status());
        reply.bytes().await.expect("the file").to_vec()
    }
}

/// Status and JSON of an answer; its text where it is no JSON.
pub async fn json(reply: Response) -> (u16, Value) {
    let status = reply.status().as_u16();
    let text = reply.text().await.expect("a body");
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// The id of a job.
pub fn id(job: &Value) -> &str {
    job["id"].as_str().unwrap_or_else(|| panic!("no job: {job}"))
}
