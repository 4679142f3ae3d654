//! A program that uses its descriptors. Each argument is something that it does, one after the other. Results are
//! printed on standard error, and descriptions have names: `pipe r w`, `write w text`, `read r 10`.

wit_bindgen::generate!({
    path: "../../../../../wit/process",
    inline: "
        package whelk:test;
        world descriptors {
            include whelk:process/processes@0.1.0;
        }
    ",
    world: "whelk:test/descriptors",
    generate_all,
});

use std::collections::HashMap;
use std::fmt::Debug;
use std::io::{self, IsTerminal, Read, Write};
use std::{env, fs};

use whelk::process::process::{
    self, Change, Child, Ending, Errno, Fd, GroupChoice, Limits, OpenFlags, Request, Whence,
};

fn main() {
    let (mut names, mut children) = (HashMap::new(), Vec::new());
    for argument in env::args().skip(1) {
        let (word, rest) = argument.split_once(' ').unwrap_or((&argument, ""));
        let result = match word {
            "print" | "put-text" | "line" | "input" | "show" | "save" | "append" | "list" | "terminals" | "cat" => {
                standard(word, rest)
            }
            "spawn" => spawn(&names, rest, &mut children),
            "wait" => Ok(wait(&mut children)),
            _ => described(&mut names, word, rest),
        };
        match result {
            Ok(text) if text.is_empty() => {}
            Ok(text) => tell(&text),
            Err(text) => tell(&text),
        }
    }
}

/// A line of standard error. Nobody may read it.
fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Uses WASI.
fn standard(word: &str, rest: &str) -> Result<String, String> {
    let failed = |error: io::Error| format!("{word}: {:?}", error.kind());
    match word {
        "print" => {
            print!("{rest}");
            io::stdout().flush().map_err(failed)?;
        }
        // The same, and the error is told.
        "put-text" => {
            let mut output = io::stdout();
            output.write_all(rest.as_bytes()).and_then(|()| output.flush()).map_err(failed)?;
        }
        "line" => {
            let mut line = String::new();
            io::stdin().read_line(&mut line).map_err(failed)?;
            return Ok(format!("{line:?}"));
        }
        "input" => {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text).map_err(failed)?;
            return Ok(format!("{text:?}"));
        }
        "cat" => {
            return io::copy(&mut io::stdin(), &mut io::stdout()).map(|all| format!("{all} bytes")).map_err(failed);
        }
        "show" => return fs::read_to_string(rest).map(|text| format!("{text:?}")).map_err(failed),
        "save" | "append" => {
            let (path, text) = rest.split_once(' ').unwrap();
            let mut options = fs::OpenOptions::new();
            options.write(true).create(true).append(word == "append");
            options.open(path).and_then(|mut file| file.write_all(text.as_bytes())).map_err(failed)?;
        }
        "list" => {
            let names = fs::read_dir(rest).map_err(failed)?.map(|entry| entry.unwrap().file_name());
            let names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
            return Ok(names.join(" "));
        }
        _ => {
            let (input, output, error) = (io::stdin(), io::stdout(), io::stderr());
            return Ok(format!("{} {} {}", input.is_terminal(), output.is_terminal(), error.is_terminal()));
        }
    }
    Ok(String::new())
}

/// Starts this program. As `spawn FDS ACTIONS`, where FDS is `0=NAME,1=NAME` and the actions have `;` between them, and
/// `file-kib=N` is a limit among the FDS.
fn spawn(names: &HashMap<String, Fd>, rest: &str, children: &mut Vec<Child>) -> Result<String, String> {
    let (given, actions) = rest.split_once(' ').unwrap();
    let mut limits = Limits { cpu_ms: None, memory_kib: None, files: None, processes: None, file_kib: None };
    let mut fds = Vec::new();
    for (number, name) in given.split(',').filter_map(|given| given.split_once('=')) {
        match number {
            "file-kib" => limits.file_kib = Some(name.parse().unwrap()),
            number => fds.push((number.parse().unwrap(), &names[name])),
        }
    }
    let argv = ["descriptors"].into_iter().chain(actions.split(';')).map(str::to_owned).collect();
    let child = process::spawn(&Request {
        program: "descriptors".to_owned(),
        argv,
        env: Vec::new(),
        cwd: "/".to_owned(),
        fds,
        group: GroupChoice::Inherit,
        foreground: false,
        ignored: Vec::new(),
        limits,
    });
    children.push(child.map_err(|error| format!("spawn: {}", error.name()))?);
    Ok(String::new())
}

/// Waits for all children: how each has ended, in the order in which they were started.
fn wait(children: &mut Vec<Child>) -> String {
    let mut endings = vec![String::new(); children.len()];
    while endings.iter().any(String::is_empty) {
        let left: Vec<_> = (0..children.len()).filter(|index| endings[*index].is_empty()).collect();
        match process::wait(&left.iter().map(|index| &children[*index]).collect::<Vec<_>>()) {
            Ok((index, Change::Exited(Ending::Status(status)))) => {
                endings[left[usize::try_from(index).unwrap()]] = status.to_string();
            }
            Ok((index, Change::Exited(Ending::Signal(name)))) => endings[left[usize::try_from(index).unwrap()]] = name,
            Ok(_) => {}
            Err(error) => return error.name().to_owned(),
        }
    }
    children.clear();
    endings.join(" ")
}

/// The words of an action.
struct Action<'a> {
    word: &'a str,
    rest: &'a str,
    words: Vec<&'a str>,
}

impl Action<'_> {
    fn at(&self, index: usize) -> &str {
        self.words.get(index).copied().unwrap_or_default()
    }

    fn number(&self, index: usize) -> u32 {
        self.at(index).parse().unwrap()
    }

    fn failed(&self, error: Errno) -> String {
        format!("{} {}: {}", self.word, self.at(0), error.name())
    }

    fn done(&self, result: Result<(), Errno>) -> Result<String, String> {
        result.map(|()| String::new()).map_err(|error| self.failed(error))
    }
}

/// Uses `whelk:process`.
fn described(names: &mut HashMap<String, Fd>, word: &str, rest: &str) -> Result<String, String> {
    let action = Action { word, rest, words: rest.splitn(3, ' ').collect() };
    if let Some(result) = named(names, &action) {
        return result;
    }
    let known = |index: usize| names.get(action.at(index)).unwrap_or_else(|| panic!("no {rest}"));
    match word {
        "close" => action.done(process::close(action.number(0))),
        "numbers" => Ok(format!("{:?}", process::numbers())),
        "pipes" | "opens" => Ok(most(|held| many(word, rest, held))),
        "dups" => Ok(most(|held| {
            held.push(known(0).dup()?);
            Ok(())
        })),
        "puts" => {
            let put = |count: &u32| process::put(10 + count, known(0)).is_ok();
            let count = (0..).take_while(put).count();
            let error = process::put(1000, known(0)).unwrap_err();
            Ok(format!("{count}, then {}", error.name()))
        }
        "put" => action.done(process::put(action.number(0), known(1))),
        "copy" => copy(known(0), known(1)).map_err(|error| action.failed(error)),
        _ => used(known(0), &action),
    }
}

/// What makes a description and gives it a name, or takes the name away.
fn named(names: &mut HashMap<String, Fd>, action: &Action<'_>) -> Option<Result<String, String>> {
    let made = match action.word {
        "pipe" => process::pipe().map(|(reader, writer)| vec![(0, reader), (1, writer)]),
        // As `open NAME rwacxtdn PATH`.
        "open" => process::open(action.at(2), flags(action.at(1))).map(|opened| vec![(0, opened)]),
        "dup" => names[action.at(0)].dup().map(|copy| vec![(1, copy)]),
        "get" => match process::get(action.number(0)) {
            Some(found) => Ok(vec![(1, found)]),
            None => return Some(Ok("none".to_owned())),
        },
        "drop" => {
            names.remove(action.at(0));
            Ok(Vec::new())
        }
        _ => return None,
    };
    Some(made.map_err(|error| action.failed(error)).map(|made| {
        names.extend(made.into_iter().map(|(index, made)| (action.at(index).to_owned(), made)));
        String::new()
    }))
}

/// What is done with one description.
fn used(fd: &Fd, action: &Action<'_>) -> Result<String, String> {
    let failed = |error| action.failed(error);
    match action.word {
        "read" => fd.read(action.number(1)).map(text).map_err(failed),
        // All that there is, to the end.
        "drain" => {
            let mut all = 0;
            loop {
                match fd.read(1 << 20).map_err(failed)?.len() {
                    0 => return Ok(format!("{all} bytes")),
                    read => all += read,
                }
            }
        }
        "write" => fd.write(action.rest[action.at(0).len() + 1..].as_bytes()).map(shown).map_err(failed),
        // So many bytes, in as many writes as it takes.
        "pour" => {
            let (mut left, piece) = (u64::from(action.number(1)), vec![b'x'; 1 << 16]);
            while left > 0 {
                let most = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
                left -= u64::from(fd.write(&piece[..most]).map_err(failed)?);
            }
            Ok(String::new())
        }
        // As many bytes of one write.
        "flood" => fd.write(&vec![b'x'; action.number(1).try_into().unwrap()]).map(shown).map_err(failed),
        "seek" => {
            let whence = match action.at(2) {
                "start" => Whence::Start,
                "current" => Whence::Current,
                _ => Whence::End,
            };
            fd.seek(action.at(1).parse().unwrap(), whence).map(shown).map_err(failed)
        }
        "truncate" => action.done(fd.truncate(action.at(1).parse().unwrap())),
        "kind" => Ok(format!("{:?}", fd.kind()).rsplit("::").next().unwrap().to_lowercase()),
        "await-read" => {
            fd.subscribe_read().block();
            Ok("readable".to_owned())
        }
        "await-write" => {
            fd.subscribe_write().block();
            Ok("writable".to_owned())
        }
        "is-ready" => Ok(format!("{} {}", fd.subscribe_read().ready(), fd.subscribe_write().ready())),
        word => Err(format!("what is {word}?")),
    }
}

/// One more of many: a pipe with bytes in it that nobody reads, or an open file.
fn many(word: &str, path: &str, held: &mut Vec<Fd>) -> Result<(), Errno> {
    if word == "opens" {
        held.push(process::open(path, OpenFlags::READ)?);
        return Ok(());
    }
    let (reader, writer) = process::pipe()?;
    let taken = writer.write(&[b'x'; 100_000])?;
    // One that is made while memory is short holds a small write.
    assert!([65_536, 4_096].contains(&taken), "{taken}");
    held.extend([reader, writer]);
    Ok(())
}

/// Copies until the end, as `cat` does.
fn copy(from: &Fd, to: &Fd) -> Result<String, Errno> {
    let mut all = 0;
    loop {
        let bytes = from.read(1 << 16)?;
        if bytes.is_empty() {
            return Ok(format!("{all} bytes"));
        }
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            rest = &rest[usize::try_from(to.write(rest)?).unwrap()..];
        }
        all += bytes.len();
    }
}

/// How often something succeeds, and why it does not any more.
fn most(mut make: impl FnMut(&mut Vec<Fd>) -> Result<(), Errno>) -> String {
    let (mut held, mut made) = (Vec::new(), 0);
    loop {
        match make(&mut held) {
            Ok(()) => made += 1,
            Err(error) => return format!("{made}, then {}", error.name()),
        }
    }
}

fn flags(letters: &str) -> OpenFlags {
    letters.chars().fold(OpenFlags::empty(), |flags, letter| {
        flags
            | match letter {
                'r' => OpenFlags::READ,
                'w' => OpenFlags::WRITE,
                'a' => OpenFlags::APPEND,
                'c' => OpenFlags::CREATE,
                'x' => OpenFlags::EXCLUSIVE,
                't' => OpenFlags::TRUNCATE,
                'd' => OpenFlags::DIRECTORY,
                'n' => OpenFlags::NO_FOLLOW,
                _ => OpenFlags::empty(),
            }
    })
}

fn text(bytes: Vec<u8>) -> String {
    format!("{:?}", String::from_utf8(bytes).unwrap())
}

fn shown(value: impl Debug) -> String {
    format!("{value:?}")
}
