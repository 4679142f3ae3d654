//! Keys in the visual mode.

use unix_common::tty::Key;

use super::grammar::{Command, ESCAPE, Operator, Parsed, parse};
use super::movement::NotMoved;
use super::operator::Area;
use super::state::{BlockInsertion, Editor, Insertion, Mode, Repeat, Visual, VisualKind};
use crate::columns::{at_column, total};
use crate::key;
use crate::text::{Position, last_char, next, previous};

impl Editor {
    pub(crate) fn visual_key(&mut self, key: Key) {
        let Some(sign) = key::command(key) else { return };
        self.message.clear();
        if sign == 'q' && self.pending.is_empty() && self.end_recording() {
            return;
        }
        self.pending.push(sign);
        match parse(&self.pending, true) {
            Parsed::More => {}
            Parsed::Wrong => {
                self.pending.clear();
                self.fail();
            }
            Parsed::Whole(command) => {
                self.pending.clear();
                self.text.begin(self.cursor);
                self.visual_command(&command);
                self.resume_insertion();
            }
        }
    }

    fn visual_command(&mut self, command: &Command) {
        let Mode::Visual(visual) = self.mode else { return };
        match command.key {
            ESCAPE | '\x03' => self.end_visual(visual),
            'v' | 'V' | '\x16' => {
                let kind = match command.key {
                    'v' => VisualKind::Chars,
                    'V' => VisualKind::Lines,
                    _ => VisualKind::Block,
                };
                if kind == visual.kind {
                    self.end_visual(visual);
                } else {
                    self.mode = Mode::Visual(Visual { kind, ..visual });
                }
            }
            'o' | 'O' => self.swap_ends(visual, command.key == 'O'),
            'i' | 'a' => self.extend_by_object(visual, command),
            ':' => {
                self.end_visual(visual);
                self.begin_visual_command();
            }
            'g' if command.second == Some('v') => self.select_again(),
            'm' | 'z' | '\x04' | '\x05' | '\x06' | '\x02' | '\x15' | '\x19' | '\x0c' => {
                self.visual_scroll(visual, command)
            }
            '/' | '?' => self.begin_search(command.key, Some(command.clone())),
            _ => match self.motion(command) {
                Ok(moved) => {
                    self.follow(moved);
                    if command.key == '$' {
                        self.mode = Mode::Visual(Visual { to_end: true, ..visual });
                    } else if !matches!(command.key, 'j' | 'k') {
                        self.mode = Mode::Visual(Visual { to_end: false, ..visual });
                    }
                }
                Err(NotMoved::Fails) => self.fail(),
                Err(NotMoved::NoMotion) => self.visual_operator(visual, command),
            },
        }
    }

    fn visual_scroll(&mut self, visual: Visual, command: &Command) {
        match (command.key, command.second) {
            ('m', Some(name)) if name.is_ascii_alphabetic() => {
                self.text.marks.insert(name, self.cursor);
            }
            ('m', _) => self.fail(),
            ('\x0c', _) => self.screen.invalidate(),
            _ => self.scroll_command(command),
        }
        self.mode = Mode::Visual(visual);
    }

    fn swap_ends(&mut self, visual: Visual, same_line: bool) {
        let (mut start, mut cursor) = (self.cursor, visual.start);
        if same_line && visual.kind == VisualKind::Block {
            std::mem::swap(&mut start.line, &mut cursor.line);
            (start, cursor) = (self.text.clamp(start), self.text.clamp(cursor));
        }
        self.cursor = cursor;
        self.want_here();
        self.mode = Mode::Visual(Visual { start, ..visual });
    }

    /// Leaves the visual mode.
    pub(crate) fn end_visual(&mut self, visual: Visual) {
        self.last_visual = Some((visual, self.cursor));
        self.mode = Mode::Normal;
        self.settle();
    }

    /// `gv`
    pub(crate) fn select_again(&mut self) {
        let Some((visual, cursor)) = self.last_visual else { return self.fail() };
        if let Mode::Visual(now) = self.mode {
            self.last_visual = Some((now, self.cursor));
        }
        self.cursor = self.text.clamp(cursor);
        self.mode = Mode::Visual(Visual { start: self.text.clamp(visual.start), ..visual });
        self.want_here();
    }

    /// A text object: it becomes the selection, or is added to what is selected already.
    fn extend_by_object(&mut self, visual: Visual, command: &Command) {
        let from = self.cursor;
        let extends = visual.start < from;
        let nested = matches!(command.second, Some('(' | ')' | 'b' | '[' | ']' | '{' | '}' | 'B' | '<' | '>'));
        if extends && !nested {
            let after = next(self.line(), from.column);
            let ends = after >= self.line().len() || command.second == Some('p');
            self.cursor = if ends && from.line < self.text.last() {
                Position::new(from.line + 1, 0)
            } else {
                Position::new(from.line, after.min(last_char(self.line())))
            };
        }
        let selected = self.selected(visual);
        let mut found = self.object(command);
        // The brackets around those that are selected.
        let mut count = command.times();
        while extends && nested && found.is_some_and(|area| !is_within(selected, area)) {
            count += 1;
            found = self.object(&Command { count: Some(count), ..command.clone() });
        }
        self.cursor = from;
        let Some(area) = found else { return self.fail() };
        let (start, end, kind) = match area {
            Area::Lines(first, last) => (Position::new(first, 0), Position::new(last, 0), VisualKind::Lines),
            Area::Chars(start, end) => {
                let end = if end.column == 0 && end.line > start.line {
                    Position::new(end.line - 1, self.text.line(end.line - 1).len())
                } else {
                    Position::new(end.line, previous(self.text.line(end.line), end.column).unwrap_or(0))
                };
                (start, end, if visual.kind == VisualKind::Lines { visual.kind } else { VisualKind::Chars })
            }
            Area::Block { .. } => return,
        };
        let start = if extends { visual.start.min(start) } else { start };
        self.cursor = end;
        self.want_here();
        self.mode = Mode::Visual(Visual { kind, start, to_end: false });
    }

    /// The area that is selected.
    pub(crate) fn selected(&self, visual: Visual) -> Area {
        let (start, end) = (visual.start.min(self.cursor), visual.start.max(self.cursor));
        match visual.kind {
            VisualKind::Lines => Area::Lines(start.line, end.line),
            VisualKind::Chars => {
                let line = self.text.line(end.line);
                // A selection that goes behind the last character takes the end of the line.
                let behind = end.column >= line.len() || visual.to_end && end == self.cursor;
                Area::Chars(start, self.behind(Position::new(end.line, next(line, end.column)), behind))
            }
            VisualKind::Block => {
                let (one, other) = (self.column_span(visual.start), self.column_span(self.cursor));
                let right = if visual.to_end { usize::MAX } else { one.1.max(other.1) - 1 };
                Area::Block { top: start.line, bottom: end.line, left: one.0.min(other.0), right }
            }
        }
    }

    /// A place, or the beginning of the next line, if the end of its own belongs to the selection.
    fn behind(&self, place: Position, with_end: bool) -> Position {
        if with_end && place.line < self.text.last() { Position::new(place.line + 1, 0) } else { place }
    }

    /// The same as whole lines, or a block to the ends of its lines, for the capitals.
    fn widened(&self, visual: Visual, key: char) -> Area {
        let area = self.selected(visual);
        match area {
            Area::Block { top, bottom, left, .. } if matches!(key, 'D' | 'C') => {
                Area::Block { top, bottom, left, right: usize::MAX }
            }
            other => {
                let (first, last) = super::operator::lines_of(other);
                Area::Lines(first, last)
            }
        }
    }

    fn visual_operator(&mut self, visual: Visual, command: &Command) {
        let selected = self.selected(visual);
        let whole = self.widened(visual, command.key);
        let (operator, area) = match (command.key, command.second) {
            ('d' | 'x', _) => (Operator::Delete, selected),
            ('X' | 'D', _) => (Operator::Delete, whole),
            ('c' | 's', _) => (Operator::Change, selected),
            ('C' | 'S' | 'R', _) => (Operator::Change, whole),
            ('y', _) => (Operator::Yank, selected),
            ('Y', _) => (Operator::Yank, whole),
            ('>', _) => (Operator::Right, selected),
            ('<', _) => (Operator::Left, selected),
            ('u', _) | ('g', Some('u')) => (Operator::Lower, selected),
            ('U', _) | ('g', Some('U')) => (Operator::Upper, selected),
            ('~', _) | ('g', Some('~')) => (Operator::Toggle, selected),
            ('J', _) => (Operator::Join { blanks: true }, selected),
            ('g', Some('J')) => (Operator::Join { blanks: false }, selected),
            ('g', Some('q')) => (Operator::Format, selected),
            ('r', Some(by)) => (Operator::Replace(by), selected),
            ('!', _) => (Operator::Filter, selected),
            ('=', _) => (Operator::Indent, selected),
            ('p' | 'P', _) => return self.put_over(visual, selected, command),
            ('I' | 'A', _) if visual.kind == VisualKind::Block => return self.type_in_block(visual, selected, command),
            ('I' | 'A', _) => return self.type_at_end(visual, selected, command),
            _ => return self.fail(),
        };
        let extent = self.extent(visual);
        self.end_visual(visual);
        let command = Command { operator: Some(operator), key: 'v', second: None, ..command.clone() };
        self.go_to_selection(area);
        match operator {
            Operator::Right | Operator::Left => self.shift(operator, area, command.times()),
            _ => self.operate(operator, area, &command),
        }
        if !self.repeating && !matches!(operator, Operator::Yank | Operator::Filter) {
            self.repeat = Some(Repeat { command, keys: Vec::new(), selection: Some(extent) });
        }
        if matches!(self.mode, Mode::Normal) {
            self.settle();
        }
    }

    fn go_to_selection(&mut self, area: Area) {
        self.cursor = match area {
            Area::Chars(start, _) => start,
            Area::Lines(first, _) => {
                Position::new(first, if first == self.cursor.line { self.cursor.column } else { 0 })
            }
            Area::Block { top, left, .. } => Position::new(top, at_column(self.text.line(top), left, self.tabs()).0),
        };
        self.want_here();
    }

    /// The kind, the lines and the columns of a selection, so that `.` can take as much.
    fn extent(&self, visual: Visual) -> (VisualKind, usize, usize) {
        let (start, end) = (visual.start.min(self.cursor), visual.start.max(self.cursor));
        let lines = end.line - start.line;
        let columns = match self.selected(visual) {
            Area::Block { left, right, .. } if right != usize::MAX => right - left,
            Area::Block { .. } => usize::MAX,
            _ if visual.to_end => usize::MAX,
            _ if lines == 0 => {
                let selected = &self.text.line(start.line)[start.column..end.column];
                selected.chars().count()
            }
            _ => end.column,
        };
        (visual.kind, lines, columns)
    }

    /// `.` after an operator on a selection.
    pub(crate) fn repeat_selection(&mut self, command: &Command, selection: (VisualKind, usize, usize)) {
        let Some(operator) = command.operator else { return };
        let (kind, lines, columns) = selection;
        let (from, last) = (self.cursor, (self.cursor.line + lines).min(self.text.last()));
        let area = match kind {
            VisualKind::Lines => Area::Lines(from.line, last),
            VisualKind::Chars => {
                let line = self.text.line(last);
                let end = if lines == 0 {
                    (0..=columns).fold(from.column, |at, _| next(line, at))
                } else {
                    next(line, crate::text::snapped(line, columns))
                };
                let whole = line.is_empty() || columns == usize::MAX;
                Area::Chars(from, self.behind(Position::new(last, end), whole))
            }
            VisualKind::Block => {
                let left = self.column_span(from).0;
                Area::Block { top: from.line, bottom: last, left, right: left.saturating_add(columns) }
            }
        };
        self.text.begin(self.cursor);
        match operator {
            Operator::Right | Operator::Left => self.shift(operator, area, command.times()),
            _ => self.operate(operator, area, command),
        }
    }

    /// `p`: what is selected is replaced by a register.
    fn put_over(&mut self, visual: Visual, area: Area, command: &Command) {
        let Some(piece) = self.register(command.register) else { return self.fail() };
        self.end_visual(visual);
        self.go_to_selection(area);
        let old = self.piece(area);
        let was_last = match area {
            Area::Lines(_, last) => last == self.text.last(),
            Area::Chars(_, end) => end.column == self.text.line(end.line).len(),
            Area::Block { .. } => false,
        };
        let delete = Command { register: Some('_'), ..Command::default() };
        self.operate(Operator::Delete, area, &delete);
        if command.key == 'p' {
            self.registers.delete(None, old, false);
        }
        let whole = matches!(area, Area::Lines(..));
        match piece.shape {
            crate::text::Shape::Lines if !whole => {
                // Whole lines part the line that they are put into.
                let at = if let Area::Chars(start, _) = area { start } else { self.cursor };
                let rest = self.text.line(at.line)[at.column..].to_owned();
                self.text.edit(at.line, |line| line.truncate(at.column));
                self.text.splice(at.line + 1, 0, vec![rest]);
                self.cursor = at;
                self.put_piece(&piece, command.times(), false, false);
            }
            crate::text::Shape::Chars if whole => {
                let at = if was_last && !self.text.is_empty() { self.cursor.line + 1 } else { self.cursor.line };
                let lines = crate::text::Piece { shape: crate::text::Shape::Lines, ..piece };
                self.text.splice(at, 0, lines.lines);
                self.go_to(at);
                self.cursor.column = 0;
            }
            _ => self.put_piece(&piece, command.times(), !was_last, false),
        }
        self.settle();
    }

    /// `I` and `A` on a block.
    fn type_in_block(&mut self, visual: Visual, area: Area, command: &Command) {
        let Area::Block { top, bottom, left, right } = area else { return };
        let extent = self.extent(visual);
        self.end_visual(visual);
        let append = command.key == 'A';
        let content = self.text.line(top);
        let column = match (append, right) {
            (true, usize::MAX) => usize::MAX,
            (true, right) => right + 1,
            (false, _) => left,
        };
        let (at, exact) = at_column(content, column, self.tabs());
        if append && column != usize::MAX && at == content.len() && !exact {
            let missing = column - total(content, self.tabs());
            self.text.edit(top, |line| line.push_str(&" ".repeat(missing)));
        }
        self.cursor = Position::new(
            top,
            if column == usize::MAX {
                self.text.line(top).len()
            } else {
                at_column(self.text.line(top), column, self.tabs()).0
            },
        );
        let left = at_column(self.text.line(top), left, self.tabs()).0;
        let block = BlockInsertion { cursor: left, ..self.block_insertion(bottom, column, append) };
        let command = Command { operator: None, ..command.clone() };
        self.repeat = Some(Repeat { command, keys: Vec::new(), selection: Some(extent) });
        self.begin_insertion(Insertion { count: 1, block: Some(block), ..Insertion::default() });
    }

    /// `I` and `A` on characters and lines: before the first, behind the last.
    fn type_at_end(&mut self, visual: Visual, area: Area, command: &Command) {
        self.end_visual(visual);
        self.cursor = match (area, command.key) {
            (Area::Chars(start, _), 'I') => start,
            (Area::Chars(_, end), _) => end,
            (Area::Lines(first, _), 'I') => Position::new(first, 0),
            (Area::Lines(_, last), _) => Position::new(last, self.text.line(last).len()),
            (Area::Block { .. }, _) => return,
        };
        self.remember(&Command { key: 'i', ..Command::default() });
        self.begin_insertion(Insertion { count: command.times(), ..Insertion::default() });
    }
}

/// Whether an area is a real part of another.
fn is_within(part: Area, whole: Area) -> bool {
    match (part, whole) {
        (Area::Chars(start, end), Area::Chars(first, last)) => part != whole && first <= start && end <= last,
        (Area::Chars(start, end), Area::Lines(first, last)) => first <= start.line && end.line <= last + 1,
        _ => true,
    }
}
