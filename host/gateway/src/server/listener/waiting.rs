//! Connections that were accepted and are not greeted yet, since their source has enough others that have not logged in.
//!
//! Each is a socket and an entry here: no task, no buffers. That a client has hung up is seen when the table is looked through,
//! once a second; the runtime notes it in between, so a look costs no system call.

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

/// How often the table is looked through.
const INTERVAL: Duration = Duration::from_secs(1);

/// The connections that wait, by number.
pub(super) struct Waiting {
    connections: BTreeMap<u64, Entry>,
    /// The longest that one waits.
    grace: Duration,
    next_look: Instant,
}

struct Entry {
    stream: TcpStream,
    peer: SocketAddr,
    until: Instant,
}

impl Waiting {
    pub(super) fn new(grace: Duration) -> Waiting {
        Waiting { connections: BTreeMap::new(), grace, next_look: Instant::now() }
    }

    pub(super) fn insert(&mut self, number: u64, stream: TcpStream, peer: SocketAddr, now: Instant) {
        if self.connections.is_empty() {
            self.next_look = now + INTERVAL;
        }
        self.connections.insert(number, Entry { stream, peer, until: now + self.grace });
    }

    /// Takes a connection out, to be served.
    pub(super) fn take(&mut self, number: u64) -> Option<(TcpStream, SocketAddr)> {
        self.connections.remove(&number).map(|entry| (entry.stream, entry.peer))
    }

    /// Ends the wait of a connection whose place is needed.
    pub(super) fn turn_away(&mut self, number: u64) {
        if let Some(entry) = self.connections.remove(&number) {
            tell(&entry.stream, SOURCE_LINE);
        }
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.connections.len()
    }

    /// When [`Waiting::look`] wants to be called.
    pub(super) fn next_look(&self) -> Option<Instant> {
        (!self.connections.is_empty()).then_some(self.next_look)
    }

    /// Drops those that have hung up, and turns away those that have waited for too long. Gives the numbers of both.
    pub(super) fn look(&mut self, now: Instant) -> Vec<u64> {
        self.next_look = now + INTERVAL;
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
    /// What the peer has sent stays unread.
    fn has_hung_up(&self) -> bool {
        let ready = pin!(self.stream.ready(Interest::READABLE));
        match ready.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(ready)) => ready.is_read_closed(),
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        }
    }
}

/// Sends a line to a client that is turned away before the first byte of the protocol, where lines for people may stand
/// (RFC 4253 §4.2), as far as the socket takes it at once.
pub(super) fn tell(stream: &TcpStream, line: &str) {
    // What the client has sent already is read, for a socket that is closed with unread bytes takes the line back.
    let _ = rustix::net::recv(stream, &mut [0; 4096], RecvFlags::DONTWAIT);
    // If it cannot be sent the client hears that the connection is closed.
    let _ = rustix::net::send(stream, line.as_bytes(), SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
}
