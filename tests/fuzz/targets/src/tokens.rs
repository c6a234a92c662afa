//! Session tokens and the tokens of lifecycle hooks.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use secrecy::ExposeSecret;
use serde_json::Value;
use tempfile::TempDir;
use test_kit::{SECRET, decode_claims, sign_token};
use tokio::runtime::{Builder, Runtime};
use uie_access::{Access, Admission, SESSION_AUDIENCE, Session};
use uie_core::config::{Purpose, Settings};
use uie_core::error::Result;
use uie_store::Store;

use crate::fixture::{assert_displayable, sign_in, split_at_nul};

const BASE_URL: &str = "https://users.example.com/tool";
const HOOK: &str = "/.extensions/on-uninstall";

/// An access control whose database has one session.
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
        let sign_in = sign_in(Admission::Token);
        let (token, _) = access.open_session(&sign_in).await.expect("a session");
        (access, token)
    });
    let session = decode_claims(token.expose_secret());
    Setup { runtime, access, session, opened: Instant::now(), _directory: directory }
});

fn session(header: &str) -> Result<Session> {
    SETUP.runtime.block_on(SETUP.access.session(Some(header), false))
}

fn hook(header: &str) -> Result<()> {
    SETUP.runtime.block_on(SETUP.access.hook(Some(header), HOOK, true))
}

/// Replaces `"jti": "SESSION"` by the id of the stored session.
fn insert_session_id(mut claims: Value) -> Value {
    if claims.get("jti").is_some_and(|id| id == "SESSION") {
        claims["jti"] = SETUP.session["jti"].clone();
    }
    claims
}

/// Input: a byte that selects the kind of the rest: a whole `Authorization` header; or claims that are signed with the
/// correct secret, with another secret, with another algorithm, or with the correct secret and a header from the input
/// (after a NUL). Claims with `"jti": "SESSION"` refer to the stored session.
///
/// Invariants: nothing panics; a token is accepted only with the correct secret, algorithm and all required claims; a
/// valid session is not refused.
pub fn tokens(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    let (header, claims) = match kind % 5 {
        0 => {
            let Ok(header) = std::str::from_utf8(rest) else { return };
            return whole_header(header);
        }
        kind => {
            let [claims, header] = split_at_nul(rest);
            let Ok(claims) = serde_json::from_slice::<Value>(claims) else { return };
            let claims = insert_session_id(claims);
            let token = match kind {
                1 => sign_token(&claims, Algorithm::HS256, SECRET),
                2 => sign_token(&claims, Algorithm::HS256, &SECRET[1..]),
                3 => sign_token(&claims, Algorithm::HS512, SECRET),
                _ => sign_with_header(header, &claims),
            };
            (format!("Bearer {token}"), (kind == 1 || kind == 4).then_some(claims))
        }
    };
    check_token(&header, claims.as_ref(), kind % 5 == 4);
}

fn whole_header(header: &str) {
    for header in [header.to_owned(), format!("Bearer {header}")] {
        assert_displayable(&session(&header).expect_err("a token cannot be signed without the secret"));
        assert_displayable(&hook(&header).expect_err("a token cannot be signed without the secret"));
    }
}

/// Signs claims with a header of any content and the correct secret.
fn sign_with_header(header: &[u8], claims: &Value) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims.to_string()));
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, Algorithm::HS256).expect("a signature");
    format!("{signed}.{signature}")
}

/// Asserts that session and hook accept only correctly signed, valid claims. `signed` is `None` for a wrong signature.
fn check_token(header: &str, signed: Option<&Value>, other_header: bool) {
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
            assert!(in_time && claim("exp").is_number(), "a session outside of its lifetime");
            assert!(audience(SESSION_AUDIENCE) && claim("iss") == BASE_URL, "a session for another server");
            assert!(claim("jti") == SETUP.session["jti"] && claim("sub") == "ada" && session.subject == "ada");
            assert!(claim("tenant") == SETUP.session["tenant"] && claim("login") == SETUP.session["login"]);
            assert!(session.access_token.is_none(), "an access token cannot be encrypted without the secret");
        }
        Err(error) => {
            assert_displayable(&error);
            // Only while the stored session is not idle for too long.
            let is_valid = in_time
                && SETUP.opened.elapsed() < Duration::from_mins(90)
                && claim("exp").as_f64().is_some_and(|end| (now + 60.0..1e11).contains(&end))
                && signed.is_some_and(|claims| claims.get("nbf").is_none())
                && audience(SESSION_AUDIENCE)
                && claim("iss") == BASE_URL
                && ["jti", "sub", "tenant", "login"].iter().all(|name| claim(name) == SETUP.session[*name]);
            assert!(!is_valid || other_header, "a valid session was refused: {error}");
        }
    }
    match hook(header) {
        Ok(()) => {
            assert!(signed.is_some(), "not signed with the secret");
            assert!(in_time && claim("iss") == "https://example.eu.auth0.com");
            assert!(audience(&format!("{BASE_URL}{HOOK}")), "a token for another hook");
        }
        Err(error) => assert_displayable(&error),
    }
}
