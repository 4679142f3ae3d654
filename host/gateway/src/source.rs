//! Where a connection comes from: its peer, and its source, the unit in which clients are counted and take turns.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The penalty of the source of one connection that has not logged in: see `server::listener::gate`.
pub(crate) trait SourcePenalty: fmt::Debug + Send + Sync {
    /// Whether connections of the source are refused now.
    fn refuses(&self) -> bool;

    /// A password of the connection was rejected: penalizes the source, once for the connection.
    fn add_failed_login(&self);
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// The address and port of the client.
    Address(SocketAddr),
    /// The connection came over something that has no address, such as a pipe. No rule about addresses matches it.
    Unknown,
}

impl Peer {
    /// The client's address, if it is known. An IPv4 address that is mapped into IPv6 (`::ffff:192.0.2.1`) is the IPv4
    /// address.
    #[must_use]
    pub fn ip(self) -> Option<IpAddr> {
        match self {
            Peer::Address(address) => Some(address.ip().to_canonical()),
            Peer::Unknown => None,
        }
    }

    /// The source that the connection counts for.
    #[must_use]
    pub fn source(self) -> Source {
        self.ip().map_or(Source::Unknown, Source::of)
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Peer {
        Peer::Address(address)
    }
}

/// For the log and for plugins: address and port, or `unknown`. An IPv4 address that is mapped into IPv6 is the IPv4
/// address.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Address(address) => SocketAddr::new(address.ip().to_canonical(), address.port()).fmt(f),
            Peer::Unknown => f.write_str("unknown"),
        }
    }
}

/// An IPv4 address or an IPv6 network of 64 bits: what one customer of a provider has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The address.
    V4([u8; 4]),
    /// The first half of the address.
    V6([u8; 8]),
    /// Everything whose address is not known.
    Unknown,
}

impl Source {
    /// The network of sources that one customer of a provider may have at most.
    pub(crate) fn network(self) -> Network {
        match self {
            Source::V4([a, b, c, _]) => Network::V4([a, b, c]),
            Source::V6([a, b, c, d, e, f, ..]) => Network::V6([a, b, c, d, e, f]),
            Source::Unknown => Network::Unknown,
        }
    }

    /// The source of an address. An IPv4 address that is mapped into IPv6 (`::ffff:192.0.2.1`) is the IPv4 address.
    #[must_use]
    pub fn of(address: IpAddr) -> Source {
        match address.to_canonical() {
            IpAddr::V4(address) => Source::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Source::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

/// An IPv4 network of 24 bits or an IPv6 network of 48 bits, with many sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Network {
    V4([u8; 3]),
    V6([u8; 6]),
    Unknown,
}

/// For the log: an address, or a network as `2001:db8:0:1::/64`.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Source::V4(address) => Ipv4Addr::from(address).fmt(f),
            Source::V6(network) => {
                let bits = u128::from(u64::from_be_bytes(network)) << 64;
                write!(f, "{}/64", Ipv6Addr::from(bits))
            }
            Source::Unknown => f.write_str("unknown"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Source {
        Source::of(text.parse().unwrap())
    }

    #[test]
    fn an_ipv4_address_is_a_source_and_so_is_an_ipv6_network_of_64_bits() {
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("2001:db8:0:1::1"), of("2001:db8:0:1:ffff::2"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8:0:2::1"));
    }

    #[test]
    fn a_peer_without_an_address_is_a_source_of_its_own() {
        let peer = Peer::from("[::ffff:192.0.2.1]:22".parse::<SocketAddr>().unwrap());
        assert_eq!((peer.ip(), peer.source()), (Some("192.0.2.1".parse().unwrap()), of("192.0.2.1")));
        assert_eq!((Peer::Unknown.ip(), Peer::Unknown.source()), (None, Source::Unknown));
        assert_eq!((peer.to_string().as_str(), Peer::Unknown.to_string().as_str()), ("192.0.2.1:22", "unknown"));
    }

    #[test]
    fn the_log_names_the_address_or_the_network() {
        assert_eq!(of("::ffff:192.0.2.1").to_string(), "192.0.2.1");
        assert_eq!(of("2001:db8:0:1:ffff::2").to_string(), "2001:db8:0:1::/64");
    }
}
