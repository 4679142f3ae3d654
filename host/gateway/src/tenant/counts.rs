//! What is counted of tenants and authenticators, shared by every generation that has one of the name: a tenant that is
//! removed and added again goes on with the counts of whoever still uses the removed one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::Semaphore;
use whelk_runtime::limits::Budget;

use crate::tenant::input_budget::InputBudget;
use crate::tenant::programs::LoadedPrograms;

/// What is counted of everybody in this process.
#[derive(Default)]
pub(crate) struct Counts {
    /// What sessions of a tenant have together; of an authenticator by the name of its store.
    pub(crate) budgets: SharedByName<Budget>,
    pub(super) inputs: SharedByName<InputBudget>,
    pub(super) busy_permits: SharedByName<Semaphore>,
    pub(super) programs: SharedByName<LoadedPrograms>,
    pub(super) traffic: SharedByName<Traffic>,
}

/// Bytes that the sessions of a tenant have moved since the server was started.
#[derive(Default)]
pub(crate) struct Traffic {
    received: AtomicU64,
    sent: AtomicU64,
}

impl Traffic {
    /// So many bytes came from a client.
    pub(crate) fn add_received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// So many bytes were sent to a client.
    pub(crate) fn add_sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Bytes from clients, and bytes to them.
    pub(crate) fn total(&self) -> (u64, u64) {
        (self.received.load(Ordering::Relaxed), self.sent.load(Ordering::Relaxed))
    }
}

/// Values by name, each for as long as somebody has it.
pub(crate) struct SharedByName<T>(Mutex<BTreeMap<String, Weak<T>>>);

impl<T> Default for SharedByName<T> {
    fn default() -> SharedByName<T> {
        SharedByName(Mutex::default())
    }
}

impl<T> SharedByName<T> {
    /// The value of this name if somebody has it, else a new one.
    pub(crate) fn get_or_make(&self, name: &str, make: impl FnOnce() -> Arc<T>) -> Arc<T> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get(name).and_then(Weak::upgrade) {
            return known;
        }
        all.retain(|_, other| other.strong_count() > 0);
        let made = make();
        all.insert(name.to_owned(), Arc::downgrade(&made));
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_shared_while_somebody_has_it_and_forgotten_then() {
        let all = SharedByName::default();
        let first = all.get_or_make("acme", || Arc::new(1));
        let other = all.get_or_make("other", || Arc::new(2));
        assert!(Arc::ptr_eq(&first, &all.get_or_make("acme", || Arc::new(3))));
        drop(first);
        let third = all.get_or_make("third", || Arc::new(4));
        assert_eq!(all.0.lock().unwrap().len(), 2, "who is gone takes no memory");
        assert_eq!([*all.get_or_make("acme", || Arc::new(5)), *other, *third], [5, 2, 4]);
    }
}
