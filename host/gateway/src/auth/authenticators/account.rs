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
    /// The account of a grant to a user of a connection. None if it cannot be used, which is logged with what to
    /// change. `is_taken`: whether a user of the configuration has this name in this tenant.
    pub(crate) fn account(
        &self,
        (connection, user): (u64, &str),
        grant: LoginGrant,
        is_taken: impl FnOnce(&str, &str) -> bool,
    ) -> Option<GrantedAccount> {
        self.usable(grant, is_taken).map_err(|reason| self.log_refusal(connection, user, &reason)).ok()
    }

    fn usable(&self, grant: LoginGrant, is_taken: impl FnOnce(&str, &str) -> bool) -> Result<GrantedAccount, String> {
        let LoginGrant { principal, tenant, plugin, attributes } = grant;
        let Some(tenants_own) = self.tenants.get(&tenant) else {
            let allowed: Vec<_> = self.tenants.keys().map(|name| format!("{name:?}")).collect();
            return Err(format!(
                "it grants the tenant {tenant:?}, and may grant {}: add the tenant to `tenants` of the authenticator, or \
                 correct what it grants",
                allowed.join(", ")
            ));
        };
        if is_taken(&principal, &tenant) {
            return Err(format!(
                "it grants the principal {principal:?} of the tenant {tenant:?}, and [users.{principal}] is a user of that \
                 tenant: correct what it grants, or remove the user from the configuration"
            ));
        }
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
            Lookup::Found(_) | Lookup::Preparing | Lookup::Retried | Lookup::Unrunnable(_) => {
                Ok(GrantedAccount { principal, tenant, plugin, attributes })
            }
        }
    }
}
