//! A panic of the host ends its own session with an incident that the operator can find, and nothing else.
//!
//! The connection's wake-up panics here. The session's task calls it: in an import while the plugin writes, or in the
//! session's own loop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use whelk_runtime::{
    ChannelEvent, Drained, Engine, EngineSettings, Error, Exit, Facts, Grants, Inbox, Limits, Outbox, Output, Plugin,
    Report, Tenant, session_pipes,
};

use crate::client::{CAPACITY, Client, Heard, Recorder};
use crate::guests;
use crate::program::command;

/// A session whose next wake-up can be made to panic.
struct Running {
    inbox: Inbox,
    outbox: Outbox,
    task: JoinHandle<Report>,
    armed: Arc<AtomicBool>,
    woken: Arc<Notify>,
}

impl Running {
    fn new(plugin: &Arc<Plugin>, armed: bool) -> Self {
        let (armed, woken) = (Arc::new(AtomicBool::new(armed)), Arc::new(Notify::new()));
        let (trigger, bell) = (Arc::clone(&armed), Arc::clone(&woken));
        let wake = move || {
            assert!(!trigger.swap(false, Ordering::SeqCst), "asked to panic");
            bell.notify_one();
        };
        let (inbox, outbox, side) = session_pipes(CAPACITY, Arc::new(wake));
        let tenant = Tenant::new("tests", Limits::default(), Grants::default());
        let task = tokio::spawn(plugin.session(Facts::default(), &tenant, &guests::nothing_else(), side));
        Self { inbox, outbox, task, armed, woken }
    }

    /// Takes output until `enough` is satisfied.
    async fn until(&self, recorder: &mut Recorder, enough: impl Fn(&Recorder) -> bool) {
        loop {
            while self.outbox.drain(recorder) == Drained::More {}
            if enough(recorder) {
                return;
            }
            self.woken.notified().await;
        }
    }
}

fn recorder() -> Recorder {
    Recorder { heard: Vec::new(), room: usize::MAX }
}

/// The incident of a report of a host panic.
fn incident(report: &Report) -> &str {
    match &report.error {
        Some(Error::Host { incident, detail }) if detail.contains("asked to panic") => incident,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_panic_in_an_import_ends_that_session_alone_with_an_incident() {
    let settings = EngineSettings::of(&Limits { instances: 2, memory_slot: 64 << 20, ..Limits::default() });
    let engine = Engine::new(&settings).unwrap();
    let plugin = Plugin::load(&engine, "bare", &guests::wasm("bare")).unwrap();
    let mut neighbour = Client::with(&plugin, &[], &Limits::default());
    neighbour.happen(ChannelEvent::Shell);
    neighbour.until_replies(1).await;
    for round in 1..=10 {
        let (running, mut recorder) = (Running::new(&plugin, false), recorder());
        running.inbox.event(ChannelEvent::Shell);
        running.until(&mut recorder, |recorder| !recorder.replies().is_empty()).await;
        running.armed.store(true, Ordering::SeqCst);
        running.inbox.data(None, b"what is echoed");
        running.until(&mut recorder, |recorder| recorder.exit().is_some()).await;
        let report = running.task.await.unwrap();
        let line = format!("whelk: internal error, incident {}\n", incident(&report));
        assert_eq!(String::from_utf8_lossy(&recorder.bytes_of(Output::Stderr)), line);
        assert_eq!((recorder.exit(), &report.exit), (Some(Exit::Status(70)), &Some(Exit::Status(70))));
        assert_eq!(report.ending, None);
        neighbour.send(b"x");
        neighbour.until_stdout(round).await;
    }
    // Room and places are released.
    assert_eq!((engine.live(), plugin.sessions()), (1, 1));
}

#[tokio::test]
async fn a_panic_in_an_import_of_a_program_ends_that_session_alone() {
    let plugin = command();
    let mut neighbour = Client::with(&plugin, &[], &Limits::default());
    neighbour.run("cat");
    for round in 1..=5 {
        let (running, mut recorder) = (Running::new(&plugin, false), recorder());
        running.inbox.event(ChannelEvent::Exec(b"cat".to_vec()));
        running.until(&mut recorder, |recorder| !recorder.replies().is_empty()).await;
        running.armed.store(true, Ordering::SeqCst);
        running.inbox.data(None, b"what is written again");
        running.until(&mut recorder, |recorder| recorder.exit().is_some()).await;
        let report = running.task.await.unwrap();
        let line = format!("whelk: internal error, incident {}\n", incident(&report));
        assert_eq!(String::from_utf8_lossy(&recorder.bytes_of(Output::Stderr)), line);
        assert_eq!((recorder.exit(), &report.exit), (Some(Exit::Status(70)), &Some(Exit::Status(70))));
        neighbour.send(b"x");
        neighbour.until_stdout(round).await;
    }
    neighbour.happen(ChannelEvent::Eof);
    assert_eq!(neighbour.end().await.0.exit(), Some(Exit::Status(0)));
}

#[tokio::test]
async fn a_panic_in_the_sessions_own_loop_ends_it_alone_too() {
    let plugin = guests::bare();
    let (running, mut recorder) = (Running::new(&plugin, true), recorder());
    let report = (running.task).await.unwrap();
    assert_eq!(incident(&report).len(), 8);
    assert_eq!(report.exit, Some(Exit::Status(70)));
    while running.outbox.drain(&mut recorder) == Drained::More {}
    assert_eq!(recorder.heard, [Heard::Opened(true), Heard::Exit(Exit::Status(70))]);
}
