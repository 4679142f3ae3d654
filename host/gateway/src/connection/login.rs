//! The login of one connection: hands each attempt to [`Access`](crate::auth::access::Access), one at a time, and logs
//! how it ended.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::Level;
use whelk_ssh::auth::refused::{RefusedAttempts, RefusedKey};
use whelk_ssh::auth::server::{Attempt, Credential};
use whelk_ssh::connection::Server;
use whelk_ssh::error::{Error, Reason, Stage};

use crate::auth::access::{Identity, Overload, Verdict};
use crate::auth::attempt::OwnedAttempt;
use crate::observe::escape::{Escaped, escape};
use crate::observe::event::{LimitEvent, LoginEvent, emit};
use crate::server::gateway::Gateway;
use crate::source::Source;
use crate::tenant::Seat;

type Decision = Pin<Box<dyn Future<Output = Verdict> + Send>>;

/// The login of one connection.
pub(crate) struct Login {
    /// The number of the connection.
    connection: u64,
    source: Source,
    /// The attempt that is being decided.
    deciding: Option<Decision>,
    /// Whether an attempt had to wait for a hashing slot.
    queued: Arc<AtomicBool>,
}

impl Login {
    pub(crate) fn new(connection: u64, peer: IpAddr) -> Login {
        Login { connection, source: Source::of(peer), deciding: None, queued: Arc::default() }
    }

    /// Begins to decide an attempt, unless one is being decided: it is the same one then.
    pub(crate) fn begin(&mut self, gateway: &Gateway, attempt: &Attempt<'_>) {
        if self.deciding.is_none() {
            self.deciding = Some(decide(gateway, attempt, self.source, Arc::clone(&self.queued)));
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

    /// The error of a connection that has ended before its login was decided. When its time to log in ran out and an
    /// attempt had to wait for a slot, that was not the client's fault but an overload, which is logged.
    pub(crate) fn overdue(&self, server: &Server, error: Error) -> Error {
        match error {
            Error::TimedOut(Stage::Auth) if self.is_deciding() && self.queued.load(Ordering::Relaxed) => {
                self.log_undecided(server, "no hashing slot became free in time within limits.authentication_grace");
                Error::TooManyLogins
            }
            other => other,
        }
    }

    /// Logs an attempt that could not be decided, and gives the error with which its connection ends.
    pub(crate) fn undecided(&self, server: &Server, overload: Overload) -> Error {
        self.log_undecided(
            server,
            match overload {
                Overload::Slow => {
                    "hashing its password took longer than limits.decision_grace: raise it, or make a cheaper hash"
                }
                Overload::Memory => "there was not enough memory to hash its password in: see limits.hashing_memory",
                Overload::Panic => "hashing its password panicked",
            },
        );
        Error::LoginUndecided
    }

    fn log_undecided(&self, server: &Server, reason: &str) {
        let (connection, user) = (self.connection, escape(server.asking().unwrap_or_default()));
        emit(LoginEvent::Undecided { connection, user, reason });
    }

    /// Logs a password that was rejected. Keys are told when the login has failed: clients offer several as a matter of
    /// course.
    pub(crate) fn log_rejection(&self, attempt: &Attempt<'_>) {
        if let Credential::Password(_) = attempt.credential {
            let (connection, user) = (self.connection, escape(attempt.user));
            emit(LoginEvent::Rejected { connection, user, method: "password" });
        }
    }

    /// Logs who has logged in, and for whoever looks closer which keys were refused before: clients offer several as a
    /// matter of course, so that this is rarely news.
    pub(crate) fn log_success(&self, identity: &Identity, refused: &RefusedAttempts) {
        self.log_keys(refused, escape(identity.user.as_bytes()), Level::DEBUG);
        let (connection, method) = (self.connection, identity.method);
        let (user, plugin) = (escape(identity.user.as_bytes()), escape(identity.plugin.as_bytes()));
        emit(LoginEvent::Succeeded { connection, user, method, plugin });
    }

    /// Logs a login that has failed because its connection is over: each key that was refused, and what was tried in
    /// all.
    pub(crate) fn log_failure(&self, server: &Server, error: Option<&Error>) {
        let refused = server.refused();
        let Some(user) = server.asking().filter(|_| server.user().is_none() && refused.any()) else { return };
        let (connection, user) = (self.connection, escape(user));
        self.log_keys(refused, user, Level::INFO);
        let (keys, passwords, nones, others) = (refused.key_count, refused.passwords, refused.nones, refused.unknown);
        let reason = match error {
            Some(Error::TooManyAttempts) if keys > 1 => {
                format!(
                    "too many attempts ({keys} were keys): set IdentitiesOnly=yes in the client, or raise limits.failed_attempts"
                )
            }
            Some(error) => error.to_string(),
            None => "the peer hung up".to_owned(),
        };
        let reason = escape(reason.as_bytes());
        emit(LoginEvent::Failed { connection, user, keys, passwords, nones, others, reason });
    }

    /// Logs each key that was refused, at `info` or `debug`.
    fn log_keys(&self, refused: &RefusedAttempts, user: Escaped<'_>, level: Level) {
        let connection = self.connection;
        for RefusedKey { algorithm, fingerprint, reason } in refused.keys() {
            let algorithm = escape(algorithm);
            emit(LoginEvent::KeyRefused { connection, user, algorithm, fingerprint, reason, level });
        }
    }

    /// Takes a place for this connection among those of its user.
    ///
    /// # Errors
    /// When the user has as many connections as are allowed.
    pub(crate) fn take_seat(&self, gateway: &Gateway, identity: &Identity) -> Result<Seat, Error> {
        let most = gateway.limits_of(identity).plugins.connections_per_user;
        gateway.tenants().acquire_connection(&identity.user, most).map_err(|crowded| {
            if crowded.is_news {
                let (user, tenant) = (escape(identity.user.as_bytes()), escape(identity.tenant.as_bytes()));
                let (connection, limit) = (self.connection, "connections_per_user");
                emit(LimitEvent::UserConnections { connection, user, tenant, limit, most });
            }
            Error::Closed(Reason::TooManyConnections)
        })
    }
}

/// Begins to decide an attempt.
fn decide(gateway: &Gateway, attempt: &Attempt<'_>, source: Source, queued: Arc<AtomicBool>) -> Decision {
    let access = Arc::clone(gateway.access());
    let attempt = OwnedAttempt::of(attempt);
    Box::pin(async move { access.decide(attempt.as_attempt(), source, &queued).await })
}
