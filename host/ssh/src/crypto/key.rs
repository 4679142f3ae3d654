//! Host keys and user keys: RFC 4253 §6.6, RFC 8709, and the files that OpenSSH writes.
//!
//! `ssh-ed25519` alone for now; [`PublicKey`] and [`HostKey`] are closed types with the kind inside, so that others
//! come without touching a caller. Signing is the provider's, verification is `ed25519-dalek`'s strict one, files
//! are read and written by `ssh-key`. Who may use a key is not asked here.

mod error;
mod host;
mod public;

pub use error::{BadSignature, KeyError};
pub use host::HostKey;
pub use public::{PublicKey, SIGNATURES};
