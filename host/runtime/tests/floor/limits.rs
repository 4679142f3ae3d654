//! Hostile plugins, by the rows of the threat list: each is stopped, its client gets one line, its neighbours are not
//! affected.

use std::time::Duration;

use whelk_runtime::{
    ChannelEvent, Engine, EngineSettings, Error, Exit, Limit, Limits, Plugin, Report, Room, SignalName,
};

use crate::client::{Client, Heard, Recorder};
use crate::{guests, log};

/// Every function, and the event that calls it.
fn functions() -> Vec<(&'static str, Vec<ChannelEvent>)> {
    let size = whelk_runtime::WindowSize::default();
    let pty = whelk_runtime::Pty { term: "xterm".to_owned(), size, modes: Vec::new(), erase_by_width: false };
    let started = |event| vec![ChannelEvent::Exec(Vec::new()), event];
    vec![
        ("open", vec![]),
        ("env", vec![ChannelEvent::Env { name: "A".to_owned(), value: Vec::new() }]),
        ("pty-req", vec![ChannelEvent::PtyReq(pty)]),
        ("shell", vec![ChannelEvent::Shell]),
        ("subsystem", vec![ChannelEvent::Subsystem("any".to_owned())]),
        ("window-change", vec![ChannelEvent::WindowChange(size)]),
        ("signal", vec![ChannelEvent::Signal(SignalName::Hup)]),
        ("eof", started(ChannelEvent::Eof)),
        ("close", vec![ChannelEvent::Close]),
        ("on-break", vec![ChannelEvent::Break { length_ms: 0 }]),
        ("on-request", vec![ChannelEvent::Request { name: "x".to_owned(), payload: Vec::new() }]),
    ]
}

async fn run(function: &str, events: Vec<ChannelEvent>, action: &str) -> (Recorder, Report) {
    let client = Client::with(&guests::script(), &[(function, action)], &short());
    events.into_iter().for_each(|event| client.happen(event));
    client.end().await
}

/// The default limits with less processor time, so that the tests take less of it.
fn short() -> Limits {
    Limits { cpu_call: Duration::from_millis(30), cpu_closed: Duration::from_millis(30), ..Limits::default() }
}

fn signal(exit: Option<Exit>) -> (SignalName, String) {
    match exit {
        Some(Exit::Signal { name, core_dumped: false, message }) => (name, message),
        other => panic!("no signal: {other:?}"),
    }
}

#[tokio::test]
async fn a_loop_in_any_function_is_stopped_at_its_budget() {
    // W1, W2
    for (function, events) in functions() {
        let (recorder, report) = run(function, events, "spin").await;
        assert!(matches!(report.error, Some(Error::Limit { limit: Limit::Cpu, .. })), "{function}: {report:?}");
        assert_eq!(report.ending, None);
        if function == "open" {
            assert_eq!(recorder.heard, [Heard::Opened(false)]);
        } else {
            assert_eq!(signal(recorder.exit()), (SignalName::Kill, "cpu budget exhausted".to_owned()), "{function}");
            // The call before it may have met a tick too, and on a busy machine ticks are late.
            assert!((30..90).contains(&report.cpu_ticks), "{function}: {}", report.cpu_ticks);
        }
    }
}

#[tokio::test]
async fn a_crash_in_any_function_ends_that_session() {
    // W24
    log::listen();
    for (function, events) in functions() {
        let starts = matches!(function, "shell" | "subsystem" | "eof");
        let (recorder, report) = run(function, events, "trap").await;
        let Some(Error::Trap { signal: name, detail }) = report.error else { panic!("{function}: {:?}", report.error) };
        assert_eq!(name, SignalName::Abrt);
        assert!(detail.contains("unreachable"), "{detail}");
        if function == "open" {
            assert_eq!(recorder.heard, [Heard::Opened(false)]);
            continue;
        }
        assert_eq!(signal(recorder.exit()), (SignalName::Abrt, "the plugin crashed".to_owned()));
        // Each request is answered all the same; a program that was started and crashed counts as started.
        let answers = usize::from(!matches!(function, "close"));
        assert_eq!(recorder.replies(), vec![starts; answers], "{function}");
    }
}

#[tokio::test]
async fn a_loop_in_data_a_timer_or_closed_is_stopped_too() {
    // W1, W3
    let client = Client::with(&guests::script(), &[("data", "spin")], &short());
    client.run("");
    client.send(b"x");
    let (recorder, _) = client.end().await;
    assert_eq!(signal(recorder.exit()).0, SignalName::Kill);

    let client = Client::with(&guests::script(), &[("on-timer", "spin")], &short());
    client.run("timer 1 10");
    let (recorder, _) = client.end().await;
    assert_eq!(signal(recorder.exit()).0, SignalName::Kill);

    let client = Client::with(&guests::script(), &[("closed", "spin")], &short());
    client.run("finish 0");
    let (recorder, report) = client.end().await;
    assert_eq!(recorder.exit(), Some(Exit::Status(0)));
    assert!(matches!(report.error, Some(Error::Limit { limit: Limit::Cpu, .. })), "{report:?}");
}

#[tokio::test]
async fn a_loop_before_the_first_call_refuses_the_session() {
    // W4
    let stuck = Plugin::load(guests::engine(), "stuck", &guests::wasm("stuck")).unwrap();
    let (recorder, report) = Client::with(&stuck, &[], &Limits::default()).end().await;
    assert_eq!(recorder.heard, [Heard::Opened(false)]);
    assert!(matches!(report.error, Some(Error::Limit { limit: Limit::Cpu, .. })), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_start_that_waits_for_ever_refuses_the_session() {
    // W4
    let stuck = Plugin::load(guests::engine(), "stuck", &guests::wasm("stuck")).unwrap();
    let before = tokio::time::Instant::now();
    let (recorder, report) = Client::with(&stuck, &[("start", "sleep")], &Limits::default()).end().await;
    assert_eq!(recorder.heard, [Heard::Opened(false)]);
    assert!(matches!(report.error, Some(Error::Limit { limit: Limit::Time, .. })), "{report:?}");
    assert_eq!(before.elapsed().as_secs(), 1);
}

#[tokio::test]
async fn a_plugin_that_spins_lets_others_run() {
    let spinning = Client::exec("spin");
    let mut echo = Client::exec("");
    for round in 0..20 {
        echo.send(b"x");
        echo.until_stdout(round + 1).await;
    }
    assert!(!spinning.task.is_finished(), "it was stopped before twenty keystrokes were served");
    spinning.task.abort();
}

#[tokio::test]
async fn the_budget_is_for_each_call_and_waiting_is_free() {
    let limits = Limits { cpu_call: Duration::from_millis(30), ..Limits::default() };
    let mut client = Client::with(&guests::script(), &[("data", "work 20000000;write x")], &limits);
    client.run("");
    for round in 0..30 {
        client.send(b"x");
        client.until_stdout(round + 1).await;
    }
    // Two hundred waits in one call.
    let naps = "sleep 2;".repeat(200);
    let (recorder, report) = Client::with(&guests::script(), &[("shell", &format!("{naps}finish 0"))], &limits)
        .and(ChannelEvent::Shell)
        .end()
        .await;
    assert_eq!(recorder.exit(), Some(Exit::Status(0)), "{report:?}");
}

#[tokio::test]
async fn memory_is_refused_at_the_limit_and_the_reason_is_reported() {
    // W5
    let limits = Limits { memory: 16 << 20, ..Limits::default() };
    let (recorder, report) = Client::with(&guests::script(), &[], &limits).then("bomb").await;
    assert_eq!(signal(recorder.exit()), (SignalName::Kill, "out of memory".to_owned()));
    assert!(matches!(report.error, Some(Error::Limit { limit: Limit::Memory, .. })), "{report:?}");
    assert!(report.peak_memory <= 16 << 20 && report.peak_memory > 8 << 20, "{}", report.peak_memory);
}

#[tokio::test]
async fn a_refused_growth_that_the_plugin_handles_ends_nothing() {
    let client = Client::new(&[("eof", "trap")]);
    client.run("greed");
    let mut client = client;
    assert_eq!(client.until_stdout(1).await, "0");
    // A crash in a later call is reported as a crash.
    client.happen(ChannelEvent::Eof);
    let (recorder, _) = client.end().await;
    assert_eq!(signal(recorder.exit()).0, SignalName::Abrt);
}

#[tokio::test]
async fn each_kind_of_crash_has_the_signal_of_a_native_program() {
    // W9, W11, W14
    let behaviours = [
        ("recurse", SignalName::Segv),
        ("out-of-bounds", SignalName::Segv),
        ("divide", SignalName::Fpe),
        ("panic at the disco", SignalName::Abrt),
        ("bad-call", SignalName::Ill),
        ("bad-pointer", SignalName::Ill),
        ("bad-variant", SignalName::Ill),
        ("bad-length", SignalName::Ill),
    ];
    for (behaviour, name) in behaviours {
        let (recorder, report) = Client::exec(behaviour).end().await;
        assert_eq!(signal(recorder.exit()), (name, "the plugin crashed".to_owned()), "{behaviour}: {report:?}");
    }
}

#[tokio::test]
async fn a_write_beyond_the_limit_of_a_call_is_stopped() {
    // W11
    let (recorder, _) = Client::exec("huge 5000000").end().await;
    assert_eq!(signal(recorder.exit()), (SignalName::Kill, "write too large".to_owned()));
}

#[tokio::test]
async fn handles_and_random_bytes_are_limited() {
    // W19, W33. A pollable of a clock is one handle, though the host keeps two objects for it.
    let (recorder, report) = Client::exec("hoard 1000;random 65536;finish 0").end().await;
    assert_eq!(recorder.text(), "65536", "{report:?}");
    let (recorder, report) = Client::exec("hoard 1025").end().await;
    assert_eq!(signal(recorder.exit()), (SignalName::Kill, "too many resources".to_owned()), "{report:?}");
    let (recorder, _) = Client::exec("random 65537").end().await;
    assert_eq!(signal(recorder.exit()).0, SignalName::Ill);
}

#[tokio::test]
async fn a_flood_of_calls_to_the_host_uses_up_the_budget() {
    // W22
    let client = Client::with(&guests::script(), &[], &short());
    client.run("calls 4000000000");
    let (recorder, _) = client.end().await;
    assert_eq!(signal(recorder.exit()).1, "cpu budget exhausted");
}

#[tokio::test]
async fn a_full_engine_refuses_at_once_and_has_room_later() {
    // W52
    let engine =
        Engine::new(&EngineSettings::of(&Limits { instances: 2, memory_slot: 16 << 20, ..Limits::default() })).unwrap();
    assert_eq!(engine.capacity(), 2);
    let plugin = Plugin::load(&engine, "bare", &guests::wasm("bare")).unwrap();
    let start = || Client::with(&plugin, &[], &Limits::default());
    let (mut first, mut second) = (start(), start());
    first.until(|recorder| recorder.heard == [Heard::Opened(true)]).await;
    second.until(|recorder| recorder.heard == [Heard::Opened(true)]).await;
    let (recorder, report) = start().end().await;
    assert_eq!(recorder.heard, [Heard::Full]);
    assert!(matches!(report.error, Some(Error::Full(Room::Instances { most: 2, kept: 0 }))), "{report:?}");
    first.inbox.end(whelk_runtime::Ending::ClientClosed);
    first.end().await;
    start().until(|recorder| recorder.heard == [Heard::Opened(true)]).await;
    assert_eq!(engine.live(), 2);
}

#[tokio::test]
async fn places_are_counted_in_the_mappings_of_the_memories_that_a_plugin_has() {
    // W7, W52: 4,700 mappings are left for everything else, three instances have two each for their stacks, and twelve
    // are left for memories.
    let settings =
        EngineSettings { max_map_count: 4_718, ..EngineSettings::of(&Limits { instances: 100, ..Limits::default() }) };
    let engine = Engine::new(&settings).unwrap();
    let bare = guests::wasm("bare");
    let one = Plugin::load(&engine, "one", &bare).unwrap();
    let three = Plugin::load(&engine, "three", &guests::with_memories(bare, 2, 1)).unwrap();
    let start = |plugin| Client::with(plugin, &[], &Limits::default());
    let opened = |recorder: &Recorder| recorder.heard == [Heard::Opened(true)];
    let mut large = start(&three);
    large.until(opened).await;
    assert!(engine.is_full() && engine.live() == 1);
    let (recorder, report) = start(&one).end().await;
    assert_eq!(recorder.heard, [Heard::Full]);
    assert!(matches!(report.error, Some(Error::Full(Room::Memories { needs: 1, free: 0, most: 3 }))), "{report:?}");
    large.inbox.end(whelk_runtime::Ending::ClientClosed);
    large.end().await;
    let mut small = [start(&one), start(&one)];
    for client in &mut small {
        client.until(opened).await;
    }
    let (recorder, report) = start(&three).end().await;
    assert_eq!(recorder.heard, [Heard::Full]);
    let words = report.error.unwrap().to_string();
    let known = "an instance of it takes 3 memory slots (one for each memory, or for three tables), and of the 3 of all instances 1 \
                 are free: raise vm.max_map_count, of which each takes four mappings, or lower `instances`";
    assert_eq!(words, known);
    start(&one).until(opened).await;
}

#[tokio::test]
async fn memory_has_its_limit_below_what_is_reserved_and_over_all_memories_of_an_instance() {
    // W5
    let three = Plugin::load(guests::engine(), "three", &guests::with_memories(guests::wasm("script"), 2, 1)).unwrap();
    for (memory, fits) in [(64 << 20, false), (192 << 20, true)] {
        let limits = Limits { memory, ..Limits::default() };
        let mut client = Client::with(&three, &[], &limits);
        // 100 MiB in pages of 64 KiB.
        client.run("grow 1600");
        assert_eq!(client.until_stdout(1).await != "0", fits);
    }
    let limits = Limits { memory: 2 << 20, ..Limits::default() };
    let (recorder, report) = Client::with(&guests::script(), &[], &limits).then("grow 1;finish 0").await;
    assert_eq!(recorder.exit(), Some(Exit::Status(0)), "{report:?}");
    let large = guests::with_memories(guests::wasm("script"), 2, 16);
    let large = Plugin::load(guests::engine(), "large", &large).unwrap();
    let (recorder, report) = Client::with(&large, &[], &limits).end().await;
    assert_eq!(recorder.heard, [Heard::Opened(false)]);
    assert!(matches!(report.error, Some(Error::Limit { limit: Limit::Memory, .. })), "{report:?}");
}
