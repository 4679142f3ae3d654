//! The state of one shell, or of a subshell that runs within it.

use super::interactive::Interactive;
use super::jobs::Jobs;
use super::options::Options;
use super::variables::{Value, Variable, Variables};
use crate::syntax::{Command, ParseOptions};
use crate::system::{Disposition, Fd, System};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Why commands are not executed any further. `$?` is set already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// `break` out of so many loops.
    Break(u32),
    /// `continue` of the loop so many further out.
    Continue(u32),
    /// `return` from a function or a sourced script.
    Return,
    /// The shell ends.
    Exit,
    /// An error that ends the complete command, and a shell that is not bash.
    Discard,
}

/// What executing something gives: a value, or why it stopped.
pub(crate) type Run<T = ()> = Result<T, Stop>;

/// A function: its body and where it was defined.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) body: Rc<Command>,
    pub(crate) source: String,
    pub(crate) line: u32,
}

/// A call of a function, or a sourced script.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) name: String,
    pub(crate) source: String,
    /// The line of the caller.
    pub(crate) line: u32,
    pub(crate) is_function: bool,
    /// The arguments, under `extdebug`.
    pub(crate) arguments: Option<Rc<Vec<String>>>,
    /// The options that `local -` saved.
    pub(crate) options: Option<Options>,
}

/// What a trap does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TrapAction {
    Ignore,
    Run(Rc<str>),
}

/// What the traps on DEBUG, ERR and RETURN need.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tracing {
    /// Those that are executed: they do not begin again.
    pub(crate) running: Vec<&'static str>,
    /// How many calls there were when the innermost trap began.
    pub(crate) frames: usize,
    /// Whether DEBUG was executed already for the next simple command.
    pub(crate) debugged: bool,
    /// Functions with the attribute `-t`.
    pub(crate) functions: Vec<String>,
}

#[derive(Clone)]
pub(crate) struct Shell {
    pub(crate) system: Rc<dyn System>,
    pub(crate) variables: Variables,
    pub(crate) functions: Rc<BTreeMap<String, Rc<Function>>>,
    /// Functions that are exported, or read-only.
    pub(crate) exported_functions: Vec<String>,
    pub(crate) readonly_functions: Vec<String>,
    pub(crate) aliases: Rc<BTreeMap<String, String>>,
    /// Builtins that `enable -n` turned off.
    pub(crate) disabled: Vec<String>,
    pub(crate) options: Options,
    /// `$0`.
    pub(crate) name: String,
    pub(crate) positional: Rc<Vec<String>>,
    /// `$?`.
    pub(crate) status: i32,
    pub(crate) pipe_status: Vec<i32>,
    /// `$$`.
    pub(crate) main_process: u32,
    /// `$!`.
    pub(crate) last_background: Option<u32>,
    pub(crate) fds: BTreeMap<u32, Fd>,
    pub(crate) cwd: String,
    pub(crate) jobs: Jobs,
    pub(crate) traps: BTreeMap<String, TrapAction>,
    /// The traps of the shell that this one is a subshell of: `trap` lists them until one is set.
    pub(crate) outer_traps: Option<BTreeMap<String, TrapAction>>,
    pub(crate) in_trap: u32,
    pub(crate) tracing: Tracing,
    /// The status of `return`, until the call has ended.
    pub(crate) returned: Option<i32>,
    /// The arguments of the script.
    pub(crate) arguments: Rc<Vec<String>>,
    pub(crate) frames: Vec<Frame>,
    pub(crate) loops: u32,
    /// How much of the stack is taken by what is executed now, in bytes as [`super::stack`] estimates it.
    pub(crate) stack: u32,
    /// Above 0 where `set -e` does nothing.
    pub(crate) unchecked: u32,
    pub(crate) line: u32,
    pub(crate) subshell: u32,
    pub(crate) interactive: bool,
    /// What an interactive shell, and subshells within it, share with the reader of lines.
    pub(crate) with_user: Option<Rc<Interactive>>,
    pub(crate) read_from: &'static str,
    pub(crate) hashed: BTreeMap<String, (String, u32)>,
    /// `getopts`: the place in the word, and what OPTIND was left at.
    pub(crate) getopts: (usize, i64),
    pub(crate) started: std::time::Duration,
    pub(crate) random: u32,
    /// Dynamic variables that were unset and mean nothing any more.
    pub(crate) plain: Vec<String>,
    pub(crate) directories: Vec<String>,
    pub(crate) history: Vec<String>,
    /// The status of the last command substitution of a command without words.
    pub(crate) substitution_status: Option<i32>,
    /// Processes of `<(..)`, with the descriptors that the command sees.
    pub(crate) substitutions: Vec<u32>,
    /// Reading ends of pipes whose text belongs to a command substitution that is being read.
    pub(crate) drains: Vec<(Fd, Fd)>,
    pub(crate) command_text: String,
    pub(crate) trap_status: Option<i32>,
    /// The name of the builtin that runs, for messages.
    pub(crate) builtin: String,
    pub(crate) last_argument: String,
    /// How many subshells run within this process.
    pub(crate) in_place: u32,
    /// Whether the last command may take the place of the process: in a subshell of its own.
    pub(crate) exec_last: bool,
    /// Whether `exec` keeps its redirections.
    pub(crate) keep_redirects: bool,
    /// Whether the builtin that runs has reported an error.
    pub(crate) builtin_failed: bool,
    /// How often the first character of PS4 is repeated.
    pub(crate) trace_level: usize,
    /// The signals that were ignored when the shell was started, and stay so.
    pub(crate) ignored: Vec<&'static str>,
    /// What `set -v` turns on in the lines that are read.
    pub(crate) verbose: Option<Rc<std::cell::Cell<bool>>>,
    /// The mask of modes.
    pub(crate) mask: u32,
}

/// The most name references in a row.
const MAX_REFERENCES: usize = 8;

impl Shell {
    pub(crate) fn new(system: Rc<dyn System>, name: &str) -> Self {
        let identity = system.identity();
        let (started, random, mask) = (system.now(), system.random(), system.umask(None));
        Self {
            fds: system.inherited().into_iter().collect(),
            ignored: system.ignored_at_start(),
            system,
            variables: Variables::new(),
            functions: Rc::default(),
            exported_functions: Vec::new(),
            readonly_functions: Vec::new(),
            aliases: Rc::default(),
            disabled: Vec::new(),
            options: Options::new(),
            name: name.to_owned(),
            positional: Rc::default(),
            status: 0,
            pipe_status: vec![0],
            main_process: identity.id,
            last_background: None,
            cwd: "/".to_owned(),
            jobs: Jobs::default(),
            traps: BTreeMap::new(),
            outer_traps: None,
            in_trap: 0,
            tracing: Tracing::default(),
            returned: None,
            arguments: Rc::default(),
            frames: Vec::new(),
            loops: 0,
            stack: 0,
            unchecked: 0,
            line: 1,
            subshell: 0,
            interactive: false,
            with_user: None,
            read_from: "-c",
            hashed: BTreeMap::new(),
            getopts: (0, 1),
            started,
            random,
            plain: Vec::new(),
            directories: Vec::new(),
            history: Vec::new(),
            substitution_status: None,
            substitutions: Vec::new(),
            drains: Vec::new(),
            command_text: String::new(),
            trap_status: None,
            builtin: String::new(),
            last_argument: name.to_owned(),
            verbose: None,
            in_place: 0,
            exec_last: false,
            keep_redirects: false,
            builtin_failed: false,
            trace_level: 1,
            mask,
        }
    }

    /// What a signal does without a trap: an interactive shell is not ended by those of the keyboard.
    pub(crate) fn disposition_without_trap(&self, signal: &str) -> Disposition {
        match signal {
            "INT" if self.with_user.is_some() => Disposition::Catch,
            "QUIT" | "TERM" if self.with_user.is_some() => Disposition::Ignore,
            "TSTP" | "TTIN" | "TTOU" if self.with_user.is_some() && self.is_on("monitor") => Disposition::Ignore,
            _ => Disposition::Default,
        }
    }

    #[inline(always)]
    pub(crate) fn is_on(&self, option: &str) -> bool {
        self.options.is_on(option)
    }

    #[inline(always)]
    pub(crate) fn posix(&self) -> bool {
        self.options.is_on("posix")
    }

    /// How text is read now.
    pub(crate) fn parse_options(&self) -> ParseOptions {
        ParseOptions {
            aliases: self.aliases.clone(),
            expand_aliases: self.is_on("expand_aliases") || self.posix() || self.interactive,
            extglob: self.is_on("extglob"),
            posix: false,
            stack: self.system.stack().saturating_sub(self.stack).min(super::stack::TREE),
        }
    }

    /// The absolute path of a path.
    pub(crate) fn absolute(&self, path: &str) -> String {
        if path.starts_with('/') {
            path.to_owned()
        } else if path.is_empty() {
            String::new()
        } else {
            format!("{}/{path}", self.cwd.trim_end_matches('/'))
        }
    }

    /// Writes to a descriptor; an error is left to the caller.
    pub(crate) fn write_to(&self, number: u32, text: &str) -> Result<(), crate::system::Errno> {
        let Some(fd) = self.fds.get(&number) else { return Err(crate::system::Errno::EBADF) };
        let bytes = crate::text::encode(text);
        let mut rest = bytes.as_ref();
        while !rest.is_empty() {
            match fd.write(rest) {
                Ok(count) => rest = &rest[count..],
                Err(crate::system::Errno::EINTR) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes a line to standard error. Nobody can be told if that fails.
    pub(crate) fn say(&self, line: &str) {
        let _ = self.write_to(2, &format!("{line}\n"));
    }

    /// Reports an error as bash does: with the name of the script, or of the shell and the line.
    pub(crate) fn report(&self, message: &str) {
        let source =
            self.frames.last().filter(|frame| !frame.source.is_empty()).map_or(&self.name, |frame| &frame.source);
        if self.interactive {
            self.say(&format!("{}: {message}", self.name));
        } else {
            self.say(&format!("{source}: line {}: {message}", self.line));
        }
    }

    /// Reports an error of the builtin that runs.
    pub(crate) fn builtin_error(&mut self, message: &str) {
        self.builtin_failed = true;
        self.report(&format!("{}: {message}", self.builtin));
    }

    // Variables.

    /// The name behind a name reference, and the subscript in it. A circular reference, which is reported, and a chain
    /// that is too long give the empty name.
    pub(crate) fn resolve(&self, name: &str) -> (String, Option<String>) {
        let mut target = name;
        for _ in 0..=MAX_REFERENCES {
            let next = match self.variables.get(target) {
                Some(variable) if variable.nameref => variable.text().map_or("", String::as_str),
                _ => return (target.to_owned(), None),
            };
            if next.is_empty() {
                return (target.to_owned(), None);
            }
            if let Some((array, subscript)) = next.split_once('[') {
                return (array.to_owned(), subscript.strip_suffix(']').map(str::to_owned));
            }
            if next == name {
                self.report(&format!("warning: {name}: circular name reference"));
                break;
            }
            target = next;
        }
        (String::new(), None)
    }

    /// Whether a name refers to an element of an array.
    pub(crate) fn refers_to_element(&self, name: &str) -> bool {
        self.variables.get(name).is_some_and(|variable| variable.nameref) && self.resolve(name).1.is_some()
    }

    /// A variable with its value of now.
    pub(crate) fn variable(&self, name: &str) -> Option<Variable> {
        let (name, subscript) = self.resolve(name);
        let variable = self.dynamic(&name).or_else(|| self.variables.get(&name).cloned())?;
        let Some(subscript) = subscript else { return Some(variable) };
        let text = match &variable.value {
            Value::Indexed(elements) if subscript == "@" || subscript == "*" => {
                let values: Vec<&str> = elements.values().map(String::as_str).collect();
                return Some(Variable::scalar(values.join(" ")));
            }
            Value::Indexed(elements) => {
                let end = elements.last_key_value().map_or(0, |(last, _)| last.saturating_add(1));
                let index =
                    subscript.parse().ok().map(|index: i64| if index < 0 { index.saturating_add(end) } else { index });
                index.and_then(|index| elements.get(&index))
            }
            Value::Assoc(elements) => elements.get(&subscript),
            Value::Scalar(text) if subscript == "0" => Some(text),
            _ => None,
        };
        text.map(Variable::scalar)
    }

    /// The text of a variable.
    pub(crate) fn text_of(&self, name: &str) -> Option<String> {
        if let Some(variable) = self.variables.get(name)
            && !variable.nameref
            && !self.is_dynamic(name)
        {
            return variable.text().cloned();
        }
        self.variable(name)?.text().cloned()
    }

    /// Sets the text of a variable that the shell itself maintains, whatever its attributes are.
    pub(crate) fn set_text(&mut self, name: &str, text: impl Into<String>) {
        self.variables.get_mut(name).value = Value::Scalar(text.into());
    }
}
