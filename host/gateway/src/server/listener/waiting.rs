//! Accepted connections that wait until their source has fewer unauthenticated ones, before they receive our
//! identification.
//!
//! Each is a socket and an entry here: no task, no buffers. The table is checked once a second for clients that have
//! closed; the runtime tracks that in between, so a check costs no system call.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rustix::net::{RecvFlags, SendFlags};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::gate::SOURCE_LINE;

/// How often the table is checked.
const INTERVAL: Duration = Duration::from_secs(1);

/// The waiting connections, by number.
pub(super) struct Waiting {
    connections: BTreeMap<u64, Entry>,
    /// The longest wait.
    grace: Duration,
    next_check: Instant,
}

struct Entry {
    stream: TcpStream,
    peer: SocketAddr,
    until: Instant,
}

impl Waiting {
    pub(super) fn new(grace: Duration) -> Waiting {
        Waiting { connections: BTreeMap::new(), grace, next_check: Instant::now() }
    }

    /// Changes the longest wait of connections that come from now on.
    pub(super) fn set_grace(&mut self, grace: Duration) {
        self.grace = grace;
    }

    pub(super) fn insert(&mut self, number: u64, stream: TcpStream, peer: SocketAddr, now: Instant) {
        if self.connections.is_empty() {
            self.next_check = now + INTERVAL;
        }
        self.connections.insert(number, Entry { stream, peer, until: now + self.grace });
    }

    /// Takes a connection out, to be served.
    pub(super) fn take(&mut self, number: u64) -> Option<(TcpStream, SocketAddr)> {
        self.connections.remove(&number).map(|entry| (entry.stream, entry.peer))
    }

    /// Ends the wait of an evicted connection.
    pub(super) fn turn_away(&mut self, number: u64) {
        if let Some(entry) = self.connections.remove(&number) {
            tell(&entry.stream, SOURCE_LINE);
        }
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.connections.len()
    }

    /// When to call [`Waiting::check`].
    pub(super) fn next_check(&self) -> Option<Instant> {
        (!self.connections.is_empty()).then_some(self.next_check)
    }

    /// Removes those that have closed, and refuses those that have waited for too long. Returns the numbers of both.
    pub(super) fn check(&mut self, now: Instant) -> Vec<u64> {
        self.next_check = now + INTERVAL;
        let gone = self.connections.extract_if(.., |_, entry| entry.until <= now || entry.has_hung_up());
        let tell_late = |(number, entry): (u64, Entry)| {
            if entry.until <= now {
                tell(&entry.stream, SOURCE_LINE);
            }
            number
        };
        gone.map(tell_late).collect()
    }
}

impl Entry {
    /// The peer's bytes stay unread.
    fn has_hung_up(&self) -> bool {
        let ready = pin!(self.stream.ready(Interest::READABLE));
        match ready.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(ready)) => ready.is_read_closed(),
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        }
    }
}

/// Sends a line to a client that is refused before the first byte of the protocol, where lines for people are allowed
/// (RFC 4253 §4.2), as far as the socket takes it at once.
pub(super) fn tell(stream: &TcpStream, line: &str) {
    // Reads what the client has sent: closing a socket with unread bytes would discard the line.
    let _ = rustix::net::recv(stream, &mut [0; 4096], RecvFlags::DONTWAIT);
    // If it cannot be sent the client only sees the connection closed.
    let _ = rustix::net::send(stream, line.as_bytes(), SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
}
