//! The control API of the simulation: [`Control`] for tests in the same process, JSON routes under `/control` for other
//! processes.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::clock::iso;
use crate::faults::Fault;
use crate::jobs::JobCounts;
use crate::limits::RateLimits;
use crate::people::Person;
use crate::record::Recorded;
use crate::reply::{ApiError, ApiResult, ok};
use crate::state::State;
use crate::{CLIENT_ID, CLIENT_SECRET, LOGIN_CLIENT_ID, LOGIN_CLIENT_SECRET};

/// The control API of a tenant. Cheap to clone; does not keep the tenant running.
#[derive(Clone)]
pub struct Control {
    pub(crate) state: Arc<State>,
}

/// Errors of the control API.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// A new signing key could not be generated.
    #[error("a new signing key could not be made: {0}")]
    Key(String),
    /// A required attribute of a user is missing.
    #[error("a user needs user_id and identities[0].connection: {0}")]
    User(String),
    /// An identifier of an existing user would change.
    #[error("the {name} of {user_id} cannot be changed")]
    Identifier {
        /// The id of the user.
        user_id: String,
        /// The name of the identifier.
        name: &'static str,
    },
}

impl Control {
    /// Returns the time of the tenant's clock in milliseconds since the epoch.
    pub fn now(&self) -> i64 {
        self.state.clock.now()
    }

    /// Advances the clock: jobs proceed, links and tokens expire, rate limits refill.
    pub fn advance(&self, by: Duration) {
        self.state.clock.advance(by);
    }

    /// Sets the clock back: users get an earlier `created_at`, and responses an earlier `Date`.
    pub fn set_back(&self, by: Duration) {
        self.state.clock.set_back(by);
    }

    /// Adds a fault.
    pub fn add(&self, fault: Fault) {
        self.state.faults.add(fault);
    }

    /// Removes all faults.
    pub fn clear(&self) {
        self.state.faults.clear();
    }

    /// Returns the faults that are still pending.
    pub fn faults(&self) -> Vec<Fault> {
        self.state.faults.pending()
    }

    /// Signs with a new key from now on. The old key stays published unless it is withdrawn.
    pub fn rotate_signing_key(&self, withdraw_old: bool) -> Result<(), ControlError> {
        self.state.keys.rotate(withdraw_old).map_err(|error| ControlError::Key(error.to_string()))
    }

    /// Expires every token issued so far.
    pub fn expire_tokens(&self) {
        self.state.keys.expire_tokens();
    }

    /// Ends all sign-in sessions and removes all consents.
    pub fn end_all_sessions(&self) {
        self.state.logins.forget();
    }

    /// Returns all requests so far, except those of the control API.
    pub fn requests(&self) -> Vec<Recorded> {
        self.state.log.all()
    }

    /// Removes the recorded requests.
    pub fn forget_requests(&self) {
        self.state.log.clear();
    }

    /// Returns requests that violate the OpenAPI description, as `METHOD path: reason`.
    pub fn violations(&self) -> Vec<String> {
        self.requests()
            .into_iter()
            .flat_map(|request| {
                let of = format!("{} {}", request.method, request.path);
                request.violations.into_iter().map(move |how| format!("{of}: {how}"))
            })
            .collect()
    }

    /// Sets the rate limits and refills every bucket.
    pub fn limit(&self, limits: RateLimits) {
        self.state.limits.set(limits);
    }

    /// Returns the number of users.
    pub fn user_count(&self) -> u64 {
        self.state.jobs.settle(self.now());
        self.state.directory.len().into()
    }

    /// Returns the users with exactly this e-mail address, in any connection.
    pub fn users_by_email(&self, email: &str) -> Vec<Value> {
        self.state.jobs.settle(self.now());
        self.state.directory.by_email(email).into_iter().filter_map(|handle| self.state.directory.get(handle)).collect()
    }

    /// Returns the first user with exactly this e-mail address.
    pub fn user_by_email(&self, email: &str) -> Option<Value> {
        self.users_by_email(email).into_iter().next()
    }

    /// Returns the user with this id.
    pub fn user(&self, user_id: &str) -> Option<Value> {
        self.state.jobs.settle(self.now());
        self.state.directory.by_user_id(user_id).and_then(|handle| self.state.directory.get(handle))
    }

    /// Adds a user unchanged, or replaces the one with the same `user_id`, whose other identifiers must not change.
    pub fn put_user(&self, user: &Value) -> Result<(), ControlError> {
        let complete = user["identities"][0]["connection"].is_string();
        let Some(user_id) = user["user_id"].as_str().filter(|_| complete) else {
            return Err(ControlError::User(user.to_string()));
        };
        match self.state.directory.by_user_id(user_id) {
            Some(handle) => {
                let stored = self.state.directory.get(handle).unwrap_or_default();
                for name in ["email", "username", "phone_number"] {
                    if stored.get(name) != user.get(name) {
                        return Err(ControlError::Identifier { user_id: user_id.to_owned(), name });
                    }
                }
                self.state.directory.replace(handle, user);
            }
            None => {
                self.state.directory.add(user, self.now());
            }
        }
        Ok(())
    }

    /// Returns the people who can sign in, without the generated users.
    pub fn people(&self) -> Vec<Person> {
        self.state.people()
    }

    /// Sets the roles that an Action adds to the id tokens of one of the people.
    pub fn set_roles(&self, user_id: &str, roles: &[&str]) {
        let mut people = self.state.people.lock().unwrap_or_else(PoisonError::into_inner);
        for person in people.iter_mut().filter(|person| person.user_id == user_id) {
            person.roles = roles.iter().map(|role| (*role).to_owned()).collect();
        }
    }

    /// Returns all jobs as the API shows them, oldest first.
    pub fn jobs(&self) -> Vec<Value> {
        self.state.jobs.all(self.now())
    }

    /// Returns counts of jobs so far.
    pub fn job_counts(&self) -> JobCounts {
        self.state.jobs.counts(self.now())
    }

    /// Returns the id of a connection.
    pub fn connection_id(&self, name: &str) -> Option<String> {
        self.state.connections.iter().find(|connection| connection.name == name).map(|connection| connection.id.clone())
    }
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").finish_non_exhaustive()
    }
}

/// The routes under `/control`, for other processes on the same machine.
pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/state", web::get().to(overview))
        .route("/clock", web::post().to(clock))
        .route("/faults", web::get().to(faults))
        .route("/faults", web::post().to(add_fault))
        .route("/faults", web::delete().to(clear_faults))
        .route("/keys/rotate", web::post().to(rotate))
        .route("/tokens/expire", web::post().to(expire))
        .route("/sessions", web::delete().to(sign_out))
        .route("/requests", web::get().to(requests))
        .route("/requests", web::delete().to(forget_requests))
        .route("/violations", web::get().to(violations))
        .route("/limits", web::put().to(limits))
        .route("/users", web::get().to(users))
        .route("/users", web::put().to(put_user))
        .route("/roles", web::put().to(roles))
        .route("/jobs", web::get().to(jobs));
}

fn control(request: &HttpRequest, state: &web::Data<State>) -> Result<Control, ApiError> {
    if request.peer_addr().is_some_and(|peer| peer.ip().is_loopback()) {
        Ok(Control { state: Arc::clone(state) })
    } else {
        Err(ApiError::unauthorized("The controls can be reached from this machine only"))
    }
}

async fn overview(request: HttpRequest, state: web::Data<State>) -> ApiResult {
    let control = control(&request, &state)?;
    Ok(ok(&json!({
        "now": iso(control.now()),
        "url": state.url.get(),
        "tls_url": state.tls_url.get(),
        "users": control.user_count(),
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "login_client_id": LOGIN_CLIENT_ID,
        "login_client_secret": LOGIN_CLIENT_SECRET,
        "connections": state.connections.iter().take(50).map(|connection| (connection.name.clone(), connection.id.clone().into())).collect::<serde_json::Map<_, Value>>(),
        "people": control.people(),
        "job_counts": control.job_counts(),
    })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_ms: u64,
}

async fn clock(request: HttpRequest, state: web::Data<State>, body: web::Json<Advance>) -> ApiResult {
    let control = control(&request, &state)?;
    control.advance(Duration::from_millis(body.advance_ms));
    Ok(ok(&json!({"now": iso(control.now())})))
}

async fn faults(request: HttpRequest, state: web::Data<State>) -> ApiResult {
    let control = control(&request, &state)?;
    Ok(HttpResponse::Ok().json(control.faults()))
}

async fn add_fault(request: HttpRequest, state: web::Data<State>, fault: web::Json<Fault>) -> ApiResult {
    control(&request, &state)?.add(fault.into_inner());
    Ok(HttpResponse::NoContent().finish())
}

async fn clear_faults(request: HttpRequest, state: web::Data<State>) -> ApiResult {
    control(&request, &state)?.clear();
    Ok(HttpResponse::NoContent().finish())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rotate {
    #[serde(default)]
    withdraw_old: bool,
}

async fn rotate(request: HttpRequest, state: web::Data<State>, body: web::Json<Rotate>) -> ApiResult {
    control(&request, &state)?
        .rotate_signing_key(body.withdraw_old)
        .map_err(|error| ApiError::new(actix_web::http::StatusCode::INTERNAL_SERVER_ERROR, None, error.to_string()))?;
    Ok(HttpResponse::NoContent().finish())
}

async fn expire(request: HttpRequest, state: web::Data<State>) -> ApiResult {
    control(&request, &state)?.expire_tokens();
    Ok(HttpResponse::NoContent().finish())
}

async fn sign_out(request: HttpRequest, state: web::Data<State>) -> ApiResult {
    control(&request, &state)?.end_all_sessions();
    Ok(HttpResponse::NoContent().finish())
}

async fn requests(request: HttpRequest, state: web::Data<State>) -> ApiResult {
    let control = control(&request, &state)?;
    Ok(HttpResponse::Ok().json(control.requests()))
}

async fn forget_requests(request: HttpRequest, state: web::Data<State>) -> ApiResult {
    control(&request, &state)?.forget_requests();
    Ok(HttpResponse::NoContent().finish())
}

async fn violations(request: HttpRequest, state: web::Data<State>) -> ApiResult {
    let control = control(&request, &state)?;
    Ok(HttpResponse::Ok().json(control.violations()))
}

async fn limits(request: HttpRequest, state: web::Data<State>, limits: web::Json<RateLimits>) -> ApiResult {
    control(&request, &state)?.limit(limits.into_inner());
    Ok(HttpResponse::NoContent().finish())
}

#[derive(Deserialize)]
struct ByEmail {
    email: String,
}

async fn users(request: HttpRequest, state: web::Data<State>, query: web::Query<ByEmail>) -> ApiResult {
    let control = control(&request, &state)?;
    Ok(ok(&control.users_by_email(&query.email).into()))
}

async fn put_user(request: HttpRequest, state: web::Data<State>, user: web::Json<Value>) -> ApiResult {
    control(&request, &state)?.put_user(&user).map_err(|error| ApiError::body(error.to_string()))?;
    Ok(HttpResponse::NoContent().finish())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Roles {
    user_id: String,
    roles: Vec<String>,
}

async fn roles(request: HttpRequest, state: web::Data<State>, body: web::Json<Roles>) -> ApiResult {
    let roles: Vec<&str> = body.roles.iter().map(String::as_str).collect();
    control(&request, &state)?.set_roles(&body.user_id, &roles);
    Ok(HttpResponse::NoContent().finish())
}

async fn jobs(request: HttpRequest, state: web::Data<State>) -> ApiResult {
    let control = control(&request, &state)?;
    Ok(ok(&control.jobs().into()))
}
