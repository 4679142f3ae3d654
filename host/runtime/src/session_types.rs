//! The types that a session and its connection share: events of the channel, output streams, exits. They depend on
//! neither wasmtime nor the protocol crate.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::iter;
use std::sync::Arc;

/// An event of the channel, in the client's order. All but [`HostVariable`](ChannelEvent::HostVariable),
/// [`Eof`](ChannelEvent::Eof) and [`Close`](ChannelEvent::Close) are requests: each is answered by exactly one
/// [`Sink::reply`](crate::Sink::reply), in order, whether or not the client asked for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChannelEvent {
    /// An environment variable. RFC 4254 §6.4.
    Env {
        /// Its name.
        name: String,
        /// Its value, any bytes.
        value: Vec<u8>,
    },
    /// An environment variable that the host sets, not the client: no request. The plugin is told it as it is told the
    /// client's, and cannot refuse it. Ignored once a program has started.
    HostVariable {
        /// Its name.
        name: String,
        /// Its value, any bytes.
        value: Vec<u8>,
    },
    /// A terminal. RFC 4254 §6.2.
    PtyReq(Pty),
    /// Start an interactive session. RFC 4254 §6.5.
    Shell,
    /// Run this command, any bytes. RFC 4254 §6.5.
    Exec(Vec<u8>),
    /// Start this subsystem. RFC 4254 §6.5.
    Subsystem(String),
    /// A window change. Of several that wait, only the latest is delivered. RFC 4254 §6.7.
    WindowChange(WindowSize),
    /// A signal. At most 16 wait; more are dropped. RFC 4254 §6.9.
    Signal(SignalName),
    /// A break. RFC 4335 §3.
    Break {
        /// Its length in milliseconds; 0 leaves it to the receiver.
        length_ms: u32,
    },
    /// Any other request.
    Request {
        /// Its name.
        name: String,
        /// Its payload.
        payload: Vec<u8>,
    },
    /// The client sends no more data. Delivered after all data. RFC 4254 §5.3.
    Eof,
    /// The client asked to close the channel. RFC 4254 §5.3.
    Close,
}

/// A program request: `shell`, `exec` or `subsystem`. At most one succeeds per channel. RFC 4254 §6.5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgramRequest<'a> {
    /// An interactive shell.
    Shell,
    /// A command, bytes as the client sent them.
    Exec(&'a [u8]),
    /// A subsystem by its name.
    Subsystem(&'a str),
}

impl<'a> ProgramRequest<'a> {
    /// `None` for other events.
    #[must_use]
    pub fn of(event: &'a ChannelEvent) -> Option<Self> {
        match event {
            ChannelEvent::Shell => Some(Self::Shell),
            ChannelEvent::Exec(command) => Some(Self::Exec(command)),
            ChannelEvent::Subsystem(name) => Some(Self::Subsystem(name)),
            ChannelEvent::Env { .. }
            | ChannelEvent::HostVariable { .. }
            | ChannelEvent::PtyReq(_)
            | ChannelEvent::WindowChange(_)
            | ChannelEvent::Signal(_)
            | ChannelEvent::Break { .. }
            | ChannelEvent::Request { .. }
            | ChannelEvent::Eof
            | ChannelEvent::Close => None,
        }
    }

    /// The type of the request, and the command or subsystem.
    pub(crate) fn describe(&self) -> (&'static str, Option<&'a [u8]>) {
        match *self {
            Self::Shell => ("shell", None),
            Self::Exec(command) => ("exec", Some(command)),
            Self::Subsystem(name) => ("subsystem", Some(name.as_bytes())),
        }
    }
}

/// The client's terminal. RFC 4254 §6.2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pty {
    /// The kind of terminal, as in TERM.
    pub term: String,
    /// Its size when the session began.
    pub size: WindowSize,
    /// Its modes: opcode and argument. RFC 4254 §8.
    pub modes: Vec<(u8, u32)>,
    /// Whether erasing a character moves back by the columns that it takes, and not by one as under Linux. The operator
    /// decides.
    pub erase_by_width: bool,
}

/// The size of the terminal window; zero means unknown. RFC 4254 §6.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WindowSize {
    /// Characters per line.
    pub columns: u32,
    /// Lines.
    pub rows: u32,
    /// Width in pixels.
    pub width_px: u32,
    /// Height in pixels.
    pub height_px: u32,
}

/// A signal by its name without SIG. RFC 4254 §6.10.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignalName {
    /// ABRT
    Abrt,
    /// ALRM
    Alrm,
    /// FPE
    Fpe,
    /// HUP
    Hup,
    /// ILL
    Ill,
    /// INT
    Int,
    /// KILL
    Kill,
    /// PIPE
    Pipe,
    /// QUIT
    Quit,
    /// SEGV
    Segv,
    /// TERM
    Term,
    /// USR1
    Usr1,
    /// USR2
    Usr2,
    /// A name outside the standard's list, as it arrived.
    Other(String),
}

impl SignalName {
    /// From the name on the wire. Every name has a value.
    #[must_use]
    pub fn from_wire(name: &str) -> Self {
        match name {
            "ABRT" => Self::Abrt,
            "ALRM" => Self::Alrm,
            "FPE" => Self::Fpe,
            "HUP" => Self::Hup,
            "ILL" => Self::Ill,
            "INT" => Self::Int,
            "KILL" => Self::Kill,
            "PIPE" => Self::Pipe,
            "QUIT" => Self::Quit,
            "SEGV" => Self::Segv,
            "TERM" => Self::Term,
            "USR1" => Self::Usr1,
            "USR2" => Self::Usr2,
            other => Self::Other(other.to_owned()),
        }
    }

    /// Whether it is a valid name on the wire: RFC 4250 §4.6.1.
    #[must_use]
    pub(crate) fn is_legal(&self) -> bool {
        let name = self.as_str();
        (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
    }

    /// The name on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Abrt => "ABRT",
            Self::Alrm => "ALRM",
            Self::Fpe => "FPE",
            Self::Hup => "HUP",
            Self::Ill => "ILL",
            Self::Int => "INT",
            Self::Kill => "KILL",
            Self::Pipe => "PIPE",
            Self::Quit => "QUIT",
            Self::Segv => "SEGV",
            Self::Term => "TERM",
            Self::Usr1 => "USR1",
            Self::Usr2 => "USR2",
            Self::Other(name) => name,
        }
    }
}

/// How the session's program ended. RFC 4254 §6.10.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// With an exit status; zero is success.
    Status(u32),
    /// By a signal.
    Signal {
        /// The signal.
        name: SignalName,
        /// Whether it dumped core.
        core_dumped: bool,
        /// A message for the user.
        message: String,
    },
}

/// Why a session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The plugin finished: it called `finish`, or WASI's `exit`. Also of a session whose task was dropped.
    Finished,
    /// The client closed the channel.
    ClientClosed,
    /// The connection broke.
    ConnectionLost,
    /// The server is shutting down, or the plugin's version was retired.
    Drained,
    /// The session leaves this plugin for another one, by a route or a hand-over. The plugin is told so before the
    /// other one is started, which may fail: then the session ends, or waits without a process.
    Routed,
}

impl Ending {
    /// Its name in the plugin interface.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::ClientClosed => "client-closed",
            Self::ConnectionLost => "connection-lost",
            Self::Drained => "drained",
            Self::Routed => "routed",
        }
    }
}

/// An output stream. RFC 4254 §5.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Channel data.
    Stdout,
    /// Extended data of type 1.
    Stderr,
    /// Extended data of another type.
    Extended(u32),
}

/// Facts about the connection, by name, and the number of the channel. Cheap to clone: the sessions of a connection
/// share the facts.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    packed: Arc<PackedFacts>,
    channel: u32,
    /// Those of a channel of a plugin's own type.
    own: Option<Arc<OwnType>>,
}

/// A type of channel of a plugin's own, and the payload of its open in hexadecimal digits.
#[derive(Debug)]
struct OwnType {
    kind: String,
    payload: String,
}

/// Names and values in the order of the names, as one text: every connection has some twenty of them.
#[derive(Debug, Default)]
struct PackedFacts {
    text: Box<str>,
    /// Where each name and each value ends.
    ends: Box<[(usize, usize)]>,
}

impl PackedFacts {
    fn of(facts: &BTreeMap<String, String>) -> Self {
        let (mut text, mut ends) = (String::new(), Vec::with_capacity(facts.len()));
        for (name, value) in facts {
            let [name_end, value_end] = [name, value].map(|part| {
                text.push_str(part);
                text.len()
            });
            ends.push((name_end, value_end));
        }
        Self { text: text.into(), ends: ends.into() }
    }

    /// The value of a name.
    fn get(&self, name: &str) -> Option<&str> {
        let (mut from, mut to) = (0, self.ends.len());
        while from < to {
            let middle = from.midpoint(to);
            let begin = middle.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |(_, value)| *value);
            let (name_end, value_end) = *self.ends.get(middle)?;
            match self.text.get(begin..name_end)?.cmp(name) {
                Ordering::Less => from = middle + 1,
                Ordering::Greater => to = middle,
                Ordering::Equal => return self.text.get(name_end..value_end),
            }
        }
        None
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let part = |from: usize, to: usize| self.text.get(from..to).unwrap_or_default();
        let starts = iter::once(0).chain(self.ends.iter().map(|(_, value)| *value));
        starts.zip(&self.ends).map(move |(start, (name, value))| (part(start, *name), part(*name, *value)))
    }
}

impl Facts {
    /// The same facts for another channel of the connection. The number appears in log lines only.
    #[must_use]
    pub fn on_channel(&self, channel: u32) -> Self {
        Self { packed: Arc::clone(&self.packed), channel, own: None }
    }

    /// The same for a channel of a plugin's own type: the facts `channel-type` and `channel-payload` are added, and no
    /// program request starts its session.
    #[must_use]
    pub fn of_type(&self, kind: &str, payload: &[u8]) -> Self {
        let payload = payload.iter().fold(String::with_capacity(2 * payload.len()), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        });
        Self { own: Some(Arc::new(OwnType { kind: kind.to_owned(), payload })), ..self.clone() }
    }

    /// Whether the channel has a type of a plugin's own.
    pub(crate) fn has_own_type(&self) -> bool {
        self.own.is_some()
    }

    /// What is known of a channel of a plugin's own type.
    fn own(&self) -> impl Iterator<Item = (&str, &str)> {
        let own = self.own.as_deref();
        own.into_iter().flat_map(|own| [("channel-type", &*own.kind), ("channel-payload", &*own.payload)])
    }

    /// One fact, if it is known.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let own = || self.own().find(|(own, _)| *own == name).map(|(_, value)| value);
        self.packed.get(name).or_else(own)
    }

    /// All of them: those of the connection in the order of their names, then those of the channel.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.packed.iter().chain(self.own())
    }

    /// The number of the connection, for the log: the fact `connection-id`.
    pub(crate) fn connection(&self) -> Option<u64> {
        self.get("connection-id")?.parse().ok()
    }

    /// Whom limits of a user count: the fact `principal`, or `user` without one.
    pub(crate) fn account(&self) -> &str {
        self.get("principal").or_else(|| self.get("user")).unwrap_or_default()
    }

    /// The number of the channel.
    #[must_use]
    pub fn channel(&self) -> u32 {
        self.channel
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Facts {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(facts: I) -> Self {
        let facts = facts.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { packed: Arc::new(PackedFacts::of(&facts)), channel: 0, own: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_found_by_name_and_listed_in_the_order_of_their_names() {
        let facts: Facts = [("user", "first"), ("", "é"), ("address", ""), ("user", "alice")].into_iter().collect();
        let expected = [("", "é"), ("address", ""), ("user", "alice")];
        assert_eq!(facts.iter().collect::<Vec<_>>(), expected);
        assert!(expected.iter().all(|(name, value)| facts.get(name) == Some(value)));
        assert_eq!((facts.get("use"), facts.account(), facts.connection()), (None, "alice", None));
        let own = facts.on_channel(7).of_type("x@example.org", b"\x01");
        assert_eq!((own.get("channel-payload"), own.channel(), own.iter().count()), (Some("01"), 7, 5));
        assert_eq!((Facts::default().iter().count(), Facts::default().get("")), (0, None));
    }
}
