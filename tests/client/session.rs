//! One session between standard input and output, as `ssh` runs it, and requests that `ssh` cannot make.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::time::Duration;

use clap::ValueEnum;
use tokio::io::AsyncReadExt;
use whelk_ssh::message::mux::{ChannelId, Stream};
use whelk_ssh::message::request::{Modes, Request, WindowSize};

use crate::peer::{Happened, Peer};

/// How long to wait for CLOSE after the program was refused. Servers need not send it.
const GRACE: Duration = Duration::from_secs(1);
/// The window size of the terminal.
pub(crate) const WINDOW: WindowSize = WindowSize { columns: 80, rows: 24, width_px: 640, height_px: 384 };

/// What can be sent once the session has started.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Then {
    /// A window change.
    WindowChange,
    /// The signal TERM.
    Signal,
    /// A break.
    Break,
    /// An unknown request.
    Request,
    /// Extended data of type 7.
    SideData,
    /// CLOSE, without waiting for the peer's.
    Close,
}

/// What to request.
pub(crate) struct Asked {
    /// Ask for a terminal first.
    pub(crate) terminal: bool,
    /// Variables, NAME=VALUE.
    pub(crate) env: Vec<String>,
    /// The command is the name of a subsystem.
    pub(crate) subsystem: bool,
    pub(crate) command: String,
    pub(crate) then: Vec<Then>,
}

/// Runs it. Returns the exit status, or 255 otherwise.
pub(crate) async fn run(mut peer: Peer, asked: &Asked) -> io::Result<u8> {
    let channel = open(&mut peer).await?;
    let mut answers = start(&mut peer, channel, asked);
    let mut status = 255;
    // After EOF no data can follow, so `then` comes before the input.
    let mut goes_on = asked.then.is_empty();
    let mut deadline = None;
    let mut stdin = tokio::io::stdin();
    let mut waiting: Option<Vec<u8>> = Some(Vec::new());
    loop {
        peer.turn()?;
        let mut asked_more = false;
        while let Some(happened) = peer.next() {
            match happened {
                Happened::Data(_, Stream::Data, data) => io::stdout().write_all(&data)?,
                Happened::Data(_, Stream::Extended(_), data) => io::stderr().write_all(&data)?,
                Happened::ExitStatus(_, code) => status = u8::try_from(code).unwrap_or(255),
                Happened::ExitSignal(_, name, words) => writeln!(io::stderr(), "exit-signal {name}: {words}")?,
                Happened::Closed(_) => {
                    io::stdout().flush()?;
                    return Ok(status);
                }
                Happened::Opened(_) => {}
                Happened::Answered(_, yes) => match (answers.pop_front(), yes) {
                    (Some(Answer::OfStart), false) => {
                        writeln!(io::stderr(), "program refused")?;
                        deadline = Some(tokio::time::Instant::now() + GRACE);
                    }
                    (Some(Answer::OfOther) | None, false) => writeln!(io::stderr(), "request refused")?,
                    (Some(Answer::OfStart), true) => {
                        asked.then.iter().for_each(|then| go_on(&mut peer, channel, *then));
                        (asked_more, goes_on) = (true, true);
                    }
                    (Some(Answer::OfOther) | None, true) => {}
                },
                Happened::OpenFailed(_, reason, words) => return Err(not_opened(reason, &words)),
            }
        }
        if asked_more {
            continue;
        }
        if let Some(bytes) = &mut waiting {
            send(&mut peer, channel, bytes)?;
        }
        let free = goes_on && waiting.as_ref().is_some_and(Vec::is_empty);
        let mut piece = vec![0; if free { 64 << 10 } else { 0 }];
        tokio::select! {
            ready = peer.wait() => ready?,
            () = out_of(deadline) => return Ok(status),
            count = stdin.read(&mut piece), if free => match count? {
                0 => {
                    peer.connection.send_eof(channel);
                    waiting = None;
                }
                count => waiting = Some(piece[..count].to_vec()),
            },
        }
    }
}

/// Waits until the deadline, or for ever without one.
async fn out_of(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(end) => tokio::time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}

/// The request that an answer belongs to. Answers come in the order of the requests. RFC 4254 §5.4.
enum Answer {
    OfStart,
    OfOther,
}

/// Sends one item of `then`.
fn go_on(peer: &mut Peer, channel: ChannelId, then: Then) {
    match then {
        Then::WindowChange => ask(peer, channel, &Request::WindowChange { size: WINDOW }),
        Then::Signal => ask(peer, channel, &Request::Signal { name: b"TERM" }),
        Then::Break => ask(peer, channel, &Request::Break { length_ms: 250 }),
        Then::Request => ask(peer, channel, &Request::Other { kind: b"unheard-of@tests", body: b"" }),
        Then::SideData => drop(peer.connection.write(channel, Stream::Extended(7), b"aside")),
        Then::Close => peer.connection.close(channel),
    }
}

/// Makes the requests up to the start; returns the answers to expect.
fn start(peer: &mut Peer, channel: ChannelId, asked: &Asked) -> VecDeque<Answer> {
    let mut answers = VecDeque::new();
    let mut ask = |peer: &mut Peer, request: &Request<'_>, of: Answer| {
        self::ask(peer, channel, request);
        answers.push_back(of);
    };
    for variable in &asked.env {
        let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
        ask(peer, &Request::Env { name: name.as_bytes(), value: value.as_bytes() }, Answer::OfOther);
    }
    if asked.terminal {
        ask(peer, &Request::PtyReq { term: b"xterm", size: WINDOW, modes: Modes::new(b"\0") }, Answer::OfOther);
    }
    let start = match asked.command.as_bytes() {
        name if asked.subsystem => Request::Subsystem { name },
        b"" => Request::Shell,
        command => Request::Exec { command },
    };
    ask(peer, &start, Answer::OfStart);
    answers
}

/// Sends as much as there is room for.
fn send(peer: &mut Peer, channel: ChannelId, bytes: &mut Vec<u8>) -> io::Result<()> {
    while !bytes.is_empty() {
        let took = peer.connection.write(channel, Stream::Data, bytes);
        bytes.drain(..took);
        peer.turn()?;
        if took == 0 {
            break;
        }
    }
    Ok(())
}

/// Opens a session and waits for the confirmation.
pub(crate) async fn open(peer: &mut Peer) -> io::Result<ChannelId> {
    let channel = peer.connection.open_session().ok_or_else(|| io::Error::other("too many sessions"))?;
    match peer.happens().await? {
        Happened::Opened(opened) if opened == channel => Ok(channel),
        Happened::OpenFailed(_, reason, words) => Err(not_opened(reason, &words)),
        other => Err(io::Error::other(format!("instead of a session: {other:?}"))),
    }
}

fn not_opened(reason: u32, words: &str) -> io::Error {
    io::Error::other(format!("not opened {reason}: {words}"))
}

/// Makes a request that wants an answer.
pub(crate) fn ask(peer: &mut Peer, channel: ChannelId, request: &Request<'_>) {
    peer.connection.request(channel, request.kind(), &request.body(), true);
}
