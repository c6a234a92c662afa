use std::time::Duration;

use serde_json::json;
use simulated_tenant::{connections, people};

use crate::support::{Api, form};

fn users(count: usize) -> serde_json::Value {
    (0..count).map(|index| json!({"email": format!("new{index}@example.com")})).collect::<Vec<_>>().into()
}

#[tokio::test]
async fn an_import_is_pending_then_processing_then_completed() {
    let api = Api::start().await;
    let (status, job) = api.import(&api.tenant.database_connection_id(), &users(3), false).await;
    assert_eq!((status, job["status"].as_str(), job["type"].as_str()), (202, Some("pending"), Some("users_import")));
    assert_eq!(job["connection"], connections::DATABASE);
    assert!(job.get("external_id").is_none());
    let path = format!("/jobs/{}", job["id"].as_str().unwrap());
    assert_eq!(api.read(&path).await["status"], "pending");
    api.control.advance(Duration::from_secs(36));
    let job = api.read(&path).await;
    assert_eq!(job["status"], "processing");
    assert!(
        (45..60).contains(&job["percentage_done"].as_u64().unwrap())
            && (20..=25).contains(&job["time_left_seconds"].as_u64().unwrap())
    );
    assert!(api.control.user_by_email("new0@example.com").is_none());
    api.control.advance(Duration::from_secs(24));
    let job = api.read(&path).await;
    assert_eq!(
        (&job["status"], &job["summary"]),
        (&json!("completed"), &json!({"failed": 0, "updated": 0, "inserted": 3, "total": 3}))
    );
    assert_eq!(api.control.user_count(), 208);
}

#[tokio::test]
async fn a_clean_import_has_no_errors_to_report() {
    let api = Api::start().await;
    let (_, job) = api.import(&api.tenant.database_connection_id(), &users(1), false).await;
    api.control.advance(Duration::from_mins(1));
    let (status, _) = api.get(&format!("/jobs/{}/errors", job["id"].as_str().unwrap())).await;
    assert_eq!(status, 204);
}

#[tokio::test]
async fn a_third_concurrent_import_is_refused() {
    let api = Api::start().await;
    let connection = api.tenant.database_connection_id();
    assert_eq!(api.import(&connection, &users(1), false).await.0, 202);
    assert_eq!(api.import(&connection, &users(1), true).await.0, 202);
    let (status, body) = api.import(&connection, &users(1), true).await;
    assert_eq!(status, 429);
    assert_eq!(
        body["message"],
        "There are 2 active import users jobs, please wait until some of them are finished and try again"
    );
    api.control.advance(Duration::from_mins(1));
    assert_eq!(api.import(&connection, &users(1), true).await.0, 202);
    let counts = api.control.job_counts();
    assert_eq!((counts.imports, counts.most_active_imports, counts.refused_imports), (3, 2, 1));
}

#[tokio::test]
async fn more_than_512000_bytes_are_refused_and_exactly_512000_are_not() {
    let api = Api::start().await;
    let connection = api.tenant.database_connection_id();
    let overhead = form(&connection, "", false).0.len();
    for (length, expected) in [(512_000, 202), (512_001, 413)] {
        let users = format!("[{}]", " ".repeat(length - overhead - 2));
        let (body, boundary) = form(&connection, &users, false);
        assert_eq!(body.len(), length);
        let (status, answer) = api.send_import(body, &boundary).await;
        assert_eq!(status, expected, "{answer}");
        if status == 413 {
            assert_eq!(answer["message"], "Payload content length greater than maximum allowed: 512000");
        }
    }
}

#[tokio::test]
async fn invalid_import_requests_are_refused_with_auth0s_messages() {
    let api = Api::start().await;
    let id = |name: &str| api.control.connection_id(name).unwrap();
    let cases = [
        (
            "Users".to_owned(),
            "invalid_body",
            "Payload validation error: 'String does not match pattern ^con_[A-Za-z0-9]{16}$' on property connection_id",
        ),
        ("con_0000000000000000".to_owned(), "inexistent_connection", "The connection does not exist."),
        (id(connections::DISABLED), "connection_is_disabled", "Connection must be enabled."),
        (id("google-oauth2"), "operation_not_supported", "Connection must be a database connection"),
        (
            id(connections::CUSTOM_REMOTE),
            "operation_not_supported",
            "Custom Database Connections without import mode are not allowed.",
        ),
    ];
    for (connection, code, message) in cases {
        let (status, body) = api.import(&connection, &users(1), false).await;
        assert_eq!((status, body["errorCode"].as_str(), body["message"].as_str()), (400, Some(code), Some(message)));
    }
    assert_eq!(api.import(&id(connections::CUSTOM_IMPORT), &users(1), false).await.0, 202);
    let (body, boundary) = form(&api.tenant.database_connection_id(), "", false);
    assert_eq!(api.send_import(body, &boundary).await.1["message"], "Users file must not be empty.");
    let part = "--b\r\nContent-Disposition: form-data; name=\"connection_id\"\r\n\r\nx\r\n--b--\r\n";
    assert_eq!(api.send_import(part.into(), "b").await.1["message"], "Must provide 'users' file as multipart part.");
    let part = "--b\r\nContent-Disposition: form-data; name=\"users\"; filename=\"u\"\r\n\r\n[]\r\n--b--\r\n";
    assert_eq!(api.send_import(part.into(), "b").await.1["message"], "Must provide 'connection_id' as multipart part.");
    assert_eq!(
        api.send_import("nonsense".into(), "b").await.1["message"],
        "Payload validation error: 'Invalid multipart payload format'."
    );
}

#[tokio::test]
async fn invalid_users_do_not_fail_the_job_and_are_reported_without_secrets() {
    let api = Api::start().await;
    let bad = json!({
        "email": "not-an-address",
        "password_hash": "$2b$10$nFguVi9LsCAcvTZFKQlRKeLVydo8ETv483lkNsSFI/Wl1Rz1Ypo1K",
        "mfa_factors": [{"totp": {"secret": "JBSWY3DPEHPK3PXP"}}],
    });
    let custom = json!({"email": "also bad", "custom_password_hash": {"algorithm": "md5", "hash": {"value": "67A1E09BB1F83F5007DC119C14D663AA", "encoding": "hex"}, "salt": {"value": "salt"}}});
    let (job, errors) = api.import_to_end(&json!([{"email": "good@example.com"}, bad, custom]), false).await;
    assert_eq!(job["status"], "completed");
    assert_eq!(job["summary"], json!({"failed": 2, "updated": 0, "inserted": 1, "total": 3}));
    assert_eq!(errors.as_array().unwrap().len(), 2);
    assert_eq!(
        errors[0]["user"],
        json!({"email": "not-an-address", "password_hash": "*****", "mfa_factors": [{"totp": {"secret": "*****"}}]})
    );
    assert_eq!(errors[0]["errors"][0]["code"], "FORMAT");
    let hidden = errors[1]["user"].to_string();
    assert!(!hidden.contains("67A1") && !hidden.contains("\"salt\":{\"value\":\"salt\""));
}

#[tokio::test]
async fn a_file_that_is_not_an_array_fails_the_job() {
    let api = Api::start().await;
    for file in ["{\"email\":\"x@example.com\"}", "not json"] {
        let (body, boundary) = form(&api.tenant.database_connection_id(), file, false);
        let (_, job) = api.send_import(body, &boundary).await;
        api.control.advance(Duration::from_mins(1));
        let id = job["id"].as_str().unwrap();
        assert_eq!(api.read(&format!("/jobs/{id}")).await["status"], "failed");
        let errors = api.read(&format!("/jobs/{id}/errors")).await;
        assert_eq!(errors["status_details"], "Failed to parse users file when importing users.");
    }
}

#[tokio::test]
async fn a_new_user_gets_auth0s_defaults() {
    let api = Api::start().await;
    api.import_to_end(&json!([{"email": "Chuck@Example.com", "email_verified": true}]), false).await;
    let user = &api.read("/users-by-email?email=chuck@example.com").await[0];
    assert_eq!(
        (user["name"].as_str(), user["nickname"].as_str(), user["email_verified"].as_bool()),
        (Some("chuck@example.com"), Some("chuck"), Some(true))
    );
    assert!(user["picture"].as_str().unwrap().ends_with("%2Fch.png"));
    let id = user["user_id"].as_str().unwrap().strip_prefix("auth0|").unwrap();
    assert!(id.len() == 24 && id.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!(
        user["identities"],
        json!([{"connection": connections::DATABASE, "user_id": id, "provider": "auth0", "isSocial": false}])
    );
}

#[tokio::test]
async fn an_id_with_the_prefix_gets_it_twice() {
    let api = Api::start().await;
    api.import_to_end(
        &json!([{"email": "a@example.com", "user_id": "auth0|x"}, {"email": "b@example.com", "user_id": "y"}]),
        false,
    )
    .await;
    assert_eq!(api.control.user_by_email("a@example.com").unwrap()["user_id"], "auth0|auth0|x");
    assert_eq!(api.control.user_by_email("b@example.com").unwrap()["user_id"], "auth0|y");
}

#[tokio::test]
async fn an_existing_user_is_refused_without_upsert() {
    let api = Api::start().await;
    let expected =
        vec![("DUPLICATED_USER".to_owned(), "The user already exist and upsert parameter is false".to_owned())];
    assert_eq!(api.refusal(json!({"email": people::ADMIN_EMAIL.to_uppercase()})).await, expected);
    let admin = people::people().remove(0);
    let id = admin.user_id.strip_prefix("auth0|").unwrap();
    assert_eq!(api.refusal(json!({"email": "other@example.com", "user_id": id})).await, expected);
    api.import_to_end(&json!([{"email": "phone@example.com", "phone_number": "+12125550001"}]), false).await;
    assert_eq!(api.refusal(json!({"email": "other@example.com", "phone_number": "+12125550001"})).await, expected);
    // The same address in another connection is another user.
    let partners = api.control.connection_id(connections::PARTNERS).unwrap();
    api.import(&partners, &json!([{"email": people::USER_EMAIL}]), false).await;
    api.control.advance(Duration::from_mins(1));
    assert_eq!(api.control.users_by_email(people::USER_EMAIL).len(), 2);
}

#[tokio::test]
async fn a_duplicate_user_in_one_file_is_refused() {
    let api = Api::start().await;
    let file = json!([{"email": "a@example.com"}, {"email": "A@example.com"}, {"email": "b@example.com", "user_id": "1"}, {"email": "c@example.com", "user_id": "1"}]);
    let (job, errors) = api.import_to_end(&file, true).await;
    assert_eq!((job["summary"]["inserted"].as_u64(), job["summary"]["failed"].as_u64()), (Some(2), Some(2)));
    assert_eq!(
        errors[0]["errors"][0],
        json!({"code": "DUPLICATED_USER", "message": "A user with this email was already provided."})
    );
    assert_eq!(errors[1]["errors"][0]["message"], "A user with this user_id was already provided.");
}

#[tokio::test]
async fn upsert_replaces_metadata_and_keeps_other_attributes() {
    let api = Api::start().await;
    let first = json!([{"email": "a@example.com", "blocked": true, "user_id": "a", "app_metadata": {"plan": "pro", "old": 1}, "user_metadata": {"x": 1}, "email_verified": true}]);
    api.import_to_end(&first, false).await;
    let second = json!([{"email": "A@example.com", "blocked": false, "name": "New", "app_metadata": {"plan": "free"}}]);
    let (job, _) = api.import_to_end(&second, true).await;
    assert_eq!(job["summary"], json!({"failed": 0, "updated": 1, "inserted": 0, "total": 1}));
    let user = api.control.user_by_email("a@example.com").unwrap();
    assert_eq!(user["app_metadata"], json!({"plan": "free"}));
    assert_eq!(
        (&user["user_metadata"], &user["blocked"], &user["name"], &user["email_verified"]),
        (&json!({"x": 1}), &json!(true), &json!("New"), &json!(true))
    );
    assert_eq!(user["user_id"], "auth0|a");
}

#[tokio::test]
async fn upsert_matches_by_email_only_and_other_identifiers_conflict() {
    let api = Api::start().await;
    api.import_to_end(&json!([{"email": "a@example.com", "user_id": "a"}]), false).await;
    let (_, errors) = api.import_to_end(&json!([{"email": "b@example.com", "user_id": "a"}]), true).await;
    assert_eq!(errors[0]["errors"][0]["code"], "CONFLICT");
    let usernames = api.control.connection_id(connections::USERNAMES).unwrap();
    api.import(&usernames, &json!([{"email": "c@example.com", "username": "Carol"}]), true).await;
    let (_, job) = api.import(&usernames, &json!([{"email": "d@example.com", "username": "carol"}]), true).await;
    api.control.advance(Duration::from_mins(1));
    let errors = api.read(&format!("/jobs/{}/errors", job["id"].as_str().unwrap())).await;
    assert_eq!(errors[0]["errors"][0]["code"], "CONFLICT_USERNAME");
}

#[tokio::test]
async fn the_import_schema_rejects_invalid_users() {
    let api = Api::start().await;
    let hash = "$2b$10$nFguVi9LsCAcvTZFKQlRKeLVydo8ETv483lkNsSFI/Wl1Rz1Ypo1K";
    let cases = [
        (json!({"name": "x"}), "OBJECT_REQUIRED"),
        (json!("x"), "OBJECT_REQUIRED"),
        (json!({"email": null}), "INVALID_TYPE"),
        (json!({"email": "a@b"}), "FORMAT"),
        (json!({"email": format!("{}@example.com", "a".repeat(65))}), "FORMAT"),
        (json!({"email": "a@example.com", "colour": "red"}), "NOT_PASSED"),
        (json!({"email": "a@example.com", "Email": "x"}), "NOT_PASSED"),
        (json!({"email": "a@example.com", "name": ""}), "MIN_LENGTH"),
        (json!({"email": "a@example.com", "name": "é".repeat(151)}), "MAX_LENGTH"),
        (json!({"email": "a@example.com", "nickname": "x".repeat(351)}), "MAX_LENGTH"),
        (json!({"email": "a@example.com", "blocked": "true"}), "INVALID_TYPE"),
        (json!({"email": "a@example.com", "phone_number": "12125550001"}), "PATTERN"),
        (json!({"email": "a@example.com", "picture": "not a url"}), "FORMAT"),
        (
            json!({"email": "a@example.com", "password_hash": "$2b$12$nFguVi9LsCAcvTZFKQlRKeLVydo8ETv483lkNsSFI/Wl1Rz1Ypo1K"}),
            "PATTERN",
        ),
        (
            json!({"email": "a@example.com", "password_hash": hash, "custom_password_hash": {"algorithm": "bcrypt", "hash": {"value": hash}}}),
            "NOT_PASSED",
        ),
        (json!({"email": "a@example.com", "app_metadata": {"clientID": 1}}), "NOT_PASSED"),
        (json!({"email": "a@example.com", "app_metadata": []}), "INVALID_TYPE"),
        (json!({"email": "a@example.com", "user_metadata": {"a": [{"b.c": 1}]}}), "PATTERN"),
        (json!({"email": "a@example.com", "username": "x"}), "NOT_PASSED"),
        (json!({"email": "a@example.com", "mfa_factors": []}), "ARRAY_LENGTH_SHORT"),
        (
            json!({"email": "a@example.com", "mfa_factors": vec![json!({"phone": {"value": "+1"}}); 11]}),
            "ARRAY_LENGTH_LONG",
        ),
        (json!({"email": "a@example.com", "mfa_factors": [{"totp": {"secret": "a1"}}]}), "PATTERN"),
        (
            json!({"email": "a@example.com", "mfa_factors": [{"phone": {"value": "+1"}, "email": {"value": "x@example.com"}}]}),
            "NOT_PASSED",
        ),
    ];
    for (user, code) in cases {
        let found = api.refusal(user.clone()).await;
        assert_eq!(found.first().map(|found| found.0.as_str()), Some(code), "{user}: {found:?}");
    }
    assert_eq!(
        api.refusal(json!({"email": "a@example.com", "colour": "red"})).await[0].1,
        "Forbidden attribute in appUser: colour"
    );
}

#[tokio::test]
async fn custom_password_hashes_follow_the_rules_of_their_algorithm() {
    let api = Api::start().await;
    let hex = "67A1E09BB1F83F5007DC119C14D663AA";
    let good = [
        json!({"algorithm": "md5", "hash": {"value": hex, "encoding": "hex"}, "salt": {"value": "salt", "position": "prefix"}}),
        json!({"algorithm": "sha512", "hash": {"value": "Z6Hgm7H4P1A=", "encoding": "base64"}, "password": {"encoding": "utf16le"}}),
        json!({"algorithm": "bcrypt", "hash": {"value": "$2y$12$nFguVi9LsCAcvTZFKQlRKeLVydo8ETv483lkNsSFI/Wl1Rz1Ypo1K"}}),
        json!({"algorithm": "argon2", "hash": {"value": "$argon2id$v=19$m=65536,t=2,p=1$c2FsdA$aGFzaA"}}),
        json!({"algorithm": "ldap", "hash": {"value": "{SSHA}c2FsdGVk", "encoding": "utf8"}}),
        json!({"algorithm": "pbkdf2", "hash": {"value": "$pbkdf2-sha512$i=100000,l=64$c2FsdA$aGFzaA", "encoding": "utf8"}}),
        json!({"algorithm": "hmac", "hash": {"value": hex, "encoding": "hex", "digest": "md5", "key": {"value": "key"}}}),
        json!({"algorithm": "scrypt", "hash": {"value": hex, "encoding": "hex"}, "keylen": 16, "cost": 16384}),
    ];
    let users: Vec<_> = good
        .iter()
        .enumerate()
        .map(|(at, hash)| json!({"email": format!("h{at}@example.com"), "custom_password_hash": hash}))
        .collect();
    let (job, errors) = api.import_to_end(&users.into(), false).await;
    assert_eq!(job["summary"]["failed"], 0, "{errors}");
    let bad = [
        (json!({"algorithm": "crypt", "hash": {"value": "x"}}), "ENUM_MISMATCH"),
        (json!({"algorithm": "md5"}), "OBJECT_REQUIRED"),
        (json!({"algorithm": "md5", "hash": {"value": hex}}), "OBJECT_REQUIRED"),
        (json!({"algorithm": "md5", "hash": {"value": hex, "encoding": "utf8"}}), "ENUM_MISMATCH"),
        (json!({"algorithm": "md5", "hash": {"value": "xyz", "encoding": "hex"}}), "FORMAT"),
        (json!({"algorithm": "argon2", "hash": {"value": "$argon2id$x"}, "salt": {"value": "s"}}), "NOT_PASSED"),
        (json!({"algorithm": "hmac", "hash": {"value": hex, "encoding": "hex", "digest": "md5"}}), "OBJECT_REQUIRED"),
        (json!({"algorithm": "scrypt", "hash": {"value": hex, "encoding": "hex"}}), "OBJECT_REQUIRED"),
        (
            json!({"algorithm": "scrypt", "hash": {"value": hex, "encoding": "hex"}, "keylen": 16, "cost": 1000}),
            "MINIMUM",
        ),
        (json!({"algorithm": "md5", "hash": {"value": hex, "encoding": "hex"}, "keylen": 16}), "NOT_PASSED"),
        (json!({"algorithm": "ldap", "hash": {"value": "{CRYPT}x", "encoding": "utf8"}}), "FORMAT"),
        (json!({"algorithm": "md5", "hash": {"value": hex, "encoding": "hex"}, "colour": 1}), "NOT_PASSED"),
    ];
    for (hash, code) in bad {
        let found = api.refusal(json!({"email": "bad@example.com", "custom_password_hash": hash})).await;
        assert_eq!(found.first().map(|found| found.0.as_str()), Some(code), "{hash}: {found:?}");
    }
}
