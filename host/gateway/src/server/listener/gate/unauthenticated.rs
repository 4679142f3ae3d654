//! The unauthenticated connections, by source, and which of them is evicted next.
//!
//! Every operation takes logarithmic time: a flood must not slow down accepting. For each rank there is an ordered set
//! of the sources that have candidates in it, so the next to evict is the last entry of the first non-empty set.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use whelk_ssh::phase::LoginStage;

use crate::source::Source;

/// No connection is evicted before that time: long enough for a legitimate client to send its first bytes from
/// anywhere.
pub(super) const PROTECTED: Duration = Duration::from_secs(2);

/// Who is evicted first: those that have progressed least. A waiting connection was not asked for anything yet, so it
/// comes after those that received our identification and stay silent, and before those that have sent something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// It has our identification and has sent none.
    Silent,
    /// Accepted and waiting.
    Waiting,
    /// The key exchange waits for the client.
    KeyExchange,
    /// The client, or its user, has not answered our key exchange reply.
    NewKeys,
    /// The keys are in place.
    Authentication,
}

const RANKS: usize = 5;

impl Rank {
    /// The rank of a served client.
    pub(super) fn of(stage: LoginStage) -> Rank {
        match stage {
            LoginStage::Identification => Rank::Silent,
            LoginStage::KeyExchange => Rank::KeyExchange,
            LoginStage::NewKeys => Rank::NewKeys,
            LoginStage::Authentication | LoginStage::Done => Rank::Authentication,
        }
    }

    /// For the log: how far the client had progressed.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Rank::Silent => "no identification",
            Rank::Waiting => "not served yet",
            Rank::KeyExchange => "in the key exchange",
            Rank::NewKeys => "key-exchange reply not answered",
            Rank::Authentication => "not authenticated",
        }
    }
}

/// One connection.
struct Pending {
    source: Source,
    rank: Rank,
    /// While it is protected: since when it exists or is served.
    young_since: Option<Instant>,
    /// Tells the connection's task to end. A waiting one has no task.
    signal: Option<Arc<Notify>>,
}

/// The connections of one source.
#[derive(Default)]
struct Members {
    served: u32,
    waiting: BTreeSet<u64>,
    /// Those that are no longer protected, oldest first, by rank.
    candidates: [BTreeSet<u64>; RANKS],
}

/// The position of a source among those with candidates of a rank: the source with most connections is last, and among
/// equals the one whose candidate was accepted first.
type EvictionOrder = (u32, Reverse<u64>, Source);

impl Members {
    fn count(&self) -> u32 {
        self.served + u32::try_from(self.waiting.len()).unwrap_or(u32::MAX)
    }

    fn eviction_orders(&self, source: Source) -> [Option<EvictionOrder>; RANKS] {
        let count = self.count();
        self.candidates.each_ref().map(|numbers| numbers.first().map(|oldest| (count, Reverse(*oldest), source)))
    }
}

/// The number of connections of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SourceLoad {
    pub(super) served: u32,
    pub(super) waiting: u32,
}

/// A removed connection.
pub(super) struct Removed {
    pub(super) source: Source,
    pub(super) rank: Rank,
    pub(super) signal: Option<Arc<Notify>>,
}

/// All of them.
#[derive(Default)]
pub(super) struct Unauthenticated {
    all: HashMap<u64, Pending>,
    sources: HashMap<Source, Members>,
    young: BTreeSet<(Instant, u64)>,
    /// The sources that have candidates, by rank.
    candidates: [BTreeSet<EvictionOrder>; RANKS],
}

impl Unauthenticated {
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.all.len()).unwrap_or(u32::MAX)
    }

    /// The sources with waiting connections.
    pub(super) fn waiting_sources(&self) -> Vec<Source> {
        let waits = |(source, members): (&Source, &Members)| (!members.waiting.is_empty()).then_some(*source);
        self.sources.iter().filter_map(waits).collect()
    }

    pub(super) fn load(&self, source: Source) -> SourceLoad {
        self.sources.get(&source).map_or_else(SourceLoad::default, |members| SourceLoad {
            served: members.served,
            waiting: u32::try_from(members.waiting.len()).unwrap_or(u32::MAX),
        })
    }

    /// Adds a connection that is served, with the signal that ends it.
    pub(super) fn serve(&mut self, number: u64, source: Source, now: Instant, signal: Arc<Notify>) {
        let pending = Pending { source, rank: Rank::Silent, young_since: Some(now), signal: Some(signal) };
        self.all.insert(number, pending);
        self.young.insert((now, number));
        self.change(source, |members| members.served += 1);
    }

    /// Adds a connection that waits.
    pub(super) fn wait(&mut self, number: u64, source: Source, now: Instant) {
        let pending = Pending { source, rank: Rank::Waiting, young_since: Some(now), signal: None };
        self.all.insert(number, pending);
        self.young.insert((now, number));
        self.change(source, |members| members.waiting.insert(number));
    }

    /// The connection of this source that has waited longest.
    pub(super) fn longest_waiting(&self, source: Source) -> Option<u64> {
        self.sources.get(&source)?.waiting.first().copied()
    }

    /// A client has progressed.
    pub(super) fn advance(&mut self, number: u64, rank: Rank) {
        let Some(pending) = self.all.get_mut(&number) else { return };
        let before = std::mem::replace(&mut pending.rank, rank);
        if pending.young_since.is_some() || before == rank {
            return;
        }
        let source = pending.source;
        self.change(source, |members| {
            members.candidates[before as usize].remove(&number);
            members.candidates[rank as usize].insert(number);
        });
    }

    /// Removes a connection. `None` when it is not in the tables any more.
    pub(super) fn remove(&mut self, number: u64) -> Option<Removed> {
        let Pending { source, rank, young_since, signal } = self.all.remove(&number)?;
        if let Some(since) = young_since {
            self.young.remove(&(since, number));
        }
        self.change(source, |members| {
            members.candidates[rank as usize].remove(&number);
            if rank == Rank::Waiting {
                members.waiting.remove(&number);
            } else {
                members.served -= 1;
            }
        });
        Some(Removed { source, rank, signal })
    }

    /// Ends the protection of those that have had it long enough.
    pub(super) fn end_protection(&mut self, now: Instant) {
        while let Some((since, number)) = self.young.first().copied()
            && now.saturating_duration_since(since) >= PROTECTED
        {
            self.young.remove(&(since, number));
            let Some(pending) = self.all.get_mut(&number) else { continue };
            pending.young_since = None;
            let (source, rank) = (pending.source, pending.rank);
            self.change(source, |members| members.candidates[rank as usize].insert(number));
        }
    }

    /// The next connection to evict, if any.
    pub(super) fn next_to_evict(&self) -> Option<u64> {
        let (_, Reverse(number), _) = self.candidates.iter().find_map(BTreeSet::last)?;
        Some(*number)
    }

    /// Changes the counts of a source, and its positions accordingly. A source without connections is removed.
    fn change<T>(&mut self, source: Source, change: impl FnOnce(&mut Members) -> T) {
        let members = self.sources.entry(source).or_default();
        let before = members.eviction_orders(source);
        change(members);
        let after = members.eviction_orders(source);
        for ((orders, before), after) in self.candidates.iter_mut().zip(before).zip(after) {
            if before != after {
                before.map(|order| orders.remove(&order));
                after.map(|order| orders.insert(order));
            }
        }
        if members.count() == 0 {
            self.sources.remove(&source);
        }
    }

    /// Whether all tables are empty.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        let empty = self.all.is_empty() && self.sources.is_empty() && self.young.is_empty();
        empty && self.candidates.iter().all(BTreeSet::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(number: u32) -> Source {
        Source::V4(number.to_be_bytes())
    }

    /// Connections without a signal: number, source, rank.
    fn unauthenticated(start: Instant, all: &[(u64, u32, Rank)]) -> Unauthenticated {
        let mut unauthenticated = Unauthenticated::default();
        for (number, of, rank) in all {
            match rank {
                Rank::Waiting => unauthenticated.wait(*number, source(*of), start),
                rank => {
                    unauthenticated.serve(*number, source(*of), start, Arc::default());
                    unauthenticated.advance(*number, *rank);
                }
            }
        }
        unauthenticated
    }

    /// All of them, in the order in which they are evicted.
    fn order(mut unauthenticated: Unauthenticated) -> Vec<u64> {
        let order = std::iter::from_fn(|| {
            let number = unauthenticated.next_to_evict()?;
            unauthenticated.remove(number).map(|_| number)
        });
        let order = order.collect();
        assert!(unauthenticated.is_empty());
        order
    }

    #[test]
    fn connections_are_evicted_by_stage_then_by_source_then_by_age() {
        use Rank::{Authentication, KeyExchange, NewKeys, Silent, Waiting};
        let start = Instant::now();
        let mut all = unauthenticated(
            start,
            &[
                (1, 1, Authentication),
                (2, 1, NewKeys),
                (3, 2, KeyExchange),
                (4, 2, KeyExchange),
                (5, 2, KeyExchange),
                (6, 1, KeyExchange),
                (7, 3, Silent),
                (8, 4, Silent),
                (9, 4, Silent),
                (10, 5, Silent),
                (11, 3, Waiting),
            ],
        );
        all.end_protection(start + PROTECTED);
        // Sources 3 and 4 have two each, of which 3's candidate is older; after that one goes 4 has most. Likewise 2
        // and 1.
        assert_eq!(order(all), [7, 8, 9, 10, 11, 3, 6, 4, 5, 2, 1]);
    }

    #[test]
    fn a_sources_connections_in_other_stages_count_too() {
        let start = Instant::now();
        let crowd: Vec<_> = (10..20).map(|number| (number, 2, Rank::Authentication)).collect();
        let mut all = unauthenticated(
            start,
            &[&[(1, 1, Rank::Silent), (2, 1, Rank::Silent), (3, 2, Rank::Silent)], &crowd[..]].concat(),
        );
        all.end_protection(start + PROTECTED);
        assert_eq!(order(all)[..3], [3, 1, 2]);
    }

    #[test]
    fn no_connection_is_evicted_within_two_seconds() {
        let start = Instant::now();
        let mut all = unauthenticated(start, &[(1, 1, Rank::Silent)]);
        all.serve(2, source(1), start + Duration::from_secs(1), Arc::default());
        all.end_protection(start + Duration::from_millis(1999));
        assert_eq!(all.next_to_evict(), None);
        all.end_protection(start + Duration::from_secs(2));
        assert_eq!(all.next_to_evict(), Some(1));
        all.remove(1);
        assert_eq!(all.next_to_evict(), None);
        all.end_protection(start + Duration::from_secs(3));
        assert_eq!(all.next_to_evict(), Some(2));
    }

    #[test]
    fn a_connection_that_progresses_is_evicted_later() {
        let start = Instant::now();
        let mut all = unauthenticated(start, &[(1, 1, Rank::Silent), (2, 1, Rank::Silent)]);
        all.end_protection(start + PROTECTED);
        all.advance(1, Rank::NewKeys);
        all.advance(1, Rank::NewKeys);
        assert_eq!(order(all), [2, 1]);
    }

    /// Nine thousand of them and as many changes: the cost of an accept is far below the other costs of a connection.
    #[test]
    fn many_connections_do_not_make_a_change_slow() {
        let start = Instant::now();
        let mut all = Unauthenticated::default();
        let sources = 500;
        for number in 0..9000 {
            all.serve(number, source(u32::try_from(number).unwrap() % sources), start, Arc::default());
        }
        all.end_protection(start + PROTECTED);
        for number in 9000..18_000 {
            let first = all.next_to_evict().unwrap();
            all.remove(first);
            all.serve(number, source(u32::try_from(number).unwrap() % sources), start, Arc::default());
        }
        assert_eq!(all.count(), 9000);
        // The first nine thousand have gone, evenly over the sources.
        assert!((0..9000).all(|number| all.remove(number).is_none()));
        assert_eq!(all.load(source(7)), SourceLoad { served: 18, waiting: 0 });
    }
}
