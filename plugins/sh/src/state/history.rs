//! The lines that were entered before, and their file.

use super::Shell;
use super::recall::HistoryExpansion;
use crate::system::{Fd, OpenHow};
use crate::text::encode;
use whelk_guest::editor::History;

/// How many lines are kept, unless HISTSIZE and HISTFILESIZE say otherwise.
const MAX_LINES: usize = 1000;

/// The file, in the home.
const FILE: &str = ".sh_history";

impl Shell {
    /// How `!` repeats lines.
    pub(crate) fn history_expansion(&self) -> HistoryExpansion {
        HistoryExpansion { posix: self.posix(), extglob: self.is_on("extglob") }
    }

    fn history_path(&self) -> Option<String> {
        let path = match self.text_of("HISTFILE") {
            Some(path) => path,
            None => format!("{}/{FILE}", self.text_of("HOME")?.trim_end_matches('/')),
        };
        (!path.is_empty()).then(|| self.absolute(&path))
    }

    fn history_size(&self, variable: &str) -> usize {
        self.text_of(variable).and_then(|text| text.parse().ok()).unwrap_or(MAX_LINES)
    }

    /// Reads the file. One with more than twice as many lines as are kept is written anew.
    pub(crate) fn load_history(&mut self, read_all: impl FnOnce(&Self, &Fd) -> Option<String>) {
        let Some(path) = self.history_path() else { return };
        let Ok(fd) = self.system.open(&path, OpenHow { read: true, ..OpenHow::default() }) else { return };
        let Some(text) = read_all(self, &fd) else { return };
        let mut history = History::default();
        history.max_lines = self.history_size("HISTFILESIZE");
        history.load(&text);
        if text.lines().count() > history.max_lines.saturating_mul(2) {
            let how = OpenHow { write: true, create: true, truncate: true, ..OpenHow::default() };
            // What cannot be written stays long.
            if let Ok(fd) = self.system.open(&path, how) {
                let _ = fd.write(&encode(&history.to_file()));
            }
        }
        self.history = history.iter().map(str::to_owned).collect();
    }

    /// Notes a command, as HISTCONTROL says. In an interactive shell it is appended to the file at once, so that a
    /// session that is cut off loses nothing.
    pub(crate) fn remember(&mut self, command: &str) {
        let control = self.text_of("HISTCONTROL").unwrap_or_default();
        let has = |name: &str| control.split(':').any(|part| part == name || part == "ignoreboth");
        let blank = command.starts_with([' ', '\t']) && has("ignorespace");
        let repeated = self.history.last().is_some_and(|last| last == command) && has("ignoredups");
        if command.trim().is_empty() || blank || repeated {
            return;
        }
        let most = self.history_size("HISTSIZE");
        self.history.push(command.to_owned());
        let excess = self.history.len().saturating_sub(most);
        self.history.drain(..excess);
        if !self.interactive {
            return;
        }
        let how = OpenHow { write: true, append: true, create: true, ..OpenHow::default() };
        if let Some(Ok(fd)) = self.history_path().map(|path| self.system.open(&path, how)) {
            // A full disk takes no history.
            let _ = fd.write(&encode(&History::file_line(command)));
        }
    }
}
