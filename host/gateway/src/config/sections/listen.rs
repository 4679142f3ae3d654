//! Listen addresses: their syntax, and which of them conflict.

mod addresses;
pub(in crate::config) mod metrics;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;

use toml::de::DeValue;

use crate::config::problem::Problem;
use crate::config::reader::{Findings, Section};
use crate::config::setting::text;
pub use addresses::AddressLists;

/// The default port, and the one that is suggested for an address without one ...
const PORT: u16 = 2222;
/// ... beside the default port of clients.
const SSH: u16 = 22;

/// The default address.
pub(in crate::config) const DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), PORT);

/// Parses `127.0.0.1:2222`, `[::1]:2222`, or `localhost:2222` for 127.0.0.1.
///
/// Other names are refused: what a name resolves to changes with the network, and the listen address should not.
/// Decided 2026-11-29: an address without a port is refused too. sshd would listen on port 22; and `::1:3301` is an
/// address without a port, even if the author meant one.
///
/// # Errors
/// What an address looks like, and how this one would be written.
pub fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let numeric = match text.strip_prefix("localhost") {
        Some(rest) if rest.is_empty() || rest.starts_with(':') => format!("{}{rest}", Ipv4Addr::LOCALHOST),
        Some(_) | None => text.to_owned(),
    };
    let Ok(address) = numeric.parse::<SocketAddr>() else { return Err(misspelled(text, &numeric)) };
    match not_bindable(&address) {
        Some(what) => Err(format!("{text:?} {what}")),
        None => Ok(address),
    }
}

/// Why no socket can be bound to this address, as the end of a sentence.
fn not_bindable(address: &SocketAddr) -> Option<String> {
    let port = address.port();
    match address {
        SocketAddr::V4(v4) if v4.ip().is_multicast() || v4.ip().is_broadcast() => {
            Some("is the address of many machines: name one of this machine".to_owned())
        }
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => Some(format!("stands for an IPv4 address: write \"{v4}:{port}\"")),
            None if v6.ip().is_multicast() => {
                Some("is the address of many machines: name one of this machine".to_owned())
            }
            None if v6.ip().is_unicast_link_local() && v6.scope_id() == 0 => Some(format!(
                "is an address of one link: write \"[{}%N]:{port}\", where N is the number of the interface \
                 (`ip link`)",
                v6.ip()
            )),
            None => None,
        },
        SocketAddr::V4(_) => None,
    }
}

/// The error for a text that is not an address with a port. `numeric` is the same with `localhost` in numbers.
fn misspelled(text: &str, numeric: &str) -> String {
    let instead = instead(numeric).unwrap_or_else(|| {
        ": write \"0.0.0.0:2222\" for every IPv4 address of this machine, \"[::]:2222\" for every IPv6 address"
            .to_owned()
    });
    format!(
        "must be an address in numbers and a port, such as \"127.0.0.1:2222\" or \"[::]:2222\", is {text:?}{instead}"
    )
}

/// How a text would be written as an address, as the end of a sentence.
fn instead(text: &str) -> Option<String> {
    let without_port = |ip: IpAddr| {
        let (own, ssh) = (SocketAddr::new(ip, PORT), SocketAddr::new(ip, SSH));
        Some(format!(", which names no port: write \"{own}\", or \"{ssh}\" for the port of SSH"))
    };
    if let Some(bare) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        return without_port(IpAddr::V6(bare.parse().ok()?));
    }
    let (host, port) = text.rsplit_once([':', ' ']).unwrap_or((text, ""));
    let host = host.trim_start_matches('[').trim_end_matches(']').trim();
    let host = host.rsplit_once("//").map_or(host, |(_, host)| host);
    let ip = host.parse::<IpAddr>().ok();
    if let Ok(whole) = text.parse::<Ipv6Addr>() {
        let whole = SocketAddr::new(whole.into(), PORT);
        let port = port.parse::<u16>().ok().filter(|port| *port != 0);
        return match ip.zip(port) {
            Some((ip, port)) => {
                let cut = SocketAddr::new(ip, port);
                Some(format!(
                    ": an IPv6 address has brackets: write \"{cut}\", or \"{whole}\" if all of it is the address"
                ))
            }
            None => without_port(whole.ip()),
        };
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return without_port(ip);
    }
    let every = matches!(host, "" | "*" | "0" | "any") || text.bytes().all(|byte| byte.is_ascii_digit());
    let port = match port {
        "ssh" => SSH.to_string(),
        port => port.to_owned(),
    };
    match (ip, port.parse::<u16>()) {
        (Some(ip), Ok(port)) => Some(format!(": write \"{}\"", SocketAddr::new(ip, port))),
        (Some(ip), Err(_)) if port.is_empty() => without_port(ip),
        (Some(_), Err(_)) => Some(": a port is a number from 1 to 65535".to_owned()),
        (None, Ok(port)) if every => {
            Some(format!(": write \"0.0.0.0:{port}\" for every IPv4 address, \"[::]:{port}\" for every IPv6 address"))
        }
        (None, _) if host.contains('/') => {
            Some(": a network cannot be listened on, only an address of this machine".to_owned())
        }
        (None, Ok(port)) if host.contains(|letter: char| letter.is_alphabetic()) => Some(format!(
            ": a name may lead elsewhere tomorrow: write its address, or \"0.0.0.0:{port}\" for every IPv4 address"
        )),
        _ => None,
    }
}

/// Whether the two cannot be bound together: the same port and family, on the same or on every address. IPv6 listeners
/// accept IPv6 only, so the families never conflict.
fn overlap(one: &SocketAddr, other: &SocketAddr) -> bool {
    let everywhere = one.ip().is_unspecified() || other.ip().is_unspecified();
    let same_address = one.ip() == other.ip() || everywhere;
    one.port() == other.port() && one.port() != 0 && one.is_ipv4() == other.is_ipv4() && same_address
}

/// Reads the addresses, and the lists of other addresses. `named` are those of the command line, which replace the
/// file's if there are any.
pub(in crate::config) fn read(
    top: &mut Section<'_>,
    named: &[SocketAddr],
    findings: &mut Findings,
) -> (Vec<SocketAddr>, AddressLists) {
    (read_listen(top, named, findings), AddressLists::read(top, findings))
}

fn read_listen(top: &mut Section<'_>, named: &[SocketAddr], findings: &mut Findings) -> Vec<SocketAddr> {
    let Some(item) = top.take("listen") else {
        findings.problems.extend(doubles(named));
        return if named.is_empty() { vec![DEFAULT] } else { named.to_owned() };
    };
    let mut addresses: Vec<(SocketAddr, Range<usize>)> = Vec::new();
    let elements = item.elements(findings);
    if let (DeValue::Array(_), true) = (item.value, elements.is_empty()) {
        findings.add(&item.span, &item.key, "must name at least one address");
    }
    for element in elements {
        let Some(address) = findings.keep(&element, text(element.value).and_then(parse_address)) else { continue };
        if let Some((other, span)) = addresses.iter().find(|(other, _)| overlap(other, &address)) {
            let what = format!("{} {}", both(other, &address), findings.first(span));
            findings.add(&element.span, &element.key, what);
        }
        addresses.push((address, element.span));
    }
    if named.is_empty() {
        return addresses.into_iter().map(|(address, _)| address).collect();
    }
    findings.problems.extend(doubles(named));
    named.to_owned()
}

/// Duplicates in `--listen`.
pub(in crate::config) fn doubles(addresses: &[SocketAddr]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, address) in addresses.iter().enumerate() {
        if let Some(other) = addresses.iter().take(index).find(|other| overlap(other, address)) {
            problems.push(Problem::of_option("--listen", both(other, address)));
        }
    }
    problems
}

fn both(other: &SocketAddr, address: &SocketAddr) -> String {
    if other == address {
        format!("{address} is listed twice")
    } else {
        format!("{address} cannot be listened on beside {other}: one of them is every address")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_numeric_with_a_port() {
        for (text, address) in [
            ("127.0.0.1:22", "127.0.0.1:22"),
            ("[::]:22", "[::]:22"),
            ("[::1]:2222", "[::1]:2222"),
            ("[fe80::1%2]:22", "[fe80::1%2]:22"),
            ("localhost:0", "127.0.0.1:0"),
        ] {
            assert_eq!(parse_address(text).map(|a| a.to_string()), Ok(address.to_owned()), "{text}");
        }
    }

    #[test]
    fn another_spelling_is_refused_with_the_accepted_one() {
        for (text, instead) in [
            ("::1:3301", "write \"[::1]:3301\", or \"[::1:3301]:2222\" if all of it is the address"),
            ("::1:33010", ": write \"[::1]:33010\""),
            ("::1", "names no port: write \"[::1]:2222\", or \"[::1]:22\" for the port of SSH"),
            ("[::1]", "names no port: write \"[::1]:2222\""),
            ("::", "names no port: write \"[::]:2222\""),
            ("192.0.2.1", "names no port: write \"192.0.2.1:2222\", or \"192.0.2.1:22\""),
            ("192.0.2.1:", "names no port: write \"192.0.2.1:2222\""),
            ("localhost", "names no port: write \"127.0.0.1:2222\""),
            ("192.0.2.1:ssh", ": write \"192.0.2.1:22\""),
            ("192.0.2.1 22", ": write \"192.0.2.1:22\""),
            ("ssh://192.0.2.1:22", ": write \"192.0.2.1:22\""),
            ("192.0.2.1:http", "a port is a number from 1 to 65535"),
            ("192.0.2.1:66000", "a port is a number from 1 to 65535"),
            ("*:22", "write \"0.0.0.0:22\" for every IPv4 address, \"[::]:22\" for every IPv6 address"),
            (":22", "write \"0.0.0.0:22\" for every IPv4 address"),
            ("", "write \"0.0.0.0:2222\" for every IPv4 address"),
            ("example.org:22", "a name may lead elsewhere tomorrow: write its address, or \"0.0.0.0:22\""),
            ("localhost.evil:22", "a name may lead elsewhere tomorrow"),
            ("example.org", "write \"0.0.0.0:2222\" for every IPv4 address"),
            ("192.0.2.0/24:22", "a network cannot be listened on"),
            ("[::ffff:192.0.2.1]:22", "stands for an IPv4 address: write \"192.0.2.1:22\""),
            ("[fe80::1]:22", "is an address of one link: write \"[fe80::1%N]:22\""),
            ("224.0.0.1:22", "is the address of many machines"),
            ("[ff02::1]:22", "is the address of many machines"),
            ("localhosts", "must be an address in numbers and a port"),
            ("1:2:3", "must be an address in numbers and a port"),
        ] {
            let what = parse_address(text).unwrap_err();
            assert!(what.contains(instead), "{text}: {what}");
        }
    }

    #[test]
    fn the_wildcard_address_conflicts_with_each_address_of_its_family() {
        let address = |text| parse_address(text).unwrap();
        assert!(overlap(&address("0.0.0.0:22"), &address("127.0.0.1:22")));
        assert!(overlap(&address("[::]:22"), &address("[::1]:22")));
        assert!(!overlap(&address("0.0.0.0:22"), &address("[::]:22")));
        assert!(!overlap(&address("127.0.0.1:22"), &address("127.0.0.1:23")));
        assert!(!overlap(&address("127.0.0.1:0"), &address("127.0.0.1:0")));
    }
}
