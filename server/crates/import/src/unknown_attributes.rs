//! Proposes a rule of the mapping for each unknown attribute that rows of JSON have.

use super::proposals::{UnknownColumn, lines, propose};
use super::summary::Reason;
use uie_core::message::{Message, message};
use uie_core::user;
use uie_records::{Step, parse_path};

/// Returns a hint with a rule for each unknown attribute that rows of JSON have, according to the reasons of their
/// errors; `None` without such reasons. A row's own attribute has priority over the one that is mapped to it.
pub fn unknown_attributes_hint(reasons: &[Reason]) -> Option<Message> {
    let paths = reasons.iter().filter(|reason| reason.code == "FORBIDDEN_ATTRIBUTE").filter_map(|reason| {
        match parse_path(reason.attribute.as_deref()?)?.as_slice() {
            [Step::Member(name)] if user::find(name).is_none() => Some(name.clone()),
            _ => None,
        }
    });
    let names: Vec<String> = paths.collect();
    let columns: Vec<UnknownColumn<'_>> =
        names.iter().map(|name| UnknownColumn { name, samples: Vec::new() }).collect();
    let mut proposals = propose(&columns, Vec::new());
    for proposal in &mut proposals {
        if let Some(attribute) = proposal.attribute.as_deref().filter(|attribute| !attribute.contains("metadata")) {
            proposal.expression = format!("user.{attribute} ?? {}", proposal.expression);
        }
    }
    (!proposals.is_empty()).then(|| {
        message!(
            "Map the unknown attributes (null leaves one out):\n{lines}\nTo leave all of them out, use --drop-unknown \
             instead.",
            lines = lines(&proposals)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_attributes_of_json_are_proposed_without_replacing_known_ones() {
        let reason = |code: &str, attribute: &str| Reason {
            code: code.to_owned(),
            attribute: Some(attribute.to_owned()),
            severity: crate::Severity::Error,
            count: 1,
            message: Message::verbatim(""),
            hint: None,
            lines: Vec::new(),
        };
        let reasons = [
            reason("FORBIDDEN_ATTRIBUTE", "created_at"),
            reason("FORBIDDEN_ATTRIBUTE", "Mail"),
            reason("FORBIDDEN_ATTRIBUTE", "[\"Shoe size\"]"),
            reason("FORBIDDEN_ATTRIBUTE", "mfa_factors[].sms"),
            reason("FORBIDDEN_ATTRIBUTE", "password"),
            reason("INVALID_TYPE", "email"),
        ];
        let text = unknown_attributes_hint(&reasons).unwrap().to_string();
        let rules: Vec<&str> = text.lines().filter_map(|line| line.trim().strip_prefix("--map ")).collect();
        assert_eq!(
            rules,
            [
                "'user.email ?? user.Mail=email' \\",
                "'user[\"Shoe size\"]=user_metadata.shoe_size' \\",
                "'null=password'"
            ]
        );
        assert_eq!(unknown_attributes_hint(&reasons[..1]), None);
    }
}
