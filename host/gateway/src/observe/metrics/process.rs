//! What the process has of the machine.

use std::fs;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

/// What the process has of the machine at one time.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ProcessFigures {
    /// Processor time.
    pub(super) cpu: Duration,
    /// Resident memory, bytes.
    pub(super) resident: u64,
    /// Address space, bytes.
    pub(super) virtual_memory: u64,
    pub(super) threads: u64,
    /// Open file descriptors.
    pub(super) files: u64,
    /// The most of them. None: there is no limit.
    pub(super) most_files: Option<u64>,
}

impl ProcessFigures {
    /// Those of now. What the system does not say is 0.
    pub(super) fn read() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self {
            cpu: Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default(),
            resident: kibibytes(&status, "VmRSS:"),
            virtual_memory: kibibytes(&status, "VmSize:"),
            threads: number(&status, "Threads:"),
            files: open_files(),
            most_files: getrlimit(Resource::Nofile).current,
        }
    }
}

/// The number in a line of proc_pid_status(5).
fn number(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

fn kibibytes(status: &str, name: &str) -> u64 {
    number(status, name).saturating_mul(1 << 10)
}

/// How many file descriptors are open. Linux 6.2 and later tell it as the size of the folder; before that the folder is
/// listed, which takes milliseconds for ten thousand.
fn open_files() -> u64 {
    let told = fs::metadata("/proc/self/fd").map_or(0, |folder| folder.len());
    if told > 0 { told } else { fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as u64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_of_this_process_are_what_the_system_says() {
        let first = ProcessFigures::read();
        assert!(first.resident > 1 << 20 && first.virtual_memory > first.resident, "{first:?}");
        assert!(first.threads >= 1 && first.cpu > Duration::ZERO, "{first:?}");
        let held: Vec<_> = (0..100).map(|_| fs::File::open("/proc/self/status").unwrap()).collect();
        let second = ProcessFigures::read();
        // Other tests of this process open and close files meanwhile.
        assert!(second.files >= held.len() as u64, "{second:?}");
        assert!(second.most_files.is_none_or(|most| most >= second.files), "{second:?}");
        assert_eq!(number("Threads:\t12\nVmRSS:\t  40 kB\n", "Threads:"), 12);
        assert_eq!(kibibytes("Threads:\t12\nVmRSS:\t  40 kB\n", "VmRSS:"), 40 << 10);
        assert_eq!(number("", "Threads:"), 0);
    }
}
