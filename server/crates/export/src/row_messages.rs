//! Messages about rows that cannot be read.

use uie_core::message::{Message, message};
use uie_records::RowProblem;

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
        RowProblem::UnnamedColumn(column) => message!("the row has a value in column {column}, which has no name"),
    }
}
