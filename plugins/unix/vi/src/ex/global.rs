//! `:g` and `:v`.

use super::line::{Line, Outcome};
use crate::editor::{Editor, Mode};
use crate::pattern::Pattern;
use crate::text::Tracked;

impl Editor {
    pub(crate) fn global(&mut self, line: Line<'_>) -> Outcome {
        if self.ex_depth > 1 && !self.text.tracked.is_empty() {
            return Err("E147: Cannot do :global recursive".to_owned());
        }
        let inverse = line.bang || line.name == "vglobal";
        let Some(delimiter) = line.argument.chars().next().filter(|sign| !sign.is_alphanumeric()) else {
            return Err("E148: Regular expression missing from global".to_owned());
        };
        let (pattern, command) = super::address::delimited(&line.argument[delimiter.len_utf8()..], delimiter);
        self.set_pattern(&pattern)?;
        let text = self.search.text.clone();
        let pattern = Pattern::new(&text, self.settings.ignores_case(&text))?;
        let (first, last) = if line.range.given == 0 { (0, self.text.last()) } else { line.range.lines() };
        let lines: Vec<usize> = (first..=last).filter(|at| pattern.is_match(self.text.line(*at)) != inverse).collect();
        if lines.is_empty() {
            return Err(if inverse {
                format!("E538: Pattern found in every line: {text}")
            } else {
                format!("E486: Pattern not found: {text}")
            });
        }
        let command = if command.is_empty() { "p" } else { command };
        if matches!(command.trim(), "d" | "delete") {
            self.delete_lines(&lines);
            return Ok(());
        }
        self.each_line(&lines, command);
        Ok(())
    }

    /// Removes many lines at once.
    fn delete_lines(&mut self, lines: &[usize]) {
        let (Some(first), Some(last)) = (lines.first().copied(), lines.last().copied()) else { return };
        let mut gone = lines.iter().copied().peekable();
        let (mut kept, mut deleted) = (Vec::new(), String::new());
        for at in first..=last {
            if gone.next_if_eq(&at).is_some() {
                self.text.line(at).clone_into(&mut deleted);
            } else {
                kept.push(self.text.line(at).to_owned());
            }
        }
        let shape = crate::text::Shape::Lines;
        self.registers.delete(None, crate::text::Piece { lines: vec![deleted], shape }, true);
        let to = first + kept.len();
        self.text.splice(first, last - first + 1, kept);
        self.go_to(to);
        self.tell_lines(lines.len(), "deleted");
    }

    /// Carries a command out for lines, wherever they are by then.
    fn each_line(&mut self, lines: &[usize], command: &str) {
        self.text.tracked = Tracked::new(lines);
        while self.goes_on()
            && let Some(line) = self.text.tracked.take_first()
        {
            self.cursor = crate::text::Position::new(line.min(self.text.last()), 0);
            self.ex_command(command);
            if self.ended.is_some() || self.failed {
                break;
            }
            if !matches!(self.mode, Mode::Normal | Mode::Visual(_)) {
                break;
            }
        }
        self.text.tracked = Tracked::default();
    }
}
