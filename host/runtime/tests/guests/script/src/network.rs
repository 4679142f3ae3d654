//! The network and the clocks, by the standard library and by WASI.

use std::cell::RefCell;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::{env, io};

use wasip2::clocks::{monotonic_clock, wall_clock};

use crate::{number, say};

thread_local! {
    static OPEN: RefCell<Vec<TcpStream>> = const { RefCell::new(Vec::new()) };
}

/// Returns whether it was one of these actions.
pub(crate) fn act(word: &str, rest: &str) -> bool {
    let (first, second) = rest.split_once(' ').unwrap_or((rest, ""));
    match word {
        // Sends something to an address and prints the reply.
        "tcp" => say(&talk(first, second).unwrap_or_else(|error| kind(&error))),
        // Connects this many times and keeps the connections.
        "tcp-hold" => {
            let opened = (0..number(second)).take_while(|_| match TcpStream::connect(first) {
                Ok(stream) => {
                    OPEN.with_borrow_mut(|open| open.push(stream));
                    true
                }
                Err(error) => {
                    say(&format!("{} after ", kind(&error)));
                    false
                }
            });
            say(&opened.count().to_string());
        }
        "tcp-drop" => OPEN.with_borrow_mut(Vec::clear),
        // Waits for bytes that never come.
        "tcp-wait" => OPEN.with_borrow_mut(|open| {
            let _ = open[0].read(&mut [0]);
        }),
        "listen" => say(&outcome(TcpListener::bind(first))),
        "udp" => say(&outcome(UdpSocket::bind(first))),
        "resolve" => say(&outcome(first.to_socket_addrs())),
        "vars" => env::vars().for_each(|(name, value)| say(&format!("{name}={value} "))),
        "clocks" => {
            let wall = wall_clock::resolution();
            say(&format!("{} {}.{}", monotonic_clock::resolution(), wall.seconds, wall.nanoseconds));
        }
        // How much of the duration of a sleep, in nanoseconds, is finer than a millisecond, and whether it was long
        // enough.
        "nap" => {
            let asked = u64::from(number(rest));
            let before = monotonic_clock::now();
            monotonic_clock::subscribe_duration(asked).block();
            let slept = monotonic_clock::now() - before;
            say(&format!("{} {}", slept % 1_000_000, slept / 1_000_000));
        }
        _ => return false,
    }
    true
}

fn talk(to: &str, words: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(to)?;
    stream.write_all(words.as_bytes())?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn outcome<T>(result: io::Result<T>) -> String {
    result.map_or_else(|error| kind(&error), |_| "done".to_owned())
}

fn kind(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::PermissionDenied => "denied".to_owned(),
        other => format!("{other:?} {error}"),
    }
}
