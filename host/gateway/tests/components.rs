//! Components that the processes of a tenant start from files of their own: who may, what is compiled and when, what
//! is counted, and what it costs others. W34.
//!
//! What a process asks for is asked here as the runtime does it. What leads to a file is the runtime's own
//! (`process/executable.rs`).
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

#[expect(unreachable_pub, reason = "other tests have it from their library")]
#[path = "../../../tests/src/script.rs"]
mod script;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use script::write_script;
use tokio::time::timeout;
use whelk::config::{Config, Overrides};
use whelk::plugins::reload::Reload;
use whelk::server::drain::Stopper;
use whelk::server::gateway::Gateway;
use whelk::state::State;
use whelk::tenant::Tenant;
use whelk_runtime::{Lookup, Plugin, Plugins, Source, UnrunnableKind};
use whelk_ssh::crypto::key::HostKey;

/// Long enough for a busy machine; a passing test never waits that long.
const TIMEOUT: Duration = Duration::from_secs(240);

/// Acme may deploy and has its own plugin folder in its directory; bolt has neither.
const TENANTS: &str = "\
[users.alice]
tenant = \"acme\"
auth = \"none\"
[users.bob]
tenant = \"bolt\"
auth = \"none\"
[tenants.acme]
plugin = \"home\"
plugins = \"acme/plugins\"
[tenants.acme.grants]
directory = { path = \"acme\", access = \"read-write\" }
deploy = true
[tenants.bolt]
plugin = \"home\"
";

/// A program. `version` changes the file and nothing else.
fn program(version: u32) -> Vec<u8> {
    let mut wasm = wat::parse_str(
        r#"(component
            (core module $m (func (export "run") (result i32) i32.const 0))
            (core instance $c (instantiate $m))
            (func $run (result (result)) (canon lift (core func $c "run")))
            (instance $i (export "run" (func $run)))
            (export "wasi:cli/run@0.2.6" (instance $i)))"#,
    )
    .unwrap();
    // A custom section: its kind, its length, the length of its name, its name, its contents.
    wasm.extend([0, 6, 1, b'v']);
    wasm.extend(version.to_le_bytes());
    wasm
}

/// A server with a compiler that writes a line to a file for each file that it compiles.
struct Server {
    folder: tempfile::TempDir,
    gateway: Gateway,
    _reload: Reload,
}

impl Server {
    async fn start(limits: &str) -> Server {
        let folder = tempfile::tempdir().unwrap();
        for name in ["plugins/bin", "acme/plugins/bin"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("plugins/home.wasm"), program(0)).unwrap();
        fs::write(folder.path().join("plugins/bin/tool.wasm"), program(1)).unwrap();
        let file = folder.path().join("whelk.toml");
        let text = format!("plugins = \"plugins\"\nstate = \"state\"\n{TENANTS}[limits]\ninstances = 20\n{limits}\n");
        fs::write(&file, text).unwrap();
        let config = Config::load(&file, &Overrides::default()).unwrap_or_else(|refused| panic!("{refused}"));
        let gateway = Gateway::new(&config, vec![HostKey::generate().unwrap()], &Stopper::new()).unwrap();
        let compiler = folder.path().join("compiler");
        let count = format!("echo >> '{}'", folder.path().join("compiled").display());
        write_script(&compiler, &format!("{count}\nexec '{}' \"$@\"", env!("CARGO_BIN_EXE_whelk")));
        let reload = gateway.load(&config, &State::open(&config.state).unwrap(), &compiler).await.unwrap();
        reload.prepared().await;
        let server = Server { folder, gateway, _reload: reload };
        server.forget_compiled();
        server
    }

    async fn tenant(&self, name: &str) -> Arc<Tenant> {
        self.gateway.tenants().find(name).await.unwrap()
    }

    fn count(&self) -> PathBuf {
        self.folder.path().join("compiled")
    }

    /// How many files were compiled since the start, or since the last [`forget_compiled`](Self::forget_compiled).
    fn compiled(&self) -> usize {
        fs::read(self.count()).unwrap().len()
    }

    fn forget_compiled(&self) {
        fs::write(self.count(), "").unwrap();
    }
}

/// What a process of this tenant gets that starts this file.
async fn start(tenant: &Tenant, name: &str, file: &[u8]) -> Lookup {
    timeout(TIMEOUT, tenant.component(name, Source::new(file.to_vec()))).await.unwrap()
}

/// The name under which the tenant has a component loaded: then what it gets is the loaded plugin itself.
fn loaded_name(file: &[u8]) -> String {
    Source::new(file.to_vec()).digest().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn kind(found: &Lookup) -> Option<UnrunnableKind> {
    match found {
        Lookup::Unrunnable(unrunnable) => Some(unrunnable.kind),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_is_compiled_once_and_found_again_by_its_contents() {
    let server = Server::start("").await;
    let acme = server.tenant("acme").await;
    assert_eq!(acme.component_limit(), Some(16 << 20));
    let file = program(7);
    // Several processes at once: one load serves them all.
    let (one, two, three) =
        tokio::join!(start(&acme, "one", &file), start(&acme, "two", &file), start(&acme, "three", &file));
    let names = [one, two, three].map(|found| found.found().unwrap().name().to_owned());
    assert_eq!((names, server.compiled()), (["one", "two", "three"].map(str::to_owned), 1));
    let again = start(&acme, "a\nb", &file).await.found().unwrap();
    assert_eq!((again.name(), again.generation(), server.compiled()), ("component", 1, 1));
    // Its code is not kept for the next start.
    let state = State::open(&server.folder.path().join("state")).unwrap();
    let kept = |path: PathBuf| fs::read_dir(path).unwrap().count();
    assert_eq!(
        (kept(state.cache_path()), kept(state.tenants_cache_path())),
        (1, 0),
        "the plugin of the start is there"
    );
    // A core module is one, too.
    let module = wat::parse_str("(module (memory (export \"memory\") 1) (func (export \"_start\")))").unwrap();
    let module = start(&acme, "module", &module).await.found().unwrap();
    assert_eq!((module.name(), module.world_name(), server.compiled()), ("module", "program", 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_deploy_starts_none_and_what_is_refused_is_not_compiled_again_at_once() {
    let server = Server::start("component_tenant = \"64 KiB\"").await;
    let bolt = server.tenant("bolt").await;
    assert_eq!(bolt.component_limit(), None);
    assert!(matches!(start(&bolt, "tool", &program(7)).await, Lookup::Absent));
    let acme = server.tenant("acme").await;
    let library = wat::parse_str("(component)").unwrap();
    for (file, compiled) in [
        (&b"text"[..], 0),
        (b"\0asm", 0),
        (&program(1)[..40], 1),
        (&library, 2),
        (&library, 2),
        (&[program(1), vec![0; 64 << 10]].concat(), 2),
    ] {
        let found = start(&acme, "tool", file).await;
        assert_eq!((kind(&found), server.compiled()), (Some(UnrunnableKind::NoProgram), compiled));
    }
    assert_eq!(server.compiled(), 2);
}

/// X10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_components_cost_their_tenant_alone() {
    const MOST: usize = 4;
    let full = std::env::var_os("WHELK_PROVE").is_some_and(|value| value == "1");
    let number = if full { 10_000 } else { 30 };
    let server = Server::start(&format!("programs = {MOST}")).await;
    let (acme, bolt) = (server.tenant("acme").await, server.tenant("bolt").await);
    let tool = bolt.program("tool").await.found().unwrap();
    server.forget_compiled();
    let mut loaded: BTreeMap<u32, Weak<Plugin>> = BTreeMap::new();
    let (began, mut waited) = (Instant::now(), Duration::ZERO);
    for version in 100..100 + number {
        let file = program(version);
        let plugin = start(&acme, &loaded_name(&file), &file).await.found().unwrap();
        loaded.insert(version, Arc::downgrade(&plugin));
        drop(plugin);
        loaded.retain(|_, plugin| plugin.strong_count() > 0);
        assert!(loaded.len() <= MOST, "{} are loaded", loaded.len());
        // The other tenant's program is at hand.
        let asked = Instant::now();
        let found = bolt.program("tool").await.found().unwrap();
        waited = waited.max(asked.elapsed());
        assert_eq!((found.digest(), found.generation()), (tool.digest(), tool.generation()));
    }
    assert_eq!(server.compiled(), usize::try_from(number).unwrap(), "the other's was never compiled again");
    println!("figure: {number} components in {:?}, a neighbour waited {waited:?} at most", began.elapsed());
    // The last ones are still there.
    for version in 100 + number - u32::try_from(MOST).unwrap()..100 + number {
        assert!(start(&acme, "tool", &program(version)).await.found().is_some());
    }
    assert_eq!(server.compiled(), usize::try_from(number).unwrap());
}
