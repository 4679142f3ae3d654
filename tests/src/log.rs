//! The gateway's log as events.
//!
//! Parses the JSON lines. Other lines (a panic, a notice) are kept unchanged.

use crate::running::Running;
use serde_json::Value;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One line of the log.
#[derive(Debug, Clone)]
pub struct Event {
    /// The unparsed line.
    pub line: String,
    /// Its target: `plugin` for the plugins' own lines.
    pub target: String,
    /// Its level: `INFO`, `WARN`, `ERROR`.
    pub level: String,
    /// Its message.
    pub message: String,
    /// The fields, including `message`. `Null` when the line is not JSON.
    pub fields: Value,
}

impl Event {
    pub(crate) fn parse(line: &str) -> Self {
        let json: Value = serde_json::from_str(line).unwrap_or_else(|_| text_line(line).unwrap_or(Value::Null));
        let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        let fields = json.get("fields").cloned().unwrap_or(Value::Null);
        let (target, level) = (text(json.get("target")), text(json.get("level")));
        Self { line: line.to_owned(), target, level, message: text(fields.get("message")), fields }
    }

    /// A field as text, whatever its JSON type; empty when it is absent.
    pub fn field(&self, name: &str) -> String {
        match self.fields.get(name) {
            Some(Value::String(text)) => text.clone(),
            None | Some(Value::Null) => String::new(),
            Some(other) => other.to_string(),
        }
    }

    /// Whether a plugin wrote it.
    pub fn is_from_plugin(&self) -> bool {
        self.target == "plugin"
    }
}

/// A line of the log as text, in the form of one in JSON: `TIME LEVEL PART: MESSAGE NAME=VALUE NAME="VALUE" ...`.
fn text_line(line: &str) -> Option<Value> {
    let (_, rest) = line.split_once("Z ")?;
    let (level, rest) = rest.trim_start().split_once(' ')?;
    let (target, mut rest) = rest.split_once(": ")?;
    let (mut message, mut fields) = (Vec::new(), serde_json::Map::new());
    while !rest.is_empty() {
        let word = rest.split(' ').next()?;
        let Some((name, value)) = word.split_once('=').filter(|_| !rest.starts_with('"')) else {
            message.push(word);
            rest = rest[word.len()..].trim_start();
            continue;
        };
        let value = if value.starts_with('"') {
            let text = &rest[name.len() + 2..];
            // A quotation mark in the value has a backslash before it, and a backslash another one.
            let backslashes = |at: usize| text[..at].bytes().rev().take_while(|byte| *byte == b'\\').count();
            let mut marks = text.match_indices('"').map(|(at, _)| at);
            let end = marks.find(|at| backslashes(*at) % 2 == 0)?;
            rest = text[end + 1..].trim_start();
            text[..end].replace("\\\"", "\"")
        } else {
            rest = rest[word.len()..].trim_start();
            value.to_owned()
        };
        fields.insert(name.to_owned(), Value::from(value));
    }
    fields.insert("message".to_owned(), Value::from(message.join(" ")));
    Some(serde_json::json!({ "level": level, "target": target, "fields": fields }))
}

#[derive(Debug, Default)]
struct Parsed {
    /// How many bytes of stderr have been turned into events.
    bytes: usize,
    events: Vec<Event>,
}

/// The log of a running gateway.
#[derive(Debug, Default)]
pub struct Log {
    parsed: Mutex<Parsed>,
}

impl Log {
    /// Waits until `look`, given all events so far, finds something. `None` when the log ended without it.
    pub fn wait<T>(&self, of: &Running, what: &str, mut look: impl FnMut(&[Event]) -> Option<T>) -> Option<T> {
        of.wait_soon(what, |seen| {
            let parsed = self.read_on(&seen.err.kept);
            let found = look(&parsed.events);
            (found.is_some() || seen.status.is_some()).then_some(found)
        })
    }

    fn read_on(&self, text: &[u8]) -> MutexGuard<'_, Parsed> {
        let mut parsed = self.parsed.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(length) = text[parsed.bytes..].iter().position(|byte| *byte == b'\n') {
            let line = String::from_utf8_lossy(&text[parsed.bytes..parsed.bytes + length]).into_owned();
            parsed.bytes += length + 1;
            parsed.events.push(Event::parse(&line));
        }
        parsed
    }
}
