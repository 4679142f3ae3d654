//! A line of the log as text: `2026-09-01T10:00:00.000000Z  INFO whelk::listener: listening address=127.0.0.1:2222`.
//!
//! Decided 2026-11-30: written here. The formatter of `tracing-subscriber` asks about colours, spans and threads, and a
//! line of a session took 7,400 instructions with it; now it takes 4,600.

use std::cell::RefCell;
use std::fmt;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::{LookupSpan, Scope};

use super::clock::LineClock;

thread_local! {
    /// The text of a value of this thread's last line, whose memory is used again.
    static SHOWN: RefCell<String> = const { RefCell::new(String::new()) };
}

/// The most bytes of it that are kept.
const KEPT: usize = 1 << 10;

/// Time, level, spans and target, then the message, then `name=value`, in quotes where a value could be taken for two.
pub(super) struct TextLine;

impl<S, N> FormatEvent<S, N> for TextLine
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        LineClock.format_time(&mut out)?;
        let meta = event.metadata();
        out.write_str(match *meta.level() {
            Level::TRACE => " TRACE ",
            Level::DEBUG => " DEBUG ",
            Level::INFO => "  INFO ",
            Level::WARN => "  WARN ",
            Level::ERROR => " ERROR ",
        })?;
        // Only libraries have spans, which say what call or connection an event belongs to.
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            out.write_str(span.name())?;
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>().filter(|of| !of.fields.is_empty()) {
                write!(out, "{{{}}}", fields.fields)?;
            }
            out.write_str(": ")?;
        }
        out.write_str(meta.target())?;
        out.write_str(": ")?;
        // Taken, since what shows a value may write a line.
        let shown = SHOWN.take();
        let mut fields = TextVisitor { out, first: true, shown, result: Ok(()) };
        event.record(&mut fields);
        let TextVisitor { mut out, mut shown, result, .. } = fields;
        shown.clear();
        shown.shrink_to(KEPT);
        SHOWN.set(shown);
        result?;
        out.write_char('\n')
    }
}

struct TextVisitor<'w> {
    out: Writer<'w>,
    first: bool,
    /// The text of a value.
    shown: String,
    result: fmt::Result,
}

impl TextVisitor<'_> {
    fn write(&mut self, name: &str, value: &str) -> fmt::Result {
        if !self.first {
            self.out.write_char(' ')?;
        }
        self.first = false;
        if name == "message" {
            return self.out.write_str(value);
        }
        self.out.write_str(name)?;
        if is_one_word(value) {
            self.out.write_char('=')?;
            return self.out.write_str(value);
        }
        self.out.write_str("=\"")?;
        let mut parts = value.split('"');
        self.out.write_str(parts.next().unwrap_or_default())?;
        for part in parts {
            self.out.write_str("\\\"")?;
            self.out.write_str(part)?;
        }
        self.out.write_char('"')
    }
}

/// Whether a value needs no quotes.
fn is_one_word(value: &str) -> bool {
    let is_plain = |byte: &u8| matches!(byte, b'!' | b'#'..=b'<' | b'>'..=b'~');
    !value.is_empty()
        && (value.as_bytes().iter().all(is_plain) || value.chars().all(|c| c != '"' && c != '=' && !c.is_whitespace()))
}

impl Visit for TextVisitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.result = self.result.and_then(|()| self.write(field.name(), value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.record_str(field, itoa::Buffer::new().format(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        use fmt::Write;
        let mut shown = std::mem::take(&mut self.shown);
        shown.clear();
        // Only what is shown may fail: then the rest of it is missing.
        let _ = write!(shown, "{value:?}");
        self.record_str(field, &shown);
        self.shown = shown;
    }
}
