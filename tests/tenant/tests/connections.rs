use std::collections::HashSet;

use simulated_tenant::{TenantSettings, connections::DATABASE};

use crate::support::{Api, settings};

#[tokio::test]
async fn connections_beyond_one_page_are_reached_by_offset_paging() {
    let api = Api::with(TenantSettings { extra_connections: 220, ..settings() }).await;
    let mut ids = HashSet::new();
    for page in 0.. {
        let answer = api.read(&format!("/connections?per_page=100&page={page}&include_totals=true")).await;
        let connections = answer["connections"].as_array().unwrap();
        assert_eq!(
            (answer["total"].as_u64(), answer["start"].as_u64(), answer["limit"].as_u64()),
            (Some(235), Some(page * 100), Some(100))
        );
        ids.extend(connections.iter().map(|connection| connection["id"].as_str().unwrap().to_owned()));
        if connections.len() < 100 {
            break;
        }
    }
    assert_eq!(ids.len(), 235);
    assert_eq!(api.read("/connections").await.as_array().unwrap().len(), 50);
    assert_eq!(api.get("/connections?per_page=100&page=10").await.0, 400);
    assert_eq!(api.get("/connections?per_page=101").await.0, 400);
}

#[tokio::test]
async fn connections_are_reached_by_checkpoint_paging() {
    let api = Api::with(TenantSettings { extra_connections: 220, ..settings() }).await;
    let mut ids = Vec::new();
    let mut from = String::new();
    loop {
        let answer = api.read(&format!("/connections?take=100{from}&include_totals=true")).await;
        assert!(answer.get("total").is_none());
        ids.extend(answer["connections"].as_array().unwrap().iter().map(|connection| connection["id"].clone()));
        match answer["next"].as_str() {
            Some(next) => from = format!("&from={next}"),
            None => break,
        }
    }
    assert_eq!(ids.len(), 235);
    assert_eq!(ids.iter().map(ToString::to_string).collect::<HashSet<_>>().len(), 235);
    assert_eq!(api.get("/connections?from=nonsense").await.0, 400);
}

#[tokio::test]
async fn connections_are_filtered_by_strategies_and_name_and_reduced_to_fields() {
    let api = Api::start().await;
    let found = api.read("/connections?strategy=auth0&strategy=samlp&fields=id,name,strategy").await;
    let strategies: HashSet<_> =
        found.as_array().unwrap().iter().map(|one| one["strategy"].as_str().unwrap()).collect();
    assert_eq!(strategies, HashSet::from(["auth0", "samlp"]));
    assert!(found[0].get("options").is_none() && found[0]["is_domain_connection"].is_boolean());
    let one = api.read(&format!("/connections?name={DATABASE}")).await;
    assert_eq!(one.as_array().unwrap().len(), 1);
    assert_eq!(one[0]["id"], api.tenant.database_connection_id());
    assert_eq!(api.get("/connections?fields=id,colour").await.0, 400);
    assert_eq!(api.get("/connections?strategy=database").await.0, 400);
}

#[tokio::test]
async fn a_connection_shows_its_clients_and_a_disabled_one_has_none() {
    let api = Api::start().await;
    let enabled = api.tenant.database_connection_id();
    assert_eq!(api.read(&format!("/connections/{enabled}")).await["name"], DATABASE);
    let first = api.read(&format!("/connections/{enabled}/clients?take=1")).await;
    let next = first["next"].as_str().unwrap();
    let second = api.read(&format!("/connections/{enabled}/clients?take=1&from={next}")).await;
    assert!(second.get("next").is_none() && second["clients"] != first["clients"]);
    let disabled = api.control.connection_id("Disabled-Database").unwrap();
    assert_eq!(api.read(&format!("/connections/{disabled}/clients")).await["clients"].as_array().unwrap().len(), 0);
    let (status, body) = api.get("/connections/con_0000000000000000").await;
    assert_eq!((status, body["errorCode"].as_str()), (404, Some("inexistent_connection")));
}
