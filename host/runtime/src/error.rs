//! The errors of plugins, by who is at fault, and the one place that decides who learns what: the client a short line,
//! the operator everything.

pub(crate) mod brief;
pub(crate) mod label;

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};

use wasmtime::{PoolConcurrencyLimitError, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::error::brief::brief;
use crate::session_types::{Exit, SignalName};

/// `EX_SOFTWARE` of sysexits.h: the host is at fault.
const SOFTWARE: u32 = 70;

/// The most bytes of each cause of a failure in the log: a backtrace contains names that the plugin chose.
const CAUSE: usize = 1 << 10;
/// The most bytes of a reason for refusing a file.
const REASON: usize = 4 << 10;

/// The table of the functions through which a module calls imports that need its memory.
const SHIM: &str = "$imports";

/// The text of wasmtime and its libraries when an instance exceeds a resource limit.
const RESOURCES: [&str; 4] = [
    "resource table has no free keys",
    "store handle limit exceeded",
    "total size of fields exceeds limit",
    "too many fields in the field map",
];

/// A plugin could not be loaded or started, or was stopped. `Display` is for the operator and has all details.
#[derive(Debug)]
pub enum Error {
    /// The file is not a plugin: the reason. Nothing was changed.
    Refused(String),
    /// It is not known whether the file is a plugin: the reason. Its compiler or its trial timed out or was killed.
    /// Another attempt may succeed.
    Unfinished(String),
    /// The file's compiler was killed with SIGKILL, probably by the OOM killer. Like `Unfinished`, but the next attempt
    /// costs as much memory and should be made late.
    Killed(String),
    /// It crashed too often in a row and is suspended for a while.
    Suspended,
    /// The host has no room for one more instance.
    Full(Room),
    /// The plugin exceeded a limit.
    Limit {
        /// The limit.
        limit: Limit,
        /// Where the plugin was.
        detail: String,
    },
    /// The plugin crashed.
    Trap {
        /// The signal that would have killed a native program.
        signal: SignalName,
        /// What happened, and where.
        detail: String,
    },
    /// The host is at fault, or the machine.
    Host {
        /// The incident number that the client gets, by which the operator finds this line.
        incident: String,
        /// What happened.
        detail: String,
    },
}

/// The room that the host has run out of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// Instances: the maximum number runs.
    Instances {
        /// That number.
        most: usize,
        /// How many more there are, kept for first processes of tenants that have few.
        kept: usize,
    },
    /// Memory slots: an instance takes one for each memory, or for three tables, whichever is more.
    Memories {
        /// How many an instance of the plugin takes.
        needs: usize,
        /// How many are free.
        free: usize,
        /// How many there are in all.
        most: usize,
    },
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instances { most, kept: 0 } => write!(f, "all {most} instances are running"),
            Self::Instances { most, kept } => write!(
                f,
                "{most} instances are running, and {kept} more are kept for the first processes of tenants that have few: \
                 raise `instances`"
            ),
            Self::Memories { needs, free, most } => write!(
                f,
                "an instance of it takes {needs} memory slots (one for each memory, or for three tables), and of the {most} of all \
                 instances {free} are free: raise vm.max_map_count, of which each takes four mappings, or lower \
                 `instances`"
            ),
        }
    }
}

/// The limits that end a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Processor time of one call.
    Cpu,
    /// Wall-clock time: to start, or to return after the session's end.
    Time,
    /// The total duration of a session.
    Session,
    /// The idle time of a session.
    Idle,
    /// The tenant's concurrent sessions.
    Sessions,
    /// Linear memory or tables.
    Memory,
    /// Linear memory of all the tenant's instances.
    TenantMemory,
    /// Memory of all plugins of the server.
    AllMemory,
    /// Bytes passed to the host in one call.
    HostCall,
    /// Handles.
    Resources,
    /// The quota of files: a home cannot be made.
    Home,
}

impl Limit {
    fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu budget exhausted",
            Self::Time => "time limit",
            Self::Session => "the session has reached its time limit",
            Self::Idle => "idle for too long",
            Self::Sessions => "too many sessions at once",
            Self::Memory => "out of memory",
            Self::TenantMemory => "out of memory: all sessions together",
            Self::AllMemory => "out of memory: the server has no more for plugins now",
            Self::HostCall => "write too large",
            Self::Resources => "too many resources",
            Self::Home => "your home cannot be made: its quota is full",
        }
    }
}

impl Error {
    /// The line for the client, without internals of the plugin or the host.
    #[must_use]
    pub fn for_client(&self) -> String {
        match self {
            Self::Refused(_) | Self::Unfinished(_) | Self::Killed(_) => "no such plugin".to_owned(),
            Self::Suspended => "the plugin crashed too often and is not started for a while".to_owned(),
            Self::Full { .. } => "the server is full".to_owned(),
            Self::Limit { limit, .. } => limit.as_str().to_owned(),
            Self::Trap { .. } => "the plugin crashed".to_owned(),
            Self::Host { incident, .. } => format!("internal error, incident {incident}"),
        }
    }

    /// The exit of the session as the client sees it.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Refused(_)
            | Self::Unfinished(_)
            | Self::Killed(_)
            | Self::Suspended
            | Self::Full { .. }
            | Self::Limit { limit: Limit::Home, .. }
            | Self::Host { .. } => Exit::Status(SOFTWARE),
            Self::Limit { limit: Limit::Idle, .. } => self.signal(SignalName::Hup),
            Self::Limit { .. } => self.signal(SignalName::Kill),
            Self::Trap { signal, .. } => self.signal(signal.clone()),
        }
    }

    /// Whether the session could not start because its tenant or the server is out of memory: its client gets a session
    /// that only says so.
    pub(crate) fn is_shortage(&self) -> bool {
        matches!(self, Self::Limit { limit: Limit::Sessions | Limit::TenantMemory | Limit::AllMemory, .. })
    }

    fn signal(&self, name: SignalName) -> Exit {
        Exit::Signal { name, core_dumped: false, message: self.for_client() }
    }

    /// The host's own code panicked with this message.
    pub(crate) fn panicked(words: &str) -> Self {
        Self::Host { incident: incident(), detail: format!("panicked: {}", brief(words, CAUSE)) }
    }

    /// An error of the machine that no plugin caused.
    pub(crate) fn of_machine(detail: String) -> Self {
        Self::Host { incident: incident(), detail }
    }

    /// An error of wasmtime that no plugin caused.
    pub(crate) fn host(error: &wasmtime::Error) -> Self {
        Self::Host { incident: incident(), detail: detail(error) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(reason) | Self::Unfinished(reason) | Self::Killed(reason) => {
                f.write_str(&brief(reason, REASON))
            }
            Self::Suspended => f.write_str("it crashed too often in a row"),
            Self::Full(room) => room.fmt(f),
            Self::Limit { limit, detail } => write!(f, "{}: {detail}", limit.as_str()),
            Self::Trap { signal, detail } => write!(f, "crashed ({}): {detail}", signal.as_str()),
            Self::Host { incident, detail } => write!(f, "incident {incident}: {detail}"),
        }
    }
}

impl std::error::Error for Error {}

/// How a call into the plugin ended without returning. The instance must not be called again.
pub(crate) enum Stop {
    /// It called WASI's `exit`.
    Exited(u32),
    Failed(Error),
}

impl Stop {
    /// The error, if there is one.
    pub(crate) fn error(self) -> Option<Error> {
        match self {
            Self::Exited(_) => None,
            Self::Failed(error) => Some(error),
        }
    }
}

/// The causes, the first one first, and the backtrace; each is cut to a maximum length.
fn detail(error: &wasmtime::Error) -> String {
    let mut causes: Vec<String> = error.chain().map(|cause| brief(cause, CAUSE)).collect();
    causes.reverse();
    causes.join("; ")
}

/// Interprets a failed call. `refused`: whose limit refused growth during the call.
pub(crate) fn judge(error: &wasmtime::Error, refused: Option<Limit>) -> Stop {
    if let Some(I32Exit(code)) = error.downcast_ref::<I32Exit>() {
        return Stop::Exited(u32::from_ne_bytes(code.to_ne_bytes()));
    }
    let detail = detail(error);
    let failed = if let Some(limit) = refused {
        Error::Limit { limit, detail }
    } else if let Some(trap) = error.downcast_ref::<Trap>() {
        match signal_of(*trap) {
            Some(signal) => Error::Trap { signal, detail },
            None => Error::Limit { limit: Limit::Cpu, detail },
        }
    } else if detail.contains("fuel allocated for hostcalls has been exhausted") {
        // wasmtime does not export the type of this error.
        Error::Limit { limit: Limit::HostCall, detail }
    } else if RESOURCES.iter().any(|words| detail.contains(words)) {
        Error::Limit { limit: Limit::Resources, detail }
    } else if error.is::<std::io::Error>() || error.is::<rustix::io::Errno>() {
        // A system call failed, for example while mapping memory.
        Error::Host { incident: incident(), detail }
    } else {
        // Our imports never fail, so the plugin violated the component model, for example with a pointer out of bounds.
        Error::Trap { signal: SignalName::Ill, detail }
    };
    Stop::Failed(failed)
}

/// Interprets a failed instantiation. `capacity`: how many instances the engine has room for.
pub(crate) fn judge_start(error: &wasmtime::Error, refused: Option<Limit>, capacity: usize) -> Stop {
    if error.is::<PoolConcurrencyLimitError>() {
        Stop::Failed(Error::Full(Room::Instances { most: capacity, kept: 0 }))
    } else if calls_import_early(error) {
        let reason = "a start function of a core module calls an import that needs the memory of the module: it is there only when \
                      all instances are made, so call it from `main` or from an export";
        Stop::Failed(Error::Refused(reason.to_owned()))
    } else {
        judge(error, refused)
    }
}

/// Whether an import was called before it was there. One that needs the memory of a module is called through a module
/// of `wit-component`'s, which has a function for each and the table [`SHIM`]. They lead nowhere until all modules of
/// the component have an instance.
fn calls_import_early(error: &wasmtime::Error) -> bool {
    let called = error.downcast_ref::<WasmBacktrace>().and_then(|backtrace| backtrace.frames().first());
    error.downcast_ref::<Trap>() == Some(&Trap::IndirectCallToNull)
        && called.is_some_and(|frame| frame.module().get_export(SHIM).is_some())
}

/// The signal that would have killed a native program; `None` for the epoch's interrupt.
fn signal_of(trap: Trap) -> Option<SignalName> {
    match trap {
        Trap::Interrupt => None,
        Trap::StackOverflow | Trap::MemoryOutOfBounds | Trap::TableOutOfBounds | Trap::HeapMisaligned => {
            Some(SignalName::Segv)
        }
        Trap::IntegerDivisionByZero | Trap::IntegerOverflow | Trap::BadConversionToInteger => Some(SignalName::Fpe),
        Trap::UnreachableCodeReached => Some(SignalName::Abrt),
        // wasmtime's enum may grow: bad calls, bad pointers passed to the host, and later additions.
        _ => Some(SignalName::Ill),
    }
}

/// An incident number, short enough to be read out on the telephone.
fn incident() -> String {
    let random = RandomState::new().build_hasher().finish();
    format!("{:08x}", random & 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn a_failed_system_call_is_not_the_plugins_fault() {
        for error in [wasmtime::Error::new(Errno::NOMEM), wasmtime::Error::new(std::io::Error::from(Errno::NOMEM))] {
            let judged = judge(&error.context("mapping a memory"), None);
            assert!(matches!(judged, Stop::Failed(Error::Host { .. })), "the plugin is blamed");
        }
    }
}
