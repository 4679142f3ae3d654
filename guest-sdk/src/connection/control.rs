//! Channels and global requests that a [connection plugin](crate::Connection) begins by itself.
//!
//! Each function waits until the client has answered, by default at most 10 seconds; your plugin gets no other call in
//! the meantime. Call them from [`Connection::global_request`](crate::Connection::global_request) or
//! [`Connection::channel_open`](crate::Connection::channel_open). Names are those of your own: at most 64 printable
//! ASCII characters, with one `@` and a domain of yours behind it, such as `thing@example.org`. Names that mean
//! something elsewhere, such as `auth-agent@openssh.com`, are never sent. A plugin that serves sessions cannot call
//! these functions: the host does not load it.
//!
//! ```no_run
//! use whelk_guest::{connection_control, log};
//!
//! match connection_control::global_request("version@example.org", b"") {
//!     Ok(version) => log::info(format!("the client has version {}", version.escape_ascii())),
//!     Err(error) => log::info(format!("the client does not say: {error}")),
//! }
//! ```

use crate::bindings::connections::whelk::ssh::connection_control as host;

pub use host::{OpenError, OpenRefusal, RequestError};

/// Opens a channel of this type to the client (RFC 4254 §5.1); `payload` has at most 32,000 bytes. The plugin of the
/// tenant that `plugin` names serves it.
///
/// # Errors
/// See [`OpenError`]. Most clients refuse channels of types that they do not know.
pub fn open_channel(kind: &str, payload: &[u8], plugin: &str) -> Result<(), OpenError> {
    host::open_channel(kind, payload, plugin)
}

/// Makes a global request and returns the client's reply (RFC 4254 §4); `payload` has at most 32,000 bytes.
///
/// # Errors
/// See [`RequestError`]. Most clients refuse requests that they do not know.
pub fn global_request(name: &str, payload: &[u8]) -> Result<Vec<u8>, RequestError> {
    host::global_request(name, payload)
}
