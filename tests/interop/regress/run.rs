//! Runs OpenSSH's scripts, each in a folder of its own.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tempfile::TempDir;
use whelk_tests::{
    AlgorithmKind, Input, LATER, Output, Running, SOON, Setup, build_guest, client_program, has_ring, program,
    repository, write_script,
};

use super::list::Outcome;
use crate::crossing::names_of;

/// The client program of the scripts.
const SSH: &str = "ssh-10.0";

/// The other programs of the scripts, by the variables that name them.
const TOOLS: [(&str, &str); 11] = [
    ("TEST_SSH_SSHAGENT", "ssh-agent-10.0"),
    ("TEST_SSH_SSHADD", "ssh-add-10.0"),
    ("TEST_SSH_SSHKEYGEN", "ssh-keygen-10.0"),
    ("TEST_SSH_SSHKEYSCAN", "ssh-keyscan-10.0"),
    ("TEST_SSH_SFTP", "sftp-10.0"),
    ("TEST_SSH_SCP", "scp-10.0"),
    ("TEST_SSH_PLINK", "plink"),
    ("TEST_SSH_PUTTYGEN", "puttygen"),
    ("TEST_SSH_DBCLIENT", "dbclient"),
    ("TEST_SSH_DROPBEARCONVERT", "dropbearconvert"),
    ("TEST_SSH_DROPBEARKEY", "dropbearkey"),
];

/// The size of the file that the scripts copy, in bytes. It is a copy of their client program.
const DATA: usize = 700 << 10;

/// How much of a complaint is shown, in characters.
const LONGEST_COMPLAINT: usize = 80;

/// OpenSSH's scripts, as `cargo xtask test` has unpacked them.
fn source() -> PathBuf {
    let folder = client_program(SSH).parent().map(|bin| bin.with_file_name("openssh-regress")).unwrap_or_default();
    assert!(folder.is_dir(), "{} is not there: run these tests with `cargo xtask test`", folder.display());
    folder
}

/// The names of the scripts of OpenSSH's suite: those that `test-exec.sh`, which is none itself, can run.
pub(super) fn script_names() -> Vec<String> {
    let text = fs::read_to_string(source().join("Makefile")).expect("it comes with the scripts");
    let lists = ["LTESTS=", "INTEROP_TESTS=", "INTEROP_TESTS+=", "EXTRA_TESTS="];
    let mut names = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(mut words) = lists.iter().find_map(|list| line.strip_prefix(list)) else { continue };
        loop {
            names.extend(words.trim_end_matches('\\').split_whitespace().map(str::to_owned));
            if !words.ends_with('\\') {
                break;
            }
            words = lines.next().unwrap_or_default();
        }
    }
    assert!(names.len() > 50, "the Makefile has other lists: {names:?}");
    names
}

/// What all scripts share: the plugin, a state folder to copy, and the service that runs commands.
pub(super) struct Scripts {
    folder: TempDir,
    service: Running,
    address: String,
    /// The scripts that have been started.
    started: AtomicUsize,
}

impl Scripts {
    pub(super) fn prepare() -> Self {
        let folder = tempfile::Builder::new().prefix("whelk-").tempdir().expect("a temporary folder");
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests");
        let plugins = folder.path().join("plugins");
        fs::create_dir(&plugins).expect("our own folder");
        let plugin = build_guest("tests/interop/regress/relay", "relay", &target);
        fs::write(plugins.join("relay.wasm"), plugin).expect("our own folder");
        // A server makes host keys and compiles the plugin, once for all.
        let gateway = Setup::default().plugins(plugins).start();
        copy(&gateway.folder().join("state"), &folder.path().join("state"));
        gateway.end();
        let mut command = Command::new(client_program("python"));
        command.arg(own("service.py"));
        let service = Running::start(command, Input::Held, Output::Read, LATER * 10);
        let port = service.wait("its port", |seen| seen.out.text().split_once('\n').map(|(port, _)| port.to_owned()));
        Self { service, address: format!("127.0.0.1:{port}"), started: AtomicUsize::new(0), folder }
    }

    /// Ends the service.
    pub(super) fn end(mut self) {
        self.service.end_input();
        assert_eq!(self.service.wait("end", |seen| seen.status).code(), Some(0), "{}", self.service.said());
    }

    /// Runs a script. Gives what it printed, too.
    pub(super) fn run(&self, script: &str, left_out: &[String]) -> (Outcome, String) {
        // A number: the scripts remove lines from configurations by what they contain, paths included.
        let folder = self.folder.path().join(self.started.fetch_add(1, Ordering::Relaxed).to_string());
        self.fill(&folder, left_out);
        let mut command = Command::new("sh");
        command.arg(source().join("test-exec.sh")).arg(&folder).arg(source().join(format!("{script}.sh")));
        let programs = ["SSH", "SSHD"].map(|name| (format!("TEST_SSH_{name}"), folder.join(name.to_lowercase())));
        command.current_dir(&folder).envs(programs).env("TEST_SHELL", "/bin/sh").env("BUILDDIR", &folder);
        command.envs(TOOLS.map(|(variable, name)| (variable, client_program(name))));
        // The folder is below one for everybody's temporary files.
        command.env("TEST_SSH_UNSAFE_PERMISSIONS", "1").env("TEST_SSH_PORT", free_port().to_string());
        let finished = Running::run(command, Input::Nothing, LATER);
        end_daemon(&folder);
        let said = format!("{}{}", finished.out.text(), finished.err);
        let refused = fs::read_to_string(folder.join("refused")).unwrap_or_default();
        let skipped = said.lines().find_map(|line| line.strip_prefix("SKIPPED: "));
        let outcome = match (refused.lines().next().or(skipped), finished.status) {
            (Some(what), _) => Outcome::Refused(what.to_owned()),
            (None, Some(0)) => Outcome::Passed,
            (None, _) => Outcome::Fails(complaints(&folder)),
        };
        (outcome, said)
    }

    /// Makes the folder of a script: the two programs, and what OpenSSH's build would have made beside them.
    fn fill(&self, folder: &Path, left_out: &[String]) {
        copy(&self.folder.path().join("state"), &folder.join("state"));
        let settings = folder.join("settings.json");
        let text = json!({
            "whelk": program(),
            "plugins": self.folder.path().join("plugins"),
            "state": folder.join("state"),
            "service": self.address,
            "algorithms": algorithms(),
            "lacks": if has_ring() { &["nistp521"][..] } else { &[] },
            "left_out": left_out,
            "refused": folder.join("refused"),
        });
        fs::write(&settings, text.to_string()).expect("our own folder");
        fs::write(folder.join("config.h"), "#define HAVE_OPENPTY 1\n").expect("our own folder");
        let python = client_program("python").display().to_string();
        let settings = settings.display();
        let script = |name: &str, text: String| write_script(&folder.join(name), &text);
        script("sshd", format!("exec {python} {} {settings} \"$@\"", own("sshd.py")));
        let ssh = client_program(SSH).display().to_string();
        let query = format!("exec {python} {} {settings} {ssh} \"$@\"", own("ssh_query.py"));
        // The scripts copy this file to and fro, so it goes on behind the end of its commands.
        let data: String = (0..DATA / 8).map(|at| format!("{:07x}\n", at.wrapping_mul(2_654_435_761) >> 4)).collect();
        script("ssh", format!("for word; do test \"$word\" = -Q && {query}; done\nexec {ssh} \"$@\"\n{data}"));
        script("timestamp", "exec date +%s.%N".to_owned());
        script("netcat", format!("exec {python} {} \"$@\"", own("netcat.py")));
        script("modpipe", format!("exec {python} {} \"$@\"", own("modpipe.py")));
        // It checks whether others could change a program of the operator's.
        script("check-perm", "exit 0".to_owned());
    }
}

/// Every name that Whelk knows, a list for each kind.
fn algorithms() -> serde_json::Value {
    let keys = names_of(AlgorithmKind::Key);
    let certified = keys.iter().map(|name| format!("{name}-cert-v01@openssh.com"));
    let keys: Vec<String> = certified.chain(keys.iter().map(|name| (*name).to_owned())).collect();
    json!({
        "kex": names_of(AlgorithmKind::Kex),
        "key": keys,
        "cipher": names_of(AlgorithmKind::Cipher),
        "mac": names_of(AlgorithmKind::Mac),
    })
}

/// What a script has complained of, each once.
fn complaints(folder: &Path) -> Vec<String> {
    let text = fs::read(folder.join("failed-regress.log")).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let complaints = text.lines().filter_map(|line| line.strip_prefix("FAIL: ").or(line.strip_prefix("FATAL: ")));
    // One of them shows a server's bytes.
    let printable = |line: &str| line.chars().filter(|letter| !letter.is_control()).take(LONGEST_COMPLAINT).collect();
    complaints.map(printable).collect::<BTreeSet<String>>().into_iter().collect()
}

/// A file beside this one.
fn own(name: &str) -> String {
    repository().join("tests/interop/regress").join(name).display().to_string()
}

/// Copies a folder.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().expect("it is in a folder")).expect("our own folder");
    let mut command = Command::new("cp");
    command.arg("-r").arg(from).arg(to);
    let finished = Running::run(command, Input::Nothing, SOON);
    assert_eq!(finished.status, Some(0), "{}", finished.err);
}

/// A port of 127.0.0.1 for a server that a script starts.
fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    free.expect("loopback has a free port").port()
}

/// Ends the server that a script has left behind.
fn end_daemon(folder: &Path) {
    let number = fs::read_to_string(folder.join("pidfile")).ok().and_then(|text| text.trim().parse().ok());
    if let Some(process) = number.and_then(Pid::from_raw) {
        // It may have ended in the meantime.
        let _ = kill_process(process, Signal::TERM);
    }
}
