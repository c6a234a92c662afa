//! The tables of sources: which attribute becomes which, and how its value is converted.

use serde_json::{Map, Value};

use crate::converted::{Converted, Loss, LossKind};
pub(crate) use crate::losses::{PHONE_FORMAT, PLAIN_PASSWORD, TOTP_SECRET, UNKNOWN_HASH, password_lost};
use crate::{hash, phone, row, time};

/// One line of a source's table.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// The attribute of the source: a member, a column, or a path of members (`profile.login`). With a trailing `*` all
    /// attributes that start so.
    pub from: &'static str,
    /// The attribute of Auth0: `email`, `user_metadata.locale`; for a `from` with `*` the object that takes them all.
    /// Empty for an attribute that is left out knowingly.
    pub to: &'static str,
    /// How the value is converted.
    pub convert: Convert,
}

/// How a value is converted. Values that do not fit are left out.
#[derive(Clone, Copy, Debug)]
pub enum Convert {
    /// Text, or a number or boolean as text.
    Text,
    /// A boolean word.
    Boolean,
    /// The opposite of a boolean word: `enabled` becomes `blocked`.
    Not,
    /// True if there is a value: a time at which an address was confirmed.
    Present,
    /// A phone number in E.164, as Auth0 requires; another form is a loss.
    Phone,
    /// Any value; the text of a JSON object or array (as in CSV) is parsed.
    Value,
    /// An object whose members are merged into that of `to`.
    Merge,
    /// A time stamp, as ISO 8601 text in UTC: seconds or milliseconds since 1970, or text.
    Time,
    /// A password hash in a self-describing form (bcrypt, argon2, LDAP and so on).
    Hash,
    /// The secret of a TOTP authenticator in Base32: a second factor.
    TotpSecret,
    /// A password in plain text: a loss.
    PlainPassword,
    /// Left out knowingly.
    Skip,
}

/// A field that becomes text.
pub const fn text(from: &'static str, to: &'static str) -> Field {
    Field { from, to, convert: Convert::Text }
}

/// A field with a conversion.
pub const fn field(from: &'static str, to: &'static str, convert: Convert) -> Field {
    Field { from, to, convert }
}

/// A field that is left out knowingly.
pub const fn skip(from: &'static str) -> Field {
    Field { from, to: "", convert: Convert::Skip }
}

impl Field {
    /// Returns whether the field reads an attribute of this name.
    pub fn reads(&self, name: &str) -> bool {
        match self.from.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => self.from == name,
        }
    }

    /// Converts the value of this field.
    pub(crate) fn apply(&self, row: &Map<String, Value>, user: &mut Converted) {
        if let Some(prefix) = self.from.strip_suffix('*') {
            for (name, value) in row {
                if let Some(rest) = name.strip_prefix(prefix).filter(|rest| !rest.is_empty()) {
                    self.convert(value, &format!("{}.{rest}", self.to), user);
                }
            }
        } else if let Some(value) = row::find(row, self.from) {
            self.convert(value, self.to, user);
        }
    }

    fn convert(&self, value: &Value, to: &str, user: &mut Converted) {
        if !row::has_content(value) {
            return;
        }
        match self.convert {
            Convert::Text => user.set(to, row::text_of(value).map_or(Value::Null, Value::String)),
            Convert::Boolean => user.set(to, row::boolean_of(value).map_or(Value::Null, Value::Bool)),
            Convert::Not => user.set(to, row::boolean_of(value).map_or(Value::Null, |value| Value::Bool(!value))),
            Convert::Present => user.set(to, Value::Bool(true)),
            Convert::Phone => {
                if let Some(text) = row::text_of(value) {
                    match phone::e164(&text) {
                        Some(number) => user.set(to, number.into()),
                        None => user.lose(&PHONE_FORMAT, "phone_number"),
                    }
                }
            }
            Convert::Value => user.set(to, row::parsed(value)),
            Convert::Merge => {
                if let Value::Object(members) = row::parsed(value) {
                    user.merge(to, members);
                }
            }
            Convert::Time => user.set(to, time::iso(value).map_or(Value::Null, Value::String)),
            Convert::Hash => {
                if let Some(text) = row::text_of(value) {
                    user.set_password(hash::self_describing(&text));
                }
            }
            Convert::TotpSecret => {
                if let Some(text) = row::text_of(value) {
                    user.set_totp(&text);
                }
            }
            Convert::PlainPassword => user.lose(&PLAIN_PASSWORD, "password_hash"),
            Convert::Skip => {}
        }
    }
}

impl Converted {
    /// Sets the password hash, or records why it is absent.
    pub fn set_password(&mut self, hash: Result<Value, &'static LossKind>) {
        match hash {
            Ok(hash) if self.user.contains_key("password_hash") || self.user.contains_key("custom_password_hash") => {
                drop(hash);
            }
            Ok(Value::String(hash)) => self.set("password_hash", hash.into()),
            Ok(hash) => self.set("custom_password_hash", hash),
            Err(kind) => self.lose(kind, "password_hash"),
        }
    }

    /// Adds a TOTP secret in Base32, in any case, with or without padding and spaces, as a second factor.
    pub fn set_totp(&mut self, secret: &str) {
        match crate::bits::base32_secret(secret) {
            Some(secret) => self.add_factor(serde_json::json!({ "totp": { "secret": secret } })),
            None => self.lose(&TOTP_SECRET, "mfa_factors"),
        }
    }

    /// Returns whether a password was lost.
    pub fn lost_password(&self) -> bool {
        self.losses.iter().any(|Loss { attribute, .. }| *attribute == "password_hash")
    }
}
