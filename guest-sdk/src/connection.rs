//! Facts about the connection, verified by the host.
//!
//! The names are `connection-id`, `user`, `principal`, `tenant`, `address`, `local-address`, `client-version`,
//! `server-version`, `method`, `key-fingerprint`, `certificate-key-id`, `certificate-serial`, `certificate-authority`
//! (its fingerprint), `session-id`, `kex`, `host-key`, `cipher-in`, `cipher-out`, `mac-in`, `mac-out`, and `attr.`
//! followed by each attribute that was granted at login. On a channel of a type of your own there are also
//! `channel-type`, and `channel-payload`: the payload of the open in hexadecimal digits. Later versions may add names.

pub mod control;
pub(crate) mod plugin;

use crate::bindings::whelk::ssh::connection;

/// Returns one fact, or `None` if it is not known.
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

/// Returns all facts as pairs of name and value.
pub fn facts() -> Vec<(String, String)> {
    connection::facts()
}

/// Ends the whole connection with all its sessions. `reason` is a DISCONNECT reason code (RFC 4253 §11.1). The text is
/// cut to 1 KiB and its control characters are escaped.
pub fn disconnect(reason: u32, text: &str) {
    connection::disconnect(reason, text);
}

/// Sends a debug message (RFC 4253 §11.3). Most clients show it only in verbose mode (`ssh -v`), unless
/// `always_display` is true. The text is cut and escaped as in [`disconnect`].
pub fn debug(text: &str, always_display: bool) {
    connection::debug(text, always_display);
}
