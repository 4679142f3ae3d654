//! What the kernel is told about the socket of a connection: when to send, when to acknowledge, and when to ask whether
//! the peer is still there.

use std::io;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::TcpStream;

use crate::config::Limits;
use crate::observe::event::{ConnectionEvent, emit};

/// When the kernel asks a silent peer whether it is there. sshd's TCPKeepAlive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TcpKeepalive {
    /// How long the line may be quiet before the first question. Zero never asks.
    idle: Duration,
    /// From each question to the next.
    interval: Duration,
    /// How many questions may go unanswered.
    probes: u32,
}

impl TcpKeepalive {
    pub(crate) fn new(limits: &Limits) -> TcpKeepalive {
        TcpKeepalive {
            idle: limits.tcp_keepalive,
            interval: limits.tcp_keepalive_interval,
            probes: limits.tcp_keepalive_probes,
        }
    }

    fn set(&self, stream: &TcpStream) -> io::Result<()> {
        let asks = !self.idle.is_zero();
        sockopt::set_socket_keepalive(stream, asks)?;
        if asks {
            sockopt::set_tcp_keepidle(stream, self.idle)?;
            sockopt::set_tcp_keepintvl(stream, self.interval)?;
            sockopt::set_tcp_keepcnt(stream, self.probes)?;
        }
        Ok(())
    }
}

/// Prepares an accepted socket: keystrokes go out at once, and the kernel finds peers that are gone.
///
/// A peer whose kernel acknowledges is alive, however long it takes nothing. So there is no TCP_USER_TIMEOUT: it ends a
/// living peer whose window is shut. A peer that is gone owes an acknowledgement, and then retransmission ends
/// (tcp_retries2, about 15 minutes), or the line is quiet, and then keepalive finds it.
pub(crate) fn prepare(stream: &TcpStream, keepalive: TcpKeepalive) {
    // A failure means that the peer has gone, which reading will tell.
    if let Err(error) = stream.set_nodelay(true) {
        emit(ConnectionEvent::NoDelayFailed { error: &error });
    }
    if let Err(error) = keepalive.set(stream) {
        emit(ConnectionEvent::KeepaliveFailed { error: &error });
    }
}

/// What a turn of the pump has moved, as far as it decides about the acknowledgement of what was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moved {
    /// How many bytes have come.
    pub(crate) read: usize,
    /// Bytes have gone, and an acknowledgement with them, or more of them wait for the socket.
    pub(crate) written: bool,
    /// A message on a channel came that gets no answer.
    pub(crate) unanswered: bool,
    /// A part of a packet is there, and the rest is not.
    pub(crate) partial: bool,
    /// Nobody has logged in yet.
    pub(crate) before_login: bool,
    /// The turn has read as much as a turn may: there is probably more.
    pub(crate) full: bool,
}

/// When what was read is to be acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acknowledgement {
    /// When the kernel sees fit, or an earlier turn has said.
    Unchanged,
    /// It has gone out with data.
    Done,
    /// At once.
    Now,
    /// After [`ANSWER`], if nothing was sent by then.
    Soon,
}

/// How long the answer to a keystroke takes. What is answered by then is acknowledged by its answer, at no cost.
pub(crate) const ANSWER: Duration = Duration::from_millis(3);

/// Reads up to this size are taken for a client whose next write is held back by Nagle. It is smaller than every maximum
/// segment size.
const SMALL: usize = 512;

impl Moved {
    /// When what was read is to be acknowledged.
    ///
    /// The kernel delays an acknowledgement by 40 ms in the hope of data to send along. A client without TCP_NODELAY
    /// holds its next small write back until then (Nagle): paramiko, node's ssh2 and OpenSSH without a terminal. That
    /// hurts where the client has more to say and gets no answer meanwhile: after NEWKEYS; after a CLOSE, EOF, window
    /// adjustment or request that wants no reply; inside of a packet that it writes in pieces, as ssh2 does; and after
    /// data that EOF follows, however much it was: the kernel acknowledges every second segment at once, and delays the
    /// last one of an odd number. Only a read that takes a whole turn is left to the kernel.
    pub(crate) fn acknowledgement(self) -> Acknowledgement {
        let small = self.read > 0 && self.read <= SMALL;
        if self.written {
            Acknowledgement::Done
        } else if self.read > 0 && (self.before_login || self.unanswered) || small && self.partial {
            Acknowledgement::Now
        } else if self.read > 0 && !self.full {
            Acknowledgement::Soon
        } else {
            Acknowledgement::Unchanged
        }
    }
}

/// Acknowledges what was read, now. The kernel goes back to delaying by itself.
pub(crate) fn acknowledge(stream: &TcpStream) {
    // Only slower if it does not work.
    let _ = sockopt::set_tcp_quickack(stream, true);
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        (client.unwrap(), accepted.unwrap().0)
    }

    /// O6, F7: what sshd has, with a shorter idle time than the kernel's two hours.
    #[tokio::test]
    async fn a_silent_peer_is_asked_after_ten_minutes_and_a_slow_one_is_never_given_up() {
        let (_client, accepted) = pair().await;
        prepare(&accepted, TcpKeepalive::new(&Limits::default()));
        assert!(sockopt::socket_keepalive(&accepted).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&accepted).unwrap(), Duration::from_secs(600));
        assert_eq!(sockopt::tcp_keepintvl(&accepted).unwrap(), Duration::from_secs(75));
        assert_eq!(sockopt::tcp_keepcnt(&accepted).unwrap(), 9);
        assert_eq!(sockopt::tcp_user_timeout(&accepted).unwrap(), 0);
        assert!(accepted.nodelay().unwrap());
    }

    #[tokio::test]
    async fn zero_asks_never() {
        let (_client, accepted) = pair().await;
        prepare(&accepted, TcpKeepalive::new(&Limits { tcp_keepalive: Duration::ZERO, ..Limits::default() }));
        assert!(!sockopt::socket_keepalive(&accepted).unwrap());
    }

    #[test]
    fn what_gets_no_answer_is_acknowledged_at_once() {
        let close = Moved { read: 52, unanswered: true, ..Moved::default() };
        let login = Moved { read: 64, before_login: true, ..Moved::default() };
        let piece = Moved { read: 4, partial: true, ..Moved::default() };
        for moved in [close, login, piece] {
            assert_eq!(moved.acknowledgement(), Acknowledgement::Now, "{moved:?}");
        }
    }

    #[test]
    fn what_may_be_answered_soon_is_left_to_its_answer_for_a_moment() {
        for read in [36, 10_000, 100_000] {
            for partial in [false, read > SMALL] {
                let moved = Moved { read, partial, ..Moved::default() };
                assert_eq!(moved.acknowledgement(), Acknowledgement::Soon, "{moved:?}");
            }
        }
    }

    #[test]
    fn a_bulk_of_data_and_what_was_answered_cost_no_system_call() {
        let bulk = Moved { read: 128 << 10, partial: true, full: true, ..Moved::default() };
        for moved in [bulk, Moved::default()] {
            assert_eq!(moved.acknowledgement(), Acknowledgement::Unchanged, "{moved:?}");
        }
        let answered =
            Moved { read: 36, written: true, unanswered: true, partial: true, before_login: true, full: true };
        assert_eq!(answered.acknowledgement(), Acknowledgement::Done);
    }
}
