//! PuTTY's psftp and pscp.

use super::openssh::copy;
use crate::file_transfer::fixture::write;
use crate::file_transfer::operation::Operation;
use crate::file_transfer::row::{Client, How, Step, words};
use crate::file_transfer::site::Site;
use std::process::Command;
use whelk_tests::client_program;

/// It takes what is before a backslash for a folder, on every system.
const PSCP: &[&str] = &["\\"];

/// A line of that protocol holds one name, and it takes none with spaces at its beginning.
const OLD_PSCP: &[&str] = &["\\", "\n", " spaces"];

pub(super) fn clients() -> Vec<Client> {
    let client = |name, how, step, without| Client { name, how, step, without };
    vec![
        client("psftp", How::Batch(psftp), lines, &[]),
        client("pscp -sftp", How::Each(|site, words| pscp(site, "-sftp", words)), sftp_arguments, PSCP),
        client("pscp -scp", How::Each(|site, words| pscp(site, "-scp", words)), scp_arguments, OLD_PSCP),
    ]
}

fn program(site: &Site, name: &str) -> Command {
    let mut command = Command::new(client_program(name));
    command.env("HOME", &site.local).args(["-batch", "-noagent", "-P", &site.port.to_string(), "-l", site.user]);
    command.args(site.fingerprints.iter().flat_map(|fingerprint| ["-hostkey", fingerprint]));
    command.arg("-i").arg(site.keys.putty());
    command
}

fn psftp(site: &Site, lines: &[String]) -> Command {
    let script = site.local.join("commands");
    write(&script, format!("{}\n", lines.join("\n")).as_bytes());
    let mut command = program(site, "psftp");
    command.arg("-b").arg(script).arg("127.0.0.1");
    command
}

fn pscp(site: &Site, protocol: &str, arguments: &[String]) -> Command {
    let mut command = program(site, "pscp");
    command.arg("-q").arg(protocol).args(arguments);
    command
}

fn lines(site: &Site, operation: Operation) -> Step {
    let here = |name: &str| site.from(operation, name);
    let there = |name: &str| site.at(operation, name);
    Step::Lines(match operation {
        Operation::Put => vec![format!("put {} {}", here("data"), there("data"))],
        Operation::Get => vec![format!("get {} {}", there("data"), here("data"))],
        Operation::List => vec![format!("ls {}", there(""))],
        Operation::Rename => vec![format!("mv {} {}", there("from"), there("to"))],
        Operation::Remove => vec![format!("rm {}", there("file"))],
        Operation::MakeFolder => vec![format!("mkdir {}", there("new"))],
        Operation::RemoveFolder => vec![format!("rmdir {}", there("old"))],
        Operation::ResumePut => vec![format!("reput {} {}", here("data"), there("data"))],
        Operation::ResumeGet => vec![format!("reget {} {}", there("data"), here("data"))],
        Operation::PutTree => vec![format!("put -r {} {}", here("tree"), there("tree"))],
        Operation::GetTree => vec![format!("get -r {} {}", there("tree"), here("tree"))],
        Operation::PutMany => vec![format!("put -r {} {}", here("many"), there("many"))],
        Operation::GetMany => vec![format!("get -r {} {}", there("many"), here("many"))],
        Operation::Names => vec![
            format!("put -r {} {}", here("names"), there("names")),
            format!("get -r {} {}", there("names"), here("back/names")),
        ],
        Operation::PutTime | Operation::GetTime => return Step::Lacks("only pscp keeps times"),
        Operation::Link => return Step::Lacks("it makes no links"),
        Operation::Space => return Step::Lacks("it has no command for it"),
        Operation::Mode => vec![format!("chmod 640 {}", there("file"))],
    })
}

fn sftp_arguments(site: &Site, operation: Operation) -> Step {
    let there = format!("127.0.0.1:{}", site.at(operation, ""));
    match operation {
        Operation::List => Step::Runs(vec![words(["-ls", &there])]),
        _ => copy(site, operation, "127.0.0.1:"),
    }
}

fn scp_arguments(site: &Site, operation: Operation) -> Step {
    match operation {
        Operation::List => Step::Lacks("it runs the server's program ls"),
        _ => copy(site, operation, "127.0.0.1:"),
    }
}
