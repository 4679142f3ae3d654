//! The whole gateway in this process, with our own client: what a connection that panics takes with it, and what not.
//!
//! What panics is the log: a client's note of a certain text makes the subscriber of this process panic, in the middle of the pump's turn.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

#[path = "../../../tests/client/peer.rs"]
mod peer;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{env, fs};

use peer::{Happened, Peer, Wish};
use tokio::sync::Notify;
use tokio::time::timeout;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use whelk::config::{Config, Overrides};
use whelk::drain::Stopper;
use whelk::gateway::Gateway;
use whelk::listener::Listener;
use whelk::pump;
use whelk::state::State;
use whelk_ssh::crypto::key::HostKey;
use whelk_ssh::message::mux::ChannelId;
use whelk_ssh::message::request::Request;

/// Long enough for a machine with other work; nothing waits for it unless something is broken.
const PATIENCE: Duration = Duration::from_secs(60);
const TRIGGER: &str = "panic, please";

type Fields = BTreeMap<&'static str, String>;

/// What was logged.
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

    /// The first of them, once it is there.
    async fn event(&self, message: &str, connection: &str) -> Fields {
        let waited = timeout(PATIENCE, async {
            loop {
                if let Some(event) = self.events(message, connection).pop() {
                    return event;
                }
                self.news.notified().await;
            }
        });
        waited.await.unwrap_or_else(|_| panic!("{message}: never said of {connection}"))
    }
}

/// Puts the plugin of the runtime's tests that echoes what it hears into the folder.
fn put_echo(folder: &Path) {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests");
    let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--release", "--locked", "--target", "wasm32-wasip2", "--package", "bare"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/tests/guests"))
        .env("CARGO_TARGET_DIR", &target)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTFLAGS")
        .status()
        .unwrap();
    assert!(status.success(), "the plugin does not build; `rustup target add wasm32-wasip2` may help");
    fs::copy(target.join("wasm32-wasip2/release/bare.wasm"), folder.join("echo.wasm")).unwrap();
}

/// A client with a session that echoes.
struct Visitor {
    peer: Peer,
    channel: ChannelId,
}

impl Visitor {
    async fn enter(address: SocketAddr) -> Visitor {
        let wish = Wish { address, user: "echo".to_owned(), password: None, cipher: None, kex: None, rekey: None };
        let mut peer = Peer::enter(&wish, &Arc::new(HostKey::generate().unwrap())).await.unwrap();
        let channel = peer.connection.open_session().unwrap();
        assert!(matches!(peer.happens().await.unwrap(), Happened::Opened(_)));
        assert!(peer.connection.request(channel, Request::Shell.kind(), &Request::Shell.body(), true));
        assert!(matches!(peer.happens().await.unwrap(), Happened::Answered(_, true)));
        Visitor { peer, channel }
    }

    async fn echo(&mut self, text: &[u8]) {
        assert_eq!(self.peer.connection.write(self.channel, None, text), text.len());
        let mut echoed = Vec::new();
        while echoed.len() < text.len() {
            match self.peer.happens().await.unwrap() {
                Happened::Data(_, None, data) => echoed.extend(data),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(echoed, text);
    }

    /// Makes its own connection panic, and sees it end.
    async fn doom(mut self) {
        self.peer.connection.debug(TRIGGER, false);
        let ended = timeout(PATIENCE, async { while self.peer.happens().await.is_ok() {} });
        ended.await.unwrap();
    }
}

#[tokio::test]
async fn a_panic_ends_its_own_connection_with_its_sessions_and_leaves_no_place_taken() {
    let ear = Ear::default();
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(ear.clone())).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let plugins = folder.path().join("plugins");
    fs::create_dir(&plugins).unwrap();
    put_echo(&plugins);
    let listen = vec!["127.0.0.1:0".parse().unwrap()];
    let overrides = Overrides { listen, plugins: Some(plugins), state: Some(folder.path().join("state")) };
    let mut config = Config::demonstration(&overrides).unwrap();
    // Room for two, so that whoever leaves a place taken is found out.
    (config.limits.connections, config.limits.instances) = (2, 2);
    let stopper = Stopper::new();
    let gateway = Arc::new(Gateway::new(&config, HostKey::generate().unwrap(), &stopper).unwrap());
    let state = State::open(&config.state).unwrap();
    let reload = gateway.load(&config, &state, Path::new(env!("CARGO_BIN_EXE_whelk"))).await.unwrap();
    let listener = Listener::bind(&config).unwrap();
    let address = listener.addresses().unwrap()[0];
    let serve =
        listener.serve(&stopper, move |stream, peer, permit| pump::run(stream, peer, permit, Arc::clone(&gateway)));
    let visits = async {
        let mut steady = Visitor::enter(address).await;
        for number in 2..=5 {
            let mut doomed = Visitor::enter(address).await;
            doomed.echo(b"hello").await;
            doomed.doom().await;
            let number = number.to_string();
            let ended = ear.event("session ended", &number).await;
            assert_eq!((ended["ending"].as_str(), ended["plugin"].as_str()), ("connection-lost", "echo"));
            assert_eq!((ended["tenant"].as_str(), ended["generation"].as_str()), ("echo", "1"));
            assert_eq!(ear.events("a connection ended by a panic", &number).len(), 1);
            steady.echo(b"still here").await;
        }
        assert_eq!(ear.events("session ended", "1").len(), 0);
        drop(steady);
        stopper.stop();
    };
    timeout(PATIENCE * 2, async { tokio::join!(serve, visits) }).await.unwrap();
    drop(reload);
}
