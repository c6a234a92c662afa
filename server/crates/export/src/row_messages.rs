//! Messages about rows that cannot be read.

use uie_core::message::{Message, message};
use uie_json::RowParseError;
use uie_records::{RowProblem, describe_mistake, describe_parse_error};

/// Returns why a row cannot be read, as a part of a sentence: `longer than 64 MiB`.
pub(super) fn describe_problem(problem: &RowProblem) -> Message {
    match problem {
        RowProblem::TooLong(limit) => message!("longer than {limit} MiB", limit = limit >> 20),
        RowProblem::OpenQuote => message!("the file ends inside a quoted cell of the row"),
        RowProblem::Ragged { cells: 1, columns } => message!("the row has 1 cell; the header has {columns}"),
        RowProblem::Ragged { cells, columns } => message!("the row has {cells} cells; the header has {columns}"),
        RowProblem::Encoding => {
            message!("the row contains bytes that are not UTF-8, but the text before it is UTF-8")
        }
        RowProblem::LdifLine(line) => message!("line {line} of the entry is not an attribute: name, colon, value"),
        RowProblem::LdifBase64(line) => message!("the value in line {line} of the entry is not Base64"),
        RowProblem::LdifUrl(line) => message!("the value in line {line} of the entry is in another file"),
        RowProblem::LdifChange(kind) => message!("the entry is a change of kind `{kind}`"),
        RowProblem::UnnamedColumn(column) => message!("the row has a value in column {column}, which has no name"),
    }
}

/// Returns why a row is not a user, with the mistake in its JSON if it is a frequent one.
pub(super) fn describe_unreadable(row: &[u8], error: &RowParseError) -> Message {
    let reason = describe_parse_error(error);
    let mistake = match error {
        RowParseError::NotJson(byte) => describe_mistake(row, byte.saturating_sub(1)),
        _ => None,
    };
    match mistake {
        Some((mistake, _)) => message!("{reason}: {mistake}"),
        None => reason,
    }
}
