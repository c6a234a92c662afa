//! The transform `normalize_phone`.

mod regions;

use transforms_sdk::prelude::*;

/// ITU-T E.164, section 6.1: at most 15 digits, the country code included.
const MOST_DIGITS: usize = 15;
/// No country has shorter numbers for subscribers (Niue: 683 and 4 digits).
const FEWEST_DIGITS: usize = 7;

/// Writes a phone number as E.164 has it: a plus sign, the country code and the number, nothing else.
///
/// Blanks, brackets, hyphens, dots and slashes go; so do `tel:` and the `(0)` in `+49 (0) 30 …`. A number that
/// begins with `+` or `00` is international. Any other belongs to the region given: its trunk prefix (the `0`
/// of `030 …`) is dropped and its country code put in front. What cannot be a number of a country that exists
/// is refused: letters, extensions, too few or too many digits, an unassigned country code. Whether the number
/// is in service is not checked. Nothing, and text of nothing but blanks, gives nothing.
#[transform(
    example(r#"normalize_phone("+49 (0) 30 901820")"# => "+4930901820"),
    example(r#"normalize_phone("030/901820", "DE")"# => "+4930901820"),
    example(r#"normalize_phone("(415) 555-2671", "+1")"# => "+14155552671"),
)]
pub fn normalize_phone(
    /// The phone number.
    phone: Option<&str>,
    /// Where numbers without a country code belong: a country as two letters (`DE`), or its code (`+49`).
    region: Option<&str>,
) -> Result<Option<String>, Fault> {
    let region = region.map(country_code).transpose()?;
    let Some(phone) = phone else { return Ok(None) };
    let phone = phone.trim();
    let phone = match phone.get(..4) {
        Some(scheme) if scheme.eq_ignore_ascii_case("tel:") => &phone[4..],
        _ => phone,
    };
    let Written { plus, digits } = read(phone)?;
    if digits.is_empty() && !plus {
        return Ok(None);
    }
    let digits = if plus {
        digits
    } else if let Some(international) = digits.strip_prefix("00") {
        international.to_owned()
    } else {
        let code = region.ok_or(
            "`phone` has no country code, and `region` is not given: such as \"+49 30 901820\", or a region such as \"DE\" is expected",
        )?;
        match digits.strip_prefix("011").filter(|_| code == "1") {
            Some(international) => international.to_owned(),
            None => code.to_owned() + regions::without_trunk_prefix(code, &digits),
        }
    };
    let count = digits.len();
    if regions::country_code_of(&digits).is_none() {
        return Err("`phone` begins with a country code that no country has".into());
    }
    if !(FEWEST_DIGITS..=MOST_DIGITS).contains(&count) {
        return Err(fault!(
            "`phone` has {count} digits with its country code; {FEWEST_DIGITS} to {MOST_DIGITS} are expected"
        ));
    }
    Ok(Some(format!("+{digits}")))
}

/// `DE`, `+49`, `0049` or `49` as `49`.
fn country_code(region: &str) -> Result<&str, Fault> {
    let region = region.trim();
    let code = region.strip_prefix('+').or_else(|| region.strip_prefix("00")).unwrap_or(region);
    regions::country_code(region)
        .or_else(|| regions::country_code_of(code).filter(|found| *found == code))
        .ok_or_else(|| fault!("`region` is {region:?}; a country as two letters (DE) or its code (+49) is expected"))
}

/// What a number says once everything that only separates is gone.
struct Written {
    plus: bool,
    digits: String,
}

fn read(phone: &str) -> Result<Written, Fault> {
    let mut plus = false;
    let mut digits = String::with_capacity(MOST_DIGITS);
    let mut rest = phone.chars();
    while let Some(character) = rest.next() {
        match character {
            '+' | '\u{ff0b}' if digits.is_empty() && !plus => plus = true,
            // The national trunk prefix, shown beside the country code for those who call from inside.
            '(' if !digits.is_empty() && rest.as_str().starts_with("0)") && (plus || digits.starts_with("00")) => {
                rest.nth(1);
            }
            '(' | ')' | '-' | '.' | '/' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{ff0d}' => {}
            // Marks of direction and other invisible ones that come with copied numbers.
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' => {}
            character if character.is_whitespace() => {}
            character => match digit(character) {
                Some(digit) => digits.push(digit),
                None => return Err(fault!("`phone` contains {character:?}, which no phone number has")),
            },
        }
    }
    Ok(Written { plus, digits })
}

/// A decimal digit of the scripts that phone numbers are written in, as ASCII.
fn digit(character: char) -> Option<char> {
    /// The zeros: ASCII, Arabic, Persian, Devanagari, Bengali, Thai, full width.
    const ZEROS: [char; 7] = ['0', '\u{660}', '\u{6f0}', '\u{966}', '\u{9e6}', '\u{e50}', '\u{ff10}'];
    let value =
        ZEROS.iter().find_map(|zero| u32::from(character).checked_sub(u32::from(*zero)).filter(|value| *value < 10))?;
    char::from_digit(value, 10)
}
