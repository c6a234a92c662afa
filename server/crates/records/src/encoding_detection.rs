//! Detects the encoding of a text from its bytes.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{
    BIG5, EUC_JP, EUC_KR, Encoding, GBK, ISO_2022_JP, MACINTOSH, SHIFT_JIS, UTF_16BE, UTF_16LE, X_MAC_CYRILLIC,
};

/// Encodings of classic Mac OS, which the detector does not know.
const MAC_ENCODINGS: [&Encoding; 2] = [MACINTOSH, X_MAC_CYRILLIC];

/// Returns the encoding of a byte order mark of two bytes; `None` if there is no such mark.
pub(crate) fn from_byte_order_mark(head: &[u8]) -> Option<&'static Encoding> {
    match head {
        [0xFF, 0xFE, ..] => Some(UTF_16LE),
        [0xFE, 0xFF, ..] => Some(UTF_16BE),
        _ => None,
    }
}

/// Returns the encoding if the beginning of a file is UTF-16 without a byte order mark: its ASCII characters, such as
/// separators and e-mail addresses, have a zero byte, all of them in the same place.
pub(crate) fn detect_utf16(head: &[u8]) -> Option<&'static Encoding> {
    let (pairs, _) = head.as_chunks::<2>();
    let zeros = |at: usize| pairs.iter().filter(|pair| pair.get(at) == Some(&0)).count();
    // A damaged file may have single zero bytes.
    let enough = (pairs.len() / 4).max(2);
    let (encoding, unit): (_, fn([u8; 2]) -> u16) = match (zeros(0), zeros(1)) {
        (0, zeros) if zeros >= enough => (UTF_16LE, u16::from_le_bytes),
        (zeros, 0) if zeros >= enough => (UTF_16BE, u16::from_be_bytes),
        _ => return None,
    };
    let mut characters = char::decode_utf16(pairs.iter().map(|pair| unit(*pair))).peekable();
    while let Some(character) = characters.next() {
        match character {
            Ok('\t' | '\n' | '\r') => {}
            Ok(character) if !character.is_control() => {}
            // The head may end inside a surrogate pair.
            Err(_) if characters.peek().is_none() => {}
            _ => return None,
        }
    }
    Some(encoding)
}

/// Returns the encoding of a part of a text that starts with the first byte that is not ASCII, or with an escape;
/// `None` for UTF-8. `is_complete` means that the text ends with the part.
///
/// A text with more valid than invalid sequences of UTF-8 is UTF-8, so that one damaged byte does not change the
/// encoding of the whole text.
pub(crate) fn detect_encoding(part: &[u8], is_complete: bool) -> Option<&'static Encoding> {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    if part.is_ascii() {
        detector.feed(part, is_complete);
        return Some(detector.guess(None, Utf8Detection::Allow)).filter(|encoding| *encoding == ISO_2022_JP);
    }
    if is_mostly_utf8(part, is_complete) {
        return None;
    }
    detector.feed(part, is_complete);
    let detected = detector.guess(None, Utf8Detection::Deny);
    // A file of Mac OS is detected as another encoding, in which its text looks odd.
    let oddities = count_oddities(part, detected);
    let mac = MAC_ENCODINGS.into_iter().map(|encoding| (count_oddities(part, encoding), encoding));
    let mac = mac.min_by_key(|(oddities, _)| *oddities);
    Some(mac.filter(|(odd_mac, _)| oddities > 4 * odd_mac).map_or(detected, |(_, encoding)| encoding))
}

fn is_mostly_utf8(part: &[u8], is_complete: bool) -> bool {
    let (mut good, mut bad) = (0, 0);
    let mut left = part.len();
    for chunk in part.utf8_chunks() {
        good += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        left -= chunk.valid().len() + chunk.invalid().len();
        // The last character may be truncated by the end of the part.
        bad += usize::from(!chunk.invalid().is_empty() && (left > 0 || is_complete));
    }
    bad == 0 || good > bad
}

/// Counts what does not occur in a text of people in this encoding: control characters, capital letters within words,
/// symbols within words, and ideographs next to Latin letters.
fn count_oddities(part: &[u8], encoding: &'static Encoding) -> usize {
    let (text, _) = encoding.decode_without_bom_handling(part);
    let is_ideographic = [SHIFT_JIS, EUC_JP, EUC_KR, GBK, BIG5].contains(&encoding);
    let mut count = 0;
    let mut before = ' ';
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let after = characters.peek().copied().unwrap_or(' ');
        if !character.is_ascii() {
            let odd = if character.is_alphabetic() {
                let in_latin = before.is_ascii_lowercase() || after.is_ascii_lowercase();
                (character.is_uppercase() && before.is_lowercase()) || (is_ideographic && in_latin)
            } else {
                // Signs at the end of words, combining marks, tone marks of Thai, and punctuation of East Asia.
                let is_end = matches!(
                    character,
                    'º' | 'ª' | '’' | '…' | '\u{A0}' | '\u{300}'..='\u{36F}' | '\u{E47}'..='\u{E4E}' | '\u{3000}'..
                );
                let in_word = before.is_alphabetic() && after.is_alphabetic();
                let at_word = before.is_alphabetic() || after.is_alphabetic();
                let is_quote =
                    matches!(character, '‘' | '’' | '“' | '”' | '„' | '‚' | '«' | '»' | '‹' | '›' | '©' | '®' | '™');
                character.is_control()
                    || character == char::REPLACEMENT_CHARACTER
                    || if is_quote { in_word && character != '’' } else { at_word && !is_end }
            };
            count += usize::from(odd);
        }
        before = character;
    }
    count
}
