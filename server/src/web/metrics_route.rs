//! `GET /metrics`: metrics for Prometheus, for programs with the token and, without a public URL, on this machine.

use std::net::IpAddr;

use actix_web::http::header::{AUTHORIZATION, FORWARDED, HOST, HeaderName, VIA};
use actix_web::http::uri::Authority;
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use secrecy::ExposeSecret;

use super::app::App;
use super::authorization::PublicAccess;
use super::error_response::{ApiError, not_found, not_found_response};
use super::resource::get_resource;
use uie_core::encryption::constant_time_eq;
use uie_core::error::{Code, Error, Result};
use uie_core::message::message;

/// Adds `/metrics` to a dedicated listener, which answers 404 to all other paths.
pub(super) fn configure_dedicated(config: &mut ServiceConfig) {
    config
        .app_data(Data::new(DedicatedListener))
        .service(get_resource("/metrics", read))
        .default_service(web::to(not_found_response));
}

/// Marks the listener of `METRICS_ADDRESS`.
struct DedicatedListener;

/// Returns the metrics in the text format of Prometheus. With a public URL they need `METRICS_TOKEN`; otherwise
/// programs on the server's machine can read them without it.
#[utoipa::path(get, path = "/metrics", tag = "operation", operation_id = "metrics_read",
    responses((status = 200, content_type = "text/plain"), (status = 401, body = uie_core::error::ErrorBody),
              (status = 404, body = uie_core::error::ErrorBody)))]
pub(super) async fn read(
    _access: PublicAccess,
    request: HttpRequest,
    app: Data<App>,
) -> std::result::Result<HttpResponse, ApiError> {
    authorize(&request, &app)?;
    app.metrics.set_jobs(&app.jobs.counts().await?, app.jobs.running());
    app.metrics.update();
    Ok(HttpResponse::Ok().content_type(prometheus::TEXT_FORMAT).body(app.metrics.text()?))
}

/// Headers that a proxy adds to a request, beside `X-Forwarded-*`.
const PROXIED: [HeaderName; 3] = [FORWARDED, VIA, HeaderName::from_static("x-real-ip")];

/// Accepts a request with the token or, if no token is needed, a request of a program on this machine.
///
/// With a public URL requests come through a proxy, which may be on this machine. So the token is needed, and without
/// one in the settings the response is 404. The listener of `METRICS_ADDRESS` is not behind the proxy; it needs no
/// token unless one is set.
fn authorize(request: &HttpRequest, app: &App) -> Result<()> {
    let settings = &app.settings;
    let bearer_token = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    if let (Some(bearer_token), Some(token)) = (bearer_token, &settings.metrics_token)
        && constant_time_eq(bearer_token, token.expose_secret())
    {
        return Ok(());
    }
    let is_dedicated = request.app_data::<Data<DedicatedListener>>().is_some();
    let (needs_token, listener) = match settings.metrics_address {
        Some(address) if is_dedicated => (settings.metrics_token.is_some(), address.ip()),
        _ => (settings.base_url.is_some(), settings.host),
    };
    if needs_token && settings.metrics_token.is_none() {
        let hint = message!("Set METRICS_TOKEN, or METRICS_ADDRESS for a dedicated listener.");
        return Err(not_found(request).with_hint(hint));
    }
    if !needs_token && bearer_token.is_none() && is_local(request, listener) {
        return Ok(());
    }
    let message = message!("The metrics need METRICS_TOKEN, or a direct request from this machine.");
    Err(Error::new(Code::CredentialsRequired, message)
        .with_hint(message!("Send the header `Authorization: Bearer <METRICS_TOKEN>`.")))
}

/// Returns whether a program on this machine sent the request directly: without a proxy, and with a host name of this
/// machine. After DNS rebinding, a browser sends the name of the other site as host.
fn is_local(request: &HttpRequest, listener: IpAddr) -> bool {
    let headers = request.headers();
    let proxied = headers.keys().any(|name| PROXIED.contains(name) || name.as_str().starts_with("x-forwarded-"));
    let is_loopback = |ip: IpAddr| ip.to_canonical().is_loopback();
    let names_this_machine = |authority: &str| {
        let host = authority.parse::<Authority>().ok();
        let host = host.as_ref().map_or("", Authority::host).trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost")
            || host.parse::<IpAddr>().is_ok_and(|ip| is_loopback(ip) || ip == listener)
    };
    let hosts = headers.get_all(HOST).map(|host| host.to_str().unwrap_or_default());
    let hosts = hosts.chain(request.uri().authority().map(Authority::as_str));
    request.peer_addr().is_some_and(|peer| is_loopback(peer.ip()))
        && !proxied
        && hosts.into_iter().all(names_this_machine)
}
