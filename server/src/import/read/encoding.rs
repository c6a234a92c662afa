//! Turns what spreadsheets write into UTF-8, as a stream: UTF-16 with a byte order mark, and
//! Windows-1252 where the text is not UTF-8.

use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use encoding_rs::{Decoder, Encoding, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// Bytes that are looked at, from the first that is not ASCII on, to tell UTF-8 from Windows-1252.
const WINDOW: u64 = 64 << 10;

/// How many bytes are decoded at a time.
const STEP: usize = 16 << 10;

/// The encoding that a byte order mark of two bytes stands for.
pub(super) fn of_mark(head: &[u8]) -> Option<&'static Encoding> {
    match head {
        [0xFF, 0xFE, ..] => Some(UTF_16LE),
        [0xFE, 0xFF, ..] => Some(UTF_16BE),
        _ => None,
    }
}

/// UTF-8 of a text in another encoding, without its byte order mark.
pub(super) struct Decoding<R> {
    input: R,
    decoder: Decoder,
    output: Pending,
    ended: bool,
}

impl<R: Read> Decoding<R> {
    /// `input` stands behind the mark.
    pub(super) fn new(input: R, encoding: &'static Encoding) -> Self {
        Self { input, decoder: encoding.new_decoder_without_bom_handling(), output: Pending::default(), ended: false }
    }
}

impl<R: Read> Read for Decoding<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.output.is_empty() && !self.ended {
            let mut bytes = [0; STEP];
            let count = self.input.read(&mut bytes)?;
            self.ended = count == 0;
            let bytes = bytes.get(..count).unwrap_or_default();
            self.output.decode(&mut self.decoder, bytes, self.ended);
        }
        Ok(self.output.take(buffer))
    }
}

/// Decoded bytes that were not asked for yet.
#[derive(Default)]
struct Pending {
    bytes: Vec<u8>,
    at: usize,
}

impl Pending {
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

    /// Replaces what was taken by the UTF-8 of `bytes`.
    fn decode(&mut self, decoder: &mut Decoder, bytes: &[u8], last: bool) {
        // Every byte becomes at most three, and half a character may be left from before.
        self.bytes.resize(decoder.max_utf8_buffer_length(bytes.len()).unwrap_or(bytes.len() * 3 + 16), 0);
        let (_, _, written, _) = decoder.decode_to_utf8(bytes, &mut self.bytes, last);
        self.bytes.truncate(written);
        self.at = 0;
    }
}

/// Text in UTF-8, or else in Windows-1252, which is decoded. Which it is shows around the first
/// character that is not ASCII: Windows-1252 when the bytes there are more often not UTF-8 than they
/// are.
pub(super) struct Fallback<R> {
    input: R,
    state: State,
    output: Pending,
    windows: Arc<AtomicBool>,
}

enum State {
    /// Nothing but ASCII so far.
    Open,
    Utf8,
    Windows(Decoder),
}

impl<R: BufRead> Fallback<R> {
    /// `windows` is set when the text turns out to be Windows-1252.
    pub(super) fn new(input: R, windows: Arc<AtomicBool>) -> Self {
        Self { input, state: State::Open, output: Pending::default(), windows }
    }

    fn decide(&mut self) -> io::Result<()> {
        let mut window = Vec::new();
        self.input.by_ref().take(WINDOW).read_to_end(&mut window)?;
        if is_utf8_on_the_whole(&window) {
            self.state = State::Utf8;
            self.output = Pending { bytes: window, at: 0 };
        } else {
            self.windows.store(true, Ordering::Relaxed);
            let mut decoder = WINDOWS_1252.new_decoder_without_bom_handling();
            self.output.decode(&mut decoder, &window, false);
            self.state = State::Windows(decoder);
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Fallback<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.output.is_empty() {
            return Ok(self.output.take(buffer));
        }
        match &mut self.state {
            State::Utf8 => self.input.read(buffer),
            State::Open => {
                let bytes = self.input.fill_buf()?;
                let ascii = bytes.iter().position(|byte| !byte.is_ascii()).unwrap_or(bytes.len());
                if ascii == 0 && !bytes.is_empty() {
                    self.decide()?;
                    return Ok(self.output.take(buffer));
                }
                let count = ascii.min(buffer.len());
                if let (Some(to), Some(from)) = (buffer.get_mut(..count), bytes.get(..count)) {
                    to.copy_from_slice(from);
                }
                self.input.consume(count);
                Ok(count)
            }
            State::Windows(decoder) => {
                let mut bytes = [0; STEP];
                let count = self.input.read(&mut bytes)?;
                // Each byte is a character, so that nothing is left to be flushed at the end.
                self.output.decode(decoder, bytes.get(..count).unwrap_or_default(), false);
                Ok(self.output.take(buffer))
            }
        }
    }
}

fn is_utf8_on_the_whole(window: &[u8]) -> bool {
    let (mut good, mut bad) = (0, 0);
    let mut left = window.len();
    for chunk in window.utf8_chunks() {
        good += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        left -= chunk.valid().len() + chunk.invalid().len();
        // The last character may be cut in two by the end of the window.
        bad += usize::from(!chunk.invalid().is_empty() && (left > 0 || window.len() < WINDOW as usize));
    }
    bad == 0 || good > bad
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Cursor};

    use proptest::prelude::*;

    use super::*;

    fn fallback(content: &[u8], step: usize) -> (Vec<u8>, bool) {
        let windows = Arc::new(AtomicBool::new(false));
        let input = BufReader::with_capacity(step, Cursor::new(content.to_vec()));
        let mut output = Vec::new();
        Fallback::new(input, Arc::clone(&windows)).read_to_end(&mut output).unwrap();
        (output, windows.load(Ordering::Relaxed))
    }

    #[test]
    fn windows_1252_is_told_from_utf8_by_what_the_bytes_make() {
        assert_eq!(fallback(b"name\nJos\xE9 \x80", 3), ("name\nJosé €".as_bytes().to_vec(), true));
        let long = [b"a,b\n".repeat(40_000), b"M\xFCller\n".to_vec(), b"x\n".repeat(50_000)].concat();
        assert!(fallback(&long, 4096).1);
        // One broken character does not make a text in UTF-8 something else.
        let mixed = ["José Müller Ñandú ".as_bytes(), b"\xFF"].concat();
        assert_eq!(fallback(&mixed, 5), (mixed, false));
    }

    proptest! {
        #[test]
        fn utf8_stays_as_it_is(text in "\\PC{0,300}", step in 1_usize..30) {
            prop_assert_eq!(fallback(text.as_bytes(), step), (text.clone().into_bytes(), false));
        }

        #[test]
        fn utf16_becomes_utf8(text in ".{0,80}", big in any::<bool>()) {
            let units = text.encode_utf16();
            let (bytes, encoding): (Vec<u8>, _) =
                if big { (units.flat_map(u16::to_be_bytes).collect(), UTF_16BE) } else { (units.flat_map(u16::to_le_bytes).collect(), UTF_16LE) };
            let mut output = String::new();
            Decoding::new(Cursor::new(bytes), encoding).read_to_string(&mut output).unwrap();
            prop_assert_eq!(output, text);
        }
    }
}
