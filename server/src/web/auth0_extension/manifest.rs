//! The manifest and the client configuration, both public (docs/auth0/extension.md#manifest,
//! docs/auth0/extension.md#client-configuration-document).

use actix_web::HttpResponse;
use actix_web::http::header::ContentType;
use actix_web::web::{self, Data, ServiceConfig};
use serde::Serialize;

use crate::web::app::App;
use crate::web::resource::resource;

/// The manifest, from the root of the repository.
const MANIFEST: &str = include_str!("../../../../webtask.json");

pub(super) fn configure(config: &mut ServiceConfig) {
    config.service(web::resource("/meta").to(manifest));
    config.service(resource("/.well-known/oauth2-client-configuration", "GET").get(client_configuration));
}

async fn manifest() -> HttpResponse {
    HttpResponse::Ok().insert_header(ContentType::json()).body(MANIFEST)
}

/// The root tenant's configuration of the client whose id is this server's base URL.
#[derive(Serialize)]
struct ClientConfiguration {
    redirect_uris: [String; 1],
    client_name: &'static str,
    post_logout_redirect_uris: [String; 1],
}

async fn client_configuration(app: Data<App>) -> HttpResponse {
    HttpResponse::Ok().json(ClientConfiguration {
        redirect_uris: [format!("{}/login/callback", app.base_url)],
        client_name: "User Import / Export Extension",
        post_logout_redirect_uris: [app.base_url.to_string()],
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn manifest() -> Value {
        serde_json::from_str(MANIFEST).unwrap()
    }

    #[test]
    fn the_manifest_has_the_version_of_this_build() {
        assert_eq!(manifest()["version"], env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn the_manifest_and_the_login_request_the_same_scopes() {
        assert_eq!(manifest()["auth0"]["scopes"], uie_access::SCOPES);
    }

    #[test]
    fn the_manifest_names_the_paths_of_the_hooks() {
        let auth0 = &manifest()["auth0"];
        assert_eq!(auth0["onInstallPath"], super::super::hooks::INSTALL);
        assert_eq!(auth0["onUpdatePath"], super::super::hooks::UPDATE);
        assert_eq!(auth0["onUninstallPath"], super::super::hooks::UNINSTALL);
        assert!(auth0.get("createClient").is_none());
    }
}
