//! Files and commands that are read and written.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Read, Write};
use std::rc::Rc;

use unix_common::child::{self, Child, Command, Ending, Stdio};
use unix_common::regex::Regex;

/// What separates records.
#[derive(Debug, Clone)]
pub(crate) enum Separator {
    Byte(u8),
    /// Empty lines.
    Paragraph,
    Pattern(Rc<Regex>),
}

/// Reads records.
pub(crate) struct Reader {
    inner: Box<dyn Read>,
    buffer: Vec<u8>,
    start: usize,
    ended: bool,
}

/// A record, and what ended it.
pub(crate) type Taken = (Vec<u8>, Vec<u8>);

/// How much is read at once.
const BLOCK: usize = 1 << 16;

impl Reader {
    pub(crate) fn new(inner: Box<dyn Read>) -> Self {
        Self { inner, buffer: Vec::new(), start: 0, ended: false }
    }

    fn fill(&mut self) -> io::Result<()> {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        let length = self.buffer.len();
        self.buffer.resize(length + BLOCK, 0);
        let read = self.inner.read(&mut self.buffer[length..]);
        self.buffer.truncate(length + *read.as_ref().unwrap_or(&0));
        self.ended = read? == 0;
        Ok(())
    }

    /// The next record; none at the end.
    pub(crate) fn record(&mut self, separator: &Separator) -> io::Result<Option<Taken>> {
        if matches!(separator, Separator::Paragraph) {
            self.skip_newlines()?;
        }
        let mut scanned = 0;
        loop {
            let rest = &self.buffer[self.start..];
            let found = match separator {
                Separator::Byte(byte) => {
                    let at = rest[scanned..].iter().position(|found| found == byte);
                    at.map(|at| (scanned + at, scanned + at + 1))
                }
                Separator::Paragraph => paragraph_end(rest, self.ended),
                // A match at the end of what was read may go on.
                Separator::Pattern(regex) => {
                    let found = regex.find_at(rest, 0).filter(|(from, to)| from < to);
                    found.filter(|(_, to)| self.ended || *to < rest.len())
                }
            };
            if let Some((from, to)) = found {
                let record = (rest[..from].to_vec(), rest[from..to].to_vec());
                self.start += to;
                return Ok(Some(record));
            }
            if self.ended {
                let record = rest.to_vec();
                self.start = self.buffer.len();
                return Ok(if record.is_empty() { None } else { Some((record, Vec::new())) });
            }
            scanned = rest.len();
            self.fill()?;
        }
    }

    fn skip_newlines(&mut self) -> io::Result<()> {
        loop {
            while self.buffer.get(self.start) == Some(&b'\n') {
                self.start += 1;
            }
            if self.ended || self.start < self.buffer.len() {
                return Ok(());
            }
            self.fill()?;
        }
    }
}

/// Where the newlines after a paragraph begin and end.
fn paragraph_end(text: &[u8], ended: bool) -> Option<(usize, usize)> {
    let from = text.windows(2).position(|pair| pair == b"\n\n");
    match from {
        Some(from) => {
            let length = text[from..].iter().take_while(|byte| **byte == b'\n').count();
            (ended || from + length < text.len()).then_some((from, from + length))
        }
        None if ended && text.ends_with(b"\n") && text.len() > 1 => Some((text.len() - 1, text.len())),
        None => None,
    }
}

/// What a stream leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    File,
    Append,
    Command,
}

struct Output {
    writer: Box<dyn Write>,
    child: Option<Child>,
}

struct Input {
    reader: Reader,
    child: Option<Child>,
}

/// The streams that are open.
pub(crate) struct Streams {
    standard: BufWriter<io::Stdout>,
    immediate: bool,
    outputs: HashMap<(Kind, String), Output>,
    inputs: HashMap<(Kind, String), Input>,
}

impl Streams {
    pub(crate) fn new() -> Self {
        Self {
            standard: BufWriter::with_capacity(BLOCK, io::stdout()),
            immediate: io::stdout().is_terminal(),
            outputs: HashMap::new(),
            inputs: HashMap::new(),
        }
    }

    /// Writes to standard output.
    pub(crate) fn print(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.standard.write_all(bytes)?;
        if self.immediate { self.standard.flush() } else { Ok(()) }
    }

    /// Writes to a file or a command, which is opened by the first write.
    pub(crate) fn print_to(&mut self, kind: Kind, name: &str, bytes: &[u8]) -> io::Result<()> {
        if kind != Kind::Command && matches!(name, "/dev/stdout" | "-") {
            return self.print(bytes);
        }
        let key = (kind, name.to_owned());
        if !self.outputs.contains_key(&key) {
            let output = self.open_output(kind, name)?;
            self.outputs.insert(key.clone(), output);
        }
        let Some(output) = self.outputs.get_mut(&key) else { return Ok(()) };
        output.writer.write_all(bytes)?;
        if name == "/dev/stderr" { output.writer.flush() } else { Ok(()) }
    }

    fn open_output(&mut self, kind: Kind, name: &str) -> io::Result<Output> {
        let file = |file: File| Box::new(BufWriter::new(file)) as Box<dyn Write>;
        Ok(match kind {
            _ if name == "/dev/stderr" && kind != Kind::Command => {
                Output { writer: Box::new(io::stderr()), child: None }
            }
            Kind::File => Output { writer: file(File::create(name)?), child: None },
            Kind::Append => {
                Output { writer: file(OpenOptions::new().append(true).create(true).open(name)?), child: None }
            }
            Kind::Command => {
                self.flush_all()?;
                let mut child = Command::new("sh").arg("-c").arg(name).stdin(Stdio::piped()).spawn()?;
                let stdin = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
                Output { writer: Box::new(BufWriter::new(stdin)), child: Some(child) }
            }
        })
    }

    /// The next record of a file or of what a command prints.
    pub(crate) fn read_from(&mut self, kind: Kind, name: &str, separator: &Separator) -> io::Result<Option<Taken>> {
        let key = (kind, name.to_owned());
        if !self.inputs.contains_key(&key) {
            let input = self.open_input(kind, name)?;
            self.inputs.insert(key.clone(), input);
        }
        self.inputs.get_mut(&key).map_or(Ok(None), |input| input.reader.record(separator))
    }

    fn open_input(&mut self, kind: Kind, name: &str) -> io::Result<Input> {
        if kind == Kind::Command {
            self.flush_all()?;
            let mut child = Command::new("sh").arg("-c").arg(name).stdout(Stdio::piped()).spawn()?;
            let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
            return Ok(Input { reader: Reader::new(Box::new(stdout)), child: Some(child) });
        }
        Ok(Input { reader: Reader::new(open(name)?), child: None })
    }

    /// Runs a command. Its exit status, or 256 and the number of the signal that ended it.
    pub(crate) fn system(&mut self, command: &str) -> io::Result<f64> {
        self.flush_all()?;
        let status = Command::new("sh").arg("-c").arg(command).spawn()?.wait()?;
        Ok(status_number(child::ending(status)))
    }

    /// Writes what waits of a stream, or of all. False if there is no such stream.
    pub(crate) fn flush(&mut self, name: &str) -> io::Result<bool> {
        if name == "/dev/stdout" {
            self.standard.flush()?;
            return Ok(true);
        }
        let mut found = false;
        for (_, output) in self.outputs.iter_mut().filter(|((_, of), _)| of == name) {
            output.writer.flush()?;
            found = true;
        }
        Ok(found)
    }

    pub(crate) fn flush_all(&mut self) -> io::Result<()> {
        self.standard.flush()?;
        self.outputs.values_mut().try_for_each(|output| output.writer.flush())
    }

    /// Closes all streams of a name. The status of the command, if it is one; none if there is none.
    pub(crate) fn close(&mut self, name: &str) -> io::Result<Option<f64>> {
        let mut status = None;
        for kind in [Kind::File, Kind::Append, Kind::Command] {
            let key = (kind, name.to_owned());
            if let Some(output) = self.outputs.remove(&key) {
                status = Some(end_output(output)?);
            }
            if let Some(Input { reader, child }) = self.inputs.remove(&key) {
                drop(reader);
                status = Some(wait(child)?);
            }
        }
        Ok(status)
    }

    /// Closes everything, and waits for the commands that are written to.
    pub(crate) fn close_all(&mut self) -> io::Result<()> {
        self.standard.flush()?;
        for (_, output) in std::mem::take(&mut self.outputs) {
            end_output(output)?;
        }
        for (_, Input { reader, child }) in std::mem::take(&mut self.inputs) {
            drop(reader);
            wait(child)?;
        }
        Ok(())
    }
}

fn end_output(output: Output) -> io::Result<f64> {
    let Output { mut writer, child } = output;
    let flushed = writer.flush();
    // The command sees the end of its input.
    drop(writer);
    let status = wait(child)?;
    flushed.map(|()| status)
}

fn wait(child: Option<Child>) -> io::Result<f64> {
    match child {
        Some(mut child) => child.wait().map(|status| status_number(child::ending(status))),
        None => Ok(0.0),
    }
}

fn status_number(ending: Ending) -> f64 {
    match ending {
        Ending::Status(status) => f64::from(status),
        Ending::Signal(number) => 256.0 + f64::from(number),
    }
}

/// Opens a file to read; `-` is standard input.
pub(crate) fn open(name: &str) -> io::Result<Box<dyn Read>> {
    if matches!(name, "-" | "/dev/stdin") {
        return Ok(Box::new(io::stdin()));
    }
    Ok(Box::new(File::open(name)?))
}
