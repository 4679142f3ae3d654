//! Write a Whelk plugin: a small program that serves people who log in by SSH.
//!
//! You need not know anything about SSH. Somebody types `ssh hello@your-host`; Whelk handles encryption, passwords and
//! the network, and calls your plugin. What the person types arrives as bytes in [`Session::data`]; what you
//! [`print()`] appears on their screen. Each session has an instance of your plugin with memory of its own, so you need
//! no locks, and a crash ends only that session.
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
//! `Cargo.toml` makes the crate a C-compatible dynamic library, the crate type that becomes a component:
//!
//! ```toml
//! [lib]
//! crate-type = ["cdylib"]
//!
//! [dependencies]
//! whelk-guest = { path = "../../guest-sdk" }
//! ```
//!
//! Then `cargo build --release --target wasm32-wasip2` produces a `.wasm` file. Put it into the plugin folder: its file
//! name is the plugin's name.
//!
//! # Five things that surprise newcomers
//!
//! * **Lines end in `\r\n`.** For a terminal `\n` only moves one line down; `\r` moves back to the left edge.
//! * **Keys arrive as they are pressed** when the person has a terminal. Nothing echoes them unless you do, and Ctrl-C
//!   is simply the byte 3. Without a terminal (`echo hi | ssh ...`) bytes arrive in pieces of any size.
//! * **The session lasts until you call [`finish`]**, or the person leaves. Returning from a function ends nothing.
//! * **[`print()`] blocks** while the person's computer is slow. No other function of your plugin is called in the
//!   meantime.
//! * **`println!` is not [`print()`]**: it writes to the operator's log.
//!
//! # Where things are
//!
//! * [`Session`]: the events of a session, one function each, all with defaults.
//! * [`plugin!`]: makes a plugin of your type. It takes the names of the optional handlers: `plugin!(Clock: timers)`
//!   for [`TimerHandler`], and likewise `drain`, `breaks`, `requests` and `messages`.
//! * [`print()`], [`eprint()`], [`stdout`], [`stderr`], [`write()`]: output. [`finish`], [`exit_signal`]: the end of
//!   the session; [`hand_over`]: another plugin takes over.
//! * [`pty`], [`env()`], [`connection`]: facts about the session. [`terminal`]: the person's terminal.
//! * [`editor`]: a line editor, with history and completion.
//! * [`timers`], [`log`]: timers, and lines for the operator's log.
//! * [`keyvalue`], [`topics`]: what sessions share, where the operator grants it.
//! * [`Authenticator`], [`authenticator!`], [`config`]: a plugin that decides who may log in, and what its operator
//!   wrote for it.
//! * [`whelk_command!`]: for a program, a plain `fn main`, which serves a session by its standard streams alone.
//! * [`process`]: a program starts others, joins them with pipes and controls them, where the operator grants it.
//! * [`space`]: how much room there is for files. [`files`]: what servers of files need beside `wasi:filesystem`.
//! * [`Connection`], [`connection_plugin!`], [`connection_control`]: a plugin that handles whole connections, with
//!   channel types and requests of its own.
//!
//! Outside WebAssembly (in your own unit tests) there is no host: functions that call it panic. Keep the logic that you
//! want to test in functions of its own.

mod authenticator;
#[doc(hidden)]
pub mod bindings;
pub mod config;
pub mod connection;
pub mod editor;
#[doc(hidden)]
pub mod export;
pub mod files;
pub mod keyvalue;
pub mod log;
mod output;
pub mod process;
mod session;
pub mod space;
pub mod terminal;
pub mod timers;
pub mod topics;

pub use authenticator::{
    Attempt, AuthMethod, Authenticator, Certificate, Challenge, Grant, Prompt, PublicKey, Verdict,
};
pub use bindings::whelk::ssh::types::{Ending, Exit, ExitSignal, Output, Pty, SignalName, TerminalMode, WindowSize};
pub use connection::control as connection_control;
pub use connection::plugin::{Connection, OpenVerdict, Refusal};
pub use output::{
    HandOverError, MAX_WRITE, Stream, WriteError, env, eprint, exit_signal, finish, hand_over, print, pty, request,
    send_eof, stderr, stdout, writable, write,
};
pub use session::{
    BreakHandler, DrainHandler, MessageHandler, ParseSignalError, RequestHandler, Session, TimerHandler,
};
