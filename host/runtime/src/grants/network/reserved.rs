//! Addresses of this machine that the operator keeps from plugins, whatever their tenants are granted.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

/// Why a connection to one is denied.
pub(crate) const RESERVED: &str = "the operator has reserved the address";

/// Addresses that no plugin may connect to. The allow-lists of all tenants share them.
#[derive(Debug, Default)]
pub struct ReservedAddresses {
    addresses: RwLock<Vec<SocketAddr>>,
}

impl ReservedAddresses {
    /// Reserves the address of one socket that listens, until what this returns is dropped.
    #[must_use]
    pub fn reserve(self: &Arc<Self>, address: SocketAddr) -> ReservedAddress {
        let address = canonical(address);
        self.addresses.write().unwrap_or_else(PoisonError::into_inner).push(address);
        ReservedAddress { addresses: Arc::clone(self), address }
    }

    /// Whether a connection to this address would reach one. Linux takes the unspecified address for this machine.
    pub(crate) fn has(&self, to: SocketAddr) -> bool {
        let to = canonical(to);
        let reaches = |listener: &SocketAddr| {
            let is_this_machine = to.ip().is_unspecified() && to.port() == listener.port();
            to == *listener || is_this_machine
        };
        self.addresses.read().unwrap_or_else(PoisonError::into_inner).iter().any(reaches)
    }
}

/// A reserved address.
#[derive(Debug)]
pub struct ReservedAddress {
    addresses: Arc<ReservedAddresses>,
    address: SocketAddr,
}

impl Drop for ReservedAddress {
    fn drop(&mut self) {
        let mut addresses = self.addresses.addresses.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = addresses.iter().position(|address| *address == self.address) {
            addresses.swap_remove(index);
        }
    }
}

/// Without the scope of a link: which interface leads to the machine itself does not matter.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grants::{AllowList, Scheme, Target, TcpAllow};

    #[test]
    fn no_grant_leads_to_a_reserved_address_while_it_is_reserved() {
        let reserved = Arc::new(ReservedAddresses::default());
        let tcp = TcpAllow::parse(&["127.0.0.1:2280", "127.0.0.0/8:2281", "0.0.0.0/0:2282", "[::1]:2280"]).unwrap();
        let http = AllowList::parse(&["127.0.0.1:2280", "[::1]:2280", "admin.example.org"]).unwrap();
        let (tcp, http) = (tcp.without(&reserved), http.without(&reserved));
        let reached = |to: &str| {
            let target = Target::read(Scheme::Http, to).unwrap();
            let to = to.parse().unwrap();
            [tcp.permits(to), http.permits(&target), http.admits(to)]
        };
        assert_eq!(reached("127.0.0.1:2280"), [true; 3]);
        let addresses = ["127.0.0.1:2280", "127.0.0.1:2281", "127.0.0.1:2282", "[::1]:2280", "198.41.0.4:443"];
        let kept: Vec<_> = addresses.map(|address| reserved.reserve(address.parse().unwrap())).into();
        for to in addresses.into_iter().chain(["0.0.0.0:2282", "[::ffff:127.0.0.1]:2280"]) {
            assert_eq!(reached(to), [false; 3], "{to}");
            assert!(tcp.is_reserved(to.parse().unwrap()));
        }
        assert!(tcp.permits("127.0.0.2:2281".parse().unwrap()) && http.admits("198.41.0.5:443".parse().unwrap()));
        // Twice reserved is reserved until both are dropped.
        let again = reserved.reserve("127.0.0.1:2280".parse().unwrap());
        drop(kept);
        assert_eq!(reached("127.0.0.1:2280"), [false; 3]);
        drop(again);
        assert_eq!(reached("127.0.0.1:2280"), [true; 3]);
    }
}
