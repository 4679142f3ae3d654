//! Sockets that whoever starts the program listens on already: systemd's socket activation, sd_listen_fds(3).

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};

use listenfd::ListenFd;
use rustix::net::sockopt;

/// The sockets passed to the program.
#[derive(Debug, Default)]
pub struct PassedSockets(pub(super) Vec<TcpListener>);

/// Why passed sockets cannot be used.
#[derive(Debug)]
pub struct PassedError {
    /// Counted from 0, as systemd numbers them.
    index: usize,
    reason: String,
}

impl fmt::Display for PassedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "socket {} of LISTEN_FDS cannot be used: {}", self.index, self.reason)
    }
}

impl std::error::Error for PassedError {}

impl PassedSockets {
    /// Takes the sockets from the environment, which children then do not inherit. Call it before the first thread is
    /// started.
    ///
    /// # Errors
    /// The first that is not a listening TCP socket.
    pub fn take() -> Result<PassedSockets, PassedError> {
        let mut passed = ListenFd::from_env();
        let count = passed.len();
        let take = |index| match passed.take_tcp_listener(index) {
            Ok(Some(socket)) => checked(socket).map_err(|reason| PassedError { index, reason }),
            // It was given twice.
            Ok(None) => Err(PassedError { index, reason: "it is not there".to_owned() }),
            Err(error) => Err(PassedError { index, reason: error.to_string() }),
        };
        (0..count).map(take).collect::<Result<_, _>>().map(PassedSockets)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Their addresses.
    pub(super) fn addresses(&self) -> impl Iterator<Item = io::Result<SocketAddr>> {
        self.0.iter().map(TcpListener::local_addr)
    }
}

fn checked(socket: TcpListener) -> Result<TcpListener, String> {
    let listens = sockopt::socket_acceptconn(&socket).map_err(|error| error.to_string())?;
    if !listens {
        return Err("it is the socket of a connection: with Accept=yes run `whelk serve --stdio`".to_owned());
    }
    socket.set_nonblocking(true).map_err(|error| error.to_string())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_of_a_connection_is_refused_with_what_to_do() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let connection = std::net::TcpStream::connect(socket.local_addr().unwrap()).unwrap();
        assert!(checked(socket).is_ok());
        let reason = checked(TcpListener::from(std::os::fd::OwnedFd::from(connection))).unwrap_err();
        assert!(reason.contains("serve --stdio"), "{reason}");
    }
}
