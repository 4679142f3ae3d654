//! What the sessions of one tenant have together: sessions, memory, files, output, lines of log, and the permits to
//! run; and what all sessions of the server have. Each is counted when it is taken and given back by whoever drops it.

mod buffered;
mod unsent;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

pub(crate) use buffered::Buffered;
pub(crate) use unsent::{Finished, Owner, Unsent};

use crate::limits::permit::Permits;
use crate::limits::rate::TokenBucket;
use crate::limits::throttle::Throttle;
use crate::limits::{Limits, count};

/// The burst of logged failures: this many seconds of `tenant_failure_rate`.
const FAILURES: u64 = 5;
/// A limit that was not met for this long is logged again when it is met.
const QUIET: Duration = Duration::from_secs(60);

/// What the sessions of one tenant have together, and its bounds.
#[derive(Debug)]
pub struct Budget {
    /// Sessions that are open.
    pub(crate) sessions: Account,
    /// Instances of all its sessions.
    pub(crate) instances: Account,
    /// Processes that other processes have started.
    pub(crate) processes: Account,
    /// Linear memory of all instances, and buffers that the host has for them, bytes.
    pub(crate) memory: Account,
    /// Files, sockets and connections of requests that are open.
    pub(crate) files: Account,
    /// Processor time that sessions have used since the budget was made, nanoseconds.
    pub(crate) cpu: AtomicU64,
    /// Output that waits for clients.
    pub(crate) output: Buffered,
    /// The same of each user that has a session, by name, and how much one may have.
    users: Mutex<HashMap<String, Weak<Buffered>>>,
    user_output: AtomicUsize,
    /// Sessions that have ended, with output that waits.
    pub(crate) unsent: Arc<Unsent>,
    /// Bytes of output in a second.
    pub(crate) output_rate: TokenBucket,
    /// Key-value operations in a second.
    pub(crate) keyvalue_rate: TokenBucket,
    /// Bytes of messages published in a second.
    pub(crate) topic_rate: TokenBucket,
    /// Log lines in a second.
    pub(crate) log_rate: TokenBucket,
    /// Failures in a second that are logged with every detail.
    pub(crate) failure_rate: TokenBucket,
    /// Who of them may run. Made for the engine that runs the first.
    permits: OnceLock<Permits>,
    /// Throttles the log lines that say that a limit was met.
    throttles: [Throttle; Total::COUNT],
}

/// What is limited for a tenant as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Total {
    Sessions,
    Memory,
    Files,
    /// The files of all tenants together.
    AllFiles,
    /// The memory of all tenants together.
    AllMemory,
    UserOutput,
    Output,
    /// The output of all tenants together.
    AllOutput,
    OutputRate,
    LogRate,
    FailureRate,
    /// Requests of `wasi:http` without the grant.
    UngrantedRequests,
}

impl Total {
    const COUNT: usize = 12;

    /// The name of the setting, or what it follows from.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Sessions => "tenant_sessions",
            Self::Memory => "tenant_memory",
            Self::Files => "tenant_open_files",
            Self::AllFiles => "open files of all tenants",
            Self::AllMemory => "memory_total",
            Self::UserOutput => "user_output_share",
            Self::Output => "tenant_output",
            Self::AllOutput => "output_total",
            Self::OutputRate => "tenant_output_rate",
            Self::LogRate => "tenant_log_rate",
            Self::FailureRate => "tenant_failure_rate",
            Self::UngrantedRequests => "grants.http",
        }
    }
}

impl Total {
    /// Whether it is of all tenants together.
    pub(crate) fn is_of_server(self) -> bool {
        matches!(self, Self::AllFiles | Self::AllMemory | Self::AllOutput)
    }
}

impl Budget {
    /// Nothing is taken.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        let now = Instant::now();
        let a_second = |units: u64| TokenBucket::of_a_second(units, now);
        let bytes = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
        let failures = u64::from(limits.tenant_failure_rate);
        Self {
            sessions: Account::new(count(limits.tenant_sessions)),
            // They are bounded by what the server has (`engine/places.rs`).
            instances: Account::new(usize::MAX),
            processes: Account::new(count(limits.tenant_processes)),
            memory: Account::new(limits.tenant_memory),
            files: Account::new(count(limits.tenant_open_files)),
            cpu: AtomicU64::new(0),
            output: Buffered::new(limits.tenant_output),
            users: Mutex::default(),
            user_output: AtomicUsize::new(limits.user_output()),
            unsent: Arc::default(),
            output_rate: a_second(bytes(limits.tenant_output_rate)),
            keyvalue_rate: a_second(limits.keyvalue_rate.into()),
            topic_rate: a_second(bytes(limits.topic_rate)),
            log_rate: a_second(limits.tenant_log_rate.into()),
            failure_rate: TokenBucket::new(failures, failures * FAILURES, now),
            permits: OnceLock::new(),
            throttles: [const { Throttle::after_quiet(QUIET) }; Total::COUNT],
        }
    }

    /// Changes every bound to those of `limits`. What is taken stays taken, even if it is more than that now. Two calls
    /// must not run at the same time.
    pub(crate) fn change(&self, limits: &Limits) {
        let bytes = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
        let a_second = |bucket: &TokenBucket, units: u64| bucket.change(units, units);
        self.sessions.change(count(limits.tenant_sessions));
        self.processes.change(count(limits.tenant_processes));
        self.memory.change(limits.tenant_memory);
        self.files.change(count(limits.tenant_open_files));
        self.output.resize(limits.tenant_output);
        self.user_output.store(limits.user_output(), Ordering::Relaxed);
        let users: Vec<_> = {
            let users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
            users.values().filter_map(Weak::upgrade).collect()
        };
        users.iter().for_each(|output| output.resize(limits.user_output()));
        a_second(&self.output_rate, bytes(limits.tenant_output_rate));
        a_second(&self.keyvalue_rate, limits.keyvalue_rate.into());
        a_second(&self.topic_rate, bytes(limits.topic_rate));
        a_second(&self.log_rate, limits.tenant_log_rate.into());
        let failures = u64::from(limits.tenant_failure_rate);
        self.failure_rate.change(failures, failures * FAILURES);
    }

    /// The run permits of the tenant's guests, on an engine with `workers` threads.
    pub(crate) fn permits(&self, workers: usize) -> &Permits {
        self.permits.get_or_init(|| Permits::new(workers))
    }

    /// The output of one user that waits for clients; forgotten when its last session is gone.
    pub(crate) fn user_output(&self, user: &str) -> Arc<Buffered> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = users.get(user).and_then(Weak::upgrade) {
            return known;
        }
        users.retain(|_, output| output.strong_count() > 0);
        let output = Arc::new(Buffered::new(self.user_output.load(Ordering::Relaxed)));
        users.insert(user.to_owned(), Arc::downgrade(&output));
        output
    }

    /// Whether nine tenths of the output or of the memory are in use.
    pub(crate) fn is_pressed(&self) -> bool {
        self.output.is_pressed() || self.memory.is_pressed()
    }

    /// How many users have a session.
    #[cfg(test)]
    pub(crate) fn users(&self) -> usize {
        let users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        users.values().filter(|output| output.strong_count() > 0).count()
    }

    /// Something was refused, or has to wait. Whether that is logged: once, until it has not happened for a minute.
    pub(crate) fn is_news(&self, total: Total, now: Instant) -> bool {
        self.throttles[total as usize].allow(now).is_some()
    }
}

/// A counted quantity, and how much of it there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount {
    /// What is taken.
    pub used: usize,
    /// The limit, which a reload may have set below that.
    pub most: usize,
}

/// A counted quantity with a maximum.
#[derive(Debug)]
pub(crate) struct Account {
    most: AtomicUsize,
    used: AtomicUsize,
}

impl Account {
    pub(crate) fn new(most: usize) -> Self {
        Self { most: AtomicUsize::new(most), used: AtomicUsize::new(0) }
    }

    /// Changes the maximum.
    fn change(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// All of it or nothing.
    pub(crate) fn take(&self, amount: usize) -> bool {
        self.take_below(amount, self.most())
    }

    /// The same with this maximum.
    pub(crate) fn take_below(&self, amount: usize, most: usize) -> bool {
        let more = |used: usize| used.checked_add(amount).filter(|used| *used <= most);
        self.used.fetch_update(Ordering::AcqRel, Ordering::Relaxed, more).is_ok()
    }

    /// Gives back what was taken.
    pub(crate) fn give(&self, amount: usize) {
        self.used.fetch_sub(amount, Ordering::AcqRel);
    }

    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Acquire)
    }

    pub(crate) fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }

    /// What is taken, and the maximum.
    pub(crate) fn amount(&self) -> Amount {
        Amount { used: self.used(), most: self.most() }
    }

    /// Whether nine tenths are in use.
    fn is_pressed(&self) -> bool {
        self.used() >= self.most() - self.most() / 10
    }
}

/// What all sessions of a server have together.
#[derive(Debug)]
pub(crate) struct Totals {
    /// Files, sockets and connections of requests that are open.
    pub(crate) files: Account,
    /// Memory of all instances, and buffers that the host has for them, bytes.
    memory: Account,
    /// Output that waits for clients.
    pub(crate) output: Buffered,
    /// Sessions that have ended, with output that waits.
    pub(crate) unsent: Arc<Unsent>,
}

impl Totals {
    pub(crate) fn new(files: usize, memory: usize, output: usize) -> Self {
        let (files, memory) = (Account::new(files), Account::new(memory));
        Self { files, memory, output: Buffered::new(output), unsent: Arc::default() }
    }

    /// Changes the bounds.
    pub(crate) fn change(&self, files: usize, memory: usize, output: usize) {
        self.files.change(files);
        self.memory.change(memory);
        self.output.resize(output);
    }

    /// Memory in use, bytes.
    pub(crate) fn memory(&self) -> usize {
        self.memory.used()
    }

    /// Memory in use and its bound, bytes.
    pub(crate) fn memory_amount(&self) -> Amount {
        self.memory.amount()
    }

    /// Whether nine tenths of the output or of the memory are in use.
    pub(crate) fn is_pressed(&self) -> bool {
        self.output.is_pressed() || self.memory.is_pressed()
    }
}

/// Takes memory of a tenant and of the server: all of it or nothing. The error is which of the two has no more.
pub(crate) fn take_memory(tenant: &Budget, all: &Totals, bytes: usize) -> Result<(), Total> {
    if !tenant.memory.take(bytes) {
        return Err(Total::Memory);
    }
    if !all.memory.take(bytes) {
        tenant.memory.give(bytes);
        return Err(Total::AllMemory);
    }
    Ok(())
}

/// Gives back what was taken.
pub(crate) fn give_memory(tenant: &Budget, all: &Totals, bytes: usize) {
    all.memory.give(bytes);
    tenant.memory.give(bytes);
}

/// Memory of the host's that a tenant is charged for, until it is dropped.
pub(crate) struct Charge {
    budget: Arc<Budget>,
    totals: Arc<Totals>,
    bytes: usize,
}

impl Charge {
    /// All of it or nothing.
    pub(crate) fn take(budget: &Arc<Budget>, totals: &Arc<Totals>, bytes: usize) -> Result<Self, Total> {
        take_memory(budget, totals, bytes)?;
        Ok(Self { budget: Arc::clone(budget), totals: Arc::clone(totals), bytes })
    }

    /// Charges more, so that it is at least this many bytes: all of that or nothing.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Total> {
        let more = bytes.saturating_sub(self.bytes);
        take_memory(&self.budget, &self.totals, more)?;
        self.bytes += more;
        Ok(())
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        give_memory(&self.budget, &self.totals, self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_gives_all_of_it_or_nothing_and_takes_it_back() {
        let account = Account::new(10);
        assert!(account.take(7) && !account.take(4) && account.take(3) && !account.take(1));
        assert!(!account.take(usize::MAX));
        account.give(7);
        assert!(account.take(7));
        assert_eq!(account.used(), 10);
    }

    #[test]
    fn memory_of_the_hosts_is_charged_like_any_other_until_it_is_dropped() {
        let tenant = || Arc::new(Budget::new(&Limits { tenant_memory: 100, ..Limits::default() }));
        let (budget, other, totals) = (tenant(), tenant(), Arc::new(Totals::new(0, 150, 1)));
        let charge = Charge::take(&budget, &totals, 60).unwrap();
        assert_eq!(Charge::take(&budget, &totals, 41).err(), Some(Total::Memory));
        // The server has less left than the other tenant may have.
        assert_eq!(Charge::take(&other, &totals, 91).err(), Some(Total::AllMemory));
        drop(charge);
        assert!(Charge::take(&other, &totals, 100).is_ok());
        assert_eq!((budget.memory.used(), other.memory.used(), totals.memory()), (0, 0, 0));
    }

    #[test]
    fn an_episode_is_told_once_and_lasts_until_a_minute_of_peace() {
        let budget = Budget::new(&Limits::default());
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(budget.is_news(Total::Memory, at(0)));
        assert!(!budget.is_news(Total::Memory, at(0)));
        assert!(!budget.is_news(Total::Memory, at(59)));
        assert!(!budget.is_news(Total::Memory, at(118)));
        assert!(budget.is_news(Total::Sessions, at(118)));
        assert!(budget.is_news(Total::Memory, at(179)));
    }
}
