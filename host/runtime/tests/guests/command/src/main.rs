//! A program: a plain `fn main`. Each argument is something that it does, one after the other.

wit_bindgen::generate!({
    path: "../../../../../wit",
    inline: "
        package whelk:test;
        world command {
            include whelk:ssh/program@0.1.0;
            import wasi:cli/exit@0.2.12;
        }
        package wasi:cli@0.2.12 {
            interface exit {
                exit: func(status: result);
                exit-with-code: func(status-code: u8);
            }
        }
    ",
    world: "whelk:test/command",
    generate_all,
});

use std::fs::{self, File};
use std::hint::black_box;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::Duration;
use std::{env, process, thread};

use whelk::ssh::types::{Exit, ExitSignal, Output, SignalName, TerminalMode};
use whelk::ssh::{channel, space, terminal};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    for argument in &arguments {
        let (word, rest) = argument.split_once(' ').unwrap_or((argument, ""));
        match word {
            "fail" => return ExitCode::FAILURE,
            word => act(word, rest),
        }
    }
    ExitCode::SUCCESS
}

fn act(word: &str, rest: &str) {
    match word {
        "args" => println!("{:?}", env::args().collect::<Vec<_>>()),
        "env" => println!("{}", env::var(rest).unwrap_or_else(|_| "-".to_owned())),
        "envs" => env::vars().for_each(|(name, value)| println!("{name}={value}")),
        "print" => print!("{rest}"),
        "error" => eprint!("{rest}"),
        "flush" => io::stdout().flush().unwrap(),
        "tty" => {
            println!("{} {} {}", io::stdin().is_terminal(), io::stdout().is_terminal(), io::stderr().is_terminal());
        }
        "size" => println!("{:?}", terminal::get_size().map(|size| (size.columns, size.rows))),
        "exit" => {
            io::stdout().flush().unwrap();
            wasi::cli::exit::exit_with_code(rest.parse().unwrap());
        }
        "quit" => process::exit(rest.parse().unwrap()),
        "finish" => channel::finish(&Exit::Status(rest.parse().unwrap())),
        "die" => channel::finish(&Exit::Signal(ExitSignal {
            name: SignalName::Term,
            core_dumped: false,
            message: rest.to_owned(),
        })),
        "hand-over" => println!("{:?}", channel::hand_over(rest)),
        "write" => println!("{:?}", channel::write(Output::Stdout, rest.as_bytes())),
        // Modes as `opcode=argument`.
        "modes-are" => {
            let mode = |text: &str| {
                let (opcode, argument) = text.split_once('=').unwrap();
                TerminalMode { opcode: opcode.parse().unwrap(), argument: argument.parse().unwrap() }
            };
            if let Err(error) = terminal::set_modes(&rest.split(' ').map(mode).collect::<Vec<_>>()) {
                println!("{error:?}");
            }
        }
        "catch" => {
            channel::catch_signals(&rest.split(' ').map(|name| SignalName::Other(name.to_owned())).collect::<Vec<_>>())
        }
        "next" => println!("{:?}", channel::next_signal()),
        "await" => {
            while channel::next_signal().is_none() {
                thread::sleep(Duration::from_millis(1));
            }
            // Nobody may listen any more.
            let _ = writeln!(io::stdout(), "caught");
        }
        word => read_or_misbehave(word, rest),
    }
}

fn read_or_misbehave(word: &str, rest: &str) {
    match word {
        "cat" => {
            let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
            let mut piece = vec![0; 64 << 10];
            loop {
                let read = input.read(&mut piece).unwrap();
                if read == 0 {
                    break;
                }
                output.write_all(&piece[..read]).unwrap();
                output.flush().unwrap();
            }
        }
        "count" => println!("{}", io::copy(&mut io::stdin().lock(), &mut io::sink()).unwrap()),
        "line" => {
            let mut line = String::new();
            io::stdin().lock().read_line(&mut line).unwrap();
            println!("{line:?}");
        }
        "byte" => println!("{:?}", io::stdin().read(&mut [0]).unwrap()),
        "sleep" => thread::sleep(Duration::from_millis(rest.parse().unwrap())),
        "ticks" => loop {
            thread::sleep(Duration::from_millis(10));
            print!(".");
            io::stdout().flush().unwrap();
        },
        "flood" => flood(&mut io::stdout().lock(), rest),
        "eflood" => flood(&mut io::stderr().lock(), rest),
        "connect" => {
            TcpStream::connect(rest).unwrap();
        }
        "spin" => loop {
            black_box(0);
        },
        "work" => (0..rest.parse::<u64>().unwrap()).for_each(|round| {
            black_box(round);
        }),
        "bomb" => {
            let mut hoard = Vec::new();
            loop {
                hoard.push(black_box(vec![1_u8; 1 << 20]));
            }
        }
        "grow" => println!("{}", core::arch::wasm32::memory_grow(0, rest.parse().unwrap()).wrapping_add(1)),
        "recurse" => println!("{}", recurse(1)),
        "trap" => core::arch::wasm32::unreachable(),
        "panic" => panic!("{rest}"),
        _ => match use_file(word, rest) {
            Some(Ok(())) => {}
            Some(Err(error)) => println!("{:?} {}", error.kind(), error.raw_os_error().unwrap_or(0)),
            None => {
                eprintln!("what is {word}?");
                process::exit(2);
            }
        },
    }
}

/// Does something with a file; none if it is no such word.
fn use_file(word: &str, rest: &str) -> Option<io::Result<()>> {
    let (path, text) = rest.split_once(' ').unwrap_or((rest, ""));
    Some(match word {
        "show" => File::open(path).and_then(|mut file| io::copy(&mut file, &mut io::stdout().lock())).map(|_| ()),
        "put" => File::create(path).and_then(|mut file| file.write_all(text.as_bytes())),
        "room" => match space::statvfs(path) {
            Ok(room) => Ok(println!("{} {} {}", room.free_bytes, room.free_files, room.name_max)),
            Err(error) => Ok(println!("{}", error.name())),
        },
        "length" => fs::metadata(path).map(|found| println!("{} {}", found.is_file(), found.len())),
        "ls" => fs::read_dir(path).map(|names| {
            names.for_each(|entry| println!("{}", entry.unwrap().file_name().to_string_lossy()));
        }),
        _ => return None,
    })
}

/// Writes this many bytes, or without end, and says nothing about errors.
fn flood(to: &mut impl Write, bytes: &str) {
    let line = [b"y".repeat(1023), b"\n".to_vec()].concat();
    let mut left = bytes.parse().unwrap_or(u64::MAX);
    while left > 0 {
        let piece = usize::try_from(left.min(1024)).unwrap();
        if to.write_all(&line[..piece]).is_err() {
            process::exit(7);
        }
        left -= piece as u64;
    }
}

fn recurse(depth: u64) -> u64 {
    let big = black_box([depth; 64]);
    if depth == 0 { 0 } else { recurse(depth + 1) + big[1] }
}
