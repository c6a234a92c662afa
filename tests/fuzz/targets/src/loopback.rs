//! An HTTP server in this process, for what the product asks others.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

type Answer = Arc<Mutex<Vec<u8>>>;

/// Answers every request with the same bytes, on the thread that asks.
pub struct Loopback {
    runtime: Runtime,
    address: SocketAddr,
    answer: Answer,
}

impl Loopback {
    /// A server on a free port of the loopback interface.
    pub fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address");
        let answer = Answer::default();
        let answers = Arc::clone(&answer);
        runtime.spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let _ = connection.set_nodelay(true);
                tokio::spawn(serve(connection, Arc::clone(&answers)));
            }
        });
        Self { runtime, address, answer }
    }

    /// Where it listens, as a URL without a path.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it answers from now on.
    pub fn answer(&self, status: u16, headers: &str, body: &[u8]) {
        let body: &[u8] = if matches!(status, 204 | 304) { &[] } else { body };
        let mut bytes = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n{headers}\r\n", body.len()).into_bytes();
        bytes.extend_from_slice(body);
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = bytes;
    }

    /// Waits for a future, and serves meanwhile.
    pub fn run<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }
}

async fn serve(mut connection: TcpStream, answer: Answer) {
    let mut request = Vec::new();
    loop {
        // A request's end: the blank line, and as many bytes as its header says.
        while missing(&request) > 0 {
            if !matches!(connection.read_buf(&mut request).await, Ok(1..)) {
                return;
            }
        }
        request.clear();
        let bytes = answer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if connection.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

/// How many bytes of a request have yet to arrive; at least one as long as its head is not whole.
fn missing(request: &[u8]) -> usize {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return 1 };
    let length = head.lines().filter_map(|line| line.split_once(": ")).find(|(name, _)| *name == "content-length");
    length.and_then(|(_, length)| length.parse::<usize>().ok()).unwrap_or_default().saturating_sub(body.len())
}
