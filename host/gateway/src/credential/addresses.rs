//! Lists of addresses and networks that a credential may be used from: `from=` of a key, sshd(8), and `source-address`
//! of a certificate, OpenSSH `PROTOCOL.certkeys`.

use std::net::IpAddr;

use ipnet::IpNet;

/// A list of addresses, networks and patterns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressList(Vec<AddressPattern>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct AddressPattern {
    negated: bool,
    what: Matcher,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Matcher {
    Network(IpNet),
    /// With `*` and `?`. Compared with the address as text.
    Wildcard(String),
}

impl AddressList {
    /// Reads a pattern-list, ssh_config(5), "PATTERNS": addresses, networks, and texts with `*` and `?`, each negated
    /// by a `!` before it.
    ///
    /// # Errors
    /// A part is empty, a network that has bits beyond its length, or the negated name of a host, which would exclude
    /// nobody. A part has a blank, or a `!` elsewhere than at its beginning: it would match nobody.
    pub fn parse_patterns(text: &str) -> Result<AddressList, String> {
        text.split(',').map(AddressPattern::parse).collect::<Result<_, _>>().map(AddressList)
    }

    /// Reads the value of `source-address`: addresses and networks only.
    ///
    /// # Errors
    /// A part is something else.
    pub fn parse_networks(text: &str) -> Result<AddressList, String> {
        let list = AddressList::parse_patterns(text)?;
        match list.0.iter().find(|pattern| pattern.negated || matches!(pattern.what, Matcher::Wildcard(_))) {
            Some(_) => Err("has a part that is neither an address nor a network".to_owned()),
            None => Ok(list),
        }
    }

    /// Whether the list admits this address: one of its parts matches, and no negated part does. An unknown address is
    /// never admitted.
    pub fn contains(&self, address: Option<IpAddr>) -> bool {
        let Some(address) = address.map(|address| address.to_canonical()) else { return false };
        let shown = address.to_string();
        let matching = || self.0.iter().filter(|pattern| pattern.what.matches(address, &shown));
        matching().next().is_some() && !matching().any(|pattern| pattern.negated)
    }

    /// The parts that are names of hosts. They match nobody, because names are not looked up, as with sshd's
    /// `UseDNS no`.
    pub fn host_names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|pattern| match &pattern.what {
            Matcher::Wildcard(text) if is_host_name(text) => Some(text.as_str()),
            Matcher::Wildcard(_) | Matcher::Network(_) => None,
        })
    }
}

impl AddressPattern {
    fn parse(text: &str) -> Result<AddressPattern, String> {
        let (negated, text) = match text.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        if text.is_empty() {
            return Err("has an empty part".to_owned());
        }
        if text.contains(char::is_whitespace) {
            return Err(format!("has a blank in the part {text:?}: separate the parts by commas alone"));
        }
        if text.contains('!') {
            return Err(format!("has a ! in the part {text:?}: it stands at the beginning of a part, once"));
        }
        let what = match (text.parse::<IpAddr>(), text.parse::<IpNet>()) {
            (Ok(address), _) => Matcher::Network(address.to_canonical().into()),
            (_, Ok(network)) if network != network.trunc() => {
                let network = network.trunc();
                return Err(format!("has the network {text:?}, which must be written {:?}", network.to_string()));
            }
            (_, Ok(network)) => Matcher::Network(network),
            _ if could_be_address(text) && text.contains('/') => {
                return Err(format!("has the part {text:?}, which is not a network"));
            }
            _ if negated && is_host_name(text) => {
                return Err(format!(
                    "excludes the host {text:?} by name, but names are not looked up: use its address"
                ));
            }
            _ => Matcher::Wildcard(text.to_ascii_lowercase()),
        };
        Ok(AddressPattern { negated, what })
    }
}

impl Matcher {
    fn matches(&self, address: IpAddr, shown: &str) -> bool {
        match self {
            Matcher::Network(network) => network.contains(&address),
            Matcher::Wildcard(pattern) => fits(pattern.as_bytes(), shown.as_bytes()),
        }
    }
}

/// Whether a pattern could match an address as text. Every other one is meant for the names of hosts.
fn could_be_address(pattern: &str) -> bool {
    pattern.bytes().all(|byte| byte.is_ascii_hexdigit() || b".:*?/".contains(&byte))
}

/// Whether a part that is neither an address nor a network is the name of a host, or a pattern for such names: it
/// matches no address.
fn is_host_name(pattern: &str) -> bool {
    let has_letter = pattern.bytes().any(|byte| byte.is_ascii_alphabetic());
    // Of addresses only those of IPv6 have letters, and none of those has dots.
    !could_be_address(pattern) || !pattern.contains(['*', '?']) || (has_letter && pattern.contains('.'))
}

/// Whether a text fits a pattern with `*` for any number of characters and `?` for one. The time is the product of the
/// lengths at most.
pub(super) fn fits(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut position) = (0, 0);
    // Where to go on if the text after the last `*` does not match: after that `*`, one character later.
    let mut retry: Option<(usize, usize)> = None;
    while let Some(byte) = text.get(position) {
        match pattern.get(at) {
            Some(b'*') => {
                retry = Some((at + 1, position));
                at += 1;
            }
            Some(b'?') => (at, position) = (at + 1, position + 1),
            Some(other) if other == byte => (at, position) = (at + 1, position + 1),
            _ => {
                let Some((behind, from)) = &mut retry else { return false };
                *from += 1;
                (at, position) = (*behind, *from);
            }
        }
    }
    pattern.iter().skip(at).all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn an_address_is_matched_by_itself_by_its_networks_and_by_patterns() {
        for (list, from, expected) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("::ffff:192.0.2.1", "192.0.2.1", true),
            ("192.0.2.0/24", "192.0.2.200", true),
            ("192.0.2.0/24", "192.0.3.1", false),
            ("192.0.2.0/24", "2001:db8::1", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("2001:db8::/32", "2001:db8:1::9", true),
            ("2001:DB8::1", "2001:db8::1", true),
            ("192.0.2.*", "192.0.2.77", true),
            ("192.0.2.?", "192.0.2.77", false),
            ("192.0.2.??", "192.0.2.77", true),
            ("10.0.0.0/8,192.0.2.*", "192.0.2.7", true),
            ("*", "192.0.2.7", true),
            // One negated part that matches is enough, and one that does not match lets nobody in.
            ("192.0.2.0/24,!192.0.2.7", "192.0.2.7", false),
            ("!192.0.2.7,192.0.2.0/24", "192.0.2.7", false),
            ("!192.0.2.7,192.0.2.0/24", "192.0.2.8", true),
            ("!192.0.2.7", "192.0.2.8", false),
            ("*.example.org", "192.0.2.7", false),
            ("*,!192.0.2.*", "192.0.2.7", false),
            ("*,!2001:db8:*", "2001:db8::1", false),
        ] {
            let found = AddressList::parse_patterns(list).unwrap().contains(address(from));
            assert_eq!(found, expected, "{list} {from}");
        }
    }

    #[test]
    fn an_unknown_address_is_on_no_list() {
        for list in ["*", "0.0.0.0/0,::/0", "!192.0.2.7"] {
            assert!(!AddressList::parse_patterns(list).unwrap().contains(None), "{list}");
        }
    }

    #[test]
    fn names_of_hosts_are_told_apart() {
        let list =
            AddressList::parse_patterns("192.0.2.*,*.Example.org,bastion,2001:db8::?,bed.cafe,*.de,!1*").unwrap();
        assert_eq!(list.host_names().collect::<Vec<_>>(), ["*.example.org", "bastion", "bed.cafe", "*.de"]);
    }

    #[test]
    fn malformed_lists_are_refused() {
        for list in ["", ",", "192.0.2.1,", "!", "192.0.2.1/24", "192.0.2.0/33", "1.2.3/8", "2001:db8::1/32"] {
            assert!(AddressList::parse_patterns(list).is_err(), "{list}");
        }
        // They would exclude nobody.
        for list in ["*, !10.0.0.0/8", "*,! 10.0.0.0/8", "*,10.0.0.0/8 ", "*,!!10.0.0.0/8", "*,10.0.0.0/8!10.1.0.0/16"]
        {
            assert!(AddressList::parse_patterns(list).is_err(), "{list}");
        }
        for list in ["*,!bad.example.org", "*,!*.example.org", "*,!bastion", "*,!bed.cafe", "*,!1.2.3"] {
            let error = AddressList::parse_patterns(list).unwrap_err();
            assert!(error.contains("use its address"), "{list}: {error}");
        }
        for list in ["", "!192.0.2.1", "192.0.2.*", "example.org", "192.0.2.1/24", "192.0.2.1,,192.0.2.2"] {
            assert!(AddressList::parse_networks(list).is_err(), "{list}");
        }
        assert!(AddressList::parse_networks("192.0.2.1,2001:db8::/32").is_ok());
    }

    #[test]
    fn a_pattern_costs_no_more_than_the_product_of_the_lengths() {
        assert!(!fits("*a".repeat(200).as_bytes(), "a".repeat(150).as_bytes()));
        assert!(fits("*a".repeat(200).as_bytes(), "a".repeat(200).as_bytes()));
    }
}
