//! What the operating system allows this process: open files, memory, mappings, and no core dumps.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

use crate::config::Limits;
use crate::gateway;

/// Files that are open besides one for each connection: listeners, the runtime, plugins, logs, room to say no.
const OTHER_FILES: u64 = 64;
/// Memory of an instance that has answered its client and waits.
const IDLE_INSTANCE: u64 = 64 << 10;
/// Memory of a connection that is open and quiet.
const IDLE_CONNECTION: u64 = 32 << 10;

/// Asks the C library to give back what its heap does not need, whole pages between what is in use included. Takes some 10 ms for each
/// 100 MiB, for which whoever allocates has to wait. Does nothing where the library is another than glibc.
pub fn trim_heap() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(
        unsafe_code,
        reason = "the C library has no safe face; the call takes no pointer and may come from any thread, malloc_trim(3)"
    )]
    // SAFETY: it only looks at memory that is not in use.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Something of which the machine has less than the configured limits may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// What there is too little of.
    pub resource: &'static str,
    /// How much there is.
    pub has: u64,
    /// How much there should be.
    pub needs: u64,
    /// What to do about it, and what happens until then.
    pub change: String,
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}, and the limits may take {}: {}", self.resource, self.has, self.needs, self.change)
    }
}

/// What the machine gives this process; `None` where it has no limit or does not say.
#[derive(Clone, Copy, Debug, Default)]
struct Machine {
    mappings: Option<u64>,
    files: Option<u64>,
    memory: Option<u64>,
}

impl Machine {
    fn read() -> Machine {
        let mappings = number(Path::new("/proc/sys/vm/max_map_count"));
        // The soft limit is raised to the hard one at start.
        let files = getrlimit(Resource::Nofile).maximum;
        let memory = [available(), cgroup()].into_iter().flatten().min();
        Machine { mappings, files, memory }
    }

    fn shortages(&self, limits: &Limits) -> Vec<Shortage> {
        let mut shortages = Vec::new();
        let mut check = |resource, has: Option<u64>, needs: u64, change: String| {
            if let Some(has) = has.filter(|has| *has < needs) {
                shortages.push(Shortage { resource, has, needs, change });
            }
        };
        let (instances, connections) = (u64::from(limits.instances), u64::from(limits.connections));
        let mappings = u64::try_from(gateway::engine_settings(limits).mappings()).unwrap_or(u64::MAX);
        let raise = format!("sysctl -w vm.max_map_count={mappings}, or lower `instances`; until then fewer run");
        check("vm.max_map_count", self.mappings, mappings, raise);
        let files = connections + OTHER_FILES;
        let raise = format!(
            "raise the hard limit (LimitNOFILE={files}, ulimit -Hn {files}), or lower `connections`; until then fewer are accepted"
        );
        check("the number of open files", self.files, files, raise);
        let memory = instances * IDLE_INSTANCE + connections * IDLE_CONNECTION;
        let raise = format!(
            "give it {} MiB (MemoryMax=), or lower `instances` and `connections`; that is what all of them take while they are idle",
            memory.div_ceil(1 << 20)
        );
        check("the memory in bytes", self.memory, memory, raise);
        shortages
    }
}

/// What this machine has too little of for these limits. Nothing is changed.
#[must_use]
pub fn shortages(limits: &Limits) -> Vec<Shortage> {
    Machine::read().shortages(limits)
}

fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// Memory that programs can have without others being pushed out.
fn available() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib.saturating_mul(1 << 10))
}

/// The lowest limit on memory among the control groups that this process is in.
fn cgroup() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let folder = PathBuf::from("/sys/fs/cgroup").join(group);
    folder.ancestors().filter_map(|folder| number(&folder.join("memory.max"))).min()
}

/// Raises the number of files that this process may open to as many as it may have, and gives the number of connections
/// that fit: `wanted`, or fewer, which [`shortages`] tells of.
pub fn make_room(wanted: u32) -> u32 {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })
    {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
    connections(getrlimit(Resource::Nofile).current, wanted)
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
    fn what_there_is_too_little_of_is_named_with_what_to_change() {
        let limits = Limits { instances: 20_000, connections: 10_000, ..Limits::default() };
        assert_eq!(Machine::default().shortages(&limits), []);
        let plenty = Machine { mappings: Some(85_000), files: Some(10_064), memory: Some(2 << 30) };
        assert_eq!(plenty.shortages(&limits), []);
        let short = Machine { mappings: Some(65_530), files: Some(1024), memory: Some(1 << 30) };
        let told: Vec<_> = short.shortages(&limits).iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "vm.max_map_count is 65530, and the limits may take 85000: sysctl -w vm.max_map_count=85000, \
                 or lower `instances`; until then fewer run",
                "the number of open files is 1024, and the limits may take 10064: raise the hard limit (LimitNOFILE=10064, \
                 ulimit -Hn 10064), or lower `connections`; until then fewer are accepted",
                "the memory in bytes is 1073741824, and the limits may take 1638400000: give it 1563 MiB (MemoryMax=), \
                 or lower `instances` and `connections`; that is what all of them take while they are idle",
            ]
        );
    }

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
