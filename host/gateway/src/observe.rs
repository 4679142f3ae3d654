//! What the operator sees of the running server: the log, and what is said in it.

pub mod logging;
pub(crate) mod refusals;
pub(crate) mod session_summary;
