//! Addresses to listen on: how they are written, and which of them get in each other's way.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The port where an address names none.
const PORT: u16 = 2222;

/// Where to listen when nobody says.
pub(super) const DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), PORT);

/// Reads `127.0.0.1:2222`, `[::1]:2222`, an address without a port (then 2222), or `localhost` for 127.0.0.1.
///
/// Other names are refused: what a name resolves to changes with the network, what is listened on should not.
///
/// # Errors
/// Says what an address looks like.
pub fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let numeric = match text.strip_prefix("localhost") {
        Some(rest) if rest.is_empty() || rest.starts_with(':') => format!("{}{rest}", Ipv4Addr::LOCALHOST),
        Some(_) | None => text.to_owned(),
    };
    let bare = || numeric.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
    match numeric.parse::<SocketAddr>() {
        Ok(address) => Ok(address),
        Err(_) => bare().map(|ip| SocketAddr::new(ip, PORT)).ok_or_else(|| {
            format!("must be an address in numbers such as \"127.0.0.1:2222\" or \"[::]:2222\", is {text:?}")
        }),
    }
}

/// Whether both could not be bound at once: the same port, of the same family, on the same or on every address.
/// IPv6 listeners take IPv6 only, so the two families never meet.
pub(super) fn overlap(one: &SocketAddr, other: &SocketAddr) -> bool {
    let everywhere = one.ip().is_unspecified() || other.ip().is_unspecified();
    let same_address = one.ip() == other.ip() || everywhere;
    one.port() == other.port() && one.port() != 0 && one.is_ipv4() == other.is_ipv4() && same_address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_leave_out_its_port() {
        for (text, address) in [
            ("127.0.0.1:22", "127.0.0.1:22"),
            ("127.0.0.1", "127.0.0.1:2222"),
            ("[::]:22", "[::]:22"),
            ("::1", "[::1]:2222"),
            ("[::1]", "[::1]:2222"),
            ("localhost", "127.0.0.1:2222"),
            ("localhost:0", "127.0.0.1:0"),
        ] {
            assert_eq!(parse_address(text).map(|a| a.to_string()), Ok(address.to_owned()), "{text}");
        }
        for wrong in ["", "example.org:22", "localhosts", "localhost.evil:22", "127.0.0.1:66000", "1:2:3", ":22"] {
            assert!(parse_address(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_address_overlaps_each_single_one_of_its_family() {
        let address = |text| parse_address(text).unwrap();
        assert!(overlap(&address("0.0.0.0:22"), &address("127.0.0.1:22")));
        assert!(overlap(&address("[::]:22"), &address("[::1]:22")));
        assert!(!overlap(&address("0.0.0.0:22"), &address("[::]:22")));
        assert!(!overlap(&address("127.0.0.1:22"), &address("127.0.0.1:23")));
        assert!(!overlap(&address("127.0.0.1:0"), &address("127.0.0.1:0")));
    }
}
