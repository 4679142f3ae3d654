//! What a back end must do, and how it says that it did not.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;

use super::flow::{Flow, Room};

/// What an operation answers, later.
pub type Answer<'b, R> = Pin<Box<dyn Future<Output = Result<R, Error>> + Send + 'b>>;

/// The values of several keys, in their order; none for a key that has none.
pub type Values = Vec<Option<Vec<u8>>>;

/// A key and its value.
pub type Entry = (String, Vec<u8>);

/// Where a list begins, and how much of it is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// [`Keys::cursor`] of the page before; none for the first.
    pub cursor: Option<u64>,
    /// Most keys.
    pub keys: usize,
    /// Most bytes of keys. One key is answered even if it alone is longer.
    pub bytes: usize,
}

/// One page of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys {
    /// The keys of the page.
    pub keys: Vec<String>,
    /// Where the next begins; none after the last.
    pub cursor: Option<u64>,
}

/// The buckets of one tenant: all that the value can reach.
///
/// Every bucket exists, empty at first, so that opening one asks nothing. An operation is done wholly or not at all, a batch too.
/// **A change is answered only when it would survive the death of the process and of the machine.** What was answered is seen by
/// whoever asks next. An operation whose answer nobody waits for any more may still be done.
///
/// Each operation is given the [`Room`] that it takes up, and keeps it until it is over.
pub trait Buckets: fmt::Debug + Send + Sync {
    /// What holds the tenant's operations to a measure.
    fn flow(&self) -> &Flow;
    /// The values of the keys, in their order; an error if they have more than `most` bytes together.
    fn get_many(&self, room: Room, bucket: String, keys: Vec<String>, most: usize) -> Answer<'_, Values>;
    /// Whether the key has a value.
    fn exists(&self, room: Room, bucket: String, key: String) -> Answer<'_, bool>;
    /// A page of the bucket's keys, in an order that changes to other keys do not disturb.
    fn list_keys(&self, room: Room, bucket: String, page: Page) -> Answer<'_, Keys>;
    /// Gives each key its value; of several for one key the last.
    fn set_many(&self, room: Room, bucket: String, entries: Vec<Entry>) -> Answer<'_, ()>;
    /// Takes keys away, those that are there.
    fn delete_many(&self, room: Room, bucket: String, keys: Vec<String>) -> Answer<'_, ()>;
    /// Adds to a number in decimal digits, 0 if there is none, and answers the sum.
    fn increment(&self, room: Room, bucket: String, key: String, delta: u64) -> Answer<'_, u64>;
}

/// Why nothing was done. `Display` of all but [`Unusable`](Self::Unusable) and [`Failed`](Self::Failed) is what the plugin is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The tenant would have more bytes or keys than its quota.
    OverQuota,
    /// The values that were asked for are more than one call carries.
    TooMuch,
    /// The value to be incremented is no number, or the sum would be none.
    NotANumber,
    /// The file of the embedded store cannot be used at all, and what to do about it.
    Unusable {
        /// Which file.
        file: PathBuf,
        /// Why, and what helps.
        reason: String,
    },
    /// The store failed: a full disk, a broken one. The operator's log has the reason.
    Failed(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OverQuota => f.write_str("over quota"),
            Self::TooMuch => f.write_str("the values are too many for one call"),
            Self::NotANumber => f.write_str("not a number of 64 bits"),
            Self::Unusable { file, reason } => write!(f, "the key-value store {}: {reason}", file.display()),
            Self::Failed(reason) => write!(f, "the key-value store failed: {reason}"),
        }
    }
}

impl std::error::Error for Error {}
