//! `bench`: Whelk beside OpenSSH's sshd, or beside another build of itself, in the same run and on the same machine.
//!
//! The two servers are tied to core 0 and the clients to core 1; runs alternate between the servers; each figure is the
//! median of three, beside another build of five. What counts is server CPU per unit of work, and the ratio: absolute
//! figures are those of this machine today. Some rows compare two loads of Whelk with each other.

mod load;
mod meter;
mod peers;
mod processes;
mod server;
mod sftp;
mod shell;
mod work;

use crate::build::build;
use crate::clients::Clients;
use crate::step::{Outcome, doing, run as step};
use crate::workspace::{Workspace, cargo};
use load::Load;
use server::{Kind, Place, Server};
use std::path::PathBuf;

pub(crate) const HELP: &str = "\
cargo xtask bench [--against PROGRAM] [--mib SIZE] [--shells COUNT] [PART..]

Measures Whelk and OpenSSH's sshd in turns: server CPU (user and system) for each handshake, session, echo, line typed
into a terminal, GB down and GB up, and the memory of an idle session. Then Whelk alone: a terminal that edits lines
beside a raw one (cooked), and the session of a program beside that of a handler (program). PART is one or more of
handshake, session, echo, typed, down, up, idle, cooked, program, sftp, processes, shell, shells; all of them by default.
For sftp OpenSSH's client puts and gets a file of SIZE MiB (128 by default), and ten files of 1 KiB for each of these
MiB: server CPU, wall time, and how far the memory of the server's processes grows meanwhile.
For processes one program, compiled for both, runs in a session of Whelk and as a process of this machine: it starts a
program that does nothing and waits for its end, and writes to another process through a pipe.
For shell the tenant's shell is beside dash and bash over sshd and beside just-bash and wasmsh in node: sessions, a
pipeline, a GiB through a pipe, loops of builtins and of programs: CPU and wall time, and how far the memory of the
server's processes grows meanwhile. For shells the memory of idle ones (`--shells COUNT`, 500 by default).
Prints both and their ratio. --against compares with another build of Whelk instead, such as that of the last release.
Needs two cores and, to fetch sshd where it is missing, root on Debian.";

/// Runs beside sshd, and beside another build, where small differences count.
const RUNS: usize = 3;
const RUNS_OF_BUILDS: usize = 5;
const PARTS: [&str; 13] = [
    "handshake",
    "session",
    "echo",
    "typed",
    "down",
    "up",
    "idle",
    "cooked",
    "program",
    "sftp",
    "processes",
    "shell",
    "shells",
];
/// How many shells wait by default.
const SHELLS: u32 = 500;

/// One line of the table: the same work for both servers.
struct Row {
    part: &'static str,
    title: String,
    load: Load,
}

fn rows() -> Vec<Row> {
    let row = |part, title: &str, load| Row { part, title: title.to_owned(), load };
    let mut rows = vec![
        row("handshake", "handshake, ms", Load::Handshakes(500)),
        row("session", "session, ms", Load::Sessions(500)),
        row("echo", "echo, 1 session, us", Load::Echoes { width: 1, count: 5000 }),
        row("echo", "echo, 8 sessions, us", Load::Echoes { width: 8, count: 2000 }),
        row("typed", "line typed, 1 session, us", Load::Typed { width: 1, count: 5000 }),
        row("typed", "line typed, 8 sessions, us", Load::Typed { width: 8, count: 2000 }),
    ];
    for cipher in ["aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com"] {
        let name = cipher.split('@').next().unwrap_or(cipher);
        rows.push(row("down", &format!("download {name}, s/GB"), Load::Down { cipher, bytes: 500_000_000 }));
        rows.push(row("up", &format!("upload {name}, s/GB"), Load::Up { cipher, bytes: 500_000_000 }));
    }
    rows.push(row("idle", "idle session, anonymous KiB", Load::Idle(200)));
    rows.push(row("idle", "no session, resident MiB", Load::Nothing));
    rows
}

/// One line of the other table: two kinds of work for Whelk.
struct Pair {
    part: &'static str,
    title: &'static str,
    load: Load,
    beside: Load,
}

fn pairs() -> Vec<Pair> {
    let echo = |width, count| Load::Echoes { width, count };
    let typed = |width, count| Load::Typed { width, count };
    vec![
        Pair { part: "cooked", title: "line typed / echo, 1 session, us", load: typed(1, 5000), beside: echo(1, 5000) },
        Pair {
            part: "cooked",
            title: "line typed / echo, 8 sessions, us",
            load: typed(8, 2000),
            beside: echo(8, 2000),
        },
        Pair {
            part: "program",
            title: "session, program / handler, ms",
            load: Load::ProgramSessions(500),
            beside: Load::Sessions(500),
        },
    ]
}

/// What the command line asks for.
struct Options<'a> {
    /// The build to compare with.
    other: Option<PathBuf>,
    /// The size of transfers in MiB.
    size: u64,
    /// How many shells wait.
    shells: u32,
    parts: &'a [String],
}

fn options(arguments: &[String]) -> Outcome<Options<'_>> {
    let (mut other, mut size, mut shells, mut arguments) = (None, sftp::SIZE, SHELLS, arguments);
    while let [option, rest @ ..] = arguments
        && option.starts_with("--")
    {
        let [value, rest @ ..] = rest else { return Err(format!("{option} needs a value")) };
        match option.as_str() {
            "--against" => other = Some(doing(value, PathBuf::from(value).canonicalize())?),
            "--mib" => size = value.parse().map_err(|_| format!("--mib {value:?}: not a number of MiB"))?,
            "--shells" => shells = value.parse().map_err(|_| format!("--shells {value:?}: not a number"))?,
            _ => return Err(format!("no option {option:?}: there are --against, --mib and --shells")),
        }
        arguments = rest;
    }
    Ok(Options { other, size, shells, parts: arguments })
}

pub(crate) fn run(arguments: &[String]) -> Outcome {
    let Options { other, size, shells, parts: arguments } = options(arguments)?;
    if let Some(unknown) = arguments.iter().find(|argument| !PARTS.contains(&argument.as_str())) {
        return Err(format!("no part {unknown:?}: there are {}", PARTS.join(", ")));
    }
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        return Err("two cores are needed, one for the server and one for the client".to_owned());
    }
    let workspace = Workspace::find()?;
    let clients = Clients::bring(&workspace)?;
    build(&workspace)?;
    let ours = ["build", "--release", "--package", "whelk-tests", "--bin", "ours"];
    step(cargo().current_dir(&workspace.root).args(ours))?;
    let is_wanted = |part: &str| arguments.is_empty() || arguments.iter().any(|argument| argument == part);
    let place = Place::prepare(&workspace, clients, other, is_wanted("processes"))?;
    // The configuration of every server names the program, so it is there before the first one starts.
    let native = if is_wanted("processes") { Some(processes::prepare(&workspace, &place)?) } else { None };
    let mut lines = Vec::new();
    for row in rows().iter().filter(|row| is_wanted(row.part)) {
        let runs = if place.peer() == Kind::Other { RUNS_OF_BUILDS } else { RUNS };
        lines.push(measure(&place, &row.title, runs, (Kind::Whelk, &row.load), (place.peer(), &row.load))?);
    }
    if is_wanted("sftp") {
        lines.extend(measure_sftp(&place, size)?);
    }
    let mut of_processes = Vec::new();
    if let Some(native) = native {
        of_processes = measure_processes(&place, &native)?;
    }
    let (works, idle) = (is_wanted("shell"), is_wanted("shells").then_some(shells));
    if works || idle.is_some() {
        measure_shells(&place, works, idle)?;
    }
    let mut paired = Vec::new();
    for Pair { title, load, beside, .. } in pairs().iter().filter(|pair| is_wanted(pair.part)) {
        paired.push(measure(&place, title, RUNS_OF_BUILDS, (Kind::Whelk, load), (Kind::Whelk, beside))?);
    }
    print_table("CPU of whelk", ["first", "second"], &paired);
    print_table("processes", ["whelk", "kernel"], &of_processes);
    if lines.is_empty() {
        println!("\nCPU time is from {}.", place.source());
        return Ok(());
    }
    let (runs, peer) = if place.peer() == Kind::Other { (RUNS_OF_BUILDS, "other") } else { (RUNS, "sshd") };
    let title = format!("server CPU, medians of {runs}");
    println!("\n{title:<34}{:>12}{peer:>12}{:>9}   least and most", "whelk", "ratio");
    lines.iter().for_each(|line| println!("{line}"));
    println!("\nCPU time is from {}.", place.source());
    if place.peer() == Kind::Other {
        return Ok(());
    }
    println!(
        "sshd runs real programs under a login shell (`head`, `cat`, `printf`) and isolates each connection in processes."
    );
    println!("Whelk runs each session in a sandbox of its own. Memory is Pss_Anon of all processes of the server;");
    println!("the kernel's is not counted.");
    Ok(())
}

/// Prints a table of medians, if it has lines.
fn print_table(title: &str, [left, right]: [&str; 2], lines: &[String]) {
    if !lines.is_empty() {
        let title = format!("{title}, medians of {RUNS_OF_BUILDS}");
        println!("\n{title:<34}{left:>12}{right:>12}{:>9}   least and most", "ratio");
        lines.iter().for_each(|line| println!("{line}"));
    }
}

/// Measures two kinds of work in turns: the line of the table.
fn measure(place: &Place, title: &str, runs: usize, first: (Kind, &Load), second: (Kind, &Load)) -> Outcome<String> {
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for time in 1..=runs {
        for ((kind, load), figures) in [(first, &mut left), (second, &mut right)] {
            let mut server = Server::start(place, kind)?;
            let figure = load::run(place, &mut server, load);
            server.stop()?;
            let figure = figure.map_err(|error| format!("{title}, {kind:?}: {error}"))?;
            eprintln!("{title} {time}/{runs} {kind:?}: {figure:.4}");
            figures.push(figure);
        }
    }
    Ok(table_line(title, left, right))
}

fn table_line(title: &str, left: Vec<f64>, right: Vec<f64>) -> String {
    let ((low, ours, high), (least, theirs, most)) = (spread(left), spread(right));
    let ratio = ours / theirs;
    format!("{title:<34}{ours:>12.3}{theirs:>12.3}{ratio:>9.3}   {low:.3}-{high:.3}, {least:.3}-{most:.3}")
}

/// File transfer in turns: three lines for each way.
fn measure_sftp(place: &Place, size: u64) -> Outcome<Vec<String>> {
    sftp::prepare(place, size)?;
    let runs = if place.peer() == Kind::Other { RUNS_OF_BUILDS } else { RUNS };
    let mut lines = Vec::new();
    for transfer in sftp::Transfer::ALL {
        let (mut left, mut right) = (Vec::new(), Vec::new());
        for time in 1..=runs {
            for (kind, all) in [(Kind::Whelk, &mut left), (place.peer(), &mut right)] {
                let mut server = Server::start(place, kind)?;
                let figures = sftp::run(place, &mut server, transfer, size);
                server.stop()?;
                let figures = figures.map_err(|error| format!("{transfer:?}, {kind:?}: {error}"))?;
                eprintln!("sftp {transfer:?} {time}/{runs} {kind:?}: {figures:.4?}");
                all.push(figures);
            }
        }
        for (at, title) in transfer.titles(size).iter().enumerate() {
            let of = |all: &[sftp::Figures]| all.iter().filter_map(|figures| figures.get(at).copied()).collect();
            lines.push(table_line(title, of(&left), of(&right)));
        }
    }
    sftp::sweep(place)?;
    Ok(lines)
}

/// Processes in turns, of Whelk and of this machine: two lines for each kind of work.
fn measure_processes(place: &Place, native: &processes::Native) -> Outcome<Vec<String>> {
    let mut lines = Vec::new();
    for work in processes::Work::ALL {
        let (mut left, mut right) = (Vec::new(), Vec::new());
        for time in 1..=RUNS_OF_BUILDS {
            left.push(processes::of_whelk(place, work).map_err(|error| format!("{work:?}, Whelk: {error}"))?);
            right.push(processes::of_kernel(native, work).map_err(|error| format!("{work:?}, kernel: {error}"))?);
            eprintln!("processes {work:?} {time}/{RUNS_OF_BUILDS}: {:.4?} {:.4?}", left.last(), right.last());
        }
        for (at, title) in work.titles().into_iter().enumerate() {
            let of = |all: &[processes::Figures]| all.iter().filter_map(|figures| figures.get(at).copied()).collect();
            lines.push(table_line(title, of(&left), of(&right)));
        }
    }
    Ok(lines)
}

/// Shells in turns: prints three lines for each kind of work, if that is asked for, and one for so many that wait.
fn measure_shells(place: &Place, works: bool, idle: Option<u32>) -> Outcome {
    let peers = peers::Peers::bring(place);
    let names = shell::Shell::ALL.map(|shell| format!("{:>12}", shell.name())).concat();
    println!("\n{:<34}{names}", format!("shells, medians of {RUNS}"));
    for work in work::Work::ALL.into_iter().filter(|_| works) {
        let mut all = shell::Shell::ALL.map(|_| Vec::new());
        for time in 1..=RUNS {
            for (shell, figures) in shell::Shell::ALL.into_iter().zip(&mut all) {
                let one = shell::measure(place, &peers, shell, work);
                let one = one.map_err(|error| format!("{work:?}, {shell:?}: {error}"))?;
                eprintln!("{work:?} {time}/{RUNS} {shell:?}: {one:.4?}");
                figures.extend(one);
            }
        }
        for (at, title) in work.titles().into_iter().enumerate() {
            let median = |figures: &Vec<work::Figures>| {
                let (_, median, _) = spread(figures.iter().filter_map(|figures| figures.get(at).copied()).collect());
                cell((!figures.is_empty()).then_some(median))
            };
            println!("{title:<34}{}", all.iter().map(median).collect::<String>());
        }
    }
    if let Some(count) = idle {
        let mut line = format!("{:<34}", format!("{count} idle shells, KiB of each"));
        for shell in shell::Shell::ALL {
            let kib = shell::idle(place, &peers, shell, count);
            let kib = kib.map_err(|error| format!("idle, {shell:?}: {error}"))?;
            eprintln!("{count} idle shells {shell:?}: {kib:.4?}");
            line += &cell(kib);
        }
        println!("{line}");
    }
    println!();
    peers.notes().iter().for_each(|note| println!("{note}"));
    Ok(())
}

/// A figure of a table, or the sign that there is none.
fn cell(figure: Option<f64>) -> String {
    figure.map_or_else(|| format!("{:>12}", "-"), |figure| format!("{figure:>12.3}"))
}

/// Least, median and most.
fn spread(mut figures: Vec<f64>) -> (f64, f64, f64) {
    figures.sort_by(f64::total_cmp);
    let at = |index: usize| figures.get(index).copied().unwrap_or(f64::NAN);
    (at(0), at(figures.len() / 2), at(figures.len().saturating_sub(1)))
}
