//! A program that starts others. Its arguments are actions, separated by semicolons and done one after the other; each
//! prints what came of it. A child has a name of one word, and its own actions are separated by bars, those of its
//! children by two: `spawn a print x|spawn b print y||exit 3`.

wit_bindgen::generate!({
    path: "../../../../../wit/process",
    inline: "
        package whelk:test;
        world processes {
            include whelk:process/processes@0.1.0;
            import wasi:cli/exit@0.2.12;
        }
        package wasi:cli@0.2.12 {
            interface exit {
                exit: func(status: result);
                exit-with-code: func(status-code: u8);
            }
        }
    ",
    world: "whelk:test/processes",
    generate_all,
});

use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::time::Duration;
use std::{env, thread};

use wasi::cli::exit::exit_with_code;
use whelk::process::process::{self, Child, Disposition, Errno, Fd, GroupChoice, Limits, Request, Target};

const NONE: Limits = Limits { cpu_ms: None, memory_kib: None, files: None, processes: None, file_kib: None };

/// What the program has.
#[derive(Default)]
struct Had {
    children: BTreeMap<String, Child>,
    pipes: BTreeMap<String, Fd>,
    group: Option<GroupChoice>,
    foreground: bool,
    ignored: Vec<String>,
    limits: Option<Limits>,
    /// Bytes of an argument behind the others.
    padding: usize,
}

fn main() {
    let mut had = Had::default();
    for argument in env::args().skip(1) {
        for action in argument.split(';') {
            let (word, rest) = action.trim().split_once(' ').unwrap_or((action.trim(), ""));
            let text = had.act(word, rest).or_else(|| act(word, rest));
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                let _ = writeln!(io::stdout(), "{text}");
            }
        }
    }
}

fn shown<T: std::fmt::Debug>(result: Result<T, Errno>) -> Option<String> {
    Some(match result {
        Ok(value) => format!("{value:?}"),
        Err(errno) => errno.name().to_owned(),
    })
}

/// Actions with what every process has.
fn act(word: &str, rest: &str) -> Option<String> {
    match word {
        "" => None,
        "print" => Some(rest.to_owned()),
        "args" => Some(format!("{:?}", env::args().collect::<Vec<_>>())),
        "env" => Some(env::var(rest).unwrap_or_else(|_| "-".to_owned())),
        "exit" => {
            let _ = io::stdout().flush();
            exit_with_code(rest.parse().unwrap());
            None
        }
        "sleep" => {
            thread::sleep(Duration::from_millis(rest.parse().unwrap()));
            None
        }
        "spin" => loop {
            black_box(0);
        },
        "work" => {
            (0..rest.parse::<u64>().unwrap()).for_each(|round| {
                black_box(round);
            });
            None
        }
        "fill-errors" | "flood" | "ticks" => write(word),
        "trap" => core::arch::wasm32::unreachable(),
        "hoard" => {
            let mut hoard = Vec::new();
            loop {
                hoard.push(black_box(vec![1_u8; 1 << 20]));
            }
        }
        "yields" => loop {
            thread::sleep(Duration::from_millis(1));
        },
        "cat" => {
            let mut text = Vec::new();
            io::stdin().read_to_end(&mut text).unwrap();
            Some(String::from_utf8_lossy(&text).trim_end().to_owned())
        }
        "line" => {
            let mut line = String::new();
            Some(match io::stdin().read_line(&mut line) {
                Ok(_) => format!("{line:?}"),
                Err(error) => format!("{:?}", error.raw_os_error()),
            })
        }
        word => control(word, rest),
    }
}

/// Writes much.
fn write(word: &str) -> Option<String> {
    match word {
        // As long as there is room.
        "fill-errors" => {
            let errors = process::get(2).unwrap();
            while errors.subscribe_write().ready() {
                errors.write(&[b'x'; 4096]).unwrap();
            }
            None
        }
        "flood" => loop {
            if io::stdout().write_all(&[b'x'; 4096]).is_err() {
                exit_with_code(9);
            }
        },
        _ => loop {
            thread::sleep(Duration::from_millis(5));
            print!(".");
            let _ = io::stdout().flush();
        },
    }
}

/// Signals, groups and numbers.
fn control(word: &str, rest: &str) -> Option<String> {
    match word {
        "who" => {
            let who = process::get_identity();
            Some(format!("{} {} {} {:?}", who.id, who.parent, who.group, who.foreground))
        }
        "catch" | "ignore" | "default" => {
            let how = match word {
                "catch" => Disposition::Catch,
                "ignore" => Disposition::Ignore,
                _ => Disposition::Default,
            };
            for name in rest.split(' ') {
                if let Err(errno) = process::set_disposition(name, how) {
                    return Some(errno.name().to_owned());
                }
            }
            None
        }
        "disposition" => shown(process::get_disposition(rest)),
        "next" => Some(process::next_signal().unwrap_or_else(|| "none".to_owned())),
        "await" => {
            process::subscribe_signals().block();
            Some(process::next_signal().unwrap_or_else(|| "none".to_owned()))
        }
        "kill" | "kill-group" => {
            let (id, name) = rest.split_once(' ').unwrap_or((rest, ""));
            let id = id.parse().unwrap();
            let to = if word == "kill" { Target::Process(id) } else { Target::Group(id) };
            shown(process::kill(to, Some(name).filter(|name| !name.is_empty())))
        }
        "storm" => {
            let (id, times) = rest.split_once(' ').unwrap();
            let id = id.parse().unwrap();
            for _ in 0..times.parse::<u32>().unwrap() {
                for name in ["USR1", "WINCH", "STOP", "CONT"] {
                    let _ = process::kill(Target::Process(id), Some(name));
                }
            }
            Some("stormed".to_owned())
        }
        word => numbers(word, rest),
    }
}

/// Groups, limits and usage.
fn numbers(word: &str, rest: &str) -> Option<String> {
    match word {
        "group" => {
            let (id, group) = rest.split_once(' ').unwrap();
            shown(process::set_group(id.parse().unwrap(), group_of(group)))
        }
        "foreground" => shown(process::set_foreground(rest.parse().unwrap())),
        "limits" => {
            let limits = process::get_limits();
            Some(format!("{:?} {:?} {:?}", limits.cpu_ms, limits.memory_kib, limits.processes))
        }
        "usage" => {
            let usage = process::get_usage();
            Some(format!("{} {}", usage.children_cpu_ms > 0, usage.memory_kib > 0))
        }
        _ => {
            eprintln!("what is {word}?");
            exit_with_code(2);
            None
        }
    }
}

/// The actions of a child.
fn unnested(text: &str) -> String {
    text.replace("||", "\0").replace('|', ";").replace('\0', "|")
}

fn group_of(text: &str) -> GroupChoice {
    match text {
        "inherit" => GroupChoice::Inherit,
        "new" => GroupChoice::New,
        number => GroupChoice::Join(number.parse().unwrap()),
    }
}

impl Had {
    /// Actions with children.
    fn act(&mut self, word: &str, rest: &str) -> Option<String> {
        let (name, actions) = rest.split_once(' ').unwrap_or((rest, ""));
        match word {
            // What the next child gets.
            "with-group" => self.group = Some(group_of(rest)),
            "with-foreground" => self.foreground = true,
            "with-ignored" => self.ignored = rest.split(' ').map(str::to_owned).collect(),
            "with-memory" => self.limits = Some(Limits { memory_kib: rest.parse().ok(), ..NONE }),
            "with-cpu" => self.limits = Some(Limits { cpu_ms: rest.parse().ok(), ..NONE }),
            "with-bytes" => self.padding = rest.parse().unwrap(),
            "with-processes" => self.limits = Some(Limits { processes: rest.parse().ok(), ..NONE }),
            "spawn" => {
                let started = self.spawn("processes", &[unnested(actions)], None);
                return self.keep(name, started);
            }
            "run" => {
                let words: Vec<String> = actions.split(' ').map(|word| word.replace('_', " ")).collect();
                let started = self.spawn(&words[0], &words[1..], None);
                return self.keep(name, started);
            }
            // A child whose standard output is a pipe, or whose standard input is one.
            "spawn-from" | "spawn-to" => {
                let (read, write) = process::pipe().unwrap();
                let (theirs, ours, number) = if word == "spawn-from" { (write, read, 1) } else { (read, write, 0) };
                let started = self.spawn("processes", &[unnested(actions)], Some((number, &theirs)));
                self.pipes.insert(name.to_owned(), ours);
                return self.keep(name, started);
            }
            // A child whose standard output and standard error are a pipe each; the name of the second ends in `!`.
            "spawn-errors" => {
                let (output, errors) = (process::pipe().unwrap(), process::pipe().unwrap());
                let parts = self.request("processes", &[unnested(actions)], &[(1, &output.1), (2, &errors.1)]);
                let started = parts.with(|request| process::spawn(&request));
                self.pipes.extend([(name.to_owned(), output.0), (format!("{name}!"), errors.0)]);
                return self.keep(name, started);
            }
            // The last line of what is still to read.
            "read-last" => {
                let mut text = Vec::new();
                while let Some(piece) = self.pipes[name].read(64 << 10).ok().filter(|piece| !piece.is_empty()) {
                    text.extend(piece);
                }
                return String::from_utf8_lossy(&text).trim_start_matches('x').lines().last().map(str::to_owned);
            }
            "read" => return shown(self.pipes[name].read(64 << 10).map(|bytes| bytes.len())),
            "read-text" => {
                let read = self.pipes[name].read(64 << 10);
                return shown(read.map(|bytes| String::from_utf8_lossy(&bytes).trim_end().to_owned()));
            }
            "close" => _ = self.pipes.remove(name),
            _ => return self.act_on(word, rest),
        }
        Some(String::new())
    }

    /// Actions with children that are there, and with this program.
    fn act_on(&mut self, word: &str, rest: &str) -> Option<String> {
        let (name, actions) = rest.split_once(' ').unwrap_or((rest, ""));
        match word {
            "exec" => return self.exec("processes", &[unnested(rest)]),
            "exec-loop" => return self.exec("processes", &["exec-loop".to_owned()]),
            "exec-program" => {
                let words: Vec<String> = rest.split(' ').map(|word| word.replace('_', " ")).collect();
                return self.exec(&words[0], &words[1..]);
            }
            "id" => return Some(self.children[name].id().to_string()),
            "poll" => return Some(format!("{:?}", self.children[name].poll())),
            "ready" => {
                self.children[name].subscribe().block();
                return Some(format!("{:?}", self.children[name].poll()));
            }
            "wait" => {
                let children: Vec<&Child> = rest.split(' ').map(|name| &self.children[name]).collect();
                return shown(process::wait(&children));
            }
            "wait-none" => return shown(process::wait(&[])),
            "drop" => _ = self.children.remove(name),
            "signal" => {
                let id = self.children[name].id();
                if let Err(errno) = process::kill(Target::Process(id), Some(actions)) {
                    return Some(errno.name().to_owned());
                }
            }
            _ => return self.act_with_many(word, rest),
        }
        Some(String::new())
    }

    /// Actions with many children.
    fn act_with_many(&mut self, word: &str, rest: &str) -> Option<String> {
        match word {
            // Starts children until that fails.
            "bomb" => {
                let mut children = Vec::new();
                loop {
                    let started = self.spawn("processes", &["sleep 10000000".to_owned()], None);
                    match started {
                        Ok(child) => children.push(child),
                        Err(errno) => return Some(format!("{} {}", children.len(), errno.name())),
                    }
                }
            }
            // Starts itself until that fails, one below the other.
            "dive" => {
                return match self.spawn("processes", &["dive".to_owned()], None) {
                    Ok(child) => {
                        let _ = process::wait(&[&child]);
                        Some(String::new())
                    }
                    Err(errno) => Some(errno.name().to_owned()),
                };
            }
            // Starts children one after the other, and waits for none.
            "zombies" => {
                for number in 0.. {
                    match self.spawn("processes", &["exit 0".to_owned()], None) {
                        Ok(child) => {
                            child.subscribe().block();
                            self.children.insert(format!("z{number}"), child);
                        }
                        Err(errno) => return Some(format!("{number} {}", errno.name())),
                    }
                }
            }
            // Stops and continues this many children at random, so often, and ends them.
            "juggle" => {
                let (count, rounds) = rest.split_once(' ').unwrap();
                return Some(self.juggle(count.parse().unwrap(), rounds.parse().unwrap()));
            }
            // This many children, each of which reads what the one before it writes.
            "ring" => return Some(self.ring(rest.parse().unwrap())),
            "churn" => {
                for _ in 0..rest.parse::<u32>().unwrap() {
                    let child = self.spawn("processes", &["exit 0".to_owned()], None).unwrap();
                    let change = process::wait(&[&child]);
                    assert!(change.is_ok(), "{change:?}");
                }
                return Some("churned".to_owned());
            }
            _ => return None,
        }
        Some(String::new())
    }

    fn juggle(&mut self, count: usize, rounds: u32) -> String {
        let kinds = ["spin", "sleep 10000000", "work 1000000000000", "cat", "churn 1000000", "yields"];
        let start = |at: usize| self.spawn("processes", &[kinds[at % kinds.len()].to_owned()], None).unwrap();
        let children: Vec<Child> = (0..count).map(start).collect();
        let mut random = 1_u32;
        for _ in 0..rounds {
            random = random.wrapping_mul(1_103_515_245).wrapping_add(12_345);
            let (at, stops) = ((random >> 16) as usize % count, random & 0x8000 == 0);
            process::kill(Target::Process(children[at].id()), Some(if stops { "STOP" } else { "CONT" })).unwrap();
            if random & 0x700 == 0 {
                thread::sleep(Duration::from_millis(1));
            }
        }
        for child in &children {
            process::kill(Target::Process(child.id()), Some("KILL")).unwrap();
            while !matches!(process::wait(&[child]), Err(Errno::Child)) {}
        }
        "juggled".to_owned()
    }

    fn ring(&mut self, count: usize) -> String {
        let pipes: Vec<(Fd, Fd)> = (0..count).map(|_| process::pipe().unwrap()).collect();
        for at in 0..count {
            let (read, write) = (&pipes[at].0, &pipes[(at + 1) % count].1);
            let parts = self.request("processes", &["cat".to_owned()], &[(0, read), (1, write)]);
            let child = parts.with(|request| process::spawn(&request)).unwrap();
            self.children.insert(format!("r{at}"), child);
        }
        "closed".to_owned()
    }

    fn keep(&mut self, name: &str, started: Result<Child, Errno>) -> Option<String> {
        match started {
            Ok(child) => {
                self.children.insert(name.to_owned(), child);
                Some(String::new())
            }
            Err(errno) => Some(errno.name().to_owned()),
        }
    }

    fn exec(&mut self, program: &str, actions: &[String]) -> Option<String> {
        let parts = self.request(program, actions, &[]);
        Some(parts.with(|request| process::exec(&request)).name().to_owned())
    }

    fn request<'f>(&mut self, program: &str, actions: &[String], more: &[(u32, &'f Fd)]) -> RequestParts<'f> {
        let padding = match std::mem::take(&mut self.padding) {
            0 => None,
            bytes => Some(format!("print {}", "x".repeat(bytes))),
        };
        RequestParts {
            program: program.to_owned(),
            argv: [program.to_owned()].into_iter().chain(actions.iter().cloned()).chain(padding).collect(),
            more: more.to_vec(),
            group: self.group.take().unwrap_or(GroupChoice::Inherit),
            foreground: std::mem::take(&mut self.foreground),
            ignored: std::mem::take(&mut self.ignored),
            limits: self.limits.take().unwrap_or(NONE),
        }
    }

    fn spawn(&mut self, program: &str, actions: &[String], more: Option<(u32, &Fd)>) -> Result<Child, Errno> {
        let parts = self.request(program, actions, &more.into_iter().collect::<Vec<_>>());
        parts.with(|request| process::spawn(&request))
    }
}

/// A request without its borrowed descriptors.
struct RequestParts<'f> {
    program: String,
    argv: Vec<String>,
    more: Vec<(u32, &'f Fd)>,
    group: GroupChoice,
    foreground: bool,
    ignored: Vec<String>,
    limits: Limits,
}

impl RequestParts<'_> {
    /// Does something with the request, which has this program's descriptors 0 to 2 where it gives no others.
    fn with<R>(self, act: impl FnOnce(Request<'_>) -> R) -> R {
        let own: Vec<(u32, Fd)> = (0..3).filter_map(|number| Some((number, process::get(number)?))).collect();
        let is_given = |number: u32| self.more.iter().any(|(given, _)| *given == number);
        let kept = own.iter().filter(|(number, _)| !is_given(*number)).map(|(number, fd)| (*number, fd));
        act(Request {
            program: self.program,
            argv: self.argv,
            env: vec![("WHO".to_owned(), "child".to_owned())],
            cwd: "/".to_owned(),
            fds: kept.chain(self.more.iter().copied()).collect(),
            group: self.group,
            foreground: self.foreground,
            ignored: self.ignored,
            limits: self.limits,
        })
    }
}
