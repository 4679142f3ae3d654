//! Who is at the other end: facts that the host vouches for.
//!
//! `connection-id`, `user`, `principal`, `tenant`, `address`, `local-address`, `client-version`, `server-version`,
//! `method`, `key-fingerprint`, `session-id`, `kex`, `host-key`, `cipher-in`, `cipher-out`, `mac-in`, `mac-out`, and
//! `attr.` followed by each attribute that was granted at the door. New ones may come.

use crate::bindings::whelk::ssh::connection;

/// One fact, if it is known.
///
/// ```no_run
/// use whelk_guest::{connection, print};
///
/// let name = connection::get("user").unwrap_or_default();
/// print(format!("Welcome, {}.\r\n", name.escape_debug()));
/// ```
pub fn get(fact: &str) -> Option<String> {
    connection::get(fact)
}

/// All of them, as names and values.
pub fn facts() -> Vec<(String, String)> {
    connection::facts()
}

/// Ends the whole connection, with all its sessions: a number for why (RFC 4253 §11.1) and a line of text, which is
/// cut to 1 KiB and whose control characters are escaped.
pub fn disconnect(reason: u32, text: &str) {
    connection::disconnect(reason, text);
}

/// Sends a note. Most clients show it only when asked for detail (`ssh -v`), unless `always_display` is given. The
/// text is cut and escaped as that of [`disconnect`] is.
pub fn debug(text: &str, always_display: bool) {
    connection::debug(text, always_display);
}
