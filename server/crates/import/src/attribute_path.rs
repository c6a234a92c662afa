//! Sets values at the paths of attributes (docs/expressions.md#paths).

use serde_json::{Map, Value};
use uie_records::{MAX_ELEMENTS, Step};

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
    use serde_json::json;
    use uie_records::parse_path;

    use super::*;

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
}
