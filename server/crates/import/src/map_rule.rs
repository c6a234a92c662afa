//! A rule of the mapping of an import, and how it is written.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use uie_core::error::{Code, Error, Result};
use uie_core::message::{Message, message};
use uie_expression::split_column;

/// An attribute of an import and the expression that computes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MapRule {
    /// An expression; `user` is the row, and columns of a CSV file are its attributes.
    pub expression: String,
    /// Path of the attribute; with the expression `null`, the name of a column or attribute that is not imported.
    pub attribute: String,
}

impl MapRule {
    /// Parses `EXPR=attribute`. Fails if either part is missing.
    pub fn parse(text: &str) -> Result<Self> {
        match split_column(text) {
            (expression, Some(attribute)) if !expression.is_empty() && !attribute.is_empty() => {
                Ok(Self { expression: expression.to_owned(), attribute: attribute.to_owned() })
            }
            _ => Err(Error::new(Code::InvalidMapping, message!("The mapping {text:?} is not EXPR=attribute."))),
        }
    }

    /// Parses mappings in JSON: `{"attribute": "EXPR"}`, or an array of `"EXPR=attribute"` or of
    /// `{"expression", "attribute"}`.
    pub fn parse_json(json: &str) -> Result<Vec<Self>> {
        let wrong = |message: Message| {
            Error::new(Code::InvalidMapping, message)
                .with_hint(message!("Send a JSON object such as {{\"name\": \"user[\\\"Full name\\\"]\"}}."))
                .with_field("map")
        };
        match serde_json::from_str(json).map_err(|error| wrong(message!("The mapping is not valid JSON: {error}.")))? {
            Value::Object(members) => members
                .into_iter()
                .map(|(attribute, expression)| match expression {
                    Value::String(expression) => Ok(Self { expression, attribute }),
                    _ => Err(wrong(message!("The mapping of {attribute} is not a string."))),
                })
                .collect(),
            Value::Array(items) => items
                .into_iter()
                .map(|item| match item {
                    Value::String(text) => Self::parse(&text),
                    other => serde_json::from_value(other)
                        .map_err(|error| wrong(message!("The mapping is not complete: {error}."))),
                })
                .collect(),
            _ => Err(wrong(message!("The mapping is neither an object nor an array."))),
        }
    }
}
