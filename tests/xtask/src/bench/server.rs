//! The servers, each tied to core 0, in a control group of its own where there are such, with the same key behind
//! the door.

use super::meter::{self, Meter};
use crate::clients::Clients;
use crate::step::{Outcome, doing, output, run as step};
use crate::workspace::{RELEASE, Workspace};
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, PoisonError};

/// The plugin that most loads use.
pub(crate) const PLUGIN: &str = "probe";

/// The plugin, and the user, of the program that is measured: it prints its first argument.
pub(crate) const PROGRAM: &str = "print";
/// Its source.
const PROGRAM_SOURCE: &str = r#"fn main() { print!("{}", std::env::args().nth(1).unwrap_or_default()) }"#;

/// The plugin, and the user, of the program that starts others.
pub(crate) const PROCESSES: &str = "processes";

/// The user, and the plugin, of the shell.
pub(crate) const SHELL: &str = "sh";

/// What Whelk says when everything is compiled that it compiles unasked.
const PREPARED: [&str; 3] = ["plugins prepared", "program loaded plugin=sh ", "program loaded plugin=coreutils "];

/// What Whelk says of a version of [`PLUGIN`]: that it is served, or why not.
const VERDICTS: [&str; 2] = ["plugin loaded plugin=probe ", "plugin refused"];

/// The target of programs.
pub(crate) const WASM: &str = "wasm32-wasip2";

/// The user, and the tenant, whose files are transferred.
const FILES: &str = "files";

/// Connections of one user that every configuration permits, and some more.
const CONNECTIONS: u32 = 1000;

/// The processors of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Cores {
    #[default]
    First,
    /// Core 1 too, where the client is.
    Both,
}

impl Cores {
    /// As taskset(1) writes them.
    fn list(self) -> &'static str {
        match self {
            Self::First => "0",
            Self::Both => "0,1",
        }
    }
}

/// How a server is run.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Setup {
    pub(crate) cores: Cores,
    /// How many connections wait at once.
    pub(crate) crowd: u32,
}

impl Setup {
    /// The configuration of Whelk that permits this.
    fn config(self) -> String {
        if self.crowd > CONNECTIONS { format!("whelk-{}.toml", self.crowd) } else { "whelk.toml".to_owned() }
    }
}

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Whelk,
    Sshd,
    /// The one of `tests/peer`.
    Russh,
    /// Another build of Whelk.
    Other,
}

impl Kind {
    fn is_whelk(self) -> bool {
        matches!(self, Self::Whelk | Self::Other)
    }

    /// Its name in the tables and in the figures.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Whelk => "whelk",
            Self::Sshd => "sshd",
            Self::Russh => "russh",
            Self::Other => "other",
        }
    }
}

/// What the runs share: the programs, a key, the files of both servers.
pub(crate) struct Place {
    folder: PathBuf,
    repository: PathBuf,
    whelk: PathBuf,
    /// The folder of our own client and of the server on russh.
    tools: PathBuf,
    sshd: PathBuf,
    /// Another build of Whelk, to compare with in the place of other servers.
    other: Option<PathBuf>,
    clients: Clients,
    /// Who we are, and so who logs in to sshd.
    user: String,
}

impl Place {
    /// Writes everything that a server needs to start. `whelk`: the program that is measured, and another one, if any.
    /// `processes`: whether the program that starts others will be there. `idle`: how many sessions wait at once.
    pub(crate) fn prepare(
        workspace: &Workspace,
        clients: Clients,
        (whelk, other): (PathBuf, Option<PathBuf>),
        (processes, idle): (bool, &[u32]),
    ) -> Outcome<Self> {
        let folder = workspace.target.join("bench");
        doing(folder.display(), fs::create_dir_all(&folder))?;
        let user = output(Command::new("id").arg("-un"))?.trim().to_owned();
        let (repository, sshd) = (workspace.root.clone(), clients.program("sshd-10.0"));
        let tools = workspace.target.join(RELEASE);
        let place = Self { folder, repository, whelk, tools, sshd, other, clients, user };
        for name in ["key", "sshd_key"] {
            if !place.file(name).is_file() {
                let mut generate = Command::new(place.client("ssh-keygen-10.0"));
                step(generate.args(["-q", "-t", "ed25519", "-N", "", "-C", "bench", "-f"]).arg(place.file(name)))?;
            }
        }
        let key = place.file("key.pub");
        let user =
            |name| format!("[users.{name}]\nplugin = \"{name}\"\nauthorized_keys = {:?}\n", key.display().to_string());
        let files = format!(
            "[users.{FILES}]\ntenant = \"{FILES}\"\nauthorized_keys = {:?}\n[tenants.{FILES}]\nplugin = \"probe\"\n\
             routes.subsystem = {{ sftp = \"sftp\" }}\n\
             grants.directory = {{ path = {:?}, access = \"read-write\", bytes = \"64 GiB\", files = 1000000 }}\n",
            key.display().to_string(),
            place.files(Kind::Whelk).display().to_string()
        );
        let of_processes = || format!("{}[tenants.default.grants]\nprocess = true\n", user(PROCESSES));
        let processes = if processes { of_processes() } else { String::new() };
        // 5,000 shells wait at once, of 1.2 MiB of address space each, which count whether they are used or not.
        let shell = format!(
            "[users.{SHELL}]\ntenant = \"{SHELL}\"\nauthorized_keys = {:?}\n[tenants.{SHELL}]\nplugin = \"{SHELL}\"\n\
             [tenants.{SHELL}.grants]\nprocess = true\ndirectory = {{ ephemeral = \"session\" }}\n[tenants.{SHELL}.limits]\n\
             connections_per_user = 1000\nsessions_per_user = 6000\ntenant_sessions = 6000\ntenant_memory = \"64 GiB\"\n",
            key.display().to_string()
        );
        let users = [user(PLUGIN), user(PROGRAM), processes, files, shell].concat();
        for crowd in [CONNECTIONS].iter().chain(idle) {
            let file = Setup { crowd: *crowd, ..Setup::default() }.config();
            doing(&file, fs::write(place.file(&file), limits(*crowd) + &users))?;
        }
        for kind in [Kind::Whelk, Kind::Other, Kind::Sshd] {
            doing("files", fs::create_dir_all(place.files(kind)))?;
        }
        // A copy: with a configuration the server refuses a folder that others may write to, as that of a clone may be.
        let (plugins, name) = (place.file("plugins"), format!("{PLUGIN}.wasm"));
        doing(plugins.display(), fs::create_dir_all(&plugins))?;
        doing(&name, fs::copy(place.repository.join("plugins").join(&name), plugins.join(&name)))?;
        let programs = place.programs();
        doing(programs.display(), fs::create_dir_all(&programs))?;
        // Links are names of the same program.
        let mut copy = Command::new("cp");
        step(copy.arg("-a").arg(place.repository.join("plugins/bin/.")).arg(&programs))?;
        let source = place.file("print.rs");
        doing(source.display(), fs::write(&source, PROGRAM_SOURCE))?;
        compile(&source, &["--target", WASM], &plugins.join(PROGRAM).with_extension("wasm"))?;
        Ok(place)
    }

    /// The folder of the programs of a server.
    pub(crate) fn programs(&self) -> PathBuf {
        self.file("plugins").join("bin")
    }

    /// Whelk, and the servers that it is compared with.
    pub(crate) fn servers(&self) -> &'static [Kind] {
        if self.other.is_some() { &[Kind::Whelk, Kind::Other] } else { &[Kind::Whelk, Kind::Sshd, Kind::Russh] }
    }

    /// A file of the bench.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The files that clients of sftp see on a server.
    pub(crate) fn files(&self, kind: Kind) -> PathBuf {
        self.file(if kind == Kind::Sshd { "files-of-sshd" } else { "files-of-whelk" })
    }

    /// A foreign client.
    pub(crate) fn client(&self, name: &str) -> PathBuf {
        self.clients.program(name)
    }

    /// Our own client, which makes the loads.
    pub(crate) fn load(&self) -> PathBuf {
        self.tools.join("ours")
    }

    /// Where the CPU time comes from on this machine.
    pub(crate) fn source(&self) -> &'static str {
        match meter::group("asked") {
            Some(group) => {
                // It was made to see whether it can be.
                let _ = fs::remove_dir(group);
                "a control group (version 2) for each server"
            }
            None => {
                "/proc, added up over the server's processes: too low for a server that forks (no writable cgroup v2 here)"
            }
        }
    }

    fn command(&self, kind: Kind, port: u16, setup: Setup) -> Outcome<Command> {
        let mut command = match (kind, &self.other) {
            (Kind::Other, Some(other)) => Command::new(other),
            (Kind::Whelk | Kind::Other, _) => Command::new(&self.whelk),
            (Kind::Sshd, _) => Command::new(&self.sshd),
            (Kind::Russh, _) => Command::new(self.tools.join("peer")),
        };
        match kind {
            Kind::Whelk | Kind::Other => {
                command.args(["serve", "--log", "text", "--listen", &format!("127.0.0.1:{port}")]);
                command.arg("--config").arg(self.file(&setup.config()));
                command.arg("--plugins").arg(self.file("plugins")).arg("--state").arg(self.file("state"));
            }
            Kind::Russh => {
                command.arg(port.to_string()).args([self.file("sshd_key"), self.file("key.pub")]);
            }
            Kind::Sshd => {
                let (key, allowed, home) = (self.file("sshd_key"), self.file("key.pub"), self.file("home"));
                doing(home.display(), fs::create_dir_all(&home))?;
                let text = format!(
                    "ListenAddress 127.0.0.1:{port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\n\
                     UsePAM no\nUseDNS no\nPrintMotd no\nPrintLastLog no\nPermitRootLogin prohibit-password\n\
                     PasswordAuthentication no\nMaxStartups 1000\nMaxSessions 1000\nPerSourcePenalties no\n\
                     Subsystem sftp internal-sftp -d {}\nSetEnv HOME={}\n",
                    key.display(),
                    allowed.display(),
                    self.files(Kind::Sshd).display(),
                    // An empty home: a login shell with much in its settings would be measured too.
                    home.display()
                );
                doing("sshd_config", fs::write(self.file("sshd_config"), text))?;
                command.args(["-D", "-e", "-f"]).arg(self.file("sshd_config"));
            }
        }
        Ok(command)
    }
}

/// The command, tied to these cores, with as many open files as it may have. The shell moves itself into the group and
/// becomes the program, so that not one instruction is missed.
pub(crate) fn on_cores(cores: Cores, command: &Command, group: Option<&Path>) -> Command {
    let mut shell = Command::new("sh");
    let script = r#"if [ -n "$0" ]; then echo $$ > "$0/cgroup.procs" || exit 1; fi
ulimit -S -n "$(ulimit -H -n)"; exec taskset --cpu-list "$@""#;
    shell.args(["-c", script]).arg(group.unwrap_or(Path::new(""))).arg(cores.list());
    shell.arg(command.get_program()).args(command.get_args());
    shell
}

/// Compiles a program of one file.
pub(crate) fn compile(source: &Path, options: &[&str], to: &Path) -> Outcome {
    let mut compile = Command::new("rustc");
    compile.args(["--edition", "2024", "-O", "-C", "strip=symbols"]).args(options).arg("-o");
    step(compile.arg(to).arg(source))
}

/// The limits of a configuration for so many connections that wait, each with a session.
fn limits(crowd: u32) -> String {
    let crowd = crowd.max(CONNECTIONS);
    let (connections, instances) = (crowd + 100, instances(crowd));
    let all = connections.max(10_000);
    format!(
        "[limits]\nconnections = {all}\ninstances = {instances}\n[tenants.default.limits]\n\
         connections_per_user = {connections}\nsessions_per_user = {connections}\n\
         tenant_sessions = {connections}\ntenant_memory = \"64 GiB\"\n"
    )
}

/// How many instances Whelk needs: it keeps the last tenth for other tenants.
fn instances(crowd: u32) -> u32 {
    (crowd + crowd / 8 + 100).max(10_000)
}

/// What this machine lacks for so many connections that wait, each with a session. Whelk has up to six memory mappings
/// for each instance.
pub(crate) fn lacking(crowd: u32) -> Outcome<Option<String>> {
    let file = "/proc/sys/vm/max_map_count";
    let mappings: u32 = doing(file, fs::read_to_string(file))?.trim().parse().unwrap_or(u32::MAX);
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum.unwrap_or(u64::MAX);
    Ok(lacking_of(crowd, mappings, files))
}

fn lacking_of(crowd: u32, mappings: u32, files: u64) -> Option<String> {
    let (needed, open) = (instances(crowd).saturating_mul(6).saturating_add(4_700), u64::from(crowd) + 1_000);
    if crowd > CONNECTIONS && mappings < needed {
        return Some(format!("vm.max_map_count is {mappings}, {needed} are needed: sysctl vm.max_map_count=131072"));
    }
    (files < open).then(|| format!("a process may have {files} open files, {open} are needed: ulimit -H -n {open}"))
}

fn free_port() -> Outcome<u16> {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    Ok(doing("a free port", free)?.port())
}

/// A running server. Dropping it ends it.
pub(crate) struct Server {
    kind: Kind,
    child: Child,
    port: u16,
    meter: Meter,
    user: String,
    /// What it says of [`PLUGIN`] once it listens.
    of_plugin: Mutex<Receiver<String>>,
}

impl Server {
    /// Starts it and waits until it listens.
    pub(crate) fn start(place: &Place, kind: Kind) -> Outcome<Self> {
        Self::start_with(place, kind, Setup::default())
    }

    /// The same with another set-up.
    pub(crate) fn start_with(place: &Place, kind: Kind, setup: Setup) -> Outcome<Self> {
        let port = free_port()?;
        Self::run(&place.command(kind, port, setup)?, place, (kind, setup.cores), port)
    }

    /// Starts sshd for a user whose login shell is this one. sshd sees another file of users, which is mounted for it
    /// alone.
    pub(crate) fn start_sshd(place: &Place, shell: &Path) -> Outcome<Self> {
        let port = free_port()?;
        let sshd = place.command(Kind::Sshd, port, Setup::default())?;
        let users = doing("/etc/passwd", fs::read_to_string("/etc/passwd"))?;
        let user = format!("{}:", place.user);
        let with_shell = |line: &str| match line.rsplit_once(':') {
            Some((before, _)) if line.starts_with(&user) => format!("{before}:{}\n", shell.display()),
            _ => format!("{line}\n"),
        };
        let file = place.file("passwd");
        doing(file.display(), fs::write(&file, users.lines().map(with_shell).collect::<String>()))?;
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", r#"mount --bind "$0" /etc/passwd && exec "$@""#]).arg(file);
        command.arg(sshd.get_program()).args(sshd.get_args());
        Self::run(&command, place, (Kind::Sshd, Cores::First), port)
    }

    fn run(command: &Command, place: &Place, (kind, cores): (Kind, Cores), port: u16) -> Outcome<Self> {
        let name = kind.name();
        let group = meter::group(name);
        let mut shell = on_cores(cores, command, group.as_deref());
        shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = doing(name, shell.spawn())?;
        let meter = group.map_or(Meter::Tree(child.id()), Meter::Group);
        let log = child.stderr.take().ok_or("stderr was asked to be a pipe")?;
        let user = if kind == Kind::Sshd { place.user.clone() } else { PLUGIN.to_owned() };
        let (tell, of_plugin) = channel();
        let server = Self { kind, child, port, meter, user, of_plugin: Mutex::new(of_plugin) };
        let mut lines = BufReader::new(log).lines().map_while(Result::ok);
        let mut said = Vec::new();
        loop {
            let Some(line) = lines.next() else { return Err(format!("{name} did not start:\n{}", said.join("\n"))) };
            said.push(line);
            // Whelk compiles its plugins and its first programs while it listens, which is not what is measured.
            let has_said = |text: &&str| said.iter().any(|line| line.contains(text));
            if has_said(&"listening") && (!kind.is_whelk() || PREPARED.iter().all(has_said)) {
                break;
            }
            if let Some(refused) = said.last().filter(|line| line.contains("plugin refused")) {
                return Err(refused.clone());
            }
        }
        let is_of_plugin = |line: &String| VERDICTS.iter().any(|text| line.contains(text));
        // A log that nobody reads would stop the server. An error means that the server is dropped.
        std::thread::spawn(move || {
            lines.for_each(|line| {
                if is_of_plugin(&line) {
                    drop(tell.send(line))
                }
            })
        });
        Ok(server)
    }

    /// Whether it has loaded another version of [`PLUGIN`] since this was last asked. Fails if it has refused one.
    pub(crate) fn has_loaded_plugin(&self) -> Outcome<bool> {
        match self.of_plugin.lock().unwrap_or_else(PoisonError::into_inner).try_recv() {
            Ok(line) if line.contains(VERDICTS[0]) => Ok(true),
            Ok(line) => Err(line),
            Err(_) => Ok(false),
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// Who sees files.
    pub(crate) fn user_of_files(&self) -> &str {
        if self.kind == Kind::Sshd { &self.user } else { FILES }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn meter(&self) -> &Meter {
        &self.meter
    }

    /// The same work in the words of this server.
    pub(crate) fn says(&self, whelk: String, sshd: String) -> String {
        match self.kind {
            Kind::Whelk | Kind::Other | Kind::Russh => whelk,
            Kind::Sshd => sshd,
        }
    }

    /// Ends it; Whelk must end well.
    pub(crate) fn stop(mut self) -> Outcome {
        self.terminate();
        let status = doing("wait", self.child.wait())?;
        if self.kind.is_whelk() && !status.success() {
            return Err(format!("whelk ended with {status}"));
        }
        Ok(())
    }

    fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        // An error means that it has ended already; `stop` looks how.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.terminate();
            let _ = self.child.wait();
        }
        self.meter.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_needs_mappings_and_files() {
        assert_eq!(lacking_of(1_000, 65_530, 4_096), None);
        assert_eq!(lacking_of(10_000, 131_072, 20_000), None);
        let mappings = "vm.max_map_count is 65530, 72800 are needed: sysctl vm.max_map_count=131072";
        assert_eq!(lacking_of(10_000, 65_530, 20_000).as_deref(), Some(mappings));
        let files = "a process may have 4096 open files, 11000 are needed: ulimit -H -n 11000";
        assert_eq!(lacking_of(10_000, 131_072, 4_096).as_deref(), Some(files));
    }

    #[test]
    fn a_greater_crowd_has_a_configuration_of_its_own() {
        let config = |crowd| Setup { crowd, ..Setup::default() }.config();
        assert_eq!((config(0), config(10_000)), ("whelk.toml".to_owned(), "whelk-10000.toml".to_owned()));
        assert!(limits(10_000).contains("instances = 11350\n"), "{}", limits(10_000));
    }
}
