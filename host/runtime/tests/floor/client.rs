//! The connection's side of a session, driven by the test: it records what it receives and takes as much output as the
//! test allows.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use whelk_runtime::{
    ChannelEvent, Drained, Exit, Facts, Grants, Inbox, Limits, OpenReply, Outbox, Output, Plugin, Plugins, Report,
    Sink, Tenant, session_pipes,
};

use crate::guests;

/// The capacity of a session's output.
pub(crate) const CAPACITY: usize = 256 << 10;
/// Long enough for a busy machine; a passing test never waits that long. At full size a session waits until 100,000
/// files are copied, and ext4 takes milliseconds for each that is made soon after many were removed.
fn time_limit() -> Duration {
    let is_proof = std::env::var_os("WHELK_PROVE").is_some_and(|value| value == "1");
    Duration::from_secs(if is_proof { 20 * 60 } else { 60 })
}

/// One thing that the connection received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    Opened(bool),
    /// The session was not opened, for lack of room.
    Full,
    Reply(bool),
    /// Output; consecutive pieces of one stream are joined.
    Bytes(Output, Vec<u8>),
    Eof,
    Request(String, Vec<u8>),
    Exit(Exit),
    Disconnect(u32, String),
    Debug(String),
}

/// Records what it receives.
pub(crate) struct Recorder {
    pub(crate) heard: Vec<Heard>,
    /// How many more bytes it takes.
    pub(crate) room: usize,
}

impl Sink for Recorder {
    fn opened(&mut self, reply: OpenReply) {
        self.heard.push(match reply {
            OpenReply::Accepted => Heard::Opened(true),
            OpenReply::Refused => Heard::Opened(false),
            OpenReply::Full => Heard::Full,
        });
    }
    fn reply(&mut self, success: bool, times: u32) {
        (0..times).for_each(|_| self.heard.push(Heard::Reply(success)));
    }
    fn bytes(&mut self, to: Output, data: &[u8]) -> usize {
        let taken = &data[..data.len().min(self.room)];
        self.room -= taken.len();
        match self.heard.last_mut() {
            _ if taken.is_empty() => {}
            Some(Heard::Bytes(before, bytes)) if *before == to => bytes.extend_from_slice(taken),
            _ => self.heard.push(Heard::Bytes(to, taken.to_vec())),
        }
        taken.len()
    }
    fn eof(&mut self) {
        self.heard.push(Heard::Eof);
    }
    fn request(&mut self, name: &str, payload: &[u8]) {
        self.heard.push(Heard::Request(name.to_owned(), payload.to_vec()));
    }
    fn exit(&mut self, exit: &Exit) {
        self.heard.push(Heard::Exit(exit.clone()));
    }
    fn disconnect(&mut self, reason: u32, text: &str) {
        self.heard.push(Heard::Disconnect(reason, text.to_owned()));
    }
    fn debug(&mut self, text: &str, _: bool) {
        self.heard.push(Heard::Debug(text.to_owned()));
    }
}

/// A connection with one session.
pub(crate) struct Client {
    pub(crate) inbox: Inbox,
    pub(crate) outbox: Outbox,
    pub(crate) recorder: Recorder,
    pub(crate) task: JoinHandle<Report>,
    /// How often the connection was woken.
    pub(crate) wakes: Arc<AtomicUsize>,
    /// The fact `connection-id`, by which the log lines are found.
    pub(crate) id: String,
    woken: Arc<Notify>,
}

impl Client {
    /// A session of the script plugin with these `scripts`: name of a function, and what it does.
    pub(crate) fn new(scripts: &[(&str, &str)]) -> Self {
        Self::with(&guests::script(), scripts, &Limits::default())
    }

    pub(crate) fn with(plugin: &Arc<Plugin>, scripts: &[(&str, &str)], limits: &Limits) -> Self {
        Self::among(&guests::nothing_else(), plugin, scripts, limits)
    }

    /// A session of this tenant.
    pub(crate) fn of(tenant: &Arc<Tenant>, plugin: &Arc<Plugin>, scripts: &[(&str, &str)]) -> Self {
        Self::full(tenant, &guests::nothing_else(), plugin, "somebody", scripts)
    }

    /// A session of a user of this tenant.
    pub(crate) fn as_user(plugin: &Arc<Plugin>, tenant: &Arc<Tenant>, user: &str, scripts: &[(&str, &str)]) -> Self {
        Self::full(tenant, &guests::nothing_else(), plugin, user, scripts)
    }

    /// A session that may hand over to these plugins. A script named `second.` and the name of a function is for the
    /// plugin `second`.
    pub(crate) fn among(
        plugins: &Arc<dyn Plugins>,
        plugin: &Arc<Plugin>,
        scripts: &[(&str, &str)],
        limits: &Limits,
    ) -> Self {
        let tenant = Tenant::new("tests", limits.clone(), Grants::default());
        Self::full(&tenant, plugins, plugin, "somebody", scripts)
    }

    /// A session of a user of this tenant, which may use these plugins.
    pub(crate) fn full(
        tenant: &Arc<Tenant>,
        plugins: &Arc<dyn Plugins>,
        plugin: &Arc<Plugin>,
        user: &str,
        scripts: &[(&str, &str)],
    ) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed).to_string();
        let fact =
            |function: &str| if function.contains('.') { function.to_owned() } else { format!("attr.{function}") };
        let facts = scripts.iter().map(|(function, script)| (fact(function), (*script).to_owned()));
        let known = [("connection-id".to_owned(), id.clone()), ("user".to_owned(), user.to_owned())];
        Self::started(tenant, plugins, plugin, id, facts.chain(known).collect::<Facts>().on_channel(7))
    }

    /// A session on a channel of its own type.
    pub(crate) fn of_type(plugin: &Arc<Plugin>, limits: &Limits, kind: &str, payload: &[u8]) -> Self {
        let tenant = Tenant::new("tests", limits.clone(), Grants::default());
        let facts = Facts::from_iter([("user", "somebody")]).on_channel(7).of_type(kind, payload);
        Self::started(&tenant, &guests::nothing_else(), plugin, String::new(), facts)
    }

    pub(crate) fn started(
        tenant: &Arc<Tenant>,
        plugins: &Arc<dyn Plugins>,
        plugin: &Arc<Plugin>,
        id: String,
        facts: Facts,
    ) -> Self {
        let (woken, wakes) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
        let (bell, count) = (Arc::clone(&woken), Arc::clone(&wakes));
        let wake = move || {
            count.fetch_add(1, Ordering::Relaxed);
            bell.notify_one();
        };
        let (inbox, outbox, side) = session_pipes(CAPACITY, Arc::new(wake));
        let task = tokio::spawn(plugin.session(facts, tenant, plugins, side));
        let recorder = Recorder { heard: Vec::new(), room: usize::MAX };
        Self { inbox, outbox, recorder, task, wakes, id, woken }
    }

    /// A session that has started with this command.
    pub(crate) fn exec(command: &str) -> Self {
        let client = Self::new(&[]);
        client.happen(ChannelEvent::Exec(command.into()));
        client
    }

    /// The same session after one more event.
    pub(crate) fn and(self, event: ChannelEvent) -> Self {
        self.happen(event);
        self
    }

    /// Starts with this command and takes everything to the end.
    pub(crate) async fn then(self, command: &str) -> (Recorder, Report) {
        self.run(command);
        self.end().await
    }

    pub(crate) fn happen(&self, event: ChannelEvent) {
        self.inbox.event(event);
    }

    pub(crate) fn run(&self, command: &str) {
        self.happen(ChannelEvent::Exec(command.into()));
    }

    pub(crate) fn send(&self, data: &[u8]) {
        self.inbox.data(None, data);
    }

    /// Takes output as far as there is room.
    pub(crate) fn drain(&mut self) {
        while self.outbox.drain(&mut self.recorder) == Drained::More && self.recorder.room > 0 {}
    }

    /// Takes output until `enough` is satisfied.
    pub(crate) async fn until(&mut self, enough: impl Fn(&Recorder) -> bool) {
        let waited = timeout(time_limit(), async {
            loop {
                self.drain();
                if enough(&self.recorder) {
                    return;
                }
                self.woken.notified().await;
            }
        });
        let in_time = waited.await.is_ok();
        assert!(in_time, "it never came; heard: {:?}", self.recorder.heard);
    }

    /// Waits until the session has something.
    pub(crate) async fn until_woken(&self) {
        timeout(time_limit(), self.woken.notified()).await.unwrap();
    }

    /// Takes output until this much has arrived on stdout, and returns it as text.
    pub(crate) async fn until_stdout(&mut self, bytes: usize) -> String {
        self.until(|recorder| recorder.stdout().len() >= bytes).await;
        self.recorder.text()
    }

    pub(crate) async fn until_replies(&mut self, count: usize) -> Vec<bool> {
        self.until(|recorder| recorder.replies().len() >= count).await;
        self.recorder.replies()
    }

    /// Takes everything to the end.
    pub(crate) async fn end(mut self) -> (Recorder, Report) {
        self.until(|recorder| {
            matches!(recorder.heard.last(), Some(Heard::Exit(_) | Heard::Opened(false) | Heard::Full))
        })
        .await;
        let report = timeout(time_limit(), self.task).await.unwrap().unwrap();
        (self.recorder, report)
    }
}

impl Recorder {
    pub(crate) fn stdout(&self) -> Vec<u8> {
        self.bytes_of(Output::Stdout)
    }

    pub(crate) fn bytes_of(&self, which: Output) -> Vec<u8> {
        let bytes = self.heard.iter().filter_map(|heard| match heard {
            Heard::Bytes(to, bytes) if *to == which => Some(bytes.as_slice()),
            _ => None,
        });
        bytes.collect::<Vec<_>>().concat()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout()).into_owned()
    }

    pub(crate) fn replies(&self) -> Vec<bool> {
        self.heard
            .iter()
            .filter_map(|heard| match heard {
                Heard::Reply(success) => Some(*success),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn exit(&self) -> Option<Exit> {
        match self.heard.last() {
            Some(Heard::Exit(exit)) => Some(exit.clone()),
            _ => None,
        }
    }
}

/// The text on stdout.
pub(crate) fn out(text: &str) -> Heard {
    Heard::Bytes(Output::Stdout, text.into())
}
