//! Text as it is read: each complete command is parsed, then executed, since it may change how the rest is read.

use crate::builtins::edit_and_execute;
use crate::state::{Run, Shell, Stop, stack};
use crate::syntax::{List, Parser, SyntaxError};

impl Shell {
    /// Executes everything that a parser gives. `whole`: it is the script itself, so that an error that ends a command
    /// ends only that.
    pub(crate) fn execute_parsed(&mut self, parser: &mut Parser, whole: bool) -> Run {
        if self.is_too_deep(0) {
            return Err(Stop::Discard);
        }
        self.stack += stack::TEXT;
        self.trace_level += usize::from(!whole);
        let result = self.execute_all(parser, whole);
        self.trace_level -= usize::from(!whole);
        self.stack -= stack::TEXT;
        result
    }

    fn execute_all(&mut self, parser: &mut Parser, whole: bool) -> Run {
        let mut executed = false;
        loop {
            if whole && self.interactive {
                self.before_line();
            }
            let read = parser.next_command(&self.parse_options());
            if whole && self.gave_up_line(parser)? {
                continue;
            }
            let list = match read {
                Ok(None) => {
                    if whole && self.stays_for_jobs() {
                        parser.drop_rest();
                        continue;
                    }
                    if !executed {
                        self.status = 0;
                    }
                    return Ok(());
                }
                Ok(Some(list)) => list,
                Err(error) => {
                    self.syntax_error(&error);
                    if whole && self.interactive {
                        parser.drop_rest();
                        continue;
                    }
                    let ends = whole || self.posix();
                    return Err(if ends { Stop::Exit } else { Stop::Discard });
                }
            };
            if whole && self.is_on("history") && !list.items.is_empty() {
                self.remember(parser.command_text().trim_end());
            }
            if self.is_on("noexec") && !self.interactive {
                continue;
            }
            executed |= !list.items.is_empty();
            if whole && self.interactive {
                self.before_command();
            }
            match self.execute_or_edit(&list, whole) {
                Err(Stop::Discard) if whole => self.unchecked = 0,
                result => result?,
            }
            if whole {
                self.line = parser.line_number();
                if self.interactive {
                    self.after_line();
                }
                if self.is_on("onecmd") {
                    return Err(Stop::Exit);
                }
            }
        }
    }

    /// Executes a command, or what becomes of the line that the user wants to edit elsewhere.
    fn execute_or_edit(&mut self, list: &List, whole: bool) -> Run {
        let to_edit = self.with_user.as_ref().filter(|_| whole).and_then(|with_user| with_user.to_edit.take());
        match to_edit {
            Some(text) => edit_and_execute(self, &text),
            None => self.execute_list(list),
        }
    }

    /// Whether the user gave up the line that was read. Executes the traps of the signals that arrived meanwhile.
    fn gave_up_line(&mut self, parser: &mut Parser) -> Run<bool> {
        if !self.was_interrupted() {
            return Ok(false);
        }
        parser.drop_rest();
        match self.run_pending_traps() {
            Err(Stop::Discard) => {}
            result => result?,
        }
        self.status = 130;
        Ok(true)
    }

    /// Reports a syntax error: status 2.
    pub(crate) fn syntax_error(&mut self, error: &SyntaxError) {
        self.line = error.line;
        self.report(&error.message);
        self.status = 2;
    }
}
