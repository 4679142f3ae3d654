//! The request `drain`: a graceful stop, with a time of its own for sessions.
//!
//! It cannot be undone: a server that drains has closed its sockets, and the next one may have bound them.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{AskedRequest, Requests, TIME, error};
use crate::observe::event::{ServerEvent, emit};
use crate::server::connection_table::ConnectionTable;
use crate::server::drain::{DrainTime, Stopper};

/// The request.
pub const DRAIN: &str = "drain";
/// The longest time that sessions may be given.
const LONGEST: Duration = Duration::from_secs(30 * 86_400);

/// How to drain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DrainRequest {
    /// How long sessions have, milliseconds. None: `drain` of the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_ms: Option<u64>,
}

/// What a drain has found. `whelk drain --json` prints it; fields are added and never changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DrainOutcome {
    /// False: the server was stopping already, and nothing has changed.
    pub begun: bool,
    /// How long sessions have, seconds.
    pub left_s: u64,
    /// Connections that there are.
    pub connections: u64,
    /// Sessions that there are.
    pub sessions: u64,
}

impl Requests {
    /// With the request [`DRAIN`]. `time`: how long sessions have if the request does not say.
    #[must_use]
    pub fn with_drain(self, table: &Arc<ConnectionTable>, stopper: &Stopper, time: &DrainTime) -> Requests {
        let (table, stopper, time) = (Arc::clone(table), stopper.clone(), time.clone());
        self.with_asked(DRAIN, TIME, move |asked| {
            let answer = answer(&asked, &table, &stopper, &time);
            async move { answer }
        })
    }
}

fn answer(asked: &AskedRequest, table: &ConnectionTable, stopper: &Stopper, time: &DrainTime) -> Value {
    let request = match asked.parse::<DrainRequest>() {
        Ok(request) => request,
        Err(reason) => return error(&reason),
    };
    let configured = time.get();
    let time = request.time_ms.map_or(configured, Duration::from_millis);
    if time > LONGEST {
        return error("`--time` is at most 30 d");
    }
    let (connections, sessions) = table.counts();
    let begun = stopper.drain_within(time);
    if begun {
        emit(ServerEvent::DrainRequested { uid: asked.uid, seconds: time.as_secs() });
    }
    let drain = stopper.drain();
    // The time that is left is known once the listener has closed its sockets.
    let left = if begun { time } else { drain.left().or(drain.requested()).unwrap_or(configured) };
    let (connections, sessions) = (connections as u64, sessions as u64);
    json!(DrainOutcome { begun, left_s: left.as_secs(), connections, sessions })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::drain::ShutdownPhase;

    #[tokio::test]
    async fn a_drain_begins_once_with_the_time_that_was_asked_for() {
        let (stopper, table) = (Stopper::new(), Arc::new(ConnectionTable::default()));
        let requests = Requests::default().with_drain(&table, &stopper, &DrainTime::new(Duration::from_secs(30)));
        let long = requests.answer("drain {\"time_ms\":99999999999}").await;
        assert_eq!(long["error"], "`--time` is at most 30 d");
        assert_eq!(stopper.drain().phase(), ShutdownPhase::Serving);
        let begun = requests.answer("drain {\"time_ms\":90000}").await;
        assert_eq!(begun, json!({ "begun": true, "left_s": 90, "connections": 0, "sessions": 0 }));
        assert_eq!(stopper.drain().requested(), Some(Duration::from_secs(90)));
        // No listener has given notice yet.
        let again = requests.answer("drain {\"time_ms\":5000}").await;
        assert_eq!(again, json!({ "begun": false, "left_s": 90, "connections": 0, "sessions": 0 }));
        let other = Stopper::new();
        let requests = Requests::default().with_drain(&table, &other, &DrainTime::new(Duration::from_secs(30)));
        assert_eq!(requests.answer("drain").await["left_s"], 30);
    }
}
