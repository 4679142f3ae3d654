//! What filters write to standard error: `debug`, `stderr` and `halt_error`. jaq hands it to its log.

use std::io::{self, Write};

use log::{Level, LevelFilter, Log, Metadata, Record};

struct Messages;

/// Writes the messages of filters to standard error from now on.
pub(crate) fn install() {
    // There is no other log in this program.
    let _ = log::set_logger(&Messages);
    log::set_max_level(LevelFilter::Debug);
}

impl Log for Messages {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("jaq_std")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        // One that nobody reads is no reason to stop.
        let _ = match record.level() {
            Level::Error => write!(io::stderr(), "{}", record.args()),
            _ => writeln!(io::stderr(), "[\"DEBUG:\",{}]", record.args()),
        };
    }

    fn flush(&self) {}
}
