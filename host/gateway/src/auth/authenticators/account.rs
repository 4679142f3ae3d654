//! What an authenticator grants, and whether sessions can have it.

use whelk_runtime::{LoginGrant, Lookup};

use super::configured::ConfiguredAuthenticator;

/// The account of a user whom an authenticator has let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GrantedAccount {
    /// Its name.
    pub(crate) principal: String,
    /// The tenant of the sessions.
    pub(crate) tenant: String,
    /// The plugin of the sessions, unless a route selects another.
    pub(crate) plugin: String,
    /// What plugins may know, by name.
    pub(crate) attributes: Vec<(String, String)>,
}

impl ConfiguredAuthenticator {
    /// The account of a grant. None if it cannot be used, which is logged with what to change.
    pub(crate) fn account(&self, connection: u64, user: &str, grant: LoginGrant) -> Option<GrantedAccount> {
        self.usable(grant).map_err(|reason| self.log_refusal(connection, user, &reason)).ok()
    }

    fn usable(&self, grant: LoginGrant) -> Result<GrantedAccount, String> {
        let LoginGrant { principal, tenant, plugin, attributes } = grant;
        let Some(tenants_own) = self.tenants.get(&tenant) else {
            let allowed: Vec<_> = self.tenants.keys().map(|name| format!("{name:?}")).collect();
            return Err(format!(
                "it grants the tenant {tenant:?}, and may grant {}: add the tenant to `tenants` of the authenticator, or \
                 correct what it grants",
                allowed.join(", ")
            ));
        };
        let Some(plugin) = plugin.or_else(|| tenants_own.clone()) else {
            return Err(format!(
                "it grants the tenant {tenant:?} without a plugin, and the tenant has none: add plugin = \"NAME\" to \
                 [tenants.{tenant}], or let it grant one"
            ));
        };
        match self.environment.tenants.lookup(&tenant, &plugin) {
            Lookup::Absent => Err(format!(
                "it grants the plugin {plugin:?}, which the tenant {tenant:?} does not have: put {plugin:?} with .wasm into \
                 the folder of the operator's plugins or of the tenant's, or correct what it grants"
            )),
            Lookup::Found(found) if found.is_authenticator() || found.is_connection_plugin() => Err(format!(
                "it grants the plugin {plugin:?}, which is of the world {} and serves no sessions: correct what it grants",
                found.world_name()
            )),
            Lookup::Found(_) | Lookup::Preparing | Lookup::Retried => {
                Ok(GrantedAccount { principal, tenant, plugin, attributes })
            }
        }
    }
}
