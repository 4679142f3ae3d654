//! The settings `proxies` and `penalty_exempt`: lists of addresses and networks.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::config::reader::{Findings, Item, Section};
use crate::config::setting::text;
use crate::credential::AddressList;

/// Peers that are treated otherwise.
#[derive(Clone, Debug, Default)]
pub struct AddressLists {
    /// The proxies whose connections begin with a header of the PROXY protocol. `None`: there are none.
    pub proxies: Option<AddressList>,
    /// The addresses that are never refused for a penalty. `None`: there are none.
    pub penalty_exempt: Option<AddressList>,
}

impl AddressLists {
    /// The addresses that are never refused for a penalty. The proxies are among them: their own health checks never
    /// log in, and clients that they do not name share their address.
    pub(crate) fn unpenalized(&self) -> Vec<AddressList> {
        [&self.penalty_exempt, &self.proxies].into_iter().flatten().cloned().collect()
    }

    pub(super) fn read(top: &mut Section<'_>, findings: &mut Findings) -> AddressLists {
        let mut list = |name| top.take(name).and_then(|item| read(&item, findings));
        AddressLists { proxies: list("proxies"), penalty_exempt: list("penalty_exempt") }
    }
}

/// Reads a list. An empty one is `None`: it names nobody.
fn read(item: &Item<'_>, findings: &mut Findings) -> Option<AddressList> {
    let mut networks = Vec::new();
    for element in item.elements(findings) {
        let network = text(element.value).and_then(network);
        networks.extend(findings.keep(&element, network));
    }
    AddressList::parse_networks(&networks.join(",")).ok()
}

/// Checks an address or a network.
fn network(text: &str) -> Result<&str, String> {
    let instead = match (text.parse::<IpAddr>(), text.parse::<IpNet>()) {
        (Ok(_), _) => return Ok(text),
        (_, Ok(network)) if network == network.trunc() => return Ok(text),
        (_, Ok(network)) => format!(": write \"{}\"", network.trunc()),
        _ => String::new(),
    };
    Err(format!(
        "must be an address or a network in numbers, such as \"192.0.2.10\" or \"2001:db8::/64\", is {text:?}{instead}"
    ))
}
