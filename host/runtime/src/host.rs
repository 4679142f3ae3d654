//! The imports that a plugin may call, a file each, and the linker that offers them.
//!
//! All of stable WASI 0.2, `wasi:http` included, is there and empty until a grant fills it, since toolchains import it whether the
//! program needs it or not. Files are our own implementation, which counts what a tenant's directory holds. `topics` and `wasi:keyvalue`
//! are there for those who are granted them: a session of others is not started (`grants.rs`).

pub(crate) mod bindings;
mod channel;
mod charges;
mod connection;
mod imports;
mod keyvalue;
mod log;
mod reserved;
mod shadows;
mod state;
mod terminal;
mod timers;
mod topics;
mod wasi;

pub(crate) use channel::{Channel, HandOverCheck, Handoff};
pub(crate) use charges::Charges;
pub(crate) use log::LogBook;
pub(crate) use state::State;
pub(crate) use terminal::Terminal;
pub(crate) use timers::Timers;
pub(crate) use topics::Topics;

use wasmtime::component::{HasSelf, Linker};

use crate::host::bindings::imports as generated;

/// Offers every import. What is not here is refused when a plugin is loaded.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    imports::link_wasi(linker)?;
    channel::link(linker)?;
    topics::link(linker)?;
    keyvalue::link(linker)?;
    generated::terminal::add_to_linker::<_, HasSelf<State>>(linker, |state| state)?;
    generated::connection::add_to_linker::<_, HasSelf<State>>(linker, |state| state)?;
    generated::timers::add_to_linker::<_, HasSelf<State>>(linker, |state| state)?;
    generated::log::add_to_linker::<_, HasSelf<State>>(linker, |state| state)
}
