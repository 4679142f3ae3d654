//! The grant `keyvalue`: the persistent buckets of one tenant.
//!
//! [`Buckets`] is the interface of a back end; [`Embedded`] is the only implementation: a file in the state folder. A
//! store on a server would implement the same trait, one value for each tenant. `host/keyvalue.rs` checks the arguments
//! of a plugin (lengths, counts) for every back end; [`FlowControl`] limits how much is in progress at once.

mod backup;
mod buckets;
mod embedded;
mod file;
mod flow;
mod tables;
mod writer;

pub use backup::{BackupSummary, check_store};
pub use buckets::{Buckets, KeyValue, Keys, Page, StoreError, StoreFuture, StoreUsage, Values};
pub use embedded::{Embedded, StoreQuota};
pub(crate) use flow::operations_of;
pub use flow::{FlowControl, InFlight, Load};
