//! Processes: the program `tests/interop/programs/processes` as one of Whelk and as one of this machine. It starts the
//! smallest program again and again, and writes to another process through a pipe.

use super::load::{Driver, ssh};
use super::meter::{self, Meter};
use super::server::{Cores, Kind, PROCESSES as PROGRAM, Place, Server, WASM, compile, on_cores};
use crate::step::{Outcome, doing, run as step};
use crate::workspace::{Workspace, cargo};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// The program that is started.
const TRUE: &str = "true";
const TRUE_SOURCE: &str = "fn main() {}";

/// How often it is started.
const STARTS: u32 = 2000;
/// How much goes through the pipe, in MiB.
const POURED: u32 = 2048;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    Starts,
    Pipe,
}

/// CPU time, and wall time or speed, in the unit of the titles.
pub(crate) type Figures = [f64; 2];

impl Work {
    pub(crate) const ALL: [Self; 2] = [Self::Starts, Self::Pipe];

    /// The titles of its figures and their units, in the order of [`Figures`].
    pub(crate) fn titles(self) -> [(&'static str, &'static str); 2] {
        match self {
            Self::Starts => [("start to end of `true`", "ms"), ("start to end of `true`: wall time", "ms")],
            Self::Pipe => [("pipe between two processes", "s/GB"), ("pipe between two processes: speed", "MB/s")],
        }
    }

    /// The arguments of the program. `path` leads to `true`.
    fn role(self, path: &str) -> String {
        match self {
            Self::Starts => format!("role starts {path} {STARTS}"),
            Self::Pipe => format!("role pour {POURED}"),
        }
    }

    fn figures(self, cpu: Duration, wall: Duration) -> Figures {
        let (cpu, wall) = (cpu.as_secs_f64(), wall.as_secs_f64());
        let starts = f64::from(STARTS);
        let bytes = f64::from(POURED) * f64::from(1 << 20);
        match self {
            Self::Starts => [cpu * 1e3 / starts, wall * 1e3 / starts],
            Self::Pipe => [cpu * 1e9 / bytes, bytes / wall / 1e6],
        }
    }
}

/// The programs of this machine.
pub(crate) struct Native {
    program: PathBuf,
    path: PathBuf,
}

/// Builds the programs for both, and puts Whelk's where it finds them.
pub(crate) fn prepare(workspace: &Workspace, place: &Place) -> Outcome<Native> {
    let (crate_folder, target) = (workspace.root.join("tests/interop/programs").join(PROGRAM), place.file("programs"));
    for options in [&[][..], &["--target", WASM]] {
        let mut build = cargo();
        build.current_dir(&crate_folder).env("CARGO_TARGET_DIR", &target);
        step(build.args(["build", "--quiet", "--release", "--locked"]).args(options))?;
    }
    let (source, native) = (place.file("true.rs"), target.join(TRUE));
    doing(source.display(), fs::write(&source, TRUE_SOURCE))?;
    compile(&source, &[], &native)?;
    let there = |name: &str| place.programs().join(name).with_extension("wasm");
    compile(&source, &["--target", WASM], &there(TRUE))?;
    let built = target.join(WASM).join("release").join(PROGRAM).with_extension("wasm");
    doing(built.display(), fs::copy(&built, there(PROGRAM)))?;
    Ok(Native { program: target.join("release").join(PROGRAM), path: native })
}

/// Does it in a session of a server that has just been started.
pub(crate) fn of_whelk(place: &Place, work: Work) -> Outcome<Figures> {
    let server = Server::start(place, Kind::Whelk)?;
    let session = |role: &str| ssh(place, &server, PROGRAM, "aes256-gcm@openssh.com", role);
    // The first start of a program waits until it is compiled.
    measure(&mut session(&format!("role starts {TRUE} 1")), |_| Ok(Duration::ZERO), work)?;
    let figures = measure(&mut session(&work.role(TRUE)), |_| server.meter().cpu(), work);
    server.stop()?;
    figures
}

/// The same on this machine, with a kernel's processes.
pub(crate) fn of_kernel(native: &Native, work: Work) -> Outcome<Figures> {
    let group = meter::group("native");
    let mut command = Command::new(&native.program);
    command.args(work.role(&native.path.display().to_string()).split(' '));
    let mut command = on_cores(Cores::First, &command, group.as_deref());
    let group = group.map(Meter::Group);
    let figures = measure(
        &mut command,
        |process| match &group {
            Some(group) => group.cpu(),
            None => Meter::Tree(process).cpu(),
        },
        work,
    );
    if let Some(group) = group {
        group.end();
    }
    figures
}

/// Runs the program, and measures it between `ready` and `done`. `cpu` tells the CPU time so far, given the process.
fn measure(program: &mut Command, cpu: impl Fn(u32) -> Outcome<Duration>, work: Work) -> Outcome<Figures> {
    let mut driver = Driver::of(program)?;
    driver.hear("ready")?;
    let (before, began) = (cpu(driver.process())?, Instant::now());
    driver.go_on()?;
    driver.hear("done")?;
    let (took, used) = (began.elapsed(), cpu(driver.process())?.saturating_sub(before));
    driver.end()?;
    Ok(work.figures(used, took))
}
