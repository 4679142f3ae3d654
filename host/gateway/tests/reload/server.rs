//! A server with a configuration, observed by its log.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Long enough for a busy machine; a passing test never waits that long.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What every configuration of these tests has.
const SETTINGS: &str = "listen = [\"127.0.0.1:0\"]\nstate = \"state\"\n";

/// A user.
pub(crate) const GUEST: &str = "[users.guest]\nplugin = \"echo\"\nauth = \"none\"\n";

/// A running server and its folder. It is killed when the test ends, however it ends.
pub(crate) struct Server {
    folder: tempfile::TempDir,
    child: Child,
    events: Mutex<Receiver<Value>>,
    /// Where it listens at the start.
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts it with these settings and the guest, in a folder that `prepare` has filled.
    pub(crate) fn start_in(settings: &str, prepare: impl FnOnce(&Path)) -> Server {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("plugins")).unwrap();
        fs::write(folder.path().join("plugins/echo.wasm"), "").unwrap();
        prepare(folder.path());
        write(folder.path(), settings);
        let mut command = whelk(folder.path(), &["serve", "--config", "whelk.toml", "--log", "json"]);
        // The tests may run with SIGHUP ignored.
        let mut under = Command::new("env");
        under.arg("--default-signal=HUP").arg(command.get_program()).args(command.get_args());
        under.current_dir(folder.path()).env_remove("WHELK_LOG").process_group(0);
        command = under;
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (sender, events) = channel();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let event: Value = serde_json::from_str(&line).unwrap();
                // The test has ended.
                if sender.send(event["fields"].clone()).is_err() {
                    return;
                }
            }
        });
        let mut server = Server { folder, child, events: Mutex::new(events), address: ([127, 0, 0, 1], 0).into() };
        let started = server.until_all(&["listening", "plugins prepared"]);
        let address = started.iter().find_map(|event| event["address"].as_str());
        server.address = address.unwrap().parse().unwrap();
        server
    }

    pub(crate) fn start(settings: &str) -> Server {
        Server::start_in(settings, |_| ())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Replaces the configuration at once.
    pub(crate) fn write(&self, settings: &str) {
        write(self.folder.path(), settings);
    }

    /// Runs `whelk` in the server's folder: its status, output and errors.
    pub(crate) fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        outcome(&mut whelk(self.folder.path(), arguments))
    }

    /// `whelk reload`.
    pub(crate) fn reload(&self) -> (i32, String, String) {
        self.run(&["reload", "--state", "state"])
    }

    /// A command that asks for a reload as another user than the server's.
    pub(crate) fn reload_as(&self, user: u32) -> Command {
        // A copy, since others need not be able to read the build's folder.
        let (folder, program) = (self.path("."), self.path("copy"));
        if !program.exists() {
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
            fs::copy(env!("CARGO_BIN_EXE_whelk"), &program).unwrap();
        }
        let mut command = Command::new(program);
        command.args(["reload", "--state", "state"]).current_dir(folder).uid(user).gid(user);
        command
    }

    /// A reload that must succeed.
    pub(crate) fn reloaded(&self) -> Value {
        let (status, out, errors) = self.reload();
        assert_eq!((status, errors.as_str()), (0, ""), "{out}");
        assert!(out.contains("reloaded: "), "{out}");
        self.event("configuration reloaded")
    }

    pub(crate) fn hang_up(&self) {
        kill_process(Pid::from_child(&self.child), Signal::HUP).unwrap();
    }

    /// The first event with this message from now on.
    pub(crate) fn event(&self, message: &str) -> Value {
        self.until(message).pop().unwrap()
    }

    /// The events up to the first with this message.
    pub(crate) fn until(&self, message: &str) -> Vec<Value> {
        self.until_all(&[message])
    }

    /// The events until each of these messages has appeared.
    fn until_all(&self, messages: &[&str]) -> Vec<Value> {
        let (mut events, mut missing) = (Vec::new(), messages.to_vec());
        while !missing.is_empty() {
            let event = self.events.lock().unwrap().recv_timeout(LONGEST_WAIT);
            let event = event.unwrap_or_else(|_| panic!("no {missing:?} after {events:?}"));
            missing.retain(|message| event["message"] != *message);
            events.push(event);
        }
        events
    }

    /// What the running server says of its plugin folders, apart from programs.
    pub(crate) fn folders(&self) -> Vec<Value> {
        let (status, answer, error) = self.run(&["plugin", "list", "--json", "--state", "state"]);
        assert_eq!(status, 0, "{error}");
        let answer = serde_json::from_str::<Value>(&answer).unwrap();
        let folders = answer["folders"].as_array().unwrap().iter();
        folders.filter(|folder| folder["programs"].is_null()).cloned().collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails if it has ended already, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The whole text of a configuration.
pub(crate) fn text(settings: &str) -> String {
    let listen = if settings.contains("listen =") { "state = \"state\"\n" } else { SETTINGS };
    format!("{listen}{settings}\n{GUEST}")
}

fn write(folder: &Path, settings: &str) {
    let temporary = folder.join("being written");
    fs::write(&temporary, text(settings)).unwrap();
    fs::rename(temporary, folder.join("whelk.toml")).unwrap();
}

fn whelk(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_whelk"));
    command.args(arguments).current_dir(folder).env_remove("WHELK_LOG");
    command
}

/// The status, output and errors of a command.
pub(crate) fn outcome(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// Whether a server sends its identification from this address.
pub(crate) fn greets(address: SocketAddr) -> bool {
    let Ok(stream) = TcpStream::connect(address) else { return false };
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).is_ok() && line.starts_with("SSH-2.0-")
}

/// An address of this machine on which nobody listens.
pub(crate) fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
