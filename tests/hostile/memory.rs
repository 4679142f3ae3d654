//! Too much memory, too many tables, handles and timers: W5 to W8, W19, W21, W30, W46, W52.

use whelk_tests::MIB;

use crate::components::{FINISH, Written};
use crate::world::{Plan, Told, World};

/// Components that declare too much. They are not valid plugins otherwise: the excess is reported first.
const GREEDY: [(&str, &str, &str); 6] = [
    ("w6-memory", "(core module $m (memory 65536)) (core instance (instantiate $m))", "memory"),
    ("w6-again", "(core module $m (memory 4097)) (core instance (instantiate $m))", "memory"),
    (
        "w7-memories",
        "(core module $m (memory 1) (memory 1) (memory 1) (memory 1) (memory 1)) (core instance (instantiate $m))",
        "memories",
    ),
    ("w7-instances", "", "instances"),
    ("w7-tables", "", "tables"),
    ("w8-table", "(core module $m (table 10000000 funcref)) (core instance (instantiate $m))", "table"),
];

#[test]
fn w5_memory_is_refused_at_the_limit_and_the_reason_is_reported() {
    let mut world = World::new();
    let before = world.gateway.resident_memory();
    world.each_ends_alone(&[
        ("W5 bomb", "KILL: out of memory", "out of memory"),
        ("W5 steps", "KILL: out of memory", "out of memory"),
        ("in data W5 bomb", "KILL: out of memory", "out of memory"),
    ]);
    // The 64 MiB are released when the end is logged.
    let left = world.gateway.resident_memory().saturating_sub(before);
    assert!(left < 48 * MIB, "{} MiB have stayed behind", left / MIB);
    // A language that handles the failure goes on.
    let seen = world.exec("W5 live");
    assert_eq!((seen.told, seen.out.as_str()), (Told::Status(0), "grew: false\n"));
    world.end();
}

#[test]
fn w6_w7_w8_a_plugin_that_declares_too_much_is_never_loaded() {
    let one = "(core instance (instantiate $m))";
    let repeated = |module: &str, count: usize| format!("(core module $m {module}) {}", one.repeat(count));
    let plan = GREEDY.iter().fold(Plan::default(), |plan, (name, text, _)| {
        let text = match *name {
            "w7-instances" => repeated("", 200),
            "w7-tables" => repeated(&"(table 1 funcref)".repeat(50), 1),
            _ => (*text).to_owned(),
        };
        plan.file(name, wat::parse_str(format!("(component {text})")).expect("our own text"))
    });
    let mut world = plan.start();
    for (name, _, word) in GREEDY {
        let reason = world.refusal(name);
        assert!(reason.contains(word), "{name} is refused without {word:?}: {reason}");
    }
    world.neighbour_goes_on();
    world.end();
}

#[test]
fn w8_growth_of_a_table_is_refused_at_the_limit() {
    // By two thousand million at once, by the maximum of the number, and step by step until the limit.
    let grow = |count: &str| format!("(table.grow $t (ref.null func) (i32.const {count}))");
    let body = format!(
        "(if (i32.ne {} (i32.const -1)) (then unreachable))
         (if (i32.ne {} (i32.const -1)) (then unreachable))
         (block $full (loop $on (br_if $full (i32.eq {} (i32.const -1))) (br $on)))
         (if (i32.gt_u (table.size $t) (i32.const 20000)) (then unreachable)) {FINISH}",
        grow("2000000000"),
        grow("0xffffffff"),
        grow("1000")
    );
    let written =
        Written { more: "(table $t 1 funcref)".to_owned(), bodies: vec![("exec", body)], ..Written::default() };
    let mut world = Plan::default().plugin("tables", written.component()).start();
    let seen = world.run(&world.call("tables").exec("grow"));
    assert_eq!(seen.told, Told::Status(0), "{seen:?}");
    world.neighbour_goes_on();
    world.end();
}

#[test]
fn w19_w21_handles_and_timers_are_limited() {
    let mut world = World::new();
    world.each_ends_alone(&[("W19 handles", "KILL: too many resources", "too many resources")]);
    let seen = world.exec("W21");
    assert_eq!(seen.out, "set 64 hasty 0 refused too-many\n", "{seen:?}");
    world.neighbour_goes_on();
    world.end();
}

#[test]
fn w30_memory_of_one_tenant_is_cleared_for_the_next() {
    // One place for all: each session gets the memory of the one before.
    let mut world = Plan::default().limit("instances", "2").start();
    for _ in 0..3 {
        let seen = world.exec("W30 put");
        assert_eq!(seen.out, format!("put {}\n", 8 * MIB), "{seen:?}");
        world.neighbour_goes_on();
        for user in ["stranger", "attacker"] {
            let seen = world.run(&world.call(user).exec("W30 scan"));
            assert_eq!(seen.out, "found 0\n", "{user}: {seen:?}");
        }
    }
    world.end();
}

#[test]
fn w46_a_tenant_that_allocates_and_frees_memory_all_the_time_disturbs_nobody() {
    let mut world = World::new();
    world.neighbour_goes_on_in_a_storm("4", "W46 churn");
    world.end();
}

#[test]
fn w52_a_full_server_says_so_and_has_room_again_later() {
    // The neighbour is one of the four.
    let mut world = Plan::default().limit("instances", "4").start();
    let held: Vec<_> = (0..3)
        .map(|_| {
            let waiting = world.call("attacker").exec("W20 sleep").start();
            waiting.wait_for_output("waiting");
            waiting
        })
        .collect();
    let seen = world.exec("cat");
    assert!(matches!(seen.told, Told::NotOpened(4, _)), "{seen:?}");
    world.neighbour_goes_on();
    held.into_iter().for_each(|waiting| waiting.kill_and_wait());
    world.endings("attacker", 3);
    let seen = world.exec("cat");
    assert_eq!(seen.told, Told::Status(0), "{seen:?}");
    world.end();
}
