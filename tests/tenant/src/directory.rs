//! The users of the tenant. Generated users are not stored but generated on each access from seed and index, so that a
//! million of them needs a few megabytes for the index. Only users that were imported, changed or added are stored, as
//! JSON text.

use std::collections::HashMap;
use std::sync::{OnceLock, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde_json::{Map, Value};

use crate::generate;

/// The index of a user: generated users first, then added ones in order.
pub(crate) type Handle = u32;

/// Hashes of an identifier of the generated users, sorted, with the user of each.
type Index = Vec<(u32, Handle)>;

/// All users.
#[derive(Debug)]
pub(crate) struct Directory {
    seed: u64,
    generated: Handle,
    user_ids: OnceLock<Index>,
    phones: OnceLock<Index>,
    overlay: RwLock<Overlay>,
}

#[derive(Debug, Default)]
struct Overlay {
    changed: HashMap<Handle, Box<str>>,
    added: Vec<Added>,
    by_email: HashMap<String, Vec<Handle>>,
    by_user_id: HashMap<String, Handle>,
    by_phone: HashMap<(String, String), Handle>,
    by_username: HashMap<(String, String), Handle>,
    version: u64,
}

#[derive(Debug)]
struct Added {
    json: Box<str>,
    connection: Box<str>,
    at: i64,
}

impl Directory {
    pub(crate) fn new(users: u64, seed: u64) -> Self {
        Directory {
            seed,
            generated: Handle::try_from(users).unwrap_or(Handle::MAX / 2),
            user_ids: OnceLock::new(),
            phones: OnceLock::new(),
            overlay: RwLock::default(),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Overlay> {
        self.overlay.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Overlay> {
        self.overlay.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Returns the number of users.
    pub(crate) fn len(&self) -> Handle {
        self.generated + self.read().added.len() as Handle
    }

    /// Increases with every change, so that search results can be cached until then.
    pub(crate) fn version(&self) -> u64 {
        self.read().version
    }

    /// Returns the number of users before `at` (milliseconds), for a search index that lags behind.
    pub(crate) fn len_before(&self, at: i64) -> Handle {
        self.generated + self.read().added.partition_point(|added| added.at <= at) as Handle
    }

    /// Returns the whole user, including identity provider tokens.
    pub(crate) fn get(&self, handle: Handle) -> Option<Value> {
        let overlay = self.read();
        let text = if let Some(at) = handle.checked_sub(self.generated) {
            overlay.added.get(at as usize)?.json.to_string()
        } else if let Some(changed) = overlay.changed.get(&handle) {
            changed.to_string()
        } else {
            drop(overlay);
            let mut user: Map<String, Value> =
                serde_json::from_str(&generate::export_user(handle.into(), self.seed)).ok()?;
            // Absent attributes are omitted, not null (docs/auth0/user-profile.md#identities-and-other-attributes).
            user.retain(|_, value| !value.is_null());
            for identity in user.get_mut("identities").and_then(Value::as_array_mut).into_iter().flatten() {
                if let Some(identity) = identity.as_object_mut() {
                    identity.remove("expires_in");
                }
            }
            return Some(Value::Object(user));
        };
        serde_json::from_str(&text).ok()
    }

    /// Returns whether the first identity of a user is in this connection.
    pub(crate) fn in_connection(&self, handle: Handle, connection: &str) -> bool {
        match handle.checked_sub(self.generated) {
            Some(at) => self.read().added.get(at as usize).is_some_and(|added| &*added.connection == connection),
            None => generate::identifiers(handle.into(), self.seed).connection == connection,
        }
    }

    /// Returns the users with exactly this e-mail address.
    pub(crate) fn by_email(&self, email: &str) -> Vec<Handle> {
        let generated = generate::index_in_email(email)
            .and_then(|index| Handle::try_from(index).ok())
            .filter(|handle| *handle < self.generated)
            .filter(|handle| generate::identifiers((*handle).into(), self.seed).email.as_deref() == Some(email));
        let overlay = self.read();
        generated.into_iter().chain(overlay.by_email.get(email).into_iter().flatten().copied()).collect()
    }

    /// Returns the user with this id.
    pub(crate) fn by_user_id(&self, user_id: &str) -> Option<Handle> {
        if let Some(handle) = self.read().by_user_id.get(user_id) {
            return Some(*handle);
        }
        let index = self
            .user_ids
            .get_or_init(|| self.index(|handle| Some(generate::identifiers(handle.into(), self.seed).user_id)));
        candidates(index, user_id).find(|handle| generate::identifiers((*handle).into(), self.seed).user_id == user_id)
    }

    /// Returns the user of a connection with this phone number.
    pub(crate) fn by_phone(&self, connection: &str, phone: &str) -> Option<Handle> {
        if let Some(handle) = self.read().by_phone.get(&(connection.to_owned(), phone.to_owned())) {
            return Some(*handle);
        }
        let number = |handle: Handle| generate::phone_number(handle.into(), self.seed);
        let index = self.phones.get_or_init(|| self.index(number));
        candidates(index, phone)
            .find(|handle| self.in_connection(*handle, connection) && number(*handle).as_deref() == Some(phone))
    }

    /// Returns the user of a connection with this username.
    pub(crate) fn by_username(&self, connection: &str, username: &str) -> Option<Handle> {
        self.read().by_username.get(&(connection.to_owned(), username.to_owned())).copied()
    }

    fn index(&self, identifier: impl Fn(Handle) -> Option<String>) -> Index {
        let mut index: Index =
            (0..self.generated).filter_map(|handle| Some((hash(&identifier(handle)?), handle))).collect();
        index.sort_unstable();
        index
    }

    /// Adds a user. The caller has checked that no identifier is in use.
    pub(crate) fn add(&self, user: &Value, at: i64) -> Handle {
        let mut overlay = self.write();
        let handle = self.generated + overlay.added.len() as Handle;
        let connection = user["identities"][0]["connection"].as_str().unwrap_or_default().to_owned();
        let text = |name: &str| user.get(name).and_then(Value::as_str).map(str::to_owned);
        if let Some(email) = text("email") {
            overlay.by_email.entry(email).or_default().push(handle);
        }
        if let Some(user_id) = text("user_id") {
            overlay.by_user_id.insert(user_id, handle);
        }
        if let Some(phone) = text("phone_number") {
            overlay.by_phone.insert((connection.clone(), phone), handle);
        }
        if let Some(username) = text("username") {
            overlay.by_username.insert((connection.clone(), username), handle);
        }
        overlay.added.push(Added { json: user.to_string().into(), connection: connection.into(), at });
        overlay.version += 1;
        handle
    }

    /// Replaces a user. The identifiers must not change.
    pub(crate) fn replace(&self, handle: Handle, user: &Value) {
        let mut overlay = self.write();
        match handle.checked_sub(self.generated) {
            Some(at) => {
                if let Some(added) = overlay.added.get_mut(at as usize) {
                    added.json = user.to_string().into();
                }
            }
            None => {
                overlay.changed.insert(handle, user.to_string().into());
            }
        }
        overlay.version += 1;
    }
}

fn candidates<'a>(index: &'a Index, text: &str) -> impl Iterator<Item = Handle> + 'a {
    let wanted = hash(text);
    let start = index.partition_point(|(hash, _)| *hash < wanted);
    index.iter().skip(start).take_while(move |(hash, _)| *hash == wanted).map(|(_, handle)| *handle)
}

/// FNV-1a, folded to 32 bits. Only a prefilter: matching users are compared afterwards.
fn hash(text: &str) -> u32 {
    let long = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    (long ^ (long >> 32)) as u32
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn generated_users_are_found_by_every_identifier() {
        let directory = Directory::new(500, 42);
        for handle in 0..500 {
            let user = directory.get(handle).unwrap();
            assert_eq!(directory.by_user_id(user["user_id"].as_str().unwrap()), Some(handle));
            if let Some(email) = user["email"].as_str() {
                assert_eq!(directory.by_email(email), [handle]);
            }
            let connection = user["identities"][0]["connection"].as_str().unwrap();
            assert!(directory.in_connection(handle, connection));
            if let Some(phone) = user["phone_number"].as_str() {
                assert_eq!(directory.by_phone(connection, phone), Some(handle));
            }
            assert!(user.as_object().unwrap().values().all(|value| !value.is_null()));
        }
        assert!(directory.by_user_id("auth0|unknown").is_none());
        assert!(directory.by_email("unknown500@example.com").is_empty());
    }

    #[test]
    fn added_and_replaced_users_are_found() {
        let directory = Directory::new(10, 42);
        let user = json!({"user_id": "auth0|x", "email": "x@example.com", "username": "x", "identities": [{"connection": "db"}]});
        let handle = directory.add(&user, 0);
        assert_eq!(directory.len(), 11);
        assert_eq!(directory.by_email("x@example.com"), [handle]);
        assert_eq!(directory.by_username("db", "x"), Some(handle));
        assert_eq!(directory.by_username("other", "x"), None);
        let mut changed = directory.get(3).unwrap();
        changed["nickname"] = "changed".into();
        directory.replace(3, &changed);
        assert_eq!(directory.get(3).unwrap()["nickname"], "changed");
    }
}
