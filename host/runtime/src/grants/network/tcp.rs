//! The addresses that sockets may connect to.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use tokio::time::Instant;

use super::denials::Denials;

/// Addresses in numbers, or networks of them, each with a port. Nothing else is reached, private addresses included where they are listed.
#[derive(Debug)]
pub struct TcpAllow {
    places: Vec<(IpNet, u16)>,
    denials: Denials,
}

impl TcpAllow {
    /// Reads `10.0.0.5:5432`, `[::1]:6379`, `10.1.0.0/16:5432`, `[fd00:1::/64]:5432`.
    ///
    /// # Errors
    /// For each entry that is none: its index, and what is wrong with it.
    pub fn parse<E: AsRef<str>>(entries: &[E]) -> Result<Self, Vec<(usize, String)>> {
        let mut places = Vec::new();
        let mut wrong = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            match place(entry.as_ref()) {
                Ok(place) if places.contains(&place) => wrong.push((index, "is listed twice".to_owned())),
                Ok(place) => places.push(place),
                Err(what) => wrong.push((index, what)),
            }
        }
        if wrong.is_empty() { Ok(Self { places, denials: Denials::default() }) } else { Err(wrong) }
    }

    /// Whether a socket may connect to this.
    pub(crate) fn permits(&self, to: SocketAddr) -> bool {
        let address = to.ip().to_canonical();
        self.places.iter().any(|(network, port)| *port == to.port() && network.contains(&address))
    }

    /// Whether the operator should hear that this was denied.
    pub(crate) fn is_news(&self, to: SocketAddr, now: Instant) -> bool {
        self.denials.begins(&to.to_string(), now)
    }
}

fn place(entry: &str) -> Result<(IpNet, u16), String> {
    let form = || format!("must be an address in numbers with a port, such as \"10.0.0.5:5432\", is {entry:?}");
    let (host, port) = entry.rsplit_once(':').ok_or_else(form)?;
    let port = port.parse::<u16>().ok().filter(|port| *port != 0).ok_or_else(form)?;
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let network = match bracketed.unwrap_or(host).parse::<IpNet>() {
        Ok(network) => network,
        Err(_) => bracketed.unwrap_or(host).parse::<IpAddr>().map(IpNet::from).map_err(|_| form())?,
    };
    if bracketed.is_some() != network.addr().is_ipv6() {
        return Err(form());
    }
    if network.addr().to_canonical() != network.addr() {
        return Err(format!("must be written as the IPv4 address that it stands for, is {entry:?}"));
    }
    if network.trunc() != network {
        return Err(format!("{network} is no network: the address has bits beyond the /{}", network.prefix_len()));
    }
    Ok((network, port))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(entries: &[&str]) -> TcpAllow {
        TcpAllow::parse(entries).unwrap()
    }

    fn permits(list: &TcpAllow, to: &str) -> bool {
        list.permits(to.parse().unwrap())
    }

    #[test]
    fn exactly_what_is_listed_is_permitted() {
        let list = list(&["10.0.0.5:5432", "[::1]:6379", "10.1.0.0/16:80", "[fd00:1::/64]:443"]);
        for yes in ["10.0.0.5:5432", "[::1]:6379", "10.1.255.255:80", "[fd00:1::5]:443", "[::ffff:10.0.0.5]:5432"] {
            assert!(permits(&list, yes), "{yes}");
        }
        for no in
            ["10.0.0.5:5433", "10.0.0.6:5432", "[::1]:6378", "10.2.0.0:80", "[fd00:1:0:1::]:443", "127.0.0.1:6379"]
        {
            assert!(!permits(&list, no), "{no}");
        }
    }

    #[test]
    fn each_bad_entry_is_named_with_its_place() {
        let entries = ["10.0.0.5:5432", "db.example.org:5432", "10.0.0.5", "10.0.0.5:0", "10.1.2.3/16:1", "::1:80"];
        let wrong = TcpAllow::parse(&entries).unwrap_err();
        let places: Vec<_> = wrong.iter().map(|(index, _)| *index).collect();
        assert_eq!(places, [1, 2, 3, 4, 5]);
        assert!(wrong[0].1.contains("must be an address in numbers with a port"), "{}", wrong[0].1);
        assert!(wrong[3].1.contains("bits beyond the /16"), "{}", wrong[3].1);
        for bad in ["", ":", "[10.0.0.1]:1", "10.0.0.1:99999", "*:80", "[::ffff:1.2.3.4]:80", "10.0.0.1/33:80", "[::1]"]
        {
            assert!(TcpAllow::parse(&[bad]).is_err(), "{bad}");
        }
        assert_eq!(TcpAllow::parse(&["1.2.3.4:5", "1.2.3.4:5"]).unwrap_err(), [(1, "is listed twice".to_owned())]);
    }

    proptest! {
        #[test]
        fn any_address_permits_itself_and_nothing_else(bits: u128, four: bool, port in 1_u16.., other: u128) {
            let address = |bits: u128| -> IpAddr {
                // The low half of the bits is an IPv4 address.
                if four { std::net::Ipv4Addr::from_bits((bits & 0xffff_ffff) as u32).into() } else { std::net::Ipv6Addr::from_bits(bits | 1 << 127).into() }
            };
            let (listed, other) = (SocketAddr::new(address(bits), port), SocketAddr::new(address(other), port));
            let list = TcpAllow::parse(&[listed.to_string()]).unwrap();
            prop_assert!(list.permits(listed));
            prop_assert_eq!(list.permits(other), other == listed);
            prop_assert!(!list.permits(SocketAddr::new(listed.ip(), port.wrapping_add(1))));
        }

        #[test]
        fn no_text_makes_it_panic(text: String) {
            let _ = TcpAllow::parse(&[text]);
        }
    }
}
