//! A connection of OpenSSH's client that many calls share: `ControlMaster` of ssh_config(5).

use std::process::Command;

use whelk_tests::{Access, Call, Client, Gateway, OPENSSH_VERSIONS, Running, client_program};

/// The connection. Its first session waits for a line.
pub(super) struct Master {
    first: Running,
    /// What further calls are made from.
    call: Call,
    socket: String,
    version: &'static str,
}

impl Master {
    /// Opens it. The first session runs a command, and then waits.
    pub(super) fn open(gateway: &Gateway, version: &'static str, user: &str, access: &Access, command: &str) -> Self {
        let client = if version == OPENSSH_VERSIONS[0] { Client::OpenSsh92 } else { Client::OpenSsh100 };
        let socket = format!("ControlPath={}", gateway.folder().join(format!("control-{user}-{version}")).display());
        let call = Call::new(client, gateway, user).access(access.clone()).option("-o").option(&socket).option("-o");
        let first = call.clone().option("ControlMaster=yes").exec(&format!("{command}; echo ready; read x")).start();
        first.wait_for_output("ready");
        Self { first, call: call.option("ControlMaster=no"), socket, version }
    }

    /// One more session.
    pub(super) fn exec(&self, command: &str) -> Call {
        self.call.clone().exec(command)
    }

    /// `sftp` or `scp` over it.
    pub(super) fn tool(&self, name: &str) -> Command {
        let mut command = Command::new(client_program(&format!("{name}-{}", self.version)));
        command.args(["-F", "none", "-o", &self.socket, "-oControlMaster=no", "-oLogLevel=ERROR"]);
        command.arg("-S").arg(client_program(&format!("ssh-{}", self.version)));
        command
    }

    /// Ends the first session, and with it the connection. Returns what that session has written.
    pub(super) fn close(mut self) -> String {
        self.first.type_in(b"\n");
        let finished = self.first.finish();
        assert_eq!(finished.status, Some(0), "{}", finished.err);
        finished.out.text()
    }
}
