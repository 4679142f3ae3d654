//! Connects to a server: resolves its name once, checks each address, and connects only to an address that was checked.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use wasmtime_wasi_http::Error;

use super::tls;
use crate::grants::{AllowList, Host, Scheme, Target};
use crate::host::log::LogBook;
use crate::limits::usage::ProcessUsage;

/// How many addresses of one name are tried.
const ADDRESSES: usize = 8;

/// A connection, with or without TLS.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Connects to a target that is in the list.
pub(super) async fn reach(
    target: &Target,
    list: &AllowList,
    log: &LogBook,
    usage: &Arc<ProcessUsage>,
    deadline: Instant,
) -> Result<Box<dyn Wire>, Error> {
    let addresses = match &target.host {
        Host::Address(address) => vec![SocketAddr::new(*address, target.port)],
        Host::Name(name) => {
            let found = look_up(name, target.port, list, Arc::clone(usage));
            let found = timeout_at(deadline, found).await.map_err(|_| Error::DnsTimeout)??;
            checked(target, found, list, log)?
        }
    };
    let stream = connect(&addresses, deadline).await?;
    match target.scheme {
        Scheme::Http => Ok(Box::new(stream)),
        Scheme::Https => {
            let handshake = tls::handshake(tls::public(), &target.host, stream);
            let stream = timeout_at(deadline, handshake).await.map_err(|_| Error::ConnectionTimeout)??;
            Ok(Box::new(stream))
        }
    }
}

/// Calls the system's resolver on a thread, because it blocks. The slot is held until it has answered, even if nobody
/// waits any more.
async fn look_up(name: &str, port: u16, list: &AllowList, usage: Arc<ProcessUsage>) -> Result<Vec<SocketAddr>, Error> {
    let unknown = || Error::DnsError { rcode: None, info_code: None };
    let place = Arc::clone(list.lookups()).acquire_owned().await.map_err(|_| unknown())?;
    let name = name.to_owned();
    let looking = tokio::task::spawn_blocking(move || {
        let (_place, _working) = (place, usage.working());
        (name.as_str(), port).to_socket_addrs().map(|found| found.take(ADDRESSES).collect::<Vec<_>>())
    });
    let found = looking.await.map_err(|_| unknown())?.map_err(|_| unknown())?;
    if found.is_empty() { Err(unknown()) } else { Ok(found) }
}

/// The allowed addresses of a name.
fn checked(target: &Target, found: Vec<SocketAddr>, list: &AllowList, log: &LogBook) -> Result<Vec<SocketAddr>, Error> {
    let (good, bad): (Vec<_>, Vec<_>) = found.into_iter().partition(|address| list.admits(*address));
    for address in bad {
        let destination = format!("{target} at {}", address.ip());
        if list.is_news(&destination, Instant::now()) {
            log.denied(
                &destination,
                "the name leads to an address that is neither public nor in the tenant's list, or is reserved",
            );
        }
    }
    if good.is_empty() { Err(Error::DestinationIpProhibited) } else { Ok(good) }
}

/// Connects to the first address that answers. Each has its share of the remaining time.
async fn connect(addresses: &[SocketAddr], deadline: Instant) -> Result<TcpStream, Error> {
    let mut last = Error::ConnectionTimeout;
    for (index, address) in addresses.iter().enumerate() {
        let now = Instant::now();
        let others = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        let share = now + deadline.saturating_duration_since(now) / others;
        match timeout_at(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // A request is written as a whole, so there is nothing to wait for.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => last = failure(&error),
            Err(_) => last = Error::ConnectionTimeout,
        }
    }
    Err(last)
}

fn failure(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Error::ConnectionRefused,
        io::ErrorKind::TimedOut => Error::ConnectionTimeout,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Error::DestinationIpUnroutable,
        // The kinds are the standard library's and may grow; out of files is among them.
        _ => Error::DestinationUnavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grants::Grants;
    use crate::limits::Limits;
    use crate::session_types::Facts;
    use crate::tenant::Tenant;

    fn log() -> LogBook {
        LogBook::new("test".into(), &Facts::default(), Tenant::new("tests", Limits::default(), Grants::default()))
    }

    fn name(name: &str) -> Target {
        Target { scheme: Scheme::Https, host: Host::read(name).unwrap(), port: 443 }
    }

    #[test]
    fn only_allowed_addresses_of_a_name_are_used() {
        let list = AllowList::parse(&["a.example.org", "10.0.0.5:443"]).unwrap();
        let addresses = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let found = addresses(&["127.0.0.1:443", "1.1.1.1:443", "10.0.0.5:443", "10.0.0.6:443", "[::1]:443"]);
        let good = checked(&name("a.example.org"), found, &list, &log()).unwrap();
        assert_eq!(good, addresses(&["1.1.1.1:443", "10.0.0.5:443"]));
        let rebound = checked(&name("a.example.org"), addresses(&["169.254.169.254:443"]), &list, &log());
        assert!(matches!(rebound, Err(Error::DestinationIpProhibited)));
    }

    #[tokio::test]
    async fn a_port_where_nobody_listens_is_refused_and_the_next_address_is_tried() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        let closed = {
            let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            gone.local_addr().unwrap()
        };
        let deadline = Instant::now() + std::time::Duration::from_secs(60);
        assert_eq!(connect(&[closed, open], deadline).await.unwrap().peer_addr().unwrap(), open);
        assert!(matches!(connect(&[closed], deadline).await, Err(Error::ConnectionRefused)));
    }
}
