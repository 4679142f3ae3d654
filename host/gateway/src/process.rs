//! What the operating system allows this process: open files, and no core dumps.

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

/// Files that are open besides one for each connection: listeners, the runtime, plugins, logs, room to say no.
const OTHER_FILES: u64 = 64;

/// Raises the number of files that this process may open to as many as it may have, and gives the number of connections
/// that fit: `wanted`, or fewer with a warning in the log.
pub fn make_room(wanted: u32) -> u32 {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })
    {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
    let files = getrlimit(Resource::Nofile).current;
    let fitting = connections(files, wanted);
    if fitting < wanted {
        let needed = u64::from(wanted) + OTHER_FILES;
        tracing::warn!(
            files,
            connections = fitting,
            configured = wanted,
            "too few open files for the configured connections: raise the hard limit (LimitNOFILE=, ulimit -Hn) to {needed}"
        );
    }
    fitting
}

/// How many connections fit in a number of files, `None` being without limit. At least one.
fn connections(files: Option<u64>, wanted: u32) -> u32 {
    let room = files.map_or(u64::from(u32::MAX), |files| files.saturating_sub(OTHER_FILES).max(1));
    wanted.min(u32::try_from(room).unwrap_or(u32::MAX))
}

/// Keeps the secrets in this process's memory out of core dumps. `private` keeps other programs of the same user from
/// reading that memory too, which also hides the process from their debuggers and profilers.
pub fn forbid_dumps(private: bool) {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::warn!(%error, "core dumps could not be turned off");
    }
    if private && let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "the memory of this process stays open to programs of the same user");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_what_the_open_files_leave() {
        assert_eq!(connections(Some(1 << 20), 10_000), 10_000);
        assert_eq!(connections(Some(1024), 10_000), 960);
        assert_eq!(connections(Some(10), 10_000), 1);
        assert_eq!(connections(None, 10_000), 10_000);
    }

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_one() {
        make_room(1);
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
