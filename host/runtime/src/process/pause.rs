//! Why a process stops taking what comes, and how it ends.

use crate::channel_event::{ChannelEvent, Ending, Exit};
use crate::error::Stop;

/// Why a process has stopped taking what comes.
pub(crate) enum Pause {
    /// It goes no further.
    Ended(ProcessEnd),
    /// The client wants something to be started, and nothing was yet. Who serves it is not decided here.
    Start(ChannelEvent),
    /// It wants the plugin of this name to take over.
    HandOver(String),
}

/// How a process ends.
pub(crate) enum ProcessEnd {
    /// It has finished, and says how.
    Finished(Exit),
    /// The other side has ended the session.
    HungUp(Ending),
    /// It crashed, was stopped, or called WASI's `exit`: it must not be entered again.
    Stopped(Stop),
}
