//! Plugins that the toolchains of other languages build from this repository's WIT, with the toolchains' defaults:
//! Python with its interpreter, JavaScript with SpiderMonkey (StarlingMonkey) and with QuickJS.

use std::fs;
use std::time::Instant;

use sha2::{Digest, Sha256};
use whelk_tests::{Call, Client, Gateway, Input, MIB, Running, Setup, figure, shipped_plugins, size};

use crate::recipe::{Recipe, loaded};

/// One language.
struct Language {
    recipe: Recipe,
    /// What the plugin writes before it reads a command.
    says: &'static str,
}

/// What every plugin here is built from, beside its source.
const INPUTS: &[&str] = &["tests/interop/guests/package-lock.json", "tests/requirements.txt", "wit"];

const LANGUAGES: [Language; 3] = [
    Language {
        recipe: Recipe {
            name: "python",
            source: "guests/echo.py",
            inputs: INPUTS,
            tool: "componentize-py",
            arguments: &["-d", "WIT", "-w", "session-plugin", "componentize", "-p", "FOLDER", "echo", "-o", "OUT"],
        },
        says: "python ",
    },
    Language {
        recipe: Recipe {
            name: "starlingmonkey",
            source: "guests/echo.js",
            inputs: INPUTS,
            tool: "componentize-js",
            arguments: &["SOURCE", "--wit", "WIT", "--world-name", "session-plugin", "--out", "OUT"],
        },
        says: "javascript ",
    },
    Language {
        recipe: Recipe {
            name: "quickjs",
            source: "guests/echo.js",
            inputs: INPUTS,
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
        },
        says: "javascript ",
    },
];

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
        let Recipe { name, .. } = language.recipe;
        fs::copy(language.recipe.build(), into(name)).expect("the temporary folder can be written");
        loaded(&gateway, name);
    }
    let (times, sessions) = (size(1, 15), size(1, 20));
    let plain = time_of_a_command(&gateway, "probe", "exit 0", times);
    for Language { recipe: Recipe { name, .. }, says } in &LANGUAGES {
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
