//! The span of a request, under which everything is logged that happens on its behalf.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::{Error, HttpMessage};
use tracing::Span;
use tracing::field::{Empty, display};
use tracing_actix_web::{RequestId, RootSpanBuilder};

/// Names a request in the log: its id, method, path and outcome.
///
/// Unlike the default it leaves out the query, which holds authorization codes, tickets and searches
/// for people, and whatever else says who asked from where.
#[derive(Debug)]
pub struct RequestSpan;

impl RootSpanBuilder for RequestSpan {
    fn on_request_start(request: &ServiceRequest) -> Span {
        let id = request.extensions().get::<RequestId>().copied();
        let span = tracing::info_span!(
            "request",
            request_id = Empty,
            method = %request.method(),
            path = request.path(),
            status = Empty,
            error = Empty,
        );
        if let Some(id) = id {
            span.record("request_id", display(id));
        }
        span
    }

    fn on_request_end<B: MessageBody>(span: Span, outcome: &Result<ServiceResponse<B>, Error>) {
        let (status, error) = match outcome {
            Ok(response) => (response.status(), response.response().error()),
            Err(error) => (error.as_response_error().status_code(), Some(error)),
        };
        span.record("status", status.as_u16());
        if let Some(error) = error {
            span.record("error", display(error));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex, PoisonError};

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
    async fn a_log_line_names_the_request_but_not_its_query_or_sender() {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().json().with_writer(move || writer.clone()).finish();
        let guard = tracing::subscriber::set_default(subscriber);
        let handler = || async {
            tracing::info!("handled");
            HttpResponse::Ok().finish()
        };
        let app = App::new().wrap(TracingLogger::<RequestSpan>::new()).route("/login/callback", web::get().to(handler));
        let service = init_service(app).await;
        let request = TestRequest::get()
            .uri("/login/callback?code=marked-code&state=marked-state")
            .insert_header(("user-agent", "marked-agent"))
            .insert_header(("x-forwarded-for", "192.0.2.7"));
        call_service(&service, request.to_request()).await;
        drop(guard);
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let line: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(line["fields"]["message"], "handled");
        assert_eq!(line["span"]["path"], "/login/callback");
        assert_eq!(line["span"]["method"], "GET");
        assert!(line["span"]["request_id"].as_str().is_some_and(|id| id.len() == 36), "{line}");
        assert!(!text.contains("marked") && !text.contains("192.0.2.7"), "{text}");
    }
}
