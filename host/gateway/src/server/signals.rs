//! The signals of the process: which of them stop it, which are logged and ignored, and the end of a shutdown that
//! takes too long.
//!
//! | signal | what it does |
//! |---|---|
//! | SIGTERM, SIGINT | first: graceful shutdown (`drain`); second: immediate ([`Stopper`]) |
//! | SIGHUP | reloads the configuration ([`reload`](super::reload)); stops a demonstration, whose terminal was closed |
//! | SIGUSR1 | reopens the log file and the audit file; logged and ignored without either |
//! | SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO, SIGPWR, SIGSTKFLT | logged and ignored |
//! | SIGXFSZ | ignored |
//! | SIGQUIT, SIGABRT and others | the kernel's default action: whoever sends them wants the process gone |
//!
//! SIGPIPE is ignored by Rust's runtime. SIGXFSZ comes when a file grows beyond `ulimit -f`: without a handler, one
//! tenant's file would end the server. Children get the default action for all of these, because handlers do not
//! survive exec(2).
//!
//! All of it runs on a thread with a runtime of its own, because the runtime that serves may be what hangs.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep_until};
use whelk_runtime::supervise::guard;

use crate::observe::audit;
use crate::observe::event::{ServerEvent, emit};
use crate::observe::logging;
use crate::server::drain::{DrainTime, ShutdownPhase, Stopper};
use crate::server::reload::ReloadTrigger;

/// Signals that are logged and ignored.
const IGNORED: [(&str, i32); 7] = [
    ("SIGUSR2", libc::SIGUSR2),
    ("SIGALRM", libc::SIGALRM),
    ("SIGVTALRM", libc::SIGVTALRM),
    ("SIGPROF", libc::SIGPROF),
    ("SIGIO", libc::SIGIO),
    ("SIGPWR", libc::SIGPWR),
    ("SIGSTKFLT", libc::SIGSTKFLT),
];

/// How long the process may take to end after `drain`. Connections have two seconds of that for their DISCONNECT.
const GRACE: Duration = Duration::from_secs(5);

/// The meaning of SIGHUP.
#[derive(Clone, Debug)]
pub enum Hangup {
    /// The terminal has been closed, and nobody watches the program any more.
    Stops,
    /// The configuration is to be read again.
    Reloads(ReloadTrigger),
}

/// Why the process must be ended by force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GaveUp {
    /// It has not ended this long after a signal: `drain` and five seconds, or five seconds after a second signal.
    TimedOut {
        /// The part of it that sessions had. `None` after a second signal.
        drain: Duration,
    },
    /// The thread that handles signals has panicked: nothing else could stop the process.
    Panicked,
}

impl fmt::Display for GaveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GaveUp::TimedOut { drain: Duration::ZERO } => write!(f, "shutdown timed out after {GRACE:?}; exiting"),
            GaveUp::TimedOut { drain } => write!(f, "shutdown timed out after {drain:?} + {GRACE:?}; exiting"),
            GaveUp::Panicked => f.write_str("the thread that handles signals has panicked; exiting"),
        }
    }
}

/// A kind of signal: its name, its meaning, and its stream.
struct Caught {
    name: &'static str,
    meaning: Meaning,
    signal: Signal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Stop,
    Hangup,
    ReopenLog,
    Nothing,
    /// A write went beyond the largest size of a file. It fails as well, and that is reported where it fails. A line
    /// for each signal would itself fail to be written to a log file of that size, and cause the next signal.
    FileTooLarge,
}

/// The signal handlers.
pub struct Signals {
    runtime: Runtime,
    caught: Vec<Caught>,
}

impl Signals {
    /// Installs the handlers: from the moment this returns none of the table's signals kills the process.
    ///
    /// # Errors
    /// When a handler cannot be installed.
    pub fn catch() -> io::Result<Signals> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let mut wanted = vec![("SIGTERM", libc::SIGTERM, Meaning::Stop), ("SIGINT", libc::SIGINT, Meaning::Stop)];
        // A program that was started with nohup(1) must outlive the terminal.
        if !is_ignored(libc::SIGHUP) {
            wanted.push(("SIGHUP", libc::SIGHUP, Meaning::Hangup));
        }
        wanted.push(("SIGUSR1", libc::SIGUSR1, Meaning::ReopenLog));
        wanted.push(("SIGXFSZ", libc::SIGXFSZ, Meaning::FileTooLarge));
        wanted.extend(IGNORED.iter().map(|(name, number)| (*name, *number, Meaning::Nothing)));
        let caught = {
            let _inside = runtime.enter();
            let catch =
                |(name, number, meaning)| Ok(Caught { name, meaning, signal: signal(SignalKind::from_raw(number))? });
            wanted.into_iter().map(catch).collect::<io::Result<_>>()?
        };
        Ok(Signals { runtime, caught })
    }

    /// Handles signals from now on, on a thread of its own. `drain` is the time that sessions have once the program
    /// stops. `give_up` must end the process: it is called when that has not ended in time, or when the thread panics.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn obey(
        self,
        stopper: Stopper,
        hangup: Hangup,
        drain: DrainTime,
        give_up: impl FnOnce(GaveUp) + Send + 'static,
    ) -> io::Result<()> {
        let Signals { runtime, mut caught } = self;
        let next = move |context: &mut Context<'_>| next(&mut caught, context);
        supervise(runtime, handle(next, stopper, hangup, drain), give_up)
    }
}

/// Runs a future on a thread of its own, and calls `give_up` when it has ended, even by a panic.
fn supervise(
    runtime: Runtime,
    handling: impl Future<Output = GaveUp> + Send + 'static,
    give_up: impl FnOnce(GaveUp) + Send + 'static,
) -> io::Result<()> {
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        // The future's state is not used afterwards.
        let ended = guard("signals", || runtime.block_on(handling));
        give_up(ended.unwrap_or(GaveUp::Panicked));
    })?;
    Ok(())
}

/// Handles signals until the process should have ended. The deadline is checked first and only ever replaced by an
/// earlier one: no number of signals delays it.
async fn handle(
    mut next: impl FnMut(&mut Context<'_>) -> Poll<(&'static str, Meaning)>,
    stopper: Stopper,
    hangup: Hangup,
    drain: DrainTime,
) -> GaveUp {
    let mut deadline: Option<(Instant, Duration)> = None;
    let mut stopped = stopper.drain();
    loop {
        let (name, meaning) = tokio::select! {
            biased;
            () = until(deadline) => break,
            // `whelk drain`.
            () = stopped.reached(ShutdownPhase::Draining), if deadline.is_none() => {
                let time = stopped.requested().unwrap_or_else(|| drain.get());
                deadline = Some((Instant::now() + time + GRACE, time));
                continue;
            }
            come = poll_fn(&mut next) => come,
        };
        match (meaning, &hangup) {
            (Meaning::Stop, _) | (Meaning::Hangup, Hangup::Stops) => {
                let new = stop(&stopper, name, drain.get());
                deadline = Some(deadline.map_or(new, |old| old.min(new)));
            }
            (Meaning::Hangup, Hangup::Reloads(trigger)) => trigger.signal(),
            // Each is opened by the thread that writes it: a disk that hangs delays no signal.
            (Meaning::ReopenLog, _) if logging::reopen() | audit::reopen() => {}
            (Meaning::FileTooLarge, _) => {}
            (Meaning::ReopenLog | Meaning::Nothing, _) => emit(ServerEvent::SignalIgnored { signal: name }),
        }
    }
    GaveUp::TimedOut { drain: deadline.map_or_else(|| drain.get(), |(_, drain)| drain) }
}

/// Waits for a deadline, if there is one.
async fn until(deadline: Option<(Instant, Duration)>) {
    match deadline {
        Some((deadline, _)) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Stops, and returns when that should be done, and how much of the time until then sessions have.
fn stop(stopper: &Stopper, signal: &str, drain: Duration) -> (Instant, Duration) {
    emit(ServerEvent::Stopping { signal });
    stopper.stop();
    let drain = if stopper.drain().phase() == ShutdownPhase::Gone { Duration::ZERO } else { drain };
    (Instant::now() + drain + GRACE, drain)
}

/// The next signal.
fn next(caught: &mut [Caught], context: &mut Context<'_>) -> Poll<(&'static str, Meaning)> {
    let come =
        |caught: &mut Caught| caught.signal.poll_recv(context).is_ready().then_some((caught.name, caught.meaning));
    caught.iter_mut().find_map(come).map_or(Poll::Pending, Poll::Ready)
}

/// Whether this process was started with a signal ignored. False if the kernel does not tell.
fn is_ignored(signal: i32) -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores(&status, signal))
}

/// The same, from proc(5)'s `SigIgn`: a bit for each signal, the first for signal 1.
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

    fn reloads() -> Hangup {
        Hangup::Reloads(ReloadTrigger::new(&DrainTime::new(Duration::ZERO)).0)
    }

    /// The time until `handle` gives up, and why. `signals` come at once, `later` one by one, a second after each
    /// other.
    async fn given_up_after(signals: &[Meaning], later: usize, drain: Duration) -> (Duration, GaveUp) {
        let (send, mut receive) = tokio::sync::mpsc::unbounded_channel();
        signals.iter().for_each(|meaning| send.send(*meaning).unwrap());
        let began = Instant::now();
        let repeat = async {
            for _ in 0..later {
                tokio::time::sleep(Duration::from_secs(1)).await;
                send.send(Meaning::Stop).unwrap();
            }
            std::future::pending::<()>().await;
        };
        let next = |context: &mut Context<'_>| receive.poll_recv(context).map(|meaning| ("SIGTERM", meaning.unwrap()));
        tokio::select! {
            gave_up = handle(next, Stopper::new(), reloads(), DrainTime::new(drain)) => (began.elapsed(), gave_up),
            () = repeat => unreachable!("it never ends"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_shutdown_longer_than_drain_and_five_seconds_is_forced() {
        let an_hour = Duration::from_secs(3600);
        let (after, gave_up) = given_up_after(&[Meaning::Hangup, Meaning::Nothing, Meaning::Stop], 0, an_hour).await;
        assert_eq!((after.as_secs(), gave_up), (3605, GaveUp::TimedOut { drain: an_hour }));
        assert_eq!(gave_up.to_string(), "shutdown timed out after 3600s + 5s; exiting");
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_that_an_operator_asked_for_has_its_own_deadline() {
        let (stopper, began, none) = (Stopper::new(), Instant::now(), DrainTime::new(Duration::ZERO));
        let request = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(stopper.drain_within(Duration::from_secs(600)));
            std::future::pending::<()>().await;
        };
        let gave_up = tokio::select! {
            gave_up = handle(|_| Poll::Pending, stopper.clone(), reloads(), none) => gave_up,
            () = request => unreachable!("it never ends"),
        };
        let drain = Duration::from_secs(600);
        assert_eq!((began.elapsed().as_secs(), gave_up), (606, GaveUp::TimedOut { drain }));
    }

    #[tokio::test(start_paused = true)]
    async fn further_signals_bring_the_deadline_nearer_and_never_move_it_away() {
        let an_hour = Duration::from_secs(3600);
        // The second one after a second; later ones change nothing, and there are as many as fit in the whole time.
        let (after, gave_up) = given_up_after(&[Meaning::Stop], 5_000, an_hour).await;
        assert_eq!((after.as_secs(), gave_up), (6, GaveUp::TimedOut { drain: Duration::ZERO }));
        // A second one shortly before the end.
        let (after, _) = given_up_after(&[Meaning::Stop], 1, Duration::ZERO).await;
        assert_eq!(after.as_secs(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_ignored_signals_does_not_delay_the_deadline() {
        let (send, mut receive) = tokio::sync::mpsc::unbounded_channel();
        send.send(Meaning::Stop).unwrap();
        (0..100_000).for_each(|_| send.send(Meaning::Nothing).unwrap());
        let next = |context: &mut Context<'_>| receive.poll_recv(context).map(|meaning| ("SIGTERM", meaning.unwrap()));
        // Runs as soon as `handle` yields.
        let clock = async {
            tokio::time::advance(Duration::from_secs(3600)).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            _ = handle(next, Stopper::new(), reloads(), DrainTime::new(Duration::ZERO)) => {}
            () = clock => unreachable!("it never ends"),
        }
        assert!(receive.len() > 90_000, "only {} were left when the deadline was seen", receive.len());
    }

    #[test]
    fn a_panic_of_the_thread_that_handles_signals_ends_the_process() {
        let (tell, told) = std::sync::mpsc::channel();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        supervise(runtime, async { panic!("a test") }, move |gave_up| tell.send(gave_up).unwrap()).unwrap();
        assert_eq!(told.recv(), Ok(GaveUp::Panicked));
    }
}
