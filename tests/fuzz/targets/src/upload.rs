//! The multipart upload of an import, through the HTTP application.

use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{AUTHORIZATION, CONTENT_TYPE};
use actix_web::rt::{System, SystemRunner};
use actix_web::test::{self, TestRequest};
use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use secrecy::ExposeSecret;
use serde_json::Value;
use tempfile::TempDir;
use uie_access::{Access, Admission};
use uie_core::config::{Purpose, Settings};
use uie_jobs::Jobs;
use uie_store::Store;
use user_import_export::web;

use crate::fixture::{SECRET, sign_in, temp_root};

const BASE_URL: &str = "http://localhost:3000";

/// The application is recreated after this many jobs, so that its data does not grow.
const MAX_JOBS: u32 = 200;

/// The boundary of every multipart form.
const BOUNDARY: &str = "X";

type Call = Box<dyn Fn(TestRequest) -> LocalBoxFuture<'static, (u16, Bytes)>>;

struct Server {
    call: Call,
    jobs: Jobs,
    directory: TempDir,
    token: String,
    started: u32,
}

thread_local! {
    static SYSTEM: SystemRunner = System::new();
    // Not dropped with its thread, because dropping needs other thread-locals that are already destroyed.
    static SERVER: RefCell<ManuallyDrop<Option<Server>>> = const { RefCell::new(ManuallyDrop::new(None)) };
}

/// Input: the body of a form with the boundary `X`.
///
/// Invariants: every response is JSON; an invalid upload is refused with an error of the server and leaves no file; a
/// started job ends without an internal error.
pub fn upload(data: &[u8]) {
    SYSTEM.with(|system| {
        SERVER.with_borrow_mut(|server| {
            system.block_on(async {
                if server.as_ref().is_some_and(|server| server.started >= MAX_JOBS)
                    && let Some(old) = server.take()
                {
                    old.jobs.stop().await;
                }
                let server = match &mut **server {
                    Some(server) => server,
                    empty => empty.insert(Server::new().await),
                };
                server.upload(data).await;
            });
        });
    });
}

impl Server {
    async fn new() -> Self {
        let directory = tempfile::tempdir_in(temp_root()).expect("a directory");
        let environment = [
            ("EXTENSION_SECRET", SECRET),
            ("AUTH0_DOMAIN", "example.eu.auth0.com"),
            ("AUTH0_CLIENT_ID", "client"),
            ("AUTH0_CLIENT_SECRET", "secret"),
            ("LOGIN", "tenant"),
            ("ADMIN_SUBJECTS", "ada"),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let settings = Arc::new(Settings::parse(Purpose::Serve, environment, None).expect("settings"));
        let base_url = Arc::<str>::from(BASE_URL);
        let store = Store::open(directory.path()).await.expect("a store");
        let jobs = Jobs::new(settings.clone(), store.clone(), base_url.clone()).expect("jobs");
        let access = Arc::new(Access::new(&settings, &base_url, store.clone()).expect("access"));
        let app = web::App::new(settings, base_url, store, access, jobs.clone()).expect("an application");
        let service = test::init_service(web::application(&app, web::Routes::All)).await;
        let service = Rc::new(service);
        let call: Call = Box::new(move |request| {
            let service = Rc::clone(&service);
            Box::pin(async move {
                let response = test::call_service(&*service, request.to_request()).await;
                (response.status().as_u16(), test::read_body(response).await)
            })
        });
        let sign_in = sign_in(Admission::Subject);
        let (token, _) = app.access.open_session(&sign_in).await.expect("a session");
        Self { call, jobs, directory, token: format!("Bearer {}", token.expose_secret()), started: 0 }
    }

    async fn upload(&mut self, body: &[u8]) {
        let form = format!("multipart/form-data; boundary={BOUNDARY}");
        let request = TestRequest::post().uri("/api/jobs/import").insert_header((CONTENT_TYPE, form));
        let (status, answer) = self.send(request.set_payload(body.to_vec())).await;
        if status != 200 {
            assert!((400..500).contains(&status), "{status}: {answer}");
            assert_eq!(answer["statusCode"], status, "{answer}");
            assert!(answer["errorCode"].is_string() && answer["message"].is_string(), "{answer}");
            assert_eq!(self.job_directories(), self.started as usize, "a refused upload left a directory");
            return;
        }
        self.started += 1;
        let id = answer["id"].as_str().expect("a job's id").to_owned();
        for _ in 0..5000 {
            let (status, job) = self.send(TestRequest::get().uri(&format!("/api/jobs/{id}"))).await;
            assert_eq!(status, 200, "{job}");
            match job["status"].as_str() {
                Some("pending" | "processing") => tokio::time::sleep(Duration::from_millis(1)).await,
                Some("completed") => return,
                Some("failed") => {
                    assert_ne!(job["error"]["errorCode"], "internal_error", "{job}");
                    return;
                }
                other => panic!("unexpected status {other:?}: {job}"),
            }
        }
        panic!("the job does not end");
    }

    async fn send(&self, request: TestRequest) -> (u16, Value) {
        let (status, body) = (self.call)(request.insert_header((AUTHORIZATION, self.token.as_str()))).await;
        (status, serde_json::from_slice(&body).expect("an answer is JSON"))
    }

    /// Returns the number of job directories.
    fn job_directories(&self) -> usize {
        let entries = |path: &Path| std::fs::read_dir(path).map_or(0, Iterator::count);
        entries(&self.directory.path().join("jobs"))
    }
}
