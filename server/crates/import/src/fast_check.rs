//! Finds valid rows by scanning their text, without building values. Building values costs several times as much as
//! scanning, and nearly all rows of most files are valid. Rows that are not certainly valid are built and validated
//! by [`super::schema`] and [`check`](mod@super::check).

use std::borrow::Cow;
use std::ops::Range;

use serde_json::Value;

use super::check::{FORBIDDEN_APP_METADATA, ID_PREFIX, has_no_findings, is_plain_username};
use super::chunks::{MAX_ROW_IN_CHUNK, minify};
use super::schema;
use uie_json::simd::{contains_any, find_escape};

/// Rows nested more deeply are left to the parser.
const MAX_DEPTH: u32 = 100;

/// Numbers with more digits are left to the parser, which checks that they are finite.
const MAX_DIGITS: usize = 200;

/// Numbers of `app_metadata` and `user_metadata` among the members of a row.
const METADATA_MEMBERS: [u32; 2] = [14, 15];

/// Result of scanning a row.
#[derive(Debug)]
pub(super) enum FastCheck<'a> {
    Valid(ValidRowText<'a>),
    NeedsFullCheck(UncheckedRow<'a>),
}

/// A row without errors.
#[derive(Debug)]
pub(super) struct ValidRowText<'a> {
    pub(super) text: &'a str,
    /// In lower case.
    pub(super) email: Cow<'a, str>,
    /// As written in the row, with its prefix.
    pub(super) user_id: Option<&'a str>,
    /// In lower case.
    pub(super) username: Option<Cow<'a, str>>,
    pub(super) phone_number: Option<&'a str>,
    /// Offset of the value of `user_id` in `text`.
    id_offset: usize,
    /// Whether there is white space between tokens.
    has_whitespace: bool,
    /// Ranges of `app_metadata` and `user_metadata` in `text`; empty if absent.
    metadata: [Range<usize>; 2],
}

impl<'a> ValidRowText<'a> {
    /// Appends the row as compact JSON; removes the prefix of the id unless `keep_id_prefix`.
    pub(super) fn write_compact(&self, keep_id_prefix: bool, output: &mut Vec<u8>) {
        let text = self.text.as_bytes();
        let remove_prefix = self.user_id.is_some_and(|id| id.starts_with(ID_PREFIX)) && !keep_id_prefix;
        let (first, last) = if remove_prefix {
            // Up to and including the opening quote of the id, and from the end of the prefix.
            (text.get(..self.id_offset), text.get(self.id_offset + ID_PREFIX.len()..))
        } else {
            (Some(text), None)
        };
        let first = first.unwrap_or_default();
        match (self.has_whitespace, last) {
            (false, last) => {
                output.extend_from_slice(first);
                output.extend_from_slice(last.unwrap_or_default());
            }
            (true, None) => minify(first, output),
            (true, Some(last)) => {
                minify(first.get(..first.len().saturating_sub(1)).unwrap_or_default(), output);
                output.push(b'"');
                // `last` starts inside a string; copy up to its closing quote unchanged.
                let end = memchr::memchr(b'"', last).map_or(last.len(), |at| at + 1);
                output.extend_from_slice(last.get(..end).unwrap_or_default());
                minify(last.get(end..).unwrap_or_default(), output);
            }
        }
    }

    /// Converts to a row that needs the full check, for rows refused for a reason outside their text (duplicates).
    pub(super) fn into_unchecked(self) -> UncheckedRow<'a> {
        UncheckedRow { text: self.text, metadata: self.metadata }
    }
}

/// A syntactically valid row that needs the full check. Valid metadata, usually most of the row, is skipped by
/// [`build`](Self::build).
#[derive(Debug)]
pub(super) struct UncheckedRow<'a> {
    pub(super) text: &'a str,
    /// Ranges of metadata that is known to be valid; otherwise empty.
    metadata: [Range<usize>; 2],
}

impl UncheckedRow<'_> {
    /// Parses the row with `{}` in place of valid metadata; the full check reports the same errors as for the complete
    /// row. `None` if parsing fails.
    pub(super) fn build(&self) -> Option<Value> {
        let [mut first, mut second] = self.metadata.clone();
        if first.start > second.start {
            std::mem::swap(&mut first, &mut second);
        }
        let mut text = String::with_capacity(self.text.len());
        let mut done = 0;
        for range in [first, second].into_iter().filter(|range| !range.is_empty()) {
            text.push_str(self.text.get(done..range.start)?);
            text.push_str("{}");
            done = range.end;
        }
        text.push_str(self.text.get(done..)?);
        serde_json::from_str(&text).ok()
    }
}

/// Scans the row at the start of `bytes`; with `is_whole` the row is all of `bytes`. Returns `None` if the text is
/// unusual or malformed and must be parsed.
///
/// A row is valid if it has no errors, and no warnings except one about the prefix of its id. Duplicates are not
/// checked here. With `phone_warning_emitted` a phone number causes no warning.
pub(super) fn fast_check(bytes: &[u8], is_whole: bool, phone_warning_emitted: bool) -> Option<FastCheck<'_>> {
    let mut cursor = JsonCursor { text: bytes, at: 0, has_whitespace: false };
    let mut ranges = MemberRanges::default();
    let mut seen_members = 0_u32;
    let mut is_valid = true;
    if is_whole {
        cursor.skip_whitespace();
    }
    cursor.expect_byte(b'{')?;
    cursor.skip_whitespace();
    loop {
        let key = cursor.string()?;
        cursor.expect_colon()?;
        let start = cursor.at;
        let Some(member) = cursor.check_member(&key, phone_warning_emitted, &mut ranges) else {
            // Skip the value and scan the rest of the row.
            cursor.at = start;
            cursor.value(MAX_DEPTH, false)?;
            is_valid = false;
            match cursor.next_token()? {
                b',' => cursor.skip_whitespace(),
                b'}' => break,
                _ => return None,
            }
            continue;
        };
        // The last value of a repeated key counts.
        is_valid &= seen_members & (1 << member) == 0;
        seen_members |= 1 << member;
        if let Some(index) = METADATA_MEMBERS.iter().position(|metadata| *metadata == member)
            && let Some(range) = ranges.metadata.get_mut(index)
        {
            *range = start..cursor.at;
        }
        match cursor.next_token()? {
            b',' => cursor.skip_whitespace(),
            b'}' => break,
            _ => return None,
        }
    }
    let end = cursor.at;
    if is_whole {
        let has_whitespace = cursor.has_whitespace;
        cursor.skip_whitespace();
        if cursor.at != bytes.len() {
            return None;
        }
        cursor.has_whitespace = has_whitespace;
    }
    let text = simdutf8::basic::from_utf8(bytes.get(..end)?).ok()?;
    let MemberRanges { metadata, email, user_id, username, phone_number } = ranges;
    let both_hashes = seen_members & (1 << 12) != 0 && seen_members & (1 << 13) != 0;
    if !is_valid || both_hashes || end > MAX_ROW_IN_CHUNK || email.is_empty() {
        return Some(FastCheck::NeedsFullCheck(UncheckedRow { text, metadata }));
    }
    let part = |range: Range<usize>| text.get(range).filter(|text| !text.is_empty());
    Some(FastCheck::Valid(ValidRowText {
        text,
        email: lower(part(email)?),
        id_offset: user_id.start,
        user_id: part(user_id),
        username: part(username).map(lower),
        phone_number: part(phone_number),
        has_whitespace: cursor.has_whitespace,
        metadata,
    }))
}

/// Ranges of member values in the text of a row; empty if the member is absent.
#[derive(Default)]
struct MemberRanges {
    email: Range<usize>,
    user_id: Range<usize>,
    username: Range<usize>,
    phone_number: Range<usize>,
    /// `app_metadata` and `user_metadata`. Of a repeated key only the last range is recorded; only its value counts.
    metadata: [Range<usize>; 2],
}

fn lower(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii()) {
        Cow::Owned(text.to_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}
/// Returns whether `text` is an e-mail address of the usual kind: letters and digits with single dots, hyphens and
/// similar characters between them. Never true for an address that [`schema::is_email`] rejects.
fn is_plain_email(text: &[u8]) -> bool {
    let Some(at) = memchr::memchr(b'@', text) else { return false };
    let Some((local, domain)) = text.split_at_checked(at).and_then(|(local, rest)| Some((local, rest.get(1..)?)))
    else {
        return false;
    };
    // The previous byte; a dot before the first one, so that a leading dot is rejected.
    let mut before = b'.';
    for byte in local {
        match byte {
            b'.' if before == b'.' => return false,
            b'.' | b'_' | b'-' | b'+' | b'\'' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => before = *byte,
            _ => return false,
        }
    }
    if before == b'.' || local.len() > 64 || text.len() > schema::MAX_EMAIL_LENGTH {
        return false;
    }
    let mut label = 0;
    for byte in domain {
        match byte {
            b'.' if label > 0 => label = 0,
            b'0'..=b'9' if label > 0 => label += 1,
            b'a'..=b'z' | b'A'..=b'Z' => label += 1,
            _ => return false,
        }
        if label > 63 {
            return false;
        }
    }
    label > 0
}

/// Returns whether `text` is a URL of the usual kind: http or https, a host name, and no port or user before the
/// path.
fn is_plain_url(text: &[u8]) -> bool {
    let Some(rest) = text.strip_prefix(b"https://").or_else(|| text.strip_prefix(b"http://")) else { return false };
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let host = rest.get(..end).unwrap_or_default();
    let labels = || host.split(|byte| *byte == b'.');
    let is_label =
        |label: &[u8]| !label.is_empty() && label.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
    host.len() <= 253
        && labels().all(|label| {
            is_label(label) && label.len() <= 63 && !label.starts_with(b"xn--") && label.get(2..4) != Some(b"--")
        })
        && labels().next_back().is_some_and(|label| label.iter().all(u8::is_ascii_alphabetic))
}

/// A cursor in the text of a row. Its methods return `None` if the text is not what they expect.
struct JsonCursor<'a> {
    text: &'a [u8],
    at: usize,
    has_whitespace: bool,
}

/// A JSON string as written, without its quotes.
struct JsonString<'a> {
    bytes: &'a [u8],
    at: usize,
    escaped: bool,
}

impl JsonString<'_> {
    fn range(&self) -> Range<usize> {
        self.at..self.at + self.bytes.len()
    }
}

fn as_str(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

impl<'a> JsonCursor<'a> {
    #[inline]
    fn skip_whitespace(&mut self) {
        if self.text.get(self.at).is_some_and(|byte| *byte <= b' ') {
            self.skip_whitespace_run();
        }
    }

    #[cold]
    fn skip_whitespace_run(&mut self) {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.has_whitespace = true;
            self.at += 1;
        }
    }

    #[inline]
    fn next(&mut self) -> Option<u8> {
        let byte = *self.text.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    /// Skips white space and returns the next byte.
    #[inline]
    fn next_token(&mut self) -> Option<u8> {
        self.skip_whitespace();
        self.next()
    }

    #[inline]
    fn expect_byte(&mut self, expected: u8) -> Option<()> {
        self.next().filter(|byte| *byte == expected).map(|_| ())
    }

    /// Consumes the colon between a key and its value, with white space around it.
    #[inline]
    fn expect_colon(&mut self) -> Option<()> {
        self.skip_whitespace();
        self.expect_byte(b':')?;
        self.skip_whitespace();
        Some(())
    }

    fn literal(&mut self, expected: &[u8]) -> Option<()> {
        self.text.get(self.at..)?.starts_with(expected).then(|| self.at += expected.len())
    }

    fn boolean(&mut self) -> Option<()> {
        self.literal(b"true").or_else(|| self.literal(b"false"))
    }

    /// Consumes a JSON string whose escapes are valid and contain no unpaired surrogate.
    #[inline]
    fn string(&mut self) -> Option<JsonString<'a>> {
        self.expect_byte(b'"')?;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at = find_escape(self.text, self.at);
            match self.next()? {
                b'"' => return Some(JsonString { bytes: self.text.get(start..self.at - 1)?, at: start, escaped }),
                b'\\' => {
                    escaped = true;
                    self.escape()?;
                }
                // A control character.
                _ => return None,
            }
        }
    }

    /// Consumes the part of an escape after the backslash.
    fn escape(&mut self) -> Option<()> {
        match self.next()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => {
                let digits = self.text.get(self.at..self.at + 4)?;
                if !digits.iter().all(u8::is_ascii_hexdigit)
                    || matches!(digits, [b'd' | b'D', b'8'..=b'9' | b'a'..=b'f' | b'A'..=b'F', ..])
                {
                    return None;
                }
                self.at += 4;
                Some(())
            }
            _ => None,
        }
    }

    /// Consumes a string without escapes.
    fn unescaped_string(&mut self) -> Option<JsonString<'a>> {
        self.string().filter(|text| !text.escaped)
    }

    /// Consumes a string of 1 to `max` bytes as written, which has at most as many characters.
    fn short_string(&mut self, max: usize) -> Option<()> {
        self.string().filter(|text| (1..=max).contains(&text.bytes.len())).map(|_| ())
    }

    /// Consumes and validates the value of a root member; returns the member's number. `None` if the value is not
    /// certainly valid.
    fn check_member(
        &mut self,
        key: &JsonString<'_>,
        phone_warning_emitted: bool,
        ranges: &mut MemberRanges,
    ) -> Option<u32> {
        if key.escaped {
            return None;
        }
        Some(match key.bytes {
            b"email" => {
                let value = self.unescaped_string()?;
                let short_enough = value.bytes.len() <= schema::MAX_EMAIL_LENGTH;
                if !(is_plain_email(value.bytes) || (short_enough && schema::is_email(as_str(value.bytes)?))) {
                    return None;
                }
                ranges.email = value.range();
                0
            }
            b"email_verified" => self.boolean().map(|()| 1)?,
            b"phone_number" => {
                let value = self.unescaped_string().filter(|_| phone_warning_emitted)?;
                if !schema::is_phone(as_str(value.bytes)?) {
                    return None;
                }
                ranges.phone_number = value.range();
                2
            }
            b"phone_verified" => self.boolean().map(|()| 3)?,
            b"user_id" => {
                let value = self.unescaped_string()?;
                if value.bytes.is_empty() || value.bytes == ID_PREFIX.as_bytes() {
                    return None;
                }
                ranges.user_id = value.range();
                4
            }
            b"username" => {
                let value = self.unescaped_string()?;
                if !is_plain_username(as_str(value.bytes)?) {
                    return None;
                }
                ranges.username = value.range();
                5
            }
            b"given_name" => self.short_string(150).map(|()| 6)?,
            b"family_name" => self.short_string(150).map(|()| 7)?,
            b"name" => self.short_string(150).map(|()| 8)?,
            b"nickname" => self.short_string(350).map(|()| 9)?,
            b"picture" => {
                let value = self.unescaped_string()?.bytes;
                if !is_plain_url(value) && url::Url::parse(as_str(value)?).is_err() {
                    return None;
                }
                10
            }
            b"blocked" => self.boolean().map(|()| 11)?,
            b"password_hash" => {
                let value = self.unescaped_string()?.bytes;
                if !schema::is_import_bcrypt(as_str(value)?) {
                    return None;
                }
                12
            }
            b"custom_password_hash" => self.check_parsed("custom_password_hash").map(|()| 13)?,
            b"app_metadata" => self.check_metadata(&FORBIDDEN_APP_METADATA).map(|()| METADATA_MEMBERS[0])?,
            b"user_metadata" => self.check_metadata(&[]).map(|()| METADATA_MEMBERS[1])?,
            b"mfa_factors" => self.check_parsed("mfa_factors").map(|()| 16)?,
            _ => return None,
        })
    }

    /// Consumes and validates a rare or short member by parsing it.
    fn check_parsed(&mut self, name: &str) -> Option<()> {
        let start = self.at;
        self.value(MAX_DEPTH, false)?;
        let value: Value = serde_json::from_slice(self.text.get(start..self.at)?).ok()?;
        has_no_findings(name, &value).then_some(())
    }

    /// Consumes metadata: an object without the keys in `forbidden` at its root.
    fn check_metadata(&mut self, forbidden: &[&str]) -> Option<()> {
        if self.text.get(self.at) != Some(&b'{') {
            return None;
        }
        self.object(MAX_DEPTH, true, forbidden)
    }

    /// Consumes any value; with `keys` also checks that the keys are allowed in metadata.
    fn value(&mut self, depth: u32, keys: bool) -> Option<()> {
        match self.text.get(self.at)? {
            b'"' => self.string().map(|_| ()),
            b'{' => self.object(depth, keys, &[]),
            b'[' => self.array(depth, keys),
            b't' => self.literal(b"true"),
            b'f' => self.literal(b"false"),
            b'n' => self.literal(b"null"),
            _ => self.number(),
        }
    }

    fn object(&mut self, depth: u32, keys: bool, forbidden: &[&str]) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        self.at += 1;
        self.skip_whitespace();
        if self.text.get(self.at) == Some(&b'}') {
            self.at += 1;
            return Some(());
        }
        loop {
            let key = self.string()?;
            if keys && (key.escaped || contains_any(key.bytes, [b'.', b'$', b'.', b'$'])) {
                return None;
            }
            if forbidden.iter().any(|name| name.as_bytes() == key.bytes) {
                return None;
            }
            self.expect_colon()?;
            self.value(depth, keys)?;
            match self.next_token()? {
                b',' => self.skip_whitespace(),
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    fn array(&mut self, depth: u32, keys: bool) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        self.at += 1;
        self.skip_whitespace();
        if self.text.get(self.at) == Some(&b']') {
            self.at += 1;
            return Some(());
        }
        loop {
            self.value(depth, keys)?;
            match self.next_token()? {
                b',' => self.skip_whitespace(),
                b']' => return Some(()),
                _ => return None,
            }
        }
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        self.at - start
    }

    /// Consumes a JSON number that is certainly finite.
    fn number(&mut self) -> Option<()> {
        let start = self.at;
        if self.text.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        let leading_zero = self.text.get(self.at) == Some(&b'0');
        let whole = self.digits();
        if whole == 0 || (leading_zero && whole > 1) {
            return None;
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return None;
            }
        }
        if self.at - start > MAX_DIGITS {
            return None;
        }
        if matches!(self.text.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.text.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if !(1..=2).contains(&self.digits()) {
                return None;
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::check::{Checker, RowLocation};
    use super::super::chunks::compact;
    use super::super::schema::tests::{full, mutated};
    use super::*;

    /// Returns whether the text parses and the full check reports nothing except a warning about the prefix of the id.
    fn passes_full_check(text: &[u8]) -> bool {
        let Ok(row) = serde_json::from_slice::<Value>(text) else { return false };
        let directory = std::env::temp_dir();
        let mut checker = Checker::new(false, &directory);
        checker.suppress_phone_warning();
        let faults = checker.check(&RowLocation::default(), &row, text.len()).unwrap();
        faults.iter().all(|fault| fault.code == "ID_PREFIX")
    }

    fn valid_row(text: &[u8], phone_warning_emitted: bool) -> Option<ValidRowText<'_>> {
        match fast_check(text, true, phone_warning_emitted)? {
            FastCheck::Valid(row_text) => Some(row_text),
            FastCheck::NeedsFullCheck(_) => None,
        }
    }

    fn faults(row: &Value) -> Vec<crate::RowFault> {
        let mut checker = Checker::new(false, &std::env::temp_dir());
        checker.check(&RowLocation::default(), row, 0).unwrap()
    }

    fn without_one_hash(mut row: Value, custom: bool) -> Value {
        if let Value::Object(members) = &mut row {
            members.shift_remove(if custom { "password_hash" } else { "custom_password_hash" });
        }
        row
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        #[test]
        fn rows_accepted_by_the_fast_check_pass_the_full_check(row in mutated(), custom in any::<bool>(), pretty in any::<bool>()) {
            let row = without_one_hash(row, custom);
            let text = if pretty { serde_json::to_string_pretty(&row) } else { serde_json::to_string(&row) }.unwrap();
            if let Some(row_text) = valid_row(text.as_bytes(), true) {
                prop_assert!(passes_full_check(text.as_bytes()), "{text}");
                let (mut ours, mut theirs) = (Vec::new(), Vec::new());
                row_text.write_compact(false, &mut ours);
                let id = row["user_id"].as_str().and_then(|id| id.strip_prefix(ID_PREFIX));
                compact(text.as_bytes(), id, &mut theirs).unwrap();
                prop_assert_eq!(String::from_utf8(ours), String::from_utf8(theirs));
            }
        }

        #[test]
        fn slightly_changed_rows_are_accepted_only_if_still_valid(
            before in "[ \\t]{0,2}", cut in 0_usize..400, put in prop::sample::select(vec!["", "\"", "\\", ",", "}", "{", "1", "e", ".", "-", "0", "\\u", "\\ud800", "\u{1}", "é", "null", "[", "]", ":", " ", "$", "1e999", "1e99"]), more in any::<bool>(),
        ) {
            let text = format!("{before}{}", without_one_hash(full(), false));
            let mut cut = cut.min(text.len());
            while !text.is_char_boundary(cut) {
                cut -= 1;
            }
            let (first, last) = text.split_at(cut);
            let last = if more { last } else { last.get(1..).unwrap_or_default() };
            let changed = format!("{first}{put}{last}");
            if valid_row(changed.as_bytes(), true).is_some() {
                prop_assert!(passes_full_check(changed.as_bytes()), "{}", changed);
            }
        }

        #[test]
        fn invalid_json_is_never_accepted(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let text = [b"{\"email\":\"a@b.c\",\"user_metadata\":{\"a\":".as_slice(), &bytes, b"}}"].concat();
            if valid_row(&text, true).is_some() {
                prop_assert!(passes_full_check(&text));
            }
        }

        #[test]
        fn skipping_valid_metadata_does_not_change_the_reported_faults(row in mutated(), twice in any::<bool>(), first in any::<bool>()) {
            let mut text = row.to_string();
            if twice && text.ends_with('}') {
                let other = r#""app_metadata":{"_id":1,"a.b":{"$":[]}}"#;
                text = if first { format!("{{{other},{}", &text[1..]) } else { format!("{},{other}}}", &text[..text.len() - 1]) };
            }
            let behind = format!("{text} ,{{}}]");
            match (fast_check(text.as_bytes(), true, true), fast_check(behind.as_bytes(), false, true)) {
                (Some(FastCheck::NeedsFullCheck(whole)), Some(FastCheck::NeedsFullCheck(element))) => {
                    prop_assert_eq!(whole.text, &text);
                    prop_assert_eq!(element.text, &text);
                    let full: Value = serde_json::from_str(&text).unwrap();
                    prop_assert_eq!(faults(&whole.build().unwrap()), faults(&full));
                    prop_assert_eq!(faults(&element.build().unwrap()), faults(&full));
                }
                (Some(FastCheck::Valid(whole)), Some(FastCheck::Valid(element))) => {
                    prop_assert_eq!(whole.text, &text);
                    prop_assert_eq!(element.text, &text);
                    let full: Value = serde_json::from_str(&text).unwrap();
                    prop_assert_eq!(faults(&whole.into_unchecked().build().unwrap()), faults(&full));
                }
                (None, None) => {}
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }

    proptest! {
        #[test]
        fn plain_emails_are_valid_emails(text in prop_oneof![
            "[a-z.+_'-]{0,4}@?[a-z0-9.@]{0,6}",
            "[a-zé.]{60,68}@[a-z]{1,3}\\.[a-z0-9]{60,66}",
            "a@([a-z]{50}\\.){4,5}[a-z]{1,6}",
        ]) {
            prop_assert!(!is_plain_email(text.as_bytes()) || schema::is_email(&text), "{}", text);
        }
    }

    #[test]
    fn the_fast_check_accepts_most_valid_users_and_no_invalid_one() {
        let (mut good, mut passed) = (0, 0);
        for index in 0..5000 {
            let text = simulated_tenant::generate::import_user(index, 7);
            let (is_valid, accepted) = (passes_full_check(text.as_bytes()), valid_row(text.as_bytes(), true).is_some());
            assert!(is_valid || !accepted, "{text}");
            good += u32::from(is_valid);
            passed += u32::from(accepted);
        }
        assert!(passed * 100 > good * 95, "{passed} of {good}");
    }

    #[test]
    fn only_the_prefix_is_removed_from_the_id() {
        for (text, sent) in [
            (r#"{"user_id":"auth0|1","email":"A@b.c"}"#, r#"{"user_id":"1","email":"A@b.c"}"#),
            (
                r#"{ "email" : "a@b.c", "user_id" : "auth0|1", "name" : "x y" }"#,
                r#"{"email":"a@b.c","user_id":"1","name":"x y"}"#,
            ),
            (r#"{"email":"a@b.c","user_id":"1"} "#, r#"{"email":"a@b.c","user_id":"1"}"#),
        ] {
            let row_text = valid_row(text.as_bytes(), false).unwrap_or_else(|| panic!("{text}"));
            let mut output = Vec::new();
            row_text.write_compact(false, &mut output);
            assert_eq!(String::from_utf8(output).unwrap(), sent);
            assert_eq!(row_text.email, "a@b.c");
        }
    }

    #[test]
    fn uncertain_rows_are_not_accepted() {
        let user = |member: &str| format!("{{\"email\":\"a@b.c\",{member}}}");
        for member in [
            r#""email":"b@b.c""#,
            r#""name":null"#,
            r#""name":"""#,
            r#""picture":"none""#,
            r#""app_metadata":{"user_id":1}"#,
            r#""user_metadata":{"a":{"b.c":1}}"#,
            r#""user_metadata":{"a":[{"$b":1}]}"#,
            r#""user_metadata":{"a":1e999}"#,
            r#""user_metadata":{"a":"\ud800"}"#,
            r#""user_metadata":[]"#,
            r#""mfa_factors":[{}]"#,
            r#""user_id":"auth0|""#,
            r#""shoe_size":1"#,
        ] {
            assert!(valid_row(user(member).as_bytes(), true).is_none(), "{member}");
        }
        let deep = format!("\"user_metadata\":{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
        assert!(valid_row(user(&deep).as_bytes(), true).is_none());
        assert!(valid_row(json!({ "email": "a@b.c", "phone_number": "+1" }).to_string().as_bytes(), false).is_none());
    }
}
