//! What both providers give back.

/// The provider refused, and does not say why.
#[derive(Debug)]
pub(in crate::crypto) struct Refused;

/// A shared secret as an agreement leaves it: 32 bytes, wiped when dropped.
pub(in crate::crypto) type Raw = zeroize::Zeroizing<[u8; 32]>;

/// The secret in a provider's own form, copied; that form is wiped by who made it.
pub(super) fn raw(secret: &[u8]) -> Result<Raw, Refused> {
    secret.try_into().map(Raw::new).map_err(|_| Refused)
}
