//! The gallery's lifecycle hooks (docs/auth0/extension.md#lifecycle-hooks).

use actix_web::http::header::AUTHORIZATION;
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};

use super::super::{ApiError, App};
use super::only;

pub(super) const INSTALL: &str = "/.extensions/on-install";
pub(super) const UPDATE: &str = "/.extensions/on-update";
pub(super) const UNINSTALL: &str = "/.extensions/on-uninstall";

pub(super) fn configure(config: &mut ServiceConfig) {
    config.service(only(INSTALL, "POST").post(install));
    // The gallery's method for updates is not certain (docs/auth0/open-questions.md#method-of-update-hooks): both are
    // taken.
    config.service(only(UPDATE, "PUT, POST").route(web::put().to(update)).route(web::post().to(update)));
    config.service(only(UNINSTALL, "DELETE").delete(uninstall));
}

async fn check(request: &HttpRequest, app: &App, path: &str, destructive: bool) -> Result<(), ApiError> {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    Ok(app.access.hook(header, path, destructive).await?)
}

/// Prepares storage.
async fn install(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, ApiError> {
    check(&request, &app, INSTALL, false).await?;
    app.store.prepare().await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Migrates storage.
async fn update(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, ApiError> {
    check(&request, &app, UPDATE, false).await?;
    app.store.migrate().await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Removes every artifact, session, token, preset, upload and history entry. What cannot be removed is logged and never
/// keeps the gallery from uninstalling.
async fn uninstall(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, ApiError> {
    check(&request, &app, UNINSTALL, true).await?;
    if let Err(error) = app.jobs.uninstall().await {
        tracing::error!(code = error.code.as_str(), "uninstalling could not remove everything: {}", error.message);
    }
    app.access.forget_sessions().await;
    Ok(HttpResponse::NoContent().finish())
}
