//! What the service manager is told, by the protocol of sd_notify(3): when the server is ready, reloads and stops, how
//! busy it is, and that it serves.
//!
//! A message is one datagram of `NAME=value` lines to the socket that the variable `NOTIFY_SOCKET` names. No send
//! waits: a manager that does not read must not stop the server. What it has to learn is sent again until it is taken.
//!
//! Decided 2026-11-29: code of our own. Refused: the crate `sd-notify` 0.5, which knows no abstract sockets (those of
//! containers), waits for a manager that does not read, and opens a socket for each message.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::observe::event::{ServerEvent, emit};
use crate::server::drain::{ShutdownPhase, Stopper};
use crate::server::gateway::Gateway;

/// How often the status text is refreshed, if it has changed, and how soon is sent again what was not taken.
const REFRESH: Duration = Duration::from_secs(5);
/// How long the process may take to end after `drain`, and a margin: until then the manager kills nothing.
const STOP_MARGIN: Duration = Duration::from_secs(10);
const READY: &str = "READY=1";

/// The service manager, if there is one. Clones tell the same one.
#[derive(Clone, Default)]
pub struct Systemd(Option<Arc<Notifier>>);

struct Notifier {
    /// The manager's socket, as `NOTIFY_SOCKET` names it.
    name: OsString,
    /// The manager expects a watchdog ping within this time.
    watchdog: Option<Duration>,
    sending: Mutex<Sending>,
}

struct Sending {
    /// Connected to the manager's.
    socket: UnixDatagram,
    /// What the manager has to learn and has not taken yet, oldest first: at most one reload and the end of it.
    owed: Vec<String>,
    /// Nothing but the stop is owed from now on.
    is_stopping: bool,
    /// The last send has failed, and the log says so.
    has_failed: bool,
}

impl Systemd {
    /// The service manager that has started this process, by the variables `NOTIFY_SOCKET`, `WATCHDOG_USEC` and
    /// `WATCHDOG_PID`. What cannot be used is logged, and nobody is told anything.
    #[must_use]
    pub fn of_environment() -> Systemd {
        let Some(name) = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Systemd::default();
        };
        let variable = |name: &str| std::env::var(name).ok();
        let watchdog = watchdog(variable("WATCHDOG_USEC"), variable("WATCHDOG_PID"), std::process::id());
        Systemd::to(name, watchdog).unwrap_or_else(|error| {
            emit(ServerEvent::SystemdFailed { error: &error });
            Systemd::default()
        })
    }

    /// The manager with the socket `name`.
    fn to(name: OsString, watchdog: Option<Duration>) -> io::Result<Systemd> {
        let socket = connect(&name)?;
        let sending = Mutex::new(Sending { socket, owed: Vec::new(), is_stopping: false, has_failed: false });
        Ok(Systemd(Some(Arc::new(Notifier { name, watchdog, sending }))))
    }

    /// The server serves: after the start, and after a reload, whether that changed anything or not.
    pub fn ready(&self) {
        self.owe(|owed| {
            owed.retain(|message| message != READY);
            owed.push(READY.to_owned());
        });
    }

    /// A reload begins; [`ready`](Self::ready) has to follow. Units of `Type=notify-reload` wait for both.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let microseconds = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec / 1_000);
        // The end of this reload implies whatever was not taken before it.
        self.owe(|owed| *owed = vec![format!("RELOADING=1\nMONOTONIC_USEC={microseconds}")]);
    }

    /// Changes what the manager has to learn, and sends it. Does nothing once the server stops.
    fn owe(&self, change: impl FnOnce(&mut Vec<String>)) {
        let Some(notifier) = &self.0 else { return };
        let mut sending = notifier.sending();
        if !sending.is_stopping {
            change(&mut sending.owed);
            notifier.send_owed(&mut sending);
        }
    }

    /// Tells the manager, for as long as this is polled, how busy the server is and that it serves; and when it stops.
    ///
    /// A watchdog ping is sent only after the task that accepts connections has answered, and by a task that needs a
    /// worker to run. A server that hangs therefore sends none, and the manager restarts it. While the server stops,
    /// that task no longer answers, and each message says how long the manager has to wait for the end.
    pub async fn report(self, load: impl Fn() -> Load, liveness: Arc<LivenessCheck>, stopper: Stopper) -> Infallible {
        let Some(notifier) = &self.0 else { return std::future::pending().await };
        let (mut stopped, mut status) = (stopper.drain(), String::new());
        let mut clock = interval(notifier.watchdog.map_or(REFRESH, |watchdog| REFRESH.min(watchdog / 3)));
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut until = None;
        loop {
            let begins_to_stop = tokio::select! {
                biased;
                () = stopped.reached(ShutdownPhase::Draining), if until.is_none() => true,
                _ = clock.tick() => false,
            };
            let (now, load) = (Instant::now(), load());
            if begins_to_stop {
                notifier.stop();
                until = Some(now + stopped.requested().unwrap_or(load.drain).saturating_add(STOP_MARGIN));
            } else {
                notifier.send_owed(&mut notifier.sending());
            }
            if until.is_none() {
                tokio::select! {
                    biased;
                    () = stopped.reached(ShutdownPhase::Draining) => continue,
                    () = liveness.probe() => {}
                }
            }
            let mut message = until.map_or_else(String::new, |until| {
                format!("EXTEND_TIMEOUT_USEC={}\n", until.saturating_duration_since(now).as_micros())
            });
            let text = load.text(until.is_some());
            if text != status {
                message += &format!("STATUS={text}\n");
            }
            if notifier.watchdog.is_some() {
                message += "WATCHDOG=1\n";
            }
            if !message.is_empty() && notifier.send(&mut notifier.sending(), message.trim_end()) {
                status = text;
            }
        }
    }
}

impl Notifier {
    fn sending(&self) -> MutexGuard<'_, Sending> {
        self.sending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server stops: what was owed before no longer matters.
    fn stop(&self) {
        let mut sending = self.sending();
        sending.is_stopping = true;
        sending.owed = vec!["STOPPING=1".to_owned()];
        self.send_owed(&mut sending);
    }

    /// Sends what is owed, in order, until a message is not taken.
    fn send_owed(&self, sending: &mut Sending) {
        while let Some(message) = sending.owed.first().cloned()
            && self.send(sending, &message)
        {
            sending.owed.remove(0);
        }
    }

    /// Sends a message; `false` if it was not taken. Connects again if the manager has replaced its socket.
    fn send(&self, sending: &mut Sending, message: &str) -> bool {
        let mut sent = sending.socket.send(message.as_bytes());
        if sent.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock)
            && let Ok(socket) = connect(&self.name)
        {
            sending.socket = socket;
            sent = sending.socket.send(message.as_bytes());
        }
        let had_failed = std::mem::replace(&mut sending.has_failed, sent.is_err());
        if let Err(error) = &sent
            && !had_failed
        {
            emit(ServerEvent::SystemdFailed { error });
        }
        sent.is_ok()
    }
}

/// How busy the server is.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    connections: usize,
    sessions: usize,
    /// The operator's plugins that are served, and those that are being compiled.
    plugins: (usize, usize),
    /// How long sessions would have after a signal to stop.
    drain: Duration,
}

impl Load {
    /// That of a server whose newest generation this is.
    #[must_use]
    pub fn of(gateway: &Gateway) -> Load {
        let (connections, sessions) = gateway.connections().counts();
        Load { connections, sessions, plugins: gateway.plugin_counts(), drain: gateway.limits().drain }
    }

    /// The status text, as `systemctl status` shows it.
    fn text(&self, is_stopping: bool) -> String {
        let Load { connections, sessions, plugins: (ready, preparing), .. } = self;
        let does = if is_stopping { "stopping" } else { "serving" };
        let preparing = if *preparing > 0 { format!(", {preparing} more being compiled") } else { String::new() };
        format!("{does}: {connections} connections, {sessions} sessions, {ready} plugins{preparing}")
    }
}

/// A socket that is connected to the manager's. A name that begins with `@` is one without a file.
fn connect(name: &OsStr) -> io::Result<UnixDatagram> {
    let address = match name.as_bytes() {
        [b'/', ..] => SocketAddr::from_pathname(name)?,
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => {
            let reason = format!("NOTIFY_SOCKET={} is neither a path nor begins with @", name.display());
            return Err(io::Error::new(io::ErrorKind::Unsupported, reason));
        }
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// How often the manager expects a watchdog ping of the process with number `me`, if it does. sd_watchdog_enabled(3).
fn watchdog(microseconds: Option<String>, process: Option<String>, me: u32) -> Option<Duration> {
    let is_me = process.is_none_or(|process| process.parse() == Ok(me));
    let microseconds = microseconds?.parse().ok().filter(|microseconds| *microseconds > 0)?;
    is_me.then(|| Duration::from_micros(microseconds))
}

/// Shows that a task runs: another one probes, and that answers.
#[derive(Default)]
pub struct LivenessCheck {
    probed: Notify,
    answered: Notify,
}

impl LivenessCheck {
    /// Answers every probe from now on, for as long as it is polled. Cancel safe.
    pub(crate) async fn answer(&self) -> Infallible {
        loop {
            self.probed.notified().await;
            self.answered.notify_one();
        }
    }

    /// Asks, and waits for the answer. For one task at a time.
    async fn probe(&self) {
        self.probed.notify_one();
        self.answered.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn the_watchdog_is_that_of_this_process() {
        let second = Some(Duration::from_secs(1));
        assert_eq!((watchdog(text("1000000"), None, 7), watchdog(text("1000000"), text("7"), 7)), (second, second));
        for (microseconds, process) in [(None, None), (text("0"), None), (text("x"), None), (text("1"), text("8"))] {
            assert_eq!(watchdog(microseconds, process, 7), None);
        }
    }

    /// A manager's socket, and what was sent to it so far.
    fn manager(name: &OsStr, socket: &UnixDatagram) -> (Systemd, impl Fn() -> String) {
        let socket = socket.try_clone().unwrap();
        let heard = move || {
            let mut datagram = [0; 4096];
            let length = socket.recv(&mut datagram).unwrap();
            String::from_utf8(datagram[..length].to_vec()).unwrap()
        };
        (Systemd::to(name.to_owned(), None).unwrap(), heard)
    }

    #[test]
    fn messages_reach_sockets_with_and_without_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let abstract_name = format!("whelk-test-{}", std::process::id());
        let mut named = OsString::from("@");
        named.push(&abstract_name);
        let without_file = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        let sockets = [
            (path.as_os_str().to_owned(), UnixDatagram::bind(&path).unwrap()),
            (named, UnixDatagram::bind_addr(&without_file).unwrap()),
        ];
        for (name, socket) in &sockets {
            let (manager, heard) = manager(name, socket);
            manager.ready();
            assert_eq!(heard(), "READY=1");
            let before = clock_gettime(ClockId::Monotonic).tv_sec;
            manager.reloading();
            let reload = heard();
            let (_, microseconds) = reload.split_once("RELOADING=1\nMONOTONIC_USEC=").unwrap();
            let seconds = microseconds.parse::<i64>().unwrap() / 1_000_000;
            assert!((before..=clock_gettime(ClockId::Monotonic).tv_sec).contains(&seconds), "{microseconds}");
            manager.0.as_ref().unwrap().stop();
            assert_eq!(heard(), "STOPPING=1");
        }
    }

    /// Fills the queue of a manager that does not read. Returns how many messages that took.
    fn fill(name: &OsStr) -> usize {
        let other = connect(name).unwrap();
        (0..1_000_000).take_while(|_| other.send(b"of another unit").is_ok()).count()
    }

    #[test]
    fn what_a_manager_with_a_full_queue_did_not_take_is_sent_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let (manager, heard) = manager(path.as_os_str(), &socket);
        let notifier = Arc::clone(manager.0.as_ref().unwrap());
        let again = || {
            let mut sending = notifier.sending();
            notifier.send_owed(&mut sending);
            (sending.owed.len(), sending.has_failed)
        };
        let others = |number: usize| (0..number).for_each(|_| assert_eq!(heard(), "of another unit"));
        let filled = fill(path.as_os_str());
        // Does not wait, and does not grow.
        (0..1_000).for_each(|_| manager.ready());
        assert_eq!(again(), (1, true));
        others(filled);
        assert_eq!(again(), (0, false));
        assert_eq!(heard(), READY);
        let filled = fill(path.as_os_str());
        for _ in 0..1_000 {
            manager.reloading();
            manager.ready();
        }
        assert_eq!(again(), (2, true));
        others(filled);
        assert_eq!(again(), (0, false));
        assert!(heard().starts_with("RELOADING=1\nMONOTONIC_USEC="));
        assert_eq!(heard(), READY);
        let filled = fill(path.as_os_str());
        manager.reloading();
        notifier.stop();
        // The end of a reload that was at work when the stop began.
        manager.ready();
        others(filled);
        assert_eq!(again(), (0, false));
        assert_eq!(heard(), "STOPPING=1");
        socket.set_nonblocking(true).unwrap();
        assert_eq!(socket.recv(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_manager_that_replaces_its_socket_is_told_on_the_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let old = UnixDatagram::bind(&path).unwrap();
        let manager = Systemd::to(path.as_os_str().to_owned(), None).unwrap();
        drop(old);
        std::fs::remove_file(&path).unwrap();
        manager.ready();
        let notifier = manager.0.unwrap();
        assert_eq!(notifier.sending().owed, [READY]);
        let new = UnixDatagram::bind(&path).unwrap();
        notifier.send_owed(&mut notifier.sending());
        let mut datagram = [0; 16];
        assert_eq!(new.recv(&mut datagram).unwrap(), READY.len());
        assert!(notifier.sending().owed.is_empty());
    }

    #[test]
    fn a_name_of_another_kind_is_an_error_that_says_so() {
        let error = connect(OsStr::new("vsock:2:1234")).unwrap_err().to_string();
        assert_eq!(error, "NOTIFY_SOCKET=vsock:2:1234 is neither a path nor begins with @");
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_task_that_runs_answers_a_probe() {
        let liveness = LivenessCheck::default();
        let second = Duration::from_secs(1);
        assert!(tokio::time::timeout(second, liveness.probe()).await.is_err(), "nobody answers");
        tokio::select! {
            never = liveness.answer() => match never {},
            () = async { for _ in 0..3 { liveness.probe().await } } => {}
        }
    }

    /// A manager that expects a watchdog ping each minute and reads once its queue was full, and the server that tells
    /// it for `minutes`. Returns what it was told. `lives`: whether the task that accepts connections runs.
    async fn told_in(minutes: u64, lives: bool, stopper: &Stopper) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        let manager = Systemd::to(path.as_os_str().to_owned(), Some(Duration::from_secs(60))).unwrap();
        fill(path.as_os_str());
        manager.ready();
        let load = || Load { connections: 2, sessions: 1, plugins: (3, 4), drain: Duration::from_secs(30) };
        let liveness = Arc::new(LivenessCheck::default());
        let report = manager.report(load, Arc::clone(&liveness), stopper.clone());
        let accepts = async {
            match lives {
                true => match liveness.answer().await {},
                false => std::future::pending().await,
            }
        };
        let (mut lines, mut datagram) = (Vec::new(), [0; 4096]);
        let listen = async {
            for _ in 0..minutes * 60 {
                tokio::time::sleep(Duration::from_secs(1)).await;
                while let Ok(length) = socket.recv(&mut datagram) {
                    lines.extend(std::str::from_utf8(&datagram[..length]).unwrap().lines().map(str::to_owned));
                }
            }
        };
        tokio::select! {
            never = report => match never {},
            () = accepts => {}
            () = listen => {}
        }
        lines.retain(|line| line != "of another unit");
        lines
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_accepts_no_connections_sends_no_watchdog_ping() {
        let stopper = Stopper::new();
        let told = told_in(2, true, &stopper).await;
        let pings = told.iter().filter(|line| *line == "WATCHDOG=1").count();
        assert!(pings >= 2 * 60 / 5 - 1 && told.len() == pings + 2, "a status text that stays is told once: {told:?}");
        assert_eq!(told[0], READY);
        assert_eq!(told[1], "STATUS=serving: 2 connections, 1 sessions, 3 plugins, 4 more being compiled");
        assert_eq!(told_in(10, false, &stopper).await, Vec::<String>::new());
        // While it stops, the task that has accepted connections waits for their end.
        stopper.stop();
        let told = told_in(2, false, &stopper).await;
        assert_eq!(told[0], "STOPPING=1");
        let left = |line: &String| line.strip_prefix("EXTEND_TIMEOUT_USEC=").map(|left| left.parse::<u64>().unwrap());
        let left: Vec<u64> = told.iter().filter_map(left).collect();
        assert!(left[0] > 30_000_000 && left[0] <= 40_000_000, "{told:?}");
        assert!(left.windows(2).all(|pair| pair[1] < pair[0] || pair[1] == 0), "{told:?}");
        assert!(told.iter().filter(|line| *line == "WATCHDOG=1").count() >= 2 * 60 / 5 - 1, "{told:?}");
    }
}
