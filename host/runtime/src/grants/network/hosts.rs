//! The hosts that requests may go to.
//!
//! A request names a host, which is looked up in the list as written. The address that a listed name resolves to is
//! checked again by [`AllowList::admits`]: the owner of a zone must not be able to direct a name into the operator's
//! own network.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::address::is_public;
use super::denials::Denials;
use super::reserved::ReservedAddresses;

/// Concurrent name look-ups of a tenant's plugins. Each occupies a thread until the resolver answers.
const LOOKUPS: usize = 4;

/// The scheme of a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scheme {
    /// Without encryption.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// RFC 9110 §4.2.
    pub(crate) fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// A host in the list or in a request: an address, or a name in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Host {
    Address(IpAddr),
    Name(String),
}

/// The destination of one request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Target {
    pub(crate) scheme: Scheme,
    pub(crate) host: Host,
    pub(crate) port: u16,
}

/// Hosts that requests may go to, each with a port and a scheme.
#[derive(Debug)]
pub struct AllowList {
    targets: BTreeSet<Target>,
    lookups: Arc<Semaphore>,
    reserved: Arc<ReservedAddresses>,
    denials: Denials,
}

impl AllowList {
    /// Parses `api.example.org`, `api.example.org:8443`, `http://plain.example.org`, `127.0.0.1:8080`, `[::1]:8080`.
    ///
    /// A name means https unless it begins with `http://`; an address means both unless it has a scheme. The default
    /// port is that of the scheme. Names are exact: `example.org` does not permit `api.example.org`.
    ///
    /// # Errors
    /// For each invalid entry: its index, and what is wrong with it.
    pub fn parse<E: AsRef<str>>(entries: &[E]) -> Result<Self, Vec<(usize, String)>> {
        let mut targets = BTreeSet::new();
        let mut wrong = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            match read(entry.as_ref()) {
                Ok(read) if read.iter().all(|target| targets.contains(target)) => {
                    let is_first = |other: &&str| {
                        self::read(other).is_ok_and(|other| read.iter().all(|target| other.contains(target)))
                    };
                    let first = entries.iter().take(index).map(AsRef::as_ref).find(is_first);
                    wrong.push((index, twice(entry.as_ref(), first)));
                }
                Ok(read) => targets.extend(read),
                Err(what) => wrong.push((index, what)),
            }
        }
        if wrong.is_empty() {
            let (lookups, reserved) = (Arc::new(Semaphore::new(LOOKUPS)), Arc::default());
            Ok(Self { targets, lookups, reserved, denials: Denials::default() })
        } else {
            Err(wrong)
        }
    }

    /// The same list, which leads to none of these addresses.
    #[must_use]
    pub fn without(self, reserved: &Arc<ReservedAddresses>) -> Self {
        Self { reserved: Arc::clone(reserved), ..self }
    }

    /// The valid entries of a list that can never be reached: index, and what to write instead.
    pub fn unreachable<E: AsRef<str>>(&self, entries: &[E]) -> Vec<(usize, String)> {
        let wrong = |(index, entry): (usize, &E)| Some((index, own_machine(entry.as_ref(), &self.targets)?));
        entries.iter().enumerate().filter_map(wrong).collect()
    }

    /// Whether a request may go there.
    pub(crate) fn permits(&self, target: &Target) -> bool {
        self.targets.contains(target) && !self.is_reserved(target)
    }

    /// Whether the operator has reserved the address of a target.
    pub(crate) fn is_reserved(&self, target: &Target) -> bool {
        let Host::Address(address) = target.host else { return false };
        self.reserved.has(SocketAddr::new(address, target.port))
    }

    /// Whether a listed name may resolve to this address: a public one, or one that is itself in the list, and not a
    /// reserved one.
    pub(crate) fn admits(&self, address: SocketAddr) -> bool {
        let host = Host::Address(address.ip().to_canonical());
        let listed = |scheme| self.targets.contains(&Target { scheme, host: host.clone(), port: address.port() });
        let is_allowed = is_public(address.ip()) || listed(Scheme::Http) || listed(Scheme::Https);
        is_allowed && !self.reserved.has(address)
    }

    /// Whether an entry may lead to a socket of this machine that listens at this address, which may be every address.
    /// A name leads to no loopback address, but may lead to any other.
    #[must_use]
    pub fn leads_to(&self, listener: SocketAddr) -> bool {
        let address = listener.ip().to_canonical();
        let leads = |target: &Target| {
            let may_be = match &target.host {
                Host::Address(listed) => address.is_unspecified() || *listed == address,
                Host::Name(_) => !address.is_loopback(),
            };
            may_be && target.port == listener.port()
        };
        self.targets.iter().any(leads)
    }

    /// The queue of look-ups.
    pub(crate) fn lookups(&self) -> &Arc<Semaphore> {
        &self.lookups
    }

    /// Whether to log this denial.
    pub(crate) fn is_news(&self, denied: &str, now: Instant) -> bool {
        self.denials.is_news(denied, now)
    }
}

/// Parses one entry: one destination, or two for an address without a scheme.
fn read(entry: &str) -> Result<Vec<Target>, String> {
    let (scheme, rest) = match entry.split_once("://") {
        Some(("http", rest)) => (Some(Scheme::Http), rest),
        Some(("https", rest)) => (Some(Scheme::Https), rest),
        Some((other, _)) => return Err(format!("must begin with http:// or https:// or with neither, has {other:?}")),
        None => (None, entry),
    };
    if rest.parse::<IpNet>().is_ok() {
        return Err(format!("must be a host, is the network {entry:?}: name each host or address"));
    }
    if let Some(end) = rest.find(['/', '?', '#']) {
        let without = entry.len() - rest.len() + end;
        let without = entry.get(..without).unwrap_or_default();
        return Err(format!("must be a host without a path, is {entry:?}: write {without:?}"));
    }
    if rest.contains('@') {
        return Err("must be a host without a user".to_owned());
    }
    if rest.contains('*') {
        return Err(format!("must name each host, there are no patterns, is {entry:?}"));
    }
    let (host, port) = split(rest)
        .ok_or_else(|| format!("must be a host such as \"api.example.org\", is {entry:?}{}", port_or_brackets(rest)))?;
    let host = Host::read(host).ok_or_else(|| {
        let instead = match entry.trim_end_matches('.') {
            without if without != entry => format!(": write {without:?}"),
            _ => String::new(),
        };
        format!(
            "must be a host such as \"api.example.org\" or \"10.0.0.5:8080\" (other letters as xn--), is {entry:?}{instead}"
        )
    })?;
    if let Host::Address(ip) = &host
        && (ip.is_unspecified() || ip.is_multicast())
    {
        return Err(format!(
            "must be an address that can be connected to, is {entry:?}: write \"127.0.0.1\" or \"[::1]\" for this machine"
        ));
    }
    let schemes = match (scheme, &host) {
        (Some(scheme), _) => vec![scheme],
        (None, Host::Name(_)) => vec![Scheme::Https],
        (None, Host::Address(_)) => vec![Scheme::Http, Scheme::Https],
    };
    let target = |scheme: Scheme| Target { scheme, host: host.clone(), port: port.unwrap_or(scheme.port()) };
    Ok(schemes.into_iter().map(target).collect())
}

/// The error for a duplicate entry.
pub(super) fn twice(entry: &str, first: Option<&str>) -> String {
    match first.filter(|first| *first != entry) {
        Some(first) => format!("{entry:?} is listed twice, before as {first:?}"),
        None => format!("{entry:?} is listed twice"),
    }
}

/// The error for a name of this machine: it resolves to an address that is neither public nor listed.
fn own_machine(entry: &str, targets: &BTreeSet<Target>) -> Option<String> {
    let read = read(entry).ok()?;
    let (Host::Name(name), port) = read.first().map(|target| (&target.host, target.port))? else { return None };
    let is_own = name == "localhost" || name.ends_with(".localhost");
    // /etc/hosts may map the name to any of them.
    let is_listed = |target: &Target| matches!(target.host, Host::Address(_)) && target.port == port;
    (is_own && !targets.iter().any(is_listed)).then(|| {
        format!(
            "{entry:?} leads to this machine, and no name may lead to a private address: write \"127.0.0.1:{port}\""
        )
    })
}

/// Why a host with something like a port cannot be split, as the end of a sentence.
fn port_or_brackets(text: &str) -> String {
    match text.parse::<Ipv6Addr>() {
        Ok(address) => format!(": an IPv6 address has brackets: write \"[{address}]\""),
        Err(_) => ": a port is a number from 1 to 65535, and an IPv6 address has brackets".to_owned(),
    }
}

/// Splits off a port. An IPv6 address has brackets, so that its last group is not taken for one.
fn split(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        Some(_) | None => (text, None),
    };
    let port = match port {
        Some(port) => Some(port.parse().ok().filter(|port| *port != 0)?),
        None => None,
    };
    let bare = host.contains(':') && !host.starts_with('[');
    (!bare).then_some((host, port))
}

impl Target {
    /// The destination of a request with this authority. RFC 9110 §4.2: the default port is the scheme's;
    /// RFC 9110 §4.2.4: user information is refused, and so is anything ambiguous.
    pub(crate) fn read(scheme: Scheme, authority: &str) -> Option<Self> {
        let (host, port) = split(authority)?;
        Some(Self { scheme, host: Host::read(host)?, port: port.unwrap_or(scheme.port()) })
    }
}

impl Host {
    /// Parses the host of an entry or of a URI, an IPv6 address in brackets.
    ///
    /// A host that ends in a number is an address or invalid: resolvers accept `127.1` and `0x7f.1` as addresses too,
    /// and no such name exists.
    pub(crate) fn read(text: &str) -> Option<Self> {
        if let Some(address) = text.strip_prefix('[') {
            let address: Ipv6Addr = address.strip_suffix(']')?.parse().ok()?;
            return Some(Self::Address(IpAddr::V6(address).to_canonical()));
        }
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Some(Self::Address(address.into()));
        }
        // RFC 1123 §2.1; underscores are not allowed in host names but are used.
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let sound = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(letter)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let last = text.rsplit('.').next()?;
        let number = last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x") || last.starts_with("0X");
        (text.len() <= 253 && !number && text.split('.').all(sound)).then(|| Self::Name(text.to_ascii_lowercase()))
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn target(text: &str) -> Target {
        let mut targets = read(text).unwrap();
        assert_eq!(targets.len(), 1, "{text}");
        targets.remove(0)
    }

    fn permits(list: &AllowList, text: &str) -> bool {
        list.permits(&target(text))
    }

    #[test]
    fn an_entry_that_may_lead_to_a_listener_of_this_machine_is_found() {
        let list = AllowList::parse(&["127.0.0.1:9222", "api.example.org", "http://in.example.org:9333"]).unwrap();
        let leads = |to: &str| list.leads_to(to.parse().unwrap());
        for yes in ["127.0.0.1:9222", "0.0.0.0:9222", "192.0.2.1:443", "192.0.2.1:9333", "[::]:9333"] {
            assert!(leads(yes), "{yes}");
        }
        // No name leads to a loopback address that is not listed itself.
        for no in ["127.0.0.1:9333", "127.0.0.2:9222", "[::1]:443", "192.0.2.1:9222"] {
            assert!(!leads(no), "{no}");
        }
    }

    #[test]
    fn a_name_is_https_on_its_own_port_and_exact() {
        let list =
            AllowList::parse(&["api.example.org", "Other.Example.org:8443", "http://plain.example.org"]).unwrap();
        for yes in ["https://api.example.org:443", "https://API.example.ORG", "https://other.example.org:8443"] {
            assert!(permits(&list, yes), "{yes}");
        }
        assert!(permits(&list, "http://plain.example.org:80"));
        for no in [
            "http://api.example.org",
            "https://api.example.org:8443",
            "https://example.org",
            "https://x.api.example.org",
            "https://api.example.org.evil.com",
            "https://plain.example.org",
            "https://other.example.org",
            "http://plain.example.org:8080",
        ] {
            assert!(!permits(&list, no), "{no}");
        }
    }

    #[test]
    fn an_address_is_both_schemes_unless_it_says_one() {
        let list = AllowList::parse(&["127.0.0.1:8080", "https://10.0.0.5", "[::1]"]).unwrap();
        for yes in
            ["http://127.0.0.1:8080", "https://127.0.0.1:8080", "https://10.0.0.5", "http://[::1]", "https://[::1]:443"]
        {
            assert!(permits(&list, yes), "{yes}");
        }
        for no in [
            "http://127.0.0.1",
            "http://127.0.0.2:8080",
            "http://10.0.0.5",
            "http://localhost:8080",
            "http://[::1]:443",
        ] {
            assert!(!permits(&list, no), "{no}");
        }
    }

    #[test]
    fn a_name_may_resolve_to_public_and_listed_addresses() {
        let list = AllowList::parse(&["api.example.org", "10.0.0.5:443"]).unwrap();
        for yes in ["1.1.1.1:443", "10.0.0.5:443", "[::ffff:10.0.0.5]:443", "[2606:4700::1111]:443"] {
            assert!(list.admits(yes.parse().unwrap()), "{yes}");
        }
        for no in ["10.0.0.5:80", "10.0.0.6:443", "127.0.0.1:443", "169.254.169.254:443", "[::1]:443", "[fd00::1]:443"]
        {
            assert!(!list.admits(no.parse().unwrap()), "{no}");
        }
    }

    #[test]
    fn each_invalid_entry_is_named_with_its_index() {
        let entries = ["api.example.org", "*.example.org", "ftp://example.org", "https://example.org/path", "a@b.org"];
        let wrong = AllowList::parse(&entries).unwrap_err();
        assert_eq!(wrong.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert!(wrong[0].1.contains("there are no patterns"), "{}", wrong[0].1);
        assert!(wrong[1].1.contains("\"ftp\""), "{}", wrong[1].1);
        for bad in [
            "",
            ":80",
            "example.org:0",
            "example.org:99999",
            "example.org:",
            "example.org.",
            ".example.org",
            "-a.org",
            "a b.org",
            "bücher.example",
            "127.1",
            "0x7f.1",
            "2130706433",
            "1.2.3.4.5",
            "::1",
            "[::1",
            "[127.0.0.1]",
            "fe80::1%eth0",
        ] {
            assert!(AllowList::parse(&[bad]).is_err(), "{bad}");
        }
        let twice = AllowList::parse(&["a.org", "https://A.org:443"]).unwrap_err();
        let what = "\"https://A.org:443\" is listed twice, before as \"a.org\"".to_owned();
        assert_eq!(twice, [(1, what)]);
    }

    #[test]
    fn an_invalid_entry_gets_a_suggestion() {
        for (entry, instead) in [
            ("10.0.0.0/8", "must be a host, is the network \"10.0.0.0/8\": name each host or address"),
            ("https://api.example.org/v1", "write \"https://api.example.org\""),
            ("api.example.org/v1?x", "write \"api.example.org\""),
            ("api.example.org.", "write \"api.example.org\""),
            ("api.example.org:https", "a port is a number from 1 to 65535"),
            ("::1", "write \"[::1]\""),
            ("localhost", "leads to this machine, and no name may lead to a private address: write \"127.0.0.1:443\""),
            ("http://localhost:8080", "write \"127.0.0.1:8080\""),
            ("0.0.0.0:8080", "write \"127.0.0.1\" or \"[::1]\" for this machine"),
            ("[::]:8080", "must be an address that can be connected to"),
        ] {
            let wrong = AllowList::parse(&[entry]).map_or_else(|wrong| wrong, |list| list.unreachable(&[entry]));
            assert!(wrong[0].1.contains(instead), "{entry}: {}", wrong[0].1);
        }
        for address in ["127.0.0.1:8443", "10.0.0.5:8443"] {
            let entries = ["localhost:8443", address];
            assert!(AllowList::parse(&entries).unwrap().unreachable(&entries).is_empty());
        }
    }

    proptest! {
        #[test]
        fn no_text_causes_a_panic_and_accepted_entries_are_permitted(text in "\\PC*|[a-z0-9.:/@\\[\\]*-]{0,40}") {
            if let Ok(list) = AllowList::parse(&[&text]) {
                for target in read(&text).unwrap() {
                    prop_assert!(list.permits(&target));
                    prop_assert_eq!(read(&target.to_string()).unwrap(), [target]);
                }
            }
        }

        #[test]
        fn an_entry_permits_no_other_name(
            listed in "[a-z]{1,5}(\\.[a-z]{1,5}){0,2}",
            asked in "[a-z]{1,5}(\\.[a-z]{1,5}){0,2}",
        ) {
            let list = AllowList::parse(&[&listed]).unwrap();
            prop_assert_eq!(list.permits(&target(&asked)), listed == asked);
        }
    }
}
