//! The commands behind `:`.

mod address;
mod edit;
mod file;
mod global;
mod line;
mod substitute;

use line::{Line, Outcome, TAKES_BARS, command_name, split_bar};

use crate::editor::{Editor, Mode};

impl Editor {
    /// Carries out what was typed behind `:`: one command, or several with `|` between.
    pub(crate) fn ex_command(&mut self, line: &str) {
        /// How deep commands may call commands.
        const DEPTH: usize = 50;
        if self.ex_depth >= DEPTH {
            return self.report_error("E169: Command too recursive");
        }
        self.ex_depth += 1;
        let mut rest = line;
        loop {
            match self.one_command(rest) {
                Ok(Some(more)) => rest = more,
                Ok(None) => break,
                Err(message) => {
                    self.report_error(message);
                    break;
                }
            }
            if self.ended.is_some() || self.failed {
                break;
            }
        }
        self.ex_depth -= 1;
        if !matches!(self.mode, Mode::Insert(_) | Mode::Confirm(_) | Mode::Page) {
            self.settle();
        }
        if self.ex_depth == 0 && !self.page.is_empty() && matches!(self.mode, Mode::Normal | Mode::Visual(_)) {
            self.show_page();
        }
    }

    /// Shows the lines that commands have written. One alone is a message.
    fn show_page(&mut self) {
        if self.page.len() == 1 {
            self.message = self.page.remove(0);
            return;
        }
        self.mode = Mode::Page;
        self.screen.invalidate();
    }

    /// Carries out the first command of a line: what is left of it.
    fn one_command<'a>(&mut self, line: &'a str) -> Result<Option<&'a str>, String> {
        let line = line.trim_start_matches([' ', '\t', ':']);
        if line.starts_with('"') {
            return Ok(None);
        }
        let (range, rest) = self.range(line)?;
        let rest = rest.trim_start();
        let (name, after) = command_name(rest)?;
        let (bang, after) = match after.strip_prefix('!') {
            Some(after) if name != "!" && name != "global" => (true, after),
            Some(after) if name == "global" => (true, after),
            _ => (false, after),
        };
        let filters = matches!(name, "read" | "write") && after.trim_start().starts_with('!');
        let takes_bars = TAKES_BARS.contains(&name) || filters;
        let (argument, more) = if takes_bars {
            (after, None)
        } else if name == "substitute" {
            substitute::split_bar(after)
        } else {
            split_bar(after)
        };
        self.run_command(Line { range, name, bang, argument: argument.trim_start() })?;
        Ok(more)
    }

    fn run_command(&mut self, line: Line<'_>) -> Outcome {
        match line.name {
            "" => {
                if line.range.given > 0 {
                    self.remember_place();
                    self.go_to(line.range.last.max(1) - 1);
                }
                Ok(())
            }
            "substitute" | "&" | "~" => self.substitute(line),
            "global" | "vglobal" => self.global(line),
            "write" | "wq" | "xit" | "exit" | "quit" | "qall" | "wqall" | "xall" | "wall" | "edit" | "enew"
            | "read" | "file" | "next" | "previous" | "rewind" | "args" | "saveas" | "update" | "wnext" => {
                self.file_command(line)
            }
            "set" => self.set_options(line.argument),
            "!" => self.shell_command(line),
            "undo" => {
                self.take_back(1, true);
                Ok(())
            }
            "redo" => {
                self.take_back(1, false);
                Ok(())
            }
            "nohlsearch" => {
                self.search.shown = false;
                Ok(())
            }
            "stop" | "suspend" => {
                self.suspend();
                Ok(())
            }
            "version" | "help" => {
                self.page
                    .push(format!("vi (Whelk) {}: the keys and commands are those of Vim", env!("CARGO_PKG_VERSION")));
                Ok(())
            }
            "registers" | "display" => {
                self.list_registers();
                Ok(())
            }
            "marks" => {
                self.list_marks();
                Ok(())
            }
            _ => self.edit_command(line),
        }
    }

    fn set_options(&mut self, argument: &str) -> Outcome {
        if argument.is_empty() {
            return self.set_options("all");
        }
        for word in argument.split_whitespace() {
            let shown = self.settings.set(word)?;
            self.page.extend(shown.into_iter().flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()));
        }
        Ok(())
    }

    fn list_registers(&mut self) {
        self.page.push("Type Name Content".to_owned());
        let kind = |piece: &crate::text::Piece| match piece.shape {
            crate::text::Shape::Chars => 'c',
            crate::text::Shape::Lines => 'l',
            crate::text::Shape::Block(_) => 'b',
        };
        let lines: Vec<String> = self
            .registers
            .all()
            .map(|(name, piece)| {
                let text: String = piece.joined().replace('\n', "^J").chars().take(200).collect();
                format!("  {}  \"{name}   {text}", kind(piece))
            })
            .collect();
        self.page.extend(lines);
    }

    fn list_marks(&mut self) {
        self.page.push("mark line  col text".to_owned());
        for (name, place) in &self.text.marks {
            let text: String = self.text.line(place.line).chars().take(60).collect();
            self.page.push(format!(" {name} {:6} {:4} {text}", place.line + 1, place.column));
        }
    }
}
