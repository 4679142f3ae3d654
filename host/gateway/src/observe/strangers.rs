//! What the log says of clients that have not logged in: bounded, however many there are and whatever they do.
//!
//! Lines about them share a budget of bytes. What it has no room for is counted, and so are connections that send
//! nothing: health checks, port scanners. A minute later one line says how many there were, of how many sources, and
//! which source most of them came from (F9).
//!
//! Decided 2026-11-29: the budget is one for all sources, since a flood may come from many, and it counts bytes, since
//! clients choose the lengths of names. Half of it is for failed attempts, which fail2ban counts, and a source that has
//! had a sixteenth leaves the second half of what there is to others: neither a kind nor a source hides another. Lines
//! about users that have logged in are never left out.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, interval};

use crate::observe::event::{ConnectionEvent, emit};
use crate::source::Source;

/// How often what was counted is told.
const PERIOD: Duration = Duration::from_secs(60);
/// Bytes of lines that may be written at once, of either kind.
const BURST: u64 = 128 << 10;
/// Bytes of lines a second, on the average and of either kind: 480 KiB a minute in all.
const RATE: u64 = 4 << 10;
/// The bytes in a period of which a source is sure, as long as there are any.
const SHARE: u64 = BURST / 16;
/// The most bytes of a line beside what the client chose, in either form of the log.
const LINE: usize = 600;
/// The most bytes of a name that a stranger gave, in a line.
pub(crate) const NAME: usize = 128;
/// Sources that are told apart. Further ones displace those that were seen least.
const SOURCES: usize = 4096;

static LOG: LazyLock<Mutex<StrangerLog>> = LazyLock::new(|| Mutex::new(StrangerLog::new(Instant::now())));

/// What a line about a client is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    /// A failed attempt to log in.
    Attempt,
    /// Anything else.
    Other,
}

/// Whether a line about a client that has not logged in may be written. Counts it as left out otherwise. `text`: the
/// number of bytes that the client chose.
pub(crate) fn may_tell(about: About, source: Source, text: usize) -> bool {
    with_log(|log| log.may_tell(about, source, text, Instant::now()))
}

/// Counts a connection that has ended without sending anything.
pub(crate) fn was_silent(source: Source) {
    with_log(|log| log.silent.add(source));
}

/// Tells once a minute what was counted, for as long as it is polled.
pub async fn tell() -> Infallible {
    let mut clock = interval(PERIOD);
    loop {
        clock.tick().await;
        tell_now();
    }
}

/// Tells what was counted since it was told last, if anything.
pub(crate) fn tell_now() {
    let (silent, left_out) = with_log(|log| (std::mem::take(&mut log.silent), std::mem::take(&mut log.left_out)));
    if let Some((source, of_source)) = silent.busiest() {
        let (count, sources) = (silent.count, silent.sources);
        emit(ConnectionEvent::Silent { source, of_source, count, sources });
    }
    if let Some((source, of_source)) = left_out.busiest() {
        let (count, sources) = (left_out.count, left_out.sources);
        emit(ConnectionEvent::StrangersLeftOut { source, of_source, count, sources });
    }
}

fn with_log<R>(work: impl FnOnce(&mut StrangerLog) -> R) -> R {
    work(&mut LOG.lock().unwrap_or_else(PoisonError::into_inner))
}

struct StrangerLog {
    attempts: Budget,
    others: Budget,
    silent: Tally,
    left_out: Tally,
}

impl StrangerLog {
    fn new(now: Instant) -> StrangerLog {
        let (attempts, others) = (Budget::new(now), Budget::new(now));
        StrangerLog { attempts, others, silent: Tally::default(), left_out: Tally::default() }
    }

    fn may_tell(&mut self, about: About, source: Source, text: usize, now: Instant) -> bool {
        let budget = match about {
            About::Attempt => &mut self.attempts,
            About::Other => &mut self.others,
        };
        // A byte that is escaped takes up to ten in JSON.
        let may = budget.spend(source, (LINE + text.min(NAME) * 10) as u64, now);
        if !may {
            self.left_out.add(source);
        }
        may
    }
}

/// The bytes of one kind of lines.
struct Budget {
    /// Those that may be written, and when they were last added to.
    left: u64,
    filled: Instant,
    /// What sources have had since then. No more of them than the budget has had lines in a period.
    had: HashMap<Source, u64>,
    since: Instant,
}

impl Budget {
    fn new(now: Instant) -> Budget {
        Budget { left: BURST, filled: now, had: HashMap::new(), since: now }
    }

    fn spend(&mut self, source: Source, line: u64, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.filled).as_millis();
        let more = u64::try_from(since).unwrap_or(u64::MAX).saturating_mul(RATE) / 1000;
        if more > 0 {
            (self.left, self.filled) = (self.left.saturating_add(more).min(BURST), now);
        }
        if now.saturating_duration_since(self.since) >= PERIOD {
            self.had.clear();
            self.since = now;
        }
        let had = self.had.get(&source).copied().unwrap_or_default();
        let is_greedy = had.saturating_add(line) > SHARE;
        let Some(left) = self.left.checked_sub(line).filter(|left| !is_greedy || *left >= BURST / 2) else {
            return false;
        };
        self.left = left;
        self.had.insert(source, had + line);
        true
    }
}

/// How often something has happened, and where it came from.
#[derive(Default)]
struct Tally {
    count: u64,
    /// How many sources there were. One that is displaced and comes again counts twice.
    sources: u64,
    of: HashMap<Source, u64>,
}

impl Tally {
    fn add(&mut self, source: Source) {
        self.count += 1;
        if let Some(count) = self.of.get_mut(&source) {
            *count += 1;
            return;
        }
        self.sources += 1;
        if self.of.len() >= SOURCES {
            // Each loses one, so whoever has the most is still there at the end (Misra and Gries).
            self.of.retain(|_, count| {
                *count -= 1;
                *count > 0
            });
        } else {
            self.of.insert(source, 1);
        }
    }

    /// The source that it came from most often, and how often at least.
    fn busiest(&self) -> Option<(Source, u64)> {
        let most = self.of.iter().max_by_key(|(_, count)| **count).map(|(source, count)| (*source, *count));
        most.or((self.count > 0).then_some((Source::Unknown, 0)))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tracing::Level;

    use super::*;
    use crate::observe::escape::escape;
    use crate::observe::event::LoginEvent;
    use crate::observe::logging::{Format, test_subscriber};
    use crate::source::Peer;

    #[derive(Clone, Default)]
    struct Counter(Arc<AtomicUsize>);

    impl Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.fetch_add(bytes.len(), Ordering::Relaxed);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// F9: the lines of a million failed attempts in a minute, with the longest and worst names, in both forms.
    #[test]
    fn a_million_failing_attempts_a_minute_grow_the_log_by_less_than_a_mebibyte() {
        for format in [Format::Text, Format::Json] {
            let counter = Counter::default();
            let out = counter.clone();
            let began = Instant::now();
            let mut log = StrangerLog::new(began);
            let (mut told, count) = (0_u64, 1_000_000_u32);
            tracing::subscriber::with_default(test_subscriber(format, move || out.clone()), || {
                for number in 0..count {
                    let now = began + Duration::from_secs(60) * number / count;
                    let [_, a, b, c] = number.to_be_bytes();
                    let address = Peer::Address(([10, a % 4, b, c], 40_000).into());
                    let name = [0x1b; NAME];
                    if log.may_tell(About::Attempt, address.source(), name.len(), now) {
                        told += 1;
                        LoginEvent::Rejected {
                            connection: u64::MAX,
                            peer: address,
                            method: "keyboard-interactive",
                            user: escape(&name),
                            tenant: None,
                            reason: escape(b"unknown user"),
                            algorithm: Some("sk-ecdsa-sha2-nistp256-cert-v01@openssh.com"),
                            fingerprint: Some("SHA256:0123456789012345678901234567890123456789012"),
                            key_id: None,
                            serial: Some(u64::MAX),
                            authority: Some("SHA256:0123456789012345678901234567890123456789012"),
                            level: Level::INFO,
                        }
                        .log();
                    }
                }
            });
            let bytes = counter.0.load(Ordering::Relaxed);
            assert!((128 << 10..1 << 20).contains(&bytes), "{format:?}: {bytes} bytes in {told} lines");
            assert_eq!((log.left_out.count, log.left_out.of.len() <= SOURCES), (u64::from(count) - told, true));
        }
    }

    #[test]
    fn the_busiest_of_many_sources_is_named() {
        let of = |number: u32| Source::V4(number.to_be_bytes());
        let mut tally = Tally::default();
        assert_eq!(tally.busiest(), None);
        for number in 0..100_000 {
            tally.add(of(number));
            if number % 3 == 0 {
                tally.add(of(7));
            }
        }
        let (source, count) = tally.busiest().unwrap();
        assert_eq!((source, tally.count), (of(7), 133_334));
        assert!(count > 30_000 && tally.of.len() <= SOURCES, "{count}");
    }

    #[test]
    fn what_was_left_out_is_told_when_there_is_room_again() {
        let began = Instant::now();
        let mut log = StrangerLog::new(began);
        let source = Source::V4([192, 0, 2, 1]);
        let told = (0..10_000).filter(|_| log.may_tell(About::Attempt, source, 5, began)).count();
        assert_eq!((told, log.left_out.busiest()), (100, Some((source, 9_900))));
        assert!(log.may_tell(About::Attempt, source, 5, began + Duration::from_secs(1)));
    }

    #[test]
    fn a_flood_of_one_source_or_kind_hides_neither_others_nor_attempts() {
        let began = Instant::now();
        let mut log = StrangerLog::new(began);
        let (flood, other) = (Source::V4([192, 0, 2, 1]), Source::V4([192, 0, 2, 2]));
        for number in 0..60_000_u64 {
            let [.., high, low] = number.to_be_bytes();
            let now = began + Duration::from_millis(number);
            log.may_tell(About::Attempt, flood, NAME, now);
            log.may_tell(About::Other, Source::V4([10, 0, high, low]), NAME, now);
            if number % 10_000 == 9_999 {
                assert!(log.may_tell(About::Attempt, other, 5, now), "after {number} ms");
            }
        }
        assert!(
            !log.may_tell(About::Other, other, NAME, began + Duration::from_secs(60)),
            "the others have spent theirs"
        );
    }
}
