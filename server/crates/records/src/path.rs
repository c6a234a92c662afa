//! Paths of attributes in headers, mappings and row errors: `app_metadata.plan`, `identities[0].connection`,
//! `user_metadata["favourite colour"]` (docs/expressions.md#paths).

use serde_json::Value;

/// Maximum number of elements of an array that a path can create.
pub const MAX_ELEMENTS: usize = 100;

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A member of an object.
    Member(String),
    /// An element of an array, from 0.
    Index(usize),
}

/// Parses a path; `None` if the syntax is invalid.
pub fn parse_path(path: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix('[') {
            if inside.starts_with('"') {
                let mut names = serde_json::Deserializer::from_str(inside).into_iter::<String>();
                let name = names.next()?.ok()?;
                rest = inside.get(names.byte_offset()..)?.strip_prefix(']')?;
                steps.push(Step::Member(name));
            } else if let Some(quoted) = inside.strip_prefix('\'') {
                let (name, after) = quoted.split_once('\'')?;
                rest = after.strip_prefix(']')?;
                steps.push(Step::Member(name.to_owned()));
            } else {
                let (index, after) = inside.split_once(']')?;
                steps.push(Step::Index(index.parse().ok()?));
                rest = after;
            }
        } else {
            if !steps.is_empty() {
                rest = rest.strip_prefix('.')?;
            }
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            if name.is_empty() {
                return None;
            }
            steps.push(Step::Member(name.to_owned()));
            rest = after;
        }
    }
    (!steps.is_empty()).then_some(steps)
}

/// Formats a path so that [`parse_path`] returns the same steps.
pub fn format_path(steps: &[Step]) -> String {
    steps.iter().fold(String::new(), |text, step| match step {
        Step::Member(name) => member(&text, name),
        Step::Index(index) => format!("{text}[{index}]"),
    })
}

/// Returns the path of a member of the value at `path`.
pub fn member(path: &str, name: &str) -> String {
    let mut letters = name.chars();
    let plain = letters.next().is_some_and(|first| first.is_ascii_alphabetic() || matches!(first, '_' | '$'))
        && letters.all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '$'));
    match (plain, path.is_empty()) {
        (true, true) => name.to_owned(),
        (true, false) => format!("{path}.{name}"),
        (false, _) => format!("{path}[{}]", Value::from(name)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_with_dots_and_brackets_are_parsed_and_invalid_ones_refused() {
        let member = |name: &str| Step::Member(name.to_owned());
        assert_eq!(parse_path("email"), Some(vec![member("email")]));
        assert_eq!(
            parse_path("user_metadata[\"a.b\"].c[2]['d e']"),
            Some(vec![member("user_metadata"), member("a.b"), member("c"), Step::Index(2), member("d e")])
        );
        for text in ["", ".a", "a.", "a..b", "a[", "a[\"b]", "a[b]", "a[0]b", "a['b"] {
            assert_eq!(parse_path(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn parsing_arbitrary_text_does_not_panic(text in "[a\\[\\]\"'.0 é]{0,16}") {
            let _ = parse_path(&text);
        }
    }
}
