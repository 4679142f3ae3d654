//! Loads for measurements: many logins, sessions or echoes. The caller measures their cost at the server.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::task::LocalSet;
use whelk_ssh::crypto::key::HostKey;
use whelk_ssh::message::mux::{ChannelId, Stream};
use whelk_ssh::message::request::{Modes, Request};

use crate::certified::Authority;
use crate::peer::{Happened, Peer, Wish};
use crate::session::{WINDOW, ask, open};
use crate::starts::Lanes;

/// What is repeated.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Kind {
    /// Connect, exchange keys, log in by key, disconnect.
    Handshake,
    /// On one connection: open, `exec`, six bytes of output, exit status, close.
    Session,
    /// In rounds: every session of a connection sends 16 bytes and gets them back. Connections have ten sessions at
    /// most, and do not wait for each other. After `done` come the median and the 99th percentile of the time that it
    /// takes, in microseconds.
    Echo,
    /// The same with a terminal that echoes the bytes: they are a line, whose end is shown as two bytes.
    Typed,
    /// Connections whose sessions, if any, have each echoed once. A line `again` makes all of them echo once more.
    Idle,
    /// The same, after 32 KiB have gone through each session and back.
    Used,
    /// The same with shells that each have read a line, and wait for the next.
    Shells,
    /// Sessions as above that start at a rate, on several connections; see `starts.rs`.
    Starts,
}

/// What a shell of `shells` is sent first: it reads lines, as an interactive one does. It says when it has begun,
/// because dash reads ahead what comes at the same time.
const SHELL: &[u8] = b"printf begun; while read -r line; do printf '%s' \"$line\"; done\n";

/// Sessions of one connection in `echo`: as many as OpenSSH's server permits by default.
const SESSIONS: u32 = 10;

/// The command that echoes its input.
const CAT: &str = "cat";

/// The parameters of a run.
pub(crate) struct Load {
    pub(crate) kind: Kind,
    pub(crate) count: u32,
    /// The number of the first login of a handshake.
    pub(crate) first: u32,
    pub(crate) at_once: u32,
    /// Starts in a second.
    pub(crate) rate: u32,
    /// The command that prints six bytes.
    pub(crate) command: String,
    /// Gives each login of a handshake a user and a certificate.
    pub(crate) authority: Option<Authority>,
}

/// Prints `ready`, waits for a line, does the work, prints `done`, and waits for another line, so that the caller can
/// measure in between.
pub(crate) async fn run(load: &Load, wish: &Wish, key: &Arc<HostKey>) -> io::Result<()> {
    permit_files()?;
    match load.kind {
        Kind::Handshake => {
            cue("ready").await?;
            for number in load.first..load.first.saturating_add(load.count) {
                let own = load.authority.as_ref().map(|authority| authority.wish(wish, key, number));
                drop(Peer::log_in(own.as_ref().unwrap_or(wish), key).await?);
            }
            cue("done").await.map(drop)
        }
        Kind::Session => {
            let mut peer = Peer::log_in(wish, key).await?;
            cue("ready").await?;
            for _ in 0..load.count {
                session(&mut peer, &load.command).await?;
            }
            cue("done").await.map(drop)
        }
        Kind::Echo | Kind::Typed => echo(load, wish, key).await,
        Kind::Idle | Kind::Used | Kind::Shells => idle(load, wish, key).await,
        Kind::Starts => {
            let lanes = Lanes::connect(load.at_once, wish, key).await?;
            cue("ready").await?;
            let outcome = lanes.start(load.count, load.rate, &load.command).await?;
            cue(&format!("done {outcome}")).await.map(drop)
        }
    }
}

/// Permits as many connections as the system lets a process have.
pub(crate) fn permit_files() -> io::Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).map_err(io::Error::from)
}

/// Prints a word and waits for a line.
pub(crate) async fn cue(word: &str) -> io::Result<String> {
    println!("{word}");
    let read = || {
        let mut line = String::new();
        io::stdin().read_line(&mut line).map(|_| line)
    };
    tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?
}

/// One session from open to close.
async fn session(peer: &mut Peer, command: &str) -> io::Result<()> {
    let channel = open(peer).await?;
    ask(peer, channel, &Request::Exec { command: command.as_bytes() });
    let mut printed = 0;
    loop {
        match peer.happens().await? {
            Happened::Data(_, Stream::Data, data) => printed += data.len(),
            Happened::Closed(_) if printed == 6 => return Ok(()),
            Happened::Closed(_) => return Err(io::Error::other(format!("{printed} bytes instead of 6"))),
            Happened::Data(..) | Happened::Answered(..) | Happened::Opened(_) => {}
            Happened::ExitStatus(_, 0) => {}
            other => return Err(io::Error::other(format!("{other:?}"))),
        }
    }
}

/// Opens a session that echoes its input.
pub(crate) async fn cat(peer: &mut Peer) -> io::Result<ChannelId> {
    let channel = open(peer).await?;
    ask(peer, channel, &Request::Exec { command: CAT.as_bytes() });
    match peer.happens().await? {
        Happened::Answered(_, true) => Ok(channel),
        other => Err(io::Error::other(format!("{other:?}"))),
    }
}

/// Opens a session with a shell that echoes each line that it reads.
async fn shell(peer: &mut Peer) -> io::Result<ChannelId> {
    let channel = open(peer).await?;
    ask(peer, channel, &Request::Shell);
    match peer.happens().await? {
        Happened::Answered(_, true) => {}
        other => return Err(io::Error::other(format!("{other:?}"))),
    }
    BEGUN.run(peer, &[channel]).await?;
    Ok(channel)
}

/// Rounds in which sessions echo what they are sent, `at_once` of them altogether.
async fn echo(load: &Load, wish: &Wish, key: &Arc<HostKey>) -> io::Result<()> {
    let mut connections = Vec::new();
    let mut missing = load.at_once;
    while missing > 0 {
        let mut peer = Peer::log_in(wish, key).await?;
        let mut channels = Vec::new();
        for _ in 0..missing.min(SESSIONS) {
            channels.push(match load.kind {
                Kind::Typed => typed(&mut peer, &load.command).await?,
                _ => cat(&mut peer).await?,
            });
        }
        missing -= missing.min(SESSIONS);
        connections.push((peer, channels));
    }
    let round = match load.kind {
        Kind::Typed => Round { sent: b"fifteen bytes !\r", back: 17 },
        _ => BYTES,
    };
    cue("ready").await?;
    let (everybody, count) = (LocalSet::new(), load.count);
    let rounds = connections.into_iter().map(|(mut peer, channels)| {
        everybody.spawn_local(async move {
            let mut times = Vec::new();
            for _ in 0..count {
                times.extend(round.run(&mut peer, &channels).await?);
            }
            Ok::<_, io::Error>((peer, times))
        })
    });
    let (rounds, mut times) = (rounds.collect::<Vec<_>>(), Vec::new());
    let mut peers = Vec::new();
    everybody
        .run_until(async {
            for connection in rounds {
                let (peer, its_times) = connection.await.map_err(io::Error::other)??;
                times.extend(its_times);
                peers.push(peer);
            }
            Ok::<_, io::Error>(())
        })
        .await?;
    times.sort_unstable();
    let percentile = |of: usize| times.get(times.len() * of / 100).map_or(0, Duration::as_nanos) as f64 / 1e3;
    cue(&format!("done {:.1} {:.1}", percentile(50), percentile(99))).await.map(drop)
}

/// Opens a session with a terminal that echoes what is typed.
async fn typed(peer: &mut Peer, command: &str) -> io::Result<ChannelId> {
    let channel = open(peer).await?;
    ask(peer, channel, &Request::PtyReq { term: b"xterm", size: WINDOW, modes: Modes::new(b"\0") });
    ask(peer, channel, &Request::Exec { command: command.as_bytes() });
    for _ in 0..2 {
        match peer.happens().await? {
            Happened::Answered(_, true) => {}
            other => return Err(io::Error::other(format!("{other:?}"))),
        }
    }
    Ok(channel)
}

/// Connections whose sessions have echoed once and then idle, and echo again on request.
async fn idle(load: &Load, wish: &Wish, key: &Arc<HostKey>) -> io::Result<()> {
    let round = match load.kind {
        Kind::Shells => LINE,
        Kind::Used => BLOCK,
        _ => BYTES,
    };
    cue("ready").await?;
    let mut peers = Vec::new();
    for _ in 0..load.count {
        let mut peer = Peer::log_in(wish, key).await?;
        let mut channels = Vec::new();
        for _ in 0..load.at_once {
            channels.push(match load.kind {
                Kind::Shells => shell(&mut peer).await?,
                _ => cat(&mut peer).await?,
            });
        }
        round.run(&mut peer, &channels).await?;
        peers.push((peer, channels));
    }
    let mut line = cue("done").await?;
    while line.trim() == "again" {
        let mut answered = 0;
        for (peer, channels) in &mut peers {
            round.run(peer, channels).await?;
            answered += channels.len();
        }
        line = cue(&format!("answered {answered}")).await?;
    }
    Ok(())
}

/// Writes as much as the windows take of what channels have not been sent. Whether that was anything.
fn write_rest(peer: &mut Peer, unsent: &mut Vec<(ChannelId, &'static [u8])>) -> bool {
    let mut wrote = false;
    unsent.retain_mut(|(channel, bytes)| {
        let took = peer.connection.write(*channel, Stream::Data, bytes);
        wrote |= took > 0;
        *bytes = bytes.get(took..).unwrap_or_default();
        !bytes.is_empty()
    });
    wrote
}

/// What each session of a connection is sent, and how many bytes come back.
#[derive(Clone, Copy)]
struct Round {
    sent: &'static [u8],
    back: usize,
}

const BEGUN: Round = Round { sent: SHELL, back: 5 };
const BYTES: Round = Round { sent: b"sixteen bytes !!", back: 16 };
const BLOCK: Round = Round { sent: &[b'x'; 32 << 10], back: 32 << 10 };
const LINE: Round = Round { sent: b"fifteen bytes !\n", back: 15 };

impl Round {
    /// Gives the time that each session took, in the order in which they were done.
    async fn run(self, peer: &mut Peer, channels: &[ChannelId]) -> io::Result<Vec<Duration>> {
        let (began, mut times) = (Instant::now(), Vec::with_capacity(channels.len()));
        let mut unsent: Vec<_> = channels.iter().map(|channel| (*channel, self.sent)).collect();
        let mut missing: Vec<_> = channels.iter().map(|channel| (*channel, self.back)).collect();
        while times.len() < channels.len() {
            peer.turn()?;
            if write_rest(peer, &mut unsent) {
                continue;
            }
            let Some(happened) = peer.next() else {
                peer.wait().await?;
                continue;
            };
            let Happened::Data(channel, Stream::Data, data) = happened else {
                return Err(io::Error::other(format!("something else than what was sent came back on {channels:?}")));
            };
            let Some((_, left)) = missing.iter_mut().find(|(one, _)| *one == channel) else {
                return Err(io::Error::other(format!("nothing was sent on {channel:?}")));
            };
            *left = left.checked_sub(data.len()).ok_or_else(|| io::Error::other("more came back than was sent"))?;
            if *left == 0 {
                times.push(began.elapsed());
            }
        }
        Ok(times)
    }
}
