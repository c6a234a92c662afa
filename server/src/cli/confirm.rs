//! Asks on the terminal before a command selects more users than its user probably means.

use std::io::{self, BufRead, IsTerminal, Write};

use uie_core::error::{Code, Error, Result};
use uie_core::message::message;

/// Who can answer a question of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// `--yes` was given.
    Given,
    /// The user at the terminal.
    Terminal,
    /// No user: the command runs in a script.
    Unattended,
}

impl Answer {
    /// Returns who can answer. `reads_input` means that standard input has the data of the command.
    pub(super) fn of(yes: bool, reads_input: bool) -> Self {
        if yes {
            Self::Given
        } else if !reads_input && io::stdin().is_terminal() && io::stderr().is_terminal() {
            Self::Terminal
        } else {
            Self::Unattended
        }
    }
}

/// Confirms a query whose remarks say that it probably finds more users than meant. Asks at a terminal; in a script an
/// export goes on, since it changes nothing and its remarks are printed. Fails if the user declines.
pub(super) fn confirm_wide_query(answer: Answer) -> Result<()> {
    match answer {
        Answer::Given | Answer::Unattended => Ok(()),
        Answer::Terminal => ask(&mut io::stdin().lock(), &mut io::stderr().lock()),
    }
}

fn ask(input: &mut dyn BufRead, output: &mut dyn Write) -> Result<()> {
    write!(output, "The query probably finds more users than you mean. Continue? [y/N] ")?;
    output.flush()?;
    let mut line = String::new();
    input.read_line(&mut line)?;
    if matches!(line.trim().to_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(Error::new(Code::InvalidArgument, message!("The query was not confirmed."))
        .with_hint(message!("Correct the query, or confirm it with --yes.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_confirms_a_query() {
        for (line, confirmed) in
            [("y\n", true), ("YES\r\n", true), ("\n", false), ("", false), ("no\n", false), ("yep\n", false)]
        {
            let mut output = Vec::new();
            assert_eq!(ask(&mut line.as_bytes(), &mut output).is_ok(), confirmed, "{line:?}");
            assert!(String::from_utf8(output).unwrap().ends_with("[y/N] "));
        }
        assert!(confirm_wide_query(Answer::Given).is_ok() && confirm_wide_query(Answer::Unattended).is_ok());
        assert_eq!(Answer::of(true, false), Answer::Given);
        assert_eq!(Answer::of(false, true), Answer::Unattended);
    }
}
