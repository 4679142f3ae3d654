//! Operators, and the pieces of the text that they are applied to.

use super::grammar::{Command, Operator};
use super::movement::{NotMoved, Reach};
use super::state::{Editor, Insertion, Mode};
use crate::columns::{at_column, span, total};
use crate::motion::{enclosing, paragraph_object, quoted, word_object};
use crate::text::{Piece, Position, Shape, first_nonblank, is_blank_line, leading_blanks, next, previous};

/// A piece of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Area {
    /// Up to a place that is no part of it.
    Chars(Position, Position),
    /// The first and the last line.
    Lines(usize, usize),
    /// The first and last line and column; the last may be the end of each line, `usize::MAX`.
    Block { top: usize, bottom: usize, left: usize, right: usize },
}

impl Editor {
    /// Applies the operator of a command to what its motion goes over.
    pub(crate) fn apply(&mut self, command: &Command) {
        let Some(operator) = command.operator else { return };
        match self.area_of(command) {
            Ok(area) => {
                if operator == Operator::Yank && !matches!(command.key, '_' | '$') {
                    // The cursor goes to the beginning of what was copied.
                    self.go_to_start(area, command);
                }
                self.operate(operator, area, command);
            }
            Err(NotMoved::Fails | NotMoved::NoMotion) => self.fail(),
        }
    }

    fn go_to_start(&mut self, area: Area, command: &Command) {
        match area {
            Area::Chars(start, _) => self.cursor = start,
            Area::Lines(first, _) if matches!(command.key, 'i' | 'a') => self.cursor = Position::new(first, 0),
            Area::Lines(first, _) if first < self.cursor.line => {
                let before = self.cursor;
                if let Ok(moved) = self.motion(command) {
                    self.cursor = moved.to;
                } else {
                    self.cursor = Position::new(first, before.column);
                }
            }
            Area::Lines(..) => {}
            Area::Block { top, left, .. } => {
                self.cursor = Position::new(top, at_column(self.text.line(top), left, self.tabs()).0);
            }
        }
        self.want_here();
    }

    /// What a motion goes over.
    fn area_of(&mut self, command: &Command) -> Result<Area, NotMoved> {
        if matches!(command.key, 'i' | 'a') {
            return self.object(command).ok_or(NotMoved::Fails);
        }
        let from = self.cursor;
        let moved = self.motion(command)?;
        let (start, end) = (from.min(moved.to), from.max(moved.to));
        let reach = match (command.force, moved.reach) {
            (Some('V'), _) => Reach::Lines,
            (Some('v'), Reach::Lines | Reach::Inclusive) => Reach::Exclusive,
            (Some('v'), Reach::Exclusive) => Reach::Inclusive,
            (_, reach) => reach,
        };
        if command.force == Some('\x16') {
            let (one, other) = (self.column_span(start), self.column_span(end));
            let (left, right) = (one.0.min(other.0), one.1.max(other.1) - 1);
            return Ok(Area::Block { top: start.line, bottom: end.line, left, right });
        }
        Ok(match reach {
            Reach::Lines => Area::Lines(start.line, end.line),
            Reach::Inclusive => {
                self.chars(start, Position::new(end.line, next(self.text.line(end.line), end.column)), command)
            }
            Reach::Exclusive => self.exclusive_area(start, end, command),
        })
    }

    pub(crate) fn column_span(&self, place: Position) -> (usize, usize) {
        span(self.text.line(place.line), place.column, self.tabs())
    }

    fn is_in_indent(&self, place: Position) -> bool {
        place.column <= leading_blanks(self.text.line(place.line))
    }

    /// An area that ends before the first column of a line ends in the line before, or is of whole lines if it begins
    /// with the first word of one.
    fn exclusive_area(&self, start: Position, end: Position, command: &Command) -> Area {
        if end.column == 0 && end.line > start.line && command.force.is_none() {
            if self.is_in_indent(start) {
                return Area::Lines(start.line, end.line - 1);
            }
            let end = Position::new(end.line - 1, self.text.line(end.line - 1).len());
            return self.chars(start, end, command);
        }
        self.chars(start, end, command)
    }

    /// A deletion over several lines that leaves only blanks takes the whole lines.
    fn chars(&self, start: Position, end: Position, command: &Command) -> Area {
        let rest = &self.text.line(end.line)[end.column..];
        let deletes = command.operator == Some(Operator::Delete) && command.force.is_none();
        if deletes && end.line > start.line && is_blank_line(rest) && self.is_in_indent(start) {
            return Area::Lines(start.line, end.line);
        }
        Area::Chars(start, end)
    }

    /// A text object.
    pub(crate) fn object(&self, command: &Command) -> Option<Area> {
        let (at, around, count) = (self.cursor, command.key == 'a', command.times());
        let line = self.line();
        let within = |(start, end)| Area::Chars(Position::new(at.line, start), Position::new(at.line, end));
        match command.second? {
            name @ ('w' | 'W') => word_object(&self.text, at, count, around, name == 'W').map(within),
            'p' => paragraph_object(&self.text, at.line, count, around).map(|(first, last)| Area::Lines(first, last)),
            quote @ ('"' | '\'' | '`') => {
                let (start, end) = quoted(line, at.column, quote)?;
                if !around {
                    return Some(within((start + usize::from(count < 2), end + usize::from(count > 1))));
                }
                let blanks = leading_blanks(&line[end + 1..]);
                let before = line[..start].trim_end_matches([' ', '\t']).len();
                Some(within(if blanks > 0 { (start, end + 1 + blanks) } else { (before, end + 1) }))
            }
            '(' | ')' | 'b' => self.bracket_object(('(', ')'), count, around, command),
            '[' | ']' => self.bracket_object(('[', ']'), count, around, command),
            '{' | '}' | 'B' => self.bracket_object(('{', '}'), count, around, command),
            '<' | '>' => self.bracket_object(('<', '>'), count, around, command),
            _ => None,
        }
    }

    fn bracket_object(&self, pair: (char, char), count: usize, around: bool, command: &Command) -> Option<Area> {
        let mut from = self.cursor;
        if pair.0 == '{' && from.column < leading_blanks(self.line()) {
            from.column = first_nonblank(self.line());
        }
        let found = enclosing(&self.text, from, pair, count).or_else(|| {
            // Not within brackets, those are meant that come next.
            let mut lines = (from.line..self.text.len()).filter(|_| count == 1);
            let open = lines.find_map(|line| {
                let start = if line == from.line { from.column } else { 0 };
                Some(Position::new(line, start + self.text.line(line)[start..].find(pair.0)?))
            })?;
            enclosing(&self.text, open, pair, 1)
        });
        let (open, close) = found?;
        if around {
            return Some(Area::Chars(open, Position::new(close.line, close.column + 1)));
        }
        let mut start = Position::new(open.line, open.column + 1);
        if start.column == self.text.line(start.line).len() && start.line < self.text.last() {
            start = Position::new(start.line + 1, 0);
        }
        let at_start = close.column == 0 || pair.0 == '{' && self.is_in_indent(close);
        if start >= close {
            return Some(Area::Chars(close, close));
        }
        let end = if at_start && close.line > start.line { Position::new(close.line, 0) } else { close };
        if end <= start {
            return Some(Area::Chars(start, start));
        }
        Some(self.exclusive_area(start, end, command))
    }

    /// The text of an area.
    pub(crate) fn piece(&self, area: Area) -> Piece {
        match area {
            Area::Chars(start, end) => Piece { lines: self.text.slice(start, end), shape: Shape::Chars },
            Area::Lines(first, last) => {
                let mut lines = self.text.copied(first, last + 1);
                if lines.is_empty() {
                    lines.push(String::new());
                }
                Piece { lines, shape: Shape::Lines }
            }
            Area::Block { top, bottom, .. } => {
                let spans: Vec<_> = (top..=bottom).map(|line| self.block_part(area, line)).collect();
                let lines: Vec<String> = (top..=bottom)
                    .zip(&spans)
                    .map(|(line, part)| self.text.line(line)[part.clone()].to_owned())
                    .collect();
                let width = lines.iter().map(|line| total(line, self.tabs())).max().unwrap_or(0);
                Piece { lines, shape: Shape::Block(width) }
            }
        }
    }

    /// The bytes of a line that belong to a block.
    pub(crate) fn block_part(&self, area: Area, line: usize) -> std::ops::Range<usize> {
        let Area::Block { left, right, .. } = area else { return 0..0 };
        let content = self.text.line(line);
        let start = at_column(content, left, self.tabs()).0;
        let end =
            if right == usize::MAX { content.len() } else { next(content, at_column(content, right, self.tabs()).0) };
        start..end.max(start)
    }

    /// Does something to a piece of the text.
    pub(crate) fn operate(&mut self, operator: Operator, area: Area, command: &Command) {
        match operator {
            Operator::Delete => self.delete(area, command),
            Operator::Change => self.change(area, command),
            Operator::Yank => {
                let piece = self.piece(area);
                self.tell_lines(piece.lines.len(), "yanked");
                self.registers.copy(command.register, piece);
            }
            Operator::Right | Operator::Left => self.shift(operator, area, 1),
            Operator::Lower | Operator::Upper | Operator::Toggle | Operator::Replace(_) => {
                self.convert(operator, area);
            }
            Operator::Filter => {
                let (first, last) = lines_of(area);
                self.begin_filter(first, last);
            }
            Operator::Format => {
                let (first, last) = lines_of(area);
                self.format(first, last);
            }
            Operator::Indent => self.report_error("E319: = is not available: there is no program that indents"),
            Operator::Join { blanks } => {
                let (first, last) = lines_of(area);
                self.join(first, last.max(first + 1), blanks);
            }
        }
    }

    /// Says how many lines were changed, if they are many.
    pub(crate) fn tell_lines(&mut self, count: usize, what: &str) {
        if count > 2 {
            self.message = match what {
                "deleted" => format!("{count} fewer lines"),
                "added" => format!("{count} more lines"),
                _ => format!("{count} lines {what}"),
            };
        }
    }

    fn delete(&mut self, area: Area, command: &Command) {
        if let Area::Chars(start, end) = area
            && start.line == end.line
            && self.text.line(start.line).is_empty()
        {
            // There is nothing to delete, as Vim says it.
            return;
        }
        let piece = self.piece(area);
        let count = piece.lines.len();
        self.registers.delete(command.register, piece, Self::is_large(command));
        match area {
            Area::Chars(start, end) => {
                self.text.remove(start, end);
                self.cursor = start;
            }
            Area::Lines(first, last) => {
                self.text.splice(first, last - first + 1, vec![]);
                let line = first.min(self.text.last());
                self.cursor = Position::new(line, first_nonblank(self.text.line(line)));
                self.tell_lines(count, "deleted");
            }
            Area::Block { top, bottom, left, .. } => {
                for line in top..=bottom {
                    let part = self.block_part(area, line);
                    self.text.edit(line, |content| content.replace_range(part, ""));
                }
                self.cursor = Position::new(top, at_column(self.text.line(top), left, self.tabs()).0);
            }
        }
        self.settle();
        self.want_here();
    }

    fn change(&mut self, area: Area, command: &Command) {
        let mut insertion = Insertion { count: 1, ..Insertion::default() };
        match area {
            Area::Chars(start, end) => {
                if start != end {
                    let piece = self.piece(area);
                    self.registers.delete(command.register, piece, Self::is_large(command));
                    self.text.remove(start, end);
                }
                self.cursor = start;
            }
            Area::Lines(first, last) => {
                let piece = self.piece(area);
                self.registers.delete(command.register, piece, true);
                let line = self.text.line(first);
                let kept =
                    if self.settings.autoindent { line[..leading_blanks(line)].to_owned() } else { String::new() };
                self.cursor = Position::new(first, kept.len());
                insertion.indent_only = !kept.is_empty();
                self.text.splice(first, last - first + 1, vec![kept]);
            }
            Area::Block { top, bottom, left, right } => {
                let column = if right == usize::MAX { usize::MAX } else { left };
                self.delete(area, command);
                self.cursor = Position::new(top, at_column(self.text.line(top), left, self.tabs()).0);
                if bottom > top {
                    insertion.block = Some(self.block_insertion(bottom, column, false));
                }
            }
        }
        self.begin_insertion(insertion);
    }

    /// `>` and `<`.
    pub(crate) fn shift(&mut self, operator: Operator, area: Area, times: usize) {
        let (first, last) = lines_of(area);
        let (step, tabs) = (self.settings.indent(), self.tabs());
        for line in first..=last {
            let content = self.text.line(line);
            if content.is_empty() {
                continue;
            }
            let blanks = leading_blanks(content);
            let width = total(&content[..blanks], tabs);
            let amount = step * times;
            let new = match (operator, self.settings.shiftround) {
                (Operator::Right, true) => (width / step + times) * step,
                (Operator::Right, false) => width + amount,
                (_, true) => (width.div_ceil(step).saturating_sub(times)) * step,
                (_, false) => width.saturating_sub(amount),
            };
            let indent = self.indent_of(new);
            self.text.edit(line, |content| content.replace_range(..blanks, &indent));
        }
        self.cursor = Position::new(first, first_nonblank(self.text.line(first)));
        self.want_here();
        let count = last - first + 1;
        if count > 2 {
            let sign = if operator == Operator::Right { '>' } else { '<' };
            self.message = format!("{count} lines {sign}ed {times} time{}", if times == 1 { "" } else { "s" });
        }
    }

    /// The indent of a new line beside another.
    pub(crate) fn indent_like(&self, line: &str) -> String {
        if !self.settings.autoindent {
            return String::new();
        }
        self.indent_of(total(&line[..leading_blanks(line)], self.tabs()))
    }

    /// Blanks that take this many columns.
    pub(crate) fn indent_of(&self, columns: usize) -> String {
        self.blanks(0, columns)
    }

    /// Blanks from one column to another: tabs as far as they go, unless `expandtab` is set.
    pub(crate) fn blanks(&self, from: usize, to: usize) -> String {
        let stop = self.settings.tabstop;
        let mut column = from;
        let mut text = String::new();
        while !self.settings.expandtab && column - column % stop + stop <= to {
            text.push('\t');
            column += stop - column % stop;
        }
        text + &" ".repeat(to - column)
    }

    /// Changes the case of letters, or makes all characters one.
    fn convert(&mut self, operator: Operator, area: Area) {
        let (first, last) = lines_of(area);
        for line in first..=last {
            let content = self.text.line(line);
            let part = match area {
                Area::Chars(start, end) => {
                    let from = if line == start.line { start.column } else { 0 };
                    from..if line == end.line { end.column } else { content.len() }
                }
                Area::Lines(..) => 0..content.len(),
                Area::Block { .. } => self.block_part(area, line),
            };
            let new: String = convert_text(&content[part.clone()], operator);
            if new != content[part.clone()] {
                self.text.edit(line, |content| content.replace_range(part, &new));
            }
        }
        match area {
            Area::Chars(start, _) => self.cursor = start,
            Area::Lines(first, _) if first != self.cursor.line => self.cursor = Position::new(first, 0),
            Area::Lines(..) => {}
            Area::Block { top, left, .. } => {
                self.cursor = Position::new(top, at_column(self.text.line(top), left, self.tabs()).0);
            }
        }
        self.settle();
        self.want_here();
    }

    /// Begins to type.
    pub(crate) fn begin_insertion(&mut self, mut insertion: Insertion) {
        self.cursor = self.text.clamp(self.cursor);
        insertion.start = self.cursor;
        self.text.begin(self.cursor);
        self.mode = Mode::Insert(Box::new(insertion));
    }
}

/// The first and last line of an area.
pub(crate) fn lines_of(area: Area) -> (usize, usize) {
    match area {
        Area::Chars(start, end) => (start.line, end.line),
        Area::Lines(first, last) => (first, last),
        Area::Block { top, bottom, .. } => (top, bottom),
    }
}

/// A text in another case, or all of one character.
pub(crate) fn convert_text(text: &str, operator: Operator) -> String {
    match operator {
        Operator::Lower => text.to_lowercase(),
        Operator::Upper => text.to_uppercase(),
        Operator::Replace(by) => {
            let count = std::iter::successors(Some(text.len()), |at| previous(text, *at)).count() - 1;
            by.to_string().repeat(count)
        }
        _ => text.chars().flat_map(toggled).collect(),
    }
}

fn toggled(character: char) -> Vec<char> {
    if character.is_uppercase() { character.to_lowercase().collect() } else { character.to_uppercase().collect() }
}
