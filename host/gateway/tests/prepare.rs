//! A server that listens while its plugins are compiled: what clients of those plugins meet, with our own client.
//!
//! The compiler of these tests is a shell script that waits until a test lets it go on.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

#[path = "../../../tests/client/peer.rs"]
mod peer;

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs};

use peer::{Happened, Peer, Wish};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use tokio::time::timeout;
use whelk::config::{Config, Overrides};
use whelk::drain::Stopper;
use whelk::gateway::Gateway;
use whelk::listener::Listener;
use whelk::pump;
use whelk::reload::Reload;
use whelk::state::State;
use whelk_ssh::crypto::key::HostKey;
use whelk_ssh::message::request::Request;

/// Long enough for a machine with other work; nothing waits for it unless something is broken.
const PATIENCE: Duration = Duration::from_secs(120);

/// A folder with a plugin that echoes, and what a server has besides.
struct Place {
    folder: tempfile::TempDir,
    config: Config,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let plugins = folder.path().join("plugins");
        fs::create_dir(&plugins).unwrap();
        put_echo(&plugins);
        let listen = vec!["127.0.0.1:0".parse().unwrap()];
        let overrides = Overrides { listen, plugins: Some(plugins), state: Some(folder.path().join("state")) };
        let config = Config::demonstration(&overrides).unwrap();
        Place { folder, config }
    }

    /// A compiler that does this first.
    fn compiler(&self, first: &str) -> PathBuf {
        let path = self.folder.path().join("compiler");
        let text = format!("#!/bin/sh\n{first}\nexec '{}' \"$@\"\n", env!("CARGO_BIN_EXE_whelk"));
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        path
    }

    /// Serves while `client` runs, with this compiler.
    async fn serve<C: Future<Output = ()>>(&self, compiler: &Path, client: impl FnOnce(SocketAddr, Reload) -> C) {
        let stopper = Stopper::new();
        let gateway = Arc::new(Gateway::new(&self.config, HostKey::generate().unwrap(), &stopper).unwrap());
        let state = State::open(&self.config.state).unwrap();
        let listener = Listener::bind(&self.config).unwrap();
        let address = listener.addresses().unwrap()[0];
        let reload = gateway.load(&self.config, &state, compiler).await.unwrap();
        let serve =
            listener.serve(&stopper, move |stream, peer, permit| pump::run(stream, peer, permit, Arc::clone(&gateway)));
        let client = async {
            client(address, reload).await;
            stopper.stop();
        };
        timeout(PATIENCE, async { tokio::join!(serve, client) }).await.unwrap();
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

/// What a client hears of a session in which it asks for a shell and says hello.
async fn visit(address: SocketAddr, user: &str) -> Vec<Happened> {
    let wish = Wish {
        address,
        user: user.to_owned(),
        password: None,
        cipher: None,
        kex: None,
        rekey: None,
        from: None,
        guess: None,
    };
    let mut peer = Peer::enter(&wish, &Arc::new(HostKey::generate().unwrap())).await.unwrap();
    let channel = peer.connection.open_session().unwrap();
    assert!(matches!(peer.happens().await.unwrap(), Happened::Opened(_)));
    assert!(peer.connection.request(channel, Request::Shell.kind(), &Request::Shell.body(), true));
    assert!(matches!(peer.happens().await.unwrap(), Happened::Answered(_, true)));
    peer.connection.write(channel, None, b"hello");
    let mut heard = Vec::new();
    loop {
        let happened = peer.happens().await.unwrap();
        let is_last = matches!(happened, Happened::Closed(_) | Happened::ExitStatus(..) | Happened::Data(_, None, _));
        heard.push(happened);
        if is_last {
            return heard;
        }
    }
}

/// The text and the status of somebody who is served by nobody.
fn told(heard: &[Happened]) -> (String, u32) {
    match heard {
        [Happened::Data(_, Some(1), text), Happened::ExitStatus(_, status)] => {
            (String::from_utf8_lossy(text).into_owned(), *status)
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn while_a_plugin_is_compiled_its_clients_are_told_to_try_again_or_wait_for_it() {
    let mut place = Place::new();
    let gate = place.folder.path().join("gate");
    mknodat(CWD, &gate, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let compiler = place.compiler(&format!("read go < '{}'", gate.display()));
    place.config.limits.prepare_wait = Duration::ZERO;
    place
        .serve(&compiler, async |address, reload| {
            let (text, status) = told(&visit(address, "echo").await);
            assert_eq!((text.as_str(), status), ("plugin \"echo\" is still being prepared; try again\r\n", 1));
            // One that is not there is something else, and the list says what will be.
            let (text, status) = told(&visit(address, "absent").await);
            assert!(text.contains("  echo (still being prepared)\r\n") && status == 1, "{text}");
            drop(reload);
        })
        .await;
    place.config.limits.prepare_wait = PATIENCE;
    place
        .serve(&compiler, async |address, reload| {
            let let_go = async {
                // Opened as soon as somebody waits at the other end.
                tokio::task::spawn_blocking(move || fs::write(gate, "go\n")).await.unwrap().unwrap();
            };
            let (heard, ()) = tokio::join!(visit(address, "echo"), let_go);
            assert!(matches!(heard.last(), Some(Happened::Data(_, None, text)) if text == b"hello"), "{heard:?}");
            reload.prepared().await;
        })
        .await;
}

#[tokio::test]
async fn a_plugin_whose_compiler_was_killed_is_tried_again() {
    let mut place = Place::new();
    let mark = place.folder.path().join("mark");
    let compiler = place.compiler(&format!("[ -e '{0}' ] || {{ : > '{0}'; kill -KILL $$; }}", mark.display()));
    place.config.limits.prepare_wait = PATIENCE;
    place
        .serve(&compiler, async |address, reload| {
            reload.prepared().await;
            assert!(mark.exists());
            let (text, status) = told(&visit(address, "echo").await);
            assert!(text.starts_with("There are no plugins here yet") && status == 1, "{text}");
            // Until it is there after all.
            while !matches!(visit(address, "echo").await.last(), Some(Happened::Data(_, None, _))) {}
            drop(reload);
        })
        .await;
}
