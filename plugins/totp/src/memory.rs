//! A store in memory, for tests.

use std::cell::RefCell;
use std::collections::BTreeMap;

use whelk_guest::keyvalue;

use crate::guard::Counters;

/// The numbers of each bucket.
#[derive(Default)]
pub(crate) struct Memory {
    numbers: RefCell<BTreeMap<String, BTreeMap<String, u64>>>,
    is_absent: bool,
}

impl Memory {
    /// What an authenticator has that was given no store.
    pub(crate) fn absent() -> Self {
        Self { is_absent: true, ..Self::default() }
    }

    /// How many numbers it has.
    pub(crate) fn len(&self) -> usize {
        self.numbers.borrow().values().map(BTreeMap::len).sum()
    }
}

impl Counters for Memory {
    fn increment(&self, bucket: &str, key: &str) -> Result<u64, keyvalue::Error> {
        if self.is_absent {
            return Err(keyvalue::Error::Denied);
        }
        let mut numbers = self.numbers.borrow_mut();
        let number = numbers.entry(bucket.to_owned()).or_default().entry(key.to_owned()).or_default();
        *number += 1;
        Ok(*number)
    }

    fn keys(&self, bucket: &str) -> Result<Vec<String>, keyvalue::Error> {
        Ok(self.numbers.borrow().get(bucket).into_iter().flat_map(BTreeMap::keys).cloned().collect())
    }

    fn delete(&self, bucket: &str, key: &str) -> Result<(), keyvalue::Error> {
        if let Some(numbers) = self.numbers.borrow_mut().get_mut(bucket) {
            numbers.remove(key);
        }
        Ok(())
    }
}
