//! The timer of a connection.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// Wakes its task at a deadline that changes with every turn.
///
/// It stays registered with the runtime while the deadline moves to later: to register a timer that is due before all
/// others costs a write to the runtime's wake-up descriptor, and the poll that reads it. A connection that exchanges
/// short messages did that twice for each of them, because the deadline of an acknowledgement is 3 ms ahead. What it
/// costs instead is one wake-up for nothing when the earlier deadline has passed.
pub(super) struct DeadlineTimer(Pin<Box<Sleep>>);

impl DeadlineTimer {
    /// A timer without a deadline.
    pub(super) fn new() -> Self {
        // Of the most distant time, which is registered nowhere: one that is due now would be registered for the next
        // millisecond, and wake the task in the middle of a handshake.
        Self(Box::pin(sleep(Duration::MAX)))
    }

    /// Waits until the deadline; for ever if there is none.
    pub(super) async fn reached(&mut self, deadline: Option<std::time::Instant>) {
        let deadline = deadline.map(Instant::from_std);
        poll_fn(|context| {
            let Some(deadline) = deadline else { return Poll::Pending };
            loop {
                if self.0.is_elapsed() || self.0.deadline() > deadline {
                    self.0.as_mut().reset(deadline);
                }
                match self.0.as_mut().poll(context) {
                    Poll::Ready(()) if Instant::now() < deadline => {}
                    polled => return polled,
                }
            }
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of some deadlines, in milliseconds from now, are reached at which time, one after the other.
    async fn reached(timer: &mut DeadlineTimer, deadlines: &[u64]) -> Vec<u128> {
        let start = Instant::now();
        let mut times = Vec::new();
        for deadline in deadlines {
            timer.reached(Some((start + Duration::from_millis(*deadline)).into_std())).await;
            times.push(start.elapsed().as_millis());
        }
        times
    }

    #[tokio::test(start_paused = true)]
    async fn every_deadline_is_reached_whether_it_moves_to_later_or_to_earlier() {
        let mut timer = DeadlineTimer::new();
        assert_eq!(reached(&mut timer, &[5, 3, 20]).await, [5, 5, 20]);
        // Registered for later, and for earlier, than what is waited for next.
        for (registered, wanted) in [(50, 10), (10, 50)] {
            let start = Instant::now();
            let at = |milliseconds| Some((start + Duration::from_millis(milliseconds)).into_std());
            let first = tokio::time::timeout(Duration::from_millis(1), timer.reached(at(registered))).await;
            assert!(first.is_err());
            timer.reached(at(wanted)).await;
            assert_eq!(start.elapsed(), Duration::from_millis(wanted));
        }
        let never = tokio::time::timeout(Duration::from_secs(3600), timer.reached(None)).await;
        assert!(never.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_timer_wakes_its_task_at_the_deadline_and_not_before() {
        // Between two ticks of the runtime's clock.
        tokio::time::advance(Duration::from_micros(500)).await;
        let mut timer = DeadlineTimer::new();
        let mut polls = 0;
        let mut reached = std::pin::pin!(timer.reached(Some((Instant::now() + Duration::from_secs(2)).into_std())));
        poll_fn(|context| {
            polls += 1;
            reached.as_mut().poll(context)
        })
        .await;
        assert_eq!(polls, 2);
    }
}
