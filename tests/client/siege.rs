//! Hostile loads, and one that observes their effects. Each prints `ready` and waits for a line before it begins; a
//! storm and timed logins go on until another line, or the end of standard input.

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

/// One keystroke.
const KEYSTROKE: Duration = Duration::from_millis(1);

/// The kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// One session that sends a byte every millisecond and measures how long each takes to come back.
    Keys,
    /// Sessions that run the command; each that ends is replaced by another on the same connection.
    Storm,
    /// The same, each on a connection of its own.
    Reconnect,
    /// Sessions that run the command, and whose client then stops reading.
    Deaf,
    /// Connections that are dropped at a varying moment of their session.
    Drop,
    /// Wrong passwords, until a line arrives or `--count` guesses were made.
    Guesses,
    /// Connections at a rate that guess one password each; see `attack.rs`.
    Brute,
    /// Connections at a rate that exchange keys and try one key.
    Exchanges,
    /// Connections at a rate of a port scanner.
    Scan,
    /// Connections at a rate that are ended at once, with FIN and RST in turn.
    Resets,
    /// Logins at a rate, `--count` of them: how many succeeded, and how long they took.
    Timed,
    /// Connections from `--addresses` addresses that never log in and send nothing; see `strangers.rs`.
    Silent,
    /// The same, but each sends a byte a second.
    Drip,
    /// Logins at a rate. Each input line is the label of the logins that begin after it; each login reports its label
    /// and its result.
    Logins,
}

/// The parameters of a run.
pub(crate) struct Siege {
    pub(crate) kind: Kind,
    /// Bytes to type, or sessions of a storm; 0 means without end.
    pub(crate) count: u32,
    pub(crate) at_once: u32,
    /// Logins per second.
    pub(crate) rate: u32,
    /// The number of addresses from which guesses or idle connections come.
    pub(crate) addresses: u32,
    pub(crate) command: String,
    pub(crate) wish: Wish,
    pub(crate) key: Arc<HostKey>,
}

/// How often sessions ended in each way.
type Tally = RefCell<BTreeMap<String, u64>>;

pub(crate) async fn run(siege: Siege) -> io::Result<()> {
    if !matches!(siege.kind, Kind::Keys | Kind::Timed) {
        // Attackers' clients would be on other machines: here they must not take the processor from the client that is
        // observed.
        rustix::process::nice(19)?;
    }
    match siege.kind {
        Kind::Keys => keys(&siege).await,
        Kind::Storm | Kind::Reconnect | Kind::Deaf | Kind::Drop => storm(siege).await,
        Kind::Logins => logins(siege).await,
        Kind::Guesses => crate::guess::run(siege).await,
        Kind::Brute | Kind::Exchanges | Kind::Scan | Kind::Resets => crate::attack::run(siege).await,
        Kind::Timed => timed(siege).await,
        Kind::Silent | Kind::Drip => {
            let (address, drip) = (siege.wish.address, siege.kind == Kind::Drip);
            strangers::run(Strangers { address, count: siege.count, sources: siege.addresses, drip }).await
        }
    }
}

/// Sends bytes and prints how long they took to come back.
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
                // A full window takes nothing: the byte is sent when there is room.
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

/// Runs many sessions again and again. Prints how they ended.
async fn storm(siege: Siege) -> io::Result<()> {
    cue("ready").await?;
    let (siege, tally, begun) = (Rc::new(siege), Rc::new(Tally::default()), Rc::new(Cell::new(0)));
    let everybody = LocalSet::new();
    for _ in 0..siege.at_once {
        everybody.spawn_local(one_of_storm(Rc::clone(&siege), Rc::clone(&tally), Rc::clone(&begun)));
    }
    // Sessions that still run at the end are dropped.
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

/// One session from open to close, on the existing connection or on a new one.
async fn one_session(siege: &Siege, kept: &mut Option<Peer>, number: u32) -> io::Result<String> {
    let mut peer = match kept.take() {
        Some(peer) => peer,
        None => Peer::log_in(&siege.wish, &siege.key).await?,
    };
    let channel = open(&mut peer).await?;
    ask(&mut peer, channel, &Request::Exec { command: siege.command.as_bytes() });
    // Input for the plugin's `data`.
    peer.connection.write(channel, Stream::Data, b"x");
    peer.turn()?;
    match siege.kind {
        Kind::Deaf => std::future::pending().await,
        Kind::Drop => {
            // A different moment each time, within a few milliseconds.
            let moment = Duration::from_micros(u64::from(number.wrapping_mul(37) % 4_000));
            let _ = tokio::time::timeout(moment, ended(&mut peer, channel)).await;
            Ok("dropped".to_owned())
        }
        Kind::Reconnect => Ok(ended(&mut peer, channel).await?.0),
        _ => {
            let (how, _) = ended(&mut peer, channel).await?;
            *kept = Some(peer);
            Ok(how)
        }
    }
}

/// Waits for the end of the session: how it ended, and what it printed.
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
    // Logins that have begun are completed.
    everybody.await;
    println!("done");
    Ok(())
}

/// One login: the output of its session if it ended with status 0.
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

/// Logs in at a rate, each on its own connection. Prints how many succeeded and how long they took, and each failure.
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
