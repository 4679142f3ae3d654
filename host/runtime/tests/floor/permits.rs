//! Run permits, and processor time in the long run.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use whelk_runtime::{ChannelEvent, Ending, Engine, EngineSettings, Error, Grants, Limit, Limits, Plugin, Tenant};

use crate::client::{Client, Heard};
use crate::guests;

/// A tenant that may loop for as long as it likes.
fn spinners() -> Arc<Tenant> {
    let limits = Limits {
        cpu_call: Duration::MAX,
        cpu_burst: Duration::MAX,
        cpu_share: Duration::from_millis(1000),
        ..Limits::default()
    };
    Tenant::new("spinners", limits, Grants::default())
}

fn tenant(limits: Limits) -> Arc<Tenant> {
    Tenant::new("tests", limits, Grants::default())
}

/// The script plugin on an engine of its own, where one guest of each tenant runs at a time, and one in all after a
/// tick.
fn alone() -> Arc<Plugin> {
    let engine = Engine::new(&EngineSettings {
        workers: 2,
        ..EngineSettings::of(&Limits { instances: 32, ..Limits::default() })
    })
    .unwrap();
    Plugin::load(&engine, "script", &guests::wasm("script")).unwrap()
}

async fn started(tenant: &Arc<Tenant>, plugin: &Arc<Plugin>, command: &str) -> Client {
    let mut client = Client::of(tenant, plugin, &[]);
    client.run(command);
    client.until(|recorder| recorder.heard.first() == Some(&Heard::Opened(true))).await;
    client
}

async fn echoes(client: &mut Client, rounds: usize) {
    let before = client.recorder.stdout().len();
    for round in 1..=rounds {
        client.send(b"x");
        client.until_stdout(before + round).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_busy_loops_of_one_tenant_do_not_stop_anothers_echo() {
    // W45
    let (plugin, tenant) = (alone(), spinners());
    let mut spinning = Vec::new();
    for _ in 0..16 {
        spinning.push(started(&tenant, &plugin, "spin").await);
    }
    let mut echo = Client::with(&plugin, &[], &Limits::default());
    echo.run("");
    echoes(&mut echo, 200).await;
    assert!(spinning.iter().all(|client| !client.task.is_finished()));
    spinning.iter().for_each(|client| client.task.abort());
}

/// How many ticks this many busy loops of one tenant use on one worker while another tenant's keystroke is echoed two
/// hundred times.
async fn ticks_of(spinners_of_a: usize) -> u64 {
    let plugin = alone();
    let (a, b) = (spinners(), tenant(Limits::default()));
    let mut noise = Vec::new();
    for _ in 0..spinners_of_a {
        noise.push(started(&a, &plugin, "churn").await);
    }
    let mut echo = Client::of(&b, &plugin, &[]);
    echo.run("");
    echoes(&mut echo, 200).await;
    noise.iter().for_each(|client| client.inbox.end(Ending::ConnectionLost));
    let mut ticks = 0;
    for client in noise {
        ticks += client.end().await.1.cpu_ticks;
    }
    ticks
}

#[tokio::test]
async fn many_busy_loops_of_one_tenant_take_no_more_turns_than_one() {
    // W45. A keystroke takes two or three turns of the worker; with sixteen turns each it would take thousands.
    let one = ticks_of(1).await;
    let many = ticks_of(16).await;
    println!("one has {one} ticks, sixteen have {many}");
    assert!(one <= 1000 && many <= 1000, "one has {one} ticks, sixteen have {many}");
}

#[tokio::test]
async fn a_permit_is_given_back_while_a_call_waits() {
    // W15, W20: there is one permit, and two sessions of the same tenant are inside a call.
    let (plugin, tenant) = (alone(), tenant(Limits::default()));
    let asleep = started(&tenant, &plugin, "sleep 3600000").await;
    let mut full = Client::of(&tenant, &plugin, &[]);
    full.recorder.room = 0;
    full.run("fill 1000000");
    full.until_replies(1).await;
    let mut echo = started(&tenant, &plugin, "").await;
    echoes(&mut echo, 20).await;
    assert!(!asleep.task.is_finished() && !full.task.is_finished());
    asleep.task.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_dropped_during_a_call_release_their_permit_and_budget() {
    // W43
    let limits = Limits { tenant_sessions: 4, cpu_call: Duration::MAX, cpu_burst: Duration::MAX, ..Limits::default() };
    let (plugin, tenant) = (alone(), tenant(limits));
    for round in 0..250 {
        let commands = ["spin", "churn", "sleep 3600000", "fill 1000000"];
        let mut clients: Vec<_> = commands
            .map(|command| {
                let mut client = Client::of(&tenant, &plugin, &[]);
                client.recorder.room = 0;
                client.run(command);
                client
            })
            .into();
        // At least one of them is inside its call.
        let first = round % clients.len();
        clients[first].until(|recorder| recorder.heard.first() == Some(&Heard::Opened(true))).await;
        for client in &clients {
            client.task.abort();
        }
        for client in clients {
            assert!(client.task.await.unwrap_err().is_cancelled());
        }
        assert_eq!((tenant.sessions(), tenant.memory()), (0, 0), "round {round}");
    }
    let mut echo = started(&tenant, &plugin, "").await;
    echoes(&mut echo, 5).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_that_has_used_up_its_burst_waits_for_its_share_and_is_killed_at_the_budget_of_the_call() {
    // W1. Nothing runs while it waits, so the clock of this test shows the waiting time. On a busy machine a tick comes
    // late, and the session uses more at once: what it waits depends on what it has used, which is counted.
    let (burst, budget, most) = (20, 600, 1200);
    let limits = Limits {
        cpu_burst: Duration::from_millis(burst),
        cpu_share: Duration::from_millis(250),
        cpu_call: Duration::from_millis(budget),
        ..Limits::default()
    };
    let before = Instant::now();
    let (_, report) = Client::with(&alone(), &[], &limits).then("spin").await;
    let waited = u64::try_from(before.elapsed().as_millis()).unwrap();
    assert!(matches!(report.error, Some(Error::Limit { limit: Limit::Cpu, .. })), "{report:?}");
    assert!((budget..most).contains(&report.cpu_ticks), "{}", report.cpu_ticks);
    // Four milliseconds for each that it has used beyond its burst. It did not wait for the last that it used.
    let due = 4 * (report.cpu_ticks - burst);
    assert!((due * 3 / 4..=due + 10).contains(&waited), "{waited} ms for {} ticks", report.cpu_ticks);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_processor_time_does_not_count_towards_the_limit() {
    // After the end of its session a call has a second by the clock. It may use 20 ms, one each second, and a busy
    // machine lets it use many at once.
    let limits = Limits {
        cpu_burst: Duration::from_millis(1),
        cpu_share: Duration::from_millis(1),
        cpu_call: Duration::from_millis(20),
        ..Limits::default()
    };
    let mut client = Client::with(&alone(), &[], &limits);
    client.run("spin");
    client.until(|recorder| recorder.heard.first() == Some(&Heard::Opened(true))).await;
    let before = Instant::now();
    client.inbox.end(Ending::ClientClosed);
    let (_, report) = client.end().await;
    assert!(matches!(report.error, Some(Error::Limit { limit: Limit::Cpu, .. })), "{report:?}");
    assert!(before.elapsed().as_secs() >= 5, "{:?}", before.elapsed());
}

#[tokio::test]
async fn a_throttled_session_does_not_block_its_tenant() {
    let limits =
        Limits { cpu_burst: Duration::from_millis(5), cpu_share: Duration::from_millis(1), ..Limits::default() };
    let (plugin, tenant) = (alone(), tenant(limits));
    let poor = started(&tenant, &plugin, "spin").await;
    let mut echo = started(&tenant, &plugin, "").await;
    echoes(&mut echo, 50).await;
    assert!(!poor.task.is_finished());
    poor.task.abort();
}

#[tokio::test]
async fn computing_for_less_than_a_tick_at_a_time_is_charged() {
    // How much work a tick allows, on this machine now.
    let (_, report) = Client::exec("work 50000000;finish 0").end().await;
    let in_a_tick = 50_000_000 / report.cpu_ticks.max(1);
    let (_, report) = Client::exec(&format!("sneak {} 300;finish 0", in_a_tick * 9 / 10)).end().await;
    assert!(report.error.is_none(), "{report:?}");
    let billed = report.cpu_ticks;
    let (_, report) = Client::exec("sneak 10 300;finish 0").end().await;
    println!("three hundred times nine tenths of a tick: {billed} ticks; three hundred waits: {}", report.cpu_ticks);
    // It is two hundred and seventy on an idle machine. On a busy one the clock is late more often than the plugin.
    assert!(billed >= 20 && report.cpu_ticks < billed, "{billed} and {}", report.cpu_ticks);
}

#[tokio::test]
async fn work_in_many_small_calls_is_charged_like_work_in_one() {
    let mut client = Client::new(&[("data", "work 200000;write x")]);
    client.run("");
    for round in 1..=300 {
        client.send(b"x");
        client.until_stdout(round).await;
    }
    client.happen(ChannelEvent::Eof);
    client.inbox.end(Ending::ClientClosed);
    let (_, report) = client.end().await;
    let (_, whole) = Client::exec("work 60000000;finish 0").end().await;
    println!("in pieces {}, whole {}", report.cpu_ticks, whole.cpu_ticks);
    assert!(report.cpu_ticks * 4 >= whole.cpu_ticks, "{} and {}", report.cpu_ticks, whole.cpu_ticks);
}
