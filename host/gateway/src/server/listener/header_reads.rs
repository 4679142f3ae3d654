//! Connections from proxies whose PROXY headers are being read, bounded in all and for each proxy: a proxy that opens
//! connections and sends no headers does not keep out another.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::{Id, JoinSet};
use tokio::time::timeout;

use super::proxy_header::{self, ConnectedBy, HeaderError};

/// The most connections of one proxy whose headers are being read. A proxy sends the header with its first bytes, so
/// there are few, and each is an open file.
const MOST_OF_PROXY: usize = 256;
/// The most of all proxies. Each may take one of the open files that are kept for other connections.
const MOST: usize = 1024;

/// A connection from a proxy whose header has been read.
pub(super) struct Proxied {
    pub(super) stream: TcpStream,
    pub(super) proxy: SocketAddr,
    pub(super) client: Result<ConnectedBy, HeaderError>,
}

/// The connections. Dropping it closes them.
#[derive(Default)]
pub(super) struct HeaderReads {
    tasks: JoinSet<Proxied>,
    /// The proxy of each task.
    proxies: HashMap<Id, IpAddr>,
    /// How many tasks each proxy has.
    counts: HashMap<IpAddr, usize>,
}

impl HeaderReads {
    /// Begins to read the header of a connection, which may take `grace`.
    ///
    /// # Errors
    /// As many headers are being read as may be: this number. The connection is closed.
    pub(super) fn begin(&mut self, mut stream: TcpStream, proxy: SocketAddr, grace: Duration) -> Result<(), usize> {
        let of_proxy = self.counts.get(&proxy.ip()).copied().unwrap_or(0);
        if of_proxy >= MOST_OF_PROXY {
            return Err(of_proxy);
        }
        if self.tasks.len() >= MOST {
            return Err(MOST);
        }
        let task = self.tasks.spawn(async move {
            let late = |_| Err(HeaderError::Late(grace));
            let client = timeout(grace, proxy_header::read(&mut stream)).await.unwrap_or_else(late);
            Proxied { stream, proxy, client }
        });
        self.proxies.insert(task.id(), proxy.ip());
        self.counts.insert(proxy.ip(), of_proxy + 1);
        Ok(())
    }

    /// The next connection whose header has been read, or was not read in time. None if there is no connection. Cancel
    /// safe.
    pub(super) async fn next(&mut self) -> Option<Proxied> {
        loop {
            let (task, read) = match self.tasks.join_next_with_id().await? {
                Ok((task, read)) => (task, Some(read)),
                Err(error) => (error.id(), None),
            };
            self.forget(task);
            if read.is_some() {
                return read;
            }
        }
    }

    fn forget(&mut self, task: Id) {
        let Some(proxy) = self.proxies.remove(&task) else { return };
        if let Some(count) = self.counts.get_mut(&proxy) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&proxy);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.tasks.len()
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_proxy_that_sends_no_headers_does_not_keep_out_another() {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let mut reads = HeaderReads::default();
        let [broken, other] = ["192.0.2.1:1000", "192.0.2.2:1000"].map(|proxy| proxy.parse::<SocketAddr>().unwrap());
        let mut clients = Vec::new();
        let mut come = async |reads: &mut HeaderReads, proxy| {
            clients.push(TcpStream::connect(address).await.unwrap());
            reads.begin(socket.accept().await.unwrap().0, proxy, Duration::from_secs(5))
        };
        for _ in 0..MOST_OF_PROXY {
            assert_eq!(come(&mut reads, broken).await, Ok(()));
        }
        assert_eq!(come(&mut reads, broken).await, Err(MOST_OF_PROXY));
        assert_eq!(come(&mut reads, other).await, Ok(()));
        for _ in 0..=MOST_OF_PROXY {
            let read = reads.next().await.unwrap();
            assert!(matches!(read.client, Err(HeaderError::Late(_))), "{:?}", read.client);
        }
        assert!(reads.next().await.is_none() && reads.counts.is_empty() && reads.proxies.is_empty());
        assert_eq!(come(&mut reads, broken).await, Ok(()), "there is room again");
    }
}
