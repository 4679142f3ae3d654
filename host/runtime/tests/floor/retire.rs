//! The retirement of a generation: its sessions are counted, and ended with a message.

use std::sync::Arc;

use whelk_runtime::{ChannelEvent, Ending, Exit, Limits, Output, Plugin, Plugins, Routes, SignalName};

use crate::client::{Client, Heard};
use crate::guests::{self, FixedPlugins};
use crate::log;
use crate::session::pty;

const WORDS: &str = "a new version is here";

/// A generation of its own.
fn generation(name: &str) -> Arc<Plugin> {
    Plugin::load(guests::engine(), name, &guests::wasm(name)).unwrap()
}

fn session(plugin: &Arc<Plugin>, scripts: &[(&str, &str)]) -> Client {
    Client::with(plugin, scripts, &Limits::default())
}

fn hung_up() -> Option<Exit> {
    Some(Exit::Signal { name: SignalName::Hup, core_dumped: false, message: WORDS.to_owned() })
}

#[tokio::test]
async fn only_sessions_of_a_retired_generation_are_ended() {
    log::listen();
    let plugin = generation("script");
    let mut other = Client::exec("");
    let (mut waiting, mut running, mut blocked) = (session(&plugin, &[]), session(&plugin, &[]), session(&plugin, &[]));
    running.happen(pty());
    running.run("write so far;");
    running.until_replies(2).await;
    blocked.recorder.room = 0;
    blocked.run("fill 1000000");
    blocked.until_replies(1).await;
    waiting.until(|recorder| !recorder.heard.is_empty()).await;
    // A session that opens slowly counts too.
    let starting = session(&plugin, &[("open", "sleep 20;true")]);
    while plugin.sessions() < 4 {
        tokio::task::yield_now().await;
    }
    let id = running.id.clone();
    plugin.retire(WORDS);
    let (recorder, report) = running.end().await;
    assert_eq!((recorder.text().as_str(), recorder.exit()), ("so far", hung_up()));
    assert_eq!(recorder.bytes_of(Output::Stderr), format!("whelk: {WORDS}\r\n").as_bytes());
    assert_eq!((report.ending, report.error.is_none()), (Some(Ending::Drained), true));
    assert_eq!(log::texts(&id), ["closed Ending::Drained: open, pty-req xterm, exec"]);
    blocked.recorder.room = usize::MAX;
    let (recorder, _) = blocked.end().await;
    assert_eq!(recorder.bytes_of(Output::Stderr), format!("whelk: {WORDS}\n").as_bytes());
    assert_eq!(recorder.exit(), hung_up());
    // Before a start no message can be sent.
    let (recorder, _) = waiting.end().await;
    assert_eq!(recorder.heard, [Heard::Opened(true), Heard::Exit(hung_up().unwrap())]);
    let (recorder, _) = starting.end().await;
    assert_eq!(recorder.heard, [Heard::Opened(true), Heard::Exit(hung_up().unwrap())]);
    assert_eq!(plugin.sessions(), 0);
    other.send(b"still here");
    other.until_stdout(10).await;
}

#[tokio::test]
async fn sessions_that_begin_after_retirement_are_ended_too() {
    let plugin = generation("script");
    plugin.retire(WORDS);
    let (recorder, report) = session(&plugin, &[]).and(ChannelEvent::Shell).end().await;
    assert_eq!(recorder.exit(), hung_up());
    assert_eq!(report.ending, Some(Ending::Drained));
    assert_eq!(plugin.sessions(), 0);
}

#[tokio::test]
async fn a_session_counts_for_the_plugin_that_runs_it() {
    let (home, second) = (generation("script"), generation("second"));
    let routes = Routes::new([("sftp".to_owned(), "second".to_owned())], []);
    let plugins: Arc<dyn Plugins> = Arc::new(FixedPlugins { plugins: vec![home.clone(), second.clone()], routes });
    let mut client = Client::among(&plugins, &home, &[], &Limits::default());
    client.until(|recorder| !recorder.heard.is_empty()).await;
    assert_eq!((home.sessions(), second.sessions()), (1, 0));
    client.happen(ChannelEvent::Subsystem("sftp".to_owned()));
    client.until_replies(1).await;
    assert_eq!((home.sessions(), second.sessions()), (0, 1));
    home.retire(WORDS);
    client.send(b"still here");
    client.until_stdout(10).await;
    second.retire(WORDS);
    let (recorder, report) = client.end().await;
    assert_eq!(recorder.exit(), hung_up());
    assert_eq!((report.ending, second.sessions()), (Some(Ending::Drained), 0));
}

#[tokio::test]
async fn a_session_that_is_dropped_or_refused_counts_no_longer() {
    let plugin = generation("script");
    let mut client = session(&plugin, &[]);
    client.run("");
    client.until_replies(1).await;
    session(&plugin, &[("open", "false")]).end().await;
    assert_eq!(plugin.sessions(), 1);
    client.task.abort();
    assert!((&mut client.task).await.is_err());
    assert_eq!(plugin.sessions(), 0);
}
