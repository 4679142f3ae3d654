//! The login of one connection: hands each attempt to [`Access`], one at a time, and logs
//! how it ended.
//!
//! From the packet to the decision:
//!
//! ```text
//!  USERAUTH_REQUEST ──► whelk-ssh auth/server.rs   parses it, verifies the signature of a key
//!                       Question: Attempt          whelk-ssh asks; nothing more is read until the decision
//!                       driver.rs  answer          Login::begin starts the decision
//!                       auth/attempt.rs            copies the attempt, which outlives its packet
//!                       auth/access.rs  decide     looks up the user
//!                       auth/access/asked.rs       asks an authenticator about a user who is not found
//!                       auth/authenticators.rs     makes its instance, and checks what it grants
//!                       auth/access/keys.rs        reads the key file, on a blocking thread; checks the key's options
//!                       auth/access/password.rs    takes a hash, the user's or another
//!                       auth/access/slots.rs       waits for a hashing slot; auth/access/queue.rs decides who is next
//!                       credential/password.rs     hashes, on a blocking thread
//!                       auth/access/delay.rs       delays a rejection (failure_delay)
//!                       driver.rs  decide          Decision: Reject, Accept, or Undecided, which ends the connection
//!  USERAUTH_FAILURE ◄── whelk-ssh auth/server.rs   or USERAUTH_SUCCESS; USERAUTH_PK_OK for a key that was offered;
//!                                                  USERAUTH_INFO_REQUEST, whose answers are the next attempt
//!                       driver.rs  decide          after a login: permits, the tenant's budgets, Bridge::logged_in
//! ```

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use tracing::Level;
use whelk_ssh::auth::method::AuthMethod;
use whelk_ssh::auth::refused::{RefusedAttempts, RefusedKey};
use whelk_ssh::auth::server::{Attempt, Credential};
use whelk_ssh::connection::Server as ServerConnection;
use whelk_ssh::error::{Error, Reason, Stage};

use crate::auth::access::{Access, AuthProgress, CertificateFacts, Decision, Identity, Overload, PartialLogin};
use crate::auth::attempt::{AttemptContext, OwnedAttempt};
use crate::auth::authenticators::Exchange;
use crate::observe::audit;
use crate::observe::escape::{cut, escape};
use crate::observe::event::{LimitEvent, LoginEvent, emit, emit_throttled};
use crate::observe::strangers::{self, About};
use crate::server::connection_table::ConnectionTable;
use crate::server::gateway::Gateway;
use crate::server::listener::ConnectionPermit;
use crate::source::Peer;
use crate::tenant::UserPermit;

type PendingDecision = Pin<Box<dyn Future<Output = Decision> + Send>>;

/// The login of one connection.
pub(crate) struct Login {
    /// The number of the connection.
    connection_id: u64,
    peer: Peer,
    /// Decides about the attempts. None after the login: the connection may last for months.
    access: Option<Arc<Access>>,
    /// The attempt that is being decided.
    deciding: Option<PendingDecision>,
    /// Whether an attempt had to wait for a hashing slot.
    queued: Arc<AtomicBool>,
    /// The methods that have succeeded.
    progress: AuthProgress,
    /// The attempts so far.
    attempts: u32,
    /// A key or certificate was offered.
    has_offered: bool,
    /// The exchange with an authenticator, until the login is over.
    exchange: Option<Exchange>,
    /// The algorithm of the key that the attempt in progress has proven.
    trying: Option<String>,
    /// That of the key that was proven last and accepted.
    algorithm: Option<String>,
    /// The attempt in progress has a new password.
    changes_password: bool,
}

impl Login {
    pub(crate) fn new(connection_id: u64, peer: Peer, access: Arc<Access>) -> Login {
        let (progress, queued) = (AuthProgress::default(), Arc::default());
        let (deciding, exchange, trying, algorithm, changes_password) = (None, None, None, None, false);
        Login {
            connection_id,
            peer,
            access: Some(access),
            deciding,
            queued,
            progress,
            attempts: 0,
            has_offered: false,
            exchange,
            trying,
            algorithm,
            changes_password,
        }
    }

    /// Starts the decision about an attempt of this connection. A decision in progress is about the same attempt, so it
    /// is kept.
    ///
    /// # Errors
    /// [`Overload::Penalty`] for a password or an answer while the source is refused: it is not looked at, and not
    /// passed to an authenticator. A key is: it is no guess, and cheap.
    pub(crate) fn begin(
        &mut self,
        gateway: &Gateway,
        attempt: &Attempt<'_>,
        connection: &ServerConnection,
        permit: &ConnectionPermit,
    ) -> Result<(), Overload> {
        if self.deciding.is_none() {
            self.attempts = self.attempts.saturating_add(1);
            self.has_offered |=
                matches!(attempt.credential, Credential::KeyOffered(_) | Credential::CertificateOffered(_));
            self.trying = proven_algorithm(attempt.credential).map(str::to_owned);
            self.changes_password = matches!(attempt.credential, Credential::NewPassword { .. });
            let context = AttemptContext {
                connection: self.connection_id,
                peer: self.peer,
                presence: connection.presence(),
                number: self.attempts,
                client_version: escape(connection.peer_identification().unwrap_or_default()).to_string(),
                exchange: self.exchange.get_or_insert_default().clone(),
                penalty: permit.penalty(),
            };
            let is_secret = matches!(
                attempt.credential,
                Credential::Password(_) | Credential::NewPassword { .. } | Credential::Answers(_)
            );
            if is_secret && context.is_refused() {
                return Err(Overload::Penalty);
            }
            let Some(access) = self.access.clone() else { return Ok(()) };
            let (progress, table) = (self.progress.clone(), Arc::clone(gateway.connections()));
            let queued = Arc::clone(&self.queued);
            self.deciding = Some(decide((access, table), attempt, context, progress, queued));
        }
        Ok(())
    }

    /// How many passwords and answers were refused that nobody has judged.
    pub(crate) fn unjudged(&self) -> u32 {
        self.exchange.as_ref().map_or(0, Exchange::unjudged)
    }

    /// Whether a key or a certificate was offered, which is an attempt even if the client did not sign with it.
    pub(crate) fn has_offered(&self) -> bool {
        self.has_offered
    }

    /// Whether a method has succeeded, and another was to follow.
    pub(crate) fn has_partial(&self) -> bool {
        self.progress.done().next().is_some()
    }

    /// Whether an attempt is being decided.
    pub(crate) fn is_deciding(&self) -> bool {
        self.deciding.is_some()
    }

    /// The decision, if it needs no wait. Otherwise [`decided`](Self::decided) must be polled next: nobody else is
    /// woken.
    pub(crate) fn decided_at_once(&mut self) -> Option<Decision> {
        let deciding = self.deciding.as_mut()?;
        match deciding.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(decision) => {
                self.deciding = None;
                Some(decision)
            }
            Poll::Pending => None,
        }
    }

    /// Waits for the decision. Without one it waits for ever. Can be dropped and called again.
    pub(crate) async fn decided(&mut self) -> Decision {
        let Some(decision) = &mut self.deciding else { return std::future::pending().await };
        let decision = decision.await;
        self.deciding = None;
        decision
    }

    /// Replaces a login timeout by `TooManyLogins` if the attempt was still waiting for a hashing slot: the server was
    /// overloaded. Logs that.
    pub(crate) fn reclassify_timeout(&self, connection: &ServerConnection, error: Error) -> Error {
        match error {
            Error::TimedOut(Stage::Auth) if self.is_deciding() && self.queued.load(Ordering::Relaxed) => {
                self.log_undecided(
                    connection,
                    "no hashing slot became free in time within limits.authentication_grace",
                );
                Error::TooManyLogins
            }
            other => other,
        }
    }

    /// Logs an attempt that could not be decided, and gives the error with which its connection ends. `None`, and
    /// nothing logged: its source has a penalty.
    pub(crate) fn undecided(&self, connection: &ServerConnection, overload: Overload) -> Option<Error> {
        self.log_undecided(
            connection,
            match overload {
                Overload::Penalty => return None,
                Overload::Slow => {
                    "hashing its password took longer than limits.decision_grace: raise it, or make a cheaper hash"
                }
                Overload::Memory => "there was not enough memory to hash its password in: see limits.hashing_memory",
                Overload::Panic => "hashing its password, or reading a file that decides on its key, panicked",
                Overload::Audit => {
                    "audit.required is set and the audit cannot be written; see \"audit cannot be written\" in the log"
                }
                Overload::SlowFile => {
                    "reading its keys, the authorities or the revoked keys took longer than limits.decision_grace"
                }
            },
        );
        Some(Error::LoginUndecided)
    }

    fn log_undecided(&self, connection: &ServerConnection, reason: &str) {
        let user = cut(connection.asking().unwrap_or_default(), strangers::NAME);
        let has_line = strangers::may_tell(About::Other, self.peer.source(), user.len());
        let (connection, peer, user) = (self.connection_id, self.peer, escape(user));
        emit_throttled(has_line, LoginEvent::Undecided { connection, peer, user, reason });
    }

    /// Logs a password that was rejected, by either method. Rejected keys are logged when the login is over: clients
    /// routinely offer several keys.
    pub(crate) fn log_rejection(&self, attempt: &Attempt<'_>) {
        let method = match attempt.credential {
            Credential::Password(_) | Credential::NewPassword { .. } => AuthMethod::Password,
            Credential::Answers(_) => AuthMethod::KeyboardInteractive,
            _ => return,
        };
        let has_line = strangers::may_tell(About::Attempt, self.peer.source(), attempt.user.len());
        let access = self.access.as_ref();
        let reason = access.map(|access| access.why_rejected(attempt, &self.progress)).unwrap_or_default().as_bytes();
        let tenant = self.tenant_of(attempt.user);
        let (user, method, reason) = (escape(cut(attempt.user, strangers::NAME)), method.name(), escape(reason));
        let (connection, peer, tenant, level) = (self.connection_id, self.peer, tenant.as_deref(), Level::INFO);
        let (algorithm, fingerprint, key_id, serial, authority) = (None, None, None, None, None);
        let rejected = LoginEvent::Rejected {
            connection,
            peer,
            method,
            user,
            tenant,
            reason,
            algorithm,
            fingerprint,
            key_id,
            serial,
            authority,
            level,
        };
        emit_throttled(has_line, rejected);
    }

    /// Logs that the user has a new password, if the attempt that has succeeded had one.
    fn log_password_change(&self, identity: &Identity) {
        if self.changes_password {
            let (user, tenant) = (escape(identity.user.as_bytes()), escape(identity.tenant.as_bytes()));
            emit(LoginEvent::PasswordChanged { connection: self.connection_id, peer: self.peer, user, tenant });
        }
    }

    /// Remembers a method that has succeeded, and logs it.
    pub(crate) fn add_partial(&mut self, partial: PartialLogin) {
        self.log_password_change(&partial.identity);
        self.algorithm = self.trying.take().or(self.algorithm.take());
        let PartialLogin { method, identity, next } = &partial;
        let (connection, peer, method, next) = (self.connection_id, self.peer, method.name(), next.list());
        let (user, tenant) = (escape(identity.user.as_bytes()), escape(identity.tenant.as_bytes()));
        emit(LoginEvent::Partial { connection, peer, method, next: &next, user, tenant });
        self.progress.add(partial);
    }

    /// The login has succeeded: ends its exchange with an authenticator. Logs it at INFO, and at DEBUG each key that
    /// was refused before it, because clients routinely offer several keys. One that the user has but may not use is
    /// logged at INFO.
    pub(crate) fn succeeded(&mut self, identity: &Identity, refused: &RefusedAttempts) {
        (self.exchange, self.access) = (None, None);
        self.log_password_change(identity);
        let Identity { user, principal, tenant, plugin, method, fingerprint, certificate, .. } = identity;
        let name = user.as_bytes();
        for key in refused.keys() {
            let level = if key.is_known { Level::INFO } else { Level::DEBUG };
            self.log_key(true, key, (name, Some(tenant)), None, level);
        }
        let principal = Some(principal).filter(|principal| *principal != user);
        let principal = principal.map(|principal| escape(principal.as_bytes()).to_string());
        let algorithm = self.trying.take().or(self.algorithm.take()).filter(|_| fingerprint.is_some());
        let (key_id, serial, authority) = match certificate {
            Some(CertificateFacts { key_id, serial, authority }) => {
                (Some(&**key_id), Some(*serial), Some(&**authority))
            }
            None => (None, None, None),
        };
        emit(LoginEvent::Succeeded {
            connection: self.connection_id,
            peer: self.peer,
            method,
            user: escape(name),
            principal: principal.as_deref(),
            tenant: escape(tenant.as_bytes()),
            plugin: escape(plugin.as_bytes()),
            algorithm: algorithm.as_deref(),
            fingerprint: fingerprint.as_deref(),
            key_id,
            serial,
            authority,
        });
    }

    /// Logs a login that has failed because its connection is over: each key that was refused, and what was tried in
    /// all.
    pub(crate) fn log_failure(&self, connection: &ServerConnection, error: Option<&Error>) {
        let refused = connection.refused();
        let Some(user) = connection.asking().filter(|_| connection.user().is_none() && refused.any()) else { return };
        let (tenant, source) = (self.tenant_of(user), self.peer.source());
        let tenant = tenant.as_deref();
        let is_unknown = self.access.as_ref().is_some_and(|access| access.is_unknown(user));
        let unknown = is_unknown.then_some("unknown user: ");
        for key in refused.keys() {
            let chosen = key.certificate.as_ref().map_or(user.len(), |shown| user.len() + shown.key_id.len());
            let has_line = strangers::may_tell(About::Attempt, source, chosen);
            self.log_key(has_line, key, (user, tenant), unknown, Level::INFO);
        }
        let has_line = strangers::may_tell(About::Attempt, source, user.len());
        let (keys, passwords, interactive) = (refused.key_count, refused.passwords, refused.interactive);
        let (nones, others) = (refused.nones, refused.unknown);
        let reason = match error {
            Some(Error::TooManyAttempts) if keys > 1 => {
                format!(
                    "too many attempts ({keys} were keys): set IdentitiesOnly=yes in the client, or raise limits.failed_attempts"
                )
            }
            Some(error) => error.to_string(),
            None => "the peer hung up".to_owned(),
        };
        let (connection, peer, user) = (self.connection_id, self.peer, escape(cut(user, strangers::NAME)));
        let reason = escape(cut(reason.as_bytes(), REASON));
        let failed =
            LoginEvent::Failed { connection, peer, keys, passwords, interactive, nones, others, user, tenant, reason };
        emit_throttled(has_line, failed);
    }

    /// The tenant of a known user, as the log shows it.
    fn tenant_of(&self, user: &[u8]) -> Option<String> {
        self.access.as_ref()?.tenant_of(user).map(|tenant| escape(tenant.as_bytes()).to_string())
    }

    /// Logs a key that was refused. `because` precedes its own reason. Without `has_line` only subscribers are told.
    fn log_key(
        &self,
        has_line: bool,
        key: &RefusedKey,
        (user, tenant): (&[u8], Option<&str>),
        because: Option<&str>,
        level: Level,
    ) {
        let reason = format!("{}{}", because.unwrap_or_default(), key.reason);
        let shown = key.certificate.as_ref().map(|shown| (escape(&shown.key_id).to_string(), shown));
        let (algorithm, method) = (escape(&key.algorithm).to_string(), AuthMethod::PublicKey.name());
        let rejected = LoginEvent::Rejected {
            connection: self.connection_id,
            peer: self.peer,
            method,
            user: escape(cut(user, strangers::NAME)),
            tenant,
            reason: escape(cut(reason.as_bytes(), REASON)),
            algorithm: Some(&algorithm),
            fingerprint: Some(&key.fingerprint),
            key_id: shown.as_ref().map(|(key_id, _)| key_id.as_str()),
            serial: shown.as_ref().map(|(_, shown)| shown.serial),
            authority: shown.as_ref().map(|(_, shown)| shown.authority.as_str()),
            level,
        };
        emit_throttled(has_line, rejected);
    }

    /// Acquires the permit for one more connection of this user.
    ///
    /// # Errors
    /// When the user has as many connections as are allowed.
    pub(crate) fn acquire_connection(&self, gateway: &Gateway, identity: &Identity) -> Result<UserPermit, Error> {
        let most = gateway.limits_of(identity).plugins.connections_per_user;
        gateway.tenants().acquire_connection(&identity.account(), most).map_err(|crowded| {
            let (user, tenant) = (escape(identity.principal.as_bytes()), escape(identity.tenant.as_bytes()));
            let (connection, limit) = (self.connection_id, "connections_per_user");
            emit_throttled(crowded.is_news, LimitEvent::UserConnections { connection, user, tenant, limit, most });
            Error::Closed(Reason::TooManyConnections)
        })
    }
}

/// The most bytes of a reason in a line about somebody who has not logged in. The server writes it.
const REASON: usize = 200;

/// The algorithm of a key that the client has signed with.
fn proven_algorithm(credential: Credential<'_>) -> Option<&str> {
    match credential {
        Credential::KeyProven(key) => Some(key.algorithm()),
        Credential::CertificateProven(certificate) => Some(certificate.key().algorithm()),
        _ => None,
    }
}

/// Starts the decision about an attempt. Who is accepted after a reload must be welcome by the newest configuration,
/// too, though the connection keeps that of its beginning. After several methods the earlier proofs must still count.
fn decide(
    (access, table): (Arc<Access>, Arc<ConnectionTable>),
    attempt: &Attempt<'_>,
    context: AttemptContext,
    progress: AuthProgress,
    queued: Arc<AtomicBool>,
) -> PendingDecision {
    if audit::refusal().is_some() {
        // Before anything is looked at, so that it tells nothing about users.
        return Box::pin(std::future::ready(Decision::Undecided(Overload::Audit)));
    }
    let attempt = OwnedAttempt::of(attempt);
    Box::pin(async move {
        let decision = access.decide(attempt.as_attempt(), &context, &progress, &queued).await;
        let is_offer =
            matches!(attempt.as_attempt().credential, Credential::KeyOffered(_) | Credential::CertificateOffered(_));
        let Decision::Accept(identity) = &decision else { return decision };
        let newest = table.logins().newer_than(access.number());
        // What is only offered lets nobody in.
        if is_offer || (newest.is_none() && progress.done().next().is_none()) {
            return decision;
        }
        // On the heap: it happens only during a reload, and after several methods.
        let accepts = Box::pin(async {
            let newest = newest.as_ref().unwrap_or(&access);
            newest.still_accepts(identity, &progress, context.peer).await
        });
        if accepts.await { decision } else { Decision::Reject }
    })
}
