//! `whelk:ssh/log`: lines for the operator, and the record of what a plugin does to files. A plugin can neither flood
//! the log nor forge a line of it: lines are counted, cut and escaped, and who speaks is said by the host.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

use crate::event::{LogEvent, PathText, emit, tell_subscriber, wants_all_file_events};
use crate::host::bindings::imports::log::Level;
use crate::limits::budget::Total;
use crate::limits::rate::TokenBucket;
use crate::limits::{Limits, Throttle};
use crate::session_types::{Exit, Facts, SignalName};
use crate::tenant::Tenant;

/// The log of one session. Shared with the plugin's standard streams, which end here too.
pub(crate) struct LogBook {
    plugin: Arc<str>,
    facts: Facts,
    tenant: Arc<Tenant>,
    lines: Allowance,
    /// That of file events, so that neither kind of line crowds the other out.
    files: Allowance,
    /// Throttles the log lines about refused requests of the client.
    refusals: Throttle,
}

/// Most bytes of a text of the plugin's for the client.
pub(crate) const TEXT: usize = 1 << 10;
/// Most bytes of a name. RFC 4250 §4.6.1.
pub(super) const NAME: usize = 64;
/// Most bytes of a user's name in a line of the log.
const USER: usize = 255;
/// Most bytes of what was asked for.
const DETAIL: usize = 200;
/// Refused requests of one session that are logged.
const REFUSALS: u64 = 10;

/// Something that was done to a file, or refused.
pub(super) struct FileEvent<'a> {
    pub(super) operation: &'static str,
    /// From the root of its tree, links followed.
    pub(super) path: &'a str,
    /// The new path of a rename or link, the target of a symbolic link.
    pub(super) to: Option<&'a str>,
    /// The new size, or how many bytes were written until it was closed.
    pub(super) bytes: Option<u64>,
    /// How many bytes were read until it was closed.
    pub(super) read: Option<u64>,
    /// The error that the plugin was given.
    pub(super) refused: Option<&'static str>,
}

/// How many lines of one kind may be written.
struct Allowance {
    rate: TokenBucket,
    /// Lines dropped since one was last written.
    dropped: AtomicU64,
}

impl LogBook {
    /// The log of a session with these facts that this plugin has now.
    pub(crate) fn new(plugin: Arc<str>, facts: &Facts, tenant: Arc<Tenant>) -> Self {
        let now = Instant::now();
        Self {
            plugin,
            facts: facts.clone(),
            lines: Allowance::full(tenant.limits(), now),
            files: Allowance::full(tenant.limits(), now),
            refusals: Throttle::first(REFUSALS),
            tenant,
        }
    }

    /// Whose session it is.
    pub(crate) fn tenant(&self) -> &Arc<Tenant> {
        &self.tenant
    }

    /// Writes a line, or counts it as dropped.
    pub(crate) fn line(&self, level: Level, text: &str) {
        if let Some(dropped) = self.allow(&self.lines, Instant::now()) {
            self.report_dropped(dropped);
            self.emit(level, &printable(text, self.tenant.limits().log_line));
        }
    }

    /// Tells the operator that the plugin wanted to go where its tenant may not.
    pub(super) fn denied(&self, destination: &str, reason: &str) {
        let (tenant, plugin, connection, channel) = self.speaker();
        let destination = &*printable(destination, self.tenant.limits().log_line);
        emit(LogEvent::PluginDestinationDenied { tenant, plugin, connection, channel, destination, reason });
    }

    /// Writes a file event, or counts it as left out. A subscriber that wants all is told of it in any case.
    pub(super) fn file(&self, event: &FileEvent<'_>) {
        let allowed = self.allow(&self.files, Instant::now());
        if allowed.is_none() && !wants_all_file_events() {
            return;
        }
        let FileEvent { operation, path, to, bytes, read, refused } = *event;
        let (tenant, plugin, connection, channel) = self.speaker();
        let user = &*self.user();
        let shown = |path: &str| match allowed {
            Some(_) => printable_end(path, self.tenant.limits().log_line),
            None => String::new(),
        };
        let (path_shown, to_shown) = (shown(path), to.map(shown));
        let path = PathText { whole: path, shown: &path_shown };
        let to_path = to.zip(to_shown.as_deref()).map(|(whole, shown)| PathText { whole, shown });
        let event = LogEvent::FileUsed {
            tenant,
            user,
            plugin,
            connection,
            channel,
            operation,
            path,
            to_path,
            bytes,
            read,
            refused,
        };
        match allowed {
            Some(left_out) => {
                self.sum_up(left_out);
                emit(event);
            }
            None => tell_subscriber(&event),
        }
    }

    /// Whether a line may be written, and how many were dropped since the last one. The line that reports those is
    /// charged like any other, to the session and to the tenant: a guest that floods the log gets `log_rate` lines a
    /// second, the reports included.
    fn allow(&self, allowance: &Allowance, now: Instant) -> Option<u64> {
        if !allowance.allow(now) {
            return None;
        }
        let tenant_rate = &self.tenant.budget().log_rate;
        if tenant_rate.try_take(now) {
            let dropped = allowance.take_dropped();
            if dropped > 0 {
                allowance.rate.take(1);
                tenant_rate.take(1);
            }
            return Some(dropped);
        }
        allowance.drop_line();
        self.log_exhausted(Total::LogRate);
        None
    }

    fn sum_up(&self, left_out: u64) {
        if left_out > 0 {
            let (tenant, plugin, connection, channel) = self.speaker();
            emit(LogEvent::FileEventsLeftOut { tenant, plugin, connection, channel, left_out });
        }
    }

    /// The name of the user, as the log shows it.
    fn user(&self) -> String {
        printable(self.facts.get("user").unwrap_or_default(), USER)
    }

    fn speaker(&self) -> (&str, &str, Option<u64>, u32) {
        (self.tenant.name(), &self.plugin, self.facts.connection(), self.facts.channel())
    }

    /// The tenant has met a limit of all its sessions, or of all the server's. The operator is told once, and again
    /// after a minute without. The subscriber is told each time.
    pub(crate) fn log_exhausted(&self, total: Total) {
        let is_news = self.tenant.budget().is_news(total, Instant::now());
        let (tenant, plugin, connection, channel) = self.speaker();
        let limit = total.as_str();
        let user = if total == Total::UserOutput { self.user() } else { String::new() };
        let event = if total.is_of_server() {
            LogEvent::LimitOfServer { limit, tenant, plugin, connection, channel }
        } else if total == Total::UserOutput {
            LogEvent::LimitOfUser { limit, tenant, user: &user, plugin, connection, channel }
        } else {
            LogEvent::LimitOfTenant { tenant, limit, plugin, connection, channel }
        };
        if is_news { emit(event) } else { tell_subscriber(&event) }
    }

    /// A request of the client's was refused. `what` names it, `detail` is what was asked for, if that says anything.
    /// Only the first few of a session are told: a client may ask again and again.
    pub(crate) fn refused(&self, what: &'static str, detail: Option<&[u8]>, reason: &str) {
        let Some(admitted) = self.refusals.allow(Instant::now()) else { return };
        let (tenant, plugin, connection, channel) = self.speaker();
        let user = &*self.user();
        let detail = detail.map(|detail| brief(&String::from_utf8_lossy(detail), DETAIL));
        let detail = detail.as_deref();
        let last = admitted.is_last.then_some("further refusals of this session are not logged");
        emit(LogEvent::SessionRequestRefused { connection, channel, tenant, user, plugin, what, detail, reason, last });
    }

    fn report_dropped(&self, dropped: u64) {
        if dropped > 0 {
            self.emit(Level::Warn, &format!("{dropped} lines dropped"));
        }
    }

    fn emit(&self, level: Level, message: &str) {
        let (_, plugin, connection, channel) = self.speaker();
        let level = match level {
            Level::Trace => tracing::Level::TRACE,
            Level::Debug => tracing::Level::DEBUG,
            Level::Info => tracing::Level::INFO,
            Level::Warn => tracing::Level::WARN,
            Level::Error => tracing::Level::ERROR,
        };
        emit(LogEvent::PluginLine { plugin, connection, channel, message, level });
    }
}

impl Drop for LogBook {
    fn drop(&mut self) {
        self.report_dropped(self.lines.take_dropped());
        self.sum_up(self.files.take_dropped());
    }
}

impl Allowance {
    fn full(limits: &Limits, now: Instant) -> Self {
        Self {
            rate: TokenBucket::new(limits.log_rate.into(), limits.log_burst.into(), now),
            dropped: AtomicU64::new(0),
        }
    }

    /// Whether one more line may be written now. If not, it counts as dropped.
    fn allow(&self, now: Instant) -> bool {
        let admits = self.rate.try_take(now);
        if !admits {
            self.drop_line();
        }
        admits
    }

    fn drop_line(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// How many lines were dropped since this was asked last.
    fn take_dropped(&self) -> u64 {
        self.dropped.swap(0, Ordering::Relaxed)
    }
}

/// The text with everything escaped that would act on a terminal or break a line, and no longer than `most` bytes.
pub(crate) fn printable(text: &str, most: usize) -> String {
    escaped(text, most).0
}

/// The same, and whether that is all of the text.
fn escaped(text: &str, most: usize) -> (String, bool) {
    let mut line = String::with_capacity(text.len().min(most));
    for letter in text.chars() {
        let before = line.len();
        if acts(letter) {
            // Writing to a string cannot fail.
            let _ = write!(line, "{}", letter.escape_default());
        } else {
            line.push(letter);
        }
        if line.len() > most {
            line.truncate(before);
            return (line, false);
        }
    }
    (line, true)
}

/// The same, with a mark at the end if it is cut.
fn brief(text: &str, most: usize) -> String {
    let (line, whole) = escaped(text, most);
    if whole { line } else { line + " ..." }
}

/// The end of a text as [`printable`] has its beginning, with a mark before it if it is cut. Of a path the end says
/// which file it is.
fn printable_end(text: &str, most: usize) -> String {
    let (mut begin, mut length) = (text.len(), 0);
    for (at, letter) in text.char_indices().rev() {
        length += if acts(letter) { letter.escape_default().len() } else { letter.len_utf8() };
        if length > most {
            return format!("…{}", printable(&text[begin..], most));
        }
        begin = at;
    }
    printable(text, most)
}

/// How a plugin says that its session ended, in words that can be shown: the name of a signal as RFC 4254 §6.10 allows
/// it, and the message as one line. Clients that know better end the whole connection for a name that is none.
pub(super) fn printable_exit(exit: Exit) -> Exit {
    let Exit::Signal { name, core_dumped, message } = exit else { return exit };
    let name = match name {
        SignalName::Other(name) => {
            let legal: String = name.chars().filter(char::is_ascii_graphic).take(NAME).collect();
            if legal.is_empty() { SignalName::Term } else { SignalName::from_wire(&legal) }
        }
        known => known,
    };
    Exit::Signal { name, core_dumped, message: printable(&message, TEXT) }
}

/// Control characters, and those of Unicode that turn the direction of text or stand for nothing.
fn acts(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{61c}' | '\u{feff}' | '\u{200b}'..='\u{200f}')
        || matches!(letter, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::grants::Grants;

    #[test]
    fn a_line_has_no_line_breaks_or_escapes_and_a_bounded_length() {
        assert_eq!(printable("plain ü", 100), "plain ü");
        assert_eq!(printable("two\nlines\x1b[31m", 100), "two\\nlines\\u{1b}[31m");
        assert_eq!(printable("turn \u{202e}back", 100), "turn \\u{202e}back");
        assert_eq!(printable("ääää", 5), "ää");
        assert_eq!(printable("\x1b\x1b", 7), "\\u{1b}");
        let ends = [printable_end("a/ü", 4), printable_end("a/bü", 4), printable_end("\x1b\x1b", 7)];
        assert_eq!(ends, ["a/ü", "…/bü", "…\\u{1b}"]);
        assert_eq!([brief("abc", 3), brief("abcd", 3), brief("\x1b\x1b", 7)], ["abc", "abc ...", "\\u{1b} ..."]);
    }

    #[test]
    fn an_exit_by_a_signal_has_a_valid_name_and_one_line() {
        let told = |name: &str, message: &str| {
            let name = SignalName::Other(name.to_owned());
            match printable_exit(Exit::Signal { name, core_dumped: true, message: message.to_owned() }) {
                Exit::Signal { name, core_dumped: true, message } => (name.as_str().to_owned(), message),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(told("own@example.org", "why"), ("own@example.org".to_owned(), "why".to_owned()));
        assert_eq!(told("T\u{e9}R M\n", "a\r\n\x1b[2J"), ("TRM".to_owned(), "a\\r\\n\\u{1b}[2J".to_owned()));
        assert_eq!(told("\u{e9}", ""), ("TERM".to_owned(), String::new()));
        let (name, message) = told(&"n".repeat(1 << 20), &"\u{e4}".repeat(1 << 20));
        assert_eq!((name.len(), message.len()), (NAME, TEXT));
    }

    #[test]
    fn log_lines_are_limited_to_a_burst_and_a_rate() {
        let limits = Limits::default();
        let start = Instant::now();
        let lines = Allowance::full(&limits, start);
        assert_eq!((0..10_000).filter(|_| lines.allow(start)).count(), 500);
        let later = start + Duration::from_secs(1);
        assert!(lines.allow(later));
        assert_eq!(lines.take_dropped(), 9_500);
        assert_eq!((0..10_000).filter(|_| lines.allow(later)).count(), 99);
    }

    #[test]
    fn a_flood_is_held_to_its_rates_with_the_lines_that_report_what_was_dropped() {
        const SECONDS: u64 = 60;
        let log = |tenant: &Arc<Tenant>| LogBook::new("test".into(), &Facts::default(), Arc::clone(tenant));
        for (tenant_rate, sessions, most) in [(1000, 1, 500 + 100 * SECONDS), (150, 3, 150 + 150 * SECONDS)] {
            let limits = Limits { tenant_log_rate: tenant_rate, ..Limits::default() };
            let tenant = Tenant::new("tests", limits, Grants::default());
            let logs: Vec<LogBook> = (0..sessions).map(|_| log(&tenant)).collect();
            let start = Instant::now();
            let mut written = 0;
            for millisecond in 0..SECONDS * 1000 {
                let now = start + Duration::from_millis(millisecond);
                for log in logs.iter().flat_map(|log| [log; 3]) {
                    // A line, and the report before it.
                    written += log.allow(&log.lines, now).map_or(0, |dropped| 1 + u64::from(dropped > 0));
                }
            }
            // The last report may be a debt.
            assert!(written <= most + 1, "{written} lines of {sessions} sessions, at most {most}");
            assert!(written >= most - most / 20, "{written} lines of {sessions} sessions, of {most}");
        }
    }
}
