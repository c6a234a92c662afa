//! The data key, which encrypts all personal data below DATA_DIR.
//!
//! The key is random and stored in `DATA_DIR/data.key`, wrapped by a key that is derived from `EXTENSION_SECRET`. When
//! the secret changes, only this file is rewritten. Commands that run without the secret store the key unwrapped, in a
//! file that only their user can read. If a secret is set, an unwrapped key is refused, since an attacker with write
//! access to the directory could have put it there; with `ACCEPT_PLAIN_DATA_KEY` it is wrapped instead.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::storage_error::with_path;
use uie_core::encryption::{DataKey, Encryptor};
use uie_core::error::{Code, Error, Result};
use uie_core::message::message;

/// Name of the file.
const FILE: &str = "data.key";

/// Maximum size of the file in bytes.
const MAX_BYTES: u64 = 64 << 10;

/// Purpose and context of the wrapping.
const PURPOSE: &str = "data key";

/// The secrets that may wrap the key.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WrappingSecrets<'a> {
    /// `EXTENSION_SECRET`.
    pub(super) current: Option<&'a SecretString>,
    /// `EXTENSION_SECRET_PREVIOUS`.
    pub(super) previous: Option<&'a SecretString>,
    /// `ACCEPT_PLAIN_DATA_KEY`.
    pub(super) accept_plain: bool,
}

/// The content of the file, as JSON.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredKey {
    /// Encrypted under a key derived from `EXTENSION_SECRET`.
    Wrapped(String),
    /// Hexadecimal digits; protected by the mode of the file only.
    Plain(SecretText),
}

/// A secret that can be serialized, but is not shown by `Debug`.
#[derive(Deserialize)]
struct SecretText(SecretString);

impl Serialize for SecretText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose_secret())
    }
}

/// Holds the data key of a DATA_DIR, and stores it.
#[derive(Debug)]
pub(super) struct KeyStore {
    path: PathBuf,
    secret: Option<SecretString>,
    key: RwLock<Arc<DataKey>>,
}

/// Where the data key comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyOrigin {
    /// Read from the file.
    Loaded,
    /// There was no file.
    Created,
}

impl KeyStore {
    /// Reads the key of a DATA_DIR, or creates one. Rewrites the file if it is not wrapped by the current secret.
    ///
    /// Fails with [`Code::InvalidSettings`] if neither secret unwraps the key: with a new key the stored data would be
    /// lost.
    pub(super) fn open(directory: &Path, secrets: WrappingSecrets<'_>) -> Result<(Self, KeyOrigin)> {
        let path = directory.join(FILE);
        let text = match read(&path) {
            Ok(text) => Some(SecretString::from(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(with_path(&path, error)),
        };
        let (key, origin, is_up_to_date) = match text {
            Some(text) => {
                let stored = serde_json::from_str(text.expose_secret()).map_err(|_| invalid_key_file(&path))?;
                let (key, is_up_to_date) = unwrap(&path, &stored, secrets)?;
                (key, KeyOrigin::Loaded, is_up_to_date)
            }
            None => (DataKey::random()?, KeyOrigin::Created, false),
        };
        let keys = Self { path, secret: secrets.current.cloned(), key: RwLock::new(Arc::new(key)) };
        if !is_up_to_date {
            keys.write(&keys.key())?;
        }
        Ok((keys, origin))
    }

    /// Returns the key.
    pub(super) fn key(&self) -> Arc<DataKey> {
        Arc::clone(&self.key.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the key. Existing encrypted data can never be decrypted again.
    pub(super) fn replace(&self) -> Result<()> {
        let key = DataKey::random()?;
        self.write(&key)?;
        *self.key.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
        Ok(())
    }

    /// Replaces the file atomically: after a power failure it holds the earlier or the new key.
    fn write(&self, key: &DataKey) -> Result<()> {
        let text = key.to_hex();
        let stored = match &self.secret {
            Some(secret) => StoredKey::Wrapped(Encryptor::new(secret, PURPOSE)?.seal(PURPOSE, text.expose_secret())?),
            None => StoredKey::Plain(SecretText(text)),
        };
        let json = serde_json::to_string(&stored).map_err(Error::internal)?;
        let json = SecretString::from(json);
        let temporary = self.path.with_extension("key.new");
        let write = || {
            // A file that a crash left may have another mode.
            if let Err(error) = fs::remove_file(&temporary)
                && error.kind() != io::ErrorKind::NotFound
            {
                return Err(error);
            }
            let mut file = private(OpenOptions::new().write(true).create_new(true)).open(&temporary)?;
            file.write_all(json.expose_secret().as_bytes())?;
            file.sync_all()?;
            fs::rename(&temporary, &self.path)?;
            self.path.parent().map_or(Ok(()), |directory| fs::File::open(directory)?.sync_all())
        };
        write().map_err(|error| with_path(&self.path, error))
    }
}

/// Returns the key, and whether the file is up to date: wrapped by the current secret, or plain without a secret.
fn unwrap(path: &Path, stored: &StoredKey, secrets: WrappingSecrets<'_>) -> Result<(DataKey, bool)> {
    let read = |text: &SecretString| DataKey::from_hex(text.expose_secret()).ok_or_else(|| invalid_key_file(path));
    let wrapped = match stored {
        StoredKey::Plain(SecretText(text)) if secrets.current.is_none() => return Ok((read(text)?, true)),
        StoredKey::Plain(SecretText(text)) if secrets.accept_plain => {
            let key = read(text)?;
            tracing::warn!(
                "{} held an unprotected key; it is now wrapped by EXTENSION_SECRET. Remove ACCEPT_PLAIN_DATA_KEY",
                path.display()
            );
            return Ok((key, false));
        }
        StoredKey::Plain(_) => return Err(plain_key_refused(path)),
        StoredKey::Wrapped(wrapped) => wrapped,
    };
    for (secret, is_current) in [(secrets.current, true), (secrets.previous, false)] {
        let Some(secret) = secret else { continue };
        if let Some(text) = Encryptor::new(secret, PURPOSE)?.open(PURPOSE, wrapped) {
            return Ok((read(&text)?, is_current));
        }
    }
    let directory = path.parent().unwrap_or(path).display();
    Err(if secrets.current.is_none() {
        Error::new(
            Code::InvalidSettings,
            message!("EXTENSION_SECRET is not set, but the data in DATA_DIR {directory} is encrypted with one."),
        )
        .with_hint(message!("Set the EXTENSION_SECRET of the server, or use another DATA_DIR."))
    } else {
        Error::new(
            Code::InvalidSettings,
            message!("The data in DATA_DIR {directory} is encrypted with another EXTENSION_SECRET."),
        )
        .with_hint(message!(
            "Set EXTENSION_SECRET_PREVIOUS to the earlier secret. If that is lost, remove {path}: stored files and \
             tokens are then lost, the history stays.",
            path = path.display()
        ))
    })
}

/// The error for a plain key although a secret is set.
fn plain_key_refused(path: &Path) -> Error {
    Error::new(
        Code::InvalidSettings,
        message!(
            "{path} holds an unprotected key although EXTENSION_SECRET is set. An attacker may have put it there to \
             decrypt future data.",
            path = path.display()
        ),
    )
    .with_hint(message!(
        "If commands without EXTENSION_SECRET created this directory, set ACCEPT_PLAIN_DATA_KEY=true for one start. \
         Otherwise restore data.key from a back-up."
    ))
}

/// Reads the file. Fails if it is a symbolic link.
fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    no_follow(OpenOptions::new().read(true)).open(path)?.take(MAX_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

fn invalid_key_file(path: &Path) -> Error {
    let message = message!("{path} does not hold a valid key.", path = path.display());
    Error::new(Code::Storage, message)
        .with_hint(message!("Restore the file from a back-up. Without it stored files and tokens cannot be read."))
}

/// Creates files that only this user can read, and does not follow symbolic links.
pub(super) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    no_follow(options)
}

/// Makes opening fail if the last part of the path is a symbolic link.
pub(super) fn no_follow(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(options, rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> SecretString {
        SecretString::from(text)
    }

    fn key(keys: &KeyStore) -> String {
        keys.key().to_hex().expose_secret().to_owned()
    }

    fn open(directory: &Path, current: Option<&str>, previous: Option<&str>) -> Result<(KeyStore, KeyOrigin)> {
        let (current, previous) = (current.map(secret), previous.map(secret));
        let secrets = WrappingSecrets { current: current.as_ref(), previous: previous.as_ref(), accept_plain: false };
        KeyStore::open(directory, secrets)
    }

    #[test]
    fn the_key_is_created_once_and_never_stored_unwrapped_if_there_is_a_secret() {
        let directory = tempfile::tempdir().unwrap();
        let (keys, origin) = open(directory.path(), Some("the first secret"), None).unwrap();
        assert_eq!(origin, KeyOrigin::Created);
        let file = fs::read_to_string(directory.path().join(FILE)).unwrap();
        assert!(!file.contains(&key(&keys)), "{file}");
        let (again, origin) = open(directory.path(), Some("the first secret"), None).unwrap();
        assert_eq!((key(&again), origin), (key(&keys), KeyOrigin::Loaded));
    }

    #[test]
    fn a_new_secret_wraps_the_same_key() {
        let directory = tempfile::tempdir().unwrap();
        let (first, _) = open(directory.path(), Some("the first secret"), None).unwrap();
        let error = open(directory.path(), Some("the second secret"), None).unwrap_err();
        assert_eq!(error.code, Code::InvalidSettings);
        assert!(error.hint.unwrap().contains("EXTENSION_SECRET_PREVIOUS"));
        let (second, _) = open(directory.path(), Some("the second secret"), Some("the first secret")).unwrap();
        assert_eq!(key(&second), key(&first));
        let (later, _) = open(directory.path(), Some("the second secret"), None).unwrap();
        assert_eq!(key(&later), key(&first), "the earlier secret is needed once");
        assert!(open(directory.path(), Some("the first secret"), None).is_err());
    }

    #[test]
    fn a_key_that_version_3_0_0_wrapped_is_unwrapped_with_the_previous_secret() {
        let directory = tempfile::tempdir().unwrap();
        let file = "{\"wrapped\":\"EdJhhD2WGvib5DoUZGztYoFLZzv6O3px4d5gz2-AwyYd_o7dSFoZGFPtKukTn3q00U8dRHV5\
                         -2ahurAoa8ytuDZNbFfWVlTqTfpEnfjHKf_MLIS1QDXyu5dERDs\"}";
        fs::write(directory.path().join(FILE), file).unwrap();
        let (keys, origin) = open(directory.path(), Some("the second secret"), Some("Sommer2026!Sommer2026")).unwrap();
        assert_eq!(origin, KeyOrigin::Loaded);
        let (again, _) = open(directory.path(), Some("the second secret"), None).unwrap();
        assert_eq!(key(&again), key(&keys));
    }

    #[test]
    fn a_plain_key_is_refused_if_there_is_a_secret_unless_a_setting_accepts_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        let (plain, _) = open(directory.path(), None, None).unwrap();
        let (same, _) = open(directory.path(), None, None).unwrap();
        assert_eq!(key(&plain), key(&same));
        let before = fs::read_to_string(&path).unwrap();
        for previous in [None, Some("a secret of the server")] {
            let error = open(directory.path(), Some("another secret of it"), previous).unwrap_err();
            assert_eq!(error.code, Code::InvalidSettings);
            assert!(error.message.contains("data.key"), "{}", error.message);
            assert!(error.hint.unwrap().contains("ACCEPT_PLAIN_DATA_KEY"));
            assert_eq!(fs::read_to_string(&path).unwrap(), before);
        }
        let current = secret("a secret of the server");
        let secrets = WrappingSecrets { current: Some(&current), previous: None, accept_plain: true };
        let (wrapped, _) = KeyStore::open(directory.path(), secrets).unwrap();
        assert_eq!(key(&wrapped), key(&plain));
        assert!(!fs::read_to_string(&path).unwrap().contains(&key(&plain)));
        assert!(open(directory.path(), None, None).unwrap_err().message.contains("EXTENSION_SECRET is not set"));
        open(directory.path(), Some("a secret of the server"), None).unwrap();
        // A later plain key is refused again.
        fs::write(&path, "{\"plain\":\"".to_owned() + &"00".repeat(32) + "\"}").unwrap();
        assert!(open(directory.path(), Some("a secret of the server"), None).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_symbolic_link_is_not_accepted_as_key_file() {
        let (directory, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        open(target.path(), None, None).unwrap();
        std::os::unix::fs::symlink(target.path().join(FILE), directory.path().join(FILE)).unwrap();
        assert!(open(directory.path(), None, None).unwrap_err().message.contains("data.key"));
    }

    #[test]
    fn an_error_about_an_invalid_key_file_names_it_and_does_not_change_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        for text in ["", "{}", "{\"plain\":\"00\"}", "{\"wrapped\":1}"] {
            fs::write(&path, text).unwrap();
            let error = open(directory.path(), Some("a secret of the server"), None).unwrap_err();
            assert!(error.message.contains("data.key"), "{}", error.message);
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn a_replaced_key_differs_and_is_stored() {
        let directory = tempfile::tempdir().unwrap();
        let (keys, _) = open(directory.path(), Some("a secret of the server"), None).unwrap();
        let before = key(&keys);
        keys.replace().unwrap();
        assert_ne!(key(&keys), before);
        let (again, _) = open(directory.path(), Some("a secret of the server"), None).unwrap();
        assert_eq!(key(&again), key(&keys));
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_can_read_the_key() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        open(directory.path(), None, None).unwrap();
        let mode = fs::metadata(directory.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
