//! The grant `keyvalue`: the buckets of one tenant, which outlive its sessions.
//!
//! [`Buckets`] is what a back end must do; [`Embedded`] is the one that is here: a file in the state folder. A server-backed store
//! implements the same trait, a value for each tenant, and nothing else changes. What a plugin may hand in (lengths, counts) is
//! checked in `host/keyvalue.rs`, the same for every back end; how much of it may be on its way at once is [`Flow`]'s.

mod buckets;
mod embedded;
mod file;
mod flow;
mod tables;
mod writer;

pub use buckets::{Answer, Buckets, Entry, Error, Keys, Page, Values};
pub use embedded::{Embedded, Quota};
pub use flow::{Flow, Load, Room};

/// What a plugin may ask of its buckets in one call, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValueLimits {
    /// The longest key, and the longest name of a bucket, bytes.
    pub key: usize,
    /// The largest value, bytes.
    pub value: usize,
    /// Most keys in one call, and on one page of a list.
    pub batch: usize,
    /// Keys that a tenant may ask for or change in a second. Each 16 KiB of values count as one more. What comes faster waits.
    pub rate: u32,
}

impl Default for KeyValueLimits {
    fn default() -> Self {
        Self { key: 1 << 10, value: 1 << 20, batch: 1_000, rate: 2_000 }
    }
}
