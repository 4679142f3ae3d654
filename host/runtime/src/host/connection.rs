//! `whelk:ssh/connection`: facts about the connection, and messages to the client.

use super::log::{TEXT, printable};
use super::state::State;
use crate::host::bindings::imports::connection::Host;

impl Host for State {
    fn get(&mut self, fact: String) -> Option<String> {
        self.facts.get(&fact).map(str::to_owned)
    }

    fn facts(&mut self) -> Vec<(String, String)> {
        self.facts.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn disconnect(&mut self, reason: u32, text: String) {
        self.channel.pipes.disconnect(reason, printable(&text, TEXT));
    }

    fn debug(&mut self, text: String, always_display: bool) {
        self.channel.pipes.debug(printable(&text, TEXT), always_display);
    }
}
