//! The exchange of one connection with an authenticator: its instance, from the first question to the end of the login.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::Mutex;
use tokio::time::Instant;
use whelk_runtime::{Facts, LoginAnswer, LoginAttempt, LoginCredential, LoginMethod};
use zeroize::Zeroize;

use super::configured::ConfiguredAuthenticator;
use super::pool::{Instance, TakenPlace};
use crate::observe::escape::escape;
use crate::observe::event::{LoginEvent, emit};
use crate::source::Peer;

/// The exchange of one connection. A clone is the same exchange; when the last one is dropped, so is the instance.
///
/// A connection has one user name: the protocol ends it when the name changes. So it has one authenticator.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exchange {
    state: Arc<Mutex<ExchangeState>>,
    /// How many passwords and answers were refused because it failed.
    unjudged: Arc<AtomicU32>,
}

#[derive(Default)]
struct ExchangeState {
    /// The instance's, once there is one.
    place: Option<TakenPlace>,
    /// The client was asked a question and has not answered.
    has_asked: bool,
}

impl std::fmt::Debug for ExchangeState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExchangeState").finish_non_exhaustive()
    }
}

/// One attempt, as an authenticator is shown it.
pub(crate) struct Question<'a> {
    /// The number of the connection.
    pub(crate) connection: u64,
    pub(crate) peer: Peer,
    /// The name that the client asks for.
    pub(crate) user: &'a str,
    /// The client's identification line, escaped.
    pub(crate) client_version: &'a str,
    /// Counts the attempts of the connection from 1.
    pub(crate) number: u32,
    /// The methods that have succeeded.
    pub(crate) satisfied: Vec<LoginMethod>,
    /// The name of the method, for the log.
    pub(crate) method: &'static str,
    pub(crate) credential: LoginCredential,
}

/// There is no answer: the attempt is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// It failed, which was logged.
    Failed,
    /// Its place was given up for another client, and with it the question.
    BeginAnew,
    /// The client answers a question that the authenticator did not ask.
    NotAsked,
}

/// Passwords and answers are zeroized.
impl Drop for Question<'_> {
    fn drop(&mut self) {
        match &mut self.credential {
            LoginCredential::Password(password) => password.zeroize(),
            LoginCredential::NewPassword { old, new } => [old, new].into_iter().for_each(Zeroize::zeroize),
            LoginCredential::Answers(answers) => answers.iter_mut().for_each(Zeroize::zeroize),
            LoginCredential::None
            | LoginCredential::KeyOffered(_)
            | LoginCredential::KeyProven(_)
            | LoginCredential::InteractiveStarted
            | LoginCredential::Abandoned => {}
        }
    }
}

impl Exchange {
    /// How many passwords and answers were refused because the authenticator failed: no fault of the client's.
    pub(crate) fn unjudged(&self) -> u32 {
        self.unjudged.load(Ordering::Relaxed)
    }

    /// Asks the authenticator: makes an instance if there is none. Cancel safe: the instance ends.
    pub(crate) async fn ask(
        &self,
        authenticator: &ConfiguredAuthenticator,
        question: &Question<'_>,
    ) -> Result<LoginAnswer, NoAnswer> {
        let began = Instant::now();
        let mut state = self.state.lock().await;
        let asked = state.ask(authenticator, question).await;
        if asked.is_err() {
            *state = ExchangeState::default();
        }
        drop(state);
        if asked == Err(NoAnswer::Failed) && question.credential.is_secret() {
            self.unjudged.fetch_add(1, Ordering::Relaxed);
        }
        let answer = match &asked {
            Ok(LoginAnswer::Accept(_)) => "accept",
            Ok(LoginAnswer::Partial(_)) => "partial",
            Ok(LoginAnswer::Challenge(_)) => "challenge",
            Ok(LoginAnswer::ChangePassword(_)) => "change password",
            Ok(LoginAnswer::Reject) => "reject",
            Err(NoAnswer::Failed) => "failed",
            Err(NoAnswer::BeginAnew) => "begin anew",
            Err(NoAnswer::NotAsked) => "not asked",
        };
        let (connection, user, method) = (question.connection, escape(question.user.as_bytes()), question.method);
        let (authenticator, took_ms) = (&*authenticator.name, began.elapsed().as_secs_f32() * 1000.0);
        emit(LoginEvent::AuthenticatorAsked { connection, user, authenticator, method, answer, took_ms });
        asked
    }
}

impl ExchangeState {
    async fn ask(
        &mut self,
        authenticator: &ConfiguredAuthenticator,
        question: &Question<'_>,
    ) -> Result<LoginAnswer, NoAnswer> {
        let answers = matches!(question.credential, LoginCredential::Answers(_));
        let was_asked = std::mem::take(&mut self.has_asked);
        if answers && !was_asked {
            return Err(NoAnswer::NotAsked);
        }
        let attempt = question.attempt();
        if was_asked && !answers {
            self.abandon(authenticator, question, &attempt).await?;
        }
        let lifted = self.place.as_ref().and_then(TakenPlace::lift);
        let instance = match lifted {
            Some(instance) => instance,
            // The place was given up, and with it the question.
            None if answers => return Err(NoAnswer::BeginAnew),
            None => self.make(authenticator, question).await?,
        };
        let answer = self.call(authenticator, question, instance, (&attempt, &question.credential)).await?;
        self.has_asked = matches!(answer, LoginAnswer::Challenge(_));
        Ok(answer)
    }

    /// Tells the instance that its question will not be answered. Whatever it says to that has no effect.
    async fn abandon(
        &mut self,
        authenticator: &ConfiguredAuthenticator,
        question: &Question<'_>,
        attempt: &LoginAttempt,
    ) -> Result<(), NoAnswer> {
        let Some(instance) = self.place.as_ref().and_then(TakenPlace::lift) else { return Ok(()) };
        let abandoned = (attempt, &LoginCredential::Abandoned);
        self.call(authenticator, question, instance, abandoned).await.map(drop)
    }

    /// Makes an instance in a place of its own.
    async fn make(
        &mut self,
        authenticator: &ConfiguredAuthenticator,
        question: &Question<'_>,
    ) -> Result<Instance, NoAnswer> {
        self.place = None;
        let (place, permit) = authenticator.environment.pool.take(question.peer.source()).await;
        let facts = [
            ("connection-id", question.connection.to_string()),
            ("user", question.user.to_owned()),
            ("address", question.peer.to_string()),
        ];
        let facts: Facts = facts.into_iter().collect();
        // On the heap: making an instance is a large future, and every connection that logs in has this one in it.
        let made = place
            .work(Box::pin(authenticator.instance(&facts, question.peer.source())))
            .await
            .ok_or(NoAnswer::BeginAnew)?;
        let made = made.map_err(|reason| {
            authenticator.log_failure(question.connection, question.user, &reason);
            NoAnswer::Failed
        })?;
        self.place = Some(place);
        Ok(Instance::new(made, permit))
    }

    async fn call(
        &mut self,
        authenticator: &ConfiguredAuthenticator,
        question: &Question<'_>,
        mut instance: Instance,
        (attempt, credential): (&LoginAttempt, &LoginCredential),
    ) -> Result<LoginAnswer, NoAnswer> {
        let place = self.place.as_ref().ok_or(NoAnswer::BeginAnew)?;
        let call = Box::pin(instance.authenticator().authenticate(attempt, credential));
        let answer = place.work(call).await.ok_or(NoAnswer::BeginAnew)?;
        let answer = answer.map_err(|error| {
            authenticator.log_failure(question.connection, question.user, &error.to_string());
            NoAnswer::Failed
        })?;
        place.put(instance, matches!(answer, LoginAnswer::Challenge(_)));
        Ok(answer)
    }
}

impl Question<'_> {
    fn attempt(&self) -> LoginAttempt {
        LoginAttempt {
            user: self.user.to_owned(),
            address: self.peer.to_string(),
            client_version: self.client_version.to_owned(),
            number: self.number,
            satisfied: self.satisfied.clone(),
        }
    }
}
