//! Documents agree with the code, their links resolve, and their language is plain.

#[path = "documents/files.rs"]
mod files;
#[path = "documents/language.rs"]
mod language;
#[path = "documents/links.rs"]
mod links;
#[path = "documents/promises.rs"]
mod promises;
#[path = "documents/references.rs"]
mod references;

use std::fmt::Write;

use uie_core::config::KEYS;
use uie_core::error::Code;

use files::root;

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_readme_lists_every_setting_with_its_default() {
    let readme = read("README.md");
    let table: Vec<&str> = readme.lines().filter(|line| line.starts_with("| `")).collect();
    for key in KEYS {
        let row = table.iter().find(|row| {
            row.split('|')
                .nth(1)
                .is_some_and(|cell| cell.split(',').any(|name| name.trim() == format!("`{}`", key.name)))
        });
        let row = row.unwrap_or_else(|| panic!("README.md does not list {}", key.name));
        assert!(key.default.is_empty() || row.contains(&format!("`{}`", key.default)), "{}: {row}", key.name);
    }
}

#[test]
fn the_list_of_error_codes_is_generated_from_the_table() {
    let mut text = String::from(
        "# Error codes\n\nEvery error answer has the shape `{statusCode, error, message, errorCode, hint?}`. Where Auth0 \
         refused a request, status, error, message and errorCode are Auth0's own. This list is generated from \
         `server/crates/core/src/error.rs`.\n\n| errorCode | status | what to do |\n|---|---|---|\n",
    );
    for code in Code::ALL {
        let hint = code.hint().unwrap_or("The message says it.");
        writeln!(text, "| `{}` | {} | {hint} |", code.as_str(), code.status()).expect("a string takes it");
    }
    let path = root().join("docs/errors.md");
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        std::fs::write(&path, &text).expect("docs/errors.md can be written");
    }
    assert_eq!(read("docs/errors.md"), text, "run UPDATE_DOCUMENTS=1 cargo test --test documents");
}
