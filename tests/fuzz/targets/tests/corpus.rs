//! A short form of fuzzing on stable, without libFuzzer: every target runs over its corpus and over inputs that are
//! mutations of it.

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

/// The inputs of a target's corpus: `corpus/<name>.base64` holds one a line, without duplicates, shortest first.
fn inputs(name: &str) -> Vec<Vec<u8>> {
    let path = fuzz_directory().join("corpus").join(format!("{name}.base64"));
    let text = fs::read_to_string(path).expect("a corpus");
    text.lines().map(|line| STANDARD.decode(line).expect("one input a line, as base64")).collect()
}

fn target(name: &str) -> Target {
    *TARGETS.iter().find(|(known, _)| *known == name).expect("a target of this name")
}

/// The words of a target's dictionary, in libFuzzer's notation.
fn words(name: &str) -> Vec<Vec<u8>> {
    let dictionary = match name {
        "readers" | "export" | "import_files" | "import_rows" => "json",
        "key_set" | "login" | "logout_tokens" => "tokens",
        name => name,
    };
    let path = fuzz_directory().join("dictionaries").join(format!("{dictionary}.dict"));
    let text = fs::read_to_string(path).expect("a dictionary");
    text.lines()
        .map(|line| unescaped(line.strip_prefix('"').and_then(|line| line.strip_suffix('"')).expect("a word")))
        .collect()
}

fn unescaped(word: &str) -> Vec<u8> {
    let mut parts = word.split("\\x");
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (byte, rest) = part.split_at(2);
        bytes.push(u8::from_str_radix(byte, 16).expect("two digits"));
        bytes.extend_from_slice(rest.as_bytes());
    }
    bytes
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is no number")))
}

/// Whether a target panics for an input.
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
fn holds(name: &str) {
    let (_, run) = target(name);
    run(&[]);
    let corpus = inputs(name);
    assert!(corpus.len() > 4, "the corpus of {name} is missing");
    let mut failed = Vec::new();
    for (number, bytes) in corpus.iter().enumerate() {
        if fails(run, bytes) {
            failed.push(write_artifact(name, &format!("corpus-line-{}", number + 1), bytes));
        }
    }
    let words = words(name);
    let mut mutator = Mutator::new(number("FUZZ_SEED").unwrap_or(1));
    let (begun, time) = (Instant::now(), number("FUZZ_TIME").map(Duration::from_secs));
    let most = if time.is_some() { u64::MAX } else { number("FUZZ_INPUTS").unwrap_or(100) };
    let mut mutations = 0;
    while mutations < most && failed.len() < 5 && time.is_none_or(|time| begun.elapsed() < time) {
        let bytes = mutator.mutate(&corpus, &words);
        mutations += 1;
        if fails(run, &bytes) {
            failed.push(write_artifact(name, &format!("mutation-{mutations}"), &bytes));
        }
    }
    println!("{name}: {} inputs and {mutations} mutations in {:.1} s", corpus.len(), begun.elapsed().as_secs_f64());
    assert!(failed.is_empty(), "{name} fails for {failed:?}");
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                holds(stringify!($name));
            }
        )*

        #[test]
        fn every_target_is_run_here() {
            let here = BTreeSet::from([$(stringify!($name)),*]);
            assert_eq!(here, TARGETS.iter().map(|(name, _)| *name).collect());
        }
    };
}

targets! {
    auth0_answers export expression import_files import_rows key_set login logout_tokens query readers tokens transform_intake upload
}

#[test]
fn every_target_has_a_program_for_libfuzzer_and_a_corpus_and_nothing_is_left_over() {
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
