//! What the operator sees of the running server: its events, the log that they are written to, the audit and
//! the metrics.

pub mod audit;
pub mod escape;
pub mod event;
pub(crate) mod hex;
pub(crate) mod http;
pub mod logging;
pub mod metrics;
pub(crate) mod recording;
pub(crate) mod refusals;
pub(crate) mod session_summary;
pub mod strangers;
pub(crate) mod tap;
