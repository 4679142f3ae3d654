//! Decides whose password is hashed next: sources take turns, so that the guesses of one do not delay another. Pure,
//! without a clock.
//!
//! Each source that waits has one place in a ring, however many of its logins wait, and moves to the end of the ring
//! when one of them is served. A source with an earlier successful login is served before the ring, at most once per
//! round: a user with a password cannot block all others with guesses.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::source::Source;

/// How many sources with a successful login are remembered. The one that was not used for longest is forgotten.
const KNOWN_SOURCES: usize = 4096;

/// Waiting logins, each with an item.
pub(super) struct HashQueue<T> {
    /// The logins of each source, in the order of their arrival. Never empty.
    waiting: HashMap<Source, VecDeque<(HashTicket, T)>>,
    /// Sources that go before the ring, in order.
    ahead: VecDeque<Source>,
    /// All other waiting sources, in order, each with the number of its place.
    ring: VecDeque<(u64, Source)>,
    /// The number of the next place in the ring.
    next_place: u64,
    next_ticket: u64,
    known: KnownSources,
}

/// Identifies one waiting login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HashTicket {
    source: Source,
    number: u64,
}

impl<T> HashQueue<T> {
    pub(super) fn new() -> HashQueue<T> {
        HashQueue {
            waiting: HashMap::new(),
            ahead: VecDeque::new(),
            ring: VecDeque::new(),
            next_place: 0,
            next_ticket: 0,
            known: KnownSources::new(KNOWN_SOURCES),
        }
    }

    /// Adds a login of this source.
    pub(super) fn push(&mut self, source: Source, item: T) -> HashTicket {
        let ticket = HashTicket { source, number: self.next_ticket };
        self.next_ticket += 1;
        let waiters = self.waiting.entry(source).or_default();
        waiters.push_back((ticket, item));
        if waiters.len() == 1 {
            self.place(source);
        }
        ticket
    }

    /// The next item.
    pub(super) fn peek(&self) -> Option<&T> {
        let source = self.ahead.front().or(self.ring.front().map(|(_, source)| source))?;
        self.waiting.get(source)?.front().map(|(_, item)| item)
    }

    /// Takes the next item.
    pub(super) fn pop(&mut self) -> Option<T> {
        let source = self.ahead.pop_front().or_else(|| self.ring.pop_front().map(|(_, source)| source))?;
        let waiters = self.waiting.get_mut(&source)?;
        let (_, item) = waiters.pop_front()?;
        let more = !waiters.is_empty();
        self.known.served(source, self.next_place);
        if more {
            self.place(source);
        } else {
            self.waiting.remove(&source);
        }
        Some(item)
    }

    /// Removes a login. No effect if it was taken.
    pub(super) fn remove(&mut self, ticket: HashTicket) {
        let source = ticket.source;
        let Some(waiters) = self.waiting.get_mut(&source) else { return };
        waiters.retain(|(waiter, _)| *waiter != ticket);
        if waiters.is_empty() {
            self.waiting.remove(&source);
            self.ahead.retain(|other| *other != source);
            self.ring.retain(|(_, other)| *other != source);
        }
    }

    /// A login from this source succeeded.
    pub(super) fn logged_in(&mut self, source: Source) {
        self.known.add(source);
    }

    #[cfg(test)]
    pub(super) fn knows(&self, source: Source) -> bool {
        self.known.by_source.contains_key(&source)
    }

    fn place(&mut self, source: Source) {
        let head = self.ring.front().map_or(self.next_place, |(place, _)| *place);
        if self.known.may_go_ahead(source, head) {
            self.ahead.push_back(source);
        } else {
            self.ring.push_back((self.next_place, source));
            self.next_place += 1;
        }
    }
}

/// Sources with a successful login.
struct KnownSources {
    most: usize,
    by_source: HashMap<Source, Known>,
    /// Ordered by last use.
    by_use: BTreeMap<u64, Source>,
    uses: u64,
}

struct Known {
    /// Its key in `by_use`.
    used: u64,
    /// It may go before the ring again when this place is at the head of the ring.
    ahead_from: u64,
}

impl KnownSources {
    fn new(most: usize) -> KnownSources {
        KnownSources { most, by_source: HashMap::new(), by_use: BTreeMap::new(), uses: 0 }
    }

    fn add(&mut self, source: Source) {
        self.uses += 1;
        let used = self.uses;
        let known = self.by_source.entry(source).or_insert(Known { used, ahead_from: 0 });
        self.by_use.remove(&std::mem::replace(&mut known.used, used));
        self.by_use.insert(used, source);
        if self.by_source.len() > self.most
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.by_source.remove(&oldest);
        }
    }

    fn may_go_ahead(&self, source: Source, head: u64) -> bool {
        self.by_source.get(&source).is_some_and(|known| known.ahead_from <= head)
    }

    fn served(&mut self, source: Source, next_place: u64) {
        if let Some(known) = self.by_source.get_mut(&source) {
            known.ahead_from = next_place;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(number: u8) -> Source {
        Source::V4([192, 0, 2, number])
    }

    /// One login for each number, which is its source.
    fn queue(sources: &[u8]) -> HashQueue<u8> {
        let mut queue = HashQueue::new();
        for number in sources {
            queue.push(source(*number), *number);
        }
        queue
    }

    fn drain(queue: &mut HashQueue<u8>) -> Vec<u8> {
        std::iter::from_fn(|| {
            let next = queue.peek().copied();
            assert_eq!(queue.pop(), next);
            next
        })
        .collect()
    }

    #[test]
    fn sources_take_turns_however_many_logins_each_has() {
        let mut queue = queue(&[1, 1, 1, 1, 2, 2, 3]);
        assert_eq!(drain(&mut queue), [1, 2, 3, 1, 2, 1, 1]);
        assert!(queue.waiting.is_empty());
    }

    #[test]
    fn the_logins_of_a_source_are_served_in_order() {
        let mut queue = HashQueue::new();
        for item in 0..3 {
            queue.push(source(1), item);
        }
        assert_eq!(drain(&mut queue), [0, 1, 2]);
    }

    #[test]
    fn a_new_source_waits_for_one_login_of_each_other_source() {
        let mut queue = queue(&[1; 60]);
        queue.push(source(2), 2);
        assert_eq!(drain(&mut queue)[..3], [1, 2, 1]);
    }

    #[test]
    fn a_known_source_goes_before_sixty_others() {
        let strangers: Vec<u8> = (1..=60).collect();
        let mut queue = queue(&strangers);
        queue.logged_in(source(100));
        queue.push(source(100), 100);
        assert_eq!(queue.pop(), Some(100));
        assert_eq!(queue.pop(), Some(1));
    }

    #[test]
    fn a_known_source_goes_first_once_a_round_and_starves_no_other() {
        let mut queue = queue(&[1, 2, 3]);
        queue.logged_in(source(9));
        for _ in 0..6 {
            queue.push(source(9), 9);
        }
        // Its second login comes after all sources that waited when its first was served.
        assert_eq!(drain(&mut queue)[..5], [9, 1, 2, 3, 9]);
        // And again when each arrives anew.
        for number in [1, 2, 3, 1, 2, 3] {
            queue.push(source(number), number);
        }
        let mut order = Vec::new();
        for _ in 0..8 {
            queue.push(source(9), 9);
            order.extend(queue.pop());
        }
        let gaps: Vec<_> = order.split(|number| *number == 9).map(<[u8]>::len).collect();
        assert!(gaps[1..gaps.len() - 1].iter().all(|gap| *gap >= 3), "{order:?}");
    }

    #[test]
    fn new_sources_do_not_starve_one_that_waits() {
        let mut queue = queue(&[1, 1]);
        let mut order = Vec::new();
        for number in 10..20 {
            queue.push(source(number), number);
            order.extend(queue.pop());
        }
        assert_eq!(order[..3], [1, 10, 1], "{order:?}");
    }

    #[test]
    fn a_login_that_leaves_does_not_change_the_order() {
        let mut queue = HashQueue::new();
        let tickets: Vec<_> = [1, 2, 1, 3].map(|number| queue.push(source(number), number)).into();
        queue.remove(tickets[1]);
        queue.remove(tickets[0]);
        assert_eq!(drain(&mut queue), [1, 3]);
        queue.remove(tickets[2]);
        queue.logged_in(source(5));
        let ticket = queue.push(source(5), 5);
        queue.remove(ticket);
        assert_eq!(queue.pop(), None);
        assert!(queue.waiting.is_empty() && queue.ahead.is_empty() && queue.ring.is_empty());
    }

    #[test]
    fn the_table_of_known_sources_is_bounded_and_drops_the_least_recently_used() {
        let mut known = KnownSources::new(2);
        for number in [1, 2, 1, 3] {
            known.add(source(number));
        }
        let kept = [1, 2, 3].map(|number| known.may_go_ahead(source(number), 0));
        assert_eq!(kept, [true, false, true]);
        assert_eq!((known.by_source.len(), known.by_use.len()), (2, 2));
    }
}
