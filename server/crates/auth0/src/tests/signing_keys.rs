//! Tests of how long the login tenant's signing keys are cached.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;

use super::super::Oidc;
use super::scripted_tenant::{Tenant, json_reply};
use uie_core::error::Code;

/// Starts a tenant that publishes keys with these names, and creates its provider.
async fn provider(names: &[&'static str]) -> (Tenant, Arc<Mutex<Vec<&'static str>>>, Oidc) {
    let names = Arc::new(Mutex::new(names.to_vec()));
    let published = Arc::clone(&names);
    let tenant = Tenant::start(move |_| {
        let published = published.lock().expect("no test panics while it holds the lock");
        let key =
            |name: &&str| json!({"kty": "RSA", "alg": "RS256", "use": "sig", "kid": name, "n": "AQAB", "e": "AQAB"});
        Some(json_reply(200, &json!({"keys": published.iter().map(key).collect::<Vec<_>>()})))
    })
    .await;
    let oidc = Oidc::new(&tenant.host).expect("a provider");
    (tenant, names, oidc)
}

#[tokio::test]
async fn a_withdrawn_key_is_accepted_for_at_most_ten_minutes() {
    let (tenant, names, oidc) = provider(&["old", "new"]).await;
    let start = Instant::now();
    let key = |id, after: Duration| oidc.signing_key_at(Some(id), move || start + after);
    key("old", Duration::ZERO).await.expect("it is published");
    *names.lock().unwrap() = vec!["new"];
    key("old", Duration::from_secs(10 * 60 - 1)).await.expect("the cached key set is still fresh");
    assert_eq!(tenant.requests().len(), 1);
    let error = key("old", Duration::from_mins(10)).await.unwrap_err();
    assert_eq!(error.code, Code::LoginUnauthorized, "{}", error.message);
    assert_eq!(tenant.requests().len(), 2, "the key set was fetched again");
    key("new", Duration::from_mins(10)).await.expect("it is published");
    assert_eq!(tenant.requests().len(), 2);
}

#[tokio::test]
async fn keys_expire_even_after_too_many_fetches() {
    let (tenant, _, oidc) = provider(&["old"]).await;
    let start = Instant::now();
    let key = |id, after: Duration| oidc.signing_key_at(Some(id), move || start + after);
    key("old", Duration::ZERO).await.expect("it is published");
    let late = Duration::from_mins(9) + Duration::from_secs(50);
    for _ in 0..20 {
        assert_eq!(key("unknown", late).await.unwrap_err().code, Code::LoginUnauthorized);
    }
    assert_eq!(tenant.requests().len(), 11, "ten times a minute");
    key("old", late + Duration::from_mins(1)).await.expect("fetched again a minute later, or cached");
    key("old", Duration::from_hours(1)).await.expect("the key set is fetched again");
    assert_eq!(tenant.requests().len(), 12);
}
