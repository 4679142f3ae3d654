//! How much a plugin may use: the numbers, and the two meters that hold it to them. Processor time is counted here in ticks of the
//! epoch; memory is counted where wasmtime asks for more.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use wasmtime::ResourceLimiter;

use crate::grants::keyvalue::KeyValueLimits;
use crate::grants::topics::TopicLimits;

/// What one session may use. The defaults are those of the gateway's table of limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory, bytes. Never more than [`EngineSettings::memory`](crate::EngineSettings::memory).
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
    /// How long a call may go on after the session's end, and how long `closed` may take, by the clock.
    pub grace: Duration,
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
    pub passages: u32,
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
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 64 << 20,
            table_elements: 20_000,
            instances: 64,
            tables: 32,
            memories: 4,
            call_ticks: 1_000,
            instantiate_ticks: 100,
            closed_ticks: 1_000,
            grace: Duration::from_secs(1),
            host_call_bytes: 4 << 20,
            resources: 1_024,
            held_output: 64 << 10,
            environment: 64 << 10,
            timers: 64,
            shortest_timer: Duration::from_millis(10),
            passages: 16,
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
        }
    }
}

/// What the epoch's call-back does now.
pub(crate) enum Tick {
    /// Go on: the plugin has just come back from waiting and the tick was not its own.
    Free,
    /// Let other tasks run, then go on.
    Yield,
    /// The budget is used up.
    Spent,
}

/// Counts ticks of processor time. Only the session's task touches it; it is shared because one half of that task is inside wasmtime.
///
/// Ticks are counted, not time: a plugin that waits an hour for its client has used nothing, and a host that was kept from running
/// does not bill the plugin for it.
#[derive(Default)]
pub(crate) struct Meter {
    left: AtomicU32,
    used: AtomicU64,
    /// The call-back has let other tasks run; the next poll only goes on.
    yielding: AtomicBool,
    /// The call was polled after it had waited, so its deadline is long past though it has not run.
    resumed: AtomicBool,
}

impl Meter {
    /// A new call with so many ticks.
    pub(crate) fn begin(&self, ticks: u32) {
        self.left.store(ticks, Ordering::Relaxed);
        self.yielding.store(true, Ordering::Relaxed);
    }

    /// The call is about to run, for the first time or again.
    pub(crate) fn polled(&self) {
        let goes_on = self.yielding.swap(false, Ordering::Relaxed);
        self.resumed.store(!goes_on, Ordering::Relaxed);
    }

    pub(crate) fn tick(&self) -> Tick {
        if self.resumed.swap(false, Ordering::Relaxed) {
            return Tick::Free;
        }
        self.used.fetch_add(1, Ordering::Relaxed);
        let left = self.left.load(Ordering::Relaxed).saturating_sub(1);
        self.left.store(left, Ordering::Relaxed);
        if left == 0 {
            return Tick::Spent;
        }
        self.yielding.store(true, Ordering::Relaxed);
        Tick::Yield
    }

    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}

/// Counts memory and tables. Growth beyond the limit fails in the plugin's own way, and is remembered: a trap that follows in the same
/// call is reported as what it is.
pub(crate) struct Memory {
    limit: usize,
    table_elements: usize,
    instances: usize,
    tables: usize,
    memories: usize,
    /// All linear memories together.
    now: usize,
    peak: usize,
    refused: bool,
}

impl Memory {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            limit: limits.memory,
            table_elements: limits.table_elements,
            instances: limits.instances,
            tables: limits.tables,
            memories: limits.memories,
            now: 0,
            peak: 0,
            refused: false,
        }
    }

    /// A new call: what was refused in an earlier one explains nothing any more.
    pub(crate) fn begin(&mut self) {
        self.refused = false;
    }

    pub(crate) fn was_refused(&self) -> bool {
        self.refused
    }

    pub(crate) fn peak(&self) -> usize {
        self.peak
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = (self.now - current.min(self.now)).saturating_add(desired);
        if total > self.limit || maximum.is_some_and(|maximum| desired > maximum) {
            self.refused = true;
            return Ok(false);
        }
        self.now = total;
        self.peak = self.peak.max(total);
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let allowed = desired <= self.table_elements && maximum.is_none_or(|maximum| desired <= maximum);
        self.refused |= !allowed;
        Ok(allowed)
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn tables(&self) -> usize {
        self.tables
    }

    fn memories(&self) -> usize {
        self.memories
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_billed_for_the_ticks_that_it_ran_through() {
        let meter = Meter::default();
        meter.begin(3);
        for _ in 0..2 {
            meter.polled();
            assert!(matches!(meter.tick(), Tick::Yield));
        }
        meter.polled();
        assert!(matches!(meter.tick(), Tick::Spent));
        assert_eq!(meter.used(), 3);
    }

    #[test]
    fn waiting_is_not_billed() {
        let meter = Meter::default();
        meter.begin(2);
        meter.polled();
        for _ in 0..1_000 {
            meter.polled();
            assert!(matches!(meter.tick(), Tick::Free));
        }
        assert_eq!(meter.used(), 0);
        assert!(matches!(meter.tick(), Tick::Yield));
    }

    #[test]
    fn memory_is_counted_over_all_memories_and_its_refusal_is_remembered_for_one_call() {
        let mut memory = Memory::new(&Limits { memory: 100, ..Limits::default() });
        assert!(memory.memory_growing(0, 40, None).unwrap());
        assert!(memory.memory_growing(0, 40, None).unwrap());
        assert!(!memory.was_refused());
        assert!(!memory.memory_growing(40, 61, None).unwrap());
        assert!(memory.was_refused());
        memory.begin();
        assert!(!memory.was_refused());
        assert!(memory.memory_growing(40, 60, None).unwrap());
        assert_eq!(memory.peak(), 100);
    }
}
