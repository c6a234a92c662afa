//! Remarks on valid expressions whose cells are probably not what their author expects.

use uie_core::message::{Message, message};
use uie_core::user;
use uie_json::{Key, Node, Path};

use super::expression::Expression;
use super::parser::Form;

/// A remark on a valid expression, for its author.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpressionRemark {
    /// What is probably not as expected, and what to write instead.
    pub message: Message,
    /// The attribute that users probably do not have; `None` if the remark is about something else.
    pub attribute: Option<String>,
    /// Whether it also applies to users of a file, which may have attributes that Auth0 does not have.
    pub in_files: bool,
}

/// Attributes that are not part of Auth0's user profile, and what they are.
const OUTSIDE_THE_PROFILE: &[(&[&str], Subject)] = &[
    (&["roles", "permissions"], Subject::Roles),
    (&["organizations", "organisations", "organization"], Subject::Organizations),
    (
        &["guardian_authenticators", "authenticators", "authentication_methods", "guardian_enrollments", "enrollments"],
        Subject::Factors,
    ),
    (&["blocked_for", "user_blocks"], Subject::Blocks),
];

/// What is read through other endpoints of the Management API than the one for users.
#[derive(Clone, Copy)]
enum Subject {
    Roles,
    Organizations,
    Factors,
    Blocks,
}

impl Subject {
    fn message(self, name: &str) -> Message {
        match self {
            Self::Roles => message!(
                "`{name}` is not part of Auth0's user profile: roles and permissions are read through other endpoints, \
                 which exports do not call."
            ),
            Self::Organizations => message!(
                "`{name}` is not part of Auth0's user profile: organizations are read through other endpoints, which \
                 exports do not call."
            ),
            Self::Factors => message!(
                "`{name}` is not part of Auth0's user profile: second factors are read through other endpoints, which \
                 exports do not call. user.multifactor names their providers."
            ),
            Self::Blocks => message!(
                "`{name}` is not part of Auth0's user profile: blocks after failed sign-ins are read through another \
                 endpoint, which exports do not call. user.blocked says whether an administrator has blocked the user."
            ),
        }
    }
}

/// Returns the remarks on an expression.
pub(super) fn remarks(expression: &Expression) -> Vec<ExpressionRemark> {
    let (accesses, locale_calls) = match &expression.form {
        Form::Path(path) => (path.accesses(), [].as_slice()),
        Form::Transform(call) => (call.paths().into_iter().flat_map(Path::accesses).collect(), [].as_slice()),
        Form::JavaScript(script) => {
            (script.needs.iter().map(Vec::as_slice).collect::<Vec<&[Key]>>(), script.locale_calls.as_slice())
        }
    };
    let mut remarks: Vec<ExpressionRemark> = Vec::new();
    let mut add = |remark: ExpressionRemark| {
        if !remarks.contains(&remark) {
            remarks.push(remark);
        }
    };
    // The date that is probably meant: an attribute that is one, or else a value of metadata.
    let path_of_kind = |kind: user::Kind| {
        let is_of_kind = |keys: &&&[Key]| {
            let attribute = keys.first().and_then(|key| user::find(&key.name));
            attribute.is_some_and(|attribute| attribute.kind == kind)
                && (keys.len() > 1) == (kind == user::Kind::Object)
        };
        accesses.iter().find(is_of_kind).map(|keys| Path(Node::Access(keys.to_vec())))
    };
    let date = path_of_kind(user::Kind::Date).or_else(|| path_of_kind(user::Kind::Object));
    for call in locale_calls {
        let method = call.method;
        let message = match method {
            "localeCompare" => message!("JavaScript ignores locales here: `{method}` compares by code unit."),
            "toLocaleLowerCase" | "toLocaleUpperCase" => {
                message!("JavaScript ignores locales here: `{method}` treats all languages alike.")
            }
            _ => message!(
                "JavaScript ignores locales and time zones here: `{method}` gives English text in UTC. For a date, use \
                 {call}.",
                call = format_date_call(date.as_ref(), call.time_zone.as_deref())
            ),
        };
        add(ExpressionRemark { message, attribute: None, in_files: true });
    }
    for name in accesses.iter().filter_map(|keys| keys.first()).filter(|key| key.index.is_none()).map(|key| &key.name) {
        if let Some((message, in_files)) = attribute_remark(name) {
            add(ExpressionRemark { message, attribute: Some(name.clone()), in_files });
        }
    }
    remarks
}

/// Returns the remark on an attribute that an export cannot have, and whether it applies to files, too.
fn attribute_remark(name: &str) -> Option<(Message, bool)> {
    match user::find(name) {
        Some(attribute) if attribute.exportable => return None,
        Some(_) => return Some((message!("Auth0 does not export `{name}`; only import files have it."), false)),
        None => {}
    }
    if let Some((_, subject)) = OUTSIDE_THE_PROFILE.iter().find(|(names, _)| names.contains(&name)) {
        return Some((subject.message(name), true));
    }
    Some(match user::nearest_exportable(name) {
        Some(nearest) => {
            let message = message!("Auth0's user profile has no attribute `{name}`. Did you mean user.{nearest}?");
            // A file may have its own capitals and blanks in names, as in titles of columns.
            (message, !name.replace([' ', '-'], "_").eq_ignore_ascii_case(nearest))
        }
        None => (message!("Auth0 documents no attribute `{name}` of a user."), false),
    })
}

/// Returns a call that writes a date in a time zone, as an example.
pub(super) fn format_date_call(date: Option<&Path>, time_zone: Option<&str>) -> String {
    let date = date.map_or_else(|| "user.last_login".to_owned(), ToString::to_string);
    format!("format_date({date}, \"%d.%m.%Y %H:%M\", \"{}\")", time_zone.unwrap_or("Europe/Berlin"))
}
