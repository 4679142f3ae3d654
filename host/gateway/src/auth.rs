//! Authentication: who may log in, and as which user.
//!
//! [`access`] decides; `attempt` is an attempt that outlives its packet. `connection/login.rs` shows the way from the
//! packet to the decision.

pub mod access;
pub(crate) mod attempt;
