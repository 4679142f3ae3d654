//! The audit as messages to syslog (RFC 5424) or journald.
//!
//! Decided 2026-11-29: both are one datagram a record, made by one `format!` each. Refused: the crates `syslog`
//! (numbers instead of names as message ids, and three more crates), `systemd-journal-logger` (turns on features of
//! `log` in the compiler of plugins) and `tracing-journald` (swallows the errors that `audit.required` needs).

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use super::sink::AuditSink;

/// Where a local syslog listens, syslog(3).
const SYSLOG: &str = "/dev/log";
/// Where journald listens for its native protocol.
const JOURNALD: &str = "/run/systemd/journal/socket";
/// Facility authpriv (10), severity info (6): RFC 5424 §6.2.1.
const PRIORITY: u8 = 10 * 8 + 6;
/// The most bytes of one value: receivers cut messages, of 8 KiB mostly.
const LONGEST_VALUE: usize = 4 << 10;
/// How long a receiver that does not read may hold up a message.
const WAIT: Duration = Duration::from_secs(1);

/// Sends records.
pub(super) struct DatagramSink {
    to: Receiver,
    /// None after a message could not be sent.
    socket: Option<Socket>,
    encode: fn(&str, &str) -> String,
}

enum Receiver {
    Local(PathBuf),
    Server(SocketAddr),
}

enum Socket {
    Local(UnixDatagram),
    Server(UdpSocket),
}

impl DatagramSink {
    /// To syslog: of this machine, or by UDP. With what is wrong, if it cannot be reached.
    pub(super) fn syslog(server: Option<SocketAddr>) -> (DatagramSink, Option<String>) {
        let to = server.map_or_else(|| Receiver::Local(SYSLOG.into()), Receiver::Server);
        DatagramSink::new(to, syslog_message)
    }

    /// To journald of this machine.
    pub(super) fn journald() -> (DatagramSink, Option<String>) {
        DatagramSink::new(Receiver::Local(JOURNALD.into()), journald_message)
    }

    fn new(to: Receiver, encode: fn(&str, &str) -> String) -> (DatagramSink, Option<String>) {
        let mut sink = DatagramSink { to, socket: None, encode };
        let problem = sink.connect().err().map(|error| error.to_string());
        (sink, problem)
    }

    fn connect(&mut self) -> io::Result<()> {
        self.socket = Some(match &self.to {
            Receiver::Local(path) => Socket::Local(local(path).map_err(|error| named(path.display(), &error))?),
            Receiver::Server(server) => {
                let any: SocketAddr = if server.is_ipv4() { ([0; 4], 0).into() } else { ([0_u16; 8], 0).into() };
                let connected = UdpSocket::bind(any).and_then(|socket| socket.connect(server).map(|()| socket));
                Socket::Server(connected.map_err(|error| named(server, &error))?)
            }
        });
        Ok(())
    }
}

fn local(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(WAIT))?;
    socket.connect(path)?;
    Ok(socket)
}

fn named(what: impl std::fmt::Display, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

impl AuditSink for DatagramSink {
    fn write(&mut self, event: &str, line: &[u8]) -> io::Result<()> {
        let line = String::from_utf8_lossy(line);
        let message = (self.encode)(event, line.trim_ascii_end());
        if self.socket.is_none() {
            self.connect()?;
        }
        let sent = match &self.socket {
            Some(Socket::Local(socket)) => socket.send(message.as_bytes()),
            Some(Socket::Server(socket)) => socket.send(message.as_bytes()),
            None => Err(io::ErrorKind::NotConnected.into()),
        };
        sent.map(|_| ()).inspect_err(|_| self.socket = None)
    }

    fn reopen(&mut self) {
        self.socket = None;
    }

    fn longest_value(&self) -> usize {
        LONGEST_VALUE
    }
}

/// RFC 5424 §6: the name of the event is the message's id.
fn syslog_message(event: &str, line: &str) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    let host = if host.is_empty() { "-" } else { host };
    let (now, process) = (Timestamp::now(), std::process::id());
    format!("<{PRIORITY}>1 {now:.6} {host} whelk {process} {event} - {line}")
}

/// The native protocol of journald: fields, one a line. A record has no line feeds.
fn journald_message(event: &str, line: &str) -> String {
    format!("PRIORITY=6\nSYSLOG_FACILITY=10\nSYSLOG_IDENTIFIER=whelk-audit\nWHELK_EVENT={event}\nMESSAGE={line}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_that_goes_and_comes_back_gets_the_next_message() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let (mut sink, problem) = DatagramSink::new(Receiver::Local(path.clone()), journald_message);
        assert!(problem.unwrap().starts_with(&path.display().to_string()));
        assert!(sink.write("login_failed", b"{}\n").is_err());
        for _ in 0..2 {
            let receiver = UnixDatagram::bind(&path).unwrap();
            sink.write("login_failed", b"{\"a\":1}\n").unwrap();
            let mut message = [0; 1000];
            let length = receiver.recv(&mut message).unwrap();
            let expected = "PRIORITY=6\nSYSLOG_FACILITY=10\nSYSLOG_IDENTIFIER=whelk-audit\nWHELK_EVENT=login_failed\n\
                            MESSAGE={\"a\":1}\n";
            assert_eq!(str::from_utf8(&message[..length]), Ok(expected));
            drop(receiver);
            std::fs::remove_file(&path).unwrap();
            assert!(sink.write("login_failed", b"{}\n").is_err());
        }
    }

    #[test]
    fn a_receiver_that_does_not_read_is_an_error_and_no_endless_wait() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let _receiver = UnixDatagram::bind(&path).unwrap();
        let (mut sink, _) = DatagramSink::new(Receiver::Local(path), journald_message);
        if let Some(Socket::Local(socket)) = &sink.socket {
            socket.set_write_timeout(Some(Duration::from_millis(1))).unwrap();
        }
        let sent = (0..100_000).find_map(|_| sink.write("login_failed", b"{}\n").err());
        assert_eq!(sent.unwrap().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_syslog_message_has_the_header_of_rfc_5424() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (mut sink, problem) = DatagramSink::syslog(Some(server.local_addr().unwrap()));
        assert_eq!(problem, None);
        sink.write("session_started", b"{\"a\":\"b c\"}\n").unwrap();
        let mut message = [0; 1000];
        let length = server.recv(&mut message).unwrap();
        let text = str::from_utf8(&message[..length]).unwrap();
        let parts: Vec<&str> = text.splitn(8, ' ').collect();
        let [priority, time, host, name, process, event, data, line] = parts[..] else { panic!("{text}") };
        assert_eq!((priority, name, event, data, line), ("<86>1", "whelk", "session_started", "-", "{\"a\":\"b c\"}"));
        assert!(time.ends_with('Z') && time.len() == 27 && !host.is_empty(), "{text}");
        assert_eq!(process, std::process::id().to_string());
    }
}
