//! What is recorded about a request: its tracing span, its metrics, and the log line of a failed or refused request.

use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpMessage};
use tracing::Span;
use tracing::field::Empty;
use tracing_actix_web::{RequestId, RootSpanBuilder};

use super::app::App;
use super::error_response::ApiError;
use uie_core::error::Code;

/// Builds the span of a request with its id, method, route and status.
///
/// Unlike the default it does not contain personal data and secrets: the path (names that users chose), the query
/// (authorization codes, tickets, searches for people), the text of an error (which quotes both), and the sender.
#[derive(Debug)]
pub struct RequestSpan;

impl RootSpanBuilder for RequestSpan {
    fn on_request_start(request: &ServiceRequest) -> Span {
        let id = request.extensions().get::<RequestId>().copied();
        // Error level, so that no filter removes the span: log lines are found by the request's id.
        tracing::error_span!(
            "request",
            request_id = id.map(display),
            method = method_label(request),
            route = route_label(request.match_pattern()),
            status = Empty,
        )
    }

    fn on_request_end<B: MessageBody>(span: Span, outcome: &Result<ServiceResponse<B>, Error>) {
        let status = match outcome {
            Ok(response) => response.status(),
            Err(error) => error.as_response_error().status_code(),
        };
        span.record("status", status.as_u16());
    }
}

/// Returns the method of a request, or `other` for an unknown one.
fn method_label(request: &ServiceRequest) -> &'static str {
    const KNOWN: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == request.method().as_str()).unwrap_or("other")
}

/// Returns the pattern of a route, or `none` if no route matches.
fn route_label(pattern: Option<String>) -> String {
    pattern.unwrap_or_else(|| "none".to_owned())
}

/// Logs the status and error code of a failed or refused request, so that the operator finds its result by the
/// request's id. The message of the error is not logged, because it may quote the request.
fn log_failure(status: StatusCode, code: Option<Code>) {
    let code = code.map_or("none", Code::as_str);
    let status = status.as_u16();
    match status {
        500.. => tracing::error!(status, code, "a request failed"),
        401 | 403 | 429 => tracing::info!(status, code, "a request was refused"),
        _ => {}
    }
}

/// Response header with the request's id in the log, so that users can report it.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Middleware that counts a request by the pattern of its route, because paths contain ids, adds its id to the
/// response, and logs a failed or refused request.
pub(super) async fn observe_request(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let started = Instant::now();
    let metrics = request.app_data::<Data<App>>().map(|app| app.metrics.clone());
    let method = method_label(&request);
    let id = request.extensions().get::<RequestId>().and_then(|id| HeaderValue::try_from(id.to_string()).ok());
    let mut outcome = next.call(request).await;
    if let (Ok(response), Some(id)) = (&mut outcome, id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    let (status, code, pattern) = match &outcome {
        Ok(response) => {
            let code = response.response().extensions().get::<Code>().copied();
            (response.status(), code, response.request().match_pattern())
        }
        Err(error) => {
            (error.as_response_error().status_code(), error.as_error::<ApiError>().map(|error| error.0.code), None)
        }
    };
    log_failure(status, code);
    if let Some(metrics) = metrics {
        let route = route_label(pattern);
        metrics.count_request(method, &route, status.as_str(), started.elapsed());
    }
    outcome
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
    async fn an_error_log_has_the_request_and_the_code_but_not_the_message() {
        let log = Log::default();
        let writer = log.clone();
        let subscriber =
            tracing_subscriber::fmt().json().with_max_level(tracing::Level::ERROR).with_writer(move || writer.clone());
        let guard = tracing::subscriber::set_default(subscriber.finish());
        let failing = |_: web::Path<String>| async {
            Err::<HttpResponse, _>(ApiError(uie_core::error::Error::new(
                Code::Storage,
                uie_core::message::Message::verbatim("marked-text"),
            )))
        };
        let app = App::new()
            .wrap(from_fn(observe_request))
            .wrap(TracingLogger::<RequestSpan>::new())
            .route("/presets/{name}", web::get().to(failing));
        let service = init_service(app).await;
        let reply = call_service(&service, TestRequest::get().uri("/presets/marked-name").to_request()).await;
        call_service(&service, TestRequest::get().uri("/marked-other").to_request()).await;
        drop(guard);
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let line: serde_json::Value = serde_json::from_str(&text).expect("one line, for the failed request");
        assert_eq!((reply.status(), &line["level"]), (StatusCode::INTERNAL_SERVER_ERROR, &"ERROR".into()));
        assert_eq!((&line["fields"]["status"], &line["fields"]["code"]), (&500.into(), &"storage".into()));
        assert_eq!(line["span"]["route"], "/presets/{name}");
        assert_eq!(line["span"]["request_id"].as_str(), reply.headers().get("x-request-id").unwrap().to_str().ok());
        assert!(!text.contains("marked"), "{text}");
    }
}
