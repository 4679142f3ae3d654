//! Where events go: one line each on standard error or in a file, as text or as JSON.
//!
//! A line can be forged in two places, so there are two guards: [`escape()`] for every field that a stranger filled,
//! and the writer here, which lets no control byte out but the line feed at the end, whatever a field holds.
//!
//! Decided 2026-11-28: a thread of its own writes. Logging only queues a line. Writing directly blocked all workers
//! when nobody read stderr. Lines for which the queue has no room, and those that a full disk has no room for, are
//! dropped and counted. The end of the process waits for those in the queue, but not for long ([`finish`]).

mod clock;
pub(crate) mod file;
mod filter;
mod queue;
mod text;

use std::convert::Infallible;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::time::interval;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use whelk_ssh::crypto::random::{Random, SystemRandom};

use clock::LineClock;
use file::LineWriter;
pub(crate) use file::{LineFile, LineSink};
use queue::LogQueue;
use text::TextLine;

use crate::observe::escape::{Form, escape, plain_text, write_harmless};
use crate::observe::event::{ServerEvent, emit};
use crate::observe::strangers;

/// The environment variable that says what is logged: `debug`, or `info,whelk=debug` ... Empty is as if it were not
/// there.
pub const FILTER: &str = "WHELK_LOG";

/// How long the end of the process waits for what is in the queue.
const LAST_LINES: Duration = Duration::from_secs(1);
/// Interval between checks for dropped lines.
const LOOK: Duration = Duration::from_secs(10);

/// The log of the process.
static LOG: OnceLock<Log> = OnceLock::new();

struct Log {
    queue: LogQueue,
    /// It is a file, and not standard error.
    is_file: bool,
}

/// Tells when lines were dropped, for as long as it is polled.
pub async fn tell_dropped() -> Infallible {
    let Some(Log { queue, is_file }) = LOG.get() else { return std::future::pending().await };
    let reason = if *is_file { "the disk is too slow" } else { "they are not read fast enough" };
    let (mut told, mut clock) = (0, interval(LOOK));
    loop {
        clock.tick().await;
        let dropped = queue.dropped();
        if dropped > told {
            emit(ServerEvent::LinesDropped { dropped: dropped - told, reason });
            // Unless that was dropped too.
            if queue.dropped() == dropped {
                told = dropped;
            }
        }
    }
}

/// How many lines were dropped since the start.
pub(crate) fn dropped_lines() -> usize {
    LOG.get().map_or(0, |log| log.queue.dropped())
}

/// Waits until everything that was logged is written, or for a moment if nobody reads it. Call it last.
pub fn finish() {
    strangers::tell_now();
    if let Some(Log { queue, .. }) = LOG.get() {
        queue.wait_written(LAST_LINES);
    }
}

/// Reopens the log file before the next line, and logs how that went. The caller does not wait for it. False if the log
/// goes to standard error.
pub fn reopen() -> bool {
    let Some(Log { queue, is_file: true }) = LOG.get() else { return false };
    queue.reopen();
    true
}

/// Says why the process ends, whatever is logged otherwise: as text, or as a line of the log in JSON. Does not wait for
/// whoever reads the log, if there is one already. A log that is a file gets it, and so does standard error, where
/// whoever has started the process looks.
pub fn fatal(format: Format, status: u8, text: &str) {
    let line = match format {
        Format::Text => format!("{text}\n").into_bytes(),
        Format::Json => line_of(format, &ServerEvent::Fatal { status, reason: text }),
    };
    let Some(Log { queue, is_file }) = LOG.get() else {
        // Without standard error there is nobody left to tell.
        let _ = io::stderr().write_all(&line);
        return;
    };
    if *is_file {
        let _ = io::stderr().write_all(&line);
        let _ = queue.writer().write_all(&line_of(format, &ServerEvent::Fatal { status, reason: text }));
    } else {
        let _ = queue.writer().write_all(&line);
    }
}

/// The line of an event, whatever the filter says.
fn line_of(format: Format, event: &ServerEvent<'_>) -> Vec<u8> {
    let line: Arc<Mutex<Vec<u8>>> = Arc::default();
    let out = Arc::clone(&line);
    let subscriber = subscriber(format, EnvFilter::new("trace"), move || Lines(Arc::clone(&out)));
    tracing::subscriber::with_default(subscriber, || event.log());
    std::mem::take(&mut *line.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Lines that are kept.
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The form of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `2026-09-01T10:00:00Z  INFO whelk::listener: listening address=127.0.0.1:2222`
    Text,
    /// `{"timestamp":...,"level":"INFO","fields":{"message":"listening","address":"127.0.0.1:2222"},"target":...}`
    Json,
}

/// The form of the log, and where it goes.
#[derive(Clone, Copy, Debug)]
pub struct Output<'a> {
    /// The form of a line.
    pub format: Format,
    /// The file that it is appended to; standard error if there is none.
    pub file: Option<&'a Path>,
}

/// Sends every event of the process to standard error or a file from now on, and panics with them, as one line each.
/// The code that catches the panic logs what was lost.
///
/// `give_up` has to end the process: it is called when the thread that writes the log has panicked.
///
/// # Errors
/// Says what is wrong with the variable [`FILTER`], why the file cannot be opened, or that the system has no random
/// number for this run.
///
/// # Panics
/// When called a second time: a process has one log.
pub fn start(output: Output<'_>, give_up: impl FnOnce() + Send + 'static) -> Result<(), String> {
    let Output { format, file } = output;
    let filter = match std::env::var(FILTER) {
        Ok(text) => text,
        Err(std::env::VarError::NotPresent) => String::new(),
        Err(std::env::VarError::NotUnicode(_)) => return Err(format!("{FILTER}: is not UTF-8 text")),
    };
    let filter = filter::parse(&filter).map_err(|error| format!("{FILTER}: {error}"))?;
    begin_run()?;
    let lost_line: queue::LostLine = match format {
        Format::Text => |dropped, reason| line_of(Format::Text, &ServerEvent::LinesDropped { dropped, reason }),
        Format::Json => |dropped, reason| line_of(Format::Json, &ServerEvent::LinesDropped { dropped, reason }),
    };
    let queue = match file {
        Some(path) => {
            let file = LineFile::open(path).map_err(|error| format!("--log-file {error}"))?;
            LogQueue::start(file, lost_line, give_up)
        }
        None => LogQueue::start(LineWriter::new(io::stderr()), lost_line, give_up),
    };
    let queue = queue.map_err(|error| format!("no thread for the log: {error}"))?;
    let Log { queue, .. } = LOG.get_or_init(|| Log { queue, is_file: file.is_some() });
    let out = || queue.writer();
    tracing::subscriber::set_global_default(subscriber(format, filter, out))
        .expect("the log is started once in a process");
    std::panic::set_hook(Box::new(|panic| {
        let text = panic.payload_as_str().unwrap_or("a panic without words");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let (thread, said) = (std::thread::current(), escape(text.as_bytes()));
        // To the log alone: a subscriber may be what has panicked.
        ServerEvent::Panicked { place: &place, thread: thread.name(), said }.log();
    }));
    Ok(())
}

/// Gives this run of the program its number.
fn begin_run() -> Result<(), String> {
    let mut run = [0; 4];
    SystemRandom::new().fill(&mut run).map_err(|error| error.to_string())?;
    whelk_runtime::event::set_run(u32::from_be_bytes(run));
    Ok(())
}

/// What writes lines to `out` for a test.
#[cfg(test)]
pub(crate) fn test_subscriber<M, W>(format: Format, out: M) -> Box<dyn tracing::Subscriber + Send + Sync>
where
    M: Fn() -> W + Send + Sync + 'static,
    W: Write + 'static,
{
    subscriber(format, EnvFilter::new("info"), out)
}

fn subscriber<M, W>(format: Format, filter: EnvFilter, out: M) -> Box<dyn tracing::Subscriber + Send + Sync>
where
    M: Fn() -> W + Send + Sync + 'static,
    W: Write + 'static,
{
    // A log that cannot be written is no reason to fail, and reporting it to standard error could panic.
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).log_internal_errors(false);
    match format {
        Format::Text => {
            Box::new(builder.event_format(TextLine).with_writer(Harmless { out, form: Form::Text }).finish())
        }
        Format::Json => {
            let builder = builder.with_timer(LineClock).json();
            Box::new(builder.with_writer(Harmless { out, form: Form::Json }).finish())
        }
    }
}

/// Makes writers that let no control byte out. The formatter writes a whole line at once.
struct Harmless<M> {
    out: M,
    form: Form,
}

impl<M: Fn() -> W, W: Write + 'static> MakeWriter<'_> for Harmless<M> {
    type Writer = HarmlessLine<W>;

    fn make_writer(&self) -> HarmlessLine<W> {
        HarmlessLine { out: (self.out)(), form: self.form }
    }
}

struct HarmlessLine<W> {
    out: W,
    form: Form,
}

impl<W: Write> Write for HarmlessLine<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        if text.len() < line.len() && plain_text(text).is_some() {
            self.out.write_all(line)?;
            return Ok(line.len());
        }
        let text = String::from_utf8_lossy(text);
        let mut harmless = String::with_capacity(line.len());
        for character in text.chars() {
            write_harmless(&mut harmless, character, self.form).map_err(io::Error::other)?;
        }
        harmless.push('\n');
        self.out.write_all(harmless.as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{LazyLock, Mutex};

    use super::*;

    static TEXT: LazyLock<Mutex<Vec<u8>>> = LazyLock::new(Mutex::default);
    static JSON: LazyLock<Mutex<Vec<u8>>> = LazyLock::new(Mutex::default);

    struct Into(&'static Mutex<Vec<u8>>);

    impl Write for Into {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const EVIL: &str = "alice\n2026 INFO authenticated user=root \x1b[2J\u{202e}\u{2028}\"";

    fn logged(format: Format, out: fn() -> Into, store: &Mutex<Vec<u8>>) -> String {
        tracing::subscriber::with_default(subscriber(format, EnvFilter::new("info"), out), || {
            tracing::info!(user = %escape(EVIL.as_bytes()), port = 22, empty = "", "authenticated");
            tracing::info!(user = EVIL, "a field that nobody escaped {EVIL}");
            tracing::debug!("below the level");
        });
        String::from_utf8(store.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_log_line_is_one_line_whatever_a_client_sent() {
        let log = logged(Format::Text, || Into(&TEXT), &TEXT);
        assert_eq!(log.lines().count(), 2, "{log}");
        let first = log.lines().next().unwrap();
        let user = r#"user="alice\x0a2026 INFO authenticated user=root \x1b[2J\u{202e}\u{2028}\"""#;
        assert!(
            first.ends_with(&format!("whelk::observe::logging::tests: authenticated {user} port=22 empty=\"\"")),
            "{first}"
        );
        assert!(log.bytes().all(|byte| byte == b'\n' || (0x20..0x7f).contains(&byte)), "{log}");
    }

    #[test]
    fn a_fatal_error_in_json_has_the_form_of_a_log_line() {
        let line = line_of(Format::Json, &ServerEvent::Fatal { status: 2, reason: "two\nlines \u{1b}[2J" });
        let line = String::from_utf8(line).unwrap();
        assert!(line.ends_with("}\n") && line.lines().count() == 1, "{line}");
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&line["level"], &line["fields"]["message"]), (&"ERROR".into(), &"fatal error".into()));
        assert_eq!((&line["fields"]["status"], &line["fields"]["reason"]), (&2.into(), &"two\nlines \u{1b}[2J".into()));
        assert!(line["timestamp"].is_string() && line["target"].is_string(), "{line}");
    }

    #[test]
    fn a_line_of_json_is_one_object_with_the_message_among_its_fields() {
        let log = logged(Format::Json, || Into(&JSON), &JSON);
        let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2, "{log}");
        assert_eq!(lines[0]["fields"]["message"], "authenticated");
        assert_eq!(lines[0]["fields"]["user"], escape(EVIL.as_bytes()).to_string());
        assert_eq!(lines[1]["fields"]["user"], EVIL);
        assert!(log.bytes().all(|byte| byte == b'\n' || (0x20..0x7f).contains(&byte)), "{log}");
    }
}
