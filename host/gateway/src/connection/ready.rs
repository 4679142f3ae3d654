//! Which channels of a connection have something to send: a list that sessions fill and the connection's task empties.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use whelk_ssh::message::mux::ChannelId;

/// Filled by any thread, emptied by one task. It stays short: a session wakes its connection only when its output was
/// empty before.
#[derive(Default)]
pub(crate) struct Ready(Mutex<State>);

#[derive(Default)]
struct State {
    tickets: Vec<Ticket>,
    /// Something was pushed, or the task was woken for another reason, since the task has seen it last.
    is_woken: bool,
    /// The connection's task waits. Nobody else wakes it: it may be letting others run.
    is_waiting: bool,
    /// The task that has waited last.
    task: Option<Waker>,
}

/// A channel by its number and by a serial number that is never used again: channel numbers are, and a late wake-up
/// must not reach the next channel of that number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ticket {
    pub(crate) channel: ChannelId,
    pub(crate) serial: u64,
}

impl Ready {
    /// The channel has something to send. Wakes the connection's task once for a burst.
    pub(crate) fn push(&self, ticket: Ticket) {
        let mut state = self.state();
        state.tickets.push(ticket);
        if state.tickets.len() == 1 {
            wake(state);
        }
    }

    /// Wakes the connection's task for another reason.
    pub(crate) fn wake(&self) {
        wake(self.state());
    }

    /// Moves everything that was pushed since the last call to `to`, an empty list, whose memory is used again.
    pub(crate) fn take(&self, to: &mut Vec<Ticket>) {
        mem::swap(&mut self.state().tickets, to);
    }

    /// Waits until something is pushed, or the task is to wake for another reason. Only one task may wait. Cancel safe.
    ///
    /// While fewer than `expected` channels have something to send, the task first goes once to the end of the
    /// worker's queue: the sessions that wait there send in the same turn. tokio would run the connection right after
    /// the first of them, for one packet and one write each.
    pub(crate) fn filled(&self, expected: usize) -> Filled<'_> {
        Filled { ready: self, expected, has_yielded: false }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes the task, unless it has been woken and has not seen that yet.
fn wake(mut state: MutexGuard<'_, State>) {
    if mem::replace(&mut state.is_woken, true) || !state.is_waiting {
        return;
    }
    let task = state.task.clone();
    drop(state);
    task.iter().for_each(Waker::wake_by_ref);
}

/// The wait of [`Ready::filled`].
pub(crate) struct Filled<'r> {
    ready: &'r Ready,
    expected: usize,
    has_yielded: bool,
}

impl Future for Filled<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let ready = self.ready;
        let mut state = ready.state();
        if !state.is_woken {
            state.is_waiting = true;
            if !state.task.as_ref().is_some_and(|task| task.will_wake(context.waker())) {
                state.task = Some(context.waker().clone());
            }
            return Poll::Pending;
        }
        let is_part = (1..self.expected).contains(&state.tickets.len());
        if is_part && !self.has_yielded {
            drop(state);
            self.has_yielded = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        state.is_woken = false;
        Poll::Ready(())
    }
}

impl Drop for Filled<'_> {
    fn drop(&mut self) {
        self.ready.state().is_waiting = false;
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Woken>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn ticket(channel: u32) -> Ticket {
        Ticket { channel: ChannelId(channel), serial: u64::from(channel) }
    }

    fn take(ready: &Ready) -> Vec<Ticket> {
        let mut taken = Vec::new();
        ready.take(&mut taken);
        taken
    }

    #[test]
    fn a_burst_wakes_once_and_nothing_is_lost_by_a_wait_that_is_dropped() {
        let (ready, woken) = (Ready::default(), Arc::<Woken>::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        {
            let mut wait = pin!(ready.filled(0));
            assert!(wait.as_mut().poll(&mut context).is_pending());
            ready.push(ticket(1));
            ready.push(ticket(2));
            ready.wake();
            assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        }
        let mut wait = || pin!(ready.filled(0)).poll(&mut context);
        assert!(wait().is_ready() && wait().is_pending(), "told once");
        assert_eq!(take(&ready), [ticket(1), ticket(2)]);
        ready.push(ticket(1));
        assert_eq!(woken.0.load(Ordering::Relaxed), 1, "nobody waits");
        assert_eq!(take(&ready), [ticket(1)]);
        assert!(wait().is_ready(), "it was woken, though what for is taken");
    }

    #[test]
    fn the_task_lets_sessions_run_once_from_which_output_is_expected() {
        let (ready, woken) = (Ready::default(), Arc::<Woken>::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        for (expected, yields) in [(0, false), (1, false), (2, true)] {
            ready.push(ticket(1));
            let mut wait = pin!(ready.filled(expected));
            assert_eq!(wait.as_mut().poll(&mut context).is_pending(), yields);
            assert_eq!(woken.0.swap(0, Ordering::Relaxed), usize::from(yields));
            assert!(!yields || wait.as_mut().poll(&mut context).is_ready(), "no more than once");
            take(&ready);
        }
        // All are there, or it is woken for something else.
        ready.push(ticket(1));
        ready.push(ticket(2));
        assert!(pin!(ready.filled(2)).poll(&mut context).is_ready());
        take(&ready);
        ready.wake();
        assert!(pin!(ready.filled(2)).poll(&mut context).is_ready());
    }
}
