//! The imports that only read or change a part of the state: log, timers, terminal. Each part lies in the file of its
//! name.

use std::time::Duration;

use tokio::time::Instant;

use super::state::State;
use crate::host::bindings::imports::types::{TerminalMode, WindowSize};
use crate::host::bindings::imports::{log, terminal, timers};

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

impl terminal::Host for State {
    fn get_size(&mut self) -> Option<WindowSize> {
        self.channel.window_size().map(WindowSize::from)
    }

    fn get_modes(&mut self) -> Vec<TerminalMode> {
        self.terminal.modes().map(|(opcode, argument)| TerminalMode { opcode, argument }).collect()
    }

    fn set_modes(&mut self, modes: Vec<TerminalMode>) -> Result<(), terminal::TerminalError> {
        if !self.channel.has_terminal() {
            return Err(terminal::TerminalError::NoTerminal);
        }
        let by_width = self.terminal.erases_by_width();
        let modes = self.terminal.set_modes(modes.iter().map(|mode| (mode.opcode, mode.argument)))?;
        self.channel.pipes.set_terminal_modes(modes, by_width);
        Ok(())
    }
}
