//! Session tokens and the tokens of lifecycle hooks.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::ExposeSecret;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use user_import_export::access::{Access, Admission, SESSION_AUDIENCE, Session};
use user_import_export::config::{Purpose, Settings};
use user_import_export::error::Result;
use user_import_export::store::Store;

use crate::fixture::{SECRET, parts, person, shown};

const BASE_URL: &str = "https://users.example.com/tool";
const HOOK: &str = "/.extensions/on-uninstall";

/// An access control whose database knows one session.
struct Setup {
    runtime: Runtime,
    access: Access,
    /// The claims of the token of the session.
    session: Value,
    opened: Instant,
    _directory: TempDir,
}

static SETUP: LazyLock<Setup> = LazyLock::new(|| {
    let environment = [
        ("EXTENSION_SECRET", SECRET),
        ("AUTH0_DOMAIN", "example.eu.auth0.com"),
        ("AUTH0_CLIENT_ID", "client"),
        ("AUTH0_CLIENT_SECRET", "secret"),
        ("PUBLIC_WT_URL", BASE_URL),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let settings = Settings::parse(Purpose::Serve, environment, None).expect("settings");
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let directory = tempfile::tempdir().expect("a directory");
    let (access, token) = runtime.block_on(async {
        let store = Store::open(directory.path()).await.expect("a store");
        let access = Access::new(&settings, BASE_URL, store).expect("access");
        let person = person(Admission::Token);
        let (token, _) = access.open_session(&person).await.expect("a session");
        (access, token)
    });
    let claims = token.expose_secret().split('.').nth(1).expect("three parts");
    let session = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).expect("base64")).expect("claims");
    Setup { runtime, access, session, opened: Instant::now(), _directory: directory }
});

fn session(header: &str) -> Result<Session> {
    SETUP.runtime.block_on(SETUP.access.session(Some(header), false))
}

fn hook(header: &str) -> Result<()> {
    SETUP.runtime.block_on(SETUP.access.hook(Some(header), HOOK, true))
}

/// The claims, where they say `"jti": "SESSION"` with the id of the session that the database knows.
fn filled(mut claims: Value) -> Value {
    if claims.get("jti").is_some_and(|id| id == "SESSION") {
        claims["jti"] = SETUP.session["jti"].clone();
    }
    claims
}

/// A byte that says what the rest is: a whole `Authorization` header; or claims that are signed with the
/// right secret, with another one, with another algorithm, or with the right secret under a header (after a
/// NUL) that the input chose.
///
/// Claims with `"jti": "SESSION"` name the one session there is. Nothing panics, nothing but the right secret and algorithm passes, and what passes has every claim it
/// needs.
pub fn tokens(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    let (header, claims) = match kind % 5 {
        0 => {
            let Ok(header) = std::str::from_utf8(rest) else { return };
            return whole_header(header);
        }
        kind => {
            let [claims, header] = parts(rest);
            let Ok(claims) = serde_json::from_slice::<Value>(claims) else { return };
            let claims = filled(claims);
            let token = match kind {
                1 => signed(&claims, Algorithm::HS256, SECRET.as_bytes()),
                2 => signed(&claims, Algorithm::HS256, &SECRET.as_bytes()[1..]),
                3 => signed(&claims, Algorithm::HS512, SECRET.as_bytes()),
                _ => under(header, &claims),
            };
            (format!("Bearer {token}"), (kind == 1 || kind == 4).then_some(claims))
        }
    };
    judge(&header, claims.as_ref(), kind % 5 == 4);
}

fn whole_header(header: &str) {
    for header in [header.to_owned(), format!("Bearer {header}")] {
        shown(&session(&header).expect_err("nobody can sign without the secret"));
        shown(&hook(&header).expect_err("nobody can sign without the secret"));
    }
}

fn signed(claims: &Value, algorithm: Algorithm, secret: &[u8]) -> String {
    jsonwebtoken::encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret)).expect("a token")
}

/// Claims under a header of any content, with a signature that is right for it as it stands.
fn under(header: &[u8], claims: &Value) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims.to_string()));
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, Algorithm::HS256).expect("a signature");
    format!("{signed}.{signature}")
}

/// What may pass at most: claims that were signed rightly.
fn judge(header: &str, signed: Option<&Value>, other_header: bool) {
    let claim = |name: &str| signed.and_then(|claims| claims.get(name)).cloned().unwrap_or_default();
    let audience = |wanted: &str| match claim("aud") {
        Value::String(one) => one == wanted,
        Value::Array(many) => many.iter().any(|one| one == wanted),
        _ => false,
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64();
    let in_time = claim("exp").as_f64().is_none_or(|end| end > now - 5.0)
        && claim("nbf").as_f64().is_none_or(|start| start < now + 35.0);
    match session(header) {
        Ok(session) => {
            assert!(signed.is_some(), "not signed with the secret");
            assert!(in_time && claim("exp").is_number(), "a session of another time");
            assert!(audience(SESSION_AUDIENCE) && claim("iss") == BASE_URL, "a session for somebody else");
            assert!(claim("jti") == SETUP.session["jti"] && claim("sub") == "ada" && session.subject == "ada");
            assert!(claim("tenant") == SETUP.session["tenant"] && claim("login") == SETUP.session["login"]);
            assert!(session.access_token.is_none(), "nobody can seal without the secret");
        }
        Err(error) => {
            shown(&error);
            // An idle session ends.
            let whole = in_time
                && SETUP.opened.elapsed() < Duration::from_mins(90)
                && claim("exp").as_f64().is_some_and(|end| (now + 60.0..1e11).contains(&end))
                && signed.is_some_and(|claims| claims.get("nbf").is_none())
                && audience(SESSION_AUDIENCE)
                && claim("iss") == BASE_URL
                && ["jti", "sub", "tenant", "login"].iter().all(|name| claim(name) == SETUP.session[*name]);
            assert!(!whole || other_header, "a right session was refused: {error}");
        }
    }
    match hook(header) {
        Ok(()) => {
            assert!(signed.is_some(), "not signed with the secret");
            assert!(in_time && claim("iss") == "https://example.eu.auth0.com");
            assert!(audience(&format!("{BASE_URL}{HOOK}")), "a token for another hook");
        }
        Err(error) => shown(&error),
    }
}
