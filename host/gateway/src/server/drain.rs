//! How the program stops, in steps: told to stop, out of time, gone.
//!
//! ```text
//!   Serving --stop--> Draining --deadline--> Closing --all gone, or a moment later--> Gone
//!                        '------------------- stop once more ----------------------->'
//! ```
//!
//! The [`Stopper`] moves it on; every connection holds a [`Drain`] and waits for what concerns it.

use std::sync::Arc;

use tokio::sync::watch;

/// How far the program has got with stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// It has not been told to stop.
    Serving,
    /// No new connections, no new sessions. Sessions that exist go on until the deadline; a connection without any ends.
    Draining,
    /// The deadline has passed: send DISCONNECT (11, by application) and end.
    Closing,
    /// What still exists is dropped where it stands.
    Gone,
}

/// The side that stops. Clones stop the same program.
#[derive(Clone, Debug)]
pub struct Stopper(Arc<watch::Sender<Phase>>);

/// The side that is stopped: what a connection waits for.
#[derive(Clone, Debug)]
pub struct Drain(watch::Receiver<Phase>);

impl Stopper {
    /// A program that serves.
    #[expect(clippy::new_without_default, reason = "a default would hide that each one is a program of its own")]
    pub fn new() -> Stopper {
        Stopper(Arc::new(watch::Sender::new(Phase::Serving)))
    }

    /// Stops: the first time in peace, after that at once.
    pub fn stop(&self) {
        self.0.send_modify(|phase| {
            *phase = match phase {
                Phase::Serving => Phase::Draining,
                Phase::Draining | Phase::Closing | Phase::Gone => Phase::Gone,
            };
        });
    }

    /// The deadline has passed.
    pub(crate) fn close(&self) {
        self.0.send_modify(|phase| *phase = (*phase).max(Phase::Closing));
    }

    /// What a connection may hold.
    pub fn drain(&self) -> Drain {
        Drain(self.0.subscribe())
    }
}

impl Drain {
    /// How far it has got.
    pub fn phase(&self) -> Phase {
        *self.0.borrow()
    }

    /// Waits until it has got as far as `phase`, or further. Can be dropped and called again.
    pub async fn reached(&mut self, phase: Phase) {
        // An error means that nobody is left who could stop anything: then nothing is ever reached.
        if self.0.wait_for(|now| *now >= phase).await.is_err() {
            std::future::pending().await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_stop_is_at_once() {
        let stopper = Stopper::new();
        let drain = stopper.drain();
        assert_eq!(drain.phase(), Phase::Serving);
        stopper.stop();
        assert_eq!(drain.phase(), Phase::Draining);
        stopper.stop();
        assert_eq!(drain.phase(), Phase::Gone);
        stopper.stop();
        stopper.close();
        assert_eq!(drain.phase(), Phase::Gone);
    }

    #[tokio::test]
    async fn whoever_waits_late_is_told_at_once() {
        let stopper = Stopper::new();
        stopper.stop();
        stopper.close();
        let mut drain = stopper.drain();
        drain.reached(Phase::Draining).await;
        drain.reached(Phase::Closing).await;
        assert_eq!(drain.phase(), Phase::Closing);
    }
}
