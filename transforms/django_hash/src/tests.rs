//! Known passwords, hashed and verified by an independent implementation.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use md5::{Digest, Md5};
use pbkdf2::pbkdf2_hmac;
use sha1::Sha1;
use sha2::{Sha256, Sha512};

use crate::django_hash;

const PASSWORDS: &[&str] = &["", "x", "lètmein", "correct horse battery staple", "密码🔑"];

/// Django's salts are letters and digits; other characters test that none is taken for a separator.
const SALTS: &[&str] = &["a", "5LjfzfBwQAVI", "seasalt2", "salt with blank", "sälz", "0123456789012345678901"];

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

/// Whether a password belongs to a PHC string: reads its parts and hashes the password again.
fn verifies(phc: &str, password: &str) -> bool {
    let parts: Vec<&str> = phc.split('$').collect();
    let ["", name, settings, salt, hash] = parts.as_slice() else { panic!("{phc}") };
    let (rounds, length) = settings.split_once(',').unwrap();
    let rounds = rounds.strip_prefix("i=").unwrap().parse().unwrap();
    let length = length.strip_prefix("l=").unwrap().parse().unwrap();
    let salt = STANDARD_NO_PAD.decode(salt).unwrap();
    let hash = STANDARD_NO_PAD.decode(hash).unwrap();
    derive(name.strip_prefix("pbkdf2-").unwrap(), password, &salt, rounds, length) == hash
}

#[test]
fn a_converted_pbkdf2_hash_verifies_the_password_and_no_other() {
    for password in PASSWORDS {
        for salt in SALTS {
            for (digest, length, rounds) in [("sha1", 20, 1), ("sha256", 32, 36), ("sha512", 64, 100)] {
                let hash = STANDARD.encode(derive(digest, password, salt.as_bytes(), rounds, length));
                let custom = django_hash(Some(&format!("pbkdf2_{digest}${rounds}${salt}${hash}"))).unwrap().unwrap();
                assert_eq!((&custom["algorithm"], &custom["hash"]["encoding"]), (&"pbkdf2".into(), &"utf8".into()));
                let phc = custom["hash"]["value"].as_str().unwrap();
                assert!(verifies(phc, password), "{phc}");
                assert!(!verifies(phc, &format!("{password}.")), "{phc}");
            }
        }
    }
}

#[test]
fn a_converted_digest_is_that_of_salt_and_password() {
    let hex = |bytes: &[u8]| -> String {
        let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
    };
    for password in PASSWORDS {
        for salt in SALTS.iter().chain(&[""]) {
            let salted = format!("{salt}{password}");
            let digests = [("md5", hex(&Md5::digest(&salted))), ("sha1", hex(&Sha1::digest(&salted)))];
            for (algorithm, hash) in digests {
                let custom = django_hash(Some(&format!("{algorithm}${salt}${hash}"))).unwrap().unwrap();
                assert_eq!(custom["algorithm"], algorithm);
                assert_eq!(custom["hash"]["value"], hash.as_str());
                // Auth0 puts the salt before the password and hashes both.
                let stated = custom.get("salt").map_or("", |salt| salt["value"].as_str().unwrap());
                assert_eq!(stated, *salt);
                assert!(custom.get("salt").is_none_or(|salt| salt["position"] == "prefix"));
            }
        }
    }
}

#[test]
fn faults_contain_no_part_of_the_hash() {
    let hash = STANDARD.encode(derive("sha256", "x", b"salty-salt", 10, 32));
    let bcrypt = "$2b$10$nFguVi9LsCAcvTZFKQlRKeLVydo8ETv483lkNsSFI/Wl1Rz1Ypo1K";
    for text in [
        format!("pbkdf2_sha256$10$salty-salt${}", &hash[..20]),
        format!("pbkdf2_sha256$10$salty-salt${hash}!"),
        format!("pbkdf2_sha257$10$salty-salt${hash}"),
        format!("argon2$argon2id$v=19$m=1$salty-salt${hash}"),
        format!("scrypt$16384$salty-salt$8$1${hash}!"),
        format!("bcrypt_sha256${bcrypt}"),
        format!("bcrypt${bcrypt}x"),
        format!("md5$salty-salt${hash}"),
        hash.clone(),
    ] {
        let fault = django_hash(Some(&text)).unwrap_err();
        for secret in ["salty-salt", &hash[..8], "nFguVi9L"] {
            assert!(!fault.message().contains(secret), "{fault:?}");
        }
    }
}
