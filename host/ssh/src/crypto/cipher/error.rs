//! Errors of sealing and opening packets.

use std::fmt;

/// A key or an IV of the wrong length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadKey;

impl fmt::Display for BadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a cipher key or IV of the wrong length")
    }
}

impl std::error::Error for BadKey {}

/// The key may seal no further packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the cipher key may protect no further packet")
    }
}

impl std::error::Error for Exhausted {}

/// The tag does not fit the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forged;

impl fmt::Display for Forged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a packet failed its integrity check")
    }
}

impl std::error::Error for Forged {}
