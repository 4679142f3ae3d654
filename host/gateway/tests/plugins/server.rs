//! A server with a plugin folder, observed by its log.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Long enough for a busy machine; a passing test never waits that long.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// The arguments of the server.
const SERVE: &[&str] = &["serve", "--listen", "127.0.0.1:0", "--log", "json"];

/// The child processes of a process.
fn children(pid: u32) -> Vec<i32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let lists = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default());
    lists.flat_map(|list| list.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<_>>()).collect()
}

/// Whether a process is `whelk compile`. Between fork and exec it is not yet.
fn is_compiler(pid: i32) -> bool {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    words.split(|byte| *byte == 0).nth(1) == Some(b"compile")
}

/// A folder with a plugin folder and a state folder.
pub(crate) struct Place {
    pub(crate) folder: tempfile::TempDir,
}

/// A server that is stopped when the test ends, however it ends.
pub(crate) struct Server {
    child: Child,
    events: Receiver<Value>,
}

impl Place {
    pub(crate) fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("plugins")).unwrap();
        Place { folder }
    }

    pub(crate) fn plugins(&self) -> PathBuf {
        self.folder.path().join("plugins")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state/whelk")
    }

    /// Installs a file in the plugin folder atomically.
    pub(crate) fn put(&self, name: &str, wasm: &[u8]) {
        let temporary = self.folder.path().join("being written");
        fs::write(&temporary, wasm).unwrap();
        let file = self.plugins().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::rename(temporary, file).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_whelk"));
        let folder: &Path = self.folder.path();
        command.args(arguments).current_dir(folder).env_remove("WHELK_LOG").env("XDG_STATE_HOME", folder.join("state"));
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let Output { status, stdout, stderr } = self.command(arguments).output().unwrap();
        (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
    }

    /// Starts a server, and waits until it listens and its plugins are prepared. Returns the log until then.
    pub(crate) fn serve(&self) -> (Server, Vec<Value>) {
        self.watch(self.command(SERVE))
    }

    /// The same with more arguments.
    pub(crate) fn serve_with(&self, arguments: &[&str]) -> (Server, Vec<Value>) {
        let mut command = self.command(SERVE);
        command.args(arguments);
        self.watch(command)
    }

    /// The same without an available inotify instance: in a user namespace with a limit of its own.
    pub(crate) fn serve_unwatched(&self) -> (Server, Vec<Value>) {
        let limit = "/proc/sys/user/max_inotify_instances";
        let script = format!("echo 0 > {limit} && exec \"$@\"");
        let served = self.command(SERVE);
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "sh", "-c", &script, "sh"]).arg(served.get_program());
        command.args(SERVE).current_dir(self.folder.path()).env_remove("WHELK_LOG");
        command.env("XDG_STATE_HOME", self.folder.path().join("state"));
        let probe = Command::new("unshare").args(["--user", "--map-root-user", "test", "-w", limit]).status();
        assert!(
            probe.as_ref().is_ok_and(|status| status.success()),
            "this test needs a user namespace with {limit} in it, which this machine does not allow: {probe:?}"
        );
        self.watch(command)
    }

    fn watch(&self, mut command: Command) -> (Server, Vec<Value>) {
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
        let server = Server { child, events };
        let before = server.until_all(&["listening", "plugins prepared"]);
        (server, before)
    }

    /// The running server's report on the plugins in its first folder.
    pub(crate) fn list(&self) -> Value {
        let (status, answer, error) = self.run(&["plugin", "list", "--json"]);
        assert_eq!(status, 0, "{error}");
        serde_json::from_str::<Value>(&answer).unwrap()["folders"][0].clone()
    }

    /// Asks until the answer satisfies the condition.
    pub(crate) fn list_until(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let folder = self.list();
            if wanted(&folder) {
                return folder;
            }
            assert!(began.elapsed() < LONGEST_WAIT, "{folder}");
        }
    }
}

impl Server {
    /// Stops the first compiler that the server runs from now on, in the middle of its work.
    pub(crate) fn stop_compiler(&self) {
        let began = Instant::now();
        let compiler = loop {
            if let Some(compiler) = children(self.child.id()).into_iter().find(|child| is_compiler(*child)) {
                break Pid::from_raw(compiler).unwrap();
            }
            assert!(began.elapsed() < LONGEST_WAIT, "no compiler is started");
            thread::yield_now();
        };
        kill_process(compiler, Signal::STOP).unwrap();
    }

    /// The events up to the first with this message.
    pub(crate) fn until(&self, message: &str) -> Vec<Value> {
        self.until_all(&[message])
    }

    /// The events until each of these messages has appeared.
    fn until_all(&self, messages: &[&str]) -> Vec<Value> {
        let (mut events, mut missing) = (Vec::new(), messages.to_vec());
        while !missing.is_empty() {
            let event = self.events.recv_timeout(LONGEST_WAIT);
            let event = event.unwrap_or_else(|_| panic!("no {missing:?} after {events:?}"));
            missing.retain(|message| event["message"] != *message);
            events.push(event);
        }
        events
    }

    /// The new events since the last call.
    pub(crate) fn so_far(&self) -> Vec<Value> {
        self.events.try_iter().collect()
    }

    /// The first event with this message.
    pub(crate) fn event(&self, message: &str) -> Value {
        self.until(message).pop().unwrap()
    }

    /// The memory that it has allocated, in bytes.
    pub(crate) fn allocated(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() << 10
    }

    /// Kills it like a crash of the machine.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails if it has ended already, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
