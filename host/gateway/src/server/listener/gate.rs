//! Limits the connections, in total and by source. Pure: no sockets, and time is an argument.
//!
//! A connection that has not logged in (*unauthenticated*) costs something before anything is known about it. So these
//! connections are counted apart: all together, and by source. Nothing grows beyond the number of connections.
//!
//! * A source has `unauthenticated_per_source` unauthenticated connections that are served. Further ones, up to
//!   `unauthenticated_waiting`, wait without receiving our identification; the oldest is served first. One more is
//!   refused.
//! * When there are `unauthenticated_full` unauthenticated connections, or `connections` connections, one
//!   unauthenticated connection is *evicted* for the new one: of those that have progressed least ([`Rank`]), from the
//!   source with most of them, the one that was accepted first. None is evicted within its first two seconds, and no
//!   authenticated connection ever.
//! * If none can be evicted, new connections are refused at random from two thirds of `unauthenticated_full` on, and
//!   all of them when it is reached.
//!
//! Decided 2026-11-28: a new connection is not refused while another can be evicted. OpenSSH's MaxStartups refuses new
//! connections at random above a threshold, which gives a legitimate client only the attacker's chances: 5 logins of 42
//! beside 5,000 silent connections, and 2 of 32 with sshd. A silent connection older than two seconds is less likely to
//! be legitimate than any new one. Random refusal remains for a flood that uses all permits within two seconds (at
//! 9,000 permits, more than 4,500 connections a second), where nothing distinguishes legitimate clients: it accepts
//! some of those that arrive at the end of the two seconds, not only those at their beginning. Also rejected: evicting
//! younger connections of a busy source. An attacker behind a NAT could then evict its neighbours.
//!
//! Decided 2026-11-28: waiting connections can be evicted, but after the silent ones. Never evicting them would let 16
//! sources hold all permits with sockets that cost them nothing; evicting them first would punish clients behind one
//! address for not sending anything before they receive our identification.
//!
//! Decided 2026-11-28: loopback is a source like any other, in the demonstration too. While the limit was 16, and one
//! more was refused, the demonstration had to exempt it; 64 served and 512 waiting connections are enough for one
//! machine.
//!
//! Decided 2026-11-29: a rejected password is penalized at once, and each connection penalizes its source once; before
//! a password is hashed, the source is asked for again. sshd penalizes at the end of a connection and asks at its
//! beginning alone, so that whoever opens 64 connections at the same time has at least 64 passwords hashed. Rejected: a
//! penalty for each rejected password. Whoever mistypes three times in one connection would be refused for it, which
//! sshd does not do. A connection that logs in after a rejected password takes its penalty back.

mod penalties;
mod refusal;
mod unauthenticated;

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;
use whelk_ssh::phase::LoginStage;

use crate::config::Limits;
use crate::credential::AddressList;
use crate::source::{Source, SourcePenalty};

pub use penalties::Fault;
use penalties::{Penalties, PenaltyBounds};
pub(crate) use refusal::PENALTY_TEXT;
pub(super) use refusal::{ConnectionRefusal, SOURCE_LINE};
use unauthenticated::{Rank, Unauthenticated};

/// Counts connections. Clones share the counts.
#[derive(Clone)]
pub(super) struct Gate(Arc<Shared>);

struct Shared {
    counts: Mutex<Counts>,
    penalties: Mutex<PenaltyState>,
    /// Notified when a permit becomes free that a waiting connection may take.
    freed: Notify,
    dice: RandomState,
}

/// The limits of a gate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    drop_percent: u32,
    full: u32,
    per_source: u32,
    waiting: u32,
    connections: u32,
    penalties: PenaltyBounds,
}

impl Bounds {
    /// `connections` and `full` are what this machine allows, at most the configured `limits`.
    pub(super) fn new(limits: &Limits, connections: u32, full: u32) -> Bounds {
        Bounds {
            drop_percent: limits.unauthenticated_drop,
            full: full.min(connections),
            per_source: limits.unauthenticated_per_source,
            waiting: limits.unauthenticated_waiting,
            connections,
            penalties: PenaltyBounds::new(limits),
        }
    }

    /// How many connections there may be, and how many unauthenticated ones.
    pub(super) fn room(&self) -> (u32, u32) {
        (self.connections, self.full)
    }

    /// The probability in percent that one more connection is refused while none can be evicted.
    fn chance(&self, unauthenticated: u32) -> u32 {
        if unauthenticated >= self.full {
            return 100;
        }
        // Of numbers up to 2^32, so that the products fit.
        let (full, unauthenticated) = (u64::from(self.full), u64::from(unauthenticated));
        let start = (full * 2).div_ceil(3);
        if unauthenticated < start {
            return 0;
        }
        // Here start <= unauthenticated < full, so that the span is not 0 and the rise is at most 100.
        let rise = u64::from(100 - self.drop_percent) * (unauthenticated - start) / (full - start);
        self.drop_percent + u32::try_from(rise).unwrap_or(100)
    }
}

struct PenaltyState {
    penalties: Penalties,
    /// The addresses that are never refused for a penalty.
    exempt: Vec<AddressList>,
}

struct Counts {
    bounds: Bounds,
    /// All connections with a socket.
    connections: u32,
    /// Of those, evicted ones whose task has not ended yet.
    leaving: u32,
    unauthenticated: Unauthenticated,
    /// Sources with a waiting connection that may be served.
    servable: BTreeSet<Source>,
}

/// The gate's answer to a new connection.
pub(super) struct GateAnswer {
    pub(super) admission: Admission,
    /// The connection that was evicted for the new one.
    pub(super) evicted: Option<Evicted>,
}

/// Whether a new connection is served now.
pub(super) enum Admission {
    Serve(ConnectionPermit),
    /// It waits until its source has fewer unauthenticated connections.
    Wait,
}

/// An evicted connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Evicted {
    /// The number of the connection.
    pub(super) number: u64,
    /// It was waiting, so it has no task: the caller must close its socket.
    pub(super) was_waiting: bool,
    /// Its source.
    pub(super) source: Source,
    /// How many unauthenticated connections this source had, including this one.
    pub(super) of_source: u32,
    /// How far it had progressed.
    pub(super) had_done: &'static str,
    /// How many unauthenticated connections there were, including this one.
    pub(super) unauthenticated: u32,
}

/// Counts a connection: as unauthenticated until [`ConnectionPermit::authenticated`], in total until it is dropped.
pub struct ConnectionPermit {
    gate: Gate,
    /// The number of the connection.
    connection: u64,
    /// Until it has logged in.
    pending: Option<PendingLogin>,
}

struct PendingLogin {
    stage: LoginStage,
    signal: Arc<Notify>,
    /// `None`: it gets no penalties.
    penalty: Option<Arc<LoginPenalty>>,
}

/// The source of one connection that has not logged in, and whether the connection has penalized it.
struct LoginPenalty {
    gate: Gate,
    source: Source,
    has_penalized: AtomicBool,
}

impl LoginPenalty {
    fn new(gate: Gate, source: Source) -> LoginPenalty {
        LoginPenalty { gate, source, has_penalized: AtomicBool::new(false) }
    }

    /// Penalizes the source. Of the faults of a connection the first counts, and a crash always.
    fn add(&self, fault: Fault) {
        if !self.has_penalized.swap(true, Ordering::Relaxed) || fault == Fault::Crash {
            self.gate.penalize(self.source, fault, Instant::now());
        }
    }
}

impl LoginPenalty {
    /// Takes back the penalty for a rejected password: somebody has mistyped, and has logged in after that.
    fn take_back(&self) {
        if self.has_penalized.load(Ordering::Relaxed) {
            self.gate.penalties().penalties.take_back(self.source, Fault::FailedLogin, Instant::now());
        }
    }
}

impl SourcePenalty for LoginPenalty {
    fn refuses(&self) -> bool {
        self.gate.penalties().penalties.refusal(self.source, Instant::now()).is_some()
    }

    fn add_failed_login(&self) {
        self.add(Fault::FailedLogin);
    }
}

impl fmt::Debug for LoginPenalty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginPenalty").field("source", &self.source).finish_non_exhaustive()
    }
}

impl PenaltyState {
    fn is_exempt(&self, peer: IpAddr) -> bool {
        self.exempt.iter().any(|exempt| exempt.contains(Some(peer)))
    }
}

impl Gate {
    /// `exempt`: the addresses that are never refused for a penalty.
    pub(super) fn new(bounds: Bounds, exempt: Vec<AddressList>) -> Gate {
        Gate(Arc::new(Shared {
            counts: Mutex::new(Counts::new(bounds)),
            penalties: Mutex::new(PenaltyState { penalties: Penalties::new(bounds.penalties), exempt }),
            freed: Notify::new(),
            dice: RandomState::new(),
        }))
    }

    /// Changes the bounds, and whose penalties have no effect. Connections and penalties that exist stay.
    pub(super) fn change(&self, bounds: Bounds, exempt: Vec<AddressList>) {
        {
            let mut state = self.penalties();
            state.penalties.change(bounds.penalties);
            state.exempt = exempt;
        }
        let mut counts = self.counts();
        counts.bounds = bounds;
        for source in counts.unauthenticated.waiting_sources() {
            counts.look_for_waiting(source);
        }
        drop(counts);
        self.0.freed.notify_one();
    }

    /// Admits a connection, or returns the reason for refusing it.
    pub(super) fn acquire(&self, peer: IpAddr, connection: u64, now: Instant) -> Result<GateAnswer, ConnectionRefusal> {
        // The hash has random secret keys, so nobody can time a connection to be accepted.
        let roll = u32::try_from(self.0.dice.hash_one(connection) % 100).unwrap_or(0);
        self.admit_with(peer, connection, now, roll)
    }

    /// `roll` is uniform from 0 to 99: the connection is refused if it is below the probability.
    fn admit_with(
        &self,
        peer: IpAddr,
        connection: u64,
        now: Instant,
        roll: u32,
    ) -> Result<GateAnswer, ConnectionRefusal> {
        let source = Source::of(peer);
        if let Some(refusal) = self.penalty(peer, now) {
            return Err(refusal);
        }
        let mut counts = self.counts();
        let bounds = counts.bounds;
        counts.unauthenticated.end_protection(now);
        let load = counts.unauthenticated.load(source);
        // New connections do not overtake waiting connections of the same source.
        let waits = load.served >= bounds.per_source || load.waiting > 0;
        if waits && load.waiting >= bounds.waiting {
            return Err(ConnectionRefusal::Source { source, served: load.served, waiting: load.waiting });
        }
        let evicted = counts.make_room(roll)?;
        counts.connections += 1;
        let admission = if waits {
            counts.unauthenticated.wait(connection, source, now);
            Admission::Wait
        } else {
            Admission::Serve(self.serve(&mut counts, connection, source, now))
        };
        // If a connection of this source was just evicted, a waiting one may be served.
        if let Some(evicted) = evicted {
            counts.look_for_waiting(evicted.source);
        }
        counts.look_for_waiting(source);
        Ok(GateAnswer { admission, evicted })
    }

    fn serve(&self, counts: &mut Counts, connection: u64, source: Source, now: Instant) -> ConnectionPermit {
        let signal = Arc::new(Notify::new());
        counts.unauthenticated.serve(connection, source, now, Arc::clone(&signal));
        let penalty = Some(Arc::new(LoginPenalty::new(self.clone(), source)));
        let pending = PendingLogin { stage: LoginStage::Identification, signal, penalty };
        ConnectionPermit { gate: self.clone(), connection, pending: Some(pending) }
    }

    /// The next connection that has waited and can be served now.
    pub(super) fn serve_waiting(&self, now: Instant) -> Option<ConnectionPermit> {
        let mut counts = self.counts();
        loop {
            let source = counts.servable.pop_first()?;
            let Some(connection) = counts.unauthenticated.longest_waiting(source) else { continue };
            counts.unauthenticated.remove(connection);
            let permit = self.serve(&mut counts, connection, source, now);
            counts.look_for_waiting(source);
            return Some(permit);
        }
    }

    /// A waiting connection has gone. No effect if it does not wait any more.
    pub(super) fn stop_waiting(&self, connection: u64) {
        let mut counts = self.counts();
        if let Some(removed) = counts.unauthenticated.remove(connection) {
            counts.connections -= 1;
            counts.look_for_waiting(removed.source);
        }
    }

    /// Whether the open files are used up until an evicted connection has closed its socket.
    pub(super) fn is_overfull(&self) -> bool {
        let counts = self.counts();
        counts.leaving > 0 && counts.connections > counts.bounds.connections
    }

    /// Waits until a permit becomes free that a waiting connection may take. Cancel safe.
    pub(super) async fn freed(&self) {
        self.0.freed.notified().await;
    }

    /// Why connections of this address are refused for a while, if they are. One that waited may have come before the
    /// penalty.
    pub(super) fn penalty(&self, peer: IpAddr, now: Instant) -> Option<ConnectionRefusal> {
        let source = Source::of(peer);
        let state = self.penalties();
        let penalty = state.penalties.refusal(source, now)?;
        (!state.is_exempt(peer)).then_some(ConnectionRefusal::Penalty { source, penalty })
    }

    /// Penalizes a source.
    fn penalize(&self, source: Source, fault: Fault, now: Instant) {
        self.penalties().penalties.add(source, fault, now);
    }

    fn penalties(&self) -> MutexGuard<'_, PenaltyState> {
        self.0.penalties.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing below panics while it holds the lock, so a poisoned one guards consistent data.
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn new(bounds: Bounds) -> Counts {
        let (unauthenticated, servable) = (Unauthenticated::default(), BTreeSet::new());
        Counts { bounds, connections: 0, leaving: 0, unauthenticated, servable }
    }

    /// Makes room for one more connection: evicts another if it must, and returns it.
    fn make_room(&mut self, roll: u32) -> Result<Option<Evicted>, ConnectionRefusal> {
        let bounds = self.bounds;
        let (count, staying) = (self.unauthenticated.count(), self.connections - self.leaving);
        let first = self.unauthenticated.next_to_evict();
        if count >= bounds.full || staying >= bounds.connections {
            return match first.and_then(|number| self.evict(number, count)) {
                Some(evicted) => Ok(Some(evicted)),
                None if count >= bounds.full => Err(ConnectionRefusal::Unauthenticated { count, full: bounds.full }),
                None => Err(ConnectionRefusal::Connections { count: staying }),
            };
        }
        if first.is_none() && roll < bounds.chance(count) {
            return Err(ConnectionRefusal::Unauthenticated { count, full: bounds.full });
        }
        Ok(None)
    }

    fn evict(&mut self, number: u64, unauthenticated: u32) -> Option<Evicted> {
        let removed = self.unauthenticated.remove(number)?;
        let source = removed.source;
        let load = self.unauthenticated.load(source);
        match &removed.signal {
            Some(signal) => {
                signal.notify_one();
                self.leaving += 1;
            }
            // The caller closes its socket.
            None => self.connections -= 1,
        }
        Some(Evicted {
            number,
            was_waiting: removed.signal.is_none(),
            source,
            of_source: load.served + load.waiting + 1,
            had_done: removed.rank.describe(),
            unauthenticated,
        })
    }

    /// Records whether a waiting connection of this source may be served.
    fn look_for_waiting(&mut self, source: Source) {
        let load = self.unauthenticated.load(source);
        if load.waiting > 0 && load.served < self.bounds.per_source {
            self.servable.insert(source);
        } else {
            self.servable.remove(&source);
        }
    }

    /// A served connection is no longer unauthenticated. Returns whether that lets a waiting one be served.
    fn forget(&mut self, connection: u64) -> bool {
        match self.unauthenticated.remove(connection) {
            Some(removed) => {
                self.look_for_waiting(removed.source);
                !self.servable.is_empty()
            }
            // It had been evicted.
            None => {
                self.leaving -= 1;
                true
            }
        }
    }
}

impl ConnectionPermit {
    /// The permit of a connection that no listener has accepted, such as one over standard input and output. It counts
    /// against no limit, and is never evicted.
    pub fn unlisted(connection: u64) -> ConnectionPermit {
        let penalties = PenaltyBounds::NONE;
        let bounds = Bounds { drop_percent: 0, full: 1, per_source: 1, waiting: 0, connections: 1, penalties };
        let gate = Gate::new(bounds, Vec::new());
        gate.counts().connections = 1;
        ConnectionPermit { gate, connection, pending: None }
    }

    /// The number of the connection, which identifies it in the log. Refused ones have one, too.
    pub fn connection(&self) -> u64 {
        self.connection
    }

    /// Tells the address of the client: what an exempt one does wrong is no fault of the others in its network.
    pub(super) fn has_peer(&mut self, peer: IpAddr) {
        if self.gate.penalties().is_exempt(peer) {
            self.pending.iter_mut().for_each(|pending| pending.penalty = None);
        }
    }

    /// The client has progressed to this stage. Cheap if nothing has changed.
    pub fn reached(&mut self, stage: LoginStage) {
        let Some(pending) = &mut self.pending else { return };
        if pending.stage != stage {
            pending.stage = stage;
            self.gate.counts().unauthenticated.advance(self.connection, Rank::of(stage));
        }
    }

    /// The client has logged in: it is no longer unauthenticated and stays, even if it was just evicted. Further
    /// calls have no effect.
    pub fn authenticated(&mut self) {
        if let Some(penalty) = self.pending.as_ref().and_then(|pending| pending.penalty.as_ref()) {
            penalty.take_back();
        }
        self.stop_counting_unauthenticated(&mut self.gate.clone().counts());
    }

    /// The connection ends, and this is what it did wrong. No effect on one that has logged in.
    pub fn penalize(&self, fault: Fault) {
        if let Some(penalty) = self.pending.as_ref().and_then(|pending| pending.penalty.as_ref()) {
            penalty.add(fault);
        }
    }

    /// The penalty of the source, for an attempt to log in. `None` if the address is exempt.
    pub(crate) fn penalty(&self) -> Option<Arc<dyn SourcePenalty>> {
        let penalty = self.pending.as_ref()?.penalty.as_ref()?;
        Some(Arc::<LoginPenalty>::clone(penalty))
    }

    /// Completes when the connection must end because it was evicted. Never for an authenticated one.
    pub async fn evicted(&self) {
        match &self.pending {
            Some(pending) => pending.signal.notified().await,
            None => std::future::pending().await,
        }
    }

    fn stop_counting_unauthenticated(&mut self, counts: &mut Counts) {
        if self.pending.take().is_some() && counts.forget(self.connection) {
            self.gate.0.freed.notify_one();
        }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.penalize(Fault::Crash);
        }
        let gate = self.gate.clone();
        let mut counts = gate.counts();
        counts.connections -= 1;
        self.stop_counting_unauthenticated(&mut counts);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NEVER: u32 = 99;

    /// A gate, its clock, and the numbers of its connections.
    struct Test {
        gate: Gate,
        now: Instant,
        number: u64,
    }

    impl Test {
        fn new(change: impl FnOnce(&mut Bounds)) -> Test {
            let limits = Limits::default();
            let mut bounds = Bounds::new(&limits, limits.connections, limits.unauthenticated_full);
            change(&mut bounds);
            Test { gate: Gate::new(bounds, vec![exempt()]), now: Instant::now(), number: 0 }
        }

        fn wait(&mut self, seconds: u64) {
            self.now += Duration::from_secs(seconds);
        }

        fn admit_with(&mut self, peer: IpAddr, roll: u32) -> Result<GateAnswer, ConnectionRefusal> {
            self.number += 1;
            self.gate.admit_with(peer, self.number, self.now, roll)
        }

        fn acquire(&mut self, peer: u32) -> Result<GateAnswer, ConnectionRefusal> {
            self.admit_with(v4(peer), NEVER)
        }

        /// A connection that is served at once without dropping any.
        fn served(&mut self, peer: u32) -> ConnectionPermit {
            let admission = self.acquire(peer).unwrap();
            assert_eq!(admission.evicted, None);
            permit(admission)
        }

        /// A connection that waits without dropping any: its number.
        fn waits(&mut self, peer: u32) -> u64 {
            let admission = self.acquire(peer).unwrap();
            assert!(matches!(admission.admission, Admission::Wait) && admission.evicted.is_none());
            self.number
        }

        fn refused(&mut self, peer: u32) -> ConnectionRefusal {
            self.acquire(peer).err().unwrap()
        }

        fn serve_waiting(&mut self) -> Option<u64> {
            self.gate.serve_waiting(self.now).map(|permit| {
                let number = permit.connection();
                std::mem::forget(permit);
                number
            })
        }

        fn is_empty(&self) -> bool {
            let counts = self.gate.counts();
            counts.connections == 0
                && counts.leaving == 0
                && counts.unauthenticated.is_empty()
                && counts.servable.is_empty()
        }
    }

    fn v4(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    fn exempt() -> AddressList {
        AddressList::parse_networks("0.0.0.9,2001:db8::9").unwrap()
    }

    /// The permit of a connection that is served.
    fn permit(answer: GateAnswer) -> ConnectionPermit {
        match answer.admission {
            Admission::Serve(permit) => permit,
            Admission::Wait => panic!("it waits"),
        }
    }

    /// Whether a connection was evicted.
    fn is_told(permit: &ConnectionPermit) -> bool {
        let mut told = std::pin::pin!(permit.evicted());
        told.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_ready()
    }

    #[test]
    fn changed_bounds_hold_from_now_on_and_end_nothing() {
        let mut test = Test::new(|bounds| (bounds.per_source, bounds.waiting) = (1, 2));
        let (first, waiting) = (test.served(1), test.waits(1));
        let limits = Limits::default();
        let bounds = |change: &dyn Fn(&mut Bounds)| {
            let mut bounds = Bounds::new(&limits, limits.connections, limits.unauthenticated_full);
            change(&mut bounds);
            bounds
        };
        test.gate.change(bounds(&|bounds| (bounds.per_source, bounds.waiting) = (2, 1)), Vec::new());
        assert_eq!(test.serve_waiting(), Some(waiting));
        test.waits(1);
        assert!(matches!(test.refused(1), ConnectionRefusal::Source { served: 2, waiting: 1, .. }));
        first.penalize(Fault::Crash);
        assert!(matches!(test.refused(1), ConnectionRefusal::Penalty { .. }));
        // Fewer than there are: those stay.
        test.gate
            .change(bounds(&|bounds| bounds.connections = 1), vec![AddressList::parse_networks("0.0.0.1").unwrap()]);
        assert!(!is_told(&first));
        assert!(!matches!(test.refused(1), ConnectionRefusal::Penalty { .. }), "it is exempt now");
    }

    #[test]
    fn a_source_has_64_served_and_512_waiting_unauthenticated_connections() {
        let mut test = Test::new(|_| {});
        let mut served: Vec<_> = (0..64).map(|_| test.served(1)).collect();
        let waiting: Vec<_> = (0..512).map(|_| test.waits(1)).collect();
        let refusal = test.refused(1);
        assert_eq!(refusal, ConnectionRefusal::Source { source: Source::of(v4(1)), served: 64, waiting: 512 });
        assert_eq!(
            refusal.to_string(),
            "576 connections from 0.0.0.1 have not logged in: 64 are served (unauthenticated_per_source) and 512 wait \
             (unauthenticated_waiting)"
        );
        let other = test.served(2);
        assert_eq!(test.serve_waiting(), None);
        // The oldest is served when one logs in, once, and when one leaves.
        served[0].authenticated();
        served[0].authenticated();
        assert_eq!(test.serve_waiting(), Some(waiting[0]));
        assert_eq!(test.serve_waiting(), None);
        // A newcomer now waits behind the others.
        drop(served.pop());
        let last = test.waits(1);
        assert_eq!(test.serve_waiting(), Some(waiting[1]));
        assert_eq!(test.serve_waiting(), None);
        drop((served, other));
        let rest: Vec<_> = std::iter::from_fn(|| test.serve_waiting()).collect();
        assert_eq!(rest, waiting[2..64], "62 were served and have left");
        test.gate.stop_waiting(last);
        test.gate.stop_waiting(last);
        assert_eq!(test.gate.counts().unauthenticated.load(Source::of(v4(1))).waiting, 448);
    }

    #[test]
    fn an_ipv6_network_of_64_bits_is_one_source_and_a_mapped_address_is_ipv4() {
        let mut test = Test::new(|bounds| (bounds.per_source, bounds.waiting) = (1, 0));
        let mut come = |text: &str| test.admit_with(text.parse().unwrap(), NEVER).map(permit);
        let _one = come("2001:db8:0:1::1").unwrap();
        assert!(matches!(come("2001:db8:0:1:ffff::2"), Err(ConnectionRefusal::Source { .. })));
        let _other = come("2001:db8:0:2::1").unwrap();
        let _mapped = come("::ffff:192.0.2.1").unwrap();
        assert!(matches!(come("192.0.2.1"), Err(ConnectionRefusal::Source { .. })));
    }

    #[test]
    fn at_the_limit_a_newcomer_replaces_a_silent_one() {
        let mut test = Test::new(|bounds| bounds.full = 4);
        let (mut person, silent, mut keyed) = (test.served(1), test.served(2), test.served(3));
        let honest = test.served(4);
        person.reached(LoginStage::NewKeys);
        keyed.reached(LoginStage::KeyExchange);
        test.wait(1);
        assert_eq!(test.refused(5), ConnectionRefusal::Unauthenticated { count: 4, full: 4 });
        test.wait(1);
        let admission = test.acquire(5).unwrap();
        let evicted = admission.evicted.unwrap();
        assert_eq!((evicted.number, evicted.had_done), (silent.connection(), "no identification"));
        assert_eq!((evicted.of_source, evicted.unauthenticated, evicted.was_waiting), (1, 4, false));
        assert!(is_told(&silent));
        // One place is free at once, but not two.
        drop(silent);
        let next = test.acquire(6).unwrap();
        assert_eq!(next.evicted.unwrap().number, honest.connection());
        let last = test.acquire(7).unwrap();
        assert_eq!(last.evicted.unwrap().number, keyed.connection());
        assert!(!is_told(&person));
        drop((person, honest, keyed, admission, next, last));
        assert!(test.is_empty());
    }

    #[test]
    fn the_source_with_most_unauthenticated_connections_loses_one_first() {
        let mut test = Test::new(|bounds| bounds.full = 6);
        let old = test.served(1);
        let crowd: Vec<_> = (0..5).map(|_| test.served(2)).collect();
        test.wait(2);
        let admissions: Vec<_> = (10..14).map(|peer| test.acquire(peer).unwrap()).collect();
        let gone: Vec<_> = admissions.iter().map(|admission| admission.evicted.unwrap().number).collect();
        assert_eq!(gone, [2, 3, 4, 5]);
        assert!(!is_told(&old));
        assert_eq!(test.acquire(14).unwrap().evicted.unwrap().number, 1, "as many as the other, and older");
        drop(crowd);
    }

    #[test]
    fn a_waiting_connection_is_evicted_after_silent_ones_and_before_active_ones() {
        let mut test = Test::new(|bounds| (bounds.full, bounds.per_source) = (3, 1));
        let mut speaks = test.served(1);
        speaks.reached(LoginStage::KeyExchange);
        let waits = test.waits(1);
        let silent = test.served(2);
        test.wait(2);
        let first = test.acquire(3).unwrap();
        assert_eq!(first.evicted.unwrap().number, silent.connection());
        drop(silent);
        let second = test.acquire(4).unwrap();
        let evicted = second.evicted.unwrap();
        assert_eq!((evicted.number, evicted.was_waiting), (waits, true));
        drop(speaks);
        assert_eq!(test.serve_waiting(), None, "it is gone");
        drop((first, second));
        assert!(test.is_empty());
    }

    #[test]
    fn after_an_eviction_the_source_may_have_another_connection() {
        let mut test = Test::new(|bounds| (bounds.full, bounds.per_source) = (2, 1));
        let silent = test.served(1);
        let waits = test.waits(1);
        test.wait(2);
        let _other = test.acquire(2).unwrap();
        assert!(is_told(&silent));
        assert_eq!(test.serve_waiting(), Some(waits));
        // It has just received our identification, and is protected again.
        assert!(matches!(test.refused(3), ConnectionRefusal::Unauthenticated { .. }));
    }

    #[test]
    fn no_authenticated_connection_is_evicted() {
        let mut test = Test::new(|bounds| (bounds.full, bounds.connections) = (3, 3));
        let mut one = test.served(1);
        one.authenticated();
        let crowd: Vec<_> = (0..2).map(|_| test.served(2)).collect();
        assert_eq!(test.refused(1), ConnectionRefusal::Connections { count: 3 });
        test.wait(2);
        let mut two = permit(test.acquire(1).unwrap());
        two.authenticated();
        assert!(is_told(&crowd[0]));
        // Until that one is gone there are too many sockets.
        assert!(test.gate.is_overfull());
        drop(crowd);
        assert!(!test.gate.is_overfull());
        let mut three = test.served(1);
        three.authenticated();
        test.wait(2);
        assert_eq!(test.refused(3), ConnectionRefusal::Connections { count: 3 });
        drop(one);
        assert!(test.acquire(3).is_ok());
    }

    #[test]
    fn a_connection_that_logs_in_while_it_is_evicted_stays() {
        let mut test = Test::new(|bounds| bounds.full = 1);
        let mut one = test.served(1);
        test.wait(2);
        let other = test.acquire(2).unwrap();
        assert!(other.evicted.is_some());
        one.authenticated();
        assert!(!is_told(&one));
        let Counts { connections, leaving, .. } = *test.gate.counts();
        assert_eq!((connections, leaving), (2, 0));
        drop((one, other));
        assert!(test.is_empty());
    }

    #[test]
    fn the_probability_of_refusal_rises_linearly_from_two_thirds_of_the_limit() {
        let bounds = Test::new(|_| {}).gate.counts().bounds;
        let chances = [0, 5999, 6000, 7500, 8999, 9000, u32::MAX].map(|unauthenticated| bounds.chance(unauthenticated));
        assert_eq!(chances, [0, 0, 30, 65, 99, 100, 100]);
        let smallest = Test::new(|bounds| bounds.full = 1).gate.counts().bounds;
        assert_eq!([0, 1].map(|unauthenticated| smallest.chance(unauthenticated)), [0, 100]);
    }

    #[test]
    fn newcomers_are_refused_at_random_only_if_no_connection_can_be_evicted() {
        let mut test = Test::new(|bounds| (bounds.full, bounds.per_source) = (6, 100));
        let mut inside: Vec<_> = (0..4).map(|_| test.served(1)).collect();
        assert_eq!(test.admit_with(v4(2), 29).err(), Some(ConnectionRefusal::Unauthenticated { count: 4, full: 6 }));
        inside.push(permit(test.admit_with(v4(2), 30).unwrap()));
        assert_eq!(test.admit_with(v4(2), 64).err(), Some(ConnectionRefusal::Unauthenticated { count: 5, full: 6 }));
        test.wait(2);
        inside.push(permit(test.admit_with(v4(2), 0).unwrap()));
        let last = test.admit_with(v4(3), 0).unwrap();
        assert_eq!(last.evicted.unwrap().number, 1);
    }

    #[test]
    fn a_source_with_a_penalty_is_refused_and_an_exempt_address_is_not() {
        let mut test = Test::new(|_| {});
        let fail = |test: &mut Test, peer| {
            let permit = test.served(peer);
            permit.penalize(Fault::FailedLogin);
        };
        // Some of the first three has passed by then.
        for _ in 0..4 {
            fail(&mut test, 1);
            fail(&mut test, 9);
        }
        test.now = Instant::now();
        let refusal = test.refused(1);
        assert_eq!(refusal.line(), "Not allowed at this time\r\n");
        let told = refusal.to_string();
        assert!(told.starts_with("0.0.0.1 is refused for another ") && told.contains("a rejected password"), "{told}");
        drop((test.served(2), test.served(9)));
        test.wait(20);
        drop(test.served(1));
    }

    #[test]
    fn whoever_mistypes_and_logs_in_costs_the_source_nothing() {
        let mut test = Test::new(|_| {});
        for _ in 0..20 {
            let mut permit = test.served(1);
            permit.penalty().unwrap().add_failed_login();
            permit.authenticated();
        }
        test.now = Instant::now();
        drop(test.served(1));
        // Those who do not log in are counted as before, also beside others who do.
        for _ in 0..4 {
            test.served(1).penalty().unwrap().add_failed_login();
        }
        test.now = Instant::now();
        assert!(matches!(test.refused(1), ConnectionRefusal::Penalty { .. }));
    }

    #[test]
    fn a_rejected_password_counts_at_once_and_once_for_its_connection() {
        let mut test = Test::new(|bounds| bounds.penalties.failed_login = Duration::from_secs(10));
        let permits: Vec<_> = [1, 1, 1, 2].into_iter().map(|peer| test.served(peer)).collect();
        let penalties: Vec<_> = permits.iter().map(|permit| permit.penalty().unwrap()).collect();
        let refused = || penalties.iter().map(|penalty| penalty.refuses()).collect::<Vec<_>>();
        // Whoever mistypes goes on, and is not penalized again at the end.
        (0..6).for_each(|_| penalties[0].add_failed_login());
        [Fault::FailedLogin, Fault::TimedOut].into_iter().for_each(|fault| permits[0].penalize(fault));
        assert_eq!(refused(), [false; 4]);
        // The second connection is enough: those that exist are refused, too.
        penalties[1].add_failed_login();
        assert_eq!(refused(), [true, true, true, false]);
        let mut exempt = test.served(9);
        exempt.has_peer(v4(9));
        assert!(exempt.penalty().is_none());
        exempt.authenticated();
        assert!(ConnectionPermit::unlisted(1).penalty().is_none());
        // A crash counts beside it.
        penalties[3].add_failed_login();
        assert!(!penalties[3].refuses());
        permits[3].penalize(Fault::Crash);
        assert!(penalties[3].refuses());
    }

    #[test]
    fn what_an_exempt_address_does_wrong_is_no_fault_of_its_network() {
        let mut test = Test::new(|_| {});
        let [exempt, neighbour] = ["2001:db8::9", "2001:db8::1"].map(|address| address.parse().unwrap());
        let crash = |test: &mut Test, peer| {
            let mut permit = permit(test.admit_with(peer, NEVER).unwrap());
            permit.has_peer(peer);
            permit.penalize(Fault::Crash);
        };
        crash(&mut test, exempt);
        test.now = Instant::now();
        crash(&mut test, neighbour);
        test.now = Instant::now();
        assert!(test.admit_with(neighbour, NEVER).is_err() && test.admit_with(exempt, NEVER).is_ok());
    }

    #[test]
    fn a_connection_that_has_logged_in_gets_no_penalty() {
        let mut test = Test::new(|_| {});
        for _ in 0..10 {
            let mut permit = test.served(1);
            permit.authenticated();
            permit.penalize(Fault::Crash);
        }
        test.now = Instant::now();
        drop(test.served(1));
    }

    #[test]
    fn the_source_of_a_connection_that_crashes_its_task_is_refused() {
        let mut test = Test::new(|_| {});
        let permit = test.served(1);
        let crash = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _permit = permit;
            panic!("asked to");
        }));
        assert!(crash.is_err());
        test.now = Instant::now();
        assert!(matches!(test.refused(1), ConnectionRefusal::Penalty { .. }));
    }

    #[test]
    fn closed_connections_leave_no_state() {
        let mut test = Test::new(|_| {});
        let mut permits: Vec<_> = (0..100).map(|peer| test.served(peer)).collect();
        test.wait(3);
        permits.push(test.served(100));
        permits.iter_mut().step_by(2).for_each(|permit| permit.reached(LoginStage::Authentication));
        permits.iter_mut().step_by(4).for_each(ConnectionPermit::authenticated);
        drop(permits);
        assert!(test.is_empty());
    }

    #[test]
    fn the_random_numbers_cover_the_range() {
        let test = Test::new(|bounds| (bounds.full, bounds.drop_percent) = (1_000_000, 50));
        let dice = (0..1000).map(|connection| test.gate.0.dice.hash_one(connection as u64) % 100);
        let low = dice.filter(|roll| *roll < 50).count();
        assert!((300..700).contains(&low), "{low}");
    }
}
