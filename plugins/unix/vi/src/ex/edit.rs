//! Commands that change the text.

use std::collections::VecDeque;

use unix_common::tty::Key;

use super::line::{Line, Outcome};
use crate::editor::{Area, Editor, Mode, Operator};
use crate::key;
use crate::text::{Piece, Position, Registers, Shape};

impl Editor {
    pub(super) fn edit_command(&mut self, line: Line<'_>) -> Outcome {
        let (first, last) = line.range.lines();
        match line.name {
            "delete" | "yank" => return self.delete_or_yank(line),
            "put" => return self.put_lines(line),
            "join" => {
                let last = if line.range.given < 2 { first + 1 } else { last.max(first + 1) };
                let last = match line.argument.parse::<usize>() {
                    Ok(count) => last.max(first + 1).saturating_add(count.max(2) - 2),
                    Err(_) => last,
                };
                self.join(first, last.min(self.text.last()), !line.bang);
                self.go_to(first);
            }
            "move" | "copy" | "t" => return self.move_lines(line),
            ">" | "<" => self.shift_lines(line),
            "k" | "mark" => {
                let name = line.argument.chars().next().filter(char::is_ascii_alphabetic);
                let name = name.ok_or("E191: Argument must be a letter or forward/backward quote")?;
                self.text.marks.insert(name, Position::new(last, 0));
            }
            "=" => {
                let line = if line.range.given == 0 { self.text.len() } else { line.range.last };
                self.page.push(line.to_string());
            }
            "print" | "number" | "list" => self.print(line),
            "normal" => self.type_keys(line),
            "@" => self.run_register(line)?,
            "sort" => self.sort(line)?,
            "retab" => self.retab(line),
            "append" | "insert" | "change" => {
                return Err(format!("E492: Not supported here: :{}; use a, O or c", line.name));
            }
            _ => return Err(format!("E492: Not an editor command: {}", line.name)),
        }
        Ok(())
    }

    /// `:d` and `:y`, with a register and a count.
    fn delete_or_yank(&mut self, line: Line<'_>) -> Outcome {
        let (mut first, mut last) = line.range.lines();
        let mut rest = line.argument;
        let mut register = None;
        if let Some(name) = rest.chars().next().filter(|sign| !sign.is_ascii_digit()) {
            if !Registers::is_writable(name) {
                return Err(format!("E488: Trailing characters: {rest}"));
            }
            register = Some(name);
            rest = rest[name.len_utf8()..].trim_start();
        }
        if !rest.is_empty() {
            let count: usize = rest.parse().map_err(|_| format!("E488: Trailing characters: {rest}"))?;
            first = last;
            last = first.saturating_add(count.max(1) - 1).min(self.text.last());
        }
        let piece = Piece { lines: self.text.copied(first, last + 1), shape: Shape::Lines };
        let count = piece.lines.len();
        if line.name == "yank" {
            self.registers.copy(register, piece);
            self.tell_lines(count, "yanked");
        } else {
            self.registers.delete(register, piece, true);
            self.text.splice(first, last - first + 1, vec![]);
            self.go_to(first);
            self.tell_lines(count, "deleted");
        }
        Ok(())
    }

    fn put_lines(&mut self, line: Line<'_>) -> Outcome {
        let name = line.argument.chars().next();
        let piece = self.register(name).ok_or_else(|| format!("E353: Nothing in register {}", name.unwrap_or('"')))?;
        let at = if line.bang { line.range.last.max(1) - 1 } else { line.range.last };
        let count = piece.lines.len();
        self.text.splice(at, 0, piece.lines);
        self.go_to(at + count - 1);
        Ok(())
    }

    /// `:m`, `:t` and `:co`.
    fn move_lines(&mut self, line: Line<'_>) -> Outcome {
        let (first, last) = line.range.lines();
        let (to, rest) = self.range(line.argument)?;
        if to.given == 0 || !rest.trim().is_empty() {
            return Err("E14: Invalid address".to_owned());
        }
        let lines = self.text.copied(first, last + 1);
        let count = lines.len();
        let to = to.last;
        if line.name != "move" {
            self.text.splice(to, 0, lines);
            self.go_to(to + count - 1);
            return Ok(());
        }
        if to > first && to <= last {
            return Err("E134: Cannot move a range of lines into itself".to_owned());
        }
        if to == first || to == last + 1 {
            self.go_to(last);
            return Ok(());
        }
        if to > last {
            self.text.splice(to, 0, lines);
            self.text.splice(first, count, vec![]);
            self.go_to(to - 1);
        } else {
            self.text.splice(first, count, vec![]);
            self.text.splice(to, 0, lines);
            self.go_to(to + count - 1);
        }
        Ok(())
    }

    fn shift_lines(&mut self, line: Line<'_>) {
        let (mut first, mut last) = line.range.lines();
        let signs = line.argument.bytes().take_while(|byte| line.name.as_bytes() == [*byte]).count();
        if let Ok(count) = line.argument[signs..].trim().parse::<usize>() {
            first = last;
            last = first.saturating_add(count.max(1) - 1).min(self.text.last());
        }
        let operator = if line.name == ">" { Operator::Right } else { Operator::Left };
        self.shift(operator, Area::Lines(first, last), signs + 1);
        self.go_to(last);
    }

    /// `:p`, `:nu` and `:l`: shows lines.
    fn print(&mut self, line: Line<'_>) {
        let (first, last) = line.range.lines();
        for at in first..=last {
            let content = self.text.line(at);
            self.page.push(match line.name {
                "number" => format!("{:3} {content}", at + 1),
                "list" => format!(
                    "{}$",
                    content
                        .chars()
                        .map(|sign| crate::columns::escape(sign).unwrap_or(sign.to_string()))
                        .collect::<String>()
                ),
                _ => content.to_owned(),
            });
        }
        self.go_to(last);
    }

    /// `:norm`: keys of the normal mode, for each line of a range.
    fn type_keys(&mut self, line: Line<'_>) {
        let (first, last) = line.range.lines();
        let keys: Vec<Key> = line.argument.chars().map(key::from_char).collect();
        let kept = std::mem::take(&mut self.queue);
        let whole = line.range.given > 0;
        // Each line has the budget of a key, unless all of it is a part of a register.
        let outermost = self.spent == 0;
        for at in first..=last.min(self.text.last()) {
            if whole {
                self.cursor = Position::new(at, 0);
                self.want_here();
            }
            self.mode = Mode::Normal;
            self.failed = false;
            self.queue = keys.iter().copied().collect();
            while self.goes_on()
                && let Some(key) = self.queue.pop_front()
            {
                self.take(key);
            }
            let message = self.message.clone();
            self.leave_unfinished();
            if self.stopped {
                self.message = message;
                break;
            }
            if outermost {
                self.spent = 0;
            }
        }
        self.failed = self.stopped;
        self.queue = if self.stopped { VecDeque::new() } else { kept };
    }

    fn run_register(&mut self, line: Line<'_>) -> Outcome {
        let name = line.argument.chars().next().filter(|name| *name != '@').or(self.executed);
        let piece = name.and_then(|name| self.register(Some(name))).ok_or("E748: No previously used register")?;
        self.executed = name;
        if !self.spend(piece.lines.len()) {
            return Ok(());
        }
        for command in piece.lines {
            if self.failed || self.ended.is_some() || !self.goes_on() {
                break;
            }
            self.ex_command(&command);
        }
        Ok(())
    }

    /// `:sort`, with the flags `n`, `i`, `u`, and `!` for the reverse order.
    fn sort(&mut self, line: Line<'_>) -> Outcome {
        let (first, last) = if line.range.given == 0 { (0, self.text.last()) } else { line.range.lines() };
        let flags = line.argument.trim();
        if let Some(wrong) = flags.chars().find(|flag| !" niu".contains(*flag)) {
            return Err(format!("E474: Invalid argument: {wrong}"));
        }
        let number = |line: &str| {
            let digits = line.find(|sign: char| sign.is_ascii_digit())?;
            let start = if line[..digits].ends_with('-') { digits - 1 } else { digits };
            let end = line[digits..].find(|sign: char| !sign.is_ascii_digit()).map_or(line.len(), |end| digits + end);
            line[start..end].parse::<i64>().ok()
        };
        let mut lines = self.text.copied(first, last + 1);
        let folded = |line: &String| if flags.contains('i') { line.to_lowercase() } else { line.clone() };
        if flags.contains('n') {
            lines.sort_by_key(|line| number(line));
        } else {
            lines.sort_by_cached_key(folded);
        }
        if line.bang {
            lines.reverse();
        }
        if flags.contains('u') {
            lines.dedup_by_key(|line| folded(line));
        }
        self.text.splice(first, last - first + 1, lines);
        self.go_to(first);
        Ok(())
    }

    /// `:retab`: blanks as `expandtab` and `tabstop` say.
    fn retab(&mut self, line: Line<'_>) {
        let (first, last) = if line.range.given == 0 { (0, self.text.last()) } else { line.range.lines() };
        for at in first..=last {
            let content = self.text.line(at);
            if !content.contains('\t') {
                continue;
            }
            let (mut new, mut column, mut rest) = (String::new(), 0, content);
            while let Some(sign) = rest.chars().next() {
                let blanks = &rest[..crate::text::leading_blanks(rest)];
                if blanks.contains('\t') {
                    let end =
                        blanks.chars().fold(column, |at, blank| at + crate::columns::width(blank, at, self.tabs()));
                    new.push_str(&self.blanks(column, end));
                    (column, rest) = (end, &rest[blanks.len()..]);
                } else {
                    new.push(sign);
                    column += crate::columns::width(sign, column, self.tabs());
                    rest = &rest[sign.len_utf8()..];
                }
            }
            self.text.edit(at, |content| *content = new);
        }
        self.cursor.column = self.wanted_in(self.cursor.line);
    }
}
