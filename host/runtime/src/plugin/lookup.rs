//! Which plugins a session can get to: by name, and by what its client asks for.
//!
//! The runtime only asks. Who answers, from which folders and for which tenant, is the gateway's.

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;

use crate::channel_event::ChannelEvent;
use crate::plugin::Plugin;

/// What the sessions of one tenant may be served by. Asked anew each time, so that a session that changes its plugin gets the generation
/// that is current then.
pub trait Plugins: Send + Sync {
    /// What this name means now.
    fn lookup(&self, name: &str) -> Lookup;
    /// What this name means once its plugin is loaded or refused. Gives up waiting when the host's limit for that is reached.
    fn settled<'a>(&'a self, name: &'a str) -> Pin<Box<dyn Future<Output = Lookup> + Send + 'a>> {
        Box::pin(ready(self.lookup(name)))
    }
    /// The name of the plugin for this start request; none leaves it to the plugin that the session was opened with.
    fn route(&self, start: &Start<'_>) -> Option<String>;
}

/// What a plugin's name means.
#[derive(Clone)]
pub enum Lookup {
    /// This plugin.
    Found(Arc<Plugin>),
    /// A plugin that is compiled or loaded for the first time since the start.
    Preparing,
    /// A plugin that could not be loaded, and will be tried again: there was no time, no memory or no room.
    Retried,
    /// Nothing.
    Absent,
}

impl Lookup {
    /// The plugin, if there is one.
    #[must_use]
    pub fn found(self) -> Option<Arc<Plugin>> {
        match self {
            Self::Found(plugin) => Some(plugin),
            Self::Preparing | Self::Retried | Self::Absent => None,
        }
    }

    /// What a client is told when the plugin of this name may be there later; none if there is a plugin, or none to come.
    #[must_use]
    pub fn try_again(&self, name: &str) -> Option<String> {
        let name = name.escape_debug();
        match self {
            Self::Preparing => Some(format!("plugin \"{name}\" is still being prepared; try again")),
            Self::Retried => Some(format!("plugin \"{name}\" could not be prepared yet; try again later")),
            Self::Found(_) | Self::Absent => None,
        }
    }
}

impl From<Option<Arc<Plugin>>> for Lookup {
    fn from(plugin: Option<Arc<Plugin>>) -> Self {
        plugin.map_or(Self::Absent, Self::Found)
    }
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
    pub(crate) fn of(event: &'a ChannelEvent) -> Option<Self> {
        match event {
            ChannelEvent::Shell => Some(Self::Shell),
            ChannelEvent::Exec(command) => Some(Self::Exec(command)),
            ChannelEvent::Subsystem(name) => Some(Self::Subsystem(name)),
            ChannelEvent::Env { .. }
            | ChannelEvent::PtyReq(_)
            | ChannelEvent::WindowChange(_)
            | ChannelEvent::Signal(_)
            | ChannelEvent::Break { .. }
            | ChannelEvent::Request { .. }
            | ChannelEvent::Eof
            | ChannelEvent::Close => None,
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
