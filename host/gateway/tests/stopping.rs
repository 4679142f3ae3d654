//! SIGTERM ends the program whatever its plugins, its compilers and its control connections are doing.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod guest;
#[path = "../../../tests/client/peer.rs"]
#[expect(dead_code, reason = "what nobody expected is shown whole")]
mod peer;
#[path = "../../../tests/client/visit.rs"]
mod visit;

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;
use std::{env, fs, thread};

use peer::Happened;
use rustix::process::{Pid, Signal, kill_process};
use whelk_ssh::message::request::Request;

/// Long enough for a busy machine; a passing test never waits that long.
const LONGEST: Duration = Duration::from_secs(60);

/// Calls of plugins may take as long as they like, and sessions have no time to end.
const CONFIGURATION: &str = r#"
listen = ["127.0.0.1:0"]
state = "state"
[users.guest]
plugin = "script"
auth = "none"
[limits]
drain = "0 s"
cpu_call = "3600 s"
"#;

/// A server in a folder of its own. It is killed when the test ends, however it ends.
struct Server {
    folder: tempfile::TempDir,
    child: Child,
    lines: std::io::Lines<BufReader<ChildStderr>>,
}

impl Server {
    fn start() -> Server {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("plugins")).unwrap();
        put_script(&folder.path().join("plugins"));
        fs::write(folder.path().join("whelk.toml"), CONFIGURATION).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_whelk"));
        command.args(["serve", "--config", "whelk.toml"]).current_dir(folder.path()).env_remove("WHELK_LOG");
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Server { folder, child, lines }
    }

    /// The next line of the log that contains `text`.
    fn line(&mut self, text: &str) -> String {
        self.lines.by_ref().map(Result::unwrap).find(|line| line.contains(text)).unwrap()
    }

    /// Waits until the server listens and its plugins are prepared, in either order. Returns its address.
    fn ready(&mut self) -> SocketAddr {
        let (mut address, mut is_prepared) = (None, false);
        while address.is_none() || !is_prepared {
            let line = self.lines.next().unwrap().unwrap();
            is_prepared |= line.contains("plugins prepared");
            let listening = line.contains("listening").then(|| line.split_once("address=").unwrap().1);
            address = address.or_else(|| listening.map(|at| at.parse().unwrap()));
        }
        address.unwrap()
    }

    /// Ends it with one SIGTERM: it must exit by itself, with status 0.
    fn end(mut self) {
        let pid = Pid::from_child(&self.child);
        let (ended, over) = channel::<()>();
        let watchdog = thread::spawn(move || {
            if over.recv_timeout(LONGEST) == Err(RecvTimeoutError::Timeout) {
                kill_process(pid, Signal::KILL).unwrap();
            }
        });
        kill_process(pid, Signal::TERM).unwrap();
        let log: Vec<String> = self.lines.by_ref().map_while(Result::ok).collect();
        let status = self.child.wait().unwrap();
        drop(ended);
        watchdog.join().unwrap();
        assert_eq!(status.code(), Some(0), "{log:#?}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails if it has ended already, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Installs the runtime tests' script plugin.
fn put_script(folder: &Path) {
    fs::copy(guest::build(&["script"]).join("script.wasm"), folder.join("script.wasm")).unwrap();
}

/// The children of a process.
fn children(pid: u32) -> Vec<i32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let lists = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default());
    lists.flat_map(|list| list.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<_>>()).collect()
}

/// The state of a process as in proc(5). `None` if there is no such process.
fn state(pid: i32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

#[test]
fn a_stopped_compiler_does_not_prevent_the_end() {
    let mut server = Server::start();
    server.line("listening");
    // Between fork and exec the child still holds the server's standard error, and `end` would wait for it.
    let is_compiler = |child: &i32| {
        let words = fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
        words.split(|byte| *byte == 0).nth(1) == Some(b"compile")
    };
    let compiler = loop {
        if let Some(child) = children(server.child.id()).into_iter().find(is_compiler) {
            break child;
        }
        thread::yield_now();
    };
    kill_process(Pid::from_raw(compiler).unwrap(), Signal::STOP).unwrap();
    while state(compiler).unwrap() != 'T' {
        thread::yield_now();
    }
    server.end();
    // Where nobody reaps orphans a zombie is left.
    assert!(matches!(state(compiler), None | Some('Z' | 'X')), "the compiler stays: {:?}", state(compiler));
}

#[tokio::test]
async fn plugins_that_loop_for_ever_do_not_prevent_the_end() {
    let mut server = Server::start();
    let address = server.ready();
    let mut peer = visit::log_in(address, "guest").await;
    // More than there are workers.
    for _ in 0..thread::available_parallelism().unwrap().get() * 2 {
        let channel = visit::open(&mut peer, None).await;
        let exec = Request::Exec { command: b"write started; spin" };
        assert!(peer.connection.request(channel, exec.kind(), &exec.body(), false));
        while !matches!(peer.happens().await.unwrap(), Happened::Data(..)) {}
    }
    tokio::task::spawn_blocking(move || server.end()).await.unwrap();
}

#[test]
fn silent_control_connections_do_not_prevent_the_end() {
    let mut server = Server::start();
    server.ready();
    let socket = server.folder.path().join("state/control");
    // As many as may ask at a time, and more that wait; every second one does not read its answer.
    let askers: Vec<UnixStream> = (0..32).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    askers.iter().step_by(2).for_each(|mut asker| asker.write_all(b"plugins\n").unwrap());
    server.end();
    assert!(!socket.exists());
    drop(askers);
}
