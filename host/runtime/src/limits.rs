//! How much a plugin may use, in numbers. Who holds it to them is elsewhere: `meter` counts processor time, `memory` memory, `budget` what
//! the sessions of a tenant use together.

pub(crate) mod budget;
pub(crate) mod descriptor;
pub(crate) mod memory;
pub(crate) mod meter;
pub(crate) mod output_charges;
pub(crate) mod permit;
pub(crate) mod rate;
mod throttle;
pub(crate) mod usage;

use std::time::Duration;

pub use throttle::{Admitted, Throttle};

/// What each session of a tenant may use, and, from [`tenant_sessions`](Self::tenant_sessions) on, all of them together. The defaults are
/// those of the gateway's table of limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of one instance, of all its memories together, bytes. No memory grows beyond
    /// [`EngineSettings::memory`](crate::EngineSettings::memory).
    pub memory: usize,
    /// Elements in one table.
    pub table_elements: usize,
    /// Core instances.
    pub instances: usize,
    /// Tables.
    pub tables: usize,
    /// Linear memories.
    pub memories: usize,
    /// Processor time of one call, in ticks of 1 ms.
    pub call_ticks: u32,
    /// Processor time of instantiation, in ticks of 1 ms.
    pub instantiate_ticks: u32,
    /// Processor time of `closed`, in ticks of 1 ms.
    pub closed_ticks: u32,
    /// Processor time that a session may use at once, in ticks of 1 ms. When it has, it waits.
    pub burst_ticks: u32,
    /// Processor time that a session earns in each second, in ticks of 1 ms, up to the burst.
    pub share_ticks: u32,
    /// How long a call may go on after the session's end, and how long instantiation and `closed` may take, by the clock. Waiting for a
    /// processor does not count.
    pub grace: Duration,
    /// How long a session may last; none is for ever.
    pub session_time: Option<Duration>,
    /// How long a session may last in which nothing comes from the client and nothing is written; none is for ever.
    pub idle_time: Option<Duration>,
    /// Bytes that one call of the plugin's may hand to the host.
    pub host_call_bytes: usize,
    /// Resources: handles that the plugin may hold.
    pub resources: usize,
    /// Bytes of output that wait for a start request to be accepted.
    pub held_output: usize,
    /// Bytes of accepted environment, names and values.
    pub environment: usize,
    /// Timers at once.
    pub timers: usize,
    /// The shortest timer.
    pub shortest_timer: Duration,
    /// How often a session may pass from one plugin to another, by a route or a hand-over.
    pub handoffs: u32,
    /// Lines of log a second.
    pub log_lines: u32,
    /// Lines of log that may come at once after a pause.
    pub log_burst: u32,
    /// Bytes of a line of log; the rest is cut.
    pub log_line: usize,
    /// Bytes of randomness that one call may ask for.
    pub random: u64,
    /// Key-value, where it is granted.
    pub keyvalue: KeyValueLimits,
    /// Topics, where they are granted.
    pub topics: TopicLimits,
    /// Files and directories that one session has open.
    pub open_files: usize,
    /// The same of all sessions of the tenant.
    pub tenant_open_files: usize,
    /// Outgoing HTTP requests at once; one counts until its answer has been read or dropped.
    pub http_requests: usize,
    /// How long it may take to reach the server of a request: look-up, connection and TLS.
    pub http_connect: Duration,
    /// How long the server of a request may send nothing while it has the turn.
    pub http_wait: Duration,
    /// Bytes of the headers of a request or of an answer.
    pub http_headers: usize,
    /// Bytes of the body of a request or of an answer.
    pub http_body: u64,
    /// Outgoing TCP sockets at once.
    pub tcp_sockets: usize,
    /// Sessions of the tenant at once.
    pub tenant_sessions: usize,
    /// Linear memory of all its instances, bytes.
    pub tenant_memory: usize,
    /// Output of all its sessions that waits for clients, bytes. A write beyond that waits.
    pub tenant_output: usize,
    /// Output of all sessions of one user that waits for clients, bytes. A write beyond that waits.
    pub user_output: usize,
    /// How long the client of a session that has ended may take none of its output before that may be discarded, if the
    /// tenant or the server is short of output or memory.
    pub output_stall: Duration,
    /// Bytes of output of all its sessions in a second. A write beyond that waits.
    pub tenant_output_rate: usize,
    /// Lines of log of all its sessions in a second. The others are dropped.
    pub tenant_log_lines: u32,
    /// Failures of its plugins in a second that the operator is told whole. The others are told briefly.
    pub tenant_failures: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 64 << 20,
            table_elements: 20_000,
            instances: 64,
            tables: 8,
            memories: 3,
            call_ticks: 1_000,
            instantiate_ticks: 100,
            closed_ticks: 1_000,
            burst_ticks: 1_000,
            share_ticks: 250,
            grace: Duration::from_secs(1),
            session_time: None,
            idle_time: None,
            host_call_bytes: 4 << 20,
            resources: 1_024,
            held_output: 64 << 10,
            environment: 64 << 10,
            timers: 64,
            shortest_timer: Duration::from_millis(10),
            handoffs: 16,
            log_lines: 100,
            log_burst: 500,
            log_line: 1 << 10,
            random: 64 << 10,
            keyvalue: KeyValueLimits::default(),
            topics: TopicLimits::default(),
            open_files: 64,
            tenant_open_files: 1_024,
            http_requests: 8,
            http_connect: Duration::from_secs(10),
            http_wait: Duration::from_secs(60),
            http_headers: 16 << 10,
            http_body: 256 << 20,
            tcp_sockets: 16,
            tenant_sessions: 512,
            tenant_memory: 4 << 30,
            tenant_output: 64 << 20,
            user_output: 16 << 20,
            output_stall: Duration::from_secs(600),
            tenant_output_rate: 1 << 30,
            tenant_log_lines: 1_000,
            tenant_failures: 10,
        }
    }
}

/// What a plugin may ask of its buckets in one call, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValueLimits {
    /// The longest key, and the longest name of a bucket, bytes.
    pub key: usize,
    /// The largest value, bytes.
    pub value: usize,
    /// Most keys in one call, and on one page of a list.
    pub batch: usize,
    /// Keys that a tenant may ask for or change in a second. Each 16 KiB of values count as one more. What comes faster waits.
    pub rate: u32,
}

impl Default for KeyValueLimits {
    fn default() -> Self {
        Self { key: 1 << 10, value: 1 << 20, batch: 1_000, rate: 2_000 }
    }
}

/// How much may be published and subscribed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicLimits {
    /// Topics that one session may subscribe to.
    pub subscriptions: usize,
    /// The longest message, bytes.
    pub message: usize,
    /// Messages that wait for one session ...
    pub waiting: usize,
    /// ... and their bytes, names of topics included.
    pub waiting_bytes: usize,
    /// Bytes that a tenant may publish in a second, 64 more for each message and each of its subscribers.
    pub rate: usize,
}

impl Default for TopicLimits {
    fn default() -> Self {
        Self { subscriptions: 64, message: 64 << 10, waiting: 256, waiting_bytes: 256 << 10, rate: 8 << 20 }
    }
}
