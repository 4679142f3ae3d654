//! Returns the heap memory of ended sessions and connections, and of buffers that were released, to the system.
//!
//! The memory of an instance returns when it ends, but not the host's own heap for it: the C library keeps that,
//! because live allocations lie between the freed ones. 10,000 sessions leave a quarter of a GiB, and 5,000 connections
//! that never log in 145 MiB; 1,000 connections that have all sent and received 32 KiB and wait, 60 MiB of buffers. So
//! when many sessions or connections have ended, or many buffers were released, the heap is trimmed (malloc_trim(3)).
//!
//! Decided 2026-11-28: glibc with an occasional trim. Refused: mimalloc and jemalloc, which returned most of it by
//! themselves, but took 25 MiB more without sessions, and 2 KiB more for each session.

use std::convert::Infallible;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::observe::event::{ServerEvent, emit};
use crate::os_limits;
use crate::server::generation::CurrentGateway;

/// How often to check whether many sessions or connections have ended.
const LOOK: Duration = Duration::from_secs(2);
/// Below this many ended sessions or connections (3 to 4 MiB of free heap: 25 KiB a session, 30 KiB a connection)
/// trimming is not worth its cost.
const FEW: usize = 128;
/// Trimmed after so many instances and connections, too, where as many come as go: their buffers leave holes between
/// those of others. 40 clients with 1,000 commands a minute left 18 MiB of free heap within a minute.
const TURNOVER: u64 = 1_000;
/// Trimmed after so many bytes of buffers were released, too, by connections and sessions that stay.
const RELEASED: u64 = 8 << 20;
/// Trimming takes at most this fraction of the time: threads that allocate meanwhile wait.
const PART: u32 = 1_000;
/// The longest pause between two trims, however long the last one took.
const LONGEST: Duration = Duration::from_secs(20);

/// How many sessions and how many connections.
type Counts = [usize; 2];

/// The sessions and connections whose heap memory was not returned yet.
struct Left {
    /// The peaks since the last trim.
    most: Counts,
    /// How many instances and connections had begun by the last trim.
    begun: u64,
    /// How many bytes of buffers had been released by the last trim.
    released: u64,
}

impl Left {
    /// Takes the peaks since the last check, the current numbers, and since the start: how many instances and
    /// connections have begun, and how many bytes of buffers were released. Returns whether half of the sessions or of
    /// the connections, and more than a few, have ended, or [`TURNOVER`] were replaced, or [`RELEASED`] bytes released.
    fn is_worth_it(&mut self, peaks: Counts, now: Counts, (begun, released): (u64, u64)) -> bool {
        self.most.iter_mut().zip(peaks).for_each(|(most, peak)| *most = peak.max(*most));
        let worth = self.most.iter().zip(now).any(|(most, now)| {
            let ended = most.saturating_sub(now);
            ended >= FEW && ended >= most / 2
        });
        let worth = worth || begun.saturating_sub(self.begun) >= TURNOVER + now.iter().sum::<usize>() as u64;
        let worth = worth || released.saturating_sub(self.released) >= RELEASED;
        if worth {
            (self.most, self.begun, self.released) = (now, begun, released);
        }
        worth
    }
}

/// Trims the heap for as long as it is polled.
pub async fn give_back(newest: CurrentGateway) -> Infallible {
    let mut left = Left { most: [0, 0], begun: 0, released: 0 };
    let mut of_sessions: u64 = 0;
    let mut clock = interval(LOOK);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        let gateway = newest.current();
        let (session_peak, sessions) = gateway.sessions();
        let (connection_peak, connections) = gateway.connections().take_peak();
        let begun = gateway.instances_started() + gateway.connections().opened();
        // Those that no session has needed since the last look.
        of_sessions += u64::try_from(whelk_runtime::release_spare_buffers()).unwrap_or_default();
        let released = gateway.connections().released() + of_sessions;
        if left.is_worth_it([session_peak, connection_peak], [sessions, connections], (begun, released)) {
            let work = || {
                let start = Instant::now();
                os_limits::trim_heap();
                start.elapsed()
            };
            let took = tokio::task::spawn_blocking(work).await.unwrap_or_default();
            // A number in JSON too: 128 bits would be printed as text.
            let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            emit(ServerEvent::HeapTrimmed { sessions, connections, took_ms });
            sleep((took * PART).min(LONGEST)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heap_is_trimmed_when_half_of_the_sessions_have_ended() {
        let mut left = Left { most: [0, 0], begun: 0, released: 0 };
        let mut asked = |counts: &[usize]| -> Vec<usize> {
            counts.iter().copied().filter(|count| left.is_worth_it([*count, 1], [*count, 1], (0, 0))).collect()
        };
        assert!(asked(&[0, 10, 0, 127, 0]).is_empty());
        assert_eq!(asked(&[128, 1, 0, 0, 0]), [0]);
        let down = [5_000, 10_000, 9_000, 6_000, 5_000, 4_000, 2_501, 2_500, 2_600, 1_300, 1_172];
        assert_eq!(asked(&down), [5_000, 2_500, 1_300]);
        assert_eq!(asked(&[1_300, 1_200, 1_100, 0, 0]), [0]);
    }

    #[test]
    fn sessions_between_two_checks_count_too() {
        let mut left = Left { most: [0, 0], begun: 0, released: 0 };
        assert!(left.is_worth_it([200, 3], [3, 3], (0, 0)));
        assert!(!left.is_worth_it([100, 3], [3, 3], (0, 0)));
    }

    #[test]
    fn connections_without_sessions_count_too_and_one_trim_is_for_both() {
        let mut left = Left { most: [0, 0], begun: 0, released: 0 };
        assert!(!left.is_worth_it([0, 5_000], [0, 5_000], (0, 0)));
        assert!(left.is_worth_it([0, 5_000], [0, 3], (0, 0)));
        assert!(!left.is_worth_it([0, 3], [0, 3], (0, 0)));
        assert!(!left.is_worth_it([300, 300], [300, 300], (0, 0)));
        assert!(left.is_worth_it([300, 300], [0, 0], (0, 0)));
        assert!(!left.is_worth_it([0, 0], [0, 0], (0, 0)));
    }

    #[test]
    fn where_as_many_come_as_go_the_heap_is_trimmed_after_a_thousand() {
        let mut left = Left { most: [0, 0], begun: 0, released: 0 };
        let asked = (0..=10_000).filter(|begun| left.is_worth_it([40, 40], [40, 40], (*begun, 0))).collect::<Vec<_>>();
        assert_eq!(asked.first(), Some(&1_080));
        assert_eq!(asked.len(), 9);
        // All that begin first are no replacement.
        assert!(!left.is_worth_it([5_000, 5_000], [5_000, 5_000], (20_000, 0)));
    }

    #[test]
    fn ten_thousand_ends_cause_a_handful_of_trims() {
        let mut left = Left { most: [0, 0], begun: 0, released: 0 };
        let asked = (0..=10_000).rev().filter(|count| left.is_worth_it([*count; 2], [*count; 2], (0, 0))).count();
        assert!(asked <= 7, "{asked}");
    }

    #[test]
    fn released_buffers_count_without_an_end() {
        let mut left = Left { most: [0, 0], begun: 0, released: 0 };
        let asked = (0..=100).filter(|mib| left.is_worth_it([1_000, 1_000], [1_000, 1_000], (2_000, mib << 20)));
        assert_eq!(asked.collect::<Vec<_>>(), (8..=100).step_by(8).collect::<Vec<_>>());
    }
}
