//! The interface of a back end, and its errors.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;

use super::flow::{FlowControl, InFlight};

/// The future result of an operation.
pub type StoreFuture<'b, R> = Pin<Box<dyn Future<Output = Result<R, StoreError>> + Send + 'b>>;

/// The values of several keys, in their order; `None` for an absent key.
pub type Values = Vec<Option<Vec<u8>>>;

/// A key and its value.
pub type KeyValue = (String, Vec<u8>);

/// Which part of a list is requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// [`Keys::cursor`] of the page before; `None` for the first.
    pub cursor: Option<u64>,
    /// The most keys.
    pub keys: usize,
    /// The most bytes of keys. One key is returned even if it alone is longer.
    pub bytes: usize,
}

/// One page of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys {
    /// The keys of the page.
    pub keys: Vec<String>,
    /// Where the next page begins; `None` after the last.
    pub cursor: Option<u64>,
}

/// What the buckets of a tenant hold, and the quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreUsage {
    /// Bytes of keys, values and names of buckets.
    pub bytes: u64,
    /// Keys and buckets.
    pub keys: u64,
    /// The most bytes.
    pub most_bytes: u64,
    /// The most keys and buckets.
    pub most_keys: u64,
}

/// The buckets of one tenant; the value reaches no others.
///
/// Every bucket exists, empty at first, so opening one needs no operation. An operation succeeds as a whole or changes
/// nothing, batches too. **A change is confirmed only when it would survive a crash of the process and of the
/// machine.** Later operations see what was confirmed. An operation whose caller no longer waits may still be executed.
///
/// Each operation is given its [`InFlight`] and holds it until it is done.
pub trait Buckets: fmt::Debug + Send + Sync {
    /// The flow control of the tenant's operations.
    fn flow(&self) -> &FlowControl;
    /// The values of the keys, in their order; an error if they exceed `most` bytes together.
    fn get_many(&self, room: InFlight, bucket: String, keys: Vec<String>, most: usize) -> StoreFuture<'_, Values>;
    /// Whether the key has a value.
    fn exists(&self, room: InFlight, bucket: String, key: String) -> StoreFuture<'_, bool>;
    /// A page of the bucket's keys, in an order that changes to other keys do not affect.
    fn list_keys(&self, room: InFlight, bucket: String, page: Page) -> StoreFuture<'_, Keys>;
    /// Sets the value of each key; the last one counts if a key occurs several times.
    fn set_many(&self, room: InFlight, bucket: String, entries: Vec<KeyValue>) -> StoreFuture<'_, ()>;
    /// Deletes the keys that exist.
    fn delete_many(&self, room: InFlight, bucket: String, keys: Vec<String>) -> StoreFuture<'_, ()>;
    /// What all buckets hold together, and their quota.
    fn usage(&self, room: InFlight) -> StoreFuture<'_, StoreUsage>;
    /// Adds to a number in decimal digits, 0 if the key is absent, and returns the sum.
    fn increment(&self, room: InFlight, bucket: String, key: String, delta: u64) -> StoreFuture<'_, u64>;
}

/// Why an operation failed and changed nothing. The plugin gets the `Display` of all but [`Unusable`](Self::Unusable)
/// and [`Failed`](Self::Failed).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreError {
    /// The tenant would exceed its quota of bytes or keys.
    OverQuota,
    /// The requested values exceed what one call can carry.
    TooMuch,
    /// The value to increment is not a number, or the sum would overflow.
    NotANumber,
    /// The file of the embedded store cannot be used, and what to do about it.
    Unusable {
        /// The file.
        file: PathBuf,
        /// The reason, and what helps.
        reason: String,
    },
    /// The store failed, for example because the disk is full or broken. The operator's log has the reason.
    Failed(String),
}

impl fmt::Display for StoreError {
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

impl std::error::Error for StoreError {}
