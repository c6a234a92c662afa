//! A remark on a valid query.

use std::fmt;

use serde::Serialize;
use uie_core::language::Language;
use uie_core::message::{Localize, Message};

/// A remark on a valid query, for its author.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Remark {
    /// How a part was read, or what is probably a typing error.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub message: Message,
    /// True if the query probably finds more users than its author expects; absent otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub widens: bool,
}

impl Remark {
    /// Creates a remark that does not warn of too many users.
    pub(super) fn new(message: Message) -> Self {
        Self { message, widens: false }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message.fmt(f)
    }
}

impl Localize for Remark {
    fn localize(&mut self, language: Language) {
        self.message.localize(language);
    }
}
