//! Loads that are meant to harm, and one that watches what harm is done. Each says `ready` and waits for a line before
//! it begins; a storm and a row of logins go on until another line, or the end of standard input, tells them to stop.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::task::LocalSet;
use tokio::time::{interval, sleep};
use whelk_ssh::crypto::key::HostKey;
use whelk_ssh::message::mux::{ChannelId, Stream};
use whelk_ssh::message::request::Request;

use crate::load::{cat, cue};
use crate::peer::{Happened, Peer, Wish};
use crate::session::{ask, open};
use crate::strangers::{self, Strangers};

/// A finger at the keyboard.
const KEYSTROKE: Duration = Duration::from_millis(1);

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// One session and a key every millisecond: how long each takes to come back.
    Keys,
    /// Sessions that run the command; each that ends is followed by another on the same connection.
    Storm,
    /// The same, each on a connection of its own.
    Reconnect,
    /// Sessions that run the command, whose client then never reads again.
    Deaf,
    /// Connections that are dropped at some moment in the life of their session.
    Drop,
    /// Wrong passwords on connections that go on until a line is read, or until there were enough.
    Guesses,
    /// Logins at a rate, `--count` of them: how many went well, and how long they took.
    Timed,
    /// Connections that never log in and say nothing, from `--addresses` addresses; see `strangers.rs`.
    Silent,
    /// The same, but each sends a byte a second.
    Drip,
    /// Logins at a rate. Each line that is read is the word of those that begin after it; each says how it went and
    /// under which word.
    Logins,
}

/// What a run needs to know.
pub(crate) struct Siege {
    pub(crate) kind: Kind,
    /// Keys, or sessions of a storm: 0 is no end.
    pub(crate) count: u32,
    pub(crate) at_once: u32,
    /// Logins a second.
    pub(crate) rate: u32,
    /// From how many addresses guesses or strangers come.
    pub(crate) addresses: u32,
    pub(crate) command: String,
    pub(crate) wish: Wish,
    pub(crate) key: Arc<HostKey>,
}

/// How sessions ended, and how often each way.
type Tally = RefCell<BTreeMap<String, u64>>;

pub(crate) async fn run(siege: Siege) -> io::Result<()> {
    if !matches!(siege.kind, Kind::Keys | Kind::Timed) {
        // The clients of an offender would be on other machines: here they must not take the processor from those who
        // are watched.
        rustix::process::nice(19)?;
    }
    match siege.kind {
        Kind::Keys => keys(&siege).await,
        Kind::Storm | Kind::Reconnect | Kind::Deaf | Kind::Drop => storm(siege).await,
        Kind::Logins => logins(siege).await,
        Kind::Guesses => crate::guess::run(siege).await,
        Kind::Timed => timed(siege).await,
        Kind::Silent | Kind::Drip => {
            let (address, drip) = (siege.wish.address, siege.kind == Kind::Drip);
            strangers::run(Strangers { address, count: siege.count, sources: siege.addresses, drip }).await
        }
    }
}

/// Types; prints how long the keys took to come back.
async fn keys(siege: &Siege) -> io::Result<()> {
    let mut peer = Peer::log_in(&siege.wish, &siege.key).await?;
    let channel = cat(&mut peer).await?;
    cue("ready").await?;
    let count = siege.count as usize;
    let mut typed: VecDeque<Instant> = VecDeque::new();
    let mut took: Vec<u128> = Vec::with_capacity(count);
    let mut clock = interval(KEYSTROKE);
    loop {
        peer.turn()?;
        while let Some(happened) = peer.next() {
            let Happened::Data(_, Stream::Data, data) = happened else {
                return Err(io::Error::other(format!("{} keys came back, then {happened:?}", took.len())));
            };
            took.extend(data.iter().filter_map(|_| typed.pop_front()).map(|then| then.elapsed().as_micros()));
        }
        if took.len() >= count {
            break;
        }
        tokio::select! {
            ready = peer.wait() => ready?,
            _ = clock.tick(), if took.len() + typed.len() < count => {
                // A window that is full takes nothing: the key is typed when it does.
                if peer.connection.write(channel, Stream::Data, b"k") == 1 {
                    typed.push_back(Instant::now());
                }
            }
        }
    }
    took.sort_unstable();
    let at = |part: usize| took.get((took.len() * part / 100).min(took.len().saturating_sub(1))).copied().unwrap_or(0);
    cue(&format!("keys {} p50 {} p99 {} most {}", took.len(), at(50), at(99), at(100))).await.map(drop)
}

/// Many sessions, again and again. Prints how they ended.
async fn storm(siege: Siege) -> io::Result<()> {
    cue("ready").await?;
    let (siege, tally, begun) = (Rc::new(siege), Rc::new(Tally::default()), Rc::new(Cell::new(0)));
    let everybody = LocalSet::new();
    for _ in 0..siege.at_once {
        everybody.spawn_local(one_of_storm(Rc::clone(&siege), Rc::clone(&tally), Rc::clone(&begun)));
    }
    // Whatever is still going on when the word comes is dropped.
    let mut words = BufReader::new(tokio::io::stdin()).lines();
    tokio::select! {
        () = everybody => {}
        word = words.next_line() => drop(word?),
    }
    for (how, count) in tally.borrow().iter() {
        println!("{count} {how}");
    }
    println!("done");
    Ok(())
}

async fn one_of_storm(siege: Rc<Siege>, tally: Rc<Tally>, begun: Rc<Cell<u32>>) {
    let mut peer = None;
    while siege.count == 0 || begun.get() < siege.count {
        begun.set(begun.get() + 1);
        let how = match one_session(&siege, &mut peer, begun.get()).await {
            Ok(how) => how,
            Err(error) => {
                peer = None;
                error.to_string()
            }
        };
        *tally.borrow_mut().entry(how).or_default() += 1;
    }
}

/// One session from its opening to its end, on the connection that is there or on a new one.
async fn one_session(siege: &Siege, kept: &mut Option<Peer>, number: u32) -> io::Result<String> {
    let mut peer = match kept.take() {
        Some(peer) => peer,
        None => Peer::log_in(&siege.wish, &siege.key).await?,
    };
    let channel = open(&mut peer).await?;
    ask(&mut peer, channel, &Request::Exec { command: siege.command.as_bytes() });
    // Something for `data` to do.
    peer.connection.write(channel, Stream::Data, b"x");
    peer.turn()?;
    match siege.kind {
        Kind::Deaf => std::future::pending().await,
        Kind::Drop => {
            // Another moment each time, over a few milliseconds.
            let moment = Duration::from_micros(u64::from(number.wrapping_mul(37) % 4_000));
            let _ = tokio::time::timeout(moment, ended(&mut peer, channel)).await;
            Ok("dropped".to_owned())
        }
        Kind::Reconnect => Ok(ended(&mut peer, channel).await?.0),
        Kind::Keys | Kind::Storm | Kind::Logins | Kind::Guesses | Kind::Timed | Kind::Silent | Kind::Drip => {
            let (how, _) = ended(&mut peer, channel).await?;
            *kept = Some(peer);
            Ok(how)
        }
    }
}

/// Waits for the session's end: how it ended, and what it printed.
async fn ended(peer: &mut Peer, channel: ChannelId) -> io::Result<(String, Vec<u8>)> {
    let mut how = "no status".to_owned();
    let mut printed = Vec::new();
    loop {
        match peer.happens().await? {
            Happened::Data(_, Stream::Data, data) if printed.len() < 4096 => printed.extend(data),
            Happened::Data(..) | Happened::Opened(_) | Happened::Answered(..) => {}
            Happened::ExitStatus(_, status) => how = format!("status {status}"),
            Happened::ExitSignal(_, name, words) => how = format!("signal {name}: {words}"),
            Happened::OpenFailed(_, reason, _) => how = format!("not opened {reason}"),
            Happened::Closed(closed) if closed == channel => return Ok((how, printed)),
            Happened::Closed(_) => {}
        }
    }
}

/// Logs in at a rate, until standard input ends.
async fn logins(siege: Siege) -> io::Result<()> {
    let mut word = cue("ready").await?.trim().to_owned();
    let everybody = LocalSet::new();
    let siege = Rc::new(siege);
    everybody
        .run_until(async {
            let mut words = BufReader::new(tokio::io::stdin()).lines();
            let mut clock = interval(Duration::from_secs(1) / siege.rate.max(1));
            loop {
                tokio::select! {
                    line = words.next_line() => match line? {
                        Some(line) => line.trim().clone_into(&mut word),
                        None => return Ok::<(), io::Error>(()),
                    },
                    _ = clock.tick() => {
                        let (siege, word) = (Rc::clone(&siege), word.clone());
                        tokio::task::spawn_local(async move {
                            match login(&siege).await {
                                Ok(answer) => println!("login {word} answered {answer}"),
                                Err(error) => println!("login {word} failed: {error}"),
                            }
                        });
                    }
                }
            }
        })
        .await?;
    // Those that have begun are seen through.
    everybody.await;
    println!("done");
    Ok(())
}

/// One login: what its session printed before it ended well.
async fn login(siege: &Siege) -> io::Result<String> {
    let deadline = sleep(Duration::from_secs(30));
    tokio::select! {
        answer = async {
            let mut peer = Peer::log_in(&siege.wish, &siege.key).await?;
            let channel = open(&mut peer).await?;
            ask(&mut peer, channel, &Request::Exec { command: siege.command.as_bytes() });
            peer.connection.send_eof(channel);
            let (how, printed) = ended(&mut peer, channel).await?;
            let printed = String::from_utf8_lossy(&printed).trim().to_owned();
            if how == "status 0" { Ok(printed) } else { Err(io::Error::other(format!("{how}, after {printed:?}"))) }
        } => answer,
        () = deadline => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// So many logins at a rate, each on its own. Prints how many went well and how long those took, and each that did not.
async fn timed(siege: Siege) -> io::Result<()> {
    cue("ready").await?;
    let siege = Rc::new(siege);
    let took = Rc::new(RefCell::new(Vec::new()));
    let everybody = LocalSet::new();
    everybody
        .run_until(async {
            let mut clock = interval(Duration::from_secs(1) / siege.rate.max(1));
            for _ in 0..siege.count {
                clock.tick().await;
                let (siege, took) = (Rc::clone(&siege), Rc::clone(&took));
                tokio::task::spawn_local(async move {
                    let started = Instant::now();
                    match login(&siege).await {
                        Ok(_) => took.borrow_mut().push(started.elapsed().as_millis()),
                        Err(error) => println!("login failed: {error}"),
                    }
                });
            }
        })
        .await;
    everybody.await;
    let mut took = took.take();
    took.sort_unstable();
    let at = |part: usize| took.get((took.len() * part / 100).min(took.len().saturating_sub(1))).copied().unwrap_or(0);
    println!("{} of {} logged in, p50 {} p99 {} ms", took.len(), siege.count, at(50), at(99));
    println!("done");
    Ok(())
}
