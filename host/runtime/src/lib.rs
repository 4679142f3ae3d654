//! Runs plugins: WebAssembly components under wasmtime, one instance per session, with limits. Knows nothing of SSH.
//!
//! The map:
//!
//! | module | what it owns |
//! |---|---|
//! | `session_types` | the types that a session and its connection share: events, exits, facts |
//! | `channel` | the two pipes between a connection and a session; the state machine (`channel/lifecycle.rs`) |
//! | `session` | drives a session (state machine: `channel/lifecycle.rs`) from process to process, and reports |
//! | `authenticator` | plugins that decide about logins: one instance for the exchange of one client |
//! | `connection` | plugins that handle whole connections: one instance for each |
//! | `connection_types` | what a connection and its connection plugin say to each other |
//! | `process` | one store with one instance: made (`store.rs`), entered (`guest.rs`) and called (`handler.rs`) |
//! | `posix` | what the processes of a session share: their table, groups, signals, descriptors, pipes |
//! | [`terminal`] | the line discipline: modes and bytes in; bytes for the program, echo and signals out |
//! | `host` | the imports that a guest may call, a file each; WASI below it |
//! | `grants` | what a tenant may be granted: a tree of files with a directory or homes, key-value, network, topics |
//! | `limits` | every limit, and what is counted against it: budgets, rates, permits, CPU and memory |
//! | `plugin` | a compiled component, how a file becomes one, versions, circuit breakers |
//! | `engine` | wasmtime's engine, the epoch ticker, the reaper, memory slots |
//! | [`event`] | one typed event for each line of the log |
//! | [`supervise`] | the panic guard, and the tasks and threads that live long |
//! | `tenant` | tenants: limits, grants and budgets that their sessions share |
//!
//! The connection's task makes [`session_pipes`], keeps the [`Inbox`] and the [`Outbox`], gives the [`SessionHalf`] to
//! [`Plugin::session`] and spawns that future. The whole event loop of a session is in the future, so all of it is
//! tested here.
//!
//! # Failure isolation
//!
//! A connection and each of its sessions have a task each, connected only by the two pipes. A session that traps, is
//! stopped, is dropped or makes the host panic queues an exit; its connection continues. When a connection ends or
//! panics, it drops its inboxes, and each session sees [`Ending::ConnectionLost`]. Neither waits for the other, and
//! neither holds a lock while it works: they share queues whose every change is complete or not made. A panic in a call
//! (in compiled plugin code, or in an import) is caught around that call, so that the session ends like after a trap; a
//! panic elsewhere in the session is caught around the whole of it. Both get an incident number: the client gets the
//! number, the operator all details.
//!
//! Decided 2026-11-21: wasm runs in the process of the connections for now, and can be moved to another process at the
//! pipes. Only plain data crosses them: events, bytes and replies inwards; bytes, replies, EOF, requests, debug
//! messages and the exit outwards; and credit. Inbound data is bounded by the client's window, output by the outbox,
//! everything else by fixed counts. So a pipe can become a socket to a worker process: `Inbox` and `Outbox` write and
//! read frames, the worker's `SessionHalf` does the same on the other side, `Wake` is the socket becoming readable, and
//! credit is a number in a frame. Both sides wait for readiness already. Refused for today: a process per session (ten
//! thousand of them, for what an instance does with 20 KiB), and workers now (each byte twice more through the kernel,
//! before there is a second reason for them).
//!
//! A worker would need: the compiled plugins (a file in the cache that it maps, by digest), facts, limits and grants as
//! values, the log as a stream of records, and a descriptor for whatever a grant opens. There would be one for each
//! tenant or each group of tenants, without the host key, the sockets and the configuration: a vulnerability in
//! wasmtime then exposes one tenant's data. The end of a worker is to its sessions what a panic is today: the gateway
//! sees the socket close, and sends exit status 70 for each.
//!
//! Process-local today, to be moved or requested: `Arc<Tenant>`, whose budgets are atomics that all sessions of a
//! tenant share (they move to the worker when a tenant has one worker, and are leased in pieces when it has several);
//! the registry and the [`Plugins`] behind it, which routes and hand-overs ask by name (the gateway answers, and a
//! hand-over stays inside the worker if it has both plugins); the engine with its pool, its ticker and the compiled
//! code; the live sessions of a generation, which [`Plugin::retire`] ends (a frame to each worker); the spare buffers.
//! Nothing else is shared.

mod authenticator;
pub(crate) mod channel;
mod connection;
mod connection_types;
mod engine;
mod error;
pub mod event;
mod grants;
mod host;
pub mod limits;
mod plugin;
mod posix;
pub(crate) mod process;
mod session;
mod session_types;
pub mod supervise;
mod tenant;
pub mod terminal;

pub use authenticator::{
    Authenticator, LoginAnswer, LoginAttempt, LoginCertificate, LoginChallenge, LoginCredential, LoginGrant, LoginKey,
    LoginMethod,
};
pub use channel::{
    Drained, Inbox, OpenReply, Outbox, SessionFigures, SessionHalf, SessionHandle, Sink, TypedObserver, Wake,
    release_spare_buffers, session_pipes,
};
pub use connection::{ConnectionHalf, ConnectionLink, ConnectionReport, connection_link};
pub use connection_types::{ClientAnswer, ClientRefusal, ConnectionMessage, ControlRequest, OpenOutcome, OpenVerdict};
pub use engine::{Engine, EngineSettings, address_space, session_capacity};
pub use error::label::FailureLabel;
pub use error::{Error, Limit, Room};
pub use grants::topics::Topics;
pub use grants::{
    Access, AllowList, Clock, Configuration, ConnectionHome, Directories, Directory, DirectoryError, FileTree, Grant,
    Grants, HomeLifetime, HomeQuota, HomeSettings, Homes, Mount, NameFolder, Quota, ReservedAddress, ReservedAddresses,
    Skeleton, SkeletonError, TcpAllow, TemporaryFolders, TreeSettings, Usage, keyvalue, lock_file,
};
pub use host::{HOST_VARIABLES, is_private_name};
pub use limits::Limits;
pub use plugin::compile::cache::{Cache, CacheKey};
pub use plugin::compile::loader::{Loader, Source, Terms};
pub use plugin::compile::requirements::InstanceLimits;
pub use plugin::compile::slots::{CompileSlots, is_large};
pub use plugin::compile::{CompileSettings, Compiler, compile_stdin};
pub use plugin::lookup::{
    ArgumentTemplates, CANNOT_RUN, COMMAND, Lookup, LookupNotice, NOT_FOUND, Plugins, ProgramEntry, Unrunnable,
    UnrunnableKind, program_name,
};
pub use plugin::registry::{Fallback, Hold, Listed, Published, Registry};
pub use plugin::routes::Routes;
pub use plugin::table::{ProgramTable, TableFull};
pub use plugin::{Contents, Format, Plugin};
pub use session::notice::notice;
pub use session::report::{ProcessReport, Report};
pub use session_types::{ChannelEvent, Ending, Exit, Facts, Output, ProgramRequest, Pty, SignalName, WindowSize};
pub use tenant::{Telling, Tenant, TenantUsage};
