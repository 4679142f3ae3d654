//! Clients of file transfer, beside those that come with an SSH client, and Prometheus's own tool. Nothing is
//! installed: a desktop's libraries would come with some of them.

use super::{Clients, find, install};
use crate::step::{Outcome, doing};
use std::fs;
use std::path::{Path, PathBuf};

/// A file system over SFTP, and the library and the program that mount it.
const SSHFS: [&str; 4] = ["sshfs", "fuse3", "libfuse3-3", "libglib2.0-0"];

/// lftp, and the library of its command line.
const LFTP: [&str; 2] = ["lftp", "libreadline8"];

/// The package of FileZilla. Only its program for SFTP is used, which needs no window.
const FILEZILLA: [&str; 2] = ["filezilla", "libnettle8"];

impl Clients {
    /// Brings all of them.
    pub(super) fn bring_transfer(&self) -> Outcome {
        self.bring_unpacked("sshfs", &SSHFS, "usr/bin/sshfs")?;
        self.bring_unpacked("lftp", &LFTP, "usr/bin/lftp")?;
        self.bring_unpacked("rclone", &["rclone"], "usr/bin/rclone")?;
        self.bring_unpacked("fzsftp", &FILEZILLA, "usr/bin/fzsftp")?;
        self.bring_unpacked("fusermount3", &SSHFS, "bin/fusermount3")?;
        // Installing it would start Prometheus for the whole machine.
        self.bring_unpacked("promtool", &["prometheus"], "usr/bin/promtool")?;
        if find("git").is_none() {
            install(&["git"])?;
        }
        self.link("git", &find("git").ok_or("git is not in PATH")?)
    }

    /// A program that is unpacked with those of its libraries that few machines have.
    fn bring_unpacked(&self, name: &str, packages: &[&str], program: &str) -> Outcome {
        let root = self.unpack_all(packages.first().unwrap_or(&name), packages, "bookworm")?;
        let folders = [root.join("usr/lib"), root.join("lib")];
        let libraries = folders.iter().filter_map(|folder| machine_folder(folder));
        let libraries: Vec<String> = libraries.map(|folder| folder.display().to_string()).collect();
        let (program, bin) = (root.join(program), root.join("bin"));
        doing(program.display(), fs::metadata(&program))?;
        let variables = format!("LD_LIBRARY_PATH='{}' PATH=\"{}:$PATH\"", libraries.join(":"), bin.display());
        self.script(name, &format!("{variables} exec '{}' \"$@\"\n", program.display()))
    }
}

/// The folder of libraries whose name begins with that of the processor: `x86_64-linux-gnu`.
fn machine_folder(folder: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?.filter_map(Result::ok).map(|entry| entry.path());
    entries.into_iter().find(|path| path.to_string_lossy().ends_with("-linux-gnu"))
}
