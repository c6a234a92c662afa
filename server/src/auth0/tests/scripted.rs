//! A tenant that says exactly what a test tells it to: also nothing, half an answer, or nonsense, which
//! no well-behaved server library can be made to send.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::auth0::{Backoff, ManagementClient};
use crate::config::{ClientCredentials, TenantHost};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// Method, a space, path without the query.
    pub(super) line: String,
    /// The query as sent.
    pub(super) query: String,
    /// Headers by lower-case name.
    pub(super) headers: HashMap<String, String>,
    /// The body.
    pub(super) body: String,
    /// How many times this line was seen, this time included.
    pub(super) time: usize,
}

impl Seen {
    /// The decoded value of a query parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        url::form_urlencoded::parse(self.query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }
}

/// What the tenant does.
pub(super) enum Reply {
    /// Answers.
    Say(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Answers, promising more bytes than it sends.
    Half(Vec<u8>),
    /// Closes the connection without a word.
    HangUp,
    /// Never answers.
    Silence,
}

/// JSON with a status.
pub(super) fn say(status: u16, body: &Value) -> Reply {
    Reply::Say(status, vec![("content-type", "application/json; charset=utf-8".into())], body.to_string().into_bytes())
}

/// A rate limit with one header.
pub(super) fn limited(header: &'static str, value: i64) -> Reply {
    let body = json!({"statusCode": 429, "error": "Too Many Requests", "errorCode": "too_many_requests",
        "message": "Too many requests. Check the X-RateLimit-Limit, X-RateLimit-Remaining and X-RateLimit-Reset headers."});
    Reply::Say(429, vec![(header, value.to_string())], body.to_string().into_bytes())
}

type Script = dyn Fn(Seen) -> BoxFuture<'static, Option<Reply>> + Send + Sync;

/// The tenant and what it has seen.
pub(super) struct Tenant {
    pub(super) host: TenantHost,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Tenant {
    /// Starts a tenant whose script is for the Management API.
    pub(super) async fn start(script: impl Fn(&Seen) -> Option<Reply> + Send + Sync + 'static) -> Self {
        Self::with_tokens(move |seen| if seen.line == "POST /oauth/token" { None } else { script(seen) }).await
    }

    /// Starts a tenant whose script is for tokens too. What it leaves out: tokens are issued
    /// (`token-1`, `token-2`, …, good for a day), everything else is 404.
    pub(super) async fn with_tokens(script: impl Fn(&Seen) -> Option<Reply> + Send + Sync + 'static) -> Self {
        Self::answering(move |seen| std::future::ready(script(&seen)).boxed()).await
    }

    /// Starts a tenant whose script may take its time.
    pub(super) async fn answering(
        script: impl Fn(Seen) -> BoxFuture<'static, Option<Reply>> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let script: Arc<Script> = Arc::new(script);
        tokio::spawn({
            let seen = seen.clone();
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, seen.clone(), script.clone()));
                }
            }
        });
        let host = TenantHost::parse(&format!("http://{address}")).expect("a loopback host");
        Self { host, seen }
    }

    /// Every request to the Management API so far.
    pub(super) fn seen(&self) -> Vec<Seen> {
        let seen = self.seen.lock().expect("no test panics while it holds the lock");
        seen.iter().filter(|seen| seen.line != "POST /oauth/token").cloned().collect()
    }

    /// How many tokens were asked for.
    pub(super) fn tokens(&self) -> usize {
        let seen = self.seen.lock().expect("no test panics while it holds the lock");
        seen.iter().filter(|seen| seen.line == "POST /oauth/token").count()
    }

    /// A client with client credentials that waits milliseconds instead of seconds.
    pub(super) fn client(&self) -> ManagementClient {
        let credentials = ClientCredentials { id: "the-client".into(), secret: SecretString::from("the-secret") };
        quick(&ManagementClient::with_client_credentials(&self.host, &credentials).expect("a client"))
    }

    /// A client with an admin's token.
    pub(super) fn admin(&self) -> ManagementClient {
        let end = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1);
        let token = SecretString::from("the-token");
        quick(&ManagementClient::with_token(&self.host, token, end).expect("a client"))
    }
}

/// The same client with short delays.
pub(super) fn quick(client: &ManagementClient) -> ManagementClient {
    let millisecond = std::time::Duration::from_millis(1);
    client.with_backoff(Backoff { first: millisecond, longest: 4 * millisecond })
}

async fn serve(stream: TcpStream, all: Arc<Mutex<Vec<Seen>>>, script: Arc<Script>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(seen) = read(&mut stream, &all).await? {
        let usual = match seen.line.as_str() {
            "POST /oauth/token" => {
                let token = format!("token-{}", seen.time);
                say(200, &json!({"access_token": token, "expires_in": 86400, "token_type": "Bearer"}))
            }
            _ => say(404, &json!({"statusCode": 404, "error": "Not Found", "message": "Not Found"})),
        };
        let reply = script(seen).await.unwrap_or(usual);
        let (status, headers, body, length) = match reply {
            Reply::Say(status, headers, body) => {
                let length = body.len();
                (status, headers, body, length)
            }
            Reply::Half(body) => {
                let length = body.len() + 1000;
                (200, Vec::new(), body, length)
            }
            Reply::HangUp => return Ok(()),
            Reply::Silence => std::future::pending().await,
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

/// Reads a request and records it; none when the other side has closed the connection.
async fn read(stream: &mut BufReader<TcpStream>, all: &Mutex<Vec<Seen>>) -> std::io::Result<Option<Seen>> {
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
    let time = all.iter().filter(|seen| seen.line == line).count() + 1;
    let body = String::from_utf8_lossy(&body).into_owned();
    let seen = Seen { line, query: query.to_owned(), headers, body, time };
    all.push(seen.clone());
    Ok(Some(seen))
}
