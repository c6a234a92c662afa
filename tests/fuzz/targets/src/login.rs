//! Signing in: key sets of the login tenant, and the tokens it signs.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tempfile::TempDir;
use user_import_export::access::{Access, ExtensionCallback};
use user_import_export::auth0::signing_keys;
use user_import_export::config::{Purpose, Settings};
use user_import_export::store::Store;

use crate::fixture::{SECRET, parts, shown};
use crate::loopback::Loopback;

const BASE_URL: &str = "https://users.example.com/tool";
const TENANT: &str = "example.eu.auth0.com";
const STATE: &str = "5f7c8ec7c33c6c004bbafe82";
const FRESH: &str = "FRESH";

/// How many fresh ids were given out.
static USED: AtomicU64 = AtomicU64::new(0);

/// A key of its own for every process: none has to be kept anywhere.
static KEY: LazyLock<(EncodingKey, Value)> = LazyLock::new(|| {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).expect("a key");
    let private = EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes()).expect("a key");
    let public = Jwk::from_encoding_key(&private, Algorithm::RS256).expect("a key");
    let mut public = serde_json::to_value(public).expect("a key is JSON");
    for (name, value) in [("kid", "known"), ("use", "sig"), ("alg", "RS256")] {
        public[name] = value.into();
    }
    (private, public)
});

thread_local! {
    static SERVER: (Loopback, Access, TempDir) = {
        let server = Loopback::new();
        let keys = json!({ "keys": [KEY.1, { "kty": "EC", "kid": "other" }, 5] });
        server.answer(200, "content-type: application/json\r\n", keys.to_string().as_bytes());
        let origin = server.origin();
        let environment = [
            ("EXTENSION_SECRET", SECRET),
            ("AUTH0_DOMAIN", TENANT),
            ("AUTH0_RTA", &origin),
            ("AUTH0_CLIENT_ID", "client"),
            ("AUTH0_CLIENT_SECRET", "secret"),
            ("PUBLIC_WT_URL", BASE_URL),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let settings = Settings::parse(Purpose::Serve, environment, None).expect("settings");
        let directory = tempfile::tempdir().expect("a directory");
        let store = server.run(Store::open(directory.path())).expect("a store");
        let access = Access::new(&settings, BASE_URL, store).expect("access");
        (server, access, directory)
    };
}

/// The key set of a tenant.
///
/// Reading it never panics, and no entry hides a good key that stands beside it.
pub fn key_set(data: &[u8]) {
    let Ok(keys) = signing_keys(data) else { return };
    let set: Value = serde_json::from_slice(data).expect("it was read");
    let mut entries = set["keys"].as_array().cloned().unwrap_or_default();
    for id in keys.keys() {
        assert!(entries.iter().any(|entry| entry["kid"] == id.as_str()), "a key of another name");
    }
    entries.push(KEY.1.clone());
    let more = signing_keys(json!({ "keys": entries }).to_string().as_bytes()).expect("a key set");
    assert!(more.contains_key("known"), "another entry hides a good key");
    assert!(keys.keys().all(|id| more.contains_key(id)));
}

/// A byte of switches, then three parts with NULs between them: the claims of the id_token, those of the
/// access_token, and the header of both. What is no JSON is sent as the token itself.
///
/// Nothing panics; who comes in has tokens that were signed with the tenant's key, for this server and this
/// tenant, of one person, in time, with the nonce of the login that began here.
pub fn login(data: &[u8]) {
    let Some((switches, rest)) = data.split_first() else { return };
    let [person, grant, header] = parts(rest);
    SERVER.with(|(server, access, _)| {
        let origin = server.origin();
        let token = |part: &[u8]| match filled(part, &origin) {
            Some(claims) => (Some(signed(&claims, header)), Some(claims)),
            None => (std::str::from_utf8(part).ok().map(str::to_owned), None),
        };
        let ((id_token, person), (access_token, grant)) = (token(person), token(grant));
        let switch = |bit: u8| switches & (1 << bit) != 0;
        let form = ExtensionCallback {
            id_token: id_token.filter(|_| !switch(0)),
            access_token: access_token.filter(|_| !switch(1)),
            state: (!switch(2)).then(|| STATE.to_owned()),
            error: switch(3).then(|| "access_denied".to_owned()),
            error_description: None,
        };
        let cookie = |name: &str| match name {
            "state" if !switch(4) => Some(STATE),
            "nonce" if !switch(5) => Some("nonce"),
            "nonce_compat" if switch(6) => Some("another"),
            _ => None,
        };
        match server.run(access.finish_extension_login(&form, cookie)) {
            Ok(done) => {
                let (person, grant) = (person.expect("signed"), grant.expect("signed"));
                assert!(switches & 0b0111_0111 == 0, "a login that was not begun here");
                for claims in [&person, &grant] {
                    assert_eq!(claims["iss"], format!("{origin}/"));
                    assert!(claims["exp"].as_f64().is_none_or(|end| end > now() - 5.0), "a token of the past");
                }
                assert!(is_for(&person, BASE_URL) && is_for(&grant, &format!("https://{TENANT}/api/v2/")));
                let scope = grant["scope"].as_str().unwrap_or_default();
                assert!(["read:users", "read:connections"].iter().all(|needed| scope.contains(needed)), "{scope}");
                assert!(person["nonce"] == "nonce" && grant["azp"] == BASE_URL);
                assert!(person["sub"] == done.session.subject.as_str() && grant["sub"] == person["sub"]);
            }
            Err(error) => shown(&error),
        }
    });
}

/// The claims of a logout token and, behind a NUL, the header it is signed with. What is no JSON is sent as the token
/// itself.
///
/// Nothing panics. A token that is accepted was signed with the tenant's key, for this server, in time, names the
/// logout event and whose sessions end, and is accepted once; a complete token is not refused.
pub fn logout_tokens(data: &[u8]) {
    let [claims, header] = parts(data);
    SERVER.with(|(server, access, _)| {
        let origin = server.origin();
        let claims = filled(claims, &origin).ok_or(claims);
        let token = match claims {
            Ok(ref claims) => signed(claims, header),
            Err(token) => String::from_utf8_lossy(token).into_owned(),
        };
        let complete = claims.as_ref().is_ok_and(|claims| header.is_empty() && is_logout(claims, &origin));
        match server.run(access.end_by_logout_token(&token)) {
            Ok(_) => {
                let claims = claims.expect("signed");
                assert!(is_logout(&claims, &origin), "a logout token without what it needs");
                server.run(access.end_by_logout_token(&token)).expect_err("a logout token is accepted once");
            }
            Err(error) => {
                shown(&error);
                let fresh = claims.is_ok_and(|claims| claims["jti"].as_str().is_some_and(|id| id.starts_with(FRESH)));
                assert!(!(complete && fresh), "a complete logout token was refused: {error}");
            }
        }
    });
}

/// Whether claims have all that OpenID Connect Back-Channel Logout 1.0, 2.6 asks for, now.
fn is_logout(claims: &Value, origin: &str) -> bool {
    let named = |name: &str| claims[name].as_str().is_some_and(|text| !text.is_empty());
    claims["iss"] == format!("{origin}/")
        && is_for(claims, BASE_URL)
        && claims["exp"].as_f64().is_some_and(|end| end > now() - 5.0)
        && claims["iat"].as_f64().is_some_and(|issued| issued < now() + 65.0)
        && claims["events"]["http://schemas.openid.net/event/backchannel-logout"].is_object()
        && claims.get("nonce").is_none()
        && named("jti")
        && (named("sub") || named("sid"))
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64()
}

fn is_for(claims: &Value, audience: &str) -> bool {
    claims["aud"] == audience || claims["aud"].as_array().is_some_and(|many| many.iter().any(|one| one == audience))
}

/// Claims, where the part is an object. What differs from run to run has names: `ISSUER`, `NOW`, `SOON`, and `FRESH`
/// for an id that was not used before.
fn filled(part: &[u8], origin: &str) -> Option<Value> {
    let mut claims: Value = serde_json::from_slice(part).ok()?;
    for claim in claims.as_object_mut()?.values_mut() {
        match claim.as_str() {
            Some("ISSUER") => *claim = format!("{origin}/").into(),
            Some("NOW") => *claim = now().into(),
            Some("SOON") => *claim = (now() + 3600.0).into(),
            Some(FRESH) => *claim = format!("{FRESH} {}", USED.fetch_add(1, Ordering::Relaxed)).into(),
            _ => {}
        }
    }
    Some(claims)
}

/// A token with the tenant's signature; its header is the input's, or a right one.
fn signed(claims: &Value, header: &[u8]) -> String {
    if header.is_empty() {
        let header = Header { kid: Some("known".to_owned()), ..Header::new(Algorithm::RS256) };
        return jsonwebtoken::encode(&header, claims, &KEY.0).expect("a token");
    }
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims.to_string()));
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &KEY.0, Algorithm::RS256).expect("a signature");
    format!("{signed}.{signature}")
}
