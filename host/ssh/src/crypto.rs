//! Cryptography: what RFC 4253 §6 to §8 needs, and the keys of RFC 8709.
//!
//! Owns packet protection ([`cipher`], [`mac`]), ephemeral key agreement ([`agreement`]), the exchange hash and key
//! derivation ([`hash`]), host and user keys ([`key`]) and the random bytes of cookies and padding ([`random`]). It is
//! the bottom of the crate: it knows no messages and no state and works in the caller's buffers. It is the only folder
//! that names a crypto library; only `provider.rs` decides which.

pub mod agreement;
pub mod cipher;
pub mod hash;
#[cfg(test)]
mod hex;
pub mod key;
pub mod mac;
mod provider;
pub mod random;
pub mod secret;
mod string;
