//! The places of instances: how many clients may be in the middle of a login with an authenticator.
//!
//! When all are taken, one is given up, and the client that had it must start its login again. The idle places without
//! an open question go first, then those with one, and last those with a call in progress. Of equals one of the source
//! that has most goes, and then one of the network that has most, since who has many sources has them side by side: a
//! stranger who begins many logins and finishes none takes places from himself. Of its places the one that was unused
//! for longest goes, but a question stays open for [`LEAST_TIME`] before that, in which a person types: until then the
//! youngest goes first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use whelk_runtime::Authenticator;
use whelk_runtime::limits::Throttle;

use crate::observe::event::{LimitEvent, emit_throttled};
use crate::source::{Network, Source};

/// The pool is said to be full once, and again when it was not for this time.
const LOG_PERIOD: Duration = Duration::from_secs(60);
/// How long a question stays open while other places can be given up for a newcomer.
const LEAST_TIME: Duration = Duration::from_secs(30);
/// The name of the limit.
const LIMIT: &str = "authenticator_instances";

/// All places.
pub(super) struct InstancePool {
    most: usize,
    free: Arc<Semaphore>,
    taken: Mutex<BTreeMap<u64, Arc<Place>>>,
    /// The number of the next place that is taken.
    next: AtomicU64,
    full: Throttle,
}

/// One taken place.
struct Place {
    source: Source,
    state: Mutex<PlaceState>,
    /// Wakes whoever works with the instance when the place is given up.
    given_up: Notify,
}

/// What is in a place.
struct PlaceState {
    is_given_up: bool,
    /// The instance, while nobody works with it.
    idle: Option<Instance>,
    /// The client was asked a question.
    has_asked: bool,
    /// When somebody worked with it last.
    used: Instant,
}

/// An instance and its permit, which is returned when the memory of the instance is free.
pub(super) struct Instance(Option<(Authenticator, OwnedSemaphorePermit)>);

/// A place of one client. Dropping it frees the place.
pub(super) struct TakenPlace {
    pool: Arc<InstancePool>,
    number: u64,
    place: Arc<Place>,
}

impl InstancePool {
    /// This many places.
    pub(super) fn new(most: usize) -> InstancePool {
        InstancePool {
            most,
            free: Arc::new(Semaphore::new(most.clamp(1, Semaphore::MAX_PERMITS))),
            taken: Mutex::default(),
            next: AtomicU64::new(0),
            full: Throttle::after_quiet(LOG_PERIOD),
        }
    }

    /// Takes a place for a client of this source, and the permit for what will be in it. If none is free, another is
    /// given up for it. Cancel safe.
    pub(super) async fn take(self: &Arc<Self>, source: Source) -> (TakenPlace, OwnedSemaphorePermit) {
        let permit = match Arc::clone(&self.free).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                self.give_one_up(source);
                Arc::clone(&self.free).acquire_owned().await.expect("the semaphore is never closed")
            }
        };
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let state = PlaceState { is_given_up: false, idle: None, has_asked: false, used: Instant::now() };
        let place = Arc::new(Place { source, state: Mutex::new(state), given_up: Notify::new() });
        self.taken().insert(number, Arc::clone(&place));
        (TakenPlace { pool: Arc::clone(self), number, place }, permit)
    }

    /// Gives up one place for a client of this source. Does nothing if every place is being given up already.
    fn give_one_up(&self, newcomer: Source) {
        let chosen = {
            let mut taken = self.taken();
            let number = choose(&taken, newcomer, Instant::now());
            number.and_then(|number| taken.remove(&number))
        };
        let Some(place) = chosen else { return };
        let (source, most) = (place.source, u32::try_from(self.most).unwrap_or(u32::MAX));
        let is_news = self.full.allow(Instant::now()).is_some();
        emit_throttled(is_news, LimitEvent::AuthenticatorInstances { source, limit: LIMIT, most });
        place.give_up();
    }

    /// Ends one idle instance for a client of this source, and returns when its memory is free. False if there is none.
    pub(super) async fn end_idle(&self, newcomer: Source) -> bool {
        let chosen = {
            let mut taken = self.taken();
            let number = choose(&taken, newcomer, Instant::now());
            let idle = number.filter(|number| taken.get(number).is_some_and(|place| place.is_idle()));
            idle.and_then(|number| taken.remove(&number))
        };
        match chosen.and_then(|place| place.take()) {
            Some(instance) => {
                instance.end().await;
                true
            }
            None => false,
        }
    }

    /// Nothing panics while it holds the lock, so a poisoned one guards consistent data.
    fn taken(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Place>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place that is given up for a newcomer, which counts for its source already.
fn choose(taken: &BTreeMap<u64, Arc<Place>>, newcomer: Source, now: Instant) -> Option<u64> {
    let mut counts: HashMap<Source, usize> = HashMap::from([(newcomer, 1)]);
    let mut wide: HashMap<Network, usize> = HashMap::from([(newcomer.network(), 1)]);
    for place in taken.values() {
        *counts.entry(place.source).or_default() += 1;
        *wide.entry(place.source.network()).or_default() += 1;
    }
    let order = |place: &Place| {
        let (works, has_asked, used) = place.worth();
        let most = (Reverse(counts.get(&place.source)), Reverse(wide.get(&place.source.network())));
        let age = now.saturating_duration_since(used);
        let is_typing = has_asked && age < LEAST_TIME;
        // The youngest first of those that have time left, and the oldest first of the others.
        let turn = if is_typing { (age, Reverse(Duration::ZERO)) } else { (Duration::ZERO, Reverse(age)) };
        (works, has_asked, most, is_typing, turn)
    };
    taken.iter().min_by_key(|(_, place)| order(place)).map(|(number, _)| *number)
}

impl Place {
    /// How much its client would lose: whether somebody works with it, whether a question is open, and when it was used
    /// last.
    fn worth(&self) -> (bool, bool, Instant) {
        let state = self.state();
        (state.idle.is_none(), state.has_asked, state.used)
    }

    fn is_idle(&self) -> bool {
        self.state().idle.is_some()
    }

    fn give_up(&self) {
        // Ends after the lock is released.
        let idle = self.take();
        drop(idle);
        self.given_up.notify_one();
    }

    /// Gives the place up, and takes what is in it.
    fn take(&self) -> Option<Instance> {
        let mut state = self.state();
        state.is_given_up = true;
        state.idle.take()
    }

    fn state(&self) -> MutexGuard<'_, PlaceState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TakenPlace {
    /// Does what takes time, unless the place is given up first.
    pub(super) async fn work<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.place.given_up.notified() => None,
            done = work => Some(done),
        }
    }

    /// The instance, to work with. None if the place was given up.
    pub(super) fn lift(&self) -> Option<Instance> {
        self.place.state().idle.take()
    }

    /// Puts the instance back; `has_asked`: the client was asked a question. It ends if the place was given up.
    pub(super) fn put(&self, instance: Instance, has_asked: bool) {
        let mut state = self.place.state();
        if !state.is_given_up {
            (state.idle, state.has_asked, state.used) = (Some(instance), has_asked, Instant::now());
        }
    }
}

impl Drop for TakenPlace {
    fn drop(&mut self) {
        self.pool.taken().remove(&self.number);
        let idle = self.place.state().idle.take();
        drop(idle);
    }
}

impl Instance {
    pub(super) fn new(authenticator: Authenticator, permit: OwnedSemaphorePermit) -> Instance {
        Instance(Some((authenticator, permit)))
    }

    /// Ends the instance. Its permit is returned, and its memory free, when this returns.
    async fn end(mut self) {
        if let Some((authenticator, permit)) = self.0.take() {
            authenticator.end().await;
            drop(permit);
        }
    }

    pub(super) fn authenticator(&mut self) -> &mut Authenticator {
        let (authenticator, _) = self.0.as_mut().expect("only the drop takes it");
        authenticator
    }
}

/// Ends the instance, and returns its permit then.
impl Drop for Instance {
    fn drop(&mut self) {
        let Some((authenticator, permit)) = self.0.take() else { return };
        let end = async move {
            authenticator.end().await;
            drop(permit);
        };
        // Without a runtime the program ends.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Places of these sources, whose questions are open for so long, all idle.
    fn places(of: &[(&str, u64)]) -> BTreeMap<u64, Arc<Place>> {
        let now = Instant::now();
        let place = |(source, seconds): &(&str, u64)| {
            let used = now.checked_sub(Duration::from_secs(*seconds)).unwrap();
            let state = PlaceState { is_given_up: false, idle: None, has_asked: true, used };
            Arc::new(Place { source: source_of(source), state: Mutex::new(state), given_up: Notify::new() })
        };
        (0..).zip(of.iter().map(place)).collect()
    }

    fn source_of(address: &str) -> Source {
        Source::of(address.parse().unwrap())
    }

    fn chosen(of: &[(&str, u64)], newcomer: &str) -> Option<u64> {
        choose(&places(of), source_of(newcomer), Instant::now())
    }

    /// F1.
    #[tokio::test]
    async fn one_of_the_source_and_then_of_the_network_that_has_most_is_given_up() {
        let typing = ("192.0.2.1", 60);
        assert_eq!(chosen(&[typing, ("192.0.2.2", 50), ("192.0.2.2", 40)], "198.51.100.1"), Some(1));
        // The networks of one customer, who has 65,536 of them.
        let many = [("2001:db8::1", 1), ("2001:db8:0:1::1", 2), ("2001:db8:0:2::1", 3)];
        let all: Vec<_> = std::iter::once(("2001:db8:7::1", 60)).chain(many).collect();
        assert_eq!(chosen(&all, "2001:db8:0:3::1"), Some(1));
        assert_eq!(chosen(&all, "2001:db8:9::1"), Some(1));
    }

    #[tokio::test]
    async fn a_person_who_types_is_left_alone_for_a_while() {
        let old = ("192.0.2.1", 31);
        assert_eq!(chosen(&[("203.0.113.1", 20), old, ("198.51.100.1", 40)], "198.51.100.9"), Some(2));
        // Where all have been asked a moment ago, the latest is sent away.
        assert_eq!(chosen(&[("203.0.113.1", 20), ("192.0.2.1", 3), ("198.51.100.1", 10)], "198.18.0.1"), Some(1));
    }
}
