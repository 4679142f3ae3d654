//! Types that both providers return.

/// The provider's error, which carries no reason.
#[derive(Debug)]
pub(in crate::crypto) struct ProviderError;

/// The shared secret of an agreement: 32 bytes, wiped when dropped.
pub(in crate::crypto) type Raw = zeroize::Zeroizing<[u8; 32]>;

/// Copies a secret out of the provider's form; the caller wipes the original.
pub(super) fn raw(secret: &[u8]) -> Result<Raw, ProviderError> {
    secret.try_into().map(Raw::new).map_err(|_| ProviderError)
}
