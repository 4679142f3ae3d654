//! Calls to the host that are invalid, too large or too many, and what they reveal: W11 to W18, W23, W29, W31 to W33,
//! W51.

use whelk_tests::MIB;

use crate::world::{Told, World};

const ILL: &str = "ILL: the plugin crashed";
const LARGE: &str = "KILL: write too large";

#[test]
fn w11_w12_invalid_or_too_large_arguments_end_the_caller() {
    let mut world = World::new();
    let before = world.gateway.peak_memory();
    world.each_ends_alone(&[
        ("W11 pointer", ILL, "out of bounds"),
        ("W11 length", ILL, "out of bounds"),
        ("W11 huge 5000000", LARGE, "write too large"),
        // A thousand references to the same text of a MiB.
        ("W12", LARGE, "write too large"),
        ("W12 small", LARGE, "write too large"),
    ]);
    let grown = world.gateway.peak_memory() - before;
    assert!(grown < 128 * MIB, "the host took {} MiB for it", grown / MIB);
    world.end();
}

#[test]
fn w13_w14_invalid_values_end_the_caller() {
    let mut world = World::new();
    world.each_ends_alone(&[
        ("W13 utf8", ILL, "utf-8"),
        ("W13 misaligned", ILL, "aligned"),
        ("W14 variant", ILL, "discriminant"),
        ("W14 enum", ILL, "discriminant"),
    ]);
    world.end();
}

#[test]
fn w15_output_that_no_client_reads_waits_and_costs_nothing() {
    let mut world = World::new();
    let before = world.gateway.resident_memory();
    let flood = world.call("attacker").exec("W15").start_and_stall(1);
    for _ in 0..50 {
        world.neighbour_goes_on();
    }
    let grown = world.gateway.resident_memory().saturating_sub(before);
    assert!(grown < 16 * MIB, "{} MiB are held for one session that nobody reads", grown / MIB);
    assert!(flood.is_alive(), "{}", flood.said());
    flood.kill_and_wait();
    let ending = &world.endings("attacker", 1)[0];
    let cpu_ms: u64 = ending.field("cpu_ms").parse().expect("a number");
    assert!(cpu_ms < 200, "waiting cost {cpu_ms} ms of processor time");
    world.end();
}

#[test]
fn w16_a_flood_of_output_leaves_room_for_others() {
    let mut world = World::new();
    world.neighbour_goes_on_in_a_storm("8", "W16");
    world.end();
}

#[test]
fn w17_writes_after_the_end_are_refused_and_the_first_end_counts() {
    let mut world = World::new();
    for (behaviour, status, logged) in [
        ("W17 eof", 0, "after eof: eof-sent"),
        ("W17 finish", 3, "after finish: "),
        ("W17 stream", 0, "on a side stream: "),
        ("in closed W17 closed", 0, "after the close: closed"),
    ] {
        let seen = world.exec(behaviour);
        assert_eq!(seen.told, Told::Status(status), "{behaviour}: {seen:?}");
        assert!(!seen.out.contains("late"), "{behaviour}: {seen:?}");
        world.gateway.wait(logged, |event| event.message.contains(logged).then_some(()));
        world.neighbour_goes_on();
    }
    world.end();
}

#[test]
fn w18_a_forged_handle_ends_the_caller() {
    let mut world = World::new();
    world.each_ends_alone(&[("W18 forged", ILL, "handle"), ("W18 twice", ILL, "handle"), ("W18 stale", ILL, "handle")]);
    world.end();
}

#[test]
fn w23_the_log_can_be_neither_flooded_nor_forged() {
    let mut world = World::new();
    for behaviour in ["W23 many", "W23 print", "W23 long", "W23 forged"] {
        let before = world.log().len();
        let ended = world.endings("attacker", 0).len();
        let seen = world.exec(behaviour);
        assert_eq!(seen.told, Told::Status(0), "{behaviour}: {seen:?}");
        world.endings("attacker", ended + 1);
        let said = world.log().split_off(before);
        assert!(said.len() < 700, "{behaviour} made {} lines", said.len());
        for event in &said {
            assert!(!event.fields.is_null(), "{behaviour} wrote a line of its own: {}", event.line);
            assert!(event.line.len() < 4096, "{behaviour} wrote a line of {} bytes", event.line.len());
            assert!(!event.line.contains(['\x1b', '\x07', '\u{202e}']), "{behaviour}: {:?}", event.line);
            assert_ne!(event.message, "forged", "{behaviour}: {}", event.line);
            let own = event.line.contains("line 1") || event.line.contains("lll");
            assert!(!own || event.is_from_plugin(), "{behaviour} spoke as the host: {}", event.line);
        }
        if matches!(behaviour, "W23 many" | "W23 print") {
            let told = said.iter().any(|event| event.is_from_plugin() && event.message.contains("lines dropped"));
            assert!(told, "{behaviour}: nobody was told of the lines that were dropped");
        }
        world.neighbour_goes_on();
    }
    let before = world.gateway.peak_memory();
    world.each_ends_alone(&[("W23 raw", ILL, "check-write")]);
    let grown = world.gateway.peak_memory() - before;
    assert!(grown < 64 * MIB, "the host took {} MiB for it", grown / MIB);
    world.end();
}

#[test]
fn w29_w31_arguments_environment_and_network_are_empty() {
    let mut world = World::new();
    let seen = world.exec("W29");
    assert_eq!(seen.told, Told::Status(0), "{seen:?}");
    assert!(seen.out.lines().count() > 10, "{seen:?}");
    for line in seen.out.lines() {
        assert!(line.ends_with(" 0"), "a plugin sees {line:?}");
    }
    world.neighbour_goes_on();
    world.end();
}

#[test]
fn w32_the_clock_is_a_coarse_one() {
    let mut world = World::new();
    let seen = world.exec("W32");
    let grain: u64 = seen.out.trim().strip_prefix("grain ").and_then(|grain| grain.parse().ok()).expect("a number");
    assert!(grain >= 1_000_000 && grain.is_multiple_of(1_000_000), "the clock has steps of {grain} ns");
    world.neighbour_goes_on();
    world.end();
}

#[test]
fn w33_the_random_bytes_of_a_call_are_limited() {
    let mut world = World::new();
    let seen = world.exec("W33 65536");
    assert_eq!(seen.out, "got 65536\n", "{seen:?}");
    world.endings("attacker", 1);
    world.each_ends_alone(&[("W33 65537", ILL, "random"), ("W33 1099511627776", ILL, "random")]);
    world.end();
}

#[test]
fn w51_a_plugin_can_end_its_own_connection_and_no_other() {
    let mut world = World::new();
    let mut beside = world.call("attacker").exec("cat").start();
    beside.type_in(b"before\n");
    beside.wait_for_output("before");
    let seen = world.exec("W51");
    assert_eq!(seen.told, Told::Cut, "{seen:?}");
    // A session of the same tenant and the same plugin, on a connection of its own.
    beside.type_in(b"after\n");
    beside.wait_for_output("after");
    assert_eq!(beside.finish().status, Some(0));
    world.neighbour_goes_on();
    world.end();
}
