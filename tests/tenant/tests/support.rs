//! A small client of the tenant for its tests. Every response is checked against the OpenAPI description.

use std::io::Read;
use std::time::Duration;

use flate2::read::GzDecoder;
use reqwest::{Client, RequestBuilder, Response, redirect::Policy};
use serde_json::{Value, json};
use simulated_tenant::{Control, Tenant, TenantSettings, openapi};

pub struct Api {
    pub tenant: Tenant,
    pub control: Control,
    pub http: Client,
    pub token: String,
}

/// Settings of a tenant with few users and jobs that take a minute of the tenant's clock.
pub fn settings() -> TenantSettings {
    TenantSettings {
        users: 200,
        import_duration: Duration::from_mins(1),
        export_duration: Duration::from_mins(1),
        ..TenantSettings::default()
    }
}

impl Api {
    pub async fn start() -> Api {
        Api::with(settings()).await
    }

    pub async fn with(settings: TenantSettings) -> Api {
        let tenant = Tenant::start(settings).await.unwrap();
        let http = Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
        let token = client_credentials(&http, &tenant).await;
        Api { control: tenant.control(), tenant, http, token }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}/api/v2{path}", self.tenant.url())
    }

    pub fn request(&self, method: reqwest::Method, path: &str) -> RequestBuilder {
        self.http.request(method, self.url(path)).bearer_auth(&self.token)
    }

    /// Sends a GET request below `/api/v2`. Returns status and body.
    pub async fn get(&self, path: &str) -> (u16, Value) {
        let response = self.request(reqwest::Method::GET, path).send().await.unwrap();
        checked("GET", path, response).await
    }

    /// Sends a GET request that must succeed. Returns the body.
    pub async fn read(&self, path: &str) -> Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    pub async fn search(&self, q: &str) -> (u16, Value) {
        let q: String = url::form_urlencoded::byte_serialize(q.as_bytes()).collect();
        self.get(&format!("/users?search_engine=v3&include_totals=true&per_page=100&q={q}")).await
    }

    pub async fn export(&self, body: &Value) -> (u16, Value) {
        let path = "/jobs/users-exports";
        let response = self.request(reqwest::Method::POST, path).json(body).send().await.unwrap();
        checked("POST", path, response).await
    }

    pub async fn import(&self, connection: &str, users: &Value, upsert: bool) -> (u16, Value) {
        let (body, boundary) = form(connection, &users.to_string(), upsert);
        self.send_import(body, &boundary).await
    }

    pub async fn send_import(&self, body: Vec<u8>, boundary: &str) -> (u16, Value) {
        let path = "/jobs/users-imports";
        let response = self
            .request(reqwest::Method::POST, path)
            .header("content-type", format!("multipart/form-data; boundary={boundary}"))
            .body(body)
            .send()
            .await
            .unwrap();
        checked("POST", path, response).await
    }

    /// Runs an import into the first database. Returns the finished job and its errors.
    pub async fn import_to_end(&self, users: &Value, upsert: bool) -> (Value, Value) {
        let (status, job) = self.import(&self.tenant.database_connection_id(), users, upsert).await;
        assert_eq!(status, 202, "{job}");
        self.control.advance(Duration::from_mins(1));
        let id = job["id"].as_str().unwrap();
        let job = self.read(&format!("/jobs/{id}")).await;
        let (_, errors) = self.get(&format!("/jobs/{id}/errors")).await;
        (job, errors)
    }

    /// Imports one user. Returns its errors.
    pub async fn refusal(&self, user: Value) -> Vec<(String, String)> {
        let (job, errors) = self.import_to_end(&json!([user]), false).await;
        assert_eq!(job["status"], "completed");
        let errors = errors[0]["errors"].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        errors.iter().map(|error| (text(&error["code"]), text(&error["message"]))).collect()
    }

    /// Runs an export. Returns the text of its file.
    pub async fn exported(&self, body: &Value) -> String {
        let (status, job) = self.export(body).await;
        assert_eq!(status, 200, "{job}");
        self.control.advance(Duration::from_mins(1));
        let job = self.read(&format!("/jobs/{}", job["id"].as_str().unwrap())).await;
        let file = self.http.get(job["location"].as_str().unwrap()).send().await.unwrap();
        assert_eq!(file.status(), 200);
        let mut text = String::new();
        GzDecoder::new(&*file.bytes().await.unwrap()).read_to_string(&mut text).unwrap();
        text
    }
}

/// Returns the multipart body of an import, with the parts in the recorded order.
pub fn form(connection: &str, users: &str, upsert: bool) -> (Vec<u8>, String) {
    let boundary = "simulated-boundary".to_owned();
    let texts = [
        ("connection_id", connection.to_owned()),
        ("upsert", upsert.to_string()),
        ("external_id", String::new()),
        ("send_completion_email", "false".to_owned()),
    ]
    .map(|(name, value)| format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"));
    let file = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"users\"; filename=\"users.json\"\r\nContent-Type: application/json\r\n\r\n{users}\r\n--{boundary}--\r\n"
    );
    let body = texts.concat() + &file;
    (body.into_bytes(), boundary)
}

pub async fn client_credentials(http: &Client, tenant: &Tenant) -> String {
    let response = http
        .post(format!("{}/oauth/token", tenant.url()))
        .json(&json!({
            "grant_type": "client_credentials",
            "client_id": tenant.client_id(),
            "client_secret": tenant.client_secret(),
            "audience": format!("{}/api/v2/", tenant.url()),
        }))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    let body: Value = response.json().await.unwrap();
    body["access_token"].as_str().unwrap().to_owned()
}

/// Checks a response against the OpenAPI description. Returns status and body.
async fn checked(method: &str, path: &str, response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    let body = if text.is_empty() { None } else { Some(serde_json::from_str::<Value>(&text).unwrap()) };
    let path = path.split('?').next().unwrap();
    if !matches!(status, 404 | 414) {
        openapi::validate_response(method, path, status, body.as_ref()).unwrap_or_else(|problems| {
            panic!("{method} {path} answered {status}: {problems:?}\n{text}");
        });
    }
    (status, body.unwrap_or(Value::Null))
}
