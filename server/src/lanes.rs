//! Sixteen bytes at a time, without code whose safety nobody checks: `wide` has the lanes every processor
//! of an architecture has (SSE2, NEON), and plain arithmetic elsewhere.

use wide::u8x16;

/// How many bytes a lane holds.
const LANE: usize = 16;

/// The same byte eight times.
const fn eight(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// The high bit of every byte that is zero. Above the lowest such byte there may be false alarms, so that
/// only the lowest counts, and whether there is any.
const fn zeros(word: u64) -> u64 {
    word.wrapping_sub(eight(1)) & !word & eight(0x80)
}

/// Where the first byte of `bytes` from `at` on is that cannot stand in a JSON string as it is: a quote, a
/// backslash or a control character. The length of `bytes` if there is none.
#[inline]
pub fn end_of_plain(bytes: &[u8], mut at: usize) -> usize {
    while let Some(lane) = bytes.get(at..).and_then(<[u8]>::first_chunk::<LANE>) {
        let lane = u8x16::from(*lane);
        let control = lane.min(u8x16::splat(0x1f)).simd_eq(lane);
        let found = lane.simd_eq(u8x16::splat(b'"')) | lane.simd_eq(u8x16::splat(b'\\')) | control;
        let mask = found.to_bitmask();
        if mask != 0 {
            return at + mask.trailing_zeros() as usize;
        }
        at += LANE;
    }
    end_of_short_plain(bytes, at)
}

/// As [`end_of_plain`], where less than a lane is left.
fn end_of_short_plain(bytes: &[u8], mut at: usize) -> usize {
    if let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*chunk);
        let control = word.wrapping_sub(eight(0x20)) & !word & eight(0x80);
        let found = zeros(word ^ eight(b'"')) | zeros(word ^ eight(b'\\')) | control;
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).unwrap_or(rest.len())
}

/// Whether one of four bytes is among `bytes`.
#[inline]
pub fn has_any(bytes: &[u8], wanted: [u8; 4]) -> bool {
    let [a, b, c, d] = wanted;
    if let Some(last) = bytes.last_chunk::<LANE>() {
        let lanes = wanted.map(u8x16::splat);
        let found = |lane: &[u8; LANE]| {
            let lane = u8x16::from(*lane);
            lane.simd_eq(lanes[0]) | lane.simd_eq(lanes[1]) | lane.simd_eq(lanes[2]) | lane.simd_eq(lanes[3])
        };
        // The last lane overlaps the one before it, so that nothing is left over.
        let mut any = found(last);
        for lane in bytes.as_chunks::<LANE>().0 {
            any |= found(lane);
        }
        return any.to_bitmask() != 0;
    }
    let found = |word: u64| {
        zeros(word ^ eight(a)) | zeros(word ^ eight(b)) | zeros(word ^ eight(c)) | zeros(word ^ eight(d)) != 0
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
    fn plain_text_ends_where_it_says() {
        for length in 0..40 {
            for special in ['"', '\\', '\u{1f}', '\n', '\0'] {
                let text = format!("{}{special}{}", "ü".repeat(length), "\"\\".repeat(5));
                assert_eq!(end_of_plain(text.as_bytes(), 0), 2 * length, "{text:?}");
            }
            let text = "\u{7f}\u{80}~ ".repeat(length);
            assert_eq!(end_of_plain(text.as_bytes(), 0), text.len());
        }
    }

    proptest! {
        #[test]
        fn what_is_found_is_there(
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
            prop_assert_eq!(end_of_plain(&bytes, at), expected);
            for wanted in [wanted, [b'"', b'\n', b'\r', delimiter], [b'"', b'\n', b'\r', b',']] {
                prop_assert_eq!(has_any(&bytes, wanted), bytes.iter().any(|byte| wanted.contains(byte)));
            }
        }
    }
}
