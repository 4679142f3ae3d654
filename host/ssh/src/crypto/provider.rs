//! The provider: the one place that decides which library does AEAD, AES, HMAC, ECDH, ML-KEM, signing and randomness.
//!
//! `aws-lc-rs` by default; `ring` with `--no-default-features --features ring`. Their interfaces are the same except
//! for a few operations that each file below wraps under the same names: key agreement, reading ECDSA keys, opening GCM
//! with a detached tag, and what `ring` lacks: ML-KEM-768 (from the crate `ml-kem`) and AES in counter mode (`aes` and
//! `ctr`). When both features are on, as feature unification may do, `aws-lc-rs` is used.
//!
//! ChaCha20-Poly1305 comes from the provider too, except for long packets on processors with AVX-512: see
//! `cipher/chacha20_poly1305/long.rs`.

mod given;
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

pub(super) use chosen::{
    CtrKey, KemKey, aead, agreement, digest, ecdsa_pair, encapsulate, hmac, open_gcm, rand, rsa, signature,
};
pub(super) use given::Raw;
use given::{ProviderError, raw};
#[cfg(feature = "aws-lc-rs")]
pub(super) use with_aws_lc::generate_rsa_3072;

/// X25519 with a single-use private key. Refuses a wrong length and an all-zero result.
pub(super) fn agree_x25519(mine: agreement::EphemeralPrivateKey, theirs: &[u8]) -> Result<Raw, ProviderError> {
    agree(mine, &agreement::X25519, theirs, raw)?
}

/// Agrees with a single-use private key of `algorithm` and gives the secret to `read`. Refuses points that are not on
/// the curve.
pub(super) fn agree<T>(
    mine: agreement::EphemeralPrivateKey,
    algorithm: &'static agreement::Algorithm,
    theirs: &[u8],
    read: impl FnOnce(&[u8]) -> T,
) -> Result<T, ProviderError> {
    chosen::agree(mine, agreement::UnparsedPublicKey::new(algorithm, theirs), read)
}
