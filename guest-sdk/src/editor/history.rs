//! The lines that were entered before.

use std::collections::VecDeque;
use std::collections::vec_deque::Iter;

/// What becomes of a line that is in the history already. As bash's `HISTCONTROL`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Duplicates {
    /// It is kept again.
    Keep,
    /// It is not kept if it is the same as the last one: `ignoredups`.
    #[default]
    IgnoreRepeated,
    /// Earlier ones like it are removed: `erasedups`.
    Erase,
}

/// The lines that were entered before, the oldest first. A line may contain newlines.
///
/// The editor keeps it in memory; where it comes from and where it is saved is the caller's business.
///
/// ```
/// use whelk_guest::editor::History;
///
/// let mut history = History::default();
/// history.load("ls\ncd /tmp\n");
/// history.add("echo a\nb");
/// assert_eq!(history.iter().last(), Some("echo a\nb"));
/// assert_eq!(history.to_file(), "ls\ncd /tmp\necho a\\\nb\n");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    lines: VecDeque<String>,
    bytes: usize,
    /// The most lines that are kept; the oldest are removed. Default: 1,000.
    pub max_lines: usize,
    /// The most bytes that are kept. A longer line is not kept at all. Default: 1 MiB.
    pub max_bytes: usize,
    /// Default: [`Duplicates::IgnoreRepeated`].
    pub duplicates: Duplicates,
    /// Whether a line that begins with a blank is not kept: `ignorespace`. Default: true.
    pub ignore_space: bool,
}

impl Default for History {
    fn default() -> Self {
        Self {
            lines: VecDeque::new(),
            bytes: 0,
            max_lines: 1000,
            max_bytes: 1024 * 1024,
            duplicates: Duplicates::default(),
            ignore_space: true,
        }
    }
}

impl History {
    /// Adds a line, unless it is blank or the settings refuse it. Returns whether it was kept.
    pub fn add(&mut self, line: &str) -> bool {
        let refused = line.trim().is_empty()
            || (self.ignore_space && line.starts_with([' ', '\t']))
            || (self.duplicates != Duplicates::Keep && self.lines.back().is_some_and(|last| last == line));
        if refused || line.len() > self.max_bytes || self.max_lines == 0 {
            return false;
        }
        if self.duplicates == Duplicates::Erase {
            self.lines.retain(|known| known != line);
            self.bytes = self.lines.iter().map(String::len).sum();
        }
        self.push(line.to_owned());
        true
    }

    /// Adds a line as it is, whatever the settings say of blanks and duplicates.
    pub fn push(&mut self, line: String) {
        self.bytes += line.len();
        self.lines.push_back(line);
        while (self.lines.len() > self.max_lines || self.bytes > self.max_bytes)
            && let Some(oldest) = self.lines.pop_front()
        {
            self.bytes -= oldest.len();
        }
    }

    /// Adds the lines of a file. A line that ends in a backslash goes on with the next: the newline between them is
    /// part of it. A file of plain lines is read as it is.
    pub fn load(&mut self, file: &str) {
        let mut text = String::new();
        for line in file.lines() {
            if let Some(line) = line.strip_suffix('\\') {
                text.push_str(line);
                text.push('\n');
                continue;
            }
            text.push_str(line);
            if !text.is_empty() {
                self.push(std::mem::take(&mut text));
            }
        }
        if !text.is_empty() {
            self.push(text);
        }
    }

    /// All lines as the text of a file.
    pub fn to_file(&self) -> String {
        self.lines.iter().map(|line| Self::file_line(line)).collect()
    }

    /// A line as [`load`](Self::load) reads it, to be appended to a file. One that ends in a backslash gets a blank
    /// after it.
    pub fn file_line(line: &str) -> String {
        let blank = if line.ends_with('\\') { " " } else { "" };
        format!("{}{blank}\n", line.replace('\n', "\\\n"))
    }

    /// The lines, the oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &str> + ExactSizeIterator {
        let lines: Iter<'_, String> = self.lines.iter();
        lines.map(String::as_str)
    }

    /// The line of a number, the oldest being 0.
    pub fn get(&self, number: usize) -> Option<&str> {
        self.lines.get(number).map(String::as_str)
    }

    /// Removes the line of a number, the oldest being 0.
    pub fn remove(&mut self, number: usize) -> Option<String> {
        let removed = self.lines.remove(number)?;
        self.bytes -= removed.len();
        Some(removed)
    }

    /// Removes all lines.
    pub fn clear(&mut self) {
        self.lines.clear();
        self.bytes = 0;
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(history: &History) -> Vec<&str> {
        history.iter().collect()
    }

    #[test]
    fn the_settings_decide_what_is_kept() {
        let mut history = History::default();
        for line in ["a", "b", "b", " secret", "", "  ", "a"] {
            history.add(line);
        }
        assert_eq!(lines(&history), ["a", "b", "a"]);
        history.duplicates = Duplicates::Erase;
        assert!(history.add("b"));
        assert_eq!(lines(&history), ["a", "a", "b"]);
        history.duplicates = Duplicates::Keep;
        history.ignore_space = false;
        assert!(history.add("b") && history.add(" b"));
        assert_eq!(lines(&history), ["a", "a", "b", "b", " b"]);
    }

    #[test]
    fn the_oldest_lines_are_removed_at_the_limits() {
        let mut history = History { max_lines: 3, max_bytes: 10, ..History::default() };
        ["a", "b", "c", "d"].iter().for_each(|line| assert!(history.add(line)));
        assert_eq!(lines(&history), ["b", "c", "d"]);
        assert!(history.add("123456789"));
        assert_eq!(lines(&history), ["d", "123456789"]);
        assert!(!history.add("12345678901"));
        history.load("1234\n5678");
        assert_eq!((lines(&history), history.bytes), (vec!["1234", "5678"], 8));
        assert_eq!(history.remove(0).as_deref(), Some("1234"));
        assert_eq!((history.remove(5), history.bytes), (None, 4));
    }

    #[test]
    fn lines_survive_a_file() {
        let mut history = History::default();
        for line in ["plain", "two\nlines", r"a\nb", "go \\\non", r"\\x", "tab\t"] {
            history.add(line);
        }
        let mut read = History::default();
        read.load(&history.to_file());
        assert_eq!(read, history);
        read.clear();
        read.load("printf '%s\\n'\n\necho \\$x\nopen\\\n");
        assert_eq!(lines(&read), ["printf '%s\\n'", "echo \\$x", "open\n"]);
        assert_eq!(History::file_line("end\\"), "end\\ \n");
    }
}
