//! Options of a connection's socket: when to send, when to acknowledge, when to tell of input, and when to ask whether
//! the peer is still there.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
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

    fn set(&self, socket: impl AsFd) -> io::Result<()> {
        let (socket, asks) = (socket.as_fd(), !self.idle.is_zero());
        sockopt::set_socket_keepalive(socket, asks)?;
        if asks {
            sockopt::set_tcp_keepidle(socket, self.idle)?;
            sockopt::set_tcp_keepintvl(socket, self.interval)?;
            sockopt::set_tcp_keepcnt(socket, self.probes)?;
        }
        Ok(())
    }
}

/// Sets the options of a connection: keystrokes go out at once, and the kernel finds peers that are gone. tcp(7):
/// connections inherit the options that their listening socket has when they are made, which saves five system calls
/// for each.
///
/// A peer whose kernel acknowledges is alive, however long it takes nothing. So there is no TCP_USER_TIMEOUT: it ends a
/// living peer whose window is shut. A peer that is gone owes an acknowledgement, and then retransmission ends
/// (tcp_retries2, about 15 minutes), or the line is quiet, and then keepalive finds it.
pub(crate) fn set_tcp_options(socket: impl AsFd, keepalive: TcpKeepalive) {
    if let Err(error) = sockopt::set_tcp_nodelay(&socket, true) {
        emit(ConnectionEvent::NoDelayFailed { error: &io::Error::from(error) });
    }
    if let Err(error) = keepalive.set(&socket) {
        emit(ConnectionEvent::KeepaliveFailed { error: &error });
    }
}

/// Acknowledges what was read, now. The kernel goes back to delaying by itself.
pub(crate) fn acknowledge(stream: &TcpStream) {
    // Only slower if it does not work.
    let _ = sockopt::set_tcp_quickack(stream, true);
}

/// Lets the kernel tell of a stream's input only when so many bytes are there, or its end: SO_RCVLOWAT, socket(7). It
/// tells of fewer when the receive window is used up. If so many are there already, it tells of them at once.
pub(crate) fn set_read_threshold(stream: &TcpStream, bytes: usize) {
    let value = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    let Ok(size) = libc::socklen_t::try_from(size_of_val(&value)) else { return };
    #[expect(unsafe_code, reason = "neither rustix nor socket2 has this option")]
    // SAFETY: the descriptor is open while `stream` is borrowed, and the kernel reads `size` bytes of `value`.
    let _ = unsafe {
        // An error changes nothing: the kernel tells of every byte, as before.
        libc::setsockopt(stream.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVLOWAT, (&raw const value).cast(), size)
    };
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// The accepted side of a connection to a socket that has the options of these limits.
    async fn accepted(limits: &Limits) -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        set_tcp_options(&listener, TcpKeepalive::new(limits));
        let address = listener.local_addr().unwrap();
        let (_client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        accepted.unwrap().0
    }

    /// O6, F7: what sshd has, with a shorter idle time than the kernel's two hours.
    #[tokio::test]
    async fn a_silent_peer_gets_keepalives_after_ten_minutes_and_a_slow_one_is_kept() {
        let accepted = accepted(&Limits::default()).await;
        assert!(sockopt::socket_keepalive(&accepted).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&accepted).unwrap(), Duration::from_secs(600));
        assert_eq!(sockopt::tcp_keepintvl(&accepted).unwrap(), Duration::from_secs(75));
        assert_eq!(sockopt::tcp_keepcnt(&accepted).unwrap(), 9);
        assert_eq!(sockopt::tcp_user_timeout(&accepted).unwrap(), 0);
        assert!(accepted.nodelay().unwrap());
    }

    #[tokio::test]
    async fn zero_disables_keepalives() {
        let accepted = accepted(&Limits { tcp_keepalive: Duration::ZERO, ..Limits::default() }).await;
        assert!(!sockopt::socket_keepalive(&accepted).unwrap());
    }
}
