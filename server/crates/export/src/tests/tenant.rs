//! Tests of exports from the simulated tenant with every source.

use std::collections::BTreeMap;
use std::time::Duration;

use simulated_tenant::{Fault, FaultKind, Tenant, TenantSettings, generate};

use super::super::source::{self, PollPolicy};
use super::*;
use uie_auth0::{Backoff, ManagementClient};
use uie_core::config::{ClientCredentials, TenantHost};

const SEED: u64 = 7;
pub(super) const FAST_POLLING: PollPolicy =
    PollPolicy { initial: Duration::from_millis(20), max: Duration::from_millis(50), timeout: Duration::from_mins(10) };

pub(super) async fn tenant(users: u64) -> (Tenant, ManagementClient) {
    let settings =
        TenantSettings { users, seed: SEED, export_duration: Duration::from_millis(50), ..TenantSettings::default() };
    let tenant = Tenant::start(settings).await.unwrap();
    let host = TenantHost::parse(&tenant.url()).unwrap();
    let credentials =
        ClientCredentials { id: tenant.client_id().to_owned(), secret: tenant.client_secret().to_owned().into() };
    let quick = Backoff { first: Duration::from_millis(10), longest: Duration::from_millis(20) };
    let client = ManagementClient::with_client_credentials(&host, &credentials).unwrap().with_backoff(quick);
    (tenant, client)
}

pub(super) async fn try_run(request: &ExportRequest, client: &ManagementClient) -> Result<(String, ExportSummary)> {
    let spec = Arc::new(ExportSpec::new(request, MEMORY)?.with_threads(2));
    let output = Output::default();
    let progress = Arc::new(Progress::default());
    let summary = source::run(spec, client.clone(), Box::new(output.clone()), progress, None, FAST_POLLING).await?;
    Ok((output.text(), summary))
}

pub(super) async fn rows(request: &ExportRequest, client: &ManagementClient) -> Vec<JsonValue> {
    let (text, summary) = try_run(request, client).await.expect("the export succeeds");
    assert_eq!(summary.faults, 0, "{:?}", summary.first_faults);
    let rows: Vec<JsonValue> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len() as u64, summary.rows);
    rows
}

/// Returns the generated users by id.
pub(super) fn generated(users: u64) -> BTreeMap<String, JsonValue> {
    (0..users)
        .map(|index| serde_json::from_str::<JsonValue>(&generate::export_user(index, SEED)).unwrap())
        .map(|user| (user["user_id"].as_str().unwrap().to_owned(), user))
        .collect()
}

/// Checks that every generated user for which `wanted` is true is in the rows exactly once, with its attributes. The
/// rows may contain other users, such as those who can sign in.
pub(super) fn check(rows: &[JsonValue], users: u64, wanted: impl Fn(&JsonValue) -> bool) {
    let mut expected = generated(users);
    expected.retain(|_, user| wanted(user));
    let mut seen = std::collections::HashSet::new();
    for row in rows {
        let id = row["user_id"].as_str().unwrap();
        assert!(seen.insert(id.to_owned()), "{id} is a duplicate");
        if let Some(user) = expected.remove(id) {
            assert_eq!(row["email"], user["email"], "{id}");
            let name = user["app_metadata"]["name"].as_str().filter(|name| !name.is_empty());
            assert_eq!(row["name"], name.map_or(user["name"].clone(), JsonValue::from), "{id}");
            assert_eq!(row["connection"], user["identities"][0]["connection"], "{id}");
            assert_eq!(row["seats"].as_f64(), user["app_metadata"]["tenant"]["limits"]["seats"].as_f64(), "{id}");
        }
    }
    assert!(expected.is_empty(), "{} users are missing", expected.len());
}

const COLUMNS: &[(&str, &str)] = &[
    ("user_id", "user_id"),
    ("email", "email"),
    ("user.app_metadata.name || user.name", "name"),
    ("identities[0].connection", "connection"),
    ("app_metadata.tenant.limits.seats", "seats"),
];

pub(super) fn ndjson() -> ExportRequest {
    request(Format::Ndjson, COLUMNS)
}

/// Returns a request with a column that cannot be requested as a field, so that whole users are read by searches.
pub(super) fn searched() -> ExportRequest {
    let columns: Vec<(&str, &str)> = COLUMNS.iter().copied().chain([("user['https://a.b/c']", "claim")]).collect();
    request(Format::Ndjson, &columns)
}

#[tokio::test]
async fn all_users_are_read_by_an_export_job_with_only_the_needed_fields() {
    let (tenant, client) = tenant(1500).await;
    let sorted = ExportRequest { sort: Some(SortRequest { by: "created_at".into(), descending: false }), ..ndjson() };
    let rows = rows(&sorted, &client).await;
    check(&rows, 1500, |_| true);
    assert_eq!(rows.len() as u64, tenant.control().user_count());
    let requests = tenant.control().requests();
    let job = requests.iter().find(|request| request.path.ends_with("/jobs/users-exports")).unwrap();
    let body = job.body.as_ref().unwrap();
    let fields: Vec<&str> =
        body["fields"].as_array().unwrap().iter().filter_map(|field| field["name"].as_str()).collect();
    assert_eq!(fields, ["user_id", "email", "app_metadata", "name", "identities", "created_at"]);
    assert_eq!(body["format"], "json");
    assert!(requests.iter().all(|request| request.violations.is_empty()), "{:?}", tenant.control().violations());
}

#[tokio::test]
async fn whole_users_have_every_exportable_attribute() {
    let (_tenant, client) = tenant(200).await;
    let rows = rows(&request(Format::Ndjson, &[]), &client).await;
    let mut expected = generated(200);
    // Tokens of other identity providers need a separate scope.
    for identity in expected.values_mut().filter_map(|user| user["identities"].as_array_mut()).flatten() {
        identity.as_object_mut().unwrap().retain(|name, _| !matches!(name.as_str(), "access_token" | "expires_in"));
    }
    for row in rows {
        let Some(user) = expected.get(row["user_id"].as_str().unwrap()) else { continue };
        for attribute in uie_core::user::ATTRIBUTES.iter().filter(|attribute| attribute.exportable) {
            let (found, wanted) = (&row[attribute.name], &user[attribute.name]);
            // Numbers may be written differently; absent and null are equivalent.
            assert_eq!(found.to_string().replace(".0", ""), wanted.to_string().replace(".0", ""), "{}", attribute.name);
        }
    }
}

#[tokio::test]
async fn a_search_replaces_a_failed_job() {
    let (tenant, client) = tenant(1200).await;
    tenant.control().add(Fault::new("/jobs/users-exports", FaultKind::FailJob));
    check(&rows(&ndjson(), &client).await, 1200, |_| true);
    let filtered = ExportRequest { query: Some("app_metadata.tenant.limits.seats:[250 TO *]".into()), ..ndjson() };
    let seats = |user: &JsonValue| user["app_metadata"]["tenant"]["limits"]["seats"].as_f64();
    check(&rows(&filtered, &client).await, 1200, |user| seats(user).is_some_and(|seats| seats >= 250.0));
    assert!(tenant.control().jobs().iter().all(|job| job["status"] == "failed"));
}

#[tokio::test]
async fn one_connection_is_exported_by_name_or_id() {
    let (tenant, client) = tenant(600).await;
    let by_name = ExportRequest { connection_id: Some("google-oauth2".into()), ..ndjson() };
    let rows_by_name = rows(&by_name, &client).await;
    check(&rows_by_name, 600, |user| user["identities"][0]["connection"] == "google-oauth2");
    assert!(rows_by_name.iter().all(|row| row["connection"] == "google-oauth2"));
    let id =
        tenant.control().requests().iter().find_map(|request| {
            request.body.as_ref().and_then(|body| body["connection_id"].as_str().map(str::to_owned))
        });
    let by_id = ExportRequest { connection_id: id, ..ndjson() };
    assert_eq!(rows(&by_id, &client).await, rows_by_name);
    let unknown = ExportRequest { connection_id: Some("unknown".into()), ..ndjson() };
    assert_eq!(try_run(&unknown, &client).await.unwrap_err().code, Code::ConnectionNotFound);
}

#[tokio::test]
async fn few_matches_are_read_by_a_search() {
    let (tenant, client) = tenant(1200).await;
    let unverified = |user: &JsonValue| user["email_verified"] == false;
    let request = ExportRequest { query: Some("email_verified:false".into()), ..ndjson() };
    check(&rows(&request, &client).await, 1200, unverified);
    let narrowed = ExportRequest { connection_id: Some("google-oauth2".into()), ..request };
    let narrowed_rows = rows(&narrowed, &client).await;
    check(&narrowed_rows, 1200, |user| unverified(user) && user["identities"][0]["connection"] == "google-oauth2");
    assert!(tenant.control().requests().iter().all(|request| !request.path.contains("/jobs")));
}

#[tokio::test]
async fn many_matches_are_read_by_searches_split_by_creation_time() {
    let (tenant, client) = tenant(3200).await;
    let request = ExportRequest { query: Some("email_verified:true".into()), ..ndjson() };
    let found = rows(&request, &client).await;
    assert!(found.len() > 1000);
    check(&found, 3200, |user| user["email_verified"] == true);
    check(&rows(&searched(), &client).await, 3200, |_| true);
    assert!(tenant.control().violations().is_empty(), "{:?}", tenant.control().violations());
}

#[tokio::test]
async fn a_limit_applies_after_the_sort() {
    let (_tenant, client) = tenant(1500).await;
    let sort = Some(SortRequest { by: "app_metadata.tenant.limits.seats".into(), descending: true });
    let request = ExportRequest { query: Some("email_verified:true".into()), sort, limit: Some(5), ..ndjson() };
    let found: Vec<f64> = rows(&request, &client).await.iter().filter_map(|row| row["seats"].as_f64()).collect();
    let mut expected: Vec<f64> = generated(1500)
        .values()
        .filter(|user| user["email_verified"] == true)
        .filter_map(|user| user["app_metadata"]["tenant"]["limits"]["seats"].as_f64())
        .collect();
    expected.sort_by(|a, b| b.total_cmp(a));
    assert_eq!(found, expected[..5]);
}

#[tokio::test]
async fn a_limit_is_passed_to_the_job_and_stops_a_search() {
    let (tenant, client) = tenant(1500).await;
    assert_eq!(rows(&ExportRequest { limit: Some(7), ..ndjson() }, &client).await.len(), 7);
    let requests = tenant.control().requests();
    assert!(requests.iter().any(|request| request.body.as_ref().is_some_and(|body| body["limit"] == 7)));
    let limited = ExportRequest { limit: Some(150), ..searched() };
    assert_eq!(rows(&limited, &client).await.len(), 150);
}

#[tokio::test]
async fn more_users_created_in_one_millisecond_than_a_search_returns_are_an_error() {
    let (tenant, client) = tenant(10).await;
    for number in 0..1001 {
        let user = json!({
            "user_id": format!("auth0|same{number}"),
            "email": format!("same{number}@example.com"),
            "created_at": "2020-02-02T02:02:02.020Z",
            "updated_at": "2020-02-02T02:02:02.020Z",
            "identities": [{"connection": "Username-Password-Authentication", "provider": "auth0", "isSocial": false,
                "user_id": format!("same{number}")}],
        });
        tenant.control().put_user(&user).unwrap();
    }
    let error = try_run(&searched(), &client).await.unwrap_err();
    assert!(error.message.contains("2020-02-02T02:02:02.020Z"), "{error}");
    let rows = rows(&ndjson(), &client).await;
    assert_eq!(rows.len() as u64, tenant.control().user_count(), "an export job has no such limit");
}

#[tokio::test]
async fn the_number_of_rows_is_known_before_they_are_read() {
    let (tenant, client) = tenant(120).await;
    let progress = Arc::new(Progress::default());
    let spec = Arc::new(ExportSpec::new(&ndjson(), MEMORY).unwrap());
    let output = Box::new(Output::default());
    source::run(spec, client, output, Arc::clone(&progress), None, FAST_POLLING).await.unwrap();
    assert_eq!(progress.total(), Some(tenant.control().user_count()));
    assert_eq!(progress.processed(), tenant.control().user_count());
}

#[tokio::test]
async fn plans_are_shown_as_text() {
    let (_tenant, client) = tenant(1500).await;
    let mut shown = Vec::new();
    for request in [
        ndjson(),
        ExportRequest { limit: Some(10), ..request(Format::Ndjson, &[]) },
        ExportRequest {
            query: Some("email_verified:false".into()),
            connection_id: Some("google-oauth2".into()),
            ..ndjson()
        },
        ExportRequest {
            query: Some("email_verified:true".into()),
            sort: Some(SortRequest { by: "name".into(), descending: true }),
            limit: Some(10),
            ..ndjson()
        },
    ] {
        let spec = ExportSpec::new(&request, MEMORY).unwrap();
        shown.push(spec.plan(&client).await.unwrap().to_string());
    }
    shown.push(ExportSpec::new(&ndjson(), MEMORY).unwrap().plan_file().unwrap().to_string());
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn every_cell_of_generated_users_is_correct() {
    const USERS: u64 = 3000;
    let lines: Vec<String> = (0..USERS).map(|index| generate::export_user(index, SEED)).collect();
    let defaults = uie_core::user::DEFAULT_COLUMNS;
    let columns: Vec<(&str, &str)> = defaults
        .iter()
        .copied()
        .chain([("user.app_metadata.name || user.name", "Display"), ("app_metadata", "App")])
        .collect();
    let (text, summary) = export(&request(Format::Json, &columns), gzip(lines.join("\n").as_bytes()));
    assert_eq!((summary.rows, summary.faults), (USERS, 0));
    let rows: Vec<BTreeMap<String, JsonValue>> = serde_json::from_str(&text).unwrap();
    for (line, row) in lines.iter().zip(rows) {
        let user: JsonValue = serde_json::from_str(line).unwrap();
        for (path, name) in defaults {
            let expected = match path {
                "identities[0].connection" => &user["identities"][0]["connection"],
                attribute => &user[attribute],
            };
            assert_eq!(&row[name], expected, "{name} of {line}");
        }
        let display = user["app_metadata"]["name"].as_str().filter(|name| !name.is_empty());
        assert_eq!(row["Display"], display.map_or(user["name"].clone(), JsonValue::from), "{line}");
        let seats = |json: &JsonValue| json["tenant"]["limits"]["storage_gb"].as_f64();
        assert_eq!(seats(&row["App"]), seats(&user["app_metadata"]), "{line}");
        assert_eq!(row["App"]["signup"]["score"].as_f64(), user["app_metadata"]["signup"]["score"].as_f64(), "{line}");
    }
}

#[tokio::test]
async fn a_preview_shows_the_first_rows_with_their_faults() {
    let (_tenant, client) = tenant(30).await;
    let columns =
        [("email", "E"), ("split_part(user.email, '@', 2)", "Domain"), ("user.logins_count.x.y + 1", "Broken")];
    let export = ExportRequest { limit: Some(5), ..request(Format::Csv, &columns) };
    let limit = preview_limit(&export).unwrap();
    let spec = ExportSpec::with_tools(&export, MEMORY, &super::computed::tools()).unwrap();
    let preview = preview(spec, limit, &client, std::future::ready(Ok(()))).await.unwrap();
    let shown = serde_json::to_value(&preview).unwrap();
    assert_eq!(
        shown["columns"],
        serde_json::json!([
            {"name": "E", "kind": "path"}, {"name": "Domain", "kind": "transform"}, {"name": "Broken", "kind": "javascript"}
        ])
    );
    assert_eq!(preview.rows.len(), 5);
    assert!(preview.users >= 30);
    let plan = &shown["plan"];
    assert_eq!(
        (&plan["source"], plan["users"].as_u64(), &plan["sorted"]),
        (&"job".into(), Some(preview.users), &().into())
    );
    assert_eq!(
        plan["lines"][0],
        serde_json::json!({"title": "Source", "text": "an export job inside Auth0, then its file"})
    );
    for row in shown["rows"].as_array().unwrap() {
        let email = row[0]["value"].as_str().unwrap();
        assert_eq!(row[1]["value"].as_str(), email.rsplit_once('@').map(|(_, domain)| domain));
        assert!(row[2]["error"].as_str().unwrap().starts_with("javascript@1.0.0: TypeError: "), "{row}");
    }
    let whole = ExportSpec::new(&request(Format::Json, &[]), MEMORY).unwrap();
    let users = super::super::preview(whole, 2, &client, std::future::ready(Ok(()))).await.unwrap();
    assert_eq!((users.columns.len(), users.rows.len()), (1, 2));
    for limit in [0, 51] {
        let export = ExportRequest { limit: Some(limit), ..request(Format::Csv, &[]) };
        assert_eq!(preview_limit(&export).unwrap_err().code, Code::InvalidBody);
    }
}
