//! Phone numbers.

/// Returns a phone number in E.164 (`+` and at most 15 digits) without separators; `None` if the country code is missing
/// or the text is no number.
pub(crate) fn e164(text: &str) -> Option<String> {
    let digits = text.trim().strip_prefix('+')?;
    let number: String =
        digits.chars().filter(|c| !matches!(c, ' ' | '-' | '.' | '(' | ')' | '/' | '\u{a0}')).collect();
    let valid = (1..=15).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
    (valid && !number.starts_with('0')).then(|| format!("+{number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_are_removed_and_a_country_code_is_required() {
        assert_eq!(e164(" +1 (212) 555-0001 ").as_deref(), Some("+12125550001"));
        for wrong in ["", "+", "212 555 0001", "0049 30 1234", "+1234567890123456", "+49x", "+0301234"] {
            assert_eq!(e164(wrong), None, "{wrong}");
        }
    }
}
