//! Shells that run in a process of node and have no server: just-bash, which is TypeScript, and wasmsh, which is Rust
//! compiled to WebAssembly. Both are fetched into the folder of the bench.

use super::load::on_core_1;
use super::server::Place;
use super::work::{Figures, Work};
use crate::build::add_target;
use crate::step::{Outcome, doing, output, run as step};
use crate::workspace::cargo;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const JUST_BASH: &str = "just-bash@3.4.2";
const JUST_BASH_SCRIPT: &str = include_str!("just_bash.mjs");

const WASMSH_SCRIPT: &str = include_str!("wasmsh.mjs");
const WASI: &str = "wasm32-wasip1";
/// The versions of wasmsh, and the last one of `zip` with which that compiles.
const WASMSH_MANIFEST: &str = r#"[package]
name = "wasmsh-bench"
edition = "2024"
[dependencies]
wasmsh-protocol = "=0.9.0"
wasmsh-runtime = "=0.9.0"
zip = { version = "=2.4.2", default-features = false }
[profile.release]
lto = true
panic = "abort"
strip = true
[workspace]
"#;
/// Runs the script of its first argument in a new shell.
const WASMSH_PROGRAM: &str = r#"use std::io::Write;
use wasmsh_protocol::{HostCommand, WorkerEvent};

fn main() {
    let input = std::env::args().nth(1).unwrap_or_default();
    let mut shell = wasmsh_runtime::WorkerRuntime::new();
    shell.handle_command(HostCommand::Init { step_budget: 0, allowed_hosts: Vec::new() });
    let mut status = 1;
    for event in shell.handle_command(HostCommand::Run { input }) {
        match event {
            WorkerEvent::Stdout(data) => std::io::stdout().write_all(&data).expect("a stream"),
            WorkerEvent::Stderr(data) => std::io::stderr().write_all(&data).expect("a stream"),
            WorkerEvent::Exit(code) => status = code,
            _ => {}
        }
    }
    std::process::exit(status);
}
"#;

/// The programs of the peers, or why one of them is not there.
pub(crate) struct Peers {
    just_bash: Result<PathBuf, String>,
    wasmsh: Result<PathBuf, String>,
}

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    JustBash,
    Wasmsh,
}

impl Peers {
    /// Brings both.
    pub(crate) fn bring(place: &Place) -> Self {
        Self { just_bash: bring_just_bash(place), wasmsh: bring_wasmsh(place) }
    }

    fn script(&self, peer: Peer) -> &Result<PathBuf, String> {
        match peer {
            Peer::JustBash => &self.just_bash,
            Peer::Wasmsh => &self.wasmsh,
        }
    }

    /// What a reader of the figures has to know of them.
    pub(crate) fn notes(&self) -> Vec<String> {
        let missing = [("just-bash", &self.just_bash), ("wasmsh", &self.wasmsh)]
            .into_iter()
            .filter_map(|(name, script)| Some(format!("{name} does not run here: {}", script.as_ref().err()?)));
        let known = "just-bash and wasmsh run in one process of node, without SSH and without isolation from it (wasmsh: \
                     an instance a session), so compare them with care. Neither has streams between the stages of a \
                     pipeline or /dev/zero: a GiB would be one string in memory. wasmsh has no /bin/true, and runs its \
                     builtin `true`.";
        missing.chain([known.to_owned()]).collect()
    }

    /// Does a work once. None where the peer cannot do it.
    pub(crate) fn measure(&self, peer: Peer, work: Work) -> Outcome<Option<Figures>> {
        let Ok(script) = self.script(peer) else { return Ok(None) };
        if work == Work::Pipe {
            return Ok(None);
        }
        let text = work.script();
        let text = if peer == Peer::Wasmsh { text.replace("/bin/true", "true") } else { text.to_owned() };
        let [cpu, wall, memory] = run(script, &[&work.sessions().unwrap_or(1).to_string(), &text])?;
        Ok(Some([cpu / 1e3 * work.unit(), wall / 1e3 * work.unit(), memory]))
    }

    /// Memory of one shell that has run a command, in KiB, with `count` of them in the process.
    pub(crate) fn idle(&self, peer: Peer, count: u32) -> Outcome<Option<f64>> {
        let Ok(script) = self.script(peer) else { return Ok(None) };
        let [_, _, mib] = run(script, &[&count.to_string(), "x=1", "keep"])?;
        Ok(Some(mib * 1024.0 / f64::from(count)))
    }
}

/// Runs a script that says three numbers: milliseconds of processor and wall time of one shell, and MiB by which the
/// process grew.
fn run(script: &Path, arguments: &[&str]) -> Outcome<[f64; 3]> {
    let said = output(on_core_1().args(["node", "--no-warnings"]).arg(script).args(arguments))?;
    let last = said.lines().last().unwrap_or_default();
    let numbers: Result<Vec<f64>, _> = last.split_whitespace().map(str::parse).collect();
    let numbers = numbers.map_err(|error| format!("{}: {last:?}: {error}", script.display()))?;
    <[f64; 3]>::try_from(numbers).map_err(|_| format!("{} said {last:?}", script.display()))
}

fn folder_with_script(place: &Place, name: &str, text: &str) -> Outcome<(PathBuf, PathBuf)> {
    let folder = place.file(name);
    doing(folder.display(), fs::create_dir_all(&folder))?;
    let script = folder.join("run.mjs");
    doing(script.display(), fs::write(&script, text))?;
    Ok((folder, script))
}

fn bring_just_bash(place: &Place) -> Outcome<PathBuf> {
    let (folder, script) = folder_with_script(place, "just-bash", JUST_BASH_SCRIPT)?;
    if !folder.join("node_modules/just-bash").is_dir() {
        let mut install = Command::new("npm");
        install.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"]).arg(&folder).arg(JUST_BASH);
        step(&mut install)?;
    }
    Ok(script)
}

fn bring_wasmsh(place: &Place) -> Outcome<PathBuf> {
    let (folder, script) = folder_with_script(place, "wasmsh", WASMSH_SCRIPT)?;
    add_target(WASI)?;
    let source = folder.join("src");
    doing(source.display(), fs::create_dir_all(&source))?;
    for (file, text) in [(folder.join("Cargo.toml"), WASMSH_MANIFEST), (source.join("main.rs"), WASMSH_PROGRAM)] {
        // What is newer is compiled again.
        if fs::read_to_string(&file).is_ok_and(|there| there == text) {
            continue;
        }
        doing(file.display(), fs::write(&file, text))?;
    }
    let mut build = cargo();
    step(build.current_dir(&folder).args(["build", "--release", "--target", WASI, "--target-dir", "target"]))?;
    let built = folder.join("target").join(WASI).join("release/wasmsh-bench.wasm");
    doing(built.display(), fs::copy(&built, folder.join("wasmsh.wasm")))?;
    Ok(script)
}
