//! A Bloom filter of member names: the names of an object in one integer, so that most absent names are rejected by one
//! comparison.

/// Returns a one-bit Bloom filter of a name, from its length, first and last byte.
#[inline]
pub(super) fn bit(name: &str) -> u64 {
    let outer = name.as_bytes().first().unwrap_or(&0).wrapping_add(name.as_bytes().last().unwrap_or(&0).rotate_left(2));
    1 << (outer.wrapping_add(name.len() as u8) & 63)
}
