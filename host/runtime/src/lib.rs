//! Runs plugins: WebAssembly components under wasmtime, one instance per session, with limits. Knows not one byte of SSH.
//!
//! Read in this order: `happening` (the words), `pipe` (how a connection and a session meet), `instance` (the life of a session),
//! `host` (what a plugin may call), `engine`, `limits` and what counts (`meter`, `memory`, `budget`, `permit`: how it is held), `plugin` and
//! `registry` (where it comes from), `loader`, `compile` and `cache` (how a file becomes one), `health` and `probation` (when a version is
//! given up).
//!
//! The connection's task makes [`session_pipes`], keeps the [`Inbox`] and the [`Outbox`], gives the [`SessionSide`] to
//! [`Plugin::session`] and spawns that future. The whole event loop of a session is in the future, so all of it is tested here.

mod bindings;
mod bucket;
mod budget;
mod cache;
mod compile;
mod contain;
mod engine;
mod error;
mod grants;
mod happening;
mod health;
mod host;
mod instance;
mod limits;
mod loader;
mod memory;
mod meter;
mod notice;
mod permit;
mod pipe;
mod plugin;
mod plugins;
mod probation;
mod registry;
mod report;
mod session;
mod tenant;

pub use cache::{Cache, CacheKey};
pub use compile::{CompileSettings, Compiler, compile_stdin};
pub use engine::{Engine, EngineSettings};
pub use error::{Error, Limit};
pub use grants::topics::{TopicLimits, Topics};
pub use grants::{
    Access, AllowList, Clock, Directory, DirectoryError, Grant, Grants, Quota, TcpAllow, Usage, keyvalue,
};
pub use happening::{Ending, Exit, Facts, Happening, Output, Pty, SignalName, WindowSize};
pub use health::HealthSettings;
pub use limits::Limits;
pub use loader::{Loader, Terms};
pub use notice::notice;
pub use pipe::{Drained, Inbox, Outbox, SessionSide, Sink, Wake, session_pipes};
pub use plugin::{Contents, Plugin};
pub use plugins::{Plugins, Routes, Start};
pub use registry::{Listed, Published, Registry, RegistrySettings};
pub use report::{Report, Stay};
pub use tenant::Tenant;
