//! The secrets from which the keys of this crate are made.

use secrecy::SecretString;

/// `EXTENSION_SECRET` and, if set, the previous secret, whose signatures and ciphertexts are still accepted.
pub(super) type Secrets<'a> = (&'a SecretString, Option<&'a SecretString>);
