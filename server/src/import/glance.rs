//! Tells rows that are surely without fault, from their text alone. Building a row's values costs several
//! times as much as reading it, and of most files nearly all rows are good; whatever leaves a doubt here is
//! built, and judged by [`super::schema`] and [`check`](mod@super::check).

use std::borrow::Cow;
use std::ops::Range;

use serde_json::Value;

use super::check::{FORBIDDEN_APP_METADATA, ID_PREFIX, is_plain_username, is_sound_member};
use super::chunks::{MAX_ROW_IN_CHUNK, squeeze};
use super::schema;
use crate::lanes::{end_of_plain, has_any};

/// Nesting beyond this is left to the parser.
const DEEPEST: u32 = 100;

/// Numbers with more digits are left to the parser, which knows what fits.
const MOST_DIGITS: usize = 200;

/// Where the metadata stand among the members of a row.
const METADATA: [u32; 2] = [14, 15];

/// What a glance at a row came to.
#[derive(Debug)]
pub(super) enum Glance<'a> {
    Clean(Clean<'a>),
    Doubtful(Doubtful<'a>),
}

/// A row without errors.
#[derive(Debug)]
pub(super) struct Clean<'a> {
    pub(super) text: &'a str,
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
    /// Where `app_metadata` and `user_metadata` stand.
    metadata: [Range<usize>; 2],
}

impl<'a> Clean<'a> {
    /// Appends the row as compact JSON, the id without its prefix where that is to go.
    pub(super) fn compact(&self, keep_id_prefix: bool, output: &mut Vec<u8>) {
        let text = self.text.as_bytes();
        let cut = self.user_id.is_some_and(|id| id.starts_with(ID_PREFIX)) && !keep_id_prefix;
        let (first, last) = if cut {
            // Up to the opening quote, and from behind the prefix, which a quote of its own begins.
            (text.get(..self.id_at), text.get(self.id_at + ID_PREFIX.len()..))
        } else {
            (Some(text), None)
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

    /// The row, where something else than its text speaks against it.
    pub(super) fn doubted(self) -> Doubtful<'a> {
        Doubtful { text: self.text, metadata: self.metadata }
    }
}

/// A row of valid JSON that has to be built. Its metadata, by far its largest part, needs not where nothing is
/// wrong with it.
#[derive(Debug)]
pub(super) struct Doubtful<'a> {
    pub(super) text: &'a str,
    /// Where metadata stands of which nothing is wrong.
    metadata: [Range<usize>; 2],
}

impl Doubtful<'_> {
    /// The row without what its metadata holds, where nothing is wrong with that: such a row has the faults of
    /// the whole one.
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

/// Looks at the row at the beginning of `text`, which is all of it when it is `whole`; nothing when it has to
/// be parsed to tell what it is. It is clean when it is surely without errors, and without warnings but for one
/// about the prefix of its id. Duplicates are another matter. With `phone_is_told` a phone number is no warning
/// any more.
pub(super) fn glance(bytes: &[u8], whole: bool, phone_is_told: bool) -> Option<Glance<'_>> {
    let mut walk = Walk { text: bytes, at: 0, spaced: false };
    let mut found = Found::default();
    let mut seen = 0_u32;
    let mut clean = true;
    if whole {
        walk.space();
    }
    walk.take(b'{')?;
    walk.space();
    loop {
        let key = walk.string()?;
        walk.colon()?;
        let start = walk.at;
        let Some(member) = walk.member(&key, phone_is_told, &mut found) else {
            // Whatever it is, the row goes on behind it.
            walk.at = start;
            walk.value(DEEPEST, false)?;
            clean = false;
            match walk.next_token()? {
                b',' => walk.space(),
                b'}' => break,
                _ => return None,
            }
            continue;
        };
        // Of a key that stands twice the last value counts.
        clean &= seen & (1 << member) == 0;
        seen |= 1 << member;
        if let Some(place) = METADATA.iter().position(|metadata| *metadata == member)
            && let Some(place) = found.metadata.get_mut(place)
        {
            *place = start..walk.at;
        }
        match walk.next_token()? {
            b',' => walk.space(),
            b'}' => break,
            _ => return None,
        }
    }
    let end = walk.at;
    if whole {
        let spaced = walk.spaced;
        walk.space();
        if walk.at != bytes.len() {
            return None;
        }
        walk.spaced = spaced;
    }
    let text = simdutf8::basic::from_utf8(bytes.get(..end)?).ok()?;
    let Found { metadata, email, user_id, username, phone_number } = found;
    let both_hashes = seen & (1 << 12) != 0 && seen & (1 << 13) != 0;
    if !clean || both_hashes || end > MAX_ROW_IN_CHUNK || email.is_empty() {
        return Some(Glance::Doubtful(Doubtful { text, metadata }));
    }
    let part = |range: Range<usize>| text.get(range).filter(|text| !text.is_empty());
    Some(Glance::Clean(Clean {
        text,
        email: lower(part(email)?),
        id_at: user_id.start,
        user_id: part(user_id),
        username: part(username).map(lower),
        phone_number: part(phone_number),
        spaced: walk.spaced,
        metadata,
    }))
}

/// What a glance keeps of a row: places in its text, empty where there is nothing.
#[derive(Default)]
struct Found {
    email: Range<usize>,
    user_id: Range<usize>,
    username: Range<usize>,
    phone_number: Range<usize>,
    /// Where the metadata stands. What stands twice is noted once: the last counts, and only it may be bad.
    metadata: [Range<usize>; 2],
}

fn lower(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii()) {
        Cow::Owned(text.to_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}
/// An address of the usual kind: letters and digits with single dots and the like between them.
fn is_plain_email(text: &[u8]) -> bool {
    let Some(at) = memchr::memchr(b'@', text) else { return false };
    let Some((local, domain)) = text.split_at_checked(at).and_then(|(local, rest)| Some((local, rest.get(1..)?)))
    else {
        return false;
    };
    // What stood before a byte, where a dot stands before the first one.
    let mut before = b'.';
    for byte in local {
        match byte {
            b'.' if before == b'.' => return false,
            b'.' | b'_' | b'-' | b'+' | b'\'' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => before = *byte,
            _ => return false,
        }
    }
    if before == b'.' || local.len() > 64 || text.len() > schema::MOST_EMAIL {
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

/// An address on the web of the usual kind, which is surely a URL: a named host, and no oddities before its
/// path.
fn is_plain_url(text: &[u8]) -> bool {
    let Some(rest) = text.strip_prefix(b"https://").or_else(|| text.strip_prefix(b"http://")) else { return false };
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let host = rest.get(..end).unwrap_or_default();
    let labels = || host.split(|byte| *byte == b'.');
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
    at: usize,
    escaped: bool,
}

impl Text<'_> {
    fn place(&self) -> Range<usize> {
        self.at..self.at + self.bytes.len()
    }
}

fn as_str(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

impl<'a> Walk<'a> {
    #[inline]
    fn space(&mut self) {
        if self.text.get(self.at).is_some_and(|byte| *byte <= b' ') {
            self.skip_space();
        }
    }

    #[cold]
    fn skip_space(&mut self) {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.spaced = true;
            self.at += 1;
        }
    }

    #[inline]
    fn next(&mut self) -> Option<u8> {
        let byte = *self.text.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    /// The next byte that is no white space.
    #[inline]
    fn next_token(&mut self) -> Option<u8> {
        self.space();
        self.next()
    }

    #[inline]
    fn take(&mut self, wanted: u8) -> Option<()> {
        self.next().filter(|byte| *byte == wanted).map(|_| ())
    }

    /// What stands between a key and its value.
    #[inline]
    fn colon(&mut self) -> Option<()> {
        self.space();
        self.take(b':')?;
        self.space();
        Some(())
    }

    fn literal(&mut self, wanted: &[u8]) -> Option<()> {
        self.text.get(self.at..)?.starts_with(wanted).then(|| self.at += wanted.len())
    }

    fn boolean(&mut self) -> Option<()> {
        self.literal(b"true").or_else(|| self.literal(b"false"))
    }

    /// A string of JSON, whose escapes are valid and no halves of surrogate pairs.
    #[inline]
    fn string(&mut self) -> Option<Text<'a>> {
        self.take(b'"')?;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at = end_of_plain(self.text, self.at);
            match self.next()? {
                b'"' => return Some(Text { bytes: self.text.get(start..self.at - 1)?, at: start, escaped }),
                b'\\' => {
                    escaped = true;
                    self.escape()?;
                }
                // A control character.
                _ => return None,
            }
        }
    }

    /// What stands behind a backslash.
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

    /// A string without escapes.
    fn plain(&mut self) -> Option<Text<'a>> {
        self.string().filter(|text| !text.escaped)
    }

    /// A string of one to so many characters; written it has never fewer bytes than characters.
    fn bounded(&mut self, most: usize) -> Option<()> {
        self.string().filter(|text| (1..=most).contains(&text.bytes.len())).map(|_| ())
    }

    /// The value of a root member in which nothing is wrong; which member it is.
    fn member(&mut self, key: &Text<'_>, phone_is_told: bool, found: &mut Found) -> Option<u32> {
        if key.escaped {
            return None;
        }
        Some(match key.bytes {
            b"email" => {
                let value = self.plain()?;
                let short_enough = value.bytes.len() <= schema::MOST_EMAIL;
                if !(is_plain_email(value.bytes) || (short_enough && schema::is_email(as_str(value.bytes)?))) {
                    return None;
                }
                found.email = value.place();
                0
            }
            b"email_verified" => self.boolean().map(|()| 1)?,
            b"phone_number" => {
                let value = self.plain().filter(|_| phone_is_told)?;
                if !schema::is_phone(as_str(value.bytes)?) {
                    return None;
                }
                found.phone_number = value.place();
                2
            }
            b"phone_verified" => self.boolean().map(|()| 3)?,
            b"user_id" => {
                let value = self.plain()?;
                if value.bytes.is_empty() || value.bytes == ID_PREFIX.as_bytes() {
                    return None;
                }
                found.user_id = value.place();
                4
            }
            b"username" => {
                let value = self.plain()?;
                if !is_plain_username(as_str(value.bytes)?) {
                    return None;
                }
                found.username = value.place();
                5
            }
            b"given_name" => self.bounded(150).map(|()| 6)?,
            b"family_name" => self.bounded(150).map(|()| 7)?,
            b"name" => self.bounded(150).map(|()| 8)?,
            b"nickname" => self.bounded(350).map(|()| 9)?,
            b"picture" => {
                let value = self.plain()?.bytes;
                if !is_plain_url(value) && url::Url::parse(as_str(value)?).is_err() {
                    return None;
                }
                10
            }
            b"blocked" => self.boolean().map(|()| 11)?,
            b"password_hash" => {
                let value = self.plain()?.bytes;
                if !schema::is_import_bcrypt(as_str(value)?) {
                    return None;
                }
                12
            }
            b"custom_password_hash" => self.built("custom_password_hash").map(|()| 13)?,
            b"app_metadata" => self.metadata(&FORBIDDEN_APP_METADATA).map(|()| METADATA[0])?,
            b"user_metadata" => self.metadata(&[]).map(|()| METADATA[1])?,
            b"mfa_factors" => self.built("mfa_factors").map(|()| 16)?,
            _ => return None,
        })
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
            if keys && (key.escaped || has_any(key.bytes, [b'.', b'$', b'.', b'$'])) {
                return None;
            }
            if forbidden.iter().any(|name| name.as_bytes() == key.bytes) {
                return None;
            }
            self.colon()?;
            self.value(depth, keys)?;
            match self.next_token()? {
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
            match self.next_token()? {
                b',' => self.space(),
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

    fn clean(text: &[u8], phone_is_told: bool) -> Option<Clean<'_>> {
        match glance(text, true, phone_is_told)? {
            Glance::Clean(clean) => Some(clean),
            Glance::Doubtful(_) => None,
        }
    }

    fn faults(row: &Value) -> Vec<crate::import::RowFault> {
        let mut checker = Checker::new(false, &std::env::temp_dir());
        checker.check(&RowPlace::default(), row, 0).unwrap()
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
            if let Some(clean) = clean(text.as_bytes(), true) {
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
            if clean(changed.as_bytes(), true).is_some() {
                prop_assert!(is_clean(changed.as_bytes()), "{}", changed);
            }
        }

        #[test]
        fn no_bytes_pass_that_are_not_json(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let text = [b"{\"email\":\"a@b.c\",\"user_metadata\":{\"a\":".as_slice(), &bytes, b"}}"].concat();
            if clean(&text, true).is_some() {
                prop_assert!(is_clean(&text));
            }
        }

        #[test]
        fn a_row_in_doubt_has_the_faults_of_the_whole_row(row in mutated(), twice in any::<bool>(), first in any::<bool>()) {
            let mut text = row.to_string();
            if twice && text.ends_with('}') {
                let other = r#""app_metadata":{"_id":1,"a.b":{"$":[]}}"#;
                text = if first { format!("{{{other},{}", &text[1..]) } else { format!("{},{other}}}", &text[..text.len() - 1]) };
            }
            let behind = format!("{text} ,{{}}]");
            match (glance(text.as_bytes(), true, true), glance(behind.as_bytes(), false, true)) {
                (Some(Glance::Doubtful(whole)), Some(Glance::Doubtful(element))) => {
                    prop_assert_eq!(whole.text, &text);
                    prop_assert_eq!(element.text, &text);
                    let full: Value = serde_json::from_str(&text).unwrap();
                    prop_assert_eq!(faults(&whole.build().unwrap()), faults(&full));
                    prop_assert_eq!(faults(&element.build().unwrap()), faults(&full));
                }
                (Some(Glance::Clean(whole)), Some(Glance::Clean(element))) => {
                    prop_assert_eq!(whole.text, &text);
                    prop_assert_eq!(element.text, &text);
                    let full: Value = serde_json::from_str(&text).unwrap();
                    prop_assert_eq!(faults(&whole.doubted().build().unwrap()), faults(&full));
                }
                (None, None) => {}
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }

    proptest! {
        #[test]
        fn addresses_that_are_plain_are_addresses(text in prop_oneof![
            "[a-z.+_'-]{0,4}@?[a-z0-9.@]{0,6}",
            "[a-zé.]{60,68}@[a-z]{1,3}\\.[a-z0-9]{60,66}",
            "a@([a-z]{50}\\.){4,5}[a-z]{1,6}",
        ]) {
            prop_assert!(!is_plain_email(text.as_bytes()) || schema::is_email(&text), "{}", text);
        }
    }

    #[test]
    fn nearly_all_good_users_pass_at_a_glance_and_no_bad_one_does() {
        let (mut good, mut passed) = (0, 0);
        for index in 0..5000 {
            let text = simulated_tenant::generate::import_user(index, 7);
            let (sound, glanced) = (is_clean(text.as_bytes()), clean(text.as_bytes(), true).is_some());
            assert!(sound || !glanced, "{text}");
            good += u32::from(sound);
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
            let clean = clean(text.as_bytes(), false).unwrap_or_else(|| panic!("{text}"));
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
            assert!(clean(user(member).as_bytes(), true).is_none(), "{member}");
        }
        let deep = format!("\"user_metadata\":{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
        assert!(clean(user(&deep).as_bytes(), true).is_none());
        assert!(clean(json!({ "email": "a@b.c", "phone_number": "+1" }).to_string().as_bytes(), false).is_none());
    }
}
