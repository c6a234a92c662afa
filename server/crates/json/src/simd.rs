//! Byte searches with 16-byte SIMD and without `unsafe`. `wide` uses the baseline SIMD of the target (SSE2, NEON)
//! and falls back to integer arithmetic on other targets.

use wide::u8x16;

/// Bytes per SIMD vector.
const VECTOR: usize = 16;

/// Returns a word with `byte` in each of its eight bytes.
const fn repeat_byte(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Returns a word in which the high bit of every zero byte is set. Bytes above the lowest zero byte may be
/// false positives: only the lowest set bit, and whether any bit is set, are reliable.
const fn zero_byte_mask(word: u64) -> u64 {
    word.wrapping_sub(repeat_byte(1)) & !word & repeat_byte(0x80)
}

/// Returns the offset of the first byte at or after `from` that must be escaped in a JSON string (`"`, `\`, or a
/// control character below 0x20, RFC 8259 section 7), or `bytes.len()`.
#[inline]
pub fn find_escape(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(vector) = bytes.get(at..).and_then(<[u8]>::first_chunk::<VECTOR>) {
        let vector = u8x16::from(*vector);
        let control = vector.min(u8x16::splat(0x1f)).simd_eq(vector);
        let found = vector.simd_eq(u8x16::splat(b'"')) | vector.simd_eq(u8x16::splat(b'\\')) | control;
        let mask = found.to_bitmask();
        if mask != 0 {
            return at + mask.trailing_zeros() as usize;
        }
        at += VECTOR;
    }
    find_escape_in_tail(bytes, at)
}

/// As [`find_escape`] for fewer than [`VECTOR`] remaining bytes: one 8-byte word (SWAR), then single bytes.
fn find_escape_in_tail(bytes: &[u8], mut at: usize) -> usize {
    if let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*chunk);
        let control = word.wrapping_sub(repeat_byte(0x20)) & !word & repeat_byte(0x80);
        let found = zero_byte_mask(word ^ repeat_byte(b'"')) | zero_byte_mask(word ^ repeat_byte(b'\\')) | control;
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).unwrap_or(rest.len())
}

/// Returns whether `bytes` contains one of four bytes.
#[inline]
pub fn contains_any(bytes: &[u8], wanted: [u8; 4]) -> bool {
    let [a, b, c, d] = wanted;
    if let Some(last) = bytes.last_chunk::<VECTOR>() {
        let vectors = wanted.map(u8x16::splat);
        let found = |vector: &[u8; VECTOR]| {
            let vector = u8x16::from(*vector);
            vector.simd_eq(vectors[0])
                | vector.simd_eq(vectors[1])
                | vector.simd_eq(vectors[2])
                | vector.simd_eq(vectors[3])
        };
        // The last vector overlaps the one before it, so that no tail remains.
        let mut any = found(last);
        for vector in bytes.as_chunks::<VECTOR>().0 {
            any |= found(vector);
        }
        return any.to_bitmask() != 0;
    }
    let found = |word: u64| {
        zero_byte_mask(word ^ repeat_byte(a))
            | zero_byte_mask(word ^ repeat_byte(b))
            | zero_byte_mask(word ^ repeat_byte(c))
            | zero_byte_mask(word ^ repeat_byte(d))
            != 0
    };
    if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        return found(u64::from_le_bytes(*first)) || found(u64::from_le_bytes(*last));
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        return found(u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32);
    }
    bytes.iter().any(|byte| wanted.contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_byte_to_escape_is_found() {
        for length in 0..40 {
            for special in ['"', '\\', '\u{1f}', '\n', '\0'] {
                let text = format!("{}{special}{}", "ü".repeat(length), "\"\\".repeat(5));
                assert_eq!(find_escape(text.as_bytes(), 0), 2 * length, "{text:?}");
            }
            let text = "\u{7f}\u{80}~ ".repeat(length);
            assert_eq!(find_escape(text.as_bytes(), 0), text.len());
        }
    }

    proptest! {
        #[test]
        fn searches_agree_with_a_scan_of_single_bytes(
            bytes in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..80),
                prop::collection::vec(prop::sample::select(b"az\"\\,\n\x1f\x20\x00\x80\xff!#".to_vec()), 0..80),
                prop::collection::vec(Just(b'x'), 0..80),
            ],
            at in 0_usize..80,
            wanted in any::<[u8; 4]>(),
            delimiter in any::<u8>(),
        ) {
            let at = at.min(bytes.len());
            let ends = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
            let expected = at + bytes[at..].iter().position(ends).unwrap_or(bytes.len() - at);
            prop_assert_eq!(find_escape(&bytes, at), expected);
            for wanted in [wanted, [b'"', b'\n', b'\r', delimiter], [b'"', b'\n', b'\r', b',']] {
                prop_assert_eq!(contains_any(&bytes, wanted), bytes.iter().any(|byte| wanted.contains(byte)));
            }
        }
    }
}
