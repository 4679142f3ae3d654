//! Shells: the tenant's shell over Whelk beside dash and bash over sshd, and just-bash, which runs in a process of
//! node and has no server.

use super::load::{Driver, on_core_1, ssh};
use super::server::{Kind, Place, SHELL, Server};
use crate::step::{Outcome, doing, line, output, run as step};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const CIPHER: &str = "aes256-gcm@openssh.com";

const JUST_BASH: &str = "just-bash@3.4.2";
const JUST_BASH_SCRIPT: &str = include_str!("just_bash.mjs");

/// Who runs the commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shell {
    Whelk,
    Dash,
    Bash,
    JustBash,
}

impl Shell {
    pub(crate) const ALL: [Self; 4] = [Self::Whelk, Self::Dash, Self::Bash, Self::JustBash];

    pub(crate) fn start(self, place: &Place) -> Outcome<Option<Server>> {
        match self {
            Self::Whelk => Server::start(place, Kind::Whelk).map(Some),
            Self::Dash => Server::start_sshd(place, Path::new("/bin/dash")).map(Some),
            Self::Bash => Server::start_sshd(place, Path::new("/bin/bash")).map(Some),
            Self::JustBash => Ok(None),
        }
    }
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// A session that prints six bytes.
    Start,
    /// The same after a program that does nothing.
    True,
    /// Three programs joined by pipes.
    Pipeline,
    /// A GiB through a pipe.
    Pipe,
    Builtins,
    Programs,
}

/// CPU and wall time, in the unit of the title.
pub(crate) type Figures = [f64; 2];

impl Work {
    pub(crate) const ALL: [Self; 6] =
        [Self::Start, Self::True, Self::Pipeline, Self::Pipe, Self::Builtins, Self::Programs];

    pub(crate) fn titles(self) -> [&'static str; 2] {
        match self {
            Self::Start => ["shell: session, ms", "  its wall time, ms"],
            Self::True => ["shell: session with /bin/true, ms", "  its wall time, ms"],
            Self::Pipeline => ["shell: three stages, ms", "  its wall time, ms"],
            Self::Pipe => ["shell: 1 GiB through cat, s", "  its wall time, s"],
            Self::Builtins => ["shell: 10,000 builtins, ms", "  its wall time, ms"],
            Self::Programs => ["shell: 1,000 programs, ms", "  its wall time, ms"],
        }
    }

    fn script(self) -> &'static str {
        match self {
            Self::Start => "printf 123456",
            Self::True => "/bin/true && printf 123456",
            Self::Pipeline => "seq 123456 123465 | sort | head -c 6",
            Self::Pipe => "head -c 1073741824 /dev/zero | cat >/dev/null",
            Self::Builtins => "i=0; while [ $i -lt 10000 ]; do i=$((i+1)); done",
            Self::Programs => "i=0; while [ $i -lt 1000 ]; do /bin/true; i=$((i+1)); done",
        }
    }

    /// How many sessions of one connection run it; none: a session of OpenSSH's client.
    fn sessions(self) -> Option<u32> {
        match self {
            Self::Start | Self::True => Some(300),
            Self::Pipeline => Some(100),
            Self::Pipe | Self::Builtins | Self::Programs => None,
        }
    }

    fn unit(self) -> f64 {
        if self == Self::Pipe { 1.0 } else { 1e3 }
    }
}

/// Brings just-bash. It is fetched with npm, into the folder of the bench.
pub(crate) fn prepare(place: &Place) -> Outcome<PathBuf> {
    let folder = place.file("just-bash");
    doing(folder.display(), fs::create_dir_all(&folder))?;
    let script = folder.join("run.mjs");
    doing(script.display(), fs::write(&script, JUST_BASH_SCRIPT))?;
    if !folder.join("node_modules/just-bash").is_dir() {
        let mut install = Command::new("npm");
        install.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"]).arg(&folder).arg(JUST_BASH);
        step(&mut install)?;
    }
    Ok(script)
}

/// Does it once. `script` is that of just-bash. None where the shell cannot do it.
pub(crate) fn measure(place: &Place, script: &Path, shell: Shell, work: Work) -> Outcome<Option<Figures>> {
    let Some(server) = shell.start(place)? else { return of_just_bash(script, work) };
    let user = if shell == Shell::Whelk { SHELL } else { server.user() };
    // The first start of a program waits until it is compiled.
    for work in [Work::True, Work::Pipeline] {
        once(&mut ssh(place, &server, user, CIPHER, work.script()))?;
    }
    let (cpu, wall) = match work.sessions() {
        Some(count) => {
            let mut driver = Driver::start_commands(place, &server, user, work.script(), count)?;
            driver.hear("ready")?;
            let (before, began) = (server.meter().cpu()?, Instant::now());
            driver.go_on()?;
            driver.hear("done")?;
            let (wall, cpu) = (began.elapsed(), server.meter().cpu()?.saturating_sub(before));
            driver.end()?;
            (cpu / count, wall / count)
        }
        None => {
            let (before, began) = (server.meter().cpu()?, Instant::now());
            once(&mut ssh(place, &server, user, CIPHER, work.script()))?;
            (server.meter().cpu()?.saturating_sub(before), began.elapsed())
        }
    };
    server.stop()?;
    Ok(Some(figures(cpu, wall, work)))
}

fn figures(cpu: Duration, wall: Duration, work: Work) -> Figures {
    [cpu.as_secs_f64() * work.unit(), wall.as_secs_f64() * work.unit()]
}

fn once(ssh: &mut Command) -> Outcome {
    let line = line(ssh);
    let status = doing(&line, ssh.stdin(Stdio::null()).stdout(Stdio::null()).status())?;
    if status.success() { Ok(()) } else { Err(format!("{line}: {status}")) }
}

/// Its shell has no programs and no streams: a GiB would be one string in memory.
fn of_just_bash(script: &Path, work: Work) -> Outcome<Option<Figures>> {
    if work == Work::Pipe {
        return Ok(None);
    }
    let count = work.sessions().unwrap_or(1);
    let mut node = on_core_1();
    node.arg("node").arg(script).arg(count.to_string()).arg(work.script());
    let said = output(&mut node)?;
    let read = |word: &str| word.parse::<f64>().map(|milliseconds| milliseconds / 1e3 * work.unit());
    let figures: Vec<f64> =
        said.split_whitespace().map(read).collect::<Result<_, _>>().map_err(|error| format!("{said:?}: {error}"))?;
    let figures = <[f64; 2]>::try_from(figures).map_err(|_| format!("just-bash said {said:?}"))?;
    Ok(Some(figures))
}

/// Memory of one shell that waits for a line, in KiB, with `count` of them.
pub(crate) fn idle(place: &Place, shell: Shell, count: u32) -> Outcome<Option<f64>> {
    let Some(server) = shell.start(place)? else { return Ok(None) };
    let user = if shell == Shell::Whelk { SHELL } else { server.user() };
    once(&mut ssh(place, &server, user, CIPHER, Work::Start.script()))?;
    let mut driver = Driver::start_shells(place, &server, user, count)?;
    driver.hear("ready")?;
    let before = server.meter().anonymous()?;
    driver.go_on()?;
    driver.hear("done")?;
    let grown = server.meter().anonymous()?.saturating_sub(before);
    driver.end()?;
    server.stop()?;
    let kib = u32::try_from(grown >> 10).unwrap_or(u32::MAX);
    Ok(Some(f64::from(kib) / f64::from(count)))
}
