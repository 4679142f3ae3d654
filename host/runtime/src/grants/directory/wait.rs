//! Where an operation on a disk is done: at once by the worker that runs the plugin, or on a thread that may wait.
//!
//! A hop to such a thread and back costs 40 to 60 µs of processor time where the operation itself takes 1 to 20. So
//! each operation is tried at once first, and does not begin if it would have to wait:
//!
//! * what only looks at files uses nothing but the caches of the kernel (`RWF_NOWAIT` of preadv2(2), `RESOLVE_CACHED`
//!   of openat2(2)): the kernel itself refuses to wait for the disk ([`DiskWait::Never`]);
//! * for what changes files there is no such flag on most file systems. It is done at once on a local file system, if
//!   the tenant's last operations were quick, and as long as not more than half of the workers do that
//!   ([`DiskWait::Brief`]). One that waited longer than [`QUICK`] sends the tenant's next ones to the other threads for
//!   [`REST`] times as long, and for twice that if the first one after a rest is slow again, and so on. So a slow disk
//!   holds a worker for a three hundredth of the time in the end; a local one that stops altogether holds at most half
//!   of the workers. On a busy machine a thread may wait longer for a processor than for the disk: so the first slow
//!   operation only has the next ones watched, whose waits are told apart ([`thread_busy`]). A call that is past its
//!   first tick hands such an operation over, which gives back its permit of the engine: so no guest of another tenant
//!   ever waits for that, and a loop of operations pays for one hop a tick.
//!
//! On network file systems and FUSE nothing is done at once: a server that does not answer can stop them for ever.
//! Locks that somebody holds while waiting for a disk are tried and not waited for. Whatever would have to wait fails
//! with `EAGAIN` before anything has changed, and is then done from the beginning where it may wait.
//!
//! Decided 2026-11-30. Processor time of one call of a plugin in µs, before and after, on a busy machine with 2
//! processors, ext4 (the last line: tmpfs, since ext4 itself takes most of that):
//!
//! | | before | after |
//! |---|---|---|
//! | read 32 KiB, 255 KiB | 17, 104 | 4, 17 |
//! | write 32 KiB, 255 KiB | 27, 119 | 5, 23 |
//! | open and close | 47 | 6 |
//! | stat of a path, of a file | 42, 31 | 3, 1 |
//! | create, write 1 KiB, close | 60 to 156 | 17 |
//!
//! Refused: `block_in_place`, which wakes a thread for each call, as the hop does; `io_uring`, which containers
//! forbid; answering writes before they are done, because a full disk has to be told to who writes.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use rustix::fs::fstatfs;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use super::refused::Refused;
use crate::limits::budget::{Account, Totals};
use crate::limits::usage::thread_time;

/// Concurrent disk operations of one tenant. Further ones queue, so that a slow disk cannot block the threads of all
/// tenants.
const TURNS: usize = 4;
/// The largest file that is removed or emptied at once, in bytes: the system frees what it holds on the disk.
pub(super) const LARGE: u64 = 1 << 20;
/// How long an operation takes at most on a disk that is quick: more than the kernel gives other threads in between.
const QUICK: Duration = Duration::from_millis(5);
/// After one that took longer, nothing is done at once for this many times as long.
const REST: u32 = 10;
/// How often that doubles.
const DOUBLES: u32 = 5;
/// So many operations are watched after one that took long.
const WATCHED: u32 = 16;
/// File systems that wait for nothing but a disk of this machine, by `f_type` of statfs(2). One of overlayfs can have
/// others below it, but then the program is usually on it, too.
const LOCAL: [u32; 9] = [
    0xEF53,      // ext2 to ext4
    0x5846_5342, // XFS
    0x9123_683E, // Btrfs
    0x0102_1994, // tmpfs
    0x8584_58F6, // ramfs
    0x794C_7630, // overlayfs
    0xF2F5_2010, // F2FS
    0x2FC1_2FC1, // ZFS
    0xCA45_1A4E, // bcachefs
];

/// Whether an operation may wait for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DiskWait {
    /// It does what the kernel's caches suffice for.
    Never,
    /// It does what a disk does in a moment: nothing that takes longer the larger a file is.
    Brief,
    /// It does everything.
    Any,
}

/// The disk operations of one tenant.
#[derive(Debug)]
pub(crate) struct DiskQueue {
    turns: Arc<Semaphore>,
    start: Instant,
    /// Until when nothing is done at once, in microseconds since the start.
    rests_until: AtomicU64,
    /// How many operations in a row were slow.
    slow: AtomicU32,
    /// How many of the next ones are watched.
    watched: AtomicU32,
}

/// A turn to do something at once.
pub(crate) struct BriefTurn<'q> {
    queue: &'q DiskQueue,
    workers: &'q Account,
    since: Instant,
    /// What the thread had been busy then, if it is watched.
    busy: Option<Duration>,
    _turn: SemaphorePermit<'q>,
}

impl DiskWait {
    /// Locks what somebody may hold while waiting for a disk. The guarded state is consistent after every step, so a
    /// panic elsewhere does not matter.
    pub(super) fn lock<T>(self, mutex: &Mutex<T>) -> Result<MutexGuard<'_, T>, Refused> {
        if self == Self::Any {
            return Ok(mutex.lock().unwrap_or_else(PoisonError::into_inner));
        }
        match mutex.try_lock() {
            Ok(guard) => Ok(guard),
            Err(TryLockError::Poisoned(guard)) => Ok(guard.into_inner()),
            Err(TryLockError::WouldBlock) => Err(Refused::would_wait()),
        }
    }
}

impl DiskQueue {
    /// Without operations.
    pub(crate) fn new() -> Arc<Self> {
        let (turns, start) = (Arc::new(Semaphore::new(TURNS)), Instant::now());
        let (rests_until, slow, watched) = (AtomicU64::new(0), AtomicU32::new(0), AtomicU32::new(0));
        Arc::new(Self { turns, start, rests_until, slow, watched })
    }

    /// Waits for a turn of an operation that may wait for the disk.
    pub(crate) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        Arc::clone(&self.turns).acquire_owned().await.ok()
    }

    /// A turn of an operation that is done at once; `None` if it has to be done where it may wait.
    pub(crate) fn brief<'q>(&'q self, totals: &'q Totals) -> Option<BriefTurn<'q>> {
        let since = Instant::now();
        if self.micros(since) < self.rests_until.load(Ordering::Relaxed) {
            return None;
        }
        let turn = self.turns.try_acquire().ok()?;
        let workers = &totals.on_disk;
        let take = || BriefTurn { queue: self, workers, since, busy: self.watch(), _turn: turn };
        workers.take(1).then(take)
    }

    fn micros(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.start).as_micros()).unwrap_or(u64::MAX)
    }

    /// What the thread has been busy so far, if its next operation is watched.
    fn watch(&self) -> Option<Duration> {
        let is_watched = self.watched.load(Ordering::Relaxed) > 0;
        if is_watched {
            self.watched.update(Ordering::Relaxed, Ordering::Relaxed, |left| left.saturating_sub(1));
        }
        is_watched.then(thread_busy).flatten()
    }

    /// An operation took this long. `busy`: how long of it the thread ran or waited for a processor, if that is known.
    fn took(&self, time: Duration, busy: Option<Duration>, now: Instant) {
        let time = match busy {
            Some(busy) => time.saturating_sub(busy),
            None if time > QUICK && self.watched.swap(WATCHED, Ordering::Relaxed) == 0 => return,
            None => time,
        };
        if time <= QUICK {
            // Read first: a write would move its cache line between processors.
            if self.slow.load(Ordering::Relaxed) > 0 {
                self.slow.store(0, Ordering::Relaxed);
            }
            return;
        }
        let doubled = self.slow.fetch_add(1, Ordering::Relaxed).min(DOUBLES);
        let rest = time.saturating_mul(REST << doubled);
        self.rests_until.fetch_max(self.micros(now + rest), Ordering::Relaxed);
    }
}

impl Drop for BriefTurn<'_> {
    fn drop(&mut self) {
        self.workers.give(1);
        let (now, queue) = (Instant::now(), self.queue);
        let time = now - self.since;
        // What took no time was not slow.
        let before = self.busy.filter(|_| time > QUICK);
        let busy = before.and_then(|before| thread_busy().map(|busy| busy.saturating_sub(before)));
        queue.took(time, busy, now);
    }
}

/// How long the calling thread has run or waited for a processor so far: what is left of the time by the clock it has
/// waited for something else, proc_pid_schedstat(5). `None` if the kernel does not say.
fn thread_busy() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let waited = text.split(' ').nth(1)?.parse().ok()?;
    Some(thread_time() + Duration::from_nanos(waited))
}

/// Whether a file system waits for nothing but a disk of this machine.
pub(super) fn is_local(folder: impl AsFd) -> bool {
    fstatfs(folder).is_ok_and(|found| u32::try_from(found.f_type).is_ok_and(|kind| LOCAL.contains(&kind)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(workers: usize) -> Totals {
        Totals::new(1, 1, 1).of_workers(workers)
    }

    #[test]
    fn half_of_the_workers_and_at_least_one_work_on_disks_at_once() {
        for (workers, most) in [(1, 1), (2, 1), (3, 1), (4, 2), (9, 4)] {
            let (totals, queues) = (totals(workers), [(); 5].map(|()| DiskQueue::new()));
            let turns: Vec<_> = queues.iter().filter_map(|queue| queue.brief(&totals)).collect();
            assert_eq!(turns.len(), most, "of {workers}");
            drop(turns);
            assert!(queues[0].brief(&totals).is_some());
        }
    }

    #[test]
    fn what_is_done_at_once_takes_a_turn_of_the_tenants() {
        let (totals, queue) = (totals(99), DiskQueue::new());
        let turns: Vec<_> = std::iter::from_fn(|| queue.brief(&totals)).collect();
        assert_eq!(turns.len(), TURNS);
    }

    #[test]
    fn after_a_slow_operation_nothing_is_done_at_once_for_a_while_and_longer_each_time() {
        let (totals, queue) = (totals(2), DiskQueue::new());
        let rests_until = || Duration::from_micros(queue.rests_until.load(Ordering::Relaxed));
        queue.took(QUICK, None, Instant::now());
        assert!(queue.brief(&totals).is_some());
        let none = Some(Duration::ZERO);
        for (time, rest) in [(6, 10), (1, 20), (1, 40), (1, 80), (1, 160), (1, 320), (1, 320)] {
            let time = Duration::from_secs(time);
            queue.rests_until.store(0, Ordering::Relaxed);
            queue.took(time, none, queue.start);
            assert!(queue.brief(&totals).is_none());
            assert_eq!(rests_until(), time * rest);
        }
        // A shorter rest does not end a longer one.
        queue.took(QUICK, None, queue.start);
        queue.took(QUICK * 2, none, queue.start);
        assert_eq!(rests_until(), Duration::from_secs(320));
    }

    #[test]
    fn waiting_for_a_processor_is_not_waiting_for_the_disk() {
        let (totals, queue) = (totals(2), DiskQueue::new());
        let (slow, now) = (QUICK * 4, Instant::now());
        // Nobody knows why the first one took long.
        queue.took(slow, None, now);
        // The next one is watched.
        assert!(queue.brief(&totals).is_some_and(|turn| turn.busy.is_some()));
        queue.took(slow, Some(QUICK * 3), now);
        assert!(queue.brief(&totals).is_some());
        queue.took(slow, Some(QUICK), now);
        assert!(queue.brief(&totals).is_none());
    }

    #[test]
    fn a_thread_that_sleeps_is_not_busy() {
        let before = thread_busy().unwrap();
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let _ = receiver.recv_timeout(Duration::from_millis(200));
        drop(sender);
        assert!(thread_busy().is_some_and(|busy| busy - before < Duration::from_millis(150)));
    }

    #[test]
    fn what_the_kernel_makes_is_not_local() {
        let place = tempfile::tempdir().unwrap();
        let is_local = |path: &std::path::Path| super::is_local(std::fs::File::open(path).unwrap());
        assert!(!is_local("/proc".as_ref()));
        assert!(is_local(place.path()), "the tests run on a file system that is not known");
    }
}
