//! Code that does not end, crashes, or is called when it should not be: W1 to W4, W9, W10, W20, W22, W24 to W26, W43,
//! W44.

use std::time::Instant;

use whelk_tests::{Call, Event, Input, figure, size};

use crate::components::{FINISH, Written};
use crate::world::{Plan, Told, World};

const SPENT: &str = "KILL: cpu budget exhausted";

/// Every function of the attacker that a client can make the host call once a command runs, and what the client must
/// send for it.
const FUNCTIONS: [(&str, &[&str]); 9] = [
    ("data", &[]),
    ("eof", &[]),
    ("on-timer", &[]),
    ("on-writable", &[]),
    ("window-change", &["--then", "window-change"]),
    ("signal", &["--then", "signal"]),
    ("on-break", &["--then", "break"]),
    ("on-request", &["--then", "request"]),
    ("extended-data", &["--then", "side-data"]),
];

/// The attacker runs the behaviour when the host calls the function.
fn in_function(world: &World, function: &str, options: &[&str], behaviour: &str) -> Call {
    let call = world.call("attacker").exec(&format!("in {function} {behaviour}"));
    options.iter().fold(call, |call, option| call.option(option))
}

/// The same in a function that is called before a command.
fn before_a_command(world: &World, behaviour: &str) -> Vec<(&'static str, Call)> {
    let armed =
        |function: &str| world.call("attacker").option(&format!("--env=LC_BEHAVIOUR=in {function} {behaviour}"));
    vec![
        ("env", armed("env")),
        ("pty-req", armed("pty-req").pty()),
        ("shell", armed("shell")),
        ("subsystem", armed("subsystem").option("-s").exec("sftp")),
    ]
}

#[test]
fn w1_an_endless_loop_in_any_function_is_stopped_at_its_budget_and_ends_alone() {
    let mut world = World::new();
    for (function, options) in FUNCTIONS {
        let call = in_function(&world, function, options, "W1");
        world.ends_alone(function, &call, &Told::Signal(SPENT.to_owned()), "cpu budget exhausted");
    }
    world.end();
}

#[test]
fn w2_an_endless_loop_before_the_session_is_open_is_stopped_too() {
    let mut world = World::new();
    for (function, call) in before_a_command(&world, "W2") {
        world.ends_alone(function, &call, &Told::Signal(SPENT.to_owned()), "cpu budget exhausted");
    }
    world.each_ends_alone(&[("W2", SPENT, "cpu budget exhausted")]);
    let seen = world.run(&world.call("open-W2"));
    assert!(matches!(seen.told, Told::NotOpened(2, _)), "{seen:?}");
    world.end();
}

#[test]
fn w3_an_endless_loop_at_the_end_delays_nothing_but_itself() {
    let mut world = World::new();
    // The client has its exit status before `closed` is called. On a busy machine a second passes before the processor
    // time is used up.
    let call = world.call("attacker").exec("in closed W3");
    world.ends_alone("closed", &call, &Told::Status(0), "");
    // And here the client has left.
    let call = world.call("attacker").exec("in close W3").option("--then").option("close");
    world.ends_alone("close", &call, &Told::Cut, "");
    world.end();
}

#[test]
fn w4_an_endless_loop_in_code_that_the_host_runs_by_itself_is_counted_too() {
    let spin = "(loop $on (br $on)) (unreachable)";
    let start = Written { more: format!("(func $start {spin}) (start $start)"), ..Written::default() };
    let realloc = Written { realloc: spin, ..Written::default() };
    let plan = Plan::default().plugin("starting", start.component()).plugin("allocating", realloc.component());
    let mut world = plan.start();
    // The plugin was tried before it was published.
    let reason = world.refusal("starting");
    assert!(reason.contains("processor time"), "{reason}");
    assert_eq!(world.run(&world.call("starting")).told, Told::Status(1));
    world.neighbour_goes_on();
    let seen = world.run(&world.call("allocating").exec("some text that the host must find room for"));
    assert_eq!(seen.told, Told::Signal(SPENT.to_owned()), "{seen:?}");
    world.neighbour_goes_on();
    world.end();
}

#[test]
fn w9_recursion_without_an_end_runs_out_of_its_own_stack() {
    let mut world = World::new();
    world.each_ends_alone(&[("W9", "SEGV: the plugin crashed", "stack")]);
    world.end();
}

#[test]
fn w10_a_call_from_within_the_hosts_own_call_is_refused() {
    // `get-env` returns a list, for which the host asks the plugin for memory: there the plugin calls the host again.
    let plan = Plan::default().plugin(
        "nested",
        Written {
            more: "(global $inside (mut i32) (i32.const 0))".to_owned(),
            realloc: "(if (global.get $inside) (then (drop (call $writable)))) (i32.const 4096)",
            bodies: vec![(
                "exec",
                format!("(global.set $inside (i32.const 1)) (call $get-env (i32.const 16)) {FINISH}"),
            )],
            ..Written::default()
        }
        .component(),
    );
    let mut world = plan.start();
    let seen = world.run(&world.call("nested").option("--env=LC_ALL=C").exec("go"));
    assert_eq!(seen.told, Told::Signal("ILL: the plugin crashed".to_owned()), "{seen:?}");
    world.neighbour_goes_on();
    world.end();
}

#[test]
fn w20_a_plugin_that_waits_for_ever_ends_with_its_client() {
    let mut world = World::new();
    for behaviour in ["W20 sleep", "in data W20 sleep", "in on-timer W20 poll"] {
        let before = world.endings("attacker", 0).len();
        let mut waiting = world.call("attacker").exec(behaviour).start();
        waiting.type_in(b"x");
        waiting.wait_for_output("waiting");
        world.neighbour_goes_on();
        waiting.kill_and_wait();
        world.endings("attacker", before + 1);
    }
    // The client is connected and closes the channel; the plugin does not notice.
    let seen = world.run(
        &world
            .call("attacker")
            .exec("in signal W20 sleep")
            .option("--then")
            .option("signal")
            .option("--then")
            .option("close"),
    );
    assert_eq!(seen.told, Told::Cut, "{seen:?}");
    world.endings("attacker", 4);
    world.end();
}

#[test]
fn w22_a_flood_of_empty_calls_is_charged_to_the_caller() {
    let mut world = World::new();
    world.each_ends_alone(&[("W22", SPENT, "cpu budget exhausted")]);
    world.end();
}

#[test]
fn w24_a_crash_in_any_function_ends_that_session_alone() {
    let mut world = World::new();
    let crashed = Told::Signal("ABRT: the plugin crashed".to_owned());
    for (function, options) in FUNCTIONS {
        let call = in_function(&world, function, options, "W24");
        world.ends_alone(function, &call, &crashed, "unreachable");
    }
    for (function, call) in before_a_command(&world, "W24") {
        world.ends_alone(function, &call, &crashed, "unreachable");
    }
    let before = world.settled();
    let seen = world.run(&world.call("open-W24"));
    assert!(matches!(seen.told, Told::NotOpened(2, _)), "{seen:?}");
    world.endings("attacker", before + 1);
    let call = world.call("attacker").exec("in closed W24");
    world.ends_alone("closed", &call, &Told::Status(0), "unreachable");
    world.end();
}

#[test]
fn w24_each_kind_of_crash_is_reported_as_the_signal_of_a_native_program() {
    let mut world = World::new();
    world.each_ends_alone(&[
        ("W24 unreachable", "ABRT: the plugin crashed", "unreachable"),
        ("W24 panic", "ABRT: the plugin crashed", "unreachable"),
        ("W24 abort", "ABRT: the plugin crashed", "unreachable"),
        ("W24 divide", "FPE: the plugin crashed", "divide by zero"),
        ("W24 overflow", "FPE: the plugin crashed", "overflow"),
        ("W24 bounds", "SEGV: the plugin crashed", "out of bounds"),
        ("W24 call", "ILL: the plugin crashed", "indirect call"),
    ]);
    // Output before the crash still arrives.
    let seen = world.exec("W24 said");
    assert_eq!(seen.out, "last words", "{seen:?}");
    let log = world.log();
    assert!(
        log.iter().any(|event| event.line.contains("a secret of the plugin's own")),
        "the operator is not told why"
    );
    world.end();
}

#[test]
fn w25_a_plugin_that_crashes_before_its_first_call_is_never_served() {
    let start = Written { more: "(func $start (unreachable)) (start $start)".to_owned(), ..Written::default() };
    let mut world = Plan::default().plugin("stillborn", start.component()).start();
    let reason = world.refusal("stillborn");
    assert!(reason.contains("crashed"), "{reason}");
    assert_eq!(world.run(&world.call("stillborn")).told, Told::Status(1));
    world.neighbour_goes_on();
    world.end();
}

#[test]
fn w25_a_plugin_that_crashes_at_every_start_is_suspended_for_the_users_it_crashes_for() {
    let mut world = World::new();
    for _ in 0..8 {
        let seen = world.run(&world.call("open-W24"));
        assert!(matches!(seen.told, Told::NotOpened(2, _)), "{seen:?}");
        world.neighbour_goes_on();
    }
    let alarms = world.log().iter().filter(|event| event.message == "plugin suspended").count();
    assert_eq!(alarms, 1, "eight crashes in a row are one alarm");
    // From there on the host makes no instance for this user.
    let crashes =
        world.endings("attacker", 5).iter().filter(|event| event.field("error").contains("unreachable")).count();
    assert_eq!(crashes, 5);
    // All other users, in this tenant and in the other, are still served.
    for user in ["attacker", "stranger"] {
        let seen = world.run(&world.call(user).exec("cat"));
        assert_eq!(seen.told, Told::Status(0), "{user}: {seen:?}");
    }
    world.end();
}

/// A short mangled C++ name that stands for one of gigabytes: each of its types consists of four of the previous one.
fn folded_name() -> String {
    let level = |level: u32| {
        let before = char::from_digit(level, 36).expect("fewer than 36").to_ascii_uppercase();
        format!("S_I{}E", format!("S{before}_").repeat(4))
    };
    format!("_Z1f1AIiiE{}", (0..20).map(level).collect::<String>())
}

/// A plugin that crashes in a function of this name, in `exec` or at its start.
fn crier(name: &str, at_once: bool) -> Vec<u8> {
    let start = if at_once { format!("(start ${name})") } else { String::new() };
    let more = format!("(func ${name} (unreachable)) {start}");
    Written { more, bodies: vec![("exec", format!("(call ${name})"))], ..Written::default() }.component()
}

#[test]
fn w24_a_long_function_name_of_a_plugin_fills_neither_the_log_nor_memory() {
    let long = "f".repeat(60_000);
    let plan = Plan::default().plugin("long", crier(&long, false)).plugin("folded", crier(&folded_name(), false));
    let mut world = plan.file("unborn", crier(&folded_name(), true)).start();
    for (plugin, begins) in [("long", "ffff"), ("folded", "_Z1f1AIiiE")] {
        let seen = world.run(&world.call(plugin).exec("anything"));
        assert_eq!(seen.told, Told::Signal("ABRT: the plugin crashed".to_owned()), "{seen:?}");
        let ending = &world.endings(plugin, 1)[0];
        assert!(ending.line.len() < 4096, "a line of {} bytes", ending.line.len());
        let error = ending.field("error");
        assert!(error.contains("unreachable") && error.contains(begins), "{error}");
        world.neighbour_goes_on();
    }
    assert!(world.refusal("unborn").contains("crashed"), "{}", world.refusal("unborn"));
    world.end();
}

/// How many detailed failures of one tenant are logged per second; five seconds' worth may come at once.
const ACCOUNTS: u64 = 2;

#[test]
fn w26_a_client_that_reconnects_for_one_crash_after_another_affects_nobody() {
    let mut world = Plan::default().limit("tenant_failure_rate", &ACCOUNTS.to_string()).start();
    let count = size(200, 20_000);
    let options = ["--count", &count.to_string(), "--at-once", "8"];
    let mut storm = world.siege("attacker", "reconnect", &options, "W26");
    let start = Instant::now();
    storm.type_in(b"go\n");
    for _ in 0..20 {
        world.neighbour_goes_on();
    }
    storm.wait_for_output("done");
    let said = storm.said();
    drop(storm);
    let told: u64 = tally(&said, "the plugin crashed").into_iter().sum();
    assert!(told > 0, "nobody was told of a crash: {said}");
    figure("crashes of one plugin by reconnecting", told);
    // Each failure is logged, but only this many with all details.
    let expected = usize::try_from(told).expect("a count");
    let crashes: Vec<Event> =
        world.endings("attacker", expected).into_iter().filter(|event| !event.field("error").is_empty()).collect();
    let (loud, brief): (Vec<&Event>, Vec<&Event>) = crashes.iter().partition(|event| event.level == "WARN");
    assert!(crashes.len() as u64 >= told, "{} of {told} crashes are logged", crashes.len());
    let most = ACCOUNTS * (5 + start.elapsed().as_secs() + 1);
    assert!(loud.len() as u64 <= most, "{} crashes are told whole where {most} may be", loud.len());
    assert!(brief.iter().all(|event| event.level == "INFO" && event.line.len() < 512), "{:?}", brief.first());
    let over = |event: &&Event| event.message == "tenant over limit" && event.field("limit") == "tenant_failure_rate";
    assert_eq!(world.log().iter().filter(over).count(), 1);
    figure("of them logged with a backtrace", loud.len());
    world.end();
}

/// The counts of the lines that contain `word`.
pub(crate) fn tally(said: &str, word: &str) -> Vec<u64> {
    let lines = said.lines().filter(|line| line.contains(word));
    lines.filter_map(|line| line.split(' ').next().and_then(|count| count.parse().ok())).collect()
}

#[test]
fn w43_a_client_may_leave_at_any_moment_of_a_call() {
    let mut world = World::new();
    let count = size(300, 10_000);
    for behaviour in ["W43", "in data W1", "W15", "W5 churn"] {
        let options = ["--count", &(count / 4).to_string(), "--at-once", "8"];
        let mut storm = world.siege("attacker", "drop", &options, behaviour);
        storm.type_in(b"go\n");
        world.neighbour_goes_on();
        storm.wait_for_output("done");
    }
    figure("connections dropped in the middle of a call", count / 4 * 4);
    world.end();
}

#[test]
fn w44_data_that_arrives_during_a_call_waits() {
    let mut world = World::new();
    let call = world.call("attacker").exec("in data W44");
    let finished = call.run(Input::Generated(2 << 20));
    assert_eq!(finished.status, Some(0), "{}", finished.err);
    world.neighbour_goes_on();
    world.end();
}
