//! Auth0's user search syntax v3 (docs/auth0/search-syntax.md): parsed, displayed, and evaluated locally with the same
//! meaning (docs/decisions/0007-query-push-down.md).
//!
//! [`Query`] is a parsed query, which may be sent to Auth0. [`Filter`] evaluates a query for a user. Some queries can
//! only be carried out by Auth0, and some only here.

mod condition;
mod dates;
mod evaluate;
mod filter;
mod likely_mistakes;
mod node;
mod parse;
mod query;
mod relative_dates;
mod remark;

pub use filter::Filter;
pub use query::{Checked, Query, check};
pub use remark::Remark;

#[cfg(test)]
mod tests;
