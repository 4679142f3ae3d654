//! The imports that a plugin may call, a file each, and the linker that offers them.
//!
//! Of our own interfaces `channel`, `terminal`, `connection`, `timers` and `log` are there; `topics` waits for grants. All of stable
//! WASI 0.2 is there and empty, since toolchains import it whether the program needs it or not.

mod channel;
mod connection;
mod log;
mod state;
mod terminal;
mod timers;
mod wasi;

pub(crate) use log::LogBook;
pub(crate) use state::{Phase, State};

use wasmtime::component::{HasSelf, Linker};

use crate::bindings::imports;

/// Offers every import. What is not here is refused when a plugin is loaded.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasi::link(linker)?;
    channel::link(linker)?;
    imports::terminal::add_to_linker::<_, HasSelf<State>>(linker, |state| state)?;
    imports::connection::add_to_linker::<_, HasSelf<State>>(linker, |state| state)?;
    imports::timers::add_to_linker::<_, HasSelf<State>>(linker, |state| state)?;
    imports::log::add_to_linker::<_, HasSelf<State>>(linker, |state| state)
}
