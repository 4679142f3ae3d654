//! The rows of the threats that end in this crate, each as a test that bears its numbers: packets (P), key exchange
//! (K), authentication as the whole connection sees it (U), channels (C).
//!
//! Every peer here is written by hand ([`raw::Raw`]): it can say anything in any phase, under any keys. Most tests run
//! twice, once with whole transfers and once byte by byte. Memory is weighed by the allocator of this program
//! (`memory`).

mod auth;
mod channel;
mod flow;
mod form;
mod kex;
mod large;
mod memory;
mod packet;
#[path = "../pair/mod.rs"]
mod pair;
mod raw;
mod rekey;
mod request;
mod share;
mod slow;
