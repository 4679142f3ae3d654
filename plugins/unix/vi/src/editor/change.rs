//! Changes that need no motion: put, join, replace, numbers, formatting.

use super::grammar::Command;
use super::state::Editor;
use crate::columns::{at_column, total};
use crate::system::LARGEST_TEXT;
use crate::text::{Piece, Position, Shape, first_nonblank, is_blank_line, last_char, leading_blanks, next};

impl Editor {
    /// What a register holds, the special ones too.
    pub(crate) fn register(&self, name: Option<char>) -> Option<Piece> {
        let text = |text: Option<&str>| text.map(|text| Piece { lines: vec![text.to_owned()], shape: Shape::Chars });
        match name {
            Some('%') => text(self.file.name.as_deref()),
            Some('#') => text(self.file.other.as_deref()),
            Some('/') => text(Some(&self.search.text)),
            Some(':') => text(self.prompts.get(&':').and_then(|lines| lines.last()).map(String::as_str)),
            name => self.registers.get(name).cloned(),
        }
    }

    /// `p`, `P`, `gp` and `gP`.
    pub(crate) fn put(&mut self, command: &Command, before: bool, beyond: bool) {
        let Some(piece) = self.register(command.register) else {
            let name = command.register.unwrap_or('"');
            return self.report_error(format!("E353: Nothing in register {name}"));
        };
        self.put_piece(&piece, command.times(), before, beyond);
    }

    pub(crate) fn put_piece(&mut self, piece: &Piece, count: usize, before: bool, beyond: bool) {
        let width = if let Shape::Block(width) = piece.shape { width } else { 0 };
        let bytes: usize = piece.lines.iter().map(|line| line.len().max(width) + size_of::<String>()).sum();
        if bytes.saturating_mul(count) > LARGEST_TEXT {
            return self.report_error("E342: Out of memory: the register is too large for this count");
        }
        match piece.shape {
            Shape::Lines => {
                let lines: Vec<String> = std::iter::repeat_n(&piece.lines, count).flatten().cloned().collect();
                let at = self.cursor.line + usize::from(!before);
                let added = lines.len();
                self.text.splice(at, 0, lines);
                let line = if beyond { (at + added).min(self.text.last()) } else { at };
                self.cursor = Position::new(line, if beyond { 0 } else { first_nonblank(self.text.line(line)) });
                self.tell_lines(added, "added");
            }
            Shape::Chars => self.put_chars(piece, count, before, beyond),
            Shape::Block(width) => self.put_block(piece, width, count, before),
        }
        self.want_here();
    }

    fn put_chars(&mut self, piece: &Piece, count: usize, before: bool, beyond: bool) {
        let column = if before { self.cursor.column } else { next(self.line(), self.cursor.column) };
        let at = Position::new(self.cursor.line, column);
        let mut lines = piece.lines.clone();
        for _ in 1..count {
            let mut more = piece.lines.iter().cloned();
            if let (Some(last), Some(first)) = (lines.last_mut(), more.next()) {
                last.push_str(&first);
            }
            lines.extend(more);
        }
        let end = self.text.insert(at, &lines);
        self.cursor = if beyond {
            end
        } else if lines.len() > 1 {
            at
        } else {
            Position::new(
                end.line,
                crate::text::previous(self.text.line(end.line), end.column).unwrap_or(0).max(at.column),
            )
        };
        if !beyond {
            self.settle();
        }
    }

    fn put_block(&mut self, piece: &Piece, width: usize, count: usize, before: bool) {
        let tabs = self.tabs();
        let (start, end) = self.column_span(self.cursor);
        let column = if before || self.line().is_empty() { start } else { end };
        let top = self.cursor.line;
        for (offset, part) in piece.lines.iter().enumerate() {
            let line = top + offset;
            if line >= self.text.len() {
                self.text.splice(line, 0, vec![String::new()]);
            }
            let content = self.text.line(line);
            let (place, exact) = at_column(content, column, tabs);
            let fill = if exact || place < content.len() { 0 } else { column - total(content, tabs) };
            let part_width = total(part, tabs);
            let behind = place < content.len();
            let mut text = " ".repeat(fill);
            for turn in 0..count {
                text.push_str(part);
                if behind || turn + 1 < count {
                    text.push_str(&" ".repeat(width.saturating_sub(part_width)));
                }
            }
            self.text.edit(line, |content| content.insert_str(place, &text));
        }
        self.cursor = Position::new(top, at_column(self.text.line(top), column, tabs).0);
        self.settle();
    }

    /// `J` and `gJ`: the line and those below it. A count of more lines than there are takes all.
    pub(crate) fn join_here(&mut self, command: &Command, blanks: bool) {
        let (line, count) = (self.cursor.line, command.times().max(2));
        let last = line + count - 1;
        self.join(line, if count > 2 && line < self.text.last() { last.min(self.text.last()) } else { last }, blanks);
    }

    /// Makes lines one.
    pub(crate) fn join(&mut self, first: usize, last: usize, blanks: bool) {
        if last > self.text.last() {
            return self.fail();
        }
        let mut joined = self.text.line(first).to_owned();
        let mut column = joined.len();
        // Whether the line before ends in a blank, which is enough.
        let mut spaced = joined.ends_with([' ', '\t']);
        for line in first + 1..=last {
            let mut content = self.text.line(line);
            column = joined.len();
            if blanks {
                content = &content[leading_blanks(content)..];
                if !content.is_empty() && !content.starts_with(')') && !joined.is_empty() && !spaced {
                    joined.push(' ');
                }
            }
            spaced = content.ends_with([' ', '\t']);
            joined.push_str(content);
        }
        self.text.splice(first, last - first + 1, vec![joined]);
        self.cursor = Position::new(first, column);
        self.settle();
        self.want_here();
    }

    /// `r`: replaces characters by one, or by one line end.
    pub(crate) fn replace(&mut self, command: &Command) {
        let Some(by) = command.second else { return self.fail() };
        let (at, count, line) = (self.cursor, command.times(), self.line());
        let mut end = at.column;
        for _ in 0..count {
            if end == line.len() {
                return self.fail();
            }
            end = next(line, end);
        }
        if by == '\r' {
            let indent = if self.settings.autoindent { line[..leading_blanks(line)].to_owned() } else { String::new() };
            self.text.remove(at, Position::new(at.line, end));
            self.cursor = self.text.insert(at, &[String::new(), indent]);
            if self.settings.autoindent {
                let rest = leading_blanks(&self.line()[self.cursor.column..]);
                let place = self.cursor;
                self.text.edit(place.line, |line| line.replace_range(place.column..place.column + rest, ""));
            }
        } else {
            let new: String = std::iter::repeat_n(by, count).collect();
            let length = new.len();
            self.text.edit(at.line, |line| line.replace_range(at.column..end, &new));
            self.cursor.column = at.column + length - by.len_utf8();
        }
        self.want_here();
    }

    /// `~`: changes the case of characters, and goes behind them.
    pub(crate) fn toggle(&mut self, command: &Command) {
        let (at, line) = (self.cursor, self.line());
        if line.is_empty() {
            return self.fail();
        }
        let mut end = at.column;
        for _ in 0..command.times().min(line.len()) {
            end = next(line, end);
        }
        let new = super::operator::convert_text(&line[at.column..end], super::grammar::Operator::Toggle);
        let length = new.len();
        self.text.edit(at.line, |line| line.replace_range(at.column..end, &new));
        self.cursor.column = (at.column + length).min(last_char(self.text.line(at.line)));
        self.want_here();
    }

    /// `C-a` and `C-x`: adds to the number at the cursor or behind it.
    pub(crate) fn add(&mut self, amount: i64) {
        let line = self.line();
        let is_digit = |at: usize| line.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
        let mut start = self.cursor.column;
        while !is_digit(start) && start < line.len() {
            start += 1;
        }
        if start >= line.len() {
            return self.fail();
        }
        while start > 0 && is_digit(start - 1) {
            start -= 1;
        }
        let mut end = start;
        while is_digit(end) {
            end += 1;
        }
        let digits = end - start;
        let padded = digits > 1 && line.as_bytes()[start] == b'0';
        if start > 0 && line.as_bytes()[start - 1] == b'-' {
            start -= 1;
        }
        let Ok(number) = line[start..end].parse::<i64>() else { return self.fail() };
        let number = number.saturating_add(amount);
        let new = if padded {
            let sign = if number < 0 { "-" } else { "" };
            format!("{sign}{:0digits$}", number.unsigned_abs())
        } else {
            number.to_string()
        };
        let at = self.cursor.line;
        self.text.edit(at, |line| line.replace_range(start..end, &new));
        self.cursor.column = start + new.len() - 1;
        self.want_here();
    }

    /// `gq`: fills the lines of paragraphs up to `textwidth`, or 79 columns.
    pub(crate) fn format(&mut self, first: usize, last: usize) {
        let width = match self.settings.textwidth {
            0 => 79.min(self.view.columns - 1),
            width => width,
        };
        let mut new: Vec<String> = Vec::new();
        let mut within = false;
        for line in first..=last {
            let content = self.text.line(line);
            if is_blank_line(content) {
                new.push(content.to_owned());
                within = false;
                continue;
            }
            match new.last_mut().filter(|_| within) {
                Some(paragraph) => {
                    let blank = if paragraph.ends_with([' ', '\t']) { "" } else { " " };
                    paragraph.push_str(blank);
                    paragraph.push_str(&content[leading_blanks(content)..]);
                }
                None => new.push(content.to_owned()),
            }
            within = true;
        }
        let new: Vec<String> = new.iter().flat_map(|paragraph| self.broken(paragraph, width)).collect();
        let count = new.len();
        self.text.splice(first, last - first + 1, new);
        let line = first + count - 1;
        self.cursor = Position::new(line, first_nonblank(self.text.line(line)));
        self.want_here();
    }

    /// A paragraph as lines of at most this width, as far as it has blanks. With `autoindent` all have the first one's
    /// indent.
    fn broken(&self, paragraph: &str, width: usize) -> Vec<String> {
        let indent = self.indent_like(paragraph);
        let mut lines = Vec::new();
        let mut rest = paragraph.to_owned();
        while total(rest.trim_end(), self.tabs()) > width
            && let Some((start, end)) = super::insert::break_place(rest.trim_end(), width, self.tabs())
        {
            lines.push(rest[..start].to_owned());
            rest = format!("{indent}{}", &rest[end..]);
        }
        lines.push(rest);
        lines
    }
}
