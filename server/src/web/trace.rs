//! The span of a request, under which everything is logged that happens on its behalf.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::{Error, HttpMessage};
use tracing::Span;
use tracing::field::{Empty, display};
use tracing_actix_web::{RequestId, RootSpanBuilder};

use crate::error::Code;

/// Names a request in the log: its id, method, route and status.
///
/// Unlike the default it leaves out the path, which holds names that people chose, the query, which holds
/// authorization codes, tickets and searches for people, the text of an error, which quotes both, and
/// whatever else says who asked from where.
#[derive(Debug)]
pub struct RequestSpan;

impl RootSpanBuilder for RequestSpan {
    fn on_request_start(request: &ServiceRequest) -> Span {
        let id = request.extensions().get::<RequestId>().copied();
        // Of the level that no filter leaves out: without it a line could not be found by its request's id.
        let span = tracing::error_span!(
            "request",
            request_id = Empty,
            method = method(request),
            route = route(request.match_pattern()),
            status = Empty,
        );
        if let Some(id) = id {
            span.record("request_id", display(id));
        }
        span
    }

    fn on_request_end<B: MessageBody>(span: Span, outcome: &Result<ServiceResponse<B>, Error>) {
        let status = match outcome {
            Ok(response) => response.status(),
            Err(error) => error.as_response_error().status_code(),
        };
        span.record("status", status.as_u16());
    }
}

/// The method, as far as it is a known one.
pub(super) fn method(request: &ServiceRequest) -> &'static str {
    const KNOWN: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == request.method().as_str()).unwrap_or("other")
}

/// The pattern of a route, where there is one.
pub(super) fn route(pattern: Option<String>) -> String {
    pattern.unwrap_or_else(|| "none".to_owned())
}

/// Notes a failure of the server, a refusal, or a limit that was reached, so that whoever is told the id of
/// the request finds out what it came to. The text of the error stays with whoever asked: it may quote what
/// they sent.
pub(super) fn note(status: StatusCode, code: Option<Code>) {
    let code = code.map_or("none", Code::as_str);
    let status = status.as_u16();
    match status {
        500.. => tracing::error!(status, code, "a request failed"),
        401 | 403 | 429 => tracing::info!(status, code, "a request was refused"),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex, PoisonError};

    use actix_web::middleware::from_fn;
    use actix_web::test::{TestRequest, call_service, init_service};
    use actix_web::{App, HttpResponse, web};
    use tracing_actix_web::TracingLogger;

    use super::*;
    use crate::web::ApiError;
    use crate::web::metrics::count;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[actix_web::test]
    async fn a_log_line_names_the_request_but_not_its_path_query_or_sender() {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().json().with_writer(move || writer.clone()).finish();
        let guard = tracing::subscriber::set_default(subscriber);
        let handler = || async {
            tracing::info!("handled");
            HttpResponse::Ok().finish()
        };
        let app = App::new().wrap(TracingLogger::<RequestSpan>::new()).route("/presets/{name}", web::get().to(handler));
        let service = init_service(app).await;
        let request = TestRequest::get()
            .uri("/presets/marked-name?code=marked-code&state=marked-state")
            .insert_header(("user-agent", "marked-agent"))
            .insert_header(("x-forwarded-for", "192.0.2.7"));
        call_service(&service, request.to_request()).await;
        drop(guard);
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let line: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(line["fields"]["message"], "handled");
        assert_eq!(line["span"]["route"], "/presets/{name}");
        assert_eq!(line["span"]["method"], "GET");
        assert!(line["span"]["request_id"].as_str().is_some_and(|id| id.len() == 36), "{line}");
        assert!(!text.contains("marked") && !text.contains("192.0.2.7"), "{text}");
    }

    #[actix_web::test]
    async fn even_a_log_of_errors_alone_says_which_request_failed_and_how_but_not_with_what_text() {
        let log = Log::default();
        let writer = log.clone();
        let subscriber =
            tracing_subscriber::fmt().json().with_max_level(tracing::Level::ERROR).with_writer(move || writer.clone());
        let guard = tracing::subscriber::set_default(subscriber.finish());
        let failing = |_: web::Path<String>| async {
            Err::<HttpResponse, _>(ApiError(crate::error::Error::new(Code::Storage, "marked-text")))
        };
        let app = App::new()
            .wrap(from_fn(count))
            .wrap(TracingLogger::<RequestSpan>::new())
            .route("/presets/{name}", web::get().to(failing));
        let service = init_service(app).await;
        let reply = call_service(&service, TestRequest::get().uri("/presets/marked-name").to_request()).await;
        call_service(&service, TestRequest::get().uri("/marked-elsewhere").to_request()).await;
        drop(guard);
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let line: serde_json::Value = serde_json::from_str(&text).expect("one line, of what failed");
        assert_eq!((reply.status(), &line["level"]), (StatusCode::INTERNAL_SERVER_ERROR, &"ERROR".into()));
        assert_eq!((&line["fields"]["status"], &line["fields"]["code"]), (&500.into(), &"storage".into()));
        assert_eq!(line["span"]["route"], "/presets/{name}");
        assert_eq!(line["span"]["request_id"].as_str(), reply.headers().get("x-request-id").unwrap().to_str().ok());
        assert!(!text.contains("marked"), "{text}");
    }
}
