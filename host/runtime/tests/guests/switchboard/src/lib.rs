//! A connection plugin that does what the names and payloads of its client say, well or badly. Channels are served by
//! the plugin `line`, unless the payload names another.

use std::thread::sleep;
use std::time::Duration;

use whelk_guest::connection_control::{OpenError, global_request, open_channel};
use whelk_guest::{Connection, OpenVerdict, Refusal, connection, connection_plugin, log};

#[derive(Default)]
struct Switchboard {
    /// Calls of this instance so far.
    calls: u32,
}

impl Connection for Switchboard {
    fn global_request(&mut self, name: &str, payload: &[u8]) -> Option<Vec<u8>> {
        self.calls += 1;
        let text = String::from_utf8_lossy(payload);
        let (first, rest) = text.split_once(' ').unwrap_or((&text, ""));
        match name.split('@').next()? {
            "reverse" => Some(payload.iter().rev().copied().collect()),
            "calls" => Some(self.calls.to_string().into_bytes()),
            "fact" => connection::get(&text).map(String::into_bytes),
            "large" => Some(vec![0; text.parse().unwrap_or_default()]),
            // The client is asked this, with this payload.
            "ask" => Some(match global_request(first, rest.as_bytes()) {
                Ok(reply) => [b"success ", &*reply].concat(),
                Err(error) => error.name().to_owned().into_bytes(),
            }),
            // A channel of this type is opened to the client, with this payload.
            "open" => Some(opened(first, rest.as_bytes(), "line").into_bytes()),
            // The same, served by this plugin.
            "serve" => Some(opened("thing@example.org", b"", &text).into_bytes()),
            "disconnect" => {
                connection::disconnect(11, "as asked\x1b");
                None
            }
            "debug" => {
                connection::debug("a note\x1b", true);
                Some(Vec::new())
            }
            "trap" => panic!("asked to"),
            "spin" => loop {
                std::hint::spin_loop();
            },
            "sleep" => {
                sleep(Duration::from_secs(3600));
                None
            }
            _ => None,
        }
    }

    fn channel_open(&mut self, _kind: &str, payload: &[u8]) -> OpenVerdict {
        self.calls += 1;
        let text = String::from_utf8_lossy(payload);
        match text.split_once(' ') {
            Some(("serve", plugin)) => OpenVerdict::Accept(plugin.to_owned()),
            Some(("refuse", reason)) => OpenVerdict::Refuse(Refusal {
                reason: reason.parse().unwrap_or_default(),
                text: "not today\x1b".to_owned(),
            }),
            _ => OpenVerdict::Accept("line".to_owned()),
        }
    }

    fn closed(&mut self) {
        log::info(format!("closed after {} calls", self.calls));
    }
}

/// What became of a channel, in a word or two.
fn opened(kind: &str, payload: &[u8], plugin: &str) -> String {
    match open_channel(kind, payload, plugin) {
        Ok(()) => "opened".to_owned(),
        Err(OpenError::NotPermitted) => "not permitted".to_owned(),
        Err(OpenError::TooLarge) => "too large".to_owned(),
        Err(OpenError::UnknownPlugin) => "unknown plugin".to_owned(),
        Err(OpenError::TooMany) => "too many".to_owned(),
        Err(OpenError::Refused(refusal)) => format!("refused {} {}", refusal.reason, refusal.text),
        Err(OpenError::NoAnswer) => "no answer".to_owned(),
        Err(OpenError::Closed) => "closed".to_owned(),
    }
}

connection_plugin!(Switchboard);
