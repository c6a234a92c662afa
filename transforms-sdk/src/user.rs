use serde_json::{Map, Value as Json};

use crate::argument::{Argument, Given};
use crate::{Fault, fault};

/// A whole user, the argument of a call `name(user)`.
///
/// The getters return attributes of the type that Auth0 documents; everything else is in
/// [`attributes`](Self::attributes).
#[derive(Clone, Copy, Debug)]
pub struct User<'a> {
    attributes: &'a Map<String, Json>,
}

impl<'a> From<&'a Map<String, Json>> for User<'a> {
    fn from(attributes: &'a Map<String, Json>) -> Self {
        Self { attributes }
    }
}

impl<'a> TryFrom<&'a Json> for User<'a> {
    type Error = Fault;

    /// Returns a user for a native test: `User::try_from(&json!({"email": "ada@example.com"}))`.
    fn try_from(json: &'a Json) -> Result<Self, Fault> {
        json.as_object().map(Self::from).ok_or_else(|| fault!("a user is an object"))
    }
}

macro_rules! texts {
    ($($(#[$about:meta])* $name:ident),* $(,)?) => {$(
        $(#[$about])*
        pub fn $name(&self) -> Option<&'a str> {
            self.attributes.get(stringify!($name))?.as_str()
        }
    )*};
}

impl<'a> User<'a> {
    texts!(
        /// `user_id`, with its provider: `auth0|5f…`.
        user_id,
        /// `email`.
        email,
        /// `username`.
        username,
        /// `phone_number`.
        phone_number,
        /// `name`.
        name,
        /// `given_name`.
        given_name,
        /// `family_name`.
        family_name,
        /// `nickname`.
        nickname,
        /// `created_at`, as ISO 8601 in UTC.
        created_at,
        /// `updated_at`, as ISO 8601 in UTC.
        updated_at,
        /// `last_login`, as ISO 8601 in UTC.
        last_login,
    );

    /// `email_verified`.
    pub fn email_verified(&self) -> Option<bool> {
        self.attributes.get("email_verified")?.as_bool()
    }

    /// `blocked`.
    pub fn blocked(&self) -> Option<bool> {
        self.attributes.get("blocked")?.as_bool()
    }

    /// `logins_count`.
    pub fn logins_count(&self) -> Option<u64> {
        self.attributes.get("logins_count")?.as_u64()
    }

    /// `app_metadata`.
    pub fn app_metadata(&self) -> Option<&'a Map<String, Json>> {
        self.attributes.get("app_metadata")?.as_object()
    }

    /// `user_metadata`.
    pub fn user_metadata(&self) -> Option<&'a Map<String, Json>> {
        self.attributes.get("user_metadata")?.as_object()
    }

    /// `identities`; empty if absent.
    pub fn identities(&self) -> &'a [Json] {
        self.attributes.get("identities").and_then(Json::as_array).map_or(&[], Vec::as_slice)
    }

    /// Returns the value at a path of keys and indexes (from 0) separated by dots, as the requested type:
    /// `user.get::<Option<&str>>("identities.0.connection")?`. An absent value is nothing; a value of
    /// another type is a fault that names the path. For keys that contain dots use
    /// [`attributes`](Self::attributes).
    pub fn get<T: Argument<'a>>(&self, path: &str) -> Result<T, Fault> {
        let mut steps = path.split('.');
        let first = steps.next().and_then(|key| self.attributes.get(key));
        let found = steps.fold(first, |value, step| match value? {
            Json::Object(members) => members.get(step),
            Json::Array(items) => items.get(step.parse::<usize>().ok()?),
            _ => None,
        });
        T::from_given(found.map_or(Given::Nothing, Given::from)).map_err(|mismatch| mismatch.fault(path, false))
    }

    /// Returns all attributes in the order of Auth0's response.
    pub fn attributes(&self) -> &'a Map<String, Json> {
        self.attributes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn attributes_are_read_by_name_and_by_path() {
        let json = json!({"email": "ada@example.com", "logins_count": 3, "identities": [{"connection": "users"}],
            "app_metadata": {"plan": 5}});
        let user = User::try_from(&json).unwrap();
        assert_eq!((user.email(), user.logins_count(), user.name()), (Some("ada@example.com"), Some(3), None));
        assert_eq!(user.get("identities.0.connection"), Ok("users"));
        assert_eq!(user.get::<Option<&str>>("identities.1.connection"), Ok(None));
        assert_eq!(user.get::<Option<&str>>("email.plan.x"), Ok(None));
        assert_eq!(
            user.get::<&str>("app_metadata.plan").unwrap_err().message(),
            "`app_metadata.plan` is a number; text is expected"
        );
    }
}
