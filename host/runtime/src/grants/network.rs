//! Where a plugin may connect to: allow-lists of hosts for HTTP and of addresses for TCP, which addresses a name may
//! resolve to, and which no list leads to. Pure: nothing here opens a socket or resolves a name.

mod address;
mod denials;
mod hosts;
mod reserved;
mod tcp;

pub use hosts::AllowList;
pub(crate) use hosts::{Host, Scheme, Target};
pub(crate) use reserved::RESERVED;
pub use reserved::{ReservedAddress, ReservedAddresses};
pub use tcp::TcpAllow;
