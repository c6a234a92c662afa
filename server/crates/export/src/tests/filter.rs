//! Tests of queries: of files, and of tenants whose search cannot evaluate them.

use simulated_tenant::{Fault, FaultKind};

use super::tenant::{check, generated, ndjson, rows, tenant, try_run};
use super::*;

fn searching(query: &str) -> ExportRequest {
    ExportRequest { query: Some(query.to_owned()), ..ndjson() }
}

fn jobs(tenant: &simulated_tenant::Tenant) -> usize {
    tenant.control().requests().iter().filter(|request| request.path.ends_with("/jobs/users-exports")).count()
}

#[test]
fn users_of_a_file_are_filtered() {
    let request = |query: &str| ExportRequest {
        query: Some(query.to_owned()),
        ..request(Format::Csv, &[("user_id", "Id"), ("identities[0].connection", "Connection")])
    };
    for input in [USERS.as_bytes().to_vec(), gzip(USERS.as_bytes())] {
        assert_eq!(
            export(&request("app_metadata.plan:pro OR logins_count:[* TO -5]"), input.clone()).0,
            "Id,Connection\nauth0|1,\nauth0|2,\n"
        );
        assert_eq!(
            export(&request("identities.connection:goo*"), input.clone()).0,
            "Id,Connection\ngoogle-oauth2|3,google\n"
        );
        assert_eq!(export(&request("NOT user_id:*"), input).0, "Id,Connection\n");
    }
}

#[test]
fn filtered_whole_users_are_unchanged() {
    let lines: Vec<&str> = USERS.lines().collect();
    let request = ExportRequest { query: Some("NOT _exists_:blocked".into()), ..request(Format::Ndjson, &[]) };
    let (text, summary) = export(&request, USERS);
    assert_eq!(text.lines().collect::<Vec<_>>(), &lines[1..]);
    assert_eq!((summary.rows, summary.faults), (2, 0));
}

#[test]
fn a_connection_of_a_file_is_given_by_its_name() {
    let users = r#"{"user_id":"1","email":"a@b.c","identities":[{"connection":"db"},{"connection":"google"}]}
{"user_id":"2","identities":[{"connection":"google"}]}
{"user_id":"3","email":"a@b.c"}
"#;
    let of = |connection: &str, query: Option<&str>| ExportRequest {
        connection_id: Some(connection.to_owned()),
        query: query.map(str::to_owned),
        ..request(Format::Csv, &[("user_id", "Id")])
    };
    assert_eq!(export(&of("google", None), users).0, "Id\n1\n2\n");
    assert_eq!(export(&of("google", Some("email:a* OR user_id:3")), users).0, "Id\n1\n");
    let error = try_export(&of("con_0123456789abcdef", None), users).unwrap_err();
    assert_eq!(error.code, Code::InvalidArgument);
    assert!(error.message.contains("con_0123456789abcdef"), "{error}");
}

#[test]
fn a_limit_counts_matches_and_unreadable_rows_are_faults() {
    let users =
        lines((0..1000).map(|at| if at == 3 { "nonsense".to_owned() } else { format!("{{\"logins_count\":{at}}}") }));
    let columns = [("logins_count", "N")];
    let few = ExportRequest { query: Some("logins_count:*5".into()), limit: Some(3), ..request(Format::Csv, &columns) };
    assert!(try_export(&few, users.clone()).is_err(), "numbers have no wildcards");
    let few = ExportRequest { query: Some("logins_count:(5 OR 15 OR 700 OR 800)".into()), ..few };
    let (text, summary) = export(&few, users.clone());
    assert_eq!((text.as_str(), summary.rows, summary.faults), ("N\n5\n15\n700\n", 3, 1));
    let sorted = ExportRequest { sort: Some(SortRequest { by: "logins_count".into(), descending: true }), ..few };
    assert_eq!(export(&sorted, users).0, "N\n800\n700\n15\n");
}

#[test]
fn an_invalid_query_is_refused_before_the_export_starts() {
    let wrong = |query: &str| ExportSpec::new(&searching(query), MEMORY).unwrap_err();
    assert_eq!(wrong("name:(").code, Code::InvalidSearch);
    // Auth0 can evaluate a term without a field, but this program cannot.
    let spec = ExportSpec::new(&searching("ada"), MEMORY).unwrap();
    assert_eq!(spec.plan_file().unwrap_err().code, Code::InvalidSearch);
    assert_eq!(try_export(&searching("ada"), USERS).unwrap_err().code, Code::InvalidSearch);
    assert!(ExportSpec::new(&searching("  "), MEMORY).unwrap().plan_file().is_ok(), "no query at all");
}

#[tokio::test]
async fn more_matches_than_a_search_returns_are_filtered_locally() {
    let (tenant, client) = tenant(3200).await;
    let found = rows(&searching("email_verified:true"), &client).await;
    assert!(found.len() > 1000);
    check(&found, 3200, |user| user["email_verified"] == true);
    assert!(found.iter().all(|row| row.as_object().unwrap().len() == COLUMNS_OF_TENANT), "no other members");
    let requests = tenant.control().requests();
    let job = requests.iter().find(|request| request.path.ends_with("/jobs/users-exports")).unwrap();
    let fields = job.body.as_ref().unwrap()["fields"].as_array().unwrap();
    assert_eq!(fields.len(), 6, "what columns and filter need: {fields:?}");
    let limited = ExportRequest { limit: Some(1100), ..searching("email_verified:true") };
    assert_eq!(rows(&limited, &client).await.len(), 1100);
    let narrowed = ExportRequest { connection_id: Some("google-oauth2".into()), ..searching("NOT blocked:true") };
    let found = rows(&narrowed, &client).await;
    check(&found, 3200, |user| user["blocked"] != true && user["identities"][0]["connection"] == "google-oauth2");
    assert!(tenant.control().violations().is_empty(), "{:?}", tenant.control().violations());
}

const COLUMNS_OF_TENANT: usize = 5;

#[tokio::test]
async fn queries_that_auth0_cannot_evaluate_are_filtered_locally() {
    let seats = |user: &JsonValue| {
        user["app_metadata"]["tenant"]["limits"]["seats"].as_f64().is_some_and(|seats| seats >= 250.0)
    };
    // Few users are read by a search, many by a job.
    for (users, expected_jobs) in [(300, 0), (1500, 1)] {
        let (tenant, client) = tenant(users).await;
        let found = rows(&searching("app_metadata.tenant.limits.seats:[250 TO *]"), &client).await;
        check(&found, users, seats);
        assert_eq!(found.len(), generated(users).values().filter(|user| seats(user)).count());
        assert_eq!(jobs(&tenant), expected_jobs);
        // An attribute that is not in the columns, and one that jobs export only on request.
        let pictured = rows(&searching("picture:*gravatar* AND locale:*"), &client).await;
        check(&pictured, users, |user| {
            user["picture"].as_str().is_some_and(|url| url.contains("gravatar")) && user["locale"].is_string()
        });
        let whole = ExportRequest { fields: None, ..searching("NOT _exists_:picture") };
        assert!(rows(&whole, &client).await.iter().all(|user| user["picture"].is_null()));
    }
}

#[tokio::test]
async fn a_term_without_a_field_is_evaluated_by_auth0() {
    let (tenant, client) = tenant(2500).await;
    // More users than a single search returns.
    let found = rows(&searching("auth0*"), &client).await;
    assert!(found.len() > 1000, "{}", found.len());
    assert_eq!(jobs(&tenant), 0);
    let error = try_run(&searching("?da"), &client).await.unwrap_err();
    assert_eq!(error.code, Code::InvalidSearch, "{error}");
    assert!(error.message.contains("^"), "{error}");
}

#[tokio::test]
async fn split_searches_miss_and_repeat_no_users() {
    let (tenant, client) = tenant(3200).await;
    tenant.control().add(Fault::new("/jobs/users-exports", FaultKind::Forbidden));
    let of =
        |connection: &str, request: ExportRequest| ExportRequest { connection_id: Some(connection.into()), ..request };
    let seats = |user: &JsonValue| {
        user["app_metadata"]["tenant"]["limits"]["seats"].as_f64().is_some_and(|seats| seats >= 250.0)
    };
    check(&rows(&ndjson(), &client).await, 3200, |_| true);
    let verified = rows(&searching("email_verified:true"), &client).await;
    check(&verified, 3200, |user| user["email_verified"] == true);
    // Auth0 cannot evaluate this query.
    let seated = rows(&searching("app_metadata.tenant.limits.seats:[250 TO *]"), &client).await;
    check(&seated, 3200, seats);
    assert_eq!(seated.len(), generated(3200).values().filter(|user| seats(user)).count());
    let narrowed = rows(&of("google-oauth2", searching("app_metadata.tenant.limits.seats:[250 TO *]")), &client).await;
    check(&narrowed, 3200, |user| seats(user) && user["identities"][0]["connection"] == "google-oauth2");
    assert!(jobs(&tenant) >= 3, "a job was requested for all exports except the small one");
    assert!(tenant.control().violations().is_empty(), "{:?}", tenant.control().violations());
}

#[tokio::test]
async fn users_created_in_the_same_millisecond_are_in_one_span() {
    let (tenant, client) = tenant(20).await;
    tenant.control().add(Fault::new("/jobs/users-exports", FaultKind::Forbidden));
    // 2400 users in three adjacent milliseconds, fewer than 1000 in each.
    for number in 0..2400 {
        let created = format!("2020-02-02T02:02:02.{:03}Z", 20 + number % 3);
        let user = json!({
            "user_id": format!("auth0|near{number}"), "email": format!("near{number}@example.com"),
            "created_at": created, "updated_at": created,
            "identities": [{"connection": "Username-Password-Authentication", "provider": "auth0", "isSocial": false,
                "user_id": format!("near{number}")}],
        });
        tenant.control().put_user(&user).unwrap();
    }
    let found = rows(&ndjson(), &client).await;
    check(&found, 20, |_| true);
    assert_eq!(found.len() as u64, tenant.control().user_count());
}

#[tokio::test]
async fn plans_show_what_evaluates_the_query() {
    let (_tenant, client) = tenant(1500).await;
    let mut shown = Vec::new();
    for request in [
        searching("email_verified:false AND blocked:true"),
        searching("email_verified:true OR name:a* AND blocked:true"),
        ExportRequest { connection_id: Some("google-oauth2".into()), ..searching("app_metadata.plan:pr?") },
        ExportRequest { fields: None, limit: Some(5), ..searching("picture:*gravatar* AND locale:de") },
    ] {
        let spec = ExportSpec::new(&request, MEMORY).unwrap();
        shown.push(spec.plan(&client).await.unwrap().to_string());
    }
    let request = ExportRequest { connection_id: Some("db".into()), ..searching("logins_count:[1 TO *]") };
    shown.push(ExportSpec::new(&request, MEMORY).unwrap().plan_file().unwrap().to_string());
    insta::assert_snapshot!(shown.join("\n"));
}
