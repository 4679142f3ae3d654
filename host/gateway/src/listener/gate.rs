//! How many may come in, and from where: pure counting, without sockets and without a clock.
//!
//! A stranger costs something before anything is known of them, so strangers are counted apart from those who have logged in:
//! all of them together (dropped at random when they get many, as OpenSSH's MaxStartups does: whoever floods loses most of
//! their own), and each source alone. Nothing grows beyond the number of connections.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::config::Limits;
use crate::source::Source;

/// Counts connections. Clones count the same ones.
#[derive(Clone)]
pub(super) struct Gate(Arc<Shared>);

struct Shared {
    bounds: Bounds,
    counts: Mutex<Counts>,
    dice: RandomState,
}

/// What a gate holds to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    start: u32,
    drop_percent: u32,
    full: u32,
    per_source: u32,
    connections: u32,
    /// The demonstration serves this machine alone, where every client shares one address.
    exempt_loopback: bool,
}

impl Bounds {
    /// `connections` is what the open files allow, at most what `limits` says.
    pub(super) fn new(limits: &Limits, connections: u32, exempt_loopback: bool) -> Bounds {
        Bounds {
            start: limits.unauthenticated_start,
            drop_percent: limits.unauthenticated_drop,
            full: limits.unauthenticated_full,
            per_source: limits.unauthenticated_per_source,
            connections,
            exempt_loopback,
        }
    }
}

#[derive(Default)]
struct Counts {
    connections: u32,
    strangers: u32,
    /// Strangers of each source that has any.
    sources: HashMap<Source, u32>,
}

/// Why a connection was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No more connections of any kind.
    Full,
    /// Too many strangers.
    Strangers,
    /// Too many strangers from this source.
    Source,
}

impl Refusal {
    /// For the log.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Refusal::Full => "too many connections",
            Refusal::Strangers => "too many connections that have not logged in",
            Refusal::Source => "too many connections from this source that have not logged in",
        }
    }
}

/// The place that a connection takes: a stranger's until [`Permit::authenticated`], a connection's until it is dropped.
pub struct Permit {
    gate: Gate,
    /// The number of the connection.
    connection: u64,
    /// What it is counted under while it is a stranger's.
    stranger: Option<Stranger>,
}

/// A stranger from an exempt source is counted without it.
struct Stranger(Option<Source>);

impl Gate {
    pub(super) fn new(bounds: Bounds) -> Gate {
        Gate(Arc::new(Shared { bounds, counts: Mutex::default(), dice: RandomState::new() }))
    }

    /// Lets a connection in, or says why not.
    pub(super) fn admit(&self, peer: IpAddr, connection: u64) -> Result<Permit, Refusal> {
        // The keys of the hash are random and secret, so nobody can time a connection to be the lucky one.
        let roll = u32::try_from(self.0.dice.hash_one(connection) % 100).unwrap_or(0);
        let mut permit = self.admit_with(peer, roll)?;
        permit.connection = connection;
        Ok(permit)
    }

    /// `roll` is from 0 to 99, each as likely: below the chance to be dropped, the connection is.
    fn admit_with(&self, peer: IpAddr, roll: u32) -> Result<Permit, Refusal> {
        let bounds = &self.0.bounds;
        let peer = peer.to_canonical();
        let source = (!(bounds.exempt_loopback && peer.is_loopback())).then(|| Source::of(peer));
        let mut counts = self.counts();
        if counts.connections >= bounds.connections {
            return Err(Refusal::Full);
        }
        if let Some(source) = source
            && counts.sources.get(&source).is_some_and(|strangers| *strangers >= bounds.per_source)
        {
            return Err(Refusal::Source);
        }
        if roll < bounds.chance(counts.strangers) {
            return Err(Refusal::Strangers);
        }
        counts.connections += 1;
        counts.strangers += 1;
        if let Some(source) = source {
            *counts.sources.entry(source).or_default() += 1;
        }
        Ok(Permit { gate: self.clone(), connection: 0, stranger: Some(Stranger(source)) })
    }

    /// Nothing below panics while it holds the lock, so what a poisoned one guards is whole.
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bounds {
    /// The chance in percent that one more stranger is dropped.
    fn chance(&self, strangers: u32) -> u32 {
        if strangers >= self.full {
            return 100;
        }
        if strangers < self.start {
            return 0;
        }
        // Here start <= strangers < full, so that the span is not 0 and the rise is at most 100.
        let span = u64::from(self.full - self.start);
        let above = u64::from(strangers - self.start);
        let rise = u64::from(100 - self.drop_percent) * above / span;
        self.drop_percent + u32::try_from(rise).unwrap_or(100)
    }
}

impl Permit {
    /// The number of the connection, by which the log tells it from others. Those that were not let in have one, too.
    pub fn connection(&self) -> u64 {
        self.connection
    }

    /// The peer has logged in: no stranger any more. Once is enough, more does nothing.
    pub fn authenticated(&mut self) {
        let mut counts = self.gate.counts();
        if let Some(stranger) = self.stranger.take() {
            counts.forget(&stranger);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.gate.counts();
        counts.connections -= 1;
        if let Some(stranger) = self.stranger.take() {
            counts.forget(&stranger);
        }
    }
}

impl Counts {
    fn forget(&mut self, Stranger(source): &Stranger) {
        self.strangers -= 1;
        let Some(source) = source else { return };
        if let Some(strangers) = self.sources.get_mut(source) {
            *strangers -= 1;
            if *strangers == 0 {
                self.sources.remove(source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: u32 = 99;

    fn gate(change: impl FnOnce(&mut Bounds)) -> Gate {
        let limits = Limits::default();
        let mut bounds = Bounds::new(&limits, limits.connections, false);
        change(&mut bounds);
        Gate::new(bounds)
    }

    fn v4(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    #[test]
    fn one_source_has_sixteen_strangers_and_others_are_not_kept_out() {
        let gate = gate(|_| {});
        let mut inside: Vec<_> = (0..16).map(|_| gate.admit_with(v4(1), NEVER).unwrap()).collect();
        assert_eq!(gate.admit_with(v4(1), NEVER).err(), Some(Refusal::Source));
        assert!(gate.admit_with(v4(2), NEVER).is_ok());
        inside[0].authenticated();
        inside[0].authenticated();
        let again = gate.admit_with(v4(1), NEVER).unwrap();
        assert_eq!(gate.admit_with(v4(1), NEVER).err(), Some(Refusal::Source));
        drop(again);
        assert!(gate.admit_with(v4(1), NEVER).is_ok());
    }

    #[test]
    fn an_ipv6_network_of_64_bits_is_one_source_and_a_mapped_address_is_ipv4() {
        let gate = gate(|bounds| bounds.per_source = 1);
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let _one = gate.admit_with(address("2001:db8:0:1::1"), NEVER).unwrap();
        assert_eq!(gate.admit_with(address("2001:db8:0:1:ffff::2"), NEVER).err(), Some(Refusal::Source));
        assert!(gate.admit_with(address("2001:db8:0:2::1"), NEVER).is_ok());
        let _mapped = gate.admit_with(address("::ffff:192.0.2.1"), NEVER).unwrap();
        assert_eq!(gate.admit_with(address("192.0.2.1"), NEVER).err(), Some(Refusal::Source));
    }

    #[test]
    fn in_the_demonstration_loopback_counts_in_the_total_alone() {
        let gate =
            gate(|bounds| (bounds.per_source, bounds.full, bounds.start, bounds.exempt_loopback) = (1, 3, 3, true));
        let loopback: IpAddr = "127.0.0.1".parse().unwrap();
        let _inside: Vec<_> = (0..3).map(|_| gate.admit_with(loopback, NEVER).unwrap()).collect();
        assert_eq!(gate.admit_with(loopback, NEVER).err(), Some(Refusal::Strangers));
    }

    #[test]
    fn the_chance_to_be_dropped_rises_evenly_from_the_start_to_full() {
        let bounds = gate(|_| {}).0.bounds;
        let chances = [0, 199, 200, 612, 1023, 1024, u32::MAX].map(|strangers| bounds.chance(strangers));
        assert_eq!(chances, [0, 0, 30, 65, 99, 100, 100]);
        let no_slope = gate(|bounds| (bounds.start, bounds.full) = (5, 5)).0.bounds;
        assert_eq!([4, 5].map(|strangers| no_slope.chance(strangers)), [0, 100]);
    }

    #[test]
    fn between_start_and_full_the_dice_decide() {
        let gate = gate(|bounds| (bounds.start, bounds.full) = (1, 3));
        let _one = gate.admit_with(v4(1), 0).unwrap();
        assert_eq!(gate.admit_with(v4(2), 29).err(), Some(Refusal::Strangers));
        let _two = gate.admit_with(v4(2), 30).unwrap();
        assert_eq!(gate.admit_with(v4(3), 64).err(), Some(Refusal::Strangers));
        let _three = gate.admit_with(v4(3), 65).unwrap();
        assert_eq!(gate.admit_with(v4(4), 99).err(), Some(Refusal::Strangers));
    }

    #[test]
    fn those_who_logged_in_count_as_connections_until_they_leave() {
        let gate = gate(|bounds| bounds.connections = 2);
        let mut one = gate.admit_with(v4(1), NEVER).unwrap();
        let two = gate.admit_with(v4(2), NEVER).unwrap();
        one.authenticated();
        assert_eq!(gate.admit_with(v4(3), NEVER).err(), Some(Refusal::Full));
        drop(one);
        assert!(gate.admit_with(v4(3), NEVER).is_ok());
        drop(two);
    }

    #[test]
    fn what_has_left_is_forgotten_whole() {
        let gate = gate(|_| {});
        let permits: Vec<_> = (0..100).map(|number| gate.admit_with(v4(number), NEVER).unwrap()).collect();
        drop(permits);
        let counts = gate.counts();
        assert_eq!((counts.connections, counts.strangers, counts.sources.len()), (0, 0, 0));
    }

    #[test]
    fn the_dice_fall_on_every_side() {
        let gate = gate(|bounds| (bounds.start, bounds.full, bounds.drop_percent) = (0, 1_000_000, 50));
        let let_in = (0..1000).filter(|connection| gate.admit(v4(*connection), u64::from(*connection)).is_ok()).count();
        assert!((300..700).contains(&let_in), "{let_in}");
    }
}
