//! What toolchains of other languages make of a source in this folder: built once for each input.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};
use whelk_tests::{Gateway, Input, LATER, Running, SOON, build_native, client_program, repository};

/// One toolchain and its input.
pub(crate) struct Recipe {
    pub(crate) name: &'static str,
    /// A file in this folder.
    pub(crate) source: &'static str,
    /// Other files and folders of the repository that the result depends on.
    pub(crate) inputs: &'static [&'static str],
    /// The program, as `cargo xtask test` installs it.
    pub(crate) tool: &'static str,
    /// Its arguments; `WIT`, `SOURCE`, `FOLDER` (the source's) and `OUT` stand for paths, and `HEADERS` in any of them
    /// for the folder of [`headers`].
    pub(crate) arguments: &'static [&'static str],
}

impl Recipe {
    /// Builds the file, unless it was built before from the same input. Gives its path.
    pub(crate) fn build(&self) -> PathBuf {
        // Two tests need the same.
        static BUILDING: Mutex<()> = Mutex::new(());
        let _building = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = repository().join("target/guests");
        fs::create_dir_all(&folder).expect("the target folder can be written");
        let built = folder.join(format!("{}-{}.wasm", self.name, &self.fingerprint()[..16]));
        if !built.is_file() {
            // Built under another name first, so that an existing file is complete.
            let new = folder.join(format!("{}-{}.new.wasm", self.name, std::process::id()));
            let source = repository().join("tests/interop").join(self.source);
            let mut command = Command::new(client_program(self.tool));
            command.current_dir(&folder);
            for argument in self.arguments {
                match *argument {
                    "WIT" => command.arg(repository().join("wit")),
                    "SOURCE" => command.arg(&source),
                    "FOLDER" => command.arg(source.parent().expect("it is a file")),
                    "OUT" => command.arg(&new),
                    other if other.contains("HEADERS") => {
                        command.arg(other.replace("HEADERS", &headers().display().to_string()))
                    }
                    other => command.arg(other),
                };
            }
            let finished = Running::run(command, Input::Nothing, LATER);
            let said = format!("{}{}", finished.out.text(), finished.err);
            assert_eq!(finished.status, Some(0), "{} made nothing of {}: {said}", self.tool, self.source);
            fs::rename(&new, &built).expect("the toolchain has written the file");
        }
        built
    }

    /// A hash of everything that the file is built from.
    fn fingerprint(&self) -> String {
        let mut digest = Sha256::new();
        let inputs = self.inputs.iter().map(|input| repository().join(input));
        for file in [repository().join("tests/interop").join(self.source)].into_iter().chain(inputs) {
            for file in files_below(&file) {
                let bytes = fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
                digest.update(Sha256::digest(bytes));
            }
        }
        self.arguments.iter().for_each(|argument| digest.update(argument));
        digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The file itself, or those of a folder, in order.
fn files_below(path: &Path) -> Vec<PathBuf> {
    if !path.is_dir() {
        return vec![path.to_owned()];
    }
    let entries = fs::read_dir(path).expect("the folder is in the repository");
    let mut entries: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be listed").path()).collect();
    entries.sort();
    entries.iter().flat_map(|path| files_below(path)).collect()
}

/// The folder with the header of `whelk:process` for programs in C, and what they are linked with.
fn headers() -> PathBuf {
    let target = repository().join("target/guests");
    let program = build_native("tests/interop/programs/bindings", "bindings", &target.join("bindings"));
    let folder = target.join("headers");
    fs::create_dir_all(&folder).expect("the target folder can be written");
    let mut command = Command::new(program);
    command.arg(repository().join("wit/process")).arg("processes").arg(&folder);
    let finished = Running::run(command, Input::Nothing, SOON);
    assert_eq!(finished.status, Some(0), "{}", finished.err);
    folder
}

/// Waits for a plugin. The machine may be busy, so preparation may take long, and none is ready at the start.
pub(crate) fn loaded(gateway: &Gateway, plugin: &str) {
    gateway.wait(&format!("plugin {plugin}"), |event| {
        (event.message == "plugin loaded" && event.field("plugin") == plugin).then_some(())
    });
}
