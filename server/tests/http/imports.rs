//! Imports through the API, into a simulated tenant.

use std::fmt::Write as _;
use std::time::Duration;

use actix_web::test::TestRequest;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};
use simulated_tenant::{Tenant, TenantSettings};

use crate::server::{Reply, SECRET, Server};
use crate::tenant::now;

const BASE: &str = "https://tools.example/ext";
const BOUNDARY: &str = "a-boundary-that-is-in-no-file";

struct World {
    tenant: Tenant,
    server: Server,
    token: String,
}

/// A part of a form: its name, the name of its file, its content.
type Part<'a> = (&'a str, Option<&'a str>, &'a str);

impl World {
    async fn new() -> Self {
        let settings =
            TenantSettings { users: 0, import_duration: Duration::from_millis(20), ..TenantSettings::default() };
        let tenant = Tenant::start(settings).await.expect("a tenant");
        let server = Server::new(
            BASE,
            &[
                ("AUTH0_DOMAIN", &tenant.url()),
                ("AUTH0_CLIENT_ID", tenant.client_id()),
                ("AUTH0_CLIENT_SECRET", tenant.client_secret()),
                ("LOGIN", "tenant"),
                ("ADMIN_SUBJECTS", "auth0|ada"),
            ],
        )
        .await;
        let claims = json!({
            "sub": "auth0|ada", "email": "ada@example.com", "iss": BASE,
            "aud": "urn:user-import-export-extension", "iat": now(), "exp": now() + 3600,
        });
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        let token = jsonwebtoken::encode(&Header::default(), &claims, &key).expect("a token");
        Self { tenant, server, token }
    }

    async fn call(&self, request: TestRequest) -> Reply {
        self.server.call(request.insert_header(("authorization", format!("Bearer {}", self.token)))).await
    }

    async fn post(&self, path: &str, parts: &[Part<'_>]) -> Reply {
        let mut body = String::new();
        for (name, file, content) in parts {
            let file = file.map_or(String::new(), |file| format!("; filename=\"{file}\""));
            let _ = write!(
                body,
                "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"{name}\"{file}\r\n\r\n{content}\r\n"
            );
        }
        let _ = write!(body, "--{BOUNDARY}--\r\n");
        let request = TestRequest::post()
            .uri(path)
            .insert_header(("content-type", format!("multipart/form-data; boundary={BOUNDARY}")))
            .set_payload(body);
        self.call(request).await
    }

    async fn import(&self, parts: &[Part<'_>]) -> Reply {
        let connection = self.tenant.database_connection_id();
        let parts = [&[("connection_id", None, connection.as_str())], parts].concat();
        self.post("/api/jobs/import", &parts).await
    }

    async fn get(&self, path: &str) -> Reply {
        self.call(TestRequest::get().uri(path)).await
    }

    /// The job of a reply, once it is over.
    async fn ended(&self, reply: Reply) -> Value {
        assert_eq!(reply.status, 200, "{}", reply.body);
        let id = reply.json()["id"].as_str().expect("an id").to_owned();
        loop {
            let job = self.get(&format!("/api/jobs/{id}")).await.json();
            if !matches!(job["status"].as_str(), Some("pending" | "processing")) {
                return job;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn has(&self, email: &str) -> bool {
        self.tenant.control().user_by_email(email).is_some()
    }
}

fn counts(job: &Value) -> (u64, u64, u64) {
    let count = |name: &str| job["summary"][name].as_u64().unwrap_or_else(|| panic!("no {name}: {job}"));
    (count("total"), count("inserted"), count("failed"))
}

#[actix_web::test]
async fn foreign_files_are_mapped_and_failed_rows_are_imported_again_when_they_are_mended() {
    let world = World::new().await;
    let csv = "Mail;Full name\r\nada@example.com;Ada\r\nnobody;Bob\r\n";
    let map = r#"{"email": "user.Mail", "name": "user[\"Full name\"]"}"#;
    let job = world.ended(world.import(&[("map", None, map), ("users", Some("staff.csv"), csv)]).await).await;
    assert_eq!((job["status"].as_str(), counts(&job)), (Some("completed"), (2, 1, 1)), "{job}");
    let summary = &job["summary"];
    assert_eq!((&summary["inputs"][0]["format"], &summary["inputs"][0]["delimiter"]), (&json!("csv"), &json!(";")));
    assert_eq!(
        summary["reasons"],
        json!([{
            "code": "FORMAT", "attribute": "email", "severity": "error", "count": 1,
            "message": "email is not an e-mail address.", "lines": [3],
        }])
    );
    assert!(world.has("ada@example.com"));

    let id = job["id"].as_str().expect("an id");
    let failed = world.get(&format!("/api/jobs/{id}/report?format=original")).await;
    assert!(failed.header("content-disposition").contains(".csv"), "{:?}", failed.headers);
    assert_eq!(failed.body, "Mail;Full name\nnobody;Bob\n");

    let path = format!("/api/jobs/{id}/retry");
    let unmended = world.ended(world.call(TestRequest::post().uri(&path)).await).await;
    assert_eq!(counts(&unmended), (1, 0, 1));
    assert_ne!(unmended["id"], job["id"]);
    let mended = failed.body.replace("nobody", "bob@example.com");
    let job = world.ended(world.post(&path, &[("users", Some("mended.csv"), &mended)]).await).await;
    assert_eq!(counts(&job), (1, 1, 0));
    assert_eq!(world.tenant.control().user_by_email("bob@example.com").expect("Bob")["name"], "Bob");

    let path = format!("/api/jobs/{}/retry", job["id"].as_str().expect("an id"));
    let nothing = world.call(TestRequest::post().uri(&path)).await;
    assert_eq!((nothing.status, nothing.json()["errorCode"].as_str()), (409, Some("job_state")), "{}", nothing.body);
    let unknown = world.call(TestRequest::post().uri("/api/jobs/job_0000000000000000/retry")).await;
    assert_eq!(unknown.status, 404);
}

#[actix_web::test]
async fn several_files_are_one_import() {
    let world = World::new().await;
    let reply = world
        .import(&[
            ("users", Some("one.json"), r#"[{"email":"ada@example.com"}]"#),
            ("users", Some("../two.csv"), "email\nbob@example.com\n"),
            ("users", Some("three.ndjson"), "{\"email\":\"ADA@example.com\"}\n"),
        ])
        .await;
    let job = world.ended(reply).await;
    assert_eq!(counts(&job), (3, 2, 1));
    assert!(world.has("ada@example.com") && world.has("bob@example.com"));
    let report = world.get(&format!("/api/jobs/{}/report", job["id"].as_str().expect("an id"))).await.json();
    assert_eq!((&report[0]["file"], &report[0]["line"]), (&json!("three.ndjson"), &json!(1)));
    let files: Vec<_> = job["summary"]["inputs"].as_array().expect("inputs").iter().map(|file| &file["file"]).collect();
    assert_eq!(files, [&json!("one.json"), &json!(".._two.csv"), &json!("three.ndjson")]);
}

#[actix_web::test]
async fn what_cannot_be_imported_is_refused_at_once_and_named() {
    let world = World::new().await;
    for (parts, code, part) in [
        (vec![("users", Some("a.csv"), "email,Emial\na@example.com,x\n")], "users_file_columns", "did you mean email?"),
        (vec![("users", Some("a.csv"), "")], "users_file_empty", "must not be empty"),
        (vec![("map", None, "{"), ("users", Some("a.csv"), "email\n")], "invalid_mapping", "not valid JSON"),
        (
            vec![("map", None, r#"{"emial":"user.mail"}"#), ("users", Some("a.json"), "[{}]")],
            "invalid_mapping",
            "\"emial\"",
        ),
        (
            vec![
                ("users", Some("a.json"), "[{\"email\":\"a@example.com\"}]"),
                ("users", Some("b.csv"), "shoe size\n42\n"),
            ],
            "users_file_columns",
            "b.csv: ",
        ),
    ] {
        let reply = world.import(&parts).await;
        let body = reply.json();
        assert_eq!((reply.status, body["errorCode"].as_str()), (400, Some(code)), "{body}");
        assert!(body["message"].as_str().expect("a message").contains(part), "{body}");
    }
    assert_eq!(world.get("/api/history").await.json()["jobs"], json!([]));
}
