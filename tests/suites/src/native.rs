//! Shells of this machine.

use crate::case::{Folders, Shell, Start};
use crate::run::{Ran, run_command};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folders with links `sh` and `bash` to the shells: our own, which cargo builds as an example, dash and bash.
#[derive(Debug)]
pub struct Shells {
    folder: tempfile::TempDir,
}

impl Shells {
    /// Fails where our own shell is not built.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let test = std::env::current_exe().expect("the path of the test");
        let own = test.parent().and_then(Path::parent).expect("target/PROFILE/deps").join("examples/native-sh");
        assert!(own.is_file(), "{}: not there: run these tests with `cargo xtask test`", own.display());
        for (name, program) in
            [("ours", own.as_path()), ("dash", Path::new("/usr/bin/dash")), ("bash", Path::new("/usr/bin/bash"))]
        {
            let shell = folder.path().join(name);
            std::fs::create_dir(&shell).expect("a new folder");
            for link in ["sh", "bash"] {
                std::os::unix::fs::symlink(program, shell.join(link)).expect("a new link");
            }
        }
        Self { folder }
    }

    /// One of `ours`, `dash` and `bash`.
    pub fn get(&self, name: &'static str) -> Native {
        Native { name, folder: self.folder.path().join(name) }
    }
}

impl Default for Shells {
    fn default() -> Self {
        Self::new()
    }
}

/// A shell of this machine.
#[derive(Debug, Clone)]
pub struct Native {
    /// Its name.
    pub name: &'static str,
    /// Its links `sh` and `bash` are here.
    pub folder: PathBuf,
}

impl Shell for Native {
    fn run(&self, start: &Start) -> Ran {
        let home = tempfile::tempdir().expect("a temporary folder");
        let folders = Folders::new(home.path());
        start.write(&folders, "/usr/bin/dash");
        let mut command = Command::new(self.folder.join("bash"));
        command.arg0("bash").current_dir(&folders.work);
        if self.name != "dash" {
            command.args(&start.bash_options);
        }
        command.args(&start.arguments).env_clear().envs(start.variables(&folders, &self.folder));
        let mut ran = run_command(command, &start.input, home.path(), start.limit);
        let (home, shells) = (home.path().display().to_string(), self.folder.display().to_string());
        ran.replace(&[(&home, "TEMP"), (&shells, "SHELLS")]);
        ran
    }
}
