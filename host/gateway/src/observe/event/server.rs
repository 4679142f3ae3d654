//! The program as a whole: its start, its stop, and what it has of the machine.

use std::error::Error;
use std::net::SocketAddr;

use crate::observe::escape::Escaped;

whelk_runtime::events! {
    /// What happens to the program.
    pub enum ServerEvent<'a> {
        /// The program has read its configuration. `run` is in the identity of every connection. Without `file` it is
        /// the demonstration. Another event follows for each address that it listens on.
        Started("server_started", INFO, "whelk::cli::serve", "started") {
            version: &'a str,
            run: &'a str,
            file: Option<&'a str>,
            digest: Option<&'a str>,
            users: usize,
            tenants: usize,
        }
        /// A socket accepts connections, this long after the program has started.
        Listening("server_listening", INFO, "whelk::cli::serve", "listening") {
            seconds: f32,
            #[display] address: SocketAddr,
        }
        /// Metrics can be read by HTTP at this address.
        MetricsListening("server_metrics_listening", INFO, "whelk::observe::metrics", "metrics are served") {
            #[display] address: SocketAddr,
        }
        /// The host keys were made, at the first start with this state folder.
        HostKeysMade("server_host_keys_made", INFO, "whelk::cli::serve", "host keys made for the first start") {
            seconds: f32,
        }
        /// A key by which clients know this server.
        HostKey("server_host_key", INFO, "whelk::cli::serve", "host key") {
            algorithm: &'a str,
            fingerprint: &'a str,
        }
        /// A certificate of a host key, with its authority's key and the host names that it is for.
        HostCertificate("server_host_certificate", INFO, "whelk::cli::serve", "host certificate") {
            fingerprint: &'a str,
            authority: &'a str,
            #[display] hosts: Escaped<'a>,
        }
        /// How many connections there is room for on this machine.
        Room(
            "server_room", INFO, "whelk::server::listener",
            "room for connections, and for those that have not logged in"
        ) {
            connections: u32,
            unauthenticated: u32,
        }
        /// Something in the configuration that the operator should know although it is no error.
        Note("server_note", WARN, "whelk::cli::serve", "{note}") {
            ; note: &'a str,
        }
        /// The limits of the configuration may take more than the machine has.
        Shortage("server_shortage", WARN, "whelk::cli::serve", "the machine has less than the limits may take") {
            resource: &'a str,
            has: u64,
            needs: u64,
            change: &'a str,
        }
        /// The C library did not take the setting by which large pieces of memory go back to the system at once.
        HeapThresholdFailed(
            "server_heap_threshold_failed", WARN, "whelk::cli::serve",
            "the C library keeps its own threshold for mapping memory: what is freed may stay taken"
        ) {}
        /// The number of files that the process may open could not be raised to what the system allows.
        FilesNotRaised(
            "server_files_not_raised", WARN, "whelk::os_limits",
            "the limit of open files could not be raised"
        ) {
            #[display] error: &'a (dyn Error + 'a),
        }
        /// A crash may write the memory of the process to a file.
        CoreDumpsLeftOn(
            "server_core_dumps_left_on", WARN, "whelk::os_limits", "core dumps could not be turned off"
        ) {
            #[display] error: &'a (dyn Error + 'a),
        }
        /// Other programs of the same user may read the memory of the process.
        MemoryLeftOpen(
            "server_memory_left_open", WARN, "whelk::os_limits",
            "the memory of this process stays open to programs of the same user"
        ) {
            #[display] error: &'a (dyn Error + 'a),
        }
        /// The control socket could not be opened: `whelk reload` and `whelk plugin list` find no server.
        ControlFailed(
            "server_control_failed", WARN, "whelk::cli::serve", "the running server cannot be asked for anything"
        ) {
            #[display] error: &'a (dyn Error + 'a),
        }
        /// The service manager that has started the program takes no messages. Logged once, and again after one was
        /// taken.
        SystemdFailed(
            "server_systemd_failed", WARN, "whelk::server::systemd",
            "cannot notify systemd"
        ) {
            #[display] error: &'a (dyn Error + 'a),
        }
        /// The program was told to stop.
        Stopping("server_stopping", INFO, "whelk::server::signals", "stopping") {
            signal: &'a str,
        }
        /// An operator, the user of the system with this `uid`, has told the program to stop, and how long sessions
        /// have: `whelk drain`.
        DrainRequested("server_drain_requested", INFO, "whelk::server::control", "draining") {
            uid: u32,
            seconds: u64,
        }
        /// An operator, the user of the system with this `uid`, serves the page of `whelk console` at this address.
        ConsoleOpened("server_console_opened", INFO, "whelk::server::control", "console is served") {
            #[display] address: SocketAddr,
            uid: u32,
        }
        /// An operator no longer serves the page.
        ConsoleClosed("server_console_closed", INFO, "whelk::server::control", "console is no longer served") {
            #[display] address: SocketAddr,
            uid: u32,
        }
        /// The configuration was read again, and takes effect for new connections. `added` and `removed` count users,
        /// tenants and addresses together.
        Reloaded("server_reloaded", INFO, "whelk::server::reload", "configuration reloaded") {
            users: usize,
            tenants: usize,
            listening: usize,
            added: usize,
            removed: usize,
            seconds: f32,
        }
        /// The configuration was read again and has an error: nothing has changed. One for each error.
        ReloadRefused(
            "server_reload_refused", ERROR, "whelk::server::reload", "configuration not reloaded: nothing has changed"
        ) {
            #[display] reason: Escaped<'a>,
            ; is_first: bool,
        }
        /// A reload has failed by a fault of this program: it may be half applied until the server is restarted.
        ReloadFailed("server_reload_failed", ERROR, "whelk::server::reload", "the reload has failed") {
            #[display] reason: Escaped<'a>,
        }
        /// The configuration was reloaded, and this setting of it takes effect when the server is restarted.
        NeedsRestart(
            "server_needs_restart", WARN, "whelk::server::reload", "a setting takes effect after a restart only"
        ) {
            setting: &'a str,
            running: &'a str,
            configured: &'a str,
        }
        /// A signal came that means nothing to the program.
        SignalIgnored(
            "server_signal_ignored", INFO, "whelk::server::signals", "signal ignored: it means nothing here"
        ) {
            signal: &'a str,
        }
        /// No more connections are accepted; those that there are may go on for `drain`.
        NotListening("server_not_listening", INFO, "whelk::server::listener", "no longer listening") {
            connections: usize,
        }
        /// Every connection is over, or was dropped.
        Stopped("server_stopped", INFO, "whelk::server::listener", "stopped") {
            dropped: usize,
        }
        /// The program does not end by itself, or its log cannot be written: it is ended.
        GaveUp("server_gave_up", ERROR, "whelk::cli::serve", "{why}") {
            ; why: &'a str,
        }
        /// The start failed, or the program ends by itself for a reason.
        Fatal("server_fatal", ERROR, "whelk::observe::logging", "fatal error") {
            status: u8,
            reason: &'a str,
        }
        /// A thread or task panicked. Another event tells the consequence, such as `connection_panicked`.
        Panicked("server_panicked", ERROR, "whelk::observe::logging", "panic") {
            place: &'a str,
            thread: Option<&'a str>,
            #[display] said: Escaped<'a>,
        }
        /// Lines of the log were dropped, since nobody read them fast enough or the disk did not take them.
        LinesDropped("server_lines_dropped", ERROR, "whelk::observe::logging", "log lines dropped") {
            dropped: usize,
            reason: &'a str,
        }
        /// The log file was reopened: this and later lines go to the file at `file`.
        LogReopened("server_log_reopened", INFO, "whelk::observe::logging", "log file reopened") {
            file: &'a str,
        }
        /// The log file could not be reopened: lines go to the old one. It is tried again every 10 s.
        LogNotReopened(
            "server_log_not_reopened", ERROR, "whelk::observe::logging",
            "log file not reopened; still writing to the old one"
        ) {
            #[display] error: &'a (dyn Error + 'a),
        }
        /// The key-value store was copied for `whelk backup`.
        StoreCopied("server_store_copied", INFO, "whelk::server::control", "key-value store copied") {
            keys: u64,
            bytes: u64,
            took_ms: u64,
        }
        /// A record of the audit could not be written. It is tried again each second. Once per outage.
        AuditFailing("server_audit_failing", ERROR, "whelk::observe::audit", "audit cannot be written") {
            reason: &'a str,
        }
        /// The audit is written again. So many records found no room meanwhile.
        AuditRecovered("server_audit_recovered", WARN, "whelk::observe::audit", "audit is written again") {
            left_out: u64,
        }
        /// The program ends, and so many records of the audit are not written.
        AuditUnfinished("server_audit_unfinished", ERROR, "whelk::observe::audit", "audit records lost at the end") {
            left_out: usize,
        }
        /// The file of the audit is too long or too old, and cannot be renamed: it is written on.
        AuditNotRotated("server_audit_not_rotated", ERROR, "whelk::observe::audit", "audit file cannot be renamed") {
            file: &'a str,
            #[display] error: &'a (dyn Error + 'a),
        }
        /// Many sessions or connections have ended, and what they left on the heap was given back to the system.
        HeapTrimmed("server_heap_trimmed", INFO, "whelk::server::heap_trim", "memory given back") {
            sessions: usize,
            connections: usize,
            took_ms: u64,
        }
    }
}
