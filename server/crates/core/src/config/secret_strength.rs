//! Estimates how many attempts it takes to guess a secret.
//!
//! `EXTENSION_SECRET` is the key of an HMAC whose input and output a browser sees, so an attacker can test guesses
//! offline and fast. A random secret passes in any notation; words, names, dates, keyboard walks and repetitions do
//! not, regardless of their length.
//!
//! zxcvbn finds patterns, but its result is capped at 2^64, it counts every unknown character like a digit, and its
//! dictionaries are English. Therefore only its patterns are used. The text between them is estimated here, with a
//! table of letter pairs that distinguishes words from random letters.

use std::collections::HashSet;

use zxcvbn::matching::patterns::MatchPattern;
use zxcvbn::zxcvbn;

/// Minimum length of a secret in bytes.
pub(super) const MIN_SECRET_LENGTH: usize = 16;

/// Minimum strength of a secret: the base-2 logarithm of the number of attempts to guess it. 16 random bytes are far
/// above it in every notation.
const MIN_GUESS_BITS: f64 = 60.0;

/// Number of characters of a secret that are examined. Further characters do not change the estimate.
const MAX_EXAMINED: usize = 256;

/// Maximum length of a text for zxcvbn, in characters; it ignores the rest of a longer text.
const WINDOW: usize = 100;

/// Minimum length of a part that counts as a repetition if it occurred before.
const MIN_REPETITION_LENGTH: usize = 4;

/// Bits of a repetition: its source and its length.
const REPETITION: f64 = 6.0;

/// Bits of a hexadecimal digit of a random number, and the minimum length of such a number.
const HEX_DIGIT: f64 = 4.0;
const MIN_HEX_LENGTH: usize = 32;

/// Bits of a decimal digit.
const DIGIT: f64 = 3.32;

/// Bits of a year of the last or the current century.
const YEAR: f64 = 7.0;

/// Bits of the first letter of a word.
const FIRST_LETTER: f64 = 4.2;

/// Maximum bits of a letter: all 26 are equally likely.
const LETTER: f64 = 4.7;

/// Bits of a change between upper-case letters, lower-case letters and digits without a separator.
const CHANGE: f64 = 2.0;

/// Bits of a symbol at its first occurrence, and at later ones.
const SYMBOL: f64 = 3.5;
const SEPARATOR: f64 = 0.5;

/// Words that are likely in secrets of this product but missing or rare in zxcvbn's dictionaries.
const LIKELY_WORDS: &[&str] = &[
    "auth0",
    "extension",
    "secret",
    "user",
    "users",
    "import",
    "export",
    "tenant",
    "production",
    "prod",
    "staging",
    "test",
    "jwt",
    "token",
    "key",
    "company",
    "geheim",
    "geheimnis",
    "passwort",
    "kennwort",
    "schluessel",
    "firma",
    "firmen",
    "unternehmen",
    "kunden",
    "daten",
    "kundendaten",
    "benutzer",
    "konto",
    "verwaltung",
    "sommer",
    "winter",
    "herbst",
    "fruehling",
    "januar",
    "februar",
    "juli",
    "oktober",
    "dezember",
    "montag",
    "freitag",
    "muenchen",
    "hamburg",
    "koeln",
    "frankfurt",
    "stuttgart",
];

/// For each letter the cost of each following letter in bits, `-log2 P(b|a)`, rounded and at most 9. Counted in
/// 37,000 English and German words, with umlauts written as two letters.
const PAIRS: [&[u8; 26]; 26] = [
    b"94448646595343959343467867",
    b"35882777489388399456498969",
    b"39794992593599399474599969",
    b"37852868398577389448497959",
    b"56545666597453869234666688",
    b"39993489399398399384499969",
    b"38991955499475499356498969",
    b"27992999399565399474497959",
    b"56454649996452569533759896",
    b"29992999599989299969289999",
    b"38992998397485389444498958",
    b"37852779397376379955489958",
    b"25992898399747339956499979",
    b"47533637495685489743587966",
    b"65557656696443459344455778",
    b"39993595399498349345499969",
    b"99999999999699999999099999",
    b"36652767396655379544477957",
    b"48393894495667548942596969",
    b"38692894399688499344496955",
    b"55555557597442859333998997",
    b"39991999299999399999799979",
    b"27972894298685389559599989",
    b"49493697396799527863699958",
    b"45553767596444439434796996",
    b"49992999399598499995395954",
];

/// Returns why a secret is too weak for signatures that an attacker can test offline; `None` if it is strong enough.
pub(super) fn weak_secret_reason(secret: &str) -> Option<String> {
    if secret.len() < MIN_SECRET_LENGTH {
        return Some(format!("is too short ({} of {MIN_SECRET_LENGTH} bytes)", secret.len()));
    }
    let bits = guess_bits(secret);
    (bits < MIN_GUESS_BITS)
        .then(|| format!("can be guessed with about 2^{bits:.0} attempts, fewer than 2^{MIN_GUESS_BITS:.0}"))
}

/// Estimates the base-2 logarithm of the number of attempts to guess a secret.
fn guess_bits(secret: &str) -> f64 {
    // The dictionaries of zxcvbn take 7 MiB for the life of the process.
    if is_random_hex(secret.as_bytes()) {
        return HEX_DIGIT * secret.len().min(MAX_EXAMINED) as f64;
    }
    let characters: Vec<char> = secret.chars().take(MAX_EXAMINED).collect();
    let (fragments, repetitions) = split_at_repetitions(&characters);
    let fragments = fragments.iter().flat_map(|fragment| fragment.chunks(WINDOW));
    let new: f64 = fragments.map(|fragment| fragment_bits(&fragment.iter().collect::<String>())).sum();
    new + REPETITION * repetitions as f64
}

/// Whether a text is surely a random number in hexadecimal digits: without repetitions, sequences, words, dates and
/// decimal numbers. False for some random numbers; those are estimated like any other text.
fn is_random_hex(text: &[u8]) -> bool {
    let digits: Option<Vec<u32>> = text.iter().map(|&byte| char::from(byte).to_digit(16)).collect();
    let Some(digits) = digits.filter(|digits| digits.len() >= MIN_HEX_LENGTH) else { return false };
    let longest_run = |letters: bool| {
        digits.chunk_by(|a, b| (*a > 9) == (*b > 9)).filter(|run| (run[0] > 9) == letters).map(<[u32]>::len).max()
    };
    // Words such as `deadbeef`, and years, dates and numbers.
    let has_words = longest_run(true).is_none_or(|run| run > 5) || longest_run(false).is_none_or(|run| run > 12);
    // Sequences, also of every second, third or fourth digit: of random ones, 18 % are equal or neighbors.
    let has_sequences = (1..=4).any(|distance| {
        let pairs = digits.iter().zip(&digits[distance..]);
        let neighbors = pairs.filter(|(a, b)| a.abs_diff(**b) <= 1).count();
        neighbors * 5 > (digits.len() - distance) * 2
    });
    let characters: Vec<char> = text.iter().map(|&byte| char::from(byte)).collect();
    let has_repetitions = split_at_repetitions(&characters).1 > 0;
    let distinct = digits.iter().collect::<HashSet<_>>().len();
    !has_words && !has_sequences && !has_repetitions && distinct >= 10
}

/// Returns the parts of a text that are not repetitions, and the number of repetitions.
fn split_at_repetitions(text: &[char]) -> (Vec<&[char]>, usize) {
    let folded: Vec<char> = text.iter().map(char::to_ascii_lowercase).collect();
    let (mut fragments, mut repetitions) = (Vec::new(), 0);
    let (mut start, mut at) = (0, 0);
    while at < text.len() {
        let same = |from: usize| folded[from..].iter().zip(&folded[at..]).take_while(|(a, b)| a == b).count();
        let length = (0..at).map(same).max().unwrap_or_default();
        if length < MIN_REPETITION_LENGTH {
            at += 1;
            continue;
        }
        fragments.push(&text[start..at]);
        repetitions += 1;
        at += length;
        start = at;
    }
    fragments.push(&text[start..]);
    fragments.retain(|fragment| !fragment.is_empty());
    (fragments, repetitions)
}

fn fragment_bits(fragment: &str) -> f64 {
    let hexadecimal = fragment.len() >= 8
        && fragment.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F' | b'-'))
        && fragment.bytes().any(|byte| byte.is_ascii_digit());
    pattern_bits(fragment, |unknown| if hexadecimal { hexadecimal_bits(unknown) } else { runs_bits(unknown) })
}

/// Returns the sum of the bits of zxcvbn's patterns and of the text between them. At most `unknown(text)`, since a
/// pattern within a longer word does not make that word harder to guess.
fn pattern_bits(text: &str, unknown: impl Fn(&str) -> f64) -> f64 {
    let estimate = zxcvbn(text, LIKELY_WORDS);
    let matches = estimate.sequence().iter().map(|found| match (&found.pattern, found.guesses) {
        (MatchPattern::BruteForce, _) | (_, None) => unknown(&found.token),
        (_, Some(guesses)) => (guesses.max(1) as f64).log2().min(unknown(&found.token)),
    });
    matches.sum::<f64>().min(unknown(text))
}

fn hexadecimal_bits(text: &str) -> f64 {
    4.0 * text.bytes().filter(|byte| *byte != b'-').count() as f64
}

/// The class of the characters of a run.
#[derive(Clone, Copy, PartialEq)]
enum CharClass {
    Upper,
    Lower,
    Digit,
    Symbol,
}

fn char_class(character: char) -> CharClass {
    match character {
        _ if character.is_numeric() => CharClass::Digit,
        _ if character.is_uppercase() => CharClass::Upper,
        _ if character.is_alphabetic() => CharClass::Lower,
        _ => CharClass::Symbol,
    }
}

/// Splits a text into words, numbers and symbols, as in `winterTime2026`, and returns the sum of their bits.
fn runs_bits(text: &str) -> f64 {
    let mut symbols = HashSet::new();
    let mut bits = 0.0;
    let mut rest = text;
    let mut after_symbol = true;
    while let Some(first) = rest.chars().next() {
        let run = first_run(rest);
        rest = rest.strip_prefix(run).unwrap_or_default();
        bits += match char_class(first) {
            CharClass::Symbol if symbols.insert(first) => SYMBOL,
            CharClass::Symbol => SEPARATOR,
            CharClass::Digit if run.len() == 4 && (run.starts_with("19") || run.starts_with("20")) => YEAR,
            CharClass::Digit => DIGIT * run.chars().count() as f64,
            CharClass::Upper | CharClass::Lower if run.len() < 3 => letters_bits(run),
            CharClass::Upper | CharClass::Lower => pattern_bits(run, letters_bits),
        };
        if char_class(first) != CharClass::Symbol && !after_symbol {
            bits += CHANGE;
        }
        after_symbol = char_class(first) == CharClass::Symbol;
    }
    bits
}

/// Returns the first run of a text: one symbol, a number, upper-case letters, or a word, which may be capitalized.
fn first_run(text: &str) -> &str {
    let mut characters = text.char_indices();
    let Some((_, first)) = characters.next() else { return text };
    let mut previous = char_class(first);
    let end = characters.find(|(at, character)| {
        let (before, now) = (previous, char_class(*character));
        previous = now;
        let capitalized = before == CharClass::Upper && now == CharClass::Lower && *at == first.len_utf8();
        before == CharClass::Symbol || (before != now && !capitalized)
    });
    end.and_then(|(at, _)| text.get(..at)).unwrap_or(text)
}

/// Returns the bits of a run of letters. The letters of a word get easier to guess with each letter, unlike random
/// letters.
fn letters_bits(word: &str) -> f64 {
    let letters: Vec<Option<usize>> = word
        .chars()
        .map(|letter| letter.is_ascii_alphabetic().then(|| usize::from(letter.to_ascii_lowercase() as u8 - b'a')))
        .collect();
    let pairs = letters.windows(2).enumerate().map(|(at, pair)| {
        // A letter that is not in the table gets the average of a word.
        let cost = match pair {
            [Some(a), Some(b)] => f64::from(PAIRS[*a][*b] - b'0'),
            _ => 3.3,
        };
        let predictable = if at < 3 { 1.2 } else { 2.7 };
        (cost - predictable).clamp(0.3, LETTER)
    });
    FIRST_LETTER + pairs.sum::<f64>()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::encryption::{hex, random};

    #[test]
    fn random_hexadecimal_numbers_need_no_dictionaries() {
        let random = |length| -> String {
            (0..length).map(|_| char::from_digit(rand::random_range(0..16), 16).expect("a digit")).collect()
        };
        let recognized = (0..1000).filter(|_| is_random_hex(random(64).as_bytes())).count();
        assert!(recognized > 600, "{recognized} of 1000");
        for guessable in [
            "0123456789abcdef0123456789abcdef",
            "0123456789abcdeffedcba9876543210",
            "deadbeefcafebabefeedfacedecade00",
            "a1b2c3d4e5f6a7b8c9d0e1f2a3b4c5d6",
            "1a2b3c4d5e6f1a2b3c4d5e6f1a2b3c4d",
            "19840512198405131984051419840515",
            "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbb",
            "00000000000000000000000000000000",
            "8d3f1c6b8d3f1c6b8d3f1c6b8d3f1c6b",
            "8d3f1c6b5a2e4970",
        ] {
            assert!(!is_random_hex(guessable.as_bytes()), "{guessable}");
        }
    }

    #[test]
    fn long_words_names_dates_keyboard_walks_and_repetitions_are_guessable() {
        for secret in [
            "Sommer2026!Sommer2026",
            "companyname-export-secret",
            "correcthorsebatterystaple",
            "correct horse battery staple",
            "user-import-export-secret",
            "Unternehmensgeheimnis2026",
            "Unternehmensgeheimnis-Firmenname-2026",
            "Donaudampfschifffahrtsgesellschaft",
            "MeinGeheimesPasswort2026!",
            "Kundendaten_Export_Schluessel_01",
            "Hamburg-Muenchen-Berlin-2025",
            "qwertzuiopasdfghjkl",
            "qwertyuiop[]asdfghjkl",
            "1qaz2wsx3edc4rfv5tgb",
            "0123456789abcdef0123456789abcdef",
            "abcabcabcabcabcabcabc",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "Change-Me! Change-Me!",
            "this-is-my-very-long-production-secret-key",
            "P@ssw0rd!P@ssw0rd!2026",
            "x7Kp9x7Kp9x7Kp9x7Kp9x7Kp9",
            "k8f2-k8f2-k8f2-k8f2-k8f2-k8f2-k8f2",
            "00000000-0000-0000-0000-000000000000",
            "AdaLovelace1815-12-10London",
            "auth0-extension-secret-prod-eu",
            "a secret of the tests, long enough",
        ] {
            let bits = guess_bits(secret);
            assert!(bits < MIN_GUESS_BITS, "{secret}: {bits}");
            // Three copies are not harder to guess.
            let bits = guess_bits(&[secret; 3].join("-"));
            assert!(bits < MIN_GUESS_BITS + 2.0 * REPETITION + SYMBOL, "{secret} three times: {bits}");
        }
    }

    #[test]
    fn random_secrets_pass_in_every_notation() {
        for _ in 0..200 {
            let bytes: [u8; 16] = random().unwrap();
            let digits = hex(&bytes);
            let uuid = [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| &digits[range]).join("-");
            let secrets = [STANDARD.encode(bytes), digits.to_uppercase(), uuid, digits.clone(), digits.repeat(100)];
            for secret in secrets {
                let bits = guess_bits(&secret);
                // Far above the limit: one in a million is below it.
                assert!(bits > MIN_GUESS_BITS + 8.0, "{secret}: {bits}");
            }
        }
        for phrase in [
            "gecko paparazzi share hypnoses freezing occupier",
            "legibly-petty-extending-evasion-popular-steerable",
            "BacktrackHandgunMankindNurseryArousalSpinout",
            "gesendet labil klopfen kanu abhacken leut",
        ] {
            assert!(guess_bits(phrase) > MIN_GUESS_BITS, "{phrase}: {}", guess_bits(phrase));
        }
    }

    #[test]
    fn any_text_has_an_estimate_in_bounded_time() {
        assert!(guess_bits("").abs() < f64::EPSILON);
        let long = "ü\u{0}🔑 ".repeat(100_000);
        for text in ["a", "ü", "\u{0}\u{0}", "日本語日本語", "١٢٣٤", long.as_str()] {
            assert!(guess_bits(text).is_finite(), "{text:?}");
        }
    }
}
