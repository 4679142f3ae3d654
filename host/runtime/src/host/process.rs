//! `whelk:process`: processes, and what they have open.
//!
//! Registered by hand, like `channel.rs`: most of it waits, and a write is copied once. What is no program has no
//! process: for it every function fails with `not-supported`.

mod bindings;
mod fd;
mod handle;

use wasmtime::component::Linker;

use super::state::State;

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    fd::link(&mut linker.instance("whelk:process/process@0.1.0")?)
}
