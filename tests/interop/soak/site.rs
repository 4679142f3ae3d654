//! The server of the soak, and how clients get in.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use whelk_tests::{Access, Event, Gateway, Keys, Setup, shipped_plugins};

/// The text with which a session of a replaced plugin ends.
pub(super) const REPLACED: &str = "this version of the plugin was replaced";

/// A running server.
pub(super) struct Site {
    pub(super) gateway: Gateway,
    /// Those of `alice`, who has a home.
    pub(super) keys: Arc<Keys>,
    pub(super) fingerprints: Vec<String>,
    /// Numbers of configurations and of versions of the plugin.
    generation: AtomicU64,
}

/// The configuration of one generation: some limits change, and who may log in.
///
/// `guest` has the plugin for tests, `alice` a home and that plugin, `shelly` a shell, `victim` is ended by the
/// operator, and the plugin of `swap` is replaced.
fn configuration(generation: u64) -> String {
    let user = |name: &str, more: &str| format!("[users.{name}]\nauth = \"none\"\n{more}\n");
    let (drain, rate) = (10 + generation % 5, 100 + generation % 7);
    [
        format!("penalty_exempt = [\"127.0.0.0/8\"]\nbanner = \"generation {generation}\"\n"),
        format!("[limits]\ndrain = \"{drain} s\"\nlog_rate = {rate}\nreload_drain = \"2 s\"\n"),
        "connections_per_user = 1000\nsessions_per_user = 1000\ntenant_sessions = 1000\n".to_owned(),
        "unauthenticated_per_source = 1000\n".to_owned(),
        user("guest", "plugin = \"probe\""),
        user("victim", "plugin = \"probe\""),
        user("swap", "plugin = \"swap\""),
        user("shelly", "tenant = \"unix\""),
        user(&format!("guest{generation}"), "plugin = \"probe\""),
        "[users.alice]\ntenant = \"acme\"\nauthorized_keys = \"keys\"\n".to_owned(),
        "[tenants.acme]\nplugin = \"probe\"\ngrants.directory = { path = \"homes/{principal}\" }\n".to_owned(),
        "[tenants.unix]\nplugin = \"sh\"\n[tenants.unix.grants]\nprocess = true\n".to_owned(),
        "directory = { ephemeral = \"connection\" }\n".to_owned(),
    ]
    .concat()
}

/// A version of the plugin `swap`: that for tests, with a section of its own that means nothing.
fn version(generation: u64) -> Vec<u8> {
    let mut wasm = fs::read(shipped_plugins().join("probe.wasm")).expect("it is built");
    let name = format!("version{generation:04}");
    let length = u8::try_from(name.len()).expect("a short name");
    wasm.extend([0, length + 1, length]);
    wasm.extend(name.bytes());
    wasm
}

fn count(events: &[Event], message: &str, plugin: Option<&str>) -> usize {
    let is_about = |event: &Event| plugin.is_none_or(|plugin| event.field("plugin") == plugin);
    events.iter().filter(|event| event.message == message && is_about(event)).count()
}

impl Site {
    pub(super) fn start() -> Self {
        let (access, line) = Access::fresh_key();
        let Access::Key(keys) = access else { unreachable!("a fresh key is a key") };
        let setup = Setup::default().log_filter("info").configuration(&configuration(0)).shell();
        fs::write(setup.folder().join("keys"), line).expect("our own folder");
        for folder in ["homes", "local"] {
            fs::DirBuilder::new().mode(0o755).create(setup.folder().join(folder)).expect("our own folder");
        }
        fs::write(setup.folder().join("shipped/swap.wasm"), version(0)).expect("our own folder");
        let gateway = setup.start();
        gateway.wait("the shell", |event| {
            (event.message == "program loaded" && event.field("plugin") == "sh").then_some(())
        });
        let fingerprints = gateway.fingerprints();
        Self { gateway, keys, fingerprints, generation: AtomicU64::new(0) }
    }

    /// A folder for the files of clients.
    pub(super) fn local(&self) -> PathBuf {
        self.gateway.folder().join("local")
    }

    /// How often the server has logged this, about this plugin if one is named.
    pub(super) fn logged(&self, message: &str, plugin: Option<&str>) -> usize {
        self.gateway.wait_all(message, |events| Some(count(events, message, plugin)))
    }

    /// Waits until it has logged that more often than this.
    pub(super) fn wait_for_more(&self, message: &str, plugin: Option<&str>, before: usize) {
        self.gateway.wait_all(message, |events| (count(events, message, plugin) > before).then_some(()));
    }

    /// Writes the next configuration.
    pub(super) fn configure(&self) {
        let generation = self.generation.fetch_add(1, Ordering::Relaxed) + 1;
        let file = self.gateway.configuration().expect("it has one");
        let next = file.with_extension("next");
        fs::write(&next, configuration(generation)).expect("our own folder");
        fs::rename(next, file).expect("our own folder");
    }

    /// Puts the next version of the plugin `swap` in the place of the one that there is.
    pub(super) fn replace(&self) {
        let generation = self.generation.fetch_add(1, Ordering::Relaxed) + 1;
        let next = self.gateway.plugins().join(".swap");
        fs::write(&next, version(generation)).expect("our own folder");
        fs::rename(next, self.gateway.plugins().join("swap.wasm")).expect("our own folder");
    }

    /// Ends the server, as it must without an error in its log.
    pub(super) fn end(mut self) {
        let events = self.gateway.terminate();
        let errors: Vec<_> = events.iter().filter(|event| event.level == "ERROR").map(|event| &event.line).collect();
        assert!(errors.is_empty(), "{errors:?}");
    }
}
