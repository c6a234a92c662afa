//! Listeners, routes, and the middleware of every request: rate limits, faults, the record.

use std::any::Any;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Extensions, Server, ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::{Next, from_fn};
use actix_web::{App, HttpMessage, HttpResponse, HttpServer, ResponseError, web};
use bytes::Bytes;

use crate::faults::{Fault, FaultKind};
use crate::limits::{BucketState, Endpoint};
use crate::record::{Client, Recorded, RecordedBody};
use crate::reply::ApiError;
use crate::state::{ActiveFaults, State};
use crate::{control, login, management, openapi};

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// A second handle to the client's connection, to close it abruptly.
struct ConnectionHandle(TcpStream);

impl ConnectionHandle {
    fn remember(connection: &dyn Any, extensions: &mut Extensions) {
        use actix_web::rt::net::TcpStream as Plain;
        type Tls = actix_tls::accept::rustls_0_23::TlsStream<Plain>;
        let plain =
            connection.downcast_ref::<Plain>().or_else(|| connection.downcast_ref::<Tls>().map(|tls| tls.get_ref().0));
        if let Some(Ok(copy)) = plain.map(|plain| plain.as_fd().try_clone_to_owned()) {
            extensions.insert(Arc::new(ConnectionHandle(TcpStream::from(copy))));
        }
    }

    fn cut(&self) {
        if let Err(error) = self.0.shutdown(Shutdown::Both) {
            tracing::debug!(%error, "the client had closed the connection already");
        }
    }
}

/// Binds the listeners and builds the server.
pub(crate) fn bind(state: &web::Data<State>, tls: Option<rustls::ServerConfig>) -> std::io::Result<Server> {
    let (port, tls_port) = (state.settings.port, state.settings.tls_port);
    let shared = state.clone();
    let mut server = HttpServer::new(move || {
        App::new()
            .app_data(shared.clone())
            .wrap(from_fn(every_request))
            .service(web::scope("/api/v2").configure(management::routes))
            .service(web::scope("/control").configure(control::routes))
            .route("/exports/{job}/{file}", web::get().to(management::download))
            .configure(login::routes)
    })
    .workers(2)
    .disable_signals()
    .shutdown_timeout(1)
    .on_connect(ConnectionHandle::remember)
    .bind(("127.0.0.1", port))?;
    if let (Some(port), Some(tls)) = (tls_port, tls) {
        server = server.bind_rustls_0_23(("127.0.0.1", port), tls)?;
    }
    for (address, scheme) in server.addrs_with_scheme() {
        let url = format!("{scheme}://127.0.0.1:{}", address.port());
        let slot = if scheme == "https" { &state.tls_url } else { &state.url };
        slot.get_or_init(|| url);
    }
    Ok(server.run())
}

async fn every_request(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let Some(state) = request.app_data::<web::Data<State>>().cloned() else {
        return next.call(request).await.map(ServiceResponse::map_into_boxed_body);
    };
    let wire = request.conn_data::<Arc<ConnectionHandle>>().cloned();
    let mut record = recorded(&request, &state);
    let hits = match record.client {
        Client::Control => Vec::new(),
        _ => state.faults.hit(&record.method, &record.path),
    };
    let standing = match record.client {
        Client::Management => {
            let path = record.path.strip_prefix("/api/v2").unwrap_or_default();
            state.limits.take(Endpoint::of(&record.method, path), state.clock.now())
        }
        _ => None,
    };
    for delay in hits.iter().filter_map(Fault::delay) {
        actix_web::rt::time::sleep(delay).await;
    }
    if hits.contains(&FaultKind::ExpireTokens) {
        state.keys.expire_tokens();
    }
    if hits.contains(&FaultKind::DropBefore) {
        state.log.push(record);
        cut(wire.as_deref());
        return Ok(request.into_response(HttpResponse::BadGateway().finish()));
    }

    let mut response = if let Some(refusal) = refusal(&hits, standing, state.clock.seconds()) {
        request.into_response(refusal.error_response())
    } else {
        request.extensions_mut().insert(ActiveFaults(hits.clone()));
        let response = next.call(request).await?.map_into_boxed_body();
        record.body = response.request().extensions_mut().remove::<RecordedBody>().map(|body| body.0);
        response
    };
    if let Some(standing) = standing {
        rate_headers(response.headers_mut(), standing);
    }
    if let Ok(date) = HeaderValue::from_str(&state.clock.http_date()) {
        response.headers_mut().insert(header::DATE, date);
    }
    if hits.contains(&FaultKind::DropAfter) {
        state.log.push(record);
        cut(wire.as_deref());
        return Ok(response);
    }
    record.status = response.status().as_u16();
    if record.client != Client::Control {
        state.log.push(record);
    }
    let cut = hits.iter().find_map(|hit| match hit {
        FaultKind::Truncate { bytes } => Some((*bytes, End::Breaks)),
        FaultKind::Shorten { bytes } => Some((*bytes, End::LooksComplete)),
        FaultKind::Stall { bytes } => Some((*bytes, End::NeverComes)),
        _ => None,
    });
    let pause = hits.iter().find_map(|hit| match hit {
        FaultKind::SlowBody { millis } => Some(Duration::from_millis(*millis)),
        _ => None,
    });
    let replaced = hits.iter().find_map(|hit| match hit {
        FaultKind::ReplaceBody { content_type, body } => Some((content_type.clone(), body.clone())),
        _ => None,
    });
    let response = match replaced {
        None => response,
        Some((content_type, body)) => {
            let mut reply = actix_web::HttpResponse::Ok();
            if let Some(content_type) = content_type {
                reply.insert_header((header::CONTENT_TYPE, content_type));
            }
            response.into_response(reply.body(body))
        }
    };
    let response = match cut {
        None => response,
        Some((left, end)) => response.map_body(|_, body| BoxBody::new(Cut { body, left, end, breaking: None })),
    };
    Ok(match pause {
        None => response,
        Some(pause) => response.map_body(|_, body| BoxBody::new(Slow { body, pause, waiting: None })),
    })
}

fn recorded(request: &ServiceRequest, state: &State) -> Recorded {
    let text = |name: header::HeaderName| {
        request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let (method, path, query) = (request.method().as_str(), request.path(), request.query_string());
    Recorded {
        at: state.clock.now(),
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        client: Client::of(path),
        status: 0,
        authorized: request.headers().contains_key(header::AUTHORIZATION),
        user_agent: text(header::USER_AGENT),
        range: Some(text(header::RANGE)).filter(|range| !range.is_empty()),
        body: None,
        violations: if state.settings.strict { openapi::violations(method, path, query) } else { Vec::new() },
    }
}

fn cut(wire: Option<&ConnectionHandle>) {
    if let Some(wire) = wire {
        wire.cut();
    }
}

/// Returns the error of a fault or a rate limit that replaces the response, if any.
fn refusal(hits: &[FaultKind], standing: Option<BucketState>, now: i64) -> Option<ApiError> {
    for hit in hits {
        match hit {
            FaultKind::RateLimit { reset_after, retry_after } => {
                return Some(limited(
                    BucketState { limit: 10, remaining: 0, reset: now + i64::from(*reset_after), allowed: false },
                    retry_after.then_some(*reset_after),
                ));
            }
            FaultKind::ActiveImports => return Some(management::active_imports(2)),
            FaultKind::ServerError => {
                return Some(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, None, "Internal error."));
            }
            FaultKind::Unavailable => {
                return Some(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, None, "Service Unavailable"));
            }
            FaultKind::SlowQuery => return Some(management::slow_query()),
            FaultKind::Forbidden => {
                return Some(ApiError::new(
                    StatusCode::FORBIDDEN,
                    Some("insufficient_scope"),
                    "Insufficient scope, the tenant's owner does not allow this.",
                ));
            }
            FaultKind::Refuse { message } => {
                let error = ApiError::new(StatusCode::FORBIDDEN, Some("insufficient_scope"), message);
                return Some(error.with_description());
            }
            _ => {}
        }
    }
    standing.filter(|standing| !standing.allowed).map(|standing| {
        let wait = u32::try_from((standing.reset - now).max(1)).unwrap_or(1);
        limited(standing, Some(wait))
    })
}

fn limited(standing: BucketState, retry_after: Option<u32>) -> ApiError {
    let mut error = ApiError::too_many(
        "Too many requests. Check the X-RateLimit-Limit, X-RateLimit-Remaining and X-RateLimit-Reset headers.",
    );
    for (name, value) in rate_values(standing) {
        error = error.with_header(name, value);
    }
    match retry_after {
        Some(seconds) => error.with_header(header::RETRY_AFTER, HeaderValue::from(seconds)),
        None => error,
    }
}

fn rate_values(standing: BucketState) -> [(HeaderName, HeaderValue); 3] {
    [
        (LIMIT, HeaderValue::from(standing.limit)),
        (REMAINING, HeaderValue::from(standing.remaining)),
        (RESET, HeaderValue::from(standing.reset)),
    ]
}

/// Adds the rate limit headers, unless a fault has set them.
fn rate_headers(headers: &mut HeaderMap, standing: BucketState) {
    if !headers.contains_key(LIMIT) {
        for (name, value) in rate_values(standing) {
            headers.insert(name, value);
        }
    }
}

/// A body that is sent in parts, with a pause before each.
struct Slow {
    body: BoxBody,
    pause: Duration,
    waiting: Option<Pin<Box<actix_web::rt::time::Sleep>>>,
}

impl MessageBody for Slow {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let pause = self.pause;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(actix_web::rt::time::sleep(pause)));
        std::task::ready!(waiting.as_mut().poll(context));
        let piece = std::task::ready!(Pin::new(&mut self.body).poll_next(context));
        self.waiting = None;
        Poll::Ready(piece)
    }
}

/// How a body ends after its last byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Breaks,
    LooksComplete,
    NeverComes,
}

/// A body of which only the first bytes are sent.
struct Cut {
    body: BoxBody,
    left: u64,
    end: End,
    breaking: Option<Pin<Box<actix_web::rt::time::Sleep>>>,
}

/// The time to flush the written bytes before the connection is broken.
const FLUSH: Duration = Duration::from_millis(50);

impl MessageBody for Cut {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        match self.end {
            // A content length would reveal the truncation.
            End::LooksComplete => BodySize::Stream,
            // The length of the whole body, so that the client can detect the truncation.
            End::Breaks | End::NeverComes => self.body.size(),
        }
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        if self.left == 0 {
            return match self.end {
                End::Breaks => {
                    let flushing = self.breaking.get_or_insert_with(|| Box::pin(actix_web::rt::time::sleep(FLUSH)));
                    std::task::ready!(flushing.as_mut().poll(context));
                    Poll::Ready(Some(Err("truncated on purpose".into())))
                }
                End::LooksComplete => Poll::Ready(None),
                End::NeverComes => Poll::Pending,
            };
        }
        let chunk = match Pin::new(&mut self.body).poll_next(context) {
            Poll::Ready(Some(Ok(chunk))) => chunk,
            other => return other,
        };
        let kept = chunk.slice(..usize::try_from(self.left).unwrap_or(usize::MAX).min(chunk.len()));
        self.left -= kept.len() as u64;
        Poll::Ready(Some(Ok(kept)))
    }
}
