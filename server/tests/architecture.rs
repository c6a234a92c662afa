//! Checks of the structure that Cargo cannot express (docs/ARCHITECTURE.md): which crate may use which library, where
//! unsafe code is, and that the files of a crate do not import each other in a circle.

#[path = "architecture/import_graph.rs"]
mod import_graph;
#[path = "architecture/source.rs"]
mod source;

use std::path::Path;

use import_graph::ImportGraph;
use source::{Crate, crates};

/// The crates in layers, lowest first. A crate may depend on crates of lower layers only.
const LAYERS: &[&[&str]] = &[
    &["uie-message-macros"],
    &["uie-core", "uie-json"],
    &["uie-auth0", "uie-query", "uie-records", "uie-sandbox", "uie-sources", "uie-store"],
    &["uie-access", "uie-expression"],
    &["uie-export", "uie-import"],
    &["uie-jobs"],
    &["user-import-export"],
];

/// Libraries that only some crates may use.
const LIBRARIES: &[(&str, &[&str])] = &[
    ("actix-multipart", &["user-import-export"]),
    ("actix-web", &["user-import-export"]),
    ("reqwest", &["uie-auth0"]),
    ("simulated-tenant", &["user-import-export"]),
    ("sqlx", &["uie-store"]),
    ("tera", &["user-import-export"]),
    ("tracing-actix-web", &["user-import-export"]),
    ("wasmtime", &["uie-sandbox"]),
    ("wide", &["uie-json"]),
    ("wit-component", &["uie-sandbox"]),
];

/// Libraries that only some files of the binary may use.
const FILES: &[(&str, &[&str])] = &[
    ("actix_multipart", &["web/"]),
    ("actix_web", &["web/", "cli/serve.rs", "cli/demo.rs"]),
    ("simulated_tenant", &["cli/demo.rs"]),
    ("tera", &["web/"]),
    ("utoipa", &["web/"]),
];

fn layer(name: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&name))
}

#[test]
fn crates_depend_on_lower_layers_only() {
    let mut wrong = Vec::new();
    for Crate { name, dependencies, .. } in crates() {
        let own = layer(&name).unwrap_or_else(|| panic!("{name} is not in LAYERS"));
        for dependency in dependencies.iter().filter(|dependency| dependency.starts_with("uie-")) {
            if layer(dependency).is_none_or(|layer| layer >= own) {
                wrong.push(format!("{name} depends on {dependency}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn libraries_are_used_by_their_crate_only() {
    let mut wrong = Vec::new();
    for Crate { name, dependencies, .. } in crates() {
        for (library, homes) in LIBRARIES {
            if dependencies.iter().any(|dependency| dependency == library) && !homes.contains(&name.as_str()) {
                wrong.push(format!("{name} depends on {library}"));
            }
        }
    }
    let binary = crates().into_iter().find(|member| member.name == "user-import-export").expect("the binary");
    for (file, code) in binary.sources() {
        for (library, homes) in FILES {
            if code.contains(&format!("{library}::")) && !homes.iter().any(|home| file.starts_with(home)) {
                wrong.push(format!("{file} of the binary names {library}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn unsafe_code_is_in_two_files_only() {
    let unsafe_word = ["un", "safe "].concat();
    let mut found = Vec::new();
    for member in crates() {
        for (file, code) in member.sources() {
            let count = code.matches(&unsafe_word).count();
            if count > 0 {
                found.push((format!("{}/{file}", member.name), count));
            }
        }
    }
    found.sort();
    let expected = [("uie-json/structural_index.rs", 1), ("uie-sandbox/cache.rs", 1)];
    assert_eq!(
        found,
        expected.map(|(file, count)| (file.to_owned(), count)),
        "only code selection for the processor and loading compiled code need unsafe code"
    );
}

#[test]
fn no_files_of_a_crate_import_each_other_in_a_circle() {
    let mut circles = Vec::new();
    for member in crates() {
        let graph = ImportGraph::new(&member.sources());
        circles.extend(graph.cycles().into_iter().map(|files| format!("{}: {}", member.name, files.join(", "))));
    }
    assert!(circles.is_empty(), "move the shared items to a lower file:\n{}", circles.join("\n"));
}

#[test]
fn circles_between_files_are_found() {
    let file = |path: &str, code: &str| (path.to_owned(), code.to_owned());
    let graph = ImportGraph::new(&[
        file("lib.rs", "mod a;\nmod b;\nmod c;\npub use a::A;"),
        file("a.rs", "use crate::b::{self, B};\nuse std::fmt;"),
        file("b.rs", "use super::{c::{C, D}};"),
        file("c/mod.rs", "mod inner;\nfn f() { crate::a::x() }"),
        file("c/inner.rs", "use std::io;"),
    ]);
    assert_eq!(graph.cycles(), [["a.rs", "b.rs", "c/mod.rs"]]);
    let graph = ImportGraph::new(&[
        file("lib.rs", "mod a;\npub struct Root;\nuse a::A;"),
        file("a.rs", "use crate::Root;"),
        file("d.rs", "mod e;\nfn f() { e::g() }"),
        file("d/e.rs", "use super::super::a;"),
    ]);
    assert_eq!(graph.cycles(), [["a.rs", "lib.rs"]]);
}

#[test]
fn every_crate_has_its_directory_name() {
    for member in crates() {
        let directory = Path::new(&member.directory).file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let expected = member.name.strip_prefix("uie-").unwrap_or("server");
        assert_eq!(directory, expected);
    }
}
