//! The places of instances: how many clients may be in the middle of a login with an authenticator.
//!
//! When all are taken, one is given up, and the client that had it must start its login again. The idle places without
//! an open question go first, then those with one, and last those with a call in progress. Of equals one of the source
//! that has most goes, and of its places the one that was unused for longest: a stranger who begins many logins and
//! finishes none takes places from others of the same source.

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

use crate::observe::event::{LimitEvent, emit};
use crate::source::Source;

/// The pool is said to be full once, and again when it was not for this time.
const LOG_PERIOD: Duration = Duration::from_secs(60);
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
            let number = choose(&taken, newcomer);
            number.and_then(|number| taken.remove(&number))
        };
        let Some(place) = chosen else { return };
        if self.full.allow(Instant::now()).is_some() {
            let (source, most) = (place.source, u32::try_from(self.most).unwrap_or(u32::MAX));
            emit(LimitEvent::AuthenticatorInstances { source, limit: LIMIT, most });
        }
        place.give_up();
    }

    /// Nothing panics while it holds the lock, so a poisoned one guards consistent data.
    fn taken(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Place>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place that is given up for a newcomer, which counts for its source already.
fn choose(taken: &BTreeMap<u64, Arc<Place>>, newcomer: Source) -> Option<u64> {
    let mut counts: HashMap<Source, usize> = HashMap::from([(newcomer, 1)]);
    for place in taken.values() {
        *counts.entry(place.source).or_default() += 1;
    }
    let order = |place: &Place| {
        let (works, has_asked, used) = place.worth();
        (works, has_asked, Reverse(counts.get(&place.source).copied()), used)
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

    fn give_up(&self) {
        let mut state = self.state();
        state.is_given_up = true;
        // Ends after the lock is released.
        let idle = state.idle.take();
        drop(state);
        drop(idle);
        self.given_up.notify_one();
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
