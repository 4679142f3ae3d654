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
    /// What was taken in hand last was urgent.
    is_busy: bool,
    /// What the thread waits for.
    awaited: Awaited,
    /// What the thread writes after the current one.
    in_hand: Vec<Arc<R>>,
    /// What it writes, and since when.
    current: Option<(Arc<R>, Instant)>,
}

/// What the thread that writes waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Awaited {
    /// It is at work, and looks at the queue afterwards.
    #[default]
    Nothing,
    /// A recorder.
    Work,
    /// Something that should not wait.
    Urgency,
}

impl<R> QueueState<R> {
    fn new() -> QueueState<R> {
        QueueState {
            ready: Vec::new(),
            is_urgent: false,
            is_busy: false,
            awaited: Awaited::Nothing,
            in_hand: Vec::new(),
            current: None,
        }
    }

    /// Whether this is there, which the thread waits for.
    fn has(&self, awaited: Awaited) -> bool {
        match awaited {
            Awaited::Nothing => false,
            Awaited::Work => !self.ready.is_empty(),
            Awaited::Urgency => self.is_urgent,
        }
    }

    /// Adds to the queue. Whether the thread has to be woken: once for what it waits for.
    fn add(&mut self, recorder: Option<Arc<R>>, is_urgent: bool) -> bool {
        self.ready.extend(recorder);
        self.is_urgent |= is_urgent;
        let wakes = self.has(self.awaited);
        if wakes {
            self.awaited = Awaited::Nothing;
        }
        wakes
    }
}

impl<R> WriteQueue<R> {
    pub(super) fn new(runtime: tokio::runtime::Handle) -> WriteQueue<R> {
        WriteQueue { state: Mutex::new(QueueState::new()), more: Condvar::new(), runtime }
    }

    pub(super) fn put(&self, recorder: Arc<R>, is_urgent: bool) {
        self.add(Some(recorder), is_urgent);
    }

    pub(super) fn hurry(&self) {
        self.add(None, true);
    }

    fn add(&self, recorder: Option<Arc<R>>, is_urgent: bool) {
        let wakes = self.lock().add(recorder, is_urgent);
        if wakes {
            self.more.notify_one();
        }
    }

    /// Waits for recorders with something to write, at most until then, and takes them in hand.
    pub(super) fn collect(&self, until: Option<Instant>) {
        let mut state = self.lock();
        loop {
            // After something urgent there is probably more of it: then a session that sends much wakes the thread once
            // for what it takes, and not for the first byte of it, too.
            if state.ready.is_empty() && !state.is_busy {
                let left = until.map(|until| until.saturating_duration_since(Instant::now()));
                state = self.wait(state, Awaited::Work, left);
                if state.ready.is_empty() {
                    return;
                }
            }
            state = self.wait(state, Awaited::Urgency, Some(COLLECT));
            state.is_busy = std::mem::take(&mut state.is_urgent);
            if !state.ready.is_empty() {
                state.in_hand = std::mem::take(&mut state.ready);
                state.in_hand.reverse();
                return;
            }
        }
    }

    /// Waits for that, at most so long.
    fn wait<'q>(
        &'q self,
        mut state: MutexGuard<'q, QueueState<R>>,
        awaited: Awaited,
        longest: Option<Duration>,
    ) -> MutexGuard<'q, QueueState<R>> {
        state.awaited = awaited;
        let lacks = |state: &mut QueueState<R>| !state.has(awaited);
        let mut state = match longest {
            None => self.more.wait_while(state, lacks).unwrap_or_else(PoisonError::into_inner),
            Some(longest) => {
                self.more.wait_timeout_while(state, longest, lacks).unwrap_or_else(PoisonError::into_inner).0
            }
        };
        state.awaited = Awaited::Nothing;
        state
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What is in hand, in the order in which it is written.
    fn in_hand(queue: &WriteQueue<u32>) -> Vec<u32> {
        std::iter::from_fn(|| queue.next()).map(|next| *next).collect()
    }

    #[test]
    fn the_thread_is_woken_once_and_only_for_what_it_waits_for() {
        let mut state = QueueState::new();
        assert!(!state.add(Some(Arc::new(1)), true), "it is at work");
        (state.ready, state.is_urgent, state.awaited) = (Vec::new(), false, Awaited::Work);
        assert!(state.add(Some(Arc::new(1)), false) && !state.add(Some(Arc::new(2)), false));
        state.awaited = Awaited::Urgency;
        assert!(!state.add(Some(Arc::new(3)), false));
        assert!(state.add(None, true) && !state.add(Some(Arc::new(4)), true));
        assert_eq!(state.ready.len(), 4);
    }

    #[tokio::test]
    async fn what_is_urgent_does_not_wait_and_is_written_in_order() {
        let queue = WriteQueue::new(tokio::runtime::Handle::current());
        for busy in [false, true] {
            queue.put(Arc::new(1), false);
            queue.put(Arc::new(2), true);
            queue.collect(None);
            assert_eq!(in_hand(&queue), [1, 2], "{busy}");
            assert!(queue.lock().is_busy);
        }
        // Nothing urgent follows: it is collected, and the next first byte wakes the thread again.
        queue.put(Arc::new(3), false);
        queue.collect(None);
        assert_eq!(in_hand(&queue), [3]);
        assert!(!queue.lock().is_busy);
        queue.collect(Some(Instant::now()));
        assert!(in_hand(&queue).is_empty());
    }
}
