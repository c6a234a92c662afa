//! `GET /api/openapi.json`: the OpenAPI description of this API, generated from the handlers.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::web::ServiceConfig;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, Ref, RefOr, ResponseBuilder};
use utoipa::{Modify, OpenApi};

use super::registration::operations;
use super::routes::ROUTES;
use crate::web::resource::get_resource;

pub(super) fn configure(config: &mut ServiceConfig) {
    config.service(get_resource("/openapi.json", document));
}

/// The document without operations.
#[derive(OpenApi)]
#[openapi(
    info(title = "User Import / Export", description = "Exports and imports the users of an Auth0 tenant."),
    modifiers(&SessionScheme)
)]
struct BaseDocument;

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
fn add_error_responses(document: &mut utoipa::openapi::OpenApi) {
    let content = Content::new(Some(Ref::from_schema_name("ErrorBody")));
    let response = ResponseBuilder::new()
        .description("An error, with the reason and a hint.")
        .content("application/json", content)
        .build();
    for (_, operation) in document.paths.paths.values_mut().flat_map(operations) {
        operation.responses.responses.insert("default".to_owned(), RefOr::T(response.clone()));
    }
}

/// The document with all registered operations.
static DOCUMENT: LazyLock<utoipa::openapi::OpenApi> = LazyLock::new(|| {
    let mut document = BaseDocument::openapi();
    ROUTES.describe(&mut document);
    add_error_responses(&mut document);
    document
});

async fn document() -> HttpResponse {
    HttpResponse::Ok().json(&*DOCUMENT)
}
