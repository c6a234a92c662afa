//! Finds valid rows by scanning their text, without building values. Building values costs several times as much as
//! scanning, and nearly all rows of most files are valid. Rows that are not certainly valid are built and validated
//! by [`super::schema`] and [`check`](mod@super::check).

use std::borrow::Cow;
use std::ops::Range;

use memchr::memmem;
use serde_json::Value;

use super::attribute_rules::{FORBIDDEN_APP_METADATA, has_no_findings, is_plain_username};
use super::bcrypt::is_import_bcrypt;
use super::cleanup::{Cleanup, is_metadata};
use super::compact_row::MAX_ROW_IN_CHUNK;
use super::consequences::{COUNTED, CountedAttributes, OtherProvider};
use super::row_identity::{ID_PREFIX, Identifiers, lower, sent_id};
use super::schema;
use uie_core::user;
use uie_json::simd::contains_any;
use uie_json::{MemberVisitor, RawString, ValueScanner, minify, visit_object};

/// Numbers of `app_metadata` and `user_metadata` among the members of a row.
const METADATA_MEMBERS: [u32; 2] = [14, 15];

/// What is removed from the text of a row.
#[derive(Clone, Debug, Default)]
pub(super) struct TextRemoval {
    /// Names of root members, of which none is importable.
    names: Vec<String>,
    /// Whether root members without content are removed.
    empty: bool,
    /// Whether root members with unknown names are removed.
    unknown: bool,
    /// Strings that mean an absent value, as JSON: a row with one must be parsed.
    null_texts: Vec<String>,
}

impl TextRemoval {
    /// `names` are names of root members, of which none is importable.
    pub(super) fn new(names: Vec<String>, cleanup: &Cleanup) -> Self {
        let null_texts = cleanup.null_texts.iter().map(|text| Value::from(text.as_str()).to_string()).collect();
        Self { names, empty: cleanup.empty, unknown: cleanup.unknown, null_texts }
    }

    /// Returns whether members are removed by their name.
    fn removes_names(&self) -> bool {
        self.unknown || !self.names.is_empty()
    }

    /// Returns whether a text may contain a string that means an absent value.
    fn may_have_null_text(&self, text: &[u8]) -> bool {
        // With an escape, the same string can be written in another way.
        !self.null_texts.is_empty()
            && (memchr::memchr(b'\\', text).is_some()
                || self.null_texts.iter().any(|null| memmem::find(text, null.as_bytes()).is_some()))
    }
}

/// Returns whether the text of a value is `null`, or an empty string, object or array.
fn is_empty_value(text: &[u8]) -> bool {
    match text {
        b"null" | b"\"\"" => true,
        [b'{', inside @ .., b'}'] | [b'[', inside @ .., b']'] => inside.iter().all(u8::is_ascii_whitespace),
        _ => false,
    }
}

/// Returns whether the text of metadata may have a member that is `null` or an empty string.
fn may_have_empty_member(text: &[u8]) -> bool {
    memmem::find(text, b"null").is_some() || memmem::find(text, b"\"\"").is_some()
}
/// Numbers of the members that an import with upsert counts, in the order of [`COUNTED`].
const COUNTED_MEMBERS: [u32; COUNTED.len()] = [11, 5, 2, 3, 4, 12, 13, 16, METADATA_MEMBERS[0], METADATA_MEMBERS[1]];

/// Result of scanning a row.
#[derive(Debug)]
pub(super) enum FastCheck<'a> {
    Valid(ValidText<'a>),
    NeedsFullCheck(UncheckedText<'a>),
}

/// A row without errors.
#[derive(Debug)]
pub(super) struct ValidText<'a> {
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
    removed: RemovedMembers,
    /// Ranges of the names of removed members that are unknown.
    unknown_names: Vec<Range<usize>>,
    /// One bit for the number of each member.
    seen_members: u32,
    /// Range of the value of `identities`, which was removed; empty if absent.
    identities: Range<usize>,
}

impl<'a> ValidText<'a> {
    /// Returns the names of removed members that are unknown.
    pub(super) fn unknown_names(&self) -> impl Iterator<Item = &str> {
        self.unknown_names.iter().filter_map(|range| self.text.get(range.clone()))
    }

    /// Returns the attributes of the row that an import with upsert counts.
    pub(super) fn counted_attributes(&self) -> CountedAttributes {
        CountedAttributes::new(COUNTED_MEMBERS.map(|member| self.seen_members & (1 << member) != 0))
    }

    /// Returns the provider of the user if it is not in a database connection.
    pub(super) fn other_provider(&self) -> Option<OtherProvider> {
        other_provider(self.text, self.user_id, &self.identities)
    }

    /// Appends the row as compact JSON, without removed members; removes the prefix of the id unless `keep_id_prefix`.
    pub(super) fn write_compact(&self, keep_id_prefix: bool, output: &mut Vec<u8>) {
        let has_prefix = self.user_id.is_some_and(|id| id.starts_with(ID_PREFIX));
        let prefix = (has_prefix && !keep_id_prefix).then(|| self.id_offset..self.id_offset + ID_PREFIX.len());
        if !self.has_whitespace {
            self.removed.write_rest(self.text, prefix, output);
        } else if prefix.is_none() && self.removed.is_empty() {
            minify(self.text.as_bytes(), output);
        } else {
            let mut text = Vec::with_capacity(self.text.len());
            self.removed.write_rest(self.text, prefix, &mut text);
            minify(&text, output);
        }
    }

    /// Returns the identifiers of the row.
    pub(super) fn identifiers(&self, keep_id_prefix: bool) -> Identifiers<'_> {
        Identifiers {
            email: Some(Cow::Borrowed(&self.email)),
            user_id: self.user_id.map(|id| sent_id(id, keep_id_prefix)),
            username: self.username.as_deref().map(Cow::Borrowed),
            phone_number: self.phone_number,
        }
    }

    /// Converts to a row that needs the full check, for rows refused for a reason outside their text (duplicates).
    pub(super) fn into_unchecked(self) -> UncheckedText<'a> {
        let Self { text, metadata, removed, unknown_names, identities, .. } = self;
        UncheckedText { text, metadata, removed, unknown_names, identities }
    }
}

/// A syntactically valid row that needs the full check. Valid metadata, usually most of the row, is skipped by
/// [`build`](Self::build).
#[derive(Debug)]
pub(super) struct UncheckedText<'a> {
    pub(super) text: &'a str,
    /// Ranges of metadata that is known to be valid; otherwise empty.
    metadata: [Range<usize>; 2],
    removed: RemovedMembers,
    /// Ranges of the names of removed members that are unknown.
    unknown_names: Vec<Range<usize>>,
    /// Range of the value of `identities`, which was removed; empty if absent.
    identities: Range<usize>,
}

impl<'a> UncheckedText<'a> {
    /// Returns the names of removed members that are unknown.
    pub(super) fn unknown_names(&self) -> impl Iterator<Item = &str> {
        self.unknown_names.iter().filter_map(|range| self.text.get(range.clone()))
    }

    /// Parses the row without removed members, with `{}` in place of valid metadata; the full check reports the same
    /// errors as for the complete row. `None` if parsing fails.
    pub(super) fn build(&self) -> Option<Value> {
        let metadata = self.metadata.iter().filter(|range| !range.is_empty()).map(|range| (range, "{}"));
        let mut edits: Vec<_> = metadata.chain(self.removed.0.iter().map(|range| (range, ""))).collect();
        edits.sort_unstable_by_key(|(range, _)| range.start);
        let mut text = String::with_capacity(self.text.len());
        let mut done = 0;
        for (range, replacement) in edits {
            text.push_str(self.text.get(done..range.start)?);
            text.push_str(replacement);
            done = range.end;
        }
        text.push_str(self.text.get(done..)?);
        serde_json::from_str(&text).ok()
    }

    /// Returns the provider of the user, with this id, if it is not in a database connection.
    pub(super) fn other_provider(&self, user_id: Option<&str>) -> Option<OtherProvider> {
        other_provider(self.text, user_id, &self.identities)
    }

    /// Returns the text of the row without removed members.
    pub(super) fn text_to_check(&self) -> Cow<'a, [u8]> {
        if self.removed.is_empty() {
            return Cow::Borrowed(self.text.as_bytes());
        }
        let mut text = Vec::with_capacity(self.text.len());
        self.removed.write_rest(self.text, None, &mut text);
        Cow::Owned(text)
    }
}

fn other_provider(text: &str, user_id: Option<&str>, identities: &Range<usize>) -> Option<OtherProvider> {
    // Most users of a database have the prefix in their id, and most other rows have no identities.
    if user_id.is_some_and(|id| id.starts_with(ID_PREFIX)) || (identities.is_empty() && user_id.is_none()) {
        return None;
    }
    let identities = text.get(identities.clone()).filter(|text| !text.is_empty());
    OtherProvider::of(user_id, identities.and_then(|text| serde_json::from_str::<Value>(text).ok()).as_ref())
}

/// The ranges of root members that are not imported, each with one of the commas around it, in ascending order.
#[derive(Debug, Default)]
struct RemovedMembers(Vec<Range<usize>>);

impl RemovedMembers {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of bytes.
    fn length(&self) -> usize {
        self.0.iter().map(Range::len).sum()
    }

    /// Adds a member. `previous` is the end of the value before it, and `kept` whether an earlier member is kept.
    fn add(&mut self, previous: usize, member: Range<usize>, kept: bool) {
        match self.0.last_mut() {
            Some(last) if last.end == previous => last.end = member.end,
            _ => self.0.push(if kept { previous..member.end } else { member }),
        }
    }

    /// Extends the members before the first kept one, which starts at `start`, by the comma after them.
    fn keep_first(&mut self, start: usize) {
        if let Some(last) = self.0.last_mut() {
            last.end = start;
        }
    }

    /// Appends the text without these ranges and without `prefix`, which is in none of them.
    fn write_rest(&self, text: &str, prefix: Option<Range<usize>>, output: &mut Vec<u8>) {
        let text = text.as_bytes();
        let mut done = 0;
        let mut skip = |range: &Range<usize>| {
            output.extend_from_slice(text.get(done..range.start).unwrap_or_default());
            done = range.end;
        };
        let mut prefix = prefix;
        for range in &self.0 {
            if let Some(prefix) = prefix.take_if(|prefix| prefix.start < range.start) {
                skip(&prefix);
            }
            skip(range);
        }
        prefix.iter().for_each(skip);
        output.extend_from_slice(text.get(done..).unwrap_or_default());
    }
}

/// Scans the row at the start of `bytes`; with `is_whole` the row is all of `bytes`. Returns `None` if the text is
/// unusual or malformed and must be parsed.
///
/// A row is valid if it has no errors, and no warnings except one about the prefix of its id. Duplicates are not
/// checked here. With `phone_warning_emitted` a phone number causes no warning. What `removal` says is removed.
pub(super) fn fast_check<'a>(
    bytes: &'a [u8],
    is_whole: bool,
    phone_warning_emitted: bool,
    removal: &TextRemoval,
) -> Option<FastCheck<'a>> {
    let mut row = RowVisitor {
        removal,
        unknown_names: Vec::new(),
        phone_warning_emitted,
        ranges: MemberRanges::default(),
        seen_members: 0,
        is_valid: true,
        removed: RemovedMembers::default(),
        identities: Range::default(),
        any_kept: false,
        previous_end: 0,
    };
    let visited = visit_object(bytes, is_whole, &mut row)?;
    let RowVisitor { ranges, seen_members, is_valid, removed, unknown_names, identities, .. } = row;
    if removal.may_have_null_text(bytes.get(..visited.end)?) {
        return None;
    }
    let text = simdutf8::basic::from_utf8(bytes.get(..visited.end)?).ok()?;
    let MemberRanges { metadata, email, user_id, username, phone_number } = ranges;
    let both_hashes = seen_members & (1 << 12) != 0 && seen_members & (1 << 13) != 0;
    let is_too_large = visited.end - removed.length() > MAX_ROW_IN_CHUNK;
    if !is_valid || both_hashes || is_too_large || email.is_empty() {
        let unchecked = UncheckedText { text, metadata, removed, unknown_names, identities };
        return Some(FastCheck::NeedsFullCheck(unchecked));
    }
    let part = |range: Range<usize>| text.get(range).filter(|text| !text.is_empty());
    Some(FastCheck::Valid(ValidText {
        text,
        email: lower(part(email)?),
        id_offset: user_id.start,
        user_id: part(user_id),
        username: part(username).map(lower),
        phone_number: part(phone_number),
        has_whitespace: visited.has_whitespace,
        metadata,
        removed,
        unknown_names,
        seen_members,
        identities,
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

fn as_str(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// Validates the members of a row.
struct RowVisitor<'r> {
    removal: &'r TextRemoval,
    /// Ranges of the names of removed members that are unknown.
    unknown_names: Vec<Range<usize>>,
    phone_warning_emitted: bool,
    ranges: MemberRanges,
    /// One bit for the number of each member.
    seen_members: u32,
    is_valid: bool,
    removed: RemovedMembers,
    /// Range of the value of `identities`, if it was removed.
    identities: Range<usize>,
    /// Whether an earlier member was not removed.
    any_kept: bool,
    /// The end of the value before.
    previous_end: usize,
}

impl MemberVisitor for RowVisitor<'_> {
    #[inline]
    fn visit_member(&mut self, name: RawString<'_>, value: &mut ValueScanner<'_>) -> Option<()> {
        let (start, mark) = (value.at(), value.mark());
        if self.removal.empty {
            value.skip()?;
            let text = value.bytes_from(start);
            if is_empty_value(text) {
                return self.remove(name, value);
            }
            if name.has_escapes || (as_str(name.bytes).is_some_and(is_metadata) && may_have_empty_member(text)) {
                return None;
            }
            value.rewind(mark);
        }
        let member = if name.has_escapes { None } else { self.check_member(name.bytes, value) };
        let name_start = name.start - 1;
        if let Some(member) = member {
            // The last value of a repeated key counts.
            self.is_valid &= self.seen_members & (1 << member) == 0;
            self.seen_members |= 1 << member;
            if let Some(index) = METADATA_MEMBERS.iter().position(|metadata| *metadata == member)
                && let Some(range) = self.ranges.metadata.get_mut(index)
            {
                *range = start..value.at();
            }
        } else {
            // The value is not certainly valid: skip it.
            value.rewind(mark);
            value.skip()?;
            if self.removal.removes_names() && self.is_removed(name)? {
                if name.bytes == b"identities" {
                    self.identities = start..value.at();
                }
                return self.remove(name, value);
            }
            self.is_valid = false;
        }
        if !self.any_kept {
            self.removed.keep_first(name_start);
            self.any_kept = true;
        }
        self.previous_end = value.at();
        Some(())
    }
}

impl RowVisitor<'_> {
    /// Returns whether a member is removed because of its name. `None` if the parser must decode the name.
    fn is_removed(&self, name: RawString<'_>) -> Option<bool> {
        if name.has_escapes {
            return None;
        }
        let is_named = self.removal.names.iter().any(|removed| removed.as_bytes() == name.bytes);
        Some(is_named || (self.removal.unknown && is_unknown(name.bytes)))
    }

    /// Removes the member whose value ends here, and counts its name if it is unknown.
    fn remove(&mut self, name: RawString<'_>, value: &ValueScanner<'_>) -> Option<()> {
        let is_named = self.removal.names.iter().any(|removed| removed.as_bytes() == name.bytes);
        if self.removal.unknown && !is_named {
            if name.has_escapes {
                return None;
            }
            if is_unknown(name.bytes) {
                self.unknown_names.push(name.range());
            }
        }
        self.removed.add(self.previous_end, name.start - 1..value.at(), self.any_kept);
        self.previous_end = value.at();
        Some(())
    }

    /// Consumes and validates the value of a root member; returns the member's number. `None` if the value is not
    /// certainly valid.
    #[inline]
    fn check_member(&mut self, name: &[u8], value: &mut ValueScanner<'_>) -> Option<u32> {
        Some(match name {
            b"email" => {
                let text = unescaped_string(value)?;
                let short_enough = text.bytes.len() <= schema::MAX_EMAIL_LENGTH;
                if !(is_plain_email(text.bytes) || (short_enough && schema::is_email(as_str(text.bytes)?))) {
                    return None;
                }
                self.ranges.email = text.range();
                0
            }
            b"email_verified" => value.boolean().map(|()| 1)?,
            b"phone_number" => {
                let text = unescaped_string(value).filter(|_| self.phone_warning_emitted)?;
                if !schema::is_phone(as_str(text.bytes)?) {
                    return None;
                }
                self.ranges.phone_number = text.range();
                2
            }
            b"phone_verified" => value.boolean().map(|()| 3)?,
            b"user_id" => {
                let text = unescaped_string(value)?;
                if text.bytes.is_empty() || text.bytes == ID_PREFIX.as_bytes() {
                    return None;
                }
                self.ranges.user_id = text.range();
                4
            }
            b"username" => {
                let text = unescaped_string(value)?;
                if !is_plain_username(as_str(text.bytes)?) {
                    return None;
                }
                self.ranges.username = text.range();
                5
            }
            b"given_name" => short_string(value, 150).map(|()| 6)?,
            b"family_name" => short_string(value, 150).map(|()| 7)?,
            b"name" => short_string(value, 150).map(|()| 8)?,
            b"nickname" => short_string(value, 350).map(|()| 9)?,
            b"picture" => {
                let text = unescaped_string(value)?.bytes;
                if !is_plain_url(text) && url::Url::parse(as_str(text)?).is_err() {
                    return None;
                }
                10
            }
            b"blocked" => value.boolean().map(|()| 11)?,
            b"password_hash" => {
                let text = unescaped_string(value)?.bytes;
                if !is_import_bcrypt(as_str(text)?) {
                    return None;
                }
                12
            }
            b"custom_password_hash" => check_parsed(value, "custom_password_hash").map(|()| 13)?,
            b"app_metadata" => check_metadata(value, &FORBIDDEN_APP_METADATA).map(|()| METADATA_MEMBERS[0])?,
            b"user_metadata" => check_metadata(value, &[]).map(|()| METADATA_MEMBERS[1])?,
            b"mfa_factors" => check_parsed(value, "mfa_factors").map(|()| 16)?,
            _ => return None,
        })
    }
}

/// Returns whether no attribute of a user has this name.
fn is_unknown(name: &[u8]) -> bool {
    as_str(name).is_none_or(|name| user::find(name).is_none())
}

/// Consumes a string without escapes.
fn unescaped_string<'a>(value: &mut ValueScanner<'a>) -> Option<RawString<'a>> {
    value.string().filter(|text| !text.has_escapes)
}

/// Consumes a string of 1 to `max` bytes as written, which has at most as many characters.
fn short_string(value: &mut ValueScanner<'_>, max: usize) -> Option<()> {
    value.string().filter(|text| (1..=max).contains(&text.bytes.len())).map(|_| ())
}

/// Consumes and validates a rare or short member by parsing it.
fn check_parsed(value: &mut ValueScanner<'_>, name: &str) -> Option<()> {
    let start = value.at();
    value.skip()?;
    let parsed: Value = serde_json::from_slice(value.bytes_from(start)).ok()?;
    has_no_findings(name, &parsed).then_some(())
}

/// Consumes metadata: an object without the keys in `forbidden`, and without `.` and `$` in the keys at any depth.
fn check_metadata(value: &mut ValueScanner<'_>, forbidden: &[&str]) -> Option<()> {
    value.object_with_names(
        |name| !forbidden.iter().any(|forbidden| forbidden.as_bytes() == name.bytes),
        |name| !name.has_escapes && !contains_any(name.bytes, [b'.', b'$', b'.', b'$']),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::check::Checker;
    use super::super::compact_row::compact;
    use super::super::row_fault::{RowFault, RowLocation};
    use super::super::schema::tests::{full, mutated};
    use super::*;

    /// Returns whether the text parses and the full check reports nothing except a warning about the prefix of the id.
    fn passes_full_check(text: &[u8]) -> bool {
        let Ok(row) = serde_json::from_slice::<Value>(text) else { return false };
        let directory = std::env::temp_dir();
        let mut checker = Checker::new(false, &directory);
        checker.suppress_phone_warning();
        let faults = checker.find_faults(&RowLocation::default(), &row, text.len()).unwrap();
        faults.iter().all(|fault| fault.code == "ID_PREFIX")
    }

    fn valid_row(text: &[u8], phone_warning_emitted: bool) -> Option<ValidText<'_>> {
        match fast_check(text, true, phone_warning_emitted, &TextRemoval::default())? {
            FastCheck::Valid(row_text) => Some(row_text),
            FastCheck::NeedsFullCheck(_) => None,
        }
    }

    fn faults(row: &Value) -> Vec<RowFault> {
        let mut checker = Checker::new(false, &std::env::temp_dir());
        checker.find_faults(&RowLocation::default(), row, 0).unwrap()
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
            let nothing = TextRemoval::default();
            match (fast_check(text.as_bytes(), true, true, &nothing), fast_check(behind.as_bytes(), false, true, &nothing)) {
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

    /// The result of a check of a row without some members.
    #[derive(Debug, PartialEq)]
    enum Checked {
        /// As it is sent.
        Valid(Value),
        NeedsFullCheck,
        MustBeParsed,
    }

    fn check_without(text: &[u8], is_whole: bool, dropped: &[String]) -> Checked {
        let removal = TextRemoval::new(dropped.to_vec(), &Cleanup::default());
        match fast_check(text, is_whole, true, &removal) {
            None => Checked::MustBeParsed,
            Some(FastCheck::Valid(row)) => {
                let mut sent = Vec::new();
                row.write_compact(true, &mut sent);
                let sent: Value = serde_json::from_slice(&sent).unwrap();
                // The full check gives the same result for the value without the members.
                assert_eq!(row.into_unchecked().build().map(|built| faults(&built)), Some(faults(&sent)));
                Checked::Valid(sent)
            }
            Some(FastCheck::NeedsFullCheck(row)) => {
                let text: Value = serde_json::from_slice(&row.text_to_check()).unwrap();
                assert_eq!(faults(&row.build().unwrap()), faults(&text));
                Checked::NeedsFullCheck
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn removing_members_of_the_text_equals_removing_members_of_the_value(
            row in mutated(),
            places in prop::collection::vec((0_usize..30, 0_usize..4, any::<bool>()), 0..6),
            custom in any::<bool>(),
            pretty in any::<bool>(),
        ) {
            let dropped = ["created_at", "identities", "last_ip", "logins_count"].map(str::to_owned);
            let values = [json!("2024-01-01"), json!([{"user_id": "1", "a.b": {"$": [1, "}"]}}]), json!("\\\"{"), json!(7)];
            let mut expected = without_one_hash(row, custom);
            if let Value::Object(members) = &mut expected {
                members.retain(|name, _| !dropped.contains(name));
            }
            let mut members: Vec<(String, Value)> = expected.as_object().cloned().unwrap_or_default().into_iter().collect();
            for (place, name, twice) in places {
                for _ in 0..=usize::from(twice) {
                    members.insert(place.min(members.len()), (dropped[name].clone(), values[name].clone()));
                }
            }
            let members = members.iter().map(|(name, value)| {
                let (name, value) = (json!(name), if pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) }.unwrap());
                if pretty { format!(" {name} : {value} ") } else { format!("{name}:{value}") }
            });
            let text = format!("{{{}}}", members.collect::<Vec<_>>().join(","));
            prop_assume!(expected.is_object());
            let whole = check_without(text.as_bytes(), true, &dropped);
            let element = check_without(format!("{text} ,{{}}]").as_bytes(), false, &dropped);
            prop_assert_eq!(&whole, &element);
            let without = expected.to_string();
            // The result for a row that never had the members.
            let reference = check_without(without.as_bytes(), true, &[]);
            prop_assert_eq!(&whole, &reference);
            if let Checked::Valid(sent) = whole {
                prop_assert_eq!(sent, expected);
            }
        }
    }

    #[test]
    fn names_with_escapes_are_left_to_the_parser_if_members_are_removed() {
        let dropped = ["created_at".to_owned()];
        let text = r#"{"email":"a@b.c","\u0063reated_at":1}"#;
        let removal = TextRemoval::new(dropped.to_vec(), &Cleanup::default());
        assert!(fast_check(text.as_bytes(), true, true, &removal).is_none());
        assert!(fast_check(text.as_bytes(), true, true, &TextRemoval::default()).is_some());
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
