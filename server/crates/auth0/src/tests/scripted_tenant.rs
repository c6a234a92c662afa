//! A simulated tenant that sends the replies of a test's script, also truncated, missing and invalid ones, which a
//! regular HTTP server library cannot send.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::{Backoff, ManagementClient};
use uie_core::config::{ClientCredentials, TenantHost};

/// A request as received.
#[derive(Clone, Debug)]
pub(super) struct RecordedRequest {
    /// Method, a space, path without the query.
    pub(super) line: String,
    /// The query as sent.
    pub(super) query: String,
    /// Headers by lower-case name.
    pub(super) headers: HashMap<String, String>,
    /// The body.
    pub(super) body: String,
    /// How many requests with this line were received so far, including this one.
    pub(super) attempt: usize,
}

impl RecordedRequest {
    /// The decoded value of a query parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        url::form_urlencoded::parse(self.query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }
}

/// What the tenant does with a request.
pub(super) enum Reply {
    /// Sends a response: status, headers, body.
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Sends a response whose `Content-Length` is larger than its body.
    Truncated(Vec<u8>),
    /// Closes the connection without a response.
    CloseConnection,
    /// Never responds.
    NoResponse,
}

/// A reply with a JSON body.
pub(super) fn json_reply(status: u16, body: &Value) -> Reply {
    Reply::Answer(
        status,
        vec![("content-type", "application/json; charset=utf-8".into())],
        body.to_string().into_bytes(),
    )
}

/// A rate limit reply with one header.
pub(super) fn rate_limited(header: &'static str, value: i64) -> Reply {
    let body = json!({"statusCode": 429, "error": "Too Many Requests", "errorCode": "too_many_requests",
        "message": "Too many requests. Check the X-RateLimit-Limit, X-RateLimit-Remaining and X-RateLimit-Reset headers."});
    Reply::Answer(429, vec![(header, value.to_string())], body.to_string().into_bytes())
}

type Script = dyn Fn(RecordedRequest) -> BoxFuture<'static, Option<Reply>> + Send + Sync;

/// The tenant and the requests it has received.
pub(super) struct Tenant {
    pub(super) host: TenantHost,
    requests: Arc<Mutex<Vec<RecordedRequest>>>,
}

impl Tenant {
    /// Starts a tenant whose script is for the Management API.
    pub(super) async fn start(script: impl Fn(&RecordedRequest) -> Option<Reply> + Send + Sync + 'static) -> Self {
        Self::with_tokens(move |request| if request.line == "POST /oauth/token" { None } else { script(request) }).await
    }

    /// Starts a tenant whose script also handles token requests. Where the script returns `None`, tokens are issued
    /// (`token-1`, `token-2`, …, valid for a day), and everything else is 404.
    pub(super) async fn with_tokens(
        script: impl Fn(&RecordedRequest) -> Option<Reply> + Send + Sync + 'static,
    ) -> Self {
        Self::with_async_script(move |request| std::future::ready(script(&request)).boxed()).await
    }

    /// Starts a tenant with an asynchronous script.
    pub(super) async fn with_async_script(
        script: impl Fn(RecordedRequest) -> BoxFuture<'static, Option<Reply>> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let script: Arc<Script> = Arc::new(script);
        tokio::spawn({
            let requests = requests.clone();
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, requests.clone(), script.clone()));
                }
            }
        });
        let host = TenantHost::parse(&format!("http://{address}")).expect("a loopback host");
        Self { host, requests }
    }

    /// Returns all requests to the Management API so far.
    pub(super) fn requests(&self) -> Vec<RecordedRequest> {
        let requests = self.requests.lock().expect("no test panics while it holds the lock");
        requests.iter().filter(|request| request.line != "POST /oauth/token").cloned().collect()
    }

    /// Returns how many tokens were requested.
    pub(super) fn tokens(&self) -> usize {
        let requests = self.requests.lock().expect("no test panics while it holds the lock");
        requests.iter().filter(|request| request.line == "POST /oauth/token").count()
    }

    /// Creates a client with client credentials that waits milliseconds instead of seconds between attempts.
    pub(super) fn client(&self) -> ManagementClient {
        let credentials = ClientCredentials { id: "the-client".into(), secret: SecretString::from("the-secret") };
        quick(&ManagementClient::with_client_credentials(&self.host, &credentials).expect("a client"))
    }

    /// Creates a client with an admin's token.
    pub(super) fn admin(&self) -> ManagementClient {
        let end = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1);
        let token = SecretString::from("the-token");
        quick(&ManagementClient::with_token(&self.host, token, end).expect("a client"))
    }
}

/// Returns the client with short delays between attempts.
pub(super) fn quick(client: &ManagementClient) -> ManagementClient {
    let millisecond = std::time::Duration::from_millis(1);
    client.with_backoff(Backoff { first: millisecond, longest: 4 * millisecond })
}

async fn serve(stream: TcpStream, all: Arc<Mutex<Vec<RecordedRequest>>>, script: Arc<Script>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream, &all).await? {
        let default = match request.line.as_str() {
            "POST /oauth/token" => {
                let token = format!("token-{}", request.attempt);
                json_reply(200, &json!({"access_token": token, "expires_in": 86400, "token_type": "Bearer"}))
            }
            _ => json_reply(404, &json!({"statusCode": 404, "error": "Not Found", "message": "Not Found"})),
        };
        let reply = script(request).await.unwrap_or(default);
        let (status, headers, body, length) = match reply {
            Reply::Answer(status, headers, body) => {
                let length = body.len();
                (status, headers, body, length)
            }
            Reply::Truncated(body) => {
                let length = body.len() + 1000;
                (200, Vec::new(), body, length)
            }
            Reply::CloseConnection => return Ok(()),
            Reply::NoResponse => std::future::pending().await,
        };
        let mut head = format!("HTTP/1.1 {status} Status\r\n");
        for (name, value) in headers {
            write!(head, "{name}: {value}\r\n").expect("a string takes everything");
        }
        if status != 204 {
            write!(head, "content-length: {length}\r\n").expect("a string takes everything");
        }
        stream.write_all(format!("{head}\r\n").as_bytes()).await?;
        stream.write_all(&body).await?;
        stream.flush().await?;
        if length != body.len() {
            return Ok(());
        }
    }
    Ok(())
}

/// Reads a request and records it. Returns `None` if the client has closed the connection.
async fn read(
    stream: &mut BufReader<TcpStream>,
    all: &Mutex<Vec<RecordedRequest>>,
) -> std::io::Result<Option<RecordedRequest>> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let mut parts = line.split_whitespace();
    let (method, target) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut headers = HashMap::new();
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).await?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let mut all = all.lock().expect("no test panics while it holds the lock");
    let line = format!("{method} {path}");
    let attempt = all.iter().filter(|request| request.line == line).count() + 1;
    let body = String::from_utf8_lossy(&body).into_owned();
    let request = RecordedRequest { line, query: query.to_owned(), headers, body, attempt };
    all.push(request.clone());
    Ok(Some(request))
}
