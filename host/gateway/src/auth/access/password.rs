//! Checks passwords, with the same wait and work for every user name.
//!
//! Passwords are hashed in a bounded number of slots, for which sources take turns (`queue.rs`). Waiting for a slot is
//! not a failure: it counts neither against the grace to decide nor as a wrong password.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use zeroize::Zeroizing;

use super::decision::Overload;
use super::secret::TimingSecret;
use super::slots::Slots;
use crate::auth::attempt::AttemptContext;
use crate::config::Limits;
use crate::credential::PasswordHash;
use crate::os_limits;

/// The longest password that is hashed, in bytes: a longer one would cost more work than it costs the attacker.
const LONGEST_PASSWORD: usize = 1024;

/// Checks passwords.
pub(super) struct Passwords {
    /// All hashes: an attempt without a hash of its own is checked against one of them.
    pub(super) decoys: Vec<Arc<PasswordHash>>,
    pub(super) slots: Slots,
    /// The most memory of one hash, in bytes.
    pub(super) most_memory: usize,
    secret: TimingSecret,
    decision_grace: Duration,
}

impl Passwords {
    /// For users with these hashes.
    pub(super) fn new(hashes: Vec<Arc<PasswordHash>>, secret: TimingSecret, limits: &Limits) -> Passwords {
        Passwords {
            decoys: hashes,
            slots: Slots::new(os_limits::hashing_slots(limits), os_limits::hashing_memory(limits)),
            most_memory: os_limits::most_memory_of_a_hash(limits),
            secret,
            decision_grace: limits.decision_grace,
        }
    }

    /// Checks a password against the user's hash, and returns how long it waited for a slot. For an unknown user or one
    /// without a hash, the hash of another user is used: the wait and the work are the same, and the result is ignored.
    /// The name determines which one, so that unknown names show the same mixture of costs as known ones, and each name
    /// always the same.
    ///
    /// Nothing is hashed for a source that has a penalty by then, whoever the user is: guesses that came at the same
    /// time wait behind one another, so that the first ones decide about the rest.
    pub(super) async fn check(
        &self,
        (user, password): (&[u8], &[u8]),
        own: Option<&Arc<PasswordHash>>,
        context: &AttemptContext,
        queued: &AtomicBool,
    ) -> (Result<bool, Overload>, Duration) {
        if password.len() > LONGEST_PASSWORD {
            return (Ok(false), Duration::ZERO);
        }
        let is_own = own.is_some();
        let Some(hash) = own.or_else(|| self.decoy(user)).cloned() else { return (Ok(false), Duration::ZERO) };
        if hash.memory() > self.most_memory {
            return (Err(Overload::Memory), Duration::ZERO);
        }
        let asked = Instant::now();
        let slot = self.slots.take(context.peer.source(), hash.memory(), queued).await;
        let waited = asked.elapsed();
        if context.is_refused() {
            return (Err(Overload::Penalty), waited);
        }
        let password = Zeroizing::new(password.to_vec());
        let work = tokio::task::spawn_blocking(move || {
            // Held until the work is done, even if nobody waits for it any more.
            let _slot = slot;
            hash.verify(&password)
        });
        let checked = match timeout(self.decision_grace, work).await {
            Ok(Ok(Ok(fits))) => Ok(fits && is_own),
            Ok(Ok(Err(_))) => Err(Overload::Memory),
            Ok(Err(_)) => Err(Overload::Panic),
            Err(_) => Err(Overload::Slow),
        };
        (checked, waited)
    }

    /// The hash that is computed for a user without one.
    pub(super) fn decoy(&self, user: &[u8]) -> Option<&Arc<PasswordHash>> {
        let hashes = u64::try_from(self.decoys.len()).ok().filter(|hashes| *hashes > 0)?;
        let chosen = self.secret.number("decoy", user, hashes);
        self.decoys.get(usize::try_from(chosen).ok()?)
    }
}
