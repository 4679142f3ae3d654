//! The imports that a plugin may call, a file each, and the linker that offers them.
//!
//! All of stable WASI 0.2, including `wasi:http`, is linked and empty until a grant provides it, because toolchains
//! import it whether the program needs it or not. Files are our own implementation, which counts the contents of a
//! tenant's directory. `wasi:config` is linked for all and empty for all but authenticators. `topics`, `wasi:keyvalue`
//! and `whelk:process` need a grant: without it a session with a plugin that imports them is not started (`grants.rs`).

pub(crate) mod bindings;
mod channel;
mod charges;
mod connection;
mod control;
mod files;
mod imports;
mod keyvalue;
mod log;
mod process;
mod reserved;
mod space;
mod spawner;
mod state;
mod terminal;
mod timers;
mod topics;
mod wasi;
mod wasi_link;

pub use channel::HOST_VARIABLES;
pub(crate) use channel::{Channel, HandOverCheck, HandOverState, ORIGINAL_COMMAND};
pub(crate) use charges::Charges;
pub(crate) use control::Control;
pub(crate) use log::{LogBook, TEXT, printable};
pub use reserved::is_private_name;
pub(crate) use spawner::{NewProgram, Replaced, Replacement, SpawnParent, Spawner, Spawning};
pub(crate) use state::State;
pub(crate) use terminal::{Terminal, lock, raw};
pub(crate) use timers::Timers;
pub(crate) use topics::SessionTopics;
pub(crate) use wasi::ProgramStart;
pub(crate) use wasi::descriptors::ProcessIo;
pub(crate) use wasi::files::{OpenProgram, ProgramBytes, ProgramFile, ProgramFiles};
pub(crate) use wasi::stdio::BrokenPipe;

use wasmtime::component::{HasSelf, Linker};

use crate::host::bindings::imports as generated;

/// Links every import. A plugin with any other import is refused when it is loaded.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasi_link::link(linker)?;
    channel::link(linker)?;
    control::link(linker)?;
    space::link(linker)?;
    files::link(linker)?;
    topics::link(linker)?;
    keyvalue::link(linker)?;
    process::link(linker)?;
    wasmtime_wasi_config::add_to_linker(linker, |state: &mut State| state.grants().config.variables().into())?;
    terminal::link(linker)?;
    generated::connection::add_to_linker::<_, HasSelf<State>>(linker, |state| state)?;
    generated::timers::add_to_linker::<_, HasSelf<State>>(linker, |state| state)?;
    generated::log::add_to_linker::<_, HasSelf<State>>(linker, |state| state)
}
