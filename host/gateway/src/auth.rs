//! Authentication: who may log in, and as which user.
//!
//! [`access`] decides; `authenticators` asks plugins about users who are not in the configuration; `attempt` is an
//! attempt that outlives its packet, [`proof`] what a client shows, [`restrictions`] what a login may do.
//! `connection/login.rs` shows the way from the packet to the decision.

pub mod access;
pub(crate) mod attempt;
pub(crate) mod authenticators;
pub mod proof;
pub mod restrictions;
