//! The quota of a granted directory and its usage: two counters that all sessions of the tenant share. Directories may
//! have a total of bytes together, as the homes of a tenant have.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The most that a directory may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// The logical sizes of all files together, holes as if they were written, and the targets of symbolic links.
    pub bytes: u64,
    /// The number of files, directories and symbolic links, without the granted directory itself.
    pub files: u64,
}

/// Usage in the units of [`Quota`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Bytes.
    pub bytes: u64,
    /// Entries.
    pub files: u64,
}

/// The counters. Growth is charged before it happens, so that the disk never holds more than is counted; if the system
/// then refuses, the charge is refunded.
pub(crate) struct QuotaAccount {
    most: Counters,
    used: Counters,
    /// What it shares with other accounts: each of its bytes is counted there too.
    total: Option<Arc<TotalAccount>>,
}

/// The bytes that several accounts may have together, and those that they have.
pub(crate) struct TotalAccount {
    most: AtomicU64,
    used: AtomicU64,
}

impl TotalAccount {
    /// Without any bytes yet.
    pub(crate) fn new(most: u64) -> Self {
        Self { most: AtomicU64::new(most), used: AtomicU64::new(0) }
    }

    /// Changes the bound. What is there stays, even if it is more.
    pub(crate) fn change(&self, most: u64) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// The bytes of all accounts.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Counts bytes that exist already, whether they fit or not.
    fn add(&self, bytes: u64) {
        self.used.update(Ordering::Relaxed, Ordering::Relaxed, |used| used.saturating_add(bytes));
    }
}

/// Bytes and entries.
struct Counters {
    bytes: AtomicU64,
    files: AtomicU64,
}

impl Counters {
    fn new(bytes: u64, files: u64) -> Counters {
        Counters { bytes: AtomicU64::new(bytes), files: AtomicU64::new(files) }
    }

    fn load(&self) -> (u64, u64) {
        (self.bytes.load(Ordering::Relaxed), self.files.load(Ordering::Relaxed))
    }
}

impl QuotaAccount {
    pub(super) fn new(quota: Quota, usage: Usage) -> Self {
        let (most, used) = (Counters::new(quota.bytes, quota.files), Counters::new(usage.bytes, usage.files));
        Self { most, used, total: None }
    }

    /// One that shares a total with others. What is there already is counted, whether it fits or not.
    pub(crate) fn within(quota: Quota, usage: Usage, total: &Arc<TotalAccount>) -> Self {
        total.add(usage.bytes);
        Self { total: Some(Arc::clone(total)), ..Self::new(quota, usage) }
    }

    pub(super) fn quota(&self) -> Quota {
        let (bytes, files) = self.most.load();
        Quota { bytes, files }
    }

    /// Changes the quota. What is there stays, even if it is more.
    pub(crate) fn change(&self, quota: Quota) {
        self.most.bytes.store(quota.bytes, Ordering::Relaxed);
        self.most.files.store(quota.files, Ordering::Relaxed);
    }

    pub(crate) fn usage(&self) -> Usage {
        let (bytes, files) = self.used.load();
        Usage { bytes, files }
    }

    /// The most that there may be, and how much of that is not there: the smaller figures of its own and of the total
    /// that it shares.
    pub(super) fn room(&self) -> (Usage, Usage) {
        let (Quota { bytes, files }, used) = (self.quota(), self.usage());
        let mut total = Usage { bytes, files };
        let mut free = Usage { bytes: bytes.saturating_sub(used.bytes), files: files.saturating_sub(used.files) };
        if let Some(shared) = &self.total {
            let most = shared.most.load(Ordering::Relaxed);
            total.bytes = total.bytes.min(most);
            free.bytes = free.bytes.min(most.saturating_sub(shared.used()));
        }
        (total, free)
    }

    /// Charges this many more bytes if they fit.
    pub(crate) fn charge_bytes(&self, bytes: u64) -> bool {
        if !charge(&self.used.bytes, bytes, self.quota().bytes) {
            return false;
        }
        let fits = |total: &TotalAccount| charge(&total.used, bytes, total.most.load(Ordering::Relaxed));
        let fits = self.total.as_deref().is_none_or(fits);
        if !fits {
            give_back(&self.used.bytes, bytes);
        }
        fits
    }

    /// Charges one more entry if it fits.
    pub(crate) fn charge_file(&self) -> bool {
        charge(&self.used.files, 1, self.quota().files)
    }

    pub(crate) fn give_back(&self, usage: Usage) {
        let given = give_back(&self.used.bytes, usage.bytes);
        if let Some(total) = &self.total {
            give_back(&total.used, given);
        }
        give_back(&self.used.files, usage.files);
    }
}

/// Charges all or nothing. Charging zero succeeds even above the quota, which an operator may have lowered.
fn charge(used: &AtomicU64, amount: u64, most: u64) -> bool {
    let fits = |used: u64| used.checked_add(amount).filter(|after| *after <= most);
    amount == 0 || used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
}

/// Never below zero: other programs may have added files after the count. Returns how much it was.
fn give_back(used: &AtomicU64, amount: u64) -> u64 {
    used.update(Ordering::Relaxed, Ordering::Relaxed, |used| used.saturating_sub(amount)).min(amount)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_charge_is_all_or_nothing() {
        let account = QuotaAccount::new(Quota { bytes: 10, files: 1 }, Usage::default());
        assert!(account.charge_bytes(8));
        assert!(!account.charge_bytes(3));
        assert!(!account.charge_bytes(u64::MAX));
        assert!(account.charge_bytes(2));
        assert!(account.charge_file());
        assert!(!account.charge_file());
        assert_eq!(account.usage(), Usage { bytes: 10, files: 1 });
    }

    #[test]
    fn accounts_with_a_total_have_it_together_and_give_back_no_more_than_they_had() {
        let total = Arc::new(TotalAccount::new(10));
        let of = |bytes, files| Usage { bytes, files };
        let account = |bytes| QuotaAccount::within(Quota { bytes: 8, files: 9 }, Usage { bytes, files: 0 }, &total);
        let (one, two) = (account(3), account(0));
        let room = |account: &QuotaAccount| account.room().1.bytes;
        assert_eq!((one.room(), room(&two)), ((of(8, 9), of(5, 9)), 7));
        assert!(two.charge_bytes(7) && total.used() == 10);
        assert_eq!((room(&one), room(&two)), (0, 0));
        assert!(!one.charge_bytes(1) && !two.charge_bytes(1));
        assert_eq!((one.usage().bytes, two.usage().bytes), (3, 7));
        one.give_back(Usage { bytes: 99, files: 0 });
        assert_eq!(total.used(), 7);
        total.change(6);
        assert_eq!((one.room(), room(&two)), ((of(6, 9), of(0, 9)), 0));
        assert!(one.charge_bytes(0) && !one.charge_bytes(1));
        two.give_back(two.usage());
        assert!(one.charge_bytes(6) && !two.charge_bytes(1));
    }

    #[test]
    fn over_a_lowered_quota_nothing_grows_and_nothing_underflows() {
        let account = QuotaAccount::new(Quota { bytes: 30, files: 6 }, Usage { bytes: 20, files: 5 });
        assert!(account.charge_file());
        account.give_back(Usage { bytes: 0, files: 1 });
        account.change(Quota { bytes: 10, files: 1 });
        assert_eq!(account.quota(), Quota { bytes: 10, files: 1 });
        assert_eq!(account.room(), (Usage { bytes: 10, files: 1 }, Usage::default()));
        assert!(account.charge_bytes(0));
        assert!(!account.charge_bytes(1));
        account.give_back(Usage { bytes: 30, files: 6 });
        assert_eq!(account.usage(), Usage::default());
    }
}
