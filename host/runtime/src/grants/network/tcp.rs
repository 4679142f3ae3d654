//! The addresses that sockets may connect to.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use tokio::time::Instant;

use super::denials::Denials;
use super::hosts::twice;
use super::reserved::ReservedAddresses;

/// Numeric addresses or networks, each with a port. Nothing else can be reached; private addresses can if they are
/// listed.
#[derive(Debug)]
pub struct TcpAllow {
    places: Vec<(IpNet, u16)>,
    reserved: Arc<ReservedAddresses>,
    denials: Denials,
}

impl TcpAllow {
    /// Parses `10.0.0.5:5432`, `[::1]:6379`, `10.1.0.0/16:5432`, `[fd00:1::/64]:5432`.
    ///
    /// # Errors
    /// For each invalid entry: its index, and what is wrong with it.
    pub fn parse<E: AsRef<str>>(entries: &[E]) -> Result<Self, Vec<(usize, String)>> {
        let mut places = Vec::new();
        let mut wrong = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            match place(entry.as_ref()) {
                Ok(place) if places.contains(&place) => {
                    let first = entries.iter().map(AsRef::as_ref).find(|entry| self::place(entry) == Ok(place));
                    wrong.push((index, twice(entry.as_ref(), first)));
                }
                Ok(place) => places.push(place),
                Err(what) => wrong.push((index, what)),
            }
        }
        if wrong.is_empty() {
            Ok(Self { places, reserved: Arc::default(), denials: Denials::default() })
        } else {
            Err(wrong)
        }
    }

    /// The same list, which leads to none of these addresses.
    #[must_use]
    pub fn without(self, reserved: &Arc<ReservedAddresses>) -> Self {
        Self { reserved: Arc::clone(reserved), ..self }
    }

    /// Whether the operator has reserved this address.
    pub(crate) fn is_reserved(&self, to: SocketAddr) -> bool {
        self.reserved.has(to)
    }

    /// Whether a socket may connect to this address.
    pub(crate) fn permits(&self, to: SocketAddr) -> bool {
        let address = to.ip().to_canonical();
        let is_listed = self.places.iter().any(|(network, port)| *port == to.port() && network.contains(&address));
        is_listed && !self.is_reserved(to)
    }

    /// Whether an entry leads to a socket of this machine that listens at this address, which may be every address.
    #[must_use]
    pub fn leads_to(&self, listener: SocketAddr) -> bool {
        let is_everywhere = listener.ip().is_unspecified();
        let address = listener.ip().to_canonical();
        let leads =
            |(network, port): &(IpNet, u16)| *port == listener.port() && (is_everywhere || network.contains(&address));
        self.places.iter().any(leads)
    }

    /// Whether to log this denial.
    pub(crate) fn is_news(&self, to: SocketAddr, now: Instant) -> bool {
        self.denials.is_news(&to.to_string(), now)
    }
}

fn place(entry: &str) -> Result<(IpNet, u16), String> {
    let form = || {
        let instead = instead(entry).map(|instead| format!(": {instead}")).unwrap_or_default();
        format!("must be an address in numbers with a port, such as \"10.0.0.5:5432\", is {entry:?}{instead}")
    };
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
        let written = written(network.addr().to_canonical().into(), &port.to_string());
        return Err(format!("must be written as the IPv4 address that it stands for, {written}, is {entry:?}"));
    }
    if network.trunc() != network {
        let written = written(network.trunc(), &port.to_string());
        return Err(format!(
            "{network} is no network: the address has bits beyond the /{}: write {written}, or the address \
             without /{0}",
            network.prefix_len()
        ));
    }
    if let Some(what) = unreachable(network) {
        return Err(format!("must be an address that can be connected to, is {entry:?}: {what}"));
    }
    Ok((network, port))
}

/// Why no connection to any address of a network is possible.
fn unreachable(network: IpNet) -> Option<&'static str> {
    let first = network.addr();
    let is_single = network.prefix_len() == network.max_prefix_len();
    if first.is_unspecified() && is_single {
        Some("that means every address of a machine that listens: write \"127.0.0.1\" or \"[::1]\" for this machine")
    } else if first.is_multicast() || first == IpAddr::V4(Ipv4Addr::BROADCAST) {
        Some("that is the address of many machines, to which there are no connections")
    } else {
        None
    }
}

/// A network or an address with a port, in canonical form.
fn written(network: IpNet, port: &str) -> String {
    let single = network.prefix_len() == network.max_prefix_len();
    let shown = if single { network.addr().to_string() } else { network.to_string() };
    if network.addr().is_ipv6() { format!("\"[{shown}]:{port}\"") } else { format!("\"{shown}:{port}\"") }
}

/// What to write instead of an invalid entry.
fn instead(entry: &str) -> Option<String> {
    if let Some((_, rest)) = entry.split_once("://") {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        return match place(authority) {
            Ok((network, port)) => Some(format!("write {}, without {:?}", written(network, &port.to_string()), "://")),
            Err(_) => Some("an address has no ://".to_owned()),
        };
    }
    if entry.contains('*') {
        return Some(
            "there are no patterns: a network is written as \"10.1.0.0/16:5432\", and each port by itself".to_owned(),
        );
    }
    let bare = entry.trim_start_matches('[').trim_end_matches(']');
    let network = |text: &str| text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    let (host, port) = entry.rsplit_once(':').unwrap_or((entry, ""));
    if let Some(whole) = network(bare) {
        return Some(match network(host).filter(|_| !port.is_empty()) {
            Some(host) => format!("an IPv6 address has brackets: write {}", written(host, port)),
            None => format!("name the port too: write {}", written(whole, "PORT")),
        });
    }
    match network(host.trim_start_matches('[').trim_end_matches(']')) {
        Some(_) if port.parse::<u16>() == Ok(0) || port.parse::<u16>().is_err() => {
            Some("a port is a number from 1 to 65535, and each is listed by itself".to_owned())
        }
        Some(host) => Some(format!("write {}", written(host, port))),
        None if host.contains(|letter: char| letter.is_alphabetic()) => {
            Some("names are not looked up for TCP: write the addresses that it has (`getent ahosts NAME`)".to_owned())
        }
        None => None,
    }
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
    fn an_entry_that_leads_to_a_listener_of_this_machine_is_found() {
        let list = list(&["127.0.0.0/8:9222", "10.0.0.5:80", "[::1]:9223"]);
        let leads = |to: &str| list.leads_to(to.parse().unwrap());
        for yes in ["127.0.0.1:9222", "0.0.0.0:9222", "[::1]:9223", "0.0.0.0:80", "[::]:9222"] {
            assert!(leads(yes), "{yes}");
        }
        for no in ["127.0.0.1:9223", "10.0.0.6:80", "[::1]:9222", "0.0.0.0:9224"] {
            assert!(!leads(no), "{no}");
        }
    }

    #[test]
    fn exactly_the_listed_addresses_are_permitted() {
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
    fn each_invalid_entry_is_named_with_its_index() {
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
        let twice = "\"1.2.3.4/32:5\" is listed twice, before as \"1.2.3.4:5\"".to_owned();
        assert_eq!(TcpAllow::parse(&["1.2.3.4:5", "1.2.3.4/32:5"]).unwrap_err(), [(1, twice)]);
    }

    #[test]
    fn an_invalid_entry_gets_a_suggestion() {
        for (entry, instead) in [
            ("10.0.0.0/8", "name the port too: write \"10.0.0.0/8:PORT\""),
            ("fd00:1::/64", "name the port too: write \"[fd00:1::/64]:PORT\""),
            ("10.0.0.5", "name the port too: write \"10.0.0.5:PORT\""),
            ("[::1]", "name the port too: write \"[::1]:PORT\""),
            ("::1:80", "an IPv6 address has brackets: write \"[::1]:80\""),
            ("fd00::/64:80", "write \"[fd00::/64]:80\""),
            ("[10.0.0.1]:80", "write \"10.0.0.1:80\""),
            ("10.1.2.3/16:1", "write \"10.1.0.0/16:1\", or the address without /16"),
            ("[::ffff:1.2.3.4]:80", "stands for, \"1.2.3.4:80\""),
            ("tcp://10.0.0.5:5432", "write \"10.0.0.5:5432\""),
            ("http://10.0.0.5:80/path", "write \"10.0.0.5:80\""),
            ("https://db.example.org", "an address has no ://"),
            ("*:5432", "there are no patterns: a network is written as"),
            ("10.0.0.5:*", "there are no patterns"),
            ("10.0.0.5:0", "a port is a number from 1 to 65535"),
            ("10.0.0.5:1-1024", "each is listed by itself"),
            ("db.example.org:5432", "names are not looked up for TCP"),
            ("localhost:5432", "names are not looked up for TCP"),
            ("0.0.0.0:80", "every address of a machine that listens: write \"127.0.0.1\""),
            ("[::]:80", "every address of a machine that listens"),
            ("224.0.0.1:80", "the address of many machines"),
        ] {
            let wrong = TcpAllow::parse(&[entry]).unwrap_err();
            assert!(wrong[0].1.contains(instead), "{entry}: {}", wrong[0].1);
        }
        assert!(TcpAllow::parse(&["0.0.0.0/0:443", "[::/0]:443"]).is_ok());
    }

    proptest! {
        #[test]
        fn any_address_permits_itself_and_nothing_else(bits: u128, four: bool, port in 1_u16.., other: u128) {
            let address = |bits: u128| -> IpAddr {
                // The low half of the bits is an IPv4 address.
                if four {
                    Ipv4Addr::from_bits((bits & 0xffff_ffff) as u32).into()
                } else {
                    std::net::Ipv6Addr::from_bits(bits | 1 << 127).into()
                }
            };
            let (listed, other) = (SocketAddr::new(address(bits), port), SocketAddr::new(address(other), port));
            prop_assume!(unreachable(IpNet::from(listed.ip())).is_none());
            let list = TcpAllow::parse(&[listed.to_string()]).unwrap();
            prop_assert!(list.permits(listed));
            prop_assert_eq!(list.permits(other), other == listed);
            prop_assert!(!list.permits(SocketAddr::new(listed.ip(), port.wrapping_add(1))));
        }

        #[test]
        fn no_text_causes_a_panic(text: String) {
            let _ = TcpAllow::parse(&[text]);
        }
    }
}
