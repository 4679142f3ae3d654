//! Loads for measurements: many logins, many sessions, many echoes. What they cost is measured at the server.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use clap::ValueEnum;
use whelk_ssh::crypto::key::HostKey;
use whelk_ssh::message::mux::ChannelId;
use whelk_ssh::message::request::Request;

use crate::peer::{Happened, Peer, Wish};
use crate::{ask, open};

/// What is repeated.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Kind {
    /// Connect, exchange keys, log in by key, disconnect.
    Handshake,
    /// On one connection: open, `exec`, six bytes of output, exit status, close.
    Session,
    /// On one connection: 16 bytes there and back.
    Echo,
    /// Connections with one session each that has echoed once; then wait for the end of standard input.
    Idle,
}

/// What a session prints in six bytes: the plugin's command, which OpenSSH's shell runs as well.
const SIX_BYTES: &str = "print 123456";
/// What gives back what it is given.
const CAT: &str = "cat";

pub(crate) async fn run(kind: Kind, count: u32, at_once: u32, wish: &Wish, key: &Arc<HostKey>) -> io::Result<()> {
    let started = Instant::now();
    match kind {
        Kind::Handshake => {
            for _ in 0..count {
                drop(Peer::enter(wish, key).await?);
            }
        }
        Kind::Session => {
            let mut peer = Peer::enter(wish, key).await?;
            for _ in 0..count {
                session(&mut peer).await?;
            }
        }
        Kind::Echo => echo(count, at_once, wish, key).await?,
        Kind::Idle => return idle(count, wish, key).await,
    }
    println!("{:.6} seconds", started.elapsed().as_secs_f64());
    Ok(())
}

/// One session from its opening to its end.
async fn session(peer: &mut Peer) -> io::Result<()> {
    let channel = open(peer).await?;
    let command = std::env::var("WHELK_LOAD_COMMAND").unwrap_or_else(|_| SIX_BYTES.to_owned());
    ask(peer, channel, &Request::Exec { command: command.as_bytes() });
    let mut printed = 0;
    loop {
        match peer.happens().await? {
            Happened::Data(_, None, data) => printed += data.len(),
            Happened::Closed(_) if printed == 6 => return Ok(()),
            Happened::Closed(_) => return Err(io::Error::other(format!("{printed} bytes instead of 6"))),
            Happened::Data(..) | Happened::Answered(..) | Happened::Opened(_) => {}
            Happened::ExitStatus(_, 0) => {}
            other => return Err(io::Error::other(format!("{other:?}"))),
        }
    }
}

/// A session that gives back what it is given.
async fn cat(peer: &mut Peer) -> io::Result<ChannelId> {
    let channel = open(peer).await?;
    ask(peer, channel, &Request::Exec { command: CAT.as_bytes() });
    match peer.happens().await? {
        Happened::Answered(_, true) => Ok(channel),
        other => Err(io::Error::other(format!("{other:?}"))),
    }
}

/// Round after round, `at_once` sessions echo 16 bytes each.
async fn echo(count: u32, at_once: u32, wish: &Wish, key: &Arc<HostKey>) -> io::Result<()> {
    let mut peer = Peer::enter(wish, key).await?;
    let mut channels = Vec::new();
    for _ in 0..at_once {
        channels.push(cat(&mut peer).await?);
    }
    for _ in 0..count.div_ceil(at_once.max(1)) {
        for channel in &channels {
            peer.connection.write(*channel, None, b"sixteen bytes !!");
        }
        let mut missing = channels.len() * 16;
        while missing > 0 {
            match peer.happens().await? {
                Happened::Data(_, None, data) => missing = missing.saturating_sub(data.len()),
                other => return Err(io::Error::other(format!("{other:?}"))),
            }
        }
    }
    Ok(())
}

/// Connections that have echoed once and then do nothing.
async fn idle(count: u32, wish: &Wish, key: &Arc<HostKey>) -> io::Result<()> {
    let mut peers = Vec::new();
    for _ in 0..count {
        let mut peer = Peer::enter(wish, key).await?;
        let channel = cat(&mut peer).await?;
        peer.connection.write(channel, None, b"sixteen bytes !!");
        match peer.happens().await? {
            Happened::Data(..) => peers.push(peer),
            other => return Err(io::Error::other(format!("{other:?}"))),
        }
    }
    println!("{} idle", peers.len());
    let mut end = String::new();
    tokio::task::spawn_blocking(move || io::stdin().read_line(&mut end)).await.map_err(io::Error::other)??;
    Ok(())
}
