//! The short form of fuzzing, on stable and without libFuzzer: every target runs over its kept corpus, and over
//! some inputs that are made of it blindly.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fuzz_targets::{Mutator, TARGETS, Target};

fn fuzz_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn inputs(name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(fuzz_directory().join("corpus").join(name)).expect("a corpus");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

fn target(name: &str) -> Target {
    *TARGETS.iter().find(|(known, _)| *known == name).expect("a target of this name")
}

/// The words of a target's dictionary, in libFuzzer's notation.
fn words(name: &str) -> Vec<Vec<u8>> {
    let dictionary = match name {
        "readers" | "export" | "import_files" | "import_rows" => "json",
        "key_set" | "login" => "tokens",
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

/// What one input does to a target. What fails is kept and named; what it says stands above.
fn fails(run: fn(&[u8]), bytes: &[u8]) -> bool {
    catch_unwind(AssertUnwindSafe(|| run(bytes))).is_err()
}

/// Runs a target over its corpus, over inputs that are made of it, and without input at all.
/// `FUZZ_INPUTS` says how many are made (or `FUZZ_TIME` for how many seconds), `FUZZ_SEED` which.
fn holds(name: &str) {
    let (_, run) = target(name);
    run(&[]);
    let paths = inputs(name);
    assert!(paths.len() > 4, "the corpus of {name} is missing");
    let kept: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).expect("an input")).collect();
    let mut failed: Vec<_> =
        paths.iter().zip(&kept).filter(|(_, bytes)| fails(run, bytes)).map(|(path, _)| path.clone()).collect();
    let words = words(name);
    let mut mutator = Mutator::new(number("FUZZ_SEED").unwrap_or(1));
    let (begun, time) = (Instant::now(), number("FUZZ_TIME").map(Duration::from_secs));
    let most = if time.is_some() { u64::MAX } else { number("FUZZ_INPUTS").unwrap_or(100) };
    let mut made = 0;
    while made < most && failed.len() < 5 && time.is_none_or(|time| begun.elapsed() < time) {
        let bytes = mutator.mutate(&kept, &words);
        made += 1;
        if fails(run, &bytes) {
            let directory = fuzz_directory().join("artifacts").join(name);
            fs::create_dir_all(&directory).expect("a directory");
            let path = directory.join(format!("made-{made}"));
            fs::write(&path, &bytes).expect("a file");
            failed.push(path);
        }
    }
    println!("{name}: {} kept and {made} made inputs in {:.1} s", kept.len(), begun.elapsed().as_secs_f64());
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
    auth0_answers export expression import_files import_rows key_set login query readers tokens transform_intake upload
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
