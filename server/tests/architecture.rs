//! Checks in the source code the permitted dependencies between modules (docs/ARCHITECTURE.md).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The layers of the server, lowest first. A module may use modules of lower layers; modules of one layer may not use
/// each other.
const LAYERS: &[&[&str]] = &[
    &["error"],
    &["blocking", "config", "encryption", "printable", "progress", "simd", "source_snippet", "telemetry", "user"],
    &["auth0", "store", "sandbox"],
    &["access", "expression"],
    &["query"],
    &["export", "import"],
    &["jobs"],
    &["web"],
    &["cli"],
];

/// Dependencies that the layers permit but that are forbidden nevertheless.
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

/// Libraries that only one module uses, and the files that may use them.
const LIBRARIES: &[(&str, &[&str])] = &[
    ("actix_web", &["web/", "cli/serve.rs", "cli/demo.rs"]),
    ("actix_multipart", &["web/"]),
    ("tera", &["web/"]),
    ("sqlx", &["store/"]),
    ("reqwest", &["auth0/"]),
    ("simulated_tenant", &["cli/demo.rs"]),
    ("wasmtime", &["sandbox/"]),
    ("wit_component", &["sandbox/"]),
    ("wide", &["simd.rs", "expression/structural_index.rs"]),
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

/// Returns the path below `src` and the text of each source file, without comments and test code.
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

fn module_of(file: &str) -> &str {
    file.split('/').next().unwrap_or_default().trim_end_matches(".rs")
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|modules| modules.contains(&module))
}

/// Returns the modules named after `crate::`, including groups in braces.
fn used_modules(code: &str) -> BTreeSet<String> {
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
fn modules_use_only_lower_layers() {
    let mut wrong = Vec::new();
    for (file, code) in sources() {
        let module = module_of(&file);
        if matches!(module, "lib" | "main") {
            continue;
        }
        let Some(own) = layer(module) else {
            wrong.push(format!("{file}: the module {module} is not in LAYERS"));
            continue;
        };
        for used in used_modules(&code) {
            let below = layer(&used).is_some_and(|layer| layer < own) && !FORBIDDEN.contains(&(module, used.as_str()));
            if used != module && !below {
                wrong.push(format!("{file} uses {used}, but {module} may not"));
            }
        }
        // The check above does not cover a module that uses another one through `super::`.
        let depth = file.split('/').count() - usize::from(file.ends_with("mod.rs"));
        if code.contains(&"super::".repeat(depth)) {
            wrong.push(format!("{file} uses another module through super::"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn libraries_are_used_by_their_module_only() {
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
fn unsafe_code_is_in_two_files_only() {
    let unsafe_word = ["un", "safe "].concat();
    let mut places: Vec<_> = sources()
        .into_iter()
        .filter(|(_, code)| code.contains(&unsafe_word))
        .map(|(file, code)| (file, code.matches(&unsafe_word).count()))
        .collect();
    places.sort();
    let expected = [("expression/structural_index.rs", 1), ("sandbox/cache.rs", 1)];
    assert_eq!(
        places,
        expected.map(|(file, count)| (file.to_owned(), count)),
        "only code selection for the processor and loading compiled code need unsafe code"
    );
}

#[test]
fn modules_in_groups_are_found() {
    let used = used_modules("use crate::{auth0::{A, b::C}, error::E, store};\nfn f() { crate::web::x() }");
    assert_eq!(used.into_iter().collect::<Vec<_>>(), ["auth0", "error", "store", "web"]);
}
