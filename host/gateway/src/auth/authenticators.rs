//! Authenticators: plugins that decide about the logins of users who are not in the configuration.
//!
//! At most one is asked about a name: the first of the configuration with a pattern that the whole name fits. What it
//! is shown was checked by the host (`access/asked.rs`), and so is what it grants (`account`). Whatever goes wrong is a
//! refusal: a crash, a late answer, a missing file, a plugin of another world, a grant that nobody could use.
//!
//! An [`Exchange`] has the instance that the login of one connection needs, in a place of the `pool`. Between two calls
//! it does not run. New instances are of the version that is served then; those that exist keep theirs. Unlike a
//! plugin of sessions a version that crashes is never replaced by an older one: what an operator has replaced may have
//! let in the wrong people.
//!
//! What a stranger can tell apart. The list of methods, refused keys and refused passwords look the same for a user of
//! the configuration, for a name that fits a pattern, and for any other: the same files are read, a password is hashed,
//! and the failure delay hides the time. A plugin that takes longer than `failure_delay` to refuse shows by that which
//! names fit its patterns, and so do its questions if they differ from `Password: `, which everybody else is asked.
//! Whether the person exists only the plugin knows: to hide that is its affair.

mod account;
mod configured;
mod exchange;
mod pool;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use whelk_runtime::limits::{Budget, Throttle, count};
use whelk_runtime::{Grants, Limits, Registry};

use crate::config::AuthenticatorConfig;
use crate::tenant::Tenants;
use crate::tenant::counts::SharedByName;
pub(crate) use account::GrantedAccount;
pub(crate) use configured::ConfiguredAuthenticator;
use configured::Environment;
pub(crate) use exchange::{Exchange, NoAnswer, Question};
use pool::InstancePool;

/// Of one authenticator's failures, and of its grants that cannot be used, at most one is logged in this time.
const LOG_PERIOD: Duration = Duration::from_secs(10);

/// All authenticators, in the order in which they are asked.
pub(crate) struct Authenticators {
    pool: Arc<InstancePool>,
    all: Vec<Arc<ConfiguredAuthenticator>>,
}

/// What authenticators are made with.
pub(crate) struct AuthenticatorParts<'a> {
    /// The limits of each instance.
    pub(crate) limits: Limits,
    /// The most instances at the same time, unless there are others before.
    pub(crate) instances: u32,
    /// The operator's plugins.
    pub(crate) operators: &'a Arc<Registry>,
    pub(crate) tenants: &'a Arc<Tenants>,
    /// The tenants' own plugins, by the tenants' names.
    pub(crate) plugins: BTreeMap<String, Option<String>>,
    /// Those of the configuration before a reload: the instances of both are counted together.
    pub(crate) before: Option<&'a Authenticators>,
    /// What is counted of each, by the name of its store.
    pub(crate) budgets: &'a SharedByName<Budget>,
}

impl Authenticators {
    /// Those of a configuration, each with its grants.
    pub(crate) fn new(
        configured: impl IntoIterator<Item = (AuthenticatorConfig, Grants)>,
        parts: &AuthenticatorParts<'_>,
    ) -> Authenticators {
        let pool = parts.before.map(|before| Arc::clone(&before.pool));
        let pool = pool.unwrap_or_else(|| Arc::new(InstancePool::new(count(parts.instances))));
        let environment = Environment {
            pool: Arc::clone(&pool),
            operators: Arc::clone(parts.operators),
            tenants: Arc::clone(parts.tenants),
            prepare_wait: parts.limits.prepare_wait,
        };
        let made = |(config, grants): (AuthenticatorConfig, Grants)| {
            let AuthenticatorConfig { name, plugin, users, tenants, methods, authorities, config: _, keyvalue: _ } =
                config;
            let store = store_name(&name);
            let budget = parts.budgets.get_or_make(&store, || Arc::new(Budget::new(&parts.limits)));
            let own = whelk_runtime::Tenant::with_budget(&store, parts.limits.clone(), grants, budget);
            let plugin_of = |tenant: String| {
                let plugin = parts.plugins.get(&tenant).cloned().flatten();
                (tenant, plugin)
            };
            Arc::new(ConfiguredAuthenticator {
                name,
                plugin,
                users,
                methods,
                authorities,
                tenants: tenants.into_iter().map(plugin_of).collect(),
                environment: environment.clone(),
                own,
                failures: Throttle::one_in(LOG_PERIOD),
                refusals: Throttle::one_in(LOG_PERIOD),
            })
        };
        Authenticators { pool, all: configured.into_iter().map(made).collect() }
    }

    /// Bounds what the instances of each have together by its limits. Two calls must not run at the same time.
    pub(crate) fn apply_limits(&self) {
        self.all.iter().for_each(|asked| asked.own.apply_limits());
    }

    /// The one that is asked about a name which is no user's.
    pub(crate) fn find(&self, name: &str) -> Option<&Arc<ConfiguredAuthenticator>> {
        self.all.iter().find(|asked| asked.users.iter().any(|pattern| pattern.fits(name)))
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &ConfiguredAuthenticator> {
        self.all.iter().map(|asked| &**asked)
    }
}

impl Default for Authenticators {
    fn default() -> Authenticators {
        Authenticators { pool: Arc::new(InstancePool::new(1)), all: Vec::new() }
    }
}

/// The name of an authenticator's store of keys and values. No tenant and no plugin can have a name with a slash.
pub(crate) fn store_name(authenticator: &str) -> String {
    format!("authenticator/{authenticator}")
}
