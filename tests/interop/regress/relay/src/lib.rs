//! Runs each command by the command service of the regress scripts (`service.py`): a real shell behind a session in
//! WebAssembly.
//!
//! The service listens on loopback, at the address in the variable `SERVICE`. Frames go both ways: a kind of one byte,
//! a length of four bytes (big endian) and the payload. The kinds are constants here and in `service.py`.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use whelk_guest::{
    Ending, Output, Session, SignalName, TimerHandler, connection, env, exit_signal, finish, log, plugin, pty, send_eof,
    timers, write,
};

/// The timer that asks the service for output.
const POLL: u32 = 1;
/// Its period, in milliseconds.
const PERIOD: u32 = 10;
/// The bytes of a frame before its payload.
const HEADER: usize = 5;

/// Frames to the service: a variable, a terminal, the three ways to start, input and its end, a signal.
mod to {
    pub(crate) const VARIABLE: u8 = b'v';
    pub(crate) const TERMINAL: u8 = b't';
    pub(crate) const SHELL: u8 = b's';
    pub(crate) const EXEC: u8 = b'c';
    pub(crate) const SUBSYSTEM: u8 = b'u';
    pub(crate) const INPUT: u8 = b'i';
    pub(crate) const EOF: u8 = b'e';
    pub(crate) const SIGNAL: u8 = b'k';
}

/// Frames from the service: the two outputs, the end of both, the two ways to end.
mod from {
    pub(crate) const STDOUT: u8 = b'o';
    pub(crate) const STDERR: u8 = b'r';
    pub(crate) const EOF: u8 = b'z';
    pub(crate) const STATUS: u8 = b'x';
    pub(crate) const SIGNAL: u8 = b'k';
}

/// A session: the connection to the service once a command runs, and what has been read of the next frame.
#[derive(Default)]
struct Relay {
    service: Option<TcpStream>,
    inbox: Vec<u8>,
}

impl Session for Relay {
    fn env(&mut self, _name: &str, _value: &[u8]) -> bool {
        true
    }

    fn shell(&mut self) -> bool {
        self.start(to::SHELL, b"")
    }

    fn exec(&mut self, command: &[u8]) -> bool {
        self.start(to::EXEC, command)
    }

    fn subsystem(&mut self, name: &str) -> bool {
        self.start(to::SUBSYSTEM, name.as_bytes())
    }

    fn data(&mut self, data: &[u8]) {
        self.send(to::INPUT, data);
    }

    fn eof(&mut self) {
        self.send(to::EOF, b"");
    }

    fn signal(&mut self, name: SignalName) {
        self.send(to::SIGNAL, name.to_string().as_bytes());
    }

    fn closed(&mut self, _why: Ending) {
        self.service = None;
    }
}

impl TimerHandler for Relay {
    fn on_timer(&mut self, _timer: u32) {
        if self.receive().is_none() {
            self.stop();
        }
    }
}

plugin!(Relay: timers);

impl Relay {
    /// Has the service start something, with the session's variables.
    fn start(&mut self, how: u8, what: &[u8]) -> bool {
        let address = std::env::var("SERVICE").unwrap_or_default();
        match TcpStream::connect(&address) {
            Ok(service) => self.service = Some(service),
            Err(error) => {
                log::error(&format!("the command service at {address:?}: {error}"));
                return false;
            }
        }
        let granted = std::env::vars().filter(|(name, _)| name != "SERVICE");
        let granted = granted.map(|(name, value)| (name, value.into_bytes()));
        // Of two values of a variable the service takes the later one: SetEnv of sshd_config precedes a client's.
        let variables = env().into_iter().chain(granted).chain([("SSH_CONNECTION".to_owned(), peers().into_bytes())]);
        for (name, value) in variables {
            self.send(to::VARIABLE, &[name.as_bytes(), b"=", &value].concat());
        }
        if let Some(pty) = pty() {
            self.send(to::TERMINAL, pty.term.as_bytes());
        }
        self.send(how, what);
        timers::every(POLL, PERIOD).is_ok()
    }

    /// Sends a frame.
    fn send(&mut self, kind: u8, payload: &[u8]) {
        let Some(service) = &mut self.service else { return };
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
        let frame = [&[kind], &length[..], payload].concat();
        // The service reads whatever its command does.
        let sent = service.set_nonblocking(false).and_then(|()| service.write_all(&frame));
        if sent.and_then(|()| service.set_nonblocking(true)).is_err() {
            self.stop();
        }
    }

    /// Passes on what the service has sent. None when there will be nothing more.
    fn receive(&mut self) -> Option<()> {
        let mut piece = [0; 32 << 10];
        loop {
            match self.service.as_mut()?.read(&mut piece) {
                Ok(0) => return None,
                Ok(count) => self.inbox.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Some(()),
                Err(_) => return None,
            }
            while let Some(frame) = self.next_frame() {
                pass_on(frame[0], &frame[HEADER..]);
            }
        }
    }

    /// Takes a whole frame.
    fn next_frame(&mut self) -> Option<Vec<u8>> {
        let length = self.inbox.get(1..HEADER)?.try_into().ok().map(u32::from_be_bytes)?;
        let end = HEADER.checked_add(usize::try_from(length).ok()?)?;
        (self.inbox.len() >= end).then(|| self.inbox.drain(..end).collect())
    }

    /// The service has gone, or has said how the command ended.
    fn stop(&mut self) {
        self.service = None;
        timers::cancel(POLL);
    }
}

/// Does what a frame of the service says. A client that has left reads no output; `closed` follows.
fn pass_on(kind: u8, payload: &[u8]) {
    match kind {
        from::STDOUT => drop(write(Output::Stdout, payload)),
        from::STDERR => drop(write(Output::Stderr, payload)),
        from::EOF => send_eof(),
        from::STATUS => finish(payload.try_into().map_or(1, u32::from_be_bytes)),
        from::SIGNAL => {
            let name = String::from_utf8_lossy(payload);
            exit_signal(name.parse().unwrap_or(SignalName::Other(name.into_owned())), "");
        }
        other => log::error(&format!("the command service sent a frame of the unknown kind {other}")),
    }
}

/// sshd's `SSH_CONNECTION`: both ends, each an address and a port.
fn peers() -> String {
    let end = |fact: &str| {
        let address = connection::get(fact).unwrap_or_default();
        match address.rsplit_once(':') {
            Some((address, port)) => format!("{} {port}", address.trim_matches(['[', ']'])),
            None => "UNKNOWN 65535".to_owned(),
        }
    };
    format!("{} {}", end("address"), end("local-address"))
}
