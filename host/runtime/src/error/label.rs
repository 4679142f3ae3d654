//! An error in two words of fixed sets, for counting.

use crate::error::{Error, Limit, Room};
use crate::session_types::SignalName;

/// What went wrong, in words of which there are few, whatever a plugin or a client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FailureLabel {
    /// Who is at fault: `trap`, `limit`, `full`, `suspended`, `refused` or `host`.
    pub kind: &'static str,
    /// More closely: of a trap the signal, of a limit its name, of a full server what it has no more of. Otherwise the
    /// same as the kind.
    pub reason: &'static str,
}

impl Error {
    /// The error in two words.
    #[must_use]
    pub fn label(&self) -> FailureLabel {
        let (kind, reason) = match self {
            Self::Refused(_) | Self::Unfinished(_) | Self::Killed(_) => ("refused", "refused"),
            Self::Suspended => ("suspended", "suspended"),
            Self::Full(Room::Instances { .. }) => ("full", "instances"),
            Self::Full(Room::Memories { .. }) => ("full", "memories"),
            Self::Limit { limit, .. } => ("limit", limit.name()),
            Self::Trap { signal, .. } => ("trap", signal_name(signal)),
            Self::Host { .. } => ("host", "host"),
        };
        FailureLabel { kind, reason }
    }
}

/// The signals that traps stand for.
fn signal_name(signal: &SignalName) -> &'static str {
    match signal {
        SignalName::Segv => "SEGV",
        SignalName::Fpe => "FPE",
        SignalName::Abrt => "ABRT",
        SignalName::Ill => "ILL",
        _ => "other",
    }
}

impl Limit {
    /// The setting, or the beginning that the names of several have in common.
    fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Time => "grace",
            Self::Session => "session_time",
            Self::Idle => "idle_time",
            Self::Sessions => "tenant_sessions",
            Self::Memory => "memory",
            Self::TenantMemory => "tenant_memory",
            Self::AllMemory => "memory_total",
            Self::HostCall => "call_data",
            Self::Resources => "resources",
            Self::Home => "directory",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_counted_by_words_that_no_guest_chooses() {
        let of = |error: Error| (error.label().kind, error.label().reason);
        let trap = |name: &str| Error::Trap { signal: SignalName::from_wire(name), detail: String::new() };
        assert_eq!(of(trap("SEGV")), ("trap", "SEGV"));
        assert_eq!(of(trap("evil@example.org")), ("trap", "other"));
        let limit = Error::Limit { limit: Limit::TenantMemory, detail: "10 MiB".to_owned() };
        assert_eq!(of(limit), ("limit", "tenant_memory"));
        assert_eq!(of(Error::Refused("any text".to_owned())), ("refused", "refused"));
        assert_eq!(of(Error::Full(Room::Instances { most: 1, kept: 0 })), ("full", "instances"));
        assert_eq!(of(Error::of_machine("any text".to_owned())), ("host", "host"));
    }
}
