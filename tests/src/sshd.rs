//! OpenSSH's sshd, running with a configuration of its own, to compare with.
//!
//! If root runs it, root logs in; otherwise only the user who runs it: [`Sshd::user`].

use crate::access::Keys;
use crate::measure::LATER;
use crate::places::client_program;
use crate::running::{Input, Output, Running};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// How often to try: another program may take a free port between finding and binding it.
const TRIES: usize = 10;

/// A running sshd. Dropping it ends it.
#[derive(Debug)]
pub struct Sshd {
    process: Running,
    port: u16,
    user: String,
    fingerprints: Vec<String>,
    _folder: TempDir,
}

impl Sshd {
    /// Starts it with the lines of an `authorized_keys` file and further lines for its configuration.
    pub fn start(authorized_keys: &str, configuration: &str) -> Self {
        Self::start_program("sshd", authorized_keys, configuration)
    }

    /// The same with another program of the installed clients: `sshd-10.0`.
    pub fn start_program(program: &str, authorized_keys: &str, configuration: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("sshd-").tempdir().expect("a temporary folder");
        let path = folder.path();
        std::fs::write(path.join("authorized_keys"), authorized_keys).expect("our own folder");
        let host_key = Keys::generate(&["ed25519"]);
        std::fs::copy(host_key.openssh(), path.join("host_key")).expect("our own folder");
        let further = configuration.lines().filter_map(|line| line.strip_prefix("HostKey "));
        let fingerprints = further.map(Path::new).chain([host_key.openssh().as_path()]).map(fingerprint).collect();
        let user = user();
        for _ in 0..TRIES {
            let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
            let port = free.expect("loopback has a free port").port();
            if let Some(process) = launch(program, path, port, configuration) {
                return Self { process, port, user, fingerprints, _folder: folder };
            }
        }
        panic!("sshd found no free port in {TRIES} tries");
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The user who can log in.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The fingerprints of its host keys, `SHA256:...`.
    pub fn fingerprints(&self) -> &[String] {
        &self.fingerprints
    }

    /// The id of its process, which starts one or more for each connection.
    pub fn pid(&self) -> i32 {
        self.process.pid().as_raw_nonzero().get()
    }

    /// How many bytes it has logged.
    pub fn logged(&self) -> u64 {
        self.process.wait("its log", |seen| Some(seen.err.total))
    }

    /// Its output.
    pub fn said(&self) -> String {
        self.process.said()
    }
}

/// The process once it listens; `None` when it could not.
fn launch(program: &str, folder: &Path, port: u16, configuration: &str) -> Option<Running> {
    let file = |name: &str| folder.join(name).display().to_string();
    // An empty home: a login shell may have many settings.
    let text = format!(
        "ListenAddress 127.0.0.1:{port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\nUsePAM no\n\
         UseDNS no\nPrintMotd no\nPrintLastLog no\nPermitRootLogin prohibit-password\nPasswordAuthentication no\n\
         SetEnv HOME={}\n{configuration}\n",
        file("host_key"),
        file("authorized_keys"),
        folder.display(),
    );
    std::fs::write(folder.join("sshd_config"), text).expect("our own folder");
    let mut command = Command::new(client_program(program));
    command.args(["-D", "-e", "-f"]).arg(folder.join("sshd_config"));
    let process = Running::start(command, Input::Nothing, Output::Read, LATER);
    let listens = process.wait_soon("sshd that listens", |seen| {
        let text = seen.err.text();
        let listens = text.contains("Server listening on");
        (listens || seen.status.is_some()).then_some(listens)
    });
    assert!(listens || process.said().contains("Address already in use"), "sshd ended at once: {}", process.said());
    listens.then_some(process)
}

/// The fingerprint of a key in a file.
fn fingerprint(key: &Path) -> String {
    let mut command = Command::new(client_program("ssh-keygen"));
    command.arg("-lf").arg(key);
    let text = Running::run(command, Input::Nothing, LATER).out.text();
    text.split(' ').nth(1).unwrap_or_else(|| panic!("ssh-keygen says {text:?}")).to_owned()
}

/// The user who runs the tests.
fn user() -> String {
    let mut command = Command::new("id");
    command.arg("-un");
    Running::run(command, Input::Nothing, LATER).out.text().trim().to_owned()
}
