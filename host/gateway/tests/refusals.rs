//! The whole gateway in this process, with our own client: refusals are reported to the client and logged for the
//! operator.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod guest;
#[path = "../../../tests/client/peer.rs"]
#[expect(dead_code, reason = "what nobody expected is shown whole")]
mod peer;
#[path = "../../../tests/client/visit.rs"]
mod visit;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use std::{env, fs};

use peer::{Happened, Peer};
use tokio::sync::Notify;
use tokio::time::timeout;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use whelk::config::{Config, Limits, Overrides};
use whelk::connection::driver;
use whelk::server::drain::Stopper;
use whelk::server::gateway::Gateway;
use whelk::server::listener::Listener;
use whelk::state::State;
use whelk_ssh::crypto::key::HostKey;
use whelk_ssh::message::mux::{ChannelId, Stream};
use whelk_ssh::message::request::Request;

/// Long enough for a busy machine; a passing test never waits that long.
const TIMEOUT: Duration = Duration::from_secs(60);

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
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).push(fields.0);
        self.news.notify_waiters();
    }
}

/// Texts unchanged; other values as they are printed, so that a text in the place of a number shows.
struct Reader(Fields);

impl Visit for Reader {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), format!("text {value}"));
    }
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl Ear {
    /// The log of this process.
    fn listen() -> Ear {
        static EAR: OnceLock<Ear> = OnceLock::new();
        let listening = EAR.get_or_init(|| {
            let ear = Ear::default();
            tracing::subscriber::set_global_default(tracing_subscriber::registry().with(ear.clone())).unwrap();
            ear
        });
        listening.clone()
    }

    /// The first events of this message, once there are this many.
    async fn events(&self, message: &str, count: usize) -> Vec<Fields> {
        let waited = timeout(TIMEOUT, async {
            loop {
                let news = self.news.notified();
                let events: Vec<_> = {
                    let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
                    heard.iter().filter(|event| event.get("message").is_some_and(|is| is == message)).cloned().collect()
                };
                if events.len() >= count {
                    return events;
                }
                news.await;
            }
        });
        waited.await.unwrap_or_else(|_| panic!("{message}: not said {count} times"))
    }
}

/// Installs the runtime tests' echo plugin.
fn put_echo(folder: &Path) {
    fs::copy(guest::build(&["bare"]).join("bare.wasm"), folder.join("echo.wasm")).unwrap();
}

/// Serves with these limits while the visit lasts.
async fn visited<V: Future<Output = ()>>(limits: Limits, visit: impl FnOnce(SocketAddr) -> V) {
    let folder = tempfile::tempdir().unwrap();
    let plugins = folder.path().join("plugins");
    fs::create_dir(&plugins).unwrap();
    put_echo(&plugins);
    let listen = vec!["127.0.0.1:0".parse().unwrap()];
    let overrides = Overrides { listen, plugins: Some(plugins), state: Some(folder.path().join("state")) };
    let mut config = Config::demonstration(&overrides).unwrap();
    config.limits = limits;
    config.limits.plugins.instances = 4;
    let stopper = Stopper::new();
    let gateway = Arc::new(Gateway::new(&config, vec![HostKey::generate().unwrap()], &stopper).unwrap());
    let state = State::open(&config.state).unwrap();
    let reload = gateway.load(&config, &state, Path::new(env!("CARGO_BIN_EXE_whelk"))).await.unwrap();
    reload.prepared().await;
    let listener = Listener::bind(&config).unwrap();
    let address = listener.addresses().unwrap()[0];
    let serve =
        listener.serve(&stopper, move |stream, peer, permit| driver::run(stream, peer, permit, Arc::clone(&gateway)));
    let visit = async {
        visit(address).await;
        stopper.stop();
    };
    timeout(TIMEOUT * 2, async { tokio::join!(serve, visit) }).await.unwrap();
    drop(reload);
}

/// A client with a session before a start request.
async fn log_in(address: SocketAddr) -> (Peer, ChannelId) {
    let mut peer = visit::log_in(address, "echo").await;
    let channel = visit::open(&mut peer, None).await;
    (peer, channel)
}

fn ask(peer: &mut Peer, channel: ChannelId, request: &Request<'_>, want_reply: bool) {
    assert!(peer.connection.request(channel, request.kind(), &request.body(), want_reply));
}

#[tokio::test]
async fn a_refused_plugin_is_logged_once_and_harms_nothing() {
    // C31, C32
    let ear = Ear::listen();
    let mut limits = Limits::default();
    limits.plugins.command = 1000;
    visited(limits, async |address| {
        let (mut peer, channel) = log_in(address).await;
        for number in 0..9 {
            let name = format!("CI_{number}");
            ask(&mut peer, channel, &Request::Env { name: name.as_bytes(), value: b"x" }, false);
        }
        assert!(peer.connection.global_request(b"tcpip-forward", b"", false));
        ask(&mut peer, channel, &Request::Exec { command: &[b'x'; 1001] }, true);
        let Happened::Data(_, Stream::STDERR, told) = peer.happens().await.unwrap() else {
            panic!("nothing on stderr")
        };
        let words = "whelk: the command is too long: 1001 bytes, and at most 1000 are accepted\n";
        assert_eq!(String::from_utf8(told).unwrap(), words);
        assert!(matches!(peer.happens().await.unwrap(), Happened::Answered(_, false)));
        // The session goes on.
        ask(&mut peer, channel, &Request::Shell, true);
        assert!(matches!(peer.happens().await.unwrap(), Happened::Answered(_, true)));
        let refused = ear.events("request refused", 2).await;
        let said = |at: usize, name: &str| refused[at].get(name).cloned();
        assert_eq!(refused.len(), 2);
        assert_eq!((said(0, "what"), said(1, "what")), (Some("tcpip-forward".to_owned()), Some("exec".to_owned())));
        assert_eq!(said(0, "reason"), Some("text forwarding is not supported yet".to_owned()));
        assert_eq!((said(1, "connection"), said(1, "channel")), (Some("1".to_owned()), Some("0".to_owned())));
        assert_eq!(said(1, "user"), Some("echo".to_owned()));
        assert_eq!(said(1, "detail"), Some(format!("text {}", "x".repeat(200))));
        let variables = ear.events("variables refused", 1).await;
        assert_eq!(variables[0]["count"], "9");
        assert!(variables[0]["names"].starts_with("text CI_0 CI_1 "), "{variables:?}");
    })
    .await;
}

#[tokio::test]
async fn a_session_for_which_the_server_has_no_memory_left_is_refused_with_a_reason() {
    // W5, W46
    let ear = Ear::listen();
    // There is room for one instance of the plugin, which begins with at least 17 pages of 64 KiB.
    let mut limits = Limits::default();
    limits.plugins.memory_total = 1600 << 10;
    visited(limits, async |address| {
        let (mut first, channel) = log_in(address).await;
        ask(&mut first, channel, &Request::Shell, true);
        assert!(matches!(first.happens().await.unwrap(), Happened::Answered(_, true)));
        let (mut peer, channel) = log_in(address).await;
        ask(&mut peer, channel, &Request::Shell, true);
        let mut told = String::new();
        let words = "out of memory: the server has no more for plugins now";
        let exit = loop {
            match peer.happens().await.unwrap() {
                Happened::Answered(_, yes) => assert!(yes),
                Happened::Data(_, Stream::STDERR, data) => told += &String::from_utf8(data).unwrap(),
                Happened::ExitSignal(_, name, message) => break (name, message),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(exit, ("KILL".to_owned(), words.to_owned()));
        assert_eq!(told, format!("whelk: {words}\r\n"));
        let over = ear.events("server over limit", 1).await;
        assert_eq!((over[0]["limit"].as_str(), over.len()), ("text memory_total", 1));
        let ended = ear.events("session ended", 1).await;
        let out = |event: &&Fields| event.get("error").is_some_and(|error| error.contains(words));
        let ended = ended.iter().find(out).unwrap();
        // The first is not affected.
        assert_eq!(first.connection.write(ChannelId(0), Stream::Data, b"still here"), 10);
        assert!(
            matches!(first.happens().await.unwrap(), Happened::Data(_, Stream::Data, data) if data == b"still here")
        );
        assert_eq!((ended["ending"].as_str(), ended["connection"].as_str()), ("text not started", "2"));
    })
    .await;
}
