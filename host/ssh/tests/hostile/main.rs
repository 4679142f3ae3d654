//! The rows of the threat list that this crate answers, each with a test that cites it: packets (P), key exchange (K),
//! authentication in the whole connection (U), channels (C).
//!
//! Every peer here is hand-written ([`raw::Raw`]): it can send anything in any phase, under any keys. Most tests run
//! twice, once with whole transfers and once byte by byte. The allocator of this program (`memory`) measures memory.

mod answers;
mod auth;
#[path = "../by_hand/mod.rs"]
mod by_hand;
mod channel;
mod compression;
mod delegation;
mod flow;
mod form;
mod kex;
mod large;
mod memory;
mod packet;
#[path = "../pair/mod.rs"]
mod pair;
mod proofs;
mod raw;
mod rekey;
mod request;
mod share;
mod slow;
