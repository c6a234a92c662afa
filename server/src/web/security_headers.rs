//! Adds security headers to every response, including errors.

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    CACHE_CONTROL, CROSS_ORIGIN_OPENER_POLICY, CROSS_ORIGIN_RESOURCE_POLICY, HeaderName, HeaderValue,
    X_CONTENT_TYPE_OPTIONS,
};
use actix_web::middleware::Next;

/// Middleware that adds these headers unless a handler has set them:
///
/// - `Cache-Control: no-store`. Only assets set another value.
/// - `X-Content-Type-Options: nosniff`.
/// - `Cross-Origin-Resource-Policy: same-origin`. Pages of other origins cannot load resources of this server.
/// - `Cross-Origin-Opener-Policy`, see [`opener_policy`].
pub(super) async fn add_headers(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let opener = opener_policy(request.path());
    let mut response = next.call(request).await?;
    let headers = response.headers_mut();
    let mut add = |name: HeaderName, value: &'static str| {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    };
    add(CACHE_CONTROL, "no-store");
    add(X_CONTENT_TYPE_OPTIONS, "nosniff");
    add(CROSS_ORIGIN_RESOURCE_POLICY, "same-origin");
    add(CROSS_ORIGIN_OPENER_POLICY, opener);
    Ok(response)
}

/// Returns the default opener policy of a path below the base path.
///
/// A page whose session has ended opens `/login?popup=1` in a window. That window continues to the login tenant,
/// returns to `/login/callback` and sends the token to its opener. So the login routes, including redirects, keep their
/// opener, and the pages (`pages.rs`) keep access to windows that they open. No other route needs other windows.
fn opener_policy(path: &str) -> &'static str {
    match path {
        "/login" | "/login/callback" => "unsafe-none",
        _ => "same-origin",
    }
}
