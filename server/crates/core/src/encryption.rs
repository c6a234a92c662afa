//! Encryption of data that leaves the process: the Management API token in a session token, the state of a login in
//! a cookie, and all personal data below DATA_DIR.
//!
//! There are two kinds of keys. Data in the browser is encrypted under keys derived from `EXTENSION_SECRET`
//! ([`Encryptor::new`]). Data on disk is encrypted under a random [`DataKey`], which the store wraps with such a
//! derived key: when the secret changes, only this key is wrapped again.

mod aead_stream;
mod data_key;
mod encryptor;
mod primitives;

pub use aead_stream::{ChunkSize, DecryptingReader, EncryptingWriter};
pub use data_key::DataKey;
pub use encryptor::{Encryptor, hmac_key};
pub use primitives::{constant_time_eq, hex, random};
