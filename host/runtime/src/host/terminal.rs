//! `whelk:ssh/terminal`: the size and the modes of the user's terminal.
//!
//! The line discipline itself lies between the pipes of the session (`channel/terminal.rs`). Event handlers start raw:
//! with the client's modes, but everything off that would change a byte, make a signal or echo. Programs start with the
//! client's modes.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wasmtime::StoreContextMut;
use wasmtime::component::Linker;

use super::channel::Channel;
use crate::host::bindings::imports::terminal::TerminalError;
use crate::host::bindings::imports::types::{TerminalMode, WindowSize};
use crate::posix::process::ProcessEntry;
use crate::terminal::Modes;
use crate::terminal::modes::is_known;

/// A store whose data has a terminal.
pub(super) trait HasTerminal: Send + 'static {
    fn terminal(&self) -> &Arc<Mutex<Terminal>>;
    fn channel(&self) -> &Channel;
    /// What a program is in the process table.
    fn process(&self) -> Option<&Arc<ProcessEntry>>;
}

type Context<'s, T> = StoreContextMut<'s, T>;
type Waits<'s, R> = Box<dyn Future<Output = wasmtime::Result<(R,)>> + Send + 's>;

/// Registered by hand, because a program of the background that changes the modes waits until it continues.
pub(super) fn link<T: HasTerminal>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    let mut terminal = linker.instance("whelk:ssh/terminal@0.1.0")?;
    terminal.func_wrap("get-size", |store: Context<'_, T>, ()| {
        Ok((store.data().channel().window_size().map(WindowSize::from),))
    })?;
    terminal.func_wrap("get-modes", |store: Context<'_, T>, ()| {
        let terminal = lock(store.data().terminal());
        let modes = terminal.modes().map(|(opcode, argument)| TerminalMode { opcode, argument });
        Ok((modes.collect::<Vec<_>>(),))
    })?;
    terminal.func_wrap_async("set-modes", |store: Context<'_, T>, (modes,): (Vec<TerminalMode>,)| -> Waits<'_, _> {
        Box::new(async move { Ok((set_modes(store, &modes).await,)) })
    })
}

/// tcsetattr(3).
async fn set_modes<T: HasTerminal>(store: Context<'_, T>, modes: &[TerminalMode]) -> Result<(), TerminalError> {
    if !store.data().channel().has_terminal() {
        return Err(TerminalError::NoTerminal);
    }
    if let Some(process) = store.data().process().map(Arc::clone)
        && process.may_change_terminal().await.is_err()
    {
        return Err(TerminalError::NoTerminal);
    }
    let state = store.data();
    let mut terminal = lock(state.terminal());
    let by_width = terminal.erases_by_width();
    let modes = terminal.set_modes(modes.iter().map(|mode| (mode.opcode, mode.argument)))?;
    state.channel().pipes.set_terminal_modes(modes, by_width);
    Ok(())
}

/// Every change of the settings is complete or not made.
pub(crate) fn lock(terminal: &Arc<Mutex<Terminal>>) -> MutexGuard<'_, Terminal> {
    terminal.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The settings of the terminal that a process has accepted. The terminal itself is its channel's.
#[derive(Default)]
pub(crate) struct Terminal {
    /// Those in force; none before there is a terminal.
    modes: Option<Modes>,
    /// How characters are erased.
    by_width: bool,
}

impl Terminal {
    /// The modes that the process starts with.
    pub(crate) fn begin(&mut self, modes: Modes, by_width: bool) {
        (self.modes, self.by_width) = (Some(modes), by_width);
    }

    /// The process wants nothing of the terminal that an earlier one has accepted.
    pub(crate) fn forget(&mut self) {
        self.modes = None;
    }

    pub(super) fn modes(&self) -> impl Iterator<Item = (u8, u32)> + '_ {
        self.modes.iter().flat_map(Modes::all)
    }

    pub(super) fn erases_by_width(&self) -> bool {
        self.by_width
    }

    /// Changes all of these settings, or none if one of them is unknown. Returns those in force.
    pub(super) fn set_modes(
        &mut self,
        changes: impl Iterator<Item = (u8, u32)> + Clone,
    ) -> Result<&Modes, TerminalError> {
        if changes.clone().any(|(opcode, _)| !is_known(opcode)) {
            return Err(TerminalError::UnknownMode);
        }
        let modes = self.modes.get_or_insert_with(|| raw(&[]));
        for (opcode, argument) in changes {
            modes.apply(opcode, argument);
        }
        Ok(modes)
    }
}

/// The modes that an event handler starts with.
pub(crate) fn raw(modes: &[(u8, u32)]) -> Modes {
    let mut modes = Modes::of_client(modes);
    modes.make_raw();
    modes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_mode_counts_once_with_its_last_value_and_nothing_is_on_that_changes_bytes() {
        let mut modes = vec![(1, 3); 13_000];
        modes.extend([(53, 1), (128, 9600), (1, 4), (200, 1)]);
        let mut terminal = Terminal::default();
        terminal.begin(raw(&modes), false);
        let all: Vec<_> = terminal.modes().collect();
        assert_eq!(all.iter().filter(|(opcode, _)| *opcode == 1).collect::<Vec<_>>(), [&(1, 4)]);
        assert!([(53, 0), (51, 0), (70, 0), (91, 1), (128, 9600)].iter().all(|mode| all.contains(mode)), "{all:?}");
    }

    #[test]
    fn an_unknown_mode_changes_nothing() {
        let mut terminal = Terminal::default();
        terminal.begin(raw(&[]), false);
        assert!(terminal.set_modes([(53, 1), (200, 1)].into_iter()).is_err());
        assert!(terminal.modes().any(|mode| mode == (53, 0)));
        assert!(terminal.set_modes([(53, 1)].into_iter()).is_ok());
        assert!(terminal.modes().any(|mode| mode == (53, 1)));
    }
}
