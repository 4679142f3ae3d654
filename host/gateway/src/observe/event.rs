//! The events of the gateway: one typed value for each thing that is worth a line of the log, and those of the plugin
//! host with them.
//!
//! [`emit`] writes the line, and hands the event to whoever has subscribed. [`emit_throttled`] does so where the log
//! has a throttle. No other module of this crate writes to the log. One file below this is one family of events;
//! `EVENTS.md` beside the manifest lists them all, and is written by a test here.

mod connection;
mod limit;
mod login;
mod plugin;
mod process;
mod server;
mod session;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::OnceLock;

use whelk_runtime::event::{self as runtime, Description, FileEvents};

pub use connection::ConnectionEvent;
pub use limit::LimitEvent;
pub use login::LoginEvent;
pub use plugin::PluginEvent;
pub use process::ProcessEvent;
pub use server::ServerEvent;
pub use session::SessionEvent;

/// Something that has happened.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// To a connection.
    Connection(ConnectionEvent<'a>),
    /// In a login.
    Login(LoginEvent<'a>),
    /// To a session.
    Session(SessionEvent<'a>),
    /// To a process of a session.
    Process(ProcessEvent<'a>),
    /// To a plugin, or to a folder of plugins.
    Plugin(PluginEvent<'a>),
    /// Somebody has met a limit.
    Limit(LimitEvent<'a>),
    /// To the program as a whole.
    Server(ServerEvent<'a>),
    /// In the plugin host: to sessions, processes, plugins, files and limits.
    Runtime(runtime::LogEvent<'a>),
}

/// Is told of every event, where it happens: it must neither wait nor panic.
pub type Subscriber = Box<dyn Fn(&Event<'_>) + Send + Sync>;

static SUBSCRIBERS: OnceLock<Vec<Subscriber>> = OnceLock::new();

/// Hands every event from now on to these as well, in their order, after its line was written. A program does this
/// once, before it serves: false if it was done before, and then nothing changes. `files` says which events of files
/// they are told.
pub fn subscribe(subscribers: Vec<Subscriber>, files: FileEvents) -> bool {
    let is_first = SUBSCRIBERS.set(subscribers).is_ok();
    is_first && runtime::subscribe(|event| hand_out(&Event::Runtime(*event)), files)
}

/// Something has happened: writes it to the log, and tells the subscribers.
pub fn emit<'a>(event: impl Into<Event<'a>>) {
    let event = event.into();
    event.log();
    hand_out(&event);
}

/// The same, but the line is written only if `has_line`: a throttle of the log withholds nothing from the subscribers.
pub fn emit_throttled<'a>(has_line: bool, event: impl Into<Event<'a>>) {
    let event = event.into();
    if has_line {
        event.log();
    }
    hand_out(&event);
}

fn hand_out(event: &Event<'_>) {
    for subscriber in SUBSCRIBERS.get().into_iter().flatten() {
        subscriber(event);
    }
}

/// Every event that there can be, by families.
pub fn descriptions() -> impl Iterator<Item = &'static Description> {
    let families = [
        ConnectionEvent::ALL,
        LoginEvent::ALL,
        SessionEvent::ALL,
        ProcessEvent::ALL,
        PluginEvent::ALL,
        LimitEvent::ALL,
        ServerEvent::ALL,
        runtime::LogEvent::ALL,
    ];
    families.into_iter().flatten()
}

macro_rules! families {
    ($($Family:ident($Events:ident)),*) => {
        impl Event<'_> {
            /// The stable name of this event.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self {
                    Self::Runtime(event) => event.name(),
                    $( Self::$Family(event) => event.name(), )*
                }
            }

            /// Shows each of its fields, in their order.
            pub fn visit(&self, visit: &mut dyn FnMut(&'static str, runtime::FieldValue<'_>)) {
                match self {
                    Self::Runtime(event) => event.visit(visit),
                    $( Self::$Family(event) => event.visit(visit), )*
                }
            }

            /// Writes its line to the log. What is of the plugin host was written there.
            pub(crate) fn log(&self) {
                match self {
                    Self::Runtime(_) => {}
                    $( Self::$Family(event) => event.log(), )*
                }
            }
        }

        $(
            impl<'a> From<$Events<'a>> for Event<'a> {
                fn from(event: $Events<'a>) -> Self {
                    Self::$Family(event)
                }
            }
        )*
    };
}

families!(
    Connection(ConnectionEvent),
    Login(LoginEvent),
    Session(SessionEvent),
    Process(ProcessEvent),
    Plugin(PluginEvent),
    Limit(LimitEvent),
    Server(ServerEvent)
);
