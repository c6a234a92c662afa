//! Sign-in: key sets of the login tenant and the tokens that it signs.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tempfile::TempDir;
use test_kit::SECRET;
use uie_access::{Access, ExtensionCallback};
use uie_auth0::signing_keys;
use uie_core::config::{Purpose, Settings};
use uie_store::Store;

use crate::fixture::{assert_displayable, split_at_nul};
use crate::stub_server::StubServer;

const BASE_URL: &str = "https://users.example.com/tool";
const TENANT: &str = "example.eu.auth0.com";
const STATE: &str = "5f7c8ec7c33c6c004bbafe82";
const FRESH: &str = "FRESH";

/// The number of fresh ids generated so far.
static FRESH_IDS: AtomicU64 = AtomicU64::new(0);

/// The tenant's signing key, private and public. Generated per process, so that no key is stored.
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
    static SERVER: (StubServer, Access, TempDir) = {
        let server = StubServer::new();
        let keys = json!({ "keys": [KEY.1, { "kty": "EC", "kid": "other" }, 5] });
        server.set_response(200, "content-type: application/json\r\n", keys.to_string().as_bytes());
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

/// Input: a JWKS.
///
/// Invariants: parsing never panics, and an invalid entry does not hide a valid key.
pub fn key_set(data: &[u8]) {
    let Ok(keys) = signing_keys(data) else { return };
    let set: Value = serde_json::from_slice(data).expect("the set was parsed");
    let mut entries = set["keys"].as_array().cloned().unwrap_or_default();
    for id in keys.keys() {
        assert!(entries.iter().any(|entry| entry["kid"] == id.as_str()), "a key whose id is not in the set");
    }
    entries.push(KEY.1.clone());
    let more = signing_keys(json!({ "keys": entries }).to_string().as_bytes()).expect("a key set");
    assert!(more.contains_key("known"), "another entry hides a valid key");
    assert!(keys.keys().all(|id| more.contains_key(id)));
}

/// Input: a byte of flags, then three parts separated by NUL: the claims of the id_token, the claims of the
/// access_token, and the header of both. A part that is not a JSON object is sent as the token itself.
///
/// Invariants: nothing panics; a login succeeds only with unexpired tokens that were signed with the tenant's key, for
/// this server, tenant and one subject, with the nonce of a login that was started here.
pub fn login(data: &[u8]) {
    let Some((switches, rest)) = data.split_first() else { return };
    let [person, grant, header] = split_at_nul(rest);
    SERVER.with(|(server, access, _)| {
        let origin = server.origin();
        let token = |part: &[u8]| match parse_claims(part, &origin) {
            Some(claims) => (Some(sign_token(&claims, header)), Some(claims)),
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
                assert!(switches & 0b0111_0111 == 0, "a login that was not started here");
                for claims in [&person, &grant] {
                    assert_eq!(claims["iss"], format!("{origin}/"));
                    assert!(claims["exp"].as_f64().is_none_or(|end| end > now() - 5.0), "an expired token");
                }
                assert!(has_audience(&person, BASE_URL) && has_audience(&grant, &format!("https://{TENANT}/api/v2/")));
                let scope = grant["scope"].as_str().unwrap_or_default();
                assert!(["read:users", "read:connections"].iter().all(|needed| scope.contains(needed)), "{scope}");
                assert!(person["nonce"] == "nonce" && grant["azp"] == BASE_URL);
                assert!(person["sub"] == done.session.subject.as_str() && grant["sub"] == person["sub"]);
            }
            Err(error) => assert_displayable(&error),
        }
    });
}

/// Input: the claims of a logout token, NUL, its header. Claims that are not a JSON object are sent as the token
/// itself.
///
/// Invariants: nothing panics; an accepted token was signed with the tenant's key for this server, is not expired,
/// names the logout event and a subject or session, and is accepted once; a complete token is not refused.
pub fn logout_tokens(data: &[u8]) {
    let [claims, header] = split_at_nul(data);
    SERVER.with(|(server, access, _)| {
        let origin = server.origin();
        let fresh = serde_json::from_slice::<Value>(claims).is_ok_and(|claims| claims["jti"] == FRESH);
        let claims = parse_claims(claims, &origin).ok_or(claims);
        let token = match claims {
            Ok(ref claims) => sign_token(claims, header),
            Err(token) => String::from_utf8_lossy(token).into_owned(),
        };
        let complete = claims.as_ref().is_ok_and(|claims| header.is_empty() && is_valid_logout(claims, &origin));
        match server.run(access.end_by_logout_token(&token)) {
            Ok(_) => {
                let claims = claims.expect("signed");
                assert!(is_valid_logout(&claims, &origin), "an incomplete logout token was accepted");
                server.run(access.end_by_logout_token(&token)).expect_err("a logout token is accepted once");
            }
            Err(error) => {
                assert_displayable(&error);
                assert!(!(complete && fresh), "a complete logout token was refused: {error}");
            }
        }
    });
}

/// Returns whether the claims are valid now, as OpenID Connect Back-Channel Logout 1.0, section 2.6 requires.
fn is_valid_logout(claims: &Value, origin: &str) -> bool {
    let has_text = |name: &str| claims[name].as_str().is_some_and(|text| !text.is_empty());
    claims["iss"] == format!("{origin}/")
        && has_audience(claims, BASE_URL)
        && claims["exp"].as_f64().is_some_and(|end| end > now() - 5.0)
        && claims["iat"].as_f64().is_some_and(|issued| issued < now() + 65.0)
        && claims.get("nbf").is_none_or(|start| start.as_f64().is_some_and(|start| start < now() + 65.0))
        && claims["events"]["http://schemas.openid.net/event/backchannel-logout"].is_object()
        && claims.get("nonce").is_none()
        && has_text("jti")
        && (has_text("sub") || has_text("sid"))
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64()
}

fn has_audience(claims: &Value, audience: &str) -> bool {
    claims["aud"] == audience || claims["aud"].as_array().is_some_and(|many| many.iter().any(|one| one == audience))
}

/// Parses claims and replaces placeholders for values that differ between runs: `ISSUER`, `NOW`, `SOON`, and `FRESH`
/// for an unused id. `None` if the part is not a JSON object.
fn parse_claims(part: &[u8], origin: &str) -> Option<Value> {
    let mut claims: Value = serde_json::from_slice(part).ok()?;
    for claim in claims.as_object_mut()?.values_mut() {
        match claim.as_str() {
            Some("ISSUER") => *claim = format!("{origin}/").into(),
            Some("NOW") => *claim = now().into(),
            Some("SOON") => *claim = (now() + 3600.0).into(),
            // The time keeps an input from naming the id of another run.
            Some(FRESH) => {
                *claim = format!("{} {}", now().to_bits(), FRESH_IDS.fetch_add(1, Ordering::Relaxed)).into();
            }
            _ => {}
        }
    }
    Some(claims)
}

/// Signs claims with the tenant's key. An empty `header` means a valid header.
fn sign_token(claims: &Value, header: &[u8]) -> String {
    if header.is_empty() {
        let header = Header { kid: Some("known".to_owned()), ..Header::new(Algorithm::RS256) };
        return jsonwebtoken::encode(&header, claims, &KEY.0).expect("a token");
    }
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims.to_string()));
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &KEY.0, Algorithm::RS256).expect("a signature");
    format!("{signed}.{signature}")
}
