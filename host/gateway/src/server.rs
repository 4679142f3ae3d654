//! The server: what all connections share, how it listens, how it is asked and how it stops.

pub mod connection_table;
pub mod control;
pub mod drain;
pub mod gateway;
pub mod heap_trim;
pub mod listener;
pub mod signals;
pub(crate) mod socket;
