//! Traps, and the changes of jobs.

use crate::state::{JobState, Run, Shell, Stop, TrapAction};

impl Shell {
    /// Executes the traps of the signals that have arrived.
    #[inline(never)]
    pub(crate) fn run_pending_traps(&mut self) -> Run {
        let with_user = self.with_user.clone();
        if with_user.as_ref().is_some_and(|with_user| with_user.abort.get()) {
            return Err(Stop::Discard);
        }
        let traps = self.traps.values().any(|action| matches!(action, TrapAction::Run(_)));
        if self.in_place > 0 && !traps && with_user.is_none() {
            // The process is another's: it is for the shell that this one is a subshell of.
            return Ok(());
        }
        while let Some(signal) = self.next_signal() {
            match self.traps.get(signal).cloned() {
                Some(TrapAction::Run(text)) => {
                    let line = std::mem::replace(&mut self.line, 1);
                    let result = self.run_trap(&text);
                    self.line = line;
                    result?;
                }
                Some(TrapAction::Ignore) => {}
                None if signal == "INT"
                    && let Some(with_user) = &with_user =>
                {
                    // Up to the line that the user entered.
                    with_user.abort.set(true);
                    self.status = 130;
                    self.say("");
                    return Err(Stop::Discard);
                }
                None if signal == "CHLD" || self.interactive => {}
                // Caught for the shell that this one is a subshell of.
                None if self.subshell > 0 => {
                    self.status = 128 + crate::system::signal_number(signal).unwrap_or(0);
                    return Err(Stop::Exit);
                }
                None => {}
            }
        }
        Ok(())
    }

    /// Forgets a SIGINT that gave up a line, unless there is a trap for it.
    pub(crate) fn forget_interrupt(&mut self) {
        if let Some(with_user) = self.with_user.as_ref().filter(|_| !self.traps.contains_key("INT")) {
            with_user.signals.borrow_mut().retain(|signal| *signal != "INT");
        }
    }

    /// The oldest caught signal: those that arrived while a line was read are older than what the system has.
    fn next_signal(&self) -> Option<&'static str> {
        let before = self.with_user.as_ref().and_then(|with_user| {
            let mut signals = with_user.signals.borrow_mut();
            (!signals.is_empty()).then(|| signals.remove(0))
        });
        before.or_else(|| self.system.next_signal())
    }

    /// Executes the text of a trap. `$?` is afterwards what it was before. Gives the status of the trap.
    #[inline(never)]
    pub(crate) fn run_trap(&mut self, text: &str) -> Run<i32> {
        let (status, outer, line) = (self.status, self.trap_status, self.line);
        let pipe_status = self.pipe_status.clone();
        self.trap_status = Some(status);
        self.in_trap += 1;
        let frames = std::mem::replace(&mut self.tracing.frames, self.frames.len());
        let result = self.execute_trap_text(text, status);
        self.tracing.frames = frames;
        self.in_trap -= 1;
        self.trap_status = outer;
        self.pipe_status = pipe_status;
        self.line = line;
        match result {
            Ok(()) | Err(Stop::Discard) => Ok(std::mem::replace(&mut self.status, status)),
            Err(stop) => Err(stop),
        }
    }

    /// Executes the trap on DEBUG, ERR or RETURN, unless it is being executed.
    pub(super) fn run_named_trap(&mut self, name: &'static str) -> Run<i32> {
        let Some(TrapAction::Run(text)) = self.traps.get(name).cloned() else { return Ok(0) };
        if self.tracing.running.contains(&name) {
            return Ok(0);
        }
        self.tracing.running.push(name);
        let result = self.run_trap(&text);
        self.tracing.running.pop();
        result
    }

    fn execute_trap_text(&mut self, text: &str, status: i32) -> Run {
        let mut lines = crate::syntax::TextLines::new(text);
        let mut parser = crate::syntax::Parser::new(&mut lines, self.line);
        self.status = status;
        self.execute_parsed(&mut parser, false)
    }

    /// The trap on DEBUG, before a command. False: the command is not executed, since the trap failed under `extdebug`.
    pub(super) fn debug_trap(&mut self, text: impl FnOnce() -> String) -> Run<bool> {
        if self.traps.is_empty() || !self.traps.contains_key("DEBUG") || self.tracing.running.contains(&"DEBUG") {
            return Ok(true);
        }
        if self.in_trap == 0 {
            self.command_text = text();
        }
        let status = self.run_named_trap("DEBUG")?;
        if !self.is_on("extdebug") || status == 0 {
            return Ok(true);
        }
        if status == 2 && !self.frames.is_empty() {
            self.returned = Some(2);
            return Err(Stop::Return);
        }
        self.status = 0;
        Ok(false)
    }

    /// The trap on EXIT, once.
    pub(crate) fn run_exit_trap(&mut self) {
        let Some(TrapAction::Run(text)) = self.traps.remove("EXIT") else { return };
        let status = self.status;
        let outer = self.trap_status.replace(status);
        self.in_trap += 1;
        self.loops = 0;
        self.line = 1;
        if let Err(Stop::Exit) = self.execute_trap_text(&text, status) {
            // `exit` in the trap decides.
        } else {
            self.status = status;
        }
        self.in_trap -= 1;
        self.trap_status = outer;
    }

    /// The trap on RETURN, at the end of a function or a sourced script. `$?` is then the status of `return`.
    pub(crate) fn return_trap(&mut self, result: Run) -> Run {
        let returned = self.returned.take();
        self.run_named_trap("RETURN")?;
        self.status = returned.unwrap_or(self.status);
        result
    }

    /// `$?` is that of the last `return`.
    pub(crate) fn take_returned(&mut self) {
        self.status = self.returned.take().unwrap_or(self.status);
    }

    /// Looks which jobs have changed, without waiting.
    pub(crate) fn update_jobs(&mut self) {
        loop {
            let live = self.jobs.live();
            if live.is_empty() {
                return;
            }
            match self.system.wait(&live, false, false) {
                Ok(Some((process, change))) => self.jobs.note(process, &change),
                _ => return,
            }
        }
    }

    /// Tells the user which jobs have changed, and forgets those that are done.
    pub(crate) fn tell_jobs(&mut self) {
        self.update_jobs();
        let jobs = self.jobs.list.clone();
        for job in jobs.iter().filter(|job| !job.told) {
            let state = job.state();
            if !job.disowned && state != JobState::Running {
                let line = self.job_line(job, false);
                self.say(&line);
            }
            match state {
                JobState::Done(_) | JobState::Killed(_) => self.jobs.remove(job.number),
                _ => {
                    if let Some(job) = self.jobs.get_mut(job.number) {
                        job.told = true;
                    }
                }
            }
        }
    }
}
