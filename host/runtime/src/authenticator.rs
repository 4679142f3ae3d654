//! Authenticators: plugins that decide who may log in (world `authenticator-plugin`).
//!
//! An instance lives as long as one client's exchange, so that it can ask several questions in turn. Between calls it
//! does not run: a person who types costs memory, and no time. What it answers is checked here, so that nothing that it
//! grants is out of bounds.
//!
//! The caller verifies signatures and certificates before it shows them, and treats every error as a refusal.

mod answer;
mod types;

use std::pin::pin;
use std::sync::Arc;

use answer::CanAsk;

use crate::channel::{SessionHalf, session_pipes};
use crate::engine::Purpose;
use crate::error::{Error, Limit, Stop};
use crate::host::HandOverCheck;
use crate::host::bindings::exports::authenticator as wit;
use crate::host::bindings::imports::channel::HandOverError;
use crate::limits::ticks;
use crate::limits::usage::{ProcessUsage, SessionUsage};
use crate::plugin::{Plugin, Presence};
use crate::process::{Functions, Guest, ProcessContext};
use crate::session_types::Facts;
use crate::tenant::Tenant;
use crate::{Inbox, Outbox};
pub use types::{
    LoginAnswer, LoginAttempt, LoginCertificate, LoginChallenge, LoginCredential, LoginGrant, LoginKey, LoginMethod,
};

/// An instance of an authenticator, for the exchange of one client.
pub struct Authenticator {
    guest: Guest,
    function: wit::Guest,
    tenant: Arc<Tenant>,
    /// How many prompts the open challenge has.
    asked: Option<usize>,
    /// It has failed and must not be called again.
    failed: bool,
    /// The imports that belong to sessions reach nobody.
    _pipes: (Inbox, Outbox, SessionHalf),
    /// It is one of the plugin's live instances.
    _presence: Presence,
}

impl Plugin {
    /// Whether it decides about logins, and serves no sessions.
    #[must_use]
    pub fn is_authenticator(&self) -> bool {
        self.world().decides_logins()
    }

    /// Makes an instance for one exchange. `tenant`: its limits (`grace` is the time that each call has), and grants,
    /// which include its configuration.
    ///
    /// # Errors
    /// It is no authenticator, there is no room, or it did not start.
    pub async fn authenticator(self: &Arc<Self>, facts: &Facts, tenant: &Arc<Tenant>) -> Result<Authenticator, Error> {
        let (inbox, outbox, half) = session_pipes(1, Arc::new(|| {}));
        let presence = self.register_session(half.shared(), tenant);
        let hand_over_check: HandOverCheck = Arc::new(|_| Err(HandOverError::NotPermitted));
        let session = Arc::new(SessionUsage::new(tenant.limits()));
        let context = ProcessContext {
            tenant,
            facts,
            pipes: half.shared(),
            hand_over_check: &hand_over_check,
            purpose: Purpose::Login,
            usage: &Arc::new(ProcessUsage::of(&session)),
            temporary: &Arc::default(),
            session_files: &Arc::default(),
            process: None,
        };
        let (guest, functions) = Box::pin(Guest::start(self, &context)).await.map_err(failure)?;
        match functions {
            Functions::Authenticator(function) => Ok(Authenticator {
                guest,
                function,
                tenant: Arc::clone(tenant),
                asked: None,
                failed: false,
                _pipes: (inbox, outbox, half),
                _presence: presence,
            }),
            Functions::Handler(_) | Functions::Program(_) | Functions::Connection(_) => {
                guest.reap().await;
                Err(Error::Refused("it serves sessions and is no authenticator".to_owned()))
            }
        }
    }
}

impl Authenticator {
    /// Asks for a decision. Each call has the processor time of a call, and by the clock the grace of its limits, in
    /// which waiting for a processor does not count.
    ///
    /// # Errors
    /// The instance has failed, now or before, or it answers what it must not: reject the attempt and drop it.
    pub async fn authenticate(
        &mut self,
        attempt: &LoginAttempt,
        credential: &LoginCredential,
    ) -> Result<LoginAnswer, Error> {
        if self.failed {
            return Err(Error::Refused("it has failed before".to_owned()));
        }
        if let LoginCredential::Answers(answers) = credential
            && self.asked != Some(answers.len())
        {
            return Err(Error::Refused("there is no challenge with as many prompts as answers".to_owned()));
        }
        self.asked = None;
        let can_ask = CanAsk::after(credential);
        let (attempt, credential) = (wit::Attempt::from(attempt), wit::Credential::from(credential));
        let (limits, store) = self.guest.begin_call(ticks(self.tenant.limits().cpu_call));
        let result = limits.run(true, pin!(self.function.call_authenticate(store, &attempt, &credential))).await;
        let answer = self.guest.leave(result).map_err(failure).and_then(|verdict| answer::check(verdict, can_ask));
        match &answer {
            Ok(LoginAnswer::Challenge(challenge)) => self.asked = Some(challenge.prompts.len()),
            Ok(
                LoginAnswer::Accept(_) | LoginAnswer::Partial(_) | LoginAnswer::ChangePassword(_) | LoginAnswer::Reject,
            ) => {}
            Err(_) => self.failed = true,
        }
        answer
    }

    /// Drops the instance. Its slot and its memory are free when this returns.
    pub async fn end(self) {
        self.guest.reap().await;
    }
}

/// A call that did not return is a failure, whatever the plugin calls it.
fn failure(stop: Stop) -> Error {
    match stop {
        Stop::Exited(status) => Error::Refused(format!("it has ended itself with status {status}")),
        Stop::Failed(Error::Limit { limit: Limit::Time, .. }) => {
            Error::Limit { limit: Limit::Time, detail: "it did not answer in time".to_owned() }
        }
        Stop::Failed(error) => error,
    }
}
