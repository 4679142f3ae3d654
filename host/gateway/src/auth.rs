//! Authentication: who may log in, and as which user.

pub mod access;
pub(crate) mod attempt;
