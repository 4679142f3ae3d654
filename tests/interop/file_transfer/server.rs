//! The server of a test: Whelk, or OpenSSH's sshd with its own server of SFTP, which says what is right.

use super::site::Site;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;
use whelk_tests::{Access, Gateway, Keys, Setup, Sshd};

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Sshd,
    Whelk,
}

/// The one user.
const USER: &str = "alice";

/// A tenant whose users have homes, and nothing that would lead to file transfer but that. HOMES is the folder of the
/// homes.
pub(super) const HOMES: &str = "plugin = \"probe\"\ngrants.directory = { path = \"HOMES/{principal}\" }\n";

/// A running server, whose user has a key.
#[derive(Debug)]
pub(super) struct Server {
    running: Running,
    /// The folder of the user's files.
    files: PathBuf,
    /// What clients call it; nothing for the root.
    seen_as: String,
    keys: Arc<Keys>,
    fingerprints: Vec<String>,
    /// The folder of the clients' files.
    local: TempDir,
}

#[derive(Debug)]
enum Running {
    Sshd(Sshd),
    Whelk(Box<Gateway>),
}

impl Server {
    /// A server of this kind, whose user has files of its own.
    pub(super) fn start(kind: Kind) -> Self {
        match kind {
            Kind::Sshd => Self::sshd(),
            // At full size a clone of git, and ten thousand files each way of every client, are more than the default
            // quota.
            Kind::Whelk => {
                Self::whelk(&HOMES.replace("{principal}\"", "{principal}\", bytes = \"8 GiB\", files = 1000000"))
            }
        }
    }

    fn sshd() -> Self {
        let (access, line) = Access::fresh_key();
        let local = folder();
        let files = local.path().join("files");
        fs::create_dir(&files).expect("our own folder");
        let settings =
            format!("Subsystem sftp internal-sftp -d {}\nPerSourcePenalties no\nMaxStartups 1000\n", files.display());
        let sshd = Sshd::start_program("sshd-10.0", &line, &settings);
        let (seen_as, fingerprints) = (files.display().to_string(), sshd.fingerprints().to_vec());
        Self { running: Running::Sshd(sshd), files, seen_as, keys: keys(access), fingerprints, local }
    }

    /// Whelk, with these lines for its user's tenant.
    pub(super) fn whelk(tenant: &str) -> Self {
        let (access, line) = Access::fresh_key();
        let setup = Setup::default();
        fs::write(setup.folder().join("keys"), &line).expect("our own folder");
        let local = folder();
        let homes = local.path().join("homes");
        fs::DirBuilder::new().mode(0o755).create(&homes).expect("our own folder");
        let files = homes.join(USER);
        let text = format!("[users.{USER}]\ntenant = \"acme\"\nauthorized_keys = \"keys\"\n[tenants.acme]\n{tenant}");
        let text = text.replace("HOMES", &homes.display().to_string());
        let gateway = setup.configuration(&text).start();
        let fingerprints = gateway.fingerprints();
        let running = Running::Whelk(Box::new(gateway));
        Self { running, files, seen_as: String::new(), keys: keys(access), fingerprints, local }
    }

    /// Whelk itself.
    pub(super) fn gateway(&self) -> Option<&Gateway> {
        match &self.running {
            Running::Sshd(_) => None,
            Running::Whelk(gateway) => Some(gateway),
        }
    }

    pub(super) fn port(&self) -> u16 {
        match &self.running {
            Running::Sshd(sshd) => sshd.port(),
            Running::Whelk(gateway) => gateway.port(),
        }
    }

    pub(super) fn user(&self) -> &str {
        match &self.running {
            Running::Sshd(sshd) => sshd.user(),
            Running::Whelk(_) => USER,
        }
    }

    pub(super) fn keys(&self) -> &Arc<Keys> {
        &self.keys
    }

    /// A path in the user's files, as a client says it.
    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.seen_as)
    }

    /// The folders of a client of this name.
    pub(super) fn site(&self, name: &str, without: &'static [&'static str]) -> Site<'_> {
        let (local, disk) = (self.local.path().join(name), self.files.join(name));
        for folder in [&local, &disk] {
            fs::create_dir_all(folder).expect("our own folder");
        }
        Site {
            local,
            disk,
            remote: self.path(name),
            port: self.port(),
            user: self.user(),
            keys: &self.keys,
            fingerprints: &self.fingerprints,
            without,
        }
    }

    /// Ends it: Whelk without a panic.
    pub(super) fn end(self) {
        match self.running {
            Running::Sshd(_) => {}
            Running::Whelk(gateway) => gateway.end(),
        }
    }
}

/// In memory where the machine has a file system for that: the table makes and removes tens of thousands of files.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    tempfile::Builder::new().prefix("whelk-").tempdir_in(place).expect("a temporary folder")
}

fn keys(access: Access) -> Arc<Keys> {
    let Access::Key(keys) = access else { unreachable!("a fresh key is a key") };
    keys
}
