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

/// Name of the cookie of a sign-in session. The extension may live on the same host, and cookies know
/// no ports.
const SESSION: &str = "simulated_tenant_session";

/// An authorization request between its start and its end.
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
    /// Seconds the tokens live.
    lifetime: i64,
    /// The person must sign in again, session or not.
    fresh: bool,
    created: i64,
}

/// An authorization code that was handed out.
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
    /// Who consented to what: person, client, scope.
    consents: HashSet<(String, String, String)>,
}

/// Sign-ins under way and sessions.
#[derive(Debug, Default)]
pub(crate) struct Logins(Mutex<Inner>);

impl Logins {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends every session and forgets every consent.
    pub(crate) fn forget(&self) {
        *self.lock() = Inner::default();
    }
}

/// The routes of signing in.
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
