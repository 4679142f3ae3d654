//! Libraries and FileZilla, each with a driver that is told the operations.

use crate::file_transfer::layout;
use crate::file_transfer::operation::Operation;
use crate::file_transfer::row::{Client, How, Step, run, said};
use crate::file_transfer::site::Site;
use serde_json::Value;
use std::process::Command;
use whelk_tests::{client_program, repository};

/// It takes no backslash in names that come from a server.
const ASYNCSSH: &[&str] = &["\\"];

/// A line of that protocol holds one name, and it takes none with spaces at its beginning.
const ASYNCSSH_SCP: &[&str] = &["\\", "\n", " spaces"];

/// Its commands are lines.
const FILEZILLA: &[&str] = &["\n"];

pub(super) fn clients() -> Vec<Client> {
    let client = |name, how, step, without| Client { name, how, step, without };
    vec![
        client("paramiko", How::Driver(|site| driver(site, "python", "paramiko_files.py")), paramiko, &[]),
        client("AsyncSSH sftp", How::Driver(|site| driver(site, "python", "asyncssh_files.py")), everything, ASYNCSSH),
        client(
            "AsyncSSH scp",
            How::Driver(|site| driver(site, "python", "asyncssh_scp_files.py")),
            asyncssh_scp,
            ASYNCSSH_SCP,
        ),
        client("libssh", How::Driver(|site| driver(site, "python", "libssh_files.py")), libssh, &[]),
        client("ssh2-sftp-client", How::Driver(|site| driver(site, "node", "sftp_client_files.js")), node, &[]),
        client("fzsftp", How::Driver(filezilla), fzsftp, FILEZILLA),
    ]
}

fn driver(site: &Site, language: &str, name: &str) -> Command {
    let mut command = Command::new(client_program(language));
    command.env("HOME", &site.local).arg(repository().join("tests/interop").join(name));
    command.args(["--port", &site.port.to_string(), "--user", site.user, "--key"]).arg(site.keys.openssh());
    command.arg("--here").arg(&site.local).args(["--there", &site.remote]);
    command
}

fn filezilla(site: &Site) -> Command {
    let mut command = driver(site, "python", "fzsftp_files.py");
    command.arg("--program").arg(client_program("fzsftp")).arg("--putty-key").arg(site.keys.putty());
    command
}

/// Runs a driver, and checks each operation.
pub(super) fn perform(mut command: Command, site: &Site, operations: &[Operation]) -> Vec<Result<(), String>> {
    command.args(operations.iter().map(|operation| operation.title()));
    let finished = run(command);
    let lines: Vec<Value> = finished.out.text().lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let outcome = |operation: &Operation| {
        let line = lines.iter().find(|line| line["operation"] == operation.title());
        let Some(line) = line else { return Err(format!("status {:?}: {}", finished.status, said(&finished))) };
        match line["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => layout::check(*operation, site, line["said"].as_str().unwrap_or_default()),
        }
    };
    operations.iter().map(outcome).collect()
}

fn everything(_: &Site, _: Operation) -> Step {
    Step::Driven
}

fn paramiko(_: &Site, operation: Operation) -> Step {
    match operation {
        Operation::Space => Step::Lacks("its library has no function for it"),
        _ => Step::Driven,
    }
}

fn libssh(_: &Site, operation: Operation) -> Step {
    match operation {
        Operation::PutTime => Step::Lacks("its binding for Python sets a random time"),
        _ => Step::Driven,
    }
}

fn asyncssh_scp(_: &Site, operation: Operation) -> Step {
    match operation {
        Operation::Put | Operation::Get | Operation::PutTree | Operation::GetTree => Step::Driven,
        Operation::PutMany | Operation::GetMany | Operation::Names => Step::Driven,
        Operation::PutTime | Operation::GetTime => Step::Driven,
        Operation::ResumePut | Operation::ResumeGet => Step::Lacks("it copies whole files"),
        _ => Step::Lacks("it only copies"),
    }
}

fn node(_: &Site, operation: Operation) -> Step {
    match operation {
        Operation::PutTime | Operation::GetTime => Step::Lacks("it keeps no times"),
        Operation::Link => Step::Lacks("it makes no links"),
        Operation::Space => Step::Lacks("it has no function for it"),
        _ => Step::Driven,
    }
}

fn fzsftp(_: &Site, operation: Operation) -> Step {
    match operation {
        Operation::Link => Step::Lacks("it makes no links"),
        Operation::Space => Step::Lacks("it has no command for it"),
        _ => Step::Driven,
    }
}
