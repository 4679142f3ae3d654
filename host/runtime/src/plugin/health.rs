//! Whether new sessions of a user or tenant get a version of a plugin that has crashed: the pure part of rolling back.
//! Time comes in, decisions go out; `health/trial.rs` chooses the version of a session.
//!
//! Decided 2026-11-21: what counts is a crash or a limit within the first seconds of a session, up to the return of the
//! function that starts it (`shell`, `exec`, `subsystem`). What fails later, such as a tenant over its memory after an
//! hour, says nothing of the version. Crashes count *in a row*: one session that starts well ends the row. Refused: a
//! share of all sessions, which a busy user decides alone.
//!
//! Decided 2026-11-21: nobody's crashes are another tenant's affair, since a client may send what makes a plugin crash.
//! There are two breakers for each version, and neither is shared by two tenants. The *user's* counts every crash of
//! that user. The *tenant's* counts users, not crashes: different users in a row, without one for whom the version
//! starts. One user alone opens only their own. Refused: one breaker for everybody, with which any account could take
//! an operator's plugin away from all others.
//!
//! Decided 2026-11-21: a crash in `open`, in `shell` or before them opens a breaker fully. One in a function that was
//! handed something of the client's own (`env`, `pty-req`, `exec`, `subsystem`) may be the client's doing: an older
//! version is tried when there is one, but nobody is turned away for it.

pub(crate) mod trial;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::limits::{Limits, count};

/// The most breakers of one version. Further users get none: the tenant's still counts them.
const MOST_BREAKERS: usize = 1_024;

/// The tenant and user of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Who {
    pub(crate) tenant: Arc<str>,
    pub(crate) user: Arc<str>,
}

/// The scope of a breaker.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum BreakerScope {
    Tenant(Arc<str>),
    User { tenant: Arc<str>, user: Arc<str> },
}

/// Where a session crashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Before the plugin received anything that the client chose.
    Plugin,
    /// In a function that received something that the client chose.
    Client,
}

/// The decision for a new session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Choice {
    /// Run this version.
    Run,
    /// Run an older one, or this one if there is none.
    PreferOlder,
    /// Run an older one, or none.
    Avoid,
}

/// A breaker has opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Opened {
    pub(crate) scope: BreakerScope,
    pub(crate) pause: Duration,
    pub(crate) choice: Choice,
}

/// The breakers of one version.
///
/// ```text
///           crashes in a row                     the pause is over               crashes in a row
/// closed --------------------> open, n times ----------------------> half-open -------------------> open, n + 1 times
///    ^                                                                   |
///    '------------------------- a session starts well -------------------'
/// ```
#[derive(Debug)]
pub(crate) struct Health {
    limits: Arc<Limits>,
    breakers: BTreeMap<BreakerScope, Breaker>,
}

/// The breaker of a tenant or a user.
#[derive(Debug, Default)]
struct Breaker {
    /// The crashes since a session started well.
    row: Vec<Crash>,
    /// Until when it is open, and what that means.
    open: Option<(Instant, Choice)>,
    /// How often it has opened since a session started well.
    times: u32,
}

#[derive(Debug)]
struct Crash {
    at: Instant,
    user: Arc<str>,
    cause: Cause,
}

impl Who {
    /// The tenant's scope and the user's.
    fn scopes(&self) -> [BreakerScope; 2] {
        let (tenant, user) = (Arc::clone(&self.tenant), Arc::clone(&self.user));
        [BreakerScope::Tenant(Arc::clone(&tenant)), BreakerScope::User { tenant, user }]
    }
}

impl Health {
    pub(crate) fn new(limits: Arc<Limits>) -> Self {
        Self { limits, breakers: BTreeMap::new() }
    }

    /// Whether a new session gets this version.
    pub(crate) fn choice(&self, who: &Who, now: Instant) -> Choice {
        let open = |scope: BreakerScope| self.breakers.get(&scope).and_then(|breaker| breaker.choice(now));
        who.scopes().into_iter().filter_map(open).max().unwrap_or(Choice::Run)
    }

    /// Whether any breaker is open.
    pub(crate) fn is_tripped(&self, now: Instant) -> bool {
        self.breakers.values().any(|breaker| breaker.choice(now).is_some())
    }

    /// A session has started well. Returns the scopes whose breaker had opened.
    pub(crate) fn passed(&mut self, who: &Who) -> Vec<BreakerScope> {
        let closed = |scope| self.breakers.remove(&scope).is_some_and(|breaker| breaker.times > 0).then_some(scope);
        who.scopes().into_iter().filter_map(closed).collect()
    }

    /// A session has crashed this long after its beginning. Returns the breakers that have opened.
    pub(crate) fn failed(&mut self, who: &Who, cause: Cause, after: Duration, now: Instant) -> Vec<Opened> {
        if after > self.limits.crash_early {
            return Vec::new();
        }
        who.scopes().into_iter().filter_map(|scope| self.count(scope, who, cause, now)).collect()
    }

    fn count(&mut self, scope: BreakerScope, who: &Who, cause: Cause, now: Instant) -> Option<Opened> {
        if !self.breakers.contains_key(&scope) && !self.has_room(now) {
            return None;
        }
        let breaker = self.breakers.entry(scope.clone()).or_default();
        // A session that began before it opened adds no information.
        if breaker.choice(now).is_some() {
            return None;
        }
        let window = self.limits.crash_window;
        breaker.row.retain(|crash| now.saturating_duration_since(crash.at) < window);
        if matches!(scope, BreakerScope::Tenant(_)) {
            breaker.row.retain(|crash| crash.user != who.user);
        }
        breaker.row.push(Crash { at: now, user: Arc::clone(&who.user), cause });
        if breaker.row.len() < count(self.limits.crashes) {
            return None;
        }
        let provoked = breaker.row.drain(..).any(|crash| crash.cause == Cause::Client);
        let choice = if provoked { Choice::PreferOlder } else { Choice::Avoid };
        let pause = self.limits.crash_pause.saturating_mul(2_u32.saturating_pow(breaker.times));
        let pause = pause.min(self.limits.crash_pause_longest);
        breaker.times = breaker.times.saturating_add(1);
        // Beyond the clock's range it stays closed.
        breaker.open = now.checked_add(pause).map(|until| (until, choice));
        Some(Opened { scope, pause, choice })
    }

    /// Makes room for one more breaker by removing those without information.
    fn has_room(&mut self, now: Instant) -> bool {
        if self.breakers.len() >= MOST_BREAKERS {
            let (window, longest) = (self.limits.crash_window, self.limits.crash_pause_longest);
            self.breakers.retain(|_, breaker| breaker.is_recent(now, window, longest));
        }
        self.breakers.len() < MOST_BREAKERS
    }
}

impl Breaker {
    fn choice(&self, now: Instant) -> Option<Choice> {
        self.open.filter(|(until, _)| now < *until).map(|(_, choice)| choice)
    }

    fn is_recent(&self, now: Instant, window: Duration, longest: Duration) -> bool {
        self.row.iter().any(|crash| now.saturating_duration_since(crash.at) < window)
            || self.open.is_some_and(|(until, _)| now.saturating_duration_since(until) < longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(5);

    struct Case {
        health: Health,
        start: Instant,
    }

    fn case() -> Case {
        Case { health: Health::new(Arc::default()), start: Instant::now() }
    }

    fn who(tenant: &str, user: &str) -> Who {
        Who { tenant: tenant.into(), user: user.into() }
    }

    impl Case {
        fn at(&self, seconds: u64) -> Instant {
            self.start + Duration::from_secs(seconds)
        }

        fn crash(&mut self, who: &Who, cause: Cause, seconds: u64) -> Vec<Opened> {
            let now = self.at(seconds);
            self.health.failed(who, cause, SOON, now)
        }

        fn choice(&self, who: &Who, seconds: u64) -> Choice {
            self.health.choice(who, self.at(seconds))
        }
    }

    #[test]
    fn five_crashes_in_a_row_open_only_the_users_breaker() {
        // W25, W26
        let (mut case, alice) = (case(), who("acme", "alice"));
        for second in 0..4 {
            assert_eq!(case.crash(&alice, Cause::Plugin, second), []);
        }
        let scope = BreakerScope::User { tenant: "acme".into(), user: "alice".into() };
        let opened = Opened { scope, pause: Duration::from_secs(10), choice: Choice::Avoid };
        assert_eq!(case.crash(&alice, Cause::Plugin, 4), [opened]);
        assert_eq!(case.choice(&alice, 13), Choice::Avoid);
        assert_eq!(case.choice(&who("acme", "bob"), 13), Choice::Run);
        assert_eq!(case.choice(&who("other", "alice"), 13), Choice::Run);
        assert_eq!(case.choice(&alice, 14), Choice::Run, "it is tried again");
    }

    #[test]
    fn a_thousand_crashes_of_one_user_affect_no_other_user() {
        let mut case = case();
        let mallory = who("acme", "mallory");
        for turn in 0..1_000 {
            case.crash(&mallory, Cause::Plugin, turn / 20);
        }
        assert_eq!(case.choice(&who("acme", "alice"), 50), Choice::Run);
    }

    #[test]
    fn five_users_in_a_row_open_the_breaker_of_their_tenant_alone() {
        // W42
        let mut case = case();
        let users = ["a", "b", "c", "d", "e"].map(|user| who("acme", user));
        let opened: Vec<Opened> = users.iter().flat_map(|user| case.crash(user, Cause::Plugin, 1)).collect();
        assert_eq!(opened.len(), 1);
        assert_eq!(opened[0].scope, BreakerScope::Tenant("acme".into()));
        assert_eq!(case.choice(&who("acme", "somebody new"), 2), Choice::Avoid);
        assert_eq!(case.choice(&who("other", "a"), 2), Choice::Run);
        assert!(case.health.is_tripped(case.at(2)));
        assert!(!case.health.is_tripped(case.at(11)));
    }

    #[test]
    fn one_session_that_starts_well_ends_the_row() {
        let mut case = case();
        for user in ["a", "b", "c", "d"] {
            case.crash(&who("acme", user), Cause::Plugin, 1);
        }
        assert_eq!(case.health.passed(&who("acme", "z")), []);
        for user in ["a", "b", "c", "d"] {
            assert_eq!(case.crash(&who("acme", user), Cause::Plugin, 2), []);
        }
    }

    #[test]
    fn crashes_that_are_far_apart_are_no_loop() {
        let (mut case, alice) = (case(), who("acme", "alice"));
        for turn in 0..100 {
            assert_eq!(case.crash(&alice, Cause::Plugin, turn * 16), []);
        }
    }

    #[test]
    fn a_crash_by_client_data_selects_an_older_version_but_refuses_nobody() {
        let (mut case, alice) = (case(), who("acme", "alice"));
        for cause in [Cause::Plugin, Cause::Plugin, Cause::Client, Cause::Plugin] {
            case.crash(&alice, cause, 1);
        }
        let opened = case.crash(&alice, Cause::Plugin, 1);
        assert_eq!(opened[0].choice, Choice::PreferOlder);
        assert_eq!(case.choice(&alice, 2), Choice::PreferOlder);
    }

    #[test]
    fn a_crash_in_the_middle_of_a_session_does_not_count_against_the_version() {
        let (mut case, alice) = (case(), who("acme", "alice"));
        let now = case.at(100);
        for _ in 0..100 {
            assert_eq!(case.health.failed(&alice, Cause::Plugin, Duration::from_secs(3600), now), []);
        }
    }

    #[test]
    fn each_pause_is_twice_as_long_until_a_session_starts_well() {
        let (mut case, alice) = (case(), who("acme", "alice"));
        let mut pauses = Vec::new();
        for turn in 0..9 {
            let opened: Vec<Opened> = (0..5).flat_map(|_| case.crash(&alice, Cause::Plugin, turn * 700)).collect();
            pauses.extend(opened.iter().map(|opened| opened.pause.as_secs()));
        }
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 600, 600, 600]);
        assert_eq!(case.health.passed(&alice).len(), 1, "told once");
        assert_eq!(case.health.passed(&alice), []);
        let opened: Vec<Opened> = (0..5).flat_map(|_| case.crash(&alice, Cause::Plugin, 7_000)).collect();
        assert_eq!(opened[0].pause, Duration::from_secs(10));
    }

    #[test]
    fn the_number_of_breakers_is_bounded() {
        let mut case = case();
        for user in 0..100_000_u64 {
            case.crash(&who("acme", &format!("user {user}")), Cause::Plugin, user / 10);
        }
        assert!(case.health.breakers.len() <= MOST_BREAKERS);
    }
}
