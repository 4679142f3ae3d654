//! One client across all names that it shares with a server.

use std::fmt;
use std::time::Duration;

use whelk_tests::AlgorithmKind::{self, Compression};
use whelk_tests::{Call, Client, Finished, Input, MIB, SOON, size};

use super::client::{Way, names, rekey, way};
use super::server::{Make, Narrowed, Server, Servers, names_of};

/// The load of a crossing, echoed, in bytes.
const LOAD: u64 = 64 << 10;

/// The time limit of one process.
fn limit() -> Duration {
    SOON * if size(0, 1) == 1 { 20 } else { 5 }
}

/// One thing that a client does or does not get done. The order is that of the matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Crossing {
    /// A connection with this name, and no other of its kind.
    Name(AlgorithmKind, &'static str),
    /// A connection on which the client changes keys over and over, with data both ways.
    RekeyByClient,
    /// The same by the server.
    RekeyByServer,
}

impl fmt::Display for Crossing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(_, name) => f.write_str(name),
            Self::RekeyByClient => f.write_str("new keys by the client"),
            Self::RekeyByServer => f.write_str("new keys by the server"),
        }
    }
}

/// All crossings of everything that the servers offer.
pub(super) fn all() -> Vec<Crossing> {
    let of = |kind| names_of(kind).into_iter().map(move |name| Crossing::Name(kind, name));
    let names = AlgorithmKind::ALL.into_iter().flat_map(of);
    // Without compression is how everything else is crossed.
    let names = names.filter(|crossing| *crossing != Crossing::Name(Compression, "none"));
    names.chain([Crossing::RekeyByClient, Crossing::RekeyByServer]).collect()
}

/// What came of a crossing.
pub(super) type Crossed = (Crossing, Result<(), String>);

/// Crosses everything that this client knows and `offered` has.
pub(super) fn cross(client: Client, servers: &Servers, offered: &[Crossing]) -> Vec<Crossed> {
    let knows = names(client);
    let is_known = |crossing: &&Crossing| match crossing {
        Crossing::Name(kind, name) => knows(*kind).iter().any(|known| known == name),
        Crossing::RekeyByClient => rekey(client).is_some(),
        Crossing::RekeyByServer => true,
    };
    let mut crossed = Vec::new();
    let mut lines = Vec::new();
    for crossing in offered.iter().filter(is_known) {
        let load = match crossing {
            Crossing::Name(..) => LOAD,
            // sshd is there to compare with. With 16 MiB libssh and it wait for each other (4 of 4 runs), with one they
            // do not (0 of 12).
            Crossing::RekeyByClient | Crossing::RekeyByServer if servers.make == Make::Sshd => MIB,
            Crossing::RekeyByClient | Crossing::RekeyByServer => size(1, 16) * MIB,
        };
        let (narrowed, way) = match crossing {
            Crossing::Name(kind, name) => match way(client, *kind, name) {
                Way::Server => (Narrowed::Only(*kind, name), None),
                other => (Narrowed::Not, Some(other)),
            },
            Crossing::RekeyByClient => (Narrowed::Not, rekey(client)),
            Crossing::RekeyByServer => (Narrowed::Rekey(64), None),
        };
        match way {
            Some(Way::Line(line)) => lines.push((*crossing, format!("{line} bytes={load}\n"))),
            way => {
                let arguments = if let Some(Way::Arguments(arguments)) = way { arguments } else { Vec::new() };
                crossed.push((*crossing, servers.with(narrowed, |server| echo(client, server, &arguments, load))));
            }
        }
    }
    if !lines.is_empty() {
        crossed.extend(servers.with(Narrowed::Not, |server| cross_lines(client, server, &lines)));
    }
    crossed.sort_by_key(|(crossing, _)| *crossing);
    crossed
}

/// Crosses lines by the client's driver, in one process.
pub(super) fn cross_lines(client: Client, server: &Server, lines: &[(Crossing, String)]) -> Vec<Crossed> {
    let input = lines.iter().map(|(_, line)| line.as_bytes()).collect::<Vec<_>>().concat();
    let call = server.call(client).option("--crossings");
    let finished = call.run_within(Input::Bytes(input), limit());
    let text = finished.out.text();
    let mut answers = text.lines();
    let answer = |(crossing, _): &(Crossing, String)| {
        let result = match answers.next() {
            Some("ok") => Ok(()),
            Some(other) => Err(other.to_owned()),
            None => Err(format!("the driver ended: {}", finished.err)),
        };
        (*crossing, result)
    };
    lines.iter().map(answer).collect()
}

/// Has bytes echoed.
pub(super) fn echo(client: Client, server: &Server, arguments: &[String], count: u64) -> Result<(), String> {
    let call = arguments.iter().fold(server.call(client), |call, argument| call.option(argument));
    if client == Client::Curl {
        return reach_subsystem(&call);
    }
    // Half of it compresses well.
    let bytes: Vec<u8> = (0..u32::try_from(count).expect("it fits into memory"))
        .map(|at| if u64::from(at) < count / 2 { (at.wrapping_mul(2_654_435_761) >> 24) as u8 } else { 0 })
        .collect();
    let finished = call.exec("cat").run_within(Input::Bytes(bytes.clone()), limit());
    if finished.status == Some(0) && finished.out.total == count && finished.out.kept == bytes {
        return Ok(());
    }
    Err(format!("status {:?}, {} bytes echoed; {}", finished.status, finished.out.total, finished.err))
}

/// curl logs in and asks for the subsystem `sftp`, which neither server has here.
fn reach_subsystem(call: &Call) -> Result<(), String> {
    let Finished { err, .. } = call.run(Input::Nothing);
    let is_reached = err.contains("Authentication complete") && err.contains("Failure initializing sftp session");
    if is_reached { Ok(()) } else { Err(err) }
}
