//! A running server with users of two tenants, and clients of it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::{Duration, Instant};

use whelk_ssh::message::mux::ChannelId;
use whelk_ssh::message::request::Request;

use crate::guest;
use crate::peer::{Happened, Peer};
use crate::visit;

const CONFIGURATION: &str = r#"
listen = ["127.0.0.1:0"]
state = "state"
[users.alice]
plugin = "script"
auth = "none"
tenant = "acme"
[users.bob]
plugin = "script"
auth = "none"
tenant = "acme"
[users.zoe]
plugin = "script"
auth = "none"
tenant = "other"
[tenants.acme]
[tenants.other]
"#;

/// A server in a folder of its own. It is killed when the test ends, however it ends.
pub(crate) struct Server {
    folder: tempfile::TempDir,
    pub(crate) child: Child,
    lines: std::io::Lines<BufReader<ChildStderr>>,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// With these settings besides.
    pub(crate) fn start(settings: &str) -> Server {
        let folder = tempfile::tempdir().unwrap();
        for name in ["plugins", "files"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let script = guest::build(&["script"]).join("script.wasm");
        fs::copy(script, folder.path().join("plugins/script.wasm")).unwrap();
        fs::write(folder.path().join("whelk.toml"), format!("{CONFIGURATION}{settings}")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_whelk"));
        command.args(["serve", "--config", "whelk.toml"]).current_dir(folder.path()).env_remove("WHELK_LOG");
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (mut address, mut is_prepared) = (None, false);
        while address.is_none() || !is_prepared {
            let line = lines.next().unwrap().unwrap();
            is_prepared |= line.contains("plugins prepared");
            let listens = line.contains(": listening ").then(|| line.split_once("address=")).flatten();
            address = address.or_else(|| listens.map(|(_, at)| at.parse().unwrap()));
        }
        Server { folder, child, lines, address: address.unwrap() }
    }

    /// The next line of the log that contains `text`.
    pub(crate) fn line(&mut self, text: &str) -> String {
        self.lines.by_ref().map(Result::unwrap).find(|line| line.contains(text)).unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `whelk` with these arguments, in the server's folder.
    pub(crate) fn whelk(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_whelk"));
        command.args(arguments).args(["--state", "state"]).current_dir(self.folder.path()).env_remove("WHELK_LOG");
        command.stdin(Stdio::null());
        command
    }

    /// The status and both outputs of `whelk` with these arguments.
    pub(crate) fn ask(&self, arguments: &[&str]) -> (i32, String, String) {
        let Output { status, stdout, stderr } = self.whelk(arguments).output().unwrap();
        (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
    }

    /// The output of a request that succeeds.
    pub(crate) fn told(&self, arguments: &[&str]) -> String {
        let (status, stdout, stderr) = self.ask(arguments);
        assert_eq!((status, stderr.as_str()), (0, ""), "{arguments:?}: {stdout}");
        stdout
    }

    /// The lines of a list in JSON.
    pub(crate) fn listed(&self, arguments: &[&str]) -> Vec<serde_json::Value> {
        let text = self.told(&[arguments, &["--json"]].concat());
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The IDs of sessions and connections, in the JSON of this server: without the run, which each begins with.
    pub(crate) fn ids<'v>(&self, ids: impl IntoIterator<Item = &'v serde_json::Value>) -> Vec<&'v str> {
        let status: serde_json::Value = serde_json::from_str(&self.told(&["status", "--json"])).unwrap();
        let run = status["run"].as_str().unwrap();
        let short = |id: &'v serde_json::Value| id.as_str()?.strip_prefix(run)?.strip_prefix('-');
        ids.into_iter().map(|id| short(id).unwrap_or_else(|| panic!("{id} is not of the run {run}"))).collect()
    }

    /// The records of the audit `audit.json` with these events, once there are so many: they are written by a thread
    /// of their own, and an answer may come before.
    pub(crate) fn audited(&self, count: usize, is_wanted: impl Fn(&str) -> bool) -> Vec<serde_json::Value> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let text = fs::read_to_string(self.path("audit.json")).unwrap();
            // The last line may not be whole yet.
            let records = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
            let wanted: Vec<_> = records.filter(|record| is_wanted(record["event"].as_str().unwrap())).collect();
            if wanted.len() >= count || Instant::now() > deadline {
                return wanted;
            }
        }
    }

    /// A client of this user, with a session that has begun a command and has written something.
    pub(crate) async fn client(&self, user: &str, command: &[u8]) -> (Peer, ChannelId) {
        let mut peer = visit::log_in(self.address, user).await;
        let channel = visit::open(&mut peer, Some(&Request::Exec { command })).await;
        while !matches!(peer.happens().await.unwrap(), Happened::Data(..)) {}
        (peer, channel)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails if it has ended already, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
