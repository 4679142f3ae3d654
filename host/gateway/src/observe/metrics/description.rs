//! Every metric: its name, type, labels and meaning. Names and units are as Prometheus recommends. No label has a value
//! that a client chooses: each is of a fixed set, or the name of a tenant or of a plugin that is there.

/// The type of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Only goes up, from 0 at the start of the program.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How many observations there were in each bucket.
    Histogram,
}

/// What is known of a metric before it is read.
#[derive(Debug, PartialEq, Eq)]
pub struct MetricDescription {
    /// Its whole name.
    pub name: &'static str,
    /// Its type.
    pub kind: MetricKind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it means: text of doc comments, without the full stop at its end.
    pub help: &'static str,
}

impl MetricDescription {
    /// The name as the library takes it: it adds `_total` to the names of counters itself.
    pub(super) fn base(&self) -> &'static str {
        match self.kind {
            MetricKind::Counter => self.name.strip_suffix("_total").unwrap_or(self.name),
            MetricKind::Gauge | MetricKind::Histogram => self.name,
        }
    }
}

macro_rules! metrics {
    ($( $(#[doc = $help:literal])+ $NAME:ident = $Kind:ident $name:literal [$($label:literal),*]; )*) => {
        $(
            $(#[doc = $help])+
            pub(super) static $NAME: MetricDescription = MetricDescription {
                name: $name,
                kind: MetricKind::$Kind,
                labels: &[$($label),*],
                help: concat!($($help),+).trim_ascii(),
            };
        )*

        /// Every metric, in the order of `METRICS.md`.
        pub static ALL: &[&MetricDescription] = &[$(&$NAME),*];
    };
}

metrics! {
    // Connections.

    /// Connections that are served
    CONNECTIONS = Gauge "whelk_connections" [];
    /// Connections that are served and have not logged in
    UNAUTHENTICATED = Gauge "whelk_connections_unauthenticated" [];
    /// Connections that were served
    CONNECTIONS_OPENED = Counter "whelk_connections_opened_total" [];
    /// Connections that are over, by who or what ended them
    CONNECTIONS_CLOSED = Counter "whelk_connections_closed_total" ["outcome"];
    /// Connections that were refused before any protocol, by the limit that they met
    CONNECTIONS_REFUSED = Counter "whelk_connections_refused_total" ["reason"];
    /// Connections that had to wait until others of their source had logged in
    CONNECTIONS_WAITED = Counter "whelk_connections_waited_total" [];
    /// Connections without a login that were ended for a new one
    CONNECTIONS_DISPLACED = Counter "whelk_connections_displaced_total" [];
    /// Connections whose task has panicked
    CONNECTION_PANICS = Counter "whelk_connection_panics_total" [];
    /// Failures of accept(2), mostly since open files were used up
    ACCEPT_ERRORS = Counter "whelk_accept_errors_total" [];
    /// Connections that were ended since their login was revoked
    REVOKED = Counter "whelk_connections_revoked_total" [];
    /// Bytes that were read from clients, encrypted as they are
    RECEIVED = Counter "whelk_received_bytes_total" [];
    /// Bytes that were written to clients, encrypted as they are
    SENT = Counter "whelk_sent_bytes_total" [];
    /// Time from the beginning of a connection to the end of its first key exchange
    HANDSHAKE = Histogram "whelk_handshake_seconds" [];
    /// Algorithms that the first key exchange has agreed on, by kind: key_exchange, host_key; and cipher, mac and
    /// compression of what the client sends
    ALGORITHMS = Counter "whelk_negotiated_algorithms_total" ["kind", "algorithm"];

    // Logins.

    /// Answers to attempts to log in, by the method of RFC 4252: success, partial (another method must follow),
    /// rejected
    LOGIN_ATTEMPTS = Counter "whelk_login_attempts_total" ["result", "method"];
    /// Connections that are over whose clients tried to log in and did not succeed
    LOGINS_FAILED = Counter "whelk_logins_failed_total" [];
    /// Attempts to log in that the server could not decide
    LOGINS_UNDECIDED = Counter "whelk_logins_undecided_total" [];
    /// Time that authenticators took for an answer, by what they answered
    AUTHENTICATOR = Histogram "whelk_authenticator_seconds" ["answer"];
    /// Questions to authenticators that got no usable answer; at most one in 10 seconds of each is told of
    AUTHENTICATOR_FAILURES = Counter "whelk_authenticator_failures_total" [];

    // Sessions and their processes.

    /// Sessions that are open
    SESSIONS = Gauge "whelk_sessions" [];
    /// Sessions that were opened
    SESSIONS_OPENED = Counter "whelk_sessions_opened_total" [];
    /// Requests to start a program, by their kind
    SESSION_STARTS = Counter "whelk_session_starts_total" ["kind"];
    /// Sessions that are over, by how they ended
    SESSIONS_ENDED = Counter "whelk_sessions_ended_total" ["ending"];
    /// Sessions that could not begin: their plugin was not compiled in time, or is not there
    SESSIONS_REFUSED = Counter "whelk_sessions_refused_total" ["reason"];
    /// Failures of sessions and processes, by kind: a trap (by signal), a limit (by name), a full server, a suspended
    /// plugin, a plugin that could not be started, a fault of the host
    FAILURES = Counter "whelk_failures_total" ["kind", "reason"];
    /// Instances of plugins and programs that run: of sessions, their processes and authenticators
    INSTANCES = Gauge "whelk_instances" [];
    /// How many instances may run; authenticators are not among them where they have places of their own
    INSTANCES_LIMIT = Gauge "whelk_instances_limit" [];
    /// Instances that were begun, with those whose start has failed and those that try a plugin
    INSTANCES_STARTED = Counter "whelk_instances_started_total" [];
    /// Instances that have ended
    INSTANCES_ENDED = Counter "whelk_instances_ended_total" [];
    /// Time to make an instance, by what it is for: session, process (of another process) or login
    INSTANCE_START = Histogram "whelk_instance_start_seconds" ["purpose"];
    /// Processor time of all guests
    GUEST_CPU = Counter "whelk_guest_cpu_seconds_total" [];
    /// Memory of all guests, with the host's buffers for them
    GUEST_MEMORY = Gauge "whelk_guest_memory_bytes" [];
    /// How much memory all guests may have (memory_total)
    GUEST_MEMORY_LIMIT = Gauge "whelk_guest_memory_limit_bytes" [];
    /// Files, sockets and connections of requests that guests have open
    GUEST_FILES = Gauge "whelk_guest_open_files" [];
    /// How many of them there may be
    GUEST_FILES_LIMIT = Gauge "whelk_guest_open_files_limit" [];
    /// Limits that tenants, users or the server have met without a session ending for it, by the name of the limit
    LIMITS_HIT = Counter "whelk_limits_hit_total" ["limit"];
    /// Connections of guests to destinations that their tenant is not granted
    DESTINATIONS_DENIED = Counter "whelk_destinations_denied_total" [];

    // Tenants: only with `tenants = true`.

    /// Tenants of the configuration; in the demonstration those that were used
    TENANTS = Gauge "whelk_tenants" [];
    /// Open sessions of a tenant
    TENANT_SESSIONS = Gauge "whelk_tenant_sessions" ["tenant"];
    /// Instances of a tenant
    TENANT_INSTANCES = Gauge "whelk_tenant_instances" ["tenant"];
    /// Memory of a tenant's guests, with the host's buffers for them
    TENANT_MEMORY = Gauge "whelk_tenant_memory_bytes" ["tenant"];
    /// Files, sockets and connections of requests that a tenant's guests have open
    TENANT_FILES = Gauge "whelk_tenant_open_files" ["tenant"];
    /// Processor time of a tenant's guests
    TENANT_CPU = Counter "whelk_tenant_cpu_seconds_total" ["tenant"];

    // Plugins.

    /// The version of a plugin or loaded program that new sessions get, from 1 on since the start; the operator's have
    /// an empty tenant
    PLUGIN_GENERATION = Gauge "whelk_plugin_generation" ["tenant", "kind", "plugin"];
    /// Sessions and processes that run a plugin or program, of any version
    PLUGIN_SESSIONS = Gauge "whelk_plugin_sessions" ["tenant", "kind", "plugin"];
    /// 1 if the newest version of a plugin crashes at its start, so that some users get an older one or none
    PLUGIN_TRIPPED = Gauge "whelk_plugin_tripped" ["tenant", "kind", "plugin"];
    /// Plugins and programs that are being compiled
    PLUGINS_PREPARING = Gauge "whelk_plugins_preparing" [];
    /// What has happened to plugin files and versions
    PLUGIN_CHANGES = Counter "whelk_plugin_changes_total" ["change"];

    // The server.

    /// Reloads of the configuration, by result: done, refused (nothing has changed) or failed
    RELOADS = Counter "whelk_reloads_total" ["result"];
    /// 1 if the last reload was done, or if there was none
    LAST_RELOAD_DONE = Gauge "whelk_last_reload_done" [];
    /// When the configuration in use was read, since 1970
    CONFIG_READ = Gauge "whelk_config_read_timestamp_seconds" [];
    /// Lines of the log that were dropped
    LOG_LINES_DROPPED = Counter "whelk_log_lines_dropped_total" [];
    /// How often the audit has begun to fail
    AUDIT_FAILURES = Counter "whelk_audit_failures_total" [];
    /// 1 while the audit cannot be written
    AUDIT_FAILING = Gauge "whelk_audit_failing" [];
    /// Records of the audit that were left out; counted when it is written again
    AUDIT_LEFT_OUT = Counter "whelk_audit_records_left_out_total" [];
    /// 1 while the file of a key-value store cannot be used
    STORE_FAILING = Gauge "whelk_store_failing" [];
    /// Panics of threads and tasks
    PANICS = Counter "whelk_panics_total" [];
    /// How late a task of the server runs that wants to run twice a second: longer than some milliseconds means that
    /// the workers are busy or blocked
    SCHEDULING_DELAY = Histogram "whelk_scheduling_delay_seconds" [];
    /// 1 while the server drains: it accepts no connections and ends
    DRAINING = Gauge "whelk_draining" [];
    /// The version of the program; always 1
    BUILD_INFO = Gauge "whelk_build_info" ["version"];
    /// Time since the start of the program
    UPTIME = Gauge "whelk_uptime_seconds" [];

    // The process: the names that all programs use.

    /// Processor time of the process, guests included
    PROCESS_CPU = Counter "process_cpu_seconds_total" [];
    /// Memory of the process that is resident
    PROCESS_RESIDENT = Gauge "process_resident_memory_bytes" [];
    /// Address space of the process, most of which is reserved and never used
    PROCESS_VIRTUAL = Gauge "process_virtual_memory_bytes" [];
    /// Open file descriptors of the process
    PROCESS_FDS = Gauge "process_open_fds" [];
    /// The most file descriptors that the process may open
    PROCESS_MAX_FDS = Gauge "process_max_fds" [];
    /// Threads of the process
    PROCESS_THREADS = Gauge "process_threads" [];
    /// When the process was started, since 1970
    PROCESS_START = Gauge "process_start_time_seconds" [];
}
