//! Login and logout in the browser (docs/auth0/login.md).

use std::collections::HashMap;

use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, COOKIE, ContentType, HeaderName, HeaderValue, LOCATION,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{Data, Form, FormConfig, Query, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::json;
use tera::Context;

use crate::web::app::App;
use crate::web::error_response::{ApiError, method_not_allowed};
use crate::web::language::requested_language;
use crate::web::resource::resource;
use crate::web::route_limits::{BodyLimit, LOGIN_FORM_LIMIT};
use crate::web::templates::render_in;
use uie_access::{CookieKind, ExtensionCallback, LoginDone, STORAGE_KEY, TenantCallback};
use uie_core::config::Login;
use uie_core::error::{Code, Error, Result};
use uie_core::language::Language;
use uie_core::message::{Localize as _, message};

/// Headers of every response to a browser, against caching, content sniffing, and referrers to other sites.
const PRIVATE_HEADERS: [(HeaderName, &str); 3] =
    [(CACHE_CONTROL, "no-store"), (X_CONTENT_TYPE_OPTIONS, "nosniff"), (REFERRER_POLICY, "no-referrer")];

/// The body limit of the login callback.
pub(super) const BODY_LIMIT: (Method, &str, BodyLimit) = (Method::POST, "/login/callback", BodyLimit::LoginForm);

pub(super) fn configure(config: &mut ServiceConfig) {
    config.service(resource("/login", "GET").get(login));
    config.service(
        resource("/login/callback", "GET, POST")
            .app_data(FormConfig::default().limit(LOGIN_FORM_LIMIT))
            .get(tenant_callback)
            .post(extension_callback),
    );
    config.service(resource("/logout", "GET").get(logout));
    config.service(
        resource("/backchannel-logout", "POST")
            .app_data(FormConfig::default().limit(LOGIN_FORM_LIMIT))
            .post(backchannel_logout),
    );
}

/// Redirects the browser to the login tenant. `?popup=1` means that a framed page opened this window for the login.
async fn login(request: HttpRequest, app: Data<App>) -> HttpResponse {
    let popup = url::form_urlencoded::parse(request.query_string().as_bytes())
        .any(|(name, value)| name == "popup" && matches!(value.as_ref(), "1" | "true"));
    match app.access.start_login(popup) {
        Ok(start) => {
            let mut reply = HttpResponse::Found();
            for header in PRIVATE_HEADERS {
                reply.insert_header(header);
            }
            for cookie in &start.cookies {
                reply.cookie(build_cookie(&app, cookie.name, cookie.value.clone(), cookie.kind));
            }
            reply.insert_header((LOCATION, start.location)).finish()
        }
        Err(error) => login_failed(&request, &app, error, popup),
    }
}

/// Receives the form that the root tenant makes the browser post. It is cross-site by design: the cookies of the login,
/// not the origin of the request, prove that the login started in this browser.
async fn extension_callback(
    request: HttpRequest,
    app: Data<App>,
    form: Result<Form<ExtensionCallback>, actix_web::Error>,
) -> HttpResponse {
    if app.settings.login != Login::Extension {
        return method_not_allowed("GET");
    }
    // An invalid form is treated like an empty one: the first check fails because there is no id_token.
    let form = form.map(Form::into_inner).unwrap_or_default();
    let cookies = login_cookies(&request, &app);
    let done = app.access.finish_extension_login(&form, |name| cookies.get(name).copied()).await;
    if let Ok(done) = &done {
        // Jobs that wait for a token of this admin continue with the new one.
        app.jobs.handle_sign_in(&done.session.principal()).await;
    }
    complete_login(&request, &app, done, form.popup())
}

/// Receives the redirect of the managed tenant with the authorization code.
async fn tenant_callback(
    request: HttpRequest,
    app: Data<App>,
    query: Result<Query<TenantCallback>, actix_web::Error>,
) -> HttpResponse {
    if app.settings.login != Login::Tenant {
        return method_not_allowed("POST");
    }
    let query = query.map(Query::into_inner).unwrap_or_default();
    let cookies = login_cookies(&request, &app);
    let done = app.access.finish_tenant_login(&query, |name| cookies.get(name).copied()).await;
    complete_login(&request, &app, done, false)
}

/// Returns the page that stores the session token in the browser, or in a popup sends it to the page that opened it.
fn complete_login(request: &HttpRequest, app: &App, done: Result<LoginDone>, popup: bool) -> HttpResponse {
    let page = done.and_then(|done| {
        tracing::info!(session = done.session.id, "an admin signed in");
        let mut context = Context::new();
        context.insert("token", done.token.expose_secret());
        context.insert("key", STORAGE_KEY);
        context.insert("next", &*app.base_url);
        context.insert("origin", &origin(&app.base_url));
        context.insert("popup", &done.popup);
        render_page("login_done.html", context, requested_language(request), StatusCode::OK, "'none'")
    });
    match page {
        Ok(page) => clear_cookies(app, page),
        Err(error) => login_failed(request, app, error, popup),
    }
}

/// Returns the page that removes the session token and continues to the login tenant's logout
/// (docs/auth0/login.md#logout).
async fn logout(request: HttpRequest, app: Data<App>) -> HttpResponse {
    let mut context = Context::new();
    context.insert("key", STORAGE_KEY);
    context.insert("next", &app.access.logout_url());
    let language = requested_language(&request);
    match render_page("logout.html", context, language, StatusCode::OK, &app.settings.frame_ancestors) {
        Ok(page) => clear_cookies(&app, page),
        Err(error) => login_failed(&request, &app, error, false),
    }
}

/// The form of a back-channel logout.
#[derive(Deserialize)]
struct LogoutForm {
    logout_token: String,
}

/// Ends the sessions that a logout token of the login tenant names (OpenID Connect Back-Channel Logout 1.0, 2.5
/// to 2.8).
async fn backchannel_logout(app: Data<App>, form: Result<Form<LogoutForm>, actix_web::Error>) -> HttpResponse {
    let done = match form {
        Ok(form) => app.access.end_by_logout_token(&form.logout_token).await,
        Err(_) => Err(Error::new(Code::InvalidBody, message!("Must provide a form with a logout_token."))),
    };
    match done {
        Ok(sessions) => {
            tracing::info!(sessions, "the login tenant ended sessions");
            HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).finish()
        }
        Err(error) => {
            tracing::warn!(code = error.code.as_str(), "a back-channel logout failed");
            let mut reply = HttpResponse::BadRequest();
            reply.insert_header((CACHE_CONTROL, "no-store"));
            let mut reply = reply.json(json!({"error": "invalid_request", "error_description": error.message}));
            reply.extensions_mut().insert(error.code);
            reply
        }
    }
}

/// Returns the response for a failed login: a page for browsers, JSON for other clients.
fn login_failed(request: &HttpRequest, app: &App, error: Error, popup: bool) -> HttpResponse {
    if error.status() >= 500 || error.upstream.is_some() {
        // Not the user's fault, so the operator has to know.
        tracing::error!(code = error.code.as_str(), "a login failed: {}", error.message);
    } else {
        tracing::info!(code = error.code.as_str(), "a login was refused");
    }
    let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if accept.contains("text/html") {
        let language = requested_language(request);
        let mut body = error.body();
        body.localize(language);
        let title =
            if error.code == Code::NotAnAdmin { message!("Access denied") } else { message!("Signing in failed") };
        let mut context = Context::new();
        context.insert("title", &title.in_language(language));
        context.insert("message", &body.message);
        context.insert("hint", &body.hint);
        context.insert("code", &body.error_code);
        let retry_path = if popup { "/login?popup=1" } else { "/login" };
        context.insert("again", &format!("{}{retry_path}", app.base_url));
        if let Ok(mut page) = render_page("login_error.html", context, language, status, "'none'") {
            page.extensions_mut().insert(error.code);
            return page;
        }
    }
    let mut reply = ApiError(error).error_response();
    for (name, value) in PRIVATE_HEADERS {
        reply.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    reply
}

/// Renders an HTML page that may load nothing, and run only its own inline script and style.
fn render_page(
    template: &str,
    mut context: Context,
    language: Language,
    status: StatusCode,
    frame_ancestors: &str,
) -> Result<HttpResponse> {
    let nonce = STANDARD.encode(rand::random::<[u8; 16]>());
    context.insert("nonce", &nonce);
    context.insert("lang", language.tag());
    let html = render_in(language, template, &context)?;
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; form-action 'none'; \
         base-uri 'none'; frame-ancestors {frame_ancestors}"
    );
    let mut reply = HttpResponse::build(status);
    for header in PRIVATE_HEADERS {
        reply.insert_header(header);
    }
    Ok(reply.insert_header(ContentType::html()).insert_header((CONTENT_SECURITY_POLICY, policy)).body(html))
}

/// Returns the origin of a URL, for `postMessage`.
fn origin(url: &str) -> String {
    url::Url::parse(url).map(|url| url.origin().ascii_serialization()).unwrap_or_default()
}

/// Returns the login cookies of a request by their plain names. The first of two cookies with the same name is used:
/// browsers send the one with the longest path first (RFC 6265, 5.4), which is not that of another server on this host.
fn login_cookies<'a>(request: &'a HttpRequest, app: &App) -> HashMap<&'static str, &'a str> {
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

/// Returns the name under which a login cookie is sent.
///
/// With https it has the prefix `__Host-`: browsers accept such a cookie only from this host, over TLS and with the
/// path `/`, so that no other host of the domain can set it. `__Secure-` would not prevent that. Several servers on one
/// host have different paths, so the name contains a digest of a path other than `/`.
///
/// With http, which is for loopback hosts only, the names are those of the original extension.
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
        // Old browsers reject `SameSite=None`, but not `Secure`, which the prefix of the name requires.
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
        // Names and values are constants without special characters, so this does not fail. If it did, the cookie would
        // stay until the browser ends.
        if let Err(error) = reply.add_cookie(&cookie) {
            tracing::warn!(name, "a login cookie could not be cleared: {error}");
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
