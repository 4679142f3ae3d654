//! How the program stops: the phases of a graceful shutdown.
//!
//! ```text
//!   Serving --stop--> Draining --deadline--> Closing --all gone, or a moment later--> Gone
//!                        '------------------- stop once more ----------------------->'
//! ```
//!
//! The [`Stopper`] advances the phase; every connection holds a [`Drain`] and waits for the phases that concern it.

use std::sync::Arc;

use tokio::sync::watch;

/// The phase of the shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ShutdownPhase {
    /// Not stopping.
    Serving,
    /// No new connections and sessions. Existing sessions go on until the deadline; a connection without any ends.
    Draining,
    /// The deadline has passed: send DISCONNECT (11, by application) and end.
    Closing,
    /// Whatever still exists is dropped.
    Gone,
}

/// The side that stops the program. Clones stop the same program.
#[derive(Clone, Debug)]
pub struct Stopper(Arc<watch::Sender<ShutdownPhase>>);

/// The side of a connection, which waits for phases.
#[derive(Clone, Debug)]
pub struct Drain(watch::Receiver<ShutdownPhase>);

impl Stopper {
    /// A program that serves.
    #[expect(clippy::new_without_default, reason = "a default would hide that each one is a program of its own")]
    pub fn new() -> Stopper {
        Stopper(Arc::new(watch::Sender::new(ShutdownPhase::Serving)))
    }

    /// Stops: gracefully the first time, immediately after that.
    pub fn stop(&self) {
        self.0.send_modify(|phase| {
            *phase = match phase {
                ShutdownPhase::Serving => ShutdownPhase::Draining,
                ShutdownPhase::Draining | ShutdownPhase::Closing | ShutdownPhase::Gone => ShutdownPhase::Gone,
            };
        });
    }

    /// The deadline has passed.
    pub(crate) fn close(&self) {
        self.0.send_modify(|phase| *phase = (*phase).max(ShutdownPhase::Closing));
    }

    /// The side for a connection.
    pub fn drain(&self) -> Drain {
        Drain(self.0.subscribe())
    }
}

impl Drain {
    /// The current phase.
    pub fn phase(&self) -> ShutdownPhase {
        *self.0.borrow()
    }

    /// Waits until the phase is `phase` or a later one. Cancel safe.
    pub async fn reached(&mut self, phase: ShutdownPhase) {
        // An error means that the `Stopper` is gone: then the phase never changes again.
        if self.0.wait_for(|now| *now >= phase).await.is_err() {
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
}
