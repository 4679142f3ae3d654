//! How many instructions of ours a packet costs, counted by valgrind's callgrind and compared with
//! `instructions.txt`. A count does not depend on the load of the machine, so a change of a few percent shows.
//!
//! What depends on the processor is left out: the provider of cryptography and the C library choose their code by its
//! features. Only functions of this crate and of Rust's library count.

#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

mod pair;
mod steady;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use steady::{LARGE, Session, carry, carry_read};
use whelk_ssh::crypto::cipher::{Cipher, Suite};
use whelk_ssh::crypto::mac::Mac;

/// By how much a count may differ from the file, in percent. Other features of a dependency, or another path of the
/// build, move a count by less.
const TOLERANCE: f64 = 3.0;

/// How many packets each count is the mean of. Buffers of random bytes are refilled every few packets.
const PACKETS: usize = 256;

/// A keystroke and the largest packet.
const SIZES: [usize; 2] = [64, LARGE];

/// What is counted of a packet of channel data.
const STEPS: [&str; 3] = ["send", "receive", "credit"];

/// One of each kind of framing.
fn suites() -> [Suite; 3] {
    let suite = |cipher, mac| Suite::new(cipher, mac).expect("a cipher with what it needs");
    [
        suite(Cipher::ChaCha20Poly1305, None),
        suite(Cipher::Aes256Gcm, None),
        suite(Cipher::Aes256Ctr, Some(Mac::HmacSha256Etm)),
    ]
}

/// The names of all counts, in the order in which [`every_counted_step_moves_its_data`] makes them.
fn names() -> Vec<String> {
    let name = |suite: Suite, size: usize, step: &str| {
        let mac = suite.mac().map(|mac| format!(" {}", mac.name())).unwrap_or_default();
        format!("{}{mac}, {size} bytes, {step}", suite.cipher().name())
    };
    let of_size = |suite, size| STEPS.map(|step| name(suite, size, step));
    suites().into_iter().flat_map(|suite| SIZES.map(|size| of_size(suite, size)).concat()).collect()
}

/// Callgrind counts while this function runs: its name is an option in [`callgrind`].
#[inline(never)]
fn counted_section<T>(section: impl FnOnce() -> T) -> T {
    black_box(section())
}

/// Callgrind writes the counts since the last call to a file: the name is an option in [`callgrind`].
#[inline(never)]
fn end_of_count(name: &str) {
    black_box(name);
}

/// What runs under callgrind, and without it like any test.
#[test]
fn every_counted_step_moves_its_data() {
    let data = [7; LARGE];
    for suite in suites() {
        let mut session = Session::new(suite);
        session.exchange(&data, 400);
        for size in SIZES {
            let data = &data[..size];
            let before = session.server.received;
            for step in STEPS {
                for _ in 0..PACKETS {
                    if step == "send" {
                        counted_section(|| session.client.send(data))
                    } else {
                        session.client.send(data)
                    }
                    while carry_read(&mut session.client, &mut session.server) {
                        let server = &mut session.server;
                        if step == "receive" { counted_section(|| server.receive()) } else { server.receive() }
                    }
                    let server = &mut session.server;
                    if step == "credit" {
                        counted_section(|| server.credit())
                    } else {
                        server.credit()
                    }
                    carry(&mut session.server, &mut session.client);
                }
                end_of_count(step);
            }
            assert_eq!(session.server.received - before, STEPS.len() * PACKETS * size, "{suite:?}");
        }
    }
    // What shows that allocations are seen.
    for _ in 0..PACKETS {
        counted_section(|| drop(black_box(Vec::<u8>::with_capacity(64))));
    }
    end_of_count("allocate");
}

/// What callgrind found in one count.
#[derive(Default)]
struct Count {
    /// Instructions of functions that count, themselves only.
    ours: u64,
    /// The same by function.
    functions: BTreeMap<String, u64>,
    /// Instructions of the C library's allocator, whoever called it.
    allocator: u64,
}

/// Whether the instructions of this symbol count: those of Rust code, without the bindings of the provider.
fn is_ours(symbol: &str) -> bool {
    (symbol.starts_with("_ZN") || symbol.starts_with("_R")) && !symbol.contains("aws_lc")
}

impl Count {
    /// Reads a file of callgrind, as its manual describes the format, with names and positions written out.
    fn read(path: &Path) -> Count {
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (mut count, mut function) = (Count::default(), "");
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(name) = line.strip_prefix("fn=") {
                function = name;
            } else if line.starts_with("calls=") {
                // The next line is the cost of these calls, which the functions that were called have too.
                lines.next();
            } else if line.starts_with(|first: char| first.is_ascii_digit()) {
                let cost: u64 = line.split(' ').nth(1).map_or(0, |cost| cost.parse().expect("a number"));
                if is_ours(function) {
                    count.ours += cost;
                    *count.functions.entry(function.to_owned()).or_default() += cost;
                }
                if ["malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc"].contains(&function) {
                    count.allocator += cost;
                }
            }
        }
        count
    }

    fn per_packet(&self) -> f64 {
        self.ours as f64 / PACKETS as f64
    }
}

/// Runs [`every_counted_step_moves_its_data`] under callgrind. Returns the counts in the order of [`names`], and that
/// of the allocations that it makes at its end.
fn callgrind() -> Vec<Count> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("instructions-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder of our own");
    let out = folder.join("out");
    let mut command = Command::new("valgrind");
    command.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", out.display()));
    command.args(["--toggle-collect=*counted_section*", "--dump-after=*end_of_count*", "--demangle=no"]);
    command.args(["--compress-strings=no", "--compress-pos=no"]);
    command.arg(std::env::current_exe().expect("the test program"));
    command.args(["--exact", "every_counted_step_moves_its_data", "--test-threads=1"]);
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("valgrind: {error}\nDebian: apt-get install valgrind"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let counts = (1..=names().len() + 1).map(|part| Count::read(&folder.join(format!("out.{part}")))).collect();
    std::fs::remove_dir_all(&folder).expect("a folder of our own");
    counts
}

/// After a change that is meant, or with another compiler:
/// `WHELK_BLESS=1 cargo test --release -p whelk-ssh --test instructions`, and read the difference.
#[test]
fn a_packet_costs_the_instructions_of_the_golden_file() {
    let mut counts = callgrind();
    let allocating = counts.pop().expect("a count more than there are names");
    assert!(allocating.allocator >= PACKETS as u64, "{}", allocating.allocator);
    let counts: BTreeMap<String, Count> = names().into_iter().zip(counts).collect();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/instructions.txt");
    if std::env::var_os("WHELK_BLESS").is_some() {
        let mut text = String::from("Instructions of ours a packet, by suite, size of the data and step.\n\n");
        for name in names() {
            writeln!(text, "{name}: {:.0}", counts[&name].per_packet()).expect("a String takes all");
        }
        std::fs::write(path, text).expect("the file of the repository");
    }
    let golden = std::fs::read_to_string(path).expect("the file of the repository");
    let golden: BTreeMap<&str, f64> = golden
        .lines()
        .filter_map(|line| line.rsplit_once(": "))
        .map(|(name, count)| (name, count.parse().expect("a number")))
        .collect();
    assert_eq!(golden.keys().copied().collect::<Vec<_>>(), counts.keys().collect::<Vec<_>>());
    let mut differences = String::new();
    for (name, count) in &counts {
        let (expected, found) = (golden[name.as_str()], count.per_packet());
        assert_eq!(count.allocator, 0, "{name}: C code allocates");
        if (found - expected).abs() * 100.0 > expected * TOLERANCE {
            writeln!(differences, "{name}: {expected:.0} -> {found:.1}").expect("a String takes all");
            for (function, cost) in &count.functions {
                writeln!(differences, "    {cost:>9} {function}").expect("a String takes all");
            }
        }
    }
    assert_eq!(differences, "", "instructions a packet, then in all packets by function");
}
