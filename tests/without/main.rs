//! Runs a program without some system calls, as systemd's hardening, containers and old kernels do:
//! `without ENOSYS openat2,statx PROGRAM ...`.
//!
//! A seccomp filter answers the calls, for the program and everything that it starts. It needs no privilege.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

/// The calls that can be refused: those that recent kernels added, and those that filters are known to refuse.
const CALLS: [(&str, libc::c_long); 14] = [
    ("memfd_create", libc::SYS_memfd_create),
    ("openat2", libc::SYS_openat2),
    ("statx", libc::SYS_statx),
    ("faccessat2", libc::SYS_faccessat2),
    ("pidfd_open", libc::SYS_pidfd_open),
    ("pidfd_getfd", libc::SYS_pidfd_getfd),
    ("pidfd_send_signal", libc::SYS_pidfd_send_signal),
    ("close_range", libc::SYS_close_range),
    ("renameat2", libc::SYS_renameat2),
    ("copy_file_range", libc::SYS_copy_file_range),
    ("epoll_pwait2", libc::SYS_epoll_pwait2),
    ("io_uring_setup", libc::SYS_io_uring_setup),
    ("setpriority", libc::SYS_setpriority),
    ("rseq", libc::SYS_rseq),
];

/// The filter that answers these calls with an error.
fn filter(error: &str, calls: &str) -> Result<BpfProgram, String> {
    let errno = match error {
        "ENOSYS" => libc::ENOSYS,
        "EPERM" => libc::EPERM,
        other => return Err(format!("{other}: only ENOSYS and EPERM are known")),
    };
    let errno = u32::try_from(errno).map_err(|error| error.to_string())?;
    let number = |name: &str| {
        let found = CALLS.iter().find(|(known, _)| *known == name);
        found.map(|(_, number)| (*number, Vec::new())).ok_or_else(|| format!("{name}: no such call is known"))
    };
    let names: Vec<&str> = match calls {
        "all" => CALLS.iter().map(|(name, _)| *name).collect(),
        names => names.split(',').collect(),
    };
    let rules: BTreeMap<_, _> = names.into_iter().map(number).collect::<Result<_, _>>()?;
    let here = std::env::consts::ARCH.try_into().map_err(|error| format!("{error}"))?;
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(errno), here);
    filter.and_then(TryInto::try_into).map_err(|error| error.to_string())
}

fn run() -> Result<(), String> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [error, calls, program, arguments @ ..] = words.as_slice() else {
        return Err("without ENOSYS|EPERM CALL,...|all PROGRAM ARGUMENT...".to_owned());
    };
    apply_filter(&filter(error, calls)?).map_err(|error| error.to_string())?;
    Err(format!("{program}: {}", Command::new(program).args(arguments).exec()))
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::from(2)
        }
    }
}
