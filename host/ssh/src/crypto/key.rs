//! Host keys and user keys: RFC 4253 §6.6, RFC 8709, and the files that OpenSSH writes.
//!
//! One file an algorithm, `ssh-ed25519` alone for now. [`PublicKey`] and [`HostKey`] hide which one a key has: a new
//! algorithm is a file, a variant of the two enums (`Kind`, `Secret`) and its names in [`SIGNATURES`], and touches no
//! caller. The provider signs, `ed25519-dalek` verifies by its strict rule, `ssh-key` reads and writes files. Who may
//! use a key is not decided here.

mod ed25519;
mod error;
mod host;
mod public;

pub use error::{BadSignature, KeyError};
pub use host::HostKey;
pub use public::{PublicKey, SIGNATURES};
