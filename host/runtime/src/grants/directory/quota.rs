//! How much a granted directory may hold and how much it holds: two counters that all sessions of the tenant share.

use std::sync::atomic::{AtomicU64, Ordering};

/// The most that a directory may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// The logical sizes of all files together: a hole counts as if it were written.
    pub bytes: u64,
    /// Files, directories and symbolic links together, the granted directory itself not among them.
    pub files: u64,
}

/// What a directory holds, in the units of [`Quota`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Bytes.
    pub bytes: u64,
    /// Entries.
    pub files: u64,
}

/// The counters. What grows is charged before it grows, so that the disk never holds more than is counted; what the system then
/// refuses is given back.
pub(super) struct Account {
    quota: Quota,
    bytes: AtomicU64,
    files: AtomicU64,
}

impl Account {
    pub(super) fn new(quota: Quota, usage: Usage) -> Self {
        Self { quota, bytes: AtomicU64::new(usage.bytes), files: AtomicU64::new(usage.files) }
    }

    pub(super) fn quota(&self) -> Quota {
        self.quota
    }

    pub(super) fn usage(&self) -> Usage {
        Usage { bytes: self.bytes.load(Ordering::Relaxed), files: self.files.load(Ordering::Relaxed) }
    }

    /// Whether so many bytes more fit; they are charged if so.
    pub(super) fn charge_bytes(&self, bytes: u64) -> bool {
        charge(&self.bytes, bytes, self.quota.bytes)
    }

    /// Whether one more entry fits; it is charged if so.
    pub(super) fn charge_file(&self) -> bool {
        charge(&self.files, 1, self.quota.files)
    }

    pub(super) fn give_back(&self, usage: Usage) {
        give_back(&self.bytes, usage.bytes);
        give_back(&self.files, usage.files);
    }
}

/// Charges nothing at all or everything. What takes nothing is allowed even over the quota, which an operator may have lowered.
fn charge(used: &AtomicU64, amount: u64, most: u64) -> bool {
    let fits = |used: u64| used.checked_add(amount).filter(|after| *after <= most);
    amount == 0 || used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
}

/// Never below zero: somebody else may have put files into the directory since they were counted.
fn give_back(used: &AtomicU64, amount: u64) {
    used.update(Ordering::Relaxed, Ordering::Relaxed, |used| used.saturating_sub(amount));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_not_charged_at_all() {
        let account = Account::new(Quota { bytes: 10, files: 1 }, Usage::default());
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
        let account = Account::new(Quota { bytes: 10, files: 1 }, Usage { bytes: 20, files: 5 });
        assert!(account.charge_bytes(0));
        assert!(!account.charge_bytes(1));
        account.give_back(Usage { bytes: 30, files: 6 });
        assert_eq!(account.usage(), Usage::default());
    }
}
