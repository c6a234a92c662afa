//! Responses of Auth0 to the Management API client.

use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use uie_auth0::{Backoff, ExportField, ExportJobRequest, JobErrors, JobFormat, ManagementClient, UserSearch};
use uie_core::config::TenantHost;
use uie_core::error::{Code, Error};

use crate::fixture::assert_displayable;
use crate::stub_server::StubServer;

thread_local! {
    static TENANT: (StubServer, ManagementClient) = {
        let server = StubServer::new();
        let host = TenantHost::parse(&server.origin()).expect("a host");
        let client = ManagementClient::with_token(&host, SecretString::from("token"), Timestamp::MAX)
            .expect("a client")
            // One attempt per request.
            .with_retry_timeout(Duration::ZERO)
            .with_backoff(Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(1) });
        (server, client)
    };
}

const STATUSES: [u16; 16] = [200, 200, 200, 200, 201, 202, 204, 301, 400, 401, 403, 404, 409, 429, 500, 503];

const HEADERS: [&str; 8] = [
    "content-type: application/json\r\n",
    "",
    "retry-after: 7\r\n",
    "retry-after: 99999999999999999999\r\n",
    "retry-after: Wed, 21 Oct 2099 07:28:00 GMT\r\n",
    "x-ratelimit-reset: 18446744073709551615\r\ndate: Wed, 21 Oct 2015 07:28:00 GMT\r\n",
    "x-ratelimit-reset: -1\r\nretry-after: Thu, 01 Jan 1970 00:00:00 GMT\r\n",
    "content-type: text/html; charset=iso-8859-1\r\nx-ratelimit-remaining: 0\r\n",
];

/// Personal data that may be in a response but never in an error about an invalid response.
const PERSONAL: &str = "ada@example.com";

const ID: &str = "con_0123456789abcdef";

/// Input: three bytes that select the call, the status and the headers of the response; then its body.
///
/// Invariants: after one attempt the client returns a parsed response or a displayable error. An error about an invalid
/// response quotes nothing of it.
pub fn auth0_answers(data: &[u8]) {
    let Some((&[call, status, headers], body)) = data.split_first_chunk() else { return };
    let status = STATUSES[usize::from(status) % STATUSES.len()];
    TENANT.with(|(server, client)| {
        server.set_response(status, HEADERS[usize::from(headers) % HEADERS.len()], body);
        server.run(call_client(call % 10, status, body, client));
    });
}

async fn call_client(call: u8, status: u16, body: &[u8], client: &ManagementClient) {
    match call {
        0 => {
            let search = UserSearch { q: "email:*".to_owned(), per_page: 10, ..UserSearch::default() };
            if let Some(page) = ok_or_check_error(client.users(&search).await) {
                for user in page.users {
                    serde_json::from_str::<serde::de::IgnoredAny>(user.get()).expect("a user is JSON");
                }
            }
        }
        1 => drop(ok_or_check_error(client.user("auth0|1/?#").await)),
        2 => drop(ok_or_check_error(client.users_by_email("a+b@example.com").await)),
        3 => {
            if let Some(job) = ok_or_check_error(client.job("job_0123456789abcdef").await) {
                let text = serde_json::to_vec(&job).expect("a job is JSON");
                let again: uie_auth0::Job = serde_json::from_slice(&text).expect("a job");
                assert_eq!(again.status, job.status);
            }
        }
        4 => match ok_or_check_error(client.job_errors("job_0123456789abcdef").await) {
            Some(JobErrors::None) => assert!(status == 204 || body.is_empty()),
            Some(JobErrors::Users(_)) => assert!(body.trim_ascii_start().starts_with(b"[")),
            Some(JobErrors::Job(_)) => assert!(!body.trim_ascii_start().starts_with(b"[")),
            None => {}
        },
        5 => {
            if let Some(connections) = ok_or_check_error(client.connections(Some("auth0")).await) {
                let mut ids: Vec<_> = connections.iter().map(|connection| &connection.id).collect();
                ids.sort_unstable();
                ids.dedup();
                assert_eq!(ids.len(), connections.len(), "a connection is listed twice");
            }
        }
        6 => drop(ok_or_check_error(client.connection(ID).await)),
        7 => drop(ok_or_check_error(client.importable_connection(ID).await)),
        8 => {
            let field = ExportField { name: "email".to_owned(), export_as: None };
            let request =
                ExportJobRequest { connection_id: None, format: JobFormat::Json, limit: None, fields: vec![field] };
            drop(ok_or_check_error(client.create_export_job(&request).await));
        }
        _ => {
            use futures_util::TryStreamExt;
            let location = client.host().url("/file");
            if let Some(download) = ok_or_check_error(client.download(&location).await) {
                let parts: Vec<bytes::Bytes> = download.bytes.try_collect().await.expect("the whole body");
                let expected: &[u8] = if status == 204 { &[] } else { body };
                assert_eq!(parts.concat(), expected);
            }
        }
    }
}

/// Returns the value, or checks the error and returns `None`.
fn ok_or_check_error<T>(answer: Result<T, Error>) -> Option<T> {
    match answer {
        Ok(value) => Some(value),
        Err(error) => {
            assert_displayable(&error);
            let own = matches!(error.code, Code::Auth0Answer | Code::Auth0AnswerLost);
            assert!(!own || !error.message.contains(PERSONAL), "the error quotes the response: {error}");
            None
        }
    }
}
