//! Stores the message of a panic where the host finds it.
//!
//! A transform has no imports, so it cannot report anything while it panics, and after the trap its exports
//! cannot be called. But the host can read its memory. It contains once, at a multiple of 8:
//!
//! | bytes | what |
//! |---|---|
//! | 27 | [`MAGIC`]: `user-import-export:panic:1` and a zero |
//! | 4 | length of the text in bytes, little endian; 0 until a panic |
//! | 1024 | the text, UTF-8, cut at a character where it is longer |

#[cfg(any(test, target_arch = "wasm32"))]
use std::sync::atomic::{AtomicU8, Ordering};

/// The start of the record.
pub const MAGIC: &[u8; 27] = b"user-import-export:panic:1\0";

/// The maximum length of the text, in bytes.
pub const LONGEST: usize = 1024;

/// Atomics, so that a `static` can be written without `unsafe`; there is only one thread.
#[cfg(any(test, target_arch = "wasm32"))]
#[repr(C, align(8))]
struct Record {
    magic: [u8; MAGIC.len()],
    length: [AtomicU8; 4],
    text: [AtomicU8; LONGEST],
}

/// `#[used]`, because no code reads the magic, so it would be optimized away.
#[cfg(any(test, target_arch = "wasm32"))]
#[used]
static LAST: Record =
    Record { magic: *MAGIC, length: [const { AtomicU8::new(0) }; 4], text: [const { AtomicU8::new(0) }; LONGEST] };

#[cfg(any(test, target_arch = "wasm32"))]
fn write(text: &str) {
    let mut length = text.len().min(LONGEST);
    while !text.is_char_boundary(length) {
        length -= 1;
    }
    for (cell, byte) in LAST.text.iter().zip(&text.as_bytes()[..length]) {
        cell.store(*byte, Ordering::Relaxed);
    }
    #[allow(clippy::cast_possible_truncation)] // at most LONGEST
    for (cell, byte) in LAST.length.iter().zip((length as u32).to_le_bytes()) {
        cell.store(byte, Ordering::Relaxed);
    }
}

/// Installs a panic hook that stores the message.
#[cfg(target_arch = "wasm32")]
pub(crate) fn keep() {
    static KEPT: std::sync::Once = std::sync::Once::new();
    KEPT.call_once(|| {
        std::panic::set_hook(Box::new(|panic| {
            let message = panic.payload_as_str().unwrap_or("a value that is no text");
            match panic.location() {
                Some(place) => write(&format!("{message} ({}:{})", place.file(), place.line())),
                None => write(message),
            }
        }));
    });
}

/// Finds the message of the last panic in a transform's memory: the record after the magic. `None` if it is
/// incomplete or empty. For hosts.
pub fn find(memory: &[u8]) -> Option<&str> {
    let at = memory.chunks(8).enumerate().find_map(|(index, _)| {
        let at = index * 8;
        memory.get(at..at + MAGIC.len()).filter(|bytes| bytes == MAGIC).map(|_| at + MAGIC.len())
    })?;
    let (length, rest) = memory.get(at..)?.split_first_chunk()?;
    let length = u32::from_le_bytes(*length) as usize;
    let text = rest.get(..length).filter(|_| (1..=LONGEST).contains(&length))?;
    std::str::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the bytes of the record, as a host sees them in the memory of a guest.
    fn memory() -> Vec<u8> {
        let cells = LAST.length.iter().chain(&LAST.text);
        let mut memory = vec![7; 16];
        memory.extend(LAST.magic.iter().copied().chain(cells.map(|cell| cell.load(Ordering::Relaxed))));
        memory
    }

    #[test]
    fn a_host_finds_the_text_in_memory() {
        assert_eq!(std::mem::offset_of!(Record, length), 27);
        assert_eq!(std::mem::offset_of!(Record, text), 31);
        assert_eq!(find(&memory()), None, "no panic yet");
        write(&"ü".repeat(600));
        assert_eq!(find(&memory()), Some("ü".repeat(512).as_str()));
        write("index out of bounds (src/lib.rs:7)");
        assert_eq!(find(&memory()), Some("index out of bounds (src/lib.rs:7)"));
        assert_eq!(find(&memory()[..60]), None, "cut off");
        assert_eq!(find(b"nothing here"), None);
    }
}
