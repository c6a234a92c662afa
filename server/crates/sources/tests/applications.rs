//! Generated exports of applications, directories and Entra: rows beside the users that they mean, hashes of known
//! passwords, and which source the files are recognized as.

mod verification;

use std::path::Path;

use aws_lc_rs::{digest, pbkdf2};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use uie_sources::{Layout, Sample};
use verification::{accepts, derive};

/// An account of any application.
#[derive(Clone, Debug)]
struct Account {
    id: u32,
    login: String,
    email: String,
    is_verified: bool,
    first: Option<String>,
    last: Option<String>,
    phone: Option<String>,
    is_disabled: bool,
    /// Whether the file is CSV of a database, where null is a word and a boolean has another form.
    is_csv: bool,
}

fn account() -> impl Strategy<Value = Account> {
    let word = || option::of("[A-Za-zäöü漢' -]{0,8}[a-zé漢]");
    (
        (any::<u32>(), "[a-z][a-z0-9_.]{2,10}", "[a-z0-9.]{1,10}x@example\\.com", any::<bool>()),
        (word(), word(), option::of("\\+[1-9][0-9]{7,12}"), any::<bool>(), any::<bool>()),
    )
        .prop_map(|((id, login, email, is_verified), (first, last, phone, is_disabled, is_csv))| Account {
            id,
            login,
            email,
            is_verified,
            first: first.map(|text| text.trim().to_owned()),
            last: last.map(|text| text.trim().to_owned()),
            phone,
            is_disabled,
            is_csv,
        })
}

impl Account {
    /// A row as JSON, or as the cells of CSV: all values are text, null is `NULL` or `\N`.
    fn row(&self, mut row: Value) -> Value {
        if let (true, Value::Object(members)) = (self.is_csv, &mut row) {
            for (at, value) in members.values_mut().enumerate() {
                *value = match value.take() {
                    Value::Null => if at % 2 == 0 { "NULL" } else { "\\N" }.into(),
                    Value::Bool(value) => {
                        if at % 2 == 0 { value.to_string() } else { u8::from(value).to_string() }.into()
                    }
                    Value::String(text) => text.into(),
                    other => other.to_string().into(),
                };
            }
        }
        row
    }

    /// The name that is imported from this column of [`row`](Self::row): `NULL` may be one, `\N` not.
    fn name_or_null(&self, name: Option<&String>, column: usize) -> Option<String> {
        name.cloned().or_else(|| (self.is_csv && column.is_multiple_of(2)).then(|| "NULL".to_owned()))
    }

    /// The user with attributes in addition. Members that are null are absent.
    fn user(&self, more: Value) -> Value {
        let user = json!({ "user_id": self.id.to_string(), "email": self.email });
        let (Value::Object(mut user), Value::Object(more)) = (user, more) else { unreachable!() };
        user.extend(more);
        user.retain(|_, value| !value.is_null());
        user.into()
    }
}

/// The row of each source for an account, and the user that it means.
fn forms(account: &Account) -> Vec<(&'static str, Value, Value)> {
    let Account { id, login, email, is_verified, first, last, phone, is_disabled, .. } = account;
    let name = first.clone().or_else(|| last.clone());
    let time = |is_set: bool| is_set.then_some("2024-01-01 10:00:00");
    let yes = |is_set: bool| is_set.then_some(true);
    let login_only = json!({ "username": login });
    let is_enabled = match (account.is_csv, is_disabled) {
        (true, true) => json!("False"),
        (true, false) => json!("True"),
        (false, is_disabled) => json!(!is_disabled),
    };
    vec![
        (
            "aspnet",
            account.row(json!({ "Id": id, "UserName": login, "NormalizedUserName": login.to_uppercase(), "Email": email,
                "NormalizedEmail": email.to_uppercase(), "EmailConfirmed": is_verified, "PasswordHash": null,
                "SecurityStamp": "S", "ConcurrencyStamp": "C", "PhoneNumber": phone,
                "PhoneNumberConfirmed": is_verified, "TwoFactorEnabled": false, "LockoutEnabled": true,
                "AccessFailedCount": 0,
                "LockoutEnd": format!("{}-01-01 10:00:00 +00:00", if *is_disabled { 9999 } else { 2024 }) })),
            account.user(json!({ "email_verified": is_verified, "phone_number": phone, "user_metadata": login_only,
                "phone_verified": phone.as_ref().map(|_| is_verified), "blocked": yes(*is_disabled) })),
        ),
        (
            "django",
            account.row(json!({ "id": id, "password": "!unusable", "last_login": null, "is_superuser": false,
                "username": login, "first_name": first, "last_name": last, "email": email, "is_staff": is_verified,
                "is_active": !is_disabled, "date_joined": "2020-01-01 00:00:00+00" })),
            account.user(json!({
                "given_name": account.name_or_null(first.as_ref(), 5), "family_name": account.name_or_null(last.as_ref(), 6),
                "blocked": is_disabled, "user_metadata": login_only,
                "app_metadata": { "is_staff": is_verified, "is_superuser": false,
                    "registered_at": "2020-01-01T00:00:00Z" } })),
        ),
        (
            "django",
            json!({ "model": "auth.user", "pk": id, "fields": { "password": "!", "is_superuser": true,
                "username": email,
                "first_name": first, "last_name": last, "email": email, "is_staff": true, "is_active": !is_disabled,
                "date_joined": "2020-01-01T00:00:00Z", "groups": [1], "user_permissions": [] } }),
            account.user(json!({ "given_name": first, "family_name": last, "blocked": is_disabled,
                "app_metadata": { "is_staff": true, "is_superuser": true, "registered_at": "2020-01-01T00:00:00Z" } })),
        ),
        (
            "devise",
            account.row(json!({ "id": id, "email": email, "encrypted_password": null, "reset_password_token": null,
                "remember_created_at": null, "sign_in_count": 3, "confirmed_at": time(*is_verified),
                "deleted_at": time(*is_disabled), "username": login, "created_at": time(true) })),
            account.user(json!({ "email_verified": yes(*is_verified), "blocked": yes(*is_disabled),
                "user_metadata": if account.is_csv && login == "NULL" { Value::Null } else { login_only.clone() } })),
        ),
        (
            "laravel",
            account.row(json!({ "id": id, "email": email, "password": null, "phone": phone,
                "deleted_at": time(*is_disabled),
                "email_verified_at": if *is_verified { "2024-01-01 10:00:00" } else { "0000-00-00 00:00:00" },
                "remember_token": "x", "created_at": time(true), "updated_at": time(true) })),
            account.user(json!({ "email_verified": yes(*is_verified), "phone_number": phone,
                "blocked": yes(*is_disabled) })),
        ),
        (
            "wordpress",
            account.row(json!({ "ID": id, "user_login": login, "user_pass": "", "user_nicename": login,
                "user_email": email, "user_url": "", "user_registered": "2020-01-01 12:30:00",
                "user_activation_key": "",
                "user_status": 0, "display_name": login, "spam": is_disabled })),
            account.user(json!({ "name": login, "user_metadata": login_only, "blocked": yes(*is_disabled),
                "app_metadata": { "registered_at": "2020-01-01T12:30:00Z" } })),
        ),
        (
            "drupal",
            account.row(json!({ "uid": id, "langcode": "en", "preferred_langcode": null,
                "preferred_admin_langcode": null,
                "name": login, "pass": null, "mail": email, "timezone": "Europe/Berlin",
                "status": u8::from(!is_disabled), "created": 1_508_255_889, "changed": 1, "access": 0, "login": 0,
                "init": email, "default_langcode": 1 })),
            account.user(json!({ "name": login, "blocked": is_disabled,
                "user_metadata": { "username": login, "timezone": "Europe/Berlin" },
                "app_metadata": { "registered_at": "2017-10-17T15:58:09Z" } })),
        ),
        (
            "entra",
            json!({ "id": id, "userPrincipalName": format!("{login}@example.onmicrosoft.com"), "displayName": name,
                "surname": last, "givenName": first, "mail": email, "mobilePhone": phone, "userType": "Member",
                "accountEnabled": is_enabled }),
            account.user(json!({ "name": name, "given_name": first, "family_name": last, "phone_number": phone,
                "blocked": is_disabled, "app_metadata": { "user_type": "Member",
                    "user_principal_name": format!("{login}@example.onmicrosoft.com") } })),
        ),
        (
            "entra",
            json!({ "Name [displayName] Required": name, "User name [userPrincipalName] Required": email,
                "Initial password [passwordProfile] Required": "", "First name [givenName]": first,
                "Block sign in (Yes/No) [accountEnabled] Required": if *is_disabled { "Yes" } else { "No" },
                "Last name [surname]": last, "Mobile phone [mobile]": phone }),
            account.user(json!({ "user_id": null, "name": name, "given_name": first, "family_name": last,
                "phone_number": phone, "blocked": is_disabled })),
        ),
        (
            "ldap",
            json!({ "dn": format!("uid={login},dc=example"), "objectclass": ["top", "inetOrgPerson"], "UID": login,
                "cn": [login, "other"], "SN": last, "givenName": first, "mail": [email], "mobile": phone,
                "entryUUID": id.to_string(), "nsAccountLock": if *is_disabled { "TRUE" } else { "FALSE" } }),
            account.user(json!({ "name": login, "given_name": first, "family_name": last, "phone_number": phone,
                "blocked": yes(*is_disabled), "user_metadata": login_only })),
        ),
        (
            "ldap",
            json!({ "DN": format!("CN={login},DC=example"), "objectClass": "user", "cn": login, "sAMAccountName": login,
                "objectGUID": format!("00000000-0000-0000-0000-{id:012x}"), "mail": email,
                "userPrincipalName": format!("{login}@example.local"),
                "userAccountControl": (if *is_disabled { 514 } else { 512 }).to_string() }),
            account.user(json!({ "user_id": format!("00000000-0000-0000-0000-{id:012x}"), "name": login,
                "blocked": yes(*is_disabled), "user_metadata": login_only })),
        ),
    ]
}

fn members(row: &Value) -> Map<String, Value> {
    row.as_object().cloned().expect("an object")
}

fn detect(rows: Vec<Map<String, Value>>, layout: Layout) -> Option<&'static str> {
    let mut names: Vec<String> = Vec::new();
    for name in rows.iter().flat_map(|row| row.keys()) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    uie_sources::detect(&Sample { layout, names, rows }).map(|source| source.name)
}

proptest! {
    #[test]
    fn a_row_becomes_the_user_that_it_means(account in account()) {
        for (source, row, expected) in forms(&account) {
            let converted = uie_sources::find(source).expect("a source").convert(members(&row));
            prop_assert_eq!(&Value::from(converted.user), &expected, "{}: {:?}", source, row);
            prop_assert_eq!(converted.losses.len(), 0, "{}: {:?}", source, converted.losses);
            prop_assert_eq!(&converted.unknown, &Vec::<String>::new(), "{}", source);
        }
    }

    #[test]
    fn a_file_is_recognized_as_its_own_source_only(accounts in prop::collection::vec(account(), 1..4)) {
        for kind in 0..forms(&accounts[0]).len() {
            let rows: Vec<_> = accounts.iter().map(|account| forms(account).swap_remove(kind)).collect();
            let source = rows[0].0;
            let rows = rows.iter().map(|(_, row, _)| members(row)).collect();
            prop_assert_eq!(detect(rows, Layout::Rows), Some(source));
        }
    }
}

/// The user of a row whose password is not lost.
fn convert(source: &str, row: &Value) -> Map<String, Value> {
    let converted = uie_sources::find(source).expect("a source").convert(members(row));
    assert!(!converted.lost_password(), "{source}: {:?}", converted.losses);
    converted.user
}

fn aspnet_3(digest: u32, rounds: u32, salt: &[u8], hash: &[u8]) -> String {
    let salt_length = u32::try_from(salt.len()).expect("a length");
    let header = [digest, rounds, salt_length].map(u32::to_be_bytes).concat();
    STANDARD.encode([&[1], header.as_slice(), salt, hash].concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn pbkdf2_of_applications_and_directories_is_verified(
        password in "[ -~é漢]{1,24}", other in "[a-z]{8}", salt in prop::collection::vec(any::<u8>(), 16..33),
        text_salt in "[a-zA-Z0-9]{1,22}", rounds in 1_u32..300, length in 16_usize..65,
    ) {
        let ab64 = |bytes: &[u8]| STANDARD.encode(bytes).trim_end_matches('=').replace('+', ".");
        let mut users = Vec::new();
        for (number, digest, algorithm, natural) in [
            (0, "SHA1", pbkdf2::PBKDF2_HMAC_SHA1, 20),
            (1, "SHA256", pbkdf2::PBKDF2_HMAC_SHA256, 32),
            (2, "SHA512", pbkdf2::PBKDF2_HMAC_SHA512, 64),
        ] {
            let hash = derive(algorithm, rounds, &salt, password.as_bytes(), length);
            users.push(convert("aspnet", &json!({ "Id": 1, "PasswordHash": aspnet_3(number, rounds, &salt, &hash) })));
            let hash = derive(algorithm, rounds, &salt, password.as_bytes(), natural);
            let text = format!("{{PBKDF2-{digest}}}{rounds}${}${}", ab64(&salt), ab64(&hash));
            users.push(convert("ldap", &json!({ "dn": "uid=ada", "userPassword": text })));
            users.push(convert("ldap", &json!({ "dn": "uid=ada", "userPassword": STANDARD.encode(text) })));
            if number < 2 {
                let hash = derive(algorithm, rounds, text_salt.as_bytes(), password.as_bytes(), natural);
                let name = digest.to_lowercase();
                let text = format!("pbkdf2_{name}${rounds}${text_salt}${}", STANDARD.encode(hash));
                users.push(convert("django", &json!({ "id": 1, "password": text })));
            }
        }
        let salt_2 = &salt[..16];
        let hash = derive(pbkdf2::PBKDF2_HMAC_SHA1, 1000, salt_2, password.as_bytes(), 32);
        let text = STANDARD.encode([&[0], salt_2, &hash].concat());
        users.push(convert("aspnet", &json!({ "Id": 1, "PasswordHash": text })));
        for user in users {
            prop_assert!(accepts(&user, password.as_bytes()), "{:?}", user);
            prop_assert!(password == other || !accepts(&user, other.as_bytes()), "{:?}", user);
        }
    }

    #[test]
    fn salted_digests_of_directories_are_verified(
        password in "[ -~é漢]{1,24}", other in "[a-z]{8}", salt in prop::collection::vec(any::<u8>(), 0..17),
    ) {
        for (scheme, algorithm) in [
            ("SHA", &digest::SHA1_FOR_LEGACY_USE_ONLY),
            ("SHA256", &digest::SHA256),
            ("SHA512", &digest::SHA512),
        ] {
            let hash = digest::digest(algorithm, &[password.as_bytes(), &salt].concat());
            let scheme = if salt.is_empty() { scheme.to_owned() } else { format!("S{scheme}") };
            let text = format!("{{{scheme}}}{}", STANDARD.encode([hash.as_ref(), &salt].concat()));
            for value in [json!(text), json!(STANDARD.encode(&text)), json!(["{CRYPT}$6$salt$hash", text])] {
                let user = convert("ldap", &json!({ "dn": "uid=ada", "userPassword": value }));
                prop_assert!(accepts(&user, password.as_bytes()), "{:?}", user);
                prop_assert!(password == other || !accepts(&user, other.as_bytes()), "{:?}", user);
            }
        }
    }
}

#[test]
fn bcrypt_and_argon2_of_applications_are_verified() {
    use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version, password_hash::SaltString};
    let params = Params::new(16, 2, 1, None).expect("parameters");
    let salt = SaltString::encode_b64(b"salt of 16 bytes").expect("a salt");
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let argon2 = argon2.hash_password(b"correct horse", &salt).expect("a hash").to_string();
    let bcrypt_4 = bcrypt::hash_with_salt("correct horse", 4, *b"salt of 16 bytes").expect("a hash");
    let bcrypt_10 = bcrypt::hash_with_salt("correct horse", 10, *b"salt of 16 bytes").expect("a hash");
    let of_php = bcrypt_10.format_for_version(bcrypt::Version::TwoY);
    let of_ruby = bcrypt_10.format_for_version(bcrypt::Version::TwoA);
    for (source, name, hash, is_password_hash) in [
        ("laravel", "password", of_php.clone(), false),
        ("laravel", "password", argon2.clone(), false),
        ("wordpress", "user_pass", of_php.clone(), false),
        ("drupal", "pass", of_php, false),
        ("devise", "encrypted_password", of_ruby, true),
        ("devise", "encrypted_password", bcrypt_4.to_string(), false),
        ("django", "password", format!("bcrypt${bcrypt_10}"), true),
        ("django", "password", format!("argon2{argon2}"), false),
        ("aspnet", "PasswordHash", bcrypt_10.to_string(), true),
        ("ldap", "userPassword", format!("{{BCRYPT}}{bcrypt_10}"), true),
        ("ldap", "userPassword", format!("{{CRYPT}}{bcrypt_4}"), false),
        ("ldap", "userPassword", format!("{{ARGON2}}{argon2}"), false),
    ] {
        let user = convert(source, &json!({ name: hash }));
        assert!(accepts(&user, b"correct horse"), "{source}: {user:?}");
        assert!(!accepts(&user, b"correct house"), "{source}: {user:?}");
        assert_eq!(user.contains_key("password_hash"), is_password_hash, "{source}: {user:?}");
    }
}

#[test]
fn hashes_that_auth0_cannot_check_are_losses() {
    let version_3 = |digest: u32, salt: usize, hash: usize| aspnet_3(digest, 1000, &vec![7; salt], &vec![7; hash]);
    for (source, name, hash, code) in [
        ("wordpress", "user_pass", "$P$BabcdefghIlh1cMeCFzzNTKXEOcvQO.".to_owned(), "PHPASS"),
        (
            "wordpress",
            "user_pass",
            "$wp$2y$10$nFguVi9LsCAcvTZFKQlRKeLVydo8ETv483lkNsSFI/Wl1Rz1Ypo1K".to_owned(),
            "WORDPRESS_BCRYPT",
        ),
        ("drupal", "pass", "$S$E8Lq1Hwt0oHuG6fVLBJGKJ0Cw3pO9g0Yx3pL1rjxOY9q1FLYrSzV".to_owned(), "DRUPAL_SHA512"),
        ("drupal", "pass", "U$S$E8Lq1Hwt0oHuG6fVLBJGKJ0Cw3pO9g0Yx3pL1rjxOY9q1FLYrSz".to_owned(), "DRUPAL_SHA512"),
        (
            "django",
            "password",
            "bcrypt_sha256$$2b$12$nFguVi9LsCAcvTZFKQlRKeLVydo8ETv483lkNsSFI/Wl1Rz1Ypo1K".to_owned(),
            "BCRYPT_SHA256",
        ),
        ("django", "password", "crypt$$ab1234567890".to_owned(), "CRYPT"),
        ("django", "password", "pbkdf2_sha256$x$salt$AAAA".to_owned(), "UNKNOWN_HASH"),
        ("django", "password", "pbkdf2_sha256$1000$salt".to_owned(), "UNKNOWN_HASH"),
        ("django", "password", "scrypt$15$salt$8$1$AAAA".to_owned(), "UNKNOWN_HASH"),
        ("django", "password", "correct horse".to_owned(), "UNKNOWN_HASH"),
        ("aspnet", "PasswordHash", version_3(9, 16, 32), "UNKNOWN_HASH"),
        ("aspnet", "PasswordHash", version_3(1, 8, 32), "UNKNOWN_HASH"),
        ("aspnet", "PasswordHash", version_3(1, 16, 8), "UNKNOWN_HASH"),
        ("aspnet", "PasswordHash", STANDARD.encode([0; 48]), "UNKNOWN_HASH"),
        ("aspnet", "PasswordHash", STANDARD.encode([1; 9]), "UNKNOWN_HASH"),
        ("ldap", "userPassword", "{CRYPT}$6$salt$hash".to_owned(), "CRYPT"),
        ("ldap", "userPassword", "correct horse".to_owned(), "PLAIN_PASSWORD"),
        ("ldap", "userPassword", "{CLEARTEXT}correct horse".to_owned(), "PLAIN_PASSWORD"),
        ("ldap", "userPassword", "{PBKDF2-SHA256}10000$AAAA".to_owned(), "UNKNOWN_HASH"),
        ("ldap", "userPassword", "{PBKDF2_SHA256}AAAA".to_owned(), "UNKNOWN_HASH"),
        ("ldap", "userPassword", "{SASL}ada@EXAMPLE.COM".to_owned(), "UNKNOWN_HASH"),
        ("entra", "Initial password [passwordProfile] Required", "correct horse".to_owned(), "PLAIN_PASSWORD"),
    ] {
        let converted = uie_sources::find(source).expect("a source").convert(members(&json!({ name: hash })));
        let codes: Vec<_> = converted.losses.iter().map(|loss| loss.kind.code).collect();
        assert_eq!(codes, [code], "{source}: {hash}");
        assert!(!converted.user.keys().any(|name| name.contains("password")), "{source}: {:?}", converted.user);
    }
}

#[test]
fn templates_of_entra_block_with_yes_and_exports_with_false() {
    for (name, value, is_blocked) in [
        ("Block sign in (Yes/No) [accountEnabled] Required", json!("Yes"), true),
        ("Block sign in (Yes/No) [accountEnabled] Required", json!("No"), false),
        // A reader may leave the name in the brackets only.
        ("accountEnabled", json!("Yes"), true),
        ("accountEnabled", json!("No"), false),
        ("accountEnabled", json!("True"), false),
        ("accountEnabled", json!("False"), true),
        ("AccountEnabled", json!(true), false),
        ("accountEnabled", json!(false), true),
        ("Block credential", json!("True"), true),
        ("Block credential", json!("False"), false),
    ] {
        let user = convert("entra", &json!({ "userPrincipalName": "ada@example.com", name: value }));
        assert_eq!(user["blocked"], is_blocked, "{name}: {value}");
    }
    for name in ["Initial password [passwordProfile] Required", "passwordProfile"] {
        let converted =
            uie_sources::find("entra").expect("a source").convert(members(&json!({ name: "correct horse" })));
        assert!(converted.lost_password(), "{name}");
    }
}

#[test]
fn binary_ids_of_active_directory_become_text() {
    let id = "33221100-5544-7766-8899-aabbccddeeff";
    let bytes: Vec<u8> = (0..16).map(|at| at * 0x11).collect();
    for value in [
        STANDARD.encode(&bytes),
        "X'00112233445566778899aabbccddeeff'".to_owned(),
        id.to_uppercase(),
        format!("{{{id}}}"),
    ] {
        for name in ["objectGUID", "objectGUID;base64", "ObjectGUID"] {
            let user = convert("ldap", &json!({ "dn": "CN=Ada", name: value }));
            assert_eq!(user["user_id"], id, "{name}: {value}");
        }
    }
    let user = convert("ldap", &json!({ "dn": "CN=Ada", "objectGUID": "unknown" }));
    assert!(!user.contains_key("user_id"), "{user:?}");
}

/// The expected users of the examples, which Python's hashlib, passlib, bcrypt, argon2-cffi and Django have hashed.
#[test]
fn hashes_of_the_examples_are_of_their_password() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut checked = 0;
    for source in ["aspnet", "devise", "django", "drupal", "laravel", "ldap", "wordpress"] {
        for file in std::fs::read_dir(root.join(source)).expect("examples") {
            let path = file.expect("a file").path();
            if !path.to_string_lossy().ends_with(".expected.json") {
                continue;
            }
            let expected: Value = serde_json::from_slice(&std::fs::read(&path).expect("a file")).expect("JSON");
            for user in expected["users"].as_array().expect("users").iter().map(members) {
                let algorithm = user.get("custom_password_hash").and_then(|hash| hash["algorithm"].as_str());
                let value = user.get("custom_password_hash").and_then(|hash| hash["hash"]["value"].as_str());
                // There is no second implementation of these here.
                let is_other = matches!(algorithm, Some("md4" | "md5" | "scrypt"))
                    || value.is_some_and(|value| value.starts_with("{MD5}") || value.starts_with("{SMD5}"));
                if !is_other && (algorithm.is_some() || user.contains_key("password_hash")) {
                    assert!(accepts(&user, b"correct horse"), "{}: {user:?}", path.display());
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 20, "{checked}");
}

#[test]
fn files_of_other_kinds_are_of_no_source() {
    for names in [
        vec!["email", "password", "name", "created_at", "updated_at"],
        vec!["id", "username", "password", "email", "is_active"],
        vec!["User name", "Display name", "E-mail", "Department", "Title"],
        vec!["First name", "Last name", "Mobile phone", "City"],
        vec!["uid", "mail", "cn", "sn"],
        vec!["mail", "displayName", "givenName", "surname"],
        vec!["user_login", "name"],
        vec!["encrypted_password", "email"],
        vec!["PasswordHash", "Email"],
        vec!["uid", "name", "pass"],
        vec!["model", "pk", "fields"],
    ] {
        let row: Map<String, Value> = names.iter().map(|name| ((*name).to_owned(), json!("x"))).collect();
        for layout in [Layout::Rows, Layout::Csv] {
            assert_eq!(detect(vec![row.clone()], layout), None, "{names:?}");
        }
    }
}
