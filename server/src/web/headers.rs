//! Security headers that every answer has, errors included.

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    CACHE_CONTROL, CROSS_ORIGIN_OPENER_POLICY, CROSS_ORIGIN_RESOURCE_POLICY, HeaderName, HeaderValue,
    X_CONTENT_TYPE_OPTIONS,
};
use actix_web::middleware::Next;

/// Middleware that adds what a handler did not set:
///
/// - `Cache-Control: no-store`: only assets set another value.
/// - `X-Content-Type-Options: nosniff`.
/// - `Cross-Origin-Resource-Policy: same-origin`: pages of other origins cannot load anything from here.
/// - `Cross-Origin-Opener-Policy`, by [`opener_policy`].
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

/// The opener policy of a path below the base path, where its handler sets none.
///
/// A page opens `/login?popup=1` in a window when its session has ended. That window goes on to the login tenant,
/// comes back to `/login/callback` and hands the token to its opener. So the login routes, redirects included, keep
/// their opener, and the pages (`pages.rs`) keep the windows that they open. Nothing else needs other windows.
fn opener_policy(path: &str) -> &'static str {
    match path {
        "/login" | "/login/callback" => "unsafe-none",
        _ => "same-origin",
    }
}
