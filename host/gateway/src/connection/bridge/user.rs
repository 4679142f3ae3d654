//! The user of a connection, and what its sessions may know of it.

use std::sync::Arc;

use whelk_runtime::{ConnectionHome, Facts, Tenant};
use whelk_ssh::connection::Server as ServerConnection;
use whelk_ssh::crypto::mac::Mac;

use crate::auth::access::Identity;
use crate::observe::escape::escape;

/// The user that has logged in on a connection.
pub(crate) struct SessionUser {
    pub(crate) identity: Identity,
    /// What a plugin may ask for, by name.
    pub(super) facts: Facts,
    /// The home that its sessions share while the connection lasts, if the tenant has such homes.
    pub(super) home: Arc<ConnectionHome>,
}

/// Where a connection comes from.
pub(crate) struct Origin {
    /// The connection's number, as in the log.
    pub(crate) connection: u64,
    /// The client's address and port, or `unknown`.
    pub(crate) peer: String,
    /// The address and port that it has connected to, or nothing.
    pub(crate) local: String,
}

impl SessionUser {
    /// Collects the facts of a connection whose first key exchange and login are complete.
    pub(crate) fn new(
        identity: Identity,
        origin: &Origin,
        connection: &ServerConnection,
        server_version: &str,
    ) -> SessionUser {
        let client_version = connection.peer_identification().unwrap_or_default();
        let mut facts = vec![
            ("connection-id", origin.connection.to_string()),
            ("user", identity.user.clone()),
            ("principal", identity.principal.clone()),
            ("tenant", identity.tenant.clone()),
            ("address", origin.peer.clone()),
            ("local-address", origin.local.clone()),
            ("client-version", escape(client_version).to_string()),
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
        if let Some(id) = connection.session_id() {
            facts.push(("session-id", id.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()));
        }
        if let Some(agreed) = connection.negotiated() {
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
        let facts = facts.chain(attributes).collect();
        SessionUser { identity, facts, home: ConnectionHome::new(origin.connection) }
    }

    /// The user's tenant as the user's sessions have it: with a home, if the tenant has homes. It is that of the
    /// principal, never of the name that the client has sent.
    pub(super) fn tenant(&self, tenant: &Arc<Tenant>) -> Arc<Tenant> {
        tenant.for_principal(&self.identity.principal, &self.home)
    }
}
