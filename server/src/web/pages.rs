//! The pages and their assets: shells without data, filled through the API (design, section 10).
//!
//! A page carries no user's data and needs no session; its scripts read the session from the
//! browser's storage. Assets are served below `assets/<version>/`, where the version is a digest of all
//! of them, so that they can be cached for ever and a new release is picked up at once.

use std::borrow::Cow;
use std::sync::LazyLock;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, EntityTag, Header, IfNoneMatch};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use aws_lc_rs::digest::{self, SHA256};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rust_embed::Embed;
use serde::Serialize;
use tera::Context;

use super::reply::{not_found, read_only};
use super::templates::render;
use super::{ApiError, App};
use crate::error::{Code, Error};
use crate::user::{ATTRIBUTES, DEFAULT_COLUMNS};

#[derive(Embed)]
#[folder = "assets/"]
struct Assets;

/// Digest of every asset's name and content.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut names: Vec<_> = Assets::iter().collect();
    names.sort_unstable();
    let mut context = digest::Context::new(&SHA256);
    for name in names {
        if let Some(file) = Assets::get(&name) {
            context.update(name.as_bytes());
            context.update(&[0]);
            context.update(&file.metadata.sha256_hash());
        }
    }
    URL_SAFE_NO_PAD.encode(&context.finish().as_ref()[..9])
});

/// A page of the menu.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    Import,
    Export,
    History,
    Transforms,
}

impl Page {
    /// The menu, from top to bottom.
    const MENU: [Self; 4] = [Self::Import, Self::Export, Self::History, Self::Transforms];

    /// Its path below the base path, its template (`<name>.html`), its script (`js/<name>.js`) and its
    /// icon.
    fn name(self) -> &'static str {
        match self {
            Self::Import => "import",
            Self::Export => "export",
            Self::History => "history",
            Self::Transforms => "transforms",
        }
    }

    /// What the menu calls it.
    fn label(self) -> &'static str {
        match self {
            Self::Import => "Import",
            Self::Export => "Export",
            Self::History => "History",
            Self::Transforms => "Transforms",
        }
    }

    /// The scripts the browser may load while it still reads the page.
    fn modules(self) -> Vec<String> {
        let own: &[&str] = match self {
            Self::Import => &["connections", "job", "report"],
            Self::Export => &["columns", "connections", "job", "picker", "presets", "preview", "query", "settings"],
            Self::History => &["job", "report", "settings"],
            Self::Transforms => &["manifest", "picker", "preview"],
        };
        let shared = ["page", "session", "api", "dom", "format", "texts"];
        shared.iter().chain(own).map(|name| format!("js/{name}.js")).collect()
    }
}

/// Adds the pages and their assets.
pub fn configure(config: &mut ServiceConfig) {
    config
        .service(read_only("/", import))
        .service(read_only("/import", import))
        .service(read_only("/export", export))
        .service(read_only("/history", history))
        .service(read_only("/transforms", transforms))
        .service(read_only("/assets/{version}/{path:.*}", asset))
        .default_service(web::to(nowhere));
}

/// 404: a page for who followed a link or mistyped an address, JSON for programs.
async fn nowhere(request: HttpRequest, app: Data<App>) -> HttpResponse {
    let error = not_found(&request);
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accept.contains("text/html") {
        let nonce = nonce();
        let mut context = Context::new();
        context.insert("nonce", &nonce);
        context.insert("message", &error.message);
        context.insert("home", &app.base_path());
        if let Ok(page) = render("not_found.html", &context) {
            let policy =
                format!("default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; frame-ancestors 'none'");
            return HttpResponse::NotFound()
                .content_type("text/html; charset=utf-8")
                .insert_header((header::CACHE_CONTROL, "no-store"))
                .insert_header((header::CONTENT_SECURITY_POLICY, policy))
                .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
                .insert_header((header::REFERRER_POLICY, "no-referrer"))
                .body(page);
        }
    }
    ApiError(error).error_response()
}

async fn import(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, ApiError> {
    page(Page::Import, &request, &app)
}

async fn export(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, ApiError> {
    page(Page::Export, &request, &app)
}

async fn history(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, ApiError> {
    page(Page::History, &request, &app)
}

async fn transforms(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, ApiError> {
    page(Page::Transforms, &request, &app)
}

/// How the address asks for the page to look.
#[derive(Debug, Default, PartialEq, Eq)]
struct Look {
    /// Without header and footer, to stand inside the dashboard.
    embed: bool,
    /// `light` or `dark`; otherwise as the system says.
    theme: Option<&'static str>,
}

impl Look {
    fn read(query: &str) -> Self {
        let mut look = Self::default();
        for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match (key.as_ref(), value.as_ref()) {
                ("embed", "1" | "true") => look.embed = true,
                ("theme", "light") => look.theme = Some("light"),
                ("theme", "dark") => look.theme = Some("dark"),
                _ => {}
            }
        }
        look
    }

    /// The query that keeps the look when a link of the menu is followed.
    fn query(&self) -> String {
        let embed = self.embed.then(|| "embed=1".to_owned());
        let theme = self.theme.map(|theme| format!("theme={theme}"));
        let pairs: Vec<_> = embed.into_iter().chain(theme).collect();
        if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
    }
}

/// What the scripts need to know.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Config<'a> {
    page: &'a str,
    base_path: &'a str,
    tenant: &'a str,
    manage_url: &'a str,
    version: &'a str,
    embed: bool,
    upload_limit: u64,
    default_columns: &'a [(&'a str, &'a str)],
}

#[derive(Serialize)]
struct MenuItem {
    name: &'static str,
    label: &'static str,
    href: String,
    current: bool,
}

fn page(page: Page, request: &HttpRequest, app: &App) -> Result<HttpResponse, ApiError> {
    let base_path = app.base_path();
    let nonce = nonce();
    let shell = Shell {
        page,
        look: Look::read(request.query_string()),
        base_path: &base_path,
        tenant: app.settings.domain.as_ref().map_or("", |domain| domain.host()),
        manage_url: app.settings.manage_url.as_str(),
        upload_limit: app.settings.upload_limit,
        nonce: &nonce,
    };
    Ok(HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::CONTENT_SECURITY_POLICY, policy(&nonce, &app.settings.frame_ancestors)))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "same-origin"))
        .insert_header((
            header::PERMISSIONS_POLICY,
            "camera=(), geolocation=(), microphone=(), payment=(), usb=(), browsing-topics=()",
        ))
        .body(shell.html()?))
}

/// A page without data.
struct Shell<'a> {
    page: Page,
    look: Look,
    base_path: &'a str,
    tenant: &'a str,
    manage_url: &'a str,
    upload_limit: u64,
    nonce: &'a str,
}

impl Shell<'_> {
    fn html(&self) -> Result<String, Error> {
        let Self { page, base_path, .. } = *self;
        let config = Config {
            page: page.name(),
            base_path,
            tenant: self.tenant,
            manage_url: self.manage_url,
            version: env!("CARGO_PKG_VERSION"),
            embed: self.look.embed,
            upload_limit: self.upload_limit,
            default_columns: &DEFAULT_COLUMNS,
        };
        let query = self.look.query();
        let menu = Page::MENU.map(|item| MenuItem {
            name: item.name(),
            label: item.label(),
            href: format!("{base_path}{}{query}", item.name()),
            current: item == page,
        });
        let exportable = ATTRIBUTES.iter().filter(|attribute| attribute.exportable);

        let mut context = Context::new();
        context.insert("nonce", self.nonce);
        context.insert("base", base_path);
        context.insert("assets", &format!("{base_path}assets/{}/", *VERSION));
        context.insert("tenant", self.tenant);
        context.insert("version", env!("CARGO_PKG_VERSION"));
        context.insert("label", page.label());
        context.insert("script", &format!("js/{}.js", page.name()));
        context.insert("modules", &page.modules());
        context.insert("menu", &menu);
        context.insert("embed", &self.look.embed);
        context.insert("theme", self.look.theme.unwrap_or_default());
        context.insert("config", &script_json(&config)?);
        context.insert("attributes", &exportable.map(|attribute| attribute.name).collect::<Vec<_>>());
        render(&format!("{}.html", page.name()), &context)
    }
}

fn nonce() -> String {
    STANDARD.encode(rand::random::<[u8; 16]>())
}

fn policy(nonce: &str, frame_ancestors: &str) -> String {
    format!(
        "default-src 'none'; script-src 'nonce-{nonce}' 'self'; style-src 'self'; img-src 'self' data:; \
         connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors {frame_ancestors}"
    )
}

/// JSON that can stand inside a `<script>` element: nothing in it can end the element or open a comment.
fn script_json(value: &impl Serialize) -> Result<String, Error> {
    let json = serde_json::to_string(value).map_err(|error| Error::new(Code::Internal, error.to_string()))?;
    Ok(json
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029"))
}

async fn asset(request: HttpRequest, path: web::Path<(String, String)>) -> Result<HttpResponse, ApiError> {
    let (version, name) = path.into_inner();
    let Some(file) = Assets::get(&name) else {
        return Err(Error::new(Code::NotFound, format!("There is no asset {name:?}.")).into());
    };
    let tag = EntityTag::new_strong(URL_SAFE_NO_PAD.encode(file.metadata.sha256_hash()));
    // A page of an earlier release may still ask for its assets; it gets today's, uncached.
    let caching = if version == *VERSION { "public, max-age=31536000, immutable" } else { "no-cache" };
    let unchanged = match IfNoneMatch::parse(&request) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|known| known.weak_eq(&tag)),
        Err(_) => false,
    };
    let mut reply = HttpResponse::build(if unchanged { StatusCode::NOT_MODIFIED } else { StatusCode::OK });
    reply
        .insert_header((header::CACHE_CONTROL, caching))
        .insert_header((header::ETAG, tag.to_string()))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header(("cross-origin-resource-policy", "same-origin"));
    if unchanged {
        return Ok(reply.finish());
    }
    let media_type = mime_guess::from_path(&name).first_or_octet_stream();
    let media_type = match media_type.type_() {
        mime_guess::mime::TEXT => format!("{media_type}; charset=utf-8"),
        _ => media_type.to_string(),
    };
    let body = match file.data {
        Cow::Borrowed(bytes) => web::Bytes::from_static(bytes),
        Cow::Owned(bytes) => web::Bytes::from(bytes),
    };
    Ok(reply.content_type(media_type).body(body))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
    use actix_web::test::{TestRequest, call_service, init_service, read_body};

    use super::*;

    fn html(page: Page, query: &str) -> String {
        let shell = Shell {
            page,
            look: Look::read(query),
            base_path: "/ext/",
            tenant: "acme.eu.auth0.com",
            manage_url: "https://manage.auth0.com/",
            upload_limit: 1000,
            nonce: "bm9uY2U=",
        };
        shell.html().unwrap()
    }

    #[test]
    fn every_page_has_one_heading_and_marks_its_place_in_the_menu() {
        for page in Page::MENU {
            let html = html(page, "");
            assert_eq!(html.matches("<h1").count(), 1, "{page:?}");
            let current = format!("href=\"/ext/{}\" aria-current=\"page\"", page.name());
            assert_eq!(html.matches("aria-current").count(), 1, "{page:?}");
            assert!(html.contains(&current), "{page:?}");
        }
    }

    #[test]
    fn scripts_carry_the_nonce_and_nothing_is_styled_or_run_inline() {
        for page in Page::MENU {
            let html = html(page, "embed=1&theme=dark");
            for tag in html.split('<').filter(|tag| tag.starts_with("script")) {
                let data = tag.starts_with("script type=\"application/json\"");
                assert!(data || tag.contains("nonce=\"bm9uY2U=\" "), "{tag}");
            }
            for forbidden in [" style=", "<style", " onclick=", "javascript:", "http://", "https://"] {
                let allowed = usize::from(forbidden == "https://");
                assert_eq!(html.matches(forbidden).count(), allowed, "{page:?} {forbidden}");
            }
        }
    }

    #[test]
    fn a_page_asks_for_everything_it_imports_at_once() {
        fn imported(name: &str, seen: &mut BTreeSet<String>) {
            let file = Assets::get(name).unwrap_or_else(|| panic!("{name} is not an asset"));
            let text = String::from_utf8(file.data.into_owned()).unwrap();
            for line in text.lines().filter(|line| line.starts_with("import ")) {
                let module = line.rsplit('\'').nth(1).unwrap().replace("./", "js/");
                if seen.insert(module.clone()) {
                    imported(&module, seen);
                }
            }
        }
        for page in Page::MENU {
            let mut needed = BTreeSet::new();
            imported(&format!("js/{}.js", page.name()), &mut needed);
            assert_eq!(page.modules().into_iter().collect::<BTreeSet<_>>(), needed, "{page:?}");
        }
    }

    #[test]
    fn the_look_of_the_address_is_kept_and_nothing_else_of_it() {
        let embedded = html(Page::Import, "theme=dark&embed=1&x=%22%3E%3Cscript%3E");
        assert!(embedded.contains("data-theme=\"dark\""));
        assert!(!embedded.contains("Log out"));
        assert!(
            embedded.contains("href=\"/ext/history?embed=1&theme=dark\"")
                || embedded.contains("embed=1&amp;theme=dark")
        );
        assert!(!embedded.contains("\"><script>"));
        let plain = html(Page::Import, "theme=%22%3E%3Cscript%3E");
        assert!(plain.contains("Log out"));
        assert!(!plain.contains("data-theme"));
    }

    #[test]
    fn what_scripts_are_told_cannot_end_their_element() {
        let json = script_json(&"</script><!-- \u{2028} &amp;").unwrap();
        assert!(!json.contains(['<', '>', '&', '\u{2028}']), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), "</script><!-- \u{2028} &amp;");
    }

    #[test]
    fn every_script_builds_the_page_without_markup_from_data() {
        for name in Assets::iter().filter(|name| name.ends_with(".js")) {
            let text = String::from_utf8(Assets::get(&name).unwrap().data.into_owned()).unwrap();
            for forbidden in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"]
            {
                assert!(!text.contains(forbidden), "{name} uses {forbidden}");
            }
        }
    }

    #[actix_web::test]
    async fn assets_are_cached_for_ever_under_their_version_only() {
        let app = init_service(actix_web::App::new().configure(configure)).await;
        let current = TestRequest::get().uri(&format!("/assets/{}/app.css", *VERSION)).to_request();
        let reply = call_service(&app, current).await;
        assert_eq!(reply.headers().get(CONTENT_TYPE).unwrap(), "text/css; charset=utf-8");
        assert!(reply.headers().get(CACHE_CONTROL).unwrap().to_str().unwrap().contains("immutable"));
        let tag = reply.headers().get(ETAG).unwrap().clone();
        assert!(!read_body(reply).await.is_empty());

        let old = TestRequest::get().uri("/assets/old/app.css").to_request();
        assert_eq!(call_service(&app, old).await.headers().get(CACHE_CONTROL).unwrap(), "no-cache");
        let known = TestRequest::get().uri("/assets/old/app.css").insert_header((IF_NONE_MATCH, tag)).to_request();
        assert_eq!(call_service(&app, known).await.status(), StatusCode::NOT_MODIFIED);
    }

    #[actix_web::test]
    async fn files_beside_the_assets_are_not_served() {
        let app = init_service(actix_web::App::new().configure(configure)).await;
        for path in ["../Cargo.toml", "..%2FCargo.toml", "js/../../Cargo.toml", "js", "", "/etc/passwd"] {
            let request = TestRequest::get().uri(&format!("/assets/v/{path}")).to_request();
            assert_eq!(call_service(&app, request).await.status(), StatusCode::NOT_FOUND, "{path}");
        }
    }
}
