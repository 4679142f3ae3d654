//! The whole gateway in this process, with our own client: a connection that panics, a channel with a violation and a
//! client that never pauses affect nothing else.
//!
//! The panic is in the log: a client's debug message with a certain text makes this process's subscriber panic, in the
//! middle of a turn of the connection.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

#[path = "../../ssh/tests/by_hand/mod.rs"]
mod by_hand;
mod guest;
#[path = "../../../tests/client/peer.rs"]
#[expect(dead_code, reason = "what nobody expected is shown whole")]
mod peer;
#[path = "../../../tests/client/visit.rs"]
mod visit;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use std::{env, fs};

use by_hand::{HELLO, Hand, SERVICE, data, encode, none, on_channel, open};
use peer::{Happened, Peer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;
use tracing::field::{Field, Visit};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use whelk::config::{Config, Limits, Overrides};
use whelk::connection::driver;
use whelk::observe::event::{self as observe, ConnectionEvent, SessionEvent};
use whelk::server::connection_table::{ConnectionInfo, ConnectionTable, LoginInfo, SessionInfo, StartKind};
use whelk::server::drain::Stopper;
use whelk::server::gateway::Gateway;
use whelk::server::listener::Listener;
use whelk::state::State;
use whelk_ssh::crypto::key::HostKey;
use whelk_ssh::message::mux::{ChannelId, MuxMessage, Recipient, Stream};
use whelk_ssh::message::request::Request;
use whelk_ssh::wire::Rest;

/// Long enough for a busy machine; a passing test never waits that long.
const TIMEOUT: Duration = Duration::from_secs(60);
const TRIGGER: &str = "panic, please";

type Fields = BTreeMap<&'static str, String>;

/// The log.
#[derive(Clone, Default)]
struct Ear {
    heard: Arc<Mutex<Vec<Fields>>>,
    news: Arc<Notify>,
}

impl<S: Subscriber> Layer<S> for Ear {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Reader(Fields::new());
        event.record(&mut fields);
        let asked = fields.0.get("text").is_some_and(|text| text == TRIGGER);
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).push(fields.0);
        self.news.notify_one();
        assert!(!asked, "asked to panic");
    }
}

struct Reader(Fields);

impl Visit for Reader {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl Ear {
    /// The events of this message and connection so far.
    fn events(&self, message: &str, connection: &str) -> Vec<Fields> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let is =
            |event: &&Fields| event["message"] == message && event.get("connection").is_some_and(|of| of == connection);
        heard.iter().filter(|event| event.contains_key("message")).filter(is).cloned().collect()
    }

    /// The first of them, once it exists.
    async fn event(&self, message: &str, connection: &str) -> Fields {
        self.nth(message, connection, 0).await
    }

    /// One of them, once it exists.
    async fn nth(&self, message: &str, connection: &str, nth: usize) -> Fields {
        let waited = timeout(TIMEOUT, async {
            loop {
                if let Some(event) = self.events(message, connection).into_iter().nth(nth) {
                    return event;
                }
                self.news.notified().await;
            }
        });
        waited.await.unwrap_or_else(|_| panic!("{message}: never said of {connection}"))
    }
}

/// Installs the runtime tests' echo plugin.
fn put_echo(folder: &Path) {
    fs::copy(guest::build(&["bare"]).join("bare.wasm"), folder.join("echo.wasm")).unwrap();
}

/// A client with a session that echoes.
struct Visitor {
    peer: Peer,
    channel: ChannelId,
}

impl Visitor {
    async fn log_in(address: SocketAddr) -> Visitor {
        let peer = visit::log_in(address, "echo").await;
        let mut visitor = Visitor { peer, channel: ChannelId(0) };
        visitor.channel = visitor.open().await;
        visitor
    }

    /// One more session.
    async fn open(&mut self) -> ChannelId {
        visit::open(&mut self.peer, Some(&Request::Shell)).await
    }

    /// Makes a request without waiting for the reply.
    fn ask(&mut self, channel: ChannelId, request: &Request<'_>, want_reply: bool) {
        while !self.peer.connection.request(channel, request.kind(), &request.body(), want_reply) {
            self.peer.turn().unwrap();
        }
    }

    async fn echo(&mut self, text: &[u8]) {
        assert_eq!(self.peer.connection.write(self.channel, Stream::Data, text), text.len());
        let mut echoed = Vec::new();
        while echoed.len() < text.len() {
            match self.peer.happens().await.unwrap() {
                Happened::Data(_, Stream::Data, data) => echoed.extend(data),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(echoed, text);
    }

    /// Hears a session end: what it says on stderr, the signal and its message.
    async fn ending(&mut self, of: ChannelId) -> (String, String, String) {
        let (mut words, mut exit) = (String::new(), (String::new(), String::new()));
        loop {
            match self.peer.happens().await.unwrap() {
                Happened::Data(channel, Stream::STDERR, data) if channel == of => {
                    words += std::str::from_utf8(&data).unwrap();
                }
                Happened::ExitSignal(channel, signal, message) if channel == of => exit = (signal, message),
                Happened::Closed(channel) if channel == of => return (words, exit.0, exit.1),
                other => panic!("{other:?}"),
            }
        }
    }

    /// Makes its own connection panic, and waits for the end.
    async fn panic_and_close(mut self) {
        self.peer.connection.debug(TRIGGER, false);
        let ended = timeout(TIMEOUT, async { while self.peer.happens().await.is_ok() {} });
        ended.await.unwrap();
    }
}

/// A client written by hand, which can send what our own never would. The gateway numbers its channels as this client
/// does: one after the other.
struct HandVisitor {
    stream: TcpStream,
    hand: Hand,
}

impl HandVisitor {
    async fn log_in(address: SocketAddr) -> HandVisitor {
        let stream = TcpStream::connect(address).await.unwrap();
        let mut visitor = HandVisitor { stream, hand: Hand::new(false) };
        visitor.stream.write_all(&[HELLO, b"\r\n"].concat()).await.unwrap();
        let lists = visitor.hand.offer();
        let init = visitor.hand.kexinit(&lists);
        visitor.send(&init).await;
        let share = visitor.hand.share();
        visitor.send(&share).await;
        visitor.answer(21).await;
        visitor.send(&[21]).await;
        visitor.hand.switch();
        visitor.send(SERVICE).await;
        visitor.answer(6).await;
        visitor.send(&none(b"echo")).await;
        visitor.answer(52).await;
        visitor
    }

    async fn send(&mut self, payload: &[u8]) {
        let packet = self.hand.packet(payload);
        self.stream.write_all(&packet).await.unwrap();
    }

    /// The next message of this number; those before it are dropped.
    async fn answer(&mut self, number: u8) -> Vec<u8> {
        loop {
            while let Some(payload) = self.hand.next() {
                if payload[0] == number {
                    return payload;
                }
            }
            assert!(self.stream.read_buf(&mut self.hand.heard).await.unwrap() > 0, "the gateway hung up");
        }
    }

    /// One more session, which has this number on both sides.
    async fn open(&mut self, number: u32) {
        self.send(&open(number, 1 << 20, 1 << 15)).await;
        assert_eq!(self.answer(91).await[..9], *on_channel(91, number, &number.to_be_bytes()));
        let recipient = Recipient(number);
        let shell = MuxMessage::ChannelRequest { recipient, kind: b"shell", want_reply: true, body: Rest(b"") };
        self.send(&encode(&shell)).await;
        assert_eq!(self.answer(99).await, on_channel(99, number, b""));
    }

    /// Sends a text on channel 0 and waits until it has come back.
    async fn echo(&mut self, text: &[u8]) {
        self.send(&data(text)).await;
        assert_eq!(self.answer(94).await, data(text));
    }
}

/// A gateway of the demonstration, with room for two connections and two sessions, so that a leaked place is noticed.
/// `visits` connect to it.
async fn serve<V: Future<Output = ()>>(visits: impl FnOnce(SocketAddr) -> V) {
    serve_with(|_| {}, |address, _| visits(address)).await;
}

/// The same with other limits, and with the gateway for the visits.
async fn serve_with<V: Future<Output = ()>>(
    change: impl FnOnce(&mut Limits),
    visits: impl FnOnce(SocketAddr, Arc<Gateway>) -> V,
) {
    let folder = tempfile::tempdir().unwrap();
    let plugins = folder.path().join("plugins");
    fs::create_dir(&plugins).unwrap();
    put_echo(&plugins);
    let listen = vec!["127.0.0.1:0".parse().unwrap()];
    let overrides = Overrides { listen, plugins: Some(plugins), state: Some(folder.path().join("state")) };
    let mut config = Config::demonstration(&overrides).unwrap();
    (config.limits.connections, config.limits.plugins.instances) = (2, 2);
    change(&mut config.limits);
    let stopper = Stopper::new();
    let gateway = Arc::new(Gateway::new(&config, vec![HostKey::generate().unwrap()], &stopper).unwrap());
    let state = State::open(&config.state).unwrap();
    let reload = gateway.load(&config, &state, Path::new(env!("CARGO_BIN_EXE_whelk"))).await.unwrap();
    reload.prepared().await;
    let listener = Listener::bind(&config).unwrap();
    let address = listener.addresses().unwrap()[0];
    let shown = Arc::clone(&gateway);
    let serve =
        listener.serve(&stopper, move |stream, peer, permit| driver::run(stream, peer, permit, Arc::clone(&gateway)));
    let visits = async {
        visits(address, shown).await;
        stopper.stop();
    };
    timeout(TIMEOUT * 2, async { tokio::join!(serve, visits) }).await.unwrap();
    drop(reload);
}

/// Captures the log of this thread. Each test runs on one.
fn listen() -> (Ear, DefaultGuard) {
    let ear = Ear::default();
    let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(ear.clone()));
    (ear, guard)
}

#[tokio::test]
async fn a_panic_ends_its_own_connection_and_frees_its_places() {
    let (ear, _guard) = listen();
    serve(async |address| {
        let mut steady = Visitor::log_in(address).await;
        for number in 2..=5 {
            let mut panicking = Visitor::log_in(address).await;
            panicking.echo(b"hello").await;
            panicking.panic_and_close().await;
            let number = number.to_string();
            let ended = ear.event("session ended", &number).await;
            assert_eq!((ended["ending"].as_str(), ended["plugin"].as_str()), ("connection-lost", "echo"));
            assert_eq!((ended["tenant"].as_str(), ended["generation"].as_str()), ("echo", "1"));
            assert_eq!(ear.events("a connection ended by a panic", &number).len(), 1);
            steady.echo(b"still here").await;
        }
        assert_eq!(ear.events("session ended", "1").len(), 0);
    })
    .await;
}

/// C7, C8: a violation on one channel ends that channel alone.
#[tokio::test]
async fn a_channel_with_a_violation_ends_alone_and_the_log_says_why() {
    let (ear, _guard) = listen();
    serve(async |address| {
        let mut visitor = HandVisitor::log_in(address).await;
        visitor.open(0).await;
        for nth in 0..3 {
            let number = nth as u32 + 1;
            visitor.open(number).await;
            // Two adjustments that overflow any window.
            for _ in 0..2 {
                visitor.send(&on_channel(93, number, &[0xff; 4])).await;
            }
            assert_eq!(visitor.answer(97).await, on_channel(97, number, b""));
            let said = ear.nth("channel closed: protocol error", "1", nth).await;
            let violation = "a window would exceed 2^32 - 1 (RFC 4254 §5.2)";
            assert_eq!((said["channel"].as_str(), said["error"].as_str()), (&*number.to_string(), violation));
            visitor.send(&on_channel(97, number, b"")).await;
            assert_eq!(ear.nth("session ended", "1", nth).await["ending"], "client-closed");
            visitor.echo(b"still here").await;
        }
    })
    .await;
}

/// C31: a burst of variables ends nothing: `SendEnv *` on a machine with many, by a client that waits for no reply.
#[tokio::test]
async fn hundreds_of_variables_in_a_burst_end_nothing() {
    let (ear, _guard) = listen();
    serve(async |address| {
        for (number, want_reply) in [("1", true), ("2", false)] {
            let mut visitor = Visitor::log_in(address).await;
            let channel = visitor.peer.connection.open_session().unwrap();
            assert!(matches!(visitor.peer.happens().await.unwrap(), Happened::Opened(_)));
            for number in 0..900 {
                let name = format!("CI_{number}");
                visitor.ask(channel, &Request::Env { name: name.as_bytes(), value: b"1" }, want_reply);
            }
            visitor.ask(channel, &Request::Shell, true);
            for number in if want_reply { 0..901 } else { 900..901 } {
                match visitor.peer.happens().await.unwrap() {
                    Happened::Answered(_, success) => assert_eq!(success, number == 900, "{number}"),
                    other => panic!("{other:?}"),
                }
            }
            visitor.echo(b"still here").await;
            drop(visitor);
            ear.nth("session ended", number, 1).await;
        }
    })
    .await;
}

/// P17: bytes above 35,000 in a packet are charged to the tenant's input budget. Here one packet fits at a time, so
/// each waits for the one before, and none is refused.
#[tokio::test]
async fn large_packets_of_two_connections_share_the_memory_of_their_tenant() {
    let (ear, _guard) = listen();
    let large = "x".repeat(200_000);
    serve_with(
        |limits| limits.plugins.tenant_input = 200_000,
        async |address, _| {
            let mut visitors = [Visitor::log_in(address).await, Visitor::log_in(address).await];
            for _ in 0..5 {
                for visitor in &mut visitors {
                    visitor.peer.connection.debug(&large, false);
                    visitor.peer.turn().unwrap();
                }
                for visitor in &mut visitors {
                    visitor.echo(b"still here").await;
                }
            }
            for number in ["1", "2"] {
                assert!(ear.events("connection closed", number).is_empty());
            }
        },
    )
    .await;
}

/// Lets others run until the table has so many connections.
async fn until_listed(table: &ConnectionTable, count: usize) -> Vec<ConnectionInfo> {
    let listed = timeout(TIMEOUT, async {
        loop {
            let rows = table.snapshot();
            if rows.len() == count {
                return rows;
            }
            tokio::task::yield_now().await;
        }
    });
    listed.await.unwrap_or_else(|_| panic!("not {count} connections: {:?}", table.snapshot()))
}

/// The events of this program, by name, with what they say.
static EVENTS: Mutex<Vec<(&str, String)>> = Mutex::new(Vec::new());

fn note_event(event: &observe::Event<'_>) {
    let text = match event {
        observe::Event::Connection(ConnectionEvent::EndRequested { reason, .. }) => reason.to_string(),
        observe::Event::Session(SessionEvent::EndRequested { reason, .. }) => reason.to_string(),
        observe::Event::Runtime(whelk_runtime::event::LogEvent::PluginLine { message, .. }) => (*message).to_owned(),
        _ => return,
    };
    EVENTS.lock().unwrap().push((event.name(), text));
}

#[tokio::test]
async fn the_table_lists_connections_and_sessions_and_ends_one_of_them_alone() {
    let (ear, _guard) = listen();
    assert!(observe::subscribe(vec![Box::new(note_event)], whelk_runtime::event::FileEvents::All));
    let room = |limits: &mut Limits| limits.plugins.instances = 3;
    serve_with(room, async |address, gateway| {
        let table = gateway.connections();
        assert!(table.snapshot().is_empty());
        let mut first = Visitor::log_in(address).await;
        let mut second = Visitor::log_in(address).await;
        first.echo(b"hello").await;
        let ended = first.open().await;

        let rows = until_listed(table, 2).await;
        let row = &rows[0];
        assert_eq!((row.connection, row.peer.ip(), rows[1].connection), (1, Some(address.ip()), 2));
        let login = LoginInfo { user: "echo".to_owned(), tenant: "echo".to_owned(), method: "none" };
        assert_eq!(row.login.as_ref(), Some(&login));
        assert!(row.received > 500 && row.sent > 500 && row.began.at <= SystemTime::now(), "{row:?}");
        let shown =
            |session: &SessionInfo| (session.number, session.channel, session.start.as_ref().map(|start| start.kind));
        let sessions: Vec<_> = row.sessions.iter().map(shown).collect();
        assert_eq!(sessions, [(1, 0, Some(StartKind::Shell)), (2, 1, Some(StartKind::Shell))]);
        assert_eq!(row.sessions[1].plugin, Some(("echo".into(), 1)));

        assert!(table.end_session(1, 2, "for maintenance", 0));
        let said = ("whelk: for maintenance\n".to_owned(), "HUP".to_owned(), "for maintenance".to_owned());
        assert_eq!(first.ending(ended).await, said);
        assert!(!table.end_session(1, 2, "again", 0));
        first.echo(b"the session beside it").await;
        assert_eq!(table.snapshot()[0].sessions.len(), 1);

        assert!(table.end_connection(1, "go away", 0));
        let error = loop {
            if let Err(error) = first.peer.happens().await {
                break error.to_string();
            }
        };
        assert!(error.contains("go away"), "{error}");
        drop(first);
        assert_eq!(ear.event("connection closed", "1").await["reason"], "ended on request: go away");
        let rows = until_listed(table, 1).await;
        assert_eq!((rows[0].connection, rows[0].sessions.len()), (2, 1));
        second.echo(b"the connection beside it").await;
        drop(second);
        until_listed(table, 0).await;
    })
    .await;
    let events = EVENTS.lock().unwrap();
    for (name, text) in [
        ("session_end_requested", "for maintenance"),
        ("plugin_line", "closed Ending::Drained"),
        ("connection_end_requested", "go away"),
    ] {
        assert!(events.contains(&(name, text.to_owned())), "{name}: {events:?}");
    }
}

/// A connection whose task panics leaves no row, as it leaves no place taken.
#[tokio::test]
async fn a_panic_leaves_no_row_in_the_table() {
    let (ear, _guard) = listen();
    serve_with(
        |_| {},
        async |address, gateway| {
            let mut steady = Visitor::log_in(address).await;
            Visitor::log_in(address).await.panic_and_close().await;
            ear.event("a connection ended by a panic", "2").await;
            let rows = until_listed(gateway.connections(), 1).await;
            assert_eq!((rows[0].connection, rows[0].sessions.len()), (1, 1));
            steady.echo(b"still here").await;
        },
    )
    .await;
}

/// Sends meaningless packets without a pause, until the connection ends.
fn flood(address: SocketAddr) {
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.write_all(b"SSH-2.0-flood\r\n").unwrap();
    // IGNORE with no data, RFC 4253 §11.2: 12 bytes of payload, padding and its length.
    let packet = b"\0\0\0\x0c\x06\x02\0\0\0\0\0\0\0\0\0\0";
    let packets = packet.repeat(4096);
    while stream.write_all(&packets).is_ok() {}
}

/// F1: the connection of a client that never pauses never waits, and notices all the same that its place was taken.
#[tokio::test]
async fn a_connection_that_floods_before_login_can_be_dropped_for_a_newcomer() {
    let (ear, _guard) = listen();
    let one = |limits: &mut Limits| {
        limits.connections = 1;
        // Longer than any deadline of a stage.
        limits.key_exchange_grace = TIMEOUT * 10;
    };
    serve_with(one, async |address, _| {
        let flooding = std::thread::spawn(move || flood(address));
        ear.event("connection opened", "1").await;
        let mut greeting = [0; 12];
        loop {
            // No connection is dropped within its first two seconds, so the first newcomers are refused.
            let mut newcomer = TcpStream::connect(address).await.unwrap();
            if newcomer.read_exact(&mut greeting).await.is_ok() && greeting == *b"SSH-2.0-Open" {
                break;
            }
        }
        let closed = timeout(TIMEOUT, ear.event("connection closed", "1")).await.unwrap();
        assert_eq!(closed["reason"], "not logged in, and its place was given to a new connection");
        flooding.join().unwrap();
    })
    .await;
}
