//! The SSH protocol, sans-IO: server and client roles of RFC 4251 to 4254 as state machines without socket, clock or
//! task.
//!
//! # The map
//!
//! | module | RFC | what it owns |
//! |---|---|---|
//! | [`wire`] | 4251 §5 | the encoding of values: strings, name-lists, counts bounded by the bytes left |
//! | [`message`] | 4250 §4 | every message, one table a layer |
//! | [`error`] | | all errors, by who is at fault, and the disconnect reason of each |
//! | [`crypto`] | | ciphers, key agreement, keys, hashes: the only folder that names a crypto crate |
//! | [`algorithm`] | 4253 §7.1 | the names, in order of preference, and negotiation as one pure function |
//! | [`phase`] | | the table that is checked before any handler: which messages are allowed when |
//! | [`transport`] | 4253 | bytes to payloads and back: the two buffers, the keys, key exchange |
//! | [`auth`] | 4252 | authentication |
//! | [`mux`] | 4254 | channels, windows, requests |
//! | [`connection`] | | the three put together: [`connection::Server`], [`connection::Client`] |
//!
//! Each uses only those above it: `connection` uses all, `wire` uses none. `auth` and `mux` do not know `transport`:
//! they take a payload and a [`message::Output`].
//!
//! # Reading order
//!
//! [`connection`], then [`phase`], `message/mux.rs`, `mux/channel.rs`, `transport/packet.rs`, `transport/kex.rs`; and
//! of the tests `tests/exchange.rs`, in which a client and a server communicate in memory.
//!
//! Codes such as `K11` in comments are rows of the threat list, `tests/hostile/README.md`.
//!
//! # Invariants
//!
//! * Nothing here queues data. What is owed (credit, replies, an end) is small state on its channel; data stays with
//!   its owner until the peer's window, the packet limit and the output have room.
//! * A question that cannot be answered at once (a signature, a login) stays open until it is answered, and nothing
//!   more is read.
//! * What is not known here is refused without the application. One that asks to be told of channel types and global
//!   requests of its own ([`mux::Mux::pass_on_private_names`]) is told of names with an `@` and a domain, never of
//!   forwarding, and answers later, in the order of the requests.
//! * No clock, no socket: `clippy.toml` beside this crate refuses them. Randomness comes from [`crypto::random`] and
//!   from the provider's key generation inside [`crypto::agreement`].
//!
#![doc = include_str!("answers.md")]
#![deny(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "every byte here is a stranger's"
)]

pub mod algorithm;
pub mod auth;
pub mod connection;
pub mod crypto;
pub mod error;
pub mod message;
pub mod mux;
pub mod phase;
pub mod transport;
pub mod wire;
