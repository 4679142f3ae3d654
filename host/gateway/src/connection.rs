//! One connection: the task between socket, protocol and sessions.

pub(crate) mod bridge;
pub(crate) mod channels;
pub mod driver;
pub(crate) mod keepalive;
pub(crate) mod login;
pub(crate) mod ready;
