//! The pages of the tenant: plain HTML, each under its own Content-Security-Policy.

use std::fmt;
use std::sync::OnceLock;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError, web};
use serde::Serialize;
use tera::{Context, Tera};
use url::Url;

use super::Transaction;
use crate::people::Person;
use crate::state::State;
use crate::tokens::{KeyError, hex};

/// An error of a sign-in, shown to the user as a page.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    status: StatusCode,
    message: String,
}

impl Problem {
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Problem { status: StatusCode::BAD_REQUEST, message: message.into() }
    }

    pub(super) fn internal(error: &KeyError) -> Self {
        Problem {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            message: format!("The tokens could not be signed: {error}"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut context = Context::new();
        context.insert("title", "This does not work");
        context.insert("message", &self.message);
        render(self.status, "message.html", context, None).unwrap_or_else(|problem| {
            HttpResponse::build(problem.status).content_type("text/plain; charset=utf-8").body(problem.message)
        })
    }
}

fn templates() -> Result<&'static Tera, Problem> {
    static TEMPLATES: OnceLock<Result<Tera, String>> = OnceLock::new();
    TEMPLATES
        .get_or_init(|| {
            let mut tera = Tera::default();
            tera.add_raw_templates([
                ("base.html", include_str!("../templates/base.html")),
                ("login.html", include_str!("../templates/login.html")),
                ("consent.html", include_str!("../templates/consent.html")),
                ("form_post.html", include_str!("../templates/form_post.html")),
                ("message.html", include_str!("../templates/message.html")),
            ])
            .map_err(|error| error.to_string())?;
            Ok(tera)
        })
        .as_ref()
        .map_err(|error| Problem { status: StatusCode::INTERNAL_SERVER_ERROR, message: error.clone() })
}

/// Renders a page; `target` is the site that its forms are sent to.
fn render(status: StatusCode, name: &str, mut context: Context, target: Option<&str>) -> Result<HttpResponse, Problem> {
    let nonce = hex(32);
    context.insert("nonce", &nonce);
    let html = templates()?
        .render(name, &context)
        .map_err(|error| Problem { status: StatusCode::INTERNAL_SERVER_ERROR, message: error.to_string() })?;
    // Browsers apply form-action to redirects after a form too.
    let target = target.and_then(|target| Url::parse(target).ok()).map(|url| url.origin().ascii_serialization());
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; form-action 'self' {}; base-uri 'none'; frame-ancestors 'none'",
        target.unwrap_or_default()
    );
    Ok(HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, policy))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::X_FRAME_OPTIONS, "DENY"))
        .body(html))
}

/// The login page, where the user chooses an account.
pub(super) fn login(
    state: &State,
    id: &str,
    transaction: &Transaction,
    problem: Option<&str>,
    email: &str,
) -> Result<HttpResponse, Problem> {
    let people: Vec<Person> = state
        .people()
        .into_iter()
        .filter(|person| transaction.connection.as_ref().is_none_or(|connection| person.connection == *connection))
        .collect();
    let connections: Vec<&str> = match &transaction.connection {
        Some(connection) => vec![connection],
        None => state
            .connections
            .iter()
            .filter(|connection| connection.enabled)
            .map(|connection| connection.name.as_str())
            .collect(),
    };
    let mut context = Context::new();
    context.insert("client", &transaction.client.name);
    context.insert("state", id);
    context.insert("people", &people);
    context.insert("connections", &connections);
    context.insert("problem", &problem.unwrap_or_default());
    context.insert("email", email);
    context.insert("note", &state.settings.login_note);
    let status = if problem.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    render(status, "login.html", context, Some(&transaction.redirect_uri))
}

/// A permission in plain language.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Permission {
    subject: String,
    meaning: String,
}

/// Describes the requested scopes, one line per resource.
fn permissions(scopes: &[String]) -> Vec<Permission> {
    let has = |scope: &str| scopes.iter().any(|asked| asked == scope);
    let mut permissions = Vec::new();
    let mut add = |subject: &str, meaning: &str| {
        permissions.push(Permission { subject: subject.to_owned(), meaning: meaning.to_owned() });
    };
    if has("profile") || has("name") || has("email") {
        add("Profile", "access to your profile");
    }
    match (has("create:users"), has("read:users")) {
        (true, true) => add("Users", "create and read your users"),
        (true, false) => add("Users", "create your users"),
        (false, true) => add("Users", "read your users"),
        (false, false) => {}
    }
    if has("read:connections") {
        add("Connections", "read your connections");
    }
    for other in scopes {
        let known = ["openid", "profile", "name", "email", "create:users", "read:users", "read:connections"];
        if !known.contains(&other.as_str()) {
            let (action, subject) = other.split_once(':').unwrap_or(("use", other));
            add(&subject.replace('_', " "), &action.replace('_', " "));
        }
    }
    permissions
}

/// The consent page.
pub(super) fn consent(id: &str, transaction: &Transaction, person: &Person) -> Result<HttpResponse, Problem> {
    let mut context = Context::new();
    context.insert("client", &transaction.client.name);
    context.insert("address", &transaction.client.id);
    context.insert("state", id);
    context.insert("person", person);
    context.insert("permissions", &permissions(&transaction.scope));
    render(StatusCode::OK, "consent.html", context, Some(&transaction.redirect_uri))
}

/// Sends the response to the client with a self-submitting form (OAuth 2.0 Form Post Response Mode).
pub(super) fn form_post(target: &str, fields: &[(&str, &str)]) -> Result<HttpResponse, Problem> {
    let mut context = Context::new();
    context.insert("target", target);
    context.insert("fields", fields);
    render(StatusCode::OK, "form_post.html", context, Some(target))
}

/// A page with a message.
pub(super) fn message(title: &str, message: &str) -> Result<HttpResponse, Problem> {
    let mut context = Context::new();
    context.insert("title", title);
    context.insert("message", message);
    render(StatusCode::OK, "message.html", context, None)
}

pub(super) async fn home(state: web::Data<State>) -> Result<HttpResponse, Problem> {
    message(
        "A simulated Auth0 tenant",
        &format!("{} users live here. Sign in through an application that uses this tenant.", state.directory.len()),
    )
}

pub(super) async fn not_found() -> Result<HttpResponse, Problem> {
    Err(Problem { status: StatusCode::NOT_FOUND, message: "There is nothing at this address.".to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_named_in_plain_words() {
        let scopes: Vec<String> =
            "openid name email create:users read:users read:connections".split(' ').map(str::to_owned).collect();
        let lines: Vec<String> = permissions(&scopes)
            .into_iter()
            .map(|permission| format!("{}: {}", permission.subject, permission.meaning))
            .collect();
        assert_eq!(
            lines,
            [
                "Profile: access to your profile",
                "Users: create and read your users",
                "Connections: read your connections"
            ]
        );
    }
}
