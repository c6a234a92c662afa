//! Shows a place in a text a person wrote: the line, and a `^` under the place.

use std::fmt;

use unicode_width::UnicodeWidthStr;

/// The line of a text in which a place lies, and a `^` under the place.
pub struct Caret<'a> {
    /// The whole text.
    pub source: &'a str,
    /// The place, in bytes from its start.
    pub at: usize,
}

impl fmt::Display for Caret<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Wide enough for any sensible text, narrow enough for a terminal.
        const AROUND: usize = 60;
        let (before, after) = self.source.split_at_checked(self.at).unwrap_or((self.source, ""));
        let line_start = before
            .rfind(is_line_end)
            .map_or(0, |end| end + before.get(end..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8));
        let before = before.get(line_start..).unwrap_or_default();
        let after = after.split(is_line_end).next().unwrap_or_default();
        let skipped = before.chars().count().saturating_sub(AROUND);
        let mut shown: String = before.chars().skip(skipped).map(printable).collect();
        if skipped > 0 {
            shown.insert(0, '…');
        }
        let width = shown.width();
        shown.extend(after.chars().take(AROUND).map(printable));
        if after.chars().nth(AROUND).is_some() {
            shown.push('…');
        }
        write!(f, "  {shown}\n  {:width$}^", "")
    }
}

/// The line terminators of ECMA-262.
fn is_line_end(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{2028}' | '\u{2029}')
}

fn printable(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}
