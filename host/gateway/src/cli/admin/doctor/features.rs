//! What the kernel, the clock and the processor can do, as far as a server uses it.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{CWD, MemfdFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use whelk_ssh::crypto::random::{Random, SystemRandom};

use super::finding::{Finding, Health};
use crate::os_limits;
use crate::server::gateway::THIS_PROGRAM;

/// The first second of 2026, before which no server of this version can have been started.
const LEAST_TIME: u64 = 1_767_225_600;

/// The parts of the kernel that a server uses.
pub(super) fn kernel() -> Vec<Finding> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let version = Finding::new(Health::Note, "kernel", release.trim(), "");
    vec![version, proc(), inotify(), memfd(), openat2(), cached(), overcommit()]
}

fn proc() -> Finding {
    let means = "the server starts itself from /proc/self/exe to compile plugins";
    match fs::metadata(THIS_PROGRAM) {
        Ok(_) => Finding::new(Health::Ok, "/proc", "is mounted", means),
        Err(error) => Finding::new(Health::Less, "/proc", format!("{THIS_PROGRAM}: {error}"), means)
            .change("mount -t proc proc /proc, or remove ProcSubset= from the unit; until then no plugin is compiled"),
    }
}

fn inotify() -> Finding {
    let most = fs::read_to_string("/proc/sys/fs/inotify/max_user_instances").unwrap_or_default();
    let (what, means) = ("inotify", "changed plugins are seen at once");
    match notify::recommended_watcher(|_| ()) {
        Ok(_) => Finding::new(Health::Ok, what, format!("at most {} instances of this user", most.trim()), means),
        Err(error) => Finding::new(Health::Less, what, error.to_string(), means).change(
            "sysctl -w fs.inotify.max_user_instances=512; until then plugin folders are listed every few seconds",
        ),
    }
}

fn memfd() -> Finding {
    let means = "the first contents of a plugin's memory are mapped and not copied";
    match rustix::fs::memfd_create("whelk-doctor", MemfdFlags::CLOEXEC) {
        Ok(_) => Finding::new(Health::Ok, "memfd_create(2)", "works", means),
        Err(Errno::NOSYS) => {
            let means = "the first contents of a plugin's memory are copied, which is slower";
            Finding::new(Health::Note, "memfd_create(2)", "is not there", means)
        }
        Err(error) => Finding::new(Health::Less, "memfd_create(2)", error.to_string(), "plugins cannot be loaded")
            .change("a seccomp filter that allows memfd_create, such as @system-service of systemd"),
    }
}

fn openat2() -> Finding {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let opened = rustix::fs::openat2(CWD, "/", flags, Mode::empty(), ResolveFlags::empty());
    let means = "files of plugins are opened below their directory in one step";
    match opened {
        Ok(_) => Finding::new(Health::Ok, "openat2(2)", "works", means),
        Err(error @ (Errno::NOSYS | Errno::PERM)) => {
            let means = "files of plugins are opened step by step, which is as safe and slower";
            Finding::new(Health::Note, "openat2(2)", error.to_string(), means)
                .change("a kernel from 5.6 on, or a seccomp filter that allows openat2")
        }
        Err(error) => Finding::new(Health::Note, "openat2(2)", error.to_string(), ""),
    }
}

/// As the files of plugins are opened where that need not wait for the disk.
fn cached() -> Finding {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS | ResolveFlags::CACHED;
    let what = "RESOLVE_CACHED of openat2(2)";
    let slower = "each operation on a file of a plugin is done by another thread, which is slower";
    match rustix::fs::openat2(CWD, ".", flags, Mode::empty(), resolve) {
        // The cache does not have it now.
        Ok(_) | Err(Errno::AGAIN) => {
            let means = "what the kernel has of files in memory is read without waiting for another thread";
            Finding::new(Health::Ok, what, "works", means)
        }
        Err(error @ (Errno::NOSYS | Errno::PERM | Errno::INVAL)) => {
            Finding::new(Health::Note, what, error.to_string(), slower)
                .change("a kernel from 5.12 on, or a seccomp filter that allows openat2")
        }
        Err(error) => Finding::new(Health::Note, what, error.to_string(), slower),
    }
}

fn overcommit() -> Finding {
    let what = "vm.overcommit_memory";
    match fs::read_to_string("/proc/sys/vm/overcommit_memory").unwrap_or_default().trim() {
        "2" => {
            Finding::new(Health::Note, what, "2", "strict overcommit: plugin memory is charged in full when reserved")
                .change("sysctl -w vm.overcommit_memory=0")
        }
        "" => Finding::new(Health::Note, what, "unknown", ""),
        other => Finding::new(Health::Ok, what, other, "memory of plugins counts as they use it"),
    }
}

/// Certificates, `expiry-time=`, one-time passwords and penalties depend on the time.
pub(super) fn clock() -> Finding {
    let means = "certificates, expiry-time= and one-time passwords depend on it";
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    if now < LEAST_TIME {
        return Finding::new(Health::Less, "clock", "is in the past", means).change("timedatectl set-ntp true");
    }
    match os_limits::clock_is_synchronized() {
        Ok(true) => Finding::new(Health::Ok, "clock", "is synchronized", means),
        Ok(false) => Finding::new(Health::Note, "clock", "the kernel reports it as not synchronized", means)
            .change("timedatectl set-ntp true, unless a host does it for this machine"),
        Err(error) => Finding::new(Health::Note, "clock", format!("cannot be asked (adjtimex: {error})"), means),
    }
}

/// Keys of connections are made of it.
pub(super) fn randomness() -> Finding {
    let means = "keys of connections are made of it";
    match SystemRandom::new().fill(&mut [0; 32]) {
        Ok(()) => Finding::new(Health::Ok, "random numbers", "the kernel gives them", means),
        Err(error) => Finding::new(Health::Missing, "random numbers", error.to_string(), means)
            .change("allow getrandom(2), or mount /dev/urandom"),
    }
}

/// Whether ciphers are computed by instructions of their own.
pub(super) fn processor() -> Finding {
    #[cfg(target_arch = "x86_64")]
    let aes = Some(std::is_x86_feature_detected!("aes") && std::is_x86_feature_detected!("pclmulqdq"));
    #[cfg(target_arch = "aarch64")]
    let aes = Some(std::arch::is_aarch64_feature_detected!("aes"));
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let aes: Option<bool> = None;
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let value = |words: &str| format!("{processors} of {}, {words}", std::env::consts::ARCH);
    match aes {
        Some(true) => Finding::new(Health::Ok, "processors", value("with AES"), "AES-GCM is the fastest cipher"),
        Some(false) => {
            let means = "AES-GCM is slow and costs much; chacha20-poly1305@openssh.com is faster";
            Finding::new(Health::Note, "processors", value("without AES"), means)
        }
        None => Finding::new(Health::Note, "processors", value("of which it is unknown whether they have AES"), ""),
    }
}
