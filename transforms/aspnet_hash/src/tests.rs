//! Known passwords, hashed and verified by an independent implementation of PBKDF2.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use pbkdf2::pbkdf2_hmac;
use sha1::Sha1;
use sha2::{Sha256, Sha512};

use crate::aspnet_hash;

const PASSWORDS: &[&str] = &["", "x", "Passw0rd!", "correct horse battery staple", "Grüße aus Köln", "密码🔑"];

/// Salts with every value of a byte, so that the Base64 has every character.
fn salt(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from((at * 83 + seed * 29) % 256).unwrap()).collect()
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

/// The blob of ASP.NET Core Identity.
fn blob(function: u32, rounds: u32, salt: &[u8], hash: &[u8]) -> Vec<u8> {
    let length = u32::try_from(salt.len()).unwrap();
    let numbers = [function, rounds, length].into_iter().flat_map(u32::to_be_bytes);
    std::iter::once(1).chain(numbers).chain(salt.iter().copied()).chain(hash.iter().copied()).collect()
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

fn value(bytes: &[u8]) -> String {
    let custom = aspnet_hash(Some(&STANDARD.encode(bytes))).unwrap().unwrap();
    assert_eq!(custom["algorithm"], "pbkdf2");
    assert_eq!(custom["hash"]["encoding"], "utf8");
    assert_eq!(custom.len(), 2);
    custom["hash"]["value"].as_str().unwrap().to_owned()
}

#[test]
fn a_converted_hash_verifies_the_password_and_no_other() {
    for (seed, password) in PASSWORDS.iter().enumerate() {
        for (function, digest) in [(0, "sha1"), (1, "sha256"), (2, "sha512")] {
            for (salt_length, hash_length, rounds) in [(16, 32, 1), (16, 16, 7), (17, 20, 10), (128, 64, 100)] {
                let salt = salt(salt_length, seed);
                let hash = derive(digest, password, &salt, rounds, hash_length);
                let phc = value(&blob(function, rounds, &salt, &hash));
                assert!(verifies(&phc, password), "{phc}");
                assert!(!verifies(&phc, &format!("{password}.")), "{phc}");
            }
        }
        let salt = salt(16, seed);
        let mut v2 = vec![0];
        v2.extend_from_slice(&salt);
        v2.extend_from_slice(&derive("sha1", password, &salt, 1000, 32));
        assert!(verifies(&value(&v2), password));
    }
}

#[test]
fn no_blob_that_is_cut_off_is_converted() {
    let salt = salt(16, 1);
    let whole = blob(1, 10, &salt, &derive("sha256", "x", &salt, 10, 32));
    for length in 1..whole.len() {
        // Without its length, a hash that lost its end looks like a shorter one of a usual length.
        if [16, 20].contains(&length.saturating_sub(13 + 16)) {
            continue;
        }
        assert!(aspnet_hash(Some(&STANDARD.encode(&whole[..length]))).is_err(), "{length}");
    }
}

#[test]
fn faults_contain_no_part_of_the_hash() {
    let salt = salt(16, 2);
    let whole = STANDARD.encode(blob(1, 10, &salt, &derive("sha256", "x", &salt, 10, 32)));
    for length in 1..whole.len() {
        for text in [whole[..length].to_owned(), format!("{}!", &whole[..length]), format!("A{}", &whole[..length])] {
            let Err(fault) = aspnet_hash(Some(&text)) else { continue };
            let start = &text[..text.len().min(8)];
            assert!(text.len() < 4 || !fault.message().contains(start), "{fault:?}");
        }
    }
}
