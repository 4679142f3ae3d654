//! The operating system's limits of this process: open files, memory, mappings, and no core dumps.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
use whelk_runtime::EngineSettings;
use whelk_runtime::limits::count;

use crate::config::derived;
use crate::config::{self, Authentication, Config, Limits, LoginPolicy};
use crate::observe::event::{ServerEvent, emit};
use crate::state::strict_modes;

use crate::config::machine::{self, memory_limit};

/// Open files besides those of connections and plugins: listeners, the runtime, plugin files, logs, and a reserve for
/// refusals ...
const OTHER_FILES: u64 = 64;
/// With fewer than these the server could not read its keys and listen.
const LEAST_FILES: u64 = 32;
/// ... for each tenant: its directory, its plugin folder and what is read there, operations and look-ups in progress
/// ...
const FILES_OF_TENANT: u64 = 16;
/// ... and for each plugin that is being compiled, the operator's and tenants'.
const FILES_OF_JOB: u64 = 14;
/// Threads for blocking disk access and name resolution: the most that tokio starts.
const BLOCKING_THREADS: u64 = 512;
/// Threads besides those and one for each processor: the ticker, the log, signals, and the compilers.
const OTHER_THREADS: u64 = 16;
/// The number of tenants that a demonstration is sized for.
const DEMONSTRATED: u64 = 8;
/// Memory of an idle instance that has answered its client.
const IDLE_INSTANCE: u64 = 64 << 10;
/// Memory that one connection may take before login, including unread input.
const UNAUTHENTICATED_CONNECTION: u64 = 48 << 10;
/// The fraction of all memory that those connections together may take.
const UNAUTHENTICATED_SHARE: u64 = 8;
/// Memory of an idle connection.
const IDLE_CONNECTION: u64 = 32 << 10;

/// The names of the resources in errors, events and `whelk doctor`.
pub(crate) const OPEN_FILES: &str = "the number of open files";
pub(crate) const MAPPINGS: &str = "vm.max_map_count";
pub(crate) const MEMORY: &str = "the memory in bytes";
pub(crate) const THREADS: &str = "the number of threads";
pub(crate) const ADDRESS_SPACE: &str = "the address space in bytes (RLIMIT_AS)";
pub(crate) const COMPILING_MEMORY: &str = "the memory in bytes for compiling tenants' plugins";
pub(crate) const HASHING_MEMORY: &str = "the memory in bytes for hashing passwords";

/// Memory for hashing passwords where the system does not report its memory, in bytes.
const UNKNOWN_HASHING_MEMORY: usize = 256 << 20;
/// Address space in which a small plugin can be compiled: the minimum of `compile_memory`.
const LEAST_COMPILE_MEMORY: usize = 128 << 20;
/// Allocations from this size on are mapped separately and unmapped when they are freed.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MAPPED_FROM: libc::c_int = 1 << 20;

/// Makes the C library map each allocation of a MiB or more separately and unmap it when it is freed. Does nothing
/// without glibc: musl does so from 128 KiB on.
///
/// glibc begins with 128 KiB too, but raises the threshold to the size of what was freed, up to 32 MiB. After the first
/// password hash of 19 MiB each further one is cut from the heap of whichever thread computes it, and stays there: RSS
/// grew from 22 to 723 MB with 3,198 wrong passwords and never shrank. Setting the threshold stops it from moving.
/// Below a MiB the heap is kept, because it is much faster than mapping for packets and windows; the end of the heap is
/// released when 2 MiB of it are free, as in glibc's pairing of the two.
///
/// Call it before there are other threads. Returns whether it was done; there is no log yet.
#[must_use]
pub(crate) fn map_large_allocations() -> bool {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    let done =
        [(libc::M_MMAP_THRESHOLD, MAPPED_FROM), (libc::M_TRIM_THRESHOLD, 2 * MAPPED_FROM)].map(|(name, value)| {
            #[expect(unsafe_code, reason = "the C library has no safe face; the call takes no pointer, mallopt(3)")]
            // SAFETY: it sets a number in the allocator, which takes its own lock; there is no other thread yet.
            let done = unsafe { libc::mallopt(name, value) };
            done != 0
        });
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    let done = [true];
    done.iter().all(|done| *done)
}

/// Makes the C library release unused memory of its heap, including whole pages between used ones. Takes about 10 ms
/// for each 100 MiB, for which allocating threads wait. Does nothing without glibc.
pub(crate) fn trim_heap() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(
        unsafe_code,
        reason = "the C library has no safe face; the call takes no pointer and may come from any thread, malloc_trim(3)"
    )]
    // SAFETY: it only touches memory that is not in use.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Ends the process without running exit handlers (atexit(3)): other threads still run, and one of them may hold a lock
/// that a handler would wait for.
pub(crate) fn exit_at_once(status: u8) -> ! {
    #[expect(unsafe_code, reason = "std::process::exit runs handlers of atexit(3); _exit(2) has no safe face")]
    // SAFETY: the call takes no pointer, may be made from any thread, and the kernel ends all threads at once.
    unsafe {
        libc::_exit(i32::from(status))
    }
}

/// How many passwords are hashed concurrently: `hashing`, or one fewer than there are processors, so that sessions keep
/// one.
#[must_use]
pub(crate) fn hashing_slots(limits: &Limits) -> usize {
    match limits.hashing {
        0 => std::thread::available_parallelism().map_or(1, |processors| processors.get().saturating_sub(1).max(1)),
        slots => count(slots),
    }
}

/// Memory for hashing passwords, in bytes: `hashing_memory`, or a quarter of the machine's.
#[must_use]
pub(crate) fn hashing_memory(limits: &Limits) -> usize {
    match limits.hashing_memory {
        0 => memory_limit().map_or(UNKNOWN_HASHING_MEMORY, |bytes| usize::try_from(bytes / 4).unwrap_or(usize::MAX)),
        bytes => bytes,
    }
}

/// The most memory of one hash, in bytes: `hashing_memory` if it is set, else half of the machine's. A hash that needs
/// more is never computed: a guess at its user's name would get the whole server killed.
#[must_use]
pub(crate) fn most_memory_of_a_hash(limits: &Limits) -> usize {
    let half = memory_limit().map_or(usize::MAX, |bytes| usize::try_from(bytes / 2).unwrap_or(usize::MAX));
    if limits.hashing_memory == 0 { half } else { limits.hashing_memory.max(half) }
}

/// Memory for compiling one plugin, in bytes: `compile_memory`, or all of the machine's. With more, a compiler would
/// not end with a refusal of the plugin: the kernel's OOM killer would end it, or the server.
#[must_use]
pub(crate) fn compile_memory(limits: &Limits) -> usize {
    bounded_compile_memory(limits.plugins.compile_memory, memory_limit())
}

fn bounded_compile_memory(wanted: usize, machine: Option<u64>) -> usize {
    let machine = machine.map_or(usize::MAX, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    wanted.min(machine.max(LEAST_COMPILE_MEMORY))
}

/// A resource of which the machine has less than the configured limits may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shortage {
    /// The resource.
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

/// A resource that a configuration wants, whether or not there is enough of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Requirement {
    /// The resource.
    pub resource: &'static str,
    /// How much there is; `None`: there is no limit, or it is unknown.
    pub has: Option<u64>,
    /// How much there should be.
    pub needs: u64,
    /// What to do if there is less, and what happens until then.
    pub change: String,
}

impl Requirement {
    /// What is short, if there is less than is wanted.
    #[must_use]
    pub(crate) fn shortage(self) -> Option<Shortage> {
        let Requirement { resource, has, needs, change } = self;
        has.filter(|has| *has < needs).map(|has| Shortage { resource, has, needs, change })
    }
}

/// The resources that the machine gives this process; `None` where there is no limit or it is unknown.
#[derive(Clone, Copy, Debug, Default)]
struct Machine {
    mappings: Option<u64>,
    files: Option<u64>,
    memory: Option<u64>,
    address_space: Option<u64>,
    threads: Option<u64>,
}

impl Machine {
    fn read() -> Machine {
        let mappings = number(Path::new("/proc/sys/vm/max_map_count"));
        // The soft limit is raised to the hard one at the start.
        let files = getrlimit(Resource::Nofile).maximum;
        let memory = [machine::available(), memory_limit()].into_iter().flatten().min();
        let address_space = getrlimit(Resource::As).current;
        let threads = getrlimit(Resource::Nproc).current.filter(|_| strict_modes::me() != 0);
        let threads = [threads, machine::thread_limit()].into_iter().flatten().min();
        Machine { mappings, files, memory, address_space, threads }
    }

    #[cfg(test)]
    fn shortages(&self, config: &Config) -> Vec<Shortage> {
        short(self.wanted(config))
    }

    /// As much as the limits of the configuration may take.
    fn wanted(&self, config: &Config) -> Vec<Requirement> {
        let limits = &config.limits;
        let mut wanted = Vec::new();
        let mut want = |resource, has, needs, change| wanted.push(Requirement { resource, has, needs, change });
        let (instances, connections) = (u64::from(limits.plugins.instances), u64::from(limits.connections));
        let engine = derived::engine_settings_of(config);
        let mappings = |memories| u64::try_from(engine.mappings(memories)).unwrap_or(u64::MAX);
        let (mappings, most) = (mappings(1), mappings(count(limits.plugins.memories)));
        let has = self.mappings.map_or(usize::MAX, |has| usize::try_from(has).unwrap_or(usize::MAX));
        let room = whelk_runtime::session_capacity(&EngineSettings { max_map_count: has, ..engine });
        let raise = format!(
            "that is for plugins of one memory, and {most} would do for those of {}: sysctl -w vm.max_map_count={mappings}, or lower \
             `instances`; until then {room} run",
            limits.plugins.memories
        );
        want(MAPPINGS, self.mappings, mappings, raise);
        let files = Files::wanted(config).sum();
        let raise = format!(
            "raise the hard limit (LimitNOFILE={files} for systemd, --ulimit nofile={files} for docker, ulimit -Hn {files} in a shell of \
             root), or lower `connections` or `tenant_open_files`; until then fewer are accepted, and plugins open fewer"
        );
        want(OPEN_FILES, self.files, files, raise);
        if let (Some(machine), Some(compiling)) = (self.memory, compiled_by_tenants(config)) {
            let total = u64::try_from(derived::memory_total(limits, self.memory)).unwrap_or(u64::MAX);
            let change =
                "that is for the compilers of tenants' plugins beside `memory_total`: lower `compile_memory`, \
                          `compile_jobs` or `memory_total`; until then the kernel may end compilers"
                    .to_owned();
            want(COMPILING_MEMORY, Some(machine.saturating_sub(total)), compiling, change);
        }
        let memory = instances * IDLE_INSTANCE + connections * IDLE_CONNECTION;
        let raise = format!(
            "give it {} MiB (MemoryMax= for systemd, --memory for docker), or lower `instances` and `connections`; that is what all of them take while they are idle",
            memory.div_ceil(1 << 20)
        );
        want(MEMORY, self.memory, memory, raise);
        let threads = processors() + BLOCKING_THREADS + OTHER_THREADS;
        let raise =
            format!("{}; until then files and host names are waited for one after another", more_threads(threads));
        want(THREADS, self.threads, threads, raise);
        wanted
    }

    #[cfg(test)]
    fn lacks(&self, config: &Config) -> Vec<Shortage> {
        short(self.needed(config))
    }

    /// The least with which a server starts at all.
    fn needed(&self, config: &Config) -> Vec<Requirement> {
        let engine = derived::engine_settings_of(config);
        let address_space = u64::try_from(whelk_runtime::address_space(&engine)).unwrap_or(u64::MAX);
        let threads = processors() + OTHER_THREADS;
        let files =
            "LimitNOFILE=65536 for systemd, --ulimit nofile=65536 for docker, ulimit -Hn 65536 in a shell of root";
        let space = "it is reserved for the memories of plugins and costs nothing until they use it: LimitAS=infinity for systemd, \
                     ulimit -v unlimited in a shell, or lower `instances`, `memories` or `memory_slot`";
        [
            (OPEN_FILES, self.files, LEAST_FILES, files.to_owned()),
            (ADDRESS_SPACE, self.address_space, address_space, space.to_owned()),
            (THREADS, self.threads, threads, more_threads(threads)),
        ]
        .into_iter()
        .map(|(resource, has, needs, change)| Requirement { resource, has, needs, change })
        .collect()
    }
}

fn short(requirements: Vec<Requirement>) -> Vec<Shortage> {
    requirements.into_iter().filter_map(Requirement::shortage).collect()
}

fn more_threads(threads: u64) -> String {
    format!(
        "TasksMax={threads} for systemd, --pids-limit {threads} for docker, ulimit -u {threads} in a shell (pids.max and RLIMIT_NPROC count \
         all threads of the group and of the user)"
    )
}

fn processors() -> u64 {
    std::thread::available_parallelism().map_or(1, |processors| processors.get() as u64)
}

/// Checks that this machine allows the server to start.
///
/// # Errors
/// The resources that are too small, a line each, and what to set.
pub(crate) fn check_start(config: &Config) -> Result<(), String> {
    let lacks = short(needed(config));
    let lines = lacks.iter().map(|Shortage { resource, has, needs, change }| {
        format!("this machine: {resource} is {has}, and at least {needs} are needed: {change}")
    });
    if lacks.is_empty() { Ok(()) } else { Err(lines.collect::<Vec<_>>().join("\n")) }
}

/// The least of each resource with which a server with this configuration starts at all.
#[must_use]
pub(crate) fn needed(config: &Config) -> Vec<Requirement> {
    Machine::read().needed(config)
}

/// As much of each resource as the limits of a configuration may take. Nothing is changed.
#[must_use]
pub(crate) fn wanted(config: &Config) -> Vec<Requirement> {
    let hashing = hashing_requirement(config, hashing_memory(&config.limits));
    Machine::read().wanted(config).into_iter().chain(hashing).collect()
}

/// The resources that are too small for a configuration. Nothing is changed.
#[must_use]
pub(crate) fn shortages(config: &Config) -> Vec<Shortage> {
    short(wanted(config))
}

/// Memory that all compilers together may take, if any tenant has files of its own to compile. The operator's own are
/// known not to.
fn compiled_by_tenants(config: &Config) -> Option<u64> {
    let has_own = config.tenants.values().any(|tenant| tenant.plugins.is_some());
    let one = u64::try_from(compile_memory(&config.limits)).unwrap_or(u64::MAX);
    // The fast and the slow ones.
    has_own.then(|| one.saturating_mul(2 * u64::from(config.limits.plugins.compile_jobs)))
}

/// The largest password hash; all of them share `has` bytes.
fn hashing_requirement(config: &Config, has: usize) -> Option<Requirement> {
    let LoginPolicy::Users(users) = &config.login_policy else { return None };
    let memory = |user: &config::User| match &user.authentication {
        Authentication::Required { password: Some(hash), .. } => Some(hash.memory()),
        Authentication::Required { password: None, .. } | Authentication::NotRequired => None,
    };
    let (needs, name) = users.iter().filter_map(|(name, user)| Some((memory(user)?, name))).max()?;
    let change = format!(
        "that is one password hash, of the user {name:?}: raise `hashing_memory`, or make a cheaper hash (`whelk hash-password`); until then it is \
         computed while no other is, and never if it takes more than half of all memory"
    );
    let bytes = |size: usize| u64::try_from(size).unwrap_or(u64::MAX);
    Some(Requirement { resource: HASHING_MEMORY, has: Some(bytes(has)), needs: bytes(needs), change })
}

fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// The number of files that this process may open, by purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Files {
    /// One for each connection.
    pub connections: u64,
    /// Files, sockets and requests of plugins, of all tenants together ...
    pub plugins: u64,
    /// ... and as many as their limits allow.
    pub wanted: u64,
    /// Everything else.
    pub others: u64,
}

impl Files {
    /// The configured limits.
    fn wanted(config: &Config) -> Files {
        // Whatever is granted, programs have `/tmp` and devices.
        let of_tenants = config.tenants.values().map(|tenant| u64::from(tenant.limits.plugins.tenant_open_files));
        let (tenants, plugins) = match config.login_policy {
            LoginPolicy::Users(_) => (config.tenants.len() as u64, of_tenants.sum()),
            // Each plugin is a tenant, and their number is unknown.
            LoginPolicy::Demonstration => {
                (DEMONSTRATED, DEMONSTRATED * u64::from(config.limits.plugins.tenant_open_files))
            }
        };
        // Of the operator and of the tenants, fast and slow ones.
        let jobs = 4 * u64::from(config.limits.plugins.compile_jobs);
        let others = OTHER_FILES + FILES_OF_TENANT * tenants + FILES_OF_JOB * jobs;
        Files { connections: config.limits.connections.into(), plugins, wanted: plugins, others }
    }

    /// A tenant's limit, reduced in the same proportion as the total, so that no tenant can take what is left for the
    /// others.
    #[must_use]
    pub(crate) fn share(self, limit: u32) -> u32 {
        if self.plugins >= self.wanted {
            return limit;
        }
        u32::try_from(u64::from(limit) * self.plugins / self.wanted).unwrap_or(limit).max(1)
    }

    fn sum(self) -> u64 {
        self.connections + self.plugins + self.others
    }

    /// As many as fit in `limit`; `None` means unlimited. If there are too few, at least a quarter is for plugins, and
    /// at least one is for a connection.
    fn within(self, limit: Option<u64>) -> Files {
        let Some(limit) = limit.filter(|limit| *limit < self.sum()) else { return self };
        let room = limit.saturating_sub(self.others);
        let plugins = self.plugins.min(room.saturating_sub(self.connections).max(room / 4));
        let connections = self.connections.min(room - plugins).max(1);
        Files { connections, plugins, ..self }
    }
}

/// Raises the limit of open files to the hard limit and divides it: as many as the configuration wants, or fewer, which
/// [`shortages`] reports.
pub(crate) fn make_room(config: &Config) -> Files {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })
    {
        emit(ServerEvent::FilesNotRaised { error: &error });
    }
    Files::wanted(config).within(getrlimit(Resource::Nofile).current)
}

/// How many connections there is room for, and how many of them that have not logged in. Makes that room.
pub(crate) fn room_for_connections(config: &Config) -> (u32, u32) {
    let connections = u32::try_from(make_room(config).connections).unwrap_or(u32::MAX);
    (connections, unauthenticated_full(config.limits.unauthenticated_full).min(connections))
}

/// How many unauthenticated connections there is room for, at most `wanted`: they take an eighth of the memory and half
/// of the open files. At least one.
#[must_use]
pub(crate) fn unauthenticated_full(wanted: u32) -> u32 {
    room_for_unauthenticated(wanted, memory_limit(), getrlimit(Resource::Nofile).current)
}

fn room_for_unauthenticated(wanted: u32, memory: Option<u64>, files: Option<u64>) -> u32 {
    let memory = memory.map(|bytes| bytes / UNAUTHENTICATED_SHARE / UNAUTHENTICATED_CONNECTION);
    let files = files.map(|files| files / 2);
    let room = memory.into_iter().chain(files).min();
    room.map_or(wanted, |room| wanted.min(u32::try_from(room).unwrap_or(u32::MAX))).max(1)
}

/// What the kernel knows of the clock of this machine: whether it follows a source of time, such as an NTP server, and
/// otherwise why that is unknown, adjtimex(2).
pub(crate) fn clock_is_synchronized() -> io::Result<bool> {
    #[expect(unsafe_code, reason = "adjtimex(2) has no safe face; it fills the structure that it is given")]
    // SAFETY: all bits zero are a valid timex, which asks to change nothing, and the pointer is to a local variable.
    let state = unsafe {
        let mut clock: libc::timex = std::mem::zeroed();
        libc::adjtimex(&raw mut clock)
    };
    if state < 0 { Err(io::Error::last_os_error()) } else { Ok(state != libc::TIME_ERROR) }
}

/// Keeps secrets in this process's memory out of core dumps. `private` also keeps other programs of the same user from
/// reading that memory, which hides the process from their debuggers and profilers.
pub(crate) fn forbid_dumps(private: bool) {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        emit(ServerEvent::CoreDumpsLeftOn { error: &error });
    }
    if private && let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        emit(ServerEvent::MemoryLeftOpen { error: &error });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::{Grants, Overrides};

    /// A configuration with three tenants.
    fn config(limits: Limits) -> Config {
        let folder = tempfile::tempdir().unwrap();
        let tenant = |grants: Grants| config::TenantConfig { grants, ..config::TenantConfig::plain(&limits) };
        let tenants = [
            ("a", Grants { tcp: vec!["10.0.0.1:1".to_owned()], ..Grants::default() }),
            ("b", Grants::demonstration()),
            ("c", Grants { topics: true, ..Grants::default() }),
        ];
        let overrides = Overrides { plugins: Some(folder.path().to_owned()), ..Overrides::default() };
        Config {
            tenants: tenants.into_iter().map(|(name, grants)| (name.to_owned(), tenant(grants))).collect(),
            login_policy: LoginPolicy::Users(BTreeMap::new()),
            limits,
            ..Config::demonstration(&overrides).unwrap()
        }
    }

    #[test]
    fn a_compiler_is_limited_to_the_machines_memory() {
        const MIB: usize = 1 << 20;
        assert_eq!(bounded_compile_memory(1024 * MIB, None), 1024 * MIB);
        assert_eq!(bounded_compile_memory(1024 * MIB, Some(4 << 30)), 1024 * MIB);
        assert_eq!(bounded_compile_memory(1024 * MIB, Some(256 << 20)), 256 * MIB);
        assert_eq!(bounded_compile_memory(1024 * MIB, Some(64 << 20)), 128 * MIB);
    }

    #[test]
    fn shortages_are_named_with_what_to_change() {
        let mut limits = Limits { connections: 10_000, ..Limits::default() };
        limits.plugins.instances = 20_000;
        let config = config(limits);
        assert_eq!(Machine::default().shortages(&config), []);
        let plenty =
            Machine { mappings: Some(124_700), files: Some(22_456), memory: Some(2 << 30), ..Machine::default() };
        assert_eq!(plenty.shortages(&config), []);
        let short = Machine {
            mappings: Some(65_530),
            files: Some(1024),
            memory: Some(1 << 30),
            threads: Some(1),
            ..Machine::default()
        };
        let told: Vec<_> = short.shortages(&config).iter().map(ToString::to_string).collect();
        let needs = processors() + 512 + 16;
        let threads = format!(
            "the number of threads is 1, and the limits may take {needs}: {}; until then files and host names are waited for one after another",
            more_threads(needs)
        );
        assert_eq!(
            told,
            [
                "vm.max_map_count is 65530, and the limits may take 124700: that is for plugins of one memory, and 284700 would do for \
                 those of 3: sysctl -w vm.max_map_count=124700, or lower `instances`; until then 10138 run",
                "the number of open files is 1024, and the limits may take 22456: raise the hard limit (LimitNOFILE=22456 \
                 for systemd, --ulimit nofile=22456 for docker, ulimit -Hn 22456 in a shell of root), or lower `connections` or \
                 `tenant_open_files`; until then fewer are accepted, and plugins open fewer",
                "the memory in bytes is 1073741824, and the limits may take 1638400000: give it 1563 MiB (MemoryMax= \
                 for systemd, --memory for docker), or lower `instances` and `connections`; that is what all of them take while they are idle",
                threads.as_str(),
            ]
        );
    }

    #[test]
    fn a_failed_start_names_what_is_missing_and_what_to_set() {
        let config = config(Limits::default());
        assert_eq!(Machine::default().lacks(&config), []);
        let machine = Machine { files: Some(10), address_space: Some(1 << 30), threads: Some(5), ..Machine::default() };
        let told: Vec<_> = machine.lacks(&config).iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 3, "{told:?}");
        for (told, words) in told.iter().zip([
            ["open files is 10", "LimitNOFILE=", "--ulimit nofile="],
            ["address space in bytes (RLIMIT_AS) is 1073741824", "LimitAS=infinity", "ulimit -v unlimited"],
            ["threads is 5", "TasksMax=", "--pids-limit"],
        ]) {
            assert!(words.iter().all(|word| told.contains(word)), "{told}");
        }
    }

    #[test]
    fn a_hash_above_the_memory_of_all_is_reported_with_its_user() {
        let hash = "$argon2id$v=19$m=19456,t=2,p=1$S2aaE/TDH5padCF7ghv7mQ$zTtmCdY6SFbI2apkX35/ITFUAXb78e7qQvuvwf9UZLs";
        let password = Some(crate::credential::PasswordHash::parse(hash).unwrap());
        let authentication = Authentication::Required { password, keys: Vec::new(), key_files: Vec::new() };
        let alice = config::User {
            tenant: "a".to_owned(),
            plugin: "echo".to_owned(),
            own_plugin: true,
            authentication,
            principals: None,
            methods: config::RequiredMethods::default(),
        };
        let login_policy = LoginPolicy::Users(BTreeMap::from([("alice".to_owned(), alice)]));
        let config = Config { login_policy, ..config(Limits::default()) };
        assert_eq!(hashing_requirement(&config, 19_456 << 10).unwrap().shortage(), None);
        let told = hashing_requirement(&config, (19_456 << 10) - 1).unwrap().shortage().unwrap().to_string();
        assert!(told.contains("19922944") && told.contains("\"alice\"") && told.contains("hashing_memory"), "{told}");
    }

    #[test]
    fn hashing_leaves_a_processor_and_three_quarters_of_the_memory_unless_it_is_set() {
        let limits = Limits::default();
        let processors = std::thread::available_parallelism().unwrap().get();
        assert_eq!(hashing_slots(&limits), processors.max(2) - 1);
        let memory = memory_limit().and_then(|bytes| usize::try_from(bytes / 4).ok());
        assert_eq!(hashing_memory(&limits), memory.unwrap());
        let set = Limits { hashing: 7, hashing_memory: 1 << 20, ..limits };
        assert_eq!((hashing_slots(&set), hashing_memory(&set)), (7, 1 << 20));
    }

    #[test]
    fn a_tenant_without_grants_has_open_files_for_its_programs() {
        let config = Config { tenants: BTreeMap::new(), ..config(Limits::default()) };
        assert_eq!(Files::wanted(&config).plugins, 0);
        let plain = config::TenantConfig::plain(&config.limits);
        let config = Config { tenants: BTreeMap::from([("plain".to_owned(), plain)]), ..config };
        assert_eq!(Files::wanted(&config).plugins, u64::from(config.limits.plugins.tenant_open_files));
    }

    #[test]
    fn neither_connections_nor_plugins_take_all_the_open_files() {
        let wanted = Files { connections: 10_000, plugins: 2_048, wanted: 2_048, others: 88 };
        let within = |limit| {
            let Files { connections, plugins, .. } = wanted.within(limit);
            (connections, plugins)
        };
        assert_eq!(within(None), (10_000, 2_048));
        assert_eq!(within(Some(1 << 20)), (10_000, 2_048));
        assert_eq!(within(Some(12_088)), (9_952, 2_048));
        assert_eq!(within(Some(1_088)), (750, 250));
        assert_eq!(within(Some(10)), (1, 0));
        let few = Files { plugins: 10, ..wanted }.within(Some(1_088));
        assert_eq!((few.connections, few.plugins), (990, 10));
        // The rest is divided among all tenants.
        assert_eq!((wanted.share(1_024), wanted.within(Some(1_088)).share(1_024)), (1_024, 125));
        assert_eq!(wanted.within(Some(10)).share(1_024), 1);
    }

    #[test]
    fn unauthenticated_connections_take_an_eighth_of_the_memory_and_half_of_the_files() {
        let room = |memory, files| room_for_unauthenticated(9000, memory, files);
        assert_eq!(room(None, None), 9000);
        assert_eq!(room(Some(24 << 30), Some(20_000)), 9000);
        assert_eq!(room(Some(256 << 20), Some(20_000)), 682);
        assert_eq!(room(Some(24 << 30), Some(1024)), 512);
        assert_eq!(room(Some(1), Some(1)), 1);
        assert_eq!(room_for_unauthenticated(100, Some(256 << 20), None), 100);
    }

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_one() {
        make_room(&config(Limits::default()));
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
