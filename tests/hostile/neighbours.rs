//! The effect of one tenant's attacks on another tenant: how long its keystrokes take to come back. W45, and the load
//! of the whole table.
//!
//! The client sends a byte every millisecond. In the short form all must come back; at full size 99 in 100 must come
//! back within twice the time without an attack, or within 10 ms if that is more, in the median of three runs.

use whelk_tests::{Event, Running, figure, size};

use crate::world::{Plan, World};

/// How the attacker's clients behave, how many there are, and their command.
type Offence = (&'static str, &'static [(&'static str, u32, &'static str)]);

const OFFENCES: [Offence; 13] = [
    ("endless loops", &[("storm", 8, "in data W1")]),
    ("endless loops at the end", &[("storm", 8, "in closed W3")]),
    ("memory bombs", &[("storm", 4, "W5 steps")]),
    ("memory filled and left", &[("storm", 8, "W5 bomb")]),
    ("memory taken and given back", &[("storm", 4, "W46 churn")]),
    ("endless recursion", &[("storm", 8, "W9")]),
    ("output that nobody reads", &[("deaf", 32, "W15")]),
    ("output that is read", &[("storm", 8, "W16")]),
    ("handles without number", &[("storm", 8, "W19 handles")]),
    ("empty calls", &[("storm", 8, "W22")]),
    ("floods of log lines", &[("storm", 4, "W23 many")]),
    ("crashes by reconnecting", &[("reconnect", 8, "W26")]),
    ("clients that leave", &[("drop", 8, "W43")]),
];

/// W45: 64 channels of loops, floods and empty calls at once.
const MIX: Offence =
    ("64 channels of everything", &[("storm", 22, "in data W1"), ("deaf", 21, "W15"), ("storm", 21, "W22")]);

/// How long keystrokes took, in microseconds: half of them, and 99 in 100.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Delay {
    pub(crate) half: u64,
    pub(crate) most: u64,
}

impl Delay {
    /// The most that 99 in 100 may take beside an attack, if they take this without one.
    pub(crate) fn limit(self) -> u64 {
        (2 * self.most).max(10_000)
    }
}

/// With the default limits, not those of the other tests.
fn world() -> World {
    Plan::default().limit("cpu_call", "\"1 s\"").limit("cpu_closed", "\"1 s\"").start()
}

/// Types so many keys in a session of this user.
pub(crate) fn type_keys(world: &World, user: &str, count: u64) -> Delay {
    let count = count.to_string();
    let mut keys = world.siege(user, "keys", &["--count", &count], "");
    keys.type_in(b"go\n");
    let line = keys.wait("all keys", |seen| {
        let text = seen.out.text();
        let line = text.lines().find(|line| line.starts_with("keys ")).map(str::to_owned);
        assert!(line.is_some() || seen.status.is_none(), "the neighbour's session ended: {}", seen.err.text());
        line
    });
    assert!(line.starts_with(&format!("keys {count} ")), "{line}");
    let words: Vec<&str> = line.split(' ').collect();
    let after = |name: &str| words.iter().position(|word| *word == name).and_then(|at| words[at + 1].parse().ok());
    assert_eq!(keys.finish().status, Some(0));
    Delay { half: after("p50").expect("p50 is printed"), most: after("p99").expect("p99 is printed") }
}

/// The median of three, by its p99; the only one in the short form.
pub(crate) fn middle(world: &World) -> Delay {
    let count = size(200, 3_000);
    let mut runs: Vec<Delay> = (0..size(1, 3)).map(|_| type_keys(world, "neighbour", count)).collect();
    runs.sort_by_key(|delay| delay.most);
    runs[runs.len() / 2]
}

/// How many of the attacker's sessions have been opened.
fn opened(events: &[Event]) -> usize {
    let it = |event: &&Event| event.message == "session opened" && event.field("plugin") == "attacker";
    events.iter().filter(it).count()
}

/// Starts an attack.
fn begin(world: &World, offence: &Offence) -> Vec<Running> {
    let before = opened(&world.log());
    let start = |(kind, at_once, behaviour): &(&str, u32, &str)| {
        let options = ["--count", "0", "--at-once", &at_once.to_string()];
        let mut running = world.siege("attacker", kind, &options, behaviour);
        running.type_in(b"go\n");
        running
    };
    let running = offence.1.iter().map(start).collect();
    // It has begun once its first session is open.
    world.gateway.wait_all(offence.0, |events| (opened(events) > before).then_some(()));
    running
}

/// Measures one attack after another, each beside the same neighbour. Returns those beside which the neighbour waited
/// for too long.
fn measure(offences: &[Offence]) -> Vec<String> {
    let mut world = world();
    let idle = middle(&world);
    figure("echo when nobody else is there, p50 and p99", format!("{} and {} us", idle.half, idle.most));
    let limit = idle.limit();
    let mut slow = Vec::new();
    for offence in offences {
        let offenders = begin(&world, offence);
        let beside = middle(&world);
        for mut offender in offenders {
            offender.end_input();
            offender.wait_for_output("done");
        }
        let name = offence.0;
        figure(&format!("echo beside {name}, p50 and p99"), format!("{} and {} us", beside.half, beside.most));
        if beside.most > limit {
            slow.push(format!("beside {name}: {} us, where {limit} are allowed", beside.most));
        }
        world.neighbour_goes_on();
        // Nothing of it is left when the next begins.
        world.settled();
    }
    world.end();
    slow
}

/// At full size the neighbour must not wait for too long. In the short form the machine runs other tests at the same
/// time.
pub(crate) fn judge(slow: &[String]) {
    assert!(size(0, 1) == 0 || slow.is_empty(), "p99 of the neighbour's keys {slow:#?}");
}

#[test]
fn a_neighbours_keystrokes_are_echoed_whatever_the_attacker_does() {
    // At full size each has a gateway of its own: some make the log long.
    let together = if size(0, 1) == 1 { 1 } else { OFFENCES.len() };
    let slow: Vec<String> = OFFENCES.chunks(together).flat_map(measure).collect();
    judge(&slow);
}

#[test]
fn w45_a_neighbours_keystrokes_are_echoed_beside_64_hostile_channels() {
    judge(&measure(&[MIX]));
}
