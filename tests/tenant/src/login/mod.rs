//! Signing in: the authorize endpoint of root tenant and own tenant, sign-in and consent pages, token endpoint, keys,
//! logout (docs/auth0/extension.md#client-configuration-document, docs/auth0/login.md,
//! docs/auth0/management-api.md#token-endpoint).

mod authorize;
mod client;
mod pages;
mod token;

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use crate::people::Person;
use crate::reply::ok;
use crate::state::State;

use self::client::Client;

/// Name of the session cookie. The extension may be on the same host, and cookies are shared between ports.
const SESSION: &str = "simulated_tenant_session";

/// A pending authorization request.
#[derive(Clone, Debug)]
struct Transaction {
    client: Client,
    redirect_uri: String,
    state: Option<String>,
    nonce: Option<String>,
    scope: Vec<String>,
    audience: Option<String>,
    connection: Option<String>,
    /// PKCE challenge, S256.
    challenge: Option<String>,
    /// Lifetime of the tokens in seconds.
    lifetime: i64,
    /// Whether the user must sign in again despite a session.
    fresh: bool,
    created: i64,
}

/// An issued authorization code.
#[derive(Clone, Debug)]
struct Code {
    transaction: Transaction,
    person: Person,
    created: i64,
}

#[derive(Debug, Default)]
struct Inner {
    transactions: HashMap<String, Transaction>,
    codes: HashMap<String, Code>,
    sessions: HashMap<String, Person>,
    /// Consents: user, client, scope.
    consents: HashSet<(String, String, String)>,
}

/// Pending sign-ins and sessions.
#[derive(Debug, Default)]
pub(crate) struct Logins(Mutex<Inner>);

impl Logins {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends all sessions and removes all consents.
    pub(crate) fn forget(&self) {
        *self.lock() = Inner::default();
    }
}

/// The routes of the sign-in.
pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/authorize", web::get().to(authorize::start))
        .route("/u/login", web::get().to(authorize::login_page))
        .route("/u/login", web::post().to(authorize::login))
        .route("/u/consent", web::get().to(authorize::consent_page))
        .route("/u/consent", web::post().to(authorize::consent))
        .route("/v2/logout", web::get().to(authorize::logout))
        .route("/v2/logout/", web::get().to(authorize::logout))
        .route("/oauth/token", web::post().to(token::token))
        .route("/userinfo", web::get().to(token::userinfo))
        .route("/userinfo", web::post().to(token::userinfo))
        .route("/.well-known/jwks.json", web::get().to(jwks))
        .route("/.well-known/openid-configuration", web::get().to(configuration))
        .route("/", web::get().to(pages::home))
        .default_service(web::to(pages::not_found));
}

async fn jwks(state: web::Data<State>) -> HttpResponse {
    ok(&state.keys.jwks())
}

async fn configuration(request: HttpRequest, state: web::Data<State>) -> HttpResponse {
    let origin = state.origin(&request);
    ok(&json!({
        "issuer": format!("{origin}/"),
        "authorization_endpoint": format!("{origin}/authorize"),
        "token_endpoint": format!("{origin}/oauth/token"),
        "userinfo_endpoint": format!("{origin}/userinfo"),
        "jwks_uri": format!("{origin}/.well-known/jwks.json"),
        "scopes_supported": ["openid", "profile", "email", "name"],
        "response_types_supported": ["code", "token id_token"],
        "response_modes_supported": ["query", "form_post"],
        "grant_types_supported": ["authorization_code", "client_credentials"],
        "code_challenge_methods_supported": ["S256"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "claims_supported": ["aud", "email", "email_verified", "exp", "iat", "iss", "name", "nonce", "sub"],
    }))
}
