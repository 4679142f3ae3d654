//! The keys of the incremental search.

use super::{Editor, Mode};
use crate::editor::history::History;
use crate::editor::input::{Code, Key};
use crate::editor::recall::Recall;
use crate::editor::search::Search;
use crate::editor::text::Buffer;
use std::mem;

impl Editor {
    pub(super) fn begin_search(&mut self, backward: bool) {
        let (text, cursor) = (self.draft.buffer.text(), self.draft.buffer.cursor());
        self.recall.keep(&self.history, text);
        let search = Search::new(backward, self.recall.at(), cursor);
        self.mode = Mode::Search(search, self.draft.buffer.clone());
    }

    /// Takes a key of a search. False: it has ended the search, and does what it does elsewhere.
    pub(super) fn search_key(&mut self, search: Search, origin: Buffer, key: Key) -> bool {
        if let Some(character) = key.text() {
            self.search_step(search, origin, |search, history, recall| {
                search.extend(character.encode_utf8(&mut [0; 4]), history, recall)
            });
            return true;
        }
        match (key.code, key.control, key.meta) {
            (Code::Backspace, false, false) | (Code::Char('h'), true, false) => {
                self.search_step(search, origin, |search, _, _| search.shorten());
            }
            (Code::Char(letter @ ('r' | 's')), true, false) => {
                let last = self.pattern.clone();
                self.search_step(search, origin, |search, history, recall| {
                    search.again(letter == 'r', &last, history, recall)
                });
            }
            (Code::Char('g'), true, false) => {
                self.remember(&search);
                self.draft.set_buffer(origin);
                self.ring = true;
            }
            _ => {
                self.end_search(search, origin);
                // vi's search is a command of its own, which Enter ends.
                return key.code == Code::Escape || (key.code == Code::Enter && self.keys.is_vi_command());
            }
        }
        true
    }

    /// Changes a search, and shows what it finds.
    pub(super) fn search_step(
        &mut self,
        mut search: Search,
        origin: Buffer,
        step: impl FnOnce(&mut Search, &History, &Recall) -> bool,
    ) {
        let before = search.found();
        self.ring |= !step(&mut search, &self.history, &self.recall);
        let found = search.found();
        if found.line != before.line {
            let text = self.recall.text(&self.history, found.line).unwrap_or("").to_owned();
            self.set_text(text);
        }
        self.draft.buffer.set_cursor(found.at);
        self.mode = Mode::Search(search, origin);
    }

    fn remember(&mut self, search: &Search) {
        if !search.pattern().is_empty() {
            search.pattern().clone_into(&mut self.pattern);
            self.pattern_backward = search.is_backward();
        }
    }

    /// Goes on with what was found.
    fn end_search(&mut self, search: Search, origin: Buffer) {
        self.remember(&search);
        let found = search.found();
        if found.line == self.recall.at() {
            // The text is the one that the search began with, and keeps its changes.
            let _ = mem::replace(&mut self.draft.buffer, origin);
            self.draft.buffer.set_cursor(found.at);
        }
        self.recall.set_at(found.line);
    }
}
