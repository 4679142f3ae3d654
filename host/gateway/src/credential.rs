//! What a user proves to be themselves with, as an operator writes it down: password hashes and lists of public keys.
//!
//! Reads and compares; who may enter is decided in [`crate::auth::access`].

mod authorized_keys;
mod password;

pub use authorized_keys::{
    AuthorizedKey, KeyFile, MOST_TOLD, SkippedLine, parse_key, public_line, read_authorized_keys,
};
pub use password::PasswordHash;
