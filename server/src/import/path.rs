//! Paths of attributes as headers, mappings and faults write them: `app_metadata.plan`, `identities[0].connection`,
//! `user_metadata["favourite colour"]` (docs/expressions.md#paths).

use serde_json::{Map, Value};

use super::schema::member;

/// The most elements of an array that a path can lead to.
pub(super) const MOST_ELEMENTS: usize = 100;

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A member of an object.
    Member(String),
    /// An element of an array, from 0.
    Index(usize),
}

/// Takes a path apart; none when it is not one.
pub(super) fn steps(path: &str) -> Option<Vec<Step>> {
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

/// The path as a text that [`steps`] takes apart again.
pub(super) fn text(steps: &[Step]) -> String {
    steps.iter().fold(String::new(), |text, step| match step {
        Step::Member(name) => member(&text, name),
        Step::Index(index) => format!("{text}[{index}]"),
    })
}

/// Puts a value at a path, or takes away what stands there. Objects and arrays on the way are made; an
/// object whose last member is taken goes too, since an upsert would replace metadata by an empty one.
/// `false` when something else is in the way, or an element would leave a gap in its array.
pub(super) fn put(holder: &mut Value, steps: &[Step], value: Option<Value>) -> bool {
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
                let done = put(member, rest, None);
                if !was_empty && empty(member) {
                    members.shift_remove(name);
                }
                done
            }
            value => put(members.entry(name.clone()).or_insert(Value::Null), rest, value),
        },
        (Value::Array(items), Step::Index(index)) => {
            let length = items.len();
            match (items.get_mut(*index), value) {
                (Some(_), None) if rest.is_empty() => {
                    items.remove(*index);
                    true
                }
                (Some(item), value) => put(item, rest, value),
                (None, None) => true,
                (None, value) if *index == length && length < MOST_ELEMENTS => {
                    let mut item = Value::Null;
                    let done = put(&mut item, rest, value);
                    items.push(item);
                    done
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
    fn dots_and_brackets_are_steps_and_what_is_no_path_is_not_taken_for_one() {
        let member = |name: &str| Step::Member(name.to_owned());
        assert_eq!(steps("email"), Some(vec![member("email")]));
        assert_eq!(
            steps("user_metadata[\"a.b\"].c[2]['d e']"),
            Some(vec![member("user_metadata"), member("a.b"), member("c"), Step::Index(2), member("d e")])
        );
        for text in ["", ".a", "a.", "a..b", "a[", "a[\"b]", "a[b]", "a[0]b", "a['b"] {
            assert_eq!(steps(text), None, "{text}");
        }
    }

    #[test]
    fn values_are_put_where_a_path_leads_unless_something_is_in_the_way() {
        let mut user = json!({ "email": "a@b.c" });
        for (path, value, done) in [
            ("app_metadata.plan", Some(json!("pro")), true),
            ("mfa_factors[0].phone.value", Some(json!("+1")), true),
            ("mfa_factors[2]", Some(json!({})), false),
            ("email.local", Some(json!(1)), false),
            ("email", None, true),
            ("nothing.here", None, true),
        ] {
            assert_eq!(put(&mut user, &steps(path).unwrap(), value), done, "{path}");
        }
        assert_eq!(user, json!({ "app_metadata": { "plan": "pro" }, "mfa_factors": [{ "phone": { "value": "+1" } }] }));
    }

    #[test]
    fn an_object_goes_with_its_last_member_and_one_that_was_empty_stays() {
        let mut user = json!({ "email": "a@b.c", "app_metadata": { "plan": "pro" }, "user_metadata": {} });
        for path in ["app_metadata.plan", "user_metadata.plan"] {
            assert!(put(&mut user, &steps(path).unwrap(), None), "{path}");
        }
        assert_eq!(user, json!({ "email": "a@b.c", "user_metadata": {} }));
        let mut user = json!({ "app_metadata": { "plan": "pro", "seats": 3 } });
        assert!(put(&mut user, &steps("app_metadata.plan").unwrap(), None));
        assert_eq!(user, json!({ "app_metadata": { "seats": 3 } }));
    }

    proptest! {
        #[test]
        fn any_text_can_be_asked_for_its_steps(text in "[a\\[\\]\"'.0 é]{0,16}") {
            let _ = steps(&text);
        }
    }
}
