//! The SSH protocol, sans-IO.

pub mod auth;
pub mod error;
pub mod message;
pub mod wire;
