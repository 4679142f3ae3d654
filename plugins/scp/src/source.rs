//! The role that sends, `scp -f`.

#[cfg(test)]
mod tests;

use std::mem;

use crate::arguments::Request;
use crate::files::{FileError, Files, Found, Kind, Names, PATH, join, last_name};
use crate::text::{error_line, on_one_line, printable};

/// Files are read in pieces of this size, in bytes: what one call of the host gives.
const PIECE: usize = 64 << 10;
/// Longest message of the client, in bytes.
const LINE: usize = 2046;

/// What happens next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// These bytes go to the client.
    Send(&'a [u8]),
    /// Nothing until the client replies: [`Source::feed`] or [`Source::end`].
    Reply,
    /// It has ended.
    Done,
}

/// Sends files. [`step`](Self::step) says what is next.
///
/// It holds one piece of a file, and the names of the directories that are open.
pub struct Source<F: Files> {
    files: F,
    request: Request,
    /// The name under which the home directory is sent.
    home_name: String,
    /// The path that is sent next, of those in the request.
    argument: usize,
    /// Directories that have names that are not UTF-8, and how many. The client is to be told.
    unlisted: Vec<(String, u32)>,
    /// The directories that are being sent, the outermost first.
    open: Vec<Level>,
    next: Next<F::File>,
    /// The client is to reply first.
    waits: bool,
    output: Vec<u8>,
    /// Bytes of the client that were not read yet.
    input: Vec<u8>,
    failures: u64,
    shown: String,
}

/// A directory that is being sent.
struct Level {
    path: String,
    identity: u128,
    /// Its names, each followed by a slash.
    names: String,
    /// How many others there are, which are not UTF-8.
    unlisted: u32,
    /// Where the next name begins.
    at: usize,
}

enum Next<File> {
    /// The next entry, or the end of a directory.
    Entry,
    /// The line of an entry, whose times the client has.
    Header(Entry<File>),
    /// The contents of an entry that the client takes.
    Contents(Entry<File>),
    Done,
}

/// A file or directory to be sent.
enum Entry<File> {
    File(Outgoing<File>),
    Directory(Level),
}

/// A file that is being sent.
struct Outgoing<File> {
    file: File,
    path: String,
    size: u64,
    sent: u64,
    /// It could not be read. Zeros are sent in place of the rest.
    error: Option<FileError>,
}

impl<F: Files> Source<F> {
    /// Waits for the client to begin. The home directory or the root is sent under the name of the user, or as `home`
    /// if that cannot be the name of a directory.
    pub fn new(files: F, request: Request, user: &str) -> Self {
        let is_name = last_name(user) == Some(user);
        Self {
            files,
            request,
            home_name: if is_name { user } else { "home" }.to_owned(),
            argument: 0,
            unlisted: Vec::new(),
            open: Vec::new(),
            next: Next::Entry,
            waits: true,
            output: Vec::new(),
            input: Vec::new(),
            failures: 0,
            shown: String::new(),
        }
    }

    /// Tells the client of names that are not UTF-8 in these directories: nothing that has one is sent.
    #[must_use]
    pub fn with_unlisted(self, unlisted: Vec<(String, u32)>) -> Self {
        Self { unlisted, ..self }
    }

    /// Returns the next step. Call it when the previous one is done.
    pub fn step(&mut self) -> Step<'_> {
        self.output.clear();
        while self.output.is_empty() {
            if self.waits && !self.take_reply() {
                return Step::Reply;
            }
            if matches!(self.next, Next::Done) {
                return Step::Done;
            }
            self.advance();
        }
        Step::Send(&self.output)
    }

    /// The exit status.
    pub fn status(&self) -> u8 {
        u8::from(self.failures > 0)
    }

    /// What is to be shown on standard error, with `-v`.
    pub fn take_shown(&mut self) -> String {
        mem::take(&mut self.shown)
    }

    /// Takes bytes from the client.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// The client sends no more.
    pub fn end(&mut self) {
        self.failures += 1;
        self.waits = false;
        self.next = Next::Done;
    }

    /// Reads a reply. False if it has not come, or not all of it.
    fn take_reply(&mut self) -> bool {
        let Some(kind) = self.input.first() else { return false };
        let length = match kind {
            0 => 1,
            _ => match self.input.iter().position(|byte| *byte == b'\n') {
                Some(end) => end + 1,
                None if self.input.len() > LINE => self.input.len(),
                None => return false,
            },
        };
        match kind {
            0 => {}
            1 => {
                self.failures += 1;
                self.next = Next::Entry;
            }
            _ => {
                self.failures += 1;
                self.next = Next::Done;
            }
        }
        self.input.drain(..length);
        self.waits = false;
        true
    }

    fn advance(&mut self) {
        match mem::replace(&mut self.next, Next::Entry) {
            Next::Entry => self.choose(),
            Next::Header(entry) => self.send_header(entry),
            Next::Contents(Entry::Directory(level)) => {
                if level.unlisted > 0 {
                    self.unlisted.push((level.path.clone(), level.unlisted));
                }
                self.open.push(level);
            }
            Next::Contents(Entry::File(outgoing)) => self.send_contents(outgoing),
            Next::Done => self.next = Next::Done,
        }
    }

    /// Sends an error, and goes on.
    fn report(&mut self, path: &str, error: &FileError) {
        self.failures += 1;
        self.output.extend(error_line(&format!("{path}: {}", error.0)));
    }

    /// Goes to the next entry, to the end of a directory, or to the end.
    fn choose(&mut self) {
        if let Some((path, count)) = self.unlisted.pop() {
            return self.report(&path, &FileError::not_utf8(count));
        }
        let is_named = self.open.is_empty();
        let path = match self.open.last_mut() {
            Some(level) => match level.names[level.at..].split_once('/') {
                Some((name, _)) => {
                    level.at += name.len() + 1;
                    join(&level.path, name)
                }
                None => {
                    self.open.pop();
                    self.output.extend(b"E\n");
                    self.waits = true;
                    return;
                }
            },
            None => {
                let Some(path) = self.request.paths.get(self.argument) else {
                    self.next = Next::Done;
                    return;
                };
                self.argument += 1;
                let trimmed = path.trim_end_matches('/');
                if trimmed.is_empty() { path.clone() } else { trimmed.to_owned() }
            }
        };
        match self.open_entry(&path) {
            // What the host makes in a directory is not the user's.
            Ok((_, Found { is_hosts: true, .. })) if !is_named => {}
            Err(_) if !is_named && self.files.look(&path).is_ok_and(|found| found.is_hosts) => {}
            Ok((entry, found)) if self.request.times => {
                let line = format!("T{} 0 {} 0\n", found.times.modified, found.times.accessed);
                self.send_line(&line);
                self.next = Next::Header(entry);
            }
            Ok((entry, _)) => self.next = Next::Header(entry),
            Err(error) => self.report(&path, &error),
        }
    }

    fn open_entry(&mut self, path: &str) -> Result<(Entry<F::File>, Found), FileError> {
        if path.len() > PATH {
            return Err(FileError::NAME_TOO_LONG);
        }
        let (file, found) = self.files.open(path)?;
        let path = path.to_owned();
        match found.kind {
            Kind::File => Ok((Entry::File(Outgoing { file, path, size: found.size, sent: 0, error: None }), found)),
            Kind::Directory if self.request.recursive => {
                // A link to a directory that is being sent has no end. This bounds the depth, not the work: links to
                // siblings are followed each time.
                let identity = self.files.identity(&file)?;
                if self.open.iter().any(|level| level.identity == identity) {
                    return Err(FileError::LOOP);
                }
                let Names { text: names, unlisted } = self.files.list(&path, file)?;
                Ok((Entry::Directory(Level { path, identity, names, unlisted, at: 0 }), found))
            }
            Kind::Directory | Kind::Other => Err(FileError::NOT_REGULAR),
        }
    }

    /// Sends a line that the client replies to.
    fn send_line(&mut self, line: &str) {
        if self.request.verbose {
            self.shown.push_str(&format!("Source: {}\n", printable(line.trim_end_matches('\n'))));
        }
        self.output.extend(line.bytes());
        self.waits = true;
    }

    /// Sends the line of an entry. There are no modes: 0644 and 0755 are what most files have elsewhere.
    fn send_header(&mut self, entry: Entry<F::File>) {
        let (kind, size, path) = match &entry {
            Entry::File(outgoing) => ("C0644", outgoing.size, &outgoing.path),
            Entry::Directory(level) => ("D0755", 0, &level.path),
        };
        // Clients refuse a name that is empty, `.` or `..`.
        let name = on_one_line(last_name(path).unwrap_or(&self.home_name));
        self.send_line(&format!("{kind} {size} {name}\n"));
        self.next = Next::Contents(entry);
    }

    /// Sends a piece of a file. After an error zeros follow: the client waits for as many bytes as were announced.
    fn send_contents(&mut self, mut outgoing: Outgoing<F::File>) {
        let missing = outgoing.size - outgoing.sent;
        let most = usize::try_from(missing).map_or(PIECE, |missing| missing.min(PIECE));
        if outgoing.error.is_none() && most > 0 {
            match self.files.read(&mut outgoing.file, outgoing.sent, most) {
                Ok(bytes) if bytes.is_empty() => outgoing.error = Some(FileError::SHRUNK),
                Ok(bytes) => self.output = bytes,
                Err(error) => outgoing.error = Some(error),
            }
        }
        if outgoing.error.is_some() {
            self.output.resize(most, 0);
        }
        outgoing.sent += self.output.len() as u64;
        if outgoing.sent < outgoing.size {
            self.next = Next::Contents(Entry::File(outgoing));
            return;
        }
        match outgoing.error {
            None => self.output.push(0),
            Some(error) => self.report(&outgoing.path, &error),
        }
        self.waits = true;
    }
}
