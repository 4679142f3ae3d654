//! The signals that the process gets: which of them stop it, which are told and go unheeded, and what happens when stopping takes too long.
//!
//! | signal | what it does |
//! |---|---|
//! | SIGTERM, SIGINT | the first stops in peace ([`Stopper`]), the second at once |
//! | SIGHUP | stops a demonstration, whose terminal was closed; a server with a configuration goes on |
//! | SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO, SIGPWR, SIGSTKFLT, SIGXFSZ | told, and goes on |
//! | SIGQUIT, SIGABRT and others | as the kernel has it: they are for those who want the process gone |
//!
//! SIGPIPE is ignored by Rust's runtime. SIGXFSZ comes when a file grows beyond `ulimit -f`: without it, one tenant's file would end the server.
//! A child gets all of these as the kernel has them, since handlers do not survive exec(2).
//!
//! All of it runs on a thread with a runtime of its own: the one that serves may be what stands still.

use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use crate::drain::{Phase, Stopper};

/// What is told and goes unheeded.
const UNHEEDED: [(&str, i32); 9] = [
    ("SIGUSR1", libc::SIGUSR1),
    ("SIGUSR2", libc::SIGUSR2),
    ("SIGALRM", libc::SIGALRM),
    ("SIGVTALRM", libc::SIGVTALRM),
    ("SIGPROF", libc::SIGPROF),
    ("SIGIO", libc::SIGIO),
    ("SIGPWR", libc::SIGPWR),
    ("SIGSTKFLT", libc::SIGSTKFLT),
    ("SIGXFSZ", libc::SIGXFSZ),
];

/// How long after the time to drain the program may take to end by itself. Connections have two seconds of that for their DISCONNECT.
const GRACE: Duration = Duration::from_secs(5);

/// What SIGHUP means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hangup {
    /// The terminal has been closed, and nobody watches the program any more.
    Stops,
    /// Re-read the configuration, one day.
    Reloads,
}

/// The signals, caught.
pub struct Signals {
    runtime: Runtime,
    stopping: Vec<(&'static str, Signal)>,
    hangup: Vec<(&'static str, Signal)>,
    unheeded: Vec<(&'static str, Signal)>,
}

impl Signals {
    /// Catches them: from the moment this returns none of the table's kills the process.
    ///
    /// # Errors
    /// When they cannot be caught.
    pub fn catch() -> io::Result<Signals> {
        Signals::catch_on(Builder::new_current_thread().enable_all().build()?)
    }

    fn catch_on(runtime: Runtime) -> io::Result<Signals> {
        let catch = |signals: &[(&'static str, i32)]| -> io::Result<Vec<_>> {
            let _inside = runtime.enter();
            let catch = |(name, number): &(&'static str, i32)| Ok((*name, signal(SignalKind::from_raw(*number))?));
            signals.iter().map(catch).collect()
        };
        let stopping = catch(&[("SIGTERM", libc::SIGTERM), ("SIGINT", libc::SIGINT)])?;
        // Whoever starts a program with nohup(1) wants it to outlive the terminal.
        let hangup = if is_ignored(libc::SIGHUP) { Vec::new() } else { catch(&[("SIGHUP", libc::SIGHUP)])? };
        let unheeded = catch(&UNHEEDED)?;
        Ok(Signals { runtime, stopping, hangup, unheeded })
    }

    /// Obeys them from now on, on a thread of its own. `drain` is the time that sessions have once the program stops; when it has not ended
    /// a few seconds after that, `give_up` is called, which should end it.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn obey(
        self,
        stopper: Stopper,
        hangup: Hangup,
        drain: Duration,
        give_up: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        let Signals { runtime, mut stopping, hangup: mut hung_up, mut unheeded } = self;
        let obey = async move {
            let mut deadline = None;
            loop {
                tokio::select! {
                    biased;
                    name = any(&mut stopping) => deadline = Some(stop(&stopper, name, drain)),
                    name = any(&mut hung_up) => match hangup {
                        Hangup::Stops => deadline = Some(stop(&stopper, name, drain)),
                        Hangup::Reloads => {
                            let text = "SIGHUP: the configuration is not re-read yet; restart to apply changes";
                            tracing::warn!(signal = name, "{text}");
                        }
                    },
                    name = any(&mut unheeded) => tracing::info!(signal = name, "signal ignored: it means nothing here"),
                    () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => return,
                }
            }
        };
        let thread = std::thread::Builder::new().name("signals".to_owned());
        thread.spawn(move || {
            runtime.block_on(obey);
            give_up();
        })?;
        Ok(())
    }
}

/// Stops, and says when that should be over.
fn stop(stopper: &Stopper, signal: &str, drain: Duration) -> Instant {
    tracing::info!(signal, "stopping");
    stopper.stop();
    let wait = if stopper.drain().phase() == Phase::Gone { Duration::ZERO } else { drain };
    Instant::now() + wait + GRACE
}

/// The name of the next of these that comes. Can be dropped and called again.
async fn any(signals: &mut [(&'static str, Signal)]) -> &'static str {
    poll_fn(|context| {
        let come = |(name, signal): &mut (&'static str, Signal)| signal.poll_recv(context).is_ready().then_some(*name);
        signals.iter_mut().find_map(come).map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

/// Whether this process was started with a signal ignored. Where the kernel does not say, it was not.
fn is_ignored(signal: i32) -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores(&status, signal))
}

/// The same, from what proc(5) calls `SigIgn`: a bit for each signal, the first for signal 1.
fn ignores(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    u32::try_from(signal - 1).is_ok_and(|bit| mask.checked_shr(bit).is_some_and(|mask| mask & 1 == 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ignored_signal_is_found_in_the_mask() {
        let status = "Name:\twhelk\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000001001\nSigCgt:\t0\n";
        assert!(ignores(status, libc::SIGHUP) && ignores(status, libc::SIGPIPE));
        assert!(!ignores(status, libc::SIGINT) && !ignores(status, libc::SIGTERM) && !ignores("", libc::SIGHUP));
    }

    #[test]
    fn whoever_has_not_stopped_in_time_is_given_up() {
        let (tell, told) = std::sync::mpsc::channel();
        // Its clock stands still until there is nothing to do but to wait.
        let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let stopper = Stopper::new();
        let signals = Signals::catch_on(runtime).unwrap();
        let an_hour = Duration::from_secs(3600);
        signals.obey(stopper.clone(), Hangup::Stops, an_hour, move || tell.send(()).unwrap()).unwrap();
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM).unwrap();
        told.recv_timeout(Duration::from_secs(60)).unwrap();
        assert_eq!(stopper.drain().phase(), Phase::Draining);
    }
}
