//! The key under which everything personal below DATA_DIR is encrypted.
//!
//! It is random, and lies in `DATA_DIR/data.key` wrapped by a key derived from `EXTENSION_SECRET`: a new
//! secret wraps it anew and touches no other file. Commands that run without the secret keep it as it is,
//! in a file that only their user can read. Beside a secret such a plain key is refused, since a person who can
//! write to the directory could have planted it; `ACCEPT_PLAIN_DATA_KEY` has it wrapped.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::error::{Code, Error, Result};
use crate::seal::{DataKey, Sealer};

/// Name of the file.
const FILE: &str = "data.key";

/// More than a file with a key ever holds, in bytes.
const LARGEST: u64 = 64 << 10;

/// What wrapping keys are derived for, and bound to.
const PURPOSE: &str = "data key";

/// The secrets that may wrap the key.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Secrets<'a> {
    /// `EXTENSION_SECRET`.
    pub(super) current: Option<&'a SecretString>,
    /// `EXTENSION_SECRET_PREVIOUS`.
    pub(super) previous: Option<&'a SecretString>,
    /// `ACCEPT_PLAIN_DATA_KEY`.
    pub(super) accept_plain: bool,
}

/// What the file holds, as JSON.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kept {
    /// Sealed under a key derived from `EXTENSION_SECRET`.
    Wrapped(String),
    /// In hexadecimal digits; only the file's mode protects it.
    Plain(SecretText),
}

/// A secret that is written into the file and shown nowhere else.
#[derive(Deserialize)]
struct SecretText(SecretString);

impl Serialize for SecretText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose_secret())
    }
}

/// The data key of a DATA_DIR.
#[derive(Debug)]
pub(super) struct Vault {
    path: PathBuf,
    secret: Option<SecretString>,
    key: RwLock<Arc<DataKey>>,
}

/// The data key was there already, or there was none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Found,
    Made,
}

impl Vault {
    /// Opens the key of a DATA_DIR, or makes one.
    ///
    /// Fails with [`Code::InvalidSettings`] when neither secret opens it: going on would mean to lose what
    /// is stored.
    pub(super) fn open(directory: &Path, secrets: Secrets<'_>) -> Result<(Self, Origin)> {
        let path = directory.join(FILE);
        let named = |error: io::Error| {
            let error = Error::from(error);
            Error { message: format!("{}: {}", path.display(), error.message), ..error }
        };
        let text = match read(&path) {
            Ok(text) => Some(SecretString::from(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(named(error)),
        };
        let (key, origin, as_it_should_be) = match text {
            Some(text) => {
                let kept = serde_json::from_str(text.expose_secret()).map_err(|_| broken(&path))?;
                let (key, as_it_should_be) = unwrap(&path, &kept, secrets)?;
                (key, Origin::Found, as_it_should_be)
            }
            None => (DataKey::random()?, Origin::Made, false),
        };
        let vault = Self { path, secret: secrets.current.cloned(), key: RwLock::new(Arc::new(key)) };
        if !as_it_should_be {
            vault.keep(&vault.key())?;
        }
        Ok((vault, origin))
    }

    /// The key.
    pub(super) fn key(&self) -> Arc<DataKey> {
        Arc::clone(&self.key.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the key: nothing that was encrypted until now can ever be read again.
    pub(super) fn renew(&self) -> Result<()> {
        let key = DataKey::random()?;
        self.keep(&key)?;
        *self.key.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
        Ok(())
    }

    /// Writes the key, in place of an earlier one, so that a power cut leaves one of them.
    fn keep(&self, key: &DataKey) -> Result<()> {
        let text = key.to_hex();
        let kept = match &self.secret {
            Some(secret) => Kept::Wrapped(Sealer::new(secret, PURPOSE)?.seal(PURPOSE, text.expose_secret())?),
            None => Kept::Plain(SecretText(text)),
        };
        let json = serde_json::to_string(&kept).map_err(|error| Error::new(Code::Internal, error.to_string()))?;
        let json = SecretString::from(json);
        let passing = self.path.with_extension("key.new");
        let write = || {
            // One that a crash left behind may have another mode.
            if let Err(error) = fs::remove_file(&passing)
                && error.kind() != io::ErrorKind::NotFound
            {
                return Err(error);
            }
            let mut file = private(OpenOptions::new().write(true).create_new(true)).open(&passing)?;
            file.write_all(json.expose_secret().as_bytes())?;
            file.sync_all()?;
            fs::rename(&passing, &self.path)?;
            self.path.parent().map_or(Ok(()), |directory| fs::File::open(directory)?.sync_all())
        };
        write().map_err(|error| {
            let error = Error::from(error);
            Error { message: format!("{}: {}", self.path.display(), error.message), ..error }
        })
    }
}

/// The key, and whether the file holds it as it should: wrapped by the current secret, if there is one.
fn unwrap(path: &Path, kept: &Kept, secrets: Secrets<'_>) -> Result<(DataKey, bool)> {
    let read = |text: &SecretString| DataKey::from_hex(text.expose_secret()).ok_or_else(|| broken(path));
    let sealed = match kept {
        Kept::Plain(SecretText(text)) if secrets.current.is_none() => return Ok((read(text)?, true)),
        Kept::Plain(SecretText(text)) if secrets.accept_plain => {
            let key = read(text)?;
            tracing::warn!(
                "{} holds a key that no secret protected; it is wrapped by EXTENSION_SECRET from now on. Remove \
                 ACCEPT_PLAIN_DATA_KEY",
                path.display()
            );
            return Ok((key, false));
        }
        Kept::Plain(_) => return Err(planted(path)),
        Kept::Wrapped(sealed) => sealed,
    };
    for (secret, is_current) in [(secrets.current, true), (secrets.previous, false)] {
        let Some(secret) = secret else { continue };
        if let Some(text) = Sealer::new(secret, PURPOSE)?.open(PURPOSE, sealed) {
            return Ok((read(&text)?, is_current));
        }
    }
    let directory = path.parent().unwrap_or(path).display();
    Err(if secrets.current.is_none() {
        Error::new(
            Code::InvalidSettings,
            format!("EXTENSION_SECRET is not set, but what DATA_DIR {directory} holds is encrypted with one."),
        )
        .with_hint("Set EXTENSION_SECRET as the server does, or name another DATA_DIR.")
    } else {
        Error::new(
            Code::InvalidSettings,
            format!("What DATA_DIR {directory} holds is encrypted with another EXTENSION_SECRET than this one."),
        )
        .with_hint(format!(
            "Set EXTENSION_SECRET_PREVIOUS to the earlier secret. If that is lost, remove {}: stored files and tokens \
             are then lost, the history stays.",
            path.display()
        ))
    })
}

/// The refusal of a plain key beside a secret.
fn planted(path: &Path) -> Error {
    Error::new(
        Code::InvalidSettings,
        format!(
            "{} holds a key that no secret protects, although EXTENSION_SECRET is set: a person who can write there \
             may have put it there to read what will be encrypted.",
            path.display()
        ),
    )
    .with_hint(
        "If commands that ran without EXTENSION_SECRET made this directory, set ACCEPT_PLAIN_DATA_KEY=true for one \
         start. Else restore data.key from a back-up.",
    )
}

/// Reads the file, unless it is a symbolic link.
fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    no_link(OpenOptions::new().read(true)).open(path)?.take(LARGEST).read_to_string(&mut text)?;
    Ok(text)
}

fn broken(path: &Path) -> Error {
    Error::new(Code::Storage, format!("{} holds no key.", path.display()))
        .with_hint("Restore the file from a back-up. Without it stored files and tokens cannot be read.")
}

/// Makes files that only this user can read, and follows no symbolic link to them.
pub(super) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    no_link(options)
}

/// Fails to open a path whose last part is a symbolic link.
pub(super) fn no_link(options: &mut OpenOptions) -> &mut OpenOptions {
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

    fn key(vault: &Vault) -> String {
        vault.key().to_hex().expose_secret().to_owned()
    }

    fn open(directory: &Path, current: Option<&str>, previous: Option<&str>) -> Result<(Vault, Origin)> {
        let (current, previous) = (current.map(secret), previous.map(secret));
        let secrets = Secrets { current: current.as_ref(), previous: previous.as_ref(), accept_plain: false };
        Vault::open(directory, secrets)
    }

    #[test]
    fn the_key_is_made_once_and_never_lies_open_beside_a_secret() {
        let directory = tempfile::tempdir().unwrap();
        let (vault, origin) = open(directory.path(), Some("the first secret"), None).unwrap();
        assert_eq!(origin, Origin::Made);
        let file = fs::read_to_string(directory.path().join(FILE)).unwrap();
        assert!(!file.contains(&key(&vault)), "{file}");
        let (again, origin) = open(directory.path(), Some("the first secret"), None).unwrap();
        assert_eq!((key(&again), origin), (key(&vault), Origin::Found));
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
    fn a_key_that_version_3_0_0_wrapped_opens_as_the_previous_secret_of_a_better_one() {
        let directory = tempfile::tempdir().unwrap();
        let of_before = "{\"wrapped\":\"EdJhhD2WGvib5DoUZGztYoFLZzv6O3px4d5gz2-AwyYd_o7dSFoZGFPtKukTn3q00U8dRHV5\
                         -2ahurAoa8ytuDZNbFfWVlTqTfpEnfjHKf_MLIS1QDXyu5dERDs\"}";
        fs::write(directory.path().join(FILE), of_before).unwrap();
        let (vault, origin) = open(directory.path(), Some("the second secret"), Some("Sommer2026!Sommer2026")).unwrap();
        assert_eq!(origin, Origin::Found);
        let (again, _) = open(directory.path(), Some("the second secret"), None).unwrap();
        assert_eq!(key(&again), key(&vault));
    }

    #[test]
    fn a_plain_key_beside_a_secret_is_refused_unless_it_is_accepted_in_words() {
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
        let secrets = Secrets { current: Some(&current), previous: None, accept_plain: true };
        let (wrapped, _) = Vault::open(directory.path(), secrets).unwrap();
        assert_eq!(key(&wrapped), key(&plain));
        assert!(!fs::read_to_string(&path).unwrap().contains(&key(&plain)));
        assert!(open(directory.path(), None, None).unwrap_err().message.contains("EXTENSION_SECRET is not set"));
        open(directory.path(), Some("a secret of the server"), None).unwrap();
        // Afterwards a planted one is refused as before.
        fs::write(&path, "{\"plain\":\"".to_owned() + &"00".repeat(32) + "\"}").unwrap();
        assert!(open(directory.path(), Some("a secret of the server"), None).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_symbolic_link_is_no_key_file() {
        let (directory, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        open(elsewhere.path(), None, None).unwrap();
        std::os::unix::fs::symlink(elsewhere.path().join(FILE), directory.path().join(FILE)).unwrap();
        assert!(open(directory.path(), None, None).unwrap_err().message.contains("data.key"));
    }

    #[test]
    fn a_broken_key_file_is_named_and_kept() {
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
    fn a_renewed_key_is_another_one_and_survives() {
        let directory = tempfile::tempdir().unwrap();
        let (vault, _) = open(directory.path(), Some("a secret of the server"), None).unwrap();
        let before = key(&vault);
        vault.renew().unwrap();
        assert_ne!(key(&vault), before);
        let (again, _) = open(directory.path(), Some("a secret of the server"), None).unwrap();
        assert_eq!(key(&again), key(&vault));
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
