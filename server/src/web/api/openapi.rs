//! `GET /api/openapi.json`: the OpenAPI description of this API, generated from the handlers.

use actix_web::HttpResponse;
use actix_web::web::ServiceConfig;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, Ref, RefOr, ResponseBuilder};
use utoipa::{Modify, OpenApi};

use super::{about, attributes, connections, health, history, jobs, presets, preview, sessions, transforms, users};
use crate::web::metrics_route;
use crate::web::resource::get_resource;

pub(super) fn configure(config: &mut ServiceConfig) {
    config.service(get_resource("/openapi.json", document));
}

#[derive(OpenApi)]
#[openapi(
    info(title = "User Import / Export", description = "Exports and imports the users of an Auth0 tenant."),
    paths(
        connections::list,
        users::count,
        jobs::start_export,
        jobs::start_import,
        jobs::inspect,
        jobs::read,
        jobs::cancel,
        jobs::resume,
        jobs::retry,
        jobs::report,
        jobs::backup,
        jobs::download,
        history::list,
        attributes::list,
        presets::list,
        presets::read,
        presets::write,
        presets::remove,
        transforms::list,
        transforms::activate,
        transforms::upload,
        transforms::remove,
        preview::preview,
        sessions::list,
        sessions::end,
        about::read,
        health::alive,
        health::ready,
        metrics_route::read,
    ),
    modifiers(&SessionScheme, &ErrorResponses)
)]
struct Api;

/// Adds the security scheme of session tokens.
struct SessionScheme;

impl Modify for SessionScheme {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some(
                "The session token that a login at /login returns. Scopes are the permissions that the session \
                 needs.",
            ))
            .build();
        document
            .components
            .get_or_insert_with(Default::default)
            .add_security_scheme("session", SecurityScheme::Http(scheme));
    }
}

/// Adds the default error response to every operation: all errors of this server and of Auth0 have the same format. The
/// operations list only their specific errors.
struct ErrorResponses;

impl Modify for ErrorResponses {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let content = Content::new(Some(Ref::from_schema_name("ErrorBody")));
        let response = ResponseBuilder::new()
            .description("An error, with the reason and a hint.")
            .content("application/json", content)
            .build();
        for path in document.paths.paths.values_mut() {
            for operation in [&mut path.get, &mut path.put, &mut path.post, &mut path.delete].into_iter().flatten() {
                operation.responses.responses.insert("default".to_owned(), RefOr::T(response.clone()));
            }
        }
    }
}

async fn document() -> HttpResponse {
    HttpResponse::Ok().json(Api::openapi())
}
