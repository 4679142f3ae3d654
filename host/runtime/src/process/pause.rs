//! Why a process stops handling events, and how it ends.

use crate::error::Stop;
use crate::session_types::{ChannelEvent, Ending, Exit};

/// Why a process has stopped handling events.
pub(crate) enum Pause {
    /// It has ended.
    Ended(ProcessEnd),
    /// The client sent a program request, and none was accepted yet. The session chooses who serves it.
    ProgramRequest(ChannelEvent),
    /// It hands the session over to the plugin of this name.
    HandOver(String),
}

/// How a process ends.
pub(crate) enum ProcessEnd {
    /// It has finished with this exit.
    Finished(Exit),
    /// The connection's side has ended the session.
    HungUp(Ending),
    /// It crashed, met a limit, or called WASI's `exit`. It must not be entered again.
    Stopped(Stop),
}
