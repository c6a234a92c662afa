//! Decodes text to UTF-8 as a stream. The encoding is given, or detected when the first byte is read that is not ASCII.

use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8};
use memchr::memchr;

use super::encoding_detection::detect_encoding;

/// Number of bytes, from the first one that is not ASCII, from which the encoding is detected.
const WINDOW_BYTES: usize = 64 << 10;

/// Number of bytes that are decoded at a time.
const BLOCK_BYTES: usize = 16 << 10;

/// Starts a change of the character set in ISO-2022-JP, whose bytes are all ASCII.
const ESCAPE: u8 = 0x1B;

/// What is known about the encoding of a text while it is read.
#[derive(Debug, Default)]
pub(crate) struct EncodingState {
    /// The encoding if it is not UTF-8, or was given; empty until it is known.
    encoding: OnceLock<&'static Encoding>,
    /// The encoding was detected by statistics, which may be wrong.
    is_guessed: OnceLock<()>,
    /// Number of sequences of bytes that are no characters of the encoding.
    undecodable: AtomicU64,
}

impl EncodingState {
    /// Returns the name of the encoding.
    pub(crate) fn name(&self) -> &'static str {
        self.encoding.get().map_or(UTF_8, |encoding| encoding).name()
    }

    pub(crate) fn is_guessed(&self) -> bool {
        self.is_guessed.get().is_some()
    }

    pub(crate) fn undecodable(&self) -> u64 {
        self.undecodable.load(Ordering::Relaxed)
    }

    fn set(&self, encoding: &'static Encoding) {
        // Set once: a text has one encoding.
        let _ = self.encoding.set(encoding);
    }
}

/// Reads a text as UTF-8. Text in UTF-8 is not validated.
pub(crate) struct TextReader<R> {
    input: R,
    mode: Mode,
    output: DecodedBuffer,
    state: Arc<EncodingState>,
    /// An error of the input, to be returned after the bytes before it.
    failure: Option<io::Error>,
}

enum Mode {
    /// Only ASCII so far.
    Ascii,
    Utf8,
    Other(Box<Decoder>),
    /// All bytes were decoded.
    Ended,
}

impl<R: Read> TextReader<R> {
    /// Decodes a text in this encoding, after the byte order mark; detects the encoding if it is `None`.
    pub(crate) fn new(input: R, encoding: Option<&'static Encoding>, state: Arc<EncodingState>) -> Self {
        let mode = match encoding {
            None => Mode::Ascii,
            Some(encoding) => {
                state.set(encoding);
                Mode::of(encoding)
            }
        };
        Self { input, mode, output: DecodedBuffer::default(), state, failure: None }
    }

    /// Detects the encoding of the text that starts with these bytes.
    fn detect(&mut self, mut window: Vec<u8>) {
        let missing = WINDOW_BYTES.saturating_sub(window.len());
        let read = self.input.by_ref().take(missing as u64).read_to_end(&mut window);
        let is_complete = read.as_ref().is_ok_and(|read| *read < missing);
        self.failure = read.err();
        // The same bytes for every size of reads.
        match detect_encoding(window.get(..WINDOW_BYTES).unwrap_or(&window), is_complete) {
            None => {
                self.mode = Mode::Utf8;
                self.output = DecodedBuffer { bytes: window, at: 0 };
            }
            Some(encoding) => {
                self.state.set(encoding);
                let _ = self.state.is_guessed.set(());
                let mut decoder = Box::new(encoding.new_decoder_without_bom_handling());
                self.output.decode(&mut decoder, &window, false, &self.state);
                self.mode = Mode::Other(decoder);
            }
        }
    }
}

impl Mode {
    fn of(encoding: &'static Encoding) -> Self {
        if encoding == UTF_8 { Self::Utf8 } else { Self::Other(Box::new(encoding.new_decoder_without_bom_handling())) }
    }
}

impl<R: Read> Read for TextReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.output.is_empty() {
                return Ok(self.output.take(buffer));
            }
            if let Some(failure) = self.failure.take() {
                return Err(failure);
            }
            match &mut self.mode {
                Mode::Utf8 => return self.input.read(buffer),
                Mode::Ended => return Ok(0),
                Mode::Ascii => {
                    let count = self.input.read(buffer)?;
                    let bytes = buffer.get(..count).unwrap_or_default();
                    let ascii = ascii_length(bytes);
                    if ascii == count {
                        return Ok(count);
                    }
                    self.detect(bytes.get(ascii..).unwrap_or_default().to_vec());
                    if ascii > 0 {
                        return Ok(ascii);
                    }
                }
                Mode::Other(decoder) => {
                    let mut bytes = [0; BLOCK_BYTES];
                    let count = self.input.read(&mut bytes)?;
                    let bytes = bytes.get(..count).unwrap_or_default();
                    self.output.decode(decoder, bytes, count == 0, &self.state);
                    if count == 0 {
                        self.mode = Mode::Ended;
                    }
                }
            }
        }
    }
}

/// Returns the number of bytes before the first one that is not ASCII, or an escape.
fn ascii_length(bytes: &[u8]) -> usize {
    let ascii = if bytes.is_ascii() { bytes.len() } else { Encoding::ascii_valid_up_to(bytes) };
    memchr(ESCAPE, bytes.get(..ascii).unwrap_or_default()).unwrap_or(ascii)
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

    /// Replaces the contents by the UTF-8 of `bytes`. A sequence that is no character becomes U+FFFD and is counted.
    fn decode(&mut self, decoder: &mut Decoder, bytes: &[u8], last: bool, state: &EncodingState) {
        self.bytes.clear();
        self.at = 0;
        let mut rest = bytes;
        loop {
            let start = self.bytes.len();
            // Every byte becomes at most three; a partial character may be left from the previous call.
            let room = decoder.max_utf8_buffer_length_without_replacement(rest.len()).unwrap_or(rest.len() * 3 + 16);
            self.bytes.resize(start + room, 0);
            let output = self.bytes.get_mut(start..).unwrap_or_default();
            let (result, read, written) = decoder.decode_to_utf8_without_replacement(rest, output, last);
            self.bytes.truncate(start + written);
            rest = rest.get(read..).unwrap_or_default();
            match result {
                DecoderResult::InputEmpty => return,
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(..) => {
                    self.bytes.extend_from_slice("\u{FFFD}".as_bytes());
                    state.undecodable.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use encoding_rs::{UTF_16BE, UTF_16LE};
    use proptest::prelude::*;

    use super::*;

    /// Returns at most `step` bytes at a time.
    struct Slow<R>(R, usize);

    impl<R: Read> Read for Slow<R> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let step = self.1.min(buffer.len());
            self.0.read(&mut buffer[..step])
        }
    }

    fn read(content: &[u8], step: usize, encoding: Option<&'static Encoding>) -> (Vec<u8>, &'static str, u64) {
        let state = Arc::default();
        let mut output = Vec::new();
        let input = Slow(Cursor::new(content.to_vec()), step);
        TextReader::new(input, encoding, Arc::clone(&state)).read_to_end(&mut output).unwrap();
        (output, state.name(), state.undecodable())
    }

    fn detected(content: &[u8], step: usize) -> (Vec<u8>, &'static str) {
        let (output, name, _) = read(content, step, None);
        (output, name)
    }

    /// Texts as they occur in files of users, in their usual encodings.
    const TEXTS: [(&str, &str); 22] = [
        ("windows-1252", "email,name\na@b.c,José Müller\nb@b.c,Zoë Strauß\nc@b.c,Åsa Öberg\n"),
        ("windows-1252", "name;city\nGarcía;München\nPeña;Málaga\n"),
        ("macintosh", "email,name\na@b.c,José Müller\nb@b.c,Zoë Strauß\nc@b.c,Åsa Öberg\n"),
        ("macintosh", "email;name\na@b.c;Renée Dupré\nb@b.c;François Lefèvre\n"),
        ("windows-1250", "email,name\na@b.c,Łukasz Żółtowski\nb@b.c,Małgorzata Wiśniewska\nc@b.c,Grażyna Dąbrowska\n"),
        ("windows-1251", "email,name\na@b.c,Иван Петров\nb@b.c,Мария Иванова\n"),
        ("KOI8-U", "email,name\na@b.c,Иван Петров\nb@b.c,Мария Иванова\n"),
        ("IBM866", "email,name\na@b.c,Иван Петров\nb@b.c,Мария Иванова\n"),
        ("x-mac-cyrillic", "email,name\na@b.c,Иван Петров\nb@b.c,Мария Иванова\n"),
        ("Shift_JIS", "email,name\na@b.c,高橋 花子\nb@b.c,表示 能\n"),
        ("Shift_JIS", "メール,氏名\na@b.c,山田 太郎\nb@b.c,佐藤 さくら\n"),
        ("EUC-JP", "email,name\na@b.c,高橋 花子\nb@b.c,山田 太郎\nc@b.c,佐藤 さくら\n"),
        ("ISO-2022-JP", "email,name\na@b.c,高橋 花子\nb@b.c,山田 太郎\n"),
        ("GBK", "email,name\na@b.c,王小明\nb@b.c,李娜\nc@b.c,张伟\nd@b.c,刘洋 北京市\n"),
        ("Big5", "email,name\na@b.c,陳大文\nb@b.c,林美玲\nc@b.c,黃志強\nd@b.c,臺北市\n"),
        ("EUC-KR", "email,name\na@b.c,김민수\nb@b.c,이서연\nc@b.c,박지훈\n"),
        ("windows-1253", "email,name\na@b.c,Ελένη Παπαδοπούλου\nb@b.c,Γιώργος Νικολάου\n"),
        ("windows-1255", "email,name\na@b.c,דוד כהן\nb@b.c,שרה לוי\n"),
        ("windows-1256", "email,name\na@b.c,محمد علي\nb@b.c,فاطمة حسن\n"),
        ("windows-1254", "email,name\na@b.c,Ayşe Yılmaz\nb@b.c,Çağrı Öztürk\nc@b.c,İbrahim Şahin\n"),
        ("windows-874", "email,name\na@b.c,สมชาย ใจดี\nb@b.c,มาลี สุขใจ\n"),
        ("windows-1258", "email,name\na@b.c,Nguyê\u{303}n Văn An\nb@b.c,Trâ\u{300}n Thi\u{323} Bi\u{300}nh\n"),
    ];

    #[test]
    fn the_encoding_is_detected_by_the_text() {
        for (name, text) in TEXTS {
            let encoding = Encoding::for_label(name.as_bytes()).unwrap();
            let (bytes, _, unmappable) = encoding.encode(text);
            assert!(!unmappable, "{name}");
            for step in [1, 7, 70_000] {
                let (output, found) = detected(&bytes, step);
                assert_eq!(String::from_utf8_lossy(&output), text, "{name} read as {found}");
            }
        }
    }

    #[test]
    fn one_damaged_byte_does_not_change_the_encoding() {
        assert_eq!(detected(b"name\nJos\xE9 \x80", 3), ("name\nJosé €".as_bytes().to_vec(), "windows-1252"));
        let long = [b"a,b\n".repeat(40_000), b"M\xFCller\n".to_vec(), b"x\n".repeat(50_000)].concat();
        assert_eq!(detected(&long, 4096).1, "windows-1252");
        let mixed = ["José Müller Ñandú ".as_bytes(), b"\xFF"].concat();
        assert_eq!(detected(&mixed, 5), (mixed, "UTF-8"));
        assert_eq!(detected(b"\x1B[1m\n", 3), (b"\x1B[1m\n".to_vec(), "UTF-8"));
    }

    #[test]
    fn bytes_that_are_no_characters_are_counted() {
        let shift_jis = Encoding::for_label(b"Shift_JIS");
        let (output, name, undecodable) = read(b"a\x82\xa0\xFF,\x82\xa2\xFD\n", 2, shift_jis);
        assert_eq!(
            (String::from_utf8(output).unwrap().as_str(), name, undecodable),
            ("aあ\u{FFFD},い\u{FFFD}\n", "Shift_JIS", 2)
        );
        // A character that is cut off by the end of the file.
        assert_eq!(read(b"a\x82", 2, shift_jis).2, 1);
        assert_eq!(read("é".as_bytes(), 2, Some(UTF_8)).2, 0);
    }

    #[test]
    fn an_error_is_returned_after_the_bytes_before_it() {
        struct Failing(bool);
        impl Read for Failing {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                if std::mem::replace(&mut self.0, true) {
                    return Err(io::Error::other("failed"));
                }
                buffer[..3].copy_from_slice("aé".as_bytes());
                Ok(3)
            }
        }
        let mut reader = TextReader::new(Failing(false), None, Arc::default());
        let mut output = Vec::new();
        assert_eq!(reader.read_to_end(&mut output).unwrap_err().to_string(), "failed");
        assert_eq!(output, "aé".as_bytes());
    }

    proptest! {
        #[test]
        fn utf8_is_unchanged(text in "[\\PC\u{1B}]{0,300}", step in 1_usize..30) {
            prop_assert_eq!(detected(text.as_bytes(), step), (text.clone().into_bytes(), "UTF-8"));
        }

        #[test]
        fn utf16_is_decoded(text in ".{0,80}", big in any::<bool>(), step in 1_usize..9) {
            let units = text.encode_utf16();
            let (bytes, encoding): (Vec<u8>, _) =
                if big { (units.flat_map(u16::to_be_bytes).collect(), UTF_16BE) } else { (units.flat_map(u16::to_le_bytes).collect(), UTF_16LE) };
            let (output, _, undecodable) = read(&bytes, step, Some(encoding));
            prop_assert_eq!((String::from_utf8(output).unwrap(), undecodable), (text, 0));
        }

        #[test]
        fn every_encoding_is_decoded_as_by_encoding_rs(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            name in prop::sample::select(
                vec!["Shift_JIS", "gb18030", "Big5", "EUC-KR", "ISO-2022-JP", "KOI8-R", "windows-1255"],
            ),
            step in 1_usize..9,
        ) {
            let encoding = Encoding::for_label(name.as_bytes()).unwrap();
            let (expected, _) = encoding.decode_without_bom_handling(&bytes);
            let (output, _, undecodable) = read(&bytes, step, Some(encoding));
            prop_assert_eq!(String::from_utf8(output).unwrap(), expected.as_ref());
            prop_assert_eq!(undecodable, expected.matches('\u{FFFD}').count() as u64);
        }

        #[test]
        fn detection_of_arbitrary_bytes_does_not_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            step in 1_usize..30,
        ) {
            let (output, name) = detected(&bytes, step);
            prop_assert!(name == "UTF-8" || String::from_utf8(output).is_ok());
        }
    }
}
