//! What several sources have and Auth0 cannot take.

use crate::converted::LossKind;
use uie_core::message::{Message, message};

/// Passwords in plain text.
pub(crate) static PLAIN_PASSWORD: LossKind = LossKind {
    code: "PLAIN_PASSWORD",
    message: |users| message!("Auth0 imports hashes of passwords only; users with a password in plain text: {users}."),
    hint: password_lost,
};

/// Password hashes of an unknown form.
pub(crate) static UNKNOWN_HASH: LossKind = LossKind {
    code: "UNKNOWN_HASH",
    message: |users| {
        message!("Password hashes of a form that Auth0 cannot check, or that is not known here; users: {users}.")
    },
    hint: password_lost,
};

/// Phone numbers that are not in the form that Auth0 requires.
pub(crate) static PHONE_FORMAT: LossKind = LossKind {
    code: "PHONE_FORMAT",
    message: |users| message!("Phone numbers that are not written as +12125550001; users: {users}."),
    hint: || {
        message!("They are imported without the phone number. Correct the numbers, or map them (normalize_phone).")
    },
};

/// Secrets of authenticators that Auth0 cannot take.
pub(crate) static TOTP_SECRET: LossKind = LossKind {
    code: "TOTP_SECRET",
    message: |users| message!("Secrets of authenticator apps that are not Base32; users: {users}."),
    hint: || message!("They are imported without this second factor and must enroll again."),
};

/// The hint of all losses of passwords.
pub(crate) fn password_lost() -> Message {
    message!("They are imported without a password and must reset it. Send them a link to do so after the import.")
}

/// Hashes of phpass (`$P$`, `$H$`).
pub(crate) static PHPASS: LossKind = LossKind {
    code: "PHPASS",
    message: |users| message!("Auth0 cannot check password hashes of phpass ($P$, $H$); users: {users}."),
    hint: password_lost,
};

/// Hashes of Firebase's scrypt, whose result is encrypted with a key of the project (github.com/firebase/scrypt).
pub(crate) static FIREBASE_SCRYPT: LossKind = LossKind {
    code: "FIREBASE_SCRYPT",
    message: |users| {
        message!(
            "Auth0 cannot check the password hashes of Firebase, whose scrypt is not the standard one; users: {users}."
        )
    },
    hint: password_lost,
};

/// Hashes of Drupal 7 to 10 (`$S$`, `U$S$`).
pub(crate) static DRUPAL_SHA512: LossKind = LossKind {
    code: "DRUPAL_SHA512",
    message: |users| message!("Auth0 cannot check the repeated SHA-512 of Drupal ($S$); users: {users}."),
    hint: password_lost,
};

/// Hashes of crypt(3) other than bcrypt.
pub(crate) static CRYPT: LossKind = LossKind {
    code: "CRYPT",
    message: |users| {
        message!("Auth0 cannot check password hashes of crypt (such as $1$, $5$, $6$, $y$); users: {users}.")
    },
    hint: password_lost,
};
