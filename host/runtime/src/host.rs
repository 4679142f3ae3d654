//! The imports that a plugin may call, a file each, and the linker that offers them.
//!
//! All of stable WASI 0.2 is there and empty, since toolchains import it whether the program needs it or not. A grant fills it: files are
//! our own implementation, which counts what a tenant's directory holds. `topics` and `wasi:keyvalue` answer from what the session's
//! tenant is granted.

mod channel;
mod connection;
mod files;
mod imports;
mod keyvalue;
mod log;
mod state;
mod terminal;
mod timers;
mod topics;
mod wasi;

pub(crate) use log::LogBook;
pub(crate) use state::{Luggage, Phase, State, Takers};

use wasmtime::component::{HasSelf, Linker};
use wasmtime_wasi::p2::bindings::filesystem;

use crate::bindings::imports as generated;
use files::HasFiles;

/// Offers every import. What is not here is refused when a plugin is loaded.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    link_files(linker)?;
    channel::link(linker)?;
    topics::link(linker)?;
    keyvalue::link(linker)?;
    generated::terminal::add_to_linker::<_, HasSelf<State>>(linker, |state| state)?;
    generated::connection::add_to_linker::<_, HasSelf<State>>(linker, |state| state)?;
    generated::timers::add_to_linker::<_, HasSelf<State>>(linker, |state| state)?;
    generated::log::add_to_linker::<_, HasSelf<State>>(linker, |state| state)
}

/// Puts our files, which are counted, in the place of wasmtime-wasi's.
fn link_files(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    filesystem::types::add_to_linker::<_, HasFiles>(linker, State::files)?;
    filesystem::preopens::add_to_linker::<_, HasFiles>(linker, State::files)?;
    linker.allow_shadowing(false);
    Ok(())
}
