//! Paths of attributes in headers, mappings and row errors: `app_metadata.plan`, `identities[0].connection`,
//! `user_metadata["favourite colour"]` (docs/expressions.md#paths).

use serde_json::{Map, Value};

use super::schema::member;

/// Maximum number of elements of an array that a path can create.
pub(super) const MAX_ELEMENTS: usize = 100;

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A member of an object.
    Member(String),
    /// An element of an array, from 0.
    Index(usize),
}

/// Parses a path; `None` if the syntax is invalid.
pub(super) fn parse_path(path: &str) -> Option<Vec<Step>> {
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
pub(super) fn format_path(steps: &[Step]) -> String {
    steps.iter().fold(String::new(), |text, step| match step {
        Step::Member(name) => member(&text, name),
        Step::Index(index) => format!("{text}[{index}]"),
    })
}

/// Sets the value at a path, or removes it if `value` is `None`. Creates missing objects and arrays. Also removes an
/// object that becomes empty, since an upsert would replace metadata by an empty object. Returns `false` if another
/// type of value is in the path, or if an element would leave a gap in its array.
pub(super) fn set(holder: &mut Value, steps: &[Step], value: Option<Value>) -> bool {
    let Some((first, rest)) = steps.split_first() else {
        *holder = value.unwrap_or(Value::Null);
        return true;
    };
    if holder.is_null() {
        *holder = match first {
            Step::Member(_) => Value::Object(Map::new()),
            Step::Index(_) => Value::Array(Vec::new()),
        };
    }
    match (holder, first) {
        (Value::Object(members), Step::Member(name)) => match value {
            None if rest.is_empty() => {
                members.shift_remove(name);
                true
            }
            None => {
                let Some(member) = members.get_mut(name) else { return true };
                let empty = |member: &Value| member.as_object().is_some_and(Map::is_empty);
                let was_empty = empty(member);
                let is_set = set(member, rest, None);
                if !was_empty && empty(member) {
                    members.shift_remove(name);
                }
                is_set
            }
            value => set(members.entry(name.clone()).or_insert(Value::Null), rest, value),
        },
        (Value::Array(items), Step::Index(index)) => {
            let length = items.len();
            match (items.get_mut(*index), value) {
                (Some(_), None) if rest.is_empty() => {
                    items.remove(*index);
                    true
                }
                (Some(item), value) => set(item, rest, value),
                (None, None) => true,
                (None, value) if *index == length && length < MAX_ELEMENTS => {
                    let mut item = Value::Null;
                    let is_set = set(&mut item, rest, value);
                    items.push(item);
                    is_set
                }
                (None, Some(_)) => false,
            }
        }
        (_, _) => value.is_none(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

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

    #[test]
    fn values_are_set_unless_another_type_is_in_the_path() {
        let mut user = json!({ "email": "a@b.c" });
        for (path, value, is_set) in [
            ("app_metadata.plan", Some(json!("pro")), true),
            ("mfa_factors[0].phone.value", Some(json!("+1")), true),
            ("mfa_factors[2]", Some(json!({})), false),
            ("email.local", Some(json!(1)), false),
            ("email", None, true),
            ("nothing.here", None, true),
        ] {
            assert_eq!(set(&mut user, &parse_path(path).unwrap(), value), is_set, "{path}");
        }
        assert_eq!(user, json!({ "app_metadata": { "plan": "pro" }, "mfa_factors": [{ "phone": { "value": "+1" } }] }));
    }

    #[test]
    fn objects_that_become_empty_are_removed_and_empty_ones_stay() {
        let mut user = json!({ "email": "a@b.c", "app_metadata": { "plan": "pro" }, "user_metadata": {} });
        for path in ["app_metadata.plan", "user_metadata.plan"] {
            assert!(set(&mut user, &parse_path(path).unwrap(), None), "{path}");
        }
        assert_eq!(user, json!({ "email": "a@b.c", "user_metadata": {} }));
        let mut user = json!({ "app_metadata": { "plan": "pro", "seats": 3 } });
        assert!(set(&mut user, &parse_path("app_metadata.plan").unwrap(), None));
        assert_eq!(user, json!({ "app_metadata": { "seats": 3 } }));
    }

    proptest! {
        #[test]
        fn parsing_arbitrary_text_does_not_panic(text in "[a\\[\\]\"'.0 é]{0,16}") {
            let _ = parse_path(&text);
        }
    }
}
