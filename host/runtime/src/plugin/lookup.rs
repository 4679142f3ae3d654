//! Which plugins a session can run: by name, and by the client's program request.
//!
//! The runtime only asks; the gateway answers, from the folders of the tenant.

mod arguments;
mod words;

pub use arguments::{ArgumentTemplates, COMMAND};
pub(crate) use words::command_words;
pub use words::program_name;

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;

use crate::plugin::Plugin;
use crate::plugin::compile::loader::Source;
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
    /// The name of the program that an exec request without a route runs, which the first word of its command names.
    /// `None` where clients may not name programs.
    ///
    /// # Errors
    /// Nobody serves the command: what the client is told.
    fn command(&self, _request: &ProgramRequest<'_>) -> Result<Option<String>, LookupNotice> {
        Ok(None)
    }
    /// What the operator says of the arguments of the program of this name. `None`: the words of the command.
    fn arguments(&self, _name: &str) -> Option<Arc<ArgumentTemplates>> {
        None
    }
    /// The program of this name in the program table, as `/bin` shows it, for a process that starts it. Waits as
    /// [`settled`](Self::settled), and is that where there is no table apart from it.
    fn program<'a>(&'a self, name: &'a str) -> Pin<Box<dyn Future<Output = Lookup> + Send + 'a>> {
        self.settled(name)
    }
    /// The most bytes of a component that a process may start from a file of its own. `None`: it may start none.
    fn component_limit(&self) -> Option<usize> {
        None
    }
    /// The program that such a file is, by the name of the file, once it is compiled or refused.
    /// Waits as [`settled`](Self::settled).
    fn component<'a>(&'a self, _name: &'a str, _file: Source) -> Pin<Box<dyn Future<Output = Lookup> + Send + 'a>> {
        Box::pin(ready(Lookup::Absent))
    }
    /// The programs of the tenant, in the order of their names: what `/bin` shows. Those that sessions cannot run are
    /// among them.
    fn programs(&self) -> Vec<ProgramEntry> {
        Vec::new()
    }
}

/// A name in the program table of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramEntry {
    /// The name, without the suffix of its file.
    pub name: Arc<str>,
    /// The name of the program that it is another name of: of the file that a link of a multicall leads to.
    pub target: Option<Arc<str>>,
    /// Bytes of the file.
    pub size: u64,
    /// The number of the version that new sessions run; `None` while it is not loaded.
    pub generation: Option<u32>,
}

/// Why a program cannot be run, as a shell says it: `NAME: REASON`, with the exit status of a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unrunnable {
    /// The reason, for the client.
    pub reason: String,
    /// Its kind.
    pub kind: UnrunnableKind,
}

/// What a program that cannot be run lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnrunnableKind {
    /// There is none.
    NotFound,
    /// It may be run later without a change: it is not prepared yet, or there is no room for it now.
    NotYet,
    /// Its tenant is not granted what it needs.
    NotGranted,
    /// It is no program.
    NoProgram,
}

/// The exit status of a shell for a command that is not found.
pub const NOT_FOUND: u32 = 127;
/// The exit status of a shell for a command that is found and cannot be run.
pub const CANNOT_RUN: u32 = 126;
/// Most characters of a name that a client is shown. No file has a longer one.
const NAME: usize = 255;
/// The exit status of a session whose plugin is not ready.
const NOT_READY: u32 = 1;

impl Unrunnable {
    /// A program that is there and cannot be run.
    #[must_use]
    pub fn because(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), kind: UnrunnableKind::NoProgram }
    }

    /// A program that cannot be run yet.
    #[must_use]
    pub fn not_yet(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), kind: UnrunnableKind::NotYet }
    }

    /// A program whose tenant is not granted what it needs.
    #[must_use]
    pub fn not_granted(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), kind: UnrunnableKind::NotGranted }
    }

    /// No program has the name.
    #[must_use]
    pub fn not_found() -> Self {
        Self { reason: "not found".to_owned(), kind: UnrunnableKind::NotFound }
    }

    /// The exit status of a shell: [`NOT_FOUND`] or [`CANNOT_RUN`].
    #[must_use]
    pub fn status(&self) -> u32 {
        match self.kind {
            UnrunnableKind::NotFound => NOT_FOUND,
            UnrunnableKind::NotYet | UnrunnableKind::NotGranted | UnrunnableKind::NoProgram => CANNOT_RUN,
        }
    }
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
    /// A program of the table that cannot be run, or not yet.
    Unrunnable(Unrunnable),
    /// No such plugin.
    Absent,
}

/// What a client is told whose plugin cannot be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupNotice {
    /// One line, without a line end.
    pub text: String,
    /// The exit status of the session.
    pub status: u32,
    /// It is about a program, and written as a shell writes it.
    pub is_shells: bool,
}

impl Lookup {
    /// The plugin, if there is one.
    #[must_use]
    pub fn found(self) -> Option<Arc<Plugin>> {
        match self {
            Self::Found(plugin) => Some(plugin),
            Self::Preparing | Self::Retried | Self::Unrunnable(_) | Self::Absent => None,
        }
    }

    /// What to tell a client whose plugin may be available later, or whose program cannot be run; `None` if it is
    /// available, or there is no such plugin.
    #[must_use]
    pub fn notice(&self, name: &str) -> Option<LookupNotice> {
        let name = shown(name);
        let (text, status) = match self {
            Self::Preparing => (format!("plugin \"{name}\" is still being prepared; try again"), NOT_READY),
            Self::Retried => (format!("plugin \"{name}\" could not be prepared yet; try again later"), NOT_READY),
            Self::Unrunnable(unrunnable) => (format!("{name}: {}", unrunnable.reason), unrunnable.status()),
            Self::Found(_) | Self::Absent => return None,
        };
        Some(LookupNotice { text, status, is_shells: matches!(self, Self::Unrunnable(_)) })
    }
}

/// A name in one line, with a mark at its end if it is cut.
fn shown(name: &str) -> String {
    match name.char_indices().nth(NAME) {
        None => name.escape_debug().to_string(),
        Some((end, _)) => format!("{}...", name[..end].escape_debug()),
    }
}

impl From<Option<Arc<Plugin>>> for Lookup {
    fn from(plugin: Option<Arc<Plugin>>) -> Self {
        plugin.map_or(Self::Absent, Self::Found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_with_a_mark() {
        let notice = |name: &str| Lookup::Unrunnable(Unrunnable::not_found()).notice(name).unwrap().text;
        let whole = "\u{e4}".repeat(NAME);
        assert_eq!(notice(&whole), format!("{whole}: not found"));
        assert_eq!(notice(&format!("{whole}b")), format!("{whole}...: not found"));
        assert_eq!(notice("a\nb"), "a\\nb: not found");
    }
}
