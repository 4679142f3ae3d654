//! Connection plugins: what they are asked, what they may begin by themselves, and that no failure of theirs reaches
//! further than their own connection.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use whelk_runtime::{
    ChannelEvent, ClientAnswer, ClientRefusal, ConnectionLink, ConnectionMessage, ConnectionReport, ControlRequest,
    Error, Facts, Grants, Limit, Limits, OpenOutcome, OpenVerdict, Plugin, Plugins, Routes, Tenant, connection_link,
};

use crate::client::{Client, Heard};
use crate::guests::{self, FixedPlugins};
use crate::log;

/// Long enough for a busy machine; a passing test never waits that long.
const TIMEOUT: Duration = Duration::from_secs(60);

fn loaded(name: &'static str) -> Arc<Plugin> {
    Plugin::load(guests::engine(), name, &guests::wasm(name)).unwrap()
}

fn switchboard() -> Arc<Plugin> {
    static SWITCHBOARD: OnceLock<Arc<Plugin>> = OnceLock::new();
    Arc::clone(SWITCHBOARD.get_or_init(|| loaded("switchboard")))
}

fn line() -> Arc<Plugin> {
    static LINE: OnceLock<Arc<Plugin>> = OnceLock::new();
    Arc::clone(LINE.get_or_init(|| loaded("line")))
}

fn tenant(limits: &Limits) -> Arc<Tenant> {
    Tenant::new("acme", limits.clone(), Grants::default())
}

/// The connection's side.
struct Link {
    link: ConnectionLink,
    woken: Arc<Notify>,
    task: JoinHandle<ConnectionReport>,
    id: String,
}

impl Link {
    fn new(limits: &Limits) -> Self {
        Self::of(&switchboard(), &tenant(limits))
    }

    fn of(plugin: &Arc<Plugin>, tenant: &Arc<Tenant>) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(700_000);
        let id = NEXT.fetch_add(1, Ordering::Relaxed).to_string();
        let woken = Arc::new(Notify::new());
        let wakes = Arc::clone(&woken);
        let (link, half) = connection_link(Arc::new(move || wakes.notify_one()));
        let plugins = vec![line(), switchboard()];
        let plugins: Arc<dyn Plugins> = Arc::new(FixedPlugins { plugins, routes: Routes::default() });
        let (plugin, tenant) = (Arc::clone(plugin), Arc::clone(tenant));
        let facts = Facts::from_iter([("user", "alice"), ("connection-id", id.as_str())]);
        let task = tokio::spawn(async move { plugin.connection(&facts, &tenant, &plugins, half).await });
        Self { link, woken, task, id }
    }

    fn asks(&self, name: &str, payload: &str) -> bool {
        self.link.request(format!("{name}@example.org"), payload.into())
    }

    /// The next thing that the plugin says; none if its side is over.
    async fn next(&mut self) -> Option<ConnectionMessage> {
        let next = async {
            loop {
                if let Some(message) = self.link.take() {
                    return Some(message);
                }
                if self.link.is_over() {
                    return None;
                }
                self.woken.notified().await;
            }
        };
        timeout(TIMEOUT, next).await.unwrap()
    }

    /// The answer to a request.
    async fn answer(&mut self, name: &str, payload: &str) -> Option<String> {
        assert!(self.asks(name, payload));
        match self.next().await {
            Some(ConnectionMessage::Answered(answer)) => answer.map(|answer| String::from_utf8(answer).unwrap()),
            other => panic!("{other:?}"),
        }
    }

    /// What it decides about a channel.
    async fn verdict(&mut self, payload: &str) -> OpenVerdict {
        assert!(self.link.open(7, "thing@example.org".to_owned(), payload.into()));
        match self.next().await {
            Some(ConnectionMessage::Decided { channel: 7, kind, payload: same, verdict }) => {
                assert_eq!((kind.as_str(), same.as_slice()), ("thing@example.org", payload.as_bytes()));
                verdict
            }
            other => panic!("{other:?}"),
        }
    }

    async fn report(task: JoinHandle<ConnectionReport>) -> ConnectionReport {
        timeout(TIMEOUT, task).await.unwrap().unwrap()
    }

    /// Ends the connection.
    async fn end(self) -> ConnectionReport {
        let Self { link, task, .. } = self;
        drop(link);
        Self::report(task).await
    }
}

/// Whether a line of this connection in the log has these words.
fn logged(id: &str, words: &str) -> bool {
    log::texts(id).iter().any(|text| text.contains(words))
}

fn refusal(reason: u32, text: &str) -> OpenVerdict {
    OpenVerdict::Refuse(ClientRefusal { reason, text: text.to_owned() })
}

#[tokio::test]
async fn one_instance_is_asked_everything_in_order_until_the_connection_ends() {
    log::listen();
    assert!(switchboard().is_connection_plugin() && !line().is_connection_plugin());
    let mut link = Link::new(&Limits::default());
    assert_eq!(link.answer("reverse", "abc").await.as_deref(), Some("cba"));
    assert_eq!(link.answer("unknown", "").await, None);
    assert_eq!(link.answer("fact", "user").await.as_deref(), Some("alice"));
    assert_eq!(link.answer("large", "32000").await.map(|body| body.len()), Some(32_000));
    assert_eq!(link.answer("large", "32001").await, None, "longer than is sent");
    assert_eq!(link.verdict("").await, OpenVerdict::Accept("line".to_owned()));
    assert_eq!(link.verdict("refuse 4").await, refusal(4, "not today\\u{1b}"));
    for absent in ["nowhere", "switchboard", ""] {
        let verdict = link.verdict(&format!("serve {absent}")).await;
        assert_eq!(verdict, refusal(2, "the plugin is not available"), "{absent}");
    }
    assert_eq!(link.answer("calls", "").await.as_deref(), Some("11"));
    let id = link.id.clone();
    let report = link.end().await;
    assert!(report.error.is_none(), "{report:?}");
    assert!(logged(&id, "closed after 11 calls"));
}

#[tokio::test]
async fn it_may_end_the_connection_and_send_a_note() {
    let mut link = Link::new(&Limits::default());
    assert!(link.asks("debug", "") && link.asks("disconnect", ""));
    let mut said = Vec::new();
    while said.len() < 4 {
        said.push(match link.next().await.unwrap() {
            ConnectionMessage::Debug { text, always_display } => format!("{text} {always_display}"),
            ConnectionMessage::Disconnect { reason, text } => format!("{reason} {text}"),
            ConnectionMessage::Answered(answer) => format!("{answer:?}"),
            other => panic!("{other:?}"),
        });
    }
    said.sort();
    assert_eq!(said, ["11 as asked\\u{1b}", "None", "Some([])", "a note\\u{1b} true"]);
    link.end().await;
}

/// Answers what the plugin begins with `give`, and returns the plugin's reply to `name`.
async fn began(link: &mut Link, name: &str, payload: &str, give: impl FnOnce(ControlRequest)) -> String {
    assert!(link.asks(name, payload));
    match link.next().await {
        Some(ConnectionMessage::Control(request)) => give(request),
        other => panic!("{other:?}"),
    }
    match link.next().await {
        Some(ConnectionMessage::Answered(Some(answer))) => String::from_utf8(answer).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn it_opens_channels_and_makes_requests_and_is_told_what_became_of_them() {
    let mut link = Link::new(&Limits::default());
    for (outcome, told) in [
        (OpenOutcome::Opened, "opened"),
        (OpenOutcome::NotPermitted, "not permitted"),
        (OpenOutcome::TooLarge, "too large"),
        (OpenOutcome::TooMany, "too many"),
        (OpenOutcome::Refused(ClientRefusal { reason: 3, text: "no".to_owned() }), "refused 3 no"),
    ] {
        let answer = began(&mut link, "open", "thing@example.org why", |request| match request {
            ControlRequest::Open { kind, payload, plugin, answer } => {
                assert_eq!(
                    (kind.as_str(), payload.as_slice(), plugin.as_str()),
                    ("thing@example.org", &b"why"[..], "line")
                );
                answer.send(outcome).unwrap();
            }
            other @ ControlRequest::Ask { .. } => panic!("{other:?}"),
        });
        assert_eq!(answer.await, told);
    }
    for (given, told) in [
        (Some(ClientAnswer::Success(b"blue".to_vec())), "success blue"),
        (Some(ClientAnswer::Failure), "refused"),
        (Some(ClientAnswer::TooLarge), "too-large"),
        (Some(ClientAnswer::TooMany), "too-many"),
        (None, "closed"),
    ] {
        let answer = began(&mut link, "ask", "colour@example.org which", |request| match request {
            ControlRequest::Ask { name, payload, answer } => {
                assert_eq!((name.as_str(), payload.as_slice()), ("colour@example.org", &b"which"[..]));
                if let Some(given) = given {
                    answer.send(given).unwrap();
                }
            }
            other @ ControlRequest::Open { .. } => panic!("{other:?}"),
        });
        assert_eq!(answer.await, told);
    }
    link.end().await;
}

/// C29: OpenSSH's client opens its agent to a server that asks, though its user never asked for that.
#[tokio::test]
async fn names_with_a_meaning_and_too_much_payload_never_leave_the_host() {
    log::listen();
    let mut link = Link::new(&Limits::default());
    for name in
        ["auth-agent@openssh.com", "x11", "session", "forwarded-tcpip", "tun@openssh.com", "auth-agent@example.org"]
    {
        assert_eq!(link.answer("open", name).await.as_deref(), Some("not permitted"), "{name}");
        assert_eq!(link.answer("ask", name).await.as_deref(), Some("not-permitted"), "{name}");
        assert!(logged(&link.id, &format!("\"{name}\" is not sent")), "{name}");
    }
    let long = "x".repeat(32_001);
    assert_eq!(link.answer("open", &format!("a@b.c {long}")).await.as_deref(), Some("too large"));
    assert_eq!(link.answer("ask", &format!("a@b.c {long}")).await.as_deref(), Some("too-large"));
    for plugin in ["nowhere", "switchboard"] {
        assert_eq!(link.answer("serve", plugin).await.as_deref(), Some("unknown plugin"));
    }
    link.end().await;
}

/// C3, C9
#[tokio::test]
async fn a_client_that_never_answers_delays_its_plugin_for_a_bounded_time() {
    let mut link = Link::new(&Limits { client_answer: Duration::from_millis(10), ..Limits::default() });
    let mut kept = None;
    let told = began(&mut link, "ask", "colour@example.org", |request| kept = Some(request)).await;
    assert_eq!(told, "no-answer");
    let told = began(&mut link, "open", "thing@example.org", |request| kept = Some(request)).await;
    assert_eq!(told, "no answer");
    assert!(matches!(kept, Some(ControlRequest::Open { answer, .. }) if answer.is_closed()));
    // The connection was woken when nobody waited any more, so that it frees the channel's place at once.
    assert!(link.link.open(7, "thing@example.org".to_owned(), b"accept".to_vec()));
    assert!(matches!(link.next().await, Some(ConnectionMessage::Decided { .. })));
    link.end().await;
}

#[tokio::test]
async fn a_call_that_waits_for_the_client_ends_with_the_connection() {
    let mut link = Link::new(&Limits::default());
    assert!(link.asks("ask", "colour@example.org"));
    let asked = link.next().await;
    assert!(matches!(asked, Some(ConnectionMessage::Control(_))), "{asked:?}");
    let report = link.end().await;
    assert!(report.error.is_none(), "{report:?}");
}

/// C18: whatever goes wrong, what waits is refused, and nothing else ends.
#[tokio::test]
async fn a_failure_ends_the_instance_and_what_is_asked_later_is_refused() {
    let quick = Limits { cpu_call: Duration::from_millis(100), ..Limits::default() };
    let short = Limits { connection_call: Duration::from_millis(200), ..Limits::default() };
    for (name, limits) in [("trap", &quick), ("spin", &quick), ("sleep", &short)] {
        let mut link = Link::new(limits);
        assert!(link.asks(name, "") && link.asks("reverse", "abc"));
        let said = link.next().await;
        assert!(matches!(said, Some(ConnectionMessage::Failed)), "{name}: {said:?}");
        assert!(link.next().await.is_none() && link.link.is_over(), "{name}");
        assert!(!link.asks("reverse", "abc"), "{name}: it is asked nothing more");
        assert!(!link.link.open(1, "thing@example.org".to_owned(), Vec::new()));
        let error = link.end().await.error.unwrap();
        match name {
            "trap" => assert!(matches!(error, Error::Trap { .. }), "{error}"),
            "spin" => assert!(matches!(error, Error::Limit { limit: Limit::Cpu, .. }), "{error}"),
            _ => assert!(error.to_string().contains("connection_call"), "{error}"),
        }
    }
}

#[tokio::test]
async fn only_so_much_waits_for_a_plugin() {
    let mut link = Link::new(&Limits::default());
    assert!(link.asks("ask", "colour@example.org"));
    let asked = link.next().await;
    assert!(matches!(asked, Some(ConnectionMessage::Control(_))), "{asked:?}");
    assert_eq!((0..100).filter(|_| link.asks("calls", "")).count(), 16);
    drop(asked);
    for _ in 0..17 {
        assert!(matches!(link.next().await, Some(ConnectionMessage::Answered(Some(_)))));
    }
    assert!(link.asks("calls", ""), "there is room again");
    link.end().await;
}

#[tokio::test]
async fn it_counts_as_a_session_of_its_tenant() {
    let tenant = tenant(&Limits { tenant_sessions: 1, ..Limits::default() });
    let mut first = Link::of(&switchboard(), &tenant);
    assert_eq!(first.answer("reverse", "ab").await.as_deref(), Some("ba"));
    assert_eq!(tenant.sessions(), 1);
    let mut second = Link::of(&switchboard(), &tenant);
    // It has not failed: it may be asked again when there is room.
    assert!(second.next().await.is_none() && second.link.is_over());
    assert!(matches!(second.end().await.error, Some(Error::Limit { limit: Limit::Sessions, .. })));
    first.end().await;
    assert_eq!(tenant.sessions(), 0);
}

#[tokio::test]
async fn a_retired_version_gets_its_last_call_and_has_not_failed() {
    log::listen();
    let plugin = loaded("switchboard");
    let mut link = Link::of(&plugin, &tenant(&Limits::default()));
    assert_eq!(link.answer("reverse", "ab").await.as_deref(), Some("ba"));
    plugin.retire("replaced");
    assert!(link.next().await.is_none() && link.link.is_over());
    let id = link.id.clone();
    assert!(link.end().await.error.is_none());
    assert!(logged(&id, "closed after 1 calls"));
}

#[tokio::test]
async fn each_kind_of_plugin_does_its_own_and_nothing_else() {
    let mut link = Link::of(&line(), &tenant(&Limits::default()));
    assert!(matches!(link.next().await, Some(ConnectionMessage::Failed)));
    assert!(link.next().await.is_none());
    let error = link.end().await.error.unwrap();
    assert!(error.to_string().contains("no connection plugin"), "{error}");

    let (_, report) = Client::with(&switchboard(), &[], &Limits::default()).then("").await;
    let error = report.error.unwrap_or_else(|| panic!("it was served"));
    assert!(error.to_string().contains("serves no sessions"), "{error}");
    switchboard().smoke(&tenant(&Limits::default())).await.unwrap();
}

/// A session on a channel of its own type.
fn session(payload: &[u8]) -> Client {
    Client::of_type(&line(), &Limits::default(), "thing@example.org", payload)
}

#[tokio::test]
async fn a_channel_of_its_own_type_runs_at_once_and_knows_what_it_is() {
    let mut client = session(b"\x00why");
    let first = "thing@example.org 00776879\n";
    assert_eq!(client.until_stdout(first.len()).await, first);
    assert_eq!(client.recorder.heard[0], Heard::Opened(true));
    client.send(b"hello");
    client.until(|recorder| recorder.text().ends_with("hello")).await;
    client.send(b"hand over");
    client.until(|recorder| recorder.text().ends_with("not-permitted")).await;
    client.happen(ChannelEvent::Shell);
    client.happen(ChannelEvent::Eof);
    let (recorder, report) = client.end().await;
    assert!(report.error.is_none() && recorder.text().ends_with("eof\n"), "{report:?}");
    assert_eq!(recorder.replies(), [false], "there is no program request to accept");
}

#[tokio::test]
async fn a_channel_of_its_own_type_that_its_plugin_refuses_is_not_opened() {
    for payload in [&b"no"[..], b"trap"] {
        let (recorder, report) = session(payload).end().await;
        assert_eq!(recorder.heard, [Heard::Opened(false)]);
        assert!(!report.opened);
    }
    let none = Limits { tenant_sessions: 1, ..Limits::default() };
    let tenant = Tenant::new("t", none, Grants::default());
    let mut first = Client::of(&tenant, &line(), &[]);
    first.until(|recorder| recorder.heard == [Heard::Opened(true)]).await;
    let facts = Facts::default().of_type("thing@example.org", b"");
    let (recorder, _) = Client::started(&tenant, &guests::nothing_else(), &line(), String::new(), facts).end().await;
    assert_eq!(recorder.heard, [Heard::Full], "there is no program request in whose place it could be said");
}
