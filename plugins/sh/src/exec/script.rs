//! Text as it is read: each complete command is parsed, then executed, since it may change how the rest is read.

use crate::state::{Run, Shell, Stop};
use crate::syntax::{Parser, SyntaxError};

impl Shell {
    /// Executes everything that a parser gives. `whole`: it is the script itself, so that an error that ends a command
    /// ends only that.
    pub(crate) fn execute_parsed(&mut self, parser: &mut Parser, whole: bool) -> Run {
        if self.depth >= self.system.max_depth() {
            self.report(&format!("commands are nested more than {} deep", self.system.max_depth()));
            self.status = 2;
            return Err(Stop::Exit);
        }
        self.depth += 1;
        let result = self.execute_all(parser, whole);
        self.depth -= 1;
        result
    }

    fn execute_all(&mut self, parser: &mut Parser, whole: bool) -> Run {
        let mut executed = false;
        loop {
            let list = match parser.next_command(&self.parse_options()) {
                Ok(None) => {
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
                self.history.push(parser.command_text().trim_end().to_owned());
            }
            if self.is_on("noexec") && !self.interactive {
                continue;
            }
            executed |= !list.items.is_empty();
            match self.execute_list(&list) {
                Err(Stop::Discard) if whole => self.unchecked = 0,
                result => result?,
            }
            if whole {
                self.line = parser.line_number();
                if self.interactive {
                    self.tell_jobs();
                }
                if self.is_on("onecmd") {
                    return Err(Stop::Exit);
                }
            }
        }
    }

    /// Reports a syntax error: status 2.
    pub(crate) fn syntax_error(&mut self, error: &SyntaxError) {
        self.line = error.line;
        self.report(&error.message);
        self.status = 2;
    }
}
