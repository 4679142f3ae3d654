//! The quota of a granted directory and its usage: two counters that all sessions of the tenant share.

use std::sync::atomic::{AtomicU64, Ordering};

/// The most that a directory may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// The logical sizes of all files together: holes count as if they were written.
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
        Self { most: Counters::new(quota.bytes, quota.files), used: Counters::new(usage.bytes, usage.files) }
    }

    pub(super) fn quota(&self) -> Quota {
        let (bytes, files) = self.most.load();
        Quota { bytes, files }
    }

    /// Changes the quota. What is there stays, even if it is more.
    pub(super) fn change(&self, quota: Quota) {
        self.most.bytes.store(quota.bytes, Ordering::Relaxed);
        self.most.files.store(quota.files, Ordering::Relaxed);
    }

    pub(super) fn usage(&self) -> Usage {
        let (bytes, files) = self.used.load();
        Usage { bytes, files }
    }

    /// Charges this many more bytes if they fit.
    pub(super) fn charge_bytes(&self, bytes: u64) -> bool {
        charge(&self.used.bytes, bytes, self.quota().bytes)
    }

    /// Charges one more entry if it fits.
    pub(super) fn charge_file(&self) -> bool {
        charge(&self.used.files, 1, self.quota().files)
    }

    pub(super) fn give_back(&self, usage: Usage) {
        give_back(&self.used.bytes, usage.bytes);
        give_back(&self.used.files, usage.files);
    }
}

/// Charges all or nothing. Charging zero succeeds even above the quota, which an operator may have lowered.
fn charge(used: &AtomicU64, amount: u64, most: u64) -> bool {
    let fits = |used: u64| used.checked_add(amount).filter(|after| *after <= most);
    amount == 0 || used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
}

/// Never below zero: other programs may have added files after the count.
fn give_back(used: &AtomicU64, amount: u64) {
    used.update(Ordering::Relaxed, Ordering::Relaxed, |used| used.saturating_sub(amount));
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
    fn over_a_lowered_quota_nothing_grows_and_nothing_underflows() {
        let account = QuotaAccount::new(Quota { bytes: 30, files: 6 }, Usage { bytes: 20, files: 5 });
        assert!(account.charge_file());
        account.give_back(Usage { bytes: 0, files: 1 });
        account.change(Quota { bytes: 10, files: 1 });
        assert_eq!(account.quota(), Quota { bytes: 10, files: 1 });
        assert!(account.charge_bytes(0));
        assert!(!account.charge_bytes(1));
        account.give_back(Usage { bytes: 30, files: 6 });
        assert_eq!(account.usage(), Usage::default());
    }
}
