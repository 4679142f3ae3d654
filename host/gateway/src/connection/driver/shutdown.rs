//! A connection's part in the shutdown of the server: its terminals are told how long they have, and it ends.

use std::future::{Future, poll_fn};
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::task::unconstrained;
use tokio::time::sleep_until;

use crate::connection::bridge::Bridge;
use crate::connection::end::End;
use crate::server::drain::{Drain, ShutdownPhase};

/// How long after it was accepted a connection may take to log in and open its first session while the server stops.
/// Whoever connects just before a restart is served, and silent connections delay it by no more than this.
const LOGIN_TIME: Duration = Duration::from_secs(2);

/// What a connection has seen of the shutdown.
pub(super) struct Shutdown {
    drain: Drain,
    /// When the connection no longer counts as one that has just begun.
    begun: Instant,
    /// At the last check the server was stopping, and the connection had just begun.
    is_beginning: bool,
    phase: ShutdownPhase,
    /// The number of notices that its terminals were shown.
    notices: u32,
    /// Wakes this task when the shutdown advances.
    wait: Option<Wait>,
}

/// A wait for the shutdown, and the task that it wakes.
struct Wait {
    /// Held, since its drop would end the wait.
    _advanced: Pin<Box<dyn Future<Output = ()> + Send>>,
    task: Waker,
}

impl Shutdown {
    /// For a connection that is accepted now.
    pub(super) fn new(drain: Drain, now: Instant) -> Shutdown {
        let (begun, phase) = (now + LOGIN_TIME, drain.phase());
        Shutdown { drain, begun, is_beginning: false, phase, notices: 0, wait: None }
    }

    /// Waits until the shutdown has advanced since the last [`check`](Shutdown::check). Cancel safe.
    ///
    /// One wait serves for all calls until then: a connection waits after every turn, and registering each time would
    /// take locks that all connections share.
    pub(super) async fn advanced(&mut self) {
        if self.is_beginning {
            let begun = self.begun.into();
            tokio::select! {
                () = poll_fn(|context| self.poll_advanced(context)) => {}
                () = sleep_until(begun) => {}
            }
        } else {
            poll_fn(|context| self.poll_advanced(context)).await;
        }
    }

    fn poll_advanced(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.drain.may_have_changed() {
            return Poll::Ready(());
        }
        if self.wait.as_ref().is_some_and(|wait| wait.task.will_wake(context.waker())) {
            return Poll::Pending;
        }
        let (mut drain, phase, notices) = (self.drain.clone(), self.phase, self.notices);
        // Outside tokio's cooperative budget: with none left, the poll would be pending without registering a waker.
        let mut advanced = Box::pin(unconstrained(async move { drain.advanced(phase, notices).await }));
        let polled = advanced.as_mut().poll(context);
        self.wait = Some(Wait { _advanced: advanced, task: context.waker().clone() });
        polled
    }

    /// Shows a new notice on the connection's terminals. Ends the connection if the server stops: at the deadline;
    /// before that without a session, unless it has just begun.
    pub(super) fn check(&mut self, bridge: &Bridge, now: Instant) -> Result<(), End> {
        if self.phase == ShutdownPhase::Serving && !self.drain.may_have_changed() {
            return Ok(());
        }
        let (phase, notice_given) = self.drain.stage(self.notices);
        (self.phase, self.wait) = (phase, None);
        if let Some((number, left)) = notice_given {
            self.notices = number;
            bridge.tell_terminals(&notice(left));
        }
        match self.phase {
            ShutdownPhase::Serving => Ok(()),
            ShutdownPhase::Draining if !bridge.is_empty() => {
                // Its first session was opened after the notice.
                if mem::take(&mut self.is_beginning)
                    && let (_, Some((_, left))) = self.drain.stage(0)
                {
                    bridge.tell_terminals(&notice(left));
                }
                Ok(())
            }
            ShutdownPhase::Draining if now < self.begun && !bridge.row().has_had_sessions() => {
                self.is_beginning = true;
                Ok(())
            }
            ShutdownPhase::Draining | ShutdownPhase::Closing | ShutdownPhase::Gone => Err(End::Shutdown),
        }
    }
}

/// The text for terminals.
fn notice(left: Duration) -> String {
    let seconds = left.as_secs_f64().round();
    let (number, unit) = match seconds {
        _ if seconds >= 7200.0 => ((seconds / 3600.0).round(), "h"),
        _ if seconds >= 120.0 => ((seconds / 60.0).round(), "min"),
        _ => (seconds, "s"),
    };
    format!("server is shutting down; this session will be closed in {number} {unit}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use whelk_ssh::crypto::key::HostKey;

    use super::*;
    use crate::connection::bridge::fixture::with_host_key;
    use crate::server::drain::Stopper;
    use crate::source::Peer;

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_has_just_begun_has_two_seconds_for_its_first_session() {
        let (_folder, gateway) = with_host_key(HostKey::generate().unwrap());
        let (bridge, stopper) = (Bridge::new(Arc::new(gateway), 1, Peer::Unknown), Stopper::new());
        let now = || tokio::time::Instant::now().into_std();
        let mut shutdown = Shutdown::new(stopper.drain(), now());
        assert!(shutdown.check(&bridge, now()).is_ok());
        stopper.stop();
        shutdown.advanced().await;
        assert!(shutdown.check(&bridge, now()).is_ok());
        let stopped = now();
        shutdown.advanced().await;
        assert_eq!(now() - stopped, LOGIN_TIME);
        assert!(matches!(shutdown.check(&bridge, now()), Err(End::Shutdown)));
        // One that is older ends at once, and one that has had its session, too.
        let mut old = Shutdown::new(stopper.drain(), stopped);
        assert!(matches!(old.check(&bridge, now()), Err(End::Shutdown)));
        let (inbox, _outbox, _half) = whelk_runtime::session_pipes(1 << 10, Arc::new(|| ()));
        drop(bridge.row().add_session(0, inbox.handle()));
        let mut new = Shutdown::new(stopper.drain(), now());
        assert!(matches!(new.check(&bridge, now()), Err(End::Shutdown)));
    }

    #[test]
    fn the_time_that_is_left_is_told_in_a_unit_that_fits() {
        let said = [1, 30, 119, 120, 600, 7199, 7200, 86400].map(|seconds| notice(Duration::from_secs(seconds)));
        let times = said.map(|text| text.rsplit_once(" in ").unwrap().1.to_owned());
        assert_eq!(times, ["1 s", "30 s", "119 s", "2 min", "10 min", "120 min", "2 h", "24 h"]);
    }
}
