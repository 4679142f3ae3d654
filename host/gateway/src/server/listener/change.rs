//! Changes a listener while it serves, for a reload of the configuration.
//!
//! New addresses are bound first, and a failure changes nothing. Then the acceptor takes over the new sockets and the
//! new limits at once. A socket whose address stays is not touched, so no connection in its queue is lost; the queue of
//! one that goes is emptied before it is closed.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

use super::bind::{self, BACKLOG, BindError};
use super::gate::Bounds;
use crate::config::Config;
use crate::credential::AddressList;
use crate::os_limits;
use crate::server::socket::TcpKeepalive;

/// A listening socket.
pub(super) struct BoundSocket {
    /// As the configuration has it: port 0 means any.
    pub(super) address: SocketAddr,
    pub(super) socket: TcpListener,
}

/// From where connections begin with a header of the PROXY protocol.
pub(super) struct Proxies {
    /// The addresses of the proxies. `None`: there are none.
    pub(super) addresses: Option<AddressList>,
    /// How long a header may take.
    pub(super) grace: Duration,
}

/// What a listener gets from the limits and lists of the configuration.
pub(super) struct ListenerSettings {
    pub(super) bounds: Bounds,
    /// The addresses that are never refused for a penalty.
    pub(super) exempt: Vec<AddressList>,
    pub(super) proxies: Proxies,
    pub(super) keepalive: TcpKeepalive,
    /// The longest that a connection may wait.
    pub(super) wait: Duration,
    /// How long connections may go on once the program stops.
    pub(super) drain: Duration,
}

impl ListenerSettings {
    /// Those of a configuration, and of this machine.
    pub(super) fn of(config: &Config) -> ListenerSettings {
        let (connections, full) = os_limits::room_for_connections(config);
        let limits = &config.limits;
        ListenerSettings {
            bounds: Bounds::new(limits, connections, full),
            exempt: config.addresses.unpenalized(),
            proxies: Proxies { addresses: config.addresses.proxies.clone(), grace: limits.proxy_header_grace },
            keepalive: TcpKeepalive::new(limits),
            wait: limits.authentication_grace,
            drain: limits.drain,
        }
    }
}

/// A change that is ready: its new sockets listen already.
pub struct ListenerChange {
    pub(super) added: Vec<BoundSocket>,
    /// Every address from now on. `None`: the sockets were passed to the program and stay.
    pub(super) addresses: Option<Vec<SocketAddr>>,
    pub(super) settings: ListenerSettings,
    /// Told when it is done.
    pub(super) done: Option<oneshot::Sender<()>>,
}

/// Accepts the connections in the queue of a socket. While others come as fast, there is an end to it.
pub(super) fn take_queue(socket: &TcpListener) -> Vec<(TcpStream, SocketAddr)> {
    let mut queue = Vec::new();
    // Not by tokio, which yields after a number of them. The socket is nonblocking by this descriptor too.
    let Ok(socket) = socket.as_fd().try_clone_to_owned().map(std::net::TcpListener::from) else { return queue };
    for _ in 0..2 * BACKLOG {
        match socket.accept() {
            Ok((stream, peer)) => {
                // One that cannot be registered is closed.
                if stream.set_nonblocking(true).is_ok()
                    && let Ok(stream) = TcpStream::from_std(stream)
                {
                    queue.push((stream, peer));
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) => {}
            // It is empty, or no file is left for another connection.
            Err(_) => break,
        }
    }
    queue
}

/// Changes a [`Listener`](super::Listener) while it serves.
pub struct ListenerControl {
    changes: mpsc::UnboundedSender<ListenerChange>,
    /// The addresses, as the configuration has them; `None`: the sockets were passed to the program.
    addresses: Mutex<Option<Vec<SocketAddr>>>,
    state: Mutex<ListenerState>,
}

/// The addresses and the limits of a listener, for those who report on the server.
#[derive(Clone, Debug, Default)]
pub struct ListenerState {
    /// The bound addresses, with the ports that the kernel chose for port 0. Empty once the server stops.
    pub addresses: Vec<SocketAddr>,
    /// Limits: connections, and connections that have not logged in.
    pub room: (u32, u32),
}

impl ListenerControl {
    /// For a listener on these addresses, and the other end for it.
    pub(super) fn new(
        addresses: Option<Vec<SocketAddr>>,
    ) -> (ListenerControl, mpsc::UnboundedReceiver<ListenerChange>) {
        let (changes, receiver) = mpsc::unbounded_channel();
        let control = ListenerControl { changes, addresses: Mutex::new(addresses), state: Mutex::default() };
        (control, receiver)
    }

    /// Its addresses and limits now.
    pub fn state(&self) -> ListenerState {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets what [`state`](Self::state) returns.
    pub(super) fn set_state(&self, state: ListenerState) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// Binds what is new in a configuration. Needs a tokio runtime.
    ///
    /// # Errors
    /// Each address that cannot be bound, with the reason. Then none of the others listens.
    pub(crate) fn prepare(&self, config: &Config) -> Result<ListenerChange, BindError> {
        let before = self.addresses.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (added, addresses) = match before {
            None => (Vec::new(), None),
            Some(before) => {
                let new: Vec<_> = config.listen.iter().copied().filter(|address| !before.contains(address)).collect();
                let sockets = bind::bind(&new).map_err(|error| error.beside(&before))?;
                let bound = new.into_iter().zip(sockets);
                let added = bound.map(|(address, socket)| BoundSocket { address, socket }).collect();
                (added, Some(config.listen.clone()))
            }
        };
        Ok(ListenerChange { added, addresses, settings: ListenerSettings::of(config), done: None })
    }

    /// Makes the change. Blocks until it is made, or the listener has ended.
    pub(crate) fn apply(&self, mut change: ListenerChange) {
        let (done, told) = oneshot::channel();
        change.done = Some(done);
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&change.addresses);
        if self.changes.send(change).is_ok() {
            // An error means that the listener has ended meanwhile.
            let _ = told.blocking_recv();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_queue_is_emptied_however_long_it_is() {
        let [socket] = <[_; 1]>::try_from(bind::bind(&["127.0.0.1:0".parse().unwrap()]).unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        // More than tokio takes without yielding.
        let clients: Vec<_> = (0..150).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
        let mut taken: Vec<_> = take_queue(&socket).into_iter().map(|(_, peer)| peer).collect();
        let mut connected: Vec<_> = clients.iter().map(|client| client.local_addr().unwrap()).collect();
        taken.sort();
        connected.sort();
        assert_eq!(taken, connected);
        assert_eq!(take_queue(&socket).len(), 0);
    }
}
