//! Pipelines of several commands (XCU 2.9.2).

use super::simple::Found;
use super::spawn::CapturePipes;
use crate::state::{Run, Shell};
use crate::syntax::{AndOr, Command, CommandKind, Item, List, Pipeline, RedirectOp, list_text, simple_text};
use crate::system::{Errno, Fd, Group};
use std::rc::Rc;

/// A stage of a pipeline: a process, or a status if there was nothing to start.
pub(super) enum Stage {
    Process(u32),
    Finished(i32),
}

impl Shell {
    #[inline(never)]
    pub(super) fn execute_stages(&mut self, commands: &[Rc<Command>]) -> Run {
        let mut stages = Vec::new();
        let mut pipes = CapturePipes::default();
        let mut input: Option<Fd> = None;
        let mut group = None;
        let monitor = self.is_on("monitor");
        let (last, others) = commands.split_last().unwrap_or_else(|| unreachable!("a pipeline has commands"));
        for command in others {
            let (read, write) = match self.system.pipe() {
                Ok(ends) => ends,
                Err(error) => {
                    self.report(&format!("pipe: {}", error.text));
                    self.status = 1;
                    return Ok(());
                }
            };
            let stage = self.start_stage(command, (input.take(), Some(write)), self.group_of(group), &mut pipes)?;
            if let (Stage::Process(process), None, true) = (&stage, group, monitor) {
                group = Some(*process);
            }
            stages.push(stage);
            input = Some(read);
        }
        let here = self.last_stage(last, input, group, &mut pipes)?;
        stages.push(here.stage);
        self.drain(pipes);
        let text = if monitor { pipeline_text(commands) } else { String::new() };
        let processes: Vec<Option<u32>> = stages
            .iter()
            .map(|stage| if let Stage::Process(process) = stage { Some(*process) } else { None })
            .collect();
        let mut statuses = self.wait_foreground(&processes, group, &text);
        for (status, stage) in statuses.iter_mut().zip(&stages) {
            if let Stage::Finished(finished) = stage {
                *status = *finished;
            }
        }
        self.status = statuses.last().copied().unwrap_or(0);
        if self.is_on("pipefail") {
            self.status = statuses.iter().rev().find(|status| **status != 0).copied().unwrap_or(0);
        }
        self.pipe_status = statuses;
        here.result
    }

    /// A subshell in a process of its own, in the foreground.
    #[inline(never)]
    pub(super) fn run_subshell(&mut self, list: &List) -> Run {
        let mut pipes = CapturePipes::default();
        let text = list_text(list);
        let outer = self.clone();
        let stage = self.start_shell(&text, self.group_of(None), false, &mut pipes);
        *self = outer;
        self.drain(pipes);
        self.status = match stage {
            Stage::Process(process) => {
                let group = self.is_on("monitor").then_some(process);
                self.wait_foreground(&[Some(process)], group, &format!("( {text} )"))[0]
            }
            Stage::Finished(status) => status,
        };
        Ok(())
    }

    pub(super) fn group_of(&self, group: Option<u32>) -> Group {
        match group {
            Some(group) => Group::Join(group),
            None if self.is_on("monitor") => Group::New,
            None => Group::Inherit,
        }
    }

    /// The last stage: the shell waits for it in any case, so that it may as well run within the shell.
    fn last_stage(
        &mut self,
        command: &Rc<Command>,
        input: Option<Fd>,
        group: Option<u32>,
        pipes: &mut CapturePipes,
    ) -> Run<LastStage> {
        let lastpipe = self.is_on("lastpipe") && !self.is_on("monitor");
        if !lastpipe && (self.is_program(command) || self.is_on("monitor")) {
            let stage = self.start_stage(command, (input, None), self.group_of(group), pipes)?;
            return Ok(LastStage { stage, result: Ok(()) });
        }
        if !self.debug_stage(command)? {
            return Ok(LastStage { stage: Stage::Finished(0), result: Ok(()) });
        }
        let saved = self.fds.remove(&0);
        self.fds.extend(input.map(|fd| (0, fd)));
        let mut result = Ok(());
        if lastpipe {
            result = self.execute_command(command);
        } else {
            let command = command.clone();
            self.in_subshell(|shell| shell.execute_command(&command));
        }
        self.tracing.debugged = false;
        self.fds.remove(&0);
        self.fds.extend(saved.map(|fd| (0, fd)));
        Ok(LastStage { stage: Stage::Finished(self.status), result })
    }

    /// Whether a command is a builtin that executes no other commands.
    fn is_plain_builtin(&self, command: &Command) -> bool {
        let CommandKind::Simple { words, .. } = &command.kind else { return false };
        let Some(name) = words.first().and_then(crate::syntax::Word::literal) else { return false };
        !["eval", ".", "source", "command", "builtin"].contains(&name)
            && matches!(self.find_command(name), Found::Builtin(_) | Found::Special(_))
    }

    /// DEBUG before a stage that is a simple command: the shell executes it, not the process of the stage.
    fn debug_stage(&mut self, command: &Command) -> Run<bool> {
        let CommandKind::Simple { assignments, words } = &command.kind else { return Ok(true) };
        if self.traps.is_empty() {
            return Ok(true);
        }
        self.line = command.line.max(1);
        let runs = self.debug_trap(|| simple_text(assignments, words, &command.redirects))?;
        self.tracing.debugged = true;
        Ok(runs)
    }

    /// Whether a command is a program by its first word, as far as that can be told before it is expanded.
    pub(super) fn is_program(&self, command: &Command) -> bool {
        let CommandKind::Simple { words, .. } = &command.kind else { return false };
        let Some(name) = words.first().and_then(crate::syntax::Word::literal) else { return false };
        !name.is_empty()
            && !name.contains(['*', '?', '[', '~', '{'])
            && matches!(self.find_command(name), Found::Program)
    }

    /// Starts a stage in a process of its own: a program, or a shell for everything else.
    pub(super) fn start_stage(
        &mut self,
        command: &Rc<Command>,
        (input, output): (Option<Fd>, Option<Fd>),
        group: Group,
        pipes: &mut CapturePipes,
    ) -> Run<Stage> {
        if !self.debug_stage(command)? {
            return Ok(Stage::Finished(0));
        }
        let outer = self.clone();
        self.fds.extend(input.map(|fd| (0, fd)));
        self.fds.extend(output.map(|fd| (1, fd)));
        let stage = if self.is_program(command) && !may_wait(command) {
            self.tracing.debugged = false;
            self.start_program(command, group, false, pipes)
        } else {
            let text = command_text(command);
            // The failure of a builtin counts in the shell, for the whole of the pipeline.
            self.unchecked += u32::from(self.is_plain_builtin(command));
            self.line = command.line.max(1);
            Ok(self.start_shell(&text, group, false, pipes))
        };
        let status = self.status;
        *self = outer;
        self.status = status;
        self.tracing.debugged = false;
        match stage {
            Ok(stage) => Ok(stage),
            // What stops a subshell ends only that.
            Err(_) => Ok(Stage::Finished(status)),
        }
    }

    pub(super) fn start_shell(
        &mut self,
        text: &str,
        group: Group,
        background: bool,
        pipes: &mut CapturePipes,
    ) -> Stage {
        match self.spawn_shell(text, group, background, pipes) {
            Ok(process) => Stage::Process(process),
            Err(error) => {
                self.report(&format!("subshell: {}", error.text));
                Stage::Finished(if error == Errno::ENOENT { 127 } else { 126 })
            }
        }
    }

    /// Expands a simple command that is a program, and starts it.
    pub(super) fn start_program(
        &mut self,
        command: &Command,
        group: Group,
        background: bool,
        pipes: &mut CapturePipes,
    ) -> Run<Stage> {
        let CommandKind::Simple { assignments, words } = &command.kind else { return Ok(Stage::Finished(0)) };
        self.line = command.line.max(1);
        let fields = self.command_fields(words)?;
        if self.redirect_all(&command.redirects)?.is_err() {
            return Ok(Stage::Finished(1));
        }
        if !assignments.is_empty() {
            self.start_assignments(assignments)?;
        }
        let words: Vec<String> = fields.iter().map(|field| crate::text::quote(field)).collect();
        self.trace_text(&words.join(" "));
        let Some(name) = fields.first() else { return Ok(Stage::Finished(0)) };
        let path = match self.find_program(name) {
            Ok(path) => path,
            Err((status, message)) => {
                self.report(&format!("{name}: {message}"));
                return Ok(Stage::Finished(status));
            }
        };
        Ok(match self.spawn_program(&path, &fields, group, background, pipes) {
            Ok(process) => Stage::Process(process),
            Err(error) => Stage::Finished(self.start_error(name, error)),
        })
    }
}

/// How the last stage went: what it was, and whether what follows is executed.
struct LastStage {
    stage: Stage,
    result: Run,
}

/// Whether opening the files of a command may wait, as that of a pipe with a name does: then it must not be the shell
/// that opens them.
pub(super) fn may_wait(command: &Command) -> bool {
    command.redirects.iter().any(|redirect| {
        let duplicates = matches!(redirect.op, RedirectOp::DupInput | RedirectOp::DupOutput);
        let here = matches!(redirect.op, RedirectOp::HereDoc { .. } | RedirectOp::HereString);
        !duplicates && !here && redirect.target.literal() != Some("/dev/null")
    })
}

/// A command as text.
pub(super) fn command_text(command: &Rc<Command>) -> String {
    pipeline_text(std::slice::from_ref(command))
}

fn pipeline_text(commands: &[Rc<Command>]) -> String {
    let first = Pipeline { negated: false, timed: None, commands: commands.to_vec() };
    let and_or = Rc::new(AndOr { first, rest: Vec::new() });
    list_text(&List { items: vec![Item { and_or, background: false }] })
}
