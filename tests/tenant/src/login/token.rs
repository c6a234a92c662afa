//! `/oauth/token`, `/userinfo`, and the tokens themselves.

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use aws_lc_rs::{constant_time, digest};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Transaction;
use super::pages::Problem;
use crate::clock::millis;
use crate::people::{Person, ROLES_CLAIM};
use crate::reply::json_body;
use crate::state::State;
use crate::{CLIENT_ID, CLIENT_SECRET, LOGIN_CLIENT_ID, LOGIN_CLIENT_SECRET};

/// Lifetime of an authorization code in milliseconds.
const CODE_LIFETIME: i64 = 60_000;
/// Scopes of the Management API that admins grant to an extension.
const ADMIN_SCOPES: &[&str] = &["create:users", "read:users", "read:connections", "create:passwords_checking_job"];

/// The id token of a sign-in, with the roles the tenant's Action adds.
pub(super) fn id_token(
    state: &State,
    origin: &str,
    transaction: &Transaction,
    person: &Person,
) -> Result<String, Problem> {
    let now = state.clock.seconds();
    let has = |scope: &str| transaction.scope.iter().any(|asked| asked == scope);
    let mut claims = json!({
        "iss": format!("{origin}/"),
        "sub": person.user_id,
        "aud": transaction.client.id,
        "iat": now,
        "exp": now + transaction.lifetime,
    });
    if let Some(nonce) = &transaction.nonce {
        claims["nonce"] = nonce.as_str().into();
    }
    if has("email") {
        claims["email"] = person.email.as_str().into();
        claims["email_verified"] = person.email_verified.into();
    }
    if has("profile") || has("name") {
        claims["name"] = person.name.as_str().into();
    }
    if !person.roles.is_empty() {
        claims[ROLES_CLAIM] = person.roles.clone().into();
    }
    state.keys.sign(claims).map_err(|error| Problem::internal(&error))
}

/// Returns the access token of a sign-in: for the Management API if an admin signs in at the root tenant, otherwise for
/// `/userinfo` only.
pub(super) fn access_token(
    state: &State,
    origin: &str,
    transaction: &Transaction,
    person: &Person,
) -> Result<String, Problem> {
    let now = state.clock.seconds();
    let userinfo = format!("{origin}/userinfo");
    let audience: Value = match &transaction.audience {
        Some(audience) => vec![audience.clone(), userinfo].into(),
        None => userinfo.into(),
    };
    let granted: Vec<&str> = transaction
        .scope
        .iter()
        .map(String::as_str)
        .filter(|scope| transaction.client.dynamic || !ADMIN_SCOPES.contains(scope))
        .collect();
    let claims = json!({
        "iss": format!("{origin}/"),
        "sub": person.user_id,
        "aud": audience,
        "azp": transaction.client.id,
        "iat": now,
        "exp": now + transaction.lifetime,
        "scope": granted.join(" "),
    });
    state.keys.sign(claims).map_err(|error| Problem::internal(&error))
}

#[derive(Debug, Default, Deserialize)]
struct Grant {
    #[serde(default, rename = "grant_type")]
    kind: String,
    client_id: Option<String>,
    client_secret: Option<String>,
    audience: Option<String>,
    code: Option<String>,
    code_verifier: Option<String>,
    redirect_uri: Option<String>,
}

fn refuse(status: StatusCode, error: &str, description: &str) -> HttpResponse {
    json_body(&mut HttpResponse::build(status), &json!({"error": error, "error_description": description}))
}

fn bad_request(error: &str, description: &str) -> HttpResponse {
    refuse(StatusCode::BAD_REQUEST, error, description)
}

/// `POST /oauth/token`: JSON or form, client authentication in the body or by Basic.
pub(super) async fn token(request: HttpRequest, state: web::Data<State>, body: web::Bytes) -> HttpResponse {
    let json = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.starts_with("application/json"));
    let grant: Option<Grant> =
        if json { serde_json::from_slice(&body).ok() } else { serde_json::from_value(form(&body)).ok() };
    let Some(mut grant) = grant else { return bad_request("invalid_request", "The request body cannot be read") };
    if let Some((id, secret)) = basic(&request) {
        (grant.client_id, grant.client_secret) = (Some(id), Some(secret));
    }
    match grant.kind.as_str() {
        "client_credentials" => client_credentials(&request, &state, &grant),
        "authorization_code" => authorization_code(&request, &state, &grant),
        "" => bad_request("invalid_request", "Missing required parameter: grant_type"),
        other => bad_request("unsupported_grant_type", &format!("Unsupported grant type: {other}")),
    }
}

fn form(body: &[u8]) -> Value {
    let members: serde_json::Map<String, Value> =
        url::form_urlencoded::parse(body).map(|(name, value)| (name.into_owned(), value.into_owned().into())).collect();
    members.into()
}

fn basic(request: &HttpRequest) -> Option<(String, String)> {
    let header = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let decoded = STANDARD.decode(header.strip_prefix("Basic ")?).ok()?;
    let (id, secret) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    let text = |encoded: &str| percent_encoding::percent_decode_str(encoded).decode_utf8_lossy().into_owned();
    Some((text(id), text(secret)))
}

fn same(a: &str, b: &str) -> bool {
    constant_time::verify_slices_are_equal(a.as_bytes(), b.as_bytes()).is_ok()
}

fn client_credentials(request: &HttpRequest, state: &State, grant: &Grant) -> HttpResponse {
    let id = grant.client_id.as_deref().unwrap_or_default();
    let secret = grant.client_secret.as_deref().unwrap_or_default();
    if id == LOGIN_CLIENT_ID && same(secret, LOGIN_CLIENT_SECRET) {
        return refuse(
            StatusCode::FORBIDDEN,
            "unauthorized_client",
            "Grant type 'client_credentials' not allowed for the client.",
        );
    }
    if id != CLIENT_ID || !same(secret, CLIENT_SECRET) {
        return refuse(StatusCode::UNAUTHORIZED, "access_denied", "Unauthorized");
    }
    let Some(audience) = grant.audience.as_deref() else {
        return refuse(
            StatusCode::FORBIDDEN,
            "access_denied",
            "No audience parameter was provided, and no default audience has been configured",
        );
    };
    if !state.is_own(audience, "/api/v2/") {
        return refuse(
            StatusCode::FORBIDDEN,
            "access_denied",
            &format!("Service not enabled within domain: {audience}"),
        );
    }
    let now = state.clock.seconds();
    let lifetime = millis(state.settings.token_lifetime) / 1000;
    let scope = state.settings.grants.join(" ");
    let claims = json!({
        "iss": format!("{}/", state.origin(request)),
        "sub": format!("{CLIENT_ID}@clients"),
        "aud": audience,
        "azp": CLIENT_ID,
        "iat": now,
        "exp": now + lifetime,
        "scope": scope,
        "gty": "client-credentials",
    });
    match state.keys.sign(claims) {
        Ok(token) => {
            state.logs.client_credentials(state.clock.now(), CLIENT_ID, audience, &scope);
            answer(&json!({"access_token": token, "scope": scope, "expires_in": lifetime, "token_type": "Bearer"}))
        }
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, "server_error", &error.to_string()),
    }
}

fn authorization_code(request: &HttpRequest, state: &State, grant: &Grant) -> HttpResponse {
    let id = grant.client_id.as_deref().unwrap_or_default();
    let secret = grant.client_secret.as_deref().unwrap_or_default();
    if id != LOGIN_CLIENT_ID || !same(secret, LOGIN_CLIENT_SECRET) {
        return refuse(StatusCode::UNAUTHORIZED, "access_denied", "Unauthorized");
    }
    let now = state.clock.now();
    // A code can be used once, even if the exchange fails.
    let issued = grant.code.as_deref().and_then(|code| state.logins.lock().codes.remove(code));
    let Some(issued) = issued.filter(|issued| now - issued.created < CODE_LIFETIME) else {
        return refuse(StatusCode::FORBIDDEN, "invalid_grant", "Invalid authorization code");
    };
    let transaction = &issued.transaction;
    if transaction.client.id != id || grant.redirect_uri.as_deref() != Some(transaction.redirect_uri.as_str()) {
        return refuse(StatusCode::FORBIDDEN, "invalid_grant", "The redirect URI is wrong.");
    }
    let verifier = grant.code_verifier.as_deref().unwrap_or_default();
    let challenge = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()));
    if transaction.challenge.as_deref() != Some(challenge.as_str()) {
        return refuse(StatusCode::FORBIDDEN, "invalid_grant", "Failed to verify code verifier");
    }
    let origin = state.origin(request);
    let tokens = id_token(state, &origin, transaction, &issued.person)
        .and_then(|id_token| Ok((id_token, access_token(state, &origin, transaction, &issued.person)?)));
    match tokens {
        Ok((id_token, access_token)) => answer(&json!({
            "access_token": access_token,
            "id_token": id_token,
            "scope": transaction.scope.join(" "),
            "expires_in": transaction.lifetime,
            "token_type": "Bearer",
        })),
        Err(_) => refuse(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "The tokens could not be signed"),
    }
}

fn answer(body: &Value) -> HttpResponse {
    json_body(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")), body)
}

/// `/userinfo`: the claims of the person whose access token this is.
pub(super) async fn userinfo(request: HttpRequest, state: web::Data<State>) -> HttpResponse {
    let claims = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|header| header.to_str().ok()?.strip_prefix("Bearer "))
        .and_then(|token| state.keys.verify(token, state.clock.seconds()).ok());
    let user = claims
        .as_ref()
        .and_then(|claims| claims["sub"].as_str())
        .and_then(|subject| state.directory.by_user_id(subject))
        .and_then(|handle| state.directory.get(handle));
    match user {
        Some(user) => answer(&json!({
            "sub": user["user_id"],
            "name": user["name"],
            "nickname": user["nickname"],
            "picture": user["picture"],
            "email": user["email"],
            "email_verified": user["email_verified"],
            "updated_at": user["updated_at"],
        })),
        None => refuse(StatusCode::UNAUTHORIZED, "invalid_token", "Unauthorized"),
    }
}
