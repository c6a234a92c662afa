//! Detects how the users of a JSON file are arranged that starts with an object, from the beginning of the file.

use super::array::{ValueEnd, is_space};

/// Members that hold the users of an object in exports of other systems, in this order of preference.
const USER_LISTS: [&str; 14] = [
    "users",
    "Users",
    "user",
    "User",
    "Resources",
    "members",
    "Members",
    "people",
    "employees",
    "accounts",
    "contacts",
    "customers",
    "profiles",
    "persons",
];

/// Members that hold the users in an object that is the whole file.
const OTHER_LISTS: [&str; 12] = [
    "data",
    "items",
    "results",
    "value",
    "values",
    "records",
    "rows",
    "entries",
    "documents",
    "docs",
    "list",
    "result",
];

/// Members that hold objects other than users.
const NO_USERS: [&str; 30] = [
    "attributes",
    "authenticationFlows",
    "authenticatorConfig",
    "clientScopeMappings",
    "clientScopes",
    "clients",
    "components",
    "connections",
    "credentials",
    "customFields",
    "defaultDefaultClientScopes",
    "federatedIdentities",
    "groups",
    "identities",
    "identityProviderMappers",
    "identityProviders",
    "mfa_factors",
    "organizations",
    "permissions",
    "phoneNumbers",
    "protocolMappers",
    "providerUserInfo",
    "requiredActions",
    "roles",
    "scopeMappings",
    "scopes",
    "settings",
    "tags",
    "addresses",
    "userFederationProviders",
];

/// Members of a user, in lower case without punctuation. An object with one of them is a user, not a list of users.
const USER_MEMBERS: [&str; 25] = [
    "email",
    "emails",
    "mail",
    "emailaddress",
    "emailaddresses",
    "primaryemail",
    "username",
    "userid",
    "userprincipalname",
    "login",
    "loginname",
    "sub",
    "uid",
    "localid",
    "phonenumber",
    "givenname",
    "familyname",
    "firstname",
    "lastname",
    "nickname",
    "password",
    "passwordhash",
    "usermetadata",
    "appmetadata",
    "identities",
];

/// How the users of a file are arranged that starts with an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum JsonShape {
    /// One value per line.
    Lines,
    /// Values one after the other, on several lines or with commas between them.
    Sequence,
    /// One object, whose member of this name is an array of users.
    Member(String),
    /// One object, larger than the sample, whose member with users is not in the sample.
    LaterMember,
    /// One object with several arrays of objects, none of which has a known name.
    SeveralLists(Vec<String>),
}

/// Returns whether a member with this name holds users in an object that is the whole file.
pub(crate) fn is_user_list(name: &str) -> bool {
    USER_LISTS.contains(&name) || OTHER_LISTS.contains(&name)
}

/// Detects the shape of a file from its first bytes, of which the first one is `{`; `is_complete` means that they are
/// the whole file.
pub(crate) fn detect_shape(sample: &[u8], is_complete: bool) -> JsonShape {
    let object = RootObject::scan(sample);
    if let Some(shape) = object.list_of_users(sample, is_complete) {
        return shape;
    }
    let line_end = sample.iter().position(|byte| *byte == b'\n');
    let first_line = line_end.and_then(|at| sample.get(..at)).unwrap_or(sample);
    let other_lines = || line_end.and_then(|at| sample.get(at + 1..)).unwrap_or_default().split(|byte| *byte == b'\n');
    let Some(end) = ValueEnd::default().find(sample) else {
        // A line that is damaged, or larger than the sample; or an object on several lines.
        let has_row = other_lines().any(is_object);
        return if line_end.is_none() || has_row { JsonShape::Lines } else { JsonShape::Sequence };
    };
    let after = sample.get(end..).unwrap_or_default();
    let next = after.iter().position(|byte| !is_space(*byte));
    let follows_on_line = next.is_some_and(|at| end + at < first_line.len());
    match next.and_then(|at| after.get(at)) {
        _ if end > first_line.len() => JsonShape::Sequence,
        Some(b',') if follows_on_line => JsonShape::Sequence,
        _ => JsonShape::Lines,
    }
}

/// Returns whether a line is a JSON object.
fn is_object(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    line.starts_with(b"{") && serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok()
}

/// The kind of a member's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MemberKind {
    /// An array whose first element is an object.
    Objects,
    EmptyArray,
    Other,
}

/// The members of the first object of a file, as far as they are in the sample.
struct RootObject {
    members: Vec<(String, MemberKind)>,
    /// The offset after the object; `None` if it does not end in the sample, or is malformed.
    end: Option<usize>,
    is_malformed: bool,
}

impl RootObject {
    fn scan(sample: &[u8]) -> Self {
        let mut object = Self { members: Vec::new(), end: None, is_malformed: false };
        let mut at = 1;
        loop {
            at = skip_space(sample, at);
            match sample.get(at) {
                None => return object,
                Some(b'}') => {
                    object.end = Some(at + 1);
                    return object;
                }
                Some(b',') if !object.members.is_empty() => {
                    at += 1;
                    continue;
                }
                Some(b'"') => {}
                Some(_) => break,
            }
            let Some(key_end) = skip_value(sample, at) else { return object };
            let key = sample.get(at..key_end).and_then(|key| serde_json::from_slice::<String>(key).ok());
            at = skip_space(sample, key_end);
            if at >= sample.len() {
                return object;
            }
            let (Some(key), Some(b':')) = (key, sample.get(at)) else { break };
            at = skip_space(sample, at + 1);
            let kind = match (sample.get(at), sample.get(skip_space(sample, at + 1))) {
                (Some(b'['), Some(b'{')) => MemberKind::Objects,
                (Some(b'['), Some(b']')) => MemberKind::EmptyArray,
                _ => MemberKind::Other,
            };
            object.members.push((key, kind));
            match skip_value(sample, at) {
                Some(end) => at = end,
                None => return object,
            }
        }
        object.is_malformed = true;
        object
    }

    fn is_user(&self) -> bool {
        self.members.iter().any(|(name, _)| {
            let plain: String =
                name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
            USER_MEMBERS.contains(&plain.as_str())
        })
    }

    /// Returns the shape if the object holds a list of users instead of being one.
    fn list_of_users(&self, sample: &[u8], is_complete: bool) -> Option<JsonShape> {
        if self.is_malformed || self.is_user() {
            return None;
        }
        let is_list = |name: &str, empty: bool| {
            self.members.iter().any(|(member, kind)| {
                member == name && (*kind == MemberKind::Objects || (empty && *kind == MemberKind::EmptyArray))
            })
        };
        let member = |name: &&str| JsonShape::Member((*name).to_owned());
        if let Some(name) = USER_LISTS.iter().find(|name| is_list(name, true)) {
            return Some(member(name));
        }
        let is_whole_file = match self.end {
            Some(end) => is_complete && skip_space(sample, end) == sample.len(),
            None => !is_complete,
        };
        if !is_whole_file {
            return None;
        }
        if let Some(name) = OTHER_LISTS.iter().find(|name| is_list(name, false)) {
            return Some(member(name));
        }
        let is_candidate =
            |(name, kind): &&(String, MemberKind)| *kind == MemberKind::Objects && !NO_USERS.contains(&name.as_str());
        let lists: Vec<String> = self.members.iter().filter(is_candidate).map(|(name, _)| name.clone()).collect();
        match (lists.as_slice(), self.end) {
            ([], None) if self.members.iter().any(|(_, kind)| *kind == MemberKind::Objects) => {
                Some(JsonShape::LaterMember)
            }
            ([], _) => None,
            ([only], _) => Some(JsonShape::Member(only.clone())),
            (_, None) => Some(JsonShape::LaterMember),
            (_, Some(_)) => Some(JsonShape::SeveralLists(lists)),
        }
    }
}

fn skip_space(bytes: &[u8], from: usize) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    rest.iter().position(|byte| !is_space(*byte)).map_or(bytes.len(), |spaces| from + spaces)
}

/// Returns the offset after the value that starts at `from`; `None` if it does not end in the bytes.
fn skip_value(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    match rest.first()? {
        b'{' | b'[' | b'"' => ValueEnd::default().find(rest),
        _ => rest.iter().position(|byte| matches!(byte, b',' | b'}' | b']') || is_space(*byte)),
    }
    .map(|length| from + length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Deserializer, Value, json};

    use super::*;

    fn shape(text: &str) -> JsonShape {
        detect_shape(text.as_bytes(), true)
    }

    fn member(name: &str) -> JsonShape {
        JsonShape::Member(name.to_owned())
    }

    #[test]
    fn lists_of_users_in_an_object_are_found() {
        for (text, name) in [
            (r#"{"start":0,"limit":50,"length":1,"users":[{"email":"a@b.c"}],"total":1}"#, "users"),
            ("{\"users\": [\n{\n  \"localId\": \"L1\"}]}", "users"),
            (r#"{"Users":[{"Username":"a","Attributes":[{"Name":"email"}]}],"PaginationToken":"x"}"#, "Users"),
            (r#"{"id":"r","realm":"r","clients":[{"id":1}],"users":[{"username":"a"}]}"#, "users"),
            (r#"{"@odata.context":"x","value":[{"mail":"a@b.c"}]}"#, "value"),
            (r#"{"schemas":["s"],"totalResults":1,"Resources":[{"userName":"a"}]}"#, "Resources"),
            (r#"{"staff":[{"email":"a@b.c"}],"roles":[{"name":"x"}]}"#, "staff"),
            (r#"{"users":[],"total":0}"#, "users"),
        ] {
            assert_eq!(shape(text), member(name), "{text}");
        }
        // Only the beginning of the file is known.
        assert_eq!(detect_shape(br#"{"staff":[{"email":"a@b.c"},"#, false), member("staff"));
        assert_eq!(detect_shape(br#"{"realm":"r","clients":[{"id":1},"#, false), JsonShape::LaterMember);
        assert_eq!(
            shape(r#"{"staff":[{"email":"a"}],"guests":[{"email":"b"}]}"#),
            JsonShape::SeveralLists(vec!["staff".to_owned(), "guests".to_owned()])
        );
    }

    #[test]
    fn a_user_is_no_list_of_users() {
        for text in [
            r#"{"email":"a@b.c","identities":[{"connection":"x"}]}"#,
            r#"{"Username":"a","Attributes":[{"Name":"email","Value":"x"}]}"#,
            "{\"id\":1,\"items\":[{\"a\":1}]}\n{\"id\":2,\"items\":[{\"a\":1}]}\n",
            "{}",
            "{\"a\":1}\n",
        ] {
            assert_eq!(shape(text), JsonShape::Lines, "{text}");
        }
    }

    #[test]
    fn values_one_after_the_other_are_distinguished_from_lines() {
        for text in [
            "{\n  \"a\": 1\n}\n{\n  \"a\": 2\n}\n",
            "{\"a\":1},\n{\"a\":2}\n",
            "{\"a\":1} ,\r\n{\"a\":2},\r\n",
            "{\"a\":1},{\"a\":2}",
            "{\n\"a\":1}",
        ] {
            assert_eq!(shape(text), JsonShape::Sequence, "{text}");
        }
        for text in [
            "{\"a\":1}\n{\"a\":2}",
            "{\"a\": }\n{\"a\":2}",
            "{\"a\":\n{\"a\":2}",
            "{\"a\":1} {\"b\":2}\n{\"a\":2}",
            "{\"a\":1}{\"a\":2}",
            "{\"a\":\"",
            "{“a”: “b”}\n{“a”: “c”}",
        ] {
            assert_eq!(shape(text), JsonShape::Lines, "{text}");
        }
        assert_eq!(detect_shape("{\n  \"a\": {\n".repeat(3).as_bytes(), false), JsonShape::Sequence);
    }

    proptest! {
        #[test]
        fn arbitrary_text_has_a_shape(
            text in "[{\\[]{1,2}[\\[\\]{}\",:\\\\ \na0é]{0,60}",
            is_complete in any::<bool>(),
        ) {
            let _ = detect_shape(text.as_bytes(), is_complete);
        }

        #[test]
        fn the_first_value_ends_as_for_serde_json(
            values in prop::collection::vec("[ -~é\n]{0,9}", 1..5),
            pretty in any::<bool>(),
        ) {
            let objects: Vec<Value> = values.iter().map(|text| json!({"k": text, "l": [text, {}]})).collect();
            let write = |value: &Value| {
                if pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) }
            };
            let text: String = objects.iter().map(|value| write(value).unwrap() + "\n").collect();
            let mut oracle = Deserializer::from_str(&text).into_iter::<Value>();
            oracle.next();
            prop_assert_eq!(RootObject::scan(text.as_bytes()).end, Some(oracle.byte_offset()));
            prop_assert_eq!(shape(&text), if pretty { JsonShape::Sequence } else { JsonShape::Lines });
        }
    }
}
