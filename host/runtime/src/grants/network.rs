//! Where a plugin may go on the network: allow-lists of hosts for HTTP and of addresses for TCP, and which addresses a name may
//! resolve to. Pure: nothing here opens a socket or looks a name up.

mod address;
mod denials;
mod hosts;
mod tcp;

pub use hosts::AllowList;
pub(crate) use hosts::{Host, Scheme, Target};
pub use tcp::TcpAllow;
