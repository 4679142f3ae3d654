//! The program: a role between the standard streams and the files.

#[cfg(not(target_family = "wasm"))]
mod native;
#[cfg(target_family = "wasm")]
mod wasi;

use std::env;

use crate::arguments::{Request, Role};
use crate::expand::{client_command, expand_home, expand_patterns, is_unquoted};
use crate::files::Files;
use crate::sink::Sink;
use crate::source::{Source, Step};

#[cfg(not(target_family = "wasm"))]
use native::{NativeStreams as Streams, files};
#[cfg(target_family = "wasm")]
use wasi::{WasiStreams as Streams, files};

/// Runs the program with the arguments of the process, and returns its exit status: 0, or 1 if anything failed.
pub fn run() -> u8 {
    let arguments: Result<Vec<String>, _> = env::args_os().skip(1).map(std::ffi::OsString::into_string).collect();
    let mut is_pattern = false;
    let request = arguments.map_err(|word| format!("{}: not UTF-8", word.display())).and_then(|arguments| {
        is_pattern = is_unquoted(&client_command(), &arguments);
        Request::parse(arguments)
    });
    let mut request = match request {
        Ok(request) => request,
        Err(error) => {
            eprintln!("scp: {error}\nusage: scp -t [-dprqv] target | scp -f [-prqv] source ...");
            return 1;
        }
    };
    let home = env::var("HOME").ok().filter(|home| home.starts_with('/')).unwrap_or_else(|| "/".to_owned());
    let mut files = files(&home);
    request.paths.iter_mut().for_each(|path| *path = expand_home(&home, path));
    let mut unlisted = Vec::new();
    if is_pattern && request.role == Role::Source {
        request.paths = match expand_patterns(&mut files, request.paths) {
            Ok(expanded) => {
                unlisted = expanded.unlisted;
                expanded.paths
            }
            Err(error) => {
                eprintln!("scp: {error}");
                return 1;
            }
        };
    }
    match request.role {
        Role::Sink => receive(Sink::new(files, request), Streams::new()),
        Role::Source => {
            let source = Source::new(files, request, &env::var("USER").unwrap_or_default());
            send(source.with_unlisted(unlisted), Streams::new())
        }
    }
}

fn receive<F: Files>(mut sink: Sink<F>, mut streams: Streams) -> u8 {
    loop {
        if !reply(&mut sink, &mut streams) {
            return 1;
        }
        if sink.is_done() {
            return sink.status();
        }
        let Some(bytes) = streams.read() else {
            sink.end();
            continue;
        };
        let mut rest = &*bytes;
        loop {
            rest = sink.feed(rest);
            if rest.is_empty() {
                break;
            }
            if !reply(&mut sink, &mut streams) {
                return 1;
            }
        }
    }
}

/// Sends the replies. False if the client has left: then what has come of a file is written.
fn reply<F: Files>(sink: &mut Sink<F>, streams: &mut Streams) -> bool {
    show(&sink.take_shown());
    let is_there = streams.write(&sink.take_reply());
    if !is_there {
        sink.end();
    }
    is_there
}

fn send<F: Files>(mut source: Source<F>, mut streams: Streams) -> u8 {
    loop {
        match source.step() {
            Step::Send(bytes) if streams.write(bytes) => {}
            Step::Send(_) => source.end(),
            Step::Reply => match streams.read() {
                Some(bytes) => source.feed(&bytes),
                None => source.end(),
            },
            Step::Done => return source.status(),
        }
        show(&source.take_shown());
    }
}

fn show(text: &str) {
    if !text.is_empty() {
        eprint!("{text}");
    }
}
