//! OpenSSH's sftp and scp, of both versions.

use crate::file_transfer::fixture::write;
use crate::file_transfer::operation::Operation;
use crate::file_transfer::row::{Client, How, Step, words};
use crate::file_transfer::site::Site;
use std::process::Command;
use whelk_tests::{client_program, openssh_tool};

/// scp writes names as vis(3) has them: a line break arrives as `\012`, and so do others.
const OLD_SCP: &[&str] = &["\n", "\t", "\x07"];

pub(super) fn clients() -> Vec<Client> {
    let client = |name, how, step, without| Client { name, how, step, without };
    vec![
        client("sftp 9.2", How::Batch(|site, lines| sftp(site, "9.2", lines)), lines, &[]),
        client("sftp 10.0", How::Batch(|site, lines| sftp(site, "10.0", lines)), lines, &[]),
        client("scp 9.2", How::Each(|site, words| scp(site, "9.2", words)), arguments, &[]),
        client("scp 10.0", How::Each(|site, words| scp(site, "10.0", words)), arguments, &[]),
        client("scp -O 9.2", How::Each(|site, words| old_scp(site, "9.2", words)), arguments, OLD_SCP),
        client("scp -O 10.0", How::Each(|site, words| old_scp(site, "10.0", words)), arguments, OLD_SCP),
    ]
}

fn program(site: &Site, name: &str, version: &str) -> Command {
    let mut command = openssh_tool(&format!("{name}-{version}"), site.keys);
    command.arg("-S").arg(client_program(&format!("ssh-{version}")));
    command.args(["-P", &site.port.to_string()]);
    command
}

fn sftp(site: &Site, version: &str, lines: &[String]) -> Command {
    let script = site.local.join("commands");
    write(&script, format!("{}\n", lines.join("\n")).as_bytes());
    let mut command = program(site, "sftp", version);
    command.arg("-b").arg(script).arg(format!("{}@127.0.0.1", site.user));
    command
}

fn scp(site: &Site, version: &str, arguments: &[String]) -> Command {
    let mut command = program(site, "scp", version);
    command.args(arguments);
    command
}

fn old_scp(site: &Site, version: &str, arguments: &[String]) -> Command {
    let mut command = program(site, "scp", version);
    command.arg("-O").args(arguments);
    command
}

fn lines(site: &Site, operation: Operation) -> Step {
    let here = |name: &str| site.from(operation, name);
    let there = |name: &str| site.at(operation, name);
    Step::Lines(match operation {
        Operation::Put => vec![format!("put {} {}", here("data"), there("data"))],
        Operation::Get => vec![format!("get {} {}", there("data"), here("data"))],
        Operation::List => vec![format!("ls -la {}", there(""))],
        Operation::Rename => vec![format!("rename {} {}", there("from"), there("to"))],
        Operation::Remove => vec![format!("rm {}", there("file"))],
        Operation::MakeFolder => vec![format!("mkdir {}", there("new"))],
        Operation::RemoveFolder => vec![format!("rmdir {}", there("old"))],
        Operation::ResumePut => vec![format!("reput {} {}", here("data"), there("data"))],
        Operation::ResumeGet => vec![format!("reget {} {}", there("data"), here("data"))],
        Operation::PutTree => vec![format!("put -r {} {}", here("tree"), there(""))],
        Operation::GetTree => vec![format!("get -r {} {}", there("tree"), here(""))],
        Operation::PutMany => vec![format!("put -r {} {}", here("many"), there(""))],
        Operation::GetMany => vec![format!("get -r {} {}", there("many"), here(""))],
        Operation::Names => vec![
            format!("put -r {} {}", here("names"), there("")),
            format!("get -r {} {}", there("names"), here("back")),
        ],
        Operation::PutTime => vec![format!("put -p {} {}", here("data"), there("data"))],
        Operation::GetTime => vec![format!("get -p {} {}", there("data"), here("data"))],
        Operation::Link => {
            vec![format!("ln -s file {}", there("made")), format!("get {} {}", there("made"), here("through"))]
        }
        Operation::Space => vec![format!("df {}", there(""))],
        Operation::Mode => vec![format!("chmod 640 {}", there("file"))],
    })
}

/// The arguments of scp, in both of its protocols.
fn arguments(site: &Site, operation: Operation) -> Step {
    copy(site, operation, &format!("{}@127.0.0.1:", site.user))
}

/// The arguments of a program that only copies. What is remote begins with `host`.
pub(super) fn copy(site: &Site, operation: Operation, host: &str) -> Step {
    let here = |name: &str| site.from(operation, name);
    let there = |name: &str| format!("{host}{}", site.at(operation, name));
    Step::Runs(match operation {
        Operation::Put => vec![words([&here("data"), &there("data")])],
        Operation::Get => vec![words([&there("data"), &here("data")])],
        Operation::PutTree => vec![words(["-r", &here("tree"), &there("")])],
        Operation::GetTree => vec![words(["-r", &there("tree"), &here("")])],
        Operation::PutMany => vec![words(["-r", &here("many"), &there("")])],
        Operation::GetMany => vec![words(["-r", &there("many"), &here("")])],
        Operation::Names => {
            vec![words(["-r", &here("names"), &there("")]), words(["-r", &there("names"), &here("back/")])]
        }
        Operation::PutTime => vec![words(["-p", &here("data"), &there("data")])],
        Operation::GetTime => vec![words(["-p", &there("data"), &here("data")])],
        Operation::ResumePut | Operation::ResumeGet => return Step::Lacks("it copies whole files"),
        _ => return Step::Lacks("it only copies"),
    })
}
