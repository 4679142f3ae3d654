//! Decides whose password is hashed next: sources take turns, so that the guesses of one do not delay another. Pure,
//! without a clock.
//!
//! Each source that waits has one place in a ring, however many of its logins wait, and moves to the end of the ring
//! when one of them is served. There are two rings, which take turns: one of the sources whose last login
//! succeeded (*known* sources), and one of all others. So guessing cannot delay known sources, and known sources get at
//! most half of the slots.
//!
//! Decided 2026-11-29: a known source went before the ring once per round. While 100 sources guess, a round takes
//! seconds on a small machine, and a user's second login within a round waited for all of it.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::source::Source;

/// How many sources with a successful login are remembered. The one that was not used for longest is forgotten.
const KNOWN_SOURCES: usize = 4096;

/// Waiting logins, each with an item.
pub(super) struct HashQueue<T> {
    /// The logins of each source, in the order of their arrival. Never empty.
    waiting: HashMap<Source, VecDeque<(HashTicket, T)>>,
    /// Known sources that wait, in order.
    ahead: VecDeque<Source>,
    /// All other sources that wait, in order.
    ring: VecDeque<Source>,
    /// The last login that was taken was that of a known source.
    took_known: bool,
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
            took_known: false,
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
        let source = if self.takes_known() { self.ahead.front() } else { self.ring.front() }?;
        self.waiting.get(source)?.front().map(|(_, item)| item)
    }

    /// Takes the next item.
    pub(super) fn pop(&mut self) -> Option<T> {
        self.took_known = self.takes_known();
        let source = if self.took_known { self.ahead.pop_front() } else { self.ring.pop_front() }?;
        let waiters = self.waiting.get_mut(&source)?;
        let (_, item) = waiters.pop_front()?;
        let more = !waiters.is_empty();
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
            self.ring.retain(|other| *other != source);
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

    /// A login from this source failed: it is no longer known.
    pub(super) fn failed(&mut self, source: Source) {
        self.known.remove(source);
    }

    fn place(&mut self, source: Source) {
        let ring = if self.known.has(source) { &mut self.ahead } else { &mut self.ring };
        ring.push_back(source);
    }

    /// Whether the next login is that of a known source.
    fn takes_known(&self) -> bool {
        !self.ahead.is_empty() && (self.ring.is_empty() || !self.took_known)
    }
}

/// Sources with a successful login.
struct KnownSources {
    most: usize,
    /// Each with its key in `by_use`.
    by_source: HashMap<Source, u64>,
    /// Ordered by last use.
    by_use: BTreeMap<u64, Source>,
    uses: u64,
}

impl KnownSources {
    fn new(most: usize) -> KnownSources {
        KnownSources { most, by_source: HashMap::new(), by_use: BTreeMap::new(), uses: 0 }
    }

    fn add(&mut self, source: Source) {
        self.uses += 1;
        let used = self.uses;
        if let Some(before) = self.by_source.insert(source, used) {
            self.by_use.remove(&before);
        }
        self.by_use.insert(used, source);
        if self.by_source.len() > self.most
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.by_source.remove(&oldest);
        }
    }

    fn remove(&mut self, source: Source) {
        if let Some(used) = self.by_source.remove(&source) {
            self.by_use.remove(&used);
        }
    }

    fn has(&self, source: Source) -> bool {
        self.by_source.contains_key(&source)
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
    fn known_sources_and_others_take_turns_so_that_neither_starves() {
        let mut queue = queue(&[1, 2, 3]);
        queue.logged_in(source(9));
        for _ in 0..6 {
            queue.push(source(9), 9);
        }
        assert_eq!(drain(&mut queue), [9, 1, 9, 2, 9, 3, 9, 9, 9]);
    }

    #[test]
    fn a_source_that_guesses_is_not_known_any_more() {
        let mut queue = queue(&[1, 2]);
        queue.logged_in(source(9));
        queue.failed(source(9));
        queue.push(source(9), 9);
        assert_eq!(drain(&mut queue), [1, 2, 9]);
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
        let kept = [1, 2, 3].map(|number| known.has(source(number)));
        assert_eq!(kept, [true, false, true]);
        assert_eq!((known.by_source.len(), known.by_use.len()), (2, 2));
    }
}
