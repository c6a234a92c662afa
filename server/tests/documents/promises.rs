//! The promises of SECURITY.md and the ASVS check list name tests and files that exist.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::files::root;
use super::read;

/// Where the documents look for a path, in this order.
const BASES: [&str; 3] = ["server", "tests", ""];

/// Adds every file below a directory of the repository, leaving out what builds and tools put there.
fn collect_files(directory: &Path, files: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    for entry in entries {
        let path = entry.expect("the directory can be read").path();
        let skipped = path.file_name().is_some_and(|name| name == "target" || name == "node_modules");
        if path.is_dir() && !skipped {
            collect_files(&path, files);
        } else if path.is_file() {
            files.push(path);
        }
    }
}

/// The files that a path in a document may mean: the file, all files of a directory, or, where only a file
/// name is given, every file of that name.
fn resolve(path: &str, known: &[PathBuf]) -> Vec<PathBuf> {
    for base in BASES {
        let full = root().join(base).join(path);
        if full.is_file() {
            return vec![full];
        }
        if full.is_dir() {
            let mut files = Vec::new();
            collect_files(&full, &mut files);
            return files;
        }
    }
    if path.contains('/') {
        return Vec::new();
    }
    known.iter().filter(|file| file.file_name().is_some_and(|name| name == path)).cloned().collect()
}

/// Whether one of the files has a function of this name. `…` is any part of the name.
fn has_function(files: &[PathBuf], name: &str) -> bool {
    let (first, rest) = name.split_once('…').map_or((name, None), |(first, rest)| (first, Some(rest)));
    let matches = |function: &str| match rest {
        None => function == first,
        Some(rest) => function.starts_with(first) && rest.split('…').all(|part| function[first.len()..].contains(part)),
    };
    files.iter().filter_map(|file| std::fs::read_to_string(file).ok()).any(|text| {
        text.split("fn ").skip(1).any(|code| {
            let end = code.find(|character: char| !character.is_alphanumeric() && character != '_');
            matches(&code[..end.unwrap_or(code.len())])
        })
    })
}

fn is_path(token: &str) -> bool {
    let known = [".rs", ".md", ".yml", ".toml", ".json", ".js", ".html", ".lock", ".txt"];
    !token.contains(' ')
        && !token.starts_with('/')
        && (token.contains('/') || known.iter().any(|end| token.ends_with(end)))
}

/// Checks the files and test names of a table cell, written as `` `file`: `test`, `test` ``, and returns how
/// many files it names. A name behind `fuzz/` is a fuzz target.
fn check_references(document: &str, cell: &str, known: &[PathBuf], problems: &mut Vec<String>) -> usize {
    let mut count = 0;
    let mut files: Option<(&str, Vec<PathBuf>)> = None;
    let parts: Vec<&str> = cell.split('`').collect();
    for at in (1..parts.len()).step_by(2) {
        let (before, token) = (parts[at - 1], parts[at]);
        let continues = matches!(before, ": " | ", ");
        if is_path(token) {
            let found = resolve(token, known);
            if found.is_empty() {
                problems.push(format!("{document}: there is no file {token}"));
            }
            count += 1;
            files = Some((token, found));
        } else if let Some((path, found)) = files.as_ref().filter(|_| continues) {
            let exists = if *path == "fuzz/" {
                root().join("tests/fuzz/bins").join(format!("{token}.rs")).is_file()
            } else {
                has_function(found, token)
            };
            if !exists {
                problems.push(format!("{document}: {path} has no test {token}"));
            }
        } else {
            files = None;
        }
    }
    count
}

/// The cells of each row of the tables whose header starts with the given cells.
fn rows<'a>(text: &'a str, header: &[&str]) -> Vec<Vec<&'a str>> {
    let mut rows = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        let Some(line) = line.strip_prefix("| ").and_then(|line| line.strip_suffix(" |")) else {
            inside &= line.starts_with("|--");
            continue;
        };
        let cells: Vec<&str> = line.split(" | ").collect();
        if inside {
            rows.push(cells);
        } else {
            inside = cells.starts_with(header);
        }
    }
    rows
}

fn known_files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for directory in ["server", "tests"] {
        collect_files(&root().join(directory), &mut files);
    }
    files
}

#[test]
fn every_promise_names_tests_that_exist() {
    let text = read("docs/SECURITY.md");
    let known = known_files();
    let mut problems = Vec::new();
    let promises = rows(&text, &["promise", "test"]);
    assert!(promises.len() >= 30, "{} promises", promises.len());
    for promise in &promises {
        let tests = promise.last().expect("a row has cells");
        if promise.len() != 2 || check_references("SECURITY.md", tests, &known, &mut problems) == 0 {
            problems.push(format!("SECURITY.md: no test proves: {}", promise[0]));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn the_asvs_check_list_is_complete_and_names_files_that_exist() {
    let text = read("docs/asvs.md");
    let known = known_files();
    let mut problems = Vec::new();
    let requirements = rows(&text, &["requirement", "level", "about", "status", "test or reason"]);
    let mut numbers = BTreeSet::new();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for row in &requirements {
        let [number, level, about, status, reason] = row[..] else {
            problems.push(format!("asvs.md: a row has {} cells: {row:?}", row.len()));
            continue;
        };
        if !numbers.insert(number) {
            problems.push(format!("asvs.md: {number} is there twice"));
        }
        if !matches!(level, "1" | "2") || about.is_empty() || reason.is_empty() {
            problems.push(format!("asvs.md: {number} is not filled in"));
        }
        *counts.entry(status).or_default() += 1;
        let evidence = check_references("asvs.md", reason, &known, &mut problems) + reason.matches("](").count();
        if status == "met" && evidence == 0 {
            problems.push(format!("asvs.md: {number} is met, but names no test, file or section"));
        }
    }
    // ASVS 5.0.0 has 70 requirements of level 1 and 183 of level 2.
    assert_eq!(numbers.len(), 253, "requirements of ASVS 5.0.0, levels 1 and 2");
    for row in rows(&text, &["status", "meaning", "requirements"]) {
        let count = counts.remove(row[0]).unwrap_or_default();
        if row[2] != count.to_string() {
            problems.push(format!("asvs.md: {count} requirements are {:?}, the summary says {}", row[0], row[2]));
        }
    }
    if !counts.is_empty() {
        problems.push(format!("asvs.md: statuses that the summary does not explain: {counts:?}"));
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
