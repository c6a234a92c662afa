//! Decides by a search query which rows are imported (`--query`).

use serde_json::Value;

use uie_core::error::{Error, Result};
use uie_core::message::Message;
use uie_json::{ProjectionMask, parse_row};
use uie_query::{Filter, Query, Remark};

/// A query over the rows of an import.
#[derive(Clone, Debug)]
pub(super) struct RowFilter {
    filter: Filter,
    /// What the query reads of a row.
    mask: ProjectionMask,
    remarks: Vec<Remark>,
}

impl RowFilter {
    /// Parses a query; `None` if it is empty. Fails if it is not valid, or if only Auth0's search can carry it out.
    pub(super) fn parse(query: &str) -> Result<Option<Self>> {
        if query.trim().is_empty() {
            return Ok(None);
        }
        let in_field = |error: Error| error.with_field("query");
        let query = Query::parse(query).map_err(in_field)?;
        let filter = query.filter().map_err(in_field)?;
        let mask = filter.extend_mask(ProjectionMask::default());
        Ok(Some(Self { filter, mask, remarks: query.remarks().to_vec() }))
    }

    /// Returns remarks about the query that its author may not expect.
    pub(super) fn remarks(&self) -> &[Remark] {
        &self.remarks
    }

    /// Returns the root attributes that the query reads.
    pub(super) fn attributes(&self) -> Vec<&str> {
        self.mask.attributes().unwrap_or_default()
    }

    /// Returns whether a row matches. Fails if the row cannot be read.
    pub(super) fn matches(&self, row: &Value) -> std::result::Result<bool, Message> {
        let text = row.to_string();
        match parse_row(text.as_bytes(), &self.mask) {
            Ok(user) => Ok(self.filter.matches(&user)),
            Err(error) => Err(uie_records::describe_parse_error(&error)),
        }
    }
}
