//! Hostile programs, by the rows of the threat list: each is stopped or waits, its client is told why, its neighbours
//! are not affected.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::Instant;
use whelk_runtime::{
    ChannelEvent, Drained, Ending, Engine, EngineSettings, Error, Exit, Grants, Limit, Limits, Output, Plugin,
    Registry, SignalName, Tenant,
};

use crate::client::{CAPACITY, Client, Heard};
use crate::guests;
use crate::program::{command, exec, signal};

const MIB: usize = 1 << 20;

fn tenant(name: &str, limits: &Limits) -> Arc<Tenant> {
    Tenant::new(name, limits.clone(), Grants::default())
}

async fn end(limits: &Limits, command_line: &str) -> (Exit, String, Option<Error>, u64) {
    let client = Client::with(&command(), &[], limits);
    client.run(command_line);
    let (recorder, report) = client.end().await;
    (recorder.exit().unwrap(), recorder.text(), report.error, report.cpu_ticks)
}

/// The program on an engine where one guest of each tenant runs at a time, and one in all after a tick.
fn alone() -> Arc<Plugin> {
    let limits = Limits { instances: 32, ..Limits::default() };
    let engine = Engine::new(&EngineSettings { workers: 2, ..EngineSettings::of(&limits) }).unwrap();
    Plugin::load(&engine, "command", &guests::wasm("command")).unwrap()
}

fn killed(message: &str) -> Exit {
    Exit::Signal { name: SignalName::Kill, core_dumped: false, message: message.to_owned() }
}

#[tokio::test]
async fn a_loop_is_stopped_at_the_limit_of_a_program_or_of_its_session_and_not_of_a_call() {
    // W1, W2
    let ms = Duration::from_millis;
    let limits = Limits { cpu_call: ms(5), cpu_program: ms(60), ..Limits::default() };
    for limits in [limits.clone(), Limits { cpu_program: ms(60_000), cpu_session: ms(60), ..limits }] {
        let (exit, _, error, ticks) = end(&limits, "spin").await;
        assert_eq!(exit, killed("cpu budget exhausted"));
        assert!(matches!(error, Some(Error::Limit { limit: Limit::Cpu, .. })), "{error:?}");
        assert!((60..120).contains(&ticks), "{ticks}");
    }
}

/// How long this work waits by the clock, which stands still while it is done.
async fn wait_of(limits: &Limits) -> Duration {
    let began = Instant::now();
    let (exit, _, error, ticks) = end(limits, "'work 300000000'").await;
    assert_eq!((exit, ticks >= 20), (Exit::Status(0), true), "{error:?} {ticks}");
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_session_without_processor_time_left_waits_only_if_others_want_it_or_the_limit_is_hard() {
    // W1, W45
    let limits = Limits { cpu_burst: Duration::from_millis(10), ..Limits::default() };
    assert!(wait_of(&limits).await < Duration::from_millis(10));
    let hard = wait_of(&Limits { cpu_hard: true, ..limits }).await;
    assert!(hard > Duration::from_millis(30), "{hard:?}");
}

#[tokio::test(start_paused = true)]
async fn a_program_that_has_used_its_share_up_lets_others_go_first() {
    // W45
    let plugin = alone();
    let poor = Limits { cpu_burst: Duration::from_millis(10), ..Limits::default() };
    let rich = Limits { cpu_burst: Duration::from_secs(3600), ..Limits::default() };
    let (poor, rich) = (tenant("poor", &poor), tenant("rich", &rich));
    let mut first = Client::of(&poor, &plugin, &[]);
    first.run("'work 300000000' 'print done'");
    let second = Client::of(&rich, &plugin, &[]);
    second.run("'work 300000000' 'print done'");
    // The clock stands still while somebody works: who waits for the bucket waits until the other is done.
    let (recorder, report) = second.end().await;
    assert_eq!(recorder.text(), "done", "{report:?}");
    first.drain();
    assert!(report.cpu_ticks >= 60 && first.recorder.text().is_empty(), "{report:?}");
    let (recorder, report) = first.end().await;
    assert_eq!(recorder.text(), "done", "{report:?}");
}

#[tokio::test]
async fn a_program_that_computes_lets_others_run() {
    // W1
    let spinning = exec("spin");
    let mut cat = exec("cat");
    for round in 0..20 {
        cat.send(b"x");
        cat.until_stdout(round + 1).await;
    }
    assert!(!spinning.task.is_finished());
    spinning.task.abort();
}

#[tokio::test]
async fn memory_has_a_limit_of_its_own_and_crashes_have_the_signals_of_native_programs() {
    // W5, W9, W24
    let (exit, _, error, _) = end(&Limits { memory_program: 16 * MIB, ..Limits::default() }, "bomb").await;
    assert_eq!(exit, killed("out of memory"));
    assert!(matches!(error, Some(Error::Limit { limit: Limit::Memory, .. })), "{error:?}");
    // 190 MiB, in pages of 64 KiB, and more than there is.
    for (pages, grows) in [(3040, true), (4096, false)] {
        let (exit, text, ..) = end(&Limits { memory: 2 * MIB, ..Limits::default() }, &format!("'grow {pages}'")).await;
        assert_eq!((exit, text != "0\n"), (Exit::Status(0), grows));
    }
    for (behaviour, name) in
        [("recurse", SignalName::Segv), ("trap", SignalName::Abrt), ("'panic at the disco'", SignalName::Abrt)]
    {
        let (recorder, report) = exec(behaviour).end().await;
        let message = "the plugin crashed".to_owned();
        assert_eq!(recorder.exit(), Some(Exit::Signal { name, core_dumped: false, message }), "{report:?}");
    }
}

#[tokio::test]
async fn a_flood_to_a_client_that_does_not_read_fills_the_outbox_and_waits() {
    // W15
    for (behaviour, to) in [("flood", Output::Stdout), ("eflood", Output::Stderr)] {
        let mut client = exec(behaviour);
        client.recorder.room = 0;
        client.until_replies(1).await;
        client.recorder.room = 1;
        client.until(|recorder| recorder.bytes_of(to).len() == 1).await;
        let mut neighbour = exec("'print x'");
        neighbour.until_stdout(1).await;
        client.recorder.room = usize::MAX;
        // One piece of the outbox at a time: never more than it holds.
        client.outbox.drain(&mut client.recorder);
        let waiting = client.recorder.bytes_of(to).len();
        assert!((1..=CAPACITY + 1).contains(&waiting), "{waiting}");
        client.inbox.end(Ending::ClientClosed);
        let report = client.task.await.unwrap();
        assert_eq!(report.exit, Some(signal(SignalName::Pipe)), "{report:?}");
    }
}

#[tokio::test]
async fn a_program_that_crashes_at_once_is_given_up_for_a_while() {
    // W25
    // It has used some processor time by then, as every start of a large runtime has.
    let crash = r#"(component
        (core module $m (func (export "run") (result i32) (local $left i32)
            (local.set $left (i32.const 30_000_000))
            (loop (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
            unreachable))
        (core instance $c (instantiate $m))
        (func $run (result (result)) (canon lift (core func $c "run")))
        (instance $i (export "run" (func $run)))
        (export "wasi:cli/run@0.2.VERSION" (instance $i)))"#;
    let pause = Duration::from_secs(3600);
    let limits = Limits { crashes: 2, crash_pause: pause, crash_pause_longest: pause, ..Limits::default() };
    // Any 0.2.
    let client = |registry: &Registry| Client::with(&registry.get("name").unwrap(), &[], &Limits::default());
    for version in ["0", "6", "12", "99"] {
        let registry = Registry::new(&limits);
        let wasm = wat::parse_str(crash.replace("VERSION", version)).unwrap();
        registry.publish(&Plugin::load(guests::engine(), "name", &wasm).unwrap());
        let start = async || client(&registry).and(ChannelEvent::Shell).end().await;
        for _ in 0..2 {
            let (recorder, report) = start().await;
            assert!(matches!(report.error, Some(Error::Trap { .. })), "{report:?}");
            assert_eq!(recorder.replies(), [true]);
        }
        let (recorder, report) = start().await;
        assert!(matches!(report.error, Some(Error::Suspended)), "{report:?}");
        assert_eq!(recorder.heard, [Heard::Opened(false)]);
    }
}

#[tokio::test]
async fn programs_that_wait_for_room_in_the_accounts_all_get_it() {
    // W15
    let limits = Limits { tenant_output: 200_000, user_output_share: 100, ..Limits::default() };
    let tenant = tenant("tests", &limits);
    let start = |command_line: &str| {
        let mut client = Client::of(&tenant, &command(), &[]);
        client.recorder.room = 0;
        client.run(command_line);
        client
    };
    let mut hog = start("'flood 120000'");
    while !hog.task.is_finished() {
        yield_now().await;
    }
    // Each asks for 64 KiB at a time, and all that the others write fits beside that.
    let mut waiting: Vec<Client> = (0..5).map(|_| start("'flood 20000'")).collect();
    for client in &mut waiting {
        client.until_replies(1).await;
    }
    for _ in 0..1000 {
        yield_now().await;
    }
    hog.recorder.room = 100_000;
    hog.until_stdout(100_000).await;
    for mut client in waiting {
        client.recorder.room = usize::MAX;
        let (recorder, report) = client.end().await;
        assert_eq!((recorder.stdout().len(), recorder.exit()), (20_000, Some(Exit::Status(0))), "{report:?}");
    }
    assert!(hog.outbox.drain(&mut hog.recorder) == Drained::More);
}

#[tokio::test]
async fn thousands_of_programs_leave_nothing_behind() {
    // W52
    let limits = Limits { instances: 500, ..Limits::default() };
    let engine = Engine::new(&EngineSettings::of(&limits)).unwrap();
    let plugin = Plugin::load(&engine, "command", &guests::wasm("command")).unwrap();
    let tenant = tenant("tests", &Limits::default());
    for _ in 0..5 {
        let mut waiting: Vec<Client> = (0..400).map(|_| Client::of(&tenant, &plugin, &[])).collect();
        for client in &mut waiting {
            client.run("'print x' flush line");
            client.until_stdout(1).await;
        }
        assert_eq!(engine.live(), 400);
        for (number, client) in waiting.into_iter().enumerate() {
            if number % 2 == 0 {
                client.happen(ChannelEvent::Eof);
            } else {
                client.inbox.end(Ending::ConnectionLost);
            }
            client.task.await.unwrap();
        }
        assert_eq!((engine.live(), tenant.memory()), (0, 0));
    }
}

#[tokio::test]
async fn a_stopped_program_does_nothing_until_it_continues() {
    let stop = || ChannelEvent::Signal(SignalName::Other("STOP".to_owned()));
    let mut client = exec("ticks");
    client.until_stdout(3).await;
    client.happen(stop());
    client.until_replies(2).await;
    // It may have had one in hand.
    client.drain();
    let before = client.recorder.stdout().len();
    let mut neighbour = exec("'sleep 100' 'print x'");
    neighbour.until_stdout(1).await;
    client.drain();
    let after = client.recorder.stdout().len();
    assert!(after <= before + 1, "{before} {after}");
    client.happen(ChannelEvent::Signal(SignalName::Other("CONT".to_owned())));
    client.until_stdout(after + 3).await;
    client.happen(stop());
    client.happen(ChannelEvent::Signal(SignalName::Kill));
    let (recorder, _) = client.end().await;
    assert_eq!(recorder.exit(), Some(signal(SignalName::Kill)));
    // Any other signal waits until it continues.
    let mut client = exec("ticks");
    client.until_stdout(1).await;
    client.happen(stop());
    client.happen(ChannelEvent::Signal(SignalName::Term));
    client.until_replies(3).await;
    assert!(!client.task.is_finished());
    client.happen(ChannelEvent::Signal(SignalName::Other("CONT".to_owned())));
    let (recorder, _) = client.end().await;
    assert_eq!(recorder.exit(), Some(signal(SignalName::Term)));
    // A program that catches SIGCONT continues, and then gets it.
    let mut client = exec("'catch CONT' 'print ready' flush await 'exit 5'");
    client.until_stdout(5).await;
    client.happen(stop());
    client.until_replies(2).await;
    client.happen(ChannelEvent::Signal(SignalName::Other("CONT".to_owned())));
    let (recorder, _) = client.end().await;
    assert_eq!((recorder.text().as_str(), recorder.exit()), ("readycaught\n", Some(Exit::Status(5))));
}

#[tokio::test]
async fn finish_ends_a_program_that_does_not_return_and_a_signal_ends_it_otherwise() {
    let limits = Limits { grace: Duration::from_millis(20), ..Limits::default() };
    for command_line in ["'finish 3' 'sleep 10000000'", "'finish 3' spin"] {
        let (exit, _, error, _) = end(&limits, command_line).await;
        assert!(exit == Exit::Status(3) && error.is_none(), "{command_line} {exit:?} {error:?}");
    }
    // Within the grace period it may write.
    let (exit, text, ..) = end(&Limits::default(), "'finish 3' 'sleep 5' 'print last'").await;
    assert_eq!((exit, text.as_str()), (Exit::Status(3), "last"));
    let mut client = exec("'finish 0' 'print ready' flush 'sleep 10000000'");
    client.until_stdout(5).await;
    client.happen(ChannelEvent::Signal(SignalName::Kill));
    let (recorder, _) = client.end().await;
    assert_eq!(recorder.exit(), Some(signal(SignalName::Kill)));
}

#[tokio::test]
async fn a_program_catches_what_it_asks_for_and_nothing_that_unix_lets_nobody_catch() {
    let mut client = exec("'catch INT HUP KILL' 'print ready' flush await next");
    client.until_stdout(5).await;
    client.happen(ChannelEvent::Signal(SignalName::Int));
    let (recorder, _) = client.end().await;
    assert_eq!((recorder.text().as_str(), recorder.exit()), ("readycaught\nNone\n", Some(Exit::Status(0))));
    let mut client = exec("'catch INT HUP KILL' 'print ready' flush spin");
    client.until_stdout(5).await;
    (0..100).for_each(|_| client.happen(ChannelEvent::Signal(SignalName::Int)));
    client.happen(ChannelEvent::Signal(SignalName::Kill));
    let (recorder, _) = client.end().await;
    assert_eq!(recorder.exit(), Some(signal(SignalName::Kill)));
    // SIGPIPE that is caught is an error of the write.
    let mut client = exec("'catch PIPE' flood");
    client.recorder.room = 1;
    client.until_stdout(1).await;
    client.inbox.end(Ending::ClientClosed);
    let report = client.task.await.unwrap();
    assert_eq!(report.exit, Some(Exit::Status(1)), "{report:?}");
    // A SIGHUP that is caught leaves the grace period.
    let mut client = exec("'catch HUP' 'print ready' flush await 'exit 9'");
    client.until_stdout(5).await;
    client.inbox.end(Ending::Drained);
    let (recorder, report) = client.end().await;
    assert_eq!((recorder.exit(), report.ending), (Some(Exit::Status(9)), Some(Ending::Drained)));
}
