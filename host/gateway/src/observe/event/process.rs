//! Processes: what runs in a session, one WebAssembly store each.

use tracing::Level;
use whelk_runtime::FailureLabel;

whelk_runtime::events! {
    /// What happens to processes.
    pub enum ProcessEvent<'a> {
        /// A plugin failed that had served the session before another took over. The levels are those of
        /// `session_ended`.
        Failed(
            "process_failed", INFO | WARN | ERROR, "whelk::observe::session_summary", "plugin failed on the way"
        ) {
            connection: u64,
            channel: u32,
            tenant: &'a str,
            plugin: &'a str,
            generation: u32,
            error: &'a str,
            ; level: Level, failure: FailureLabel,
        }
    }
}
