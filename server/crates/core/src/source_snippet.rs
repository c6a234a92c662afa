//! Shows the position of an error in a text that a user wrote.

use std::fmt;

use unicode_width::UnicodeWidthStr;

/// Displays the line that contains an offset, and a `^` in the next line under that position.
pub struct SourceSnippet<'a> {
    /// The whole text.
    pub source: &'a str,
    /// The position, in bytes from the start of `source`.
    pub offset: usize,
}

impl fmt::Display for SourceSnippet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Characters shown on each side of the position, so that the line fits a terminal.
        const CONTEXT: usize = 60;
        let (before, after) = self.source.split_at_checked(self.offset).unwrap_or((self.source, ""));
        let line_start = before
            .rfind(is_line_end)
            .map_or(0, |end| end + before.get(end..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8));
        let before = before.get(line_start..).unwrap_or_default();
        let after = after.split(is_line_end).next().unwrap_or_default();
        let skipped = before.chars().count().saturating_sub(CONTEXT);
        let mut line: String = before.chars().skip(skipped).map(printable).collect();
        if skipped > 0 {
            line.insert(0, '…');
        }
        let width = line.width();
        line.extend(after.chars().take(CONTEXT).map(printable));
        if after.chars().nth(CONTEXT).is_some() {
            line.push('…');
        }
        write!(f, "  {line}\n  {:width$}^", "")
    }
}

/// The line terminators of ECMA-262.
fn is_line_end(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{2028}' | '\u{2029}')
}

fn printable(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}
