//! The promised number of sessions, alive at the same time, each with an instance of its own.

use whelk_tests::{MIB, Running, figure, size};

use crate::components::spawner;
use crate::world::{Plan, Told, World};

/// Sessions on one connection.
const EACH: u64 = 10;

/// Lets the crowd go on to its next step.
fn go_on(crowd: &mut Running, line: &str, word: &str) {
    crowd.type_in(format!("{line}\n").as_bytes());
    crowd.wait_for_output(word);
}

/// Sessions that are all alive.
struct Crowd {
    running: Running,
    /// Resident memory of each, in bytes.
    weight: u64,
    /// Anonymous memory of the gateway before them, in bytes.
    before: u64,
}

impl Crowd {
    /// Opens them, and lets each answer twice: once it is open, and once all are.
    fn gather(world: &World, sessions: u64) -> Self {
        let (connections, each) = ((sessions / EACH).to_string(), EACH.to_string());
        let options = ["--load", "idle", "--count", &connections, "--at-once", &each];
        let call = options.iter().fold(world.call("crowd"), |call, option| call.option(option));
        let mut running = call.start_long();
        running.wait_for_output("ready");
        let (resident, before) = (world.gateway.resident_memory(), world.gateway.anonymous_memory());
        go_on(&mut running, "go", "done");
        let weight = world.gateway.resident_memory().saturating_sub(resident) / sessions;
        go_on(&mut running, "again", &format!("answered {sessions}"));
        Self { running, weight, before }
    }

    /// Ends them all: then the memory is as it was.
    fn leave(self, world: &World) {
        assert_eq!(self.running.finish().status, Some(0));
        // When ten thousand end at once the log may drop lines, so the ends are not counted: this line appears when
        // nearly all have ended. A few may end after that, without another trim.
        world.gateway.wait("memory given back", |event| {
            let left = event.field("sessions").parse::<u64>();
            (event.message == "memory given back" && left.is_ok_and(|left| left < 128)).then_some(())
        });
        let after = world.gateway.anonymous_memory();
        figure("anonymous memory before and after, KiB", format!("{}, {}", self.before >> 10, after >> 10));
        assert!(after < self.before + self.before / 10 + 8 * MIB, "memory does not return to where it was");
    }
}

/// A world with places for so many instances of the crowd, in so many sessions.
fn plan(sessions: u64, instances: u64) -> Plan {
    // The neighbour takes one place, and a tenth of all is kept for those who have few.
    let places = ((instances + 1) * 10 / 9).to_string();
    let many = (sessions + 100).to_string();
    let plan = Plan::default().limit("instances", &places).limit("sessions_per_user", &many);
    plan.limit("tenant_sessions", &many).limit("tenant_memory", "\"64 GiB\"")
}

#[test]
fn ten_thousand_sessions_are_alive_at_once_and_one_more_is_refused() {
    let sessions = size(200, 10_000);
    let mut world = plan(sessions, sessions).also("crowd", "hostile", "probe").start();
    world.neighbour_goes_on();
    let crowd = Crowd::gather(&world, sessions);
    // One more is refused, each time and for the same reason.
    for _ in 0..20 {
        let seen = world.exec("cat");
        assert!(matches!(seen.told, Told::NotOpened(4, _)), "{seen:?}");
    }
    world.neighbour_goes_on();
    figure("live sessions, all of which answer", sessions);
    figure("resident memory of each, bytes", crowd.weight);
    crowd.leave(&world);
    // And there is room again.
    let seen = world.exec("cat");
    assert_eq!(seen.told, Told::Status(0), "{seen:?}");
    world.end();
}

#[test]
fn two_thousand_sessions_with_two_processes_each_are_alive_at_once() {
    let sessions = size(200, 2_000);
    let processes = (2 * sessions).to_string();
    let plan = plan(sessions, 2 * sessions).limit("tenant_processes", &processes).limit("memory_total", "\"64 GiB\"");
    let plan = plan.hostile("[tenants.hostile.grants]\nprocess = true\nkeyvalue = { bytes = \"1 KiB\", keys = 1 }");
    let plan = plan.program("spawner", spawner()).program("pair", spawner()).also("crowd", "hostile", "pair");
    let mut world = plan.start();
    world.neighbour_goes_on();
    let crowd = Crowd::gather(&world, sessions);
    world.neighbour_goes_on();
    figure("live sessions of two processes each, all of which answer", sessions);
    figure("resident memory of each with two processes, bytes", crowd.weight);
    crowd.leave(&world);
    world.end();
}
