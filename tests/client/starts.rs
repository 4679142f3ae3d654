//! Sessions that start at a fixed rate, whether earlier ones have been answered or not: each has a time at which it is
//! due, and its latency counts from then, so that a server that is late is late for all that come meanwhile.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::LocalSet;
use tokio::time::timeout;
use whelk_ssh::crypto::key::HostKey;
use whelk_ssh::message::mux::{ChannelId, Stream};
use whelk_ssh::message::request::Request;

use crate::peer::{Happened, Peer, Wish};
use crate::session::ask;

/// How many bytes a session prints.
const PRINTED: usize = 6;

/// How long the sessions that have been started may take to end.
const LONGEST: Duration = Duration::from_secs(30);

/// Connections that take turns.
pub(crate) struct Lanes(Vec<Peer>);

/// What has come of the sessions.
#[derive(Default)]
struct Outcomes {
    /// From the time at which each was due until its output was there.
    took: Vec<Duration>,
    /// The longest time by which this client was late itself.
    late: Duration,
    ended: u32,
}

/// A session that was started.
struct Started {
    due: Instant,
    printed: usize,
}

impl Lanes {
    /// So many, logged in.
    pub(crate) async fn connect(connections: u32, wish: &Wish, key: &Arc<HostKey>) -> io::Result<Lanes> {
        let mut peers = Vec::new();
        for _ in 0..connections.max(1) {
            peers.push(Peer::log_in(wish, key).await?);
        }
        Ok(Lanes(peers))
    }

    /// Starts `count` sessions, `rate` in a second, with a command that prints six bytes. Says how many have ended
    /// well, how many have failed, then in milliseconds the median, the 99th percentile and the most of the time until
    /// their output was there, and by how much this client was late at most.
    pub(crate) async fn start(self, count: u32, rate: u32, command: &str) -> io::Result<String> {
        let outcomes = Rc::new(RefCell::new(Outcomes::default()));
        let (everybody, mut senders, mut lanes) = (LocalSet::new(), Vec::new(), Vec::new());
        for peer in self.0 {
            let (sender, due) = unbounded_channel();
            senders.push(sender);
            lanes.push(everybody.spawn_local(lane(peer, due, command.to_owned(), Rc::clone(&outcomes))));
        }
        // A thread: the timers of tokio are rounded up to milliseconds.
        thread::spawn(move || tell_when_due(count, rate, &senders));
        let all = async {
            for lane in lanes {
                lane.await.map_err(io::Error::other)??;
            }
            Ok::<_, io::Error>(())
        };
        let longest = Duration::from_secs(u64::from(count / rate.max(1))) + LONGEST;
        // What has not ended by then has failed.
        timeout(longest, everybody.run_until(all)).await.unwrap_or(Ok(()))?;
        let Outcomes { took, late, ended } = outcomes.take();
        Ok(summary(count, ended, took, late))
    }
}

/// What [`Lanes::start`] says.
fn summary(count: u32, ended: u32, mut took: Vec<Duration>, late: Duration) -> String {
    took.sort_unstable();
    let at = |part: usize| took.get((took.len() * part / 100).min(took.len().saturating_sub(1))).copied();
    let ms = |time: Option<Duration>| time.unwrap_or_default().as_secs_f64() * 1e3;
    let (p50, p99, most, late) = (ms(at(50)), ms(at(99)), ms(at(100)), ms(Some(late)));
    format!("{ended} {} {p50:.3} {p99:.3} {most:.3} {late:.3}", count.saturating_sub(ended))
}

/// Says to each connection in turn when its next session is due.
fn tell_when_due(count: u32, rate: u32, connections: &[UnboundedSender<Instant>]) {
    let begin = Instant::now();
    for (number, connection) in (0..count).zip(connections.iter().cycle()) {
        let due = begin + Duration::from_secs(1) * number / rate.max(1);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        // An error means that the connection has ended, which its own task says.
        let _ = connection.send(due);
    }
}

/// Starts those of one connection when they are due, and takes what comes back, until all have ended.
async fn lane(
    mut peer: Peer,
    mut due: UnboundedReceiver<Instant>,
    command: String,
    outcomes: Rc<RefCell<Outcomes>>,
) -> io::Result<()> {
    let mut running = BTreeMap::new();
    let mut is_over = false;
    loop {
        peer.turn()?;
        while let Some(happened) = peer.next() {
            take(&mut peer, happened, &mut running, &command, &outcomes);
            peer.turn()?;
        }
        if is_over && running.is_empty() {
            return Ok(());
        }
        tokio::select! {
            ready = peer.wait() => ready?,
            next = due.recv(), if !is_over => match next {
                // Without a free channel it fails.
                Some(due) => if let Some(channel) = peer.connection.open_session() {
                    running.insert(channel, Started { due, printed: 0 });
                    let mut outcomes = outcomes.borrow_mut();
                    outcomes.late = outcomes.late.max(due.elapsed());
                },
                None => is_over = true,
            }
        }
    }
}

/// One event. A session that ends before its output is there, or otherwise than well, is not counted.
fn take(
    peer: &mut Peer,
    happened: Happened,
    running: &mut BTreeMap<ChannelId, Started>,
    command: &str,
    outcomes: &RefCell<Outcomes>,
) {
    match happened {
        Happened::Opened(channel) => ask(peer, channel, &Request::Exec { command: command.as_bytes() }),
        Happened::Data(channel, Stream::Data, data) => {
            let Some(started) = running.get_mut(&channel) else { return };
            started.printed += data.len();
            if started.printed == PRINTED {
                outcomes.borrow_mut().took.push(started.due.elapsed());
            }
        }
        Happened::OpenFailed(channel, ..) => drop(running.remove(&channel)),
        Happened::Answered(channel, false) | Happened::ExitSignal(channel, ..) | Happened::Data(channel, ..) => {
            running.remove(&channel);
            peer.connection.close(channel);
        }
        Happened::ExitStatus(channel, status) => {
            if status != 0 {
                running.remove(&channel);
            }
        }
        Happened::Closed(channel) => {
            if running.remove(&channel).is_some_and(|started| started.printed == PRINTED) {
                outcomes.borrow_mut().ended += 1;
            }
        }
        Happened::Answered(_, true) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_has_not_ended_has_failed() {
        let took = (1..=200).rev().map(Duration::from_millis).collect();
        let text = summary(250, 200, took, Duration::from_micros(1500));
        assert_eq!(text, "200 50 101.000 199.000 200.000 1.500");
        assert_eq!(summary(3, 0, Vec::new(), Duration::ZERO), "0 3 0.000 0.000 0.000 0.000");
    }

    #[test]
    fn sessions_are_due_in_turn_and_at_the_rate() {
        let (one, mut first) = unbounded_channel();
        let (two, mut second) = unbounded_channel();
        tell_when_due(5, 1000, &[one, two]);
        let times = |receiver: &mut UnboundedReceiver<Instant>| {
            std::iter::from_fn(|| receiver.blocking_recv()).collect::<Vec<_>>()
        };
        let (first, second) = (times(&mut first), times(&mut second));
        assert_eq!((first.len(), second.len()), (3, 2));
        assert_eq!(first[1] - first[0], Duration::from_millis(2));
        assert_eq!(second[0] - first[0], Duration::from_millis(1));
    }
}
