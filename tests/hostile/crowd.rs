//! The promised number of sessions, alive at the same time, each with an instance of its own.

use whelk_tests::{MIB, Running, figure, size};

use crate::world::{Plan, Told};

/// Sessions on one connection.
const EACH: u64 = 10;

/// Lets the crowd go on to its next step.
fn go_on(crowd: &mut Running, line: &str, word: &str) {
    crowd.type_in(format!("{line}\n").as_bytes());
    crowd.wait_for_output(word);
}

#[test]
fn ten_thousand_sessions_are_alive_at_once_and_one_more_is_refused() {
    let sessions = size(200, 10_000);
    let (connections, each) = ((sessions / EACH).to_string(), EACH.to_string());
    // The neighbour takes one place, and a tenth of all is kept for those who have few.
    let places = ((sessions + 1) * 10 / 9).to_string();
    let many = (sessions + 100).to_string();
    let plan = Plan::default().limit("instances", &places).limit("sessions_per_user", &many);
    let plan = plan.limit("tenant_sessions", &many).limit("tenant_memory", "\"64 GiB\"");
    let mut world = plan.also("crowd", "hostile", "probe").start();
    world.neighbour_goes_on();
    let options = ["--load", "idle", "--count", &connections, "--at-once", &each];
    let call = options.iter().fold(world.call("crowd"), |call, option| call.option(option));
    let mut crowd = call.start_long();
    crowd.wait_for_output("ready");
    let (before, anonymous) = (world.gateway.resident_memory(), world.gateway.anonymous_memory());
    go_on(&mut crowd, "go", "done");
    let grown = world.gateway.resident_memory().saturating_sub(before);
    // All of them answer once more while all of them are alive.
    go_on(&mut crowd, "again", &format!("answered {sessions}"));
    // One more is refused, each time and for the same reason.
    for _ in 0..20 {
        let seen = world.exec("cat");
        assert!(matches!(seen.told, Told::NotOpened(4, _)), "{seen:?}");
    }
    world.neighbour_goes_on();
    figure("live sessions, all of which answer", sessions);
    figure("resident memory of each, bytes", grown / sessions);
    assert_eq!(crowd.finish().status, Some(0));
    // When ten thousand end at once the log may drop lines, so the ends are not counted: this line appears when nearly
    // all have ended. A few may end after that, without another trim.
    world.gateway.wait("memory given back", |event| {
        let left = event.field("sessions").parse::<u64>();
        (event.message == "memory given back" && left.is_ok_and(|left| left < 128)).then_some(())
    });
    let after = world.gateway.anonymous_memory();
    figure("anonymous memory before and after, KiB", format!("{}, {}", anonymous >> 10, after >> 10));
    assert!(after < anonymous + anonymous / 10 + 8 * MIB, "memory does not return to where it was");
    // And there is room again.
    let seen = world.exec("cat");
    assert_eq!(seen.told, Told::Status(0), "{seen:?}");
    world.end();
}
