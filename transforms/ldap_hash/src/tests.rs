//! Known passwords, hashed and verified by an independent implementation.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use md5::{Digest, Md5};
use pbkdf2::pbkdf2_hmac;
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};

use crate::ldap_hash;

const PASSWORDS: &[&str] = &["", "x", "geheim-ä", "correct horse battery staple", "密码🔑"];

fn digest(scheme: &str, password: &str, salt: &[u8]) -> Vec<u8> {
    let salted = [password.as_bytes(), salt].concat();
    match scheme.trim_start_matches('S') {
        "MD5" | "MMD5" => Md5::digest(salted).to_vec(),
        "HA" => Sha1::digest(salted).to_vec(),
        "HA256" => Sha256::digest(salted).to_vec(),
        "HA384" => Sha384::digest(salted).to_vec(),
        "HA512" => Sha512::digest(salted).to_vec(),
        other => panic!("{other}"),
    }
}

fn derive(digest: &str, password: &str, salt: &[u8], rounds: u32, length: usize) -> Vec<u8> {
    let mut hash = vec![0; length];
    match digest {
        "sha1" => pbkdf2_hmac::<Sha1>(password.as_bytes(), salt, rounds, &mut hash),
        "sha256" => pbkdf2_hmac::<Sha256>(password.as_bytes(), salt, rounds, &mut hash),
        "sha512" => pbkdf2_hmac::<Sha512>(password.as_bytes(), salt, rounds, &mut hash),
        other => panic!("{other}"),
    }
    hash
}

/// The algorithm and the value of the hash in the result.
fn converted(text: &str) -> (String, String) {
    let custom = ldap_hash(Some(text)).unwrap().unwrap();
    assert_eq!((custom.len(), &custom["hash"]["encoding"]), (2, &"utf8".into()));
    let text = |value: &transforms_sdk::serde_json::Value| value.as_str().unwrap().to_owned();
    (text(&custom["algorithm"]), text(&custom["hash"]["value"]))
}

#[test]
fn digests_of_rfc_2307_stay_as_they_are() {
    for password in PASSWORDS {
        for scheme in ["MD5", "SHA", "SHA256", "SHA384", "SHA512", "SMD5", "SSHA", "SSHA256", "SSHA384", "SSHA512"] {
            let salt: &[u8] = if scheme.starts_with("SS") || scheme == "SMD5" { &[0, 255, 62, 63, 128] } else { &[] };
            let hash = [digest(scheme, password, salt), salt.to_vec()].concat();
            let text = format!("{{{scheme}}}{}", STANDARD.encode(&hash));
            assert_eq!(converted(&text), ("ldap".into(), text.clone()));
            // As LDIF has it, and without padding.
            assert_eq!(converted(&STANDARD.encode(&text)).1, text);
            assert_eq!(converted(text.trim_end_matches('=')).1, text);
        }
    }
}

#[test]
fn a_converted_pbkdf2_hash_verifies_the_password_and_no_other() {
    let salt: Vec<u8> = (0..=255).step_by(5).collect();
    for password in PASSWORDS {
        for (scheme, name, length) in
            [("PBKDF2", "sha1", 20), ("PBKDF2-SHA256", "sha256", 32), ("PBKDF2-SHA512", "sha512", 64)]
        {
            let hash = derive(name, password, &salt, 11, length);
            let encode = |bytes: &[u8]| STANDARD_NO_PAD.encode(bytes).replace('+', ".");
            let (algorithm, phc) = converted(&format!("{{{scheme}}}11${}${}", encode(&salt), encode(&hash)));
            assert_eq!(algorithm, "pbkdf2");
            let parts: Vec<&str> = phc.split('$').collect();
            let [_, _, _, phc_salt, phc_hash] = parts.as_slice() else { panic!("{phc}") };
            assert!(phc.starts_with(&format!("$pbkdf2-{name}$i=11,l={length}$")), "{phc}");
            let phc_salt = STANDARD_NO_PAD.decode(phc_salt).unwrap();
            let phc_hash = STANDARD_NO_PAD.decode(phc_hash).unwrap();
            assert_eq!(derive(name, password, &phc_salt, 11, length), phc_hash);
            assert_ne!(derive(name, &format!("{password}."), &phc_salt, 11, length), phc_hash);
        }
    }
}

#[test]
fn faults_contain_no_part_of_the_value() {
    let secrets = ["hunter2-hunter2", "s3cr3t"];
    for text in [
        "hunter2-hunter2",
        "{hunter2-hunter2}s3cr3t",
        "{CRYPT}s3cr3t",
        "{CLEARTEXT}hunter2-hunter2",
        "{SSHA}hunter2-hunter2",
        "{SHA}s3cr3t",
        "{BCRYPT}hunter2-hunter2",
        "{ARGON2}hunter2-hunter2",
        "{PBKDF2}hunter2-hunter2",
        "{PBKDF2_SHA256}hunter2-hunter2",
        "{s3cr3t",
        "}s3cr3t{",
    ] {
        let fault = ldap_hash(Some(text)).unwrap_err();
        for secret in secrets {
            assert!(!fault.message().to_lowercase().contains(secret), "{text}: {fault:?}");
        }
    }
}
