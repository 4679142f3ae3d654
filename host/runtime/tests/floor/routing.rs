//! Routes: the plugin that a program request is routed to serves it, and the session arrives there as it was prepared.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use whelk_runtime::terminal::Modes;
use whelk_runtime::{
    ChannelEvent, Ending, Error, Exit, Limit, Limits, Lookup, Output, Plugin, Plugins, ProgramRequest, Report, Routes,
    SignalName,
};

use crate::client::{Client, Heard, out};
use crate::guests::{self, FixedPlugins};
use crate::log;
use crate::session::{env, pty, resize};

/// A session that begins with `script` and is routed to `second`.
fn client(scripts: &[(&str, &str)]) -> Client {
    Client::among(&guests::two(), &guests::script(), scripts, &Limits::default())
}

fn subsystem(name: &str) -> ChannelEvent {
    ChannelEvent::Subsystem(name.to_owned())
}

/// The plugins that a session has had.
pub(crate) fn names(report: &Report) -> Vec<&str> {
    report.before.iter().map(|stay| &stay.plugin).chain([&report.plugin]).map(|plugin| plugin.name()).collect()
}

#[tokio::test]
async fn a_routed_start_is_served_as_if_the_session_had_begun_with_that_plugin() {
    log::listen();
    let client = client(&[
        ("open", "write never seen"),
        ("second.open", "write >"),
        ("second.subsystem", "env;pty;size;modes;trace;finish 0"),
    ]);
    let id = client.id.clone();
    client.happen(env("LANG", "C"));
    client.happen(pty());
    client.happen(subsystem("sftp"));
    let (recorder, report) = client.end().await;
    let mut modes = Modes::of_client(&[(53, 1), (42, 1), (1, 3)]);
    modes.make_raw();
    let modes: String = modes.all().map(|(opcode, argument)| format!("{opcode}={argument} ")).collect();
    let text =
        format!(">LANG=C Some((\"xterm\", 80, 3))Some((80, 24)){modes}open\nenv LANG=C\npty-req xterm\nsubsystem sftp");
    let reply = Heard::Reply(true);
    let heard = [Heard::Opened(true), reply.clone(), reply.clone(), reply, out(&text), Heard::Exit(Exit::Status(0))];
    assert_eq!(recorder.heard, heard);
    assert_eq!(names(&report), ["script", "second"]);
    assert!(report.opened && report.error.is_none() && report.before[0].error.is_none());
    assert_eq!(report.ending, Some(Ending::Finished));
    let lines = log::lines(&id);
    let said = |at: usize| (lines[at].fields["plugin"].clone(), lines[at].fields["message"].clone());
    assert_eq!(said(0), ("script".to_owned(), "closed Ending::Routed: open, env LANG=C, pty-req xterm".to_owned()));
    assert_eq!(said(1), ("second".to_owned(), "session passed on".to_owned()));
    assert_eq!(said(2), ("second".to_owned(), "closed Ending::Finished: ".to_owned()));
    assert_eq!(lines.len(), 3);
}

#[tokio::test]
async fn a_command_is_routed_by_its_first_words_and_a_shell_stays() {
    let scripts = [("shell", "write home;finish 0"), ("second.exec", "trace;finish 0")];
    let (recorder, report) = client(&scripts).then("two  words").await;
    assert_eq!((recorder.text().as_str(), names(&report)), ("open\nexec", vec!["script", "second"]));
    let (recorder, report) = client(&scripts).then("write twofold;finish 0").await;
    assert_eq!((recorder.text().as_str(), names(&report)), ("twofold", vec!["script"]));
    let (recorder, report) = client(&scripts).and(ChannelEvent::Shell).end().await;
    assert_eq!((recorder.text().as_str(), names(&report)), ("home", vec!["script"]));
}

#[tokio::test]
async fn a_route_to_an_unknown_plugin_fails_the_start_and_the_session_stays() {
    let client = client(&[("shell", "trace;finish 0")]);
    client.happen(subsystem("lost"));
    client.happen(env("A", "1"));
    let (recorder, report) = client.and(ChannelEvent::Shell).end().await;
    assert_eq!(recorder.replies(), [false, true, true]);
    assert_eq!(recorder.text(), "open\nenv A=1\nshell");
    assert_eq!(names(&report), ["script"]);
}

/// The plugins of [`guests::two`], of which `second` is still being prepared.
struct Unready {
    plugins: Arc<dyn Plugins>,
    /// `second` is loaded, or its preparation was given up; `None`: neither yet.
    loaded: watch::Receiver<Option<bool>>,
}

impl Plugins for Unready {
    fn lookup(&self, name: &str) -> Lookup {
        let is_unready = name == "second" && *self.loaded.borrow() != Some(true);
        if is_unready { Lookup::Preparing } else { self.plugins.lookup(name) }
    }
    fn settled<'a>(&'a self, name: &'a str) -> Pin<Box<dyn Future<Output = Lookup> + Send + 'a>> {
        Box::pin(async move {
            self.loaded.clone().wait_for(Option::is_some).await.unwrap();
            self.lookup(name)
        })
    }
    fn route(&self, start: &ProgramRequest<'_>) -> Option<String> {
        self.plugins.route(start)
    }
}

/// A client of those, and the sender that says how the preparation ended.
fn unready(loaded: Option<bool>, scripts: &[(&str, &str)]) -> (Client, watch::Sender<Option<bool>>) {
    let (sender, loaded) = watch::channel(loaded);
    let plugins: Arc<dyn Plugins> = Arc::new(Unready { plugins: guests::two(), loaded });
    (Client::among(&plugins, &guests::script(), scripts, &Limits::default()), sender)
}

#[tokio::test]
async fn a_start_routed_to_a_plugin_in_preparation_waits_for_it() {
    let scripts = [("second.subsystem", "write second;finish 0"), ("second.exec", "write second;finish 0")];
    for start in [subsystem("sftp"), ChannelEvent::Exec(b"two".to_vec()), ChannelEvent::Exec(b"pass second".to_vec())] {
        let (mut client, loaded) = unready(None, &scripts);
        client.happen(start.clone());
        client.until(|recorder| recorder.heard.contains(&Heard::Opened(true))).await;
        loaded.send_replace(Some(true));
        let (recorder, report) = client.end().await;
        assert_eq!((recorder.text().as_str(), recorder.replies()), ("second", vec![true]), "{start:?}");
        assert_eq!(names(&report), ["script", "second"], "{start:?}");
    }
}

#[tokio::test]
async fn a_start_routed_to_a_plugin_that_stays_in_preparation_asks_to_try_again() {
    for start in [subsystem("sftp"), ChannelEvent::Exec(b"two".to_vec()), ChannelEvent::Exec(b"pass second".to_vec())] {
        let (client, _loaded) = unready(Some(false), &[]);
        let (recorder, _) = client.and(start.clone()).end().await;
        let text = b"whelk: plugin \"second\" is still being prepared; try again\n".to_vec();
        let told = Heard::Bytes(Output::Stderr, text);
        let heard = [Heard::Opened(true), Heard::Reply(true), told, Heard::Exit(Exit::Status(1))];
        assert_eq!(recorder.heard, heard, "{start:?}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_while_its_start_waits_for_a_plugin_ends_the_session() {
    let (client, loaded) = unready(None, &[]);
    let client = client.and(subsystem("sftp"));
    while loaded.receiver_count() < 2 {
        tokio::task::yield_now().await;
    }
    client.inbox.end(Ending::ClientClosed);
    let (_, report) = client.end().await;
    assert_eq!((report.ending, names(&report)), (Some(Ending::ClientClosed), vec!["script"]));
}

#[tokio::test]
async fn when_the_other_plugin_refuses_open_another_start_is_possible() {
    let client = client(&[("second.open", "false"), ("shell", "env;trace;finish 0")]);
    client.happen(env("A", "1"));
    client.happen(pty());
    client.happen(subsystem("sftp"));
    client.happen(env("B", "2"));
    client.happen(ChannelEvent::Signal(SignalName::Int));
    client.happen(ChannelEvent::Break { length_ms: 1 });
    client.happen(resize(100));
    client.happen(subsystem("sftp"));
    let (recorder, report) = client.and(ChannelEvent::Shell).end().await;
    assert_eq!(recorder.replies(), [true, true, false, false, false, false, true, false, true]);
    assert_eq!(recorder.text(), "A=1 open\nenv A=1\npty-req xterm\nwindow-change 100x24\nshell");
    assert_eq!(names(&report), ["script", "second", "second", "script"]);
    assert!(report.before.iter().all(|stay| stay.error.is_none()));
}

#[tokio::test]
async fn a_plugin_that_refuses_open_leaves_no_output_no_exit_and_no_caught_signals() {
    let mut client =
        client(&[("second.open", "catch INT;write held;eof;finish 3;false"), ("shell", "write mine;finish 0")]);
    client.happen(subsystem("sftp"));
    assert_eq!(client.until_replies(1).await, [false]);
    // Nobody catches it any more: refused, as every other request.
    client.happen(ChannelEvent::Signal(SignalName::Int));
    assert_eq!(client.until_replies(2).await, [false, false]);
    let (recorder, report) = client.and(ChannelEvent::Shell).end().await;
    assert_eq!((recorder.replies(), recorder.text()), (vec![false, false, true], "mine".to_owned()));
    assert_eq!((recorder.exit(), names(&report)), (Some(Exit::Status(0)), vec!["script", "second", "script"]));
}

#[tokio::test]
async fn a_crash_of_the_other_plugin_in_open_fails_the_start_and_is_reported() {
    let client = client(&[("second.open", "trap"), ("shell", "finish 0")]);
    client.happen(subsystem("sftp"));
    let (recorder, report) = client.and(ChannelEvent::Shell).end().await;
    assert_eq!(recorder.heard[1..], [Heard::Reply(false), Heard::Reply(true), Heard::Exit(Exit::Status(0))]);
    assert!(matches!(report.before[1].error, Some(Error::Trap { .. })), "{report:?}");
    assert!(report.error.is_none());
}

#[tokio::test]
async fn a_plugin_that_cannot_be_instantiated_fails_the_start() {
    let stuck = Plugin::load(guests::engine(), "stuck", &guests::wasm("stuck")).unwrap();
    let routes = Routes::new([("sftp".to_owned(), "stuck".to_owned())], []);
    let plugins: Arc<dyn Plugins> = Arc::new(FixedPlugins { plugins: vec![stuck, guests::script()], routes });
    let mut client = Client::among(&plugins, &guests::script(), &[], &Limits::default());
    client.happen(subsystem("sftp"));
    assert_eq!(client.until_replies(1).await, [false]);
    client.inbox.end(Ending::ClientClosed);
    let (recorder, report) = client.end().await;
    assert!(matches!(recorder.exit(), Some(Exit::Signal { name: SignalName::Hup, .. })));
    // Of time where the processors are busy elsewhere.
    assert!(matches!(report.error, Some(Error::Limit { limit: Limit::Cpu | Limit::Time, .. })), "{report:?}");
    assert_eq!((report.ending, names(&report)), (Some(Ending::ClientClosed), vec!["script", "stuck"]));
}

#[tokio::test]
async fn a_start_that_the_other_plugin_refuses_may_be_followed_by_any_other() {
    let client = client(&[
        ("shell", "trace;finish 0"),
        ("second.subsystem", "false"),
        ("second.exec", "trace;false"),
        ("second.closed", "log gone"),
    ]);
    client.happen(subsystem("sftp"));
    client.happen(subsystem("sftp"));
    let (recorder, report) = client.and(ChannelEvent::Shell).end().await;
    assert_eq!(recorder.replies(), [false, false, true]);
    assert_eq!(recorder.text(), "open\nshell");
    assert_eq!(names(&report), ["script", "second", "script"]);
}

#[tokio::test]
async fn after_a_success_nothing_is_routed() {
    let mut client = client(&[]);
    client.run("write first");
    client.happen(subsystem("sftp"));
    client.run("two");
    assert_eq!(client.until_replies(3).await, [true, false, false]);
    client.inbox.end(Ending::ClientClosed);
    let (recorder, report) = client.end().await;
    assert_eq!((recorder.text().as_str(), names(&report)), ("first", vec!["script"]));
}

#[tokio::test]
async fn the_handovers_of_a_session_are_limited() {
    let limits = Limits { hand_overs: 2, ..Limits::default() };
    let scripts = [("second.subsystem", "false"), ("shell", "false")];
    let client = Client::among(&guests::two(), &guests::script(), &scripts, &limits);
    client.happen(subsystem("sftp"));
    client.happen(ChannelEvent::Shell);
    client.happen(subsystem("sftp"));
    let (recorder, report) = client.then("trace;finish 0").await;
    assert_eq!(recorder.replies(), [false, false, false, true]);
    assert_eq!(recorder.text(), "open\nshell\nexec");
    assert_eq!(names(&report), ["script", "second", "script"]);
}

#[tokio::test]
async fn a_terminal_that_the_other_plugin_refuses_has_no_modes() {
    let scripts = [("second.pty-req", "false"), ("second.env", "false"), ("second.exec", "modes;pty;env;finish 0")];
    let (recorder, _) = client(&scripts).and(pty()).and(env("A", "1")).then("two").await;
    assert_eq!(recorder.text(), "Some((\"xterm\", 80, 3))A=1 ");
    assert_eq!(recorder.replies(), [true; 3]);
}

#[tokio::test]
async fn a_plugin_that_is_done_or_crashes_before_it_is_started_ends_the_session() {
    let (recorder, report) = client(&[("second.open", "finish 3")]).then("two").await;
    assert_eq!(recorder.heard, [Heard::Opened(true), Heard::Reply(false), Heard::Exit(Exit::Status(3))]);
    assert_eq!(report.ending, Some(Ending::Finished));
    let (recorder, report) = client(&[("second.env", "trap")]).and(env("A", "1")).then("two").await;
    assert_eq!(recorder.replies(), [true, false]);
    assert!(matches!(recorder.exit(), Some(Exit::Signal { name: SignalName::Abrt, .. })));
    assert!(matches!(report.error, Some(Error::Trap { .. })));
}

#[tokio::test]
async fn a_plugin_that_fails_in_its_last_call_does_not_fail_the_next() {
    let scripts = [("closed", "trap"), ("second.exec", "finish 0")];
    let (recorder, report) = client(&scripts).then("two").await;
    assert_eq!(recorder.exit(), Some(Exit::Status(0)));
    assert!(matches!(report.before[0].error, Some(Error::Trap { .. })) && report.error.is_none());
}

#[tokio::test]
async fn data_before_the_start_goes_to_the_plugin_that_is_started() {
    let mut client = client(&[("second.exec", ""), ("second.eof", "finish 0")]);
    client.send(b"early");
    client.happen(ChannelEvent::Eof);
    client.run("two");
    assert_eq!(client.until_stdout(5).await, "early");
    client.until(|recorder| recorder.exit().is_some()).await;
    assert_eq!(client.inbox.take_credit(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_during_a_handover_ends_the_session() {
    log::listen();
    let client = client(&[("closed", "sleep 500")]);
    let id = client.id.clone();
    client.run("two");
    tokio::time::sleep(Duration::from_millis(100)).await;
    client.inbox.end(Ending::ConnectionLost);
    let (recorder, report) = client.end().await;
    assert_eq!(recorder.replies(), [] as [bool; 0]);
    assert!(matches!(recorder.exit(), Some(Exit::Signal { name: SignalName::Hup, .. })));
    assert_eq!((report.ending, names(&report)), (Some(Ending::ConnectionLost), vec!["script"]));
    assert_eq!(log::texts(&id), ["closed Ending::Routed: open"]);
}
