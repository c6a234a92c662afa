//! The HTML pages and their assets (docs/decisions/0016-no-bundler.md).
//!
//! A page contains no user data and needs no session: its scripts read the session from the browser's storage and fill
//! the page through the API. Assets are served below `assets/<version>/`, where the version is a digest of all assets,
//! so that they can be cached without limit and a new release is used at once. They are compressed once, at the first
//! request for an asset.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::LazyLock;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, AcceptEncoding, ContentEncoding, Encoding, EntityTag, Header, IfNoneMatch};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use aws_lc_rs::digest::{self, SHA256};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rust_embed::Embed;
use serde::Serialize;
use tera::Context;

use super::app::App;
use super::docs_pages;
use super::error_response::{ApiError, not_found};
use super::language::{requested_language, translate_text};
use super::page_cache::{NONCE_PLACEHOLDER, PageKey};
use super::resource::get_resource;
use super::templates::render_in;
use uie_core::error::{Code, Error};
use uie_core::language::Language;
use uie_core::message::message;
use uie_core::translations::script_texts;
use uie_core::user::{ATTRIBUTES, DEFAULT_COLUMNS};

#[derive(Embed)]
#[folder = "assets/"]
struct Assets;

/// An asset, prepared for responses.
struct Asset {
    media_type: String,
    tag: String,
    plain: web::Bytes,
    /// The compressed content; `None` if it is not smaller.
    gzip: Option<web::Bytes>,
}

impl Asset {
    fn new(name: &str, content: Vec<u8>) -> Self {
        let media_type = mime_guess::from_path(name).first_or_octet_stream();
        let media_type = match media_type.type_() {
            mime_guess::mime::TEXT => format!("{media_type}; charset=utf-8"),
            _ => media_type.to_string(),
        };
        let tag = URL_SAFE_NO_PAD.encode(digest::digest(&SHA256, &content));
        let plain = web::Bytes::from(content);
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        let gzip = encoder.write_all(&plain).and_then(|()| encoder.finish()).ok();
        let gzip = gzip.filter(|gzip| gzip.len() < plain.len()).map(web::Bytes::from);
        Self { media_type, tag, plain, gzip }
    }
}

/// All assets by name: the files, and the texts of the scripts.
static ASSETS: LazyLock<BTreeMap<String, Asset>> = LazyLock::new(|| {
    let files = Assets::iter().filter_map(|name| Some((name.to_string(), Assets::get(&name)?.data.into_owned())));
    let texts = Language::all().iter().map(|language| (texts_module(*language), texts_source(*language).into_bytes()));
    let asset = |(name, content): (String, Vec<u8>)| (name.clone(), Asset::new(&name, content));
    files.chain(texts).map(asset).collect()
});

/// Returns the name of the module with the texts of the scripts in a language. `assets/js/texts.js` imports it.
fn texts_module(language: Language) -> String {
    format!("js/texts.{}.js", language.tag())
}

fn texts_source(language: Language) -> String {
    format!("export default {};\n", script_texts(language))
}

/// Digest of every asset's name and content.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut context = digest::Context::new(&SHA256);
    for (name, asset) in ASSETS.iter() {
        context.update(name.as_bytes());
        context.update(&[0]);
        context.update(asset.tag.as_bytes());
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
    Settings,
}

impl Page {
    /// The pages of the menu, from top to bottom.
    const MENU: [Self; 5] = [Self::Import, Self::Export, Self::History, Self::Transforms, Self::Settings];

    /// Returns the name of its path below the base path, of its template (`<name>.html`), its script (`js/<name>.js`)
    /// and its icon.
    fn name(self) -> &'static str {
        match self {
            Self::Import => "import",
            Self::Export => "export",
            Self::History => "history",
            Self::Transforms => "transforms",
            Self::Settings => "settings",
        }
    }

    /// Returns its English label in the menu.
    fn label(self) -> &'static str {
        match self {
            Self::Import => "Import",
            Self::Export => "Export",
            Self::History => "History",
            Self::Transforms => "Transforms",
            Self::Settings => "Settings",
        }
    }
}

/// Returns the modules that a script imports, directly or indirectly, so that the browser can preload them.
fn imported_modules(script: &str) -> Vec<String> {
    fn collect(script: &str, found: &mut BTreeSet<String>) {
        let Some(asset) = ASSETS.get(script) else { return };
        let text = String::from_utf8_lossy(&asset.plain);
        for line in text.lines().filter(|line| line.starts_with("import ") || line.starts_with("} from ")) {
            if let Some(name) = line.rsplit('\'').nth(1).and_then(|path| path.strip_prefix("./")) {
                let module = format!("js/{name}");
                if found.insert(module.clone()) {
                    collect(&module, found);
                }
            }
        }
    }
    let mut found = BTreeSet::new();
    collect(script, &mut found);
    found.into_iter().collect()
}

/// The imported modules of each page's script.
static MODULES: LazyLock<BTreeMap<&'static str, Vec<String>>> = LazyLock::new(|| {
    let names = Page::MENU.map(Page::name).into_iter().chain(["guide"]);
    names.map(|name| (name, imported_modules(&format!("js/{name}.js")))).collect()
});

/// Adds the pages and their assets.
pub fn configure(config: &mut ServiceConfig) {
    config
        .service(get_resource("/", import))
        .service(get_resource("/import", import))
        .service(get_resource("/export", export))
        .service(get_resource("/history", history))
        .service(get_resource("/transforms", transforms))
        .service(get_resource("/settings", settings))
        .service(get_resource("/guide/{name:.*}", guide))
        .service(get_resource("/assets/{version}/{path:.*}", asset))
        .default_service(web::to(not_found_page));
}

async fn not_found_page(request: HttpRequest, app: Data<App>) -> HttpResponse {
    not_found_response(not_found(&request), &request, &app)
}

/// Answers 404: with a page for browsers, with JSON for other clients.
fn not_found_response(error: Error, request: &HttpRequest, app: &App) -> HttpResponse {
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accept.contains("text/html") {
        let (nonce, language) = (nonce(), requested_language(request));
        let mut context = Context::new();
        context.insert("nonce", &nonce);
        context.insert("lang", language.tag());
        context.insert("message", &error.message.in_language(language));
        context.insert("home", &app.base_path());
        if let Ok(page) = render_in(language, "not_found.html", &context) {
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

async fn settings(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, ApiError> {
    page(Page::Settings, &request, &app)
}

/// The display options in the query of a page.
#[derive(Debug, Default, PartialEq, Eq)]
struct DisplayOptions {
    /// Whether to omit header and footer, for embedding in the Auth0 dashboard.
    embed: bool,
    /// `light` or `dark`; `None` for the system's setting.
    theme: Option<&'static str>,
    /// The language; `None` for the user's choice or the browser's setting.
    language: Option<Language>,
}

impl DisplayOptions {
    fn parse(query: &str) -> Self {
        let mut options = Self::default();
        for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match (key.as_ref(), value.as_ref()) {
                ("embed", "1" | "true") => options.embed = true,
                ("theme", "light") => options.theme = Some("light"),
                ("theme", "dark") => options.theme = Some("dark"),
                ("lang", tag) => options.language = Language::of_tag(tag),
                _ => {}
            }
        }
        options
    }

    /// Returns the query that preserves the options in links of the menu; empty without options.
    fn query(&self) -> String {
        let embed = self.embed.then(|| "embed=1".to_owned());
        let theme = self.theme.map(|theme| format!("theme={theme}"));
        let language = self.language.map(|language| format!("lang={}", language.tag()));
        let pairs: Vec<_> = embed.into_iter().chain(theme).chain(language).collect();
        if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
    }
}

/// The configuration for the scripts.
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
    /// Expressions of the documented attributes.
    attributes: &'a [String],
    /// Names of the attributes that an import accepts.
    import_attributes: &'a [&'a str],
}

#[derive(Serialize)]
struct MenuItem {
    name: &'static str,
    label: &'static str,
    href: String,
    current: bool,
}

fn page(page: Page, request: &HttpRequest, app: &App) -> Result<HttpResponse, ApiError> {
    html_response(request, app, (page.name(), ""), |template| template.html(page))
}

async fn guide(request: HttpRequest, app: Data<App>, name: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let Some(guide) = docs_pages::find(&name) else {
        let error = Error::new(Code::NotFound, message!("There is no guide `{name}`.", name = name.as_str()));
        return Ok(not_found_response(error, &request, &app));
    };
    html_response(&request, &app, ("guide", guide.name), |template| template.guide(guide))
}

/// Returns the response for a page. `name` is its template, and the guide that it shows.
fn html_response(
    request: &HttpRequest,
    app: &App,
    (template, guide): (&'static str, &'static str),
    html: impl FnOnce(&PageTemplate<'_>) -> Result<String, Error>,
) -> Result<HttpResponse, ApiError> {
    let nonce = nonce();
    let options = DisplayOptions::parse(request.query_string());
    let is_default = options == DisplayOptions::default();
    let language = options.language.unwrap_or_else(|| requested_language(request));
    let render = || {
        html(&PageTemplate {
            language,
            options,
            base_path: &app.base_path(),
            tenant: app.settings.domain.as_ref().map_or("", |domain| domain.host()),
            manage_url: app.settings.manage_url.as_str(),
            upload_limit: app.settings.upload_limit,
            nonce: NONCE_PLACEHOLDER,
        })
    };
    // Pages with other options are rare, and there are many combinations.
    let page =
        if is_default { app.pages.get(PageKey { template, guide, language }, render)? } else { render()?.into() };
    Ok(HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::VARY, "accept-language, cookie"))
        .insert_header((
            header::CONTENT_SECURITY_POLICY,
            content_security_policy(&nonce, &app.settings.frame_ancestors),
        ))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "same-origin"))
        // The login window sends its session to the page that opened it.
        .insert_header((header::CROSS_ORIGIN_OPENER_POLICY, "same-origin-allow-popups"))
        .insert_header((
            header::PERMISSIONS_POLICY,
            "camera=(), geolocation=(), microphone=(), payment=(), usb=(), browsing-topics=()",
        ))
        .body(page.replace(NONCE_PLACEHOLDER, &nonce)))
}

/// The values for the template of a page.
struct PageTemplate<'a> {
    options: DisplayOptions,
    language: Language,
    base_path: &'a str,
    tenant: &'a str,
    manage_url: &'a str,
    upload_limit: u64,
    nonce: &'a str,
}

impl PageTemplate<'_> {
    fn html(&self, page: Page) -> Result<String, Error> {
        let context = self.context(page.name(), Some(page), translate_text(self.language, page.label()))?;
        render_in(self.language, &format!("{}.html", page.name()), &context)
    }

    fn guide(&self, guide: &docs_pages::Guide) -> Result<String, Error> {
        let mut context = self.context("guide", None, &guide.title)?;
        let query = self.options.query();
        let href = |guide: &docs_pages::Guide| format!("{}guide/{}{query}", self.base_path, guide.name);
        let guides = docs_pages::listed().map(|other| GuideItem {
            title: &other.title,
            href: href(other),
            // A guide of a directory is shown below that of the directory.
            current: guide.name.split('/').next() == Some(other.name),
        });
        context.insert("guides", &guides.collect::<Vec<_>>());
        context.insert("guide", &guide.html);
        render_in(self.language, "guide.html", &context)
    }

    /// Returns the template context of every page. `script` is the name of the page's script.
    fn context(&self, script: &'static str, current: Option<Page>, label: &str) -> Result<Context, Error> {
        let Self { base_path, .. } = *self;
        let exportable = ATTRIBUTES.iter().filter(|attribute| attribute.exportable);
        let mut attributes: Vec<_> = exportable.map(|attribute| format!("user.{}", attribute.name)).collect();
        attributes.push("user.identities[0].connection".to_owned());
        let importable = ATTRIBUTES.iter().filter(|attribute| attribute.importable);
        let importable: Vec<_> = importable.map(|attribute| attribute.name).collect();
        let config = Config {
            page: script,
            base_path,
            tenant: self.tenant,
            manage_url: self.manage_url,
            version: env!("CARGO_PKG_VERSION"),
            embed: self.options.embed,
            upload_limit: self.upload_limit,
            default_columns: &DEFAULT_COLUMNS,
            attributes: &attributes,
            import_attributes: &importable,
        };
        let query = self.options.query();
        let menu = Page::MENU.map(|item| MenuItem {
            name: item.name(),
            label: translate_text(self.language, item.label()),
            href: format!("{base_path}{}{query}", item.name()),
            current: Some(item) == current,
        });

        let mut context = Context::new();
        context.insert("nonce", self.nonce);
        context.insert("base", base_path);
        context.insert("query", &query);
        context.insert("assets", &format!("{base_path}assets/{}/", *VERSION));
        context.insert("tenant", self.tenant);
        context.insert("version", env!("CARGO_PKG_VERSION"));
        context.insert("label", label);
        context.insert("script", &format!("js/{script}.js"));
        let texts = texts_module(self.language);
        let modules = MODULES.get(script).into_iter().flatten().chain([&texts]);
        context.insert("modules", &modules.collect::<Vec<_>>());
        context.insert("lang", self.language.tag());
        let languages =
            Language::all().iter().map(|language| LanguageItem { tag: language.tag(), name: language.name() });
        context.insert("languages", &languages.collect::<Vec<_>>());
        context.insert("menu", &menu);
        context.insert("embed", &self.options.embed);
        context.insert("theme", self.options.theme.unwrap_or_default());
        context.insert("config", &script_json(&config)?);
        Ok(context)
    }
}

/// An entry of the language menu.
#[derive(Serialize)]
struct LanguageItem {
    tag: &'static str,
    name: &'static str,
}

/// An entry of the list of guides.
#[derive(Serialize)]
struct GuideItem<'a> {
    title: &'a str,
    href: String,
    current: bool,
}

fn nonce() -> String {
    STANDARD.encode(rand::random::<[u8; 16]>())
}

fn content_security_policy(nonce: &str, frame_ancestors: &str) -> String {
    format!(
        "default-src 'none'; script-src 'nonce-{nonce}' 'self'; style-src 'self'; img-src 'self'; \
         connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors {frame_ancestors}; \
         require-trusted-types-for 'script'; trusted-types 'none'"
    )
}

/// Returns JSON that is safe inside a `<script>` element: it can neither end the element nor open a comment.
fn script_json(value: &impl Serialize) -> Result<String, Error> {
    let json = serde_json::to_string(value).map_err(Error::internal)?;
    Ok(json
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029"))
}

async fn asset(request: HttpRequest, path: web::Path<(String, String)>) -> Result<HttpResponse, ApiError> {
    let (version, name) = path.into_inner();
    let Some(asset) = ASSETS.get(&name) else {
        return Err(Error::new(Code::NotFound, message!("There is no asset {name:?}.")).into());
    };
    let gzip = asset.gzip.as_ref().filter(|_| accepts_gzip(&request));
    // Caches must distinguish the compressed and the plain content.
    let tag = EntityTag::new_strong(if gzip.is_some() { format!("{}-gzip", asset.tag) } else { asset.tag.clone() });
    // An open page of an earlier release may still request its assets. It gets the current ones, uncached.
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
        .insert_header((header::VARY, "accept-encoding"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header(("cross-origin-resource-policy", "same-origin"));
    if unchanged {
        return Ok(reply.finish());
    }
    reply.content_type(asset.media_type.as_str());
    match gzip {
        Some(gzip) => Ok(reply.insert_header(ContentEncoding::Gzip).body(gzip.clone())),
        None => Ok(reply.body(asset.plain.clone())),
    }
}

fn accepts_gzip(request: &HttpRequest) -> bool {
    AcceptEncoding::parse(request).is_ok_and(|accepted| {
        accepted.negotiate([Encoding::gzip(), Encoding::identity()].iter()) == Some(Encoding::gzip())
    })
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
    use actix_web::test::{TestRequest, call_service, init_service, read_body};

    use super::*;

    fn html(page: Page, query: &str) -> String {
        let template = PageTemplate {
            options: DisplayOptions::parse(query),
            language: DisplayOptions::parse(query).language.unwrap_or_default(),
            base_path: "/ext/",
            tenant: "acme.eu.auth0.com",
            manage_url: "https://manage.auth0.com/",
            upload_limit: 1000,
            nonce: "bm9uY2U=",
        };
        template.html(page).unwrap()
    }

    #[test]
    fn every_page_has_one_heading_and_marks_its_menu_item() {
        for page in Page::MENU {
            let html = html(page, "");
            assert_eq!(html.matches("<h1").count(), 1, "{page:?}");
            let current = format!("href=\"/ext/{}\" aria-current=\"page\"", page.name());
            assert_eq!(html.matches("aria-current").count(), 1, "{page:?}");
            assert!(html.contains(&current), "{page:?}");
        }
    }

    #[test]
    fn scripts_have_the_nonce_and_pages_have_no_inline_code() {
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
    fn a_page_preloads_all_imported_modules() {
        for page in Page::MENU {
            let html = html(page, "");
            let preloads = html.matches("rel=\"modulepreload\"").count();
            let modules = &MODULES[page.name()];
            assert!(modules.iter().any(|name| name == "js/dom.js"), "{page:?}: {modules:?}");
            // The module with the texts depends on the language.
            assert_eq!(preloads, modules.len() + 1, "{page:?}");
            assert!(html.contains("js/texts.en.js"));
            assert!(modules.iter().all(|name| ASSETS.contains_key(name) && html.contains(name.as_str())), "{page:?}");
        }
    }

    #[test]
    fn every_import_statement_of_a_script_is_found() {
        for (name, asset) in ASSETS.iter().filter(|(name, _)| name.starts_with("js/")) {
            let text = String::from_utf8_lossy(&asset.plain);
            let named = text.matches(" from './").count();
            let found = text.lines().filter(|line| {
                (line.starts_with("import ") || line.starts_with("} from ")) && line.contains(" from './")
            });
            assert_eq!(found.count(), named, "{name}");
        }
    }

    #[test]
    fn links_preserve_the_display_options_and_nothing_else_of_the_query() {
        let embedded = html(Page::Import, "theme=dark&embed=1&x=%22%3E%3Cscript%3E");
        assert!(embedded.contains("data-theme=\"dark\""));
        assert!(!embedded.contains("Log out"));
        assert!(
            embedded.contains("href=\"/ext/history?embed=1&theme=dark\"")
                || embedded.contains("embed=1&amp;theme=dark")
        );
        assert!(!embedded.contains("\"><script>"));
        assert!(html(Page::History, "lang=de").contains("<html lang=\"de\""));
        assert!(html(Page::History, "lang=de").contains("href=\"/ext/import?lang=de\""));
        let plain = html(Page::Import, "theme=%22%3E%3Cscript%3E&lang=%22%3E%3Cscript%3E");
        assert!(plain.contains("Log out"));
        assert!(!plain.contains("data-theme"));
    }

    #[test]
    fn every_page_is_translated_completely() {
        for page in Page::MENU {
            for language in Language::all() {
                let html = html(page, &format!("lang={}", language.tag()));
                // The line of the configuration is JSON, which may contain nested arrays.
                let mut texts = html.lines().filter(|line| !line.contains("id=\"config\""));
                assert!(texts.all(|line| !line.contains("[[") && !line.contains("]]")), "{page:?} {language:?}");
                assert!(html.contains(&format!("js/texts.{}.js", language.tag())));
            }
        }
        assert!(html(Page::Import, "lang=de").contains("Import starten"));
    }

    #[test]
    fn the_texts_of_the_scripts_are_modules() {
        for language in Language::all() {
            let asset = &ASSETS[&texts_module(*language)];
            assert_eq!(asset.media_type, "text/javascript; charset=utf-8");
            let source = String::from_utf8_lossy(&asset.plain);
            let json = source.strip_prefix("export default ").and_then(|rest| rest.strip_suffix(";\n")).unwrap();
            let texts: serde_json::Value = serde_json::from_str(json).unwrap();
            assert!(texts["import"]["noFiles"].is_string(), "{language:?}");
        }
    }

    #[test]
    fn the_configuration_cannot_end_its_script_element() {
        let json = script_json(&"</script><!-- \u{2028} &amp;").unwrap();
        assert!(!json.contains(['<', '>', '&', '\u{2028}']), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), "</script><!-- \u{2028} &amp;");
    }

    #[test]
    fn no_script_creates_markup_from_data() {
        for name in Assets::iter().filter(|name| name.ends_with(".js")) {
            let text = String::from_utf8(Assets::get(&name).unwrap().data.into_owned()).unwrap();
            for forbidden in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"]
            {
                assert!(!text.contains(forbidden), "{name} uses {forbidden}");
            }
        }
    }

    #[actix_web::test]
    async fn assets_are_served_compressed_to_clients_that_accept_gzip() {
        let app = init_service(actix_web::App::new().configure(configure)).await;
        let uri = format!("/assets/{}/app.css", *VERSION);
        let plain = call_service(&app, TestRequest::get().uri(&uri).to_request()).await;
        assert!(plain.headers().get(header::CONTENT_ENCODING).is_none());
        let (tag, plain) = (plain.headers().get(ETAG).cloned(), read_body(plain).await);
        for accepted in ["gzip", "gzip, deflate, br, zstd", "br, gzip;q=0.5"] {
            let request = TestRequest::get().uri(&uri).insert_header((header::ACCEPT_ENCODING, accepted));
            let packed = call_service(&app, request.to_request()).await;
            assert_eq!(packed.headers().get(header::CONTENT_ENCODING).unwrap(), "gzip", "{accepted}");
            assert_eq!(packed.headers().get(header::VARY).unwrap(), "accept-encoding");
            assert_ne!(packed.headers().get(ETAG).cloned(), tag);
            let body = read_body(packed).await;
            assert!(body.len() * 2 < plain.len());
            let mut unpacked = Vec::new();
            std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&body[..]), &mut unpacked).unwrap();
            assert_eq!(unpacked, plain);
        }
        let request = TestRequest::get().uri(&uri).insert_header((header::ACCEPT_ENCODING, "gzip;q=0, identity"));
        assert!(call_service(&app, request.to_request()).await.headers().get(header::CONTENT_ENCODING).is_none());
    }

    #[actix_web::test]
    async fn assets_are_immutable_only_under_the_current_version() {
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
    async fn files_outside_the_assets_are_not_served() {
        let app = init_service(actix_web::App::new().configure(configure)).await;
        for path in ["../Cargo.toml", "..%2FCargo.toml", "js/../../Cargo.toml", "js", "", "/etc/passwd"] {
            let request = TestRequest::get().uri(&format!("/assets/v/{path}")).to_request();
            assert_eq!(call_service(&app, request).await.status(), StatusCode::NOT_FOUND, "{path}");
        }
    }
}
