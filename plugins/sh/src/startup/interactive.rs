//! What an interactive shell and a login shell have beside a script: files that are read first, signals of the
//! keyboard, prompts.

use crate::builtins;
use crate::state::{Interactive, JobState, Known, Run, Shell, Stop};
use crate::syntax::{Parser, TextLines};
use crate::system::{Disposition, FileKind, OpenHow};
use std::rc::Rc;

/// What a user is told at a login, unless there is a file of this name in the home.
const GREETING: &str = "\
Each command here is a program in a sandbox of its own. `ls /bin` lists the programs, `help` the builtin commands.";
const QUIET: &str = ".hushlogin";

/// The signals that a key sends, or the terminal to processes that are not in the foreground.
const OF_TERMINAL: [&str; 6] = ["INT", "QUIT", "TERM", "TSTP", "TTIN", "TTOU"];

impl Shell {
    /// Reads the files that a login shell and an interactive shell read first.
    pub(super) fn read_profiles(&mut self, login: bool) -> Run {
        let home = self.text_of("HOME").unwrap_or_default();
        let in_home = |name: &str| format!("{}/{name}", home.trim_end_matches('/'));
        let is_bash = self.name.trim_start_matches('-').rsplit('/').next() == Some("bash");
        if login {
            self.read_profile("/etc/profile")?;
            let names: &[&str] = if is_bash { &[".bash_profile", ".bash_login", ".profile"] } else { &[".profile"] };
            let found = names.iter().map(|name| in_home(name)).find(|path| self.is_file(path));
            found.map_or(Ok(()), |path| self.read_profile(&path))?;
        }
        if self.interactive && !self.posix() && !login {
            self.read_profile(&in_home(".bashrc"))?;
        }
        if self.interactive
            && self.posix()
            && let Some(path) = self.text_of("ENV").and_then(|path| self.expand_text(&path))
        {
            self.read_profile(&self.absolute(&path))?;
        }
        Ok(())
    }

    fn is_file(&self, path: &str) -> bool {
        self.system.status(path, true).is_ok_and(|status| status.kind != FileKind::Directory)
    }

    /// Executes a file in this shell. An error in it ends only that.
    fn read_profile(&mut self, path: &str) -> Run {
        if !self.is_file(path) {
            return Ok(());
        }
        let opened = self.system.open(path, OpenHow { read: true, ..OpenHow::default() });
        let text = match opened.and_then(|fd| self.read_all(&fd)) {
            Ok(text) => text,
            Err(error) => {
                self.say(&format!("{path}: {}", error.text));
                return Ok(());
            }
        };
        let mut lines = TextLines::new(text);
        match self.execute_parsed(&mut Parser::new(&mut lines, 1), false) {
            Err(Stop::Exit) => Err(Stop::Exit),
            _ => Ok(()),
        }
    }

    /// Begins to serve a user at a terminal.
    pub(super) fn begin_interactive(&mut self, login: bool, edits: bool) -> Rc<Interactive> {
        let with_user: Rc<Interactive> = Rc::default();
        with_user.leaving.set(if login { "logout" } else { "exit" });
        self.with_user = Some(with_user.clone());
        self.options.set("history", true);
        self.options.set("histexpand", true);
        if !self.is_on("vi") {
            self.options.set("emacs", edits);
        }
        for signal in OF_TERMINAL.into_iter().chain(["WINCH"]) {
            let how = if signal == "WINCH" { Disposition::Catch } else { self.disposition_without_trap(signal) };
            // Each of them can be changed.
            let _ = self.system.set_disposition(signal, how);
        }
        let default = if self.posix() { "$ " } else { default_prompt(&self.text_of("TERM").unwrap_or_default()) };
        for (name, text) in [("PS1", default), ("PS2", "> ")] {
            if self.text_of(name).is_none() {
                self.set_text(name, text);
            }
        }
        self.load_history(|shell, fd| shell.read_all(fd).ok());
        let home = self.text_of("HOME").unwrap_or_default();
        let quiet = format!("{}/{QUIET}", home.trim_end_matches('/'));
        if login && self.system.identity().parent == 0 && !self.is_file(&quiet) {
            self.say(GREETING);
        }
        with_user
    }

    /// What is done before a command is read: the prompts are expanded, and noted what words can be completed to.
    pub(crate) fn before_line(&mut self) {
        let Some(with_user) = self.with_user.clone() else { return };
        with_user.abort.set(false);
        with_user.edits.set(self.is_on("emacs") || self.is_on("vi"));
        with_user.vi.set(self.is_on("vi"));
        with_user.expands.set(self.is_on("histexpand").then(|| self.history_expansion()));
        self.name.clone_into(&mut with_user.name.borrow_mut());
        if let Some(line) = with_user.to_remember.take() {
            self.remember(line.trim_end());
        }
        let (status, pipe_status) = (self.status, self.pipe_status.clone());
        if !self.posix()
            && let Some(command) = self.text_of("PROMPT_COMMAND")
        {
            // It ends nothing but itself.
            let _ = self.execute_text(&command, self.line);
            self.status = status;
        }
        for (name, prompt) in [("PS1", &with_user.first), ("PS2", &with_user.more)] {
            let text = self.text_of(name).unwrap_or_default();
            let text = self.prompt(&text);
            *prompt.borrow_mut() = text;
        }
        (self.status, self.pipe_status) = (status, pipe_status);
        let commands = self.functions.keys().chain(self.aliases.keys()).cloned();
        *with_user.known.borrow_mut() = Known {
            cwd: self.cwd.clone(),
            home: self.text_of("HOME").unwrap_or_default(),
            path: self.text_of("PATH").unwrap_or_default(),
            commands: commands.chain(builtins::all_names().map(str::to_owned)).collect(),
            aliases: self.aliases.keys().cloned().collect(),
            variables: self.variables.all().into_keys().cloned().collect(),
            options: self.parse_options(),
            jobs: self.jobs.list.iter().map(|job| job.number).collect(),
        };
        if *with_user.history.borrow() != self.history {
            self.history.clone_into(&mut with_user.history.borrow_mut());
        }
    }

    /// What is done after a command was read, and before it is executed.
    pub(crate) fn before_command(&mut self) {
        if let Some(with_user) = &self.with_user {
            with_user.warned_by_line.set(false);
        }
        if let Some((columns, rows)) = self.system.terminal_size().filter(|_| self.with_user.is_some()) {
            self.set_text("COLUMNS", columns.to_string());
            self.set_text("LINES", rows.to_string());
        }
    }

    /// What is done after a command.
    pub(crate) fn after_line(&mut self) {
        self.tell_jobs();
        if let Some(with_user) = &self.with_user {
            with_user.warned.set(with_user.warned_by_line.take());
        }
    }

    /// Whether the line that is read was given up.
    pub(crate) fn was_interrupted(&mut self) -> bool {
        let interrupted = self.with_user.as_ref().is_some_and(|with_user| with_user.interrupted.take());
        if interrupted {
            self.forget_interrupt();
        }
        interrupted
    }

    /// Whether the shell goes on at `exit` or the end of its input: once, if jobs are stopped.
    pub(crate) fn stays_for_jobs(&mut self) -> bool {
        let Some(with_user) = self.with_user.clone().filter(|_| self.interactive) else { return false };
        self.update_jobs();
        let stopped = self.jobs.list.iter().any(|job| matches!(job.state(), JobState::Stopped(_)));
        if !stopped || with_user.warned.replace(true) {
            return false;
        }
        with_user.warned_by_line.set(true);
        self.say("There are stopped jobs.");
        true
    }
}

/// The prompt of a shell that is bash's: with colours where the terminal has them.
fn default_prompt(terminal: &str) -> &'static str {
    if matches!(terminal, "" | "dumb" | "unknown") {
        r"\u@\h:\w\$ "
    } else {
        r"\[\e[1;32m\]\u@\h\[\e[0m\]:\[\e[1;34m\]\w\[\e[0m\]\$ "
    }
}

/// Whether a shell whose commands come from standard input serves a user there (XCU, sh, -i).
pub(super) fn is_at_terminal(shell: &Shell) -> bool {
    [0, 2].into_iter().all(|number| shell.fds.get(&number).is_some_and(|fd| fd.is_terminal()))
}
