//! Where a plugin may connect to: allow-lists of hosts for HTTP and of addresses for TCP, and which addresses a name
//! may resolve to. Pure: nothing here opens a socket or resolves a name.

mod address;
mod denials;
mod hosts;
mod tcp;

pub use hosts::AllowList;
pub(crate) use hosts::{Host, Scheme, Target};
pub use tcp::TcpAllow;
