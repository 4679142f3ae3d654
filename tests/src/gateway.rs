//! The built `whelk`, running with a state folder of its own.
//!
//! Owns the process and the folder. Clients are in `call.rs`.

mod reused;

use crate::group::MemoryGroup;
use crate::log::{Event, Log};
use crate::measure::{LATER, SOON};
use crate::places::{program, shell, shipped_plugins, utilities};
use crate::running::{Finished, Input, Output, Running};
use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// The kernel's unit of processor time, in ms: USER_HZ is 100 wherever these tests run.
const TICK: u64 = 10;

/// How to start a gateway. The state folder can be filled before the start.
#[derive(Debug)]
pub struct Setup {
    folder: TempDir,
    plugins: PathBuf,
    listen: String,
    configuration: Option<PathBuf>,
    /// A program, with its arguments, that becomes the gateway.
    wrapper: Vec<String>,
    /// Further options of the gateway.
    options: Vec<String>,
    /// What is logged: `WHELK_LOG`.
    filter: String,
    /// The form of the log.
    form: &'static str,
    /// It takes nothing over from earlier gateways.
    fresh: bool,
}

/// The default, and where each connection comes from as soon as it is there.
const FILTER: &str = "info,whelk::connection::driver=debug";

impl Default for Setup {
    fn default() -> Self {
        let folder = tempfile::Builder::new().prefix("whelk-").tempdir().expect("a temporary folder");
        let (listen, wrapper, options) = ("127.0.0.1:0".to_owned(), Vec::new(), Vec::new());
        let (plugins, filter) = (shipped_plugins(), FILTER.to_owned());
        Self { folder, plugins, listen, configuration: None, wrapper, options, filter, form: "json", fresh: false }
    }
}

impl Setup {
    /// A folder that exists as long as the gateway: for keys, configurations, sockets.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The state folder.
    pub fn state(&self) -> PathBuf {
        self.folder().join("state")
    }

    /// Uses other plugins than the shipped ones.
    #[must_use]
    pub fn plugins(mut self, folder: PathBuf) -> Self {
        self.plugins = folder;
        self
    }

    /// Listens on another address than 127.0.0.1 with a free port.
    #[must_use]
    pub fn listen(mut self, address: &str) -> Self {
        address.clone_into(&mut self.listen);
        self
    }

    /// Uses a configuration instead of the demonstration. Unless it has `penalty_exempt`, loopback gets no penalties:
    /// tests fail often, and all from here.
    #[must_use]
    pub fn configuration(mut self, text: &str) -> Self {
        let path = self.folder().join("whelk.toml");
        let exempt = if text.contains("penalty_exempt") { "" } else { "penalty_exempt = [\"127.0.0.0/8\"]\n" };
        std::fs::write(&path, format!("{exempt}{text}")).expect("the temporary folder can be written");
        self.configuration = Some(path);
        self.with_copied_plugins()
    }

    /// Serves the shell and the utilities, too. Without this call they are not there: the first gateway of a test would
    /// compile them at its start.
    #[must_use]
    pub fn utilities(self) -> Self {
        self.with_programs(&utilities())
    }

    /// Serves the shell, without the utilities.
    #[must_use]
    pub fn shell(self) -> Self {
        self.with_programs(&shell())
    }

    fn with_programs(self, files: &BTreeSet<PathBuf>) -> Self {
        let setup = self.with_copied_plugins();
        let folder = setup.plugins.join("bin");
        files.iter().for_each(|file| copy(file, &folder));
        setup
    }

    /// Takes the shipped plugins, where no others are set, from a folder of the test: with a configuration the server
    /// refuses files that others may write to, and those of a clone may be writable for a group or belong to another
    /// user.
    fn with_copied_plugins(mut self) -> Self {
        let (shipped, utilities) = (shipped_plugins(), utilities());
        if self.plugins != shipped {
            return self;
        }
        self.plugins = self.folder().join("shipped");
        for (from, to) in [(shipped.clone(), self.plugins.clone()), (shipped.join("bin"), self.plugins.join("bin"))] {
            std::fs::create_dir_all(&to).expect("the temporary folder can be written");
            for entry in std::fs::read_dir(from).expect("the plugins are there").filter_map(Result::ok) {
                let is_plugin = entry.path().extension().is_some_and(|extension| extension == "wasm");
                if is_plugin && !utilities.contains(&entry.path()) {
                    copy(&entry.path(), &to);
                }
            }
        }
        self
    }

    /// Starts it by another program, which becomes the gateway: its name, and arguments that precede those of the
    /// gateway.
    #[must_use]
    pub fn under(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// Adds an option of the command line.
    #[must_use]
    pub fn option(mut self, option: &str) -> Self {
        self.options.push(option.to_owned());
        self
    }

    /// Logs this, as `WHELK_LOG` says it, instead of the default and when connections are opened and closed.
    #[must_use]
    pub fn log_filter(mut self, filter: &str) -> Self {
        filter.clone_into(&mut self.filter);
        self
    }

    /// Logs as text instead of JSON. Numbers are texts then.
    #[must_use]
    pub fn text_log(mut self) -> Self {
        self.form = "text";
        self
    }

    /// Has it make its own host keys and compile its plugins itself, as at the first start of a server.
    #[must_use]
    pub fn fresh(mut self) -> Self {
        self.fresh = true;
        self
    }

    fn command(&self) -> Command {
        let mut command = match self.wrapper.split_first() {
            None => Command::new(program()),
            Some((wrapper, arguments)) => {
                let mut command = Command::new(wrapper);
                command.args(arguments).arg(program());
                command
            }
        };
        command.arg("serve").arg("--log").arg(self.form).arg("--listen").arg(&self.listen);
        command.arg("--plugins").arg(&self.plugins).arg("--state").arg(self.state());
        if let Some(path) = &self.configuration {
            command.arg("--config").arg(path);
        }
        command.args(&self.options);
        // With backtraces each crash of a plugin would be logged with the host's stack.
        command.env("WHELK_LOG", &self.filter).env_remove("RUST_BACKTRACE").env("XDG_STATE_HOME", self.folder());
        command
    }

    /// Starts it, expecting that it serves.
    pub fn start(self) -> Gateway {
        let setup = self.with_copied_plugins();
        let (process, log, port) = setup.launch();
        Gateway { process, log, port, setup, ended: false }
    }

    /// The process, once it listens and its plugins are prepared, its log, and the port.
    fn launch(&self) -> (Running, Log, u16) {
        if !self.fresh {
            reused::give(&self.plugins, &self.state());
        }
        let process = Running::start(self.command(), Input::Nothing, Output::Read, LATER);
        let log = Log::default();
        let ready = log.wait(&process, "events `listening` and `plugins prepared`", |events| {
            events.iter().find(|event| event.message == "plugins prepared")?;
            events.iter().find(|event| event.message == "listening").cloned()
        });
        let Some(ready) = ready else { panic!("whelk ended before it listened\n{}", process.said()) };
        let address = ready.field("address");
        let port = address.rsplit(':').next().and_then(|port| port.parse().ok());
        let port = port.unwrap_or_else(|| panic!("no port in {:?}", ready.line));
        (process, log, port)
    }

    /// Starts it, expecting that it ends by itself.
    pub fn start_in_vain(&self) -> Finished {
        Running::run(self.command(), Input::Nothing, SOON)
    }
}

/// Copies a file into a folder, a link as a link.
fn copy(file: &Path, folder: &Path) {
    let to = folder.join(file.file_name().expect("it is the path of a file"));
    match std::fs::read_link(file) {
        Ok(target) => symlink(target, to).expect("the temporary folder can be written"),
        Err(_) => {
            let wasm = std::fs::read(file).expect("a plugin can be read");
            std::fs::write(to, wasm).expect("the temporary folder can be written");
        }
    }
}

/// A running gateway. [`Gateway::end`] ends a test; a gateway that is dropped before is killed, and its log is printed.
#[derive(Debug)]
pub struct Gateway {
    process: Running,
    log: Log,
    port: u16,
    setup: Setup,
    ended: bool,
}

impl Gateway {
    /// The demonstration: no configuration, loopback, the user name selects the plugin.
    pub fn demonstration() -> Self {
        Setup::default().start()
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A folder that exists as long as the gateway.
    pub fn folder(&self) -> &Path {
        self.setup.folder()
    }

    /// The file of its configuration.
    pub fn configuration(&self) -> Option<&Path> {
        self.setup.configuration.as_deref()
    }

    /// The folder of its plugins.
    pub fn plugins(&self) -> &Path {
        &self.setup.plugins
    }

    /// The host key's fingerprint, `SHA256:...`, from the log.
    pub fn fingerprint(&self) -> String {
        self.wait("host key", |event| (event.message == "host key").then(|| event.field("fingerprint")))
    }

    /// The fingerprints of all its host keys.
    pub fn fingerprints(&self) -> Vec<String> {
        self.wait_all("host keys", |events| {
            let keys = events.iter().filter(|event| event.message == "host key");
            Some(keys.map(|event| event.field("fingerprint")).collect())
        })
    }

    /// Waits for the first event in which `look` finds something.
    pub fn wait<T>(&self, what: &str, look: impl Fn(&Event) -> Option<T>) -> T {
        self.wait_all(what, |events| events.iter().find_map(&look))
    }

    /// Waits until `look`, given all events since the start, finds something.
    pub fn wait_all<T>(&self, what: &str, look: impl FnMut(&[Event]) -> Option<T>) -> T {
        let found = self.log.wait(&self.process, what, look);
        found.unwrap_or_else(|| panic!("whelk ended without {what}\n{}", self.process.said()))
    }

    /// Its process.
    pub fn process(&self) -> rustix::process::Pid {
        self.process.pid()
    }

    /// The peak resident memory, in bytes.
    pub fn peak_memory(&self) -> u64 {
        self.counted("VmHWM:")
    }

    /// The resident memory now, in bytes.
    pub fn resident_memory(&self) -> u64 {
        self.counted("VmRSS:")
    }

    /// The anonymous part of the resident memory, in bytes: what was allocated.
    pub fn anonymous_memory(&self) -> u64 {
        self.counted("RssAnon:")
    }

    /// A memory figure of the kernel, in bytes.
    fn counted(&self, what: &str) -> u64 {
        let path = format!("/proc/{}/status", self.process.pid().as_raw_nonzero());
        let status = std::fs::read_to_string(path).expect("the gateway runs");
        let line = status.lines().find_map(|line| line.strip_prefix(what)).expect("the kernel counts memory");
        let kib = line.split_whitespace().next().and_then(|count| count.parse::<u64>().ok());
        kib.expect("memory is counted in KiB") * 1024
    }

    /// Limits its memory to this many bytes, as long as the group exists. `None` where this machine does not allow
    /// making a group.
    pub fn limit_memory(&self, bytes: u64) -> Option<MemoryGroup> {
        MemoryGroup::around(self.process.pid().as_raw_nonzero().get(), bytes)
    }

    /// The processor time that it has used so far, its compiler's not included.
    pub fn processor_time(&self) -> Duration {
        let path = format!("/proc/{}/stat", self.process.pid().as_raw_nonzero());
        let stat = std::fs::read_to_string(path).expect("the gateway runs");
        // proc_pid_stat(5): the name of the program is in parentheses and may contain anything; utime and stime are the
        // 12th and the 13th field after it.
        let (_, fields) = stat.rsplit_once(')').expect("the kernel writes the program's name");
        let ticks = fields.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok());
        Duration::from_millis(TICK * ticks.sum::<u64>())
    }

    /// The id of its process.
    pub fn pid(&self) -> i32 {
        self.process.pid().as_raw_nonzero().get()
    }

    /// How many bytes it has logged.
    pub fn logged(&self) -> u64 {
        self.process.wait("its log", |seen| Some(seen.err.total))
    }

    /// The number of its open files and sockets.
    pub fn open_files(&self) -> usize {
        let path = format!("/proc/{}/fd", self.process.pid().as_raw_nonzero());
        std::fs::read_dir(path).expect("the gateway runs").count()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(self.process.pid(), signal).expect("the gateway runs");
    }

    /// Waits until it has ended, as it must with status 0 after a signal, and starts it again with the same state. Its
    /// port and its log are new.
    pub fn restart(&mut self) {
        let status = self.process.wait_soon("end after a signal", |seen| seen.status);
        assert_eq!(status.code(), Some(0), "whelk ended with {status}\n{}", self.process.said());
        (self.process, self.log, self.port) = self.setup.launch();
    }

    /// Kills it with SIGKILL at whatever point it is and starts it again with the same state. Its port and its log are
    /// new.
    pub fn kill_and_restart(&mut self) {
        self.process.kill();
        assert_eq!(self.process.ended_by(), Some(rustix::process::Signal::KILL.as_raw()), "it had ended before");
        (self.process, self.log, self.port) = self.setup.launch();
    }

    /// Ends it with SIGTERM: it must end with status 0 and without a panic.
    pub fn end(mut self) {
        self.terminate();
    }

    /// The same; the folder stays as long as this. Returns its log.
    pub fn terminate(&mut self) -> Vec<Event> {
        self.signal(rustix::process::Signal::TERM);
        self.wait_for_end()
    }

    /// Waits until it has ended, as it must with status 0 after a signal, and without a panic. Returns its log.
    pub fn wait_for_end(&mut self) -> Vec<Event> {
        self.ended = true;
        let (status, said) = self.process.wait_soon("end after a signal", |seen| Some((seen.status?, seen.err.text())));
        assert_eq!(status.code(), Some(0), "whelk ended with {status}\n{said}");
        reused::take_code(&self.setup.plugins, &self.setup.state());
        // A configuration may name others.
        let text = self.setup.configuration.as_ref().and_then(|path| std::fs::read_to_string(path).ok());
        if text.is_none_or(|text| !text.contains("host_key")) {
            reused::take_host_keys(&self.setup.state());
        }
        // A plugin may log that it panicked itself.
        let events: Vec<Event> = said.lines().map(Event::parse).collect();
        let panicked = events.iter().find(|event| !event.is_from_plugin() && event.line.contains("panicked"));
        assert!(panicked.is_none(), "something panicked: {panicked:?}\n{said}");
        events
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if !self.ended {
            eprintln!("the gateway's log:\n{}", self.process.said());
        }
    }
}
