//! Programs: finding and starting them, and waiting for them in the foreground.

mod capture;

pub(super) use capture::{Capture, CapturePipes};

use crate::state::{Run, Shell, Stop, TrapAction, stack, status_of};
use crate::syntax::function_text;
use crate::system::{Change, Errno, FileKind, Group, Request};
use crate::text::quote_escaped;
use std::rc::Rc;

impl Shell {
    /// Runs a program in the foreground. `$?` is its status.
    #[inline(never)]
    pub(crate) fn run_program(&mut self, fields: &[String]) -> Run {
        let path = match self.find_program(&fields[0]) {
            Ok(path) => path,
            Err((status, message)) => {
                if status == 127
                    && let Some(handler) = self.functions.get("command_not_found_handle").cloned()
                {
                    self.stack += stack::BUILTIN;
                    let arguments = Rc::new(fields.to_vec());
                    let result = self.call_function("command_not_found_handle", &handler, &arguments);
                    self.stack -= stack::BUILTIN;
                    return result;
                }
                let name = &fields[0];
                let shown = if name.contains(char::is_control) { quote_escaped(name) } else { name.clone() };
                self.report(&format!("{shown}: {message}"));
                self.status = status;
                return Ok(());
            }
        };
        if self.exec_last && self.traps.is_empty() {
            return self.become_program(&path, fields);
        }
        let mut pipes = CapturePipes::default();
        let monitor = self.is_on("monitor");
        let group = if monitor { Group::New } else { Group::Inherit };
        match self.spawn_program(&path, fields, group, false, &mut pipes) {
            Ok(process) => {
                self.drain(pipes);
                let text = fields.join(" ");
                let statuses = self.wait_foreground(&[Some(process)], monitor.then_some(process), &text);
                self.status = statuses.last().copied().unwrap_or(0);
            }
            Err(error) => self.status = self.start_error(&fields[0], error),
        }
        Ok(())
    }

    /// Reports that a program could not be started, and gives the status.
    pub(super) fn start_error(&mut self, name: &str, error: Errno) -> i32 {
        if error == Errno::EINTR && self.with_user.is_some() {
            // The user gave it up.
            return 130;
        }
        self.report(&format!("{name}: {}", error.text));
        if error == Errno::ENOENT { 127 } else { 126 }
    }

    /// The program takes the place of the shell. Within a subshell that is none of its own process, it runs and the
    /// subshell ends.
    pub(crate) fn become_program(&mut self, path: &str, fields: &[String]) -> Run {
        if self.in_place > 0 {
            let mut pipes = CapturePipes::default();
            match self.spawn_program(path, fields, Group::Inherit, false, &mut pipes) {
                Ok(process) => {
                    self.drain(pipes);
                    let statuses = self.wait_foreground(&[Some(process)], None, "");
                    self.status = statuses[0];
                }
                Err(error) => self.status = self.start_error(&fields[0], error),
            }
            self.traps.remove("EXIT");
            return Err(Stop::Exit);
        }
        let mut env = self.variables.environment();
        self.export_functions(&mut env);
        let fds = self.fds.iter().map(|(number, fd)| (*number, fd.clone())).collect();
        let mut request = Request {
            program: path,
            argv: fields,
            env: &env,
            cwd: &self.cwd,
            fds,
            group: Group::Inherit,
            foreground: false,
            ignored: self.ignored_signals(false),
        };
        let mut error = self.system.exec(&request);
        if error == Errno::ENOEXEC {
            let own = self.own_program();
            let argv: Vec<String> =
                [own.clone(), path.to_owned()].into_iter().chain(fields[1..].iter().cloned()).collect();
            request.program = &own;
            request.argv = &argv;
            error = self.system.exec(&request);
        }
        self.status = self.start_error(&fields[0], error);
        Err(Stop::Exit)
    }

    fn own_program(&self) -> String {
        self.system.own_program()
    }

    fn environment(&self, path: &str) -> Vec<(String, String)> {
        let mut env = self.variables.environment();
        env.retain(|(name, _)| name != "_");
        env.push(("_".to_owned(), path.to_owned()));
        self.export_functions(&mut env);
        env
    }

    /// Functions in the environment, as bash passes them on.
    fn export_functions(&self, env: &mut Vec<(String, String)>) {
        for name in &self.exported_functions {
            if let Some(function) = self.functions.get(name) {
                let text = function_text("", &function.body);
                env.push((
                    format!("BASH_FUNC_{name}%%"),
                    format!("() {}", text.trim_start_matches(" ()").trim_start()),
                ));
            }
        }
    }

    /// The signals that children ignore: those that the shell ignores, and INT and QUIT in the background.
    pub(super) fn ignored_signals(&self, background: bool) -> Vec<&'static str> {
        let ignores =
            |name: &'static str| self.traps.get(name) == Some(&TrapAction::Ignore) || self.ignored.contains(&name);
        let mut names: Vec<&'static str> =
            crate::system::SIGNALS.iter().map(|(_, name)| *name).filter(|name| ignores(name)).collect();
        if background && !self.is_on("monitor") {
            names.extend(["INT", "QUIT"].iter().filter(|name| !ignores(name)));
        }
        names
    }

    pub(super) fn spawn_program(
        &mut self,
        path: &str,
        fields: &[String],
        group: Group,
        background: bool,
        pipes: &mut CapturePipes,
    ) -> Result<u32, Errno> {
        let fds = self.program_fds(pipes)?;
        let env = self.environment(path);
        let foreground = self.is_on("monitor") && !background;
        let mut request = Request {
            program: path,
            argv: fields,
            env: &env,
            cwd: &self.cwd,
            fds,
            group,
            foreground,
            ignored: self.ignored_signals(background),
        };
        match self.start(&request) {
            Err(Errno::ENOEXEC) => {
                let own = self.own_program();
                let argv: Vec<String> =
                    [own.clone(), path.to_owned()].into_iter().chain(fields[1..].iter().cloned()).collect();
                request.program = &own;
                request.argv = &argv;
                self.start(&request)
            }
            result => result,
        }
    }

    /// Starts a program. The wait until it is compiled ends when a signal is caught: SIGINT of a user gives up the
    /// whole line, and other signals are for later.
    fn start(&self, request: &Request) -> Result<u32, Errno> {
        let Some(with_user) = &self.with_user else { return self.system.spawn(request) };
        while !with_user.abort.get() {
            let started = self.system.spawn(request);
            if started != Err(Errno::EINTR) {
                return started;
            }
            let mut signals = with_user.signals.borrow_mut();
            signals.extend(std::iter::from_fn(|| self.system.next_signal()));
            if signals.contains(&"INT") {
                if self.traps.contains_key("INT") {
                    return started;
                }
                signals.retain(|signal| *signal != "INT");
                with_user.abort.set(true);
                self.say("");
            }
        }
        Err(Errno::EINTR)
    }

    /// Starts a shell that continues with the state of this one and executes a text.
    pub(super) fn spawn_shell(
        &mut self,
        text: &str,
        group: Group,
        background: bool,
        pipes: &mut CapturePipes,
    ) -> Result<u32, Errno> {
        let state = self.transfer(text);
        let buffer = self.system.buffer(&crate::text::encode(&state))?;
        let number = (60..1024).find(|number| !self.fds.contains_key(number)).ok_or(Errno::EMFILE)?;
        let mut fds = self.program_fds(pipes)?;
        fds.push((number, buffer));
        let own = self.own_program();
        let argv = vec![self.name.clone(), format!("--subshell={number}")];
        let env = self.environment(&own);
        let foreground = self.is_on("monitor") && !background;
        self.system.spawn(&Request {
            program: &own,
            argv: &argv,
            env: &env,
            cwd: &self.cwd,
            fds,
            group,
            foreground,
            ignored: self.ignored_signals(background),
        })
    }

    /// The path of a program, or the status and the message. A path stays as it is written: it is what a script gets
    /// as `$0`.
    pub(crate) fn find_program(&mut self, name: &str) -> Result<String, (i32, String)> {
        if name.contains('/') {
            let path = self.absolute(name);
            return match self.system.status(&path, true) {
                Err(error) => Err((if error == Errno::ENOENT { 127 } else { 126 }, error.text.to_owned())),
                Ok(status) if status.kind == FileKind::Directory => Err((126, Errno::EISDIR.text.to_owned())),
                Ok(_) if !self.system.may(&path, 'x') => Err((126, Errno::EACCES.text.to_owned())),
                Ok(_) => Ok(name.to_owned()),
            };
        }
        // A PATH that was set for this command only is searched anew.
        let own_path = self.variables.is_temporary("PATH");
        if let Some((path, hits)) = self.hashed.get_mut(name).filter(|_| !own_path)
            && self.system.may(path, 'x')
        {
            *hits += 1;
            return Ok(path.clone());
        }
        let search = self.text_of("PATH").unwrap_or_default();
        match self.search(name, &search) {
            Some((path, true)) => {
                if self.is_on("hashall") && !own_path {
                    self.hashed.insert(name.to_owned(), (path.clone(), 1));
                }
                Ok(path)
            }
            Some((_, false)) => Err((126, Errno::EACCES.text.to_owned())),
            // Without a PATH a name is a file.
            None if search.is_empty() => Err((127, Errno::ENOENT.text.to_owned())),
            None => Err((127, "command not found".to_owned())),
        }
    }

    /// Looks a name up along a PATH: the path, and whether it may be executed.
    pub(crate) fn search(&self, name: &str, path: &str) -> Option<(String, bool)> {
        let mut refused = None;
        if name.is_empty() {
            return None;
        }
        for folder in path.split(':') {
            let folder = if folder.is_empty() { "." } else { folder };
            let candidate =
                if folder == "." { format!("./{name}") } else { format!("{}/{name}", folder.trim_end_matches('/')) };
            let file = self.absolute(&candidate);
            if self.system.status(&file, true).is_ok_and(|status| status.kind != FileKind::Directory) {
                if self.system.may(&file, 'x') {
                    return Some((candidate, true));
                }
                refused.get_or_insert(candidate);
            }
        }
        refused.map(|candidate| (candidate, false))
    }

    /// What an interactive shell does after a pipeline that a key has ended or stopped: its modes of the terminal are
    /// set again, the prompt begins a line, and what would follow SIGINT is given up.
    pub(crate) fn after_foreground(&self, statuses: &[i32]) {
        let Some(with_user) = self.with_user.as_ref().filter(|_| self.is_on("monitor")) else { return };
        let signal = statuses.last().and_then(|status| crate::system::signal_name(status - 128));
        if let Some("INT" | "QUIT" | "TSTP" | "STOP") = signal {
            self.system.set_raw(false);
            self.say("");
            with_user.abort.set(signal == Some("INT"));
        }
    }

    /// Waits for the processes of a pipeline in the foreground; none: a stage that was no process. A pipeline that is
    /// stopped becomes a job.
    pub(super) fn wait_foreground(&mut self, stages: &[Option<u32>], group: Option<u32>, text: &str) -> Vec<i32> {
        let mut statuses = vec![0; stages.len()];
        let mut waiting: Vec<u32> = stages.iter().flatten().copied().collect();
        while !waiting.is_empty() {
            let Ok(Some((process, change))) = self.system.wait(&waiting, true, false) else { break };
            if let Change::Stopped(_) = &change {
                if self.is_on("monitor") {
                    let processes: Vec<u32> = stages.iter().flatten().copied().collect();
                    let number = self.jobs.add(&processes, group, text.to_owned());
                    self.jobs.note(process, &change);
                    if let Some(job) = self.jobs.get_mut(number) {
                        job.stopped = true;
                    }
                    statuses.fill(status_of(&change));
                    break;
                }
                continue;
            }
            if change == Change::Continued {
                continue;
            }
            waiting.retain(|other| *other != process);
            for (status, _) in statuses.iter_mut().zip(stages).filter(|(_, stage)| **stage == Some(process)) {
                *status = status_of(&change);
            }
        }
        if self.is_on("monitor") {
            // Without a terminal there is no foreground.
            let _ = self.system.set_foreground(self.system.identity().group);
        }
        self.after_foreground(&statuses);
        statuses
    }
}
