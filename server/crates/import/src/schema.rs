//! The import schema as a table, and the validation of rows against it (docs/auth0/import-schema.md).
//!
//! Implements Auth0's JSON Schema only, so that tests can compare the results with a general validator. Rules that a
//! schema cannot express are in [`mod@super::attribute_rules`], [`mod@super::custom_password_hash`] and
//! [`mod@super::check`].

use std::net::{Ipv4Addr, Ipv6Addr};

use email_address::{EmailAddress, Options};
use serde_json::{Map, Value};

use super::bcrypt::is_import_bcrypt;
use super::{format_hints, redact, secret_hints, suggest};
use uie_core::message::{Message, message};
use uie_core::user;
pub(super) use uie_records::Target;
use uie_records::{Step, member};

/// The required type of a value.
#[derive(Debug)]
enum Rule {
    Boolean,
    Integer,
    Text(Text),
    /// An object with any members.
    AnyObject,
    Object(&'static Object),
    Array(&'static Array),
}

/// A string.
#[derive(Debug)]
struct Text {
    /// Minimum and maximum number of characters.
    length: (usize, usize),
    form: Form,
}

/// The form of a string.
#[derive(Debug)]
enum Form {
    Any,
    Email,
    /// E.164: `+` and at most 15 digits.
    Phone,
    /// bcrypt with 10 rounds.
    Bcrypt,
    /// Base32 without padding (RFC 4648, section 6).
    Base32,
    OneOf(&'static [&'static str]),
}

/// An object with these members and no others.
#[derive(Debug)]
struct Object {
    members: &'static [(&'static str, Rule)],
    required: &'static [&'static str],
    max_members: usize,
}

#[derive(Debug)]
struct Array {
    length: (usize, usize),
    item: &'static Object,
}

const fn text(min: usize, max: usize) -> Rule {
    Rule::Text(Text { length: (min, max), form: Form::Any })
}

const fn form(form: Form) -> Rule {
    Rule::Text(Text { length: (0, usize::MAX), form })
}

const fn object(members: &'static [(&'static str, Rule)], required: &'static [&'static str]) -> Object {
    Object { members, required, max_members: usize::MAX }
}

const ANY_TEXT: Rule = text(0, usize::MAX);

/// Longest e-mail address (docs/auth0/import-schema.md#attributes; RFC 5321, section 4.5.3.1).
pub(super) const MAX_EMAIL_LENGTH: usize = 254;

const USER: Object = object(
    &[
        ("email", Rule::Text(Text { length: (0, MAX_EMAIL_LENGTH), form: Form::Email })),
        ("email_verified", Rule::Boolean),
        ("phone_number", form(Form::Phone)),
        ("phone_verified", Rule::Boolean),
        ("user_id", ANY_TEXT),
        ("username", ANY_TEXT),
        ("given_name", text(1, 150)),
        ("family_name", text(1, 150)),
        ("name", text(1, 150)),
        ("nickname", text(1, 350)),
        ("picture", ANY_TEXT),
        ("blocked", Rule::Boolean),
        ("password_hash", form(Form::Bcrypt)),
        ("custom_password_hash", Rule::Object(&CUSTOM_HASH)),
        ("app_metadata", Rule::AnyObject),
        ("user_metadata", Rule::AnyObject),
        ("mfa_factors", Rule::Array(&MFA_FACTORS)),
    ],
    &["email"],
);

/// Encodings of hashes, keys and salts (docs/auth0/import-schema.md#custom-password-hashes).
const ENCODINGS: Rule = form(Form::OneOf(&["base64", "hex", "utf8"]));

/// See docs/auth0/import-schema.md#custom-password-hashes.
const CUSTOM_HASH: Object = object(
    &[
        (
            "algorithm",
            form(Form::OneOf(&[
                "argon2", "bcrypt", "hmac", "ldap", "md4", "md5", "sha1", "sha256", "sha512", "pbkdf2", "scrypt",
            ])),
        ),
        ("hash", Rule::Object(&HASH)),
        ("salt", Rule::Object(&SALT)),
        ("password", Rule::Object(&PASSWORD)),
        ("keylen", Rule::Integer),
        ("cost", Rule::Integer),
        ("blockSize", Rule::Integer),
        ("parallelization", Rule::Integer),
    ],
    &["algorithm", "hash"],
);

const HASH: Object = object(
    &[
        ("value", ANY_TEXT),
        ("encoding", ENCODINGS),
        (
            "digest",
            form(Form::OneOf(&[
                "md4",
                "md5",
                "ripemd160",
                "sha1",
                "sha224",
                "sha256",
                "sha384",
                "sha512",
                "whirlpool",
            ])),
        ),
        ("key", Rule::Object(&KEY)),
    ],
    &["value"],
);

const KEY: Object = object(&[("value", ANY_TEXT), ("encoding", ENCODINGS)], &["value"]);

const SALT: Object = object(
    &[("value", ANY_TEXT), ("encoding", ENCODINGS), ("position", form(Form::OneOf(&["prefix", "suffix"])))],
    &["value"],
);

const PASSWORD: Object =
    object(&[("encoding", form(Form::OneOf(&["ascii", "utf8", "utf16le", "ucs2", "latin1", "binary"])))], &[]);

/// See docs/auth0/import-schema.md#mfa-factors.
const MFA_FACTORS: Array = Array { length: (1, 10), item: &MFA_FACTOR };

const MFA_FACTOR: Object = Object {
    members: &[("totp", Rule::Object(&TOTP)), ("phone", Rule::Object(&MFA_PHONE)), ("email", Rule::Object(&MFA_EMAIL))],
    required: &[],
    max_members: 1,
};

const TOTP: Object = object(&[("secret", form(Form::Base32))], &["secret"]);
const MFA_PHONE: Object = object(&[("value", form(Form::Phone))], &["value"]);
const MFA_EMAIL: Object = object(&[("value", form(Form::Email))], &["value"]);

/// Returns the kind of value at a path; `None` if the schema has no such path.
pub(super) fn target(path: &[Step]) -> Option<Target> {
    fn in_object(object: &Object, path: &[Step], is_root: bool) -> Option<Target> {
        let Some((first, rest)) = path.split_first() else { return Some(Target::Json) };
        let Step::Member(name) = first else { return None };
        let (_, rule) = object.members.iter().find(|(known, _)| known == name)?;
        match (rule, rest) {
            (Rule::Boolean, []) => Some(Target::Boolean),
            (Rule::Integer, []) => Some(Target::Integer),
            // White space around it is part of a key or salt, and never of an address or a name.
            (Rule::Text(text), []) if is_root || matches!(text.form, Form::Email | Form::Phone) => {
                Some(Target::TrimmedText)
            }
            (Rule::Text(_), []) => Some(Target::Text),
            (Rule::AnyObject | Rule::Array(_), []) => Some(Target::Json),
            (Rule::AnyObject, [Step::Member(_), ..]) => Some(Target::Free),
            (Rule::Object(object), rest) => in_object(object, rest, false),
            (Rule::Array(array), [Step::Index(index), rest @ ..]) if *index < array.length.1 => {
                in_object(array.item, rest, false)
            }
            _ => None,
        }
    }
    if path.is_empty() { None } else { in_object(&USER, path, true) }
}

/// A violated rule, or a warning. The texts never contain the value; the report shows it with secrets hidden.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// Path of the value; `None` for the whole row.
    pub(super) path: Option<String>,
    /// Auth0's code if there is a suitable one (docs/auth0/import-schema.md#error-codes).
    pub(super) code: &'static str,
    pub(super) message: Message,
    pub(super) hint: Option<Message>,
}

impl Finding {
    pub(super) fn new(path: &str, code: &'static str, message: Message) -> Self {
        let path = (!path.is_empty()).then(|| path.to_owned());
        Self { path, code, message, hint: None }
    }

    pub(super) fn with_hint(mut self, hint: Message) -> Self {
        self.hint = Some(hint);
        self
    }
}

/// Validates a row against the schema; adds every violation to `findings`.
pub(super) fn validate(row: &Value, findings: &mut Vec<Finding>) {
    match row {
        Value::Object(members) => USER.validate(members, "", findings),
        other => findings.push(
            Finding::new(
                "",
                "INVALID_TYPE",
                message!("A user must be an object, not {found}.", found = type_name(other)),
            )
            .with_hint(message!("Each user is written as {{\"email\": …}}.")),
        ),
    }
}

/// Returns whether the value of a root member satisfies the schema.
pub(super) fn is_valid_member(name: &str, value: &Value) -> bool {
    let mut findings = Vec::new();
    let rule = USER.members.iter().find(|(known, _)| *known == name);
    rule.is_some_and(|(_, rule)| {
        rule.validate(value, &|| name.to_owned(), &mut findings);
        findings.is_empty()
    })
}

impl Object {
    fn validate(&self, members: &Map<String, Value>, path: &str, findings: &mut Vec<Finding>) {
        for name in self.required {
            if !members.contains_key(*name) {
                let path = member(path, name);
                findings.push(Finding::new(&path, "OBJECT_REQUIRED", message!("{path} is missing.")));
            }
        }
        if members.len() > self.max_members {
            findings.push(
                Finding::new(path, "NOT_PASSED", message!("{path} holds more than one factor."))
                    .with_hint(message!("Write each factor as an element of its own.")),
            );
        }
        for (name, value) in members {
            match self.members.iter().find(|(known, _)| known == name) {
                Some((_, rule)) => rule.validate(value, &|| member(path, name), findings),
                None => findings.push(unknown_member(path, name, value)),
            }
        }
    }
}

impl Rule {
    /// `path` is only called for a violation.
    fn validate(&self, value: &Value, path: &dyn Fn() -> String, findings: &mut Vec<Finding>) {
        let expected = match (self, value) {
            (Self::Boolean, Value::Bool(_)) | (Self::AnyObject, Value::Object(_)) => return,
            (Self::Integer, Value::Number(number)) if is_integer(number) => return,
            (Self::Text(rule), Value::String(text)) => return rule.validate(text, path, findings),
            (Self::Object(rule), Value::Object(members)) => return rule.validate(members, &path(), findings),
            (Self::Array(rule), Value::Array(items)) => return rule.validate(items, &path(), findings),
            (Self::Boolean, _) => message!("true or false"),
            (Self::Integer, _) => message!("a whole number"),
            (Self::Text(_), _) => message!("a string"),
            (Self::AnyObject | Self::Object(_), _) => message!("an object"),
            (Self::Array(_), _) => message!("an array"),
        };
        let path = path();
        let found = type_name(value);
        let mut finding = Finding::new(&path, "INVALID_TYPE", message!("{path} must be {expected}, not {found}."));
        finding.hint = match (self, value) {
            (_, Value::Null) => Some(message!("Leave the attribute out when it has no value.")),
            (Self::Boolean, Value::String(text)) if matches!(text.as_str(), "true" | "false") => {
                Some(message!("Write {text} without quotes."))
            }
            (Self::Boolean, Value::String(text)) => Some(format_hints::boolean(text, &path)),
            (Self::Text(_), Value::Number(_)) => Some(message!("Write the number in quotes.")),
            _ => None,
        };
        findings.push(finding);
    }
}

impl Text {
    fn validate(&self, text: &str, path: &dyn Fn() -> String, findings: &mut Vec<Finding>) {
        let (min, max) = self.length;
        // Bytes are never fewer than characters, so most strings need not be counted.
        if text.len() > max && text.chars().count() > max {
            let path = path();
            let length = text.chars().count();
            let message = message!("{path} has {length} characters; at most {max} are allowed.");
            findings.push(Finding::new(&path, "MAX_LENGTH", message));
        }
        // No rule requires more than one character.
        if text.is_empty() && min > 0 {
            let path = path();
            findings.push(
                Finding::new(&path, "MIN_LENGTH", message!("{path} is empty."))
                    .with_hint(message!("Leave the attribute out when it has no value.")),
            );
        }
        let finding = match &self.form {
            Form::Any => return,
            Form::Email if is_email(text) => return,
            Form::Phone if is_phone(text) => return,
            Form::Bcrypt if is_import_bcrypt(text) => return,
            Form::Base32 if is_base32(text) => return,
            Form::OneOf(values) if values.contains(&text) => return,
            Form::Email => {
                let path = path();
                let (message, hint) = format_hints::email(text, &path);
                Finding { hint, ..Finding::new(&path, "FORMAT", message) }
            }
            Form::Phone => {
                let path = path();
                Finding::new(&path, "PATTERN", message!("{path} is not a phone number in E.164 form."))
                    .with_hint(format_hints::phone(text, &path))
            }
            Form::Bcrypt => {
                let path = path();
                Finding::new(&path, "PATTERN", message!("{path} is not a bcrypt hash ($2a$ or $2b$) with 10 rounds."))
                    .with_hint(secret_hints::password_hash(text))
            }
            Form::Base32 => {
                let path = path();
                Finding::new(&path, "PATTERN", message!("{path} is not Base32 without padding."))
                    .with_hint(secret_hints::totp_secret(text, &path))
            }
            Form::OneOf(values) => {
                let path = path();
                let values = values.join(", ");
                Finding::new(&path, "ENUM_MISMATCH", message!("{path} must be one of {values}."))
            }
        };
        findings.push(finding);
    }
}

impl Array {
    fn validate(&self, items: &[Value], path: &str, findings: &mut Vec<Finding>) {
        let (min, max) = self.length;
        if items.len() < min {
            findings.push(
                Finding::new(path, "ARRAY_LENGTH_SHORT", message!("{path} has no elements."))
                    .with_hint(message!("Leave the attribute out when it has no value.")),
            );
        }
        if items.len() > max {
            let length = items.len();
            let message = message!("{path} has {length} elements; at most {max} are allowed.");
            findings.push(Finding::new(path, "ARRAY_LENGTH_LONG", message));
        }
        for (index, item) in items.iter().enumerate() {
            let path = format!("{path}[{index}]");
            match item {
                Value::Object(members) => self.item.validate(members, &path, findings),
                other => {
                    let message = message!("{path} must be an object, not {found}.", found = type_name(other));
                    findings.push(Finding::new(&path, "INVALID_TYPE", message));
                }
            }
        }
    }
}

/// Returns the finding for a member that the schema does not know. Auth0 reports it as
/// `Forbidden attribute in appUser: …` (docs/auth0/import-schema.md).
fn unknown_member(path: &str, name: &str, value: &Value) -> Finding {
    let shown = redact::shown_name(name);
    let full = member(path, shown);
    let finding = Finding::new(&full, "FORBIDDEN_ATTRIBUTE", message!("{full} is not an attribute of an import."));
    if !path.is_empty() || shown != name {
        return finding;
    }
    if let Some(hint) = secret_hints::unknown_secret(name, Some(value)) {
        return finding.with_hint(hint);
    }
    if user::find(name).is_some() {
        return finding.with_hint(message!("Auth0 sets this attribute itself; leave it out."));
    }
    // Whether a value is a hash that Auth0 takes is not known here.
    match suggest::nearest_attribute(name).filter(|nearest| *nearest != "password_hash") {
        Some(nearest) => finding.with_hint(message!("Did you mean {nearest}?")),
        None => finding.with_hint(message!("Put custom data into user_metadata or app_metadata.")),
    }
}

/// Returns the JSON type of a value with its article.
fn type_name(value: &Value) -> Message {
    match value {
        Value::Null => Message::verbatim("null"),
        Value::Bool(_) => message!("a boolean"),
        Value::Number(_) => message!("a number"),
        Value::String(_) => message!("a string"),
        Value::Array(_) => message!("an array"),
        Value::Object(_) => message!("an object"),
    }
}

/// JSON Schema's `integer`: a number without a fraction, in any notation.
fn is_integer(number: &serde_json::Number) -> bool {
    number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|value| value.fract() == 0.0)
}

/// JSON Schema's `email`: a mailbox of RFC 5321, section 4.1.2 (ASCII; a domain or an address literal).
pub(super) fn is_email(text: &str) -> bool {
    // RFC 5321 allows an empty quoted local part, the library does not.
    if let Some(domain) = text.strip_prefix("\"\"@") {
        return is_email(&format!("\"-\"@{domain}"));
    }
    let options = Options::default().without_display_text();
    EmailAddress::parse_with_options(text, options)
        .is_ok_and(|email| email.local_part().is_ascii() && is_mail_domain(email.domain()))
}

fn is_mail_domain(domain: &str) -> bool {
    let Some(literal) = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else {
        return is_host_name(domain);
    };
    match literal.split_at_checked(5) {
        Some((tag, address)) if tag.eq_ignore_ascii_case("IPv6:") => address.parse::<Ipv6Addr>().is_ok(),
        _ => literal.parse::<Ipv4Addr>().is_ok(),
    }
}

/// A host name of RFC 1123; labels with hyphens in third and fourth position are A-labels (RFC 5891).
fn is_host_name(name: &str) -> bool {
    name.len() <= 253
        && name.split('.').all(|label| {
            let bytes = label.as_bytes();
            (1..=63).contains(&bytes.len())
                && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
                && (bytes.get(2..4) != Some(b"--") || label.starts_with("xn--"))
        })
}

pub(super) fn is_phone(text: &str) -> bool {
    text.strip_prefix('+')
        .is_some_and(|digits| (1..=15).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit()))
}

fn is_base32(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7'))
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// A general JSON Schema validator with the documented schema and the constraints of its property list.
    pub(crate) fn documented() -> jsonschema::Validator {
        let schema = serde_json::from_str(include_str!("documented-schema.json")).expect("the schema is JSON");
        jsonschema::options()
            .should_validate_formats(true)
            .with_email_options(jsonschema::EmailOptions::default().without_display_text())
            .build(&schema)
            .expect("the schema is valid")
    }

    fn findings(row: &Value) -> Vec<Finding> {
        let mut findings = Vec::new();
        validate(row, &mut findings);
        findings
    }

    /// A user with every importable attribute.
    pub(crate) fn full() -> Value {
        json!({
            "email": "ada@example.com", "email_verified": true, "phone_number": "+12125550001", "phone_verified": false,
            "user_id": "1", "username": "ada", "given_name": "Ada", "family_name": "Lovelace", "name": "Ada Lovelace",
            "nickname": "ada", "picture": "https://example.com/a.png", "blocked": false,
            "password_hash": "$2b$10$nFguVi9LsCAcvTZFKQlRKeLVydo8ETv483lkNsSFI/Wl1Rz1Ypo1K",
            "custom_password_hash": {
                "algorithm": "hmac",
                "hash": { "value": "aa", "encoding": "hex", "digest": "sha1", "key": { "value": "k", "encoding": "utf8" } },
                "salt": { "value": "s", "encoding": "utf8", "position": "suffix" },
                "password": { "encoding": "utf8" }, "keylen": 1, "cost": 2, "blockSize": 3, "parallelization": 4,
            },
            "app_metadata": { "plan": "pro" }, "user_metadata": {},
            "mfa_factors": [{ "totp": { "secret": "ABC234" } }, { "phone": { "value": "+1" } }, { "email": { "value": "a@b.c" } }],
        })
    }

    /// Collects the JSON pointers of all values inside a value.
    fn collect_pointers(value: &Value, path: &str, all: &mut Vec<String>) {
        all.push(path.to_owned());
        match value {
            Value::Object(members) => {
                members.iter().for_each(|(name, value)| collect_pointers(value, &format!("{path}/{name}"), all));
            }
            Value::Array(items) => {
                items
                    .iter()
                    .enumerate()
                    .for_each(|(index, value)| collect_pointers(value, &format!("{path}/{index}"), all));
            }
            _ => {}
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            prop_oneof![Just(1.0), Just(1.5), Just(-0.0), Just(1e300)].prop_map(Value::from),
            "[ -~éß漢]{0,12}".prop_map(Value::from),
            "\\+[0-9]{0,17}".prop_map(Value::from),
            "[A-Z2-7=]{0,8}".prop_map(Value::from),
            "\\$2[aby]\\$1[0-2]\\$[./A-Za-z0-9]{52,54}".prop_map(Value::from),
            email().prop_map(Value::from),
            (0_usize..400).prop_map(|length| Value::from("é".repeat(length))),
            prop::sample::select(vec!["utf8", "hex", "base64", "md5", "sha1", "prefix", "bcrypt", "latin1"])
                .prop_map(Value::from),
            Just(json!([])),
            Just(json!({})),
            Just(json!({ "value": "+1" })),
            Just(json!({ "totp": { "secret": "A" }, "phone": { "value": "+1" } })),
            (0_usize..12).prop_map(|length| Value::from(vec![json!({}); length])),
        ]
    }

    fn email() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-z.+\"\\\\ @é-]{0,6}@[a-z0-9.-]{0,8}",
            "[a-z]{60,70}@[a-z]{1,3}\\.com",
            "a@[a-z]{60,66}\\.com",
            "a@([a-z]{50}\\.){4,5}[a-z]{1,6}",
            "a@\\[(IPv6:)?[0-9a-f.:]{1,12}\\]",
            "a@(xn--|ab--|xn-)?[a-z]{0,3}(\\.[a-z]{1,3})?",
            Just("Ada <ada@example.com>".to_owned()),
        ]
    }

    pub(crate) fn mutated() -> impl Strategy<Value = Value> {
        let mut all = Vec::new();
        collect_pointers(&full(), "", &mut all);
        let change = (prop::sample::select(all), prop::option::of(any_value()), "[a-z_.]{1,14}");
        prop::collection::vec(change, 0..4).prop_map(|changes| {
            let mut row = full();
            for (pointer, value, name) in changes {
                // Without a value: remove the member, or add an unknown one.
                if let Some(value) = value {
                    if let Some(target) = row.pointer_mut(&pointer) {
                        *target = value;
                    }
                } else {
                    let (parent, member) = pointer.rsplit_once('/').unwrap_or_default();
                    if let Some(Value::Object(members)) = row.pointer_mut(parent)
                        && members.shift_remove(member).is_none()
                    {
                        members.insert(name, Value::Null);
                    }
                }
            }
            row
        })
    }

    /// Our validator does not decode A-labels (`xn--`), the general one does.
    fn has_a_label(row: &Value) -> bool {
        row.to_string().to_lowercase().contains("xn--")
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn results_equal_those_of_a_general_validator(row in mutated()) {
            thread_local!(static ORACLE: jsonschema::Validator = documented());
            prop_assume!(!has_a_label(&row));
            let (ours, theirs) = (findings(&row).is_empty(), ORACLE.with(|oracle| oracle.is_valid(&row)));
            prop_assert_eq!(ours, theirs, "{:?}", findings(&row));
        }

        #[test]
        fn emails_are_accepted_as_by_a_general_validator(address in email()) {
            thread_local!(static ORACLE: jsonschema::Validator = documented());
            let row = json!({ "email": address });
            prop_assume!(!has_a_label(&row));
            prop_assert_eq!(findings(&row).is_empty(), ORACLE.with(|oracle| oracle.is_valid(&row)));
        }
    }

    #[test]
    fn results_for_realistic_users_equal_those_of_a_general_validator() {
        let oracle = documented();
        let mut refused = 0;
        for index in 0..5000 {
            let row: Value = serde_json::from_str(&simulated_tenant::generate::import_user(index, 7)).unwrap();
            let findings = findings(&row);
            assert_eq!(findings.is_empty(), oracle.is_valid(&row), "{row}: {findings:?}");
            refused += usize::from(!findings.is_empty());
        }
        assert!((250..450).contains(&refused), "about 6.5 % are invalid on purpose: {refused}");
    }

    fn codes(row: &Value) -> Vec<(Option<String>, &'static str)> {
        findings(row).into_iter().map(|finding| (finding.path, finding.code)).collect()
    }

    #[test]
    fn a_complete_user_is_valid() {
        assert_eq!(findings(&full()), []);
        assert!(documented().is_valid(&full()));
    }

    #[test]
    fn every_violation_is_reported_with_its_path() {
        let row = json!({
            "email": "invalid", "email_verified": "true", "name": "", "nickname": "x".repeat(351), "phone_number": "0123",
            "given_name": null, "password_hash": "plain", "identities": [], "shoe size": 42,
            "custom_password_hash": { "algorithm": "rot13", "hash": {}, "salt": 1 },
            "mfa_factors": [{ "totp": { "secret": "abc" } }, 7, { "phone": { "value": "+1" }, "email": { "value": "a@b.c" } }],
        });
        let found = codes(&row);
        let mut expected: Vec<(&str, &str)> = vec![
            ("email", "FORMAT"),
            ("email_verified", "INVALID_TYPE"),
            ("name", "MIN_LENGTH"),
            ("nickname", "MAX_LENGTH"),
            ("phone_number", "PATTERN"),
            ("given_name", "INVALID_TYPE"),
            ("password_hash", "PATTERN"),
            ("identities", "FORBIDDEN_ATTRIBUTE"),
            ("[\"shoe size\"]", "FORBIDDEN_ATTRIBUTE"),
            ("custom_password_hash.algorithm", "ENUM_MISMATCH"),
            ("custom_password_hash.hash.value", "OBJECT_REQUIRED"),
            ("custom_password_hash.salt", "INVALID_TYPE"),
            ("mfa_factors[0].totp.secret", "PATTERN"),
            ("mfa_factors[1]", "INVALID_TYPE"),
            ("mfa_factors[2]", "NOT_PASSED"),
        ];
        let mut found: Vec<(&str, &str)> =
            found.iter().map(|(path, code)| (path.as_deref().unwrap_or_default(), *code)).collect();
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_row_that_is_not_an_object_and_a_missing_email_are_reported() {
        assert_eq!(codes(&json!([1])), [(None, "INVALID_TYPE")]);
        assert_eq!(codes(&json!({})), [(Some("email".to_owned()), "OBJECT_REQUIRED")]);
    }

    #[test]
    fn addresses_follow_rfc_5321() {
        for address in [
            "ada@example.com",
            "\"\"@example.com",
            "\"a b\"@example.com",
            "a@[127.0.0.1]",
            "a+b@x",
            "a@xn--mnchen-3ya.de",
        ] {
            assert!(is_email(address), "{address}");
        }
        for address in [
            "",
            "@",
            "a@",
            "a@b@c",
            "é@example.com",
            "a@münchen.de",
            "a@-b.de",
            "a@b..de",
            "Ada <ada@example.com>",
            "a@[1]",
        ] {
            assert!(!is_email(address), "{address}");
        }
    }

    #[test]
    fn hints_suggest_the_intended_attribute() {
        let hint = |row: Value| {
            findings(&row).into_iter().find_map(|finding| finding.hint).map(|hint| hint.to_string()).unwrap_or_default()
        };
        assert_eq!(hint(json!({ "email": "a@b.c", "Given Name": "Ada" })), "Did you mean given_name?");
        assert_eq!(
            hint(json!({ "email": "a@b.c", "created_at": "x" })),
            "Auth0 sets this attribute itself; leave it out."
        );
        assert_eq!(hint(json!({ "email": "a@b.c", "blocked": "false" })), "Write false without quotes.");
        assert_eq!(hint(json!({ "email": "a@b.c", "name": null })), "Leave the attribute out when it has no value.");
    }
}
