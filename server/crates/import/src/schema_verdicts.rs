//! Validates rows against the import schema only, to compare the results with a general JSON Schema validator.

use std::io::Read;

use super::fast_check::{FastCheck, TextRemoval, fast_check};
use super::read::{HeaderPolicy, RawRow, RowReader};
use super::schema;
use uie_core::error::Result;

/// Validates the rows of a file against the import schema only: no semantic rules, no search for duplicates. Calls
/// `verdict` with the number of each row, from 1, and whether it is accepted. A row is accepted exactly if a general
/// JSON Schema validator accepts it by the documented schema; rows that are not valid JSON are rejected.
pub fn schema_verdicts(input: Box<dyn Read + Send>, verdict: &mut dyn FnMut(u64, bool)) -> Result<()> {
    let mut reader = RowReader::open(input, &HeaderPolicy::default())?;
    let mut row = RawRow::default();
    let mut number = 0;
    loop {
        if let Some(peeked) = reader.peek()?
            && let Some((length, accepted)) = schema_verdict(peeked.text, peeked.is_whole)
        {
            number += 1;
            verdict(number, accepted);
            reader.advance(length)?;
            continue;
        }
        if !reader.next(&mut row)? {
            return Ok(());
        }
        number += 1;
        let checked = if row.truncated { None } else { schema_verdict(&row.bytes, true) };
        let accepted = match checked {
            Some((_, accepted)) => accepted,
            None => reader.parse(&row)?.is_ok_and(|value| fits_schema(&value)),
        };
        verdict(number, accepted);
    }
}

/// Returns the length of the row at the start of `text` and whether the schema accepts it; `None` if the row must be
/// parsed first.
fn schema_verdict(text: &[u8], is_whole: bool) -> Option<(usize, bool)> {
    match fast_check(text, is_whole, true, &TextRemoval::default())? {
        FastCheck::Valid(row) => Some((row.text.len(), true)),
        FastCheck::NeedsFullCheck(row) => Some((row.text.len(), fits_schema(&row.build()?))),
    }
}

/// Returns whether a row is valid by the import schema that Auth0 documents (docs/auth0/import-schema.md). Used to
/// compare with a general JSON Schema validator; [`check()`](crate::check()) also applies rules that a schema cannot
/// express.
pub fn fits_schema(row: &serde_json::Value) -> bool {
    let mut findings = Vec::new();
    schema::validate(row, &mut findings);
    findings.is_empty()
}
