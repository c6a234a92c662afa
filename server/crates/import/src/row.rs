//! A row of an import on its way: read -> map -> check -> send, or report.
//!
//! Each stage takes a row in one state and returns it in the next one, so that only a checked row can be sent. The states
//! borrow the text of the row where it was read, unless members are removed from it.
//!
//! | state | known | from | to |
//! |---|---|---|---|
//! | [`Read`] | its text | `rows.rs` | `check.rs`, or `rows.rs` to map it |
//! | [`Mapped`] | the user after the mapping | `rows.rs` | `check.rs` |
//! | [`Valid`] | it can be sent | `check.rs` | `chunks.rs` |
//! | [`Failed`] | why it cannot be sent | `rows.rs`, `check.rs` | `faults.rs` |
//!
//! A row that was sent is a [`RowIdentity`] on disk. While rows are read and mapped in batches, their buffers are
//! reused, and the state of each is a value: [`BufferedRow`].

use std::borrow::Cow;

use serde_json::Value;

use super::compact_row::compact;
use super::consequences::{CountedAttributes, OtherProvider};
use super::fast_check::{UncheckedText, ValidText};
use super::read::{RawRow, RowError};
use super::row_fault::{RowFault, RowLocation};
use super::row_identity::{Identifiers, RowIdentity, sent_id};
use uie_core::error::Result;

/// A row in the state `S`.
#[derive(Debug)]
pub(super) struct Row<S> {
    pub(super) location: RowLocation,
    pub(super) state: S,
}

/// State of a row whose text was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read<'t> {
    /// Starts with the row.
    pub(super) text: &'t [u8],
    /// Whether `text` contains nothing else.
    pub(super) is_whole: bool,
}

/// State of a row that was parsed and mapped.
#[derive(Debug)]
pub(super) struct Mapped<'t> {
    /// The user; may lack metadata that is known to be valid.
    pub(super) user: Value,
    /// The complete text of the user, as JSON.
    pub(super) text: Cow<'t, [u8]>,
    /// The provider of the user, before the mapping, if it is not in a database connection.
    pub(super) provider: Option<OtherProvider>,
}

/// State of a row without errors.
#[derive(Debug)]
pub(super) struct Valid<'t> {
    content: ValidContent<'t>,
    keep_id_prefix: bool,
    pub(super) warnings: Vec<RowFault>,
}

/// What is known about a valid row.
#[derive(Debug)]
enum ValidContent<'t> {
    /// Its text alone shows that it is valid.
    Text(ValidText<'t>),
    /// It was parsed.
    User(Mapped<'t>),
}

/// State of a row that cannot be sent: its errors and warnings.
#[derive(Debug)]
pub(super) struct Failed(pub(super) Vec<RowFault>);

/// A row after the check.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one at a time, and a box would be an allocation for each row")]
pub(super) enum Checked<'t> {
    Valid(Row<Valid<'t>>),
    Failed(Row<Failed>),
}

impl Row<Read<'_>> {
    /// Returns the row after the check of its text: valid with warnings.
    pub(super) fn into_valid(
        self,
        text: ValidText<'_>,
        keep_id_prefix: bool,
        warnings: Vec<RowFault>,
    ) -> Row<Valid<'_>> {
        Row { location: self.location, state: Valid { content: ValidContent::Text(text), keep_id_prefix, warnings } }
    }

    /// Parses the row for the full check. `None` if parsing fails.
    pub(super) fn into_mapped<'t>(self, text: &UncheckedText<'t>) -> Option<Row<Mapped<'t>>> {
        let user = text.build()?;
        let provider = text.other_provider(user.get("user_id").and_then(Value::as_str));
        Some(Row { location: self.location, state: Mapped { user, text: text.text_to_check(), provider } })
    }
}

impl Mapped<'_> {
    /// Returns the user as it is sent, but without metadata that `user` lacks.
    pub(super) fn sent_user(&self, keep_id_prefix: bool) -> Value {
        let mut user = self.user.clone();
        if let Some(id) = self.replaced_id(keep_id_prefix) {
            user["user_id"] = id.into();
        }
        user
    }

    /// Appends the row as compact JSON, as it is sent.
    pub(super) fn write_compact(&self, keep_id_prefix: bool, output: &mut Vec<u8>) -> Result<()> {
        compact(&self.text, self.replaced_id(keep_id_prefix), output)
    }

    /// Returns the id to send if it differs from that of the row.
    fn replaced_id(&self, keep_id_prefix: bool) -> Option<&str> {
        let id = self.user.get("user_id")?.as_str()?;
        Some(sent_id(id, keep_id_prefix)).filter(|sent| *sent != id)
    }
}

impl<'t> Row<Mapped<'t>> {
    /// Returns the row after the full check: valid with warnings.
    pub(super) fn into_valid(self, keep_id_prefix: bool, warnings: Vec<RowFault>) -> Row<Valid<'t>> {
        let content = ValidContent::User(self.state);
        Row { location: self.location, state: Valid { content, keep_id_prefix, warnings } }
    }

    /// Returns the row after the full check: with errors, which are among the faults.
    pub(super) fn into_failed(self, faults: Vec<RowFault>) -> Row<Failed> {
        Row { location: self.location, state: Failed(faults) }
    }
}

impl Row<Valid<'_>> {
    /// Appends the row as compact JSON, as it is sent.
    pub(super) fn write_compact(&self, output: &mut Vec<u8>) -> Result<()> {
        let Valid { content, keep_id_prefix, .. } = &self.state;
        match content {
            ValidContent::Text(text) => {
                text.write_compact(*keep_id_prefix, output);
                Ok(())
            }
            ValidContent::User(row) => row.write_compact(*keep_id_prefix, output),
        }
    }

    /// Returns the attributes of the row that an import with upsert counts.
    pub(super) fn counted_attributes(&self) -> CountedAttributes {
        match &self.state.content {
            ValidContent::Text(text) => text.counted_attributes(),
            ValidContent::User(Mapped { user, .. }) => CountedAttributes::of(
                user.as_object().into_iter().flat_map(|members| members.keys().map(String::as_str)),
            ),
        }
    }

    /// Returns the provider of the user if it is not in a database connection.
    pub(super) fn other_provider(&self) -> Option<OtherProvider> {
        match &self.state.content {
            ValidContent::Text(text) => text.other_provider(),
            ValidContent::User(Mapped { provider, .. }) => *provider,
        }
    }

    /// Returns location and identifiers of the row, to match it with Auth0's reports.
    pub(super) fn identity(&self) -> RowIdentity {
        let Valid { content, keep_id_prefix, .. } = &self.state;
        let identifiers = match content {
            ValidContent::Text(text) => text.identifiers(*keep_id_prefix),
            ValidContent::User(Mapped { user, .. }) => Identifiers::of_user(user, *keep_id_prefix),
        };
        RowIdentity::new(&self.location, &identifiers)
    }
}

/// A row in a buffer that is reused: its state changes in place.
#[derive(Debug, Default)]
pub(super) struct BufferedRow {
    /// Its text; the mapping updates it together with `content`.
    pub(super) raw: RawRow,
    pub(super) content: Content,
    /// The connection that the file names for the user, before the mapping.
    pub(super) connection: Option<String>,
    /// The provider of the user, before the mapping, if it is not in a database connection.
    pub(super) provider: Option<OtherProvider>,
}

impl BufferedRow {
    /// Sets the content to the result of the parser, before the mapping.
    pub(super) fn set_parsed(&mut self, parsed: std::result::Result<Value, RowError>) {
        self.provider = parsed.as_ref().ok().and_then(OtherProvider::of_row);
        self.content = Content::from_parsed(parsed);
    }

    /// Makes the text of the row what expressions read, unless it has such a text already.
    pub(super) fn keep_original(&mut self) {
        if self.raw.original.is_empty() {
            self.raw.original.clone_from(&self.raw.bytes);
        }
    }

    /// Replaces the text of the row by that of its user.
    pub(super) fn write_text(&mut self) {
        if let Content::User(user) = &self.content {
            self.raw.bytes.clear();
            // Writing to memory does not fail.
            let _ = serde_json::to_writer(&mut self.raw.bytes, user);
        }
    }
}

/// The state of a row in a buffer.
#[derive(Debug, Default)]
pub(super) enum Content {
    /// Not parsed yet.
    #[default]
    Text,
    /// Parsed, with the mapping applied.
    User(Value),
    /// Cannot be parsed or mapped.
    Invalid(Vec<RowError>),
    /// The query does not match it.
    LeftOut,
}

impl Content {
    pub(super) fn from_parsed(parsed: std::result::Result<Value, RowError>) -> Self {
        match parsed {
            Ok(user) => Self::User(user),
            Err(row_error) => Self::Invalid(vec![row_error]),
        }
    }

    /// Returns the connection that a user of Auth0 names: of the first identity, or an attribute of this name.
    pub(super) fn connection(&self) -> Option<String> {
        let Self::User(user) = self else { return None };
        let name = user.pointer("/identities/0/connection").or_else(|| user.get("connection"))?;
        name.as_str().map(str::to_owned)
    }
}
