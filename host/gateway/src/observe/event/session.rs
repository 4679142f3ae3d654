//! Sessions, from the opening of their channels to their end. RFC 4254.

use std::error::Error;

use tracing::Level;
use whelk_runtime::FailureLabel;

use crate::observe::escape::{Brief, Escaped};

whelk_runtime::events! {
    /// What happens to sessions.
    pub enum SessionEvent<'a> {
        /// A session begins: its plugin is started, and may still refuse it. `session` counts those of the connection.
        Opened("session_opened", INFO, "whelk::connection::bridge", "session opened") {
            connection: u64,
            channel: u32,
            session: u64,
            #[display] user: Escaped<'a>,
            #[display] tenant: Escaped<'a>,
            plugin: &'a str,
            generation: u32,
        }
        /// The client asks for a shell, a command or a subsystem, which the plugin may still refuse. The log has ten a
        /// session, the audit all.
        /// `forced` is the command that runs instead.
        Started("session_started", INFO, "whelk::connection::bridge", "session started") {
            connection: u64,
            channel: u32,
            session: u64,
            #[display] user: Escaped<'a>,
            #[display] tenant: Escaped<'a>,
            plugin: Option<&'a str>,
            #[display] start: Escaped<'a>,
            #[bytes] command: Brief<'a>,
            forced: Option<&'a str>,
            ; kind: &'static str,
        }
        /// A session is over. The level is `WARN` after a failure and `ERROR` after a failure of the host. Failures of
        /// a tenant beyond `tenant_failure_rate` are logged in short and at `INFO`, like an orderly end.
        Ended("session_ended", INFO | WARN | ERROR, "whelk::observe::session_summary", "session ended") {
            connection: u64,
            channel: u32,
            session: u64,
            #[display] user: Escaped<'a>,
            tenant: &'a str,
            plugin: &'a str,
            generation: u32,
            ending: &'static str,
            exit: &'a str,
            cpu_ms: u64,
            memory: usize,
            error: Option<&'a str>,
            ; level: Level, failure: Option<FailureLabel>,
        }
        /// An operator, the user of the system with this `uid`, has asked for the end of a session, which follows.
        EndRequested("session_end_requested", INFO, "whelk::server::connection_table", "session is ended on request") {
            connection: u64,
            channel: u32,
            session: u64,
            uid: u32,
            #[display] reason: Escaped<'a>,
        }
        /// An operator, the user of the system with this `uid`, has asked for the end of a session that is over, and
        /// its client had not read all of its output: the rest is discarded.
        OutputDiscarded(
            "session_unread_discarded", INFO, "whelk::server::connection_table", "unread output is discarded on request"
        ) {
            connection: u64,
            channel: u32,
            session: u64,
            uid: u32,
            #[display] reason: Escaped<'a>,
        }
        /// An operator, the user of the system with this `uid`, watches the output of a session from now on.
        WatchBegan("session_watch_began", INFO, "whelk::server::control", "session is watched") {
            connection: u64,
            channel: u32,
            session: u64,
            uid: u32,
        }
        /// An operator no longer watches a session, or it has ended. So many bytes of it were not shown.
        WatchEnded("session_watch_ended", INFO, "whelk::server::control", "session is no longer watched") {
            connection: u64,
            channel: u32,
            session: u64,
            uid: u32,
            lost: u64,
        }
        /// A session is recorded from now on. `bytes` and `digest` are those of the recording so far.
        RecordingBegan("session_recording_began", INFO, "whelk::observe::recording", "session is recorded") {
            connection: u64,
            channel: u32,
            session: u64,
            #[display] user: Escaped<'a>,
            #[display] tenant: Escaped<'a>,
            file: &'a str,
            bytes: u64,
            hash: &'a str,
            digest: &'a str,
        }
        /// A recording goes on. Once a minute, if something was recorded since.
        RecordingDigest("session_recording_digest", DEBUG, "whelk::observe::recording", "session is still recorded") {
            connection: u64,
            channel: u32,
            session: u64,
            #[display] user: Escaped<'a>,
            #[display] tenant: Escaped<'a>,
            file: &'a str,
            bytes: u64,
            hash: &'a str,
            digest: &'a str,
        }
        /// A session that was recorded is over. `lost`: so many bytes of it are not in the recording. `reason`: why the
        /// recording ended before the session, if it did.
        RecordingEnded("session_recording_ended", INFO, "whelk::observe::recording", "recording has ended") {
            connection: u64,
            channel: u32,
            session: u64,
            #[display] user: Escaped<'a>,
            #[display] tenant: Escaped<'a>,
            file: &'a str,
            bytes: u64,
            hash: &'a str,
            digest: &'a str,
            lost: u64,
            reason: Option<&'a str>,
        }
        /// A session cannot be recorded, or no longer. It ends if it has to be. Once a session.
        RecordingFailed("session_recording_failed", WARN, "whelk::observe::recording", "session cannot be recorded") {
            connection: u64,
            channel: u32,
            session: u64,
            #[display] user: Escaped<'a>,
            #[display] tenant: Escaped<'a>,
            file: Option<&'a str>,
            reason: &'a str,
        }
        /// The plugin of a user was still being compiled after `prepare_wait`: the client is told to try again.
        NotReady("session_not_ready", INFO, "whelk::connection::bridge", "plugin is not ready") {
            connection: u64,
            channel: u32,
            #[display] tenant: Escaped<'a>,
            #[display] plugin: Escaped<'a>,
            reason: &'a str,
        }
        /// The plugin of a user is not there.
        WithoutPlugin("session_without_plugin", INFO, "whelk::connection::bridge", "no such plugin") {
            connection: u64,
            channel: u32,
            #[display] tenant: Escaped<'a>,
            #[display] plugin: Escaped<'a>,
        }
        /// Variables that a client set were not admitted. Once a session, when it starts its program or ends.
        VariablesRefused("session_variables_refused", INFO, "whelk::observe::refusals", "variables refused") {
            connection: u64,
            channel: u32,
            #[display] user: Escaped<'a>,
            count: u32,
            names: &'a str,
            reason: &'a str,
        }
        /// A client broke the protocol on one channel, which ends that session alone.
        ProtocolError(
            "session_protocol_error", WARN, "whelk::connection::bridge", "channel closed: protocol error"
        ) {
            connection: u64,
            channel: u32,
            #[display] error: &'a (dyn Error + 'a),
        }
    }
}
