//! Faults and attacks on purpose.

use std::collections::HashMap;
use std::hint::black_box;
use std::time::Duration;
use std::{env, fs, io, net, process, thread};

use crate::whelk::ssh::types::Output;
use crate::{number, say, write};

#[link(wasm_import_module = "whelk:ssh/channel@0.1.0")]
unsafe extern "C" {
    #[link_name = "write"]
    fn raw_write(to: i32, number: i32, data: usize, len: usize, result: usize);
}

pub(crate) fn behave(word: &str, rest: &str) {
    match word {
        "spin" => loop {
            black_box(0);
        },
        // The same until the session is over.
        "churn" => {
            while crate::whelk::ssh::channel::write(Output::Stdout, &[]).is_ok() {
                (0..10_000).for_each(|round| {
                    black_box(round);
                });
            }
        }
        // Runs this many rounds of work without waiting.
        "work" => (0..number(rest)).for_each(|round| {
            black_box(round);
        }),
        "wipe" => wipe(number(rest)),
        "bomb" => {
            let mut hoard = Vec::new();
            loop {
                hoard.push(black_box(vec![1_u8; 1 << 20]));
            }
        }
        // Asks for more than there is, and handles the failure.
        "greed" => say(&core::arch::wasm32::memory_grow(0, 65_535).wrapping_add(1).to_string()),
        // This many pages; 0 if the host refuses.
        "grow" => say(&core::arch::wasm32::memory_grow(0, number(rest) as usize).wrapping_add(1).to_string()),
        "canary" => black_box(vec![0xC5_u8; 8 << 20]).leak().iter().for_each(|byte| {
            black_box(byte);
        }),
        "scan" => {
            let fresh = core::arch::wasm32::memory_grow(0, 160) * 65_536;
            // SAFETY: the pages were just added, so nothing else uses them.
            let pages = unsafe { std::slice::from_raw_parts(fresh as *const u8, 160 * 65_536) };
            say(&pages.iter().filter(|byte| **byte != 0).count().to_string());
        }
        "recurse" => say(&recurse(1).to_string()),
        "trap" => core::arch::wasm32::unreachable(),
        "panic" => panic!("{rest}"),
        "divide" => trap::divide(),
        "out-of-bounds" => trap::out_of_bounds(),
        "bad-call" => trap::bad_call(),
        "bad-pointer" => unsafe { raw_write(0, 0, usize::MAX - 16, 8, 0) },
        "bad-variant" => unsafe { raw_write(77, 0, 0, 8, 0) },
        "bad-length" => unsafe { raw_write(0, 0, 16, usize::MAX >> 1, 0) },
        "huge" => write(Output::Stdout, &vec![b'h'; number(rest) as usize]),
        "exit" => process::exit(number(rest) as i32),
        // Runs this many rounds and waits, this many times.
        "sneak" => sneak(rest),
        "sleep" => thread::sleep(Duration::from_millis(number(rest).into())),
        "print" => println!("{rest}"),
        "world" => world(),
        "random" => say(&wasip2::random::random::get_random_bytes(number(rest).into()).len().to_string()),
        "hoard" => (0..number(rest)).for_each(|_| {
            std::mem::forget(wasip2::clocks::monotonic_clock::subscribe_duration(1));
        }),
        "calls" => (0..number(rest)).for_each(|_| {
            black_box(crate::whelk::ssh::channel::writable());
        }),
        other => panic!("no such action: {other}"),
    }
}

fn sneak(rest: &str) {
    let (rounds, times) = rest.split_once(' ').map_or((0, 0), |(rounds, times)| (number(rounds), number(times)));
    for _ in 0..times {
        (0..rounds).for_each(|round| {
            black_box(round);
        });
        thread::sleep(Duration::from_millis(1));
    }
}

/// Writes 48 MiB eight times in a row, this many times: no tick interrupts that.
fn wipe(rounds: u32) {
    let mut memory = vec![0_u8; 48 << 20];
    for round in 0..rounds {
        let byte = round as u8;
        black_box(&mut memory).fill(byte);
        black_box(&mut memory).fill(byte);
        black_box(&mut memory).fill(byte);
        black_box(&mut memory).fill(byte);
        black_box(&mut memory).fill(byte);
        black_box(&mut memory).fill(byte);
        black_box(&mut memory).fill(byte);
        black_box(&mut memory).fill(byte);
    }
}

/// What the plugin can see of the host's environment.
fn world() {
    let denied = |result: io::Result<()>| result.is_err();
    let map: HashMap<u32, u32> = (0..10).map(|at| (at, at)).collect();
    let listed = fs::read_dir("/").map(|_| ());
    let made = fs::write("file", b"text");
    let connected = net::TcpStream::connect("127.0.0.1:22").map(|_| ());
    let bound = net::UdpSocket::bind("127.0.0.1:0").map(|_| ());
    let found = net::ToSocketAddrs::to_socket_addrs("localhost:22").map(|_| ());
    let fine = std::time::Instant::now().elapsed().subsec_nanos() % 1_000_000;
    say(&format!(
        "map={} env={} args={} files={} write={} connect={} bind={} names={} fine={fine}",
        map.len(),
        env::vars().count(),
        env::args().count(),
        denied(listed),
        denied(made),
        denied(connected),
        denied(bound),
        denied(found),
    ));
}

#[allow(unconditional_recursion, reason = "that is what it is for")]
fn recurse(depth: u64) -> u64 {
    black_box(recurse(black_box(depth + 1)) + depth)
}

mod trap {
    use std::hint::black_box;

    /// Rust checks for zero by itself; an unchecked division reaches the machine's own check.
    pub(super) fn divide() {
        let zero = black_box(0.0_f64);
        // SAFETY: none; it is undefined in Rust and a trap in WebAssembly, which is the point.
        black_box(unsafe { (black_box(1.0) / zero).to_int_unchecked::<i32>() });
        black_box(unsafe { core::hint::black_box(i32::MIN).checked_div(black_box(-1)).unwrap_unchecked() });
    }

    pub(super) fn out_of_bounds() {
        // SAFETY: none; the address is beyond all memory, which is the point.
        black_box(unsafe { std::ptr::read_volatile(black_box(0x7fff_0000) as *const u8) });
    }

    pub(super) fn bad_call() {
        // SAFETY: none; the table has nothing of this type there, which is the point.
        let function: extern "C" fn(f64) -> f64 = unsafe { std::mem::transmute(black_box(1_usize)) };
        black_box(function(1.0));
    }
}
