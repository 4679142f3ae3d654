//! Persistent key-value storage. A write is on disk when its call returns.
//!
//! All sessions of one tenant (one customer of a shared server) share its buckets, whichever plugin they run. Other
//! tenants have their own buckets, even under the same names. A plugin that calls any function of this module needs the
//! grant `keyvalue` from its operator. Authenticators have a store of their own, which no tenant sees.
//!
//! ```no_run
//! use whelk_guest::{keyvalue, print};
//!
//! fn greet(name: &str) -> Result<(), keyvalue::Error> {
//!     let visits = keyvalue::open("visits")?;
//!     print(format!("This is your visit number {}.\r\n", visits.increment(name, 1)?));
//!     Ok(())
//! }
//! ```

use std::{error, fmt};

use crate::bindings::granted::wasi::keyvalue::{atomics, store};

/// Opens the bucket of this name. Every name is valid, and a bucket need not be created first.
///
/// # Errors
/// [`Error::Denied`] where there is no key-value store, [`Error::Other`] for a name of more than 1 KiB.
pub fn open(name: &str) -> Result<Bucket, Error> {
    Ok(Bucket(store::open(name)?))
}

/// A set of keys, each with a value. Every call waits for the disk and either succeeds as a whole or changes nothing.
///
/// Every call fails with [`Error::Other`] when a key exceeds 1 KiB, a value exceeds 1 MiB, or the tenant would exceed
/// its quota.
#[derive(Debug)]
pub struct Bucket(store::Bucket);

impl Bucket {
    /// Returns the value of a key, if it has one.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.0.get(key)?)
    }

    /// Sets the value of a key, replacing an earlier one.
    pub fn set(&self, key: &str, value: impl AsRef<[u8]>) -> Result<(), Error> {
        Ok(self.0.set(key, value.as_ref())?)
    }

    /// Deletes a key and its value. Deleting an absent key is not an error.
    pub fn delete(&self, key: &str) -> Result<(), Error> {
        Ok(self.0.delete(key)?)
    }

    /// Whether the key has a value.
    pub fn exists(&self, key: &str) -> Result<bool, Error> {
        Ok(self.0.exists(key)?)
    }

    /// Iterates over all keys in the order in which they were first set. Pages are fetched as needed; concurrent
    /// changes do not disturb the order.
    pub fn keys(&self) -> Keys<'_> {
        Keys { bucket: self, page: Vec::new().into_iter(), next: Next::Page(None) }
    }

    /// Adds to a number atomically and returns the sum. The value is the number in decimal digits; an absent key counts
    /// as 0.
    pub fn increment(&self, key: &str, delta: u64) -> Result<u64, Error> {
        Ok(atomics::increment(&self.0, key, delta)?)
    }
}

/// Iterator over the keys of a bucket, from [`Bucket::keys`]. It ends after an error.
#[derive(Debug)]
pub struct Keys<'b> {
    bucket: &'b Bucket,
    page: std::vec::IntoIter<String>,
    next: Next,
}

#[derive(Debug)]
enum Next {
    /// The cursor of the next page.
    Page(Option<u64>),
    End,
}

impl Iterator for Keys<'_> {
    type Item = Result<String, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(key) = self.page.next() {
                return Some(Ok(key));
            }
            let Next::Page(cursor) = std::mem::replace(&mut self.next, Next::End) else { return None };
            match self.bucket.0.list_keys(cursor) {
                Ok(found) => {
                    self.page = found.keys.into_iter();
                    self.next = found.cursor.map_or(Next::End, |cursor| Next::Page(Some(cursor)));
                }
                Err(error) => return Some(Err(error.into())),
            }
        }
    }
}

/// Why a call failed. A failed call changed nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The tenant has no key-value store.
    Denied,
    /// Any other reason as text, such as `over quota`.
    Other(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied => f.write_str("there is no key-value store"),
            Self::Other(reason) => f.write_str(reason),
        }
    }
}

impl error::Error for Error {}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::AccessDenied => Self::Denied,
            store::Error::NoSuchStore => Self::Other("no such bucket".to_owned()),
            store::Error::Other(reason) => Self::Other(reason),
        }
    }
}
