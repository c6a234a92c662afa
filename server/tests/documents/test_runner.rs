//! The configuration of nextest (`.config/nextest.toml`) names tests that exist.

use std::collections::BTreeSet;

use super::files::text_files;
use super::read;

/// Returns the modules in the filter `test(/^(first|second)::/)`.
fn filtered_modules(configuration: &str) -> BTreeSet<String> {
    let (_, rest) = configuration.split_once("test(/^(").expect("a filter by module");
    let (modules, _) = rest.split_once(")::/)").expect("the end of the filter");
    modules.split('|').map(str::to_owned).collect()
}

#[test]
fn all_tests_of_the_browser_are_in_its_group() {
    let modules: BTreeSet<String> = text_files()
        .iter()
        .filter(|file| file.text.contains("exclusive_browser().await"))
        .filter_map(|file| Some(file.path.strip_prefix("tests/e2e/")?.strip_suffix(".rs")?.to_owned()))
        .collect();
    assert!(modules.len() > 5, "{modules:?}");
    assert_eq!(filtered_modules(&read(".config/nextest.toml")), modules);
}
