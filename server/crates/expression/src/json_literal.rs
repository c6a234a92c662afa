//! Builds the JSON text of an array or an object that is an argument of a transform.
//!
//! The text has the form in which transforms get the same value from a path: numbers as JavaScript writes them, members
//! in the order of JavaScript, and of members with the same name the last value at the position of the first.

use std::collections::HashMap;

use uie_json::{Key, Literal, Node, Path, write_json_text, write_number};

use super::call::{Argument, Input, JsonPiece};

/// JSON text, with gaps for values that differ from user to user.
#[derive(Debug, Default)]
pub(super) struct JsonText(Vec<JsonPiece>);

impl JsonText {
    /// Returns the text of an item of an array or of a member of an object.
    pub(super) fn of(argument: Argument) -> Self {
        match argument.input {
            Input::Json(pieces) => Self(pieces),
            Input::Path(Path(Node::Literal(literal))) => {
                let mut text = Vec::new();
                match &literal {
                    // JSON has no infinite numbers; paths give nothing for them, too.
                    Literal::Number(number) if number.is_finite() => write_number(*number, &mut text),
                    Literal::Nothing | Literal::Null | Literal::Number(_) => text.extend_from_slice(b"null"),
                    Literal::Boolean(boolean) => text.extend_from_slice(if *boolean { b"true" } else { b"false" }),
                    Literal::Text(string) => write_json_text(string, &mut text),
                }
                let mut json = Self::default();
                json.push_text(&String::from_utf8_lossy(&text));
                json
            }
            Input::Path(_) | Input::Call(_) => Self(vec![JsonPiece::Value(argument)]),
        }
    }

    /// Returns the text of an array.
    pub(super) fn array(items: Vec<Self>) -> Self {
        let mut json = Self::default();
        json.push_text("[");
        for (at, item) in items.into_iter().enumerate() {
            json.push_text(if at > 0 { "," } else { "" });
            json.append(item);
        }
        json.push_text("]");
        json
    }

    /// Returns the text of an object.
    pub(super) fn object(members: Vec<(Key, Self)>) -> Self {
        let mut positions: HashMap<String, usize> = HashMap::new();
        let mut unique: Vec<(Key, Self)> = Vec::with_capacity(members.len());
        for (key, value) in members {
            if let Some((_, known)) = positions.get(&key.name).and_then(|position| unique.get_mut(*position)) {
                *known = value;
            } else {
                positions.insert(key.name.clone(), unique.len());
                unique.push((key, value));
            }
        }
        // The sort is stable: names that are not array indices keep their order.
        unique.sort_by_key(|(key, _)| key.index.unwrap_or(u32::MAX));
        let mut json = Self::default();
        json.push_text("{");
        for (at, (key, value)) in unique.into_iter().enumerate() {
            let mut name = Vec::new();
            write_json_text(&key.name, &mut name);
            json.push_text(if at > 0 { "," } else { "" });
            json.push_text(&String::from_utf8_lossy(&name));
            json.push_text(":");
            json.append(value);
        }
        json.push_text("}");
        json
    }

    /// Returns its pieces; two texts never follow each other.
    pub(super) fn into_pieces(self) -> Vec<JsonPiece> {
        self.0
    }

    fn push_text(&mut self, text: &str) {
        match self.0.last_mut() {
            Some(JsonPiece::Text(last)) => last.push_str(text),
            _ => self.0.push(JsonPiece::Text(text.to_owned())),
        }
    }

    fn append(&mut self, other: Self) {
        for piece in other.0 {
            match piece {
                JsonPiece::Text(text) => self.push_text(&text),
                JsonPiece::Value(_) => self.0.push(piece),
            }
        }
    }
}
