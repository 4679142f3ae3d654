//! The keys of completion.

use super::{Editor, Mode};
use crate::editor::callbacks::{Callbacks, Completions};
use crate::editor::input::Key;
use crate::editor::menu::{Menu, Page};

impl Editor {
    /// Asks for completions, and bounds the answer.
    pub(super) fn completions(&self, callbacks: &mut dyn Callbacks) -> Completions {
        let (text, cursor) = (self.draft.buffer.text(), self.draft.buffer.cursor());
        let mut completions = callbacks.complete(text, cursor);
        completions.start = text.floor_char_boundary(completions.start.min(cursor));
        completions.candidates.truncate(self.settings.limits.candidates);
        completions
    }

    /// Completes the word at the cursor as far as all candidates agree. Where they do not, the second time lists them.
    pub(super) fn complete(&mut self, again: bool, callbacks: &mut dyn Callbacks) {
        let completions = self.completions(callbacks);
        let cursor = self.draft.buffer.cursor();
        let (common, range) = (completions.shared_beginning(), completions.start..cursor);
        let word = &self.draft.buffer.text()[range.clone()];
        let (done, changed) = match completions.candidates.as_slice() {
            [] => (false, false),
            [only] => {
                let is_there = self.draft.buffer.text()[cursor..].starts_with(only.end.as_str());
                let whole = [common, if is_there { "" } else { only.end.as_str() }].concat();
                (self.draft.replace(range, &whole), true)
            }
            _ if common.len() >= word.len() && common != word => {
                // It is not whole: the bell says so.
                self.ring = true;
                (self.draft.replace(range, common), true)
            }
            _ => (false, false),
        };
        if again && !changed && completions.candidates.len() > 1 {
            self.list(completions);
        } else {
            self.ring |= !done;
        }
    }

    /// Inserts all candidates, with blanks between them.
    pub(super) fn insert_completions(&mut self, callbacks: &mut dyn Callbacks) -> bool {
        let completions = self.completions(callbacks);
        let all: String = completions.candidates.iter().map(|candidate| format!("{} ", candidate.text)).collect();
        !all.is_empty() && self.draft.replace(completions.start..self.draft.buffer.cursor(), &all)
    }

    /// Lists the candidates below the line, which begins anew below the list.
    pub(super) fn list(&mut self, completions: Completions) {
        if completions.candidates.is_empty() {
            self.ring = true;
            return;
        }
        let cursor = self.draft.buffer.cursor();
        self.show_end();
        self.display.leave("", &mut self.out);
        self.draft.buffer.set_cursor(cursor);
        let (ask_above, page) = (self.settings.ask_above, self.page());
        let menu = Menu::open(completions.candidates, ask_above, page, &mut self.out);
        self.mode = menu.map_or(Mode::Edit, Mode::Menu);
    }

    pub(super) fn menu_key(&mut self, menu: Menu, key: Key) {
        let page = self.page();
        let (menu, known) = menu.key(key, page, &mut self.out);
        self.ring |= !known;
        self.mode = menu.map_or(Mode::Edit, Mode::Menu);
    }

    fn page(&self) -> Page {
        let (columns, rows) = self.settings.size();
        Page { columns, rows }
    }
}
