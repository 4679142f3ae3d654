//! The plugins of the tests, built once, and the engine that runs them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::{env, fs};

use wasmparser::{Parser, Payload};
use whelk_runtime::{Engine, EngineSettings, Limits, Lookup, Plugin, Plugins, ProgramRequest, Routes};

/// The folder of the built components.
fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests");
        let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["build", "--quiet", "--release", "--locked", "--target", "wasm32-wasip2"])
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guests"))
            .env("CARGO_TARGET_DIR", &target)
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env_remove("RUSTFLAGS")
            .status()
            .unwrap();
        assert!(status.success(), "the guests do not build; `rustup target add wasm32-wasip2` may help");
        target.join("wasm32-wasip2/release")
    })
}

/// The bytes of one component.
pub(crate) fn wasm(name: &str) -> Vec<u8> {
    fs::read(built().join(name).with_extension("wasm")).unwrap()
}

/// A component that exports its first import again under these names, beside its own exports.
pub(crate) fn exporting_besides(mut wasm: Vec<u8>, names: &[&str]) -> Vec<u8> {
    let short = |length: usize| u8::try_from(length).ok().filter(|length| *length < 128).unwrap();
    let mut exports = vec![short(names.len())];
    for name in names {
        exports.extend([0, short(name.len())]);
        exports.extend(name.as_bytes());
        // The first one of the sort `instance`, without a type.
        exports.extend([5, 0, 0]);
    }
    // The export section.
    wasm.extend([11, short(exports.len())]);
    wasm.extend(exports);
    wasm
}

/// A component with one more core instance, which has this many memories of this many pages.
pub(crate) fn with_memories(mut wasm: Vec<u8>, count: usize, pages: usize) -> Vec<u8> {
    let (mut depth, mut modules) = (0_usize, 0);
    for payload in Parser::new(0).parse_all(&wasm) {
        match payload.unwrap() {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ModuleSection { .. } if depth == 1 => modules += 1,
            _ => {}
        }
    }
    let module = wat::parse_str(format!("(module {})", format!("(memory {pages})").repeat(count))).unwrap();
    let short = |length: usize| u8::try_from(length).ok().filter(|length| *length < 128).unwrap();
    // The section of a core module, and that of one core instance of it, without arguments.
    wasm.extend([1, short(module.len())]);
    wasm.extend(module);
    wasm.extend([2, 4, 1, 0, short(modules), 0]);
    wasm
}

/// The engine of most tests. It has permits for all of them: a test that waited for another's permit would let its
/// clock run on.
pub(crate) fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        Engine::new(&EngineSettings {
            workers: 64,
            ..EngineSettings::of(&Limits { instances: 64, ..Limits::default() })
        })
        .unwrap()
    })
}

/// The script plugin.
pub(crate) fn script() -> Arc<Plugin> {
    static SCRIPT: OnceLock<Arc<Plugin>> = OnceLock::new();
    Arc::clone(SCRIPT.get_or_init(|| Plugin::load(engine(), "script", &wasm("script")).unwrap()))
}

/// The plugin without optional handlers.
pub(crate) fn bare() -> Arc<Plugin> {
    static BARE: OnceLock<Arc<Plugin>> = OnceLock::new();
    Arc::clone(BARE.get_or_init(|| Plugin::load(engine(), "bare", &wasm("bare")).unwrap()))
}

/// The same with other facts.
pub(crate) fn second() -> Arc<Plugin> {
    static SECOND: OnceLock<Arc<Plugin>> = OnceLock::new();
    Arc::clone(SECOND.get_or_init(|| Plugin::load(engine(), "second", &wasm("second")).unwrap()))
}

/// Both plugins, where the subsystem `sftp` and commands that begin with `two` are routed to the second.
pub(crate) fn two() -> Arc<dyn Plugins> {
    let text = |from: &str, to: &str| (from.to_owned(), to.to_owned());
    let routes = Routes::new([text("sftp", "second"), text("lost", "nowhere")], [text("two", "second")]);
    Arc::new(FixedPlugins { plugins: vec![script(), second()], routes })
}

/// The plugins that a session may hand over to, and the routes.
#[derive(Default)]
pub(crate) struct FixedPlugins {
    pub(crate) plugins: Vec<Arc<Plugin>>,
    pub(crate) routes: Routes,
}

impl Plugins for FixedPlugins {
    fn lookup(&self, name: &str) -> Lookup {
        self.plugins.iter().find(|plugin| plugin.name() == name).cloned().into()
    }
    fn route(&self, start: &ProgramRequest<'_>) -> Option<String> {
        self.routes.find(start).map(|(_, plugin)| plugin.to_owned())
    }
}

/// No other plugins.
pub(crate) fn nothing_else() -> Arc<dyn Plugins> {
    Arc::new(FixedPlugins::default())
}

/// The plugin that works with files.
pub(crate) fn files() -> Arc<Plugin> {
    static FILES: OnceLock<Arc<Plugin>> = OnceLock::new();
    Arc::clone(FILES.get_or_init(|| Plugin::load(engine(), "files", &wasm("files")).unwrap()))
}
