//! What can go wrong with a plugin, by who is at fault, and the one place that decides who is told what: the client a short line, the
//! operator everything.

pub(crate) mod brief;

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};

use wasmtime::{PoolConcurrencyLimitError, Trap};
use wasmtime_wasi::I32Exit;

use crate::channel_event::{Exit, SignalName};
use crate::error::brief::brief;

/// `EX_SOFTWARE` of sysexits.h: the fault is the host's.
const SOFTWARE: u32 = 70;

/// Most bytes of each cause of a failure: the operator is told, and a backtrace has names in it that are the plugin's own.
const CAUSE: usize = 1 << 10;
/// Most bytes of a reason to refuse a file.
const REASON: usize = 4 << 10;

/// What wasmtime and its libraries say when an instance holds too much of something.
const RESOURCES: [&str; 4] = [
    "resource table has no free keys",
    "store handle limit exceeded",
    "total size of fields exceeds limit",
    "too many fields in the field map",
];

/// A plugin that cannot be loaded, cannot be started, or was stopped. `Display` is for the operator and says everything.
#[derive(Debug)]
pub enum Error {
    /// The file is no plugin, and why. Nothing was changed.
    Refused(String),
    /// Whether the file is a plugin could not be found out, and why: its compiler or its trial ran out of time, or was killed. Another
    /// attempt may succeed.
    Unfinished(String),
    /// The file's compiler was killed with SIGKILL, most likely since memory ran out. As `Unfinished`, but the next
    /// attempt costs as much memory as this one and should be made late.
    Killed(String),
    /// It crashed too often in a row and is not started for a while.
    Suspended,
    /// The host has no room for one more instance.
    Full(Room),
    /// The plugin asked for more than its limits.
    Limit {
        /// Which limit.
        limit: Limit,
        /// Where the plugin was.
        detail: String,
    },
    /// The plugin crashed.
    Trap {
        /// The signal that a native program would have died of.
        signal: SignalName,
        /// What happened, and where.
        detail: String,
    },
    /// The host is at fault, or the machine.
    Host {
        /// What the client is told, to find this line by.
        incident: String,
        /// What happened.
        detail: String,
    },
}

/// What the host has no more room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// Instances: all that there may be are running.
    Instances {
        /// How many that is.
        most: usize,
    },
    /// Memories of instances, each of which takes two mappings.
    Memories {
        /// How many an instance of the plugin has.
        needs: usize,
        /// How many there is room for now.
        free: usize,
        /// How many there is room for in all.
        most: usize,
    },
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instances { most } => write!(f, "all {most} instances are running"),
            Self::Memories { needs, free, most } => write!(
                f,
                "an instance of it has {needs} memories, and of the {most} that all instances may have {free} are free: raise \
                 vm.max_map_count, of which each takes two mappings, or lower `instances`"
            ),
        }
    }
}

/// The limits that end a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Processor time of one call.
    Cpu,
    /// Time by the clock: to be made, or to return after the session's end.
    Time,
    /// How long a session may last.
    Session,
    /// How long a session may last in which nothing happens.
    Idle,
    /// Sessions of the tenant at once.
    Sessions,
    /// Linear memory or tables.
    Memory,
    /// Linear memory of all the tenant's instances.
    TenantMemory,
    /// Memory of all plugins of the server.
    AllMemory,
    /// Bytes handed to the host in one call.
    HostCall,
    /// Handles.
    Resources,
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
        }
    }
}

impl Error {
    /// What the client is told, in a line without anything of the plugin's or the host's inside.
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

    /// How the session's program ended, as the client sees it.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Refused(_)
            | Self::Unfinished(_)
            | Self::Killed(_)
            | Self::Suspended
            | Self::Full { .. }
            | Self::Host { .. } => Exit::Status(SOFTWARE),
            Self::Limit { limit: Limit::Idle, .. } => self.signal(SignalName::Hup),
            Self::Limit { .. } => self.signal(SignalName::Kill),
            Self::Trap { signal, .. } => self.signal(signal.clone()),
        }
    }

    /// Whether a session cannot be because its tenant or the server has no more to give: its client is told so in a
    /// session that does nothing else.
    pub(crate) fn is_shortage(&self) -> bool {
        matches!(self, Self::Limit { limit: Limit::Sessions | Limit::TenantMemory | Limit::AllMemory, .. })
    }

    fn signal(&self, name: SignalName) -> Exit {
        Exit::Signal { name, core_dumped: false, message: self.for_client() }
    }

    /// The host's own code has panicked, saying this.
    pub(crate) fn panicked(words: &str) -> Self {
        Self::Host { incident: incident(), detail: format!("panicked: {}", brief(words, CAUSE)) }
    }

    /// An error of wasmtime's that has nothing to do with a plugin.
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

/// How a call into the plugin ended other than by returning. The instance must not be entered again.
pub(crate) enum Stop {
    /// It called `exit` of WASI's.
    Exited(u32),
    Failed(Error),
}

impl Stop {
    /// What went wrong, if anything has.
    pub(crate) fn error(self) -> Option<Error> {
        match self {
            Self::Exited(_) => None,
            Self::Failed(error) => Some(error),
        }
    }
}

/// What happened, the first cause first, and where: each of the causes is cut, and what comes with it.
fn detail(error: &wasmtime::Error) -> String {
    let mut causes: Vec<String> = error.chain().map(|cause| brief(cause, CAUSE)).collect();
    causes.reverse();
    causes.join("; ")
}

/// What a failed call means. `refused`: whose limit refused growth during the call.
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
        // wasmtime keeps the type of this error to itself.
        Error::Limit { limit: Limit::HostCall, detail }
    } else if RESOURCES.iter().any(|words| detail.contains(words)) {
        Error::Limit { limit: Limit::Resources, detail }
    } else if error.is::<std::io::Error>() || error.is::<rustix::io::Errno>() {
        // A system call that failed: mapping memory, say.
        Error::Host { incident: incident(), detail }
    } else {
        // Our imports never fail, so it broke the rules of the component model: a pointer into nowhere, say.
        Error::Trap { signal: SignalName::Ill, detail }
    };
    Stop::Failed(failed)
}

/// What a failed instantiation means. `capacity`: how many instances the engine has room for.
pub(crate) fn judge_start(error: &wasmtime::Error, refused: Option<Limit>, capacity: usize) -> Stop {
    if error.is::<PoolConcurrencyLimitError>() {
        Stop::Failed(Error::Full(Room::Instances { most: capacity }))
    } else {
        judge(error, refused)
    }
}

/// The signal that a native program would have died of; none for the epoch's interrupt.
fn signal_of(trap: Trap) -> Option<SignalName> {
    match trap {
        Trap::Interrupt => None,
        Trap::StackOverflow | Trap::MemoryOutOfBounds | Trap::TableOutOfBounds | Trap::HeapMisaligned => {
            Some(SignalName::Segv)
        }
        Trap::IntegerDivisionByZero | Trap::IntegerOverflow | Trap::BadConversionToInteger => Some(SignalName::Fpe),
        Trap::UnreachableCodeReached => Some(SignalName::Abrt),
        // The enum is wasmtime's and grows: bad calls, bad pointers handed to the host, and what comes later.
        _ => Some(SignalName::Ill),
    }
}

/// A name for one event, short enough to be read out on the telephone.
fn incident() -> String {
    let random = RandomState::new().build_hasher().finish();
    format!("{:08x}", random & 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn a_system_call_that_fails_is_no_fault_of_the_plugin() {
        for error in [wasmtime::Error::new(Errno::NOMEM), wasmtime::Error::new(std::io::Error::from(Errno::NOMEM))] {
            let judged = judge(&error.context("mapping a memory"), None);
            assert!(matches!(judged, Stop::Failed(Error::Host { .. })), "the plugin is blamed");
        }
    }
}
