//! One run of a client.
//!
//! Owns the differences between the clients' command lines. The libraries have small drivers in `interop/` that behave
//! like `ssh`: stdin in, stdout and stderr out, the exit status passed on, 255 for a signal, whose name they print.

use crate::access::{Access, Keys};
use crate::gateway::Gateway;
use crate::measure::{LATER, SOON};
use crate::places::{client_program, our_client, repository};
use crate::running::{Finished, Input, Output, Running};
use std::process::Command;
use std::time::Duration;

/// The versions of OpenSSH's client programs, as their names end.
pub const OPENSSH_VERSIONS: [&str; 2] = ["9.2", "10.0"];

/// What OpenSSH's client programs need to log in by one key and without a question, to a server whose host key they do
/// not know.
pub const OPENSSH_OPTIONS: [&str; 8] = [
    "-F",
    "none",
    "-oStrictHostKeyChecking=no",
    "-oUserKnownHostsFile=/dev/null",
    "-oGlobalKnownHostsFile=/dev/null",
    "-oBatchMode=yes",
    "-oIdentitiesOnly=yes",
    "-oLogLevel=ERROR",
];

/// One of OpenSSH's programs around `ssh`, such as `sftp-10.0`, that logs in with this key.
pub fn openssh_tool(name: &str, key: &Keys) -> Command {
    let mut command = Command::new(client_program(name));
    command.args(OPENSSH_OPTIONS).arg("-i").arg(key.openssh());
    command
}

/// A client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// OpenSSH 9.2, before ML-KEM.
    OpenSsh92,
    /// OpenSSH 10.0, which prefers ML-KEM.
    OpenSsh100,
    /// dropbear's client.
    Dbclient,
    /// PuTTY's client without a window.
    Plink,
    /// AsyncSSH, Python.
    AsyncSsh,
    /// paramiko, Python.
    Paramiko,
    /// libssh, C, from Python.
    Libssh,
    /// ssh2, node.
    Ssh2,
    /// Twisted Conch, Python.
    Conch,
    /// libssh2, C, from Perl (Net::SSH2).
    NetSsh2,
    /// net-ssh, Ruby.
    NetSsh,
    /// x/crypto/ssh, Go.
    XCrypto,
    /// JSch, Java: the maintained fork.
    Jsch,
    /// russh, Rust, from node. This binding hands on no exit status: 0 after a session, 255 if there was none.
    Russh,
    /// curl with libssh2: `sftp://`. It runs no command but asks for the subsystem `sftp`.
    Curl,
    /// Our own: the protocol's client role.
    Ours,
}

impl Client {
    /// All clients that hand on the exit status of a command: all but russh and curl.
    pub const ALL: [Self; 14] = [
        Self::OpenSsh92,
        Self::OpenSsh100,
        Self::Dbclient,
        Self::Plink,
        Self::AsyncSsh,
        Self::Paramiko,
        Self::Libssh,
        Self::Ssh2,
        Self::Conch,
        Self::NetSsh2,
        Self::NetSsh,
        Self::XCrypto,
        Self::Jsch,
        Self::Ours,
    ];
}

/// One call of a client: its target, its user and its command.
#[derive(Debug, Clone)]
#[must_use = "a call does nothing until it is run or started"]
pub struct Call {
    client: Client,
    port: u16,
    fingerprints: Vec<String>,
    user: String,
    command: Option<String>,
    pty: bool,
    access: Access,
    options: Vec<String>,
}

impl Call {
    /// A call that asks for a shell without a terminal and has no credential.
    pub fn new(client: Client, gateway: &Gateway, user: &str) -> Self {
        // Only plink insists on knowing the host key beforehand.
        let fingerprints = if client == Client::Plink { gateway.fingerprints() } else { Vec::new() };
        Self { fingerprints, ..Self::to(client, gateway.port(), user) }
    }

    /// The same to any server on 127.0.0.1.
    pub fn to(client: Client, port: u16, user: &str) -> Self {
        let (user, options) = (user.to_owned(), Vec::new());
        Self {
            client,
            port,
            fingerprints: Vec::new(),
            user,
            command: None,
            pty: false,
            access: Access::Nothing,
            options,
        }
    }

    /// Sets the fingerprints of the host keys that are trusted, `SHA256:...`. Most clients trust any.
    pub fn trusting(mut self, fingerprints: &[String]) -> Self {
        self.fingerprints = fingerprints.to_vec();
        self
    }

    /// Another port of 127.0.0.1: that of a server to compare with.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Asks for a command instead of a shell.
    pub fn exec(mut self, command: &str) -> Self {
        self.command = Some(command.to_owned());
        self
    }

    /// Asks for a terminal.
    pub fn pty(mut self) -> Self {
        self.pty = true;
        self
    }

    /// Sets the credential.
    pub fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// Adds an argument in the client's own syntax, before user and host.
    pub fn option(mut self, option: &str) -> Self {
        self.options.push(option.to_owned());
        self
    }

    /// Runs it to its end with `input` on stdin, within a minute.
    pub fn run(&self, input: Input) -> Finished {
        self.run_within(input, SOON)
    }

    /// Runs it to its end with `input` on stdin, with the time limit of a large transfer.
    pub fn run_long(&self, input: Input) -> Finished {
        self.run_within(input, LATER)
    }

    /// Runs it to its end with `input` on stdin, within `limit`.
    pub fn run_within(&self, input: Input, limit: Duration) -> Finished {
        // dbclient does not end when the channel closes while its stdout, a pipe, is full: 7 of 1,343 downloads of
        // 8 MiB from sshd, none of 2,800 into a file.
        let output = if self.client == Client::Dbclient { Output::File } else { Output::Read };
        Running::start(self.command(), input, output, limit).finish()
    }

    /// Starts it with a stdin that stays open.
    pub fn start(&self) -> Running {
        Running::start(self.command(), Input::Held, Output::Read, SOON)
    }

    /// The same with the time limit of a large transfer.
    pub fn start_long(&self) -> Running {
        Running::start(self.command(), Input::Held, Output::Read, LATER)
    }

    /// Starts it; after `count` bytes its stdout is no longer read.
    pub fn start_and_stall(&self, count: u64) -> Running {
        Running::start(self.command(), Input::Nothing, Output::Stall(count), LATER)
    }

    /// The command line.
    pub fn command(&self) -> Command {
        match self.client {
            Client::OpenSsh92 => self.openssh("ssh-9.2"),
            Client::OpenSsh100 => self.openssh("ssh-10.0"),
            Client::Dbclient => self.dbclient(),
            Client::Plink => self.plink(),
            Client::AsyncSsh => self.script("python", "asyncssh_session.py"),
            Client::Paramiko => self.script("python", "paramiko_session.py"),
            Client::Libssh => self.script("python", "libssh_session.py"),
            Client::Ssh2 => self.script("node", "ssh2_session.js"),
            Client::Conch => self.script("python", "conch_session.py"),
            Client::NetSsh2 => self.script("perl", "net_ssh2_session.pl"),
            Client::NetSsh => self.script("ruby", "net_ssh_session.rb"),
            Client::XCrypto => self.driver(Command::new(client_program("x-crypto"))),
            Client::Jsch => self.driver(Command::new(client_program("jsch"))),
            Client::Russh => self.script("node", "russh_session.js"),
            Client::Curl => self.curl(),
            Client::Ours => self.ours(),
        }
    }

    fn openssh(&self, program: &str) -> Command {
        let mut command = Command::new(client_program(program));
        command.args(["-F", "none", if self.pty { "-tt" } else { "-T" }]);
        for option in ["UserKnownHostsFile=/dev/null", "GlobalKnownHostsFile=/dev/null"] {
            command.args(["-o", option]);
        }
        // OpenSSH uses the first value of an option, so a call may still ask about the host key.
        if !self.options.iter().any(|option| option.contains("StrictHostKeyChecking")) {
            command.args(["-o", "StrictHostKeyChecking=no"]);
        }
        match &self.access {
            Access::Nothing => command.args(["-o", "BatchMode=yes", "-o", "PubkeyAuthentication=no"]),
            Access::Password(_) => command.args(["-o", "PubkeyAuthentication=no", "-o", "NumberOfPasswordPrompts=1"]),
            Access::Key(_) => command.args(["-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"]),
        };
        match &self.access {
            Access::Nothing => {}
            Access::Password(right) => {
                command.env("SSH_ASKPASS_REQUIRE", "force").env("SSH_ASKPASS", right.asking_program());
            }
            Access::Key(keys) => drop(command.arg("-i").arg(keys.openssh())),
        }
        // Without options of its own a call is quiet, so that stderr contains only the plugin's output.
        if !self.options.iter().any(|option| option.starts_with("-v") || option.contains("LogLevel")) {
            command.args(["-o", "LogLevel=ERROR"]);
        }
        command.args(&self.options).args(["-p", &self.port.to_string(), "-l", &self.user, "127.0.0.1"]);
        command.args(&self.command);
        command
    }

    fn dbclient(&self) -> Command {
        let mut command = Command::new(client_program("dbclient"));
        command.args(["-y", "-y", if self.pty { "-t" } else { "-T" }]);
        match &self.access {
            Access::Nothing => {}
            Access::Password(right) => drop(command.env("DROPBEAR_PASSWORD", right.password())),
            Access::Key(keys) => drop(command.arg("-i").arg(keys.dropbear())),
        }
        command.args(&self.options).args(["-p", &self.port.to_string(), "-l", &self.user, "127.0.0.1"]);
        command.args(&self.command);
        command
    }

    fn plink(&self) -> Command {
        let mut command = Command::new(client_program("plink"));
        // Settings that have no option: `-load NAME`.
        command.env("PUTTYSESSIONS", repository().join("tests/interop/putty"));
        command.args(["-batch", "-ssh", "-no-antispoof", "-noagent", if self.pty { "-t" } else { "-T" }]);
        command.args(self.fingerprints.iter().flat_map(|fingerprint| ["-hostkey", fingerprint]));
        match &self.access {
            Access::Nothing => {}
            Access::Password(right) => drop(command.args(["-pw", right.password()])),
            Access::Key(keys) => drop(command.arg("-i").arg(keys.putty())),
        }
        command.args(&self.options).args(["-P", &self.port.to_string(), "-l", &self.user, "127.0.0.1"]);
        command.args(&self.command);
        command
    }

    fn curl(&self) -> Command {
        let mut command = Command::new(client_program("curl"));
        command.args(["-q", "--silent", "--show-error", "--verbose", "--insecure"]);
        match &self.access {
            Access::Nothing => drop(command.args(["--user", &format!("{}:", self.user)])),
            Access::Password(right) => drop(command.args(["--user", &format!("{}:{}", self.user, right.password())])),
            Access::Key(keys) => {
                command.args(["--user", &format!("{}:", self.user), "--key"]).arg(keys.openssh());
                command.arg("--pubkey").arg(keys.openssh().with_extension("pub"));
            }
        }
        command.args(&self.options).arg(format!("sftp://127.0.0.1:{}/", self.port));
        command
    }

    fn ours(&self) -> Command {
        let mut command = Command::new(our_client());
        command.args(["-p", &self.port.to_string()]);
        match &self.access {
            Access::Nothing => {}
            Access::Password(right) => drop(command.args(["--password", right.password()])),
            Access::Key(keys) => drop(command.arg("--identity").arg(keys.openssh())),
        }
        if self.pty {
            command.arg("-t");
        }
        command.args(&self.options).arg(format!("{}@127.0.0.1", self.user)).args(&self.command);
        command
    }

    fn script(&self, language: &str, driver: &str) -> Command {
        let mut command = Command::new(client_program(language));
        command.arg(repository().join("tests/interop").join(driver));
        self.driver(command)
    }

    fn driver(&self, mut command: Command) -> Command {
        command.args(["--port", &self.port.to_string(), "--user", &self.user]);
        match &self.access {
            Access::Nothing => {}
            Access::Password(right) => drop(command.args(["--password", right.password()])),
            Access::Key(keys) => drop(command.arg("--key").arg(keys.openssh())),
        }
        if self.pty {
            command.arg("--pty");
        }
        if let Some(text) = &self.command {
            command.args(["--exec", text]);
        }
        command.args(&self.options);
        command
    }
}
