//! Penalties: a source whose connections have done wrong is refused for a while, as PerSourcePenalties of sshd_config.
//! Pure: time is an argument.
//!
//! Each fault adds its time to the penalty of the source. A source is refused once its penalty has grown to the
//! minimum, and then until all of it has passed; so a person who mistypes a password once or twice is never refused.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::Limits;
use crate::source::Source;

/// What a connection that has not logged in did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It ended without an attempt to log in.
    NoAttempt,
    /// A password was rejected.
    FailedLogin,
    /// It took longer than a login may take.
    TimedOut,
    /// Its task panicked.
    Crash,
}

impl Fault {
    /// What the log says of it.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Fault::NoAttempt => "no attempt to log in",
            Fault::FailedLogin => "a rejected password",
            Fault::TimedOut => "a login that took too long",
            Fault::Crash => "a connection that crashed the task which served it",
        }
    }
}

/// How long penalties are.
#[derive(Clone, Copy, Debug)]
pub(super) struct PenaltyBounds {
    /// What each fault adds.
    pub(super) no_attempt: Duration,
    pub(super) failed_login: Duration,
    pub(super) timed_out: Duration,
    pub(super) crash: Duration,
    /// A smaller penalty has no effect yet.
    pub(super) least: Duration,
    /// No penalty grows beyond this.
    pub(super) most: Duration,
    /// How many sources of each family are remembered. Beyond that the penalty that would end first is forgotten.
    pub(super) sources: usize,
}

impl PenaltyBounds {
    /// No fault is penalized.
    pub(super) const NONE: PenaltyBounds = PenaltyBounds {
        no_attempt: Duration::ZERO,
        failed_login: Duration::ZERO,
        timed_out: Duration::ZERO,
        crash: Duration::ZERO,
        least: Duration::ZERO,
        most: Duration::ZERO,
        sources: 0,
    };

    pub(super) fn new(limits: &Limits) -> PenaltyBounds {
        PenaltyBounds {
            no_attempt: limits.penalty_no_attempt,
            failed_login: limits.penalty_failed_login,
            timed_out: limits.penalty_timed_out,
            crash: limits.penalty_crash,
            least: limits.penalty_least,
            most: limits.penalty_most,
            sources: usize::try_from(limits.penalty_sources).unwrap_or(usize::MAX),
        }
    }

    fn of(&self, fault: Fault) -> Duration {
        match fault {
            Fault::NoAttempt => self.no_attempt,
            Fault::FailedLogin => self.failed_login,
            Fault::TimedOut => self.timed_out,
            Fault::Crash => self.crash,
        }
    }
}

/// Why a source is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Penalty {
    /// The last fault.
    pub(crate) fault: Fault,
    /// How long the source is still refused.
    pub(crate) left: Duration,
}

/// The penalties of all sources.
pub(super) struct Penalties {
    bounds: PenaltyBounds,
    /// One family cannot use up the places of the other.
    v4: Family,
    v6: Family,
}

#[derive(Default)]
struct Family {
    penalties: BTreeMap<Source, Entry>,
    /// The same by their ends.
    ends: BTreeSet<(Instant, Source)>,
}

#[derive(Clone, Copy)]
struct Entry {
    until: Instant,
    /// It has reached the minimum.
    refuses: bool,
    fault: Fault,
}

impl Penalties {
    pub(super) fn new(bounds: PenaltyBounds) -> Penalties {
        Penalties { bounds, v4: Family::default(), v6: Family::default() }
    }

    /// Changes the bounds. Penalties that exist stay as they are, unless there are to be none.
    pub(super) fn change(&mut self, bounds: PenaltyBounds) {
        if bounds.sources == 0 {
            (self.v4, self.v6) = (Family::default(), Family::default());
        }
        self.bounds = bounds;
    }

    /// Whether a new connection of this source is refused.
    pub(super) fn refusal(&self, source: Source, now: Instant) -> Option<Penalty> {
        let family = match source {
            Source::V4(_) => &self.v4,
            Source::V6(_) => &self.v6,
            Source::Unknown => return None,
        };
        let penalty = family.penalties.get(&source).filter(|penalty| penalty.refuses && penalty.until > now)?;
        Some(Penalty { fault: penalty.fault, left: penalty.until - now })
    }

    /// Adds a penalty.
    pub(super) fn add(&mut self, source: Source, fault: Fault, now: Instant) {
        let PenaltyBounds { least, most, sources, .. } = self.bounds;
        let time = self.bounds.of(fault);
        let family = match source {
            Source::V4(_) => &mut self.v4,
            Source::V6(_) => &mut self.v6,
            Source::Unknown => return,
        };
        if time.is_zero() || sources == 0 {
            return;
        }
        family.forget_ended(now);
        let before = family.remove(source);
        let until = (before.map_or(now, |penalty| penalty.until) + time).min(now + most);
        let refuses = before.is_some_and(|penalty| penalty.refuses) || until - now >= least;
        while family.penalties.len() >= sources {
            family.forget_first();
        }
        family.insert(source, Entry { until, refuses, fault });
    }

    /// Takes back what one fault has added.
    pub(super) fn take_back(&mut self, source: Source, fault: Fault, now: Instant) {
        let time = self.bounds.of(fault);
        let family = match source {
            Source::V4(_) => &mut self.v4,
            Source::V6(_) => &mut self.v6,
            Source::Unknown => return,
        };
        let Some(before) = family.remove(source) else { return };
        if let Some(until) = before.until.checked_sub(time).filter(|until| *until > now) {
            family.insert(source, Entry { until, ..before });
        }
    }
}

impl Family {
    fn insert(&mut self, source: Source, penalty: Entry) {
        self.penalties.insert(source, penalty);
        self.ends.insert((penalty.until, source));
    }

    fn remove(&mut self, source: Source) -> Option<Entry> {
        let penalty = self.penalties.remove(&source)?;
        self.ends.remove(&(penalty.until, source));
        Some(penalty)
    }

    fn forget_ended(&mut self, now: Instant) {
        while self.ends.first().is_some_and(|(until, _)| *until <= now) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, source)) = self.ends.pop_first() {
            self.penalties.remove(&source);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn penalties(sources: usize) -> Penalties {
        let (no_attempt, failed_login, timed_out, crash) = (seconds(1), seconds(5), seconds(10), seconds(90));
        let (least, most) = (seconds(15), seconds(600));
        Penalties::new(PenaltyBounds { no_attempt, failed_login, timed_out, crash, least, most, sources })
    }

    fn v4(number: u8) -> Source {
        Source::V4([192, 0, 2, number])
    }

    /// How long a source is still refused, in seconds.
    fn left(penalties: &Penalties, source: Source, now: Instant) -> Option<u64> {
        penalties.refusal(source, now).map(|penalty| penalty.left.as_secs())
    }

    #[test]
    fn a_source_is_refused_from_the_third_failed_login_until_its_penalty_has_passed() {
        let (mut penalties, start) = (penalties(10), Instant::now());
        penalties.add(v4(1), Fault::FailedLogin, start);
        penalties.add(v4(1), Fault::FailedLogin, start);
        assert_eq!(left(&penalties, v4(1), start), None);
        penalties.add(v4(1), Fault::FailedLogin, start);
        let at = |after| left(&penalties, v4(1), start + seconds(after));
        assert_eq!([at(0), at(14), at(15)], [Some(15), Some(1), None]);
        assert_eq!(left(&penalties, v4(2), start), None);
        // What has passed is forgotten: it begins anew.
        penalties.add(v4(1), Fault::FailedLogin, start + seconds(15));
        assert_eq!(left(&penalties, v4(1), start + seconds(15)), None);
    }

    #[test]
    fn faults_that_are_far_apart_do_not_add_up() {
        let (mut penalties, start) = (penalties(10), Instant::now());
        for count in 0..100 {
            penalties.add(v4(1), Fault::FailedLogin, start + seconds(5 * count));
            penalties.add(v4(2), Fault::NoAttempt, start + seconds(5 * count));
            assert_eq!([1, 2].map(|number| left(&penalties, v4(number), start + seconds(5 * count))), [None, None]);
        }
    }

    #[test]
    fn a_penalty_grows_to_the_longest_and_refuses_until_its_end() {
        let (mut penalties, start) = (penalties(10), Instant::now());
        penalties.add(v4(1), Fault::Crash, start);
        assert_eq!(left(&penalties, v4(1), start), Some(90));
        (0..100).for_each(|_| penalties.add(v4(1), Fault::Crash, start));
        assert_eq!(left(&penalties, v4(1), start), Some(600));
        // Less than the least again, and still refused: it has been reached once.
        assert_eq!(left(&penalties, v4(1), start + seconds(599)), Some(1));
    }

    #[test]
    fn a_fault_without_a_penalty_and_an_unknown_source_change_nothing() {
        let (mut penalties, now) = (penalties(10), Instant::now());
        penalties.bounds.crash = Duration::ZERO;
        penalties.add(v4(1), Fault::Crash, now);
        penalties.add(Source::Unknown, Fault::TimedOut, now);
        assert!(penalties.v4.penalties.is_empty() && penalties.v4.ends.is_empty());
        assert_eq!(left(&penalties, Source::Unknown, now), None);
    }

    #[test]
    fn the_table_is_bounded_and_forgets_what_would_end_first() {
        let (mut penalties, now) = (penalties(2), Instant::now());
        penalties.add(v4(1), Fault::TimedOut, now);
        penalties.add(v4(1), Fault::TimedOut, now);
        penalties.add(v4(2), Fault::Crash, now);
        let network = Source::V6([0x20, 1, 0xd, 0xb8, 0, 0, 0, 1]);
        penalties.add(network, Fault::Crash, now);
        assert_eq!([v4(1), v4(2)].map(|source| left(&penalties, source, now)), [Some(20), Some(90)]);
        penalties.add(v4(3), Fault::Crash, now);
        let times = [v4(1), v4(2), v4(3), network].map(|source| left(&penalties, source, now));
        assert_eq!(times, [None, Some(90), Some(90), Some(90)]);
        assert_eq!((penalties.v4.penalties.len(), penalties.v4.ends.len()), (2, 2));
    }
}
