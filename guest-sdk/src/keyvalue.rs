//! Values by name, which outlive the session: what was set is on the disk when the call returns.
//!
//! All sessions of one tenant (one customer of a shared server) see the same buckets, whichever plugin they run; those
//! of others have their own, even with the same names. A plugin that calls anything of this module needs the grant
//! `keyvalue` of its operator.
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

/// The bucket of this name; any name will do, and it need not be made first.
///
/// # Errors
/// [`Error::Denied`] where there is no key-value store, [`Error::Other`] for a name of more than 1 KiB.
pub fn open(name: &str) -> Result<Bucket, Error> {
    Ok(Bucket(store::open(name)?))
}

/// A set of keys with a value each. Every call waits for the disk and is done wholly or not at all.
///
/// All can fail with [`Error::Other`]: a key has at most 1 KiB and a value at most 1 MiB, and all together no more than
/// the tenant's quota.
#[derive(Debug)]
pub struct Bucket(store::Bucket);

impl Bucket {
    /// The value of a key, if it has one.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.0.get(key)?)
    }

    /// Gives a key a value, in place of the one that it had.
    pub fn set(&self, key: &str, value: impl AsRef<[u8]>) -> Result<(), Error> {
        Ok(self.0.set(key, value.as_ref())?)
    }

    /// Takes key and value away. A key that is not there is no error.
    pub fn delete(&self, key: &str) -> Result<(), Error> {
        Ok(self.0.delete(key)?)
    }

    /// Whether the key has a value.
    pub fn exists(&self, key: &str) -> Result<bool, Error> {
        Ok(self.0.exists(key)?)
    }

    /// All keys, in the order in which they first came. They are fetched a page at a time; what others do meanwhile
    /// does not disturb the order.
    pub fn keys(&self) -> Keys<'_> {
        Keys { bucket: self, page: Vec::new().into_iter(), next: Next::Page(None) }
    }

    /// Adds to a number and answers the sum, without anybody coming between. The value is the number in decimal digits;
    /// a key without a value counts as 0.
    pub fn increment(&self, key: &str, delta: u64) -> Result<u64, Error> {
        Ok(atomics::increment(&self.0, key, delta)?)
    }
}

/// The keys of a bucket: see [`Bucket::keys`]. After an error it is at its end.
#[derive(Debug)]
pub struct Keys<'b> {
    bucket: &'b Bucket,
    page: std::vec::IntoIter<String>,
    next: Next,
}

#[derive(Debug)]
enum Next {
    /// The page that begins at this cursor.
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

/// Why nothing was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The tenant has no key-value store.
    Denied,
    /// Any other reason, in words: `over quota`.
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
