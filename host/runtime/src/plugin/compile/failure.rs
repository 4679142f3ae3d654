//! Why a child returned no code: the file's fault ([`Error::Refused`], never tried again) or the machine's
//! ([`Error::Unfinished`], [`Error::Killed`], tried again).
//!
//! Only a reason that the child itself found in the file, and our limits of memory and code, are the file's fault.
//! Everything else could be different at the next attempt: a thread that cannot be started, a seccomp filter, a page
//! that cannot be read; and CPU time, of which the same work takes more while others use the caches and the other half
//! of a core.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::process::{Resource, Signal, getrlimit};

use super::settings::CompileSettings;
use crate::error::Error;

/// Exit status of a child that found a fault in the file.
pub(super) const REFUSED: u8 = 3;
/// Exit status of a child that could not do its work. The file may be good.
pub(super) const UNABLE: u8 = 4;

/// Limits of the machine that the child inherits from this process.
#[derive(Clone, Copy, Default)]
pub(super) struct Inherited {
    /// Hard limit of address space, bytes.
    address_space: Option<u64>,
    /// Hard limit of CPU time, seconds.
    cpu: Option<u64>,
    /// Allocations can fail while the address space limit is not reached: strict overcommit, or a limit of data.
    refuses_memory: bool,
}

impl Inherited {
    pub(super) fn read() -> Self {
        let overcommit = fs::read_to_string("/proc/sys/vm/overcommit_memory").unwrap_or_default();
        Self {
            address_space: getrlimit(Resource::As).maximum,
            cpu: getrlimit(Resource::Cpu).maximum,
            refuses_memory: overcommit.trim() == "2" || getrlimit(Resource::Data).current.is_some(),
        }
    }

    fn allows_memory(self, bytes: usize) -> bool {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        !self.refuses_memory && self.address_space.is_none_or(|limit| limit >= bytes)
    }

    fn allows_time(self, settings: &CompileSettings) -> bool {
        self.cpu.is_none_or(|limit| u128::from(limit) * 1000 >= settings.time.as_millis())
    }
}

/// The error for a child that ended with `status` and wrote `stderr`.
pub(super) fn reason(status: ExitStatus, stderr: &str, settings: &CompileSettings, inherited: Inherited) -> Error {
    let first = stderr.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let colon = if first.is_empty() { "" } else { ": " };
    let Some(signal) = status.signal() else {
        return match status.code().and_then(|code| u8::try_from(code).ok()) {
            Some(REFUSED) => Error::Refused(first.to_owned()),
            Some(UNABLE) => Error::Unfinished(first.to_owned()),
            _ => Error::Unfinished(format!("its compiler failed ({status}){colon}{first}")),
        };
    };
    match Signal::from_named_raw(signal) {
        Some(Signal::XCPU) if inherited.allows_time(settings) => Error::Unfinished(format!(
            "compiling it takes more than the {} s of CPU time that are allowed: raise compile_time",
            settings.time.as_secs_f32()
        )),
        Some(Signal::XCPU) => {
            Error::Unfinished("its compiler reached the CPU limit of the server: raise LimitCPU (ulimit -t)".to_owned())
        }
        Some(Signal::ABORT) if stderr.contains("memory allocation of") => out_of_memory(settings, inherited),
        Some(Signal::ABORT) if stderr.contains("overflowed its stack") => {
            Error::Refused("it is nested too deeply to be compiled".to_owned())
        }
        Some(Signal::KILL) => Error::Killed("its compiler was killed; the machine may be out of memory".to_owned()),
        Some(Signal::SYS) => Error::Unfinished(
            "a seccomp filter killed its compiler (SIGSYS): if it is systemd's SystemCallFilter, allow @resources or \
             set SystemCallErrorNumber=EPERM"
                .to_owned(),
        ),
        _ => Error::Unfinished(format!("its compiler died ({status}){colon}{first}")),
    }
}

fn out_of_memory(settings: &CompileSettings, inherited: Inherited) -> Error {
    if inherited.allows_memory(settings.memory) {
        let mib = settings.memory >> 20;
        return Error::Refused(format!(
            "compiling it takes more than the {mib} MiB of memory that are allowed: raise compile_memory, or give the \
             server more"
        ));
    }
    Error::Unfinished(
        "the machine has no memory for its compiler: look at LimitAS, LimitDATA (ulimit -v, -d) and \
         vm.overcommit_memory"
            .to_owned(),
    )
}

pub(super) fn too_large(most: usize) -> String {
    format!("compiled it would have more than the {} MiB that are allowed: raise compile_code", most >> 20)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn settings() -> CompileSettings {
        CompileSettings { memory: 1 << 30, time: Duration::from_secs(60), code: 1 << 20, instance_memory: 1 << 20 }
    }

    /// By exit status, as of `wait(2)`.
    fn exited(code: i32, stderr: &str) -> Error {
        reason(ExitStatus::from_raw(code << 8), stderr, &settings(), Inherited::default())
    }

    fn died(signal: Signal, stderr: &str, inherited: Inherited) -> Error {
        reason(ExitStatus::from_raw(signal.as_raw()), stderr, &settings(), inherited)
    }

    #[test]
    fn only_faults_of_the_file_and_our_limits_of_memory_and_code_are_refusals() {
        let none = Inherited::default();
        for error in [
            exited(3, "it is no component"),
            died(Signal::ABORT, "memory allocation of 4096 bytes failed", none),
            died(Signal::ABORT, "thread 'main' has overflowed its stack", none),
        ] {
            assert!(matches!(error, Error::Refused(_)), "{error:?}");
        }
        let allocation = "memory allocation of 4096 bytes failed";
        for error in [
            died(Signal::XCPU, "", none),
            exited(4, "its compiler cannot set its limits: Operation not permitted"),
            // A panic: rayon's threads cannot be started at TasksMax.
            exited(101, "thread 'main' panicked: the global thread pool has not been initialized"),
            exited(127, ""),
            died(Signal::SYS, "", none),
            died(Signal::BUS, "", none),
            died(Signal::SEGV, "", none),
            died(Signal::TERM, "", none),
            died(Signal::ABORT, "", none),
            died(Signal::ABORT, allocation, Inherited { address_space: Some((1 << 30) - 1), ..none }),
            died(Signal::ABORT, allocation, Inherited { refuses_memory: true, ..none }),
            died(Signal::XCPU, "", Inherited { cpu: Some(59), ..none }),
        ] {
            assert!(matches!(error, Error::Unfinished(_)), "{error:?}");
        }
        let killed = died(Signal::KILL, "", none);
        assert!(matches!(killed, Error::Killed(_)), "{killed:?}");
    }

    #[test]
    fn a_death_by_a_seccomp_filter_names_the_setting() {
        let Error::Unfinished(reason) = died(Signal::SYS, "", Inherited::default()) else { panic!("refused") };
        assert!(reason.contains("SystemCallFilter"), "{reason}");
    }
}
