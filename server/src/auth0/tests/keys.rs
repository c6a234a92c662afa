//! How long the login tenant's keys count.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;

use super::super::Oidc;
use super::scripted::{Tenant, say};
use crate::error::Code;

/// A tenant that publishes the keys of these names, and a provider that asks it.
async fn provider(names: &[&'static str]) -> (Tenant, Arc<Mutex<Vec<&'static str>>>, Oidc) {
    let names = Arc::new(Mutex::new(names.to_vec()));
    let published = Arc::clone(&names);
    let tenant = Tenant::start(move |_| {
        let published = published.lock().expect("no test panics while it holds the lock");
        let key =
            |name: &&str| json!({"kty": "RSA", "alg": "RS256", "use": "sig", "kid": name, "n": "AQAB", "e": "AQAB"});
        Some(say(200, &json!({"keys": published.iter().map(key).collect::<Vec<_>>()})))
    })
    .await;
    let oidc = Oidc::new(&tenant.host).expect("a provider");
    (tenant, names, oidc)
}

#[tokio::test]
async fn a_key_that_was_withdrawn_counts_for_ten_minutes_more_at_most() {
    let (tenant, names, oidc) = provider(&["old", "new"]).await;
    let start = Instant::now();
    let key = |id, after: Duration| oidc.signing_key_by(Some(id), move || start + after);
    key("old", Duration::ZERO).await.expect("it is published");
    *names.lock().unwrap() = vec!["new"];
    key("old", Duration::from_secs(10 * 60 - 1)).await.expect("the set that was read is still good");
    assert_eq!(tenant.seen().len(), 1);
    let error = key("old", Duration::from_mins(10)).await.unwrap_err();
    assert_eq!(error.code, Code::LoginUnauthorized, "{}", error.message);
    assert_eq!(tenant.seen().len(), 2, "the set was read again");
    key("new", Duration::from_mins(10)).await.expect("it is published");
    assert_eq!(tenant.seen().len(), 2);
}

#[tokio::test]
async fn keys_end_even_when_the_tenant_was_asked_too_often() {
    let (tenant, _, oidc) = provider(&["old"]).await;
    let start = Instant::now();
    let key = |id, after: Duration| oidc.signing_key_by(Some(id), move || start + after);
    key("old", Duration::ZERO).await.expect("it is published");
    let late = Duration::from_mins(9) + Duration::from_secs(50);
    for _ in 0..20 {
        assert_eq!(key("unknown", late).await.unwrap_err().code, Code::LoginUnauthorized);
    }
    assert_eq!(tenant.seen().len(), 11, "ten times a minute");
    key("old", late + Duration::from_mins(1)).await.expect("and once more a minute later, or from what was read");
    key("old", Duration::from_hours(1)).await.expect("the tenant is asked again");
    assert_eq!(tenant.seen().len(), 12);
}
