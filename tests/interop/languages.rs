//! Plugins that the toolchains of other languages build from this repository's WIT, with the toolchains' defaults:
//! Python with its interpreter, JavaScript with SpiderMonkey (StarlingMonkey) and with QuickJS.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use sha2::{Digest, Sha256};
use whelk_tests::{
    Call, Client, Gateway, Input, LATER, MIB, Running, Setup, client_program, figure, repository, shipped_plugins, size,
};

/// One toolchain and its input.
struct Language {
    name: &'static str,
    /// A file in `interop/guests`.
    source: &'static str,
    /// The program, as `cargo xtask test` installs it.
    tool: &'static str,
    /// Its arguments; `WIT`, `SOURCE`, `FOLDER` and `OUT` stand for paths.
    arguments: &'static [&'static str],
    /// What the plugin writes before it reads a command.
    says: &'static str,
}

const LANGUAGES: [Language; 3] = [
    Language {
        name: "python",
        source: "echo.py",
        tool: "componentize-py",
        arguments: &["-d", "WIT", "-w", "session-plugin", "componentize", "-p", "FOLDER", "echo", "-o", "OUT"],
        says: "python ",
    },
    Language {
        name: "starlingmonkey",
        source: "echo.js",
        tool: "componentize-js",
        arguments: &["SOURCE", "--wit", "WIT", "--world-name", "session-plugin", "--out", "OUT"],
        says: "javascript ",
    },
    Language {
        name: "quickjs",
        source: "echo.js",
        tool: "jco",
        arguments: &[
            "componentize",
            "SOURCE",
            "--wit",
            "WIT",
            "--world-name",
            "session-plugin",
            "--backend",
            "qjs",
            "--backend-qjs-disable-async",
            "--out",
            "OUT",
        ],
        says: "javascript ",
    },
];

impl Language {
    /// Builds the plugin, unless it was built before from the same input.
    fn component(&self) -> PathBuf {
        // Two tests need the same.
        static MAKING: Mutex<()> = Mutex::new(());
        let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = repository().join("target/guests");
        fs::create_dir_all(&folder).expect("the target folder can be written");
        let built = folder.join(format!("{}-{}.wasm", self.name, &self.fingerprint()[..16]));
        if !built.is_file() {
            // Built under another name first, so that an existing file is complete.
            let new = folder.join(format!("{}-{}.new.wasm", self.name, std::process::id()));
            let guests = repository().join("tests/interop/guests");
            let mut command = Command::new(client_program(self.tool));
            command.current_dir(&folder);
            for argument in self.arguments {
                match *argument {
                    "WIT" => command.arg(repository().join("wit")),
                    "SOURCE" => command.arg(guests.join(self.source)),
                    "FOLDER" => command.arg(&guests),
                    "OUT" => command.arg(&new),
                    other => command.arg(other),
                };
            }
            let finished = Running::run(command, Input::Nothing, LATER);
            let said = format!("{}{}", finished.out.text(), finished.err);
            assert_eq!(finished.status, Some(0), "{} made no plugin of {}: {said}", self.tool, self.source);
            fs::rename(&new, &built).expect("the toolchain has written the plugin");
        }
        built
    }

    /// A hash of everything that the plugin is built from.
    fn fingerprint(&self) -> String {
        let mut digest = Sha256::new();
        let tests = repository().join("tests");
        let guests = tests.join("interop/guests");
        let mut files =
            vec![guests.join(self.source), guests.join("package-lock.json"), tests.join("requirements.txt")];
        files.extend(files_below(&repository().join("wit")));
        for file in files {
            let bytes = fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            digest.update(Sha256::digest(bytes));
        }
        self.arguments.iter().for_each(|argument| digest.update(argument));
        digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// In order.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder is in the repository");
    let mut entries: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be listed").path()).collect();
    entries.sort();
    entries.into_iter().flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// Waits for a plugin. The machine may be busy, so preparation may take long, and none is ready at the start.
fn loaded(gateway: &Gateway, plugin: &str) {
    gateway.wait(&format!("plugin {plugin}"), |event| {
        (event.message == "plugin loaded" && event.field("plugin") == plugin).then_some(())
    });
}

/// The resident memory of each live session.
fn resident_each(gateway: &Gateway, plugin: &str, sessions: u64) -> u64 {
    let before = gateway.resident_memory();
    let held: Vec<Running> = (0..sessions)
        .map(|number| {
            let mut session = Call::new(Client::OpenSsh100, gateway, plugin).start();
            session.type_in(format!("number {number}\n").as_bytes());
            session.wait_for_output(&format!("number {number}"));
            session
        })
        .collect();
    let grown = gateway.resident_memory().saturating_sub(before);
    held.into_iter().for_each(|session| session.kill_and_wait());
    grown / sessions
}

/// Milliseconds from the start of a client to its end, the median of several runs.
fn time_of_a_command(gateway: &Gateway, plugin: &str, command: &str, times: u64) -> f64 {
    let one = |_| {
        let began = Instant::now();
        let finished = Call::new(Client::OpenSsh100, gateway, plugin).exec(command).run(Input::Nothing);
        assert_eq!(finished.status, Some(0), "{plugin}: {}", finished.err);
        began.elapsed().as_secs_f64() * 1000.0
    };
    let mut all: Vec<f64> = (0..times).map(one).collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

#[test]
fn plugins_in_python_and_javascript_load_with_the_default_settings_and_answer() {
    let plugins = tempfile::tempdir().expect("a temporary folder");
    let into = |name: &str| plugins.path().join(name).with_extension("wasm");
    fs::copy(shipped_plugins().join("probe.wasm"), into("probe")).expect("it is built");
    let gateway = Setup::default().plugins(plugins.path().to_owned()).start();
    for language in &LANGUAGES {
        fs::copy(language.component(), into(language.name)).expect("the temporary folder can be written");
        loaded(&gateway, language.name);
    }
    let (times, sessions) = (size(1, 15), size(1, 20));
    let plain = time_of_a_command(&gateway, "probe", "exit 0", times);
    for Language { name, says, .. } in &LANGUAGES {
        let call = || Call::new(Client::OpenSsh100, &gateway, name);
        let bytes = size(MIB / 4, 8 * MIB);
        let piped = call().run(Input::Generated(bytes));
        assert_eq!((piped.status, piped.out.total), (Some(0), bytes), "{name}: {}", piped.err);
        let back: String = Sha256::digest(&piped.out.kept).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(Some(back), piped.fed, "{name}");
        let command = call().exec("two words").run(Input::Nothing);
        assert_eq!(command.out.text(), format!("{says}two words"), "{name}: {}", command.err);
        assert_eq!(command.status, Some(0));
        let file = fs::metadata(into(name)).expect("it was put there").len();
        figure(&format!("{name}, bytes of its file"), file);
        let took = time_of_a_command(&gateway, name, "exit 0", times);
        figure(
            &format!("{name}, ms of a connection with one command, and of `probe`"),
            format!("{took:.1}, {plain:.1}"),
        );
        let session = gateway.wait("the end of one of its sessions", |event| {
            (event.message == "session ended" && event.field("plugin") == *name).then(|| event.clone())
        });
        let (cpu, memory) = (session.field("cpu_ms"), session.field("memory"));
        figure(
            &format!("{name}, ms of processor time and bytes of linear memory of the first session"),
            format!("{cpu}, {memory}"),
        );
        let resident = resident_each(&gateway, name, sessions);
        figure(&format!("{name}, KiB of resident memory of a live session"), resident >> 10);
    }
    gateway.end();
}

// So that one tenant can be allowed Python, with 18 MB; here with a small file and smaller limits.
#[test]
fn a_tenant_may_be_allowed_larger_plugins_than_others() {
    let setup = Setup::default();
    let tenants = ["allowed", "other"].map(|tenant| {
        let folder = setup.folder().join(tenant);
        fs::create_dir(&folder).expect("the temporary folder can be written");
        fs::copy(shipped_plugins().join("probe.wasm"), folder.join("own.wasm")).expect("it is built");
        let user = format!("[users.{tenant}]\nauth = \"none\"\ntenant = \"{tenant}\"\nplugin = \"own\"\n");
        format!("{user}[tenants.{tenant}]\nplugins = {folder:?}\n")
    });
    let limits = "[tenants.allowed.limits]\ncomponent_tenant = \"1 MiB\"\n[limits]\ncomponent_tenant = \"2 KiB\"\n";
    let gateway = setup.configuration(&format!("{}{limits}", tenants.concat())).start();
    let refused = gateway.wait("the refusal of the other's", |event| {
        (event.message == "plugin refused" && event.field("tenant") == "other").then(|| event.field("reason"))
    });
    assert!(refused.starts_with("the file has more than the 2048 bytes that are allowed"), "{refused}");
    loaded(&gateway, "own");
    let finished =
        Call::new(Client::OpenSsh100, &gateway, "allowed").exec("cat").run(Input::Bytes(b"still here".to_vec()));
    assert_eq!((finished.status, finished.out.text().as_str()), (Some(0), "still here"), "{}", finished.err);
    gateway.end();
}
