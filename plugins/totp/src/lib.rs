//! An authenticator: time-based one-time passwords (RFC 6238) by keyboard-interactive, alone or beside a key.
//!
//! A user who does not exist is asked the same question, and the answer is compared and counted in the same way.
//! `code.rs` makes the codes, `account.rs` and `settings.rs` read what the operator wrote, `guard.rs` keeps what
//! outlives a connection.

mod account;
mod code;
mod guard;
#[cfg(test)]
mod memory;
mod settings;

use std::time::{SystemTime, UNIX_EPOCH};

use account::Account;
use code::{Algorithm, Generator};
use guard::{Counters, Store, Who};
use settings::Lookup;
use whelk_guest::{Attempt, AuthMethod, Authenticator, Grant, PublicKey, Verdict, authenticator, config, log};

/// What everybody is asked.
const QUESTION: &str = "Verification code: ";

#[derive(Default)]
struct Totp;

impl Authenticator for Totp {
    /// A key is never enough. The user's own is the first of two.
    fn public_key(&mut self, attempt: &Attempt, key: &PublicKey, is_proven: bool) -> Verdict {
        said(Login::of(attempt).key(key, is_proven))
    }

    fn interactive_started(&mut self, _attempt: &Attempt) -> Verdict {
        Verdict::ask(QUESTION)
    }

    fn answers(&mut self, attempt: &Attempt, answers: &[String]) -> Verdict {
        let code: String = answers.concat().split_whitespace().collect();
        said(Login::of(attempt).code(&code))
    }
}

authenticator!(Totp);

/// Whatever keeps the plugin from deciding refuses, and the operator is told.
fn said(verdict: Result<Verdict, String>) -> Verdict {
    verdict.unwrap_or_else(|reason| {
        log::error(reason);
        Verdict::Reject
    })
}

/// Seconds since 1970. A clock before that makes no code right.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// One step of somebody's login.
struct Login<'a, C> {
    lookup: Lookup<'a>,
    /// Tells the operator.
    warn: &'a dyn Fn(&str),
    counters: &'a C,
    attempt: &'a Attempt,
    time: u64,
}

impl<'a> Login<'a, Store> {
    fn of(attempt: &'a Attempt) -> Self {
        Self { lookup: &config::get, warn: &|words| log::warn(words), counters: &Store, attempt, time: now() }
    }
}

impl<C: Counters> Login<'_, C> {
    fn key(&self, key: &PublicKey, is_proven: bool) -> Result<Verdict, String> {
        let account = settings::account(self.lookup, &self.attempt.user)?;
        // A certificate is more than its key: it may be limited in ways that nobody has allowed here.
        let is_known =
            key.certificate.is_none() && account.is_some_and(|account| account.keys.contains(&key.fingerprint));
        match (is_known, self.has(AuthMethod::KeyboardInteractive)) {
            (false, _) => Ok(Verdict::Reject),
            (true, true) if is_proven => self.accept(),
            (true, _) => Ok(Verdict::Partial(vec![AuthMethod::KeyboardInteractive])),
        }
    }

    fn code(&self, code: &str) -> Result<Verdict, String> {
        let Self { lookup, warn, counters, attempt, time } = *self;
        let user = attempt.user.as_str();
        let limit = settings::wrong_codes(lookup)?;
        let account = settings::account(lookup, user)?;
        let who = if account.is_some() { Who::User(user) } else { Who::Stranger(user) };
        let count = limit.count(counters, &who, time).map_err(|error| no_store(&error))?;
        let (generator, is_user, needs_key) = match account {
            Some(Account { generator, keys }) => (generator, true, !keys.is_empty()),
            None => (nobodys(), false, false),
        };
        let step = generator.step_of(code, time).filter(|_| is_user);
        if is_user && count == limit.most + 1 {
            let (most, minutes) = (limit.most, limit.period / 60);
            warn(&format!(
                "the user {user:?} has had {most} wrong codes: no code is right for up to {minutes} minutes"
            ));
        }
        let Some(step) = step.filter(|_| count <= limit.most) else { return Ok(Verdict::Reject) };
        if !guard::claim(counters, user, step).map_err(|error| no_store(&error))? {
            warn(&format!("the user {user:?} has used this code or a later one before"));
            return Ok(Verdict::Reject);
        }
        limit.forget(counters, &who, time).map_err(|error| no_store(&error))?;
        if needs_key && !self.has(AuthMethod::PublicKey) {
            return Ok(Verdict::Partial(vec![AuthMethod::PublicKey]));
        }
        self.accept()
    }

    fn has(&self, method: AuthMethod) -> bool {
        self.attempt.satisfied.contains(&method)
    }

    fn accept(&self) -> Result<Verdict, String> {
        let user = &self.attempt.user;
        Ok(Grant::new(user, settings::tenant(self.lookup, user)?).into())
    }
}

/// The generator for a user who does not exist. Whether a code is right does not matter.
fn nobodys() -> Generator {
    Generator { secret: vec![0; 20], algorithm: Algorithm::Sha1, digits: 6 }
}

fn no_store(error: &whelk_guest::keyvalue::Error) -> String {
    format!("nobody can log in, since used codes cannot be kept: {error}")
}

#[cfg(test)]
mod tests;
