//! Versions of a plugin: which one a session gets, which ones continue, and when a version is abandoned. W41, W42.

use std::sync::Arc;
use std::time::Duration;

use whelk_runtime::{
    ChannelEvent, Ending, Error, Exit, Fallback, Grants, Limits, Plugin, Published, Registry, SignalName, Tenant,
};

use crate::client::{Client, Heard};
use crate::guests;

/// A guest whose file differs from all others by its number, with the same behaviour.
fn version(guest: &str, number: u8) -> Arc<Plugin> {
    let mut wasm = guests::wasm(guest);
    // A custom section: its kind, its length, the length of its name, its name, its contents.
    wasm.extend([0, 3, 1, b'v', number]);
    Plugin::load(guests::engine(), "name", &wasm).unwrap()
}

fn script(number: u8) -> Arc<Plugin> {
    version("script", number)
}

fn tenant(name: &str) -> Arc<Tenant> {
    Tenant::new(name, Limits::default(), Grants::default())
}

/// A registry whose breakers open at two crashes and stay open for the whole test.
fn strict() -> Registry {
    let pause = Duration::from_secs(3600);
    Registry::new(&Limits { crashes: 2, crash_pause: pause, crash_pause_longest: pause, ..Limits::default() })
}

/// One session of a user from open to close; true if it was opened.
async fn session(registry: &Registry, who: (&str, &str), scripts: &[(&str, &str)]) -> (bool, Option<Error>) {
    let client = Client::as_user(&registry.get("name").unwrap(), &tenant(who.0), who.1, scripts);
    client.happen(ChannelEvent::Shell);
    let (recorder, report) = client.end().await;
    (recorder.heard[0] == Heard::Opened(true), report.error)
}

const WELL: &[(&str, &str)] = &[("shell", "finish 0")];
const CRASHES: &[(&str, &str)] = &[("open", "trap")];

#[test]
fn a_name_is_exact_and_the_same_file_is_no_new_version() {
    let registry = Registry::new(&Limits::default());
    let first = version("bare", 1);
    assert_eq!(registry.publish(&first), Published::As(1));
    assert_eq!(registry.publish(&version("bare", 1)), Published::Unchanged);
    assert!(Arc::ptr_eq(&registry.get("name").unwrap(), &first));
    assert_eq!(registry.publish(&version("bare", 2)), Published::As(2));
    assert_eq!(registry.publish(&version("bare", 1)), Published::As(3), "what comes back is new again");
    assert_eq!(registry.get("name").unwrap().generation(), 3);
    for name in ["Name", "name.wasm", "nam", "", "../name"] {
        assert!(registry.get(name).is_none(), "{name}");
    }
}

#[tokio::test]
async fn a_session_keeps_its_version_while_new_ones_get_the_newest_or_none() {
    let registry = Registry::new(&Limits::default());
    registry.publish(&script(1));
    let mut old = Client::as_user(&registry.get("name").unwrap(), &tenant("acme"), "alice", &[("data", "write again")]);
    old.run("true");
    old.until_replies(1).await;
    registry.publish(&script(2));
    assert_eq!(registry.get("name").unwrap().generation(), 2);
    assert!(registry.remove("name"));
    assert!(!registry.remove("name"));
    assert!(registry.get("name").is_none());
    let list = registry.list();
    assert_eq!(list.len(), 1);
    assert!(list[0].current.is_none());
    assert_eq!(list[0].older.iter().map(|older| (older.generation(), older.sessions())).collect::<Vec<_>>(), [(1, 1)]);
    old.send(b"x");
    assert_eq!(old.until_stdout(5).await, "again");
    old.inbox.end(Ending::ClientClosed);
    old.end().await;
    assert!(registry.list().is_empty(), "nothing is kept of what nobody has");
}

#[tokio::test]
async fn generations_continue_when_a_plugin_returns_and_an_old_drain_ends_no_newer_session() {
    let registry = Registry::new(&Limits::default());
    for number in 1..=3 {
        registry.publish(&script(number));
    }
    assert!(registry.remove("name"));
    assert!(registry.list().is_empty());
    // The same file as the last one.
    assert_eq!(registry.publish(&script(3)), Published::As(4));
    let newest = registry.get("name").unwrap();
    let mut session = Client::as_user(&newest, &tenant("acme"), "alice", &[("data", "write again")]);
    session.run("true");
    session.until_replies(1).await;
    // Two more, so that it is a replaced version. Then the time for those before the removal is over.
    assert_eq!(registry.publish(&script(5)), Published::As(5));
    registry.drain("name", 3);
    session.send(b"x");
    assert_eq!(session.until_stdout(5).await, "again");
    registry.drain("name", 4);
    let (_, report) = session.end().await;
    assert_eq!(report.ending, Some(Ending::Drained), "its own time ends it");
}

#[tokio::test]
async fn code_without_sessions_is_freed() {
    // W41: only the version before the newest is kept to fall back to.
    let registry = Registry::new(&Limits::default());
    let weak: Vec<_> = (1..=5)
        .map(|number| {
            let plugin = version("bare", number);
            registry.publish(&plugin);
            Arc::downgrade(&plugin)
        })
        .collect();
    let held: Vec<bool> = weak.iter().map(|weak| weak.strong_count() > 0).collect();
    assert_eq!(held.iter().filter(|held| **held).count(), 2, "{held:?}");
    assert!(held[4]);
    registry.remove("name");
    assert!(weak.iter().all(|weak| weak.strong_count() == 0));
}

#[tokio::test]
async fn code_counts_while_it_runs_or_is_kept() {
    let registry = Registry::new(&Limits::default());
    let (small, large) = (version("bare", 1).code(), script(1).code());
    assert!(small < large);
    let counts = || (registry.code_beside("other", Fallback::Kept), registry.code_beside("name", Fallback::Kept));
    registry.publish(&script(1));
    assert_eq!(counts(), (large, large), "a next one could fall back to it");
    registry.publish(&version("bare", 2));
    assert_eq!(counts(), (large + small, large), "it has proven nothing, so the one before stays");
    assert_eq!(registry.code_beside("name", Fallback::None), 0);
    registry.forget_fallbacks();
    assert_eq!(counts(), (large + small, large), "whoever has proven nothing may need it");
    registry.publish(&script(3));
    assert!(matches!(session(&registry, ("acme", "alice"), WELL).await, (true, None)));
    assert_eq!(counts(), (2 * large, large));
    registry.forget_fallbacks();
    assert_eq!(counts(), (large, large));
    let mut running = Client::as_user(&registry.get("name").unwrap(), &tenant("acme"), "alice", &[]);
    running.until(|recorder| !recorder.heard.is_empty()).await;
    registry.publish(&version("bare", 4));
    registry.publish(&version("bare", 5));
    assert_eq!(counts(), (large + small, large), "it is run, and kept as well");
    registry.remove("name");
    assert_eq!(counts(), (large, large));
    running.inbox.end(Ending::ClientClosed);
    running.end().await;
    assert_eq!(counts(), (0, 0));
    registry.publish(&script(6));
    registry.publish_alone(&script(7));
    assert_eq!(counts(), (large, large));
}

#[tokio::test]
async fn of_too_many_versions_with_sessions_the_oldest_is_ended_with_notice() {
    // W41
    let registry = Registry::new(&Limits::default());
    let mut clients = Vec::new();
    for number in 1..=3 {
        registry.publish(&script(number));
        let mut client = Client::as_user(&registry.get("name").unwrap(), &tenant("acme"), "alice", &[]);
        client.happen(ChannelEvent::Shell);
        client.until_replies(1).await;
        clients.push(client);
    }
    registry.publish(&script(4));
    let oldest = clients.remove(0);
    let (recorder, report) = oldest.end().await;
    assert_eq!(report.ending, Some(Ending::Drained));
    assert!(matches!(recorder.exit(), Some(Exit::Signal { name: SignalName::Hup, .. })));
    assert!(clients.iter().all(|client| !client.task.is_finished()));
    registry.drain("name", 2);
    assert_eq!(clients.remove(0).end().await.1.ending, Some(Ending::Drained));
    assert!(!clients[0].task.is_finished());
    registry.drain("name", 4);
    assert_eq!(clients.remove(0).end().await.1.ending, Some(Ending::Drained));
}

#[tokio::test]
async fn a_version_that_crashes_at_once_is_replaced_by_the_one_before_for_those_users() {
    let registry = strict();
    registry.publish(&script(1));
    assert!(session(&registry, ("acme", "alice"), WELL).await.0);
    registry.publish(&script(2));
    for _ in 0..2 {
        assert!(matches!(session(&registry, ("acme", "alice"), CRASHES).await, (false, Some(Error::Trap { .. }))));
    }
    assert!(registry.list()[0].tripped);
    let first = registry.list()[0].older.clone();
    assert!(first.is_empty());
    let newest = registry.get("name").unwrap();
    let client = Client::as_user(&newest, &tenant("acme"), "alice", &[]);
    client.happen(ChannelEvent::Shell);
    let other = Client::as_user(&newest, &tenant("other"), "alice", &[]);
    other.happen(ChannelEvent::Shell);
    let mut both = [client, other];
    for client in &mut both {
        client.until_replies(1).await;
    }
    let older: Vec<_> = registry.list()[0].older.iter().map(|older| (older.generation(), older.sessions())).collect();
    assert_eq!(older, [(1, 1)], "alice of acme is on the version before");
    assert_eq!(newest.sessions(), 1, "alice of the other tenant is not");
    // The version to fall back to is not drained as if it were replaced.
    registry.drain("name", 2);
    assert!(!both[0].task.is_finished());
}

#[tokio::test]
async fn without_an_earlier_version_a_crashing_plugin_is_refused_until_a_new_file_arrives() {
    // W25
    let registry = strict();
    registry.publish(&script(1));
    for _ in 0..2 {
        session(&registry, ("acme", "alice"), CRASHES).await;
    }
    let (opened, error) = session(&registry, ("acme", "alice"), WELL).await;
    assert!(!opened && matches!(error, Some(Error::Suspended)), "{error:?}");
    assert!(session(&registry, ("acme", "bob"), WELL).await.0, "one user's crashes are no other user's");
    registry.publish(&script(2));
    assert!(session(&registry, ("acme", "alice"), WELL).await.0);
}

#[tokio::test]
async fn a_user_whose_input_crashes_a_plugin_affects_no_other_user() {
    // W26
    let registry = strict();
    registry.publish(&script(1));
    for _ in 0..20 {
        let client = Client::as_user(&registry.get("name").unwrap(), &tenant("acme"), "mallory", &[]);
        let (recorder, _) = client.then("trap").await;
        assert_eq!(recorder.heard[0], Heard::Opened(true));
    }
    assert!(session(&registry, ("acme", "alice"), WELL).await.0);
}

#[tokio::test]
async fn a_crash_after_the_start_does_not_count_against_the_version() {
    let registry = strict();
    registry.publish(&script(1));
    for _ in 0..10 {
        let client = Client::as_user(&registry.get("name").unwrap(), &tenant("acme"), "alice", &[("data", "trap")]);
        client.happen(ChannelEvent::Shell);
        client.send(b"x");
        let (recorder, report) = client.end().await;
        assert_eq!(recorder.heard[0], Heard::Opened(true));
        assert!(matches!(report.error, Some(Error::Trap { .. })));
    }
}

#[tokio::test]
async fn an_instance_that_cannot_be_made_is_found_before_anybody_logs_in() {
    let plugin = version("bare", 1);
    plugin.smoke(&tenant("trial")).await.unwrap();
    let small = Limits { memory: 1 << 10, ..Limits::default() };
    let error = plugin.smoke(&Tenant::new("trial", small, Grants::default())).await.unwrap_err();
    assert!(error.to_string().contains("takes more than limits.memory (1024 bytes)"), "{error}");
    // W2, W4, W25
    // Far below the bound of the clock, which a busy machine would meet first.
    let brief = Limits { cpu_start: Duration::from_millis(20), ..Limits::default() };
    let error = load("stuck").smoke(&Tenant::new("trial", brief, Grants::default())).await.unwrap_err();
    let words = "making an instance of it takes more processor time than limits.cpu_start (";
    assert!(error.to_string().starts_with(words), "{error}");
    let error = load("unborn").smoke(&tenant("trial")).await.unwrap_err();
    assert!(error.to_string().contains("crashed (ABRT)") && !error.to_string().contains('\n'), "{error}");
}

fn load(name: &str) -> Arc<Plugin> {
    Plugin::load(guests::engine(), name, &guests::wasm(name)).unwrap()
}
