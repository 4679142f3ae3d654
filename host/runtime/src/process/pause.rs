//! Why a process stops handling events, and how it ends.

use std::sync::Arc;

use crate::error::Stop;
use crate::plugin::lookup::ArgumentTemplates;
use crate::session_types::{ChannelEvent, Ending, Exit};

/// A program request for a process, and why it is that process's.
pub(crate) struct StartRequest {
    pub(crate) event: ChannelEvent,
    pub(crate) selection: Selection,
    /// What the operator says of the arguments, if the process runs a program.
    pub(crate) arguments: Option<Arc<ArgumentTemplates>>,
}

/// How the plugin was chosen that serves a program request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Selection {
    /// It is the plugin that the session was opened with.
    User,
    /// A route leads from the request to it.
    Route,
    /// The first word of the command names it.
    Command,
    /// Another plugin has handed the session over.
    HandOver,
}

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
