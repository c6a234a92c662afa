//! Decodes the encodings of spreadsheets to UTF-8, as a stream: UTF-16 with a byte order mark, and Windows-1252 if the
//! text is not UTF-8.

use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use encoding_rs::{Decoder, Encoding, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// Number of bytes, from the first one that is not ASCII, that distinguish UTF-8 from Windows-1252.
const WINDOW_BYTES: u64 = 64 << 10;

/// Number of bytes that are decoded at a time.
const BLOCK_BYTES: usize = 16 << 10;

/// Returns the encoding of a byte order mark of two bytes; `None` if there is no such mark.
pub(crate) fn from_byte_order_mark(head: &[u8]) -> Option<&'static Encoding> {
    match head {
        [0xFF, 0xFE, ..] => Some(UTF_16LE),
        [0xFE, 0xFF, ..] => Some(UTF_16BE),
        _ => None,
    }
}

/// Decodes a text in another encoding to UTF-8.
pub(crate) struct DecodingReader<R> {
    input: R,
    decoder: Decoder,
    output: DecodedBuffer,
    ended: bool,
}

impl<R: Read> DecodingReader<R> {
    /// `input` is the text after the byte order mark.
    pub(crate) fn new(input: R, encoding: &'static Encoding) -> Self {
        Self {
            input,
            decoder: encoding.new_decoder_without_bom_handling(),
            output: DecodedBuffer::default(),
            ended: false,
        }
    }
}

impl<R: Read> Read for DecodingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.output.is_empty() && !self.ended {
            let mut bytes = [0; BLOCK_BYTES];
            let count = self.input.read(&mut bytes)?;
            self.ended = count == 0;
            let bytes = bytes.get(..count).unwrap_or_default();
            self.output.decode(&mut self.decoder, bytes, self.ended);
        }
        Ok(self.output.take(buffer))
    }
}

/// Decoded bytes that have not been read yet.
#[derive(Default)]
struct DecodedBuffer {
    bytes: Vec<u8>,
    at: usize,
}

impl DecodedBuffer {
    fn is_empty(&self) -> bool {
        self.at >= self.bytes.len()
    }

    fn take(&mut self, buffer: &mut [u8]) -> usize {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        self.at += count;
        count
    }

    /// Replaces the contents by the UTF-8 of `bytes`.
    fn decode(&mut self, decoder: &mut Decoder, bytes: &[u8], last: bool) {
        // Every byte becomes at most three; a partial character may be left from the previous call.
        self.bytes.resize(decoder.max_utf8_buffer_length(bytes.len()).unwrap_or(bytes.len() * 3 + 16), 0);
        let (_, _, written, _) = decoder.decode_to_utf8(bytes, &mut self.bytes, last);
        self.bytes.truncate(written);
        self.at = 0;
    }
}

/// Reads text in UTF-8 or Windows-1252 as UTF-8. The encoding is detected at the first character that is not ASCII:
/// Windows-1252 if the bytes that follow contain more invalid than valid UTF-8 sequences.
pub(crate) struct Windows1252Fallback<R> {
    input: R,
    state: State,
    output: DecodedBuffer,
    is_windows_1252: Arc<AtomicBool>,
}

enum State {
    /// Only ASCII so far.
    Ascii,
    Utf8,
    Windows1252(Decoder),
}

impl<R: BufRead> Windows1252Fallback<R> {
    /// Sets `is_windows_1252` when the text is detected to be Windows-1252.
    pub(crate) fn new(input: R, is_windows_1252: Arc<AtomicBool>) -> Self {
        Self { input, state: State::Ascii, output: DecodedBuffer::default(), is_windows_1252 }
    }

    fn detect_encoding(&mut self) -> io::Result<()> {
        let mut window = Vec::new();
        self.input.by_ref().take(WINDOW_BYTES).read_to_end(&mut window)?;
        if is_mostly_utf8(&window) {
            self.state = State::Utf8;
            self.output = DecodedBuffer { bytes: window, at: 0 };
        } else {
            self.is_windows_1252.store(true, Ordering::Relaxed);
            let mut decoder = WINDOWS_1252.new_decoder_without_bom_handling();
            self.output.decode(&mut decoder, &window, false);
            self.state = State::Windows1252(decoder);
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Windows1252Fallback<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.output.is_empty() {
            return Ok(self.output.take(buffer));
        }
        match &mut self.state {
            State::Utf8 => self.input.read(buffer),
            State::Ascii => {
                let bytes = self.input.fill_buf()?;
                let ascii = bytes.iter().position(|byte| !byte.is_ascii()).unwrap_or(bytes.len());
                if ascii == 0 && !bytes.is_empty() {
                    self.detect_encoding()?;
                    return Ok(self.output.take(buffer));
                }
                let count = ascii.min(buffer.len());
                if let (Some(to), Some(from)) = (buffer.get_mut(..count), bytes.get(..count)) {
                    to.copy_from_slice(from);
                }
                self.input.consume(count);
                Ok(count)
            }
            State::Windows1252(decoder) => {
                let mut bytes = [0; BLOCK_BYTES];
                let count = self.input.read(&mut bytes)?;
                // Every byte is one character, so the decoder needs no flush at the end.
                self.output.decode(decoder, bytes.get(..count).unwrap_or_default(), false);
                Ok(self.output.take(buffer))
            }
        }
    }
}

fn is_mostly_utf8(window: &[u8]) -> bool {
    let (mut good, mut bad) = (0, 0);
    let mut left = window.len();
    for chunk in window.utf8_chunks() {
        good += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        left -= chunk.valid().len() + chunk.invalid().len();
        // The last character may be truncated by the end of the window.
        bad += usize::from(!chunk.invalid().is_empty() && (left > 0 || window.len() < WINDOW_BYTES as usize));
    }
    bad == 0 || good > bad
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Cursor};

    use proptest::prelude::*;

    use super::*;

    fn fallback(content: &[u8], step: usize) -> (Vec<u8>, bool) {
        let is_windows_1252 = Arc::new(AtomicBool::new(false));
        let input = BufReader::with_capacity(step, Cursor::new(content.to_vec()));
        let mut output = Vec::new();
        Windows1252Fallback::new(input, Arc::clone(&is_windows_1252)).read_to_end(&mut output).unwrap();
        (output, is_windows_1252.load(Ordering::Relaxed))
    }

    #[test]
    fn windows_1252_is_distinguished_from_utf8_by_its_bytes() {
        assert_eq!(fallback(b"name\nJos\xE9 \x80", 3), ("name\nJosé €".as_bytes().to_vec(), true));
        let long = [b"a,b\n".repeat(40_000), b"M\xFCller\n".to_vec(), b"x\n".repeat(50_000)].concat();
        assert!(fallback(&long, 4096).1);
        // One invalid byte in a text of UTF-8 does not change the encoding.
        let mixed = ["José Müller Ñandú ".as_bytes(), b"\xFF"].concat();
        assert_eq!(fallback(&mixed, 5), (mixed, false));
    }

    proptest! {
        #[test]
        fn utf8_is_unchanged(text in "\\PC{0,300}", step in 1_usize..30) {
            prop_assert_eq!(fallback(text.as_bytes(), step), (text.clone().into_bytes(), false));
        }

        #[test]
        fn utf16_is_decoded(text in ".{0,80}", big in any::<bool>()) {
            let units = text.encode_utf16();
            let (bytes, encoding): (Vec<u8>, _) =
                if big { (units.flat_map(u16::to_be_bytes).collect(), UTF_16BE) } else { (units.flat_map(u16::to_le_bytes).collect(), UTF_16LE) };
            let mut output = String::new();
            DecodingReader::new(Cursor::new(bytes), encoding).read_to_string(&mut output).unwrap();
            prop_assert_eq!(output, text);
        }
    }
}
