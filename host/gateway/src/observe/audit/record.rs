//! Records: one line of JSON for an event, with who its connection and its session belong to.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{Display, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use whelk_runtime::event::{self, ConnectionIdentity, FieldValue};

use crate::observe::escape::{Form, cut, write_harmless};
use crate::observe::event::{ConnectionEvent, Event, LoginEvent, SessionEvent};
use crate::observe::hex::hex;

/// The version of the schema. It changes when a field of every record changes its name or meaning.
pub(super) const VERSION: u32 = 1;

/// Makes records, and keeps the user and peer of each connection.
pub(super) struct Recorder {
    connections: Mutex<HashMap<u64, Who>>,
    /// The most bytes of one value as it is written. A control character takes six.
    longest_value: usize,
}

/// Whose a connection is.
#[derive(Default)]
struct Who {
    peer: String,
    user: Option<String>,
    principal: Option<String>,
    tenant: Option<String>,
    /// The sessions that have not ended, by their numbers, and the channel of each. A channel may have had several.
    sessions: BTreeMap<u64, u32>,
    /// The connection is over, and is remembered for its last sessions.
    has_closed: bool,
}

impl Recorder {
    pub(super) fn new(longest_value: usize) -> Recorder {
        Recorder { connections: Mutex::default(), longest_value }
    }

    /// Remembers what an event says of a connection.
    pub(super) fn note(&self, event: &Event<'_>) {
        match event {
            Event::Connection(ConnectionEvent::Opened { connection, peer }) => {
                let who = Who { peer: peer.to_string(), ..Who::default() };
                self.lock().insert(*connection, who);
            }
            Event::Login(LoginEvent::Succeeded { connection, user, principal, tenant, .. }) => {
                if let Some(who) = self.lock().get_mut(connection) {
                    let user = user.to_string();
                    who.principal = Some(principal.map_or_else(|| user.clone(), str::to_owned));
                    (who.user, who.tenant) = (Some(user), Some(tenant.to_string()));
                }
            }
            Event::Session(SessionEvent::Opened { connection, channel, session, .. }) => {
                if let Some(who) = self.lock().get_mut(connection) {
                    who.sessions.insert(*session, *channel);
                }
            }
            _ => {}
        }
    }

    /// Forgets what has ended with an event: a connection together with its last session.
    pub(super) fn forget(&self, event: &Event<'_>) {
        let (connection, ended) = match event {
            Event::Connection(
                ConnectionEvent::Closed { connection, .. } | ConnectionEvent::Panicked { connection, .. },
            ) => (connection, None),
            Event::Session(SessionEvent::Ended { connection, session, .. }) => (connection, Some(session)),
            _ => return,
        };
        let mut connections = self.lock();
        let Some(who) = connections.get_mut(connection) else { return };
        match ended {
            Some(session) => {
                who.sessions.remove(session);
            }
            None => who.has_closed = true,
        }
        if who.has_closed && who.sessions.is_empty() {
            connections.remove(connection);
        }
    }

    /// How many connections are remembered.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.lock().len()
    }

    /// Whether somebody has logged in on a connection.
    pub(super) fn is_logged_in(&self, connection: u64) -> bool {
        self.lock().get(&connection).is_some_and(|who| who.user.is_some())
    }

    /// The record of an event, which lacks its number and its end.
    pub(super) fn line(&self, event: &Event<'_>) -> Vec<u8> {
        let mut line = Line::begin(event.name(), self.longest_value);
        let (mut connection, mut channel, mut has) = (None, None, Vec::new());
        event.visit(&mut |name, value| match (name, &value) {
            ("connection", FieldValue::Number(number)) => connection = Some(*number),
            (_, FieldValue::Nothing) => {}
            _ => {
                if let ("channel", FieldValue::Number(number)) = (name, &value) {
                    channel = u32::try_from(*number).ok();
                }
                has.push(name);
                if let Some(key) = key(name) {
                    line.field(key, &value);
                }
            }
        });
        if let Some(connection) = connection {
            line.field("connection", &FieldValue::Shown(&ConnectionIdentity(connection)));
            if let Some(who) = self.lock().get(&connection) {
                who.write(channel, &has, &mut line);
            }
        }
        line.end()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Who>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The key of a field of an event, if it is not one that every record has.
pub(super) fn key(field: &'static str) -> Option<&'static str> {
    match field {
        "run" => None,
        "version" => Some("program_version"),
        other => Some(other),
    }
}

impl Who {
    /// Writes what the event itself does not have.
    fn write(&self, channel: Option<u32>, has: &[&str], line: &mut Line) {
        let texts = [
            ("user", self.user.as_deref()),
            ("principal", self.principal.as_deref()),
            ("tenant", self.tenant.as_deref()),
            ("peer", Some(&*self.peer)),
        ];
        for (name, text) in texts {
            if let Some(text) = text.filter(|_| !has.contains(&name)) {
                line.field(name, &FieldValue::Text(text));
            }
        }
        let session = channel.and_then(|channel| self.sessions.iter().rev().find(|(_, of)| **of == channel));
        if let Some((session, _)) = session.filter(|_| !has.contains(&"session")) {
            line.field("session", &FieldValue::Number(*session));
        }
    }
}

/// The names of a tenant and of a user of it, under which file events are counted.
pub(super) type FileUser = (Arc<str>, Arc<str>);

/// The line in the place of the records `first` to `last`, which were left out, and how many of them are file events of
/// which users.
pub(super) fn left_out_line(first: u64, last: u64, of: &[(FileUser, u64)]) -> Vec<u8> {
    let mut line = Line::begin("audit_left_out", usize::MAX);
    line.field("left_out", &FieldValue::Number(last - first + 1));
    line.field("last", &FieldValue::Number(last));
    if !of.is_empty() {
        line.text.push_str(",\"of\":[");
        for (at, ((tenant, user), count)) in of.iter().enumerate() {
            let _ = write!(line.text, "{}{{\"left_out\":{count}", if at > 0 { "," } else { "" });
            for (name, text) in [("tenant", tenant), ("user", user)] {
                line.text(name, text);
            }
            line.text.push('}');
        }
        line.text.push(']');
    }
    numbered(line.end(), first)
}

/// The whole line of a record that has this number.
pub(super) fn numbered(mut record: Vec<u8>, seq: u64) -> Vec<u8> {
    record.extend_from_slice(format!(",\"seq\":{seq}}}\n").as_bytes());
    record
}

/// Writes a character of a text in JSON.
fn write_json(out: &mut String, character: char) {
    if let '"' | '\\' = character {
        out.push('\\');
    }
    // Writing to a string cannot fail.
    let _ = write_harmless(out, character, Form::Json);
}

/// Whether each character of a text is one byte in JSON, as in nearly all texts.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\'))
}

/// The bytes that a character takes there.
fn width(character: char) -> usize {
    if let '"' | '\\' = character {
        return 2;
    }
    if let ' '..='~' = character {
        return 1;
    }
    let mut written = String::new();
    write_json(&mut written, character);
    written.len()
}

/// A line of JSON as it is made.
struct Line {
    text: String,
    longest_value: usize,
}

impl Line {
    fn begin(event: &str, longest_value: usize) -> Line {
        let (now, run) = (Timestamp::now(), event::run());
        let text = format!("{{\"version\":{VERSION},\"time\":\"{now:.6}\",\"event\":\"{event}\",\"run\":\"{run}\"");
        Line { text, longest_value }
    }

    fn field(&mut self, name: &str, value: &FieldValue<'_>) {
        match value {
            FieldValue::Nothing => {}
            FieldValue::Number(number) => self.raw(name, number),
            FieldValue::Float(number) if number.is_finite() => self.raw(name, number),
            FieldValue::Float(_) => {}
            FieldValue::Text(text) => self.text(name, text),
            FieldValue::Shown(shown) => self.text(name, &shown.to_string()),
            FieldValue::Bytes(bytes) => self.bytes(name, bytes),
            FieldValue::Path(path) => self.path(name, path),
        }
    }

    fn raw(&mut self, name: &str, value: impl Display) {
        let _ = write!(self.text, ",\"{name}\":{value}");
    }

    fn text(&mut self, name: &str, text: &str) {
        if text.len() <= self.longest_value && is_plain(text) {
            return self.quoted(name, text);
        }
        let (mut kept, mut length) = (0, 0);
        for character in text.chars() {
            length += width(character);
            if length > self.longest_value {
                break;
            }
            kept += character.len_utf8();
        }
        self.quoted(name, &text[..kept]);
        self.cut(name, text.as_bytes(), kept);
    }

    /// Of a path that is too long the end is kept, which says more than the beginning.
    fn path(&mut self, name: &str, path: &str) {
        let (mut begin, mut length) = (path.len(), 0);
        for (at, character) in path.char_indices().rev() {
            length += width(character);
            if length > self.longest_value {
                break;
            }
            begin = at;
        }
        self.quoted(name, &path[begin..]);
        self.cut(name, path.as_bytes(), path.len() - begin);
    }

    fn quoted(&mut self, name: &str, text: &str) {
        let _ = write!(self.text, ",\"{name}\":\"");
        if is_plain(text) {
            self.text.push_str(text);
        } else {
            text.chars().for_each(|character| write_json(&mut self.text, character));
        }
        self.text.push('"');
    }

    fn bytes(&mut self, name: &str, bytes: &[u8]) {
        if let Ok(text) = str::from_utf8(bytes) {
            return self.text(name, text);
        }
        let kept = cut(bytes, self.longest_value / 2);
        let _ = write!(self.text, ",\"{name}_hex\":\"{}\"", hex(kept));
        self.cut(name, bytes, kept.len());
    }

    /// Only `kept` bytes of a value fit: how many do not, and the digest of all.
    fn cut(&mut self, name: &str, value: &[u8], kept: usize) {
        let left_out = value.len() - kept;
        if left_out > 0 {
            let digest = hex(&Sha256::digest(value));
            let _ = write!(self.text, ",\"{name}_cut\":{left_out},\"{name}_sha256\":\"{digest}\"");
        }
    }

    fn end(self) -> Vec<u8> {
        self.text.into_bytes()
    }
}
