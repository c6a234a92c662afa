//! Warnings about hashes with which no user can sign in, and hints for hashes and second factors.

use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, Engine};

use super::*;

fn hash_of(algorithm: &str, value: &str) -> Value {
    custom(&json!({ "algorithm": algorithm, "hash": { "value": value } }))
}

fn b64(length: usize) -> String {
    BASE64_STANDARD_NO_PAD.encode(vec![7; length])
}

/// The only fault of a row.
fn only_fault(row: &Value) -> RowFault {
    let mut faults = faults_of(row);
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults.remove(0)
}

fn hint(fault: &RowFault) -> String {
    fault.hint.as_ref().map(ToString::to_string).unwrap_or_default()
}

#[test]
fn pbkdf2_hashes_are_compared_with_their_settings() {
    let salt = b64(8);
    for (value, code, part, hinted) in [
        (format!("$pbkdf2-sha256$i=27500,l=32${salt}${}", b64(64)), "HASH_LENGTH", "64 bytes, but l says 32", "l=64"),
        (format!("$pbkdf2-sha256$i=10000${salt}${}", b64(32)), "HASH_LENGTH", "32 bytes instead of 64", "write l=32"),
        (format!("$pbkdf2-sha256${salt}${}", b64(20)), "HASH_LENGTH", "20 bytes instead of 64", "write l=20"),
        (format!("$pbkdf2-sha257$i=10000,l=32${salt}${}", b64(32)), "HASH_DIGEST", "digest sha257", "mean sha256?"),
        (format!("$pbkdf2-SHA-512a$i=1,l=4${salt}${}", b64(4)), "HASH_DIGEST", "digest SHA-512a", "mean sha512?"),
        (format!("$pbkdf2-blake2b512$i=1,l=4${salt}${}", b64(4)), "HASH_DIGEST", "blake2b512", "For example"),
        (format!("$pbkdf2-sha256$i=10000,l=32$abcde${}", b64(32)), "HASH_SALT", "salt", "5 characters"),
        (format!("$pbkdf2-sha256$i=10000,l=32${salt}$ab.d"), "HASH_LENGTH", "not Base64", "passlib"),
        (format!("$pbkdf2-sha256$i=0,l=32${salt}${}", b64(32)), "HASH_PARAMETERS", "setting i", "at least 1"),
    ] {
        let fault = only_fault(&hash_of("pbkdf2", &value));
        assert_eq!((fault.code.as_str(), fault.severity), (code, Severity::Warning), "{value}");
        assert!(fault.message.contains(part) && fault.message.contains("cannot sign in"), "{}", fault.message);
        assert!(hint(&fault).contains(hinted), "{}", hint(&fault));
    }
    for value in [
        format!("$pbkdf2-sha256$i=27500,l=32${salt}${}", b64(32)),
        format!("$pbkdf2-SHA512${salt}${}", b64(64)),
        format!("$pbkdf2-sha512WithRSAEncryption$l=1${salt}${}", b64(1)),
        format!("$pbkdf2-ssl3-md5$i=1${salt}${}", b64(64)),
    ] {
        assert_eq!(faults_of(&hash_of("pbkdf2", &value)), [], "{value}");
    }
}

#[test]
fn hashes_of_other_programs_are_refused_with_what_to_do() {
    for (algorithm, value, hinted) in [
        ("pbkdf2", format!("$pbkdf2-sha256$i=10000,l=32$c2FsdDEyMzQ=${}=", b64(32)), "remove ="),
        (
            "pbkdf2",
            "pbkdf2_sha256$36000$5LjfzfBwQAVI$KvyIC/h2/RDu+5KyELLhyBD9jZbyImxzipSrIJ4P9Ig=".into(),
            "django_hash",
        ),
        ("pbkdf2", format!("$pbkdf2-sha256$29000$c2FsdDEyMzQ${}", b64(32)), "i=29000"),
        ("argon2", format!("$argon2id$v=19$m=65536,t=2,p=1${}==${}", b64(16), b64(32)), "remove ="),
        ("argon2", "argon2$argon2id$v=19$m=65536,t=2,p=1$c2FsdA$aGFzaA".into(), "django_hash"),
        ("bcrypt", "$2b$10$nFguVi9LsCAcvTZFKQlRKeLVydo8ETv483lkNsSFI".into(), "this one has 48"),
        ("ldap", "{CRYPT}$2y$10$nFguVi9LsCAcvTZFKQlRKeLVydo8ETv483lkNsSFI".into(), "algorithm bcrypt"),
    ] {
        let fault = only_fault(&hash_of(algorithm, &value));
        assert_eq!((fault.code.as_str(), fault.severity), ("PATTERN", Severity::Error), "{value}");
        assert!(hint(&fault).contains(hinted), "{value}: {}", hint(&fault));
    }
    let hex =
        json!({ "algorithm": "md5", "hash": { "value": "0x67A1E09BB1F83F5007DC119C14D663AA", "encoding": "hex" } });
    assert_eq!(hint(&only_fault(&custom(&hex))), "Remove 0x in front of the digits.");
    let base64 = json!({ "algorithm": "md5", "hash": { "value": "Z6Hgm7H4P1AH3BGcFNZjqg==", "encoding": "hex" } });
    assert_eq!(hint(&only_fault(&custom(&base64))), "It is perhaps Base64: then set its encoding to base64.");
}

#[test]
fn hexadecimal_and_base64_that_were_mixed_up_are_recognized() {
    let bytes = |length: usize| vec![0xAB_u8; length];
    let hex = uie_core::encryption::hex;
    for (algorithm, value, encoding, hinted) in [
        ("sha1", BASE64_STANDARD.encode(hex(&bytes(20))), "base64", "Base64 of a hexadecimal text"),
        ("sha1", hex(&bytes(20)), "base64", "declared as Base64"),
        ("sha256", hex(&bytes(32)), "base64", "declared as Base64"),
        ("md5", hex(hex(&bytes(16)).as_bytes()), "hex", "hexadecimal form of a hexadecimal text"),
        ("sha256", hex(&bytes(20)), "hex", "length of ripemd160, sha1"),
        ("sha512", BASE64_STANDARD.encode(bytes(5)), "base64", "complete"),
    ] {
        let fault =
            only_fault(&custom(&json!({ "algorithm": algorithm, "hash": { "value": value, "encoding": encoding } })));
        assert_eq!((fault.code.as_str(), fault.severity), ("HASH_LENGTH", Severity::Warning), "{value}");
        assert!(hint(&fault).contains(hinted), "{value}: {}", hint(&fault));
        assert!(!format!("{fault:?}").contains(&value), "{fault:?}");
    }
}

#[test]
fn parameters_and_salts_out_of_range_cause_warnings() {
    let bcrypt = |rounds: &str| {
        hash_of("bcrypt", &format!("$2b${rounds}$nFguVi9LsCAcvTZFKQlRKeLVydo8ETv483lkNsSFI/Wl1Rz1Ypo1K"))
    };
    let argon2 = |settings: &str, salt: usize, hash: usize| {
        hash_of("argon2", &format!("$argon2id${settings}${}${}", b64(salt), b64(hash)))
    };
    let scrypt = |more: Value| {
        let mut hash = json!({ "algorithm": "scrypt", "keylen": 2, "hash": { "value": "ab12", "encoding": "hex" } });
        hash.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        custom(&hash)
    };
    let salted = |salt: Value| {
        custom(&json!({
            "algorithm": "bcrypt", "salt": salt,
            "hash": { "value": "$2b$10$nFguVi9LsCAcvTZFKQlRKeLVydo8ETv483lkNsSFI/Wl1Rz1Ypo1K" },
        }))
    };
    for (row, codes) in [
        (bcrypt("99"), vec!["HASH_PARAMETERS"]),
        (bcrypt("03"), vec!["HASH_PARAMETERS"]),
        (bcrypt("31"), vec![]),
        (bcrypt("04"), vec![]),
        (argon2("v=19$m=65536,t=2,p=1", 16, 32), vec![]),
        (argon2("v=18$m=65536,t=2,p=1", 16, 32), vec!["HASH_PARAMETERS"]),
        (argon2("m=7,t=2,p=1", 16, 32), vec!["HASH_PARAMETERS"]),
        (argon2("m=64,t=0,p=8", 16, 32), vec!["HASH_PARAMETERS"]),
        (argon2("m=64,t=1,p=0", 16, 32), vec!["HASH_PARAMETERS"]),
        (argon2("m=64,t=1,p=8", 7, 32), vec!["HASH_SALT"]),
        (argon2("m=64,t=1,p=8", 16, 3), vec!["HASH_LENGTH"]),
        (scrypt(json!({ "cost": 65536, "blockSize": 1 })), vec!["HASH_PARAMETERS"]),
        (scrypt(json!({ "cost": 32768, "blockSize": 1 })), vec![]),
        (scrypt(json!({ "parallelization": 1 << 28 })), vec!["HASH_PARAMETERS"]),
        (salted(json!({ "value": "x".repeat(72) })), vec!["HASH_SALT"]),
        (salted(json!({ "value": "78".repeat(72), "encoding": "hex", "position": "suffix" })), vec!["HASH_SALT"]),
        (salted(json!({ "value": "x".repeat(71) })), vec![]),
    ] {
        let faults = faults_of(&row);
        let found: Vec<&str> = faults.iter().map(|fault| fault.code.as_str()).collect();
        assert_eq!(found, codes, "{row}");
        assert!(faults.iter().all(|fault| fault.severity == Severity::Warning), "{faults:?}");
    }
}

#[test]
fn ldap_hashes_have_the_length_of_their_scheme() {
    let base64 = |length: usize| BASE64_STANDARD.encode(vec![9; length]);
    for (value, expected) in [
        (format!("{{SHA}}{}", base64(20)), None),
        (format!("{{sha}}{}", base64(20)), None),
        (format!("{{SSHA}}{}", base64(28)), None),
        (format!("{{SMD5}}{}", base64(24)), None),
        (format!("{{MD5}}{}", base64(16)), None),
        (format!("{{SSHA384}}{}", base64(56)), None),
        (format!("{{SHA512}}{}", base64(64)), None),
        (format!("{{SHA}}{}", base64(24)), Some(("HASH_LENGTH", "SSHA"))),
        (format!("{{SSHA}}{}", base64(20)), Some(("HASH_LENGTH", "salt follows the 20 bytes"))),
        (format!("{{SHA256}}{}", base64(20)), Some(("HASH_LENGTH", "complete"))),
        (format!("{{MD5}}{}", "ab".repeat(16)), Some(("HASH_LENGTH", "hexadecimal"))),
        (format!("{{SHA257}}{}", base64(32)), Some(("HASH_DIGEST", "Known are"))),
    ] {
        let faults = faults_of(&hash_of("ldap", &value));
        let found = faults.first().map(|fault| (fault.code.as_str(), hint(fault)));
        match (found, expected) {
            (None, None) => {}
            (Some((code, hint)), Some((wanted, part))) => {
                assert!(code == wanted && hint.contains(part), "{value}: {code} {hint}");
            }
            other => panic!("{value}: {other:?}"),
        }
    }
}

/// The options in a hint.
fn options(hint: &str) -> Vec<String> {
    hint.split("--map '").skip(1).map(|rest| rest.split_once('\'').unwrap().0.to_owned()).collect()
}

/// The user that is sent with these options.
fn sent_with(rules: &[String], content: &str) -> Value {
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let spec = ImportSpec::with_tools_if_needed(&mapped(&rules), || Ok(tools())).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let input = Box::new(Cursor::new(content.as_bytes().to_vec()));
    let mut faults = Vec::new();
    let summary = check(
        &spec,
        input,
        Some(directory.path()),
        &mut |fault| {
            faults.push(fault.clone());
            Ok(())
        },
        &Progress::default(),
    )
    .unwrap();
    assert_eq!(summary.failed, 0, "{faults:?}");
    users_of(directory.path()).remove(0)
}

#[test]
fn the_options_for_bcrypt_of_other_rounds_work_in_json_and_csv() {
    for hash in ["$2a$12$", "$2y$10$", "$2b$11$"]
        .map(|start| format!("{start}nFguVi9LsCAcvTZFKQlRKeLVydo8ETv483lkNsSFI/Wl1Rz1Ypo1K"))
    {
        let expected = json!({ "algorithm": "bcrypt", "hash": { "value": hash, "encoding": "utf8" } });
        let row = with(&json!({ "password_hash": hash }));
        let fault = only_fault(&row);
        assert_eq!(fault.code, "PATTERN");
        let rules = options(&hint(&fault));
        assert_eq!(rules.len(), 2, "{}", hint(&fault));
        for content in [row.to_string(), format!("email,password_hash\nada@example.com,{hash}\n")] {
            assert_eq!(sent_with(&rules, &content), custom(&expected), "{content}");
        }
        // A user without a hash stays without one.
        let others = "email,password_hash\nada@example.com,\n";
        assert_eq!(sent_with(&rules, others), json!({ "email": "ada@example.com" }));
        let row = with(&json!({ "encrypted_password": hash }));
        assert_eq!(sent_with(&options(&hint(&only_fault(&row))), &row.to_string()), custom(&expected));
    }
    let row = with(&json!({ "pwd": "$2b$10$nFguVi9LsCAcvTZFKQlRKeLVydo8ETv483lkNsSFI/Wl1Rz1Ypo1K" }));
    assert_eq!(sent_with(&options(&hint(&only_fault(&row))), &row.to_string())["password_hash"], row["pwd"]);
    let row = with(&json!({ "pwd": "5ebe2294ecd0e0f08eab7690d2a6ee69" }));
    assert_eq!(
        sent_with(&options(&hint(&only_fault(&row))), &row.to_string()),
        custom(&json!({ "algorithm": "md5", "hash": { "value": row["pwd"], "encoding": "hex" } })),
    );
}

#[test]
fn the_options_for_secrets_of_second_factors_work_and_never_show_them() {
    for (secret, part, expected) in [
        ("jbsw y3dp ehpk 3pxp", "groups", Some("JBSWY3DPEHPK3PXP")),
        ("JBSW-Y3DP-EHPK-3PXP", "groups", Some("JBSWY3DPEHPK3PXP")),
        ("jbswy3dpehpk3pxp", "small letters", Some("JBSWY3DPEHPK3PXP")),
        ("J3WWIV3PTGJPQV5QAICM====", "padding", Some("J3WWIV3PTGJPQV5QAICM")),
        ("otpauth://totp/Example:c?issuer=Example&secret=jbswy3dpehpk3pxp", "otpauth URI", Some("JBSWY3DPEHPK3PXP")),
        ("0123456789abcdef", "hexadecimal", None),
        ("not base32!", "letters A to Z", None),
    ] {
        let row = with(&json!({ "mfa_factors": [{ "totp": { "secret": secret } }] }));
        let fault = only_fault(&row);
        assert_eq!(fault.code, "PATTERN", "{secret}");
        assert!(hint(&fault).contains(part), "{secret}: {}", hint(&fault));
        assert!(!format!("{fault:?}").contains(secret), "{fault:?}");
        if let Some(expected) = expected {
            let rules = options(&hint(&fault));
            let csv = format!("email,mfa_factors[0].totp.secret\nada@example.com,{secret}\n");
            for content in [row.to_string(), csv] {
                assert_eq!(
                    sent_with(&rules, &content),
                    with(&json!({ "mfa_factors": [{ "totp": { "secret": expected } }] })),
                );
            }
        }
    }
}
