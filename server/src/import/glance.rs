//! Tells rows that are surely without fault, from their text alone. Building a row's values costs several
//! times as much as reading it, and of most files nearly all rows are good; whatever leaves a doubt here is
//! built, and judged by [`super::schema`] and [`check`](mod@super::check).

use std::borrow::Cow;

use memchr::memchr2;
use serde_json::Value;

use super::check::{FORBIDDEN_APP_METADATA, ID_PREFIX, is_plain_username, is_sound_member};
use super::chunks::{MAX_ROW_IN_CHUNK, squeeze};
use super::schema;

/// Nesting beyond this is left to the parser.
const DEEPEST: u32 = 100;

/// Numbers with more digits are left to the parser, which knows what fits.
const MOST_DIGITS: usize = 200;

/// A row without errors.
#[derive(Debug)]
pub(super) struct Clean<'a> {
    text: &'a [u8],
    /// In lower case.
    pub(super) email: Cow<'a, str>,
    /// As it stands in the row.
    pub(super) user_id: Option<&'a str>,
    /// In lower case.
    pub(super) username: Option<Cow<'a, str>>,
    pub(super) phone_number: Option<&'a str>,
    /// Where the text of `user_id` begins.
    id_at: usize,
    /// White space stands between tokens.
    spaced: bool,
}

impl Clean<'_> {
    /// Writes the row as compact JSON, the id without its prefix where that is to go.
    pub(super) fn compact(&self, keep_id_prefix: bool, output: &mut Vec<u8>) {
        output.clear();
        let cut = self.user_id.is_some_and(|id| id.starts_with(ID_PREFIX)) && !keep_id_prefix;
        let (first, last) = if cut {
            // Up to the opening quote, and from behind the prefix, which a quote of its own begins.
            (self.text.get(..self.id_at), self.text.get(self.id_at + ID_PREFIX.len()..))
        } else {
            (Some(self.text), None)
        };
        let first = first.unwrap_or_default();
        match (self.spaced, last) {
            (false, last) => {
                output.extend_from_slice(first);
                output.extend_from_slice(last.unwrap_or_default());
            }
            (true, None) => squeeze(first, output),
            (true, Some(last)) => {
                squeeze(first.get(..first.len().saturating_sub(1)).unwrap_or_default(), output);
                output.push(b'"');
                // The rest of a string that is open: up to its closing quote it is copied as it stands.
                let end = memchr::memchr(b'"', last).map_or(last.len(), |at| at + 1);
                output.extend_from_slice(last.get(..end).unwrap_or_default());
                squeeze(last.get(end..).unwrap_or_default(), output);
            }
        }
    }
}

/// The row, when it is surely without errors, and without warnings but for one about the prefix of its id.
/// Duplicates are another matter. With `phone_is_told` a phone number is no warning any more.
pub(super) fn glance(text: &[u8], phone_is_told: bool) -> Option<Clean<'_>> {
    if text.len() > MAX_ROW_IN_CHUNK || simdutf8::basic::from_utf8(text).is_err() {
        return None;
    }
    let mut walk = Walk { text, at: 0, spaced: false };
    let (mut email, mut user_id, mut username, mut phone_number) = (None, None, None, None);
    let mut id_at = 0;
    let mut seen = 0_u32;
    walk.space();
    walk.take(b'{')?;
    walk.space();
    loop {
        let key = walk.string().filter(|key| !key.escaped)?;
        walk.space();
        walk.take(b':')?;
        walk.space();
        let member = match key.bytes {
            b"email" => {
                let value = walk.plain()?;
                let short_enough = value.len() <= schema::MOST_EMAIL;
                if !(is_plain_email(value) || (short_enough && schema::is_email(value))) {
                    return None;
                }
                email = Some(lower(value));
                0
            }
            b"email_verified" => walk.boolean().map(|()| 1)?,
            b"phone_number" => {
                let value = walk.plain().filter(|value| phone_is_told && schema::is_phone(value))?;
                phone_number = Some(value);
                2
            }
            b"phone_verified" => walk.boolean().map(|()| 3)?,
            b"user_id" => {
                id_at = walk.at + 1;
                let value = walk.plain().filter(|value| !value.is_empty() && *value != ID_PREFIX)?;
                user_id = Some(value);
                4
            }
            b"username" => {
                let value = walk.plain().filter(|value| is_plain_username(value))?;
                username = Some(lower(value));
                5
            }
            b"given_name" => walk.bounded(150).map(|()| 6)?,
            b"family_name" => walk.bounded(150).map(|()| 7)?,
            b"name" => walk.bounded(150).map(|()| 8)?,
            b"nickname" => walk.bounded(350).map(|()| 9)?,
            b"picture" => {
                let value = walk.plain()?;
                if !is_plain_url(value) && url::Url::parse(value).is_err() {
                    return None;
                }
                10
            }
            b"blocked" => walk.boolean().map(|()| 11)?,
            b"password_hash" => {
                walk.plain().filter(|value| schema::is_import_bcrypt(value))?;
                12
            }
            b"custom_password_hash" => walk.built("custom_password_hash").map(|()| 13)?,
            b"app_metadata" => walk.metadata(&FORBIDDEN_APP_METADATA).map(|()| 14)?,
            b"user_metadata" => walk.metadata(&[]).map(|()| 15)?,
            b"mfa_factors" => walk.built("mfa_factors").map(|()| 16)?,
            _ => return None,
        };
        // Of a key that stands twice the last value counts.
        if seen & (1 << member) != 0 {
            return None;
        }
        seen |= 1 << member;
        walk.space();
        match walk.next()? {
            b',' => walk.space(),
            b'}' => break,
            _ => return None,
        }
    }
    walk.space();
    let both_hashes = seen & (1 << 12) != 0 && seen & (1 << 13) != 0;
    if walk.at != text.len() || both_hashes {
        return None;
    }
    Some(Clean { text, email: email?, user_id, username, phone_number, id_at, spaced: walk.spaced })
}

fn lower(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii()) {
        Cow::Owned(text.to_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}

/// An address of the usual kind: letters and digits with single dots and the like between them.
fn is_plain_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let is_local = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+' | b'\'');
    let is_label = |label: &[u8]| {
        label.first().is_some_and(u8::is_ascii_alphabetic)
            && label.len() <= 63
            && label.iter().all(u8::is_ascii_alphanumeric)
    };
    local.len() <= 64
        && text.len() <= schema::MOST_EMAIL
        && local
            .as_bytes()
            .split(|byte| *byte == b'.')
            .all(|part| !part.is_empty() && part.iter().copied().all(is_local))
        && domain.as_bytes().split(|byte| *byte == b'.').all(is_label)
}

/// An address on the web of the usual kind, which is surely a URL: a named host, and no oddities before its
/// path.
fn is_plain_url(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else { return false };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let labels = || host.as_bytes().split(|byte| *byte == b'.');
    let named =
        |label: &[u8]| !label.is_empty() && label.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
    host.len() <= 253
        && labels().all(|label| {
            named(label) && label.len() <= 63 && !label.starts_with(b"xn--") && label.get(2..4) != Some(b"--")
        })
        && labels().next_back().is_some_and(|label| label.iter().all(u8::is_ascii_alphabetic))
}

/// A place in the text of a row.
struct Walk<'a> {
    text: &'a [u8],
    at: usize,
    spaced: bool,
}

/// A string as it stands between its quotes.
struct Text<'a> {
    bytes: &'a [u8],
    escaped: bool,
}

impl<'a> Walk<'a> {
    fn space(&mut self) {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.spaced = true;
            self.at += 1;
        }
    }

    fn next(&mut self) -> Option<u8> {
        let byte = *self.text.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn take(&mut self, wanted: u8) -> Option<()> {
        self.next().filter(|byte| *byte == wanted).map(|_| ())
    }

    fn literal(&mut self, wanted: &[u8]) -> Option<()> {
        self.text.get(self.at..)?.starts_with(wanted).then(|| self.at += wanted.len())
    }

    fn boolean(&mut self) -> Option<()> {
        self.literal(b"true").or_else(|| self.literal(b"false"))
    }

    /// A string of JSON, whose escapes are valid and no halves of surrogate pairs.
    fn string(&mut self) -> Option<Text<'a>> {
        self.take(b'"')?;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at += string_run(self.text.get(self.at..)?);
            match self.next()? {
                b'"' => return Some(Text { bytes: self.text.get(start..self.at - 1)?, escaped }),
                b'\\' => {
                    escaped = true;
                    match self.next()? {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                        b'u' => {
                            let digits = self.text.get(self.at..self.at + 4)?;
                            if !digits.iter().all(u8::is_ascii_hexdigit) {
                                return None;
                            }
                            if matches!(digits, [b'd' | b'D', b'8'..=b'9' | b'a'..=b'f' | b'A'..=b'F', ..]) {
                                return None;
                            }
                            self.at += 4;
                        }
                        _ => return None,
                    }
                }
                // A control character.
                _ => return None,
            }
        }
    }

    /// A string without escapes.
    fn plain(&mut self) -> Option<&'a str> {
        let text = self.string().filter(|text| !text.escaped)?;
        std::str::from_utf8(text.bytes).ok()
    }

    /// A string of one to so many characters; written it has never fewer bytes than characters.
    fn bounded(&mut self, most: usize) -> Option<()> {
        self.string().filter(|text| (1..=most).contains(&text.bytes.len())).map(|_| ())
    }

    /// A member that is rare, or short: it is built.
    fn built(&mut self, name: &str) -> Option<()> {
        let start = self.at;
        self.value(DEEPEST, false)?;
        let value: Value = serde_json::from_slice(self.text.get(start..self.at)?).ok()?;
        is_sound_member(name, &value).then_some(())
    }

    /// Metadata: an object with none of these keys.
    fn metadata(&mut self, forbidden: &[&str]) -> Option<()> {
        if self.text.get(self.at) != Some(&b'{') {
            return None;
        }
        self.object(DEEPEST, true, forbidden)
    }

    /// Any value; with `keys` names of members must be such as metadata may have.
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
        self.space();
        if self.text.get(self.at) == Some(&b'}') {
            self.at += 1;
            return Some(());
        }
        loop {
            let key = self.string()?;
            if keys && (key.escaped || memchr2(b'.', b'$', key.bytes).is_some()) {
                return None;
            }
            if forbidden.iter().any(|name| name.as_bytes() == key.bytes) {
                return None;
            }
            self.space();
            self.take(b':')?;
            self.space();
            self.value(depth, keys)?;
            self.space();
            match self.next()? {
                b',' => self.space(),
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    fn array(&mut self, depth: u32, keys: bool) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        self.at += 1;
        self.space();
        if self.text.get(self.at) == Some(&b']') {
            self.at += 1;
            return Some(());
        }
        loop {
            self.value(depth, keys)?;
            self.space();
            match self.next()? {
                b',' => self.space(),
                b']' => return Some(()),
                _ => return None,
            }
        }
    }

    fn digits(&mut self) -> usize {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let count = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
        self.at += count;
        count
    }

    /// A number of JSON that is surely finite.
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
        if self.at - start > MOST_DIGITS {
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

/// How many bytes from here on are neither a quote, nor a backslash, nor a control character. Eight at a
/// time: in each byte of a word the highest bit says whether it is one of them.
fn string_run(text: &[u8]) -> usize {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let mut done = 0;
    let mut words = text.chunks_exact(8);
    for word in words.by_ref() {
        let word = u64::from_le_bytes(word.try_into().unwrap_or_default());
        let zero = |difference: u64| difference.wrapping_sub(LOW) & !difference & HIGH;
        let control = word.wrapping_sub(LOW * 0x20) & !word & HIGH;
        let found = zero(word ^ (LOW * u64::from(b'"'))) | zero(word ^ (LOW * u64::from(b'\\'))) | control;
        if found != 0 {
            // A borrow may only mark a byte behind the first one that is truly marked.
            return done + (found.trailing_zeros() / 8) as usize;
        }
        done += 8;
    }
    let rest = words.remainder();
    done + rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::check::{Checker, RowPlace};
    use super::super::chunks::compact;
    use super::super::schema::tests::{full, mutated};
    use super::*;

    /// Whether the row, built, has no errors and no warnings but one about the prefix of its id; and what
    /// its parser says.
    fn is_clean(text: &[u8]) -> bool {
        let Ok(row) = serde_json::from_slice::<Value>(text) else { return false };
        let directory = std::env::temp_dir();
        let mut checker = Checker::new(false, &directory);
        checker.phone_is_told();
        let found = checker.check(&RowPlace::default(), &row, text.len()).unwrap();
        found.iter().all(|fault| fault.code == "ID_PREFIX")
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
        fn what_passes_at_a_glance_has_no_fault(row in mutated(), custom in any::<bool>(), pretty in any::<bool>()) {
            let row = without_one_hash(row, custom);
            let text = if pretty { serde_json::to_string_pretty(&row) } else { serde_json::to_string(&row) }.unwrap();
            if let Some(clean) = glance(text.as_bytes(), true) {
                prop_assert!(is_clean(text.as_bytes()), "{text}");
                let (mut ours, mut theirs) = (Vec::new(), Vec::new());
                clean.compact(false, &mut ours);
                let id = row["user_id"].as_str().and_then(|id| id.strip_prefix(ID_PREFIX));
                compact(text.as_bytes(), id, &mut theirs).unwrap();
                prop_assert_eq!(String::from_utf8(ours), String::from_utf8(theirs));
            }
        }

        #[test]
        fn text_that_is_nearly_a_row_passes_only_if_it_is_one(
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
            if glance(changed.as_bytes(), true).is_some() {
                prop_assert!(is_clean(changed.as_bytes()), "{}", changed);
            }
        }

        #[test]
        fn no_bytes_pass_that_are_not_json(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let text = [b"{\"email\":\"a@b.c\",\"user_metadata\":{\"a\":".as_slice(), &bytes, b"}}"].concat();
            if glance(&text, true).is_some() {
                prop_assert!(is_clean(&text));
            }
        }

        #[test]
        fn what_ends_a_string_is_found_wherever_it_stands(text in prop::collection::vec(prop_oneof![8 => any::<u8>(), 1 => Just(b'"'), 1 => 0_u8..0x20, 1 => Just(0x80), 1 => Just(0x21)], 0..40)) {
            let expected = text.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).unwrap_or(text.len());
            prop_assert_eq!(string_run(&text), expected);
        }
    }

    #[test]
    fn nearly_all_good_users_pass_at_a_glance_and_no_bad_one_does() {
        let (mut good, mut passed) = (0, 0);
        for index in 0..5000 {
            let text = simulated_tenant::generate::import_user(index, 7);
            let (clean, glanced) = (is_clean(text.as_bytes()), glance(text.as_bytes(), true).is_some());
            assert!(clean || !glanced, "{text}");
            good += u32::from(clean);
            passed += u32::from(glanced);
        }
        assert!(passed * 100 > good * 95, "{passed} of {good}");
    }

    #[test]
    fn a_prefix_is_cut_from_the_id_and_nothing_else_changes() {
        for (text, sent) in [
            (r#"{"user_id":"auth0|1","email":"A@b.c"}"#, r#"{"user_id":"1","email":"A@b.c"}"#),
            (
                r#"{ "email" : "a@b.c", "user_id" : "auth0|1", "name" : "x y" }"#,
                r#"{"email":"a@b.c","user_id":"1","name":"x y"}"#,
            ),
            (r#"{"email":"a@b.c","user_id":"1"} "#, r#"{"email":"a@b.c","user_id":"1"}"#),
        ] {
            let clean = glance(text.as_bytes(), false).unwrap_or_else(|| panic!("{text}"));
            let mut output = Vec::new();
            clean.compact(false, &mut output);
            assert_eq!(String::from_utf8(output).unwrap(), sent);
            assert_eq!(clean.email, "a@b.c");
        }
    }

    #[test]
    fn what_leaves_a_doubt_does_not_pass() {
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
            assert!(glance(user(member).as_bytes(), true).is_none(), "{member}");
        }
        let deep = format!("\"user_metadata\":{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
        assert!(glance(user(&deep).as_bytes(), true).is_none());
        assert!(glance(json!({ "email": "a@b.c", "phone_number": "+1" }).to_string().as_bytes(), false).is_none());
    }
}
