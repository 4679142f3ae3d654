//! Which part of the text is seen: scrolling, and where things are on the screen.

use super::grammar::Command;
use super::state::Editor;
use crate::columns::{Tabs, width};
use crate::text::{Position, first_nonblank, next};

/// Where a character is in the rows of its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) row: usize,
    pub(crate) column: usize,
    pub(crate) width: usize,
}

/// The characters of a line with their places. One of two columns does not begin in the last column of a row.
pub(crate) struct Walk<'a> {
    line: &'a str,
    at: usize,
    /// The column of the line, and that on the screen, which is larger by what was left free at ends of rows.
    column: usize,
    shown: usize,
    columns: usize,
    tabs: Tabs,
}

impl Iterator for Walk<'_> {
    type Item = (usize, Place);

    fn next(&mut self) -> Option<Self::Item> {
        let character = self.line[self.at..].chars().next()?;
        let width = width(character, self.column, self.tabs);
        if width == 2 && character > '\u{ff}' && (self.shown + 1).is_multiple_of(self.columns) {
            self.shown += 1;
        }
        let place = Place { row: self.shown / self.columns, column: self.shown % self.columns, width };
        let at = self.at;
        self.column += width;
        self.shown += width;
        self.at = next(self.line, at);
        Some((at, place))
    }
}

impl Editor {
    /// The rows for the text.
    pub(crate) fn text_rows(&self) -> usize {
        self.view.rows - 1
    }

    /// The columns of line numbers.
    pub(crate) fn gutter(&self) -> usize {
        if !self.settings.number && !self.settings.relativenumber {
            return 0;
        }
        let digits = self.text.len().to_string().len();
        (digits + 1).max(4).min(self.view.columns - 2)
    }

    /// The columns of a row of text; a line that is not wrapped has one row.
    pub(crate) fn text_columns(&self) -> usize {
        if self.settings.wrap { self.view.columns - self.gutter() } else { usize::MAX / 2 }
    }

    pub(crate) fn walk<'a>(&self, line: &'a str) -> Walk<'a> {
        Walk { line, at: 0, column: 0, shown: 0, columns: self.text_columns(), tabs: self.tabs() }
    }

    /// How many rows a line takes.
    pub(crate) fn rows_of(&self, line: usize) -> usize {
        let content = self.text.line(line);
        // Most lines are short: no character takes more than 8 columns, but for tabs.
        if !self.settings.wrap || content.len() * 8 < self.text_columns() && self.settings.tabstop <= 8 {
            return 1;
        }
        let end = self
            .walk(content)
            .last()
            .map_or(0, |(_, place)| place.row * self.text_columns() + place.column + place.width);
        let end = end + usize::from(self.settings.list);
        end.div_ceil(self.text_columns()).max(1)
    }

    /// Where a place is in the rows of its line. That behind the last character is in a row of its own if the last one
    /// is full.
    pub(crate) fn place_of(&self, at: Position) -> Place {
        let content = self.text.line(at.line);
        let mut end = Place { row: 0, column: 0, width: 1 };
        for (byte, place) in self.walk(content) {
            if byte >= at.column {
                return place;
            }
            let after = place.column + place.width;
            let row = place.row + after / self.text_columns();
            end = Place { row, column: after % self.text_columns(), width: 1 };
        }
        end
    }

    /// Scrolls so far that the cursor is seen.
    pub(crate) fn show_cursor(&mut self) {
        let rows = self.text_rows();
        let place = self.place_of(self.cursor);
        self.view.top = self.view.top.min(self.text.last());
        self.show_column(place);
        let margin = self.settings.scrolloff.min(rows.saturating_sub(1) / 2);
        let (top, top_row) = (self.view.top, self.view.top_row.min(self.rows_of(self.view.top) - 1));
        self.view.top_row = top_row;
        let above = (self.cursor.line, place.row) < (top, top_row) || self.cursor.line < top + margin && top > 0;
        if above {
            let distance = top.saturating_sub(self.cursor.line);
            if distance > rows / 2 {
                self.put_cursor_at(rows / 2);
            } else {
                self.put_cursor_at(margin);
            }
            return;
        }
        // The row of the cursor below the first row, as far as it matters.
        let mut row = 0;
        for line in top..self.cursor.line {
            row += self.rows_of(line);
            if row > 4 * rows {
                break;
            }
        }
        let row = (row + place.row).saturating_sub(top_row);
        // The line of the cursor is seen as a whole, if it is no longer than the screen.
        let whole = Some(self.rows_of(self.cursor.line)).filter(|all| *all <= rows);
        let rest = whole.map_or(0, |all| all.saturating_sub(place.row + 1));
        let margin = margin.min(self.text.last() - self.cursor.line).max(rest);
        if row + margin >= rows {
            let beyond = row + margin + 1 - rows;
            if beyond > rows / 2 {
                self.put_cursor_at((rows / 2).max(rows.saturating_sub(self.rows_to_end(rows))));
            } else {
                self.put_cursor_at(rows - 1 - margin);
            }
        }
    }

    /// How many rows there are from that of the cursor to the end of the text, at most so many.
    fn rows_to_end(&self, most: usize) -> usize {
        let mut rows =
            self.rows_of(self.cursor.line) - self.place_of(self.cursor).row.min(self.rows_of(self.cursor.line) - 1);
        for line in self.cursor.line + 1..self.text.len() {
            if rows >= most {
                break;
            }
            rows += self.rows_of(line);
        }
        rows
    }

    /// Without wrapping, the column of the cursor is seen.
    fn show_column(&mut self, place: Place) {
        if self.settings.wrap {
            self.view.left = 0;
            return;
        }
        let columns = self.view.columns - self.gutter();
        if place.column < self.view.left {
            self.view.left = place.column.saturating_sub(columns / 2);
        } else if place.column + place.width.min(columns) > self.view.left + columns {
            let middle = (place.column + place.width).saturating_sub(columns.div_ceil(2));
            self.view.left = middle.min(place.column);
        }
    }

    /// Scrolls so that the cursor is in a row of the screen, or above it at the beginning of the text.
    fn put_cursor_at(&mut self, row: usize) {
        let mut left = row;
        let (mut line, mut sub) = (self.cursor.line, self.place_of(self.cursor).row);
        while left > 0 {
            if sub > 0 {
                let step = sub.min(left);
                sub -= step;
                left -= step;
            } else if line > 0 {
                line -= 1;
                sub = self.rows_of(line);
            } else {
                break;
            }
        }
        // A line begins above the screen only if it is longer than that.
        if sub > 0 && line < self.cursor.line {
            (line, sub) = (line + 1, 0);
        }
        (self.view.top, self.view.top_row) = (line, sub);
    }

    /// The first and the last line that are seen as a whole.
    pub(crate) fn visible_lines(&self) -> (usize, usize) {
        let top = self.view.top.min(self.text.last());
        let (mut bottom, mut rows) = (top, self.rows_of(top).saturating_sub(self.view.top_row));
        while bottom < self.text.last() {
            rows += self.rows_of(bottom + 1);
            if rows > self.text_rows() {
                break;
            }
            bottom += 1;
        }
        (top, bottom)
    }

    /// The line in the middle of those that are seen.
    pub(crate) fn middle_line(&self, top: usize, bottom: usize) -> usize {
        let all: usize = (top..=bottom).map(|line| self.rows_of(line)).sum();
        let mut rows = 0;
        for line in top..=bottom {
            rows += self.rows_of(line);
            if rows * 2 >= all {
                return line;
            }
        }
        bottom
    }

    /// Keys that scroll.
    pub(crate) fn scroll_command(&mut self, command: &Command) {
        let half = |editor: &Self| match editor.settings.scroll {
            0 => (editor.text_rows() / 2).max(1),
            lines => lines,
        };
        self.show_cursor();
        match command.key {
            'z' => self.scroll_to(command),
            '\x04' | '\x15' => {
                if let Some(count) = command.count {
                    self.settings.scroll = count.min(self.text_rows());
                }
                let lines = half(self);
                self.scroll_half(lines, command.key == '\x04');
            }
            '\x05' => {
                self.view.top = (self.view.top + command.times()).min(self.text.last());
                self.view.top_row = 0;
                self.keep_cursor_visible();
            }
            '\x19' => {
                self.view.top = self.view.top.saturating_sub(command.times());
                self.view.top_row = 0;
                self.keep_cursor_visible();
            }
            '\x06' => self.page_down(command.times()),
            _ => self.page_up(command.times()),
        }
    }

    fn scroll_half(&mut self, lines: usize, down: bool) {
        let (line, last) = (self.cursor.line, self.text.last());
        if down && line == last || !down && line == 0 {
            return self.fail();
        }
        let (_, bottom) = self.visible_lines();
        if down {
            self.view.top += lines.min(last - bottom);
            self.go_to(line.saturating_add(lines));
        } else {
            self.view.top = self.view.top.saturating_sub(lines);
            self.go_to(line.saturating_sub(lines));
        }
        self.view.top_row = 0;
    }

    fn page_down(&mut self, count: usize) {
        for _ in 0..count.min(self.text.len()) {
            let (top, bottom) = self.visible_lines();
            if bottom == self.text.last() && top == bottom {
                return self.fail();
            }
            self.view.top = if bottom == self.text.last() { bottom } else { bottom.saturating_sub(1).max(top + 1) };
            self.view.top_row = 0;
        }
        self.go_to(self.view.top.max(self.cursor.line));
    }

    fn page_up(&mut self, count: usize) {
        for _ in 0..count.min(self.text.len()) {
            if self.view.top == 0 {
                return self.fail();
            }
            // The second line of the screen becomes the last.
            let bottom = (self.view.top + 1).min(self.text.last());
            let mut rows = self.rows_of(bottom);
            let mut top = bottom;
            while top > 0 && rows + self.rows_of(top - 1) <= self.text_rows() {
                top -= 1;
                rows += self.rows_of(top);
            }
            self.view.top = top.min(self.view.top - 1);
            self.view.top_row = 0;
        }
        let (_, bottom) = self.visible_lines();
        self.go_to(self.cursor.line.min(bottom));
    }

    /// `zt`, `zz`, `zb` and theirs that go to the first character that is no blank.
    fn scroll_to(&mut self, command: &Command) {
        if let Some(count) = command.count {
            self.cursor.line = (count.max(1) - 1).min(self.text.last());
            self.cursor.column = self.wanted_in(self.cursor.line);
        }
        let rows = self.text_rows();
        let row = match command.second {
            Some('t' | '\r') => 0,
            Some('z' | '.') => rows / 2,
            Some('b' | '-') => rows - 1,
            _ => return self.fail(),
        };
        self.put_cursor_at(row);
        if matches!(command.second, Some('\r' | '.' | '-')) {
            self.cursor.column = first_nonblank(self.line());
            self.want_here();
        }
    }

    /// The cursor moves into the lines that are seen.
    fn keep_cursor_visible(&mut self) {
        let (top, bottom) = self.visible_lines();
        let line = self.cursor.line.clamp(top, bottom);
        if line != self.cursor.line {
            self.cursor = Position::new(line, self.wanted_in(line));
        }
    }
}
