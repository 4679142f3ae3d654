//! `build`: the program for this machine and the plugins for WebAssembly.

use crate::step::{Outcome, doing, output, run as step};
use crate::workspace::{PluginPackage, Workspace, cargo};
use std::fs;
use std::path::Path;
use std::process::Command;

pub(crate) const HELP: &str = "\
cargo xtask build

Builds the program (target/release/whelk) and every package in plugins/: plugins/NAME.wasm, and plugins/bin/NAME.wasm
of a program (a package with src/main.rs). Adds the target wasm32-wasip2 with rustup when the compiler lacks it. A
plugin's file changes only when its bytes do, and by renaming: a running gateway sees a whole file or none.";

const TARGET: &str = "wasm32-wasip2";

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
    build(&workspace)?;
    eprintln!("built {} and {} plugins", workspace.program().display(), workspace.plugins.len());
    Ok(())
}

/// Everything that is served.
pub(crate) fn build(workspace: &Workspace) -> Outcome {
    add_target(TARGET)?;
    // With the features that the whole workspace asks of shared crates, as its tests have it: else both compile
    // wasmtime.
    step(cargo().current_dir(&workspace.root).args(["build", "--release", "--workspace", "--bin", "whelk"]))?;
    let mut plugins = cargo();
    plugins.current_dir(&workspace.root).args(["build", "--profile", "plugin", "--target", TARGET]);
    for plugin in &workspace.plugins {
        plugins.args(["--package", &plugin.name]);
    }
    step(&mut plugins)?;
    let folder = workspace.root.join("plugins");
    for PluginPackage { name, is_program } in &workspace.plugins {
        // Cargo replaces the hyphens in the name of a library, not in that of a program.
        let (file, folder) =
            if *is_program { (name.clone(), folder.join("bin")) } else { (name.replace('-', "_"), folder.clone()) };
        doing(folder.display(), fs::create_dir_all(&folder))?;
        let built = workspace.target.join(TARGET).join("plugin").join(format!("{file}.wasm"));
        install(&built, &folder.join(format!("{name}.wasm")))?;
    }
    Ok(())
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
