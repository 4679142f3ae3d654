//! What the operator sees of the running server: its events, and the log that they are written to.

pub mod escape;
pub mod event;
pub mod logging;
pub(crate) mod refusals;
pub(crate) mod session_summary;
pub mod strangers;
