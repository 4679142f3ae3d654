//! What the operator sees of the running server: its events, the log that they are written to, and the audit.

pub mod audit;
pub mod escape;
pub mod event;
pub mod logging;
pub(crate) mod refusals;
pub(crate) mod session_summary;
pub mod strangers;
pub(crate) mod tap;
