//! Credentials as an operator writes them: password hashes and lists of public keys.
//!
//! Parses and compares; [`crate::auth::access`] decides who may log in.

mod authorized_keys;
mod password;

pub use authorized_keys::{AuthorizedKey, KeyFile, MOST_TOLD, SkippedLine, parse_key, read_authorized_keys};
pub use password::PasswordHash;
