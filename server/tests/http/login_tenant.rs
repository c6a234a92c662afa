//! A scripted login tenant: claims, keys and profiles are chosen by the test.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};

use actix_web::dev::ServerHandle;
use actix_web::web::{self, Data, Form, Json, Path};
use actix_web::{App, HttpResponse, HttpServer};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

/// Two RSA keys, generated once: the tenant's key and one that it does not publish at first.
pub static KEY: LazyLock<EncodingKey> = LazyLock::new(|| rsa_key(&PAIR));
pub static OTHER_KEY: LazyLock<EncodingKey> =
    LazyLock::new(|| rsa_key(&KeyPair::generate(KeySize::Rsa2048).expect("a key")));

static PAIR: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate(KeySize::Rsa2048).expect("a key"));

/// The public half of [`KEY`] as DER (`SubjectPublicKeyInfo`).
pub fn public_der() -> Vec<u8> {
    let der: PublicKeyX509Der<'_> = PAIR.public_key().as_der().expect("DER");
    der.as_ref().to_vec()
}

fn rsa_key(pair: &KeyPair) -> EncodingKey {
    let der: Pkcs8V1Der<'_> = pair.as_der().expect("DER");
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der.as_ref()));
    EncodingKey::from_rsa_pem(pem.as_bytes()).expect("an RSA key")
}

/// The public half of a key, as a key set lists it.
pub fn public(key: &EncodingKey, kid: &str) -> Value {
    let jwk = serde_json::to_value(Jwk::from_encoding_key(key, Algorithm::RS256).expect("a key")).expect("JSON");
    json!({"kty": "RSA", "alg": "RS256", "use": "sig", "kid": kid, "n": jwk["n"], "e": jwk["e"]})
}

/// A token signed by RS256.
pub fn sign(claims: &Value, key: &EncodingKey, kid: Option<&str>) -> String {
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(Algorithm::RS256) };
    jsonwebtoken::encode(&header, claims, key).expect("a token")
}

/// A tenant on loopback, which stops when this value is dropped.
pub struct Tenant {
    /// `http://127.0.0.1:port`.
    pub origin: String,
    /// Its state.
    pub state: Data<State>,
    handle: ServerHandle,
}

/// The configured responses of the tenant, and the received requests.
#[derive(Default)]
pub struct State {
    /// The key set.
    pub keys: Mutex<Vec<Value>>,
    /// How often the key set was fetched.
    pub key_reads: AtomicUsize,
    /// Whether the key set is unavailable.
    pub down: Mutex<bool>,
    /// The id_token for the next authorization code; `None` to refuse the code.
    pub id_token: Mutex<Option<String>>,
    /// The last exchange of a code.
    pub exchange: Mutex<HashMap<String, String>>,
    /// Profiles by user id.
    pub profiles: Mutex<HashMap<String, Value>>,
}

impl Tenant {
    /// Starts a tenant that publishes [`KEY`] as `k1`.
    pub fn start() -> Self {
        let state = Data::new(State::default());
        state.keys.lock().unwrap().push(public(&KEY, "k1"));
        let shared = state.clone();
        let server = HttpServer::new(move || {
            App::new()
                .app_data(shared.clone())
                .route("/.well-known/jwks.json", web::get().to(keys))
                .route("/oauth/token", web::post().to(token))
                .route("/api/v2/users/{id}", web::get().to(profile))
        })
        .workers(1)
        .disable_signals()
        .bind(("127.0.0.1", 0))
        .expect("a port");
        let origin = format!("http://{}", server.addrs().first().expect("an address"));
        let server = server.run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        Self { origin, state, handle }
    }

    /// How often the key set was fetched.
    pub fn key_reads(&self) -> usize {
        self.state.key_reads.load(Ordering::SeqCst)
    }
}

impl Drop for Tenant {
    fn drop(&mut self) {
        // Does not wait until the server has stopped.
        drop(self.handle.stop(false));
    }
}

async fn keys(state: Data<State>) -> HttpResponse {
    state.key_reads.fetch_add(1, Ordering::SeqCst);
    if *state.down.lock().unwrap() {
        return HttpResponse::ServiceUnavailable().finish();
    }
    HttpResponse::Ok().json(json!({"keys": *state.keys.lock().unwrap()}))
}

async fn token(
    state: Data<State>,
    form: Option<Form<HashMap<String, String>>>,
    body: Option<Json<HashMap<String, String>>>,
) -> HttpResponse {
    let asked = form.map(Form::into_inner).or(body.map(Json::into_inner)).unwrap_or_default();
    if asked.get("grant_type").is_some_and(|kind| kind == "client_credentials") {
        return HttpResponse::Ok().json(json!({"access_token": "m2m", "expires_in": 86400, "token_type": "Bearer"}));
    }
    *state.exchange.lock().unwrap() = asked;
    match state.id_token.lock().unwrap().clone() {
        Some(id_token) => HttpResponse::Ok().json(json!({"access_token": "opaque", "id_token": id_token})),
        None => HttpResponse::Forbidden()
            .json(json!({"error": "invalid_grant", "error_description": "Invalid authorization code"})),
    }
}

async fn profile(state: Data<State>, id: Path<String>) -> HttpResponse {
    match state.profiles.lock().unwrap().get(id.as_str()) {
        Some(profile) => HttpResponse::Ok().json(profile),
        None => HttpResponse::NotFound().json(json!({
            "statusCode": 404, "error": "Not Found", "message": "The user does not exist.", "errorCode": "inexistent_user"
        })),
    }
}
