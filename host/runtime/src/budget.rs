//! What the sessions of one tenant have together: sessions, memory, files, output, lines of log, and the permits to run. Each is counted when it is
//! taken and given back by whoever drops it; nobody holds a lock while counting.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::bucket::Bucket;
use crate::limits::Limits;
use crate::permit::Permits;

/// Of failures, so many seconds' worth may be told at once.
const FAILURES: u64 = 5;
/// After so long without a refusal the next one is told again.
const EPISODE: Duration = Duration::from_secs(60);

/// One tenant's.
#[derive(Debug)]
pub(crate) struct Budget {
    /// Sessions that are open.
    pub(crate) sessions: Account,
    /// Linear memory of all instances, and buffers that the host has for them, bytes.
    pub(crate) memory: Account,
    /// Files, sockets and connections of requests that are open.
    pub(crate) files: Account,
    /// Output that waits for clients.
    pub(crate) output: Buffered,
    /// Bytes of output in a second.
    pub(crate) output_rate: Bucket,
    /// Lines of log in a second.
    pub(crate) log: Bucket,
    /// Failures that are told whole, in a second.
    pub(crate) failures: Bucket,
    /// Who of them may run. Made for the engine that runs the first.
    permits: OnceLock<Permits>,
    episodes: [Episode; Total::COUNT],
}

/// What is limited for a tenant as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Total {
    Sessions,
    Memory,
    Files,
    /// The files of all tenants together.
    AllFiles,
    Output,
    OutputRate,
    LogRate,
    FailureRate,
}

impl Total {
    const COUNT: usize = 8;

    /// The name of the setting, or what it follows from.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Sessions => "tenant_sessions",
            Self::Memory => "tenant_memory",
            Self::Files => "tenant_open_files",
            Self::AllFiles => "open files of all tenants",
            Self::Output => "tenant_output",
            Self::OutputRate => "tenant_output_rate",
            Self::LogRate => "tenant_log_rate",
            Self::FailureRate => "tenant_failure_rate",
        }
    }
}

impl Budget {
    pub(crate) fn new(limits: &Limits) -> Self {
        let now = Instant::now();
        let rate = u64::try_from(limits.tenant_output_rate).unwrap_or(u64::MAX);
        let (lines, failures) = (u64::from(limits.tenant_log_lines), u64::from(limits.tenant_failures));
        Self {
            sessions: Account::new(limits.tenant_sessions),
            memory: Account::new(limits.tenant_memory),
            files: Account::new(limits.tenant_open_files),
            output: Buffered::new(limits.tenant_output),
            output_rate: Bucket::new(rate, rate, now),
            log: Bucket::new(lines, lines, now),
            failures: Bucket::new(failures, failures * FAILURES, now),
            permits: OnceLock::new(),
            episodes: [const { Episode { last: AtomicU64::new(0) } }; Total::COUNT],
        }
    }

    /// Who of its guests may run, on an engine with so many workers.
    pub(crate) fn permits(&self, workers: usize) -> &Permits {
        self.permits.get_or_init(|| Permits::new(workers))
    }

    /// Something was refused, or has to wait. Whether the operator is to be told: once, until there has been peace for a minute.
    pub(crate) fn is_news(&self, total: Total, now: Instant) -> bool {
        self.episodes[total as usize].is_new(now)
    }
}

/// A number of things of which there may be only so many.
#[derive(Debug)]
pub(crate) struct Account {
    most: usize,
    used: AtomicUsize,
}

impl Account {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, used: AtomicUsize::new(0) }
    }

    /// All of it or nothing.
    pub(crate) fn take(&self, amount: usize) -> bool {
        let more = |used: usize| used.checked_add(amount).filter(|used| *used <= self.most);
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
        self.most
    }
}

/// Memory of the host's that a tenant is charged for, until it is dropped.
pub(crate) struct Charge {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Charge {
    /// All of it or nothing.
    pub(crate) fn take(budget: &Arc<Budget>, bytes: usize) -> Option<Self> {
        budget.memory.take(bytes).then(|| Self { budget: Arc::clone(budget), bytes })
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.memory.give(self.bytes);
    }
}

/// Bytes that wait for clients. Those who want to add to them stand in line.
#[derive(Debug)]
pub(crate) struct Buffered {
    /// A permit is a byte.
    room: Semaphore,
    /// Most that one may ask for: all there is.
    most: usize,
}

/// Bytes that may be added; what is not added is given back.
pub(crate) type Space<'b> = SemaphorePermit<'b>;

impl Buffered {
    fn new(bytes: usize) -> Self {
        let most = bytes.clamp(1, Semaphore::MAX_PERMITS);
        Self { room: Semaphore::new(most), most }
    }

    /// Room for so many bytes, if it is there and nobody waits for it.
    pub(crate) fn space(&self, bytes: usize) -> Option<Space<'_>> {
        self.room.try_acquire_many(self.piece(bytes)).ok()
    }

    /// Waits for room for so many bytes, or for fewer if there can never be as much.
    pub(crate) async fn wait(&self, bytes: usize) -> Space<'_> {
        self.room.acquire_many(self.piece(bytes)).await.expect("it is never closed")
    }

    /// Bytes that were added have gone.
    pub(crate) fn give(&self, bytes: usize) {
        self.room.add_permits(bytes);
    }

    fn piece(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.min(self.most)).unwrap_or(u32::MAX)
    }
}

/// When a limit was last met, in milliseconds of the process and one, or 0 for never.
#[derive(Debug)]
struct Episode {
    last: AtomicU64,
}

impl Episode {
    fn is_new(&self, now: Instant) -> bool {
        static START: OnceLock<Instant> = OnceLock::new();
        let since = now.saturating_duration_since(*START.get_or_init(|| now));
        let at = u64::try_from(since.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
        let last = self.last.swap(at, Ordering::AcqRel);
        last == 0 || u128::from(at.saturating_sub(last)) >= EPISODE.as_millis()
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
        let budget = Arc::new(Budget::new(&Limits { tenant_memory: 100, ..Limits::default() }));
        let charge = Charge::take(&budget, 60).unwrap();
        assert!(Charge::take(&budget, 41).is_none() && !budget.memory.take(41));
        drop(charge);
        assert!(Charge::take(&budget, 100).is_some());
        assert_eq!(budget.memory.used(), 0);
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

    #[tokio::test]
    async fn more_room_than_there_is_means_all_of_it() {
        let output = Buffered::new(100);
        let space = output.wait(1000).await;
        assert_eq!(space.num_permits(), 100);
        assert!(output.space(1).is_none());
        drop(space);
        output.space(60).unwrap().forget();
        assert!(output.space(41).is_none());
        output.give(60);
        assert!(output.space(100).is_some());
    }
}
