//! `whelk:process`: processes, and what they have open.
//!
//! Registered by hand, like `channel.rs`: most of it waits, and a write is copied once. What is no program has no
//! process: for it every function fails with `not-supported`.

mod bindings;
mod children;
mod fd;
mod handle;
mod signals;

use wasmtime::component::Linker;

use super::state::State;

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut process = linker.instance("whelk:process/process@0.1.0")?;
    fd::link(&mut process)?;
    children::link(&mut process)?;
    signals::link(&mut process)
}
