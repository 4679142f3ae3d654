//! `bench`: Whelk beside OpenSSH's sshd and a minimal server on russh (`tests/peer`), or beside another build of
//! itself, in the same run and on the same machine.
//!
//! The servers are tied to core 0 and the clients to core 1; runs alternate between the servers. What counts is server
//! CPU per unit of work, and the ratio of two servers in the same run: absolute figures are those of this machine
//! today. Some rows compare two loads of Whelk with each other.

mod goals;
mod load;
mod meter;
mod peers;
mod processes;
mod report;
mod rows;
mod server;
mod sftp;
mod shell;
mod work;

use crate::build::{build_with, shown};
use crate::clients::Clients;
use crate::step::{Outcome, doing, run as step};
use crate::workspace::{DIST, RELEASE, Workspace, cargo};
use load::Load;
use report::{Figure, Figures, Subject, markdown, plot, table};
use rows::{OF_PAIRS, OF_PROCESSES, OF_SHELLS, PARTS, Pair, Row};
use server::{Kind, Place, Server};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub(crate) const HELP: &str = "\
cargo xtask bench [--runs COUNT] [--idle COUNT] [--mib SIZE] [--shells COUNT] [--save FILE] [--against FILE]
                  [--plots FOLDER] [--quick] [--built] [PART..]

Measures Whelk, OpenSSH's sshd and a minimal server on russh (tests/peer) in turns, five times (--runs COUNT): server
CPU (user and system) for each handshake, session, echo, line typed into a terminal, GB down and up with one connection
and with four, and write of 16 bytes; the time of an echo, alone and beside downloads, as the client sees it (median and
99th percentile); the memory of connections and sessions that wait (--idle COUNT; 1,000 and 10,000 by default, of which
10,000 are measured twice and need a vm.max_map_count of 131072), and what is kept of it after their end, and once also
after ten times 1,000 (rounds). Then the slowest of 5,000 sessions that start at a rate of 1,000 a second while their
plugin is replaced again and again (swap), a terminal that edits lines beside a raw one (cooked), and the session of a
program beside that of a handler (program).
PART is one or more of handshake, session, echo, typed, down, up, writes, beside, idle, rounds, swap, cooked, program,
sftp, processes, shell, shells; all of them by default.
For sftp OpenSSH's client puts and gets a file of SIZE MiB (128 by default), and ten files of 1 KiB for each of these
MiB: server CPU, wall time, and how far the memory of the server's processes grows meanwhile.
For processes one program, compiled for both, runs in a session of Whelk and as a process of this machine: it starts a
program that does nothing and waits for its end, and writes to another process through a pipe.
For shell the tenant's shell is beside dash and bash over sshd and beside just-bash and wasmsh in node: sessions, a
pipeline, a GiB through a pipe, loops of builtins and of programs: CPU and wall time, and how far the memory of the
server's processes grows meanwhile. For shells the memory of idle ones (--shells COUNT, 500 by default).
Prints, as Markdown, the medians, and the ratios of Whelk's figure to that of each other server in the same run: median,
least, most; then the goals, each with its limit, and which are not met; and how long each part took.
--save FILE      where each figure is kept, a line of JSON; target/bench/figures.jsonl by default
--against FILE   also compares with figures that were kept; or, with a program, measures that other build of Whelk, such
                 as that of the last release, in the place of the other servers
--plots FOLDER   draws the figures, PART.svg for each part that compares servers
--read FILE      measures nothing: prints, compares and draws figures that were kept
--quick          two runs of a twentieth of the work, of target/release/whelk: whether the bench works, not how fast
                 anything is. Without it target/dist/whelk is measured, of the profile that releases are built in
--built          measures what an earlier run has built
Needs two cores and, to fetch sshd where it is missing, root on Debian.";

/// How many connections and sessions wait by default.
const IDLE: [u32; 2] = [1000, 10_000];

/// What the command line asks for.
struct Options<'a> {
    runs: Option<u64>,
    /// How many connections wait: [`IDLE`] unless it is given.
    idle: Option<u32>,
    /// The size of transfers in MiB.
    size: u64,
    /// How many shells wait.
    shells: u32,
    save: Option<PathBuf>,
    against: Option<PathBuf>,
    plots: Option<PathBuf>,
    read: Option<PathBuf>,
    quick: bool,
    built: bool,
    parts: &'a [String],
}

impl Options<'_> {
    fn of(mut arguments: &[String]) -> Outcome<Options<'_>> {
        let mut options = Options {
            runs: None,
            idle: None,
            size: sftp::SIZE,
            shells: 500,
            save: None,
            against: None,
            plots: None,
            read: None,
            quick: false,
            built: false,
            parts: &[],
        };
        while let [option, rest @ ..] = arguments
            && option.starts_with("--")
        {
            arguments = rest;
            match option.as_str() {
                "--quick" => options.quick = true,
                "--built" => options.built = true,
                _ => {
                    let [value, rest @ ..] = rest else { return Err(format!("{option} needs a value")) };
                    options.set(option, value)?;
                    arguments = rest;
                }
            }
        }
        if let Some(unknown) = arguments.iter().find(|argument| !PARTS.contains(&argument.as_str())) {
            return Err(format!("no part {unknown:?}: there are {}", PARTS.join(", ")));
        }
        Ok(Options { parts: arguments, ..options })
    }

    fn set(&mut self, option: &str, value: &str) -> Outcome {
        let count = || match value.parse::<u32>() {
            Ok(count) if count > 0 => Ok(count),
            _ => Err(format!("{option} {value:?}: a number above 0 is needed")),
        };
        match option {
            "--runs" => self.runs = Some(count()?.into()),
            "--idle" => self.idle = Some(count()?),
            "--mib" => self.size = count()?.into(),
            "--shells" => self.shells = count()?,
            "--save" => self.save = Some(value.into()),
            "--against" => self.against = Some(doing(value, Path::new(value).canonicalize())?),
            "--plots" => self.plots = Some(value.into()),
            "--read" => self.read = Some(value.into()),
            _ => return Err(format!("no option {option:?}: `cargo xtask bench --help` lists them")),
        }
        Ok(())
    }

    /// How many connections wait, each number in rows of its own, and which of them are not measured here and why.
    fn crowds(&self) -> Outcome<(Vec<u32>, Vec<String>)> {
        let (mut crowds, mut notes) = (Vec::new(), Vec::new());
        for count in self.idle.map_or(IDLE.to_vec(), |count| vec![count]) {
            let count = if self.quick { count.div_ceil(20) } else { count };
            match server::lacking(count)? {
                None => crowds.push(count),
                Some(_) if !self.wants("idle") => {}
                Some(reason) => {
                    notes.push(format!("{count} idle connections and sessions are not measured: {reason}."))
                }
            }
        }
        if crowds.is_empty() { Err(notes.join(" ")) } else { Ok((crowds, notes)) }
    }

    /// The profile of the program that is measured.
    fn profile(&self) -> &'static str {
        if self.quick { RELEASE } else { DIST }
    }

    fn wants(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|one| one == part)
    }
}

/// Whether a file has figures; if not it is a program.
fn has_figures(file: &Path) -> Outcome<bool> {
    let mut first = [0];
    let count = doing(file.display(), fs::File::open(file).and_then(|mut file| file.read(&mut first)))?;
    Ok(first.get(..count) == Some(b"{"))
}

pub(crate) fn run(arguments: &[String]) -> Outcome {
    let options = Options::of(arguments)?;
    let (mut other, mut earlier) = (None, None);
    if let Some(file) = &options.against {
        if has_figures(file)? { earlier = Some(Figures::read(file)?) } else { other = Some(file.clone()) }
    }
    if let Some(file) = &options.read {
        return show(&Figures::read(file)?, earlier.as_ref(), &options, &[]);
    }
    let (crowds, notes) = options.crowds()?;
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        return Err("two cores are needed, one for the server and one for the client".to_owned());
    }
    let workspace = Workspace::find()?;
    let clients = Clients::bring_for_bench(&workspace, options.wants("shell") || options.wants("shells"))?;
    if !options.built {
        build_with(&workspace, options.profile())?;
        let ours = ["build", "--release", "--package", "whelk-tests", "--bin", "ours"];
        step(cargo().current_dir(&workspace.root).args(ours))?;
        let mut peer = cargo();
        peer.current_dir(workspace.root.join("tests/peer")).args(["build", "--release", "--locked", "--target-dir"]);
        step(peer.arg(&workspace.target))?;
    }
    let whelk = workspace.program_of(options.profile());
    let place = Place::prepare(&workspace, clients, (whelk, other), (options.wants("processes"), &crowds))?;
    let file = options.save.clone().unwrap_or_else(|| place.file("figures.jsonl"));
    let figures = Figures::kept_in(&file, &report::machine(&workspace.root, place.source(), options.profile())?)?;
    let runs = options.runs.unwrap_or(if options.quick { 2 } else { 5 });
    let mut bench = Bench { place: &place, options: &options, runs, crowds, figures, took: Vec::new() };
    let measured = bench.measure(&workspace);
    // What there is was worth its time, whatever has failed since.
    show(&bench.figures, earlier.as_ref(), &options, &notes)?;
    let took = bench.took.iter().map(|(part, took)| format!("{part} {}", shown(*took))).collect::<Vec<_>>();
    let all = shown(bench.took.iter().map(|(_, took)| *took).sum());
    print!("{}", markdown::paragraph(&format!("The measurements took {all}: {}.", took.join(", "))));
    println!("\nThe figures are in {}.", file.display());
    measured
}

/// Prints, compares and draws. `notes`: what a reader has to know besides.
fn show(figures: &Figures, earlier: Option<&Figures>, options: &Options<'_>, notes: &[String]) -> Outcome {
    print!("{}{}", table::tables(figures), markdown::paragraph(&figures.circumstances()));
    if let Some(earlier) = earlier {
        print!("{}", table::comparison(figures, earlier));
    }
    if figures.has(Kind::Sshd.name(), |_| true) {
        let servers = "OpenSSH's sshd runs real programs under a login shell (`head`, `cat`, `printf`) and isolates \
                       each connection in processes. russh, a minimal server, runs neither plugins nor programs. Whelk runs \
                       each session in a sandbox of its own. Memory is Pss_Anon of all processes of the server; the \
                       kernel's is not counted.";
        print!("{}", markdown::paragraph(servers));
    }
    notes.iter().for_each(|note| print!("{}", markdown::paragraph(note)));
    print!("{}", goals::table(figures));
    options.plots.as_ref().map_or(Ok(()), |folder| plot::plots(figures, folder))
}

/// A run of the bench.
struct Bench<'a> {
    place: &'a Place,
    options: &'a Options<'a>,
    /// How often everything is measured.
    runs: u64,
    /// How many connections wait.
    crowds: Vec<u32>,
    figures: Figures,
    /// How long each part took.
    took: Vec<(&'static str, Duration)>,
}

impl Bench<'_> {
    fn measure(&mut self, workspace: &Workspace) -> Outcome {
        let wants = |part: &str| self.options.wants(part);
        // The configuration of every server names the program, so it is there before the first one starts.
        let native = if wants("processes") { Some(processes::prepare(workspace, self.place)?) } else { None };
        let scale = |load: Load| if self.options.quick { load.quick() } else { load };
        for Row { part, title, load } in rows::rows(&self.crowds).into_iter().filter(|row| wants(row.part)) {
            let load = scale(load);
            let columns = self.place.servers().iter().filter(|kind| load.suits(**kind));
            let columns: Vec<_> = columns.map(|kind| (*kind, kind.name(), &load)).collect();
            self.timed(part, |bench| bench.loads(part, &title, &columns))?;
        }
        for Pair { part, title, first, second } in rows::pairs().into_iter().filter(|pair| wants(pair.part)) {
            let (first, second) = (scale(first), scale(second));
            let columns = [(Kind::Whelk, OF_PAIRS[0], &first), (Kind::Whelk, OF_PAIRS[1], &second)];
            self.timed(part, |bench| bench.loads(part, &title, &columns))?;
        }
        if wants("sftp") {
            self.timed("sftp", Self::sftp)?;
        }
        if let Some(native) = native {
            self.timed("processes", |bench| bench.processes(&native))?;
        }
        if wants("shell") || wants("shells") {
            self.timed("shell and shells", Self::shells)?;
        }
        Ok(())
    }

    /// Measures a part, or some of it, and how long that takes.
    fn timed(&mut self, part: &'static str, measure: impl FnOnce(&mut Self) -> Outcome) -> Outcome {
        let began = Instant::now();
        let measured = measure(self);
        match self.took.iter_mut().find(|(known, _)| *known == part) {
            Some((_, took)) => *took += began.elapsed(),
            None => self.took.push((part, began.elapsed())),
        }
        measured
    }

    fn add(&mut self, part: &str, title: &str, unit: &str, server: &str, (run, value): (u64, f64)) -> Outcome {
        let subject = Subject { part: part.to_owned(), title: title.to_owned(), unit: unit.to_owned() };
        self.figures.add(Figure { subject, server: server.to_owned(), run, value })
    }

    /// Measures loads in turns, one for each column: its server, its name, the load. All give the same figures as the
    /// first, or more, which are left out.
    fn loads(&mut self, part: &str, title: &str, columns: &[(Kind, &str, &Load)]) -> Outcome {
        let Some((_, _, first)) = columns.first() else { return Ok(()) };
        for run in 1..=self.runs.min(first.most_runs()) {
            for (kind, name, load) in columns {
                let server = Server::start_with(self.place, *kind, load.setup())?;
                let values = load::run(self.place, &server, load).and_then(|values| server.stop().map(|()| values));
                let values = values.map_err(|error| format!("{title}, {name}: {error}"))?;
                for ((title, unit), value) in rows::titles(title, first).iter().zip(values) {
                    self.add(part, title, unit, name, (run, value))?;
                }
            }
        }
        Ok(())
    }

    /// File transfer in turns.
    fn sftp(&mut self) -> Outcome {
        let size = if self.options.quick { self.options.size.div_ceil(20) } else { self.options.size };
        sftp::prepare(self.place, size)?;
        for transfer in sftp::Transfer::ALL {
            for run in 1..=self.runs {
                for kind in self.place.servers().iter().filter(|kind| **kind != Kind::Russh) {
                    let server = Server::start(self.place, *kind)?;
                    let values = sftp::run(self.place, &server, transfer, size);
                    server.stop()?;
                    let values = values.map_err(|error| format!("{transfer:?}, {}: {error}", kind.name()))?;
                    for ((title, unit), value) in transfer.titles(size).iter().zip(values) {
                        self.add("sftp", title, unit, kind.name(), (run, value))?;
                    }
                }
            }
        }
        sftp::sweep(self.place)
    }

    /// Processes in turns, of Whelk and of this machine.
    fn processes(&mut self, native: &processes::Native) -> Outcome {
        for work in processes::Work::ALL {
            for run in 1..=self.runs {
                let of_whelk = processes::of_whelk(self.place, work);
                let of_kernel = processes::of_kernel(native, work);
                for (name, values) in OF_PROCESSES.into_iter().zip([of_whelk, of_kernel]) {
                    let values = values.map_err(|error| format!("{work:?}, {name}: {error}"))?;
                    for ((title, unit), value) in work.titles().iter().zip(values) {
                        self.add("processes", title, unit, name, (run, value))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Shells in turns, and the memory of those that wait.
    fn shells(&mut self) -> Outcome {
        let peers = peers::Peers::bring(self.place);
        let shells = || shell::Shell::ALL.into_iter().zip(OF_SHELLS);
        let works = if self.options.wants("shell") { &work::Work::ALL[..] } else { &[] };
        for work in works {
            for (run, (shell, name)) in (1..=self.runs).flat_map(|run| shells().map(move |shell| (run, shell))) {
                let values = shell::measure(self.place, &peers, shell, *work);
                let values = values.map_err(|error| format!("{work:?}, {name}: {error}"))?;
                for ((title, unit), value) in work.titles().iter().zip(values.into_iter().flatten()) {
                    self.add("shell", title, unit, name, (run, value))?;
                }
            }
        }
        if self.options.wants("shells") {
            let count = if self.options.quick { self.options.shells.div_ceil(20) } else { self.options.shells };
            for (shell, name) in shells() {
                let kib = shell::idle(self.place, &peers, shell, count);
                if let Some(kib) = kib.map_err(|error| format!("idle, {name}: {error}"))? {
                    self.add("shells", &format!("{count} idle shells"), "KiB", name, (1, kib))?;
                }
            }
        }
        peers.notes().iter().for_each(|note| println!("{note}"));
        Ok(())
    }
}
