//! Files, commands and the terminal of a session.

use std::cell::RefCell;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::UNIX_EPOCH;

use unix_common::report;
use unix_common::tty::{Key, Raw};
use vi::{Finished, INTERRUPTED, LARGEST_TEXT, ReadError, System};
use whelk_guest::process::{self, Child, Command, Disposition, Event, Fd, Kind, Signal, Target, poll};

/// What the terminal gets before and after.
pub(crate) const BEGIN: &[u8] = b"\x1b[?1049h";
pub(crate) const END: &[u8] = b"\x1b[m\x1b[?1049l";

/// The system of a session.
pub(crate) struct Whelk {
    terminal: Rc<RefCell<Raw>>,
}

impl Whelk {
    pub(crate) fn new(terminal: Rc<RefCell<Raw>>) -> Self {
        // A command that does not read all of its input is no reason to end.
        let _ = process::set_disposition(Signal::Pipe, Disposition::Ignore);
        // A file that may not grow is an error of a write.
        let _ = process::set_disposition(Signal::Xfsz, Disposition::Ignore);
        Self { terminal }
    }

    fn shell(command: &str) -> Command {
        let shell = std::env::var("SHELL").ok().filter(|shell| !shell.is_empty()).unwrap_or_else(|| "sh".to_owned());
        let mut shell = Command::new(shell);
        shell.arg("-c").arg(command).reset_signal(Signal::Pipe).reset_signal(Signal::Xfsz);
        shell
    }
}

fn message(error: &io::Error) -> String {
    report::words(error)
}

impl System for Whelk {
    fn read(&mut self, path: &str) -> Result<Vec<u8>, ReadError> {
        if fs::metadata(path).is_ok_and(|found| found.is_dir()) {
            return Err(ReadError::Other("Is a directory".to_owned()));
        }
        let mut bytes = Vec::new();
        let most = u64::try_from(LARGEST_TEXT).unwrap_or(u64::MAX);
        // A device may have no end, and nothing interrupts reading from one.
        let kind = process::OpenOptions::new().read(true).open(path).map(|fd| fd.kind());
        if matches!(kind, Ok(Kind::Terminal | Kind::Device)) {
            return Err(ReadError::Other("It is a device".to_owned()));
        }
        let read = File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes));
        match read {
            Ok(_) if bytes.len() > LARGEST_TEXT => {
                Err(ReadError::Other(format!("it has more than {} MiB", LARGEST_TEXT >> 20)))
            }
            Ok(_) => Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(ReadError::NotFound),
            Err(error) => Err(ReadError::Other(message(&error))),
        }
    }

    fn write(&mut self, path: &str, bytes: &[u8], append: bool) -> Result<(), String> {
        write(path, bytes, append).map_err(|error| message(&error))
    }

    fn exists(&mut self, path: &str) -> bool {
        fs::symlink_metadata(path).is_ok()
    }

    fn is_writable(&mut self, path: &str) -> bool {
        OpenOptions::new().append(true).open(path).is_ok()
    }

    fn changed_at(&mut self, path: &str) -> Option<u128> {
        let found = fs::metadata(path).ok()?;
        let changed = found.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_nanos();
        Some(changed.wrapping_mul(31).wrapping_add(u128::from(found.len())))
    }

    fn complete(&mut self, path: &str) -> Vec<String> {
        let (folder, name) =
            path.rsplit_once('/').map_or(("", path), |(_, name)| (&path[..path.len() - name.len()], name));
        let listed = fs::read_dir(if folder.is_empty() { "." } else { folder });
        let mut found: Vec<String> = listed
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                let other = entry.file_name().into_string().ok()?;
                let hidden = other.starts_with('.') && !name.starts_with('.');
                let folder_sign = if entry.path().is_dir() { "/" } else { "" };
                (other.starts_with(name) && !hidden).then(|| format!("{folder}{other}{folder_sign}"))
            })
            .collect();
        found.sort();
        found
    }

    fn filter(&mut self, command: &str, input: Option<&[u8]>) -> Result<Finished, String> {
        let mut terminal = self.terminal.borrow_mut();
        let error = |error: io::Error| message(&error);
        // With the modes of the session, the interrupt key is a signal for the command and for the editor.
        terminal.lend().map_err(error)?;
        let before = process::set_disposition(Signal::Int, Disposition::Catch).map_err(error);
        let result = before.and_then(|before| {
            let result = filter(&mut terminal, command, input);
            process::set_disposition(Signal::Int, before).map_err(error)?;
            result
        });
        terminal.take_back().map_err(error)?;
        result
    }

    fn is_interrupted(&mut self) -> bool {
        self.terminal.borrow_mut().is_interrupted()
    }

    fn run(&mut self, command: &str) -> Result<(), String> {
        let mut terminal = self.terminal.borrow_mut();
        let result = lend(&mut terminal, |terminal| {
            terminal.write(format!(":!{command}\r\n").as_bytes())?;
            // The interrupt key is for the command.
            let before = process::set_disposition(Signal::Int, Disposition::Ignore)?;
            let status = Self::shell(command).reset_signal(Signal::Int).status();
            process::set_disposition(Signal::Int, before)?;
            let status = status?.shell_status();
            let said = if status == 0 { String::new() } else { format!("shell returned {status}\r\n") };
            terminal.write(format!("{said}\r\nPress ENTER to continue").as_bytes())
        });
        result.map_err(|error| message(&error))?;
        loop {
            match terminal.next_key() {
                Ok(Key::Resized) => {}
                Ok(_) => break,
                Err(error) => return Err(message(&error)),
            }
        }
        terminal.write(BEGIN).map_err(|error| message(&error))
    }

    fn suspend(&mut self) -> Result<(), String> {
        /// How long a stop may take.
        const STOP: std::time::Duration = std::time::Duration::from_millis(200);
        if process::identity().parent == 0 {
            return Err("There is no shell to go back to".to_owned());
        }
        let mut terminal = self.terminal.borrow_mut();
        let result = lend(&mut terminal, |_| {
            process::kill(Target::Group(0), Signal::Tstp)?;
            // It goes on with SIGCONT. A group that nobody could continue is not stopped.
            process::poll_timeout(&[Event::Signal], STOP);
            Ok(())
        });
        let result = result.and_then(|()| terminal.write(BEGIN));
        result.map_err(|error| message(&error))
    }
}

/// Lets others use the terminal, with the screen and the modes that it had before.
fn lend(terminal: &mut Raw, how: impl FnOnce(&mut Raw) -> io::Result<()>) -> io::Result<()> {
    terminal.write(END)?;
    terminal.lend()?;
    let result = how(terminal);
    terminal.take_back()?;
    result
}

/// Where a path leads, after links.
fn target(path: &str) -> PathBuf {
    /// As many links as Linux follows.
    const MOST: usize = 40;
    let mut path = PathBuf::from(path);
    for _ in 0..MOST {
        let Ok(next) = fs::read_link(&path) else { break };
        path = path.parent().unwrap_or(Path::new("")).join(next);
    }
    path
}

/// Writes a new file and gives it the name of the old one, which is there until then.
fn write(path: &str, bytes: &[u8], append: bool) -> io::Result<()> {
    let path = target(path);
    let found = fs::metadata(&path);
    if append || found.as_ref().is_ok_and(|found| !found.is_file()) {
        let options = process::OpenOptions::new().append(append).write(true).create(append);
        return (&options.open(&path)?).write_all(bytes);
    }
    if found.is_ok() {
        // Where the file may not be changed, it is not replaced either.
        drop(OpenOptions::new().append(true).open(&path)?);
    }
    let (fd, new) = create_beside(&path)?;
    let written = (&fd).write_all(bytes).and_then(|()| fs::rename(&new, &path));
    if written.is_err() {
        // What could not be written as a whole is of no use.
        let _ = fs::remove_file(&new);
    }
    written
}

/// Creates a file with a name that no other has, in the folder of a path.
fn create_beside(path: &Path) -> io::Result<(Fd, PathBuf)> {
    /// How many names are tried: those of editors that were killed while they wrote may be there.
    const NAMES: u32 = 100;
    let number = process::identity().id;
    let mut tried = 0;
    loop {
        // The name of the file itself may be as long as one can be.
        let new = path.with_file_name(format!(".vi-{number}-{tried}"));
        // The standard library's files tell of each error of a write that it is one of the device.
        match process::OpenOptions::new().write(true).create_new(true).open(&new) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tried < NAMES => tried += 1,
            opened => return Ok((opened?, new)),
        }
    }
}

/// Gives a command its input while its output is read. The interrupt key and the end of the session stop it.
fn filter(terminal: &mut Raw, command: &str, input: Option<&[u8]>) -> Result<Finished, String> {
    let words = |error: io::Error| message(&error);
    let (output, writer) = process::pipe().map_err(words)?;
    let mut shell = Whelk::shell(command);
    shell.stdout(writer.try_clone().map_err(words)?).stderr(writer);
    shell.stdin(if input.is_some() { process::Stdio::piped() } else { process::Stdio::null() });
    let mut child = shell.spawn().map_err(words)?;
    drop(shell);
    let result = exchange(terminal, &mut child, &output, input.unwrap_or_default());
    if result.is_err() {
        // Its own children end as they write to the pipe that is closed, or with the interrupt key.
        let _ = child.kill();
    }
    result
}

/// Writes the input, collects the output, and waits for the end.
fn exchange(terminal: &mut Raw, child: &mut Child, output: &Fd, mut input: &[u8]) -> Result<Finished, String> {
    /// What a line takes beside its bytes, and the most bytes that the output and its lines take.
    const LINE: usize = 40;
    const MOST: usize = 32 << 20;
    let mut stdin: Option<Fd> = child.stdin.take();
    let (mut collected, mut cost) = (Vec::new(), 0);
    let mut block = vec![0; 64 << 10];
    loop {
        if input.is_empty() {
            stdin = None;
        }
        let mut events = vec![Event::Readable(output), Event::Signal];
        events.extend(stdin.as_ref().map(Event::Writable));
        let ready = poll(&events);
        if terminal.is_interrupted() {
            return Err(INTERRUPTED.to_owned());
        }
        if ready.contains(&2)
            && let Some(mut pipe) = stdin.as_ref()
        {
            match pipe.write(input) {
                Ok(count) => input = &input[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The command does not read all of it.
                Err(_) => input = &[],
            }
        }
        if ready.contains(&0) {
            let mut reader = output;
            match reader.read(&mut block) {
                Ok(0) => break,
                Ok(count) => {
                    let new = &block[..count];
                    cost += count * 2 + new.iter().filter(|byte| **byte == b'\n').count() * LINE;
                    collected.extend_from_slice(new);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(message(&error)),
            }
        }
        if cost > MOST {
            return Err("E342: Out of memory: the output of the command is too long".to_owned());
        }
    }
    // It may have closed its output and go on.
    loop {
        if let Some(ended) = child.try_wait().map_err(|error| message(&error))? {
            return Ok(Finished { output: collected, status: ended.shell_status() });
        }
        poll(&[Event::Changed(child), Event::Signal]);
        if terminal.is_interrupted() {
            return Err(INTERRUPTED.to_owned());
        }
    }
}
