//! What a server and all its children use.
//!
//! A server that forks is measured whole only by a control group of its own (version 2): children that have ended and
//! were not yet waited for, or were waited for by nobody, are in no other sum. Where there is none, /proc is added up,
//! and said so.

use crate::step::{Outcome, doing};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// The kernel counts time in /proc in hundredths of a second on every machine that Rust knows.
const TICK: Duration = Duration::from_millis(10);

/// How often the memory is looked at while it may grow.
const LOOK: Duration = Duration::from_millis(20);

/// When memory has not fallen by a hundredth for so long it will not fall any more: Whelk trims its heap every 22 s at
/// the latest, if there is a reason.
const SETTLED: Duration = Duration::from_secs(23);
/// Nobody waits longer for that ...
const NEVER_SETTLED: Duration = Duration::from_secs(120);
/// ... or for the end of what was killed.
const ENDED: Duration = Duration::from_secs(10);

/// The meter of one server.
pub(crate) enum Meter {
    /// A control group that holds nothing but the server.
    Group(PathBuf),
    /// The server's process and what descends from it.
    Tree(u32),
}

/// Makes a control group for one server. `None` where this machine has no version 2 hierarchy that we may write to.
pub(crate) fn group(name: &str) -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let mount = mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .find(|fields| fields.get(2) == Some(&"cgroup2"))?;
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = own.lines().find_map(|line| line.strip_prefix("0::/"))?.to_owned();
    let group = Path::new(mount.get(1)?).join(path).join(format!("whelk-bench-{}-{name}", std::process::id()));
    fs::create_dir_all(&group).ok()?;
    // A group can be made where a process may not be moved: that is found out by trying, with nobody in it.
    let usable = group.join("cgroup.procs").is_file() && cpu_of_group(&group).is_ok();
    if usable { Some(group) } else { fs::remove_dir(&group).ok().and(None) }
}

impl Meter {
    /// CPU time so far, user and system.
    pub(crate) fn cpu(&self) -> Outcome<Duration> {
        match self {
            Self::Group(group) => cpu_of_group(group),
            Self::Tree(root) => {
                let ticks: u64 = tree(*root).iter().map(|process| process.ticks).sum();
                Ok(TICK * u32::try_from(ticks).unwrap_or(u32::MAX))
            }
        }
    }

    /// Anonymous memory of all processes, in bytes, each shared page counted once. One that has ended has none.
    pub(crate) fn anonymous(&self) -> Outcome<u64> {
        let memory = |pid: &u32| {
            let file = format!("/proc/{pid}/smaps_rollup");
            match fs::read_to_string(&file) {
                Ok(text) => kib_in(&file, &text, "Pss_Anon:"),
                Err(error) if has_ended(&error) => Ok(0),
                Err(error) => Err(format!("{file}: {error}")),
            }
        };
        self.processes()?.iter().map(memory).sum()
    }

    /// Does some work, and sees by how many bytes the anonymous memory grows meanwhile at most.
    pub(crate) fn growth_during<R>(&self, work: impl FnOnce() -> R) -> (R, Outcome<u64>) {
        let (end, ended) = channel::<()>();
        std::thread::scope(|scope| {
            let before = self.anonymous();
            let looks = scope.spawn(move || {
                let mut most = 0;
                // A process may end while it is looked at.
                while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                    most = most.max(self.anonymous().unwrap_or_default());
                }
                most
            });
            let done = work();
            drop(end);
            let most = looks.join().map_err(|_| "the thread that looks at the memory has panicked".to_owned());
            (done, before.and_then(|before| Ok(most?.saturating_sub(before))))
        })
    }

    /// The anonymous memory once it does not fall any more, in bytes: a server gives memory back some time after its
    /// connections have ended.
    pub(crate) fn settled(&self) -> Outcome<u64> {
        let began = Instant::now();
        let (mut least, mut fell) = (self.anonymous()?, began);
        while fell.elapsed() < SETTLED && began.elapsed() < NEVER_SETTLED {
            std::thread::sleep(LOOK);
            let now = self.anonymous()?;
            if now < least - least / 100 {
                fell = Instant::now();
            }
            least = least.min(now);
        }
        self.anonymous()
    }

    /// Resident memory of all processes, in bytes.
    pub(crate) fn resident(&self) -> Outcome<u64> {
        self.processes()?.iter().map(|pid| kib(&format!("/proc/{pid}/status"), "VmRSS:")).sum()
    }

    /// Ends what is left in a group, and removes it: sshd's sessions outlive it.
    pub(crate) fn end(&self) {
        let Self::Group(group) = self else { return };
        // The group is empty once the parents of what was ended have taken note.
        let _ = fs::write(group.join("cgroup.kill"), "1");
        let began = Instant::now();
        while fs::remove_dir(group).is_err() && began.elapsed() < ENDED {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn processes(&self) -> Outcome<Vec<u32>> {
        match self {
            Self::Group(group) => {
                let file = group.join("cgroup.procs");
                let text = doing(file.display(), fs::read_to_string(&file))?;
                Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
            }
            Self::Tree(root) => Ok(tree(*root).iter().map(|process| process.pid).collect()),
        }
    }
}

/// Bytes in a KiB.
pub(crate) const KIB: f64 = 1024.0;

/// A count of bytes to reckon with.
#[expect(clippy::cast_precision_loss, reason = "counts of bytes far below 2^53")]
pub(crate) fn to_float(count: u64) -> f64 {
    count as f64
}

fn cpu_of_group(group: &Path) -> Outcome<Duration> {
    let file = group.join("cpu.stat");
    let text = doing(file.display(), fs::read_to_string(&file))?;
    let micros =
        text.lines().find_map(|line| line.strip_prefix("usage_usec ")).and_then(|count| count.trim().parse().ok());
    micros.map(Duration::from_micros).ok_or(format!("{}: no usage_usec", file.display()))
}

fn kib(file: &str, name: &str) -> Outcome<u64> {
    kib_in(file, &doing(file, fs::read_to_string(file))?, name)
}

/// The number of this name in the text of a file, in bytes.
fn kib_in(file: &str, text: &str, name: &str) -> Outcome<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).ok_or(format!("{file}: no {name}"))?;
    let count = line.split_whitespace().next().and_then(|count| count.parse::<u64>().ok());
    count.map(|count| count * 1024).ok_or(format!("{file}: {name} is no number"))
}

/// Whether a file in /proc cannot be read because its process has ended: before it was opened, or since.
fn has_ended(error: &std::io::Error) -> bool {
    matches!(rustix::io::Errno::from_io_error(error), Some(rustix::io::Errno::SRCH | rustix::io::Errno::NOENT))
}

struct Process {
    pid: u32,
    parent: u32,
    /// Its own time and that of the children it has waited for.
    ticks: u64,
}

/// A process and its descendants.
fn tree(root: u32) -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let mut others: Vec<Process> = entries.filter_map(|entry| stat(&entry.file_name().to_string_lossy())).collect();
    let mut found: Vec<Process> = Vec::new();
    loop {
        let belongs = |process: &Process| process.pid == root || found.iter().any(|one| one.pid == process.parent);
        let (new, rest): (Vec<_>, Vec<_>) = others.into_iter().partition(belongs);
        if new.is_empty() {
            return found;
        }
        found.extend(new);
        others = rest;
    }
}

/// proc_pid_stat(5): after the name in brackets come the state, the parent, and as 12th to 15th the four times.
fn stat(pid: &str) -> Option<Process> {
    let text = fs::read_to_string(format!("/proc/{}/stat", pid.parse::<u32>().ok()?)).ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11..15)?.iter().filter_map(|field| field.parse::<u64>().ok()).sum();
    Some(Process { pid: pid.parse().ok()?, parent: fields.get(1)?.parse().ok()?, ticks })
}
