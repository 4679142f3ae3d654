//! Keys in the normal mode.

use unix_common::tty::Key;

use super::grammar::{Command, ESCAPE, Operator, Parsed, parse};
use super::movement::NotMoved;
use super::state::{Editor, Insertion, Mode, Repeat, Visual, VisualKind};
use crate::key;
use crate::text::{Piece, Position, Registers, Shape, first_nonblank, leading_blanks, next};

impl Editor {
    /// A key was pressed.
    pub fn press(&mut self, key: Key) {
        self.begin_command_budget();
        if !matches!(self.mode, Mode::Page) {
            self.record(key);
        }
        self.take(key);
        while self.goes_on()
            && let Some(key) = self.queue.pop_front()
        {
            self.take(key);
        }
    }

    /// Adds a key to the register that is being recorded, but for the `q` that ends it.
    fn record(&mut self, key: Key) {
        let ends = matches!(self.mode, Mode::Normal | Mode::Visual(_))
            && self.pending.is_empty()
            && key == Key::Character('q');
        if let Some((_, keys)) = self.recording.as_mut().filter(|_| !ends) {
            keys.push(key);
        }
    }

    /// Takes a key, as it is typed or comes from a register.
    pub(crate) fn take(&mut self, key: Key) {
        match &self.mode {
            Mode::Normal => self.normal_key(key),
            Mode::Insert(_) => self.insert_key(key),
            Mode::Visual(_) => self.visual_key(key),
            Mode::Prompt(_) => self.prompt_key(key),
            Mode::Confirm(_) => self.confirm_key(key),
            Mode::Page => self.page_key(key),
        }
        // Wherever a command has left it, the cursor is at the beginning of a character.
        self.cursor = self.text.clamp(self.cursor);
    }

    /// A key while a text is shown: `:` goes on with a command, others go back.
    fn page_key(&mut self, key: Key) {
        self.page.clear();
        self.mode = Mode::Normal;
        self.screen.invalidate();
        if !matches!(key, Key::Enter | Key::Character(' ') | Key::Escape) {
            self.record(key);
            self.normal_key(key);
        }
    }

    fn normal_key(&mut self, key: Key) {
        let Some(sign) = key::command(key) else { return };
        self.message.clear();
        if sign == 'q' && self.pending.is_empty() && self.end_recording() {
            return;
        }
        self.pending.push(sign);
        match parse(&self.pending, false) {
            Parsed::More => {}
            Parsed::Wrong => {
                let quiet = self.pending.ends_with(&[ESCAPE]);
                self.pending.clear();
                if !quiet {
                    self.fail();
                }
                self.resume_insertion();
            }
            Parsed::Whole(command) => {
                self.pending.clear();
                self.execute(&command);
                self.resume_insertion();
            }
        }
    }

    /// After the one command of `C-o`, typing goes on.
    pub(crate) fn resume_insertion(&mut self) {
        if matches!(self.mode, Mode::Normal) && self.pending.is_empty() {
            if let Some(mut insertion) = self.interrupted.take() {
                // Who typed at the end of the line goes on there.
                if insertion.behind == Some(self.cursor.line)
                    && next(self.line(), self.cursor.column) == self.line().len()
                {
                    self.cursor.column = self.line().len();
                }
                insertion.start = self.cursor;
                self.mode = Mode::Insert(insertion);
            } else {
                self.text.commit();
            }
        }
    }

    /// Carries a command out.
    pub(crate) fn execute(&mut self, command: &Command) {
        if command
            .register
            .is_some_and(|name| !Registers::is_writable(name) && !matches!(name, '%' | '#' | '/' | ':' | '.'))
        {
            return self.fail();
        }
        self.text.begin(self.cursor);
        if command.operator.is_some() {
            if matches!(command.key, '/' | '?') {
                return self.begin_search(command.key, Some(command.clone()));
            }
            self.apply(command);
            if !self.failed && !matches!(command.operator, Some(Operator::Yank | Operator::Filter)) {
                self.remember(command);
            }
        } else {
            match self.motion(command) {
                Ok(moved) => self.follow(moved),
                Err(NotMoved::Fails) => self.fail(),
                Err(NotMoved::NoMotion) => self.simple(command),
            }
        }
        if matches!(self.mode, Mode::Normal) && self.interrupted.is_none() {
            self.settle();
        }
    }

    /// Keeps a command for `.`.
    pub(crate) fn remember(&mut self, command: &Command) {
        if !self.repeating {
            self.repeat = Some(Repeat { command: command.clone(), keys: Vec::new(), selection: None });
        }
    }

    /// Commands that are neither motions nor operators.
    fn simple(&mut self, command: &Command) {
        match command.key {
            'i' | 'a' | 'I' | 'A' | 'o' | 'O' | 'R' => self.start_typing(command),
            'p' | 'P' => self.changed(command, |editor| editor.put(command, command.key == 'P', false)),
            'J' => self.changed(command, |editor| editor.join_here(command, true)),
            'r' => self.changed(command, |editor| editor.replace(command)),
            '~' => self.changed(command, |editor| editor.toggle(command)),
            '\x01' | '\x18' => self.changed(command, |editor| {
                let amount = i64::try_from(command.times()).unwrap_or(i64::MAX);
                editor.add(if command.key == '\x01' { amount } else { -amount });
            }),
            '&' => self.changed(command, |editor| editor.ex_command("s")),
            'u' => self.take_back(command.times(), true),
            '\x12' => self.take_back(command.times(), false),
            '.' => self.repeat(command),
            'v' | 'V' | '\x16' => self.begin_visual(command.key),
            ':' => self.begin_command(command.count),
            '/' | '?' => self.begin_search(command.key, Some(command.clone())),
            'm' => self.set_mark(command.second),
            'q' => self.toggle_recording(command.second),
            '@' => self.carry_out(command.second, command.times()),
            'Z' => match command.second {
                Some('Z') => self.ex_command("x"),
                Some('Q') => self.ex_command("q!"),
                _ => self.fail(),
            },
            'g' => self.simple_g(command),
            'z' | '\x04' | '\x05' | '\x06' | '\x02' | '\x15' | '\x19' => self.scroll_command(command),
            '\x0c' => self.screen.invalidate(),
            '\x07' => self.tell_file(),
            '\x0f' | '\t' => self.jump(command.key == '\t', command.times()),
            '\x1a' => self.suspend(),
            ESCAPE | '\x03' => {}
            _ => self.fail(),
        }
    }

    fn simple_g(&mut self, command: &Command) {
        match command.second {
            Some('p' | 'P') => self.changed(command, |editor| editor.put(command, command.second == Some('P'), true)),
            Some('J') => self.changed(command, |editor| editor.join_here(command, false)),
            Some('i') => {
                if let Some(place) = self.text.marks.get(&'^').copied() {
                    self.cursor = self.text.clamp(place);
                }
                self.start_typing(&Command { key: 'i', ..command.clone() });
            }
            Some('I') => self.start_typing(command),
            Some('v') => self.select_again(),
            Some('&') => self.changed(command, |editor| editor.ex_command("%s//~/&")),
            _ => self.fail(),
        }
    }

    fn changed(&mut self, command: &Command, how: impl FnOnce(&mut Self)) {
        how(self);
        if !self.failed {
            self.remember(command);
        }
    }

    /// `i`, `a`, `I`, `A`, `o`, `O`, `R`.
    fn start_typing(&mut self, command: &Command) {
        self.remember(command);
        let mut insertion = Insertion { count: command.times(), replace: command.key == 'R', ..Insertion::default() };
        let line = self.line();
        match command.key {
            'a' => self.cursor.column = next(line, self.cursor.column),
            'A' => self.cursor.column = line.len(),
            'I' => self.cursor.column = leading_blanks(line),
            'g' => self.cursor.column = 0,
            'o' | 'O' => {
                insertion.opens = true;
                insertion.indent_only = self.open_line(command.key == 'O');
            }
            _ => {}
        }
        self.begin_insertion(insertion);
    }

    /// Makes a new line below or above. Whether it has an indent.
    pub(crate) fn open_line(&mut self, above: bool) -> bool {
        let line = self.line();
        let indent = self.indent_like(line);
        let at = self.cursor.line + usize::from(!above);
        self.cursor = Position::new(at, indent.len());
        let indented = !indent.is_empty();
        self.text.splice(at, 0, vec![indent]);
        indented
    }

    /// `u` and `C-r`.
    pub(crate) fn take_back(&mut self, count: usize, undo: bool) {
        for _ in 0..count {
            if !self.goes_on() {
                return;
            }
            let place = if undo { self.text.undo() } else { self.text.redo() };
            let Some(place) = place else {
                let which = if undo { "Already at oldest change" } else { "Already at newest change" };
                return self.report_error(which);
            };
            self.cursor = self.text.clamp(place);
            self.settle();
            self.want_here();
        }
    }

    /// `.`
    fn repeat(&mut self, command: &Command) {
        let Some(mut last) = self.repeat.clone() else { return self.fail() };
        if command.count.is_some() {
            last.command.count = command.count;
        }
        if let Some(repeat) = &mut self.repeat {
            repeat.command.count = last.command.count;
        }
        // Deleted texts come back one after the other: `"1p...`.
        if let (Some(number @ '1'..='8'), 'p' | 'P') = (last.command.register, last.command.key) {
            last.command.register = char::from_u32(u32::from(number) + 1);
            if let Some(repeat) = &mut self.repeat {
                repeat.command.register = last.command.register;
            }
        }
        self.repeating = true;
        match last.selection {
            Some(selection) => self.repeat_selection(&last.command, selection),
            None => self.execute(&last.command),
        }
        if matches!(self.mode, Mode::Insert(_)) {
            for key in last.keys {
                self.insert_key(key);
            }
            self.insert_key(Key::Escape);
        }
        self.repeating = false;
    }

    fn set_mark(&mut self, name: Option<char>) {
        match name {
            Some('`' | '\'') => self.remember_place(),
            Some(name) if name.is_ascii_alphabetic() => {
                self.text.marks.insert(name, self.cursor);
            }
            _ => self.fail(),
        }
    }

    fn toggle_recording(&mut self, name: Option<char>) {
        match name {
            Some(name) if name.is_ascii_alphanumeric() || name == '"' => self.recording = Some((name, Vec::new())),
            _ => self.fail(),
        }
    }

    /// Ends a recording. False if there is none.
    pub(crate) fn end_recording(&mut self) -> bool {
        let Some((name, keys)) = self.recording.take() else { return false };
        let text: String = keys.into_iter().filter_map(key::to_char).collect();
        let lines = text.split('\n').map(str::to_owned).collect();
        self.registers.copy(Some(name), Piece { lines, shape: Shape::Chars });
        true
    }

    /// `@`: the keys of a register.
    fn carry_out(&mut self, name: Option<char>, count: usize) {
        let name = if name == Some('@') { self.executed } else { name };
        if name == Some(':') {
            self.executed = name;
            let line = self.prompts.get(&':').and_then(|lines| lines.last()).cloned();
            return match line {
                Some(line) => {
                    for _ in 0..count {
                        if self.failed || self.ended.is_some() || !self.spend(1) || !self.goes_on() {
                            return;
                        }
                        self.ex_command(&line);
                    }
                }
                None => self.report_error("E30: No previous command line"),
            };
        }
        let Some(piece) = name.and_then(|name| self.register(Some(name))) else {
            return self.report_error("E748: No previously used register");
        };
        self.executed = name;
        let keys: Vec<_> = piece.joined().chars().map(key::from_char).collect();
        if keys.is_empty() || !self.spend(keys.len().saturating_mul(count)) {
            return;
        }
        for _ in 0..count {
            for key in keys.iter().rev() {
                self.queue.push_front(*key);
            }
        }
    }

    fn jump(&mut self, forward: bool, count: usize) {
        if !forward && self.jump == self.jumps.len() {
            let at = self.jumps.len();
            self.remember_place();
            self.jump = at.min(self.jumps.len() - 1);
        }
        let to = if forward { self.jump.checked_add(count) } else { self.jump.checked_sub(count) };
        let Some((to, place)) = to.and_then(|to| Some((to, *self.jumps.get(to)?))) else { return self.fail() };
        self.jump = to;
        self.cursor = self.text.clamp(place);
        self.want_here();
    }

    pub(crate) fn suspend(&mut self) {
        if let Err(message) = self.system.suspend() {
            self.report_error(message);
        }
        self.screen.invalidate();
    }

    fn begin_visual(&mut self, key: char) {
        let kind = match key {
            'v' => VisualKind::Chars,
            'V' => VisualKind::Lines,
            _ => VisualKind::Block,
        };
        self.mode = Mode::Visual(Visual { kind, start: self.cursor, to_end: false });
    }

    /// Goes to a line, at its first character that is no blank.
    pub(crate) fn go_to(&mut self, line: usize) {
        let line = line.min(self.text.last());
        self.cursor = Position::new(line, first_nonblank(self.text.line(line)));
        self.want_here();
    }

    /// Ends what keys have begun and not ended, as Escape does.
    pub(crate) fn leave_unfinished(&mut self) {
        self.pending.clear();
        while !matches!(self.mode, Mode::Normal) {
            self.take(Key::Escape);
        }
    }
}
