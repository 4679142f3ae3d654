//! The user of a connection, and what its sessions may know of it.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use whelk_runtime::{ConnectionHome, Facts, Tenant};
use whelk_ssh::algorithm::Negotiated;
use whelk_ssh::connection::Server as ServerConnection;
use whelk_ssh::crypto::hash::ExchangeHash;
use whelk_ssh::crypto::mac::Mac;

use crate::auth::access::Identity;
use crate::observe::escape::escape;
use crate::source::Peer;

/// The user that has logged in on a connection.
pub(crate) struct SessionUser {
    pub(crate) identity: Identity,
    /// What the facts are made of.
    sources: FactSources,
    /// What a plugin may ask for, by name, once a session has begun: most connections of some clients have none.
    facts: OnceLock<Facts>,
    /// The home that its sessions share while the connection lasts, if the tenant has such homes.
    pub(super) home: Arc<ConnectionHome>,
}

/// Where a connection comes from.
#[derive(Clone, Copy)]
pub(crate) struct Origin {
    /// The connection's number, as in the log.
    pub(crate) connection: u64,
    /// The client.
    pub(crate) peer: Peer,
    /// The address and port that it has connected to, if there are such.
    pub(crate) local: Option<SocketAddr>,
}

/// What was known of the connection when its user logged in.
struct FactSources {
    origin: Origin,
    /// The client's identification line.
    client_version: Box<[u8]>,
    session_id: Option<ExchangeHash>,
    /// The algorithms of the first key exchange.
    agreed: Option<Negotiated>,
}

impl SessionUser {
    /// The user of a connection whose first key exchange and login are complete.
    pub(crate) fn new(identity: Identity, origin: Origin, connection: &ServerConnection) -> SessionUser {
        let sources = FactSources {
            origin,
            client_version: connection.peer_identification().unwrap_or_default().into(),
            session_id: connection.session_id().cloned(),
            agreed: connection.negotiated().copied(),
        };
        SessionUser { identity, sources, facts: OnceLock::new(), home: ConnectionHome::new(origin.connection) }
    }

    /// A user of whose connection nothing is known.
    #[cfg(test)]
    pub(super) fn of_no_connection(identity: Identity) -> SessionUser {
        let origin = Origin { connection: 0, peer: Peer::Unknown, local: None };
        let sources = FactSources { origin, client_version: Box::default(), session_id: None, agreed: None };
        SessionUser { identity, sources, facts: OnceLock::new(), home: Arc::default() }
    }

    /// What a plugin may ask for, by name. `server_version`: our identification line.
    pub(super) fn facts(&self, server_version: &str) -> &Facts {
        self.facts.get_or_init(|| self.collect(server_version))
    }

    fn collect(&self, server_version: &str) -> Facts {
        let SessionUser { identity, sources, .. } = self;
        let mut facts = vec![
            ("connection-id", sources.origin.connection.to_string()),
            ("user", identity.user.clone()),
            ("principal", identity.principal.clone()),
            ("tenant", identity.tenant.clone()),
            ("address", sources.origin.peer.to_string()),
            ("local-address", sources.origin.local.map(|address| address.to_string()).unwrap_or_default()),
            ("client-version", escape(&sources.client_version).to_string()),
            ("server-version", server_version.to_owned()),
            ("method", identity.method.to_owned()),
        ];
        facts.extend(identity.fingerprint.clone().map(|fingerprint| ("key-fingerprint", fingerprint)));
        if let Some(certificate) = &identity.certificate {
            facts.extend([
                ("certificate-key-id", certificate.key_id.clone()),
                ("certificate-serial", certificate.serial.to_string()),
                ("certificate-authority", certificate.authority.clone()),
            ]);
        }
        if let Some(id) = &sources.session_id {
            facts.push(("session-id", id.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()));
        }
        if let Some(agreed) = &sources.agreed {
            // OpenSSH's word where the cipher brings its own integrity check.
            let mac = |mac: Option<Mac>| mac.map_or("<implicit>", Mac::name).to_owned();
            let (to_server, to_client) = (agreed.cipher_to_server.name(), agreed.cipher_to_client.name());
            facts.extend([
                ("kex", agreed.kex.to_owned()),
                ("host-key", agreed.host_key.to_owned()),
                ("cipher-in", to_server.to_owned()),
                ("cipher-out", to_client.to_owned()),
                ("mac-in", mac(agreed.mac_to_server)),
                ("mac-out", mac(agreed.mac_to_client)),
            ]);
        }
        let facts = facts.into_iter().map(|(name, value)| (name.to_owned(), value));
        let attributes = identity.attributes.iter().map(|(name, value)| (format!("attr.{name}"), value.clone()));
        facts.chain(attributes).collect()
    }

    /// The user's tenant as the user's sessions have it: with a home, if the tenant has homes. It is that of the
    /// principal, never of the name that the client has sent.
    pub(super) fn tenant(&self, tenant: &Arc<Tenant>) -> Arc<Tenant> {
        tenant.for_principal(&self.identity.principal, &self.home)
    }
}
