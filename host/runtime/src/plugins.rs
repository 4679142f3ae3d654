//! Which plugins a session can get to: by name, and by what its client asks for.
//!
//! The runtime only asks. Who answers, from which folders and for which tenant, is the gateway's.

use std::sync::Arc;

use crate::happening::Happening;
use crate::plugin::Plugin;

/// What the sessions of one tenant may be served by. Asked anew each time, so that a session that changes its plugin gets the generation
/// that is current then.
pub trait Plugins: Send + Sync {
    /// The plugin that this name means now; none if there is none.
    fn plugin(&self, name: &str) -> Option<Arc<Plugin>>;
    /// The name of the plugin for this start request; none leaves it to the plugin that the session was opened with.
    fn route(&self, start: &Start<'_>) -> Option<String>;
}

/// A start request, as routes see it. RFC 4254 §6.5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start<'a> {
    /// What greets a person.
    Shell,
    /// A command, octets as the client sent them.
    Exec(&'a [u8]),
    /// A protocol by its name.
    Subsystem(&'a str),
}

impl<'a> Start<'a> {
    /// None if this starts nothing.
    pub(crate) fn of(happening: &'a Happening) -> Option<Self> {
        match happening {
            Happening::Shell => Some(Self::Shell),
            Happening::Exec(command) => Some(Self::Exec(command)),
            Happening::Subsystem(name) => Some(Self::Subsystem(name)),
            Happening::Env { .. }
            | Happening::PtyReq(_)
            | Happening::WindowChange(_)
            | Happening::Signal(_)
            | Happening::Break { .. }
            | Happening::Request { .. }
            | Happening::Eof
            | Happening::Close => None,
        }
    }

    /// The name of the request, and what it asks for.
    pub(crate) fn describe(&self) -> (&'static str, Option<&'a [u8]>) {
        match *self {
            Self::Shell => ("shell", None),
            Self::Exec(command) => ("exec", Some(command)),
            Self::Subsystem(name) => ("subsystem", Some(name.as_bytes())),
        }
    }
}
