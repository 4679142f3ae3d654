//! lftp.

use crate::file_transfer::fixture::write;
use crate::file_transfer::operation::Operation;
use crate::file_transfer::row::{Client, How, Step};
use crate::file_transfer::site::Site;
use std::process::Command;
use whelk_tests::{OPENSSH_OPTIONS, client_program};

pub(super) fn client() -> Client {
    Client { name: "lftp", how: How::Batch(batch), step, without: &[] }
}

fn batch(site: &Site, lines: &[String]) -> Command {
    let script = site.local.join("commands");
    let ssh = client_program("ssh-10.0");
    let text = format!(
        "set cmd:fail-exit true\nset net:max-retries 1\nset net:timeout 30\nset xfer:clobber true\n\
         set sftp:auto-confirm true\nset sftp:connect-program \"{} -a -x {} -i {}\"\n\
         open -u {}, sftp://127.0.0.1:{}\n{}\n",
        ssh.display(),
        OPENSSH_OPTIONS.join(" "),
        site.keys.openssh().display(),
        site.user,
        site.port,
        lines.join("\n")
    );
    write(&script, text.as_bytes());
    let mut command = Command::new(client_program("lftp"));
    command.env("HOME", &site.local).arg("--norc").arg("-f").arg(script);
    command
}

fn step(site: &Site, operation: Operation) -> Step {
    let here = |name: &str| site.from(operation, name);
    let there = |name: &str| site.at(operation, name);
    Step::Lines(match operation {
        Operation::Put => vec![format!("put {} -o {}", here("data"), there("data"))],
        Operation::Get => vec![format!("get {} -o {}", there("data"), here("data"))],
        Operation::List => vec![format!("ls {}", there(""))],
        Operation::Rename => vec![format!("mv {} {}", there("from"), there("to"))],
        Operation::Remove => vec![format!("rm {}", there("file"))],
        Operation::MakeFolder => vec![format!("mkdir {}", there("new"))],
        Operation::RemoveFolder => vec![format!("rmdir {}", there("old"))],
        Operation::ResumePut => vec![format!("put -c {} -o {}", here("data"), there("data"))],
        Operation::ResumeGet => vec![format!("get -c {} -o {}", there("data"), here("data"))],
        Operation::PutTree => vec![format!("mirror -R {} {}", here("tree"), there("tree"))],
        Operation::GetTree => vec![format!("mirror {} {}", there("tree"), here("tree"))],
        Operation::PutMany => vec![format!("mirror -R {} {}", here("many"), there("many"))],
        Operation::GetMany => vec![format!("mirror {} {}", there("many"), here("many"))],
        Operation::Names => vec![
            format!("mirror -R {} {}", here("names"), there("names")),
            format!("mirror {} {}", there("names"), here("back/names")),
        ],
        Operation::PutTime => vec![format!("mirror -R {} {}", site.here(operation).display(), there(""))],
        Operation::GetTime => vec![format!("mirror {} {}", there(""), site.here(operation).display())],
        Operation::Link => {
            vec![format!("ln -s file {}", there("made")), format!("get {} -o {}", there("made"), here("through"))]
        }
        Operation::Space => return Step::Lacks("it has no command for it"),
        Operation::Mode => vec![format!("chmod 640 {}", there("file"))],
    })
}
