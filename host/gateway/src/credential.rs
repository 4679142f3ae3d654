//! Credentials as an operator writes them: password hashes and lists of public keys.
//!
//! Parses and compares; [`crate::auth::access`] decides who may log in.

mod addresses;
mod authorized_keys;
mod expiry;
mod file;
mod key_options;
mod krl;
mod password;
mod revoked;

pub use addresses::AddressList;
#[cfg(test)]
pub(crate) use authorized_keys::public_line;
pub use authorized_keys::{AuthorizedKey, KeyFile, MOST_TOLD, SkippedLine, parse_key, read_authorized_keys};
pub(crate) use authorized_keys::{FoundKey, find_in_cached_file, find_in_file, read_key_file};
pub(crate) use file::{FileFault, FileStamp, KeyPath, is_passing};
pub use key_options::{ForwardingOptions, KeyOptions};
pub use password::PasswordHash;
pub use revoked::check_revoked_keys;
pub(crate) use revoked::{RevokedKeys, RevokedList};
