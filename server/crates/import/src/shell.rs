//! Texts that are pasted into a command line.

/// Returns the text as one argument of a command, in single quotes.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_written_so_that_a_shell_reads_the_same_text() {
        assert_eq!(quoted("user[\"E-Mail\"]=email"), "'user[\"E-Mail\"]=email'");
        assert_eq!(quoted("null=Mother's name"), "'null=Mother'\\''s name'");
        assert_eq!(quoted("\\N"), "'\\N'");
    }
}
