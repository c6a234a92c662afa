//! A server in the process of the test.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use actix_web::body::BoxBody;
use actix_web::dev::{Payload, ServiceResponse};
use actix_web::test::{self, TestRequest};
use futures_util::future::LocalBoxFuture;
use secrecy::ExposeSecret;
use tempfile::TempDir;
use uie_access::{Access, Permissions, SignIn};
use uie_core::config::{Purpose, Settings};
use uie_jobs::Jobs;
use uie_store::Store;
use user_import_export::web;

use crate::bodies::{Body, pending_body};
use crate::harness::Backend;
use crate::reply::Reply;
use crate::request::Request;
use crate::tokens::{SECRET, person};

/// The base URL of most applications of the tests.
pub const BASE_URL: &str = "https://tools.example/ext";

/// Sends a request, with this body instead of its own.
type Service = Box<dyn Fn(TestRequest, Option<Body>) -> LocalBoxFuture<'static, ServiceResponse<BoxBody>>>;

/// The application that `serve` starts, with a data directory of its own and without a network.
pub struct Application {
    /// The state of the application.
    pub app: web::App,
    directory: TempDir,
    service: Service,
}

impl Application {
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
        // Separate state, but compiled transforms are shared by all applications.
        let own = Settings { data_dir: directory.path().to_owned(), ..Settings::clone(&settings) };
        let store = Store::open_with(&own).await.expect("a store");
        let access = Arc::new(Access::new(&settings, &base_url, store.clone()).expect("access"));
        let jobs = Jobs::new(settings.clone(), store.clone(), base_url.clone()).expect("jobs");
        let app = web::App::new(settings, base_url, store, access, jobs).expect("an application");
        let service = service(&app).await;
        Self { app, directory, service }
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
    pub fn directory(&self) -> &Path {
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
        self.call_with_body(request, pending_body().1).await
    }

    /// Sends a request with a streamed body.
    pub async fn call_with_body(&self, request: TestRequest, body: Body) -> Reply {
        self.answer(request, Some(body)).await
    }

    /// Sends a request and returns status and unread body, like a client that does not read.
    pub async fn open(&self, request: TestRequest) -> (u16, BoxBody) {
        let response = (self.service)(request, None).await;
        (response.status().as_u16(), response.into_body())
    }

    async fn answer(&self, request: TestRequest, body: Option<Body>) -> Reply {
        let response = (self.service)(request, body).await;
        let status = response.status().as_u16();
        let text = |value: &actix_web::http::header::HeaderValue| value.to_str().expect("text").to_owned();
        let headers = response.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
        let body = test::read_body(response).await;
        Reply { status, headers, body: String::from_utf8(body.to_vec()).expect("text") }
    }

    /// Sends a GET request for a path below the origin.
    pub async fn get(&self, path: &str) -> Reply {
        self.call(TestRequest::get().uri(path)).await
    }
}

impl Backend for Application {
    fn base_url(&self) -> &str {
        &self.app.base_url
    }

    async fn send(&self, request: Request) -> Reply {
        let path = format!("{}{}", self.app.base_path().trim_end_matches('/'), request.path);
        self.call(TestRequest::from(Request { path, ..request })).await
    }
}

impl From<Request> for TestRequest {
    fn from(request: Request) -> Self {
        let method = request.method.parse().expect("a method");
        let call = Self::default().method(method).uri(&request.path).set_payload(request.body);
        let headers = request.headers.into_iter();
        headers.fold(call, |call, (name, value)| call.insert_header((name, value)))
    }
}

async fn service(app: &web::App) -> Service {
    let service = test::init_service(web::application(app, web::Routes::All)).await;
    let service = Rc::new(service);
    Box::new(move |request, body| {
        let service = Rc::clone(&service);
        let mut request = request.to_request();
        if let Some(payload) = body {
            request = request.replace_payload(Payload::Stream { payload }).0;
        }
        Box::pin(async move { test::call_service(&*service, request).await.map_into_boxed_body() })
    })
}
