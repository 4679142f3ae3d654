//! The quota of a granted directory and its usage: two counters that all sessions of the tenant share. Directories may
//! have a total together, as the homes of a tenant have.

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

impl Usage {
    /// What is free for one of several who share `left`, and may have `most` each. Where others have taken so much that
    /// less is left than its own, that is rounded down: it must not be a meter of what the others do.
    pub(super) fn within(self, left: Self, most: Self) -> Self {
        let least = |own: u64, left: u64, most: u64, step: u64| {
            let step = (most / STEPS).clamp(1, step);
            if left < own { left - left % step } else { own }
        };
        Self {
            bytes: least(self.bytes, left.bytes, most.bytes, STEP_BYTES),
            files: least(self.files, left.files, most.files, STEP_FILES),
        }
    }
}

/// In how many steps what is free is told where others share it ...
const STEPS: u64 = 64;
/// ... unless a step would have more bytes ...
const STEP_BYTES: u64 = 1 << 30;
/// ... or files.
const STEP_FILES: u64 = 10_000;

/// The counters. Growth is charged before it happens, so that the disk never holds more than is counted; if the system
/// then refuses, the charge is refunded.
pub(crate) struct QuotaAccount {
    most: Counters,
    used: Counters,
    /// What it shares with other accounts: whatever it counts is counted there too.
    total: Option<Arc<TotalAccount>>,
}

/// What several accounts may have together, and what they have.
pub(crate) struct TotalAccount {
    most: Counters,
    used: Counters,
}

impl TotalAccount {
    /// With nothing yet.
    pub(crate) fn new(most: Quota) -> Self {
        Self { most: Counters::new(most.bytes, most.files), used: Counters::new(0, 0) }
    }

    /// Changes the bounds. What is there stays, even if it is more.
    pub(crate) fn change(&self, most: Quota) {
        self.most.store(most);
    }

    /// What all accounts have.
    pub(crate) fn used(&self) -> Usage {
        let (bytes, files) = self.used.load();
        Usage { bytes, files }
    }

    /// Counts what exists already, whether it fits or not.
    fn add(&self, usage: Usage) {
        for (used, amount) in [(&self.used.bytes, usage.bytes), (&self.used.files, usage.files)] {
            used.update(Ordering::Relaxed, Ordering::Relaxed, |used| used.saturating_add(amount));
        }
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

    fn store(&self, quota: Quota) {
        self.bytes.store(quota.bytes, Ordering::Relaxed);
        self.files.store(quota.files, Ordering::Relaxed);
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
        total.add(usage);
        Self { total: Some(Arc::clone(total)), ..Self::new(quota, usage) }
    }

    /// One in the place of `before`, of the same total, after what is there was counted again: the total changes by the
    /// difference. `before` counts nothing any more.
    pub(crate) fn in_place_of(before: &Self, quota: Quota, usage: Usage) -> Self {
        let take = |used: &AtomicU64| used.swap(0, Ordering::Relaxed);
        let old = Usage { bytes: take(&before.used.bytes), files: take(&before.used.files) };
        if let Some(total) = &before.total {
            let more = |new: u64, old: u64| new.saturating_sub(old);
            total.add(Usage { bytes: more(usage.bytes, old.bytes), files: more(usage.files, old.files) });
            give_back(&total.used.bytes, more(old.bytes, usage.bytes));
            give_back(&total.used.files, more(old.files, usage.files));
        }
        Self { total: before.total.clone(), ..Self::new(quota, usage) }
    }

    pub(super) fn quota(&self) -> Quota {
        let (bytes, files) = self.most.load();
        Quota { bytes, files }
    }

    /// Changes the quota. What is there stays, even if it is more.
    pub(crate) fn change(&self, quota: Quota) {
        self.most.store(quota);
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
            let ((most_bytes, most_files), all) = (shared.most.load(), shared.used());
            total = Usage { bytes: bytes.min(most_bytes), files: files.min(most_files) };
            let left =
                Usage { bytes: most_bytes.saturating_sub(all.bytes), files: most_files.saturating_sub(all.files) };
            free = free.within(left, total);
        }
        (total, free)
    }

    /// Charges this many more bytes if they fit.
    pub(crate) fn charge_bytes(&self, bytes: u64) -> bool {
        self.charge(bytes, |counters| &counters.bytes)
    }

    /// Charges one more entry if it fits.
    pub(crate) fn charge_file(&self) -> bool {
        self.charge(1, |counters| &counters.files)
    }

    /// Charges it to this account and to the total, or to none.
    fn charge(&self, amount: u64, of: fn(&Counters) -> &AtomicU64) -> bool {
        let charge = |used, most| charge(of(used), amount, of(most).load(Ordering::Relaxed));
        if !charge(&self.used, &self.most) {
            return false;
        }
        let fits = self.total.as_deref().is_none_or(|total| charge(&total.used, &total.most));
        if !fits {
            give_back(of(&self.used), amount);
        }
        fits
    }

    pub(crate) fn give_back(&self, usage: Usage) {
        let bytes = give_back(&self.used.bytes, usage.bytes);
        let files = give_back(&self.used.files, usage.files);
        if let Some(total) = &self.total {
            give_back(&total.used.bytes, bytes);
            give_back(&total.used.files, files);
        }
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
        let total = Arc::new(TotalAccount::new(Quota { bytes: 10, files: 5 }));
        let of = |bytes, files| Usage { bytes, files };
        let account = |bytes, files| QuotaAccount::within(Quota { bytes: 8, files: 4 }, of(bytes, files), &total);
        let (one, two) = (account(3, 2), account(0, 0));
        assert_eq!((one.room(), two.room().1), ((of(8, 4), of(5, 2)), of(7, 3)));
        assert!(two.charge_bytes(7) && (0..3).all(|_| two.charge_file()));
        assert_eq!((total.used(), one.room().1, two.room().1), (of(10, 5), of(0, 0), of(0, 0)));
        assert!(!one.charge_bytes(1) && !two.charge_bytes(1) && !one.charge_file() && !two.charge_file());
        assert_eq!((one.usage(), two.usage()), (of(3, 2), of(7, 3)));
        one.give_back(of(99, 99));
        assert_eq!(total.used(), of(7, 3));
        total.change(Quota { bytes: 6, files: 2 });
        assert_eq!((one.room(), two.room().1), ((of(6, 2), of(0, 0)), of(0, 0)));
        assert!(one.charge_bytes(0) && !one.charge_bytes(1) && !one.charge_file());
        two.give_back(two.usage());
        assert!(one.charge_bytes(6) && !two.charge_bytes(1));
        assert!(one.charge_file() && two.charge_file() && !two.charge_file());
    }

    #[test]
    fn what_others_leave_is_told_in_steps_and_what_is_ones_own_exactly() {
        let total = Arc::new(TotalAccount::new(Quota { bytes: 64_000, files: 640 }));
        let quota = Quota { bytes: 64_000, files: 640 };
        let account = |bytes, files| QuotaAccount::within(quota, Usage { bytes, files }, &total);
        let (one, other) = (account(123, 1), account(0, 0));
        assert_eq!(one.room().1, Usage { bytes: 63_877, files: 639 });
        let mut told = Vec::new();
        for _ in 0..2_000 {
            assert!(other.charge_bytes(1));
            told.push(one.room().1.bytes);
        }
        told.dedup();
        assert_eq!(told, [63_000, 62_000, 61_000]);
        assert!(other.charge_file());
        assert_eq!(one.room().1.files, 630);
        // Large quotas have steps that are not too large, and small ones are told as they are.
        let of = |bytes, files| Usage { bytes, files };
        let most = of(1 << 40, 1_000_000_000);
        assert_eq!(most.within(of((3 << 30) + 5, 12_345), most), of(3 << 30, 10_000));
        assert_eq!(of(50, 5).within(of(49, 4), of(50, 5)), of(49, 4));
    }

    #[test]
    fn a_home_that_is_counted_again_is_never_out_of_the_total() {
        let total = Arc::new(TotalAccount::new(Quota { bytes: 100, files: 10 }));
        let (quota, of) = (Quota { bytes: 50, files: 5 }, |bytes, files| Usage { bytes, files });
        let before = QuotaAccount::within(quota, of(30, 3), &total);
        let more = QuotaAccount::in_place_of(&before, quota, of(40, 2));
        assert_eq!((total.used(), more.usage(), before.usage()), (of(40, 2), of(40, 2), of(0, 0)));
        before.give_back(of(30, 3));
        assert_eq!(total.used(), of(40, 2));
        more.give_back(of(40, 2));
        assert_eq!(total.used(), of(0, 0));
        assert!(more.charge_bytes(50) && !more.charge_bytes(1));
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
