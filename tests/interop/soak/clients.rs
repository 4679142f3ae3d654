//! The clients: programs that stay for a while and work now and then, programs that come for one thing, and libraries
//! with many connections in a process.

mod held;
mod libraries;
mod passing;

use std::time::Duration;

use whelk_tests::{Client, Input, size};

use super::load::{End, Load};
use super::slot::{Kind, Slot, call, expect, scale};

/// The time between the first clients of a proof.
const STAGGER: Duration = Duration::from_millis(250);

const fn program(
    name: &'static str,
    programs: [u64; 2],
    pause: u64,
    turn: fn(&Load, &Slot, u64) -> Result<End, String>,
) -> Kind {
    Kind { name, programs, connections: [1, 1], pause, turn }
}

static KINDS: [Kind; 12] = [
    program("shell", [1, 24], 5, held::shell),
    program("idle", [1, 24], 5, held::idle),
    program("unread", [1, 12], 10, held::unread),
    program(VICTIM, [1, 12], 5, held::victim),
    program("replaced", [1, 8], 5, held::replaced),
    program("command", [2, 32], 20, passing::command),
    program("files", [1, 12], 20, passing::files),
    program("master", [1, 4], 20, passing::master),
    program("killed", [1, 8], 10, passing::killed),
    Kind { name: "paramiko", programs: [1, 2], connections: [1, 24], pause: 1, turn: libraries::paramiko },
    Kind { name: "asyncssh", programs: [1, 2], connections: [1, 32], pause: 1, turn: libraries::asyncssh },
    Kind { name: "ssh2", programs: [1, 2], connections: [1, 26], pause: 1, turn: libraries::ssh2 },
];

const VICTIM: &str = "victim";

/// The places of all clients. Those of one kind do not all begin before those of another.
pub(super) fn slots() -> Vec<Slot> {
    let of = |kind: &'static Kind| (0..kind.programs[scale()]).map(move |number| (number, kind));
    let mut all: Vec<_> = KINDS.iter().flat_map(of).collect();
    all.sort_by_key(|(number, _)| *number);
    (0..).zip(all).map(|(place, (number, kind))| Slot { kind, number, place }).collect()
}

/// How many clients there are at the same time.
pub(super) fn count() -> u64 {
    KINDS.iter().map(|kind| kind.programs[scale()] * kind.connections[scale()]).sum()
}

/// How many there are at the same time whom only the operator can end.
pub(super) fn victims() -> usize {
    slots().iter().filter(|slot| slot.kind.name == VICTIM).count()
}

/// One client of each program that the server loads when it is first needed.
pub(super) fn come_once(load: &Load) -> Result<(), String> {
    let slot = Slot { kind: &KINDS[0], number: 0, place: 0 };
    // By sftp and by scp.
    passing::files(load, &slot, 0)?;
    passing::files(load, &slot, 3)?;
    let shell = call(load, Client::OpenSsh100, "shelly").exec("cd /tmp").run(Input::Nothing);
    expect(&shell, 0, b"").map(drop)
}

/// One client after the other, until the load is over.
pub(super) fn work(load: &Load, slot: &Slot) {
    let mut turn = 0;
    let mut goes_on = load.pause(if scale() == 0 { Duration::ZERO } else { STAGGER * slot.place });
    while goes_on {
        let name = format!("{}, turn {turn}", slot.number);
        load.record(slot.kind.name, &name, || (slot.kind.turn)(load, slot, turn));
        turn += 1;
        goes_on = load.pause(slot.spread(turn, Duration::from_millis(size(300, slot.kind.pause * 1_000))));
    }
    if slot.kind.name == VICTIM {
        load.victim_is_gone();
    }
}
