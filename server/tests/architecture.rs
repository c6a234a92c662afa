//! The one direction in which rooms may use each other, checked on the source (docs/ARCHITECTURE.md).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The floors of the house, lowest first. A room may use rooms of lower floors; rooms of one floor
/// never see each other.
const FLOORS: &[&[&str]] = &[
    &["error"],
    &["caret", "config", "lanes", "measure", "printable", "progress", "seal", "user"],
    &["auth0", "store", "sandbox"],
    &["access", "expression"],
    &["query"],
    &["export", "import"],
    &["jobs"],
    &["web"],
    &["cli"],
];

/// Uses that the floors allow and that are forbidden all the same.
const FORBIDDEN: &[(&str, &str)] = &[
    ("export", "access"),
    ("import", "access"),
    ("expression", "auth0"),
    ("expression", "store"),
    ("query", "access"),
    ("query", "auth0"),
    ("query", "store"),
    ("query", "sandbox"),
];

/// Libraries that belong to one room, and the files that may name them.
const LIBRARIES: &[(&str, &[&str])] = &[
    ("actix_web", &["web/", "cli/serve.rs", "cli/demo.rs"]),
    ("actix_multipart", &["web/"]),
    ("tera", &["web/"]),
    ("sqlx", &["store/"]),
    ("reqwest", &["auth0/"]),
    ("simulated_tenant", &["cli/demo.rs"]),
    ("wasmtime", &["sandbox/"]),
    ("wit_component", &["sandbox/"]),
    ("wide", &["lanes.rs", "expression/index.rs"]),
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("the source can be read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Path below `src`, and the text without comments and without what only tests compile.
fn sources() -> Vec<(String, String)> {
    let mut paths = Vec::new();
    files(&source(), &mut paths);
    let shipped = |path: &PathBuf| {
        let name = path.strip_prefix(source()).expect("below src").to_string_lossy().replace('\\', "/");
        (!name.split('/').any(|part| part == "tests" || part == "tests.rs")).then_some(name)
    };
    paths
        .iter()
        .filter_map(|path| Some((shipped(path)?, path)))
        .map(|(name, path)| {
            let text = std::fs::read_to_string(path).expect("a source file");
            let tests = text.match_indices("#[cfg(test)]\n").map(|(at, mark)| (at, &text[at + mark.len()..]));
            let mut tests = tests.filter(|(_, code)| code.starts_with("mod ") || code.starts_with("pub(super) mod "));
            let text = &text[..tests.next().map_or(text.len(), |(at, _)| at)];
            let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
            (name, lines.collect::<Vec<_>>().join("\n"))
        })
        .collect()
}

fn room_of(file: &str) -> &str {
    file.split('/').next().unwrap_or_default().trim_end_matches(".rs")
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

/// The rooms named after `crate::`, groups in braces included.
fn rooms_used(code: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            used.insert(first_name(rest));
            continue;
        };
        let mut depth = 0_i32;
        let mut item = String::new();
        for character in group.chars() {
            match character {
                '}' if depth == 0 => break,
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    used.insert(first_name(std::mem::take(&mut item).trim()));
                }
                _ if depth == 0 => item.push(character),
                _ => {}
            }
        }
        used.insert(first_name(item.trim()));
    }
    used.remove("");
    used
}

fn first_name(text: &str) -> String {
    text.chars().take_while(|character| character.is_ascii_alphanumeric() || *character == '_').collect()
}

#[test]
fn rooms_use_each_other_in_one_direction() {
    let mut wrong = Vec::new();
    for (file, code) in sources() {
        let room = room_of(&file);
        if matches!(room, "lib" | "main") {
            continue;
        }
        let Some(own) = floor(room) else {
            wrong.push(format!("{file}: the room {room} is not on the map"));
            continue;
        };
        for used in rooms_used(&code) {
            let below = floor(&used).is_some_and(|floor| floor < own) && !FORBIDDEN.contains(&(room, used.as_str()));
            if used != room && !below {
                wrong.push(format!("{file} uses {used}, but {room} may not"));
            }
        }
        // Climbing out of a room by `super::` would escape the check above.
        let depth = file.split('/').count() - usize::from(file.ends_with("mod.rs"));
        if code.contains(&"super::".repeat(depth)) {
            wrong.push(format!("{file} climbs out of its room by super::"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn libraries_stay_in_their_room() {
    let mut wrong = Vec::new();
    for (file, code) in sources() {
        for (library, homes) in LIBRARIES {
            let named = code.contains(&format!("{library}::"));
            if named && !homes.iter().any(|home| file.starts_with(home)) {
                wrong.push(format!("{file} names {library}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn code_whose_safety_nobody_checks_stands_in_two_places() {
    let unsafe_word = ["un", "safe "].concat();
    let mut places: Vec<_> = sources()
        .into_iter()
        .filter(|(_, code)| code.contains(&unsafe_word))
        .map(|(file, code)| (file, code.matches(&unsafe_word).count()))
        .collect();
    places.sort();
    let expected = [("expression/index.rs", 1), ("sandbox/cache.rs", 1)];
    assert_eq!(
        places,
        expected.map(|(file, count)| (file.to_owned(), count)),
        "choosing code for the processor needs it, and loading compiled code; nothing else does"
    );
}

#[test]
fn uses_in_groups_are_seen() {
    let used = rooms_used("use crate::{auth0::{A, b::C}, error::E, store};\nfn f() { crate::web::x() }");
    assert_eq!(used.into_iter().collect::<Vec<_>>(), ["auth0", "error", "store", "web"]);
}
