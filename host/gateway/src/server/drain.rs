//! How the program stops: the phases of a graceful shutdown.
//!
//! ```text
//!   Serving --stop--> Draining --deadline--> Closing --all gone, or a moment later--> Gone
//!                        '------------------- stop once more ----------------------->'
//! ```
//!
//! The [`Stopper`] advances the phase; every connection holds a [`Drain`] and waits for the phases that concern it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// The phase of the shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ShutdownPhase {
    /// Not stopping.
    Serving,
    /// No new connections, and no new sessions but the first of a connection that has just been accepted. Existing
    /// sessions go on until the deadline; a connection without any ends.
    Draining,
    /// The deadline has passed: send DISCONNECT (11, by application) and end.
    Closing,
    /// Whatever still exists is dropped.
    Gone,
}

/// What is known of the shutdown.
#[derive(Clone, Copy, Debug)]
struct Stage {
    phase: ShutdownPhase,
    /// How many notices there have been.
    notices: u32,
    /// How long sessions have, as the latest notice says ...
    left: Duration,
    /// ... and when that is over.
    ends: Option<Instant>,
    /// How long an operator has given them, if not `drain`.
    requested: Option<Duration>,
}

/// The side that stops the program. Clones stop the same program.
#[derive(Clone, Debug)]
pub struct Stopper(Arc<watch::Sender<Stage>>);

/// How long sessions have once the program stops: `drain`, which a reload may change. Clones share the value.
#[derive(Clone, Debug)]
pub struct DrainTime(Arc<Mutex<Duration>>);

impl DrainTime {
    /// This long.
    #[must_use]
    pub fn new(time: Duration) -> DrainTime {
        DrainTime(Arc::new(Mutex::new(time)))
    }

    pub(crate) fn get(&self) -> Duration {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes it for the next stop.
    pub(crate) fn set(&self, time: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = time;
    }
}

/// The side of a connection, which waits for phases.
#[derive(Clone, Debug)]
pub struct Drain(watch::Receiver<Stage>);

impl Stopper {
    /// A program that serves.
    #[expect(clippy::new_without_default, reason = "a default would hide that each one is a program of its own")]
    pub fn new() -> Stopper {
        let stage =
            Stage { phase: ShutdownPhase::Serving, notices: 0, left: Duration::ZERO, ends: None, requested: None };
        Stopper(Arc::new(watch::Sender::new(stage)))
    }

    /// Stops: gracefully the first time, immediately after that.
    pub fn stop(&self) {
        self.0.send_modify(|stage| {
            stage.phase = match stage.phase {
                ShutdownPhase::Serving => ShutdownPhase::Draining,
                ShutdownPhase::Draining | ShutdownPhase::Closing | ShutdownPhase::Gone => ShutdownPhase::Gone,
            };
        });
    }

    /// Stops gracefully, and gives sessions this long instead of `drain`. False if the program is stopping already:
    /// then nothing changes.
    pub fn drain_within(&self, time: Duration) -> bool {
        self.0.send_if_modified(|stage| {
            let begins = stage.phase == ShutdownPhase::Serving;
            if begins {
                (stage.phase, stage.requested) = (ShutdownPhase::Draining, Some(time));
            }
            begins
        })
    }

    /// Gives notice to users at a terminal: their sessions have this long.
    pub(crate) fn give_notice(&self, left: Duration) {
        self.0.send_modify(|stage| {
            stage.notices += 1;
            stage.left = left;
            stage.ends = Some(Instant::now() + left);
        });
    }

    /// The deadline has passed.
    pub(crate) fn close(&self) {
        self.0.send_modify(|stage| stage.phase = stage.phase.max(ShutdownPhase::Closing));
    }

    /// The side for a connection.
    pub fn drain(&self) -> Drain {
        Drain(self.0.subscribe())
    }
}

impl Drain {
    /// The current phase.
    pub fn phase(&self) -> ShutdownPhase {
        self.0.borrow().phase
    }

    /// How long an operator has given sessions, if not `drain`.
    pub(crate) fn requested(&self) -> Option<Duration> {
        self.0.borrow().requested
    }

    /// How long sessions may still go on, if that is known.
    pub(crate) fn left(&self) -> Option<Duration> {
        self.0.borrow().ends.map(|ends| ends.saturating_duration_since(Instant::now()))
    }

    /// Whether the phase or the notices may have changed since [`stage`](Drain::stage) was called last. Cheap.
    pub(crate) fn may_have_changed(&self) -> bool {
        // An error means that the `Stopper` is gone: then nothing changes any more.
        self.0.has_changed().unwrap_or(false)
    }

    /// The current phase; and the number of the latest notice with how long sessions had then, if it is later than
    /// number `seen`.
    pub(crate) fn stage(&mut self, seen: u32) -> (ShutdownPhase, Option<(u32, Duration)>) {
        let Stage { phase, notices, left, .. } = *self.0.borrow_and_update();
        (phase, (notices > seen).then_some((notices, left)))
    }

    /// Waits until the phase is `phase` or a later one. Cancel safe.
    pub async fn reached(&mut self, phase: ShutdownPhase) {
        self.wait_for(|stage| stage.phase >= phase).await;
    }

    /// Waits until the phase is later than `phase`, or there are more notices than `notices`. Cancel safe.
    pub(crate) async fn advanced(&mut self, phase: ShutdownPhase, notices: u32) {
        self.wait_for(|stage| stage.phase > phase || stage.notices > notices).await;
    }

    async fn wait_for(&mut self, condition: impl FnMut(&Stage) -> bool) {
        // An error means that the `Stopper` is gone: then the phase never changes again.
        if self.0.wait_for(condition).await.is_err() {
            std::future::pending().await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_stop_is_immediate() {
        let stopper = Stopper::new();
        let drain = stopper.drain();
        assert_eq!(drain.phase(), ShutdownPhase::Serving);
        stopper.stop();
        assert_eq!(drain.phase(), ShutdownPhase::Draining);
        stopper.stop();
        assert_eq!(drain.phase(), ShutdownPhase::Gone);
        stopper.stop();
        stopper.close();
        assert_eq!(drain.phase(), ShutdownPhase::Gone);
    }

    #[test]
    fn an_operator_sets_the_time_of_a_drain_once() {
        let (stopper, time) = (Stopper::new(), Duration::from_secs(600));
        assert!(stopper.drain_within(time) && !stopper.drain_within(Duration::ZERO));
        let drain = stopper.drain();
        assert_eq!((drain.phase(), drain.requested()), (ShutdownPhase::Draining, Some(time)));
        // A signal after that is the second stop.
        stopper.stop();
        assert_eq!(drain.phase(), ShutdownPhase::Gone);
        assert!(!stopper.drain_within(time));
    }

    #[tokio::test]
    async fn a_late_waiter_sees_the_phase_at_once() {
        let stopper = Stopper::new();
        stopper.stop();
        stopper.close();
        let mut drain = stopper.drain();
        drain.reached(ShutdownPhase::Draining).await;
        drain.reached(ShutdownPhase::Closing).await;
        assert_eq!(drain.phase(), ShutdownPhase::Closing);
    }

    #[tokio::test]
    async fn a_notice_is_seen_once() {
        let stopper = Stopper::new();
        let mut drain = stopper.drain();
        stopper.stop();
        stopper.give_notice(Duration::from_secs(30));
        drain.advanced(ShutdownPhase::Draining, 0).await;
        assert_eq!(drain.stage(0), (ShutdownPhase::Draining, Some((1, Duration::from_secs(30)))));
        assert_eq!(drain.stage(1), (ShutdownPhase::Draining, None));
    }
}
