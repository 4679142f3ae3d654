//! curl with libssh2, over both of its protocols.

use crate::file_transfer::fixture::{many_files, names};
use crate::file_transfer::operation::Operation;
use crate::file_transfer::row::{Client, How, Step, words};
use crate::file_transfer::site::Site;
use std::fmt::Write as _;
use std::process::Command;
use whelk_tests::client_program;

pub(super) fn sftp() -> Client {
    Client { name: "curl sftp:", how: How::Each(program), step: sftp_step, without: &[] }
}

pub(super) fn scp() -> Client {
    Client { name: "curl scp:", how: How::Each(program), step: scp_step, without: &[] }
}

fn program(site: &Site, arguments: &[String]) -> Command {
    let mut command = Command::new(client_program("curl"));
    command.args(["-q", "--silent", "--show-error", "--insecure", "--user", &format!("{}:", site.user), "--key"]);
    command.arg(site.keys.openssh()).arg("--pubkey").arg(site.keys.openssh().with_extension("pub")).args(arguments);
    command
}

fn sftp_step(site: &Site, operation: Operation) -> Step {
    let here = |name: &str| site.from(operation, name);
    let path = |name: &str| site.at(operation, name);
    let url = |name: &str| format!("sftp://127.0.0.1:{}{}", site.port, path(name));
    let home = format!("sftp://127.0.0.1:{}/", site.port);
    // A command, and then a list of the root.
    let quote = |command: String| {
        words(["--list-only", "--dump-header", "-", "--quote", &command, &home, "--output", "/dev/null"])
    };
    Step::Runs(vec![match operation {
        Operation::Put => words(["--upload-file", &here("data"), &url("data")]),
        Operation::Get => words([&url("data"), "--output", &here("data")]),
        Operation::List => words([&url("").replace("list", "list/")]),
        Operation::Rename => quote(format!("rename {} {}", path("from"), path("to"))),
        Operation::Remove => quote(format!("rm {}", path("file"))),
        Operation::MakeFolder => quote(format!("mkdir {}", path("new"))),
        Operation::RemoveFolder => quote(format!("rmdir {}", path("old"))),
        Operation::ResumePut => words(["--continue-at", "-", "--upload-file", &here("data"), &url("data")]),
        Operation::ResumeGet => words(["--continue-at", "-", &url("data"), "--output", &here("data")]),
        Operation::PutMany => {
            let files = format!("{}/file[0-{}]", here("many"), (many_files() - 1));
            words(["--ftp-create-dirs", "--upload-file", &files, &url("many/")])
        }
        Operation::GetMany => {
            let files = format!("{}/file[0-{}]", url("many"), (many_files() - 1));
            words(["--create-dirs", &files, "--output", &here("many/file#1")])
        }
        Operation::Names => return named(site, &url("names")),
        Operation::GetTime => words(["--remote-time", &url("data"), "--output", &here("data")]),
        Operation::Link => {
            let make = quote(format!("symlink file {}", path("made")));
            return Step::Runs(vec![make, words([&url("made"), "--output", &here("through")])]);
        }
        Operation::Space => quote(format!("statvfs {}", path(""))),
        Operation::Mode => quote(format!("chmod 640 {}", path("file"))),
        Operation::PutTree | Operation::GetTree => return Step::Lacks("it copies files, not folders"),
        Operation::PutTime => return Step::Lacks("it keeps times of downloads only"),
    }])
}

/// Each name in a URL of its own.
fn named(site: &Site, folder: &str) -> Step {
    let mut up = words(["--globoff", "--path-as-is", "--ftp-create-dirs"]);
    let mut down = words(["--globoff", "--path-as-is", "--create-dirs"]);
    for name in names() {
        let url = format!("{folder}/{}", encoded(&name));
        up.extend(words(["--upload-file", &site.from(Operation::Names, &format!("names/{name}")), &url]));
        down.extend(words([&url, "--output", &site.from(Operation::Names, &format!("back/names/{name}"))]));
    }
    Step::Runs(vec![up, down])
}

fn encoded(name: &str) -> String {
    name.bytes().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "%{byte:02x}");
        text
    })
}

fn scp_step(site: &Site, operation: Operation) -> Step {
    let here = |name: &str| site.from(operation, name);
    let url = |name: &str| format!("scp://127.0.0.1:{}{}", site.port, site.at(operation, name));
    Step::Runs(vec![match operation {
        Operation::Put => words(["--upload-file", &here("data"), &url("data")]),
        Operation::Get => words([&url("data"), "--output", &here("data")]),
        Operation::GetMany => {
            let files = format!("{}/file[0-{}]", url("many"), (many_files() - 1));
            words(["--create-dirs", &files, "--output", &here("many/file#1")])
        }
        Operation::PutMany => return Step::Lacks("it makes no folders"),
        Operation::ResumePut | Operation::ResumeGet => return Step::Lacks("it copies whole files"),
        Operation::PutTree | Operation::GetTree => return Step::Lacks("it copies files, not folders"),
        Operation::Names => return Step::Lacks("it quotes no names for the server's shell"),
        Operation::PutTime | Operation::GetTime => return Step::Lacks("it keeps no times"),
        _ => return Step::Lacks("it only copies"),
    }])
}
