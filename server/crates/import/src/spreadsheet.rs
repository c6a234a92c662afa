//! What spreadsheets make of numbers, dates and formulas when they save a file.

use jiff::ToSpan as _;

/// Error values of formulas, in English, German, French, Spanish, Italian and Portuguese.
const ERROR_VALUES: &[&str] = &[
    "#NAME?",
    "#REF!",
    "#VALUE!",
    "#DIV/0!",
    "#NULL!",
    "#NUM!",
    "#SPILL!",
    "#CALC!",
    "#BEZUG!",
    "#WERT!",
    "#ZAHL!",
    "#NOM?",
    "#VALEUR!",
    "#NOMBRE!",
    "#¿NOMBRE?",
    "#¡REF!",
    "#¡VALOR!",
    "#¡DIV/0!",
    "#VALOR!",
    "#NOME?",
    "#RIF!",
    "#VALORE!",
];

/// Returns whether a text is the error value of a formula, or what a spreadsheet writes for a value that is wider than
/// its column.
pub(super) fn is_error_value(text: &str) -> bool {
    ERROR_VALUES.contains(&text) || (text.len() >= 3 && text.bytes().all(|byte| byte == b'#'))
}

/// Returns whether a text is a number as spreadsheets shorten it: `4.91711E+11`, or with a decimal comma.
pub(super) fn is_scientific(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let Some((mantissa, exponent)) = digits.split_once("E+").or_else(|| digits.split_once("E-")) else { return false };
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once(['.', ',']).unwrap_or((mantissa, "0"));
    all_digits(whole) && all_digits(fraction) && all_digits(exponent) && exponent.len() <= 3
}

/// Returns the date of a day number between 1920 and 2069; `None` for other texts.
pub(super) fn day_number(text: &str) -> Option<jiff::civil::Date> {
    let is_number = matches!(text.len(), 4 | 5) && text.bytes().all(|byte| byte.is_ascii_digit());
    let days: i64 = if is_number { text.parse().ok()? } else { return None };
    if !(7306..=62_093).contains(&days) {
        return None;
    }
    // Day 1 is 1900-01-01; spreadsheets count 1900-02-29, which did not exist.
    jiff::civil::date(1899, 12, 30).checked_add(days.days()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortened_numbers_and_day_numbers_are_recognized() {
        for (text, expected) in [
            ("4.91711E+11", true),
            ("4,91711E+11", true),
            ("1E+15", true),
            ("1E5", false),
            ("E+1", false),
            ("1.E+1", false),
        ] {
            assert_eq!(is_scientific(text), expected, "{text}");
        }
        for (text, expected) in [
            ("7306", Some("1920-01-01")),
            ("45291", Some("2023-12-31")),
            ("62093", Some("2069-12-31")),
            ("7305", None),
            ("62094", None),
            ("+4529", None),
        ] {
            assert_eq!(day_number(text).map(|date| date.to_string()).as_deref(), expected, "{text}");
        }
    }
}
