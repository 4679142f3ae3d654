//! A connection's part in the shutdown of the server: its terminals are told how long they have, and it ends.

use std::time::Duration;

use crate::connection::bridge::Bridge;
use crate::connection::end::End;
use crate::server::drain::{Drain, ShutdownPhase};

/// What a connection has seen of the shutdown.
pub(super) struct Shutdown {
    drain: Drain,
    phase: ShutdownPhase,
    /// The number of notices that its terminals were shown.
    notices: u32,
}

impl Shutdown {
    pub(super) fn new(drain: Drain) -> Shutdown {
        // Notices from before the connection do not concern it.
        let notices = drain.notices();
        Shutdown { drain, phase: ShutdownPhase::Serving, notices }
    }

    /// Waits until the shutdown has advanced since the last [`check`](Shutdown::check). Cancel safe.
    pub(super) async fn advanced(&mut self) {
        self.drain.advanced(self.phase, self.notices).await;
    }

    /// Shows a new notice on the connection's terminals. Ends the connection if the server stops: at once without a
    /// session, else at the deadline.
    pub(super) fn check(&mut self, bridge: &Bridge) -> Result<(), End> {
        let (phase, notice_given) = self.drain.stage(self.notices);
        self.phase = phase;
        if let Some((number, left)) = notice_given {
            self.notices = number;
            bridge.tell_terminals(&notice(left));
        }
        match self.phase {
            ShutdownPhase::Serving => Ok(()),
            ShutdownPhase::Draining if !bridge.is_empty() => Ok(()),
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
    format!("the server stops, and this session ends in {number} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_that_is_left_is_told_in_a_unit_that_fits() {
        let said = [1, 30, 119, 120, 600, 7199, 7200, 86400].map(|seconds| notice(Duration::from_secs(seconds)));
        let times = said.map(|text| text.rsplit_once(" in ").unwrap().1.to_owned());
        assert_eq!(times, ["1 s", "30 s", "119 s", "2 min", "10 min", "120 min", "2 h", "24 h"]);
    }
}
