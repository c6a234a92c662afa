//! Errors of reading a users file.

use uie_core::error::{Code, Error};
use uie_core::message::{Message, message};
use uie_records::{Expected, Position, ReadError};

pub(super) fn format_error(message: Message) -> Error {
    Error::new(Code::UsersFileFormat, message)
}

pub(super) fn empty_error(message: Message) -> Error {
    Error::new(Code::UsersFileEmpty, message)
}

/// Converts a problem of a file to the error of an import.
pub(super) fn read_error(error: ReadError) -> Error {
    match error {
        ReadError::Source(error) => match error.downcast::<Error>() {
            Ok(own) => own,
            Err(error) => error.into(),
        },
        ReadError::TruncatedGzip | ReadError::DamagedGzip(_) => damaged_gzip(),
        ReadError::NoContent => empty_error(message!("The users file has no content.")),
        ReadError::Binary(found) => format_error(message!("The users file is {found}, neither JSON nor CSV.")),
        ReadError::NotRecords { kind, line } => {
            format_error(message!("The users file is {kind}, neither JSON nor CSV, as line {line} shows."))
        }
        ReadError::ObjectOverLines(line) => format_error(message!(
            "The users file is a single JSON object that starts at line {line} and goes on over several lines."
        )),
        ReadError::Unexpected { at: Position { line, column }, expected, .. } => format_error(match expected {
            Expected::End => {
                message!("The users file goes on after the end of its array, at line {line}, column {column}.")
            }
            Expected::Separator => {
                message!("The users file is not valid JSON at line {line}, column {column}: expected `,` or `]`.")
            }
            Expected::Element | Expected::ElementAfterComma => {
                message!("The users file is not valid JSON at line {line}, column {column}: expected a user.")
            }
        }),
        ReadError::UnclosedArray(Position { line, column }) => format_error(message!(
            "The users file ends at line {line}, column {column}, before its array is closed by ]."
        )),
        other => Error::new(Code::Internal, message!("A users file cannot be read: {other:?}")),
    }
}

/// Returns the error for a gzip file that cannot be decompressed completely.
pub(crate) fn damaged_gzip() -> Error {
    format_error(message!("The gzip file is damaged or incomplete."))
}
