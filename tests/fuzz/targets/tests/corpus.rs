//! Short fuzzing on stable, without libFuzzer: every target runs over its corpus and over mutations of it.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fuzz_targets::{Mutator, TARGETS, Target};

fn fuzz_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Reads the corpus of a target: `corpus/<name>.base64` has one input per line, without duplicates, shortest first.
fn read_corpus(name: &str) -> Vec<Vec<u8>> {
    let path = fuzz_directory().join("corpus").join(format!("{name}.base64"));
    let text = fs::read_to_string(path).expect("a corpus");
    text.lines().map(|line| STANDARD.decode(line).expect("one input a line, as base64")).collect()
}

/// Returns the target with this name.
fn find_target(name: &str) -> Target {
    *TARGETS.iter().find(|(known, _)| *known == name).expect("a target of this name")
}

/// Reads the dictionary of a target, which is in libFuzzer's format.
fn read_dictionary(name: &str) -> Vec<Vec<u8>> {
    let dictionary = match name {
        "readers" | "export" | "import_files" | "import_rows" => "json",
        "key_set" | "login" | "logout_tokens" => "tokens",
        name => name,
    };
    let path = fuzz_directory().join("dictionaries").join(format!("{dictionary}.dict"));
    let text = fs::read_to_string(path).expect("a dictionary");
    text.lines()
        .map(|line| unescape(line.strip_prefix('"').and_then(|line| line.strip_suffix('"')).expect("a word")))
        .collect()
}

/// Decodes `\xNN` escapes.
fn unescape(word: &str) -> Vec<u8> {
    let mut parts = word.split("\\x");
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (byte, rest) = part.split_at(2);
        bytes.push(u8::from_str_radix(byte, 16).expect("two digits"));
        bytes.extend_from_slice(rest.as_bytes());
    }
    bytes
}

/// Returns a number from the environment. `None` if it is not set.
fn env_number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is not a number")))
}

/// Returns whether a target panics for an input.
fn fails(run: fn(&[u8]), bytes: &[u8]) -> bool {
    catch_unwind(AssertUnwindSafe(|| run(bytes))).is_err()
}

/// Writes an input that breaks a target to `artifacts/<name>/` and returns its path.
fn write_artifact(name: &str, file: &str, bytes: &[u8]) -> PathBuf {
    let directory = fuzz_directory().join("artifacts").join(name);
    fs::create_dir_all(&directory).expect("a directory");
    let path = directory.join(file);
    fs::write(&path, bytes).expect("a file");
    path
}

/// Runs a target over its corpus, over mutations of it, and over the empty input. `FUZZ_INPUTS` is the number of
/// mutations (or `FUZZ_TIME` their duration in seconds), `FUZZ_SEED` the seed.
fn run_target(name: &str) {
    let (_, run) = find_target(name);
    run(&[]);
    let corpus = read_corpus(name);
    assert!(corpus.len() > 4, "the corpus of {name} is missing");
    let mut failed = Vec::new();
    for (number, bytes) in corpus.iter().enumerate() {
        if fails(run, bytes) {
            failed.push(write_artifact(name, &format!("corpus-line-{}", number + 1), bytes));
        }
    }
    let words = read_dictionary(name);
    let mut mutator = Mutator::new(env_number("FUZZ_SEED").unwrap_or(1));
    let (started, time) = (Instant::now(), env_number("FUZZ_TIME").map(Duration::from_secs));
    let limit = if time.is_some() { u64::MAX } else { env_number("FUZZ_INPUTS").unwrap_or(100) };
    let mut mutations = 0;
    while mutations < limit && failed.len() < 5 && time.is_none_or(|time| started.elapsed() < time) {
        let bytes = mutator.mutate(&corpus, &words);
        mutations += 1;
        if fails(run, &bytes) {
            failed.push(write_artifact(name, &format!("mutation-{mutations}"), &bytes));
        }
    }
    println!("{name}: {} inputs and {mutations} mutations in {:.1} s", corpus.len(), started.elapsed().as_secs_f64());
    assert!(failed.is_empty(), "{name} fails for {failed:?}");
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                run_target(stringify!($name));
            }
        )*

        #[test]
        fn every_target_has_a_test() {
            let tested = BTreeSet::from([$(stringify!($name)),*]);
            assert_eq!(tested, TARGETS.iter().map(|(name, _)| *name).collect());
        }
    };
}

targets! {
    auth0_answers export expression import_files import_rows key_set login logout_tokens query readers tokens transform_intake upload
}

#[test]
fn programs_corpora_and_targets_match() {
    let names: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let stems = |directory: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(fuzz_directory().join(directory)).expect("a directory");
        entries
            .map(|entry| entry.expect("an entry").path().file_stem().expect("a name").to_string_lossy().into_owned())
            .collect()
    };
    assert_eq!(stems("bins"), names);
    assert_eq!(stems("corpus"), names);
    let manifest = fs::read_to_string(fuzz_directory().join("Cargo.toml")).expect("the manifest");
    for name in &names {
        assert!(manifest.contains(&format!("path = \"bins/{name}.rs\"")), "{name} is not in tests/fuzz/Cargo.toml");
    }
    assert_eq!(manifest.matches("[[bin]]").count(), names.len());
}
