//! The test server: the application in process, with its own data directory.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::header::HeaderMap;
use actix_web::test::{self, TestRequest};
use actix_web::web::Bytes;
use futures_util::{Stream, stream};
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tempfile::TempDir;
use uie_access::{Access, Admission, Permissions, SignIn};
use uie_core::config::{Purpose, Settings};
use uie_jobs::Jobs;
use uie_store::Store;
use user_import_export::web;

/// `EXTENSION_SECRET` of all test servers.
pub const SECRET: &str = "8d3f1c6b5a2e4970b16d8e0f7c93a254";

/// Time limit for one step on a busy machine, so that a test fails with a message instead of hanging.
pub const TIMEOUT: Duration = Duration::from_mins(5);

/// A streamed request body.
pub type Body = Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>>;

/// An application with its own data directory.
pub struct Server {
    pub app: web::App,
    directory: TempDir,
}

/// A complete response.
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Server {
    /// Starts an application with these settings and this base URL.
    pub async fn new(base_url: &str, settings: &[(&str, &str)]) -> Self {
        Self::within(tempfile::tempdir().expect("a directory"), base_url, settings).await
    }

    /// Starts an application with the data directory of an earlier one, which must have been stopped.
    pub async fn within(directory: TempDir, base_url: &str, settings: &[(&str, &str)]) -> Self {
        // The last setting with a name applies.
        let environment = [("EXTENSION_SECRET", SECRET)].iter().chain(settings);
        let environment = environment.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let settings = Settings::parse(Purpose::Serve, environment, None).expect("settings");
        let (settings, base_url) = (Arc::new(settings), Arc::<str>::from(base_url));
        // Separate state, but compiled transforms are shared by all test servers.
        let own = Settings { data_dir: directory.path().to_owned(), ..Settings::clone(&settings) };
        let store = Store::open_with(&own).await.expect("a store");
        let access = Arc::new(Access::new(&settings, &base_url, store.clone()).expect("access"));
        let jobs = Jobs::new(settings.clone(), store.clone(), base_url.clone()).expect("jobs");
        let app = web::App::new(settings, base_url, store, access, jobs).expect("an application");
        Self { app, directory }
    }

    /// Returns the token of a new session with all permissions. `access_token` is the admin's token with
    /// `LOGIN=extension`.
    pub async fn sign_in(&self, subject: &str, access_token: Option<&str>) -> String {
        self.sign_in_as(&person(subject, access_token, Permissions::all())).await
    }

    /// Returns the token of a new session.
    pub async fn sign_in_as(&self, person: &SignIn) -> String {
        let (token, _) = self.app.access.open_session(person).await.expect("a session");
        token.expose_secret().to_owned()
    }

    /// Stops the jobs, like a server that stops, and returns the data directory.
    pub async fn stop(self) -> TempDir {
        self.app.jobs.stop().await;
        self.directory
    }

    /// Returns the data directory.
    pub fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }

    /// Returns the bytes of the database, including the write-ahead log.
    pub fn database(&self) -> Vec<u8> {
        let read = |name: &str| std::fs::read(self.directory.path().join(name)).unwrap_or_default();
        [read("state.sqlite"), read("state.sqlite-wal")].concat()
    }

    /// Returns the files of jobs, as paths below the data directory.
    pub fn job_files(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut directories = vec![self.directory.path().join("jobs")];
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(directory).into_iter().flatten() {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    directories.push(path);
                } else {
                    let path = path.strip_prefix(self.directory.path()).expect("below the data directory");
                    found.push(path.to_string_lossy().into_owned());
                }
            }
        }
        found.sort();
        found
    }

    /// Sends a request.
    pub async fn call(&self, request: TestRequest) -> Reply {
        self.answer(request, None).await
    }

    /// Sends a request whose body never arrives.
    pub async fn call_without_body(&self, request: TestRequest) -> Reply {
        self.answer(request, Some(Box::pin(stream::pending()))).await
    }

    /// Sends a request with a streamed body.
    pub async fn call_with_body(&self, request: TestRequest, body: Body) -> Reply {
        self.answer(request, Some(body)).await
    }

    /// Sends a request and returns status and unread body, like a client that does not read.
    pub async fn open(&self, request: TestRequest) -> (u16, BoxBody) {
        let service = test::init_service(web::application(&self.app, web::Routes::All)).await;
        let response = test::call_service(&service, request.to_request()).await;
        (response.status().as_u16(), response.into_body().boxed())
    }

    async fn answer(&self, request: TestRequest, body: Option<Body>) -> Reply {
        let mut request = request.to_request();
        if let Some(payload) = body {
            request = request.replace_payload(Payload::Stream { payload }).0;
        }
        let service = test::init_service(web::application(&self.app, web::Routes::All)).await;
        let response = test::call_service(&service, request).await;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = test::read_body(response).await;
        Reply { status, headers, body: String::from_utf8(body.to_vec()).expect("text") }
    }

    /// Sends a GET request for a path below the base path.
    pub async fn get(&self, path: &str) -> Reply {
        self.call(TestRequest::get().uri(path)).await
    }
}

/// Returns an admin for [`Server::sign_in_as`], admitted by `ADMIN_SUBJECTS` with `LOGIN=tenant`.
pub fn person(subject: &str, access_token: Option<&str>, permissions: Permissions) -> SignIn {
    SignIn {
        subject: subject.to_owned(),
        email: Some("ada@example.com".to_owned()),
        name: None,
        expires_at: Timestamp::now() + SignedDuration::from_hours(1),
        access_token: access_token.map(SecretString::from),
        permissions,
        admission: Admission::Subject,
        sid: None,
    }
}

impl Reply {
    /// Parses the body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// Returns the first header with this name.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Returns all `Set-Cookie` headers, in order.
    pub fn cookies(&self) -> Vec<String> {
        self.headers.get_all("set-cookie").map(|value| value.to_str().expect("text").to_owned()).collect()
    }

    /// Returns the URL and the query parameters, in order, of the `Location` header.
    pub fn location(&self) -> (String, Vec<(String, String)>) {
        let url = url::Url::parse(self.header("location")).expect("a URL");
        let query = url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        let (base, _) = url.as_str().split_once('?').unwrap_or((url.as_str(), ""));
        (base.to_owned(), query)
    }

    /// Asserts status, name and message of an error, as in docs/auth0/login.md.
    #[track_caller]
    pub fn expect_error(&self, status: u16, name: &str, message: &str) {
        let body = self.json();
        assert_eq!(
            (self.status, body["error"].as_str(), body["message"].as_str()),
            (status, Some(name), Some(message)),
            "{body}"
        );
        assert_eq!(body["statusCode"], status);
        assert!(body["errorCode"].is_string());
    }
}
