//! Output that waits for clients: who is charged for it, and who is ended when there is too much of it.
//!
//! What a session has written and its client has not taken is charged to its user, its tenant and the server. A write
//! for which one of them has no room waits. Output of a session whose plugin has ended waits for as long as its
//! connection lives; only when a tenant or the server runs out of output or memory is the oldest session ended that has
//! made no progress for a while.

use std::sync::Arc;

use tokio::time::Instant;

use crate::limits::budget::{Budget, Buffered, Total, Totals};
use crate::limits::resizable::{ResizablePermit, ResizableSemaphore};

/// Who is charged for the output of one session.
pub(crate) struct OutputCharges {
    user: Arc<Buffered>,
    tenant: Arc<Budget>,
    all: Arc<Totals>,
}

/// Bytes that may be added; what is not added is given back.
pub(crate) struct Space<'c> {
    bytes: usize,
    permits: [ResizablePermit<&'c ResizableSemaphore>; 3],
}

impl Space<'_> {
    /// How many bytes there is room for.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// So many of them were used.
    pub(crate) fn spend(self, used: usize) {
        for permit in self.permits {
            permit.forget(used);
        }
    }

    /// Keeps it for longer than the accounts are borrowed.
    pub(crate) fn keep(self, accounts: &Arc<OutputCharges>) -> KeptSpace {
        let bytes = self.bytes;
        self.spend(bytes);
        KeptSpace { bytes, accounts: Arc::clone(accounts) }
    }
}

/// Room that was waited for and is kept for a write; given back on drop.
pub(crate) struct KeptSpace {
    bytes: usize,
    accounts: Arc<OutputCharges>,
}

impl KeptSpace {
    /// How many bytes there is room for.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes so many of them, or all if there are fewer.
    pub(crate) fn take(&mut self, most: usize) -> Space<'_> {
        let bytes = most.min(self.bytes);
        self.bytes -= bytes;
        Space { bytes, permits: self.accounts.accounts().map(|(account, _)| account.remembered(bytes)) }
    }
}

impl Drop for KeptSpace {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.accounts.give(self.bytes);
        }
    }
}

impl OutputCharges {
    pub(crate) fn new(user: &str, tenant: &Arc<Budget>, all: &Arc<Totals>) -> Self {
        Self { user: tenant.user_output(user), tenant: Arc::clone(tenant), all: Arc::clone(all) }
    }

    /// The accounts, the smallest first.
    fn accounts(&self) -> [(&Buffered, Total); 3] {
        [(&self.user, Total::UserOutput), (&self.tenant.output, Total::Output), (&self.all.output, Total::AllOutput)]
    }

    /// `bytes`, or the smallest size of the accounts if that is less: more can never be free at once.
    fn piece(&self, bytes: usize) -> usize {
        self.accounts().into_iter().map(|(account, _)| account.most()).fold(bytes, usize::min)
    }

    /// Reserves room for `bytes`, or for fewer if an account can never hold as many. The error is the account that is
    /// full.
    pub(crate) fn space(&self, bytes: usize) -> Result<Space<'_>, Total> {
        let bytes = self.piece(bytes);
        let [user, tenant, all] = self.accounts().map(|(account, total)| account.space(bytes).ok_or(total));
        Ok(Space { bytes, permits: [user?, tenant?, all?] })
    }

    /// Waits for that room. While it waits, finished sessions whose clients take nothing are ended as they become due.
    pub(crate) async fn wait(&self, bytes: usize) -> Space<'_> {
        let [user, tenant, all] = self.accounts().map(|(account, _)| account);
        loop {
            let bytes = self.piece(bytes);
            let mut room = std::pin::pin!(async {
                // One after another: who holds a user's room may wait for the tenant's, and never the other way round.
                [user.wait(bytes).await, tenant.wait(bytes).await, all.wait(bytes).await]
            });
            // An account may have shrunk meanwhile, so that it never has as many.
            while self.piece(bytes) == bytes {
                let due = self.relieve().unwrap_or_else(|| Instant::now() + RECHECK);
                if let Ok(permits) = tokio::time::timeout_at(due, room.as_mut()).await {
                    return Space { bytes, permits };
                }
            }
        }
    }

    /// Notes that the tenant sends so many bytes: its writes wait when it sends too fast.
    pub(crate) fn count_sent(&self, bytes: usize) {
        self.tenant.output_rate.take(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// Charges bytes for which there is no room: the next writes wait until others have left.
    pub(crate) fn overdraw(&self, bytes: usize) {
        for (account, _) in self.accounts() {
            account.overdraw(bytes);
        }
    }

    /// Bytes have left the queue.
    pub(crate) fn give(&self, bytes: usize) {
        for (account, _) in self.accounts() {
            account.give(bytes);
        }
    }

    /// Ends a finished session whose client takes nothing, if the tenant or the server is short. Says when the next one
    /// may be due.
    pub(crate) fn relieve(&self) -> Option<Instant> {
        relieve(&self.tenant, &self.all)
    }
}

/// How long a writer waits at most before it looks again whether a session is due: none that finishes later is due
/// sooner.
const RECHECK: std::time::Duration = std::time::Duration::from_secs(60);

/// Ends a finished session whose client takes nothing, if the tenant or the server is short of output or memory. Says
/// when the next one may be due.
pub(crate) fn relieve(tenant: &Budget, all: &Totals) -> Option<Instant> {
    let of_tenant = tenant.is_pressed().then(|| tenant.unsent.end_oldest(Instant::now())).flatten();
    let of_all = all.is_pressed().then(|| all.unsent.end_oldest(Instant::now())).flatten();
    of_tenant.into_iter().chain(of_all).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;

    fn charges(share: u32, tenant: usize, all: usize) -> OutputCharges {
        let limits = Limits { user_output_share: share, tenant_output: tenant, ..Limits::default() };
        let totals = Totals::new(1, usize::MAX, all);
        OutputCharges::new("somebody", &Arc::new(Budget::new(&limits)), &Arc::new(totals))
    }

    #[tokio::test]
    async fn more_room_than_there_is_means_all_of_it() {
        let charges = charges(100, 1000, 100);
        let space = charges.wait(1000).await;
        assert_eq!(space.bytes(), 100);
        assert_eq!(charges.space(1).err(), Some(Total::AllOutput));
        drop(space);
        charges.space(60).unwrap().spend(60);
        assert_eq!(charges.space(41).err(), Some(Total::AllOutput));
        charges.give(60);
        assert!(charges.space(100).is_ok());
    }

    #[tokio::test]
    async fn room_that_was_waited_for_stays_until_it_is_used_or_given_back() {
        let charges = Arc::new(charges(100, 1000, 100));
        charges.space(60).unwrap().spend(60);
        let other = Arc::clone(&charges);
        let second = tokio::spawn(async move { other.wait(60).await.keep(&other) });
        let third = {
            let other = Arc::clone(&charges);
            tokio::spawn(async move { other.wait(60).await.keep(&other) })
        };
        tokio::task::yield_now().await;
        charges.give(60);
        let mut second = second.await.unwrap();
        assert_eq!(second.bytes(), 60);
        // The next in line does not take it away.
        tokio::task::yield_now().await;
        assert!(!third.is_finished());
        second.take(50).spend(20);
        assert_eq!(second.bytes(), 10);
        drop(second);
        assert!(!third.is_finished());
        charges.give(20);
        drop(third.await.unwrap());
        assert_eq!(charges.space(100).unwrap().bytes(), 100);
    }

    #[tokio::test]
    async fn what_is_overdrawn_keeps_others_waiting_until_it_has_left() {
        let charges = charges(100, 1000, 100);
        charges.space(90).unwrap().spend(90);
        charges.overdraw(30);
        charges.give(20);
        assert_eq!(charges.space(1).err(), Some(Total::AllOutput));
        charges.give(100);
        assert!(charges.space(100).is_ok());
    }

    #[tokio::test]
    async fn one_user_gets_only_a_part_of_the_tenants_room() {
        let limits = Limits { user_output_share: 25, tenant_output: 400_000, ..Limits::default() };
        let (tenant, all) = (Arc::new(Budget::new(&limits)), Arc::new(Totals::new(1, usize::MAX, 4_000_000)));
        let (alice, bob) = (OutputCharges::new("alice", &tenant, &all), OutputCharges::new("bob", &tenant, &all));
        let again = OutputCharges::new("alice", &tenant, &all);
        alice.space(80_000).unwrap().spend(80_000);
        assert_eq!(again.space(24_000).err(), Some(Total::UserOutput));
        again.space(20_000).unwrap().spend(20_000);
        // What was refused has taken nothing.
        bob.space(100_000).unwrap().spend(100_000);
        again.give(100_000);
        assert!(alice.space(100_000).is_ok());
        drop((alice, again));
        assert_eq!(tenant.users(), 1, "who has no session is forgotten");
    }
}
