//! Motions: where a command leads.

use super::grammar::{Command, Operator};
use super::state::{Editor, Mode, VisualKind};
use crate::columns::{at_column, span};
use crate::motion::{
    Find, enclosing, find_in_line, matching, next_paragraph, next_sentence, next_word, previous_end,
    previous_paragraph, previous_sentence, previous_word, word_end,
};
use crate::text::{Position, char_at, first_nonblank, last_char, next, previous};

/// What an operator takes of a motion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Without the character at its end.
    Exclusive,
    Inclusive,
    Lines,
}

/// The column that `j` and `k` go to afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Here,
    Kept,
    End,
}

/// Where a motion has led.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moved {
    pub(crate) to: Position,
    pub(crate) reach: Reach,
    pub(crate) wanted: Wanted,
    /// The place before is remembered.
    pub(crate) jumps: bool,
}

/// Why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotMoved {
    /// The command is no motion.
    NoMotion,
    Fails,
}

type Motion = Result<Moved, NotMoved>;

fn exclusive(to: Position) -> Moved {
    Moved { to, reach: Reach::Exclusive, wanted: Wanted::Here, jumps: false }
}

fn inclusive(to: Position) -> Moved {
    Moved { reach: Reach::Inclusive, ..exclusive(to) }
}

impl Moved {
    fn jumping(self) -> Self {
        Self { jumps: true, ..self }
    }
}

impl Editor {
    /// Where a command leads from the cursor.
    pub(crate) fn motion(&mut self, command: &Command) -> Motion {
        let (count, at, line) = (command.times(), self.cursor, self.line());
        let here = |column| Position::new(at.line, column);
        match command.key {
            'h' | '\x08' | 'l' | ' ' => self.sideways(command),
            'j' | '\n' | '\x0e' | 'k' | '\x10' => self.vertical(command),
            '+' | '\r' | '-' | '_' => self.to_nonblank(command),
            '0' => Ok(exclusive(here(0))),
            '^' => Ok(exclusive(here(first_nonblank(line)))),
            '$' => self.line_end(count),
            '|' => {
                let column = at_column(line, count - 1, self.tabs()).0.min(last_char(line));
                Ok(exclusive(here(column)))
            }
            'w' | 'W' | 'e' | 'E' | 'b' | 'B' => self.word(command),
            'f' | 'F' | 't' | 'T' | ';' | ',' => self.find_character(command),
            'G' => Ok(self.to_line(command.count.map_or(self.text.last(), |count| count.max(1) - 1))),
            'H' | 'M' | 'L' => Ok(self.window_line(command)),
            '%' => self.percent(command),
            '}' | '{' => self.paragraph(command),
            '(' | ')' => self.sentence(command),
            '\'' | '`' => self.mark_motion(command),
            'n' | 'N' => self.search_again(command),
            '*' | '#' => self.search_word(command),
            '[' | ']' => self.unmatched(command),
            'g' => self.of_g(command),
            _ => Err(NotMoved::NoMotion),
        }
    }

    /// The commands of two keys whose first is `g`.
    fn of_g(&mut self, command: &Command) -> Motion {
        let (count, line) = (command.times(), self.line());
        match command.second {
            Some('g') => Ok(self.to_line(count - 1)),
            Some('e' | 'E') => {
                let found = previous_end(&self.text, self.cursor, count, command.second == Some('E'));
                found.map(inclusive).ok_or(NotMoved::Fails)
            }
            Some('_') => {
                let end = line.trim_end_matches([' ', '\t']).len();
                Ok(inclusive(Position::new(self.cursor.line, previous(line, end).unwrap_or(0))))
            }
            Some('o') => {
                let mut place = count - 1;
                for (at, content) in (0..self.text.len()).map(|at| (at, self.text.line(at))) {
                    if place <= content.len() {
                        return Ok(exclusive(Position::new(at, place.min(last_char(content)))));
                    }
                    place -= content.len() + 1;
                }
                Ok(self.to_line(self.text.last()))
            }
            Some('j' | 'k') => {
                let key = command.second.unwrap_or('j');
                self.vertical(&Command { key, ..command.clone() })
                    .map(|moved| Moved { reach: Reach::Exclusive, ..moved })
            }
            Some('0') => Ok(exclusive(Position::new(self.cursor.line, 0))),
            Some('^') => Ok(exclusive(Position::new(self.cursor.line, first_nonblank(line)))),
            Some('$') => self.line_end(count),
            Some('*' | '#') => self.search_word(command),
            _ => Err(NotMoved::NoMotion),
        }
    }

    fn sideways(&self, command: &Command) -> Motion {
        let line = self.line();
        let (mut place, forward) = (self.cursor, matches!(command.key, 'l' | ' '));
        let wraps = matches!(command.key, ' ' | '\x08');
        // Operators and selections go behind the last character.
        let beyond = command.operator.is_some() || self.is_visual();
        let mut moved = false;
        for _ in 0..command.times() {
            let line = self.text.line(place.line);
            if forward {
                let after = next(line, place.column);
                if after < line.len() || beyond && place.column < line.len() {
                    place.column = after;
                } else if wraps && place.line < self.text.last() {
                    place = Position::new(place.line + 1, 0);
                } else {
                    break;
                }
            } else if let Some(before) = previous(line, place.column) {
                place.column = before;
            } else if wraps && place.line > 0 {
                let line = self.text.line(place.line - 1);
                place = Position::new(place.line - 1, if beyond { line.len() } else { last_char(line) });
            } else {
                break;
            }
            moved = true;
        }
        // An empty line has nothing for an operator, which is no failure of `cl`.
        let of_nothing = command.is_change() && forward && line.is_empty();
        if !moved && !of_nothing {
            return Err(NotMoved::Fails);
        }
        Ok(exclusive(place))
    }

    /// Where the wanted column is in a line.
    pub(crate) fn wanted_in(&self, line: usize) -> usize {
        let content = self.text.line(line);
        if self.wanted == usize::MAX {
            return last_char(content);
        }
        at_column(content, self.wanted, self.tabs()).0.min(last_char(content))
    }

    fn vertical(&self, command: &Command) -> Motion {
        let (line, last) = (self.cursor.line, self.text.last());
        let to = if matches!(command.key, 'k' | '\x10') {
            if line == 0 {
                return Err(NotMoved::Fails);
            }
            line.saturating_sub(command.times())
        } else {
            if line == last {
                return Err(NotMoved::Fails);
            }
            line.saturating_add(command.times()).min(last)
        };
        let to = Position::new(to, self.wanted_in(to));
        Ok(Moved { to, reach: Reach::Lines, wanted: Wanted::Kept, jumps: false })
    }

    /// The first character of a line that is no blank: `+`, `-`, `_`.
    fn to_nonblank(&self, command: &Command) -> Motion {
        let (line, last, count) = (self.cursor.line, self.text.last(), command.times());
        let to = match command.key {
            '_' if count > 1 && line == last => return Err(NotMoved::Fails),
            '_' => line.saturating_add(count - 1).min(last),
            '-' if line == 0 => return Err(NotMoved::Fails),
            '-' => line.saturating_sub(count),
            _ if line == last => return Err(NotMoved::Fails),
            _ => line.saturating_add(count).min(last),
        };
        let to = Position::new(to, first_nonblank(self.text.line(to)));
        Ok(Moved { reach: Reach::Lines, ..exclusive(to) })
    }

    fn line_end(&self, count: usize) -> Motion {
        let line = self.cursor.line;
        if count > 1 && line == self.text.last() {
            return Err(NotMoved::Fails);
        }
        let line = line.saturating_add(count - 1).min(self.text.last());
        let to = Position::new(line, last_char(self.text.line(line)));
        Ok(Moved { wanted: Wanted::End, ..inclusive(to) })
    }

    fn word(&self, command: &Command) -> Motion {
        let (count, at) = (command.times(), self.cursor);
        let big = command.key.is_uppercase();
        let mut to_end = matches!(command.key, 'e' | 'E');
        if matches!(command.key, 'b' | 'B') {
            return previous_word(&self.text, at, count, big).map(exclusive).ok_or(NotMoved::Fails);
        }
        let mut stop = false;
        // `cw` on a word is `ce`, but stays on the last character of a word.
        if !to_end && command.is_change() && !matches!(char_at(self.line(), at.column), None | Some(' ' | '\t')) {
            (to_end, stop) = (true, true);
        }
        let (to, found) = if to_end {
            word_end(&self.text, at, count, big, stop, false)
        } else {
            next_word(&self.text, at, count, big, command.operator.is_some())
        };
        let mut moved = if to_end { inclusive(to) } else { exclusive(to) };
        let line = self.text.line(to.line);
        if at < to && to.column == line.len() && !line.is_empty() {
            moved.to.column = last_char(line);
            moved.reach = Reach::Inclusive;
        }
        if !found && command.operator.is_none() {
            return if moved.to == at { Err(NotMoved::Fails) } else { Ok(exclusive(moved.to)) };
        }
        Ok(moved)
    }

    fn find_character(&mut self, command: &Command) -> Motion {
        let again = matches!(command.key, ';' | ',');
        let find = match (command.key, self.find) {
            (';', find) => find,
            (',', find) => find.map(|find| Find { forward: !find.forward, ..find }),
            (key, _) => {
                let (forward, till) = (key.is_lowercase(), matches!(key, 't' | 'T'));
                command.second.map(|character| Find { character, forward, till })
            }
        };
        let find = find.ok_or(NotMoved::Fails)?;
        if !again {
            self.find = Some(find);
        }
        let found = find_in_line(self.line(), self.cursor.column, find, command.times(), again);
        let to = Position::new(self.cursor.line, found.ok_or(NotMoved::Fails)?);
        Ok(if find.forward { inclusive(to) } else { exclusive(to) })
    }

    /// A line, at its first character that is no blank.
    pub(crate) fn to_line(&self, line: usize) -> Moved {
        let line = line.min(self.text.last());
        let (column, wanted) = if self.settings.startofline {
            (first_nonblank(self.text.line(line)), Wanted::Here)
        } else {
            (self.wanted_in(line), Wanted::Kept)
        };
        Moved { to: Position::new(line, column), reach: Reach::Lines, wanted, jumps: true }
    }

    fn window_line(&self, command: &Command) -> Moved {
        let (top, bottom) = self.visible_lines();
        let offset = command.times() - 1;
        let line = match command.key {
            'H' => top.saturating_add(offset).min(bottom),
            'L' => bottom.saturating_sub(offset).max(top),
            _ => self.middle_line(top, bottom),
        };
        self.to_line(line)
    }

    fn percent(&self, command: &Command) -> Motion {
        if let Some(count) = command.count {
            if count > 100 {
                return Err(NotMoved::Fails);
            }
            let line = (count * self.text.len()).div_ceil(100).max(1) - 1;
            return Ok(self.to_line(line));
        }
        matching(&self.text, self.cursor).map(|to| inclusive(to).jumping()).ok_or(NotMoved::Fails)
    }

    fn paragraph(&self, command: &Command) -> Motion {
        let (line, count) = (self.cursor.line, command.times());
        if command.key == '{' {
            let found = previous_paragraph(&self.text, line, count);
            return found.map(|to| exclusive(to).jumping()).ok_or(NotMoved::Fails);
        }
        let to = next_paragraph(&self.text, line, count).ok_or(NotMoved::Fails)?;
        Ok(if to.column > 0 {
            inclusive(Position::new(to.line, last_char(self.text.line(to.line)))).jumping()
        } else {
            exclusive(to).jumping()
        })
    }

    fn sentence(&self, command: &Command) -> Motion {
        let find = if command.key == ')' { next_sentence } else { previous_sentence };
        let to = find(&self.text, self.cursor, command.times()).ok_or(NotMoved::Fails)?;
        let line = self.text.line(to.line);
        if to.column > 0 && to.column >= line.len() {
            return Ok(inclusive(Position::new(to.line, last_char(line))).jumping());
        }
        Ok(exclusive(to).jumping())
    }

    /// The place of a mark.
    pub(crate) fn mark(&self, name: char) -> Option<Position> {
        let visual = self.visual_area();
        match name {
            '`' | '\'' => Some(self.text.marks.get(&'\'').copied().unwrap_or_default()),
            '<' => visual.map(|(start, _)| start),
            '>' => visual.map(|(_, end)| end),
            other => self.text.marks.get(&other).copied(),
        }
    }

    /// The first and last place of the last selection.
    fn visual_area(&self) -> Option<(Position, Position)> {
        let (visual, cursor) = match &self.mode {
            Mode::Visual(visual) => (*visual, self.cursor),
            _ => self.last_visual?,
        };
        let (start, end) = (visual.start.min(cursor), visual.start.max(cursor));
        Some(match visual.kind {
            VisualKind::Lines => (Position::new(start.line, 0), Position::new(end.line, usize::MAX)),
            _ => (start, end),
        })
    }

    fn mark_motion(&mut self, command: &Command) -> Motion {
        let Some(place) = command.second.and_then(|name| self.mark(name)) else {
            "E20: Mark not set".clone_into(&mut self.message);
            return Err(NotMoved::Fails);
        };
        let place = self.text.clamp(place);
        let line = self.text.line(place.line);
        Ok(if command.key == '\'' {
            Moved { reach: Reach::Lines, ..exclusive(Position::new(place.line, first_nonblank(line))) }.jumping()
        } else {
            exclusive(Position::new(place.line, place.column.min(last_char(line)))).jumping()
        })
    }

    /// `[(`, `])` and the like.
    fn unmatched(&self, command: &Command) -> Motion {
        let pair = match (command.key, command.second) {
            ('[', Some('(')) | (']', Some(')')) => ('(', ')'),
            ('[', Some('{')) | (']', Some('}')) => ('{', '}'),
            _ => return Err(NotMoved::NoMotion),
        };
        let on_it = char_at(self.line(), self.cursor.column) == command.second;
        let found = enclosing(&self.text, self.cursor, pair, command.times() + usize::from(on_it));
        let (start, end) = found.ok_or(NotMoved::Fails)?;
        Ok(exclusive(if command.key == '[' { start } else { end }).jumping())
    }

    /// Puts the cursor where a motion has led.
    pub(crate) fn follow(&mut self, moved: Moved) {
        if moved.jumps && (moved.to.line != self.cursor.line || moved.reach != Reach::Lines) {
            self.remember_place();
        }
        self.cursor = moved.to;
        match moved.wanted {
            Wanted::Here => self.want_here(),
            Wanted::Kept => {}
            Wanted::End => self.wanted = usize::MAX,
        }
    }

    /// The place before a jump, for `` `` `` and `C-o`.
    pub(crate) fn remember_place(&mut self) {
        /// The most places.
        const MOST: usize = 100;
        let place = self.cursor;
        self.text.marks.insert('\'', place);
        self.jumps.retain(|other| other.line != place.line);
        self.jumps.push(place);
        if self.jumps.len() > MOST {
            self.jumps.remove(0);
        }
        self.jump = self.jumps.len();
    }

    /// `j` and `k` keep the column of the cursor from here on. On a tab that is its last one, where the cursor is seen.
    pub(crate) fn want_here(&mut self) {
        let (start, end) = span(self.line(), self.cursor.column, self.tabs());
        let on_tab = char_at(self.line(), self.cursor.column) == Some('\t') && !self.settings.list;
        let typing = matches!(self.mode, Mode::Insert(_));
        self.wanted = if on_tab && !typing { end - 1 } else { start };
    }

    /// The cursor stands on a character, not behind the last.
    pub(crate) fn settle(&mut self) {
        let place = self.text.clamp(self.cursor);
        self.cursor = Position::new(place.line, place.column.min(last_char(self.text.line(place.line))));
    }

    /// Whether a motion counts as large for registers, however little it deletes.
    pub(crate) fn is_large(command: &Command) -> bool {
        matches!(command.operator, Some(Operator::Delete | Operator::Change))
            && matches!(command.key, '%' | '(' | ')' | '`' | '/' | '?' | 'n' | 'N' | '{' | '}')
    }
}
