//! How a shell begins: its command line, its environment, and where its commands come from.

mod complete;
mod interactive;
mod reader;

use crate::builtins;
use crate::state::{Run, Shell, Stop, Variable};
use crate::syntax::{LinePlace, Lines, Parser, TextLines};
use crate::system::{Errno, Fd, FileKind, OpenHow, System};
use crate::text::{decode, encode, is_name};
use reader::TerminalLines;
use std::rc::Rc;

/// Runs a shell with its arguments (its name first) and its environment until it ends, and gives its status.
///
/// `argv` is that of sh(1): options, then `-c` and a text, or the path of a script, or nothing for commands from
/// standard input. `cwd` is the current directory, absolute. A shell whose name is `sh` is one of POSIX, others have
/// the extensions of bash.
#[must_use]
pub fn run(system: Rc<dyn System>, argv: &[String], env: Vec<(String, String)>, cwd: &str) -> i32 {
    let name = argv.first().map_or("sh", String::as_str);
    let mut shell = Shell::new(system, name);
    cwd.clone_into(&mut shell.cwd);
    let base = name.rsplit('/').next().unwrap_or_default().trim_start_matches('-');
    if base == "sh" || base == "dash" {
        shell.options.set("posix", true);
    }
    import(&mut shell, env);
    if let Some(number) = argv.get(1).and_then(|first| first.strip_prefix("--subshell=")) {
        return resume(&mut shell, number);
    }
    let (source, options) = match arguments(&mut shell, argv) {
        Ok(found) => found,
        Err(version) if shell.status < 0 => {
            // Nobody can be told if standard output is gone.
            let _ = shell.write_to(1, &format!("{version}\n"));
            return 0;
        }
        Err(message) => {
            let name = shell.name.clone();
            shell.say(&format!("{name}: {message}"));
            return if shell.status == 0 { 2 } else { shell.status };
        }
    };
    let result = execute(&mut shell, source, &options);
    finish(&mut shell, result)
}

fn finish(shell: &mut Shell, result: Run) -> i32 {
    if result == Err(Stop::Discard) && shell.status == 0 {
        shell.status = 1;
    }
    shell.run_exit_trap();
    shell.status & 0xFF
}

fn resume(shell: &mut Shell, number: &str) -> i32 {
    let fd = number.parse().ok().and_then(|number: u32| shell.fds.remove(&number));
    let state = fd.ok_or(Errno::EBADF).and_then(|fd| shell.read_all(&fd));
    match state {
        Ok(state) => {
            let result = shell.resume(&state);
            finish(shell, result)
        }
        Err(error) => {
            shell.report(&format!("subshell: {}", error.text));
            2
        }
    }
}

/// Takes over the environment (XCU 2.5.3).
fn import(shell: &mut Shell, env: Vec<(String, String)>) {
    for (name, value) in env {
        let function = name.strip_prefix("BASH_FUNC_").and_then(|name| name.strip_suffix("%%"));
        if let Some(name) = function.filter(|_| !shell.posix() && value.starts_with("() {")) {
            shell.import_function(name, &value);
        }
        if is_name(&name) {
            let variable = shell.variables.global(&name);
            *variable = Variable { exported: true, ..Variable::scalar(value) };
        }
    }
    shell.set_text("IFS", " \t\n");
    shell.set_text("OPTIND", "1");
    shell.set_text("PS4", "+ ");
    if shell.variables.get("PATH").is_none() {
        shell.set_text("PATH", "/usr/local/bin:/usr/bin:/bin");
    }
    if let Some(path) = shell.text_of("OLDPWD") {
        let path = shell.absolute(&path);
        if !shell.system.status(&path, true).is_ok_and(|status| status.kind == FileKind::Directory) {
            *shell.variables.global("OLDPWD") = Variable { exported: true, ..Variable::default() };
        }
    } else if !shell.posix() {
        *shell.variables.global("OLDPWD") = Variable { exported: true, ..Variable::default() };
    }
    let parent = shell.system.identity().parent;
    let variable = shell.variables.global("PPID");
    *variable = Variable { readonly: true, integer: true, ..Variable::scalar(parent.to_string()) };
    let cwd = shell.cwd.clone();
    let logical = shell.text_of("PWD").filter(|path| {
        let is_here = |path: &str| shell.system.status(path, true).ok().map(|status| status.identity);
        path.starts_with('/')
            && !path.split('/').any(|part| part == "." || part == "..")
            && is_here(path) == is_here(&cwd)
    });
    let path = logical.unwrap_or(cwd);
    shell.cwd.clone_from(&path);
    let variable = shell.variables.global("PWD");
    *variable = Variable { exported: true, ..Variable::scalar(path) };
    if !shell.posix() {
        set_variables_of_bash(shell);
    }
}

/// Sets the variables that only bash has.
fn set_variables_of_bash(shell: &mut Shell) {
    shell.set_text("OPTERR", "1");
    shell.set_text("BASH", shell.name.clone());
    shell.set_text("BASH_VERSION", "5.2.15(1)-release");
    let version = ["5", "2", "15", "1", "release", "wasm32-unknown-wasi"].map(str::to_owned);
    *shell.variables.global("BASH_VERSINFO") = Variable { readonly: true, ..Variable::indexed(version) };
    let machine = [
        ("HOSTNAME", shell.system.host_name()),
        ("HOSTTYPE", "wasm32".to_owned()),
        ("MACHTYPE", "wasm32-unknown-wasi".to_owned()),
        ("OSTYPE", "wasi".to_owned()),
        ("COMP_WORDBREAKS", " \t\n\"'><=;|&(:@".to_owned()),
    ];
    for (name, value) in machine {
        if shell.variables.get(name).is_none() {
            shell.set_text(name, value);
        }
    }
    let level = shell.text_of("SHLVL").and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
    *shell.variables.global("SHLVL") =
        Variable { exported: true, ..Variable::scalar(level.saturating_add(1).to_string()) };
}

/// What `--version` says: the language is that of this bash.
const VERSION: &str = "Whelk's shell, the language of GNU bash, version 5.2.15(1)-release (wasm32-unknown-wasi)";

/// Where commands come from.
enum Source {
    Text(String),
    File(Fd),
    Input,
}

/// The options of the command line.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
struct CommandLine {
    /// `-c`
    text: bool,
    /// `-s`
    input: bool,
    /// `-l`
    login: bool,
    no_rc: bool,
    no_profile: bool,
    no_editing: bool,
    /// Those of `set`.
    set: Vec<(String, bool)>,
    /// Where the operands begin.
    operands: usize,
}

fn command_line(shell: &mut Shell, argv: &[String]) -> Result<CommandLine, String> {
    let mut at = 1;
    let login = argv.first().is_some_and(|name| name.starts_with('-'));
    let mut options = CommandLine { login, ..CommandLine::default() };
    while let Some(field) = argv.get(at) {
        let on = match field.as_bytes() {
            [b'-', _, ..] => true,
            [b'+', _, ..] => false,
            [b'-'] => {
                at += 1;
                break;
            }
            _ => break,
        };
        at += 1;
        if let Some(name) = field.strip_prefix("--") {
            match name {
                "" => break,
                "version" => {
                    shell.status = -1;
                    return Err(VERSION.to_owned());
                }
                "posix" => options.set.push(("posix".to_owned(), true)),
                "login" => options.login = true,
                "norc" => options.no_rc = true,
                "noprofile" => options.no_profile = true,
                "noediting" => options.no_editing = true,
                "rcfile" | "init-file" => at += 1,
                _ => return Err(format!("{field}: invalid option")),
            }
            continue;
        }
        for letter in field[1..].chars() {
            match letter {
                'c' if on => options.text = true,
                's' if on => options.input = true,
                'i' => shell.interactive = on,
                'l' => options.login = on,
                'o' | 'O' => {
                    let Some(name) = argv.get(at) else {
                        return Err(format!("-{letter}: option requires an argument"));
                    };
                    at += 1;
                    options.set.push((name.clone(), on));
                }
                letter => {
                    let known = crate::state::SET_OPTIONS.iter().find(|(known, _)| *known == letter && letter != ' ');
                    let Some((_, name)) = known else { return Err(format!("-{letter}: invalid option")) };
                    options.set.push(((*name).to_owned(), on));
                }
            }
        }
    }
    options.operands = at;
    Ok(options)
}

fn arguments(shell: &mut Shell, argv: &[String]) -> Result<(Source, CommandLine), String> {
    let options = command_line(shell, argv)?;
    let at = options.operands;
    shell.options.set("login_shell", options.login);
    for (name, on) in &options.set {
        if !shell.options.set(name, *on) {
            return Err(format!("{name}: invalid option name"));
        }
    }
    let mut rest = argv[at..].iter().cloned();
    let source = if options.text {
        let Some(text) = rest.next() else { return Err("-c: option requires an argument".to_owned()) };
        if let Some(name) = rest.next() {
            shell.name = name;
        }
        Source::Text(text)
    } else if options.input || at >= argv.len() {
        shell.read_from = "stdin";
        shell.interactive |= at >= argv.len() && interactive::is_at_terminal(shell);
        Source::Input
    } else {
        let name = rest.next().unwrap_or_default();
        let fd = open_script(shell, &name)?;
        shell.name = name;
        shell.read_from = "file";
        Source::File(fd)
    };
    shell.positional = Rc::new(rest.collect());
    shell.arguments = shell.positional.clone();
    Ok((source, options))
}

fn open_script(shell: &mut Shell, name: &str) -> Result<Fd, String> {
    let mut path = shell.absolute(name);
    if !name.contains('/') && shell.system.status(&path, true).is_err() {
        let search = shell.text_of("PATH").unwrap_or_default();
        if let Some((found, true)) = shell.search(name, &search) {
            path = shell.absolute(&found);
        }
    }
    if shell.system.status(&path, true).is_ok_and(|status| status.kind == FileKind::Directory) {
        shell.status = 126;
        return Err(format!("{name}: Is a directory"));
    }
    shell.system.open(&path, OpenHow { read: true, ..OpenHow::default() }).map_err(|error| {
        shell.status = if error == Errno::ENOENT { 127 } else { 126 };
        format!("{name}: {}", error.text)
    })
}

fn execute(shell: &mut Shell, source: Source, options: &CommandLine) -> Run {
    if shell.interactive && !shell.is_on("noexec") {
        shell.options.set("monitor", true);
        shell.options.set("expand_aliases", true);
    }
    let at_terminal = shell.interactive && matches!(source, Source::Input) && interactive::is_at_terminal(shell);
    let with_user = at_terminal.then(|| shell.begin_interactive(options.login, !options.no_editing));
    for (name, on) in options.set.iter().filter(|(name, _)| name == "histexpand") {
        shell.options.set(name, *on);
    }
    if options.login && !options.no_profile || shell.interactive && !options.no_rc {
        shell.read_profiles(options.login && !options.no_profile)?;
    }
    let verbose = Verbose { fd: shell.fds.get(&2).cloned() };
    let result = match source {
        Source::Text(text) => {
            let mut lines = TextLines::new(text);
            let mut parser = Parser::new(&mut lines, 1);
            shell.execute_parsed(&mut parser, true)
        }
        Source::File(fd) => {
            let mut lines = FdLines::of_own(fd, verbose);
            shell.execute_script(&mut lines)
        }
        Source::Input => match (shell.fds.get(&0).cloned(), shell.fds.get(&2).cloned(), with_user) {
            (Some(input), Some(output), Some(with_user)) => {
                let (term, no_color) = (shell.text_of("TERM").unwrap_or_default(), shell.text_of("NO_COLOR"));
                let (system, ends) = (shell.system.clone(), (input, output));
                let mut lines = TerminalLines::new(system, with_user, ends, &term, no_color.as_deref());
                shell.execute_parsed(&mut Parser::new(&mut lines, 1), true)
            }
            (Some(fd), ..) => {
                let mut lines = FdLines::new(fd, verbose);
                shell.execute_script(&mut lines)
            }
            (None, ..) => Ok(()),
        },
    };
    match result {
        Err(Stop::Return) => {
            shell.take_returned();
            Ok(())
        }
        Err(Stop::Break(_) | Stop::Continue(_)) => Ok(()),
        result => result,
    }
}

impl Shell {
    fn execute_script(&mut self, lines: &mut FdLines) -> Run {
        let flag = lines.echoes.clone();
        flag.set(self.is_on("verbose"));
        self.verbose = Some(flag);
        let mut parser = Parser::new(lines, 1);
        self.execute_parsed(&mut parser, true)
    }
}

/// Where `set -v` writes the lines that are read.
struct Verbose {
    fd: Option<Fd>,
}

/// The lines of a descriptor. Of standard input no more is taken than the lines that were asked for: the rest belongs
/// to the commands. Of a file a block is read, and the offset set back.
struct FdLines {
    fd: Fd,
    verbose: Verbose,
    echoes: Rc<std::cell::Cell<bool>>,
    seekable: bool,
    /// Of a description that no command has: what was read and not asked for.
    rest: Option<Vec<u8>>,
}

impl FdLines {
    fn new(fd: Fd, verbose: Verbose) -> Self {
        let seekable = fd.seek(0).is_ok();
        Self { fd, verbose, echoes: Rc::default(), seekable, rest: None }
    }

    /// The lines of a description that no command has.
    fn of_own(fd: Fd, verbose: Verbose) -> Self {
        Self { rest: Some(Vec::new()), ..Self::new(fd, verbose) }
    }

    fn read(&self, buffer: &mut [u8]) -> usize {
        loop {
            match self.fd.read(buffer) {
                Ok(count) => return count,
                Err(Errno::EINTR) => {}
                Err(_) => return 0,
            }
        }
    }
}

impl Lines for FdLines {
    fn next_line(&mut self, _: LinePlace) -> Option<String> {
        let mut line = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let wanted = if self.seekable || self.rest.is_some() { buffer.len() } else { 1 };
            let kept = self.rest.take();
            let count = match &kept {
                Some(kept) if !kept.is_empty() => {
                    buffer[..kept.len()].copy_from_slice(kept);
                    kept.len()
                }
                _ => self.read(&mut buffer[..wanted]),
            };
            if count == 0 {
                break;
            }
            let end = buffer[..count].iter().position(|byte| *byte == b'\n').map_or(count, |at| at + 1);
            line.extend_from_slice(&buffer[..end]);
            if kept.is_some() {
                self.rest = Some(buffer[end..count].to_vec());
            } else if end < count {
                let back = i64::try_from(count - end).unwrap_or(0);
                // It could seek at the beginning.
                let _ = self.fd.seek(-back);
            }
            if line.last() == Some(&b'\n') {
                break;
            }
        }
        if line.is_empty() {
            return None;
        }
        let text = decode(&line);
        if self.echoes.get()
            && let Some(fd) = &self.verbose.fd
        {
            // Nobody can be told if standard error is gone.
            let _ = fd.write(&encode(&text));
        }
        Some(text)
    }
}

/// Whether a name is that of a builtin: what a program table need not have.
#[must_use]
pub fn is_builtin(name: &str) -> bool {
    builtins::find(name).is_some()
}
