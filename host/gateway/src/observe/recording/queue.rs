//! The queue between the recorders of sessions and the thread that writes.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long output is collected before it is written, unless much of it waits.
const COLLECT: Duration = Duration::from_millis(20);

/// Recorders `R` that have something to write.
pub(super) struct WriteQueue<R> {
    state: Mutex<QueueState<R>>,
    /// Wakes the thread that writes.
    more: Condvar,
    /// Runs the ends of sessions.
    pub(super) runtime: tokio::runtime::Handle,
}

struct QueueState<R> {
    ready: Vec<Arc<R>>,
    /// Something should not wait any longer.
    is_urgent: bool,
    /// What the thread writes after the current one.
    in_hand: Vec<Arc<R>>,
    /// What it writes, and since when.
    current: Option<(Arc<R>, Instant)>,
}

impl<R> WriteQueue<R> {
    pub(super) fn new(runtime: tokio::runtime::Handle) -> WriteQueue<R> {
        let state = QueueState { ready: Vec::new(), is_urgent: false, in_hand: Vec::new(), current: None };
        WriteQueue { state: Mutex::new(state), more: Condvar::new(), runtime }
    }

    pub(super) fn put(&self, recorder: Arc<R>, is_urgent: bool) {
        let mut state = self.lock();
        state.ready.push(recorder);
        let wakes = state.ready.len() == 1 || (is_urgent && !state.is_urgent);
        state.is_urgent |= is_urgent;
        drop(state);
        if wakes {
            self.more.notify_one();
        }
    }

    pub(super) fn hurry(&self) {
        let was_urgent = std::mem::replace(&mut self.lock().is_urgent, true);
        if !was_urgent {
            self.more.notify_one();
        }
    }

    /// Waits for recorders with something to write, at most until then, and takes them in hand.
    pub(super) fn collect(&self, until: Option<Instant>) {
        let mut state = self.lock();
        while state.ready.is_empty() {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            state = match left {
                None => self.more.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => return,
                Some(left) => self.more.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
        let waited = self.more.wait_timeout_while(state, COLLECT, |state| !state.is_urgent);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.is_urgent = false;
        state.in_hand = std::mem::take(&mut state.ready);
        state.in_hand.reverse();
    }

    /// The next of those in hand, which is being written from now on.
    pub(super) fn next(&self) -> Option<Arc<R>> {
        let mut state = self.lock();
        let next = state.in_hand.pop();
        state.current = next.clone().map(|next| (next, Instant::now()));
        next
    }

    /// This one is being written from now on, though it was not in hand.
    pub(super) fn work_on(&self, recorder: &Arc<R>) {
        self.lock().current = Some((Arc::clone(recorder), Instant::now()));
    }

    /// Nothing is being written.
    pub(super) fn rest(&self) {
        self.lock().current = None;
    }

    /// Whether nothing waits and nothing is being written.
    pub(super) fn is_idle(&self) -> bool {
        let state = self.lock();
        state.ready.is_empty() && state.in_hand.is_empty() && state.current.is_none()
    }

    /// The recorders that wait for a disk which has not answered for this long.
    pub(super) fn stuck(&self, longest: Duration) -> Vec<Arc<R>> {
        let state = self.lock();
        match &state.current {
            Some((current, since)) if since.elapsed() > longest => {
                [current].into_iter().chain(&state.in_hand).chain(&state.ready).cloned().collect()
            }
            _ => Vec::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, QueueState<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
