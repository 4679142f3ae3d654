//! What starts programs for the imports. Whoever drives a session implements it, because a process is made there.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use crate::host::terminal::Terminal;
use crate::host::wasi::descriptors::ProcessIo;
use crate::host::wasi::files::ProgramFiles;
use crate::limits::budget::Charge;
use crate::limits::usage::ProcessUsage;
use crate::posix::process::{ChildHandle, ProcessEntry};
use crate::posix::signal::SignalSet;
use crate::posix::table::GroupChoice;
use crate::posix::{Descriptors, Errno, ProcessLimits};
use crate::session_types::Pty;

/// A program that was made to take the place of another one: only its maker knows what it is.
pub(crate) type Replacement = Box<dyn Any + Send>;

type Started<R> = Pin<Box<dyn Future<Output = Result<R, Errno>> + Send>>;

/// Starts programs in one session.
pub(crate) trait Spawner: Send + Sync {
    /// Starts a child. Returns when its instance is made.
    fn start(&self, parent: SpawnParent, what: NewProgram) -> Started<ChildHandle>;

    /// Makes the instance of a program that takes the place of this one.
    fn replace(&self, parent: SpawnParent, what: NewProgram) -> Started<Replacement>;
}

/// What a process gives to one that it starts.
pub(crate) struct SpawnParent {
    pub(crate) process: Arc<ProcessEntry>,
    pub(crate) io: Arc<ProcessIo>,
    /// The files in which the program is found.
    pub(crate) files: Option<ProgramFiles>,
    pub(crate) terminal: Arc<Mutex<Terminal>>,
    pub(crate) pty: Option<Pty>,
    pub(crate) usage: Arc<ProcessUsage>,
}

/// What to start, and with what.
pub(crate) struct NewProgram {
    pub(crate) program: String,
    /// At least one.
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    /// An absolute path.
    pub(crate) directory: String,
    pub(crate) descriptors: Arc<Descriptors>,
    pub(crate) group: GroupChoice,
    pub(crate) foreground: bool,
    pub(crate) ignored: SignalSet,
    pub(crate) limits: ProcessLimits,
    /// For arguments and environment, until the program has them.
    pub(crate) charge: Charge,
    /// Processes of the session beyond which the one that asks starts no more.
    pub(crate) most_processes: Option<usize>,
}

/// How a process starts others.
pub(crate) struct Spawning {
    pub(crate) spawner: Arc<dyn Spawner>,
    pub(crate) limits: ProcessLimits,
    /// What takes the place of the program, once it has called `exec`.
    pub(crate) replacement: Mutex<Option<Replacement>>,
}

/// The program has called `exec`: another one takes its place.
#[derive(Debug)]
pub(crate) struct Replaced;

impl fmt::Display for Replaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("another program takes its place")
    }
}

impl std::error::Error for Replaced {}
