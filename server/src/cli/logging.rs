//! Sets up logging to standard error. An event is one line, also if its values contain line breaks.

use std::fmt::{self, Debug, Write};
use std::io::IsTerminal;

use tracing::field::{Field, Visit};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use uie_core::config::LogFormat;
use uie_core::error::{Code, Error, Result};

/// Starts logging to standard error. Fails with [`Code::InvalidSettings`] if `filter` is invalid.
pub(super) fn start_logging(filter: &str, format: LogFormat) -> Result<()> {
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| Error::new(Code::InvalidSettings, format!("LOG is {filter:?}: {error}")))?;
    let registry = tracing_subscriber::registry().with(filter);
    let layer =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let started = match format {
        LogFormat::Text => registry.with(layer.fmt_fields(SingleLineFields)).try_init(),
        LogFormat::Json => registry.with(layer.json()).try_init(),
    };
    started.map_err(Error::internal)
}

/// Formats fields as `name=value`, the message without a name, and control characters as escapes, so that text from
/// Auth0 or a request can neither forge a log line nor control a terminal.
struct SingleLineFields;

impl<'writer> FormatFields<'writer> for SingleLineFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut line = FieldVisitor { writer, has_fields: false, result: Ok(()) };
        fields.record(&mut line);
        line.result
    }
}

struct FieldVisitor<'writer> {
    writer: Writer<'writer>,
    has_fields: bool,
    result: fmt::Result,
}

impl Visit for FieldVisitor<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let name = field.name();
        // The source of a library's log line is already part of the prefix.
        if self.result.is_err() || name.starts_with("log.") {
            return;
        }
        let gap = if self.has_fields { " " } else { "" };
        self.has_fields = true;
        let name = name.strip_prefix("r#").unwrap_or(name);
        let (name, equals) = if name == "message" { ("", "") } else { (name, "=") };
        self.result = write!(self.writer, "{gap}{name}{equals}")
            .and_then(|()| write!(EscapingWriter(&mut self.writer), "{value:?}"));
    }
}

/// Writes text with control characters, line separators and bidirectional controls as escapes.
struct EscapingWriter<'a, 'writer>(&'a mut Writer<'writer>);

impl Write for EscapingWriter<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let needs_escape = |c: char| {
            c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        let mut rest = text;
        while let Some(at) = rest.find(needs_escape) {
            let (before, from) = rest.split_at(at);
            self.0.write_str(before)?;
            let mut characters = from.chars();
            if let Some(character) = characters.next() {
                write!(self.0, "{}", character.escape_default())?;
            }
            rest = characters.as_str();
        }
        self.0.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex, PoisonError};

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_with_untrusted_text_is_one_line() {
        const FOREIGN: &str = "said\r\n\u{1b}[2K2026 ERROR forged\u{2028}\u{85}\u{202e}end";
        let log = Log::default();
        let writer = log.clone();
        let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || writer.clone());
        let subscriber = tracing_subscriber::registry().with(layer.fmt_fields(SingleLineFields));
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("request", shown = %FOREIGN, later = tracing::field::Empty);
            let _inside = span.enter();
            span.record("later", tracing::field::display(FOREIGN));
            tracing::info!(shown = %FOREIGN, quoted = FOREIGN, number = 7, "it {FOREIGN}");
        });
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let line = text.strip_suffix('\n').unwrap();
        assert!(!line.contains(|c: char| c.is_control() || c == '\u{2028}' || c == '\u{202e}'), "{line:?}");
        assert_eq!(line.matches("ERROR forged").count(), 5, "{line}");
        assert!(
            line.contains(r"it said\r\n\u{1b}[2K2026 ERROR forged\u{2028}\u{85}\u{202e}end shown=said\r\n"),
            "{line}"
        );
        assert!(line.ends_with(" number=7") && line.contains("}: user_import_export"), "{line}");
    }
}
