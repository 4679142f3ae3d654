//! Which plugins a session can run: by name, and by the client's program request.
//!
//! The runtime only asks; the gateway answers, from the folders of the tenant.

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;

use crate::plugin::Plugin;
use crate::session_types::ProgramRequest;

/// The plugins of one tenant's sessions. Asked anew each time, so that a session that changes its plugin gets the
/// current generation.
pub trait Plugins: Send + Sync {
    /// The meaning of this name now.
    fn lookup(&self, name: &str) -> Lookup;
    /// The meaning of this name once its plugin is loaded or refused. Gives up at the host's time limit.
    fn settled<'a>(&'a self, name: &'a str) -> Pin<Box<dyn Future<Output = Lookup> + Send + 'a>> {
        Box::pin(ready(self.lookup(name)))
    }
    /// The name of the plugin for this program request; `None` keeps the plugin that the session was opened with.
    fn route(&self, request: &ProgramRequest<'_>) -> Option<String>;
}

/// The meaning of a plugin's name.
#[derive(Clone)]
pub enum Lookup {
    /// This plugin.
    Found(Arc<Plugin>),
    /// A plugin that is being compiled or loaded for the first time since the start.
    Preparing,
    /// A plugin that could not be loaded, and will be tried again: there was no time, no memory or no room.
    Retried,
    /// No such plugin.
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

    /// The message for a client whose plugin may be available later; `None` if it is available, or never will be.
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
