//! Lists, and-or lists, single commands, and `set -e`.

use super::redirect::Saved;
use crate::state::{Run, Shell, Stop, stack};
use crate::syntax::{AndOr, Command, CommandKind, List, Pipeline, Redirect};

impl Shell {
    pub(crate) fn execute_list(&mut self, list: &List) -> Run {
        self.stack += stack::LIST;
        let result = list.items.iter().try_for_each(|item| {
            if item.background { self.background(&item.and_or) } else { self.execute_and_or(&item.and_or) }
        });
        self.stack -= stack::LIST;
        result
    }

    /// Executes where `set -e` does nothing: a condition.
    pub(super) fn execute_unchecked(&mut self, list: &List) -> Run {
        self.unchecked += 1;
        let result = self.execute_list(list);
        self.unchecked -= 1;
        result
    }

    pub(crate) fn execute_and_or(&mut self, and_or: &AndOr) -> Run {
        self.execute_pipeline(&and_or.first, and_or.rest.is_empty())?;
        for (at, (and, pipeline)) in and_or.rest.iter().enumerate() {
            if (self.status == 0) == *and {
                self.execute_pipeline(pipeline, at + 1 == and_or.rest.len())?;
            }
        }
        Ok(())
    }

    /// `last`: the last of its and-or list, whose failure counts for `set -e`.
    fn execute_pipeline(&mut self, pipeline: &Pipeline, last: bool) -> Run {
        let unchecked = u32::from(!last || pipeline.negated);
        self.unchecked += unchecked;
        let result = match pipeline.commands.as_slice() {
            [command] if pipeline.timed.is_none() => self.execute_only(command, pipeline.negated),
            _ => self.execute_several(pipeline),
        };
        self.unchecked -= unchecked;
        result?;
        if pipeline.negated {
            self.status = i32::from(self.status == 0);
        } else if self.status != 0 && last {
            self.failed(pipeline)?;
        }
        Ok(())
    }

    /// The only command of a pipeline.
    fn execute_only(&mut self, command: &Command, negated: bool) -> Run {
        let result = self.execute_command(command);
        let status = match &command.kind {
            CommandKind::Simple { .. } | CommandKind::Subshell(_) => self.status,
            // Of these bash counts what `!` makes of it.
            CommandKind::Arith(_) | CommandKind::Test(_) if negated => i32::from(self.status == 0),
            CommandKind::Arith(_) | CommandKind::Test(_) => self.status,
            // Compound commands leave what their last pipeline was.
            _ => return result,
        };
        self.pipe_status.clear();
        self.pipe_status.push(status);
        result
    }

    /// A pipeline of none or several commands, or one with `time`.
    #[inline(never)]
    fn execute_several(&mut self, pipeline: &Pipeline) -> Run {
        self.stack += stack::PIPELINE;
        let result = match pipeline.timed {
            Some(posix) => self.timed(pipeline, posix),
            None => self.untimed(pipeline),
        };
        self.stack -= stack::PIPELINE;
        result?;
        self.run_pending_traps()
    }

    fn untimed(&mut self, pipeline: &Pipeline) -> Run {
        match pipeline.commands.as_slice() {
            [] => {
                self.status = 0;
                Ok(())
            }
            [command] => self.execute_only(command, pipeline.negated),
            commands => self.execute_stages(commands),
        }
    }

    /// `time`.
    #[inline(never)]
    fn timed(&mut self, pipeline: &Pipeline, posix: bool) -> Run {
        let (start, before) = (self.system.now(), self.system.times());
        let result = self.untimed(pipeline);
        let after = self.system.times();
        let real = self.system.now().saturating_sub(start);
        let user = (after[0] + after[2]).saturating_sub(before[0] + before[2]);
        let system = (after[1] + after[3]).saturating_sub(before[1] + before[3]);
        let format = self.text_of("TIMEFORMAT");
        let text = match format {
            Some(format) if !posix => time_text(&format, [real, user, system]),
            _ if posix => format!(
                "real {:.2}\nuser {:.2}\nsys {:.2}",
                real.as_secs_f64(),
                user.as_secs_f64(),
                system.as_secs_f64()
            ),
            _ => time_text("\nreal\t%3lR\nuser\t%3lU\nsys\t%3lS", [real, user, system]),
        };
        if !text.is_empty() {
            self.say(&text);
        }
        result
    }

    /// A pipeline has failed: the trap of ERR, and `set -e`.
    #[inline(never)]
    fn failed(&mut self, pipeline: &Pipeline) -> Run {
        if self.unchecked > 0 || !can_fail(pipeline) {
            return Ok(());
        }
        self.run_named_trap("ERR")?;
        if self.is_on("errexit") { Err(Stop::Exit) } else { Ok(()) }
    }

    pub(crate) fn execute_command(&mut self, command: &Command) -> Run {
        if self.is_too_deep(command.line) {
            return Err(Stop::Discard);
        }
        self.stack += stack::COMMAND;
        let result = match &command.kind {
            CommandKind::Simple { assignments, words } => {
                self.enter_line(command);
                self.execute_simple(assignments, words, &command.redirects)
            }
            CommandKind::Group(list) if command.redirects.is_empty() => {
                self.enter_line(command);
                self.execute_list(list)
            }
            _ => {
                self.stack += stack::COMPOUND;
                let result = self.execute_other(command);
                self.stack -= stack::COMPOUND;
                result
            }
        };
        self.stack -= stack::COMMAND;
        result?;
        self.run_pending_traps()
    }

    fn enter_line(&mut self, command: &Command) {
        if command.line > 0 {
            self.line = command.line;
        }
    }

    /// Whether commands are nested as deeply as the stack allows, which is reported: `$?` is 1.
    pub(crate) fn is_too_deep(&mut self, line: u32) -> bool {
        let is_full = self.stack >= self.system.stack();
        if is_full {
            self.report_depth(line);
        }
        is_full
    }

    #[cold]
    #[inline(never)]
    fn report_depth(&mut self, line: u32) {
        if line > 0 {
            self.line = line;
        }
        let calls = self.frames.iter().filter(|frame| frame.is_function).count();
        match self.frames.iter().rev().find(|frame| frame.is_function) {
            Some(frame) => {
                self.report(&format!("{}: commands are nested too deep, in {calls} calls of functions", frame.name));
            }
            None => self.report("commands are nested too deep"),
        }
        self.status = 1;
    }

    #[inline(never)]
    fn execute_other(&mut self, command: &Command) -> Run {
        self.enter_line(command);
        match &command.kind {
            CommandKind::Function { name, body } => self.define_function(name, body),
            kind if command.redirects.is_empty() => self.execute_compound(kind),
            kind => {
                let Some(saved) = self.redirect_compound(&command.redirects)? else { return Ok(()) };
                let result = self.execute_compound(kind);
                self.restore(saved);
                result
            }
        }
    }

    /// Performs the redirections of a compound command. None: one has failed.
    #[inline(never)]
    fn redirect_compound(&mut self, redirects: &[Redirect]) -> Run<Option<Saved>> {
        match self.redirect_all(redirects)? {
            Ok(saved) => Ok(Some(saved)),
            Err(saved) => {
                self.restore(saved);
                self.status = 1;
                Ok(None)
            }
        }
    }
}

/// Whether the failure of a pipeline counts by itself, and not by the command in it that failed.
fn can_fail(pipeline: &Pipeline) -> bool {
    let [command] = pipeline.commands.as_slice() else { return true };
    let kind = &command.kind;
    matches!(kind, CommandKind::Simple { .. } | CommandKind::Subshell(_) | CommandKind::Arith(_) | CommandKind::Test(_))
        || !command.redirects.is_empty()
}

/// `TIMEFORMAT` with its times: real, user and system.
fn time_text(format: &str, times: [std::time::Duration; 3]) -> String {
    let mut text = String::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        text.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        let places = digits.parse::<usize>().unwrap_or(3).min(6);
        let after = &rest[digits.len()..];
        let long = after.starts_with('l');
        let after = after.strip_prefix('l').unwrap_or(after);
        let time = match after.chars().next() {
            Some('R') => times[0],
            Some('U') => times[1],
            Some('S') => times[2],
            Some('P') => {
                let share =
                    if times[0].is_zero() { 0.0 } else { (times[1] + times[2]).as_secs_f64() / times[0].as_secs_f64() };
                text.push_str(&format!("{:.2}", share * 100.0));
                rest = &after[1..];
                continue;
            }
            other => {
                text.push('%');
                rest = if other == Some('%') { &rest[1..] } else { rest };
                continue;
            }
        };
        rest = &after[1..];
        if long {
            let minutes = time.as_secs() / 60;
            #[expect(clippy::cast_precision_loss, reason = "a time in minutes")]
            let seconds = time.as_secs_f64() - (minutes * 60) as f64;
            text.push_str(&format!("{minutes}m{seconds:.places$}s"));
        } else {
            text.push_str(&format!("{:.places$}", time.as_secs_f64()));
        }
    }
    text + rest
}
