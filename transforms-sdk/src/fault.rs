use std::fmt;

/// Why a row has no result: one sentence for the user who defined the column, with what is wrong with the
/// value and what was expected.
///
/// Created from a text (`"…".into()`, [`fault!`](crate::fault!)) or, with `?`, from parse errors of the
/// standard library and `serde_json`. For other errors use `.map_err(Fault::new)?`.
#[derive(Clone, PartialEq, Eq)]
pub struct Fault {
    message: String,
}

impl Fault {
    /// Returns a fault with the text that `message` displays.
    #[allow(clippy::needless_pass_by_value)] // so that it can be passed to `.map_err`
    pub fn new(message: impl fmt::Display) -> Self {
        Self { message: message.to_string() }
    }

    /// Returns the message.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Fault({:?})", self.message)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl From<&str> for Fault {
    fn from(message: &str) -> Self {
        Self::new(message)
    }
}

impl From<String> for Fault {
    fn from(message: String) -> Self {
        Self { message }
    }
}

macro_rules! from_errors {
    ($($error:ty),* $(,)?) => {$(
        impl From<$error> for Fault {
            fn from(error: $error) -> Self {
                Self::new(error)
            }
        }
    )*};
}

from_errors!(
    Box<dyn std::error::Error>,
    Box<dyn std::error::Error + Send + Sync>,
    serde_json::Error,
    std::char::ParseCharError,
    std::char::CharTryFromError,
    std::fmt::Error,
    std::num::ParseFloatError,
    std::num::ParseIntError,
    std::num::TryFromIntError,
    std::str::ParseBoolError,
    std::str::Utf8Error,
    std::string::FromUtf8Error,
);

/// Creates a [`Fault`] from a format string: `return Err(fault!("{zone} is no time zone offset"))`.
#[macro_export]
macro_rules! fault {
    ($($format:tt)+) => { $crate::Fault::from(::std::format!($($format)+)) };
}
