//! The lifecycle hooks of the extensions gallery (docs/auth0/extension.md#lifecycle-hooks).

use actix_web::http::header::AUTHORIZATION;
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};

use crate::web::app::App;
use crate::web::error_response::ApiError;
use crate::web::resource::resource;

pub(super) const INSTALL: &str = "/.extensions/on-install";
pub(super) const UPDATE: &str = "/.extensions/on-update";
pub(super) const UNINSTALL: &str = "/.extensions/on-uninstall";

pub(super) fn configure(config: &mut ServiceConfig) {
    config.service(resource(INSTALL, "POST").post(install));
    // The gallery's method for updates is not documented (docs/auth0/open-questions.md#method-of-update-hooks), so both
    // are accepted.
    config.service(resource(UPDATE, "PUT, POST").route(web::put().to(update)).route(web::post().to(update)));
    config.service(resource(UNINSTALL, "DELETE").delete(uninstall));
}

async fn check_token(request: &HttpRequest, app: &App, path: &str, destructive: bool) -> Result<(), ApiError> {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    Ok(app.access.hook(header, path, destructive).await?)
}

/// Prepares the storage.
async fn install(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, ApiError> {
    check_token(&request, &app, INSTALL, false).await?;
    app.store.prepare().await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Migrates the storage.
async fn update(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, ApiError> {
    check_token(&request, &app, UPDATE, false).await?;
    app.store.migrate().await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Deletes all artifacts, sessions, tokens, presets, uploads and history entries. A failure is logged and does not
/// prevent the uninstallation.
async fn uninstall(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, ApiError> {
    check_token(&request, &app, UNINSTALL, true).await?;
    if let Err(error) = app.jobs.uninstall().await {
        tracing::error!(code = error.code.as_str(), "uninstallation could not delete all data: {}", error.message);
    }
    app.access.forget_sessions().await;
    Ok(HttpResponse::NoContent().finish())
}
