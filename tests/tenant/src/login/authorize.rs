//! `/authorize`, the pages behind it, and `/v2/logout`.

use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::client::Client;
use super::pages::{self, Problem};
use super::{Code, SESSION, Transaction, token};
use crate::people::Person;
use crate::state::State;
use crate::tokens::hex;

/// The time within which a sign-in must be finished, in milliseconds.
const LOGIN_TIMEOUT: i64 = 30 * 60 * 1000;
/// Default and maximum lifetime of the tokens of a sign-in, in seconds.
const LIFETIME: i64 = 36_000;

#[derive(Deserialize)]
pub(super) struct Parameters {
    #[serde(default)]
    client_id: String,
    #[serde(default)]
    redirect_uri: String,
    #[serde(default)]
    response_type: String,
    response_mode: Option<String>,
    #[serde(default)]
    scope: String,
    state: Option<String>,
    nonce: Option<String>,
    audience: Option<String>,
    connection: Option<String>,
    code_challenge: Option<String>,
    code_challenge_method: Option<String>,
    prompt: Option<String>,
    /// Lifetime of the tokens in seconds; a parameter of extensions (docs/auth0/login.md#start-of-a-login).
    expiration: Option<i64>,
}

/// `GET /authorize`.
pub(super) async fn start(
    request: HttpRequest,
    state: web::Data<State>,
    parameters: web::Query<Parameters>,
) -> Result<HttpResponse, Problem> {
    let parameters = parameters.into_inner();
    let client = Client::find(&parameters.client_id, &state).await.map_err(Problem::bad_request)?;
    if !client.may_redirect(&parameters.redirect_uri) {
        return Err(Problem::bad_request(format!(
            "Callback URL mismatch. {} is not in the list of allowed callback URLs of {}.",
            parameters.redirect_uri, client.name
        )));
    }
    let silent = parameters.prompt.as_deref() == Some("none");
    let transaction = match transaction(parameters, client, &state) {
        Ok(transaction) => transaction,
        Err((redirect_uri, client_state, why)) => {
            return Ok(deny(&redirect_uri, client_state.as_deref(), "invalid_request", &why));
        }
    };
    let id = hex(32);
    let person = session(&request, &state).filter(|person| {
        !transaction.fresh && transaction.connection.as_ref().is_none_or(|connection| person.connection == *connection)
    });
    if silent && person.is_none() {
        return Ok(deny(&transaction.redirect_uri, transaction.state.as_deref(), "login_required", "Login required"));
    }
    state.logins.lock().transactions.insert(id.clone(), transaction);
    match person {
        Some(person) => proceed(&request, &state, &id, &person),
        None => Ok(see_other(&format!("/u/login?state={id}"))),
    }
}

/// Parses an authorization request. Returns the error page or redirect for an invalid one.
fn transaction(
    parameters: Parameters,
    client: Client,
    state: &State,
) -> Result<Transaction, (String, Option<String>, String)> {
    let complaint = |why: &str| (parameters.redirect_uri.clone(), parameters.state.clone(), why.to_owned());
    let mut types: Vec<&str> = parameters.response_type.split_whitespace().collect();
    types.sort_unstable();
    if client.dynamic {
        if types != ["id_token", "token"] {
            return Err(complaint("response_type must be 'token id_token'"));
        }
        if parameters.response_mode.as_deref() != Some("form_post") {
            return Err(complaint("response_mode must be form_post"));
        }
        if parameters.nonce.as_deref().is_none_or(str::is_empty) {
            return Err(complaint("Missing required parameter: nonce"));
        }
    } else {
        if types != ["code"] {
            return Err(complaint("response_type must be code"));
        }
        if parameters.response_mode.as_deref().is_some_and(|mode| mode != "query") {
            return Err(complaint("response_mode must be query"));
        }
        if parameters.code_challenge.as_deref().is_none_or(str::is_empty) {
            return Err(complaint("Missing required parameter: code_challenge"));
        }
        if parameters.code_challenge_method.as_deref() != Some("S256") {
            return Err(complaint("code_challenge_method must be S256"));
        }
    }
    if let Some(audience) = &parameters.audience
        && !state.is_own(audience, "/api/v2/")
    {
        return Err(complaint(&format!("Service not found: {audience}")));
    }
    let scope: Vec<String> = parameters.scope.split_whitespace().map(str::to_owned).collect();
    if !scope.iter().any(|scope| scope == "openid") {
        return Err(complaint("scope must contain openid"));
    }
    if let Some(connection) = &parameters.connection
        && !state.connections.iter().any(|known| known.name == *connection && known.enabled)
    {
        return Err(complaint("the connection was not found"));
    }
    Ok(Transaction {
        client,
        redirect_uri: parameters.redirect_uri,
        state: parameters.state,
        nonce: parameters.nonce,
        scope,
        audience: parameters.audience,
        connection: parameters.connection,
        challenge: parameters.code_challenge,
        lifetime: parameters.expiration.filter(|seconds| (1..=LIFETIME).contains(seconds)).unwrap_or(LIFETIME),
        fresh: parameters.prompt.as_deref() == Some("login"),
        created: state.clock.now(),
    })
}

/// The fields of the login form: the id of the pending sign-in, and the chosen user.
#[derive(Deserialize)]
pub(super) struct LoginForm {
    #[serde(default)]
    state: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    connection: String,
}

/// The id of a pending sign-in.
#[derive(Deserialize)]
pub(super) struct Reference {
    #[serde(default)]
    state: String,
}

fn pending_transaction(state: &State, id: &str) -> Result<Transaction, Problem> {
    let now = state.clock.now();
    let mut logins = state.logins.lock();
    logins.transactions.retain(|_, transaction| now - transaction.created < LOGIN_TIMEOUT);
    logins.transactions.get(id).cloned().ok_or_else(|| {
        Problem::bad_request("This sign-in is over or took too long. Go back to the application and start again.")
    })
}

/// `GET /u/login`.
pub(super) async fn login_page(
    state: web::Data<State>,
    reference: web::Query<Reference>,
) -> Result<HttpResponse, Problem> {
    let transaction = pending_transaction(&state, &reference.state)?;
    pages::login(&state, &reference.state, &transaction, None, "")
}

/// `POST /u/login`.
pub(super) async fn login(
    request: HttpRequest,
    state: web::Data<State>,
    form: web::Form<LoginForm>,
) -> Result<HttpResponse, Problem> {
    let transaction = pending_transaction(&state, &form.state)?;
    let connection = transaction.connection.clone().unwrap_or_else(|| form.connection.clone());
    let Some(person) = state.person(&form.email, &connection) else {
        let problem = format!("No user with this e-mail address is in {connection}.");
        return pages::login(&state, &form.state, &transaction, Some(&problem), &form.email);
    };
    let session = hex(48);
    state.logins.lock().sessions.insert(session.clone(), person.clone());
    let mut response = proceed(&request, &state, &form.state, &person)?;
    let cookie = Cookie::build(SESSION, session).path("/").http_only(true).same_site(SameSite::Lax).finish();
    response.add_cookie(&cookie).map_err(|_| Problem::bad_request("The sign-in session could not be kept."))?;
    Ok(response)
}

fn session(request: &HttpRequest, state: &State) -> Option<Person> {
    let cookie = request.cookie(SESSION)?;
    state.logins.lock().sessions.get(cookie.value()).cloned()
}

/// The next step for a signed-in user: the consent page, or back to the client.
fn proceed(request: &HttpRequest, state: &State, id: &str, person: &Person) -> Result<HttpResponse, Problem> {
    let transaction = pending_transaction(state, id)?;
    let consented = {
        let logins = state.logins.lock();
        !transaction.client.dynamic
            || transaction.scope.iter().all(|scope| {
                logins.consents.contains(&(person.user_id.clone(), transaction.client.id.clone(), scope.clone()))
            })
    };
    if consented { finish(request, state, id, person) } else { Ok(see_other(&format!("/u/consent?state={id}"))) }
}

/// `GET /u/consent`.
pub(super) async fn consent_page(
    request: HttpRequest,
    state: web::Data<State>,
    reference: web::Query<Reference>,
) -> Result<HttpResponse, Problem> {
    let transaction = pending_transaction(&state, &reference.state)?;
    let Some(person) = session(&request, &state) else {
        return Ok(see_other(&format!("/u/login?state={}", reference.state)));
    };
    pages::consent(&reference.state, &transaction, &person)
}

/// The fields of the consent form.
#[derive(Deserialize)]
pub(super) struct ConsentForm {
    #[serde(default)]
    state: String,
    #[serde(default)]
    decision: String,
}

/// `POST /u/consent`.
pub(super) async fn consent(
    request: HttpRequest,
    state: web::Data<State>,
    form: web::Form<ConsentForm>,
) -> Result<HttpResponse, Problem> {
    let transaction = pending_transaction(&state, &form.state)?;
    let Some(person) = session(&request, &state) else {
        return Ok(see_other(&format!("/u/login?state={}", form.state)));
    };
    if form.decision != "accept" {
        state.logins.lock().transactions.remove(&form.state);
        return Ok(if transaction.client.dynamic {
            pages::form_post(
                &transaction.redirect_uri,
                &[
                    ("error", "access_denied"),
                    ("error_description", "User did not authorize the request"),
                    ("state", transaction.state.as_deref().unwrap_or_default()),
                ],
            )?
        } else {
            deny(
                &transaction.redirect_uri,
                transaction.state.as_deref(),
                "access_denied",
                "User did not authorize the request",
            )
        });
    }
    {
        let mut logins = state.logins.lock();
        for scope in &transaction.scope {
            logins.consents.insert((person.user_id.clone(), transaction.client.id.clone(), scope.clone()));
        }
    }
    finish(&request, &state, &form.state, &person)
}

/// Returns to the client, with tokens in a form or a code in the URL.
fn finish(request: &HttpRequest, state: &State, id: &str, person: &Person) -> Result<HttpResponse, Problem> {
    let transaction = pending_transaction(state, id)?;
    state.logins.lock().transactions.remove(id);
    state.logs.sign_in(state.clock.now(), person, &transaction.client.id, &transaction.client.name);
    let origin = state.origin(request);
    if transaction.client.dynamic {
        let id_token = token::id_token(state, &origin, &transaction, person)?;
        let access_token = token::access_token(state, &origin, &transaction, person)?;
        let lifetime = transaction.lifetime.to_string();
        let scope = transaction.scope.join(" ");
        return pages::form_post(
            &transaction.redirect_uri,
            &[
                ("access_token", &access_token),
                ("id_token", &id_token),
                ("state", transaction.state.as_deref().unwrap_or_default()),
                ("token_type", "Bearer"),
                ("expires_in", &lifetime),
                ("scope", &scope),
            ],
        );
    }
    let code = hex(48);
    let mut parameters = vec![("code", code.clone())];
    parameters.extend(transaction.state.clone().map(|state| ("state", state)));
    let back = with_parameters(&transaction.redirect_uri, &parameters);
    let issued = Code { transaction, person: person.clone(), created: state.clock.now() };
    state.logins.lock().codes.insert(code, issued);
    Ok(found(&back))
}

/// The query parameters of a log-out.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Logout {
    return_to: Option<String>,
    #[serde(rename = "client_id")]
    client_id: Option<String>,
}

/// `GET /v2/logout`.
pub(super) async fn logout(
    request: HttpRequest,
    state: web::Data<State>,
    parameters: web::Query<Logout>,
) -> Result<HttpResponse, Problem> {
    if let Some(cookie) = request.cookie(SESSION) {
        state.logins.lock().sessions.remove(cookie.value());
    }
    let mut response = match &parameters.return_to {
        None => pages::message("Signed out", "You are signed out of the simulated tenant.")?,
        Some(target) => {
            let id = parameters.client_id.as_deref().unwrap_or(crate::LOGIN_CLIENT_ID);
            let client = Client::find(id, &state).await.map_err(Problem::bad_request)?;
            if !client.may_return(target) {
                return Err(Problem::bad_request(format!(
                    "The returnTo URL {target} is not in the list of allowed logout URLs of {}.",
                    client.name
                )));
            }
            found(target)
        }
    };
    let mut cookie = Cookie::build(SESSION, "").path("/").http_only(true).finish();
    cookie.make_removal();
    response.add_cookie(&cookie).map_err(|_| Problem::bad_request("The sign-in session could not be ended."))?;
    Ok(response)
}

fn deny(redirect_uri: &str, state: Option<&str>, error: &str, description: &str) -> HttpResponse {
    let mut parameters = vec![("error", error.to_owned()), ("error_description", description.to_owned())];
    parameters.extend(state.map(|state| ("state", state.to_owned())));
    found(&with_parameters(redirect_uri, &parameters))
}

fn with_parameters(url: &str, parameters: &[(&str, String)]) -> String {
    match Url::parse(url) {
        Ok(mut url) => {
            url.query_pairs_mut().extend_pairs(parameters.iter().map(|(name, value)| (*name, value.as_str())));
            url.into()
        }
        Err(_) => url.to_owned(),
    }
}

fn found(url: &str) -> HttpResponse {
    HttpResponse::Found()
        .insert_header((header::LOCATION, url))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .finish()
}

fn see_other(url: &str) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, url))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(json!({"location": url}))
}
