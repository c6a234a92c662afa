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
use uie_core::message::message;

/// Target of the events of this program in `LOG`: the name of the binary.
const PROGRAM_TARGET: &str = "user_import_export";

/// Prefix of the targets of the crates below `server/crates`.
const CRATES_TARGET: &str = "uie";

/// Starts logging to standard error. Fails with [`Code::InvalidSettings`] if `filter` is invalid.
pub(super) fn start_logging(filter: &str, format: LogFormat) -> Result<()> {
    let filter = EnvFilter::try_new(with_crates(filter))
        .map_err(|error| Error::new(Code::InvalidSettings, message!("LOG is {filter:?}: {error}")))?;
    let registry = tracing_subscriber::registry().with(filter);
    let layer =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let started = match format {
        LogFormat::Text => registry.with(layer.fmt_fields(SingleLineFields)).try_init(),
        LogFormat::Json => registry.with(layer.json()).try_init(),
    };
    started.map_err(Error::internal)
}

/// Returns the filter with each directive for this program repeated for its crates, because `EnvFilter` compares
/// targets by their beginning. The repetitions come first, so that a directive that names the crates replaces them.
fn with_crates(filter: &str) -> String {
    let for_crates = filter.split(',').filter_map(|directive| {
        let rest = directive.strip_prefix(PROGRAM_TARGET)?;
        (rest.is_empty() || rest.starts_with(['=', '['])).then(|| format!("{CRATES_TARGET}{rest}"))
    });
    for_crates.chain([filter.to_owned()]).collect::<Vec<_>>().join(",")
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
    fn a_directive_for_the_program_applies_to_its_crates() {
        for (filter, expected) in [
            ("user_import_export=debug,warn", "uie=debug,user_import_export=debug,warn"),
            ("info,user_import_export", "uie,info,user_import_export"),
            ("user_import_export[job]=trace", "uie[job]=trace,user_import_export[job]=trace"),
            ("uie_store=trace,user_import_export=debug", "uie=debug,uie_store=trace,user_import_export=debug"),
            ("user_import_export::web=debug,info", "user_import_export::web=debug,info"),
            ("user_import_exporter=debug", "user_import_exporter=debug"),
            ("info,actix_server=warn", "info,actix_server=warn"),
            ("", ""),
        ] {
            assert_eq!(with_crates(filter), expected);
        }
        let levels = |filter: &str| {
            let filter = EnvFilter::try_new(with_crates(filter)).unwrap();
            let log = Log::default();
            let writer = log.clone();
            let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || writer.clone());
            tracing::subscriber::with_default(tracing_subscriber::registry().with(filter).with(layer), || {
                tracing::debug!(target: "user_import_export::web", "program");
                tracing::debug!(target: "uie_auth0::client", "crate");
                tracing::debug!(target: "actix_http", "library");
            });
            let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
            ["program", "crate", "library"].map(|name| text.contains(name))
        };
        assert_eq!(levels("user_import_export=debug,info"), [true, true, false]);
        assert_eq!(levels("uie=info,user_import_export=debug"), [true, false, false]);
        assert_eq!(levels("info"), [false, false, false]);
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
