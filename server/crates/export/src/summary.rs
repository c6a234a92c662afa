//! The result of an export.

use serde::{Deserialize, Serialize, Serializer};

use uie_core::message::Message;

/// The result of an export.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportSummary {
    /// Rows written.
    pub rows: u64,
    /// Cells or rows that could not be computed or read.
    pub faults: u64,
    /// The faults of single cells: they are empty, and their rows were written.
    #[serde(default)]
    pub cells: u64,
    /// Messages of the first faults. Serialized in their stored form, to be translated when they are shown.
    #[serde(serialize_with = "serialize_stored")]
    pub first_faults: Vec<Message>,
    /// Warnings about the files that were read. Serialized like the faults.
    #[serde(default, skip_serializing_if = "Vec::is_empty", serialize_with = "serialize_stored")]
    pub warnings: Vec<Message>,
}

fn serialize_stored<S: Serializer>(messages: &[Message], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(messages.iter().map(Message::to_stored))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uie_core::language::Language;
    use uie_core::message::{Localize, message};

    use super::*;

    #[test]
    fn stored_messages_are_translated_when_they_are_shown() {
        let place = message!("line {number}", number = 2);
        let fault = message!("{place}: {reason}", reason = message!("not a JSON object"));
        let summary = ExportSummary { rows: 1, faults: 1, cells: 0, first_faults: vec![fault], warnings: Vec::new() };
        let stored = serde_json::to_value(&summary).unwrap();
        let shown = |language| {
            let mut shown = stored.clone();
            shown.localize(language);
            shown["first_faults"][0].clone()
        };
        assert_eq!(shown(Language::ENGLISH), "line 2: not a JSON object");
        assert_eq!(shown(Language::of_tag("de").expect("German")), "Zeile 2: kein JSON-Objekt");
        assert_eq!(serde_json::from_value::<ExportSummary>(stored).unwrap(), summary);
        // A summary of an earlier version has plain texts.
        let mut earlier = json!({"rows": 1, "faults": 1, "first_faults": ["line 2: not a JSON object"]});
        assert_eq!(serde_json::from_value::<ExportSummary>(earlier.clone()).unwrap(), summary);
        earlier.localize(Language::of_tag("de").expect("German"));
        assert_eq!(earlier["first_faults"][0], "line 2: not a JSON object");
    }
}
