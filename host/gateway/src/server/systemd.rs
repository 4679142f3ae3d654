//! What the service manager is told, by the protocol of sd_notify(3): when the server is ready, reloads and stops, how
//! busy it is, and that it serves.
//!
//! A message is one datagram of `NAME=value` lines to the socket that the variable `NOTIFY_SOCKET` names. No send
//! waits: a manager that does not read must not stop the server.
//!
//! Decided 2026-11-29: 30 lines of our own. Refused: the crate `sd-notify` 0.5, which knows no abstract sockets (those
//! of containers), waits for a manager that does not read, and opens a socket for each message.

use std::convert::Infallible;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};

use crate::observe::event::{ServerEvent, emit};
use crate::server::drain::{ShutdownPhase, Stopper};
use crate::server::gateway::Gateway;

/// How often the status text is refreshed, if it has changed.
const REFRESH: Duration = Duration::from_secs(5);
/// How long the process may take to end after `drain`, and a margin: until then the manager kills nothing.
const STOP_MARGIN: Duration = Duration::from_secs(10);

/// The service manager, if there is one. Clones tell the same one.
#[derive(Clone, Default)]
pub struct Systemd(Option<Arc<Told>>);

struct Told {
    socket: UnixDatagram,
    /// The manager expects a sign of life within this time.
    watchdog: Option<Duration>,
    /// Whether the log has a line about a message that could not be sent.
    has_failed: AtomicBool,
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
        match connect(&name) {
            Ok(socket) => Systemd(Some(Arc::new(Told { socket, watchdog, has_failed: AtomicBool::new(false) }))),
            Err(error) => {
                emit(ServerEvent::SystemdFailed { error: &error });
                Systemd::default()
            }
        }
    }

    /// The server serves: after the start, and after a reload, whether that changed anything or not.
    pub fn ready(&self) {
        self.send("READY=1");
    }

    /// A reload begins; [`ready`](Self::ready) has to follow. Units of `Type=notify-reload` wait for both.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let microseconds = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec / 1_000);
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"));
    }

    /// The server stops, and sessions have `drain`.
    fn stopping(&self, drain: Duration) {
        let microseconds = drain.saturating_add(STOP_MARGIN).as_micros();
        self.send(&format!("STOPPING=1\nEXTEND_TIMEOUT_USEC={microseconds}"));
    }

    /// Tells the manager, for as long as this is polled, how busy the server is and that it serves; and when it stops.
    ///
    /// A sign of life is sent only after the task that accepts connections has answered, and by a task that needs a
    /// worker to run. A server that hangs therefore sends none, and the manager restarts it.
    pub async fn report(self, load: impl Fn() -> Load, pulse: Arc<Pulse>, stopper: Stopper) -> Infallible {
        let Some(told) = &self.0 else { return std::future::pending().await };
        let (mut stopped, mut status) = (stopper.drain(), String::new());
        let mut clock = interval(told.watchdog.map_or(REFRESH, |watchdog| REFRESH.min(watchdog / 3)));
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_stopping = false;
        loop {
            let begins_to_stop = tokio::select! {
                biased;
                () = stopped.reached(ShutdownPhase::Draining), if !is_stopping => true,
                _ = clock.tick() => false,
            };
            if begins_to_stop {
                is_stopping = true;
                self.stopping(load().drain);
            } else if !is_stopping {
                tokio::select! {
                    biased;
                    // The task that accepts connections waits for their end now.
                    () = stopped.reached(ShutdownPhase::Draining) => continue,
                    () = pulse.felt() => {}
                }
            }
            let mut message = String::new();
            let now = load().text(is_stopping);
            if now != status {
                message = format!("STATUS={now}\n");
                status = now;
            }
            if told.watchdog.is_some() {
                message += "WATCHDOG=1\n";
            }
            if !message.is_empty() {
                self.send(message.trim_end());
            }
        }
    }

    fn send(&self, message: &str) {
        let Some(told) = &self.0 else { return };
        if let Err(error) = told.socket.send(message.as_bytes())
            && !told.has_failed.swap(true, Ordering::Relaxed)
        {
            emit(ServerEvent::SystemdFailed { error: &error });
        }
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

/// How often the manager expects a sign of life of the process with number `me`, if it does. sd_watchdog_enabled(3).
fn watchdog(microseconds: Option<String>, process: Option<String>, me: u32) -> Option<Duration> {
    let is_me = process.is_none_or(|process| process.parse() == Ok(me));
    let microseconds = microseconds?.parse().ok().filter(|microseconds| *microseconds > 0)?;
    is_me.then(|| Duration::from_micros(microseconds))
}

/// Shows that a task runs: another one asks, and that answers.
#[derive(Default)]
pub struct Pulse {
    asked: Notify,
    answered: Notify,
}

impl Pulse {
    /// Answers everybody who asks from now on, for as long as it is polled. Cancel safe.
    pub(crate) async fn beat(&self) -> Infallible {
        loop {
            self.asked.notified().await;
            self.answered.notify_one();
        }
    }

    /// Asks, and waits for the answer. For one asker at a time.
    async fn felt(&self) {
        self.asked.notify_one();
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
        let told = Told { socket: connect(name).unwrap(), watchdog: None, has_failed: AtomicBool::new(false) };
        let socket = socket.try_clone().unwrap();
        let heard = move || {
            let mut datagram = [0; 4096];
            let length = socket.recv(&mut datagram).unwrap();
            String::from_utf8(datagram[..length].to_vec()).unwrap()
        };
        (Systemd(Some(Arc::new(told))), heard)
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
            manager.stopping(Duration::from_secs(30));
            assert_eq!(heard(), "STOPPING=1\nEXTEND_TIMEOUT_USEC=40000000");
            let before = clock_gettime(ClockId::Monotonic).tv_sec;
            manager.reloading();
            let heard = heard();
            let (_, microseconds) = heard.split_once("RELOADING=1\nMONOTONIC_USEC=").unwrap();
            let seconds = microseconds.parse::<i64>().unwrap() / 1_000_000;
            assert!((before..=clock_gettime(ClockId::Monotonic).tv_sec).contains(&seconds), "{microseconds}");
        }
    }

    #[test]
    fn a_manager_that_does_not_read_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let (manager, heard) = manager(path.as_os_str(), &socket);
        (0..100_000).for_each(|_| manager.ready());
        assert_eq!(heard(), "READY=1");
        assert!(manager.0.unwrap().has_failed.load(Ordering::Relaxed));
    }

    #[test]
    fn a_name_of_another_kind_is_an_error_that_says_so() {
        let error = connect(OsStr::new("vsock:2:1234")).unwrap_err().to_string();
        assert_eq!(error, "NOTIFY_SOCKET=vsock:2:1234 is neither a path nor begins with @");
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_task_that_runs_has_a_pulse() {
        let pulse = Pulse::default();
        let second = Duration::from_secs(1);
        assert!(tokio::time::timeout(second, pulse.felt()).await.is_err(), "nobody answers");
        tokio::select! {
            never = pulse.beat() => match never {},
            () = async { for _ in 0..3 { pulse.felt().await } } => {}
        }
    }

    /// A manager that expects a sign of life each minute, and the server that tells it for `minutes`. Returns what it
    /// was told. `lives`: whether the task that accepts connections runs.
    async fn told_in(minutes: u64, lives: bool, stopper: &Stopper) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        let told = Told {
            socket: connect(path.as_os_str()).unwrap(),
            watchdog: Some(Duration::from_secs(60)),
            has_failed: AtomicBool::new(false),
        };
        let load = || Load { connections: 2, sessions: 1, plugins: (3, 4), drain: Duration::from_secs(30) };
        let pulse = Arc::new(Pulse::default());
        let report = Systemd(Some(Arc::new(told))).report(load, Arc::clone(&pulse), stopper.clone());
        let accepts = async {
            match lives {
                true => match pulse.beat().await {},
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
        lines
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_accepts_no_connections_gives_no_sign_of_life() {
        let stopper = Stopper::new();
        let told = told_in(2, true, &stopper).await;
        let signs = told.iter().filter(|line| *line == "WATCHDOG=1").count();
        assert!(signs >= 2 * 60 / 5 && told.len() == signs + 1, "a status text that stays is told once: {told:?}");
        assert_eq!(told[0], "STATUS=serving: 2 connections, 1 sessions, 3 plugins, 4 more being compiled");
        assert_eq!(told_in(10, false, &stopper).await, Vec::<String>::new());
        // While it stops, the task that has accepted connections waits for their end.
        stopper.stop();
        let told = told_in(2, false, &stopper).await;
        assert_eq!(told[..2], ["STOPPING=1", "EXTEND_TIMEOUT_USEC=40000000"]);
        assert!(told.iter().filter(|line| *line == "WATCHDOG=1").count() >= 2 * 60 / 5, "{told:?}");
    }
}
