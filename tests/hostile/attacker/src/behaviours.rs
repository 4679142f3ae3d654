//! The behaviours, by the rows of the threat list. `black_box` keeps the compiler from removing code without an effect.

use std::hint::black_box;
use std::io::Read;
use std::mem::forget;
use std::time::{Duration, Instant};
use std::{env, fs, net, process, thread};

use wasip2::cli::stdout;
use wasip2::clocks::monotonic_clock;

use crate::after::{After, number, say};
use crate::bindings::whelk::ssh::types::{Exit, Output};
use crate::bindings::whelk::ssh::{channel, connection, log, timers};
use crate::{escape, files, raw};

const MIB: usize = 1 << 20;
/// A page of WebAssembly.
const PAGE: usize = 64 << 10;

/// Runs the behaviour of a line: a row and its parameters.
pub(crate) fn behave(line: &str) -> After {
    let words: Vec<&str> = line.split(' ').collect();
    let (row, shape) = words.split_first().expect("splitting gives at least one");
    match *row {
        // Not hostile: the work of other sessions meanwhile.
        "cat" => After::Nothing,
        "W1" | "W2" | "W3" => spin(),
        "W5" | "W46" => memory(shape),
        "W9" => After::Report(recurse(1).to_string()),
        "W11" | "W12" | "W13" | "W14" | "W18" => raw::behave(row, shape),
        "W15" | "W16" => flood(),
        "W17" => too_late(shape),
        "W19" | "W21" => hoard(row, shape),
        "W20" => wait(shape),
        "W22" => calls(),
        "W23" => lines(shape),
        "W24" | "W25" | "W26" => raw::crash(shape),
        "W27" => escape::behave(shape),
        "W28" => files::behave(shape),
        "W29" | "W31" => world(),
        "W30" => canary(shape),
        "W32" => clock(),
        "W33" => random(shape),
        "W43" => dawdle(),
        "W44" => alone(),
        "W51" => disconnect(),
        other => panic!("no such behaviour: {other}"),
    }
}

/// W1 to W3: never returns and never calls the host.
fn spin() -> ! {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

/// W5, W46: allocates as much memory as there is.
fn memory(shape: &[&str]) -> After {
    match shape {
        ["bomb"] => {
            let mut hoard = Vec::new();
            loop {
                hoard.push(black_box(vec![1_u8; MIB]));
            }
        }
        // One page at a time, then a crash, like a language that cannot handle the failure.
        ["steps"] => loop {
            let before = core::arch::wasm32::memory_grow(0, 1);
            assert_ne!(before, usize::MAX, "no more memory");
            // SAFETY: the page was just added, so nothing else uses it.
            unsafe { std::ptr::write_volatile((before * PAGE) as *mut u8, 1) };
        },
        // Asks for the maximum and handles the failure.
        ["live"] => After::Report(format!("grew: {}\n", core::arch::wasm32::memory_grow(0, 65_000) != usize::MAX)),
        // Allocates three quarters of the limit, says so and keeps it.
        ["hold"] => {
            let mut held = vec![0_u8; 48 * MIB];
            held.chunks_mut(4096).for_each(|page| page[0] = 1);
            say(b"held\n");
            forget(black_box(held));
            After::Nothing
        }
        // Allocates the same amount, releases it and allocates it again.
        ["churn"] => loop {
            let mut held = vec![0_u8; 48 * MIB];
            held.chunks_mut(4096).for_each(|page| page[0] = 1);
            drop(black_box(held));
        },
        _ => panic!("no such shape: {shape:?}"),
    }
}

/// W9. Adding after the call keeps it from becoming a loop.
#[allow(unconditional_recursion, reason = "running out of stack is the purpose")]
fn recurse(depth: u64) -> u64 {
    black_box(recurse(black_box(depth) + 1)) + depth
}

/// W15, W16: output without end.
fn flood() -> After {
    let block = vec![b'f'; PAGE];
    while channel::write(Output::Stdout, &block).is_ok() {}
    After::Nothing
}

/// W17: writes after the end.
fn too_late(shape: &[&str]) -> After {
    let answer = |result: Result<(), channel::WriteError>| match result {
        Ok(()) => "written",
        Err(error) => error.name(),
    };
    match shape {
        ["eof"] => {
            channel::send_eof();
            let told = answer(channel::write(Output::Stdout, b"late"));
            log::log(log::Level::Info, &format!("after eof: {told}"));
        }
        // The first end counts. Output of the same call is still sent.
        ["finish"] => {
            channel::finish(&Exit::Status(3));
            channel::finish(&Exit::Status(9));
            let told = answer(channel::write(Output::Stdout, b"too"));
            log::log(log::Level::Info, &format!("after finish: {told}"));
            return After::Nothing;
        }
        // An extended data stream that no client asked for.
        ["stream"] => {
            let told = answer(channel::write(Output::Extended(u32::MAX), b"side"));
            log::log(log::Level::Info, &format!("on a side stream: {told}"));
        }
        // For `closed`, when the client is gone.
        ["closed"] => {
            let told = answer(channel::write(Output::Stdout, b"late"));
            log::log(log::Level::Info, &format!("after the close: {told}"));
            return After::Nothing;
        }
        _ => panic!("no such shape: {shape:?}"),
    }
    After::Report(String::new())
}

/// W19, W21: more resources or timers than anything needs.
fn hoard(row: &str, shape: &[&str]) -> After {
    if (row, shape) == ("W19", &["handles"]) {
        loop {
            forget(monotonic_clock::subscribe_duration(u64::MAX));
        }
    }
    let mut refused: Vec<&str> = Vec::new();
    let (mut set, mut hasty) = (0, 0);
    for timer in 0..100_000 {
        match timers::set(timer, 60_000, Some(60_000)) {
            Ok(()) => set += 1,
            Err(error) => refused.push(error.name()),
        }
        hasty += u32::from(timers::set(0, 0, Some(1)).is_ok());
    }
    refused.dedup();
    After::Report(format!("set {set} hasty {hasty} refused {}\n", refused.join(",")))
}

/// W20: prints that it waits, then waits for something that never happens.
fn wait(shape: &[&str]) -> After {
    say(b"waiting\n");
    match shape {
        ["sleep"] => thread::sleep(Duration::MAX),
        ["poll"] => monotonic_clock::subscribe_duration(u64::MAX).block(),
        _ => panic!("no such shape: {shape:?}"),
    }
    After::Nothing
}

/// W22: calls without an effect.
fn calls() -> After {
    loop {
        black_box(channel::writable());
    }
}

/// W23: log lines that are too many, too long, or imitate the host's.
fn lines(shape: &[&str]) -> After {
    match shape {
        ["many"] => (0..20_000).for_each(|line| log::log(log::Level::Error, &format!("line {line}"))),
        ["long"] => log::log(log::Level::Info, &"l".repeat(MIB)),
        // More than the host accepts at once, through as many handles as allowed.
        ["raw"] => (0..1_000).for_each(|_| {
            let stream = stdout::get_stdout();
            let _ = stream.write(&vec![b'r'; 3 * MIB]);
            forget(stream);
        }),
        ["print"] => (0..20_000).for_each(|line| println!("line {line}")),
        ["forged"] => {
            let forged = "\"}}\n{\"level\":\"ERROR\",\"target\":\"whelk\",\"fields\":{\"message\":\"forged\"}}\r\n\x1b]0;owned\x07\x1b[2J\u{202e}";
            log::log(log::Level::Info, forged);
            println!("{forged}");
            eprintln!("{forged}");
        }
        _ => panic!("no such shape: {shape:?}"),
    }
    After::Report("logged\n".to_owned())
}

/// W29, W31: what the plugin can see of the host's environment.
fn world() -> After {
    let mut input = Vec::new();
    // An error is as good as an empty answer.
    let _ = std::io::stdin().read_to_end(&mut input);
    let seen = [
        ("environment", env::vars().count()),
        ("arguments", env::args().count()),
        ("input", input.len()),
        ("folder", usize::from(env::current_dir().is_ok_and(|folder| folder != std::path::Path::new("/")))),
        ("root", fs::read_dir("/").map_or(0, Iterator::count)),
        ("passwords", usize::from(fs::read("/etc/passwd").is_ok())),
        ("processes", usize::from(fs::read("/proc/self/environ").is_ok())),
        ("connect", usize::from(net::TcpStream::connect("127.0.0.1:22").is_ok())),
        ("listen", usize::from(net::TcpListener::bind("127.0.0.1:0").is_ok())),
        ("datagrams", usize::from(net::UdpSocket::bind("127.0.0.1:0").is_ok())),
        ("names", net::ToSocketAddrs::to_socket_addrs("localhost:22").map_or(0, Iterator::count)),
    ];
    After::Report(seen.iter().map(|(name, count)| format!("{name} {count}\n")).collect())
}

/// The byte that is written and searched for.
const CANARY: u8 = 0xC5;

/// W30: writes a mark into memory, or searches fresh memory for one.
fn canary(shape: &[&str]) -> After {
    match shape {
        ["put"] => {
            let marked = black_box(vec![CANARY; 8 * MIB]).leak();
            After::Report(format!("put {}\n", marked.len()))
        }
        ["scan"] => {
            let pages = 160;
            let fresh = core::arch::wasm32::memory_grow(0, pages);
            assert_ne!(fresh, usize::MAX, "no memory");
            // SAFETY: the pages were just added, so nothing else uses them.
            let bytes = unsafe { std::slice::from_raw_parts((fresh * PAGE) as *const u8, pages * PAGE) };
            After::Report(format!("found {}\n", bytes.iter().filter(|byte| **byte != 0).count()))
        }
        _ => panic!("no such shape: {shape:?}"),
    }
}

/// W32: the resolution of the clock: the greatest common divisor of all differences seen, in nanoseconds.
fn clock() -> After {
    let first = Instant::now();
    let mut grain = 0_u64;
    while first.elapsed() < Duration::from_millis(50) {
        let (mut a, mut b) = (grain, u64::try_from(first.elapsed().as_nanos()).unwrap_or(0));
        while b > 0 {
            (a, b) = (b, a % b);
        }
        grain = a;
    }
    After::Report(format!("grain {grain}\n"))
}

/// W33: asks for too many random bytes.
fn random(shape: &[&str]) -> After {
    let count = number(shape, 0);
    After::Report(format!("got {}\n", wasip2::random::random::get_random_bytes(count).len()))
}

/// W43: keeps calling the host and blocking there, so that a client can leave at any point.
fn dawdle() -> After {
    loop {
        if channel::write(Output::Stdout, &[b'd'; 4096]).is_err() {
            return After::Nothing;
        }
        monotonic_clock::subscribe_duration(50_000).block();
        timers::set(1, 10, None).expect("one timer is allowed");
    }
}

/// W44: crashes if it is called while another call runs.
fn alone() -> After {
    static INSIDE: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
    let ordering = std::sync::atomic::Ordering::SeqCst;
    if INSIDE.swap(true, ordering) {
        process::abort();
    }
    thread::sleep(Duration::from_millis(2));
    INSIDE.store(false, ordering);
    After::Nothing
}

/// W51: the most that a plugin may do to a connection: end its own.
fn disconnect() -> After {
    connection::disconnect(11, "the attacker leaves");
    After::Nothing
}
