//! Estimates how many attempts it takes to guess a secret.
//!
//! `EXTENSION_SECRET` is the key of an HMAC whose input and output a browser sees, so guesses can be tested
//! offline and fast. A random secret passes in whatever notation it was generated; words, names, dates,
//! keyboard walks and repetitions do not, whatever their length looks like.
//!
//! zxcvbn finds patterns, but its result ends at 2^64, it counts every character that it does not know like a
//! digit, and its dictionaries are English. So only its patterns are taken from it. What lies between
//! them is estimated here, with letter pairs that tell words from random letters.

use std::collections::HashSet;

use zxcvbn::matching::patterns::MatchPattern;
use zxcvbn::zxcvbn;

/// Characters of a secret that are examined. More of them add nothing to the estimate.
const EXAMINED: usize = 256;

/// Characters that zxcvbn examines at once; it ignores the rest of a longer text.
const WINDOW: usize = 100;

/// Length from which on a part that occurred before counts as a repetition.
const REPEATED: usize = 4;

/// Bits of a repetition: where it comes from, and how long it is.
const REPETITION: f64 = 6.0;

/// Bits of a decimal digit.
const DIGIT: f64 = 3.32;

/// Bits of a year of the last or the current century.
const YEAR: f64 = 7.0;

/// Bits of the first letter of a word.
const FIRST_LETTER: f64 = 4.2;

/// The most bits of a letter: all 26 are equally likely.
const LETTER: f64 = 4.7;

/// Bits of a change between capital letters, small letters and digits without a separator.
const CHANGE: f64 = 2.0;

/// Bits of a symbol at its first occurrence, and of one that separates for the second time.
const SYMBOL: f64 = 3.5;
const SEPARATOR: f64 = 0.5;

/// Words that zxcvbn's dictionaries lack or rank as rare, and that are tried early for this product.
const OBVIOUS: &[&str] = &[
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

/// Returns the logarithm to base 2 of the number of attempts after which a person's secret is found, roughly.
pub(super) fn guess_bits(secret: &str) -> f64 {
    let characters: Vec<char> = secret.chars().take(EXAMINED).collect();
    let (fragments, repetitions) = split_at_repetitions(&characters);
    let fragments = fragments.iter().flat_map(|fragment| fragment.chunks(WINDOW));
    let new: f64 = fragments.map(|fragment| fragment_bits(&fragment.iter().collect::<String>())).sum();
    new + REPETITION * repetitions as f64
}

/// The parts of a text that did not occur before, and how many parts did.
fn split_at_repetitions(text: &[char]) -> (Vec<&[char]>, usize) {
    let folded: Vec<char> = text.iter().map(char::to_ascii_lowercase).collect();
    let (mut fragments, mut repetitions) = (Vec::new(), 0);
    let (mut start, mut at) = (0, 0);
    while at < text.len() {
        let same = |from: usize| folded[from..].iter().zip(&folded[at..]).take_while(|(a, b)| a == b).count();
        let length = (0..at).map(same).max().unwrap_or_default();
        if length < REPEATED {
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

/// Adds up the patterns that zxcvbn finds, and what lies between them. A pattern in the middle of a longer word
/// makes that word no harder to guess.
fn pattern_bits(text: &str, unknown: impl Fn(&str) -> f64) -> f64 {
    let estimate = zxcvbn(text, OBVIOUS);
    let matches = estimate.sequence().iter().map(|found| match (&found.pattern, found.guesses) {
        (MatchPattern::BruteForce, _) | (_, None) => unknown(&found.token),
        (_, Some(guesses)) => (guesses.max(1) as f64).log2().min(unknown(&found.token)),
    });
    matches.sum::<f64>().min(unknown(text))
}

fn hexadecimal_bits(text: &str) -> f64 {
    4.0 * text.bytes().filter(|byte| *byte != b'-').count() as f64
}

/// What a run of similar characters consists of.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Capital,
    Small,
    Digit,
    Symbol,
}

fn kind(character: char) -> Kind {
    match character {
        _ if character.is_numeric() => Kind::Digit,
        _ if character.is_uppercase() => Kind::Capital,
        _ if character.is_alphabetic() => Kind::Small,
        _ => Kind::Symbol,
    }
}

/// Splits a text into words, numbers and symbols, as in `winterTime2026`, and adds up what they cost.
fn runs_bits(text: &str) -> f64 {
    let mut symbols = HashSet::new();
    let mut bits = 0.0;
    let mut rest = text;
    let mut after_symbol = true;
    while let Some(first) = rest.chars().next() {
        let run = run(rest);
        rest = rest.strip_prefix(run).unwrap_or_default();
        bits += match kind(first) {
            Kind::Symbol if symbols.insert(first) => SYMBOL,
            Kind::Symbol => SEPARATOR,
            Kind::Digit if run.len() == 4 && (run.starts_with("19") || run.starts_with("20")) => YEAR,
            Kind::Digit => DIGIT * run.chars().count() as f64,
            Kind::Capital | Kind::Small if run.len() < 3 => letters_bits(run),
            Kind::Capital | Kind::Small => pattern_bits(run, letters_bits),
        };
        if kind(first) != Kind::Symbol && !after_symbol {
            bits += CHANGE;
        }
        after_symbol = kind(first) == Kind::Symbol;
    }
    bits
}

/// The first run of a text: one symbol, a number, capital letters, or a word with or without a capital.
fn run(text: &str) -> &str {
    let mut characters = text.char_indices();
    let Some((_, first)) = characters.next() else { return text };
    let mut previous = kind(first);
    let end = characters.find(|(at, character)| {
        let (before, now) = (previous, kind(*character));
        previous = now;
        let capitalised = before == Kind::Capital && now == Kind::Small && *at == first.len_utf8();
        before == Kind::Symbol || (before != now && !capitalised)
    });
    end.and_then(|(at, _)| text.get(..at)).unwrap_or(text)
}

/// Words get easier to guess with each letter; random letters do not.
fn letters_bits(word: &str) -> f64 {
    let letters: Vec<Option<usize>> = word
        .chars()
        .map(|letter| letter.is_ascii_alphabetic().then(|| usize::from(letter.to_ascii_lowercase() as u8 - b'a')))
        .collect();
    let pairs = letters.windows(2).enumerate().map(|(at, pair)| {
        // A letter that is not in the table is as likely as the average one of a word.
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
    use crate::config::GUESS_BITS;
    use crate::seal::{hex, random};

    #[test]
    fn words_names_dates_walks_and_repetitions_are_guessable_however_long() {
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
            assert!(bits < GUESS_BITS, "{secret}: {bits}");
            // Writing it three times makes it no harder to guess.
            let bits = guess_bits(&[secret; 3].join("-"));
            assert!(bits < GUESS_BITS + 2.0 * REPETITION + SYMBOL, "{secret} three times: {bits}");
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
                // Far above the limit: one in a million falls below it.
                assert!(bits > GUESS_BITS + 8.0, "{secret}: {bits}");
            }
        }
        for phrase in [
            "gecko paparazzi share hypnoses freezing occupier",
            "legibly-petty-extending-evasion-popular-steerable",
            "BacktrackHandgunMankindNurseryArousalSpinout",
            "gesendet labil klopfen kanu abhacken leut",
        ] {
            assert!(guess_bits(phrase) > GUESS_BITS, "{phrase}: {}", guess_bits(phrase));
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
