//! One authenticator: its settings, its plugin, and what the log says of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use whelk_runtime::limits::Throttle;
use whelk_runtime::{Authenticator, Error, Facts, Limit, Lookup, Plugin, Registry};

use super::pool::InstancePool;
use crate::config::{Authorities, RequiredMethods, UserPattern};
use crate::observe::escape::escape;
use crate::observe::event::{LoginEvent, emit};
use crate::source::Source;
use crate::tenant::Tenants;

/// The most idle instances that are ended to make room for one new instance.
const RETRIES: u32 = 2;

/// One authenticator of the configuration.
pub(crate) struct ConfiguredAuthenticator {
    pub(super) name: String,
    /// The name of its plugin in the operator's folder.
    pub(super) plugin: String,
    pub(super) users: Vec<UserPattern>,
    pub(super) methods: RequiredMethods,
    pub(super) authorities: Option<Authorities>,
    /// The tenants that it may grant, each with its own plugin.
    pub(super) tenants: BTreeMap<String, Option<String>>,
    pub(super) environment: Environment,
    /// The limits of its instances, its configuration, and its store.
    pub(super) own: Arc<whelk_runtime::Tenant>,
    pub(super) failures: Throttle,
    pub(super) refusals: Throttle,
}

/// What all authenticators share.
#[derive(Clone)]
pub(super) struct Environment {
    pub(super) pool: Arc<InstancePool>,
    pub(super) operators: Arc<Registry>,
    pub(super) tenants: Arc<Tenants>,
    /// How long the first login after a start waits for the plugin to be compiled.
    pub(super) prepare_wait: Duration,
}

impl ConfiguredAuthenticator {
    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it may grant this tenant.
    pub(crate) fn may_grant(&self, tenant: &str) -> bool {
        self.tenants.contains_key(tenant)
    }

    /// The methods that must succeed besides what it says.
    pub(crate) fn methods(&self) -> &RequiredMethods {
        &self.methods
    }

    /// The authorities whose certificates it is shown. None: the server's.
    pub(crate) fn authorities(&self) -> Option<&Authorities> {
        self.authorities.as_ref()
    }

    /// Makes an instance for an exchange with a client of this source. If there is no room for it, idle ones end: they
    /// hold memory before there are as many as the limit allows.
    ///
    /// # Errors
    /// Why there is none, for the log.
    pub(super) async fn instance(&self, facts: &Facts, newcomer: Source) -> Result<Authenticator, String> {
        let plugin = self.plugin().await?;
        let mut retries = RETRIES;
        loop {
            match plugin.authenticator(facts, &self.own).await {
                Err(error) if retries > 0 && lacks_room(&error) && self.environment.pool.end_idle(newcomer).await => {
                    retries -= 1;
                }
                made => return made.map_err(|error| error.to_string()),
            }
        }
    }

    /// Its plugin, as it is served now.
    async fn plugin(&self) -> Result<Arc<Plugin>, String> {
        let Environment { operators, prepare_wait, .. } = &self.environment;
        let settled = timeout(*prepare_wait, operators.settled(&self.plugin)).await;
        let plugin = match settled.unwrap_or_else(|_| operators.lookup(&self.plugin)) {
            Lookup::Found(plugin) => plugin,
            Lookup::Preparing => return Err("its plugin is still being prepared".to_owned()),
            Lookup::Retried => return Err("its plugin could not be prepared yet, and is tried again".to_owned()),
            Lookup::Unrunnable(_) | Lookup::Absent => {
                return Err(
                    "its plugin is not served: see `whelk plugin list`, and put its file into the folder of the \
                            operator's plugins"
                        .to_owned(),
                );
            }
        };
        if !plugin.is_authenticator() {
            let world = plugin.world_name();
            return Err(format!(
                "its plugin is of the world {world} and no authenticator: replace its file, or name another"
            ));
        }
        Ok(plugin)
    }

    /// Logs that it gave no answer that can be used.
    pub(super) fn log_failure(&self, connection: u64, user: &str, reason: &str) {
        let Some(admitted) = self.failures.allow(Instant::now()) else { return };
        let reason = reason.replace('\n', " ");
        let (user, reason) = (escape(user.as_bytes()), escape(reason.as_bytes()));
        let (authenticator, plugin, more) = (&*self.name, escape(self.plugin.as_bytes()), admitted.suppressed);
        emit(LoginEvent::AuthenticatorFailed { connection, user, authenticator, plugin, reason, more });
    }

    /// Logs that it granted what nobody could use.
    pub(super) fn log_refusal(&self, connection: u64, user: &str, reason: &str) {
        let Some(admitted) = self.refusals.allow(Instant::now()) else { return };
        let (user, reason) = (escape(user.as_bytes()), escape(reason.as_bytes()));
        let (authenticator, more) = (&*self.name, admitted.suppressed);
        emit(LoginEvent::GrantRefused { connection, user, authenticator, reason, more });
    }
}

/// Whether an instance could not be made because others take up the room.
fn lacks_room(error: &Error) -> bool {
    let of_others = [Limit::Sessions, Limit::TenantMemory, Limit::AllMemory];
    match error {
        Error::Full(_) => true,
        Error::Limit { limit, .. } => of_others.contains(limit),
        _ => false,
    }
}
