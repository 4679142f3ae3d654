//! What outlives a connection: which code was used last, and how many wrong ones there were.
//!
//! The store has one atomic operation, to add to a number and to know the sum. Whoever gets the sum 1 was the first.

use whelk_guest::keyvalue;

/// How many names that are nobody's are counted apart. More share a count, so that strangers cannot fill the store.
const STRANGERS: u32 = 256;

/// The operations of the store.
pub(crate) trait Counters {
    /// Adds 1 to a number and returns the sum.
    fn increment(&self, bucket: &str, key: &str) -> Result<u64, keyvalue::Error>;
    /// Every key of a bucket.
    fn keys(&self, bucket: &str) -> Result<Vec<String>, keyvalue::Error>;
    /// Deletes a number.
    fn delete(&self, bucket: &str, key: &str) -> Result<(), keyvalue::Error>;
}

/// The store that the host gives to the authenticator.
pub(crate) struct Store;

impl Counters for Store {
    fn increment(&self, bucket: &str, key: &str) -> Result<u64, keyvalue::Error> {
        keyvalue::open(bucket)?.increment(key, 1)
    }

    fn keys(&self, bucket: &str) -> Result<Vec<String>, keyvalue::Error> {
        keyvalue::open(bucket)?.keys().collect()
    }

    fn delete(&self, bucket: &str, key: &str) -> Result<(), keyvalue::Error> {
        keyvalue::open(bucket)?.delete(key)
    }
}

/// How many wrong codes a user may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WrongCodes {
    pub(crate) most: u64,
    /// After this they are forgotten, in seconds.
    pub(crate) period: u64,
}

impl WrongCodes {
    /// Counts one more code of this user before it is compared, so that codes that are tried at the same time count
    /// too. Returns how many there were in this period.
    pub(crate) fn count(self, counters: &impl Counters, who: &Who<'_>, time: u64) -> Result<u64, keyvalue::Error> {
        let (bucket, period) = (who.bucket(), self.period_of(time));
        let count = counters.increment(&bucket, &period)?;
        let keys = counters.keys(&bucket)?;
        for old in keys.iter().filter(|key| **key != period) {
            counters.delete(&bucket, old)?;
        }
        Ok(count)
    }

    /// The last code was right.
    pub(crate) fn forget(self, counters: &impl Counters, who: &Who<'_>, time: u64) -> Result<(), keyvalue::Error> {
        counters.delete(&who.bucket(), &self.period_of(time))
    }

    fn period_of(self, time: u64) -> String {
        (time / self.period.max(1)).to_string()
    }
}

/// Whose codes are counted.
pub(crate) enum Who<'a> {
    /// A user of the configuration.
    User(&'a str),
    /// Somebody else, by the name that was asked for.
    Stranger(&'a str),
}

impl Who<'_> {
    fn bucket(&self) -> String {
        match self {
            Self::User(name) => format!("wrong/{name}"),
            // FNV-1a: which names share a count does not matter.
            Self::Stranger(name) => {
                let mix = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
                format!("strangers/{}", name.bytes().fold(0x811c_9dc5, mix) % STRANGERS)
            }
        }
    }
}

/// Takes the code of a step for this user. False if it was used before, or a later one was.
///
/// At most one caller gets true for a step, however many try at the same time: each adds to a number of that step. A
/// number is deleted only when there is one of a later step, which then refuses the earlier one.
pub(crate) fn claim(counters: &impl Counters, user: &str, step: u64) -> Result<bool, keyvalue::Error> {
    let (bucket, key) = (format!("used/{user}"), step.to_string());
    let is_first = counters.increment(&bucket, &key)? == 1;
    let keys = counters.keys(&bucket)?;
    let steps: Vec<u64> = keys.iter().filter_map(|key| key.parse().ok()).collect();
    let last = steps.iter().copied().max().unwrap_or_default();
    for old in steps.iter().filter(|old| **old < last) {
        counters.delete(&bucket, &old.to_string())?;
    }
    Ok(is_first && last <= step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Memory;

    #[test]
    fn a_step_is_taken_once_and_none_before_it_afterwards() {
        let store = Memory::default();
        let claims = |user, step| claim(&store, user, step).unwrap();
        assert!(claims("alice", 100) && !claims("alice", 100) && !claims("alice", 100));
        assert!(claims("bob", 100), "users do not share codes");
        assert!(claims("alice", 102) && !claims("alice", 101) && !claims("alice", 100) && !claims("alice", 102));
        // As numbers, not as texts.
        assert!(claims("carol", 9) && claims("carol", 10) && !claims("carol", 9));
        assert_eq!(store.len(), 3, "one for each user");
    }

    /// Another login is through between an addition and the look at all steps.
    #[test]
    fn a_step_that_was_forgotten_meanwhile_is_not_taken_again() {
        struct Late(Memory);
        impl Counters for Late {
            fn increment(&self, bucket: &str, key: &str) -> Result<u64, keyvalue::Error> {
                // The step is used, a later one too, and the number of the first is deleted.
                assert!(claim(&self.0, "alice", 7).unwrap() && claim(&self.0, "alice", 8).unwrap());
                self.0.increment(bucket, key)
            }
            fn keys(&self, bucket: &str) -> Result<Vec<String>, keyvalue::Error> {
                self.0.keys(bucket)
            }
            fn delete(&self, bucket: &str, key: &str) -> Result<(), keyvalue::Error> {
                self.0.delete(bucket, key)
            }
        }
        let late = Late(Memory::default());
        assert!(!claim(&late, "alice", 7).unwrap());
        assert_eq!(late.0.len(), 1);
    }

    #[test]
    fn wrong_codes_are_counted_for_each_user_and_forgotten_after_the_period() {
        let (store, limit) = (Memory::default(), WrongCodes { most: 3, period: 600 });
        let count = |who: &Who<'_>, time| limit.count(&store, who, time).unwrap();
        assert_eq!([count(&Who::User("alice"), 600), count(&Who::User("alice"), 1_199)], [1, 2]);
        assert_eq!(count(&Who::User("bob"), 1_000), 1);
        assert_eq!([count(&Who::User("alice"), 1_200), count(&Who::User("alice"), 1_201)], [1, 2]);
        assert_eq!(store.len(), 2, "the count of the period before is gone");
        limit.forget(&store, &Who::User("alice"), 1_300).unwrap();
        assert_eq!(count(&Who::User("alice"), 1_300), 1);
    }

    #[test]
    fn strangers_are_counted_apart_from_users_and_cannot_fill_the_store() {
        let (store, limit) = (Memory::default(), WrongCodes { most: 3, period: 600 });
        for number in 0..10_000 {
            limit.count(&store, &Who::Stranger(&format!("user{number}")), 0).unwrap();
        }
        assert_eq!(store.len(), 256);
        assert_eq!(limit.count(&store, &Who::User("user0"), 0).unwrap(), 1);
        assert!(limit.count(&store, &Who::Stranger("user0"), 0).unwrap() > 1);
    }

    #[test]
    fn without_a_store_nothing_is_taken_and_nothing_counted() {
        let (none, limit) = (Memory::absent(), WrongCodes { most: 3, period: 600 });
        assert_eq!(claim(&none, "alice", 1), Err(keyvalue::Error::Denied));
        assert_eq!(limit.count(&none, &Who::User("alice"), 0), Err(keyvalue::Error::Denied));
    }
}
