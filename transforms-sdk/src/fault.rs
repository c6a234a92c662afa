use std::fmt;

/// Why a row has no result: one sentence for the person who asked for the column, that says what is wrong
/// with the value and what was expected.
///
/// It comes from a text (`"…".into()`, [`fault!`](crate::fault!)) or, with `?`, from the errors of the
/// standard library's and `serde_json`'s parsers. Other errors: `.map_err(Fault::new)?`.
#[derive(Clone, PartialEq, Eq)]
pub struct Fault {
    message: String,
}

impl Fault {
    /// A fault that says what `message` displays.
    #[allow(clippy::needless_pass_by_value)] // so that `.map_err(Fault::new)` reads as it does
    pub fn new(message: impl fmt::Display) -> Self {
        Self { message: message.to_string() }
    }

    /// What it says.
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

/// A [`Fault`] from a format string: `return Err(fault!("{zone} is no time zone offset"))`.
#[macro_export]
macro_rules! fault {
    ($($format:tt)+) => { $crate::Fault::from(::std::format!($($format)+)) };
}
