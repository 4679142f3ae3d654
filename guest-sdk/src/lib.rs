//! Write a Whelk plugin: a small program that greets people who come in by SSH.
//!
//! You need to know nothing about SSH. Somebody types `ssh hello@your-host`; Whelk looks after encryption, passwords
//! and the network, and calls your plugin. What the person types arrives as bytes in [`Session::data`]; what you
//! [`print()`] appears on their screen. Each person who comes in has an instance of your plugin to themselves, memory
//! and all, so nothing has to be locked, and when an instance crashes nobody else notices.
//!
//! # A plugin in full
//!
//! ```
//! use whelk_guest::{Session, finish, plugin, print};
//!
//! #[derive(Default)]
//! struct Hello;
//!
//! impl Session for Hello {
//!     fn shell(&mut self) -> bool {
//!         print("Hello! Type a letter.\r\n");
//!         true
//!     }
//!
//!     fn data(&mut self, data: &[u8]) {
//!         print(format!("You typed {}. Goodbye.\r\n", data.escape_ascii()));
//!         finish(0);
//!     }
//! }
//!
//! plugin!(Hello);
//! ```
//!
//! `Cargo.toml` says that the crate is a library of the kind that other languages call:
//!
//! ```toml
//! [lib]
//! crate-type = ["cdylib"]
//!
//! [dependencies]
//! whelk-guest = { path = "../../guest-sdk" }
//! ```
//!
//! Then `cargo build --release --target wasm32-wasip2` makes a `.wasm` file. Put it into the folder of plugins: its
//! file name is the plugin's name.
//!
//! # Five things that surprise newcomers
//!
//! * **Lines end in `\r\n`.** A terminal takes `\n` to mean "one line down" and no more; `\r` brings it back to the
//!   left.
//! * **Keys arrive as they are pressed** when the person has a terminal. Nothing shows them on the screen unless you
//!   do, and Ctrl-C is simply the byte 3. Without a terminal (`echo hi | ssh ...`) bytes arrive in pieces of any size.
//! * **The session lasts until [`finish`] is called**, or the person leaves. Returning from a function ends nothing.
//! * **[`print()`] waits** while the person's computer is slow, and you need not care. No other function of your plugin
//!   is called meanwhile.
//! * **`println!` is not [`print()`]**: it writes to the operator's log.
//!
//! # Where things are
//!
//! * [`Session`]: what happens in a session, one function each, all with defaults.
//! * [`plugin!`]: makes a plugin of your type. It takes the names of what else you handle: `plugin!(Clock: timers)` for
//!   [`TimerHandler`], and `drain`, `breaks`, `requests` and `messages` for its neighbours.
//! * [`print()`], [`eprint()`], [`stdout`], [`stderr`], [`write()`]: output. [`finish`], [`exit_signal`]: the end;
//!   [`hand_over`]: another goes on.
//! * [`pty`], [`env()`], [`connection`]: who is there and with what. [`terminal`]: their screen.
//! * [`timers`], [`log`]: alarm clocks, and lines for the operator.
//! * [`keyvalue`], [`topics`]: what sessions share, where the operator grants it.
//!
//! Outside of WebAssembly (in your own unit tests) there is no host to talk to: whatever calls it panics. Keep what is
//! worth testing in functions of its own.

#[doc(hidden)]
pub mod bindings;
pub mod connection;
#[doc(hidden)]
pub mod export;
pub mod keyvalue;
pub mod log;
mod output;
mod session;
mod signal;
pub mod terminal;
pub mod timers;
pub mod topics;

pub use bindings::whelk::ssh::types::{Ending, Exit, ExitSignal, Output, Pty, SignalName, TerminalMode, WindowSize};
pub use output::{
    HandOverError, MAX_WRITE, Stream, WriteError, env, eprint, exit_signal, finish, hand_over, print, pty, request,
    send_eof, stderr, stdout, writable, write,
};
pub use session::{BreakHandler, DrainHandler, MessageHandler, RequestHandler, Session, TimerHandler};
pub use signal::ParseSignalError;
