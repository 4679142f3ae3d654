//! Shells: the tenant's shell over Whelk beside dash and bash over sshd, and two that run in a process of node.

use super::load::{Driver, ssh};
use super::peers::{Peer, Peers};
use super::server::{Kind, Place, SHELL, Server};
use super::work::{Figures, Work};
use crate::step::{Outcome, doing, line};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const CIPHER: &str = "aes256-gcm@openssh.com";

/// Who runs the commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shell {
    Whelk,
    Dash,
    Bash,
    Node(Peer),
}

impl Shell {
    pub(crate) const ALL: [Self; 5] =
        [Self::Whelk, Self::Dash, Self::Bash, Self::Node(Peer::JustBash), Self::Node(Peer::Wasmsh)];

    fn start(self, place: &Place) -> Outcome<Server> {
        match self {
            Self::Dash => Server::start_sshd(place, Path::new("/bin/dash")),
            Self::Bash => Server::start_sshd(place, Path::new("/bin/bash")),
            Self::Whelk | Self::Node(_) => Server::start(place, Kind::Whelk),
        }
    }
}

/// Does it once. None where the shell cannot do it.
pub(crate) fn measure(place: &Place, peers: &Peers, shell: Shell, work: Work) -> Outcome<Option<Figures>> {
    if let Shell::Node(peer) = shell {
        return peers.measure(peer, work);
    }
    let server = shell.start(place)?;
    let user = if shell == Shell::Whelk { SHELL } else { server.user() };
    // The first start of a program waits until it is compiled.
    for work in [Work::True, Work::Pipeline] {
        once(&mut ssh(place, &server, user, CIPHER, work.script()))?;
    }
    let [cpu, wall] = run(place, &server, user, work)?;
    // Once more for the memory: to look at it takes time.
    let (again, grown) = server.meter().growth_during(|| run(place, &server, user, work));
    again?;
    server.stop()?;
    let mib = f64::from(u32::try_from(grown? >> 10).unwrap_or(u32::MAX)) / 1024.0;
    Ok(Some([cpu.as_secs_f64() * work.unit(), wall.as_secs_f64() * work.unit(), mib]))
}

/// CPU and wall time of one.
fn run(place: &Place, server: &Server, user: &str, work: Work) -> Outcome<[Duration; 2]> {
    let Some(count) = work.sessions() else {
        let (before, began) = (server.meter().cpu()?, Instant::now());
        once(&mut ssh(place, server, user, CIPHER, work.script()))?;
        return Ok([server.meter().cpu()?.saturating_sub(before), began.elapsed()]);
    };
    let mut driver = Driver::start_commands(place, server, user, work.script(), count)?;
    driver.hear("ready")?;
    let (before, began) = (server.meter().cpu()?, Instant::now());
    driver.go_on()?;
    driver.hear("done")?;
    let (wall, cpu) = (began.elapsed(), server.meter().cpu()?.saturating_sub(before));
    driver.end()?;
    Ok([cpu / count, wall / count])
}

fn once(ssh: &mut Command) -> Outcome {
    let line = line(ssh);
    let status = doing(&line, ssh.stdin(Stdio::null()).stdout(Stdio::null()).status())?;
    if status.success() { Ok(()) } else { Err(format!("{line}: {status}")) }
}

/// Memory of one shell that waits for a line, in KiB, with `count` of them.
pub(crate) fn idle(place: &Place, peers: &Peers, shell: Shell, count: u32) -> Outcome<Option<f64>> {
    if let Shell::Node(peer) = shell {
        return peers.idle(peer, count);
    }
    let server = shell.start(place)?;
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
