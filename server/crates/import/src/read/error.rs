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
        ReadError::NoUserList { line, lists } if lists.is_empty() => format_error(message!(
            "The users file is one JSON object, which starts at line {line} and holds no list of users."
        ))
        .with_hint(message!("Write the users as a JSON array, or one per line.")),
        ReadError::NoUserList { line, lists } => {
            let first = lists.first().cloned().unwrap_or_default();
            format_error(message!(
                "The users file is one JSON object, which starts at line {line}; none of its lists is known to be the \
                 users: {lists}.",
                lists = lists.join(", ")
            ))
            .with_hint(message!("Write the users to a file of their own: jq '.{first}' FILE > users.json"))
        }
        ReadError::NestedArrays(line) => format_error(message!(
            "The users file is an array of arrays, of which the first one starts at line {line}."
        ))
        .with_hint(message!("`jq -s` makes one of several arrays; join them: jq -s 'add' FILE… > users.json")),
        ReadError::UnclosedObject(Position { line, column }) => format_error(message!(
            "The users file ends at line {line}, column {column}, before the closing brace of its object."
        )),
        ReadError::MissingHeader { line, columns } => Error::new(
            Code::UsersFileColumns,
            message!(
                "Line {line} of the users file looks like a user, not like a header: the {columns} columns have no \
                 names."
            ),
        )
        .with_hint(message!(
            "Insert a first line that names the attribute of each column, such as email,name,user_metadata.city; leave \
             a column out with --map 'null=NAME'."
        )),
        ReadError::Unexpected { at: Position { line, column }, expected, .. } => format_error(match expected {
            Expected::End => {
                message!("The users file goes on after the end of its array, at line {line}, column {column}.")
            }
            Expected::Separator => {
                message!("The users file is not valid JSON at line {line}, column {column}: expected `,` or `]`.")
            }
            Expected::Member => {
                message!(
                    "The users file is not valid JSON at line {line}, column {column}: expected a member of an object."
                )
            }
            Expected::Element | Expected::ElementAfterComma | Expected::Value => {
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
