//! The audit: who logged in, what they ran, what plugins did to files, and what operators did, as one JSON object a
//! line, to a file of its own, syslog or journald. `AUDIT.md` beside the manifest describes it, and is written by a
//! test here.
//!
//! ```text
//!  event ──► record    adds who the connection and the session belong to, and makes the line
//!        ──► queue     bounded; whoever emits the event never waits
//!        ──► a thread  writes to a sink: file (rotated, reopened) or datagram (syslog, journald)
//! ```
//!
//! Decided 2026-11-29: records are made from the typed events, so that the audit, the log and `EVENTS.md` use one name
//! for one thing. The identity of a connection is that of the log. A command is exact up to 16 KiB: text as it is,
//! other bytes as hexadecimal digits in `command_hex`. All other texts of clients are written as in the log (`\xNN`).
//!
//! Decided 2026-11-29: `required` refuses logins, sessions and commands before they begin while the sink fails or more
//! than half of the queue is taken, and never ends what goes on. The other half has room for what they still do. File
//! events may take three quarters of the queue, those of one tenant an eighth, failures of strangers a quarter: they
//! displace nothing else. Once half of what a tenant may have is taken, each user has a share of the rest.
//! Refused: waiting for the disk where an event is emitted, since that is a task which serves connections.

mod datagram;
mod file;
mod queue;
mod record;
mod sink;
#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tracing::Level;
use whelk_runtime::event::LogEvent;
use whelk_runtime::supervise::guard;

use crate::config::{AuditConfig, AuditTarget};
use crate::observe::event::{ConnectionEvent, Event, LoginEvent, ServerEvent, Subscriber, emit};
use datagram::DatagramSink;
use file::AuditFile;
use queue::{AuditQueue, Importance};
use record::Recorder;
use sink::AuditSink;

/// The events that are recorded.
pub const AUDITED: [&str; 41] = [
    "server_started",
    "server_reloaded",
    "server_reload_refused",
    "server_needs_restart",
    "server_store_copied",
    "server_gave_up",
    "server_stopping",
    "server_drain_requested",
    "server_console_opened",
    "server_console_closed",
    "server_stopped",
    "login_succeeded",
    "login_partial",
    "login_password_changed",
    "login_rejected",
    "login_failed",
    "login_undecided",
    "connection_closed",
    "connection_panicked",
    "connection_end_requested",
    "connection_revoked",
    "connection_own_channel",
    "connection_request_refused",
    "session_opened",
    "session_started",
    "session_ended",
    "session_end_requested",
    "session_unread_discarded",
    "session_watch_began",
    "session_watch_ended",
    "session_recording_began",
    "session_recording_digest",
    "session_recording_ended",
    "session_recording_failed",
    "session_passed_on",
    "session_request_refused",
    "file_used",
    "plugin_loaded",
    "plugin_removed",
    "plugin_rolled_back",
    "plugin_destination_denied",
];

/// How long the end of the process waits for what is in the queue.
const LAST_RECORDS: Duration = Duration::from_secs(1);

static AUDIT: OnceLock<Audit> = OnceLock::new();

/// State of the audit in this process.
struct Audit {
    queue: Arc<AuditQueue>,
    required: bool,
}

/// Starts the thread that writes. What this returns records every event of [`AUDITED`] once it subscribes. A process
/// does this once.
///
/// # Errors
/// The audit is `required` and its file or socket cannot be opened, or its thread cannot be started.
pub fn start(config: &AuditConfig) -> Result<Subscriber, String> {
    let (sink, problem): (Box<dyn AuditSink>, _) = match &config.to {
        AuditTarget::File { path, size, keep, age } => {
            let (file, problem) = AuditFile::open(path, *size, *keep, *age);
            (Box::new(file), problem)
        }
        AuditTarget::Syslog(server) => {
            let (socket, problem) = DatagramSink::syslog(*server);
            (Box::new(socket), problem)
        }
        AuditTarget::Journald => {
            let (socket, problem) = DatagramSink::journald();
            (Box::new(socket), problem)
        }
    };
    if let (Some(problem), true) = (problem, config.required) {
        return Err(format!("audit.required: {problem}"));
    }
    if let Some(file) = config.file().filter(|file| config.required && !file.is_file()) {
        // A pipe whose reader stops would hold up every login.
        return Err(format!("audit.required: {}: is no regular file", file.display()));
    }
    let queue = Arc::new(AuditQueue::default());
    let recorder = Recorder::new(sink.longest_value());
    let writer = Arc::clone(&queue);
    let thread = std::thread::Builder::new().name("audit".to_owned());
    thread
        .spawn(move || {
            // The thread that panicked has logged why. Nothing is recorded any more, which `required` sees.
            if guard("audit", || writer.write_to(sink)).is_err() {
                writer.fail("the thread that writes it has panicked");
            }
        })
        .map_err(|error| error.to_string())?;
    let audit = AUDIT.get_or_init(|| Audit { queue, required: config.required });
    let queue = Arc::clone(&audit.queue);
    Ok(Box::new(move |event| take(&recorder, &queue, event)))
}

/// Why nobody may log in or start anything now: the audit is `required`, and cannot take more.
pub(crate) fn refusal() -> Option<String> {
    let audit = AUDIT.get().filter(|audit| audit.required)?;
    audit.queue.problem()
}

/// Opens the destination anew. False if there is none that can be.
pub fn reopen() -> bool {
    AUDIT.get().is_some_and(|audit| {
        audit.queue.reopen();
        true
    })
}

/// Waits until everything is written, or for a moment, and logs what is not. Call it before the log is finished.
pub fn finish() {
    let left_out = AUDIT.get().map_or(0, |audit| audit.queue.wait_written(LAST_RECORDS));
    if left_out > 0 {
        emit(ServerEvent::AuditUnfinished { left_out });
    }
}

/// Takes an event: records it if it is one of [`AUDITED`].
fn take(recorder: &Recorder, queue: &AuditQueue, event: &Event<'_>) {
    recorder.note(event);
    if is_recorded(recorder, event) {
        let importance = match event {
            Event::Runtime(LogEvent::FileUsed { tenant, user, .. }) => Importance::File { tenant, user },
            Event::Runtime(LogEvent::PluginDestinationDenied { tenant, .. }) => Importance::File { tenant, user: "" },
            Event::Login(LoginEvent::Rejected { .. } | LoginEvent::Failed { .. } | LoginEvent::Undecided { .. }) => {
                Importance::Stranger
            }
            _ => Importance::Normal,
        };
        let (name, line) = (event.name(), recorder.line(event));
        queue.put(name, line, importance);
    }
    recorder.forget(event);
}

fn is_recorded(recorder: &Recorder, event: &Event<'_>) -> bool {
    match event {
        // Skip keys refused before a successful login (DEBUG).
        Event::Login(LoginEvent::Rejected { level, .. }) => *level == Level::INFO,
        // Connections without a login are covered by `login_*`.
        Event::Connection(ConnectionEvent::Closed { connection, .. }) => recorder.is_logged_in(*connection),
        _ => AUDITED.contains(&event.name()),
    }
}
