//! Random bytes, hexadecimal digits, comparison in constant time, and the error of the cryptographic library.

use std::fmt::Write;

use crate::error::{Code, Error, Result};
use crate::message::message;

/// Returns random bytes from the operating system's generator.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| crypto_error())?;
    Ok(bytes)
}

/// Returns the bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Compares two texts in constant time, so that the duration does not reveal where they differ.
pub fn constant_time_eq(left: &str, right: &str) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(left.as_bytes(), right.as_bytes()).is_ok()
}

/// The error for a failed operation of the cryptographic library.
pub(super) fn crypto_error() -> Error {
    Error::new(Code::Internal, message!("An operation of the cryptographic library failed."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_equal_if_all_bytes_are_equal() {
        assert!(constant_time_eq("", "") && constant_time_eq("token", "token"));
        for other in ["", "t", "tokeN", "Token", "token ", "token\0"] {
            assert!(!constant_time_eq("token", other), "{other}");
        }
    }
}
