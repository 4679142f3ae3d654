//! Lists, and-or lists, single commands, and `set -e`.

use crate::state::{Run, Shell, Stop};
use crate::syntax::{AndOr, Command, CommandKind, List, Pipeline};

impl Shell {
    pub(crate) fn execute_list(&mut self, list: &List) -> Run {
        for item in &list.items {
            if item.background {
                self.background(&item.and_or)?;
            } else {
                self.execute_and_or(&item.and_or)?;
            }
        }
        Ok(())
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
    #[inline(never)]
    fn execute_pipeline(&mut self, pipeline: &Pipeline, last: bool) -> Run {
        let unchecked = u32::from(!last || pipeline.negated);
        self.unchecked += unchecked;
        let result = match pipeline.timed {
            Some(posix) => self.timed(pipeline, posix),
            None => self.untimed(pipeline),
        };
        self.unchecked -= unchecked;
        result?;
        if pipeline.negated {
            self.status = i32::from(self.status == 0);
        } else if self.status != 0 && last && can_fail(pipeline) {
            self.failed()?;
        }
        Ok(())
    }

    fn untimed(&mut self, pipeline: &Pipeline) -> Run {
        match pipeline.commands.as_slice() {
            [] => {
                self.status = 0;
                Ok(())
            }
            [command] => {
                let result = self.execute_command(command);
                let status = match &command.kind {
                    CommandKind::Simple { .. } | CommandKind::Subshell(_) => self.status,
                    // Of these bash counts what `!` makes of it.
                    CommandKind::Arith(_) | CommandKind::Test(_) if pipeline.negated => i32::from(self.status == 0),
                    CommandKind::Arith(_) | CommandKind::Test(_) => self.status,
                    // Compound commands leave what their last pipeline was.
                    _ => return result,
                };
                self.pipe_status.clear();
                self.pipe_status.push(status);
                result
            }
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

    /// A command has failed: the trap of ERR, and `set -e`.
    #[inline(never)]
    fn failed(&mut self) -> Run {
        if self.unchecked > 0 {
            return Ok(());
        }
        self.run_named_trap("ERR")?;
        if self.is_on("errexit") { Err(Stop::Exit) } else { Ok(()) }
    }

    pub(crate) fn execute_command(&mut self, command: &Command) -> Run {
        if self.depth >= self.system.max_depth() {
            self.line = command.line;
            self.report(&format!("commands are nested more than {} deep", self.system.max_depth()));
            self.status = 2;
            return Err(if self.interactive { Stop::Discard } else { Stop::Exit });
        }
        self.depth += 1;
        let result = self.execute_here(command);
        self.depth -= 1;
        result?;
        self.run_pending_traps()
    }

    #[inline(never)]
    fn execute_here(&mut self, command: &Command) -> Run {
        if command.line > 0 {
            self.line = command.line;
        }
        match &command.kind {
            CommandKind::Simple { assignments, words } => self.execute_simple(assignments, words, &command.redirects),
            CommandKind::Function { name, body } => self.define_function(name, body),
            kind if command.redirects.is_empty() => self.execute_compound(kind),
            kind => {
                let saved = match self.redirect_all(&command.redirects)? {
                    Ok(saved) => saved,
                    Err(saved) => {
                        self.restore(saved);
                        self.status = 1;
                        return Ok(());
                    }
                };
                let result = self.execute_compound(kind);
                self.restore(saved);
                result
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
