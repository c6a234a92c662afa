//! The multipart upload of an import, through the HTTP application.

use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::path::Path;
use std::time::Duration;

use actix_web::rt::{System, SystemRunner};
use serde_json::Value;
use test_kit::{Application, Backend, Request};
use uie_access::Admission;

use crate::fixture::{sign_in, temp_root};

const BASE_URL: &str = "http://localhost:3000";

/// The application is recreated after this many jobs, so that its data does not grow.
const MAX_JOBS: u32 = 200;

/// The boundary of every multipart form.
const BOUNDARY: &str = "X";

/// An application, and how many jobs it started.
struct Server {
    application: Application,
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
                    old.application.stop().await;
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
        let settings = [
            ("AUTH0_DOMAIN", "example.eu.auth0.com"),
            ("AUTH0_CLIENT_ID", "client"),
            ("AUTH0_CLIENT_SECRET", "secret"),
            ("LOGIN", "tenant"),
            ("ADMIN_SUBJECTS", "ada"),
        ];
        let application = Application::within(directory, BASE_URL, &settings).await;
        let token = application.sign_in_as(&sign_in(Admission::Subject)).await;
        Self { application, token, started: 0 }
    }

    async fn upload(&mut self, body: &[u8]) {
        let form = format!("multipart/form-data; boundary={BOUNDARY}");
        let (status, answer) = self.send(Request::post("/api/jobs/import").body(&form, body)).await;
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
            let (status, job) = self.send(Request::get(&format!("/api/jobs/{id}"))).await;
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

    async fn send(&self, request: Request) -> (u16, Value) {
        let reply = self.application.send(request.bearer(&self.token)).await;
        (reply.status, reply.json())
    }

    /// Returns the number of job directories.
    fn job_directories(&self) -> usize {
        let entries = |path: &Path| std::fs::read_dir(path).map_or(0, Iterator::count);
        entries(&self.application.directory().join("jobs"))
    }
}
