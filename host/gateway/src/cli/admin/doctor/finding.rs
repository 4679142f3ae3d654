//! One thing that was looked at, and what it means for the start of a server.

use serde_json::{Value, json};

/// What a finding means for the start of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// There is enough.
    Ok,
    /// It starts and does less.
    Less,
    /// It does not start.
    Missing,
    /// No part of the verdict.
    Note,
}

impl Health {
    pub(super) fn word(self) -> &'static str {
        match self {
            Health::Ok => "ok",
            Health::Less => "less",
            Health::Missing => "missing",
            Health::Note => "note",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub(super) what: String,
    pub(super) value: String,
    /// What that means for a server.
    pub(super) means: String,
    pub(super) health: Health,
    /// What to do, with the command; empty if there is nothing to do.
    pub(super) change: String,
}

impl Finding {
    pub(super) fn new(health: Health, what: &str, value: impl Into<String>, means: impl Into<String>) -> Finding {
        Finding { what: what.to_owned(), value: value.into(), means: means.into(), health, change: String::new() }
    }

    pub(super) fn change(self, change: impl Into<String>) -> Finding {
        Finding { change: change.into(), ..self }
    }

    pub(super) fn json(&self) -> Value {
        let Finding { what, value, means, health, change } = self;
        json!({ "what": what, "value": value, "means": means, "verdict": health.word(), "change": change })
    }

    pub(super) fn text(&self) -> String {
        let line = |text: &str| if text.is_empty() { String::new() } else { format!("         {text}\n") };
        let change = if self.change.is_empty() { String::new() } else { format!("change: {}", self.change) };
        format!("{:<8} {}: {}\n{}{}", self.health.word(), self.what, self.value, line(&self.means), line(&change))
    }
}
