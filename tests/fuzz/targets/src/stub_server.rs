//! An HTTP server in this process, in place of Auth0.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

type Response = Arc<Mutex<Vec<u8>>>;

/// Sends the same response to every request. Runs on the calling thread, inside [`StubServer::run`].
pub struct StubServer {
    runtime: Runtime,
    address: SocketAddr,
    response: Response,
}

impl StubServer {
    /// Starts a server on a free port of the loopback interface.
    pub fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address");
        let response = Response::default();
        let shared = Arc::clone(&response);
        runtime.spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let _ = connection.set_nodelay(true);
                tokio::spawn(serve(connection, Arc::clone(&shared)));
            }
        });
        Self { runtime, address, response }
    }

    /// Returns its URL without a path.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sets the response to later requests.
    pub fn set_response(&self, status: u16, headers: &str, body: &[u8]) {
        let body: &[u8] = if matches!(status, 204 | 304) { &[] } else { body };
        let mut bytes = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n{headers}\r\n", body.len()).into_bytes();
        bytes.extend_from_slice(body);
        *self.response.lock().unwrap_or_else(PoisonError::into_inner) = bytes;
    }

    /// Runs a future to completion while serving requests.
    pub fn run<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }
}

async fn serve(mut connection: TcpStream, response: Response) {
    let mut request = Vec::new();
    loop {
        // Read the head of the request and `content-length` bytes.
        while missing_bytes(&request) > 0 {
            if !matches!(connection.read_buf(&mut request).await, Ok(1..)) {
                return;
            }
        }
        request.clear();
        let bytes = response.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if connection.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

/// Returns how many bytes of a request are missing; 1 while its head is incomplete.
fn missing_bytes(request: &[u8]) -> usize {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return 1 };
    let length = head.lines().filter_map(|line| line.split_once(": ")).find(|(name, _)| *name == "content-length");
    length.and_then(|(_, length)| length.parse::<usize>().ok()).unwrap_or_default().saturating_sub(body.len())
}
