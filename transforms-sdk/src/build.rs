//! Concatenates the parts of a manifest at compile time. Used by `#[transform]`.

/// Returns the total length of the parts in bytes.
pub const fn length(pieces: &[&str]) -> usize {
    let mut length = 0;
    let mut index = 0;
    while index < pieces.len() {
        length += pieces[index].len();
        index += 1;
    }
    length
}

/// Concatenates the parts; `LENGTH` is their [`length`].
pub const fn joined<const LENGTH: usize>(pieces: &[&str]) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    let mut at = 0;
    let mut index = 0;
    while index < pieces.len() {
        let piece = pieces[index].as_bytes();
        let mut from = 0;
        while from < piece.len() {
            bytes[at] = piece[from];
            at += 1;
            from += 1;
        }
        index += 1;
    }
    bytes
}

/// Returns the bytes as text.
pub const fn text(bytes: &[u8]) -> &str {
    match core::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) => panic!("pieces of text make text"),
    }
}

/// Returns the bytes of a text as an array, for the custom section; `LENGTH` is the length of the text.
pub const fn bytes<const LENGTH: usize>(text: &str) -> [u8; LENGTH] {
    joined(&[text])
}
