//! What the kernel is told about the socket of a connection: when to send, when to acknowledge, and when to ask whether
//! the peer is still there.

use std::io;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::TcpStream;

use crate::config::Limits;

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
        tracing::debug!(%error, "TCP_NODELAY");
    }
    if let Err(error) = keepalive.set(stream) {
        tracing::debug!(%error, "SO_KEEPALIVE");
    }
}

/// What a turn of the pump has moved, as far as it decides about the acknowledgement of what was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moved {
    /// Bytes have come.
    pub(crate) read: bool,
    /// Bytes have gone, and an acknowledgement with them, or more of them wait for the socket.
    pub(crate) written: bool,
    /// A message on a channel came that gets no answer.
    pub(crate) unanswered: bool,
    /// Nobody has logged in yet.
    pub(crate) before_login: bool,
}

impl Moved {
    /// Whether what was read is to be acknowledged at once.
    ///
    /// The kernel delays an acknowledgement by 40 ms in the hope of data to send along. A client without TCP_NODELAY
    /// holds its next small write back until then (Nagle): paramiko, node's ssh2 and OpenSSH without a terminal. That
    /// hurts where the client has more to say and gets no answer meanwhile: after NEWKEYS, and after a CLOSE, EOF,
    /// window adjustment or request that wants no reply; the next request on the connection waits behind it. Data is
    /// left to the kernel: an answer to a keystroke comes soon, and a bulk of data is acknowledged as it comes.
    pub(crate) fn wants_acknowledgement(self) -> bool {
        self.read && !self.written && (self.before_login || self.unanswered)
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
        let close = Moved { read: true, unanswered: true, ..Moved::default() };
        assert!(close.wants_acknowledgement());
        let login = Moved { read: true, before_login: true, ..Moved::default() };
        assert!(login.wants_acknowledgement());
    }

    #[test]
    fn data_and_what_was_answered_cost_no_system_call() {
        let data = Moved { read: true, ..Moved::default() };
        let answered = Moved { read: true, written: true, unanswered: true, before_login: true };
        let nothing = Moved { unanswered: true, before_login: true, ..Moved::default() };
        for moved in [data, answered, nothing] {
            assert!(!moved.wants_acknowledgement(), "{moved:?}");
        }
    }
}
