//! `build`: the program for this machine and the plugins for WebAssembly.

use crate::step::{Outcome, doing, output, run as step};
use crate::workspace::{PluginPackage, RELEASE, Utility, Workspace, cargo};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fmt, fs};

pub(crate) const HELP: &str = "\
cargo xtask build

Builds the program (target/release/whelk) and every package in plugins/: plugins/NAME.wasm, and plugins/bin/NAME.wasm
of a program (a package with src/main.rs). Then the utilities, which are a workspace of their own (plugins/unix):
plugins/bin/NAME.wasm, and a link for each other name of a program. Adds the target wasm32-wasip2 with rustup when the
compiler lacks it. A plugin's file changes only when its bytes do, and by renaming: a running gateway sees a whole file
or none.";

const TARGET: &str = "wasm32-wasip2";
/// How the utilities are compiled: quickly.
const PROFILE: &str = "utility";

const NO_TARGET: &str = "\
This compiler lacks the target wasm32-wasip2, or for the tests wasm32-wasip1, and rustup, which could add it, is not there or failed.
With rustup:           rustup target add wasm32-wasip2 wasm32-wasip1
With a distribution's Rust: install its package for the target if there is one (Debian, Ubuntu: libstd-rust-dev-wasm32 has
                       wasm32-wasip1 only). Otherwise install the library's sources (Debian: rust-src) and build plugins with
                       RUSTC_BOOTSTRAP=1 cargo build -Zbuild-std=std,panic_abort --profile plugin --target wasm32-wasip2 -p NAME";

pub(crate) fn run(arguments: &[String]) -> Outcome {
    if let Some(surplus) = arguments.first() {
        return Err(format!("build takes no argument {surplus:?}"));
    }
    let workspace = Workspace::find()?;
    let took = build(&workspace)?;
    let (plugins, utilities) = (workspace.plugins.len(), workspace.utilities.len());
    eprintln!("built {}, {plugins} plugins and {utilities} packages of utilities", workspace.program().display());
    eprintln!("{took}");
    Ok(())
}

/// How long each part of a build took.
#[derive(Debug, Default)]
pub(crate) struct BuildTimes(Vec<(&'static str, Duration)>);

impl BuildTimes {
    /// Does one part.
    fn measure(&mut self, part: &'static str, work: impl FnOnce() -> Outcome) -> Outcome {
        let began = Instant::now();
        work()?;
        self.0.push((part, began.elapsed()));
        Ok(())
    }
}

impl fmt::Display for BuildTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<_> = self.0.iter().map(|(part, took)| format!("{part} {}", shown(*took))).collect();
        write!(f, "the build took {}: {}", shown(self.0.iter().map(|(_, took)| *took).sum()), parts.join(", "))
    }
}

/// A time in minutes and seconds.
pub(crate) fn shown(time: Duration) -> String {
    let seconds = time.as_secs_f64().round();
    let (minutes, seconds) = ((seconds / 60.0).floor(), seconds % 60.0);
    if minutes > 0.0 { format!("{minutes} min {seconds} s") } else { format!("{:.1} s", time.as_secs_f64()) }
}

/// Everything that is served, and the program that serves it.
pub(crate) fn build(workspace: &Workspace) -> Outcome<BuildTimes> {
    build_with(workspace, RELEASE)
}

/// The same with the program of this profile.
pub(crate) fn build_with(workspace: &Workspace, profile: &str) -> Outcome<BuildTimes> {
    let mut took = BuildTimes::default();
    took.measure("program", || build_program(workspace, profile))?;
    build_served(workspace, &mut took)?;
    Ok(took)
}

/// What is served, without the program.
pub(crate) fn build_served(workspace: &Workspace, took: &mut BuildTimes) -> Outcome {
    took.measure("plugins", || build_plugins(workspace))?;
    took.measure("utilities", || build_utilities(workspace))
}

fn build_program(workspace: &Workspace, profile: &str) -> Outcome {
    // With the features that the whole workspace asks of shared crates, as its tests have it: else both compile
    // wasmtime.
    let program = ["build", "--profile", profile, "--workspace", "--bin", "whelk"];
    step(cargo().current_dir(&workspace.root).args(program))
}

fn build_plugins(workspace: &Workspace) -> Outcome {
    add_target(TARGET)?;
    let mut plugins = cargo();
    plugins.current_dir(&workspace.root).args(["build", "--profile", "plugin", "--target", TARGET]);
    for plugin in &workspace.plugins {
        plugins.args(["--package", &plugin.name]);
    }
    step(&mut plugins)?;
    let folder = workspace.root.join("plugins");
    for PluginPackage { name, is_program, names } in &workspace.plugins {
        // Cargo replaces the hyphens in the name of a library, not in that of a program.
        let (file, folder) =
            if *is_program { (name.clone(), folder.join("bin")) } else { (name.replace('-', "_"), folder.clone()) };
        doing(folder.display(), fs::create_dir_all(&folder))?;
        let built = workspace.target.join(TARGET).join("plugin").join(format!("{file}.wasm"));
        install(&built, &folder.join(format!("{name}.wasm")))?;
        if *is_program {
            name_program(&folder, &format!("{name}.wasm"), names)?;
        }
    }
    Ok(())
}

/// The workspace of the utilities: its dependencies shall not change the features of those of the program.
fn build_utilities(workspace: &Workspace) -> Outcome {
    // `uucore` is compiled anew when the nearest `Cargo.lock` above its output changes: that shall be the one that
    // belongs to it, not the main one.
    let output = workspace.target.join(TARGET).join(PROFILE);
    doing(output.display(), fs::create_dir_all(&output))?;
    let (lock, nearest) = (workspace.unix().with_extension("lock"), output.join("Cargo.lock"));
    if fs::read_link(&nearest).is_ok_and(|target| target != lock) {
        doing(nearest.display(), fs::remove_file(&nearest))?;
    }
    if !nearest.is_symlink() {
        doing(nearest.display(), symlink(lock, &nearest))?;
    }
    let mut build = cargo();
    build.current_dir(&workspace.root).args(["build", "--profile", PROFILE, "--target", TARGET, "--workspace"]);
    step(build.arg("--manifest-path").arg(workspace.unix()).arg("--target-dir").arg(&workspace.target))?;
    let folder = workspace.root.join("plugins/bin");
    doing(folder.display(), fs::create_dir_all(&folder))?;
    for Utility { package, names } in &workspace.utilities {
        let file = format!("{package}.wasm");
        install(&workspace.target.join(TARGET).join(PROFILE).join(&file), &folder.join(&file))?;
        name_program(&folder, &file, names)?;
    }
    Ok(())
}

/// Gives a program these further names, and no others.
fn name_program(folder: &Path, file: &str, names: &[String]) -> Outcome {
    remove_links(folder, file, names)?;
    names.iter().try_for_each(|name| link(folder, file, name))
}

/// Removes the links to a program by names that it has no more.
fn remove_links(folder: &Path, file: &str, names: &[String]) -> Outcome {
    for entry in doing(folder.display(), fs::read_dir(folder))? {
        let path = doing(folder.display(), entry)?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let is_old = fs::read_link(&path).is_ok_and(|target| target == Path::new(file));
        if is_old && !names.iter().any(|kept| *kept == name) {
            doing(path.display(), fs::remove_file(&path))?;
        }
    }
    Ok(())
}

/// Gives a program one more name.
fn link(folder: &Path, file: &str, name: &str) -> Outcome {
    let path = folder.join(format!("{name}.wasm"));
    if fs::read_link(&path).is_ok_and(|target| target == Path::new(file)) {
        return Ok(());
    }
    let new = folder.join(format!("{name}.wasm.new"));
    let _ = fs::remove_file(&new);
    doing(new.display(), symlink(file, &new))?;
    doing(path.display(), fs::rename(&new, &path))
}

/// Adds a target of WebAssembly to the compiler, if it lacks it.
pub(crate) fn add_target(target: &str) -> Outcome {
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]))?;
    let library = Path::new(sysroot.trim()).join("lib/rustlib").join(target).join("lib");
    if library.is_dir() {
        return Ok(());
    }
    step(Command::new("rustup").args(["target", "add", target])).map_err(|error| format!("{error}\n{NO_TARGET}"))
}

/// Puts a plugin where the gateway finds it: whole, and only when it is another.
fn install(from: &Path, to: &Path) -> Outcome {
    let bytes = doing(from.display(), fs::read(from))?;
    if fs::read(to).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let new = to.with_extension("wasm.new");
    doing(new.display(), fs::write(&new, bytes))?;
    doing(to.display(), fs::rename(&new, to))
}
