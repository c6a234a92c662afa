//! Login and logout in the browser (docs/auth0/login.md).

use std::collections::HashMap;

use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, COOKIE, ContentType, LOCATION};
use actix_web::web::{Data, Form, FormConfig, Query, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::json;
use tera::Context;

use super::super::templates::render;
use super::super::{ApiError, App};
use super::{PRIVATE, method_not_allowed, only};
use crate::access::{CookieKind, ExtensionCallback, LoginDone, STORAGE_KEY, TenantCallback};
use crate::config::Login;
use crate::error::{Code, Error, Result};

/// Largest form of a callback, bytes: two tokens of an admin with many scopes and roles.
pub(super) const LARGEST_FORM: usize = 64 * 1024;

/// Where the login tenant sends the browser back to.
pub(super) const CALLBACK: &str = "/login/callback";

pub(super) fn configure(config: &mut ServiceConfig) {
    config.service(only("/login", "GET").get(login));
    config.service(
        only(CALLBACK, "GET, POST")
            .app_data(FormConfig::default().limit(LARGEST_FORM))
            .get(tenant_callback)
            .post(extension_callback),
    );
    config.service(only("/logout", "GET").get(logout));
    config.service(
        only("/backchannel-logout", "POST")
            .app_data(FormConfig::default().limit(LARGEST_FORM))
            .post(backchannel_logout),
    );
}

/// Sends the browser to the login tenant. `?popup=1`: a framed page opened this window to sign in.
async fn login(request: HttpRequest, app: Data<App>) -> HttpResponse {
    let popup = url::form_urlencoded::parse(request.query_string().as_bytes())
        .any(|(name, value)| name == "popup" && matches!(value.as_ref(), "1" | "true"));
    match app.access.start_login(popup) {
        Ok(start) => {
            let mut reply = HttpResponse::Found();
            for header in PRIVATE {
                reply.insert_header(header);
            }
            for cookie in &start.cookies {
                reply.cookie(build_cookie(&app, cookie.name, cookie.value.clone(), cookie.kind));
            }
            reply.insert_header((LOCATION, start.location)).finish()
        }
        Err(error) => refusal(&request, &app, error, popup),
    }
}

/// The form the root tenant lets the browser post. It comes from another site by design: the cookies
/// of the login, and not the request's origin, prove that it belongs to this browser.
async fn extension_callback(
    request: HttpRequest,
    app: Data<App>,
    form: Result<Form<ExtensionCallback>, actix_web::Error>,
) -> HttpResponse {
    if app.settings.login != Login::Extension {
        return method_not_allowed("GET");
    }
    // A body that is no such form has no id_token: the first check answers.
    let form = form.map(Form::into_inner).unwrap_or_default();
    let cookies = cookies(&request, &app);
    let done = app.access.finish_extension_login(&form, |name| cookies.get(name).copied()).await;
    if let Ok(done) = &done {
        // Jobs that wait for this person's token go on with the new one.
        app.jobs.signed_in(&done.session).await;
    }
    finish(&request, &app, done, form.popup())
}

/// The redirect of the own tenant with its authorization code.
async fn tenant_callback(
    request: HttpRequest,
    app: Data<App>,
    query: Result<Query<TenantCallback>, actix_web::Error>,
) -> HttpResponse {
    if app.settings.login != Login::Tenant {
        return method_not_allowed("POST");
    }
    let query = query.map(Query::into_inner).unwrap_or_default();
    let cookies = cookies(&request, &app);
    let done = app.access.finish_tenant_login(&query, |name| cookies.get(name).copied()).await;
    finish(&request, &app, done, false)
}

/// Hands the session to the browser: to its storage, or in a popup to the page that opened it.
fn finish(request: &HttpRequest, app: &App, done: Result<LoginDone>, popup: bool) -> HttpResponse {
    let page = done.and_then(|done| {
        tracing::info!(session = done.session.id, "somebody signed in");
        let mut context = Context::new();
        context.insert("token", done.token.expose_secret());
        context.insert("key", STORAGE_KEY);
        context.insert("next", &*app.base_url);
        context.insert("origin", &origin(&app.base_url));
        context.insert("popup", &done.popup);
        document("login_done.html", context, StatusCode::OK, "'none'")
    });
    match page {
        Ok(page) => clear_cookies(app, page),
        Err(error) => refusal(request, app, error, popup),
    }
}

/// Forgets the session and goes on to the login tenant's own logout (docs/auth0/login.md#logout).
async fn logout(request: HttpRequest, app: Data<App>) -> HttpResponse {
    let mut context = Context::new();
    context.insert("key", STORAGE_KEY);
    context.insert("next", &app.access.logout_url());
    match document("logout.html", context, StatusCode::OK, &app.settings.frame_ancestors) {
        Ok(page) => clear_cookies(&app, page),
        Err(error) => refusal(&request, &app, error, false),
    }
}

/// The form of a back-channel log-out.
#[derive(Deserialize)]
struct LogoutForm {
    logout_token: String,
}

/// Ends the sessions that a logout token of the login tenant names (OpenID Connect Back-Channel Logout 1.0, 2.5
/// to 2.8).
async fn backchannel_logout(app: Data<App>, form: Result<Form<LogoutForm>, actix_web::Error>) -> HttpResponse {
    let done = match form {
        Ok(form) => app.access.end_by_logout_token(&form.logout_token).await,
        Err(_) => Err(Error::new(Code::InvalidBody, "Must provide a form with a logout_token.")),
    };
    match done {
        Ok(sessions) => {
            tracing::info!(sessions, "the login tenant ended sessions");
            HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).finish()
        }
        Err(error) => {
            tracing::warn!(code = error.code.as_str(), "a back-channel log-out failed");
            let mut reply = HttpResponse::BadRequest();
            reply.insert_header((CACHE_CONTROL, "no-store"));
            let mut reply = reply.json(json!({"error": "invalid_request", "error_description": error.message}));
            reply.extensions_mut().insert(error.code);
            reply
        }
    }
}

/// What went wrong: a page for a browser, which meets these errors while people sign in, and JSON for
/// everybody else.
fn refusal(request: &HttpRequest, app: &App, error: Error, popup: bool) -> HttpResponse {
    if error.status() >= 500 || error.upstream.is_some() {
        // Not the person's doing: whoever runs the server has to know.
        tracing::error!(code = error.code.as_str(), "a login failed: {}", error.message);
    } else {
        tracing::info!(code = error.code.as_str(), "a login was refused");
    }
    let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if accept.contains("text/html") {
        let body = error.body();
        let mut context = Context::new();
        context.insert("title", if error.code == Code::NotAnAdmin { "You can't come in" } else { "Signing in failed" });
        context.insert("message", &body.message);
        context.insert("hint", &body.hint);
        context.insert("code", &body.error_code);
        let again = if popup { "/login?popup=1" } else { "/login" };
        context.insert("again", &format!("{}{again}", app.base_url));
        if let Ok(mut page) = document("login_error.html", context, status, "'none'") {
            page.extensions_mut().insert(error.code);
            return page;
        }
    }
    let mut reply = ApiError(error).error_response();
    for (name, value) in PRIVATE {
        reply.headers_mut().insert(name, actix_web::http::header::HeaderValue::from_static(value));
    }
    reply
}

/// An HTML page that can load nothing and run nothing but its own inline script and style.
fn document(template: &str, mut context: Context, status: StatusCode, frame_ancestors: &str) -> Result<HttpResponse> {
    let nonce = STANDARD.encode(rand::random::<[u8; 16]>());
    context.insert("nonce", &nonce);
    let html = render(template, &context)?;
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; form-action 'none'; \
         base-uri 'none'; frame-ancestors {frame_ancestors}"
    );
    let mut reply = HttpResponse::build(status);
    for header in PRIVATE {
        reply.insert_header(header);
    }
    Ok(reply.insert_header(ContentType::html()).insert_header((CONTENT_SECURITY_POLICY, policy)).body(html))
}

/// Origin of a URL, for `postMessage`.
fn origin(url: &str) -> String {
    url::Url::parse(url).map(|url| url.origin().ascii_serialization()).unwrap_or_default()
}

/// The login cookies of a request by their plain names. Where a name comes twice, the first counts: browsers send the
/// one with the longest path first (RFC 6265, 5.4), which is ours and not that of a neighbour on the same host.
fn cookies<'a>(request: &'a HttpRequest, app: &App) -> HashMap<&'static str, &'a str> {
    let names = app.access.login_cookies().iter().map(|(name, _)| (sent_name(&app.base_url, name), *name));
    let names: HashMap<String, &'static str> = names.collect();
    let mut cookies = HashMap::new();
    for header in request.headers().get_all(COOKIE).filter_map(|header| header.to_str().ok()) {
        for (name, value) in header.split(';').filter_map(|pair| pair.trim().split_once('=')) {
            if let Some(name) = names.get(name) {
                cookies.entry(*name).or_insert(value);
            }
        }
    }
    cookies
}

/// The name under which a login cookie is sent.
///
/// With https it has the prefix `__Host-`: browsers take such a cookie only from this very host, over TLS and with
/// the path `/`, so no other host of the domain can plant one. `__Secure-` would not prevent that. Several servers on
/// one host differ by their path, so a digest of a path other than `/` is part of the name.
///
/// With http, which is for this machine only, the names are those of the extension contract.
fn sent_name(base_url: &str, name: &str) -> String {
    if !is_https(base_url) {
        return name.to_owned();
    }
    let path = url::Url::parse(base_url).map(|url| url.path().trim_matches('/').to_owned()).unwrap_or_default();
    if path.is_empty() {
        return format!("__Host-{name}");
    }
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, path.as_bytes());
    let digest = digest.as_ref().iter().take(4).fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    format!("__Host-{name}-{digest}")
}

fn is_https(base_url: &str) -> bool {
    base_url.starts_with("https:")
}

fn build_cookie(app: &App, name: &'static str, value: String, kind: CookieKind) -> Cookie<'static> {
    let https = is_https(&app.base_url);
    let path = if https { "/".to_owned() } else { app.base_path() };
    let cookie = Cookie::build(sent_name(&app.base_url, name), value).path(path).http_only(true);
    match kind {
        CookieKind::CrossSite => cookie.secure(true).same_site(SameSite::None).finish(),
        // Old browsers reject `SameSite=None`, and not `Secure`, which the prefix of the name needs.
        CookieKind::Compat if https => cookie.secure(true).finish(),
        CookieKind::Compat => cookie.finish(),
        CookieKind::Lax => cookie.secure(https).same_site(SameSite::Lax).finish(),
    }
}

fn clear_cookies(app: &App, mut reply: HttpResponse) -> HttpResponse {
    for &(name, kind) in app.access.login_cookies() {
        let mut cookie = build_cookie(app, name, String::new(), kind);
        cookie.set_max_age(Duration::ZERO);
        cookie.set_expires(actix_web::cookie::time::OffsetDateTime::UNIX_EPOCH);
        // Names and values are ours and plain, so this cannot fail; if it did, a dead cookie would stay.
        if let Err(error) = reply.add_cookie(&cookie) {
            tracing::warn!(name, "A login cookie was not cleared: {error}");
        }
    }
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn login_cookies_have_the_host_prefix_with_https_only() {
        assert_eq!(sent_name("https://tools.example", "state"), "__Host-state");
        assert_eq!(sent_name("http://127.0.0.1:3000/ext", "state"), "state");
        let (one, other) =
            (sent_name("https://tools.example/a", "state"), sent_name("https://tools.example/b", "state"));
        assert!(
            one.starts_with("__Host-state-") && other.starts_with("__Host-state-") && one != other,
            "{one} {other}"
        );
    }
}
