//! Runs a script.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::mem;
use std::rc::Rc;

use unix_common::child::{Command as Child, Stdio};
use unix_common::regex::Regex;
use unix_common::report;

use crate::input::Input;
use crate::output::Output;
use crate::script::{Action, Address, Command, End, Pattern, Range, Script};
use crate::substitute;

/// The error of an empty pattern before any other.
pub(crate) const NO_PATTERN: &str = "-e expression #1, char 0: no previous regular expression";

/// What to do besides the script.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    pub(crate) silent: bool,
    pub(crate) posix: bool,
    pub(crate) terminator: u8,
    pub(crate) line_length: usize,
}

/// What comes at the end of a cycle.
enum Queued {
    Text(Vec<u8>),
    File(String),
    Line(Vec<u8>),
}

/// How a cycle ended.
enum Flow {
    /// With the pattern space printed.
    Done,
    Deleted,
    /// Again, with what is left in the pattern space.
    Again,
    Quit(u8),
    QuitSilently(u8),
}

/// A script that runs.
pub(crate) struct Machine<'a> {
    commands: &'a mut [Command],
    options: Options,
    pub(crate) input: Input,
    pub(crate) out: Output,
    outputs: Vec<Option<Output>>,
    space: Vec<u8>,
    /// Whether the line had its newline.
    ended: bool,
    hold: Vec<u8>,
    replaced: bool,
    queue: Vec<Queued>,
    last: Pattern,
    readers: HashMap<String, Option<BufReader<File>>>,
}

impl<'a> Machine<'a> {
    /// Opens the files that the script writes.
    pub(crate) fn new(script: &'a mut Script, options: Options, input: Input, out: Output) -> Result<Self, String> {
        let open = |name: &String| match name.as_str() {
            "/dev/stdout" => Ok(None),
            name => Output::named(name)
                .map(Some)
                .map_err(|error| format!("couldn't open file {name}: {}", report::words(&error))),
        };
        let outputs = script.outputs.iter().map(open).collect::<Result<_, _>>()?;
        Ok(Self {
            commands: &mut script.commands,
            options,
            input,
            out,
            outputs,
            space: Vec::new(),
            ended: true,
            hold: Vec::new(),
            replaced: false,
            queue: Vec::new(),
            last: None,
            readers: HashMap::new(),
        })
    }

    /// Runs cycles until the input ends. The exit status, if a command asks for one.
    pub(crate) fn run(&mut self) -> io::Result<Option<u8>> {
        let mut again = false;
        loop {
            if !again && !self.read()? {
                return self.input.failure.take().map_or(Ok(None), |message| Err(io::Error::other(message)));
            }
            again = false;
            match self.cycle()? {
                Flow::Done => self.end_cycle(true)?,
                Flow::Deleted => self.end_cycle(false)?,
                Flow::Again => {
                    self.end_cycle(false)?;
                    again = true;
                }
                Flow::Quit(status) => {
                    self.end_cycle(true)?;
                    return Ok(Some(status));
                }
                Flow::QuitSilently(status) => return Ok(Some(status)),
            }
        }
    }

    /// Forgets what holds for one file alone.
    pub(crate) fn reset(&mut self) {
        for command in self.commands.iter_mut() {
            command.range = if matches!(command.start, Some(Address::Zero)) { Range::Open } else { Range::Closed };
        }
        self.input.line = 0;
    }

    fn read(&mut self) -> io::Result<bool> {
        let Some(line) = self.input.next_line()? else {
            return Ok(false);
        };
        (self.space, self.ended) = (line.text, line.ended);
        self.replaced = false;
        Ok(true)
    }

    fn end_cycle(&mut self, print: bool) -> io::Result<()> {
        if print && !self.options.silent {
            self.print()?;
        }
        self.write_queue()
    }

    fn end(&self) -> Option<u8> {
        self.ended.then_some(self.options.terminator)
    }

    fn print(&mut self) -> io::Result<()> {
        let end = self.end();
        self.out.line(&self.space, end)
    }

    fn write_queue(&mut self) -> io::Result<()> {
        for queued in mem::take(&mut self.queue) {
            match queued {
                Queued::Text(text) => self.out.text(&text)?,
                Queued::Line(line) => self.out.line(&line, Some(self.options.terminator))?,
                Queued::File(name) => {
                    let mut bytes = Vec::new();
                    // A file that cannot be read is as an empty one.
                    let read = match name.as_str() {
                        "/dev/stdin" => io::stdin().read_to_end(&mut bytes),
                        name => File::open(name).and_then(|mut file| file.read_to_end(&mut bytes)),
                    };
                    if read.is_ok() && !bytes.is_empty() {
                        self.out.text(&bytes)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The pattern that is meant: the last one that was used, for an empty one.
    fn used(&mut self, pattern: &Pattern) -> io::Result<Rc<Regex>> {
        if let Some(regex) = pattern {
            self.last = Some(Rc::clone(regex));
        }
        self.last.clone().ok_or_else(|| io::Error::other(NO_PATTERN))
    }

    fn matches(&mut self, pattern: &Pattern) -> io::Result<bool> {
        Ok(self.used(pattern)?.is_match(&self.space))
    }

    fn starts(&mut self, address: &Address) -> io::Result<bool> {
        Ok(match address {
            Address::Line(line) => self.input.line == *line,
            Address::Step(first, 0) => self.input.line == *first,
            Address::Step(first, step) => self.input.line >= *first && (self.input.line - first).is_multiple_of(*step),
            Address::Last => self.input.is_last(),
            Address::Match(pattern) => self.matches(pattern)?,
            Address::Zero => false,
        })
    }

    /// Whether the conditions of a command hold.
    fn holds(&mut self, index: usize) -> io::Result<bool> {
        let command = &self.commands[index];
        let (Some(start), negated) = (command.start.clone(), command.negated) else {
            return Ok(!self.commands[index].negated);
        };
        let holds = match command.end.clone() {
            None => self.starts(&start)?,
            Some(end) => self.in_range(index, &start, &end)?,
        };
        Ok(holds != negated)
    }

    fn in_range(&mut self, index: usize, start: &Address, end: &End) -> io::Result<bool> {
        let line = self.input.line;
        match self.commands[index].range {
            Range::OpenTo(to) if line < to => return Ok(true),
            Range::OpenTo(to) => {
                self.commands[index].range = Range::Closed;
                if line == to {
                    return Ok(true);
                }
            }
            Range::Open => {
                let ends = match end {
                    End::Match(pattern) => self.matches(pattern)?,
                    _ => self.input.is_last(),
                };
                if ends {
                    self.commands[index].range = Range::Closed;
                }
                return Ok(true);
            }
            Range::Closed => {}
        }
        if !self.starts(start)? {
            return Ok(false);
        }
        let to = match end {
            End::Line(to) => Some(*to),
            End::After(count) => Some(line.saturating_add(*count)),
            End::Multiple(0) => Some(line),
            End::Multiple(of) => Some(line.div_ceil(*of) * of),
            End::Last | End::Match(_) => None,
        };
        self.commands[index].range = match to {
            Some(to) if to > line => Range::OpenTo(to),
            Some(_) => Range::Closed,
            None if matches!(end, End::Last) && self.input.is_last() => Range::Closed,
            None => Range::Open,
        };
        Ok(true)
    }

    fn cycle(&mut self) -> io::Result<Flow> {
        let mut at = 0;
        while at < self.commands.len() {
            let holds = self.holds(at)?;
            if !holds {
                at = if let Action::Block(after) = self.commands[at].action { after } else { at + 1 };
                continue;
            }
            // Commands that jump or end the cycle are here, the others below.
            match &self.commands[at].action {
                Action::Branch(to) => at = *to,
                Action::BranchIfReplaced(to) => at = if mem::take(&mut self.replaced) { *to } else { at + 1 },
                Action::BranchUnlessReplaced(to) => at = if mem::take(&mut self.replaced) { at + 1 } else { *to },
                Action::Delete => return Ok(Flow::Deleted),
                Action::DeleteFirst => match self.space.iter().position(|byte| *byte == b'\n') {
                    None => return Ok(Flow::Deleted),
                    Some(newline) => {
                        self.space.drain(..=newline);
                        return Ok(Flow::Again);
                    }
                },
                Action::Quit(status) => return Ok(Flow::Quit(*status)),
                Action::QuitSilently(status) => return Ok(Flow::QuitSilently(*status)),
                Action::Change(text) => {
                    let command = &self.commands[at];
                    // Of a range its text comes once, at the end.
                    if command.end.is_none() || command.negated || command.range == Range::Closed {
                        let text = text.clone();
                        self.out.text(&text)?;
                    }
                    return Ok(Flow::Deleted);
                }
                Action::Next => {
                    if self.input.is_last() {
                        // GNU's prints what it has, POSIX's does not.
                        return Ok(if self.options.posix { Flow::QuitSilently(0) } else { Flow::Quit(0) });
                    }
                    self.end_cycle(true)?;
                    let replaced = self.replaced;
                    self.read()?;
                    self.replaced = replaced;
                    at += 1;
                }
                Action::NextAppend => {
                    if self.input.is_last() {
                        return Ok(if self.options.posix { Flow::QuitSilently(0) } else { Flow::Quit(0) });
                    }
                    self.write_queue()?;
                    if let Some(line) = self.input.next_line()? {
                        self.space.push(b'\n');
                        self.space.extend(line.text);
                        self.ended = line.ended;
                    }
                    at += 1;
                }
                _ => {
                    self.simple(at)?;
                    at += 1;
                }
            }
        }
        Ok(Flow::Done)
    }

    /// Runs a command after which the next one comes.
    fn simple(&mut self, at: usize) -> io::Result<()> {
        let end = Some(self.options.terminator);
        let first_line = |space: &[u8]| space.iter().position(|byte| *byte == b'\n').unwrap_or(space.len());
        match &self.commands[at].action {
            Action::Append(text) => self.queue.push(Queued::Text(text.clone())),
            Action::Insert(text) => self.out.text(text)?,
            Action::Read(name) => self.queue.push(Queued::File(name.clone())),
            Action::ReadLine(name) => {
                let name = name.clone();
                self.queue_line(name)?;
            }
            Action::Execute(command) => {
                let command = command.clone();
                self.execute(&command)?;
            }
            Action::FileName => {
                let name = self.input.name.clone();
                self.out.line(name.as_bytes(), Some(b'\n'))?;
            }
            Action::LineNumber => self.out.line(self.input.line.to_string().as_bytes(), Some(b'\n'))?,
            Action::Get => self.space.clone_from(&self.hold),
            Action::GetAppend => {
                self.space.push(b'\n');
                self.space.extend_from_slice(&self.hold);
            }
            Action::Hold => self.hold.clone_from(&self.space),
            Action::HoldAppend => {
                self.hold.push(b'\n');
                self.hold.extend_from_slice(&self.space);
            }
            Action::Exchange => mem::swap(&mut self.space, &mut self.hold),
            Action::List(length) => {
                let text = substitute::listed(&self.space, length.unwrap_or(self.options.line_length));
                self.out.text(&text)?;
            }
            Action::Print => self.print()?,
            Action::PrintFirst => {
                let length = first_line(&self.space);
                self.out.line(&self.space[..length], end)?;
            }
            Action::Write(to) => {
                let (to, end) = (*to, self.end());
                let line = mem::take(&mut self.space);
                self.write_to(to, &line, end)?;
                self.space = line;
            }
            Action::WriteFirst(to) => {
                let to = *to;
                let line = self.space[..first_line(&self.space)].to_vec();
                self.write_to(to, &line, end)?;
            }
            Action::Translate(pairs) => substitute::translate(&mut self.space, pairs),
            Action::Zap => self.space.clear(),
            Action::Substitute(_) => self.substitute(at)?,
            _ => {}
        }
        Ok(())
    }

    /// `e`: runs a command and prints what it prints; without one, the pattern space is run and replaced.
    fn execute(&mut self, command: &str) -> io::Result<()> {
        if !command.is_empty() {
            let bytes = run_shell(command, &mut self.out)?;
            return self.out.text(&bytes);
        }
        self.space = run_shell(&String::from_utf8_lossy(&self.space), &mut self.out)?;
        if self.space.last() == Some(&self.options.terminator) {
            self.space.pop();
        }
        Ok(())
    }

    fn write_to(&mut self, to: usize, line: &[u8], end: Option<u8>) -> io::Result<()> {
        match self.outputs.get_mut(to) {
            Some(Some(output)) => output.line(line, end),
            _ => self.out.line(line, end),
        }
    }

    fn queue_line(&mut self, name: String) -> io::Result<()> {
        let open = || File::open(&name).ok().map(BufReader::new);
        let Some(reader) = self.readers.entry(name.clone()).or_insert_with(open) else {
            return Ok(());
        };
        let mut line = Vec::new();
        if reader.read_until(self.options.terminator, &mut line)? > 0 {
            if line.last() == Some(&self.options.terminator) {
                line.pop();
            }
            self.queue.push(Queued::Line(line));
        }
        Ok(())
    }

    fn substitute(&mut self, at: usize) -> io::Result<()> {
        let Action::Substitute(substitution) = &self.commands[at].action else {
            return Ok(());
        };
        let pattern = substitution.pattern.clone();
        let regex = self.used(&pattern)?;
        let Action::Substitute(substitution) = &self.commands[at].action else {
            return Ok(());
        };
        let Some(space) = substitute::substitute(&regex, substitution, &self.space) else {
            return Ok(());
        };
        let (print, evaluate, write) = (substitution.print, substitution.evaluate, substitution.write);
        self.space = space;
        self.replaced = true;
        if evaluate {
            if print == 1 {
                self.print()?;
            }
            self.space = run_shell(&String::from_utf8_lossy(&self.space), &mut self.out)?;
            if self.space.last() == Some(&self.options.terminator) {
                self.space.pop();
            }
        }
        if print > 0 && !(evaluate && print == 1) {
            self.print()?;
        }
        if let Some(to) = write {
            let line = mem::take(&mut self.space);
            self.write_to(to, &line, self.end())?;
            self.space = line;
        }
        Ok(())
    }
}

/// What a command of the shell prints.
fn run_shell(command: &str, out: &mut Output) -> io::Result<Vec<u8>> {
    out.flush()?;
    let mut child = Child::new("sh").arg("-c").arg(command).stdout(Stdio::piped()).spawn()?;
    let mut bytes = Vec::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_end(&mut bytes)?;
    }
    child.wait()?;
    Ok(bytes)
}
