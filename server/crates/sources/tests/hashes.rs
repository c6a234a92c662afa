//! Passwords hashed as the sources do it can be verified by what becomes of them: with the algorithm, parameters, salt
//! and hash that Auth0 gets, and implementations that the crate does not use.

mod verification;

use aws_lc_rs::{digest, pbkdf2};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use verification::{accepts, derive};

fn convert(source: &str, row: Value) -> Map<String, Value> {
    let Value::Object(row) = row else { panic!("{row} is no object") };
    let converted = uie_sources::find(source).expect("a source").convert(row);
    assert!(!converted.lost_password(), "{:?}", converted.losses);
    converted.user
}

fn credential(hash: &[u8], salt: &[u8], data: &Value) -> Value {
    let secret = json!({ "value": STANDARD.encode(hash), "salt": STANDARD.encode(salt), "additionalParameters": {} });
    json!({
        "username": "ada", "email": "ada@example.com",
        "credentials": [{ "type": "password", "secretData": secret.to_string(), "credentialData": data.to_string() }],
    })
}

fn check(user: &Map<String, Value>, password: &[u8], other: &[u8]) -> Result<(), TestCaseError> {
    prop_assert!(accepts(user, password), "{:?}", user);
    prop_assert!(password == other || !accepts(user, other), "{:?}", user);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn pbkdf2_of_keycloak_okta_and_clerk_is_verified(
        password in "[ -~é漢]{1,24}", other in "[a-z]{8}", salt in prop::collection::vec(any::<u8>(), 1..33), rounds in 1_u32..300,
        length in 8_usize..65,
    ) {
        let (password, other) = (password.as_bytes(), other.as_bytes());
        for (name, algorithm) in [
            ("pbkdf2", pbkdf2::PBKDF2_HMAC_SHA1),
            ("pbkdf2-sha256", pbkdf2::PBKDF2_HMAC_SHA256),
            ("pbkdf2-sha512", pbkdf2::PBKDF2_HMAC_SHA512),
        ] {
            let hash = derive(algorithm, rounds, &salt, password, length);
            let data = json!({ "hashIterations": rounds, "algorithm": name, "additionalParameters": {} });
            check(&convert("keycloak", credential(&hash, &salt, &data)), password, other)?;
        }
        let hash = derive(pbkdf2::PBKDF2_HMAC_SHA512, rounds, &salt, password, length);
        let okta = json!({ "profile": { "login": "a@b.c" }, "credentials": { "password": { "hash": {
            "algorithm": "PBKDF2", "salt": STANDARD.encode(&salt), "value": STANDARD.encode(&hash), "iterationCount": rounds,
            "keySize": length, "digestAlgorithm": "SHA512_HMAC",
        } } } });
        check(&convert("okta", okta), password, other)?;
        let hash = derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, password, 32);
        let text = format!("pbkdf2_sha256${rounds}${}${}", STANDARD.encode(&salt), STANDARD.encode(&hash));
        let clerk = json!({ "primary_email_address": "a@b.c", "password_hasher": "pbkdf2_sha256", "password_digest": text });
        check(&convert("clerk", clerk), password, other)?;
    }

    #[test]
    fn argon2_of_keycloak_is_verified(
        password in "[ -~é漢]{1,24}", other in "[a-z]{8}", salt in prop::collection::vec(any::<u8>(), 8..33),
        rounds in 1_u32..3, memory in 8_u32..64, length in 16_usize..33, variant in prop::sample::select(vec!["i", "d", "id"]),
    ) {
        let algorithm = match variant {
            "i" => argon2::Algorithm::Argon2i,
            "d" => argon2::Algorithm::Argon2d,
            _ => argon2::Algorithm::Argon2id,
        };
        let params = argon2::Params::new(memory, rounds, 1, Some(length)).expect("parameters");
        let mut hash = vec![0; length];
        argon2::Argon2::new(algorithm, argon2::Version::V0x13, params)
            .hash_password_into(password.as_bytes(), &salt, &mut hash)
            .expect("a hash");
        let data = json!({ "hashIterations": rounds, "algorithm": "argon2", "additionalParameters": {
            "hashLength": [length.to_string()], "memory": [memory.to_string()], "type": [variant], "version": ["1.3"],
            "parallelism": ["1"],
        } });
        check(&convert("keycloak", credential(&hash, &salt, &data)), password.as_bytes(), other.as_bytes())?;
    }

    #[test]
    fn digests_of_okta_are_verified(
        password in "[ -~é漢]{1,24}", other in "[a-z]{8}", salt in prop::collection::vec(any::<u8>(), 0..17), is_prefix in any::<bool>(),
    ) {
        for (name, algorithm) in [
            ("SHA-1", &digest::SHA1_FOR_LEGACY_USE_ONLY),
            ("SHA-256", &digest::SHA256),
            ("SHA-512", &digest::SHA512),
        ] {
            let content = if is_prefix { [&salt, password.as_bytes()].concat() } else { [password.as_bytes(), &salt].concat() };
            let mut hash = json!({
                "algorithm": name, "value": STANDARD.encode(digest::digest(algorithm, &content)),
                "saltOrder": if is_prefix { "PREFIX" } else { "POSTFIX" },
            });
            if !salt.is_empty() {
                hash["salt"] = STANDARD.encode(&salt).into();
            }
            let row = json!({ "profile": { "login": "a@b.c" }, "credentials": { "password": { "hash": hash } } });
            check(&convert("okta", row), password.as_bytes(), other.as_bytes())?;
        }
    }
}

#[test]
fn bcrypt_of_all_sources_is_verified() {
    for rounds in [4, 10] {
        let hash = bcrypt::hash_with_salt("correct horse", rounds, *b"salt of 16 bytes").expect("a hash").to_string();
        let (salt, value) = hash[7..].split_at(22);
        for (source, row) in [
            ("supabase", json!({ "email": "a@b.c", "encrypted_password": hash })),
            (
                "clerk",
                json!({ "primary_email_address": "a@b.c", "password_hasher": "bcrypt", "password_digest": hash }),
            ),
            ("auth0-hashes", json!({ "_id": { "$oid": "1" }, "email": "a@b.c", "passwordHash": hash })),
            (
                "okta",
                json!({ "profile": { "login": "a@b.c" }, "credentials": { "password": { "hash": {
                    "algorithm": "BCRYPT", "workFactor": rounds, "salt": salt, "value": value,
                } } } }),
            ),
        ] {
            let user = convert(source, row);
            assert!(accepts(&user, b"correct horse"), "{source}: {user:?}");
            assert!(!accepts(&user, b"correct house"), "{source}: {user:?}");
            assert_eq!(user.contains_key("password_hash"), rounds == 10, "{source}: {user:?}");
        }
    }
}

#[test]
fn damaged_hashes_are_losses_and_never_sent() {
    for (source, row) in [
        ("supabase", json!({ "encrypted_password": "$2a$10$tooshort" })),
        ("clerk", json!({ "password_digest": "pbkdf2_sha256$x$y", "password_hasher": "pbkdf2_sha256" })),
        (
            "okta",
            json!({ "credentials": { "password": { "hash": { "algorithm": "BCRYPT", "workFactor": 10, "salt": "s", "value": "v" } } } }),
        ),
        ("okta", json!({ "credentials": { "password": { "value": "correct horse" } } })),
        ("keycloak", json!({ "credentials": [{ "type": "password", "secretData": "{}", "credentialData": "{}" }] })),
        ("auth0-hashes", json!({ "_id": { "$oid": "1" }, "passwordHash": "$5$salt$hash" })),
    ] {
        let Value::Object(row) = row else { panic!() };
        let converted = uie_sources::find(source).expect("a source").convert(row);
        assert!(converted.lost_password(), "{source}");
        assert!(!converted.user.keys().any(|name| name.contains("password")), "{source}: {:?}", converted.user);
    }
}
