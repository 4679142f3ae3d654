//! The login of one connection: hands each attempt to [`Access`](crate::access::Access), one at a time, and logs how it ended.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use whelk_ssh::auth::server;
use whelk_ssh::error::{Error, Reason};
use zeroize::Zeroizing;

use crate::access::{Attempt, Credential, Identity, Verdict};
use crate::gateway::Gateway;
use crate::logging::escape;
use crate::tenant::Seat;

type Decision = Pin<Box<dyn Future<Output = Verdict> + Send>>;

/// The login of one connection.
pub(crate) struct Login {
    /// The number of the connection.
    connection: u64,
    /// The attempt that is being decided.
    deciding: Option<Decision>,
}

impl Login {
    pub(crate) fn new(connection: u64) -> Login {
        Login { connection, deciding: None }
    }

    /// Begins to decide an attempt, unless one is being decided: it is the same one then.
    pub(crate) fn begin(&mut self, gateway: &Gateway, attempt: &server::Attempt<'_>) {
        if self.deciding.is_none() {
            self.deciding = Some(decide(gateway, attempt));
        }
    }

    /// Whether an attempt is being decided.
    pub(crate) fn is_deciding(&self) -> bool {
        self.deciding.is_some()
    }

    /// Waits for the decision. Without one it waits for ever. Can be dropped and called again.
    pub(crate) async fn decided(&mut self) -> Verdict {
        let Some(decision) = &mut self.deciding else { return std::future::pending().await };
        let verdict = decision.await;
        self.deciding = None;
        verdict
    }

    /// Logs an attempt that was rejected. Clients ask with `none` and offer keys as a matter of course: those are no failed logins.
    pub(crate) fn log_rejection(&self, attempt: &server::Attempt<'_>) {
        let (connection, user) = (self.connection, escape(attempt.user));
        match attempt.credential {
            server::Credential::None => tracing::debug!(connection, %user, method = "none", "rejected"),
            server::Credential::KeyOffered(_) => tracing::debug!(connection, %user, method = "publickey", "rejected"),
            server::Credential::Password(_) => tracing::info!(connection, %user, method = "password", "rejected"),
            server::Credential::KeyProven(_) => tracing::info!(connection, %user, method = "publickey", "rejected"),
        }
    }

    /// Logs who has logged in.
    pub(crate) fn log_success(&self, identity: &Identity) {
        tracing::info!(
            connection = self.connection,
            user = %escape(identity.user.as_bytes()),
            method = identity.method,
            plugin = %escape(identity.plugin.as_bytes()),
            "authenticated"
        );
    }

    /// Takes a place for this connection among those of its user.
    ///
    /// # Errors
    /// When the user has as many connections as are allowed.
    pub(crate) fn take_seat(&self, gateway: &Gateway, identity: &Identity) -> Result<Seat, Error> {
        let most = gateway.limits_of(identity).connections_per_user;
        gateway.tenants().enter(&identity.user, most).map_err(|crowded| {
            if crowded.is_news {
                let (user, tenant) = (escape(identity.user.as_bytes()), escape(identity.tenant.as_bytes()));
                let (connection, limit) = (self.connection, "connections_per_user");
                tracing::warn!(connection, %user, %tenant, limit, most, "user over limit");
            }
            Error::Closed(Reason::TooManyConnections)
        })
    }
}

/// Begins to decide an attempt. Copies the credential so that the future is `'static`; the copy is zeroized on drop.
fn decide(gateway: &Gateway, attempt: &server::Attempt<'_>) -> Decision {
    let access = Arc::clone(gateway.access());
    let user = attempt.user.to_vec();
    match attempt.credential {
        server::Credential::None => {
            Box::pin(async move { access.decide(Attempt { user: &user, credential: Credential::None }).await })
        }
        server::Credential::Password(password) => {
            let password = Zeroizing::new(password.to_vec());
            Box::pin(async move {
                access.decide(Attempt { user: &user, credential: Credential::Password(&password) }).await
            })
        }
        server::Credential::KeyOffered(key) => {
            let key = key.clone();
            Box::pin(async move {
                let (algorithm, blob) = (key.algorithm().as_bytes(), key.blob());
                access.decide(Attempt { user: &user, credential: Credential::KeyOffered { algorithm, blob } }).await
            })
        }
        server::Credential::KeyProven(key) => {
            let key = key.clone();
            Box::pin(async move {
                let (algorithm, blob) = (key.algorithm().as_bytes(), key.blob());
                access.decide(Attempt { user: &user, credential: Credential::KeyProven { algorithm, blob } }).await
            })
        }
    }
}
