//! The imports that only read or change a part of the state: log, timers. Each part lies in the file of its
//! name.

use std::time::Duration;

use tokio::time::Instant;

use super::state::State;
use crate::host::bindings::imports::{log, timers};

impl log::Host for State {
    fn log(&mut self, level: log::Level, message: String) {
        self.log.line(level, &message);
    }
}

impl timers::Host for State {
    fn set(&mut self, timer: u32, after_ms: u32, every_ms: Option<u32>) -> Result<(), timers::TimerError> {
        let after = Duration::from_millis(after_ms.into());
        let every = every_ms.map(|every| Duration::from_millis(every.into()));
        self.timers.set(Instant::now(), timer, after, every)
    }

    fn cancel(&mut self, timer: u32) {
        self.timers.cancel(timer);
    }
}
