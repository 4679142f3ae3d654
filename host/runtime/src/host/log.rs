//! `whelk:ssh/log`: lines for the operator. A plugin can neither flood the log nor forge a line of it: lines are counted, cut and escaped,
//! and who speaks is said by the host.

use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use crate::bindings::imports::log::Level;
use crate::happening::Facts;
use crate::tenant::Tenant;

/// The log of one session. Shared with the plugin's standard streams, which end here too.
pub(crate) struct LogBook {
    plugin: Arc<str>,
    connection: String,
    channel: u32,
    tenant: Arc<Tenant>,
    allowance: Mutex<Allowance>,
}

/// How many lines may still be written.
struct Allowance {
    /// Thousandths of a line.
    left: u64,
    filled: Instant,
    /// Lines dropped since one was last written.
    dropped: u64,
}

impl LogBook {
    /// `connection` is the fact `connection-id`.
    pub(crate) fn new(plugin: Arc<str>, facts: &Facts, tenant: Arc<Tenant>) -> Self {
        Self {
            plugin,
            connection: facts.get("connection-id").unwrap_or_default().to_owned(),
            channel: facts.channel(),
            allowance: Mutex::new(Allowance {
                left: u64::from(tenant.limits().log_burst) * 1000,
                filled: Instant::now(),
                dropped: 0,
            }),
            tenant,
        }
    }

    /// Writes a line, or counts it as dropped.
    pub(super) fn line(&self, level: Level, text: &str) {
        if let Some(dropped) = self.admit(Instant::now()) {
            self.confess(dropped);
            self.emit(level, &printable(text, self.tenant.limits().log_line));
        }
    }

    /// Whether one more line may be written now, and if so how many were dropped before it.
    fn admit(&self, now: Instant) -> Option<u64> {
        let mut allowance = self.allowance.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = u64::try_from(now.duration_since(allowance.filled).as_millis()).unwrap_or(u64::MAX);
        let fill = waited.saturating_mul(self.tenant.limits().log_lines.into());
        allowance.left = allowance.left.saturating_add(fill).min(u64::from(self.tenant.limits().log_burst) * 1000);
        allowance.filled = now;
        if allowance.left < 1000 {
            allowance.dropped += 1;
            return None;
        }
        allowance.left -= 1000;
        Some(std::mem::take(&mut allowance.dropped))
    }

    fn confess(&self, dropped: u64) {
        if dropped > 0 {
            self.emit(Level::Warn, &format!("{dropped} lines dropped"));
        }
    }

    fn emit(&self, level: Level, message: &str) {
        let (plugin, connection, channel) = (&*self.plugin, self.connection.as_str(), self.channel);
        match level {
            Level::Trace => tracing::trace!(target: "plugin", plugin, connection, channel, message),
            Level::Debug => tracing::debug!(target: "plugin", plugin, connection, channel, message),
            Level::Info => tracing::info!(target: "plugin", plugin, connection, channel, message),
            Level::Warn => tracing::warn!(target: "plugin", plugin, connection, channel, message),
            Level::Error => tracing::error!(target: "plugin", plugin, connection, channel, message),
        }
    }
}

impl Drop for LogBook {
    fn drop(&mut self) {
        let dropped = self.allowance.get_mut().unwrap_or_else(PoisonError::into_inner).dropped;
        self.confess(dropped);
    }
}

/// The text with everything escaped that would act on a terminal or break a line, and no longer than `most` bytes.
pub(super) fn printable(text: &str, most: usize) -> String {
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
            break;
        }
    }
    line
}

/// Control characters, and those of Unicode that turn the direction of text or stand for nothing.
fn acts(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::grants::Grants;
    use crate::limits::Limits;

    #[test]
    fn a_line_cannot_be_broken_coloured_or_made_too_long() {
        assert_eq!(printable("plain ü", 100), "plain ü");
        assert_eq!(printable("two\nlines\x1b[31m", 100), "two\\nlines\\u{1b}[31m");
        assert_eq!(printable("turn \u{202e}back", 100), "turn \\u{202e}back");
        assert_eq!(printable("ääää", 5), "ää");
        assert_eq!(printable("\x1b\x1b", 7), "\\u{1b}");
    }

    #[test]
    fn a_flood_of_lines_is_held_to_its_burst_and_its_rate() {
        let log =
            LogBook::new("flood".into(), &Facts::default(), Tenant::new("tests", Limits::default(), Grants::default()));
        let start = Instant::now();
        assert_eq!((0..10_000).filter_map(|_| log.admit(start)).count(), 500);
        let later = start + Duration::from_secs(1);
        assert_eq!(log.admit(later), Some(9_500));
        assert_eq!((0..10_000).filter_map(|_| log.admit(later)).count(), 99);
    }
}
