//! Searches, and `:s` that asks.

use unix_common::tty::Key;

use super::grammar::{Command, Operator};
use super::movement::{Moved, NotMoved, Reach, Wanted};
use super::state::{Editor, Mode};
use crate::key;
use crate::pattern::Pattern;
use crate::replacement::Substitution;
use crate::text::{Position, char_at, class, first_nonblank, last_char, next, previous};

/// A place that was found, and whether the search went over an end of the text.
type Found = Option<(Position, bool)>;

impl Editor {
    /// Sets the pattern of the last search. An empty one keeps it.
    pub(crate) fn set_pattern(&mut self, text: &str) -> Result<(), String> {
        if !text.is_empty() {
            text.clone_into(&mut self.search.text);
        }
        if self.search.text.is_empty() {
            return Err("E35: No previous regular expression".to_owned());
        }
        self.compile()
    }

    fn compile(&mut self) -> Result<(), String> {
        let ignores = self.settings.ignores_case(&self.search.text);
        self.search.pattern = None;
        self.search.pattern = Some(Pattern::new(&self.search.text, ignores)?);
        self.search.shown = true;
        Ok(())
    }

    /// The next match behind a place.
    pub(crate) fn find_forward(&self, from: Position) -> Found {
        let pattern = self.search.pattern.as_ref()?;
        let line = self.text.line(from.line);
        let after = next(line, from.column);
        let at = |line: usize, place: (usize, usize)| Position::new(line, place.0.min(last_char(self.text.line(line))));
        // A match at the end of the line is on its last character.
        if let Some(found) = pattern.find_at(line, after)
            && found.0 - usize::from(found.0 == line.len() && found.0 > 0) >= after
        {
            return Some((at(from.line, found), false));
        }
        for number in from.line + 1..self.text.len() {
            if let Some(found) = pattern.find_at(self.text.line(number), 0) {
                return Some((at(number, found), false));
            }
        }
        if !self.settings.wrapscan {
            return None;
        }
        (0..=from.line).find_map(|number| Some((at(number, pattern.find_at(self.text.line(number), 0)?), true)))
    }

    /// The last match before a place.
    pub(crate) fn find_backward(&self, from: Position) -> Found {
        let pattern = self.search.pattern.as_ref()?;
        let last_before = |number: usize, limit: usize| {
            let line = self.text.line(number);
            let mut best = None;
            let mut at = 0;
            while let Some((start, end)) = pattern.find_at(line, at) {
                let start = if line.is_empty() { 0 } else { start.min(last_char(line)) };
                if start >= limit {
                    break;
                }
                best = Some(Position::new(number, start));
                at = if end > at && end > start { next(line, start).max(start + 1) } else { next(line, at.max(start)) };
                if at >= line.len() {
                    break;
                }
            }
            best
        };
        if let Some(found) = last_before(from.line, from.column) {
            return Some((found, false));
        }
        let before = (0..from.line).rev().find_map(|number| last_before(number, usize::MAX));
        if let Some(found) = before {
            return Some((found, false));
        }
        if !self.settings.wrapscan {
            return None;
        }
        (from.line..self.text.len()).rev().find_map(|number| last_before(number, usize::MAX)).map(|found| (found, true))
    }

    /// Searches with the last pattern, `count` times.
    fn search_from(&mut self, backward: bool, count: usize) -> Result<Moved, NotMoved> {
        if let Err(message) = self.set_pattern("") {
            self.message = message;
            return Err(NotMoved::Fails);
        }
        let mut place = self.cursor;
        let lines = self.search.offset.starts_with(['+', '-'])
            || self.search.offset.starts_with(|sign: char| sign.is_ascii_digit());
        // Where the matches begin again, the rest of a large count goes round and round.
        let (mut first, mut left, mut done) = (None, count, 0);
        while left > 0 {
            if !self.goes_on() {
                return Err(NotMoved::Fails);
            }
            if lines {
                place.column = if backward { 0 } else { last_char(self.text.line(place.line)) };
            }
            let found = if backward { self.find_backward(place) } else { self.find_forward(place) };
            let Some((found, wrapped)) = found else {
                let text = &self.search.text;
                self.message = match (self.settings.wrapscan, backward) {
                    (true, _) => format!("E486: Pattern not found: {text}"),
                    (false, true) => format!("E384: Search hit TOP without match for: {text}"),
                    (false, false) => format!("E385: Search hit BOTTOM without match for: {text}"),
                };
                return Err(NotMoved::Fails);
            };
            place = found;
            (left, done) = (left - 1, done + 1);
            match first {
                None => first = Some((place, done)),
                Some((again, at)) if again == place => left %= done - at,
                Some(_) => {}
            }
            if wrapped {
                let (from, to) = if backward { ("TOP", "BOTTOM") } else { ("BOTTOM", "TOP") };
                self.message = format!("search hit {from}, continuing at {to}");
            }
        }
        Ok(self.with_offset(place))
    }

    /// Where the offset of a search leads from its match: `/x/e`, `/x/+1`.
    fn with_offset(&self, place: Position) -> Moved {
        let exclusive = Moved { to: place, reach: Reach::Exclusive, wanted: Wanted::Here, jumps: true };
        let offset = self.search.offset.as_str();
        let number = |text: &str| match text {
            "" => 0,
            "+" => 1,
            "-" => -1,
            text => text.parse::<isize>().unwrap_or(0),
        };
        let line = self.text.line(place.line);
        match offset.chars().next() {
            None => exclusive,
            Some('e') => {
                let pattern = self.search.pattern.as_ref();
                let end = pattern
                    .and_then(|pattern| pattern.find_at(line, place.column))
                    .map_or(place.column, |found| found.1);
                let column = previous(line, end).unwrap_or(0).saturating_add_signed(number(&offset[1..]));
                let to = Position::new(place.line, column.min(last_char(line)));
                Moved { to, reach: Reach::Inclusive, ..exclusive }
            }
            Some('s' | 'b') => {
                let column = place.column.saturating_add_signed(number(&offset[1..])).min(last_char(line));
                Moved { to: Position::new(place.line, column), ..exclusive }
            }
            Some(_) => {
                let line = place.line.saturating_add_signed(number(offset)).min(self.text.last());
                let to = Position::new(line, first_nonblank(self.text.line(line)));
                Moved { to, reach: Reach::Lines, ..exclusive }
            }
        }
    }

    /// `n` and `N`.
    pub(crate) fn search_again(&mut self, command: &Command) -> Result<Moved, NotMoved> {
        let backward = self.search.backward != (command.key == 'N');
        self.search_from(backward, command.times())
    }

    /// `*`, `#`, `g*` and `g#`: the word at the cursor or behind it.
    pub(crate) fn search_word(&mut self, command: &Command) -> Result<Moved, NotMoved> {
        let sign = command.second.unwrap_or(command.key);
        let (line, at) = (self.line(), self.cursor.column);
        let kind_at = |place: usize| class(char_at(line, place), false);
        let places: Vec<usize> = line[at..].char_indices().map(|(offset, _)| at + offset).collect();
        let word = places.iter().copied().find(|place| kind_at(*place) > 1);
        let Some(found) = word.or_else(|| places.iter().copied().find(|place| kind_at(*place) == 1)) else {
            "E348: No string under cursor".clone_into(&mut self.message);
            return Err(NotMoved::Fails);
        };
        let kind = kind_at(found);
        let mut start = found;
        while let Some(before) = previous(line, start).filter(|before| kind_at(*before) == kind) {
            start = before;
        }
        let end = start
            + line[start..]
                .char_indices()
                .find(|(offset, _)| kind_at(start + offset) != kind)
                .map_or(line.len() - start, |(offset, _)| offset);
        let text: String = line[start..end]
            .chars()
            .flat_map(|letter| {
                if matches!(letter, '\\' | '/' | '.' | '*' | '[' | ']' | '^' | '$' | '~') {
                    vec!['\\', letter]
                } else {
                    vec![letter]
                }
            })
            .collect();
        let text = if kind > 1 && command.second.is_none() { format!("\\<{text}\\>") } else { text };
        self.add_to_history('/', &text);
        (self.search.backward, self.search.text) = (sign == '#', text);
        self.search.offset.clear();
        self.cursor.column = start;
        self.search_from(sign == '#', command.times())
    }

    /// Carries out what was typed behind `/` or `?`.
    pub(crate) fn search_for(&mut self, sign: char, typed: &str, command: Option<Command>) {
        let (text, offset) = split_offset(typed, sign);
        self.search.backward = sign == '?';
        offset.clone_into(&mut self.search.offset);
        if let Err(message) = self.set_pattern(&text) {
            return self.report_error(message);
        }
        let command = Command { key: 'n', second: None, ..command.unwrap_or_default() };
        if command.operator.is_some() {
            self.text.begin(self.cursor);
            self.apply(&command);
            if !self.failed && command.operator != Some(Operator::Yank) {
                self.remember(&command);
            }
            return;
        }
        match self.motion(&command) {
            Ok(moved) => {
                if self.message.is_empty() {
                    self.message = format!("{sign}{typed}");
                }
                self.follow(moved);
            }
            Err(_) => self.fail(),
        }
    }

    /// Asks about the next match, or ends.
    pub(crate) fn ask_next(&mut self, mut substitution: Box<Substitution>) {
        while substitution.line <= substitution.last {
            let line = self.text.line(substitution.line);
            let from = substitution.column;
            let groups = (from <= line.len()).then(|| substitution.pattern.groups_at(line, from)).flatten();
            if let Some((start, _)) = groups.as_ref().and_then(|groups| groups[0]) {
                self.cursor = Position::new(substitution.line, start.min(last_char(line)));
                substitution.current = groups;
                self.mode = Mode::Confirm(substitution);
                return;
            }
            substitution.line += 1;
            substitution.column = 0;
        }
        self.end_substitution(&substitution);
    }

    pub(crate) fn end_substitution(&mut self, substitution: &Substitution) {
        self.mode = Mode::Normal;
        if let Some(line) = substitution.place {
            self.go_to(line);
            if substitution.count > 2 {
                let (count, lines) = (substitution.count, substitution.lines);
                self.message = format!("{count} substitutions on {lines} line{}", if lines == 1 { "" } else { "s" });
            }
        }
        self.settle();
        self.text.commit();
    }

    /// A key as the answer to `replace with … (y/n/a/q/l)?`.
    pub(crate) fn confirm_key(&mut self, key: Key) {
        let Mode::Confirm(mut substitution) = std::mem::take(&mut self.mode) else { return };
        match key::to_char(key) {
            Some('y') => {
                self.replace_current(&mut substitution);
                self.ask_next(substitution);
            }
            Some('n') => {
                self.skip_current(&mut substitution);
                self.ask_next(substitution);
            }
            Some('l') => {
                self.replace_current(&mut substitution);
                self.end_substitution(&substitution);
            }
            Some('a') => {
                while substitution.current.is_some() {
                    self.replace_current(&mut substitution);
                    self.ask_next(substitution);
                    let Mode::Confirm(next) = std::mem::take(&mut self.mode) else { return };
                    substitution = next;
                }
            }
            Some('q' | '\x1b' | '\x03') => self.end_substitution(&substitution),
            _ => self.mode = Mode::Confirm(substitution),
        }
    }

    fn skip_current(&self, substitution: &mut Substitution) {
        let line = self.text.line(substitution.line);
        let Some((start, end)) = substitution.current.take().and_then(|groups| groups[0]) else { return };
        if substitution.all {
            substitution.column = if end > start { end } else { next(line, start).max(start + 1) };
        } else {
            substitution.line += 1;
            substitution.column = 0;
        }
    }

    fn replace_current(&mut self, substitution: &mut Substitution) {
        let Some(groups) = substitution.current.take() else { return };
        let Some((start, end)) = groups[0] else { return };
        let line = self.text.line(substitution.line);
        let new = substitution.template.expand(line, &groups);
        let lines: Vec<String> = new.split('\n').map(str::to_owned).collect();
        let at = Position::new(substitution.line, start);
        self.text.remove(at, Position::new(at.line, end));
        let after = self.text.insert(at, &lines);
        substitution.count += 1;
        if substitution.place != Some(substitution.line) {
            substitution.lines += 1;
        }
        substitution.last += lines.len() - 1;
        (substitution.line, substitution.column) = (after.line, after.column);
        substitution.place = Some(after.line);
        if start == end {
            substitution.column = next(self.text.line(after.line), after.column).max(after.column + 1);
        }
        if !substitution.all {
            (substitution.line, substitution.column) = (after.line + 1, 0);
        }
    }
}

/// Parts a pattern from the offset behind it.
fn split_offset(typed: &str, sign: char) -> (String, &str) {
    let mut text = String::new();
    let mut rest = typed.char_indices();
    let mut within = false;
    while let Some((at, letter)) = rest.next() {
        match letter {
            '\\' => match rest.next() {
                Some((_, escaped)) if escaped == sign => text.push(escaped),
                Some((_, escaped)) => text.extend(['\\', escaped]),
                None => text.push('\\'),
            },
            '[' if typed[at..].contains(']') => {
                within = true;
                text.push('[');
            }
            ']' => {
                within = false;
                text.push(']');
            }
            letter if letter == sign && !within => return (text, &typed[at + letter.len_utf8()..]),
            letter => text.push(letter),
        }
    }
    (text, "")
}
