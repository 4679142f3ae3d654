//! How a shell begins: its command line, its environment, and where its commands come from.

use crate::builtins;
use crate::state::{Run, Shell, Stop, Variable};
use crate::syntax::{Lines, Parser, TextLines};
use crate::system::{Errno, Fd, FileKind, OpenHow, System};
use crate::text::{decode, encode, is_name};
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
    let source = match arguments(&mut shell, argv) {
        Ok(source) => source,
        Err(message) => {
            let name = shell.name.clone();
            shell.say(&format!("{name}: {message}"));
            return if shell.status == 0 { 2 } else { shell.status };
        }
    };
    let result = execute(&mut shell, source);
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
        shell.set_text("OPTERR", "1");
        shell.set_text("BASH", shell.name.clone());
        shell.set_text("BASH_VERSION", "5.2.15(1)-release");
        let version = ["5", "2", "15", "1", "release", "wasm32-wasi"].map(str::to_owned);
        *shell.variables.global("BASH_VERSINFO") = Variable { readonly: true, ..Variable::indexed(version) };
        shell.set_text("HOSTNAME", shell.system.host_name());
        shell.set_text("HOSTTYPE", "wasm32");
        shell.set_text("MACHTYPE", "wasm32-unknown-wasi");
        shell.set_text("OSTYPE", "wasi");
        let level = shell.text_of("SHLVL").and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
        *shell.variables.global("SHLVL") = Variable { exported: true, ..Variable::scalar((level + 1).to_string()) };
    }
}

/// Where commands come from.
enum Source {
    Text(String),
    File(Fd),
    Input,
}

/// The options of the command line: `-c`, `-s`, those that are set, and where the operands begin.
type CommandLine = (bool, bool, Vec<(String, bool)>, usize);

fn command_line(shell: &mut Shell, argv: &[String]) -> Result<CommandLine, String> {
    let mut at = 1;
    let (mut text, mut input, mut options) = (false, false, Vec::new());
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
                "posix" => options.push(("posix".to_owned(), true)),
                "norc" | "noprofile" | "login" | "noediting" => {}
                "rcfile" | "init-file" => at += 1,
                _ => return Err(format!("{field}: invalid option")),
            }
            continue;
        }
        for letter in field[1..].chars() {
            match letter {
                'c' if on => text = true,
                's' if on => input = true,
                'i' => shell.interactive = on,
                'l' => {}
                'o' | 'O' => {
                    let Some(name) = argv.get(at) else {
                        return Err(format!("-{letter}: option requires an argument"));
                    };
                    at += 1;
                    options.push((name.clone(), on));
                }
                letter => {
                    let known = crate::state::SET_OPTIONS.iter().find(|(known, _)| *known == letter && letter != ' ');
                    let Some((_, name)) = known else { return Err(format!("-{letter}: invalid option")) };
                    options.push(((*name).to_owned(), on));
                }
            }
        }
    }
    Ok((text, input, options, at))
}

fn arguments(shell: &mut Shell, argv: &[String]) -> Result<Source, String> {
    let (text, input, options, at) = command_line(shell, argv)?;
    for (name, on) in options {
        if !shell.options.set(&name, on) {
            return Err(format!("{name}: invalid option name"));
        }
    }
    let mut rest = argv[at..].iter().cloned();
    let source = if text {
        let Some(text) = rest.next() else { return Err("-c: option requires an argument".to_owned()) };
        if let Some(name) = rest.next() {
            shell.name = name;
        }
        Source::Text(text)
    } else if input || at >= argv.len() {
        shell.read_from = "stdin";
        Source::Input
    } else {
        let name = rest.next().unwrap_or_default();
        let fd = open_script(shell, &name)?;
        shell.name = name;
        shell.read_from = "file";
        Source::File(fd)
    };
    shell.positional = Rc::new(rest.collect());
    Ok(source)
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

fn execute(shell: &mut Shell, source: Source) -> Run {
    if shell.interactive && !shell.is_on("noexec") {
        shell.options.set("monitor", true);
        shell.options.set("expand_aliases", true);
    }
    let verbose = Verbose { fd: shell.fds.get(&2).cloned() };
    let result = match source {
        Source::Text(text) => {
            let mut lines = TextLines::new(text);
            let mut parser = Parser::new(&mut lines, 1);
            shell.execute_parsed(&mut parser, true)
        }
        Source::File(fd) => {
            let mut lines = FdLines::new(fd, verbose);
            shell.execute_script(&mut lines)
        }
        Source::Input => match shell.fds.get(&0).cloned() {
            Some(fd) => {
                let mut lines = FdLines::new(fd, verbose);
                shell.execute_script(&mut lines)
            }
            None => Ok(()),
        },
    };
    match result {
        Err(Stop::Break(_) | Stop::Continue(_) | Stop::Return) => Ok(()),
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

/// The lines of a descriptor. No more is taken from it than the lines that were asked for: the rest belongs to the
/// commands. Of a file a block is read, and the offset set back.
struct FdLines {
    fd: Fd,
    verbose: Verbose,
    echoes: Rc<std::cell::Cell<bool>>,
    seekable: bool,
}

impl FdLines {
    fn new(fd: Fd, verbose: Verbose) -> Self {
        let seekable = fd.seek(0).is_ok();
        Self { fd, verbose, echoes: Rc::default(), seekable }
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
    fn next_line(&mut self, _: bool) -> Option<String> {
        let mut line = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let wanted = if self.seekable { buffer.len() } else { 1 };
            let count = self.read(&mut buffer[..wanted]);
            if count == 0 {
                break;
            }
            let end = buffer[..count].iter().position(|byte| *byte == b'\n').map_or(count, |at| at + 1);
            line.extend_from_slice(&buffer[..end]);
            if end < count {
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
