//! The role that receives, `scp -t`.
//!
//! The states: Line waits for a record, Data for the rest of a file's bytes, Reply for the sender's status of the file.
//! Done takes nothing more: after the end of the transfer, or of the input, or a fatal error.

mod record;
#[cfg(test)]
mod tests;

use std::mem;

use crate::arguments::Request;
use crate::files::{FileError, Files, Found, Kind, PATH, Times, join};
use crate::text::{error_line, printable};
use record::Record;

/// Longest line in bytes, without its newline.
const LINE: usize = 2046;
/// Beyond so many bytes of replies and log they have to be taken before more of the client's bytes are.
const REPLIES: usize = 4 << 10;
/// Files are written in pieces of this size, in bytes: what one call of the host takes.
const PIECE: usize = 64 << 10;

/// Receives files. [`feed`](Self::feed) takes what the client sends, [`take_reply`](Self::take_reply) gives what it
/// is to get.
///
/// It holds at most one line, one piece of a file, 16 KiB of replies and log, and 40 bytes for each directory that is
/// open, of which a path has at most 2,048.
pub struct Sink<F: Files> {
    files: F,
    request: Request,
    /// The directory or file that the next entry goes to.
    target: String,
    /// Whether entries are put into it, under their names.
    is_directory: bool,
    /// The directories around `target`, the outermost first.
    outer: Vec<Outer>,
    /// Times from the last T line, for the next entry.
    times: Option<Times>,
    /// The beginning of a line.
    line: Vec<u8>,
    state: State<F::File>,
    is_first: bool,
    failures: u64,
    reply: Vec<u8>,
    shown: String,
}

/// A directory whose contents are being received, as it is left.
struct Outer {
    /// The length of `target` outside of it.
    length: usize,
    is_directory: bool,
    /// Its own times, set at its end.
    times: Option<Times>,
}

enum State<File> {
    Line,
    Data(Incoming<File>),
    Reply(Incoming<File>),
    Done,
}

/// A file that is being received.
struct Incoming<File> {
    path: String,
    /// `None` after an error: the rest of its bytes is read and dropped.
    file: Option<File>,
    size: u64,
    /// How many bytes have come.
    received: u64,
    /// How many of them were written.
    written: u64,
    /// Received and not yet written; less than a piece.
    pending: Vec<u8>,
    /// The file may have been longer: it is cut at the end.
    truncate: bool,
    times: Option<Times>,
    /// The error to send after the data.
    error: Option<String>,
}

impl<F: Files> Sink<F> {
    /// Begins: the first reply is there.
    pub fn new(files: F, request: Request) -> Self {
        let mut sink = Self {
            files,
            request,
            target: String::new(),
            is_directory: false,
            outer: Vec::new(),
            times: None,
            line: Vec::new(),
            state: State::Line,
            is_first: true,
            failures: 0,
            reply: Vec::new(),
            shown: String::new(),
        };
        sink.start();
        sink
    }

    fn start(&mut self) {
        let [target] = &*self.request.paths else { return self.fail("ambiguous target") };
        self.target.clone_from(target);
        let found = self.files.look(&self.target);
        self.is_directory = matches!(found, Ok(Found { kind: Kind::Directory, .. }));
        if self.request.directory && !self.is_directory {
            let error = found.err().unwrap_or(FileError::NOT_DIRECTORY);
            return self.fail(&format!("{}: {}", self.target, error.0));
        }
        self.reply.push(0);
    }

    /// Whether it has ended. What is fed afterwards is dropped.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// The exit status.
    pub fn status(&self) -> u8 {
        u8::from(self.failures > 0)
    }

    /// What is to be sent to the client now.
    pub fn take_reply(&mut self) -> Vec<u8> {
        mem::take(&mut self.reply)
    }

    /// What is to be shown on standard error, with `-v`.
    pub fn take_shown(&mut self) -> String {
        mem::take(&mut self.shown)
    }

    /// Takes bytes from the client. Returns those that it has not taken, because replies wait: take them, and then feed
    /// the rest.
    pub fn feed<'a>(&mut self, mut bytes: &'a [u8]) -> &'a [u8] {
        while !bytes.is_empty() && self.reply.len() + self.shown.len() < REPLIES {
            bytes = match mem::replace(&mut self.state, State::Line) {
                State::Line => self.take_line(bytes),
                State::Data(incoming) => self.take_data(incoming, bytes),
                State::Reply(incoming) => self.take_answer(incoming, bytes),
                State::Done => {
                    self.state = State::Done;
                    return &[];
                }
            };
        }
        bytes
    }

    /// The client sends no more. What has come of a file is written.
    pub fn end(&mut self) {
        match mem::replace(&mut self.state, State::Done) {
            State::Line if self.line.is_empty() => while self.leave_directory() {},
            State::Line => self.fail("protocol error: lost connection"),
            State::Data(mut incoming) => {
                self.write(&mut incoming, &[], true);
                self.fail("Broken pipe");
            }
            State::Reply(_) => self.failures += 1,
            State::Done => {}
        }
    }

    /// Sends an error, and goes on.
    fn report(&mut self, text: &str) {
        self.failures += 1;
        self.reply.extend(error_line(text));
    }

    /// Sends an error, and ends.
    fn fail(&mut self, text: &str) {
        self.report(text);
        self.state = State::Done;
    }

    /// Reads up to the end of a line. Gives the bytes behind it.
    fn take_line<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let Some((line, rest)) = split_line(&mut self.line, bytes) else { return &[] };
        match line {
            Some(line) => self.take_record(&line),
            None => self.fail("protocol error: line too long"),
        }
        rest
    }

    fn take_record(&mut self, line: &[u8]) {
        if self.request.verbose {
            self.shown.push_str(&format!("Sink: {}\n", printable(&String::from_utf8_lossy(line))));
        }
        match record::parse(line) {
            Ok(Record::Warning) => self.failures += 1,
            Ok(Record::Fatal) => {
                self.failures += 1;
                self.state = State::Done;
            }
            Ok(Record::End) => {
                self.reply.push(0);
                if !self.leave_directory() {
                    self.state = State::Done;
                }
            }
            Ok(Record::Times(times)) => {
                self.times = times;
                self.reply.push(0);
            }
            Ok(Record::File { size, name }) => self.take_file(size, name),
            Ok(Record::Directory { .. }) if !self.request.recursive => {
                self.fail("protocol error: received directory without -r");
            }
            Ok(Record::Directory { name }) => self.enter_directory(name),
            // It is not scp that sends, but a shell's message.
            Ok(Record::Unknown) if self.is_first => self.fail(&String::from_utf8_lossy(line)),
            Ok(Record::Unknown) => self.fail("protocol error: expected control record"),
            Err(mistake) => self.fail(&format!("protocol error: {mistake}")),
        }
        self.is_first = false;
    }

    /// Where an entry of this name goes. `None` after an error, which was said.
    fn path(&mut self, name: &[u8]) -> Option<String> {
        if matches!(name, b"" | b"." | b"..") || name.iter().any(|byte| matches!(byte, 0 | b'/')) {
            self.fail(&format!("error: unexpected filename: {}", String::from_utf8_lossy(name)));
            return None;
        }
        let Ok(name) = str::from_utf8(name) else {
            let path = join(&self.target, &String::from_utf8_lossy(name));
            self.report(&format!("{path}: the name is not UTF-8"));
            return None;
        };
        let path = if self.is_directory { join(&self.target, name) } else { self.target.clone() };
        if path.len() > PATH {
            self.report(&format!("{path}: {}", FileError::NAME_TOO_LONG.0));
            return None;
        }
        Some(path)
    }

    fn enter_directory(&mut self, name: &[u8]) {
        let times = self.times.take();
        let Some(path) = self.path(name) else { return };
        let made = match self.files.look(&path) {
            Ok(Found { kind: Kind::Directory, .. }) => Ok(()),
            Ok(_) => Err(FileError::NOT_DIRECTORY),
            Err(_) => self.files.make_directory(&path),
        };
        if let Err(error) = made {
            return self.report(&format!("{path}: {}", error.0));
        }
        self.outer.push(Outer { length: self.target.len(), is_directory: self.is_directory, times });
        self.target = path;
        self.is_directory = true;
        self.reply.push(0);
    }

    /// Leaves the innermost directory. False if there is none. Times that were refused are no error, as with OpenSSH.
    fn leave_directory(&mut self) -> bool {
        let Some(outer) = self.outer.pop() else { return false };
        // A T line holds for the next entry in its own directory.
        self.times = None;
        if let Some(times) = outer.times {
            let _ = self.files.set_times(&self.target, times);
        }
        self.target.truncate(outer.length);
        self.is_directory = outer.is_directory;
        true
    }

    fn take_file(&mut self, size: u64, name: &[u8]) {
        let times = self.times.take();
        let Some(path) = self.path(name) else { return };
        let found = self.files.look(&path);
        let file = match self.files.create(&path) {
            Ok(file) => file,
            Err(error) => return self.report(&format!("{path}: {}", error.0)),
        };
        // A device keeps its size.
        let truncate = matches!(found, Ok(Found { kind: Kind::File, size: old, .. }) if old > 0);
        let incoming = Incoming {
            path,
            file: Some(file),
            size,
            received: 0,
            written: 0,
            pending: Vec::new(),
            truncate,
            times,
            error: None,
        };
        self.reply.push(0);
        self.receive(incoming);
    }

    /// Goes on with a file, whose bytes may all have come.
    fn receive(&mut self, mut incoming: Incoming<F::File>) {
        if incoming.received < incoming.size {
            self.state = State::Data(incoming);
            return;
        }
        self.write(&mut incoming, &[], true);
        if let Some(mut file) = incoming.file.take()
            && incoming.truncate
            && let Err(error) = self.files.set_size(&mut file, incoming.size)
        {
            self.note(&mut incoming, "truncate: ", &error);
        }
        self.state = State::Reply(incoming);
    }

    /// Takes bytes of a file. Gives those behind it.
    fn take_data<'a>(&mut self, mut incoming: Incoming<F::File>, bytes: &'a [u8]) -> &'a [u8] {
        let missing = incoming.size - incoming.received;
        let count = usize::try_from(missing).map_or(bytes.len(), |missing| missing.min(bytes.len()));
        let (data, rest) = bytes.split_at(count);
        incoming.received += count as u64;
        self.write(&mut incoming, data, false);
        self.receive(incoming);
        rest
    }

    /// Writes bytes of a file, in whole pieces unless it is at its end.
    fn write(&mut self, incoming: &mut Incoming<F::File>, mut data: &[u8], is_end: bool) {
        while incoming.file.is_some() && (is_end || incoming.pending.len() + data.len() >= PIECE) {
            if incoming.pending.is_empty() && !is_end {
                let (piece, rest) = data.split_at(PIECE);
                data = rest;
                self.write_piece(incoming, piece);
                continue;
            }
            let mut pending = mem::take(&mut incoming.pending);
            let (piece, rest) = data.split_at(data.len().min(PIECE - pending.len()));
            data = rest;
            pending.extend_from_slice(piece);
            self.write_piece(incoming, &pending);
            pending.clear();
            incoming.pending = pending;
            if is_end {
                return;
            }
        }
        if incoming.file.is_some() {
            incoming.pending.extend_from_slice(data);
        }
    }

    fn write_piece(&mut self, incoming: &mut Incoming<F::File>, piece: &[u8]) {
        let Some(file) = incoming.file.as_mut().filter(|_| !piece.is_empty()) else { return };
        match self.files.write(file, incoming.written, piece) {
            Ok(()) => incoming.written += piece.len() as u64,
            Err(error) => {
                self.note(incoming, "", &error);
                incoming.file = None;
                incoming.pending = Vec::new();
            }
        }
    }

    /// Keeps an error for the end of a file: until then the client reads no reply. The first one is said.
    fn note(&mut self, incoming: &mut Incoming<F::File>, what: &str, error: &FileError) {
        self.failures += 1;
        if incoming.error.is_none() {
            incoming.error = Some(format!("{}: {what}{}", incoming.path, error.0));
        }
    }

    /// Takes what the client says of a file that it has sent. Gives the bytes behind it.
    fn take_answer<'a>(&mut self, incoming: Incoming<F::File>, bytes: &'a [u8]) -> &'a [u8] {
        if let (true, [0, rest @ ..]) = (self.line.is_empty(), bytes) {
            self.complete(incoming);
            return rest;
        }
        let Some((line, rest)) = split_line(&mut self.line, bytes) else {
            self.state = State::Reply(incoming);
            return &[];
        };
        self.failures += 1;
        match line.as_deref() {
            Some([1, ..]) => self.complete(incoming),
            _ => self.state = State::Done,
        }
        rest
    }

    fn complete(&mut self, mut incoming: Incoming<F::File>) {
        if let (None, Some(times)) = (&incoming.error, incoming.times.take())
            && let Err(error) = self.files.set_times(&incoming.path, times)
        {
            self.note(&mut incoming, "set times: ", &error);
        }
        match incoming.error {
            Some(text) => self.reply.extend(error_line(&text)),
            None => self.reply.push(0),
        }
    }
}

/// Splits bytes behind the end of a line. `kept` has the beginning of the line that came before, and keeps what comes
/// of it now if it has no end: then there is nothing to return. The line is `None` if it is too long.
fn split_line<'a>(kept: &mut Vec<u8>, bytes: &'a [u8]) -> Option<(Option<Vec<u8>>, &'a [u8])> {
    let end = bytes.iter().take(LINE + 1).position(|byte| *byte == b'\n');
    let (part, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
    if kept.len() + part.len() > LINE {
        return Some((None, &[]));
    }
    kept.extend_from_slice(part);
    end.is_some().then(|| (Some(mem::take(kept)), &rest[1..]))
}
