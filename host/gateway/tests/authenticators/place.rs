//! A gateway with a configuration, and clients that connect to it.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;
use tokio::io::duplex;
use tokio::sync::OnceCell;
use whelk::config::{Config, Overrides};
use whelk::connection::driver;
use whelk::connection::stream::polled::Polled;
use whelk::plugins::reload::Reload;
use whelk::server::drain::Stopper;
use whelk::server::gateway::Gateway;
use whelk::server::listener::ConnectionPermit;
use whelk::source::Peer;
use whelk::state::State;
use whelk_ssh::crypto::key::HostKey;

use crate::client::Visitor;
use crate::{guest, log};

/// Our plugins, by the names of their packages: those that decide about logins, and one for sessions, which says what
/// it knows.
const PLUGINS: [&str; 4] = ["doorman", "gatekeeper", "script", "neighbour"];

/// A host key: of it follow the times of rejections.
pub(crate) const HOST_KEY: &str = include_str!("../../../ssh/src/crypto/key/host/fixtures/pkcs8_ed25519.key");

/// An authenticator of every name, which may grant the tenant `acme`, and that tenant.
pub(crate) const DOOR: &str = r#"
[tenants.acme]
[[authenticators]]
name = "door"
plugin = "doorman"
users = "*"
tenants = ["acme"]
config = { interactive = "ask Well? " }
"#;

/// A running gateway.
pub(crate) struct Place {
    folder: TempDir,
    gateway: Arc<Gateway>,
    reload: Reload,
    _stopper: Stopper,
}

/// A state folder with the compiled plugins.
static PREPARED: OnceCell<TempDir> = OnceCell::const_new();

/// A folder with the plugins.
fn installed() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("plugins")).unwrap();
    let built = guest::build(&PLUGINS);
    for name in PLUGINS {
        fs::copy(
            built.join(name).with_extension("wasm"),
            folder.path().join("plugins").join(name).with_extension("wasm"),
        )
        .unwrap();
    }
    folder
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&from, &to);
        } else {
            fs::copy(from, to).unwrap();
        }
    }
}

/// Compiles the plugins once for all tests.
async fn prepared() -> &'static TempDir {
    let prepare = async || {
        let folder = installed();
        let place = Place::start(folder, "users.x = { plugin = \"script\", auth = \"none\" }").await;
        let Place { folder, reload, .. } = place;
        drop(reload);
        folder
    };
    PREPARED.get_or_init(prepare).await
}

impl Place {
    /// Serves by this configuration.
    pub(crate) async fn new(text: &str) -> Place {
        log::listen();
        let prepared = prepared().await;
        let folder = installed();
        copy_folder(&prepared.path().join("state"), &folder.path().join("state"));
        Place::start(folder, text).await
    }

    async fn start(folder: TempDir, text: &str) -> Place {
        let file = folder.path().join("whelk.toml");
        fs::write(&file, format!("state = \"state\"\n{text}")).unwrap();
        let mut config = Config::load(&file, &Overrides::default()).unwrap_or_else(|refused| panic!("{refused}"));
        config.limits.plugins.instances = 100;
        let stopper = Stopper::new();
        let host_key = HostKey::from_file(HOST_KEY).unwrap();
        let gateway = Arc::new(Gateway::new(&config, vec![host_key], &stopper).unwrap());
        let state = State::open(&config.state).unwrap();
        let reload = gateway.load(&config, &state, Path::new(env!("CARGO_BIN_EXE_whelk"))).await.unwrap();
        reload.prepared().await;
        Place { folder, gateway, reload, _stopper: stopper }
    }

    /// The file of a plugin.
    pub(crate) fn plugin(&self, name: &str) -> PathBuf {
        self.folder.path().join("plugins").join(name).with_extension("wasm")
    }

    /// A client from this machine.
    pub(crate) fn connect(&self, user: &str) -> Visitor {
        self.connect_from(user, 1)
    }

    /// A client from the address `192.0.2.FROM`.
    pub(crate) fn connect_from(&self, user: &str, from: u8) -> Visitor {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let (ours, theirs) = duplex(64 << 10);
        let peer = Peer::Address(SocketAddr::from((Ipv4Addr::new(192, 0, 2, from), 1000)));
        let permit = ConnectionPermit::unlisted(number);
        let served = tokio::spawn(driver::run(Polled::new(theirs), peer, permit, Arc::clone(&self.gateway)));
        Visitor::new(user, ours, number, served)
    }
}
