//! Documents agree with the code, their links resolve, and their language is plain.

#[path = "documents/files.rs"]
mod files;
#[path = "documents/language.rs"]
mod language;
#[path = "documents/links.rs"]
mod links;
#[path = "documents/messages.rs"]
mod messages;
#[path = "documents/promises.rs"]
mod promises;
#[path = "documents/references.rs"]
mod references;
#[path = "documents/script_texts.rs"]
mod script_texts;
#[path = "documents/test_runner.rs"]
mod test_runner;

use std::fmt::Write;

use uie_core::config::{KEYS, NAMED_SECRETS};
use uie_core::error::Code;

use files::root;

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Compares a document with its generated text, or writes it if `UPDATE_DOCUMENTS` is set.
fn check_generated(path: &str, text: &str) {
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        std::fs::write(root().join(path), text).unwrap_or_else(|error| panic!("{path}: {error}"));
    }
    assert_eq!(read(path), text, "run UPDATE_DOCUMENTS=1 cargo test --test documents");
}

/// Returns the table of settings of the README.
fn settings_table() -> String {
    let mut table = String::from("| key | default | description |\n|---|---|---|\n");
    for key in KEYS.iter().chain([&NAMED_SECRETS]) {
        let default = if key.default.is_empty() { key.fallback.to_owned() } else { format!("`{}`", key.default) };
        let default = if default.is_empty() { default } else { format!("{default} ") };
        assert!(!default.contains('|') && !key.description.contains('|'), "{} would break the table", key.name);
        writeln!(table, "| `{}` | {default}| {} |", key.name, key.description).expect("a string takes it");
    }
    table
}

#[test]
fn the_readme_lists_every_setting_with_its_default() {
    let readme = read("README.md");
    let section = readme.find("\n## Settings\n").expect("README.md has settings");
    let start = section + readme[section..].find("\n| key |").expect("README.md has a table of settings") + 1;
    let end = start + readme[start..].find("\n\n").expect("a text after the table") + 1;
    check_generated("README.md", &format!("{}{}{}", &readme[..start], settings_table(), &readme[end..]));
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
    check_generated("docs/errors.md", &text);
}
