//! Authentication: who may log in, and as which user.
//!
//! [`access`] decides; `attempt` is an attempt that outlives its packet, [`restrictions`] what a login may do.
//! `connection/login.rs` shows the way from the packet to the decision.

pub mod access;
pub(crate) mod attempt;
pub mod restrictions;
