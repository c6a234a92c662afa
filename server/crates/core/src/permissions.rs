//! Permissions: the scopes of the Management API that a user may use here.

use std::fmt;

use crate::error::{Code, Error, Result};
use crate::message::message;

/// A scope of the Management API that the product uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Permission {
    /// `create:users`: import users.
    CreateUsers,
    /// `read:users`: search, preview and export users; see jobs and their files.
    ReadUsers,
    /// `read:connections`: list connections.
    ReadConnections,
}

impl Permission {
    /// Every permission.
    pub const ALL: [Self; 3] = [Self::CreateUsers, Self::ReadUsers, Self::ReadConnections];

    /// The name of the scope.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CreateUsers => "create:users",
            Self::ReadUsers => "read:users",
            Self::ReadConnections => "read:connections",
        }
    }
}

/// A set of permissions. `Display` writes their names, separated by spaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permissions(u8);

impl Permissions {
    /// All permissions.
    pub fn all() -> Self {
        Permission::ALL.into_iter().collect()
    }

    /// Returns the permissions named in a `scope` claim (RFC 8693, 4.2); other scopes are ignored.
    pub fn from_scope(scope: &str) -> Self {
        let named = |name: &str| Permission::ALL.into_iter().find(|permission| permission.as_str() == name);
        scope.split(' ').filter_map(named).collect()
    }

    /// Returns whether the set contains a permission.
    pub fn contains(self, permission: Permission) -> bool {
        self.0 & (1 << permission as u8) != 0
    }

    /// Returns the names of the permissions in the set.
    pub fn names(self) -> Vec<&'static str> {
        self.iter().map(Permission::as_str).collect()
    }

    /// Fails with [`Code::InsufficientScope`] and the names of the missing permissions, if any is missing.
    pub fn require(self, needed: &[Permission]) -> Result<()> {
        let missing = needed.iter().filter(|permission| !self.contains(**permission));
        let missing: Vec<&str> = missing.map(|permission| permission.as_str()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let message = message!("This sign-in does not permit {permissions}.", permissions = missing.join(", "));
        Err(Error::new(Code::InsufficientScope, message))
    }

    fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.into_iter().filter(move |permission| self.contains(*permission))
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        Self(permissions.into_iter().fold(0, |set, permission| set | (1 << permission as u8)))
    }
}

impl fmt::Display for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_complete_scope_names_are_accepted() {
        for scope in ["", "openid profile", "READ:USERS", "read:users_app_metadata", "read:users,read:connections"] {
            assert_eq!(Permissions::from_scope(scope), Permissions::default(), "{scope}");
        }
        let set = Permissions::from_scope("openid read:users delete:users");
        assert_eq!(set.names(), ["read:users"]);
        assert!(set.contains(Permission::ReadUsers) && !set.contains(Permission::CreateUsers));
    }

    #[test]
    fn missing_permissions_are_named() {
        let set = Permissions::from_scope("read:users");
        set.require(&[Permission::ReadUsers]).unwrap();
        let error = set.require(&Permission::ALL).unwrap_err();
        assert_eq!(error.code, Code::InsufficientScope);
        assert_eq!(error.message, "This sign-in does not permit create:users, read:connections.");
    }
}
