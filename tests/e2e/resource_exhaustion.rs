//! Clients that try to exhaust the server: slow, idle and stalled connections, and many requests at once.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use end_to_end::{TestServer, job_id, poll};
use futures_util::future::join_all;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use simulated_tenant::{Fault, FaultKind, TenantSettings};

async fn server() -> TestServer {
    TestServer::start(TenantSettings { users: 20, ..TenantSettings::default() }, |_| {}).await
}

fn connect(server: &TestServer) -> TcpStream {
    let address = server.program.address().strip_prefix("http://").expect("an address");
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_mins(1))).expect("a time-out");
    stream
}

#[tokio::test]
async fn slow_requests_time_out_without_delaying_other_clients() {
    let server = server().await;
    let mut slow: Vec<TcpStream> = (0..200).map(|_| connect(&server)).collect();
    for stream in &mut slow {
        stream.write_all(b"GET /api/history HTTP/1.1\r\nHost: x\r\nX-").expect("a first part");
    }
    assert_eq!(server.anonymous("/healthz").send().await.expect("an answer").status(), 200);
    let answers = tokio::task::spawn_blocking(move || {
        let read = |mut stream: TcpStream| {
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).expect("the server closes the connection");
            String::from_utf8_lossy(&answer).into_owned()
        };
        slow.into_iter().map(read).collect::<Vec<_>>()
    });
    for answer in answers.await.expect("all are read") {
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
}

#[tokio::test]
async fn thousands_of_idle_connections_do_not_block_other_clients() {
    const IDLE: u64 = 3000;
    let limit = getrlimit(Resource::Nofile);
    let required = IDLE + 500;
    if limit.current.is_some_and(|current| current < required) {
        assert!(limit.maximum.is_none_or(|most| most >= required), "this test needs {required} open files");
        setrlimit(Resource::Nofile, Rlimit { current: Some(required), maximum: limit.maximum }).expect("more files");
    }
    let server = server().await;
    let idle: Vec<TcpStream> = (0..IDLE).map(|_| connect(&server)).collect();
    for _ in 0..5 {
        assert_eq!(server.anonymous("/readyz").send().await.expect("an answer").status(), 200);
        server.start_export(&json!({"format": "csv"})).await;
    }
    drop(idle);
}

#[tokio::test]
async fn a_session_with_too_many_concurrent_requests_gets_429() {
    let server = server().await;
    server.tenant.control().add(Fault::new("/api/v2/users", FaultKind::Delay { millis: 120_000 }));
    let preview = || server.request("POST", "/api/preview").json(&json!({"format": "csv"})).send();
    let mut waiting: Vec<_> = (0..5).map(|_| Box::pin(preview())).collect();
    // Four requests wait for Auth0, so the first answer is the rejection of the fifth.
    let refused = first_completed(&mut waiting).await.expect("an answer");
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["retry-after"], "5");
    assert_eq!(server.anonymous("/healthz").send().await.expect("an answer").status(), 200);
}

/// The limit of concurrent downloads per user.
const MAX_DOWNLOADS: usize = 6;

#[tokio::test]
async fn stalled_downloads_are_closed_and_free_their_quota() {
    let users = TenantSettings { users: 20_000, export_duration: Duration::ZERO, ..TenantSettings::default() };
    let server = TestServer::start(users, |_| {}).await;
    let job = server.export(&json!({"format": "ndjson"})).await;
    let id = job_id(&job);
    let size = server.download_bytes(&job).await.len();
    // More than the buffers hold: 4 MiB at the server and 16 KiB at the client.
    assert!(size > 8 << 20, "{size}");
    let path = server.download_path(&job);
    let mut stalled: Vec<TcpStream> = (0..MAX_DOWNLOADS).map(|_| connect(&server)).collect();
    for stream in &mut stalled {
        rustix::net::sockopt::set_socket_recv_buffer_size(&stream, 16 << 10).expect("a small buffer");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").expect("the request is sent");
        let mut start = [0; 12];
        stream.read_exact(&mut start).expect("the answer begins");
        assert_eq!(&start, b"HTTP/1.1 200");
    }
    let refused = server.anonymous(&path).send().await.expect("an answer");
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].to_str().ok()), (429, Some("5")));
    assert_eq!(server.get("/api/history").await.status, 200);
    // The clients read no further. As many downloads at once as the limit allows succeed only after the server has closed
    // every stalled one.
    poll(async || {
        let path = server.download_path(&server.job(id).await);
        let replies = join_all((0..MAX_DOWNLOADS).map(|_| server.anonymous(&path).send())).await;
        let refused = replies.iter().filter(|reply| reply.as_ref().expect("an answer").status() == 429).count();
        for reply in replies.into_iter().flatten().filter(|reply| reply.status() != 429) {
            assert_eq!(reply.status(), 200);
        }
        if refused == 0 { Ok(()) } else { Err(format!("{refused} downloads are refused")) }
    })
    .await;
    // The server closed every stalled connection before the file was complete.
    let complete = |mut stream: TcpStream| {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).is_ok() && rest.len() >= size
    };
    assert_eq!(stalled.into_iter().map(complete).filter(|complete| *complete).count(), 0);
}

/// Polls the requests until one of them completes, and returns its result.
async fn first_completed<F: Future + Unpin>(requests: &mut [F]) -> F::Output {
    std::future::poll_fn(|context| {
        for request in requests.iter_mut() {
            if let std::task::Poll::Ready(answer) = std::pin::Pin::new(request).poll(context) {
                return std::task::Poll::Ready(answer);
            }
        }
        std::task::Poll::Pending
    })
    .await
}
