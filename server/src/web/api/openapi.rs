//! `GET /api/openapi.json`: the description of this API, generated from the handlers.

use actix_web::HttpResponse;
use actix_web::web::ServiceConfig;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::{attributes, connections, health, history, jobs, presets, preview, read_only, transforms, users};

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
        jobs::read,
        jobs::cancel,
        jobs::resume,
        jobs::retry,
        jobs::report,
        jobs::download,
        history::list,
        attributes::list,
        presets::list,
        presets::read,
        presets::write,
        presets::remove,
        transforms::list,
        transforms::upload,
        transforms::remove,
        preview::preview,
        health::alive,
        health::ready,
        crate::web::metrics::read,
    ),
    modifiers(&Session)
)]
struct Api;

struct Session;

impl Modify for Session {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some("The session token that signing in at /login hands out."))
            .build();
        document
            .components
            .get_or_insert_with(Default::default)
            .add_security_scheme("session", SecurityScheme::Http(scheme));
    }
}

async fn document() -> HttpResponse {
    HttpResponse::Ok().json(Api::openapi())
}
