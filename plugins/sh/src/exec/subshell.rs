//! Subshells that run within the shell: on a copy of its state, where the difference cannot be seen from outside.
//!
//! A subshell of its own (a process) is needed only where commands run at the same time: see `background.rs`.

use super::spawn::Capture;
use crate::state::{Run, Shell, Stop, TrapAction, stack};
use crate::syntax::{List, Parser, TextLines};
use crate::system::{Disposition, Fd};
use crate::text;
use std::rc::Rc;

impl Shell {
    /// Executes something in a subshell. `$?` is its status.
    #[inline(never)]
    pub(crate) fn in_subshell(&mut self, body: impl FnOnce(&mut Self) -> Run) {
        let outer = self.copied();
        self.become_subshell();
        self.in_place += 1;
        self.exec_last = false;
        let result = body(self);
        self.end_subshell(result);
        let (status, inner_traps, mask) = (self.status, std::mem::take(&mut self.traps), self.mask);
        let drains = std::mem::take(&mut self.drains);
        *self = *outer;
        self.status = status;
        self.drains = drains;
        if mask != self.mask {
            self.system.umask(Some(self.mask));
        }
        self.restore_dispositions(&inner_traps);
    }

    /// A copy on the heap: subshells nest.
    #[inline(never)]
    fn copied(&self) -> Box<Self> {
        Box::new(self.clone())
    }

    /// What is different in a subshell (XCU 2.12): traps are reset, and jobs are another's.
    pub(super) fn become_subshell(&mut self) {
        self.subshell += 1;
        let before = self.outer_traps.take().filter(|_| self.traps.is_empty());
        let traps = std::mem::take(&mut self.traps);
        self.outer_traps = Some(before.unwrap_or_else(|| traps.clone()));
        for (name, action) in traps {
            let kept = action == TrapAction::Ignore
                || name == "ERR" && self.is_on("errtrace")
                || (name == "DEBUG" || name == "RETURN") && self.is_on("functrace");
            if kept {
                self.traps.insert(name, action);
            }
        }
        self.jobs.list.clear();
        self.interactive = false;
        self.options.set("monitor", false);
        self.loops = 0;
    }

    /// The end of a subshell: its trap on EXIT.
    pub(super) fn end_subshell(&mut self, result: Run) {
        match result {
            Err(Stop::Discard) if self.status == 0 => self.status = 1,
            Err(Stop::Return) => self.take_returned(),
            _ => {}
        }
        self.run_exit_trap();
    }

    fn restore_dispositions(&mut self, inner: &std::collections::BTreeMap<String, TrapAction>) {
        for (_, signal) in crate::system::SIGNALS {
            let (before, now) = (inner.get(*signal), self.traps.get(*signal));
            if before != now {
                let how = match now {
                    None => self.disposition_without_trap(signal),
                    Some(TrapAction::Ignore) => Disposition::Ignore,
                    Some(TrapAction::Run(_)) => Disposition::Catch,
                };
                // What could be set before can be set back.
                let _ = self.system.set_disposition(signal, how);
            }
        }
    }

    /// The text of `$(..)`, without newlines at its end.
    pub(crate) fn command_substitution(&mut self, list: &List) -> Run<String> {
        if let Some(text) = self.file_text(list)? {
            return Ok(text);
        }
        self.captured(|shell| {
            if list.items.is_empty() {
                shell.status = 0;
            }
            shell.execute_list(list)
        })
    }

    pub(crate) fn backquote_substitution(&mut self, source: &str) -> Run<String> {
        let line = self.line;
        if source.trim_start().starts_with('<') {
            let mut lines = TextLines::new(source);
            let options = self.parse_options();
            let mut parser = Parser::new(&mut lines, line);
            if let Ok(Some(list)) = parser.next_command(&options)
                && matches!(parser.next_command(&options), Ok(None))
                && let Some(text) = self.file_text(&list)?
            {
                return Ok(text);
            }
        }
        let source = source.to_owned();
        self.captured(|shell| {
            // Text counts as one more level for `set -x`, as the substitution does already.
            shell.trace_level -= 1;
            shell.execute_text(&source, line)
        })
    }

    #[inline(never)]
    pub(crate) fn captured(&mut self, body: impl FnOnce(&mut Self) -> Run) -> Run<String> {
        if self.is_too_deep(0) {
            return Err(Stop::Discard);
        }
        self.stack += stack::SUBSHELL;
        let capture = Rc::new(Capture::default());
        let fd: Fd = capture.clone();
        let outer_drains = std::mem::take(&mut self.drains);
        self.trace_level += 1;
        self.in_subshell(|shell| {
            shell.fds.insert(1, fd.clone());
            if !shell.posix() && !shell.is_on("inherit_errexit") {
                shell.options.set("errexit", false);
            }
            body(shell)
        });
        for (capture, read) in std::mem::replace(&mut self.drains, outer_drains) {
            self.copy(&read, &capture);
        }
        self.trace_level -= 1;
        self.stack -= stack::SUBSHELL;
        self.substitution_status = Some(self.status);
        if self.with_user.as_ref().is_some_and(|with_user| with_user.abort.get()) {
            // What it is a part of is given up, too.
            return Err(crate::state::Stop::Discard);
        }
        let mut data = capture.take();
        while data.last() == Some(&b'\n') {
            data.pop();
        }
        if data.contains(&0) {
            data.retain(|byte| *byte != 0);
        }
        Ok(text::decode(&data))
    }

    /// `$(<file)`: its text. None: it is something else.
    fn file_text(&mut self, list: &List) -> Run<Option<String>> {
        let [item] = list.items.as_slice() else { return Ok(None) };
        let [command] = item.and_or.first.commands.as_slice() else { return Ok(None) };
        let crate::syntax::CommandKind::Simple { assignments, words } = &command.kind else { return Ok(None) };
        let [redirect] = command.redirects.as_slice() else { return Ok(None) };
        let reads = redirect.op == crate::syntax::RedirectOp::Input && redirect.fd == crate::syntax::FdRef::Default;
        if !reads || !words.is_empty() || !assignments.is_empty() || !item.and_or.rest.is_empty() {
            return Ok(None);
        }
        let redirects = command.redirects.clone();
        self.captured(|shell| {
            match shell.redirect_all(&redirects)? {
                Ok(_) => {
                    if let (Some(from), Some(to)) = (shell.fds.get(&0), shell.fds.get(&1)) {
                        shell.copy(from, to);
                    }
                    shell.status = 0;
                }
                Err(_) => shell.status = 1,
            }
            Ok(())
        })
        .map(Some)
    }

    /// Executes a text: of `eval`, of a trap, of backquotes.
    pub(crate) fn execute_text(&mut self, source: &str, first_line: u32) -> Run {
        let mut lines = TextLines::new(source);
        let mut parser = Parser::new(&mut lines, first_line);
        self.execute_parsed(&mut parser, false)
    }
}
