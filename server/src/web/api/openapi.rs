//! `GET /api/openapi.json`: the description of this API, generated from the handlers.

use actix_web::HttpResponse;
use actix_web::web::ServiceConfig;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, Ref, RefOr, ResponseBuilder};
use utoipa::{Modify, OpenApi};

use super::{
    about, attributes, connections, health, history, jobs, presets, preview, read_only, sessions, transforms, users,
};

pub(super) fn configure(config: &mut ServiceConfig) {
    config.service(read_only("/openapi.json", document));
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
        crate::web::metrics::read,
    ),
    modifiers(&Session, &Refusals)
)]
struct Api;

struct Session;

impl Modify for Session {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some(
                "The session token that signing in at /login hands out. Scopes are permissions that the sign-in \
                 needs to have.",
            ))
            .build();
        document
            .components
            .get_or_insert_with(Default::default)
            .add_security_scheme("session", SecurityScheme::Http(scheme));
    }
}

/// Whatever is refused, by this server or by Auth0, is refused in one shape; the operations name what is
/// particular to them.
struct Refusals;

impl Modify for Refusals {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let content = Content::new(Some(Ref::from_schema_name("ErrorBody")));
        let refusal = ResponseBuilder::new()
            .description("Refused, with the reason and what to do.")
            .content("application/json", content)
            .build();
        for path in document.paths.paths.values_mut() {
            for operation in [&mut path.get, &mut path.put, &mut path.post, &mut path.delete].into_iter().flatten() {
                operation.responses.responses.insert("default".to_owned(), RefOr::T(refusal.clone()));
            }
        }
    }
}

async fn document() -> HttpResponse {
    HttpResponse::Ok().json(Api::openapi())
}
