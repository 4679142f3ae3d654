//! Under a service manager: what it is told, what signals and a restart do to live sessions, and the units.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::Signal;
use whelk_tests::{
    Call, Client, Finished, Gateway, Input, Output, Running, SOON, Setup, client_program, figure, program, repository,
    size,
};

/// Sets the variables of its first arguments, passes a file on as file 3 and becomes the program, as systemd does it
/// for a socket unit.
const ADOPT: &str = "import os, sys
file, words = int(sys.argv[1]), sys.argv[2:]
os.dup2(file, 3)
os.set_inheritable(3, True)
if file != 3:
    os.close(file)
while '=' in words[0]:
    name, value = words.pop(0).split('=', 1)
    os.environ[name] = value
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1')
os.execv(words[0], words)
";

/// How long a connection may take to begin its session after the server was told to stop.
const LOGIN_TIME: Duration = Duration::from_secs(2);

/// A stand-in for the manager's socket: what was sent to it, in order.
struct NotifySocket {
    socket: UnixDatagram,
    heard: Arc<(Mutex<Vec<String>>, Condvar)>,
}

impl NotifySocket {
    fn listen(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).expect("our own folder");
        let heard = Arc::<(Mutex<Vec<String>>, Condvar)>::default();
        let (reader, hearing) = (socket.try_clone().expect("a descriptor is free"), Arc::clone(&heard));
        std::thread::spawn(move || {
            let mut datagram = vec![0; 4096];
            while let Ok(length @ 1..) = reader.recv(&mut datagram) {
                let text = String::from_utf8_lossy(&datagram[..length]).into_owned();
                hearing.0.lock().unwrap_or_else(PoisonError::into_inner).extend(text.lines().map(str::to_owned));
                hearing.1.notify_all();
            }
        });
        Self { socket, heard }
    }

    /// Waits until `enough` is satisfied by everything that was told.
    fn wait(&self, what: &str, enough: impl Fn(&[String]) -> bool) -> Vec<String> {
        let heard = self.heard.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.heard.1.wait_timeout_while(heard, SOON, |heard| !enough(heard));
        let (heard, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!waited.timed_out(), "the manager was not told {what}: {heard:#?}");
        heard.clone()
    }

    fn wait_for(&self, line: &str) {
        self.wait(line, |heard| heard.iter().any(|heard| heard.contains(line)));
    }
}

impl Drop for NotifySocket {
    fn drop(&mut self) {
        // The thread that reads ends.
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
    }
}

/// Users with live sessions, and so much time for these after a signal to stop.
fn setup(drain: &str) -> Setup {
    let user = |name: &str, plugin: &str| format!("[users.{name}]\nplugin = \"{plugin}\"\nauth = \"none\"\n");
    let users = user("echo", "echo") + &user("guest", "probe");
    Setup::default().configuration(&format!("{users}[limits]\ndrain = \"{drain}\"\n"))
}

/// A session with a terminal and one without, both of which answer what is typed.
struct Live {
    terminal: Running,
    program: Running,
}

impl Live {
    fn begin(gateway: &Gateway) -> Self {
        let ssh = |pty: bool| {
            let call = Call::new(Client::OpenSsh100, gateway, "echo");
            let call = if pty { call.pty() } else { call };
            Running::start(call.command(), Input::Held, Output::Read, SOON)
        };
        let mut live = Self { terminal: ssh(true), program: ssh(false) };
        live.answers("the start");
        live
    }

    /// Both sessions echo.
    fn answers(&mut self, after: &str) {
        let line = format!("after {after}\n");
        for session in [&mut self.terminal, &mut self.program] {
            session.type_in(line.as_bytes());
            session.wait_for_output(line.trim_end());
        }
    }

    /// What became of both.
    fn end(self) -> [Finished; 2] {
        [self.terminal.finish(), self.program.finish()]
    }
}

/// What the plugin says to what was typed after each of these.
fn said(after: &[&str]) -> String {
    after.iter().map(|after| format!("echo: \"after {after}\\n\"\r\n")).collect()
}

/// How often users at a terminal are told of a drain of `seconds`.
fn notices(text: &str) -> usize {
    text.matches("\r\nwhelk: server is shutting down; this session will be closed in ").count()
}

/// A session that a stop has ended: OpenSSH's words, in one line.
fn told(finished: &Finished) -> String {
    let reason = finished.err.lines().find(|line| line.contains("isconnect")).unwrap_or("nothing").trim();
    format!("status {:?}, {} notices, \"{reason}\"", finished.status, notices(&finished.out.text()))
}

fn milliseconds(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}

#[test]
fn signals_do_to_live_sessions_what_the_manual_says_and_the_manager_is_told() {
    let drain = size(5, 10);
    let setup = setup(&format!("{drain} s"));
    let manager = NotifySocket::listen(&setup.folder().join("notify"));
    let address = free_address();
    let notify = format!("NOTIFY_SOCKET={}", setup.folder().join("notify").display());
    let activate = client_program("systemd-socket-activate");
    let activate = activate.to_str().expect("our paths are text");
    let listen = address.to_string();
    // systemd-socket-activate starts the server at the first connection, once it listens itself.
    let first = std::thread::spawn(move || {
        let began = Instant::now();
        while !connect(address).starts_with("SSH-2.0-") && began.elapsed() < SOON {
            std::thread::yield_now();
        }
    });
    // The harness reads the log from standard error.
    let log = setup.folder().join("log");
    symlink("/dev/stderr", &log).expect("our own folder");
    let setup = setup.option(&format!("--log-file={}", log.display()));
    let mut gateway =
        setup.under(&[activate, "--listen", &listen, "-E", &notify, "-E", "WATCHDOG_USEC=3000000"]).start();
    first.join().expect("it does not panic");
    manager.wait_for("READY=1");
    let mut live = Live::begin(&gateway);
    manager.wait_for("STATUS=serving: 2 connections, 2 sessions, ");
    manager.wait("three watchdog pings", |heard| heard.iter().filter(|line| *line == "WATCHDOG=1").count() >= 3);
    rotate(&log, &gateway, &mut live);
    figure("SIGUSR1 with live sessions", "the log file is opened anew, and both go on");
    gateway.signal(Signal::HUP);
    gateway.wait("SIGHUP", |event| (event.message == "configuration reloaded").then_some(()));
    let heard = manager.wait("a reload", |heard| heard.iter().filter(|line| *line == "READY=1").count() == 2);
    let reload: Vec<&String> = heard.iter().skip_while(|line| *line != "RELOADING=1").collect();
    assert!(reload.get(1).is_some_and(|line| line.starts_with("MONOTONIC_USEC=")), "{heard:#?}");
    assert!(reload.iter().any(|line| *line == "READY=1"), "{heard:#?}");
    live.answers("SIGHUP");
    figure("SIGHUP with live sessions", "the configuration is read again, and both go on");
    let began = Instant::now();
    gateway.signal(Signal::TERM);
    gateway.wait("end of listening", |event| (event.message == "no longer listening").then_some(()));
    live.answers("SIGTERM");
    gateway.wait_for_end();
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(drain as u64), "sessions had {took:?} instead of {drain} s");
    let [terminal, program] = live.end();
    assert!([&terminal, &program].into_iter().all(is_disconnected), "{}{}", terminal.err, program.err);
    let heard = manager.wait("the stop", |heard| heard.iter().any(|line| line == "STOPPING=1"));
    assert!(heard.contains(&format!("EXTEND_TIMEOUT_USEC={}", (drain + 10) * 1_000_000)), "{heard:#?}");
    assert_eq!(terminal.status, Some(255), "{}", terminal.err);
    assert_eq!(notices(&terminal.out.text()), if drain < 10 { 1 } else { 2 }, "{:?}", terminal.out.text());
    assert_eq!(program.status, Some(255), "{}", program.err);
    // The bytes of a session without a terminal belong to its program.
    assert_eq!(program.out.text(), said(&["the start", "SIGUSR1", "SIGHUP", "SIGTERM"]));
    figure("SIGTERM: session on a terminal", told(&terminal));
    figure("SIGTERM: session without one", told(&program));
    figure("SIGTERM: from the signal to the end of the server", milliseconds(took));
    let told: Vec<&String> = heard.iter().filter(|line| *line != "WATCHDOG=1").collect();
    figure("told to the manager", format!("{told:?}"));
}

/// An address below the ports that the system gives to others, so that it stays free until the server is started.
fn free_address() -> SocketAddr {
    let first = u16::try_from(std::process::id() % 10_000).expect("it is small");
    let ports = (0..10_000).map(|port| 20_000 + (first + port) % 10_000);
    let free = |port| TcpListener::bind(("127.0.0.1", port)).and_then(|free| free.local_addr()).ok();
    ports.into_iter().find_map(free).expect("a free port")
}

/// Makes a link lead elsewhere.
fn replace_link(link: &Path, to: &Path) {
    std::fs::remove_file(link).expect("it is there");
    symlink(to, link).expect("our own folder");
}

/// Has the server log elsewhere for a while, as logrotate(8) does it.
fn rotate(log: &Path, gateway: &Gateway, live: &mut Live) {
    let rotated = gateway.folder().join("rotated");
    replace_link(log, &rotated);
    gateway.signal(Signal::USR1);
    wait_for_text(&rotated, "log file reopened");
    live.answers("SIGUSR1");
    replace_link(log, Path::new("/dev/stderr"));
    gateway.signal(Signal::USR1);
    gateway.wait("reopening", |event| (event.message == "log file reopened").then_some(()));
}

/// Whether OpenSSH was told that the application ends the connection (11).
fn is_disconnected(session: &Finished) -> bool {
    session.err.lines().any(|line| line.starts_with("Received disconnect from ") && line.contains(":11: "))
}

/// Waits until a file contains a text.
fn wait_for_text(file: &Path, text: &str) {
    let began = Instant::now();
    while !std::fs::read_to_string(file).is_ok_and(|read| read.contains(text)) {
        assert!(began.elapsed() < SOON, "{} has no {text:?}", file.display());
        std::thread::yield_now();
    }
}

/// Connects and returns what the server says first, or the error.
fn connect(address: SocketAddr) -> String {
    let mut first = String::new();
    let read = TcpStream::connect(address).and_then(|stream| {
        stream.set_read_timeout(Some(SOON))?;
        BufReader::new(stream).read_line(&mut first)
    });
    read.map_or_else(|error| error.to_string(), |_| first)
}

/// Connects 100 times a second until `over` is dropped. Returns what each was told, and how long it took.
fn connect_often(address: SocketAddr, over: &Receiver<()>) -> Vec<(String, Duration)> {
    let mut threads = Vec::new();
    while over.recv_timeout(Duration::from_millis(10)) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
        threads.push(std::thread::spawn(move || {
            let began = Instant::now();
            (connect(address), began.elapsed())
        }));
    }
    threads.into_iter().map(|thread| thread.join().expect("it does not panic")).collect()
}

#[test]
fn a_restart_with_the_socket_of_the_manager_refuses_no_connection() {
    let drain = size(2, 10);
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = socket.local_addr().expect("it is bound");
    // The server inherits it.
    fcntl_setfd(&socket, FdFlags::empty()).expect("it is open");
    let (python, file) = (client_program("python"), socket.as_raw_fd().to_string());
    let python = python.to_str().expect("our paths are text");
    let mut gateway = setup(&format!("{drain} s")).under(&[python, "-c", ADOPT, &file]).start();
    let live = Live::begin(&gateway);
    let (end, over): (Sender<()>, _) = channel();
    let connecting = std::thread::spawn(move || connect_often(address, &over));
    let call = Call::new(Client::OpenSsh100, &gateway, "guest").exec("exit 5");
    let (restarted, logins) = (AtomicBool::new(false), size(4, 8));
    let (during, logins, took) = std::thread::scope(|scope| {
        // From before the signal until after the start.
        let log_in = || {
            let mut finished = vec![call.run(Input::Nothing)];
            while !restarted.load(Ordering::Acquire) {
                finished.push(call.run(Input::Nothing));
            }
            finished
        };
        let during: Vec<_> = (0..logins).map(|_| scope.spawn(log_in)).collect();
        gateway.wait_all("logins", |events| {
            let sessions = events.iter().filter(|event| event.message == "session ended");
            (sessions.count() >= 2).then_some(())
        });
        let began = Instant::now();
        gateway.signal(Signal::TERM);
        gateway.wait("end of listening", |event| (event.message == "no longer listening").then_some(()));
        let logins: Vec<_> = (0..5).map(|_| scope.spawn(|| call.run(Input::Nothing))).collect();
        gateway.restart();
        let took = began.elapsed();
        restarted.store(true, Ordering::Release);
        let logins: Vec<_> = logins.into_iter().map(|login| login.join().expect("it does not panic")).collect();
        let during: Vec<_> = during.into_iter().flat_map(|login| login.join().expect("it does not panic")).collect();
        (during, logins, took)
    });
    for login in &logins {
        assert_eq!(login.status, Some(5), "{}", login.err);
    }
    // A login that takes longer than the server gives it is cut.
    let cut: Vec<&Finished> = during.iter().filter(|login| login.status != Some(5)).collect();
    assert!(cut.iter().all(|login| login.took > LOGIN_TIME), "{cut:#?}");
    figure("restart: logins one after the other, of them cut", format!("{}, {}", during.len(), cut.len()));
    drop(end);
    let attempts = connecting.join().expect("it does not panic");
    let refused: Vec<&String> =
        attempts.iter().map(|(said, _)| said).filter(|said| !said.starts_with("SSH-2.0-")).collect();
    assert!(refused.is_empty(), "{} of {}: {refused:?}", refused.len(), attempts.len());
    let longest = attempts.iter().map(|(_, took)| *took).max().unwrap_or_default();
    // The one that connected just after the signal.
    assert!(longest >= Duration::from_secs(drain as u64) / 2, "none began while no server accepted: {longest:?}");
    let [terminal, program] = live.end();
    assert_eq!((terminal.status, program.status), (Some(255), Some(255)), "{}{}", terminal.err, program.err);
    figure("restart: from the signal until the new server serves", milliseconds(took));
    figure("restart: connections, of them refused", format!("{}, {}", attempts.len(), refused.len()));
    figure("restart: longest wait for the server's first line", milliseconds(longest));
    figure("restart: logins begun while no server accepts", format!("{} of {} succeed", logins.len(), logins.len()));
    figure("restart: session on a terminal", told(&terminal));
    figure("restart: session without one", told(&program));
    gateway.end();
}

#[test]
fn a_server_without_sessions_ends_at_once_however_long_its_drain_is() {
    let gateway = setup("1 h").start();
    let began = Instant::now();
    gateway.end();
    figure("end of a server without connections", milliseconds(began.elapsed()));
    let gateway = setup("1 h").start();
    // Connected, and not logged in. It gets a second to read the DISCONNECT.
    let idle = TcpStream::connect(("127.0.0.1", gateway.port())).expect("it listens");
    let mut first = String::new();
    BufReader::new(&idle).read_line(&mut first).expect("the server speaks first");
    let began = Instant::now();
    gateway.end();
    figure("end of a server with a connection and no session", milliseconds(began.elapsed()));
}

/// Runs a tool of systemd on copies of the units, which run the program that was built.
fn analyze(folder: &Path, arguments: &[&str], units: &[&str]) -> Finished {
    let shipped = repository().join("host/gateway/service");
    let program = program();
    for unit in ["whelk.service", "whelk.socket"] {
        let text = std::fs::read_to_string(shipped.join(unit)).expect("it is shipped");
        let text = text.replace("/usr/bin/whelk", program.to_str().expect("our paths are text"));
        std::fs::write(folder.join(unit), text).expect("our own folder");
    }
    let mut command = Command::new(client_program("systemd-analyze"));
    command.args(arguments).args(units.iter().map(|unit| folder.join(unit)));
    Running::run(command, Input::Nothing, SOON)
}

#[test]
fn the_shipped_units_are_valid_and_hardened() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let verified = analyze(folder.path(), &["verify", "--man=no"], &["whelk.service", "whelk.socket"]);
    assert_eq!((verified.status, verified.err.as_str()), (Some(0), ""));
    let arguments = ["security", "--offline=true", "--no-pager", "--threshold=20"];
    let rated = analyze(folder.path(), &arguments, &["whelk.service"]);
    let rating = rated.out.text();
    let rating = rating.lines().find(|line| line.contains("Overall exposure level")).unwrap_or("no rating");
    assert_eq!(rated.status, Some(0), "more than 2.0: {rating} {}", rated.err);
    figure("systemd-analyze security", rating.trim_start_matches(|character: char| !character.is_ascii()));
}
