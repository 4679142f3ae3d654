//! The provider: the one place that says which library does AEAD, X25519, ML-KEM, signing and randomness.
//!
//! `aws-lc-rs` by default; `ring` with `--no-default-features --features ring`. Their interfaces are the same but
//! for the three jobs that each file below wraps under the same names: the X25519 agreement, opening GCM with the
//! tag apart, and ML-KEM-768 (which `ring` has not; the `ml-kem` crate stands in). When both features are on, as
//! feature unification may do, `aws-lc-rs` is taken.

#[cfg(feature = "aws-lc-rs")]
mod with_aws_lc;
#[cfg(feature = "aws-lc-rs")]
use with_aws_lc as chosen;

#[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
mod with_ring;
#[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
use with_ring as chosen;

#[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
compile_error!("whelk-ssh needs a provider: enable the feature `aws-lc-rs` or `ring`");

pub(super) use chosen::{KemKey, aead, agree_x25519, agreement, encapsulate, open_gcm, rand, signature};

/// The provider refused, and does not say why.
#[derive(Debug)]
pub(super) struct Refused;

/// A shared secret as an agreement leaves it: 32 bytes, wiped when dropped.
pub(super) type Raw = zeroize::Zeroizing<[u8; 32]>;
