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
