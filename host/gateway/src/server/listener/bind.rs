//! Binds every address or none, with an exact error for each that is not available.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use rustix::io::Errno;
use tokio::net::{TcpListener, TcpSocket};

use super::passed::PassedSockets;
use crate::config::{Config, LoginPolicy};

/// The kernel's queue of connections to accept, limited by net.core.somaxconn: as many as arrive in a second of a
/// flood, so that a short pause in accepting costs legitimate clients no retry.
pub(super) const BACKLOG: u32 = 4096;
/// Why an address cannot be bound that another socket has.
const IN_USE: &str = "the port is in use";

/// The addresses that cannot be bound. Displays one a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindError(Vec<(SocketAddr, String)>);

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (address, reason)) in self.0.iter().enumerate() {
            let line = if index > 0 { "\n" } else { "" };
            write!(f, "{line}cannot listen on {address}: {reason}")?;
        }
        Ok(())
    }
}

impl std::error::Error for BindError {}

impl BindError {
    /// The same for a program that listens on other addresses already: one of them may be what uses the port.
    pub(super) fn beside(self, others: &[SocketAddr]) -> BindError {
        let hint = |(address, reason): (SocketAddr, String)| {
            let own = others.iter().find(|other| other.port() == address.port() && address.port() != 0);
            let reason = match own {
                Some(own) if reason == IN_USE => format!(
                    "{IN_USE}, perhaps by this server itself on {own}: remove that address in one reload, and add this one \
                     in another, or restart"
                ),
                Some(_) | None => reason,
            };
            (address, reason)
        };
        BindError(self.0.into_iter().map(hint).collect())
    }
}

/// Binds all, and only then listens, so that no client is accepted by a program that then does not start.
pub(super) fn bind(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, BindError> {
    let sockets = all(addresses.iter().map(|address| (*address, socket(*address))))?;
    all(addresses.iter().copied().zip(sockets).map(|(address, socket)| (address, socket.listen(BACKLOG))))
}

/// The sockets that were passed, if the configuration allows their addresses: a demonstration admits everybody, so it
/// listens on loopback addresses only.
pub(super) fn adopt(passed: PassedSockets, config: &Config) -> Result<Vec<(SocketAddr, TcpListener)>, BindError> {
    let demonstration = matches!(config.login_policy, LoginPolicy::Demonstration);
    let unknown = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let addresses: Vec<_> = passed.addresses().map(|address| address.unwrap_or(unknown)).collect();
    all(passed.0.into_iter().zip(addresses).map(|(socket, address)| {
        let allowed = !demonstration || address.ip().is_loopback();
        let refused = || io::Error::other(format!("a configuration is needed to listen on {address}"));
        let socket = if allowed { TcpListener::from_std(socket) } else { Err(refused()) };
        (address, socket.map(|socket| (address, socket)))
    }))
}

fn all<T>(results: impl Iterator<Item = (SocketAddr, io::Result<T>)>) -> Result<Vec<T>, BindError> {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for (address, result) in results {
        match result {
            Ok(value) => good.push(value),
            Err(error) => bad.push((address, reason(address, &error))),
        }
    }
    if bad.is_empty() { Ok(good) } else { Err(BindError(bad)) }
}

/// Binds an address as a start does, without listening, and releases it.
///
/// # Errors
/// Why a start could not bind it.
pub(crate) fn try_address(address: SocketAddr) -> io::Result<()> {
    socket(address).map(drop)
}

fn socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if address.is_ipv6() {
        // So that "0.0.0.0" and "[::]" can be used together, and no peer has two kinds of address.
        rustix::net::sockopt::set_ipv6_v6only(&socket, true)?;
    }
    // A restart does not wait for the last connections of the program before it.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

fn reason(address: SocketAddr, error: &io::Error) -> String {
    match Errno::from_io_error(error) {
        Some(Errno::ADDRINUSE) => IN_USE.to_owned(),
        Some(Errno::ACCESS) if address.port() < 1024 => {
            "a port below 1024 needs a privilege (root, or CAP_NET_BIND_SERVICE)".to_owned()
        }
        Some(Errno::ADDRNOTAVAIL) => "this machine has no such address".to_owned(),
        Some(Errno::AFNOSUPPORT) if address.is_ipv6() => "this machine has no IPv6".to_owned(),
        Some(_) | None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn a_port_in_use_is_reported_and_nothing_else_is_bound() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let free = bind(&[taken]).unwrap();
        let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let other_address = other.local_addr().unwrap();
        let error = bind(&[address("127.0.0.1:0"), other_address]).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot listen on {other_address}: the port is in use"));
        drop(other);
        drop(free);
        let both = bind(&[taken, other_address]).unwrap();
        assert_eq!(both.len(), 2);
    }

    #[tokio::test]
    async fn every_unavailable_address_is_named() {
        // Reserved (RFC 1112 §4), so never a machine's address.
        let error = bind(&[address("240.0.0.1:2222"), address("240.0.0.2:2222")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot listen on 240.0.0.1:2222: this machine has no such address\n\
             cannot listen on 240.0.0.2:2222: this machine has no such address"
        );
    }

    #[test]
    fn errors_of_the_system_are_explained() {
        let said = |text: &str, errno: Errno| reason(address(text), &errno.into());
        assert!(said("127.0.0.1:22", Errno::ACCESS).contains("CAP_NET_BIND_SERVICE"));
        assert!(!said("127.0.0.1:2222", Errno::ACCESS).contains("CAP_NET_BIND_SERVICE"));
        assert_eq!(said("[::1]:22", Errno::AFNOSUPPORT), "this machine has no IPv6");
    }
}
