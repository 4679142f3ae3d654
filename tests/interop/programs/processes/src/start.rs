//! Starting this program in another role, and small words for what the steps do often.

use crate::Os;
use crate::system::{Change, Group, How, Request, Result, System, Target};

pub(crate) type Fd = <Os as System>::Fd;
pub(crate) type Child = <Os as System>::Child;

/// What to start. It gets 0, 1 and 2 of this process, an empty environment and the current directory, unless something
/// else is said.
pub(crate) struct Start<'a> {
    program: String,
    argv: Vec<String>,
    env: Vec<(String, String)>,
    cwd: String,
    given: Vec<(u32, &'a Fd)>,
    inherited: Vec<u32>,
    group: Group,
    foreground: bool,
    ignored: Vec<String>,
}

/// This program in a role with these words.
pub(crate) fn role<'a>(words: &[&str]) -> Start<'a> {
    let own = Os::program();
    let argv = [own.as_str(), "role"].into_iter().chain(words.iter().copied());
    program(&own, &argv.collect::<Vec<_>>())
}

/// Any program with any arguments.
pub(crate) fn program<'a>(path: &str, argv: &[&str]) -> Start<'a> {
    Start {
        program: path.to_owned(),
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        env: Vec::new(),
        cwd: here(),
        given: Vec::new(),
        inherited: vec![0, 1, 2],
        group: Group::Inherit,
        foreground: false,
        ignored: Vec::new(),
    }
}

impl<'a> Start<'a> {
    pub(crate) fn fd(mut self, number: u32, fd: &'a Fd) -> Self {
        self = self.without(number);
        self.given.push((number, fd));
        self
    }

    pub(crate) fn without(mut self, number: u32) -> Self {
        self.inherited.retain(|inherited| *inherited != number);
        self
    }

    pub(crate) fn group(mut self, group: Group) -> Self {
        self.group = group;
        self
    }

    /// In the foreground of the terminal, as a group of its own.
    pub(crate) fn foreground(mut self) -> Self {
        (self.group, self.foreground) = (Group::New, true);
        self
    }

    pub(crate) fn ignoring(mut self, signals: &[&str]) -> Self {
        self.ignored = signals.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    pub(crate) fn env(mut self, variables: &[(&str, &str)]) -> Self {
        self.env = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self
    }

    pub(crate) fn cwd(mut self, path: &str) -> Self {
        path.clone_into(&mut self.cwd);
        self
    }

    pub(crate) fn spawn(self) -> Result<Child> {
        self.with(Os::spawn)
    }

    /// Returns only when it fails.
    pub(crate) fn exec(self) -> String {
        self.with(Os::exec)
    }

    /// Runs it to its end.
    pub(crate) fn run(self) -> Result<Change> {
        end(&self.spawn()?)
    }

    /// Runs it to its end, and returns what it has written to 1, which must fit into a pipe.
    pub(crate) fn output(self) -> Result<String> {
        let (reader, writer) = Os::pipe()?;
        let mut start = self.without(1);
        start.given.push((1, &writer));
        // The reference to the writer ends with the start.
        let child = start.with(Os::spawn)?;
        drop(writer);
        let output = text(&reader)?;
        match end(&child)? {
            Change::Exited(0) => Ok(output),
            ended => Ok(format!("{output}[{ended}]")),
        }
    }

    fn with<T>(self, act: impl FnOnce(&Request<Fd>) -> T) -> T {
        let open = self.inherited.into_iter().filter_map(|number| Some((number, Os::get(number)?)));
        let inherited: Vec<(u32, Fd)> = open.collect();
        let fds = inherited.iter().map(|(number, fd)| (*number, fd)).chain(self.given).collect();
        act(&Request {
            program: self.program,
            argv: self.argv,
            env: self.env,
            cwd: self.cwd,
            fds,
            group: self.group,
            foreground: self.foreground,
            ignored: self.ignored,
        })
    }
}

/// The current directory.
pub(crate) fn here() -> String {
    std::env::current_dir().expect("there is one").display().to_string()
}

/// The absolute path of a file in the current directory.
pub(crate) fn path(name: &str) -> String {
    format!("{}/{name}", here().trim_end_matches('/'))
}

/// What 0 leads to.
pub(crate) fn input() -> Result<Fd> {
    Os::get(0).ok_or("no input".to_owned())
}

/// What 1 leads to.
pub(crate) fn output() -> Result<Fd> {
    Os::get(1).ok_or("no output".to_owned())
}

/// Writes all of it.
pub(crate) fn write(fd: &Fd, mut data: &[u8]) -> Result<()> {
    while !data.is_empty() {
        let count = Os::write(fd, data)?;
        data = &data[count..];
    }
    Ok(())
}

/// Writes a line to a number.
pub(crate) fn say(number: u32, line: &str) {
    if let Some(fd) = Os::get(number) {
        // Nobody may be there to read it.
        let _ = write(&fd, format!("{line}\n").as_bytes());
    }
}

/// Reads to the end.
pub(crate) fn bytes(fd: &Fd) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let more = Os::read(fd, 64 << 10)?;
        if more.is_empty() {
            return Ok(all);
        }
        all.extend(more);
    }
}

/// Reads text to the end, for one line of output.
pub(crate) fn text(fd: &Fd) -> Result<String> {
    let bytes = bytes(fd)?;
    Ok(String::from_utf8_lossy(&bytes).trim_end().replace('\n', " | "))
}

/// Reads a line, byte by byte, since the rest is somebody else's. Without its end.
pub(crate) fn line(fd: &Fd) -> Result<String> {
    let mut line = Vec::new();
    loop {
        match Os::read(fd, 1)?.first() {
            None | Some(b'\n') => return Ok(String::from_utf8_lossy(&line).into_owned()),
            Some(byte) => line.push(*byte),
        }
    }
}

/// Waits for the next change of one child.
pub(crate) fn change(child: &Child) -> Result<Change> {
    Ok(Os::wait(&[child])?.1)
}

/// Waits until a child has ended.
pub(crate) fn end(child: &Child) -> Result<Change> {
    loop {
        let change = change(child)?;
        if change.is_end() {
            return Ok(change);
        }
    }
}

/// Sends a signal to a child.
pub(crate) fn signal(child: &Child, name: &str) -> Result<()> {
    Os::kill(Target::Process(Os::id(child)), Some(name))
}

/// A new file with these contents.
pub(crate) fn file(name: &str, contents: &str) -> Result<String> {
    let path = path(name);
    write(&Os::open(&path, How::NEW)?, contents.as_bytes())?;
    Ok(path)
}

/// The contents of a file.
pub(crate) fn contents(name: &str) -> Result<String> {
    text(&Os::open(&path(name), How::READ)?)
}

/// The error, or `ok`.
pub(crate) fn outcome<T>(result: Result<T>) -> String {
    result.err().unwrap_or_else(|| "ok".to_owned())
}
