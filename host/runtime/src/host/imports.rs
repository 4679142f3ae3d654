//! The imports that only ask or tell a part of the state: log, timers, terminal; and how the linker finds WASI in it.
//! What they act on lies in the file of each.

use std::time::Duration;

use tokio::time::Instant;
use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::p2::IoError;
use wasmtime_wasi::p2::bindings::filesystem;
use wasmtime_wasi::p2::bindings::sockets::tcp_create_socket;
use wasmtime_wasi::{WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtxView, WasiHttpView};

use super::shadows;
use super::state::State;
use crate::host::bindings::imports::types::{TerminalMode, WindowSize};
use crate::host::bindings::imports::{log, terminal, timers};
use crate::host::wasi::files::HasFiles;
use crate::host::wasi::sockets::SocketMaker;

/// The name for the linker.
const ERROR: &str = "wasi:io/error@0.2.12";

/// Links WASI: wasmtime-wasi's, except where it is less careful than it must be here.
pub(super) fn link_wasi(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    linker.allow_shadowing(true);
    // Sockets are counted.
    tcp_create_socket::add_to_linker::<_, Sockets>(linker, |state| state.wasi().sockets())?;
    // The error of a stream has a message. With RUST_BACKTRACE set it would include a backtrace of the host.
    linker.instance(ERROR)?.func_wrap(
        "[method]error.to-debug-string",
        |mut store, (error,): (Resource<IoError>,)| {
            let error = store.data_mut().wasi().view().table.get(&error)?;
            Ok((format!("{error:#}"),))
        },
    )?;
    // Files are our own implementation, which counts what a tenant's directory holds.
    filesystem::types::add_to_linker::<_, HasFiles>(linker, State::files)?;
    filesystem::preopens::add_to_linker::<_, HasFiles>(linker, State::files)?;
    shadows::link(linker)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Tells the linker the type: the maker of sockets is borrowed for one call.
struct Sockets;

impl HasData for Sockets {
    type Data<'a> = SocketMaker<'a>;
}

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
        self.terminal
            .modes()
            .iter()
            .map(|(opcode, argument)| TerminalMode { opcode: *opcode, argument: *argument })
            .collect()
    }

    fn set_modes(&mut self, modes: Vec<TerminalMode>) -> Result<(), terminal::TerminalError> {
        if !self.channel.has_terminal() {
            return Err(terminal::TerminalError::NoTerminal);
        }
        self.terminal.set_modes(modes.iter().map(|mode| (mode.opcode, mode.argument)))
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.wasi().view()
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        self.wasi().http()
    }
}
