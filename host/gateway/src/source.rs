//! The source of a connection: the unit in which clients are counted and take turns.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IPv4 address or an IPv6 network of 64 bits: what one customer of a provider has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The address.
    V4([u8; 4]),
    /// The first half of the address.
    V6([u8; 8]),
}

impl Source {
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

/// For the log: an address, or a network as `2001:db8:0:1::/64`.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Source::V4(address) => Ipv4Addr::from(address).fmt(f),
            Source::V6(network) => {
                let bits = u128::from(u64::from_be_bytes(network)) << 64;
                write!(f, "{}/64", Ipv6Addr::from(bits))
            }
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
    fn the_log_names_the_address_or_the_network() {
        assert_eq!(of("::ffff:192.0.2.1").to_string(), "192.0.2.1");
        assert_eq!(of("2001:db8:0:1:ffff::2").to_string(), "2001:db8:0:1::/64");
    }
}
