//! The imports that a plugin may call, a file each, and the linker that offers them.
//!
//! Of our own interfaces `channel`, `terminal`, `connection`, `timers` and `log` are there; `topics` waits for grants. All of stable
//! WASI 0.2 is there and empty, since toolchains import it whether the program needs it or not.

mod channel;
mod connection;
mod imports;
mod log;
mod state;
mod terminal;
mod timers;
mod wasi;

pub(crate) use log::LogBook;
pub(crate) use state::{Luggage, Phase, State, Takers};

use wasmtime::component::{HasSelf, Linker};

use crate::bindings::imports as generated;

/// Offers every import. What is not here is refused when a plugin is loaded.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    channel::link(linker)?;
    generated::terminal::add_to_linker::<_, HasSelf<State>>(linker, |state| state)?;
    generated::connection::add_to_linker::<_, HasSelf<State>>(linker, |state| state)?;
    generated::timers::add_to_linker::<_, HasSelf<State>>(linker, |state| state)?;
    generated::log::add_to_linker::<_, HasSelf<State>>(linker, |state| state)
}
