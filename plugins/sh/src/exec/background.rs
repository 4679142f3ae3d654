//! Commands that run beside the shell: `&`, process substitution, `coproc`.

use super::pipeline::{Stage, command_text, may_wait};
use super::spawn::CapturePipes;
use crate::state::{Run, Shell, Value};
use crate::syntax::{AndOr, Command, Item, List, list_text};
use crate::system::{Group, OpenHow};
use std::rc::Rc;

impl Shell {
    /// `list &`.
    #[inline(never)]
    pub(super) fn background(&mut self, and_or: &Rc<AndOr>) -> Run {
        let monitor = self.is_on("monitor");
        let group = if monitor { Group::New } else { Group::Inherit };
        let text = list_text(&List { items: vec![Item { and_or: and_or.clone(), background: false }] });
        let mut pipes = CapturePipes::default();
        let outer = self.clone();
        if !monitor && let Ok(null) = self.system.open("/dev/null", OpenHow { read: true, ..OpenHow::default() }) {
            self.fds.insert(0, null);
        }
        let single = match and_or.first.commands.as_slice() {
            [command] if and_or.rest.is_empty() && !and_or.first.negated && and_or.first.timed.is_none() => {
                Some(command)
            }
            _ => None,
        };
        let stage = match single {
            Some(command) if self.is_program(command) && !may_wait(command) => {
                self.start_program(command, group, true, &mut pipes)
            }
            _ => Ok(self.start_shell(&text, group, true, &mut pipes)),
        };
        let status = self.status;
        let drains = std::mem::take(&mut self.drains);
        *self = outer;
        self.drains = drains;
        self.drain_later(pipes);
        let process = match stage {
            Ok(Stage::Process(process)) => process,
            Ok(Stage::Finished(status)) => self.finished_process(status),
            Err(_) => self.finished_process(status),
        };
        self.last_background = Some(process);
        if self.jobs.ended.iter().all(|(ended, _)| *ended != process) {
            let number = self.jobs.add(&[process], monitor.then_some(process), text);
            if self.interactive {
                self.say(&format!("[{number}] {process}"));
            }
        }
        self.status = 0;
        Ok(())
    }

    /// A number for a command in the background that ended before it was a process, so that `wait` can ask for it.
    fn finished_process(&mut self, status: i32) -> u32 {
        // No process has such a number.
        let number = u32::MAX - u32::try_from(self.jobs.ended.len()).unwrap_or(0);
        self.jobs.ended.push((number, status));
        number
    }

    /// `<(list)` and `>(list)`: the path of the descriptor that leads to it.
    #[inline(never)]
    pub(crate) fn substitute_process(&mut self, list: &Rc<List>, output: bool) -> Run<String> {
        let (read, write) = match self.system.pipe() {
            Ok(ends) => ends,
            Err(error) => return Err(self.expansion_error(&format!("process substitution: {}", error.text))),
        };
        let (own, others, number) = if output { (write, read, 0) } else { (read, write, 1) };
        let outer = self.clone();
        self.fds.insert(number, others);
        let mut pipes = CapturePipes::default();
        let stage = self.start_shell(&list_text(list), Group::Inherit, false, &mut pipes);
        *self = outer;
        self.drain_later(pipes);
        if let Stage::Process(process) = stage {
            self.last_background = Some(process);
            self.jobs.add(&[process], None, list_text(list));
            if let Some(job) = self.jobs.list.last_mut() {
                job.disowned = true;
            }
        }
        let number = (11..1024).rev().find(|number| *number < 64 && !self.fds.contains_key(number)).unwrap_or(1023);
        self.fds.insert(number, own);
        self.substitutions.push(number);
        Ok(format!("/dev/fd/{number}"))
    }

    /// The descriptors of the process substitutions of a command: they are closed after it.
    pub(super) fn fds_of_substitutions(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.substitutions)
    }

    pub(super) fn close_substitutions(&mut self, numbers: &[u32]) {
        for number in numbers {
            self.fds.remove(number);
        }
    }

    /// `coproc`: a command with pipes from and to the shell.
    pub(super) fn execute_coproc(&mut self, name: &str, body: &Rc<Command>) -> Run {
        let ends = self.system.pipe().and_then(|to| Ok((to, self.system.pipe()?)));
        let ((its_input, to), (from, its_output)) = match ends {
            Ok(ends) => ends,
            Err(error) => {
                self.report(&format!("coproc: {}", error.text));
                self.status = 1;
                return Ok(());
            }
        };
        let outer = self.clone();
        self.fds.insert(0, its_input);
        self.fds.insert(1, its_output);
        let mut pipes = CapturePipes::default();
        let stage = self.start_shell(&command_text(body), Group::Inherit, true, &mut pipes);
        *self = outer;
        self.drain_later(pipes);
        let Stage::Process(process) = stage else {
            self.status = 1;
            return Ok(());
        };
        let reads = self.free_number();
        self.fds.insert(reads, from);
        let writes = self.free_number();
        self.fds.insert(writes, to);
        let value = Value::Indexed([(0, reads.to_string()), (1, writes.to_string())].into());
        self.set_array(name, value).map_err(|message| self.assignment_error(&message))?;
        self.set_text(&format!("{name}_PID"), process.to_string());
        self.last_background = Some(process);
        self.jobs.add(&[process], None, format!("coproc {}", command_text(body)));
        self.status = 0;
        Ok(())
    }
}
