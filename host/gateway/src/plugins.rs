//! The plugin folders: watched, loaded, replaced and removed while the server runs.
//!
//! From a file to the version that sessions run (`rt` is `host/runtime/src`):
//!
//! ```text
//!  inotify, polling ──► plugins/watch.rs                 decides when a file is checked
//!                       plugins/reload/task.rs           start_due_checks, start_check
//!                       plugins/reload/folder.rs         check_file
//!                       state/plugin_files.rs            reads the bytes; checks owner and permissions
//!                       plugins/reload/task.rs           read: starts a load, unless these bytes are served or refused
//!                       plugins/reload/folder.rs         load: waits for a permit
//!                       rt/plugin/compile/loader.rs      load: checks the component; takes it from the cache, or
//!                       rt/plugin/compile.rs, child.rs   compiles it in a child process with limits
//!                       rt/process/smoke.rs              tries one instance
//!                       plugins/reload/task.rs           loaded: logs a refusal, or
//!                       plugins/reload/folder.rs         publish
//!                       rt/plugin/registry.rs            publish: numbers the version, keeps the one before it
//!  a session starts ──► rt/plugin/health/trial.rs        runs the newest version, or the one before it after crashes
//! ```
//!
//! The programs in `bin` of a plugin folder go the same way when somebody needs them: `plugins/programs.rs` takes the
//! requests, and `plugins/reload/demand.rs` serves them. The tables of the tenants decide what stays loaded:
//! `host/runtime/src/plugin/table.rs`.
//!
//! A component that a process starts from a file of its session is compiled for its tenant alone
//! (`tenant/components.rs`).
//!
//! A file that disappears takes its plugin away: `plugins/reload/removal.rs` decides when.

pub(crate) mod compilers;
pub mod programs;
pub mod reload;
pub(crate) mod watch;
