//! Programs that start others: what that costs another tenant, and other sessions of their own. The X rows.

use std::fs;
use std::path::Path;

use whelk_tests::{Input, Running, figure, size};

use crate::components::spawner;
use crate::neighbours::{Delay, judge, middle, type_keys};
use crate::world::{Plan, World};

/// The most processes of a session: 64 and the first.
const MOST: u64 = 65;
/// The same where eight of 64 start one more each.
const MORE: u64 = 73;

/// What a process that prints prints at once: `PRINTED` of the program.
const PRINTED: u64 = 256 << 10;

/// What the error says at a limit of processes, and of open files.
const TOO_MANY: &str = "(os error 6)";
const TOO_MANY_FILES: &str = "(os error 33)";

/// What programs of the hostile tenant do.
struct Attack {
    name: &'static str,
    argument: &'static str,
    /// At full size; one otherwise.
    sessions: u64,
    /// What the first of them says once it goes on.
    said: &'static [&'static str],
}

const ATTACKS: [Attack; 5] = [
    Attack { name: "fork bombs", argument: "bomb", sessions: 8, said: &["bombs, then", TOO_MANY] },
    Attack {
        name: "pipe bombs",
        argument: "pipes",
        sessions: 4,
        said: &["full pipes, then", TOO_MANY_FILES, "64 children"],
    },
    Attack { name: "64 busy processes", argument: "spin", sessions: 1, said: &["64 children spin, then", TOO_MANY] },
    Attack {
        name: "64 stopped processes",
        argument: "stopped",
        sessions: 1,
        said: &["64 children are stopped, then", TOO_MANY],
    },
    Attack { name: "processes that end at once", argument: "brief", sessions: 8, said: &["8 children start others"] },
];

/// A world whose hostile tenant has the program, and may do everything that it can.
fn world(processes: u64) -> World {
    let home = |folder: &Path| fs::create_dir(folder.join("home")).expect("our own folder");
    let grants = "[tenants.hostile.grants]\nprocess = true\nkeyvalue = { bytes = \"64 KiB\", keys = 100 }\n\
                  directory = { path = \"FOLDER/home\", access = \"read-write\" }";
    let plan = Plan::default().limit("instances", "2000").limit("processes", &processes.to_string());
    plan.hostile(grants).before(home).program("spawner", spawner()).start()
}

/// A session can start as many processes as its limit says, and gets an error then.
fn starts_as_many_as_ever(world: &World, processes: u64) {
    let finished = world.call("spawner").exec("count").run(Input::Nothing);
    let said = finished.out.text();
    let expected = format!("{} children, then ", processes - 1);
    assert!(said.starts_with(&expected) && said.trim_end().ends_with(TOO_MANY), "{said}{}", finished.err);
}

/// Starts a session of an attack, and waits until it says this.
fn begin(world: &World, attack: &Attack, said: &[&str]) -> Running {
    let session = world.call("spawner").exec(attack.argument).start_long();
    session.wait("begin of the attack", |seen| {
        let (text, errors) = (seen.out.text(), seen.err.text());
        assert!(seen.status.is_none(), "{} ended: {text}{errors}", attack.name);
        (text.ends_with('\n') && said.iter().all(|part| text.contains(part))).then_some(())
    });
    session
}

/// Runs an attack until the neighbour has typed. Returns how long its keystrokes took.
fn run(world: &mut World, attack: &Attack) -> Delay {
    starts_as_many_as_ever(world, MOST);
    let mut sessions = vec![begin(world, attack, attack.said)];
    // What is beyond the limits of the tenant gets an error sooner.
    sessions.extend((1..size(1, attack.sessions)).map(|_| begin(world, attack, &[])));
    let delay = type_keys(world, "neighbour", size(200, 30_000));
    world.neighbour_goes_on();
    for session in sessions {
        assert!(session.is_alive(), "{} ended: {}", attack.name, session.said());
        let finished = session.finish();
        assert_eq!(finished.status, Some(0), "{}: {}", attack.name, finished.err);
    }
    // Nothing of it is left when its sessions have ended.
    world.all_ended("spawner");
    starts_as_many_as_ever(world, MOST);
    delay
}

#[test]
fn x1_x2_a_neighbours_keystrokes_are_echoed_whatever_the_processes_of_another_tenant_do() {
    let mut slow = Vec::new();
    // At full size each has a gateway of its own, as those of `neighbours`.
    let together = if size(0, 1) == 1 { 1 } else { ATTACKS.len() };
    for attacks in ATTACKS.chunks(together) {
        let mut world = world(MOST);
        let idle = middle(&world);
        figure("echo when nobody else is there, p50 and p99", format!("{} and {} us", idle.half, idle.most));
        for attack in attacks {
            let (beside, name) = (run(&mut world, attack), attack.name);
            figure(&format!("echo beside {name}, p50 and p99"), format!("{} and {} us", beside.half, beside.most));
            if beside.most > idle.limit() {
                slow.push(format!("beside {name}: {} us, where {} are allowed", beside.most, idle.limit()));
            }
        }
        world.end();
    }
    judge(&slow);
}

/// The sums of what the processes of a role have done: the least of one, and all together.
fn done(said: &str, role: &str) -> (u64, u64) {
    let line = said.lines().find_map(|line| line.strip_prefix(&format!("{role}: ")));
    let line = line.unwrap_or_else(|| panic!("nothing of {role}: {said}"));
    let mut numbers = line.split(' ').filter_map(|word| word.parse().ok()).skip(1);
    match (numbers.next(), numbers.next()) {
        (Some(least), Some(all)) => (least, all),
        _ => panic!("{line}"),
    }
}

#[test]
fn x6_processes_that_are_stopped_at_any_moment_lose_nothing_and_keep_nobody_waiting() {
    let mut world = world(MORE);
    let mut friend = world.call("spawner").exec("cat").start_long();
    let stops = world.call("spawner").exec(&format!("stops {}", size(2, 60))).start_long();
    stops.wait_for_stderr("64 processes");
    let beside = type_keys(&world, "spawner", size(200, 30_000));
    figure(
        "echo of the same tenant beside 64 processes that are stopped and continued, p50 and p99",
        format!("{} and {} us", beside.half, beside.most),
    );
    let mut rounds = 0;
    while stops.is_alive() {
        rounds += 1;
        let line = format!("round {rounds}\n");
        friend.type_in(line.as_bytes());
        friend.wait_for_output(&line);
        world.neighbour_goes_on();
    }
    let finished = stops.finish();
    assert_eq!(finished.status, Some(0), "{}", finished.err);
    for role in ["wait", "sleep", "files /", "files /tmp", "keys", "print", "write", "write-polling"] {
        assert!(done(&finished.err, role).0 > 0, "{role}: {}", finished.err);
    }
    // Nothing is lost between two processes, nor on the way to the client.
    assert_eq!(done(&finished.err, "write"), done(&finished.err, "read"));
    assert_eq!(done(&finished.err, "write-polling"), done(&finished.err, "read-polling"));
    assert_eq!(done(&finished.err, "print").1 * PRINTED, finished.out.total);
    figure("what 64 processes did that were stopped and continued", finished.err.replace('\n', "; "));
    assert_eq!(friend.finish().status, Some(0));
    world.all_ended("spawner");
    starts_as_many_as_ever(&world, MORE);
    world.end();
}
